"""Band power that was measured elsewhere: what brings it, and its rows as segments hold them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import mne
import numpy as np
import pandas as pd
from mne.time_frequency import EpochsTFR, EpochsTFRArray, RawTFR

from .._checks import as_float_array
from .channels import check_same_rate, picked
from .drive import Drive
from .given import Given, what_is
from .recordings import Layout
from .segments import FrameGrid

Bands = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class PowerRows:
    """Power with the bands of one channel after the other as rows, and what it brings."""

    given: Given
    grid: FrameGrid
    ch_names: list[str]
    bands: Bands
    info: mne.Info | None
    target_names: list[str] | None


@dataclass(frozen=True)
class _Part:
    """Power (..., n_channels, n_bands, n_times) of one recording or of some windows."""

    values: np.ndarray
    ch_names: list[str] | None = None
    bands: Bands | None = None
    info: mne.Info | None = None


def rows_of_power(given: Given, grid: FrameGrid, layout: Layout | None, name: str) -> PowerRows:
    """Bring power to rows: channels and bands by name where they have names, else by number."""
    windows = given.kind == "windows"
    parts = [_Part(given.items)] if not isinstance(given.items, list) else [
        _part(item, grid.picks, f"{name}[{i}]") for i, item in enumerate(given.items)
    ]  # fmt: skip
    first = parts[0]
    n_channels, n_bands = np.shape(first.values)[-3:-1]
    ch_names = first.ch_names or [f"ch{i:03d}" for i in range(n_channels)]
    bands = first.bands or {f"band{i}": () for i in range(n_bands)}
    if layout is not None:
        _check_seen(first, ch_names, bands, layout, name)
        ch_names, bands = layout.ch_names, layout.bands
    rows = [
        _rows(_aligned(part, ch_names, bands, called), ch_names, called)
        for i, part in enumerate(parts)
        for called in [f"{name}[{i}]" if isinstance(given.items, list) else name]
    ]
    flat = [f"{channel} {band}" for channel in ch_names for band in bands]
    if not given.is_mne:
        items = rows[0] if windows else rows
        return PowerRows(replace(given, items=items), grid, ch_names, bands, None, None)
    grid, carried, regions = _times(given, grid, name)
    drives = [Drive(row, sfreq=grid.sfreq, ch_names=flat) for row in rows]
    if windows:
        drives = Drive(np.concatenate(rows), sfreq=grid.sfreq, ch_names=flat, **carried)
    given = replace(given, items=drives, is_mne=False)
    return PowerRows(given, grid, ch_names, bands, first.info, regions)


def _part(item, picks, name: str) -> _Part:
    """Power of one item, and the names that it brings."""
    if isinstance(item, (EpochsTFR, RawTFR)):
        index = picked(item, picks)
        info = mne.pick_info(item.info, index, verbose="ERROR")
        names = [str(ch) for ch in info["ch_names"]]
        values = item.data[:, index] if isinstance(item, EpochsTFR) else item.data[index]
        return _Part(values, names, bands_of_tfr(item), info)
    if not hasattr(item, "iloc"):
        return _Part(item)
    columns = item.columns
    if columns.nlevels == 1:
        names = [str(column) for column in columns]
        return _Part(item.to_numpy().T[:, np.newaxis], names, {"power": ()})
    channels, bands = (list(dict.fromkeys(columns.get_level_values(i))) for i in (0, 1))
    if columns.nlevels > 2 or len(columns) != len(channels) * len(bands) or columns.has_duplicates:
        raise ValueError(
            f"{name} is a table of {len(columns)} columns in {columns.nlevels} levels. Expected "
            "one level (drives), or two (channel, band) with every band of every channel."
        )
    ordered = item[[(channel, band) for channel in channels for band in bands]].to_numpy().T
    values = ordered.reshape(len(channels), len(bands), -1)
    return _Part(values, [str(c) for c in channels], {str(band): () for band in bands})


def bands_of_tfr(tfr) -> Bands:
    """Bands that `mne_samba.make_windows` noted, else the frequencies."""
    table = getattr(tfr, "metadata", None)
    if table is not None and "bands" in table:
        return table["bands"].iloc[0]
    return {f"{freq:g}Hz": (float(freq), float(freq)) for freq in tfr.freqs}


def _check_seen(part: _Part, ch_names, bands, layout: Layout, name: str) -> None:
    """Refuse other numbers of channels or bands than fit saw."""
    sizes, seen = (len(ch_names), len(bands)), (len(layout.ch_names), len(layout.bands))
    if part.ch_names is None and sizes != seen:
        raise ValueError(
            f"{name} has power of {sizes[0]} channels in {sizes[1]} bands, but the estimator was "
            f"fitted on {seen[0]} in {seen[1]}."
        )


def _aligned(part: _Part, ch_names: list[str], bands: Bands, name: str) -> np.ndarray:
    """Power in the order of these channels and bands; both by number where they have no names."""
    values = as_float_array(part.values, name)
    expected = (len(ch_names), len(bands))
    if part.ch_names is None and values.ndim in (3, 4) and values.shape[-3:-1] == expected:
        return values
    own = [list(part.ch_names or ()), list(part.bands or ())]
    counted = [ch_names == [f"ch{i:03d}" for i in range(len(ch_names))],
               list(bands) == [f"band{i}" for i in range(len(bands))]]  # fmt: skip
    for axis, names in ((-3, ch_names), (-2, list(bands))):
        mine = own[axis + 3]
        if counted[axis + 3] and len(mine) == len(names):
            continue
        # Of two of one name the first: tables may have thousands of columns.
        place = {label: i for i, label in reversed(list(enumerate(mine)))}
        lost = [label for label in names if label not in place]
        if lost or not mine:
            what = "channels" if axis == -3 else "bands"
            raise ValueError(
                f"{name} has shape {values.shape} and {what} {mine[:8]}; expected power of "
                f"channels {ch_names[:8]} in bands {list(bands)[:8]}: {lost[:8]} are missing."
            )
        values = np.take(values, [place[label] for label in names], axis=axis)
    return values


def _rows(values: np.ndarray, ch_names: list[str], name: str) -> np.ndarray:
    """Rows (..., n_channels * n_bands, n_times) of power; refuse what no power is."""
    if np.isinf(values).any():
        raise ValueError(
            f"{name} holds infinite power: the logarithm of zero? Unknown power is NaN."
        )
    axes = tuple(i for i in range(values.ndim) if i != values.ndim - 3)
    nowhere = np.isnan(values).all(axis=axes)
    if nowhere.any():
        names = [ch_names[i] for i in np.flatnonzero(nowhere)]
        raise ValueError(f"{name} is NaN throughout in channels {names[:8]}: leave them out.")
    return values.reshape(*values.shape[:-3], -1, values.shape[-1])


def _times(given: Given, grid: FrameGrid, name: str) -> tuple:
    """Rate of MNE's objects, and the place of windows in time."""
    # Their samples are instants: each stands for an interval that began half a sample before.
    rates = [float(item.sfreq) for item in given.items]
    for i, rate in enumerate(rates):
        check_same_rate(rate, rates[0], f"{name}[{i}]", f"{name}[0]")
    half = 0.5 / rates[0]
    if given.kind == "recordings":
        first_volume = np.add(grid.first_volume, half)
        first_volume = first_volume.tolist()
        return replace(grid, sfreq=rates[0], first_volume=first_volume), {}, None
    starts = {round(float(item.times[0]), 6) for item in given.items}
    if len(starts) > 1:
        raise ValueError(f"Windows of {name} begin at different times, {sorted(starts)} s.")
    tables = [item.metadata for item in given.items]
    carried = {"frame_start": half - float(given.items[0].times[0])}
    if all(table is not None for table in tables):
        carried["table"] = pd.concat(tables, ignore_index=True)
        if "late" in carried["table"]:
            carried["late"] = np.stack(carried["table"]["late"])
        named = "target_names" in carried["table"]
        regions = list(carried["table"]["target_names"].iloc[0]) if named else None
    else:
        regions = None
    return replace(grid, sfreq=rates[0], tmin=None), carried, regions


