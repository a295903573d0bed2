"""Heads of simulated people: what electrodes see, and what an inverse does not know of it."""

import numpy as np
import pytest

from mne_samba.datasets import simulate_paired

SMALL = {"n_sources": 12, "n_targets": 6, "sources_per_target": 2}


def people(n=1, seed=0, **options):
    return simulate_paired(n, 40.0, random_state=seed, **SMALL, **options)


def agreement(a, b):
    """Correlation of topographies, over channels, per source."""
    return np.array([abs(np.corrcoef(x, y)[0, 1]) for x, y in zip(a.T, b.T, strict=True)])


@pytest.fixture(scope="module")
def plain():
    return people()


def test_noise_of_sensors_is_as_asked(plain):
    loud = people(sensor_noise=5e-6)
    silent = people(sensor_noise=0.0)
    for data, level in ((plain, 1e-6), (loud, 5e-6)):
        added = data.raws[0].get_data() - silent.raws[0].get_data()
        assert added.std() == pytest.approx(level, rel=0.01)
        assert np.abs(np.corrcoef(added) - np.eye(len(added))).max() < 0.06
    # Without noise, channels are sources times the gain and nothing else.
    assert np.linalg.matrix_rank(silent.raws[0].get_data()[:, ::50]) == SMALL["n_sources"]


@pytest.mark.parametrize(
    "options", [{"head": "three-shell"}, {"electrode_error": 5.0}, {"head_spread": 0.05}]
)
def test_another_head_changes_topographies_a_little(plain, options):
    other = people(**options)
    alike = agreement(plain.truth.gain, other.truth.gain)
    assert 0.8 < alike.min() and alike.min() < 0.9995
    # What is stated, and what drives BOLD, is as before.
    np.testing.assert_array_equal(plain.bolds[0], other.bolds[0])
    for a, b in zip(plain.raws[0].info["chs"], other.raws[0].info["chs"], strict=True):
        np.testing.assert_array_equal(a["loc"], b["loc"])


def test_a_thicker_skull_blurs(plain):
    def sharpness(gain):
        gain = np.abs(gain) / np.abs(gain).max(axis=0)
        return (gain > 0.5).mean()

    assert sharpness(people(head="three-shell").truth.gain) > sharpness(plain.truth.gain)


def test_electrodes_move_as_far_as_asked(plain):
    near, far = (agreement(plain.truth.gain, people(electrode_error=e).truth.gain) for e in (2, 8))
    assert (1 - far).mean() > 5 * (1 - near).mean()


def test_people_have_heads_of_their_own_where_asked():
    data = people(3, shared_head=False, head_spread=0.05)
    gains = [own.gain for own in data.truth.by_subject]
    assert data.truth.gain is None
    assert agreement(gains[0], gains[1]).mean() < 0.99
    # Adding a person changes nobody, and one head is for all where nothing is asked.
    again = people(2, shared_head=False, head_spread=0.05)
    np.testing.assert_array_equal(gains[1], again.truth.by_subject[1].gain)
    one = people(2)
    np.testing.assert_array_equal(one.truth.gain, one.truth.by_subject[1].gain)


def test_sites_share_orientations_but_not_electrodes():
    site = {"coupling_random_state": 5, "electrode_error": 5.0}
    first, second = people(seed=1, **site).truth.gain, people(seed=2, **site).truth.gain
    assert agreement(first, second).min() > 0.8 and not np.allclose(first, second)


def test_source_level_has_no_head():
    for options in ({"sensor_noise": 2e-6}, {"head": "three-shell"}, {"shared_head": False}):
        with pytest.raises(ValueError, match='belong to level="sensor"'):
            people(level="source", **options)
    with pytest.raises(ValueError, match="head must be one of"):
        people(head="fsaverage")
