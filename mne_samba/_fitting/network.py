"""Fit the network of a translator: the linear core first, corrections where they are confirmed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from mne.utils import logger
from skorch import NeuralNet

from .._data.lowrate import LowRateGrid
from .._data.paired import PairedData
from ..nn.linear import Core
from ..nn.samba import SambaNet
from .accelerated import losses
from .checkpoint import Checkpoints
from .core_choice import CoreChooser
from .graphs import Graphs, fit_graphs
from .training import (
    MIN_TRAIN_FRAMES,
    FrameWindows,
    make_net,
    n_frames_of,
    predict_segments,
    train,
    validated_gain,
    validated_scale,
    validated_shrinkage,
)
from .trial import corrections_promise
from .uncertainty import HeldOut, held_out, joined


@dataclass
class FittedNetwork:
    """A trained network and what it takes to predict with it.

    Attributes
    ----------
    net : skorch.NeuralNet
        The network.
    core : Core
        The linear core that it started from.
    graphs : Graphs
        Its graphs.
    output_scale : array, shape (n_targets,)
        Slope of measured on predicted frames, from held-out training data: per target where
        corrections are used, else one for all, at most 1.
    corrections_kept : bool
        Whether graph attention and recurrence are used.
    history : list of dict
        Losses by epoch.
    held : HeldOut
        Residuals on frames that were held out of training.
    n_frames, step : int
        Frames of a window, and between windows, in long recordings.
    dtype, device
        What and where it computes.
    """

    net: NeuralNet
    core: Core
    graphs: Graphs
    output_scale: np.ndarray
    corrections_kept: bool
    n_frames: int
    step: int
    dtype: torch.dtype
    device: str
    history: list[dict] = field(default_factory=list)
    held: HeldOut | None = None

    @property
    def node_scale(self) -> np.ndarray:
        """Size of every node's band weights in the core, (n_channels,)."""
        return np.abs(self.core.weights).sum(axis=1)

    @property
    def n_parameters(self) -> int:
        """Learnt numbers."""
        return sum(p.numel() for p in self.net.module_.parameters() if p.requires_grad)

    def module(self, grid: LowRateGrid) -> SambaNet:
        """Network for a grid of frames, on its device, in evaluation mode."""
        module = self.net.module_
        if not self.corrections_kept and module.corrections():
            # Shut gates add nothing: leave the parts out instead of computing zeros.
            module = copy.copy(module)
            module._modules = dict(module._modules)
            module.source_graph = module.target_graph = module.recurrent = None
        if grid.dt != module.dt or grid.step != module.step:
            module = copy.deepcopy(module)
            module.set_grid_(step=grid.step, dt=grid.dt)
        return module.to(self.device).eval()

    def frames(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Standardised frames (n_frames, n_targets) of every segment."""
        frames = predict_segments(
            self.module(grid), powers, n_frames=self.n_frames, step=self.step, dtype=self.dtype,
            device=self.device,
        )  # fmt: skip
        return [frame * self.output_scale for frame in frames]

    def drives(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Neural drive (n_targets, n_bins) of every segment."""
        module, out = self.module(grid), []
        with torch.inference_mode():
            for power in powers:
                batch = torch.as_tensor(power).to(self.device, self.dtype)
                out.append(module.drive(batch[None])[0].cpu().numpy())
        return out


def torch_device(device: str) -> str:
    """Resolve "auto" to the first accelerator that exists; refuse devices that do not."""
    if device != "auto":
        try:
            kind = torch.device(device).type
            torch.zeros(1, device=device)
        except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
            raise ValueError(
                f'device must be "auto" or a device of torch that exists here, such as "cpu" or '
                f'"cuda", got {device!r}: {str(error)[:200]}'
            ) from None
        if kind == "meta":
            raise ValueError('device="meta" holds no numbers; use "auto".')
        return str(device)
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


class NetworkFitter:
    """Fit and rebuild networks with the options of one translator.

    Parameters
    ----------
    options : SambaTranslator
        Read for its parameters and sizes, never changed.
    """

    def __init__(self, options):
        self.options = options
        self.cores = CoreChooser(options)
        rows = options.kind_ == "features"
        self.corrected = not rows and options.corrections != "never"
        self.dtype = torch.float64 if rows else getattr(torch, options.dtype)
        self.device = torch_device(options.device)
        self.n_frames = int(options.n_frames_)
        step = max(1, self.n_frames // 2)
        if options.step is not None:
            step = max(1, round(options.step / options.grid_.t_r))
        # Frames between windows would not be predicted.
        self.step = min(step, self.n_frames)

    def fit(self, data: PairedData, seed: int, previous: Core | None) -> FittedNetwork:
        """Fit the core, train corrections on a part, and keep what the held-out rest confirms."""
        adapted = None if previous is None else vars(previous)
        checkpoints = Checkpoints(self.options.checkpoint_dir, self.options, data, seed, adapted)
        graphs = fit_graphs(self.options, data)
        scale, kept, history = np.ones(self.options.n_targets_), False, []
        split = self.cores.split(data)
        epochs, held, drift = self.options.max_epochs, None, self.options._drift
        if split is not None:
            # What is held out must not choose neighbours either.
            known = fit_graphs(self.options, split[0]) if self.corrected else graphs
            epochs, scale, kept, history, held = self._judge(
                *split, known, seed, previous, checkpoints.of("judged")
            )
        elif data.kind != "features" and n_frames_of(data) >= MIN_TRAIN_FRAMES:
            shrinkage, held = self._judge_blocks(data, seed, previous)
            scale *= shrinkage
        core = self.cores.fit(data, seed, previous)
        network = self.wrap(core, graphs, scale, kept, history, epochs)
        if self.corrected and (kept or self.options.corrections == "always"):
            network.corrections_kept = True
            train(network.net, self.windows(data), checkpoints.of("whole"))
            network.history = network.history or losses(network.net)
            network.graphs = self._attended(network, data)
        network.held = held
        if held is None:
            logger.info("Too short to hold frames out: intervals come from training residuals.")
            network.held = held_out(
                network.core, data, network.frames(data.powers, data.grid), drift
            )
        checkpoints.clear()
        return network

    def wrap(self, core, graphs, scale, kept, history, epochs=1) -> FittedNetwork:
        """Network that starts as the core, untrained beyond it."""
        net = self._net(self._build(core, graphs), max(1, epochs))
        net.initialize()
        return FittedNetwork(
            net,
            core,
            graphs,
            scale,
            kept,
            self.n_frames,
            self.step,
            self.dtype,
            self.device,
            history,
        )

    def _judge(self, part, held, graphs, seed, previous, checkpoint):
        """Train corrections without the held-out block, and judge them on it."""
        options, ones = self.options, np.ones(self.options.n_targets_)
        drift = options._drift
        network = self.wrap(self.cores.fit_part(part, seed, previous), graphs, ones, False, [])
        core = network.frames(held.powers, held.grid)
        shrunk = ones * validated_shrinkage(core, held)
        hopeless = not network.net.module_.corrections()
        some = self.cores.draw(part, seed)
        if not hopeless and some is not None and options.corrections == "auto":
            hopeless = not corrections_promise(self, network.core, part, held, some)
        if hopeless:
            frames = [frame * shrunk for frame in core]
            return 1, shrunk, False, [], held_out(network.core, held, frames, drift)
        windows = self.windows(held, self.n_frames)
        net = self._net(network.net.module_, options.max_epochs, windows)
        network.net = train(net, self.windows(part), checkpoint)
        network.corrections_kept = True
        history = losses(net)
        frames = network.frames(held.powers, held.grid)
        gain, error = validated_gain(core, frames, held)
        kept = bool(gain > max(0.002, 2 * error))
        logger.info(
            "Graph attention and recurrence change held-out correlation by %+.4f (standard error "
            "%.4f): %s.", gain, error, "kept" if kept else "left out",
        )  # fmt: skip
        used = kept or options.corrections == "always"
        scale = validated_scale(frames, held) if used else shrunk
        best = [frame * scale for frame in (frames if used else core)]
        epochs = int(np.argmin([row["valid_loss"] for row in history])) + 1
        return epochs, scale, kept, history, held_out(network.core, held, best, drift)

    def _judge_blocks(self, data, seed, previous):
        """Shrinkage and held-out residuals of data too short to hold out one part of it."""
        blocks = self.cores.fit_blocks(data, seed, previous)
        predicted = [core.predict(held.powers) for core, held in blocks]
        frames = [frame for some in predicted for frame in some]
        targets = [target for _, held in blocks for target in held.targets]
        shrinkage = validated_shrinkage(frames, replace(data, targets=targets))
        logger.info("Short data: held-out blocks shrink predictions by %.2f.", shrinkage)
        found = [
            held_out(core, held, [shrinkage * frame for frame in some], self.options._drift)
            for (core, held), some in zip(blocks, predicted, strict=True)
        ]
        return shrinkage, joined(found)

    def _attended(self, network: FittedNetwork, data: PairedData) -> Graphs:
        """Graphs with the attention that the network pays to training data."""
        if not network.corrections_kept or not self.corrected:
            return network.graphs
        longest = max(data.powers, key=lambda power: power.shape[-1])
        power = torch.as_tensor(longest).to(self.device, self.dtype)
        module = network.net.module_.to(self.device).eval()
        with torch.inference_mode():
            found = [part if part is None else part.cpu().numpy() for part in
                     module.attentions(power[None])]  # fmt: skip
        return replace(network.graphs, source_attention=found[0], target_attention=found[1])

    def _build(self, core: Core, graphs: Graphs) -> SambaNet:
        options, grid = self.options, self.options.grid_
        module = SambaNet(
            len(options.ch_names_in_), len(options.bands_), len(core.kernel), step=grid.step,
            dt=grid.dt, n_lags=grid.n_lags,
            source_adjacency=graphs.source if self.corrected else None,
            target_adjacency=graphs.target if self.corrected else None,
            recurrent=options.recurrent if self.corrected else None, hrf=options.hrf,
            hrf_bounds=options.hrf_bounds, band_attention=options.band_attention,
            n_hidden=options.n_hidden, target_bands=core.extra is not None,
            learn_edges=isinstance(options.graph, str) and options.graph == "learnt",
        ).to(self.dtype)  # fmt: skip
        module.set_core_(
            weights=core.weights, spatial_map=core.spatial_map, intercept=core.intercept,
            hrf_params=core.hrf_params, kernel=core.kernel, extra=core.extra,
        )  # fmt: skip
        return module

    def _net(self, module, max_epochs, valid=None) -> NeuralNet:
        return make_net(
            module, self.options, max_epochs=max_epochs, device=self.device, valid=valid
        )

    def windows(self, data: PairedData, step: int | None = None) -> FrameWindows:
        """Windows that training sees, or held-out ones ``step`` frames apart."""
        return FrameWindows(data, self.n_frames, step or self.step, self.dtype)
