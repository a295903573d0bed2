"""Covariances of bands in short pieces of a signal, streamed: one real FFT serves every band."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from scipy import fft

Reader = Callable[[int, int], np.ndarray]

# Share of a piece over which it fades in and out: slow waves would leak into all bands.
_FADE = 0.2


def pieces_of(
    n_times: int, sfreq: float, seconds: float, bad: np.ndarray | None = None
) -> list[tuple[int, int]]:
    """Cut what lies outside ``bad`` spans (n_spans, 2; s) into equal pieces, (first, stop) each."""
    good, start = [], 0
    for low, high in [] if bad is None else np.asarray(bad)[np.argsort(np.asarray(bad)[:, 0])]:
        good.append((start, min(int(np.floor(low * sfreq)), n_times)))
        start = max(start, int(np.ceil(high * sfreq)) + 1)
    good.append((start, n_times))
    length, out = seconds * sfreq, []
    for first, stop in good:
        # What is shorter than half a piece says too little of a covariance.
        n_pieces = round((stop - first) / length) if len(good) > 1 or n_times >= length else 1
        edges = np.linspace(first, stop, n_pieces + 1).astype(int) if n_pieces > 0 else []
        out += [(a, b) for a, b in itertools.pairwise(edges) if b - a > 1]
    return out


def band_covariances(
    read: Reader,
    pieces: Sequence[tuple[int, int]],
    sfreq: float,
    bands: Sequence[tuple[float, float]],
) -> Iterator[np.ndarray]:
    r"""Covariance of every band in one piece after the other.

    By Parseval's theorem, the covariance of a signal filtered to a band is

    .. math:: C_b = \frac{2}{n^2} \sum_{f \in b} \Re\, X(f) X(f)^H.

    ``pieces``, as from `pieces_of`, are in samples, ``bands`` in Hz; yields covariances (n_bands,
    n_channels, n_channels) in squared units of the signal.
    """
    for first, stop in pieces:
        signal = np.asarray(read(first, stop))
        signal = signal - signal.mean(axis=1, keepdims=True)
        n, number = signal.shape[1], signal.dtype
        signal *= (np.sqrt(2.0 / n) * _fade(n)).astype(number)
        # Rows of real parts beside imaginary ones, whose products add up to the real covariance.
        rows = fft.rfft(signal).view(number)
        parts = [rows[:, 2 * band.start : 2 * band.stop] for band in _bins(bands, n, sfreq)]
        yield np.stack([part @ part.T for part in parts])


@lru_cache(maxsize=8)
def _fade(n_times: int) -> np.ndarray:
    """Window (n_times,) of unit norm; shared, not to be changed."""
    from scipy.signal.windows import tukey  # takes as long to load as numpy

    window = tukey(n_times, _FADE)
    return window / np.linalg.norm(window)


def degrees_of_freedom(bands, n_times: int, sfreq: float) -> np.ndarray:
    """Degrees of freedom (n_bands,) of the variance of noise in a piece of so many samples."""
    share = 1 / (n_times * (_fade(n_times) ** 4).sum())
    return np.array([2.0 * share * (b.stop - b.start) for b in _bins(bands, n_times, sfreq)])


def _bins(bands, n: int, sfreq: float) -> list[slice]:
    """Frequencies of every band, at least the one that is nearest to its middle."""
    out = []
    for low, high in bands:
        first, stop = (int(np.ceil(edge * n / sfreq - 1e-9)) for edge in (low, high))
        if stop <= first:
            first = min(max(1, round((low + high) / 2 * n / sfreq)), n // 2)
            stop = first + 1
        out.append(slice(max(first, 1), max(stop, 2)))
    return out
