"""Joint diagonalisation of positive definite matrices."""

import numpy as np

# Curvature of a pair of components below which they cannot be told apart.
_FLATTEST = 1e-4
# Halvings of a step that does not lower the criterion.
_HALVINGS = 10
# Steps on a part of the matrices: numbers in all from which on they save time, matrices per
# component in a part, what is added to the curvature that so few say little of, and most rounds.
_MANY, _PART, _DAMPING, _ROUNDS = 1e6, 0.75, 0.1, 20
# Matrices that are transformed at once: their products stay in the cache.
_AT_ONCE = 32


def joint_diagonalizer(
    matrices: np.ndarray, *, weights: np.ndarray | None = None, start: np.ndarray | None = None,
    tol: float = 1e-4, max_iter: int = 200,
) -> np.ndarray:  # fmt: skip
    r"""Find the one basis in which all matrices are as diagonal as can be.

    Minimises the likelihood criterion of Pham and Cardoso (2001, IEEE Transactions on Signal
    Processing 49) of Gaussian sources whose power changes,

    .. math:: \sum_s w_s \left(\log\det\mathrm{diag}(B C_s B^T) - \log\det(B C_s B^T)\right),

    by the quasi-Newton method of Ablin, Cardoso and Gramfort (2019, ESANN; arXiv:1811.11433): the
    Hessian is approximated by its value where the matrices are diagonal, in blocks of 2 x 2. Far
    from there, where many short steps are needed, each looks at another part of the matrices.

    ``matrices`` (n_matrices, n, n) of any scale count by ``weights`` (n_matrices,). The basis (n,
    n) has a component per row; it begins with ``start``, or with what whitens the mean, and stops
    where the root mean square of the gradient per component is ``tol``.
    """
    n = matrices.shape[1]
    weights = np.ones(len(matrices)) if weights is None else np.asarray(weights, dtype=float)
    weights = weights / weights.sum()
    if not weights.all():
        matrices, weights = matrices[weights > 0], weights[weights > 0]
    if start is None:
        values, vectors = np.linalg.eigh(weighted_sum(matrices, weights))
        start = vectors.T / np.sqrt(values[:, None])
    basis = _approach(matrices, weights, np.asarray(start, dtype=np.float64))
    loss, gradient, ratio = _criterion(matrices, weights, basis)
    for _ in range(max_iter):
        if np.linalg.norm(gradient) < tol * np.sqrt(n):
            break
        step = _newton_step(gradient, ratio)
        for _ in range(_HALVINGS):
            new = basis + step @ basis
            found = _criterion(matrices, weights, new)
            if found[0] < loss:
                break
            step /= 2
        else:
            break
        basis, (loss, gradient, ratio) = new, found
    return basis


def weighted_sum(arrays: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Add up arrays (n, ...) by weights (n,), in the arrays' own precision until they are one."""
    flat = weights.astype(arrays.dtype) @ arrays.reshape(len(arrays), -1)
    return flat.reshape(arrays.shape[1:]).astype(np.float64)


def _approach(matrices: np.ndarray, weights: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Come near the optimum (n, n) by steps on parts of the matrices, until rounds gain no more."""
    n_parts = int(len(matrices) / (_PART * len(start)))
    if n_parts < 2 or matrices.size < _MANY:
        return start
    rng, basis, losses = np.random.default_rng(0), start, []
    for _ in range(_ROUNDS):
        losses.append(0.0)
        for part in np.array_split(rng.permutation(len(matrices)), n_parts):
            share = weights[part].sum()
            loss, gradient, ratio = _criterion(matrices[part], weights[part] / share, basis)
            losses[-1] += share * loss
            if not np.isfinite(loss):
                return start
            step = _newton_step(gradient, ratio, _DAMPING)
            basis = basis + step / max(1.0, np.abs(step).max()) @ basis
        # A round is as noisy as its parts.
        if len(losses) > 3 and sum(losses[-2:]) > sum(losses[-4:-2]):
            break
    better = _criterion(matrices, weights, basis)[0] < _criterion(matrices, weights, start)[0]
    return basis if better else start


def _newton_step(gradient: np.ndarray, ratio: np.ndarray, damping: float = 0.0) -> np.ndarray:
    """Relative step (n, n) from the gradient and the mean ratio of powers of pairs (n, n)."""
    curvature = np.maximum(ratio * ratio.T - 1.0, _FLATTEST) + damping
    return -(gradient * ratio.T - gradient.T) / curvature


def _criterion(matrices: np.ndarray, weights: np.ndarray, basis: np.ndarray):
    """Criterion, its relative gradient (n, n), and mean ratios of powers of components (n, n)."""
    low = basis.astype(matrices.dtype)
    loss, gradient, ratio = -np.linalg.slogdet(basis)[1], np.zeros(low.shape), np.zeros(low.shape)
    for first in range(0, len(matrices), _AT_ONCE):
        own = weights[first : first + _AT_ONCE]
        half = np.matmul(low, matrices[first : first + _AT_ONCE])
        power = np.einsum("sij,ij->si", half, low).astype(np.float64)
        if not (np.isfinite(power) & (power > 0)).all():
            return np.inf, gradient, ratio
        loss += 0.5 * own @ np.log(power).sum(axis=1)
        inverse = own[:, None] / power
        gradient += np.einsum("si,sij->ij", inverse.astype(half.dtype), half)
        ratio += inverse.T @ power
    return float(loss), gradient @ basis.T - np.eye(len(basis)), ratio
