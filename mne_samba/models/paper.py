"""The published network, for comparison: wavelet coefficients between frames to BOLD."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator

from .._checks import check_option
from .._typing import Graph, HrfBounds
from ..arrays import array
from ..data.paired import Paired
from ..data.power import LowRateGrid
from ..data.recordings import Layout, Recordings
from ..nn.loss import CenteredCosineLoss
from ..nn.paper import PaperNet
from ..nn.paper_decoder import CELLS, earlier_frames
from .chunk_power import ChunkPower, LevelScaler, level_means, samples_of
from .describe import activation_patterns, plain, publish_gammas, publish_network
from .graphs import Graphs, fit_graphs
from .intervals import HeldOut, held_out
from .network import Network
from .paper_training import (
    WEIGHT_DECAY,
    TrainedNetwork,
    check_parameters,
    train_published,
    training_parts,
)
from .retrieval import MatchedFilter
from .trainer import Trainer
from .validation import mean_and_slope
from .warm_start import start_of
from .windows import FrameWindows, Windowing, like, without

_TRAINED_BY = {"criterion": CenteredCosineLoss, "weight_decay": WEIGHT_DECAY}


class _Windows(FrameWindows):
    """Windows for the published network, which takes the previous frames besides."""

    def __getitem__(self, i):
        power, target = super().__getitem__(i)
        return {"power": power, "previous": earlier_frames(target["bold"])}, target


@dataclass(frozen=True, eq=False)
class FittedPaper(TrainedNetwork):
    """The published network, trained, and what it takes to predict with it."""

    trained_by = _TRAINED_BY

    scaler: LevelScaler
    network: Network
    graphs: Graphs
    windowing: Windowing  # frames that it sees at once
    held: HeldOut  # residuals on frames that were held out of training
    matched: MatchedFilter | None  # None for very many targets
    hrf_length: float
    history: list[dict]
    # Of the network's frames, and slope of measured on predicted ones: a cosine knows neither.
    mean: np.ndarray = array("n_targets")
    slope: np.ndarray = array("n_targets")
    patterns: np.ndarray = array("n_targets", "n_channels", "n_bands")  # Haufe patterns of levels

    def frames(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Frames (n_frames, n_targets) from power (n_channels, n_features, n_bins)."""
        found = self.windowing.predict(self.network.module, powers)
        return [(frames - self.mean) * self.slope for frames in found]

    def drives(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Readout of targets before the decoder, (n_targets, n_frames)."""
        module = without(self.network.module, "decoder")
        return [frames.T for frames in self.windowing.predict(module, powers)]

    def describe(self, layout: Layout) -> dict:
        """Give the fitted attributes that people read and plot."""
        net = self.network.module
        spatial_map, params = plain(net.spatial_map), plain(net.hrf.params())
        return {
            **publish_network(self.network, self.history),
            **publish_gammas(params, layout.ch_names, self.hrf_length),
            "band_attention_": plain(net.attention),
            "spatial_map_": spatial_map,
            "patterns_": self.patterns,
            "graph_": replace(self.graphs, bipartite=spatial_map),
        }


class PaperModel(BaseEstimator):
    """The published network, for comparison.

    Its parts are those of the paper, but for one change of order: the response acts on the squared
    coefficients of the wavelets, since no rhythm would pass it before them.
    `mne_samba.nn.paper.PaperNet` says which part is where. It is trained from random start values
    until held-out frames say stop; nothing of it is fitted in closed form.

    Parameters
    ----------
    hrf : "double_gamma" | "canonical"
        Response of every node: six learnt parameters, or the canonical ones.
    hrf_length : float
        Seconds that a response lasts.
    hrf_bounds : "human" | "fnirs" | "fast"
        Preset of bounds of the six parameters; "fnirs": of haemoglobin, peaks to 12 s; "fast":
        peaks after 0.5 to 4 s, as in rodents.
    band_attention : bool
        Learn attention over levels per node; False weighs them equally.
    graph : str | array | callable | None
        Graph over nodes, as in `mne_samba.SambaModel`; None leaves graph attention out.
    n_neighbors : int
        Nodes and regions that each attends to.
    recurrent : "lstm" | "gru" | None
        Decoder over frames; None leaves it out.
    n_hidden : int
        Features per node, and width of the decoder; a multiple of four attention heads.

    See Also
    --------
    InversePaperModel : The way back.
    mne_samba.SambaModel : The default.

    References
    ----------
    SAMBA, arXiv 2409.18462.

    Examples
    --------
    >>> from mne_samba import PaperModel, SambaTranslator
    >>> translator = SambaTranslator(t_r=2.0, model=PaperModel(recurrent="gru"))
    """

    # Columns of NaN in y are refused, and the scale of power is one.
    may_lack = chooses_scale = False

    def __init__(
        self,
        *,
        hrf: Literal["double_gamma", "canonical"] = "double_gamma",
        hrf_length: float = 30.0,
        hrf_bounds: HrfBounds = "human",
        band_attention: bool = True,
        graph: Graph = "knn",
        n_neighbors: int = 8,
        recurrent: Literal["lstm", "gru"] | None = "lstm",
        n_hidden: int = 32,
    ) -> None:
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.band_attention = band_attention
        self.graph = graph
        self.n_neighbors = n_neighbors
        self.recurrent = recurrent
        self.n_hidden = n_hidden

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        check_parameters(self)
        check_option(self.band_attention, "band_attention", (True, False))
        check_option(self.recurrent, "recurrent", (*CELLS, None))

    def features(self, rec: Recordings) -> ChunkPower:
        """Choose what is measured of recordings."""
        if rec.kind == "table":
            raise ValueError(
                "PaperModel decomposes signals between frames: X must be windows or recordings of "
                f"electrophysiology, got a table of shape {(rec.n_frames[0], len(rec.ch_names))}. "
                "Use SambaModel or CoreModel for tables (n_frames, n_features)."
            )
        if rec.bands is not None:
            raise ValueError(
                "PaperModel decomposes signals between frames, but X holds band power: use "
                "SambaModel or CoreModel."
            )
        return ChunkPower.of(rec.sfreq, rec.t_r, float(self.hrf_length))

    def scaler(self) -> LevelScaler:
        """Give the scale of power, not yet fitted."""
        return LevelScaler()

    def fit(self, data: Paired, trainer: Trainer, seed: int | None, start=None) -> FittedPaper:
        """Train until a held-out block of every recording says stop, then set mean and scale."""
        previous = start_of(start, FittedPaper, data)
        part, held = training_parts(data, trainer)
        graphs = fit_graphs(level_means(part), self.graph, self.n_neighbors)
        windowing = Windowing.of(trainer, data)
        network, history = train_published(
            PaperNet, self._spec(data, graphs), self, data, trainer, seed, previous,
            parts=(part, held), n_frames=windowing.n_frames, trained_by=_TRAINED_BY,
            windows=partial(_Windows, dtype=trainer.torch_dtype),
        )  # fmt: skip
        module = network.module
        frames = windowing.predict(module, held.powers)
        found = np.concatenate(frames).astype(np.float64)
        mean, slope = mean_and_slope(found, np.concatenate(held.targets))
        left = held_out(None, held, [(frame - mean) * slope for frame in frames])
        frames = [(frame - mean) * slope for frame in windowing.predict(module, data.powers)]
        return FittedPaper(
            scaler=data.scaler, network=network, windowing=windowing,
            graphs=_attended(network.module, graphs, windowing, part),
            held=left,
            matched=MatchedFilter.of(data, frames), hrf_length=float(self.hrf_length),
            history=history, mean=mean, slope=slope,
            patterns=activation_patterns(module, level_means(data), frames),
        )  # fmt: skip

    def _spec(self, data: Paired, graphs: Graphs) -> dict:
        """Parameters of the network."""
        return {
            "n_channels": len(data.ch_names), "n_targets": len(data.target_names),
            "n_samples": samples_of(data.powers[0].shape[1]), "n_chunks": data.grid.n_lags,
            "t_r": data.grid.t_r, "source_adjacency": graphs.source,
            "target_adjacency": graphs.target, "recurrent": self.recurrent,
            "hrf_bounds": self.hrf_bounds, "learn_hrf": self.hrf == "double_gamma",
            "band_attention": self.band_attention, "n_hidden": self.n_hidden,
            "learn_edges": isinstance(self.graph, str) and self.graph == "learnt",
        }  # fmt: skip


def _attended(net: PaperNet, graphs: Graphs, windowing: Windowing, data: Paired) -> Graphs:
    """Graphs with the attention that the network pays to a window of training data."""
    power = max(data.powers, key=lambda power: power.shape[-1])
    power = torch.as_tensor(power[..., : data.grid.n_bins(windowing.n_frames)]).to(like(net))
    with torch.inference_mode():
        return graphs.attended(*net.attentions(power[None]))
