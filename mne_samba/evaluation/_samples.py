"""One view of windows and recordings: every sample lies on its recording's grid of frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import mne
import numpy as np
import pandas as pd
from mne.utils import logger

from .._checks import as_float_array, first_of
from ..data.bold_tables import as_tables, check_same_columns, region_names
from ..data.given import is_recordings
from ..data.missing import lacking, nan_mean
from ..data.pairing import name_subjects
from ..data.power import LowRateGrid
from ..data.segments import FrameGrid
from ..data.signals import told_regions
from ..data.window_table import window_metadata, window_table
from ..models.physiology import lagged_drives
from ._parts import inverse_of, known_params, reader_of, time_params
from ._way_back import band_power

# A response's length: BOLD frames closer than this still know each other.
GAP = 30.0


@dataclass(frozen=True)
class Samples:
    """Both modalities of windows or recordings, and where their frames lie."""

    signal: object  # electrophysiology as it was given
    bold: list  # (n_frames, n_regions) of each sample
    y: list  # (n_frames, n_targets): what is predicted, BOLD or (way back) band power
    back: bool  # whether it is band power
    groups: np.ndarray | None  # (n_samples,), as they were given
    label: np.ndarray  # (n_samples,): recording of each sample
    first: np.ndarray  # (n_samples,): its first frame on the recording's grid
    n_grid: np.ndarray  # (n_recordings,): frames of each grid
    t_r: np.ndarray  # (n_recordings,): seconds between frames
    # subject, run, recording, and first_frame, the index in the recording of its grid's first frame
    # (0 where windows do not tell).
    recordings: pd.DataFrame
    names: list  # of targets
    table: pd.DataFrame | None  # times of windows; None for whole recordings
    ndim: int  # of BOLD as it was given, for estimators that expect rows of frames
    n_unknown: np.ndarray  # (n_recordings,): first frames, which have no whole history
    n_cut: int  # frames at the end of each sample whose response is cut off (way back)

    def __sizeof__(self) -> int:
        """Bytes of BOLD at least: dask sends what is large to a worker once, not with each fit."""
        return object.__sizeof__(self) + sum(part.nbytes for part in self.bold)

    @cached_property
    def whole(self) -> dict[int, np.ndarray]:
        """Targets (n_grid, n_targets) of every recording."""
        return self.place(self.y, np.arange(len(self.y)))

    @cached_property
    def measured(self) -> dict[int, np.ndarray]:
        """The same with NaN where frames do not count."""
        grids = self.place([self.cut(part) for part in self.y], np.arange(len(self.y)))
        for label, grid in grids.items():
            grid[: self.n_unknown[label]] = np.nan
        return grids

    def cut(self, part: np.ndarray) -> np.ndarray:
        """Frames of a sample (n_frames, n_targets), NaN where their response is cut off."""
        counts = np.arange(len(part)) < len(part) - self.n_cut
        return np.where(counts[:, np.newaxis], part, np.nan)

    def given(self, rows: Sequence[int], bold: list) -> tuple:
        """X and y of some samples, with this BOLD, in the form in which the user gave them."""
        if self.table is not None:
            bold = np.asarray(bold)
            if self.ndim < 3:
                bold = bold[:, 0] if self.ndim == 2 else bold[:, 0, 0]
        signal = take(self.signal, rows)
        return (bold, signal) if self.back else (signal, bold)

    def place(self, values: Sequence, rows: Sequence[int]) -> dict[int, np.ndarray]:
        """Put the frames of some samples on the grids of their recordings, averaging overlaps."""
        placed = {}
        rows = np.asarray(rows, int)
        for label in np.unique(self.label[rows]):
            members = np.flatnonzero(self.label[rows] == label)
            parts = [np.asarray(values[member], float) for member in members]
            starts = self.first[rows[members]]
            places = [
                start + np.arange(len(part)) for start, part in zip(starts, parts, strict=True)
            ]
            placed[int(label)] = on_grid(parts, places, (self.n_grid[label], parts[0].shape[1]))
        return placed

    def frames(self, rows: Sequence[int]) -> dict[int, np.ndarray]:
        """Frames of each recording's grid that some samples hold."""
        ones = [np.ones((len(self.y[row]), 1)) for row in rows]
        return {k: np.flatnonzero(np.isfinite(v[:, 0])) for k, v in self.place(ones, rows).items()}


