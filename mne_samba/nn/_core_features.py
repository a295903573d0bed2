"""Sufficient statistics of the linear core: lagged features, AR(1) whitening, one Gram matrix."""

from dataclasses import dataclass

import numpy as np
import torch

# Bytes of lagged features that are held at once while bins are turned into features.
_BLOCK_BYTES = 32e6
# Entries of a Gram matrix above which features and it are held in single precision.
_LARGE = 4_000_000


@dataclass
class Segments:
    """Checked, self-contained pieces of paired data.

    Attributes
    ----------
    powers : list of Tensor of shape (n_nodes, n_bands, n_bins)
        Band power per bin.
    targets : list of Tensor of shape (n_frames, n_targets)
        Haemodynamic time courses; masked frames are zero.
    masks : list of ndarray of shape (n_frames,)
        False where a frame is left out.
    n_lags : int
        Bins of history per frame.
    step : int
        Bins per frame.
    """

    powers: list
    targets: list
    masks: list
    n_lags: int
    step: int


def check_powers(powers, step):
    """Check band power alone.

    Parameters
    ----------
    powers : list of array of shape (n_nodes, n_bands, n_bins)
        Band power of each segment.
    step : int
        Bins per frame.

    Returns
    -------
    powers : list of Tensor of shape (n_nodes, n_bands, n_bins)
        In single precision if given so, else in double precision.

    Raises
    ------
    ValueError
        If shapes disagree or values are not finite.
    """
    if isinstance(powers, np.ndarray | torch.Tensor):
        raise ValueError("powers must be a list with one array per segment, got a single array.")
    if int(step) != step or step < 1:
        raise ValueError(f"step must be a positive number of bins per frame, got {step!r}.")
    powers = [np.asarray(p) for p in powers]
    powers = [torch.as_tensor(p if p.dtype == np.float32 else p.astype(float)) for p in powers]
    if not powers:
        raise ValueError("powers is empty: at least one segment is needed.")
    for index, power in enumerate(powers):
        if power.ndim != 3 or power.shape[:2] != powers[0].shape[:2] or 0 in power.shape:
            raise ValueError(
                "Each segment's power must have shape (n_nodes, n_bands, n_bins) with the same "
                f"nodes and bands; segment {index} has {tuple(power.shape)}, "
                f"segment 0 {tuple(powers[0].shape)}."
            )
        if not torch.isfinite(power).all():
            raise ValueError(f"The power of segment {index} is not finite.")
    return powers


def check_segments(powers, targets, masks, step):
    """Check paired segments and find their number of lags.

    Parameters
    ----------
    powers : list of array of shape (n_nodes, n_bands, n_lags + (n_frames - 1) * step)
        Band power of each segment.
    targets : list of array of shape (n_frames, n_targets)
        Haemodynamic time courses of each segment.
    masks : list of array of shape (n_frames,), or None
        True where a frame is used.
    step : int
        Bins per frame.

    Returns
    -------
    segments : Segments
        The same data, checked, in double precision.

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, or no frame is left.
    """
    powers = check_powers(powers, step)
    targets = [np.array(y, dtype=np.float64) for y in targets]
    if masks is None:
        masks = [np.ones(len(y), dtype=bool) for y in targets]
    masks = [np.asarray(m) for m in masks]
    if not len(powers) == len(targets) == len(masks):
        raise ValueError(
            "powers, targets and masks must have one entry per segment, got "
            f"{len(powers)}, {len(targets)} and {len(masks)}."
        )
    all_lags = set()
    for index, (power, y, mask) in enumerate(zip(powers, targets, masks, strict=True)):
        if y.ndim != 2 or y.shape[1] != targets[0].shape[1] or 0 in y.shape:
            raise ValueError(
                "Each segment's targets must have shape (n_frames, n_targets) with the same "
                f"targets; segment {index} has {y.shape}, segment 0 {targets[0].shape}."
            )
        if mask.shape != y.shape[:1] or mask.dtype != bool:
            raise ValueError(
                f"The mask of segment {index} must be boolean with shape ({len(y)},), got "
                f"{mask.dtype} with shape {mask.shape}."
            )
        if not np.isfinite(y[mask]).all():
            raise ValueError(
                f"Segment {index} has non-finite targets in frames that are not masked."
            )
        y[~mask] = 0.0
        all_lags.add(power.shape[2] - (len(y) - 1) * int(step))
    if len(all_lags) > 1 or min(all_lags) < 1:
        raise ValueError(
            "Each segment needs n_lags + (n_frames - 1) * step bins with one n_lags >= 1 for all; "
            f"the segments imply n_lags of {sorted(all_lags)}."
        )
    if not any(mask.any() for mask in masks):
        raise ValueError("Every frame is masked: nothing is left to fit.")
    targets = [torch.from_numpy(y) for y in targets]
    return Segments(powers, targets, masks, all_lags.pop(), int(step))


