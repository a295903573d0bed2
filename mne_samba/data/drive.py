"""Drives that carry their rate and their place in time from one step of a Pipeline to the next."""

import numpy as np
import pandas as pd

from .recordings import Recordings


class Drive(np.ndarray):
    """Drives (n_channels, n_bins), or windows of them, with their place in time.

    An array in every other respect, with these attributes (None where not known): ``sfreq``, bins
    per second; ``sample_time_ref``, the part of a bin at which its value stands (0.5 for averages
    over bins); ``frame_start`` and ``frame_step``, seconds from the first sample to the first frame
    and between frames, and ``late``, seconds by which irregular frames come later; ``ch_names``;
    and ``table``, subject, run, recording, onset and frame of every window, which parts of windows
    lose.
    """

    _CARRIED = (
        "sfreq", "sample_time_ref", "frame_start", "frame_step", "late", "table", "ch_names",
    )  # fmt: skip

    def __new__(cls, values, **carried):
        """View values as drives that carry their place in time."""
        out = np.asarray(values).view(cls)
        for name in cls._CARRIED:
            setattr(out, name, carried.get(name))
        return out

    def __array_finalize__(self, other):
        for name in self._CARRIED:
            setattr(self, name, getattr(other, name, None))

    def __getitem__(self, index):
        out = super().__getitem__(index)
        if isinstance(out, Drive):
            out.table = None
            if out.late is not None and self.ndim == 3:
                out.late = self.late[index[0] if isinstance(index, tuple) else index]
        return out

    def __reduce__(self):
        base, args, state = super().__reduce__()
        return base, args, (state, {name: getattr(self, name) for name in self._CARRIED})

    def __setstate__(self, state):
        state, carried = state
        super().__setstate__(state)
        for name, value in carried.items():
            setattr(self, name, value)


def drives_of(rec: Recordings, values: list[np.ndarray], rate: float, frames: bool):
    """Give drives (n_channels, n_bins) of segments in the shape of the input, with their times."""
    carried = {"sfreq": rate, "sample_time_ref": 0.5, "ch_names": list(rec.ch_names)}

    def drive(value, segment, table: pd.DataFrame | None) -> Drive:
        start = {"frame_start": segment.frame_start, "frame_step": segment.frame_step}
        if len(segment.late) and rec.kind == "recordings":
            start["late"] = segment.late
        return Drive(value, **carried, **(start if frames else {}), table=table)

    if rec.kind == "windows":
        whole = drive(np.stack(values), rec.segments[0], rec.table)
        if frames and len(rec.segments[0].late):
            whole.late = np.stack([segment.late for segment in rec.segments])
        return whole
    out = [drive(v, s, None) for v, s in zip(values, rec.segments, strict=True)]
    return rec.as_given(out)
