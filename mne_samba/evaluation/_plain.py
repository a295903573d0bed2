"""Baselines that never look at the signal: train mean, time, stimulus average, confounds."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..data.missing import by_pattern, lacking
from ..metrics import cosine_drift, polynomial_drift
from ._samples import Samples, common_frames

PLAIN = ("mean", "time", "stimulus_average")


def _mean(samples: Samples, grids: dict, frames: dict) -> dict:
    rows = np.concatenate([grids[k][frames[k]] for k in frames])
    mean = np.nanmean(rows, axis=0)
    return {k: np.tile(mean, (n, 1)) for k, n in enumerate(samples.n_grid)}


def _stimulus_average(samples: Samples, grids: dict, frames: dict) -> dict:
    """Mean over training recordings at the same frame; 0 where nobody was measured."""
    begin = common_frames(samples, range(len(samples.n_grid)))
    longest = max(begin[k] + int(n) for k, n in enumerate(samples.n_grid))
    n_targets = next(iter(grids.values())).shape[1]
    total, count = np.zeros((longest, n_targets)), np.zeros((longest, n_targets))
    for k, rows in frames.items():
        part = grids[k][rows]
        finite = np.isfinite(part)
        part = np.where(finite, part, 0.0)
        part = part - part.sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
        total[begin[k] + rows] += np.where(finite, part, 0.0)
        count[begin[k] + rows] += finite
    average = total / np.maximum(count, 1)
    return {k: average[begin[k] : begin[k] + n] for k, n in enumerate(samples.n_grid)}


def framewise_ridge(samples: Samples, grids: dict, frames: dict, design: dict) -> dict:
    """Ridge on the design of each recording, (n_grid, n_regressors); penalty by contiguous blocks.

    Fitted on the given ``frames`` of the training recordings; predicts every recording's whole
    grid.
    """
    out = {k: np.empty((n, len(samples.names))) for k, n in enumerate(samples.n_grid)}
    # Regions that the same recordings have are fitted together.
    gaps = np.stack([lacking(grids[k]) for k in frames])
    for columns, members in by_pattern(gaps):
        inputs, targets = [], []
        for k in (k for k, member in zip(frames, members, strict=True) if member):
            part = grids[k][frames[k]][:, columns]
            kept = np.isfinite(part).all(axis=1)
            if kept.any():
                inputs.append(design[k][frames[k][kept]])
                # Recordings differ in level and scale for reasons that no regressor can know.
                spread = part[kept].std(axis=0)
                centred = part[kept] - part[kept].mean(axis=0)
                targets.append(centred / np.where(spread > 0, spread, 1.0))
        inputs, targets = np.concatenate(inputs), np.concatenate(targets)
        model = make_pipeline(
            StandardScaler(),
            RidgeCV(np.logspace(-1, 5, 7), cv=KFold(min(5, max(2, len(inputs) // 2)))),
        ).fit(inputs, targets)
        for k, predicted in out.items():
            predicted[:, columns] = model.predict(design[k]).reshape(len(predicted), len(columns))
    return out


def _time(samples: Samples, grids: dict, frames: dict) -> dict:
    # A cubic alone would be removed with the drift; slow cosines also tell what folds share.
    design = {}
    for k, n in enumerate(samples.n_grid):
        slow = cosine_drift(int(n), samples.t_r[k], min(0.02, 0.4 / samples.t_r[k]))
        design[k] = np.column_stack([polynomial_drift(int(n), 3), slow])[:, 1:]
    width = min(part.shape[1] for part in design.values())
    design = {k: part[:, :width] for k, part in design.items()}
    return framewise_ridge(samples, grids, frames, design)


def plain_model(name: str) -> Callable:
    """Predictor of one of ``PLAIN``: ``(samples, grids, training frames) -> predictions``."""
    return {"mean": _mean, "time": _time, "stimulus_average": _stimulus_average}[name]
