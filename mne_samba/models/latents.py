"""The latent space that both modalities share: what BOLD sees of band power."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from mne.utils import logger

from ..arrays import array
from ..data.paired import Paired
from ..nn.contrastive import LatentSpace, align
from .inverse_data import measured_bins
from .trainer import Trainer

# InfoNCE compares every window with all others of its batch.
_MIN_WINDOWS = 8


@dataclass(frozen=True)
class FittedLatents:
    """Linear projections of band power, measured or told by BOLD."""

    ele: np.ndarray = array("n_latents", "n_channel_bands")  # of measured band power
    hemo: np.ndarray = array("n_latents", "n_channel_bands")  # of what BOLD tells of it
    # Losses by epoch of their alignment, the start first; empty where there was none.
    history: list[dict] = field(default_factory=list)

    @classmethod
    def of(cls, projection: np.ndarray) -> Self:
        """Project both by one projection (n_latents, n_channel_bands)."""
        return cls(np.array(projection, dtype=np.float64), np.array(projection, dtype=np.float64))

    def courses(self, powers: list[np.ndarray], modality: str) -> list[np.ndarray]:
        """Courses (n_latents, n_frames) of band power (n_channels, n_bands, n_frames)."""
        weights = self.ele if modality == "ele" else self.hemo
        return [weights @ np.nan_to_num(p).reshape(weights.shape[1], -1) for p in powers]


def fit_latents(inverse, data: Paired, cycled: list[np.ndarray] | None, trainer: Trainer):
    """Start from what BOLD sees of band power; align where held-out windows confirm it."""
    start: FittedLatents = inverse.latents
    if cycled is None:
        return start
    # The same frames, so that both are split alike.
    back = [np.where(np.isfinite(t), c, np.nan) for t, c in zip(data.targets, cycled, strict=True)]
    split, split_back = trainer.split(data), trainer.split(replace(data, targets=back))
    if split is None:
        return start
    parts = [_triples(inverse, *pair) for pair in zip(split, split_back, strict=True)]
    if min(len(part[0]) for part in parts) < _MIN_WINDOWS:
        return start
    space = LatentSpace(start.ele)
    # All windows are one batch, from a start in closed form: nothing is drawn.
    history = align(
        space, *parts, max_epochs=5 * trainer.max_epochs, patience=trainer.patience,
        lr=3 * trainer.lr,
    )  # fmt: skip
    best = min(row["valid_loss"] for row in history)
    logger.info("Alignment: held-out loss %.3f, from %.3f.", best, history[0]["valid_loss"])
    return FittedLatents(
        *(w.detach().cpu().double().numpy() for w in (space.ele, space.hemo)), history
    )


def _triples(inverse, data: Paired, cycled: Paired) -> tuple[torch.Tensor, ...]:
    """Measured, told and cycled band power, each (n_windows, n_channel_bands, n_frames)."""
    three = (measured_bins(data), inverse.predict(data.targets), inverse.predict(cycled.targets))
    return tuple(torch.as_tensor(_windows(values, inverse.n_frames)) for values in three)


def _windows(values: list[np.ndarray], n_frames: int) -> np.ndarray:
    """Cut band power (n_channels, n_bands, n_frames) into windows, unknown bins at zero."""
    flat = [np.nan_to_num(value).reshape(-1, value.shape[-1]) for value in values]
    return np.array(
        [
            value[:, first : first + n_frames]
            for value in flat
            for first in range(0, value.shape[1] - n_frames + 1, n_frames)
        ]
    )
