"""Fit double-gamma responses: a wide dictionary, a prior shared by the regions, a refinement.

Every region's response has five free coordinates (the logarithms of the delays and dispersions,
and the undershoot's scale relative to the response's); its amplitude is solved in closed form. A
Gaussian prior over the coordinates is learnt from all regions together (empirical Bayes, by
expectation maximisation with Laplace approximations): regions with little signal lean on the group.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import softmax

from .gamma import MAX_UNDERSHOOT, canonical_params, check_bounds, double_gamma, unit_peak
from .shapes import hrf_basis, hrf_dictionary

_N_DICTIONARY = 1500
_N_BASIS = 16  # leaves out less than 0.01 % of the variance of human responses
_PRIOR_WEIGHT = 3.0  # regions' worth of the dictionary's own spread in the group's covariance


def to_coordinates(params):
    """Map parameters (..., 6) to coordinates (log d_r, log d_u, log s_r, log s_u, c_u / c_r)."""
    params = np.asarray(params, dtype=float)
    ratio = params[..., 5:] / params[..., 4:5]
    return np.concatenate([np.log(params[..., :4]), ratio], axis=-1)


def to_params(coordinates):
    """Map coordinates (..., 5) to unit-peak parameters (..., 6)."""
    return unit_peak(_any_peak(coordinates))


def _any_peak(coordinates):
    """Parameters that are not at unit peak, where the amplitude is solved for anyway."""
    ratio = coordinates[..., 4:]
    return np.concatenate([np.exp(coordinates[..., :4]), np.ones_like(ratio), ratio], -1)


@dataclass
class ResponseFamily:
    """Double gammas between bounds, and the basis in which data see them."""

    lags: np.ndarray  # (n_lags,), centres of the lag bins
    basis: np.ndarray  # (n_basis, n_lags), orthonormal rows
    low: np.ndarray  # (5,), bounds of the coordinates
    high: np.ndarray  # (5,)
    atoms: np.ndarray  # (n_atoms, 5), coordinates of a wide dictionary
    mean: np.ndarray  # (5,), moments of the dictionary: the widest prior
    covariance: np.ndarray  # (5, 5)
    canonical: np.ndarray  # (5,), coordinates of the preset's reference response

    def coefs(self, coordinates):
        """Coefficients of responses in the basis: (..., 5) -> (..., n_basis)."""
        return double_gamma(self.lags, _any_peak(coordinates)) @ self.basis.T

    def jacobian(self, coordinates):
        """Coefficients and their derivatives: (n, n_basis), (n, 5, n_basis)."""
        (d_r, d_u), (s_r, s_u) = np.exp(coordinates[:, :4]).T.reshape(2, 2, -1, 1)
        ratio = coordinates[:, 4:]
        first, by_d_r, by_s_r = _bump_and_slopes(self.lags, d_r, s_r)
        second, by_d_u, by_s_u = _bump_and_slopes(self.lags, d_u, s_u)
        response = first - ratio * second
        slopes = np.stack([by_d_r, -ratio * by_d_u, by_s_r, -ratio * by_s_u, -second], axis=1)
        return response @ self.basis.T, slopes @ self.basis.T


def _bump_and_slopes(times, delay, dispersion):
    """Unit-peak gamma bumps and derivatives by log delay, log dispersion (n, 1): (n, n_times)."""
    positive = times > 0
    ratio = np.where(positive, times, 1.0) / (delay * dispersion)
    logarithm = np.log(ratio)
    bump = np.where(positive, np.exp(delay * (logarithm - ratio + 1.0)), 0.0)
    return bump, delay * logarithm * bump, delay * (ratio - 1.0) * bump


def response_family(lags, bounds="human"):
    """Prepare dictionary, basis and bounds of double gammas at lag bins (n_lags,)."""
    check_bounds(bounds)
    bounds = bounds if isinstance(bounds, str) else tuple(map(tuple, bounds))
    return _family(tuple(lags), bounds)


@lru_cache(maxsize=16)
def _family(lags, bounds):
    lags, (low, high) = np.array(lags, dtype=float), check_bounds(bounds)
    low = np.append(np.log(low[:4]), 0.0)
    high = np.append(np.log(high[:4]), MAX_UNDERSHOOT)
    atoms = to_coordinates(hrf_dictionary(_N_DICTIONARY, bounds))
    basis = hrf_basis(lags, min(_N_BASIS, len(lags)), bounds=bounds)
    canonical = np.clip(to_coordinates(canonical_params(bounds)), low, high)
    return ResponseFamily(lags, basis, low, high, atoms, atoms.mean(0), np.cov(atoms.T), canonical)


@dataclass
class ResponseFit:
    """Fitted responses."""

    coordinates: np.ndarray  # (n_regions, 5), of the most probable response
    covariance: np.ndarray  # (n_regions, 5, 5), Laplace approximation of the posterior
    prior_mean: np.ndarray  # (5,), prior that the regions share
    prior_covariance: np.ndarray  # (5, 5)
    noise: np.ndarray  # (n_regions,), variance of the innovations


def profile(coefs, gram, cross):
    """Best amplitude of given responses and the variance it explains, (...)."""
    fit = np.einsum("...i,...i->...", coefs, cross)
    size = np.einsum("...i,...ij,...j->...", coefs, gram, coefs)
    scale = fit / np.maximum(size, 1e-300)
    return scale, fit * scale


def _dictionary_fit(family, totals):
    """Log likelihood of every region's data under every atom: (n_regions, n_atoms)."""
    gram, cross, power, n_rows = totals
    coefs = family.coefs(family.atoms)
    size = np.einsum("ai,aj,rij->ra", coefs, coefs, gram, optimize=True)
    explained = (cross @ coefs.T) ** 2 / np.maximum(size, 1e-300)
    share = np.minimum(explained / np.maximum(power, 1e-300)[:, None], 1 - 1e-9)
    return -0.5 * n_rows[:, None] * np.log1p(-share)


