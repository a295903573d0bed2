"""Which linear core: the scale of band power and the structure, by held-out frames or evidence.

Every choice is made by fits to the training part of the training data. With many targets a random
subset of them decides, by fits that end early; the winner is then fitted to all targets, and that
to the whole training data: each fit goes on from the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np
from mne.utils import logger

from ..core import Core, fit_core, fit_own_bands
from ..core.map_prior import MAP_PRIORS
from ..data.missing import fit_with_missing
from ..data.paired import MIN_TRAIN_FRAMES, Paired, inner_blocks, stitch
from ..data.power import PowerScaler
from ..hrf.gamma import at_bounds
from .core_based import FAMILIES
from .validation import mean_and_error, validated_correlation

# Coefficients per target above which own bands for every target take too long to try.
_MOST_COEFFICIENTS = 400
# Nats per target that make evidence clear: of a prior, of a response, and of own bands.
_MARGIN = 3.0
# Nats per target behind, by a fit that ended early, which no further iterations make up for.
_FAR = 10.0
# Targets, drawn at random, that settle the scale of power and the map's prior where there are more
# than twice as many, and that settle responses and whether targets need bands of their own.
_SOME, _FEW = 64, 16
# Correlation by which one scale of power has to be ahead for simple fits to settle it.
_CLEAR_POWER = 0.02
# Fits that are compared end early, those of simple maps earlier still. Those of many targets, or to
# short data, that go on from the winner stop at what no correlation shows, in nats per target and
# iteration; few targets of long data gain slowly before they gain much, and go on to the end.
_ROUGH = {"tol": 0.1, "extra": False, "whiten_again": False}
_SIMPLE = {**_ROUGH, "tol": 0.5}
_SOON = {"tol": 0.01}
# Frames from which on a training part says as much as the whole.
_LONG = 600
# Frames below which a gain of own bands has to be clear.
_SHORT = 300

# Fits that compare responses go on from the one that is there; those to all training data are the
# start of the last fit, and settle the map's prior for it.
_TRIAL = {**_ROUGH, "max_iter": 20}
_WHOLE_TRIAL = {**_ROUGH, "tol": 0.02}

# Every how many blocks of short data say first whether own bands are worth trying in all.
_APART = 3

Split = Callable[[Paired], "tuple[Paired, Paired] | None"]


@dataclass(frozen=True)
class CoreOptions:
    """Parameters of models that decide about their core."""

    map_prior: str
    hrf: str
    hrf_bounds: str
    band_attention: bool
    target_bands: str | bool
    power: str
    seed: int

    @classmethod
    def of(cls, model, seed: int) -> CoreOptions:
        """Take the parameters of a model."""
        # Models of the way back have log power and no such parameter.
        power = getattr(model, "scale_of_power", "log")
        return cls(
            model.map_prior, model.hrf, model.hrf_bounds, model.band_attention, model.target_bands,
            power, seed,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen, and the fits that were made on the way."""

    options: CoreOptions
    data: Paired  # training data with the band power that was chosen
    own_bands: bool  # whether targets have bands of their own
    previous: Core | None = None  # of a warm start, which is adapted
    # Of some targets of the training part: a normal map under the canonical response, with which
    # fits from scratch begin.
    simple: Core | None = None
    # By a fit that ended early, maybe of some targets, from which a fit to all goes on: of the
    # training part; of all training data where they are too short for one.
    some: Core | None = None
    part: Core | None = None  # of the training part
    # Of data too short for such a part: cores, and the blocks that they have not seen.
    blocks: list[tuple[Core, Paired]] | None = None
    begun: list[Core] | None = None  # of such blocks, from which their fits go on
    fitted: Core | None = None  # of all training data, where it was needed early
    why: dict[str, str] = field(default_factory=dict)  # in words, by what was compared

    def because(self, what: str, why: str) -> Choice:
        """Say why something was chosen."""
        return replace(self, why={**self.why, what: why})

    def again(self, data: Paired) -> Choice:
        """Take other targets of the same frames: the choice stands, fits start from these."""
        # What has seen all frames is no start for a part of them.
        start = self.part or self.fitted or self.some
        begun = self.begun if self.blocks is None else [core for core, _ in self.blocks]
        return replace(
            self, data=data, simple=None, some=start, part=None, blocks=None, begun=begun,
            fitted=None,
        )  # fmt: skip

    def of_part(self, part: Paired) -> Choice:
        """Fit the core to the training part, unless choosing did so."""
        if self.part is not None:
            return self
        start, some = self.some, draw(part, self.options.seed)
        simple = None if self.own_bands else self.simple
        if start is None and some is not None and self.previous is None:
            few = part.of_targets(some)
            start = _fit(self.options, few, self.own_bands, simple=simple, **_ROUGH)
        return replace(self, some=start, part=_from_some(self, part, start, simple=simple))

    def whole(self) -> Core:
        """Fit the core to all training data, on from that of the training part where it is long."""
        if self.fitted is not None:
            return self.fitted
        if self.previous is not None or self.part is None:
            return _from_some(self, self.data, self.some, soon=self.some is not None)
        # The prior that suits a part of short data may not suit the whole.
        clear = self.own_bands or any(map(_is_clear, filter(None, (self.some, self.part))))
        start = self.part if clear or self.data.n_frames >= _LONG else None
        return _from_some(self, self.data, start)

    def in_blocks(self) -> list[tuple[Core, Paired]]:
        """Blocks of short data that are held out in turn, and cores that have not seen them.

        The cores are of the chosen kind, by fits that end early, unless choosing made them.
        """
        if self.blocks is not None:
            return self.blocks
        starts, options = None if self.previous is not None else self.begun, self.options
        if not self.own_bands:
            options = _settled(options, self.some)
        return _in_blocks(options, self.data, self.own_bands, self.previous, starts)


