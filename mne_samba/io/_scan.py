"""When the frames of a scan were acquired: sidecars, image header and triggers held together."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mne.utils import logger, warn

from .._checks import check_number
from ..data.frame_times import frame_times
from ..data.surface_files import time_step
from ..data.triggers import given_times, volume_starts, volume_triggers
from ._markers import FRAME_EVENT, find_volume_event
from ._recording import annotate


class RepetitionTimeError(ValueError):
    """Sidecars and image header do not agree on one repetition time: the user has to say it."""


@dataclass(frozen=True)
class Scan:
    """Timing of one run; times are in seconds from the recording's first sample."""

    t_r: float
    times: np.ndarray  # (n_frames,)
    triggers: np.ndarray  # (n_volumes,): starts of all volumes that have a trigger
    described: dict  # what was found and where, for provenance


def _header_t_r(image) -> float | None:
    found = time_step(image, "the image")
    if found is not None:
        return found
    header = getattr(image, "header", None)
    if header is None or not hasattr(header, "get_xyzt_units") or len(header.get_zooms()) < 4:
        return None
    scale = {"msec": 1e-3, "usec": 1e-6}.get(header.get_xyzt_units()[1], 1.0)
    value = float(header.get_zooms()[3]) * scale
    return value if value > 0 else None


def repetition_time(
    given, sidecars: dict[str, dict], image, image_name: str,
    fits: Callable[[float], bool] = lambda t_r: False, followed: bool = False,
) -> float:  # fmt: skip
    """Repetition time on which sidecars and image header agree, or the one that the user gave."""
    # A header that contradicts all sidecars is overruled where ``fits`` says that triggers come as
    # these say. ``followed``: triggers will place the volumes, so that these may jitter.
    if given is not None:
        return check_number(given, "t_r", low=0, low_open=True)
    found: dict[str, float] = {}
    for name, metadata in sidecars.items():
        if "RepetitionTime" in metadata:
            found[name] = _positive(metadata["RepetitionTime"], f"{name}: RepetitionTime")
        if metadata.get("VolumeTiming") is not None:
            found[f"VolumeTiming of {name}"] = _spacing(metadata["VolumeTiming"], name, followed)
    said = list(found.values())
    header = _header_t_r(image)
    if header is not None:
        found[f"header of {image_name}"] = header
    if not found:
        raise RepetitionTimeError(
            f"{image_name}: no sidecar or header gives RepetitionTime: pass t_r (s), in the "
            "command line --t-r."
        )
    if _agree(found.values()):
        return next(iter(found.values()))
    listed = ", ".join(f"{name} says {value:.6g} s" for name, value in found.items())
    if said and _agree(said) and fits(said[0]):
        # Some tools that write images leave 1 s in their headers.
        warn(
            f"Repetition times contradict each other: {listed}. The volume triggers come every "
            f"{said[0]:.6g} s, which is taken."
        )
        return said[0]
    raise RepetitionTimeError(
        f"Repetition times contradict each other: {listed}. Pass the right one as t_r (s), in the "
        "command line --t-r."
    )


def repetition_source(given, sidecars: dict[str, dict]) -> str:
    """Where a repetition time was found."""
    if given is not None:
        return "given"
    for field in ("RepetitionTime", "VolumeTiming"):
        if any(metadata.get(field) is not None for metadata in sidecars.values()):
            return field
    return "image header"


def _agree(values) -> bool:
    # Headers hold 32-bit numbers.
    return max(values) <= 1.0005 * min(values)


