"""Power of Morlet coefficients sample by sample, from the parts that band power is made of."""

import numpy as np
from scipy import fft

from mne_samba.wavelets.morlet import _centred_response, _support, _take_spectrum, morlet


def morlet_power(signal, sfreq: float, freqs, n_cycles: float = 7.0, decim: int = 1) -> np.ndarray:
    """Power of complex Morlet coefficients, as :func:`mne.time_frequency.tfr_array_morlet` has it.

    One forward transform per block serves every frequency. Each inverse transform is as short as
    the decimated output: folding a spectrum modulo that length is exactly decimation in time.

    ``signal`` (..., n_times), zero beyond its ends, and ``freqs`` (n_freqs,) in Hz; returns
    ``|coefficient|**2``, (..., n_freqs, ceil(n_times / decim)).
    """
    signal = np.asarray(signal)
    freqs = np.atleast_1d(np.asarray(freqs, dtype=float))
    n_times = signal.shape[-1]
    n_out = -(-n_times // decim)
    wavelets = [morlet(sfreq, freq, n_cycles) for freq in freqs]
    # The block starts on the decimated grid, so its pad is a whole number of output samples.
    pad_out = -(-(max(w.size for w in wavelets) // 2) // decim)
    m = fft.next_fast_len(min(n_out + 2 * pad_out, max(10 * pad_out, 16384 // decim)))
    n_fft, hop = m * decim, m - 2 * pad_out
    filters = []
    for wavelet in wavelets:
        first, values = _support(_centred_response(wavelet, n_fft))
        filters.append((first, (values / decim).astype(np.complex64)))
    rows = signal.reshape(-1, n_times)
    power = np.empty((len(rows), len(freqs), n_out), dtype=np.float32)
    n_rows = max(1, 2**18 // n_fft)
    for row in range(0, len(rows), n_rows):
        part = slice(row, row + n_rows)
        for out in range(0, n_out, hop):
            start = (out - pad_out) * decim
            low, high = max(start, 0), min(start + n_fft, n_times)
            block = np.zeros((len(rows[part]), n_fft), dtype=np.float32)
            block[:, low - start : high - start] = rows[part, low:high]
            spectrum = fft.rfft(block)
            n_valid = min(hop, n_out - out)
            for i, (first, values) in enumerate(filters):
                folded = _fold(_take_spectrum(spectrum, first, values.size, n_fft) * values, m)
                coefs = fft.ifft(folded, overwrite_x=True)[:, pad_out : pad_out + n_valid]
                power[part, i, out : out + n_valid] = coefs.real**2 + coefs.imag**2
    return power.reshape(*signal.shape[:-1], len(freqs), n_out)


def _fold(values: np.ndarray, n_out: int) -> np.ndarray:
    """Sum the columns of ``values`` modulo ``n_out``; fewer columns are padded with zeros."""
    folded = np.zeros((len(values), n_out), dtype=values.dtype)
    for start in range(0, values.shape[1], n_out):
        part = values[:, start : start + n_out]
        folded[:, : part.shape[1]] += part
    return folded
