"""The way back: BOLD to band power of electrophysiology, as a scikit-learn estimator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import mne
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ._checks import check_option, first_of, keeps_earlier_fit
from ._scoring import score_frames
from ._typing import Seed, Verbose
from .base import (
    Assembled,
    FittedInput,
    OfPairs,
    check_history,
    forget_fit,
    moment_names,
    time_moments,
)
from .data.given import what_is, what_is_bold
from .data.power import BandPower, LowRateGrid
from .data.recordings import Recordings
from .metrics import METRICS
from .models import InverseCoreModel, InversePaperModel, Trainer
from .models.inverse_data import (
    InverseScale,
    check_long_enough,
    frames_after,
    longer,
    pair_inverse,
    rows,
)
from .models.inverse_fit import FittedInverse
from .models.inverse_paper import FittedInversePaper
from .reader import Reader, match_regions, regions_of

__all__ = ["InverseTranslator"]


@dataclass(frozen=True)
class InverseInput(FittedInput):
    """What a fit of the way back learnt about its input."""

    features: BandPower
    scale: InverseScale  # of both modalities


@dataclass(frozen=True)
class InverseState:
    """What a fitted way back knows."""

    _own_dims = ("*",)  # two ways in one file may differ in all

    inputs: InverseInput
    fitted: FittedInverse | FittedInversePaper
    provenance: list[dict]  # of BOLD

    def _sizes(self) -> dict[str, int]:
        return {"n_channels": len(self.inputs.layout.ch_names)}


class InverseTranslator(Assembled, OfPairs, BaseEstimator):
    """Translate fMRI time courses into band power of EEG/MEG.

    The encoding model of `SambaTranslator` (map, band weights, responses) is fitted to log band
    power in bins of one frame and inverted by Bayes: a filter over frames. Deconvolution by every
    region's response, graph attention and wavelet heads are trained on top of it, and kept only
    where held-out frames confirm them.

    Parameters
    ----------
    t_r : float | None
        Seconds between frames (volumes); None takes it from the windows' metadata.
    model : "samba" | "core" | "paper" | InverseSambaModel | InverseCoreModel | InversePaperModel
        What is fitted: the default above, the filter alone, or the published network.
    reader, trainer, warm_start, random_state, verbose : object
        As in `SambaTranslator`.

    Attributes
    ----------
    core_ : mne_samba.core.Core | None
        The encoding core, of which ``band_attention_``, ``band_gain_``, ``band_weights_`` and
        responses (in bins of one frame) are published; None with ``model="paper"``, which has
        responses alone.
    spatial_map_ : array, shape (n_targets, n_channels)
        The map: of the encoding core, from channels to regions, or of ``model="paper"``, from
        regions to channels.
    graph_ : Graphs
        Who attends to whom: among regions (``target``), among channels (``source``, with
        ``model="paper"``), and the map between both (``bipartite``); None where no attention was
        built.
    corrections_kept_ : bool
        Whether deconvolution, graphs and heads are used: never with ``model="core"``, always with
        ``model="paper"``.
    net_, history_, n_parameters_, hrf_params_, hrf_, hrf_times_, hrf_peak_time_ : object
        As in `SambaTranslator`.
    bands_, ch_names_in_, target_names_in_, n_targets_, info_, provenance_ : object
        As in `SambaTranslator`.

    Notes
    -----
    BOLD tells of changes of band power below about 0.1 Hz, in bands that drive it; not of faster
    ones, and not of phase. Simulated (``benchmarks/reverse.py``: 16 nodes, 32 regions, 30 min, SNR
    4, log power in bins of 2 s), predicted and measured alpha power correlate by .42 to .47 at
    rates below 0.1 Hz, by .20 from 0.1 to 0.15 Hz and by .05 above; delta and theta, which hardly
    drive BOLD there, by .16 at most; waveforms by .00. An oracle that knows coupling, responses and
    noise is ahead by .01.

    Examples
    --------
    >>> from mne_samba import InverseTranslator
    >>> translator = InverseTranslator(t_r=2.0)  # then translator.fit(bolds, raws)
    """

    _MODELS = {  # noqa: RUF012
        "samba": "InverseSambaModel",
        "core": "InverseCoreModel",
        "paper": "InversePaperModel",
    }

    def __init__(
        self,
        *,
        t_r: float | None = None,
        model: Literal["samba", "core", "paper"] | InverseCoreModel | InversePaperModel = "samba",
        reader: Reader | None = None,
        trainer: Trainer | None = None,
        warm_start: bool = False,
        random_state: Seed = None,
        verbose: Verbose = None,
    ) -> None:
        super().__init__(
            t_r=t_r, model=model, reader=reader, trainer=trainer, warm_start=warm_start,
            random_state=random_state, verbose=verbose,
        )  # fmt: skip

    @keeps_earlier_fit
    def fit(self, X, y) -> Self:
        """Learn to predict band power.

        Parameters
        ----------
        X : array | list
            BOLD, as y of `SambaTranslator.fit`.
        y : Epochs | Raw | list | array
            Electrophysiology: windows or recordings, as X of `SambaTranslator.fit`.

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
        _check_sides(X, y)
        model, trainer = self._check_params()
        with mne.use_log_level(self.verbose):
            rec = self._reader().read_pair(
                y, X, self.t_r, may_lack=model.may_lack, names=("y", "X")
            )
            check_long_enough(rec, "X")
            self._fit(rec, model, trainer)
        return self

    def _fit(self, rec: Recordings, model, trainer, powers=None):
        """Fit to recordings whose band power may be known; return the paired data."""
        if trainer.modality_dropout:
            raise ValueError(
                "modality_dropout leaves types of channels out of what BOLD is predicted from: on "
                "the way back set Trainer(modality_dropout=0.0)."
            )
        start = self._start()
        forget_fit(self)
        features, reader = model.features(rec), self._reader()
        check_history(rec, LowRateGrid.from_tr(rec.t_r, float(model.hrf_length)))
        if powers is None:
            powers = features.measure(longer(rec), reader.memory)
        bands = dict(features.bands)
        data, scale = pair_inverse(rec, powers, features.grid, reader.detrend, bands)
        fitted = model.fit(data, trainer, self._seed(), start)
        inputs = InverseInput(rec.layout(fitted.n_frames), features, scale)
        self._restore(InverseState(inputs, fitted, rec.provenance))
        return data

    def _state(self) -> InverseState:
        return InverseState(self._fitted_input, self._fitted, getattr(self, "provenance_", []))

    def _check_t_r(self, t_r: float | None) -> None:
        """Refuse another rate of frames: the filter from BOLD has its taps at those of fit."""
        fitted = self._fitted_input.layout.t_r
        if t_r is not None and float(t_r) != fitted:
            raise ValueError(
                f"The way back is tied to the t_r that it was fitted on ({fitted:g} s), got "
                f"t_r={t_r:g} s."
            )

    def _read_bold(self, X, signal: Recordings | None = None) -> tuple[Recordings, list]:
        """Read and standardise BOLD; its signal says which frames windows are, and of what."""
        check_is_fitted(self)
        self._check_t_r(self.t_r)
        state, table = self._fitted_input, None
        with mne.use_log_level(self.verbose):
            rec = self._reader().read_bold(X, t_r=state.layout.t_r)
            if signal is not None:
                table = signal.table
                rec = replace(rec, target_names=regions_of(signal, rec.target_names))
            rec = match_regions(rec, state.layout)
            if min(rec.n_frames) < 2:
                raise ValueError("X holds a single frame: too few for deconvolution.")
            return rec, state.scale.standard_bold(rec.bold, rec.kind, table)

    def _measure(self, y, n_frames=None) -> tuple[Recordings, list[np.ndarray]]:
        """Read electrophysiology and measure its power in bins of frames, history included."""
        check_is_fitted(self)
        self._check_t_r(self.t_r)
        _check_ele(y)
        state, reader = self._fitted_input, self._reader()
        with mne.use_log_level(self.verbose):
            rec = reader.read(y, self.t_r, layout=state.layout, n_frames=n_frames, name="y")
            self._check_t_r(rec.t_r)  # of the windows' metadata
            return rec, state.features.measure(longer(rec), reader.memory)

    def _targets(self, y) -> tuple[Recordings, list[np.ndarray]]:
        """Electrophysiology as ``predict`` gives it."""
        rec, powers = self._measure(y)
        with mne.use_log_level(self.verbose):
            return rec, self._fitted_input.scale.standard_targets(rec, powers)

    def predict(self, X) -> Any:
        """Predict log band power from BOLD.

        Parameters
        ----------
        X : array | list
            BOLD as in ``fit``.

        Returns
        -------
        power : array or list of array
            (n_windows, n_channels, n_bands, n_frames) for windows, one (n_channels, n_bands,
            n_frames) array per recording (a single array for a single one outside a list);
            standardised, as `target_from` gives it.

        Raises
        ------
        ValueError
            If X has other regions than in ``fit``, or is electrophysiology.
        """
        rec, bold = self._read_bold(X)
        return rec.as_given(self._fitted.predict(bold))

    def target_from(self, y) -> Any:
        """Electrophysiology as ``predict`` gives it: what predictions are compared with.

        Parameters
        ----------
        y : Epochs | Raw | list | array
            Electrophysiology.

        Returns
        -------
        target : array or list of array
            Log band power (n_windows, n_channels, n_bands, n_frames), one bin per frame: bin k lies
            between frames k and k + 1. Zero mean and unit variance in each recording (windows: in
            training), without slow drift; NaN where there is no signal. Without the first axis per
            recording.

        Raises
        ------
        ValueError
            If y has other channels than in ``fit``.
        """
        rec, targets = self._targets(y)
        return rec.as_given(targets)

    def score_targets(self, X, y, metric: str = "spearman") -> np.ndarray:
        """Score every channel and band over time.

        As `SambaTranslator.score_targets`, but for bins whose response is cut off at the end of a
        window or recording: they are left out. BOLD of windows loses the drift of their recording
        first.

        Parameters
        ----------
        X, y : Epochs | Raw | list | array
            BOLD, and measured electrophysiology, as in ``fit``.
        metric : "spearman" | "pearson" | "r2"
            The score.

        Returns
        -------
        scores : array, shape (n_channels, n_bands)
            Averaged over recordings.

        Raises
        ------
        ValueError
            If the metric is unknown, or X and y do not agree.
        """
        check_is_fitted(self)
        check_option(metric, "metric", tuple(METRICS))
        given = what_is_bold(X, "X")
        frames = [len(value) for value in given.items]
        n_after = frames_after(self._fitted_input.layout.t_r)
        if min(frames) < n_after + 2:
            raise ValueError(
                f"X has windows or recordings of {min(frames)} frames, too few for deconvolution: "
                f"bins without the {n_after} frames of their response are left out of the score."
            )
        _check_ele(y)
        other = what_is(y, "y")
        if (other.kind, len(other)) != (given.kind, len(frames)):
            raise ValueError(
                f"X holds {len(frames)} {given.kind} of BOLD, but y {len(other)} {other.kind} of "
                "electrophysiology: they must be pairs."
            )
        rec, powers = self._measure(y, frames[0] if given.kind == "windows" else frames)
        # Which windows make up a recording, and with it their drift, is known from y alone.
        _, bold = self._read_bold(X, rec)
        # Scoring removes the drift of power, as that of predictions: on the bins that count.
        scale = replace(self._fitted_input.scale, detrend=None)
        with mne.use_log_level(self.verbose):
            true = scale.standard_targets(rec, powers)
        pred = self._fitted.predict(bold)
        for bins in true:
            bins[..., -n_after:] = np.nan
        scores = score_frames(
            [rows(bins) for bins in true], [rows(bins) for bins in pred], rec.table, rec.kind,
            t_r=rec.t_r, detrend=self._reader().detrend, metric=metric,
        )  # fmt: skip
        return scores.reshape(true[0].shape[:-1])

    def latents(self, X, modality: Literal["ele", "hemo"] = "hemo") -> Any:
        """Time courses in the latent space, one value per frame.

        The space holds the directions of log band power that BOLD sees, each as large as its
        signal-to-noise ratio there. BOLD is brought into it by deconvolution, so that both
        modalities share the clock of the electrophysiology.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            BOLD or electrophysiology.
        modality : "hemo" | "ele"
            What X is.

        Returns
        -------
        courses : array, shape (n_windows, n_latents, n_frames), or list of array
            One (n_latents, n_frames) array per recording in a list.

        Raises
        ------
        ValueError
            If the modality is unknown, or X is not of it.
        """
        check_is_fitted(self)
        check_option(modality, "modality", ("ele", "hemo"))
        if modality == "hemo":
            rec, bold = self._read_bold(X)
            powers = self._fitted.predict(bold)
        else:
            rec, powers = self._targets(X)
        out = self._fitted.latents.courses(powers, modality)
        return np.stack(out) if rec.kind == "windows" else out

    def transform(self, X, modality: Literal["ele", "hemo"] = "hemo") -> np.ndarray:
        """Mean and spread over time of every latent time course.

        Parameters
        ----------
        X, modality : object
            As in `latents`.

        Returns
        -------
        latents : array, shape (n_samples, 2 * n_latents)
            One row per window or recording.
        """
        return time_moments(self.latents(X, modality))

    def _columns(self) -> list[str]:
        n_latents = len(self._fitted.latents.ele)
        return moment_names([f"latent{i:02d}" for i in range(n_latents)])


def _check_sides(bold, ele) -> None:
    """Refuse a missing modality, and modalities that are swapped."""
    if bold is None or ele is None:
        name = "X" if bold is None else "y"
        raise ValueError(
            f"{name} is None: this estimator requires y to be passed, and both modalities, but the "
            "target y is None."
        )
    what_is_bold(bold, "X")
    _check_ele(ele)


def _check_ele(y) -> None:
    """Refuse what cannot be electrophysiology: nothing, labels."""
    first = first_of(y)
    if not hasattr(first, "info") and np.ndim(first) < 2:
        raise ValueError(
            "Electrophysiology is expected here: mne.Epochs, mne.io.Raw, a list of them, or "
            f"arrays; got data of shape {np.shape(y)}."
        )
