"""Training of the network's corrections: windows as views, a blocked validation, a skorch net."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from mne.utils import logger
from skorch import NeuralNet
from torch.utils.data import Dataset

from .._data.hemo import frames_table
from .._data.paired import PairedData
from ..metrics import pearson
from ..nn.loss import CenteredCosineLoss
from ..nn.samba import SambaNet
from .accelerated import build_net

# Below this many frames, a held-out block says too little about what to keep.
MIN_TRAIN_FRAMES, MIN_VALID_FRAMES = 90, 30
# Where data are too short for one: blocks that are held out in turn, and the seconds next to them
# that are not trained on, by which the noise of BOLD has faded.
BLOCKS, BLOCK_GAP = 6, 10.0


class FrameWindows(Dataset):
    """Windows of frames as views into segments: nothing is copied until a batch is made.

    Parameters
    ----------
    data : PairedData
        Segments.
    n_frames : int
        Frames per window; segments that are shorter are taken whole.
    step : int
        Frames between windows.
    dtype : torch.dtype
        What the network computes in.
    """

    def __init__(self, data: PairedData, n_frames: int, step: int, dtype: torch.dtype):
        self.grid = data.grid
        self.powers = [torch.as_tensor(p).to(dtype) for p in data.powers]
        self.targets = [torch.as_tensor(t).to(dtype) for t in data.targets]
        labels = {key: i for i, key in enumerate(dict.fromkeys(data.keys))}
        self.recordings = [labels[key] for key in data.keys]
        self.n_frames = min([n_frames, *[len(t) for t in self.targets]])
        self.index = []
        for i, target in enumerate(data.targets):
            for first in range(0, len(target) - self.n_frames + 1, step):
                if np.isfinite(target[first : first + self.n_frames]).any():
                    self.index.append((i, first))

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i):
        segment, first = self.index[i]
        start = first * self.grid.step
        power = self.powers[segment][..., start : start + self.grid.n_bins(self.n_frames)]
        bold = self.targets[segment][first : first + self.n_frames]
        return power, {"bold": bold, "recording": self.recordings[segment]}


def _crop(data: PairedData, i: int, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    grid = data.grid
    start = first * grid.step
    power = data.powers[i][..., start : start + grid.n_bins(stop - first)]
    return power, data.targets[i][first:stop]


def inner_split(
    data: PairedData, fraction: float, gap: float
) -> tuple[PairedData, PairedData] | None:
    """Hold out the last contiguous part of every recording, with a gap before it.

    Training and held-out frames share no signal sample, history included. None where either part
    would be too short to judge by.
    """
    t_r = data.grid.t_r
    apart = int(np.ceil(max(gap, data.grid.n_lags * data.grid.dt) / t_r))
    if data.kind == "recordings":
        train, valid = _split_recordings(data, fraction, apart)
    else:
        train, valid = _split_windows(data, fraction, apart)
    enough = train is not None and valid is not None
    if not enough or n_frames_of(train) < MIN_TRAIN_FRAMES or n_frames_of(valid) < MIN_VALID_FRAMES:
        return None
    return train, valid


def n_frames_of(data: PairedData) -> int:
    """Frames that can be learnt from."""
    return sum(int(mask.sum()) for mask in data.masks)


def inner_blocks(
    data: PairedData, n_blocks: int = BLOCKS, gap: float = BLOCK_GAP
) -> Iterator[tuple[PairedData, PairedData]]:
    """Hold out one contiguous block of frames after the other; the rest, but ``gap`` s, trains.

    For data too short for `inner_split`: training frames after a block have seen signal of it.
    """
    data, apart = stitch(data), int(np.ceil(gap / data.grid.t_r))
    lengths = [len(target) for target in data.targets]
    starts = np.cumsum([0, *lengths[:-1]])
    edges = np.linspace(0, sum(lengths), n_blocks + 1).round().astype(int)
    for first, stop in itertools.pairwise(edges):
        train, valid = [], []
        for i, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            low, high = np.clip((first - start, stop - start), 0, length)
            around = ((0, low - apart), (high + apart, length)) if low < high else ((0, length),)
            train += [(i, a, b) for a, b in around if b - a >= 2]
            valid += [(i, low, high)] if low < high else []
        if train:
            yield _pieces(data, train), _pieces(data, valid)


def _pieces(data: PairedData, spans: list[tuple[int, int, int]]) -> PairedData:
    """Frames from first to stop of segments, (segment, first, stop) each."""
    powers, targets = zip(*(_crop(data, *span) for span in spans), strict=True)
    rows = [i for i, _, _ in spans]
    return replace(data.take(rows), powers=list(powers), targets=list(targets), raw=None)


def _split_recordings(data, fraction, apart):
    ends = [len(target) for target in data.targets]
    cuts = [round((1 - fraction) * end) for end in ends]
    if any(cut - apart < 2 or end - cut < 2 for cut, end in zip(cuts, ends, strict=True)):
        return None, None
    train = [(i, 0, cut - apart) for i, cut in enumerate(cuts)]
    valid = [(i, cut, end) for i, (cut, end) in enumerate(zip(cuts, ends, strict=True))]
    return _pieces(data, train), _pieces(data, valid)


def _split_windows(data, fraction, apart):
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
            train += [i for i in rows if stop[i] + apart <= min(held)]
    if not train or not valid:
        return None, None
    return data.take(train), data.take(valid)


def stitch(data: PairedData) -> PairedData:
    """Join windows that follow or overlap each other in a recording: every frame counts once."""
    if data.kind != "windows" or (data.table["frame"] < 0).any():
        return data
    first = data.table["frame"].to_numpy(dtype=int)
    stop = first + np.array([len(target) for target in data.targets])
    powers, targets, keys, rows = [], [], [], []
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
            power, target = [data.powers[piece[0]]], [data.targets[piece[0]]]
            for previous, i in itertools.pairwise(piece):
                new = stop[i] - stop[previous]
                power.append(data.powers[i][..., -new * data.grid.step :])
                target.append(data.targets[i][-new:])
            powers.append(np.concatenate(power, axis=-1))
            targets.append(np.concatenate(target))
            keys.append(key)
            rows.append(piece[0])
    table = data.table.iloc[rows].reset_index(drop=True)
    return replace(data, powers=powers, targets=targets, keys=keys, table=table)


def make_net(module: SambaNet, options, *, max_epochs, device, valid=None) -> NeuralNet:
    """Skorch net, with a translator's options, around a network that has its start values."""
    groups = [
        # The core starts near its optimum; what it has not seen yet learns faster.
        (name, {"lr": 0.1 * options.lr})
        for name in ("bands*", "spatial_map*", "target_bands*", "hrf*", "kernel", "intercept")
        if any(_matches(name, parameter) for parameter, _ in module.named_parameters())
    ]
    return build_net(
        module, options, criterion=CenteredCosineLoss, weight_decay=1e-3, max_epochs=max_epochs,
        device=device, valid=valid, optimizer__param_groups=groups,
    )  # fmt: skip


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern.rstrip("*"))


