"""What physiology drives in BOLD: a free response of every drive, fitted before electrophysiology.

What both could explain is physiology's: electrophysiology is fitted to what remains. The order is
the conservative one, as heartbeat, breathing and motion reach BOLD and electrodes alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from mne.utils import warn
from sklearn.utils import Bunch

from ..arrays import array
from ..core.free import FreeResponses
from ..core.moments import lagged_features
from ..core.response import free_basis
from ..data.paired import MIN_TRAIN_FRAMES, Paired, inner_blocks
from ..data.physiology import shared_names, signal_itself
from ..data.power import LowRateGrid, PowerScaler
from ..data.recordings import Recordings
from ..data.segments import Segment
from .stack import fit_responses
from .validation import validated_scale

# Free responses may have any course, but are as smooth as those of humans.
_BOUNDS = "human"
# Components of them that hold 98 % and more of published cardiac and respiratory responses.
_N_LAGGED = 8


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
        kinds, scaler, scaled = standard_drives(rec, data.on, reader)
        data = replace(data, powers=scaled, raw=None)
        free, share = fit_responses(data, _BOUNDS, per_target=True), _confirmed(data)
        free = replace(free, coef=free.coef * share[:, None, None, None])
        return cls(list(kinds), list(kinds.values()), scaler, free)

    def frames(
        self, rec: Recordings, on: list[LowRateGrid], may_lack: bool = False
    ) -> list[np.ndarray]:
        """Standardised frames (n_frames, n_targets) that physiology drives, on these bins."""
        drives = []
        for segment, grid in zip(rec.segments, on, strict=True):
            there = kinds_of(segment)
            lacks = [ch for ch in self.names if ch not in there]
            check_kinds(dict(zip(self.names, self.kinds, strict=True)), there, "X")
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
            there = kinds_of(segment)
            one[[ch not in there for ch in self.names]] = 0.0
            found += self.free.predict([one], grid.n_lags, grid.step, grid.dt)
        return found

    def without(self, names: list[str]) -> PhysiologyResponses:
        """Give the same responses, but none to some drives."""
        coef = self.free.coef.copy()
        coef[:, :, [ch in names for ch in self.names]] = 0.0
        return replace(self, free=replace(self.free, coef=coef))

    def describe(self) -> Bunch:
        """Responses as people read them."""
        free = self.free
        hrf = np.einsum("mbnk,bl->mnl", free.coef, free.basis)
        times = (np.arange(hrf.shape[-1]) + 0.5) * free.dt
        return Bunch(
            names=list(self.names), kinds=list(self.kinds), hrf=hrf, hrf_times=times,
            peak_time=times[np.abs(hrf).argmax(axis=-1)],
        )  # fmt: skip


def kinds_of(segment: Segment) -> dict[str, str]:
    """Types of the channels of physiology of a segment, by name."""
    return segment.physiology.kinds if segment.physiology else {}


def check_kinds(expected: dict[str, str], there: dict[str, str], name: str) -> None:
    """Refuse a channel that has one type here and another one there: its drive would be another."""
    other = [ch for ch in expected.keys() & there.keys() if there[ch] != expected[ch]]
    if other:
        raise ValueError(
            f"Channels {sorted(other)} have types {[there[ch] for ch in sorted(other)]} in {name}, "
            f"but {[expected[ch] for ch in sorted(other)]} before: set one with "
            "raw.set_channel_types."
        )


def standard_drives(
    rec: Recordings, on: list[LowRateGrid], reader
) -> tuple[dict[str, str], DriveScaler, list[np.ndarray]]:
    """Types of channels by name, scaler and scaled drives (n_drives, 1, n_bins) of recordings."""
    kinds, called = [s.physiology.kinds for s in rec.segments], [f"X[{i}]" for i in range(len(rec))]
    may_lack = reader.channels in ("match", "infer")
    names = shared_names([list(own) for own in kinds], reader.physiology, called, may_lack)
    wanted = reader.physiology
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    there = set().union(*kinds, *(own.values() for own in kinds))
    if unknown := [one for one in wanted if one not in there]:
        raise ValueError(
            f"physiology={reader.physiology!r}: no recording has a channel, or a type of channels, "
            f"{unknown} that is not bad. Correct or leave out these names."
        )
    for own, name in zip(kinds, called, strict=True):
        check_kinds(kinds[0], own, name)
    pairs = zip(rec.segments, on, strict=True)
    drives = [drives_of(segment, names, grid, rec.sfreq) for segment, grid in pairs]
    spread = np.nanmax([np.nanstd(drive, axis=(1, 2)) for drive in drives], axis=0)
    size = np.nanmax([np.nanmax(np.abs(drive), axis=(1, 2)) for drive in drives], axis=0)
    if flat := [ch for ch, s, m in zip(names, spread, size, strict=True) if s <= 1e-9 * m]:
        raise ValueError(f"Physiology does not vary in {flat}: mark these channels as bad.")
    scaler = DriveScaler()
    if rec.kind == "recordings":
        scaler = scaler.without_drift(reader.detrend, on[0])
    scaler = scaler.fit(drives, rec.keys, on)
    scaled = scaler.transform(drives, rec.keys, rec.kind, on)
    return {ch: kinds[0][ch] for ch in names}, scaler, scaled


def lagged_drives(rec: Recordings, on: list[LowRateGrid], reader) -> list[np.ndarray]:
    """Scaled drives of recordings at smooth lags, (n_frames, n_drives * n_lagged)."""
    out = []
    for drives, grid in zip(standard_drives(rec, on, reader)[-1], on, strict=True):
        basis = torch.from_numpy(free_basis(_N_LAGGED, grid.n_lags, grid.dt, _BOUNDS))
        features = lagged_features(torch.from_numpy(drives), basis, grid.step, grid.dt)
        out.append(features.flatten(1).numpy())
    return out


def _confirmed(data: Paired) -> np.ndarray:
    """Share (n_targets,) of responses that held-out blocks confirm, 0 to 1; 1 in short data.

    Drives are few and slow: in ten minutes, much goes together by chance.
    """
    if data.n_frames < MIN_TRAIN_FRAMES:
        return np.ones(data.n_targets)
    frames, measured = [], []
    for part, held in inner_blocks(data):
        free = fit_responses(part, _BOUNDS, per_target=True)
        for power, target, on in zip(held.powers, held.targets, held.on, strict=True):
            frames += free.predict([power], on.n_lags, on.step, on.dt)
            measured.append(target)
    slope = validated_scale(frames, replace(data, targets=measured))
    return np.minimum(slope, 1.0)


def drives_of(segment: Segment, names: list[str], grid: LowRateGrid, sfreq: float) -> np.ndarray:
    """Drives (n_drives, 1, n_bins) of a segment; those that it lacks are zero."""
    edges = segment.bin_edges(grid.step, grid.n_lags, grid.n_bins(segment.n_frames), sfreq)
    there, bad = kinds_of(segment), segment.in_bad(edges, sfreq)
    out = np.zeros((len(names), 1, len(edges) - 1))
    for row, ch in zip(out[:, 0], names, strict=True):
        if ch in there:
            values = segment.physiology.drive(ch, edges, sfreq)
            # What was moved by a movement is no drive: bridged, as gaps are.
            row[:] = signal_itself(np.where(bad, np.nan, values), sfreq)
    # As band power: half a sample of missing history is a matter of rounding.
    out[..., edges[:-1] < -0.5] = np.nan
    return out
