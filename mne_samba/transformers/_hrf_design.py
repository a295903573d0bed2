"""From drives as users have them to binned drives before frames, recording by recording."""

from __future__ import annotations

import numpy as np

from ..data.bold import fitting_drift, frames_table
from ..data.recordings import Recordings
from ..data.segments import Segment
from ..hrf.stats import Recording
from ..metrics import drift_basis

RATES = {"human": 2.0, "fast": 8.0}  # bins per second


def bin_grid(t_r: float, hrf_length: float, bounds, sfreq: float) -> tuple[int, float, int]:
    """Bins per frame, their width in seconds, and how many of them a response lasts.

    About two bins per second, eight for fast responses, but none shorter than a sample.
    """
    rate = RATES["fast"] if isinstance(bounds, str) and bounds == "fast" else RATES["human"]
    step = max(1, round(min(rate, sfreq) * t_r))
    dt = t_r / step
    return step, dt, int(np.ceil(round(hrf_length / dt, 6)))


def bin_drive(
    segment: Segment, sfreq: float, step: int, n_lags: int, sample_ref: float
) -> np.ndarray:
    """Average a drive within the bins before and between its frames.

    Sample i stands for one sampling interval around ``(i + sample_ref) / sfreq`` seconds.

    Returns ``bins`` (n_drives, n_lags + (n_frames - 1).
    """
    width = segment.frame_step / step * sfreq
    n_bins = n_lags + (segment.n_frames - 1) * step
    edges = segment.frame_start * sfreq + width * np.arange(-n_lags, n_bins - n_lags + 1)
    position = np.clip(edges - sample_ref + 0.5, 0, segment.n_times)
    data = np.asarray(segment.read(0, segment.n_times), dtype=float)
    total = np.concatenate([np.zeros((len(data), 1)), np.cumsum(data, axis=1)], axis=1)
    whole = np.minimum(position.astype(int), segment.n_times - 1)
    integral = total[:, whole] + (position - whole) * data[:, whole]
    covered = np.diff(position)
    with np.errstate(invalid="ignore", divide="ignore"):
        bins = np.diff(integral, axis=1) / covered
    bins[:, covered < 0.5 * width] = np.nan
    for low, high in segment.bad * sfreq:
        bins[:, (edges[1:] > low) & (edges[:-1] < high)] = np.nan
    return bins


def whole_history(bins: np.ndarray, n_lags: int, step: int) -> np.ndarray:
    """Say which frames have all bins of their history, (n_frames,)."""
    missing = np.isnan(bins).any(axis=0)
    total = np.concatenate([[0], np.cumsum(missing)])
    first = np.arange(0, len(missing) - n_lags + 1, step)
    return total[first + n_lags] == total[first]


def drift(frames: np.ndarray, t_r: float, method) -> np.ndarray:
    """Orthonormal slow regressors at the used frames of one recording, (n_rows, n_drift)."""
    method = fitting_drift(method, np.ones(len(frames), bool), frames, t_r)
    first = frames.min()
    basis = drift_basis(int(frames.max() - first + 1), t_r, method)[frames - first]
    left, size, _ = np.linalg.svd(basis, full_matrices=False)
    return left[:, size > 1e-9 * size[0]]


def build_recordings(rec: Recordings, bins: list, known: list, detrend) -> list[Recording]:
    """Put the used frames of every recording in order, each frame once.

    ``bins`` (n_drives, n_bins); ``known`` (n_frames,).
    """
    values, t_r = rec.bold, rec.t_r
    if rec.kind == "windows":
        first = frames_table(rec.table, [len(v) for v in values])["frame"].to_numpy(dtype=int)
    else:
        first = np.zeros(len(values), dtype=int)
    keys = rec.keys
    recordings = []
    for key in dict.fromkeys(keys):
        members = [i for i, k in enumerate(keys) if k == key]
        place: dict[int, tuple[int, int]] = {}
        for i in members:
            for k in np.flatnonzero(np.isfinite(values[i]).all(axis=1) & known[i]):
                place.setdefault(int(first[i] + k), (i, int(k)))
        if len(place) < 4:
            continue
        frames = np.array(sorted(place))
        rows = {i: np.full(len(values[i]), -1) for i in members}
        for row, frame in enumerate(frames):
            i, k = place[int(frame)]
            rows[i][k] = row
        y = np.stack([values[i][k] for i, k in (place[int(f)] for f in frames)])
        follows = np.concatenate([[False], np.diff(frames) == 1])
        recordings.append(
            Recording(
                [bins[i] for i in members],
                [rows[i] for i in members],
                y,
                follows,
                drift(frames, t_r, detrend),
            )
        )
    return recordings