def raws_of_power(X, grid: FrameGrid) -> tuple[PowerRows, list[mne.io.RawArray]]:
    """Make recordings of the rows of power, which can be cut into windows."""
    power = rows_of_power(what_is(X, "raw"), grid, None, "raw")
    if power.grid.sfreq is None:
        raise ValueError(
            "raw is power in arrays, which carry no rate: reader=Reader(sfreq=...), values per "
            "second."
        )
    names = [f"{channel} {band}" for channel in power.ch_names for band in power.bands]
    info = mne.create_info(names, power.grid.sfreq, "misc", verbose="ERROR")
    rows = [np.asarray(row, dtype=float) for row in power.given.items]
    return power, [mne.io.RawArray(row, info, verbose="ERROR") for row in rows]


def windows_of_power(epochs: mne.EpochsArray, power: PowerRows) -> EpochsTFRArray:
    """Windows of rows as windows of power, each sample in the middle of what it stands for."""
    sfreq, sizes = epochs.info["sfreq"], (len(power.ch_names), len(power.bands))
    info = power.info
    if info is None:
        info = mne.create_info(power.ch_names, sfreq, "eeg", verbose="ERROR")
    data = epochs.get_data(verbose="ERROR")
    centres = [np.mean(edges) if len(edges) else np.nan for edges in power.bands.values()]
    # What has no frequency is counted.
    known = np.isfinite(centres).all() and (np.diff(centres) > 0).all()
    metadata = epochs.metadata.assign(bands=[dict(power.bands)] * len(data))
    return EpochsTFRArray(
        info, data.reshape(len(data), *sizes, -1), epochs.times + 0.5 / sfreq,
        np.array(centres) if known else np.arange(1.0, sizes[1] + 1), events=epochs.events,
        event_id=epochs.event_id, selection=epochs.selection, drop_log=epochs.drop_log,
        metadata=metadata,
    )  # fmt: skip
