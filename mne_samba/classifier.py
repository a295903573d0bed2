"""Stimuli and states decoded from the latent space of a translator."""

from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ._checks import check_number, check_option, keeps_earlier_fit
from .data.given import what_is, what_is_bold
from .inverse import InverseTranslator
from .latents import LatentTranslator

# Parts of a window where nothing else is asked for.
_N_BLOCKS = 8


def _thawed(translator):
    """Estimator within a FrozenEstimator, or the estimator itself."""
    return translator.estimator if isinstance(translator, FrozenEstimator) else translator


def _has_courses(translator) -> bool:
    """Whether a translator gives latent time courses, of either modality."""
    return isinstance(_thawed(translator), (LatentTranslator, InverseTranslator))


def _has_probabilities(self) -> bool:
    # The classifier that stands in for None has them.
    classifier = getattr(self, "classifier_", self.classifier)
    return classifier is None or hasattr(classifier, "predict_proba")


class SambaClassifier(ClassifierMixin, BaseEstimator):
    """Decode labels of windows from the latent time courses of a translator.

    A translator learns from paired people which part of electrophysiology BOLD sees; labels are
    decoded from that part alone, so that what moves band power but not BOLD does not disturb. The
    labelled people need no BOLD.

    Parameters
    ----------
    translator : LatentTranslator | InverseTranslator | SambaTranslator
        Fitted, or in a `sklearn.frozen.FrozenEstimator`: used as it is. Not fitted: ``fit`` needs
        ``bold``. Of the first two, latent time courses are decoded, otherwise what ``transform``
        gives. Any other transformer works like the latter.
    classifier : classifier | None
        Fitted on one row per window; None takes linear discriminant analysis with shrinkage.
    modality : "ele" | "hemo" | None
        What X is; None takes the input of the translator's ``predict``. Only where latent time
        courses are decoded: they alone are of either modality.
    n_blocks : int | None
        Parts of a window over which latent time courses are averaged; None: 8. Only where latent
        time courses are decoded.

    Attributes
    ----------
    translator_ : estimator
        The fitted translator.
    classifier_ : classifier
        The fitted classifier.
    classes_ : array, shape (n_classes,)
        Labels.

    Notes
    -----
    BOLD travels as metadata, so it never collides with labels: in a Pipeline or in
    ``cross_val_score(..., params={"bold": bold})``, with
    ``sklearn.set_config(enable_metadata_routing=True)``, ask for it by
    ``SambaClassifier(...).set_fit_request(bold=True)``.

    Latents help where BOLD sees what tells labels apart, and other fluctuations of band power are
    large. Simulated (``benchmarks/decoding.py``: four stimuli, unseen people, chance .25) with
    nuisance at twice the amplitude of what drives BOLD, they decode .92 of windows where the best
    of five representations of band power decodes .46; that design favours them. They are no better
    than reduced-rank regression on the same people (.94), which is told the number of latents, and
    with translators trained on shifted BOLD nothing is left (.28).

    Examples
    --------
    >>> from mne_samba import InverseTranslator, LatentTranslator, SambaClassifier, SambaTranslator
    >>> both_ways = LatentTranslator(SambaTranslator(t_r=2.0), InverseTranslator(t_r=2.0))
    >>> decoder = SambaClassifier(both_ways)
    >>> # decoder.fit(epochs, labels, bold=bold).predict(others)
    """

    translator_: Any
    classifier_: Any
    classes_: np.ndarray

    def __init__(
        self,
        translator: BaseEstimator,
        classifier: BaseEstimator | None = None,
        *,
        modality: Literal["ele", "hemo"] | None = None,
        n_blocks: int | None = None,
    ) -> None:
        self.translator = translator
        self.classifier = classifier
        self.modality = modality
        self.n_blocks = n_blocks

    @keeps_earlier_fit
    def fit(self, X, y, bold=None) -> Self:
        """Fit the translator where BOLD is given, and the classifier on its latents.

        Parameters
        ----------
        X : Epochs | array | list
            Windows (or recordings) of electrophysiology; of BOLD with ``modality="hemo"``.
        y : array, shape (n_samples,)
            A label for every window.
        bold : array | list | None
            BOLD of the same windows, from which the translator learns (with ``modality="hemo"``,
            the electrophysiology). None: the translator is fitted already.

        Returns
        -------
        self : SambaClassifier
            The fitted decoder.

        Raises
        ------
        ValueError
            If labels are not one per window, labels stand where BOLD is expected, the translator is
            neither fitted nor given BOLD, or a parameter means nothing beside it.
        """
        self._check_params()
        labels = self._check_labels(X, y)
        given = bold is not None
        self.translator_ = self._fit_translator(X, bold) if given else self._fitted_translator()
        rows = self._features(X)
        classifier = self.classifier
        if classifier is None:
            classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        self.classifier_ = clone(classifier).fit(rows, labels)
        self.classes_ = self.classifier_.classes_
        return self

    def _check_params(self) -> None:
        check_option(self.modality, "modality", ("ele", "hemo", None))
        if self.n_blocks is not None:
            check_number(self.n_blocks, "n_blocks", low=1, integer=True)
        if _has_courses(self.translator):
            return
        for name in ("modality", "n_blocks"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} has no effect here: it is about the latent "
                    "time courses of a LatentTranslator or an InverseTranslator, and "
                    f"{type(_thawed(self.translator)).__name__} is decoded by its transform. Leave "
                    "it out."
                )

    def _check_labels(self, X, y) -> np.ndarray:
        if y is None:
            raise ValueError(
                "This SambaClassifier requires y to be passed, but the target y is None: give a "
                "label for every window."
            )
        n_samples = len(what_is_bold(X, "X") if self._input() == "hemo" else what_is(X))
        labels = np.asarray(y)
        if labels.ndim != 1 or len(labels) != n_samples:
            raise ValueError(
                f"y must hold one label per sample of X, shape ({n_samples},), got {labels.shape}. "
                "BOLD goes to fit(X, labels, bold=...)."
            )
        check_classification_targets(labels)
        if len(np.unique(labels)) < 2:
            raise ValueError(f"y holds one class alone, {labels[0]!r}: nothing to tell apart.")
        return labels

    def _input(self) -> str:
        if self.modality is not None:
            return self.modality
        return "hemo" if isinstance(_thawed(self.translator), InverseTranslator) else "ele"

    def _fitted_translator(self):
        try:
            check_is_fitted(self.translator)
        except NotFittedError:
            raise ValueError(
                "The translator is not fitted and no BOLD is given: fit(X, labels, bold=...), or "
                "fit the translator first (FrozenEstimator keeps it through clone and Pipelines)."
            ) from None
        return self.translator

    def _fit_translator(self, X, bold):
        if isinstance(self.translator, FrozenEstimator):
            raise ValueError("The translator is frozen: leave out bold, or pass it unfrozen.")
        if self._input() == "ele":
            what_is_bold(bold, "bold")
        # The way back alone takes BOLD first.
        back = isinstance(self.translator, InverseTranslator)
        swapped = (self._input() == "hemo") != back
        pair = (bold, X) if swapped else (X, bold)
        return clone(self.translator).fit(*pair)

    def _features(self, X) -> np.ndarray:
        translator = self.translator_
        if not _has_courses(translator):
            return np.asarray(translator.transform(X))
        return np.stack([self._blocks(c) for c in translator.latents(X, self._input())])

    def _blocks(self, course: np.ndarray) -> np.ndarray:
        n_blocks = _N_BLOCKS if self.n_blocks is None else int(self.n_blocks)
        parts = np.array_split(course, min(n_blocks, course.shape[1]), axis=1)
        return np.concatenate([part.mean(axis=1) for part in parts])

    def transform(self, X) -> np.ndarray:
        """Features that labels are decoded from, (n_samples, n_features).

        Parameters
        ----------
        X : Epochs | array | list
            As in ``fit``.

        Returns
        -------
        rows : array, shape (n_samples, n_features)
            Latents averaged in ``n_blocks`` parts of the window, part after part.
        """
        check_is_fitted(self)
        return self._features(X)

    def predict(self, X) -> np.ndarray:
        """Decode labels.

        Parameters
        ----------
        X : Epochs | array | list
            As in ``fit``.

        Returns
        -------
        labels : array, shape (n_samples,)
            One per window.
        """
        check_is_fitted(self)
        return self.classifier_.predict(self._features(X))

    @available_if(_has_probabilities)
    def predict_proba(self, X) -> np.ndarray:
        """Probabilities of the classes, (n_samples, n_classes).

        Parameters
        ----------
        X : Epochs | array | list
            As in ``fit``.

        Returns
        -------
        probabilities : array, shape (n_samples, n_classes)
            In the order of ``classes_``.
        """
        check_is_fitted(self)
        return self.classifier_.predict_proba(self._features(X))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classifier_")
