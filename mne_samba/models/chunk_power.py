"""Power of wavelet coefficients of the signal between frames, as the published network sees it."""

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Self

import numpy as np
import torch
from scipy.signal import resample_poly

from .._checks import check_finite, check_number
from ..data.bridging import clean_reader
from ..data.paired import Paired
from ..data.power import LowRateGrid, PowerScaler
from ..data.power_cache import check_memory, kept, power_key
from ..data.recordings import Recordings
from ..data.segments import Segment
from ..nn.paper import N_LEVELS, chunk_power, level_sizes
from ..wavelets import discrete_bands

# The paper's sampling rate in Hz: faster signals are brought down to it, by a whole factor.
RATE = 200.0
# Fewer samples have no three levels of coefficients.
_LEAST = 16
# Chunks that are decomposed at once, and samples around them that resampling sees.
_BLOCK, _MARGIN = 64, 200


@dataclass(frozen=True)
class Chunks:
    """What a network sees of a signal between two frames, chunk by chunk."""

    _model, _least = "", 1  # which sees it, and the samples that it needs

    n_samples: int  # of a chunk
    grid: LowRateGrid  # one bin per frame

    def check(self) -> None:
        """Refuse what no signal has, as read from a file."""
        check_number(self.n_samples, "n_samples", low=self._least, integer=True)
        if self.grid.step != 1:
            raise ValueError(f"Chunks have one bin per frame, got {self.grid.step}.")

    def at(self, t_r: float) -> Self:
        """Take the same chunks; they last as long as frames are apart, and refuse other frames."""
        if t_r != self.grid.t_r:
            raise ValueError(
                f"{self._model} is tied to the t_r that it was fitted on ({self.grid.t_r:g} s), "
                f"got t_r={t_r:g} s."
            )
        return self

    def measure(self, rec: Recordings, memory=None) -> list[np.ndarray]:
        """Measure features (n_channels, n_features, n_chunks) of segments, each but once."""
        memory, out = check_memory(memory), []
        for segment in rec.segments:
            compute = partial(self._of_segment, segment, rec.sfreq, rec.ch_names)
            key = None if memory is None else power_key(segment, rec.sfreq, self)
            out.append(compute() if memory is None else kept(memory, key, compute))
        return out

    def _of_segment(self, segment: Segment, sfreq: float, ch_names) -> np.ndarray:
        """Features (n_channels, n_features, n_chunks) of a segment; NaN without signal."""
        # ``_seen`` makes them of chunks (n_channels, n_some, n_samples), so many samples per frame.
        n_chunks, width = self.grid.n_bins(segment.n_frames), segment.frame_step * sfreq
        edges = segment.bin_edges(1, self.grid.n_lags, n_chunks, sfreq)
        ratio = Fraction(self.n_samples / width).limit_denominator(1000)
        read = clean_reader(segment, sfreq)
        n_features = self._seen(np.zeros((1, 1, self.n_samples))).shape[-1]
        out = np.full((len(ch_names), n_chunks, n_features), np.nan, np.float32)
        # Half a sample of missing history is a matter of rounding.
        missing = int(np.sum(edges[:-1] < -0.5))
        for first in range(missing, n_chunks, _BLOCK):
            begin = edges[first : min(first + _BLOCK, n_chunks)]
            low = max(0, int(begin[0]) - _MARGIN)
            stop = min(segment.n_times, int(np.ceil(begin[-1] + width)) + _MARGIN)
            data = np.asarray(read(low, stop), dtype=np.float64)
            check_finite(data, "X", ch_names)
            if ratio != 1:
                up, down = ratio.numerator, ratio.denominator
                data = resample_poly(data, up, down, axis=1, padtype="line")
            # Chunks start at the nearest sample: networks do not know a few milliseconds.
            at = np.round((begin - low) * float(ratio)).astype(int)[:, None]
            at = np.clip(at + np.arange(self.n_samples), 0, data.shape[1] - 1)
            out[:, first : first + len(begin)] = self._seen(data[:, at])
        out[:, segment.in_bad(edges, sfreq)] = np.nan
        return out.transpose(0, 2, 1)


