"""What fitting sees: standardised band power and BOLD, segment by segment, and parts of them."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import mne
import numpy as np
import pandas as pd

from ..arrays import array
from .bold import (
    check_varies,
    detrend_segments,
    frames_table,
    keep_frames,
    recording_scale,
)
from .power import LowRateGrid, PowerScaler, full_history
from .recordings import Recordings

# Below this many frames, a held-out block says too little about what to keep.
MIN_TRAIN_FRAMES, MIN_VALID_FRAMES = 90, 30
# Where data are too short for one: blocks that are held out in turn, and the seconds next to them
# that are not trained on, by which the noise of BOLD has faded.
BLOCKS, BLOCK_GAP = 6, 10.0


@dataclass(frozen=True)
class BoldScale:
    """Mean and scale of BOLD in training, in which predictions come back."""

    # Averages over recordings; the scale is that of BOLD without drift.
    mean: np.ndarray = array("n_targets")
    scale: np.ndarray = array("n_targets")
    # Variance of the slow drift that was removed, in squared units of the scale: it is not
    # predicted, but measured frames have it, and intervals must make room for it.
    drift: np.ndarray = array("n_targets")

    @classmethod
    def of(cls, raw: dict, clean: dict) -> Self:
        """Average mean and scale (dicts by recording) of BOLD with and without drift."""
        # Regions that a recording lacks have neither mean nor scale there.
        mean = np.nanmean([mean for mean, _ in raw.values()], axis=0)
        scale = np.nanmean([scale for _, scale in clean.values()], axis=0)
        before = np.nanmean([scale**2 for _, scale in raw.values()], axis=0)
        after = np.nanmean([scale**2 for _, scale in clean.values()], axis=0)
        drift = np.maximum(before - after, 0.0) / np.where(after > 0, after, np.inf)
        return cls(mean, scale, drift)

    def unscale(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        """Bring standardised frames (n_frames, n_targets) to the mean and scale of training."""
        return [np.asarray(f, dtype=np.float64) * self.scale + self.mean for f in frames]

    def standard(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        """Standardise frames in the mean and scale of training."""
        scale = np.where(self.scale > 0, self.scale, 1.0)
        return [(frame - self.mean) / scale for frame in frames]


@dataclass(frozen=True)
class Paired:
    """Standardised band power and BOLD, segment by segment."""

    # (n_channels, n_bands, n_bins), zero mean and unit variance in each recording
    powers: list[np.ndarray]
    # (n_frames, n_targets) without drift, zero mean and unit variance in each recording; rows of
    # NaN are not to be used, columns of NaN are regions that the recording lacks.
    targets: list[np.ndarray]
    keys: list[tuple]  # recording of each segment
    table: pd.DataFrame  # subject, run, recording, onset and frame of each segment
    kind: str  # what X was: "windows", "recordings" or "table"
    grid: LowRateGrid  # bins and frames
    scaler: PowerScaler  # how band power was standardised
    scale: BoldScale
    ch_names: list[str]
    target_names: list[str]
    info: mne.Info | None = None  # of the channels
    raw: list[np.ndarray] | None = None  # power before it was scaled, where data choose its scale
    bands: dict[str, tuple[float, float]] | None = None  # name to (low, high) in Hz
    # BOLD as it was measured, where ``targets`` are without their heavy tails.
    measured: list[np.ndarray] | None = None
    # Bins and frames of every segment where they differ; ``grid`` then has the shortest bins.
    grids: list[LowRateGrid] | None = None

    @classmethod
    def of(
        cls, rec: Recordings, powers: list[np.ndarray], grid: LowRateGrid, detrend, scaler,
        bands: dict | None = None, keeps_raw: bool = False, grids: list | None = None,
    ) -> Self:  # fmt: skip
        """Standardise recordings and their power (n_channels, n_bands, n_bins); ``raw`` if kept."""
        # ``grids`` are bins of every segment where they differ from ``grid``.
        # What was acquired before a whole history existed cannot be predicted honestly, and must
        # not shape drift and scale either: the first volumes are often not in steady state.
        on = [grid] * len(powers) if grids is None else grids
        known = [full_history(power, own) for power, own in zip(powers, on, strict=True)]
        kept, clean = rec.bold, rec.bold
        if rec.kind != "table":
            kept = keep_frames(rec.bold, known, rec.keys)
            clean = list(kept)
            for rows, part in rec.with_bold(kept, rec.target_names).alike():
                some = detrend_segments(part.bold, part.table, part.kind, part.t_r, detrend)
                for i, value in zip(rows, some, strict=True):
                    clean[i] = value
        scales = recording_scale(clean, rec.keys)
        if rec.kind != "table":
            check_varies([scale for _, scale in scales.values()], rec.target_names)
        targets = standard_targets(clean, scales, rec.keys, known, grid)
        if rec.kind == "recordings" and type(scaler) is PowerScaler:
            scaler = scaler.without_drift(detrend, grid)
        scaler = scaler.fit(powers, rec.keys, grids)
        return cls(
            scaler.transform(powers, rec.keys, rec.kind, grids), targets, rec.keys, rec.table,
            rec.kind, grid, scaler, BoldScale.of(recording_scale(kept, rec.keys), scales),
            list(rec.ch_names), list(rec.target_names), rec.info, powers if keeps_raw else None,
            bands, grids=grids,
        )  # fmt: skip

    @property
    def on(self) -> list[LowRateGrid]:
        """Bins and frames of every segment."""
        return [self.grid] * len(self.powers) if self.grids is None else self.grids

    @property
    def masks(self) -> list[np.ndarray]:
        """True at frames that can be learnt from; regions a recording lacks do not count."""
        return [np.isfinite(target).any(axis=1) for target in self.targets]

    @property
    def n_frames(self) -> int:
        """Frames that can be learnt from."""
        return sum(int(mask.sum()) for mask in self.masks)

    @property
    def n_targets(self) -> int:
        """Regions."""
        return self.targets[0].shape[1]

    def take(self, index) -> Self:
        """Keep some segments."""
        return replace(
            self,
            powers=[self.powers[i] for i in index],
            targets=[self.targets[i] for i in index],
            keys=[self.keys[i] for i in index],
            table=self.table.iloc[list(index)].reset_index(drop=True),
            raw=None if self.raw is None else [self.raw[i] for i in index],
            measured=None if self.measured is None else [self.measured[i] for i in index],
            grids=None if self.grids is None else [self.grids[i] for i in index],
        )

    def of_targets(self, some) -> Self:
        """Keep some targets."""
        return self.with_bold(lambda values: [value[:, some] for value in values])

    def with_bold(self, change) -> Self:
        """Change BOLD, a list of (n_frames, n_targets), with and without its heavy tails alike."""
        measured = None if self.measured is None else change(self.measured)
        return replace(self, targets=change(self.targets), measured=measured)

    def without_tails(self, targets: list[np.ndarray]) -> Self:
        """Give the same data with targets that have no heavy tails, and keep what was measured."""
        measured = self.targets if self.measured is None else self.measured
        return replace(self, targets=targets, measured=None if targets is measured else measured)

    def as_measured(self) -> Self:
        """Give the same data with the heavy tails that their targets had."""
        return self if self.measured is None else replace(self, targets=self.measured)

    def rescaled(self, scaler: PowerScaler) -> Self:
        """Give the same data with band power, which must have been kept, on another scale."""
        scaler = scaler.without_drift(self.scaler.detrend, self.grid)
        scaler = scaler.fit(self.raw, self.keys, self.grids)
        powers = scaler.transform(self.raw, self.keys, self.kind, self.grids)
        return replace(self, powers=powers, scaler=scaler)


def standard_targets(clean, scales: dict, keys, known, grid: LowRateGrid) -> list[np.ndarray]:
    """BOLD (n_frames, n_targets) by mean and scale of its recording; NaN where not ``known``."""
    targets = []
    for value, seen, key in zip(clean, known, keys, strict=True):
        mean, scale = scales[key]
        target = (value - mean) / np.where(scale > 0, scale, 1.0)
        target[~seen] = np.nan
        targets.append(target)
    if not any(np.isfinite(target).any() for target in targets):
        raise ValueError(
            "No frame is left to learn from: all are scrubbed, follow less than "
            f"{grid.n_lags * grid.dt:g} s of signal, or have BAD spans in their history."
        )
    return targets


def inner_split(data: Paired, fraction: float, gap: float) -> tuple[Paired, Paired] | None:
    """Hold out the last contiguous part of every recording, with a gap before it, or None."""
    # No signal sample is shared, history included. None for tables, and parts too short to tell.
    if data.kind == "table":
        return None
    apart = [int(np.ceil(max(gap, on.n_lags * on.dt) / on.t_r)) for on in data.on]
    split = _split_recordings if data.kind == "recordings" else _split_windows
    train, valid = split(data, fraction, apart)
    if train is None or train.n_frames < MIN_TRAIN_FRAMES or valid.n_frames < MIN_VALID_FRAMES:
        return None
    return train, valid


def inner_blocks(
    data: Paired, n_blocks: int = BLOCKS, gap: float = BLOCK_GAP
) -> Iterator[tuple[Paired, Paired]]:
    """Hold out one contiguous block after the other; the rest, but ``gap`` s, trains."""
    # For data too short for `inner_split`: training frames after a block have seen signal of it.
    data = stitch(data)
    lengths = [len(target) for target in data.targets]
    starts = np.cumsum([0, *lengths[:-1]])
    edges = np.linspace(0, sum(lengths), n_blocks + 1).round().astype(int)
    for first, stop in itertools.pairwise(edges):
        train, valid = [], []
        for i, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            low, high = np.clip((first - start, stop - start), 0, length)
            apart = int(np.ceil(gap / data.on[i].t_r))
            around = ((0, low - apart), (high + apart, length)) if low < high else ((0, length),)
            train += [(i, a, b) for a, b in around if b - a >= 2]
            valid += [(i, low, high)] if low < high else []
        # Scrubbing may leave all measured frames in one block.
        if any(data.masks[i][a:b].any() for i, a, b in train):
            yield _pieces(data, train), _pieces(data, valid)


def time_blocks(data: Paired, n_blocks: int, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Block (n_frames,) of every frame of all segments, and its time in frames."""
    # Contiguous in time; whole recordings, with pauses of ``gap`` s, where these are enough.
    frames = np.array([len(target) for target in data.targets])
    starts = np.zeros_like(frames)
    if data.kind == "windows":
        starts = frames_table(data.table, frames)["frame"].to_numpy(dtype=int)
    labels = {key: i for i, key in enumerate(dict.fromkeys(data.keys))}
    label = np.array([labels[key] for key in data.keys])
    pause = int(np.ceil(gap / data.grid.t_r)) + 1 if data.grid.n_lags > 1 else 0
    span = np.zeros(len(labels), int)
    np.maximum.at(span, label, starts + frames + pause)
    first = (np.cumsum(span) - span)[label] + starts
    times = np.concatenate([begin + np.arange(n) for begin, n in zip(first, frames, strict=True)])
    if len(labels) >= n_blocks:
        return np.repeat(label, frames) * n_blocks // len(labels), times
    edges = np.quantile(np.unique(times), np.linspace(0, 1, n_blocks + 1)[1:-1])
    return np.searchsorted(edges, times, side="right"), times


