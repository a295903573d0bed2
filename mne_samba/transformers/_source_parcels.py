"""SourceParcels: one grid of parcels for every cap and every MEG array."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import mne
import numpy as np
import pandas as pd
from mne.utils import logger, use_log_level, warn
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._checks import check_finite, check_number, check_option, keeps_earlier_fit, refuse_flat
from .._typing import Picks, Verbose
from ..arrays import array
from ..base import SignalTransformer, forget_fit
from ..data.channels import picked
from ..data.given import what_is
from ._inverse_operator import CANDIDATES, Array, left_out_errors, parcel_matrix
from ._new_channels import samples_of, with_channels
from ._parcel_grid import ATLASES, parcels_of

_AXES = ("x", "y", "z")
_METHODS, _ORIENTATIONS = ("mne", "lcmv"), ("vector", "normal")
# Seconds of signal whose mean is removed before it counts: slow drift is no source.
_PIECE = 1.0
# Unexplained share of the variance of sensors left out above which nothing was learnt of them.
_NOTHING = 0.97
# Sensors of a kind that are needed to predict one from the others.
_LEAST = 4


@dataclass(frozen=True)
class ParcelsState:
    """What a fitted `SourceParcels` knows."""

    names: list[str] = array("n_parcels")
    networks: list[str] = array("n_parcels")
    places: np.ndarray = array("n_parcels", 3)  # MNI mm; of labels, the mean place in their space
    method: Literal["mne", "lcmv"]
    pick_ori: Literal["vector", "normal"]
    reg: float
    candidates: np.ndarray | None = array("n_candidates", optional=True)
    errors: np.ndarray | None = array("n_candidates", optional=True)
    # Of sensors, by montage: what beamformers need.
    covariances: dict[str, np.ndarray] = field(default_factory=dict)
    # A person's own forward model and labels have files of their own.
    head: object = field(default="template", metadata={"saved": False})
    labels: list | None = field(default=None, metadata={"saved": False})

    def check(self) -> None:
        """Refuse a regularisation that cannot be, as read from a file."""
        check_number(self.reg, "reg", low=0)

    @property
    def parcels(self) -> pd.DataFrame:
        """A row per parcel: name, network, x, y, z."""
        table = pd.DataFrame({"name": self.names, "network": self.networks})
        return table.assign(**dict(zip(_AXES, self.places.T, strict=True)))


class SourceParcels(SignalTransformer, BaseEstimator):
    r"""Carry EEG or MEG of any cap or helmet to one grid of brain parcels.

    Sensors become signals of the same parcels whatever the montage, so that a model trained on one
    cap predicts on another. Without an MRI the head is a sphere through the electrodes (or
    digitised points) into which parcels are scaled from MNI space; MNE computes fields and the
    inverse. With :math:`G` the fields of unit dipoles in parcels, :math:`R` their depth weights
    and :math:`C` the noise,

    .. math:: \hat s = R G^\top (G R G^\top + \lambda^2 C)^{-1} x

    How far to trust sensors and head, :math:`\lambda^2`, is chosen in ``fit``: sensors that are
    left out have to be predicted from the others.

    Parameters
    ----------
    atlas : str | array, shape (n_parcels, 3) | DataFrame | list of mne.Label
        "dosenbach_2010" (without cerebellum), "power_2011" or "seitzman_2018" (cortex), which come
        with nilearn; MNI coordinates in mm, in a DataFrame with columns x, y, z and perhaps name
        and network; or labels, where ``head`` is a forward model.
    n_parcels : int | None
        At most this many parcels, well spread ones of a larger atlas; None takes all.
    head : "template" | mne.Forward
        A sphere through the sensors' places, or a forward model of free orientation whose channels
        include those of X: then labels are averaged over their sources, and coordinates (on
        fsaverage alone) take the nearest source.
    method : "mne" | "lcmv"
        Minimum norm, which needs the sensors' places alone; or a linearly constrained minimum
        variance beamformer, which needs a covariance: that of the training data with the same
        montage, and for a new montage that of the recording itself.
    pick_ori : "vector" | "normal"
        Three signals per parcel (along x, y, z of the head), or one that points outwards.
    reg : "auto" | float
        MNE's ``lambda2`` (1 / SNR\ :sup:`2`) or, with "lcmv", loading as a share of the mean sensor
        power. "auto" chooses it from the training data (see Notes).
    picks : str | list | None
        Channels, as in MNE; None takes all good EEG and MEG channels.
    verbose : bool | str | int | None
        As in MNE.

    Attributes
    ----------
    parcels_ : DataFrame
        A row per parcel: name, network, x, y, z (MNI mm; of labels, the mean place in their own
        space).
    reg_ : float
        Regularisation that was used.
    reg_errors_ : Series | None
        What "auto" compared: unexplained share of the variance of sensors left out, by candidate.

    Notes
    -----
    "auto" looks at X alone, never at y: a fifth of the sensors is predicted from the others, by
    inverse and forward model, for every fifth. Wrong heads and misplaced electrodes count as the
    noise that they are. BAD spans and bad channels stay out; recordings of one montage, and then
    montages, count alike.

    Results have no unit that could be trusted, and neighbouring parcels share what sensors cannot
    tell apart: power of a parcel is that of a region around it. EEG of any reference is brought to
    the average of its good channels. Noise of sensors is MNE's ad-hoc covariance.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from mne_samba import SambaTranslator, SourceParcels
    >>> model = make_pipeline(SourceParcels(), SambaTranslator(t_r=2.0))
    >>> # model.fit(raws_of_one_cap, bolds); model.predict(raw_of_another_cap)
    """

    parcels_: pd.DataFrame
    reg_: float
    reg_errors_: pd.Series | Any

    def __init__(
        self,
        *,
        atlas: str | np.ndarray | pd.DataFrame | list[mne.Label] = "dosenbach_2010",
        n_parcels: int | None = 64,
        head: Literal["template"] | mne.Forward = "template",
        method: Literal["mne", "lcmv"] = "mne",
        pick_ori: Literal["vector", "normal"] = "vector",
        reg: Literal["auto"] | float = "auto",
        picks: Picks = None,
        verbose: Verbose = None,
    ) -> None:
        self.atlas = atlas
        self.n_parcels = n_parcels
        self.head = head
        self.method = method
        self.pick_ori = pick_ori
        self.reg = reg
        self.picks = picks
        self.verbose = verbose

    def _check_params(self) -> None:
        if isinstance(self.atlas, str):
            check_option(self.atlas, "atlas", ATLASES)
        if self.n_parcels is not None:
            check_number(self.n_parcels, "n_parcels", low=1, integer=True)
        if not isinstance(self.head, mne.Forward) and self.head != "template":
            raise TypeError(
                f'head must be "template" or mne.Forward, got {self.head!r:.60}. Read a file with '
                "mne.read_forward_solution first."
            )
        check_option(self.method, "method", _METHODS)
        check_option(self.pick_ori, "pick_ori", _ORIENTATIONS)
        if not (isinstance(self.reg, str) and self.reg == "auto"):
            check_number(self.reg, "reg", low=0, low_open=self.method == "mne")

    @keeps_earlier_fit
    def fit(self, X, y=None) -> Self:
        """Choose parcels and regularisation.

        Parameters
        ----------
        X : Raw | Epochs | list of Raw | list of Epochs
            EEG or MEG with places of sensors; montages may differ.
        y : None
            Not used.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        TypeError
            If X are arrays, which do not say where their channels are.
        ValueError
            If sensors have no place, or parameters do not fit the data.
        """
        self._check_params()
        forget_fit(self)
        with use_log_level(self.verbose):
            src = self.head["src"] if isinstance(self.head, mne.Forward) else None
            parcels = parcels_of(self.atlas, self.n_parcels, src)
            labels = list(parcels["label"]) if "label" in parcels else None
            seen = {}
            for inst in _instances(X):
                picks, key = self._sensors(inst)
                sensors = Array.of(inst.info, picks, parcels, self.head)
                seen.setdefault(key, (sensors, []))[1].append(_covariance(inst, picks))
            seen = {key: (sensors, np.mean(some, axis=0)) for key, (sensors, some) in seen.items()}
            reg, candidates, errors = self._choose(list(seen.values()))
            lcmv = self.method == "lcmv"
            self._restore(ParcelsState(
                [str(name) for name in parcels["name"]], [str(n) for n in parcels["network"]],
                parcels[list(_AXES)].to_numpy(float), self.method, self.pick_ori, reg, candidates,
                errors, {key: own for key, (_, own) in seen.items()} if lcmv else {}, self.head,
                labels,
            ))  # fmt: skip
        return self

    def _choose(self, seen) -> tuple[float, np.ndarray | None, np.ndarray | None]:
        """Regularisation, and what was compared; ``seen`` are montages and their covariances."""
        if self.reg != "auto":
            return float(self.reg), None, None
        for sensors, _ in seen:
            n_eeg = sensors.info.get_channel_types().count("eeg")
            if len(sensors.info["ch_names"]) < _LEAST or 0 < n_eeg < _LEAST:
                raise ValueError(
                    f'reg="auto" predicts sensors from the others, which needs {_LEAST} of a kind, '
                    f"got {sensors.info['ch_names']}: set reg to a number, such as 0.1."
                )
        candidates = np.array(CANDIDATES[self.method])
        errors = np.mean([left_out_errors(one, self.method, own) for one, own in seen], axis=0)
        best = float(candidates[errors.argmin()])
        logger.info("Regularisation %g of %s was chosen.", best, list(candidates))
        if errors.min() > _NOTHING:
            sensors, own = seen[0]
            loudest = np.argsort(-np.diag(own))[:3]
            warn(
                "Sensors that are left out are not predicted from the others (unexplained share "
                f"{errors.min():.2f}): parcels mean little. Are channels bad (the loudest are "
                f"{[sensors.info['ch_names'][i] for i in loudest]}), or their places wrong?"
            )
        return best, candidates, errors

    def _state(self) -> ParcelsState:
        if isinstance(self._fitted.head, mne.Forward):
            raise ValueError(
                "it holds an mne.Forward, which has files of its own: keep it with "
                "mne.write_forward_solution, and fit again with what mne.read_forward_solution "
                "gives."
            )
        return self._fitted

    def _restore(self, state: ParcelsState) -> None:
        """Set the fitted attributes that follow from a state."""
        self._fitted, self.parcels_, self.reg_ = state, state.parcels, state.reg
        self.reg_errors_ = None
        if state.errors is not None:
            index = pd.Index(state.candidates, name="reg")
            self.reg_errors_ = pd.Series(state.errors, index=index, name="error")

    def transform(self, X) -> Any:
        """Give the signals of parcels.

        Parameters
        ----------
        X : Raw | Epochs | list of Raw | list of Epochs
            EEG or MEG of any montage.

        Returns
        -------
        Xt : RawArray | EpochsArray | list
            As X, its channels being parcels (EEG by type, without a place); stimulus channels,
            annotations, events and metadata are carried on.

        Raises
        ------
        TypeError, ValueError
            As in :meth:`fit`.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        names, matrices, out = self._columns(), {}, []
        with use_log_level(self.verbose):
            for inst in _instances(X):
                picks, key = self._sensors(inst)
                own = self._fitted.method == "lcmv" and key not in self._fitted.covariances
                if own or key not in matrices:
                    matrices[key] = self._matrix(inst, picks, key)
                info = mne.create_info(names, inst.info["sfreq"], "eeg", verbose="ERROR")
                out.append(with_channels(inst, matrices[key] @ samples_of(inst, picks), info))
        return out if isinstance(X, (list, tuple, np.ndarray)) else out[0]

    def operator(self, inst) -> np.ndarray:
        """Give the matrix from sensors to parcels.

        Parameters
        ----------
        inst : Raw | Epochs
            Whose montage is meant; with "lcmv" and a montage new since ``fit``, its data too.

        Returns
        -------
        matrix : array, shape (n_signals, n_channels)
            Rows as `get_feature_names_out` names them, columns as the good channels of ``inst``.
        """
        check_is_fitted(self)
        with use_log_level(self.verbose):
            return self._matrix(inst, *self._sensors(_instances(inst)[0]))

    def _matrix(self, inst, picks, key) -> np.ndarray:
        state, covariance = self._fitted, None
        if state.method == "lcmv":
            covariance = state.covariances.get(key)
            if covariance is None:
                logger.info("A new montage: its covariance is that of the recording itself.")
                covariance = _covariance(inst, picks)
        sensors = self._array(inst, picks)
        return parcel_matrix(sensors, state.method, state.pick_ori, state.reg, covariance)

    def _array(self, inst, picks) -> Array:
        """Sensors of a recording and the sources that they see."""
        parcels, labels = self._fitted.parcels, self._fitted.labels
        parcels = parcels if labels is None else parcels.assign(label=labels)
        return Array.of(inst.info, picks, parcels, self._fitted.head)

    def _sensors(self, inst) -> tuple[list[int], str]:
        """Pick channels (indices), and give what tells their montage from others."""
        info = inst.info
        types = info.get_channel_types()
        picks = [
            i for i in picked(inst, self.picks)
            if self.picks is not None or types[i] in ("eeg", "mag", "grad")
        ]  # fmt: skip
        other = sorted({types[i] for i in picks} - {"eeg", "mag", "grad"})
        if other or len(picks) < 2:
            found = f"channels of type {other}" if other else f"{len(picks)} EEG or MEG channels"
            raise ValueError(
                f"SourceParcels needs at least two EEG or MEG channels, got {found}. Electrodes in "
                "the brain are near their sources already and need no inverse."
            )
        if [types[i] for i in picks].count("eeg") == 1:
            raise ValueError(
                "A single EEG channel among MEG channels has no reference to compare it with: "
                'leave it out, for instance by picks="meg".'
            )
        places = np.array([info["chs"][i]["loc"] for i in picks])
        projs = [(p["desc"], p["data"]["data"].tobytes()) for p in info["projs"]]
        trans = info["dev_head_t"]
        moved = None if trans is None else trans["trans"].tolist()
        names = [info["ch_names"][i] for i in picks]
        montage = repr((names, places.tobytes(), projs, moved))
        return picks, hashlib.blake2b(montage.encode(), digest_size=16).hexdigest()

    def _columns(self) -> list[str]:
        """Names of parcels, or "parcel x", "parcel y", "parcel z"."""
        names = self._fitted.names
        if self._fitted.pick_ori == "normal":
            return names
        return [f"{name} {axis}" for name in names for axis in _AXES]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")


