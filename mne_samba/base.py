"""What the estimators share: data in, frames out, the score, files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pandas as pd
from mne import Info
from mne.utils import use_log_level
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, TransformerMixin
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.validation import check_is_fitted

from ._checks import check_option, check_t_r, check_t_rs
from ._hub import MODEL, download, upload
from ._scoring import MeanScore, score_recordings
from .data.paired import BoldScale, Paired
from .data.power import BandPower, PowerScaler, TableRows, full_history
from .data.recordings import Layout, Recordings
from .model_file import write_estimator
from .models.missing_channels import MissingChannels, inferred, with_unseen
from .models.unmix_choice import UnmixingChoice, choose_unmixing
from .models.warm_start import filter_of
from .reader import HasReader, Reader
from .unmixing import SpatialFilter

if TYPE_CHECKING:
    from skorch import NeuralNet

    from .core import Core
    from .models.chunk_power import ChunkPower
    from .models.chunk_voltage import ChunkVoltage
    from .models.graphs import Graphs
    from .models.physiology import PhysiologyResponses
    from .models.trainer import Trainer


@dataclass(frozen=True)
class FittedInput:
    """What a fit learnt about its input: how it is read, measured and brought back to its unit."""

    layout: Layout  # channels, regions and frames
    features: BandPower | ChunkPower | ChunkVoltage | TableRows
    scale: BoldScale
    unmixing: UnmixingChoice | None = None  # None where nothing was to choose
    missing: MissingChannels | None = None  # None where channels are not to be inferred
    physiology: PhysiologyResponses | None = None  # None where none was asked for

    @staticmethod
    def _late_types() -> dict[str, type]:
        from .models.chunk_power import ChunkPower  # load torch
        from .models.chunk_voltage import ChunkVoltage
        from .models.physiology import PhysiologyResponses

        kinds = ChunkPower, ChunkVoltage, PhysiologyResponses
        return {kind.__name__: kind for kind in kinds}

    def _sizes(self) -> dict[str, int]:
        # Models see nodes: channels, or the components that a filter makes of them.
        return {"n_channels": len(self.node_names)}

    def check(self) -> None:
        """Refuse a filter of other channels, and no regions, as read from a file."""
        if not self.layout.target_names:
            raise ValueError("target_names must not be empty.")
        if self.spatial is not None and self.spatial.filters.shape[1] != len(self.layout.ch_names):
            raise ValueError("the spatial filter has other channels than the layout.")

    @property
    def spatial(self) -> SpatialFilter | None:
        """Filter that channels go through before power."""
        return getattr(self.features, "spatial", None)

    @property
    def node_names(self) -> list[str]:
        """Names of channels, or of components."""
        return list(self.layout.ch_names if self.spatial is None else self.spatial.names)


def forget_fit(estimator) -> None:
    """Remove what an earlier fit has set: not every fit sets all of it."""
    for name in [n for n in vars(estimator) if n.endswith("_") or n.startswith("_fitted")]:
        del estimator.__dict__[name]


def by_t_r(rec: Recordings, of) -> tuple[list, ...]:
    """Put together lists, a value per segment, that a function gives of each repetition time's."""
    found = [(rows, of(part)) for rows, part in rec.alike()]
    out = tuple([None] * len(rec) for _ in found[0][1])
    for rows, values in found:
        for whole, some in zip(out, values, strict=True):
            for i, value in zip(rows, some, strict=True):
                whole[i] = value
    return out


def check_history(rec: Recordings, grid) -> None:
    """Refuse windows with less context before their first frame than a response lasts."""
    start, need = min(s.frame_start for s in rec.segments), grid.n_lags * grid.dt
    if rec.kind == "windows" and start < need - 1.0 / rec.sfreq:
        raise ValueError(
            f"Windows hold {max(0.0, start):g} s of context before their first frame, shorter than "
            f"the response of {need:g} s: BOLD follows what came before. Cut them with "
            f"mne_samba.make_windows(raw, bold, t_r=..., context={need:g}), or with "
            f"mne.Epochs(..., tmin=-{need:g}), whose time 0 is the first frame (arrays: check "
            "sfreq, t_r and tmin). A shorter hrf_length needs less."
        )


