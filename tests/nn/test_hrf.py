"""Responses: exact against nilearn, causal against scipy, learnable within bounds."""

import numpy as np
import pytest
import torch
from nilearn.glm.first_level import glover_hrf, spm_hrf
from numpy.testing import assert_allclose
from scipy.signal import fftconvolve

from mne_samba.nn.hrf import (
    HRF_BOUNDS,
    DoubleGammaHRF,
    convolve,
    convolve_frames,
    double_gamma,
    glover_params,
    hrf_basis,
    hrf_dictionary,
    hrf_summary,
    lag_times,
    spm_params,
    summarise_response,
    unit_peak,
)


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
    times = lag_times(30.0, 0.5)
    basis = hrf_basis(times, 8)
    assert_allclose(basis @ basis.T, np.eye(8), atol=1e-10)
    unseen = double_gamma(times, hrf_dictionary(200, random_state=99))
    residual = unseen - unseen @ basis.T @ basis
    assert (residual**2).sum() < 0.005 * (unseen**2).sum()


@pytest.mark.parametrize("n_frames", [5, 1200])
@pytest.mark.parametrize("step", [1, 4])
def test_convolve_frames_equals_scipy(step, n_frames):
    rng = np.random.default_rng(0)
    n_lags = 60
    drive = rng.standard_normal((2, 3, n_lags + (n_frames - 1) * step))
    kernel = double_gamma(lag_times(30.0, 0.5), hrf_dictionary(3))
    full = fftconvolve(drive, np.broadcast_to(kernel, (2, 3, n_lags)), axes=-1)
    expected = 0.5 * full[..., n_lags - 1 : drive.shape[-1] : step]
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        ours = convolve_frames(
            torch.tensor(drive, dtype=dtype), torch.tensor(kernel, dtype=dtype), step, dt=0.5
        )
        assert ours.shape == (2, 3, n_frames)
        assert_allclose(ours.numpy(), expected, atol=tolerance * np.abs(expected).max())


def test_convolve_frames_needs_a_whole_history():
    with pytest.raises(ValueError, match="longer history"):
        convolve_frames(torch.zeros(1, 10), torch.zeros(1, 11))


@pytest.mark.parametrize("shape", [(4, 65, 4100), (256, 4100)])
@pytest.mark.parametrize("shared", [False, True])
def test_long_convolutions_and_their_gradients(shape, shared):
    torch.manual_seed(0)
    drive = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(() if shared else shape[-2:-1], dtype=torch.float64)[..., None]
    kernel = (kernel * torch.rand(50, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(shape, dtype=torch.float64)
    size = shape[-1] + 49
    spectrum = torch.fft.rfft(drive, size) * torch.fft.rfft(0.5 * kernel, size)
    plain = torch.fft.irfft(spectrum, size)[..., : shape[-1]]
    ours = convolve(drive, kernel, 0.5)
    torch.testing.assert_close(ours, plain)
    expected = torch.autograd.grad((plain * weight).sum(), (drive, kernel))
    found = torch.autograd.grad((ours * weight).sum(), (drive, kernel))
    for gradient, other in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, other)


def test_convolve_equals_scipy_and_is_causal():
    rng = np.random.default_rng(1)
    drive, kernel = rng.standard_normal((2, 1500)), rng.standard_normal((2, 400))
    expected = fftconvolve(drive, kernel, axes=-1)[:, :1500]
    ours = convolve(torch.tensor(drive), torch.tensor(kernel)).numpy()
    assert_allclose(ours, expected, atol=1e-5)
    later = drive.copy()
    later[:, 1000:] += 5.0
    changed = convolve(torch.tensor(later), torch.tensor(kernel)).numpy() - ours
    assert np.abs(changed[:, :1000]).max() < 1e-9
    assert np.abs(changed[:, 1000]).min() > 1e-3


@pytest.mark.parametrize("n_frames", [5, 200])
def test_convolve_frames_gradients(n_frames):
    drive = torch.randn(2, 12 + 2 * n_frames, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(2, 12, dtype=torch.float64, requires_grad=True)
    if n_frames == 5:
        assert torch.autograd.gradcheck(lambda d, k: convolve_frames(d, k, 2), (drive, kernel))
    else:
        convolve_frames(drive, kernel, 2).sum().backward()
        expected = torch.stack(
            [drive[:, 11 - j :: 2][:, : n_frames + 1].sum(1) for j in range(12)], 1
        )
        assert_allclose(kernel.grad.numpy(), expected.detach().numpy(), atol=1e-9)


def test_module_gauge_bounds_and_gradients():
    truth = hrf_dictionary(6, random_state=5)
    module = DoubleGammaHRF(6).double().set_params_(truth)
    times = np.arange(0, 40, 0.01)
    assert_allclose(module(times).detach().numpy(), double_gamma(times, truth), atol=5e-2)
    assert [name for name, _ in module.named_parameters()] == ["raw"]
    assert torch.autograd.gradcheck(
        lambda raw: torch.func.functional_call(module, {"raw": raw}, torch.arange(1.0, 20.0)),
        module.raw.detach().clone().requires_grad_(),
        atol=1e-4,
    )
    module.raw.data.normal_(0, 20, generator=torch.Generator().manual_seed(0))
    params = module.params().detach().numpy()
    low, high = HRF_BOUNDS["human"]
    assert np.all((params[:, :4] >= low[:4] * 0.999) & (params[:, :4] <= high[:4] * 1.001))


def test_module_learns_a_planted_response():
    lags = torch.as_tensor(lag_times(30.0, 0.5), dtype=torch.float64)
    target = torch.as_tensor(double_gamma(lags.numpy(), spm_params()))
    module = DoubleGammaHRF(1).double()
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (module(lags)[0] - target).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert_allclose(module(lags)[0].detach().numpy(), target.numpy(), atol=0.01)


def test_sampled_summary_of_a_triangle():
    times = np.arange(0, 20, 0.5)
    hrf = np.interp(times, [0, 4, 8, 12, 16], [0, 2, 0, -0.5, 0])
    summary = summarise_response(times, hrf)
    assert_allclose([summary[k] for k in ("peak_time", "fwhm")], [4.0, 4.0], atol=0.3)
    assert_allclose(summary["undershoot_ratio"], 0.25, atol=0.03)


def test_bad_bounds_are_named():
    with pytest.raises(ValueError, match="human"):
        hrf_dictionary(3, bounds="humans")
    with pytest.raises(ValueError, match="n_basis"):
        hrf_basis(np.arange(5.0), 6)
