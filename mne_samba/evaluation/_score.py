"""Scores of predictions on the frame grid: raw, with confounds partialled out, against truth."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .._data.missing import lacking
from ..metrics import METRICS, drift_basis, polynomial_drift, project_out
from ._samples import Samples, nan_mean
from .nulls import circular_shift_null, draw_shifts


@dataclass
class Run:
    """Frames of one recording that one fold tests.

    Attributes
    ----------
    fold : int
        The fold.
    label : int
        The recording.
    frames : ndarray of int, shape (n_frames,)
        Tested frames of the recording's grid.
    predictions : dict of str to ndarray, each (n_frames, n_targets)
        Predictions of each model, as they came.
    """

    fold: int
    label: int
    frames: np.ndarray
    predictions: dict = field(default_factory=dict)


def scoring_drift(n_frames: int, t_r: float, method) -> np.ndarray:
    """Drift terms of a run; the mean alone where there is little more than drift in it.

    Cosines leave the ends of a straight or cubic drift standing, and rolling in time turns those
    into false positives: a cubic goes with them.
    """
    if method is None:
        return np.ones((n_frames, 1))
    basis = drift_basis(n_frames, t_r, method)
    if method == "cosine":
        basis = np.column_stack([basis, polynomial_drift(n_frames, 3)[:, 1:]])
    return basis if n_frames > 2 * basis.shape[1] else basis[:, :1]


def _rows(frames, n: int) -> tuple[int, np.ndarray]:
    frames = np.arange(n) if frames is None else frames
    return int(frames.max() - frames.min()) + 1, frames - frames.min()


def remove_drift(values, t_r: float, method, frames=None) -> np.ndarray:
    """Remove drift as it is removed for scoring; ``None`` leaves the values alone."""
    if method is None:
        return np.array(values, float)
    n_grid, rows = _rows(frames, len(values))
    basis = scoring_drift(n_grid, t_r, method)[rows]
    if _n_measured(values) <= basis.shape[1]:
        basis = basis[:, :1]
    return project_out(values, basis)


def _n_measured(values) -> int:
    """Frames that hold all regions that were measured in this recording."""
    values = np.asarray(values, float)
    return int(np.isfinite(values[:, ~lacking(values)]).all(axis=1).sum())


def partial_out(values, confounds, t_r: float, method, frames=None) -> np.ndarray:
    """Remove drift and confounds together by least squares; NaN rows stay NaN.

    Parameters
    ----------
    values : array of shape (n_frames, n_targets)
        Measured or predicted time courses.
    confounds : array of shape (n_frames, n_confounds)
        Regressors at the same frames.
    t_r : float
        Seconds between frames.
    method : "cosine" | "linear" | int | None
        Drift, as in :func:`mne_samba.metrics.detrend`.
    frames : array of int | None
        Index of each row in the recording.

    Returns
    -------
    residual : ndarray of shape (n_frames, n_targets)
        What drift and confounds do not explain.

    Raises
    ------
    ValueError
        If there are not more frames than regressors.
    """
    n_grid, rows = _rows(frames, len(values))
    design = np.column_stack([scoring_drift(n_grid, t_r, method)[rows], confounds])
    n_valid = _n_measured(values)
    if n_valid <= design.shape[1]:
        raise ValueError(
            f"More confounds than frames: {np.shape(confounds)[1]} confounds, with drift "
            f"{design.shape[1]} terms, for {n_valid} frames of a tested run. Use fewer confounds "
            "(for instance motion and its derivatives), longer test blocks, or whole recordings."
        )
    scale = np.linalg.norm(design, axis=0)
    return project_out(values, design / np.where(scale > 0, scale, 1.0))


class Scorer:
    """Scores runs against the detrended recordings.

    Parameters
    ----------
    samples : Samples
        Targets and their times.
    measured : dict
        Targets of each recording on its grid, frames that do not count set to NaN.
    method : "cosine" | "linear" | int | None
        Drift that is removed from measured and predicted time courses alike.
    metrics : dict of str to callable
        Scores per target.
    confounds, clean : dict | None
        Confounds and noiseless targets of each recording on its grid.
    """

    def __init__(self, samples: Samples, measured, method, metrics, confounds=None, clean=None):
        self.samples = samples
        self.method = method
        self.metrics = metrics
        self.confounds = confounds
        self.measured = {k: self._detrended(v, k) for k, v in measured.items()}
        self.clean = None if clean is None else {k: self._detrended(v, k) for k, v in clean.items()}
        self.partial = None
        if confounds is not None:
            self.partial = {
                k: partial_out(v, confounds[k], samples.t_r[k], method) for k, v in measured.items()
            }

    def _detrended(self, values, label: int, frames=None) -> np.ndarray:
        return remove_drift(values, self.samples.t_r[label], self.method, frames)

    def predicted(self, run: Run, model: str) -> np.ndarray:
        """Detrended predictions of a run."""
        return self._detrended(run.predictions[model], run.label, run.frames)

    def frame(self, runs: list[Run]) -> pd.DataFrame:
        """Tidy table: one row per model, metric, fold, recording and target."""
        blocks = []
        for run in runs:
            for model in run.predictions:
                y = self.measured[run.label][run.frames]
                pred = self.predicted(run, model)
                for name, metric in self.metrics.items():
                    blocks.append(self._block(run, model, name, y, pred, metric))
                    if self.clean is not None:
                        # Noise-free truth, where the measured frames count.
                        truth = np.where(np.isnan(y), np.nan, self.clean[run.label][run.frames])
                        blocks.append(self._block(run, model, f"clean_{name}", truth, pred, metric))
                if self.partial is not None:
                    pred, y = self.partialled(run, model), self.partial[run.label][run.frames]
                    for name, metric in self.metrics.items():
                        blocks.append(self._block(run, model, f"partial_{name}", y, pred, metric))
            if self.clean is not None:
                y, truth = (part[run.label][run.frames] for part in (self.measured, self.clean))
                for name, metric in self.metrics.items():
                    blocks.append(self._block(run, "ceiling", name, y, truth, metric))
        return pd.concat(blocks, ignore_index=True)

    def partialled(self, run: Run, model: str) -> np.ndarray:
        """Predictions of a run without drift and confounds."""
        return partial_out(
            run.predictions[model],
            self.confounds[run.label][run.frames],
            self.samples.t_r[run.label],
            self.method,
            run.frames,
        )

    def _block(self, run: Run, model, metric_name, y, pred, metric: Callable) -> pd.DataFrame:
        names = self.samples.names
        counted = np.isfinite(y) & np.isfinite(pred)
        return pd.DataFrame(
            {
                "model": model,
                "metric": metric_name,
                "fold": run.fold,
                "subject": self.samples.recordings["subject"].iloc[run.label],
                "recording": run.label,
                "target": names,
                "score": metric(y, pred),
                "n_frames": counted.sum(axis=0),
            }
        )

    def draw(self, n_shifts: int, min_shift: float, random_state) -> dict[int, np.ndarray]:
        """Shifts of each recording; the same for all its targets, folds and models."""
        rng = np.random.default_rng(random_state)
        return {
            label: draw_shifts(
                len(series),
                n_shifts,
                max(1, int(np.ceil(min_shift / self.samples.t_r[label]))),
                rng,
                distinct=len(self.measured) == 1,
            )
            for label, series in self.measured.items()
        }

    def null(
        self, runs: list[Run], models: list[str], metric: str, shifts: dict, partial=False
    ) -> dict[str, np.ndarray]:
        """Mean score over runs for circular shifts of whole recordings, (n_shifts, n_targets)."""
        # Only the package's own correlations have a fast way for all shifts at once.
        score = metric if METRICS.get(metric) is self.metrics[metric] else self.metrics[metric]
        total: dict = {model: [] for model in models}
        for run in runs:
            y = (self.partial if partial else self.measured)[run.label]
            for model in models:
                pred = self.partialled(run, model) if partial else self.predicted(run, model)
                total[model].append(
                    circular_shift_null(y, pred, shifts[run.label], score, run.frames)
                )
        return {model: nan_mean(parts) for model, parts in total.items()}
