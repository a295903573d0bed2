"""From BOLD back to drives, for `LearnableHRF`."""

from __future__ import annotations

import numpy as np

from ..data.recordings import Layout
from ..hrf import deconvolve
from ._hrf_learn import FittedHRF


def unmap(weights: np.ndarray | None, latent: np.ndarray) -> np.ndarray:
    """Drives that ``weights`` (n_targets, n_drives) sum to ``latent`` (n_targets, n_bins)."""
    if weights is None:
        return latent
    gram = weights @ weights.T
    ridge = 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    return weights.T @ np.linalg.solve(gram + ridge, latent)


def invert_segment(
    fitted: FittedHRF, layout: Layout, sample_ref: float, value: np.ndarray, windows: bool
) -> np.ndarray:
    """Estimate drives (n_drives, n_times) from BOLD (n_frames, n_targets) of one segment."""
    # A scrubbed frame carries no news: the line between its neighbours.
    frames, grid = np.arange(len(value)), fitted.grid
    good = np.isfinite(value).all(axis=1)
    if not good.any():
        raise ValueError("X has a window or recording in which every frame is scrubbed.")
    filled = np.stack([np.interp(frames, frames[good], v[good]) for v in value.T])
    latent = deconvolve(
        filled - fitted.y_mean[:, None], fitted.responses.kernels, fitted.latent_scale,
        fitted.noise, fitted.stats.ar, fitted.acf, grid.step, grid.dt,
    )  # fmt: skip
    drive = unmap(fitted.map, latent)
    drive = fitted.drive_mean[:, None] + fitted.drive_scale[:, None] * drive
    start = layout.window_start
    centres = start + grid.dt * (np.arange(drive.shape[1]) - grid.n_lags + 0.5)
    stop = start + (len(value) - 1) * layout.t_r
    n_times = fitted.n_times if windows else int(np.ceil(stop * layout.sfreq - 1e-6))
    times = (np.arange(max(n_times, 1)) + sample_ref) / layout.sfreq
    return np.stack([np.interp(times, centres, d) for d in drive])
