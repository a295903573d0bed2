"""Heavy tails: when squares are left, what robust losses find, and who is weighed down."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.signal import lfilter

from mne_samba.core.robust import (
    BIWEIGHT,
    HUBER,
    biweight,
    fit_robustly,
    heavy_tailed,
    huber,
    spread,
)


def noise(n_frames, n_targets, seed=0):
    white = np.random.default_rng(seed).standard_normal((n_frames + 50, n_targets))
    return lfilter([1], [1, -0.5], white, axis=0)[50:]


@pytest.mark.parametrize("n_frames", [100, 300, 2000])
def test_normal_noise_is_not_heavy_tailed_whatever_its_length(n_frames):
    assert not any(heavy_tailed(noise(n_frames, 20, seed)) for seed in range(10))


@pytest.mark.parametrize("n_frames", [100, 2000])
def test_spikes_and_student_noise_are_heavy_tailed(n_frames):
    rng = np.random.default_rng(0)
    spiky = noise(n_frames, 20)
    spiky[rng.choice(n_frames, n_frames // 20, replace=False)] *= 8
    assert heavy_tailed(spiky)
    assert heavy_tailed(rng.standard_t(3, (n_frames, 20)))
    spiky[5], spiky[:, 3] = np.nan, np.nan
    assert heavy_tailed(spiky[:, :3])


def huber_loss(z):
    z = np.abs(z)
    return np.where(z < HUBER, 0.5 * z**2, HUBER * z - 0.5 * HUBER**2).sum()


def biweight_loss(z):
    return (1 - (1 - np.minimum((z / BIWEIGHT) ** 2, 1)) ** 3).sum()


@pytest.mark.parametrize(
    ("steps", "total"), [([huber] * 60, huber_loss), ([huber] * 5 + [biweight] * 60, biweight_loss)]
)
def test_pseudo_data_converge_to_robust_regression(steps, total):
    """Least squares on pseudo-data is the M-estimate at the scale of the last residuals."""
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(200), rng.standard_normal((200, 2))])
    y = x @ [1.0, 2.0, -1.0] + rng.standard_t(2, 200)

    def fit(targets):
        coef = np.linalg.lstsq(x, targets[0], rcond=None)[0]
        return coef, [x @ coef]

    coef, weights = fit_robustly(fit, [y[:, None]], "robust", None, steps)
    _, scale = spread(y[:, None] - x @ coef)
    best = minimize(lambda coef: total((y - x @ coef) / scale[0]), [1.0, 2.0, -1.0]).x
    np.testing.assert_allclose(coef[:, 0], best, atol=0.02)
    far = np.abs(y - x @ coef[:, 0]) > 2 * scale[0]
    (found,) = weights.by_segment()
    assert found[far].max() < 0.75 < found[~far].min() + 0.15


def test_what_lies_very_far_off_counts_for_nothing():
    y = noise(200, 4)
    y[10] += 50

    def fit(targets):
        return None, [np.zeros_like(t) for t in targets]

    (weights,) = fit_robustly(fit, [y], "robust", None)[1].by_segment()
    assert (weights[10] == 0).all() and np.median(weights) > 0.9


def test_squares_stay_where_nothing_is_heavy():
    y = [noise(150, 8), noise(100, 8, seed=1)]
    asked = []

    def fit(targets):
        asked.append(targets)
        return len(asked), [np.zeros_like(t) for t in targets]

    assert fit_robustly(fit, y, "auto", None) == (1, None)
    assert fit_robustly(fit, y, "squared", None) == (2, None)
    assert all(targets is y for targets in asked)
    count, weights = fit_robustly(fit, y, "robust", None)
    assert count == 6 and [w.shape for w in weights.by_segment()] == [(150, 8), (100, 8)]


def test_held_out_frames_may_prefer_squares():
    rng = np.random.default_rng(0)
    y = [rng.standard_t(2, (200, 5))]

    def fit(targets):
        return targets, [np.zeros_like(t) for t in targets]

    fitted, weights = fit_robustly(fit, y, "auto", lambda squared, robust: False)
    assert fitted is y and weights is None
    fitted, weights = fit_robustly(fit, y, "auto", lambda squared, robust: squared is y)
    assert fitted is not y and weights is not None
