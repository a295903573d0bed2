"""Variational fit of the linear core on whitened second moments."""

import copy
import math
from dataclasses import dataclass, field, replace

import torch

from .map_prior import GaussianMap
from .moments import counts_of, pairs_of, upper_triangle
from .response import update_response

# Bytes of the largest array per target, of which a few are held at once.
_CHUNK_BYTES = 16e6
MIN_NOISE = 1e-8
# Share of a target's variance that the prior of the map expects at the very least.
_MIN_EXPLAINED = 0.02


@dataclass
class State:
    """Mean-field posterior ``q(map) q(weights) q(responses)`` and its hyperparameters."""

    spatial_map: torch.Tensor  # (n_targets, n_channels), posterior means
    weights: torch.Tensor  # (n_channels, n_bands), posterior means
    # (n_channel_pairs, n_bands, n_bands), expected outer products of channels ``n <= n'``.
    weights_second: torch.Tensor
    response: torch.Tensor  # (n_targets, n_basis), expected coordinates
    response_second: torch.Tensor  # (n_targets, n_basis, n_basis), their expected outer products
    noise: torch.Tensor  # (n_targets,), variance of the whitened residual
    deviation: float  # prior variance of the channels' deviations from the bands' means
    shared: float  # prior variance of the bands' means, which channels share
    prior: GaussianMap  # of the map
    map_variance: torch.Tensor | None = None  # (n_targets, n_channels), posterior variances
    # (n_targets,), evidence over no coupling, without the weights' part.
    gain: torch.Tensor | None = None
    weights_divergence: float = 0.0  # Kullback-Leibler divergence of the weights from their prior
    elbo: list = field(default_factory=list)  # evidence lower bound after each iteration

    def copy(self):
        """Copy that can be fitted further without changing this one."""
        tensors = {k: v.clone() for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        return replace(self, **tensors, prior=copy.deepcopy(self.prior), elbo=[])

    def of_targets(self, some):
        """Copy of some targets (n_drawn,) alone."""
        names = ("spatial_map", "response", "response_second", "noise", "map_variance", "gain")
        rows = {k: getattr(self, k) for k in names}
        rows = {k: v if v is None else v[some].clone() for k, v in rows.items()}
        return replace(self, **rows, prior=self.prior.of_targets(some), elbo=[])


def update_weights(state, moments, precision, linear):
    """Update q(weights) and the variances of its prior, in place.

    The prior is ``w_nk = mu_k + delta_nk`` with normal ``mu`` (variance ``shared``) and ``delta``
    (variance ``deviation``); ``mu`` is integrated out. ``precision`` (n_channels^2,
    n_pairs) is ``sum_m E[S S']_m E[h h']_m / noise_m``, ``linear`` (n_channels, n_bands) are the
    data weighted by precision.
    """
    n_channels, n_bands = linear.shape
    size = n_channels * n_bands
    gram = moments.gram.flatten(2)
    rows, columns, _ = pairs_of(n_channels)
    upper = rows * n_channels + columns
    precision = precision.index_select(0, upper)
    data = _weighted(precision.to(gram.dtype), gram).double().reshape(-1, n_bands, n_bands)
    mean_variance, spread = state.shared, state.deviation
    whole = spread + n_channels * mean_variance
    share = mean_variance / whole
    # By eigenspaces: subtracting in one formula loses all digits where channels hardly deviate.
    together, apart = 1 / (n_channels * whole), 1 / (n_channels * spread)
    same = rows == columns
    prior = same.to(data.dtype) / spread + (together - apart)
    data.diagonal(dim1=1, dim2=2).add_(prior[:, None])
    root = torch.linalg.cholesky(upper_triangle(data, n_channels), upper=True)
    covariance = torch.cholesky_inverse(root, upper=True)
    weights = (covariance @ linear.reshape(-1)).reshape(n_channels, n_bands)
    blocks = covariance.reshape(n_channels, n_bands, n_channels, n_bands).permute(0, 2, 1, 3)
    blocks = blocks.reshape(n_channels**2, -1).index_select(0, upper)
    state.weights = weights
    state.weights_second = blocks.view(-1, n_bands, n_bands).addcmul_(
        weights[rows, :, None], weights[columns, None, :]
    )
    second = state.weights_second.diagonal(dim1=1, dim2=2).sum(1)
    own = float(second[same].sum())
    total_second = 2 * float(second.sum()) - own
    log_prior = n_bands * ((n_channels - 1) * math.log(spread) + math.log(whole))
    expected = (own - total_second / n_channels) / spread + total_second * together
    log_determinant = 2 * float(root.diagonal().log().sum())
    state.weights_divergence = 0.5 * (expected - size + log_prior + log_determinant)
    # Expectation-maximisation with mu given w: normal with mean share * sum_n w_nk.
    mu_variance = share * spread
    mu_energy = share**2 * total_second + n_bands * mu_variance
    delta_energy = own - 2 * share * total_second + n_channels * mu_energy
    state.deviation = max(delta_energy / size, 1e-5 * own / size, 1e-12)
    state.shared = max(mu_energy / n_bands, 1e-12)


def _seen_by(blocks, vectors):
    """Multiply matrices (n, n_rows, n_columns) by vectors (n, n_columns): (n, n_rows)."""
    if blocks.shape[2] == 1:
        return blocks[..., 0] * vectors
    # Of products of many small matrices by vectors, numpy's are several times quicker than torch's.
    return torch.from_numpy(blocks.numpy() @ vectors[..., None].numpy())[..., 0]


def _weighted(weights, blocks):
    """Add up rows of matrices (n, n_rows, n_columns) by weights (n, n_rows): (n, n_columns)."""
    if blocks.shape[1] == 1:
        return weights * blocks[:, 0]
    if blocks.shape[2] == 1:
        return torch.linalg.vecdot(weights, blocks[..., 0])[:, None]
    return torch.bmm(weights[:, None], blocks)[:, 0]


def fix_scale(state):
    """Move the weights' overall scale into the map, in place: the evidence does not change."""
    # By the second moment: means go to zero where the data say nothing, second moments do not.
    size = state.weights.numel()
    own = pairs_of(len(state.weights))[2].diagonal()
    second = state.weights_second[own].diagonal(dim1=1, dim2=2)
    scale = math.sqrt(float(second.sum()) / size)
    state.weights = state.weights / scale
    state.weights_second = state.weights_second / scale**2
    if state.map_variance is not None:
        state.map_variance = state.map_variance * scale**2
    state.deviation /= scale**2
    state.shared /= scale**2
    state.spatial_map = state.spatial_map * scale
    state.prior.rescale(scale)


def iterate(state, moments, response_prior, *, learn_response=True, fit_weights=True):
    """One sweep of coordinate ascent, in place; the bound (nats) before the weights are updated.

    Responses and band weights stay as they are where ``learn_response`` or ``fit_weights`` is
    false.
    """
    n_targets, n_channels = state.spatial_map.shape
    gram, cross = moments.gram, moments.cross
    rows, columns, pair = pairs_of(cross.shape[2])
    channels = pairs_of(n_channels)[2]
    flat_second = state.weights_second.flatten(1).to(gram.dtype)
    contracted = _seen_by(gram.flatten(2), flat_second).double()[channels]
    trace = contracted.diagonal(dim1=0, dim2=1).sum(1)
    # (n_targets, n_basis, n_channels), by one pass over the data.
    crossed = torch.bmm(state.weights[:, None], cross.flatten(2))
    crossed = crossed.reshape(n_channels, -1, n_targets).permute(2, 1, 0)
    precision = None
    linear = torch.zeros_like(state.weights)
    gains = torch.zeros_like(moments.energy)
    state.map_variance = torch.zeros_like(state.spatial_map)
    leverage = 0.0
    noise_of_null = (moments.energy / moments.n_frames).clamp_min(MIN_NOISE)
    state.prior.begin(contracted)
    size = max(n_channels * len(rows), state.prior.n_held)
    chunk = max(1, int(_CHUNK_BYTES / (8 * size)))
    counts = counts_of(cross.shape[2])
    for begin in range(0, n_targets, chunk):
        part = slice(begin, min(begin + chunk, n_targets))
        noise = state.noise[part, None]
        pairs = state.response_second[part][:, rows, columns]
        leverage += float((pairs @ trace).sum())
        data = torch.bmm(state.response[part, None], crossed[part])[:, 0] / noise
        posterior = state.prior.update(
            part, contracted, pairs / noise, data, state.spatial_map[part]
        )
        spatial, divergence = posterior.mean, posterior.divergence
        state.spatial_map[part] = spatial
        state.map_variance[part] = posterior.variance
        # E[S S'] against the contracted Gram matrix, back from pairs to a symmetric matrix.
        curve = posterior.curve(contracted)
        full = (curve / counts)[:, pair]
        slope = torch.bmm(crossed[part], spatial[..., None])[..., 0]
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
        noise = noise.clamp_min(MIN_NOISE)
        state.noise[part] = noise
        gains[part] = (
            0.5 * moments.n_frames * (noise_of_null[part] / noise).log()
            - 0.5 * misfit / noise
            + 0.5 * moments.energy[part] / noise_of_null[part]
            - divergence
        )
        if not fit_weights:
            continue
        pairs = state.response_second[part][:, rows, columns] / noise[:, None]
        added = posterior.precision(pairs)
        precision = added if precision is None else precision.add_(added)
        expected = state.response[part].T * (spatial / noise[:, None]).T[:, None]
        linear += torch.bmm(cross[..., part].flatten(2), expected.flatten(1)[..., None])[..., 0]
    state.gain = gains
    elbo = float(gains.sum()) - state.weights_divergence
    state.elbo.append(elbo)
    if leverage > 0:
        state.prior.floor = _MIN_EXPLAINED * float(moments.energy.sum()) / leverage
    state.prior.learn()
    if fit_weights:
        update_weights(state, moments, precision, linear)
        fix_scale(state)
    return elbo


def run(state, moments, response_prior, *, max_iter, tol, fit_weights=True):
    """Iterate in place until the evidence gains less than ``tol`` nats per target."""
    n_targets = len(moments.energy)
    previous = -math.inf
    for _ in range(max_iter):
        elbo = iterate(state, moments, response_prior, fit_weights=fit_weights)
        if abs(elbo - previous) < tol * n_targets:
            break
        previous = elbo
