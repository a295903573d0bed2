"""Causal power: sums of what was decimated, from the past alone, against sums of all samples."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import fftconvolve

from mne_samba.wavelets import band_frequencies, band_power, causal_delay
from mne_samba.wavelets.morlet import morlet
from mne_samba.wavelets.past_sums import N_NEAR, past_sums

BANDS = {"delta": (1, 4), "alpha": (8, 13), "gamma": (30, 45)}


def _every_sample(signal, sfreq, edges):
    """Power (n_channels, n_bands, n_bins) of convolutions at the full rate."""
    out = []
    for freqs, delay in zip(band_frequencies(BANDS), causal_delay(BANDS), strict=True):
        wavelets = [morlet(sfreq, freq, causal=delay)[None] for freq in freqs]
        envelopes = [fftconvolve(signal, w, axes=1)[:, : signal.shape[1]] for w in wavelets]
        size = sum(np.abs(envelope) ** 2 for envelope in envelopes) / len(freqs)
        summed = np.cumsum(np.pad(size, ((0, 0), (1, 0))), axis=1)
        whole = np.floor(edges).astype(int)
        summed = summed[:, whole] + (edges - whole) * size[:, whole]
        out.append(np.diff(summed) / np.diff(edges))
    return np.stack(out, axis=1)


@pytest.mark.parametrize(("sfreq", "width"), [(100.0, 50.0), (250.0, 33.3), (500.0, 91.875)])
def test_decimated_power_equals_that_of_every_sample(sfreq, width):
    rng, n_times = np.random.default_rng(0), int(50 * sfreq)
    # Slow waves are a hundred times as strong as fast ones, as in EEG.
    spectrum = np.fft.rfft(rng.standard_normal((2, n_times)))
    spectrum /= np.maximum(np.fft.rfftfreq(n_times, 1 / sfreq), 0.3)
    signal = np.fft.irfft(spectrum, n_times)
    start, n_bins = 20 * sfreq + 0.37, int(28 * sfreq / width)
    found = band_power(
        lambda first, stop: signal[:, first:stop], n_times, sfreq, BANDS, start=start, width=width,
        n_bins=n_bins, causal=True,
    )  # fmt: skip
    expected = _every_sample(signal, sfreq, start + np.arange(n_bins + 1) * width)
    for band in range(len(BANDS)):
        wanted = expected[:, band]
        assert_allclose(found[:, band], wanted, atol=5e-5 * wanted.std())


def test_no_later_sample_counts():
    signal = np.random.default_rng(1).standard_normal((3, 6000))

    def power(signal):
        return band_power(
            lambda first, stop: signal[:, first:stop], signal.shape[1], 100.0, BANDS, start=500.0,
            width=50.0, n_bins=40, causal=True,
        )  # fmt: skip

    later = signal.copy()
    later[:, 2500:] = 1e3
    assert_array_equal(power(later), power(signal))
    # In one block with what follows, by single precision.
    later = np.where(np.arange(6000) < 1500, signal, -3.0 * signal)
    assert_allclose(power(later)[..., :20], power(signal)[..., :20], rtol=1e-4, atol=1e-5)
    assert not np.allclose(power(later)[..., 20:], power(signal)[..., 20:], rtol=0.1)


def test_undecimated_samples_add_up_by_themselves():
    response = np.exp(-0.5 * np.linspace(-6, 6, 121) ** 2)
    last, weights = past_sums([response], 500, 500, [100.0, 250.25])
    assert_array_equal(last, [99, 250])
    # The sample that the second edge cuts counts to a quarter.
    values = np.cos(2 * np.pi * np.arange(500) / 500 * 40) + 1.0
    near = [weights[k] @ values[last[k] - np.arange(N_NEAR)] for k in range(2)]
    found = np.cumsum(values)[last] + near
    assert_allclose(found, [values[:100].sum(), values[:250].sum() + values[250] / 4], rtol=1e-6)
