"""From BOLD back to drives, for `LearnableHRF`."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_array

from ..hrf import deconvolve
from ..reader import match_regions


def _unmap(weights, latent):
    """Drives whose weighted sums are the latent drives, by a regularised pseudo-inverse."""
    if weights is None:
        return latent
    gram = weights @ weights.T
    ridge = 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    return weights.T @ np.linalg.solve(gram + ridge, latent)


def check_t_r_of_fit(est, t_r: float) -> None:
    """Refuse another rate of frames: responses are kept at the bins of ``fit``."""
    if abs(t_r - est._grid.t_r) > 1e-9:
        raise ValueError(
            f"Responses are tied to the t_r that they were fitted on ({est._grid.t_r:g} s), got "
            f"t_r={t_r:g} s: fit again."
        )


def invert(est, X):
    """Estimate drives from BOLD; see `LearnableHRF.inverse_transform`."""
    if est._layout.kind == "table":
        X = check_array(X, ensure_2d=False)
        X = X[:, None] if X.ndim == 1 else X
        _check_width(est, X.shape[1])
        return _unmap(est.coef_, (X - est.intercept_).T).T
    if est.t_r is not None:
        check_t_r_of_fit(est, est.t_r)
    rec = est._reader().read_bold(X, may_lack=False)
    rec = match_regions(rec, est._layout)
    return rec.as_given([_invert_segment(est, v, rec.kind == "windows") for v in rec.bold])


def _check_width(est, width) -> None:
    if width != len(est.target_names_in_):
        raise ValueError(
            f"X has {width} regions, but the estimator was fitted on {len(est.target_names_in_)}."
        )


def _invert_segment(est, value, windows) -> np.ndarray:
    # A scrubbed frame carries no news: the line between its neighbours.
    frames = np.arange(len(value))
    good = np.isfinite(value).all(axis=1)
    if not good.any():
        raise ValueError("X has a window or recording in which every frame is scrubbed.")
    filled = np.stack([np.interp(frames, frames[good], v[good]) for v in value.T])
    latent = deconvolve(
        filled - est._y_mean[:, None], est._kernels, est._latent_scale, est._noise,
        est._stats.ar, est._acf, est._grid.step, est._grid.dt,
    )  # fmt: skip
    drive = _unmap(est._weights, latent)
    drive = est.drive_mean_[:, None] + est.drive_scale_[:, None] * drive
    start = est._layout.window_start
    centres = start + est._grid.dt * (np.arange(drive.shape[1]) - est._grid.n_lags + 0.5)
    stop = start + (len(value) - 1) * est._layout.t_r
    n_times = est._n_times if windows else int(np.ceil(stop * est._layout.sfreq - 1e-6))
    times = (np.arange(max(n_times, 1)) + est._sample_ref) / est._layout.sfreq
    return np.stack([np.interp(times, centres, d) for d in drive])
