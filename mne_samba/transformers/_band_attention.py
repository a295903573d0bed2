"""WaveletBandAttention: which frequency bands of which channels matter."""

from typing import Any, Literal, Self

import numpy as np
from mne import Info
from mne.utils import logger, use_log_level
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from .._checks import check_number, check_option, check_t_r, keeps_earlier_fit, refuse_flat
from .._typing import HrfBounds, Verbose
from ..base import forget_fit
from ..data.channels import check_same_rate
from ..data.drive import drives_of
from ..data.given import target_kind, what_is
from ..data.power import PowerScaler, bank_for
from ..data.recordings import Recordings
from ..reader import HasReader, Reader
from ..wavelets import as_bank
from ..wavelets.banks import Bands, Discrete, Morlet, Precomputed, Shannon
from ._band_evidence import attention_from_weights, band_weights
from ._band_rows import TableAttention
from ._band_signals import background_attention, bin_powers, limit_power, reconstruct
from ._band_targets import frame_design, sample_targets


class WaveletBandAttention(TableAttention, HasReader, TransformerMixin, BaseEstimator):
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
    t_r : float | None
        Seconds between frames of BOLD; None takes it from the windows' metadata.
    bands : dict | Shannon | Morlet | Discrete | Precomputed | None
        Frequency bands and their wavelets: a dict of name -> (low, high) in Hz, or a bank of
        `mne_samba.wavelets`; ``Morlet(causal=True)`` uses past samples only, `Precomputed` says
        that X is power. None: delta to gamma,
        as far as sampling rate and window length allow.
    rate : float
        Bins of band power per second, at most half the sampling rate.
    output : "power" | "features"
        "power": drive of each channel at ``rate`` Hz. "features": mean attended log power of each
        channel and band, a row per sample.
    hrf_length : float
        Seconds of history that shape a frame.
    hrf_bounds : "human" | "fnirs" | "fast"
        Plausible responses.
    reader : Reader | None
        How recordings are read: channels, frame times, drift of BOLD; None takes the defaults of
        `mne_samba.Reader`. Its ``memory`` is not used here.
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

    bank_: Shannon | Morlet | Discrete | Precomputed
    bands_: dict[str, tuple[float, float]]
    info_: Info | None
    band_attention_: np.ndarray
    band_gain_: np.ndarray
    delay_: np.ndarray
    ch_names_in_: list[str]
    classes_: np.ndarray
    n_features_in_: int

    def __init__(
        self,
        *,
        t_r: float | None = None,
        bands: Bands = None,
        rate: float = 2.0,
        output: Literal["power", "features"] = "power",
        hrf_length: float = 30.0,
        hrf_bounds: HrfBounds = "human",
        reader: Reader | None = None,
        verbose: Verbose = None,
    ) -> None:
        self.t_r = t_r
        self.bands = bands
        self.rate = rate
        self.output = output
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.reader = reader
        self.verbose = verbose

    def _check_params(self) -> None:
        check_number(self.rate, "rate", low=0, low_open=True)
        check_number(self.hrf_length, "hrf_length", low=0, low_open=True)
        check_option(self.output, "output", ("power", "features"))
        check_option(self.hrf_bounds, "hrf_bounds", ("human", "fnirs", "fast"))
        if self.t_r is not None:
            check_t_r(self.t_r)
        as_bank(self.bands)
        self._reader().check()

    def fit(self, X, y=None) -> Self:
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

    def fit_transform(self, X, y=None) -> Any:
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
        rec, powers = self._fit(X, y)
        return (
            self._transform_table(rec)
            if rec.kind == "table"
            else self._attend(rec, powers, self._framed)
        )

    @keeps_earlier_fit
    def _fit(self, X, y):
        """Learn; return what was read and its band power, which ``fit_transform`` goes on with."""
        self._check_params()
        forget_fit(self)
        with use_log_level(self.verbose):
            given = what_is(X)
            target = target_kind(y, given.kind, given.single)
            if target == "frames":
                rec = self._reader().read_pair(X, y, self.t_r, may_lack=False)
            else:
                rec = self._reader().read_signals(X, owner=self)
            self._layout, self.ch_names_in_ = rec.layout(max(rec.n_frames)), list(rec.ch_names)
            self.info_, self._framed = rec.info, target == "frames"
            if rec.kind == "table":
                self._fit_table(rec, y)
                return rec, None
            return rec, self._fit_signals(rec, y, target)

    def _fit_signals(self, rec: Recordings, y, target: str) -> list[np.ndarray]:
        columns = None
        if target == "samples":
            columns, classes = sample_targets(y, len(rec))
            if classes is not None:
                self.classes_ = classes
        if rec.bands is None and self.rate > rec.sfreq / 2:
            raise ValueError(
                f"rate={self.rate:g} asks for more bins of band power per second than half the "
                f"sampling rate of {rec.sfreq:g} Hz. BOLD follows slow changes: the default is 2."
            )
        self.bank_ = bank_for(self.bands, rec)
        self.bands_, self.delay_ = dict(self.bank_.band_edges), self.bank_.delay
        self._rate = float(min(self.rate, self.bank_.rate))
        powers = bin_powers(self.bank_, rec, self._rate)
        total = sum(np.nansum(power, axis=(1, 2), dtype=np.float64) for power in powers)
        refuse_flat(~(total > 0), "X", self.ch_names_in_)
        self._scaler = PowerScaler(log=True).fit(powers, rec.keys)
        if target == "frames":
            self._learn_frames(rec, powers)
        elif target == "samples":
            features = self._mean_power(powers)[:, :, :, None]
            self._set_weights(band_weights(features, columns, None, np.ones(1)))
        elif rec.bands is not None:
            raise ValueError(
                "Without y, attention is learnt from the spectrum of signals, but X holds band "
                "power: give y."
            )
        else:
            self.band_attention_ = background_attention(rec, list(self.bands_.values()))
            self.band_gain_ = np.ones_like(self.band_attention_)
        return powers

    def _learn_frames(self, rec: Recordings, powers) -> None:
        # BOLD follows power; its logarithm would favour weak leaks of a rhythm into other bands.
        limited = [limit_power(power) for power in powers]
        scaler = PowerScaler().fit(limited, rec.keys)
        scaled = scaler.transform(limited, rec.keys, rec.kind)
        known = [~np.isnan(power[0, 0]) for power in powers]
        table = frame_design(
            rec, scaled, known, rate=self._rate, delay=self.delay_,
            hrf_length=float(self.hrf_length), hrf_bounds=self.hrf_bounds,
            detrend=self._reader().detrend,
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

    def transform(self, X) -> Any:
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
            bin i covers ``[i / rate, (i + 1) / rate)`` seconds from the first sample. These arrays
            (``mne_samba.data.drive.Drive``) carry rate, place of bins and frame times on:
            `LearnableHRF` needs no numbers after this.
            ``output="features"``: (n_samples, n_channels * n_bands). A table stays a table.

        Raises
        ------
        ValueError
            If X has other channels than in ``fit``, another sampling rate, or is too short.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        with use_log_level(self.verbose):
            rec, framed = self._read(X)
            if rec.kind == "table":
                return self._transform_table(rec)
            return self._attend(rec, bin_powers(self.bank_, rec, self._rate), framed)

    def _read(self, X) -> tuple[Recordings, bool]:
        """Read X as fit saw its input, and say whether the times of its frames are known."""
        check_is_fitted(self)
        reader, layout = self._reader(), self._layout
        given = what_is(X)
        # A fit of recordings does not say where frames of windows lie: epochs or tmin have to.
        told = given.kind == layout.kind or given.is_mne or reader.tmin is not None
        framed = self._framed and (told or given.kind != "windows")
        if framed:
            rec = reader.read(X, self.t_r, layout=layout, owner=self)
        else:
            rec = reader.read_signals(X, layout=layout, owner=self)
        if rec.kind != "table":
            check_same_rate(rec.sfreq, layout.sfreq, "X", "what fit saw")
        return rec, framed

    def _mean_power(self, powers) -> np.ndarray:
        """Mean standardised log power of each segment, (n_segments, n_channels, n_bands)."""
        # None stands for no recording in particular: all are scaled alike.
        scaled = self._scaler.transform(powers, [None] * len(powers), "windows")
        return np.stack([values.mean(-1) for values in scaled])

    def _attend(self, rec: Recordings, powers, framed: bool):
        weight = self.band_attention_ * self.band_gain_
        if self.output == "features":
            return (self._mean_power(powers) * weight).reshape(len(powers), -1)
        if _get_output_config("transform", self)["dense"] != "default":
            raise ValueError(
                'output="power" is 3-D and cannot be a DataFrame: use output="features".'
            )
        scaled = self._scaler.transform(powers, rec.keys, rec.kind)
        drives = [np.einsum("cb,cbt->ct", weight, values) for values in scaled]
        return drives_of(rec, drives, self._rate, framed)

    def reconstruct(self, X) -> Any:
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
        rec, _ = self._read(X)
        if rec.kind == "table":
            raise ValueError("A table of features has no signal to reconstruct.")
        if rec.bands is not None:
            raise ValueError("Band power has no signal to reconstruct.")
        weights = self.band_attention_ / self.band_attention_.max(1, keepdims=True)
        return rec.as_given(
            [reconstruct(segment, self.bank_, rec.sfreq, weights) for segment in rec.segments]
        )

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
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
        if self._layout.kind == "table":
            return _check_feature_names_in(self, input_features)
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
