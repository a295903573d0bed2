"""The default models: a structured linear core, and network corrections where confirmed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from mne.utils import logger
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch
from skorch import NeuralNet
from skorch.history import History

from .._checks import check_number, check_option
from ..arrays import array
from ..core import Core
from ..data.paired import MIN_TRAIN_FRAMES, Paired
from ..data.power import BandPower, LowRateGrid, PowerScaler, TableRows
from ..data.recordings import Layout, Recordings
from ..hrf import HRF_BOUNDS
from ..nn.loss import CenteredCosineLoss
from ..nn.recurrent import RECURRENT
from ..nn.samba import SambaNet
from ..wavelets import as_bank
from .checkpoint import Checkpoints
from .core_choice import Choice, CoreOptions, choose_core, draw
from .corrections import CORE_RATES, Judge, Judgement, judge_blocks
from .describe import (
    activation_patterns,
    effective_weights,
    n_parameters,
    publish_bands,
    publish_hrf,
)
from .graphs import Graphs, check_graph, check_graph_option, fit_graphs
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
        module = self.network.module
        weights, spatial_map = effective_weights(module, np.abs(self.core.weights).sum(axis=1))
        attention, gain = publish_bands(weights, spatial_map)
        return {
            "net_": self._net(),
            "core_": self.core,
            "power_": "log" if self.scaler.log else "linear",
            "history_": self.judgement.history,
            "corrections_kept_": self.judgement.kept,
            "n_parameters_": n_parameters(module),
            "band_weights_": weights,
            "spatial_map_": spatial_map,
            "band_attention_": attention,
            "band_gain_": gain,
            "patterns_": self.patterns,
            "graph_": Bunch(**vars(self.graphs), bipartite=spatial_map),
            **publish_hrf(module, layout.target_names, self.hrf_length),
        }

    def _net(self) -> NeuralNet:
        """Skorch net around the network, with the losses of its training."""
        net = Trainer(device=self.network.device).build(
            self.network.module, criterion=CenteredCosineLoss, weight_decay=1e-3, max_epochs=1,
            groups=CORE_RATES,
        ).initialize()  # fmt: skip
        net.history_ = History({**row, "batches": []} for row in self.judgement.history)
        return net


class _CoreBased(BaseEstimator):
    """What models with a linear core share: checks, band power, the fit."""

    #: Whether recordings may lack regions.
    may_lack = True

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        as_bank(self.bands)
        check_option(self.power, "power", ("auto", "linear", "log"))
        check_option(self.hrf, "hrf", ("double_gamma", "fir", "canonical"))
        check_number(self.hrf_length, "hrf_length", low=0, low_open=True)
        check_option(self.hrf_bounds, "hrf_bounds", tuple(HRF_BOUNDS))
        check_option(self.map_prior, "map_prior", ("auto", "sparse", "ard", "gaussian"))
        check_option(self.band_attention, "band_attention", (True, False))
        check_option(self.target_bands, "target_bands", ("auto", True, False))

    def features(self, rec: Recordings) -> BandPower | TableRows:
        """Choose what is measured of recordings."""
        if rec.kind == "table":
            return TableRows()
        shortest = min(segment.n_times for segment in rec.segments)
        bank = as_bank(self.bands).resolve(rec.sfreq, shortest)
        return BandPower(bank, LowRateGrid.from_tr(rec.t_r, float(self.hrf_length)))

    def scaler(self) -> PowerScaler:
        """Give the scale of band power that fits begin with."""
        return PowerScaler(log=self.power == "log")

    def fit(self, data: Paired, trainer: Trainer, seed: int | None, start=None) -> FittedSamba:
        """Fit the core, train corrections on a part, and keep what the held-out rest confirms."""
        previous = start_of(start, FittedSamba, data, self.power)
        core = None if previous is None else previous.core
        checkpoints = Checkpoints(trainer, self, data, seed, core)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(checkpoints.seed)
            check_graph(data, self._parts.graph, data.info, data.ch_names)
            if previous is not None and previous.scaler.log and not data.scaler.log:
                data = data.rescaled(PowerScaler(log=True))
            options = CoreOptions.of(self, checkpoints.seed)
            choice = choose_core(data, options, trainer.split, core)
            fitted = _fit_chosen(self, choice, trainer, checkpoints)
        checkpoints.clear()
        return fitted

    @property
    def _parts(self) -> _Parts:
        """Corrections that are trained; a core has none, but graphs to show."""
        return _Parts()


@dataclass(frozen=True)
class _Parts:
    """Parameters of corrections, as in `SambaModel`.

    Attributes
    ----------
    trained : bool
        Whether there are corrections at all.
    always : bool
        Whether they are used whatever they gain.
    """

    graph: object = "knn"
    n_neighbors: int = 8
    recurrent: str | None = None
    n_hidden: int = 32
    trained: bool = False
    always: bool = False


@dataclass(frozen=True)
class _Builder:
    """Networks and graphs of one fit.

    Attributes
    ----------
    model : SambaModel | CoreModel
        Parameters.
    parts : _Parts
        Those of corrections.
    trainer : Trainer
        Precision and device.
    grid : LowRateGrid
        Bins of frames.
    table : bool
        Whether data are a table.
    """

    model: _CoreBased
    parts: _Parts
    trainer: Trainer
    grid: LowRateGrid
    table: bool

    @property
    def trains(self) -> bool:
        """Whether corrections are trained: rows of a table have neither order nor history."""
        return self.parts.trained and not self.table

    def graphs(self, data: Paired) -> Graphs:
        """Graphs of data."""
        parts = self.parts
        return fit_graphs(data, parts.graph, parts.n_neighbors, data.info, data.ch_names)

    def spec(self, core: Core, graphs: Graphs | None) -> dict:
        """Parameters of the network that starts as a core, with corrections if it has graphs."""
        model, parts, grid = self.model, self.parts, self.grid
        n_channels, n_bands = core.weights.shape
        return {
            "n_channels": n_channels,
            "n_bands": n_bands,
            "n_targets": len(core.kernel),
            "step": grid.step,
            "dt": grid.dt,
            "n_lags": grid.n_lags,
            "source_adjacency": None if graphs is None else graphs.source,
            "target_adjacency": None if graphs is None else graphs.target,
            "recurrent": None if graphs is None else parts.recurrent,
            "hrf": model.hrf,
            "hrf_bounds": model.hrf_bounds,
            "band_attention": model.band_attention,
            "n_hidden": parts.n_hidden,
            "target_bands": core.extra is not None,
            "learn_edges": isinstance(parts.graph, str) and parts.graph == "learnt",
        }

    def build(self, core: Core, graphs: Graphs | None) -> SambaNet:
        """Network that is the core, exactly, but for precision."""
        # A table has no network to train: its core is kept as it is.
        dtype = torch.float64 if self.table else self.trainer.torch_dtype
        module = SambaNet(**self.spec(core, graphs)).to(dtype)
        module.set_core_(
            weights=core.weights, spatial_map=core.spatial_map, intercept=core.intercept,
            hrf_params=core.hrf_params, kernel=core.kernel, extra=core.extra,
        )  # fmt: skip
        return module.to(self.trainer.torch_device)


def _fit_chosen(
    model: _CoreBased, choice: Choice, trainer: Trainer, checkpoints: Checkpoints
) -> FittedSamba:
    """Fit the core that was chosen, and corrections."""
    data, parts = choice.data, model._parts
    builder = _Builder(model, parts, trainer, data.grid, data.kind == "table")
    windowing = Windowing.of(trainer, data)
    judge = Judge(
        builder.build, builder.graphs if builder.trains else _no_graphs, trainer, windowing,
        parts.always,
    )  # fmt: skip
    graphs, split = builder.graphs(data), trainer.split(data)
    judgement = Judgement.open(trainer)
    if split is not None:
        choice = choice.of_part(split[0])
        some = draw(split[0], checkpoints.seed)
        judgement = judge.on_part(choice.part, *split, some, checkpoints.of("judged"))
    elif data.kind != "table" and data.n_frames >= MIN_TRAIN_FRAMES:
        judgement = judge_blocks(data, choice.in_blocks(), trainer)
    core = choice.whole()
    used = builder.trains and (judgement.kept or parts.always)
    module = builder.build(core, graphs if used else None)
    spec = builder.spec(core, graphs if used else None)
    if used:
        net = judge.net(module, judgement.epochs)
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
        hrf_length=float(model.hrf_length),
    )


def _no_graphs(data: Paired) -> None:
    """Graphs of a core, which has none."""


def _attended(graphs: Graphs, module: SambaNet, data: Paired) -> Graphs:
    """Graphs with the attention that the network pays to training data."""
    longest, own = max(data.powers, key=lambda power: power.shape[-1]), like(module)
    power = torch.as_tensor(longest).to(own.device, own.dtype)
    with torch.inference_mode():
        found = [
            part if part is None else part.cpu().numpy()
            for part in module.eval().attentions(power[None])
        ]
    return replace(graphs, source_attention=found[0], target_attention=found[1])


class CoreModel(_CoreBased):
    """A structured linear core from band power to BOLD, by variational Bayes: no network.

    Band power is weighted per node with signed weights, mapped from nodes to regions and passed
    through a haemodynamic response per region.

    Parameters
    ----------
    bands : dict | Shannon | Morlet | Discrete | None
        Frequency bands, name to (low, high) in Hz, or a bank of `mne_samba.wavelets`; None takes
        the canonical bands below half the sampling rate.
    power : "auto" | "linear" | "log"
        Scale of band power; "auto" takes what predicts held-out frames better.
    hrf : "double_gamma" | "fir" | "canonical"
        Family of responses: six parameters, free courses, or one that is fixed.
    hrf_length : float
        Seconds that a response lasts.
    hrf_bounds : str
        Preset of bounds of the six parameters.
    map_prior : "auto" | "sparse" | "ard" | "gaussian"
        Prior of the map from nodes to regions.
    band_attention : bool
        Weigh bands per node; False takes their mean.
    target_bands : "auto" | bool
        Whether regions have band weights of their own.

    See Also
    --------
    SambaModel : With network corrections on top.

    Examples
    --------
    >>> from mne_samba import SambaTranslator
    >>> from mne_samba.models import CoreModel
    >>> translator = SambaTranslator(t_r=2.0, model=CoreModel(hrf="fir"))
    """

    def __init__(
        self, *, bands=None, power="auto", hrf="double_gamma", hrf_length=30.0,
        hrf_bounds="human", map_prior="auto", band_attention=True, target_bands="auto",
    ):  # fmt: skip
        self.bands = bands
        self.power = power
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.map_prior = map_prior
        self.band_attention = band_attention
        self.target_bands = target_bands


class SambaModel(_CoreBased):
    """The linear core of `CoreModel`, and network corrections where held-out frames confirm them.

    Graph attention over nodes and over regions and a recurrence over frames are trained on top of
    the core, which they start from exactly, and kept only if they predict a held-out block of the
    training data better.

    Parameters
    ----------
    bands : dict | Shannon | Morlet | Discrete | None
        Frequency bands, name to (low, high) in Hz, or a bank of `mne_samba.wavelets`; None takes
        the canonical bands below half the sampling rate.
    power : "auto" | "linear" | "log"
        Scale of band power; "auto" takes what predicts held-out frames better.
    hrf : "double_gamma" | "fir" | "canonical"
        Family of responses: six parameters, free courses, or one that is fixed.
    hrf_length : float
        Seconds that a response lasts.
    hrf_bounds : str
        Preset of bounds of the six parameters.
    map_prior : "auto" | "sparse" | "ard" | "gaussian"
        Prior of the map from nodes to regions.
    band_attention : bool
        Weigh bands per node; False takes their mean.
    target_bands : "auto" | bool
        Whether regions have band weights of their own.
    graph : str | array, shape (n_channels, n_channels) | callable | None
        Who attends to whom among nodes: "knn" (largest correlations of band power),
        "correlation", "cosine", "partial_correlation", "mutual_information", "distance" (places of
        channels), "dense" (all), "learnt" (all, with learnt edges), an adjacency, a function of
        the correlation that gives one, or None for no graph attention.
    n_neighbors : int
        Nodes (regions) that a node (region) attends to.
    recurrent : "lstm" | "gru" | "transformer" | None
        The recurrence over frames.
    n_hidden : int
        Its width.
    corrections : "auto" | "always"
        Keep graph attention and recurrence where held-out frames confirm them, or in any case.

    See Also
    --------
    CoreModel : The linear core alone.
    PaperModel : The published network.

    Examples
    --------
    >>> from mne_samba import SambaModel, SambaTranslator
    >>> translator = SambaTranslator(t_r=2.0, model=SambaModel(graph="distance", recurrent="gru"))
    """

    def __init__(
        self, *, bands=None, power="auto", hrf="double_gamma", hrf_length=30.0,
        hrf_bounds="human", map_prior="auto", band_attention=True, target_bands="auto",
        graph="knn", n_neighbors=8, recurrent="lstm", n_hidden=32, corrections="auto",
    ):  # fmt: skip
        self.bands = bands
        self.power = power
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.map_prior = map_prior
        self.band_attention = band_attention
        self.target_bands = target_bands
        self.graph = graph
        self.n_neighbors = n_neighbors
        self.recurrent = recurrent
        self.n_hidden = n_hidden
        self.corrections = corrections

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        super().check()
        check_graph_option(self.graph)
        check_number(self.n_neighbors, "n_neighbors", low=1, integer=True)
        check_option(self.recurrent, "recurrent", (*RECURRENT, None))
        check_number(self.n_hidden, "n_hidden", low=1, integer=True)
        if self.recurrent == "transformer" and self.n_hidden % 4:
            raise ValueError(
                'n_hidden must be a multiple of 4 for recurrent="transformer", got '
                f"{self.n_hidden}."
            )
        check_option(self.corrections, "corrections", ("auto", "always"))

    @property
    def _parts(self) -> _Parts:
        return _Parts(
            self.graph, self.n_neighbors, self.recurrent, self.n_hidden, trained=True,
            always=self.corrections == "always",
        )  # fmt: skip
