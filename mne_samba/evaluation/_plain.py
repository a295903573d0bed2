"""Baselines that never look at the signal: train mean, time, stimulus average, confounds."""

import numpy as np
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

from ..data.missing import by_pattern, lacking, nan_mean
from ..metrics import cosine_drift, polynomial_drift
from ..models.ridge import ridge, spread_of
from ._samples import Samples, common_frames, on_grid

_PENALTIES = np.logspace(-1, 5, 7)


def _mean(samples: Samples, frames: dict) -> dict:
    rows = np.concatenate([samples.measured[k][frames[k]] for k in frames])
    mean = np.nanmean(rows, axis=0)
    return {k: np.tile(mean, (n, 1)) for k, n in enumerate(samples.n_grid)}


def _stimulus_average(samples: Samples, frames: dict) -> dict:
    """Mean over training recordings at the same frame; 0 where nobody was measured."""
    begin = common_frames(samples, range(len(samples.n_grid)))
    longest = max(begin[k] + int(n) for k, n in enumerate(samples.n_grid))
    parts = [samples.measured[k][rows] for k, rows in frames.items()]
    parts = [part - nan_mean(part) for part in parts]
    places = [begin[k] + rows for k, rows in frames.items()]
    average = np.nan_to_num(on_grid(parts, places, (longest, parts[0].shape[1])))
    return {k: average[begin[k] : begin[k] + n] for k, n in enumerate(samples.n_grid)}


def framewise_ridge(samples: Samples, frames: dict, design: dict) -> dict:
    """Ridge on designs (n_grid, n_regressors), fitted on ``frames``; predicts the whole grid."""
    out = {k: np.empty((n, len(samples.names))) for k, n in enumerate(samples.n_grid)}
    # Regions that the same recordings have are fitted together.
    gaps = np.stack([lacking(samples.measured[k]) for k in frames])
    for columns, members in by_pattern(gaps):
        inputs, targets = [], []
        for k in (k for k, member in zip(frames, members, strict=True) if member):
            part = samples.measured[k][frames[k]][:, columns]
            kept = np.isfinite(part).all(axis=1)
            if kept.any():
                inputs.append(design[k][frames[k][kept]])
                # Recordings differ in level and scale for reasons that no regressor can know.
                spread = part[kept].std(axis=0)
                centred = part[kept] - part[kept].mean(axis=0)
                targets.append(centred / np.where(spread > 0, spread, 1.0))
        inputs, targets = np.concatenate(inputs), np.concatenate(targets)
        mean, scale = inputs.mean(axis=0), spread_of(inputs)
        weights, intercept = _ridge_by_blocks((inputs - mean) / scale, targets)
        for k, predicted in out.items():
            predicted[:, columns] = (design[k] - mean) / scale @ weights + intercept
    return out


def _ridge_by_blocks(inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n_regressors, n_targets) and intercepts of ridge; one penalty, by R^2 in blocks."""

    def solved(rows):
        x, y = inputs[rows], targets[rows]
        middle, level = x.mean(axis=0), y.mean(axis=0)
        solve = ridge(x - middle, y - level, _PENALTIES)
        found = [solve(np.full(y.shape[1], i)) for i in range(len(_PENALTIES))]
        return [(weights, level - middle @ weights) for weights in found]

    score = np.zeros(len(_PENALTIES))
    for train, test in KFold(min(5, max(2, len(inputs) // 2))).split(inputs):
        for i, (weights, intercept) in enumerate(solved(train)):
            score[i] += r2_score(targets[test], inputs[test] @ weights + intercept)
    return solved(slice(None))[score.argmax()]


def _time(samples: Samples, frames: dict) -> dict:
    # A cubic alone would be removed with the drift; slow cosines also tell what folds share.
    design = {}
    for k, n in enumerate(samples.n_grid):
        slow = cosine_drift(int(n), samples.t_r[k], min(0.02, 0.4 / samples.t_r[k]))
        design[k] = np.column_stack([polynomial_drift(int(n), 3), slow])[:, 1:]
    width = min(part.shape[1] for part in design.values())
    design = {k: part[:, :width] for k, part in design.items()}
    return framewise_ridge(samples, frames, design)


# Predictors: (samples, training frames by recording) -> predictions on whole grids.
PLAIN = {"mean": _mean, "time": _time, "stimulus_average": _stimulus_average}
