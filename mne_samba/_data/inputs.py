"""One shape for every kind of electrophysiology: self-contained segments with a grid of frames."""

from __future__ import annotations

import os
from dataclasses import replace

import mne
import numpy as np
import pandas as pd

from .._checks import (
    as_float_array,
    check_finite,
    check_number,
    check_window_frames,
    frames_fit,
    is_generator,
)
from ..metrics import recording_labels
from .channels import align, bad_spans, common_channels
from .frame_times import frame_times
from .segments import Electrophysiology, FrameGrid, Segment

TABLE_COLUMNS = ("subject", "run", "recording", "onset", "frame")
_KINDS = (
    "mne.Epochs, mne.io.Raw or a list of them, arrays (n_windows, n_channels, n_times), a list of "
    "2-D arrays (n_channels, n_times)"
)


def is_features(X) -> bool:
    """Say whether X is a plain table as scikit-learn passes it: rows frames, columns features."""
    if isinstance(X, (mne.BaseEpochs, mne.io.BaseRaw)):
        return False
    _refuse(X, X)
    if isinstance(X, (list, tuple)):
        if not X:
            return False
        first = X[0]
        _refuse(first, X)
        if isinstance(first, (mne.BaseEpochs, mne.io.BaseRaw)):
            return False
        return np.ndim(first) < 2
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and X.size:
        return not isinstance(X[0], (np.ndarray, mne.io.BaseRaw, mne.BaseEpochs))
    shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
    return len(shape) not in (3, 4)


def _refuse(value, X) -> None:
    """Refuse what is no data at all, before scikit-learn tries to make numbers of it."""
    if value is None or isinstance(value, (str, bytes, dict, set, os.PathLike)):
        hint = " Read files with mne.io.read_raw first." if isinstance(value, str) else ""
        raise TypeError(
            f"X must be {_KINDS}, or a table (n_frames, n_features); got {X!r:.60}.{hint}"
        )
    if type(value).__module__.startswith("mne.") and not isinstance(
        value, (mne.io.BaseRaw, mne.BaseEpochs)
    ):
        raise TypeError(f"X must be {_KINDS}; got {type(value).__name__} of MNE.")
    if is_generator(value):
        raise TypeError("X is a generator, which can be read only once: pass list(X).")
    if value is not X and hasattr(value, "iloc"):
        raise TypeError(
            "X is a list of tables. Recordings are arrays (n_channels, n_times), channels first: "
            "pass [table.to_numpy().T for table in X]."
        )


def _raw_reader(raw, picks: list[int]):
    def read(first, stop):
        return raw.get_data(picks=picks, start=first, stop=stop, verbose="ERROR")

    return read


def _array_reader(array: np.ndarray):
    def read(first, stop):
        return array[:, first:stop]

    return read


def _table(n: int, metadata: pd.DataFrame | None, kind: str) -> pd.DataFrame:
    recordings = np.zeros(n, int) if kind == "windows" else np.arange(n)
    table = pd.DataFrame(
        {
            "subject": [""] * n,
            "run": [""] * n,
            "recording": recordings,
            "onset": np.nan,
            "frame": -1,
        }
    )
    if metadata is not None:
        for column in TABLE_COLUMNS:
            if column in metadata:
                table[column] = metadata[column].to_numpy()
    return table


def _placed(table: pd.DataFrame, t_r: float) -> pd.DataFrame:
    """Tell windows' frames by their onsets where metadata give these alone."""
    onset = pd.to_numeric(table["onset"], errors="coerce").to_numpy(dtype=float)
    if (table["frame"] >= 0).all() or not np.isfinite(onset).all():
        return table
    label = recording_labels(table)[0]
    # Onsets that come twice belong to recordings that have no name.
    if pd.DataFrame({"label": label, "onset": onset}).duplicated().any():
        return table
    earliest = pd.Series(onset).groupby(label).transform("min").to_numpy()
    return table.assign(frame=np.rint((onset - earliest) / t_r).astype(int))


