"""How far measured frames lie from predicted ones: the map's posterior and held-out residuals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from ..arrays import array
from ..core import Core
from ..data.paired import Paired
from ..data.power import LowRateGrid
from ..hrf import convolve_frames


def model_variance(core: Core, power: np.ndarray, grid: LowRateGrid | None = None) -> np.ndarray:
    """Variance (n_frames, n_targets) of predictions under the posterior of the coefficients."""
    # ``power`` is (n_channels, n_bands, n_bins). Coefficients are taken as independent, and drives
    # after the mean response: how much more the model doubts itself in some frames than in others.
    kernel, step, dt = core.kernel, core.step, core.dt
    if grid is not None:
        kernel, step, dt = core.kernel_at(grid.n_lags, grid.dt), grid.step, grid.dt
    kernel = torch.as_tensor(kernel.mean(axis=0))

    def spread(drives, variance):
        seen = convolve_frames(torch.as_tensor(drives), kernel, step).numpy() * dt
        return (variance @ seen**2).T

    drive = np.einsum("nkt,nk->nt", power, core.weights)
    if core.extra_variance is None:
        return spread(drive, core.map_variance)
    own = np.asarray(power, dtype=np.float64).reshape(-1, power.shape[-1])
    variance = core.extra_variance.reshape(len(core.extra_variance), -1)
    if not core.map_variance.any():
        return spread(own, variance)
    return spread(drive, core.map_variance) + spread(own, variance)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Standardised residuals and the model's variance on frames that training did not see."""

    _own_dims = ("n_held_frames",)

    # Measured minus predicted, NaN where a recording lacks a region.
    residuals: np.ndarray = array("n_held_frames", "n_targets", may_be_nan=True)
    variance: np.ndarray = array("n_held_frames", "n_targets")  # under the posterior
    # Variance of the slow drift that was removed before training.
    drift: np.ndarray = array("n_targets")
    # Seconds between frames of the recording that a frame is from, where they differ.
    t_r: np.ndarray | None = array("n_held_frames", optional=True)

    def at(self, t_r: float | None) -> Self:
        """Frames of one time between frames alone, where there are such."""
        if self.t_r is None or t_r is None or not (self.t_r == t_r).any():
            return self
        rows = self.t_r == t_r
        return replace(self, residuals=self.residuals[rows], variance=self.variance[rows], t_r=None)

    @property
    def noise(self) -> np.ndarray:
        """Variance (n_targets,) that the posterior does not account for."""
        known = np.isfinite(self.residuals)
        total = np.nansum(self.residuals**2, axis=0) / np.maximum(known.sum(axis=0), 1)
        # Of which no frame was held out, a region is taken for as noisy as the others.
        seen = known.any(axis=0)
        total = np.where(seen, total, total[seen].mean())
        return np.maximum(total - self.variance.mean(axis=0), 0.1 * total)

    def std(self, core: Core, power: np.ndarray, grid: LowRateGrid | None = None) -> np.ndarray:
        """Return the spread (n_frames, n_targets) of measured frames around predicted ones."""
        noise = self.at(None if grid is None else grid.t_r).noise
        return np.sqrt(model_variance(core, power, grid) + noise + self.drift)

    def quantile(self, coverage: float) -> np.ndarray:
        """Half-width (n_targets,) of intervals in units of the standard deviation."""
        std = np.sqrt(self.variance + self.noise)
        return conformal_quantile([self.residuals], coverage, [std])


def held_out(core: Core | None, data: Paired, frames: list[np.ndarray]) -> HeldOut:
    """Residuals of frames (n_frames, n_targets), and the core's variance, where there is one."""
    residuals, variance, t_r = [], [], []
    # Intervals are to hold what will be measured, heavy tails included.
    measured = data.as_measured().targets
    segments = zip(data.powers, measured, frames, data.masks, data.on, strict=True)
    for power, target, frame, mask, on in segments:
        residuals.append((target - frame)[mask])
        grid = None if data.grids is None else on
        spread = np.zeros(target.shape) if core is None else model_variance(core, power, grid)
        variance.append(spread[mask])
        t_r.append(np.full(int(mask.sum()), on.t_r))
    return HeldOut(
        np.concatenate(residuals), np.concatenate(variance), data.scale.drift,
        None if data.grids is None else np.concatenate(t_r),
    )  # fmt: skip


def joined(parts: list[HeldOut]) -> HeldOut:
    """Join what was held out in turn."""
    names = ["residuals", "variance", *(["t_r"] if parts[0].t_r is not None else [])]
    return replace(
        parts[0], **{name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
    )


def check_coverage(coverage) -> float:
    """Refuse what is not a share strictly between 0 and 1."""
    if isinstance(coverage, bool | str) or not 0 < coverage < 1:
        raise ValueError(f"coverage must be a share between 0 and 1, got {coverage!r}.")
    return float(coverage)


def stacked(residuals: Sequence) -> np.ndarray:
    """Stack residuals of runs, (n_frames, n_targets) each."""
    parts = [np.asarray(part, float) for part in residuals]
    parts = [part.reshape(-1, part.shape[-1]) for part in parts]
    if not parts or len({part.shape[1] for part in parts}) > 1:
        raise ValueError("residuals must be a list of (n_frames, n_targets) with equal targets.")
    return np.concatenate(parts)


def conformal_quantile(residuals: Sequence, coverage: float = 0.9, std=None) -> np.ndarray:
    r"""Half-width of intervals that hold a share of unseen frames, per target.

    The :math:`\lceil (n + 1) \cdot coverage \rceil`-th smallest absolute residual (split conformal
    prediction, Lei et al. 2018). With autocorrelated frames the coverage is approximate; residuals
    of whole blocks keep it close, residuals of interleaved frames do not.

    Parameters
    ----------
    residuals : list of array, each (n_frames, n_targets)
        Measured minus predicted, on frames that the prediction was not trained on. NaN is ignored.
    coverage : float
        Wanted share of frames inside.
    std : list of array like ``residuals`` | None
        Predicted standard deviations: the quantile is then in units of them, and intervals are
        wider where the model knows less.

    Returns
    -------
    half_width : ndarray of shape (n_targets,)
        Infinite where there are too few residuals for the coverage.

    Raises
    ------
    ValueError
        If coverage is not between 0 and 1.
    """
    check_coverage(coverage)
    values = np.abs(stacked(residuals))
    if std is not None:
        values = values / np.maximum(stacked(std), np.finfo(float).tiny)
    half = np.full(values.shape[1], np.inf)
    for target, column in enumerate(values.T):
        ordered = np.sort(column[np.isfinite(column)])
        rank = int(np.ceil((len(ordered) + 1) * coverage))
        if len(ordered) and rank <= len(ordered):
            half[target] = ordered[rank - 1]
    return half
