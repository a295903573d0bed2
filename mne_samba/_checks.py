"""Checks of numbers, options and arrays that speak to users."""

import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

# Seconds by which repetition times differ: below, they are one that was rounded.
_SAME_T_R = 5e-4


_Fit = TypeVar("_Fit", bound=Callable[..., Any])


def keeps_earlier_fit(method: _Fit) -> _Fit:
    """Let a fit that fails, at whatever point, leave the estimator as it was before."""

    @wraps(method)
    def fit(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return cast(_Fit, fit)


def check_number(value, name: str, *, low=None, high=None, low_open=False, integer=False) -> float:
    """Return ``value`` as a number, or say what is wrong with it."""
    kind = numbers.Integral if integer else numbers.Real
    expected = "an integer" if integer else "a number"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        raise TypeError(f"{name} must be {expected}, got {value!r} of type {type(value).__name__}.")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError(f"{name} must be finite, got {value!r:.60}.")
    if low is not None and (value < low or (low_open and value == low)):
        raise ValueError(
            f"{name} must be {'above' if low_open else 'at least'} {low}, got {value!r}."
        )
    if high is not None and value > high:
        raise ValueError(f"{name} must be at most {high}, got {value!r}.")
    return int(value) if integer else float(value)


def check_t_rs(value) -> float | list[float]:
    """Return one repetition time, or a list of those of recordings; equal ones are one."""
    if np.ndim(value) != 1 or not len(value) or isinstance(value, set):
        return check_t_r(value)
    t_rs = [check_t_r(float(v) if isinstance(v, np.generic) else v) for v in value]
    # Headers round: no scanner has two of them so close.
    return t_rs if max(t_rs) - min(t_rs) > _SAME_T_R else t_rs[0]


def several_t_r(t_rs) -> str:
    """Words for repetition times that differ."""
    return f"t_r of {', '.join(f'{t_r:g}' for t_r in sorted(set(t_rs)))} s"


def check_t_r(value) -> float:
    """Return the repetition time of one grid of frames, or say how several come to one."""
    if isinstance(value, (list, tuple, set, np.ndarray)) or hasattr(value, "iloc"):
        given = " ".join(repr(value).split())[:60]
        raise TypeError(
            f"t_r must be one number of seconds, got {given}: this has one grid of frames. "
            'SambaTranslator(t_r=[...]) with model="samba" or "core" takes one t_r per recording; '
            "others need recordings at one t_r (mne_samba.io.harmonize). A fitted translator "
            "predicts at any: predict(X, t_r=...)."
        )
    t_r = check_number(value, "t_r", low=0, low_open=True)
    if t_r < 1e-3:
        raise ValueError(f"t_r={t_r:g} s is shorter than a millisecond. Is it in seconds?")
    return t_r


def check_option(value, name: str, options: Sequence) -> None:
    """Refuse an option value that does not exist."""
    if not any(
        value is option or (isinstance(value, str) and value == option) for option in options
    ):
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name} must be one of {listed}, got {value!r}.")


def listed(items: Iterable, most: int = 8) -> str:
    """Write the first items of a list, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more


def first_of(value):
    """Give the first item of a list or tuple that has one; else the value itself."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) else value


def is_generator(value) -> bool:
    """Whether a value can be read only once; MNE's Epochs are iterators that can be read again."""
    return isinstance(value, Iterator) and not hasattr(value, "__len__")


def as_float_array(array, name: str) -> np.ndarray:
    """Cast numbers to floats, masked ones to NaN; refuse text, objects and complex numbers."""
    if isinstance(array, np.ma.MaskedArray):
        out = np.array(as_float_array(array.data, name))
        out[np.ma.getmaskarray(array)] = np.nan
        return out
    if isinstance(array, (list, tuple)) and any(isinstance(v, np.ma.MaskedArray) for v in array):
        array = [as_float_array(value, name) for value in array]
    try:
        out = np.asarray(array)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made into one array: {error}") from None
    if np.iscomplexobj(out):
        raise ValueError(
            f"Complex data not supported: {name} must hold real numbers, got {out.dtype}."
        )
    kind = f"{name} must hold numbers, got dtype {out.dtype}."
    if out.dtype.kind in "USmMV":
        raise TypeError(kind)
    if out.dtype == object:
        # Text that spells a number is text: read it as numbers where it comes from.
        if any(isinstance(value, (str, bytes)) for value in out.flat):
            raise TypeError(kind)
        try:
            out = np.where(pd.isna(out), np.nan, out).astype(float)
        except (TypeError, ValueError):
            raise TypeError(kind) from None
        except OverflowError:
            raise ValueError(f"{name} holds integers beyond what a float can hold.") from None
    if out.dtype not in (np.float32, np.float64):
        out = out.astype(np.float64)
    return out


def check_finite(array: np.ndarray, name: str, ch_names: Sequence[str]) -> None:
    """Refuse NaN and infinite samples, naming the channels (second to last axis)."""
    finite = np.isfinite(array)
    if not finite.all():
        axes = tuple(i for i in range(array.ndim) if i != array.ndim - 2)
        bad = [ch_names[i] for i in np.flatnonzero(~finite.all(axis=axes))]
        raise ValueError(
            f"{name} contains NaN or infinite values in channels {bad[:8]}. Interpolate the "
            "channels, mark them as bad, or annotate the spans as BAD in a Raw."
        )


def refuse_flat(flat: np.ndarray, name: str, ch_names: Sequence[str]) -> None:
    """Refuse channels that never vary, by a mask (n_channels,)."""
    if np.any(flat):
        which = [ch_names[i] for i in np.flatnonzero(flat)]
        raise ValueError(
            f"{name} has flat channels {which[:8]} (a reference, a dead electrode, BAD "
            "throughout?): mark them as bad or leave them out."
        )


def check_window_frames(frames: int, start: float, t_r: float, duration: float, name: str) -> None:
    """Refuse windows whose frames lie outside their signal."""
    if frames < 1 or start < -1e-9 or not frames_fit(frames, start, t_r, duration):
        raise ValueError(
            f"{frames} frames at t_r={t_r:g} s need {(frames - 1) * t_r:g} s after time 0, but "
            f"windows of {name} hold {max(duration - max(start, 0.0), 0.0):g} s after it "
            f"({duration:g} s in all). Is y (n_windows, n_frames, n_targets), with frames before "
            "regions? Is t_r in seconds?"
        )


def frames_fit(frames: int, start: float, t_r: float, duration: float) -> bool:
    """Whether a window has frames and its last one lies inside its signal."""
    return start + (frames - 1) * t_r <= duration + 1e-6 and frames >= 1
