"""Power of wavelet coefficients of signals, chunk by chunk, as the paper variant sees it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from scipy.signal import resample_poly

from .._data.lowrate import LowRateGrid, PowerScaler
from .._data.paired import PairedData
from .._data.reading import clean_reader
from .._data.segments import Segment
from ..nn.paper import chunk_power, level_sizes

# The paper's sampling rate in Hz: faster signals are brought down to it, by a whole factor.
RATE = 200.0
_BLOCK, _MARGIN = 64, 200


def chunk_samples(sfreq: float, t_r: float) -> int:
    """Count the samples of a chunk at the rate that the network sees."""
    n_samples = round(t_r * sfreq / max(1, int(sfreq / RATE + 1e-6)))
    if n_samples < 16:
        raise ValueError(
            f"variant='paper' decomposes the signal between two frames, but at sfreq={sfreq:g} Hz "
            f"and t_r={t_r:g} s there are {n_samples} samples; it needs at least 16."
        )
    return n_samples


def segment_coefs(
    segment: Segment, sfreq: float, grid: LowRateGrid, n_samples: int, ch_names
) -> np.ndarray:
    """Power of wavelet coefficients of one segment.

    Returns
    -------
    power : array, shape (n_channels, n_coefs, n_chunks), float32
        Chunk ``grid.n_lags - 1`` ends at the first frame; NaN in chunks that begin before the first
        sample or touch a BAD span.

    Raises
    ------
    ValueError
        If the signal is not finite, with the names of its channels.
    """
    width = segment.frame_step * sfreq
    start = segment.frame_start * sfreq - grid.n_lags * width
    n_chunks = grid.n_bins(segment.n_frames)
    ratio = Fraction(n_samples / width).limit_denominator(1000)
    read = clean_reader(segment, sfreq)
    out = np.full((len(ch_names), n_chunks, sum(level_sizes(n_samples))), np.nan, np.float32)
    # Half a sample of missing history is a matter of rounding.
    missing = min(n_chunks, max(0, int(np.ceil((-start - 0.5) / width))))
    for first in range(missing, n_chunks, _BLOCK):
        begin = start + width * np.arange(first, min(first + _BLOCK, n_chunks))
        low = max(0, int(begin[0]) - _MARGIN)
        stop = min(segment.n_times, int(np.ceil(begin[-1] + width)) + _MARGIN)
        data = np.asarray(read(low, stop), dtype=np.float64)
        broken = np.flatnonzero(~np.isfinite(data).all(axis=1))
        if len(broken):
            raise ValueError(
                f"X contains NaN or infinite values in channels {[ch_names[c] for c in broken[:8]]}"
                ". Interpolate them, or annotate the spans as BAD in a Raw."
            )
        if ratio != 1:
            data = resample_poly(data, ratio.numerator, ratio.denominator, axis=1, padtype="line")
        # Chunks start at the nearest sample: power does not know a few milliseconds.
        at = np.round((begin - low) * float(ratio)).astype(int)[:, None] + np.arange(n_samples)
        chunks = data[:, np.clip(at, 0, data.shape[1] - 1)]
        out[:, first : first + len(begin)] = chunk_power(torch.as_tensor(chunks)).numpy()
    edges = start + width * np.arange(n_chunks + 1)
    for low, high in segment.bad * sfreq:
        out[:, (edges[1:] > low) & (edges[:-1] < high)] = np.nan
    return out.transpose(0, 2, 1)


def level_means(data: PairedData, sizes) -> PairedData:
    """Mean power per level and chunk in place of single coefficients."""
    edges = np.cumsum([0, *sizes[:-1]])
    counts = np.asarray(sizes)[:, None]
    powers = [np.add.reduceat(power, edges, axis=1) / counts for power in data.powers]
    return replace(data, powers=powers)


class LevelScaler(PowerScaler):
    """Centre by the mean of a level, scale by the spread of its mean power over chunks.

    Single squared coefficients spread more widely than their slow fluctuations, which are what
    passes the response.

    Parameters
    ----------
    sizes : sequence of int
        Coefficients per level.
    """

    def __init__(self, sizes):
        super().__init__(log=False)
        self.sizes = tuple(sizes)

    def _measure(self, powers) -> tuple[np.ndarray, np.ndarray]:
        mean, scale = [], []
        edges = np.cumsum([0, *self.sizes])
        for low, high in itertools.pairwise(edges):
            level = np.concatenate([p[:, low:high].mean(axis=1) for p in powers], axis=-1)
            level = level[:, ~np.isnan(level[0])].astype(np.float64)
            if not level.shape[1]:
                raise ValueError("No sample of a recording is left outside its BAD spans.")
            mean.append(level.mean(axis=1))
            scale.append(level.std(axis=1))
        mean, scale = np.stack(mean, axis=1), np.stack(scale, axis=1)
        scale = np.where(scale > 0, scale, 1.0)
        return np.repeat(mean, self.sizes, axis=1), np.repeat(scale, self.sizes, axis=1)
