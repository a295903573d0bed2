"""From BOLD back to the drive: a regularised pseudo-inverse of the convolution."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, toeplitz

_BLOCK = 120  # frames solved together
_OVERLAP = 20  # frames shared by neighbouring blocks, so that none sees only half of a response


def autocovariance(drives, n_lags):
    """Mean autocovariance (n_lags,) of standardised drives, list of (n_drives, n_bins)."""
    # Lags count alike however few pairs they have: not the autocorrelation of the inverse core.
    out = np.zeros(n_lags)
    for x in drives:
        size = 2 ** int(np.ceil(np.log2(2 * x.shape[-1])))
        power = np.abs(np.fft.rfft(x, size)) ** 2
        acf = np.fft.irfft(power.mean(0), size)[: min(x.shape[-1], n_lags)]
        out[: len(acf)] += acf
    total = sum(x.shape[-1] for x in drives)
    # Tapered to zero: an autocovariance that is cut off is no longer one.
    return out / total * (1 - np.arange(n_lags) / n_lags)


def deconvolve(bold, kernels, scale, noise, ar, acf, step, dt):
    """Most probable drive given BOLD, responses, and the drive's autocovariance.

    The Gaussian estimate ``K H' (H K H' + R)^-1 bold``: the pseudo-inverse of the convolution
    ``H``, regularised by the drive's covariance ``K`` and that of AR(1) noise ``R``.

    Parameters
    ----------
    bold : array of shape (n_regions, n_frames)
        BOLD around its baseline.
    kernels : array of shape (n_regions, n_lags)
        Unit-peak responses at the lag bins.
    scale : array of shape (n_regions,)
        Amplitudes.
    noise : array of shape (n_regions,)
        Variance of the noise's innovations.
    ar : array of shape (n_regions,)
        AR(1) coefficient of the noise.
    acf : array
        Autocovariance of the drive per bin.
    step : int
        Bins per frame.
    dt : float
        Seconds per bin.

    Returns
    -------
    drive : array of shape (n_regions, n_lags + (n_frames - 1) * step)
        Drive per bin, around its mean.
    """
    n_regions, n_frames = bold.shape
    n_lags = kernels.shape[1]
    drive = np.zeros((n_regions, n_lags + (n_frames - 1) * step))
    weight = np.zeros(drive.shape[1])
    hop = _BLOCK - _OVERLAP
    starts = [0] if n_frames <= _BLOCK else list(range(0, n_frames - _OVERLAP, hop))
    solved = {}
    for start in starts:
        stop = min(start + _BLOCK, n_frames)
        n = stop - start
        if n not in solved:
            solved[n] = _operators(kernels, scale, noise, ar, acf, n, step, dt)
        first = start * step
        n_bins = n_lags + (n - 1) * step
        # Trust the middle of a block: its ends lack frames on one side.
        trust = np.minimum(np.arange(1, n_bins + 1), np.arange(n_bins, 0, -1)).astype(float)
        part = np.einsum("rbf,rf->rb", solved[n], bold[:, start:stop])
        drive[:, first : first + n_bins] += part * trust
        weight[first : first + n_bins] += trust
    return drive / weight


def _operators(kernels, scale, noise, ar, acf, n_frames, step, dt):
    """Return the matrix from frames to bins of every region: (n_regions, n_bins, n_frames)."""
    n_regions, n_lags = kernels.shape
    n_bins = n_lags + (n_frames - 1) * step
    column = np.zeros(n_bins)
    column[: min(n_bins, len(acf))] = acf[:n_bins]
    prior = toeplitz(column)
    out = np.empty((n_regions, n_bins, n_frames))
    for r in range(n_regions):
        forward = np.zeros((n_frames, n_bins))
        for k in range(n_frames):
            forward[k, k * step : k * step + n_lags] = scale[r] * dt * kernels[r, ::-1]
        cross = prior @ forward.T
        marginal = noise[r] / max(1 - ar[r] ** 2, 1e-3)
        covariance = forward @ cross + marginal * toeplitz(ar[r] ** np.arange(n_frames))
        floor = 1e-8 * np.trace(covariance) / n_frames + 1e-300
        out[r] = cho_solve(cho_factor(covariance + floor * np.eye(n_frames)), cross.T).T
    return out
