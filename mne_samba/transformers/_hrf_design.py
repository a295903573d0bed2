"""From drives as users have them to binned drives before frames, recording by recording."""

from __future__ import annotations

import numpy as np

from ..data.bold import fitting_drift, frames_table
from ..data.bridging import clean_reader
from ..data.power import LowRateGrid
from ..data.recordings import Recordings
from ..data.segments import Segment
from ..hrf.gamma import preset_of
from ..hrf.stats import Recording
from ..metrics import drift_basis
from ..wavelets.power import bin_means

RATES = {"human": 2.0, "fnirs": 2.0, "fast": 8.0}  # bins per second


def bin_grid(t_r: float, hrf_length: float, bounds, sfreq: float) -> LowRateGrid:
    """About two bins per second, eight for fast responses, but none shorter than a sample."""
    step = max(1, round(min(RATES[preset_of(bounds)], sfreq) * t_r))
    return LowRateGrid(t_r, step, int(np.ceil(round(hrf_length / (t_r / step), 6))))


def bin_drive(segment: Segment, sfreq: float, grid: LowRateGrid, sample_ref: float) -> np.ndarray:
    """Average a drive within bins before and between frames: (n_drives, n_bins)."""
    # Sample i stands for one sampling interval around ``(i + sample_ref) / sfreq`` seconds.
    n_bins = grid.n_bins(segment.n_frames)
    edges = segment.bin_edges(grid.step, grid.n_lags, n_bins, sfreq)
    data = np.asarray(clean_reader(segment, sfreq)(0, segment.n_times), dtype=float)
    bins = bin_means(data, edges - sample_ref + 0.5)
    bins[:, segment.in_bad(edges, sfreq)] = np.nan
    return bins


def drift(frames: np.ndarray, t_r: float, method) -> np.ndarray:
    """Orthonormal slow regressors at the used frames of one recording, (n_rows, n_drift)."""
    method = fitting_drift(method, np.ones(len(frames), bool), frames, t_r)
    first = frames.min()
    basis = drift_basis(int(frames.max() - first + 1), t_r, method)[frames - first]
    left, size, _ = np.linalg.svd(basis, full_matrices=False)
    return left[:, size > 1e-9 * size[0]]


def build_recordings(rec: Recordings, bins: list, known: list, detrend) -> list[Recording]:
    """Put used frames (known, n_frames) in order, each once; ``bins`` (n_drives, n_bins)."""
    values, keys, first = rec.bold, rec.keys, np.zeros(len(rec), dtype=int)
    if rec.kind == "windows":
        first = frames_table(rec.table, rec.n_frames)["frame"].to_numpy(dtype=int)
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
            i, k = place[frame]
            rows[i][k] = row
        y = np.stack([values[i][k] for i, k in map(place.get, frames)])
        follows = np.concatenate([[False], np.diff(frames) == 1])
        slow = drift(frames, rec.t_r, detrend)
        used = [bins[i] for i in members]
        recordings.append(Recording(used, [*rows.values()], y, follows, slow, frames))
    return recordings
