"""Scanner triggers: read, held against the repetition time, made into volume starts."""

import numbers
import re
from collections import Counter

import mne
import numpy as np
import pandas as pd
from mne.utils import logger, warn

from .._checks import check_number, listed
from .segments import IRREGULAR

#: Description of the annotations that mark the time of every frame of BOLD.
FRAME_EVENT = "bold_frame"
#: What scanners and amplifiers call a volume, where spacing alone does not tell.
USUAL = re.compile(r"r128|volume|(^|\W)tr($|\W)|scan|slice|t\s+1$|mri|fmri", re.IGNORECASE)
#: The beat of an amplifier's clock, which comes every 2 s as volumes may.
BEAT = re.compile(r"syncstatus|sync o(n|ff)", re.IGNORECASE)
#: Seams of a recording.
SEAM = re.compile(r"bad|edge|boundary|new segment", re.IGNORECASE)
# EEG and scanner clocks differ by tens of ppm; a wrong t_r is off by a thousand ppm or more.
_MAX_DRIFT = 5e-4
# More dummy scans than that, lasting longer (s), are hardly any.
_MANY_DUMMIES, _LONG_DUMMIES = 5, 15.0
# Share of the repetition time by which one trigger may come early or late.
_JITTER = 0.1

_CORRECT = (
    "Correct the annotations or the stim channel, or pass first_volume without volume_event to "
    "place all volumes on a regular grid."
)
_ANNOTATE = (
    "annotate them: raw.annotations.append(times + raw.first_time, 0.0, 'volume'), and pass "
    "volume_event='volume'."
)
_PAUSED = (
    "If it was, cut recording and BOLD there and pass two recordings; if only markers are lacking, "
    "add them, or pass the times of all volumes as an array."
)


def volume_triggers(raw, volume_event) -> np.ndarray:
    """Read the times (n_triggers,) of the volume triggers of the scanner."""
    times = given_times(volume_event)
    if times is not None:
        _refuse_other_zero(raw, times)
        return np.sort(times)
    if isinstance(volume_event, str):
        times = _from_annotations(raw, volume_event)
        if times is None and volume_event in raw.ch_names:
            times = _from_channel(raw, volume_event, None)
        if times is None:
            raise ValueError(
                f"No events found for volume_event={volume_event!r}. {_what_there_is(raw)} Give "
                "one of these, (channel, value), or first_volume (s) without volume_event."
            )
        return times
    if (
        isinstance(volume_event, (tuple, list))
        and len(volume_event) == 2
        and isinstance(volume_event[0], str)
    ):
        channel = volume_event[0]
        value = check_number(volume_event[1], "The value in volume_event", integer=True)
        if channel not in raw.ch_names:
            raise ValueError(f"volume_event: no channel {channel!r}. {_what_there_is(raw)}")
        return _from_channel(raw, channel, value)
    said = f"{' '.join(repr(volume_event).split()):.80}"
    if isinstance(volume_event, (tuple, list)) and any(np.ndim(value) for value in volume_event):
        said += f". Where every recording has times of its own, {_ANNOTATE[:-1]}"
    raise TypeError(
        "volume_event must be None, the description of annotations, the name of a stim channel, "
        f"(channel, value), or an array of times in seconds; got {said}."
    )


def refuse_shared_times(volume_event, n_recordings: int) -> None:
    """Refuse one array of times for several recordings, each of which has its own clock."""
    if n_recordings > 1 and given_times(volume_event) is not None:
        raise ValueError(
            f"volume_event is one array of times, but there are {n_recordings} recordings, each "
            f"with its own: {_ANNOTATE}"
        )


def given_times(volume_event) -> np.ndarray | None:
    """Read times of volumes themselves (n_volumes,), in s from the first sample; else None."""
    if isinstance(volume_event, (list, tuple)) and len(volume_event):
        if not all(isinstance(value, numbers.Real) for value in volume_event):
            return None
        volume_event = np.asarray(volume_event)
    if isinstance(volume_event, pd.Series):
        volume_event = volume_event.to_numpy()
    if not isinstance(volume_event, np.ndarray):
        return None
    if volume_event.ndim != 1 or not len(volume_event) or volume_event.dtype.kind not in "iuf":
        raise TypeError(
            "volume_event as an array holds the times of volumes, (n_volumes,) in seconds from "
            f"the first sample; got shape {volume_event.shape} of {volume_event.dtype}."
        )
    if not np.isfinite(volume_event).all():
        raise ValueError("volume_event as an array of times contains NaN or infinite values.")
    return np.asarray(volume_event, dtype=float)


