"""GATv2 over many graphs of the same edges, a node at a time.

Features lie as ``(n_nodes, n_heads, n_features, n_graphs)``: a node's neighbours are gathered as
long contiguous rows, all sums run along vectors of graphs, and what belongs to one node stays in
cache. Nothing of the size edges times features is ever held: the backward pass gathers again.
"""

import torch
from torch.autograd.function import once_differentiable

# Numbers per temporary: two or three of them fit the second-level cache.
_BLOCK = 1 << 18


def spans(n_graphs: int, per_graph: int) -> list[slice]:
    """Cut graphs into spans whose temporaries, ``per_graph`` numbers each, stay in cache."""
    width = max(16, _BLOCK // per_graph)
    # Spans of equal width: a short rest would cost as many calls as a whole one.
    n_spans = -(-n_graphs // width)
    width = -(-n_graphs // n_spans)
    return [slice(start, min(start + width, n_graphs)) for start in range(0, n_graphs, width)]


class ColumnAttention(torch.autograd.Function):
    """Attention-weighted sum over neighbours, with a backward pass that stores no edge features.

    ``apply`` takes messages (n_nodes, n_heads, n_out, n_graphs); what attending nodes add to them
    before the rectifier (n_to, n_heads, n_out, n_graphs); attention vectors (n_heads, n_out); lists
    of every attending node's neighbours; the rectifier's slope; logits (n_to, n_nodes) of edges, in
    all heads, or None; and whether there will be a backward pass. It gives sums (n_to, n_heads,
    n_out, n_graphs).
    """

    @staticmethod
    def forward(ctx, sent, received, attention, lists, slope, edges=None, keep=True):
        """Add up over the neighbours of all attending nodes; see the class."""
        sent, received = sent.contiguous(), received.contiguous()
        out = torch.empty_like(received)
        n_heads, n_out, n_graphs = sent.shape[1:]
        alphas = [sent.new_empty(len(some), n_heads, n_graphs) for some in lists if keep]
        most = max(len(some) for some in lists)
        width = most * n_heads * n_out
        vectors = attention.detach().expand(most, -1, -1).reshape(-1, 1, n_out)
        for span in spans(n_graphs, width):
            part = sent if span == slice(0, n_graphs) else sent[..., span].contiguous()
            # Memory that is written again and again stays in cache.
            temporaries = sent.new_empty(2, most, *part.shape[1:])
            for i, some in enumerate(lists):
                messages, energy = temporaries[:, : len(some)]
                torch.index_select(part, 0, some, out=messages)
                torch.add(messages, received[i, :, :, span], out=energy)
                torch.nn.functional.leaky_relu_(energy, slope)
                logits = torch.bmm(vectors[: len(some) * n_heads], energy.flatten(0, 1))
                logits = logits.view(len(some), n_heads, -1)
                if edges is not None:
                    logits += edges.detach()[i, some, None, None]
                alpha = torch.softmax(logits, 0)
                if keep:
                    alphas[i][..., span] = alpha
                torch.sum(messages.mul_(alpha.unsqueeze(2)), 0, out=out[i, :, :, span])
        if keep:
            ctx.save_for_backward(sent, received, attention, *alphas)
        ctx.lists, ctx.slope, ctx.width = lists, slope, width
        ctx.learnt = edges is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        """Gradients of messages, vectors and edges."""
        sent, received, attention, *alphas = ctx.saved_tensors
        slope, vector = ctx.slope, attention[:, :, None]
        grad = grad.contiguous()
        n_graphs = sent.shape[-1]
        d_sent, d_received = torch.zeros_like(sent), torch.empty_like(received)
        d_attention = torch.zeros_like(attention)
        d_edges = sent.new_zeros(len(received), len(sent)) if ctx.learnt else None
        most = max(map(len, ctx.lists))
        for span in spans(n_graphs, ctx.width):
            whole = span == slice(0, n_graphs)
            part = sent if whole else sent[..., span].contiguous()
            d_part = d_sent if whole else torch.zeros_like(part)
            temporaries = sent.new_empty(2, most, *part.shape[1:])
            for i, some in enumerate(ctx.lists):
                above, alpha = grad[i, :, :, span], alphas[i][..., span]
                energy, steep = temporaries[:, : len(some)]
                torch.index_select(part, 0, some, out=energy)
                d_alpha = torch.mul(energy, above, out=steep).sum(2)
                weighted = d_alpha.mul_(alpha)
                d_logits = weighted.sub_(alpha * weighted.sum(0)).unsqueeze(2)
                if d_edges is not None:
                    d_edges[i, some] += d_logits.sum((1, 2, 3))
                energy += received[i, :, :, span]
                # The rectifier is homogeneous: its value is its slope times its argument, so one
                # product gives both the gradient of the vector and that of the features.
                torch.ops.aten.leaky_relu_backward.grad_input(
                    d_logits, energy, slope, False, grad_input=steep
                )
                total = steep.sum(0)
                d_attention += energy.mul_(steep).sum((0, 3))
                torch.mul(total, vector, out=d_received[i, :, :, span])
                d_energy = torch.mul(alpha.unsqueeze(2), above, out=energy)
                d_energy.addcmul_(steep, vector)
                d_part.index_add_(0, some, d_energy)
            if not whole:
                d_sent[..., span] = d_part
        return d_sent, d_received, d_attention, None, None, d_edges, None
