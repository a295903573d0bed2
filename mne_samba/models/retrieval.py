"""Which BOLD window belongs to a window of electrophysiology: a matched filter."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cholesky, solve_triangular, toeplitz
from sklearn.utils import Bunch

from .._checks import check_number
from ..arrays import array
from ..core.inverse import autocorrelation, shrunk_covariance
from ..data.paired import Paired

# Frames over which BOLD and residuals are taken to remember themselves.
N_ACF = 64
# Targets whose covariance is measured: that of more takes gigabytes.
MOST_TARGETS = 5000


@dataclass(frozen=True)
class MatchedFilter:
    r"""Likelihood ratio of a measured window given a prediction, against that of any window.

    .. math:: s_{ij} = \log p(y_j \mid \hat y_i) - \log p(y_j)

    with Gaussian :math:`y_j \mid \hat y_i` around the prediction and Gaussian :math:`y_j` around
    zero, covariances separable in space and time. It is the most powerful score that such a model
    has; cosine similarity is its special case of white noise.
    """

    noise: np.ndarray = array("n_targets", "n_targets")  # covariance of residuals
    total: np.ndarray = array("n_targets", "n_targets")  # of BOLD
    noise_acf: np.ndarray = array("n_acf")  # autocorrelation over frames
    total_acf: np.ndarray = array("n_acf")

    @classmethod
    def fit(cls, targets: list[np.ndarray], frames: list[np.ndarray]) -> Self:
        """Measure BOLD and what predictions leave of it, both lists of (n_frames, n_targets)."""
        residuals = [y - p for y, p in zip(targets, frames, strict=True)]
        rows, left = np.concatenate(targets), np.concatenate(residuals)
        kept = np.isfinite(rows).all(axis=1)
        return cls(
            shrunk_covariance(left[kept]),
            shrunk_covariance(rows[kept]),
            autocorrelation([r.T for r in residuals], N_ACF),
            autocorrelation([y.T for y in targets], N_ACF),
        )

    @classmethod
    def of(cls, data: Paired, frames: list[np.ndarray]) -> Self | None:
        """Measure training data and predictions of them.

        None for tables, which have no windows, and for very many targets.
        """
        if data.kind == "table" or data.n_targets > MOST_TARGETS:
            return None
        if data.grids is not None:
            # Memory over frames is that of one time between them.
            rows = [i for i, on in enumerate(data.grids) if on == data.grid]
            data, frames = data.take(rows), [frames[i] for i in rows]
        seen = zip(data.targets, data.masks, strict=True)
        # Regions that a recording lacks stand at their mean.
        targets = [np.where(m[:, None], np.nan_to_num(t), np.nan) for t, m in seen]
        return cls.fit(targets, frames)

    def scores(self, pred: np.ndarray, bold: np.ndarray) -> np.ndarray:
        """Score windows (n_windows, n_frames, n_targets): rows predicted, columns measured."""
        pred, white = (self._whiten(a, self.noise, self.noise_acf) for a in (pred, bold))
        total = self._whiten(bold, self.total, self.total_acf)
        distance = (pred**2).sum(1)[:, None] + (white**2).sum(1) - 2 * pred @ white.T
        return 0.5 * (total**2).sum(1) - 0.5 * distance

    @staticmethod
    def _whiten(windows: np.ndarray, covariance: np.ndarray, acf: np.ndarray) -> np.ndarray:
        """White windows (n_windows, n_frames * n_targets)."""
        n_frames, n_targets = windows.shape[1:]
        column = np.zeros(n_frames)
        column[: min(n_frames, len(acf))] = acf[:n_frames]
        time = cholesky(toeplitz(column) + 0.02 * np.eye(n_frames), lower=True)
        ridge = 1e-3 * np.trace(covariance) / n_targets
        space = cholesky(covariance + ridge * np.eye(n_targets), lower=True)
        out = solve_triangular(space, windows.reshape(-1, n_targets).T, lower=True)
        out = out.T.reshape(len(windows), n_frames, n_targets).transpose(1, 0, 2)
        out = solve_triangular(time, out.reshape(n_frames, -1), lower=True)
        out = out.reshape(n_frames, len(windows), n_targets).transpose(1, 0, 2)
        return out.reshape(len(windows), -1)


def retrieval_summary(scores: np.ndarray, k=(1, 5, 10)) -> Bunch:
    """Ranks of the true partners, on the diagonal of scores (n_windows, n_windows)."""
    k = (k,) if np.ndim(k) == 0 else tuple(k)
    for size in k:
        check_number(size, "k", low=1, integer=True)
    n = len(scores)
    own = np.diag(scores)[:, None]
    # Ties count half, so that constant scores lie at chance.
    ranks = 1 + (scores > own).sum(axis=1) + 0.5 * ((scores == own).sum(axis=1) - 1)
    return Bunch(
        top={int(size): float(np.mean(ranks <= size)) for size in k},
        chance={int(size): min(1.0, size / n) for size in k},
        median_rank=float(np.median(ranks)),
        chance_rank=(n + 1) / 2,
        n_candidates=n,
        ranks=ranks,
    )
