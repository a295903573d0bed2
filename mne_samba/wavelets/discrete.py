"""Power of discrete wavelet coefficients in bins, streamed in blocks."""

from collections.abc import Callable

import numpy as np
import pywt

from .matrices import decompose
from .power import bin_sums, read_mirrored


def discrete_bands(sfreq: float, level: int) -> dict[str, tuple[float, float]]:
    """Nominal pass bands of a discrete wavelet bank, from low to high.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz.
    level : int
        Number of levels.

    Returns
    -------
    dict
        With two levels ``{"A2": (0, f/8), "D2": (f/8, f/4), "D1": (f/4, f/2)}`` at rate f.
    """
    bands = {f"A{level}": (0.0, sfreq / 2 ** (level + 1))}
    for j in range(level, 0, -1):
        bands[f"D{j}"] = (sfreq / 2 ** (j + 1), sfreq / 2**j)
    return bands


def _atom_centres(filters: pywt.Wavelet, level: int) -> list[float]:
    """Find samples from ``2**j k`` to the centre of energy of coefficient k, per kind."""

    def centroid(taps):
        energy = np.square(taps)
        return float((np.arange(len(taps)) * energy).sum() / energy.sum())

    low, details = 0.0, []
    for j in range(1, level + 1):
        half = 2 ** (j - 1)
        details.append(low + half * (1.0 - centroid(filters.dec_hi)))
        low += half * (1.0 - centroid(filters.dec_lo))
    return [low, *details[::-1]]


def discrete_power(
    read: Callable[[int, int], np.ndarray],
    n_times: int,
    wavelet: str,
    level: int,
    *,
    start: float,
    width: float,
    n_bins: int,
    block: int = 8192,
    out: np.ndarray | None = None,
    progress: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Mean power of discrete wavelet coefficients in consecutive bins.

    A coefficient of level j stands for ``2**j`` samples around its centre of energy, with its
    squared value over ``2**j`` as power per sample; bins take their share of each.

    Parameters
    ----------
    read, n_times, start, width, n_bins, out, progress : object
        As in :func:`band_power`; the signal is reflected beyond its ends.
    wavelet : str
        Name of a discrete wavelet.
    level : int
        Number of levels.
    block : int
        Samples per block.

    Returns
    -------
    ndarray, shape (n_channels, level + 1, n_bins), float32
        Power of ``[A_n, D_n, ..., D_1]``, the order of :func:`discrete_bands`.
    """
    filters = pywt.Wavelet(wavelet)
    unit = 2**level
    pad = unit * (-(-(filters.dec_len - 1) * (unit - 1) // unit) + 1)
    n_valid = unit * max(1, block // unit, 4 * pad // unit)
    n_valid = min(n_valid, unit * (int(width * n_bins) // unit + 3))
    strides = [unit, *(2**j for j in range(level, 0, -1))]
    centres = _atom_centres(filters, level)
    # Centres of energy lie off their index, so that coefficients just outside reach into the bins.
    first = unit * int(np.floor((start - max(centres) - unit) / unit))
    last = start + width * n_bins - min(centres) + unit
    edges = start + width * np.arange(n_bins + 1)
    # A constant offset would fill the approximation; one value for all blocks leaves no steps.
    offset = np.asarray(read(0, min(n_times, 1 << 14))).mean(axis=1, keepdims=True)

    def without_offset(low, high):
        return read(low, high) - offset

    power = out
    if power is not None:
        power[:] = 0.0
    for begin in range(first, int(np.ceil(last)), n_valid):
        stop = begin + n_valid + pad
        signal = read_mirrored(without_offset, begin - pad, stop, n_times).astype(np.float32)
        if power is None:
            power = np.zeros((len(signal), level + 1, n_bins), dtype=np.float32)
        coefs = decompose(signal, wavelet, level, "zero")
        for band, (coef, stride, centre) in enumerate(zip(coefs, strides, centres, strict=True)):
            inside = coef[:, pad // stride : (pad + n_valid) // stride].astype(np.float64)
            # Position of the bin edges among the coefficients' cells, whose width is the stride.
            place = np.clip((edges - begin - centre) / stride + 0.5, 0.0, inside.shape[1])
            power[:, band] += bin_sums(inside**2, place) / width
        if progress is not None:
            done = (begin + n_valid + min(centres) - unit - start) / width
            progress(int(np.clip(done, 0, n_bins)))
    return power
