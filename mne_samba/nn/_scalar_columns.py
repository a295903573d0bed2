"""GATv2 over many graphs of the same edges, of nodes with one feature each, a node at a time.

With one feature, everything that a node sends is a multiple of it. Attention then needs no more
than the feature of the neighbours, and what it adds up is their attention-weighted mean feature.
"""

import torch
from torch.amp import custom_bwd, custom_fwd
from torch.autograd.function import once_differentiable

from ._graph_columns import spans


class ScalarAttention(torch.autograd.Function):
    """Attention-weighted mean of the neighbours' feature.

    Energies of node i's neighbour j, per head and output, are ``weight x_j + own x_i + offset``;
    logits the sum of ``attention`` times their leaky rectifier. ``apply`` takes features (n_nodes,
    n_graphs); features of the attending nodes (n_to, n_graphs); ``weight``, ``own``, ``offset`` and
    ``attention``, all (n_heads, n_out); lists of every attending node's neighbours; the rectifier's
    slope; and whether there will be a backward pass. It gives means (n_to, n_heads, n_graphs).
    """

    # Temporaries that are written again and again have one precision: none is mixed in.
    @staticmethod
    @custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx, x, mine, weight, own, offset, attention, lists, slope, keep=True):
        """Average over the neighbours of all attending nodes; see the class."""
        x, mine = x.contiguous(), mine.contiguous()
        n_heads, n_out = weight.shape
        out = x.new_empty(len(lists), n_heads, x.shape[1])
        # leaky(e) = mean e + half |e|, of which what is alike for all neighbours drops out.
        mean, half = _parts(slope)
        weights, owns, offsets = (v.detach().reshape(-1, 1) for v in (weight, own, offset))
        heads = half * torch.block_diag(*attention.detach())
        line = mean * (attention * weight).detach().sum(1)[:, None, None]
        most, alphas = max(map(len, lists)), []
        for span in spans(x.shape[1], most * n_heads * n_out):
            part = x[:, span].contiguous()
            flat = x.new_empty(n_heads * n_out * most * part.shape[1])
            for i, some in enumerate(lists):
                sent = part.index_select(0, some)
                energy = flat[: n_heads * n_out * sent.numel()].view(-1, *sent.shape)
                received = torch.addcmul(offsets, owns, mine[i, span])
                torch.addcmul(received[:, None], weights[:, None], sent, out=energy)
                logits = (heads @ energy.abs_().flatten(1)).view(n_heads, *sent.shape)
                alpha = logits.addcmul_(line, sent).softmax(1)
                if keep:
                    alphas.append(alpha)
                torch.sum(alpha * sent, 1, out=out[i, :, span])
        if keep:
            ctx.save_for_backward(x, mine, weight, own, offset, attention, *alphas)
        ctx.lists, ctx.slope = lists, slope
        return out

    @staticmethod
    @once_differentiable
    @custom_bwd(device_type="cpu")
    def backward(ctx, grad):
        """Gradients of both features and of all parameters."""
        x, mine, weight, own, offset, attention, *alphas = ctx.saved_tensors
        n_heads, n_out = weight.shape
        n = n_heads * n_out
        mean, half = _parts(ctx.slope)
        weights, owns, offsets = (v.reshape(-1, 1) for v in (weight, own, offset))
        by_own = half * (attention * own).view(1, -1)
        # What gradients of energies, of logits and of means say of a neighbour's feature.
        line = mean * (attention * weight).sum(1)
        by_sent = torch.cat([half * (attention * weight).flatten(), line, torch.ones_like(line)])
        d_x, d_mine = torch.empty_like(x), torch.empty_like(mine)
        # Sums of gradients times the neighbours' feature; times the node's own, and alone.
        with_sent, with_mine = x.new_zeros(n + n_heads), x.new_zeros(n, 2)
        most, alphas = max(map(len, ctx.lists)), iter(alphas)
        for span in spans(x.shape[1], most * n):
            part, above = x[:, span].contiguous(), grad[..., span].unsqueeze(2).contiguous()
            both = torch.stack([mine[:, span], torch.ones_like(mine[:, span])], dim=-1)
            d_part = torch.zeros_like(part)
            flat = x.new_empty(2, (n + 2 * n_heads) * most * part.shape[1])
            for i, some in enumerate(ctx.lists):
                alpha, sent = next(alphas), part.index_select(0, some)
                rows = flat[0, : (n + 2 * n_heads) * sent.numel()].view(-1, *sent.shape)
                signed, d_logits, d_mean = rows[:n], rows[n : n + n_heads], rows[n + n_heads :]
                torch.mul(alpha, above[i], out=d_mean)
                torch.mul(d_mean, sent, out=d_logits)
                d_logits.addcmul_(alpha, d_logits.sum(1, keepdim=True), value=-1)
                energy = flat[1, : n * sent.numel()].view(-1, *sent.shape)
                received = torch.addcmul(offsets, owns, mine[i, span])
                torch.addcmul(received[:, None], weights[:, None], sent, out=energy)
                _times_sign(d_logits, energy, out=signed)
                rows, total = rows.flatten(1), signed.sum(1)
                with_sent += rows[: n + n_heads] @ sent.flatten()
                with_mine += total @ both[i]
                torch.mm(by_own, total, out=d_mine[i : i + 1, span])
                d_part.index_add_(0, some, (by_sent @ rows).view(sent.shape))
            d_x[:, span] = d_part
        with_sent, along = with_sent.split([n, n_heads])
        with_sent = half * with_sent.view(n_heads, n_out) + mean * along[:, None]
        with_mine, alone = half * with_mine.T.view(2, n_heads, n_out)
        d_attention = weight * with_sent + own * with_mine + offset * alone
        d_parameters = (attention * d for d in (with_sent, with_mine, alone))
        return d_x, d_mine, *d_parameters, d_attention, None, None, None


def _parts(slope: float) -> tuple[float, float]:
    """Multiples of its argument, and of the argument's size, that make up a leaky rectifier."""
    return (1 + slope) / 2, (1 - slope) / 2


def _times_sign(d_logits, energy, out):
    """Gradients of heads' logits (n_heads, ...) times the sign of energies (n_all, ...)."""
    shape = (len(d_logits), -1, *d_logits.shape[1:])
    # The rectifier's derivative with slope -1 is the sign.
    torch.ops.aten.leaky_relu_backward.grad_input(
        d_logits[:, None], energy.view(shape), -1.0, False, grad_input=out.view(shape)
    )
