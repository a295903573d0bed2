"""Trained networks as data: what builds one, and its numbers."""

import importlib
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import nn

from .._checks import check_option
from ..nn.state import check_state

# Class -> module; loaded on first use.
NETWORKS = {
    "InverseNet": "inverse",
    "InversePaperNet": "inverse_paper",
    "LatentSpace": "contrastive",
    "NeuroBOLTNet": "neurobolt",
    "PaperNet": "paper",
    "SambaNet": "samba",
}


@dataclass(frozen=True)
class Network:
    """A trained network as data."""

    kind: str  # class of `mne_samba.nn`
    spec: dict  # its parameters: numbers, text, arrays
    state: dict[str, np.ndarray]  # its weights and buffers by name
    dtype: str  # "float32" or "float64"
    device: str

    @classmethod
    def of(cls, module: nn.Module, spec: dict, device: str) -> Self:
        """Take the weights of a module that was built with ``spec``."""
        state = {name: t.detach().cpu().numpy().copy() for name, t in module.state_dict().items()}
        dtype = str(next(module.parameters()).dtype).removeprefix("torch.")
        return cls(type(module).__name__, spec, state, dtype, device)

    @cached_property
    def module(self) -> nn.Module:
        """The network on its device, in evaluation mode."""
        # Start values are overwritten: they must not take random numbers of others.
        with torch.random.fork_rng(devices=[]):
            module = self._build()
        module.load_state_dict({name: torch.as_tensor(part) for name, part in self.state.items()})
        return module.to(self.device).eval()

    def _sizes(self) -> dict[str, int]:
        names = ("n_channels", "n_bands", "n_targets", "n_lags")
        return {name: self.spec[name] for name in names if name in self.spec}

    def check(self) -> None:
        """Refuse weights that are not those of the network, before it takes any memory."""
        check_option(self.kind, "kind", tuple(NETWORKS))
        check_option(self.dtype, "dtype", ("float32", "float64"))
        try:
            torch.device(self.device)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"torch knows no device {self.device!r}: {error!s:.200}") from None
        check_state(self._build, self.state)

    def _build(self) -> nn.Module:
        where = importlib.import_module(f"..nn.{NETWORKS[self.kind]}", __package__)
        return getattr(where, self.kind)(**self.spec).to(getattr(torch, self.dtype))

    def __getstate__(self) -> dict:
        # The module follows from the rest.
        return {field.name: getattr(self, field.name) for field in fields(self)}