def choose_core(
    data: Paired, options: CoreOptions, split: Split, previous: Core | None = None
) -> Choice:
    """Settle the scale of band power and whether targets have bands of their own."""
    raw, data = data.raw, replace(data, raw=None)
    chooses_response = options.hrf == "auto"
    if chooses_response:
        options = replace(options, hrf="double_gamma")
    choice = Choice(options, data, options.target_bands is True, previous)
    if previous is not None:
        own = not previous.spatial_map.any() and previous.extra is not None
        if chooses_response and previous.hrf in FAMILIES:
            options = replace(options, hrf=previous.hrf)
        return replace(choice, options=options, own_bands=own)
    parts = split(data)
    if options.power == "auto" and parts is not None:
        log = replace(data, raw=raw).rescaled(PowerScaler(log=True))
        choice, parts = _choose_power(choice, parts, replace(log, raw=None), split)
    chooses_response &= data.grid.n_lags > 1
    # Of short data all frames settle the response: blocks are then fitted with that alone.
    if chooses_response and parts is None:
        choice = _choose_response(choice, parts)
    if options.target_bands == "auto" and _may_try(choice.data, options):
        choice = _choose_bands(choice, parts)
    if chooses_response and parts is not None:
        choice = _choose_response(choice.of_part(parts[0]), parts)
    return choice


def _choose_power(choice: Choice, parts, log: Paired, split: Split):
    """Compare linear and log power: the choice, and its split.

    Normal maps under the canonical response settle it where they clearly differ.
    """
    logger.info("Trying linear and log power.")
    options, own = choice.options, choice.own_bands
    some, log_parts = draw(choice.data, options.seed), split(log)
    simple = replace(options, hrf="canonical", map_prior="gaussian")
    for wanted, how in ((simple, _SIMPLE), (options, _ROUGH)):
        scores, core = _held_out(wanted, parts, some, own, how)
        log_scores, log_core = _held_out(wanted, log_parts, some, own, how)
        mean, error = mean_and_error(log_scores - scores)
        # One target alone has no error to tell how certain it is.
        if len(scores) > 1 and abs(mean) > max(_CLEAR_POWER, 3 * error):
            break
    if mean > 0:
        choice, parts, core = replace(choice, data=log), log_parts, log_core
    told = [("linear", scores.mean()), ("log", log_scores.mean())]
    (_, best), (other, worse) = reversed(told) if mean > 0 else told
    choice = choice.because("power", f"held-out correlation {best:.3f}, {other} {worse:.3f}")
    # A simple core is where others begin, not one that they go on from: they have other priors.
    return replace(choice, **{"simple" if wanted is simple else "some": core}), parts


