"""The order in which a linear core is fitted: from simple to full, or on from another fit."""

import math
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from .._regression import shared_penalty
from .ascent import MIN_NOISE, State, iterate, run
from .map_prior import MAP_PRIORS
from .moments import (
    Moments,
    Noise,
    Runs,
    Segments,
    change_of_noise,
    collapse,
    gather_used,
    moments_of,
    pairs_of,
    predictions,
    runs_of_frames,
    upper_triangle,
    used_features,
)
from .response import ResponsePrior, response_prior, start_moments
from .shared import key_of, once

# First guess of the noise's autocorrelation at two seconds, as fast as which it fades: frames of a
# fast scan remember more. The change that asks for another whitening.
_START_RHO = 0.4
_RHO_CHANGE = 0.03
_MOST_WHITENINGS = 2
# Stages that only prepare others end early.
_ROUGH_TOL, _ROUGH_ITER = 0.1, 15
# Priors of the map are compared, and the noise's memory is found, before the last iterations.
_RANKED_TOL = 0.02
# Nats per target by which one prior of the map has to be ahead under the canonical response to
# settle it. Under others a prior that is five behind may come close, and the way there matters.
_CLEAR = 6.0
# Nats per target, times channels per frame, by which a normal map has to be ahead of a sparse one:
# a sparse map's posterior knows nothing of what channels share, so its bound is too low, the more
# so the fewer frames tell channels apart.
_SLACK = 4.5
# Iterations of a normal map that a sparse one starts from.
_START_ITER = 2
# Updates of a first map, whose noise variances settle fast.
_SPREAD_ITER = 4


@dataclass
class Fit:
    """A posterior, and what it was fitted to."""

    state: State
    prior: ResponsePrior  # of the responses
    # (n_used, n_basis, n_channels, n_bands), features in the basis of ``prior``.
    design: torch.Tensor
    rho: float | Noise  # autocorrelation that was whitened
    map_prior: str  # of the map
    evidence: dict = field(default_factory=dict)  # final bound of each map prior tried
    moments: Moments | None = None  # as long as it is being fitted


