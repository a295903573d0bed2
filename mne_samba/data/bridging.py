"""Samples as estimators read them: BAD spans bridged, broken channels refused."""

from functools import cache
from itertools import chain

import numpy as np

from .._checks import check_finite, refuse_flat
from .recordings import Recordings
from .segments import Segment

# Power of what varies less is lost to rounding.
_LEAST = 1e-100

# Bytes of signal that are looked at at once.
_BLOCK_BYTES = 1 << 24


def _without_bad(segment: Segment, sfreq: float):
    """Read with BAD spans bridged by straight lines: wavelets would spread artefacts."""
    samples = segment.bad * sfreq
    # Both end samples belong to a span: what an annotation marks must not come through an edge.
    spans = np.column_stack([np.floor(samples[:, 0]), np.ceil(samples[:, 1]) + 1])
    spans = _merge(np.clip(spans.astype(int), 0, segment.n_times))

    @cache
    def edge(i):
        return segment.read(i, i + 1)[:, 0]

    def read(first, stop):
        data = np.array(segment.read(first, stop))
        for start, end in spans:
            low, high = max(start, first), min(end, stop)
            if low >= high:
                continue
            sides = [edge(i) for i in (start - 1, end) if 0 <= i < segment.n_times]
            if not sides:
                data[:, low - first : high - first] = 0.0
                continue
            before, after = sides[0][:, None], sides[-1][:, None]
            part = (np.arange(low, high) - start + 1) / (end - start + 1)
            data[:, low - first : high - first] = before * (1 - part) + after * part
        return data

    return read


def _merge(spans: np.ndarray) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in spans[np.argsort(spans[:, 0])] if len(spans) else []:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], int(end))
        elif end > start:
            merged.append((int(start), int(end)))
    return merged


def clean_reader(segment: Segment, sfreq: float):
    """Reader of a segment's samples, with BAD spans bridged."""
    return _without_bad(segment, sfreq) if len(segment.bad) else segment.read


def check_channels(rec: Recordings, name: str = "X", drives: bool = False) -> None:
    """Refuse NaN, flat and duplicated channels in any recording, outside of BAD spans."""
    # Drives may be flat or alike: a condition may be missing in a run.
    keys = rec.keys
    for key in dict.fromkeys(keys):
        members = [i for i, other in enumerate(keys) if other == key]
        what = f"{name}[{members[0]}]" if rec.kind == "recordings" else name
        blocks = chain.from_iterable(_blocks(rec.segments[i], rec) for i in members)
        check_blocks(blocks, rec.ch_names, what, drives)


def _blocks(segment: Segment, rec: Recordings):
    """Give the samples of a segment block by block, (n_channels, n_some)."""
    read, size = clean_reader(segment, rec.sfreq), max(1, _BLOCK_BYTES // (8 * len(rec.ch_names)))
    for first in range(0, segment.n_times, size):
        yield read(first, min(first + size, segment.n_times))


def check_blocks(blocks, ch_names, name: str, drives: bool = False) -> None:
    """As `check_channels`, of blocks (n_channels, n_some) that make up one recording."""
    low, high = np.full(len(ch_names), np.inf), np.full(len(ch_names), -np.inf)
    # Two channels that agree in two random projections of every block are copies of each other.
    rng = np.random.default_rng(0)
    sketch = np.zeros((len(low), 2))
    for data in blocks:
        np.minimum(low, data.min(axis=1), out=low)
        np.maximum(high, data.max(axis=1), out=high)
        if not np.isfinite([low, high]).all():
            check_finite(data, name, ch_names)
        sketch += (rng.standard_normal((2, data.shape[1])) @ data.T).T
    if drives or np.isinf(low).all():  # no block: no window was left
        return
    refuse_flat(high - low < _LEAST, name, ch_names)
    size = np.abs(sketch)
    close = np.abs(sketch[:, None] - sketch) <= 1e-10 * (size[:, None] + size)
    copies = [ch_names[i] for i in np.flatnonzero(close.all(axis=-1).sum(axis=1) > 1)]
    if copies:
        raise ValueError(
            f"{name} has duplicated channels {copies[:8]}, which hold the same signal: keep one."
        )
