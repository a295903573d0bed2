"""Free responses of every drive: ridge on smooth lags, by the primal or by the dual problem."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from mne_samba.core.free import _ridge, fit_free
from mne_samba.hrf import double_gamma, spm_params

DT = 1.0
SHAPE = double_gamma(np.arange(0.5, 20.5, DT), spm_params())


@pytest.fixture(scope="module")
def late():
    """Three drives of one target whose responses are 0, 4 and 8 s late, and their responses."""
    rng = np.random.default_rng(0)
    power = lfilter([1], [1, -0.6], rng.standard_normal((3, 1530)), axis=1)
    shapes = np.stack([np.concatenate([np.zeros(k), SHAPE, np.zeros(10 - k)]) for k in (0, 4, 8)])
    clean = sum(np.convolve(p, h)[: len(p)] for p, h in zip(power, shapes, strict=True))
    bold = clean / clean.std() + 0.5 * rng.standard_normal(len(clean))
    return power[None], bold[29:, None], shapes / clean.std()


def test_responses_of_single_drives_are_recovered(late):
    power, bold, shapes = late
    fit = fit_free([power], [bold], dt=DT, step=1)
    found = np.einsum("bl,bk->kl", fit.basis, fit.coef[0, :, 0])
    for one, true in zip(found, shapes, strict=True):
        assert np.corrcoef(one, true)[0, 1] > 0.97
        np.testing.assert_allclose(np.linalg.norm(one), np.linalg.norm(true), rtol=0.15)


def test_predictions_are_convolutions(late):
    power, bold, _ = late
    fit = fit_free([power], [bold], dt=DT, step=1)
    kernel = np.einsum("bl,bk->kl", fit.basis, fit.coef[0, :, 0]) * DT
    wanted = sum(np.convolve(p, k, "valid") for p, k in zip(power[0], kernel, strict=True))
    (frames,) = fit.predict([power], power.shape[-1] - len(bold) + 1, 1, DT)
    np.testing.assert_allclose(frames[:, 0], wanted + fit.intercept, atol=1e-9)


def test_bins_may_be_shorter_than_those_of_the_fit(late):
    power, bold, _ = late
    fit = fit_free([power], [bold], dt=DT, step=1)
    (coarse,) = fit.predict([power], 30, 1, DT)
    (fine,) = fit.predict([np.repeat(power, 2, axis=-1)], 60, 2, DT / 2)
    assert np.corrcoef(coarse[:, 0], fine[: len(coarse), 0])[0, 1] > 0.995


@pytest.mark.parametrize("shape", [(200, 20), (40, 200)])
def test_coefficients_solve_a_ridge_problem(shape):
    """Of more rows than columns, and of fewer: the gradient of a penalised square is nought."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape)
    y = x[:, :3] @ rng.standard_normal((3, 2)) + rng.standard_normal((shape[0], 2))
    coef, evidence = _ridge(torch.from_numpy(x), torch.from_numpy(y))
    gradient = x.T @ (y - x @ coef.numpy())
    penalty = (gradient * coef.numpy()).sum() / (coef.numpy() ** 2).sum()
    np.testing.assert_allclose(gradient, penalty * coef.numpy(), atol=1e-8 * np.abs(gradient).max())
    assert penalty > 0 and evidence > 0


def test_a_quick_fit_says_nearly_the_same():
    """Of fewer frames than coefficients, which have single precision and fewer components."""
    rng = np.random.default_rng(3)
    power = lfilter([1], [1, -0.6], rng.standard_normal((40, 630)), axis=1)
    bold = lfilter(SHAPE, 1.0, rng.standard_normal((4, 40)) @ power, axis=1)[:, 29:].T
    parts = [power[None, :, :429], power[None, :, 400:]]
    full, quick = (
        fit_free(parts[:1], [bold[:400]], dt=DT, step=1, rho=0.3, quick=q) for q in (False, True)
    )
    assert full.coef.shape[1] == 2 * quick.coef.shape[1] and 8 * 40 < 400 < 16 * 40
    found = [fit.predict(parts[1:], 30, 1, DT)[0] for fit in (full, quick)]
    assert np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1] > 0.99


def test_noise_has_no_evidence():
    rng = np.random.default_rng(2)
    fit = fit_free(
        [rng.standard_normal((1, 2, 829))], [rng.standard_normal((800, 3))], dt=DT, step=1
    )
    assert fit.evidence < 3.0


def test_too_many_coefficients_and_frames_are_not_tried():
    power = np.zeros((50, 6, 4130), np.float32)
    assert fit_free([power], [np.zeros((4101, 1))], dt=DT, step=1) is None
