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
from .trainer import Trainer
from .warm_start import start_of
from .windows import Windowing, at_grid, like


@dataclass(frozen=True, eq=False)
class FittedSamba:
    """A fitted model from band power to BOLD."""

    core: Core  # that the network started from
    scaler: PowerScaler
    network: Network  # the core's, or with corrections where they are used
    windowing: Windowing
    judgement: Judgement
    graphs: Graphs
    matched: MatchedFilter | None  # None for tables
    patterns: np.ndarray = array("n_targets", "n_channels", "n_bands")  # Haufe patterns
    hrf_length: float = 30.0  # seconds that responses are published for

    def module_for(self, grid: LowRateGrid) -> SambaNet:
        """Network from power to frames, in evaluation mode."""
        return at_grid(self.network.module, grid)

    def frames(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Frames (n_frames, n_targets) from power (n_channels, n_bands, n_bins)."""
        frames = self.windowing.predict(self.module_for(grid), powers)
        return [frame * self.judgement.output_scale for frame in frames]

    def std(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Spread (n_frames, n_targets) of measured frames around predicted ones."""
        return [self.judgement.held.std(self.core, power, grid) for power in powers]

    def quantile(self, coverage: float) -> np.ndarray:
        """Half-width (n_targets,) of intervals in units of the standard deviation."""
        return self.judgement.held.quantile(coverage)

    def drives(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Neural drive of regions, (n_targets, n_bins)."""
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
            **response_of(module, layout.target_names, self.hrf_length), "core_": self.core,
            "power_": "log" if self.scaler.log else "linear", "patterns_": self.patterns,
            "graph_": replace(self.graphs, bipartite=spatial_map),
        }  # fmt: skip


def fit_samba(model, data: Paired, trainer: Trainer, seed: int | None, start) -> FittedSamba:
    """Fit a `SambaModel` or `CoreModel`."""
    previous = start_of(start, FittedSamba, data, model.power)
    core = None if previous is None else previous.core
    checkpoints = Checkpoints(trainer, model, data, seed, core)
    with checkpoints.seeded():
        corrections = Corrections.of(model, trainer, data)
        check_graph(data, getattr(model, "graph", None))
        if previous is not None and previous.scaler.log and not data.scaler.log:
            data = data.rescaled(PowerScaler(log=True))
        options = CoreOptions.of(model, checkpoints.seed)
        choice = choose_core(data, options, trainer.split, core)
        return _fit_chosen(choice, corrections, float(model.hrf_length), checkpoints)


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
        history = corrections.train(
            module, data, judgement.epochs, checkpoint=checkpoints.of("whole")
        )
        judgement = judgement.used(history)
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
