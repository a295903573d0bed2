"""Graphs between channels: the edges that other libraries find, and edges that are learnt."""

from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from assemble import assemble
from scipy.spatial.distance import cdist
from scipy.stats import norm, rankdata
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import kneighbors_graph
from small_data import paired
from torch_geometric.transforms import KNNGraph

import mne_samba.models.corrections as corrections
from mne_samba import Reader, read_samba
from mne_samba.models.graphs import (
    GRAPHS,
    fit_graphs,
    knn_adjacency,
    mutual_information,
    node_similarity,
    partial_correlation,
    similarity,
    source_adjacency,
)
from mne_samba.nn.graph import GraphAttention, GraphCorrection

N_NODES, N_BANDS = 20, 3
FAST = {"t_r": 2.0, "core": "quick", "random_state": 0}


@pytest.fixture(scope="module")
def power():
    """Band power of nodes that share latents, with both signs."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((6, N_BANDS, 900))
    mixing = rng.standard_normal((N_NODES, 6))
    noise = rng.standard_normal((N_NODES, N_BANDS, 900))
    return np.einsum("nl,lbt->nbt", mixing, latents) + noise


@pytest.fixture(scope="module")
def places():
    return np.random.default_rng(1).uniform(-0.1, 0.1, (N_NODES, 3))


def edges(power, graph, k=4, places=None, order=None):
    """Adjacency of a graph option on one recording's band power."""
    order = np.arange(len(power)) if order is None else order
    names = [f"ch{i}" for i in range(len(power))]
    info = None
    if places is not None:
        rows = zip(names, places[order], strict=True)
        info = {"chs": [{"ch_name": n, "loc": np.r_[p, np.zeros(9)]} for n, p in rows]}
    data = SimpleNamespace(powers=[power[order]])
    return source_adjacency(graph, k, node_similarity(graph, data), info, names)


def strongest(strength, k):
    """The k largest entries of every row beside the diagonal, and the diagonal."""
    out = np.eye(len(strength), dtype=bool)
    for i, row in enumerate(strength):
        out[i, [j for j in np.argsort(row)[::-1] if j != i][:k]] = True
    return out


def mean_correlation(power):
    return np.mean([np.corrcoef(power[:, b]) for b in range(power.shape[1])], axis=0)


def independent(graph, power, places):
    """What scikit-learn and scipy give as the strength of edges."""
    r = mean_correlation(power)
    if graph == "knn":
        return r
    if graph == "correlation":
        return np.abs(r)
    if graph == "cosine":
        return cosine_similarity(r)
    if graph == "distance":
        return -cdist(places, places)
    if graph == "partial_correlation":
        partial = []
        for band in power.swapaxes(0, 1):
            scaled = (band - band.mean(1, keepdims=True)) / band.std(1, keepdims=True)
            precision = LedoitWolf().fit(scaled.T).precision_
            size = np.sqrt(np.diag(precision))
            partial.append(-precision / np.outer(size, size))
        return np.abs(np.mean(partial, axis=0))
    scores = norm.ppf(rankdata(power, axis=2) / (power.shape[2] + 1))
    out = np.zeros((len(power), len(power)))
    for i in range(len(power)):
        for j in range(len(power)):
            if i != j:
                both = np.corrcoef(np.concatenate([scores[i], scores[j]]))
                parts = np.corrcoef(scores[i]), np.corrcoef(scores[j])
                ratio = np.linalg.det(parts[0]) * np.linalg.det(parts[1]) / np.linalg.det(both)
                out[i, j] = 0.5 * np.log(ratio)
    return out


@pytest.mark.parametrize("k", [4, 8, 16])
@pytest.mark.parametrize("graph", [g for g in GRAPHS if g not in ("dense", "learnt")])
def test_edges_are_those_of_an_independent_computation(power, places, graph, k):
    found = edges(power, graph, k, places)
    np.testing.assert_array_equal(found, strongest(independent(graph, power, places), k))
    assert (found.sum(axis=1) == k + 1).all()


