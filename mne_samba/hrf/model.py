"""Responses to be fitted: double gamma, smooth finite impulse response, canonical.

A model owns the basis in which data are summarised and turns summaries into unit-peak responses.
Where drives and targets differ in number, the map given the responses and the responses given the
map take turns.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from .._regression import evidence_ridge, whiten
from .fit import fit_responses, profile, refine, response_family, to_params
from .gamma import canonical_params, double_gamma
from .shapes import hrf_summary, summarise_response
from .stats import ar_coefficients, convolved, design, response_stats, without_drift

_N_ALTERNATIONS = 6
# Seconds over which free responses are smooth, and that they last: the evidence takes one of each.
_WIDTHS, _LENGTHS = (0.6, 1.2, 2.4), (3.0, 6.0, 12.0)


@dataclass
class FittedResponses:
    """Responses of all regions, of unit peak, and their amplitudes."""

    params: np.ndarray  # (n_regions, 6); NaN where responses are free
    kernels: np.ndarray  # (n_regions, n_lags), at the lag bins
    coefs: np.ndarray  # (n_regions, n_basis), in the model's basis
    scale: np.ndarray  # (n_regions,), amplitudes
    summary: dict  # peak_time, fwhm and undershoot_ratio, (n_regions,) each
    detail: object = None  # ResponseFit, of the double gamma


class DoubleGammaModel:
    """Six parameters per region, a prior shared by the regions."""

    def __init__(self, lags, bounds, shrinkage, toward):
        self.lags, self.bounds, self.shrinkage, self.toward = lags, bounds, shrinkage, toward
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
        """Fit a resampled data set under a prior mean that is drawn along."""
        # Resampling alone would forget how uncertain the prior leaves a region: in the linear case,
        # optimising under perturbed data *and* prior mean draws from the posterior exactly.
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
    """Smooth free responses: a Gaussian process over lags, its scales by marginal likelihood.

    Its covariance of lags s and t is ``f(s) f(t) exp(-(s - t)^2 / 2 w^2)`` with
    ``f(t) = exp(-t^2 / 2 l^2)``: ``w`` is the smoothness, ``l`` how long responses last. Both are
    common to all regions, and no bounds or shapes of responses are assumed.
    """

    def __init__(self, lags, bounds):
        self.lags, self.bounds = lags, bounds
        distance = lags[:, None] - lags
        kernels = []
        for length in _LENGTHS:
            fade = np.exp(-0.5 * (lags / length) ** 2) + 1e-3
            for width in _WIDTHS:
                kernel = fade[:, None] * fade * np.exp(-0.5 * (distance / width) ** 2)
                kernels.append(kernel / np.trace(kernel))
        values, vectors = np.linalg.eigh(sum(kernels))
        values, vectors = values[::-1], vectors[:, ::-1]
        keep = np.cumsum(values) <= 0.999 * values.sum()
        keep[0] = True
        self.basis = np.ascontiguousarray(vectors[:, keep].T)
        # Square roots of the covariances of coefficients.
        self.roots = []
        for kernel in kernels:
            values, vectors = np.linalg.eigh(self.basis @ kernel @ self.basis.T)
            self.roots.append(vectors * np.sqrt(np.maximum(values, 1e-9 * values[-1])))

    def start(self, n_regions):
        """Coefficients to begin an alternation with."""
        shape = double_gamma(self.lags, canonical_params(self.bounds))
        return np.repeat((self.basis @ shape)[None], n_regions, axis=0)

    def posterior(self, gram, cross, power, n_rows):
        """Coefficients (n, n_drives * n_basis) under the scales with the most evidence."""
        # ``gram`` (n, p, p) and ``cross`` (n, p) of drives through the basis, with p = n_drives *
        # n_basis; ``power`` and ``n_rows`` (n,).
        n_drives = cross.shape[1] // len(self.basis)
        best = -np.inf
        for root in self.roots:
            if n_drives > 1:
                root = np.kron(np.eye(n_drives), root)
            turned = root.T @ gram @ root, cross @ root
            weights, _, evidence = evidence_ridge(*turned, power, n_rows)
            if evidence.sum() > best:
                best, coefs = evidence.sum(), weights @ root.T
        return coefs

    def fit(self, stats, weights=None):
        """Fit all regions to block summaries."""
        coefs = self.posterior(*stats.total(weights))
        kernels = coefs @ self.basis
        # Positive-going: the largest deflection is the response, its sign belongs to the amplitude.
        scale = kernels[np.arange(len(kernels)), np.abs(kernels).argmax(1)]
        scale = np.where(scale == 0, 1.0, scale)
        kernels, coefs = kernels / scale[:, None], coefs / scale[:, None]
        params = np.full((len(kernels), 6), np.nan)
        summary = summarise_response(self.lags, kernels)
        return FittedResponses(params, kernels, coefs, scale, summary)


class CanonicalModel(_Refitted):
    """One fixed response, fitted amplitudes."""

    def __init__(self, lags, bounds):
        self.bounds, self.params = bounds, canonical_params(bounds)
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


def fit_model(model, recordings, step, dt, *, mapped=False, n_alternations=_N_ALTERNATIONS):
    """Fit responses and, for drives and targets of different number, the map between them.

    Frames follow every ``step`` bins of ``dt`` seconds; map and responses take turns
    ``n_alternations`` times. Returns the fitted responses, the products
    that they come from, and the map (n_targets, n_drives) with rows of unit length: amplitudes are
    in ``fitted.scale``. It is None where drive and target go in pairs (``mapped`` is false).
    """
    n_rows = sum(len(r.y) for r in recordings)
    # Enough blocks to resample, each long enough for whitened blocks to be independent.
    n_block_rows = int(np.clip(n_rows / 40, 8, 30))
    if mapped:
        return _fit_mapped(model, recordings, step, dt, n_block_rows, n_alternations)

    def designs(regions):
        return [design(r, regions, model.basis, step, dt) for r in recordings]

    stats = response_stats(recordings, designs, len(model.basis), n_block_rows)
    return model.fit(stats), stats, None


def _fit_mapped(model, recordings, step, dt, n_block_rows, n_alternations):
    """Drives and targets of different number: a target's drive is a weighted sum of all drives."""
    every = np.arange(len(recordings[0].bins[0]))
    convolved = [design(r, every, model.basis, step, dt) for r in recordings]
    n_targets = recordings[0].y.shape[1]
    ar, coefs = np.zeros(n_targets), model.start(n_targets)
    for _ in range(n_alternations):
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
        w, *_ = evidence_ridge(
            gram[None], cross[None], np.array([power]), np.array([float(n_rows)])
        )
        weights.append(w[0])
    return np.stack(weights)


