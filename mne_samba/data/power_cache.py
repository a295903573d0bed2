"""Band power kept under all that it depends on, so that folds and refits share it."""

import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import replace

import numpy as np
from sklearn.utils.validation import check_memory as sklearn_memory

from .segments import Segment

# Of what is kept: another one where band power is computed otherwise.
_FORMAT = 2
# Bytes of signal that are read at once.
_BLOCK_BYTES = 1 << 20
# Numbers of a signal up to which it is held while its power is measured, up to which this process
# keeps its power, and bytes that it keeps in all: of long recordings one fit is long, and memory is
# short.
_HELD, _SHORT, _KEPT_BYTES = 5e5, 2e7, 64e6


def check_memory(memory):
    """Turn None, a folder or a `joblib.Memory` into what caches; None where nothing is kept."""
    if memory is None:
        return None
    if isinstance(memory, os.PathLike):
        memory = os.fspath(memory)
    return sklearn_memory(memory)


def power_key(segment: Segment, sfreq: float, measure) -> str:
    """Fingerprint of a segment's samples and of all that its band power depends on.

    The samples themselves are read, block by block: names and dates of files say nothing of what
    was filtered, cropped or re-referenced since. ``measure`` says bands, wavelets and bins.
    """
    digest = hashlib.sha256()  # which processors have instructions for
    place = (segment.n_times, segment.frame_start, segment.frame_step, segment.n_frames)
    spans = segment.bad.tolist(), segment.late.tolist()
    digest.update(repr((_FORMAT, float(sfreq), measure, place, *spans)).encode())
    block = max(1, _BLOCK_BYTES // (8 * len(segment.read(0, 1))))
    for first in range(0, segment.n_times, block):
        data = np.ascontiguousarray(segment.read(first, min(first + block, segment.n_times)))
        digest.update(f"{data.dtype}{data.shape}".encode())
        digest.update(data)
    return digest.hexdigest()


def kept(memory, key: str, compute) -> np.ndarray:
    """Return what ``compute()`` gives, or gave under the same key before: read only if shared."""
    power = memory.cache(_compute, ignore=["compute"])(key, compute)
    # A cache that maps its files would write there; one of another kind may hold what it gives.
    if getattr(memory, "mmap_mode", "unknown") is not None:
        power.flags.writeable = False
    return power


class Recent:
    """Band power of short signals that this process measured last: no statistic of any data."""

    def __init__(self, most_bytes: float):
        self.most_bytes = most_bytes
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def of(self, segment: Segment, sfreq: float, measure, compute) -> np.ndarray:
        """Return what ``compute(segment)`` gives, or gave for the same signal: read only."""
        size = segment.n_times * len(segment.read(0, 1))
        if size > _SHORT:
            return compute(segment)
        if size <= _HELD:
            # Read once, for the key and for what is computed.
            data = segment.read(0, segment.n_times)
            segment = replace(segment, read=lambda first, stop: data[:, first:stop])
        key = power_key(segment, sfreq, measure)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        power = compute(segment)
        power.flags.writeable = False
        with self._lock:
            if key not in self._kept:
                self._kept[key] = power
                self._bytes += power.nbytes
            while self._bytes > self.most_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return power


recent = Recent(_KEPT_BYTES)


def _compute(key: str, compute) -> np.ndarray:
    return compute()
