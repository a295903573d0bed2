"""Never below ridge: free responses of every drive beside a model, mixed where that may help."""

from dataclasses import dataclass, replace

import numpy as np
from mne.utils import logger

from ..arrays import array
from ..core import Core
from ..core.free import N_FREE_BASIS, FreeResponses, fit_free
from ..data.missing import by_pattern, lacking
from ..data.paired import Paired, inner_blocks, stitch
from ..data.power import LowRateGrid
from ..metrics import pearson
from ..nn.stacked import StackedNet
from .core_choice import Choice, CoreOptions, draw
from .corrections import Judgement
from .windows import like

# Seconds of held-out frames, at least, that are one piece of news on which of two models is better.
_PIECE = 60.0
# Frames per coefficient from which on the evidence of free responses can be trusted.
_ENOUGH = 4
# Standard errors by which a mixture must gain where they are fewer: cores that have seen less than
# the whole leave more to be gained.
_CROWDED = 3.0
_SHARES = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True, eq=False)
class Stack:
    """Free responses of all drives, and their share of the prediction."""

    free: FreeResponses
    share: np.ndarray = array("n_targets")
    scale: float = 1.0  # slope of measured on mixed held-out frames, at most 1

    def mix(
        self, frames: list[np.ndarray], powers, grid: LowRateGrid, grids=None
    ) -> list[np.ndarray]:
        """Mix frames (n_frames, n_targets) of the model with those of free responses."""
        on = [grid] * len(powers) if grids is None else grids
        pairs = zip(frames, free_frames(self.free, powers, on), strict=True)
        mixed = [(1 - self.share) * frame + self.share * other for frame, other in pairs]
        return [self.scale * frame for frame in mixed]

    def network(self, module, scale: np.ndarray, grid: LowRateGrid) -> StackedNet:
        """Network of both parts, whose frames of the first are multiplied by ``scale``."""
        own = like(module)
        net = StackedNet(
            module,
            self.scale * (1 - self.share) * scale,
            self.scale * self.share,
            self.free.at_bins(grid.n_lags, grid.dt) * grid.dt,
            self.free.coef,
            self.free.intercept,
            grid.step,
        )
        return net.to(own.device, own.dtype)


def choose_stack(
    choice: Choice, cores: list[Core], parts: tuple[Paired, Paired] | None, judgement: Judgement
) -> tuple[Stack | None, Judgement]:
    """Mix free responses into predictions where evidence is for them; what held-out frames say.

    ``judgement`` holds the residuals of a model on held-out frames: of ``parts``, or of the blocks
    that short data were held out in.
    """
    data, options = choice.data, choice.options
    if judgement.held is None or data.grid.n_lags == 1:
        return None, judgement
    folds = list(inner_blocks(data)) if parts is None else [parts]
    held = [pair for _, block in folds
            for pair in zip(block.as_measured().targets, block.masks, strict=True)]  # fmt: skip
    measured = np.concatenate([y[mask] for y, mask in held])
    own = measured - judgement.held.residuals
    t_rs = [on.t_r for _, block in folds for on in block.on]
    pieces = _pieces([mask.sum() for _, mask in held], t_rs)
    n_coef = min(N_FREE_BASIS, data.grid.n_lags) * data.powers[0][..., 0].size
    few = all(_ENOUGH * n_coef <= part.n_frames for part, _ in folds)
    if not few:
        # The best mixture mostly has nothing of them, as a quick fit to some targets says.
        some = draw(data, options.seed)
        some = slice(None) if some is None else some
        fits, other = _in_folds(folds, cores, options, some, quick=True)
        if fits is None or _share(pieces, measured[:, some], own[:, some], other) == 0.0:
            return None, judgement
    fits, other = _in_folds(folds, cores, options)
    if fits is None:
        return None, judgement
    evidence = sum(fit.evidence for fit in fits), sum(core.elbo[-1] for core in cores)
    logger.debug("Evidence: free responses %.0f, core %.0f.", *evidence)
    ahead = few and evidence[0] > evidence[1]
    share = _share(pieces, measured, own, other, ahead, 1.0 if few else _CROWDED)
    if share == 0.0:
        return None, judgement
    logger.info(
        "Free responses of all drives carry %.0f %% of predictions: evidence is for them.",
        100 * share,
    )
    mixed = (1 - share) * own + share * other
    slope = np.nansum(mixed * measured) / max(np.nansum(mixed**2), 1e-12)
    scale = float(np.clip(slope, 0.05, 1.0))
    left = replace(
        judgement.held, residuals=measured - scale * mixed,
        variance=(scale * (1 - share)) ** 2 * judgement.held.variance,
    )  # fmt: skip
    alike = float(np.mean([core.ar for core in cores]))
    free = _fit(data, options, cores[0].noise_of_frames if data.grids else alike)
    stack = Stack(free, np.full(data.n_targets, share), scale)
    return stack, replace(judgement, held=left)