class Fitter:
    """Fit a core to one set of segments in stages; options are those of `fit_core`."""

    def __init__(
        self,
        segments: Segments,
        dt,
        *,
        hrf_bounds,
        random_state,
        whiten_again,
        max_iter,
        tol,
        fit_weights,
    ):
        self.whitenings = _MOST_WHITENINGS if whiten_again else 0
        self.segments, self.dt, self.bounds, self.seed = segments, dt, hrf_bounds, random_state
        self.y = gather_used(segments.targets, segments.masks)
        self.runs = Runs(runs_of_frames(segments.masks), segments.seconds)
        self.whitened = segments.n_lags > 1
        self.options = {"max_iter": max_iter, "tol": tol, "fit_weights": fit_weights}
        self.ranked = self.options | {"tol": max(tol, _RANKED_TOL)}
        self.rough = {"max_iter": min(max_iter, _ROUGH_ITER), "tol": max(tol, _ROUGH_TOL)}

    def from_scratch(self, names, hrf, simple=None) -> Fit:
        """Fit with a canonical response, then with the best of ``names``, priors of the map.

        ``hrf`` is the family of responses. ``simple`` is the state of a fit with a normal map and a
        canonical response, and the noise that it leaves: it is not fitted again.
        """
        # Of single bands a normal map never settles: it has only to start a sparse one.
        single = names == ("sparse",) and self.segments.powers[0].shape[1] == 1
        prior = self._prior("canonical")
        design = self._features(prior)
        state, rho = self._simple(design, prior, single) if simple is None else simple
        lost, slack = {}, _SLACK * state.spatial_map.numel() / len(self.y)
        if self.whitened and hrf != "canonical":
            if len(names) > 1:
                moments = self._moments(design, rho, prior)
                rivals = {name: with_prior(state, name) for name in names}
                for rival in rivals.values():
                    run(rival, moments, prior, **self.rough)
                names, lost = _contenders(rivals, slack)
                # Not where the rivals ended: from there both end worse.
                state = rivals[names[0]] if lost else state
            prior = self._prior(hrf)
            design = self._features(prior)
            response, second = start_moments(prior, self.y.shape[1])
            state = replace(state.copy(), response=response, response_second=second)
        moments = self._moments(design, rho, prior)
        if lost:
            fits = {names[0]: state}
            run(state, moments, prior, **self.ranked)
        else:
            fits = self._race(state, names, moments, prior, single)
        evidence = {name: fit.elbo[-1] for name, fit in fits.items()}
        fair = _fair(evidence, slack)
        best = max(fair, key=fair.get)
        evidence |= {name: evidence[best] - nats for name, nats in lost.items()}
        fit = Fit(fits[best], prior, design, rho, best, evidence, moments)
        del moments
        return self._to_the_end(fit)

    def _simple(self, design, prior, single):
        """State with a normal map and a canonical response, and the noise that it leaves.

        Of a canonical response the Gram matrix is small.
        """
        rho = self._start() if self.whitened else 0.0
        moments = self._moments(design, rho, prior)
        state = start_state(moments, prior)
        run(state, moments, prior, **self.rough | ({"max_iter": _START_ITER} if single else {}))
        return state, self._rho(state, design) if self.whitened else rho

    def _race(self, state, names, moments, prior, single):
        """States with each prior of the map, by name, from one with a normal map."""
        state = with_prior(state, "gaussian")
        # Of single bands a normal map costs as much as all else: the canonical response's will do.
        if not single:
            run(state, moments, prior, **self.rough)
        fits = {name: with_prior(state, name) for name in names}
        for name in reversed(names):
            # Normal maps cost the most: only a close race is worth running them to the end.
            best = max((fit.elbo[-1] for fit in fits.values() if fit.elbo), default=None)
            close = best is None or state.elbo[-1] + 0.1 * abs(best) >= best
            if name == "gaussian" and not close:
                fits[name] = state
            else:
                run(fits[name], moments, prior, **self.ranked)
        return fits

    def on_from(self, state: State, rho, hrf, family: str) -> Fit:
        """Go on from a fit of other frames of the same targets, or of some of the targets.

        Where that had responses of another family, its map and weights alone are a start.
        """
        prior = self._prior(hrf)
        design = self._features(prior)
        moments = self._moments(design, rho, prior)
        name = state.prior.name
        if len(state.spatial_map) == self.y.shape[1]:
            state = state.copy()
            if family != prior.kind:
                n_targets = self.y.shape[1]
                state.response, state.response_second = start_moments(prior, n_targets)
        else:
            state = spread_state(state, moments, prior)
        run(state, moments, prior, **self.ranked)
        fit = Fit(state, prior, design, rho, name, {name: state.elbo[-1]}, moments)
        del moments
        return self._to_the_end(fit)

    def _to_the_end(self, fit: Fit) -> Fit:
        """Whiten again where the residual has another memory, and iterate to the end."""
        for _ in range(self.whitenings if self.whitened else 0):
            new = self._rho(fit.state, fit.design)
            if change_of_noise(new, fit.rho) < _RHO_CHANGE:
                break
            fit.rho = new
            fit.moments = None
            fit.moments = self._moments(fit.design, new, fit.prior)
            run(fit.state, fit.moments, fit.prior, **self.ranked)
        if self.ranked != self.options:
            run(fit.state, fit.moments, fit.prior, **self.options)
        fit.moments = None
        # Under another whitening evidence is another: priors stay as far apart as they were.
        more = fit.state.elbo[-1] - fit.evidence[fit.map_prior]
        fit.evidence = {name: value + more for name, value in fit.evidence.items()}
        if self.whitened and not self.whitenings:
            # For a fit that goes on from here.
            new = self._rho(fit.state, fit.design)
            fit.rho = new if change_of_noise(new, fit.rho) >= _RHO_CHANGE else fit.rho
        return fit

    def _start(self) -> float | Noise:
        """First guess of the noise's autocorrelation, or of `Noise` of every rate of frames."""
        if self.runs.seconds is None:
            return _START_RHO ** (self.segments.step * self.dt / 2.0)
        t_r = np.unique(self.runs.seconds)
        return Noise(t_r, _START_RHO ** (t_r / 2.0), np.ones(len(t_r)))

    def _prior(self, kind):
        n_lags = self.segments.n_lags
        return response_prior(kind, n_lags, self.dt, bounds=self.bounds, seed=self.seed)

    def _features(self, prior):
        basis = prior.basis
        return once(
            self.segments, ("features", self.dt, basis.numpy().tobytes()),
            lambda: used_features(self.segments, basis, self.dt),
        )  # fmt: skip

    def _moments(self, design, rho, prior):
        key = ("products", self.dt, prior.basis.numpy().tobytes(), *key_of(rho))
        return moments_of(design, self.y, self.runs, rho, partial(once, self.segments, key))

    def _rho(self, state, design):
        fitted = predictions(design, state.weights, state.spatial_map, state.response)
        if state.map_variance is None or state.prior.dense:
            # What channels share a dense map doubts far less than their variances add up to.
            return self.runs.noise(self.y - fitted)
        # Weights have as much of the noise's slow part as they are not sure of.
        weights, response = state.weights.to(design.dtype), state.response.mean(0)
        nodes = torch.einsum("tbnk,nk,b->tn", design, weights, response.to(design.dtype)).double()
        return self.runs.noise(self.y - fitted, (state.map_variance, nodes))


def _fair(evidence, slack):
    """Evidence of priors of the map, by name, less what a normal one has to be ahead by."""
    return {name: value - slack * (name == "gaussian") for name, value in evidence.items()}