def test_nearest_channels_equal_scikit_learn(power, places):
    expected = kneighbors_graph(places, 4, include_self=False).toarray() > 0
    found = edges(power, "distance", 4, places)
    np.testing.assert_array_equal(found, expected | np.eye(N_NODES, dtype=bool))


@pytest.mark.parametrize("graph", [g for g in GRAPHS if g != "learnt"])
def test_permuting_channels_permutes_the_graph(power, places, graph):
    order = np.random.default_rng(2).permutation(N_NODES)
    plain, moved = edges(power, graph, 4, places), edges(power, graph, 4, places, order)
    np.testing.assert_array_equal(moved, plain[np.ix_(order, order)])


@pytest.mark.parametrize("k", [1, 3, 7])
def test_nearest_neighbours_equal_scikit_learn(k):
    series = np.random.default_rng(0).standard_normal((8, 40))
    alike = similarity(series)
    expected = kneighbors_graph(1 - alike, k, metric="precomputed", include_self=False).toarray()
    adjacency = knn_adjacency(alike, k)
    np.testing.assert_array_equal(adjacency, (expected > 0) | np.eye(8, dtype=bool))
    assert (adjacency.sum(axis=1) == k + 1).all()


def test_more_neighbours_than_nodes_makes_a_dense_graph():
    alike = similarity(np.random.default_rng(0).standard_normal((5, 30)))
    assert knn_adjacency(alike, 20).all()
    np.testing.assert_array_equal(knn_adjacency(np.ones((1, 1)), 8), [[True]])


def test_similarity_is_pearson_correlation():
    series = np.random.default_rng(0).standard_normal((6, 50)) * 1e-6
    np.testing.assert_allclose(similarity(series), np.corrcoef(series), atol=1e-12)
    series[2] = 4.0
    alike = similarity(series)
    assert alike[2, 2] == 1 and (np.delete(alike[2], 2) == 0).all()


def test_correlation_takes_opposites_and_neighbours_do_not():
    rng = np.random.default_rng(0)
    power = rng.standard_normal((5, 1, 400))
    power[1] = -power[0] + 0.1 * rng.standard_normal((1, 400))
    assert edges(power, "correlation", 1)[0, 1]
    assert not edges(power, "knn", 1)[0, 1]


def test_partial_correlation_leaves_out_what_a_third_node_explains():
    rng = np.random.default_rng(0)
    chain = [rng.standard_normal(4000)]
    for _ in range(3):
        chain.append(chain[-1] + 0.6 * rng.standard_normal(4000))
    chain = np.array(chain)
    assert np.corrcoef(chain)[0, 2] > 0.7
    partial = partial_correlation(chain)
    assert np.abs(partial[0, 2]) < 0.1 < partial[0, 1]
    copies = partial_correlation(np.concatenate([chain, chain, np.ones((1, 4000))]))
    assert np.isfinite(copies).all() and np.abs(copies).max() <= 1 + 1e-9


def test_mutual_information_of_gaussians_and_across_bands():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(20000)
    power = rng.standard_normal((3, 2, 20000))
    power[0, 0] += shared
    power[1, 1] += shared
    found = mutual_information(power)
    # Alpha here and beta there: bands apart correlate with nothing, together they tell.
    assert np.abs(mean_correlation(power)[0, 1]) < 0.02
    assert found[0, 1] == pytest.approx(-0.5 * np.log(1 - 0.5**2), abs=0.01)
    assert found[0, 2] < 0.001
    np.testing.assert_allclose(mutual_information(np.exp(power)), found, atol=1e-12)
    copies = mutual_information(power[[0, 0, 2]])
    assert np.isfinite(copies).all() and copies[0, 1] > 5


def test_learnt_edges_start_as_a_dense_graph():
    torch.manual_seed(0)
    plain = GraphAttention(np.ones((6, 6)), 3, 4)
    learnt = GraphAttention(np.ones((6, 6)), 3, 4, learn_edges=True)
    learnt.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(10, 6, 3)
    torch.testing.assert_close(learnt(x), plain(x))


