"""Whether corrections of a linear core are worth keeping: judged on frames held out of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from mne.utils import logger

from ..arrays import array
from ..core import Core
from ..data.paired import Paired
from ..nn.loss import CenteredCosineLoss
from ..nn.samba import SambaNet
from .core_choice import core_of_targets
from .graphs import Graphs
from .intervals import HeldOut, held_out, joined
from .trainer import Trainer, losses
from .validation import (
    mean_and_error,
    validated_correlation,
    validated_scale,
    validated_shrinkage,
)
from .windows import Windowing, core_of

# Correlation below which a gain is not worth a network, however certain it is.
_LEAST_GAIN = 0.002
# Passes of a short training. Corrections start at nothing and move fastest at first.
_TRIAL_EPOCHS = 2
# The core starts near its optimum; what it has not seen yet learns faster.
CORE_RATES = dict.fromkeys(
    ("bands*", "spatial_map*", "target_bands*", "hrf*", "kernel", "intercept"), 0.1
)


@dataclass(frozen=True, eq=False)
class Judgement:
    """What held-out frames say of a model and of corrections.

    Attributes
    ----------
    kept : bool
        Whether corrections are used.
    epochs : int
        Passes of their training over all data: until the loss of held-out frames was least.
    history : list of dict
        Losses by epoch of the training that was judged, else of the only one; empty where
        corrections were not trained.
    gain, error : float | None
        Change of held-out correlation by corrections, and its standard error.
    output_scale : array, shape (n_targets,) | None
        Slope of measured on predicted frames: per target where corrections are used, else one for
        all, at most 1.
    held : HeldOut | None
        Residuals of held-out frames.
    """

    kept: bool
    epochs: int
    history: list[dict] = field(default_factory=list)
    gain: float | None = None
    error: float | None = None
    output_scale: np.ndarray | None = array("n_targets", optional=True)
    held: HeldOut | None = None

    @classmethod
    def open(cls, trainer: Trainer) -> Judgement:
        """Keep nothing, as no frames were held out; who asks for corrections trains to the end."""
        return cls(False, trainer.max_epochs)

    def used(self, history: list[dict]) -> Judgement:
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
class Judge:
    """How networks are built and trained to be judged.

    Attributes
    ----------
    build : callable
        ``build(core, graphs)`` gives a network that starts as the core.
    graphs : callable
        ``graphs(data)`` gives graphs of data.
    trainer : Trainer
        Trains.
    windowing : Windowing
        What a network sees at once.
    always : bool
        Use corrections whatever they gain.
    """

    build: Callable[[Core, Graphs], SambaNet]
    graphs: Callable[[Paired], Graphs]
    trainer: Trainer
    windowing: Windowing
    always: bool

    def on_part(
        self, core: Core, part: Paired, held: Paired, some: np.ndarray | None, checkpoint=None
    ) -> Judgement:
        """Train corrections on a part of the training data, and judge them on the held-out rest.

        ``some`` (n_drawn,).
        """
        # What is held out must not choose neighbours either.
        network = self.build(core, self.graphs(part))
        linear = self.windowing.predict(core_of(network), held.powers)
        shrunk = np.full(held.n_targets, validated_shrinkage(linear, held))
        worth = bool(network.corrections())
        if worth and some is not None and not self.always:
            worth = self.promises(core, part, held, some)
        if not worth:
            left = held_out(core, held, [frame * shrunk for frame in linear])
            return Judgement(False, 1, output_scale=shrunk, held=left)
        net = self.net(network, self.trainer.max_epochs, self.windowing.judges(network, held))
        net = self.trainer.train(net, self.windowing.trains(network, part), checkpoint)
        frames = self.windowing.predict(network, held.powers)
        gain = validated_correlation(frames, held) - validated_correlation(linear, held)
        used, gain, error = confirmed(gain, self.always, "Graph attention and recurrence")
        scale = validated_scale(frames, held) if used else shrunk
        left = held_out(core, held, [frame * scale for frame in (frames if used else linear)])
        history = losses(net)
        return Judgement(used, best_epochs(history), history, gain, error, scale, left)

    def promises(self, core: Core, part: Paired, held: Paired, some: np.ndarray) -> bool:
        """Whether corrections that were trained briefly for some targets improve held-out frames.

        Targets ``some`` (n_drawn,) also are each other's only neighbours. Correlation must rise by
        more than its standard error over targets.
        """
        part, held = part.of_targets(some), held.of_targets(some)
        network = self.build(core_of_targets(core, some), self.graphs(part))
        linear = self.windowing.predict(core_of(network), held.powers)
        net = self.net(network, _TRIAL_EPOCHS, self.windowing.judges(network, held))
        self.trainer.train(net, self.windowing.trains(network, part))
        frames = self.windowing.predict(network, held.powers)
        gain, error = mean_and_error(
            validated_correlation(frames, held) - validated_correlation(linear, held)
        )
        logger.info(
            "A short training for %d targets changes held-out correlation by %+.4f (standard error "
            "%.4f): corrections are %s.",
            len(some), gain, error, "trained" if gain > error else "left out",
        )  # fmt: skip
        return bool(gain > error)

    def net(self, module: SambaNet, max_epochs: int, valid=None):
        """Skorch net around a network."""
        return self.trainer.build(
            module, criterion=CenteredCosineLoss, weight_decay=1e-3, max_epochs=max_epochs,
            valid=valid, groups=CORE_RATES,
        )  # fmt: skip


def judge_blocks(data: Paired, blocks: list[tuple[Core, Paired]], trainer: Trainer) -> Judgement:
    """Judge cores of data too short to hold out one part: each on the block it has not seen."""
    predicted = [core.predict(held.powers) for core, held in blocks]
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
