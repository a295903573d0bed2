"""LearnableHRF: a haemodynamic response per region, learnt from neural drive and BOLD."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._checks import keeps_earlier_fit
from .._data.hemo import check_swapped, read_hemo
from .._data.inputs import FrameGrid, input_kind, is_features, read_inputs
from .._scoring import MeanScore, score_frames, score_rows
from ._hrf_design import bin_drive, bin_grid, whole_history
from ._hrf_inverse import check_t_r_of_fit, invert
from ._hrf_learn import check_params, learn, learn_rows, predict_bins, publish, replicates


class LearnableHRF(MeanScore, TransformerMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Learn how neural drive becomes BOLD: one haemodynamic response per region.

    Predicted BOLD of region :math:`m` at frame time :math:`t` is

    .. math:: a_m + b_m \int h_m(\tau)\, x_m(t - \tau)\, d\tau,

    with a causal response :math:`h_m` of unit peak, by default the six-parameter double gamma of
    SAMBA (arXiv 2409.18462). The responses of all regions are fitted together: a wide dictionary
    of plausible shapes, AR(1) noise, slow drift as a nuisance, and a prior that the regions share:
    those with little signal lean on the group. With one drive per target every region has its
    own; with other numbers, a map from drives to targets is fitted with the responses.

    Parameters
    ----------
    t_r : float
        Seconds between frames.
    sfreq : float | None
        Sampling rate of the drive in Hz; MNE objects bring their own.
    tmin : float | None
        Time of the first sample of window arrays relative to their first frame (seconds, at most
        0). None: the frames of ``y`` fill the end of the window, what precedes is history.
    hrf : "double_gamma" | "fir" | "canonical"
        Six parameters per region; a smooth free response; or Glover's response with fitted
        amplitudes.
    hrf_length : float
        Seconds that a response lasts. Frames with a shorter history are predicted but not learnt
        from.
    bounds : "human" | "fast" | tuple of array, shape (6,)
        Bounds of the parameters: for people, for fast (animal) responses, or (low, high).
    shrinkage : "auto" | float | None
        How much regions share. "auto": learnt by marginal likelihood, its strength by blocked
        validation. 0 to 1: from the dictionary's width to one response for all. None: each region
        on its own.
    shrink_to : "group" | "canonical"
        What regions shrink to: the mean of the regions, or the canonical response.
    detrend : "cosine" | "linear" | int | None
        Slow drift of BOLD that is fitted along: cosines slower than 1/128 Hz, a line, a polynomial
        of this order, or the mean alone.
    n_bootstrap : int
        Resampled fits (blocks of time, under a prior drawn along) for ``hrf_intervals_``; 0: none.
    confidence : float
        Coverage of the intervals.
    first_volume : float
        Seconds from a recording's first sample to the start of its first volume.
    n_dummy : int
        Volumes acquired before the first frame of ``y``.
    slice_time_ref : float
        Moment of a volume at which its frame is meant, 0 (start) to 1 (end), as in nilearn. Frame
        times shift responses: middles instead of ends make peaks half a ``t_r`` later.
    sample_time_ref : float
        Moment of a sampling interval at which a sample of the drive is meant: 0 as in MNE
        (instants), 0.5 for averages over intervals, as `WaveletBandAttention` gives them.
    picks : str | list | None
        Channels of MNE objects that are drives, as in MNE.
    random_state : int | None
        Seed of the bootstrap.
    n_jobs : int | None
        Processes for the bootstrap.
    verbose : bool | str | int | None
        MNE's verbosity.

    Attributes
    ----------
    hrf_params_ : DataFrame, shape (n_targets, 6)
        Unit-peak parameters, a row per region.
    hrf_ : array, shape (n_targets, n_hrf_times)
        Responses of unit peak.
    hrf_times_ : array, shape (n_hrf_times,)
        Their times in seconds.
    hrf_peak_time_, hrf_fwhm_ : array, shape (n_targets,)
        Time to peak and full width at half maximum, in seconds.
    hrf_undershoot_ratio_ : array, shape (n_targets,)
        Depth of the undershoot relative to the peak.
    hrf_intervals_ : DataFrame
        Bounds of peak time, width and undershoot per region; only with ``n_bootstrap``.
    scale_ : array, shape (n_targets,)
        Amplitude, BOLD per unit of drive and second; negative where BOLD falls with the drive.
    intercept_ : array, shape (n_targets,)
        BOLD without drive.
    coef_ : array, shape (n_targets, n_drives)
        Amplitude per drive (diagonal where drives and targets go in pairs).
    target_names_in_, ch_names_in_ : list of str
        Names of regions and drives.

    Notes
    -----
    A plain table, ``X`` of shape (n_frames, n_drives), has no past: its rows are taken as
    independent frames with an immediate response, and only the map is fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from mne_samba import LearnableHRF
    >>> from mne_samba.nn.hrf import double_gamma, spm_params
    >>> drive = np.random.default_rng(0).standard_normal((2, 6000))
    >>> response = double_gamma(np.arange(0, 30, 0.1), spm_params())
    >>> bold = np.stack([np.convolve(d, response)[:6000:20] for d in drive], axis=1)
    >>> model = LearnableHRF(t_r=2.0, sfreq=10.0, verbose=False).fit([drive], [bold])
    >>> model.hrf_peak_time_.round(0)
    array([5., 5.])
    """

    def __init__(
        self,
        *,
        t_r,
        sfreq=None,
        tmin=None,
        hrf="double_gamma",
        hrf_length=30.0,
        bounds="human",
        shrinkage="auto",
        shrink_to="group",
        detrend="cosine",
        n_bootstrap=0,
        confidence=0.9,
        first_volume=0.0,
        n_dummy=0,
        slice_time_ref=0.0,
        sample_time_ref=0.0,
        picks=None,
        random_state=None,
        n_jobs=None,
        verbose=None,
    ):
        self.t_r = t_r
        self.sfreq = sfreq
        self.tmin = tmin
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.bounds = bounds
        self.shrinkage = shrinkage
        self.shrink_to = shrink_to
        self.detrend = detrend
        self.n_bootstrap = n_bootstrap
        self.confidence = confidence
        self.first_volume = first_volume
        self.n_dummy = n_dummy
        self.slice_time_ref = slice_time_ref
        self.sample_time_ref = sample_time_ref
        self.picks = picks
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _frame_grid(self) -> FrameGrid:
        return FrameGrid(
            t_r=float(self.t_r), sfreq=self.sfreq, tmin=self.tmin, first_volume=self.first_volume,
            n_dummy=self.n_dummy, slice_time_ref=self.slice_time_ref, picks=self.picks,
        )  # fmt: skip

    @keeps_earlier_fit
    def fit(self, X, y):
        """Learn the responses.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Neural drive: windows (Epochs, a list of them, or an array of shape
            (n_windows, n_drives, n_times)), recordings (Raw, a list of them, or a list of arrays of
            shape (n_drives, n_times)), or a plain table (n_frames, n_drives).
        y : array | list
            BOLD: (n_windows, n_frames, n_targets) for windows, one (n_frames, n_targets) array per
            recording, (n_frames, n_targets) for a table. Rows of NaN are scrubbed frames.

        Returns
        -------
        self : LearnableHRF
            The fitted estimator.

        Raises
        ------
        ValueError
            If X and y do not agree, or nothing is left to learn from.
        TypeError
            If the data are not numbers.
        """
        check_params(self)
        # What a fit on signals has, one on a table has not: nothing may be left of an earlier one.
        for name in [name for name in vars(self) if name.endswith("_")]:
            del self.__dict__[name]
        if is_features(X):
            X, y = validate_data(
                self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32]
            )
            learn_rows(self, np.asarray(X, dtype=float), np.asarray(y, dtype=float))
            return self
        kind, n_segments, single = input_kind(X)
        hemo = read_hemo(y, kind, n_segments, single=single)
        n_frames = hemo.n_frames if kind == "recordings" else hemo.n_frames[0]
        ele = read_inputs(X, self._frame_grid(), n_frames=n_frames)
        for i, value in enumerate(hemo.values if kind == "recordings" else []):
            check_swapped(value, ele.segments[i].n_times / ele.sfreq, self.t_r, f"y[{i}]")
        self.kind_, self.sfreq_, self._one_target = kind, ele.sfreq, False
        self.ch_names_in_ = list(ele.ch_names)
        self.target_names_in_ = list(hemo.target_names)
        self.n_frames_ = n_frames if kind == "windows" else None
        self.window_start_ = ele.segments[0].frame_start
        self.step_, self.dt_, self.n_lags_ = bin_grid(
            float(self.t_r), float(self.hrf_length), self.bounds, ele.sfreq
        )
        fitted = learn(self, ele, self._bins(ele), hemo)
        publish(self, fitted)
        if self.n_bootstrap:
            replicates(self, Parallel(n_jobs=self.n_jobs), delayed)
        return self

    def _bins(self, ele) -> list[np.ndarray]:
        return [
            bin_drive(segment, ele.sfreq, self.step_, self.n_lags_, float(self.sample_time_ref))
            for segment in ele.segments
        ]

    def _read(self, X, n_frames=None):
        check_is_fitted(self)
        if self.kind_ == "features":
            raise ValueError("fit saw a table (n_frames, n_drives): X must be one too.")
        check_t_r_of_fit(self)
        grid = self._frame_grid()
        windows = input_kind(X)[0] == "windows"
        if grid.tmin is None and windows and self.kind_ == "windows":
            grid = replace(grid, tmin=-self.window_start_)
        ele = read_inputs(
            X, grid, n_frames=n_frames, ch_names=self.ch_names_in_, window_frames=self.n_frames_
        )
        if ele.sfreq != self.sfreq_:
            raise ValueError(
                f"X is sampled at {ele.sfreq:g} Hz, but fit saw {self.sfreq_:g} Hz: resample it."
            )
        return ele

    def _predict_segments(self, ele):
        bins = self._bins(ele)
        known = [whole_history(b, self.n_lags_, self.step_) for b in bins]
        return [predict_bins(self, b) for b in bins], known

    def predict(self, X):
        """Predict BOLD at frame times.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Drive as in ``fit``.

        Returns
        -------
        bold : array or list of array
            (n_windows, n_frames, n_targets) for windows, one (n_frames, n_targets) array per
            recording (a single array for a single Raw), in the mean and scale of the training
            BOLD. What lies before a recording is taken as the mean drive.

        Raises
        ------
        ValueError
            If X has other drives or another sampling rate than in ``fit``.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        if is_features(X):
            pred = self._predict_rows(X)
            return pred[:, 0] if self._one_target else pred
        ele = self._read(X)
        frames, _ = self._predict_segments(ele)
        if ele.kind == "windows":
            return np.stack(frames)
        return frames[0] if ele.single else frames

    def _predict_rows(self, X) -> np.ndarray:
        if self.kind_ != "features":
            raise ValueError(f"X is a table of shape {np.shape(X)}, but fit saw {self.kind_}.")
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return np.asarray(X, dtype=float) @ self.coef_.T + self.intercept_

    def transform(self, X):
        """Predict BOLD at frame times, as ``predict`` does.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Drive as in ``fit``.

        Returns
        -------
        bold : array or list of array
            Frames before targets; always 2-D for a table.
        """
        check_is_fitted(self)
        return self._predict_rows(X) if is_features(X) else self.predict(X)

    def inverse_transform(self, X):
        """Estimate the drive from BOLD by a regularised pseudo-inverse of the convolution.

        Parameters
        ----------
        X : array | list
            BOLD: (n_windows, n_frames, n_targets), or one (n_frames, n_targets) array per recording
            (a single one is taken as one recording; as a table after a fit on a table).

        Returns
        -------
        drive : array or list of array
            (n_windows, n_drives, n_times) for windows, as long as those of ``fit``; one array
            (n_drives, n_times) per recording; (n_frames, n_drives) for a table.

        Raises
        ------
        ValueError
            If X has another number of regions than in ``fit``.
        """
        check_is_fitted(self)
        return invert(self, X)

    def score_targets(self, X, y, metric: str = "spearman") -> np.ndarray:
        """Score every target over time, without slow drift.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Drive.
        y : array | list
            Measured BOLD, as in ``fit``.
        metric : "spearman" | "pearson" | "r2"
            The score.

        Returns
        -------
        scores : array, shape (n_targets,)
            Averaged over recordings; frames without a whole history are left out.
        """
        check_is_fitted(self)
        if is_features(X):
            return score_rows(y, self._predict_rows(X), metric)
        kind, n_segments, single = input_kind(X)
        hemo = read_hemo(y, kind, n_segments, single=single)
        if hemo.values[0].shape[1] != len(self.target_names_in_):
            raise ValueError(
                f"y has {hemo.values[0].shape[1]} regions, but the estimator was fitted on "
                f"{len(self.target_names_in_)}."
            )
        ele = self._read(X, hemo.n_frames if kind == "recordings" else hemo.n_frames[0])
        pred, known = self._predict_segments(ele)
        return score_frames(
            hemo.values, pred, ele.table, kind, t_r=float(self.t_r), detrend=self.detrend,
            metric=metric, known=known,
        )  # fmt: skip

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Names of the regions.

        Parameters
        ----------
        input_features : None
            Ignored; the outputs are regions.

        Returns
        -------
        names : array of str, shape (n_targets,)
            One per region.
        """
        check_is_fitted(self)
        return np.asarray(self.target_names_in_, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags
