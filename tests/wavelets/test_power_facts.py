"""Morlet power, part by part: ends of the signal, blocks, filters, bins, and what is refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import fft

from mne_samba.wavelets import band_frequencies, band_power, causal_delay, power
from mne_samba.wavelets import morlet as design
from mne_samba.wavelets.morlet import morlet


def reader(signal):
    """Samples of a signal, asked for as `band_power` promises to ask."""
    n_times = signal.shape[1]

    def read(first, stop):
        assert isinstance(first, (int, np.integer)) and isinstance(stop, (int, np.integer))
        assert 0 <= first < stop <= n_times
        return signal[:, first:stop]

    return read


@pytest.mark.parametrize("n_times", [1, 2, 5, 8])
@pytest.mark.parametrize("odd", [True, False])
def test_beyond_its_ends_a_signal_is_mirrored(n_times, odd):
    signal = np.random.default_rng(0).standard_normal((2, n_times)) + 3.0
    kind = "odd" if odd else "even"
    expected = np.pad(signal, ((0, 0), (11, 14)), "reflect", reflect_type=kind)
    found = power.read_mirrored(reader(signal), -11, n_times + 14, n_times, odd=odd)
    assert_allclose(found, expected, rtol=1e-12)
    inside = power.read_mirrored(reader(signal), 0, n_times, n_times, odd=odd)
    assert_array_equal(inside, signal)
    part = power.read_mirrored(reader(signal), n_times, n_times + 3, n_times)
    even = np.pad(signal, ((0, 0), (11, 14)), "reflect")
    assert_allclose(part, even[:, 11 + n_times : 14 + n_times], rtol=1e-12)


def test_beyond_its_ends_a_causal_signal_is_held():
    signal = np.arange(8.0).reshape(2, 4) ** 2
    for first, stop in ((-2, 7), (1, 3), (6, 8), (-9, -3)):
        held = np.pad(signal, ((0, 0), (9, 9)), "edge")[:, first + 9 : stop + 9]
        found = power._read_held(reader(signal), first, stop, 4)
        assert found.dtype == np.float32
        assert_array_equal(found, held - held[:, :1])


def test_how_many_bins_a_block_holds():
    bins = power._bins_per_block
    # Ten pads or twenty seconds, whatever is longer; at least one bin, at most all.
    assert bins(300, 100.0, 1000, 100.0, None) == 30
    assert bins(100, 100.0, 1000, 100.0, None) == 20
    assert bins(100, 100.0, 7, 100.0, None) == 7
    assert bins(100, 100.0, 1000, 100.0, 5.5) == 5
    assert bins(100, 100.0, 1000, 100.0, 0.5) == 1
    assert power._rows_per_group(2**17) == 1 and power._rows_per_group(2**15) == 4
    assert power._rows_per_group(2**20) == 1 and power._rows_per_group(4800) == 28


@pytest.mark.parametrize("length", [20, 21])
@pytest.mark.parametrize(("pad", "width", "n_bins"), [(4, 6.0, 5), (7, 4.25, 6)])
def test_bins_average_the_interpolant(length, pad, width, n_bins):
    """A slow cosine has the mean over every bin that calculus gives."""
    n_fft = 60
    matrix = power._bin_averages(length, n_fft, pad, width, n_bins)
    assert matrix.shape == (2 * length, n_bins) and matrix.dtype == np.float32
    assert_array_equal(matrix[::2], matrix[1::2])
    sample = np.arange(length) * n_fft / length
    edges = pad + width * np.arange(n_bins + 1)
    for turns in range(4):
        omega = 2 * np.pi * turns / n_fft
        found = np.cos(omega * sample + 0.3) @ matrix[::2]
        integral = np.sin(omega * edges + 0.3) / omega if turns else np.cos(0.3) * edges
        assert_allclose(found, np.diff(integral) / width, atol=1e-5)


def test_a_shift_is_a_phase():
    n_fft, shift = 64, 0.375
    spectrum = np.random.default_rng(0).standard_normal(64) + 0j
    phase = power._shift_phase(-5, 11, n_fft, shift)
    assert phase.dtype == np.complex64
    frequency = np.arange(-5, 6) / n_fft
    assert_allclose(phase, np.exp(2j * np.pi * frequency * shift), atol=1e-6)
    assert_allclose(np.abs(phase * spectrum[:11]), np.abs(spectrum[:11]), rtol=1e-6)


@pytest.mark.parametrize("n_fft", [64, 65])
@pytest.mark.parametrize(("first", "n_bins"), [(3, 10), (-5, 12), (28, 9), (-40, 20)])
def test_bins_of_a_half_spectrum_are_those_of_the_whole(n_fft, first, n_bins):
    signal = np.random.default_rng(0).standard_normal((2, n_fft))
    taken = design._take_spectrum(fft.rfft(signal), first, n_bins, n_fft)
    whole = fft.fft(signal)[:, (first + np.arange(n_bins)) % n_fft]
    assert_allclose(taken, whole, atol=1e-12)


def test_the_support_of_a_response_is_one_stretch_of_the_circle():
    response = np.zeros(20, complex)
    response[[3, 4, 6]] = [1.0, 5.0, 2.0]
    first, values = design._support(response)
    assert first == 3
    assert_array_equal(values, [1, 5, 0, 2])
    first, values = design._support(np.roll(response, -5))  # from 18 over the end to 1
    assert first == -2
    assert_array_equal(values, [1, 5, 0, 2])
    first, values = design._support(np.roll(response, 6))  # 9, 10, 12: past the Nyquist frequency
    assert first == 9
    assert_array_equal(values, [1, 5, 0, 2])
    response[12] = 4e-4  # under 1e-4 of the largest
    assert design._support(response)[1].size == 4
    response[8] = 6e-4
    assert design._support(response)[1].size == 6


def test_wavelets_have_their_norm_mean_and_length():
    for causal in (0.0, 0.2):
        wavelet = morlet(200.0, 10.0, 5.0, causal=causal)
        assert np.linalg.norm(wavelet) == pytest.approx(np.sqrt(2))
        assert abs(wavelet.sum()) < 1e-5 * np.abs(wavelet).sum()
    sigma = 5.0 / (2 * np.pi * 10.0)
    assert morlet(200.0, 10.0, 5.0).size == 2 * int(np.ceil(5 * sigma * 200)) - 1
    one_sided = morlet(200.0, 10.0, 5.0, causal=0.2)
    size, times = np.abs(one_sided) ** 2, np.arange(one_sided.size) / 200.0
    # Its power comes 0.2 s after it begins, in the mean, and lasts as long as a Gaussian's.
    delay = (times * size).sum() / size.sum()
    assert delay == pytest.approx(0.2, abs=1e-4)
    spread = np.sqrt((times**2 * size).sum() / size.sum() - delay**2)
    assert spread == pytest.approx(sigma / np.sqrt(2), rel=0.05)
    assert abs(one_sided[0]) == 0.0
    long = morlet(200.0, 10.0, 5.0, causal=10.0)
    assert np.abs(long[1988:2013]) == pytest.approx(
        np.abs(morlet(200.0, 10.0, 5.0)[67:92]), rel=0.02
    )


def test_causal_wavelets_hear_their_band_alone():
    """A Gaussian that is cut off hears the mains' 100 Hz; a gammatone fades."""
    causal = morlet(500.0, 40.0, causal=causal_delay([40.0])[0])
    cut = morlet(500.0, 40.0)
    cut = cut[cut.size // 2 - round(causal_delay([40.0])[0] * 500.0) :]
    heard = [
        abs(w @ np.exp(-2j * np.pi * 100.0 * np.arange(w.size) / 500.0)) for w in (causal, cut)
    ]
    assert heard[0] < 0.02 * heard[1]
    assert_allclose(morlet(200.0, 10.0), morlet(200.0, 10.0, 7.0))


def test_frequencies_are_centres_of_equal_ratios():
    (freqs,) = band_frequencies([(4.0, 8.0)], 7.0)
    n = int(np.ceil(np.log(2) / np.log(1 + np.sqrt(2) / 7)))
    assert_allclose(freqs, 4.0 * 2 ** ((np.arange(n) + 0.5) / n))
    assert_allclose(band_frequencies({"a": (4.0, 8.0)})[0], freqs)
    assert_allclose(causal_delay([(4.0, 8.0), 10.0]), 3 * 7 / (2 * np.pi * np.r_[freqs[0], 10.0]))
    assert_allclose(causal_delay([10.0], 3.0), 9 / (2 * np.pi * 10.0))


def test_power_of_a_sine_is_its_squared_amplitude_times_the_wavelets_gain():
    times = np.arange(6000) / 100.0
    signal = 3.0 * np.sin(2 * np.pi * 10.0 * times)[None]
    gain = np.abs(morlet(100.0, 10.0) @ np.exp(2j * np.pi * 10.0 * np.arange(
        morlet(100.0, 10.0).size) / 100.0).conj()) ** 2 / 4  # fmt: skip
    binned = band_power(reader(signal), 6000, 100.0, [10.0], start=1000.0, width=50.0, n_bins=80)
    assert_allclose(binned, 9.0 * gain, rtol=2e-3)
    causal = band_power(
        reader(signal), 6000, 100.0, [10.0], start=1000.0, width=50.0, n_bins=80, causal=True
    )
    assert_allclose(causal, causal.mean(), rtol=1e-3)
    wavelet = morlet(100.0, 10.0, causal=causal_delay([10.0])[0])
    gain = np.abs(wavelet @ np.exp(-2j * np.pi * 10.0 * np.arange(wavelet.size) / 100.0)) ** 2 / 4
    assert_allclose(causal.mean(), 9.0 * gain, rtol=2e-3)


def test_the_grid_of_bins_may_be_cut_anywhere():
    """Whatever the block, the first bin and the number of channels: the same bins."""
    signal = np.random.default_rng(0).standard_normal((3, 9000))
    for causal in (False, True):
        options = {"bands": {"a": (8, 12), "b": (20, 30)}, "width": 33.3, "causal": causal}
        whole = band_power(reader(signal), 9000, 100.0, start=7.7, n_bins=260, **options)
        for first, n_bins, block in ((40, 100, 3.1), (200, 60, 0.1), (7, 1, None)):
            part = band_power(
                reader(signal[1:2]), 9000, 100.0, start=7.7 + first * 33.3, n_bins=n_bins,
                block=block, **options,
            )  # fmt: skip
            assert_allclose(part[0], whole[1, :, first : first + n_bins], rtol=5e-3, atol=2e-3)


FLAT = "n_times, n_bins and width must be positive; got 1000, 5 and 0."
ONE = "kernels must be one zero-phase kernel per band (1) without causal; got {} kernels and causal"
REFUSED = {
    "no order": ({"bands": [(13, 8)]}, (
        "Every band must be a pair (low, high) in Hz with 0 < low <= high, or a single frequency "
        "above 0; got (13, 8)."
    )),
    "zero": ({"bands": [0.0]}, (
        "Every band must be a pair (low, high) in Hz with 0 < low <= high, or a single frequency "
        "above 0; got 0.0."
    )),
    "three": ({"bands": [(1, 2, 3)]}, (
        "Every band must be a pair (low, high) in Hz with 0 < low <= high, or a single frequency "
        "above 0; got (1, 2, 3)."
    )),
    "no number": ({"bands": [(np.nan, 3)]}, (
        "Every band must be a pair (low, high) in Hz with 0 < low <= high, or a single frequency "
        "above 0; got (nan, 3)."
    )),
    "none": ({"bands": []}, (
        "bands is empty: give at least one band, for example {'alpha': (8, 13)}."
    )),
    "Nyquist": ({"bands": [(8, 50)]}, (
        "A band reaches 50 Hz, but a sampling rate of 100 Hz holds frequencies below 50 Hz only. "
        "Lower the band's edge or use data sampled faster than 100 Hz."
    )),
    "no rate": ({"sfreq": np.inf}, "sfreq must be a positive number of Hz, got inf."),
    "zero rate": ({"sfreq": 0.0}, "sfreq must be a positive number of Hz, got 0.0."),
    "no cycles": ({"n_cycles": 0}, "n_cycles must be a positive number, got 0.0."),
    "endless": ({"n_cycles": np.inf}, "n_cycles must be a positive number, got inf."),
    "no width": ({"width": 0}, FLAT),
    "no samples": ({"n_times": 0, "width": 3}, FLAT.replace("1000, 5 and 0", "0, 5 and 3")),
    "no bins": ({"n_bins": 0, "width": 3}, FLAT.replace("5 and 0", "0 and 3")),
    "two kernels": ({"kernels": [np.ones(3)] * 2}, ONE.format(2) + "=False."),
    "causal": ({"kernels": [np.ones(3)], "causal": True}, ONE.format(1) + "=True."),
    "even": ({"kernels": [np.ones(4)]},
             "A kernel must be 1-D with an odd length, got shape (4,)."),
    "flat": ({"kernels": [np.ones((1, 3))]},
             "A kernel must be 1-D with an odd length, got shape (1, 3)."),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_in_which_words(name):
    change, message = REFUSED[name]
    options = {
        "n_times": 1000, "sfreq": 100.0, "bands": [(8, 12)], "start": 0, "width": 100, "n_bins": 5,
    } | change  # fmt: skip
    with pytest.raises(ValueError) as said:
        band_power(reader(np.zeros((1, 1000))), **options)
    assert str(said.value) == message
