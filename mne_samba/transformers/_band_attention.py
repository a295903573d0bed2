"""WaveletBandAttention: which frequency bands of which channels matter."""

from __future__ import annotations

import numpy as np
from mne.utils import logger, use_log_level
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted

from .._checks import keeps_earlier_fit
from .._data.hemo import read_hemo
from .._data.inputs import Electrophysiology, input_kind, is_features
from .._data.lowrate import PowerScaler
from ._band_evidence import attention_from_weights, band_weights
from ._band_inputs import check_params, read_plain, read_with_frames
from ._band_power import limit_power, make_bank, refuse_flat
from ._band_reconstruct import reconstruct
from ._band_rows import TableAttention
from ._band_targets import frame_design, sample_targets, target_kind
from ._band_unsupervised import background_attention


class WaveletBandAttention(TableAttention, TransformerMixin, BaseEstimator):
    r"""Learn which frequency bands matter, and return band power weighted by it.

    Every channel's signal goes through a bank of wavelets. Log band power at ``rate`` Hz is
    standardised, and a softmax over bands says how much each band of a channel matters (SAMBA,
    arXiv 2409.18462), beside a signed gain, since power may go with or against a response:

    .. math::
        d_c(t) = \sum_b a_{cb}\, g_{cb}\, z_{cb}(t),
        \qquad \sum_b a_{cb} = 1,\; |g_{cb}| \le 1

    With BOLD as ``y``, weights are sparse Bayesian regression coefficients of the time courses on
    each channel's band power (not its logarithm), seen through a small basis of haemodynamic
    responses, whitened and reduced by what chance would give; with labels or values per sample, of
    these on the sample's mean log power. Without ``y``, attention is the softmax of log power above
    the 1/f background.

    Parameters
    ----------
    sfreq : float | None
        Sampling rate in Hz of arrays; MNE objects bring their own.
    wavelet : str
        "morlet", or a discrete wavelet that PyWavelets knows ("db5").
    bands : dict | list of float | None
        Name -> (low, high) in Hz, or frequencies with one wavelet each. None: delta to gamma, as
        far as sampling rate and window length allow. Morlet only.
    n_cycles : float
        Cycles of Morlet wavelets.
    level : int | None
        Levels of a discrete wavelet; None reaches down to about 3 Hz.
    rate : float
        Bins of band power per second.
    output : "power" | "features"
        "power": drive of each channel at ``rate`` Hz. "features": mean attended log power of each
        channel and band, a row per sample.
    causal : bool
        Use past samples only; ``delay_`` says how late each band's power comes. Morlet only.
    picks : str | list | None
        Channels, as in MNE; None: all good data channels.
    channels : "error" | "match" | "interpolate"
        What to do where recordings have different channels.
    t_r : float | None
        Seconds between frames of BOLD; None reads it from the windows' metadata.
    tmin : float | None
        Time of the first sample relative to the first frame, for arrays of windows.
    first_volume : float
        Seconds from the first sample to the first volume, for recordings.
    n_dummy : int
        Volumes that were discarded before the first frame of ``y``, for recordings.
    slice_time_ref : float
        Reference time of a frame as a part of ``t_r``, for recordings.
    volume_event : object
        Scanner trigger, for recordings.
    hrf_length : float
        Seconds of history that shape a frame.
    hrf_bounds : "human" | "fast"
        Plausible responses.
    detrend : "cosine" | "linear" | int | None
        Drift to remove from BOLD.
    verbose : bool | str | int | None
        As in MNE.

    Attributes
    ----------
    bands_ : dict
        Name -> (low, high) in Hz.
    band_attention_ : array, shape (n_channels, n_bands)
        Softmax over bands; rows sum to one.
    band_gain_ : array, shape (n_channels, n_bands)
        Sign times the channel's strength relative to the strongest; one without ``y``.
    delay_ : array, shape (n_bands,)
        Seconds that a causal bank adds, else zero.
    ch_names_in_ : list of str
        Channels.
    classes_ : array, shape (n_classes,)
        Labels, where ``y`` held labels.
    n_features_in_ : int
        Columns, where X was a table.

    Notes
    -----
    `LearnableHRF` turns the drive into BOLD. Log power of the drive is centred and scaled in each
    recording (windows: by what ``fit`` saw of theirs); features by all of the training data.

    Neighbouring channels share sources, and each is asked on its own: weights are associations of a
    channel, not a unique share of the explanation.
    """

    def __init__(
        self,
        *,
        sfreq=None,
        wavelet="morlet",
        bands=None,
        n_cycles=5.0,
        level=None,
        rate=2.0,
        output="power",
        causal=False,
        picks=None,
        channels="error",
        t_r=None,
        tmin=None,
        first_volume=0.0,
        n_dummy=0,
        slice_time_ref=0.0,
        volume_event=None,
        hrf_length=30.0,
        hrf_bounds="human",
        detrend="cosine",
        verbose=None,
    ):
        self.sfreq = sfreq
        self.wavelet = wavelet
        self.bands = bands
        self.n_cycles = n_cycles
        self.level = level
        self.rate = rate
        self.output = output
        self.causal = causal
        self.picks = picks
        self.channels = channels
        self.t_r = t_r
        self.tmin = tmin
        self.first_volume = first_volume
        self.n_dummy = n_dummy
        self.slice_time_ref = slice_time_ref
        self.volume_event = volume_event
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.detrend = detrend
        self.verbose = verbose

    def fit(self, X, y=None):
        """Learn attention and gain.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Windows (`mne.Epochs`, a list of them, or (n_windows, n_channels, n_times)), recordings
            (`mne.io.Raw`, a list of them, or a list of (n_channels, n_times) arrays), or a table
            (n_samples, n_features) of band features.
        y : array | list | None
            BOLD: (n_windows, n_frames, n_targets), or one (n_frames, n_targets) array per
            recording. Otherwise one label or number per sample, (n_samples,) or
            (n_samples, n_outputs).

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If parameters and data do not agree.
        TypeError
            If the data are not numbers.
        """
        self._fit(X, y)
        return self

    def fit_transform(self, X, y=None):
        """Fit, and transform the same data, measuring band power once.

        Parameters
        ----------
        X, y : object
            As in :meth:`fit`.

        Returns
        -------
        Xt : array | list of array
            As from :meth:`transform`.
        """
        ele, powers = self._fit(X, y)
        if ele is None:
            return self._transform_rows(X)
        return self._attend(ele, powers)

    @keeps_earlier_fit
    def _fit(self, X, y):
        check_params(self)
        for name in ("n_features_in_", "feature_names_in_", "classes_"):
            self.__dict__.pop(name, None)
        with use_log_level(self.verbose):
            if is_features(X):
                self._fit_rows(X, y)
                return None, None
            return self._fit_signals(X, y)

    def _fit_signals(self, X, y):
        kind, n_samples, single = input_kind(X)
        target = target_kind(y, kind, single)
        hemo = read_hemo(y, kind, n_samples, single=single) if target == "frames" else None
        ele = read_plain(self, X) if hemo is None else read_with_frames(self, X, hemo)
        columns = None
        if target == "samples":
            columns, classes = sample_targets(y, n_samples)
            if classes is not None:
                self.classes_ = classes
        self.kind_ = kind
        self.ch_names_in_, self.info_ = list(ele.ch_names), ele.info
        bank = make_bank(
            wavelet=self.wavelet, bands=self.bands, sfreq=ele.sfreq, n_cycles=self.n_cycles,
            level=self.level, rate=float(self.rate), causal=bool(self.causal),
            shortest=min(segment.n_times for segment in ele.segments),
        )  # fmt: skip
        self.bank_, self.bands_, self.delay_ = bank, bank.bands, bank.delay
        powers = bank.powers(ele)
        refuse_flat(powers, self.ch_names_in_)
        self.scaler_ = PowerScaler(log=True).fit(powers, ele.keys)
        if target == "frames":
            self._learn_frames(ele, powers, hemo)
        elif target == "samples":
            features = self._mean_power(powers)[:, :, :, None]
            self._set_weights(band_weights(features, columns, None, np.ones(1)))
        else:
            self.band_attention_ = background_attention(ele, list(bank.bands.values()))
            self.band_gain_ = np.ones_like(self.band_attention_)
        return ele, powers

    def _learn_frames(self, ele: Electrophysiology, powers, hemo) -> None:
        # BOLD follows power; its logarithm would favour weak leaks of a rhythm into other bands.
        limited = [limit_power(power) for power in powers]
        scaler = PowerScaler().fit(limited, ele.keys)
        scaled = scaler.transform(limited, ele.keys, ele.kind)
        known = [~np.isnan(power[0, 0]) for power in powers]
        table = frame_design(
            ele, scaled, known, hemo.values, rate=float(self.rate), delay=self.delay_,
            t_r=ele.segments[0].frame_step, hrf_length=float(self.hrf_length),
            hrf_bounds=self.hrf_bounds, detrend=self.detrend,
        )  # fmt: skip
        if len(table.targets) < 10:
            raise ValueError(
                f"Only {len(table.targets)} frames have a whole history and a measured value: too "
                "few to learn from."
            )
        self._set_weights(band_weights(table.design, table.targets, table.follows, table.response))

    def _set_weights(self, weights: np.ndarray) -> None:
        self.band_attention_, self.band_gain_ = attention_from_weights(weights)
        if not weights.any():
            # Nothing to prefer: pass power on rather than a drive of zeros.
            logger.info("y does not vary: attention is even.")
            self.band_gain_ = np.ones_like(self.band_gain_)

    def transform(self, X):
        """Weight log band power by attention and gain.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            As in :meth:`fit`.

        Returns
        -------
        Xt : array | list of array
            ``output="power"``: (n_windows, n_channels, n_bins) for windows, a list with one
            (n_channels, n_bins) array per recording (a single array for a single `mne.io.Raw`);
            bin i covers ``[i / rate, (i + 1) / rate)`` seconds from the first sample.
            ``output="features"``: (n_samples, n_channels * n_bands). A table stays a table.

        Raises
        ------
        ValueError
            If X has other channels than in ``fit``, another sampling rate, or is too short.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        if is_features(X):
            return self._transform_rows(X)
        with use_log_level(self.verbose):
            ele = self._read_fitted(X)
            return self._attend(ele, self.bank_.powers(ele))

    def _read_fitted(self, X) -> Electrophysiology:
        if self.kind_ == "features":
            raise ValueError("fit saw a table (n_samples, n_features): X must be one too.")
        ele = read_plain(self, X, self.ch_names_in_)
        if abs(ele.sfreq - self.bank_.sfreq) > 1e-6 * ele.sfreq:
            raise ValueError(
                f"X is sampled at {ele.sfreq:g} Hz, but fit saw {self.bank_.sfreq:g} Hz: resample."
            )
        return ele

    def _mean_power(self, powers) -> np.ndarray:
        """Mean standardised log power of each segment, (n_segments, n_channels, n_bands)."""
        # None stands for no recording in particular: all are scaled alike.
        scaled = self.scaler_.transform(powers, [None] * len(powers), "windows")
        return np.stack([values.mean(-1) for values in scaled])

    def _attend(self, ele: Electrophysiology, powers):
        weight = self.band_attention_ * self.band_gain_
        if self.output == "features":
            return (self._mean_power(powers) * weight).reshape(len(powers), -1)
        if _get_output_config("transform", self)["dense"] != "default":
            raise ValueError(
                'output="power" is 3-D and cannot be a DataFrame: use output="features".'
            )
        scaled = self.scaler_.transform(powers, ele.keys, ele.kind)
        drives = [np.einsum("cb,cbt->ct", weight, values) for values in scaled]
        if ele.kind == "recordings":
            return drives[0] if ele.single else drives
        return np.stack(drives)

    def reconstruct(self, X):
        """Signal of the attended bands: the input, filtered by each channel's attention.

        The band with most attention passes unchanged, others in proportion.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            As in :meth:`fit`.

        Returns
        -------
        signal : array | list of array
            (n_windows, n_channels, n_times), or one (n_channels, n_times) array per recording.

        Raises
        ------
        ValueError
            If X is a table or does not agree with what ``fit`` saw.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        if is_features(X):
            raise ValueError("A table of features has no signal to reconstruct.")
        ele = self._read_fitted(X)
        weights = self.band_attention_ / self.band_attention_.max(1, keepdims=True)
        signals = [reconstruct(segment, self.bank_, weights) for segment in ele.segments]
        if ele.kind == "recordings":
            return signals[0] if ele.single else signals
        return np.stack(signals)

    def get_feature_names_out(self, input_features=None):
        """Names of the output's columns (features) or channels (power).

        Parameters
        ----------
        input_features : array-like of str | None
            Column names of a table; they must agree with those of ``fit``.

        Returns
        -------
        names : array of str
            "Oz_alpha" and so on.

        Raises
        ------
        ValueError
            If ``input_features`` are not those of ``fit``.
        """
        check_is_fitted(self)
        if self.kind_ == "features":
            return self._row_names(input_features)
        names = self.ch_names_in_
        if self.output == "features":
            names = [f"{ch}_{band}" for ch in names for band in self.bands_]
        return np.asarray(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "band_attention_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
