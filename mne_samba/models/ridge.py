"""Ridge regression of BOLD on band power: convolved with one response, or at lags of whole frames.

Penalties are chosen per target by blocked cross-validation inside the data given.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from mne.utils import logger
from scipy import linalg

from ..arrays import array
from ..core.robust import FrameWeights, clearly_better, fit_robustly
from ..data.missing import by_pattern, lacking
from ..data.paired import Paired, inner_blocks, inner_split, time_blocks
from ..data.power import LowRateGrid
from ..hrf import convolve_frames, double_gamma, glover_params
from ..metrics import pearson
from .validation import validated_correlation

# Penalties relative to the features' mean eigenvalue.
_ALPHAS = np.logspace(-3, 5, 17)
# Seconds that lags span.
FIR_LENGTH = 20.0
# Share of frames that say whether a robust fit predicts better.
_HELD = 0.2


@dataclass(frozen=True, eq=False)
class RidgeOptions:
    """How penalties are chosen; as in `mne_samba.baselines.BandPowerRidge`."""

    alphas: np.ndarray = field(default_factory=_ALPHAS.copy)
    per_target: bool = True
    n_folds: int = 5
    gap: float = 30.0
    loss: str = "squared"


@dataclass(frozen=True, eq=False)
class Ridge:
    """A fitted ridge regression on band power."""

    grid: LowRateGrid
    n_fir: int | None  # lags, one per frame; None for Glover's response
    mean: np.ndarray = array("n_ridge_features")  # of features
    scale: np.ndarray = array("n_ridge_features")
    weights: np.ndarray = array("n_ridge_features", "n_targets")  # of standardised features
    intercept: np.ndarray = array("n_targets")
    alpha: np.ndarray = array("n_targets")

    _own_dims = ("n_ridge_features",)

    def predict(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Frames (n_frames, n_targets) from band power (n_channels, n_bands, n_bins)."""
        out = []
        for power in powers:
            features = ridge_features(power, grid, self.n_fir)
            out.append((features - self.mean) / self.scale @ self.weights + self.intercept)
        return out


