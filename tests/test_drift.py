"""Drift terms and frames in order, as other modules build on them."""

import numpy as np
import pandas as pd
import pytest

from mne_samba.io import BidsPair
from mne_samba.metrics import METRICS, OrderedFrames, drift_basis, order_frames, project_out
from mne_samba.metrics import detrend as remove_drift


@pytest.mark.parametrize("method", ["cosine", "linear", 3])
def test_detrend_projects_out_its_basis(method):
    y = np.random.default_rng(0).standard_normal((150, 3)).cumsum(axis=0)
    basis = drift_basis(len(y), 2.0, method)
    left = project_out(y, basis)
    np.testing.assert_allclose(left, remove_drift(y, 2.0, method), atol=1e-12)
    np.testing.assert_allclose(basis.T @ left, 0, atol=1e-8)
    coefficients, *_ = np.linalg.lstsq(basis, y, rcond=None)
    np.testing.assert_allclose(left, y - basis @ coefficients, atol=1e-8)


def test_cosines_are_slower_than_the_cut_off():
    basis = drift_basis(256, 2.0, "cosine", high_pass=1 / 128)
    # Half cycles over 512 s: eight of them are no faster than 1 / 128 Hz, and a constant.
    assert 8 <= basis.shape[1] <= 9
    with pytest.raises(ValueError, match="t_r"):
        drift_basis(100, None, "cosine")


def test_overlapping_windows_become_one_time_course():
    course = np.arange(10.0)[:, None]
    values = np.stack([course[0:6], course[4:10]])
    table = pd.DataFrame({"recording": [0, 0], "frame": [0, 4]})
    ordered = order_frames(values, table)
    assert isinstance(ordered, OrderedFrames) and ordered.recordings == [(0,)]
    np.testing.assert_array_equal(ordered.values[0], course)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_perfect_predictions_score_one_in_every_metric(name):
    y = np.random.default_rng(0).standard_normal((40, 2))
    np.testing.assert_allclose(METRICS[name](y, y), 1.0)


def test_a_pair_places_its_own_frames():
    pair = BidsPair(None, pd.DataFrame({"V1": [0.0]}), 2.0, np.zeros(1), None, {}, "01", "rest")
    assert pair.target_names == ["V1"] and pair.t_r == 2.0
    assert "sub-01" in pair.name and "task-rest" in pair.name
