"""Score predictions against what was measured: one rule for every estimator."""

import numpy as np

from ._checks import check_option
from .data.bold import frames_table
from .data.missing import lacking
from .metrics import (
    METRICS,
    drift_basis,
    order_frames,
    polynomial_drift,
    project_out,
    recording_labels,
)


class MeanScore:
    """``score`` of estimators that have ``score_targets``, and what scikit-learn asks of them."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags

    def score(self, X, y, sample_weight=None) -> float:
        """Mean Spearman correlation over time between what was measured and what is predicted.

        Parameters
        ----------
        X, y : Epochs | Raw | list | array
            As in ``fit``.
        sample_weight : None
            Not supported: a correlation over time has no weights for samples.

        Returns
        -------
        score : float
            Mean of ``score_targets``; 0 for a constant prediction.

        Raises
        ------
        ValueError
            If ``sample_weight`` is given, or X and y do not agree.
        """
        if sample_weight is not None:
            raise ValueError("score does not take sample_weight: it correlates over time.")
        return float(np.nanmean(self.score_targets(X, y)))


def score_rows(y, pred, metric="spearman") -> np.ndarray:
    """Score columns of tables whose rows are frames: (n_targets,), 0 for a constant prediction."""
    check_option(metric, "metric", tuple(METRICS))
    y, pred = (np.asarray(a, dtype=np.float64).reshape(len(pred), -1) for a in (y, pred))
    return METRICS[metric](y, pred)


def scoring_drift(n_frames: int, t_r: float, method) -> np.ndarray:
    """Drift terms of a run; the mean alone where there is little more than drift in it."""
    # Cosines leave the ends of a straight or cubic drift standing, and rolling in time turns those
    # into false positives: a cubic goes with them.
    if method is None:
        return np.ones((n_frames, 1))
    basis = drift_basis(n_frames, t_r, method)
    if method == "cosine":
        basis = np.column_stack([basis, polynomial_drift(n_frames, 3)[:, 1:]])
    return basis if n_frames > 2 * basis.shape[1] else basis[:, :1]


def rows_of(frames, n: int) -> tuple[int, np.ndarray]:
    """Frames from the first to the last, and where n rows lie among them."""
    frames = np.arange(n) if frames is None else frames
    return int(frames.max() - frames.min()) + 1, frames - frames.min()


def remove_drift(values, t_r: float, method, frames=None) -> np.ndarray:
    """Remove drift as it is removed for scoring; ``None`` leaves the values alone."""
    if method is None:
        return np.array(values, float)
    n_grid, rows = rows_of(frames, len(values))
    basis = scoring_drift(n_grid, t_r, method)[rows]
    if n_measured(values) <= basis.shape[1]:
        basis = basis[:, :1]
    return project_out(values, basis)


def n_measured(values) -> int:
    """Frames that hold all regions that were measured in this recording."""
    values = np.asarray(values, float)
    return int(np.isfinite(values[:, ~lacking(values)]).all(axis=1).sum())


def score_recordings(rec, pred, known, *, detrend, metric="spearman") -> np.ndarray:
    """Score frames that were predicted of `Recordings` with BOLD, table or not: (n_targets,)."""
    if rec.kind == "table":
        return score_rows(rec.bold[0], pred[0], metric)
    return score_frames(
        rec.bold, pred, rec.table, rec.kind, t_r=rec.t_rs, detrend=detrend, metric=metric,
        known=known,
    )  # fmt: skip


def score_frames(
    measured, pred, table, kind, *, t_r, detrend, metric="spearman", known=None
) -> np.ndarray:
    """Score targets over the ordered frames of recordings, then average these: (n_targets,).

    Measured and predicted are lists of (n_frames, n_targets), one per segment (window or recording,
    as ``kind`` says). Frames with NaN in ``measured`` are left out, and so are those that ``known``
    calls False: predicted without their whole history. Scores are 0 for a constant prediction and
    NaN for regions that all segments lack.
    """
    check_option(metric, "metric", tuple(METRICS))
    nowhere = np.all([lacking(value) for value in measured], axis=0)
    if known is not None:
        measured = [np.where(k[:, None], v, np.nan) for k, v in zip(known, measured, strict=True)]
    pred = [np.where(np.isfinite(v), p, np.nan) for p, v in zip(pred, measured, strict=True)]
    frames, seconds = [None] * len(measured), np.broadcast_to(t_r, len(measured))
    if kind == "windows":
        table = frames_table(table, [len(value) for value in measured])
        ordered = order_frames(np.stack(measured), table, seconds)
        label = recording_labels(table)[0]
        seconds = [seconds[np.flatnonzero(label == k)[0]] for k in range(len(ordered.values))]
        measured, frames = ordered.values, ordered.frames
        pred = order_frames(np.stack(pred), table, t_r).values
    measured, pred = (
        [remove_drift(v, s, detrend, f) for v, f, s in zip(side, frames, seconds, strict=True)]
        for side in (measured, pred)
    )
    scores = np.array([METRICS[metric](v, p) for v, p in zip(measured, pred, strict=True)])
    counts = np.isfinite(scores).sum(axis=0)
    if (counts[~nowhere] == 0).any():
        raise ValueError(
            "Fewer than two measured frames are left to score in every recording: the others are "
            "scrubbed or lack a whole history."
        )
    return np.where(nowhere, np.nan, np.nansum(scores, axis=0) / np.maximum(counts, 1))
