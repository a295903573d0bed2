"""Training steps on accelerators: compiled, and with matrix products in half the bits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mne.utils import logger
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, GradientNormClipping
from skorch.helper import predefined_split
from skorch.utils import to_tensor
from torch.utils.data import Dataset

# A processor computes products in bfloat16 more slowly than in float32.
_REDUCED_ON = ("cuda", "mps", "xpu")
_BACKEND = "inductor"


class AcceleratedNet(NeuralNet):
    """A skorch net whose training steps may be compiled and in mixed precision.

    Validation and prediction run as they are written and in the precision of the parameters: what
    is judged is what will predict. skorch's own ``compile`` would wrap the module and rename its
    weights.

    Parameters
    ----------
    module : Module
        As in skorch.
    *args
        As in skorch.
    compiled : bool
        Run training steps through ``torch.compile``.
    mixed_precision : bool
        Compute matrix products of training steps in bfloat16; ignored on the CPU.
    **kwargs
        As in skorch.
    """

    def __init__(self, module, *args, compiled=False, mixed_precision=False, **kwargs):
        super().__init__(module, *args, **kwargs)
        self.compiled, self.mixed_precision = compiled, mixed_precision

    def initialize_module(self):
        """Forget what was compiled of an earlier module."""
        self.forward_ = None
        return super().initialize_module()

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Say where an option does nothing."""
        if self.mixed_precision and not self._reduces:
            logger.info(
                "mixed_precision=True is for accelerators: training on %s stays in float32.",
                self.device,
            )
        super().on_train_begin(net, X=X, y=y, **kwargs)

    @property
    def _reduces(self) -> bool:
        return self.mixed_precision and torch.device(self.device).type in _REDUCED_ON

    def infer(self, x, **fit_params):
        """Compute outputs of a batch, in the precision of the parameters."""
        accelerated = self.compiled or self._reduces
        if not (accelerated and self.module_.training):
            return super().infer(x, **fit_params)
        x = to_tensor(x, device=self.device)
        if self.forward_ is None:
            forward = self.module_.forward
            # A compiled module would be registered and saved beside the module: its method is not.
            self.forward_ = torch.compile(forward, backend=_BACKEND) if self.compiled else forward
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self._reduces):
            if isinstance(x, Mapping):
                out = self.forward_(**x, **fit_params)
            else:
                out = self.forward_(x, **fit_params)
        return _as(out, next(self.module_.parameters()).dtype)

    def __getstate__(self):
        # Compiled code belongs to its process.
        return {**super().__getstate__(), "forward_": None}


def build_net(
    module: torch.nn.Module, options, *, criterion, weight_decay: float, max_epochs: int,
    device: str, valid: Dataset | None = None, **given,
) -> AcceleratedNet:  # fmt: skip
    """Net with a translator's options around a network that has its start values.

    Parameters
    ----------
    module : Module
        The network.
    options : SambaTranslator
        Read for its parameters, never changed.
    criterion : type
        The loss.
    weight_decay : float
        Of AdamW.
    max_epochs : int
        Most epochs.
    device : str
        Where.
    valid : Dataset | None
        Held-out windows, at once, that say when to stop.
    **given
        More options of skorch.
    """
    callbacks = [("clip", GradientNormClipping(1.0))]
    if valid is not None:
        stop = EarlyStopping(patience=options.patience, load_best=True, sink=silent)
        callbacks.append(("early_stopping", stop))
    given = {"iterator_valid__batch_size": -1 if valid is None else max(1, len(valid))} | given
    return AcceleratedNet(
        module, criterion=criterion, optimizer=torch.optim.AdamW,
        optimizer__weight_decay=weight_decay, lr=options.lr, max_epochs=max_epochs,
        batch_size=options.batch_size, iterator_train__shuffle=True,
        train_split=None if valid is None else predefined_split(valid), callbacks=callbacks,
        verbose=0, device=device, compiled=options.compile,
        mixed_precision=options.mixed_precision, **given,
    )  # fmt: skip


def losses(net: NeuralNet) -> list[dict]:
    """Losses by epoch, as plain numbers."""
    keys = ("epoch", "train_loss", "valid_loss")
    return [{key: float(row[key]) for key in keys if key in row} for row in net.history]


def silent(*_) -> None:
    """Say nothing, where nets would print; unlike a lambda it can be pickled."""


def _as(output, dtype: torch.dtype):
    """Tensors of an output, also in tuples and lists, in one precision."""
    if isinstance(output, torch.Tensor):
        return output.to(dtype)
    return type(output)(_as(part, dtype) for part in output)
