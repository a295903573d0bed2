"""Sufficient statistics of the linear core: lagged features, whitened, in one Gram matrix."""

from dataclasses import dataclass

import numpy as np
import torch

from .._regression import whiten

# Bytes of lagged features that are held at once while bins are turned into features.
_BLOCK_BYTES = 32e6
# Entries of a Gram matrix above which features and it are held in single precision.
_LARGE = 4_000_000


@dataclass
class Segments:
    """Checked, self-contained pieces of paired data.

    ``powers`` are Tensors (n_channels, n_bands, n_bins), ``targets`` (n_frames, n_targets) with
    zeros in masked frames, ``masks`` arrays (n_frames,) that are false where a frame is left out.
    Frames follow every ``step`` bins and see ``n_lags`` bins of history.
    """

    powers: list
    targets: list
    masks: list
    n_lags: int
    step: int


def as_tensors(powers):
    """Band power of segments as Tensors, in single precision if it is given so."""
    powers = [np.asarray(power) for power in powers]
    return [torch.as_tensor(p if p.dtype == np.float32 else p.astype(float)) for p in powers]


def as_segments(powers, targets, masks, step):
    """Take paired segments as `fit_core` does, and find their number of lags."""
    powers = as_tensors(powers)
    targets = [np.array(y, dtype=np.float64) for y in targets]
    if masks is None:
        masks = [np.ones(len(y), dtype=bool) for y in targets]
    for y, mask in zip(targets, masks, strict=True):
        y[~mask] = 0.0
    n_lags = {
        power.shape[2] - (len(y) - 1) * step for power, y in zip(powers, targets, strict=True)
    }
    if len(n_lags) > 1 or min(n_lags) < 1:
        raise ValueError(
            "Each segment needs n_lags + (n_frames - 1) * step bins with one n_lags >= 1 for all; "
            f"the segments imply n_lags of {sorted(n_lags)}."
        )
    return Segments(powers, [torch.from_numpy(y) for y in targets], masks, n_lags.pop(), step)


def lagged_features(power, basis, step, dt):
    """Convolve band power of a segment with basis responses (n_basis, n_lags), sampled at frames.

    Returns ``dt * sum_j basis[b, j] power[n, k, frame * step + n_lags - 1 - j]``, a Tensor of shape
    (n_frames, n_basis, n_channels, n_bands).
    """
    n_channels, n_bands, n_bins = power.shape
    n_basis, n_lags = basis.shape
    n_frames = (n_bins - n_lags) // step + 1
    weights = basis.flip(1).T * dt
    out = weights.new_empty(n_frames, n_basis, n_channels, n_bands)
    block = max(1, int(_BLOCK_BYTES / (8 * n_bands * n_frames * n_lags)))
    for first in range(0, n_channels, block):
        past = power[first : first + block].to(weights.dtype).unfold(2, n_lags, step)
        out[:, :, first : first + block] = (past @ weights).permute(2, 3, 0, 1)
    return out


def runs_of_frames(masks):
    """Where runs of successive used frames begin: bool (n_used,) over all segments in order."""
    first = []
    for mask in masks:
        previous = np.concatenate([[False], mask[:-1]])
        first.append((mask & ~previous)[mask])
    return np.concatenate(first)


def whiten_and_centre(x, first, rho):
    """Whiten (n_used, ...) and project out what the whitening makes of an intercept."""
    ones = whiten(torch.ones(len(x), dtype=torch.float64), first, rho)
    ones = (ones / ones.norm()).to(x.dtype)
    x = whiten(x, first, rho)
    return x.addr_(ones, ones @ x, alpha=-1)


@dataclass
class Moments:
    """Whitened second moments after the intercept has been projected out."""

    # (n_channels, n_channels, n_pairs, n_bands, n_bands), symmetrised over pairs of basis functions
    # ``b <= b'``: ``G_bb`` or ``G_bb' + G_b'b``.
    gram: torch.Tensor
    cross: torch.Tensor  # (n_basis, n_channels, n_bands, n_targets), features times targets
    energy: torch.Tensor  # (n_targets,), sum of squares of each whitened target
    n_frames: int  # used frames less one for the intercept
    pairs: tuple  # row and column of each pair of basis functions


