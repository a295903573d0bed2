"""The structured linear core: a map, signed band weights and responses by variational Bayes.

The model of target m is linear in each of three factors::

    y_m(t) = sum_nk S_mn w_nk (h_m * P_nk)(t) + intercept_m + e_m(t),   e_m an AR(1) process

with band power P, a map S from nodes to targets, signed weights w of bands at nodes and a response
h_m. A mean-field posterior ``q(S) q(w) q(h)`` has as its mean prediction the product of three
posterior means: averaging over the posterior keeps the structure, so that a network with the same
three parts can reproduce the fitted core exactly. All steps are closed form on one Gram matrix of
whitened features; nothing is trained by gradients.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from ._core_deviation import adapt, add_extra
from ._core_features import (
    check_powers,
    check_segments,
    gather_used,
    lag_one_correlation,
    lagged_features,
    moments_of,
    runs_of_frames,
)
from ._core_fit import run, start_state, with_prior
from ._core_hrf import project_double_gamma, response_prior, start_moments
from ._core_map import MAP_PRIORS
from .hrf import canonical_params, convolve_frames, double_gamma

_HRF_KINDS = ("double_gamma", "fir", "canonical")
_WEIGHT_KINDS = ("shared", "free")
# First guess of the noise's autocorrelation, and the change that asks for another whitening.
_START_RHO = 0.4
_RHO_CHANGE = 0.03
# Stages that only prepare others end early.
_ROUGH_TOL, _ROUGH_ITER = 0.1, 15


@dataclass
class Core:
    """A fitted linear core.

    Attributes
    ----------
    weights : ndarray of shape (n_nodes, n_bands)
        Signed band weights; the largest magnitude is 1 and the map sums to a positive number.
    spatial_map : ndarray of shape (n_targets, n_nodes)
        Map from nodes to targets, amplitude included.
    hrf_params : ndarray of shape (n_targets, 6)
        Unit-peak double gammas in the order of :data:`mne_samba.nn.hrf.HRF_PARAMS`. With
        ``hrf="fir"`` the double gammas nearest to ``kernel``.
    kernel : ndarray of shape (n_targets, n_lags)
        Responses at lags ``(arange(n_lags) + 0.5) * dt``; unit peak. With one lag, 1.
    intercept : ndarray of shape (n_targets,)
        Added to every prediction.
    ar : float
        Autocorrelation of the noise at one frame.
    noise_variance : ndarray of shape (n_targets,)
        Variance of the whitened noise.
    elbo : ndarray
        Evidence lower bound relative to the model without coupling, in nats, per iteration.
    evidence : dict
        Final bound of each map prior that was tried.
    target_evidence : ndarray of shape (n_targets,)
        Evidence for each target's coupling over none, in nats (the weights' share left out).
    map_prior : str
        Prior of the map that was used.
    hrf : str
        Family of responses.
    dt : float
        Width of a bin in seconds.
    step : int
        Bins per frame.
    map_variance : ndarray of shape (n_targets, n_nodes)
        Posterior variances of ``spatial_map``.
    extra : ndarray of shape (n_targets, n_nodes, n_bands), or None
        Coefficients of single bands for single targets, added to the drive before the response:
        ``drive_m = sum_nk (S_mn w_nk + extra_mnk) P_nk``. None where the evidence is against them.
    """

    weights: np.ndarray
    spatial_map: np.ndarray
    hrf_params: np.ndarray
    kernel: np.ndarray
    intercept: np.ndarray
    ar: float
    noise_variance: np.ndarray
    elbo: np.ndarray
    evidence: dict
    target_evidence: np.ndarray
    map_prior: str
    hrf: str
    dt: float
    step: int
    map_variance: np.ndarray | None = None
    extra: np.ndarray | None = None
    state: object = field(default=None, repr=False)

    def predict(self, powers):
        """Predict the targets of segments.

        Parameters
        ----------
        powers : list of array of shape (n_nodes, n_bands, n_lags + (n_frames - 1) * step)
            Band power, transformed as in the fit.

        Returns
        -------
        predictions : list of ndarray of shape (n_frames, n_targets)
            Predicted targets.
        """
        powers = check_powers(powers, self.step)
        n_lags = self.kernel.shape[1]
        if powers[0].shape[:2] != self.weights.shape or any(p.shape[2] < n_lags for p in powers):
            raise ValueError(
                f"Each segment must have shape {self.weights.shape} + (at least {n_lags} bins,), "
                f"got {[tuple(p.shape) for p in powers]}."
            )
        weights, spatial = torch.from_numpy(self.weights), torch.from_numpy(self.spatial_map)
        kernel, intercept = torch.from_numpy(self.kernel), torch.from_numpy(self.intercept)
        out = []
        for power in powers:
            drive = spatial @ torch.einsum("nk,nkt->nt", weights, power)
            if self.extra is not None:
                flat = torch.from_numpy(self.extra).flatten(1)
                drive = drive + flat @ power.reshape(flat.shape[1], -1)
            bold = convolve_frames(drive, kernel, self.step, self.dt)
            out.append((bold.T + intercept).numpy())
        return out


def fit_core(
    powers,
    targets,
    masks=None,
    *,
    dt,
    step,
    map_prior="auto",
    hrf="double_gamma",
    hrf_bounds="human",
    n_basis=6,
    n_dictionary=6000,
    max_iter=100,
    tol=1e-3,
    weights="shared",
    extra="auto",
    init=None,
    random_state=0,
    groups=None,
    callback=None,
):
    """Fit the linear core.

    Parameters
    ----------
    powers : list of array of shape (n_nodes, n_bands, n_lags + (n_frames - 1) * step)
        Standardised band power of contiguous segments. Frame k follows bin
        ``k * step + n_lags - 1`` and depends on the ``n_lags`` bins up to it. The transform
        (linear, log) is the caller's.
    targets : list of array of shape (n_frames, n_targets)
        Standardised haemodynamics.
    masks : list of bool array of shape (n_frames,), optional
        False where a frame is left out; whitening restarts after it.
    dt : float
        Width of a bin in seconds.
    step : int
        Bins per frame.
    map_prior : {"auto", "sparse", "ard", "gaussian"}
        Prior of the map: spike and slab, heavy-tailed, or normal. ``"auto"`` takes spike and slab
        or normal, whichever has more evidence.
    hrf : {"double_gamma", "fir", "canonical"}
        Family of responses: a posterior over random double gammas, smooth free responses, or one
        that is fixed.
    hrf_bounds : str or pair of arrays of shape (6,)
        Bounds of the double gamma.
    n_basis : int
        Principal components of the responses in which all work is done.
    n_dictionary : int
        Random double gammas.
    max_iter : int
        Most iterations of each stage.
    tol : float
        A stage ends when an iteration gains less than this many nats per target.
    weights : {"shared", "free"}
        Whether bands have a mean that all nodes share, from which nodes deviate by a learnt
        variance.
    extra : {"auto", False}
        Whether to add coefficients of single bands for single targets where the evidence favours
        them: they matter where targets do not share band weights.
    init : Core, optional
        Core of other people with the same nodes, bands, targets and lags. The new data are also
        explained by its map times a gain plus a learnt deviation, with its weights and responses;
        this is returned if it has more evidence than a fit from scratch.
    random_state : int
        Seed of the dictionary.
    groups : list, optional
        Person of each segment; people share the coupling. Only checked for length.
    callback : callable, optional
        Called as ``callback(stage, iteration, elbo)``.

    Returns
    -------
    core : Core
        Posterior means.

    Raises
    ------
    ValueError
        If an option is unknown or shapes disagree.

    Notes
    -----
    Evidence of the added coefficients is the exact marginal likelihood of a random-effects model of
    the core's residual; they are left out below three nats per target. With one lag there is no
    response and frames are independent samples, so nothing is whitened.
    """
    if map_prior != "auto" and map_prior not in MAP_PRIORS:
        raise ValueError(
            f"map_prior must be 'auto' or one of {sorted(MAP_PRIORS)}, got {map_prior!r}."
        )
    if hrf not in _HRF_KINDS:
        raise ValueError(f"hrf must be one of {_HRF_KINDS}, got {hrf!r}.")
    if weights not in _WEIGHT_KINDS:
        raise ValueError(f"weights must be one of {_WEIGHT_KINDS}, got {weights!r}.")
    if not dt > 0:
        raise ValueError(f"dt must be a positive number of seconds, got {dt!r}.")
    if extra not in ("auto", False):
        raise ValueError(f"extra must be 'auto' or False, got {extra!r}.")
    segments = check_segments(powers, targets, masks, step)
    if groups is not None and len(groups) != len(segments.powers):
        raise ValueError(
            f"groups must have one entry per segment ({len(segments.powers)}), got {len(groups)}."
        )
    if init is not None:
        _check_init(init, segments, dt)
    y = gather_used(segments.targets, segments.masks)
    first = runs_of_frames(segments.masks)
    whitened = segments.n_lags > 1
    rho = _START_RHO if whitened else 0.0
    options = {"max_iter": max_iter, "tol": tol, "shared": weights == "shared"}

    def stage(name):
        return None if callback is None else lambda i, elbo: callback(name, i, elbo)

    def design_of(prior):
        features = [lagged_features(p, prior.basis, step, dt) for p in segments.powers]
        return gather_used(features, segments.masks)

    # A canonical response first: its Gram matrix is small; it gives a start and the noise's memory.
    prior = response_prior("canonical", segments.n_lags, dt, bounds=hrf_bounds)
    design = design_of(prior)
    moments = moments_of(design, y, first, rho)
    state = start_state(moments, prior)
    rough = {"tol": max(tol, _ROUGH_TOL), "max_iter": min(max_iter, _ROUGH_ITER)}
    run(state, moments, prior, callback=stage("canonical"), **(options | rough))
    if whitened:
        rho = lag_one_correlation(y - _fitted(state, design), first)
    if whitened and hrf != "canonical":
        prior = response_prior(
            hrf,
            segments.n_lags,
            dt,
            bounds=hrf_bounds,
            n_basis=n_basis,
            n_dictionary=n_dictionary,
            seed=random_state,
        )
        design = design_of(prior)
        state.response, state.response_second = start_moments(prior, y.shape[1])
    names = ("gaussian", "sparse") if map_prior == "auto" else (map_prior,)
    moments = moments_of(design, y, first, rho)
    state = with_prior(state, "gaussian")
    run(state, moments, prior, callback=stage("gaussian"), **(options | rough))
    fits = {name: with_prior(state, name) for name in names}
    for name in reversed(names):
        # Normal maps cost the most: only a close race is worth running them to the end.
        behind = max(fit.elbo[-1] for fit in fits.values() if fit.elbo) if name != names[-1] else 0
        if name == "gaussian" and len(names) > 1 and state.elbo[-1] + 0.1 * abs(behind) < behind:
            fits[name] = state
        else:
            run(fits[name], moments, prior, callback=stage(name), **options)
    best = max(names, key=lambda name: fits[name].elbo[-1])
    for _ in range(2):
        new = lag_one_correlation(y - _fitted(fits[best], design), first) if whitened else rho
        if abs(new - rho) < _RHO_CHANGE:
            break
        rho = new
        moments = moments_of(design, y, first, rho)
        run(fits[best], moments, prior, callback=stage(best), **options)
    state = fits[best]
    evidence = {name: fits[name].elbo[-1] for name in names}
    core = _finish(state, prior, segments, dt, hrf_bounds, rho, best, evidence)
    if init is not None:
        core = adapt(init, core, prior, design, y, first)
    if extra:
        add_extra(core, prior, design, y, first)
    _centre(core, segments)
    return core


def _check_init(init, segments, dt):
    """Refuse a core that does not fit the data."""
    n_nodes, n_bands = segments.powers[0].shape[:2]
    expected = (n_nodes, n_bands, segments.targets[0].shape[1], segments.n_lags, dt)
    given = (*init.weights.shape, *init.kernel.shape, init.dt)
    if given != expected:
        raise ValueError(
            "init must have the data's (n_nodes, n_bands, n_targets, n_lags, dt) = "
            f"{expected}, got {given}."
        )


def _centre(core, segments):
    """Choose the intercept for which residuals have zero mean."""
    predicted = [torch.from_numpy(p) for p in core.predict(segments.powers)]
    residual = gather_used(segments.targets, segments.masks) - gather_used(
        predicted, segments.masks
    )
    core.intercept = core.intercept + residual.mean(0).numpy()


def _fitted(state, design):
    """Predictions of the used frames from basis features, without intercept."""
    drive = torch.einsum("tbnk,nk->tbn", design, state.weights) @ state.spatial_map.T
    return torch.einsum("tbm,mb->tm", drive, state.response)


def _finish(state, prior, segments, dt, bounds, rho, map_prior, evidence):
    """Turn a posterior into a core: responses to double gammas, gauges, intercept."""
    spatial, weights = state.spatial_map.clone(), state.weights.clone()
    variance = state.map_variance.clone()
    kernels = (state.response @ prior.basis).numpy()
    n_targets, n_lags = kernels.shape
    if prior.kind in ("identity", "canonical"):
        params = np.repeat(prior.params, n_targets, axis=0)
        kernel = np.ones((n_targets, 1))
        if n_lags > 1:
            kernel = double_gamma((np.arange(n_lags) + 0.5) * dt, params)
    else:
        dictionary = prior.params if prior.params is not None else canonical_params(bounds)[None]
        params, amplitude = project_double_gamma(kernels, dt, bounds=bounds, dictionary=dictionary)
        kernel = double_gamma((np.arange(n_lags) + 0.5) * dt, params)
        if prior.kind == "fir":
            amplitude = kernels[np.arange(n_targets), np.abs(kernels).argmax(1)]
            kernel = kernels / amplitude[:, None]
        spatial = spatial * torch.from_numpy(amplitude)[:, None]
        variance = variance * torch.from_numpy(amplitude)[:, None] ** 2
    scale = float(weights.abs().max())
    if scale > 0:
        sign = -1.0 if float(spatial.sum()) < 0 else 1.0
        weights, spatial = weights / (scale * sign), spatial * (scale * sign)
        variance = variance * scale**2
    return Core(
        weights=weights.numpy(),
        spatial_map=spatial.numpy(),
        hrf_params=params,
        kernel=kernel,
        intercept=np.zeros(n_targets),
        ar=rho,
        noise_variance=state.noise.numpy().copy(),
        elbo=np.array(state.elbo),
        evidence=evidence,
        target_evidence=state.gain.numpy().copy(),
        map_prior=map_prior,
        hrf=prior.kind,
        dt=float(dt),
        step=segments.step,
        map_variance=variance.clamp_min(0.0).numpy(),
        state=state,
    )
