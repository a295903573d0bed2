"""The paper variant from BOLD to electrophysiology: training windows, fit, prediction."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from mne.utils import logger
from sklearn.utils import Bunch
from skorch import NeuralNet
from torch.utils.data import Dataset

from .._data.paired import PairedData
from .._fitting.accelerated import build_net, losses
from .._fitting.checkpoint import Checkpoints
from .._fitting.graphs import fit_graphs
from .._fitting.published import HRF_STEP
from .._fitting.training import inner_split, train
from .._reverse.fitter import N_LATENTS, BackFitter, ReverseModel, band_power_of
from ..nn._reverse_filter import autocovariance, fill_frames, shrunk_covariance
from ..nn.hrf import HRF_PARAMS, double_gamma, hrf_summary
from ..nn.paper_reverse import PaperReverseLoss, PaperReverseNet

# Windows that an epoch has at least, where recordings are long enough for them to differ.
_WINDOWS = 64


@dataclass
class PaperReverseModel(ReverseModel):
    """A trained network of the paper's kind from BOLD to band power.

    Attributes
    ----------
    output_mean, output_scale : array, shape (n_channels, n_bands)
        Mean of the network's bins, and slope of measured on predicted ones: a cosine knows neither.
    """

    output_mean: np.ndarray = field(default_factory=lambda: np.zeros(1))
    output_scale: np.ndarray = field(default_factory=lambda: np.ones(1))

    def module(self) -> PaperReverseNet:
        """Network on its device, in evaluation mode."""
        return self.net.module_.to(self.device).eval()

    def fill(self, bold: np.ndarray) -> np.ndarray:
        """BOLD without gaps; the network needs no margins."""
        return fill_frames(bold, self.bold_acf, 0, 0)

    def predict(self, bold: list[np.ndarray], batch_size: int = 32) -> list[np.ndarray]:
        """Standardised log band power (n_channels, n_bands, n_frames) of every segment."""
        mean, scale = self.output_mean[..., None], self.output_scale[..., None]
        return [(power - mean) * scale for power in super().predict(bold, batch_size)]


class PaperReverseWindows(Dataset):
    """Windows of BOLD, of the band power with its history, and of that to be given back.

    Parameters
    ----------
    data : PairedData
        Segments.
    model : PaperReverseModel
        Fills scrubbed frames.
    n_frames, step : int
        Frames per window and between windows.
    """

    def __init__(self, data: PairedData, model: PaperReverseModel, n_frames: int, step: int):
        self.items = []
        n_frames = min([n_frames, *[len(t) for t in data.targets]])
        n_after = min(model.reading.n_after, n_frames - 1)
        labels = {key: i for i, key in enumerate(dict.fromkeys(data.keys))}
        for power, target, key in zip(data.powers, data.targets, data.keys, strict=True):
            truth = band_power_of(power, len(target), data.grid.n_lags)
            for first in range(0, len(target) - n_frames + 1, step):
                bold = target[first : first + n_frames]
                wanted = truth[..., first : first + n_frames].reshape(-1, n_frames).T.copy()
                # A bin whose response is cut off by the window teaches little but noise.
                wanted[n_frames - n_after :] = np.nan
                if not (np.isfinite(bold).any() and np.isfinite(wanted).any()):
                    continue
                history = power[..., first : first + data.grid.n_bins(n_frames)]
                inputs = {"bold": model.fill(bold), "power": np.nan_to_num(history)}
                inputs = {k: torch.as_tensor(v).to(model.dtype) for k, v in inputs.items()}
                rows = torch.as_tensor(wanted).to(model.dtype)
                self.items.append((inputs, {"bold": rows, "recording": labels[key]}))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


class PaperReverseFitter(BackFitter):
    """Fit and rebuild networks of the paper's kind from BOLD to band power."""

    def fit(self, data: PairedData, seed: int, previous=None) -> PaperReverseModel:
        """Train until a held-out block of every recording says stop, then set mean and scale."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._fit(data, seed, previous)

    def _fit(self, data: PairedData, seed: int, previous) -> PaperReverseModel:
        options = self.options
        split = inner_split(data, options.validation_fraction, options.gap)
        part, held = (data, data) if split is None else split
        if split is None:
            logger.info("Too few frames to hold some out: training runs for max_epochs.")
        frames = np.concatenate([t[m] for t, m in zip(part.targets, part.masks, strict=True)])
        bold = autocovariance([t.T for t in part.targets], 64), shrunk_covariance(frames)
        model = self.wrap(bold, self._graphs(part))
        adapted = None
        if isinstance(previous, PaperReverseModel):
            adapted = previous.net.module_.state_dict()
            start_from(model.net.module_, adapted)
        valid = None
        if split is not None:
            valid = PaperReverseWindows(held, model, self.n_frames, self.n_frames)
        # Short recordings overlap more: an epoch has enough steps to learn something from.
        step = max(1, min(self.n_frames // 2, sum(map(len, part.targets)) // _WINDOWS))
        if options.step is not None:
            step = min(self.n_frames, max(1, round(options.step / self.reading.grid.t_r)))
        windows = PaperReverseWindows(part, model, self.n_frames, step)
        checkpoints = Checkpoints(options.checkpoint_dir, options, data, seed, adapted)
        model.net = train(
            self._net(model.net.module_, valid), windows, checkpoints.of("paper-reverse")
        )
        checkpoints.clear()
        model.history = losses(model.net)
        model.output_mean, model.output_scale = _line(model, held)
        model.projection = _directions(model.predict(part.targets))
        return model

    def wrap(self, bold, graphs, history=()) -> PaperReverseModel:
        """Untrained network; ``bold`` holds autocorrelation and covariance of BOLD."""
        reading, options = self.reading, self.options
        sizes = len(reading.ch_names), len(reading.bands)
        module = PaperReverseNet(
            len(reading.target_names), *sizes, n_frames=self.n_frames, t_r=reading.grid.t_r,
            n_lags=reading.grid.n_lags, target_adjacency=graphs[0], source_adjacency=graphs[1],
            hrf_bounds=options.hrf_bounds, learn_hrf=options.hrf == "double_gamma",
            n_hidden=options.n_hidden,
        ).to(self.dtype)  # fmt: skip
        return PaperReverseModel(
            self._net(module, None).initialize(), None, reading, *bold, np.nan, True, self.dtype,
            self.device, list(history), graphs, None, np.zeros(sizes), np.ones(sizes),
        )  # fmt: skip

    def _graphs(self, data: PairedData):
        options = SimpleNamespace(
            graph=self.options.graph, n_neighbors=self.options.n_neighbors,
            info_=self.reading.info, ch_names_in_=self.reading.ch_names,
        )  # fmt: skip
        powers = [np.nan_to_num(power) for power in data.powers]
        graphs = fit_graphs(options, replace(data, powers=powers))
        return graphs.target, graphs.source

    def _net(self, module: PaperReverseNet, valid) -> NeuralNet:
        return build_net(
            module, self.options, criterion=PaperReverseLoss, weight_decay=1e-2,
            max_epochs=self.options.max_epochs, device=self.device, valid=valid,
        )  # fmt: skip


def start_from(module: torch.nn.Module, given: dict[str, torch.Tensor]) -> None:
    """Take over what has the same name and shape in another network of the kind, but graphs."""
    own, graphs = module.state_dict(), ("neighbours", "valid")
    same = {
        name: value
        for name, value in given.items()
        if name in own and own[name].shape == value.shape and not name.endswith(graphs)
    }
    module.load_state_dict({**own, **same})


def _line(model: PaperReverseModel, held: PairedData) -> tuple[np.ndarray, np.ndarray]:
    """Mean of predicted bins, and slope of measured on predicted ones, not below zero."""
    n_after, rows = model.reading.n_after, []
    for power, target, found in zip(
        held.powers, held.targets, model.predict(held.targets), strict=True
    ):
        true = band_power_of(power, len(target), held.grid.n_lags)
        full = slice(0, max(1, len(target) - n_after))
        known = np.isfinite(true[0, 0, full])
        rows.append((true[..., full][..., known], found[..., full][..., known]))
    true, found = (np.concatenate(side, axis=-1) for side in zip(*rows, strict=True))
    mean = found.mean(axis=-1)
    found, true = (a - a.mean(axis=-1, keepdims=True) for a in (found, true))
    power = (found**2).sum(axis=-1)
    slope = (found * true).sum(axis=-1) / np.where(power > 0, power, np.inf)
    return mean, np.maximum(slope, 0.0)


def _directions(powers: list[np.ndarray], least: float = 0.02) -> np.ndarray:
    """Principal directions (n_latents, n_features) of predicted band power: what BOLD tells."""
    flat = np.concatenate([p.reshape(-1, p.shape[-1]) for p in powers], axis=1)
    _, size, directions = np.linalg.svd(flat.T - flat.mean(axis=1), full_matrices=False)
    if not size[0] > 0:
        return directions[:1]
    n_kept = int(np.clip((size**2 > least * size[0] ** 2).sum(), 1, N_LATENTS))
    return directions[:n_kept] * (size[:n_kept, None] / size[0])


def publish_paper_reverse(translator) -> None:
    """Set the fitted attributes of a translator of the paper's kind that only goes back."""
    model, reading = translator._reverse, translator._reverse.reading
    module = model.net.module_.eval()
    translator.net_, translator.history_ = model.net, model.history
    # There is no linear core, and nothing that validation could leave out.
    translator.core_, translator.corrections_kept_ = None, True
    translator.n_parameters_ = sum(p.numel() for p in module.parameters() if p.requires_grad)
    translator.spatial_map_ = module.spatial_map.detach().cpu().double().numpy().T
    params = module.deconvolution.hrf.params().detach().cpu().double().numpy()
    translator.hrf_times_ = np.arange(0, float(translator.hrf_length) + HRF_STEP / 2, HRF_STEP)
    translator.hrf_ = double_gamma(translator.hrf_times_, params)
    translator.hrf_params_ = pd.DataFrame(params, index=reading.ch_names, columns=list(HRF_PARAMS))
    translator.hrf_peak_time_ = hrf_summary(params)["peak_time"]
    translator.graph_ = Bunch(
        target=model.graphs[0], source=model.graphs[1], bipartite=translator.spatial_map_
    )