def _mahalanobis(x, mean, precision):
    d = x - mean
    return np.einsum("...i,ij,...j->...", d, precision, d)


def refine(family, totals, start, mean, covariance, noise, n_steps=12):
    """Most probable coordinates by Levenberg-Marquardt, all regions at once.

    The amplitude is projected out (variable projection, Kaufman's approximation). From ``totals``
    of ``ResponseStats.total``, coordinates ``start`` (n_regions, 5), the prior's ``mean`` (5,) or
    (n_regions, 5) and ``covariance`` (5, 5), and the innovations' variance ``noise`` (n_regions,):
    the optimum (n_regions, 5), the inverse curvature there (n_regions, 5, 5), and the negative log
    posterior up to a constant (n_regions,).
    """
    gram, cross = totals[:2]
    precision = np.linalg.inv(covariance)
    x = np.clip(start, family.low, family.high)
    damping = np.full(len(x), 1e-3)

    def objective(x):
        _, explained = profile(family.coefs(x), gram, cross)
        return -0.5 * explained / noise + 0.5 * _mahalanobis(x, mean, precision)

    value = objective(x)
    for step in range(n_steps + 1):
        coefs, slopes = family.jacobian(x)
        scale, _ = profile(coefs, gram, cross)
        Gb = (gram @ coefs[..., None])[..., 0]
        size = np.maximum((coefs * Gb).sum(-1), 1e-300)
        # Changes of the response that the amplitude cannot undo.
        slopes = (
            slopes - ((slopes @ Gb[..., None])[..., 0] / size[:, None])[..., None] * coefs[:, None]
        )
        slopes = slopes * scale[:, None, None]
        residual = cross - scale[:, None] * Gb
        gradient = -(slopes @ residual[..., None])[..., 0] / noise[:, None]
        gradient = gradient + (x - mean) @ precision
        curvature = slopes @ gram @ slopes.transpose(0, 2, 1) / noise[:, None, None] + precision
        if step == n_steps:
            break
        diagonal = np.einsum("rii->ri", curvature)
        damped = curvature + (damping[:, None] * diagonal)[..., None] * np.eye(5)
        move = np.linalg.solve(damped, gradient[..., None])[..., 0]
        tried = np.clip(x - move, family.low, family.high)
        new = objective(tried)
        better = new < value
        gain = np.where(better, value - new, 0.0)
        x = np.where(better[:, None], tried, x)
        value = np.where(better, new, value)
        damping = np.clip(np.where(better, damping * 0.2, damping * 6), 1e-6, 1e6)
        if np.all(gain < 1e-6) and np.all(better | (damping > 1e3)):
            n_steps = step + 1
    # What the data and a wide prior say nothing about would have no inverse.
    floor = 1e-12 * np.einsum("rii->r", curvature)[:, None, None] * np.eye(5)
    return x, np.linalg.inv(curvature + floor), value


