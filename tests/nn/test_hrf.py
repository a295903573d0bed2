"""The module of responses: within bounds, at unit peak, learnable."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mne_samba.hrf import (
    HRF_BOUNDS,
    MAX_UNDERSHOOT,
    canonical_params,
    double_gamma,
    hrf_dictionary,
    spm_params,
)
from mne_samba.nn.hrf import DoubleGammaHRF


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


def test_module_learns_a_planted_response():
    lags = torch.as_tensor((np.arange(60) + 0.5) * 0.5, dtype=torch.float64)
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
