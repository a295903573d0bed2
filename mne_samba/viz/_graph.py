"""Graphs between channels, between regions and from channels to regions."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from .._checks import check_option
from ..models.graphs import Graphs
from ._figure import (
    as_coords,
    as_matrix,
    as_names,
    by_network,
    color_bar,
    color_scale,
    connectome,
    finish,
    fitted,
    make_axes,
    styled,
    tick_names,
)


def _edges(graph, kind: str) -> np.ndarray:
    """Edge weights of one graph: attention where it was learnt, else similarity along its edges."""
    if not isinstance(graph, Graphs):
        return as_matrix(graph, "graph")
    found = getattr(graph, f"{kind}_attention", None)
    if found is None and kind != "bipartite":
        found, adjacency = getattr(graph, f"{kind}_similarity"), getattr(graph, kind)
        if found is not None and adjacency is not None:
            found = np.where(np.asarray(adjacency) != 0, found, 0.0)
    if found is None:
        found = getattr(graph, kind)
    if found is None:
        raise ValueError(f"The estimator has no {kind} graph (graph=None?).")
    return as_matrix(found, f"{kind} graph")


@styled
def plot_graph(
    graph, kind: str = "target", *, names: Sequence[str] | None = None,
    source_names: Sequence[str] | None = None, networks: Sequence[str] | None = None,
    source_networks: Sequence[str] | None = None, coords=None, source_coords=None,
    n_edges: int = 60, label: str | None = None, title: str | None = None, axes=None,
    show: bool = True,
) -> Figure:  # fmt: skip
    """Draw a graph as a matrix by network and, with coordinates, on a glass brain.

    Parameters
    ----------
    graph : SambaTranslator | array
        A fitted translator, or a matrix: (n, n) of one set of nodes, or (n_targets, n_sources).
    kind : "source" | "target" | "bipartite"
        The graph between channels or source regions, between BOLD regions, or the map from the
        first to the second.
    names : sequence of str | None
        Names of the rows' nodes; an estimator brings its own.
    source_names : sequence of str | None
        Names of the columns' nodes of the bipartite graph; an estimator brings its own.
    networks, source_networks : sequence of str | None
        Network of every node: puts networks together and draws lines between them.
    coords : array of shape (n_rows, 3) | None
        Places of the rows' nodes, MNI mm: adds a glass brain.
    source_coords : array of shape (n_columns, 3) | None
        Places of the columns' nodes of the bipartite graph; needed for its brain.
    n_edges : int
        Strongest edges on the brain.
    label : str | None
        What the weights are.
    axes : Axes | sequence of Axes | None
        One, or two with a brain: the brain first.
    title, show
        As in `plot_scores`.

    Returns
    -------
    fig : Figure
        Weights, or attention where it was learnt; row i, column j is what goes to node i from node
        j. A node's edge to itself is left out (grey), as are edges that attention lacks. The brain
        shows the mean of both directions, on the scale of the matrix; in the bipartite graph, light
        nodes are sources, dark ones targets.

    Raises
    ------
    ValueError
        If ``kind`` is unknown, shapes disagree, or the estimator has no such graph.
    """
    check_option(kind, "kind", ("source", "target", "bipartite"))
    if hasattr(graph, "fit"):
        estimator = graph
        graph = fitted(estimator, "graph_")
        channels, regions = fitted(estimator, "ch_names_in_", "target_names_in_")
        channels = getattr(estimator, "node_names_", channels)
        names = (channels if kind == "source" else regions) if names is None else names
        source_names = channels if source_names is None else source_names
    learnt = getattr(graph, f"{kind}_attention", None) is not None
    if label is None:
        similar = "similarity (not learnt)" if isinstance(graph, Graphs) else "edge weight"
        label = "attention" if learnt else "map weight" if kind == "bipartite" else similar
    matrix = _edges(graph, kind)
    n_rows, n_columns = matrix.shape
    stem = "channel" if kind == "source" else "region"
    names = as_names(names, n_rows, stem, "names")
    coords = as_coords(coords, n_rows)
    if kind == "bipartite":
        columns = as_names(source_names, n_columns, "channel", "source_names")
        column_networks = source_networks
        source_coords = as_coords(source_coords, n_columns)
    else:
        if n_rows != n_columns:
            raise ValueError(f"The {kind} graph must be square, got {matrix.shape}.")
        columns, column_networks = names, networks
        source_coords = None
    brain = coords is not None and (kind != "bipartite" or source_coords is not None)
    if brain:
        fig, panels = make_axes(axes, 2, 1, 6.6, height_ratios=[1.9, 4.7])
    else:
        fig, panels = make_axes(axes, 1, 1, 4.8)
    if kind != "bipartite":
        # What a node gives itself would outshine the rest.
        matrix = matrix.copy()
        np.fill_diagonal(matrix, np.nan)
    if learnt:
        # Attention has no sign, and none where there is no edge.
        matrix[matrix == 0] = np.nan
    scale = color_scale(matrix)
    if brain:
        if kind == "bipartite":
            edges, places = _both_sides(matrix), np.concatenate([coords, source_coords])
            colors = ["0.15"] * n_rows + ["0.85"] * n_columns
        else:
            edges, places = (matrix + matrix.T) / 2, coords
            colors = _network_colors(networks, n_rows)
        cmap, low, high = scale
        edges = _strongest(edges, n_edges)
        connectome(panels[0], edges, places, colors, label=label, cmap=cmap, vmin=low, vmax=high)
    _draw_matrix(panels[-1], matrix, names, columns, networks, column_networks, label, scale)
    panels[-1].set_ylabel("to channel" if kind == "source" else "to region")
    panels[-1].set_xlabel("from region" if kind == "target" else "from channel")
    return finish(fig, show, title)


def _draw_matrix(panel, matrix, rows, columns, networks, column_networks, label, scale) -> None:
    cmap, low, limit = scale
    order, edges = by_network(networks, len(rows))
    column_order, column_edges = by_network(column_networks, len(columns))
    panel.set_facecolor("0.85")
    panel.imshow(
        matrix[np.ix_(order, column_order)], cmap=cmap, vmin=low, vmax=limit,
        interpolation="nearest", aspect="auto",
    )  # fmt: skip
    panel.spines[:].set_visible(True)
    tick_names(panel.yaxis, [rows[i] for i in order], 3.6)
    tick_names(panel.xaxis, [columns[i] for i in column_order], 4.2, rotation=90)
    for places, line in ((edges, panel.axhline), (column_edges, panel.axvline)):
        for place in places:
            line(place, color="k", lw=0.5)
    color_bar(panel, cmap, low, limit, label)


def _network_colors(networks, n: int) -> list:
    if networks is None:
        return ["0.3"] * n
    kinds = list(dict.fromkeys(str(network) for network in networks))
    colors = mpl.colormaps["tab20"](np.arange(len(kinds)) % 20)
    return [colors[kinds.index(str(network))] for network in networks]


def _both_sides(matrix: np.ndarray) -> np.ndarray:
    """Edges (n_rows + n_columns, n_rows + n_columns) between rows and columns of a matrix."""
    n_rows, n_columns = matrix.shape
    edges = np.zeros((n_rows + n_columns,) * 2)
    edges[:n_rows, n_rows:] = matrix
    return edges + edges.T


def _strongest(edges: np.ndarray, n_edges: int) -> np.ndarray:
    """Edges (n_nodes, n_nodes) without all but the largest."""
    edges = np.nan_to_num(edges)
    size = np.abs(edges[np.triu_indices_from(edges, 1)])
    if n_edges >= len(size):
        return edges
    return np.where(np.abs(edges) >= np.sort(size)[-n_edges], edges, 0.0)
