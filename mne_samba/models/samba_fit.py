"""The fit from band power to BOLD: the core that is chosen, corrections, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from mne.utils import logger

from ..arrays import array
from ..core import Core
from ..core.robust import FrameWeights, biweight, clearly_better, drawn_in, fit_robustly
from ..core.shared import shared_products
from ..data.paired import MIN_VALID_FRAMES, Paired
from ..data.power import LowRateGrid, PowerScaler
from ..data.recordings import Layout
from ..hrf.gamma import at_bounds
from ..nn.samba import SambaNet
from .checkpoint import Checkpoints
from .core_choice import Choice, CoreOptions, Split, choose_core, draw
from .corrections import TRAINED_BY, Corrections, Judgement, judge_blocks
from .describe import (
    activation_patterns,
    chosen,
    effective_weights,
    publish_bands,
    publish_network,
    response_of,
)
from .graphs import Graphs, check_graph
from .intervals import held_out
from .network import Network
from .retrieval import MatchedFilter
from .stack import Stack, choose_stack
from .trainer import Trainer, net_around
from .validation import validated_correlation
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
    matched: MatchedFilter | None  # None for tables and very many targets
    patterns: np.ndarray = array("n_targets", "n_channels", "n_bands")  # Haufe patterns
    hrf_length: float = 30.0  # seconds that responses are published for
    weights: FrameWeights | None = None  # None where the loss was squared
    stack: Stack | None = None  # None where held-out frames prefer no ridge beside the network

    def module_for(self, grid: LowRateGrid) -> torch.nn.Module:
        """Network from power to frames, in evaluation mode; with the ridge that is stacked."""
        module = at_grid(self.network.module, grid)
        if self.stack is None:
            return module
        return self.stack.network(module, self.judgement.output_scale, grid)

    def frames(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Frames (n_frames, n_targets) from power (n_channels, n_bands, n_bins)."""
        frames = self.windowing.predict(at_grid(self.network.module, grid), powers)
        frames = [frame * self.judgement.output_scale for frame in frames]
        return frames if self.stack is None else self.stack.mix(frames, powers, grid)

    def std(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Spread (n_frames, n_targets) of measured frames around predicted ones."""
        return [self.judgement.held.std(self.core, power, grid) for power in powers]

    def quantile(self, coverage: float, t_r: float | None = None) -> np.ndarray:
        """Half-width (n_targets,) of intervals in units of the standard deviation."""
        return self.judgement.held.at(t_r).quantile(coverage)

    @property
    def net(self):
        """Skorch net around the network."""
        return net_around(self.network, self.judgement.history, **TRAINED_BY)

    @property
    def stack_weights(self) -> np.ndarray:
        """Share (n_targets,) of the ridge in predictions."""
        return np.zeros(len(self.core.kernel)) if self.stack is None else self.stack.share

    @property
    def hrf_at_bounds(self) -> np.ndarray:
        """Whether a bound of the six parameters holds a response back, (n_targets,)."""
        if self.core.hrf != "double_gamma":
            return np.zeros(len(self.core.kernel), bool)
        return at_bounds(self.core.hrf_params, self.network.spec["hrf_bounds"])

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
            **publish_network(self.network, judgement.history, judgement.kept),
            **publish_bands(weights, spatial_map),
            **response_of(module, layout.target_names, self.hrf_length), "core_": self.core,
            "power_": "log" if self.scaler.log else "linear", "patterns_": self.patterns,
            "graph_": replace(self.graphs, bipartite=spatial_map),
            "stack_weights_": self.stack_weights,
            "frame_weights_": None if self.weights is None else self.weights.by_segment(),
            "hrf_family_": self.core.hrf, "hrf_at_bounds_": self.hrf_at_bounds,
        }  # fmt: skip


def fit_samba(model, data: Paired, trainer: Trainer, seed: int | None, start) -> FittedSamba:
    """Fit a `SambaModel` or `CoreModel`."""
    previous = start_of(start, FittedSamba, data, model.scale_of_power)
    core = None if previous is None else previous.core
    checkpoints = Checkpoints(trainer, model, data, seed, core)
    with checkpoints.seeded():
        corrections = Corrections.of(model, trainer, data)
        check_graph(data, getattr(model, "graph", None))
        if previous is not None and previous.scaler.log and not data.scaler.log:
            data = data.rescaled(PowerScaler(log=True))
        options = CoreOptions.of(model, checkpoints.seed)
        with shared_products():
            choice, weights = _choose(data, options, trainer.split, core, model.loss)
        fitted = _fit_chosen(choice, corrections, float(model.hrf_length), checkpoints)
        fitted = replace(fitted, weights=weights)
        logger.info("Chosen: %s.", chosen(choice, fitted))
        return fitted


def _choose(
    data: Paired, options: CoreOptions, split: Split, previous: Core | None, loss: str
) -> tuple[Choice, FrameWeights | None]:
    """Choose the core; where tails of its residuals are heavy, of targets without them."""
    choice, n_fits = None, 0

    def fit(targets):
        nonlocal choice, n_fits
        n_fits += 1
        if n_fits == 2:
            logger.info("Trying a robust loss: tails of residuals are heavy.")
        # Squares may have chosen badly where tails are heavy: the first fit without them decides.
        if n_fits <= 2:
            choice = choose_core(data.without_tails(targets), options, split, previous)
        else:
            choice = choice.again(choice.data.without_tails(targets))
        parts = split(choice.data)
        if parts is None:
            choice = replace(choice, fitted=choice.whole())
        else:
            choice = choice.of_part(parts[0])
        core = choice.fitted or choice.part
        return choice, core.predict(choice.data.powers, choice.data.grids)

    def better(squared, robust):
        scores = []
        for choice in (squared, robust):
            parts = split(choice.data)
            if parts is None:
                return True
            held = parts[1].as_measured()
            frames = choice.part.predict(held.powers, held.grids)
            scores.append(validated_correlation(frames, held))
        return clearly_better(*scores)

    choice, weights = fit_robustly(fit, data.targets, loss, better)
    if weights is None or choice.part is None:
        return choice, weights
    # What the part predicts lies far from some frames that it has not seen: the last fit to all
    # draws them towards its own predictions, which the part must not see.
    predicted = choice.whole().predict(choice.data.powers, choice.data.grids)
    targets, weights = drawn_in(data.targets, predicted, biweight)
    again = choice.again(choice.data.without_tails(targets))
    return replace(choice, fitted=again.whole()), weights


def _fit_chosen(
    choice: Choice, corrections: Corrections, hrf_length: float, checkpoints: Checkpoints
) -> FittedSamba:
    """Fit the core that was chosen, and corrections."""
    data, trainer, windowing = choice.data, corrections.trainer, corrections.windowing
    graphs, split = corrections.graphs(data), trainer.split(data)
    judgement, cores = Judgement.open(trainer), []
    if split is not None:
        choice = choice.of_part(split[0])
        cores = [choice.part]
        some = draw(split[0], checkpoints.seed)
        judgement = corrections.on_part(choice.part, *split, some, checkpoints.of("judged"))
    elif data.kind != "table" and data.n_frames >= MIN_VALID_FRAMES:
        blocks = choice.in_blocks()
        cores = [core for core, _ in blocks]
        judgement = judge_blocks(data, blocks, trainer)
    stack, judgement = choose_stack(choice, cores, split, judgement)
    logger.info("Fitting the core to all %d frames.", data.n_frames)
    core = choice.whole()
    used = corrections.trained and (judgement.kept or corrections.always)
    module, spec = corrections.build(core, graphs if used else None)
    if used:
        corrections.start(module, core, data)
        history = []
        if judgement.epochs:
            history = corrections.train(
                module, data, judgement.epochs, checkpoint=checkpoints.of("whole")
            )
        judgement = judgement.used(history)
        graphs = _attended(graphs, module, data)
    if judgement.output_scale is None:
        judgement = replace(judgement, output_scale=np.ones(data.n_targets))
    frames = windowing.predict(module, data.powers, data.grids)
    frames = [frame * judgement.output_scale for frame in frames]
    if stack is not None:
        frames = stack.mix(frames, data.powers, data.grid, data.grids)
    if judgement.held is None:
        logger.info("Too short to hold frames out: intervals come from training residuals.")
        judgement = replace(judgement, held=held_out(core, data, frames))
    fitted = FittedSamba(
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
        stack=stack,
    )
    if fitted.hrf_at_bounds.any():
        logger.info(
            "%d of %d responses are held back by a bound of their parameters: see hrf_at_bounds_, "
            "hrf_bounds, and hrf='fir'.", fitted.hrf_at_bounds.sum(), data.n_targets,
        )  # fmt: skip
    return fitted


def _attended(graphs: Graphs, module: SambaNet, data: Paired) -> Graphs:
    """Graphs with the attention that the network pays to training data."""
    longest = max(data.powers, key=lambda power: power.shape[-1])
    with torch.inference_mode():
        power = torch.as_tensor(longest).to(like(module))
        return graphs.attended(*module.eval().attentions(power[None]))