def published(inputs: FittedInput) -> Bunch | None:
    """Choice of a spatial filter as people read it; None where there was nothing to choose."""
    choice, spatial = inputs.unmixing, inputs.spatial
    if choice is None:
        return None
    found = {} if spatial is None else {"filters": spatial.filters, "patterns": spatial.patterns}
    return Bunch(**vars(choice), names=inputs.node_names, **found)


def time_moments(courses) -> np.ndarray:
    """Mean and spread over time of courses (n_rows, n_times): (n_courses, 2 * n_rows)."""
    return np.stack([np.concatenate([c.mean(axis=1), c.std(axis=1)]) for c in courses])


def moment_names(names) -> list[str]:
    """Names of the columns of `time_moments`."""
    return [f"{name}_{moment}" for moment in ("mean", "std") for name in names]


class OfPairs(MeanScore, HasReader):
    """An estimator of pairs; ``_fitted_input`` is what a fit learnt about its input."""

    ch_names_in_: list[str]
    target_names_in_: list[str]
    n_targets_: int
    bands_: dict[str, tuple[float, float]]
    info_: Info | Any
    provenance_: list[dict]

    def _publish_input(self, inputs, provenance: list[dict]) -> None:
        """Set the fitted attributes that follow from the data alone."""
        self._fitted_input, layout = inputs, inputs.layout
        self.ch_names_in_, self.info_ = list(layout.ch_names), layout.info
        self.target_names_in_ = list(layout.target_names)
        self.n_targets_, self.bands_ = len(layout.target_names), dict(inputs.features.bands)
        if provenance:
            self.provenance_ = provenance

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted_input")


