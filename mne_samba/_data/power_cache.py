"""Band power kept on disk under all that it depends on, so that folds and refits share it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict

import numpy as np
from sklearn.utils.validation import check_memory as sklearn_memory

from .segments import Segment

# Bytes of signal that are read at once.
_BLOCK_BYTES = 1 << 24


def check_memory(memory):
    """Turn None, a folder or a `joblib.Memory` into what caches; None where nothing is kept.

    Parameters
    ----------
    memory : None | str | Path | joblib.Memory
        Where to keep band power.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if memory is None:
        return None
    if isinstance(memory, os.PathLike):
        memory = os.fspath(memory)
    return sklearn_memory(memory)


def power_key(segment: Segment, sfreq: float, bands: dict, grid, filters: dict) -> str:
    """Fingerprint of a segment's samples and of all that its band power depends on.

    The samples themselves are read, block by block: names and dates of files say nothing of what
    was filtered, cropped or re-referenced since.

    Parameters
    ----------
    segment : Segment
        The signal.
    sfreq : float
        Sampling rate in Hz.
    bands : dict
        Name to (low, high) in Hz.
    grid : LowRateGrid
        Bins.
    filters : dict
        Options of `band_power`.
    """
    digest = hashlib.blake2b(digest_size=20)
    kernels = filters.get("kernels", ())
    rest = {name: value for name, value in filters.items() if name != "kernels"}
    place = (segment.n_times, segment.frame_start, segment.frame_step, segment.n_frames)
    facts = (float(sfreq), list(bands.items()), asdict(grid), rest, place, segment.bad.tolist())
    digest.update(repr(facts).encode())
    for kernel in kernels:
        digest.update(np.ascontiguousarray(kernel))
    n_channels = len(segment.read(0, 1))
    block = max(1, _BLOCK_BYTES // (8 * n_channels))
    for first in range(0, segment.n_times, block):
        data = np.ascontiguousarray(segment.read(first, min(first + block, segment.n_times)))
        digest.update(f"{data.dtype}{data.shape}".encode())
        digest.update(data)
    return digest.hexdigest()


def kept(memory, key: str, compute) -> np.ndarray:
    """Return what ``compute()`` gives, or gave under the same key before.

    Parameters
    ----------
    memory : joblib.Memory
        Where results are kept.
    key : str
        What identifies the result.
    compute : callable
        Called without arguments where nothing is kept yet.
    """
    return memory.cache(_compute, ignore=["compute"])(key, compute)


def _compute(key: str, compute) -> np.ndarray:
    return compute()
