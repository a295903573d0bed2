"""Responses, number by number: densities, bounds, dtypes, and every way to convolve."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.signal import fftconvolve

from mne_samba.nn import _hrf_convolve as convolutions
from mne_samba.nn._hrf_gamma import check_bounds, find_peak
from mne_samba.nn.hrf import (
    HRF_BOUNDS,
    HRF_PARAMS,
    MAX_UNDERSHOOT,
    DoubleGammaHRF,
    canonical_params,
    convolve,
    convolve_frames,
    double_gamma,
    glover_params,
    hrf_dictionary,
    lag_times,
    spm_params,
    unit_peak,
)


@pytest.mark.parametrize("maker", [glover_params, spm_params])
@pytest.mark.parametrize(
    "shape", [{}, {"delay": 5.0, "undershoot": 11.0, "dispersion": 0.8, "u_dispersion": 1.3,
                   "ratio": 0.3}]
)  # fmt: skip
def test_parameters_are_a_difference_of_gamma_densities(maker, shape):
    times = np.arange(0.0, 40.0, 0.001)
    defaults = {
        glover_params: (6.0, 12.0, 0.9, 0.9, 0.48), spm_params: (6.0, 16.0, 1.0, 1.0, 0.167),
    }[maker]  # fmt: skip
    delay, undershoot, dispersion, u_dispersion, ratio = shape.values() or defaults
    expected = stats.gamma.pdf(times, delay / dispersion, scale=dispersion)
    expected -= ratio * stats.gamma.pdf(times, undershoot / u_dispersion, scale=u_dispersion)
    ours = double_gamma(times, maker(**shape))
    assert_allclose(ours, expected / expected.max(), atol=1e-6)


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
    assert str(said.value) == "bounds must be one of ['fast', 'human'], got 'rat'."
    good = np.array([1.0, 2, 1, 1, 1, 1])
    wrong = [(good[:5], good + 1), (good, good[:5] + 1)]
    wrong += [(good, good + [i != k for i in range(6)]) for k in range(4)]  # one that stays
    for pair in wrong:
        with pytest.raises(ValueError) as said:
            check_bounds(pair)
        assert str(said.value) == (
            "bounds must be a preset or a pair (low, high) of six increasing values in the order "
            f"of {HRF_PARAMS}, got {pair!r}."
        )


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


def test_a_module_starts_where_it_is_told_inside_its_bounds():
    module = DoubleGammaHRF(3)
    assert module.low.dtype == module.high.dtype == module.raw.dtype == torch.float32
    assert_allclose(module.params().detach()[1], canonical_params(), rtol=2e-2)
    assert_allclose(
        DoubleGammaHRF(2, "fast").params().detach()[0], canonical_params("fast"), rtol=2e-2
    )
    params = hrf_dictionary(3, random_state=4)
    exact = DoubleGammaHRF(3, params=params).double().set_params_(params).params().detach()
    assert_allclose(exact[:, :4], params[:, :4], rtol=2e-2)
    assert_allclose(exact[:, 5] / exact[:, 4], params[:, 5] / params[:, 4], atol=4e-3)
    far = np.array([1e3, 1e-3, 1e3, 1e-3, 1.0, 50.0])
    moved = DoubleGammaHRF(1).double().set_params_(far)
    assert_allclose(torch.sigmoid(moved.raw).detach(), [[0.997, 0.003, 0.997, 0.003, 0.997]])
    low, high = HRF_BOUNDS["human"]
    values = moved.params().detach().numpy()[0]
    assert (values[:4] > low[:4]).all() and (values[:4] < high[:4]).all()
    assert values[5] / values[4] == pytest.approx(0.997 * MAX_UNDERSHOOT)
    with pytest.raises(ValueError) as said:
        DoubleGammaHRF(2).set_params_(np.ones((3, 6)))
    assert str(said.value) == "params must have shape (6,) or (2, 6), got (3, 6)."


def test_lags_are_the_centres_of_bins():
    assert_allclose(lag_times(2.0, 0.5), [0.25, 0.75, 1.25, 1.75])
    assert_allclose(lag_times(2.1, 0.5), [0.25, 0.75, 1.25, 1.75, 2.25])
    assert len(lag_times(30.0, 0.1)) == 300  # 30 / 0.1 is a little more than 300


def test_defaults_are_one_bin_per_frame_and_unit_width():
    rng = np.random.default_rng(0)
    drive, kernel = rng.standard_normal((1, 9)), rng.standard_normal(4)
    expected = np.convolve(drive[0], kernel)
    frames = convolve_frames(torch.tensor(drive), torch.tensor(kernel))
    assert_allclose(frames[0], expected[3:9], atol=1e-12)
    assert_allclose(
        convolve(torch.tensor(drive), torch.tensor(kernel))[0], expected[:9], atol=1e-12
    )
    with pytest.raises(ValueError) as said:
        convolve_frames(torch.zeros(1, 3), torch.zeros(1, 4))
    assert str(said.value) == (
        "drive has 3 bins, fewer than the 4 lags of the response: give a longer history."
    )


@pytest.mark.parametrize("direct", [True, False])
def test_frames_are_the_same_by_products_and_by_transforms(monkeypatch, direct):
    rng = np.random.default_rng(0)
    drive, kernel = rng.standard_normal((2, 3, 101)), rng.standard_normal((3, 17))
    monkeypatch.setattr(convolutions, "_direct_is_faster", lambda *_: direct)
    ours = convolve_frames(torch.tensor(drive), torch.tensor(kernel), 4, 0.25)
    assert ours.shape == (2, 3, 22)
    for region in range(3):
        expected = fftconvolve(drive[:, region], kernel[None, region], axes=-1)[:, 16:101:4]
        assert_allclose(ours[:, region], 0.25 * expected, atol=1e-12)


@pytest.mark.parametrize("by_region", [True, False])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n_lags", [1, 40, 300])
def test_full_rate_is_the_same_region_by_region(monkeypatch, by_region, shared, n_lags):
    rng = np.random.default_rng(0)
    drive, kernel = rng.standard_normal((2, 3, 200)), rng.standard_normal((3, n_lags))
    kernel = kernel[0] if shared else kernel
    monkeypatch.setattr(convolutions, "_in_cache_is_faster", lambda *_: by_region)
    ours = convolve(torch.tensor(drive), torch.tensor(kernel), 0.25)
    assert ours.shape == drive.shape and ours.dtype == torch.float64
    for region in range(3):
        response = kernel if shared else kernel[region]
        expected = fftconvolve(drive[:, region], response[None], axes=-1)[:, :200]
        assert_allclose(ours[:, region], 0.25 * expected, atol=1e-12)


def test_when_products_at_frames_are_taken():
    def chosen(n_bins, n_frames, n_lags, grad=False):
        return convolutions._direct_is_faster(
            torch.empty(1, n_bins, requires_grad=grad), n_frames, n_lags
        )

    assert chosen(4097, 10, 10) and not chosen(4096, 10, 10)
    # 4 * 8192 * log2(8192) = 6656 * 64
    assert chosen(8192, 6655, 64) and not chosen(8192, 6656, 64)
    assert not chosen(4097, 10, 10, grad=True)
    with torch.no_grad():
        assert chosen(4097, 10, 10, grad=True)


def test_when_regions_are_taken_one_at_a_time():
    chosen = convolutions._in_cache_is_faster
    drive, kernel = torch.empty(257, 4096), torch.empty(257, 5)
    assert chosen(drive, kernel) and chosen(drive, kernel[0]) and chosen(drive[None], kernel)
    assert not chosen(drive[:256], kernel[:256])  # just a million
    assert not chosen(torch.empty(257 * 2, 4095), kernel[0])
    assert not chosen(drive.reshape(-1), kernel[0])
    assert not chosen(drive, kernel[:1]) and not chosen(drive, kernel[None])
    assert not chosen(drive.to("meta"), kernel)