def _positive(value, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ValueError(f"{what} must be a positive number of seconds, got {value!r}.")
    return float(value)


def _spacing(times, name: str, followed: bool) -> float:
    """Repetition time of a regular ``VolumeTiming``."""
    try:
        starts = np.asarray(times, dtype=float)
        gaps = np.diff(starts)
        fine = starts.ndim == 1 and len(gaps) > 0 and bool((gaps > 0).all())
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ValueError(
            f"{name}: VolumeTiming must be an ascending list of seconds, one per volume, got "
            f"{times!r:.60}."
        )
    t_r = float(np.median(gaps))
    mean = round(float(np.polyfit(np.arange(len(starts)), starts, 1)[0]), 9)
    apart = np.abs(gaps / t_r - 1)
    if apart.max() > (0.1 if followed else 0.001):
        volume = int(np.argmax(apart))
        raise ValueError(
            f"{name}: VolumeTiming is irregular, its volumes come every {gaps.min():.6g} to "
            f"{gaps.max():.6g} s (volume {volume + 1} {gaps[volume]:.6g} s after the one before "
            "it), and frames need one repetition time. Cut recording and BOLD there into two runs, "
            f"or, if VolumeTiming is wrong, pass t_r={t_r:.6g} (--t-r in the command line)."
        )
    return mean


def slice_reference(given, prep: dict, raw: dict, t_r: float) -> tuple[float, str]:
    """Time within a volume that BOLD stands for, 0 to 1, and where it was found."""
    # ``StartTime`` of the derivative first (what slice-timing correction aimed at), then the mean
    # of the acquired slices, then the middle of the acquisition (sparse BOLD: below ``t_r``).
    if given is not None:
        return check_number(given, "slice_time_ref", low=0, high=1), "given"
    start = prep.get("StartTime")
    if start is not None:
        fits = isinstance(start, (int, float)) and not isinstance(start, bool)
        if not fits or not 0 <= start <= t_r * (1 + 1e-6):
            raise ValueError(
                f"StartTime, when BOLD was acquired within t_r={t_r:g} s, must be seconds from 0 "
                f"to {t_r:g}, got {start!r}: correct the sidecar of BOLD, or pass slice_time_ref, "
                "its share of t_r."
            )
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
    lasts = _acquisition({**prep, **raw}, t_r)
    if lasts is not None:
        return lasts[0] / (2 * t_r), f"middle of the acquisition ({lasts[1]})"
    logger.info("No slice timing in the sidecars: frames stand for the middle of their volume.")
    return 0.5, "middle of the volume (no sidecar says)"


def _acquisition(metadata: dict, t_r: float) -> tuple[float, str] | None:
    """Seconds that sparse BOLD is acquired for in each t_r, and the field that says so."""
    given = metadata.get("AcquisitionDuration")
    if given is not None:
        lasts = _positive(given, "AcquisitionDuration")
        if lasts > t_r * (1 + 1e-3):
            raise ValueError(f"AcquisitionDuration={lasts:g} s is longer than t_r={t_r:g} s.")
        return min(lasts, t_r), "AcquisitionDuration"
    delay = metadata.get("DelayTime")
    if delay is None:
        return None
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay < t_r:
        raise ValueError(
            f"DelayTime must be seconds from 0 to less than t_r={t_r:g} s, got {delay!r}."
        )
    return t_r - float(delay), "DelayTime"


def scan_of(
    raw, n_frames: int, t_r: float, *, volume_event, first_volume, n_dummy, discarded, reference
) -> Scan:
    """Place all frames of a run by its triggers, or from ``first_volume`` on without them."""
    # ``n_dummy=None`` takes ``discarded`` (of the sidecars) where the triggers count them.
    sfreq = raw.info["sfreq"]
    if volume_event is None:
        if discarded and n_dummy is None:
            raise ValueError(
                f"The sidecar says that {discarded} volumes were discarded, and without triggers "
                f"first_volume={first_volume:g} s may mean the first of them or the first that "
                f"BOLD holds: pass n_dummy={discarded} if volumes were acquired from then on that "
                "BOLD lacks, n_dummy=0 if its first row was."
            )
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
    if given_times(volume_event) is not None:
        volume_event = "given times"
    elif isinstance(volume_event, (tuple, list)):
        volume_event = list(volume_event)  # as JSON has them
    described = {
        "volume_event": volume_event,
        "n_triggers": len(found),
        "n_dummy": n_dummy,
        "trigger_spacing": spacing,
        "clock_drift_ppm": round(1e6 * (spacing / t_r - 1), 3),
    }
    return Scan(t_r, times, triggers, described)


def mark_frames(raw, times: np.ndarray) -> None:
    """Annotate the time of every frame (n_frames,) in place; earlier marks are replaced."""
    earlier = np.flatnonzero(raw.annotations.description == FRAME_EVENT)
    if len(earlier):
        raw.annotations.delete(earlier)
    # A frame in the last sample's interval would count as outside the recording.
    last = (raw.n_times - 1) / raw.info["sfreq"]
    annotate(raw, np.minimum(times, last), [FRAME_EVENT] * len(times))
