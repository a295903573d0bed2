"""Responses of nodes and linear maps of levels in one pass, a node at a time.

The plain form writes the convolved power of all nodes and its spectra to memory, several times the
size of the signal. Here a node's transforms, products and maps stay in cache; only what the
gradient needs is kept.
"""

from __future__ import annotations

from functools import lru_cache

import torch

from .._as_written import as_written


@lru_cache(maxsize=256)
def _fast_length(n_times: int) -> int:
    """Smallest product of 2, 3 and 5 from ``n_times`` on: transforms of it are fast."""
    best, fives = 1 << (n_times - 1).bit_length(), 1
    while fives < best:
        odd = fives
        while odd < best:
            best = min(best, odd << (-(-n_times // odd) - 1).bit_length())
            odd *= 3
        fives *= 5
    return best


@as_written
def node_features(power: torch.Tensor, n_chunks: int, *tensors: torch.Tensor) -> torch.Tensor:
    """Features of nodes, see `ResponseFeatures`."""
    # A processor's cache wants a node at a time, an accelerator all at once.
    features = ResponseFeatures.apply if power.device.type == "cpu" else response_features
    return features(power, n_chunks, *tensors)


def response_features(power: torch.Tensor, n_chunks: int, *tensors: torch.Tensor) -> torch.Tensor:
    """Plain form of `ResponseFeatures`, with the same arguments and result."""
    kernels, maps = tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]
    n_windows, n_channels, n_all, _ = power.shape
    n_frames, out = n_all - n_chunks + 1, 0.0
    parts = power.split([len(weight) for weight in maps], dim=-1)
    for part, kernel, weight in zip(parts, kernels, maps, strict=True):
        size, n_times = len(weight), n_all * len(weight)
        n_fft = _fast_length(n_times)
        spectrum = torch.fft.rfft(part.reshape(n_windows, n_channels, n_times), n_fft)
        bold = torch.fft.irfft(spectrum * torch.fft.rfft(kernel, n_fft), n_fft)
        bold = bold[..., (n_chunks - 1) * size : n_times]
        out = out + bold.reshape(n_windows, n_channels, n_frames, size) @ weight
    return out.permute(1, 3, 0, 2).flatten(2)


class ResponseFeatures(torch.autograd.Function):
    """Features of chunks of power after causal convolution with every node's response.

    ``apply`` takes the power of coefficients (n_windows, n_channels, n_all, n_coefs), levels side
    by side; the chunks of history, of which the last ``n_all - n_chunks + 1`` chunks have all; per
    level, kernels (n_channels, n_lags) with ``n_lags <= (n_chunks - 1) * size + 1`` (what a
    circular transform wraps around is then cut off); and per level, maps (size, n_hidden). It
    gives features (n_channels, n_hidden, n_windows * n_frames).
    """

    @staticmethod
    def forward(ctx, power, n_chunks, *tensors):
        """Features of all nodes; see the class."""
        kernels, maps = tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]
        n_windows, n_channels, n_all, _ = power.shape
        n_rows = n_windows * (n_all - n_chunks + 1)
        out = power.new_zeros(n_channels, maps[0].shape[1], n_rows)
        spectra, convolved, responses, start = [], [], [], 0
        wanted = any(ctx.needs_input_grad)
        for kernel, weight in zip(kernels, maps, strict=True):
            size = len(weight)
            n_times, first = n_all * size, (n_chunks - 1) * size
            n_fft = _fast_length(n_times)
            response = torch.fft.rfft(kernel, n_fft)
            part = power[..., start : start + size]
            kept = []
            for node in range(n_channels):
                drive = part[:, node].reshape(n_windows, n_times)
                spectrum = torch.fft.rfft(drive, n_fft)
                bold = torch.fft.irfft(spectrum * response[node], n_fft)[:, first:n_times]
                bold = bold.reshape(n_rows, size)
                out[node].addmm_(weight.T, bold.T)
                if wanted:
                    kept.append((spectrum, bold))
            start += size
            if wanted:
                spectra.append([s for s, _ in kept])
                convolved.append([b for _, b in kept])
                responses.append(response)
        ctx.save_for_backward(*kernels, *maps)
        ctx.kept, ctx.sizes = (spectra, convolved, responses), (power.shape, n_chunks)
        return out

    @staticmethod
    def backward(ctx, grad):
        """Gradients of power, kernels and maps."""
        tensors = ctx.saved_tensors
        kernels, maps = tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]
        (n_windows, n_channels, n_all, n_coefs), n_chunks = ctx.sizes
        n_frames, start = n_all - n_chunks + 1, 0
        d_power = None
        if ctx.needs_input_grad[0]:
            d_power = grad.new_empty(n_windows, n_channels, n_all, n_coefs)
        d_kernels, d_maps = [], []
        for kernel, weight, spectra, convolved, responses in zip(
            kernels, maps, *ctx.kept, strict=True
        ):
            size = len(weight)
            n_times, first = n_all * size, (n_chunks - 1) * size
            n_fft = _fast_length(n_times)
            d_response, d_weight = torch.empty_like(responses), torch.zeros_like(weight)
            # Before the first frame nothing is seen: its gradient stays zero.
            padded = grad.new_zeros(n_windows, n_fft)
            seen = padded[:, first:n_times].unflatten(1, (n_frames, size))
            for node, (spectrum, bold) in enumerate(zip(spectra, convolved, strict=True)):
                above = grad[node]
                d_weight.addmm_(bold.T, above.T)
                seen.copy_((above.T @ weight.T).view(seen.shape))
                d_bold = torch.fft.rfft(padded)
                torch.sum(spectrum.conj() * d_bold, 0, out=d_response[node])
                if d_power is not None:
                    d_drive = torch.fft.irfft(d_bold * responses[node].conj(), n_fft)
                    chunks = d_drive[:, :n_times].unflatten(1, (n_all, size))
                    d_power[:, node, :, start : start + size] = chunks
            d_kernels.append(torch.fft.irfft(d_response, n_fft)[:, : kernel.shape[1]])
            d_maps.append(d_weight)
            start += size
        return d_power, None, *d_kernels, *d_maps
