"""Responses of nodes and linear maps of levels."""

import torch

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
    n_windows, n_channels, n_all, _ = power.shape
    n_frames, out = n_all - n_chunks + 1, 0.0
    levels = power.split([len(weight) for weight in maps], dim=-1)
    for level, kernel, weight in zip(levels, kernels, maps, strict=True):
        size, n_times = len(weight), n_all * len(weight)
        n_fft = fast_length(n_times)
        spectrum = torch.fft.rfft(level.reshape(n_windows, n_channels, n_times), n_fft)
        bold = torch.fft.irfft(spectrum * torch.fft.rfft(kernel, n_fft), n_fft)
        bold = bold[..., (n_chunks - 1) * size : n_times]
        out = out + bold.reshape(n_windows, n_channels, n_frames, size) @ weight
    return out.permute(1, 3, 0, 2).flatten(2)
