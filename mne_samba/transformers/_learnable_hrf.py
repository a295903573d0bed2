"""LearnableHRF: a haemodynamic response per region, learnt from neural drive and BOLD."""

from __future__ import annotations

import numbers
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from mne.utils import use_log_level, warn
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from .._checks import check_number, check_option, check_t_r, keeps_earlier_fit
from .._scoring import MeanScore, score_recordings
from .._typing import HrfBounds, HrfFamily, Loss, Verbose
from ..base import NamedColumns, forget_fit
from ..core.robust import LOSSES
from ..data.channels import check_same_rate
from ..data.given import what_is
from ..data.power import whole_history
from ..hrf import check_bounds
from ..reader import HasReader, Reader, match_regions
from ._hrf_choice import FAMILIES
from ._hrf_design import bin_drive, bin_grid
from ._hrf_inverse import invert_segment, unmap
from ._hrf_learn import HRFOptions, learn, learn_rows, replicates


class LearnableHRF(
    MeanScore, HasReader, NamedColumns, MultiOutputMixin, RegressorMixin, BaseEstimator
):
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
    t_r : float | None
        Seconds between frames; None takes it from the windows' metadata, or from drives that
        `WaveletBandAttention` made.
    hrf : "auto" | "double_gamma" | "fir" | "canonical"
        Six parameters per region; a smooth free response; or Glover's response with fitted
        amplitudes. "auto": six parameters unless held-out frames clearly prefer another, or bounds
        hold most of them back, where responses are free; where one target has several drives, these
        may also get free responses of their own, shrunk to a common one. With ``shrinkage`` or
        ``shrink_to`` it means six parameters, which alone are shrunk.
    hrf_length : float
        Seconds that a response lasts. Frames with a shorter history are predicted but not learnt
        from.
    hrf_bounds : "human" | "fnirs" | "fast" | tuple of array, shape (6,)
        Bounds of the parameters: for people, for fast (animal) responses, or (low, high).
    shrinkage : "auto" | float | None
        How much regions share. "auto": learnt by marginal likelihood, its strength by blocked
        validation. 0 to 1: from the dictionary's width to one response for all. None: each region
        on its own.
    shrink_to : "group" | "canonical"
        What regions shrink to: the mean of the regions, or the canonical response.
    loss : "auto" | "squared" | "robust"
        Squares, or robust losses where tails of residuals are heavy, as in `mne_samba.SambaModel`.
    n_bootstrap : int
        Resampled fits (blocks of time, under a prior drawn along) for ``hrf_intervals_``; 0: none.
    confidence : float
        Coverage of the intervals.
    sample_time_ref : float | None
        Moment of a sampling interval at which a sample of the drive is meant: 0 as in MNE
        (instants), 0.5 for averages over intervals. None: what drives of `WaveletBandAttention`
        say, 0.5 for band power (as `mne_samba.wavelets.Precomputed` has it), else 0.
    reader : Reader | None
        How recordings are read: channels, frame times, drift of BOLD (which is fitted along); None
        takes the defaults of `mne_samba.Reader`. Frame times shift responses: middles of volumes
        (``slice_time_ref=0.5``) instead of their ends make peaks half a ``t_r`` later.
    random_state : int | None
        Seed of the bootstrap.
    n_jobs : int | None
        Processes for the bootstrap.
    verbose : bool | str | int | None
        Verbosity as in MNE-Python; None takes MNE's own level.

    Attributes
    ----------
    hrf_family_ : str
        Family of responses that was fitted.
    hrf_params_ : DataFrame, shape (n_targets, 6)
        Unit-peak parameters, a row per region; the nearest ones where responses are free.
    hrf_ : array, shape (n_targets, n_hrf_times)
        Responses of unit peak.
    hrf_times_ : array, shape (n_hrf_times,)
        Their times in seconds.
    hrf_peak_time_, hrf_fwhm_ : array, shape (n_targets,)
        Time to peak and full width at half maximum, in seconds.
    hrf_undershoot_ratio_ : array, shape (n_targets,)
        Depth of the undershoot relative to the peak.
    hrf_at_bounds_ : array of bool, shape (n_targets,)
        Whether a bound of the six parameters holds a response back.
    hrf_free_ : array, shape (n_targets, n_hrf_times) | None
        Free responses beside parameters that are at a bound.
    drive_hrf_ : array, shape (n_targets, n_drives, n_hrf_times) | None
        Responses of single drives, BOLD per unit of drive and second, where they have their own:
        predictions are made of these.
    frame_weights_ : list of array, each (n_frames, n_targets) | None
        Weights of frames per recording: below 1 where a frame lay far from its prediction. None
        where the loss was squared.
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
    >>> from mne_samba import LearnableHRF, Reader
    >>> from mne_samba.hrf import (double_gamma, spm_params)
    >>> drive = np.random.default_rng(0).standard_normal((2, 6000))
    >>> response = double_gamma(np.arange(0, 30, 0.1), spm_params())
    >>> bold = np.stack([np.convolve(d, response)[:6000:20] for d in drive], axis=1)
    >>> model = LearnableHRF(t_r=2.0, reader=Reader(sfreq=10.0), verbose=False).fit([drive], [bold])
    >>> model.hrf_peak_time_.round(0)
    array([5., 5.])
    """

    hrf_family_: str
    hrf_params_: pd.DataFrame
    hrf_: np.ndarray
    hrf_times_: np.ndarray
    hrf_peak_time_: np.ndarray
    hrf_fwhm_: np.ndarray
    hrf_undershoot_ratio_: np.ndarray
    hrf_at_bounds_: np.ndarray
    hrf_free_: np.ndarray | Any
    drive_hrf_: np.ndarray | Any
    frame_weights_: list[np.ndarray] | Any
    hrf_intervals_: pd.DataFrame
    scale_: np.ndarray
    intercept_: np.ndarray
    coef_: np.ndarray
    drive_mean_: np.ndarray
    drive_scale_: np.ndarray
    target_names_in_: list[str]
    ch_names_in_: list[str]

    def __init__(
        self,
        *,
        t_r: float | None = None,
        hrf: HrfFamily = "auto",
        hrf_length: float = 30.0,
        hrf_bounds: HrfBounds | tuple[ArrayLike, ArrayLike] = "human",
        shrinkage: Literal["auto"] | float | None = "auto",
        shrink_to: Literal["group", "canonical"] = "group",
        loss: Loss = "auto",
        n_bootstrap: int = 0,
        confidence: float = 0.9,
        sample_time_ref: float | None = None,
        reader: Reader | None = None,
        random_state: int | None = None,
        n_jobs: int | None = None,
        verbose: Verbose = None,
    ) -> None:
        self.t_r = t_r
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.shrinkage = shrinkage
        self.shrink_to = shrink_to
        self.loss = loss
        self.n_bootstrap = n_bootstrap
        self.confidence = confidence
        self.sample_time_ref = sample_time_ref
        self.reader = reader
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @keeps_earlier_fit
    def fit(self, X, y) -> Self:
        """Learn the responses.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Neural drive: windows (Epochs, a list of them, or an array of shape
            (n_windows, n_drives, n_times)), recordings (Raw, a list of them, or a list of arrays of
            shape (n_drives, n_times)), band power (every band of a channel is a drive, on the scale
            that it is given on), or a plain table (n_frames, n_drives).
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
        self._check_params()
        reader = self._reader()
        reader.check()
        forget_fit(self)
        rec = reader.read_pair(X, y, self.t_r, may_lack=False, drives=True, owner=self)
        self._layout, is_power = rec.layout(max(rec.n_frames)), rec.bands is not None
        rec = rec.as_drives()
        self.ch_names_in_, self.target_names_in_ = list(rec.ch_names), list(rec.target_names)
        if rec.kind == "table":
            self.coef_, self.intercept_ = learn_rows(rec)
            self.scale_ = np.linalg.norm(self.coef_, axis=1)
            return self
        if not is_power:
            _warn_of_waveforms(rec)
        self._sample_ref = self._reference_of(X, is_power)
        self._grid = bin_grid(rec.t_r, float(self.hrf_length), self.hrf_bounds, rec.sfreq)
        random = check_random_state(self.random_state)
        with use_log_level(self.verbose):
            options = HRFOptions(
                self.hrf, float(self.hrf_length), self.hrf_bounds, self.shrinkage, self.shrink_to,
                self.loss,
            )  # fmt: skip
            fitted = learn(rec, self._bins(rec), self._grid, reader.detrend, options)
        self._fitted = fitted
        self.drive_mean_, self.drive_scale_ = fitted.drive_mean, fitted.drive_scale
        self.scale_, self.coef_, self.intercept_ = fitted.scale, fitted.coef, fitted.intercept
        for name, value in fitted.describe(float(self.hrf_length)).items():
            setattr(self, name, value)
        if self.n_bootstrap:
            self.hrf_intervals_ = replicates(
                fitted, self.n_bootstrap, self.confidence, random, self.n_jobs
            )
        return self

    def _check_params(self) -> None:
        """Refuse parameters that cannot be, before any data are read."""
        if self.t_r is not None:
            check_t_r(self.t_r)
        check_number(self.hrf_length, "hrf_length", low=0, low_open=True)
        check_option(self.hrf, "hrf", ("auto", *FAMILIES))
        check_option(self.shrink_to, "shrink_to", ("group", "canonical"))
        check_option(self.loss, "loss", LOSSES)
        check_bounds(self.hrf_bounds, "hrf_bounds")
        if isinstance(self.shrinkage, numbers.Real):
            check_number(self.shrinkage, "shrinkage", low=0, high=1)
        elif self.shrinkage not in ("auto", None):
            raise ValueError(f"shrinkage must be 'auto', 0 to 1 or None, got {self.shrinkage!r}.")
        check_number(self.n_bootstrap, "n_bootstrap", low=0, integer=True)
        check_number(self.confidence, "confidence", low=0, high=1, low_open=True)
        if self.sample_time_ref is not None:
            check_number(self.sample_time_ref, "sample_time_ref", low=0, high=1)

    def _reference_of(self, X, is_power: bool) -> float:
        """Moment of a sampling interval at which samples of X stand."""
        if self.sample_time_ref is not None:
            return float(self.sample_time_ref)
        if is_power:
            return 0.5
        drive = what_is(X).drive
        return 0.0 if drive is None else float(drive.sample_time_ref)

    def _bins(self, rec) -> list[np.ndarray]:
        return [bin_drive(s, rec.sfreq, self._grid, self._sample_ref) for s in rec.segments]

    def _read(self, X, y=None):
        """Read X (and y) as fit saw its input."""
        check_is_fitted(self)
        layout, reader = self._layout, self._reader()
        if y is None:
            rec = reader.read(X, self.t_r, layout=layout, owner=self)
        else:
            rec = reader.read_pair(X, y, self.t_r, layout=layout, may_lack=False, owner=self)
        if rec.kind != "table":
            self._check_t_r(rec.t_r)
            check_same_rate(rec.sfreq, layout.sfreq, "X", "what fit saw")
        return rec.as_drives()

    def _check_t_r(self, t_r: float) -> None:
        """Refuse another rate of frames: responses are kept at the bins of ``fit``."""
        if abs(t_r - self._grid.t_r) > 1e-9:
            raise ValueError(
                "Responses are tied to the t_r that they were fitted on "
                f"({self._grid.t_r:g} s), got t_r={t_r:g} s: fit again."
            )

    def _predict_segments(self, rec):
        """Predict frames (n_frames, n_targets) of segments; say which have a whole history."""
        if rec.kind == "table":
            return [rec.rows @ self.coef_.T + self.intercept_], None
        bins = self._bins(rec)
        known = [whole_history(np.isnan(b).any(axis=0), self._grid) for b in bins]
        return [self._fitted.predict(b) for b in bins], known

    def predict(self, X) -> Any:
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
        rec = self._read(X)
        return rec.as_given(self._predict_segments(rec)[0])

    def transform(self, X) -> Any:
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
        rec = self._read(X)
        frames = self._predict_segments(rec)[0]
        return frames[0] if rec.kind == "table" else rec.as_given(frames)

    def inverse_transform(self, X) -> Any:
        """Estimate the drive from BOLD by a regularised pseudo-inverse of the convolution.

        Drives that have responses of their own are taken for their common one here.

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
        layout = self._layout
        if layout.kind == "table":
            X = check_array(X, ensure_2d=False)
            X = X[:, None] if X.ndim == 1 else X
            if X.shape[1] != len(self.target_names_in_):
                raise ValueError(
                    f"X has {X.shape[1]} regions, but the estimator was fitted on "
                    f"{len(self.target_names_in_)}."
                )
            return unmap(self.coef_, (X - self.intercept_).T).T
        if self.t_r is not None:
            self._check_t_r(self.t_r)
        rec = match_regions(self._reader().read_bold(X, may_lack=False), layout)
        windows = rec.kind == "windows"
        given = self._fitted, layout, self._sample_ref
        return rec.as_given([invert_segment(*given, v, windows) for v in rec.bold])

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
        rec = self._read(X, y)
        detrend = self._reader().detrend
        return score_recordings(rec, *self._predict_segments(rec), detrend=detrend, metric=metric)

    def _columns(self) -> list[str]:
        """Names of regions."""
        return self.target_names_in_


def _warn_of_waveforms(rec) -> None:
    """Warn of signals of electrodes and sensors, which are no neural drive yet."""
    kinds = set() if rec.info is None else set(rec.info.get_channel_types())
    waveforms = sorted(kinds & {"eeg", "mag", "grad", "ecog", "seeg", "dbs"})
    if waveforms and rec.sfreq >= 50:
        warn(
            f"X holds {', '.join(waveforms)} channels at {rec.sfreq:g} Hz. LearnableHRF takes "
            "neural drive, such as band power: waveforms go up and down too fast for BOLD to "
            "follow. Use make_pipeline(WaveletBandAttention(t_r=...), LearnableHRF()). Where "
            "channels hold drives, say so: X.set_channel_types(dict.fromkeys(X.ch_names, 'misc'), "
            "on_unit_change='ignore'), and reader=Reader(picks='misc')."
        )