def take(X, rows):
    """Take samples of Epochs, lists, tables and arrays, as an estimator gets them."""
    rows = np.asarray(rows, int)
    if isinstance(X, list | tuple):
        return [X[row] for row in rows]
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def _frames_of(part, name: str) -> np.ndarray:
    part = np.asarray(as_float_array(part, name), dtype=np.float64)
    return part[:, np.newaxis] if part.ndim == 1 else part


def _seconds(t_r, n: int) -> np.ndarray:
    if t_r is None:
        raise ValueError("The seconds between frames are unknown: give t_r.")
    try:
        seconds = np.broadcast_to(np.asarray(t_r, float), (n,)).copy()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"t_r must be a number of seconds, or one per recording ({n}), got {t_r!r}."
        ) from error
    if not (seconds > 0).all():
        raise ValueError(f"t_r must be positive (seconds between frames), got {t_r!r}.")
    return seconds


def _target_names(y, signal, names, n_targets: int) -> list:
    if names is None:
        told = told_regions([window_metadata(signal)[0]])
        names = told if told and len(told) == n_targets else region_names(first_of(y))
    names = [f"target{i:03d}" for i in range(n_targets)] if names is None else list(names)
    if len(names) != n_targets or len(set(names)) != n_targets:
        raise ValueError(
            f"target_names must be {n_targets} different names, one per target, got {len(names)} "
            f"({len(set(names))} different)."
        )
    return names


def read_samples(
    translator, X, y, groups=None, *, t_r=None, context=None, target_names=None
) -> Samples:
    """Read what scoring needs from whole recordings or windows, as the estimators take them."""
    t_r, context = time_params(translator, t_r, context)
    inverse = inverse_of(translator)
    signal, bold, name = (X, y, "X") if inverse is None else (y, X, "y")
    if isinstance(signal, mne.io.BaseRaw):
        raise ValueError(
            f"{name} is one recording, which cannot be split as it is. Cut it with "
            "mne_samba.make_windows, or give a list of several recordings."
        )
    _check_numbers(X, y, signal, name, groups)
    whole = is_recordings(signal)
    n_cut = 0
    if inverse is not None:
        power, power_names, n_cut = band_power(inverse, X, y)
        target_names = power_names if target_names is None else target_names
    if whole:
        bold = as_tables(bold, "y" if inverse is None else "X")
        if inverse is None:
            check_same_columns(bold, "y")
        placed = _of_recordings(signal, bold, groups)
    else:
        placed = _of_windows(signal, bold, groups, t_r, context)
        if "t_r" in placed["table"]:
            t_r = placed["table"].groupby("label")["t_r"].first().to_numpy()
    label, lengths = placed["label"], np.array([len(part) for part in placed["bold"]])
    n_grid = np.array(
        [(placed["first"] + lengths)[label == k].max() for k in range(label.max() + 1)]
    )
    t_r = _seconds(t_r, len(n_grid))
    n_unknown = np.zeros(len(n_grid), int)
    if whole and inverse is None:
        n_unknown = _frames_without_history(translator, signal, t_r, n_grid, context)
    targets = placed["bold"] if inverse is None else power
    return Samples(
        signal=signal, y=targets, back=inverse is not None, groups=groups, n_grid=n_grid, t_r=t_r,
        names=_target_names(bold, signal, target_names, targets[0].shape[1]),
        n_unknown=n_unknown, n_cut=n_cut, **placed,
    )  # fmt: skip


def _check_numbers(X, y, signal, name: str, groups) -> None:
    """Refuse X, y and groups of different numbers of samples."""
    n = len(X)
    if n == 0 or n != len(y):
        hint = ""
        if isinstance(signal, np.ndarray) and signal.ndim == 2:
            hint = (
                f" {name} is one array of two dimensions, whose rows are samples: recordings "
                f"(n_channels, n_times) and their BOLD come as lists, [{name}]; one recording "
                "alone is cut with mne_samba.make_windows."
            )
        raise ValueError(
            f"X and y must have the same number of samples, got {n} and {len(y)}.{hint}"
        )
    if groups is not None and len(groups) != n:
        raise ValueError(f"groups must have one value per sample ({n}), got {len(groups)}.")


