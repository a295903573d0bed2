"""Graphs between nodes and between targets, from training data alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.covariance import ledoit_wolf

from .._checks import as_float_array
from .._data.paired import PairedData
from ..nn.graph import knn_adjacency, similarity

GRAPHS = (
    "knn", "correlation", "cosine", "partial_correlation", "mutual_information", "distance",
    "dense", "learnt",
)  # fmt: skip

# Segments and bins that are enough to rank neighbours by, and keep memory small.
_SEGMENTS, _BINS = 64, 20000
# Keeps determinants of copies of a channel finite.
_JITTER = 1e-9


@dataclass(frozen=True)
class Graphs:
    """Who attends to whom among nodes and among targets, and how alike they are.

    Attributes
    ----------
    source_similarity, target_similarity : array, shape (n, n)
        What neighbours were chosen by.
    source, target : array of bool, shape (n, n) | None
        Row i marks the nodes that node i attends to.
    source_attention, target_attention : array, shape (n, n) | None
        What node i takes from node j, mean over heads and over training bins; rows sum to 1. None
        where graph attention is not used.
    """

    source_similarity: np.ndarray
    target_similarity: np.ndarray
    source: np.ndarray | None
    target: np.ndarray | None
    source_attention: np.ndarray | None = None
    target_attention: np.ndarray | None = None


def fit_graphs(options, data: PairedData) -> Graphs:
    """Build the graphs of a translator from its training data.

    Parameters
    ----------
    options : SambaTranslator
        Read for ``graph``, ``n_neighbors``, channels and their places, never changed.
    data : PairedData
        Training data.

    Returns
    -------
    graphs : Graphs
        Without attention, which only a trained network has.

    Raises
    ------
    ValueError
        If the graph is an array of another size, or channels lack the places that
        ``graph="distance"`` goes by.
    """
    alike = node_similarity(options.graph, data)
    source = source_adjacency(options, alike)
    targets = target_similarity(data)
    target = None if source is None else knn_adjacency(targets, options.n_neighbors)
    return Graphs(alike, targets, source, target)


def check_graph(options, data: PairedData) -> None:
    """Refuse graphs of another size, or without places, before anything is fitted."""
    if callable(options.graph) or not isinstance(options.graph, (str, type(None))):
        source_adjacency(options, node_similarity(options.graph, data))
    elif options.graph == "distance":
        node_distances(options.info_, options.ch_names_in_)


def source_adjacency(options, alike: np.ndarray) -> np.ndarray | None:
    """Edges between nodes by the option ``graph``: a name, an array or a function.

    Parameters
    ----------
    options : SambaTranslator
        Read for ``graph``, ``n_neighbors``, channels and their places, never changed.
    alike : array, shape (n_channels, n_channels)
        `node_similarity` of the same option.

    Returns
    -------
    adjacency : array of bool, shape (n_channels, n_channels) | None
        Row i marks the nodes that node i attends to, itself among them; None without a graph.

    Notes
    -----
    Named graphs take the ``n_neighbors`` strongest edges of every node instead of all above some
    threshold: what correlations of noise reach depends on the length of a recording, and nodes
    that nothing resembles would lose all their neighbours. Signed measures (correlation, partial
    correlation) count by their size, since a node that does the opposite tells as much as one that
    does the same; "knn" alone takes the largest signed correlations.
    """
    graph = options.graph
    if graph is None:
        return None
    if isinstance(graph, str):
        if graph in ("dense", "learnt"):
            return np.ones(alike.shape, dtype=bool)
        if graph in ("correlation", "partial_correlation"):
            alike = np.abs(alike)
        elif graph == "distance":
            alike = -node_distances(options.info_, options.ch_names_in_)
        return knn_adjacency(alike, options.n_neighbors)
    given = as_float_array(graph(alike) if callable(graph) else graph, "graph")
    if given.shape != alike.shape or not np.isfinite(given).all():
        raise ValueError(
            f"graph must be a finite adjacency of shape {alike.shape} (n_channels, n_channels), "
            f"got shape {given.shape}."
        )
    return (given != 0) | np.eye(len(alike), dtype=bool)


def node_similarity(graph, data: PairedData) -> np.ndarray:
    """How alike nodes are in training, by the measure that a graph is built from.

    Parameters
    ----------
    graph : "cosine" | "partial_correlation" | "mutual_information" | object
        The measure; for anything else, correlation.
    data : PairedData
        Training data.

    Returns
    -------
    similarity : array, shape (n_channels, n_channels)
        Correlation of band power, mean over bands; the cosine of its rows, which is high where two
        nodes correlate with the same others; partial correlation, mean over bands; or mutual
        information of all bands together, nats.
    """
    power = _node_power(data)
    if isinstance(graph, str) and graph == "partial_correlation":
        return np.mean([partial_correlation(band) for band in power.swapaxes(0, 1)], axis=0)
    if isinstance(graph, str) and graph == "mutual_information":
        return mutual_information(power)
    alike = np.mean([similarity(band) for band in power.swapaxes(0, 1)], axis=0)
    if isinstance(graph, str) and graph == "cosine":
        rows = alike / np.linalg.norm(alike, axis=1, keepdims=True)
        return np.clip(rows @ rows.T, -1.0, 1.0)
    return alike


def target_similarity(data: PairedData) -> np.ndarray:
    """Correlation of targets over training frames."""
    frames = np.concatenate([t[m] for t, m in zip(data.targets, data.masks, strict=True)])
    return similarity(np.nan_to_num(frames).T)


def _node_power(data: PairedData) -> np.ndarray:
    """Band power (n_channels, n_bands, n_bins) of enough of the training data."""
    # Windows overlap in their history: a part of them is enough.
    some = data.powers[:: max(1, len(data.powers) // _SEGMENTS)]
    step = max(1, sum(power.shape[-1] for power in some) // _BINS)
    return np.concatenate([power[..., ::step] for power in some], axis=-1).astype(np.float64)


def partial_correlation(series: np.ndarray) -> np.ndarray:
    """Correlation of every two nodes given all others, from a shrunk precision matrix.

    Parameters
    ----------
    series : array, shape (n_nodes, n_times)
        Time courses; a constant one correlates with nothing.

    Returns
    -------
    partial : array, shape (n_nodes, n_nodes)
        Partial correlations, ones on the diagonal.

    Notes
    -----
    The correlation matrix is shrunk towards the identity by Ledoit and Wolf (2004), which makes it
    invertible with more nodes than samples.
    """
    series = series - series.mean(axis=1, keepdims=True)
    scale = series.std(axis=1, keepdims=True)
    series = series / np.where(scale > 0, scale, 1.0)
    covariance, _ = ledoit_wolf(series.T, assume_centered=True)
    # Copies of one channel leave nothing to shrink with.
    precision = np.linalg.pinv(covariance, hermitian=True)
    size = np.sqrt(np.maximum(np.diag(precision), 0.0))
    out = -precision / np.where(size > 0, size, np.inf)[:, None] / np.where(size > 0, size, np.inf)
    np.fill_diagonal(out, 1.0)
    return out


def mutual_information(power: np.ndarray) -> np.ndarray:
    """Mutual information between nodes under a Gaussian copula, all bands together.

    Parameters
    ----------
    power : array, shape (n_nodes, n_bands, n_times)
        Band power.

    Returns
    -------
    information : array, shape (n_nodes, n_nodes)
        In nats; the diagonal holds zeros, it has no meaning.

    Notes
    -----
    Every series is replaced by the normal quantiles of its ranks; the information between two nodes
    is then half the logarithm of a ratio of determinants (Ince et al. 2017, Human Brain Mapping
    38). It is a lower bound, is the same for power and its logarithm, sees coupling across bands,
    and takes one correlation matrix for all pairs: estimates by bins or nearest neighbours take
    seconds per pair and scatter more than most edges hold, since band power has few independent
    samples.
    """
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
    """Distances between channels in space.

    Parameters
    ----------
    info : mne.Info | None
        With the channels' places.
    ch_names : list of str
        Channels.

    Returns
    -------
    distances : array, shape (n_channels, n_channels)
        In metres.

    Raises
    ------
    ValueError
        If there is no ``info``, or channels have no place in it.
    """
    if info is None:
        raise ValueError(
            'graph="distance" needs the places of channels, which arrays do not have: give '
            "MNE objects with a montage, or your own adjacency (n_channels, n_channels) as graph."
        )
    found = {ch["ch_name"]: np.asarray(ch["loc"][:3], dtype=float) for ch in info["chs"]}
    places = np.array([found.get(name, np.full(3, np.nan)) for name in ch_names])
    lost = ~np.isfinite(places).all(axis=1) | (places == 0).all(axis=1)
    if lost.any():
        names = [ch_names[i] for i in np.flatnonzero(lost)]
        raise ValueError(
            f'graph="distance" needs the places of channels; {len(names)} of {len(ch_names)} have '
            f"none: {names[:8]}. Set a montage (raw.set_montage), or choose another graph."
        )
    return cdist(places, places)
