"""Graphs between nodes and between targets, from training data alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import ndtri
from scipy.stats import rankdata

from .._checks import as_float_array, check_option
from ..arrays import array
from ..data.paired import Paired
from .geometric import closest, geometric_adjacency, is_geometric, node_places, to_data

if TYPE_CHECKING:
    import torch

GRAPHS = (
    "knn", "correlation", "cosine", "partial_correlation", "mutual_information", "distance",
    "dense", "learnt",
)  # fmt: skip

# Segments and bins that are enough to rank neighbours by, and keep memory small.
_SEGMENTS, _BINS = 64, 20000
# Nodes whose neighbours are ranked at once.
_ROWS = 1024
# Keeps determinants of copies of a channel finite.
_JITTER = 1e-9


@dataclass(frozen=True)
class Graphs:
    """Who attends to whom among nodes and among targets, and how alike they are.

    Attributes
    ----------
    source_similarity, target_similarity : array, shape (n, n) | None
        What neighbours were chosen by; None for the way back, which does not keep it.
    source, target : array of bool, shape (n, n) | None
        Row i marks the nodes that node i attends to.
    source_attention, target_attention : array, shape (n, n) | None
        What node i takes from node j, mean over heads and over training bins; rows sum to 1. None
        where graph attention is not used.
    bipartite : array, shape (n_targets, n_channels) | None
        The map from nodes to targets, where graphs are published with it. Of the way back, shape
        (n_channels, n_targets): row i marks the targets that node i attends to.
    """

    source_similarity: np.ndarray | None = array("n_channels", "n_channels", optional=True)
    target_similarity: np.ndarray | None = array("n_targets", "n_targets", optional=True)
    source: np.ndarray | None = array("n_channels", "n_channels", optional=True)
    target: np.ndarray | None = array("n_targets", "n_targets", optional=True)
    source_attention: np.ndarray | None = array("n_channels", "n_channels", optional=True)
    target_attention: np.ndarray | None = array("n_targets", "n_targets", optional=True)
    bipartite: np.ndarray | None = array("n_targets", "n_channels", optional=True)

    def attended(self, *attention: torch.Tensor | None) -> Graphs:
        """Give the same graphs with the attention that a network pays along them."""
        source, target = (a if a is None else a.cpu().numpy() for a in attention)
        return replace(self, source_attention=source, target_attention=target)

    def of_targets(self, some: np.ndarray, n_neighbors: int) -> Self:
        """Graphs of some targets, which then are each other's only neighbours."""
        alike = self.target_similarity[np.ix_(some, some)]
        target = None if self.target is None else knn_adjacency(alike, n_neighbors)
        return replace(self, target_similarity=alike, target=target)

    def to_data(self, side: str, names=None):
        """Hand a graph over to torch-geometric, its edges weighted by similarity if it is known.

        Parameters
        ----------
        side : "source" | "target"
            Nodes or targets.
        names : list of str | None
            Names of the nodes.

        Returns
        -------
        data : torch_geometric.data.Data
            Edges from senders to who attends to them.

        Raises
        ------
        ValueError
            If there is no such graph, or the names are not as many as nodes.
        """
        if side not in ("source", "target"):
            raise ValueError(f"side must be 'source' or 'target', got {side!r}.")
        adjacency = getattr(self, side)
        if adjacency is None:
            raise ValueError(f"There is no {side} graph: the model was fitted with graph=None.")
        weight = getattr(self, f"{side}_similarity")
        return to_data(adjacency, adjacency.astype(float) if weight is None else weight, names)


def fit_graphs(data: Paired, graph="knn", n_neighbors: int = 8) -> Graphs:
    """Build the graphs of a model from its training data."""
    alike, power = node_similarity(graph, data), node_power(data)
    source = source_adjacency(graph, n_neighbors, alike, data.info, data.ch_names, power)
    targets = target_similarity(data)
    target = None if source is None else knn_adjacency(targets, n_neighbors)
    return Graphs(alike, targets, source, target)


