"""Responses to be fitted: double gamma, smooth finite impulse response, canonical.

A model owns the basis in which data are summarised and turns summaries into unit-peak responses.
Where drives and targets differ in number, the map given the responses and the responses given the
map take turns.
"""

from dataclasses import dataclass

import numpy as np

from .._regression import evidence_ridge, whiten
from .fit import (
    fit_double_gamma,
    fit_responses,
    profile,
    refine,
    response_family,
    to_params,
)
from .gamma import canonical_params, double_gamma
from .shapes import hrf_dictionary, hrf_summary, summarise_response
from .stats import design, response_stats, without_drift

_N_ALTERNATIONS = 6


@dataclass
class FittedResponses:
    """Responses of all regions.

    Attributes
    ----------
    params : array of shape (n_regions, 6)
        Unit-peak parameters; those of the closest double gamma where the response is free.
    kernels : array of shape (n_regions, n_lags)
        Unit-peak responses at the lag bins.
    coefs : array of shape (n_regions, n_basis)
        Their coefficients in the model's basis.
    scale : array of shape (n_regions,)
        Amplitudes.
    summary : dict of arrays of shape (n_regions,)
        ``peak_time``, ``fwhm``, ``undershoot_ratio``.
    detail : ResponseFit or None
        Of the double gamma: coordinates, prior, noise.
    """

    params: np.ndarray
    kernels: np.ndarray
    coefs: np.ndarray
    scale: np.ndarray
    summary: dict
    detail: object = None


class DoubleGammaModel:
    """Six parameters per region, a prior shared by the regions."""

    def __init__(self, lags, bounds, shrinkage, toward):
        self.lags, self.bounds = lags, bounds
        self.shrinkage, self.toward = shrinkage, toward
        self.family = response_family(lags, bounds)
        self.basis = self.family.basis

    def start(self, n_regions):
        """Coefficients to begin an alternation with."""
        coefs = self.family.coefs(self.family.canonical[None])
        return np.repeat(coefs, n_regions, axis=0)

    def fit(self, stats):
        """Fit all regions to block summaries."""
        detail = fit_responses(self.family, stats, shrinkage=self.shrinkage, toward=self.toward)
        return self._finish(detail.coordinates, stats.total(), detail)

    def _finish(self, coordinates, totals, detail):
        params = to_params(coordinates)
        kernels = double_gamma(self.lags, params)
        coefs = kernels @ self.basis.T
        scale, _ = profile(coefs, totals[0], totals[1])
        return FittedResponses(params, kernels, coefs, scale, hrf_summary(params), detail)

    def replicate(self, fitted, stats, weights, rng):
        """Fit a resampled data set under a prior mean that is drawn along.

        Resampling alone would forget how uncertain the prior leaves a region: in the linear case,
        optimising under perturbed data *and* prior mean draws from the posterior exactly.
        """
        detail, totals = fitted.detail, stats.total(weights)
        root = np.linalg.cholesky(detail.prior_covariance)
        mean = detail.prior_mean + rng.standard_normal(detail.coordinates.shape) @ root.T
        x, _, _ = refine(
            self.family, totals, detail.coordinates, mean, detail.prior_covariance, detail.noise, 8
        )
        return self._finish(x, totals, None)


class FIRModel:
    """Smooth free responses: a Gaussian process over lags, strength by marginal likelihood."""

    def __init__(self, lags, bounds):
        self.lags, self.bounds = lags, bounds
        fast = isinstance(bounds, str) and bounds == "fast"
        width = 0.5 if fast else 1.5
        shapes = double_gamma(lags, hrf_dictionary(500, bounds))
        # Free responses live where responses live: their size over lags is that of the dictionary.
        envelope = np.sqrt((shapes**2).mean(0)) + 0.02
        distance = (lags[:, None] - lags) / width
        kernel = envelope[:, None] * envelope * np.exp(-0.5 * distance**2)
        values, vectors = np.linalg.eigh(kernel)
        values, vectors = values[::-1], vectors[:, ::-1]
        keep = np.cumsum(values) <= 0.999 * values.sum()
        keep[0] = True
        self.basis = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
        self.family = None

    def start(self, n_regions):
        """Coefficients to begin an alternation with."""
        shape = double_gamma(self.lags, canonical_params(self.bounds))
        coefs = np.linalg.lstsq(self.basis.T, shape, rcond=None)[0]
        return np.repeat(coefs[None], n_regions, axis=0)

    def fit(self, stats, weights=None):
        """Fit all regions to block summaries."""
        coefs, _ = evidence_ridge(*stats.total(weights))
        kernels = coefs @ self.basis
        # Positive-going: the largest deflection is the response, its sign belongs to the amplitude.
        scale = kernels[np.arange(len(kernels)), np.abs(kernels).argmax(1)]
        scale = np.where(scale == 0, 1.0, scale)
        kernels, coefs = kernels / scale[:, None], coefs / scale[:, None]
        params = np.full((len(kernels), 6), np.nan)
        if weights is None:
            params, _ = fit_double_gamma(self.lags, kernels, self.bounds)
        summary = summarise_response(self.lags, kernels)
        return FittedResponses(params, kernels, coefs, scale, summary)

    def replicate(self, fitted, stats, weights, rng):
        """Fit a resampled data set."""
        return self.fit(stats, weights)


