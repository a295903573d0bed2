"""More sources than sensors: topographies that explain how covariances change."""

from collections.abc import Sequence

import numpy as np
import torch

# Variance of what few samples scatter, relative to that of sources' power, to begin with.
_NOISE = 0.1


def topographies(
    covariances: np.ndarray, dof: np.ndarray, start: np.ndarray, *, max_iter: int = 60
) -> np.ndarray:
    r"""Find the topographies of sources, which may be more than sensors, by maximum likelihood.

    In a piece s, the covariance of a band b, whitened by the band's mean over pieces, departs from
    identity as the power of sources does,

    .. math:: D_{bs} = \sum_j d_{jbs} a_{jb} a_{jb}^T + E_{bs},
        \qquad d_{jbs} \sim N(0, \tau_b^2),

    where :math:`a_{jb}` is the topography of source j in whitened sensors, of unit length, and E is
    what :math:`\nu_b` degrees of freedom scatter, of variance :math:`2 / \nu_b` along every
    symmetric direction. Covariances have more entries than there are sensors, so that more sources
    than these can be told apart (De Lathauwer, Castaing and Cardoso 2007, IEEE Transactions on
    Signal Processing 55). With :math:`G_b = (A_b^T A_b)^{\circ 2}`,
    :math:`h_{bs} = \mathrm{diag}(A_b^T D_{bs} A_b)` and :math:`\lambda_b = 2 / (\nu_b \tau_b^2)`,
    the power is integrated out and

    .. math:: \sum_{b,s} \frac{\nu_b}{4} h_{bs}^T (G_b + \lambda_b I)^{-1} h_{bs}
        - \frac{1}{2} \log\det(I + G_b / \lambda_b)

    is maximised over topographies and :math:`\lambda_b` (L-BFGS).

    ``covariances`` (n_pieces, n_bands, n, n) of channels, or of components that span them, of
    ``dof`` (n_bands,) degrees of freedom; ``start`` and what is found (n, n_sources).
    """
    changes, whiteners = [], []
    for own in np.moveaxis(covariances, 1, 0).astype(np.float64):
        values, vectors = np.linalg.eigh(own.mean(axis=0))
        whitener = (vectors / np.sqrt(values)).T
        white = np.matmul(whitener, np.matmul(own, whitener.T)) - np.eye(len(values))
        changes.append(torch.as_tensor(white, dtype=torch.float32))
        whiteners.append(torch.as_tensor(whitener, dtype=torch.float32))
    found = torch.as_tensor(np.array(start, order="C"), dtype=torch.float32)
    found = (found / found.norm(dim=0)).requires_grad_()
    noise = torch.full((len(changes),), float(np.log(_NOISE)), requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [found, noise], max_iter=max_iter, max_eval=2 * max_iter, history_size=30,
        line_search_fn="strong_wolfe", tolerance_change=1e-9, tolerance_grad=0.0,
    )  # fmt: skip

    def loss():
        optimizer.zero_grad()
        value = _misfit(found / found.norm(dim=0), noise.exp(), changes, whiteners, dof)
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        return (found / found.norm(dim=0)).numpy().astype(np.float64)


def _misfit(found, noise, changes: Sequence, whiteners: Sequence, dof) -> torch.Tensor:
    """Negative logarithm of the likelihood per matrix, constants left out."""
    total, eye = torch.zeros(()), torch.eye(found.shape[1])
    for change, whitener, level, freedom in zip(changes, whiteners, noise, dof, strict=True):
        white = whitener @ found
        white = white / white.norm(dim=0)
        gram = (white.T @ white) ** 2
        power = (torch.matmul(change, white) * white).sum(dim=1)
        root = torch.linalg.cholesky(gram + level * eye)
        explained = torch.linalg.solve_triangular(root, power.T, upper=False).square().sum()
        half_logdet = root.diagonal().log().sum() - 0.5 * len(eye) * level.log()
        total = total - 0.25 * float(freedom) * explained + len(change) * half_logdet
    return total / sum(map(len, changes))
