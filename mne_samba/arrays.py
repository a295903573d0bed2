"""Fields of frozen dataclasses that say the shape of what they hold, and the check of it.

Files are read by these checks: a field holds what its type and its dimensions say, or is refused.
"""

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

# Largest size that a file may claim without an array of that size in it.
_LARGEST = 10**6


def array(*dims: str | int, optional: bool = False, may_be_nan: bool = False):
    """Declare a field that holds an array, a list of arrays of one shape, or a list of names.

    Names in the class attribute ``_own_dims`` of a dataclass have sizes of their own in it and in
    what it holds; "*" is all names. A method ``_sizes()`` gives sizes that no field has, as a dict.
    """
    default = None if optional else dataclasses.MISSING
    metadata = {"dims": dims, "may_be_nan": may_be_nan}
    return dataclasses.field(default=default, metadata=metadata)


def below(where: str, name) -> str:
    """Name the place of a part."""
    return f"{where}.{name}" if where else str(name)


class Sizes:
    """Sizes of named dimensions, and where each was seen first."""

    def __init__(self, outer: Self | None = None, own: Sequence[str] = ()):
        self.outer, self.own = outer, own
        self.known: dict[str, tuple[int, str]] = {}
        self.held: set[str] = set()

    def _of(self, name: str) -> Self:
        if self.outer is None or name in self.own or "*" in self.own:
            return self
        return self.outer._of(name)

    def get(self, name: str) -> tuple[int, str] | None:
        """Size, and where it was seen; None where it is not known yet."""
        return self._of(name).known.get(name)

    def agree(self, name: str, size: int, where: str, held: bool) -> bool:
        """Whether a size is that of its dimension; ``held`` where an array or list is that long."""
        scope = self._of(name)
        if held:
            scope.held.add(name)
        return size >= 0 and scope.known.setdefault(name, (size, where))[0] == size

    def finish(self) -> None:
        """Refuse large sizes of which the file has nothing."""
        for name, (size, where) in self.known.items():
            if name not in self.held and size > _LARGEST:
                raise ValueError(f"{where} says {name}={size}, far more than the file holds")


def _parts(dim) -> tuple[str, int]:
    """Name and addend of a dimension such as "n_recordings+1"."""
    name, _, more = dim.partition("+")
    return name, int(more or 0)


def _dims_text(dims, sizes: Sizes) -> str:
    """Spell out expected dimensions: (n_targets=5, n_lags=60)."""
    out = []
    for dim in dims:
        known = None if isinstance(dim, int) else sizes.get(_parts(dim)[0])
        out.append(str(dim) if known is None else f"{dim}={known[0] + _parts(dim)[1]}")
    return f"({', '.join(out)}{',' if len(out) == 1 else ''})"


def check_field(value, hint, metadata, where: str, sizes: Sizes) -> None:
    """Refuse values of another type, of other dimensions, or not finite."""
    if not fits_type(value, hint):
        raise ValueError(f"{where} is {value!r:.120}, expected {type_name(hint)}")
    arrays = dict(_arrays_in(value, where))
    for name, array in arrays.items():
        finite = array.dtype.kind != "f" or np.isfinite(array).all()
        if not finite and not metadata.get("may_be_nan"):
            raise ValueError(f"{name} holds NaN or infinite numbers")
    dims = metadata.get("dims")
    if dims is None or value is None:
        return
    shapes = {name: array.shape for name, array in arrays.items()}
    for name, shape in (shapes or {where: (len(value),)}).items():
        _check_shape(shape, dims, name, sizes)


def _check_shape(shape, dims, where: str, sizes: Sizes) -> None:
    """Compare a shape with named or fixed dimensions."""
    right, first = len(shape) == len(dims), ""
    for size, dim in zip(shape, dims, strict=False):
        if isinstance(dim, int):
            right &= size == dim
        elif not sizes.agree(_parts(dim)[0], size - _parts(dim)[1], where, held=True):
            right = False
            known = sizes.get(_parts(dim)[0])
            first = first or ("" if known is None else f" as in {known[1]}")
    if not right:
        raise ValueError(f"{where} has shape {shape}, expected {_dims_text(dims, sizes)}{first}")


def _arrays_in(value, where: str):
    """Arrays of a value with where they are; dataclasses have checked theirs."""
    if isinstance(value, np.ndarray):
        yield where, value
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _arrays_in(item, below(where, i))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _arrays_in(item, below(where, key))


def type_name(hint) -> str:
    """Spell out an annotation."""
    return hint.__name__ if isinstance(hint, type) else str(hint)


def fits_type(value, hint) -> bool:
    """Whether a value has the type that an annotation says; numbers must be finite."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in (object, typing.Any):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits_type(value, arg) for arg in args)
    if origin is typing.Literal:
        return any(type(value) is type(arg) and value == arg for arg in args)
    if hint in (int, float):
        number = isinstance(value, (int, hint)) and not isinstance(value, bool)
        return number and (hint is int or abs(value) <= sys.float_info.max)
    if origin is None:
        return isinstance(value, hint)
    if isinstance(value, np.ndarray):
        return issubclass(origin, Sequence) and origin not in (list, tuple)
    if not isinstance(value, origin) or isinstance(value, str):
        return False
    if isinstance(value, Mapping):
        return all(fits_type(k, args[0]) and fits_type(v, args[1]) for k, v in value.items())
    if origin is tuple and args[-1] is not Ellipsis:
        return len(value) == len(args) and all(map(fits_type, value, args))
    return all(fits_type(item, args[0]) for item in value)
