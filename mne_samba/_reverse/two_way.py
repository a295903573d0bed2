"""Directions of a translator: there, back, and both through one latent space."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.validation import check_is_fitted

from .._checks import check_option, keeps_earlier_fit
from .._data.hemo import provenance_of
from .._data.inputs import input_kind, is_features
from .._data.paired import PairedData
from .._fitting.published import publish_bands
from ..metrics import METRICS
from ..nn.hrf import HRF_PARAMS, hrf_summary
from .data import Reading, bold_kind, check_bold, check_ele, read_bold, read_pair, read_targets
from .fitter import ReverseFitter, structure_of
from .latents import fit_latents
from .shared import SharedSpace
from .signal import fit_signal, n_samples, read_waveforms

DIRECTIONS = ("ele_to_hemo", "hemo_to_ele", "both")
# What not every fit sets, and must not be left from the one before.
_OF_ONE_FIT = (
    "_reverse", "_space", "_signal", "_matched", "alignment_history_", "provenance_",
    "band_attention_", "band_gain_", "band_weights_",
)  # fmt: skip
_FORWARD = ("_network", "scaler_", "power_", "patterns_", "y_mean_", "y_scale_")


class TwoWay(SharedSpace):
    """What `SambaTranslator` does beside electrophysiology to BOLD."""

    def _check_direction(self) -> None:
        check_option(self.direction, "direction", DIRECTIONS)
        check_option(self.output, "output", ("bands", "signal"))
        check_option(self.alignment, "alignment", ("contrastive", None))

    @keeps_earlier_fit
    def fit(self, X, y):
        """Learn to translate.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology: windows (`mne.Epochs`, a list of them, or an array of shape
            (n_windows, n_channels, n_times)), recordings (`mne.io.Raw`, a list of them, or a list
            of arrays of shape (n_channels, n_times)), or a plain table (n_frames, n_features).
            With ``direction="hemo_to_ele"``, BOLD, as y is otherwise.
        y : array | list
            BOLD: (n_windows, n_frames, n_targets) for windows, one (n_frames, n_targets) array per
            recording, or (n_frames, n_targets) for a table. Rows of NaN are scrubbed frames.
            With ``direction="hemo_to_ele"``, electrophysiology, as X is otherwise.

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
        self._check_direction()
        previous = getattr(self, "_reverse", None) if self.warm_start else None
        self._built_with = self.get_params(deep=False)
        for name in _OF_ONE_FIT:
            self.__dict__.pop(name, None)
        if self.variant == "paper":
            self.__dict__.pop("power_", None)  # elsewhere, warm starts go on with it
        provenance = provenance_of(X, y)
        if provenance:
            self.provenance_ = provenance
        if self.direction == "ele_to_hemo":
            return super().fit(X, y)
        self._check_params()
        there = self.direction == "both"
        self._check_sides(X, y)
        with mne.use_log_level(self.verbose):
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            bold, ele, names = (y, X, ("y", "X")) if there else (X, y, ("X", "y"))
            data, reading = read_pair(self, bold, ele, names)
            reverse = self._fit_back(data, reading, seed, previous)
            if there:
                super().fit(X, y)
                cycled = self._cycled(ele)
                self._reverse = reverse
                self._space, self.alignment_history_ = fit_latents(self, reverse, data, cycled)
            else:
                for name in _FORWARD:
                    self.__dict__.pop(name, None)
                self._reverse = reverse
                self._space, self.alignment_history_ = fit_latents(self, reverse, data, None)
                self._publish_reverse()
            if self.output == "signal":
                self._signal = self._fit_signal(data, ele, seed)
        return self

    def _fit_back(self, data: PairedData, reading: Reading, seed, previous):
        return ReverseFitter(self, reading).fit(data, seed, previous)

    def _check_sides(self, X, y) -> None:
        first, second = ("y", "X") if self.direction == "both" else ("X", "y")
        bold, ele = (y, X) if self.direction == "both" else (X, y)
        if bold is None or ele is None:
            name = first if bold is None else second
            raise ValueError(
                f"{name} is None: this estimator requires y to be passed, and both modalities, but "
                "the target y is None."
            )
        check_bold(bold, first)
        if is_features(ele):
            raise ValueError(
                f'direction="{self.direction}" needs windows or recordings as {second}, got a '
                f"table of shape {np.shape(ele)}: without time there is no deconvolution."
            )

    def _cycled(self, ele) -> list[np.ndarray]:
        """BOLD that the forward direction predicts, in the scale of the way back."""
        frames = self.predict(ele)
        frames = [frames] if isinstance(frames, np.ndarray) and frames.ndim == 2 else list(frames)
        scale = np.where(self.y_scale_ > 0, self.y_scale_, 1.0)
        return [(frame - self.y_mean_) / scale for frame in frames]

    def _fit_signal(self, data: PairedData, ele, seed):
        reading = self._reverse.reading
        frames = [len(target) for target in data.targets]
        n_frames = frames if reading.kind == "recordings" else frames[0]
        _, signals = read_waveforms(self, ele, reading, n_frames)
        powers = self._reverse.predict(data.targets)
        return fit_signal(powers, signals, reading.sfreq, reading.grid.t_r, reading.n_frames, seed)

    def _publish_reverse(self) -> None:
        """Set the fitted attributes of a translator that only goes back."""
        reading = self._reverse.reading
        self.kind_, self.grid_, self.bands_ = reading.kind, reading.grid, reading.bands
        self.wavelet_, self.n_cycles_ = reading.wavelet, reading.n_cycles
        self.ch_names_in_, self.target_names_in_ = reading.ch_names, reading.target_names
        self.n_targets_, self.n_frames_ = len(reading.target_names), reading.n_frames
        self.info_, self.window_start_ = reading.info, reading.window_start
        self._publish_back()

    def _publish_back(self) -> None:
        """Set what follows from the network."""
        model = self._reverse
        reading, core = model.reading, model.core
        self.net_, self.core_, self.history_ = model.net, core, model.history
        self.corrections_kept_ = model.corrections_kept
        self.n_parameters_ = sum(p.numel() for p in model.net.module_.parameters())
        self.band_weights_, self.spatial_map_ = structure_of(core)
        self.band_attention_, self.band_gain_ = publish_bands(self.band_weights_, self.spatial_map_)
        self.hrf_ = core.kernel
        self.hrf_times_ = (np.arange(core.kernel.shape[1]) + 0.5) * core.dt
        params, peaks = core.hrf_params, hrf_summary(core.hrf_params)["peak_time"]
        if core.hrf == "fir":  # what its shape comes nearest to is not what was fitted
            params, peaks = np.nan, self.hrf_times_[np.abs(core.kernel).argmax(axis=1)]
        self.hrf_params_ = pd.DataFrame(
            params, index=reading.target_names, columns=list(HRF_PARAMS)
        )
        self.hrf_peak_time_ = peaks
        self.graph_ = Bunch(target=model.graphs[0], bipartite=model.graphs[1])

    def _predict_ele_from(self, X):
        """Electrophysiology from BOLD, in the shape of X."""
        self._need_reverse("Translating BOLD")
        kind, bold, single = read_bold(self, X, self._reverse.reading)
        out = self._reverse.predict(bold)
        if hasattr(self, "_signal"):
            reading = self._reverse.reading
            out = self._signal.predict(out, reading.grid.t_r, reading.n_frames)
            out = [wave * self._signal.scale[:, None] for wave in out]
        if kind == "windows":
            return np.stack(out)
        return out[0] if single else out

    def translate(self, X, to: str):
        """Translate one modality into the other.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology for ``to="hemo"``, BOLD for ``to="ele"``.
        to : "hemo" | "ele"
            The modality wanted.

        Returns
        -------
        translated : array or list of array
            BOLD as ``predict`` gives it; or log band power (n_windows, n_channels, n_bands,
            n_frames) or waveforms (n_windows, n_channels, n_times), without the first axis per
            recording.

        Raises
        ------
        ValueError
            If ``to`` is unknown, the translator was not trained on X's modality, or X is the other
            modality.

        Notes
        -----
        `SambaTranslator` says what BOLD tells of electrophysiology, and what it does not.
        """
        check_option(to, "to", ("hemo", "ele"))
        if to == "ele":
            return self._predict_ele_from(X)
        self._need_forward("Translating electrophysiology")
        return self.predict(X)

    def target_from(self, y):
        """Electrophysiology as ``predict`` gives it: what predictions from BOLD are compared with.

        Parameters
        ----------
        y : Epochs | Raw | list | array
            Electrophysiology.

        Returns
        -------
        target : array or list of array
            Log band power (n_windows, n_channels, n_bands, n_frames), one bin per frame: bin k lies
            between frames k and k + 1. Zero mean and unit variance in each recording (windows: in
            training), without slow drift; NaN where there is no signal. With ``output="signal"``,
            waveforms (n_windows, n_channels, n_times) from the first frame on. Without the first
            axis per recording.

        Raises
        ------
        ValueError
            If the translator does not go back, or y has other channels.
        """
        self._need_reverse("target_from")
        ele, out = self._targets(y)
        if ele.kind == "windows":
            return np.stack(out)
        return out[0] if ele.single else out

    def _targets(self, y, n_frames=None):
        reading = self._reverse.reading
        if hasattr(self, "_signal"):
            return read_waveforms(self, y, reading, n_frames)
        return read_targets(self, y, reading, n_frames)

    def score(self, X, y, sample_weight=None) -> float:
        """Mean Spearman correlation over time between measurement and prediction.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            What is translated.
        y : Epochs | Raw | list | array
            What was measured, as in ``fit``.
        sample_weight : None
            Not supported: a correlation over time has no weights for samples.

        Returns
        -------
        score : float
            Averaged over targets (from BOLD: over channels and bands) and recordings; 0 for a
            constant prediction. With ``direction="both"``, the mean of both directions.

        Raises
        ------
        ValueError
            If ``sample_weight`` is given, or X and y do not agree.
        """
        check_is_fitted(self)
        if self.direction != "both" or sample_weight is not None:
            return super().score(X, y, sample_weight)
        return 0.5 * (super().score(X, y) + float(np.mean(self._score_reverse(y, X, "spearman"))))

    def score_targets(self, X, y, metric: str = "spearman") -> np.ndarray:
        """Score every target over time.

        Frames of each recording are put in order (windows by onset) and cleaned of slow drift, in
        the measured and the predicted time courses alike. From BOLD, it is BOLD and measured band
        power that lose their drift, and bins whose response is cut off at the end of a window or
        recording are left out.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            What is translated.
        y : Epochs | Raw | list | array
            What was measured, as in ``fit``.
        metric : "spearman" | "pearson" | "r2"
            The score.

        Returns
        -------
        scores : array, shape (n_targets,)
            Averaged over recordings; (n_channels, n_bands) with ``direction="hemo_to_ele"``,
            (n_channels,) of waveforms.

        Raises
        ------
        ValueError
            If the metric is unknown, or X and y do not agree.
        """
        check_is_fitted(self)
        if self.direction != "hemo_to_ele":
            return super().score_targets(X, y, metric)
        check_option(metric, "metric", tuple(METRICS))
        return self._score_reverse(X, y, metric)

    def _score_reverse(self, X, y, metric) -> np.ndarray:
        """Scores (n_channels, n_bands) or (n_channels,) of electrophysiology from BOLD X."""
        self._need_reverse("Scoring what BOLD tells of electrophysiology")
        reading = self._reverse.reading
        check_bold(X, "X")
        kind, values, _ = bold_kind(X)
        frames = [len(value) for value in values]
        n_after = reading.n_after
        if min(frames) < n_after + 2:
            raise ValueError(
                f"X has windows or recordings of {min(frames)} frames, too few for deconvolution: "
                f"bins without the {n_after} frames of their response are left out of the score."
            )
        n_frames = frames if kind == "recordings" else frames[0]
        check_ele(y)
        other, n_other, _ = input_kind(y)
        if (other, n_other) != (kind, len(frames)):
            raise ValueError(
                f"X holds {len(frames)} {kind} of BOLD, but y {n_other} {other} of "
                "electrophysiology: they must be pairs."
            )
        ele, true = self._targets(y, n_frames)
        # Which windows make up a recording, and with it their drift, is known from y alone.
        _, bold, _ = read_bold(self, X, reading, ele.table)
        pred = self._reverse.predict(bold)
        cut = [frame - n_after for frame in frames]
        if hasattr(self, "_signal"):
            pred = self._signal.predict(pred, reading.grid.t_r, reading.n_frames)
            cut = [n_samples(c, reading.grid.t_r, ele.sfreq) for c in cut]
        shape = true[0].shape[:-1]
        scores = []
        for key in dict.fromkeys(ele.keys):
            rows = [i for i, other in enumerate(ele.keys) if other == key]
            pair = [
                np.concatenate([v[i][..., : cut[i]].reshape(-1, cut[i]).T for i in rows])
                for v in (true, pred)
            ]
            scores.append(METRICS[metric](*pair))
        return np.nanmean(scores, axis=0).reshape(shape)
