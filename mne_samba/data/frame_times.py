"""When every frame of BOLD was acquired, on the clock of the electrophysiology."""

import mne
import numpy as np
from mne.utils import logger, warn

from .._checks import check_number, check_t_r
from .cuts import check_uncut
from .pairing import check_raw
from .segments import FrameGrid
from .triggers import given_times, volume_starts, volume_triggers
from .unused_markers import warn_of_unused_markers


def frame_times(
    raw: mne.io.BaseRaw,
    n_frames: int | None = None,
    *,
    t_r: float,
    first_volume: float = 0.0,
    n_dummy: int = 0,
    slice_time_ref: float = 0.0,
    volume_event: str | tuple[str, int] | np.ndarray | None = None,
) -> np.ndarray:
    """Give the times of BOLD frames on the clock of a recording.

    Frame k was acquired at ``first_volume + n_dummy * t_r + (k + slice_time_ref) * t_r``. With
    ``volume_event``, the scanner's triggers take the place of that grid: their number and spacing
    are checked against BOLD and ``t_r``, and a drift between the two clocks is followed.

    Parameters
    ----------
    raw : mne.io.Raw
        The recording.
    n_frames : int | None
        Frames of BOLD. None: as many as the recording (or its triggers) can hold.
    t_r : float
        Repetition time in seconds.
    first_volume : float
        Seconds from the first sample of ``raw`` (cropped or not) to the start of the first volume,
        dummy scans included.
    n_dummy : int
        Volumes at the start of the scan that BOLD does not hold.
    slice_time_ref : float
        Where in a volume its time lies, 0 (start) to 1 (end), as in nilearn.
    volume_event : str | tuple | array, shape (n_volumes,) | None
        Volume triggers: the description of annotations (whole, or a part between "/", such as
        "R128" of "Response/R128"), the name of a stim channel, ``(channel, value)``, or the times
        themselves of all volumes, in seconds from the first sample.

    Returns
    -------
    times : array, shape (n_frames,)
        Exact times in seconds from the first sample, not rounded to samples.

    Raises
    ------
    ValueError
        A frame lies outside the recording; triggers are missing, doubled, too many, or spaced
        otherwise than ``t_r``.
    """
    grid = FrameGrid(
        t_r, first_volume=first_volume, n_dummy=n_dummy, slice_time_ref=slice_time_ref,
        volume_event=volume_event,
    )  # fmt: skip
    return times_for_bold(raw, n_frames, grid)


def times_for_bold(raw, n_frames, grid: FrameGrid, n_targets=None, name="raw") -> np.ndarray:
    """Find frame times; knowing the targets, an error can say that BOLD lies on its side."""
    check_raw(raw, "raw")
    t_r, volume_event = check_t_r(grid.t_r), grid.volume_event
    first_volume = check_number(grid.first_volume, "first_volume")
    n_dummy = check_number(grid.n_dummy, "n_dummy", low=0, integer=True)
    slice_time_ref = check_number(grid.slice_time_ref, "slice_time_ref", low=0, high=1)
    if n_frames is not None:
        n_frames = check_number(n_frames, "n_frames", low=1, integer=True)
    sfreq = raw.info["sfreq"]
    duration = raw.n_times / sfreq
    if volume_event is None:
        times = grid.regular_times(n_frames, duration)
        if n_targets is not None:
            warn_of_unused_markers(raw, times - slice_time_ref * t_r, t_r, n_dummy, name)
    else:
        if first_volume:
            raise ValueError(
                f"first_volume={first_volume:g} and volume_event={volume_event!r} contradict each "
                "other: give the start of the scan in one way."
            )
        triggers = volume_triggers(raw, volume_event)
        check_uncut(raw, triggers, name, "volume triggers")
        starts = volume_starts(
            triggers, t_r=t_r, sfreq=sfreq, n_frames=n_frames, n_dummy=n_dummy, n_targets=n_targets,
            all_volumes=given_times(volume_event) is not None, duration=duration,
        )  # fmt: skip
        times = starts + slice_time_ref * t_r
    if len(times) == 0:
        raise ValueError(
            f"The recording lasts {duration:g} s and holds no frame of t_r={t_r:g} s after "
            f"first_volume={first_volume:g} s and {n_dummy} dummy scans. Is t_r in seconds?"
        )
    times = _inside(times, duration, t_r, n_targets, sfreq, n_dummy)
    check_uncut(raw, times, name)
    return times


