"""Fields of frozen dataclasses that say the shape of what they hold."""

from __future__ import annotations

import dataclasses


def array(*dims: str | int, optional: bool = False, may_be_nan: bool = False):
    """Declare a field that holds an array, a list of arrays of one shape, or a list of names.

    Names in the class attribute ``_own_dims`` of a dataclass have sizes of their own in it and in
    what it holds; "*" is all names. A method ``_sizes()`` gives sizes that no field has, as a dict.
    """
    metadata = {"dims": dims, "optional": optional, "may_be_nan": may_be_nan}
    if optional:
        return dataclasses.field(default=None, metadata=metadata)
    return dataclasses.field(metadata=metadata)
