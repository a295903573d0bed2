"""Fits of responses: real shapes, penalties, whitening, deconvolution, coordinates."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.signal import lfilter
from sklearn.linear_model import Ridge

from mne_samba.nn._hrf_deconvolve import autocovariance, deconvolve
from mne_samba.nn._hrf_map import evidence_ridge
from mne_samba.nn._hrf_stats import Recording, ar_coefficient, convolve_basis, design, whiten
from mne_samba.nn.hrf import double_gamma, glover_params, hrf_dictionary, hrf_summary, lag_times
from mne_samba.nn.hrf_fit import fit_double_gamma, response_family, to_coordinates, to_params


def test_real_human_responses_are_double_gammas(shared_data):
    responses = np.loadtxt(shared_data / "nsd_hrfs" / "getcanonicalhrflibrary.tsv").T
    times = 0.1 * np.arange(responses.shape[1])
    params, scale = fit_double_gamma(times, responses)
    fitted = scale[:, None] * double_gamma(times, params)
    total = ((responses - responses.mean(1, keepdims=True)) ** 2).sum(1)
    r2 = 1 - ((responses - fitted) ** 2).sum(1) / total
    assert r2.mean() >= 0.99
    assert r2.min() >= 0.93
    # The latest three are asymmetric as no double gamma is: sharp after their peak.
    measured, peaks = times[responses.argmax(1)], hrf_summary(params)["peak_time"]
    assert_allclose(peaks[:17], measured[:17], atol=0.2)
    assert_allclose(peaks[17:], measured[17:], atol=0.6)


def test_double_gamma_of_a_negative_response():
    times = np.arange(0.0, 30.0, 0.2)
    params, scale = fit_double_gamma(times, -3 * double_gamma(times, glover_params())[None])
    assert_allclose(scale, -3, rtol=1e-2)
    assert_allclose(
        hrf_summary(params)["peak_time"], hrf_summary(glover_params())["peak_time"], 1e-2
    )


def test_coordinates_round_trip():
    params = hrf_dictionary(30, random_state=4)
    assert_allclose(to_params(to_coordinates(params)), params, rtol=1e-6)


def test_jacobian_of_the_family_against_forward_differences():
    family = response_family(lag_times(30.0, 0.5))
    x = family.atoms[:3]
    coefs, slopes = family.jacobian(x)
    assert_allclose(coefs, family.coefs(x))
    step = np.array([0, 0, 1e-6, 0, 0])
    assert_allclose(slopes[:, 2], (family.coefs(x + step) - coefs) / 1e-6, atol=1e-3)


def test_evidence_ridge_is_ridge_and_beats_no_penalty():
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((80, 40)), 0.3 * rng.standard_normal(40)
    y = X @ w + 2 * rng.standard_normal(80)
    ours, penalty = evidence_ridge(
        (X.T @ X)[None], (X.T @ y)[None], np.array([y @ y]), np.array([80.0])
    )
    expected = Ridge(alpha=penalty[0], fit_intercept=False).fit(X, y).coef_
    assert_allclose(ours[0], expected, atol=1e-8)
    least_squares = np.linalg.lstsq(X, y, rcond=None)[0]
    assert np.linalg.norm(ours[0] - w) < 0.8 * np.linalg.norm(least_squares - w)


def test_whitening_removes_autoregression_and_respects_gaps():
    rng = np.random.default_rng(1)
    noise = lfilter([1], [1, -0.6], rng.standard_normal((2, 5000)), axis=1)
    follows = np.ones(5000, bool)
    follows[[0, 2000]] = False
    ar = ar_coefficient([noise], [follows])
    assert_allclose(ar, 0.6, atol=0.04)
    white = whiten(noise, ar, follows)
    assert_allclose(ar_coefficient([white], [follows]), 0, atol=0.03)
    assert_allclose(white[:, 2000], np.sqrt(1 - ar**2) * noise[:, 2000])
    assert_allclose(white.std(), 1.0, atol=0.03)


def test_design_has_no_drift_and_skips_unused_frames():
    rng = np.random.default_rng(2)
    basis, step, dt = rng.standard_normal((3, 10)), 2, 0.5
    bins = rng.standard_normal((4, 10 + 2 * 19))
    rows = np.full(20, -1)
    used = np.array([0, 3, 4, 9, 19])
    rows[used] = np.arange(5)
    drift = np.full((5, 1), 5**-0.5)
    recording = Recording([bins], [rows], np.zeros((5, 4)), np.zeros(5, bool), drift)
    Z = design(recording, np.arange(4), basis, step, dt)
    expected = convolve_basis(bins, basis, step, dt)[..., used]
    assert_allclose(Z, expected - expected.mean(-1, keepdims=True), atol=1e-12)


@pytest.mark.parametrize("n_frames", [60, 300])
def test_deconvolution_inverts_convolution(n_frames):
    rng = np.random.default_rng(3)
    step, dt = 4, 0.5
    lags = lag_times(30.0, dt)
    kernel = double_gamma(lags, glover_params())[None]
    n_bins = len(lags) + (n_frames - 1) * step
    slow = lfilter([1], [1, -0.97], rng.standard_normal((1, n_bins + 500)))[:, 500:]
    slow = (slow - slow.mean()) / slow.std()
    bold = 2.0 * convolve_basis(slow, kernel, step, dt)[:, 0]
    acf = autocovariance([slow], 200)
    scale, noise, ar = np.array([2.0]), np.array([1e-3]), np.array([0.0])
    estimate = deconvolve(bold, kernel, scale, noise, ar, acf, step, dt)
    inner = slice(len(lags), n_bins - 20)
    assert np.corrcoef(estimate[0, inner], slow[0, inner])[0, 1] > 0.93
    # The estimate explains the BOLD: it is a (regularised) inverse, not just something alike.
    again = 2.0 * convolve_basis(estimate, kernel, step, dt)[:, 0]
    assert np.corrcoef(again[0], bold[0])[0, 1] > 0.99