def _pieces(data: Paired, spans: list[tuple[int, int, int]]) -> Paired:
    """Frames from first to stop of segments, (segment, first, stop) each."""
    powers = []
    for i, first, stop in spans:
        on = data.on[i]
        start = first * on.step
        powers.append(data.powers[i][..., start : start + on.n_bins(stop - first)])
    cut = data.with_bold(lambda values: [values[i][first:stop] for i, first, stop in spans])
    rows = [i for i, _, _ in spans]
    return replace(
        data.take(rows), powers=powers, targets=cut.targets, measured=cut.measured, raw=None
    )


def _split_recordings(data, fraction, apart):
    """Cut every recording once."""
    ends = [len(target) for target in data.targets]
    cuts = [round((1 - fraction) * end) for end in ends]
    if any(c - a < 2 or end - c < 2 for c, a, end in zip(cuts, apart, ends, strict=True)):
        return None, None
    train = [(i, 0, cut - apart[i]) for i, cut in enumerate(cuts)]
    valid = [(i, cut, end) for i, (cut, end) in enumerate(zip(cuts, ends, strict=True))]
    return _pieces(data, train), _pieces(data, valid)


def _split_windows(data, fraction, apart):
    """Hold out the last windows of every recording, and leave out what comes close to them."""
    frames = [len(target) for target in data.targets]
    first = frames_table(data.table, frames)["frame"].to_numpy(dtype=int)
    stop = first + np.asarray(frames)
    train, valid = [], []
    for key in dict.fromkeys(data.keys):
        rows = np.flatnonzero([k == key for k in data.keys])
        low, high = first[rows].min(), stop[rows].max()
        cut = low + round((1 - fraction) * (high - low))
        valid += [i for i in rows if first[i] >= cut]
        held = [first[i] for i in rows if first[i] >= cut]
        if held:
            train += [i for i in rows if stop[i] + apart[i] <= min(held)]
    if not train or not valid:
        return None, None
    return data.take(train), data.take(valid)


