"""Variational fit of the linear core on whitened second moments."""

import math
from dataclasses import dataclass, field, replace

import torch

from ._core_hrf import start_moments, update_response
from ._core_map import MAP_PRIORS

# Bytes of (n_targets, n_nodes, n_nodes) arrays held at once.
_CHUNK_BYTES = 48e6
_MIN_NOISE = 1e-8
# Share of a target's variance that the prior of the map expects at the very least.
_MIN_EXPLAINED = 0.02


@dataclass
class State:
    """Mean-field posterior ``q(map) q(weights) q(responses)`` and its hyperparameters.

    Attributes
    ----------
    spatial_map : Tensor of shape (n_targets, n_nodes)
        Posterior means of the map.
    weights : Tensor of shape (n_nodes, n_bands)
        Posterior means of the band weights.
    weights_second : Tensor of shape (n_nodes, n_nodes, n_bands, n_bands)
        Expected outer products of the band weights.
    response, response_second : Tensor
        Expected coordinates (n_targets, n_basis) and outer products of the responses.
    noise : Tensor of shape (n_targets,)
        Variance of the whitened residual.
    deviation, shared : float
        Prior variances of node deviations and of the shared band means.
    prior : GaussianMap
        Prior of the map, see :data:`MAP_PRIORS`.
    map_variance : Tensor of shape (n_targets, n_nodes)
        Posterior variances of the map.
    gain : Tensor of shape (n_targets,)
        Evidence gained over the target's null model (no coupling), without the weights' part.
    weights_divergence : float
        Kullback-Leibler divergence of the weights from their prior.
    elbo : list of float
        Evidence lower bound after each iteration.
    """

    spatial_map: torch.Tensor
    weights: torch.Tensor
    weights_second: torch.Tensor
    response: torch.Tensor
    response_second: torch.Tensor
    noise: torch.Tensor
    deviation: float
    shared: float
    prior: object
    map_variance: torch.Tensor | None = None
    gain: torch.Tensor | None = None
    weights_divergence: float = 0.0
    elbo: list = field(default_factory=list)


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
    rows, columns = moments.pairs
    gram = torch.einsum("nmpjk,p->njmk", moments.gram, response[rows] * response[columns])
    size = gram.shape[0] * gram.shape[1]
    cross = torch.einsum("bnkm,b->nkm", moments.cross, response).reshape(size, -1)
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
        noise=noise.clamp_min(_MIN_NOISE),
        deviation=0.1,
        shared=1.0,
        prior=MAP_PRIORS["gaussian"](n_targets, n_nodes, max(variance, 1e-6)),
    )


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
    tensors = {
        key: value.clone() for key, value in vars(state).items() if isinstance(value, torch.Tensor)
    }
    return replace(state, **tensors, prior=prior, elbo=[])


