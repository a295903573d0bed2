"""The recording of a run: as the tables of BIDS describe it, and as its own file marks it."""

from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from mne.utils import logger

from ..data.cuts import cuts_of
from ._bids_files import check_recording_fetched, one_line, read_table

# Types of channels.tsv, and MNE's; others do not enter.
_TYPES = {
    "eeg": "eeg", "eog": "eog", "veog": "eog", "heog": "eog", "ecg": "ecg", "emg": "emg",
    "ecog": "ecog", "seeg": "seeg", "dbs": "dbs", "trig": "stim", "resp": "resp", "gsr": "gsr",
    "temp": "temperature",
}  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """One recording, and where its annotations come from."""

    raw: mne.io.BaseRaw  # channels, types and events of the tables
    own: mne.io.BaseRaw | None  # the file alone, with its own markers; None: it cannot be opened
    file: Path
    events: Path | None  # the table of events
    by_table: bool  # whether the annotations of raw are those of the table


def read_recording(root: Path, path: Path, datatype: str) -> Recording:
    """Read a recording by mne-bids; channels of its table are matched by their names."""
    try:
        from mne_bids import BIDSPath, get_entities_from_fname, read_raw_bids
    except ImportError:
        raise ImportError(
            "Reading BIDS folders needs mne-bids: pip install mne_samba[bids]."
        ) from None
    check_recording_fetched(path, root)
    entities = get_entities_from_fname(path, on_error="ignore")
    where = BIDSPath(
        root=root, datatype=datatype, extension=path.suffix, check=False,
        **{k: entities.get(k) for k in
           ("subject", "session", "task", "acquisition", "run", "processing", "split")},
        suffix=datatype,
    )  # fmt: skip
    own = _own(path)
    channels, events = (
        where.find_matching_sidecar(suffix=suffix, extension=".tsv", on_error="ignore")
        for suffix in ("channels", "events")
    )
    by_table = events is not None
    options = {} if own is None or channels is None else _by_name(Path(channels), own.ch_names)
    if options and not mne.utils.check_version("mne_bids", "0.19"):
        raise ImportError(
            f"{channels} has another order or spelling of channels than the recording; matching "
            "them needs mne-bids 0.19 or newer: pip install --upgrade mne-bids."
        )
    if events is not None:
        _check_columns(Path(events), ("onset", "duration"))
    try:
        raw = read_raw_bids(where, verbose="ERROR", **options)
        if len(raw.annotations) == 0 and own is not None:
            # scans.tsv may give another date than the file: count from the first sample.
            marks = mne.Annotations(
                own.annotations.onset - own.first_time, own.annotations.duration,
                own.annotations.description,
            )  # fmt: skip
            raw.set_annotations(marks, verbose="ERROR")
            by_table = False
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path.name}: {one_line(error):.300}") from None
    except Exception as error:  # whatever the readers of many formats make of a damaged file
        raise ValueError(f"{path.name} cannot be read: {one_line(error):.300}") from None
    if options.get("on_ch_mismatch") == "warn":
        _describe_channels(raw, read_table(Path(channels)))
    if events is not None:
        _merge_copies(raw, Path(events))
    if own is not None:
        _keep_cuts(raw, own)
    return Recording(raw, own, path, None if events is None else Path(events), by_table)


def annotate(raw, times: np.ndarray, texts) -> None:
    """Add annotations in place at ``times`` (n,), in seconds from the first sample."""
    others = raw.annotations.copy()
    if raw.info["meas_date"] is None:
        # MNE adds first_time whenever annotations are set on a recording without a date.
        others.onset = others.onset - raw.first_time
    onset = times + (0.0 if others.orig_time is None else raw.first_time)
    marks = mne.Annotations(onset, 0.0, texts, orig_time=others.orig_time)
    raw.set_annotations(others + marks, verbose="ERROR")


