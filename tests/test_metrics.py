"""Metrics against scipy and scikit-learn, drift against nilearn, order of frames."""

import numpy as np
import pandas as pd
import pytest
from nilearn.signal import clean
from scipy import stats
from sklearn.metrics import r2_score

from mne_samba.metrics import (
    cosine_drift,
    detrend,
    order_frames,
    pearson,
    polynomial_drift,
    r2,
    recording_labels,
    spearman,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((80, 5)).round(1)  # rounding makes ties
    return y, y + rng.standard_normal((80, 5)).round(1)


@pytest.mark.parametrize(
    ("metric", "reference"), [(spearman, stats.spearmanr), (pearson, stats.pearsonr)]
)
def test_correlations_equal_scipy(pair, metric, reference):
    y, pred = pair
    expected = [reference(a, b)[0] for a, b in zip(y.T, pred.T, strict=True)]
    np.testing.assert_allclose(metric(y, pred), expected, atol=1e-12)


def test_r2_equals_sklearn(pair):
    np.testing.assert_allclose(r2(*pair), r2_score(*pair, multioutput="raw_values"), atol=1e-12)


@pytest.mark.parametrize("metric", [spearman, pearson, r2])
def test_scrubbed_frames_are_ignored(pair, metric):
    y, pred = (array.copy() for array in pair)
    keep = np.ones(80, bool)
    keep[[3, 40, 79]] = False
    expected = metric(y[keep], pred[keep])
    y[[3, 40]] = np.nan
    pred[79] = np.nan
    np.testing.assert_allclose(metric(y, pred), expected)
    y[10, 2] = np.nan  # one target alone
    keep[10] = False
    np.testing.assert_allclose(metric(y, pred)[[0, 1, 3, 4]], expected[[0, 1, 3, 4]])
    np.testing.assert_allclose(metric(y, pred)[2], metric(pair[0][keep], pair[1][keep])[2])


@pytest.mark.parametrize("metric", [spearman, pearson])
def test_constant_scores_zero_whatever_its_value(pair, metric):
    y, pred = pair
    for value in (0.0, 0.1, 1e6 / 3):
        constant = np.full_like(y, value)
        assert (metric(y, constant) == 0).all()
        assert (metric(constant, pred) == 0).all()


def test_constant_target_has_zero_r2_and_train_mean_is_not_positive(pair):
    y, pred = pair
    assert (r2(np.full_like(y, 0.1), pred) == 0).all()
    assert (r2(y, np.full_like(y, 3.0)) < 0).all()


def test_scores_are_nan_without_frames(pair):
    y = np.full((4, 2), np.nan)
    assert np.isnan(spearman(y, y)).all()


def test_shapes_must_agree(pair):
    with pytest.raises(ValueError, match=r"\(n_frames, n_targets\)"):
        spearman(pair[0], pair[1][:, :2])
    with pytest.raises(ValueError, match="order first"):
        pearson(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)))


@pytest.mark.parametrize("t_r", [0.8, 2.0])
def test_cosine_detrend_equals_nilearn(t_r):
    rng = np.random.default_rng(1)
    y = rng.standard_normal((301, 4)).cumsum(axis=0) + 7
    expected = clean(
        y, detrend=False, standardize=None, filter="cosine", high_pass=1 / 100, t_r=t_r
    )
    got = detrend(y, t_r, high_pass=1 / 100)
    np.testing.assert_allclose(got, expected - expected.mean(axis=0), atol=1e-9)


def test_cosine_drift_is_orthonormal():
    basis = cosine_drift(200, 2.0)
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-12)
    assert basis.shape[1] == 1 + int(2 * 200 * 2.0 / 128)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_polynomial_detrend_equals_polyfit(order):
    rng = np.random.default_rng(2)
    y = rng.standard_normal((120, 2)).cumsum(axis=0)
    time = np.arange(120)
    expected = np.column_stack([c - np.polyval(np.polyfit(time, c, order), time) for c in y.T])
    np.testing.assert_allclose(detrend(y, None, order), expected, atol=1e-8)
    assert polynomial_drift(120, order).shape == (120, order + 1)


