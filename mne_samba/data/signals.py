"""Signals of windows and recordings as segments, each with its grid of frames."""

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
    several_t_r,
)
from ..metrics import recording_labels
from .channels import align, bad_spans, check_same_rate, common_channels
from .cuts import check_uncut
from .drive import Drive
from .frame_times import times_for_bold, too_early
from .given import Given
from .physiology import Physiology
from .recordings import Recordings
from .segments import IRREGULAR, FrameGrid, Segment, count_frames
from .triggers import refuse_shared_times
from .unused_markers import warn_of_unused_markers

TABLE_COLUMNS = ("subject", "run", "recording", "onset", "frame")


def _raw_reader(raw, picks: list[int]):
    """Read channels of a Raw; those with index -1, which it lacks, are zero."""
    there = np.flatnonzero(np.array(picks) >= 0)
    some = [picks[i] for i in there]
    # `get_data` of a short block takes longer to check its arguments than to read.
    if len(some) == len(picks):
        return lambda first, stop: raw[picks, first:stop][0]

    def read(first, stop):
        data = raw[some, first:stop][0]
        out = np.zeros((len(picks), data.shape[1]))
        out[there] = data
        return out

    return read


def _channel_reader(inst):
    """Read a channel of a Raw, or of one Epoch, as a whole."""
    return lambda i: inst.get_data(picks=[i], verbose="ERROR")[..., 0, :].reshape(-1)


def _without_missing(array: np.ndarray, grid: FrameGrid) -> tuple[np.ndarray, np.ndarray]:
    """Channels (n_channels, n_times) with zeros for those that lack (all NaN), and which lack."""
    lacks = np.isnan(array).all(axis=1) if grid.may_lack else np.zeros(len(array), bool)
    if lacks.all() and len(lacks):
        raise ValueError("All channels of a recording are missing (NaN): nothing is left of it.")
    return (np.where(lacks[:, None], 0.0, array) if lacks.any() else array), np.flatnonzero(lacks)


def _array_reader(array: np.ndarray):
    return lambda first, stop: array[:, first:stop]


