"""A fitted translator as one file, and back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import mne
import numpy as np
import torch
from mne.utils import warn

from .._data.lowrate import LowRateGrid, PowerScaler
from .._fitting.graphs import Graphs
from .._fitting.network import NetworkFitter, torch_device
from .._fitting.uncertainty import HeldOut
from .._paper.variant import ConstantSpread, LevelScaler, PaperFitter
from .._version import __version__
from ..io import read_model, write_model
from ..nn.linear import Core
from ..nn.paper import level_sizes
from .checks import check_saved
from .reverse import pack_reverse, unpack_reverse

_CORE_ARRAYS = (
    "weights", "spatial_map", "hrf_params", "kernel", "intercept", "noise_variance", "elbo",
    "target_evidence", "map_variance",
)  # fmt: skip
_ARRAYS = ("y_mean_", "y_scale_", "patterns_")
_GRAPHS = (
    "source", "target", "source_similarity", "target_similarity", "source_attention",
    "target_attention",
)  # fmt: skip


# Parameters without which a saved network cannot be put together again.
_BUILDING = (
    "direction", "variant", "output", "hrf", "hrf_length", "hrf_bounds", "recurrent", "graph",
    "n_hidden", "band_attention", "target_bands", "corrections", "power", "bands", "dtype",
)  # fmt: skip


def _plain(value, name: str):
    """Turn a parameter into what JSON holds, or say that it cannot be saved."""
    if isinstance(value, np.ndarray):
        return {"__array__": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.random.RandomState):
        return None
    if isinstance(value, (list, tuple)):
        return [_plain(item, name) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, name) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(
        f"Parameter {name}={value!r} cannot be saved: only numbers, text and arrays can. Set it to "
        'one of them first (for a graph, the array; for a device, "auto").'
    )


def _unplain(value):
    if isinstance(value, dict):
        if set(value) == {"__array__"}:
            return np.asarray(value["__array__"])
        return {key: _unplain(item) for key, item in value.items()}
    return [_unplain(item) for item in value] if isinstance(value, list) else value


def save_translator(translator, path, overwrite: bool) -> None:
    """Write a fitted translator to one file."""
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; use overwrite=True to replace it.")
    config = {
        "mne_samba": __version__,
        "class": type(translator).__name__,
        "params": {
            # Folders belong to a machine, not to a model.
            name: None if name in ("checkpoint_dir", "memory") else _plain(value, name)
            for name, value in _params(translator).items()
        },
        "channel_types": _channel_types(translator.info_),
        "ch_names": [str(name) for name in translator.ch_names_in_],
    }
    if getattr(translator, "provenance_", None):
        config["provenance"] = _plain(translator.provenance_, "provenance_")
    arrays: dict[str, np.ndarray] = {}
    if hasattr(translator, "_network"):
        _pack_forward(translator, config, arrays)
    pack_reverse(translator, config, arrays)
    if translator.info_ is not None:
        arrays["positions"] = np.array([ch["loc"][:3] for ch in translator.info_["chs"]])
    write_model(path, config, arrays)


def _params(translator) -> dict:
    """Parameters as they are now, but for those that say what was built, as they were in fit."""
    params = translator.get_params(deep=False)
    built = getattr(translator, "_built_with", params)
    return params | {name: built[name] for name in _BUILDING if name in built}


def _pack_forward(translator, config: dict, arrays: dict) -> None:
    """Add what electrophysiology to BOLD needs."""
    core = translator.core_
    config |= {
        "kind": translator.kind_,
        "one_target": translator._one_target,
        "target_names": [str(name) for name in translator.target_names_in_],
        "bands": {name: list(map(float, edges)) for name, edges in translator.bands_.items()},
        # A table has no wavelets.
        "wavelet": getattr(translator, "wavelet_", translator.wavelet),
        "n_cycles": float(getattr(translator, "n_cycles_", translator.n_cycles)),
        "grid": dataclasses.asdict(translator.grid_),
        "n_frames": int(translator.n_frames_),
        "window_start": float(getattr(translator, "window_start_", 0.0)),
        "corrections_kept": bool(translator.corrections_kept_),
        "history": translator.history_,
        "core": None if core is None else {
            "ar": float(core.ar), "map_prior": core.map_prior, "hrf": core.hrf,
            "dt": float(core.dt), "step": int(core.step),
            "evidence": {name: float(value) for name, value in core.evidence.items()},
        },
        "n_samples": getattr(translator, "n_samples_", None),
        "scaler": {
            "log": translator.scaler_.log,
            "keys": [list(map(str, key)) for key in translator.scaler_.stats],
        },
        "n_features_in": getattr(translator, "n_features_in_", None),
        "named_features": hasattr(translator, "feature_names_in_"),
    }  # fmt: skip
    network = translator._network
    if core is None:
        arrays["output_mean"] = network.output_mean
    else:
        arrays |= {f"core.{name}": np.asarray(getattr(core, name)) for name in _CORE_ARRAYS}
    if core is not None and core.extra is not None:
        arrays["core.extra"] = core.extra
    arrays |= {name: np.asarray(getattr(translator, name)) for name in _ARRAYS}
    arrays["output_scale"] = network.output_scale
    arrays |= {f"held.{name}": array for name, array in vars(network.held).items()}
    for name in _GRAPHS:
        if getattr(network.graphs, name) is not None:
            arrays[f"graph.{name}"] = getattr(network.graphs, name)
    stats = [*translator.scaler_.stats.values(), translator.scaler_.pooled]
    arrays["scaler.mean"] = np.stack([mean for mean, _ in stats])
    arrays["scaler.scale"] = np.stack([scale for _, scale in stats])
    state = translator.net_.module_.state_dict()
    arrays |= {f"net.{name}": tensor.cpu().numpy() for name, tensor in state.items()}


def _channel_types(info):
    return None if info is None else [str(kind) for kind in info.get_channel_types()]


def read_samba(path):
    """Read a translator that `SambaTranslator.save` wrote. No code of the file is run.

    Parameters
    ----------
    path : str | Path
        The file.

    Returns
    -------
    translator : SambaTranslator
        Fitted.

    Raises
    ------
    ValueError
        If the file is damaged, of a newer format, or no translator.
    FileNotFoundError
        If there is no such file.
    """
    config, arrays = read_model(path)
    try:
        return _restore(config, arrays)
    except Exception as error:  # whatever a damaged or hostile description leads to
        raise ValueError(f"{path} is not a complete translator: {error!r}.") from None


def _restore(config, arrays):
    from ..translator import SambaTranslator

    if config["class"] != SambaTranslator.__name__:
        raise ValueError(f"it holds a {config['class']!r}")
    translator = SambaTranslator(**{k: _unplain(v) for k, v in config["params"].items()})
    # What a file names is not opened: joblib's caches hold pickles, which run code.
    translator.set_params(checkpoint_dir=None, memory=None)
    _use_device(translator)
    translator._built_with = translator.get_params(deep=False)
    check_saved(translator, config, arrays)
    translator.info_ = _restore_info(config, arrays)
    if "kind" in config:
        _restore_forward(translator, config, arrays)
    unpack_reverse(translator, config, arrays)
    if "provenance" in config:
        translator.provenance_ = config["provenance"]
    return translator


def _use_device(translator) -> None:
    """Let a model that was saved on a GPU be read where there is none."""
    if not str(translator.device).startswith(("cuda", "mps", "xpu")):
        return
    try:
        torch_device(translator.device)
    except ValueError:
        warn(f"device={translator.device!r} does not exist here: the model is read onto the CPU.")
        translator.device = "cpu"


def _restore_forward(translator, config, arrays) -> None:
    translator.kind_, translator._one_target = config["kind"], config["one_target"]
    translator.ch_names_in_ = config["ch_names"]
    translator.target_names_in_ = config["target_names"]
    translator.n_targets_ = len(config["target_names"])
    translator.bands_ = {name: tuple(edges) for name, edges in config["bands"].items()}
    # Earlier files know them as parameters alone.
    translator.wavelet_ = config.get("wavelet", translator.wavelet)
    translator.n_cycles_ = config.get("n_cycles", float(translator.n_cycles))
    translator.grid_ = LowRateGrid(**config["grid"])
    translator.n_frames_ = config["n_frames"]
    translator.window_start_ = config["window_start"]
    for name in _ARRAYS:
        setattr(translator, name, arrays[name])
    paper = translator.variant == "paper"
    if paper:
        translator.n_samples_ = config["n_samples"]
        scaler = LevelScaler(level_sizes(translator.n_samples_))
    else:
        scaler = PowerScaler(config["scaler"]["log"])
    pairs = list(zip(arrays["scaler.mean"], arrays["scaler.scale"], strict=True))
    keys = [tuple(key) for key in config["scaler"]["keys"]]
    scaler.stats = dict(zip(keys, pairs[:-1], strict=True))
    scaler.pooled = pairs[-1]
    translator.scaler_ = scaler
    if config["n_features_in"] is not None:
        translator.n_features_in_ = config["n_features_in"]
    if config.get("named_features"):
        translator.feature_names_in_ = np.asarray(config["ch_names"], dtype=object)
    graphs = Graphs(**{name: arrays.get(f"graph.{name}") for name in _GRAPHS})
    held = [arrays[f"held.{name}"] for name in ("residuals", "variance", "drift")]
    if paper:
        network = PaperFitter(translator).wrap(graphs, translator.grid_)
        network.output_mean, network.output_scale = arrays["output_mean"], arrays["output_scale"]
        network.history, network.held = config["history"], ConstantSpread(*held)
    else:
        core = Core(
            **{name: arrays[f"core.{name}"] for name in _CORE_ARRAYS},
            **config["core"],
            extra=arrays.get("core.extra"),
        )
        network = NetworkFitter(translator).wrap(
            core, graphs, arrays["output_scale"], config["corrections_kept"], config["history"]
        )
        network.held = HeldOut(*held)
    state = {name[4:]: array for name, array in arrays.items() if name.startswith("net.")}
    network.net.module_.load_state_dict({k: torch.as_tensor(v) for k, v in state.items()})
    translator._network = network
    translator._publish()


def _restore_info(config, arrays):
    """Channel names, types and positions: what plots need. Recordings carry their own rate."""
    if config["channel_types"] is None:
        return None
    info = mne.create_info(config["ch_names"], 1.0, config["channel_types"], verbose="ERROR")
    for ch, position in zip(info["chs"], arrays["positions"], strict=True):
        ch["loc"][:3] = position
    return info
