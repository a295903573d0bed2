"""The SAMBA translator: electrophysiology to BOLD, as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import mne
import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from ._checks import keeps_earlier_fit, several_t_r
from ._typing import Seed, Verbose
from .base import (
    Assembled,
    BoldPredictor,
    FittedInput,
    by_t_r,
    forget_fit,
    moment_names,
    time_moments,
)
from .data.bold import detrend_segments
from .data.images import image_of
from .data.power import BandPower
from .models.samba import CoreModel
from .reader import Reader

if TYPE_CHECKING:
    from torch import nn

    from .models.chunk_power import ChunkPower
    from .models.chunk_voltage import ChunkVoltage
    from .models.neurobolt import FittedNeuroBOLT, NeuroBOLTModel
    from .models.paper import FittedPaper, PaperModel
    from .models.samba_fit import FittedSamba
    from .models.trainer import Trainer

__all__ = ["SambaTranslator"]


@dataclass(frozen=True)
class ForwardState:
    """What a fitted translator knows."""

    _own_dims = ("*",)  # two ways in one file may differ in all

    inputs: FittedInput
    fitted: FittedSamba | FittedPaper | FittedNeuroBOLT
    provenance: list[dict]  # of BOLD

    @staticmethod
    def _late_types() -> dict[str, type]:
        from .models.neurobolt import FittedNeuroBOLT  # load torch
        from .models.paper import FittedPaper
        from .models.samba_fit import FittedSamba

        kinds = FittedNeuroBOLT, FittedPaper, FittedSamba
        return {kind.__name__: kind for kind in kinds}


@dataclass(frozen=True)
class NetworkInput:
    """What the network of a fitted translator sees of data."""

    module: nn.Module  # from power (n_windows, n_channels, n_features, n_bins) to frames
    powers: list[np.ndarray]  # standardised, (n_channels, n_features, n_bins) by segment
    features: BandPower | ChunkPower | ChunkVoltage
    n_frames: int  # of a training window

    @classmethod
    def of(cls, translator: SambaTranslator, X) -> NetworkInput:
        """Read data as ``predict`` does."""
        rec = translator._read(X)
        powers, _, grid = translator._measure(rec)
        n_frames = translator._fitted_input.layout.n_frames
        module = translator._fitted.module_for(grid)
        return cls(module, powers, translator._features_of(rec), n_frames)


class SambaTranslator(Assembled, BoldPredictor):
    """Translate EEG/MEG into fMRI time courses (SAMBA, arXiv 2409.18462).

    Band power at about 2 Hz is weighted by a softmax attention over frequency bands with a signed
    gain per node, mapped from nodes to regions, passed through a six-parameter haemodynamic
    response per region and sampled at frame times. This linear core is fitted by variational Bayes
    in seconds. Graph attention over nodes and over regions and a recurrent decoder over frames are
    trained on top of it, and kept only if they predict a held-out block of the training data
    better.

    Parameters
    ----------
    t_r : float | list of float | None
        Seconds between frames (volumes); a list has those of recordings that are fitted together
        though they differ, by position: one for each of ``X``. None takes them from the windows'
        metadata, from the spacing of the scanner's triggers (``reader__volume_event``), or from
        BOLD (DataFrames with ``attrs["t_r"]``): recordings that carry theirs can be split by a
        cross-validation.
    model : "samba" | "core" | "paper" | "neurobolt" | object
        What is fitted: the default above (`SambaModel`), its linear core alone (`CoreModel`), the
        published network (`PaperModel`), or a peer's (`NeuroBOLTModel`, which publishes neither
        bands nor responses nor maps); an object brings parameters of its own.
    reader : Reader | None
        How recordings are read: channels, frame times, drift; None takes the defaults of
        `mne_samba.Reader`.
    trainer : Trainer | None
        How networks are trained, and what is held out inside ``fit``; None takes the defaults of
        `mne_samba.Trainer`, or the published ones of the model where it has them ("neurobolt").
    warm_start : bool
        Start from the fitted model, to adapt it to a new person with the same channels, bands and
        regions.
    random_state : int | RandomState | None
        Seed of what is drawn at random in fits: the same seed and data, the same model.
    verbose : bool | str | int | None
        Verbosity as in MNE-Python; None takes MNE's own level. "info" says what is being tried
        within a fit, and at its end what was chosen, and why.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The network that predicts, as skorch wraps it.
    core_ : mne_samba.core.Core | None
        The linear core; None with ``model="paper"``.
    hrf_family_ : str
        Family of responses that was taken; not with ``model="paper"``.
    hrf_at_bounds_ : array of bool, shape (n_targets,)
        Whether a bound of the six parameters holds a response back; not with ``model="paper"``.
    hrf_params_ : DataFrame, shape (n_targets, 6)
        Parameters of the responses, a row per region; NaN where they are free. With
        ``model="paper"`` a row per channel, as are the responses below.
    hrf_ : array, shape (n_targets, n_hrf_times)
        Response of every region at ``hrf_times_``, with a peak of 1.
    hrf_times_ : array, shape (n_hrf_times,)
        Their times in seconds.
    hrf_peak_time_ : array, shape (n_targets,)
        Times to peak in seconds.
    bands_ : dict
        Bands, name to (low, high) in Hz; with ``model="paper"`` the levels of its wavelets.
    power_ : "linear" | "log"
        Scale of band power that is used; not with ``model="paper"``.
    band_attention_ : array, shape (n_channels, n_bands)
        Attention over bands; rows sum to 1.
    band_gain_ : array, shape (n_channels, n_bands)
        Signed gain in [-1, 1]; not with ``model="paper"``.
    band_weights_ : array, shape (n_channels, n_bands)
        Effective coefficients of bands; not with ``model="paper"``.
    spatial_map_ : array, shape (n_targets, n_channels)
        The map from channels to regions.
    patterns_ : array, shape (n_targets, n_channels, n_bands)
        Haufe activation patterns.
    unmixing_ : Bunch | None
        How channels were unmixed before power: ``method`` ("channels" where they are as they were),
        ``scores`` and ``margin`` on held-out training frames, ``seconds``, ``names`` of components,
        their ``filters`` (n_components, n_channels) and ``patterns`` (n_channels, n_components).
        Band attention, maps, patterns and graphs are then of components. None where there was
        nothing to unmix.
    node_names_ : list of str
        Names of what attributes call channels: components where channels were unmixed.
    physiology_ : Bunch | None
        Responses to physiology, ``Reader(physiology=...)``: ``names`` and ``kinds`` of its drives,
        ``hrf`` (n_targets, n_drives, n_hrf_times), standard deviations of BOLD per second in which
        a drive is one standard deviation higher, at ``hrf_times``, and ``peak_time`` (n_targets,
        n_drives) of the largest. All else is about what they leave of BOLD.
    graph_ : Graphs
        Adjacency (``source``, ``target``), what it was built by (``source_similarity``), attention
        where graph attention is used (``source_attention``), and the map (``bipartite``).
    corrections_kept_ : bool
        Whether graph attention and recurrence are used: never with ``model="core"``, always with
        ``model="paper"``.
    stack_weights_ : array, shape (n_targets,)
        Share of free, smooth responses of every drive in predictions: above 0 where
        training data prefer them to one response per region; not with ``model="paper"``.
    frame_weights_ : list of array, each (n_frames, n_targets) | None
        Weights of training frames per recording or window: below 1 where a frame lay far from its
        prediction. None where the loss was squared; not with ``model="paper"``.
    history_ : list of dict
        Losses by epoch of the network's training, kept or not; empty where none was trained, as
        with ``model="core"``.
    n_parameters_ : int
        Learnt numbers that are used.
    ch_names_in_, target_names_in_ : list of str
        Names of channels and regions.
    n_targets_ : int
        Number of regions.
    y_mean_, y_scale_ : array, shape (n_targets,)
        Mean and scale of the training BOLD, in which predictions are given.
    info_ : mne.Info | None
        Of the channels; None where X was arrays.
    provenance_ : list of dict
        Where BOLD came from; only where `mne_samba.io.read_bids_pair` read it.

    See Also
    --------
    InverseTranslator : From BOLD to electrophysiology.
    LatentTranslator : Both ways through one latent space.

    Examples
    --------
    >>> from mne_samba import Reader, SambaModel, SambaTranslator
    >>> translator = SambaTranslator(t_r=2.0)  # then translator.fit(raws, bolds)
    >>> model, reader = SambaModel(hrf="fir"), Reader(picks="eeg")
    >>> free = SambaTranslator(t_r=2.0, model=model, reader=reader)
    """

    hrf_family_: str
    hrf_at_bounds_: np.ndarray
    power_: str
    patterns_: np.ndarray
    stack_weights_: np.ndarray
    frame_weights_: list[np.ndarray] | Any

    _several_t_r = True
    _MODELS = {  # noqa: RUF012
        "samba": "SambaModel", "core": "CoreModel", "paper": "PaperModel",
        "neurobolt": "NeuroBOLTModel",
    }  # fmt: skip

    def __init__(
        self,
        *,
        t_r: float | Sequence[float] | None = None,
        model: Literal["samba", "core", "paper", "neurobolt"]
        | CoreModel
        | PaperModel
        | NeuroBOLTModel = "samba",
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
        """Learn to predict BOLD.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology: windows (`mne.Epochs`, a list of them, or an array of shape
            (n_windows, n_channels, n_times)), recordings (`mne.io.Raw`, a list of them, or a list
            of arrays of shape (n_channels, n_times)), or a plain table (n_frames, n_features).
        y : array | list
            BOLD: (n_windows, n_frames, n_targets) for windows, one (n_frames, n_targets) array per
            recording, or (n_frames, n_targets) for a table; or fNIRS, `mne.io.Raw` with haemoglobin
            (see `mne_samba.io.fnirs_frames`). Rows of NaN are scrubbed frames;
            columns of NaN, in some of several recordings, are regions that these lack (not with
            ``model="paper"``).

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
        model, trainer = self._check_params()
        start = self._start()
        forget_fit(self)
        with mne.use_log_level(self.verbose):

            def choose(rec):
                # A core sees recordings as a whole, networks see windows of them.
                if not isinstance(model, CoreModel) or hasattr(model, "corrections"):
                    trainer.check_lengths(rec)
                return model.features(rec)

            rec, features, data, unmixing, physiology = self._pair(
                X, y, choose, model.scaler(), model.may_lack, model.chooses_scale,
                getattr(model, "unmix_of_nodes", None), start,
            )  # fmt: skip
            n_frames = 1 if rec.kind == "table" else trainer.frames(features.grid.t_r)[0]
            fitted = model.fit(data, trainer, self._seed(), start)
            missing = self._missing(rec, features, data, fitted.scaler)
            layout = rec.layout(n_frames)
            inputs = FittedInput(layout, features, data.scale, unmixing, missing, physiology)
            self._restore(ForwardState(inputs, fitted, rec.provenance))
        return self

    def _state(self) -> ForwardState:
        return ForwardState(self._fitted_input, self._fitted, getattr(self, "provenance_", []))

    def _scaler(self):
        return self._fitted.scaler

    def _frames(self, powers, grid) -> list[np.ndarray]:
        return self._fitted.frames(powers, grid)

    def predict(self, X, return_std: bool = False, t_r=None) -> Any:
        """Predict BOLD at frame times.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology as in ``fit``; recordings may be given where windows were fitted and
            the other way round.
        return_std : bool
            Also return the standard deviation of a measured frame around its prediction: the
            posterior of the map, what was left unexplained on held-out training frames, and what
            is not known of channels that were inferred.
        t_r : float | list of float | None
            Seconds between the frames that are predicted, one per recording where they differ.
            They may be others than in ``fit``: responses are continuous in time. None takes the
            translator's, or, where it has none, what the data say (windows, triggers).

        Returns
        -------
        bold : array or list of array
            (n_windows, n_frames, n_targets) for windows, one (n_frames, n_targets) array per
            recording (a single array for a single `mne.io.Raw`), (n_frames, n_targets) for a
            table; in the mean and scale of the training BOLD.
        std : array or list of array
            Like ``bold``, with ``return_std=True``.

        Raises
        ------
        ValueError
            If X has other channels than in ``fit`` or cannot be read.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        if not return_std:
            return super().predict(X, t_r)
        rec = self._read(X, t_r=t_r)
        bold, std = by_t_r(rec, self._frames_and_std)
        return rec.as_given(bold), rec.as_given(std)

    def _frames_and_std(self, rec):
        """Predict BOLD and its standard deviation, lists of (n_frames, n_targets)."""
        powers, _, grid = self._measure(rec)
        scale = self._fitted_input.scale
        std = self._with_missing(self._fitted.std(powers, grid), rec, powers, grid)
        std = [spread * scale.scale for spread in std]
        return self._bold(rec, powers, grid), std

    def _with_missing(self, std, rec, powers, grid) -> list[np.ndarray]:
        """Spread of frames (n_frames, n_targets), with that of channels that were inferred."""
        out = list(std)
        for i, pattern in enumerate(self._patterns(rec)):
            if pattern is not None:
                draws = self._fitted_input.missing.draws(pattern, powers[i].shape[-1])
                more = np.repeat(powers[i][np.newaxis], len(draws), axis=0)
                more[:, pattern.lacks] += draws
                frames = np.stack(self._frames([powers[i], *more], grid))
                variance = np.mean((frames[1:] - frames[0]) ** 2, axis=(0, 1))
                out[i] = np.sqrt(out[i] ** 2 + variance)
        return out

    def predict_interval(self, X, coverage: float = 0.9, t_r=None) -> tuple[Any, Any]:
        """Interval that holds a measured frame with a given probability.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology, as in ``predict``.
        coverage : float
            Wanted share of frames inside, between 0 and 1.
        t_r : float | list of float | None
            As in ``predict``; of a time between frames that ``fit`` saw, intervals are those of its
            own noise.

        Returns
        -------
        low, high : array or list of array
            Like the output of ``predict``. Half-widths are blocked conformal quantiles of residuals
            on held-out training frames, in units of the predicted standard deviation, which has
            room for as much slow drift as the training data had.

        Raises
        ------
        ValueError
            If ``coverage`` is not between 0 and 1.
        """
        check_is_fitted(self)
        self._fitted.quantile(coverage)  # refuses shares that cannot be

        def interval(part):
            factor = self._fitted.quantile(coverage, part.t_r)
            pairs = list(zip(*self._frames_and_std(part), strict=True))
            return [b - s * factor for b, s in pairs], [b + s * factor for b, s in pairs]

        rec = self._read(X, t_r=t_r)
        low, high = by_t_r(rec, interval)
        return rec.as_given(low), rec.as_given(high)

    def transform(self, X) -> np.ndarray:
        """Latent representation: mean and spread over time of every region's neural drive.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology, as in ``predict``.

        Returns
        -------
        latents : array, shape (n_samples, 2 * n_targets)
            One row per window or recording (of a table: n_targets columns, the prediction alone).
        """
        rec = self._read(X)
        if rec.kind == "table":
            return self._predict(rec)[0][0]

        def drives(part):
            powers, _, grid = self._measure(part)
            return (self._fitted.drives(powers, grid),)

        return time_moments(by_t_r(rec, drives)[0])

    def _columns(self) -> list[str]:
        names = self.target_names_in_
        return names if self._fitted_input.layout.kind == "table" else moment_names(names)

    def predict_image(self, X, masker) -> Any:
        """Predict BOLD and put it back into an image.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology, as in ``predict``.
        masker : nilearn masker | mne_samba.io.GrayordinatesMasker
            The fitted masker that the training BOLD came from; volumes, surfaces, CIFTI.

        Returns
        -------
        image : image or list of image
            One per window or recording; a single image for a single `mne.io.Raw`. The header of
            volumes holds the seconds between frames, and the space of the masker's atlas.
            `mne_samba.io.write_image` writes frames to files.
        """
        rec = self._read(X)
        frames = rec.as_given(self._predict(rec)[0])
        if isinstance(frames, np.ndarray) and frames.ndim == 2:
            return image_of(masker, frames, rec.shortest_t_r)
        pairs = zip(frames, np.broadcast_to(rec.t_rs, len(frames)), strict=True)
        return [image_of(masker, frame, float(t_r)) for frame, t_r in pairs]

    def retrieval_score(self, X, y, k: Sequence[int] = (1, 5, 10)) -> Bunch:
        """Find the BOLD window that belongs to each window of electrophysiology.

        BOLD is predicted from every window; all measured windows are ranked by their likelihood
        given the prediction, relative to their likelihood without one.

        Parameters
        ----------
        X : Epochs | array
            Windows of electrophysiology.
        y : array, shape (n_windows, n_frames, n_targets)
            Measured BOLD of the same windows: the candidates.
        k : tuple of int
            Sizes of the short lists.

        Returns
        -------
        summary : Bunch
            ``top`` and ``chance`` (dicts from k to a share of windows), ``median_rank``,
            ``chance_rank``, ``n_candidates``, ``ranks`` (n_windows,).

        Raises
        ------
        ValueError
            If X is not windows, or holds fewer than two, or targets are more than 5,000.
        """
        from .models.retrieval import MOST_TARGETS, retrieval_summary  # loads torch

        rec = self._read(X, y)
        if np.ndim(rec.t_rs):
            raise ValueError(
                f"retrieval_score compares windows of one t_r, but X has {several_t_r(rec.t_rs)}: "
                "score them apart."
            )
        if rec.kind != "windows" or len(rec) < 2:
            raise ValueError(
                f"retrieval_score needs at least two windows, got {len(rec)} {rec.kind}: cut "
                "recordings with make_windows."
            )
        if self._fitted.matched is None:
            raise ValueError(
                f"retrieval_score weighs targets by their covariances, which fits measure for at "
                f"most {MOST_TARGETS}, and this model has {len(self.y_scale_)}: average voxels "
                "over regions, and fit to these."
            )
        pred, _ = self._predict(rec)
        scale = np.where(self.y_scale_ > 0, self.y_scale_, 1.0)
        pair = []
        for values in (pred, rec.bold):
            clean = detrend_segments(values, rec.table, "windows", rec.t_r, self._reader().detrend)
            pair.append(np.nan_to_num(np.stack(clean) / scale))
        return retrieval_summary(self._fitted.matched.scores(*pair), k)
