"""The paper's network from BOLD to band power: what it keeps, learns and undoes."""

import numpy as np
import pytest
import torch

from mne_samba.models.graphs import knn_adjacency
from mne_samba.nn.inverse import WAVELET
from mne_samba.nn.inverse_paper import InversePaperLoss, InversePaperNet
from mne_samba.nn.wavelet import waverec


def network(n_targets=6, n_channels=3, n_bands=2, n_frames=24, graphs=True):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    return InversePaperNet(
        n_targets, n_channels, n_bands, n_frames=n_frames, t_r=2.0, n_lags=8, n_hidden=4,
        target_adjacency=knn_adjacency(rng.standard_normal((n_targets, n_targets)), 3)
        if graphs else None,
        source_adjacency=knn_adjacency(rng.standard_normal((n_channels, n_channels)), 2)
        if graphs else None,
    )  # fmt: skip


def test_evoked_power_is_the_convolution_with_the_nodes_own_response():
    net = network().double()
    power = torch.randn(2, 3, 2, 7 + 10, dtype=torch.float64)
    found = net.evoked(power).detach().numpy()
    kernel = net.deconvolution.kernel().detach().numpy()
    assert found.shape == (2, 3, 2, 10)
    for frame in range(10):
        # The bin before the frame comes at the shortest lag.
        expected = np.einsum(
            "wnkj,nj->wnk", power[..., frame : frame + 8].numpy()[..., ::-1], kernel
        )
        np.testing.assert_allclose(found[..., frame], expected, atol=1e-6)


def test_deconvolution_undoes_what_true_coefficients_blur():
    net = network(n_frames=200).double()
    with torch.no_grad():
        net.deconvolution.log_penalty.fill_(-9.0)
    rng = np.random.default_rng(1)
    smooth = np.apply_along_axis(np.convolve, -1, rng.standard_normal((1, 3, 2, 207)), np.ones(4))
    power = torch.as_tensor(smooth[..., :207])
    evoked = waverec(net.true_coefficients(power), WAVELET, n_times=200)
    found = net.deconvolution(evoked[:, :, 0]).detach().numpy()
    # Bin t lies before frame t + 1: the history ends at bin n_lags - 1.
    true = power[:, :, 0, 8:].numpy()
    for node in range(3):
        assert np.corrcoef(found[0, node, 20:180], true[0, node, 20:180])[0, 1] > 0.98


def test_every_learnt_tensor_moves_in_training():
    net = network()
    before = {name: value.clone() for name, value in net.named_parameters()}
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    bold, power = torch.randn(8, 24, 6), torch.randn(8, 3, 2, 31)
    target = {"bold": torch.randn(8, 24, 6), "recording": torch.zeros(8, dtype=torch.long)}
    for _ in range(3):
        optimizer.zero_grad()
        InversePaperLoss()(net(bold, power), target).backward()
        optimizer.step()
    still = [n for n, value in net.named_parameters() if torch.equal(value, before[n])]
    assert still == []


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("n_frames", [8, 24, 61])
def test_any_number_of_frames(graphs, n_frames):
    net = network(graphs=graphs).eval()
    assert net(torch.randn(2, n_frames, 6)).shape == (2, 3, 2, n_frames)


def test_loss_is_what_it_says():
    """Perfect coefficients cost nothing; none at all cost 1; bins to leave out do not count."""
    true = [torch.randn(2, 3, 2, 5), torch.randn(2, 3, 2, 9)]
    found = torch.randn(2, 3, 2, 20)
    rows = found.flatten(1, 2).transpose(1, 2).clone()
    target = {"bold": rows, "recording": torch.zeros(2, dtype=torch.long)}
    loss = InversePaperLoss()
    assert loss((found, true, true), target) == pytest.approx(0.0, abs=1e-5)
    nothing = [torch.zeros_like(t) for t in true]
    assert loss((found, nothing, true), target) == pytest.approx(1.0, abs=1e-5)
    rows[:, 15:] = torch.nan
    found = found.clone()
    found[..., 15:] = 100.0
    assert loss((found, true, true), target) == pytest.approx(0.0, abs=1e-5)
