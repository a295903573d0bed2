"""Graphs of torch-geometric as edges between channels, and back."""

import mne
import numpy as np
import pytest
import torch
from sklearn.neighbors import kneighbors_graph, radius_neighbors_graph
from torch_geometric import transforms
from torch_geometric.data import Data, HeteroData

from mne_samba.models.geometric import geometric_adjacency, is_geometric
from mne_samba.models.graphs import Graphs, source_adjacency

N = 12
NAMES = [f"ch{i}" for i in range(N)]
PLACES = np.random.default_rng(0).uniform(-0.1, 0.1, (N, 3))
POWER = np.random.default_rng(1).standard_normal((N, 2, 50))


@pytest.fixture
def info():
    info = mne.create_info(NAMES, 100.0, "eeg")
    for channel, place in zip(info["chs"], PLACES, strict=True):
        channel["loc"][:3] = place
    return info


def directed(seed=0):
    adjacency = np.random.default_rng(seed).random((N, N)) < 0.3
    return adjacency | np.eye(N, dtype=bool)


def data_of(adjacency, **more):
    attends, sends = np.nonzero(adjacency)
    edges = torch.as_tensor(np.stack([sends, attends]))
    return Data(edge_index=edges, num_nodes=len(adjacency), **more)


def test_edges_point_from_the_sender_to_who_attends():
    graph = Data(edge_index=torch.tensor([[0, 5], [1, 2]]), num_nodes=N)
    found = geometric_adjacency(graph, N)
    assert found[1, 0] and found[2, 5] and found.sum() == 2
    # A node always attends to itself.
    found = source_adjacency(graph, 8, np.eye(N))
    np.testing.assert_array_equal(np.argwhere(found & ~np.eye(N, dtype=bool)), [[1, 0], [2, 5]])
    assert found.diagonal().all()


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_graph_comes_back_as_it_went(side):
    adjacency, alike = directed(), np.random.default_rng(2).uniform(-1, 1, (N, N))
    parts = dict.fromkeys(["source", "target"], np.eye(3, dtype=bool)) | {side: adjacency}
    parts |= {f"{name}_similarity": np.eye(len(part)) for name, part in parts.items()}
    graphs = parts | {f"{side}_similarity": alike}
    data = Graphs(**graphs).to_data(side, NAMES)
    assert data.validate() and data.num_nodes == N and data.names == NAMES
    sends, attends = data.edge_index.numpy()
    np.testing.assert_array_equal(data.edge_weight.numpy(), alike[attends, sends])
    np.testing.assert_array_equal(geometric_adjacency(data, N, ch_names=NAMES), adjacency)


def test_the_convolution_of_torch_geometric_attends_to_the_same_nodes():
    """What its GATv2Conv reads along these edges is what our attention reads."""
    from torch_geometric.nn import GATv2Conv

    from mne_samba.nn.graph import GraphAttention

    adjacency = directed()
    ours = GraphAttention(adjacency, 3, 2).double()
    theirs = GATv2Conv(3, 2, heads=4, add_self_loops=False).double()
    x = torch.randn(N, 3, dtype=torch.float64, requires_grad=True)
    data = Graphs(np.eye(N), np.eye(N), adjacency, adjacency).to_data("source")
    for out in (ours(x), theirs(x, data.edge_index)):
        reached = [torch.autograd.grad(row.sum(), x, retain_graph=True)[0].any(1) for row in out]
        np.testing.assert_array_equal(torch.stack(reached).numpy(), adjacency)


def test_names_put_nodes_in_the_order_of_channels():
    order = np.random.default_rng(3).permutation(N)
    adjacency = directed()
    moved = data_of(adjacency[np.ix_(order, order)], names=[NAMES[i] for i in order])
    np.testing.assert_array_equal(geometric_adjacency(moved, N, ch_names=NAMES), adjacency)


def test_edges_of_weight_zero_are_left_out():
    graph = data_of(directed(), edge_weight=torch.ones(int(directed().sum())))
    graph.edge_weight[::2] = 0.0
    found = geometric_adjacency(graph, N)
    assert found.sum() == int(directed().sum()) // 2
    assert (found <= directed()).all()


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("k", [1, 4, 50])
def test_nearest_neighbours_are_those_of_scikit_learn(info, k, loop):
    most = min(k, N if loop else N - 1)
    tree = kneighbors_graph(PLACES, most, include_self=loop)
    found = geometric_adjacency(transforms.KNNGraph(k, loop=loop), N, POWER, info, NAMES)
    np.testing.assert_array_equal(found, tree.toarray() > 0)
    flipped = transforms.KNNGraph(k, loop=loop, flow="target_to_source")
    np.testing.assert_array_equal(geometric_adjacency(flipped, N, POWER, info, NAMES), found.T)
    both = transforms.KNNGraph(k, loop=loop, force_undirected=True)
    np.testing.assert_array_equal(geometric_adjacency(both, N, POWER, info, NAMES), found | found.T)