@dataclass(frozen=True)
class ChunkPower(Chunks):
    """What the published network sees of a signal: its coefficients in the chunks before frames.

    A chunk is the signal between two frames. Its squared wavelet coefficients lie side by side,
    level by level.
    """

    _model, _least = "PaperModel", _LEAST

    @classmethod
    def of(cls, sfreq: float, t_r: float, hrf_length: float) -> Self:
        """Chunks of a signal, and as many of them as a response lasts."""
        n_samples = round(t_r * sfreq / max(1, int(sfreq / RATE + 1e-6)))
        if n_samples < _LEAST:
            raise ValueError(
                f"PaperModel decomposes the signal between two frames, but at sfreq={sfreq:g} Hz "
                f"and t_r={t_r:g} s there are {n_samples} samples; it needs at least {_LEAST}."
            )
        n_chunks = max(1, int(hrf_length / t_r + 1e-6))
        return cls(n_samples, LowRateGrid(float(t_r), 1, n_chunks))

    def _sizes(self) -> dict[str, int]:
        return {"n_bands": len(self.bands), "n_features": sum(level_sizes(self.n_samples))}

    @property
    def bands(self) -> dict[str, tuple[float, float]]:
        """Name of every level to (low, high) in Hz."""
        return discrete_bands(self.n_samples / self.grid.t_r, N_LEVELS)

    def by_band(self, gradient: np.ndarray) -> np.ndarray:
        """Add up gradients (..., n_features, n_lags) by level, (..., n_bands, n_lags)."""
        # All coefficients of a level are in units of the spread of its mean power: their sum is
        # what changes when the power of the whole level rises by one standard deviation.
        return np.add.reduceat(gradient, _starts(level_sizes(self.n_samples)), axis=-2)

    def _seen(self, chunks: np.ndarray) -> np.ndarray:
        """Power of the coefficients of chunks, the last axis."""
        return chunk_power(torch.as_tensor(chunks)).numpy()


def samples_of(n_features: int) -> int:
    """Find how many samples a chunk of so many coefficients has; levels may be padded."""
    n_samples = n_features
    while sum(level_sizes(n_samples)) > n_features:
        n_samples -= 1
    return n_samples


def _starts(sizes: tuple[int, ...]) -> np.ndarray:
    """Place of every level's first coefficient, (n_levels,)."""
    return np.cumsum([0, *sizes[:-1]])


def level_means(data: Paired) -> Paired:
    """Mean power per level and chunk, (n_channels, n_levels, n_chunks), for single coefficients."""
    sizes = level_sizes(samples_of(data.powers[0].shape[1]))
    counts = np.asarray(sizes)[:, None]
    powers = [np.add.reduceat(power, _starts(sizes), axis=1) / counts for power in data.powers]
    return replace(data, powers=powers, raw=None)


@dataclass(frozen=True)
class LevelScaler(PowerScaler):
    """Centre by the mean of a level, scale by the spread of its mean power over chunks.

    Single squared coefficients spread more widely than their slow fluctuations, which are what
    passes the response.
    """

    def check(self) -> None:
        """Refuse logarithms, as read from a file."""
        if self.log:
            raise ValueError(
                "In this file the power of single coefficients is a logarithm, which no model "
                "has: save the model again."
            )

    def _measure(self, powers) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale (n_channels, n_features) of segments together."""
        sizes = level_sizes(samples_of(powers[0].shape[1]))
        mean, scale = [], []
        for low, high in itertools.pairwise(np.cumsum([0, *sizes])):
            level = np.concatenate([p[:, low:high].mean(axis=1) for p in powers], axis=-1)
            level = level[:, ~np.isnan(level[0])].astype(np.float64)
            if not level.shape[1]:
                raise ValueError("No sample of a recording is left outside its BAD spans.")
            mean.append(level.mean(axis=1))
            scale.append(level.std(axis=1))
        mean, scale = np.stack(mean, axis=1), np.stack(scale, axis=1)
        scale = np.where(scale > 0, scale, 1.0)
        return np.repeat(mean, sizes, axis=1), np.repeat(scale, sizes, axis=1)
