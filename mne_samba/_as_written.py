"""Functions that compilers are to leave alone."""

import functools

import torch


def as_written(function):
    """Let compiled networks call a function as it is.

    Lengths and operators of transforms are looked up in caches, which a compiler would trace again
    and again; transforms themselves, and responses that are sought in a loop, it cannot improve.
    """

    @functools.wraps(function)
    def call(*args, **kwargs):
        if torch.compiler.is_compiling():
            # Not where the function is defined: that would load the compiler on import.
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return call