@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_of_learnt_edges_are_the_same_both_ways(sparse):
    adjacency = np.ones((6, 6)) if not sparse else np.eye(6) + np.eye(6, k=1) + np.eye(6, k=-2)
    torch.manual_seed(0)
    layer = GraphAttention(adjacency, 3, 4, learn_edges=True).double()
    torch.nn.init.normal_(layer.gives)
    x, probe = torch.randn(80, 6, 3).double(), torch.randn(80, 6, 16).double()
    gradients = []
    for call in (layer, layer._attend):
        layer.zero_grad()
        (call(x) * probe).sum().backward()
        gradients.append({n: p.grad.clone() for n, p in layer.named_parameters()})
    torch.testing.assert_close(layer(x), layer._attend(x))
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])
    assert gradients[0]["gives"].abs().max() > 0 and gradients[0]["takes"].abs().max() > 0


def test_learnt_edges_find_who_drives_whom():
    """Every node repeats another one, which features alone cannot tell: edges must."""
    torch.manual_seed(0)
    driver = torch.tensor([3, 4, 0, 5, 1, 2])
    errors = {}
    for learn in (False, True):
        part = GraphCorrection(np.ones((6, 6)), 1, learn_edges=learn)
        optimizer = torch.optim.Adam(part.parameters(), lr=0.03)
        for _ in range(300):
            x = torch.randn(1, 6, 100, 1)
            error = (part(x) - x[:, driver, :, 0]).square().mean()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
        errors[learn] = error.item()
    assert errors[True] < 0.3 < 0.7 < errors[False]
    assert (part.graph.edges.argmax(dim=1) == driver).all()
    attention = part.attention(torch.randn(2, 6, 50, 1))
    torch.testing.assert_close(attention.sum(1), torch.ones(6))
    assert (attention.argmax(dim=1) == driver).all()


def test_mean_attention_is_the_mean_of_weights():
    layer = GraphAttention(np.eye(5) + np.eye(5, k=1), 3, 4)
    x = torch.randn(30, 5, 3)
    found, alpha = layer.mean_weights(x), layer.weights(x)[0].mean((0, -1))
    torch.testing.assert_close(found.sum(1), torch.ones(5))
    assert ((found > 0).numpy() == (np.eye(5) + np.eye(5, k=1) > 0)).all()
    torch.testing.assert_close(found[0, :2], alpha[0])


@pytest.fixture(scope="module")
def placed(people):
    """Recordings of two people with places of their channels, and BOLD."""
    raws = [raw.copy() for raw in people.raws[:2]]
    for raw in raws:
        for channel, place in zip(raw.info["chs"], people.source_coords, strict=True):
            channel["loc"][:3] = place / 1e3
    return raws, people.bolds[:2]


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_graph_is_fitted_published_and_saved(placed, people, graph, tmp_path):
    model = assemble(**FAST, graph=graph, n_neighbors=3, corrections="always", max_epochs=1)
    model.fit(*placed)
    found = model.graph_
    degree = 8 if graph in ("dense", "learnt") else 4
    assert (found.source.sum(axis=1) == degree).all()
    for side in ("source", "target"):
        attention = getattr(found, f"{side}_attention")
        np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(attention > 0, getattr(found, side))
    if graph == "distance":
        expected = kneighbors_graph(people.source_coords, 3, include_self=True).toarray() > 0
        assert found.source[expected].all()
    model.save(tmp_path / "model")
    again = read_samba(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(placed[0]), model.predict(placed[0]))
    for name, value in vars(found).items():
        np.testing.assert_array_equal(getattr(again.graph_, name), value, err_msg=name)


def test_learnt_edges_move_in_training_and_change_predictions(placed):
    options = {**FAST, "corrections": "always", "recurrent": None, "max_epochs": 4}
    model = assemble(**options, graph="learnt", batch_size=2).fit(*placed)
    graph = model.net_.module_.source_graph.graph
    assert {"takes", "gives"} <= dict(graph.named_parameters()).keys()
    assert graph.edges.detach().std() > 0 and graph.gives.detach().abs().min() > 0
    before = model.predict(placed[0][0])
    with torch.no_grad():
        graph.gives.zero_()
    assert np.abs(model.predict(placed[0][0]) - before).max() > 1e-5


