"""How far measured frames lie from predicted ones: the map's posterior and held-out residuals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ._base import PairedData
from ._conformal import conformal_quantile
from ._lowrate import LowRateGrid
from .nn.hrf import convolve_frames, double_gamma
from .nn.linear import Core


def model_variance(core: Core, power: np.ndarray, grid: LowRateGrid | None = None) -> np.ndarray:
    """Variance (n_frames, n_targets) of predictions under the posterior of the spatial map.

    Nodes are taken as independent in the posterior, and drives after the mean response: this is a
    summary of how much more the model doubts itself in some frames than in others.
    """
    drive = torch.as_tensor(np.einsum("nkt,nk->nt", power, core.weights))
    kernel, step, dt = core.kernel.mean(axis=0), core.step, core.dt
    if grid is not None and (grid.step, grid.dt) != (step, dt):
        lags = (np.arange(grid.n_lags) + 0.5) * grid.dt
        kernel = double_gamma(lags, core.hrf_params).mean(axis=0)
        step, dt = grid.step, grid.dt
    seen = convolve_frames(drive, torch.as_tensor(kernel), step).numpy() * dt
    return (core.map_variance @ seen**2).T


@dataclass(frozen=True)
class HeldOut:
    """Standardised residuals and the model's variance on frames that training did not see.

    Attributes
    ----------
    residuals, variance : array, shape (n_frames, n_targets)
        Measured minus predicted, and the variance under the map's posterior.
    drift : array, shape (n_targets,)
        Variance of the slow drift that was removed before training.
    """

    residuals: np.ndarray
    variance: np.ndarray
    drift: np.ndarray

    @property
    def noise(self) -> np.ndarray:
        """Variance (n_targets,) that the map's posterior does not account for."""
        total = np.mean(self.residuals**2, axis=0)
        return np.maximum(total - self.variance.mean(axis=0), 0.1 * total)

    def std(self, core: Core, power: np.ndarray, grid: LowRateGrid | None = None) -> np.ndarray:
        """Return the spread (n_frames, n_targets) of measured frames around predicted ones."""
        return np.sqrt(model_variance(core, power, grid) + self.noise + self.drift)

    def quantile(self, coverage: float) -> np.ndarray:
        """Half-width (n_targets,) of intervals in units of the standard deviation."""
        std = np.sqrt(self.variance + self.noise)
        return conformal_quantile([self.residuals], coverage, [std])


def held_out(core: Core, data: PairedData, frames: list[np.ndarray], drift: np.ndarray) -> HeldOut:
    """Residuals of predicted frames, and the variance that the core gives them."""
    residuals, variance = [], []
    for power, target, frame, mask in zip(
        data.powers, data.targets, frames, data.masks, strict=True
    ):
        residuals.append((target - frame)[mask])
        variance.append(model_variance(core, power)[mask])
    return HeldOut(np.concatenate(residuals), np.concatenate(variance), drift)
