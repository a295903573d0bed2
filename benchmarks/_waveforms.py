"""BOLD to waveforms, as the paper has it: wavelet coefficients per level, then their inverse.

The library gives band power: BOLD does not carry the phase of a rhythm at 4 to 40 Hz, so that the
best waveform in the squared error is close to zero, and so is this one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mne_samba.nn.wavelet import wavedec, waverec
from mne_samba.wavelets.matrices import coefficient_lengths

WAVELET, LEVEL, MODE = "db5", 5, "symmetric"
EPOCHS, BATCH = 10, 8


class SignalHead(nn.Module):
    """Band power per frame to a waveform: coefficients per level, then the inverse transform.

    Frames are interpolated to the times of the wavelet coefficients, and one map per node and level
    turns band power into coefficients.
    """

    def __init__(self, n_channels: int, n_bands: int):
        super().__init__()
        self.levels = nn.Parameter(1e-3 * torch.randn(LEVEL + 1, n_channels, n_bands))

    def coefficients(self, power: torch.Tensor, n_times: int) -> list[torch.Tensor]:
        """Coefficients ``[cA_n, cD_n, ..., cD_1]`` of ``n_times`` samples."""
        flat, out = power.flatten(0, -2).unsqueeze(1), []
        lengths = coefficient_lengths(n_times, WAVELET, LEVEL, MODE)
        for weights, n in zip(self.levels, lengths, strict=True):
            at = nn.functional.interpolate(flat, size=n, mode="linear", align_corners=False)
            at = at.view(*power.shape[:-1], n)
            out.append(torch.einsum("bnkt,nk->bnt", at, weights))
        return out

    def forward(self, power: torch.Tensor, n_times: int) -> torch.Tensor:
        """Band power (n_windows, n_channels, n_bands, n_frames) -> waveforms (..., n_times)."""
        return waverec(self.coefficients(power, n_times), WAVELET, MODE, n_times=n_times)


def waveforms(epochs, n_frames: int, t_r: float) -> np.ndarray:
    """Samples (n_windows, n_channels, n_times) of windows from their first frame on, centred."""
    sfreq = epochs.info["sfreq"]
    first, n_times = round(-epochs.tmin * sfreq), round(n_frames * t_r * sfreq)
    data = epochs.get_data(verbose=False)[..., first : first + n_times]
    data = data - data.mean(axis=-1, keepdims=True)
    return np.pad(data, ((0, 0), (0, 0), (0, n_times - data.shape[-1])))


def fit_head(power: np.ndarray, signal: np.ndarray, seed: int) -> SignalHead:
    """Train a head by the squared error of coefficients, level by level.

    ``power`` is predicted, (n_windows, n_channels, n_bands, n_frames); ``signal`` is measured,
    (n_windows, n_channels, n_times).
    """
    scale = np.sqrt(signal.var(axis=-1).mean(axis=0))[:, None]
    power = torch.as_tensor(power, dtype=torch.float32)
    signal = torch.as_tensor(signal / np.where(scale > 0, scale, 1.0), dtype=torch.float32)
    true = wavedec(signal, WAVELET, LEVEL, MODE)
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = SignalHead(*power.shape[1:3])
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        order = rng.permutation(len(power))
        for some in np.array_split(order, max(1, len(power) // BATCH)):
            made = head.coefficients(power[some], signal.shape[-1])
            errors = [(a - b[some]).square().mean() for a, b in zip(made, true, strict=True)]
            optimizer.zero_grad()
            torch.stack(errors).mean().backward()
            optimizer.step()
    return head


def correlation(head: SignalHead, power: np.ndarray, signal: np.ndarray) -> float:
    """Correlation over time of made and measured waveforms, mean over nodes."""
    with torch.inference_mode():
        made = head(torch.as_tensor(power, dtype=torch.float32), signal.shape[-1]).numpy()
    made, true = (x.swapaxes(0, 1).reshape(x.shape[1], -1) for x in (made, signal))
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(made, true, strict=True)]))