def segment_table(n: int, kind: str, metadata: pd.DataFrame | None = None) -> pd.DataFrame:
    """Subject, run, recording, onset and frame of segments, as far as metadata tell them."""
    recordings = np.zeros(n, int) if kind == "windows" else np.arange(n)
    table = pd.DataFrame(
        {"subject": [""] * n, "run": "", "recording": recordings, "onset": np.nan, "frame": -1}
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
    return table.assign(frame=np.rint((onset - earliest) / np.asarray(t_r)).astype(int))


def read_signals(
    given: Given,
    grid: FrameGrid,
    *,
    n_frames=None,
    ch_names: list[str] | None = None,
    name: str = "X",
    window_frames: int | None = None,
) -> Recordings:
    """Read windows or recordings into segments."""
    if given.kind == "windows" and given.is_mne:
        return _read_epochs(given.items, grid, n_frames, ch_names, name)
    if given.kind == "windows":
        array = as_float_array(given.items, name)
        return _read_windows(
            array, grid, n_frames, ch_names, name, window_frames, given.drive, given.is_power
        )
    if given.is_mne:
        return _read_raws(given.items, grid, n_frames, ch_names, name, given.single)
    return _read_recordings(given.items, grid, n_frames, ch_names, name, given)


def _need_sfreq(grid: FrameGrid, name: str) -> float:
    if grid.sfreq is None:
        raise ValueError(
            f"{name} is an array, which carries no sampling rate: give it to the reader, "
            "reader=Reader(sfreq=...) in Hz."
        )
    return check_number(grid.sfreq, "sfreq", low=0, low_open=True)


def _names(n: int, expected, name: str, drive=None) -> list[str]:
    if expected is not None and len(expected) != n:
        raise ValueError(
            f"{name} has {n} channels, but the estimator was fitted on {len(expected)}."
        )
    if expected is None and drive is not None:
        expected = drive.ch_names
    return list(expected) if expected is not None else [f"ch{i:03d}" for i in range(n)]


def _read_windows(
    array, grid, n_frames, ch_names, name, window_frames, drive=None, may_be_nan=False
) -> Recordings:
    sfreq = _need_sfreq(grid, name)
    if np.ndim(grid.t_r):
        raise ValueError(
            f"{name} is one array of windows, but they have {several_t_r(grid.t_r)}: give Epochs "
            "of make_windows, a list of them, or recordings."
        )
    if drive is not None and drive.frame_start is not None:
        grid = replace(grid, tmin=-drive.frame_start)
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: its shape is {array.shape}.")
    names = _names(array.shape[1], ch_names, name, drive)
    lacks = [np.empty(0, int)] * len(array)
    if grid.may_lack and not may_be_nan and np.isnan(array).any():
        array, lacks = zip(*[_without_missing(window, grid) for window in array], strict=True)
        array = np.stack(array)
    if not may_be_nan:
        check_finite(array, name, names)
    duration = array.shape[2] / sfreq
    frames = n_frames if n_frames is not None else window_frames
    if grid.tmin is not None:
        start = -check_number(grid.tmin, "tmin", high=0.0)
        fits = frames is not None and frames_fit(frames, start, grid.t_r, duration)
        if n_frames is None and not fits:
            frames = count_frames(duration, start, grid.t_r)
    elif frames is None:
        raise ValueError(
            f"{name} holds windows without tmin, so its number of frames must be known."
        )
    else:
        start = duration - frames * grid.t_r
    check_window_frames(frames, start, grid.t_r, duration, name)
    late = [np.empty(0)] * len(array) if drive is None or drive.late is None else drive.late
    segments = [
        Segment(_array_reader(window), array.shape[2], start, grid.t_r, frames, late=own, lacks=out)
        for window, own, out in zip(array, late, lacks, strict=True)
    ]
    table = segment_table(len(array), "windows", None if drive is None else drive.table)
    return Recordings("windows", segments, sfreq, names, None, table, grid.t_r)


def _read_epochs(X, grid, n_frames, ch_names, name) -> Recordings:
    expected = ch_names or common_channels(X, grid, name)
    segments, tables, sfreq, info = [], [], float(X[0].info["sfreq"]), None
    total = sum(len(epochs) for epochs in X)
    for epochs in X:
        if len(epochs) == 0:
            continue
        if epochs.info["sfreq"] != sfreq or epochs.tmin != X[0].tmin:
            raise ValueError(
                f"Epochs of {name} differ in sampling rate or tmin: {epochs.info['sfreq']} Hz from "
                f"{epochs.tmin} s against {sfreq} Hz from {X[0].tmin} s. Make them alike first."
            )
        epochs, index = align(epochs, expected, grid, name)
        there = [i for i in index if i >= 0]
        lacks = np.flatnonzero(np.array(index) < 0)
        data = epochs.get_data(picks=there, verbose="ERROR")
        if info is None:
            info = mne.pick_info(epochs.info, there, verbose="ERROR")
        check_finite(data, name, [epochs.ch_names[i] for i in there])
        if len(lacks):
            data = np.insert(data, lacks - np.arange(len(lacks)), 0.0, axis=1)
        duration = data.shape[2] / sfreq
        start = -float(epochs.tmin)
        t_rs = np.broadcast_to(grid.t_r, total)[len(segments) : len(segments) + len(data)]
        frames = n_frames
        if n_frames is None:
            frames = min(count_frames(duration, start, float(t_r)) for t_r in t_rs)
        check_window_frames(frames, start, float(max(t_rs)), duration, name)
        late = _late(epochs.metadata, len(data), frames)
        beside = [None] * len(data)
        if grid.physiology is not None:
            each = [epochs[i] for i in range(len(data))]
            beside = [Physiology.of(e, grid.physiology, _channel_reader(e)) for e in each]
        segments += [
            Segment(
                _array_reader(d),
                data.shape[2],
                start,
                float(t_r),
                frames,
                late=own,
                lacks=lacks,
                physiology=physiology,
            )
            for d, t_r, own, physiology in zip(data, t_rs, late, beside, strict=True)
        ]
        tables.append(segment_table(len(epochs), "windows", epochs.metadata))
    table = _placed(pd.concat(tables, ignore_index=True), grid.t_r)
    t_rs = pd.Series(np.broadcast_to(grid.t_r, len(table)))
    if t_rs.groupby(recording_labels(table)[0]).nunique().max() > 1:
        raise ValueError(
            f"Windows of {name} have {several_t_r(grid.t_r)}, but the same subject, run and "
            "recording: name these where windows are cut, make_windows(..., subject=..., run=...)."
        )
    regions = told_regions([epochs.metadata for epochs in X], name)
    names = list(expected or info["ch_names"])
    return Recordings("windows", segments, sfreq, names, info, table, grid.t_r, None, regions)


def told_regions(tables, name: str = "X") -> list[str] | None:
    """Names of regions that the metadata of windows carry; None without them."""
    told = [
        row for table in tables if table is not None and "target_names" in table
        for row in table["target_names"]
    ]  # fmt: skip
    for row in told[1:]:
        if row is not told[0] and list(row) != list(told[0]):
            raise ValueError(
                f"Windows of {name} come from BOLD of other regions, {list(row)[:5]}... and "
                f"{list(told[0])[:5]}...: cut them from recordings with the same regions."
            )
    return list(told[0]) if told else None


def _late(metadata, n_windows: int, n_frames: int) -> list[np.ndarray]:
    """Seconds by which frames of windows come later than every ``t_r``, none where they do not."""
    if metadata is None or "late" not in metadata:
        return [np.empty(0)] * n_windows
    late = [np.asarray(row, dtype=float) for row in metadata["late"]]
    if any(row.shape != (n_frames,) for row in late):
        raise ValueError(
            f"The windows' metadata hold the times of other frames than these {n_frames}: cut the "
            "windows again with make_windows."
        )
    return late


def _recording_segment(read, n_times, sfreq, times, name, grid, **spans) -> Segment:
    """One recording as a segment with frames at ``times``, a t_r apart where there is but one."""
    duration, n_frames = n_times / sfreq, len(times)
    if n_frames == 0:
        raise ValueError(
            f"{name} lasts {duration:g} s, which holds no frame: check t_r, first_volume and "
            "n_dummy."
        )
    one_sample = 1.0 / sfreq  # as exactly as a trigger is known
    if times[0] < -one_sample or times[-1] > duration + one_sample:
        k = 0 if times[0] < 0 else n_frames - 1
        early = int(np.sum(times < -one_sample))
        raise ValueError(
            f"Frame {k} of {name} lies at {times[k]:g} s, outside its {duration:g} s of signal. "
            "Check t_r, first_volume, n_dummy, and that y is (n_frames, n_targets)."
            + (f" {too_early(early, grid.n_dummy)}" if 0 < early < n_frames else "")
        )
    # Triggers may drift against the EEG clock: a line through them keeps frames within 10 ms, or
    # else they keep their own times.
    step = (times[-1] - times[0]) / (n_frames - 1) if n_frames > 1 else grid.t_r
    start = float(np.mean(times - step * np.arange(n_frames)))
    late = times - start - step * np.arange(n_frames)
    if np.abs(late).max() > IRREGULAR:
        spans["late"] = late
    return Segment(read, n_times, start, float(step), n_frames, **spans)


def _of_recording(grid: FrameGrid, i: int, n: int) -> FrameGrid:
    """Grid of one recording, where some of its numbers are lists."""
    refuse_shared_times(grid.volume_event, n)
    own = {"first_volume": grid.first_volume, "n_dummy": grid.n_dummy, "t_r": grid.t_r}
    own = {name: value for name, value in own.items() if np.ndim(value)}
    for name, value in own.items():
        if len(value) != n:
            raise ValueError(f"{name} has {len(value)} values for {n} recordings.")
    return replace(grid, **{name: value[i] for name, value in own.items()})


def _read_raws(X, grid, n_frames, ch_names, name, single) -> Recordings:
    expected = ch_names or common_channels(X, grid, name)
    segments, sfreq, info = [], float(X[0].info["sfreq"]), None
    n_frames = [None] * len(X) if n_frames is None else n_frames
    for i, (raw, frames) in enumerate(zip(X, n_frames, strict=True)):
        check_same_rate(raw.info["sfreq"], sfreq, f"{name}[{i}]", f"{name}[0]")
        raw, index = align(raw, expected, grid, f"{name}[{i}]")
        lacks = np.flatnonzero(np.array(index) < 0)
        own = mne.pick_info(raw.info, [i for i in index if i >= 0], verbose="ERROR")
        info = own if info is None else info
        one = _of_recording(grid, i, len(X))
        if one.volume_event is None:
            times = one.regular_times(frames, raw.n_times / sfreq)
            if len(times):
                check_uncut(raw, times, f"{name}[{i}]")
            if frames is not None:
                starts = times - one.slice_time_ref * one.t_r
                called = name if single else f"{name}[{i}]"
                warn_of_unused_markers(raw, starts, one.t_r, one.n_dummy, called)
        else:
            times = times_for_bold(raw, frames, one, name=f"{name}[{i}]")
        segments.append(_recording_segment(
            _raw_reader(raw, index), raw.n_times, sfreq, times, f"{name}[{i}]", one,
            bad=bad_spans(raw, own["ch_names"]), lacks=lacks,
            physiology=Physiology.of(raw, grid.physiology, _channel_reader(raw)),
        ))  # fmt: skip
    table, names = segment_table(len(X), "recordings"), list(expected or info["ch_names"])
    return Recordings("recordings", segments, sfreq, names, info, table, grid.t_r, single=single)


def _read_recordings(X, grid, n_frames, ch_names, name, given: Given) -> Recordings:
    sfreq = _need_sfreq(grid, name)
    segments = []
    names = _names(len(X[0]), ch_names, name, X[0] if isinstance(X[0], Drive) else None)
    n_frames = [None] * len(X) if n_frames is None else n_frames
    for i, (item, frames) in enumerate(zip(X, n_frames, strict=True)):
        called = f"{name}[{i}]"
        array = as_float_array(item, called)
        if len(array) != len(names):
            raise ValueError(f"{called} has {len(array)} channels, expected {len(names)}.")
        if 0 in array.shape:
            raise ValueError(f"{called} is empty: its shape is {array.shape}.")
        lacks = np.empty(0, int)
        if not given.is_power:
            array, lacks = _without_missing(array, grid)
            check_finite(array, called, names)
        one = _of_recording(grid, i, len(X))
        if isinstance(item, Drive) and item.frame_start is not None:
            one = replace(one, first_volume=item.frame_start, n_dummy=0, slice_time_ref=0.0,
                          t_r=item.frame_step)  # fmt: skip
        times = one.regular_times(frames, array.shape[1] / sfreq)
        if isinstance(item, Drive) and item.late is not None:
            times = times[: len(item.late)] + item.late[: len(times)]
        if len(times) and array.shape[1] < times[-1] * sfreq <= array.shape[0]:
            raise ValueError(
                f"{called} has shape {array.shape}: {array.shape[1]} samples do not hold "
                f"{len(times)} frames of {one.t_r:g} s, but {array.shape[0]} would. Expected "
                "(n_channels, n_times): transpose it."
            )
        read, n_times = _array_reader(array), array.shape[1]
        segments.append(_recording_segment(read, n_times, sfreq, times, called, one, lacks=lacks))
    table = segment_table(len(X), "recordings")
    return Recordings(
        "recordings", segments, sfreq, names, None, table, grid.t_r, single=given.single
    )


def check_made_for(given: Given, n_frames: int, t_r: float) -> None:
    """Refuse BOLD with other frames than those that `make_windows` cut the windows for."""
    first = 0
    for epochs in given.items if given.is_mne else ():
        table = epochs.metadata
        own = t_r[first : first + len(epochs)] if np.ndim(t_r) else t_r
        first += len(epochs)
        for column, value, unit in (("t_r", own, " s"), ("n_frames", n_frames, "")):
            if table is None or column not in table or not len(table):
                continue
            made = table[column].to_numpy()
            if not np.allclose(made.astype(float), value, rtol=1e-6):
                raise ValueError(
                    f"Windows of X were cut with {column}={made[0]}{unit}, but here "
                    f"{column}={value}{unit}. Expected y of shape (n_windows, n_frames, "
                    "n_targets), and the t_r that the windows were made with."
                )
