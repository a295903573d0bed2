"""Joint diagonalisation of positive definite matrices."""

from __future__ import annotations

import numpy as np

# Curvature of a pair of components below which they cannot be told apart.
_FLATTEST = 1e-4
# Halvings of a step that does not lower the criterion.
_HALVINGS = 10


def joint_diagonalizer(
    matrices: np.ndarray, *, weights: np.ndarray | None = None, start: np.ndarray | None = None,
    tol: float = 1e-4, max_iter: int = 200,
) -> np.ndarray:  # fmt: skip
    r"""Find the one basis in which all matrices are as diagonal as can be.

    Minimises the likelihood criterion of Pham and Cardoso (2001, IEEE Transactions on Signal
    Processing 49) of Gaussian sources whose power changes,

    .. math:: \sum_s w_s \left(\log\det\mathrm{diag}(B C_s B^T) - \log\det(B C_s B^T)\right),

    by the quasi-Newton method of Ablin, Cardoso and Gramfort (2019, ESANN; arXiv:1811.11433): the
    Hessian is approximated by its value where the matrices are diagonal, in blocks of 2 x 2.

    Parameters
    ----------
    matrices : array, shape (n_matrices, n, n)
        Symmetric and positive definite. Their scale does not matter.
    weights : array, shape (n_matrices,) | None
        How much each counts; None counts all alike.
    start : array, shape (n, n) | None
        Where to begin; None whitens the mean.
    tol : float
        Root mean square of the gradient per component at which to stop.
    max_iter : int
        Steps at most.

    Returns
    -------
    ndarray, shape (n, n)
        The basis, a component per row.
    """
    n = matrices.shape[1]
    weights = np.ones(len(matrices)) if weights is None else np.asarray(weights, dtype=float)
    weights = weights / weights.sum()
    if start is None:
        values, vectors = np.linalg.eigh(np.tensordot(weights, matrices, axes=1))
        start = vectors.T / np.sqrt(values[:, None])
    basis = np.asarray(start, dtype=np.float64)
    turned = _transformed(matrices, basis)
    power = np.diagonal(turned, axis1=1, axis2=2).astype(np.float64)
    loss = _loss(power, basis, weights)
    for _ in range(max_iter):
        inverse = weights[:, None] / power
        gradient = np.einsum("si,sij->ij", inverse.astype(turned.dtype), turned).astype(float)
        gradient -= np.eye(n)
        if np.linalg.norm(gradient) < tol * np.sqrt(n):
            break
        ratio = inverse.T @ power
        curvature = np.maximum(ratio * ratio.T - 1.0, _FLATTEST)
        step = -(gradient * ratio.T - gradient.T) / curvature
        for _ in range(_HALVINGS):
            move = np.eye(n) + step
            new = _transformed(turned, move)
            new_power = np.diagonal(new, axis1=1, axis2=2).astype(np.float64)
            new_loss = _loss(new_power, move @ basis, weights)
            if new_loss < loss:
                break
            step /= 2
        else:
            break
        basis, turned, power, loss = move @ basis, new, new_power, new_loss
    return basis


def _transformed(matrices: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Matrices (n_matrices, n, n) in another basis, in the precision they have."""
    basis = basis.astype(matrices.dtype)
    return np.matmul(basis, np.matmul(matrices, basis.T))


def _loss(power: np.ndarray, basis: np.ndarray, weights: np.ndarray) -> float:
    """Criterion from the power (n_matrices, n) of components."""
    if not (power > 0).all():
        return np.inf
    return 0.5 * float(weights @ np.log(power).sum(axis=1)) - np.linalg.slogdet(basis)[1]
