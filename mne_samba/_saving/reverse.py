"""The way back, the latent space and the matched filter as parts of a translator's file."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from .._data.lowrate import LowRateGrid, PowerScaler
from .._paper.reverse import PaperReverseFitter
from .._reverse.data import Reading
from .._reverse.fitter import ReverseFitter, ReverseModel
from .._reverse.retrieval import MatchedFilter
from .._reverse.signal import SignalModel
from ..nn.contrastive import LatentSpace
from ..nn.linear import Core
from ..nn.reverse import SignalHead


def pack_reverse(translator, config: dict, arrays: dict) -> None:
    """Add what only translators that go back, or match windows, have."""
    if hasattr(translator, "_matched"):
        arrays |= {f"matched.{name}": value for name, value in vars(translator._matched).items()}
    if not hasattr(translator, "_reverse"):
        return
    model: ReverseModel = translator._reverse
    reading, core = model.reading, model.core
    config["reverse"] = {
        "reading": {
            "kind": reading.kind, "grid": dataclasses.asdict(reading.grid),
            "ch_names": [str(name) for name in reading.ch_names],
            "target_names": [str(name) for name in reading.target_names],
            "bands": {name: list(map(float, edges)) for name, edges in reading.bands.items()},
            "n_frames": int(reading.n_frames), "window_start": float(reading.window_start),
            "sfreq": float(reading.sfreq), "wavelet": reading.wavelet,
            "n_cycles": float(reading.n_cycles), "detrend": reading.detrend,
        },
        "keys": [list(map(str, key)) for key in reading.scaler.stats],
        "trust": None if core is None else float(model.trust), "kept": bool(model.corrections_kept),
        "history": model.history, "alignment_history": translator.alignment_history_,
        "core": None if core is None else _core_numbers(core),
        "signal": None,
    }  # fmt: skip
    for name in ("bold_mean", "bold_scale"):
        arrays[f"reverse.{name}"] = np.asarray(getattr(reading, name))
    stats = [*reading.scaler.stats.values(), reading.scaler.pooled]
    arrays["reverse.mean"] = np.stack([mean for mean, _ in stats])
    arrays["reverse.scale"] = np.stack([scale for _, scale in stats])
    for name in ("bold_acf", "bold_covariance", "projection"):
        arrays[f"reverse.{name}"] = getattr(model, name)
    for name, graph in zip(("targets", "down"), model.graphs, strict=True):
        if graph is not None:
            arrays[f"reverse.graph.{name}"] = graph
    if core is None:
        arrays["reverse.output_mean"] = model.output_mean
        arrays["reverse.output_scale"] = model.output_scale
    for field in () if core is None else dataclasses.fields(core):
        value = getattr(core, field.name)
        if isinstance(value, np.ndarray):
            arrays[f"reverse.core.{field.name}"] = value
    modules = {"net": model.net.module_, "space": translator._space}
    if hasattr(translator, "_signal"):
        config["reverse"]["signal"] = float(translator._signal.sfreq)
        arrays["reverse.signal_scale"] = translator._signal.scale
        modules["signal"] = translator._signal.head
    for name, module in modules.items():
        for key, tensor in module.state_dict().items():
            arrays[f"reverse.{name}.{key}"] = tensor.cpu().numpy()


def _core_numbers(core: Core) -> dict:
    return {
        "ar": float(core.ar), "map_prior": core.map_prior, "hrf": core.hrf, "dt": float(core.dt),
        "step": int(core.step),
        "evidence": {name: float(value) for name, value in core.evidence.items()},
    }  # fmt: skip


def unpack_reverse(translator, config: dict, arrays: dict) -> None:
    """Restore what `pack_reverse` wrote."""
    matched = _below(arrays, "matched.")
    if matched:
        translator._matched = MatchedFilter(**matched)
    if "reverse" not in config:
        return
    saved, own = config["reverse"], _below(arrays, "reverse.")
    # Earlier files know these as parameters alone.
    own_options = {name: getattr(translator, name) for name in ("wavelet", "n_cycles", "detrend")}
    given = own_options | saved["reading"]
    given["grid"] = LowRateGrid(**given["grid"])
    given["bands"] = {name: tuple(edges) for name, edges in given["bands"].items()}
    scaler = PowerScaler(log=True)
    pairs = list(zip(own["mean"], own["scale"], strict=True))
    scaler.stats = dict(zip([tuple(key) for key in saved["keys"]], pairs[:-1], strict=True))
    scaler.pooled = pairs[-1]
    reading = Reading(
        scaler=scaler, bold_mean=own["bold_mean"], bold_scale=own["bold_scale"],
        info=translator.info_, **given,
    )  # fmt: skip
    graphs = own.get("graph.targets"), own.get("graph.down")
    # Files of the first kind were fitted to whole recordings: no region had to be expected.
    bold = own["bold_acf"], own.get("bold_covariance", np.eye(len(reading.target_names)))
    if saved["core"] is None:
        model = PaperReverseFitter(translator, reading).wrap(bold, graphs, saved["history"])
        model.output_mean, model.output_scale = own["output_mean"], own["output_scale"]
    else:
        core = Core(**_below(own, "core."), **saved["core"])
        model = ReverseFitter(translator, reading).wrap(
            core, bold, saved["trust"], saved["kept"], saved["history"], graphs
        )
    model.projection = own["projection"]
    _load(model.net.module_, _below(own, "net."))
    translator._reverse = model
    translator._space = LatentSpace(own["projection"])
    translator.alignment_history_ = saved["alignment_history"]
    _load(translator._space, _below(own, "space."))
    if saved["signal"] is not None:
        head = SignalHead(len(reading.ch_names), len(reading.bands))
        _load(head, _below(own, "signal."))
        translator._signal = SignalModel(head, own["signal_scale"], saved["signal"])
    if translator.direction == "hemo_to_ele":
        translator._publish_reverse()


def _below(arrays: dict, prefix: str) -> dict:
    return {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}


def _load(module: torch.nn.Module, state: dict) -> None:
    module.load_state_dict({name: torch.as_tensor(array) for name, array in state.items()})
