"""BOLD to waveforms, the paper's output: wavelet coefficients per level, then their inverse."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from mne.utils import logger

from .._data.inputs import Electrophysiology, Segment
from .._data.lowrate import clean_reader
from ..nn.discrete import wavedec
from ..nn.reverse import SIGNAL_LEVEL, SIGNAL_WAVELET, SignalHead
from .data import Reading, read_ele

_EPOCHS, _BATCH = 10, 8


@dataclass
class SignalModel:
    """Head that turns predicted band power into waveforms.

    Attributes
    ----------
    head : SignalHead
        The module.
    scale : array, shape (n_channels,)
        Standard deviation of every channel in training, in its unit.
    sfreq : float
        Samples per second.
    """

    head: SignalHead
    scale: np.ndarray
    sfreq: float

    def predict(self, powers: list[np.ndarray], t_r: float, n_frames: int) -> list[np.ndarray]:
        """Standardised waveforms (n_channels, n_times), in pieces of ``n_frames`` frames."""
        out = []
        with torch.inference_mode():
            for power in powers:
                edges = [*range(0, power.shape[-1], n_frames), power.shape[-1]]
                pieces = [
                    self.head(
                        torch.as_tensor(power[None, ..., a:b]).to(self.head.levels),
                        n_samples(b, t_r, self.sfreq) - n_samples(a, t_r, self.sfreq),
                    )[0].numpy()
                    for a, b in itertools.pairwise(edges)
                ]
                out.append(np.concatenate(pieces, axis=-1).astype(np.float64))
        return out


def n_samples(frames: int, t_r: float, sfreq: float) -> int:
    """Count samples from the first frame to the start of a later one."""
    return round(frames * t_r * sfreq)


def read_waveforms(
    options, y, reading: Reading, n_frames=None
) -> tuple[Electrophysiology, list[np.ndarray]]:
    """Read samples (n_channels, n_times) from the first frame to the end of the last one."""
    ele = read_ele(options, y, reading, n_frames)
    return ele, [_waveform(segment, ele.sfreq, reading.grid.t_r) for segment in ele.segments]


def _waveform(segment: Segment, sfreq: float, t_r: float) -> np.ndarray:
    first = round(segment.frame_start * sfreq)
    stop = first + n_samples(segment.n_frames, t_r, sfreq)
    data = np.array(clean_reader(segment, sfreq)(first, min(stop, segment.n_times)), dtype=float)
    data -= data.mean(axis=1, keepdims=True)
    return np.pad(data, ((0, 0), (0, stop - first - data.shape[1])))


def fit_signal(
    powers: list[np.ndarray], signals: list[np.ndarray], sfreq: float, t_r: float, n_frames: int,
    seed: int,
) -> SignalModel:  # fmt: skip
    """Train the head by the squared error of coefficients, level by level.

    Parameters
    ----------
    powers : list of array, shape (n_channels, n_bands, n_frames)
        Predicted band power.
    signals : list of array, shape (n_channels, n_times)
        Measured waveforms.
    sfreq, t_r : float
        Samples per second, seconds per frame.
    n_frames : int
        Frames per training window; recordings that are shorter are taken whole.
    seed : int
        Seed.
    """
    scale = np.sqrt(np.mean([s.var(axis=1) for s in signals], axis=0))
    safe = np.where(scale > 0, scale, 1.0)[:, None]
    n_frames = min([n_frames, *[power.shape[-1] for power in powers]])
    length = n_samples(n_frames, t_r, sfreq)
    pairs = []
    for power, signal in zip(powers, signals, strict=True):
        for first in range(0, power.shape[-1] - n_frames + 1, n_frames):
            start = n_samples(first, t_r, sfreq)
            window = (signal[:, start : start + length] / safe).astype(np.float32)
            pairs.append((power[..., first : first + n_frames].astype(np.float32), window))
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = SignalHead(powers[0].shape[0], powers[0].shape[1])
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for _ in range(_EPOCHS):
        order, total = rng.permutation(len(pairs)), 0.0
        for some in np.array_split(order, max(1, len(pairs) // _BATCH)):
            power = torch.as_tensor(np.stack([pairs[i][0] for i in some]))
            signal = torch.as_tensor(np.stack([pairs[i][1] for i in some]))
            true = wavedec(signal, SIGNAL_WAVELET, SIGNAL_LEVEL)
            made = head.coefficients(power, length)
            loss = torch.stack(
                [(a - b).square().mean() for a, b in zip(made, true, strict=True)]
            ).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(some)
    logger.info("Waveforms: skip loss %.4f after %d epochs.", total / len(pairs), _EPOCHS)
    return SignalModel(head, scale, sfreq)
