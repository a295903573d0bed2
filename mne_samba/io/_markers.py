"""Which markers of a recording are its volumes: table of events and the file's own compared."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from mne.utils import logger, warn

from ..data.triggers import BEAT, FRAME_EVENT, SEAM, USUAL, volume_triggers
from ._bids_files import read_table
from ._recording import Recording

# What people do comes as regularly as volumes with a short t_r.
_BODY = re.compile(
    r"heart|ecg|ekg|cardiac|pulse.?art|qrs|(^|\W)r.?(peak|wave)|breath|(^|\W)resp($|irat)|blink",
    re.IGNORECASE,
)
# Share of t_r by which markers without a usual name may come unevenly, half of them.
_EVEN = 0.01
# Onsets are rounded to the millisecond and to samples; more is a contradiction.
_TOLERANCE = 0.01


def find_volume_event(raw, t_r: float, n_volumes: int, told: float | None = None) -> str:
    """Tell which annotations mark volumes: as often as there are volumes, ``t_r`` apart."""
    kinds = _kinds(raw, t_r, n_volumes)
    if not kinds:
        raise ValueError(_no_event(raw, told=told))
    _say(raw, kinds)
    return kinds[0][1]


def _kinds(raw, t_r: float, n_volumes: int) -> list[tuple[tuple, str]]:
    """Annotations that may mark volumes, likeliest first: their rank and description."""
    found = []
    for text in dict.fromkeys(map(str, raw.annotations.description)):
        if text == FRAME_EVENT or BEAT.match(text) or SEAM.match(text):
            continue
        times = raw.annotations.onset[raw.annotations.description == text]
        if len(times) < 3:
            continue
        gaps = np.diff(np.sort(times))
        gaps = gaps[gaps > 0.25 * t_r]
        regular = len(gaps) > 0 and np.mean(np.abs(gaps / np.median(gaps) - 1) < 0.1) > 0.8
        spaced = regular and abs(np.median(gaps) / t_r - 1) < 0.1
        usual = bool(USUAL.search(text))
        if not usual and len(gaps):
            uneven = np.median(np.abs(gaps - np.median(gaps)))
            if _BODY.search(text) or uneven > max(_EVEN * t_r, 1.5 / raw.info["sfreq"]):
                continue
        # The right spacing first, then a usual name, then any regular event (t_r may be wrong).
        if regular or usual:
            found.append(((spaced, usual, regular, -abs(len(times) - n_volumes)), text))
    return sorted(found, key=lambda kind: kind[0], reverse=True)


def _say(raw, kinds) -> None:
    """Name the event that was chosen, and another one that would fit as well."""
    best, text = kinds[0]
    times = _onsets(raw, text)
    logger.info("Volumes are marked by %r (%d times).", text, len(times))
    for rank, other in kinds[1:]:
        alike = rank[:3] == best[:3] and (rank[3] == 0) == (best[3] == 0)
        if best[0] and alike and _difference(_onsets(raw, other), times)[1]:
            warn(
                f"{text!r} ({len(times)} times) and {other!r} ({len(_onsets(raw, other))} times) "
                f"come both as volumes do; {text!r} is taken. Pass volume_event to choose."
            )
            return


def _onsets(raw, text: str) -> np.ndarray:
    return np.sort(raw.annotations.onset[raw.annotations.description == text])


def _no_event(raw, also: str = "", told: float | None = None) -> str:
    said = pd.Series(raw.annotations.description, dtype=str)
    listed = {str(text): int(n) for text, n in said.value_counts(sort=False).items()}
    beats = [text for text in listed if BEAT.match(text)]
    clock = f" {beats} is the beat of the amplifier's clock, no volume." if beats else ""
    return (
        f"No events mark volumes: the recording has annotations {listed}{also}.{clock} Pass "
        "volume_event (a description, a stim channel, or an array of times), or volume_event=None "
        "with first_volume (seconds from the first sample; in the command line --first-volume)."
        + ("" if told is None else f" scans.tsv says {told:.6g} s, by clocks that may differ.")
    )


def choose_markers(
    recording: Recording, volume_event, t_r: float, n_volumes: int, told: float | None = None
):
    """Volume event to read frames by (a name, or times in s), and a description of its origin."""
    # The table of events comes first, then the recording's own file; where both have volumes they
    # must agree. ``told`` is when scans.tsv has BOLD begin.
    raw, own, events = recording.raw, recording.own, recording.events
    if not isinstance(volume_event, str):
        return volume_event, {}
    auto = volume_event == "auto"
    if not auto and volume_event in raw.ch_names and not _marks(raw, volume_event):
        return volume_event, {}
    if events is not None:
        check_events(events, raw, t_r)
    if events is None or own is None or not recording.by_table:
        name = find_volume_event(raw, t_r, n_volumes, told) if auto else volume_event
        if events is None or recording.by_table:
            source = recording.file if events is None else events
        else:
            source = recording.file
            logger.info("%s has no volumes; %r of %s marks them.", events.name, name, source.name)
        return name, {"volume_event": name, "volume_source": source.name}
    if auto:
        ours, theirs = _kinds(raw, t_r, n_volumes), _kinds(own, t_r, n_volumes)
        # A wrong t_r leaves none with the right spacing: any regular event then serves the error.
        take_table = bool(ours) and (ours[0][0][0] or not theirs or not theirs[0][0][0])
        if not ours and not theirs:
            raise ValueError(_no_event(raw, _and_file(recording), told))
        _say(*((raw, ours) if take_table else (own, theirs)))
        name = (ours if take_table else theirs)[0][1]
        others = [text for rank, text in theirs if rank[0]]
    else:
        name, take_table = volume_event, _marks(raw, volume_event)
        if not take_table and not _marks(own, volume_event):
            raise ValueError(
                f"No events found for volume_event={volume_event!r}. "
                + _no_event(raw, _and_file(recording))
            )
        others = [volume_event] if _marks(own, volume_event) else []
    if take_table:
        if not auto and not others:
            # Another event may share the rhythm, hardly its number and every single distance.
            spaced = [text for rank, text in _kinds(own, t_r, n_volumes) if rank[0]]
            _check_agree(recording, name, spaced, only_exact=True)
        _check_agree(recording, name, others)
        _check_samples(events, raw, volume_triggers(raw, name))
        if not others:
            _doubt_zero(recording, name, t_r)
        return name, {"volume_event": name, "volume_source": events.name}
    _check_samples(events, raw, raw.annotations.onset - raw.first_time)
    logger.info("%s has no volumes; %r of %s marks them.", events.name, name, recording.file.name)
    described = {"volume_event": name, "volume_source": recording.file.name}
    return volume_triggers(own, name), described


def _doubt_zero(recording: Recording, name: str, t_r: float) -> None:
    """Warn of a table whose first volume is the first sample, where nothing else tells."""
    times = volume_triggers(recording.raw, name)
    duration = recording.raw.n_times / recording.raw.info["sfreq"]
    rest = duration - times[-1] - t_r
    if times[0] < _TOLERANCE and rest > t_r:
        warn(
            f"{recording.events.name}: the first volume {name!r} has onset 0, but "
            f"{recording.file.name} goes on for {rest:.4g} s after the last one. If the onsets "
            "count from the first volume, not from the first sample of the recording, add the "
            "seconds between the two to the column onset."
        )


def fits(recording: Recording, volume_event, t_r: float, n_volumes: int) -> bool:
    """Whether the volume markers of a recording come every ``t_r``."""
    if volume_event is None:
        return False
    try:
        event, _ = choose_markers(recording, volume_event, t_r, n_volumes)
        times = volume_triggers(recording.raw, event)
    except (ValueError, TypeError):
        return False
    return len(times) > 2 and abs(float(np.median(np.diff(times))) / t_r - 1) < 0.01


def _marks(raw, name: str) -> bool:
    return any(name == text or name in text.split("/") for text in raw.annotations.description)


def _and_file(recording: Recording) -> str:
    said = pd.Series(recording.own.annotations.description, dtype=str)
    listed = {str(text): int(n) for text, n in said.value_counts(sort=False).items()}
    return f" (of {recording.events.name}), its file {recording.file.name} {listed}"


def _difference(table: np.ndarray, file: np.ndarray) -> tuple[float, bool, bool]:
    """Seconds by which volumes come later in the table, whether they differ, whether exactly so."""
    whole = len(table) == len(file)
    if whole:
        late = table - file
    else:
        after = np.clip(np.searchsorted(file, table), 1, len(file) - 1)
        nearest = np.where(table - file[after - 1] < file[after] - table, after - 1, after)
        late = table - file[nearest]
        outside = (table < file[0] - _TOLERANCE) | (table > file[-1] + _TOLERANCE)
        # The table may hold volumes whose markers the file lost, but not others in their place.
        if outside.sum() > max(len(table) - len(file), 0):
            late = np.r_[late, np.full(len(table), table[0] - file[0])]
    shift = float(np.median(late))
    scattered = float(np.mean(np.abs(late - shift) > _TOLERANCE))
    return shift, abs(shift) > _TOLERANCE or scattered > 0.1, whole and scattered == 0.0


def _check_agree(
    recording: Recording, name: str, others: list[str], only_exact: bool = False
) -> None:
    """Refuse a table whose volumes lie where no likely event of the recording's own file does."""
    ours = volume_triggers(recording.raw, name)
    every = [(text, volume_triggers(recording.own, text)) for text in others]
    found = [(t, times, *_difference(ours, times)) for t, times in every if len(times) > 1]
    found = [one for one in found if one[4] or not only_exact]
    if len(ours) < 2 or not found or not all(differ for _, _, _, differ, _ in found):
        return
    other, theirs, shift, _, exact = found[0]
    events, file = recording.events, recording.file
    said = (
        f"{events.name} and {file.name} contradict each other: the volumes {name!r} of the table "
        f"({len(ours)}, the first at {ours[0]:.6g} s) are not where {other!r} of the file "
        f"({len(theirs)}, the first at {theirs[0]:.6g} s) has them. "
    )
    if exact:
        said += (
            f"All of the table come {abs(shift):.6g} s {'later' if shift > 0 else 'earlier'} (do "
            "its onsets count from the first volume?): "
            f"{'subtract' if shift > 0 else 'add'} {abs(shift):.6g} s "
            f"{'from' if shift > 0 else 'to'} its column onset, or remove"
        )
    else:
        said += "Correct its column onset, or remove"
    raise ValueError(
        f"{said} its volumes to take those of the file. volume_event as an array of times (s from "
        f"the first sample) overrides both. {_off_samples(events, recording.raw, ours)}".strip()
    )


