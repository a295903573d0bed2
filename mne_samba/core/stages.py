"""The order in which a linear core is fitted: from simple to full, or on from another fit."""

import math
from dataclasses import dataclass, field, replace

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
    predictions,
    runs_of_frames,
    upper_triangle,
    used_features,
)
from .response import ResponsePrior, response_prior, start_moments

# First guess of the noise's autocorrelation at two seconds, as fast as which it fades: frames of a
# fast scan remember more. The change that asks for another whitening.
_START_RHO = 0.4
_RHO_CHANGE = 0.03
_MOST_WHITENINGS = 2
# Stages that only prepare others end early.
_ROUGH_TOL, _ROUGH_ITER = 0.1, 15
# Priors of the map are compared, and the noise's memory is found, before the last iterations.
_RANKED_TOL = 0.02
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

    def from_scratch(self, names, hrf) -> Fit:
        """Fit with a canonical response, then with a normal map, then with the best of ``names``.

        These are priors of the map; ``hrf`` is the family of responses.
        """
        # Of a canonical response the Gram matrix is small; it gives a start and the noise's memory.
        prior = self._prior("canonical")
        design = self._features(prior)
        rho = self._start() if self.whitened else 0.0
        moments = self._moments(design, rho)
        state = start_state(moments, prior)
        # Of single bands a normal map never settles: it has only to start a sparse one.
        starts = names == ("sparse",) and self.segments.powers[0].shape[1] == 1
        run(state, moments, prior, **self.rough | ({"max_iter": _START_ITER} if starts else {}))
        if self.whitened:
            rho = self._rho(state, design)
        if self.whitened and hrf != "canonical":
            prior = self._prior(hrf)
            design = self._features(prior)
            state.response, state.response_second = start_moments(prior, self.y.shape[1])
        moments = self._moments(design, rho)
        state = with_prior(state, "gaussian")
        # Of single bands a normal map costs as much as all else: the canonical response's will do.
        if not starts:
            run(state, moments, prior, **self.rough)
        fits = {name: with_prior(state, name) for name in names}
        for name in reversed(names):
            # Normal maps cost the most: only a close race is worth running them to the end.
            behind = max((fit.elbo[-1] for fit in fits.values() if fit.elbo), default=None)
            close = behind is None or state.elbo[-1] + 0.1 * abs(behind) >= behind
            if name == "gaussian" and not close:
                fits[name] = state
            else:
                run(fits[name], moments, prior, **self.ranked)
        evidence = {name: fits[name].elbo[-1] for name in names}
        best = max(names, key=evidence.get)
        fit = Fit(fits[best], prior, design, rho, best, evidence, moments)
        del moments
        return self._to_the_end(fit)

    def on_from(self, state: State, rho, hrf, family: str) -> Fit:
        """Go on from a fit of other frames of the same targets, or of some of the targets.

        Where that had responses of another family, its map and weights alone are a start.
        """
        prior = self._prior(hrf)
        design = self._features(prior)
        moments = self._moments(design, rho)
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
            fit.moments = self._moments(fit.design, new)
            run(fit.state, fit.moments, fit.prior, **self.ranked)
        if self.ranked != self.options:
            run(fit.state, fit.moments, fit.prior, **self.options)
        fit.moments = None
        fit.evidence[fit.map_prior] = fit.state.elbo[-1]
        if self.whitened and not self.whitenings:
            fit.rho = self._rho(fit.state, fit.design)
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
        return used_features(self.segments, prior.basis, self.dt)

    def _moments(self, design, rho):
        return moments_of(design, self.y, self.runs, rho)

    def _rho(self, state, design):
        fitted = predictions(design, state.weights, state.spatial_map, state.response)
        if state.map_variance is None or state.prior.dense:
            # What channels share a dense map doubts far less than their variances add up to.
            return self.runs.noise(self.y - fitted)
        # Weights have as much of the noise's slow part as they are not sure of.
        weights, response = state.weights.to(design.dtype), state.response.mean(0)
        nodes = torch.einsum("tbnk,nk,b->tn", design, weights, response.to(design.dtype)).double()
        return self.runs.noise(self.y - fitted, (state.map_variance, nodes))


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
    second = torch.einsum("nk,mj->nmkj", weights, weights)
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
    n_channels, n_bands = moments.cross.shape[1:3]
    gram = upper_triangle(moments.gram[:, 0], n_channels)
    size = len(gram)
    values, vectors = torch.linalg.eigh(gram, UPLO="U")
    values = values.clamp_min(0)
    rotated = vectors.T @ moments.cross[0].reshape(size, -1)
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
