"""Fits of double gammas: real shapes, either sign, coordinates and their derivatives."""

import numpy as np
from numpy.testing import assert_allclose

from mne_samba.hrf import (
    double_gamma,
    fit_double_gamma,
    glover_params,
    hrf_dictionary,
    hrf_summary,
)
from mne_samba.hrf.fit import response_family, to_coordinates, to_params


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
    family = response_family((np.arange(60) + 0.5) * 0.5)
    x = family.atoms[:3]
    coefs, slopes = family.jacobian(x)
    assert_allclose(coefs, family.coefs(x))
    step = np.array([0, 0, 1e-6, 0, 0])
    assert_allclose(slopes[:, 2], (family.coefs(x + step) - coefs) / 1e-6, atol=1e-3)
