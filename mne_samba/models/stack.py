"""Never below ridge: FIR ridge beside a model, mixed with it where held-out frames prefer it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from mne.utils import logger

from ..arrays import array
from ..data.paired import Paired, inner_blocks
from ..data.power import LowRateGrid
from ..nn.stacked import StackedNet
from .core_choice import Choice, across_recordings
from .corrections import Judgement
from .ridge import Ridge, RidgeOptions, fir_lags, fit_ridge
from .validation import mean_and_error
from .windows import like

# Seconds that lags span, as those of `mne_samba.baselines.BandPowerRidge`.
FIR_LENGTH = 20.0
# Seconds of held-out frames that are one piece of news on which of two models is better.
_PIECE = 30.0
# One penalty by evidence, which takes one decomposition, says whether a ridge may help at all.
_QUICK = RidgeOptions(n_folds=0)


@dataclass(frozen=True, eq=False)
class Stack:
    """A ridge regression on lagged power, and its share of the prediction."""

    ridge: Ridge
    share: np.ndarray = array("n_targets")

    def mix(self, frames: list[np.ndarray], powers, grid: LowRateGrid) -> list[np.ndarray]:
        """Mix frames (n_frames, n_targets) of the model with those of the ridge."""
        pairs = zip(frames, self.ridge.predict(powers, grid), strict=True)
        return [(1 - self.share) * frame + self.share * other for frame, other in pairs]

    def network(self, module, scale: np.ndarray, grid: LowRateGrid) -> StackedNet:
        """Network of both parts, whose frames of the first are multiplied by ``scale``."""
        kernel, intercept = self.ridge.at_bins(grid)
        own = like(module)
        net = StackedNet(module, (1 - self.share) * scale, self.share, kernel, intercept, grid.step)
        return net.to(own.device, own.dtype)


def choose_stack(
    choice: Choice, parts: tuple[Paired, Paired] | None, judgement: Judgement
) -> tuple[Stack | None, Judgement]:
    """Stack a ridge where held-out frames prefer the mixture; what they say of it.

    ``judgement`` holds the residuals of a model on held-out frames: of ``parts``, or of the blocks
    that short data were held out in. Where there are several recordings, people perhaps, the share
    is that which predicts the ones that were not trained on.
    """
    data = choice.data
    if judgement.held is None or data.grid.n_lags == 1:
        return None, judgement
    folds = list(inner_blocks(data)) if parts is None else [parts]
    for options in (_QUICK, RidgeOptions()):
        held = _held_by_ridge(folds, options)
        share = _best_share(folds, judgement.held.residuals, held)
        if share == 0.0:
            return None, judgement
    unseen = across_recordings(choice)
    if unseen is not None:
        share = _share_across(unseen, float(np.mean(judgement.output_scale)))
    if share == 0.0:
        return None, judgement
    n_fir = fir_lags(data.grid, FIR_LENGTH)
    ridge, _ = fit_ridge(data, n_fir, RidgeOptions())
    logger.info("FIR ridge carries %.0f %% of predictions: held-out frames prefer it.", 100 * share)
    mixed = (1 - share) * judgement.held.residuals + share * held
    left = replace(
        judgement.held, residuals=mixed, variance=(1 - share) ** 2 * judgement.held.variance
    )
    stack = Stack(ridge, np.full(data.n_targets, share))
    return stack, replace(judgement, held=left)


def _share_across(unseen, scale: float) -> float:
    """Share of the ridge where both parts have not seen the recordings that they predict.

    ``scale`` is that of the core's frames.
    """
    folds, left = [(part, held) for _, part, held in unseen], []
    for core, _, held in unseen:
        frames = core.predict(held.powers)
        triples = zip(held.as_measured().targets, frames, held.masks, strict=True)
        left += [(y - scale * frame)[mask] for y, frame, mask in triples]
    return _best_share(folds, np.concatenate(left), _held_by_ridge(folds, RidgeOptions()))


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


def _best_share(folds, model: np.ndarray, ridge: np.ndarray) -> float:
    """Share of the ridge, 0 to 1, with the least squared error; 0 where the gain is uncertain.

    The error is of targets without their heavy tails, in pieces of half a minute.
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
    return share if mean > error else 0.0