def read_inputs(
    X,
    grid: FrameGrid,
    *,
    n_frames=None,
    ch_names=None,
    name: str = "X",
    window_frames: int | None = None,
) -> Electrophysiology:
    """Read any kind of electrophysiology into segments.

    Parameters
    ----------
    X : Epochs | Raw | list | array
        The electrophysiology, in any form of the data conventions.
    grid : FrameGrid
        Frame times, sampling rate and picks.
    n_frames : list of int | int | None
        Frames of each segment where BOLD is known; None takes all frames that fit.
    ch_names : list of str | None
        Channels seen in ``fit``; the input is brought to them, or refused.
    name : str
        What to call the input in errors.
    window_frames : int | None
        Frames of a window where neither ``n_frames`` nor ``tmin`` says it.
    """
    single = isinstance(X, mne.io.BaseRaw)
    if single:
        X = [X]
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    if isinstance(X, mne.BaseEpochs):
        X = [X]
    if isinstance(X, (list, tuple)):
        if not len(X):
            raise ValueError(f"{name} is an empty list; expected {_KINDS}.")
        if all(isinstance(item, mne.BaseEpochs) for item in X):
            return _read_epochs(X, grid, n_frames, ch_names, name)
        if all(isinstance(item, mne.io.BaseRaw) for item in X):
            return _read_raws(X, grid, n_frames, ch_names, name, single)
        if all(isinstance(item, np.ndarray) and item.ndim == 2 for item in X):
            return _read_recordings(X, grid, n_frames, ch_names, name)
        shapes = [getattr(item, "shape", type(item).__name__) for item in X[:3]]
        if any(np.ndim(item) != 2 for item in X):
            raise ValueError(f"{name} must be {_KINDS}; got a list that starts with {shapes}.")
        X = np.asarray(X)
    array = as_float_array(X, name)
    if array.ndim != 3:
        raise ValueError(f"{name} must be {_KINDS}; got an array of shape {array.shape}.")
    return _read_windows(array, grid, n_frames, ch_names, name, window_frames)


def _need_sfreq(grid: FrameGrid, name: str) -> float:
    if grid.sfreq is None:
        raise ValueError(
            f"{name} is an array, which carries no sampling rate: give sfreq (Hz) to the estimator."
        )
    return check_number(grid.sfreq, "sfreq", low=0, low_open=True)


def _names(n: int, expected, name: str) -> list[str]:
    if expected is not None and len(expected) != n:
        raise ValueError(
            f"{name} has {n} channels, but the estimator was fitted on {len(expected)}."
        )
    return list(expected) if expected is not None else [f"ch{i:03d}" for i in range(n)]


def _grid_frames(duration: float, start: float, step: float) -> int:
    # Half a sample of tolerance is far below what any frame grid resolves.
    return int(np.floor((duration - start) / step + 1e-6)) if duration > start else 0


def _read_windows(array, grid, n_frames, ch_names, name, window_frames) -> Electrophysiology:
    sfreq = _need_sfreq(grid, name)
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: its shape is {array.shape}.")
    names = _names(array.shape[1], ch_names, name)
    check_finite(array, name, names)
    duration = array.shape[2] / sfreq
    frames = n_frames if n_frames is not None else window_frames
    if grid.tmin is not None:
        start = -check_number(grid.tmin, "tmin", high=0.0)
        fit = _grid_frames(duration, start, grid.t_r)
        if n_frames is None:
            frames = (
                fit
                if frames is None or not frames_fit(frames, start, grid.t_r, duration)
                else frames
            )
    elif frames is None:
        raise ValueError(
            f"{name} holds windows without tmin, so its number of frames must be known."
        )
    else:
        start = duration - frames * grid.t_r
    check_window_frames(frames, start, grid.t_r, duration, name)
    segments = [
        Segment(_array_reader(window), array.shape[2], start, grid.t_r, frames) for window in array
    ]
    table = _table(len(array), None, "windows")
    return Electrophysiology("windows", segments, sfreq, names, None, table)