def test_there_is_no_attention_where_corrections_are_left_out(fitted):
    assert fitted.graph_.source_attention is None and fitted.graph_.target_attention is None


def test_held_out_frames_choose_no_neighbours(placed, monkeypatch):
    seen = []

    def spy(data, *options):
        seen.append(sum(len(target) for target in data.targets))
        return real(data, *options)

    real = corrections.fit_graphs
    monkeypatch.setattr(corrections, "fit_graphs", spy)
    assemble(**FAST, corrections="always", max_epochs=1).fit(*placed)
    whole, judged = seen
    assert whole == 400 and judged < 0.8 * whole


def test_graphs_of_some_targets_are_those_of_their_data():
    data, some = paired(n_targets=9), np.array([1, 4, 5, 8])
    graphs = fit_graphs(data, "correlation", 2).of_targets(some, 2)
    alone = fit_graphs(data.of_targets(some), "correlation", 2)
    for field in ("source", "target", "source_similarity", "target_similarity"):
        np.testing.assert_allclose(getattr(graphs, field), getattr(alone, field), atol=1e-12)


def test_paper_variant_takes_the_graphs_too(placed, tmp_path):
    options = {"t_r": 2.0, "variant": "paper", "max_epochs": 1, "n_hidden": 8, "random_state": 0}
    model = assemble(**options, graph="learnt").fit(*placed)
    assert model.net_.module_.source_graph.gives.detach().abs().max() > 0
    np.testing.assert_allclose(model.graph_.source_attention.sum(axis=1), 1, atol=1e-5)
    model.save(tmp_path / "model")
    again = read_samba(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(placed[0]), model.predict(placed[0]))


def test_graphs_of_torch_geometric_are_fitted_and_handed_back(placed):
    options = {**FAST, "corrections": "always", "max_epochs": 1, "recurrent": None}
    places = assemble(**options, graph=KNNGraph(k=3)).fit(*placed).graph_.source
    near = assemble(**options, graph="distance", n_neighbors=3).fit(*placed)
    np.testing.assert_array_equal(places, near.graph_.source)
    data = near.graph_.to_data("source", near.ch_names_in_)
    assert data.names == near.ch_names_in_ and data.num_edges == near.graph_.source.sum()
    sends, attends = data.edge_index.numpy()
    weight = near.graph_.source_similarity[attends, sends]
    np.testing.assert_allclose(data.edge_weight.numpy(), weight)
    with pytest.raises(FrozenInstanceError):
        near.graph_.source = None
    again = assemble(**options, graph=data).fit(*placed)
    np.testing.assert_array_equal(again.graph_.source, places)
    cloned = clone(again).fit(*placed)
    np.testing.assert_array_equal(cloned.predict(placed[0][0]), again.predict(placed[0][0]))


def test_errors_say_what_is_missing(people, placed):
    X, y = people.raws[:1], people.bolds[:1]
    model = assemble(**FAST)
    with pytest.raises(ValueError, match="graph must be one of 'knn', 'correlation'"):
        model.set_params(model__graph="correlations").fit(X, y)
    model.set_params(model__graph="distance")
    with pytest.raises(ValueError, match=r"8 of 8 have none: .*set_montage"):
        model.fit(X, y)
    with pytest.raises(ValueError, match="arrays do not have"):
        model.set_params(reader=Reader(sfreq=100.0)).fit([X[0].get_data()], y)
    lost = placed[0][0].copy()
    lost.info["chs"][2]["loc"][:3] = np.nan
    with pytest.raises(ValueError, match=rf"1 of 8 have none: \['{lost.ch_names[2]}'\]"):
        model.set_params(reader=None).fit(lost, y[0])


def test_rows_in_parts_have_the_same_neighbours(monkeypatch):
    alike = similarity(np.random.default_rng(0).standard_normal((23, 40)))
    whole = knn_adjacency(alike, 4)
    monkeypatch.setattr("mne_samba.models.graphs._ROWS", 5)
    np.testing.assert_array_equal(knn_adjacency(alike, 4), whole)
    assert (whole.sum(axis=1) == 5).all()