def _in_folds(
    folds: list[tuple[Paired, Paired]], cores: list[Core], options: CoreOptions,
    some=slice(None), quick: bool = False,
) -> tuple[list[FreeResponses] | None, np.ndarray | None]:  # fmt: skip
    """Free responses of some targets, and held-out frames (n_held_frames, n_drawn) of these.

    None twice where responses are too many.
    """
    fits, frames = [], []
    for core, (part, block) in zip(cores, folds, strict=True):
        free = _fit(part.of_targets(some), options, core.noise_of_frames, quick)
        if free is None:
            logger.debug("Free responses of all drives are too many to try.")
            return None, None
        found = free_frames(free, block.powers, block.on)
        frames += [f[mask] for f, mask in zip(found, block.masks, strict=True)]
        fits.append(free)
    return fits, np.concatenate(frames)


def _fit(data: Paired, options: CoreOptions, rho: float, quick=False) -> FreeResponses | None:
    """Free responses of all bands, or of their mean."""
    n_bands = data.powers[0].shape[1]
    if options.band_attention:
        return fit_responses(data, options.hrf_bounds, rho, quick=quick)
    mean = [p.mean(axis=1, keepdims=True) for p in data.powers]
    free = fit_responses(replace(data, powers=mean), options.hrf_bounds, rho, quick=quick)
    if free is None:
        return None
    return replace(free, coef=np.repeat(free.coef / n_bands, n_bands, axis=-1))


def fit_responses(
    data: Paired, hrf_bounds: str, rho: float | None = None, **how: bool
) -> FreeResponses | None:
    """Free responses; of regions that some recordings lack, from those that have them.

    ``how`` as in `fit_free`.
    """
    data, grid, found = stitch(data), data.grid, []
    for columns, members in by_pattern(np.stack([lacking(y) for y in data.targets])):
        rows = np.flatnonzero(members)
        if not len(rows):
            continue
        some = data.take(rows)
        targets = [y[:, columns] for y in some.targets]
        masks = [np.isfinite(y).all(axis=1) for y in targets]
        fit = fit_free(
            some.powers, targets, masks, dt=grid.dt, step=grid.step, rho=rho,
            hrf_bounds=hrf_bounds, n_lags=grid.n_lags, grids=some.grids, **how,
        )  # fmt: skip
        found.append((columns, fit))
    if any(fit is None for _, fit in found):
        return None
    coef = np.zeros((data.n_targets, *found[0][1].coef.shape[1:]))
    intercept = np.zeros(data.n_targets)
    for columns, fit in found:
        coef[columns], intercept[columns] = fit.coef, fit.intercept
    return replace(found[0][1], coef=coef, intercept=intercept)


def free_frames(free: FreeResponses, powers, on: list[LowRateGrid]) -> list[np.ndarray]:
    """Frames (n_frames, n_targets) of free responses, each on its bins."""
    pairs = zip(powers, on, strict=True)
    return [free.predict([p], own.n_lags, own.step, own.dt)[0] for p, own in pairs]


def _pieces(lengths: list[int], t_rs: list[float]) -> list[np.ndarray]:
    """Rows of pieces of at least a minute, where segments of so many frames follow each other."""
    starts, found = np.cumsum([0, *lengths[:-1]]), []
    for start, n, t_r in zip(starts, lengths, t_rs, strict=True):
        found += np.array_split(start + np.arange(n), max(1, int(n * t_r / _PIECE)))
    return [rows for rows in found if len(rows) > 2]


def _share(
    pieces: list[np.ndarray], measured: np.ndarray, one: np.ndarray, two: np.ndarray,
    ahead: bool = False, margin: float = 0.0,
) -> float:  # fmt: skip
    """Share of the second prediction in a mixture, from rows of measured and predicted frames.

    Frames (n_frames, n_targets) tell shares apart by correlation per piece and target. They have
    chosen the first model already and are partial to it: if the evidence, which has not, is for the
    second, ``ahead``, it has the largest share within two standard errors of the best. Else it has
    the best share, and none if that gains less than ``margin`` standard errors.
    """
    if not pieces:  # windows of too few frames for a correlation
        return float(ahead)
    scores = np.stack([
        np.concatenate([pearson(measured[p], (1 - s) * one[p] + s * two[p]) for p in pieces])
        for s in _SHARES
    ])  # fmt: skip
    scores = scores[:, np.isfinite(scores).all(axis=0)]
    if scores.shape[1] < 2:
        return float(ahead)
    best = scores.mean(axis=1).argmax()
    behind = scores[best] - scores
    error = behind.std(axis=1, ddof=1) / np.sqrt(behind.shape[1])
    if ahead:
        best = np.flatnonzero(behind.mean(axis=1) <= 2 * error).max()
    elif behind[0].mean() <= margin * error[0]:
        best = 0
    return float(_SHARES[best])
