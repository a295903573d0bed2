"""What band attention is to explain: frames of BOLD, one value or label per sample, or nothing."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse
from sklearn.utils.multiclass import type_of_target

from .._checks import as_float_array
from ..data.bold import detrend_segments
from ..data.recordings import Recordings
from ..hrf import canonical_params, double_gamma, hrf_basis, hrf_dictionary

# Responses that one band may have: the main shape, its timing and its width.
_N_BASIS = 3


def sample_targets(y, n_samples: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn values or labels (n_samples,) into columns (n_samples, n_columns), and classes."""
    # Whole numbers and text are labels: with two classes the second's membership, else one column
    # per class. Classes are None for numbers.
    y = np.asarray(y)
    if len(y) != n_samples:
        raise ValueError(
            f"X has {n_samples} samples, but y has {len(y)} (inconsistent numbers of samples). For "
            "BOLD, y must be (n_windows, n_frames, n_targets) or a list of one array per recording."
        )
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind in "fc":
        y = as_float_array(y, "y")
        if not np.isfinite(y).all():
            raise ValueError("y contains NaN or infinite values.")
    if type_of_target(y, input_name="y") not in ("binary", "multiclass"):
        columns = as_float_array(y, "y").reshape(n_samples, -1)
        return columns, None
    classes, member = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        # One class says nothing about bands; a pipeline's inner fold may still hold no other.
        return np.zeros((n_samples, 1)), classes
    columns = np.eye(len(classes))[member]
    return columns[:, 1:] if len(classes) == 2 else columns, classes


@dataclass(frozen=True)
class FrameDesign:
    """Frames in one table."""

    design: np.ndarray  # (n_rows, n_channels, n_bands, n_basis): power seen through a basis
    targets: np.ndarray  # (n_rows, n_targets), BOLD
    follows: np.ndarray  # (n_rows,), whether a row comes right after the row before
    response: np.ndarray  # (n_basis,), overlap of the basis with the canonical response


def frame_design(
    rec: Recordings, powers: list[np.ndarray], known: list[np.ndarray], *, rate: float,
    delay: np.ndarray, hrf_length: float, hrf_bounds: str, detrend,
) -> FrameDesign:  # fmt: skip
    """Put the frames of all segments that have their whole history in one table."""
    # Scaled ``powers`` (n_channels, n_bands, n_bins); ``known`` is False at bins in BAD spans;
    # ``delay`` (n_bands,) says by how many seconds each band's power comes late.
    grid, basis, overlap = _responses(hrf_length, hrf_bounds)
    designs, targets, kernels = [], [], {}
    late = np.unique(delay)
    for segment, power, seen, value in zip(rec.segments, powers, known, rec.bold, strict=True):
        frames = segment.frame_times
        n_channels, n_bands, n_bins = power.shape
        key = (frames.tobytes(), n_bins)
        if key not in kernels:
            kernels[key] = [_kernels(frames + d, n_bins, rate, grid, basis) for d in late]
        rows = np.empty((len(frames), n_channels, n_bands, _N_BASIS))
        for seconds, bank in zip(late, kernels[key], strict=True):
            bands = np.flatnonzero(delay == seconds)
            flat = power[:, bands].reshape(-1, n_bins).T.astype(np.float64)
            for k, kernel in enumerate(bank):
                rows[:, :, bands, k] = (kernel @ flat).reshape(len(frames), n_channels, -1)
        target = np.array(value, dtype=np.float64)
        target[frames < hrf_length - 1.5 / rate] = np.nan
        centres = (np.arange(power.shape[2]) + 0.5) / rate
        for missing in centres[~seen]:
            target[(frames > missing) & (frames - missing < hrf_length)] = np.nan
        designs.append(rows)
        targets.append(target)
    if not any(np.isfinite(target).any() for target in targets):
        raise ValueError(
            f"No frame follows {hrf_length:g} s of clean signal, the length of the response. Cut "
            f"windows with context={hrf_length:g} or more (arrays: check tmin and t_r), or choose "
            "a shorter hrf_length."
        )
    return _one_table(rec, designs, targets, detrend, overlap)


@lru_cache(maxsize=8)
def _responses(hrf_length: float, hrf_bounds: str):
    """Lags, a basis of responses and its overlap with the canonical response."""
    grid = np.arange(0.25, hrf_length, 0.25)
    shapes = double_gamma(grid, hrf_dictionary(500, hrf_bounds, 0))
    basis = hrf_basis(grid, _N_BASIS, bounds=hrf_bounds)
    # A basis response is as likely as the dictionary makes it.
    basis *= np.sqrt(((shapes @ basis.T) ** 2).mean(0))[:, None] / np.linalg.norm(shapes[0])
    return grid, basis, basis @ double_gamma(grid, canonical_params(hrf_bounds))


def _kernels(frames, n_bins, rate, grid, basis) -> list[sparse.csr_matrix]:
    """Operators from bins to frames, one per response: (n_frames, n_bins)."""
    n_lags = int(np.ceil(grid[-1] * rate)) + 2
    column = np.ceil(frames * rate).astype(int)[:, None] - np.arange(n_lags)
    row = np.broadcast_to(np.arange(len(frames))[:, None], column.shape)
    inside = (column >= 0) & (column < n_bins)
    row, column = row[inside], column[inside]
    lag = frames[row] - (column + 0.5) / rate
    shape = (len(frames), n_bins)
    return [
        sparse.csr_matrix((np.interp(lag, grid, values, 0.0, 0.0) / rate, (row, column)), shape)
        for values in basis
    ]


def _one_table(rec, designs, targets, detrend, response) -> FrameDesign:
    shape = designs[0].shape[1:]
    flat = []
    for rows, target in zip(designs, targets, strict=True):
        columns = rows.reshape(len(rows), -1).astype(np.float64)
        columns[~np.isfinite(target).all(1)] = np.nan
        flat.append(columns)
    targets = detrend_segments(targets, rec.table, rec.kind, rec.t_r, detrend)
    # Both sides lose the same drift, so that slow power cannot pass for slow BOLD.
    flat = detrend_segments(flat, rec.table, rec.kind, rec.t_r, detrend)
    follows, kept_rows, kept_targets = [], [], []
    keys, first = rec.keys, rec.table["frame"].astype(int).tolist()
    run, last = None, -1
    for index in sorted(range(len(keys)), key=lambda i: (keys[i], first[i])):
        # Segments that do not say which frames they hold are runs of their own.
        previous, run = run, (keys[index], index if first[index] < 0 else None)
        last = last if run == previous else -np.inf
        for row in np.flatnonzero(np.isfinite(targets[index]).all(axis=1)):
            frame = first[index] + row
            if frame <= last:
                continue  # the same frame in an overlapping window
            follows.append(frame == last + 1)
            kept_rows.append(flat[index][row])
            kept_targets.append(targets[index][row])
            last = frame
    design = np.array(kept_rows).reshape(len(kept_rows), *shape)
    return FrameDesign(design, np.array(kept_targets), np.array(follows), response)
