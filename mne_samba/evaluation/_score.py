"""Scores of predictions on the frame grid: raw, with confounds partialled out, against truth."""

from dataclasses import dataclass, field
from functools import partial as partial_

import numpy as np
import pandas as pd

from .._scoring import n_measured, remove_drift, rows_of, scoring_drift
from ..data.missing import nan_mean
from ..metrics import METRICS, project_out
from ._samples import Samples
from .nulls import circular_shift_null, draw_shifts

# Each fold's test data train the others: a chance agreement of two parts of the data counts in both
# folds, so that means over folds vary twice as much (squares) as shifts without refit say.
FOLDS = 2.0


def widened(null: np.ndarray) -> np.ndarray:
    """Null scores (n_shifts, n_targets) with the variance of means over folds."""
    middle = null.mean(axis=0)
    return middle + np.sqrt(FOLDS) * (null - middle)


def shifts_of(lengths: dict[int, int], t_r, n_shifts: int, min_shift: float, random_state) -> dict:
    """Shifts (n_shifts,) of recordings by label, of so many frames, from ``min_shift`` s on."""
    least = [max(1, int(np.ceil(min_shift / t_r[label]))) for label in lengths]
    rng = np.random.default_rng(random_state)
    shifts = draw_shifts(list(lengths.values()), n_shifts, least, rng)
    return dict(zip(lengths, shifts.T, strict=True))


@dataclass
class Run:
    """Frames of one recording that one fold tests."""

    fold: int
    label: int  # the recording
    frames: np.ndarray  # (n_frames,): those tested, on the recording's grid
    predictions: dict = field(default_factory=dict)  # model: (n_frames, n_targets), as they came


def runs_of(samples: Samples, fold: int, test: np.ndarray, predicted: dict) -> list[Run]:
    """Make the runs that a fold tests; ``predicted`` by model, (n_frames, n_targets) per sample."""
    runs = {label: Run(fold, label, frames) for label, frames in samples.frames(test).items()}
    for model, parts in predicted.items():
        for label, grid in samples.place(parts, test).items():
            runs[label].predictions[model] = grid[runs[label].frames]
    return list(runs.values())


def partial_out(values, confounds, t_r: float, method, frames=None) -> np.ndarray:
    """Take drift and confounds (n_frames, n_confounds) out of values; rows of NaN stay NaN."""
    n_grid, rows = rows_of(frames, len(values))
    design = np.column_stack([scoring_drift(n_grid, t_r, method)[rows], confounds])
    n_valid = n_measured(values)
    if n_valid <= design.shape[1]:
        raise ValueError(
            f"More confounds than frames: {np.shape(confounds)[1]} confounds, with drift "
            f"{design.shape[1]} terms, for {n_valid} frames of a tested run. Use fewer confounds "
            "(for instance motion and its derivatives), longer test blocks, or whole recordings."
        )
    scale = np.linalg.norm(design, axis=0)
    return project_out(values, design / np.where(scale > 0, scale, 1.0))


