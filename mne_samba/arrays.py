"""Fields of frozen dataclasses that say the shape of the array that they hold."""

from __future__ import annotations

import dataclasses


def array(*dims: str | int, optional: bool = False, may_be_nan: bool = False):
    """Declare a field that holds an array.

    Parameters
    ----------
    *dims : str | int
        Name or size of every axis. Axes of one name have one size in everything that is fitted
        together, which is checked where a model is read from a file.
    optional : bool
        Whether None may stand in its place; it is then the default.
    may_be_nan : bool
        Whether NaN may be in it.
    """
    metadata = {"dims": dims, "optional": optional, "may_be_nan": may_be_nan}
    if optional:
        return dataclasses.field(default=None, metadata=metadata)
    return dataclasses.field(metadata=metadata)
