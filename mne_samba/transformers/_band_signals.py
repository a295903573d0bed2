"""Bands of segments: their power, what rises above 1/f background, signals rebuilt from them."""

import numpy as np
import pywt
from mne.utils import ProgressBar
from scipy import fft, signal
from scipy.special import softmax

from ..data.bridging import clean_reader
from ..data.recordings import Recordings
from ..data.segments import Segment
from ..wavelets import Discrete, Morlet, band_frequencies
from ._band_evidence import excess_over_background

# Seconds per periodogram: bins of 0.25 Hz resolve rhythms, minutes of signal still give many.
_SPAN = 4.0


def bin_powers(bank, rec: Recordings, rate: float) -> list[np.ndarray]:
    """Power (n_channels, n_bands, n_bins) of every segment, NaN in its BAD spans."""
    segments = rec.segments
    if sum(s.n_times for s in segments) > 3600 * rec.sfreq:
        segments = ProgressBar(segments, mesg="Band power")
    return [_bin_power(bank, segment, rec.sfreq, rate) for segment in segments]


def _bin_power(bank, segment: Segment, sfreq: float, rate: float) -> np.ndarray:
    """Power of one segment; what is left at its end is dropped."""
    n_bins = max(1, int(segment.n_times * rate / sfreq + 1e-6))
    width = min(sfreq / rate, float(segment.n_times))
    power = bank.power(
        clean_reader(segment, sfreq), segment.n_times, sfreq, start=0.0, width=width, n_bins=n_bins
    )
    edges = width * np.arange(n_bins + 1)
    power[:, :, segment.in_bad(edges, sfreq)] = np.nan
    return power


def limit_power(power: np.ndarray) -> np.ndarray:
    """Limit power (n_channels, n_bands, n_bins) to ten times its median: artefacts outweigh all."""
    seen = ~np.isnan(power[0, 0])
    if not seen.any():
        return power
    return np.minimum(power, 10.0 * np.median(power[:, :, seen], axis=-1, keepdims=True))


def mean_spectrum(rec: Recordings) -> tuple[np.ndarray, np.ndarray]:
    """Power spectral density (n_channels, n_freqs) of all segments by Welch, and (n_freqs,)."""
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
    """Softmax over bands of the log power above the 1/f background, (n_channels, n_bands)."""
    return softmax(excess_over_background(*mean_spectrum(rec), bands), axis=1)


def _band_responses(bank, freqs: np.ndarray) -> np.ndarray:
    """Share of each band at each frequency, (n_bands, n_freqs)."""
    # They add up to one where wavelets overlap; Morlet bands fade like their last wavelet, others
    # end at their edges.
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
