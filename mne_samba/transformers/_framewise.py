"""FramewiseRegressor: plain regressors on windows and recordings, frames as rows."""

from typing import Any, Self

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from .._checks import as_float_array, check_option, check_t_r, keeps_earlier_fit
from .._scoring import MeanScore, score_frames, score_rows
from .._typing import Detrend
from ..base import forget_fit
from ..data.bold import detrend_segments, read_hemo
from ..data.given import Given, what_is
from ..data.signals import segment_table
from ._screening import BandPowerScreening


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

    estimator_: Any
    frames_first_: bool
    target_names_in_: list[str]

    def __init__(
        self,
        estimator: BaseEstimator | None = None,
        *,
        t_r: float | None = None,
        detrend: Detrend = None,
    ) -> None:
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

    @keeps_earlier_fit
    def fit(self, X, y) -> Self:
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
        forget_fit(self)
        given = what_is(X)
        self.table_, self._offset = given.kind == "table", 0.0
        if self.table_:
            X, y = validate_data(self, X, y, multi_output=True, y_numeric=True)
            self.frames_first_ = True
            self.target_names_in_ = [f"target{i:03d}" for i in range(np.atleast_2d(y.T).shape[0])]
            self.estimator_ = regressor.fit(X, y)
            return self
        segments = _segments(given)
        hemo = read_hemo(y, given.kind, len(segments), single=len(segments) == 1)
        self.frames_first_ = _frames_first(segments, hemo.n_frames)
        self.target_names_in_ = list(hemo.target_names)
        rows = self._rows(segments)
        values = hemo.values
        if self.detrend is not None:
            place = segment_table(len(rows), given.kind)
            values = detrend_segments(values, place, given.kind, self.t_r, self.detrend)
            # Detrending takes the mean away; predictions come back in the scale of y.
            self._offset = np.nanmean(np.concatenate(hemo.values), axis=0)
        y = np.concatenate(values)
        kept = np.isfinite(y).all(axis=1)
        if not kept.any():
            raise ValueError("Every frame of y is scrubbed: nothing is left to fit.")
        self.n_columns_ = rows[0].shape[1]
        recording = np.zeros(len(rows), int) if given.kind == "windows" else np.arange(len(rows))
        groups = np.repeat(recording, [len(row) for row in rows])[kept]
        told = _told_recordings(regressor, groups)
        self.estimator_ = regressor.fit(np.concatenate(rows)[kept], y[kept], **told)
        return self

    def _rows(self, X) -> list[np.ndarray]:
        return [item if self.frames_first_ else item.T for item in X]

    def predict(self, X) -> Any:
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
        given, pred = self._predict(X)
        if given.kind == "windows":
            return np.stack(pred)
        return pred if given.kind == "table" else pred[0] if given.single else pred

    def _predict(self, X):
        """Predictions of segments, or of the rows of a table, and what X is."""
        check_is_fitted(self)
        given = what_is(X)
        if (given.kind == "table") != self.table_:
            saw = "a table" if self.table_ else "windows or recordings"
            raise ValueError(f"fit saw {saw}, but X has shape {np.shape(X)}.")
        if self.table_:
            return given, self.estimator_.predict(validate_data(self, X, reset=False))
        rows = self._rows(_segments(given))
        widths = {row.shape[1] for row in rows}
        if widths != {self.n_columns_}:
            raise ValueError(
                f"X has {sorted(widths)} features per frame, but fit saw {self.n_columns_}."
            )
        pred = np.asarray(self.estimator_.predict(np.concatenate(rows)), dtype=float)
        pred = pred.reshape(len(pred), -1) + self._offset
        return given, np.split(pred, np.cumsum([len(row) for row in rows])[:-1])

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
        given, pred = self._predict(X)
        if self.table_:
            return score_rows(y, pred, metric)
        hemo = read_hemo(y, given.kind, len(pred), single=given.single)
        return score_frames(
            hemo.values, pred, segment_table(len(pred), given.kind), given.kind, t_r=self.t_r,
            detrend=self.detrend, metric=metric,
        )  # fmt: skip

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self.estimator is not None:
            inner = get_tags(self.estimator)
            tags.target_tags = inner.target_tags
            tags.regressor_tags = inner.regressor_tags
            tags.input_tags.allow_nan = False
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags


def _told_recordings(regressor, groups: np.ndarray) -> dict:
    """Arguments of ``fit`` that tell screenings in a Pipeline which frames are of one recording."""
    steps = dict(regressor.steps) if isinstance(regressor, Pipeline) else {}
    names = [name for name, step in steps.items() if isinstance(step, BandPowerScreening)]
    if names and get_config()["enable_metadata_routing"]:
        return {"groups": groups}
    return {f"{name}__groups": groups for name in names}


def _segments(given: Given) -> list[np.ndarray]:
    """Segments as 2-D arrays."""
    if given.is_power:
        raise ValueError(
            "FramewiseRegressor takes features of frames, but X holds band power (3-D arrays, "
            "tables in a list): use mne_samba.baselines.BandPowerRidge, or give arrays "
            "(n_features, n_frames)."
        )
    if given.is_mne and given.kind == "windows":
        return list(np.concatenate([e.get_data(verbose="ERROR") for e in given.items]))
    if given.is_mne:
        return [raw.get_data(verbose="ERROR") for raw in given.items]
    if given.kind == "windows":
        return list(_finite(as_float_array(given.items, "X"), "X"))
    items = enumerate(given.items)
    return [_finite(as_float_array(item, f"X[{i}]"), f"X[{i}]") for i, item in items]


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
        f"y {list(n_frames[:3])} frames. WaveletBandAttention gives power several times per frame: "
        "in a Pipeline, LearnableHRF(t_r=...) comes between, which takes it to frames."
    )