def _refuse_other_zero(raw, times: np.ndarray) -> None:
    """Refuse times (n,) of events that count from the measurement's start, not the first sample."""
    if not raw.first_samp:
        return
    sfreq = raw.info["sfreq"]

    def met(onsets):  # share of times that are samples of these events
        near = np.searchsorted(np.sort(onsets), times)[:, np.newaxis] + [-1, 0]
        near = np.sort(onsets)[np.clip(near, 0, len(onsets) - 1)]
        return np.mean(np.abs(near - times[:, np.newaxis]).min(axis=1) < 0.75 / sfreq)

    marks = raw.annotations
    kinds = {
        f"annotations {text!r}": marks.onset[marks.description == text] - raw.first_time
        for text in dict.fromkeys(map(str, marks.description))
    }
    for i in mne.pick_types(raw.info, stim=True, exclude=[]):
        line = raw.get_data(picks=[i], verbose="ERROR")[0]
        onset = np.flatnonzero(line != np.r_[0, line[:-1]]) / sfreq
        kinds[f"channel {raw.ch_names[i]!r}"] = onset
    shares = {
        what: (met(onsets + raw.first_time), met(onsets))
        for what, onsets in kinds.items() if len(onsets)
    }  # fmt: skip
    what, (from_start, _) = max(shares.items(), key=lambda i: i[1][0], default=("", (0.0, 0.0)))
    # Events that come every t_r meet most times again after a shift by whole volumes.
    if from_start > max(0.8, *(share for _, share in shares.values())):
        raise ValueError(
            f"The times of volume_event are those of {what} from the start of the "
            f"measurement, {raw.first_time:.6g} s before the first sample of this recording; they "
            "count from the first sample: pass volume_event=times - raw.first_time."
        )


def _what_there_is(raw) -> str:
    said = Counter(map(str, raw.annotations.description)).most_common(12)
    described = ", ".join(f"{t!r} ({f'{n} times' if n > 1 else 'once'})" for t, n in said) or "none"
    stim = [raw.ch_names[i] for i in mne.pick_types(raw.info, stim=True, exclude=[])]
    return f"The recording has annotations {described} and stim channels {stim}."


def _from_annotations(raw, name: str) -> np.ndarray | None:
    found = [name == text or name in text.split("/") for text in raw.annotations.description]
    if not any(found):
        return None
    texts = {str(t) for t, is_it in zip(raw.annotations.description, found, strict=True) if is_it}
    beats = sorted(text for text in texts if BEAT.match(text))
    if beats:
        raise ValueError(
            f"volume_event={name!r} means {beats}, the beat of the amplifier's clock, no volume. "
            f"{_what_there_is(raw)} Give the marker of the scanner, the times of its volumes, or "
            "first_volume (s) without volume_event."
        )
    # Onsets count from the measurement's start, also in a cropped recording.
    times = np.sort(raw.annotations.onset[np.array(found)] - raw.first_time)
    # A crop keeps the marker that stands at its very end: nothing of that volume is recorded.
    return times[times < (raw.n_times - 0.5) / raw.info["sfreq"]]


def _from_channel(raw, channel: str, value: int | None) -> np.ndarray:
    values = raw.get_data(picks=[channel], verbose="ERROR")[0]
    if not (np.abs(values) < 2**62).all():
        raise ValueError(f"Channel {channel!r} holds no event codes: some are NaN or too large.")
    line = np.rint(values).astype(np.int64)
    if values.any() and not line.any():
        raise ValueError(
            f"No events found in channel {channel!r}: its values, {values.min():.3g} to "
            f"{values.max():.3g}, all round to zero. Event codes are whole numbers: where a reader "
            "took them for microvolts, multiply by 1e6; otherwise name a stim channel."
        )
    before = np.concatenate([[0], line[:-1]])  # a recording may be cropped to its first trigger
    onset = np.flatnonzero((line != before) & (line != 0))
    values, counts = np.unique(line[onset], return_counts=True)
    listed = ", ".join(f"{v} ({n} times)" for v, n in zip(values[:12], counts[:12], strict=True))
    if not len(onset):
        raise ValueError(f"No events found in channel {channel!r}: it is zero or never changes.")
    if value is None:
        if len(values) > 1:
            raise ValueError(
                f"Channel {channel!r} holds several kinds of events: {listed}. Give the volume "
                f"trigger as volume_event=({channel!r}, value)."
            )
        value = values[0]
    onset = onset[line[onset] == value]
    if not len(onset):
        raise ValueError(
            f"No events found in channel {channel!r} at value {value}: it has {listed}."
        )
    return onset / raw.info["sfreq"]