@pytest.mark.parametrize("loop", [False, True])
def test_neighbours_within_a_radius_are_those_of_scikit_learn(info, loop):
    near = radius_neighbors_graph(PLACES, 0.1, include_self=loop).toarray() > 0
    graph = transforms.RadiusGraph(0.1, loop=loop)
    found = geometric_adjacency(graph, N, POWER, info, NAMES)
    assert 0 < near.sum() < N * N
    np.testing.assert_array_equal(found, near)
    few = transforms.RadiusGraph(0.1, loop=loop, max_num_neighbors=2)
    found = geometric_adjacency(few, N, POWER, info, NAMES)
    np.testing.assert_array_equal(found.sum(1), np.minimum(near.sum(1), 2))
    assert (found <= near).all()


def test_directions_of_the_cosine(info):
    found = geometric_adjacency(transforms.KNNGraph(3, cosine=True), N, POWER, info, NAMES)
    tree = kneighbors_graph(PLACES, 3, metric="cosine").toarray() > 0
    np.testing.assert_array_equal(found, tree)


def test_transforms_follow_each_other(info):
    steps = [transforms.KNNGraph(3), transforms.Distance(), transforms.ToUndirected()]
    found = geometric_adjacency(transforms.Compose(steps), N, POWER, info, NAMES)
    tree = kneighbors_graph(PLACES, 3).toarray() > 0
    np.testing.assert_array_equal(found, tree | tree.T)


def test_a_transform_of_ones_own_sees_places_and_power(info):
    class Strongest(transforms.BaseTransform):
        def forward(self, data):
            np.testing.assert_allclose(data.pos, PLACES, atol=1e-7)
            np.testing.assert_allclose(data.x, POWER.reshape(N, -1), rtol=1e-6)
            data.edge_index = torch.tensor([[int(data.x.norm(dim=1).argmax())] * N, range(N)])
            return data

    found = geometric_adjacency(Strongest(), N, POWER, info, NAMES)
    assert found[:, np.linalg.norm(POWER.reshape(N, -1), axis=1).argmax()].all()
    assert found.sum() == N


def test_places_are_asked_for_only_where_they_are_needed():
    class Line(transforms.BaseTransform):
        def forward(self, data):
            data.edge_index = torch.stack([torch.arange(N - 1), torch.arange(1, N)])
            return data

    assert geometric_adjacency(Line(), N, POWER).sum() == N - 1
    with pytest.raises(ValueError, match=r"graph=KNNGraph\(k=4\) needs the places of channels"):
        geometric_adjacency(transforms.KNNGraph(4), N, POWER, None, NAMES)
    lost = mne.create_info(NAMES, 100.0, "eeg")
    with pytest.raises(ValueError, match="12 of 12 have none"):
        geometric_adjacency(transforms.RadiusGraph(0.1), N, POWER, lost, NAMES)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (Data(edge_index=torch.tensor([[0], [1]]), num_nodes=7), "graph has 7 nodes, but .* 12"),
        (Data(edge_index=torch.tensor([[0], [15]])), "graph has 16 nodes, but .* 12"),
        (Data(num_nodes=N), "has no edges"),
        (HeteroData(), "must be a torch_geometric.data.Data or a transform .* HeteroData"),
        (data_of(directed(), names=[f"x{i}" for i in range(N)]), "other names than the channels"),
        (
            Data(
                edge_index=torch.tensor([[0], [1]]), num_nodes=N, edge_weight=torch.tensor([np.nan])
            ),
            "edge_weight is NaN",
        ),
    ],
)
def test_graphs_of_other_nodes_are_refused(graph, message):
    with pytest.raises(ValueError, match=message):
        geometric_adjacency(graph, N, POWER, None, NAMES)


def test_what_there_is_no_graph_of_cannot_be_handed_over():
    graphs = Graphs(np.eye(3), np.eye(2))
    with pytest.raises(ValueError, match="no source graph"):
        graphs.to_data("source")
    with pytest.raises(ValueError, match="side must be"):
        graphs.to_data("nodes")
    with pytest.raises(ValueError, match="2 names for 3 nodes"):
        Graphs(np.eye(3), np.eye(2), np.eye(3) > 0).to_data("source", ["a", "b"])


def test_other_graphs_are_not_taken_for_those_of_torch_geometric():
    assert is_geometric(transforms.KNNGraph(3)) and is_geometric(Data())
    assert not any(is_geometric(other) for other in (None, "knn", np.eye(3), np.abs))
