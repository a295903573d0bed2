"""What the published networks share, there and back: their training, and the line through it."""

from typing import ClassVar

import numpy as np
import torch
from mne.utils import logger
from torch import nn

from .._checks import check_number, check_option
from ..data.paired import Paired
from ..data.power import LowRateGrid
from ..hrf import HRF_BOUNDS
from ..nn.paper import N_HEADS
from .checkpoint import Checkpoints
from .graphs import check_graph_option
from .intervals import HeldOut
from .network import Network
from .trainer import Trainer, net_around

# Windows that an epoch has at least, where recordings are long enough for them to differ.
_WINDOWS = 64
WEIGHT_DECAY = 1e-2


class TrainedNetwork:
    """What fitted published networks from signals to BOLD have in common."""

    trained_by: ClassVar[dict]  # what `net_around` takes besides
    network: Network
    held: HeldOut  # residuals on frames that were held out of training
    history: list[dict]

    def module_for(self, grid: LowRateGrid) -> nn.Module:
        """Network to frames, in evaluation mode."""
        return self.network.module

    def std(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Spread (n_frames, n_targets) of measured frames around predicted ones."""
        spread = np.sqrt(self.held.noise + self.held.drift)
        return [np.tile(spread, (power.shape[-1] - grid.n_lags + 1, 1)) for power in powers]

    def quantile(self, coverage: float, t_r: float | None = None) -> np.ndarray:
        """Half-width (n_targets,) of intervals, of the one ``t_r`` there is, in units of `std`."""
        return self.held.quantile(coverage)

    @property
    def net(self):
        """Skorch net around the network."""
        return net_around(self.network, self.history, **self.trained_by)


def check_parameters(model) -> None:
    """Refuse parameters that no published network has."""
    check_option(model.hrf, "hrf", ("double_gamma", "canonical"))
    check_number(model.hrf_length, "hrf_length", low=0, low_open=True)
    check_option(model.hrf_bounds, "hrf_bounds", tuple(HRF_BOUNDS))
    check_graph_option(model.graph)
    check_number(model.n_neighbors, "n_neighbors", low=1, integer=True)
    check_number(model.n_hidden, "n_hidden", low=1, integer=True)
    if model.n_hidden % N_HEADS:
        raise ValueError(
            f"{type(model).__name__} has {N_HEADS} attention heads: n_hidden must be a multiple of "
            f"{N_HEADS}, got {model.n_hidden}."
        )


def train_published(
    kind: type, spec: dict, model, data: Paired, trainer: Trainer, seed: int | None, previous, *,
    parts: tuple[Paired, Paired], windows, n_frames: int, trained_by: dict, begin=None,
) -> tuple[Network, list[dict]]:  # fmt: skip
    """Train a network until held-out windows, if any, say stop; and its losses by epoch."""
    # It starts from random values, or what ``begin(module)`` makes of them; ``windows(data,
    # n_frames, step)`` cuts one of the ``parts`` of `training_parts`.
    part, held = parts
    dropout = {"dropout": trainer.modality_dropout} if trainer.modality_dropout else {}
    checkpoints = Checkpoints(trainer, model, data, seed, previous)
    with checkpoints.seeded():
        module = kind(**spec).to(trainer.torch_dtype)
        if previous is not None:
            _start_from(module, previous.network)
        elif begin is not None:
            begin(module)
        net = trainer.build(
            module, max_epochs=trainer.max_epochs, **trained_by,
            valid=None if held is part else windows(held, n_frames, n_frames),
        )  # fmt: skip
        step = _training_step(part, n_frames, trainer)
        cut = windows(part, n_frames, step, **dropout)
        history = trainer.train(net, cut, checkpoints.of(kind.__name__))
    return Network.of(net.module_, spec, trainer.torch_device), history


def training_parts(data: Paired, trainer: Trainer) -> tuple[Paired, Paired]:
    """Part to train on and part to judge by, which is the same where data are few."""
    split = trainer.split(data)
    if split is None:
        logger.info("Too few frames to hold some out: training runs for max_epochs.")
        return data, data
    return split


def _training_step(data: Paired, n_frames: int, trainer: Trainer) -> int:
    """Frames between training windows of ``n_frames``: short recordings overlap more."""
    step = trainer.frames(data.grid.t_r, n_frames)[1]
    if trainer.step is not None:
        return step
    return max(1, min(step, sum(map(len, data.targets)) // _WINDOWS))


def _start_from(module: torch.nn.Module, given: Network) -> None:
    """Take over what has the same name and shape in another network of the kind, but graphs."""
    own, graphs = module.state_dict(), ("neighbours", "valid")
    same = {
        name: torch.as_tensor(value)
        for name, value in given.state.items()
        if name in own and own[name].shape == value.shape and not name.endswith(graphs)
    }
    module.load_state_dict({**own, **same})
