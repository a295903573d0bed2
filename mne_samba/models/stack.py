"""Never below ridge: FIR ridge beside a model, mixed with it where held-out frames prefer it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from mne.utils import logger

from ..arrays import array
from ..data.paired import Paired, inner_blocks
from ..data.power import LowRateGrid
from ..nn.stacked import StackedNet
from .core_choice import Choice, unseen
from .corrections import Judgement
from .ridge import FIR_LENGTH, Ridge, RidgeOptions, fir_lags, fit_ridge
from .validation import mean_and_error, validated_correlation
from .windows import like

# Seconds of held-out frames that are one piece of news on which of two models is better.
_PIECE = 30.0
# One penalty by evidence, which takes one decomposition, says whether a ridge may help at all.
_QUICK = RidgeOptions(n_folds=0)
_SHARES = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True, eq=False)
class Stack:
    """A ridge regression on lagged power, and its share of the prediction."""

    ridge: Ridge
    share: np.ndarray = array("n_targets")
    scale: float = 1.0  # slope of measured on mixed held-out frames, at most 1

    def mix(self, frames: list[np.ndarray], powers, grid: LowRateGrid) -> list[np.ndarray]:
        """Mix frames (n_frames, n_targets) of the model with those of the ridge."""
        pairs = zip(frames, self.ridge.predict(powers, grid), strict=True)
        mixed = [(1 - self.share) * frame + self.share * other for frame, other in pairs]
        return [self.scale * frame for frame in mixed]

    def network(self, module, scale: np.ndarray, grid: LowRateGrid) -> StackedNet:
        """Network of both parts, whose frames of the first are multiplied by ``scale``."""
        kernel, intercept = self.ridge.at_bins(grid)
        own = like(module)
        net = StackedNet(
            module,
            self.scale * (1 - self.share) * scale,
            self.scale * self.share,
            kernel,
            intercept,
            grid.step,
        )
        return net.to(own.device, own.dtype)


def choose_stack(
    choice: Choice, parts: tuple[Paired, Paired] | None, judgement: Judgement
) -> tuple[Stack | None, Judgement]:
    """Stack a ridge where held-out frames prefer the mixture; what they say of it.

    ``judgement`` holds the residuals of a model on held-out frames: of ``parts``, or of the blocks
    that short data were held out in. They say whether a ridge may help; its share is what predicts
    recordings, or blocks, that neither part was trained on.
    """
    data = choice.data
    if judgement.held is None or data.grid.n_lags == 1:
        return None, judgement
    folds = list(inner_blocks(data)) if parts is None else [parts]
    for options in (_QUICK, RidgeOptions()):
        held = _held_by_ridge(folds, options)
        if not _promises(folds, judgement.held.residuals, held):
            return None, judgement
    share = _best_share(list(unseen(choice)), float(np.mean(judgement.output_scale)))
    if share == 0.0:
        return None, judgement
    n_fir = fir_lags(data.grid, FIR_LENGTH)
    ridge, _ = fit_ridge(data, n_fir, RidgeOptions())
    logger.info("FIR ridge carries %.0f %% of predictions: held-out frames prefer it.", 100 * share)
    measured = np.concatenate(
        [y[m] for _, f in folds for y, m in zip(f.as_measured().targets, f.masks, strict=True)]
    )
    mixed = measured - (1 - share) * judgement.held.residuals - share * held
    slope = np.nansum(mixed * measured) / max(np.nansum(mixed**2), 1e-12)
    scale = float(np.clip(slope, 0.05, 1.0))
    left = replace(
        judgement.held, residuals=measured - scale * mixed,
        variance=(scale * (1 - share)) ** 2 * judgement.held.variance,
    )  # fmt: skip
    stack = Stack(ridge, np.full(data.n_targets, share), scale)
    return stack, replace(judgement, held=left)


def _best_share(folds, scale: float) -> float:
    """Share of the ridge with the highest correlation where neither part has seen the frames.

    The largest share within a standard error over targets of that: ridge is what must not be lost.
    ``folds`` are cores, what they were fitted to, and what they have not seen; ``scale`` is that of
    the core's frames.
    """
    pairs, held_out = [], []
    for core, part, held in folds:
        ridge, _ = fit_ridge(part, fir_lags(part.grid, FIR_LENGTH), RidgeOptions())
        own, other = core.predict(held.powers), ridge.predict(held.powers, held.grid)
        pairs += [(scale * one, two) for one, two in zip(own, other, strict=True)]
        held_out.append(held.as_measured())
    joined = replace(
        held_out[0], targets=[y for held in held_out for y in held.targets],
        keys=[key for held in held_out for key in held.keys],
    )  # fmt: skip

    def correlation(share):
        mixed = [(1 - share) * one + share * other for one, other in pairs]
        return validated_correlation(mixed, joined)

    scores = [correlation(share) for share in _SHARES]
    best = max(scores, key=np.mean)
    gain, error = mean_and_error(best - scores[0])
    if gain <= error:
        return 0.0
    behind = [mean_and_error(best - score) for score in scores]
    return float(max(s for s, (lost, error) in zip(_SHARES, behind, strict=True) if lost <= error))


def _held_by_ridge(folds, options: RidgeOptions) -> np.ndarray:
    """Measured less predicted (n_held_frames, n_targets) of a ridge that has not seen them."""
    left = []
    for part, held in folds:
        ridge, _ = fit_ridge(part, fir_lags(part.grid, FIR_LENGTH), options)
        frames = ridge.predict(held.powers, held.grid)
        left += [
            (y - f)[m]
            for y, f, m in zip(held.as_measured().targets, frames, held.masks, strict=True)
        ]
    return np.concatenate(left)


def _promises(folds, model: np.ndarray, ridge: np.ndarray) -> bool:
    """Whether a mixture has less squared error than the model, by more than its standard error.

    From residuals of both (n_held_frames, n_targets); of targets without their heavy tails, in
    pieces of half a minute.
    """
    tails = [
        (y - t)[m]
        for _, held in folds
        for y, t, m in zip(held.as_measured().targets, held.targets, held.masks, strict=True)
    ]
    tails = np.concatenate(tails)
    one, other = (np.nan_to_num(left - tails) for left in (model, ridge))
    change = one - other
    share = float(np.clip((one * change).sum() / max((change**2).sum(), 1e-12), 0.0, 1.0))
    gain = (one**2 - (one - share * change) ** 2).mean(axis=1)
    n_frames = max(1, round(_PIECE / folds[0][0].grid.t_r))
    n_pieces = max(2, len(gain) // n_frames)
    mean, error = mean_and_error(np.array([g.mean() for g in np.array_split(gain, n_pieces)]))
    return mean > error
