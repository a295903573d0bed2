"""The fit of the way back: the encoding core, its inverse as a filter, and corrections."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..core import Core
from ..core.inverse import (
    autocorrelation,
    coupled_projection,
    inverse_filter,
    shrunk_covariance,
    sparse_correlation,
)
from ..data.paired import Paired, stitch
from ..data.power import LowRateGrid
from ..data.recordings import Layout
from ..nn.inverse import InverseNet, SkipLoss, frame_level
from .checkpoint import Checkpoints
from .core_choice import CoreOptions, choose_core
from .corrections import Judgement, Training, best_epochs, confirmed
from .describe import publish_bands, publish_hrf, publish_network, summarised_weights
from .graphs import Graphs, knn_adjacency, nearest, target_similarity
from .inverse_data import (
    N_LATENTS,
    BoldProcess,
    InverseWindows,
    frames_after,
    frames_before,
    judged_rows,
    known,
    measured_bins,
    predict_segments,
    rows,
    window_frames,
)
from .latents import FittedLatents
from .network import Network
from .trainer import Trainer, net_around
from .validation import mean_and_error, validated_correlation
from .warm_start import start_of
from .windows import Windowing, without

# Trust in the correlations of band power that training shows, chosen on held-out frames; the
# second one unless another is clearly better.
TRUSTS = (0.3, 0.9, 0.6)
# The filter starts at its optimum in closed form.
_TRAINED_BY = {"criterion": SkipLoss, "weight_decay": 1e-3, "groups": {"filter*": 0.003}}


@dataclass(frozen=True, eq=False)
class FittedInverse:
    """A fitted way back."""

    core: Core  # log band power in bins of a frame to BOLD
    network: Network  # the filter that inverts it, with corrections where they are used
    bold: BoldProcess  # what missing frames and regions are expected from
    grid: LowRateGrid  # one bin per frame
    n_frames: int  # of a training window
    # Weight of measured correlations between nodes and bands in the prior of band power.
    trust: float
    judgement: Judgement
    latents: FittedLatents  # directions of band power that BOLD sees

    def predict(self, bold: list[np.ndarray]) -> list[np.ndarray]:
        """Band power (n_channels, n_bands, n_frames) from BOLD (n_frames, n_targets)."""
        margins = frames_before(self.grid.t_r), frames_after(self.grid.t_r)
        filled = [self.bold.filled(frames, *margins) for frames in bold]
        return predict_segments(self.network.module, filled)

    @property
    def net(self):
        """Skorch net around the network."""
        return net_around(self.network, self.judgement.history, **_TRAINED_BY)

    def describe(self, layout: Layout) -> dict:
        """Give the fitted attributes that people read and plot."""
        core, network, judgement = self.core, self.network, self.judgement
        times = (np.arange(core.kernel.shape[1]) + 0.5) * core.dt
        # What free responses come nearest to is not what was fitted.
        params = None if core.hrf == "fir" else core.hrf_params
        return {
            **publish_network(network, judgement.history, judgement.kept),
            **publish_bands(*structure_of(core)),
            **publish_hrf(core.kernel, times, layout.target_names, params),
            "core_": core,
            "graph_": Graphs(
                target=network.spec["target_adjacency"], bipartite=network.spec["down_adjacency"]
            ),
        }


def fit_inverse(model, data: Paired, trainer: Trainer, seed: int | None, start) -> FittedInverse:
    """Fit an `InverseSambaModel` or `InverseCoreModel`."""
    previous = start_of(start, FittedInverse, data)
    checkpoints = Checkpoints(trainer, model, data, seed, previous)
    windowing = Windowing(*window_frames(data, trainer))
    with checkpoints.seeded():
        return _fit(_Corrections(model, trainer, windowing, previous), data, checkpoints)


def _fit(corrections: _Corrections, data: Paired, checkpoints: Checkpoints) -> FittedInverse:
    """Fit the core and its inverse, and corrections."""
    model, trainer, previous = corrections.model, corrections.trainer, corrections.previous
    choice = choose_core(
        known(data), CoreOptions.of(model, checkpoints.seed), trainer.split,
        None if previous is None else previous.core,
    )  # fmt: skip
    parts, trust, judgement = trainer.split(data), TRUSTS[1], Judgement.open(trainer)
    if parts is not None:
        choice = choice.of_part(known(parts[0]))
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
        n_frames=corrections.windowing.n_frames,
        trust=trust,
        judgement=judgement,
        latents=FittedLatents.of(encoding.projection(trust)),
    )


@dataclass(frozen=True)
class _Encoding:
    """An encoding core, and what else it takes to invert it."""

    core: Core
    acf: np.ndarray  # (n_bands, n_lags + 1), of band power
    correlation: np.ndarray  # of channel-bands, without what chance explains
    noise: np.ndarray  # (n_targets, n_targets), covariance of BOLD that the core leaves over
    bold: BoldProcess
    grid: LowRateGrid

    @classmethod
    def of(cls, core: Core, data: Paired) -> _Encoding:
        """Measure training data."""
        data = stitch(data)
        truth = measured_bins(data)
        n_acf = data.grid.n_lags + 1
        acf = np.stack(
            [autocorrelation([x[:, k] for x in truth], n_acf) for k in range(truth[0].shape[1])]
        )
        bins = np.concatenate([rows(power) for power in truth])
        bins = bins[np.isfinite(bins).all(axis=1)]
        predicted = zip(data.targets, core.predict(known(data).powers), data.masks, strict=True)
        left = [(target - frames)[mask] for target, frames, mask in predicted]
        return cls(
            core, acf, sparse_correlation(bins, acf), shrunk_covariance(np.concatenate(left)),
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


def structure_of(core: Core) -> tuple[np.ndarray, np.ndarray]:
    """Band weights (n_channels, n_bands) and map (n_targets, n_channels) of an encoding core."""
    if core.extra is not None and not core.spatial_map.any():
        return summarised_weights(core.extra)
    return core.weights, core.spatial_map


@dataclass(frozen=True)
class _Corrections(Training):
    """Networks around filters, and how what is learnt beyond them is trained and judged."""

    previous: FittedInverse | None  # what a warm start goes on from

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
            "level": frame_level(self.windowing.n_frames), "hrf_bounds": self.model.hrf_bounds,
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
        return InverseWindows(
            data, encoding.fill, self.windowing.n_frames, step, self.trainer.torch_dtype
        )

    def train(self, module, encoding, data, epochs, valid=None, checkpoint=None) -> list[dict]:
        """Train a network in place; losses by epoch."""
        net = self.trainer.build(
            module, max_epochs=epochs, valid=valid,
            iterator_valid__batch_size=self.trainer.batch_size, **_TRAINED_BY,
        )  # fmt: skip
        windows = self.windows(data, encoding, self.windowing.step)
        return self.trainer.train(net, windows, checkpoint)

    def judge(self, encoding, part, held, checkpoint=None) -> tuple[float, Judgement]:
        """Choose the prior on held-out frames, and judge corrections on them."""
        spec = self.spec(encoding, part, self.trained)
        modules = [self.build(encoding, trust, spec) for trust in TRUSTS]
        filters = [without(module, "branch") for module in modules]
        scores = [held_out_correlations(alone, encoding.fill, held) for alone in filters]
        best = _clearly_best(scores)
        windows = self.windows(held, encoding, self.windowing.n_frames) if self.trained else ()
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
    found, measured = judged_rows(pred, held)
    scores = validated_correlation(found, replace(held, targets=measured))
    return scores.reshape(pred[0].shape[:2])


def _clearly_best(scores: list[np.ndarray]) -> int:
    """Prefer the second trust unless another is ahead by more than its standard error."""
    best, lead = 1, 0.0
    for i, score in enumerate(scores):
        mean, error = mean_and_error((score - scores[1]).mean(axis=1))
        if mean - error > lead:
            best, lead = i, mean - error
    return best


def _start_branch(branch, previous) -> None:
    """Take over what was learnt, unless the graphs differ in size."""
    if previous is None:
        return
    given, own = previous.state_dict(), branch.state_dict()
    graphs = {name: own[name] for name in own if name.endswith(("neighbours", "valid"))}
    if all(own[name].shape == value.shape for name, value in given.items()):
        branch.load_state_dict({**given, **graphs})
