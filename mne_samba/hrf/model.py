"""Responses to be fitted: double gamma, smooth finite impulse response, canonical.

A model owns the basis in which data are summarised and turns summaries into unit-peak responses.
Where drives and targets differ in number, the map given the responses and the responses given the
map take turns.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from .._regression import evidence_ridge, whiten
from .fit import fit_double_gamma, fit_responses, profile, refine, response_family, to_params
from .gamma import canonical_params, double_gamma, preset_of
from .shapes import hrf_dictionary, hrf_summary, summarise_response
from .stats import design, response_stats, without_drift

_N_ALTERNATIONS = 6


@dataclass
class FittedResponses:
    """Responses of all regions, of unit peak, and their amplitudes."""

    params: np.ndarray  # (n_regions, 6); those of the closest double gamma where it is free
    kernels: np.ndarray  # (n_regions, n_lags), at the lag bins
    coefs: np.ndarray  # (n_regions, n_basis), in the model's basis
    scale: np.ndarray  # (n_regions,), amplitudes
    summary: dict  # peak_time, fwhm and undershoot_ratio, (n_regions,) each
    detail: object = None  # ResponseFit, of the double gamma


class DoubleGammaModel:
    """Six parameters per region, a prior shared by the regions."""

    def __init__(self, lags, bounds, shrinkage, toward):
        self.lags, self.shrinkage, self.toward = lags, shrinkage, toward
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


class _Refitted:
    """Responses that are fitted anew where data are resampled: no prior is shared by regions."""

    def replicate(self, fitted, stats, weights, rng):
        """Fit a resampled data set."""
        return self.fit(stats, weights)


class FIRModel(_Refitted):
    """Smooth free responses: a Gaussian process over lags, strength by marginal likelihood."""

    def __init__(self, lags, bounds):
        self.lags, self.bounds = lags, bounds
        width = 0.5 if preset_of(bounds) == "fast" else 1.5
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


class CanonicalModel(_Refitted):
    """One fixed response, fitted amplitudes."""

    def __init__(self, lags, bounds):
        self.params = canonical_params(bounds)
        self.basis = double_gamma(lags, self.params)[None]

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
    if mapped:
        return _fit_mapped(model, recordings, step, dt, n_block_rows)

    def designs(regions):
        return [design(r, regions, model.basis, step, dt) for r in recordings]

    stats = response_stats(recordings, designs, len(model.basis), n_block_rows)
    return model.fit(stats), stats, None


def _fit_mapped(model, recordings, step, dt, n_block_rows):
    """Drives and targets of different number: a target's drive is a weighted sum of all drives."""
    every = np.arange(len(recordings[0].bins[0]))
    convolved = [design(r, every, model.basis, step, dt) for r in recordings]
    n_targets = recordings[0].y.shape[1]
    ar, coefs = np.zeros(n_targets), model.start(n_targets)
    for _ in range(_N_ALTERNATIONS):
        weights = _fit_map(recordings, convolved, coefs, ar)
        length = np.linalg.norm(weights, axis=1, keepdims=True)
        weights = weights / np.where(length > 0, length, 1.0)
        designs = partial(_weighted, convolved, weights)
        stats = response_stats(recordings, designs, len(model.basis), n_block_rows)
        fitted = model.fit(stats)
        ar, coefs = stats.ar, fitted.coefs
    return fitted, stats, weights


def _weighted(convolved, weights, regions):
    """Weighted sums of convolved drives, (n_regions, n_basis, n_rows) of every recording."""
    return [np.tensordot(weights[regions], Z, axes=1) for Z in convolved]


def _fit_map(recordings, convolved, coefs, ar):
    """Weights of the drives given the responses' coefficients, (n_targets, n_drives)."""
    clean = [without_drift(r) for r in recordings]
    weights = []
    for target, coef in enumerate(coefs):
        gram, cross, power, n_rows = 0.0, 0.0, 0.0, 0
        for r, Z, y in zip(recordings, convolved, clean, strict=True):
            x = np.tensordot(coef, Z, axes=(0, 1))
            x = whiten(x.T, ~r.follows, ar[target]).T
            t = whiten(y[target], ~r.follows, ar[target])
            gram, cross = gram + x @ x.T, cross + x @ t
            power, n_rows = power + t @ t, n_rows + len(t)
        w, _ = evidence_ridge(gram[None], cross[None], np.array([power]), np.array([float(n_rows)]))
        weights.append(w[0])
    return np.stack(weights)
