"""Scores per target over time, drift removal, and frames of windows put back in order.

Everything takes time before targets, ``(n_frames, n_targets)``, and treats rows of NaN as scrubbed
frames. Correlations are never pooled over targets: a map of means alone would then score high.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

__all__ = [
    "METRICS",
    "OrderedFrames",
    "cosine_drift",
    "detrend",
    "drift_basis",
    "order_frames",
    "pearson",
    "polynomial_drift",
    "project_out",
    "r2",
    "recording_labels",
    "spearman",
]


def _check_pair(y, pred) -> tuple[np.ndarray, np.ndarray]:
    y, pred = np.asarray(y, dtype=np.float64), np.asarray(pred, dtype=np.float64)
    y = y[:, np.newaxis] if y.ndim == 1 else y
    pred = pred[:, np.newaxis] if pred.ndim == 1 else pred
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


def _unit(x: np.ndarray) -> np.ndarray:
    """Centre columns and scale them to unit length; a constant column becomes zeros."""
    scale = np.abs(x).max(axis=0)
    x = x - x.mean(axis=0)
    length = np.linalg.norm(x, axis=0)
    # Centring a constant leaves rounding, which must not be blown up into a correlation.
    constant = length <= 8 * np.finfo(float).eps * scale * np.sqrt(len(x))
    return np.where(constant, 0.0, x / np.where(constant, 1.0, length))


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
    return _by_target(y, pred, lambda a, b: _correlate(rankdata(a, axis=0), rankdata(b, axis=0)))


def _explained(y: np.ndarray, pred: np.ndarray) -> np.ndarray:
    residual = ((y - pred) ** 2).sum(axis=0)
    centred = y - y.mean(axis=0)
    total = (centred**2).sum(axis=0)
    constant = np.sqrt(total) <= 8 * np.finfo(float).eps * np.abs(y).max(axis=0) * np.sqrt(len(y))
    return np.where(constant, 0.0, 1.0 - residual / np.where(constant, 1.0, total))


def r2(y, pred) -> np.ndarray:
    """Coefficient of determination over time, one per target.

    Parameters
    ----------
    y, pred : array of shape (n_frames, n_targets)
        Measured and predicted time courses. Frames with NaN in either are ignored.

    Returns
    -------
    scores : ndarray of shape (n_targets,)
        ``1 - sum((y - pred)^2) / sum((y - mean(y))^2)``; 0 where ``y`` is constant, NaN where fewer
        than two frames are left.

    Raises
    ------
    ValueError
        If the shapes differ or are not ``(n_frames, n_targets)``.
    """
    return _by_target(y, pred, _explained)


METRICS = {"spearman": spearman, "pearson": pearson, "r2": r2}


def cosine_drift(n_frames: int, t_r: float, high_pass: float = 1 / 128) -> np.ndarray:
    r"""Discrete cosines slower than ``high_pass``, and a constant.

    :math:`\sqrt{2/n} \cos(\pi (t + 1/2) k / n)`, ``k = 1 ... floor(2 n high_pass t_r)``: the basis
    of SPM and of nilearn's ``filter="cosine"``.

    Parameters
    ----------
    n_frames : int
        Number of frames ``n``.
    t_r : float
        Seconds between frames.
    high_pass : float
        Cut-off in Hz.

    Returns
    -------
    basis : ndarray of shape (n_frames, n_cosines + 1)
        Orthonormal columns; the first is the constant.

    Raises
    ------
    ValueError
        If ``high_pass`` is at or above the Nyquist frequency of the frames, or not positive.
    """
    if not high_pass > 0 or high_pass * t_r >= 0.5:
        raise ValueError(
            f"high_pass must lie between 0 and the frames' Nyquist frequency "
            f"({0.5 / t_r:g} Hz at t_r={t_r:g} s), got {high_pass!r}."
        )
    order = min(int(np.floor(2 * n_frames * high_pass * t_r)), n_frames - 1)
    phase = np.pi / n_frames * (np.arange(n_frames)[:, np.newaxis] + 0.5)
    basis = np.sqrt(2.0 / n_frames) * np.cos(phase * np.arange(order + 1))
    basis[:, 0] = 1 / np.sqrt(n_frames)
    return basis


def polynomial_drift(n_frames: int, order: int = 1) -> np.ndarray:
    """Legendre polynomials of degree 0 to ``order`` over the recording.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    order : int
        Highest degree; 0 is the mean alone.

    Returns
    -------
    basis : ndarray of shape (n_frames, order + 1)
        One polynomial per column, the constant first.

    Raises
    ------
    ValueError
        If ``order`` is negative.
    """
    if order < 0:
        raise ValueError(f"The order of a polynomial drift must be 0 or more, got {order!r}.")
    return np.polynomial.legendre.legvander(np.linspace(-1, 1, n_frames), order)


def drift_basis(n_frames: int, t_r: float | None, method, high_pass=1 / 128) -> np.ndarray:
    """Drift terms that `detrend` removes.

    Parameters
    ----------
    n_frames : int
        Frames of the recording.
    t_r : float | None
        Seconds between frames; only ``method="cosine"`` needs it.
    method : "cosine" | "linear" | int
        As in `detrend`.
    high_pass : float
        Cut-off of the cosines in Hz.

    Returns
    -------
    basis : ndarray of shape (n_frames, n_terms)
        One column per term, a constant among them.

    Raises
    ------
    ValueError
        If ``method`` is unknown, or ``t_r`` is missing for cosines.
    """
    if isinstance(method, str) and method == "cosine":
        if t_r is None:
            raise ValueError("detrend='cosine' needs t_r, the seconds between frames; got None.")
        return cosine_drift(n_frames, t_r, high_pass)
    if isinstance(method, str) and method == "linear":
        return polynomial_drift(n_frames, 1)
    if isinstance(method, int | np.integer) and not isinstance(method, bool):
        return polynomial_drift(n_frames, int(method))
    raise ValueError(
        f"detrend must be 'cosine', 'linear', a polynomial order (int) or None, got {method!r}."
    )


def detrend(
    y,
    t_r: float | None,
    method: str | int | None = "cosine",
    high_pass: float = 1 / 128,
    frames=None,
    mask=None,
) -> np.ndarray:
    """Remove slow drift and the mean from the time courses of one recording.

    Least squares on the drift basis over the valid frames; scrubbed frames take no part in the fit
    and stay NaN.

    Parameters
    ----------
    y : array of shape (n_frames, n_targets)
        Time courses of one recording (or of one block of it).
    t_r : float | None
        Seconds between frames; only ``method="cosine"`` needs it.
    method : "cosine" | "linear" | int | None
        Cosines slower than ``high_pass``, a straight line, a polynomial of this order, or nothing
        (``y`` comes back as it is).
    high_pass : float
        Cut-off of the cosines in Hz.
    frames : array of int, shape (n_frames,) | None
        Index of each row in the recording, where rows are missing. Default: consecutive.
    mask : array of bool, shape (n_frames,) | None
        Rows to fit on, beside those without NaN. The drift is removed from all rows.

    Returns
    -------
    clean : ndarray of shape (n_frames, n_targets)
        Residuals; float64.

    Raises
    ------
    ValueError
        If ``method`` is unknown, ``t_r`` is missing, or there are fewer frames than drift terms.
    """
    y = np.array(y, dtype=np.float64)
    if method is None:
        return y
    one_dimensional = y.ndim == 1
    y = y[:, np.newaxis] if one_dimensional else y
    if y.ndim != 2:
        raise ValueError(f"y must have shape (n_frames, n_targets), got {y.shape}.")
    frames = np.arange(len(y)) if frames is None else np.asarray(frames, dtype=int)
    if frames.shape != (len(y),):
        raise ValueError(f"frames must have shape ({len(y)},), one per row, got {frames.shape}.")
    if not len(y):
        return y
    first = frames.min()
    basis = drift_basis(frames.max() - first + 1, t_r, method, high_pass)[frames - first]
    left = project_out(y, basis, mask, f"drift terms (detrend={method!r})")
    return left[:, 0] if one_dimensional else left


def project_out(y, basis, mask=None, what: str = "regressors") -> np.ndarray:
    """Residuals of time courses after least squares on the frames without NaN.

    Parameters
    ----------
    y : array of shape (n_frames, n_targets)
        Time courses; NaN frames take no part in the fit and stay NaN.
    basis : array of shape (n_frames, n_terms)
        What to remove.
    mask : array of bool, shape (n_frames,) | None
        Rows to fit on, beside those without NaN.
    what : str
        What the terms are, for the error.

    Returns
    -------
    residual : ndarray of shape (n_frames, n_targets)
        float64; exactly 0 where only rounding is left.

    Raises
    ------
    ValueError
        If there are not more frames than terms.
    """
    y = np.array(y, dtype=np.float64)
    valid = np.isfinite(y)
    if mask is not None:
        valid &= np.asarray(mask, dtype=bool)[:, np.newaxis]
    patterns, members = np.unique(valid, axis=1, return_inverse=True)
    for index, pattern in enumerate(patterns.T):
        columns = np.flatnonzero(members.ravel() == index)
        n_valid = int(pattern.sum())
        if n_valid == 0:
            continue
        if n_valid <= basis.shape[1]:
            raise ValueError(
                f"{n_valid} valid frames are not enough to remove {basis.shape[1]} {what}. "
                "Use longer recordings or fewer terms, for instance detrend='linear'."
            )
        part = y[np.ix_(pattern, columns)]
        weights = np.linalg.lstsq(basis[pattern], part, rcond=None)[0]
        left = y[:, columns] - basis @ weights
        # A pure drift must come out constant: correlating its rounding would give noise.
        rounding = 1e3 * np.finfo(float).eps * np.abs(part).max(axis=0)
        y[:, columns] = np.where(np.abs(left) <= rounding, 0.0, left)
    return y


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
    parts = [
        [None if pd.isna(value) else value for value in table[column].tolist()]
        for column in columns
    ]
    rows = zip(*parts, strict=True)
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
        unique, position = np.unique(index, return_inverse=True)
        flat = values[rows].reshape(-1, n_targets)
        finite = np.isfinite(flat)
        total = np.zeros((len(unique), n_targets))
        count = np.zeros((len(unique), n_targets))
        np.add.at(total, position, np.where(finite, flat, 0.0))
        np.add.at(count, position, finite)
        with np.errstate(invalid="ignore"):
            ordered.values.append(total / np.where(count > 0, count, np.nan))
        ordered.frames.append(unique)
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
    earliest = np.array([onset[labels == label].min() for label in labels])
    return np.rint((onset - earliest) / step).astype(int)