def update_weights(state, moments, precision, linear, *, shared):
    """Update q(weights) and the variances of its prior.

    The prior is ``w_nk = mu_k + delta_nk`` with normal ``mu`` (variance ``shared``) and ``delta``
    (variance ``deviation``); ``mu`` is integrated out.

    Parameters
    ----------
    state : State
        Updated in place.
    moments : Moments
        Second moments.
    precision : Tensor of shape (n_nodes * n_nodes, n_pairs)
        ``sum_m E[S S']_m E[h h']_m / noise_m``.
    linear : Tensor of shape (n_nodes, n_bands)
        Precision-weighted data.
    shared : bool
        Whether bands have a mean that nodes share.
    """
    n_nodes, n_bands = linear.shape
    size = n_nodes * n_bands
    flat = moments.gram.reshape(n_nodes * n_nodes, -1, n_bands * n_bands)
    data = torch.bmm(precision[:, None, :], flat)[:, 0]
    data = data.reshape(n_nodes, n_nodes, n_bands, n_bands)
    mean_variance = state.shared if shared else 0.0
    spread = state.deviation
    share = mean_variance / (spread + n_nodes * mean_variance)
    # By eigenspaces: subtracting in one formula loses all digits where nodes hardly deviate.
    common = torch.full((n_nodes, n_nodes), 1 / n_nodes, dtype=data.dtype)
    node_prior = (torch.eye(n_nodes, dtype=data.dtype) - common) / spread
    node_prior = node_prior + common / (spread + n_nodes * mean_variance)
    prior = node_prior[:, :, None, None] * torch.eye(n_bands, dtype=data.dtype)
    total = (data + prior).permute(0, 2, 1, 3).reshape(size, size)
    root = torch.linalg.cholesky(0.5 * (total + total.T))
    covariance = torch.cholesky_inverse(root)
    weights = (covariance @ linear.reshape(-1)).reshape(n_nodes, n_bands)
    blocks = covariance.reshape(n_nodes, n_bands, n_nodes, n_bands).permute(0, 2, 1, 3)
    state.weights = weights
    state.weights_second = blocks + weights[:, None, :, None] * weights[None, :, None, :]
    second = state.weights_second.diagonal(dim1=2, dim2=3).sum(2)
    log_prior = n_bands * (
        (n_nodes - 1) * math.log(spread) + math.log(spread + n_nodes * mean_variance)
    )
    state.weights_divergence = 0.5 * float(
        (node_prior * second).sum() - size + log_prior + 2 * root.diagonal().log().sum()
    )
    # Expectation-maximisation with mu given w: normal with mean share * sum_n w_nk.
    total_second, own = second.sum(), second.diagonal().sum()
    mu_variance = share * spread
    mu_energy = share**2 * total_second + n_bands * mu_variance
    delta_energy = own - 2 * share * total_second + n_nodes * mu_energy
    state.deviation = max(float(delta_energy) / size, 1e-5 * float(own) / size, 1e-12)
    if shared:
        state.shared = max(float(mu_energy) / n_bands, 1e-12)


def fix_scale(state):
    """Move the weights' overall scale into the map: the evidence does not change.

    Parameters
    ----------
    state : State
        Updated in place.
    """
    # By the second moment: means go to zero where the data say nothing, second moments do not.
    size = state.weights.numel()
    scale = math.sqrt(float(torch.einsum("nnkk->", state.weights_second)) / size)
    state.weights = state.weights / scale
    state.weights_second = state.weights_second / scale**2
    if state.map_variance is not None:
        state.map_variance = state.map_variance * scale**2
    state.deviation /= scale**2
    state.shared /= scale**2
    state.spatial_map = state.spatial_map * scale
    state.prior.rescale(scale)