def check_events(path: Path, raw, t_r: float) -> None:
    """Refuse a table whose onsets are no seconds of this recording."""
    table = read_table(path)
    onset = pd.to_numeric(table["onset"], errors="coerce").to_numpy(dtype=float)
    duration = raw.n_times / raw.info["sfreq"]
    known = onset[np.isfinite(onset)]
    if len(known) and np.mean(known > duration + t_r) > 0.5:
        raise ValueError(
            f"{path.name}: the onsets go up to {known.max():.10g}, but the recording lasts "
            f"{duration:.6g} s: they are no seconds, as BIDS has them. {_unit(table, onset, t_r)}"
        )


def _off_samples(path: Path, raw, times: np.ndarray) -> str:
    """Words for what the column sample of the events at ``times`` says against their onsets."""
    table, sfreq = read_table(path), raw.info["sfreq"]
    if "sample" not in table.columns:
        return ""
    onset, sample = (
        pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)
        for name in ("onset", "sample")
    )
    rows = np.flatnonzero(np.isfinite(sample) & np.isin(onset.round(6), np.round(times, 6)))
    onset, sample = onset[rows], sample[rows]
    late, tolerance = onset - sample / sfreq, max(_TOLERANCE, 1.5 / sfreq)
    if not len(rows) or np.mean(np.abs(late) > tolerance) <= 0.1:
        return ""
    rate = float(np.median(sample[onset > 0] / onset[onset > 0])) if (onset > 0).any() else 0.0
    if rate > sfreq and np.mean(np.abs(onset - sample / rate) > tolerance) <= 0.1:
        # A recording that was resampled later: seconds are still seconds.
        logger.info("%s: sample counts at %.6g Hz, the recording has %g Hz.", path, rate, sfreq)
        return ""
    row = int(np.argmax(np.abs(late)))
    return (
        f"{path.name}: the columns onset and sample contradict each other at {sfreq:g} Hz: row "
        f"{rows[row]} has onset {onset[row]:.6g} s, but sample {sample[row]:.10g} "
        f"({sample[row] / sfreq:.6g} s). "
    )


