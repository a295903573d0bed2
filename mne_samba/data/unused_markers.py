"""Markers of volumes that a recording holds and that nobody asked for."""

import numpy as np
from mne.utils import warn

from .segments import IRREGULAR
from .triggers import BEAT, FRAME_EVENT, SEAM, USUAL

# Share of t_r by which gaps between volumes may differ, and seconds by which frames may miss them.
_JITTER, _FAR = 0.1, 5 * IRREGULAR


def warn_of_unused_markers(raw, starts: np.ndarray, t_r: float, n_dummy: int, name: str) -> None:
    """Warn where frames (n_frames,) lie on a regular grid that markers of volumes contradict."""
    # They have a usual name, or are as many as volumes, and come every ``t_r``.
    marks, end = raw.annotations, raw.n_times / raw.info["sfreq"]
    for text in dict.fromkeys(map(str, marks.description)):
        if BEAT.match(text) or SEAM.match(text):
            continue
        times = np.sort(marks.onset[marks.description == text]) - raw.first_time
        times = times[(times >= 0) & (times < end)]
        likely = text == FRAME_EVENT or USUAL.search(text) or len(times) == len(starts) + n_dummy
        if not likely or len(times) < 5 or len(starts) < 5:
            continue
        if np.mean(np.abs(np.diff(times) / t_r - 1) < _JITTER) < 0.8:
            continue
        after = np.clip(np.searchsorted(times, starts), 1, len(times) - 1)
        off = np.minimum(np.abs(starts - times[after - 1]), np.abs(starts - times[after]))
        # Frames may lie one volume or several later, where dummy scans were left out otherwise.
        within = times[0] - t_r / 2 <= starts[0] and starts[-1] <= times[-1] + t_r / 2
        if np.median(off) <= _FAR and within:
            return
        warn(
            f"Frames of BOLD lie on a regular grid, the first volume at {starts[0]:.6g} s, but "
            f"{name} has markers {text!r} ({len(times)} times, about every {t_r:g} s, the first at "
            f"{times[0]:.6g} s), which are not there. If they mark volumes, pass "
            f"reader=Reader(volume_event={text!r}); otherwise rename or remove them."
        )
        return
