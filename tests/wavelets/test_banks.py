"""Banks of wavelets: the bands that they choose, what they refuse, and the power that they give."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone

from mne_samba.wavelets import (
    CANONICAL_BANDS,
    Discrete,
    Morlet,
    Shannon,
    as_bank,
    band_power,
    causal_delay,
    discrete_power,
    shannon_kernels,
)

SFREQ, N_TIMES = 200.0, 8000
SIGNAL = np.random.default_rng(0).standard_normal((2, N_TIMES)) + 50.0
BINS = {"start": 13.5, "width": 97.3, "n_bins": 80}
BANKS = {
    "Shannon": Shannon(), "Shannon, own": Shannon({"a": (8, 13), "b": (20.5, 31)}),
    "Morlet": Morlet(n_cycles=5.0), "Morlet, frequencies": Morlet([6, 10.0]),
    "Morlet, causal": Morlet({"a": (8, 13), "mu": 10}, causal=True),
    "Discrete": Discrete("sym8", 4),
}  # fmt: skip


def read(first, stop):
    return SIGNAL[:, first:stop]


def expected(bank):
    edges = bank.band_edges
    if isinstance(bank, Discrete):
        return discrete_power(read, N_TIMES, bank.wavelet, bank.level, **BINS)
    if isinstance(bank, Shannon):
        kernels = shannon_kernels(edges, SFREQ)
        return band_power(read, N_TIMES, SFREQ, edges, kernels=kernels, **BINS)
    own = {"n_cycles": bank.n_cycles, "causal": bank.causal}
    return band_power(read, N_TIMES, SFREQ, edges, **own, **BINS)


@pytest.mark.parametrize("name", BANKS)
def test_power_is_that_of_the_functions_for_it(name):
    bank = BANKS[name].resolve(SFREQ, N_TIMES)
    assert type(bank) is type(BANKS[name])
    power = bank.power(read, N_TIMES, SFREQ, **BINS)
    assert power.shape == (2, len(bank.band_edges), 80) and power.dtype == np.float32
    assert_array_equal(power, expected(bank))
    done, out = [], np.full((2, len(bank.band_edges), 90), np.nan, dtype=np.float32)
    found = bank.power(read, N_TIMES, SFREQ, out=out[..., 10:], progress=done.append, **BINS)
    assert np.shares_memory(found, out)
    assert_array_equal(out[..., 10:], power)
    assert np.isnan(out[..., :10]).all()
    assert done[-1] == 80 and done == sorted(done)


@pytest.mark.parametrize("name", BANKS)
def test_banks_are_plain_values(name):
    bank = BANKS[name]
    assert copy.deepcopy(bank) == bank
    assert eval(repr(bank)) == bank
    resolved = bank.resolve(SFREQ, N_TIMES)
    assert resolved.resolve(SFREQ, N_TIMES) == resolved
    assert all(isinstance(edge, float) for pair in resolved.band_edges.values() for edge in pair)

    class Estimator(BaseEstimator):
        def __init__(self, bands=None):
            self.bands = bands

    assert clone(Estimator(bank)).bands == bank


def test_what_none_and_a_dict_stand_for():
    assert as_bank(None) == Shannon()
    assert as_bank({"a": (8, 13)}) == Shannon({"a": (8, 13)})
    morlet = Morlet(n_cycles=3.0)
    assert as_bank(morlet) is morlet


def test_canonical_bands_are_those_that_the_rate_and_the_segments_hold():
    assert Shannon().resolve(200.0).band_edges == CANONICAL_BANDS
    below = {name: CANONICAL_BANDS[name] for name in ("delta", "theta", "alpha")}
    assert Shannon().resolve(60.0).band_edges == Morlet().resolve(60.0).band_edges == below
    # The longest of delta's wavelets of five cycles lasts more than three seconds.
    short = Morlet(n_cycles=5.0).resolve(200.0, shortest=600)
    assert list(short.band_edges) == ["theta", "alpha", "beta", "gamma"]
    assert list(Morlet(n_cycles=5.0).resolve(200.0, shortest=2000).band_edges) == list(
        CANONICAL_BANDS
    )


def test_single_frequencies_have_one_wavelet_each():
    bank = Morlet([6, 10.5]).resolve(200.0)
    assert bank.band_edges == {"6Hz": (6.0, 6.0), "10.5Hz": (10.5, 10.5)}
    assert Morlet({"mu": 10}).resolve(200.0).band_edges == {"mu": (10.0, 10.0)}


def test_levels_go_down_to_about_three_hertz():
    bank = Discrete("db5").resolve(200.0)
    assert bank.level == 5
    assert bank.band_edges["A5"] == (0.0, 3.125) and bank.band_edges["D1"] == (50.0, 100.0)
    assert Discrete("db5").resolve(200.0, shortest=80).level == 3


def test_only_causal_power_comes_late():
    for bank in (Shannon(), Morlet(), Discrete()):
        assert_array_equal(bank.resolve(200.0).delay, 0)
    causal = Morlet({"a": (8, 13), "b": 20}, n_cycles=5.0, causal=True).resolve(200.0)
    assert_allclose(causal.delay, causal_delay([(8, 13), 20], 5.0))


REFUSED = {
    "too slow": (Shannon(), 6.0, "too low for any EEG band"),
    "Nyquist": (Shannon({"g": (30, 110)}), 200.0, "0 < low < high < half the sampling rate"),
    "no order": (Morlet({"a": (13, 8)}), 200.0, "0 < low < high < half the sampling rate"),
    "no pair": (Shannon({"a": (1, 2, 3)}), 200.0, r"Band 'a' must be \(low, high\) in Hz"),
    "words": (Shannon({"a": "8-13"}), 200.0, r"Band 'a' must be \(low, high\) in Hz"),
    "a frequency": (Shannon({"a": 10}), 200.0, r"single frequency .* bands=Morlet"),
    "empty": (Shannon({}), 200.0, "bands must be a dict"),
    "no frequency": (Morlet([]), 200.0, "or a list of frequencies"),
    "fast frequency": (Morlet([10, 100]), 200.0, r"half the sampling rate \(100 Hz\), got \[100"),
    "a name": (Morlet(["alpha"]), 200.0, r"write bands=\{'alpha': \(8.0, 13.0\)\}"),
    "cycles": (Morlet(n_cycles=0), 200.0, "n_cycles must be a positive number"),
    "wavelet": (Discrete("morl"), 200.0, "not a discrete wavelet"),
    "level": (Discrete("db5", level=0), 200.0, "whole number of at least 1, got 0"),
    "own bands": (Discrete("db5", bands={"a": (8, 13)}), 200.0, "use level instead of bands"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bands_that_cannot_be_measured_are_refused(name):
    bank, sfreq, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        bank.resolve(sfreq)


def test_segments_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match=r"Band 'delta' needs wavelets of .* lasts 1 s"):
        Morlet({"delta": (1, 4)}).resolve(200.0, shortest=200)
    with pytest.raises(ValueError, match="needs windows of at least 576 samples; the shortest"):
        Discrete("db5", level=6).resolve(200.0, shortest=500)
    with pytest.raises(ValueError, match=r"no bands yet: .* resolve\(sfreq\)"):
        Shannon().power(read, N_TIMES, SFREQ, **BINS)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ("alpha", r"write bands=\{'alpha': \(8.0, 13.0\)\}"),
        (["alpha", "mu"], r"write bands=\{'alpha': \(8.0, 13.0\), 'mu': \(8.0, 13.0\)\}"),
        ([6, 10], r"write bands=Morlet\(\[6.0, 10.0\]\)"),
        (10.0, "bands must be a dict"),
        ([(8, 13)], "bands must be a dict"),
        (Morlet, r"write bands=Morlet\(\)"),
    ],
)
def test_what_is_no_bank_is_refused_with_what_to_write(bands, message):
    with pytest.raises(ValueError, match=message):
        as_bank(bands)
