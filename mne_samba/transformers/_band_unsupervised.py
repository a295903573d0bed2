"""Attention without a target: band power above the 1/f background."""

from __future__ import annotations

import numpy as np
from scipy import signal

from ..data.bridging import clean_reader
from ..data.recordings import Recordings
from ._band_evidence import excess_over_background

# Seconds per periodogram: bins of 0.25 Hz resolve rhythms, minutes of signal still give many.
_SPAN = 4.0


def mean_spectrum(rec: Recordings) -> tuple[np.ndarray, np.ndarray]:
    """Power spectral density of each channel, averaged over all segments (Welch's method).

    Returns ``spectrum`` (n_channels, n_freqs), ``freqs`` (n_freqs,).
    """
    length = int(min(_SPAN * rec.sfreq, min(s.n_times for s in rec.segments)))
    block = max(length, int(60.0 * rec.sfreq))
    total, count = 0.0, 0
    for segment in rec.segments:
        read = clean_reader(segment, rec.sfreq)
        for first in range(0, segment.n_times - length + 1, block):
            data = read(first, min(first + block, segment.n_times))
            if data.shape[1] < length:
                continue
            freqs, power = signal.welch(data, rec.sfreq, nperseg=length)
            total = total + power * data.shape[1]
            count += data.shape[1]
    return total[:, 1:] / count, freqs[1:]


def background_attention(rec: Recordings, bands: list[tuple[float, float]]) -> np.ndarray:
    """Softmax over bands of the log power that rises above the 1/f background.

    Returns ``attention`` (n_channels, n_bands).
    """
    excess = excess_over_background(*mean_spectrum(rec), bands)
    attention = np.exp(excess - excess.max(1, keepdims=True))
    return attention / attention.sum(1, keepdims=True)
