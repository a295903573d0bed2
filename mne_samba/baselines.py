"""What people do today, done well: band power, a fixed response or lags, and ridge regression."""

from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from ._checks import check_number, check_option, check_t_r, keeps_earlier_fit
from ._typing import Loss, Power, Unmix
from .base import BoldPredictor, FittedInput, forget_fit
from .core.robust import LOSSES
from .data.paired import Paired
from .data.power import BandPower, LowRateGrid, PowerScaler, TableRows, bank_for
from .models.ridge import FIR_LENGTH, RidgeOptions, fir_lags, fit_better_ridge
from .models.unmix_choice import UNMIX
from .reader import Reader
from .wavelets import as_bank
from .wavelets.banks import Bands

__all__ = ["BandPowerRidge"]


class BandPowerRidge(BoldPredictor):
    """Ridge regression of BOLD on band power.

    Band power of every channel is convolved with Glover's response, or taken at lags (FIR), and
    mapped to every region by ridge regression, whose penalty per region is chosen by nested blocked
    cross-validation: contiguous blocks of training frames with a gap between them, or whole
    recordings where there are as many as folds.

    Parameters
    ----------
    t_r : float | None
        Seconds between frames (volumes); None takes it from the windows' metadata.
    hrf : "canonical" | "fir"
        Glover's response, or one coefficient per lag.
    bands : dict | Shannon | Morlet | Discrete | Precomputed | None
        Frequency bands and their wavelets, as in `mne_samba.SambaModel`.
    power : "auto" | "log" | "linear"
        Scale of band power; "auto" takes what predicts held-out blocks better, those that choose
        the penalties. Power that was measured elsewhere (`mne_samba.wavelets.Precomputed`) is
        brought to either from the scale that it says.
    loss : "auto" | "squared" | "robust"
        Squares, or robust losses where tails of residuals are heavy, as in `mne_samba.SambaModel`.
    hrf_length : float
        Seconds of history that the canonical response spans.
    fir_length : float | None
        Seconds of history that the lags span; one lag per frame. None takes 20, or ``hrf_length``
        where that is shorter; with ``hrf="canonical"`` there are no lags.
    alphas : array, shape (n_alphas,) | None
        Penalties relative to the features' mean eigenvalue; None takes 10^-3 to 10^5.
    alpha_per_target : bool
        Choose a penalty for every region, or one for all.
    n_folds : int
        Blocks of the nested cross-validation.
    gap : float
        Seconds between its training and test frames; halved, and said, while short data leave no
        training frames: a baseline that cannot choose would be beaten too easily.
    unmix : "auto" | "joint" | "underdetermined" | "whiten" | None
        Spatial filter that channels go through before power, as in `mne_samba.SambaModel`; None
        takes channels as they are, as people do.
    reader : Reader | None
        How recordings are read; None takes the defaults of `mne_samba.Reader`.

    Attributes
    ----------
    coef_ : array, shape (n_targets, n_lags, n_channels, n_bands)
        Coefficients of standardised features; the canonical response has one lag.
    alpha_ : array, shape (n_targets,)
        Penalties chosen.
    frame_weights_ : list of array, each (n_frames, n_targets) | None
        Weights of training frames per recording or window: below 1 where a frame lay far from its
        prediction. None where the loss was squared.
    power_ : "log" | "linear" | None
        Scale of band power that was taken; None for a table, whose columns stay as they are.
    bands_ : dict
        Bands.
    unmixing_, node_names_ : Bunch | None, list of str
        As of `mne_samba.SambaTranslator`.
    physiology_ : Bunch | None
        As of `mne_samba.SambaTranslator`.
    ch_names_in_, target_names_in_ : list of str
        Names of channels and regions.

    Examples
    --------
    >>> from mne_samba.baselines import BandPowerRidge
    >>> ridge = BandPowerRidge(t_r=2.0, hrf="fir")  # then ridge.fit(raws, bolds)
    """

    coef_: np.ndarray
    alpha_: np.ndarray
    frame_weights_: list[np.ndarray] | Any
    power_: str | Any

    def __init__(
        self,
        *,
        t_r: float | None = None,
        hrf: Literal["canonical", "fir"] = "canonical",
        bands: Bands = None,
        power: Power = "auto",
        loss: Loss = "auto",
        hrf_length: float = 30.0,
        fir_length: float | None = None,
        alphas: ArrayLike | None = None,
        alpha_per_target: bool = True,
        n_folds: int = 5,
        gap: float = 30.0,
        unmix: Unmix = None,
        reader: Reader | None = None,
    ) -> None:
        self.t_r = t_r
        self.hrf = hrf
        self.bands = bands
        self.power = power
        self.loss = loss
        self.hrf_length = hrf_length
        self.fir_length = fir_length
        self.alphas = alphas
        self.alpha_per_target = alpha_per_target
        self.n_folds = n_folds
        self.gap = gap
        self.unmix = unmix
        self.reader = reader

    def _check_params(self) -> None:
        if self.t_r is not None:
            check_t_r(self.t_r)
        self._reader().check()
        as_bank(self.bands)
        check_option(self.hrf, "hrf", ("canonical", "fir"))
        check_option(self.power, "power", ("auto", "log", "linear"))
        check_option(self.unmix, "unmix", UNMIX)
        check_option(self.loss, "loss", LOSSES)
        check_number(self.hrf_length, "hrf_length", low=0, low_open=True)
        self._check_fir_length()
        check_number(self.n_folds, "n_folds", low=2, integer=True)
        check_number(self.gap, "gap", low=0)
        check_option(self.alpha_per_target, "alpha_per_target", (True, False))
        if self.alphas is not None:
            alphas = np.asarray(self.alphas)
            numbers = alphas.ndim == 1 and alphas.size and alphas.dtype.kind in "iuf"
            if not numbers or not ((alphas > 0) & np.isfinite(alphas)).all():
                raise ValueError(
                    f"alphas must be a sequence of positive numbers, got {self.alphas!r}."
                )

    def _check_fir_length(self) -> None:
        if self.fir_length is None:
            return
        if self.hrf != "fir":
            raise ValueError(
                f"fir_length={self.fir_length!r} has no effect with hrf={self.hrf!r}, which has no "
                'lags: set hrf="fir", or leave it None.'
            )
        check_number(self.fir_length, "fir_length", low=0, low_open=True, high=self.hrf_length)

    @keeps_earlier_fit
    def fit(self, X, y) -> Self:
        """Learn to predict BOLD.

        Parameters
        ----------
        X, y : Epochs | Raw | list | array
            Electrophysiology (windows, recordings or a table) and BOLD, as in
            `mne_samba.SambaTranslator.fit`.

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
        self._check_params()
        forget_fit(self)
        scaler, chooses = PowerScaler(log=self.power != "linear"), self.power == "auto"
        rec, features, data, unmixing, physiology = self._pair(
            X, y, self._measured, scaler, may_lack=True, keeps_raw=chooses, unmix=self.unmix
        )
        scales = [data]
        if chooses and rec.kind != "table":
            scales.append(data.rescaled(PowerScaler()))
        self._fit(scales)
        missing = self._missing(rec, features, data, self._fitted_scaler)
        layout = rec.layout(max(rec.n_frames))
        inputs = FittedInput(layout, features, data.scale, unmixing, missing, physiology)
        self._publish_input(inputs, rec.provenance)
        scale = "log" if self._fitted_scaler.log else "linear"
        self.power_ = None if rec.kind == "table" else scale
        return self

    def _measured(self, rec) -> BandPower | TableRows:
        """Choose bands that these recordings can hold, on bins before their frames."""
        if rec.kind == "table":
            return TableRows()
        bank = bank_for(self.bands, rec)
        return BandPower(bank, LowRateGrid.from_tr(rec.t_r, float(self.hrf_length), bank.rate))

    def _scaler(self) -> PowerScaler:
        return self._fitted_scaler

    def _fit(self, scales: list[Paired]) -> None:
        """Choose the scale of power, penalties and coefficients."""
        options = RidgeOptions(
            per_target=self.alpha_per_target, n_folds=self.n_folds, gap=float(self.gap),
            loss=self.loss,
        )  # fmt: skip
        if self.alphas is not None:
            options = replace(options, alphas=np.asarray(self.alphas, float))
        length = min(FIR_LENGTH, self.hrf_length) if self.fir_length is None else self.fir_length
        n_fir = fir_lags(scales[0].grid, length) if self.hrf == "fir" else None
        data, self._fitted, weights = fit_better_ridge(scales, n_fir, options)
        self._fitted_scaler = data.scaler
        self.alpha_ = self._fitted.alpha
        n_channels, n_bands = data.powers[0].shape[:2]
        self.coef_ = self._fitted.weights.T.reshape(len(self.alpha_), -1, n_channels, n_bands)
        self.frame_weights_ = None if weights is None else weights.by_segment()

    def _frames(self, powers, grid) -> list[np.ndarray]:
        own = self._fitted.grid
        if self._fitted.n_fir is not None and grid.t_r != own.t_r:
            raise ValueError(
                f'A response with hrf="fir" is tied to the t_r that it was fitted on '
                f"({own.t_r:g} s), got {grid.t_r:g} s."
            )
        return self._fitted.predict(powers, grid)