class CanonicalModel:
    """One fixed response, fitted amplitudes."""

    def __init__(self, lags, bounds):
        self.lags, self.params = lags, canonical_params(bounds)
        self.basis = double_gamma(lags, self.params)[None]
        self.family = None

    def start(self, n_regions):
        """Coefficients to begin an alternation with."""
        return np.ones((n_regions, 1))

    def fit(self, stats, weights=None):
        """Fit the amplitudes to block summaries."""
        gram, cross, _, _ = stats.total(weights)
        coefs = self.start(len(gram))
        scale, _ = profile(coefs, gram, cross)
        params = np.repeat(self.params[None], len(gram), axis=0)
        kernels = np.repeat(self.basis, len(gram), axis=0)
        return FittedResponses(params, kernels, coefs, scale, hrf_summary(params))

    def replicate(self, fitted, stats, weights, rng):
        """Fit a resampled data set."""
        return self.fit(stats, weights)


def make_model(hrf, lags, bounds="human", shrinkage="auto", toward="group"):
    """Build the model of a kind of response at lags (n_lags,).

    A model has a ``basis`` (n_basis, n_lags), ``start(n_regions)``, ``fit(stats)`` and
    ``replicate(fitted, stats, weights, rng)``. ``shrinkage`` and ``toward`` are those of
    `fit_responses`.
    """
    if hrf == "double_gamma":
        return DoubleGammaModel(lags, bounds, shrinkage, toward)
    return FIRModel(lags, bounds) if hrf == "fir" else CanonicalModel(lags, bounds)


def fit_model(model, recordings, step, dt, *, mapped=False):
    """Fit responses and, for drives and targets of different number, the map between them.

    Frames follow every ``step`` bins of ``dt`` seconds. Returns the fitted responses, the products
    that they come from, and the map (n_targets, n_drives) with rows of unit length: amplitudes are
    in ``fitted.scale``. It is None where drive and target go in pairs (``mapped`` is false).
    """
    n_rows = sum(len(r.y) for r in recordings)
    # Enough blocks to resample, each long enough for whitened blocks to be independent.
    n_block_rows = int(np.clip(n_rows / 40, 8, 30))
    if not mapped:

        def designs(regions):
            return [design(r, regions, model.basis, step, dt) for r in recordings]

        stats = response_stats(recordings, designs, len(model.basis), n_block_rows)
        return model.fit(stats), stats, None
    drives = MappedDrives(recordings, model.basis, step, dt)
    coefs = model.start(recordings[0].y.shape[1])
    for _ in range(_N_ALTERNATIONS):
        weights = drives.fit_map(coefs)
        length = np.linalg.norm(weights, axis=1, keepdims=True)
        drives.weights = weights / np.where(length > 0, length, 1.0)
        stats = drives.stats(n_block_rows)
        fitted = model.fit(stats)
        coefs = fitted.coefs
    return fitted, stats, drives.weights


class MappedDrives:
    """Drives and targets of different number: a target's drive is a weighted sum of all drives."""

    def __init__(self, recordings, basis, step, dt):
        self.recordings, self.basis = recordings, basis
        drives = np.arange(len(recordings[0].bins[0]))
        self.convolved = [design(r, drives, basis, step, dt) for r in recordings]
        self.clean = [without_drift(r) for r in recordings]
        self.ar = np.zeros(recordings[0].y.shape[1])
        self.weights = None

    def fit_map(self, coefs):
        """Weights of the drives given the responses' coefficients, (n_targets, n_drives)."""
        weights = []
        for target, coef in enumerate(coefs):
            gram, cross, power, n_rows = 0.0, 0.0, 0.0, 0
            for r, Z, y in zip(self.recordings, self.convolved, self.clean, strict=True):
                x = np.tensordot(coef, Z, axes=(0, 1))
                x = whiten(x.T, ~r.follows, self.ar[target]).T
                t = whiten(y[target], ~r.follows, self.ar[target])
                gram, cross = gram + x @ x.T, cross + x @ t
                power, n_rows = power + t @ t, n_rows + len(t)
            w, _ = evidence_ridge(
                gram[None], cross[None], np.array([power]), np.array([float(n_rows)])
            )
            weights.append(w[0])
        self.weights = np.stack(weights)
        return self.weights

    def stats(self, n_block_rows):
        """Products per target and block, for the drives that the present map makes."""
        stats = response_stats(self.recordings, self._designs, len(self.basis), n_block_rows)
        self.ar = stats.ar
        return stats

    def _designs(self, regions):
        return [np.tensordot(self.weights[regions], Z, axes=1) for Z in self.convolved]