def predict_segments(
    module: SambaNet,
    powers: list[np.ndarray],
    *,
    n_frames: int,
    step: int,
    dtype: torch.dtype,
    device: str,
    batch_size: int = 16,
) -> list[np.ndarray]:
    """Standardised frames of segments, long ones by overlapping windows whose frames are averaged.

    Parameters
    ----------
    module : SambaNet
        The network.
    powers : list of array, shape (n_channels, n_bands, n_bins)
        Standardised band power.
    n_frames, step : int
        Frames of a window, and between windows, where a segment is longer.
    dtype : torch.dtype
        What the network computes in.
    device : str
        Where.
    batch_size : int
        Windows at a time.
    """
    module = module.to(device).eval()
    out = []
    with torch.inference_mode():
        groups: dict[int, list[int]] = {}
        for i, power in enumerate(powers):
            groups.setdefault(power.shape[-1], []).append(i)
        frames: dict[int, np.ndarray] = {}
        for n_bins, members in groups.items():
            total = (n_bins - module.n_lags) // module.step + 1
            if total > n_frames and module.recurrent is not None:
                for i in members:
                    frames[i] = _by_windows(
                        module, powers[i], total, n_frames, step, dtype, device, batch_size
                    )
                continue
            for first in range(0, len(members), batch_size):
                some = members[first : first + batch_size]
                batch = torch.as_tensor(np.stack([powers[i] for i in some]))
                pred = module(batch.to(device=device, dtype=dtype)).cpu().numpy()
                frames.update(zip(some, pred, strict=True))
        out = [frames[i] for i in range(len(powers))]
    return out