def _check_samples(path: Path, raw, times: np.ndarray) -> None:
    """Refuse a table in which the events at ``times`` have samples that are not their onsets."""
    said = _off_samples(path, raw, times)
    if said:
        raise ValueError(
            f"{said}Correct the wrong one, or remove the column sample; volume_event as an array "
            "of times (s from the first sample) overrides both."
        )


def _unit(table: pd.DataFrame, onset: np.ndarray, t_r: float) -> str:
    """Guess what onsets count, from the commonest event, which mostly marks volumes."""
    kinds = [c for c in table.columns if c not in ("onset", "duration", "sample", "stim_file")]
    groups = table[kinds].agg("/".join, axis=1) if kinds else pd.Series("", index=table.index)
    often = groups.value_counts().index[0]
    gap = float(np.median(np.diff(np.sort(onset[(groups == often) & np.isfinite(onset)]))))
    rate = gap / t_r
    if rate > 50 and abs(rate - round(rate)) < 1e-3 * rate:
        what = "milliseconds" if round(rate) == 1000 else f"samples at {round(rate)} Hz"
        return (
            f"{often!r} comes every {gap:.10g}, which is t_r={t_r:g} s in {what}: divide the "
            f"column onset by {round(rate)}."
        )
    return "Are they samples? Divide the column onset by the rate at which they count."
