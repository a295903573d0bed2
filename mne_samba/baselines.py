"""What people do today, done well: band power, a fixed response or lags, and ridge regression."""

from __future__ import annotations

import numpy as np
import torch
from mne.utils import logger
from scipy import linalg

from ._checks import check_number, check_option, check_t_r, keeps_earlier_fit
from .base import BoldPredictor, FittedInput, forget_fit
from .data.bold import frames_table
from .data.missing import by_pattern, lacking
from .data.paired import Paired
from .data.power import BandPower, LowRateGrid, PowerScaler, TableRows, bank_for
from .hrf import convolve_frames, double_gamma, glover_params
from .models.unmix_choice import UNMIX
from .wavelets import as_bank

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
    power : "log" | "linear"
        Scale of band power.
    hrf_length : float
        Seconds of history that the canonical response spans.
    fir_length : float
        Seconds of history that the lags span; one lag per frame.
    alphas : array, shape (n_alphas,) | None
        Penalties relative to the features' mean eigenvalue; None takes 10^-3 to 10^5.
    alpha_per_target : bool
        Choose a penalty for every region, or one for all.
    n_folds : int
        Blocks of the nested cross-validation.
    gap : float
        Seconds between its training and test frames; halved, and said, while short data leave no
        training frames: a baseline that cannot choose would be beaten too easily.
    unmix : "auto" | "joint" | "whiten" | None
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
    bands_ : dict
        Bands.
    unmixing_, node_names_ : Bunch | None, list of str
        As of `mne_samba.SambaTranslator`.
    ch_names_in_, target_names_in_ : list of str
        Names of channels and regions.

    Examples
    --------
    >>> from mne_samba.baselines import BandPowerRidge
    >>> ridge = BandPowerRidge(t_r=2.0, hrf="fir")  # then ridge.fit(raws, bolds)
    """

    def __init__(
        self, *, t_r=None, hrf="canonical", bands=None, power="log", hrf_length=30.0,
        fir_length=20.0, alphas=None, alpha_per_target=True, n_folds=5, gap=30.0, unmix=None,
        reader=None,
    ):  # fmt: skip
        self.t_r = t_r
        self.hrf = hrf
        self.bands = bands
        self.power = power
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
        check_option(self.power, "power", ("log", "linear"))
        check_option(self.unmix, "unmix", UNMIX)
        check_number(self.hrf_length, "hrf_length", low=0, low_open=True)
        check_number(self.fir_length, "fir_length", low=0, low_open=True, high=self.hrf_length)
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

    @keeps_earlier_fit
    def fit(self, X, y):
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
        scaler = PowerScaler(log=self.power == "log")
        rec, features, data, unmixing = self._pair(
            X, y, self._measured, scaler, may_lack=True, unmix=self.unmix
        )
        inputs = FittedInput(rec.layout(max(rec.n_frames)), features, data.scale, unmixing)
        self._publish_input(inputs, rec.provenance)
        self._fitted_scaler, self._grid = data.scaler, data.grid
        self._fit(data)
        return self

    def _measured(self, rec) -> BandPower | TableRows:
        """Choose bands that these recordings can hold, on bins before their frames."""
        if rec.kind == "table":
            return TableRows()
        bank = bank_for(self.bands, rec)
        return BandPower(bank, LowRateGrid.from_tr(rec.t_r, float(self.hrf_length), bank.rate))

    def _scaler(self) -> PowerScaler:
        return self._fitted_scaler

    def _fir_lags(self, grid) -> int:
        return max(1, min(int(self.fir_length / grid.t_r + 1e-6), grid.n_lags // grid.step))

    def _features(self, power: np.ndarray, grid) -> np.ndarray:
        """Features (n_frames, n_lags * n_channels * n_bands) of one segment's band power."""
        if grid.n_lags == 1:
            return power[:, 0].T.astype(np.float64)
        if self._n_fir is None:
            lags = (np.arange(grid.n_lags) + 0.5) * grid.dt
            kernel = torch.as_tensor(double_gamma(lags, glover_params()))
            flat = torch.as_tensor(power, dtype=torch.float64).flatten(0, 1)
            return convolve_frames(flat, kernel, grid.step).numpy().T
        n_fir = self._n_fir
        n_frames = (power.shape[-1] - grid.n_lags) // grid.step + 1
        # One lag per frame: power averaged between frames, back from each frame.
        used = power[..., grid.n_lags - n_fir * grid.step :]
        used = used[..., : (n_fir + n_frames - 1) * grid.step]
        mean = used.reshape(*used.shape[:2], -1, grid.step).mean(-1, dtype=np.float64)
        lagged = np.lib.stride_tricks.sliding_window_view(mean, n_fir, axis=-1)[..., ::-1]
        return lagged.transpose(2, 3, 0, 1).reshape(n_frames, -1)

    def _fit(self, data: Paired) -> None:
        """Choose penalties and coefficients."""
        self._n_fir = self._fir_lags(data.grid) if self.hrf == "fir" else None
        features = [self._features(p, data.grid) for p in data.powers]
        rows = np.concatenate([f[m] for f, m in zip(features, data.masks, strict=True)])
        self._feature_mean, self._feature_scale = rows.mean(axis=0), _spread(rows)
        del rows
        self.alpha_ = np.empty(self.n_targets_)
        self._intercept = np.empty(self.n_targets_)
        self._weights = np.empty((len(self._feature_mean), self.n_targets_))
        # Regions that the same recordings have are fitted together, on those recordings alone.
        for columns, members in by_pattern(np.stack([lacking(t) for t in data.targets])):
            index = np.flatnonzero(members)
            self._fit_regions(data.take(index), [features[i] for i in index], columns)
        n_channels, n_bands = data.powers[0].shape[:2]
        self.coef_ = self._weights.T.reshape(self.n_targets_, -1, n_channels, n_bands)

    def _fit_regions(self, data: Paired, features: list, columns: np.ndarray) -> None:
        """Choose penalties and fit regions that all segments have."""
        target = np.concatenate(data.targets)[:, columns]
        kept = np.isfinite(target).all(axis=1)
        blocks, times = self._blocks(data)
        features, target = np.concatenate(features)[kept], target[kept]
        mean, scale = features.mean(axis=0), _spread(features)
        features = (features - mean) / scale
        intercept = target.mean(axis=0)
        target = target - intercept
        alphas = np.logspace(-3, 5, 17) if self.alphas is None else np.asarray(self.alphas, float)
        alphas = alphas * (features**2).sum() / min(features.shape)
        scores = self._cross_validate(features, target, blocks[kept], times[kept], alphas)
        if not self.alpha_per_target:
            scores = np.repeat(scores.mean(axis=1, keepdims=True), scores.shape[1], axis=1)
        best = scores.argmax(axis=0)
        self.alpha_[columns] = alphas[best]
        weights = _ridge(features, target, alphas)(best)
        # From these recordings' mean and scale of features to those of all.
        shift = (self._feature_mean - mean) / scale
        self._weights[:, columns] = weights * (self._feature_scale / scale)[:, None]
        self._intercept[columns] = intercept + shift @ weights

    def _blocks(self, data: Paired) -> tuple[np.ndarray, np.ndarray]:
        """Block of every training frame, and its time where recordings follow with pauses."""
        frames = np.array([len(target) for target in data.targets])
        starts = np.zeros_like(frames)
        if data.kind == "windows":
            starts = frames_table(data.table, frames)["frame"].to_numpy(dtype=int)
        labels = {key: i for i, key in enumerate(dict.fromkeys(data.keys))}
        label = np.array([labels[key] for key in data.keys])
        pause = int(np.ceil(self.gap / data.grid.t_r)) + 1 if data.grid.n_lags > 1 else 0
        span = np.zeros(len(labels), int)
        np.maximum.at(span, label, starts + frames + pause)
        first = (np.cumsum(span) - span)[label] + starts
        times = np.concatenate(
            [begin + np.arange(n) for begin, n in zip(first, frames, strict=True)]
        )
        # Whole recordings are held out where there are enough of them; else blocks of time.
        if len(labels) >= self.n_folds:
            return np.repeat(label, frames) * self.n_folds // len(labels), times
        edges = np.quantile(np.unique(times), np.linspace(0, 1, self.n_folds + 1)[1:-1])
        return np.searchsorted(edges, times, side="right"), times

    def _cross_validate(self, features, target, blocks, times, alphas) -> np.ndarray:
        """Minus the squared error (n_alphas, n_targets) of held-out blocks."""
        error = np.zeros((len(alphas), target.shape[1]))
        wanted = int(np.ceil(self.gap / self._grid.t_r)) if self._grid.n_lags > 1 else 0
        apart, splits = wanted, _splits(blocks, times, wanted)
        while apart and not splits:
            apart //= 2
            splits = _splits(blocks, times, apart)
        if apart < wanted:
            logger.info(
                "gap=%g s leaves no training frames beside any of %d blocks of %d frames: the "
                "penalty is chosen with a gap of %g s.",
                self.gap, self.n_folds, len(times), apart * self._grid.t_r,
            )  # fmt: skip
        for train, test in splits:
            solve = _ridge(features[train], target[train], alphas)
            for i in range(len(alphas)):
                residual = target[test] - features[test] @ solve(np.full(target.shape[1], i))
                error[i] += (residual**2).sum(axis=0)
        return -error

    def _frames(self, powers, grid) -> list[np.ndarray]:
        if self._n_fir is not None and grid.t_r != self._grid.t_r:
            raise ValueError(
                f'A response with hrf="fir" is tied to the t_r that it was fitted on '
                f"({self._grid.t_r:g} s), got {grid.t_r:g} s."
            )
        out = []
        for power in powers:
            features = (self._features(power, grid) - self._feature_mean) / self._feature_scale
            out.append(features @ self._weights + self._intercept)
        return out


def _splits(blocks: np.ndarray, times: np.ndarray, apart: int) -> list[tuple]:
    """Training and tested frames of every block, masks (n_frames,), ``apart`` frames apart."""
    splits = []
    for block in np.unique(blocks):
        test = blocks == block
        low, high = times[test].min() - apart, times[test].max() + apart
        train = (times < low) | (times > high) if apart else ~test
        if train.sum() >= 2:
            splits.append((train, test))
    return splits


def _spread(features: np.ndarray) -> np.ndarray:
    """Scale of every feature, 1 where it does not vary."""
    scale = features.std(axis=0)
    return np.where(scale > 0, scale, 1.0)


def _ridge(features: np.ndarray, target: np.ndarray, alphas: np.ndarray):
    """Solve ridge regression for all penalties by one decomposition."""
    n, p = features.shape
    primal = p <= n
    values, vectors = linalg.eigh(features.T @ features if primal else features @ features.T)
    values = np.maximum(values, 0)[:, None]
    projected = vectors.T @ (features.T @ target if primal else target)

    def solve(index):
        weights = vectors @ (projected / (values + alphas[index]))
        return weights if primal else features.T @ weights

    return solve
