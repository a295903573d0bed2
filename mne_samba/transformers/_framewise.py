"""FramewiseRegressor: plain regressors on windows and recordings, frames as rows."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.linear_model import Ridge
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from .._checks import as_float_array, check_option, check_t_r
from .._data.hemo import detrend_segments, read_hemo
from .._data.inputs import is_features
from .._scoring import MeanScore, score_frames, score_rows


class FramewiseRegressor(MeanScore, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Let any scikit-learn regressor predict BOLD frame by frame.

    Frames of windows or recordings become rows of one table, so that a Pipeline of `LearnableHRF`
    or other transformers can end in `sklearn.linear_model.Ridge`. Scrubbed frames are not learnt
    from.

    Parameters
    ----------
    estimator : estimator object | None
        Regressor of tables (n_frames, n_features); None: `sklearn.linear_model.Ridge`. One that
        knows a single target only needs `sklearn.multioutput.MultiOutputRegressor` around it.
    t_r : float | None
        Seconds between frames; only ``detrend="cosine"`` needs it.
    detrend : "cosine" | "linear" | int | None
        Slow drift that is removed from BOLD, per recording, before fits and scores.

    Attributes
    ----------
    estimator_ : estimator object
        The fitted regressor.
    frames_first_ : bool
        Whether frames come before features in X.
    target_names_in_ : list of str
        Names of regions.

    Notes
    -----
    Frames are the axis of X that is as long as the frames of ``y``; where both are, frames come
    before features, as `LearnableHRF` gives them. Windows are taken as one recording in order.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from mne_samba import FramewiseRegressor
    >>> X = np.random.default_rng(0).standard_normal((6, 30, 4))  # windows, frames, features
    >>> y = X[..., :2] + 1.0
    >>> bool(FramewiseRegressor(Ridge()).fit(X, y).score(X, y) > 0.99)
    True
    """

    def __init__(self, estimator=None, *, t_r=None, detrend=None):
        self.estimator = estimator
        self.t_r = t_r
        self.detrend = detrend

    def _check_params(self) -> None:
        if self.t_r is not None:
            check_t_r(self.t_r)
        if self.detrend is not None and not isinstance(self.detrend, int | np.integer):
            check_option(self.detrend, "detrend", ("cosine", "linear"))
        if isinstance(self.detrend, str) and self.detrend == "cosine" and self.t_r is None:
            raise ValueError("detrend='cosine' needs t_r, the seconds between frames; got None.")

    def fit(self, X, y):
        """Fit the regressor to the frames.

        Parameters
        ----------
        X : array | list | Epochs
            (n_windows, n_frames, n_features) or (n_windows, n_features, n_frames), a list with one
            2-D array per recording, or a plain table (n_frames, n_features).
        y : array | list
            BOLD: (n_windows, n_frames, n_targets), one (n_frames, n_targets) array per recording,
            or as the regressor takes it for a table. Rows of NaN are scrubbed frames.

        Returns
        -------
        self : FramewiseRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If X and y do not agree.
        """
        self._check_params()
        regressor = Ridge() if self.estimator is None else clone(self.estimator)
        if is_features(X):
            X, y = validate_data(self, X, y, multi_output=True, y_numeric=True)
            self.frames_first_, self.table_ = True, True
            self.target_names_in_ = [f"target{i:03d}" for i in range(np.atleast_2d(y.T).shape[0])]
            self.estimator_ = regressor.fit(X, y)
            return self
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        X, kind, _ = _segments(X)
        hemo = read_hemo(y, kind, len(X), single=len(X) == 1)
        self.frames_first_, self.table_ = _frames_first(X, hemo.n_frames), False
        self.target_names_in_ = list(hemo.target_names)
        rows = self._rows(X)
        values = hemo.values
        if self.detrend is not None:
            values = detrend_segments(values, _order(len(X), kind), kind, self.t_r, self.detrend)
        y = np.concatenate(values)
        kept = np.isfinite(y).all(axis=1)
        if not kept.any():
            raise ValueError("Every frame of y is scrubbed: nothing is left to fit.")
        self.n_columns_ = rows[0].shape[1]
        # Detrending takes the mean away; predictions come back in the scale of y.
        self._offset = 0.0
        if self.detrend is not None:
            self._offset = np.nanmean(np.concatenate(hemo.values), axis=0)
        self.estimator_ = regressor.fit(np.concatenate(rows)[kept], y[kept])
        return self

    def _rows(self, X) -> list[np.ndarray]:
        return [item if self.frames_first_ else item.T for item in X]

    def predict(self, X):
        """Predict BOLD.

        Parameters
        ----------
        X : array | list | Epochs
            As in ``fit``.

        Returns
        -------
        bold : array or list of array
            (n_windows, n_frames, n_targets), one (n_frames, n_targets) array per recording, or what
            the regressor predicts for a table.

        Raises
        ------
        ValueError
            If X has another layout or number of features than in ``fit``.
        """
        check_is_fitted(self)
        if is_features(X) and self.table_:
            return self.estimator_.predict(validate_data(self, X, reset=False))
        if self.table_ or is_features(X):
            saw = "a table" if self.table_ else "windows or recordings"
            raise ValueError(f"fit saw {saw}, but X has shape {np.shape(X)}.")
        X, kind, single = _segments(X)
        pred = self._predict_rows(self._rows(X))
        if kind == "windows":
            return np.stack(pred)
        return pred[0] if single else pred

    def _predict_rows(self, rows) -> list[np.ndarray]:
        widths = {row.shape[1] for row in rows}
        if widths != {self.n_columns_}:
            raise ValueError(
                f"X has {sorted(widths)} features per frame, but fit saw {self.n_columns_}."
            )
        pred = np.asarray(self.estimator_.predict(np.concatenate(rows)), dtype=float)
        pred = pred.reshape(len(pred), -1) + self._offset
        return np.split(pred, np.cumsum([len(row) for row in rows])[:-1])

    def score_targets(self, X, y, metric: str = "spearman") -> np.ndarray:
        """Score every target over time.

        Parameters
        ----------
        X : array | list | Epochs
            As in ``fit``.
        y : array | list
            Measured BOLD.
        metric : "spearman" | "pearson" | "r2"
            The score.

        Returns
        -------
        scores : array, shape (n_targets,)
            Averaged over recordings.
        """
        pred = self.predict(X)
        if self.table_:
            return score_rows(y, pred, metric)
        X, kind, single = _segments(X)
        pred = [pred] if single else list(pred)
        hemo = read_hemo(y, kind, len(X), single=single)
        return score_frames(
            hemo.values, pred, _order(len(X), kind), kind, t_r=self.t_r, detrend=self.detrend,
            metric=metric,
        )  # fmt: skip

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self.estimator is not None:
            inner = get_tags(self.estimator)
            tags.input_tags.sparse = inner.input_tags.sparse
            tags.target_tags = inner.target_tags
            tags.regressor_tags = inner.regressor_tags
            tags.input_tags.allow_nan = False
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags


