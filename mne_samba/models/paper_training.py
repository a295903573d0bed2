"""What the published networks share, there and back: their training, and the line through it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from mne.utils import logger
from skorch.history import History
from torch.utils.data import Dataset

from .._checks import check_number, check_option
from ..data.paired import Paired
from ..hrf import HRF_BOUNDS, HRF_PARAMS, double_gamma, hrf_summary
from ..nn.paper import N_HEADS
from .accelerated import AcceleratedNet
from .describe import HRF_STEP
from .graphs import check_graph_option
from .network import Network
from .trainer import Trainer

# Windows that an epoch has at least, where recordings are long enough for them to differ.
_WINDOWS = 64
_WEIGHT_DECAY = 1e-2


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


def training_parts(data: Paired, trainer: Trainer) -> tuple[Paired, Paired, bool]:
    """Part to train on and part to judge by, and whether it is another one."""
    split = trainer.split(data)
    if split is None:
        logger.info("Too few frames to hold some out: training runs for max_epochs.")
        return data, data, False
    return *split, True


def training_step(data: Paired, n_frames: int, trainer: Trainer) -> int:
    """Frames between training windows of ``n_frames``.

    Short recordings overlap more: an epoch has enough steps to learn something from.
    """
    step = trainer.frames(data.grid.t_r, n_frames)[1]
    if trainer.step is not None:
        return step
    return max(1, min(step, sum(map(len, data.targets)) // _WINDOWS))


def start_from(module: torch.nn.Module, given: Network) -> None:
    """Take over what has the same name and shape in another network of the kind, but graphs."""
    own, graphs = module.state_dict(), ("neighbours", "valid")
    same = {
        name: torch.as_tensor(value)
        for name, value in given.state.items()
        if name in own and own[name].shape == value.shape and not name.endswith(graphs)
    }
    module.load_state_dict({**own, **same})


def train(
    module: torch.nn.Module, criterion: type, windows: Dataset, valid: Dataset | None,
    trainer: Trainer, checkpoint,
) -> AcceleratedNet:  # fmt: skip
    """Train a network from its start values until held-out windows, if any, say stop."""
    net = trainer.build(
        module, criterion=criterion, weight_decay=_WEIGHT_DECAY, valid=valid,
        max_epochs=trainer.max_epochs,
    )  # fmt: skip
    return trainer.train(net, windows, checkpoint)


def net_around(network: Network, criterion: type, history: list[dict]) -> AcceleratedNet:
    """Skorch net around a trained network, with the losses of its training."""
    net = Trainer(device=network.device).build(
        network.module, criterion=criterion, weight_decay=_WEIGHT_DECAY, max_epochs=1
    )
    net.initialize()
    net.history_ = History({**row, "batches": []} for row in history)
    return net


def mean_and_slope(pred: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of predictions, and slope of measurements on them, which a cosine does not know.

    Both are (n_rows, n_outputs) without NaN; results (n_outputs,), no slope below zero.
    """
    mean = pred.mean(axis=0)
    pred, true = pred - mean, true - true.mean(axis=0)
    power = (pred**2).sum(axis=0)
    slope = (pred * true).sum(axis=0) / np.where(power > 0, power, np.inf)
    return mean, np.maximum(slope, 0.0)


def published_responses(params: torch.Tensor, ch_names: list[str], hrf_length: float) -> dict:
    """Attributes that say the response of every node; ``params`` are (n_channels, 6)."""
    params = params.detach().cpu().double().numpy()
    times = np.arange(0, hrf_length + HRF_STEP / 2, HRF_STEP)
    return {
        "hrf_params_": pd.DataFrame(params, index=ch_names, columns=list(HRF_PARAMS)),
        "hrf_": double_gamma(times, params),
        "hrf_times_": times,
        "hrf_peak_time_": hrf_summary(params)["peak_time"],
    }