def _may_try(data: Paired, options: CoreOptions) -> bool:
    """Whether own bands are few enough to try."""
    n_channels, n_bands = data.powers[0].shape[:2]
    small = n_channels * n_bands <= _MOST_COEFFICIENTS
    return data.kind != "table" and n_bands > 1 and options.band_attention and small


def _choose_bands(choice: Choice, parts) -> Choice:
    """Compare shared with own bands."""
    logger.info("Trying band weights of every region's own.")
    options, data = choice.options, choice.data
    if parts is None and data.n_frames < max(MIN_TRAIN_FRAMES, data.powers[0][..., 0].size):
        # Where no frames can be held out, evidence settles it. Where coefficients are more than
        # frames it is often wrong, and says only whether blocks are worth the time.
        start = choice.some
        shared = _fit(options, data, False, **_WHOLE_TRIAL) if start is None else start
        own = _fit(options, data, True, **_ROUGH)
        if own.elbo[-1] > max(shared.evidence.values()) - _FAR * data.n_targets:
            own = _fit(options, data, True, start=own, **_WHOLE_TRIAL)
        shared, own = (max(core.evidence.values()) for core in (shared, own))
        better = own > shared + _MARGIN * data.n_targets
        why = f"evidence for own ones {(own - shared) / data.n_targets:+.1f} nats per region"
        choice = choice.because("bands", why)
        if data.n_frames < MIN_TRAIN_FRAMES:
            return replace(choice, own_bands=True, some=None) if better else choice
        if not better:
            return choice
    if parts is None:
        some = draw(data, options.seed)
        few = data if some is None else data.of_targets(some)
        shared = _in_blocks(_settled(options, choice.some), few, False)
        own = _own_in_blocks(options, few, shared)
        choice = replace(choice, blocks=None if some is not None else own or shared)
        why = "not better" if own is None else "better"
        why = f"own ones are {why} in held-out blocks"
        told = [choice.why["bands"]] if "bands" in choice.why else []
        choice = choice.because("bands", "; ".join([*told, why]))
        return choice if own is None else replace(choice, own_bands=True, some=None)
    if choice.some is None or draw(data, options.seed) is not None:
        choice = choice.of_part(parts[0])
    start = choice.some if choice.part is None else choice.part
    shared = validated_correlation(start.predict(parts[1].powers, parts[1].grids), parts[1])
    few = draw(data, options.seed, _FEW)
    own, core = _held_out(options, parts, few, True)
    gain = own - (shared if few is None else shared[few])
    mean, error = mean_and_error(gain)
    if few is not None and abs(mean) < 2 * error:
        own, core = _held_out(options, parts, None, True)
        gain = own - shared
        mean, error = mean_and_error(gain)
    change = f"{mean:+.3f} ± {error:.3f}"
    choice = choice.because("bands", f"own ones change held-out correlation by {change}")
    # Few frames are often for own bands by chance, which then predict later ones half as well.
    if mean > (2 * error if data.n_frames < _SHORT else 0.0):
        return replace(choice, own_bands=True, some=core, part=None)
    return choice


def _own_in_blocks(options, data, shared) -> list[tuple[Core, Paired]] | None:
    """Blocks with own bands, if they predict clearly better than ``shared``, those with shared.

    Some blocks settle it where own bands are not better in these.
    """
    parts, own = list(inner_blocks(data)), {}
    for rows in (range(0, len(parts), _APART), range(len(parts))):
        for i in rows:
            if i not in own:
                own[i] = _fit(options, parts[i][0], True, **_ROUGH), parts[i][1]
        pairs = [own[i] for i in rows], [shared[i] for i in rows]
        mean, error = mean_and_error(np.subtract(*(_correlation(data, pair) for pair in pairs)))
        logger.debug("Own bands change correlation in %d blocks by %.3f.", len(rows), mean)
        if mean <= 0:
            return None
    return [own[i] for i in rows] if mean > error else None


