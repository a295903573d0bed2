"""Paired data of the way back, without any signal: slow noise, one bin per frame, drives BOLD."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import toeplitz

from mne_samba.data.paired import BoldScale, Paired
from mne_samba.data.power import PowerScaler
from mne_samba.models.inverse_data import inverse_grid

T_R = 2.0
GRID = inverse_grid(T_R, 20.0)
N_CHANNELS, N_BANDS, N_TARGETS = 3, 2, 8
# How slow power is, and how noisy BOLD.
AR, NOISE = 0.6, 0.4


@dataclass(frozen=True)
class World:
    """Coefficients (n_targets, n_channels, n_bands) and response (n_lags,) behind the data."""

    coefficients: np.ndarray
    kernel: np.ndarray

    @classmethod
    def of(cls, seed=0):
        rng = np.random.default_rng(seed)
        bands = rng.standard_normal((N_CHANNELS, N_BANDS))
        coefficients = rng.standard_normal((N_TARGETS, N_CHANNELS))[:, :, None] * bands
        lags = (np.arange(GRID.n_lags) + 0.5) * T_R
        kernel = lags**5 * np.exp(-lags)
        return cls(coefficients / np.linalg.norm(coefficients), kernel / np.linalg.norm(kernel))

    def person(self, n_frames=300, seed=1):
        """Power (n_channels, n_bands, n_lags + n_frames) and BOLD (n_frames, n_targets)."""
        rng = np.random.default_rng(seed)
        power = rng.standard_normal((N_CHANNELS, N_BANDS, GRID.n_lags + n_frames))
        for t in range(1, power.shape[-1]):
            power[..., t] = AR * power[..., t - 1] + np.sqrt(1 - AR**2) * power[..., t]
        drive = np.einsum("mnk,nkt->mt", self.coefficients, power)
        frames = range(GRID.n_lags, GRID.n_lags + n_frames)
        bold = np.stack([drive[:, t - GRID.n_lags : t] @ self.kernel[::-1] for t in frames])
        noise = NOISE * self.size * rng.standard_normal(bold.shape)
        return power, bold + noise

    @property
    def size(self) -> float:
        """Root mean square of the signal in BOLD over targets."""
        shared = toeplitz(AR ** np.arange(GRID.n_lags))
        gain = self.kernel @ shared @ self.kernel
        return float(np.sqrt(gain * (self.coefficients**2).sum() / N_TARGETS))

    def posterior(self, bold):
        """Mean of power (n_channels, n_bands, n_frames) given BOLD, by dense linear algebra."""
        n_frames, n_lags = len(bold), GRID.n_lags
        n_bins = n_lags + n_frames
        prior = toeplitz(AR ** np.arange(n_bins))
        response = np.zeros((n_frames, n_bins))
        for frame in range(n_frames):
            response[frame, frame : frame + n_lags] = self.kernel[::-1]
        weights = self.coefficients.reshape(N_TARGETS, -1)
        signal = np.kron(response @ prior @ response.T, weights @ weights.T)
        noise = (NOISE * self.size) ** 2 * np.eye(len(signal))
        solved = np.linalg.solve(signal + noise, bold.ravel()).reshape(n_frames, N_TARGETS)
        found = prior @ response.T @ solved @ weights
        return found[n_lags:].T.reshape(N_CHANNELS, N_BANDS, n_frames)


def paired(world, n_frames=300, seed=1, name="a"):
    """One recording."""
    power, bold = world.person(n_frames, seed)
    keys = [(name, "1", "0")]
    scaler = PowerScaler(log=True).fit([np.exp(power)], keys)
    power = (power - scaler.mean[0][..., None]) / scaler.scale[0][..., None]
    mean, scale = bold.mean(axis=0), bold.std(axis=0)
    table = pd.DataFrame({"subject": [name], "run": "1", "recording": 0, "onset": 0.0, "frame": 0})
    return Paired(
        [power[..., :-1]], [(bold - mean) / scale], keys, table, "recordings", GRID, scaler,
        BoldScale(mean, scale, 0 * scale), [f"ch{i}" for i in range(N_CHANNELS)],
        [f"region{i}" for i in range(N_TARGETS)], None, None, {"low": (4.0, 8.0), "high": (8, 13)},
    )  # fmt: skip
