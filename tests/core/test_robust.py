"""Heavy tails: when squares are left, what Huber's loss finds, and who is weighed down."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.signal import lfilter

from mne_samba.core.robust import HUBER, fit_robustly, heavy_tailed, spread


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


def test_pseudo_data_converge_to_hubers_regression(monkeypatch):
    """Least squares on pseudo-data is Huber's estimate at the scale of the last residuals."""
    monkeypatch.setattr("mne_samba.core.robust._ROUNDS", 60)
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(200), rng.standard_normal((200, 2))])
    y = x @ [1.0, 2.0, -1.0] + rng.standard_t(2, 200)

    def fit(targets):
        coef = np.linalg.lstsq(x, targets[0], rcond=None)[0]
        return coef, [x @ coef]

    coef, weights = fit_robustly(fit, [y[:, None]], "robust", None)
    _, scale = spread(y[:, None] - x @ coef)

    def loss(coef):
        z = np.abs(y - x @ coef) / scale[0]
        return np.where(z < HUBER, 0.5 * z**2, HUBER * z - 0.5 * HUBER**2).sum()

    np.testing.assert_allclose(coef[:, 0], minimize(loss, np.zeros(3)).x, atol=0.02)
    far = np.abs(y - x @ coef[:, 0]) > 2 * scale[0]
    (found,) = weights.by_segment()
    assert found[far].max() < 0.75 and (found[~far] == 1).mean() > 0.8


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