def _choose_response(choice: Choice, parts) -> Choice:
    """Take six parameters, unless other responses clearly predict held-out frames better.

    Where bounds hold most of them back, free responses are what others have to surpass. Where no
    frames can be held out, the family with the most evidence is taken.
    """
    logger.info("Trying responses: %s.", ", ".join(FAMILIES))
    options, own = choice.options, choice.own_bands
    start = choice.some if choice.part is None else choice.part
    some = draw(choice.data, options.seed, _FEW)
    part, held = (choice.data, None) if parts is None else parts
    if some is not None:
        part = part.of_targets(some)
        held = None if held is None else held.of_targets(some)
        start = _of_targets(start, some, choice.data.n_targets)
    found, cores, usual = {}, {}, FAMILIES[0]
    # The core of the training part has settled the band weights that targets share.
    trial = _WHOLE_TRIAL if parts is None else {**_TRIAL, "fit_weights": own}
    for family in FAMILIES:
        wanted = replace(options, hrf=family)
        core = cores[family] = _fit(wanted, part, own, start=start, **trial)
        start = core if start is None else start
        if family == FAMILIES[0] and at_bounds(core.hrf_params, options.hrf_bounds).mean() >= 0.5:
            usual = "fir"
        if held is None:
            # In nats per target, of which a few are no reason.
            found[family] = core.elbo[-1:] / part.n_targets - _MARGIN * (family != FAMILIES[0])
        else:
            found[family] = validated_correlation(core.predict(held.powers, held.grids), held)
    gains = {family: mean_and_error(score - found[usual]) for family, score in found.items()}
    if held is None:
        unit = "nats of evidence per region"
        ahead = {name: cores[name].elbo[-1] - cores[usual].elbo[-1] for name in FAMILIES}
        told = {name: f"{value / part.n_targets:+.1f}" for name, value in ahead.items()}
    else:
        unit = "held-out correlation"
        told = {name: "{:+.3f} ± {:.3f}".format(*gain) for name, gain in gains.items()}
    against = ", ".join(f"{name} {told[name]}" for name in FAMILIES if name != usual)
    choice = choice.because("response", f"{unit} against {usual}: {against}")
    best = max(gains, key=lambda family: gains[family][0] - 2 * gains[family][1])
    if parts is None and some is None:
        choice = replace(choice, some=cores[best])
    if best == options.hrf:
        return choice
    # The map and the band weights are a good start for other responses, too.
    again = choice.again(choice.data)
    return replace(again, options=replace(options, hrf=best))


def draw(data: Paired, seed: int, n: int | None = None) -> np.ndarray | None:
    """Draw ``n`` targets; None, which stands for all, where there are not twice as many."""
    n = _SOME if n is None else n
    if data.n_targets <= 2 * n:
        return None
    return np.sort(np.random.default_rng(seed).choice(data.n_targets, n, replace=False))


def core_of_targets(core: Core, some: np.ndarray) -> Core:
    """Core that predicts some of the targets alone."""
    rows = [f.name for f in fields(core) if f.metadata.get("dims", ("",))[0] == "n_targets"]
    taken = {name: getattr(core, name) for name in rows}
    taken = {name: v if v is None else v[some] for name, v in taken.items()}
    return replace(core, **taken, state=None if core.state is None else core.state.of_targets(some))


def _of_targets(core: Core | None, some: np.ndarray | None, n_targets: int) -> Core | None:
    """Core of some of ``n_targets`` targets where it is of all, else as it is."""
    alike = core is None or some is None or len(core.kernel) != n_targets
    return core if alike else core_of_targets(core, some)


def _is_clear(core: Core) -> bool:
    """Whether a fit that ended early says which prior the map has."""
    rivals = [core.evidence[n] for n in MAP_PRIORS if n in core.evidence and n != core.map_prior]
    return bool(rivals) and (
        core.evidence[core.map_prior] - max(rivals) > _MARGIN * len(core.kernel)
    )


def _settled(options: CoreOptions, core: Core | None) -> CoreOptions:
    """Options with the map's prior that a fit to all training data prefers."""
    return options if core is None else replace(options, map_prior=core.map_prior)


def _held_out(options, parts, some=None, own_bands=False, how=_ROUGH) -> tuple[np.ndarray, Core]:
    """Correlation (n_drawn,) of some targets on held-out frames, and their core."""
    part, held = parts if some is None else (data.of_targets(some) for data in parts)
    core = _fit(options, part, own_bands, **how)
    return validated_correlation(core.predict(held.powers, held.grids), held), core


