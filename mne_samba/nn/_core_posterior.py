"""Posteriors of the map: what the other factors of the linear core need to know of them.

All second moments ``E[S_m S_m']`` of the map enter the other updates through two contractions, with
the Gram matrix of every pair of basis responses and summed over targets. Each posterior contracts
in the form in which it is small, so that ``n_nodes ** 2`` numbers per target exist only where a
posterior truly has them.
"""

from dataclasses import dataclass

import torch


def mean_curve(mean, contracted):
    """Contract outer products of means: (n, n_nodes), (n_nodes, n_nodes, n_pairs) -> (n, n_pairs).

    Parameters
    ----------
    mean : Tensor of shape (n, n_nodes)
        Means of the map.
    contracted : Tensor of shape (n_nodes, n_nodes, n_pairs)
        Gram matrix of every pair of basis responses, bands contracted.

    Returns
    -------
    curve : Tensor of shape (n, n_pairs)
        ``mean' contracted mean`` of each target.
    """
    n_nodes, _, n_pairs = contracted.shape
    seen = (mean @ contracted.reshape(n_nodes, -1)).reshape(len(mean), n_nodes, n_pairs)
    return torch.bmm(mean[:, None], seen)[:, 0]


def mean_precision(mean, pairs):
    """Sum outer products of means over targets: (n, n_nodes), (n, n_pairs) -> (n_nodes^2, n_pairs).

    Parameters
    ----------
    mean : Tensor of shape (n, n_nodes)
        Means of the map.
    pairs : Tensor of shape (n, n_pairs)
        Weight of each target for each pair of basis responses.

    Returns
    -------
    precision : Tensor of shape (n_nodes * n_nodes, n_pairs)
        ``sum_m pairs_mp mean_m mean_m'``.
    """
    n, n_nodes = mean.shape
    weighted = (mean[:, :, None] * pairs[:, None]).reshape(n, -1)
    return (mean.T @ weighted).reshape(n_nodes * n_nodes, -1)


@dataclass
class DiagonalPosterior:
    """Independent weights.

    Attributes
    ----------
    mean, variance : Tensor of shape (n, n_nodes)
        Moments of every weight.
    divergence : Tensor of shape (n,)
        Kullback-Leibler divergence from the prior.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    divergence: torch.Tensor

    def curve(self, contracted):
        """Contract expected outer products with Gram matrices, (n, n_pairs)."""
        diagonal = contracted.diagonal(dim1=0, dim2=1)
        return mean_curve(self.mean, contracted) + self.variance @ diagonal.T

    def precision(self, pairs):
        """Sum expected outer products over targets, (n_nodes * n_nodes, n_pairs)."""
        out = mean_precision(self.mean, pairs)
        # Every n_nodes + 1 rows lies a diagonal entry.
        out[:: self.mean.shape[1] + 1] += self.variance.T @ pairs
        return out


@dataclass
class DensePosterior:
    """Normal weights with a covariance matrix per target.

    Attributes
    ----------
    mean : Tensor of shape (n, n_nodes)
        Means.
    covariance : Tensor of shape (n, n_nodes, n_nodes)
        Covariances.
    divergence : Tensor of shape (n,)
        Kullback-Leibler divergence from the prior.
    """

    mean: torch.Tensor
    covariance: torch.Tensor
    divergence: torch.Tensor

    @property
    def variance(self):
        """Variance of every weight, (n, n_nodes)."""
        return self.covariance.diagonal(dim1=1, dim2=2)

    def curve(self, contracted):
        """Contract expected outer products with Gram matrices, (n, n_pairs)."""
        spread = self.covariance.flatten(1) @ contracted.flatten(0, 1)
        return mean_curve(self.mean, contracted) + spread

    def precision(self, pairs):
        """Sum expected outer products over targets, (n_nodes * n_nodes, n_pairs)."""
        return mean_precision(self.mean, pairs) + self.covariance.flatten(1).T @ pairs


@dataclass
class SpectralPosterior:
    """Normal weights whose covariances share their eigenvectors.

    Attributes
    ----------
    mean : Tensor of shape (n, n_nodes)
        Means.
    spectrum : Tensor of shape (n, n_nodes)
        Eigenvalues of the covariances.
    vectors : Tensor of shape (n_nodes, n_nodes)
        Eigenvectors, one per column.
    divergence : Tensor of shape (n,)
        Kullback-Leibler divergence from the prior.
    """

    mean: torch.Tensor
    spectrum: torch.Tensor
    vectors: torch.Tensor
    divergence: torch.Tensor

    @property
    def variance(self):
        """Variance of every weight, (n, n_nodes)."""
        return self.spectrum @ self.vectors.T**2

    def curve(self, contracted):
        """Contract expected outer products with Gram matrices, (n, n_pairs)."""
        rotated = torch.einsum("ni,njp->ijp", self.vectors, contracted)
        seen = torch.einsum("ijp,ji->ip", rotated, self.vectors)
        return mean_curve(self.mean, contracted) + self.spectrum @ seen

    def precision(self, pairs):
        """Sum expected outer products over targets, (n_nodes * n_nodes, n_pairs)."""
        summed = self.spectrum.T @ pairs
        spread = torch.einsum("ni,ip,ki->nkp", self.vectors, summed, self.vectors)
        return mean_precision(self.mean, pairs) + spread.flatten(0, 1)