def stitch(data: Paired) -> Paired:
    """Join windows that follow or overlap each other in a recording: every frame counts once."""
    if data.kind != "windows" or (data.table["frame"] < 0).any():
        return data
    first = data.table["frame"].to_numpy(dtype=int)
    stop = first + np.array([len(target) for target in data.targets])
    powers, joints, keys, rows = [], [], [], []
    for key in dict.fromkeys(data.keys):
        members = [i for i, k in enumerate(data.keys) if k == key]
        members.sort(key=lambda i: first[i])
        pieces: list[list[int]] = []
        end = -1
        for i in members:
            if first[i] > end:
                pieces.append([])
            if stop[i] > end or not pieces[-1]:
                pieces[-1].append(i)
            end = max(end, stop[i])
        for piece in pieces:
            power, frames = [data.powers[piece[0]]], [(piece[0], 0)]
            for previous, i in itertools.pairwise(piece):
                new = stop[i] - stop[previous]
                power.append(data.powers[i][..., -new * data.on[i].step :])
                frames.append((i, -new))
            powers.append(np.concatenate(power, axis=-1))
            joints.append(frames)
            keys.append(key)
            rows.append(piece[0])
    table = data.table.iloc[rows].reset_index(drop=True)
    data = data.with_bold(
        lambda values: [np.concatenate([values[i][n:] for i, n in some]) for some in joints]
    )
    grids = None if data.grids is None else [data.grids[i] for i in rows]
    return replace(data, powers=powers, keys=keys, table=table, raw=None, grids=grids)
