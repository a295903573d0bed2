"""Attention of the nodes of one graph over those of another, in either direction of size."""

import torch
from torch import nn

from .graph import Neighbourhood


class BipartiteAttention(Neighbourhood):
    r"""GATv2 from the nodes of one graph to those of another.

    Node i of the receiving graph has no features yet: a learnt vector :math:`q_i` takes their
    place. Attention is the softmax over senders j of
    :math:`a^T \mathrm{LeakyReLU}(W x_j + q_i) + u_{ij}`, with a learnt offset :math:`u_{ij}` per
    edge; the output is the attention-weighted sum of :math:`W x_j` plus a
    bias.

    ``adjacency`` (n_to, n_from).
    """

    def __init__(self, adjacency, n_in: int, n_out: int, n_heads: int = 4, negative_slope=0.2):
        super().__init__(adjacency, n_heads, n_out, negative_slope)
        self.source = nn.Linear(n_in, n_heads * n_out, bias=False)
        self.query = nn.Parameter(torch.empty(len(self.valid), n_heads, n_out))
        self.edge = nn.Parameter(torch.zeros(*self.valid.shape, n_heads))
        self.attention = nn.Parameter(torch.empty(n_heads, n_out))
        self.bias = nn.Parameter(torch.zeros(n_heads * n_out))
        for tensor in (self.source.weight, self.query, self.attention):
            nn.init.xavier_uniform_(tensor)

    def weights(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention over senders, and what they send, of features (..., n_from, n_in)."""
        sent = self.source(x).unflatten(-1, (self.n_heads, self.n_out))
        return self._weights(sent, self.query, self.edge)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features (..., n_from, n_in) to (..., n_to, n_heads * n_out)."""
        return self._attend(x)
