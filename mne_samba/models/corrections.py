"""Whether corrections of a linear core are worth keeping: judged on frames held out of training."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from mne.utils import logger

from .._checks import several_t_r
from ..arrays import array
from ..core import Core
from ..data.paired import Paired
from ..data.power import LowRateGrid
from ..nn.loss import CenteredCosineLoss
from ..nn.samba import SambaNet
from .core_based import CoreBased
from .core_choice import core_of_targets
from .graphs import Graphs, fit_graphs
from .intervals import HeldOut, held_out, joined
from .readouts import read_out, used_of
from .trainer import Trainer
from .validation import (
    mean_and_error,
    validated_correlation,
    validated_scale,
    validated_shrinkage,
)
from .windows import FrameWindows, Windowing, core_of, modalities_of

# Correlation below which a gain is not worth a network, however certain it is.
_LEAST_GAIN = 0.002
# Seconds of training frames below which corrections are not trained to be judged: not even worlds
# that are made for one of them (`benchmarks/_ablation_worlds.py`) showed a gain in so few.
_SHORT = 600.0
# Correlation below which what is only read out is no promise.
_LEAST_PROMISE = 0.001
# The core starts near its optimum; what it has not seen yet learns faster.
_CORE = ("bands*", "spatial_map*", "target_bands*", "hrf*", "kernel", "intercept")
TRAINED_BY = {
    "criterion": CenteredCosineLoss, "weight_decay": 1e-3, "groups": dict.fromkeys(_CORE, 0.1),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Judgement:
    """What held-out frames say of a model and of corrections."""

    kept: bool  # whether corrections are used
    # Of their training over all data: until the loss of held-out frames was least; 0 where what
    # least squares read out predicts them better than any training.
    epochs: int
    # Losses by epoch of the training that was judged, else of the only one; empty where
    # corrections were not trained.
    history: list[dict] = field(default_factory=list)
    gain: float | None = None  # change of held-out correlation by corrections
    error: float | None = None  # its standard error
    # Slope of measured on predicted frames: per target where corrections are used, else one for
    # all, at most 1.
    output_scale: np.ndarray | None = array("n_targets", optional=True)
    held: HeldOut | None = None  # residuals of held-out frames

    @classmethod
    def open(cls, trainer: Trainer) -> Self:
        """Keep nothing, as no frames were held out; who asks for corrections trains to the end."""
        return cls(False, trainer.max_epochs)

    def used(self, history: list[dict]) -> Self:
        """Say that corrections are used, trained on all data with these losses."""
        return replace(self, kept=True, history=self.history or history)


def confirmed(gain: np.ndarray, always: bool, what: str) -> tuple[bool, float, float]:
    """Say whether a gain of correlation (n_items,) is large and certain enough, and log it."""
    mean, error = mean_and_error(gain)
    kept = bool(mean > max(_LEAST_GAIN, 2 * error))
    done = "kept" if kept else "left out"
    if always and not kept:
        done = 'kept, as corrections="always" asks'
    logger.info(
        "%s change held-out correlation by %+.4f (standard error %.4f): %s.",
        what, mean, error, done,
    )  # fmt: skip
    return kept or always, mean, error


def best_epochs(history: list[dict]) -> int:
    """Count passes until the loss of held-out frames was least."""
    return int(np.argmin([row["valid_loss"] for row in history])) + 1


@dataclass(frozen=True)
class Training:
    """What networks around a core are trained by, there and back."""

    model: CoreBased  # which has corrections, or is a core alone
    trainer: Trainer
    windowing: Windowing  # frames of training windows, and between them

    @property
    def trained(self) -> bool:
        """Whether the model has corrections."""
        return hasattr(self.model, "corrections")

    @property
    def always(self) -> bool:
        """Whether they are used whatever they gain."""
        return self.trained and self.model.corrections == "always"


@dataclass(frozen=True)
class Corrections(Training):
    """Networks around cores, and how what they learn beyond them is trained and judged."""

    grid: LowRateGrid
    table: bool  # whether data are a table
    several: bool = False  # whether times between frames differ

    @classmethod
    def of(cls, model, trainer: Trainer, data: Paired) -> Self:
        """Corrections of a model, for a kind of data."""
        several = data.grids is not None
        if several and getattr(model, "corrections", None) == "always":
            raise ValueError(
                f"{several_t_r([on.t_r for on in data.on])} were given, but networks are trained "
                'on frames of one: set corrections="auto" (the core alone), or bring recordings to '
                "one t_r (mne_samba.io.harmonize)."
            )
        made = cls(model, trainer, Windowing.of(trainer, data), data.grid, data.kind == "table",
                   several)  # fmt: skip
        if trainer.modality_dropout and not hasattr(model, "corrections"):
            raise ValueError(
                f"modality_dropout={trainer.modality_dropout:g} is for networks, of which "
                f"{type(model).__name__} trains none: set Trainer(modality_dropout=0.0)."
            )
        if trainer.modality_dropout and made.trained:
            modalities_of(data)  # says now, not after the core is fitted, what cannot be left out
        return made

    @property
    def trained(self) -> bool:
        """Whether there are corrections.

        Rows of a table have neither order nor history, and a network has one time between frames.
        """
        if not super().trained or self.table or self.several:
            return False
        return self.model.graph is not None or self.model.recurrent is not None

    def graphs(self, data: Paired) -> Graphs:
        """Graphs of data: a core, which attends along none, shows nearest neighbours."""
        if not hasattr(self.model, "graph"):
            return fit_graphs(data)
        return fit_graphs(data, self.model.graph, self.model.n_neighbors)

    def build(self, core: Core, graphs: Graphs | None) -> tuple[SambaNet, dict]:
        """Network that is the core, exactly, but for precision, and its parameters.

        It has corrections, which are nothing yet, if it has graphs.
        """
        model, grid = self.model, self.grid
        n_channels, n_bands = core.weights.shape
        spec = {
            "n_channels": n_channels, "n_bands": n_bands, "n_targets": len(core.kernel),
            "step": grid.step, "dt": grid.dt, "n_lags": grid.n_lags, "hrf": core.hrf,
            "hrf_bounds": model.hrf_bounds, "band_attention": model.band_attention,
            "target_bands": core.extra is not None, "recurrent": None,
        }  # fmt: skip
        if graphs is not None:
            spec |= {
                "source_adjacency": graphs.source, "target_adjacency": graphs.target,
                "recurrent": model.recurrent, "n_hidden": model.n_hidden,
                "learn_edges": isinstance(model.graph, str) and model.graph == "learnt",
            }  # fmt: skip
        # A table has no network to train: its core is kept as it is.
        dtype = torch.float64 if self.table else self.trainer.torch_dtype
        module = SambaNet(**spec).to(dtype)
        module.set_core_(
            weights=core.weights, spatial_map=core.spatial_map, intercept=core.intercept,
            hrf_params=core.hrf_params, kernel=core.kernel, extra=core.extra,
        )  # fmt: skip
        return module.to(self.trainer.torch_device), spec

    def on_part(
        self, core: Core, part: Paired, held: Paired, some: np.ndarray | None, checkpoint=None
    ) -> Judgement:
        """Train corrections on a part, and judge them on the held-out rest; ``some`` (n_drawn,)."""
        # What is held out must not choose neighbours either.
        graphs = self.graphs(part) if self.trained else None
        network, _ = self.build(core, graphs)
        linear = self.windowing.predict(core_of(network), held.powers, held.grids)
        shrunk = np.full(held.n_targets, validated_shrinkage(linear, held))
        worth, untrained = bool(network.corrections()), linear
        if worth and not self.always and part.n_frames * self.grid.t_r < _SHORT:
            logger.info(
                "%d training frames are too few to learn corrections from: left out.",
                part.n_frames,
            )
            worth = False
        if worth and some is not None and not self.always:
            # Of many targets some decide.
            few, few_held, few_core = (
                part.of_targets(some), held.of_targets(some), core_of_targets(core, some)
            )  # fmt: skip
            small, _ = self.build(few_core, graphs.of_targets(some, self.model.n_neighbors))
            worth, _ = self.promises(small, few_core, few, few_held)
        if worth:
            worth, untrained = self.promises(network, core, part, held)
        if not worth and not self.always:
            left = held_out(core, held, [frame * shrunk for frame in linear])
            return Judgement(False, 1, output_scale=shrunk, held=left)
        logger.info("Training graph attention and recurrence, to be judged on held-out frames.")
        history = self.train(network, part, self.trainer.max_epochs, held, checkpoint)
        frames, epochs = self.windowing.predict(network, held.powers), best_epochs(history)
        scores = [validated_correlation(found, held) for found in (linear, untrained, frames)]
        more, error = mean_and_error(scores[2] - scores[1])
        if more <= error and not self.always:
            logger.info("Least squares read out as much as training adds: it is left out.")
            frames, epochs, scores[2] = untrained, 0, scores[1]
        gain = scores[2] - scores[0]
        used, gain, error = confirmed(gain, self.always, "Graph attention and recurrence")
        scale = validated_scale(frames, held) if used else shrunk
        left = held_out(core, held, [frame * scale for frame in (frames if used else linear)])
        return Judgement(used, epochs, history, gain, error, scale, left)

    def promises(
        self, network: SambaNet, core: Core, part: Paired, held: Paired
    ) -> tuple[bool, list[np.ndarray]]:
        """Whether corrections that are only read out improve held-out frames, and these.

        Correlation must rise by more than its standard error over targets. Of the ``network``, the
        readouts are changed in place. Frames are (n_frames, n_targets).
        """
        linear = self.windowing.predict(core_of(network), held.powers)
        self.start(network, core, part)
        used = used_of(network)
        frames = self.windowing.predict(used, held.powers) if used.corrections() else linear
        gain, error = mean_and_error(
            validated_correlation(frames, held) - validated_correlation(linear, held)
        )
        promising = bool(gain > max(_LEAST_PROMISE, error))
        if not self.always:
            logger.info(
                "Corrections that are read out, not trained, change held-out correlation by %+.4f "
                "(standard error %.4f): they are %s.",
                gain, error, "trained" if promising else "left out",
            )  # fmt: skip
        return promising, frames

    def start(self, network: SambaNet, core: Core, data: Paired) -> None:
        """Begin training where least squares read corrections out, in place."""
        read_out(network, data, self.windowing, core.ar)

    def train(self, module: SambaNet, data: Paired, epochs, held=None, checkpoint=None) -> list:
        """Train a network in place, judged on what is held out; losses by epoch."""
        n_frames, step = self.windowing.n_frames, self.windowing.step
        dtype, valid = self.trainer.torch_dtype, None
        if held is not None:
            valid = FrameWindows(held, n_frames, n_frames, dtype)
        net = self.trainer.build(module, max_epochs=epochs, valid=valid, **TRAINED_BY)
        windows = FrameWindows(data, n_frames, step, dtype, self.trainer.modality_dropout)
        return self.trainer.train(net, windows, checkpoint)


def judge_blocks(data: Paired, blocks: list[tuple[Core, Paired]], trainer: Trainer) -> Judgement:
    """Judge cores of data too short to hold out one part: each on the block it has not seen."""
    predicted = [core.predict(held.powers, held.grids) for core, held in blocks]
    frames = [frame for some in predicted for frame in some]
    targets = [target for _, held in blocks for target in held.targets]
    shrinkage = validated_shrinkage(frames, replace(data, targets=targets))
    logger.info("Short data: held-out blocks shrink predictions by %.2f.", shrinkage)
    left = [
        held_out(core, held, [shrinkage * frame for frame in some])
        for (core, held), some in zip(blocks, predicted, strict=True)
    ]
    scale = np.full(data.n_targets, shrinkage)
    return replace(Judgement.open(trainer), output_scale=scale, held=joined(left))
