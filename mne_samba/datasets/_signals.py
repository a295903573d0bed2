"""Random signals: slow amplitudes, 1/f backgrounds, rhythms and BOLD noise.

Everything periodic is made in the frequency domain over a span longer than the recording and
cropped, so that there are neither filter transients nor a correlation between the two ends.
"""

import numpy as np
from scipy import fft
from scipy.signal import lfilter

#: Sampling rate at which slow log-amplitudes are made, Hz.
SLOW_RATE = 4.0
#: Where slow log-amplitudes fluctuate, Hz: slower than any rhythm, faster than scanner drift.
SLOW_BAND = (0.01, 0.1)
#: Time constant of the autoregressive BOLD noise, s: a coefficient of 0.6 at a TR of 2 s.
AR_TIME_CONSTANT = -2.0 / np.log(0.6)


def _complex_normal(rng, shape):
    z = rng.standard_normal((*shape, 2), dtype=np.float32)
    return z.view(np.complex64)[..., 0]


def slow_amplitudes(rng, n_series, n_times):
    """Gaussian series (n_series, n_times) of unit variance, flat in `SLOW_BAND`, at `SLOW_RATE`."""
    # Made longer and cropped: a period of its own would tie the last minute to the first.
    margin = int(40 * SLOW_RATE)
    n_fft = fft.next_fast_len(n_times + 2 * margin, real=True)
    freqs = np.arange(n_fft // 2 + 1) * SLOW_RATE / n_fft
    inside = np.flatnonzero((freqs >= SLOW_BAND[0]) & (freqs <= SLOW_BAND[1]))
    spectrum = np.zeros((n_series, len(freqs)), dtype=np.complex64)
    spectrum[:, inside] = _complex_normal(rng, (n_series, len(inside)))
    spectrum *= n_fft / (2 * np.sqrt(len(inside)))
    return fft.irfft(spectrum, n_fft, axis=-1)[:, margin : margin + n_times]


def background(rng, n_times, sfreq):
    """Gaussian noise (n_times,), one-sided density ``1 / f``, flat below 0.5 Hz."""
    freqs = np.arange(n_times // 2 + 1) * sfreq / n_times
    spectrum = _complex_normal(rng, (len(freqs),))
    spectrum *= np.maximum(freqs, 0.5) ** -0.5 * np.sqrt(sfreq * n_times) / 2
    spectrum[0] = 0
    return fft.irfft(spectrum, n_times)


def carrier(rng, n_times, sfreq, low, high):
    """Analytic Gaussian noise of one band, (n_times,): its real part has unit variance."""
    # Half its squared magnitude is the power; edges slope inside, over a tenth of the band.
    freqs = np.arange(n_times // 2 + 1) * sfreq / n_times
    inside = np.flatnonzero((freqs >= low) & (freqs <= high))
    edge = np.minimum(freqs[inside] - low, high - freqs[inside]) / (0.1 * (high - low))
    gain = np.sin(np.pi / 2 * np.clip(edge, 0, 1)).astype(np.float32)
    spectrum = np.zeros(n_times, dtype=np.complex64)
    spectrum[inside] = _complex_normal(rng, (len(inside),)) * gain
    spectrum *= n_times / np.sqrt((gain**2).sum())
    return fft.ifft(spectrum, overwrite_x=True)


def bin_means(series, edges):
    """Mean of a series (n_times,) between (fractional) positions of samples: (n_edges - 1,)."""
    total = np.concatenate([[0.0], np.cumsum(series, dtype=np.float64)])
    return np.diff(np.interp(edges, np.arange(len(total)), total)) / np.diff(edges)


def bold_noise(rng, kind, n_frames, n_targets, t_r):
    """Autocorrelated noise (n_frames, n_targets), mean 0, variance 1: "ar" (AR1), "pink" (1/f)."""
    if kind == "ar":
        coef = np.exp(-t_r / AR_TIME_CONSTANT)
        innovations = rng.standard_normal((n_frames, n_targets))
        # Start in the stationary distribution: an AR process started at zero is too quiet at first.
        innovations[1:] *= np.sqrt(1 - coef**2)
        noise = lfilter([1.0], [1.0, -coef], innovations, axis=0)
    else:
        n_fft = fft.next_fast_len(2 * n_frames, real=True)
        freqs = np.arange(n_fft // 2 + 1)
        spectrum = rng.standard_normal((len(freqs), n_targets, 2)).view(complex)[..., 0]
        spectrum[1:] /= np.sqrt(freqs[1:, None])
        spectrum[0] = 0
        noise = fft.irfft(spectrum, n_fft, axis=0)[:n_frames]
    return standard_columns(noise)


def standard_columns(series):
    """Series (n_times, n_series) with mean 0 and variance 1 each."""
    series = series - series.mean(axis=0)
    return series / series.std(axis=0)
