"""Graph attention against torch-geometric."""

import numpy as np
import pytest
import torch

from mne_samba.nn.graph import GraphAttention, GraphCorrection, neighbour_table

N_NODES, N_IN, N_OUT, N_HEADS = 9, 5, 3, 4


def uneven_adjacency(seed=0):
    """Self-loops, and neighbourhoods of one node up to all of them."""
    rng = np.random.default_rng(seed)
    adjacency = rng.random((N_NODES, N_NODES)) < 0.35
    np.fill_diagonal(adjacency, True)
    adjacency[0] = np.eye(N_NODES, dtype=bool)[0]
    adjacency[1] = True
    return adjacency


def our_layer(adjacency, seed=0):
    torch.manual_seed(seed)
    layer = GraphAttention(adjacency, N_IN, N_OUT, N_HEADS).double()
    # A bias of zero would leave its place in the sum untested.
    with torch.no_grad():
        layer.bias.normal_()
    return layer


def their_layer(layer):
    """GATv2Conv of torch-geometric with the same numbers."""
    from torch_geometric.nn import GATv2Conv

    conv = GATv2Conv(
        N_IN, N_OUT, heads=N_HEADS, concat=True, negative_slope=0.2, add_self_loops=False
    ).double()
    with torch.no_grad():
        conv.lin_l.weight.copy_(layer.source.weight)
        conv.lin_l.bias.copy_(layer.source.bias)
        conv.lin_r.weight.copy_(layer.target.weight)
        conv.lin_r.bias.copy_(layer.target.bias)
        conv.att.copy_(layer.attention[None])
        conv.bias.copy_(layer.bias)
    return conv


def edges_of(adjacency):
    """Edges from the node that sends to the node that attends."""
    attends, sends = np.nonzero(adjacency)
    return torch.as_tensor(np.stack([sends, attends]))


@pytest.mark.parametrize("seed", [0, 1])
def test_attention_equals_torch_geometric(seed):
    adjacency = uneven_adjacency(seed)
    degree = adjacency.sum(axis=1)
    assert degree.min() == 1 and degree.max() == N_NODES
    ours = our_layer(adjacency, seed)
    theirs = their_layer(ours)
    x = torch.randn(N_NODES, N_IN, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x, edges_of(adjacency)), rtol=1e-6, atol=1e-9)


def test_attention_coefficients_equal_torch_geometric():
    adjacency = uneven_adjacency()
    ours = our_layer(adjacency)
    x = torch.randn(N_NODES, N_IN, dtype=torch.float64)
    _, (edges, expected) = their_layer(ours)(x, edges_of(adjacency), return_attention_weights=True)
    alpha, _ = ours.weights(x)
    dense = torch.zeros(N_NODES, N_NODES, N_HEADS, dtype=torch.float64)
    for node in range(N_NODES):
        for slot in torch.nonzero(ours.valid[node]).ravel():
            dense[node, ours.neighbours[node, slot]] = alpha[node, slot]
    torch.testing.assert_close(dense[edges[1], edges[0]], expected, rtol=1e-6, atol=1e-9)


def test_gradients_equal_torch_geometric():
    adjacency = uneven_adjacency()
    ours = our_layer(adjacency)
    theirs = their_layer(ours)
    x = torch.randn(N_NODES, N_IN, dtype=torch.float64)
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    probe = torch.randn(N_NODES, N_HEADS * N_OUT, dtype=torch.float64)
    (ours(mine) * probe).sum().backward()
    (theirs(other, edges_of(adjacency)) * probe).sum().backward()
    pairs = [
        (mine.grad, other.grad),
        (ours.source.weight.grad, theirs.lin_l.weight.grad),
        (ours.source.bias.grad, theirs.lin_l.bias.grad),
        (ours.target.weight.grad, theirs.lin_r.weight.grad),
        (ours.target.bias.grad, theirs.lin_r.bias.grad),
        (ours.attention.grad, theirs.att.grad[0]),
        (ours.bias.grad, theirs.bias.grad),
    ]
    for mine, other in pairs:
        assert mine.abs().max() > 0
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-9)


def test_batches_and_times_are_independent():
    layer = our_layer(uneven_adjacency())
    x = torch.randn(2, 6, N_NODES, N_IN, dtype=torch.float64)
    together = layer(x)
    assert together.shape == (2, 6, N_NODES, N_HEADS * N_OUT)
    for i in range(2):
        for t in range(6):
            torch.testing.assert_close(together[i, t], layer(x[i, t]))


def test_permuting_nodes_permutes_the_output():
    adjacency = uneven_adjacency()
    layer = our_layer(adjacency)
    order = np.random.default_rng(3).permutation(N_NODES)
    moved = GraphAttention(adjacency[np.ix_(order, order)], N_IN, N_OUT, N_HEADS).double()
    names = ("source.weight", "source.bias", "target.weight", "target.bias", "attention", "bias")
    state = layer.state_dict()
    moved.load_state_dict({name: state[name] for name in names}, strict=False)
    x = torch.randn(N_NODES, N_IN, dtype=torch.float64)
    torch.testing.assert_close(moved(x[order]), layer(x)[order])


def test_nodes_listen_to_their_neighbours_alone():
    adjacency = uneven_adjacency()
    layer = our_layer(adjacency)
    x = torch.randn(N_NODES, N_IN, dtype=torch.float64)
    base = layer(x)
    for node in range(N_NODES):
        changed = x.clone()
        changed[node] += 1.0
        moved = (layer(changed) - base).abs().amax(dim=1) > 1e-12
        np.testing.assert_array_equal(moved.numpy(), adjacency[:, node])


def test_attention_sums_to_one_over_neighbours_and_is_zero_at_fillings():
    layer = our_layer(uneven_adjacency())
    alpha, _ = layer.weights(torch.randn(7, N_NODES, N_IN, dtype=torch.float64))
    torch.testing.assert_close(alpha.sum(-2), torch.ones(7, N_NODES, N_HEADS).double())
    assert (alpha[:, ~layer.valid] == 0).all()
    assert (alpha[:, layer.valid] > 0).all()


def test_neighbour_table_lists_neighbours_and_marks_fillings():
    adjacency = uneven_adjacency()
    neighbours, valid = neighbour_table(adjacency)
    assert neighbours.shape == valid.shape == (N_NODES, N_NODES)
    for node in range(N_NODES):
        listed = neighbours[node, valid[node]].tolist()
        assert listed == np.flatnonzero(adjacency[node]).tolist()
        assert valid[node].sum() == adjacency[node].sum()


def test_a_node_without_neighbours_is_refused():
    adjacency = uneven_adjacency()
    adjacency[4] = False
    with pytest.raises(ValueError, match=r"Nodes \[4\] have no neighbour"):
        GraphAttention(adjacency, N_IN, N_OUT)


def test_correction_adds_nothing_until_its_gate_opens():
    torch.manual_seed(0)
    part = GraphCorrection(uneven_adjacency(), N_IN)
    features = torch.randn(2, N_NODES, 11, N_IN)
    out = part(features)
    assert out.shape == (2, N_NODES, 11) and (out == 0).all()
    (out * torch.randn(out.shape)).sum().backward()
    assert part.gate.grad.abs() > 0
    with torch.no_grad():
        part.gate.fill_(0.5)
    half = part(features)
    with torch.no_grad():
        part.gate.fill_(1.0)
    assert half.abs().max() > 0
    torch.testing.assert_close(part(features), 2 * half)
