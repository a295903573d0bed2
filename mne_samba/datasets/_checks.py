"""Validation of what a user asks a simulation for."""

from numbers import Integral, Real

import numpy as np

from ..nn.wavelet import CANONICAL_BANDS


def check_integer(name, value, low):
    """Refuse what is not an integer of at least ``low``.

    Parameters
    ----------
    name : str
        Parameter's name.
    value : object
        What was given.
    low : int
        Smallest value.

    Returns
    -------
    value : int
        The integer.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}.")
    return int(value)


def check_number(name, value, low, high=np.inf, *, open_low=False):
    """Refuse what is not a number within bounds.

    Parameters
    ----------
    name : str
        Parameter's name.
    value : object
        What was given.
    low, high : float
        Bounds, inclusive.
    open_low : bool
        The lower bound itself is refused.

    Returns
    -------
    value : float
        The number.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if np.isnan(value) or not low <= value <= high or (open_low and value == low):
        left = "above" if open_low else "at least"
        right = "" if np.isinf(high) else f" and at most {high:g}"
        raise ValueError(f"{name} must be {left} {low:g}{right}, got {value}.")
    return float(value)


def check_option(name, value, options):
    """Refuse what is not among the options.

    Parameters
    ----------
    name : str
        Parameter's name.
    value : object
        What was given.
    options : tuple of str
        What is allowed.

    Returns
    -------
    value : str
        The option.
    """
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}.")
    return value


def check_bands(bands, sfreq):
    """Refuse bands that are empty, or that the sampling rate cannot hold.

    Parameters
    ----------
    bands : dict | None
        Name -> (low, high) in Hz; None: the canonical five.
    sfreq : float
        Sampling rate, Hz.

    Returns
    -------
    bands : dict
        Name -> (low, high), floats.
    """
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
