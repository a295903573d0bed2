"""Graphs of nodes and graph attention over their neighbours (GATv2, Brody et al. 2022)."""

import math

import torch
from torch import nn

from ._graph_columns import ColumnAttention
from ._scalar_columns import ScalarAttention

# From this many graphs of the same edges on, vectors run along graphs rather than features.
_MANY = 64
# Length of the vectors whose products are learnt edges.
_EDGE_FEATURES = 8
# Graphs whose attention is averaged to show who listens to whom.
_SHOWN = 256


def neighbour_table(adjacency) -> tuple[torch.Tensor, torch.Tensor]:
    """Neighbours of nodes (n_nodes, n_neighbours), filled up with node 0, and where not."""
    # ``adjacency`` (n_nodes, n_from).
    adjacency = torch.as_tensor(adjacency) != 0
    degree = adjacency.sum(dim=1)
    if (degree == 0).any():
        nodes = torch.nonzero(degree == 0).flatten()[:8].tolist()
        raise ValueError(f"Nodes {nodes} have no neighbour: they attend to nothing.")
    # By edges: sorting the whole matrix would take gigabytes at thousands of nodes.
    valid = torch.arange(int(degree.max())) < degree[:, None]
    neighbours = torch.zeros(valid.shape, dtype=torch.long)
    neighbours[valid] = torch.nonzero(adjacency)[:, 1]
    return neighbours, valid


def _by_node(x: torch.Tensor) -> bool:
    """Whether nodes of (n_nodes, n_in, n_graphs) are taken one after the other."""
    # Calls per node pay on a processor; accelerators and compilers take all nodes in one.
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


