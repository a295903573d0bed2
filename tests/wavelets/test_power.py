"""Morlet and band power against MNE's independent implementation."""

import mne
import numpy as np
import pytest
import scipy.signal
from numpy.testing import assert_allclose

from mne_samba.wavelets import (
    CANONICAL_BANDS,
    band_frequencies,
    band_power,
    causal_delay,
)
from mne_samba.wavelets.morlet import morlet
from mne_samba.wavelets.shannon import shannon_kernels

SFREQ = 200.0


def _background(n_channels, n_times, seed=0):
    """Signal with a 1/f power spectrum."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((n_channels, n_times)))
    frequency = np.fft.rfftfreq(n_times, 1 / SFREQ)
    spectrum /= np.sqrt(np.maximum(frequency, 0.1))
    return np.fft.irfft(spectrum, n_times)


def _reader(signal):
    return lambda first, stop: signal[:, first:stop]


def _mne_power(signal, freqs, n_cycles, decim=1):
    return mne.time_frequency.tfr_array_morlet(
        signal[None], SFREQ, freqs, n_cycles, zero_mean=True, output="power", decim=decim
    )[0]


@pytest.mark.parametrize("n_cycles", [3.0, 5.0, 7.0])
@pytest.mark.parametrize("freq", [2.0, 10.0, 60.0])
def test_morlet_is_mnes(freq, n_cycles):
    expected = mne.time_frequency.morlet(SFREQ, freq, n_cycles, zero_mean=True)
    assert_allclose(morlet(SFREQ, freq, n_cycles), expected, atol=1e-12)


@pytest.mark.parametrize("n_cycles", [3.0, 5.0, 7.0])
def test_band_frequencies_cover_bands_flatly(n_cycles):
    ((low, high),) = bands = [(4.0, 30.0)]
    (freqs,) = band_frequencies(bands, n_cycles)

    def response(at):
        return np.exp(-(((at - freqs) / freqs * n_cycles) ** 2)).sum()

    inside = [response(at) for at in np.geomspace(freqs[1], freqs[-2], 300)]
    assert max(inside) / min(inside) < 1.1
    for edge in (low, high):
        assert 0.35 < response(edge) / np.median(inside) < 0.75


def test_band_frequencies_of_every_band():
    frequencies = band_frequencies(CANONICAL_BANDS)
    for (low, high), freqs in zip(CANONICAL_BANDS.values(), frequencies, strict=True):
        assert low < freqs.min() and freqs.max() < high
    assert_allclose(band_frequencies([10.0])[0], [10.0])


@pytest.mark.parametrize(
    ("start", "width"), [(0.0, 100.0), (-350.0, 100.0), (37.25, 131.25), (12.6, 71.43)]
)
@pytest.mark.parametrize("n_cycles", [3.0, 7.0])
def test_band_power_is_binned_mne_power(start, width, n_cycles):
    n_times = 24001
    signal = _background(2, n_times)
    n_bins = int((n_times - start) // width)
    power = band_power(
        _reader(signal), n_times, SFREQ, start=start, width=width, n_bins=n_bins, n_cycles=n_cycles,
        block=17.0,
    )  # fmt: skip
    assert power.dtype == np.float32
    assert power.shape == (2, 5, n_bins)
    edges = start + width * np.arange(n_bins + 1)
    inside = (edges[:-1] > 8 * SFREQ) & (edges[1:] < n_times - 8 * SFREQ)
    for band, freqs in enumerate(band_frequencies(CANONICAL_BANDS, n_cycles)):
        full = _mne_power(signal, freqs, n_cycles).mean(1)
        full = scipy.signal.resample(full, 4 * n_times, axis=-1)
        # Integral of the power, oversampled and interpolated linearly, between fractional edges.
        fine = np.arange(4 * n_times) / 4
        summed = np.concatenate(
            [np.zeros((2, 1)), np.cumsum((full[:, 1:] + full[:, :-1]) / 8, 1)], 1
        )
        at_edges = np.array([np.interp(edges, fine, row) for row in summed])
        expected = np.diff(at_edges, axis=1) / width
        error = np.abs(power[:, band] - expected)[:, inside] / expected[:, inside].mean()
        assert error.max() < 1e-3


def test_blocks_do_not_show():
    signal = _background(3, 12000) + 1e4
    options = dict(start=3.3, width=97.7, n_bins=100)
    whole = band_power(_reader(signal), 12000, SFREQ, block=1000.0, **options)
    blocks = band_power(_reader(signal), 12000, SFREQ, block=7.0, **options)
    assert_allclose(blocks, whole, rtol=2e-3, atol=1e-3 * whole.mean())


def test_reader_is_asked_in_bounds_and_in_small_blocks():
    n_times, longest = 200_000, 0
    signal = _background(1, n_times)

    def read(first, stop):
        nonlocal longest
        assert 0 <= first < stop <= n_times
        longest = max(longest, stop - first)
        return signal[:, first:stop]

    band_power(read, n_times, SFREQ, start=-6000.0, width=100.0, n_bins=2060, block=30.0)
    assert longest < 60 * SFREQ


def test_power_outside_is_reflected():
    signal = _background(1, 4000)
    power = band_power(
        _reader(signal), 4000, SFREQ, {"a": (8, 13)}, start=-1000, width=100, n_bins=20
    )
    assert_allclose(power[0, 0, :10], power[0, 0, 10:][::-1], rtol=0.02)


def test_hilbert_matches_mne_filter_and_hilbert():
    n_times = 24000
    signal = _background(2, n_times)
    bands = {"theta": (4, 8), "alpha": (8, 13), "beta": (13, 30)}
    kernels = [
        mne.filter.create_filter(None, SFREQ, low, high, verbose=False)
        for low, high in bands.values()
    ]
    # Samples 0 .. 99 are centred on 49.5: as instants they stand for [-0.5, 99.5).
    power = band_power(
        _reader(signal), n_times, SFREQ, bands, start=-0.5, width=100, n_bins=240, kernels=kernels
    )
    info = mne.create_info(2, SFREQ, "eeg")
    for band, (low, high) in enumerate(bands.values()):
        raw = mne.io.RawArray(signal.copy(), info, verbose=False).filter(low, high, verbose=False)
        envelope = raw.apply_hilbert(envelope=True, verbose=False).get_data()
        expected = (envelope**2).reshape(2, 240, 100).mean(-1)
        for channel in range(2):
            computed, truth = power[channel, band], expected[channel]
            assert np.corrcoef(computed, truth)[0, 1] > 0.999
            # The ends of MNE's Hilbert transform wrap around.
            computed, truth = computed[4:-4], truth[4:-4]
            assert np.corrcoef(computed, truth)[0, 1] > 0.99999
            assert_allclose(computed.mean(), truth.mean(), rtol=1e-3)


def _exact_power(signal, kernel, width):
    """Bin means of the squared envelope of a circular signal: double precision, nothing cut."""
    n_times = signal.shape[1]
    padded = np.pad(kernel, (0, n_times - kernel.size))
    spectrum = np.fft.fft(signal) * np.fft.fft(np.roll(padded, -(kernel.size // 2)))
    # Twice as many samples as before hold the square's spectrum.
    envelope = np.zeros((len(signal), 2 * n_times), dtype=complex)
    envelope[:, 1 : n_times // 2] = 4.0 * spectrum[:, 1 : n_times // 2]
    squared = np.fft.rfft(np.abs(np.fft.ifft(envelope)) ** 2)
    squared *= np.sinc(np.arange(n_times + 1) * width / n_times)
    return np.fft.irfft(squared)[:, width :: 2 * width]


def test_flat_bands_are_as_exact_as_their_filters():
    signal = _background(4, 48000)
    kernels = shannon_kernels(CANONICAL_BANDS, SFREQ)
    found = band_power(
        _reader(signal), 48000, SFREQ, start=0, width=100, n_bins=480, kernels=kernels
    )
    for band, kernel in enumerate(kernels):
        exact = _exact_power(signal, kernel, 100)
        # Beyond its ends the signal is mirrored, not circular.
        error = (found[:, band] - exact)[:, 40:-40] / exact.std(axis=1, keepdims=True)
        assert np.sqrt(np.mean(error**2)) < 1.5e-4


def test_causal_power_sees_the_past_only():
    n_times, at = 8000, 4050
    signal = np.zeros((1, n_times))
    signal[0, at] = 1.0
    options = dict(start=0, width=100, n_bins=80)
    power = band_power(_reader(signal), n_times, SFREQ, causal=True, block=9.0, **options)
    assert power[..., : at // 100].max() < 1e-12 * power.max()
    # The response peaks after the stated delay.
    peaks = (power[0].argmax(-1) + 0.5) * 100 / SFREQ - at / SFREQ
    assert_allclose(peaks, causal_delay(), atol=0.5)
    acausal = band_power(_reader(signal), n_times, SFREQ, **options)
    assert acausal[..., : at // 100].max() > 1e-3 * acausal.max()


def test_causal_power_is_the_delayed_power():
    n_times = 20000
    signal = _background(1, n_times)
    bands = {"alpha": (8, 13)}
    shift = causal_delay(bands)[0] * SFREQ
    causal = band_power(
        _reader(signal),
        n_times,
        SFREQ,
        bands,
        start=2000 + shift,
        width=100,
        n_bins=150,
        causal=True,
    )
    centred = band_power(_reader(signal), n_times, SFREQ, bands, start=2000, width=100, n_bins=150)
    assert np.corrcoef(causal[0, 0], centred[0, 0])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bands": {"gamma": (30, 120)}}, "reaches 120 Hz"),
        ({"bands": {"alpha": (13, 8)}}, "0 < low <= high"),
        ({"bands": {}}, "at least one band"),
        ({"n_cycles": 0}, "n_cycles"),
        ({"n_bins": 0}, "must be positive"),
        ({"kernels": [np.ones(11)]}, "one zero-phase kernel per band"),
        ({"bands": [10.0], "kernels": [np.ones(10)]}, "odd length"),
    ],
)
def test_bad_arguments(change, message):
    options = dict(bands=CANONICAL_BANDS, start=0, width=100, n_bins=5) | change
    with pytest.raises(ValueError, match=message):
        band_power(_reader(np.zeros((1, 1000))), 1000, SFREQ, **options)
