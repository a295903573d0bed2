"""FramewiseRegressor: frames as rows, whatever the regressor and the layout."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.svm import LinearSVR

from mne_samba import FramewiseRegressor


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6, 20, 5))
    y = X @ rng.standard_normal((5, 3)) + 10 + 0.5 * rng.standard_normal((6, 20, 3))
    return X, y


def test_equals_the_regressor_on_stacked_frames(data):
    X, y = data
    ours = FramewiseRegressor(Ridge()).fit(X[:4], y[:4])
    plain = Ridge().fit(X[:4].reshape(-1, 5), y[:4].reshape(-1, 3))
    assert_allclose(ours.predict(X[4:]), plain.predict(X[4:].reshape(-1, 5)).reshape(2, 20, 3))
    expected = [
        spearmanr(y[4:, :, i].ravel(), ours.predict(X[4:])[..., i].ravel())[0] for i in range(3)
    ]
    assert_allclose(ours.score_targets(X[4:], y[4:]), expected)
    assert_allclose(ours.score(X[4:], y[4:]), np.mean(expected))


def test_features_may_come_before_frames(data):
    X, y = data
    frames_first = FramewiseRegressor(Ridge()).fit(X, y)
    features_first = FramewiseRegressor(Ridge()).fit(X.transpose(0, 2, 1), y)
    assert not features_first.frames_first_
    assert_allclose(features_first.predict(X.transpose(0, 2, 1)), frames_first.predict(X))


def test_recordings_of_different_length(data):
    X, y = data
    recordings = [X[0], X[1, :12]], [y[0], y[1, :12]]
    model = FramewiseRegressor(Ridge()).fit(*recordings)
    plain = Ridge().fit(np.concatenate(recordings[0]), np.concatenate(recordings[1]))
    assert [p.shape for p in model.predict(recordings[0])] == [(20, 3), (12, 3)]
    assert_allclose(model.predict([X[2]])[0], plain.predict(X[2]))
    scores = [
        np.mean([spearmanr(t[:, i], p[:, i])[0] for i in range(3)])
        for t, p in zip(recordings[1], model.predict(recordings[0]), strict=True)
    ]
    assert_allclose(model.score(*recordings), np.mean(scores))


def test_scrubbed_frames_are_not_learnt_from(data):
    X, y = data
    spoilt = y.copy()
    spoilt[1, 3:6] = 1e6
    spoilt[1, 3:6] = np.nan
    model = FramewiseRegressor(Ridge()).fit(X, spoilt)
    kept = np.isfinite(spoilt).all(-1)
    assert_allclose(model.estimator_.coef_, Ridge().fit(X[kept], y[kept]).coef_)
    assert np.isfinite(model.score(X, spoilt))
    with pytest.raises(ValueError, match="scrubbed"):
        FramewiseRegressor(Ridge()).fit(X, np.full_like(y, np.nan))


def test_drift_is_removed(data):
    X, y = data
    drift = np.linspace(0, 200, 120).reshape(6, 20, 1)
    model = FramewiseRegressor(Ridge(), t_r=2.0, detrend="linear").fit(X, y + drift)
    assert model.score(X, y + drift) > 0.95
    assert FramewiseRegressor(Ridge()).fit(X, y + drift).score(X, y + drift) < 0.9
    assert_allclose(model.predict(X).mean(), (y + drift).mean(), atol=1.0)
    with pytest.raises(ValueError, match="t_r"):
        FramewiseRegressor(Ridge(), detrend="cosine").fit(X, y)


def test_single_target_regressors_and_cross_validation(data):
    X, y = data
    svr = MultiOutputRegressor(LinearSVR(random_state=0, max_iter=20000))
    groups = np.repeat([0, 1, 2], 2)
    scores = cross_val_score(FramewiseRegressor(svr), X, y, groups=groups, cv=GroupKFold(3))
    assert scores.min() > 0.9


@pytest.mark.parametrize("later", ["table", "windows"])
def test_a_failed_fit_leaves_the_earlier_one(data, later):
    X, y = data
    model = FramewiseRegressor(Ridge()).fit(X, y)
    before, expected = dict(vars(model)), model.predict(X)
    bad = (X[0], y[0, :7]) if later == "table" else (X, np.full_like(y, np.nan))
    with pytest.raises(ValueError):
        model.fit(*bad)
    assert vars(model) == before
    assert_allclose(model.predict(X), expected)


def test_errors(data):
    X, y = data
    with pytest.raises(ValueError, match="No axis"):
        FramewiseRegressor(Ridge()).fit(X, y[:, :7])
    with pytest.raises(ValueError, match="windows"):
        FramewiseRegressor(Ridge()).fit(X, y[:3])
    model = FramewiseRegressor(Ridge()).fit(X, y)
    with pytest.raises(ValueError, match="features per frame"):
        model.predict(X[..., :2])
    with pytest.raises(ValueError, match="fit saw windows"):
        model.predict(X[0])
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full_like(X, np.nan))
