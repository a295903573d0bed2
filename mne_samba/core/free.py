"""A free, smooth response of every drive: regression with a Gaussian process over lags.

The model of target m is linear, and shares nothing between drives (bands of channels)::

    y_m(t) = sum_nk (c_mnk * P_nk)(t) + intercept_m + e_m(t),   e_m an AR(1) process

Responses ``c`` have the covariance over lags that free responses of the linear core have, times a
variance which is common to all and maximises the marginal likelihood. Where drives differ in their
timing, no model with one response per target can follow; where they do not, it needs more data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg.blas import ssyrk

from .._regression import own_penalties, shared_penalty
from ..arrays import array
from .moments import (
    Runs,
    as_segments,
    as_tensors,
    at_lags,
    change_of_noise,
    gather_used,
    lagged_features,
    runs_of_frames,
    used_features,
    whiten_and_centre,
)
from .response import free_basis

# Components of responses over lags, largest variance first, and those of quick fits.
N_FREE_BASIS, _FEWER = 16, 8
# Coefficients, or frames where they are fewer, above which a decomposition takes too long.
_MOST = 4000
# First guess of the noise's autocorrelation, and the change that asks for another whitening.
_START_RHO, _RHO_CHANGE, _MOST_WHITENINGS = 0.4, 0.03, 3
# Powers of ten of penalties over the mean eigenvalue: below, frames are interpolated.
_EXPONENTS = np.linspace(-2, 4, 25)


@dataclass(frozen=True, eq=False)
class FreeResponses:
    """Responses of all drives to all targets; lags are ``(arange(n_lags) + 0.5) * dt``."""

    basis: np.ndarray = array("n_free_basis", "n_lags")
    coef: np.ndarray = array("n_targets", "n_free_basis", "n_channels", "n_bands")
    intercept: np.ndarray = array("n_targets")
    dt: float  # width of a bin in seconds
    # In nats, over none. Smooth features of many drives follow any memory that whitening has left:
    # it says something where coefficients are far fewer than frames.
    evidence: float

    _own_dims = ("n_free_basis",)

    def at_bins(self, n_lags: int, dt: float) -> np.ndarray:
        """Basis (n_free_basis, n_lags) on other bins."""
        if (n_lags, dt) == (self.basis.shape[1], self.dt):
            return self.basis
        return at_lags(self.basis, n_lags, dt, self.dt)

    def predict(self, powers, n_lags: int, step: int, dt: float) -> list[np.ndarray]:
        """Frames (n_frames, n_targets) from band power (n_channels, n_bands, n_bins).

        Frames follow every ``step`` bins of ``dt`` seconds and see ``n_lags`` of them.
        """
        basis = torch.from_numpy(self.at_bins(n_lags, dt))
        coef = torch.from_numpy(self.coef).flatten(1)
        features = (lagged_features(p, basis, step, dt).flatten(1) for p in as_tensors(powers))
        return [(f @ coef.T).numpy() + self.intercept for f in features]


def fit_free(
    powers, targets, masks=None, *, dt, step, rho=None, hrf_bounds="human", n_lags=None, grids=None,
    per_target=False, quick=False,
) -> FreeResponses | None:  # fmt: skip
    """Fit responses of all drives; None where there are too many of them and of frames.

    Data and options as in `mne_samba.core.fit_core`, bounds by their name; ``rho`` is the noise's
    autocorrelation at one frame, for where what many coefficients leave over does not show it.
    ``per_target`` gives every target a variance of its own: that of many drives is known better
    together. A ``quick`` fit has fewer components and, where frames are fewer than coefficients,
    single precision, to which no penalty comes close.
    """
    segments = as_segments(powers, targets, masks, step, n_lags, grids)
    n_frames = sum(int(mask.sum()) for mask in segments.masks)
    n_channels, n_bands = segments.powers[0].shape[:2]
    basis = free_basis(_FEWER if quick else N_FREE_BASIS, segments.n_lags, float(dt), hrf_bounds)
    n_coef = len(basis) * n_channels * n_bands
    if min(n_frames, n_coef) > _MOST:
        return None
    precision = torch.float32 if quick and n_coef > n_frames else torch.float64
    design = used_features(segments, torch.from_numpy(basis).to(precision), dt).flatten(1)
    y = gather_used(segments.targets, segments.masks)
    runs = Runs(runs_of_frames(segments.masks), segments.seconds)
    few = rho is None or n_coef < n_frames
    rho = _START_RHO if few else rho
    for _ in range(_MOST_WHITENINGS):
        coef, evidence = _ridge(
            whiten_and_centre(design, runs, rho), whiten_and_centre(y, runs, rho), per_target
        )
        if not few:
            break
        left = y - (design @ coef.to(design.dtype)).double()
        used, rho = rho, runs.noise(left)
        if change_of_noise(rho, used) < _RHO_CHANGE:
            break
    intercept = y.mean(0) - design.mean(0).double() @ coef
    shape = (-1, len(basis), n_channels, n_bands)
    return FreeResponses(
        basis, coef.T.reshape(shape).numpy(), intercept.numpy(), float(dt), evidence
    )


def _ridge(x: torch.Tensor, y: torch.Tensor, per_target=False) -> tuple[torch.Tensor, float]:
    """Coefficients (n_features, n_targets) of whitened data, and their evidence in nats.

    One decomposition of products of features, or of frames where they are fewer.
    """
    primal = x.shape[1] <= x.shape[0]
    values, vectors = torch.linalg.eigh((x.T @ x).double() if primal else _products(x))
    values, vectors = values.double().clamp_min(0.0), vectors.double()
    penalties = float(values.mean().clamp_min(1e-12)) * 10.0**_EXPONENTS
    projected = vectors.T @ ((x.T @ y.to(x.dtype)).double() if primal else y)
    rotated = projected if primal else projected * values.sqrt()[:, None]
    problem = values.numpy(), rotated.T.numpy(), y.pow(2).sum(0).clamp_min(1e-12).numpy()
    if per_target:
        penalty, evidence = own_penalties(problem, len(x) - 1, penalties)
    else:
        penalty, evidence = shared_penalty([problem], len(x) - 1, penalties)
    coef = vectors @ (projected / (values[:, None] + torch.as_tensor(penalty)))
    return coef if primal else (x.T @ coef.to(x.dtype)).double(), evidence


def _products(x: torch.Tensor) -> torch.Tensor:
    """Products (n_rows, n_rows) of rows, of which the lower triangle alone is needed."""
    if x.dtype != torch.float32:
        return x @ x.T
    return torch.from_numpy(ssyrk(1.0, x.numpy().T, trans=1).T)
