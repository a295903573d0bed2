"""Discrete wavelets as matrices, against PyWavelets."""

import numpy as np
import pytest
import pywt
import torch
from numpy.testing import assert_allclose

from mne_samba.nn.wavelet import MODES, wavedec, waverec

WAVELETS = ["haar", "db2", "db5", "sym8", "coif3", "bior3.5", "rbio1.3", "db20", "dmey"]


def _signal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize(("n_times", "level"), [(400, 3), (401, 5), (37, 2), (1024, 7)])
@pytest.mark.filterwarnings("ignore:Level value")
def test_equal_to_pywavelets_and_invertible(wavelet, mode, n_times, level):
    signal = _signal(3, n_times)
    expected = pywt.wavedec(signal, wavelet, mode=mode, level=level)
    coefs = wavedec(torch.from_numpy(signal), wavelet, level, mode)
    assert len(coefs) == len(expected)
    for coef, truth in zip(coefs, expected, strict=True):
        assert_allclose(coef.numpy(), truth, atol=1e-9 * np.abs(truth).max())
    back = waverec(coefs, wavelet, mode, n_times=n_times)
    # The Meyer wavelet is a truncated approximation: PyWavelets' own inverse is as far off.
    own = pywt.waverec(expected, wavelet, mode=mode)[:, :n_times]
    assert_allclose(back.numpy(), own, atol=1e-9)
    if wavelet != "dmey":
        assert_allclose(back.numpy(), signal, atol=1e-8)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_times", [1, 2, 3, 5])
@pytest.mark.filterwarnings("ignore:Level value")
def test_signals_shorter_than_the_filter(mode, n_times):
    if mode in ("reflect", "antireflect", "smooth") and n_times == 1:
        pytest.skip("PyWavelets has no rule for a single sample here")
    signal = _signal(2, n_times)
    expected = pywt.dwt(signal, "db5", mode=mode)
    for coef, truth in zip(
        wavedec(torch.from_numpy(signal), "db5", 1, mode), expected, strict=True
    ):
        assert_allclose(coef.numpy(), truth, atol=1e-9)


def test_default_level_and_even_length_are_pywavelets():
    signal = torch.from_numpy(_signal(2, 2, 333))
    coefs = wavedec(signal, "db4")
    expected = pywt.wavedec(signal.numpy(), "db4")
    assert [tuple(c.shape) for c in coefs] == [c.shape for c in expected]
    back = waverec(coefs, "db4")
    assert_allclose(back.numpy(), pywt.waverec(expected, "db4"), atol=1e-10)


def test_single_precision():
    signal = torch.from_numpy(_signal(5, 400)).float()
    exact = pywt.wavedec(signal.double().numpy(), "db5", level=3)
    for coef, truth in zip(wavedec(signal, "db5", 3), exact, strict=True):
        assert coef.dtype == torch.float32
        assert np.linalg.norm(coef.numpy() - truth) < 1e-6 * np.linalg.norm(truth)


@pytest.mark.parametrize("mode", ["symmetric", "periodization", "zero"])
def test_gradients(mode):
    signal = torch.from_numpy(_signal(2, 41)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(wavedec(x, "db3", 4, mode)), signal)
    coefs = [c.detach().requires_grad_() for c in wavedec(signal, "db3", 4, mode)]
    assert torch.autograd.gradcheck(lambda *c: waverec(c, "db3", mode, 41), coefs)
    assert torch.autograd.gradgradcheck(lambda x: wavedec(x, "db3", 2, mode)[0] ** 2, signal)


def test_orthogonal_transform_keeps_energy():
    signal = torch.from_numpy(_signal(4, 256))
    coefs = wavedec(signal, "db5", 4, "periodization")
    energy = sum((c**2).sum(-1) for c in coefs)
    assert_allclose(energy.numpy(), (signal**2).sum(-1).numpy(), rtol=1e-10)


def test_bad_arguments():
    signal = torch.zeros(2, 100)
    with pytest.raises(ValueError, match="not a discrete wavelet"):
        wavedec(signal, "morl")
    with pytest.raises(ValueError, match="mode must be one of"):
        wavedec(signal, "db2", mode="nearest")
    with pytest.raises(ValueError, match="level must be"):
        wavedec(signal, "db2", level=0)
    with pytest.raises(ValueError, match="at least one level"):
        waverec([signal], "db2")
    coefs = wavedec(signal, "db2", 2)
    with pytest.raises(ValueError, match="of 90 samples has"):
        waverec(coefs, "db2", n_times=90)


@pytest.mark.parametrize("n_times", [1500, 1501])
def test_long_signals_are_filtered_and_short_ones_multiplied(n_times):
    """From some length on no matrix is made, unless a gradient is asked for: the same numbers."""
    signal = torch.from_numpy(_signal(2, n_times))
    filtered = wavedec(signal, "db5", 4)
    learnt = wavedec(signal.clone().requires_grad_(), "db5", 4)
    assert learnt[0].requires_grad and not filtered[0].requires_grad
    for a, b in zip(filtered, learnt, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-10, atol=1e-10)
    back = waverec(learnt, "db5", n_times=n_times)
    torch.testing.assert_close(back.detach(), signal)
    torch.testing.assert_close(waverec(filtered, "db5", n_times=n_times), signal)
    with pytest.raises(ValueError, match="Cut the signal into windows"):
        wavedec(torch.zeros(20_000, requires_grad=True), "db5")


def test_what_prediction_cached_serves_training():
    signal = torch.randn(3, 53)
    with torch.inference_mode():
        coefs = wavedec(signal, "coif1", 2)
        waverec(coefs, "coif1", n_times=53)
    signal.requires_grad_()
    waverec(wavedec(signal, "coif1", 2), "coif1", n_times=53).sum().backward()
    torch.testing.assert_close(signal.grad, torch.ones(3, 53))
