"""The fit from band power to BOLD: the core that is chosen, corrections, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from mne.utils import logger

from ..arrays import array
from ..core import Core
from ..data.paired import MIN_TRAIN_FRAMES, Paired
from ..data.power import LowRateGrid, PowerScaler
from ..data.recordings import Layout
from ..nn.samba import SambaNet
from .checkpoint import Checkpoints
from .core_choice import Choice, CoreOptions, choose_core, draw
from .corrections import TRAINED_BY, Corrections, Judgement, judge_blocks
from .describe import (
    activation_patterns,
    effective_weights,
    publish_bands,
    publish_network,
    response_of,
)
from .graphs import Graphs, check_graph
from .intervals import held_out
from .network import Network
from .retrieval import MatchedFilter
from .trainer import Trainer, losses
from .warm_start import start_of
from .windows import Windowing, at_grid, like


@dataclass(frozen=True, eq=False)
class FittedSamba:
    """A fitted model from band power to BOLD.

    Attributes
    ----------
    core : Core
        The linear core that the network started from.
    scaler : PowerScaler
        How band power is standardised.
    network : Network
        The network: the core's, or with corrections where they are used.
    windowing : Windowing
        What the network sees of recordings at once.
    judgement : Judgement
        Whether corrections are used, the scale of the output, and residuals of held-out frames.
    graphs : Graphs
        Who resembles whom, and who attends to whom.
    matched : MatchedFilter | None
        Which window of BOLD belongs to a prediction; None for tables.
    patterns : array, shape (n_targets, n_channels, n_bands)
        Haufe patterns.
    hrf_length : float
        Seconds that responses are published for.
    """

    core: Core
    scaler: PowerScaler
    network: Network
    windowing: Windowing
    judgement: Judgement
    graphs: Graphs
    matched: MatchedFilter | None
    patterns: np.ndarray = array("n_targets", "n_channels", "n_bands")
    hrf_length: float = 30.0

    def module_for(self, grid: LowRateGrid) -> SambaNet:
        """Network from power to frames, in evaluation mode."""
        return at_grid(self.network.module, grid)

    def frames(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Predict frames.

        ``powers`` (n_channels, n_bands, n_bins); returns ``frames`` (n_frames, n_targets).
        """
        frames = self.windowing.predict(self.module_for(grid), powers)
        return [frame * self.judgement.output_scale for frame in frames]

    def std(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Say how far measured frames lie from predicted ones.

        ``powers`` (n_channels, n_bands, n_bins); returns ``std`` (n_frames, n_targets).
        """
        return [self.judgement.held.std(self.core, power, grid) for power in powers]

    def quantile(self, coverage: float) -> np.ndarray:
        """Half-width of intervals in units of the standard deviation.

        Returns ``half`` (n_targets,).
        """
        return self.judgement.held.quantile(coverage)

    def drives(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Compute the neural drive of regions.

        ``powers`` (n_channels, n_bands, n_bins); returns ``drives`` (n_targets, n_bins).
        """
        module, own = at_grid(self.network.module, grid), like(self.network.module)
        with torch.inference_mode():
            batches = [torch.as_tensor(p).to(own.device, own.dtype)[None] for p in powers]
            return [module.drive(batch)[0].cpu().numpy() for batch in batches]

    def describe(self, layout: Layout) -> dict:
        """Give the fitted attributes that people read and plot."""
        module, judgement = self.network.module, self.judgement
        weights, spatial_map = effective_weights(module, np.abs(self.core.weights).sum(axis=1))
        return {
            **publish_network(self.network, judgement.history, judgement.kept, **TRAINED_BY),
            **publish_bands(weights, spatial_map),
            **response_of(module, layout.target_names, self.hrf_length),
            "core_": self.core,
            "power_": "log" if self.scaler.log else "linear",
            "patterns_": self.patterns,
            "graph_": replace(self.graphs, bipartite=spatial_map),
        }


def fit_samba(model, data: Paired, trainer: Trainer, seed: int | None, start) -> FittedSamba:
    """Fit a `SambaModel` or `CoreModel`."""
    previous = start_of(start, FittedSamba, data, model.power)
    core = None if previous is None else previous.core
    checkpoints = Checkpoints(trainer, model, data, seed, core)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(checkpoints.seed)
        corrections = Corrections.of(model, trainer, data)
        check_graph(data, corrections.options.graph, data.info, data.ch_names)
        if previous is not None and previous.scaler.log and not data.scaler.log:
            data = data.rescaled(PowerScaler(log=True))
        options = CoreOptions.of(model, checkpoints.seed)
        choice = choose_core(data, options, trainer.split, core)
        fitted = _fit_chosen(choice, corrections, float(model.hrf_length), checkpoints)
    checkpoints.clear()
    return fitted


def _fit_chosen(
    choice: Choice, corrections: Corrections, hrf_length: float, checkpoints: Checkpoints
) -> FittedSamba:
    """Fit the core that was chosen, and corrections."""
    data, trainer, windowing = choice.data, corrections.trainer, corrections.windowing
    graphs, split = corrections.graphs(data), trainer.split(data)
    judgement = Judgement.open(trainer)
    if split is not None:
        choice = choice.of_part(split[0])
        some = draw(split[0], checkpoints.seed)
        judgement = corrections.on_part(choice.part, *split, some, checkpoints.of("judged"))
    elif data.kind != "table" and data.n_frames >= MIN_TRAIN_FRAMES:
        judgement = judge_blocks(data, choice.in_blocks(), trainer)
    core = choice.whole()
    used = corrections.trained and (judgement.kept or corrections.always)
    module, spec = corrections.build(core, graphs if used else None)
    if used:
        net = corrections.net(module, judgement.epochs)
        trainer.train(net, windowing.trains(module, data), checkpoints.of("whole"))
        judgement = judgement.used(losses(net))
        graphs = _attended(graphs, module, data)
    if judgement.output_scale is None:
        judgement = replace(judgement, output_scale=np.ones(data.n_targets))
    frames = windowing.predict(module, data.powers)
    frames = [frame * judgement.output_scale for frame in frames]
    if judgement.held is None:
        logger.info("Too short to hold frames out: intervals come from training residuals.")
        judgement = replace(judgement, held=held_out(core, data, frames))
    return FittedSamba(
        # The posterior is for fits that go on from it.
        core=replace(core, state=None),
        scaler=data.scaler,
        network=Network.of(module, spec, trainer.torch_device),
        windowing=windowing,
        judgement=judgement,
        graphs=graphs,
        matched=MatchedFilter.of(data, frames),
        patterns=activation_patterns(module, data, frames),
        hrf_length=hrf_length,
    )


def _attended(graphs: Graphs, module: SambaNet, data: Paired) -> Graphs:
    """Graphs with the attention that the network pays to training data."""
    longest = max(data.powers, key=lambda power: power.shape[-1])
    with torch.inference_mode():
        power = torch.as_tensor(longest).to(like(module))
        return graphs.attended(*module.eval().attentions(power[None]))
