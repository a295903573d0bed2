"""Causal convolutions of a neural drive with responses, at the low rate and at full rate."""

import numpy as np
import torch
from scipy.fft import next_fast_len

from .._as_written import as_written

# Numbers of a block of regions that are convolved together at full rate.
_BLOCK = 1 << 20


def fast_length(n_times: int) -> int:
    """Length from ``n_times`` on of which real transforms are fast."""
    # Multiples of 16 fill vectors: those of 192 samples take half of the time of those of 180.
    return 16 * next_fast_len(-(-n_times // 16), real=True)


@as_written
def convolve_frames(drive, kernel, step=1, dt=1.0):
    """Convolve causally and sample at frames.

    ``bold[k] = dt * sum_j kernel[j] * drive[k * step + n_lags - 1 - j]``: frame k sees
    the ``n_lags`` bins before it, the most recent one at lag index 0.

    Parameters
    ----------
    drive : Tensor of shape (..., n_regions, n_bins)
        Neural drive per bin, ``n_bins >= n_lags``.
    kernel : Tensor of shape (n_regions, n_lags) or (n_lags,)
        Responses, most recent lag first.
    step : int
        Bins per frame.
    dt : float
        Width of a bin, multiplies the sum.

    Returns
    -------
    bold : Tensor of shape (..., n_regions, n_frames)
        With ``n_frames = (n_bins - n_lags) // step + 1``; differentiable in both inputs.
    """
    # Mixed precision ends here: no transform is in bfloat16.
    drive = drive.to(torch.promote_types(drive.dtype, kernel.dtype))
    n_bins, n_lags = drive.shape[-1], kernel.shape[-1]
    if n_bins < n_lags:
        raise ValueError(
            f"drive has {n_bins} bins, fewer than the {n_lags} lags of the response: "
            "give a longer history."
        )
    n_frames = (n_bins - n_lags) // step + 1
    if _direct_is_faster(drive, n_frames, n_lags):
        # Reversed: a dot product with a slice of the past in time order is a convolution.
        past, weights = drive.unfold(-1, n_lags, step), kernel.flip(-1) * dt
        if kernel.dim() == 1:
            return past @ weights
        # A region at a time: products copy the past of frames, which overlaps.
        regions = zip(past.unbind(-3), weights, strict=True)
        return torch.stack([own @ weight for own, weight in regions], dim=-2)
    size = fast_length(n_bins)
    spectrum = torch.fft.rfft(drive, size) * torch.fft.rfft(kernel * dt, size)
    # Circular wrap-around only reaches outputs before n_lags - 1, which are not frames.
    full = torch.fft.irfft(spectrum, size)
    return full[..., n_lags - 1 : n_lags + (n_frames - 1) * step : step]


def _direct_is_faster(drive, n_frames, n_lags):
    """Whether products at frames alone beat transforms of every bin (measured on one thread)."""
    # So for long recordings with few frames, unless gradients go to overlapping slices.
    n_bins = drive.shape[-1]
    differentiable = drive.requires_grad and torch.is_grad_enabled()
    return not differentiable and n_bins > 4096 and n_frames * n_lags < 4 * n_bins * np.log2(n_bins)


def convolve(drive, kernel, dt=1.0):
    """Convolve causally at full rate: ``out[t] = dt sum_j kernel[j] drive[t - j]`` by FFT.

    Parameters
    ----------
    drive : Tensor of shape (..., n_times)
        Signal; zero before its first sample.
    kernel : Tensor of shape (..., n_lags)
        Response, most recent lag first; leading axes broadcast against the drive's.
    dt : float
        Sampling interval, multiplies the sum.

    Returns
    -------
    out : Tensor of shape (..., n_times)
        Same length as the drive; no sample depends on a later one.
    """
    kernel = kernel[..., : drive.shape[-1]] * dt
    n_regions = drive.shape[-2] if drive.dim() > 1 else 1
    own = kernel.dim() == 2 and len(kernel) == n_regions
    if drive.device.type != "cpu" or not (own or kernel.dim() == 1) or drive.dim() == 1:
        return _full_rate(drive, kernel)
    # Some regions at a time, whose transforms stay in cache.
    width = max(1, _BLOCK * n_regions // max(1, drive.numel()))
    parts = drive.split(width, dim=-2)
    kernels = kernel.split(width) if own else [kernel] * len(parts)
    return torch.cat([_full_rate(*pair) for pair in zip(parts, kernels, strict=True)], dim=-2)


def _full_rate(drive, kernel):
    """Convolution by transforms of all regions together."""
    n_times = drive.shape[-1]
    size = fast_length(n_times + kernel.shape[-1] - 1)
    spectrum = torch.fft.rfft(drive, size) * torch.fft.rfft(kernel, size)
    return torch.fft.irfft(spectrum, size)[..., :n_times]
