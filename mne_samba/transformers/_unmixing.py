"""Unmixing: from channels to components whose power can be told apart."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import mne
import numpy as np
from mne.utils import logger, use_log_level
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._checks import (
    as_float_array,
    check_finite,
    check_number,
    check_option,
    keeps_earlier_fit,
)
from .._typing import Verbose
from ..base import SignalTransformer, forget_fit
from ..data.channels import align
from ..data.given import what_is
from ..data.recordings import Layout, Recordings
from ..models.unmix_choice import METHODS, learner_of
from ..reader import HasReader, Reader
from ..unmixing import SpatialFilter
from ..wavelets import as_bank
from ..wavelets.banks import Bands
from ._new_channels import samples_of, with_channels


@dataclass(frozen=True)
class UnmixingState:
    """What a fitted `Unmixing` knows."""

    layout: Layout
    spatial: SpatialFilter
    bands: dict[str, tuple[float, float]]

    def _sizes(self) -> dict[str, int]:
        return {"n_sensors": len(self.layout.ch_names)}


class Unmixing(HasReader, SignalTransformer, BaseEstimator):
    r"""Unmix channels into components before their power is taken.

    Every sensor sees a mixture of sources, :math:`x(t) = A s(t)`. Where sources wax and wane each
    at its own times, covariances of bands in short pieces of the signal are diagonal in one basis
    alone, that of the sources. It minimises

    .. math:: \sum_{p,b} \log\det\mathrm{diag}(B C_{pb} B^T) - \log\det(B C_{pb} B^T)

    over all pieces p and bands b (Pham and Cardoso 2001), after projection on the principal
    components that stand out of the sensors' own noise. It needs no head model, no BOLD and no
    labels.

    Parameters
    ----------
    bands : dict | Shannon | Morlet | Discrete | None
        Frequency bands, as in `mne_samba.SambaModel`.
    method : "joint" | "underdetermined" | "whiten"
        Joint diagonalisation; sources that may be more than sensors (see Notes); or whitening alone
        (ZCA): channels that are uncorrelated and otherwise as they were.
    n_components : int | "auto"
        Principal components that are unmixed. "auto" takes all but those at the floor of noise, if
        the floor's power is steady in pieces that have not been used to find it: sensors' noise is,
        sources' power is not. Never more than the rank of the data; with "underdetermined", any
        number of sources, and half as many again as the rank by "auto".
    segment : float
        Seconds over which power is taken as constant.
    reader : Reader | None
        How recordings are read: channels; None takes the defaults of `mne_samba.Reader`. What is
        about BOLD is not used here.
    verbose : bool | str | int | None
        As in MNE.

    Attributes
    ----------
    filters_ : array, shape (n_components, n_channels)
        Components are ``filters_ @ data``, of unit variance in the mean over bands.
    patterns_ : array, shape (n_channels, n_components)
        How each component appears at the sensors; largest first.
    component_names_ : list of str
        Names of components.
    bands_ : dict
        Bands, name to (low, high) in Hz.
    ch_names_in_ : list of str
        Channels.
    info_ : mne.Info | None
        Of the channels; None where X was arrays.

    See Also
    --------
    SambaModel : Unmixes by itself, where held-out frames confirm it.

    Notes
    -----
    Recordings, and so people, count alike, whatever their length: one filter serves all. BAD spans
    are left out. Data of reduced rank (average reference, interpolated channels, projections,
    cleaned by ICA) have fewer components. Kinds of sensors are brought to one scale first.

    With ``method="underdetermined"`` the topographies of sources, which may be more than sensors,
    are those that explain best how covariances change (maximum likelihood; the equation is that of
    ``mne_samba.unmixing.underdetermined``), in pieces of half a segment. Components are beamformers
    with these topographies: they overlap, but every source is as clear in one of them as a linear
    filter makes it. It takes ten times as long as joint diagonalisation.

    Otherwise sources are found as far as they are fewer than sensors. In any case they have to
    stand out of noise, and their power to change: Gaussian sources of steady power cannot be told
    apart, nor can those that wax and wane together.

    References
    ----------
    D.-T. Pham and J.-F. Cardoso, IEEE Transactions on Signal Processing 49 (2001) 1837-1848.
    L. De Lathauwer, J. Castaing and J.-F. Cardoso, IEEE Transactions on Signal Processing 55 (2007)
    2965-2973.
    P. Ablin, J.-F. Cardoso and A. Gramfort, ESANN 2019, arXiv:1811.11433.

    Examples
    --------
    >>> from mne_samba import Unmixing
    >>> from mne_samba.datasets import simulate_paired
    >>> raw = simulate_paired(1, 120.0, n_sources=8, random_state=0).raws[0]
    >>> unmixing = Unmixing().fit(raw)
    >>> unmixing.filters_.shape
    (8, 64)
    >>> unmixing.transform(raw).ch_names[:2]
    ['IC000', 'IC001']
    """

    filters_: np.ndarray
    patterns_: np.ndarray
    component_names_: list[str]
    bands_: dict[str, tuple[float, float]]
    ch_names_in_: list[str]
    info_: mne.Info | Any

    def __init__(
        self,
        bands: Bands = None,
        *,
        method: Literal["joint", "underdetermined", "whiten"] = "joint",
        n_components: int | Literal["auto"] = "auto",
        segment: float = 10.0,
        reader: Reader | None = None,
        verbose: Verbose = None,
    ) -> None:
        self.bands = bands
        self.method = method
        self.n_components = n_components
        self.segment = segment
        self.reader = reader
        self.verbose = verbose

    def _check_params(self) -> None:
        as_bank(self.bands)
        check_option(self.method, "method", METHODS)
        if not (isinstance(self.n_components, str) and self.n_components == "auto"):
            check_number(self.n_components, "n_components", low=1, integer=True)
        check_number(self.segment, "segment", low=0, low_open=True)
        self._reader().check()

    @keeps_earlier_fit
    def fit(self, X, y=None) -> Self:
        """Learn filters.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Windows (`mne.Epochs`, a list of them, or (n_windows, n_channels, n_times)) or
            recordings (`mne.io.Raw`, a list of them, or a list of (n_channels, n_times) arrays).
        y : None
            Not used.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is a table, or no stretch outside BAD spans is long enough.
        TypeError
            If X is not numbers.
        """
        self._check_params()
        forget_fit(self)
        with use_log_level(self.verbose):
            rec = self._read(X, None)
            bands = as_bank(self.bands).resolve(rec.sfreq).band_edges
            learner = learner_of(rec, bands, float(self.segment))
            spatial = getattr(learner, self.method)(self.n_components)
            logger.info("%d components of %d channels.", len(spatial.names), len(rec.ch_names))
        self._restore(UnmixingState(rec.layout(1), spatial, bands))
        return self

    def _read(self, X, layout: Layout | None) -> Recordings:
        if what_is(X).kind == "table":
            raise ValueError(
                "Unmixing needs signals, but X is a table (n_samples, n_features). One recording "
                "as an array (n_channels, n_times) goes into a list."
            )
        if what_is(X).is_power:
            raise ValueError(
                "Unmixing needs signals, but X holds band power: power of a mixture cannot be "
                "unmixed. Give the signals that it was measured from."
            )
        return self._reader().read_signals(X, layout=layout)

    def _state(self) -> UnmixingState:
        return self._fitted

    def _restore(self, state: UnmixingState) -> None:
        """Set the fitted attributes that follow from a state."""
        self._fitted, spatial = state, state.spatial
        self.filters_, self.patterns_ = spatial.filters, spatial.patterns
        self.component_names_, self.bands_ = list(spatial.names), dict(state.bands)
        self.ch_names_in_, self.info_ = list(state.layout.ch_names), state.layout.info

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    def transform(self, X) -> Any:
        """Give components.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            As in ``fit``, with the same channels.

        Returns
        -------
        components : Epochs | Raw | list | array
            As X, components in the place of channels: annotations, stimulus channels, events and
            metadata stay.

        Raises
        ------
        ValueError
            If X has other channels than in ``fit``.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        return self._applied(X, self.ch_names_in_ if self.__sklearn_is_fitted__() else None, True)

    def inverse_transform(self, X) -> Any:
        """Give the channels that components add up to.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            As ``transform`` gives it.

        Returns
        -------
        channels : Epochs | Raw | list | array
            As X, channels in the place of components; what lay outside the components' subspace is
            gone.
        """
        names = self.component_names_ if self.__sklearn_is_fitted__() else None
        return self._applied(X, names, False)

    def _applied(self, X, names: list[str] | None, forward: bool):
        """Multiply every item of X, whose channels are ``names``, by filters or patterns."""
        check_is_fitted(self)
        matrix = self.filters_ if forward else self._fitted.spatial.inverse
        given = what_is(X)
        if given.kind == "table" or given.is_power:
            self._read(X, None)
        if given.is_mne:
            info, out = self._info(forward), []
            with use_log_level(self.verbose):
                for inst in given.items:
                    if forward:
                        inst, index = align(inst, names, self._reader().grid(1.0), "X")
                    else:
                        index = _places_of(names, inst)
                    out.append(with_channels(inst, matrix @ samples_of(inst, index), info))
            return out if isinstance(X, (list, tuple)) else out[0]
        if given.kind == "windows":
            return matrix @ self._checked(as_float_array(given.items, "X"), names)
        return [matrix @ self._checked(as_float_array(x, "X"), names) for x in given.items]

    def _checked(self, array: np.ndarray, names: list[str]) -> np.ndarray:
        if array.shape[-2] != len(names):
            raise ValueError(f"X has {array.shape[-2]} channels, expected {len(names)}.")
        check_finite(array, "X", names)
        return array

    def _info(self, forward: bool) -> mne.Info:
        """Info of what comes out: whitened channels, and those of components, are channels."""
        names = self.component_names_ if forward else self.ch_names_in_
        if self.info_ is not None and list(names) == self.ch_names_in_:
            return self.info_
        kinds = self._fitted.layout.channel_types or ["eeg"] * len(self.ch_names_in_)
        kinds = [kinds[0]] * len(names) if forward else kinds
        return mne.create_info(names, self._fitted.layout.sfreq, kinds, verbose="ERROR")

    def _columns(self) -> list[str]:
        """Names of components."""
        return self.component_names_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = False
        return tags


def _places_of(names: list[str], inst) -> list[int]:
    """Find components (indices) in what ``transform`` gave."""
    missing = [name for name in names if name not in inst.ch_names]
    if missing:
        raise ValueError(
            f"X lacks the components {missing[:8]}, its channels are {inst.ch_names[:8]}: give "
            "what transform gives."
        )
    return [inst.ch_names.index(name) for name in names]
