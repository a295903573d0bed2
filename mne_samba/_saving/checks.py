"""What a model file must agree on with itself before anything is built from it."""

from __future__ import annotations

import numpy as np

from .._checks import check_number, check_option
from .._data.lowrate import LowRateGrid, check_bands
from ..nn.paper import level_sizes

# Numbers that may be missing without harm to any prediction.
_MAY_BE_NAN = ("positions", "core.elbo", "core.target_evidence", "held.")


def check_saved(translator, config: dict, arrays: dict[str, np.ndarray]) -> None:
    """Refuse descriptions and numbers that no fitted translator has.

    Parameters
    ----------
    translator : SambaTranslator
        Unfitted, with the parameters of the file.
    config : dict
        The description.
    arrays : dict of array
        The numbers.

    Raises
    ------
    ValueError, TypeError, KeyError
        If something is missing, impossible or of another size than the rest.
    """
    translator._check_params()
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name} holds {array.dtype}")
        if array.dtype.kind == "f" and not name.startswith(_MAY_BE_NAN):
            _require(np.isfinite(array).all(), f"{name} holds NaN or infinite numbers")
    _require(config.keys() & {"kind", "reverse"}, "it was never fitted")
    largest = max((size for array in arrays.values() for size in array.shape), default=0)
    corrected = translator.corrections != "never" and config.get("kind") != "features"
    if corrected or translator.variant == "paper":
        # Bounds what is built to what the file holds.
        _require(
            translator.n_hidden <= largest or translator.recurrent is None,
            f"n_hidden={translator.n_hidden} is larger than any of its arrays",
        )
    for given in (config, (config.get("reverse") or {}).get("reading", {})):
        check_option(given.get("wavelet", "shannon"), "wavelet", ("shannon", "morlet"))
        check_number(given.get("n_cycles", 1.0), "n_cycles", low=0, low_open=True)
    if "kind" in config:
        _check_forward(translator, config, arrays)


def _check_forward(translator, config, arrays) -> None:
    check_option(config["kind"], "kind", ("windows", "recordings", "features"))
    grid = LowRateGrid(**config["grid"])
    check_number(grid.t_r, "t_r of the grid", low=0, low_open=True)
    for value, name in ((grid.step, "step"), (grid.n_lags, "n_lags"), (config["n_frames"], "")):
        check_number(value, name or "n_frames", low=1, integer=True)
    check_number(config["window_start"], "window_start")
    if translator.variant == "paper":
        check_number(config["n_samples"], "n_samples", low=1, integer=True)
    elif config["kind"] != "features":
        check_bands(config["bands"], np.inf)
    for name in ("ch_names", "target_names"):
        names = config[name]
        text = isinstance(names, list) and all(isinstance(item, str) for item in names)
        _require(text and names, f"{name} is no list of names")
    n_channels, n_targets = len(config["ch_names"]), len(config["target_names"])
    n_bands, n_recordings = len(config["bands"]), len(config["scaler"]["keys"])
    shapes = {"y_mean_": (n_targets,), "y_scale_": (n_targets,), "output_scale": (n_targets,)}
    if translator.variant == "paper":
        scaled = (n_recordings + 1, n_channels, sum(level_sizes(config["n_samples"])))
        shapes |= {
            "output_mean": (n_targets,), "scaler.mean": scaled, "scaler.scale": scaled,
            "patterns_": (n_targets, n_channels, n_bands), "held.drift": (n_targets,),
        }  # fmt: skip
    else:
        core = config["core"]
        check_number(core["step"], "step of the core", low=1, integer=True)
        agree = core["step"] == grid.step and np.isclose(core["dt"], grid.dt)
        _require(agree, "core and grid disagree")
        scaled = (n_recordings + 1, n_channels, n_bands)
        by_target = (n_targets, n_channels, n_bands)
        shapes |= {
            "core.weights": (n_channels, n_bands), "core.spatial_map": (n_targets, n_channels),
            "core.hrf_params": (n_targets, 6), "core.kernel": (n_targets, grid.n_lags),
            "core.intercept": (n_targets,), "core.noise_variance": (n_targets,),
            "core.target_evidence": (n_targets,), "core.map_variance": (n_targets, n_channels),
            "held.residuals": (len(arrays["held.residuals"]), n_targets),
            "held.variance": (len(arrays["held.residuals"]), n_targets),
            "held.drift": (n_targets,), "patterns_": by_target, "scaler.mean": scaled,
            "scaler.scale": scaled, "graph.source_similarity": (n_channels, n_channels),
            "graph.target_similarity": (n_targets, n_targets),
        }  # fmt: skip
        if "core.extra" in arrays:
            shapes["core.extra"] = by_target
    for name, n in (("graph.source", n_channels), ("graph.target", n_targets)):
        for given in (name, f"{name}_attention"):
            if given in arrays:
                shapes[given] = (n, n)
    for name in ("matched.noise", "matched.total"):
        if name in arrays:
            shapes[name] = (n_targets, n_targets)
    if config["channel_types"] is not None:
        shapes["positions"] = (n_channels, 3)
    for name, shape in shapes.items():
        given = arrays[name].shape
        _require(given == shape, f"{name} has shape {given}, expected {shape}")


def _require(truth, what: str) -> None:
    if not truth:
        raise ValueError(what)
