"""Features and their products, kept as long as fits to the same band power follow each other.

Fits that are compared see the same band power and differ in targets, in priors, or in where they
begin. What depends on band power alone is computed once: no statistic of targets is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from .moments import Noise, Segments

# How much is kept, relative to the largest: features and their products. What was used last stays.
_MOST = 2.0

_kept: ContextVar[OrderedDict | None] = ContextVar("products_of_features", default=None)


@contextmanager
def shared_products() -> Iterator[None]:
    """Share features and their products between all fits in a block, by one thread."""
    token = _kept.set(OrderedDict())
    try:
        yield
    finally:
        _kept.reset(token)


def once(segments: Segments, key: tuple, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Give what ``compute()`` gives for these segments and ``key``, or gave: read only."""
    kept = _kept.get()
    if kept is None:
        return compute()
    powers = segments.powers
    grids = [(on.n_lags, on.step, on.dt) for on in segments.grids or []]
    key = (
        *((p.data_ptr(), p.shape, p.stride(), p.dtype) for p in powers), *grids, segments.n_lags,
        segments.step, *(mask.tobytes() for mask in segments.masks), *key,
    )  # fmt: skip
    if key not in kept:
        # With the band power itself, or others could come to lie where it was.
        kept[key] = compute(), powers
    kept.move_to_end(key)
    sizes = [value.nbytes for value, _ in kept.values()]
    while sum(sizes) > _MOST * max(sizes):
        kept.popitem(last=False)
        sizes.pop(0)
    return kept[key][0]


def key_of(noise: float | Noise) -> tuple:
    """Name one autocorrelation, or that of every rate of frames."""
    if isinstance(noise, Noise):
        return tuple(values.tobytes() for values in (noise.t_r, noise.ar, noise.scale))
    return (noise,)
