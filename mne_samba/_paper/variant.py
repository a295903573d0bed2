"""The paper variant behind the translator: wavelet power of chunks of signal, training, frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from mne.utils import logger
from sklearn.utils import Bunch
from skorch import NeuralNet
from torch import nn

from .._data.lowrate import LowRateGrid, PowerScaler
from .._data.paired import PairedData
from .._data.segments import Electrophysiology
from .._fitting.accelerated import build_net, losses
from .._fitting.checkpoint import Checkpoints
from .._fitting.graphs import Graphs, fit_graphs
from .._fitting.network import torch_device
from .._fitting.published import HRF_STEP, activation_patterns
from .._fitting.training import FrameWindows, inner_split, predict_segments, train
from .._fitting.uncertainty import HeldOut
from .._reverse.data import Reading
from ..nn._paper_decoder import earlier_frames
from ..nn.hrf import HRF_PARAMS, double_gamma, hrf_summary
from ..nn.loss import CenteredCosineLoss
from ..nn.paper import N_HEADS, PaperNet, level_bands, level_sizes
from .features import LevelScaler, chunk_samples, level_means, segment_coefs
from .reverse import PaperReverseFitter, publish_paper_reverse, start_from

# Windows that an epoch has at least, where recordings are long enough for them to differ.
_WINDOWS = 64


class PaperWindows(FrameWindows):
    """Windows for the paper's network: chunks before coefficients, and the previous frames."""

    def __getitem__(self, i):
        power, target = super().__getitem__(i)
        inputs = {"power": power.transpose(1, 2), "previous": earlier_frames(target["bold"])}
        return inputs, target


class _ByCoefs(nn.Module):
    """The network as prediction of segments wants it: bins last."""

    def __init__(self, module: PaperNet, drive: bool = False):
        super().__init__()
        self.n_lags, self.step, self.recurrent = module.n_chunks, 1, module.decoder
        self.call = module.drive if drive else module

    def forward(self, power):
        return self.call(power.transpose(-1, -2))


class ConstantSpread(HeldOut):
    """Residuals on held-out frames, without a posterior that says more of some frames."""

    def std(self, core, power, grid=None) -> np.ndarray:
        """Return the spread (n_frames, n_targets) of measured frames around predicted ones."""
        n_frames = power.shape[-1] - grid.n_lags + 1
        return np.tile(np.sqrt(self.noise + self.drift), (n_frames, 1))


