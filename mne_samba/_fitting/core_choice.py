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
from .training import (
    MIN_TRAIN_FRAMES,
    inner_blocks,
    inner_split,
    n_frames_of,
    stitch,
    validated_correlation,
)

# Coefficients per target above which own bands for every target take too long to try.
_MOST_COEFFICIENTS = 400
# Nats per target by which own bands must beat shared ones where no frames can be held out.
_MARGIN = 3.0
# Targets, drawn at random, that settle the scale of power and the map's prior where there are more
# than twice as many, and that settle whether targets need bands of their own.
_SOME, _FEW = 64, 16
# Where some targets decide, their fits end early; fits of all from there on stop at what no
# correlation shows, in nats per target and iteration.
_ROUGH = {"tol": 0.1, "extra": False, "whiten_again": False}
_MANY = {"tol": 0.01}
# Frames from which on a training part says as much as the whole.
_LONG = 600


def check_sizes(core: Core, data: PairedData) -> None:
    """Refuse to adapt a core to data of other sizes.

    Parameters
    ----------
    core : Core
        The core that ``warm_start`` adapts.
    data : PairedData
        What it is to be adapted to.

    Raises
    ------
    ValueError
        If channels, bands, regions, lags or frames differ; names both.
    """
    grid, n_targets = data.grid, data.targets[0].shape[1]
    given = (*core.weights.shape, *core.kernel.shape, round(core.dt * core.step, 9))
    expected = (*data.powers[0].shape[:2], n_targets, grid.n_lags, round(grid.t_r, 9))
    if given != expected or core.step != grid.step:
        names = "{} channels, {} bands, {} regions, {} bins of response, t_r={:g} s"
        raise ValueError(
            "warm_start=True adapts the fitted model to data of the same sizes. It has "
            f"{names.format(*given)}; the data have {names.format(*expected)}. Bring them to "
            "the same channels and regions, or set warm_start=False."
        )