def _of_recordings(signal, bold: list, groups) -> dict:
    """BOLD of whole recordings, and where it lies: fields of `Samples`."""
    parts = [_frames_of(part, "y") for part in bold]
    if any(part.ndim != 2 or part.shape[1] != parts[0].shape[1] for part in parts):
        shapes = sorted({part.shape[1:] for part in parts})
        raise ValueError(
            "y must have the same targets in every sample, (n_frames, n_targets), got trailing "
            f"shapes {shapes}."
        )
    n = len(parts)
    people = _who(signal) if groups is None else np.asarray(groups)
    recordings = pd.DataFrame({"subject": people, "recording": np.arange(n), "first_frame": 0})
    return {
        "bold": parts, "label": np.arange(n), "first": np.zeros(n, int), "recordings": recordings,
        "table": None, "ndim": 2,
    }  # fmt: skip


def _of_windows(signal, bold, groups, t_r, context) -> dict:
    """BOLD of windows, and where it lies: fields of `Samples`."""
    array = _frames_of(bold, "y")
    array = array[:, np.newaxis] if array.ndim == 2 else array
    if array.ndim != 3:
        raise ValueError(
            f"y must have shape (n_windows, n_frames, n_targets), got {np.shape(bold)}."
        )
    width = array.shape[1] * t_r if t_r is not None and np.ndim(t_r) == 0 else None
    table = window_table(signal, array, groups, t_r=t_r, window=width, context=context)
    return {
        "bold": list(array), "label": table["label"].to_numpy(), "first": _first_on_grid(table),
        "recordings": _window_recordings(table, groups), "table": table, "ndim": np.ndim(bold),
    }  # fmt: skip


def _who(signal) -> np.ndarray:
    """Person of each recording, (n_recordings,), by their info where it names one of several."""
    names = [str(i) for i in range(len(signal))]
    if all(isinstance(raw, mne.io.BaseRaw) for raw in signal):
        names = name_subjects([None] * len(signal), signal)
    told = 1 < len(set(names)) < len(names)
    return np.array(names) if told else np.arange(len(signal))


def _frames_without_history(translator, signal, t_r, n_grid, context) -> np.ndarray:
    """Count the first frames of recordings that have no whole history, (n_recordings,)."""
    reader, history = reader_of(translator), 0.0 if context is None else context
    if isinstance(signal[0], mne.io.BaseRaw) and np.ptp(t_r) == 0:
        read = reader.read(list(signal), float(t_r[0]), n_frames=n_grid.tolist(), physiology=True)
        segments = read.segments
        times = [segment.frame_times for segment in segments]
    else:
        params = known_params(translator)
        names = ("first_volume", "n_dummy", "slice_time_ref")
        scans = np.broadcast_arrays(t_r, *[params.get(name, 0.0) for name in names])
        grids = [FrameGrid(scan[0], None, None, *scan[1:]) for scan in zip(*scans, strict=True)]
        times = [grid.regular_times(n, np.inf) for grid, n in zip(grids, n_grid, strict=True)]
    return np.array([(time < history - 1e-9).sum() for time in times])


def _first_on_grid(table: pd.DataFrame) -> np.ndarray:
    if "frame" in table.columns:
        first = table["frame"].to_numpy(float)
    elif "t_r" in table.columns:
        first = table["onset"].to_numpy() / table["t_r"].to_numpy()
    else:
        raise ValueError(
            "Frames cannot be put in order without t_r: give t_r, or Epochs whose metadata have "
            "'frame'."
        )
    earliest = pd.Series(first).groupby(table["label"].to_numpy()).transform("min").to_numpy()
    return np.rint(first - earliest).astype(int)


def _window_recordings(table: pd.DataFrame, groups) -> pd.DataFrame:
    keys = [c for c in ("subject", "run", "recording") if c in table.columns]
    recordings = table.groupby("label")[keys].first() if keys else pd.DataFrame({"recording": [0]})
    recordings = recordings.reset_index(drop=True)
    recordings["first_frame"] = 0
    if "frame" in table.columns:
        recordings["first_frame"] = table.groupby("label")["frame"].min().to_numpy(int)
    if groups is not None:
        people = pd.Series(np.asarray(groups)).groupby(table["label"].to_numpy())
        if (people.nunique() == 1).all():
            recordings["subject"] = people.first().to_numpy()
    if "subject" not in recordings.columns or recordings["subject"].isna().all():
        recordings["subject"] = recordings.get("recording", 0)
    return recordings