def _noise(family, totals, coordinates):
    """Variance of the innovations left by the responses."""
    gram, cross, power, n_rows = totals
    _, explained = profile(family.coefs(coordinates), gram, cross)
    free = np.maximum(n_rows - 6.0, 1.0)
    return np.maximum(power - explained, 1e-6 * np.maximum(power, 1e-300)) / free


def _posterior_start(family, totals, shared):
    """Group moments and a start per region from the dictionary alone."""
    log_likelihood = _dictionary_fit(family, totals)
    mean, covariance = family.mean, family.covariance
    if not shared:
        return family.atoms[log_likelihood.argmax(1)], mean, covariance
    for _ in range(6):
        log_prior = -0.5 * _mahalanobis(family.atoms, mean, np.linalg.inv(covariance))
        weights = softmax(log_likelihood + log_prior, axis=1)
        share = np.append(weights.sum(0), _PRIOR_WEIGHT)
        points = np.vstack([family.atoms, family.mean])
        mean = share @ points / share.sum()
        centred = family.atoms - mean
        covariance = (centred * weights.sum(0)[:, None]).T @ centred
        covariance = (covariance + _PRIOR_WEIGHT * family.covariance) / share.sum()
    return family.atoms[weights.argmax(1)], mean, covariance


def fit_responses(family, stats, *, shrinkage="auto", toward="group"):
    """Fit a response per region with a prior that the regions share.

    ``shrinkage`` is "auto" (the prior's covariance by marginal likelihood, its strength by blocked
    validation), a number (prior deviations are ``1 - shrinkage`` times the dictionary's), or None
    (every region on its own). The prior's centre is ``toward`` "group" or "canonical"; its moments
    are learnt by expectation maximisation.
    """
    totals = stats.total()
    shared = shrinkage is not None
    start, mean, covariance = _posterior_start(family, totals, shared)
    if shared and toward == "canonical":
        mean = family.canonical
    if shared and shrinkage != "auto":
        covariance = max(1.0 - float(shrinkage), 0.01) ** 2 * family.covariance
    noise = _noise(family, totals, start)
    x = _two_starts(family, totals, start, mean, covariance, noise)
    for _ in range(8 if shared else 1):
        noise = _noise(family, totals, x)
        x, posterior, _ = refine(family, totals, x, mean, covariance, noise, n_steps=5)
        if shared and toward == "group":
            mean = (x.sum(0) + family.mean) / (len(x) + 1.0)
        if shrinkage == "auto":
            centred = x - mean
            spread = centred.T @ centred + posterior.sum(0) + _PRIOR_WEIGHT * family.covariance
            covariance = spread / (len(x) + _PRIOR_WEIGHT)
    if shrinkage == "auto":
        covariance = covariance * _validated_width(family, stats, x, mean, covariance, noise)
    x, posterior, _ = refine(family, totals, x, mean, covariance, noise, n_steps=10)
    return ResponseFit(x, posterior, mean, covariance, noise)


