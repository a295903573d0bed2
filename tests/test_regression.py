"""AR(1) noise and ridge: whitening, coefficients, penalties that the evidence chooses."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.linalg import toeplitz
from scipy.signal import lfilter
from sklearn.linear_model import Ridge

from mne_samba._regression import (
    evidence_ridge,
    median_ar_coefficient,
    pooled_ar_coefficient,
    ridge_evidence,
    whiten,
)
from mne_samba.hrf.stats import ar_coefficients


def test_whitening_inverts_the_covariance():
    rho, n = 0.55, 7
    first = np.array([True, False, False, True, False, False, False])
    rows = whiten(torch.eye(n, dtype=torch.float64), first, rho).numpy()
    covariance = np.zeros((n, n))
    for run in (slice(0, 3), slice(3, 7)):
        size = run.stop - run.start
        # Unit innovations: stationary variance 1 / (1 - rho^2).
        covariance[run, run] = toeplitz(rho ** np.arange(size)) / (1 - rho**2)
    np.testing.assert_allclose(rows @ covariance @ rows.T, np.eye(n), atol=1e-12)


def test_whitening_removes_autoregression_and_respects_gaps():
    rng = np.random.default_rng(1)
    noise = lfilter([1], [1, -0.6], rng.standard_normal((2, 5000)), axis=1)
    first = np.zeros(5000, bool)
    first[[0, 2000]] = True
    ar = ar_coefficients([noise], [~first])
    assert_allclose(ar, 0.6, atol=0.04)
    assert median_ar_coefficient(noise.T, first) == pytest.approx(np.median(ar), abs=1e-3)
    white = whiten(noise.T, first, ar).T
    assert_allclose(ar_coefficients([white], [~first]), 0, atol=0.03)
    assert_allclose(white[:, 2000], np.sqrt(1 - ar**2) * noise[:, 2000])
    assert_allclose(white.std(), 1.0, atol=0.03)


def test_autocorrelation_of_a_known_process():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 3))
    for k in range(1, len(x)):
        x[k] += 0.7 * x[k - 1]
    first = np.zeros(len(x), dtype=bool)
    first[0] = True
    assert pooled_ar_coefficient(torch.from_numpy(x), first) == pytest.approx(0.7, abs=0.03)


def test_evidence_ridge_is_ridge_and_beats_no_penalty():
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((80, 40)), 0.3 * rng.standard_normal(40)
    y = X @ w + 2 * rng.standard_normal(80)
    ours, penalty, _ = evidence_ridge(
        (X.T @ X)[None], (X.T @ y)[None], np.array([y @ y]), np.array([80.0])
    )
    expected = Ridge(alpha=penalty[0], fit_intercept=False).fit(X, y).coef_
    assert_allclose(ours[0], expected, atol=1e-8)
    least_squares = np.linalg.lstsq(X, y, rcond=None)[0]
    assert np.linalg.norm(ours[0] - w) < 0.8 * np.linalg.norm(least_squares - w)


def test_arrays_and_tensors_are_whitened_alike():
    x, first = np.random.default_rng(0).standard_normal((9, 4)), np.arange(9) % 4 == 0
    for kind in (np.float32, np.float64):
        tensor = whiten(torch.from_numpy(x.astype(kind)), first, 0.3)
        assert tensor.numpy().dtype == kind
        assert_allclose(tensor.numpy(), whiten(x, first, 0.3), rtol=1e-5)


def test_no_two_frames_in_a_row_have_no_autocorrelation():
    x = np.random.default_rng(0).standard_normal((6, 2))
    assert pooled_ar_coefficient(torch.from_numpy(x), np.ones(6, bool)) == 0
    assert median_ar_coefficient(x, np.ones(6, bool)) == 0
    assert_allclose(whiten(x, np.ones(6, bool), 0.5), np.sqrt(0.75) * x)


def test_evidence_of_ridge_is_a_normal_density():
    rng = np.random.default_rng(0)
    X, y, penalty = rng.standard_normal((12, 3)), rng.standard_normal(12), 2.5
    values, vectors = np.linalg.eigh(X.T @ X)
    found = ridge_evidence(values, vectors.T @ (X.T @ y), y @ y, 12, penalty, 1e-9)
    covariance = np.eye(12) + X @ X.T / penalty
    noise = y @ np.linalg.solve(covariance, y) / (y @ y)
    assert found == pytest.approx(-6 * np.log(noise) - 0.5 * np.linalg.slogdet(covariance)[1])
