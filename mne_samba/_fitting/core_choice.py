"""Which linear core: the scale of band power and the structure, by held-out frames or evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from mne.utils import logger

from .._data.lowrate import PowerScaler
from .._data.missing import fit_with_missing
from .._data.paired import PairedData
from ..nn.linear import Core, fit_core
from ..nn.target_core import fit_target_core
from .training import inner_split, stitch, validated_correlation

# Coefficients per target above which own bands for every target take too long to try.
_MOST_COEFFICIENTS = 400
# Nats per target by which own bands must beat shared ones where no frames can be held out.
_MARGIN = 3.0


class CoreChooser:
    """Choose and fit linear cores with the options of one translator.

    Parameters
    ----------
    options : SambaTranslator
        Read for its parameters, never changed.
    """

    def __init__(self, options):
        self.options = options
        self.own_bands = options.target_bands is True
        self._part_core: Core | None = None

    def split(self, data: PairedData) -> tuple[PairedData, PairedData] | None:
        """Training and held-out part of the training data; None where it is too short."""
        if data.kind == "features":
            return None
        return inner_split(data, self.options.validation_fraction, self.options.gap)

    def choose(self, data: PairedData, scaler: PowerScaler, seed: int, previous: Core | None):
        """Settle the scale of band power and whether targets have bands of their own.

        Returns
        -------
        data : PairedData
            With the band power chosen.
        scaler : PowerScaler
            The scaler of that power.
        """
        options, linear = self.options, replace(data, raw=None)
        if previous is not None:
            self.own_bands = not previous.spatial_map.any() and previous.extra is not None
            return linear, scaler
        split = self.split(linear)
        score = None
        if data.raw is not None and split is not None:
            log_scaler = PowerScaler(log=True).fit(data.raw, data.keys)
            log = replace(linear, powers=log_scaler.transform(data.raw, data.keys, data.kind))
            log_split = self.split(log)
            score = self._held_out(split, seed, -np.inf)
            log_score = self._held_out(log_split, seed, score)
            logger.debug("Held-out correlation: linear %.3f, log power %.3f.", score, log_score)
            if log_score > score:
                linear, scaler, split, score = log, log_scaler, log_split, log_score
        if options.target_bands == "auto" and self._may_try(linear):
            self.own_bands = self._own_bands_win(linear, split, score, seed)
        return linear, scaler

    def _may_try(self, data: PairedData) -> bool:
        n_channels, n_bands = data.powers[0].shape[:2]
        one_way = self.options.direction == "ele_to_hemo" and self.options.band_attention
        small = n_channels * n_bands <= _MOST_COEFFICIENTS
        return data.kind != "features" and n_bands > 1 and one_way and small

    def _own_bands_win(self, data, split, score, seed) -> bool:
        if split is None:
            shared = max(self._fit(data, seed, None, False).evidence.values())
            own = max(self._fit(data, seed, None, True).evidence.values())
            logger.debug("Evidence: shared bands %.0f, own bands %.0f.", shared, own)
            return own > shared + _MARGIN * self.options.n_targets_
        shared = self._held_out(split, seed, -np.inf) if score is None else score
        own = self._held_out(split, seed, shared, own_bands=True)
        logger.debug("Held-out correlation: shared bands %.3f, own bands %.3f.", shared, own)
        return own > shared

    def _held_out(self, split, seed, best: float, own_bands=False) -> float:
        """Correlation on held-out frames; the core of the best so far is kept for `fit_part`."""
        part, held = split
        core = self._fit(part, seed, None, own_bands)
        score = float(validated_correlation(core.predict(held.powers), held).mean())
        if score > best:
            self._part_core = core
        return score

    def fit_part(self, part: PairedData, seed: int, previous: Core | None) -> Core:
        """Fit the chosen core to the training part of `split`, unless choosing did so."""
        core, self._part_core = self._part_core, None
        return self.fit(part, seed, previous) if core is None else core

    def fit(self, data: PairedData, seed: int, previous: Core | None) -> Core:
        """Fit the core that was chosen."""
        return self._fit(data, seed, previous, self.own_bands)

    def _fit(self, data: PairedData, seed: int, previous: Core | None, own_bands: bool) -> Core:
        data = stitch(data)
        options, powers = self.options, data.powers
        if not options.band_attention:
            powers = [p.mean(axis=1, keepdims=True) for p in powers]
        method = fit_target_core if own_bands else fit_core

        def fit(targets):
            return method(
                powers, targets, data.masks, dt=data.grid.dt, step=data.grid.step,
                map_prior=options.map_prior, hrf=options.hrf, hrf_bounds=options.hrf_bounds,
                init=previous, random_state=seed, groups=data.keys,
            )  # fmt: skip

        core = fit_with_missing(fit, powers, data.targets)
        if not options.band_attention:
            n_bands = data.powers[0].shape[1]
            core.weights = np.repeat(core.weights / n_bands, n_bands, axis=1)
            if core.extra is not None:
                core.extra = np.repeat(core.extra / n_bands, n_bands, axis=2)
        logger.debug("Linear core: %s map, noise autocorrelation %.2f.", core.map_prior, core.ar)
        return core
