"""The published network of the way back, for comparison: BOLD to band power."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.base import BaseEstimator

from .._typing import Graph, HrfBounds, HrfFamily
from ..arrays import array
from ..data.paired import Paired
from ..data.power import BandPower, bank_for
from ..data.recordings import Layout, Recordings
from ..nn.inverse_paper import InversePaperLoss, InversePaperNet
from ..wavelets import as_bank
from ..wavelets.banks import Bands
from .describe import plain, publish_gammas, publish_network
from .graphs import Graphs, fit_graphs
from .inverse_data import (
    N_LATENTS,
    BoldProcess,
    InverseWindows,
    inverse_grid,
    judged_rows,
    known,
    predict_segments,
    rows,
    window_frames,
)
from .latents import FittedLatents
from .network import Network
from .paper_training import (
    WEIGHT_DECAY,
    check_parameters,
    train_published,
    training_parts,
)
from .trainer import Trainer, net_around
from .validation import mean_and_slope
from .warm_start import start_of

_TRAINED_BY = {"criterion": InversePaperLoss, "weight_decay": WEIGHT_DECAY}


@dataclass(frozen=True, eq=False)
class FittedInversePaper:
    """The published network of the way back, trained."""

    network: Network
    graphs: Graphs
    bold: BoldProcess  # what missing frames are expected from
    n_frames: int  # of a training window
    hrf_length: float
    history: list[dict]
    # Of the network's bins, and slope of measured on predicted ones: a cosine knows neither.
    mean: np.ndarray = array("n_channels", "n_bands")
    slope: np.ndarray = array("n_channels", "n_bands")
    latents: FittedLatents  # directions of band power that BOLD tells of

    def predict(self, bold: list[np.ndarray]) -> list[np.ndarray]:
        """Band power (n_channels, n_bands, n_frames) from BOLD (n_frames, n_targets)."""
        # The network needs no margins.
        found = predict_segments(self.network.module, [self.bold.filled(b) for b in bold])
        return [(power - self.mean[..., None]) * self.slope[..., None] for power in found]

    @property
    def net(self):
        """Skorch net around the network."""
        return net_around(self.network, self.history, **_TRAINED_BY)

    def describe(self, layout: Layout) -> dict:
        """Give the fitted attributes that people read and plot."""
        net = self.network.module
        spatial_map, params = plain(net.spatial_map).T, plain(net.deconvolution.hrf.params())
        return {
            **publish_network(self.network, self.history),
            **publish_gammas(params, layout.ch_names, self.hrf_length),
            "spatial_map_": spatial_map,
            "graph_": replace(self.graphs, bipartite=spatial_map),
        }


class InversePaperModel(BaseEstimator):
    """The published network of the way back, for comparison.

    Its parts are those of the paper, in its order, but act on log band power over frames instead of
    the voltage. `mne_samba.nn.inverse_paper.InversePaperNet` says which part is where.

    Parameters
    ----------
    bands : dict | Shannon | Morlet | Discrete | None
        Frequency bands and their wavelets, as in `mne_samba.SambaModel`.
    hrf, hrf_length, hrf_bounds, graph, n_neighbors
        As in `PaperModel`.
    n_hidden : int
        Features per region and node; a multiple of four attention heads.

    See Also
    --------
    PaperModel : Electrophysiology to BOLD.
    InverseSambaModel : The default.

    References
    ----------
    SAMBA, arXiv 2409.18462.

    Examples
    --------
    >>> from mne_samba import InverseTranslator
    >>> from mne_samba.models import InversePaperModel
    >>> translator = InverseTranslator(t_r=2.0, model=InversePaperModel(n_hidden=16))
    """

    # Columns of NaN in BOLD are refused.
    may_lack = False

    def __init__(
        self,
        *,
        bands: Bands = None,
        hrf: HrfFamily = "double_gamma",
        hrf_length: float = 30.0,
        hrf_bounds: HrfBounds = "human",
        graph: Graph = "knn",
        n_neighbors: int = 8,
        n_hidden: int = 32,
    ) -> None:
        self.bands = bands
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.graph = graph
        self.n_neighbors = n_neighbors
        self.n_hidden = n_hidden

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        as_bank(self.bands)
        check_parameters(self)

    def features(self, rec: Recordings) -> BandPower:
        """Choose what is measured of recordings: their bands, in bins of one frame."""
        return BandPower(bank_for(self.bands, rec), inverse_grid(rec.t_r, float(self.hrf_length)))

    def fit(
        self, data: Paired, trainer: Trainer, seed: int | None, start=None
    ) -> FittedInversePaper:
        """Train until a held-out block of every recording says stop, then set mean and scale."""
        previous = start_of(start, FittedInversePaper, data)
        part, held = training_parts(data, trainer)
        graphs = fit_graphs(known(part), self.graph, self.n_neighbors)
        bold, n_frames = BoldProcess.of(part), window_frames(data, trainer)[0]

        def windows(some: Paired, n_frames: int, step: int) -> _Windows:
            return _Windows(some, bold.filled, n_frames, step, trainer.torch_dtype)

        network, history = train_published(
            InversePaperNet, self._spec(data, graphs, n_frames), self, data, trainer, seed,
            previous, parts=(part, held), windows=windows, n_frames=n_frames,
            trained_by=_TRAINED_BY,
        )  # fmt: skip
        sizes = data.powers[0].shape[:2]
        fitted = FittedInversePaper(
            network=network, graphs=graphs, bold=bold, n_frames=n_frames,
            hrf_length=float(self.hrf_length), history=history, mean=np.zeros(sizes),
            slope=np.ones(sizes), latents=FittedLatents.of(np.empty((0, np.prod(sizes)))),
        )  # fmt: skip
        judged = judged_rows(fitted.predict(held.targets), held)
        line = mean_and_slope(*(np.concatenate(parts) for parts in judged))
        mean, slope = (part.reshape(sizes) for part in line)
        fitted = replace(fitted, mean=mean, slope=slope)
        directions = _directions(fitted.predict(part.targets))
        return replace(fitted, latents=FittedLatents.of(directions))

    def _spec(self, data: Paired, graphs: Graphs, n_frames: int) -> dict:
        """Parameters of the network."""
        n_channels, n_bands = data.powers[0].shape[:2]
        return {
            "n_targets": len(data.target_names), "n_channels": n_channels, "n_bands": n_bands,
            "n_frames": n_frames, "t_r": data.grid.t_r, "n_lags": data.grid.n_lags,
            "target_adjacency": graphs.target, "source_adjacency": graphs.source,
            "hrf_bounds": self.hrf_bounds, "learn_hrf": self.hrf == "double_gamma",
            "n_hidden": self.n_hidden,
        }  # fmt: skip


class _Windows(InverseWindows):
    """Windows of BOLD, of the band power with its history, and of that to be given back."""

    @staticmethod
    def _item(bold, wanted, history, recording: int):
        inputs = {"bold": bold, "power": history}
        return inputs, {"bold": wanted.flatten(0, 1).T.contiguous(), "recording": recording}


def _directions(powers: list[np.ndarray], least: float = 0.02) -> np.ndarray:
    """Principal directions (n_latents, n_channel_bands) of predicted band power, by their size."""
    bins = np.concatenate([rows(power) for power in powers])
    _, size, directions = np.linalg.svd(bins - bins.mean(axis=0), full_matrices=False)
    if not size[0] > 0:
        return directions[:1]
    n_kept = int(np.clip((size**2 > least * size[0] ** 2).sum(), 1, N_LATENTS))
    return directions[:n_kept] * (size[:n_kept, None] / size[0])