def _instances(X) -> list:
    """List recordings and epochs of an input."""
    given = what_is(X)
    if not given.is_mne:
        raise TypeError(
            "SourceParcels needs to know where sensors are, which arrays do not say: pass "
            "mne.io.Raw or mne.Epochs with a montage (mne.io.RawArray, then set_montage)."
        )
    return list(given.items)


def _covariance(inst, picks: list[int]) -> np.ndarray:
    """Covariance of the good frames, (n_channels, n_channels), read in pieces."""
    sfreq = inst.info["sfreq"]
    size = max(2, round(_PIECE * sfreq))
    if isinstance(inst, mne.io.BaseRaw):
        length = min(size, inst.n_times - 1) / sfreq
        inst = mne.make_fixed_length_epochs(inst, length, proj=False, verbose="ERROR")
    total, count = np.zeros((len(picks), len(picks))), 0
    with use_log_level("ERROR"), np.errstate(invalid="ignore"):
        for epoch in inst:
            size = min(size, epoch.shape[1])
            pieces = epoch[picks, : epoch.shape[1] // size * size].reshape(len(picks), -1, size)
            pieces = (pieces - pieces.mean(axis=-1, keepdims=True)).reshape(len(picks), -1)
            total += pieces @ pieces.T
            count += pieces.shape[1]
    if not count:
        raise ValueError(
            f"No stretch of {_PIECE:g} s of X is free of BAD annotations: nothing can be learnt of "
            "it. Leave this recording out, or mark shorter spans or single channels as bad."
        )
    _check_covariance(inst.info, picks, np.diag(total))
    return total / count


def _check_covariance(info: mne.Info, picks: list[int], variance: np.ndarray) -> None:
    """Refuse channels that are broken; one flat electrode may be the reference."""
    names, types = ([of[i] for i in picks] for of in (info["ch_names"], info.get_channel_types()))
    check_finite(variance[:, np.newaxis], "X", names)
    flat = variance <= np.finfo(float).tiny
    if flat.sum() > 1 or (np.array(types)[flat] != "eeg").any():
        refuse_flat(flat, "X", names)
