"""Scores of predicted frames, shared by the estimators that work at frame times."""

from __future__ import annotations

import numpy as np

from .._checks import check_option
from .._data.hemo import detrend_segments, frames_table
from ..metrics import METRICS, order_frames


def score_frames(measured, pred, table, kind, *, t_r, detrend, metric="spearman") -> np.ndarray:
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

    Returns
    -------
    scores : array, shape (n_targets,)
        0 for a constant prediction.
    """
    check_option(metric, "metric", tuple(METRICS))
    pred = [np.where(np.isfinite(v), p, np.nan) for p, v in zip(pred, measured, strict=True)]
    measured = detrend_segments(measured, table, kind, t_r, detrend)
    pred = detrend_segments(pred, table, kind, t_r, detrend)
    if kind == "windows":
        table = frames_table(table, [len(value) for value in measured])
        measured = order_frames(np.stack(measured), table, t_r).values
        pred = order_frames(np.stack(pred), table, t_r).values
    scores = np.array([METRICS[metric](v, p) for v, p in zip(measured, pred, strict=True)])
    counts = np.isfinite(scores).sum(axis=0)
    if (counts == 0).any():
        raise ValueError(
            "Fewer than two measured frames are left to score in every recording: the others are "
            "scrubbed or lack a whole history."
        )
    return np.nansum(scores, axis=0) / counts
