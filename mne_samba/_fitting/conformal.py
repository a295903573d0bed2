"""Blocked conformal intervals: quantiles of residuals on frames that were not trained on."""

from collections.abc import Sequence

import numpy as np


def _stack(residuals: Sequence) -> np.ndarray:
    parts = [np.asarray(part, float) for part in residuals]
    parts = [part.reshape(-1, part.shape[-1]) for part in parts]
    if not parts or len({part.shape[1] for part in parts}) > 1:
        raise ValueError("residuals must be a list of (n_frames, n_targets) with equal targets.")
    return np.concatenate(parts)


def check_coverage(coverage) -> float:
    """Refuse what is not a share strictly between 0 and 1.

    Parameters
    ----------
    coverage : float
        Wanted coverage.

    Returns
    -------
    coverage : float
        The same.

    Raises
    ------
    ValueError
        If it is not between 0 and 1.
    """
    if isinstance(coverage, bool | str) or not 0 < coverage < 1:
        raise ValueError(f"coverage must be a share between 0 and 1, got {coverage!r}.")
    return float(coverage)


def conformal_quantile(residuals: Sequence, coverage: float = 0.9, std=None) -> np.ndarray:
    r"""Half-width of intervals that hold a share of unseen frames, per target.

    The :math:`\lceil (n + 1) \cdot coverage \rceil`-th smallest absolute residual (split conformal
    prediction, Lei et al. 2018). With autocorrelated frames the coverage is approximate; residuals
    of whole blocks keep it close, residuals of interleaved frames do not.

    Parameters
    ----------
    residuals : list of array, each (n_frames, n_targets)
        Measured minus predicted, on frames that the prediction was not trained on. NaN is ignored.
    coverage : float
        Wanted share of frames inside.
    std : list of array like ``residuals`` | None
        Predicted standard deviations: the quantile is then in units of them, and intervals are
        wider where the model knows less.

    Returns
    -------
    half_width : ndarray of shape (n_targets,)
        Infinite where there are too few residuals for the coverage.

    Raises
    ------
    ValueError
        If coverage is not between 0 and 1.
    """
    check_coverage(coverage)
    values = np.abs(_stack(residuals))
    if std is not None:
        values = values / np.maximum(_stack(std), np.finfo(float).tiny)
    half = np.full(values.shape[1], np.inf)
    for target, column in enumerate(values.T):
        ordered = np.sort(column[np.isfinite(column)])
        rank = int(np.ceil((len(ordered) + 1) * coverage))
        if len(ordered) and rank <= len(ordered):
            half[target] = ordered[rank - 1]
    return half


def residual_std(residuals: Sequence) -> np.ndarray:
    """Root mean square of residuals on unseen frames, per target.

    Parameters
    ----------
    residuals : list of array, each (n_frames, n_targets)
        Measured minus predicted; NaN is ignored.

    Returns
    -------
    std : ndarray of shape (n_targets,)
        Standard deviation that a prediction misses by.
    """
    return np.sqrt(np.nanmean(_stack(residuals) ** 2, axis=0))


def interval_coverage(y, low, high) -> np.ndarray:
    """Share of measured frames inside their interval, per target.

    Parameters
    ----------
    y, low, high : array of shape (..., n_targets)
        Measured frames and the bounds; frames with NaN are ignored.

    Returns
    -------
    coverage : ndarray of shape (n_targets,)
        Share between 0 and 1.
    """
    y, low, high = (np.asarray(part, float) for part in (y, low, high))
    y, low, high = (part.reshape(-1, part.shape[-1]) for part in (y, low, high))
    inside = np.where(np.isnan(y), np.nan, ((y >= low) & (y <= high)).astype(float))
    return np.nanmean(inside, axis=0)
