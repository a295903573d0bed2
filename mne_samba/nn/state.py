"""Whether numbers belong to a module, asked before the module takes any memory."""

from collections.abc import Callable, Mapping

import torch
from torch import nn


def check_state(build: Callable[[], nn.Module], state: Mapping) -> None:
    """Refuse numbers that a module does not have, or has in other shapes."""
    # Built on the meta device: sizes that a file claims and does not hold cost nothing.
    try:
        with torch.device("meta"):
            module = build()
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"no network can be built: {str(error)[:200]}") from None
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    given = {name: tuple(array.shape) for name, array in state.items()}
    for name in [*expected, *given]:
        shape, needed = given.get(name), expected.get(name)
        if shape != needed:
            what = "is missing" if shape is None else f"has shape {shape}"
            more = "belongs to no part" if needed is None else f"expected {needed}"
            raise ValueError(f"{name} of the network {what}, {more}")
