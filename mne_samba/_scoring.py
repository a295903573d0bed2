"""Score predicted frames against measured ones: one rule for every estimator of BOLD."""

from __future__ import annotations

import numpy as np

from ._checks import check_option
from ._data.hemo import detrend_segments, frames_table
from ._data.missing import lacking
from .metrics import METRICS, order_frames


class MeanScore:
    """``score`` of estimators that have ``score_targets``."""

    def score(self, X, y, sample_weight=None) -> float:
        """Mean Spearman correlation between measured and predicted BOLD, per target over time.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            As in ``fit``.
        y : array | list
            Measured BOLD, as in ``fit``.
        sample_weight : None
            Not supported: a correlation over time has no weights for samples.

        Returns
        -------
        score : float
            Averaged over targets and recordings; 0 for a constant prediction.

        Raises
        ------
        ValueError
            If ``sample_weight`` is given, or X and y do not agree.
        """
        if sample_weight is not None:
            raise ValueError("score does not take sample_weight: it correlates over time.")
        return float(np.nanmean(self.score_targets(X, y)))


def score_rows(y, pred, metric="spearman") -> np.ndarray:
    """Score the columns of tables whose rows are frames.

    Parameters
    ----------
    y, pred : array, shape (n_frames,) or (n_frames, n_targets)
        Measured and predicted values.
    metric : "spearman" | "pearson" | "r2"
        The score.

    Returns
    -------
    scores : array, shape (n_targets,)
        0 for a constant prediction.
    """
    check_option(metric, "metric", tuple(METRICS))
    y, pred = (np.asarray(a, dtype=np.float64).reshape(len(pred), -1) for a in (y, pred))
    return METRICS[metric](y, pred)


def score_frames(
    measured, pred, table, kind, *, t_r, detrend, metric="spearman", known=None
) -> np.ndarray:
    """Score targets over the ordered frames of every recording, averaged over recordings.

    Parameters
    ----------
    measured, pred : list of array, shape (n_frames, n_targets)
        Time courses per segment; frames with NaN in ``measured`` are left out.
    table : DataFrame
        Subject, run, recording, onset and frame of each segment.
    kind : "windows" | "recordings"
        What a segment is.
    t_r : float
        Seconds between frames.
    detrend : "cosine" | "linear" | int | None
        Slow drift that is removed from measured and predicted time courses alike.
    metric : "spearman" | "pearson" | "r2"
        The score.
    known : list of bool array, shape (n_frames,), optional
        False at frames that were predicted without their whole history, which are left out.

    Returns
    -------
    scores : array, shape (n_targets,)
        0 for a constant prediction; NaN for regions that all segments lack.

    Raises
    ------
    ValueError
        If the metric is unknown, or too few frames are left.
    """
    check_option(metric, "metric", tuple(METRICS))
    nowhere = np.all([lacking(value) for value in measured], axis=0)
    if known is not None:
        measured = [np.where(k[:, None], v, np.nan) for k, v in zip(known, measured, strict=True)]
    pred = [np.where(np.isfinite(v), p, np.nan) for p, v in zip(pred, measured, strict=True)]
    measured = detrend_segments(measured, table, kind, t_r, detrend)
    pred = detrend_segments(pred, table, kind, t_r, detrend)
    if kind == "windows":
        table = frames_table(table, [len(value) for value in measured])
        measured = order_frames(np.stack(measured), table, t_r).values
        pred = order_frames(np.stack(pred), table, t_r).values
    scores = np.array([METRICS[metric](v, p) for v, p in zip(measured, pred, strict=True)])
    counts = np.isfinite(scores).sum(axis=0)
    if (counts[~nowhere] == 0).any():
        raise ValueError(
            "Fewer than two measured frames are left to score in every recording: the others are "
            "scrubbed or lack a whole history."
        )
    return np.where(nowhere, np.nan, np.nansum(scores, axis=0) / np.maximum(counts, 1))
