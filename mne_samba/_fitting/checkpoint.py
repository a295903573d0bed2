"""Training that goes on where a killed process stopped, and ends with the same weights."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from mne.utils import logger
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.history import History

_FORMAT = 1
_STOPPING = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")
# What decides neither weights nor losses may differ between the two processes.
_FREE = ("checkpoint_dir", "verbose", "device", "compile")


class Checkpoints:
    """Files of one fit, one per training.

    Parameters
    ----------
    folder : str | Path | None
        Where; made where it does not exist. None keeps nothing.
    options : SambaTranslator
        Its parameters and
    data : PairedData
        its training data tell which fit a file belongs to.
    seed : int
        Seed of the fit, and
    adapted : dict | None
        numbers of the model that a warm start adapts, by name.
    """

    def __init__(self, folder, options, data, seed: int, adapted: dict | None = None):
        self.folder = None if folder is None else Path(folder)
        self.files: list[Path] = []
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        params = {k: v for k, v in options.get_params(deep=False).items() if k not in _FREE}
        # The text of a large array leaves most of it out.
        arrays = [np.asarray(value) for value in params.values() if hasattr(value, "__array__")]
        digest = hashlib.blake2b(repr((sorted(params.items()), seed)).encode(), digest_size=10)
        for part in (*arrays, *data.powers, *data.targets):
            digest.update(np.ascontiguousarray(part).tobytes())
        for name, part in (adapted or {}).items():
            part = part.cpu() if isinstance(part, torch.Tensor) else part
            digest.update(name.encode())
            digest.update(repr(part).encode() if np.ndim(part) == 0 else np.asarray(part).tobytes())
        self.key = digest.hexdigest()

    def of(self, stage: str) -> Checkpoint | None:
        """Checkpoint of one training of the fit."""
        if self.folder is None:
            return None
        self.files.append(self.folder / f"{self.key}_{stage}.checkpoint")
        return Checkpoint(self.files[-1])

    def clear(self) -> None:
        """Remove the files: the fit is done."""
        for path in self.files:
            path.unlink(missing_ok=True)


class Checkpoint(Callback):
    """State of a training after its last whole epoch.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path):
        self.path = path
        self.state: dict | None = None

    def fit(self, net: NeuralNet, windows) -> None:
        """Train to the end, from the file's state on where there is one."""
        # Behind early stopping, whose state it keeps.
        net.callbacks = [*net.callbacks, ("checkpoint", self)]
        net.initialize()
        self.state = self._read()
        done = 0 if self.state is None else len(self.state["history"])
        if self.state is not None:
            logger.info("Training goes on after epoch %d, from %s.", done, self.path)
            if self.state["finished"]:
                self._restore(net)
                self.state = None
                return
        # State of an earlier process is put back once training has begun.
        net.partial_fit(windows, None, epochs=net.max_epochs - done)
        stopping = _early_stopping(net)
        stopped = stopping is not None and stopping.misses_ >= stopping.patience
        if len(net.history) < net.max_epochs and not stopped:
            # skorch keeps Ctrl-C to itself: half a training must not count as a whole one.
            raise KeyboardInterrupt
        self._write(net, finished=True)

    def on_train_begin(self, net, **kwargs):
        """Take up where the file stopped."""
        if self.state is not None:
            self._restore(net)
            self.state = None

    def on_epoch_end(self, net, **kwargs):
        """Keep what the next epoch needs."""
        self._write(net, finished=False)

    def _write(self, net, finished: bool) -> None:
        stopping = _early_stopping(net)
        state = {
            "format": _FORMAT,
            "finished": finished,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "history": json.dumps([_plain_row(row) for row in net.history]),
            "rng": torch.get_rng_state(),
            "stopping": {} if stopping is None else {
                name: _plain(getattr(stopping, name, None)) for name in _STOPPING
            },
        }  # fmt: skip
        if net.device is not None and str(net.device).startswith("cuda"):
            state["cuda_rng"] = torch.cuda.get_rng_state(net.device)
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        os.close(handle)
        try:
            torch.save(state, temporary)
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def _read(self) -> dict | None:
        if not self.path.is_file():
            return None
        try:
            # Tensors and plain values alone: no code of the file is run.
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            if state["format"] != _FORMAT:
                raise ValueError(f"format {state['format']}")
            return {**state, "history": json.loads(state["history"])}
        except Exception as error:  # a damaged file costs one training, not the fit
            logger.warning("Training from the start: %s cannot be read (%s).", self.path, error)
            return None

    def _restore(self, net) -> None:
        state = self.state
        net.module_.load_state_dict(state["module"])
        net.optimizer_.load_state_dict(state["optimizer"])
        net.history_ = History({**row, "batches": []} for row in state["history"])
        torch.set_rng_state(state["rng"])
        if "cuda_rng" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda_rng"], net.device)
        stopping = _early_stopping(net)
        if stopping is not None:
            for name, value in state["stopping"].items():
                setattr(stopping, name, value)


def _early_stopping(net) -> EarlyStopping | None:
    return next((c for _, c in net.callbacks_ if isinstance(c, EarlyStopping)), None)


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _plain_row(row: dict) -> dict:
    return {
        key: _plain(value)
        for key, value in row.items() if isinstance(value, (bool, int, float, str, np.generic))
    }  # fmt: skip
