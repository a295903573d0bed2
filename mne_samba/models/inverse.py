"""The way back: an encoding core, its inverse as a filter, corrections where confirmed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch
from skorch import NeuralNet
from skorch.history import History

from .._checks import check_number, check_option
from ..arrays import array
from ..core import Core
from ..core.inverse import (
    autocorrelation,
    coupled_projection,
    inverse_filter,
    shrunk_covariance,
    sparse_correlation,
)
from ..data.paired import Paired, stitch
from ..data.power import BandPower, LowRateGrid
from ..data.recordings import Layout, Recordings
from ..hrf import HRF_BOUNDS, HRF_PARAMS, hrf_summary
from ..metrics import pearson
from ..nn.inverse import InverseNet, SkipLoss, frame_level
from ..wavelets import as_bank
from .checkpoint import Checkpoints
from .core_choice import CoreOptions, choose_core
from .corrections import Judgement, best_epochs, confirmed
from .describe import n_parameters, publish_bands, summarised_weights
from .graphs import knn_adjacency, nearest, target_similarity
from .inverse_data import (
    N_LATENTS,
    BoldProcess,
    InverseWindows,
    frames_after,
    frames_before,
    inner_bins,
    inverse_grid,
    predict_segments,
    window_frames,
)
from .network import Network
from .trainer import Trainer, losses
from .warm_start import start_of

# Trust in the correlations of band power that training shows, chosen on held-out frames; the
# second one unless another is clearly better.
TRUSTS = (0.3, 0.9, 0.6)
# The filter starts at its optimum in closed form.
_OPTIMIZER = {"weight_decay": 1e-3, "groups": {"filter*": 0.003}}


@dataclass(frozen=True, eq=False)
class FittedInverse:
    """A fitted way back.

    Attributes
    ----------
    core : Core
        Encoding core, log band power in bins of a frame to BOLD.
    network : Network
        The filter that inverts it, with corrections where they are used.
    bold : BoldProcess
        What missing frames and regions are expected from.
    grid : LowRateGrid
        One bin per frame.
    n_frames : int
        Frames of a training window.
    trust : float
        Weight of measured correlations between nodes and bands in the prior of band power.
    judgement : Judgement
        Whether corrections are used, and what held-out frames said of them.
    projection : array, shape (n_latents, n_channel_bands)
        Directions of band power that BOLD sees, the start of the latent space.
    """

    core: Core
    network: Network
    bold: BoldProcess
    grid: LowRateGrid
    n_frames: int
    trust: float
    judgement: Judgement
    projection: np.ndarray = array("n_latents", "n_channel_bands")

    def predict(self, bold: list[np.ndarray]) -> list[np.ndarray]:
        """Predict band power.

        ``bold`` (n_frames, n_targets); returns ``powers`` (n_channels, n_bands, n_frames).
        """
        t_r = self.grid.t_r
        filled = [self.bold.filled(b, frames_before(t_r), frames_after(t_r)) for b in bold]
        return predict_segments(self.network.module, filled)

    def describe(self, layout: Layout) -> dict:
        """Give the fitted attributes that people read and plot."""
        core, spec = self.core, self.network.spec
        weights, spatial_map = structure_of(core)
        attention, gain = publish_bands(weights, spatial_map)
        times = (np.arange(core.kernel.shape[1]) + 0.5) * core.dt
        params, peaks = core.hrf_params, hrf_summary(core.hrf_params)["peak_time"]
        if core.hrf == "fir":  # what its shape comes nearest to is not what was fitted
            params, peaks = np.nan, times[np.abs(core.kernel).argmax(axis=1)]
        return {
            "net_": self._net(),
            "core_": core,
            "history_": self.judgement.history,
            "corrections_kept_": self.judgement.kept,
            "n_parameters_": n_parameters(self.network.module),
            "band_weights_": weights,
            "spatial_map_": spatial_map,
            "band_attention_": attention,
            "band_gain_": gain,
            "hrf_": core.kernel,
            "hrf_times_": times,
            "hrf_params_": pd.DataFrame(
                params, index=layout.target_names, columns=list(HRF_PARAMS)
            ),
            "hrf_peak_time_": peaks,
            "graph_": Bunch(target=spec["target_adjacency"], bipartite=spec["down_adjacency"]),
        }

    def _net(self) -> NeuralNet:
        """Skorch net around the network, with the losses of its training."""
        net = Trainer(device=self.network.device).build(
            self.network.module, criterion=SkipLoss, max_epochs=1, **_OPTIMIZER
        )
        net.initialize()
        net.history_ = History({**row, "batches": []} for row in self.judgement.history)
        return net


class _InverseModel(BaseEstimator):
    """What models of the way back share: checks, band power in bins of one frame, the fit."""

    may_lack = True

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        as_bank(self.bands)
        check_option(self.hrf, "hrf", ("double_gamma", "fir", "canonical"))
        check_number(self.hrf_length, "hrf_length", low=0, low_open=True)
        check_option(self.hrf_bounds, "hrf_bounds", tuple(HRF_BOUNDS))
        check_option(self.map_prior, "map_prior", ("auto", "sparse", "ard", "gaussian"))
        check_option(self.band_attention, "band_attention", (True, False))
        check_option(self.target_bands, "target_bands", ("auto", True, False))

    def features(self, rec: Recordings) -> BandPower:
        """Choose what is measured of recordings: their bands, in bins of one frame."""
        shortest = min(segment.n_times for segment in rec.segments)
        grid = inverse_grid(rec.t_r, float(self.hrf_length))
        return BandPower(as_bank(self.bands).resolve(rec.sfreq, shortest), grid)

    def fit(self, data: Paired, trainer: Trainer, seed: int | None, start=None) -> FittedInverse:
        """Fit the core and its inverse; train corrections and keep what held-out frames confirm."""
        previous = start_of(start, FittedInverse, data)
        checkpoints = Checkpoints(trainer, self, data, seed, previous)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(checkpoints.seed)
            fitted = _fit(_Corrections(self, trainer, data, previous), data, checkpoints)
        checkpoints.clear()
        return fitted


class InverseCoreModel(_InverseModel):
    """Band power from BOLD by one filter: a linear encoding core, inverted by Bayes.

    Parameters
    ----------
    bands : dict | Shannon | Morlet | Discrete | None
        Frequency bands and their wavelets, as in `mne_samba.SambaModel`.
    hrf : "double_gamma" | "fir" | "canonical"
        Family of responses.
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
    InverseSambaModel : With deconvolution, graphs and heads on top.

    Examples
    --------
    >>> from mne_samba import InverseTranslator
    >>> from mne_samba.models import InverseCoreModel
    >>> translator = InverseTranslator(t_r=2.0, model=InverseCoreModel(hrf="canonical"))
    """

    def __init__(
        self, *, bands=None, hrf="double_gamma", hrf_length=30.0, hrf_bounds="human",
        map_prior="auto", band_attention=True, target_bands="auto",
    ):  # fmt: skip
        self.bands = bands
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.map_prior = map_prior
        self.band_attention = band_attention
        self.target_bands = target_bands


class InverseSambaModel(_InverseModel):
    """Band power from BOLD: the filter of `InverseCoreModel`, and corrections where confirmed.

    Deconvolution of every region by its own response, attention over regions and from regions to
    nodes, and heads that write wavelet coefficients over frames are trained on top of the filter.

    Parameters
    ----------
    bands : dict | Shannon | Morlet | Discrete | None
        Frequency bands and their wavelets, as in `mne_samba.SambaModel`.
    hrf : "double_gamma" | "fir" | "canonical"
        Family of responses.
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
    n_neighbors : int
        Regions that a region, and a node, attends to.
    corrections : "auto" | "always"
        Keep corrections where held-out frames confirm them, or in any case.

    See Also
    --------
    InverseCoreModel : The filter alone.

    Examples
    --------
    >>> from mne_samba import InverseTranslator
    >>> from mne_samba.models import InverseSambaModel
    >>> translator = InverseTranslator(t_r=2.0, model=InverseSambaModel(n_neighbors=4))
    """

    def __init__(
        self, *, bands=None, hrf="double_gamma", hrf_length=30.0, hrf_bounds="human",
        map_prior="auto", band_attention=True, target_bands="auto", n_neighbors=8,
        corrections="auto",
    ):  # fmt: skip
        self.bands = bands
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.map_prior = map_prior
        self.band_attention = band_attention
        self.target_bands = target_bands
        self.n_neighbors = n_neighbors
        self.corrections = corrections

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        super().check()
        check_number(self.n_neighbors, "n_neighbors", low=1, integer=True)
        check_option(self.corrections, "corrections", ("auto", "always"))


# The fit ------------------------------------------------------------------------------------------


def _fit(corrections: _Corrections, data: Paired, checkpoints: Checkpoints) -> FittedInverse:
    """Fit the core and its inverse, and corrections."""
    model, trainer, previous = corrections.model, corrections.trainer, corrections.previous
    choice = choose_core(
        _known(data), CoreOptions.of(model, checkpoints.seed), trainer.split,
        None if previous is None else previous.core,
    )  # fmt: skip
    parts, trust, judgement = trainer.split(data), TRUSTS[1], Judgement.open(trainer)
    if parts is not None:
        choice = choice.of_part(_known(parts[0]))
        encoding = _Encoding.of(choice.part, parts[0])
        trust, judgement = corrections.judge(encoding, *parts, checkpoints.of("inverse-judged"))
    encoding = _Encoding.of(choice.whole(), data)
    used = judgement.kept or corrections.always
    spec = corrections.spec(encoding, data, used)
    module = corrections.build(encoding, trust, spec)
    if used:
        history = corrections.train(
            module, encoding, data, judgement.epochs, checkpoint=checkpoints.of("inverse-whole")
        )
        judgement = judgement.used(history)
    return FittedInverse(
        # The posterior is for fits that go on from it.
        core=replace(encoding.core, state=None),
        network=Network.of(module, spec, trainer.torch_device),
        bold=encoding.bold,
        grid=data.grid,
        n_frames=corrections.n_frames,
        trust=trust,
        judgement=judgement,
        projection=encoding.projection(trust),
    )


@dataclass(frozen=True)
class _Encoding:
    """An encoding core, and what else it takes to invert it.

    Attributes
    ----------
    core : Core
        Band power to BOLD.
    acf : array, shape (n_bands, n_lags + 1)
        Autocorrelation of band power.
    correlation : array, shape (n_channel_bands, n_channel_bands)
        Of band power, without what chance explains.
    noise : array, shape (n_targets, n_targets)
        Covariance of BOLD that the core leaves unexplained.
    bold : BoldProcess
        How BOLD goes on.
    grid : LowRateGrid
        One bin per frame.
    """

    core: Core
    acf: np.ndarray
    correlation: np.ndarray
    noise: np.ndarray
    bold: BoldProcess
    grid: LowRateGrid

    @classmethod
    def of(cls, core: Core, data: Paired) -> _Encoding:
        """Measure training data."""
        data = stitch(data)
        truth = [
            inner_bins(power, len(target), data.grid.n_lags)
            for power, target in zip(data.powers, data.targets, strict=True)
        ]
        n_acf = data.grid.n_lags + 1
        acf = np.stack(
            [autocorrelation([x[:, k] for x in truth], n_acf) for k in range(truth[0].shape[1])]
        )
        rows = np.concatenate([x.reshape(-1, x.shape[-1]).T for x in truth])
        rows = rows[np.isfinite(rows).all(axis=1)]
        left = [
            (target - frames)[mask]
            for target, frames, mask in zip(
                data.targets, core.predict(_known(data).powers), data.masks, strict=True
            )
        ]
        return cls(
            core, acf, sparse_correlation(rows, acf), shrunk_covariance(np.concatenate(left)),
            BoldProcess.of(data), data.grid,
        )  # fmt: skip

    @property
    def weights(self) -> np.ndarray:
        """Effective coefficients of the core, (n_targets, n_channel_bands)."""
        weights = self.core.spatial_map[:, :, None] * self.core.weights
        if self.core.extra is not None:
            weights = weights + self.core.extra
        return weights.reshape(len(weights), -1)

    def spatial(self, trust: float) -> np.ndarray:
        """Correlation of band power as far as it is trusted, (n_channel_bands, n_channel_bands)."""
        return trust * self.correlation + (1 - trust) * np.eye(len(self.correlation))

    def filters(self, trust: float) -> np.ndarray:
        """Invert the core: filters (n_channel_bands, n_targets, n_taps) over frames."""
        core, t_r = self.core, self.grid.t_r
        return inverse_filter(
            self.weights, core.kernel * core.dt, self.acf, self.spatial(trust), self.noise, core.ar,
            frames_before(t_r), frames_after(t_r),
        )  # fmt: skip

    def projection(self, trust: float) -> np.ndarray:
        """Directions of band power that BOLD sees, (n_latents, n_channel_bands)."""
        return coupled_projection(self.weights, self.spatial(trust), self.noise, N_LATENTS)

    def fill(self, bold: np.ndarray) -> np.ndarray:
        """BOLD (n_frames, n_targets) with the margins and regions that the network needs."""
        return self.bold.filled(bold, frames_before(self.grid.t_r), frames_after(self.grid.t_r))


def _known(data: Paired) -> Paired:
    """Band power that is unknown stands at its mean."""
    return replace(data, powers=[np.nan_to_num(power) for power in data.powers])


def structure_of(core: Core) -> tuple[np.ndarray, np.ndarray]:
    """Band weights (n_channels, n_bands) and map (n_targets, n_channels) of an encoding core."""
    if core.extra is not None and not core.spatial_map.any():
        return summarised_weights(core.extra)
    return core.weights, core.spatial_map


@dataclass(frozen=True)
class _Corrections:
    """Networks around filters, and how what is learnt beyond them is trained and judged.

    Attributes
    ----------
    model : InverseSambaModel | InverseCoreModel
        Parameters.
    trainer : Trainer
        How to train.
    data : Paired
        All training data, which say how long windows are.
    previous : FittedInverse | None
        What a warm start goes on from.
    """

    model: _InverseModel
    trainer: Trainer
    data: Paired
    previous: FittedInverse | None

    @property
    def n_frames(self) -> int:
        """Frames of a training window."""
        return window_frames(self.data, self.trainer)[0]

    @property
    def wanted(self) -> bool:
        """Whether the model has corrections."""
        return isinstance(self.model, InverseSambaModel)

    @property
    def always(self) -> bool:
        """Whether they are used whatever held-out frames say."""
        return self.wanted and self.model.corrections == "always"

    def spec(self, encoding: _Encoding, data: Paired, corrected: bool) -> dict:
        """Parameters of a network for an encoding core."""
        grid, core, spec = encoding.grid, encoding.core, {}
        if corrected:
            k, alike = self.model.n_neighbors, target_similarity(stitch(data))
            spec = {
                "target_adjacency": knn_adjacency(alike, k),
                "down_adjacency": nearest(structure_of(core)[1].T, k),
            }
        return {
            "n_targets": len(core.kernel), "n_channels": len(core.weights),
            "n_bands": core.weights.shape[1], "n_before": frames_before(grid.t_r),
            "n_after": frames_after(grid.t_r), "t_r": grid.t_r, "n_lags": grid.n_lags,
            "level": frame_level(self.n_frames), "hrf_bounds": self.model.hrf_bounds,
            "target_adjacency": None, "down_adjacency": None,
        } | spec  # fmt: skip

    def build(self, encoding: _Encoding, trust: float, spec: dict) -> InverseNet:
        """Network that starts as the filter: the gate of what is beyond it is shut."""
        module = InverseNet(**spec).to(self.trainer.torch_dtype)
        module.set_filter_(encoding.filters(trust))
        if module.branch is not None:
            if encoding.core.kernel.shape[1] > 1:
                module.branch.deconvolution.hrf.set_params_(encoding.core.hrf_params)
            if self.previous is not None:
                _start_branch(module.branch, self.previous.network.module.branch)
        return module.to(self.trainer.torch_device)

    def windows(self, data: Paired, encoding: _Encoding, step: int) -> InverseWindows:
        """Training windows of data."""
        return InverseWindows(data, encoding.fill, self.n_frames, step, self.trainer.torch_dtype)

    def train(self, module, encoding, data, epochs, valid=None, checkpoint=None) -> list[dict]:
        """Train a network in place; losses by epoch."""
        net = self.trainer.build(
            module, criterion=SkipLoss, max_epochs=epochs, valid=valid,
            iterator_valid__batch_size=self.trainer.batch_size, **_OPTIMIZER,
        )  # fmt: skip
        step = window_frames(self.data, self.trainer)[1]
        self.trainer.train(net, self.windows(data, encoding, step), checkpoint)
        return losses(net)

    def judge(self, encoding, part, held, checkpoint=None) -> tuple[float, Judgement]:
        """Choose the prior on held-out frames, and judge corrections on them."""
        spec = self.spec(encoding, part, self.wanted)
        modules = [self.build(encoding, trust, spec) for trust in TRUSTS]
        scores = [held_out_correlations(_filter_alone(m), encoding.fill, held) for m in modules]
        best = _clearly_best(scores)
        windows = self.windows(held, encoding, self.n_frames) if self.wanted else ()
        if not len(windows):
            return TRUSTS[best], Judgement.open(self.trainer)
        history = self.train(
            modules[best], encoding, part, self.trainer.max_epochs, windows, checkpoint
        )
        gain = held_out_correlations(modules[best], encoding.fill, held) - scores[best]
        # Bands of one node rise and fall together: nodes are the independent ones.
        kept, gain, error = confirmed(gain.mean(axis=1), self.always, "Way back: corrections")
        return TRUSTS[best], Judgement(kept, best_epochs(history), history, gain, error)


def held_out_correlations(module: InverseNet, fill, held: Paired) -> np.ndarray:
    """Pearson correlation over held-out bins, per node and band, (n_channels, n_bands)."""
    pred = predict_segments(module.eval(), [fill(target) for target in held.targets])
    n_after, scores = frames_after(held.grid.t_r), []
    for key in dict.fromkeys(held.keys):
        true, given = [], []
        for i in [i for i, k in enumerate(held.keys) if k == key]:
            truth = inner_bins(held.powers[i], len(held.targets[i]), held.grid.n_lags)
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


def _filter_alone(module: InverseNet) -> InverseNet:
    """Leave corrections out of a network, which shares its filter."""
    module = copy.copy(module)
    module._modules = {**module._modules, "branch": None}
    return module


def _start_branch(branch, previous) -> None:
    """Take over what was learnt, unless the graphs differ in size."""
    if previous is None:
        return
    given, own = previous.state_dict(), branch.state_dict()
    graphs = {name: own[name] for name in own if name.endswith(("neighbours", "valid"))}
    if all(own[name].shape == value.shape for name, value in given.items()):
        branch.load_state_dict({**given, **graphs})
