"""The structured linear core: a map, signed band weights and responses by variational Bayes.

The model of target m is linear in each of three factors::

    y_m(t) = sum_nk S_mn w_nk (h_m * P_nk)(t) + intercept_m + e_m(t),   e_m an AR(1) process

with band power P, a map S from channels to targets, signed weights w of bands at channels and a
response h_m. A mean-field posterior ``q(S) q(w) q(h)`` has as its mean prediction the product of
three posterior means: averaging over the posterior keeps the structure, so that a network with the
same three parts can reproduce the fitted core exactly. All steps are closed form on one Gram matrix
of whitened features; nothing is trained by gradients.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ..arrays import array
from ..hrf import canonical_params, convolve_frames, double_gamma
from .deviation import adapt, add_extra
from .moments import Noise, as_segments, as_tensors, at_lags, gather_used
from .response import ROUGH_STEPS, project_double_gamma
from .stages import Fitter

# Channels whose power is held in double precision at once.
_CHANNELS = 16


@dataclass(frozen=True, eq=False)
class Core:
    """A fitted linear core.

    Attributes
    ----------
    weights : ndarray of shape (n_channels, n_bands)
        Signed band weights; the largest magnitude is 1 and the map sums to a positive number.
    spatial_map : ndarray of shape (n_targets, n_channels)
        Map from channels to targets, amplitude included.
    hrf_params : ndarray of shape (n_targets, 6)
        Unit-peak double gammas in the order of :data:`mne_samba.hrf.HRF_PARAMS`. With
        ``hrf="fir"`` the double gammas nearest to ``kernel``.
    kernel : ndarray of shape (n_targets, n_lags)
        Responses at lags ``(arange(n_lags) + 0.5) * dt``; unit peak. With one lag, 1.
    intercept : ndarray of shape (n_targets,)
        Added to every prediction.
    ar : float
        Autocorrelation of the noise at one frame; its mean where times between frames differ.
    noise_variance : ndarray of shape (n_targets,)
        Variance of the whitened noise.
    elbo : ndarray of shape (n_iterations,)
        Evidence lower bound relative to the model without coupling, in nats, per iteration.
    evidence : dict
        Final bound of each map prior that was tried; one that fell clearly behind under the
        canonical response is as far behind as it was there.
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
    map_variance : ndarray of shape (n_targets, n_channels)
        Posterior variances of ``spatial_map``.
    extra : ndarray of shape (n_targets, n_channels, n_bands), or None
        Coefficients of single bands for single targets, added to the drive before the response:
        ``drive_m = sum_nk (S_mn w_nk + extra_mnk) P_nk``. None where the evidence is against them.
    extra_variance : ndarray of shape (n_targets, n_channels, n_bands), or None
        Posterior variances of ``extra`` where targets have bands of their own.
    noise : Noise or None
        Autocorrelation and relative scale of the noise by seconds between frames; None where these
        are the same in all segments.
    state : State or None
        The posterior, from which `fit_core` goes on; not saved.
    """

    _own_dims = ("n_iterations",)

    weights: np.ndarray = array("n_channels", "n_bands")
    spatial_map: np.ndarray = array("n_targets", "n_channels")
    hrf_params: np.ndarray = array("n_targets", 6)
    kernel: np.ndarray = array("n_targets", "n_lags")
    intercept: np.ndarray = array("n_targets")
    ar: float
    noise_variance: np.ndarray = array("n_targets")
    elbo: np.ndarray = array("n_iterations")
    evidence: dict[str, float]
    target_evidence: np.ndarray = array("n_targets")
    map_prior: str
    hrf: str
    dt: float
    step: int
    map_variance: np.ndarray | None = array("n_targets", "n_channels", optional=True)
    extra: np.ndarray | None = array("n_targets", "n_channels", "n_bands", optional=True)
    extra_variance: np.ndarray | None = array("n_targets", "n_channels", "n_bands", optional=True)
    noise: Noise | None = None
    state: object = field(default=None, repr=False, metadata={"saved": False})

    @property
    def noise_of_frames(self):
        """What frames are whitened by: one autocorrelation, or `Noise`."""
        return self.ar if self.noise is None else self.noise

    def kernel_at(self, n_lags, dt):
        """Responses (n_targets, n_lags) at the centres of other bins, of ``dt`` s."""
        if (n_lags, dt) == (self.kernel.shape[1], self.dt):
            return self.kernel
        if self.hrf == "fir":
            return at_lags(self.kernel, n_lags, dt, self.dt)
        return double_gamma((np.arange(n_lags) + 0.5) * dt, self.hrf_params)

    def predict(self, powers, grids=None):
        """Predict the targets of segments.

        Parameters
        ----------
        powers : list of array of shape (n_channels, n_bands, n_lags + (n_frames - 1) * step)
            Band power, transformed as in the fit.
        grids : list of objects with attributes ``n_lags``, ``step`` and ``dt``, optional
            Bins and frames of each segment where they are not those of the core.

        Returns
        -------
        predictions : list of ndarray of shape (n_frames, n_targets)
            Predicted targets.
        """
        if grids is not None:
            moved = [
                replace(self, kernel=self.kernel_at(on.n_lags, on.dt), step=on.step, dt=on.dt)
                for on in grids
            ]
            return [core.predict([p])[0] for core, p in zip(moved, powers, strict=True)]
        powers, n_lags = as_tensors(powers), self.kernel.shape[1]
        if any(p.shape[:-1] != self.weights.shape or p.shape[-1] < n_lags for p in powers):
            raise ValueError(
                f"Each segment must have shape {self.weights.shape} + (at least {n_lags} bins,), "
                f"got {[tuple(p.shape) for p in powers]}."
            )
        weights, spatial = torch.from_numpy(self.weights), torch.from_numpy(self.spatial_map)
        kernel, intercept = torch.from_numpy(self.kernel), torch.from_numpy(self.intercept)
        out = []
        for power in powers:
            drive = torch.zeros(len(spatial), power.shape[2], dtype=torch.float64)
            # Some at a time: band power may be in single precision, and hours long.
            for first in range(0, len(power), _CHANNELS):
                some = slice(first, first + _CHANNELS)
                part = power[some].double()
                drive.addmm_(spatial[:, some], torch.bmm(weights[some, None], part)[:, 0])
                if self.extra is not None:
                    own = torch.from_numpy(self.extra[:, some])
                    drive.addmm_(own.flatten(1), part.flatten(0, 1))
            bold = convolve_frames(drive, kernel, self.step, self.dt)
            out.append((bold.T + intercept).numpy())
        return out


def fit_core(
    powers, targets, masks=None, *, dt, step, map_prior="auto", hrf="double_gamma",
    hrf_bounds="human", max_iter=100, tol=1e-3, extra=True, init=None, start=None, simple=None,
    whiten_again=True, fit_weights=True, random_state=0, n_lags=None, grids=None,
):  # fmt: skip
    """Fit the linear core.

    Parameters
    ----------
    powers : list of array of shape (n_channels, n_bands, n_lags + (n_frames - 1) * step)
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
        or normal, where that has clearly more evidence: 4.5 nats per target, times channels per
        frame.
    hrf : {"double_gamma", "fir", "canonical"}
        Family of responses: a posterior over random double gammas, smooth free responses, or one
        that is fixed.
    hrf_bounds : str or pair of arrays of shape (6,)
        Bounds of the double gamma.
    max_iter : int
        Most iterations of each stage.
    tol : float
        A stage ends when an iteration gains less than this many nats per target.
    extra : bool
        Whether to add coefficients of single bands for single targets where the evidence favours
        them: they matter where targets do not share band weights.
    init : Core, optional
        Core of other people with the same channels, bands, targets and lags. The new data are also
        explained by its map times a gain plus a learnt deviation, with its weights and responses;
        this is returned if it has more evidence than a fit from scratch.
    start : Core, optional
        Core that this function fitted to a part of the same recordings, or to some of the targets:
        the fit goes on from its posterior and keeps its map prior, instead of beginning with
        simpler models.
    simple : Core, optional
        Core that this function fitted to the same recordings and targets, with a normal map and the
        canonical response: a fit from scratch, which begins with one, begins with this.
    whiten_again : bool
        Fit again where the residual's autocorrelation is not the one that was whitened. Without it
        ``ar`` is what the residual has, for a fit that starts here, and double gammas are as near
        to the responses as comparisons of fits need.
    fit_weights : bool
        Whether a fit that goes on from ``start`` also fits the band weights, or keeps them.
    random_state : int
        Seed of the dictionary.
    n_lags : int, optional
        Lags of the core's responses; only with ``grids``.
    grids : list of objects with attributes ``n_lags``, ``step`` and ``dt``, optional
        Bins and frames of each segment where they are not ``step`` and ``dt``, in which the core is
        kept. Responses are continuous in time: each segment has them at its own lags, and every
        time between frames has noise of its own.

    Returns
    -------
    core : Core
        Posterior means.

    Raises
    ------
    ValueError
        If segments imply different numbers of lags.

    Notes
    -----
    Evidence of the added coefficients is the exact marginal likelihood of a random-effects model of
    the core's residual; they are left out below three nats per target. With one lag there is no
    response and frames are independent samples, so nothing is whitened.
    """
    segments = as_segments(powers, targets, masks, step, n_lags, grids)
    fitter = Fitter(
        segments, dt, hrf_bounds=hrf_bounds, random_state=random_state, whiten_again=whiten_again,
        max_iter=max_iter, tol=tol, fit_weights=fit_weights,
    )  # fmt: skip
    if start is None:
        names = ("gaussian", "sparse") if map_prior == "auto" else (map_prior,)
        begun = None if simple is None else (simple.state, simple.noise_of_frames)
        fit = fitter.from_scratch(names, hrf, begun)
    else:
        fit = fitter.on_from(start.state, start.noise_of_frames, hrf, start.hrf)
    steps = {} if whiten_again else {"n_steps": ROUGH_STEPS}
    core = _finish(fit, segments, dt, hrf_bounds, **steps)
    if init is not None:
        core = adapt(init, core, fit.prior, fit.design, fitter.y, fitter.runs)
    if extra:
        core = add_extra(core, fit.prior, fit.design, fitter.y, fitter.runs)
    return _centred(core, segments)


def fit_own_bands(powers, targets, masks=None, *, init=None, start=None, **options):
    """Fit a core whose targets share no band weights.

    The model is ``y_m = h_m * sum_nk C_mnk P_nk``: nothing couples channels and bands, and a sparse
    prior picks the few that drive a target. It needs more data than the shared structure where that
    holds, and finds what that cannot express.

    Parameters
    ----------
    powers, targets, masks
        As in `fit_core`.
    init, start : Core, optional
        As in `fit_core`, fitted by this function.
    **options
        Further options of `fit_core`.

    Returns
    -------
    core : Core
        All coefficients are in ``extra``, their posterior variances in ``extra_variance``;
        ``spatial_map`` is zero.
    """
    # Every band of a channel is handed over as a channel of its own.
    n_channels, n_bands = powers[0].shape[:2]
    flat = [np.asarray(power).reshape(n_channels * n_bands, 1, -1) for power in powers]
    ones = np.ones((n_channels * n_bands, 1))
    if init is not None:
        variance = init.map_variance if init.extra_variance is None else init.extra_variance
        init = replace(
            init,
            weights=ones,
            spatial_map=init.extra.reshape(len(init.extra), -1),
            map_variance=variance.reshape(len(variance), -1),
            extra=None,
            extra_variance=None,
        )
    # A normal map of more coefficients than frames never settles.
    options |= {"map_prior": "sparse", "extra": False, "max_iter": 40}
    core = fit_core(flat, targets, masks, init=init, start=start, **options)
    n_targets = len(core.spatial_map)
    nothing, full = np.zeros((n_targets, n_channels)), (n_targets, n_channels, n_bands)
    return replace(
        core,
        weights=np.ones((n_channels, n_bands)),
        spatial_map=nothing,
        map_variance=nothing,
        extra=(core.spatial_map * core.weights[:, 0]).reshape(full),
        extra_variance=(core.map_variance * core.weights[:, 0] ** 2).reshape(full),
    )


def _centred(core, segments):
    """Core with the intercept for which residuals have zero mean."""
    predicted = [torch.from_numpy(p) for p in core.predict(segments.powers, segments.grids)]
    residual = [y - pred for y, pred in zip(segments.targets, predicted, strict=True)]
    residual = gather_used(residual, segments.masks)
    return replace(core, intercept=core.intercept + residual.mean(0).numpy())


def _finish(fit, segments, dt, bounds, **steps):
    """Turn a posterior into a core: responses become double gammas, gauges are fixed."""
    state, prior = fit.state, fit.prior
    spatial, weights = state.spatial_map.clone(), state.weights.clone()
    variance = state.map_variance.clone()
    kernels = (state.response @ prior.basis).numpy()
    n_targets, n_lags = kernels.shape
    lags = (np.arange(n_lags) + 0.5) * dt
    if prior.kind in ("identity", "canonical"):
        params = np.repeat(prior.params, n_targets, axis=0)
        kernel = double_gamma(lags, params) if n_lags > 1 else np.ones((n_targets, 1))
    else:
        dictionary = prior.params if prior.params is not None else canonical_params(bounds)[None]
        params, amplitude = project_double_gamma(
            kernels, dt, bounds=bounds, dictionary=dictionary, shapes=prior.shapes, **steps
        )
        kernel = double_gamma(lags, params)
        if prior.kind == "fir":
            amplitude = kernels[np.arange(n_targets), np.abs(kernels).argmax(1)]
            kernel = kernels / amplitude[:, None]
        spatial = spatial * torch.from_numpy(amplitude)[:, None]
        variance = variance * torch.from_numpy(amplitude)[:, None] ** 2
    scale = float(weights.abs().max())
    noise = fit.rho if isinstance(fit.rho, Noise) else None
    if scale > 0:
        sign = -1.0 if float(spatial.sum()) < 0 else 1.0
        weights, spatial = weights / (scale * sign), spatial * (scale * sign)
        variance = variance * scale**2
    return Core(
        weights=weights.numpy(), spatial_map=spatial.numpy(), hrf_params=params, kernel=kernel,
        intercept=np.zeros(n_targets),
        ar=float(noise.ar.mean()) if noise else fit.rho, noise_variance=state.noise.numpy().copy(),
        elbo=np.array(state.elbo), evidence=fit.evidence, target_evidence=state.gain.numpy().copy(),
        map_prior=fit.map_prior, hrf=prior.kind, dt=float(dt), step=segments.step,
        map_variance=variance.clamp_min(0.0).numpy(), noise=noise, state=state,
    )  # fmt: skip
