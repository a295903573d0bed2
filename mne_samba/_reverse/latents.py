"""The latent space of a translator that goes both ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from mne.utils import logger

from .._data.paired import PairedData
from .._fitting.training import inner_split
from ..nn.contrastive import LatentSpace, align
from .fitter import ReverseModel, band_power_of

# InfoNCE compares every window with all others of its batch.
_MIN_WINDOWS = 8


def fit_latents(
    options, model: ReverseModel, data: PairedData, cycled: list[np.ndarray] | None
) -> tuple[LatentSpace, list[dict]]:
    """Start from what BOLD sees of band power; align where held-out windows confirm it.

    Parameters
    ----------
    options : SambaTranslator
        Read for its parameters.
    model : ReverseModel
        The fitted way back.
    data : PairedData
        Training data of the way back.
    cycled : list of array, shape (n_frames, n_targets)
        Standardised BOLD that the forward direction predicts for the same segments; None leaves the
        start as it is.
    """
    space = LatentSpace(model.projection)
    if options.alignment is None or cycled is None:
        return space, []
    # The same frames, so that both are split alike.
    back = [np.where(np.isfinite(t), c, np.nan) for t, c in zip(data.targets, cycled, strict=True)]
    split = inner_split(data, options.validation_fraction, options.gap)
    if split is None:
        return space, []
    split_back = inner_split(replace(data, targets=back), options.validation_fraction, options.gap)
    parts = [_triples(model, *pair) for pair in zip(split, split_back, strict=True)]
    if min(len(part[0]) for part in parts) < _MIN_WINDOWS:
        return space, []
    # All windows are one batch, from a start in closed form: nothing is drawn.
    history = align(
        space, *parts, max_epochs=5 * options.max_epochs, patience=options.patience,
        lr=3 * options.lr,
    )  # fmt: skip
    best = min(row["valid_loss"] for row in history)
    logger.info("Alignment: held-out loss %.3f, from %.3f.", best, history[0]["valid_loss"])
    return space, history


def _triples(model: ReverseModel, data: PairedData, cycled: PairedData):
    n_frames = model.reading.n_frames
    power = [
        band_power_of(p, len(t), data.grid.n_lags)
        for p, t in zip(data.powers, data.targets, strict=True)
    ]
    three = (power, model.predict(data.targets), model.predict(cycled.targets))
    out = []
    for values in three:
        windows = []
        for value in values:
            flat = np.nan_to_num(value).reshape(-1, value.shape[-1])
            for first in range(0, flat.shape[1] - n_frames + 1, n_frames):
                windows.append(flat[:, first : first + n_frames])
        out.append(torch.as_tensor(np.array(windows)))
    return tuple(out)


def courses(space: LatentSpace, powers: list[np.ndarray], modality: str) -> list[np.ndarray]:
    """Latent time courses (n_latents, n_frames) of band power (n_channels, n_bands, n_frames)."""
    out = []
    with torch.inference_mode():
        for power in powers:
            flat = torch.as_tensor(np.nan_to_num(power).reshape(-1, power.shape[-1]))
            out.append(space(flat.to(space.ele), modality).numpy())
    return out
