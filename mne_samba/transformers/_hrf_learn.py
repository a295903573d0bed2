"""What `LearnableHRF` does between reading its data and publishing its attributes."""

from __future__ import annotations

import numbers

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from mne.utils import logger, use_log_level, warn
from sklearn.utils import check_random_state

from .._checks import check_number, check_option, check_t_r
from .._regression import evidence_ridge
from ..data.power import whole_history
from ..hrf import HRF_PARAMS, check_bounds, convolve_frames, double_gamma
from ..hrf.compare import MEASURES
from ..hrf.deconvolution import autocovariance
from ..hrf.gamma import preset_of
from ..hrf.model import fit_model, make_model
from ..hrf.stats import Recording
from ._hrf_design import build_recordings


def check_params(est) -> None:
    """Refuse parameters that cannot be, before any data are read."""
    if est.t_r is not None:
        check_t_r(est.t_r)
    check_number(est.hrf_length, "hrf_length", low=0, low_open=True)
    check_option(est.hrf, "hrf", ("double_gamma", "fir", "canonical"))
    check_option(est.shrink_to, "shrink_to", ("group", "canonical"))
    check_bounds(est.hrf_bounds, "hrf_bounds")
    if isinstance(est.shrinkage, numbers.Real):
        check_number(est.shrinkage, "shrinkage", low=0, high=1)
    elif est.shrinkage not in ("auto", None):
        raise ValueError(f"shrinkage must be 'auto', 0 to 1 or None, got {est.shrinkage!r}.")
    check_number(est.n_bootstrap, "n_bootstrap", low=0, integer=True)
    check_number(est.confidence, "confidence", low=0, high=1, low_open=True)
    if est.sample_time_ref is not None:
        check_number(est.sample_time_ref, "sample_time_ref", low=0, high=1)


def _named(names, flags) -> str:
    listed = [name for name, flag in zip(names, flags, strict=True) if flag]
    return f"{listed[:8]}" + (f" and {len(listed) - 8} more" if len(listed) > 8 else "")


def learn(est, rec, bins, detrend):
    """Fit responses to the drives and BOLD of ``est``; keep what prediction needs."""
    grid = est._grid
    known = [whole_history(np.isnan(b).any(axis=0), grid) for b in bins]
    _check_usable(est, rec, known)
    stacked = np.concatenate(bins, axis=1)
    est.drive_mean_ = np.nanmean(stacked, axis=1)
    est.drive_scale_ = np.nanstd(stacked, axis=1)
    tiny = 1e-12 * np.maximum(np.abs(est.drive_mean_), 1e-300)
    zero_drive = est.drive_scale_ <= tiny
    safe = np.where(zero_drive, 1.0, est.drive_scale_)
    scaled = [
        np.nan_to_num((b - est.drive_mean_[:, None]) / safe[:, None]) * ~zero_drive[:, None]
        for b in bins
    ]
    recordings = build_recordings(rec, scaled, known, detrend)
    if not recordings:
        raise ValueError(
            "No recording has four frames to learn from: all are scrubbed or follow less than "
            f"{est.hrf_length:g} s of drive. Give a longer history or a shorter hrf_length."
        )
    mean, scale, recordings = _standardise(recordings)
    mapped = len(est.ch_names_in_) != rec.bold[0].shape[1]
    flat = scale == 0
    _warn_unusable(est, zero_drive, flat, mapped)
    lags = (np.arange(grid.n_lags) + 0.5) * grid.dt
    model = make_model(est.hrf, lags, est.hrf_bounds, est.shrinkage, est.shrink_to)
    with use_log_level(est.verbose):
        logger.info(
            "Fitting %s responses of %d regions to %d frames.",
            est.hrf, len(scale), sum(len(r.y) for r in recordings),
        )  # fmt: skip
    fitted, stats, weights = fit_model(model, recordings, grid.step, grid.dt, mapped=mapped)
    est._model, est._stats, est._fitted = model, stats, fitted
    silent = flat if mapped else flat | zero_drive
    amplitude = np.where(silent, 0.0, fitted.scale * scale)
    est.scale_ = amplitude / (1.0 if mapped else safe)
    est.coef_ = amplitude[:, None] * weights / safe if mapped else np.diag(est.scale_)
    area = fitted.kernels.sum(1) * grid.dt
    est.intercept_ = mean - area * (est.coef_ @ est.drive_mean_)
    est._y_mean, est._kernels = mean, fitted.kernels
    _keep_for_inverse(est, rec, scaled, scale, weights)
    return fitted


def _check_usable(est, rec, known) -> None:
    if not any(k.any() for k in known):
        longest = max(s.n_times for s in rec.segments) / rec.sfreq
        raise ValueError(
            f"No frame follows a whole response: hrf_length is {est.hrf_length:g} s, X lasts "
            f"{longest:g} s at most. Give windows with at least {est.hrf_length:g} s of history "
            "(make_windows(context=...); arrays: check sfreq, t_r, tmin) or a shorter hrf_length."
        )
    if rec.kind == "windows":
        lost = sum(int((~k).sum()) for k in known)
        total = sum(len(k) for k in known)
        if lost and not rec.segments[0].bad.size:
            warn(
                f"{lost} of {total} frames follow less than hrf_length={est.hrf_length:g} s of "
                "drive inside their window and are not learnt from: give windows more context."
            )