class BoldPredictor(OfPairs, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Base of estimators that predict BOLD at frame times from electrophysiology.

    Subclasses call ``_publish_input``, give ``_frames(powers, grid)``, standardised frames per
    segment, and ``_scaler``, the fitted scaler of band power.
    """

    node_names_: list[str]
    unmixing_: Bunch | Any
    physiology_: Bunch | Any
    y_mean_: np.ndarray
    y_scale_: np.ndarray

    def _pair(
        self, X, y, choose, scaler, may_lack, keeps_raw=False, unmix=None, start=None
    ) -> tuple[Recordings, object, Paired, UnmixingChoice | None, PhysiologyResponses | None]:
        """Read, measure and standardise paired data; ``choose(rec)`` says what is measured."""
        # BOLD is what physiology leaves of it; ``unmix`` is a spatial filter or that it is to be
        # chosen, and a warm ``start`` has one.
        reader = self._reader()
        rec = reader.read_pair(X, y, self.t_r, may_lack=may_lack, owner=self, physiology=True)
        features = choose(rec)
        check_history(rec, features.grid)
        if start is None:
            features, chosen = choose_unmixing(rec, features, unmix, reader.detrend, scaler.log)
        else:
            features, chosen = filter_of(start, rec, features, unmix), start[1].unmixing
        powers = features.measure(rec, reader.memory)
        # Columns of a table are not power: their scale is not for us to choose.
        scaler = PowerScaler() if rec.kind == "table" else scaler
        nodes = features.nodes(rec) if isinstance(features, BandPower) else rec
        grids = features.grids(rec) if isinstance(features, BandPower) else None
        data = Paired.of(
            nodes, powers, features.grid, reader.detrend, scaler, dict(features.bands), keeps_raw,
            grids,
        )  # fmt: skip
        physiology = None
        if reader.physiology is not None:
            from .models.physiology import PhysiologyResponses

            physiology, unseen = PhysiologyResponses.fit(rec, data, reader)
            data = data.with_bold(lambda bold: [y - f for y, f in zip(bold, unseen, strict=True)])
        return rec, features, data, chosen, physiology

    def _missing(self, rec, features, data: Paired, scaler) -> MissingChannels | None:
        """Learn to infer channels, of power on the scale that was taken, where it is asked for."""
        if self._reader().channels != "infer" or rec.kind == "table":
            return None
        data = data if data.scaler.log == scaler.log else data.rescaled(scaler)
        return MissingChannels.learn(rec, features, data.powers)

    def _publish_input(self, inputs: FittedInput, provenance: list[dict]) -> None:
        super()._publish_input(inputs, provenance)
        self.node_names_, self.unmixing_ = inputs.node_names, published(inputs)
        self.physiology_ = None if inputs.physiology is None else inputs.physiology.describe()
        self.y_mean_, self.y_scale_ = inputs.scale.mean, inputs.scale.scale
        # As scikit-learn's checks of a table have set them.
        if inputs.layout.kind == "table":
            self.n_features_in_ = len(self.ch_names_in_)
            if inputs.layout.named:
                self.feature_names_in_ = np.array(self.ch_names_in_, dtype=object)

    def _read(self, X, y=None, t_r=None) -> Recordings:
        """Read X (and y) as fit saw its input."""
        check_is_fitted(self)
        t_r = self.t_r if t_r is None else t_r
        reader, options = self._reader(), {"layout": self._fitted_input.layout, "owner": self}
        options |= {"may_lack_channels": True, "physiology": True}
        with use_log_level(getattr(self, "verbose", None)):
            if y is None:
                rec = reader.read(X, t_r, **options)
            else:
                rec = reader.read_pair(X, y, t_r, **options)
        for _, part in rec.alike():
            check_history(part, self._features_of(part).grid)
        return rec

    def _features_of(self, rec: Recordings):
        """Choose what is measured at the frames of these recordings."""
        return self._fitted_input.features.at(rec.t_r)

    def _measure(self, rec: Recordings) -> tuple[list[np.ndarray], list[np.ndarray], object]:
        """Standardised power of segments, frames with a whole history, and the grid of bins."""
        features, patterns = self._features_of(rec), self._patterns(rec)
        infers, spatial = self._reader().channels == "infer", self._fitted_input.spatial
        if infers and any(len(segment.lacks) for segment in rec.segments):
            rec = self._fitted_input.missing.complete(rec)
        with use_log_level(getattr(self, "verbose", None)):
            powers = features.measure(rec, self._reader().memory)
            known = [full_history(power, features.grid) for power in powers]
            scaler = self._scaler()
            scaler = scaler.without_drift(scaler.detrend, features.grid)
            if rec.kind == "windows":
                powers = with_unseen(powers, patterns, scaler, rec.keys)
            # Power of hours is large, and what is shared is read only.
            scaled = scaler.transform(powers, rec.keys, rec.kind, overwrite=True)
        for i, (segment, pattern) in enumerate(zip(rec.segments, patterns, strict=True)):
            if pattern is not None:
                scaled[i] = inferred(scaled[i], pattern, rec.kind)
            elif not infers and spatial is None:
                scaled[i][segment.lacks] = 0.0
        return scaled, known, features.grid

    def _patterns(self, rec: Recordings) -> list:
        """Say what is known of the nodes of segments that lack channels; None of others."""
        missing = self._fitted_input.missing
        if self._reader().channels != "infer" or not any(len(s.lacks) for s in rec.segments):
            return [None] * len(rec)
        if missing is None:
            raise ValueError(
                "X lacks channels, and the fit has not learnt to infer them: "
                "reader=Reader(channels='infer') must be there in fit."
            )
        return missing.patterns(rec, self._features_of(rec))

    def _predict(self, rec: Recordings) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Frames in the unit of training BOLD, and which of them have a whole history."""

        def predict(part):
            powers, known, grid = self._measure(part)
            return self._bold(part, powers, grid), known

        return by_t_r(rec, predict)

    def _bold(self, rec, powers, grid) -> list[np.ndarray]:
        """Frames (n_frames, n_targets) of BOLD, of electrophysiology and of physiology."""
        frames, physiology = self._frames(powers, grid), self._fitted_input.physiology
        if physiology is not None:
            may_lack = self._reader().channels in ("match", "infer")
            beside = physiology.frames(rec, [grid] * len(rec), may_lack)
            frames = [own + more for own, more in zip(frames, beside, strict=True)]
        return self._fitted_input.scale.unscale(frames)

    def predict(self, X, t_r=None) -> Any:
        """Predict BOLD at frame times, in the shape and with the errors of `SambaTranslator`.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology as in ``fit``, windows or recordings.
        t_r : float | list of float | None
            Seconds between the frames that are predicted, which may be others than in ``fit``.

        Returns
        -------
        bold : array or list of array
            (n_windows, n_frames, n_targets), one (n_frames, n_targets) array per recording, or
            (n_frames, n_targets) for a table; in the mean and scale of the training BOLD.
        """
        rec = self._read(X, t_r=t_r)
        return rec.as_given(self._predict(rec)[0])

    def score_targets(self, X, y, metric: str = "spearman", t_r=None) -> np.ndarray:
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
        t_r : float | list of float | None
            Seconds between frames, where they are others than in ``fit``.

        Returns
        -------
        scores : array, shape (n_targets,)
            Averaged over recordings; NaN for regions that all of them lack.

        Raises
        ------
        ValueError
            If the metric is unknown, or X and y do not agree.
        """
        rec = self._read(X, y, t_r)
        detrend = self._reader().detrend
        return score_recordings(rec, *self._predict(rec), detrend=detrend, metric=metric)


class InFiles:
    """An estimator that can be kept in a file."""

    def save(self, path, overwrite: bool = False) -> None:
        """Save to one file, which `read_samba` reads.

        Parameters
        ----------
        path : str | Path
            The file, usually ``name.samba``; its folder must exist.
        overwrite : bool
            Replace an existing file.

        Raises
        ------
        FileExistsError
            If the file exists and ``overwrite`` is False.
        """
        check_is_fitted(self)
        write_estimator(self, path, overwrite)


class NamedColumns(TransformerMixin):
    """A transformer whose columns have names, which ``_columns()`` gives."""

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Names of what ``transform`` gives.

        Parameters
        ----------
        input_features : None
            Not used, as scikit-learn passes it.

        Returns
        -------
        names : array of str, shape (n_columns,)
            Translators: mean and standard deviation over time of every latent, regions for tables.
            Otherwise a name per component, parcel or region.
        """
        check_is_fitted(self)
        return np.array(self._columns(), dtype=object)


class Translator(InFiles, NamedColumns):
    """A translator, which can be shared on the Hugging Face hub as the file that it is kept in."""

    def push_to_hub(
        self, repo: str, card: str, *, private: bool = True, token: str | None = None,
        message: str = "Add a model",
    ) -> str:  # fmt: skip
        """Share on the Hugging Face hub, or another one that ``HF_ENDPOINT`` names.

        Parameters
        ----------
        repo : str
            Repository, "owner/name"; made where there is none.
        card : str
            What to know of it, see `mne_samba.make_model_card`: the page that people see.
        private : bool
            Whether a repository that is made is for its owner alone.
        token : str | None
            Of the hub; None takes that of ``hf auth login``.
        message : str
            Of the commit.

        Returns
        -------
        revision : str
            Hash of the commit, by which ``from_hub`` gets the model.

        Raises
        ------
        ImportError
            Without huggingface_hub (extra ``hub``).
        ValueError
            If the card has no score.
        """
        check_is_fitted(self)
        if not isinstance(card, str) or "## Score" not in card:
            raise ValueError(
                "A model is shared with its honest score: card must be what "
                f"mne_samba.make_model_card(model, result) gives, got {card!r:.60}."
            )
        with TemporaryDirectory() as folder:
            path = Path(folder) / MODEL
            self.save(path)
            return upload(repo, path, card, private=private, token=token, message=message)

    @classmethod
    def from_hub(cls, repo: str, revision: str, *, token: str | None = None) -> Self:
        """Get a model from the Hugging Face hub. No code of the repository is run.

        Parameters
        ----------
        repo : str
            Repository, "owner/name".
        revision : str
            Hash of a commit, all 40 digits: the model stays the one that was looked at.
        token : str | None
            Of the hub, for private repositories.

        Returns
        -------
        estimator : object
            Fitted.

        Raises
        ------
        ImportError
            Without huggingface_hub (extra ``hub``).
        ValueError
            If the revision is no hash of a commit, or the file no model.
        TypeError
            If it is another estimator's.
        """
        # Which classes a file may name is known above: the one import that goes up.
        from .saving import read_samba

        found = read_samba(download(repo, revision, token))
        if not isinstance(found, cls):
            raise TypeError(
                f"{repo} holds a {type(found).__name__}, not a {cls.__name__}: "
                f"{type(found).__name__}.from_hub gets it."
            )
        return found


class SignalTransformer(InFiles, NamedColumns):
    """A transformer from signals to signals, which stay signals where tables are asked for."""

    def __init_subclass__(cls, **kwargs):
        # scikit-learn would make data frames of recordings.
        super().__init_subclass__(auto_wrap_output_keys=None, **kwargs)

    def set_output(self, *, transform=None) -> Self:
        """Signals come out, whatever the steps after it in a Pipeline are asked for.

        Parameters
        ----------
        transform : str | None
            As scikit-learn passes it.

        Returns
        -------
        self : object
            The estimator.
        """
        return self


class Assembly(NamedTuple):
    """Objects that the parameters of a translator stand for, also those that are None or a name."""

    reader: Reader
    model: BaseEstimator
    trainer: Trainer

    def check(self) -> None:
        """Refuse parameters that cannot be."""
        for part in self:
            part.check()


class Assembled(Translator):
    """A translator put together from a model, a reader and a trainer.

    ``None`` and names stand for objects with default parameters; nested parameters such as
    ``model__hrf`` may be set all the same. Subclasses say what names mean in ``_MODELS``.
    """

    core_: Core | Any
    band_attention_: np.ndarray
    band_gain_: np.ndarray
    band_weights_: np.ndarray
    spatial_map_: np.ndarray
    graph_: Graphs
    corrections_kept_: bool
    history_: list[dict]
    n_parameters_: int
    hrf_params_: pd.DataFrame
    hrf_: np.ndarray
    hrf_times_: np.ndarray
    hrf_peak_time_: np.ndarray

    _MODELS: dict[str, str]
    _several_t_r = False  # whether recordings of several t_r are fitted together

    def __init__(
        self, *, t_r=None, model="samba", reader=None, trainer=None, warm_start=False,
        random_state=None, verbose=None,
    ):  # fmt: skip
        self.t_r = t_r
        self.model = model
        self.reader = reader
        self.trainer = trainer
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def _model(self):
        """Build the model that the parameter stands for, checked."""
        from . import models

        if not isinstance(self.model, str):
            known = tuple(getattr(models, name) for name in self._MODELS.values())
            if not isinstance(self.model, known):
                raise TypeError(
                    f"model must be one of {sorted(self._MODELS)} or an object of "
                    f"{', '.join(sorted(self._MODELS.values()))}, got {self.model!r:.80}."
                )
            return self.model
        check_option(self.model, "model", tuple(self._MODELS))
        return getattr(models, self._MODELS[self.model])()

    def _trainer(self) -> Trainer:
        from .models import Trainer

        if self.trainer is not None:
            return self.trainer
        return getattr(self._model(), "published_trainer", Trainer)()

    @property
    def assembly(self) -> Assembly:
        """Reader, model and trainer as objects."""
        return Assembly(self._reader(), self._model(), self._trainer())

    def _parts(self) -> dict:
        return {**super()._parts(), "model": self._model, "trainer": self._trainer}

    def _check_params(self):
        """Refuse parameters that cannot be; return model and trainer."""
        from .models import Trainer

        if self.t_r is not None:
            (check_t_rs if self._several_t_r else check_t_r)(self.t_r)
        for name, kind in (("reader", Reader), ("trainer", Trainer)):
            part = getattr(self, name)
            if part is not None and not isinstance(part, kind):
                raise TypeError(f"{name} must be a {kind.__name__} or None, got {part!r:.80}.")
        check_option(self.warm_start, "warm_start", (True, False))
        self.assembly.check()
        return self.assembly.model, self.assembly.trainer

    def _seed(self) -> int | None:
        # None: the model draws one, or takes that of a killed fit that it goes on from.
        if self.random_state is None:
            return None
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _start(self):
        """Give what a warm start goes on from: the fitted model, and what it knows of its input."""
        if not (self.warm_start and hasattr(self, "_fitted")):
            return None
        return self._fitted, self._fitted_input

    @cached_property
    def net_(self) -> NeuralNet:
        """Skorch net around the network, built when it is asked for."""
        return self._fitted.net

    def _restore(self, state) -> None:
        """Set the fitted attributes that follow from a state: input, what is fitted, provenance."""
        self._fitted = state.fitted
        self._publish_input(state.inputs, state.provenance)
        for name, value in state.fitted.describe(state.inputs.layout).items():
            setattr(self, name, value)