def moments_of(design, y, first, rho):
    """Whiten, project the intercept out, and form the second moments.

    Of ``design`` (n_used, n_basis, n_channels, n_bands) and targets ``y`` (n_used, n_targets), in
    runs that begin where ``first`` (n_used,) is true, with autocorrelation ``rho`` at one frame.
    """
    n_used, n_basis, n_channels, n_bands = design.shape
    y = whiten_and_centre(y, first, rho)
    target = y.to(design.dtype)
    # One basis response at a time: features are the largest array of a fit.
    x = design.new_empty(n_basis, n_used, n_channels * n_bands)
    for b in range(n_basis):
        x[b] = whiten_and_centre(design[:, b].reshape(n_used, -1), first, rho)
    rows, columns = torch.triu_indices(n_basis, n_basis)
    gram = x.new_empty(n_channels, n_channels, len(rows), n_bands, n_bands)
    shape = (n_channels, n_bands, n_channels, n_bands)
    for pair, (b, c) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        block = x[b].T @ x[c]
        block = block if b == c else block + block.T
        gram[:, :, pair] = block.reshape(shape).permute(0, 2, 1, 3)
    cross = torch.stack([part.T @ target for part in x]).double()
    cross = cross.reshape(n_basis, n_channels, n_bands, -1)
    return Moments(gram, cross, y.pow(2).sum(0), max(n_used - 1, 1), (rows, columns))


def collapse(moments, response):
    """Give all targets one response (n_basis,): moments of one pair of basis functions, float64."""
    rows, columns = moments.pairs
    weights = (response[rows] * response[columns]).to(moments.gram.dtype)
    gram = torch.einsum("nmpjk,p->nmjk", moments.gram, weights).double()[:, :, None]
    cross = torch.einsum("bnkm,b->nkm", moments.cross, response)[None]
    one = torch.zeros(1, dtype=torch.long)
    return Moments(gram, cross, moments.energy, moments.n_frames, (one, one))


def used_features(segments, basis, dt):
    """Features of the used frames of all segments, (n_used, n_basis, n_channels, n_bands).

    In single precision where their Gram matrix would be large.
    """
    n_channels, n_bands = segments.powers[0].shape[:2]
    n_pairs = len(basis) * (len(basis) + 1) // 2
    large = (n_channels * n_bands) ** 2 * n_pairs > _LARGE
    n_used = sum(int(mask.sum()) for mask in segments.masks)
    shape = (n_used, len(basis), n_channels, n_bands)
    design = torch.empty(shape, dtype=torch.float32 if large else torch.float64)
    first = 0
    for power, mask in zip(segments.powers, segments.masks, strict=True):
        stop = first + int(mask.sum())
        design[first:stop] = lagged_features(power, basis, segments.step, dt)[
            torch.from_numpy(mask)
        ]
        first = stop
    return design


def gather_used(arrays, masks):
    """Concatenate the used frames of all segments: Tensors (n_frames, ...) -> (n_used, ...)."""
    return torch.cat([a[torch.from_numpy(m)] for a, m in zip(arrays, masks, strict=True)])


def predictions(design, weights, spatial_map, response):
    """Predictions of the used frames (n_used, n_targets), float64 and without intercept.

    From features ``design`` (n_used, n_basis, n_channels, n_bands), ``weights`` (n_channels,
    n_bands), ``spatial_map`` (n_targets, n_channels) and coordinates ``response`` (n_targets,
    n_basis).
    """
    channels = torch.einsum("tbnk,nk->tbn", design, weights.to(design.dtype))
    out = 0.0
    for b in range(design.shape[1]):
        out = out + channels[:, b].double() @ (spatial_map * response[:, b, None]).T
    return out
