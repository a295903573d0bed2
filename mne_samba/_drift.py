"""Slow drift of BOLD: its bases, and what is left after they are projected out.

Time comes before targets, ``(n_frames, n_targets)``; rows of NaN are scrubbed frames.
"""

from functools import lru_cache

import numpy as np


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
    t_r, method, high_pass : object
        As in `detrend`.

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
    order = 1 if isinstance(method, str) and method == "linear" else method
    if isinstance(order, int | np.integer) and not isinstance(order, bool):
        return polynomial_drift(n_frames, int(order))
    raise ValueError(
        f"detrend must be 'cosine', 'linear', a polynomial order (int) or None, got {method!r}."
    )


def detrend(
    y, t_r: float | None, method: str | int | None = "cosine", high_pass: float = 1 / 128,
    frames=None, mask=None,
) -> np.ndarray:  # fmt: skip
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
    place = np.arange(len(y)) if frames is None else np.asarray(frames, dtype=int)
    if place.shape != (len(y),):
        raise ValueError(f"frames must have shape ({len(y)},), one per row, got {place.shape}.")
    if not len(y):
        return y
    place = place - place.min()
    n_frames = int(place.max()) + 1
    cosine = isinstance(method, str) and method == "cosine"
    basis = (_shared_cosines if cosine else drift_basis)(n_frames, t_r, method, high_pass)
    basis = basis if frames is None else basis[place]
    # Cosines of a whole recording are orthonormal.
    whole = cosine and len(basis) == n_frames
    left = project_out(y, basis, mask, f"drift terms (detrend={method!r})", whole)
    return left[:, 0] if one_dimensional else left


# Blocks of targets ask for one basis in turn; it is not to be changed.
_shared_cosines = lru_cache(maxsize=1)(drift_basis)


def _least_squares(basis: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Coefficients (n_terms, n_targets), by the normal equations where they are well posed."""
    gram = basis.T @ basis
    values = np.linalg.eigvalsh(gram)
    if values[0] > 1e-6 * values[-1]:
        return np.linalg.solve(gram, basis.T @ part)
    return np.linalg.lstsq(basis, part, rcond=None)[0]


def project_out(
    y, basis, mask=None, what: str = "regressors", orthonormal: bool = False
) -> np.ndarray:
    """Residuals of time courses after least squares on the frames without NaN.

    Parameters
    ----------
    y, mask : object
        As in `detrend`.
    basis : array of shape (n_frames, n_terms)
        What to remove.
    what : str
        What the terms are, for the error.
    orthonormal : bool
        Whether the terms are orthonormal over all frames.

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
    if (valid == valid[:, :1]).all():
        patterns, members = valid[:, :1], np.zeros(y.shape[1], dtype=int)
    else:
        patterns, members = np.unique(valid, axis=1, return_inverse=True)
    for index, pattern in enumerate(patterns.T):
        columns = np.flatnonzero(members.ravel() == index) if members.any() else slice(None)
        n_valid = int(pattern.sum())
        if n_valid == 0:
            continue
        if n_valid <= basis.shape[1]:
            raise ValueError(
                f"{n_valid} valid frames are not enough to remove {basis.shape[1]} {what}. "
                "Use longer recordings or fewer terms, for instance detrend='linear'."
            )
        some, whole = y[:, columns], pattern.all()
        part = some if whole else some[pattern]
        easy = orthonormal and whole
        weights = basis.T @ part if easy else _least_squares(basis[pattern], part)
        left = some - basis @ weights
        # A pure drift must come out constant: correlating its rounding would give noise.
        rounding = 1e3 * np.finfo(float).eps * np.abs(part).max(axis=0)
        y[:, columns] = left * (np.abs(left) > rounding)
    return y


def low_passed(values: np.ndarray, t_r: float, lowpass: float, order: int = 5) -> np.ndarray:
    """Low-pass time courses (n_frames, n_targets) both ways, without mean; NaN rows are bridged."""
    from scipy.signal import butter, sosfiltfilt  # takes long to load

    out, rows = np.full(values.shape, np.nan), np.flatnonzero(np.isfinite(values).all(axis=1))
    if not len(rows):
        return out
    place = np.arange(rows[0], rows[-1] + 1)
    whole = np.stack([np.interp(place, rows, column) for column in values[rows].T], axis=1)
    if lowpass * t_r < 0.5:
        sos = butter(order, lowpass, fs=1.0 / t_r, output="sos")
        whole = sosfiltfilt(sos, whole, axis=0, padlen=min(3 * (order + 1), len(whole) - 1))
    out[rows] = whole[rows - rows[0]]
    return out - out[rows].mean(axis=0)
