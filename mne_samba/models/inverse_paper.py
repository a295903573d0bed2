"""The published network of the way back, for comparison: BOLD to band power."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch
from torch.utils.data import Dataset

from ..arrays import array
from ..data.paired import Paired
from ..data.power import BandPower
from ..data.recordings import Layout, Recordings
from ..nn.inverse_paper import InversePaperLoss, InversePaperNet
from ..wavelets import as_bank
from .checkpoint import Checkpoints
from .describe import n_parameters
from .graphs import Graphs, fit_graphs
from .inverse_data import (
    N_LATENTS,
    BoldProcess,
    frames_after,
    inner_bins,
    inverse_grid,
    predict_segments,
    window_frames,
)
from .network import Network
from .paper_training import (
    check_parameters,
    mean_and_slope,
    net_around,
    published_responses,
    start_from,
    train,
    training_parts,
    training_step,
)
from .trainer import Trainer, losses
from .warm_start import start_of


@dataclass(frozen=True, eq=False)
class FittedInversePaper:
    """The published network of the way back, trained.

    Attributes
    ----------
    network : Network
        The network.
    graphs : Graphs
        Its graphs.
    bold : BoldProcess
        What missing frames are expected from.
    n_frames : int
        Frames of a training window.
    hrf_length : float
        Seconds that a response lasts.
    history : list of dict
        Losses by epoch.
    mean, slope : array, shape (n_channels, n_bands)
        Mean of the network's bins, and slope of measured on predicted ones: a cosine knows neither.
    projection : array, shape (n_latents, n_channel_bands)
        Directions of band power that BOLD tells of, the start of the latent space.
    """

    network: Network
    graphs: Graphs
    bold: BoldProcess
    n_frames: int
    hrf_length: float
    history: list[dict]
    mean: np.ndarray = array("n_channels", "n_bands")
    slope: np.ndarray = array("n_channels", "n_bands")
    projection: np.ndarray = array("n_latents", "n_channel_bands")

    def predict(self, bold: list[np.ndarray]) -> list[np.ndarray]:
        """Predict band power.

        ``bold`` (n_frames, n_targets); returns ``powers`` (n_channels, n_bands, n_frames).
        """
        # The network needs no margins.
        found = predict_segments(self.network.module, [self.bold.filled(b) for b in bold])
        return [(power - self.mean[..., None]) * self.slope[..., None] for power in found]

    def describe(self, layout: Layout) -> dict:
        """Give the fitted attributes that people read and plot."""
        net = self.network.module
        spatial_map = net.spatial_map.detach().cpu().double().numpy().T
        params = net.deconvolution.hrf.params()
        return {
            "net_": net_around(self.network, InversePaperLoss, self.history),
            # There is no linear core, and nothing that validation could leave out.
            "core_": None,
            "corrections_kept_": True,
            "history_": self.history,
            "n_parameters_": n_parameters(net),
            "spatial_map_": spatial_map,
            "graph_": Bunch(**vars(self.graphs), bipartite=spatial_map),
            **published_responses(params, layout.ch_names, self.hrf_length),
        }


class InversePaperModel(BaseEstimator):
    """The published network of the way back, in the order of parts that the paper describes.

    `mne_samba.nn.inverse_paper.InversePaperNet` says which part is where.

    Parameters
    ----------
    bands : dict | Shannon | Morlet | Discrete | None
        Frequency bands and their wavelets, as in `mne_samba.SambaModel`.
    hrf : "double_gamma" | "canonical"
        Response of every node: six learnt parameters, or the canonical ones.
    hrf_length : float
        Seconds that a response lasts.
    hrf_bounds : str
        Preset of bounds of the six parameters.
    graph : str | array | callable | None
        Graph over nodes, as in `mne_samba.SambaModel`; None leaves graph attention out.
    n_neighbors : int
        Nodes and regions that each attends to.
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
        self, *, bands=None, hrf="double_gamma", hrf_length=30.0, hrf_bounds="human", graph="knn",
        n_neighbors=8, n_hidden=32,
    ):  # fmt: skip
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
        shortest = min(segment.n_times for segment in rec.segments)
        bank = as_bank(self.bands).resolve(rec.sfreq, shortest)
        return BandPower(bank, inverse_grid(rec.t_r, float(self.hrf_length)))

    def fit(
        self, data: Paired, trainer: Trainer, seed: int | None, start=None
    ) -> FittedInversePaper:
        """Train until a held-out block of every recording says stop, then set mean and scale."""
        previous = start_of(start, FittedInversePaper, data)
        part, held, judged = training_parts(data, trainer)
        known = replace(part, powers=[np.nan_to_num(power) for power in part.powers])
        graphs = fit_graphs(known, self.graph, self.n_neighbors, data.info, data.ch_names)
        checkpoints = Checkpoints(trainer, self, data, seed, previous)
        bold, dtype = BoldProcess.of(part), trainer.torch_dtype
        n_frames = window_frames(data, trainer)[0]
        spec = self._spec(data, graphs, n_frames)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(checkpoints.seed)
            module = InversePaperNet(**spec).to(dtype)
            if previous is not None:
                start_from(module, previous.network)
            step = training_step(part, n_frames, trainer)
            net = train(
                module, InversePaperLoss, _Windows(part, bold, n_frames, step, dtype),
                _Windows(held, bold, n_frames, n_frames, dtype) if judged else None,
                trainer, checkpoints.of("paper-inverse"),
            )  # fmt: skip
        checkpoints.clear()
        sizes, nothing = data.powers[0].shape[:2], np.empty((0, np.prod(data.powers[0].shape[:2])))
        fitted = FittedInversePaper(
            network=Network.of(net.module_, spec, trainer.torch_device), graphs=graphs, bold=bold,
            n_frames=n_frames, hrf_length=float(self.hrf_length), history=losses(net),
            mean=np.zeros(sizes), slope=np.ones(sizes), projection=nothing,
        )  # fmt: skip
        mean, slope = _line(fitted.predict(held.targets), held)
        fitted = replace(fitted, mean=mean, slope=slope)
        return replace(fitted, projection=_directions(fitted.predict(part.targets)))

    def _spec(self, data: Paired, graphs: Graphs, n_frames: int) -> dict:
        """Parameters of the network."""
        n_channels, n_bands = data.powers[0].shape[:2]
        return {
            "n_targets": len(data.target_names),
            "n_channels": n_channels,
            "n_bands": n_bands,
            "n_frames": n_frames,
            "t_r": data.grid.t_r,
            "n_lags": data.grid.n_lags,
            "target_adjacency": graphs.target,
            "source_adjacency": graphs.source,
            "hrf_bounds": self.hrf_bounds,
            "learn_hrf": self.hrf == "double_gamma",
            "n_hidden": self.n_hidden,
        }