def lagged_features(power, basis, step, dt):
    """Convolve band power with basis responses and sample it at frames.

    Parameters
    ----------
    power : Tensor of shape (n_nodes, n_bands, n_bins)
        Band power of one segment.
    basis : Tensor of shape (n_basis, n_lags)
        Responses, most recent lag first.
    step : int
        Bins per frame.
    dt : float
        Width of a bin in seconds.

    Returns
    -------
    features : Tensor of shape (n_frames, n_basis, n_nodes, n_bands)
        ``dt * sum_j basis[b, j] power[n, k, frame * step + n_lags - 1 - j]``.
    """
    n_nodes, n_bands, n_bins = power.shape
    n_basis, n_lags = basis.shape
    n_frames = (n_bins - n_lags) // step + 1
    weights = basis.flip(1).T * dt
    out = weights.new_empty(n_frames, n_basis, n_nodes, n_bands)
    block = max(1, int(_BLOCK_BYTES / (8 * n_bands * n_frames * n_lags)))
    for first in range(0, n_nodes, block):
        past = power[first : first + block].to(weights.dtype).unfold(2, n_lags, step)
        out[:, :, first : first + block] = (past @ weights).permute(2, 3, 0, 1)
    return out


def runs_of_frames(masks):
    """Find where runs of consecutive used frames begin.

    Parameters
    ----------
    masks : list of array of shape (n_frames,)
        True where a frame is used.

    Returns
    -------
    first : array of shape (n_used,)
        For all used frames of all segments in order: True where a run begins.
    """
    first = []
    for mask in masks:
        previous = np.concatenate([[False], mask[:-1]])
        first.append((mask & ~previous)[mask])
    return np.concatenate(first)


def whiten(x, first, rho):
    """Whiten AR(1) series that restart at every run.

    The first frame of a run is scaled by ``sqrt(1 - rho**2)``, others become
    ``x[t] - rho x[t - 1]``: the inverse square root of the stationary AR(1) covariance, up to the
    innovation's variance.

    Parameters
    ----------
    x : Tensor of shape (n_used, ...)
        Used frames in order.
    first : array of shape (n_used,)
        True where a run begins.
    rho : float
        Autocorrelation at one frame, in (-1, 1).

    Returns
    -------
    whitened : Tensor of shape (n_used, ...)
        Whitened series.
    """
    if rho == 0:
        return x
    out = x.clone()
    first = torch.from_numpy(np.asarray(first))
    out[1:] -= rho * x[:-1]
    out[first] = np.sqrt(1 - rho**2) * x[first]
    return out


def lag_one_correlation(residuals, first):
    """Autocorrelation at one frame, pooled over targets, never across runs.

    Parameters
    ----------
    residuals : Tensor of shape (n_used, n_targets)
        Residuals of used frames.
    first : array of shape (n_used,)
        True where a run begins.

    Returns
    -------
    rho : float
        Between -0.95 and 0.95; 0 if no two frames are neighbours.
    """
    follows = torch.from_numpy(~np.asarray(first))[1:]
    residuals = residuals - residuals.mean(0)
    scale = residuals.pow(2).mean(0)
    residuals = residuals / torch.where(scale > 1e-12, scale, torch.inf).sqrt()
    now, before = residuals[1:][follows], residuals[:-1][follows]
    power = 0.5 * (now.pow(2).sum() + before.pow(2).sum())
    if now.numel() == 0 or power <= 0:
        return 0.0
    return float((now * before).sum().div(power).clamp(-0.95, 0.95))