def _two_starts(family, totals, start, mean, covariance, noise):
    """Better of two optima: from the dictionary's best element and from the prior's mean."""
    x, _, value = refine(family, totals, start, mean, covariance, noise)
    other = np.broadcast_to(mean, start.shape)
    x2, _, value2 = refine(family, totals, other, mean, covariance, noise)
    return np.where((value2 < value)[:, None], x2, x)


def _validated_width(family, stats, x, mean, covariance, noise):
    """Factor of the prior's covariance that predicts held-out, contiguous blocks best."""
    widths = (0.25, 1.0, 4.0)
    n_blocks = len(stats.n_rows)
    n_folds = min(4, n_blocks // 4)
    if n_folds < 2:
        return 1.0
    fold = np.arange(n_blocks) * n_folds // n_blocks
    gains = np.zeros((len(widths), n_folds))
    for k in range(n_folds):
        test = fold == k
        # Neighbouring blocks share a response's length of drive and noise.
        near = np.convolve(test, np.ones(3), mode="same") > 0
        train, held = stats.total(~near), stats.total(test)
        for i, width in enumerate(widths):
            fit, _, _ = refine(family, train, x, mean, width * covariance, noise, n_steps=6)
            coefs = family.coefs(fit)
            scale, _ = profile(coefs, train[0], train[1])
            size = np.einsum("ri,rij,rj->r", coefs, held[0], coefs)
            gain = scale * (coefs * held[1]).sum(1) - 0.5 * scale**2 * size
            gains[i, k] = (gain / noise).sum()
    difference = gains - gains[1]
    error = difference.std(1, ddof=1) / np.sqrt(n_folds)
    # Marginal likelihood decides unless validation clearly disagrees.
    return widths[int((difference.mean(1) - error).argmax())]


def fit_double_gamma(times, responses, bounds="human"):
    """Least-squares double gammas of sampled responses.

    Parameters
    ----------
    times : array of shape (n_times,)
        Seconds.
    responses : array of shape (n_responses, n_times)
        Sampled responses, of either sign.
    bounds : {"human", "fnirs", "fast"} or pair of arrays of shape (6,)
        Bounds of the parameters.

    Returns
    -------
    params : array of shape (n_responses, 6)
        Unit-peak parameters.
    scale : array of shape (n_responses,)
        Amplitudes.
    """
    times = np.asarray(times, dtype=float)
    responses = np.atleast_2d(np.asarray(responses, dtype=float))
    family = response_family(times, bounds)
    # Sharp or late shapes lie far from the plausible ones: look in every corner of the bounds too.
    corners = np.random.default_rng(0).uniform(family.low, family.high, (_N_DICTIONARY, 5))
    atoms = np.concatenate([family.atoms, corners])
    shapes = double_gamma(times, _any_peak(atoms))
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True) + 1e-300
    family = replace(family, basis=np.linalg.eigh(shapes.T @ shapes)[1][:, ::-1][:, :60].T)
    n, n_basis = len(responses), len(family.basis)
    cross = responses @ family.basis.T
    gram = np.broadcast_to(np.eye(n_basis), (n, n_basis, n_basis))
    power = np.maximum((responses**2).sum(1), 1e-300)
    totals = (gram, cross, power, np.full(n, float(len(times))))
    order = np.argsort(-((responses @ shapes.T) ** 2), axis=1)
    wide = 1e4 * family.covariance
    best, lowest = family.atoms[:n], np.full(n, np.inf)
    for rank in (0, 8, 32, 96):
        x, _, value = refine(
            family, totals, atoms[order[:, rank]], family.mean, wide, 1e-6 * power, n_steps=60
        )
        best = np.where((value < lowest)[:, None], x, best) if rank else x
        lowest = np.minimum(value, lowest)
    params = to_params(best)
    shapes = double_gamma(times, params)
    return params, (responses * shapes).sum(1) / (shapes**2).sum(1)