def volume_starts(
    times: np.ndarray,
    *,
    t_r: float,
    sfreq: float,
    n_frames: int | None,
    n_dummy: int = 0,
    n_targets: int | None = None,
    all_volumes: bool = False,
    duration: float | None = None,
) -> np.ndarray:
    """Check triggers ``times`` (n_triggers,) of a run; give starts (n_frames,) of its volumes."""
    # They come once per volume, ``t_r`` apart, or irregularly where the user gave ``all_volumes``;
    # volumes follow them where the clocks drift. ``duration`` (s) is of the recording.
    if len(times) == 1:
        if (n_frames or 1) + n_dummy == 1:
            return np.array(times, float)
        raise ValueError(
            f"volume_event marks one event only, at {times[0]:g} s, but there are "
            f"{'several' if n_frames is None else n_frames + n_dummy} volumes. If it marks the "
            f"start of the scan, pass first_volume={times[0]:g} instead of volume_event."
        )
    _refuse_slices(times, t_r)
    period = _typical_period(times, t_r)
    if abs(period / t_r - 1) > _JITTER:
        raise ValueError(_wrong_unit(period, t_r, sfreq) or _wrong_spacing(period, t_r, len(times)))
    gaps = np.diff(times)
    whole = n_frames is not None and len(times) == n_frames + n_dummy
    if all_volumes and whole and (np.abs(gaps / t_r - 1) < 0.5).all() and _irregular(gaps):
        return times[n_dummy:].copy()
    volume, faults = _number_triggers(times, period, sfreq)
    if faults and _irregular(gaps):
        raise ValueError(
            f"The {len(times)} triggers of volume_event come irregularly, {gaps.min():.4g} to "
            f"{gaps.max():.4g} s apart (on average {gaps.mean():.4g} s), where t_r={t_r:g} s. If "
            "each of them marks a volume, as in gated scans, pass the mean as t_r and their times "
            "as an array, in seconds from the first sample; for annotations: times = "
            "np.sort(raw.annotations.onset[raw.annotations.description == description]) - "
            f"raw.first_time; t_r={gaps.mean():.6g}, volume_event=times."
        )
    good = volume >= 0
    slope = period
    if good.sum() > 1:
        slope = np.polyfit(volume[good], times[good], 1)[0]
    span = t_r * max(int(volume.max()), 1)
    if abs(slope / t_r - 1) > _MAX_DRIFT + 2.0 / (sfreq * span) + _wander(
        times[good], volume[good], t_r
    ) and not any("pause" in f for f in faults):
        raise ValueError(_wrong_spacing(slope, t_r, len(times)))
    if faults:
        raise ValueError(
            f"The triggers of volume_event do not fit t_r={t_r:g} s: {'; '.join(faults)}. "
            "(Volumes are counted from 0, dummy scans included.) "
            + (_PAUSED if any("paused" in fault for fault in faults) else _CORRECT)
        )
    _check_count(times, n_frames, n_dummy, n_targets, t_r, duration)
    _doubt_dummies(n_dummy, t_r)
    _report_drift(slope, t_r, sfreq, int(volume.max()))
    return _placed(times, volume, max(1.5 / sfreq, IRREGULAR))[n_dummy:].copy()


def _irregular(gaps: np.ndarray) -> bool:
    """Whether most triggers, not some of them, miss a regular spacing."""
    middle = np.median(gaps)
    return bool(np.median(np.abs(gaps - middle)) > 0.4 * _JITTER * middle)


def _wander(times: np.ndarray, volume: np.ndarray, t_r: float) -> float:
    """Share of t_r by which the mean spacing of irregular volumes is uncertain."""
    steps = np.diff(times) / np.diff(volume)
    spread = np.median(np.abs(steps - np.median(steps))) if len(steps) else 0.0
    return 0.0 if spread < IRREGULAR else 5 * spread / (t_r * np.sqrt(len(steps)))