def _warn_unusable(est, zero_drive, flat, mapped) -> None:
    if zero_drive.all():
        raise ValueError("The drive is constant in all channels: there is nothing to respond to.")
    if flat.all():
        raise ValueError("BOLD is constant in all regions: there is no response to learn.")
    if zero_drive.any():
        what = "no weight" if mapped else "a flat prediction and the group's response"
        warn(f"Constant drive in {_named(est.ch_names_in_, zero_drive)}: {what}.")
    if flat.any():
        warn(
            f"Constant BOLD in regions {_named(est.target_names_in_, flat)}: flat prediction, "
            "response from the group."
        )


def _standardise(recordings):
    """Scale to unit variance per recording and region; mean and scale over recordings."""
    means, scales, out = [], [], []
    for r in recordings:
        clean = r.y - r.drift @ (r.drift.T @ r.y)
        scale = clean.std(axis=0)
        flat = scale <= 1e-10 * np.maximum(np.abs(r.y).max(axis=0), 1e-300)
        scale = np.where(flat, 0.0, scale)
        means.append(r.y.mean(axis=0))
        scales.append(scale)
        y = (r.y - means[-1]) / np.where(flat, 1.0, scale) * ~flat
        out.append(Recording(r.bins, r.rows, y, r.follows, r.drift))
    return np.mean(means, axis=0), np.mean(scales, axis=0), out


def _keep_for_inverse(est, rec, scaled, scale, weights) -> None:
    stats, fitted = est._stats, est._fitted
    _, cross, power, n_rows = stats.total()
    explained = fitted.scale * (fitted.coefs * cross).sum(1)
    est._noise = np.maximum(power - explained, 1e-6 * power + 1e-12) / n_rows * scale**2
    drives = scaled if weights is None else [weights @ b for b in scaled]
    est._acf = autocovariance(drives, 4 * est._grid.n_lags)
    # Amplitude of the standardised latent drive of each target.
    est._latent_scale = fitted.scale * scale
    est._weights = weights
    est._n_times = rec.segments[0].n_times


def learn_rows(est, rec) -> None:
    """Fit the map alone: rows are frames, the response is immediate."""
    X, y = rec.rows, rec.bold[0]
    center, mean = X.mean(axis=0), y.mean(axis=0)
    scale = X.std(axis=0)
    safe = np.where(scale > 0, scale, 1.0)
    Z, clean = (X - center) / safe, y - mean
    n = y.shape[1]
    gram = np.broadcast_to(Z.T @ Z, (n, Z.shape[1], Z.shape[1]))
    power, n_rows = (clean**2).sum(axis=0), np.full(n, float(len(y)))
    weights, _ = evidence_ridge(gram, clean.T @ Z, power, n_rows)
    est.coef_ = weights / safe
    est.scale_ = np.linalg.norm(est.coef_, axis=1)
    est.intercept_ = mean - est.coef_ @ center


def publish(est, fitted) -> None:
    """Set the fitted attributes that users read."""
    regions = pd.Index(est.target_names_in_, name="region")
    est.hrf_params_ = pd.DataFrame(fitted.params, columns=list(HRF_PARAMS), index=regions)
    spacing = 0.02 if preset_of(est.hrf_bounds) == "fast" else 0.1
    est.hrf_times_ = np.arange(0.0, est.hrf_length + 0.5 * spacing, spacing)
    if est.hrf == "fir":
        lags = np.concatenate([[0.0], est._model.lags])
        curves = np.concatenate([np.zeros((len(fitted.kernels), 1)), fitted.kernels], axis=1)
        est.hrf_ = np.stack([np.interp(est.hrf_times_, lags, curve) for curve in curves])
    else:
        est.hrf_ = double_gamma(est.hrf_times_, fitted.params)
    est.hrf_peak_time_ = fitted.summary["peak_time"]
    est.hrf_fwhm_ = fitted.summary["fwhm"]
    est.hrf_undershoot_ratio_ = fitted.summary["undershoot_ratio"]


def _replicate(model, fitted, stats, seed):
    rng = np.random.default_rng(seed)
    n = len(stats.n_rows)
    weights = np.bincount(rng.integers(0, n, n), minlength=n)
    summary = model.replicate(fitted, stats, weights, rng).summary
    return np.stack([summary[measure] for measure in MEASURES])


def replicates(est) -> None:
    """Bootstrap blocks of time and set ``hrf_intervals_``."""
    seeds = check_random_state(est.random_state).randint(0, 2**31 - 1, est.n_bootstrap)
    parallel, replicate = Parallel(n_jobs=est.n_jobs), delayed(_replicate)
    draws = np.stack(parallel(replicate(est._model, est._fitted, est._stats, s) for s in seeds))
    tail = 0.5 * (1 - est.confidence)
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    columns = {}
    for i, measure in enumerate(MEASURES):
        columns[f"{measure}_low"], columns[f"{measure}_high"] = low[i], high[i]
    est.hrf_intervals_ = pd.DataFrame(columns, index=est.hrf_params_.index)


def predict_bins(est, bins) -> np.ndarray:
    """Predict the frames of one segment from its binned drive: (n_frames, n_targets)."""
    drive = torch.as_tensor(est.coef_ @ np.nan_to_num(bins - est.drive_mean_[:, None]))
    bold = convolve_frames(drive, torch.as_tensor(est._kernels), est._grid.step, est._grid.dt)
    return bold.numpy().T + est._y_mean
