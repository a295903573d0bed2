"""Pieces of inputs: self-contained segments of signal, and where frames lie in them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .physiology import Physiology

# Seconds by which frames may miss a regular grid before they keep their own times.
IRREGULAR = 0.01


@dataclass(frozen=True)
class Segment:
    """One stretch of signal that carries all that its frames need.

    ``read(first, stop)`` gives samples (n_channels, stop - first); ``bad`` (n_spans, 2) are spans,
    in seconds from the first sample, that must not enter training.
    """

    read: Callable[[int, int], np.ndarray]
    n_times: int
    frame_start: float  # seconds from the first sample to the first frame
    frame_step: float  # seconds between frames on the clock of the electrophysiology
    n_frames: int
    bad: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    # (n_frames,) seconds by which frames come later than this regular grid, none where it holds
    late: np.ndarray = field(default_factory=lambda: np.empty(0))
    # (n_missing,) channels that were not recorded: zero
    lacks: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    physiology: Physiology | None = None  # None where it is not used

    @property
    def frame_times(self) -> np.ndarray:
        """Seconds from the first sample to each frame, (n_frames,)."""
        times = self.frame_start + self.frame_step * np.arange(self.n_frames)
        return times + self.late if len(self.late) else times

    def bin_edges(self, step: int, n_lags: int, n_bins: int, sfreq: float) -> np.ndarray:
        """Edges in samples of ``n_lags`` bins before the first frame and ``step`` per frame."""
        # Where frames are irregular, the bins between two of them are as much shorter or longer.
        width, index = self.frame_step / step * sfreq, np.arange(n_bins + 1)
        edges = self.frame_start * sfreq - n_lags * width + width * index
        if len(self.late):
            place = (index - n_lags) / step
            edges += sfreq * np.interp(place, np.arange(self.n_frames), self.late)
        return edges

    def in_bad(self, edges: np.ndarray, sfreq: float) -> np.ndarray:
        """Which bins between ``edges``, in samples, touch a BAD span: (n_edges - 1,)."""
        low, high = sfreq * self.bad.T[..., np.newaxis]
        return ((edges[1:] > low) & (edges[:-1] < high)).any(axis=0)


@dataclass(frozen=True)
class FrameGrid:
    """Where frames lie in a recording, and how its signal is to be read."""

    t_r: float | list[float]  # of every segment, where they differ
    sfreq: float | None = None
    tmin: float | None = None
    first_volume: float = 0.0
    n_dummy: int = 0
    slice_time_ref: float = 0.0
    volume_event: object = None
    picks: object = None
    channels: str = "error"
    may_lack: bool = False  # whether recordings may lack channels
    physiology: object = None  # types or names of channels that are no electrophysiology

    def regular_times(self, n_frames: int | None, duration: float) -> np.ndarray:
        """Give frame times (n_frames,) of a regular scan; None: as many as a recording holds."""
        start = self.first_volume + self.n_dummy * self.t_r
        if n_frames is None:
            n_frames = count_frames(duration, start, self.t_r)
        return start + (np.arange(n_frames) + self.slice_time_ref) * self.t_r


def count_frames(duration: float, start: float, t_r: float) -> int:
    """Frames of ``t_r`` from a start to the end of a recording, in seconds."""
    # Half a sample of tolerance is far below what any frame grid resolves.
    return int(np.floor((duration - start) / t_r + 1e-6)) if duration > start else 0
