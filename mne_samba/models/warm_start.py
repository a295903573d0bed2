"""What a warm start goes on from: a fitted model, refused where the data are not like its own."""

from dataclasses import replace

import numpy as np

from ..data.paired import Paired
from ..data.power import BandPower
from ..data.recordings import Layout, Recordings

# Fitted parts by what they are fitted from.
_MODELS = {
    "FittedSamba": "SambaModel or CoreModel",
    "FittedPaper": "PaperModel",
    "FittedNeuroBOLT": "NeuroBOLTModel",
    "FittedInverse": "InverseSambaModel or InverseCoreModel",
    "FittedInversePaper": "InversePaperModel",
}


def start_of(start, kind: type, data: Paired, power: str | None = None):
    """Give the fitted model that a warm start goes on from."""
    if start is None:
        return None
    fitted, inputs = start
    if not isinstance(fitted, kind):
        _refuse(
            f"it is of {_MODELS[type(fitted).__name__]}, now {_MODELS[kind.__name__]} is asked for",
            "Set the same kind of model",
        )
    layout: Layout = inputs.layout
    _check_names("channels", inputs.node_names, data.ch_names)
    _check_names("regions", layout.target_names, data.target_names)
    _check_bands(dict(inputs.features.bands), data.bands)
    own, grid = inputs.features.grid, data.grid
    if (layout.kind == "table") != (data.kind == "table"):
        _refuse(f"it was fitted to {layout.kind}, the data are a {data.kind}", "Give it the same")
    if not np.isclose(own.t_r, grid.t_r, rtol=1e-6):
        _refuse(
            f"it has t_r={own.t_r:g} s, the data have t_r={grid.t_r:g} s",
            "Bring them to the same t_r (mne_samba.io.harmonize)",
        )
    if own != grid:
        _refuse(
            f"its responses last {own.n_lags * own.dt:g} s in bins of {own.dt:g} s, now "
            f"{grid.n_lags * grid.dt:g} s in bins of {grid.dt:g} s are asked for",
            "Set the same hrf_length",
        )
    if power is not None and data.kind != "table":
        scale = "log" if fitted.scaler.log else "linear"
        if power not in ("auto", scale):
            _refuse(
                f"it was fitted to {scale} band power, now power={power!r} is asked for",
                f'Set power="auto" or {scale!r}',
            )
    return fitted


def filter_of(start, rec: Recordings, features, unmix):
    """Put the spatial filter that a warm start goes on from into features of new recordings."""
    _, inputs = start
    spatial = inputs.spatial
    if not isinstance(features, BandPower) or spatial is None:
        return features
    _check_names("channels", inputs.layout.ch_names, rec.ch_names)
    if unmix not in ("auto", spatial.method):
        _refuse(
            f"its channels went through a filter (unmix={spatial.method!r}), now unmix={unmix!r} "
            "is asked for",
            f'Set unmix="auto" or {spatial.method!r}',
        )
    return replace(features, spatial=spatial)


def _check_names(what: str, own: list[str], given: list[str]) -> None:
    """Refuse other names, or the same in another order."""
    if own == given:
        return
    missing = [name for name in own if name not in given]
    new = [name for name in given if name not in own]
    if missing or new or len(own) != len(given):
        found = [f"{len(own)} {what} against {len(given)}"] if len(own) != len(given) else []
        found += [f"the data lack {missing[:8]}"] if missing else []
        found += [f"{new[:8]} are new"] if new else []
        _refuse(f"{what} differ: {', '.join(found)}", f"Bring the data to the same {what}")
    place = next(i for i, (a, b) in enumerate(zip(own, given, strict=True)) if a != b)
    _refuse(
        f"{what} come in another order: number {place + 1} is {given[place]!r} and was "
        f"{own[place]!r}",
        f"Bring the {what} of the data into the order {own[:8]}",
    )


def _check_bands(own: dict, given: dict | None) -> None:
    """Refuse bands of other names, edges or order."""
    if given is None:
        return
    if list(own) != list(given):
        _refuse(f"it has the bands {list(own)}, the data {list(given)}", "Set the same bands")
    for name, edges in own.items():
        if not np.allclose(edges, given[name], rtol=1e-6, equal_nan=True):
            low, high = given[name]
            _refuse(
                f"its band {name!r} is {edges[0]:g} to {edges[1]:g} Hz, now {low:g} to {high:g} "
                "Hz is asked for",
                "Set the same bands",
            )


def _refuse(difference: str, do: str) -> None:
    raise ValueError(
        f"warm_start=True adapts the fitted model to data like its own, but {difference}. {do}, "
        "or set warm_start=False."
    )
