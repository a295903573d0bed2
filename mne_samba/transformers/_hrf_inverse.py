"""From BOLD back to drives, for `LearnableHRF`."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_array

from .._data.hemo import read_hemo
from ..nn._hrf_deconvolve import deconvolve


def _unmap(weights, latent):
    """Drives whose weighted sums are the latent drives, by a regularised pseudo-inverse."""
    if weights is None:
        return latent
    gram = weights @ weights.T
    ridge = 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    return weights.T @ np.linalg.solve(gram + ridge, latent)


def check_t_r_of_fit(est) -> None:
    """Refuse another rate of frames: responses are kept at the bins of ``fit``."""
    if abs(float(est.t_r) - est.step_ * est.dt_) > 1e-9:
        raise ValueError(
            f"Responses are tied to the t_r that they were fitted on ({est.step_ * est.dt_:g} s), "
            f"got t_r={est.t_r:g} s: fit again."
        )


def invert(est, X):
    """Estimate drives from BOLD; see `LearnableHRF.inverse_transform`."""
    if est.kind_ == "features":
        X = check_array(X, ensure_2d=False)
        X = X[:, None] if X.ndim == 1 else X
        _check_width(est, X.shape[1])
        mean = est.intercept_
        return _unmap(est.coef_, (X - mean).T).T
    check_t_r_of_fit(est)
    single = not isinstance(X, (list, tuple)) and np.ndim(X) == 2
    windows = not isinstance(X, (list, tuple)) and np.ndim(X) == 3
    n = 1 if single else len(X)
    hemo = read_hemo(X, "windows" if windows else "recordings", n, single=single, name="X")
    _check_width(est, hemo.values[0].shape[1])
    drives = [_invert_segment(est, value, windows) for value in hemo.values]
    if windows:
        return np.stack(drives)
    return drives[0] if single else drives


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
        est._stats.ar, est._acf, est.step_, est.dt_,
    )  # fmt: skip
    drive = _unmap(est._weights, latent)
    drive = est.drive_mean_[:, None] + est.drive_scale_[:, None] * drive
    start = est.window_start_
    centres = start + est.dt_ * (np.arange(drive.shape[1]) - est.n_lags_ + 0.5)
    stop = start + (len(value) - 1) * float(est.t_r)
    n_times = est._n_times if windows and est._n_times else int(np.ceil(stop * est.sfreq_ - 1e-6))
    times = (np.arange(max(n_times, 1)) + float(est.sample_time_ref)) / est.sfreq_
    return np.stack([np.interp(times, centres, d) for d in drive])