def iterate(state, moments, response_prior, *, shared=True, learn_response=True, fit_weights=True):
    """One sweep of coordinate ascent on the evidence lower bound.

    Parameters
    ----------
    state : State
        Updated in place.
    moments : Moments
        Second moments.
    response_prior : ResponsePrior
        Prior of the responses.
    shared : bool
        Whether bands have a mean that nodes share.
    learn_response : bool
        Update responses.
    fit_weights : bool
        Update band weights.

    Returns
    -------
    elbo : float
        Evidence lower bound before the weights are updated.
    """
    n_targets, n_nodes = state.spatial_map.shape
    gram, cross, (rows, columns) = moments.gram, moments.cross, moments.pairs
    flat_second = state.weights_second.reshape(n_nodes * n_nodes, -1, 1)
    contracted = torch.bmm(gram.reshape(n_nodes * n_nodes, len(rows), -1), flat_second)[..., 0]
    crossed = torch.einsum("bnkm,nk->mbn", cross, state.weights)
    precision = torch.zeros_like(contracted)
    linear = torch.zeros_like(state.weights)
    gains = torch.zeros_like(moments.energy)
    state.map_variance = torch.zeros_like(state.spatial_map)
    leverage = 0.0
    noise_of_null = (moments.energy / moments.n_frames).clamp_min(_MIN_NOISE)
    chunk = max(1, int(_CHUNK_BYTES / (8 * n_nodes**2)))
    off_diagonal = torch.where(rows == columns, 1.0, 2.0).double()
    for begin in range(0, n_targets, chunk):
        part = slice(begin, min(begin + chunk, n_targets))
        noise = state.noise[part, None]
        pairs = state.response_second[part][:, rows, columns]
        quadratic = (pairs / noise @ contracted.T).reshape(-1, n_nodes, n_nodes)
        leverage += float((quadratic.diagonal(dim1=1, dim2=2).sum(1) * noise[:, 0]).sum())
        data = torch.einsum("mbn,mb->mn", crossed[part], state.response[part]) / noise
        spatial, second, divergence = state.prior.update(
            part, quadratic, data, state.spatial_map[part]
        )
        state.spatial_map[part] = spatial
        state.map_variance[part] = second.diagonal(dim1=1, dim2=2) - spatial**2
        second = second.reshape(len(spatial), -1)
        # E[S S'] against the contracted Gram matrix, back from pairs to a symmetric matrix.
        curve = second @ contracted
        full = curve.new_zeros(len(spatial), len(state.response[0]), len(state.response[0]))
        full[:, rows, columns] = curve / off_diagonal
        full[:, columns, rows] = curve / off_diagonal
        slope = torch.einsum("mbn,mn->mb", crossed[part], spatial)
        if learn_response:
            mean, square, response_divergence = update_response(
                response_prior, full / noise[..., None], slope / noise
            )
            state.response[part], state.response_second[part] = mean, square
            divergence = divergence + response_divergence
        misfit = (
            moments.energy[part]
            - 2 * (state.response[part] * slope).sum(1)
            + (state.response_second[part] * full).sum((1, 2))
        )
        # A target that is fitted perfectly keeps a sliver of noise, or nothing else could move.
        noise = torch.maximum(misfit / moments.n_frames, 1e-4 * noise_of_null[part])
        noise = noise.clamp_min(_MIN_NOISE)
        state.noise[part] = noise
        gains[part] = (
            0.5 * moments.n_frames * (noise_of_null[part] / noise).log()
            - 0.5 * misfit / noise
            + 0.5 * moments.energy[part] / noise_of_null[part]
            - divergence
        )
        pairs = state.response_second[part][:, rows, columns] / noise[:, None]
        precision += second.T @ pairs
        linear += torch.einsum(
            "bnkm,mb,mn->nk", cross[..., part], state.response[part], spatial / noise[:, None]
        )
    state.gain = gains
    elbo = float(gains.sum()) - state.weights_divergence
    state.elbo.append(elbo)
    if leverage > 0:
        state.prior.floor = _MIN_EXPLAINED * float(moments.energy.sum()) / leverage
    state.prior.learn()
    if fit_weights:
        update_weights(state, moments, precision, linear, shared=shared)
        fix_scale(state)
    return elbo


def run(state, moments, response_prior, *, max_iter, tol, callback=None, **options):
    """Iterate until the evidence stops rising.

    Parameters
    ----------
    state : State
        Updated in place.
    moments : Moments
        Second moments.
    response_prior : ResponsePrior
        Prior of the responses.
    max_iter : int
        Most iterations.
    tol : float
        Stop when an iteration gains less than ``tol`` nats per target.
    callback : callable, optional
        Called as ``callback(iteration, elbo)``.
    **options
        Passed to :func:`iterate`.

    Returns
    -------
    state : State
        The same state.
    """
    n_targets = len(moments.energy)
    previous = -math.inf
    for iteration in range(max_iter):
        elbo = iterate(state, moments, response_prior, **options)
        if callback is not None:
            callback(iteration, elbo)
        if abs(elbo - previous) < tol * n_targets:
            break
        previous = elbo
    return state
