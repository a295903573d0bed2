"""Covariances of bands, the subspace of the signal, and filters."""

import mne
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mne_samba.unmixing import (
    Learner,
    Stretch,
    at_sensors,
    band_covariances,
    mixing,
    pieces_of,
)

SFREQ, BANDS = 100.0, [(4.0, 8.0), (8.0, 13.0), (13.0, 30.0)]


def _sources(n, seconds=300, seed=0):
    """Rhythms (n, n_times) that wax and wane each at its own times."""
    rng = np.random.default_rng(seed)
    n_times = int(seconds * SFREQ)
    knots = np.exp(rng.standard_normal((n, seconds // 10 + 2)))
    size = [np.interp(np.arange(n_times) / SFREQ / 10, np.arange(len(k)), k) for k in knots]
    return np.array(size) * rng.standard_normal((n, n_times))


def _learner(data, kinds=None, **options):
    names = [f"ch{i}" for i in range(len(data))]
    stretch = Stretch(lambda first, stop: data[:, first:stop], data.shape[1])
    return Learner([stretch], SFREQ, BANDS, names, kinds or ["eeg"] * len(data), **options)


def _error(filters, gain):
    """Largest part of another source in a component, relative to its own."""
    product = np.abs(filters @ gain)
    product /= product.max(axis=1, keepdims=True)
    assert sorted(product.argmax(axis=1)) == list(range(gain.shape[1]))
    return np.sort(product, axis=1)[:, -2].max()


def test_covariance_of_a_band_is_that_of_the_filtered_signal():
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3, 3)) @ rng.standard_normal((3, 60000))
    (found,) = band_covariances(lambda a, b: data[:, a:b], [(9000, 51000)], SFREQ, [(8.0, 13.0)])
    sharp = {"l_trans_bandwidth": 0.02, "h_trans_bandwidth": 0.02, "verbose": "ERROR"}
    filtered = mne.filter.filter_data(data, SFREQ, 8.0, 13.0, **sharp)[:, 9000:51000]
    assert_allclose(found[0], np.cov(filtered), atol=0.03 * np.trace(found[0]) / 3)


def test_pieces_leave_out_bad_spans():
    pieces = pieces_of(6000, SFREQ, 10.0, np.array([[12.0, 14.0], [13.0, 20.0]]))
    assert pieces[0] == (0, 1200)
    assert all(stop <= 1200 or first > 2000 for first, stop in pieces)
    assert pieces[-1][1] == 6000
    assert_array_equal(np.diff(pieces_of(6000, SFREQ, 10.0), axis=1), 1000)


def test_unmixes_planted_sources_into_as_many_components():
    rng = np.random.default_rng(1)
    gain = rng.standard_normal((12, 4))
    data = gain @ _sources(4) + 0.05 * rng.standard_normal((12, 30000))
    found = _learner(data).joint()
    assert found.filters.shape == (4, 12)
    assert _error(found.filters, gain) < 0.1
    # A pattern is the column of the gain.
    shape = np.abs(found.patterns.T @ gain) / np.linalg.norm(found.patterns, axis=0)[:, None]
    assert_allclose((shape / np.linalg.norm(gain, axis=0)).max(axis=1), 1.0, atol=0.01)
    assert_allclose(found.filters @ found.patterns, np.eye(4), atol=1e-6)


def test_sources_that_are_weak_but_not_steady_are_no_noise():
    data = _sources(6) * np.array([10, 10, 10, 1, 1, 1.0])[:, None]
    assert _learner(data).joint().filters.shape == (6, 6)


def test_rank_deficient_data():
    rng = np.random.default_rng(2)
    gain = rng.standard_normal((8, 8))
    data = gain @ _sources(8)
    reference = data - data.mean(axis=0)
    flat = np.vstack([data, np.zeros(30000), data[:1] + data[1:2]])
    assert _learner(reference).joint().filters.shape == (7, 8)
    found = _learner(flat).joint()
    assert found.filters.shape == (8, 10)
    assert_allclose(found.filters[:, 8], 0, atol=1e-12)
    assert _error(found.filters[:, [*range(8), 9]], np.vstack([gain, gain[:1] + gain[1:2]])) < 0.2


def test_kinds_of_sensors_are_brought_to_one_scale():
    rng = np.random.default_rng(3)
    gain = rng.standard_normal((12, 4))
    data = gain @ _sources(4) + 0.05 * rng.standard_normal((12, 30000))
    units = np.repeat([1e-15, 1e-12], 6)
    plain = _learner(data).joint()
    scaled = _learner(units[:, None] * data, ["mag"] * 6 + ["grad"] * 6).joint()
    assert scaled.filters.shape == plain.filters.shape
    assert _error(scaled.filters, units[:, None] * gain) < 0.1


def test_recordings_count_alike():
    rng = np.random.default_rng(4)
    gain, data = rng.standard_normal((4, 4)), _sources(4)
    own = [gain @ data, 100.0 * (gain @ data[:, ::-1])]
    stretches = [Stretch(lambda a, b, x=x: x[:, a:b], x.shape[1], key) for key, x in enumerate(own)]
    stretches += [Stretch(stretches[0].read, 30000, 0)] * 3
    args = SFREQ, BANDS, list("abcd"), ["eeg"] * 4
    repeated, once = Learner(stretches, *args), Learner(stretches[:2], *args)
    assert_allclose(repeated.by_band, once.by_band, rtol=1e-9)


def test_whitened_channels_are_uncorrelated_and_as_they_were():
    gain = np.eye(5) + 0.3
    data = gain @ _sources(5)
    found = _learner(data).whiten()
    white = found.filters @ data
    assert np.abs(np.corrcoef(white) - np.eye(5)).max() < 0.05
    match = np.corrcoef(white, data)[:5, 5:]
    assert_array_equal(match.argmax(axis=1), np.arange(5))


def test_mixing_says_how_much_channels_share():
    data = _sources(5)
    assert mixing(_learner(data).by_band) < 0.1
    assert mixing(_learner((np.eye(5) + 0.5) @ data).by_band) > 0.4


def test_components_at_sensors_are_means_by_share_of_power():
    patterns = np.array([[1.0, 0.0], [1.0, 2.0]])
    assert_allclose(at_sensors(patterns, np.array([[1.0], [0.0]])), [[1.0], [0.2]])


def test_nan_is_refused_by_name():
    data = _sources(3)
    data[1, 500] = np.nan
    with pytest.raises(ValueError, match="ch1"):
        _learner(data)
