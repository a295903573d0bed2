"""Scores per target over time, drift removal, and frames of windows put back in order.

Everything takes time before targets, ``(n_frames, n_targets)``, and treats rows of NaN as scrubbed
frames. Correlations are never pooled over targets: a map of means alone would then score high.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ._drift import cosine_drift, detrend, drift_basis, polynomial_drift, project_out

__all__ = [
    "METRICS", "OrderedFrames", "cosine_drift", "detrend", "drift_basis", "order_frames", "pearson",
    "polynomial_drift", "project_out", "r2", "recording_labels", "spearman",
]  # fmt: skip


def _check_pair(y, pred) -> tuple[np.ndarray, np.ndarray]:
    y, pred = np.asarray(y, dtype=np.float64), np.asarray(pred, dtype=np.float64)
    y, pred = (a[:, np.newaxis] if a.ndim == 1 else a for a in (y, pred))
    if y.ndim != 2 or y.shape != pred.shape:
        raise ValueError(
            "y and pred must both have shape (n_frames, n_targets), "
            f"got {y.shape} and {pred.shape}. Put windows in order first, see order_frames."
        )
    return y, pred


def _by_target(y, pred, score) -> np.ndarray:
    """Apply ``score`` to the frames without NaN, all targets at once where they share them."""
    y, pred = _check_pair(y, pred)
    valid = np.isfinite(y) & np.isfinite(pred)
    if y.size and (valid == valid[:, :1]).all():
        rows = valid[:, 0]
        return score(y[rows], pred[rows]) if rows.sum() > 1 else np.full(y.shape[1], np.nan)
    out = np.full(y.shape[1], np.nan)
    for target in range(y.shape[1]):
        rows = valid[:, target]
        if rows.sum() > 1:
            columns = slice(target, target + 1)
            out[target] = score(y[rows, columns], pred[rows, columns])[0]
    return out


def _centred(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centred columns and their lengths, infinite for a constant column."""
    centred = x - x.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    # Centring a constant leaves rounding, which must not be blown up into a correlation.
    rounding = 8 * np.finfo(float).eps * np.abs(x).max(axis=0) * np.sqrt(len(x))
    return centred, np.where(length <= rounding, np.inf, length)


def _unit(x: np.ndarray) -> np.ndarray:
    """Centre columns and scale them to unit length; a constant column becomes zeros."""
    centred, length = _centred(x)
    return centred / length


