"""Causal convolutions of a neural drive with responses, at the low rate and at full rate."""

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch.autograd.function import once_differentiable

from .._as_written import as_written


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
        return (drive.unfold(-1, n_lags, step) @ (kernel.flip(-1) * dt)[..., None])[..., 0]
    size = next_fast_len(n_bins, real=True)
    spectrum = torch.fft.rfft(drive, size) * torch.fft.rfft(kernel * dt, size)
    # Circular wrap-around only reaches outputs before n_lags - 1, which are not frames.
    full = torch.fft.irfft(spectrum, size)
    return full[..., n_lags - 1 : n_lags + (n_frames - 1) * step : step]


def _direct_is_faster(drive, n_frames, n_lags):
    """Whether products at frames alone beat transforms of every bin (measured on one thread).

    That is so for long recordings sampled at few frames, unless gradients must be scattered back
    onto overlapping slices of the drive.
    """
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
    kernel = kernel[..., : drive.shape[-1]]
    if _in_cache_is_faster(drive, kernel):
        return _ByRegion.apply(drive, kernel * dt)
    n_times, size = drive.shape[-1], _linear_size(drive, kernel)
    spectrum = torch.fft.rfft(drive, size) * torch.fft.rfft(kernel * dt, size)
    return torch.fft.irfft(spectrum, size)[..., :n_times]


def _linear_size(drive, kernel):
    """Length of transforms without wrap-around."""
    return next_fast_len(drive.shape[-1] + kernel.shape[-1] - 1, real=True)


def _in_cache_is_faster(drive, kernel):
    """Whether one region at a time, whose transforms stay in cache, beats all regions at once."""
    by_region = drive.dim() >= 2 and (
        kernel.dim() == 1 or (kernel.dim() == 2 and len(kernel) == drive.shape[-2])
    )
    large = drive.shape[-1] >= 4096 and drive.numel() > 1 << 20
    return by_region and large and drive.device.type == "cpu"


class _ByRegion(torch.autograd.Function):
    """Convolve one region after the other: neither way are all spectra in memory at once."""

    @staticmethod
    def forward(ctx, drive, kernel):
        ctx.save_for_backward(drive, kernel)
        n_times, size = drive.shape[-1], _linear_size(drive, kernel)
        responses = torch.fft.rfft(kernel, size).expand(drive.shape[-2], -1)
        out = torch.empty_like(drive)
        for region, response in enumerate(responses):
            spectrum = torch.fft.rfft(drive[..., region, :], size)
            out[..., region, :] = torch.fft.irfft(spectrum.mul_(response), size)[..., :n_times]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        drive, kernel = ctx.saved_tensors
        n_times, size = drive.shape[-1], _linear_size(drive, kernel)
        of_drive, of_kernel = ctx.needs_input_grad
        responses = torch.fft.rfft(kernel, size).expand(drive.shape[-2], -1)
        d_drive = torch.empty_like(drive) if of_drive else None
        d_responses = torch.zeros_like(responses) if of_kernel else None
        for region, response in enumerate(responses):
            above = torch.fft.rfft(grad[..., region, :], size)
            if of_kernel:
                below = torch.fft.rfft(drive[..., region, :], size)
                d_responses[region] = (below.conj() * above).reshape(-1, above.shape[-1]).sum(0)
            if of_drive:
                spectrum = above * response.conj()
                d_drive[..., region, :] = torch.fft.irfft(spectrum, size)[..., :n_times]
        d_kernel = None
        if of_kernel:
            d_kernel = torch.fft.irfft(d_responses, size)[:, : kernel.shape[-1]]
            d_kernel = d_kernel.sum(0) if kernel.dim() == 1 else d_kernel
        return d_drive, d_kernel
