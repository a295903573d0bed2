"""NeuroBOLT's network, for comparison: sixteen seconds of voltage before a frame to its BOLD."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from sklearn.base import BaseEstimator

from .._checks import check_number
from .._drift import low_passed
from ..arrays import array
from ..data.paired import Paired, stitch
from ..data.power import LowRateGrid
from ..data.recordings import Layout, Recordings
from ..nn.loss import FrameSquaredLoss
from ..nn.neurobolt import N_PLACES, PATCH, PER_FILTER, NeuroBOLTNet
from .chunk_voltage import ChunkVoltage, VoltageScaler
from .describe import publish_network
from .intervals import HeldOut, held_out
from .labram import electrode_rows, read_labram, start_from_labram
from .network import Network
from .paper_training import TrainedNetwork, train_published, training_parts
from .retrieval import MatchedFilter
from .trainer import Trainer
from .warm_start import start_of
from .windows import FrameWindows, like

# Frames that are predicted at a time.
_BATCH = 16
# How it is trained: learning rates of layers fall by this factor from the last to the first.
_WEIGHT_DECAY, _LAYER_DECAY = 0.05, 0.65
_TRAINED_BY = {"criterion": FrameSquaredLoss, "weight_decay": _WEIGHT_DECAY}
# Of the size of BOLD, which is divided by it.
_QUANTILE = 0.95
# Seconds of the longest block of its spectra.
_LONGEST = 4


@dataclass(frozen=True, eq=False)
class FittedNeuroBOLT(TrainedNetwork):
    """The network, trained, and what it takes to predict with it."""

    trained_by = _TRAINED_BY

    scaler: VoltageScaler
    network: Network
    held: HeldOut  # residuals on frames that were held out of training
    matched: MatchedFilter | None  # None for very many targets
    history: list[dict]
    # Of the network's frames: the quantile of the size of smooth BOLD in the training part.
    scale: np.ndarray = array("n_targets")

    def frames(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Frames (n_frames, n_targets) from signals (n_channels, n_samples, n_chunks)."""
        return [frames * self.scale for frames in _predict(self.network.module, powers)]

    def drives(self, powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
        """Predictions (n_targets, n_frames): no drive of regions comes before them."""
        return [frames.T for frames in self.frames(powers, grid)]

    def describe(self, layout: Layout) -> dict:
        """Give the fitted attributes that people read."""
        return publish_network(self.network, self.history)


class NeuroBOLTModel(BaseEstimator):
    """NeuroBOLT's network, for comparison: from raw EEG to all regions at once.

    The 16 seconds of EEG before a frame, at 200 Hz, go through two transformers, one over patches
    of a second of every channel and one over amplitude spectra at four scales of time; their sum
    gives the frame. No response is assumed: the lag is learnt. Written from the published
    description; `mne_samba.nn.neurobolt.NeuroBOLTNet` says which part is where.

    Parameters
    ----------
    depth : int
        Blocks of the transformer over patches.
    n_embed : int
        Features of a token: a multiple of 25, of ``n_heads`` and of ``n_spectrum_heads``.
    n_heads : int
        Its attention heads.
    spectrum_depth, n_spectrum_heads : int
        The same of the transformer over spectra.
    window : int
        Seconds of EEG before a frame that it sees, a multiple of 4.
    lowpass : float
        Frequency in Hz below which BOLD is learnt (Butterworth of order 5, both ways).
    weights : str | Path | None
        File of LaBraM's pretrained weights that the transformer over patches starts from: tensors
        of braindecode's ``Labram``, as safetensors. Channels are found in its table of electrodes
        by name, and those that it lacks are warned of. A warm start goes on from the fitted model
        instead. None: random start values.

    See Also
    --------
    PaperModel : The published network of SAMBA.
    mne_samba.SambaModel : The default.

    Notes
    -----
    With default parameters it has 7 906 985 learnt numbers for 26 channels and one region. The
    default ``trainer`` is the published one for training within a recording, where a window is one
    frame: ``Trainer(lr=3e-4, batch_size=16, max_epochs=20, patience=20)``, learning rates rising
    over the first quarter of the epochs and lower by .65 from layer to layer, weight decay .05. Its
    ``window`` and ``step`` do nothing here. On one processor a step of 16 frames takes 14 s with 26
    channels, a pass over half an hour of EEG a quarter of an hour: reduce ``depth``, ``n_embed``
    and ``spectrum_depth`` there.

    Unlike in the publication, BOLD is filtered and scaled inside the training part alone, what is
    predicted stays as it was measured, and the epoch is chosen on held-out frames of the training
    data, not on the test's. Start values are random without ``weights``; nothing is downloaded, and
    a file whose tensors do not all fit is refused.

    References
    ----------
    Li Y. et al. NeuroBOLT: resting-state EEG-to-fMRI synthesis with multi-dimensional feature
    mapping. NeurIPS 2024. Jiang W.-B. et al. Large brain model for learning generic
    representations with tremendous EEG data in BCI. ICLR 2024.

    Examples
    --------
    >>> from mne_samba import NeuroBOLTModel, SambaTranslator
    >>> small = NeuroBOLTModel(
    ...     depth=2, n_embed=100, spectrum_depth=1, n_spectrum_heads=4
    ... )
    >>> translator = SambaTranslator(t_r=2.0, model=small)
    """

    # Columns of NaN in y are refused, and signals have one scale.
    may_lack = chooses_scale = False
    # How it was published to be trained.
    published_trainer = staticmethod(
        partial(Trainer, lr=3e-4, batch_size=16, max_epochs=20, patience=20)
    )

    def __init__(
        self,
        *,
        depth: int = 12,
        n_embed: int = 200,
        n_heads: int = 10,
        spectrum_depth: int = 4,
        n_spectrum_heads: int = 8,
        window: int = 16,
        lowpass: float = 0.15,
        weights: str | os.PathLike[str] | None = None,
    ) -> None:
        self.depth = depth
        self.n_embed = n_embed
        self.n_heads = n_heads
        self.spectrum_depth = spectrum_depth
        self.n_spectrum_heads = n_spectrum_heads
        self.window = window
        self.lowpass = lowpass
        self.weights = weights

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        for name in ("depth", "n_embed", "n_heads", "spectrum_depth", "n_spectrum_heads", "window"):
            check_number(getattr(self, name), name, low=1, integer=True)
        check_number(self.lowpass, "lowpass", low=0, low_open=True)
        if any(self.n_embed % n for n in (PER_FILTER, self.n_heads, self.n_spectrum_heads)):
            raise ValueError(
                f"n_embed must be a multiple of {PER_FILTER}, of n_heads={self.n_heads} and of "
                f"n_spectrum_heads={self.n_spectrum_heads}, got {self.n_embed}."
            )
        if self.window % _LONGEST:
            raise ValueError(
                f"window must be a multiple of {_LONGEST} s, as long as the longest block of its "
                f"spectra, got {self.window}."
            )
        # A file is not opened here: reading a saved model checks its parameters, too.
        if not isinstance(self.weights, (str, os.PathLike, type(None))):
            raise TypeError(
                f"weights must be the path of a file or None, got {type(self.weights).__name__}: "
                "of a module, save its state_dict() (safetensors.torch.save_file)."
            )

    def features(self, rec: Recordings) -> ChunkVoltage:
        """Choose what is measured of recordings."""
        if rec.kind == "table" or rec.bands is not None:
            what = "a table" if rec.kind == "table" else "band power"
            raise ValueError(
                f"NeuroBOLTModel looks at EEG itself, but X holds {what}: give windows or "
                "recordings of signals, or use SambaModel or CoreModel."
            )
        if len(rec.ch_names) > N_PLACES:
            raise ValueError(
                f"NeuroBOLTModel has a table of {N_PLACES} electrodes, but X has "
                f"{len(rec.ch_names)} channels: pick some, reader=Reader(picks=...)."
            )
        self._pretrained()  # refuses a file before signals are read
        return ChunkVoltage.of(rec.t_r, self.window, PATCH)

    def scaler(self) -> VoltageScaler:
        """Give the scale of signals."""
        return VoltageScaler()

    def fit(self, data: Paired, trainer: Trainer, seed: int | None, start=None) -> FittedNeuroBOLT:
        """Train until all epochs are over, and keep the one that fits a held-out block best."""
        previous = start_of(start, FittedNeuroBOLT, data)
        part, held = training_parts(data, trainer)
        few, part, held = held is part, stitch(part), stitch(held)
        smooth = smoothed(part, self.lowpass)
        size = np.nanquantile(np.abs(np.concatenate(smooth.targets)), _QUANTILE, axis=0)
        smooth, judged = (
            some.with_bold(lambda values: [value / size for value in values])
            for some in (smooth, smoothed(held, self.lowpass))
        )
        spec = self._spec(data)
        network, history = train_published(
            NeuroBOLTNet, spec, self, data, trainer, seed, previous, n_frames=1,
            parts=(smooth, smooth if few else judged), begin=self._begin(data.ch_names),
            windows=partial(FrameWindows, dtype=trainer.torch_dtype),
            trained_by=_TRAINED_BY | {
                "warm_up": 0.25, "optimizer__param_groups": self._rates(spec, trainer.lr),
                "iterator_valid__batch_size": _BATCH,
            },
        )  # fmt: skip
        found = [frames * size for frames in _predict(network.module, held.powers)]
        known = [frames * size for frames in _predict(network.module, data.powers)]
        return FittedNeuroBOLT(
            scaler=data.scaler, network=network, held=held_out(None, held, found),
            matched=MatchedFilter.of(data, known), history=history, scale=size,
        )  # fmt: skip

    def _encoder(self) -> dict[str, int]:
        """Sizes of the transformer over patches."""
        names = ("depth", "n_embed", "n_heads", "window")
        return {name: int(getattr(self, name)) for name in names}

    def _pretrained(self) -> dict[str, torch.Tensor] | None:
        """Read the weights to start from, if any."""
        return None if self.weights is None else read_labram(self.weights, **self._encoder())

    def _begin(self, ch_names: list[str]):
        """Give what sets start values of a network, if they are not all random."""
        found = self._pretrained()
        if found is not None:
            return lambda net: start_from_labram(net.temporal, found, self.weights, ch_names)

    def _spec(self, data: Paired) -> dict:
        """Parameters of the network."""
        return {
            "n_channels": len(data.ch_names), "n_targets": len(data.target_names),
            "n_samples": data.powers[0].shape[1], "n_lags": data.grid.n_lags,
            "places": electrode_rows(data.ch_names),
            "spectrum_depth": int(self.spectrum_depth),
            "n_spectrum_heads": int(self.n_spectrum_heads), **self._encoder(),
        }  # fmt: skip

    def _rates(self, spec: dict, lr: float) -> list[tuple[str, dict]]:
        """Learning rate and weight decay of every parameter."""
        with torch.device("meta"):
            named = [*NeuroBOLTNet(**spec).named_parameters()]
        rates = []
        for name, parameter in named:
            # Layers from 0, the patches, to depth + 1; what comes beside or after them is last.
            layer, parts = self.depth + 1, name.split(".")
            if parts[0] == "temporal" and parts[1] != "norm":
                layer = int(parts[2]) + 1 if parts[1] == "blocks" else 0
            factor = _LAYER_DECAY ** (self.depth + 1 - layer)
            kept = parameter.ndim < 2 or "embedding" in name or parts[-1] == "cls"
            decay = 0.0 if kept else _WEIGHT_DECAY
            rates.append((name, {"lr": factor * lr, "weight_decay": decay}))
        return rates


def smoothed(data: Paired, lowpass: float) -> Paired:
    """BOLD below a frequency, its mean removed, segment by segment; what is NaN stays NaN."""
    targets = [low_passed(target, data.grid.t_r, lowpass) for target in data.targets]
    return replace(data, targets=targets, measured=None)


def _predict(module: NeuroBOLTNet, powers: list[np.ndarray]) -> list[np.ndarray]:
    """Frames (n_frames, n_targets) of segments (n_channels, n_samples, n_chunks)."""
    module, weight, found = module.eval(), like(module), []
    with torch.inference_mode():
        for power in powers:
            total, frames = power.shape[-1] - module.n_lags + 1, []
            for first in range(0, total, _BATCH):
                stop = min(first + _BATCH, total) + module.n_lags - 1
                batch = torch.as_tensor(power[..., first:stop]).to(weight)
                frames.append(module(batch[None])[0].cpu().numpy())
            found.append(np.concatenate(frames).astype(np.float64))
    return found
