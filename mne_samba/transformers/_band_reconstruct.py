"""Signals rebuilt from weighted bands."""

from __future__ import annotations

import numpy as np
import pywt
from scipy import fft

from ..data.bridging import clean_reader
from ..data.segments import Segment
from ..wavelets import Discrete, Morlet, band_frequencies


def _band_responses(bank, freqs: np.ndarray) -> np.ndarray:
    """Share of each band at each frequency, (n_bands, n_freqs).

    Shares add up to one where wavelets overlap; Morlet bands fade like their last wavelet, others
    end at their edges.
    """
    if not isinstance(bank, Morlet):
        edges = np.array(list(bank.band_edges.values()))[:, :, None]
        return ((freqs >= edges[:, 0]) & (freqs < edges[:, 1])).astype(float)
    responses = np.stack([
        np.exp(-(((freqs[:, None] - centres) / centres * bank.n_cycles) ** 2)).sum(1)
        for centres in band_frequencies(bank.band_edges, bank.n_cycles)
    ])  # fmt: skip
    return responses / np.maximum(responses.sum(0), 1.0)


def reconstruct(segment: Segment, bank, sfreq: float, weights: np.ndarray) -> np.ndarray:
    """Filter a segment by band weights (n_channels, n_bands), without phase shift."""
    data = np.asarray(clean_reader(segment, sfreq)(0, segment.n_times), dtype=np.float64)
    if isinstance(bank, Discrete):
        coefs = pywt.wavedec(data, bank.wavelet, level=bank.level, axis=-1)
        scaled = [coef * factor[:, None] for coef, factor in zip(coefs, weights.T, strict=True)]
        return pywt.waverec(scaled, bank.wavelet, axis=-1)[:, : segment.n_times]
    # Reflected ends keep the filter from wrapping one end around to the other.
    n_times = data.shape[1]
    pad = min(n_times - 1, int(5.0 * sfreq))
    padded = np.pad(data, ((0, 0), (pad, pad)), mode="reflect")
    n_fft = fft.next_fast_len(padded.shape[1], real=True)
    response = weights @ _band_responses(bank, fft.rfftfreq(n_fft, 1.0 / sfreq))
    out = np.empty_like(data)
    for channel, row in enumerate(padded):
        filtered = fft.irfft(fft.rfft(row, n_fft) * response[channel], n_fft)
        out[channel] = filtered[pad : pad + n_times]
    return out