def _keep_cuts(raw, own) -> None:
    """Mark in place the interruptions that the file knows and its table of events does not."""
    known, near = [cut.time for cut in cuts_of(raw)], 1.5 / own.info["sfreq"]
    lost = [cut for cut in cuts_of(own) if all(abs(cut.time - time) > near for time in known)]
    if lost:
        annotate(raw, np.array([cut.time for cut in lost]), [cut.name for cut in lost])


def _own(path: Path):
    """Open the file alone; None where it takes more than its name to open it."""
    options = {"allow_maxshield": True} if path.suffix == ".fif" else {}
    try:
        return mne.io.read_raw(path, verbose="ERROR", **options)
    except Exception as error:  # mne-bids opens it too, and its error is the one to show
        logger.debug("%s cannot be opened alone: %s", path.name, one_line(error))
        return None


def _check_columns(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    table = read_table(path)
    lacking = [name for name in needed if name not in table.columns]
    if lacking:
        raise ValueError(
            f"{path} must have the columns {list(needed)}, it has {list(table.columns)[:12]}."
        )
    return table


def _by_name(path: Path, ch_names: list[str]) -> dict[str, str]:
    """Options of mne-bids that match the rows of a table of channels with those of the file."""
    names = list(_check_columns(path, ("name",))["name"])
    if "STI 014" not in names:  # which MNE makes of the file's events
        ch_names = [name for name in ch_names if name != "STI 014"]
    if names == ch_names or len(names) != len(ch_names):
        return {}  # mne-bids goes by names where their numbers differ
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: the channels {twice[:8]} have more than one row: keep one each.")
    if set(names) == set(ch_names):
        logger.info("%s has another order of channels than the file; they take its order.", path)
        return {"on_ch_mismatch": "reorder"}
    alike = [(old, new) for old, new in zip(ch_names, names, strict=True) if old != new]
    if all(old.casefold() == new.casefold() for old, new in alike):
        said = ", ".join(f"{old} to {new}" for old, new in alike[:8])
        logger.info("%s spells channels otherwise than the file; renamed %s.", path, said)
        return {"on_ch_mismatch": "rename"}
    if _keys(names) == _keys(ch_names) and len(_keys(names)) == len(names):
        logger.info("%s has channels in another order and spelling than the file.", path)
        return {"on_ch_mismatch": "warn"}
    ours, theirs = [n for n in names if n not in ch_names], [c for c in ch_names if c not in names]
    raise ValueError(
        f"{path} has channels {ours[:8]} that the recording has not; the recording has "
        f"{theirs[:8]} that the table has not. Write the names of the recording into the column "
        "name."
    )


def _keys(names: list[str]) -> set[str]:
    return {name.casefold() for name in names}


def _describe_channels(raw, table: pd.DataFrame) -> None:
    """Give channels in place the order, names, types and status of their table, whatever case."""
    by_key = {name.casefold(): name for name in raw.ch_names}
    names = list(table["name"])
    rest = [name for name in raw.ch_names if name.casefold() not in _keys(names)]
    raw.reorder_channels([by_key[name.casefold()] for name in names] + rest)
    raw.rename_channels({by_key[name.casefold()]: name for name in names}, verbose="ERROR")
    if "type" in table:
        kinds = table["type"].str.lower()
        types = {
            name: _TYPES.get(kind, "misc")
            for name, kind in zip(names, kinds, strict=True) if not kind.startswith(("meg", "hlu"))
        }  # fmt: skip
        raw.set_channel_types(types, on_unit_change="ignore", verbose="ERROR")
    if "status" in table:
        raw.info["bads"] = list(table.loc[table["status"].str.lower() == "bad", "name"])


def _merge_copies(raw, path: Path) -> None:
    """Drop annotations in place that stem from exact copies of a row of the table."""
    table = read_table(path)
    copies = int(table.duplicated().sum())
    if not copies:
        return
    marks = raw.annotations
    seen = pd.DataFrame(
        {"onset": marks.onset, "duration": marks.duration, "description": marks.description}
    ).duplicated()
    marks.delete(np.flatnonzero(seen))
    logger.info("%s: %d rows are exact copies of others; they are merged.", path.name, copies)
