"""What `LearnableHRF` does between reading its data and publishing its attributes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import compress

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from mne.utils import logger, warn

from .._checks import listed
from .._regression import evidence_ridge
from ..core.robust import FrameWeights, fit_robustly
from ..data.power import LowRateGrid, whole_history
from ..data.recordings import Recordings
from ..hrf import HRF_PARAMS, double_gamma, fit_double_gamma
from ..hrf.compare import MEASURES
from ..hrf.deconvolution import autocovariance
from ..hrf.gamma import at_bounds, preset_of
from ..hrf.model import FittedResponses, fit_model, make_model, predict_rows
from ..hrf.stats import Recording, ResponseStats, convolved, without_drift
from ._hrf_choice import choose_family, held_out_parts, own_of, robust_is_better
from ._hrf_design import build_recordings


@dataclass(frozen=True)
class HRFOptions:
    """Parameters of `LearnableHRF` that say what is fitted."""

    hrf: str
    hrf_length: float
    hrf_bounds: object
    shrinkage: object
    shrink_to: str
    loss: str


@dataclass(frozen=True, eq=False)
class FittedHRF:
    """Fitted responses, and what their fit learnt about the data."""

    names: tuple[list[str], list[str]]  # of drives and of regions
    family: str
    grid: LowRateGrid
    n_times: int  # samples of a window of drive
    drive_mean: np.ndarray  # (n_drives,)
    drive_scale: np.ndarray  # (n_drives,)
    scale: np.ndarray  # (n_targets,), amplitudes in the unit of BOLD
    coef: np.ndarray  # (n_targets, n_drives)
    intercept: np.ndarray  # (n_targets,)
    y_mean: np.ndarray  # (n_targets,)
    responses: FittedResponses
    model: object  # of the family
    stats: ResponseStats  # that responses come from
    map: np.ndarray | None  # (n_targets, n_drives), rows of unit length; None: drives in pairs
    noise: np.ndarray  # (n_targets,), variance of innovations
    latent_scale: np.ndarray  # (n_targets,), amplitude of the standardised latent drive
    acf: np.ndarray  # autocovariance of the latent drives per bin
    own: np.ndarray | None  # (n_targets, n_drives, n_lags), of single drives; added
    free: np.ndarray | None  # (n_targets, n_lags), beside parameters that are at a bound
    held_back: np.ndarray  # (n_targets,), whether they are
    frame_weights: list[np.ndarray] | None  # (n_frames, n_targets) of every recording

    def predict(self, bins: np.ndarray) -> np.ndarray:
        """Frames (n_frames, n_targets) of one segment from its binned drive."""
        drive = np.nan_to_num(bins - self.drive_mean[:, None])
        kernels, grid = self.responses.kernels, self.grid
        return convolved(drive, self.coef, kernels, self.own, grid.step, grid.dt).T + self.y_mean

    def describe(self, hrf_length: float) -> dict:
        """Give the fitted attributes that users read."""
        bounds = getattr(self.model, "bounds", "human")
        spacing = 0.02 if preset_of(bounds) == "fast" else 0.1
        times = np.arange(0.0, hrf_length + 0.5 * spacing, spacing)
        regions, summary = pd.Index(self.names[1], name="region"), self.responses.summary
        params = self.responses.params
        hrf = double_gamma(times, params)
        if self.family == "fir":
            hrf = self._at(times, self.responses.kernels)
        own = None
        if self.own is not None:
            own = self.coef[..., None] * hrf[:, None] + self._at(times, self.own)
        return {
            "hrf_family_": self.family,
            "hrf_params_": pd.DataFrame(params, columns=list(HRF_PARAMS), index=regions),
            "hrf_times_": times,
            "hrf_": hrf,
            "hrf_peak_time_": summary["peak_time"],
            "hrf_fwhm_": summary["fwhm"],
            "hrf_undershoot_ratio_": summary["undershoot_ratio"],
            "hrf_at_bounds_": self.held_back,
            "hrf_free_": None if self.free is None else self._at(times, self.free),
            "drive_hrf_": own,
            "frame_weights_": self.frame_weights,
        }

    def _at(self, times, kernels) -> np.ndarray:
        """Courses (..., n_lags) at other times (..., n_times); 0 at the event."""
        lags = (np.arange(self.grid.n_lags) + 0.5) * self.grid.dt
        flat = kernels.reshape(-1, kernels.shape[-1])
        rows = [np.interp(times, np.append(0.0, lags), np.append(0.0, row)) for row in flat]
        return np.stack(rows).reshape(*kernels.shape[:-1], len(times))


@dataclass(frozen=True, eq=False)
class _Found:
    """Responses of one family, fitted to standardised drives and BOLD."""

    family: str
    model: object
    responses: FittedResponses
    stats: ResponseStats
    map: np.ndarray | None  # (n_targets, n_drives); None: drives in pairs
    own: np.ndarray | None  # (n_targets, n_drives, n_lags)
    frame_weights: FrameWeights | None


def learn(
    rec: Recordings, bins: list[np.ndarray], grid: LowRateGrid, detrend, options: HRFOptions
) -> FittedHRF:
    """Fit responses to BOLD and to binned drives (n_drives, n_bins) of segments."""
    known = [whole_history(np.isnan(b).any(axis=0), grid) for b in bins]
    _check_usable(rec, known, options.hrf_length)
    stacked = np.concatenate(bins, axis=1)
    drive_mean, drive_scale = np.nanmean(stacked, axis=1), np.nanstd(stacked, axis=1)
    zero_drive = drive_scale <= 1e-12 * np.maximum(np.abs(drive_mean), 1e-300)
    safe = np.where(zero_drive, 1.0, drive_scale)
    scaled = [
        np.nan_to_num((b - drive_mean[:, None]) / safe[:, None]) * ~zero_drive[:, None]
        for b in bins
    ]
    recordings = build_recordings(rec, scaled, known, detrend)
    if not recordings:
        raise ValueError(
            "No recording has four frames to learn from: all are scrubbed or follow less than "
            f"{options.hrf_length:g} s of drive. Give a longer history or a shorter hrf_length."
        )
    mean, scale, recordings = _standardise(recordings)
    paired = len(rec.ch_names) == rec.bold[0].shape[1]
    flat = scale == 0
    _warn_unusable(rec, zero_drive, flat, not paired)
    lags = (np.arange(grid.n_lags) + 0.5) * grid.dt
    found, held_back, free = _fit_family(recordings, lags, grid, options, paired, flat, rec)
    responses, weights, own = found.responses, found.map, found.own
    silent = flat | zero_drive if paired else flat
    amplitude = np.where(silent, 0.0, responses.scale * scale)
    per_drive = amplitude / safe if paired else amplitude
    coef = np.diag(per_drive) if paired else amplitude[:, None] * weights / safe
    if own is not None:
        own = own * scale[:, None, None] / safe[:, None]
    area = coef * responses.kernels.sum(axis=1)[:, None]
    area = grid.dt * (area if own is None else area + own.sum(axis=2))
    _, cross, power, n_rows = found.stats.total()
    explained = responses.scale * (responses.coefs * cross).sum(1)
    drives = scaled if weights is None else [weights @ b for b in scaled]
    return FittedHRF(
        names=(list(rec.ch_names), list(rec.target_names)), family=found.family, grid=grid,
        n_times=rec.segments[0].n_times, drive_mean=drive_mean, drive_scale=drive_scale,
        scale=per_drive, coef=coef, intercept=mean - area @ drive_mean, y_mean=mean,
        responses=responses, model=found.model, stats=found.stats, map=weights,
        noise=np.maximum(power - explained, 1e-6 * power + 1e-12) / n_rows * scale**2,
        latent_scale=responses.scale * scale, acf=autocovariance(drives, 4 * grid.n_lags),
        own=own, free=free, held_back=held_back,
        frame_weights=_by_frame(recordings, found.frame_weights),
    )  # fmt: skip


def _fit_family(recordings, lags, grid, options: HRFOptions, paired: bool, flat, rec):
    """Fit the family asked for or suited, whether at bounds (n_targets,), and free responses."""
    # Only six parameters are shrunk: who says how asks for them.
    chosen = options.hrf == "auto" and (options.shrinkage, options.shrink_to) == ("auto", "group")
    family, with_own = "double_gamma" if options.hrf == "auto" else options.hrf, False
    if chosen:
        family, with_own = choose_family(recordings, lags, options, grid, paired)
    logger.info(
        "Fitting %s responses of %d regions to %d frames.",
        family, len(flat), sum(len(r.y) for r in recordings),
    )  # fmt: skip
    fit = partial(_fit, recordings, lags, grid, options, paired, with_own)
    found, free, held_back = fit(family), None, np.zeros(len(flat), bool)
    if family == "double_gamma":
        held_back = at_bounds(found.responses.params, options.hrf_bounds) & ~flat
    if held_back.any():
        logger.warning(
            "Responses of regions %s are held back by a bound of their parameters: compare them "
            "with hrf_free_, or set hrf_bounds.", listed(compress(rec.target_names, held_back)),
        )  # fmt: skip
        anyway = fit("fir")
        free = anyway.responses.kernels
        if chosen and held_back.mean() >= 0.5:
            logger.warning("Most of them are: responses are free.")
            found, free = anyway, None
    if found.family == "fir":
        nearest, _ = fit_double_gamma(lags, found.responses.kernels, options.hrf_bounds)
        found = replace(found, responses=replace(found.responses, params=nearest))
    return found, held_back, free


def _fit(recordings, lags, grid, options: HRFOptions, paired, with_own, family: str) -> _Found:
    """Fit one family to standardised recordings, by squares or robustly."""
    # ``paired``: every drive belongs to one region; ``with_own``: drives have own responses, too.
    model = make_model(family, lags, options.hrf_bounds, options.shrinkage, options.shrink_to)

    def by_squares(recordings, targets):
        clean = [replace(r, y=y) for r, y in zip(recordings, targets, strict=True)]
        responses, stats, weights = fit_model(model, clean, grid.step, grid.dt, mapped=not paired)
        amplitudes = np.eye(len(responses.scale)) if paired else weights
        given = amplitudes * responses.scale[:, None], responses.kernels
        own = own_of(clean, *given, lags, options, grid) if with_own else None
        predicted = [predict_rows(r, *given, own, grid.step, grid.dt).T for r in clean]
        return (responses, stats, weights, own, given[0]), predicted

    def better(*_):
        parts = held_out_parts(recordings, grid)
        return not parts or robust_is_better(by_squares, recordings, parts, grid)

    measured = [without_drift(r).T for r in recordings]
    found = fit_robustly(partial(by_squares, recordings), measured, options.loss, better)
    (responses, stats, weights, own, _), frame_weights = found
    return _Found(family, model, responses, stats, weights, own, frame_weights)


def _by_frame(recordings: list[Recording], weights: FrameWeights | None):
    """Weights (n_frames, n_targets) of recordings; NaN where a frame was not used."""
    if weights is None:
        return None
    out = []
    for recording, rows in zip(recordings, weights.by_segment(), strict=True):
        full = np.full((recording.frames.max() + 1, rows.shape[1]), np.nan)
        full[recording.frames] = rows
        out.append(full)
    return out


def _check_usable(rec: Recordings, known, hrf_length: float) -> None:
    if not any(k.any() for k in known):
        longest = max(s.n_times for s in rec.segments) / rec.sfreq
        raise ValueError(
            f"No frame follows a whole response: hrf_length is {hrf_length:g} s, X lasts "
            f"{longest:g} s at most. Give windows with at least {hrf_length:g} s of history "
            "(make_windows(context=...); arrays: check sfreq, t_r, tmin) or a shorter hrf_length."
        )
    if rec.kind == "windows":
        lost = sum(int((~k).sum()) for k in known)
        total = sum(len(k) for k in known)
        if lost and not rec.segments[0].bad.size:
            warn(
                f"{lost} of {total} frames follow less than hrf_length={hrf_length:g} s of "
                "drive inside their window and are not learnt from: give windows more context."
            )


def _warn_unusable(rec: Recordings, zero_drive, flat, mapped) -> None:
    if zero_drive.all():
        raise ValueError("The drive is constant in all channels: there is nothing to respond to.")
    if flat.all():
        raise ValueError("BOLD is constant in all regions: there is no response to learn.")
    if zero_drive.any():
        what = "no weight" if mapped else "a flat prediction and the group's response"
        warn(f"Constant drive in {listed(compress(rec.ch_names, zero_drive))}: {what}.")
    if flat.any():
        names = listed(compress(rec.target_names, flat))
        warn(f"Constant BOLD in regions {names}: flat prediction, response from the group.")


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
        out.append(replace(r, y=(r.y - means[-1]) / np.where(flat, 1.0, scale) * ~flat))
    return np.mean(means, axis=0), np.mean(scales, axis=0), out


def learn_rows(rec: Recordings) -> tuple[np.ndarray, np.ndarray]:
    """Fit the map alone, of rows as frames: (n_targets, n_drives) and intercepts (n_targets,)."""
    X, y = rec.rows, rec.bold[0]
    center, mean = X.mean(axis=0), y.mean(axis=0)
    scale = X.std(axis=0)
    safe = np.where(scale > 0, scale, 1.0)
    Z, clean = (X - center) / safe, y - mean
    power, n_rows = (clean**2).sum(axis=0), np.full(y.shape[1], float(len(y)))
    weights, *_ = evidence_ridge((Z.T @ Z)[None], clean.T @ Z, power, n_rows)
    coef = weights / safe
    return coef, mean - coef @ center


def _replicate(model, responses, stats, seed):
    rng = np.random.default_rng(seed)
    n = len(stats.n_rows)
    weights = np.bincount(rng.integers(0, n, n), minlength=n)
    summary = model.replicate(responses, stats, weights, rng).summary
    return np.stack([summary[measure] for measure in MEASURES])


def replicates(fitted: FittedHRF, n_bootstrap, confidence, random, n_jobs) -> pd.DataFrame:
    """Bootstrap blocks of time: bounds of what responses look like."""
    seeds = random.randint(0, 2**31 - 1, n_bootstrap)
    parallel, replicate = Parallel(n_jobs=n_jobs), delayed(_replicate)
    given = fitted.model, fitted.responses, fitted.stats
    draws = np.stack(parallel(replicate(*given, s) for s in seeds))
    tail = 0.5 * (1 - confidence)
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    columns = {}
    for i, measure in enumerate(MEASURES):
        columns[f"{measure}_low"], columns[f"{measure}_high"] = low[i], high[i]
    return pd.DataFrame(columns, index=pd.Index(fitted.names[1], name="region"))
