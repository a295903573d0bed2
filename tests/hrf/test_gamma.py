"""The double gamma: nilearn's responses, the equation, bounds, dtypes, its peak."""

import numpy as np
import pytest
import torch
from nilearn.glm.first_level import glover_hrf, spm_hrf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from mne_samba.hrf import (
    HRF_BOUNDS,
    HRF_PARAMS,
    canonical_params,
    check_bounds,
    double_gamma,
    glover_params,
    hrf_dictionary,
    spm_params,
    unit_peak,
)
from mne_samba.hrf.gamma import find_peak


@pytest.mark.parametrize("t_r", [0.72, 2.0])
@pytest.mark.parametrize(
    ("reference", "params"), [(glover_hrf, glover_params), (spm_hrf, spm_params)]
)
def test_equal_to_nilearn(reference, params, t_r):
    oversampling = 20
    expected = reference(t_r, oversampling=oversampling)
    times = np.linspace(0, 32.0, len(expected)) - t_r / oversampling  # nilearn shifts by one sample
    ours = double_gamma(times, params())
    assert_allclose(ours / ours.sum(), expected, atol=1e-6 * expected.max())


@pytest.mark.parametrize(
    ("params", "shape"),
    [(glover_params(), (6.0, 12.0, 0.9, 0.9, 0.48)), (spm_params(), (6.0, 16.0, 1.0, 1.0, 0.167)),
     (glover_params(5.0, 11.0, 0.8, 1.3, 0.3), (5.0, 11.0, 0.8, 1.3, 0.3))],
)  # fmt: skip
def test_parameters_are_a_difference_of_gamma_densities(params, shape):
    times = np.arange(0.0, 40.0, 0.001)
    delay, undershoot, dispersion, u_dispersion, ratio = shape
    expected = stats.gamma.pdf(times, delay / dispersion, scale=dispersion)
    expected -= ratio * stats.gamma.pdf(times, undershoot / u_dispersion, scale=u_dispersion)
    ours = double_gamma(times, params)
    assert_allclose(ours, expected / expected.max(), atol=1e-6)


def test_double_gamma_equals_the_equation():
    times = np.array([-1.0, 0.0, 0.5, 4.0, 13.0])
    d_r, d_u, s_r, s_u, c_r, c_u = params = np.array([5.0, 12.0, 1.1, 0.9, 1.2, 0.4])
    t = times[2:]
    p_r, p_u = d_r * s_r, d_u * s_u
    expected = c_r * (t / p_r) ** d_r * np.exp(-(t - p_r) / s_r)
    expected -= c_u * (t / p_u) ** d_u * np.exp(-(t - p_u) / s_u)
    assert_allclose(double_gamma(times, params), np.r_[0, 0, expected], rtol=1e-12)
    tensor = double_gamma(times, torch.tensor(params))
    assert torch.is_tensor(tensor)
    assert_allclose(tensor.numpy(), np.r_[0, 0, expected], rtol=1e-12)


def test_the_canonical_response_of_a_preset():
    human, fast = canonical_params("human"), canonical_params("fast")
    assert_array_equal(canonical_params(), human)
    assert_array_equal(human, glover_params())
    assert_array_equal(canonical_params(HRF_BOUNDS["fast"]), human)
    assert_allclose(fast[2:4], human[2:4] / 3.0)
    assert_array_equal(fast[[0, 1, 4, 5]], human[[0, 1, 4, 5]])
    # A third of the dispersion compresses time three-fold.
    times = np.arange(0.1, 10, 0.1)
    assert_allclose(double_gamma(times, fast), double_gamma(3 * times, human), atol=1e-12)


def test_bounds_are_a_preset_or_a_pair():
    low, high = check_bounds(([1, 2, 1, 1, 5, 5], [2, 3, 2, 2, 5, 5]))
    assert low.dtype == high.dtype == float
    assert_array_equal(low, [1, 2, 1, 1, 5, 5])
    assert_array_equal(high, [2, 3, 2, 2, 5, 5])
    assert check_bounds("fast") is HRF_BOUNDS["fast"]
    with pytest.raises(ValueError) as said:
        check_bounds("rat")
    presets = "bounds must be one of ['fast', 'fnirs', 'human'], or a pair (low, "
    assert str(said.value).startswith(presets)
    assert str(said.value).endswith("; got 'rat'.")
    good = np.array([1.0, 2, 1, 1, 1, 1])
    wrong = [(good[:5], good + 1), (good, good[:5] + 1)]
    wrong += [(good, good + [i != k for i in range(6)]) for k in range(4)]  # one that stays
    for pair in wrong:
        with pytest.raises(ValueError) as said:
            check_bounds(pair)
        assert str(said.value).startswith(
            "bounds must be one of ['fast', 'fnirs', 'human'], or a pair (low, "
        )
        assert f"in the order of {HRF_PARAMS}; got" in str(said.value)


def test_arrays_stay_arrays_and_tensors_keep_their_precision():
    params, times = glover_params(), np.arange(5.0)
    assert params.dtype == float and isinstance(double_gamma(times, list(params)), np.ndarray)
    single = torch.tensor(params, dtype=torch.float32)
    assert double_gamma(times, single).dtype == torch.float32
    assert unit_peak(single).dtype == torch.float32
    assert double_gamma(torch.arange(5.0), params).dtype == torch.float64
    whole = unit_peak([5, 12, 1, 1, 2, 1])
    assert isinstance(whole, np.ndarray) and whole.dtype == float
    assert_allclose(double_gamma(np.arange(0, 30, 0.001), whole).max(), 1.0, atol=1e-6)
    assert_array_equal(double_gamma([-2.0, -1e-9, 0.0], params), [0.0, 0.0, 0.0])


def test_the_peak_is_the_highest_point_and_its_height_has_gradients():
    params = torch.tensor(hrf_dictionary(20, random_state=1)).requires_grad_()
    time, height = find_peak(params)
    fine = torch.linspace(0, 20, 20001, dtype=torch.float64)
    curves = double_gamma(fine, params.detach())
    assert_allclose(time.detach(), fine[curves.argmax(1)], atol=1e-3)
    assert_allclose(height.detach(), curves.max(1).values, atol=1e-6)
    (gradient,) = torch.autograd.grad(height.sum(), params)
    step = 1e-5
    for k in range(6):
        up, down = params.detach().clone(), params.detach().clone()
        up[:, k] += step
        down[:, k] -= step
        slope = (find_peak(up)[1] - find_peak(down)[1]) / (2 * step)
        assert_allclose(gradient[:, k], slope, atol=1e-5)