def too_early(n_early: int, n_dummy: int) -> str:
    """Words for frames that were acquired before a recording began."""
    return (
        f"If the scan began before the recording did, pass n_dummy={n_dummy + n_early} and drop "
        f"{_which(np.arange(n_early), n_early + 1)} acquired before it; if BOLD lacks "
        f"{'them' if n_early > 1 else 'it'} already, n_dummy={n_dummy + n_early} alone."
    )


def _inside(times, duration, t_r, n_targets, sfreq, n_dummy) -> np.ndarray:
    tolerance = 1.0 / sfreq  # a trigger is known to the sample
    outside = np.flatnonzero((times < -tolerance) | (times > duration + tolerance))
    if not len(outside):
        return np.clip(times, 0.0, duration)
    k = outside[0] if times[outside[0]] < 0 else outside[-1]
    n_frames, fit = len(times), duration / t_r
    # As frames, columns would fill the recording, or half of it.
    swapped = n_targets is not None and 0.5 * fit <= n_targets <= fit
    swapped = swapped and fit - n_targets <= n_frames - fit
    most = len(outside) > 0.5 * n_frames
    raise ValueError(
        f"Frame {k} lies at {times[k]:g} s, outside the recording (0 to {duration:g} s); "
        f"{len(outside)} of {n_frames} frames do. "
        + (
            f"BOLD has {n_frames} rows and {n_targets} columns: frames and regions look swapped, "
            "pass shape (n_frames, n_targets). Otherwise check "
            if swapped
            else "Check "
        )
        + f"t_r={t_r:g} (seconds), first_volume (seconds from the first sample) and n_dummy"
        + (
            f". All frames would fit with t_r up to {duration / (n_frames + n_dummy):.4g} s, from "
            "the first sample on."
            if most
            else f". {too_early(len(outside), n_dummy)}"
            if outside[-1] == len(outside) - 1 and len(outside) < n_frames
            else f", and drop {_which(outside, n_frames)} acquired outside the recording."
        )
    )


def say_rest(duration: float, times: np.ndarray, t_r: float, name: str, triggers=None) -> None:
    """Say how long a recording goes on after the last volume; warn where t_r may be too small."""
    if not len(times):
        return
    covered = times[-1] + t_r - times[0]
    rest = duration - times[-1] - t_r
    if triggers is None and rest > 2 * t_r and rest > 0.9 * covered:
        warn(
            f"The {len(times)} frames of BOLD last {covered:.4g} s at t_r={t_r:g} s, but {name} "
            f"goes on for {rest:.4g} s after them. Is t_r in seconds, and right? Frames at "
            f"{(duration - times[0]) / len(times):.4g} s would fill it. If the scan did end there, "
            f"cut the recording off at {times[-1] + t_r:.6g} s."
        )
    elif rest > 2 * t_r:
        logger.info(
            "%s goes on for %.4g s (%d volumes) after the last frame of BOLD. Were rows removed "
            "(pass sample_mask), did the scan end before, or is t_r=%g s too small?",
            name, rest, int(rest / t_r), t_r,
        )  # fmt: skip


def _which(outside: np.ndarray, n_frames: int) -> str:
    """Words for the frames outside, which mostly lie at one end."""
    n = len(outside)
    if outside[0] != n_frames - n and outside[-1] != n - 1:
        return "the frames that were"
    end = "last" if outside[0] == n_frames - n else "first"
    return f"the {end} {n} frames, which were" if n > 1 else f"the {end} frame, which was"
