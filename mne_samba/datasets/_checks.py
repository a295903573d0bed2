"""Validation of what a user asks a simulation for."""

from numbers import Integral, Real

import numpy as np

from ..wavelets import CANONICAL_BANDS


def check_integer(name, value, low):
    """Refuse what is not an integer of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}.")
    return int(value)


def check_number(name, value, low, high=np.inf, *, open_low=False):
    """Refuse what is not a number within bounds."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if np.isnan(value) or not low <= value <= high or (open_low and value == low):
        left = "above" if open_low else "at least"
        right = "" if np.isinf(high) else f" and at most {high:g}"
        raise ValueError(f"{name} must be {left} {low:g}{right}, got {value}.")
    return float(value)


def check_option(name, value, options):
    """Refuse what is not among the options."""
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}.")
    return value


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
