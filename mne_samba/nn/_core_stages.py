"""The order in which a linear core is fitted: from simple to full, or on from another fit."""

from dataclasses import dataclass, field

import torch

from ._core_features import (
    Segments,
    gather_used,
    lag_one_correlation,
    moments_of,
    runs_of_frames,
    used_features,
)
from ._core_fit import State, run
from ._core_hrf import ResponsePrior, response_prior, start_moments
from ._core_start import spread_state, start_state, with_prior

# First guess of the noise's autocorrelation, and the change that asks for another whitening.
_START_RHO = 0.4
_RHO_CHANGE = 0.03
_MOST_WHITENINGS = 2
# Stages that only prepare others end early.
_ROUGH_TOL, _ROUGH_ITER = 0.1, 15


@dataclass
class Fit:
    """A posterior, and what it was fitted to.

    Attributes
    ----------
    state : State
        The posterior.
    prior : ResponsePrior
        Prior of the responses.
    design : Tensor of shape (n_used, n_basis, n_nodes, n_bands)
        Features in the basis of ``prior``.
    rho : float
        Autocorrelation that was whitened.
    map_prior : str
        Prior of the map.
    evidence : dict
        Final bound of each map prior that was tried.
    """

    state: State
    prior: ResponsePrior
    design: torch.Tensor
    rho: float
    map_prior: str
    evidence: dict = field(default_factory=dict)


class Fitter:
    """Fit a core to one set of segments in stages.

    Parameters
    ----------
    segments : Segments
        Checked data.
    dt : float
        Width of a bin in seconds.
    bounds : str or pair of arrays
        Bounds of the double gamma.
    callback : callable, optional
        Called as ``callback(stage, iteration, elbo)``.
    whiten_again : bool
        Fit again where the residual has another memory than what was whitened.
    max_iter, tol, shared
        See :func:`mne_samba.nn._core_fit.run`.
    """

    def __init__(
        self, segments: Segments, dt, bounds, callback=None, *, whiten_again, max_iter, tol, shared
    ):
        self.whitenings = _MOST_WHITENINGS if whiten_again else 0
        self.segments, self.dt, self.bounds, self.callback = segments, dt, bounds, callback
        self.y = gather_used(segments.targets, segments.masks)
        self.first = runs_of_frames(segments.masks)
        self.whitened = segments.n_lags > 1
        self.options = {"max_iter": max_iter, "tol": tol, "shared": shared}
        self.rough = self.options | {
            "tol": max(tol, _ROUGH_TOL),
            "max_iter": min(max_iter, _ROUGH_ITER),
        }

    def _run(self, state, moments, prior, stage, options):
        report = self.callback and (lambda i, elbo: self.callback(stage, i, elbo))
        return run(state, moments, prior, callback=report, **options)

    def _features(self, prior):
        return used_features(self.segments, prior.basis, self.dt)

    def _moments(self, design, rho):
        return moments_of(design, self.y, self.first, rho)

    def _rho(self, state, design):
        residual = self.y - fitted(state, design)
        return lag_one_correlation(residual, self.first)

    def from_scratch(self, names, hrf, **shapes) -> Fit:
        """Fit with a canonical response, then with a normal map, then with the best of ``names``.

        Parameters
        ----------
        names : tuple of str
            Priors of the map to try.
        hrf : str
            Family of responses.
        **shapes
            Passed to `response_prior`.
        """
        # Of a canonical response the Gram matrix is small; it gives a start and the noise's memory.
        prior = response_prior("canonical", self.segments.n_lags, self.dt, bounds=self.bounds)
        design = self._features(prior)
        rho = _START_RHO if self.whitened else 0.0
        moments = self._moments(design, rho)
        state = start_state(moments, prior)
        self._run(state, moments, prior, "canonical", self.rough)
        if self.whitened:
            rho = self._rho(state, design)
        if self.whitened and hrf != "canonical":
            prior = self._prior(hrf, **shapes)
            design = self._features(prior)
            state.response, state.response_second = start_moments(prior, self.y.shape[1])
        moments = self._moments(design, rho)
        state = with_prior(state, "gaussian")
        self._run(state, moments, prior, "gaussian", self.rough)
        fits = {name: with_prior(state, name) for name in names}
        for name in reversed(names):
            # Normal maps cost the most: only a close race is worth running them to the end.
            behind = max((fit.elbo[-1] for fit in fits.values() if fit.elbo), default=None)
            rough = state.elbo[-1]
            if name == "gaussian" and behind is not None and rough + 0.1 * abs(behind) < behind:
                fits[name] = state
            else:
                self._run(fits[name], moments, prior, name, self.options)
        best = max(names, key=lambda name: fits[name].elbo[-1])
        evidence = {name: fits[name].elbo[-1] for name in names}
        del moments
        return self._whiten_again(Fit(fits[best], prior, design, rho, best, evidence))

    def on_from(self, state: State, rho, hrf, **shapes) -> Fit:
        """Go on from a fit of other frames of the same targets, or of some of the targets."""
        canonical = hrf == "canonical" or not self.whitened
        prior = self._prior("canonical" if canonical else hrf, **({} if canonical else shapes))
        design = self._features(prior)
        moments = self._moments(design, rho)
        name = state.prior.name
        if len(state.spatial_map) == self.y.shape[1]:
            state = state.copy()
        else:
            state = spread_state(state, moments, prior)
        self._run(state, moments, prior, name, self.options)
        del moments
        return self._whiten_again(Fit(state, prior, design, rho, name, {name: state.elbo[-1]}))

    def _prior(self, kind, **shapes):
        return response_prior(kind, self.segments.n_lags, self.dt, bounds=self.bounds, **shapes)

    def _whiten_again(self, fit: Fit) -> Fit:
        """Fit again where the residual has another memory than what was whitened."""
        if not self.whitened:
            return fit
        if not self.whitenings:
            fit.rho = self._rho(fit.state, fit.design)
        for _ in range(self.whitenings):
            new = self._rho(fit.state, fit.design)
            if abs(new - fit.rho) < _RHO_CHANGE:
                break
            fit.rho = new
            moments = self._moments(fit.design, new)
            self._run(fit.state, moments, fit.prior, fit.map_prior, self.options)
            fit.evidence[fit.map_prior] = fit.state.elbo[-1]
            del moments
        return fit


def fitted(state, design):
    """Predictions of the used frames from basis features, without intercept.

    Parameters
    ----------
    state : State
        Posterior.
    design : Tensor of shape (n_used, n_basis, n_nodes, n_bands)
        Features of used frames.

    Returns
    -------
    fitted : Tensor of shape (n_used, n_targets)
        In double precision.
    """
    nodes = torch.einsum("tbnk,nk->tbn", design, state.weights.to(design.dtype))
    out = 0.0
    for b in range(design.shape[1]):
        out = out + nodes[:, b].double() @ (state.spatial_map * state.response[:, b, None]).T
    return out