def _placed(times: np.ndarray, volume: np.ndarray, tolerance: float) -> np.ndarray:
    """Find the starts of volumes from their triggers, (n_volumes,) both."""
    # A line averages the rounding to samples away, also where a marker now and then comes late.
    # Where it does not hold, volumes are irregular, and the triggers are the truth.
    half = max(len(times) // 2, 1)
    steps = (times[half:] - times[:-half]) / (volume[half:] - volume[:-half])
    slope = np.median(steps)
    off = times - slope * volume
    on_line = np.abs(off - np.median(off)) <= tolerance
    if on_line.sum() < 2:
        return times
    line = np.polyval(np.polyfit(volume[on_line], times[on_line], 1), volume)
    astray = np.flatnonzero(np.abs(line - times) > tolerance)
    if not len(astray):
        return line
    # What begins or ends a recording together is no marker that comes late, but samples lost.
    regular = np.flatnonzero(np.abs(line - times) <= tolerance)
    at_an_end = max(regular[0], len(times) - 1 - regular[-1])
    if len(astray) > 0.1 * len(times) or at_an_end > 2:
        return times
    logger.info(
        "%d of %d markers are off by up to %.0f ms while the others come regularly: volumes %s lie "
        "on the line through these.",
        len(astray), len(times), 1e3 * np.abs(line - times).max(), _ranges(astray.tolist()),
    )  # fmt: skip
    return line


def _typical_period(times: np.ndarray, t_r: float) -> float:
    """Median spacing; a trigger that follows another at once counts only where t_r is wrong."""
    kept = [times[0]]
    for time in times[1:]:
        if time - kept[-1] > 0.25 * t_r:
            kept.append(time)
    period = float(np.median(np.diff(kept))) if len(kept) > 1 else 0.0
    return period if abs(period / t_r - 1) <= _JITTER else float(np.median(np.diff(times)))


def _wrong_unit(period: float, t_r: float, sfreq: float) -> str | None:
    """Say what times are in that are no seconds: milliseconds or samples come ``t_r`` apart."""
    factor = period / t_r
    units = [
        ("milliseconds", 1000.0, "1000"),
        ("samples", sfreq, f"raw.info['sfreq'] ({sfreq:g} Hz)"),
        ("microseconds", 1e6, "1e6"),
    ]
    if factor > 100 and abs(factor - round(factor)) < 1e-3 * factor:
        rate = float(f"{factor:.4g}")  # whole samples leave the last digits open
        units.append(("samples, of another rate than the recording's", rate, f"{rate:.10g}"))
    for unit, per_second, line in units:
        if per_second > 2 and abs(factor / per_second - 1) <= _JITTER:
            return (
                f"The times of volume_event come every {period:.6g}, which is t_r={t_r:g} s in "
                f"{unit}: times are in seconds from the first sample, divide them by {line}."
            )
    return None


def _wrong_spacing(period: float, t_r: float, n_triggers: int) -> str:
    message = (
        f"t_r={t_r:g} s, but the {n_triggers} triggers of volume_event (volumes 0 to "
        f"{n_triggers - 1}) come every {period:.6g} s. "
    )
    per_volume = t_r / period if period > 0 else np.inf
    if 1.9 < per_volume < 200 and abs(per_volume - round(per_volume)) < 0.05:
        n = round(per_volume)
        message += f"That is {n} triggers per t_r: do they mark slices, or is t_r wrong? "
        if n_triggers % n:
            return message + (
                f"{n_triggers % n} of them are left over: the first volume or the last is not "
                f"whole. Find k, the slices before the first whole volume. {_first_of(n, 'k')}"
            )
        return message + _first_of(n)
    return message + f"If the triggers mark volumes, pass t_r={period:.6g}. Is t_r in seconds?"


def _first_of(n: int, first: str = "") -> str:
    """Line that takes the volumes among the triggers of ``n`` slices each, from ``first`` on."""
    return (
        f"Of slices, pass one in {n} as times in seconds from the first sample, for annotations: "
        "times = np.sort(raw.annotations.onset[raw.annotations.description == description]) - "
        f"raw.first_time; volume_event=times[{first}::{n}]."
    )


def _refuse_slices(times: np.ndarray, t_r: float) -> None:
    """Refuse bursts of triggers, one burst per volume, with a gap between them."""
    starts = np.flatnonzero(np.r_[True, np.diff(times) > 1.5 * np.median(np.diff(times))])
    sizes, between = np.diff(starts), np.diff(times[starts])
    # The first and the last volume may have been recorded in part.
    whole = sizes[1:] if len(sizes) > 1 else sizes
    if len(sizes) < 2 or whole[0] < 3 or np.ptp(whole) or sizes[0] > whole[0]:
        return
    if np.abs(between[1:] / t_r - 1).max(initial=0.0) <= _JITTER:
        n, partial = int(whole[0]), int(sizes[0]) % int(whole[0])
        said = (
            f"; the first volume lacks {n - partial} of them and is left out, drop its frame too"
            if partial
            else ""
        )
        raise ValueError(
            f"The {len(times)} triggers of volume_event come in bursts of {n}, one burst per "
            f"t_r={t_r:g} s: they mark slices{said}. {_first_of(n, str(partial or ''))}"
        )


def _number_triggers(times, period, sfreq) -> tuple[np.ndarray, list[str]]:
    """Volume of each trigger (-1 where it is one too many), and what is wrong in words."""
    tolerance = max(_JITTER * period, 2.0 / sfreq)
    gaps = np.diff(times)
    regular = np.abs(gaps - period) <= tolerance
    last = _first_regular(times, period, tolerance)
    volume = np.full(len(times), -1)
    volume[last] = 0
    missing, faults = [], []
    if last:
        faults.append(
            f"{last} event{'s' if last > 1 else ''} at {_times(times[:last])} before the first "
            "regular trigger belong to no volume"
        )
    for i in range(last + 1, len(times)):
        gap = times[i] - times[last]
        steps = int(np.rint(gap / period))
        if steps and abs(gap - steps * period) <= tolerance:
            missing += range(volume[last] + 1, volume[last] + steps)
        elif gap > period and regular[i:].size and regular[i : i + 2].all():
            faults.append(
                f"a pause of {gap:.4g} s between volumes {volume[last]} and {volume[last] + 1} "
                f"(at {times[last]:.6g} s): cut the recording there and pass two"
            )
            steps = 1
        elif gap > period:
            faults.append(
                f"an event at {times[i]:.6g} s is no whole number of t_r after volume "
                f"{volume[last]} (at {times[last]:.6g} s) and belongs to no volume"
            )
            continue
        else:
            faults.append(
                f"volume {volume[last]} has more than one trigger (at {times[last]:.6g} s and "
                f"{times[i]:.6g} s)"
            )
            continue
        volume[i] = volume[last] + steps
        last = i
    if missing:
        expected = np.interp(missing, volume[volume >= 0], times[volume >= 0])
        faults.append(
            f"volume{'s' if len(missing) > 1 else ''} {_ranges(missing)} "
            f"{'have' if len(missing) > 1 else 'has'} no trigger (expected at {_times(expected)}"
            + ("; was the recording paused?)" if _longest_run(missing) > 2 else ")")
        )
    if len(faults) > 6:
        faults = [*faults[:5], f"and {len(faults) - 5} more faults"]
    return volume, faults


def _longest_run(numbers: list[int]) -> int:
    """Most numbers in a row of an ascending list."""
    return max(map(len, np.split(np.asarray(numbers), np.flatnonzero(np.diff(numbers) > 1) + 1)))


def _first_regular(times, period, tolerance) -> int:
    """Find the first event that one of the next few follows after a whole number of periods."""
    for i in range(len(times) - 1):
        gaps = times[i + 1 : i + 4] - times[i]
        steps = np.maximum(np.rint(gaps / period), 1)
        if (np.abs(gaps - steps * period) <= tolerance).any():
            return i
    return 0


def _check_count(times, n_frames, n_dummy, n_targets, t_r, duration) -> None:
    n_triggers = len(times)
    if n_frames is None:
        if n_triggers <= n_dummy:
            raise ValueError(f"There are {n_triggers} volume triggers, but n_dummy={n_dummy}.")
        return
    extra = n_triggers - n_frames - n_dummy
    if extra == 0:
        return
    said = (
        f"BOLD has {n_frames} frames and n_dummy={n_dummy}, which makes {n_frames + n_dummy} "
        f"volumes, but volume_event marks {n_triggers}"
    )
    if n_targets is not None and n_targets != n_frames and n_targets + n_dummy == n_triggers:
        raise ValueError(
            f"{said}. BOLD has {n_targets} columns, as many as there are triggers: frames and "
            "regions look swapped; pass the transpose, shape (n_frames, n_targets)."
        )
    if extra < 0:
        if n_dummy and n_triggers == n_frames:
            raise ValueError(
                f"{said}, as many as BOLD has frames: if dummy scans have no triggers, pass "
                "n_dummy=0."
            )
        raise ValueError(f"{said}: {_lacking(times, -extra, n_dummy, t_r, duration)}")
    raise ValueError(
        f"{said}: {extra} more. If rows were scrubbed, pass the sample_mask of the masker "
        "(make_windows, windows.restore_frames), which puts them back, those after the last that "
        f"was kept too with restore_frames(bold, sample_mask, n_frames={n_triggers - n_dummy}); if "
        "BOLD was cut at its end, crop the recording before "
        f"{times[n_frames + n_dummy]:.6g} s, or pass the times of its {n_frames + n_dummy} volumes "
        f"as volume_event; if it lacks the first {n_dummy + extra} volumes, dummy scans, pass "
        f"n_dummy={n_dummy + extra}. Which of these it is, the number alone does not tell."
    )


def _lacking(times, n: int, n_dummy: int, t_r: float, duration: float | None) -> str:
    """Words for ``n`` volumes without a trigger; where the recording begins and ends may tell."""
    many = n > 1
    before = f"the first {n} volumes were" if many else "the first volume was"
    after = f"the last {n} frames" if many else "the last frame"
    dropped = f"drop {after}, acquired after it had stopped"
    if n <= n_dummy:
        begin = f"pass n_dummy={n_dummy - n}"
    else:
        frames = f"the first {n - n_dummy} frames" if n > n_dummy + 1 else "the first frame"
        begin = f"drop {frames}" + (" and pass n_dummy=0" if n_dummy else "")
    rest = np.inf if duration is None else duration - times[-1]
    if times[0] < t_r and rest > t_r + 2 * IRREGULAR:
        return (
            f"{before} acquired before the recording began, {times[0]:.6g} s before the first "
            f"trigger (after the last one it goes on for {rest:.6g} s): {begin}."
        )
    if times[0] >= t_r and rest <= t_r + 2 * IRREGULAR:
        missing = _ranges(list(range(len(times), len(times) + n)))
        return (
            f"volume{'s' if many else ''} {missing} {'have' if many else 'has'} no trigger, and "
            f"the recording ends {rest:.6g} s after the last one: {dropped}."
        )
    return (
        f"{n} of them {'have' if many else 'has'} no trigger. Which ones, the number alone does "
        f"not tell: if the recording stopped before the scan, {dropped}; if {before} acquired "
        f"before it began, or {'have' if many else 'has'} no trigger, {begin}; if it was paused, "
        "cut recording and BOLD there."
    )


def _doubt_dummies(n_dummy: int, t_r: float) -> None:
    """Warn of more dummy scans than any scanner needs: scrubbed rows make the same number."""
    if n_dummy > _MANY_DUMMIES and n_dummy * t_r > _LONG_DUMMIES:
        warn(
            f"n_dummy={n_dummy}: BOLD lacks the first {n_dummy * t_r:.4g} s of the scan, more than "
            "a scanner takes to its steady state. If rows were removed in its midst (scrubbing), "
            "pass the sample_mask instead (make_windows, windows.restore_frames): otherwise frames "
            f"lie up to {n_dummy * t_r:.4g} s late."
        )


def _report_drift(slope: float, t_r: float, sfreq: float, last: int) -> None:
    late = slope - t_r
    if abs(late) * last <= 1.0 / sfreq:
        return
    far = int(np.ceil(0.01 / abs(late)))
    reach = f"; from volume {far} on by more than 10 ms" if far <= last else ""
    logger.info(
        "Clock drift of %.0f ppm between recording and scanner: the last volume (%d) comes %.1f "
        "ms %s than t_r says%s. Frame times follow the triggers.",
        1e6 * abs(late) / t_r,
        last,
        1e3 * abs(late) * last,
        "later" if late > 0 else "earlier",
        reach,
    )


def _ranges(numbers: list[int]) -> str:
    """Write [3, 4, 5, 9] as "3 to 5, 9"."""
    groups = np.split(np.asarray(numbers), np.flatnonzero(np.diff(numbers) > 1) + 1)
    said = [f"{g[0]} to {g[-1]}" if len(g) > 1 else f"{g[0]}" for g in groups]
    return listed(said)


def _times(times) -> str:
    said = [f"{time:.6g} s" for time in times[:4]]
    return ", ".join(said) + (" ..." if len(times) > 4 else "")