def common_frames(samples: Samples, labels: Sequence[int]) -> dict[int, int]:
    """Where each recording's grid begins, in frames after the earliest of them."""
    first = samples.recordings["first_frame"].to_numpy()
    earliest = min(first[label] for label in labels)
    return {int(label): int(first[label] - earliest) for label in labels}


def people_of(samples: Samples) -> np.ndarray:
    """Person of each sample: groups where given, else the metadata's subject or recording."""
    if samples.groups is not None:
        return np.asarray(samples.groups)
    return samples.recordings["subject"].to_numpy()[samples.label]


def on_grid(parts: list[np.ndarray], places: list[np.ndarray], shape: tuple) -> np.ndarray:
    """Average parts (n_rows, n_columns) that lie at rows of a grid; NaN where there is none."""
    total, count = np.zeros(shape), np.zeros(shape)
    for part, rows in zip(parts, places, strict=True):
        finite = np.isfinite(part)
        total[rows] += np.where(finite, part, 0.0)
        count[rows] += finite
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def check_targets(samples: Samples) -> None:
    """Refuse targets that say nothing."""
    varies = np.zeros(len(samples.names), dtype=bool)
    for label, grid in samples.measured.items():
        there = ~lacking(grid)
        rows = grid[np.isfinite(grid[:, there]).all(axis=1)]
        if len(rows) < 3:
            raise ValueError(
                f"Recording {label} has {len(rows)} frames to score: all others are NaN or have no "
                "whole history (context). Use longer recordings."
            )
        varies |= there & (rows != rows[0]).any(axis=0)
    if not varies.any():
        raise ValueError("All targets are constant: there is nothing to predict.")
    if not varies.all():
        logger.warning(f"{(~varies).sum()} constant targets score 0.")


def frames_on_grid(values, samples: Samples, name: str) -> dict | None:
    """Bring confounds or clean targets to the recordings' grids."""
    if values is None:
        return None
    parts = values if isinstance(values, list | tuple) else list(np.asarray(values, float))
    if len(parts) != len(samples.y):
        raise ValueError(
            f"{name} must have one entry per sample ({len(samples.y)}), got {len(parts)}."
        )
    arrays = []
    for part, target in zip(parts, samples.y, strict=True):
        array = np.asarray(as_float_array(part, name), dtype=float)
        array = array[:, np.newaxis] if array.ndim == 1 else array
        if array.ndim != 2 or len(array) != len(target):
            raise ValueError(
                f"{name} must have the frames of y, {len(target)} in this sample, got shape "
                f"{array.shape}."
            )
        arrays.append(array)
    if len({array.shape[1] for array in arrays}) > 1:
        widths = [array.shape[1] for array in arrays]
        raise ValueError(f"{name} must have the same columns in every sample, got {widths[:8]}.")
    if any(np.isinf(array).any() for array in arrays):
        raise ValueError(f"{name} contains infinite values.")
    if name == "confounds" and any(np.isnan(array).all(axis=0).any() for array in arrays):
        raise ValueError("A column of confounds is NaN throughout a sample: leave it out.")
    if name == "clean" and arrays[0].shape != samples.y[0].shape:
        raise ValueError(f"clean must have the shape of y, got {arrays[0].shape}.")
    grids = samples.place(arrays, np.arange(len(arrays)))
    if name == "confounds":
        # Derivatives have no first value: the mean is the neutral one.
        return {k: np.where(np.isfinite(grid), grid, nan_mean(grid)) for k, grid in grids.items()}
    return grids


def physiology_on_grid(translator, samples: Samples) -> dict | None:
    """Lagged drives (n_grid, n_columns) that the translator takes besides; None where none are."""
    reader = reader_of(translator)
    if reader.physiology is None:
        return None
    t_rs = samples.t_r[samples.label].tolist()
    n_frames = [len(part) for part in samples.bold]
    rec = reader.read(
        samples.signal, t_rs if len(set(t_rs)) > 1 else t_rs[0], physiology=True,
        n_frames=n_frames if samples.table is None else n_frames[0],
    )  # fmt: skip
    length = time_params(translator, None, None)[1]
    on = [LowRateGrid.from_tr(t_r, length or GAP) for t_r in t_rs]
    grids = samples.place(lagged_drives(rec, on, reader), np.arange(len(rec)))
    return {label: np.nan_to_num(grid) for label, grid in grids.items()}
