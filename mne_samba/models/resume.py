"""Training that goes on where a killed process stopped, and ends with the same weights."""

import json
from pathlib import Path

import numpy as np
import torch
from mne.utils import logger
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.history import History

from ..model_file import written_whole

_FORMAT = 2
_STOPPING = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")


class Checkpoint(Callback):
    """State of a training after its last whole epoch."""

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
        with written_whole(self.path) as temporary:
            torch.save(state, temporary)

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