def _correlate(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
    return np.clip((_unit(y) * _unit(pred)).sum(axis=0), -1.0, 1.0)


def pearson(y, pred) -> np.ndarray:
    """Pearson correlation over time, one per target.

    Parameters
    ----------
    y, pred : array of shape (n_frames, n_targets)
        Measured and predicted time courses. Frames with NaN in either are ignored.

    Returns
    -------
    scores : ndarray of shape (n_targets,)
        0 where ``y`` or ``pred`` is constant, NaN where fewer than two frames are left.

    Raises
    ------
    ValueError
        If the shapes differ or are not ``(n_frames, n_targets)``.
    """
    return _by_target(y, pred, _correlate)


def spearman(y, pred) -> np.ndarray:
    """Spearman rank correlation over time, one per target.

    Parameters
    ----------
    y, pred : object
        As in `pearson`.

    Returns
    -------
    scores : ndarray of shape (n_targets,)
        As in `pearson`.
    """
    return _by_target(y, pred, lambda a, b: _correlate(rankdata(a, axis=0), rankdata(b, axis=0)))


def _explained(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
    length = _centred(y)[1]
    residual = ((y - pred) ** 2).sum(axis=0)
    return np.where(np.isinf(length), 0.0, 1.0 - residual / length**2)


def r2(y, pred) -> np.ndarray:
    """Coefficient of determination over time, one per target.

    Parameters
    ----------
    y, pred : object
        As in `pearson`.

    Returns
    -------
    scores : ndarray of shape (n_targets,)
        ``1 - sum((y - pred)^2) / sum((y - mean(y))^2)``; 0 where ``y`` is constant, NaN where fewer
        than two frames are left.
    """
    return _by_target(y, pred, _explained)


METRICS = {"spearman": spearman, "pearson": pearson, "r2": r2}


class OrderedFrames(NamedTuple):
    """Frames of windows, recording by recording, in order of time.

    Attributes
    ----------
    values : list of ndarray, each (n_unique_frames, n_targets)
        Time courses; frames that several windows hold are averaged.
    frames : list of ndarray of int, each (n_unique_frames,)
        Index of each row in its recording; missing indices were in no window.
    recordings : list of tuple
        What names each recording: its values of ``subject``, ``run`` and ``recording``.
    """

    values: list
    frames: list
    recordings: list


def recording_labels(table: pd.DataFrame) -> tuple[np.ndarray, list]:
    """Integer label of each window's recording, in order of first appearance.

    Parameters
    ----------
    table : DataFrame
        One row per window; ``subject``, ``run`` and ``recording`` are used where present.

    Returns
    -------
    labels : ndarray of int, shape (n_windows,)
        Recording of each window.
    recordings : list of tuple
        The values that name each recording.
    """
    columns = [c for c in ("subject", "run", "recording") if c in table.columns]
    seen: dict = {}
    if not columns:
        return np.zeros(len(table), dtype=int), [(0,)]
    # Missing names (None, NaN) must equal themselves, or every window would be its own recording.
    named = table[columns]
    rows = map(tuple, np.where(named.notna(), named.astype(object), None).tolist())
    labels = np.array([seen.setdefault(row, len(seen)) for row in rows], dtype=int)
    return labels, list(seen)


def order_frames(values, table: pd.DataFrame, t_r: float | None = None) -> OrderedFrames:
    """Put the frames of windows in order, recording by recording.

    Parameters
    ----------
    values : array of shape (n_windows, n_frames, n_targets)
        Measured or predicted windows; NaN frames are kept NaN unless another window has them.
    table : DataFrame
        One row per window: ``subject``, ``run``, ``recording`` where known, and ``frame`` (index of
        the window's first frame in its recording) or ``onset`` (the same in seconds).
    t_r : float | None
        Seconds between frames; needed with ``onset`` alone, if the table has no ``t_r`` column.

    Returns
    -------
    ordered : OrderedFrames
        ``values``, ``frames`` and ``recordings``, one entry per recording.

    Raises
    ------
    ValueError
        If the table does not match ``values`` or tells no time.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 3 or len(values) != len(table):
        raise ValueError(
            "values must have shape (n_windows, n_frames, n_targets) with one row of the table per "
            f"window, got {values.shape} and {len(table)} rows."
        )
    labels, recordings = recording_labels(table)
    first = _first_frames(table, labels, t_r)
    n_frames, n_targets = values.shape[1:]
    ordered = OrderedFrames([], [], recordings)
    for label in range(len(recordings)):
        rows = labels == label
        index = (first[rows, np.newaxis] + np.arange(n_frames)).ravel()
        flat = values[rows].reshape(-1, n_targets)
        flat = pd.DataFrame(np.where(np.isfinite(flat), flat, np.nan))
        ordered.values.append(np.ascontiguousarray(flat.groupby(index).mean()))
        ordered.frames.append(np.unique(index))
    return ordered


def _first_frames(table: pd.DataFrame, labels: np.ndarray, t_r: float | None) -> np.ndarray:
    """Index of each window's first frame."""
    if "frame" in table.columns:
        return table["frame"].to_numpy(dtype=float).round().astype(int)
    if "onset" not in table.columns:
        raise ValueError(
            "The table of windows needs a 'frame' or an 'onset' column to put frames in order, "
            f"got columns {list(table.columns)}."
        )
    step = table["t_r"].to_numpy(dtype=float) if "t_r" in table.columns else t_r
    if step is None:
        raise ValueError("Frames are ordered by 'onset' only when t_r is known; got t_r=None.")
    onset = table["onset"].to_numpy(dtype=float)
    # Frames need not start at the recording's first sample: count from the earliest window.
    earliest = pd.Series(onset).groupby(labels).transform("min").to_numpy()
    return np.rint((onset - earliest) / step).astype(int)