def _by_windows(module, power, total, n_frames, step, dtype, device, batch_size):
    starts = sorted({*range(0, total - n_frames + 1, step), total - n_frames})
    width = module.n_lags + (n_frames - 1) * module.step
    power = torch.as_tensor(power).to(dtype)
    summed, count = None, np.zeros((total, 1))
    for first in range(0, len(starts), batch_size):
        some = starts[first : first + batch_size]
        views = [power[..., s * module.step : s * module.step + width] for s in some]
        pred = module(torch.stack(views).to(device)).cpu().numpy()
        if summed is None:
            summed = np.zeros((total, pred.shape[-1]))
        for start, window in zip(some, pred, strict=True):
            summed[start : start + n_frames] += window
            count[start : start + n_frames] += 1
    return summed / count


def validated_gain(
    core: list[np.ndarray], net: list[np.ndarray], valid: PairedData
) -> tuple[float, float]:
    """Correlation that corrections add on held-out frames: mean over targets, standard error."""
    gain = np.array(validated_correlation(net, valid)) - np.array(
        validated_correlation(core, valid)
    )
    spread = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return float(gain.mean()), float(spread)


def validated_correlation(frames: list[np.ndarray], valid: PairedData) -> np.ndarray:
    """Correlation (n_targets,) of predicted with held-out frames, averaged over recordings.

    0 for regions of which no frame was held out.
    """
    scores = []
    for key in dict.fromkeys(valid.keys):
        rows = [i for i, k in enumerate(valid.keys) if k == key]
        scores.append(
            pearson(
                np.concatenate([valid.targets[i] for i in rows]),
                np.concatenate([frames[i] for i in rows]),
            )
        )
    count = np.isfinite(scores).sum(axis=0)
    return np.nansum(scores, axis=0) / np.maximum(count, 1)


def validated_scale(frames: list[np.ndarray], valid: PairedData) -> np.ndarray:
    """Slope of measured on predicted held-out frames per target, between 0 and 1.5."""
    products, power = _products(frames, valid)
    return np.clip(products / np.where(power > 0, power, np.inf), 0.0, 1.5)


def validated_shrinkage(frames: list[np.ndarray], valid: PairedData) -> float:
    """Slope of measured on predicted held-out frames of all targets, between 0.05 and 1.

    A posterior mean is calibrated where the model is right; where data are few or the model is
    wrong it may promise too much. One number for all targets is known well enough to mend that.
    """
    products, power = _products(frames, valid)
    return float(np.clip(products.sum() / max(power.sum(), 1e-12), 0.05, 1.0))


def _products(frames, valid) -> tuple[np.ndarray, np.ndarray]:
    """Products of centred predicted with measured frames, and with themselves, per target."""
    pred, bold = np.concatenate(frames), np.concatenate(valid.targets)
    seen = np.isfinite(bold)
    count = np.maximum(seen.sum(axis=0), 1)
    pred, bold = np.where(seen, pred, 0.0), np.where(seen, bold, 0.0)
    pred = np.where(seen, pred - pred.sum(axis=0) / count, 0.0)
    bold = np.where(seen, bold - bold.sum(axis=0) / count, 0.0)
    return (pred * bold).sum(axis=0), (pred**2).sum(axis=0)


def train(net: NeuralNet, windows: FrameWindows, checkpoint=None) -> NeuralNet:
    """Fit a net on windows, from a checkpoint on where there is one, and say how it went."""
    if checkpoint is None:
        net.fit(windows, None)
    else:
        checkpoint.fit(net, windows)
    last = net.history[-1]
    logger.info("Trained %d epochs, training loss %.4f.", len(net.history), last["train_loss"])
    return net
