"""What networks see of data: windows of frames, cut while they train and while they predict."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch.utils.data import Dataset

from ..data.paired import Paired
from ..data.power import LowRateGrid
from ..nn.samba import SambaNet
from .trainer import Trainer

# Windows that are predicted at a time.
_BATCH = 16


class FrameWindows(Dataset):
    """Windows of frames as views into segments: nothing is copied until a batch is made.

    Of each window, every modality is left out (zero, the mean) with a probability of ``dropout``,
    all but one at most.
    """

    def __init__(
        self, data: Paired, n_frames: int, step: int, dtype: torch.dtype, dropout: float = 0.0
    ):
        self.grid, self.dropout = data.grid, dropout
        self.modalities = modalities_of(data) if dropout else []
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
        absent = torch.rand(len(self.modalities)) < self.dropout
        if absent.any():
            absent[torch.randint(len(absent), (1,))] &= not absent.all()
            power = power.clone()
            for k in absent.nonzero()[:, 0]:
                power[self.modalities[k]] = 0.0
        return power, {"bold": bold, "recording": self.recordings[segment]}


def modalities_of(data: Paired) -> list[list[int]]:
    """Channels of each type; refuse one type alone, and components, which are of no type."""
    kinds = [] if data.info is None else data.info.get_channel_types()
    found = list(dict.fromkeys(kinds))
    if len(found) < 2:
        told = f"channels of type {found[0]}" if found else "unmixed components, or arrays"
        raise ValueError(
            "modality_dropout leaves out types of channels in turn, of which networks must see "
            f"several: they see {told}. Set Trainer(modality_dropout=0.0); channels of several "
            "types (raw.set_channel_types) keep them with the model's unmix=None."
        )
    return [[i for i, kind in enumerate(kinds) if kind == one] for one in found]


@dataclass(frozen=True)
class Windowing:
    """Windows of frames that a network sees at once."""

    n_frames: int  # of a window
    step: int  # between windows, where a recording is longer

    @classmethod
    def of(cls, trainer: Trainer, data: Paired) -> Self:
        """Windows that a trainer cuts data into."""
        return cls(*trainer.frames_of(data))

    def predict(
        self, module: SambaNet, powers: list[np.ndarray], grids: list[LowRateGrid] | None = None
    ) -> list[np.ndarray]:
        """Frames (n_frames, n_targets), means over windows; ``grids`` of segments that differ."""
        if grids is not None:
            frames = [None] * len(powers)
            for grid in dict.fromkeys(grids):
                rows = [i for i, own in enumerate(grids) if own == grid]
                found = self.predict(at_grid(module, grid), [powers[i] for i in rows])
                for i, values in zip(rows, found, strict=True):
                    frames[i] = values
            return frames
        module, frames = module.eval(), [None] * len(powers)
        with torch.inference_mode():
            for some in of_one_length([power.shape[-1] for power in powers], _BATCH):
                total = (powers[some[0]].shape[-1] - module.n_lags) // module.step + 1
                if total > self.n_frames and module.recurrent is not None:
                    found = [self._overlapping(module, powers[i], total) for i in some]
                else:
                    # A recording of hours is not copied.
                    one = len(some) == 1
                    batch = powers[some[0]][None] if one else np.stack([powers[i] for i in some])
                    found = _run(module, torch.as_tensor(batch))
                for i, pred in zip(some, found, strict=True):
                    frames[i] = pred
        return frames

    def _overlapping(self, module, power, total: int) -> np.ndarray:
        """Frames (total, n_targets) of one segment, averaged over windows."""
        n_frames, step = self.n_frames, module.step
        starts = sorted({*range(0, total - n_frames + 1, self.step), total - n_frames})
        # What frames have of their own history is the same in all windows.
        alone, power = [], torch.as_tensor(power)[None]
        for first in range(0, total, _BATCH * n_frames):
            stop = min(first + _BATCH * n_frames, total)
            history = power[..., first * step : module.n_lags + (stop - 1) * step]
            alone.append(module.frames_alone(history.to(like(module)))[0])
        windows = torch.cat(alone).unfold(0, n_frames, 1).transpose(1, 2)
        summed, count = np.zeros((total, windows.shape[-1])), np.zeros((total, 1))
        for first in range(0, len(starts), _BATCH):
            some = starts[first : first + _BATCH]
            found = module.in_sequence(windows[some]).cpu().numpy()
            for start, window in zip(some, found, strict=True):
                summed[start : start + n_frames] += window
                count[start : start + n_frames] += 1
        return summed / count


def of_one_length(lengths: list[int], n_most: int) -> Iterator[list[int]]:
    """Give indices of segments of one length, which run together, ``n_most`` at a time."""
    for length in dict.fromkeys(lengths):
        members = [i for i, other in enumerate(lengths) if other == length]
        for first in range(0, len(members), n_most):
            yield members[first : first + n_most]


def like(module: torch.nn.Module) -> torch.Tensor:
    """Give a weight of a network: its precision and device are those of all."""
    return next(module.parameters())


def _run(module, batch: torch.Tensor) -> np.ndarray:
    """Compute (n_windows, n_frames, n_targets) where the network is."""
    return module(batch.to(like(module))).cpu().numpy()


def without(module: torch.nn.Module, *parts: str) -> torch.nn.Module:
    """Leave parts out of a network, which shares all others with it."""
    module = copy.copy(module)
    module._modules = {**module._modules, **dict.fromkeys(parts)}
    return module


def core_of(module: SambaNet) -> SambaNet:
    """Leave corrections out of a network."""
    return without(module, "source_graph", "target_graph", "recurrent")


def at_grid(module: SambaNet, grid: LowRateGrid) -> SambaNet:
    """Bring a network to another grid of frames, where it is another."""
    if grid.dt != module.dt or grid.step != module.step:
        module = copy.deepcopy(module)
        module.set_grid_(step=grid.step, dt=grid.dt)
    return module
