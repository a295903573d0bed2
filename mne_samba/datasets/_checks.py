"""Validation of what a user asks a simulation for."""

import numpy as np

from .._checks import check_number
from ..wavelets import CANONICAL_BANDS
from ..wavelets.bands import check_bands


def check_snr(value):
    """Signal-to-noise ratio as a float; infinite where no noise is wanted."""
    none = isinstance(value, float | np.floating) and value == np.inf
    return np.inf if none else check_number(value, "snr", low=0, low_open=True)


def rhythms(bands, sfreq: float) -> dict[str, tuple[float, float]]:
    """Bands of rhythms (None: the canonical five), none as slow as their amplitudes change."""
    bands = check_bands(CANONICAL_BANDS if bands is None else bands, sfreq)
    if slow := {name: edges for name, edges in bands.items() if edges[0] < 0.5}:
        raise ValueError(f"Bands of rhythms begin at 0.5 Hz or above, got {slow}.")
    return bands