class Neighbourhood(nn.Module):
    """Attention of nodes over a fixed neighbourhood each, by GATv2.

    Subclasses have parameters ``attention`` (n_heads, n_out) and ``bias`` (n_heads * n_out,), and
    say in ``weights`` who sends and receives what.
    """

    def __init__(self, adjacency, n_heads: int, n_out: int, negative_slope: float):
        super().__init__()
        # Indices are computed, which the meta device, on which files are checked, cannot.
        with torch.device("cpu"):
            neighbours, valid = neighbour_table(adjacency)
        self.register_buffer("neighbours", neighbours)
        self.register_buffer("valid", valid)
        self.n_heads, self.n_out, self.negative_slope = n_heads, n_out, negative_slope

    def _weights(self, sent, received, edges=None) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention over neighbours (..., n_to, n_neighbours, n_heads), and what they send.

        Messages are (..., n_to, n_neighbours, n_heads, n_out); ``sent`` (..., n_from, n_heads,
        n_out), ``received`` (..., n_to, n_heads, n_out), and ``edges`` logits to be added.
        """
        nodes = sent.dim() - 3
        messages = sent.index_select(nodes, self.neighbours.reshape(-1))
        messages = messages.unflatten(nodes, self.neighbours.shape)
        energy = nn.functional.leaky_relu(messages + received.unsqueeze(-3), self.negative_slope)
        logits = (energy * self.attention).sum(-1)
        if edges is not None:
            logits = logits + edges
        logits = logits.masked_fill(~self.valid.unsqueeze(-1), -math.inf)
        return logits.softmax(dim=-2), messages

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        """Map node features (..., n_from, n_in) to (..., n_to, n_heads * n_out)."""
        alpha, messages = self.weights(x)
        return (alpha.unsqueeze(-1) * messages).sum(-3).flatten(-2) + self.bias


class GraphAttention(Neighbourhood):
    r"""GATv2 over a fixed neighbourhood of every node.

    Attention of node i over its neighbours j, per head: softmax over j of
    :math:`a^T \mathrm{LeakyReLU}(W_s x_j + W_t x_i)`; the output is the attention-weighted sum of
    :math:`W_s x_j`, heads side by side, plus a bias. The cost grows with nodes times neighbours. It
    equals ``torch_geometric.nn.GATv2Conv`` on the same edges.

    With ``learn_edges``, every edge has a logit of its own, :math:`u_i^T v_j / \sqrt{d}` of learnt
    vectors u, v of its nodes, added in all heads: a trainable adjacency of low rank. All start
    equal, at zero.

    Parameters
    ----------
    adjacency : array of bool, shape (n_nodes, n_nodes)
        Row i marks the nodes that node i attends to.
    n_in, n_out : int
        Features per node, and output features per head.
    n_heads : int
        Attention heads.
    negative_slope : float
        Slope of the leaky rectifier.
    learn_edges : bool
        Add learnt logits of edges, whatever the nodes' features.
    """

    def __init__(
        self, adjacency, n_in: int, n_out: int, n_heads: int = 4, negative_slope=0.2,
        learn_edges: bool = False,
    ):  # fmt: skip
        super().__init__(adjacency, n_heads, n_out, negative_slope)
        self.source = nn.Linear(n_in, n_heads * n_out)
        self.target = nn.Linear(n_in, n_heads * n_out)
        self.attention = nn.Parameter(torch.empty(n_heads, n_out))
        self._lists: list[torch.Tensor] | None = None
        self.bias = nn.Parameter(torch.zeros(n_heads * n_out))
        self.takes = self.gives = None
        if learn_edges:
            # One side at zero: all edges start equal, and yet receive gradients.
            self.takes = nn.Parameter(torch.randn(len(self.valid), _EDGE_FEATURES))
            self.gives = nn.Parameter(torch.zeros(len(self.valid), _EDGE_FEATURES))
        nn.init.xavier_uniform_(self.source.weight)
        nn.init.xavier_uniform_(self.target.weight)
        nn.init.xavier_uniform_(self.attention)

    @property
    def edges(self) -> torch.Tensor | None:
        """Learnt logits (n_nodes, n_nodes) of edges from columns to rows; None where not learnt."""
        if self.takes is None:
            return None
        return self.takes @ self.gives.T / math.sqrt(_EDGE_FEATURES)

    def mean_weights(self, x: torch.Tensor) -> torch.Tensor:
        """Attention (n_nodes, n_nodes) of rows to columns, averaged over heads and graphs.

        Rows sum to 1; of many graphs ``x`` (n_graphs, n_nodes, n_in), some are taken.
        """
        alpha = self.weights(x[:: -(-len(x) // _SHOWN)])[0].mean((0, -1))
        out = alpha.new_zeros(len(alpha), len(alpha))
        # Fillings point at node 0 with no weight: sums, not the last of both.
        return out.scatter_add_(1, self.neighbours, alpha)

    def weights(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention over neighbours, and what they send, of features (..., n_nodes, n_in)."""
        sides = (layer(x).unflatten(-1, (self.n_heads, self.n_out))
                 for layer in (self.source, self.target))  # fmt: skip
        edges = self.edges
        if edges is not None:
            edges = edges.gather(1, self.neighbours).unsqueeze(-1)
        return self._weights(*sides, edges)

    def columns(self, x: torch.Tensor, nodes: torch.Tensor | None = None) -> torch.Tensor:
        """Attend in many graphs of the same edges, such as one per frame: as ``forward``.

        Features (n_nodes, n_in, n_graphs) -> (n_nodes, n_heads * n_out, n_graphs), of some
        ``nodes`` where they are given.
        """
        if not _by_node(x):
            out = self._attend(x.permute(2, 0, 1)).permute(1, 2, 0)
            return out if nodes is None else out[nodes]
        if self._lists is None or self._lists[0].device != x.device:
            rows = zip(self.neighbours, self.valid, strict=True)
            self._lists = [neighbours[valid] for neighbours, valid in rows]
        lists = self._lists if nodes is None else [self._lists[i] for i in nodes]
        mine, edges = x if nodes is None else x[nodes], self.edges
        if x.shape[1] == 1 and edges is None:
            return self._scalar_columns(x[:, 0], mine[:, 0], lists)
        sent, received = (
            torch.bmm(layer.weight.expand(len(given), *layer.weight.shape), given)
            .add_(layer.bias[:, None])
            .unflatten(1, (self.n_heads, self.n_out))
            for layer, given in ((self.source, x), (self.target, mine))
        )
        if edges is not None and nodes is not None:
            edges = edges[nodes]
        learns = torch.is_grad_enabled()
        out = ColumnAttention.apply(
            sent, received, self.attention, lists, self.negative_slope, edges, learns
        )
        return out.flatten(1, 2) + self.bias[:, None]

    def _scalar_columns(self, x, mine, lists) -> torch.Tensor:
        """Attend where nodes have one feature (n_nodes, n_graphs), those that attend ``mine``."""
        shape = self.attention.shape
        weight, own = (layer.weight.view(shape) for layer in (self.source, self.target))
        offset = (self.source.bias + self.target.bias).view(shape)
        learns = torch.is_grad_enabled()
        mean = ScalarAttention.apply(
            x, mine, weight, own, offset, self.attention, lists, self.negative_slope, learns
        )
        # Attention sums to one: of what is sent, the bias is left as it is.
        bias = (self.source.bias + self.bias)[:, None]
        heads = torch.block_diag(*weight[:, :, None])
        return torch.baddbmm(bias, heads.expand(len(mean), *heads.shape), mean)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map node features (..., n_nodes, n_in) to (..., n_nodes, n_heads * n_out)."""
        n_graphs = math.prod(x.shape[:-2])
        if n_graphs >= _MANY and _by_node(x):
            flat = x.reshape(n_graphs, *x.shape[-2:]).permute(1, 2, 0)
            return self.columns(flat).permute(2, 0, 1).reshape(*x.shape[:-1], -1)
        return self._attend(x)


class GraphCorrection(nn.Module):
    """What a node's neighbours add to its time course; nothing at the start.

    ``n_in`` features per node and time, ``n_hidden`` per head; otherwise as `GraphAttention`.
    """

    def __init__(
        self, adjacency, n_in: int, n_hidden: int = 4, n_heads: int = 4, learn_edges: bool = False
    ):
        super().__init__()
        self.graph = GraphAttention(adjacency, n_in, n_hidden, n_heads, learn_edges=learn_edges)
        self.readout = nn.Linear(n_heads * n_hidden, 1)
        # A zero gate keeps the linear core exact until training finds something to add.
        self.gate = nn.Parameter(torch.zeros(()))

    def attention(self, features: torch.Tensor) -> torch.Tensor:
        """Mean attention (n_nodes, n_nodes) in features (..., n_nodes, n_times, n_in)."""
        return self.graph.mean_weights(features.transpose(-3, -2).flatten(0, -3))

    def hidden(self, features: torch.Tensor, nodes: torch.Tensor | None = None) -> torch.Tensor:
        """Hidden features (n_nodes, n_hidden, n_graphs) that are read out, of some ``nodes``.

        Graphs are those of all times of all of ``features`` (..., n_nodes, n_times, n_in).
        """
        *_, n_nodes, n_times, n_in = features.shape
        x = features.reshape(-1, n_nodes, n_times, n_in).permute(1, 3, 0, 2)
        return nn.functional.elu_(self.graph.columns(x.reshape(n_nodes, n_in, -1), nodes))

    def forward(self, features: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
        """Features (..., n_nodes, n_times, n_in) -> additions (..., n_nodes, n_times).

        ``hidden`` features are computed where they are not given.
        """
        *leading, n_nodes, n_times, _ = features.shape
        if hidden is not None or math.prod(leading) * n_times >= _MANY:
            hidden = self.hidden(features) if hidden is None else hidden
            added = self.readout.weight @ hidden + self.readout.bias
            added = added.view(n_nodes, -1, n_times).transpose(0, 1)
            return self.gate * added.reshape(*leading, n_nodes, n_times)
        x = features.transpose(-3, -2)
        hidden = nn.functional.elu(self.graph(x))
        return self.gate * self.readout(hidden).squeeze(-1).transpose(-2, -1)
