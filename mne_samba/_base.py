"""What all estimators from electrophysiology to BOLD share: data in, frames out, the score."""

from __future__ import annotations

import numbers
from dataclasses import replace

import numpy as np
import pandas as pd
from mne.utils import use_log_level
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ._checks import check_number, check_option, check_t_r, keeps_earlier_fit
from ._data.hemo import (
    check_lengths,
    check_measured,
    check_same_frames,
    check_varies,
    detrend_segments,
    keep_frames,
    read_hemo,
    recording_scale,
)
from ._data.inputs import check_made_for, input_kind, is_features, read_inputs
from ._data.lowrate import (
    LowRateGrid,
    PowerScaler,
    band_filters,
    check_bands,
    ele_power,
    full_history,
)
from ._data.paired import PairedData
from ._data.power_cache import check_memory
from ._data.reading import check_channels
from ._data.segments import Electrophysiology, FrameGrid
from ._scoring import MeanScore, score_frames, score_rows

# Frames as rows have no history: a response of one bin.
ROWS = LowRateGrid(t_r=1.0, step=1, n_lags=1)


class BoldRegressor(MeanScore, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Base of estimators that predict BOLD at frame times from electrophysiology.

    Subclasses implement ``_fit_paired(data)`` and ``_predict_scaled(powers, kind, grid)``, which
    gives standardised frames per segment, and may check more parameters in ``_check_params``.
    """

    _log_power = False
    _choose_power = False
    _may_lack = False  # whether recordings may lack regions

    def _check_params(self) -> None:
        check_t_r(self.t_r)
        if self.sfreq is not None:
            check_number(self.sfreq, "sfreq", low=0, low_open=True)
        if self.tmin is not None:
            check_number(self.tmin, "tmin", high=0.0)
        check_number(self.window, "window", low=0, low_open=True)
        check_number(self.context, "context", low=0)
        check_number(self.hrf_length, "hrf_length", low=0, low_open=True)
        check_number(self.first_volume, "first_volume")
        check_number(self.n_dummy, "n_dummy", low=0, integer=True)
        check_number(self.slice_time_ref, "slice_time_ref", low=0, high=1)
        check_number(self.n_cycles, "n_cycles", low=0, low_open=True)
        check_option(self.wavelet, "wavelet", ("shannon", "morlet"))
        check_option(self.channels, "channels", ("error", "match", "interpolate"))
        if self.context < self.hrf_length:
            raise ValueError(
                f"context={self.context:g} s is shorter than the response (hrf_length="
                f"{self.hrf_length:g} s): every frame needs the whole history that shapes it."
            )
        if self.window < self.t_r:
            raise ValueError(
                f"window={self.window:g} s holds no frame at t_r={self.t_r:g} s: use a window of "
                "several frames. Is t_r in seconds?"
            )
        if isinstance(self.detrend, numbers.Integral) and not isinstance(self.detrend, bool):
            check_number(self.detrend, "detrend", low=0, integer=True)
        else:
            check_option(self.detrend, "detrend", ("cosine", "linear", None))
        check_memory(getattr(self, "memory", None))

    def _frame_grid(self) -> FrameGrid:
        return FrameGrid(
            t_r=float(self.t_r), sfreq=self.sfreq, tmin=self.tmin, first_volume=self.first_volume,
            n_dummy=self.n_dummy, slice_time_ref=self.slice_time_ref,
            volume_event=self.volume_event, picks=self.picks, channels=self.channels,
        )  # fmt: skip

    @keeps_earlier_fit
    def fit(self, X, y):
        """Learn to predict BOLD.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology: windows (`mne.Epochs`, a list of them, or an array of shape
            (n_windows, n_channels, n_times)), recordings (`mne.io.Raw`, a list of them, or a list
            of arrays of shape (n_channels, n_times)), or a plain table (n_frames, n_features).
        y : array | list
            BOLD: (n_windows, n_frames, n_targets) for windows, one (n_frames, n_targets) array per
            recording, or (n_frames, n_targets) for a table. Rows of NaN are scrubbed frames.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data do not agree with each other or with the parameters.
        TypeError
            If the data are not numbers.
        """
        self._check_params()
        with use_log_level(getattr(self, "verbose", None)):
            # Handed on without a name here: the fit drops the scales of power that it does not use.
            if is_features(X):
                self._fit_paired(self._read_features(X, y))
            else:
                for name in ("n_features_in_", "feature_names_in_"):
                    self.__dict__.pop(name, None)
                self._fit_paired(self._read_paired(X, y))
        return self

    def _read_features(self, X, y) -> PairedData:
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32]
        )
        self.kind_ = "features"
        self._one_target = y.ndim == 1
        y = np.asarray(y, dtype=np.float64)
        y = y[:, np.newaxis] if self._one_target else y
        names = getattr(self, "feature_names_in_", None)
        self.ch_names_in_ = [f"x{i}" for i in range(X.shape[1])] if names is None else list(names)
        self.bands_ = {"all": (np.nan, np.nan)}
        self.grid_, self.n_frames_, self.info_ = ROWS, 1, None
        self._set_scale([y], [("",)], [f"target{i:03d}" for i in range(y.shape[1])])
        power = np.ascontiguousarray(X.T[:, np.newaxis, :], dtype=np.float64)
        self.scaler_ = PowerScaler().fit([power], [("",)])
        scaled = self.scaler_.transform([power], [("",)], "features")
        target = (y - self.y_mean_) / np.where(self.y_scale_ > 0, self.y_scale_, 1.0)
        table = pd.DataFrame({"subject": [""], "run": "", "recording": 0, "onset": 0.0, "frame": 0})
        return PairedData(scaled, [target], [("",)], table, "features", ROWS)

    def _read_paired(self, X, y) -> PairedData:
        kind, n_segments, single = input_kind(X)
        hemo = read_hemo(y, kind, n_segments, single=single, may_lack=self._may_lack)
        check_measured(hemo)
        frames = hemo.n_frames if kind == "recordings" else hemo.n_frames[0]
        if kind == "windows":
            check_made_for(X, frames, float(self.t_r))
        ele = read_inputs(X, self._frame_grid(), n_frames=frames)
        self._check_history(ele, LowRateGrid.from_tr(float(self.t_r), float(self.hrf_length)))
        # Arrays without tmin are cut by y itself: there, context says what is history.
        told = ele.info is not None or self.tmin is not None
        check_same_frames(hemo, ele.table, kind)
        check_lengths(ele, hemo, self.t_r, self.window, None if told else self.context)
        bands = self._check_bands(ele.sfreq)
        check_channels(ele)
        self.kind_, self._one_target = kind, False
        self.ch_names_in_, self.info_ = list(ele.ch_names), ele.info
        self.bands_, self.wavelet_, self.n_cycles_ = bands, self.wavelet, float(self.n_cycles)
        self.grid_ = self._low_rate()
        self.n_frames_ = frames if kind == "windows" else max(1, int(self.window / self.t_r + 1e-6))
        self.window_start_ = ele.segments[0].frame_start
        powers = self._bin_power(ele, self.grid_)
        # What was acquired before a whole history existed cannot be predicted honestly, and must
        # not shape drift and scale either: the first volumes are often not in steady state.
        known = [full_history(power, self.grid_) for power in powers]
        kept = keep_frames(hemo.values, known, ele.keys)
        clean = detrend_segments(kept, ele.table, kind, float(self.t_r), self.detrend)
        names = hemo.target_names
        if ele.target_names is not None and len(ele.target_names) == len(names):
            names = ele.target_names
        self._set_scale(clean, ele.keys, names, original=kept)
        check_varies([scale for _, scale in self._recording_scale.values()], names)
        targets = []
        for value, seen, key in zip(clean, known, ele.keys, strict=True):
            mean, scale = self._recording_scale[key]
            target = (value - mean) / np.where(scale > 0, scale, 1.0)
            target[~seen] = np.nan
            targets.append(target)
        if not any(np.isfinite(target).any() for target in targets):
            raise ValueError(
                "No frame is left to learn from: all are scrubbed, follow less than "
                f"{self.hrf_length:g} s of signal, or have BAD spans in their history."
            )
        self.scaler_ = self._make_scaler().fit(powers, ele.keys)
        scaled = self.scaler_.transform(powers, ele.keys, kind)
        raw = powers if self._choose_power else None
        return PairedData(scaled, targets, ele.keys, ele.table, kind, self.grid_, raw)

    def _check_history(self, ele: Electrophysiology, grid: LowRateGrid) -> None:
        start = min(segment.frame_start for segment in ele.segments)
        need = grid.n_lags * grid.dt
        if ele.kind == "windows" and start < need - 1.0 / ele.sfreq:
            raise ValueError(
                f"Windows hold {start:g} s of context before their first frame, shorter than the "
                f"response of {need:g} s. Cut them with make_windows(context={need:g}) or more "
                "(arrays: check sfreq, t_r and tmin), or choose a shorter hrf_length."
            )

    def _set_scale(self, values, keys, names, original: list | None = None) -> None:
        self._recording_scale = recording_scale(values, keys)
        means = recording_scale(original, keys) if original else self._recording_scale
        # Regions that a recording lacks have neither mean nor scale there.
        self.y_mean_ = np.nanmean([mean for mean, _ in means.values()], axis=0)
        self.y_scale_ = np.nanmean([scale for _, scale in self._recording_scale.values()], axis=0)
        # Drift is not predicted, but measured frames have it: intervals must make room for it.
        raw = np.nanmean([scale**2 for _, scale in means.values()], axis=0)
        clean = np.nanmean([scale**2 for _, scale in self._recording_scale.values()], axis=0)
        self._drift = np.maximum(raw - clean, 0.0) / np.where(clean > 0, clean, np.inf)
        self.target_names_in_ = list(names)
        self.n_targets_ = len(self.y_mean_)

    def _read_ele(self, X, n_frames=None) -> Electrophysiology:
        check_is_fitted(self)
        if self.kind_ == "features":
            raise ValueError("fit saw a table (n_frames, n_features): X must be one too.")
        grid = self._frame_grid()
        if grid.tmin is None and input_kind(X)[0] == "windows":
            grid = replace(grid, tmin=-self.window_start_ if self.kind_ == "windows" else None)
        with use_log_level(getattr(self, "verbose", None)):
            ele = read_inputs(
                X, grid, n_frames=n_frames, ch_names=self.ch_names_in_, window_frames=self.n_frames_
            )
        self._check_history(ele, self._grid_of(ele))
        return ele

    def predict(self, X):
        """Predict BOLD at frame times.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology as in ``fit``; recordings may be given where windows were fitted and
            the other way round.

        Returns
        -------
        bold : array or list of array
            (n_windows, n_frames, n_targets) for windows, one (n_frames, n_targets) array per
            recording (a single array for a single `mne.io.Raw`), (n_frames, n_targets) for a table;
            in the mean and scale of the training BOLD.

        Raises
        ------
        ValueError
            If X has other channels than in ``fit`` or cannot be read.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        if is_features(X):
            return self._predict_rows(X)
        ele = self._read_ele(X)
        frames = self._predict_ele(ele)
        if ele.kind == "windows":
            return np.stack(frames)
        return frames[0] if ele.single else frames

    def _predict_rows(self, X) -> np.ndarray:
        if self.kind_ != "features":
            raise ValueError(
                f"X is a table of shape {np.shape(X)}, but fit saw {self.kind_}. One recording as "
                "an array (n_channels, n_times) goes into a list."
            )
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        power = np.ascontiguousarray(X.T[:, np.newaxis, :], dtype=np.float64)
        scaled = self.scaler_.transform([power], [("",)], "features")
        frames = self._unscale(self._predict_scaled(scaled, "features", ROWS))[0]
        return frames[:, 0] if self._one_target else frames

    def _scaled_power(self, ele: Electrophysiology) -> tuple[list[np.ndarray], list[np.ndarray]]:
        powers = self._bin_power(ele, self._grid_of(ele))
        known = [full_history(power, self._grid_of(ele)) for power in powers]
        return self.scaler_.transform(powers, ele.keys, ele.kind), known

    def _check_bands(self, sfreq: float) -> dict:
        return check_bands(self.bands, sfreq)

    def _low_rate(self) -> LowRateGrid:
        return LowRateGrid.from_tr(float(self.t_r), float(self.hrf_length))

    def _bin_power(self, ele: Electrophysiology, grid: LowRateGrid) -> list[np.ndarray]:
        filters = band_filters(self.wavelet_, self.bands_, ele.sfreq, self.n_cycles_)
        memory = check_memory(getattr(self, "memory", None))
        with use_log_level(getattr(self, "verbose", None)):
            return ele_power(ele, self.bands_, grid, filters, memory)

    def _make_scaler(self) -> PowerScaler:
        return PowerScaler(self._log_power)

    def _grid_of(self, ele: Electrophysiology) -> LowRateGrid:
        # t_r may have been changed by set_params after fit, to predict at another rate of frames.
        if float(self.t_r) == self.grid_.t_r:
            return self.grid_
        return LowRateGrid.from_tr(float(self.t_r), self.grid_.n_lags * self.grid_.dt)

    def _predict_ele(self, ele: Electrophysiology) -> list[np.ndarray]:
        powers, _ = self._scaled_power(ele)
        return self._unscale(self._predict_scaled(powers, ele.kind, self._grid_of(ele)))

    def _unscale(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        return [np.asarray(f, dtype=np.float64) * self.y_scale_ + self.y_mean_ for f in frames]

    def score_targets(self, X, y, metric: str = "spearman") -> np.ndarray:
        """Score every target over time.

        Frames of each recording are put in order (windows by onset) and cleaned of slow drift, in
        the measured and the predicted time courses alike.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology.
        y : array | list
            Measured BOLD, as in ``fit``.
        metric : "spearman" | "pearson" | "r2"
            The score.

        Returns
        -------
        scores : array, shape (n_targets,)
            Averaged over recordings; NaN for regions that all of them lack.

        Raises
        ------
        ValueError
            If the metric is unknown, or X and y do not agree.
        """
        check_is_fitted(self)
        if is_features(X):
            return score_rows(y, self._predict_rows(X), metric)
        kind, n_segments, single = input_kind(X)
        hemo = read_hemo(y, kind, n_segments, single=single, may_lack=True)
        if hemo.values[0].shape[1] != self.n_targets_:
            raise ValueError(
                f"y has {hemo.values[0].shape[1]} regions, but the estimator was fitted on "
                f"{self.n_targets_}."
            )
        frames = hemo.n_frames if kind == "recordings" else hemo.n_frames[0]
        if kind == "windows":
            check_made_for(X, frames, float(self.t_r))
        ele = self._read_ele(X, n_frames=frames)
        powers, known = self._scaled_power(ele)
        pred = self._unscale(self._predict_scaled(powers, kind, self._grid_of(ele)))
        return score_frames(
            hemo.values, pred, ele.table, kind, t_r=float(self.t_r), detrend=self.detrend,
            metric=metric, known=known,
        )  # fmt: skip

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags
