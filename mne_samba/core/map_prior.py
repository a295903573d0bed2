"""The map from channels to targets: three priors, and the posteriors that they lead to.

All second moments ``E[S_m S_m']`` of the map enter the other updates through two contractions, with
the Gram matrix of every pair of basis responses and summed over targets. Each posterior contracts
in the form in which it is small, so that ``n_channels ** 2`` numbers per target exist only where a
posterior truly has them.
"""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit

# Degrees of freedom of the heavy-tailed prior, and the slightest variance a prior may learn.
_TAIL = 1.0
_MIN_VARIANCE = 1e-10
# Entries of the precisions of all targets up to which they are held at once.
_FEW = 4_000_000


class GaussianMap:
    """Independent normal weights (n_targets, n_channels) with one learnt variance.

    ``floor`` is the least variance that is learnt, averaged over all weights: a mean-field
    posterior falls back to zero well before the data say so.
    """

    name = "gaussian"
    uniform = True  # whether all weights have one prior precision
    dense = True  # whether a posterior may hold a matrix of channels per target

    def __init__(self, n_targets, n_channels, variance):
        self.variance = max(float(variance), _MIN_VARIANCE)
        self.floor = 0.0
        self.shape = (n_targets, n_channels)
        self.energy = torch.zeros(self.shape, dtype=torch.float64)
        self.spectrum = None

    def begin(self, contracted):
        """Prepare what updates of all targets share, from ``contracted`` as `update` takes it.

        With one response for all, precisions are multiples of one matrix: decomposed once.
        """
        alike = contracted.shape[2] == 1 and self.uniform and self.dense
        self.spectrum = torch.linalg.eigh(contracted[..., 0]) if alike else None

    @property
    def n_held(self):
        """Numbers per target that an update holds at once."""
        return self.shape[1] * (self.shape[1] if self.dense and self.spectrum is None else 1)

    def of_targets(self, some):
        """Copy of some targets (n_drawn,) alone."""
        new = copy.copy(self)
        rows = {k: v[some].clone() for k, v in vars(self).items() if torch.is_tensor(v)}
        vars(new).update(rows, shape=tuple(rows["energy"].shape))
        return new

    def precision(self, targets):
        """Return prior precisions of a slice of targets, (n, n_channels)."""
        n = len(range(*targets.indices(self.shape[0])))
        return torch.full((n, self.shape[1]), 1 / self.variance, dtype=torch.float64)

    def update(self, targets, contracted, pairs, linear, current):
        """Update the posterior of a slice of targets, divergence from the prior included.

        After `begin`. ``contracted`` (n_channels, n_channels, n_pairs) is the Gram matrix of every
        pair of basis responses with bands contracted, ``pairs`` (n, n_pairs) the second moments of
        the responses over the noise: together they are the data's precision. ``linear`` (n,
        n_channels) are the data weighted by precision, ``current`` (n, n_channels) the means before
        the update.
        """
        prior = self.precision(targets)
        if self.spectrum is not None:
            posterior = self._spectral(pairs, linear)
        else:
            posterior = self._dense(contracted, pairs, linear, prior)
        energy = posterior.variance + posterior.mean**2
        self.energy[targets] = energy
        posterior.divergence += 0.5 * (prior * energy - 1 - prior.log()).sum(1)
        posterior.divergence += self.tail_divergence(targets)
        return posterior

    def _dense(self, contracted, pairs, linear, prior):
        """Invert a precision matrix per target."""
        n_channels = len(contracted)
        quadratic = (pairs @ contracted.flatten(0, 1).T).reshape(-1, n_channels, n_channels)
        quadratic.diagonal(dim1=1, dim2=2).add_(prior)
        root = torch.linalg.cholesky(quadratic)
        del quadratic
        covariance = torch.cholesky_inverse(root)
        mean = (covariance @ linear[..., None])[..., 0]
        return DensePosterior(mean, covariance, root.diagonal(dim1=1, dim2=2).log().sum(1))

    def _spectral(self, scale, linear):
        """One response for all: precisions are multiples, (n, 1), of one matrix."""
        values, vectors = self.spectrum
        precision = scale * values.clamp_min(0) + 1 / self.variance
        mean = ((linear @ vectors) / precision) @ vectors.T
        return SpectralPosterior(mean, 1 / precision, vectors, 0.5 * precision.log().sum(1))

    def tail_divergence(self, targets):
        """Divergence of the precisions themselves: none, they are fixed."""
        return 0.0

    def learn(self):
        """Fit the prior's variance to the posterior."""
        self.variance = max(float(self.energy.mean()), self.floor, _MIN_VARIANCE)

    def follow(self, other):
        """Start from the hyperparameters that another map of the same kind has learnt."""
        self.variance = other.variance

    def rescale(self, factor):
        """Follow a change of the map's unit by ``factor``."""
        self.variance *= factor**2
        self.floor *= factor**2
        self.energy *= factor**2


