"""Responses of nodes and linear maps of levels."""

import torch
from torch.autograd.function import once_differentiable

from .._as_written import as_written
from ..hrf.convolution import fast_length

# Nodes whose transforms stay in a processor's cache together; an accelerator takes all at once.
_NODES = 16


@as_written
def node_features(power: torch.Tensor, n_chunks: int, kernels, maps) -> torch.Tensor:
    """Features of chunks of power after causal convolution with every node's response.

    Takes the power of coefficients (n_windows, n_channels, n_all, n_coefs), levels side by side;
    the chunks of history, of which the last ``n_all - n_chunks + 1`` chunks have all; per level,
    kernels (n_channels, n_lags) with ``n_lags <= (n_chunks - 1) * size + 1`` (what a circular
    transform wraps around is then cut off); and per level, maps (size, n_hidden). Returns features
    (n_channels, n_hidden, n_windows * n_frames).
    """
    width = _NODES if power.device.type == "cpu" else power.shape[1]
    parts = zip(power.split(width, 1), *(kernel.split(width) for kernel in kernels), strict=True)
    return torch.cat([_features(part, n_chunks, own, maps) for part, *own in parts])


def _features(power, n_chunks, kernels, maps) -> torch.Tensor:
    """Features of some nodes, see `node_features`."""
    out, levels = 0.0, power.split([len(weight) for weight in maps], dim=-1)
    for level, kernel, weight in zip(levels, kernels, maps, strict=True):
        out = out + LevelResponse.apply(level, kernel, n_chunks - 1) @ weight
    return out.permute(1, 3, 0, 2).flatten(2)


class LevelResponse(torch.autograd.Function):
    """Causal convolution of a level's chunks; the first ones, which lack history, are cut off.

    ``apply`` takes chunks (n_windows, n_channels, n_chunks, size), kernels (n_channels, n_lags),
    and how many chunks to cut. The backward pass transforms its gradient once, and holds no product
    of the transforms of all windows.
    """

    @staticmethod
    def forward(ctx, level, kernel, cut):
        """Convolve circularly: what wraps around is cut off."""
        n_chunks, size = level.shape[-2:]
        n_fft = fast_length(n_chunks * size)
        spectrum, response = _transform(level, 0, n_fft), torch.fft.rfft(kernel, n_fft)
        out = torch.fft.irfft(spectrum * response, n_fft)
        ctx.save_for_backward(spectrum if ctx.needs_input_grad[1] else None, response)
        ctx.n_lags, ctx.n_fft, ctx.shape, ctx.cut = kernel.shape[1], n_fft, level.shape, cut
        return out[..., cut * size : n_chunks * size].unflatten(-1, (-1, size)).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        """Correlate the gradient with the other of both."""
        spectrum, response = ctx.saved_tensors
        d_level = d_kernel = None
        above = _transform(grad, ctx.cut, ctx.n_fft)
        if ctx.needs_input_grad[0]:
            d_level = torch.fft.irfft(above * response.conj(), ctx.n_fft)
            d_level = d_level[..., : ctx.shape[2] * ctx.shape[3]].unflatten(-1, ctx.shape[2:])
        if spectrum is not None:
            total = torch.zeros_like(response)
            for pair in zip(above.conj_physical_(), spectrum, strict=True):
                total.addcmul_(*pair)
            d_kernel = torch.fft.irfft(total.conj(), ctx.n_fft)[:, : ctx.n_lags]
        return d_level, d_kernel, None


def _transform(chunks, before: int, n_fft: int) -> torch.Tensor:
    """Transform of ``before`` chunks of zeros, ``chunks`` (..., n_chunks, size), and zeros."""
    n_chunks, size = chunks.shape[-2:]
    padded = chunks.new_empty(*chunks.shape[:-2], n_fft)
    begin, end = before * size, (before + n_chunks) * size
    padded[..., :begin].zero_()
    padded[..., end:].zero_()
    padded[..., begin:end].unflatten(-1, (n_chunks, size)).copy_(chunks)
    return torch.fft.rfft(padded)
