"""Causal convolutions of a neural drive with responses, at the low rate and at full rate."""

import numpy as np
import torch
from scipy.fft import next_fast_len


def lag_times(hrf_length, dt):
    """Centres of the lag bins of a frame's history.

    Parameters
    ----------
    hrf_length : float
        Length of the response in seconds.
    dt : float
        Width of a bin in seconds.

    Returns
    -------
    lags : array of shape (ceil(hrf_length / dt),)
        ``(j + 0.5) * dt``, most recent first.
    """
    n_lags = int(np.ceil(round(hrf_length / dt, 9)))
    return (np.arange(n_lags) + 0.5) * dt


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
    n_times = drive.shape[-1]
    kernel = kernel[..., :n_times]
    size = next_fast_len(n_times + kernel.shape[-1] - 1, real=True)
    if _in_cache_is_faster(drive, kernel):
        out = torch.empty_like(drive)
        responses = torch.fft.rfft(kernel * dt, size)
        for region in range(drive.shape[-2]):
            spectrum = torch.fft.rfft(drive[..., region, :], size)
            spectrum *= responses if kernel.dim() == 1 else responses[region]
            out[..., region, :] = torch.fft.irfft(spectrum, size)[..., :n_times]
        return out
    spectrum = torch.fft.rfft(drive, size) * torch.fft.rfft(kernel * dt, size)
    return torch.fft.irfft(spectrum, size)[..., :n_times]


def _in_cache_is_faster(drive, kernel):
    """Whether one region at a time, whose transforms stay in cache, beats all regions at once."""
    differentiable = (drive.requires_grad or kernel.requires_grad) and torch.is_grad_enabled()
    by_region = drive.dim() >= 2 and (
        kernel.dim() == 1 or (kernel.dim() == 2 and len(kernel) == drive.shape[-2])
    )
    large = drive.shape[-1] >= 4096 and drive.numel() > 1 << 20
    return by_region and large and not differentiable and drive.device.type == "cpu"