class HeavyTailedMap(GaussianMap):
    """Automatic relevance determination: a precision per weight, Student-t margin, learnt scale.

    Each precision has a Gamma prior with shape ``nu / 2`` and rate ``nu variance / 2``.
    """

    name = "ard"
    uniform = False

    def __init__(self, n_targets, n_channels, variance):
        super().__init__(n_targets, n_channels, variance)
        self.relevance = torch.full(self.shape, 1 / self.variance, dtype=torch.float64)

    def precision(self, targets):
        """Return expected precisions of a slice of targets, (n, n_channels)."""
        return self.relevance[targets]

    def tail_divergence(self, targets):
        """Update q(precision) and return what it adds to the divergence, (n,).

        That is ``KL(q(precision) || prior)`` plus the change in the weights' expected log density.
        """
        old = self.relevance[targets]
        energy = self.energy[targets]
        shape, rate = 0.5 * (_TAIL + 1), 0.5 * (_TAIL * self.variance + energy)
        new = shape / rate
        self.relevance[targets] = new
        log_new = torch.digamma(torch.tensor(shape)).double() - rate.log()
        a, b = 0.5 * _TAIL, 0.5 * _TAIL * self.variance
        kl = (
            (shape - a) * torch.digamma(torch.tensor(shape)).double()
            - math.lgamma(shape)
            + math.lgamma(a)
            + a * (rate.log() - math.log(b))
            + new * (b - rate)
        )
        change = 0.5 * (new * energy - log_new) - 0.5 * (old * energy - old.log())
        return (kl + change).sum(1)

    def learn(self):
        """Fit the scale of the precisions' prior."""
        self.variance = max(float(1 / self.relevance.mean()), 0.1 * self.floor, _MIN_VARIANCE)

    def rescale(self, factor):
        """Follow a change of the map's unit by ``factor``."""
        super().rescale(factor)
        self.relevance /= factor**2


class SparseMap(GaussianMap):
    """Spike and slab: each weight is zero, or normal; learnt share and variance.

    Mean field over weights, updated one channel at a time for all targets at once.

    Titsias M., Lazaro-Gredilla M. (2011). Spike and slab variational inference for multi-task and
    multiple kernel learning. NeurIPS. Carbonetto P., Stephens M. (2012). Bayesian Analysis 7.
    """

    name = "sparse"
    dense = False

    def __init__(self, n_targets, n_channels, variance, inclusion=0.2):
        super().__init__(n_targets, n_channels, variance)
        self.inclusion = inclusion
        self.included = torch.full(self.shape, inclusion, dtype=torch.float64)

    def update(self, targets, contracted, pairs, linear, current):
        """Update the posterior of a slice of targets, see :meth:`GaussianMap.update`."""
        diagonal = pairs @ contracted.diagonal(dim1=0, dim2=1)
        precision = diagonal + 1 / self.variance
        odds = math.log(self.inclusion / (1 - self.inclusion))
        offset = odds - 0.5 * (precision * self.variance).log()
        given = linear, diagonal, offset, 0.5 * precision
        sweep = _sweep_few if current.numel() * len(contracted) <= _FEW else _sweep_many
        mean, slab, logits = sweep(contracted, pairs, current, *given)
        included = torch.sigmoid(logits)
        slab_energy = slab**2 + 1 / precision
        energy = included * slab_energy
        self.included[targets] = included
        self.energy[targets] = energy
        log_in = torch.nn.functional.logsigmoid(logits)
        log_out = torch.nn.functional.logsigmoid(-logits)
        slab_divergence = 0.5 * (
            (self.variance * precision).log() - 1 + slab_energy / self.variance
        )
        divergence = (
            included * (log_in - math.log(self.inclusion) + slab_divergence)
            + (1 - included) * (log_out - math.log(1 - self.inclusion))
        ).sum(1)
        return DiagonalPosterior(mean, energy - mean**2, divergence)

    def follow(self, other):
        """Start from the hyperparameters that another map of the same kind has learnt."""
        super().follow(other)
        self.inclusion = other.inclusion

    def learn(self):
        """Fit the share of weights in the slab and the slab's variance."""
        count = float(self.included.sum())
        total = self.included.numel()
        self.inclusion = min(max((count + 1) / (total + 2), 1e-4), 0.999)
        if count > 1e-8:
            self.variance = float(self.energy.sum()) / count
        self.variance = max(self.variance, self.floor / self.inclusion, _MIN_VARIANCE)


def _sweep_few(contracted, pairs, mean, linear, diagonal, offset, gain):
    """Update one channel after the other, see `SparseMap.update`: means, slabs and log odds.

    Of few targets all precisions (n, n_channels, n_channels) are held at once, and arrays that
    small are quicker in numpy. Arguments but the first two and results are (n, n_channels).
    """
    n_channels, every = len(contracted), np.arange(len(contracted))
    seen = (pairs @ contracted.flatten(0, 1).T).numpy().reshape(-1, n_channels, n_channels)
    seen[:, every, every] = 0.0
    mean = mean.numpy().copy()
    linear, offset, gain = (v.T.contiguous().numpy() for v in (linear, offset, gain))
    slab, logits, scale = np.empty_like(linear), np.empty_like(linear), 0.5 / gain
    for n in range(n_channels):
        slab[n] = (linear[n] - np.vecdot(seen[:, n], mean)) * scale[n]
        logits[n] = offset[n] + gain[n] * slab[n] ** 2
        np.multiply(expit(logits[n]), slab[n], out=mean[:, n])
    return (torch.from_numpy(v) for v in (mean, slab.T.copy(), logits.T.copy()))


