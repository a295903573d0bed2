"""Intervals around predictions from residuals on blocks that were not trained on."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.validation import check_is_fitted

from .._typing import Detrend
from ..models.intervals import check_coverage, conformal_quantile, stacked
from ._folds import folds_of
from ._jobs import Job, run_jobs
from ._parts import inverse_of, with_t_r
from ._samples import read_samples
from ._score import Scorer, runs_of


def out_of_block_residuals(
    estimator, X, y, groups: Sequence | None = None, *, cv=None,
    detrend: str | int | None = "cosine", t_r: float | None = None, context: float | None = None,
    n_jobs: int | None = None, random_state: int | None = 0,
) -> list[np.ndarray]:  # fmt: skip
    """Residuals of each held-out run, measured minus predicted, both without drift, as scored.

    Parameters
    ----------
    estimator : estimator
        Any scikit-learn regressor that takes ``X`` and ``y``.
    X, y, groups, cv, detrend, t_r, context, n_jobs, random_state
        As in :func:`evaluate`; the default ``cv`` leaves a person (a recording where
        nothing says whose it is) or a block of time out.

    Returns
    -------
    residuals : list of ndarray, each (n_frames, n_targets)
        One array per fold and recording; NaN where frames do not count, as in :func:`evaluate`.

    Raises
    ------
    ValueError
        If the seconds between frames are unknown.
    """
    estimator = with_t_r(estimator, t_r)
    samples = read_samples(estimator, X, y, groups, t_r=t_r, context=context)
    scorer = Scorer(samples, detrend, {})
    folds = folds_of(samples, cv)
    jobs = [Job("model", k, estimator, train, test) for k, (train, test) in enumerate(folds)]
    fitted = run_jobs(jobs, samples, random_state=random_state, n_jobs=n_jobs)
    residuals = []
    for k, ((_, test), parts) in enumerate(zip(folds, fitted, strict=True)):
        runs = runs_of(samples, k, test, {"model": parts})
        residuals += [scorer.residuals(run, "model") for run in runs]
    return residuals


def residual_std(residuals: Sequence) -> np.ndarray:
    """Root mean square of residuals on unseen frames, per target.

    Parameters
    ----------
    residuals : list of array, each (n_frames, n_targets)
        Measured minus predicted; NaN is ignored.

    Returns
    -------
    std : ndarray of shape (n_targets,)
        Standard deviation that a prediction misses by.
    """
    return np.sqrt(np.nanmean(stacked(residuals) ** 2, axis=0))


def interval_coverage(y, low, high) -> np.ndarray:
    """Share of measured frames inside their interval, per target.

    Parameters
    ----------
    y, low, high : array of shape (..., n_targets)
        Measured frames and the bounds; frames with NaN are ignored.

    Returns
    -------
    coverage : ndarray of shape (n_targets,)
        Share between 0 and 1.
    """
    y, low, high = (np.asarray(part, float) for part in (y, low, high))
    y, low, high = (part.reshape(-1, part.shape[-1]) for part in (y, low, high))
    inside = np.where(np.isnan(y), np.nan, ((y >= low) & (y <= high)).astype(float))
    return np.nanmean(inside, axis=0)


class ConformalRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Any regressor of BOLD, with intervals from blocks that it was not trained on.

    Residuals of held-out blocks, recordings or people tell how far predictions miss; the estimator
    is then fitted on everything. Intervals are about drift-free BOLD around its prediction: slow
    drift and the level of a new recording cannot be predicted.

    Parameters
    ----------
    estimator : estimator
        Regressor whose predictions get intervals.
    cv, detrend, t_r, context, n_jobs
        As in :func:`evaluate`: what to hold out, and how residuals are made.

    Attributes
    ----------
    estimator_ : estimator
        Fitted on all data.
    residuals_ : list of ndarray, each (n_frames, n_targets)
        Residuals of held-out runs.
    """

    estimator_: Any
    residuals_: list[np.ndarray]

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        cv: BaseCrossValidator | int | None = None,
        detrend: Detrend = "cosine",
        t_r: float | None = None,
        context: float | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.detrend = detrend
        self.t_r = t_r
        self.context = context
        self.n_jobs = n_jobs

    def fit(self, X, y, groups: Sequence | None = None) -> Self:
        """Fit on held-out runs, then on everything.

        Parameters
        ----------
        X, y, groups
            As in :func:`evaluate`.

        Returns
        -------
        self : ConformalRegressor
            The fitted regressor.
        """
        options = {k: v for k, v in self.get_params(deep=False).items() if k != "estimator"}
        self.residuals_ = out_of_block_residuals(self.estimator, X, y, groups, **options)
        self.estimator_ = clone(with_t_r(self.estimator, self.t_r)).fit(X, y)
        return self

    def predict(self, X, return_std: bool = False) -> Any:
        """Predict BOLD, with the standard deviation that predictions miss by.

        Parameters
        ----------
        X : object
            As in ``fit``.
        return_std : bool
            Also return the standard deviation.

        Returns
        -------
        prediction : array or list of array
            As the estimator predicts.
        std : ndarray of shape (n_targets,), way back (n_channels, n_bands)
            Only with ``return_std``; model and measurement noise together.
        """
        check_is_fitted(self, "estimator_")
        prediction = self.estimator_.predict(X)
        if not return_std:
            return prediction
        std = residual_std(self.residuals_)
        return prediction, std.reshape(self._target_shape(prediction))

    def predict_interval(self, X, coverage: float = 0.9) -> tuple[Any, Any]:
        """Bounds that hold a share of measured, drift-free frames.

        Parameters
        ----------
        X : object
            As in ``fit``.
        coverage : float
            Wanted share of frames inside.

        Returns
        -------
        low, high : array or list of array
            Bounds in the shape of the prediction.

        Raises
        ------
        ValueError
            If coverage is not between 0 and 1.
        """
        check_coverage(coverage)
        prediction = self.predict(X)
        half = conformal_quantile(self.residuals_, coverage)
        if inverse_of(self.estimator) is not None:
            half = half.reshape(*self._target_shape(prediction), 1)
        if isinstance(prediction, list):
            return [part - half for part in prediction], [part + half for part in prediction]
        return prediction - half, prediction + half

    def _target_shape(self, prediction) -> tuple[int, ...]:
        """Targets, or channels and bands of the way back, whose frames come last."""
        shape = np.shape(prediction[0] if isinstance(prediction, list) else prediction)
        return shape[-1:] if inverse_of(self.estimator) is None else shape[-3:-1]
