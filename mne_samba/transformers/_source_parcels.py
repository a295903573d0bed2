"""SourceParcels: one grid of parcels for every cap and every MEG array."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
from mne.utils import logger, use_log_level
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._checks import check_number, check_option, keeps_earlier_fit
from ..base import forget_fit
from ..data.channels import picked
from ..data.given import what_is
from ._inverse_operator import CANDIDATES, Array, left_out_errors, parcel_matrix
from ._parcel_grid import ATLASES, parcels_of

_AXES = ("x", "y", "z")
# Seconds of signal whose mean is removed before it counts: slow drift is no source.
_PIECE = 1.0


class SourceParcels(TransformerMixin, BaseEstimator):
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

    def __init__(
        self, *, atlas="dosenbach_2010", n_parcels=64, head="template", method="mne",
        pick_ori="vector", reg="auto", picks=None, verbose=None,
    ):  # fmt: skip
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
        check_option(self.method, "method", ("mne", "lcmv"))
        check_option(self.pick_ori, "pick_ori", ("vector", "normal"))
        if not (isinstance(self.reg, str) and self.reg == "auto"):
            check_number(self.reg, "reg", low=0, low_open=self.method == "mne")

    @keeps_earlier_fit
    def fit(self, X, y=None):
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
            self._parcels = parcels_of(self.atlas, self.n_parcels, src)
            columns = ["name", "network", *_AXES]
            self.parcels_ = self._parcels[columns].copy()
            seen = {}
            for inst in _instances(X):
                picks, key = self._sensors(inst)
                seen.setdefault(key, (self._array(inst, picks), []))
                if self.reg == "auto" or self.method == "lcmv":
                    seen[key][1].append(_covariance(inst, picks))
            seen = {key: (a, np.mean(c, axis=0)) for key, (a, c) in seen.items() if c}
            lcmv = self.method == "lcmv"
            self._covariances = {key: c for key, (_, c) in seen.items()} if lcmv else {}
            self.reg_, self.reg_errors_ = self._choose(list(seen.values()))
        return self

    def _choose(self, seen) -> tuple[float, pd.Series | None]:
        """Regularisation, and what was compared; ``seen`` are montages and their covariances."""
        if self.reg != "auto":
            return float(self.reg), None
        errors = [left_out_errors(array, self.method, covariance) for array, covariance in seen]
        table = pd.Series(np.mean(errors, axis=0), index=CANDIDATES[self.method], name="error")
        table.index.name = "reg"
        best = float(table.idxmin())
        logger.info("Regularisation %g of %s was chosen.", best, list(table.index))
        return best, table

    def transform(self, X):
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
        self._check_params()
        with use_log_level(self.verbose):
            matrices, out = {}, []
            for inst in _instances(X):
                picks, key = self._sensors(inst)
                own = self.method == "lcmv" and key not in self._covariances
                if own or key not in matrices:
                    matrices[key] = self._matrix(inst, picks, key)
                apply = _of_raw if isinstance(inst, mne.io.BaseRaw) else _of_epochs
                out.append(apply(inst, picks, matrices[key], list(self.get_feature_names_out())))
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
        covariance = None
        if self.method == "lcmv":
            covariance = self._covariances.get(key)
            if covariance is None:
                logger.info("A new montage: its covariance is that of the recording itself.")
                covariance = _covariance(inst, picks)
        array = self._array(inst, picks)
        return parcel_matrix(array, self.method, self.pick_ori, self.reg_, covariance)

    def _array(self, inst, picks) -> Array:
        return Array.of(inst.info, picks, self._parcels, self.head)

    def _sensors(self, inst) -> tuple[list[int], tuple]:
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
        places = np.array([info["chs"][i]["loc"] for i in picks])
        projs = tuple(p["desc"] for p in info["projs"])
        trans = info["dev_head_t"]
        moved = b"" if trans is None else trans["trans"].tobytes()
        names = tuple(info["ch_names"][i] for i in picks)
        return picks, (names, places.tobytes(), projs, moved)

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Names of the signals.

        Parameters
        ----------
        input_features : None
            Not used, as scikit-learn passes it.

        Returns
        -------
        names : array of str, shape (n_signals,)
            Parcels, or "parcel x", "parcel y", "parcel z".
        """
        check_is_fitted(self)
        names = self.parcels_["name"]
        if self.pick_ori == "vector":
            names = [f"{name} {axis}" for name in names for axis in _AXES]
        return np.asarray(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "reg_")


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
        length = min(10.0, (inst.n_times - 1) / sfreq)
        inst = mne.make_fixed_length_epochs(inst, length, proj=False, verbose="ERROR")
    total, count = np.zeros((len(picks), len(picks))), 0
    with use_log_level("ERROR"):
        for epoch in inst:
            size = min(size, epoch.shape[1])
            pieces = epoch[picks, : epoch.shape[1] // size * size].reshape(len(picks), -1, size)
            pieces = (pieces - pieces.mean(axis=-1, keepdims=True)).reshape(len(picks), -1)
            total += pieces @ pieces.T
            count += pieces.shape[1]
    if not count:
        raise ValueError("No stretch of X is free of BAD annotations: nothing can be learnt of it.")
    return total / count


def _info(inst, names: list[str]) -> mne.Info:
    """Info of the parcels' signals, with what a recording says of itself."""
    info = mne.create_info(names, inst.info["sfreq"], "eeg", verbose="ERROR")
    with info._unlock():
        for field in ("highpass", "lowpass", "line_freq", "subject_info", "description"):
            info[field] = inst.info[field]
    return info


def _of_raw(raw, picks: list[int], matrix: np.ndarray, names: list[str]):
    """Parcels of a recording, its stimulus channels behind them."""
    data = matrix @ raw.get_data(picks, verbose="ERROR")
    out = mne.io.RawArray(data, _info(raw, names), first_samp=raw.first_samp, verbose="ERROR")
    out.set_meas_date(raw.info["meas_date"])
    out.set_annotations(raw.annotations)
    stim = mne.pick_types(raw.info, stim=True)
    if len(stim):
        info = mne.create_info([raw.ch_names[i] for i in stim], raw.info["sfreq"], "stim")
        more = mne.io.RawArray(raw.get_data(stim), info, raw.first_samp, verbose="ERROR")
        out.add_channels([more], force_update_info=True)
    return out


def _of_epochs(epochs, picks: list[int], matrix: np.ndarray, names: list[str]):
    """Parcels of windows, with their events and metadata."""
    return mne.EpochsArray(
        matrix @ epochs.get_data(picks=picks, verbose="ERROR"), _info(epochs, names), epochs.events,
        epochs.tmin, epochs.event_id, metadata=epochs.metadata, selection=epochs.selection,
        drop_log=epochs.drop_log, proj=False, verbose="ERROR",
    )  # fmt: skip
