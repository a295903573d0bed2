"""Haemodynamics: checks, scrubbed frames, drift and scale of BOLD time courses."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from mne.utils import warn

from .._checks import as_float_array, is_generator
from ..metrics import detrend as remove_drift
from ..metrics import order_frames, recording_labels
from .bold_tables import as_tables, check_dims, check_same_columns, names_of, told_t_r
from .missing import lacking
from .recordings import Recordings

# Squares of what is larger overflow.
_LARGEST = 1e100


@dataclass(frozen=True)
class Haemodynamics:
    """BOLD of every segment, NaN rows where frames are scrubbed."""

    values: list[np.ndarray]  # (n_frames, n_targets) each
    target_names: list[str]
    named: bool  # whether BOLD itself names them
    told_t_r: list[float | None]  # seconds between frames of each, where BOLD says it

    @property
    def n_frames(self) -> list[int]:
        """Frames of each segment."""
        return [len(value) for value in self.values]


def _one(item, name: str, ndim: int, may_lack: bool = False) -> np.ndarray:
    check_dims(item, name)
    array = as_float_array(item, name)
    if array.ndim == ndim - 1 and ndim == 2:
        array = array[:, np.newaxis]
    if array.ndim != ndim:
        shape = "(n_frames, n_targets)" if ndim == 2 else "(n_windows, n_frames, n_targets)"
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}.")
    if np.isinf(array).any():
        raise ValueError(f"{name} contains infinite values.")
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: its shape is {array.shape}.")
    if float(np.abs(array).max(where=~np.isnan(array), initial=0.0)) > _LARGEST:
        raise ValueError(f"{name} holds values beyond {_LARGEST:g}, which are no BOLD signal.")
    missing = np.isnan(array)
    if may_lack:
        missing = missing[:, ~lacking(array)]
    partial = missing.any(axis=-1) & ~missing.all(axis=-1)
    if partial.any():
        where = [int(i[0]) if len(i) == 1 else tuple(map(int, i)) for i in np.argwhere(partial)]
        raise ValueError(
            f"{name} has NaN in some regions of frames {where[:5]}. A scrubbed frame is NaN in all "
            "regions; leave out or fill regions that were not measured."
        )
    return array


def read_hemo(
    y, kind: str, n_segments: int, *, single=False, name="y", may_lack=False
) -> Haemodynamics:
    """Read BOLD of windows or recordings."""
    if y is None:
        raise ValueError(
            f"{name} is None: this estimator requires y to be passed, the BOLD time courses, but "
            "the target y is None."
        )
    y = as_tables(y, name)
    if isinstance(y, (bytes, dict, set)) or np.isscalar(y):
        raise TypeError(
            f"{name} must hold BOLD time courses (n_frames, n_targets), got {y!r:.60} of type "
            f"{type(y).__name__}."
        )
    if is_generator(y):
        raise TypeError(f"{name} is a generator, which can be read only once: pass list({name}).")
    if kind == "windows":
        if isinstance(y, (list, tuple)) and len(y) == 0:
            raise ValueError(f"{name} is an empty list.")
        array = _one(y, name, 3)
        if len(array) != n_segments:
            raise ValueError(f"X has {n_segments} windows, but {name} has {len(array)}.")
        values = list(array)
    else:
        one = False
        if not isinstance(y, (list, tuple)):
            if single or (n_segments == 1 and np.ndim(y) == 2):
                y, one = [y], True
            elif np.ndim(y) == 3:
                y = list(np.asanyarray(y))
            else:
                raise ValueError(
                    f"{name} must be a list with one array (n_frames, n_targets) per recording, "
                    f"got an array of shape {np.shape(y)}."
                )
        if len(y) != n_segments:
            raise ValueError(f"X has {n_segments} recordings, but {name} has {len(y)}.")
        names = [name] if one else [f"{name}[{i}]" for i in range(len(y))]
        values = [_one(item, what, 2, may_lack) for item, what in zip(y, names, strict=True)]
        widths = {value.shape[1] for value in values}
        if len(widths) > 1:
            raise ValueError(f"Recordings of {name} differ in their number of regions: {widths}.")
        check_same_columns(y, name)
    return Haemodynamics(values, *names_of(y, values[0].shape[1]), told_t_r(y))


def check_measured(hemo: Haemodynamics) -> None:
    """Refuse regions that no recording holds."""
    nowhere = np.all([lacking(value) for value in hemo.values], axis=0)
    if nowhere.any():
        names = [hemo.target_names[m] for m in np.flatnonzero(nowhere)]
        raise ValueError(f"Regions {names[:8]} are NaN in all recordings: leave them out of y.")


def check_same_frames(hemo: Haemodynamics, table: pd.DataFrame, kind: str) -> None:
    """Warn where windows that name the same frames of one recording hold different BOLD."""
    if kind != "windows" or (table["frame"] < 0).any():
        return
    ordered = order_frames(np.stack(hemo.values), table)
    places = _places(ordered, table, hemo.n_frames[0])
    for value, (label, rows) in zip(hemo.values, places, strict=True):
        size = np.abs(value).max(where=np.isfinite(value), initial=0.0)
        mean = ordered.values[label][rows]
        off = np.abs(value - mean).max(where=np.isfinite(value), initial=0.0)
        if off > 1e-6 * size:
            key = ordered.recordings[label]
            named = dict(zip(("subject", "run", "recording"), key, strict=False))
            warn(
                f"Windows of {named} hold different BOLD at the same frames: they are averaged. If "
                "they come from several recordings, name these: make_windows(..., subject=..., "
                "run=...), or pass all recordings in one call."
            )
            return


def provenance_of(*sides) -> list[dict]:
    """Where BOLD came from, as `mne_samba.io.read_bids_pair` notes it in ``attrs``."""
    found = []
    for side in sides:
        for item in side if isinstance(side, (list, tuple)) else [side]:
            note = item.attrs.get("provenance") if isinstance(item, pd.DataFrame) else None
            found += [note] if isinstance(note, dict) else []
    return found


def check_swapped(value: np.ndarray, seconds: float, t_r: float, name: str) -> None:
    """Refuse BOLD whose second axis, not the first, fits the length of the recording."""
    frames, targets = value.shape
    there = seconds / t_r
    if frames < 0.5 * there <= 0.8 * there <= targets <= 1.01 * there:
        raise ValueError(
            f"{name} has shape {value.shape}: {frames} frames of {t_r:g} s do not fit a recording "
            f"of {seconds:g} s, but {targets} would. It seems to be (n_targets, n_frames); "
            "expected (n_frames, n_targets): transpose it."
        )


def check_not_swapped(given, hemo: Haemodynamics, sfreq, t_r: float, names) -> None:
    """Refuse arrays of which X holds no time for one frame, but y does: they changed places."""
    if given.is_mne or given.drive is not None or sfreq is None:
        return
    shape, other = np.shape(given.items[0]), hemo.values[0].shape
    if shape[-1] / sfreq < t_r <= other[1] / sfreq:
        raise ValueError(
            f"{names[0]} holds {shape[-1]} samples, {shape[-1] / sfreq:g} s at sfreq={sfreq:g} Hz, "
            f"but {names[1]}, of shape {other}, would hold {other[1] / sfreq:g} s: are the two "
            "swapped? Electrophysiology is (n_channels, n_times), BOLD (n_frames, n_targets)."
        )


def check_orientation(rec: Recordings, name: str, history: float | None) -> None:
    """Refuse BOLD whose axes are swapped; ``history`` (s) is of windows that do not tell theirs."""
    t_rs = np.broadcast_to(rec.t_rs, len(rec))
    for i, (segment, value, t_r) in enumerate(zip(rec.segments, rec.bold, t_rs, strict=True)):
        seconds = segment.n_times / rec.sfreq
        if rec.kind == "windows":
            before = segment.frame_start if history is None else history
            check_swapped(value, seconds - before, t_r, name)
        else:
            check_swapped(value, seconds, t_r, f"{name}[{i}]")


def check_varies(scales: list[np.ndarray], names: list[str]) -> None:
    """Refuse BOLD that never varies; name the regions that do not."""
    flat = (np.stack(scales) == 0).all(axis=0)
    if flat.all():
        raise ValueError("y does not vary in any region: there is nothing to learn.")
    if flat.any():
        warn(
            f"BOLD of regions {[names[m] for m in np.flatnonzero(flat)[:8]]} does not vary; it is "
            "predicted by its mean. Are they outside the brain mask?"
        )


def frames_table(table: pd.DataFrame, n_frames: list[int]) -> pd.DataFrame:
    """Give windows without metadata their place: one after the other in one recording."""
    table = table.copy()
    if (table["frame"] < 0).any():
        table["frame"] = np.concatenate([[0], np.cumsum(n_frames)[:-1]]).astype(int)
    return table


def keep_frames(
    values: list[np.ndarray], known: list[np.ndarray], keys: list[tuple]
) -> list[np.ndarray]:
    """Blank frames that cannot be learnt from, unless a recording has no other."""
    kept = [np.where(k[:, None], v, np.nan) for k, v in zip(known, values, strict=True)]
    some = {key for key, value in zip(keys, kept, strict=True) if np.isfinite(value).any()}
    return [k if key in some else v for k, v, key in zip(kept, values, keys, strict=True)]


def detrend_segments(
    values: list[np.ndarray], table: pd.DataFrame, kind: str, t_r: float, method
) -> list[np.ndarray]:
    """Remove drift and mean from every recording, whose windows may be scattered over segments."""
    if kind == "recordings":
        return [_without_drift(value, np.arange(len(value)), t_r, method) for value in values]
    table = frames_table(table, [len(value) for value in values])
    ordered = order_frames(np.stack(values), table, t_r)
    # Blocks far apart (folds) share the recording's slow cosines.
    clean = [
        _without_drift(series, frames, t_r, method)
        for frames, series in zip(ordered.frames, ordered.values, strict=True)
    ]
    out = []
    places = _places(ordered, table, len(values[0]))
    for value, (label, rows) in zip(values, places, strict=True):
        block = clean[label][rows]
        block[~np.isfinite(value).all(axis=1)] = np.nan
        out.append(block)
    return out


def _places(ordered, table: pd.DataFrame, n_frames: int):
    """Say which recording a window is of, and at which of its ordered rows (n_frames,)."""
    for label, first in zip(recording_labels(table)[0], table["frame"], strict=True):
        yield label, np.searchsorted(ordered.frames[label], int(first) + np.arange(n_frames))


def _without_drift(value, frames, t_r, method):
    """Remove drift from frames (n_frames, n_targets) of a recording; what it lacks stays NaN."""
    clean, there = value.copy(), ~lacking(value)
    measured = np.isfinite(value[:, there]).all(axis=1)
    if measured.any():
        fitting = fitting_drift(method, measured, frames, t_r)
        clean[:, there] = remove_drift(value[:, there], t_r, fitting, frames=frames)
    return clean


def fitting_drift(method, measured, frames, t_r):
    """Drift terms that this many frames can carry: short pieces lose their mean alone."""
    if measured.sum() < 2:
        raise ValueError(
            "A recording has one measured frame only that has a whole history: leave it out, or "
            "use longer recordings."
        )
    if method is None:
        return 0
    if isinstance(method, str) and method == "cosine":
        span = (frames.max() - frames.min() + 1) * t_r
        terms = int(2 * span / 128) + 1
    else:
        terms = 2 if method == "linear" else int(method) + 1
    return method if measured.sum() > 2 * terms else 0


def recording_scale(
    values: list[np.ndarray], keys: list[tuple]
) -> dict[tuple, tuple[np.ndarray, np.ndarray]]:
    """Mean and standard deviation of every region in every recording."""
    out = {}
    for key in dict.fromkeys(keys):
        rows = np.concatenate([v for v, k in zip(values, keys, strict=True) if k == key])
        rows = rows[np.isfinite(rows).any(axis=1)]
        if not len(rows):
            raise ValueError(f"Every frame of recording {key} is scrubbed: nothing is left to fit.")
        scale = rows.std(axis=0)
        flat = scale <= 1e-12 * np.maximum(np.abs(rows).max(axis=0), 1e-300)
        out[key] = rows.mean(axis=0), np.where(flat, 0.0, scale)
    return out