def fit_own_responses(lags, bounds, recordings, predicted, step, dt):
    """Fit free responses (n_targets, n_drives, n_lags) to what one for all drives leaves over."""
    # They are shrunk towards none, and so towards the common response, as far as the evidence asks.
    # ``predicted`` are (n_targets, n_rows) of every recording.
    model, every = FIRModel(lags, bounds), np.arange(len(recordings[0].bins[0]))
    left = [without_drift(r) - p for r, p in zip(recordings, predicted, strict=True)]
    rho = float(ar_coefficients(left, [r.follows for r in recordings]).mean())
    gram, cross, power, n_rows = 0.0, 0.0, 0.0, 0.0
    for r, y in zip(recordings, left, strict=True):
        x = design(r, every, model.basis, step, dt).reshape(len(every) * len(model.basis), -1)
        x, y = whiten(x.T, ~r.follows, rho).T, whiten(y.T, ~r.follows, rho)
        gram, cross, power = gram + x @ x.T, cross + (x @ y).T, power + (y**2).sum(axis=0)
        n_rows += len(y)
    coefs = model.posterior(gram[None], cross, power, np.full(len(power), n_rows))
    return coefs.reshape(len(coefs), len(every), -1) @ model.basis


def predict_rows(recording, weights, kernels, own, step, dt):
    """Predict the rows of a recording without drift, (n_targets, n_rows)."""
    # From ``weights`` (n_targets, n_drives), responses ``kernels`` (n_targets, n_lags), and ``own``
    # responses of single drives (n_targets, n_drives, n_lags) or None.
    out = np.zeros((len(kernels), len(recording.y)))
    for bins, rows in zip(recording.bins, recording.rows, strict=True):
        used = rows >= 0
        out[:, rows[used]] = convolved(bins, weights, kernels, own, step, dt)[:, used]
    return out - (out @ recording.drift) @ recording.drift.T
