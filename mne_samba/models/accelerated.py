"""Training steps on accelerators: compiled, and with matrix products in half the bits."""

import math
from collections.abc import Mapping

import torch
from mne.utils import logger
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.utils import to_tensor

# A processor computes products in bfloat16 more slowly than in float32.
_REDUCED_ON = ("cuda", "mps", "xpu")
_BACKEND = "inductor"


class _Interrupted(BaseException):
    """Ctrl-C on its way through skorch, which would keep a KeyboardInterrupt to itself."""


class AcceleratedNet(NeuralNet):
    """A skorch net that Ctrl-C stops, and whose training steps may be compiled.

    Validation and prediction run as they are written and in the precision of the parameters: what
    is judged is what will predict. skorch's own ``compile`` would wrap the module and rename its
    weights.
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

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train on; Ctrl-C raises KeyboardInterrupt, half a training does not count as one."""
        try:
            return super().partial_fit(X, y, classes, **fit_params)
        except _Interrupted:
            raise KeyboardInterrupt from None

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train epochs, as in skorch."""
        try:
            return super().fit_loop(X, y, epochs, **fit_params)
        except KeyboardInterrupt:
            # Early stopping ends a training by the same exception.
            if not self._stopped_early:
                raise _Interrupted from None
        return self

    @property
    def _stopped_early(self) -> bool:
        stops = [call for _, call in self.callbacks_ if isinstance(call, EarlyStopping)]
        return any(call.misses_ >= call.patience for call in stops)

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


class WarmUpCosine(Callback):
    """Learning rates that rise for a share of all epochs, then fall along a cosine to the floor.

    They follow from the number of the epoch alone: a training that is taken up again goes on.
    """

    _FLOOR = 1e-6

    def __init__(self, share: float):
        self.share = share

    def on_epoch_begin(self, net, **kwargs):
        """Set the rates of the epoch that begins, in the proportions of their groups."""
        epoch, n_rising = len(net.history) - 1, round(self.share * net.max_epochs)
        if epoch < n_rising:
            factor = (epoch + 1) / n_rising
        else:
            done = (epoch - n_rising) / max(1, net.max_epochs - n_rising)
            floor = min(1.0, self._FLOOR / net.lr)
            factor = floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2
        for group in net.optimizer_.param_groups:
            group["lr"] = factor * group.setdefault("initial_lr", group["lr"])


def _as(output, dtype: torch.dtype):
    """Tensors of an output, also in tuples and lists, in one precision."""
    if isinstance(output, torch.Tensor):
        return output.to(dtype)
    return type(output)(_as(part, dtype) for part in output)
