"""Responses of the linear core: dictionary, principal components, and the way back."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch

from ..hrf import (
    HRF_BOUNDS,
    MAX_UNDERSHOOT,
    canonical_params,
    double_gamma,
    hrf_dictionary,
    unit_peak,
)
from ..hrf.gamma import response_and_slopes
from .moments import counts_of, pairs_of

# Components that all work is done in, and random double gammas that they are those of.
N_BASIS, N_DICTIONARY = 6, 6000
# Targets whose posterior over the dictionary is held at once.
_AT_ONCE = 32
# Logarithm of a probability that is nothing, but not so small that arithmetic with it is slow.
_NEVER = -300.0
# Levenberg-Marquardt steps, and parts of the dictionary from whose best elements they are taken.
_N_STEPS, _N_STARTS = 25, 4
# After so many steps a typical response is within 1e-5 of where it ends: enough to compare fits.
ROUGH_STEPS = 8
# Share of a response's energy below which a step gains nothing, and damping that moves nobody.
_STILL, _STUCK = 1e-8, 1e3
# Margin of the bounds: the network's response is a sigmoid between the same bounds and cannot
# represent a parameter on one.
_MARGIN = 0.005


@dataclass
class ResponsePrior:
    """What is believed about a target's response before the data."""

    kind: str  # "double_gamma", "fir", "canonical" or "identity"
    basis: torch.Tensor  # (n_basis, n_lags), orthonormal
    elements: torch.Tensor | None = None  # (n_elements, n_basis), a dictionary
    params: np.ndarray | None = None  # (n_elements, 6), their parameters
    shapes: np.ndarray | None = None  # (n_elements, n_lags), the responses themselves
    # Gaussian prior of the coordinates where there is no dictionary.
    mean: torch.Tensor | None = None
    covariance: torch.Tensor | None = None

    @cached_property
    def moments(self):
        """Coordinates of every element and products of two, (n_elements, n_basis + n_pairs)."""
        rows, columns, _ = pairs_of(self.elements.shape[1])
        return torch.cat([self.elements, self.elements[:, rows] * self.elements[:, columns]], 1)


@lru_cache(maxsize=8)
def _named_dictionary(n_dictionary, bounds, seed):
    """Keep dictionaries of presets: drawing one takes as long as a small fit."""
    return hrf_dictionary(n_dictionary, bounds, seed)


def response_prior(
    kind, n_lags, dt, *, bounds="human", n_basis=N_BASIS, n_dictionary=N_DICTIONARY, seed=0
):
    """Build the prior over responses of a kind; with one lag the response is the identity.

    ``n_basis`` principal components are kept of ``n_dictionary`` random double gammas. Priors of
    presets are shared: not to be changed.
    """
    build = _named_prior if isinstance(bounds, str) else _build_prior
    return build(kind, n_lags, dt, bounds, n_basis, n_dictionary, seed)


def _build_prior(kind, n_lags, dt, bounds, n_basis, n_dictionary, seed):
    canonical = canonical_params(bounds)[None]
    if n_lags == 1:
        one = torch.ones(1, 1, dtype=torch.float64)
        return ResponsePrior("identity", one, one, canonical)
    lags = (np.arange(n_lags) + 0.5) * dt
    if kind == "canonical":
        kernel = double_gamma(lags, canonical)
        norm = np.full((1, 1), np.linalg.norm(kernel))
        return ResponsePrior(
            kind, torch.from_numpy(kernel / norm), torch.from_numpy(norm), canonical
        )
    draw = _named_dictionary if isinstance(bounds, str) else hrf_dictionary
    params = draw(n_dictionary, bounds, seed)
    kernels = double_gamma(lags, params)
    free = kind == "fir"
    moment = free_moment(kernels, lags) if free else kernels.T @ kernels / len(kernels)
    values, vectors = np.linalg.eigh(moment)
    # Components below rounding carry no response but would make the Gram matrix singular.
    n_kept = max(1, min(n_basis, int((values > 1e-10 * values[-1]).sum())))
    basis = vectors[:, ::-1][:, :n_kept].T.copy()
    elements = kernels @ basis.T
    if free:
        mean = elements.mean(0)
        covariance = basis @ moment @ basis.T - np.outer(mean, mean)
        basis, mean, covariance = map(torch.from_numpy, (basis, mean, covariance))
        return ResponsePrior(kind, basis, mean=mean, covariance=covariance)
    basis, elements = torch.from_numpy(basis), torch.from_numpy(elements)
    return ResponsePrior(kind, basis, elements, params, kernels)


