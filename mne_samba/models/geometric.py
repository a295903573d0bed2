"""Graphs of torch-geometric: taken as edges between nodes, and handed over."""

import numpy as np
from scipy.spatial.distance import cdist

from ..data.channels import places_of


def is_geometric(graph) -> bool:
    """Whether a graph comes from torch-geometric, which need not be loaded to tell."""
    kinds = type(graph).__mro__
    return any(kind.__module__.partition(".")[0] == "torch_geometric" for kind in kinds)


def geometric_adjacency(
    graph, n_channels: int, power: np.ndarray | None = None, info=None, ch_names=None
) -> np.ndarray:
    """Edges (n_channels, n_channels) of data, or of what a transform makes of nodes."""
    from torch_geometric.data import Data
    from torch_geometric.transforms import BaseTransform

    if isinstance(graph, BaseTransform):
        graph = _transformed(graph, n_channels, power, info, ch_names)
    if not isinstance(graph, Data):
        raise ValueError(
            "graph must be a torch_geometric.data.Data or a transform that makes one, got "
            f"{type(graph).__name__}."
        )
    return _edges(graph, n_channels, ch_names)


def to_data(adjacency: np.ndarray, weight: np.ndarray, names=None):
    """Make data of torch-geometric of an adjacency (n, n), with the weights (n, n) of its edges."""
    import torch
    from torch_geometric.data import Data

    attends, sends = np.nonzero(adjacency)
    more = {}
    if names is not None:
        if len(names) != len(adjacency):
            raise ValueError(f"names has {len(names)} names for {len(adjacency)} nodes.")
        more["names"] = [str(name) for name in names]
    return Data(
        edge_index=torch.as_tensor(np.stack([sends, attends])),
        edge_weight=torch.as_tensor(weight[attends, sends]), num_nodes=len(adjacency), **more,
    )  # fmt: skip


def node_places(info, ch_names, asker: str) -> np.ndarray:
    """Places (n_channels, 3) of channels in metres; refused by name where one has none."""
    if info is None:
        raise ValueError(
            f"{asker} needs the places of channels, which arrays do not have: give "
            "MNE objects with a montage, or your own adjacency (n_channels, n_channels) as graph."
        )
    channels = [ch["ch_name"] for ch in info["chs"]]
    found = dict(zip(channels, places_of(info), strict=True))
    places = np.array([found.get(name, np.full(3, np.nan)) for name in ch_names])
    lost = np.isnan(places).any(axis=1)
    if lost.any():
        names = [ch_names[i] for i in np.flatnonzero(lost)]
        raise ValueError(
            f"{asker} needs the places of channels; {len(names)} of {len(ch_names)} have "
            f"none: {names[:8]}. Set a montage (raw.set_montage), or choose another graph."
        )
    return places


def _transformed(transform, n_channels: int, power: np.ndarray | None, info, ch_names):
    """Apply a transform to data of the channels."""
    import torch
    from torch_geometric.data import Data

    data = Data(num_nodes=n_channels)
    if power is not None:
        data.x = torch.as_tensor(power.reshape(n_channels, -1), dtype=torch.float32)
    try:
        places = node_places(info, ch_names, f"graph={transform!r}")
    except ValueError as error:
        # Only transforms that ask for places need them.
        try:
            return _apply(transform, data)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
            raise error from None
    data.pos = torch.as_tensor(places, dtype=torch.float32)
    return _apply(transform, data)


def _apply(transform, data):
    """Apply a transform; nearest neighbours are found here, without the pyg-lib they ask for."""
    from torch_geometric import transforms

    if type(transform) is transforms.Compose:
        for part in transform.transforms:
            data = _apply(part, data)
        return data
    if type(transform) not in (transforms.KNNGraph, transforms.RadiusGraph):
        return transform(data)
    import torch

    nearest = _nearest if type(transform) is transforms.KNNGraph else _within
    adjacency = nearest(transform, data.pos.double().numpy())
    attends, sends = np.nonzero(adjacency)
    pairs = (sends, attends) if transform.flow == "source_to_target" else (attends, sends)
    data.edge_index, data.edge_attr = torch.as_tensor(np.stack(pairs)), None
    return data


def _nearest(transform, places: np.ndarray) -> np.ndarray:
    """Adjacency (n, n) of a `KNNGraph`."""
    distance = cdist(places, places, "cosine" if transform.cosine else "euclidean")
    # A node is the first of its own neighbours, or none of them.
    np.fill_diagonal(distance, -1.0 if transform.loop else np.inf)
    k = min(transform.k, len(places) - (not transform.loop))
    adjacency = closest(distance, k)
    return adjacency | adjacency.T if transform.force_undirected else adjacency


def _within(transform, places: np.ndarray) -> np.ndarray:
    """Adjacency (n, n) of a `RadiusGraph`."""
    distance = cdist(places, places)
    np.fill_diagonal(distance, 0.0 if transform.loop else np.inf)
    most = len(places) if transform.max_num_neighbors is None else transform.max_num_neighbors
    return closest(distance, min(most, len(places))) & (distance <= transform.r)


def closest(distance: np.ndarray, k: int) -> np.ndarray:
    """Mark the ``k`` smallest entries of every row, of equal ones the first."""
    marked = np.zeros(distance.shape, dtype=bool)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    np.put_along_axis(marked, order, True, axis=1)
    return marked


def _edges(data, n_nodes: int, ch_names) -> np.ndarray:
    """Adjacency (n_channels, n_channels) of data, in the order of the channels."""
    edges = data.edge_index
    if edges is None:
        raise ValueError("graph has no edges: its edge_index is None.")
    edges = edges.cpu().numpy()
    # Asked for its size without any, data would guess it from the edges.
    counted = "num_nodes" in data or data.x is not None or data.pos is not None
    if (counted and data.num_nodes != n_nodes) or (edges.size and edges.max() >= n_nodes):
        size = data.num_nodes if counted else int(edges.max()) + 1
        raise ValueError(f"graph has {size} nodes, but there are {n_nodes} channels.")
    weight = getattr(data, "edge_weight", None)
    if weight is not None:
        weight = weight.detach().cpu().numpy().reshape(edges.shape[1], -1)
        if not np.isfinite(weight).all():
            raise ValueError("graph has edges whose edge_weight is NaN or infinite.")
        edges = edges[:, (weight != 0).any(axis=1)]
    sends, attends = edges
    adjacency = np.zeros((n_nodes, n_nodes), dtype=bool)
    adjacency[attends, sends] = True
    names = getattr(data, "names", None)
    if names is None or ch_names is None:
        return adjacency
    names, ch_names = [str(name) for name in names], list(ch_names)
    if sorted(names) != sorted(ch_names):
        raise ValueError(
            "graph has nodes of other names than the channels: "
            f"{sorted(set(names) ^ set(ch_names))[:8]}."
        )
    order = [names.index(name) for name in ch_names]
    return adjacency[np.ix_(order, order)]
