"""Signals rebuilt from weighted bands."""

from __future__ import annotations

import numpy as np
import torch
from scipy import fft

from .._data.inputs import Segment
from .._data.lowrate import clean_reader
from ..nn.discrete import wavedec, waverec
from ..nn.wavelet import band_frequencies
from ._band_power import BandBank


def band_responses(bank: BandBank, freqs: np.ndarray) -> np.ndarray:
    """Share of each band at each frequency, (n_bands, n_freqs).

    Inside the range of the bank the shares add up to one; outside they fade like its last wavelet.
    """
    responses = np.stack([
        np.exp(-(((freqs[:, None] - centres) / centres * bank.n_cycles) ** 2)).sum(1)
        for centres in band_frequencies(bank.bands, bank.n_cycles)
    ])  # fmt: skip
    return responses / np.maximum(responses.sum(0), 1.0)


def reconstruct(segment: Segment, bank: BandBank, weights: np.ndarray) -> np.ndarray:
    """Filter a segment by band weights, without phase shift.

    Parameters
    ----------
    segment : Segment
        Signal.
    bank : BandBank
        Bands.
    weights : array, shape (n_channels, n_bands)
        Factor of each channel's bands.

    Returns
    -------
    signal : array, shape (n_channels, n_times)
        Weighted sum of the bands.
    """
    data = np.asarray(clean_reader(segment, bank.sfreq)(0, segment.n_times), dtype=np.float64)
    if bank.wavelet != "morlet":
        coefs = wavedec(torch.from_numpy(np.ascontiguousarray(data)), bank.wavelet, bank.level)
        factors = torch.from_numpy(np.ascontiguousarray(weights.T))
        scaled = [coef * factor[:, None] for coef, factor in zip(coefs, factors, strict=True)]
        return waverec(scaled, bank.wavelet, n_times=segment.n_times).numpy()
    # Reflected ends keep the filter from wrapping one end around to the other.
    n_times = data.shape[1]
    pad = min(n_times - 1, int(5.0 * bank.sfreq))
    padded = np.pad(data, ((0, 0), (pad, pad)), mode="reflect")
    n_fft = fft.next_fast_len(padded.shape[1], real=True)
    freqs = fft.rfftfreq(n_fft, 1.0 / bank.sfreq)
    response = weights @ band_responses(bank, freqs)
    out = np.empty_like(data)
    for channel, row in enumerate(padded):
        filtered = fft.irfft(fft.rfft(row, n_fft) * response[channel], n_fft)
        out[channel] = filtered[pad : pad + n_times]
    return out