@dataclass
class Moments:
    """Whitened second moments after the intercept has been projected out.

    Attributes
    ----------
    gram : Tensor of shape (n_nodes, n_nodes, n_pairs, n_bands, n_bands)
        Symmetrised over pairs of basis functions ``b <= b'``: ``G_bb`` or ``G_bb' + G_b'b``.
    cross : Tensor of shape (n_basis, n_nodes, n_bands, n_targets)
        Features times targets.
    energy : Tensor of shape (n_targets,)
        Sum of squares of each whitened target.
    n_frames : int
        Degrees of freedom: used frames less one for the intercept.
    pairs : tuple of Tensor
        Row and column of each pair of basis functions.
    """

    gram: torch.Tensor
    cross: torch.Tensor
    energy: torch.Tensor
    n_frames: int
    pairs: tuple


def moments_of(design, y, first, rho):
    """Whiten, project the intercept out, and form the second moments.

    Parameters
    ----------
    design : Tensor of shape (n_used, n_basis, n_nodes, n_bands)
        Features of used frames.
    y : Tensor of shape (n_used, n_targets)
        Targets of used frames.
    first : array of shape (n_used,)
        True where a run of frames begins.
    rho : float
        Autocorrelation at one frame.

    Returns
    -------
    moments : Moments
        The sufficient statistics.
    """
    n_used, n_basis, n_nodes, n_bands = design.shape
    ones = whiten(torch.ones(n_used, 1, dtype=torch.float64), first, rho)[:, 0]
    ones = ones / ones.norm()
    y = whiten(y, first, rho)
    y = y - torch.outer(ones, ones @ y)
    ones, target = ones.to(design.dtype), y.to(design.dtype)
    # One basis response at a time: features are the largest array of a fit.
    x = design.new_empty(n_basis, n_used, n_nodes * n_bands)
    for b in range(n_basis):
        x[b] = whiten(design[:, b].reshape(n_used, -1), first, rho)
        x[b].addr_(ones, ones @ x[b], alpha=-1)
    rows, columns = torch.triu_indices(n_basis, n_basis)
    gram = x.new_empty(n_nodes, n_nodes, len(rows), n_bands, n_bands)
    shape = (n_nodes, n_bands, n_nodes, n_bands)
    for pair, (b, c) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        block = x[b].T @ x[c]
        block = block if b == c else block + block.T
        gram[:, :, pair] = block.reshape(shape).permute(0, 2, 1, 3)
    cross = torch.stack([part.T @ target for part in x]).double()
    cross = cross.reshape(n_basis, n_nodes, n_bands, -1)
    return Moments(gram, cross, y.pow(2).sum(0), max(n_used - 1, 1), (rows, columns))


def collapse(moments, response):
    """Give all targets one response: moments of a single basis function.

    Parameters
    ----------
    moments : Moments
        Second moments.
    response : Tensor of shape (n_basis,)
        Its coordinates.

    Returns
    -------
    moments : Moments
        With one pair of basis functions, in double precision.
    """
    rows, columns = moments.pairs
    weights = (response[rows] * response[columns]).to(moments.gram.dtype)
    gram = torch.einsum("nmpjk,p->nmjk", moments.gram, weights).double()[:, :, None]
    cross = torch.einsum("bnkm,b->nkm", moments.cross, response)[None]
    one = torch.zeros(1, dtype=torch.long)
    return Moments(gram, cross, moments.energy, moments.n_frames, (one, one))


def used_features(segments, basis, dt):
    """Features of the used frames of all segments.

    Parameters
    ----------
    segments : Segments
        The data.
    basis : Tensor of shape (n_basis, n_lags)
        Responses, most recent lag first.
    dt : float
        Width of a bin in seconds.

    Returns
    -------
    design : Tensor of shape (n_used, n_basis, n_nodes, n_bands)
        In single precision where its Gram matrix would be large.
    """
    n_nodes, n_bands = segments.powers[0].shape[:2]
    n_pairs = len(basis) * (len(basis) + 1) // 2
    large = (n_nodes * n_bands) ** 2 * n_pairs > _LARGE
    n_used = sum(int(mask.sum()) for mask in segments.masks)
    shape = (n_used, len(basis), n_nodes, n_bands)
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
    """Concatenate the used frames of all segments.

    Parameters
    ----------
    arrays : list of Tensor of shape (n_frames, ...)
        One per segment.
    masks : list of array of shape (n_frames,)
        True where a frame is used.

    Returns
    -------
    used : Tensor of shape (n_used, ...)
        Used frames in order.
    """
    return torch.cat([a[torch.from_numpy(m)] for a, m in zip(arrays, masks, strict=True)])
