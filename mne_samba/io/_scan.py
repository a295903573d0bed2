"""When the frames of a scan were acquired: sidecars, image header and triggers held together."""

from __future__ import annotations

import re
from dataclasses import dataclass

import mne
import numpy as np
from mne.utils import logger

from .._checks import check_number
from ..data.triggers import volume_starts, volume_triggers
from ..windows import frame_times

#: Description of the annotations that mark the time of every frame of BOLD.
FRAME_EVENT = "bold_frame"
# What scanners and amplifiers call a volume, where spacing alone does not tell.
_USUAL = re.compile(r"r128|volume|(^|\W)tr($|\W)|scan|slice|t\s+1$|mri|fmri", re.IGNORECASE)


@dataclass(frozen=True)
class Scan:
    """Timing of one run; times are in seconds from the recording's first sample."""

    t_r: float
    times: np.ndarray  # (n_frames,)
    triggers: np.ndarray  # (n_volumes,): starts of all volumes that have a trigger
    described: dict  # what was found and where, for provenance


def _header_t_r(image) -> float | None:
    header = getattr(image, "header", None)
    if header is None or not hasattr(header, "get_xyzt_units") or len(header.get_zooms()) < 4:
        return None
    scale = {"msec": 1e-3, "usec": 1e-6}.get(header.get_xyzt_units()[1], 1.0)
    value = float(header.get_zooms()[3]) * scale
    return value if value > 0 else None


def repetition_time(given, sidecars: dict[str, dict], image, image_name: str) -> float:
    """Repetition time on which sidecars and image header agree, or the one that the user gave."""
    if given is not None:
        return check_number(given, "t_r", low=0, low_open=True)
    found = {}
    for name, metadata in sidecars.items():
        if "RepetitionTime" in metadata:
            value = metadata["RepetitionTime"]
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ValueError(
                    f"{name}: RepetitionTime must be a positive number of seconds, got {value!r}."
                )
            found[name] = float(value)
    header = _header_t_r(image)
    if header is not None:
        found[f"header of {image_name}"] = header
    if not found:
        raise ValueError(f"{image_name}: no sidecar or header gives RepetitionTime: pass t_r (s).")
    values = list(found.values())
    # Headers hold 32-bit numbers.
    if max(values) > 1.0005 * min(values):
        said = ", ".join(f"{name} says {value:.6g} s" for name, value in found.items())
        raise ValueError(f"Repetition times contradict each other: {said}. Pass the right t_r.")
    return values[0]


def slice_reference(given, prep: dict, raw: dict, t_r: float) -> tuple[float, str]:
    """Time within a volume that BOLD stands for, 0 to 1, and where it was found.

    ``StartTime`` of the derivative first (what slice-timing correction aimed at), then the mean of
    the acquired slices, then the middle of the volume.
    """
    if given is not None:
        return check_number(given, "slice_time_ref", low=0, high=1), "given"
    start = prep.get("StartTime")
    if isinstance(start, (int, float)) and 0 <= start <= t_r * (1 + 1e-6):
        return min(float(start) / t_r, 1.0), "StartTime"
    slices = raw.get("SliceTiming")
    if isinstance(slices, list) and slices:
        try:
            middle = float(np.mean(np.asarray(slices, dtype=float))) / t_r
        except (TypeError, ValueError):
            middle = np.nan
        if 0 <= middle <= 1:
            return middle, "mean of SliceTiming"
        raise ValueError(
            f"SliceTiming must lie within t_r={t_r:g} s, in seconds; got {slices[:4]}."
        )
    logger.info("No slice timing in the sidecars: frames stand for the middle of their volume.")
    return 0.5, "middle of the volume (no sidecar says)"


