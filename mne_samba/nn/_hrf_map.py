"""Ridge by marginal likelihood, and the map from many drives to many targets."""

import numpy as np

from ._hrf_stats import design, response_stats, whiten, without_drift

_PENALTIES = np.logspace(-6, 4, 31)  # relative to the mean eigenvalue of the products


def evidence_ridge(gram, cross, power, n_rows):
    """Ridge regressions whose penalties maximise the marginal likelihood.

    For ``w ~ N(0, sigma^2 / penalty)`` and noise of variance ``sigma^2``, which is profiled out.

    Parameters
    ----------
    gram : array of shape (n, p, p)
        Products of regressors.
    cross : array of shape (n, p)
        Products of regressors and target.
    power : array of shape (n,)
        Target's sum of squares.
    n_rows : array of shape (n,)
        Observations.

    Returns
    -------
    weights : array of shape (n, p)
        Regression weights.
    penalty : array of shape (n,)
        The penalties.
    """
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    rotated = (vectors.transpose(0, 2, 1) @ cross[..., None])[..., 0]
    size = np.maximum(values.mean(1), 1e-300)
    penalty = _PENALTIES[:, None] * size
    shrunk = values + penalty[..., None]
    left = power - (rotated**2 / shrunk).sum(-1)
    left = np.maximum(left, 1e-9 * np.maximum(power, 1e-300))
    evidence = -0.5 * n_rows * np.log(left) - 0.5 * np.log(shrunk / penalty[..., None]).sum(-1)
    best = evidence.argmax(0)
    chosen = penalty[best, np.arange(len(gram))]
    weights = (vectors @ (rotated / (values + chosen[:, None]))[..., None])[..., 0]
    return weights, chosen


class PairedDrives:
    """One drive per target."""

    def __init__(self, recordings, basis, step, dt):
        self.recordings, self.basis, self.step, self.dt = recordings, basis, step, dt
        self.weights = None

    def stats(self, n_block_rows):
        """Products per region and block."""
        return response_stats(self.recordings, self._designs, len(self.basis), n_block_rows)

    def _designs(self, regions):
        return [design(r, regions, self.basis, self.step, self.dt) for r in self.recordings]


class MappedDrives:
    """Drives and targets of different number: a target's drive is a weighted sum of all drives."""

    def __init__(self, recordings, basis, step, dt):
        self.recordings, self.basis = recordings, basis
        drives = np.arange(len(recordings[0].bins[0]))
        self.convolved = [design(r, drives, basis, step, dt) for r in recordings]
        self.clean = [without_drift(r) for r in recordings]
        self.ar = np.zeros(recordings[0].y.shape[1])
        self.weights = None

    def fit_map(self, coefs):
        """Weights of the drives given the responses' coefficients, (n_targets, n_drives)."""
        weights = []
        for target, coef in enumerate(coefs):
            gram, cross, power, n_rows = 0.0, 0.0, 0.0, 0
            for r, Z, y in zip(self.recordings, self.convolved, self.clean, strict=True):
                x = np.tensordot(coef, Z, axes=(0, 1))
                ar = self.ar[target : target + 1]
                x = whiten(x[None], ar, r.follows)[0]
                t = whiten(y[target : target + 1], ar, r.follows)[0]
                gram, cross = gram + x @ x.T, cross + x @ t
                power, n_rows = power + t @ t, n_rows + len(t)
            w, _ = evidence_ridge(
                gram[None], cross[None], np.array([power]), np.array([float(n_rows)])
            )
            weights.append(w[0])
        self.weights = np.stack(weights)
        return self.weights

    def stats(self, n_block_rows):
        """Products per target and block, for the drives that the present map makes."""
        stats = response_stats(self.recordings, self._designs, len(self.basis), n_block_rows)
        self.ar = stats.ar
        return stats

    def _designs(self, regions):
        return [np.tensordot(self.weights[regions], Z, axes=1) for Z in self.convolved]
