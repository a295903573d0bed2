"""Both ways through one latent space, as a scikit-learn estimator."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import mne
import numpy as np
from mne.utils import copy_doc
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from ._checks import check_option, keeps_earlier_fit
from .base import Translator, forget_fit
from .inverse import InverseState, InverseTranslator
from .models.inverse_data import check_long_enough, frame_bins, longer, shares_bins
from .models.latents import fit_latents
from .translator import ForwardState, SambaTranslator

__all__ = ["LatentTranslator"]


@dataclass(frozen=True)
class LatentState:
    """What fitted translators of both ways know."""

    forward: ForwardState
    inverse: InverseState  # the latent space is in it


class LatentTranslator(Translator, BaseEstimator):
    """Translate both ways through one latent space.

    Parameters
    ----------
    forward : SambaTranslator
        Electrophysiology to BOLD; not fitted here, ``forward_`` is.
    inverse : InverseTranslator
        BOLD to electrophysiology; its trainer also aligns the latent space.
    alignment : "contrastive" | None
        Whether projections into the latent space are trained to bring paired windows together,
        where held-out windows confirm it.

    Attributes
    ----------
    forward_, inverse_ : SambaTranslator, InverseTranslator
        Fitted.
    alignment_history_ : list of dict
        Losses by epoch of the alignment.

    Examples
    --------
    >>> from mne_samba import InverseTranslator, LatentTranslator, SambaTranslator
    >>> both = LatentTranslator(SambaTranslator(t_r=2.0), InverseTranslator(t_r=2.0))
    >>> # both.fit(epochs, bold).latents(others)
    """

    forward_: SambaTranslator
    inverse_: InverseTranslator
    alignment_history_: list[dict]

    def __init__(
        self,
        forward: SambaTranslator,
        inverse: InverseTranslator,
        *,
        alignment: Literal["contrastive"] | None = "contrastive",
    ) -> None:
        self.forward = forward
        self.inverse = inverse
        self.alignment = alignment

    def _check_params(self) -> None:
        check_option(self.alignment, "alignment", ("contrastive", None))
        for name, kind in (("forward", SambaTranslator), ("inverse", InverseTranslator)):
            part = getattr(self, name)
            if not isinstance(part, kind):
                raise TypeError(f"{name} must be a {kind.__name__}, got {part!r:.80}.")
        self._check_read_alike()

    def _check_read_alike(self) -> None:
        """Refuse ways that would read one recording at different times, or other channels."""
        both = (self.forward, self.inverse)
        there, back = (
            {"t_r": way.t_r, **way._reader().get_params(deep=False)} for way in both
        )  # fmt: skip
        if None in (there["t_r"], back["t_r"]):  # the windows' metadata tell it
            there["t_r"] = back["t_r"] = None
        for name in there.keys() - {"detrend", "memory"}:
            if not np.array_equal(np.asarray(there[name]), np.asarray(back[name])):
                owner = "" if name == "t_r" else "reader "
                raise ValueError(
                    f"Both ways read the same recordings, but forward has {owner}{name}="
                    f"{there[name]!r:.80} and inverse {name}={back[name]!r:.80}: give both the "
                    "same t_r and reader."
                )

    @keeps_earlier_fit
    def fit(self, X, y) -> Self:
        """Learn to translate both ways; errors are those of `SambaTranslator.fit`.

        Parameters
        ----------
        X, y : Epochs | Raw | list | array
            Windows or recordings, as there.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        self._check_params()
        ways = []
        for name in ("forward", "inverse"):
            way, before = clone(getattr(self, name)), getattr(self, f"{name}_", None)
            # A warm start goes on from what was fitted here, which a failed fit leaves as it is.
            ways.append(copy(before).set_params(**way.get_params(deep=False))
                        if way.warm_start and before is not None else way)  # fmt: skip
        forward, inverse = ways
        forget_fit(self)
        model, trainer = inverse._check_params()
        with mne.use_log_level(inverse.verbose):
            rec = inverse._reader().read_pair(X, y, inverse.t_r, may_lack=model.may_lack)
            check_long_enough(rec, "y")
            powers = self._fit_forward(forward, X, y, rec, model)
            data = inverse._fit(rec, model, trainer, powers)
            cycled = None if self.alignment is None else self._cycled(forward, X)
            latents = fit_latents(inverse._fitted, data, cycled, trainer)
        state = inverse._state()
        inverse._restore(replace(state, fitted=replace(state.fitted, latents=latents)))
        self._restore(LatentState(forward._state(), inverse._state()), forward, inverse)
        return self

    def _fit_forward(self, forward, X, y, rec, inverse_model):
        """Fit the way there; return what it measures that the way back needs, if it does."""
        forward.fit(X, y)
        features, back = forward._fitted_input.features, inverse_model.features(rec)
        if not shares_bins(features, back):
            return None
        powers = features.measure(longer(rec), forward._reader().memory)
        return frame_bins(powers, features.grid)

    def _cycled(self, forward, X) -> list[np.ndarray]:
        """BOLD that the way there predicts, standardised."""
        frames = forward.predict(X)
        frames = [frames] if isinstance(frames, np.ndarray) and frames.ndim == 2 else list(frames)
        return forward._fitted_input.scale.standard(frames)

    def _state(self) -> LatentState:
        return LatentState(self.forward_._state(), self.inverse_._state())

    def _restore(self, state: LatentState, forward=None, inverse=None) -> None:
        """Set the fitted attributes that follow from a state."""
        if forward is None:
            forward, inverse = clone(self.forward), clone(self.inverse)
            forward._restore(state.forward)
            inverse._restore(state.inverse)
        self.forward_, self.inverse_ = forward, inverse
        self.alignment_history_ = state.inverse.fitted.latents.history
        self.ch_names_in_, self.target_names_in_ = forward.ch_names_in_, forward.target_names_in_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "inverse_")

    def predict(self, X) -> Any:
        """Predict BOLD, see `SambaTranslator.predict`.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology, as in ``fit``.

        Returns
        -------
        bold : array or list of array
            (n_windows, n_frames, n_targets) for windows, one (n_frames, n_targets) array per
            recording, in the mean and scale of the training BOLD.
        """
        check_is_fitted(self)
        return self.forward_.predict(X)

    def translate(self, X, to: str) -> Any:
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
            As `SambaTranslator.predict` or `InverseTranslator.predict` gives it.

        Raises
        ------
        ValueError
            If ``to`` is unknown, or X is the other modality.
        """
        check_is_fitted(self)
        check_option(to, "to", ("hemo", "ele"))
        return (self.forward_ if to == "hemo" else self.inverse_).predict(X)

    @copy_doc(InverseTranslator.latents)
    def latents(self, X, modality: Literal["ele", "hemo"] = "ele") -> Any:
        check_is_fitted(self)
        return self.inverse_.latents(X, modality)

    @copy_doc(InverseTranslator.transform)
    def transform(self, X, modality: Literal["ele", "hemo"] = "ele") -> np.ndarray:
        check_is_fitted(self)
        return self.inverse_.transform(X, modality)

    def _columns(self) -> list[str]:
        return self.inverse_._columns()

    @copy_doc(SambaTranslator.retrieval_score)
    def retrieval_score(self, X, y, k: Sequence[int] = (1, 5, 10)) -> Bunch:
        check_is_fitted(self)
        return self.forward_.retrieval_score(X, y, k)

    def score(self, X, y, sample_weight=None) -> float:
        """Mean of the scores of both ways.

        Parameters
        ----------
        X, y, sample_weight : object
            As in `SambaTranslator.score`.

        Returns
        -------
        score : float
            Mean of `SambaTranslator.score` and `InverseTranslator.score`.
        """
        check_is_fitted(self)
        there = self.forward_.score(X, y, sample_weight)
        return 0.5 * (there + self.inverse_.score(y, X))
