"""What physiology drives in BOLD: a free response of every drive, fitted before electrophysiology.

What both could explain is physiology's: electrophysiology is fitted to what remains of frames that
the responses have not seen. The order is the conservative one, as heartbeat, breathing and motion
reach BOLD and electrodes alike.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from mne.utils import warn
from sklearn.utils import Bunch

from ..arrays import array
from ..core.free import FreeResponses
from ..core.moments import lagged_features
from ..core.response import free_basis
from ..data.paired import BLOCK_GAP, BLOCKS, Paired, stitch, time_blocks
from ..data.physiology import shared_names, signal_itself
from ..data.power import LowRateGrid, PowerScaler
from ..data.recordings import Recordings
from ..data.segments import Segment
from .stack import fit_responses, free_frames
from .validation import confirmed_scale

# Free responses may have any course, but are as smooth as those of humans.
_BOUNDS = "human"
# Components of them, of which fits shrink more, for regression that does not shrink: they hold 98 %
# and more of published cardiac and respiratory responses.
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
    def fit(cls, rec: Recordings, data: Paired, reader) -> tuple[Self, list[np.ndarray]]:
        """Fit responses to the standardised BOLD of recordings, which ``reader`` has read."""
        # Also the frames (n_frames, n_targets) that they explain, by fits that have not seen them.
        kinds, scaler, scaled = standard_drives(rec, data.on, reader)
        data = replace(data, powers=scaled, raw=None)
        free, unseen = _fit(data), _unseen(data)
        # Drives are few and slow: in ten minutes, much goes together by chance.
        joint = stitch(replace(data, measured=unseen))
        share = confirmed_scale(joint.measured, joint)
        free = replace(free, coef=free.coef * share[:, None, None, None])
        found = cls(list(kinds), list(kinds.values()), scaler, free)
        return found, [share * frames for frames in unseen]

    def frames(
        self, rec: Recordings, on: list[LowRateGrid], may_lack: bool = False
    ) -> list[np.ndarray]:
        """Standardised frames (n_frames, n_targets) that physiology drives, on these bins."""
        drives = []
        for i, (segment, grid) in enumerate(zip(rec.segments, on, strict=True)):
            there = kinds_of(segment)
            lacks = [ch for ch in self.names if ch not in there]
            check_kinds(dict(zip(self.names, self.kinds, strict=True)), there, f"X[{i}]")
            if lacks and not may_lack:
                raise ValueError(
                    f"X[{i}] lacks physiology that the estimator was fitted on: {lacks[:8]} "
                    "(channels that are bad count as missing, and windows hold what the reader of "
                    "make_windows names). Give it, or say Reader(channels='match') in fit: it is "
                    "then taken as its mean."
                )
            if lacks:
                warn(f"X lacks physiology, which is taken as its mean: {lacks[:8]}.")
            drives.append(drives_of(segment, self.names, grid, rec.sfreq, f"X[{i}]"))
        there = set().union(*map(kinds_of, rec.segments))
        if flat := [ch for ch in constant(self.names, drives) if ch in there]:
            warn(f"Physiology does not vary in X, and is taken as its mean: {flat[:8]}.")
        scaled = self.scaler.transform(drives, rec.keys, rec.kind, on)
        for segment, one in zip(rec.segments, scaled, strict=True):
            there = kinds_of(segment)
            one[[ch not in there for ch in self.names]] = 0.0
        return free_frames(self.free, scaled, on)

    def without(self, names: list[str]) -> Self:
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
    each = zip(rec.segments, on, called, strict=True)
    drives = [drives_of(segment, names, grid, rec.sfreq, name) for segment, grid, name in each]
    if flat := constant(names, drives):
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


def _unseen(data: Paired) -> list[np.ndarray]:
    """Frames (n_frames, n_targets) that drives explain, by fits that have not seen them."""
    # Blocks of time, or recordings, are left out in turn, and what is next to them.
    label, times = time_blocks(data, BLOCKS, BLOCK_GAP)
    ends = np.cumsum([len(target) for target in data.targets])[:-1]
    gap, found = int(np.ceil(BLOCK_GAP / data.grid.t_r)), np.zeros((len(label), data.n_targets))
    for block in np.unique(label):
        own = label == block
        near = (times >= times[own].min() - gap) & (times <= times[own].max() + gap)
        pairs = zip(data.targets, np.split(near, ends), strict=True)
        part = replace(data, targets=[np.where(n[:, None], np.nan, y) for y, n in pairs])
        # Scrubbing may leave all measured frames in one block.
        if part.n_frames:
            found[own] = np.concatenate(free_frames(_fit(part), data.powers, data.on))[own]
    return np.split(found, ends)


def _fit(data: Paired) -> FreeResponses:
    """Fit free responses to drives."""
    free = fit_responses(data, _BOUNDS, per_target=True)
    if free is None:
        raise ValueError(
            f"physiology has {len(data.powers[0])} drives, whose responses are too many to fit: "
            "name fewer channels."
        )
    return free


def constant(names: list[str], drives: list[np.ndarray]) -> list[str]:
    """Name the drives, of (n_drives, 1, n_bins), that vary in no segment."""
    known = [np.where(np.isfinite(drive), drive, drive[..., -1:]) for drive in drives]
    spread = np.max([drive.std(axis=(1, 2)) for drive in known], axis=0)
    size = np.max([np.abs(drive).max(axis=(1, 2)) for drive in known], axis=0)
    return [ch for ch, s, m in zip(names, spread, size, strict=True) if s <= 1e-9 * m]


def drives_of(
    segment: Segment, names: list[str], grid: LowRateGrid, sfreq: float, called: str
) -> np.ndarray:
    """Drives (n_drives, 1, n_bins) of a segment; those that it lacks are zero."""
    edges = segment.bin_edges(grid.step, grid.n_lags, grid.n_bins(segment.n_frames), sfreq)
    there, bad = kinds_of(segment), segment.in_bad(edges, sfreq)
    out = np.zeros((len(names), 1, len(edges) - 1))
    for row, ch in zip(out[:, 0], names, strict=True):
        if ch in there:
            try:
                values = segment.physiology.drive(ch, edges, sfreq)
            except ValueError as error:
                raise ValueError(f"Channel {ch!r} of {called}: {error}") from error
            # What was moved by a movement is no drive: bridged, as gaps are.
            row[:] = signal_itself(np.where(bad, np.nan, values), sfreq)
    # As band power: half a sample of missing history is a matter of rounding.
    out[..., edges[:-1] < -0.5] = np.nan
    return out
