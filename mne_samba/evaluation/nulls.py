"""Null distributions by circular shifts, corrected p values, statistics over people."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import linalg, stats

from .._shifts import cluster_size, draw_shifts, max_statistic_p, p_value
from .._sign_flips import exchange_p, flipped_t, sign_flips
from ..metrics import METRICS

__all__ = [
    "circular_shift_null", "cluster_size", "draw_shifts", "fdr", "max_statistic_p", "mean_interval",
    "p_value", "sign_flip_p",
]  # fmt: skip

# Bytes of rolled recordings that are scored at once.
_BLOCK_BYTES = 1 << 24


def _rolled_scores(y, pred, shifts, metric, removed) -> np.ndarray:
    """Score of every shift of a complete recording at once, by cross-correlation."""
    if metric == "spearman":
        y, pred = stats.rankdata(y, axis=0), stats.rankdata(pred, axis=0)
    y, pred = y - y.mean(axis=0), pred - pred.mean(axis=0)
    n, spectrum = len(y), np.conj(np.fft.rfft(y, axis=0))
    every = np.fft.irfft(spectrum * np.fft.rfft(pred, axis=0), n, axis=0)[shifts % n]
    energy = np.broadcast_to((y**2).sum(axis=0), every.shape).copy()
    if removed is not None:
        # Of a rolled series, what was removed from both is to be removed again.
        for term in linalg.orth(removed - np.mean(removed, axis=0)).T:
            part = np.fft.irfft(spectrum * np.fft.rfft(term)[:, np.newaxis], n, axis=0)
            energy -= part[shifts % n] ** 2
    length = np.sqrt(np.maximum(energy, 0.0)) * np.linalg.norm(pred, axis=0)
    constant = length <= 1e-12 * n
    return np.where(constant, 0.0, every / np.where(constant, 1.0, length))


def circular_shift_null(
    y: np.ndarray,
    pred: np.ndarray,
    shifts: np.ndarray,
    metric: str | Callable = "spearman",
    rows: np.ndarray | None = None,
    clean: Callable | None = None,
    removed: np.ndarray | None = None,
) -> np.ndarray:
    """Score predictions against the measured recording rolled in time, all targets together.

    Rolling keeps the autocorrelation of each target and the correlation between targets, and breaks
    the pairing with the prediction. Remove drift from both before: a series with drift is not the
    same process after rolling. A rolled series has drift again, if less: where it is not removed
    once more, null scores of short recordings are too low (p < .05 for 6 % of unrelated series).

    Parameters
    ----------
    y : array of shape (n_frames, n_targets)
        Measured recording, detrended; NaN rows are scrubbed or missing frames.
    pred : array of shape (n_rows, n_targets)
        Predictions for ``rows`` of the recording.
    shifts : array of int, shape (n_shifts,)
        Frames to roll ``y`` by (see :func:`draw_shifts`).
    metric : "spearman" | "pearson" | "r2" | callable
        Score per target of ``(y, pred)``.
    rows : array of int, shape (n_rows,) | None
        Frames that were predicted. Default: all.
    clean : callable | None
        Applied to rolled rows (n_rows, n_columns), the targets of one or more shifts side by side:
        what was done to ``pred``, such as removing the drift of a part of the recording.
    removed : array of shape (n_frames, n_terms) | None
        Drift that was removed from both: instead of ``clean``, for correlations over complete
        recordings, whose shifts are then scored all at once.

    Returns
    -------
    null : ndarray of shape (n_shifts, n_targets)
        Score of each shift.
    """
    y, pred, shifts = np.asarray(y, float), np.asarray(pred, float), np.asarray(shifts, int)
    rows = np.arange(len(y)) if rows is None else np.asarray(rows, int)
    complete = len(rows) == len(y) and np.isfinite(y).all() and np.isfinite(pred).all()
    if complete and metric in ("spearman", "pearson"):
        return _rolled_scores(y, pred, shifts, metric, removed)
    there = ~np.isnan(y).all(axis=0)
    if there.any() and not there.all():
        # Regions that the recording lacks must not take the others' fast way.
        null = np.full((len(shifts), y.shape[1]), np.nan)
        null[:, there] = circular_shift_null(
            y[:, there], pred[:, there], shifts, metric, rows, clean, removed
        )
        return null
    score = METRICS[metric] if isinstance(metric, str) else metric
    # Shifts of a recording without gaps are columns like any others: many are scored at once.
    at_once = _BLOCK_BYTES // max(1, 8 * pred.size) if isinstance(metric, str) else 1
    at_once = max(1, at_once) if np.isfinite(y).all() else 1
    null = []
    for first in range(0, len(shifts), at_once):
        some = shifts[first : first + at_once]
        rolled = y[(rows[:, np.newaxis] - some) % len(y)].reshape(len(rows), -1)
        if clean is not None:
            rolled = clean(rolled)
        null.append(score(rolled, np.tile(pred, len(some))).reshape(len(some), -1))
    return np.concatenate(null)


def fdr(p) -> np.ndarray:
    """Benjamini-Hochberg adjusted p values.

    Parameters
    ----------
    p : array of shape (n_targets,)
        Uncorrected p values.

    Returns
    -------
    adjusted : ndarray of shape (n_targets,)
        Adjusted p values (q values).
    """
    return stats.false_discovery_control(np.asarray(p, float), method="bh")


def corrected(observed: np.ndarray, null: np.ndarray, clustered: bool) -> dict[str, np.ndarray]:
    """P values (n_targets,) under shifts (n_shifts, n_targets); ``clustered``: neighbours alike."""
    cluster = cluster_size(null) if clustered else 1.0
    p = p_value(observed, null, cluster)
    return {
        "p": p, "p_max": max_statistic_p(observed, null, clustered), "p_fdr": fdr(p),
        "p_floor": p_value(np.inf, null, cluster),
    }  # fmt: skip


def sign_flip_p(values: Sequence[float], n_flips: int = 10_000, random_state: int = 0) -> float:
    """Two-sided p value that the mean over people is zero, by flipping signs.

    Parameters
    ----------
    values : array of shape (n_people,)
        One value per person (score, or difference of scores).
    n_flips : int
        Random flips, where there are too many to go through all of them.
    random_state : int
        Seed of the random flips.

    Returns
    -------
    p : float
        P value; exact where ``2 ** n_people <= n_flips``.
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)][:, np.newaxis]
    if len(values) < 2:
        return 1.0 if len(values) else float("nan")
    signs = sign_flips(len(values), n_flips, np.random.default_rng(random_state))
    t = np.abs(flipped_t(signs, values))
    return float(exchange_p(t[0], t).item())


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean with its confidence interval by Student's t.

    Parameters
    ----------
    values : array of shape (n,)
        One value per person, seed or fold.
    level : float
        Coverage of the interval.

    Returns
    -------
    mean, low, high : float
        The interval is NaN for fewer than two values.
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return (float("nan"),) * 3
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * stats.sem(values)
    return mean, float(mean - half), float(mean + half)