def check_graph_option(graph) -> None:
    """Refuse names of graphs that do not exist."""
    if isinstance(graph, str):
        check_option(graph, "graph", (*GRAPHS, None))


def is_about_channels(graph) -> bool:
    """Whether a graph needs channels: their places, or edges between them."""
    return not (graph is None or callable(graph) or isinstance(graph, str)) or (
        is_geometric(graph) or graph == "distance"
    )


def check_graph(data: Paired, graph) -> None:
    """Refuse graphs of another size, or without places, before anything is fitted."""
    if isinstance(graph, str) and graph == "distance":
        node_distances(data.info, data.ch_names)
    elif graph is not None and not isinstance(graph, str):
        alike = node_similarity(graph, data)
        source_adjacency(graph, 1, alike, data.info, data.ch_names, node_power(data))


def source_adjacency(
    graph, n_neighbors: int, alike: np.ndarray, info=None, ch_names=None, power=None
) -> np.ndarray | None:
    """Edges (n_channels, n_channels): by name, array, function, or from torch-geometric."""
    # Named graphs take the ``n_neighbors`` strongest edges of every node instead of all above some
    # threshold: what correlations of noise reach depends on the length of a recording. Signed
    # measures count by their size, since a node that does the opposite tells as much; "knn" alone
    # takes the largest signed correlations.
    if graph is None:
        return None
    if isinstance(graph, str):
        if graph in ("dense", "learnt"):
            return np.ones(alike.shape, dtype=bool)
        if graph in ("correlation", "partial_correlation"):
            alike = np.abs(alike)
        elif graph == "distance":
            alike = -node_distances(info, ch_names)
        return knn_adjacency(alike, n_neighbors)
    if is_geometric(graph):
        found = geometric_adjacency(graph, len(alike), power, info, ch_names)
        return found | np.eye(len(alike), dtype=bool)
    given = as_float_array(graph(alike) if callable(graph) else graph, "graph")
    if given.shape != alike.shape or not np.isfinite(given).all():
        raise ValueError(
            f"graph must be a finite adjacency of shape {alike.shape} (n_channels, n_channels), "
            f"got shape {given.shape}."
        )
    return (given != 0) | np.eye(len(alike), dtype=bool)


def node_similarity(graph, data: Paired) -> np.ndarray:
    """Similarity (n_channels, n_channels) by the measure that a graph is built from."""
    graph = graph if isinstance(graph, str) else None
    power = node_power(data)
    if graph == "partial_correlation":
        return np.mean([partial_correlation(band) for band in power.swapaxes(0, 1)], axis=0)
    if graph == "mutual_information":
        return mutual_information(power)
    alike = np.mean([similarity(band) for band in power.swapaxes(0, 1)], axis=0)
    if graph == "cosine":
        rows = alike / np.linalg.norm(alike, axis=1, keepdims=True)
        return np.clip(rows @ rows.T, -1.0, 1.0)
    return alike


def target_similarity(data: Paired) -> np.ndarray:
    """Correlation of targets over training frames."""
    frames = np.concatenate([t[m] for t, m in zip(data.targets, data.masks, strict=True)])
    return similarity(np.nan_to_num(frames).T)


