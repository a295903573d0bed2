"""Paired data of a known core, without any signal: band power is noise that drives BOLD."""

import numpy as np
import pandas as pd

from mne_samba.data.paired import BoldScale, Paired
from mne_samba.data.power import LowRateGrid, PowerScaler

T_R = 2.0


def paired(n_frames=260, n_channels=3, n_bands=2, n_targets=4, noise=0.5, own=False, seed=0):
    """One recording; with ``own``, every region follows one band of one channel."""
    rng = np.random.default_rng(seed)
    grid = LowRateGrid.from_tr(T_R, 20.0)
    raw = rng.gamma(2.0, size=(n_channels, n_bands, grid.n_bins(n_frames))).astype(np.float32)
    scaler = PowerScaler().fit([raw], [("a", "1", "0")])
    power = scaler.transform([raw], [("a", "1", "0")], "recordings")[0]
    weights = rng.standard_normal((n_channels, n_bands))
    coefficients = rng.standard_normal((n_targets, n_channels))[:, :, None] * weights
    if own:
        coefficients = np.zeros((n_targets, n_channels, n_bands))
        for target in range(n_targets):
            coefficients[target, target % n_channels, target // n_channels % n_bands] = 1.0
    lags = (np.arange(grid.n_lags) + 0.5) * grid.dt
    kernel = lags**4 * np.exp(-lags)
    drive = np.einsum("mnk,nkt->mt", coefficients, power)
    last = grid.n_lags + grid.step * np.arange(n_frames)
    bold = np.stack([drive[:, t - grid.n_lags : t] @ kernel[::-1] for t in last])
    bold = bold / bold.std(axis=0) + noise * rng.standard_normal(bold.shape)
    bold = (bold - bold.mean(axis=0)) / bold.std(axis=0)
    table = pd.DataFrame({"subject": ["a"], "run": "1", "recording": 0, "onset": 0.0, "frame": 0})
    ones = np.ones(n_targets)
    return Paired(
        [power], [bold], [("a", "1", "0")], table, "recordings", grid, scaler,
        BoldScale(0 * ones, ones, 0.1 * ones), [f"ch{i}" for i in range(n_channels)],
        [f"region{i}" for i in range(n_targets)], None, [raw],
        {f"band{i}": (4.0 * i + 1, 4.0 * i + 5) for i in range(n_bands)},
    )  # fmt: skip
