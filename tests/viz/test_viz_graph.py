from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mne_samba.models.graphs import Graphs
from mne_samba.viz import plot_graph

NAMES = ["a", "b", "c", "d"]


def _matrix(fig):
    return next(axis for axis in fig.axes if axis.images)


def test_graph_by_network_without_self_edges():
    weights = np.arange(16.0).reshape(4, 4)
    fig = plot_graph(weights, names=NAMES, networks=["V", "D", "V", "D"], show=False)
    panel = _matrix(fig)
    shown = panel.images[0].get_array()
    order = [1, 3, 0, 2]
    expected = weights[np.ix_(order, order)]
    off = ~np.eye(4, dtype=bool)
    assert_allclose(np.asarray(shown)[off], expected[off])
    assert np.ma.getmaskarray(shown).diagonal().all()
    # The largest edge, not the larger self edge of the last node, sets the scale.
    assert panel.images[0].get_clim() == (0.0, 14.0)
    assert [t.get_text() for t in panel.get_yticklabels()] == ["b", "d", "a", "c"]
    assert panel.get_ylabel() == "to region" and panel.get_xlabel() == "from region"


def test_connectome_keeps_the_strongest_edges(coords):
    weights = np.zeros((4, 4))
    weights[0, 1] = weights[1, 0] = 1.0
    weights[2, 3] = weights[3, 2] = -0.8
    weights[0, 3] = weights[3, 0] = 0.1
    fig = plot_graph(weights, coords=coords, n_edges=2, label="coupling", show=False)
    fig.canvas.draw()
    assert [axis.get_ylabel() for axis in fig.axes].count("coupling") == 2
    # One scale for the matrix and the brain.
    bars = [axis.get_ylim() for axis in fig.axes if axis.get_ylabel() == "coupling"]
    assert bars == [(-1.0, 1.0)] * 2
    above = max(fig.axes, key=lambda axis: len(axis.lines))
    assert len(above.lines) == 2


def test_map_between_sources_and_targets(coords):
    weights = np.array([[0.5, 0.0, -0.2], [0.0, 0.3, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.9]])
    fig = plot_graph(
        weights, "bipartite", names=NAMES, source_names=["x", "y", "z"],
        networks=["V", "V", "D", "D"], source_networks=["V", "D", "D"], coords=coords,
        source_coords=coords[:3] + 5, show=False,
    )  # fmt: skip
    fig.canvas.draw()
    panel = _matrix(fig)
    assert_allclose(panel.images[0].get_array(), weights[[2, 3, 0, 1]][:, [1, 2, 0]])
    assert [t.get_text() for t in panel.get_xticklabels()] == ["y", "z", "x"]
    assert "map weight" in [axis.get_ylabel() for axis in fig.axes]


def test_graph_of_an_estimator_masks_absent_edges():
    similarity = np.array([[1, 0.5, 0.2], [0.5, 1, 0.4], [0.2, 0.4, 1]])
    adjacency = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    graph = Graphs(source=adjacency, source_similarity=similarity)
    model = SimpleNamespace(
        fit=None, graph_=graph, ch_names_in_=["x", "y", "z"], target_names_in_=NAMES
    )
    panel = _matrix(plot_graph(model, "source", show=False))
    shown = panel.images[0].get_array()
    assert shown[0, 1] == 0.5 and shown[0, 2] == 0.0 and shown[1, 2] == 0.0
    assert [t.get_text() for t in panel.get_yticklabels()] == ["x", "y", "z"]
    assert "similarity (not learnt)" in [axis.get_ylabel() for axis in panel.figure.axes]
    with pytest.raises(ValueError, match="no target graph"):
        plot_graph(model, "target", show=False)


def test_attention_is_drawn_without_sign_and_only_along_edges():
    attention = np.array([[0.6, 0.4, 0.0], [0.5, 0.3, 0.2], [0.0, 0.0, 1.0]])
    graph = Graphs(source=attention > 0, source_similarity=np.eye(3), source_attention=attention)
    model = SimpleNamespace(
        fit=None, graph_=graph, ch_names_in_=["x", "y", "z"], target_names_in_=NAMES
    )
    image = _matrix(plot_graph(model, "source", show=False)).images[0]
    shown = np.ma.filled(image.get_array(), np.nan)
    assert shown[0, 1] == 0.4 and np.isnan(shown[[0, 2, 2], [2, 0, 1]]).all()
    assert image.get_clim() == (0.0, 0.5)


def test_graph_refuses(coords):
    with pytest.raises(ValueError, match="kind"):
        plot_graph(np.eye(3), "both", show=False)
    with pytest.raises(ValueError, match="square"):
        plot_graph(np.ones((3, 4)), show=False)
    with pytest.raises(ValueError, match="coords"):
        plot_graph(np.eye(3), coords=coords, show=False)