def _read_epochs(X, grid, n_frames, ch_names, name) -> Electrophysiology:
    if sum(len(epochs) for epochs in X) == 0:
        raise ValueError(f"{name} holds no epochs: all were dropped or none was made.")
    expected = ch_names or common_channels(X, grid, name)
    segments, tables, sfreq = [], [], float(X[0].info["sfreq"])
    info, names = None, None
    for epochs in X:
        if len(epochs) == 0:
            continue
        if epochs.info["sfreq"] != sfreq or epochs.tmin != X[0].tmin:
            raise ValueError(
                f"Epochs of {name} differ in sampling rate or tmin: {epochs.info['sfreq']} Hz from "
                f"{epochs.tmin} s against {sfreq} Hz from {X[0].tmin} s. Make them alike first."
            )
        epochs, index = align(epochs, expected, grid, name)
        data = epochs.get_data(picks=index, verbose="ERROR")
        if info is None:
            info = mne.pick_info(epochs.info, index, verbose="ERROR")
            names = list(expected) if expected is not None else list(info["ch_names"])
        check_finite(data, name, names)
        duration = data.shape[2] / sfreq
        start = -float(epochs.tmin)
        frames = n_frames if n_frames is not None else _grid_frames(duration, start, grid.t_r)
        check_window_frames(frames, start, grid.t_r, duration, name)
        segments += [
            Segment(_array_reader(d), data.shape[2], start, grid.t_r, frames) for d in data
        ]
        tables.append(_table(len(epochs), epochs.metadata, "windows"))
    table = _placed(pd.concat(tables, ignore_index=True), grid.t_r)
    named = X[0].metadata
    regions = None if named is None else named.attrs.get("target_names")
    return Electrophysiology("windows", segments, sfreq, names, info, table, regions)


def _per_recording(n_frames, n: int):
    return [None] * n if n_frames is None else list(n_frames)


def _recording_segment(read, n_times, sfreq, times, bad, name, i) -> Segment:
    n_frames = len(times)
    # Triggers may drift against the EEG clock: a line through them keeps frames within 10 ms.
    if n_frames > 1:
        step = (times[-1] - times[0]) / (n_frames - 1)
        start = float(np.mean(times - step * np.arange(n_frames)))
    else:
        start, step = float(times[0]), np.nan
    if times[0] < -1e-9 or times[-1] > n_times / sfreq + 1e-6:
        raise ValueError(
            f"Frame {0 if times[0] < 0 else n_frames - 1} of {name}[{i}] lies at "
            f"{times[0] if times[0] < 0 else times[-1]:g} s, outside its {n_times / sfreq:g} s of "
            "signal. Check t_r, first_volume, n_dummy, and that y is (n_frames, n_targets)."
        )
    return Segment(read, n_times, start, float(step), n_frames, bad)


def _plain_times(grid, frames, duration) -> np.ndarray:
    volume = grid.first_volume + grid.n_dummy * grid.t_r
    start = volume + grid.slice_time_ref * grid.t_r
    if frames is None:
        frames = _grid_frames(duration, volume, grid.t_r)
    return start + grid.t_r * np.arange(frames)


def _read_raws(X, grid, n_frames, ch_names, name, single) -> Electrophysiology:
    expected = ch_names or common_channels(X, grid, name)
    segments, sfreq, info, names = [], float(X[0].info["sfreq"]), None, None
    for i, (raw, frames) in enumerate(zip(X, _per_recording(n_frames, len(X)), strict=True)):
        if raw.info["sfreq"] != sfreq:
            raise ValueError(
                f"{name}[{i}] is sampled at {raw.info['sfreq']} Hz, {name}[0] at {sfreq} Hz: "
                "resample them to one rate."
            )
        raw, index = align(raw, expected, grid, f"{name}[{i}]")
        if info is None:
            info = mne.pick_info(raw.info, index, verbose="ERROR")
            names = list(expected) if expected is not None else list(info["ch_names"])
        duration = raw.n_times / sfreq
        if grid.volume_event is None:
            times = _plain_times(grid, frames, duration)
        else:
            times = frame_times(
                raw,
                frames,
                t_r=grid.t_r,
                first_volume=grid.first_volume,
                n_dummy=grid.n_dummy,
                slice_time_ref=grid.slice_time_ref,
                volume_event=grid.volume_event,
            )
        _some_frames(times, duration, name, i)
        segments.append(
            _recording_segment(
                _raw_reader(raw, index), raw.n_times, sfreq, times, bad_spans(raw), name, i
            )
        )
    segments = [_with_step(s, grid.t_r) for s in segments]
    table = _table(len(X), None, "recordings")
    return Electrophysiology("recordings", segments, sfreq, names, info, table, None, single)


