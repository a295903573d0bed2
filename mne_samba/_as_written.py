"""Functions that compilers are to leave alone."""

import functools

import torch


def as_written(function):
    """Let compiled networks call a function as it is."""
    # A compiler would trace caches of lengths and operators again and again; transforms, and
    # responses sought in a loop, it cannot improve.

    @functools.wraps(function)
    def call(*args, **kwargs):
        if torch.compiler.is_compiling():
            # Not where the function is defined: that would load the compiler on import.
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return call
