"""The way back as networks: graphs of different size, losses, alignment."""

import numpy as np
import pytest
import torch

from mne_samba.models.graphs import knn_adjacency, nearest
from mne_samba.nn.bipartite import BipartiteAttention
from mne_samba.nn.contrastive import LatentSpace, align, info_nce
from mne_samba.nn.inverse import Deconvolution, InverseNet, SkipLoss, frame_level


@pytest.mark.parametrize(("n_from", "n_to"), [(12, 30), (30, 12)])
def test_attention_carries_features_between_graphs_of_different_size(
    error_of_transfer, n_from, n_to
):
    """A neighbourhood average is learnt to less than 5 % of its variance."""
    rng = np.random.default_rng(9)
    adjacency = nearest(rng.standard_normal((n_to, n_from)), 4)
    average = torch.as_tensor(adjacency / adjacency.sum(1, keepdims=True), dtype=torch.float32)
    torch.manual_seed(0)
    layer = BipartiteAttention(adjacency, 1, 4, n_heads=2)
    assert error_of_transfer(layer, average, lr=0.02) < 0.05


def test_attention_sums_to_one_over_the_marked_nodes_alone():
    adjacency = np.array([[1, 1, 0], [0, 0, 1]], dtype=bool)
    layer = BipartiteAttention(adjacency, 2, 3, n_heads=2)
    alpha, _ = layer.weights(torch.randn(5, 3, 2))
    torch.testing.assert_close(alpha.sum(-2), torch.ones(5, 2, 2))
    assert (alpha[:, 1, 1] == 0).all()


def test_node_without_senders_is_refused():
    with pytest.raises(ValueError, match="attend to nothing"):
        BipartiteAttention(np.zeros((2, 3), bool), 1, 1)


def test_deconvolution_undoes_its_own_response():
    layer = Deconvolution(1, 15, 2.0)
    with torch.no_grad():
        layer.log_penalty.fill_(-7.0)
    rng = np.random.default_rng(10)
    drive = np.convolve(rng.standard_normal(200), np.ones(3) / 3, "same")
    kernel = layer.hrf((torch.arange(15) + 0.5) * 2.0)[0].detach().numpy()
    # Bin t is the latest that frame t + 1 answers to.
    bold = np.concatenate([[0], np.convolve(drive, kernel)[:199]])
    found = layer(torch.as_tensor(bold, dtype=torch.float32)[None, None])[0, 0].detach().numpy()
    assert np.corrcoef(found[10:170], drive[10:170])[0, 1] > 0.99


def network(n_targets=6, n_channels=3, n_bands=2, n_frames=20):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    return InverseNet(
        n_targets, n_channels, n_bands, n_before=2, n_after=3, t_r=2.0, n_lags=8,
        level=frame_level(n_frames),
        target_adjacency=knn_adjacency(rng.standard_normal((n_targets, n_targets)), 3),
        down_adjacency=nearest(rng.standard_normal((n_channels, n_targets)), 3),
    )  # fmt: skip


@pytest.mark.parametrize("n_frames", [2, 7, 20, 31])
def test_network_starts_as_the_filter(n_frames):
    net = network().double()
    filters = np.random.default_rng(1).standard_normal((6, 6, 6))
    net.set_filter_(filters)
    bold = np.random.default_rng(2).standard_normal((n_frames + 5, 6))
    out = net(torch.as_tensor(bold)[None])[0].detach().numpy()
    expected = sum(bold[i : i + n_frames] @ filters[:, :, i].T for i in range(6)).T
    np.testing.assert_allclose(out.reshape(6, n_frames), expected, atol=1e-9)


def test_every_learnt_tensor_moves_in_training():
    net = network()
    before = {name: value.clone() for name, value in net.named_parameters()}
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    bold, power = torch.randn(8, 25, 6), torch.randn(8, 3, 2, 20)
    for _ in range(4):
        optimizer.zero_grad()
        SkipLoss()(net(bold), power).backward()
        optimizer.step()
    still = [n for n, value in net.named_parameters() if torch.equal(value, before[n])]
    assert still == []
    # Heads of details and of the approximation, all of them.
    moved = (net.branch.heads != before["branch.heads"]).flatten(1).any(1)
    assert moved.tolist() == [True] * (frame_level(20) + 1)


def test_recordings_hold_the_frames_of_windows():
    """A head belongs to one level: what it learnt in windows it does in recordings of any length.

    Coefficients lie on a grid of two to the power of the level: windows start there.
    """
    net = network(n_frames=30).double()
    with torch.no_grad():
        net.filter.weight.zero_()
        net.filter.bias.zero_()
        net.branch.gate.fill_(1.0)
    bold = torch.as_tensor(np.random.default_rng(3).standard_normal((1, 605, 6)))
    with torch.no_grad():
        whole = net(bold)
        for first in (120, 256, 400):
            part = net(bold[:, first : first + 65])
            inner, same = part[..., 20:40], whole[..., first + 20 : first + 40]
            error = (inner - same).square().mean() / same.square().mean()
            assert error < 1e-3
    shares = []
    for head in range(len(net.branch.heads)):
        only = network(n_frames=30).double()
        only.load_state_dict(net.state_dict())
        with torch.no_grad():
            only.branch.heads[torch.arange(len(net.branch.heads)) != head] = 0
            shares.append([only(b).square().mean() / net(b).square().mean()
                           for b in (bold[:, :35], bold)])  # fmt: skip
    # No head is silent in windows and loud in recordings.
    shares = np.array(shares)
    assert (shares > 0.01).all() and np.abs(np.log(shares[:, 0] / shares[:, 1])).max() < np.log(3)


def test_loss_is_zero_for_the_truth_and_blind_to_unknown_bins():
    power = torch.randn(2, 3, 2, 20)
    assert SkipLoss()(power, power) == 0
    gaps = power.clone()
    gaps[..., -5:] = torch.nan
    wrong = power.clone()
    wrong[..., -5:] += 3
    assert SkipLoss()(wrong, gaps) < 1e-10
    assert SkipLoss()(power + 1, power) > 0.5


def test_contrastive_loss_is_at_chance_for_strangers():
    torch.manual_seed(1)
    zero = torch.tensor(0.0)
    strangers = info_nce(torch.randn(64, 500), torch.randn(64, 500), zero)
    assert float(strangers) == pytest.approx(np.log(64), abs=0.1)
    same = torch.randn(64, 500)
    assert float(info_nce(same, same, torch.tensor(5.0))) < 0.01


def test_alignment_finds_a_rotation_and_never_ends_worse_than_it_began():
    rng = np.random.default_rng(11)
    rotation = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    ele = rng.standard_normal((60, 4, 12))
    hemo = np.einsum("ab,wbt->wat", rotation, ele) + 0.3 * rng.standard_normal(ele.shape)
    first, second = (torch.as_tensor(a, dtype=torch.float32) for a in (ele, hemo))
    space = LatentSpace(np.eye(4, dtype=np.float32))
    history = align(
        space,
        (first[:40], second[:40], second[:40]),
        (first[40:], second[40:], second[40:]),
        max_epochs=200,
        patience=10,
        lr=0.05,
    )
    start = history[0]["valid_loss"]
    with torch.no_grad():
        end = float(space.loss(first[40:], second[40:], second[40:]))
    assert end < 0.7 * start
