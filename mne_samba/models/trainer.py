"""How networks are trained: what they see, what is held out, and where they compute."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import torch
from mne.utils import logger
from sklearn.base import BaseEstimator
from torch.utils.data import Dataset

from .._checks import check_number, check_option
from .._typing import Path
from ..data.paired import Paired, inner_split
from ..data.recordings import Recordings
from .network import Network

if TYPE_CHECKING:
    from .accelerated import AcceleratedNet


class Trainer(BaseEstimator):
    """How networks are trained, and what part of the training data they are judged on.

    Parameters
    ----------
    lr : float
        Learning rate.
    batch_size : int
        Windows per step of gradient descent.
    max_epochs : int
        Most passes over the training part.
    patience : int
        Passes without a smaller loss on held-out frames, after which training stops.
    window : float
        Seconds of frames that a network sees of whole recordings at once.
    step : float | None
        Seconds between those windows, at most a window; None takes half a window.
    validation_fraction : float
        Share of every recording, its end, that is held out of training to judge by.
    modality_dropout : float
        Probability that a type of channels (EEG, MEG, ...) is left out of a window in training,
        so that predictions suffer less where it is missing later (``Reader(channels="match")``); of
        networks from electrophysiology to BOLD that see several types.
    gap : float
        Seconds between the training and the held-out part; not less than a response lasts.
    device : str
        "auto" or a device of torch.
    dtype : "float32" | "float64"
        Precision of networks.
    compile : bool
        Train through ``torch.compile``.
    mixed_precision : bool
        Compute matrix products of training in bfloat16 on accelerators.
    checkpoint_dir : str | Path | None
        Folder in which training is kept after every epoch: a fit that was killed goes on from
        there when it is started again with the same data and parameters.

    Examples
    --------
    >>> from mne_samba import SambaTranslator, Trainer
    >>> translator = SambaTranslator(t_r=2.0, trainer=Trainer(max_epochs=50, device="cpu"))
    """

    def __init__(
        self,
        *,
        lr: float = 3e-3,
        batch_size: int = 8,
        max_epochs: int = 30,
        patience: int = 5,
        window: float = 60.0,
        step: float | None = None,
        validation_fraction: float = 0.2,
        modality_dropout: float = 0.0,
        gap: float = 30.0,
        device: str = "auto",
        dtype: Literal["float32", "float64"] = "float32",
        compile: bool = False,  # noqa: A002
        mixed_precision: bool = False,
        checkpoint_dir: Path | None = None,
    ) -> None:
        self.lr = lr
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.window = window
        self.step = step
        self.validation_fraction = validation_fraction
        self.modality_dropout = modality_dropout
        self.gap = gap
        self.device = device
        self.dtype = dtype
        self.compile = compile
        self.mixed_precision = mixed_precision
        self.checkpoint_dir = checkpoint_dir

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        check_number(self.lr, "lr", low=0, low_open=True)
        for name in ("batch_size", "max_epochs", "patience"):
            check_number(getattr(self, name), name, low=1, integer=True)
        check_number(self.window, "window", low=0, low_open=True)
        if self.step is not None:
            check_number(self.step, "step", low=0, low_open=True)
        check_number(self.validation_fraction, "validation_fraction", low=0.05, high=0.5)
        check_number(self.modality_dropout, "modality_dropout", low=0, high=0.9)
        check_number(self.gap, "gap", low=0)
        check_option(self.dtype, "dtype", ("float32", "float64"))
        check_option(self.compile, "compile", (True, False))
        check_option(self.mixed_precision, "mixed_precision", (True, False))
        if self.mixed_precision and self.dtype != "float32":
            raise ValueError(
                f'mixed_precision=True needs dtype="float32", got dtype={self.dtype!r}: set one of '
                "them."
            )
        if not isinstance(self.checkpoint_dir, (str, os.PathLike, type(None))):
            raise TypeError(
                f"checkpoint_dir must be a folder or None, got {self.checkpoint_dir!r}."
            )
        torch_device(self.device)

    def check_lengths(self, rec: Recordings) -> None:
        """Refuse recordings that are shorter than a window."""
        if rec.kind != "recordings":
            return
        for i, segment in enumerate(rec.segments):
            seconds = segment.n_times / rec.sfreq
            if seconds < self.window:
                raise ValueError(
                    f"X[{i}] lasts {seconds:g} s, which is shorter than one window "
                    f"(window={self.window:g} s). Leave it out, or choose a shorter window."
                )

    def frames(self, t_r: float, n_frames: int | None = None) -> tuple[int, int]:
        """Frames of a window, and between windows."""
        if self.window < t_r:
            raise ValueError(
                f"window={self.window:g} s holds no frame at t_r={t_r:g} s: use a window of "
                "several frames. Is t_r in seconds?"
            )
        if n_frames is None:
            n_frames = max(1, int(self.window / t_r + 1e-6))
        step = max(1, n_frames // 2)
        if self.step is not None:
            step = max(1, round(self.step / t_r))
        # Frames between windows would not be predicted.
        return n_frames, min(step, n_frames)

    def frames_of(self, data: Paired) -> tuple[int, int]:
        """Frames of a window, and between windows, of data."""
        if data.kind == "table":
            return 1, 1
        whole = len(data.targets[0]) if data.kind == "windows" else None
        return self.frames(data.grid.t_r, whole)

    def split(self, data: Paired) -> tuple[Paired, Paired] | None:
        """Training and held-out part of training data."""
        return inner_split(data, self.validation_fraction, self.gap)

    @property
    def torch_device(self) -> str:
        """Where networks compute: the first accelerator that exists, for ``device="auto"``."""
        return torch_device(self.device)

    @property
    def torch_dtype(self) -> torch.dtype:
        """What networks compute in."""
        return getattr(torch, self.dtype)

    def build(
        self, module: torch.nn.Module, *, criterion: type, weight_decay: float, max_epochs: int,
        valid: Dataset | None = None, groups: dict[str, float] | None = None, warm_up: float = 0.0,
        **given,
    ) -> AcceleratedNet:  # fmt: skip
        """Net around a network that has its start values.

        With ``warm_up``, the learning rate rises for this share of all epochs, then falls.
        """
        # Loading skorch takes longer than many a fit that trains nothing.
        from skorch.callbacks import EarlyStopping, GradientNormClipping
        from skorch.helper import predefined_split
        from skorch.utils import noop

        from .accelerated import AcceleratedNet, WarmUpCosine

        callbacks = [("clip", GradientNormClipping(1.0))]
        if warm_up:
            callbacks.append(("rate", WarmUpCosine(warm_up)))
        if valid is not None:
            stop = EarlyStopping(patience=self.patience, load_best=True, sink=noop)
            callbacks.append(("early_stopping", stop))
        names = [name for name, _ in module.named_parameters()]
        rates = [
            (pattern, {"lr": factor * self.lr})
            for pattern, factor in (groups or {}).items()
            if any(name.startswith(pattern.rstrip("*")) for name in names)
        ]
        if rates:
            given = {"optimizer__param_groups": rates} | given
        given = {"iterator_valid__batch_size": -1 if valid is None else max(1, len(valid))} | given
        return AcceleratedNet(
            module, criterion=criterion, optimizer=torch.optim.AdamW,
            optimizer__weight_decay=weight_decay, lr=self.lr, max_epochs=max_epochs,
            batch_size=self.batch_size, iterator_train__shuffle=True,
            train_split=None if valid is None else predefined_split(valid), callbacks=callbacks,
            verbose=0, device=self.torch_device, compiled=self.compile,
            mixed_precision=self.mixed_precision, **given,
        )  # fmt: skip

    def train(self, net: AcceleratedNet, windows: Dataset, checkpoint=None) -> list[dict]:
        """Fit a net on windows, from a checkpoint on where there is one; losses by epoch."""
        if checkpoint is None:
            net.fit(windows, None)
        else:
            checkpoint.fit(net, windows)
        keys = ("epoch", "train_loss", "valid_loss")
        rows = [{key: float(row[key]) for key in keys if key in row} for row in net.history]
        logger.info("Trained %d epochs, training loss %.4f.", len(rows), rows[-1]["train_loss"])
        return rows


def net_around(network: Network, history: list[dict], **options) -> AcceleratedNet:
    """Skorch net around a trained network, its losses, and ``options`` of `Trainer.build`."""
    from skorch.history import History

    trainer = Trainer(device=network.device)
    net = trainer.build(network.module, max_epochs=1, **options).initialize()
    net.history_ = History({**row, "batches": []} for row in history)
    return net


def torch_device(device: str) -> str:
    """Resolve "auto" to the first accelerator that exists; refuse devices that do not."""
    if device != "auto":
        try:
            kind = torch.device(device).type
            torch.zeros(1, device=device)
        except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
            raise ValueError(
                f'device must be "auto" or a device of torch that exists here, such as "cpu" or '
                f'"cuda", got {device!r}: {str(error)[:200]}'
            ) from None
        if kind == "meta":
            raise ValueError('device="meta" holds no numbers; use "auto".')
        return str(device)
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
