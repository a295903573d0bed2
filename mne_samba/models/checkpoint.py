"""Files that a killed fit leaves, and by which the same fit finds them again."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import mne
import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from ..model_file import written_whole

if TYPE_CHECKING:
    from .resume import Checkpoint

# What decides neither weights nor losses may differ between the two processes.
_FREE = ("checkpoint_dir", "device", "compile")


class Checkpoints:
    """Files of one fit, one per training, in the folder that a trainer says; None keeps nothing.

    A fit that is started again finds the files of the earlier one, which has the same model,
    trainer, ``data`` before anything was chosen, seed and what a warm start ``adapted``. Without a
    seed (``random_state=None``) the first process draws one and leaves it beside its files for the
    next: the fit has to take the attribute ``seed``.
    """

    def __init__(self, trainer, model, data, seed: int | None, adapted=None):
        folder = trainer.checkpoint_dir
        self.folder = None if folder is None else Path(folder)
        self.files: list[Path] = []
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            params = {k: v for k, v in trainer.get_params().items() if k not in _FREE}
            self.key = fingerprint((model, params, data, seed, adapted))
        self.seed = self._seed() if seed is None else int(seed)

    def _seed(self) -> int:
        """Draw a seed, or take that of the process before."""
        path = None if self.folder is None else self.folder / f"{self.key}.seed"
        if path is not None:
            self.files.append(path)
            with contextlib.suppress(OSError, ValueError):
                return int(path.read_text(encoding="ascii"))
        seed = int(check_random_state(None).randint(2**31 - 1))
        if path is not None:
            with written_whole(path) as temporary:
                temporary.write_text(str(seed), encoding="ascii")
        return seed

    def of(self, stage: str) -> Checkpoint | None:
        """Checkpoint of one training of the fit."""
        if self.folder is None:
            return None
        from .resume import Checkpoint

        self.files.append(self.folder / f"{self.key}_{stage}.checkpoint")
        return Checkpoint(self.files[-1])

    @contextlib.contextmanager
    def seeded(self) -> Iterator[None]:
        """Draw random numbers of a fit from its seed; once it is done, remove the files."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            yield
        for path in self.files:
            path.unlink(missing_ok=True)


def fingerprint(value) -> str:
    """Digest of parameters and data that is the same in every process."""
    digest = hashlib.blake2b(digest_size=10)
    for part in _parts(value):
        digest.update(part if isinstance(part, bytes) else part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _parts(value) -> Iterator[str | bytes]:
    """Text and bytes that say all of a value."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, np.ndarray) and value.dtype != object:
        yield f"array {value.dtype} {value.shape}"
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, pd.DataFrame):
        yield value.to_csv()
    elif isinstance(value, mne.Info):
        yield from _parts([[ch["ch_name"], ch["kind"], ch["loc"][:3]] for ch in value["chs"]])
    elif isinstance(value, Mapping):
        yield f"dict {len(value)}"
        for key, item in value.items():
            yield from _parts(key)
            yield from _parts(item)
    elif isinstance(value, (set, frozenset)):
        yield from _parts(sorted(value, key=repr))
    elif isinstance(value, (list, tuple, np.ndarray)):
        yield f"list {len(value)}"
        for item in value:
            yield from _parts(item)
    elif isinstance(value, BaseEstimator):
        yield _name(type(value))
        yield from _parts(value.get_params(deep=False))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield _name(type(value))
        for field in dataclasses.fields(value):
            yield field.name
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, functools.partial):
        yield from _parts((value.func, value.args, value.keywords))
    elif isinstance(value, os.PathLike):
        yield os.fspath(value)
    elif callable(value) and hasattr(value, "__qualname__"):
        yield _name(value)
        yield from _parts(value.__self__ if inspect.ismethod(value) else None)
        code = getattr(value, "__code__", None)
        if code is not None:
            # Functions without a name of their own differ in what they do and what they hold.
            yield code.co_code
            held = [cell.cell_contents for cell in value.__closure__ or ()]
            consts = [const for const in code.co_consts if not inspect.iscode(const)]
            yield from _parts((consts, code.co_names, value.__defaults__, held))
    else:
        yield _name(type(value))
        yield from _parts(vars(value)) if hasattr(value, "__dict__") else [_no_address(value)]


def _name(value) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _no_address(value) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