def _in_blocks(
    options, data, own_bands, previous=None, starts=None, **blocks
) -> list[tuple[Core, Paired]]:
    """Blocks that are held out in turn, and cores that have not seen them.

    Fits go on from ``starts``, cores that have not seen them either.
    """
    parts = list(inner_blocks(data, **blocks))
    starts = [None] * len(parts) if starts is None else starts
    return [
        (_fit(options, part, own_bands, previous, start, **_ROUGH), held)
        for (part, held), start in zip(parts, starts, strict=True)
    ]


def correlation_in_blocks(data: Paired, options: CoreOptions, n_blocks: int) -> np.ndarray:
    """Correlation (n_targets,) of cores with blocks that they have not seen, by quick fits."""
    return _correlation(data, _in_blocks(options, data, False, n_blocks=n_blocks))


def _correlation(data: Paired, blocks: list[tuple[Core, Paired]]) -> np.ndarray:
    """Correlation (n_targets,) over blocks, each predicted by the core that has not seen it."""
    frames = [frame for core, held in blocks for frame in core.predict(held.powers, held.grids)]
    targets = [target for _, held in blocks for target in held.targets]
    keys = [key for _, held in blocks for key in held.keys]
    return validated_correlation(frames, replace(data, targets=targets, keys=keys))


def _from_some(
    choice: Choice, data: Paired, start: Core | None, soon: bool = False,
    simple: Core | None = None,
) -> Core:  # fmt: skip
    """Fit all targets, on from some where there are many; end ``soon``, as with many."""
    options, own = choice.options, choice.own_bands
    some = draw(data, options.seed)
    if choice.previous is None and start is None and some is not None:
        start = _fit(options, data.of_targets(some), own, **_ROUGH)
    soon |= some is not None
    how = _SOON if soon else {}
    return _fit(options, data, own, choice.previous, start, simple=simple, **how)


def _fit(
    options: CoreOptions, data: Paired, own_bands: bool, previous: Core | None = None,
    start: Core | None = None, **fit_options,
) -> Core:  # fmt: skip
    """Fit a core to data."""
    data = stitch(data)
    powers, n_bands = data.powers, data.powers[0].shape[1]
    if not options.band_attention:
        powers = [p.mean(axis=1, keepdims=True) for p in powers]
        start, previous = (
            core if core is None else _mean_bands(core) for core in (start, previous)
        )
    method = fit_own_bands if own_bands else fit_core

    if data.grids is not None:
        fit_options |= {"grids": data.grids, "n_lags": data.grid.n_lags}

    def fit(targets):
        return method(
            powers, targets, data.masks, dt=data.grid.dt, step=data.grid.step,
            map_prior=options.map_prior, hrf=options.hrf, hrf_bounds=options.hrf_bounds,
            init=previous, start=start, **fit_options,
        )  # fmt: skip

    core = fit_with_missing(fit, powers, data.targets, data.grids)
    if not options.band_attention:
        core = _all_bands(core, n_bands)
    logger.debug("Linear core: %s map, noise autocorrelation %.2f.", core.map_prior, core.ar)
    return core


def _mean_bands(core: Core) -> Core:
    """Core of band power that was averaged over bands, from one with equal weights of all."""
    own = {name: getattr(core, name) for name in ("extra", "extra_variance")}
    own = {name: v if v is None else v.sum(axis=2, keepdims=True) for name, v in own.items()}
    return replace(core, weights=core.weights.sum(axis=1, keepdims=True), **own)


def _all_bands(core: Core, n_bands: int) -> Core:
    """Spread a core of mean band power evenly over bands."""
    core = replace(core, weights=np.repeat(core.weights / n_bands, n_bands, axis=1))
    if core.extra is not None:
        core = replace(core, extra=np.repeat(core.extra / n_bands, n_bands, axis=2))
    if core.extra_variance is not None:
        # Equal weights of bands are one coefficient, whose variance is that of a map.
        variance = core.extra_variance[:, :, 0]
        core = replace(core, map_variance=variance, extra_variance=None)
    return core