class _Windows(Dataset):
    """Windows of BOLD, of the band power with its history, and of that to be given back.

    ``bold`` fills scrubbed frames; ``n_frames`` and ``step`` are frames per window and between
    windows.
    """

    def __init__(self, data: Paired, bold: BoldProcess, n_frames: int, step: int, dtype):
        self.items = []
        n_frames = min([n_frames, *[len(t) for t in data.targets]])
        n_after = min(frames_after(data.grid.t_r), n_frames - 1)
        labels = {key: i for i, key in enumerate(dict.fromkeys(data.keys))}
        for power, target, key in zip(data.powers, data.targets, data.keys, strict=True):
            truth = inner_bins(power, len(target), data.grid.n_lags)
            for first in range(0, len(target) - n_frames + 1, step):
                frames = target[first : first + n_frames]
                wanted = truth[..., first : first + n_frames].reshape(-1, n_frames).T.copy()
                # A bin whose response is cut off by the window teaches little but noise.
                wanted[n_frames - n_after :] = np.nan
                if not (np.isfinite(frames).any() and np.isfinite(wanted).any()):
                    continue
                history = power[..., first : first + data.grid.n_bins(n_frames)]
                inputs = {"bold": bold.filled(frames), "power": np.nan_to_num(history)}
                inputs = {k: torch.as_tensor(v).to(dtype) for k, v in inputs.items()}
                rows = torch.as_tensor(wanted).to(dtype)
                self.items.append((inputs, {"bold": rows, "recording": labels[key]}))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def _line(powers: list[np.ndarray], data: Paired) -> tuple[np.ndarray, np.ndarray]:
    """Mean and slope (n_channels, n_bands) that bring a network's bins to the measured ones."""
    pred, true, n_after = [], [], frames_after(data.grid.t_r)
    for measured, target, found in zip(data.powers, data.targets, powers, strict=True):
        full = max(1, len(target) - n_after)
        bins = inner_bins(measured, len(target), data.grid.n_lags)[..., :full]
        known = np.isfinite(bins[0, 0])
        true.append(_rows(bins[..., known]))
        pred.append(_rows(found[..., :full][..., known]))
    mean, slope = mean_and_slope(np.concatenate(pred), np.concatenate(true))
    shape = data.powers[0].shape[:2]
    return mean.reshape(shape), slope.reshape(shape)


def _rows(power: np.ndarray) -> np.ndarray:
    """Bins (n_bins, n_channel_bands) of (n_channels, n_bands, n_bins)."""
    return power.reshape(-1, power.shape[-1]).T


def _directions(powers: list[np.ndarray], least: float = 0.02) -> np.ndarray:
    """Principal directions (n_latents, n_channel_bands) of predicted band power, by their size."""
    rows = np.concatenate([_rows(power) for power in powers])
    _, size, directions = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    if not size[0] > 0:
        return directions[:1]
    n_kept = int(np.clip((size**2 > least * size[0] ** 2).sum(), 1, N_LATENTS))
    return directions[:n_kept] * (size[:n_kept, None] / size[0])
