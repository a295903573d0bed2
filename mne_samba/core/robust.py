"""Heavy tails of targets: whether residuals have them, and least squares that they do not rule.

Huber's estimate is found by least squares on pseudo-data (Huber 1981, section 7.8): measured frames
that lie far from their prediction are drawn towards it, and the fit is repeated. The last fit draws
them by Tukey's biweight, which leaves nothing of what lies very far off (Yohai 1987 on such steps).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..arrays import array

LOSSES = ("auto", "squared", "robust")
# Robust standard deviations within which squares count: 95 % efficient where noise is normal.
HUBER = 1.345
BIWEIGHT = 4.685  # where Tukey's weight reaches zero: as efficient
# Logarithm of the variance that Huber's estimate loses where noise is normal: what it has to gain.
# Of few frames, chance alone lets it gain something in one of ten.
_PRICE = 0.05
# Huber's limit around the median, where nothing has been predicted yet.
_START = 3.0


@dataclass(frozen=True, eq=False)
class FrameWeights:
    """Weights of the biweight, 1 where a frame counts in full and 0 where it does not."""

    _own_dims = ("n_all_frames",)

    # Frames of all segments; NaN where nothing was measured.
    values: np.ndarray = array("n_all_frames", "n_targets", may_be_nan=True)
    n_frames: list[int] = field(default_factory=list)  # of every segment

    def by_segment(self) -> list[np.ndarray]:
        """Weights (n_frames, n_targets) of every segment."""
        return np.split(self.values, np.cumsum(self.n_frames)[:-1])


def spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust standard deviation (n_targets,) of values (n_frames, n_targets)."""
    values = values[np.isfinite(values).any(axis=1)]
    middle = np.nanmedian(values, axis=0)
    deviation = 1.4826 * np.nanmedian(np.abs(values - middle), axis=0)
    return middle, deviation


def heavy_tailed(residuals: np.ndarray) -> bool:
    """Whether Huber's estimate varies clearly less than least squares with such residuals.

    The asymptotic variances of both are estimated per target from ``residuals`` (n_frames,
    n_targets), and their logarithms are averaged over targets. With normal noise Huber's is 5 %
    larger, whatever the number of frames; it has to be as much smaller.
    """
    middle, deviation = spread(residuals)
    used = deviation > 0
    if not used.any():
        return False
    residuals = residuals[np.isfinite(residuals).any(axis=1)]
    z = (residuals - middle)[:, used] / deviation[used]
    inside = np.nanmean(np.where(np.isnan(z), np.nan, np.abs(z) < HUBER), axis=0)
    huber = np.nanmean(np.clip(z, -HUBER, HUBER) ** 2, axis=0) / inside**2
    return bool(np.log(huber / np.nanvar(z, axis=0)).mean() < -_PRICE)


def huber(z: np.ndarray) -> np.ndarray:
    """Weights of residuals in robust standard deviations, any shape."""
    return HUBER / np.maximum(np.abs(z), HUBER)


def biweight(z: np.ndarray) -> np.ndarray:
    """Weights of residuals in robust standard deviations, any shape."""
    return np.maximum(1 - (z / BIWEIGHT) ** 2, 0) ** 2


def drawn_in(measured: list, predicted: list, weigh):
    """Targets whose residuals count by ``weigh``, a function of z values, and `FrameWeights`.

    ``measured``, ``predicted`` and targets are lists of (n_frames, n_targets); weights are NaN
    where nothing was measured.
    """
    left = [y - frames for y, frames in zip(measured, predicted, strict=True)]
    middle, deviation = spread(np.concatenate(left))
    # Of what is constant, or predicted without error, nothing lies far off.
    deviation = np.where(deviation > 0, deviation, np.inf)
    targets, weights = [], []
    for frames, residual in zip(predicted, left, strict=True):
        off = residual - middle
        weight = weigh(off / deviation)
        targets.append(frames + middle + weight * off)
        weights.append(weight.astype(np.float32))
    return targets, FrameWeights(np.concatenate(weights), [len(w) for w in weights])


# Loss of every fit after that to clipped targets.
STEPS = (huber, biweight)


def fit_robustly(fit, measured: list, loss: str, better, steps=STEPS):
    """Fit by squares, or by robust losses where tails of residuals are heavy.

    ``fit(targets)`` gives what is fitted to a list of (n_frames, n_targets), and its predictions in
    the same form. ``loss`` is "squared", "robust" or "auto". What lies far off may be what is there
    to be predicted: ``better(squared, robust)`` says for "auto" whether held-out frames, as they
    were measured, prefer the robust fit. ``steps`` weigh residuals (in robust standard deviations)
    in turn. Returns what was fitted, and `FrameWeights`; None where squares were used.
    """
    if loss == "squared":
        return fit(measured)[0], None
    squared, predicted = fit(measured)
    left = [y - frames for y, frames in zip(measured, predicted, strict=True)]
    if loss == "auto" and not heavy_tailed(np.concatenate(left)):
        return squared, None
    # What was fitted to heavy tails is no start: BOLD itself is clipped first.
    nothing = [np.zeros_like(y) for y in measured]
    targets, _ = drawn_in(measured, nothing, lambda z: huber(z * HUBER / _START))
    _, predicted = fit(targets)
    for weigh in steps:
        targets, weights = drawn_in(measured, predicted, weigh)
        fitted, predicted = fit(targets)
    if loss == "auto" and not better(squared, fitted):
        return squared, None
    return fitted, weights


def clearly_better(squared: np.ndarray, robust: np.ndarray) -> bool:
    """Whether correlations (n_items,) of a robust fit are higher by more than two errors."""
    gain = (robust - squared)[np.isfinite(robust - squared)]
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return bool(len(gain) and gain.mean() > 2 * error)
