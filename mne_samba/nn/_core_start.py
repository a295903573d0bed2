"""Where fits of the linear core start: from ridge regression, or from a fit of less data."""

import math
from dataclasses import replace

import torch

from ._core_features import collapse
from ._core_fit import MIN_NOISE, State, iterate
from ._core_hrf import start_moments
from ._core_map import MAP_PRIORS

# Updates of a first map, whose noise variances settle fast.
_SPREAD_ITER = 4


def ridge_start(moments, response):
    """Fit ridge regression per target with the penalty that maximises the pooled evidence.

    Parameters
    ----------
    moments : Moments
        Second moments.
    response : Tensor of shape (n_basis,)
        Response all targets are given.

    Returns
    -------
    coefficients : Tensor of shape (n_targets, n_nodes, n_bands)
        Ridge coefficients.
    noise : Tensor of shape (n_targets,)
        Noise variances at the chosen penalty.
    """
    moments = collapse(moments, response)
    gram = moments.gram[:, :, 0].transpose(1, 2)
    size = gram.shape[0] * gram.shape[1]
    cross = moments.cross[0].reshape(size, -1)
    values, vectors = torch.linalg.eigh(gram.reshape(size, size))
    values = values.clamp_min(0)
    rotated = vectors.T @ cross
    energy = moments.energy.clamp_min(1e-12)
    scale = values.mean().clamp_min(1e-12)
    best = None
    for exponent in range(-3, 7):
        penalty = scale * 10.0**exponent
        explained = (rotated**2 / (values + penalty)[:, None]).sum(0)
        noise = (energy - explained).clamp_min(1e-6 * energy) / moments.n_frames
        score = -0.5 * moments.n_frames * noise.log().sum()
        score = score - 0.5 * len(energy) * (1 + values / penalty).log().sum()
        if best is None or score > best[0]:
            best = score, penalty, noise
    _, penalty, noise = best
    coefficients = vectors @ (rotated / (values + penalty)[:, None])
    return coefficients.T.reshape(-1, moments.gram.shape[0], moments.gram.shape[3]), noise


def start_state(moments, response_prior, *, start="shared"):
    """Start from the leading band pattern of ridge coefficients.

    Parameters
    ----------
    moments : Moments
        Second moments.
    response_prior : ResponsePrior
        Prior of the responses.
    start : {"shared", "node"}
        One band pattern for all nodes, or one each.

    Returns
    -------
    state : State
        A state whose map is refitted by the first iteration.
    """
    n_targets = len(moments.energy)
    response, response_second = start_moments(response_prior, n_targets)
    coefficients, noise = ridge_start(moments, response[0])
    n_nodes, n_bands = coefficients.shape[1:]
    scatter = torch.einsum("mnk,mnj->nkj", coefficients, coefficients)
    pattern = torch.linalg.eigh(scatter.sum(0))[1][:, -1]
    if pattern.sum() < 0:
        pattern = -pattern
    weights = pattern.repeat(n_nodes, 1)
    if start == "node":
        each = torch.linalg.eigh(scatter)[1][:, :, -1]
        weights = each * torch.where(each @ pattern < 0, -1.0, 1.0)[:, None]
    weights = weights * math.sqrt(n_bands)
    projected = torch.einsum("mnk,nk->mn", coefficients, weights) / n_bands
    variance = float(projected.pow(2).mean())
    second = torch.einsum("nk,mj->nmkj", weights, weights)
    return State(
        spatial_map=projected,
        weights=weights,
        weights_second=second,
        response=response,
        response_second=response_second,
        noise=noise.clamp_min(MIN_NOISE),
        deviation=0.1,
        shared=1.0,
        prior=MAP_PRIORS["gaussian"](n_targets, n_nodes, max(variance, 1e-6)),
    )


def spread_state(state, moments, response_prior):
    """Start a fit of all targets from one of some of them.

    Parameters
    ----------
    state : State
        Fitted to some of the targets; left as it is.
    moments : Moments
        Second moments of all targets.
    response_prior : ResponsePrior
        Prior of the responses.

    Returns
    -------
    state : State
        With the weights and the map prior of ``state``, a normal map under the mean response of its
        targets, and responses that are still open.
    """
    n_targets, n_nodes = len(moments.energy), len(state.weights)
    ones = torch.ones(n_targets, 1, dtype=torch.float64)
    energy = float(state.spatial_map.pow(2).mean())
    new = replace(
        state,
        spatial_map=torch.zeros(n_targets, n_nodes, dtype=torch.float64),
        response=ones,
        response_second=ones[:, :, None],
        noise=(moments.energy / moments.n_frames).clamp_min(MIN_NOISE),
        prior=MAP_PRIORS["gaussian"](n_targets, n_nodes, max(energy, 1e-8)),
        elbo=[],
    )
    alike = collapse(moments, state.response.mean(0))
    for _ in range(_SPREAD_ITER):
        iterate(new, alike, None, learn_response=False, fit_weights=False)
    new = with_prior(new, state.prior.name)
    new.prior.follow(state.prior)
    new.response, new.response_second = start_moments(response_prior, n_targets)
    return new


def with_prior(state, name):
    """Copy a state and give its map another prior, matched to the current map.

    Parameters
    ----------
    state : State
        State to start from; left as it is.
    name : {"gaussian", "ard", "sparse"}
        New prior.

    Returns
    -------
    state : State
        Copy with the new prior.
    """
    energy = float(state.spatial_map.pow(2).mean())
    # A sparse map keeps the energy on fewer weights.
    variance = {"gaussian": energy, "ard": 0.1 * energy, "sparse": 3 * energy}[name]
    prior = MAP_PRIORS[name](*state.spatial_map.shape, max(variance, 1e-8))
    return replace(state.copy(), prior=prior)