def _sweep_many(contracted, pairs, mean, linear, diagonal, offset, gain):
    """Do what `_sweep_few` does, without holding precisions of all targets."""
    # Channels come first: each is updated for all targets at once, on contiguous memory.
    mean = mean.T.clone()
    linear, diagonal, offset, gain = (v.T.contiguous() for v in (linear, diagonal, offset, gain))
    slab, logits = torch.empty_like(mean), torch.empty_like(mean)
    for n in range(len(mean)):
        # A row of each target's precision times its means, without forming the row.
        seen = torch.linalg.vecdot(mean.T @ contracted[n], pairs)
        torch.div(linear[n] - seen + diagonal[n] * mean[n], 2 * gain[n], out=slab[n])
        torch.addcmul(offset[n], slab[n] ** 2, gain[n], out=logits[n])
        torch.mul(torch.sigmoid(logits[n]), slab[n], out=mean[n])
    return (v.T.contiguous() for v in (mean, slab, logits))


MAP_PRIORS = {"gaussian": GaussianMap, "ard": HeavyTailedMap, "sparse": SparseMap}


def _mean_curve(mean, contracted):
    """Contract outer products of means (n, n_channels): ``mean' contracted mean``, (n, n_pairs)."""
    n_channels, _, n_pairs = contracted.shape
    seen = (mean @ contracted.reshape(n_channels, -1)).reshape(len(mean), n_channels, n_pairs)
    return torch.bmm(mean[:, None], seen)[:, 0]


def _mean_precision(mean, pairs):
    """Sum outer products of means over targets, weighted by ``pairs``: (n_channels^2, n_pairs)."""
    n, n_channels = mean.shape
    weighted = (mean[:, :, None] * pairs[:, None]).reshape(n, -1)
    return (mean.T @ weighted).reshape(n_channels * n_channels, -1)


@dataclass
class DiagonalPosterior:
    """Independent weights: ``mean`` and ``variance`` (n, n_channels).

    Like the other posteriors it has a ``divergence`` (n,) from the prior.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    divergence: torch.Tensor

    def curve(self, contracted):
        """Contract expected outer products with Gram matrices, (n, n_pairs)."""
        diagonal = contracted.diagonal(dim1=0, dim2=1)
        return _mean_curve(self.mean, contracted) + self.variance @ diagonal.T

    def precision(self, pairs):
        """Sum expected outer products over targets, (n_channels^2, n_pairs)."""
        out = _mean_precision(self.mean, pairs)
        # Every n_channels + 1 rows lies a diagonal entry.
        out[:: self.mean.shape[1] + 1] += self.variance.T @ pairs
        return out


@dataclass
class DensePosterior:
    """Normal weights with a ``covariance`` (n, n_channels, n_channels) per target."""

    mean: torch.Tensor
    covariance: torch.Tensor
    divergence: torch.Tensor

    @property
    def variance(self):
        """Variance of every weight, (n, n_channels)."""
        return self.covariance.diagonal(dim1=1, dim2=2)

    def curve(self, contracted):
        """As of :class:`DiagonalPosterior`, (n, n_pairs)."""
        spread = self.covariance.flatten(1) @ contracted.flatten(0, 1)
        return _mean_curve(self.mean, contracted) + spread

    def precision(self, pairs):
        """As of :class:`DiagonalPosterior`, (n_channels^2, n_pairs)."""
        return _mean_precision(self.mean, pairs) + self.covariance.flatten(1).T @ pairs


@dataclass
class SpectralPosterior:
    """Normal weights whose covariances share eigenvectors.

    ``spectrum`` (n, n_channels) are their eigenvalues, ``vectors`` (n_channels, n_channels) hold
    one eigenvector per column.
    """

    mean: torch.Tensor
    spectrum: torch.Tensor
    vectors: torch.Tensor
    divergence: torch.Tensor

    @property
    def variance(self):
        """Variance of every weight, (n, n_channels)."""
        return self.spectrum @ self.vectors.T**2

    def curve(self, contracted):
        """As of :class:`DiagonalPosterior`, (n, n_pairs)."""
        rotated = torch.einsum("ni,njp->ijp", self.vectors, contracted)
        seen = torch.einsum("ijp,ji->ip", rotated, self.vectors)
        return _mean_curve(self.mean, contracted) + self.spectrum @ seen

    def precision(self, pairs):
        """As of :class:`DiagonalPosterior`, (n_channels^2, n_pairs)."""
        summed = self.spectrum.T @ pairs
        spread = torch.einsum("ni,ip,ki->nkp", self.vectors, summed, self.vectors)
        return _mean_precision(self.mean, pairs) + spread.flatten(0, 1)