def _order(n: int, kind: str) -> pd.DataFrame:
    """Place windows one after the other in one recording; recordings stand alone."""
    recording = np.zeros(n, int) if kind == "windows" else np.arange(n)
    return pd.DataFrame({"subject": "", "run": "", "recording": recording, "frame": -1})


def _segments(X) -> tuple[list[np.ndarray], str, bool]:
    """Return 2-D arrays, what they are, and whether one stood outside a list."""
    if isinstance(X, mne.BaseEpochs):
        return list(X.get_data(verbose="ERROR")), "windows", False
    if isinstance(X, (list, tuple)) and len(X):
        if all(isinstance(item, mne.BaseEpochs) for item in X):
            data = [epochs.get_data(verbose="ERROR") for epochs in X]
            return list(np.concatenate(data)), "windows", False
        items = [as_float_array(item, f"X[{i}]") for i, item in enumerate(X)]
        if all(item.ndim == 2 for item in items):
            return [_finite(item, f"X[{i}]") for i, item in enumerate(items)], "recordings", False
    array = _finite(as_float_array(X, "X"), "X")
    if array.ndim != 3:
        raise ValueError(
            "X must be (n_windows, n_frames, n_features), a list with one 2-D array per recording, "
            f"or a table; got shape {array.shape}."
        )
    return list(array), "windows", False


def _finite(array, name):
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinite values; scrub frames in y instead.")
    return array


def _frames_first(X, n_frames) -> bool:
    """Find the axis of frames from the frames of y."""
    for axis in (0, 1):
        if all(item.shape[axis] == n for item, n in zip(X, n_frames, strict=True)):
            return axis == 0
    shapes = [item.shape for item in X[:3]]
    raise ValueError(
        f"No axis of X is as long as the frames of y: segments of X have shapes {shapes}, those of "
        f"y {list(n_frames[:3])} frames."
    )
