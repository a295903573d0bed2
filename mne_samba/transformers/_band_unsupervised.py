"""Attention without a target: band power above the 1/f background."""

from __future__ import annotations

import numpy as np
from scipy import signal

from .._data.inputs import Electrophysiology
from .._data.lowrate import clean_reader
from ._band_evidence import excess_over_background

# Seconds per periodogram: bins of 0.25 Hz resolve rhythms, minutes of signal still give many.
_SPAN = 4.0


def mean_spectrum(ele: Electrophysiology) -> tuple[np.ndarray, np.ndarray]:
    """Power spectral density of each channel, averaged over all segments (Welch's method).

    Returns
    -------
    spectrum : array, shape (n_channels, n_freqs)
        Power.
    freqs : array, shape (n_freqs,)
        Frequencies in Hz, above zero.
    """
    length = int(min(_SPAN * ele.sfreq, min(s.n_times for s in ele.segments)))
    block = max(length, int(60.0 * ele.sfreq))
    total, count = 0.0, 0
    for segment in ele.segments:
        read = clean_reader(segment, ele.sfreq)
        for first in range(0, segment.n_times - length + 1, block):
            data = read(first, min(first + block, segment.n_times))
            if data.shape[1] < length:
                continue
            freqs, power = signal.welch(data, ele.sfreq, nperseg=length)
            total = total + power * data.shape[1]
            count += data.shape[1]
    return total[:, 1:] / count, freqs[1:]


def background_attention(ele: Electrophysiology, bands: list[tuple[float, float]]) -> np.ndarray:
    """Softmax over bands of the log power that rises above the 1/f background.

    Parameters
    ----------
    ele : Electrophysiology
        Signals.
    bands : list of (float, float)
        Edges in Hz.

    Returns
    -------
    attention : array, shape (n_channels, n_bands)
        Rows sum to one.
    """
    excess = excess_over_background(*mean_spectrum(ele), bands)
    attention = np.exp(excess - excess.max(1, keepdims=True))
    return attention / attention.sum(1, keepdims=True)
