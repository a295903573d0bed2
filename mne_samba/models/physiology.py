"""What physiology drives in BOLD: a free response of every drive, fitted before electrophysiology.

What both could explain is physiology's: electrophysiology is fitted to what remains. The order is
the conservative one, as heartbeat, breathing and motion reach BOLD and electrodes alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from mne.utils import warn
from sklearn.utils import Bunch

from ..arrays import array
from ..core.free import FreeResponses
from ..data.paired import Paired
from ..data.physiology import shared_names, signal_itself
from ..data.power import LowRateGrid, PowerScaler
from ..data.recordings import Recordings
from ..data.segments import Segment
from .stack import fit_responses

# Free responses may have any course, but are as smooth as those of humans.
_BOUNDS = "human"


@dataclass(frozen=True)
class DriveScaler(PowerScaler):
    """Centre and scale drives, whose units are what they are, as band power is."""

    def _check_units(self, powers, keys) -> None:
        """Say nothing: drives may have any mean."""


@dataclass(frozen=True, eq=False)
class PhysiologyResponses:
    """Responses of all regions to all drives."""

    _own_dims = ("n_channels", "n_bands", "n_features", "n_recordings")  # its channels are drives

    names: list[str] = array("n_channels")
    kinds: list[str] = array("n_channels")
    scaler: DriveScaler
    free: FreeResponses

    @classmethod
    def fit(cls, rec: Recordings, data: Paired, reader) -> PhysiologyResponses:
        """Fit responses to the standardised BOLD of recordings, which ``reader`` has read."""
        kinds = [segment.physiology.kinds for segment in rec.segments]
        called = [f"X[{i}]" for i in range(len(rec))]
        may_lack = reader.channels in ("match", "infer")
        names = shared_names([list(own) for own in kinds], reader.physiology, called, may_lack)
        drives = [
            drives_of(segment, names, on, rec.sfreq)
            for segment, on in zip(rec.segments, data.on, strict=True)
        ]
        flat = [
            ch for i, ch in enumerate(names)
            if not any(np.nanstd(drive[i]) > 1e-9 * np.nanmax(np.abs(drive[i])) for drive in drives)
        ]  # fmt: skip
        if flat:
            raise ValueError(
                f"Physiology of channels {flat} does not vary: mark them as bad or leave them out."
            )
        scaler = DriveScaler()
        if rec.kind == "recordings":
            scaler = scaler.without_drift(reader.detrend, data.grid)
        scaler = scaler.fit(drives, data.keys, data.grids)
        scaled = scaler.transform(drives, data.keys, data.kind, data.grids)
        free = fit_responses(replace(data, powers=scaled, raw=None), _BOUNDS)
        return cls(names, [kinds[0][ch] for ch in names], scaler, free)

    def frames(
        self, rec: Recordings, on: list[LowRateGrid], may_lack: bool = False
    ) -> list[np.ndarray]:
        """Standardised frames (n_frames, n_targets) that physiology drives, on these bins."""
        drives = []
        for segment, grid in zip(rec.segments, on, strict=True):
            there = segment.physiology.kinds if segment.physiology else {}
            lacks = [ch for ch in self.names if ch not in there]
            if lacks and not may_lack:
                raise ValueError(
                    f"X lacks physiology that the estimator was fitted on: {lacks[:8]} (channels "
                    "that are bad count as missing, and windows hold what the reader of "
                    "make_windows names). Give it, or say Reader(channels='match') in fit: it is "
                    "then taken as its mean."
                )
            if lacks:
                warn(f"X lacks physiology, which is taken as its mean: {lacks[:8]}.")
            drives.append(drives_of(segment, self.names, grid, rec.sfreq))
        scaled, found = self.scaler.transform(drives, rec.keys, rec.kind, on), []
        for segment, one, grid in zip(rec.segments, scaled, on, strict=True):
            there = segment.physiology.kinds if segment.physiology else {}
            one[[ch not in there for ch in self.names]] = 0.0
            found += self.free.predict([one], grid.n_lags, grid.step, grid.dt)
        return found

    def describe(self) -> Bunch:
        """Responses as people read them."""
        free = self.free
        hrf = np.einsum("mbnk,bl->mnl", free.coef, free.basis)
        times = (np.arange(hrf.shape[-1]) + 0.5) * free.dt
        return Bunch(
            names=list(self.names), kinds=list(self.kinds), hrf=hrf, hrf_times=times,
            peak_time=times[np.abs(hrf).argmax(axis=-1)],
        )  # fmt: skip


def drives_of(segment: Segment, names: list[str], grid: LowRateGrid, sfreq: float) -> np.ndarray:
    """Drives (n_drives, 1, n_bins) of a segment; those that it lacks are zero."""
    edges = segment.bin_edges(grid.step, grid.n_lags, grid.n_bins(segment.n_frames), sfreq)
    there = segment.physiology.kinds if segment.physiology else {}
    out = np.zeros((len(names), 1, len(edges) - 1))
    for row, ch in zip(out[:, 0], names, strict=True):
        if ch in there:
            row[:] = signal_itself(segment.physiology.drive(ch, edges, sfreq), sfreq)
    # As band power: half a sample of missing history is a matter of rounding.
    out[..., edges[:-1] < -0.5] = np.nan
    return out
