"""Shapes of responses: their summary, plausible ones at random, a basis for them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mne_samba.hrf import (
    HRF_BOUNDS,
    double_gamma,
    hrf_basis,
    hrf_dictionary,
    hrf_summary,
    summarise_response,
    unit_peak,
)


def test_unit_peak_and_summary_against_a_fine_grid():
    params = hrf_dictionary(40, random_state=3)
    times = np.arange(0, 40, 1e-3)
    fine = double_gamma(times, params)
    assert_allclose(fine.max(1), 1.0, atol=1e-6)
    summary = hrf_summary(params)
    assert_allclose(summary["peak_time"], times[fine.argmax(1)], atol=2e-3)
    width = [np.ptp(times[f >= 0.5]) for f in fine]
    assert_allclose(summary["fwhm"], width, atol=5e-3)
    depth = [max(0.0, -f[f.argmax() :].min()) for f in fine]
    assert_allclose(summary["undershoot_ratio"], depth, atol=1e-3)
    assert_allclose(unit_peak(params * [1, 1, 1, 1, 7, 7]), params, rtol=1e-6)


def test_sampled_summary_of_a_triangle():
    times = np.arange(0, 20, 0.5)
    hrf = np.interp(times, [0, 4, 8, 12, 16], [0, 2, 0, -0.5, 0])
    summary = summarise_response(times, hrf)
    assert_allclose([summary[k] for k in ("peak_time", "fwhm")], [4.0, 4.0], atol=0.3)
    assert_allclose(summary["undershoot_ratio"], 0.25, atol=0.03)


@pytest.mark.parametrize(("bounds", "peak"), [("human", (2, 9)), ("fast", (0.5, 4))])
def test_dictionary_is_wide_plausible_and_seeded(bounds, peak):
    params = hrf_dictionary(500, bounds, random_state=1)
    low, high = HRF_BOUNDS[bounds]
    assert np.all((params >= low - 1e-9) & (params <= high + 1e-9))
    summary = hrf_summary(params)
    assert summary["peak_time"].min() >= peak[0] and summary["peak_time"].max() <= peak[1]
    assert np.ptp(summary["peak_time"]) > 0.8 * np.ptp(peak)
    assert summary["undershoot_ratio"].max() <= 0.6
    assert summary["undershoot_ratio"].max() > 0.4
    assert_allclose(hrf_dictionary(500, bounds, random_state=1), params)


def test_basis_is_orthonormal_and_spans_the_dictionary():
    times = (np.arange(60) + 0.5) * 0.5
    basis = hrf_basis(times, 8)
    assert_allclose(basis @ basis.T, np.eye(8), atol=1e-10)
    unseen = double_gamma(times, hrf_dictionary(200, random_state=99))
    residual = unseen - unseen @ basis.T @ basis
    assert (residual**2).sum() < 0.005 * (unseen**2).sum()


def test_bad_bounds_are_named():
    with pytest.raises(ValueError, match="human"):
        hrf_dictionary(3, bounds="humans")
    with pytest.raises(ValueError, match="n_basis"):
        hrf_basis(np.arange(5.0), 6)