@pytest.mark.parametrize("method", ["cosine", "linear", 3])
def test_drift_is_removed_around_scrubbed_and_missing_frames(method):
    """A pure drift leaves nothing, whichever rows are missing or scrubbed."""
    n = 300
    basis = cosine_drift(n, 2.0) if method == "cosine" else polynomial_drift(n, 1)
    drift = basis @ np.random.default_rng(3).standard_normal((basis.shape[1], 3)) * 50
    frames = np.r_[0:100, 180:n]
    y = drift[frames]
    y[[5, 120]] = np.nan
    got = detrend(y, 2.0, method, frames=frames)
    assert np.isnan(got[[5, 120]]).all() and np.isnan(got).sum() == 6
    np.testing.assert_allclose(np.nan_to_num(got), 0, atol=1e-8)


def test_masked_frames_do_not_bend_the_fit():
    y = np.zeros((50, 1))
    y[20] = 1e6
    mask = np.arange(50) != 20
    got = detrend(y, None, "linear", mask=mask)
    np.testing.assert_allclose(got[mask], 0, atol=1e-6)
    assert got[20, 0] == pytest.approx(1e6)


def test_detrend_refuses_what_it_cannot_do():
    y = np.ones((20, 1))
    with pytest.raises(ValueError, match="'cosine', 'linear'"):
        detrend(y, 2.0, "quadratic")
    with pytest.raises(ValueError, match="needs t_r"):
        detrend(y, None)
    with pytest.raises(ValueError, match="not enough"):
        detrend(y[:3], None, 3)
    with pytest.raises(ValueError, match="Nyquist"):
        detrend(y, 2.0, high_pass=0.4)
    assert detrend(y, None, None) is not y


def test_windows_come_back_in_order_with_overlaps_averaged():
    rng = np.random.default_rng(4)
    series = {"a": rng.standard_normal((20, 2)), "b": rng.standard_normal((17, 2))}
    windows, rows = [], []
    for name, frame in [("b", 8), ("a", 5), ("a", 0), ("b", 0), ("a", 10), ("a", 12)]:
        windows.append(series[name][frame : frame + 8])
        rows.append({"recording": name, "frame": frame, "onset": 3.0 + frame * 2.0})
    table = pd.DataFrame(rows)
    for columns in (["recording", "frame"], ["recording", "onset"]):
        got = order_frames(np.array(windows), table[columns], t_r=2.0)
        assert got.recordings == [("b",), ("a",)]
        np.testing.assert_array_equal(got.frames[0], np.arange(16))
        np.testing.assert_allclose(got.values[0], series["b"][:16])
        np.testing.assert_allclose(got.values[1], series["a"])
    shifted = [w + 1.0 * i for i, w in enumerate(windows)]
    got = order_frames(np.array(shifted), table).values[1]
    np.testing.assert_allclose(got[6], series["a"][6] + 1.5)  # windows 1 and 2
    with pytest.raises(ValueError, match="'frame' or an 'onset'"):
        order_frames(np.array(windows), table[["recording"]])
    with pytest.raises(ValueError, match="t_r is known"):
        order_frames(np.array(windows), table[["recording", "onset"]])


def test_scrubbed_frame_is_filled_only_by_a_window_that_has_it():
    windows = np.arange(8.0).reshape(2, 4, 1)
    windows[0, 2:] = np.nan
    table = pd.DataFrame({"frame": [0, 2]})
    np.testing.assert_array_equal(order_frames(windows, table).values[0][:, 0], [0, 1, 4, 5, 6, 7])
    windows[1, 0] = np.nan
    assert np.isnan(order_frames(windows, table).values[0][2, 0])


def test_missing_names_are_one_recording():
    table = pd.DataFrame({"subject": [None, np.nan, None], "recording": [0, 0, 1]})
    labels, recordings = recording_labels(table)
    assert labels.tolist() == [0, 0, 1] and len(recordings) == 2


def test_columns_of_one_name_all_tell_recordings_apart():
    table = pd.DataFrame([["a", 1], ["a", 2], ["a", 1]], columns=["subject", "subject"])
    labels, recordings = recording_labels(table)
    assert labels.tolist() == [0, 1, 0] and recordings == [("a", 1), ("a", 2)]
