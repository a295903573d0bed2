"""Band power kept on disk under all that it depends on, so that folds and refits share it."""

from __future__ import annotations

import hashlib
import os

import numpy as np
from sklearn.utils.validation import check_memory as sklearn_memory

from .segments import Segment

# Of what is kept: another one where band power is computed otherwise.
_FORMAT = 1
# Bytes of signal that are read at once.
_BLOCK_BYTES = 1 << 24


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
    digest = hashlib.blake2b(digest_size=20)
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
    """Return what ``compute()`` gives, or gave under the same key before."""
    return memory.cache(_compute, ignore=["compute"])(key, compute)


def _compute(key: str, compute) -> np.ndarray:
    return compute()