def _contenders(rivals, slack):
    """Names of priors of the map that still count, and by how many nats the others lost.

    Of states by name: only the best counts where it is ahead of all others, and of none; a normal
    map is ahead from ``slack`` nats on.
    """
    elbo = {name: rival.elbo[-1] for name, rival in rivals.items()}
    fair = _fair(elbo, slack)
    best = max(fair, key=fair.get)
    others = [name for name in elbo if name != best]
    lost = {name: elbo[best] - elbo[name] for name in others}
    # Where the canonical response sees nothing, a prior that says so is ahead.
    ahead = min(elbo[best], *lost.values(), *(fair[best] - fair[name] for name in others))
    clear = ahead > _CLEAR * len(rivals[best].noise)
    return ((best,), lost) if clear else (tuple(rivals), {})


def start_state(moments, prior):
    """Start from the leading band pattern of ridge coefficients; the first sweep refits the map."""
    n_targets = len(moments.energy)
    response, response_second = start_moments(prior, n_targets)
    coefficients, noise = ridge_start(moments, response[0])
    n_channels, n_bands = coefficients.shape[1:]
    scatter = torch.einsum("mnk,mnj->nkj", coefficients, coefficients)
    pattern = torch.linalg.eigh(scatter.sum(0))[1][:, -1]
    if pattern.sum() < 0:
        pattern = -pattern
    weights = pattern.repeat(n_channels, 1) * math.sqrt(n_bands)
    projected = torch.einsum("mnk,nk->mn", coefficients, weights) / n_bands
    variance = float(projected.pow(2).mean())
    rows, columns, _ = pairs_of(n_channels)
    second = weights[rows, :, None] * weights[columns, None, :]
    return State(
        spatial_map=projected, weights=weights, weights_second=second, response=response,
        response_second=response_second, noise=noise.clamp_min(MIN_NOISE), deviation=0.1,
        shared=1.0, prior=MAP_PRIORS["gaussian"](n_targets, n_channels, max(variance, 1e-6)),
    )  # fmt: skip


def ridge_start(moments, response):
    """Ridge coefficients (n_targets, n_channels, n_bands) and noise variances (n_targets,).

    All targets are given one ``response`` (n_basis,), and the penalty that maximises their joint
    evidence.
    """
    moments = collapse(moments, response)
    n_channels, n_bands = moments.cross.shape[:2]
    gram = upper_triangle(moments.gram[:, 0], n_channels)
    size = len(gram)
    values, vectors = torch.linalg.eigh(gram, UPLO="U")
    values = values.clamp_min(0)
    rotated = vectors.T @ moments.cross.reshape(size, -1)
    energy = moments.energy.clamp_min(1e-12)
    problem = values.numpy(), rotated.T.numpy(), energy.numpy()
    scale = float(values.mean().clamp_min(1e-12))
    penalties = [scale * 10.0**exponent for exponent in range(-3, 7)]
    penalty, _ = shared_penalty([problem], moments.n_frames, penalties)
    explained = (rotated**2 / (values + penalty)[:, None]).sum(0)
    noise = (energy - explained).clamp_min(1e-6 * energy) / moments.n_frames
    coefficients = vectors @ (rotated / (values + penalty)[:, None])
    return coefficients.T.reshape(-1, n_channels, n_bands), noise


def spread_state(state, moments, prior):
    """Start a fit of all targets from ``state``, one of some of them, which is left as it is.

    It keeps the weights and the map's prior; the map is a normal one under the mean response of
    those targets, and responses are still open.
    """
    n_targets, n_channels = len(moments.energy), len(state.weights)
    ones = torch.ones(n_targets, 1, dtype=torch.float64)
    energy = float(state.spatial_map.pow(2).mean())
    new = replace(
        state,
        spatial_map=torch.zeros(n_targets, n_channels, dtype=torch.float64),
        response=ones,
        response_second=ones[:, :, None],
        noise=(moments.energy / moments.n_frames).clamp_min(MIN_NOISE),
        prior=MAP_PRIORS["gaussian"](n_targets, n_channels, max(energy, 1e-8)),
        elbo=[],
    )
    alike = collapse(moments, state.response.mean(0))
    for _ in range(_SPREAD_ITER):
        iterate(new, alike, None, learn_response=False, fit_weights=False)
    new = with_prior(new, state.prior.name)
    new.prior.follow(state.prior)
    new.response, new.response_second = start_moments(prior, n_targets)
    return new


def with_prior(state, name):
    """Copy a state and give its map another prior, matched to the current map."""
    energy = float(state.spatial_map.pow(2).mean())
    # A sparse map keeps the energy on fewer weights.
    variance = {"gaussian": energy, "ard": 0.1 * energy, "sparse": 3 * energy}[name]
    prior = MAP_PRIORS[name](*state.spatial_map.shape, max(variance, 1e-8))
    return replace(state.copy(), prior=prior)
