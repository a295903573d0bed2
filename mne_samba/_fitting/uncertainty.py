"""How far measured frames lie from predicted ones: the map's posterior and held-out residuals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.utils.validation import validate_data

from .._data.inputs import is_features
from .._data.lowrate import LowRateGrid
from .._data.paired import PairedData
from ..nn.hrf import convolve_frames, double_gamma
from ..nn.linear import Core
from .conformal import conformal_quantile


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
        known = np.isfinite(self.residuals)  # NaN where a recording lacks a region
        total = np.nansum(self.residuals**2, axis=0) / np.maximum(known.sum(axis=0), 1)
        # Of which no frame was held out, a region is taken for as noisy as the others.
        seen = known.any(axis=0)
        total = np.where(seen, total, total[seen].mean())
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


def joined(parts: list[HeldOut]) -> HeldOut:
    """Join what was held out in turn."""
    residuals, variance = ([getattr(p, name) for p in parts] for name in ("residuals", "variance"))
    return replace(parts[0], residuals=np.concatenate(residuals), variance=np.concatenate(variance))


class Intervals:
    """Prediction intervals of estimators that hold a fitted network with held-out residuals."""

    def predict_interval(self, X, coverage: float = 0.9):
        """Interval that holds a measured frame with a given probability.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology, as in ``predict``.
        coverage : float
            Wanted share of frames inside, between 0 and 1.

        Returns
        -------
        low, high : array or list of array
            Like the output of ``predict``. Half-widths are blocked conformal quantiles of residuals
            on held-out training frames, in units of the predicted standard deviation, which has
            room for as much slow drift as the training data had.

        Raises
        ------
        ValueError
            If ``coverage`` is not between 0 and 1.
        """
        self._need_forward("predict_interval")
        factor = self._network.held.quantile(coverage)
        bold, std = self.predict(X, return_std=True)
        if isinstance(bold, list):
            half = [s * factor for s in std]
            pairs = list(zip(bold, half, strict=True))
            return [b - h for b, h in pairs], [b + h for b, h in pairs]
        half = std * (factor[0] if bold.ndim == 1 else factor)
        return bold - half, bold + half

    def _predict_std(self, X):
        core, held = self.core_, self._network.held
        if is_features(X):
            X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
            power = np.ascontiguousarray(X.T[:, np.newaxis, :], dtype=np.float64)
            scaled = self.scaler_.transform([power], [("",)], "features")
            std = held.std(core, scaled[0]) * self.y_scale_
            return std[:, 0] if self._one_target else std
        ele = self._read_ele(X)
        grid = self._grid_of(ele)
        powers, _ = self._scaled_power(ele)
        std = [held.std(core, power, grid) * self.y_scale_ for power in powers]
        if ele.kind == "windows":
            return np.stack(std)
        return std[0] if ele.single else std