def free_moment(kernels: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Second moment (n_lags, n_lags) of free responses, from double gammas (n_elements, n_lags).

    Theirs, and that of courses as smooth as they are, which fade at the end of the history.
    """
    width = 0.1 * lags[kernels.mean(0) > 0.1 * kernels.mean(0).max()].max()
    smooth = np.exp(-0.5 * ((lags[:, None] - lags) / width) ** 2)
    fade = 0.3 * np.sqrt(np.clip((lags[-1] - lags) / lags[-1], 0, 1))
    return kernels.T @ kernels / len(kernels) + fade[:, None] * smooth * fade


@lru_cache(maxsize=8)
def free_basis(n_basis: int, n_lags: int, dt: float, bounds: str) -> np.ndarray:
    """Components (n_basis, n_lags) of free responses, whose coefficients have variance 1.

    They are shared: not to be changed.
    """
    lags = (np.arange(n_lags) + 0.5) * dt
    kernels = double_gamma(lags, _named_dictionary(N_DICTIONARY, bounds, 0))
    values, vectors = np.linalg.eigh(free_moment(kernels, lags))
    kept = slice(-min(n_basis, n_lags), None)
    return (vectors[:, kept] * np.sqrt(np.maximum(values[kept], 0.0))).T[::-1].copy()


_named_prior = lru_cache(maxsize=8)(_build_prior)


def start_moments(prior, n_targets):
    """First (n, n_basis) and second (n, n_basis, n_basis) moments of responses before any data."""
    if prior.elements is None:
        mean, second = prior.mean, prior.covariance + torch.outer(prior.mean, prior.mean)
    else:
        mean = prior.elements.mean(0)
        second = prior.elements.T @ prior.elements / len(prior.elements)
    return mean.repeat(n_targets, 1), second.repeat(n_targets, 1, 1)


def update_response(prior, quadratic, linear):
    """Posterior of each target's response under ``exp(linear' h - h' quadratic h / 2)``.

    From ``quadratic`` (n_targets, n_basis, n_basis) and ``linear`` (n_targets, n_basis): expected
    coordinates, their expected outer products, and the divergence from the prior (n_targets,).
    """
    if prior.elements is None:
        eye = torch.eye(len(prior.mean), dtype=linear.dtype)
        prior_precision = torch.linalg.inv(prior.covariance)
        root = torch.linalg.cholesky(quadratic + prior_precision)
        covariance = torch.cholesky_inverse(root)
        shift = linear + prior_precision @ prior.mean
        mean = (covariance @ shift[..., None])[..., 0]
        off = mean - prior.mean
        divergence = 0.5 * (
            (prior_precision @ covariance).diagonal(dim1=-2, dim2=-1).sum(-1)
            + ((off @ prior_precision) * off).sum(-1)
            - len(eye)
            + torch.logdet(prior.covariance)
            + 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        )
        return mean, covariance + mean[:, :, None] * mean[:, None, :], divergence
    n_elements, n_basis = prior.elements.shape
    rows, columns, pair = pairs_of(n_basis)
    coef = torch.cat([linear, -0.5 * counts_of(n_basis) * quadratic[:, rows, columns]], 1)
    moments, log_total = torch.empty_like(coef), coef.new_empty(len(coef))
    # Some targets at a time: their probabilities of all elements stay in the cache.
    for first in range(0, len(coef), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        q = coef[part] @ prior.moments.T
        top = q.amax(1, keepdim=True)
        total = q.sub_(top).clamp_min_(_NEVER).exp_().sum(1, keepdim=True)
        moments[part] = (q @ prior.moments) / total
        log_total[part] = (total.log() + top)[:, 0]
    divergence = torch.linalg.vecdot(coef, moments) - log_total + np.log(n_elements)
    return moments[:, :n_basis], moments[:, n_basis:][:, pair], divergence.clamp_min(0)


def _to_params(raw, low, high):
    """Unbounded coordinates (..., 5) -> parameters (..., 6) with unit response scale."""
    values = low + (high - low) / (1 + np.exp(-raw))
    head = np.exp(values[..., :4])
    return np.concatenate([head, np.ones_like(values[..., :1]), values[..., 4:]], axis=-1)


def project_double_gamma(kernels, dt, *, bounds, dictionary, shapes=None, n_steps=_N_STEPS):
    """Least-squares double gamma of each response (n_targets, n_lags) at the centres of lag bins.

    Batched Levenberg-Marquardt steps on the five free parameters from the best elements of
    ``dictionary`` (n_elements, 6), with the amplitude in closed form at every step. ``shapes``
    (n_elements, n_lags) are its responses, where they are known. Returns unit-peak parameters
    (n_targets, 6) strictly inside the bounds, and amplitudes (n_targets,).
    """
    lags = (np.arange(kernels.shape[1]) + 0.5) * dt
    low, high = HRF_BOUNDS[bounds] if isinstance(bounds, str) else bounds
    low = np.append(np.log(np.asarray(low, float)[:4]), 0.0)
    high = np.append(np.log(np.asarray(high, float)[:4]), MAX_UNDERSHOOT)
    start = double_gamma(lags, dictionary) if shapes is None else shapes
    energy = np.maximum(np.vecdot(start, start), 1e-12)
    gain = np.maximum(kernels @ start.T, 0) ** 2 / energy
    # One start from each part of the dictionary: undershoots make local minima.
    n_starts = min(_N_STARTS, len(dictionary))
    best = np.stack(
        [dictionary[i::n_starts][gain[:, i::n_starts].argmax(1)] for i in range(n_starts)], axis=1
    ).reshape(-1, 6)
    values = np.concatenate([np.log(best[:, :4]), (best[:, 5] / best[:, 4])[:, None]], axis=1)
    unit = np.clip((values - low) / (high - low), _MARGIN, 1 - _MARGIN)
    raw, target = np.log(unit / (1 - unit)), np.repeat(kernels, n_starts, axis=0)
    raw, loss = _descend(raw, target, lags, low, high, n_steps)
    winner = loss.reshape(-1, n_starts).argmin(1) + n_starts * np.arange(len(kernels))
    params = unit_peak(_to_params(raw[winner], low, high))
    shape = double_gamma(lags, params)
    amplitude = (shape * kernels).sum(1) / np.maximum((shape**2).sum(1), 1e-12)
    return params, amplitude


def _descend(raw, target, lags, low, high, n_steps):
    """Levenberg-Marquardt steps of unbounded coordinates (n, 5) between bounds (5,), in place.

    Towards ``target`` (n, n_lags): coordinates and losses (n,). Who stands still is left alone.
    """
    limit = np.log(1 / _MARGIN - 1)
    fitted, slopes = _fit_and_slopes(raw, target, lags, low, high)
    loss, least = ((target - fitted) ** 2).sum(1), _STILL * (target**2).sum(1)
    damping, moving = np.full(len(raw), 1e-2), np.arange(len(raw))
    for _ in range(n_steps):
        normal = slopes[moving] @ slopes[moving].transpose(0, 2, 1)
        scale = np.einsum("mii->mi", normal) + 1e-9
        normal += np.einsum("m,mi,ij->mij", damping[moving], scale, np.eye(5))
        gradient = slopes[moving] @ (target - fitted)[moving, :, None]
        step = np.clip(np.linalg.solve(normal, gradient)[..., 0], -1, 1)
        trial = np.clip(raw[moving] + step, -limit, limit)
        trial_fit, trial_slopes = _fit_and_slopes(trial, target[moving], lags, low, high)
        gain = loss[moving] - ((target[moving] - trial_fit) ** 2).sum(1)
        better = gain > 0
        taken = moving[better]
        raw[taken], fitted[taken] = trial[better], trial_fit[better]
        slopes[taken] = trial_slopes[better]
        loss[taken] -= gain[better]
        damping[moving] = np.clip(damping[moving] * np.where(better, 1 / 3, 4.0), 1e-7, 1e6)
        moving = moving[np.where(better, gain > least[moving], damping[moving] < _STUCK)]
        if not len(moving):
            break
    return raw, loss


def _fit_and_slopes(raw, target, lags, low, high):
    """Responses (n, n_lags) at the best amplitude, and their slopes by coordinates (n, 5, n_lags).

    From unbounded coordinates (n, 5); slopes see the amplitude change, too.
    """
    place = 1 / (1 + np.exp(-raw))
    values = low + (high - low) * place
    shape, slopes = response_and_slopes(lags, values)
    slopes *= ((high - low) * place * (1 - place))[..., None]
    energy = np.maximum((shape**2).sum(1), 1e-12)
    # A response is positive: its sign belongs to the map.
    amplitude = np.maximum((shape * target).sum(1) / energy, 0)[:, None]
    change = (slopes @ (target - 2 * amplitude * shape)[..., None])[..., 0] / energy[:, None]
    change *= amplitude > 0
    return amplitude * shape, amplitude[..., None] * slopes + change[..., None] * shape[:, None]
