"""Priors over the map from nodes to targets: posteriors, learnt hyperparameters, divergences."""

import math

import torch

from ._core_posterior import DensePosterior, DiagonalPosterior, SpectralPosterior

# Degrees of freedom of the heavy-tailed prior, and the slightest variance a prior may learn.
_TAIL = 1.0
_MIN_VARIANCE = 1e-10


class GaussianMap:
    """Independent normal weights with one learnt variance.

    Parameters
    ----------
    n_targets, n_nodes : int
        Shape of the map.
    variance : float
        First prior variance.

    Attributes
    ----------
    floor : float
        Least variance that is learnt, averaged over all weights: a mean-field posterior falls back
        to zero well before the data say so.
    """

    name = "gaussian"
    uniform = True  # whether all weights have one prior precision
    per_target = "nodes"  # a posterior holds a matrix of nodes per target

    def __init__(self, n_targets, n_nodes, variance):
        self.variance = max(float(variance), _MIN_VARIANCE)
        self.floor = 0.0
        self.shape = (n_targets, n_nodes)
        self.energy = torch.zeros(self.shape, dtype=torch.float64)

    def precision(self, targets):
        """Return prior precisions of a slice of targets, (n, n_nodes)."""
        n = len(range(*targets.indices(self.shape[0])))
        return torch.full((n, self.shape[1]), 1 / self.variance, dtype=torch.float64)

    def update(self, targets, contracted, pairs, linear, current):
        """Update the posterior of a slice of targets.

        Parameters
        ----------
        targets : slice
            Which targets.
        contracted : Tensor of shape (n_nodes, n_nodes, n_pairs)
            Gram matrix of every pair of basis responses, bands contracted.
        pairs : Tensor of shape (n, n_pairs)
            Second moments of the responses over the noise: with ``contracted`` they give each
            target's precision from the data.
        linear : Tensor of shape (n, n_nodes)
            Precision-weighted data.
        current : Tensor of shape (n, n_nodes)
            Posterior means before the update.

        Returns
        -------
        posterior : DensePosterior, DiagonalPosterior or SpectralPosterior
            Moments of the map, and its divergence from the prior.
        """
        prior = self.precision(targets)
        if pairs.shape[1] == 1 and self.uniform:
            posterior = self._spectral(contracted[..., 0], pairs, linear)
        else:
            posterior = self._dense(contracted, pairs, linear, prior)
        energy = posterior.variance + posterior.mean**2
        self.energy[targets] = energy
        posterior.divergence += 0.5 * (prior * energy - 1 - prior.log()).sum(1)
        posterior.divergence += self.tail_divergence(targets)
        return posterior

    def _dense(self, contracted, pairs, linear, prior):
        n_nodes = len(contracted)
        quadratic = (pairs @ contracted.flatten(0, 1).T).reshape(-1, n_nodes, n_nodes)
        quadratic.diagonal(dim1=1, dim2=2).add_(prior)
        root = torch.linalg.cholesky(quadratic)
        del quadratic
        covariance = torch.cholesky_inverse(root)
        mean = (covariance @ linear[..., None])[..., 0]
        return DensePosterior(mean, covariance, root.diagonal(dim1=1, dim2=2).log().sum(1))

    def _spectral(self, contracted, scale, linear):
        """One response for all: precisions are multiples of one matrix, decomposed once."""
        values, vectors = torch.linalg.eigh(contracted)
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

    def __init__(self, n_targets, n_nodes, variance):
        super().__init__(n_targets, n_nodes, variance)
        self.relevance = torch.full(self.shape, 1 / self.variance, dtype=torch.float64)

    def precision(self, targets):
        """Return expected precisions of a slice of targets, (n, n_nodes)."""
        return self.relevance[targets]

    def tail_divergence(self, targets):
        """Update q(precision) from the new weights and return what it adds to the divergence.

        Parameters
        ----------
        targets : slice
            Which targets; ``energy`` holds their expected squares.

        Returns
        -------
        divergence : Tensor of shape (n,)
            ``KL(q(precision) || prior)`` plus the change in the weights' expected log density.
        """
        old = self.relevance[targets]
        energy = self.energy[targets]
        shape, rate = 0.5 * (_TAIL + 1), 0.5 * (_TAIL * self.variance + energy)
        new = shape / rate
        self.relevance[targets] = new
        log_new = math.log(1.0) + torch.digamma(torch.tensor(shape)).double() - rate.log()
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

    Mean field over weights, updated one node at a time for all targets at once.

    Parameters
    ----------
    n_targets, n_nodes : int
        Shape of the map.
    variance : float
        First slab variance.
    inclusion : float
        First prior probability that a weight is not zero.
    n_sweeps : int
        Passes over the nodes per update.

    References
    ----------
    Titsias M., Lazaro-Gredilla M. (2011). Spike and slab variational inference for multi-task and
    multiple kernel learning. NeurIPS. Carbonetto P., Stephens M. (2012). Bayesian Analysis 7.
    """

    name = "sparse"
    per_target = "pairs"

    def __init__(self, n_targets, n_nodes, variance, inclusion=0.2, n_sweeps=1):
        super().__init__(n_targets, n_nodes, variance)
        self.inclusion = inclusion
        self.n_sweeps = n_sweeps
        self.included = torch.full(self.shape, inclusion, dtype=torch.float64)

    def update(self, targets, contracted, pairs, linear, current):
        """Update the posterior of a slice of targets, see :meth:`GaussianMap.update`."""
        diagonal = pairs @ contracted.diagonal(dim1=0, dim2=1)
        precision = diagonal + 1 / self.variance
        odds = math.log(self.inclusion / (1 - self.inclusion))
        offset = odds - 0.5 * (precision * self.variance).log()
        # Nodes come first: each is updated for all targets at once, on contiguous memory.
        mean = current.T.clone()
        gain = 0.5 * precision.T
        linear, diagonal, offset = (v.T.contiguous() for v in (linear, diagonal, offset))
        slab, logits = torch.empty_like(mean), torch.empty_like(mean)
        for sweep in range(self.n_sweeps):
            order = range(len(mean)) if sweep % 2 == 0 else reversed(range(len(mean)))
            for n in order:
                # A row of each target's precision times its means, without forming the row.
                seen = torch.linalg.vecdot(mean.T @ contracted[n], pairs)
                torch.div(linear[n] - seen + diagonal[n] * mean[n], 2 * gain[n], out=slab[n])
                torch.addcmul(offset[n], slab[n] ** 2, gain[n], out=logits[n])
                torch.mul(torch.sigmoid(logits[n]), slab[n], out=mean[n])
        mean, slab, logits = (v.T.contiguous() for v in (mean, slab, logits))
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


MAP_PRIORS = {"gaussian": GaussianMap, "ard": HeavyTailedMap, "sparse": SparseMap}
