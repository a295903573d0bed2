"""Convolutions: causal against scipy, with gradients, the same by every way to compute them."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.signal import fftconvolve

from mne_samba.hrf import (
    convolution,
    convolve,
    convolve_frames,
    double_gamma,
    hrf_dictionary,
)


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


@pytest.mark.parametrize("n_times", [1, 2, 15, 16, 17, 177])
def test_transforms_fill_vectors_and_wrap_nothing_around(n_times):
    size = convolution.fast_length(n_times)
    assert size % 16 == 0 and n_times <= size < n_times + 16
    drive, kernel = np.random.default_rng(0).standard_normal((2, 1, n_times))
    expected = np.convolve(drive[0], kernel[0])[:n_times]
    ours = convolve(torch.tensor(drive), torch.tensor(kernel))
    assert_allclose(ours[0], expected, atol=1e-12)


@pytest.mark.parametrize("n_frames", [5, 1200])
@pytest.mark.parametrize("step", [1, 4])
def test_convolve_frames_equals_scipy(step, n_frames):
    rng = np.random.default_rng(0)
    n_lags = 60
    drive = rng.standard_normal((2, 3, n_lags + (n_frames - 1) * step))
    kernel = double_gamma((np.arange(60) + 0.5) * 0.5, hrf_dictionary(3))
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


@pytest.mark.parametrize("direct", [True, False])
def test_frames_are_the_same_by_products_and_by_transforms(monkeypatch, direct):
    rng = np.random.default_rng(0)
    drive, kernel = rng.standard_normal((2, 3, 101)), rng.standard_normal((3, 17))
    monkeypatch.setattr(convolution, "_direct_is_faster", lambda *_: direct)
    ours = convolve_frames(torch.tensor(drive), torch.tensor(kernel), 4, 0.25)
    assert ours.shape == (2, 3, 22)
    for region in range(3):
        expected = fftconvolve(drive[:, region], kernel[None, region], axes=-1)[:, 16:101:4]
        assert_allclose(ours[:, region], 0.25 * expected, atol=1e-12)


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


@pytest.mark.parametrize("block", [1, 800, 1 << 20])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n_lags", [1, 40, 300])
def test_full_rate_is_the_same_region_by_region(monkeypatch, block, shared, n_lags):
    rng = np.random.default_rng(0)
    drive, kernel = rng.standard_normal((2, 3, 200)), rng.standard_normal((3, n_lags))
    kernel = kernel[0] if shared else kernel
    monkeypatch.setattr(convolution, "_BLOCK", block)
    ours = convolve(torch.tensor(drive), torch.tensor(kernel), 0.25)
    assert ours.shape == drive.shape and ours.dtype == torch.float64
    for region in range(3):
        response = kernel if shared else kernel[region]
        expected = fftconvolve(drive[:, region], response[None], axes=-1)[:, :200]
        assert_allclose(ours[:, region], 0.25 * expected, atol=1e-12)


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


def test_when_products_at_frames_are_taken():
    def chosen(n_bins, n_frames, n_lags, grad=False):
        return convolution._direct_is_faster(
            torch.empty(1, n_bins, requires_grad=grad), n_frames, n_lags
        )

    assert chosen(4097, 10, 10) and not chosen(4096, 10, 10)
    # 4 * 8192 * log2(8192) = 6656 * 64
    assert chosen(8192, 6655, 64) and not chosen(8192, 6656, 64)
    assert not chosen(4097, 10, 10, grad=True)
    with torch.no_grad():
        assert chosen(4097, 10, 10, grad=True)