class Scorer:
    """Scores runs, each cleaned of its own drift, as ``score`` of estimators does.

    Measured, clean and confounds hold each recording's grid by its label, (n_grid, ...), with NaN
    at frames that do not count.
    """

    def __init__(self, samples: Samples, method, metrics, confounds=None, clean=None):
        self.samples = samples
        self.method = method
        self.metrics = metrics
        self.confounds = confounds
        self.raw, self.truth = samples.measured, clean
        self.measured = {k: self._detrended(v, k) for k, v in self.raw.items()}
        # Frames that do not count are measured all the same: rolled, they meet predictions.
        self.rolled = {k: self._detrended(v, k) for k, v in samples.whole.items()}
        if confounds is not None:
            self.rolled_partial = {
                k: partial_out(v, confounds[k], samples.t_r[k], method)
                for k, v in samples.whole.items()
            }

    def _detrended(self, values, label: int, frames=None) -> np.ndarray:
        return remove_drift(values, self.samples.t_r[label], self.method, frames)

    def predicted(self, run: Run, model: str) -> np.ndarray:
        """Detrended predictions of a run."""
        return self._detrended(self._counted(run, model), run.label, run.frames)

    def _counted(self, run: Run, model: str) -> np.ndarray:
        """Predictions where a measured frame counts: both sides lose drift on the same frames."""
        measured = self.raw[run.label][run.frames]
        return np.where(np.isfinite(measured), run.predictions[model], np.nan)

    def residuals(self, run: Run, model: str) -> np.ndarray:
        """Measured minus predicted frames of a run, both detrended."""
        return self._block_of(self.raw, run) - self.predicted(run, model)

    def frame(self, runs: list[Run]) -> pd.DataFrame:
        """Tidy table: one row per model, metric, fold, recording and target."""
        blocks = []
        for run in runs:
            y = self._block_of(self.raw, run)
            sides = {"": y}
            if self.truth is not None:
                truth = self._block_of(self.truth, run)
                # Noise-free truth, where the measured frames count.
                sides["clean_"] = np.where(np.isnan(y), np.nan, truth)
            for model in run.predictions:
                pred = self.predicted(run, model)
                for name in self.metrics:
                    for prefix, side in sides.items():
                        blocks.append(self._block(run, model, name, side, pred, prefix))
                if self.confounds is not None:
                    pred = self.partialled(run, self._counted(run, model))
                    left = self.partialled(run, self.raw[run.label][run.frames])
                    for name in self.metrics:
                        blocks.append(self._block(run, model, name, left, pred, "partial_"))
            if self.truth is not None:
                for name in self.metrics:
                    blocks.append(self._block(run, "ceiling", name, y, truth))
        return pd.concat(blocks, ignore_index=True)

    def _block_of(self, values: dict, run: Run) -> np.ndarray:
        """Frames of a run (n_frames, n_targets), without the drift of the run."""
        return self._detrended(values[run.label][run.frames], run.label, run.frames)

    def partialled(self, run: Run, values: np.ndarray) -> np.ndarray:
        """Values of a run (n_frames, n_targets) without its drift and confounds."""
        return partial_out(
            values, self.confounds[run.label][run.frames], self.samples.t_r[run.label],
            self.method, run.frames,
        )  # fmt: skip

    def _block(self, run: Run, model: str, metric: str, y, pred, prefix="") -> pd.DataFrame:
        return pd.DataFrame(
            {
                "model": model,
                "metric": prefix + metric,
                "fold": run.fold,
                "subject": self.samples.recordings["subject"].iloc[run.label],
                "recording": run.label,
                "target": self.samples.names,
                "score": self.metrics[metric](y, pred),
                "n_frames": (np.isfinite(y) & np.isfinite(pred)).sum(axis=0),
            }
        )

    def draw(self, n_shifts: int, min_shift: float, random_state) -> dict[int, np.ndarray]:
        """Shifts of each recording; the same for all its targets, folds and models."""
        lengths = {label: len(values) for label, values in self.measured.items()}
        return shifts_of(lengths, self.samples.t_r, n_shifts, min_shift, random_state)

    def null(
        self, runs: list[Run], models: list[str], metric: str, shifts: dict, partial=False
    ) -> dict[str, list[np.ndarray]]:
        """Scores of each run for circular shifts of whole recordings, (n_shifts, n_targets)."""
        # Only the package's own correlations have a fast way for all shifts at once.
        score = metric if METRICS.get(metric) is self.metrics[metric] else self.metrics[metric]
        every: dict = {model: [] for model in models}
        for run in runs:
            y = (self.rolled_partial if partial else self.rolled)[run.label]
            removed = scoring_drift(len(y), self.samples.t_r[run.label], self.method)
            if partial:
                removed = np.column_stack([removed, self.confounds[run.label]])
            for model in models:
                if partial:
                    clean = partial_(self.partialled, run)
                    pred = clean(self._counted(run, model))
                else:
                    clean = partial_(self._detrended, label=run.label, frames=run.frames)
                    pred = self.predicted(run, model)
                every[model].append(
                    circular_shift_null(
                        y, pred, shifts[run.label], score, run.frames, clean, removed
                    )
                )
        return every


def mean_null(runs: list[Run], parts: list[np.ndarray]) -> np.ndarray:
    """Mean over runs of their nulls (n_shifts, n_targets)."""
    # With several folds, as wide as scores of models trained on each other's test data.
    null = nan_mean(parts)
    return null if len({run.fold for run in runs}) == 1 else widened(null)


def null_of_people(samples: Samples, runs: list[Run], parts: list, shifts: dict) -> dict:
    """Null of each person's mean over targets: (n_shifts,), in order of shift of one recording."""
    people = samples.recordings["subject"]
    nulls = {}
    for person in people.unique():
        mine = [k for k, run in enumerate(runs) if people.iloc[run.label] == person]
        if not mine:
            continue
        null = mean_null([runs[k] for k in mine], [parts[k] for k in mine])
        labels = {runs[k].label for k in mine}
        if len(labels) == 1:
            null = null[np.argsort(shifts[labels.pop()], kind="stable")]
        nulls[person] = nan_mean(list(null.T))
    return nulls
