"""What a stimulus evokes in everyone, and what moves EEG power but not BOLD."""

import numpy as np
import pandas as pd

from ._signals import SLOW_RATE, slow_amplitudes

_N_NUISANCE = 3


def stimulus_order(rng, n_stimuli):
    """Order in which one person meets the stimuli; empty without stimuli."""
    return np.array([], dtype=int) if n_stimuli is None else rng.permutation(n_stimuli)


def stimulus_table(order, timing, subject):
    """Tabulate one person's stimuli: a row of recording, subject, onset, duration, label each."""
    length = timing.duration / max(1, len(order))
    return pd.DataFrame(
        {
            "recording": np.full(len(order), subject, dtype=int),
            "subject": [f"sub-{subject + 1:02d}"] * len(order),
            "onset": np.arange(len(order)) * length,
            "duration": np.full(len(order), length),
            "label": [f"stimulus/{stimulus + 1}" for stimulus in order],
        }
    )


def add_stimuli(latents, order, timing, variance, seed):
    """Replace a share of slow amplitudes (n_sources, n_bands, n_slow) by what stimuli evoke."""
    # ``variance`` is the share within stimuli: half a lasting level, half a time course. ``seed``
    # is the stimuli's own, the same for everyone.
    n_series = latents.shape[0] * latents.shape[1]
    evoked = np.zeros_like(latents)
    bounds = timing.lead / timing.sfreq + np.linspace(0, timing.duration, len(order) + 1)
    bounds = np.round(bounds * SLOW_RATE).astype(int)
    length = int(np.diff(bounds).max())
    for stimulus, first, last in zip(order, bounds[:-1], bounds[1:], strict=True):
        rng = np.random.default_rng(np.random.SeedSequence((seed, 7, int(stimulus))))
        level = rng.standard_normal(n_series)[:, None]
        course = slow_amplitudes(rng, n_series, length)[:, : last - first]
        series = np.sqrt(0.5) * (level + course)
        evoked[..., first:last] = series.reshape(*latents.shape[:2], -1)
    own = latents.copy()
    own[..., bounds[0] : bounds[-1]] *= np.sqrt(1 - variance)
    return own + np.sqrt(variance) * evoked


def nuisance_amplitudes(rng, shape, variance):
    """Slow amplitudes (n_sources, n_bands, n_slow) of global fluctuations, unlike BOLD's."""
    n_sources, n_bands, n_slow = shape
    fluctuations = slow_amplitudes(rng, _N_NUISANCE, n_slow)
    loadings = rng.standard_normal((1, n_bands, _N_NUISANCE))
    loadings = loadings + 0.3 * rng.standard_normal((n_sources, n_bands, _N_NUISANCE))
    loadings *= np.sqrt(variance) / np.linalg.norm(loadings, axis=-1, keepdims=True)
    return (loadings @ fluctuations).astype(np.float32)
