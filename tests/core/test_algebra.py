"""Algebra of the linear core against plain definitions."""

import numpy as np
import pytest
import torch

from mne_samba._regression import whiten
from mne_samba.core.deviation import fit_deviation
from mne_samba.core.moments import (
    Runs,
    gather_used,
    lagged_features,
    moments_of,
    runs_of_frames,
)
from mne_samba.core.response import project_double_gamma, response_prior, update_response
from mne_samba.core.stages import ridge_start
from mne_samba.hrf import double_gamma, hrf_dictionary, hrf_summary

DT, N_LAGS = 0.5, 60


def test_runs_end_at_segments_and_masked_frames():
    masks = [np.array([False, True, True, False, True]), np.array([True, True])]
    np.testing.assert_array_equal(runs_of_frames(masks), [True, False, True, True, False])


def test_features_are_the_plain_definition():
    rng = np.random.default_rng(0)
    power, basis = rng.standard_normal((3, 2, 9 + 4 * 2)), rng.standard_normal((4, 9))
    features = lagged_features(torch.from_numpy(power), torch.from_numpy(basis), 2, 0.25).numpy()
    assert features.shape == (5, 4, 3, 2)
    for frame in range(5):
        past = power[:, :, frame * 2 : frame * 2 + 9][:, :, ::-1]
        expected = 0.25 * np.einsum("bj,nkj->bnk", basis, past)
        np.testing.assert_allclose(features[frame], expected, atol=1e-12)


def test_gram_path_is_dense_generalised_least_squares():
    rng = np.random.default_rng(1)
    masks = [rng.random(40) > 0.1, rng.random(30) > 0.1]
    design = [rng.standard_normal((len(m), 2, 3, 2)) for m in masks]
    y = [rng.standard_normal((len(m), 4)) for m in masks]
    first, rho = runs_of_frames(masks), 0.4
    used = gather_used([torch.from_numpy(d) for d in design], masks)
    measured = gather_used([torch.from_numpy(v) for v in y], masks)
    moments = moments_of(used, measured, Runs(first), rho)
    response = torch.tensor([0.7, -0.3], dtype=torch.float64)
    coefficients, _ = ridge_start(moments, response)
    # The same from the explicit noise covariance, with the intercept as a column.
    x = np.concatenate([d[m] for d, m in zip(design, masks, strict=True)])
    x = np.einsum("tbnk,b->tnk", x, response.numpy()).reshape(len(x), -1)
    targets = np.concatenate([v[m] for v, m in zip(y, masks, strict=True)])
    run = np.cumsum(first)
    gap = np.abs(np.arange(len(x))[:, None] - np.arange(len(x)))
    covariance = np.where(run[:, None] == run, rho**gap, 0) / (1 - rho**2)
    inverse = np.linalg.inv(covariance)
    full = np.column_stack([x, np.ones(len(x))])
    gram = full.T @ inverse @ full
    schur = gram[:6, :6] - np.outer(gram[:6, 6], gram[6, :6]) / gram[6, 6]
    scale = np.linalg.eigvalsh(schur).mean()
    found = []
    for exponent in range(-3, 7):
        penalty = np.diag(np.append(np.full(6, scale * 10.0**exponent), 0))
        beta = np.linalg.solve(gram + penalty, full.T @ inverse @ targets)[:6]
        found.append(np.abs(beta.T - coefficients.reshape(4, 6).numpy()).max())
    assert min(found) < 1e-10


def test_response_posterior_is_bayes_rule():
    prior = response_prior("double_gamma", N_LAGS, DT, n_basis=4, n_dictionary=50)
    rng = np.random.default_rng(0)
    root = rng.standard_normal((2, 4, 4))
    quadratic, linear = root @ root.transpose(0, 2, 1), rng.standard_normal((2, 4))
    mean, second, divergence = update_response(
        prior, torch.from_numpy(quadratic), torch.from_numpy(linear)
    )
    h = prior.elements.numpy()
    for m in range(2):
        likelihood = np.exp(h @ linear[m] - 0.5 * np.einsum("ji,ik,jk->j", h, quadratic[m], h))
        q = likelihood / likelihood.sum()
        np.testing.assert_allclose(mean[m], q @ h, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(second[m], (h.T * q) @ h, rtol=1e-8, atol=1e-10)
        kept = q[q > 0]
        assert divergence[m] == pytest.approx((kept * np.log(kept * len(q))).sum(), abs=1e-8)


def test_projection_returns_a_double_gamma_unchanged():
    truth = hrf_dictionary(60, random_state=5)
    lags = (np.arange(N_LAGS) + 0.5) * DT
    params, amplitude = project_double_gamma(
        1.7 * double_gamma(lags, truth), DT, bounds="human", dictionary=hrf_dictionary(6000)
    )
    error = amplitude[:, None] * double_gamma(lags, params) - 1.7 * double_gamma(lags, truth)
    assert np.sqrt((error**2).mean(1)).max() < 0.04
    assert np.abs(hrf_summary(params)["peak_time"] - hrf_summary(truth)["peak_time"]).max() < 0.2


def test_deviation_is_ridge_and_its_evidence_a_normal_density():
    rng = np.random.default_rng(0)
    n, rho = 50, 0.3
    x = rng.standard_normal((n, 4))
    y = x @ [[1.0], [0.5], [0.0], [-1.0]] + 0.5 * rng.standard_normal((n, 1))
    first = np.arange(n) == 0
    found, gain = fit_deviation(
        torch.from_numpy(x)[:, None],
        torch.from_numpy(y),
        torch.ones(1, 1).double(),
        Runs(first),
        rho,
    )
    white = whiten(torch.eye(n, dtype=torch.float64), first, rho).numpy()
    ones = white.sum(1) / np.linalg.norm(white.sum(1))
    # An orthonormal basis of what is orthogonal to the whitened intercept.
    rest = np.linalg.svd(ones[None])[2][1:] @ white
    z, v = rest @ x, rest @ y[:, 0]
    gram = z.T @ z
    gains = []
    for exponent in np.linspace(-2, 5, 29):
        penalty = np.linalg.eigvalsh(gram).mean() * 10.0**exponent
        beta = np.linalg.solve(gram + penalty * np.eye(4), z.T @ v)
        covariance = np.eye(n - 1) + z @ z.T / penalty
        # Marginal density with the noise variance at its maximum.
        noise = v @ np.linalg.solve(covariance, v) / (n - 1)
        null = v @ v / (n - 1)
        density = -0.5 * (n - 1) * np.log(noise / null) - 0.5 * np.linalg.slogdet(covariance)[1]
        gains.append((density, beta))
    best, beta = max(gains, key=lambda pair: pair[0])
    assert gain == pytest.approx(best, rel=1e-8)
    np.testing.assert_allclose(found[0], beta, rtol=1e-8)
