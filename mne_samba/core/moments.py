"""Sufficient statistics of the linear core: lagged features, whitened, in one Gram matrix."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from .._regression import pooled_ar_coefficient, whiten
from ..arrays import array

# Bytes of lagged features that are held at once while bins are turned into features.
_BLOCK_BYTES = 32e6
# Entries of a Gram matrix above which features and it are held in single precision.
_LARGE = 400_000


@dataclass
class Segments:
    """Checked, self-contained pieces of paired data.

    ``powers`` are Tensors (n_channels, n_bands, n_bins), ``targets`` (n_frames, n_targets) with
    zeros in masked frames, ``masks`` arrays (n_frames,) that are false where a frame is left out.
    Frames follow every ``step`` bins and see ``n_lags`` bins of history; where they do not in all
    segments, ``grids`` has ``n_lags``, ``step`` and ``dt`` of each.
    """

    powers: list
    targets: list
    masks: list
    n_lags: int
    step: int
    grids: list | None = None

    @property
    def seconds(self):
        """Seconds between frames (n_used,), of every used frame; None where they do not differ."""
        if self.grids is None:
            return None
        pairs = zip(self.grids, self.masks, strict=True)
        return np.concatenate([np.full(int(m.sum()), on.step * on.dt) for on, m in pairs])


@dataclass(frozen=True, eq=False)
class Noise:
    """AR(1) noise of frames, by the seconds between them.

    Attributes
    ----------
    t_r : ndarray of shape (n_rates,)
        Seconds between frames.
    ar : ndarray of shape (n_rates,)
        Autocorrelation at one frame.
    scale : ndarray of shape (n_rates,)
        Standard deviation of the whitened noise, relative to that of all frames.
    """

    _own_dims = ("n_rates",)

    t_r: np.ndarray = array("n_rates")
    ar: np.ndarray = array("n_rates")
    scale: np.ndarray = array("n_rates")

    @classmethod
    def of(cls, residual, first, seconds, doubt=None):
        """Measure residuals (n_used, n_targets), in runs that begin where ``first`` is true."""
        t_r, ar, scale = np.unique(seconds), [], []
        for one in t_r:
            rows = torch.from_numpy(seconds == one)
            begin = first[rows.numpy()]
            own = None if doubt is None else (doubt[0], doubt[1][rows])
            ar.append(pooled_ar_coefficient(residual[rows], begin, own))
            white = whiten(residual[rows] - residual[rows].mean(0), begin, ar[-1])
            scale.append(float(white.pow(2).mean().sqrt()))
        share = np.array([(seconds == one).mean() for one in t_r])
        scale = np.maximum(scale, 1e-6)
        return cls(t_r, np.array(ar), scale / np.sqrt((share * scale**2).sum()))

    def whiten(self, x, first, seconds):
        """Whiten frames (n_used, ...): unit variance relative to that of all.

        Rates that were not there when the noise was learnt have that of the nearest, which fades
        over time as it did.
        """
        out = x.clone()
        for t_r in np.unique(seconds):
            k = np.abs(self.t_r - t_r).argmin()
            ar = max(float(self.ar[k]), 0.0) ** (t_r / self.t_r[k])
            ar = float(self.ar[k]) if t_r == self.t_r[k] else ar
            rows = seconds == t_r
            white = whiten(x[torch.from_numpy(rows)], first[rows], ar) / float(self.scale[k])
            out[torch.from_numpy(rows)] = white
        return out


@dataclass(frozen=True)
class Runs:
    """Runs of successive used frames, as whitening has to know them."""

    first: np.ndarray  # (n_used,), where runs begin
    seconds: np.ndarray | None = None  # (n_used,) between frames, where they differ

    def whiten(self, x, noise):
        """Whiten (n_used, ...) by one autocorrelation, or by `Noise` of every rate of frames."""
        if isinstance(noise, Noise):
            return noise.whiten(x, self.first, self.seconds)
        return whiten(x, self.first, noise)

    def noise(self, residual, doubt=None):
        """Autocorrelation of residuals (n_used, n_targets), or `Noise` where rates differ.

        ``doubt`` is that of predictions, as `pooled_ar_coefficient` takes it.
        """
        if self.seconds is None:
            return pooled_ar_coefficient(residual, self.first, doubt)
        return Noise.of(residual, self.first, self.seconds, doubt)


def change_of_noise(new, old) -> float:
    """Largest change of an autocorrelation, or of anything about `Noise`."""
    if not (isinstance(new, Noise) and isinstance(old, Noise)):
        return abs(new - old) if isinstance(new, float) and isinstance(old, float) else 1.0
    if not np.array_equal(new.t_r, old.t_r):
        return 1.0
    return float(max(np.abs(new.ar - old.ar).max(), np.abs(new.scale - old.scale).max()))


def at_lags(rows, n_lags, dt, own_dt):
    """Smooth responses (n_rows, n_own_lags) in bins of ``own_dt`` s at the centres of others.

    Cubic splines, zero where the response has ended.
    """
    rows = np.asarray(rows)
    own, lags = (np.arange(rows.shape[1]) + 0.5) * own_dt, (np.arange(n_lags) + 0.5) * dt
    moved = CubicSpline(own, rows, axis=1)(np.minimum(lags, own[-1]))
    return np.where(lags <= own[-1] + own_dt / 2, moved, 0.0)


def as_tensors(powers):
    """Band power of segments as Tensors, in single precision if it is given so."""
    powers = [np.asarray(power) for power in powers]
    return [torch.as_tensor(p if p.dtype == np.float32 else p.astype(float)) for p in powers]


def as_segments(powers, targets, masks, step, n_lags=None, grids=None):
    """Take paired segments as `fit_core` does, and find their number of lags."""
    powers = as_tensors(powers)
    targets = [np.array(y, dtype=np.float64) for y in targets]
    if masks is None:
        masks = [np.ones(len(y), dtype=bool) for y in targets]
    for y, mask in zip(targets, masks, strict=True):
        y[~mask] = 0.0
    if grids is not None:
        return Segments(powers, [torch.from_numpy(y) for y in targets], masks, n_lags, step, grids)
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


def whiten_and_centre(x, runs, noise):
    """Whiten (n_used, ...) and project out what the whitening makes of an intercept."""
    ones = runs.whiten(torch.ones(len(x), dtype=torch.float64), noise)
    ones = (ones / ones.norm()).to(x.dtype)
    x = runs.whiten(x, noise)
    return x.addr_(ones, ones @ x, alpha=-1)


@dataclass
class Moments:
    """Whitened second moments after the intercept has been projected out."""

    # (n_channel_pairs, n_pairs, n_bands, n_bands), of channels ``n <= n'``, symmetrised over pairs
    # of basis functions ``b <= b'``: ``G_bb`` or ``G_bb' + G_b'b``.
    gram: torch.Tensor
    cross: torch.Tensor  # (n_channels, n_bands, n_basis, n_targets), features times targets
    energy: torch.Tensor  # (n_targets,), sum of squares of each whitened target
    n_frames: int  # used frames less one for the intercept


@lru_cache(maxsize=16)
def pairs_of(n):
    """Row and column (n_pairs,) of each pair in a symmetric matrix, and the pair of each entry.

    They are shared: not to be changed.
    """
    rows, columns = torch.triu_indices(n, n)
    pair = torch.zeros(n, n, dtype=torch.long)
    pair[rows, columns] = pair[columns, rows] = torch.arange(len(rows))
    return rows, columns, pair


@lru_cache(maxsize=16)
def counts_of(n):
    """How often each of the pairs of `pairs_of` is in a symmetric matrix, (n_pairs,), float64.

    They are shared: not to be changed.
    """
    rows, columns, _ = pairs_of(n)
    return torch.where(rows == columns, 1.0, 2.0).double()


def upper_triangle(blocks, n_channels):
    """Symmetric matrix (n_channels * n_bands, n_channels * n_bands) of which the upper half counts.

    From its blocks (n_channel_pairs, n_bands, n_bands) of channels ``n <= n'``. Below the diagonal
    they are not transposed: what is there is not to be read.
    """
    full = blocks[pairs_of(n_channels)[2]].transpose(1, 2)
    return full.reshape(n_channels * blocks.shape[1], -1)


def moments_of(design, y, runs, noise, once=lambda products: products()):
    """Whiten, project the intercept out, and form the second moments.

    Of ``design`` (n_used, n_basis, n_channels, n_bands) and targets ``y`` (n_used, n_targets), in
    `Runs`, with ``noise`` as `Runs.whiten` takes it. ``once`` calls the function that multiplies
    features by features, or knows what it gave.
    """
    n_used, n_basis, n_channels, n_bands = design.shape
    y = whiten_and_centre(y, runs, noise)
    target = y.to(design.dtype)
    # One basis response at a time: features are the largest array of a fit.
    x = design.new_empty(n_basis, n_used, n_channels * n_bands)
    for b in range(n_basis):
        x[b] = whiten_and_centre(design[:, b].reshape(n_used, -1), runs, noise)

    gram = once(lambda: _products(x, n_channels))
    cross = torch.stack([part.T @ target for part in x], 1).double()
    cross = cross.reshape(n_channels, n_bands, n_basis, -1)
    return Moments(gram, cross, y.pow(2).sum(0), max(n_used - 1, 1))


def _products(x, n_channels):
    """Gram matrix of whitened features (n_basis, n_used, n_features), as `Moments` has it."""
    rows, columns, _ = pairs_of(len(x))
    first, second, _ = pairs_of(n_channels)
    n_bands = x.shape[2] // n_channels
    gram = x.new_empty(len(first), len(rows), n_bands, n_bands)
    shape = (n_channels, n_bands, n_channels, n_bands)
    for pair, (b, c) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        block = x[b].T @ x[c]
        block = block if b == c else block + block.T
        gram[:, pair] = block.reshape(shape).permute(0, 2, 1, 3)[first, second]
    return gram


def collapse(moments, response):
    """Give all targets one response (n_basis,): moments of one pair of basis functions, float64."""
    rows, columns, _ = pairs_of(len(response))
    weights = (response[rows] * response[columns]).to(moments.gram.dtype)
    gram = torch.einsum("npjk,p->njk", moments.gram, weights).double()[:, None]
    cross = torch.einsum("nkbm,b->nkm", moments.cross, response)[:, :, None]
    return Moments(gram, cross, moments.energy, moments.n_frames)


def used_features(segments, basis, dt):
    """Features of the used frames of all segments, (n_used, n_basis, n_channels, n_bands).

    In single precision where the basis is, or where their Gram matrix would be large.
    """
    n_channels, n_bands = segments.powers[0].shape[:2]
    n_pairs = len(basis) * (len(basis) + 1) // 2
    large = (n_channels * n_bands) ** 2 * n_pairs > _LARGE
    n_used = sum(int(mask.sum()) for mask in segments.masks)
    shape = (n_used, len(basis), n_channels, n_bands)
    design = torch.empty(shape, dtype=torch.float32 if large else basis.dtype)
    first, grids = 0, segments.grids or [None] * len(segments.powers)
    for power, mask, on in zip(segments.powers, segments.masks, grids, strict=True):
        stop, own, step, width = first + int(mask.sum()), basis, segments.step, dt
        if on is not None:
            # The same responses, read out where this segment has its bins and frames.
            own = torch.as_tensor(at_lags(basis, on.n_lags, on.dt, dt)).to(basis)
            step, width = on.step, on.dt
        design[first:stop] = lagged_features(power, own, step, width)[torch.from_numpy(mask)]
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