def _with_step(segment: Segment, t_r: float) -> Segment:
    return replace(segment, frame_step=t_r) if np.isnan(segment.frame_step) else segment


def _some_frames(times, duration, name, i) -> None:
    if len(times) == 0:
        raise ValueError(
            f"{name}[{i}] lasts {duration:g} s, which holds no frame: check t_r, first_volume and "
            "n_dummy."
        )


def _read_recordings(X, grid, n_frames, ch_names, name) -> Electrophysiology:
    sfreq = _need_sfreq(grid, name)
    segments = []
    names = _names(len(X[0]), ch_names, name)
    for i, (item, frames) in enumerate(zip(X, _per_recording(n_frames, len(X)), strict=True)):
        array = as_float_array(item, f"{name}[{i}]")
        if len(array) != len(names):
            raise ValueError(f"{name}[{i}] has {len(array)} channels, expected {len(names)}.")
        if 0 in array.shape:
            raise ValueError(f"{name}[{i}] is empty: its shape is {array.shape}.")
        check_finite(array, f"{name}[{i}]", names)
        times = _plain_times(grid, frames, array.shape[1] / sfreq)
        if len(times) and array.shape[1] < times[-1] * sfreq <= array.shape[0]:
            raise ValueError(
                f"{name}[{i}] has shape {array.shape}: {array.shape[1]} samples do not hold "
                f"{len(times)} frames of {grid.t_r:g} s, but {array.shape[0]} would. Expected "
                "(n_channels, n_times): transpose it."
            )
        _some_frames(times, array.shape[1] / sfreq, name, i)
        segment = _recording_segment(
            _array_reader(array), array.shape[1], sfreq, times, np.empty((0, 2)), name, i
        )
        segments.append(_with_step(segment, grid.t_r))
    table = _table(len(X), None, "recordings")
    return Electrophysiology("recordings", segments, sfreq, names, None, table)


def input_kind(X) -> tuple[str, int, bool]:
    """Say what X holds without reading it.

    Returns
    -------
    kind : "windows" | "recordings"
        What one sample is.
    n_segments : int
        Windows or recordings.
    single : bool
        X is one Raw outside a list.
    """
    if isinstance(X, mne.io.BaseRaw):
        return "recordings", 1, True
    if isinstance(X, mne.BaseEpochs):
        return "windows", _some(len(X)), False
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    if isinstance(X, (list, tuple)):
        if not len(X):
            raise ValueError(f"X is an empty list; expected {_KINDS}.")
        if all(isinstance(item, mne.BaseEpochs) for item in X):
            return "windows", _some(sum(len(epochs) for epochs in X)), False
        whole = all(isinstance(item, np.ndarray) and item.ndim == 2 for item in X)
        if whole or all(isinstance(item, mne.io.BaseRaw) for item in X):
            return "recordings", len(X), False
        kinds = sorted({type(item).__name__ for item in X})
        if len(kinds) > 1:
            raise TypeError(f"X must be {_KINDS}; got a list that mixes {kinds}.")
    shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
    return "windows", _some(shape[0]), False


def _some(n_windows: int) -> int:
    if not n_windows:
        raise ValueError("X is empty: all windows were dropped, or none was made.")
    return n_windows


def check_made_for(X, n_frames: int, t_r: float) -> None:
    """Refuse BOLD with other frames than those that `make_windows` cut the windows for."""
    for epochs in X if isinstance(X, (list, tuple)) else [X]:
        table = getattr(epochs, "metadata", None)
        for column, given, unit in (("t_r", t_r, " s"), ("n_frames", n_frames, "")):
            if table is None or column not in table or not len(table):
                continue
            made = table[column].to_numpy()
            if not np.allclose(made.astype(float), given, rtol=1e-6):
                raise ValueError(
                    f"Windows of X were cut with {column}={made[0]}{unit}, but here "
                    f"{column}={given}{unit}. Expected y of shape (n_windows, n_frames, "
                    "n_targets), and the t_r that the windows were made with."
                )
