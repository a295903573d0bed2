"""Pieces of inputs: self-contained segments of signal, and where frames lie in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


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

    def in_bad(self, edges: np.ndarray, sfreq: float) -> np.ndarray:
        """Which bins between ``edges``, in samples, touch a BAD span: (n_edges - 1,)."""
        low, high = sfreq * self.bad.T[..., np.newaxis]
        return ((edges[1:] > low) & (edges[:-1] < high)).any(axis=0)


@dataclass(frozen=True)
class FrameGrid:
    """Where frames lie in a recording, and how its signal is to be read."""

    t_r: float
    sfreq: float | None = None
    tmin: float | None = None
    first_volume: float = 0.0
    n_dummy: int = 0
    slice_time_ref: float = 0.0
    volume_event: object = None
    picks: object = None
    channels: str = "error"