def node_power(data: Paired) -> np.ndarray:
    """Band power (n_channels, n_bands, n_bins) of enough of the training data."""
    # Windows overlap in their history: a part of them is enough.
    some = data.powers[:: max(1, len(data.powers) // _SEGMENTS)]
    step = max(1, sum(power.shape[-1] for power in some) // _BINS)
    return np.concatenate([power[..., ::step] for power in some], axis=-1).astype(np.float64)


def similarity(series: np.ndarray) -> np.ndarray:
    """Correlation (n_nodes, n_nodes) between time courses (n_nodes, n_times)."""
    series = np.asarray(series, dtype=np.float64)
    series = series - series.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(series, axis=1, keepdims=True)
    series = series / np.where(norm > 0, norm, np.inf)
    out = series @ series.T
    np.clip(out, -1.0, 1.0, out=out)
    np.fill_diagonal(out, 1.0)
    return out


def knn_adjacency(similarity: np.ndarray, k: int) -> np.ndarray:
    """Connect every node with the ``k`` that it resembles most, (n_nodes, n_nodes) both."""
    n = len(similarity)
    marked = np.eye(n, dtype=bool)
    # Some rows at a time: of very many nodes, copies of all would not fit into memory.
    for rows in np.array_split(np.arange(n), -(-n // _ROWS)):
        distance = -np.asarray(similarity[rows], dtype=float)
        distance[np.arange(len(rows)), rows] = np.inf
        marked[rows] |= closest(distance, min(int(k), n - 1))
    return marked


def nearest(similarity: np.ndarray, k: int) -> np.ndarray:
    """Mark for every row the ``k`` columns of largest absolute similarity, (n_to, n_from)."""
    size = np.abs(np.nan_to_num(similarity))
    return closest(-size, int(k))


def partial_correlation(series: np.ndarray) -> np.ndarray:
    """Correlation of nodes (n_nodes, n_times) given all others, (n_nodes, n_nodes)."""
    # The matrix is shrunk towards the identity by Ledoit and Wolf (2004), which makes it invertible
    # with more nodes than samples.
    series = series - series.mean(axis=1, keepdims=True)
    scale = series.std(axis=1, keepdims=True)
    series = series / np.where(scale > 0, scale, 1.0)
    from sklearn.covariance import ledoit_wolf  # takes as long to load as numpy

    covariance, _ = ledoit_wolf(series.T, assume_centered=True)
    # Copies of one channel leave nothing to shrink with.
    precision = np.linalg.pinv(covariance, hermitian=True)
    size = np.sqrt(np.maximum(np.diag(precision), 0.0))
    out = -precision / np.where(size > 0, size, np.inf)[:, None] / np.where(size > 0, size, np.inf)
    np.fill_diagonal(out, 1.0)
    return out


def mutual_information(power: np.ndarray) -> np.ndarray:
    """Gaussian-copula information between nodes (n_nodes, n_bands, n_times), all bands together."""
    # Series become normal quantiles of their ranks; the information between two nodes is then half
    # the logarithm of a ratio of determinants (Ince et al. 2017, Human Brain Mapping 38): a lower
    # bound, the same for power and its logarithm. Estimates by bins or nearest neighbours take
    # seconds per pair and scatter more than most edges hold.
    n_nodes, n_bands, n_times = power.shape
    ranks = rankdata(power.reshape(-1, n_times), axis=1)
    normal = similarity(ndtri(ranks / (n_times + 1.0)))
    normal = normal + _JITTER * np.eye(len(normal))
    blocks = normal.reshape(n_nodes, n_bands, n_nodes, n_bands).swapaxes(1, 2)
    own = np.linalg.slogdet(blocks[np.arange(n_nodes), np.arange(n_nodes)])[1]
    out = np.zeros((n_nodes, n_nodes))
    for i in range(n_nodes - 1):
        others = np.arange(i + 1, n_nodes)
        joint = np.empty((len(others), 2 * n_bands, 2 * n_bands))
        joint[:, :n_bands, :n_bands] = blocks[i, i]
        joint[:, n_bands:, n_bands:] = blocks[others, others]
        joint[:, :n_bands, n_bands:] = blocks[i, others]
        joint[:, n_bands:, :n_bands] = blocks[i, others].swapaxes(1, 2)
        value = 0.5 * (own[i] + own[others] - np.linalg.slogdet(joint)[1])
        out[i, others] = out[others, i] = np.maximum(value, 0.0)
    return out


def node_distances(info, ch_names) -> np.ndarray:
    """Distances (n_channels, n_channels) between channels in space."""
    places = node_places(info, ch_names, 'graph="distance"')
    return cdist(places, places)