@dataclass
class FittedPaper:
    """A trained network of the paper's kind and what it takes to predict with it.

    Attributes
    ----------
    net : skorch.NeuralNet
        The network.
    graphs : Graphs
        Its graphs.
    output_mean, output_scale : array, shape (n_targets,)
        Mean of the network's frames, and slope of measured on predicted frames: a cosine knows
        neither.
    n_frames, step : int
        Frames of a window, and between windows, in long recordings.
    dtype, device
        What and where it computes.
    history : list of dict
        Losses by epoch.
    held : HeldOut
        Residuals on frames that were held out of training.
    """

    net: NeuralNet
    graphs: Graphs
    output_mean: np.ndarray
    output_scale: np.ndarray
    n_frames: int
    step: int
    dtype: torch.dtype
    device: str
    history: list[dict] = field(default_factory=list)
    held: HeldOut | None = None

    @property
    def n_parameters(self) -> int:
        """Learnt numbers."""
        return sum(p.numel() for p in self.net.module_.parameters() if p.requires_grad)

    def _run(self, powers, drive: bool) -> list[np.ndarray]:
        return predict_segments(
            _ByCoefs(self.net.module_.to(self.device).eval(), drive), powers,
            n_frames=self.n_frames, step=self.step, dtype=self.dtype, device=self.device,
        )  # fmt: skip

    def frames(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Standardised frames (n_frames, n_targets) of every segment."""
        return [(f - self.output_mean) * self.output_scale for f in self._run(powers, False)]

    def drives(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Readout before the decoder (n_targets, n_frames) of every segment."""
        return [frames.T for frames in self._run(powers, True)]


class PaperFitter:
    """Fit and rebuild networks of the paper's kind with the options of one translator.

    Parameters
    ----------
    options : SambaTranslator
        Read for its parameters and sizes, never changed.
    """

    def __init__(self, options):
        self.options = options
        self.dtype = getattr(torch, options.dtype)
        self.device = torch_device(options.device)
        self.n_frames = int(options.n_frames_)
        self.step = max(1, self.n_frames // 2)
        if options.step is not None:
            self.step = min(self.n_frames, max(1, round(options.step / options.grid_.t_r)))

    def fit(self, data: PairedData, previous: FittedPaper | None = None) -> FittedPaper:
        """Train until a held-out block of every recording says stop, then set mean and scale."""
        options = self.options
        split = inner_split(data, options.validation_fraction, options.gap)
        part, held = (data, data) if split is None else split
        if split is None:
            logger.info("Too few frames to hold some out: training runs for max_epochs.")
        fitted = self.wrap(self._graphs(part), part.grid)
        module = fitted.net.module_
        adapted = None if previous is None else previous.net.module_.state_dict()
        if adapted is not None:
            start_from(module, adapted)
        valid = (
            None if split is None else PaperWindows(held, self.n_frames, self.n_frames, self.dtype)
        )
        # Short recordings overlap more: an epoch has enough steps to learn something from.
        step = self.step
        if options.step is None:
            step = max(1, min(step, sum(map(len, part.targets)) // _WINDOWS))
        checkpoints = Checkpoints(options.checkpoint_dir, options, data, 0, adapted)
        fitted.net = train(
            self._net(module, valid), PaperWindows(part, self.n_frames, step, self.dtype),
            checkpoints.of("paper"),
        )  # fmt: skip
        checkpoints.clear()
        fitted.history = losses(fitted.net)
        fitted.graphs = _attended(fitted, part)
        frames = fitted.frames(held.powers, held.grid)
        fitted.output_mean, fitted.output_scale = _line(frames, held.targets)
        residuals = np.concatenate(
            [
                (target - (frame - fitted.output_mean) * fitted.output_scale)[mask]
                for target, frame, mask in zip(held.targets, frames, held.masks, strict=True)
            ]
        )
        fitted.held = ConstantSpread(residuals, np.zeros_like(residuals), options._drift)
        return fitted

    def wrap(self, graphs: Graphs, grid: LowRateGrid) -> FittedPaper:
        """Untrained network."""
        options, ones = self.options, np.ones(self.options.n_targets_)
        module = PaperNet(
            len(options.ch_names_in_), options.n_targets_, n_samples=options.n_samples_,
            n_chunks=grid.n_lags, t_r=grid.t_r, source_adjacency=graphs.source,
            target_adjacency=graphs.target, recurrent=options.recurrent,
            hrf_bounds=options.hrf_bounds, learn_hrf=options.hrf == "double_gamma",
            band_attention=options.band_attention, n_hidden=options.n_hidden,
            learn_edges=isinstance(options.graph, str) and options.graph == "learnt",
        ).to(self.dtype)  # fmt: skip
        net = self._net(module, None).initialize()
        return FittedPaper(
            net, graphs, 0 * ones, ones, self.n_frames, self.step, self.dtype, self.device
        )

    def _graphs(self, data: PairedData) -> Graphs:
        means = level_means(data, level_sizes(self.options.n_samples_))
        return fit_graphs(self.options, means)

    def _net(self, module: PaperNet, valid: PaperWindows | None) -> NeuralNet:
        return build_net(
            module, self.options, criterion=CenteredCosineLoss, weight_decay=1e-2,
            max_epochs=self.options.max_epochs, device=self.device, valid=valid,
        )  # fmt: skip


def _attended(fitted: FittedPaper, data: PairedData) -> Graphs:
    """Graphs with the attention that the network pays to a window of training data."""
    grid, power = data.grid, max(data.powers, key=lambda power: power.shape[-1])
    power = torch.as_tensor(power[..., : grid.n_bins(fitted.n_frames)])
    power = power.to(fitted.device, fitted.dtype).transpose(-1, -2)
    with torch.inference_mode():
        found = fitted.net.module_.to(fitted.device).eval().attentions(power[None])
    source, target = (part if part is None else part.cpu().numpy() for part in found)
    return replace(fitted.graphs, source_attention=source, target_attention=target)


def _line(frames: list[np.ndarray], targets: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of predicted frames, and slope of measured on predicted ones, not below zero."""
    pred, bold = np.concatenate(frames).astype(np.float64), np.concatenate(targets)
    rows = np.isfinite(bold).all(axis=1)
    mean = pred[rows].mean(axis=0)
    pred, bold = pred[rows] - mean, bold[rows] - bold[rows].mean(axis=0)
    power = (pred**2).sum(axis=0)
    return mean, np.maximum((pred * bold).sum(axis=0) / np.where(power > 0, power, np.inf), 0.0)


class PaperVariant:
    """What ``variant="paper"`` changes in a translator: features, grid, fit in each direction."""

    @property
    def _is_paper(self) -> bool:
        return isinstance(self.variant, str) and self.variant == "paper"

    def _check_params(self) -> None:
        super()._check_params()
        if not self._is_paper:
            return
        if self.hrf == "fir":
            raise ValueError(
                "variant='paper' has six-parameter responses: hrf must be 'double_gamma' or "
                "'canonical', got 'fir'."
            )
        if self.recurrent == "transformer":
            raise ValueError(
                "variant='paper' decodes with recurrent='lstm', 'gru' or None, got 'transformer'."
            )
        if self.n_hidden % N_HEADS:
            raise ValueError(
                f"variant='paper' has {N_HEADS} attention heads: n_hidden must be a multiple of "
                f"{N_HEADS}, got {self.n_hidden}."
            )

    def _read_features(self, X, y) -> PairedData:
        if self._is_paper:
            raise ValueError(
                "variant='paper' decomposes signals between frames: X must be windows or "
                f"recordings of electrophysiology, got a table of shape {np.shape(X)}. Use "
                "variant='default' for tables (n_frames, n_features)."
            )
        return super()._read_features(X, y)

    def _check_bands(self, sfreq: float) -> dict:
        if not self._is_paper:
            return super()._check_bands(sfreq)
        self.n_samples_ = chunk_samples(sfreq, float(self.t_r))
        return level_bands(self.n_samples_ / float(self.t_r))

    def _low_rate(self) -> LowRateGrid:
        if not self._is_paper:
            return super()._low_rate()
        # One bin per frame: the chunk of signal between two frames.
        n_chunks = max(1, int(self.hrf_length / self.t_r + 1e-6))
        return LowRateGrid(float(self.t_r), 1, n_chunks)

    def _grid_of(self, ele: Electrophysiology) -> LowRateGrid:
        if self._is_paper and float(self.t_r) != self.grid_.t_r:
            raise ValueError(
                f"variant='paper' is tied to the t_r that it was fitted on ({self.grid_.t_r:g} s), "
                f"got t_r={self.t_r:g} s."
            )
        return super()._grid_of(ele)

    def _bin_power(self, ele: Electrophysiology, grid: LowRateGrid) -> list[np.ndarray]:
        if not self._is_paper:
            return super()._bin_power(ele, grid)
        return [
            segment_coefs(segment, ele.sfreq, grid, self.n_samples_, ele.ch_names)
            for segment in ele.segments
        ]

    def _make_scaler(self) -> PowerScaler:
        return (
            LevelScaler(level_sizes(self.n_samples_)) if self._is_paper else super()._make_scaler()
        )

    def _fit_paper(self, data: PairedData) -> None:
        previous = getattr(self, "_network", None) if self.warm_start else None
        fitter = PaperFitter(self)
        self._network = fitter.fit(data, previous if isinstance(previous, FittedPaper) else None)
        publish_paper(self)
        frames = self._network.frames(data.powers, data.grid)
        self.patterns_ = paper_patterns(self, data, frames)
        self._match(data, frames)

    def _fit_back(self, data: PairedData, reading: Reading, seed, previous):
        if not self._is_paper:
            return super()._fit_back(data, reading, seed, previous)
        return PaperReverseFitter(self, reading).fit(data, seed, previous)

    def _publish_back(self) -> None:
        if self._is_paper:
            publish_paper_reverse(self)
        else:
            super()._publish_back()


def publish_paper(translator) -> None:
    """Set the fitted attributes that follow from a network of the paper's kind."""
    network = translator._network
    module = network.net.module_.eval()
    translator.net_, translator.history_ = network.net, network.history
    # There is no linear core, and nothing that validation could leave out.
    translator.core_, translator.corrections_kept_ = None, True
    translator.n_parameters_ = network.n_parameters
    translator.band_attention_ = module.attention.detach().cpu().double().numpy()
    translator.spatial_map_ = module.spatial_map.detach().cpu().double().numpy()
    params = module.hrf.params().detach().cpu().double().numpy()
    translator.hrf_times_ = np.arange(0, float(translator.hrf_length) + HRF_STEP / 2, HRF_STEP)
    translator.hrf_ = double_gamma(translator.hrf_times_, params)
    translator.hrf_params_ = pd.DataFrame(
        params, index=translator.ch_names_in_, columns=list(HRF_PARAMS)
    )
    translator.hrf_peak_time_ = hrf_summary(params)["peak_time"]
    translator.graph_ = Bunch(**vars(network.graphs), bipartite=translator.spatial_map_)


def paper_patterns(translator, data: PairedData, frames: list[np.ndarray]) -> np.ndarray:
    """Haufe patterns of the mean power of wavelet levels, (n_targets, n_channels, n_levels)."""
    module, grid = translator.net_.module_, data.grid
    lags = (torch.arange(grid.n_lags) + 0.5) * grid.t_r
    view = SimpleNamespace(response=lambda: module.hrf(lags.to(module.logits)), step=1, dt=grid.t_r)
    return activation_patterns(view, level_means(data, module.sizes), frames)
