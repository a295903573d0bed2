"""Intervals cover what they promise on frames that nobody trained on."""

import numpy as np
import pytest
from small_worlds import FrameRidge, autocorrelated, simulate, windows_of

from mne_samba.evaluation import (
    ConformalRegressor,
    conformal_quantile,
    interval_coverage,
    out_of_block_residuals,
    residual_std,
)
from mne_samba.metrics import cosine_drift, detrend
from mne_samba.model_selection import BlockedTimeSplit


def test_quantile_is_the_conformal_rank():
    residuals = [np.arange(1.0, 20.0)[:, np.newaxis] * [1, -2]]
    np.testing.assert_array_equal(conformal_quantile(residuals, 0.9), [18, 36])
    assert conformal_quantile([residuals[0][:5]], 0.9)[0] == np.inf
    scaled = conformal_quantile(residuals, 0.9, std=[np.full((19, 2), 2.0)])
    np.testing.assert_array_equal(scaled, [9, 18])


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_quantile_covers_new_frames(coverage):
    rng = np.random.default_rng(0)
    old, new = (autocorrelated(rng, 2000, 20, coefficient=0.7) for _ in range(2))
    half = conformal_quantile([old], coverage)
    assert np.median(interval_coverage(new, -half, half)) == pytest.approx(coverage, abs=0.02)


@pytest.mark.parametrize("strength", [1.0, 2.0])  # SNR 1 and 4
def test_intervals_cover_held_out_people(strength):
    signals, targets, clean = simulate(n_people=5, n_targets=12, strength=strength, seed=1)
    model = ConformalRegressor(FrameRidge()).fit(signals[:4], targets[:4])
    low, high = model.predict_interval(signals[4:], coverage=0.9)
    # Drift and level of a recording cannot be predicted: the interval is about what is left.
    y = detrend(targets[4], 2.0)
    centre = (low[0] + high[0]) / 2
    shift = detrend(centre, 2.0) - centre
    share = interval_coverage(y, low[0] + shift, high[0] + shift)
    assert 0.85 <= np.median(share) <= 0.95
    prediction, std = model.predict(signals[4:], return_std=True)
    np.testing.assert_allclose(prediction[0], centre)
    noise = [detrend(t - c, 2.0) for t, c in zip(targets, clean, strict=True)]
    assert np.median(std / np.std(np.concatenate(noise), axis=0)) == pytest.approx(1, abs=0.1)


def test_residuals_of_blocks():
    signals, targets, clean = simulate(n_people=1, n_frames=1200, seed=2)
    X = windows_of([s.T for s in signals], 20).transpose(0, 2, 1)
    residuals = out_of_block_residuals(
        FrameRidge(), X, windows_of(targets, 20), cv=BlockedTimeSplit(4)
    )
    assert [len(part) for part in residuals] == [300] * 4
    noise = detrend(targets[0] - clean[0], 2.0)
    assert np.corrcoef(np.concatenate(residuals)[:, 0], noise[:, 0])[0, 1] > 0.9
    assert residual_std(residuals) == pytest.approx(np.ones(5), rel=0.25)


def test_residuals_are_of_what_is_scored():
    """Each tested run loses its own drift; frames without their whole history do not count."""
    signals, targets, _ = simulate(n_people=1, n_frames=400, seed=2)
    X = windows_of([s.T for s in signals], 20).transpose(0, 2, 1)
    flat = FrameRidge(alpha=1e12)
    cv = [(np.arange(10), np.arange(13, 20))]
    (residual,) = out_of_block_residuals(flat, X, windows_of(targets, 20), cv=cv)
    drift = np.column_stack([cosine_drift(140, 2.0), np.vander(np.linspace(-1, 1, 140), 4)])
    expected = (np.eye(140) - drift @ np.linalg.pinv(drift)) @ targets[0][260:]
    np.testing.assert_allclose(residual, expected, atol=1e-6)
    signals, targets, _ = simulate(n_people=2, n_frames=100)
    for residual in out_of_block_residuals(FrameRidge(hrf_length=30.0), signals, targets):
        assert np.isnan(residual[:15]).all() and np.isfinite(residual[15:]).all()


def test_coverage_ignores_scrubbed_frames():
    y = np.array([[0.0], [np.nan], [3.0], [0.5]])
    assert interval_coverage(y, y * 0 - 1, np.ones((4, 1))) == pytest.approx(2 / 3)


@pytest.mark.parametrize("coverage", [0, 1, 90, "0.9"])
def test_refuses_impossible_coverage(coverage):
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal_quantile([np.ones((9, 1))], coverage)
