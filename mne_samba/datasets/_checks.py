"""Validation of what a user asks a simulation for."""

import numpy as np

from .._checks import check_number
from ..wavelets import CANONICAL_BANDS


def check_snr(value):
    """Signal-to-noise ratio as a float; infinite where no noise is wanted."""
    none = isinstance(value, float | np.floating) and value == np.inf
    return np.inf if none else check_number(value, "snr", low=0, low_open=True)


def check_bands(bands, sfreq):
    """Bands with float edges (None: the canonical five); refuse what ``sfreq`` cannot hold."""
    bands = CANONICAL_BANDS if bands is None else bands
    if not isinstance(bands, dict) or not bands:
        raise TypeError(f"bands must be a dict of name -> (low, high) in Hz, got {bands!r}.")
    checked = {}
    for name, edges in bands.items():
        try:
            low, high = (float(edge) for edge in edges)
        except (TypeError, ValueError):
            raise TypeError(
                f"Band {name!r} must be a pair (low, high) in Hz, got {edges!r}."
            ) from None
        if not 0.5 <= low < high:
            raise ValueError(f"Band {name!r} must have 0.5 <= low < high (Hz), got {edges!r}.")
        if high >= sfreq / 2:
            raise ValueError(
                f"Band {name!r} reaches {high:g} Hz, at or above half of sfreq={sfreq:g} Hz: "
                "raise sfreq or give other bands."
            )
        checked[str(name)] = (low, high)
    return checked
