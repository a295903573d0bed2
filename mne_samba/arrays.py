"""Fields of frozen dataclasses that say the shape of what they hold."""

from __future__ import annotations

import dataclasses


def array(*dims: str | int, optional: bool = False, may_be_nan: bool = False):
    """Declare a field that holds an array, a list of arrays of one shape, or a list of names.

    Parameters
    ----------
    *dims : str | int
        Name or size of every axis; a list or dict without arrays has one, its length. Axes of one
        name have one size in everything that is fitted together, which is checked where a model is
        read from a file. "n_recordings+1" is one more than "n_recordings".
    optional : bool
        Whether None may stand in its place; it is then the default.
    may_be_nan : bool
        Whether NaN may be in it.

    Notes
    -----
    Names in the class attribute ``_own_dims`` of a dataclass have sizes of their own in it and in
    what it holds; "*" is all names. A method ``_sizes()`` gives sizes that no field has, as a dict.
    """
    metadata = {"dims": dims, "optional": optional, "may_be_nan": may_be_nan}
    if optional:
        return dataclasses.field(default=None, metadata=metadata)
    return dataclasses.field(metadata=metadata)
