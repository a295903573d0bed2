"""Circular shifts of recordings in time: draws, and p values of what they give."""

import math

import numpy as np
from numpy.typing import ArrayLike


def draw_shifts(n_frames, n_shifts: int, min_shift, rng: np.random.Generator) -> np.ndarray:
    """Draw different circular shifts at least ``min_shift`` frames away from zero, both ways round.

    Parameters
    ----------
    n_frames : int | sequence of int, shape (n_recordings,)
        Frames of the recording, or of recordings that are shifted together.
    n_shifts : int
        How many are wanted.
    min_shift : int | sequence of int, shape (n_recordings,)
        Least distance from zero in frames.
    rng : Generator
        Source of randomness.

    Returns
    -------
    shifts : ndarray of int, shape (n_draws,) or (n_draws, n_recordings)
        Frames to roll by, between ``min_shift`` and ``n_frames - min_shift``. No draw occurs twice:
        where there are fewer than ``n_shifts`` different ones, all of them are returned. Those of
        one recording are sorted, so that neighbours can be told (:func:`cluster_size`).

    Raises
    ------
    ValueError
        If a recording is too short to be shifted that far.
    """
    frames, least = np.broadcast_arrays(np.atleast_1d(n_frames), np.atleast_1d(min_shift))
    possible = [int(n) for n in frames - 2 * least + 1]
    if min(possible) < 1 or least.min() < 1:
        worst = int(np.argmin(possible))
        raise ValueError(
            f"A recording of {frames[worst]} frames cannot be shifted by at least {least[worst]} "
            "frames both ways. Use longer recordings, or nulls without 'circular_shift'."
        )
    n_different = math.prod(possible)
    if n_different < 2**60:
        drawn = np.sort(rng.choice(n_different, min(n_shifts, n_different), replace=False))
        shifts = np.stack(np.unravel_index(drawn, possible), axis=1)
    else:  # so many that no draw comes twice
        shifts = rng.integers(possible, size=(n_shifts, len(possible)))
    shifts = shifts + least
    return shifts if np.ndim(n_frames) else shifts[:, 0]


def cluster_size(null) -> np.ndarray:
    """How many draws of neighbouring shifts amount to one independent draw.

    Shifts of one recording a few frames apart give nearly the same score, so its high null scores
    come in clusters. Mean length of the runs above the 90th percentile, over what it is by chance.

    Parameters
    ----------
    null : array of shape (n_shifts, n_targets)
        Null scores in order of the shift.

    Returns
    -------
    size : ndarray of shape (n_targets,)
        At least 1.
    """
    null = np.asarray(null, float)
    high = null >= np.nanquantile(null, 0.9, axis=0)
    n_runs = (high[1:] & ~high[:-1]).sum(axis=0) + high[0]
    return np.maximum(1.0, 0.9 * high.sum(axis=0) / np.maximum(n_runs, 1))


def p_value(observed, null, cluster: ArrayLike = 1.0) -> np.ndarray:
    r"""One-sided p values, :math:`(c + \#\{null \ge observed\}) / (c + n)`.

    The observed score counts as one independent draw, which is ``c`` draws where these come in
    clusters; counting it once makes too many false positives (0.058 to 0.067 instead of 0.05 for
    15 minutes of BOLD-like series).

    Parameters
    ----------
    observed : array of shape (n_targets,) or float
        Scores of the real pairing.
    null : array of shape (n_draws, n_targets) or (n_draws,)
        Scores of the same targets where the pairing is destroyed.
    cluster : array of shape (n_targets,) or float
        :func:`cluster_size` where all draws roll one recording, 1 for independent draws.

    Returns
    -------
    p : ndarray of shape (n_targets,) or float
        P values; NaN scores have p = 1.
    """
    null = np.asarray(null, float)
    # Comparing with NaN is False, which is the conservative side only for `<`.
    exceeded = (~(null < np.asarray(observed, float))).sum(axis=0)
    return (cluster + exceeded) / (cluster + len(null))


def max_statistic_p(observed, null, clustered: bool = False) -> np.ndarray:
    """P values corrected over targets by the maximum of each draw (family-wise error).

    Parameters
    ----------
    observed : array of shape (n_targets,)
        Scores of the real pairing.
    null : array of shape (n_draws, n_targets)
        Null scores, all targets of a draw from the same shift.
    clustered : bool
        The draws are neighbouring shifts of one recording, in order.

    Returns
    -------
    p : ndarray of shape (n_targets,)
        Corrected p values (Nichols and Holmes 2002).
    """
    null = np.asarray(null, float)
    maximum = np.where(np.isnan(null), -np.inf, null).max(axis=1)[:, np.newaxis]
    return p_value(observed, maximum, cluster_size(maximum) if clustered else 1.0)