class CoreChooser:
    """Choose and fit linear cores with the options of one translator.

    Every choice is made by fits to the training part of the training data. With many targets a
    random subset of them decides, by fits that end early; the winner is then fitted to all targets,
    and that to the whole training data: each fit goes on from the one before.

    Parameters
    ----------
    options : SambaTranslator
        Read for its parameters, never changed.
    """

    def __init__(self, options):
        self.options = options
        self.own_bands = options.target_bands is True
        self._start: Core | None = None  # of some targets, for the fit of the training part
        self._part_core: Core | None = None  # of the training part, for the fit of the whole
        self._blocks: list | None = None  # of data too short for a part: cores, and what they lack

    def split(self, data: PairedData) -> tuple[PairedData, PairedData] | None:
        """Training and held-out part of the training data; None where it is too short."""
        if data.kind == "features":
            return None
        return inner_split(data, self.options.validation_fraction, self.options.gap)

    def choose(self, data: PairedData, scaler: PowerScaler, seed: int, previous: Core | None):
        """Settle the scale of band power and whether targets have bands of their own.

        A core that is adapted brings both with it.

        Returns
        -------
        data : PairedData
            With the band power chosen.
        scaler : PowerScaler
            The scaler of that power.
        """
        options, linear = self.options, replace(data, raw=None)
        if previous is not None:
            self.settle_bands(linear, seed, previous)
            if data.raw is not None and options.power_ == "log":
                scaler = PowerScaler(log=True).fit(data.raw, data.keys)
                linear = replace(linear, powers=scaler.transform(data.raw, data.keys, data.kind))
            return linear, scaler
        split = self.split(linear)
        scores = None
        if data.raw is not None and split is not None:
            log_scaler = PowerScaler(log=True).fit(data.raw, data.keys)
            log = replace(linear, powers=log_scaler.transform(data.raw, data.keys, data.kind))
            log_split = self.split(log)
            some, own = self.draw(data, seed), self.own_bands
            scores, core = self._held_out(split, seed, some, own)
            log_scores, log_core = self._held_out(log_split, seed, some, own)
            logger.debug(
                "Held-out correlation: linear %.3f, log power %.3f.",
                scores.mean(), log_scores.mean(),
            )  # fmt: skip
            if log_scores.mean() > scores.mean():
                linear, scaler, split = log, log_scaler, log_split
                scores, core = log_scores, log_core
            self._keep(core, some)
        self.settle_bands(linear, seed, shared=scores)
        return linear, scaler

    def settle_bands(
        self,
        data: PairedData,
        seed: int,
        previous: Core | None = None,
        shared: np.ndarray | None = None,
    ) -> None:
        """Settle whether targets have bands of their own.

        Parameters
        ----------
        data : PairedData
            With the band power chosen.
        seed : int
            Seed of the targets that are drawn.
        previous : Core | None
            The core that is adapted.
        shared : array, shape (n_drawn,) | None
            Held-out correlations with shared bands, where they are known.
        """
        if previous is not None:
            self.own_bands = not previous.spatial_map.any() and previous.extra is not None
        elif self.options.target_bands == "auto" and self._may_try(data):
            self.own_bands = self._own_bands_win(data, self.split(data), shared, seed)

    @staticmethod
    def draw(data: PairedData, seed: int, n: int | None = None) -> np.ndarray | None:
        """Draw ``n`` targets; None, which stands for all, where there are not twice as many."""
        n, n_targets = _SOME if n is None else n, data.targets[0].shape[1]
        if n_targets <= 2 * n:
            return None
        return np.sort(np.random.default_rng(seed).choice(n_targets, n, replace=False))

    def _keep(self, core: Core, some: np.ndarray | None) -> None:
        """Keep a core of the training part: done, or where its fit to all targets starts."""
        self._start, self._part_core = (None, core) if some is None else (core, None)

    def _may_try(self, data: PairedData) -> bool:
        n_channels, n_bands = data.powers[0].shape[:2]
        small = n_channels * n_bands <= _MOST_COEFFICIENTS
        return data.kind != "features" and n_bands > 1 and self.options.band_attention and small

    def _own_bands_win(self, data, split, shared, seed) -> bool:
        if split is None and n_frames_of(data) >= MIN_TRAIN_FRAMES:
            some = self.draw(data, seed)
            few = data if some is None else data.of_targets(some)
            found = {own: self._in_blocks(few, seed, None, own) for own in (False, True)}
            shared, own = (_correlation(few, found[own]) for own in (False, True))
            wins = bool((own - shared).mean() > 0)
            logger.debug("Own bands change correlation in held-out blocks by %.3f.",
                         (own - shared).mean())  # fmt: skip
            self._blocks = found[wins] if some is None else None
            return wins
        if split is None:
            shared = max(self._fit(data, seed, None, False).evidence.values())
            own = max(self._fit(data, seed, None, True).evidence.values())
            logger.debug("Evidence: shared bands %.0f, own bands %.0f.", shared, own)
            return own > shared + _MARGIN * data.targets[0].shape[1]
        if shared is None or self._part_core is None:
            shared, core = self._held_out(split, seed)
            self._keep(core, None)
        few = self.draw(data, seed, _FEW)
        own, core = self._held_out(split, seed, few, own_bands=True)
        gain = own - (shared if few is None else shared[few])
        if few is not None and abs(gain.mean()) < 2 * gain.std(ddof=1) / np.sqrt(len(few)):
            few = None
            own, core = self._held_out(split, seed, own_bands=True)
            gain = own - shared
        logger.debug("Own bands change held-out correlation by %.3f.", gain.mean())
        if gain.mean() > 0:
            self._keep(core, few)
        return gain.mean() > 0

    def _in_blocks(self, data, seed, previous, own_bands) -> list[tuple[Core, PairedData]]:
        return [
            (self._fit(part, seed, previous, own_bands, **_ROUGH), held)
            for part, held in inner_blocks(data)
        ]

    def _held_out(self, split, seed, some=None, own_bands=False) -> tuple[np.ndarray, Core]:
        """Correlation of some targets on held-out frames, and their core."""
        part, held = split
        if some is not None:
            part, held = (data.of_targets(some) for data in split)
        core = self._fit(part, seed, None, own_bands, **({} if some is None else _ROUGH))
        return validated_correlation(core.predict(held.powers), held), core

    def fit_part(self, part: PairedData, seed: int, previous: Core | None) -> Core:
        """Fit the chosen core to the training part of `split`, unless choosing did so."""
        if self._part_core is None:
            self._part_core = self._from_some(part, seed, previous)
        return self._part_core

    def fit(self, data: PairedData, seed: int, previous: Core | None) -> Core:
        """Fit the core that was chosen, on from that of the training part where data are long."""
        if previous is not None or self._part_core is None:
            return self._from_some(data, seed, previous)
        if n_frames_of(data) < _LONG:
            # The prior that suits a part of short data may not suit the whole.
            self._start = None
            return self._from_some(data, seed, None)
        many = {} if self.draw(data, seed) is None else _MANY
        return self._fit(data, seed, None, self.own_bands, start=self._part_core, **many)

    def fit_blocks(
        self, data: PairedData, seed: int, previous: Core | None
    ) -> list[tuple[Core, PairedData]]:
        """Blocks of short data that are held out in turn, and cores that have not seen them.

        The cores are of the chosen kind, by fits that end early, unless choosing made them.
        """
        if previous is not None or self._blocks is None:
            return self._in_blocks(data, seed, previous, self.own_bands)
        return self._blocks

    def _from_some(self, data: PairedData, seed: int, previous: Core | None) -> Core:
        """Fit all targets, on from some where there are many."""
        some = self.draw(data, seed)
        if previous is None and self._start is None and some is not None:
            self._start = self._fit(data.of_targets(some), seed, None, self.own_bands, **_ROUGH)
        many = {} if some is None else _MANY
        return self._fit(data, seed, previous, self.own_bands, start=self._start, **many)

    def _fit(
        self,
        data: PairedData,
        seed: int,
        previous: Core | None,
        own_bands: bool,
        start: Core | None = None,
        **fit_options,
    ) -> Core:
        data = stitch(data)
        options, powers = self.options, data.powers
        if not options.band_attention:
            powers = [p.mean(axis=1, keepdims=True) for p in powers]
            if start is not None:
                start = replace(start, weights=start.weights[:, :1])
            if previous is not None:
                extra = previous.extra
                previous = replace(
                    previous,
                    weights=previous.weights.sum(axis=1, keepdims=True),
                    extra=None if extra is None else extra.sum(axis=2, keepdims=True),
                )
        method = fit_target_core if own_bands else fit_core

        def fit(targets):
            return method(
                powers, targets, data.masks, dt=data.grid.dt, step=data.grid.step,
                map_prior=options.map_prior, hrf=options.hrf, hrf_bounds=options.hrf_bounds,
                init=previous, start=start, random_state=seed, groups=data.keys, **fit_options,
            )  # fmt: skip

        core = fit_with_missing(fit, powers, data.targets)
        if not options.band_attention:
            n_bands = data.powers[0].shape[1]
            core.weights = np.repeat(core.weights / n_bands, n_bands, axis=1)
            if core.extra is not None:
                core.extra = np.repeat(core.extra / n_bands, n_bands, axis=2)
        logger.debug("Linear core: %s map, noise autocorrelation %.2f.", core.map_prior, core.ar)
        return core


def previous_core(translator, data: PairedData) -> Core | None:
    """Core that ``warm_start`` adapts, refused where the data are of other sizes."""
    # A translator that only goes back has a core too, but one of another grid.
    fitted = translator.warm_start and hasattr(translator, "_network")
    if not fitted or translator.core_ is None:
        return None
    check_sizes(translator.core_, data)
    return translator.core_


def _correlation(data: PairedData, blocks: list[tuple[Core, PairedData]]) -> np.ndarray:
    """Correlation of targets over blocks, each predicted by the core that has not seen it."""
    frames = [frame for core, held in blocks for frame in core.predict(held.powers)]
    targets = [target for _, held in blocks for target in held.targets]
    keys = [key for _, held in blocks for key in held.keys]
    return validated_correlation(frames, replace(data, targets=targets, keys=keys))