def fir_lags(grid: LowRateGrid, seconds: float) -> int:
    """Lags of whole frames within so many seconds, at least one."""
    return max(1, min(int(seconds / grid.t_r + 1e-6), grid.n_lags // grid.step))


def ridge_features(power: np.ndarray, grid: LowRateGrid, n_fir: int | None) -> np.ndarray:
    """Features (n_frames, n_lags * n_channels * n_bands) of one segment's band power."""
    if grid.n_lags == 1:
        return power[:, 0].T.astype(np.float64)
    if n_fir is None:
        lags = (np.arange(grid.n_lags) + 0.5) * grid.dt
        kernel = torch.as_tensor(double_gamma(lags, glover_params()))
        flat = torch.as_tensor(power, dtype=torch.float64).flatten(0, 1)
        return convolve_frames(flat, kernel, grid.step).numpy().T
    n_frames = (power.shape[-1] - grid.n_lags) // grid.step + 1
    # One lag per frame: power averaged between frames, back from each frame.
    used = power[..., grid.n_lags - n_fir * grid.step :]
    used = used[..., : (n_fir + n_frames - 1) * grid.step]
    mean = used.reshape(*used.shape[:2], -1, grid.step).mean(-1, dtype=np.float64)
    lagged = np.lib.stride_tricks.sliding_window_view(mean, n_fir, axis=-1)[..., ::-1]
    return lagged.transpose(2, 3, 0, 1).reshape(n_frames, -1)


def fit_ridge(
    data: Paired, n_fir: int | None, options: RidgeOptions
) -> tuple[Ridge, FrameWeights | None]:
    """Choose penalties and coefficients; also give the weights of frames."""
    return _Problem.of(data, n_fir, options).solve()


def fit_better_ridge(
    scales: list[Paired], n_fir: int | None, options: RidgeOptions
) -> tuple[Paired, Ridge, FrameWeights | None]:
    """Fit with power on the scale that predicts held-out blocks better; of equal ones the first."""
    problems = [_Problem.of(data, n_fir, options) for data in scales]
    best = max(problems, key=lambda problem: problem.held_out.mean())
    return best.data, *best.solve()


def ridge_in_blocks(data: Paired, n_blocks: int) -> np.ndarray:
    """Correlation (n_targets,) of ridges under Glover's response with blocks they have not seen."""
    options, frames, held = RidgeOptions(n_folds=n_blocks), [], []
    for train, block in inner_blocks(data, n_blocks):
        frames += fit_ridge(train, None, options)[0].predict(block.powers, data.grid)
        held.append(block)
    targets = [target for block in held for target in block.targets]
    keys = [key for block in held for key in block.keys]
    return validated_correlation(frames, replace(data, targets=targets, keys=keys))


@dataclass(eq=False)
class _Problem:
    """Standardised features of a ridge regression, and its fit by squares."""

    data: Paired
    n_fir: int | None
    options: RidgeOptions
    standard: list[np.ndarray]  # features (n_frames, n_features) of every segment
    mean: np.ndarray  # (n_features,) of features
    scale: np.ndarray  # (n_features,)

    @classmethod
    def of(cls, data: Paired, n_fir: int | None, options: RidgeOptions) -> Self:
        """Standardise the features of data."""
        features = [ridge_features(power, data.grid, n_fir) for power in data.powers]
        rows = np.concatenate([f[m] for f, m in zip(features, data.masks, strict=True)])
        mean, scale = rows.mean(axis=0), spread_of(rows)
        return cls(data, n_fir, options, [(f - mean) / scale for f in features], mean, scale)

    @cached_property
    def _by_squares(self) -> tuple:
        return _fit_regions(self.standard, self.data.targets, self.data, self.options)

    @property
    def held_out(self) -> np.ndarray:
        """Score (n_targets,) of held-out blocks with the penalties that are best for them."""
        return self._by_squares[3]

    def fit(self, targets: list[np.ndarray]) -> tuple[Ridge, list[np.ndarray]]:
        """Fit to targets (n_frames, n_targets) by squares; the ridge and its frames."""
        found = self._by_squares
        if targets is not self.data.targets:
            found = _fit_regions(self.standard, targets, self.data, self.options)
        weights, intercept, alpha, _ = found
        grid = self.data.grid
        ridge = Ridge(grid, self.n_fir, self.mean, self.scale, weights, intercept, alpha)
        return ridge, [f @ weights + intercept for f in self.standard]

    def solve(self) -> tuple[Ridge, FrameWeights | None]:
        """Fit by the loss that is wanted; also give the weights of frames."""
        return fit_robustly(self.fit, self.data.targets, self.options.loss, self._robust_is_better)

    def _robust_is_better(self, *_) -> bool:
        parts = inner_split(self.data, _HELD, self.options.gap)
        if parts is None:
            return True
        scores = []
        for loss in ("squared", "robust"):
            found, _ = fit_ridge(parts[0], self.n_fir, replace(self.options, loss=loss))
            frames = np.concatenate(found.predict(parts[1].powers, self.data.grid))
            scores.append(pearson(np.concatenate(parts[1].targets), frames))
        return clearly_better(*scores)


def _fit_regions(standard, targets, data, options):
    """Weights (n_features, n_targets); intercepts, penalties and their scores (n_targets,)."""
    n_targets = targets[0].shape[1]
    weights = np.empty((standard[0].shape[1], n_targets))
    intercept, alpha, score = np.empty((3, n_targets))
    # Regions that the same recordings have are fitted together, on those recordings alone.
    for columns, members in by_pattern(np.stack([lacking(t) for t in targets])):
        index = np.flatnonzero(members)
        blocks, times = time_blocks(data.take(index), options.n_folds, options.gap)
        x = np.concatenate([standard[i] for i in index])
        y = np.concatenate([targets[i][:, columns] for i in index])
        kept = np.isfinite(y).all(axis=1)
        own = x[kept], y[kept], blocks[kept], times[kept]
        weights[:, columns], intercept[columns], alpha[columns], score[columns] = _fit_columns(
            *own, data.grid, options
        )
    return weights, intercept, alpha, score


def _fit_columns(features, target, blocks, times, grid, options):
    """Choose penalties and fit targets that all frames have."""
    mean, scale = features.mean(axis=0), spread_of(features)
    features = (features - mean) / scale
    middle = target.mean(axis=0)
    target = target - middle
    alphas = options.alphas * (features**2).sum() / min(features.shape)
    scores = _cross_validate(features, target, blocks, times, alphas, grid, options)
    if not options.per_target:
        scores = np.repeat(scores.mean(axis=1, keepdims=True), scores.shape[1], axis=1)
    best = scores.argmax(axis=0)
    weights = ridge(features, target, alphas)(best) / scale[:, None]
    chosen = np.take_along_axis(scores, best[np.newaxis], axis=0)[0]
    return weights, middle - mean @ weights, alphas[best], chosen


def _cross_validate(features, target, blocks, times, alphas, grid, options) -> np.ndarray:
    """Minus the squared error (n_alphas, n_targets) of held-out blocks."""
    error = np.zeros((len(alphas), target.shape[1]))
    wanted = int(np.ceil(options.gap / grid.t_r)) if grid.n_lags > 1 else 0
    apart, splits = wanted, _splits(blocks, times, wanted)
    while apart and not splits:
        apart //= 2
        splits = _splits(blocks, times, apart)
    if apart < wanted:
        logger.info(
            "gap=%g s leaves no training frames beside any of %d blocks of %d frames: the "
            "penalty is chosen with a gap of %g s.",
            options.gap, options.n_folds, len(times), apart * grid.t_r,
        )  # fmt: skip
    for train, test in splits:
        solve = ridge(features[train], target[train], alphas)
        for i in range(len(alphas)):
            residual = target[test] - features[test] @ solve(np.full(target.shape[1], i))
            error[i] += (residual**2).sum(axis=0)
    return -error


def _splits(blocks: np.ndarray, times: np.ndarray, apart: int) -> list[tuple]:
    """Training and tested frames of every block, masks (n_frames,), ``apart`` frames apart."""
    splits = []
    for block in np.unique(blocks):
        test = blocks == block
        low, high = times[test].min() - apart, times[test].max() + apart
        train = (times < low) | (times > high) if apart else ~test
        if train.sum() >= 2:
            splits.append((train, test))
    return splits


def spread_of(features: np.ndarray) -> np.ndarray:
    """Scale of every feature, 1 where it does not vary."""
    scale = features.std(axis=0)
    return np.where(scale > 0, scale, 1.0)


def ridge(features: np.ndarray, target: np.ndarray, alphas: np.ndarray):
    """Ridge of features and targets (n_frames, n) for penalties (n_alphas,), one decomposition."""
    n, p = features.shape
    primal = p <= n
    values, vectors = linalg.eigh(features.T @ features if primal else features @ features.T)
    values = np.maximum(values, 0)[:, None]
    projected = vectors.T @ (features.T @ target if primal else target)

    def solve(index):
        weights = vectors @ (projected / (values + alphas[index]))
        return weights if primal else features.T @ weights

    return solve
