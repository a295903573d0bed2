"""Fit the way back: encoding core, its inverse as a filter, corrections where confirmed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from mne.utils import logger
from skorch import NeuralNet
from torch.utils.data import Dataset

from .._data.paired import PairedData
from .._fitting.accelerated import build_net, losses
from .._fitting.core_choice import CoreChooser, check_sizes
from .._fitting.graphs import target_similarity
from .._fitting.network import torch_device
from .._fitting.published import summarised_weights
from .._fitting.training import stitch
from ..metrics import pearson
from ..nn._reverse_filter import (
    autocovariance,
    coupled_projection,
    expected_columns,
    fill_frames,
    inverse_filter,
    shrunk_covariance,
    sparse_correlation,
)
from ..nn._reverse_graph import nearest
from ..nn.graph import knn_adjacency
from ..nn.linear import Core
from ..nn.reverse import ReverseNet, SkipLoss
from .data import Reading

# Trust in the correlations of band power that training shows, chosen on held-out frames; the
# second one unless another is clearly better.
TRUSTS = (0.3, 0.9, 0.6)
# Most dimensions of the latent space.
N_LATENTS = 16


@dataclass
class ReverseModel:
    """A fitted way back.

    Attributes
    ----------
    net : skorch.NeuralNet
        The network; its module starts as the filter.
    core : Core
        Encoding core, log band power in bins of a frame to BOLD.
    reading : Reading
        How the data were read.
    bold_acf : array
        Autocorrelation of BOLD from frame to frame.
    bold_covariance : array, shape (n_targets, n_targets)
        Covariance of BOLD, from which regions that a recording lacks are expected.
    trust : float
        Weight of measured correlations between nodes and bands in the prior of band power.
    corrections_kept : bool
        Whether deconvolution, graphs and heads are used.
    history : list of dict
        Losses by epoch.
    dtype, device
        What and where it computes.
    graphs : tuple of array | None
        Target graph, and targets that each node attends to.
    projection : array, shape (n_latents, n_channels * n_bands)
        Directions of band power that BOLD sees, the start of the latent space.
    """

    net: NeuralNet
    core: Core
    reading: Reading
    bold_acf: np.ndarray
    bold_covariance: np.ndarray
    trust: float
    corrections_kept: bool
    dtype: torch.dtype
    device: str
    history: list[dict] = field(default_factory=list)
    graphs: tuple = (None, None)
    projection: np.ndarray | None = None

    def module(self) -> ReverseNet:
        """Network on its device, in evaluation mode."""
        module = self.net.module_
        if not self.corrections_kept and module.branch is not None:
            module = copy.copy(module)
            module._modules = {**module._modules, "branch": None}
        return module.to(self.device).eval()

    def fill(self, bold: np.ndarray) -> np.ndarray:
        """BOLD with the margins and regions that the network needs."""
        bold = expected_columns(bold, self.bold_covariance)
        return fill_frames(bold, self.bold_acf, self.reading.n_before, self.reading.n_after)

    def predict(self, bold: list[np.ndarray], batch_size: int = 32) -> list[np.ndarray]:
        """Standardised log band power (n_channels, n_bands, n_frames) of every segment."""
        module, out = self.module(), {}
        lengths: dict[int, list[int]] = {}
        for i, value in enumerate(bold):
            lengths.setdefault(len(value), []).append(i)
        with torch.inference_mode():
            for members in lengths.values():
                for first in range(0, len(members), batch_size):
                    some = members[first : first + batch_size]
                    batch = torch.as_tensor(np.stack([self.fill(bold[i]) for i in some]))
                    power = module(batch.to(device=self.device, dtype=self.dtype))
                    out.update(zip(some, power.cpu().double().numpy(), strict=True))
        return [out[i] for i in range(len(bold))]


class ReverseWindows(Dataset):
    """Windows of BOLD with margins, and the band power that they are to give back.

    Parameters
    ----------
    data : PairedData
        Segments.
    model : ReverseModel
        Fills margins and scrubbed frames.
    n_frames, step : int
        Frames per window and between windows.
    """

    def __init__(self, data: PairedData, model: ReverseModel, n_frames: int, step: int):
        self.items = []
        n_frames = min([n_frames, *[len(t) for t in data.targets]])
        for power, target in zip(data.powers, data.targets, strict=True):
            truth = band_power_of(power, len(target), data.grid.n_lags)
            for first in range(0, len(target) - n_frames + 1, step):
                bold = target[first : first + n_frames]
                wanted = truth[..., first : first + n_frames].copy()
                # A bin whose response is cut off by the window teaches little but noise.
                wanted[..., n_frames - min(model.reading.n_after, n_frames - 1) :] = np.nan
                if np.isfinite(bold).any() and np.isfinite(wanted).any():
                    pair = model.fill(bold), wanted
                    self.items.append(tuple(torch.as_tensor(a).to(model.dtype) for a in pair))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def band_power_of(power: np.ndarray, n_frames: int, n_lags: int) -> np.ndarray:
    """Bins of the frames themselves (n_channels, n_bands, n_frames), the last one unknown."""
    out = np.full((*power.shape[:2], n_frames), np.nan)
    inside = power[..., n_lags:]
    out[..., : inside.shape[-1]] = inside
    return out


class BackFitter:
    """What fitters of ways back have in common.

    Parameters
    ----------
    options : SambaTranslator
        Read for its parameters, never changed.
    reading : Reading
        Sizes and names.
    """

    def __init__(self, options, reading: Reading):
        self.options, self.reading = options, reading
        self.dtype = getattr(torch, options.dtype)
        self.device = torch_device(options.device)
        self.n_frames = reading.n_frames


class ReverseFitter(BackFitter):
    """Fit ways back with the options of one translator."""

    def __init__(self, options, reading: Reading):
        super().__init__(options, reading)
        self.cores, self.previous = CoreChooser(options), None
        step = max(1, self.n_frames // 2)
        if options.step is not None:
            step = max(1, round(options.step / reading.grid.t_r))
        self.step = min(step, self.n_frames)

    def fit(
        self, data: PairedData, seed: int, previous: ReverseModel | None = None
    ) -> ReverseModel:
        """Fit the core and its inverse; train corrections and keep what held-out frames confirm.

        The core (and the corrections, where the graphs have the same size) starts from a previous
        model.
        """
        # The paper's network has no core, and nothing in common with this one.
        self.previous = None if previous is None or previous.core is None else previous
        adapted = None if self.previous is None else self.previous.core
        if adapted is not None:
            check_sizes(adapted, data)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.cores.settle_bands(_known(data), seed, adapted)
            split = self.cores.split(data)
            trust, kept, history, epochs = TRUSTS[1], False, [], self.options.max_epochs
            if split is not None:
                trust, kept, history, epochs = self._judge(*split, seed)
            always = self.options.corrections == "always"
            core = self.cores.fit(_known(data), seed, adapted)
            model = self._closed(data, core, trust, branch=kept or always)
            if kept or always:
                model.corrections_kept = True
                self._train(model, data, epochs)
                model.history = history or losses(model.net)
            else:
                model.history = history
        return model

    def wrap(self, core, bold, trust, kept, history, graphs) -> ReverseModel:
        """Model around a network that still has to be given its weights.

        ``bold`` holds autocorrelation and covariance of BOLD.
        """
        module = ReverseNet(
            len(self.reading.target_names), len(self.reading.ch_names), len(self.reading.bands),
            n_before=self.reading.n_before, n_after=self.reading.n_after,
            t_r=self.reading.grid.t_r, n_lags=self.reading.grid.n_lags,
            target_adjacency=graphs[0], down_adjacency=graphs[1],
            hrf_bounds=self.options.hrf_bounds,
        ).to(self.dtype)  # fmt: skip
        model = ReverseModel(
            self._net(module, 1), core, self.reading, *bold, trust, kept, self.dtype,
            self.device, history, graphs,
        )  # fmt: skip
        model.net.initialize()
        return model

    def _judge(self, part, held, seed):
        """Choose the prior on held-out frames, and judge corrections on them."""
        branch = self.options.corrections != "never"
        adapted = None if self.previous is None else self.previous.core
        core = self.cores.fit_part(_known(part), seed, adapted)
        models = [self._closed(part, core, trust, branch) for trust in TRUSTS]
        scores = [held_out_correlations(model, held) for model in models]
        best = _clearly_best(scores)
        model, score = models[best], scores[best]
        if not branch:
            return model.trust, False, [], 1
        model.corrections_kept = True
        windows = ReverseWindows(held, model, self.n_frames, self.n_frames)
        if not len(windows):
            return model.trust, False, [], self.options.max_epochs
        self._train(model, part, self.options.max_epochs, windows)
        gain = held_out_correlations(model, held) - score
        # Bands of one node rise and fall together: nodes are the independent ones.
        gain = gain.mean(axis=1)
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
        kept = bool(gain.mean() > max(0.002, 2 * error))
        logger.info(
            "Way back: corrections change held-out correlation by %+.4f (standard error %.4f): %s.",
            gain.mean(), error, "kept" if kept else "left out",
        )  # fmt: skip
        history = losses(model.net)
        epochs = int(np.argmin([row["valid_loss"] for row in history])) + 1
        return model.trust, kept, history, epochs

    def _closed(self, data, core, trust, branch) -> ReverseModel:
        """Model of the closed form alone, gates shut."""
        data = stitch(data)
        truth = [
            band_power_of(power, len(target), data.grid.n_lags)
            for power, target in zip(data.powers, data.targets, strict=True)
        ]
        n_acf = self.reading.grid.n_lags + 1
        acf = np.stack(
            [autocovariance([x[:, k] for x in truth], n_acf) for k in range(truth[0].shape[1])]
        )
        residual = np.concatenate(
            [
                (target - pred)[mask]
                for target, pred, mask in zip(
                    data.targets, core.predict(_known(data).powers), data.masks, strict=True
                )
            ]
        )
        weights = core_weights(core)
        rows = np.concatenate([x.reshape(len(weights.T), -1).T for x in truth])
        rows = rows[np.isfinite(rows).all(axis=1)]
        spatial = trust * sparse_correlation(rows, acf) + (1 - trust) * np.eye(rows.shape[1])
        noise = shrunk_covariance(residual)
        filters = inverse_filter(
            weights, core.kernel * core.dt, acf, spatial, noise, core.ar,
            self.reading.n_before, self.reading.n_after,
        )  # fmt: skip
        frames = np.concatenate(
            [target[mask] for target, mask in zip(data.targets, data.masks, strict=True)]
        )
        bold = autocovariance([t.T for t in data.targets], 64), shrunk_covariance(frames)
        graphs = self._graphs(data, core) if branch else (None, None)
        model = self.wrap(core, bold, trust, False, [], graphs)
        model.net.module_.set_filter_(filters)
        model.projection = coupled_projection(weights, spatial, noise, N_LATENTS)
        if branch and core.kernel.shape[1] > 1:
            model.net.module_.branch.deconvolution.hrf.set_params_(core.hrf_params)
        if branch and self.previous is not None:
            _start_branch(model.net.module_.branch, self.previous.net.module_.branch)
        return model

    def _graphs(self, data: PairedData, core: Core):
        k = self.options.n_neighbors
        return knn_adjacency(target_similarity(data), k), nearest(structure_of(core)[1].T, k)

    def _net(self, module, max_epochs, valid=None) -> NeuralNet:
        options = self.options
        return build_net(
            module, options, criterion=SkipLoss, weight_decay=1e-3, max_epochs=max_epochs,
            device=self.device, valid=valid, iterator_valid__batch_size=options.batch_size,
            # The filter starts at its optimum in closed form.
            optimizer__param_groups=[("filter*", {"lr": 0.003 * options.lr})],
        )  # fmt: skip

    def _train(self, model: ReverseModel, data: PairedData, epochs: int, valid=None) -> None:
        model.net = self._net(model.net.module_, epochs, valid)
        windows = ReverseWindows(data, model, self.n_frames, self.step)
        model.net.fit(windows, None)
        last = model.net.history[-1]["train_loss"]
        logger.info("Way back: trained %d epochs, loss %.4f.", len(model.net.history), last)


def _start_branch(branch, previous) -> None:
    """Take over what was learnt, unless the graphs differ in size."""
    if previous is None:
        return
    given, own = previous.state_dict(), branch.state_dict()
    graphs = {name: own[name] for name in own if name.endswith(("neighbours", "valid"))}
    if all(own[name].shape == value.shape for name, value in given.items()):
        branch.load_state_dict({**given, **graphs})


def _known(data: PairedData) -> PairedData:
    """Band power that is unknown stands at its mean."""
    return replace(data, powers=[np.nan_to_num(power) for power in data.powers])


def structure_of(core: Core) -> tuple[np.ndarray, np.ndarray]:
    """Band weights (n_channels, n_bands) and map (n_targets, n_channels) of an encoding core."""
    if core.extra is not None and not core.spatial_map.any():
        return summarised_weights(core.extra)
    return core.weights, core.spatial_map


def core_weights(core: Core) -> np.ndarray:
    """Effective coefficients of the encoding core, (n_targets, n_channels * n_bands)."""
    weights = core.spatial_map[:, :, None] * core.weights
    if core.extra is not None:
        weights = weights + core.extra
    return weights.reshape(len(weights), -1)


def held_out_correlations(model: ReverseModel, held: PairedData) -> np.ndarray:
    """Pearson correlation over held-out bins, per node and band, (n_channels, n_bands)."""
    pred = model.predict(held.targets)
    n_after, n_lags = model.reading.n_after, held.grid.n_lags
    scores = []
    for key in dict.fromkeys(held.keys):
        true, given = [], []
        for i in [i for i, k in enumerate(held.keys) if k == key]:
            truth = band_power_of(held.powers[i], len(held.targets[i]), n_lags)
            full = slice(0, max(1, truth.shape[-1] - n_after))
            true.append(truth[..., full].reshape(-1, truth[..., full].shape[-1]).T)
            given.append(pred[i][..., full].reshape(true[-1].shape[::-1]).T)
        scores.append(pearson(np.concatenate(true), np.concatenate(given)))
    return np.nanmean(scores, axis=0).reshape(pred[0].shape[:2])


def _clearly_best(scores: list[np.ndarray]) -> int:
    """Prefer the second trust unless another is ahead by more than its standard error."""
    best, lead = 1, 0.0
    for i, score in enumerate(scores):
        gain = (score - scores[1]).mean(axis=1)
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
        if gain.mean() - error > lead:
            best, lead = i, gain.mean() - error
    return best