def find_volume_event(raw, t_r: float, n_volumes: int) -> str:
    """Tell which annotations mark volumes: as often as there are volumes, ``t_r`` apart."""
    best = None
    listed = {}
    for text in dict.fromkeys(map(str, raw.annotations.description)):
        if text.upper().startswith(("BAD", "EDGE")) or text == FRAME_EVENT:
            continue
        times = raw.annotations.onset[raw.annotations.description == text]
        listed[text] = len(times)
        if len(times) < 3:
            continue
        gaps = np.diff(np.sort(times))
        gaps = gaps[gaps > 0.25 * t_r]
        regular = len(gaps) > 0 and np.mean(np.abs(gaps / np.median(gaps) - 1) < 0.1) > 0.8
        spaced = regular and abs(np.median(gaps) / t_r - 1) < 0.1
        # The right spacing first, then a usual name, then any regular event (t_r may be wrong).
        rank = (spaced, bool(_USUAL.search(text)), regular, -abs(len(times) - n_volumes))
        if (spaced or _USUAL.search(text) or regular) and (best is None or rank > best[0]):
            best = rank, text
    if best is None:
        raise ValueError(
            f"No events mark volumes: the recording has annotations {listed}. Pass volume_event "
            "(a description, or a stim channel), or first_volume (seconds from the first sample)."
        )
    return best[1]


def scan_of(
    raw, n_frames: int, t_r: float, *, volume_event, first_volume, n_dummy, discarded, reference
) -> Scan:
    """Give the times of all frames of a run, after its triggers were checked.

    Without triggers frames follow ``first_volume``. ``n_dummy=None`` takes ``discarded`` (of the
    sidecars) where the triggers count them.
    """
    sfreq = raw.info["sfreq"]
    if volume_event is None:
        dummies = 0 if n_dummy is None else n_dummy
        times = frame_times(
            raw, n_frames, t_r=t_r, first_volume=first_volume, n_dummy=dummies,
            slice_time_ref=reference,
        )  # fmt: skip
        triggers = times - reference * t_r
        described = {"volume_event": None, "first_volume": float(first_volume), "n_dummy": dummies}
        return Scan(t_r, times, triggers, described)
    if isinstance(volume_event, str) and volume_event == "auto":
        volume_event = find_volume_event(raw, t_r, n_frames + discarded)
    found = volume_triggers(raw, volume_event)
    if n_dummy is None:
        # Some scanners send triggers for volumes that they throw away, some do not.
        n_dummy = 0 if len(found) == n_frames else discarded
        if discarded and not n_dummy and raw.n_times / sfreq - found[-1] < t_r:
            raise ValueError(
                f"The sidecar says that {discarded} volumes were discarded, there are as many "
                f"triggers as frames ({n_frames}), and the recording ends within one t_r of the "
                "last of them. If discarded volumes had no trigger, pass n_dummy=0; if the "
                f"recording stopped before the scan, pass n_dummy={discarded} and drop the last "
                f"{discarded} frames of BOLD."
            )
    times = frame_times(
        raw, n_frames, t_r=t_r, n_dummy=n_dummy, slice_time_ref=reference,
        volume_event=volume_event,
    )  # fmt: skip
    triggers = volume_starts(found, t_r=t_r, sfreq=sfreq, n_frames=None)
    spacing = float(np.polyfit(np.arange(len(found)), found, 1)[0]) if len(found) > 1 else t_r
    described = {
        "volume_event": volume_event if isinstance(volume_event, str) else list(volume_event),
        "n_triggers": len(found),
        "n_dummy": n_dummy,
        "trigger_spacing": spacing,
        "clock_drift_ppm": round(1e6 * (spacing / t_r - 1), 3),
    }
    return Scan(t_r, times, triggers, described)


def mark_frames(raw, times: np.ndarray) -> None:
    """Annotate the time of every frame (n_frames,) in place; earlier marks are replaced."""
    last = (raw.n_times - 1) / raw.info["sfreq"]
    others = raw.annotations.copy()
    others.delete(np.flatnonzero(others.description == FRAME_EVENT))
    if raw.info["meas_date"] is None:
        # MNE adds first_time whenever annotations are set on a recording without a date.
        others.onset = others.onset - raw.first_time
    # A frame in the last sample's interval would count as outside the recording.
    onset = np.minimum(times, last) + (0.0 if others.orig_time is None else raw.first_time)
    marks = mne.Annotations(onset, 0.0, FRAME_EVENT, orig_time=others.orig_time)
    raw.set_annotations(others + marks, verbose="ERROR")
