"""Regions that some recordings lack: filled with the fit's own predictions, they do not count."""

import numpy as np
from mne.utils import logger

# Each round takes the shrinkage of weights by missing recordings to its next power.
_ROUNDS = 4
_TOLERANCE = 1e-3


def lacking(values: np.ndarray) -> np.ndarray:
    """Regions (n_targets,) that a recording of shape (n_frames, n_targets) lacks."""
    missing = np.isnan(values)
    return missing.all(axis=0) & ~missing.all()


def nan_mean(parts: list[np.ndarray]) -> np.ndarray:
    """Mean over arrays of one shape; NaN only where none has a value."""
    stack = np.asarray(parts, dtype=float)
    count = np.isfinite(stack).sum(axis=0)
    total = np.where(np.isfinite(stack), stack, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def by_pattern(gaps: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Group regions that the same recordings have, by ``gaps`` (n_recordings, n_targets)."""
    patterns, members = np.unique(~gaps, axis=1, return_inverse=True)
    return [(np.flatnonzero(members.ravel() == i), pattern) for i, pattern in enumerate(patterns.T)]


def fit_with_missing(fit, powers: list[np.ndarray], targets: list[np.ndarray], grids=None):
    """Fit a core to ``targets`` (n_frames, n_targets) of which some recordings lack regions."""
    # What is missing is predicted by the core and the core fitted again (expectation-maximisation),
    # which converges to the fit on measured regions alone.
    filled = [np.nan_to_num(target) for target in targets]
    gaps = [lacking(target) for target in targets]
    core = fit(filled)
    if not any(gap.any() for gap in gaps):
        return core
    some = [i for i, gap in enumerate(gaps) if gap.any()]
    on = None if grids is None else [grids[i] for i in some]
    for _ in range(_ROUNDS):
        predicted = core.predict([powers[i] for i in some], on)
        change = 0.0
        for i, frames in zip(some, predicted, strict=True):
            change = max(change, np.abs(frames[:, gaps[i]] - filled[i][:, gaps[i]]).max())
            filled[i][:, gaps[i]] = frames[:, gaps[i]]
        core = fit(filled)
        if change < _TOLERANCE:
            break
    logger.debug("Regions missing in %d segments were left out of the core.", len(some))
    return core
