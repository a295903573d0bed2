"""Options of an evaluation, checked before any fit."""

from collections.abc import Callable, Mapping
from inspect import signature

import numpy as np
from mne.utils import logger

from ..metrics import METRICS
from ._plain import PLAIN

RIDGES = {"ridge_canonical": "canonical", "ridge_fir": "fir"}
SHUFFLED = "shuffled_pairing"
NULLS = ("circular_shift", SHUFFLED)


def check_metrics(metrics) -> dict[str, Callable]:
    """Metrics by name, or a refusal of those that do not exist."""
    if isinstance(metrics, Mapping):
        return dict(metrics)
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    unknown = [m for m in metrics if m not in METRICS]
    if unknown or not metrics:
        raise ValueError(f"metrics must be among {list(METRICS)}, got {metrics}.")
    return {m: METRICS[m] for m in metrics}


def check_nulls(nulls, n_shifts, method) -> None:
    """Refuse nulls that do not exist; warn of shifts of series with drift."""
    unknown = [null for null in nulls if null not in NULLS] if not isinstance(nulls, str) else [1]
    if unknown:
        raise ValueError(f"nulls must be a sequence of names among {list(NULLS)}, got {nulls!r}.")
    if isinstance(n_shifts, bool) or not isinstance(n_shifts, int | np.integer) or n_shifts < 1:
        raise ValueError(f"n_shifts must be a positive integer, got {n_shifts!r}.")
    if method is None and "circular_shift" in nulls:
        logger.warning(
            "Circular shifts without removing drift give too many false positives "
            "(detrend=None): use them only on data that were detrended before."
        )


def check_baselines(baselines, translator) -> tuple[dict, list]:
    """Baselines that are fitted as estimators, and names of those that never look at signals."""
    estimators, plain = {}, []
    items = [baselines] if isinstance(baselines, str | Mapping) else list(baselines)
    for item in items:
        if isinstance(item, Mapping):
            estimators.update(item)
        elif item in RIDGES:
            estimators[item] = _ridge(item, translator)
        elif item in PLAIN:
            plain.append(item)
        else:
            raise ValueError(
                f"Unknown baseline {item!r}. Use {[*RIDGES, *PLAIN]}, or a mapping of names to "
                "estimators."
            )
    return estimators, plain


def known_params(translator) -> dict:
    """Parameters of a translator; those of its steps where it is a pipeline or a search."""
    params = translator.get_params(deep=True) if hasattr(translator, "get_params") else {}
    inner = {key.rsplit("__", 1)[-1]: value for key, value in params.items() if "__" in key}
    return {**inner, **{key: value for key, value in params.items() if "__" not in key}}


def time_params(translator, t_r, context) -> tuple:
    """Seconds between frames and of history: as given, else what the translator says."""
    params = known_params(translator)
    t_r = params.get("t_r") if t_r is None else t_r
    return t_r, params.get("context") if context is None else context


def _ridge(name: str, translator):
    """Band-power ridge that reads the data as the translator does."""
    from ..baselines import BandPowerRidge

    params = known_params(translator)
    if "t_r" not in params:
        raise ValueError(
            f"Baseline {name!r} reads t_r from the translator, which has none "
            f"({type(translator).__name__}). Use baselines=('mean', 'time') or a mapping with "
            "mne_samba.baselines.BandPowerRidge(t_r=...)."
        )
    # The same frames, channels and windows; what the models do with them is their own.
    data = (
        "t_r",
        "sfreq",
        "tmin",
        "window",
        "step",
        "context",
        "first_volume",
        "n_dummy",
        "slice_time_ref",
        "volume_event",
        "picks",
        "channels",
        "detrend",
        "hrf_length",
        "bands",
        "random_state",
        "verbose",
    )
    known = signature(BandPowerRidge).parameters
    shared = {k: params[k] for k in data if k in params and k in known}
    return BandPowerRidge(hrf=RIDGES[name], **shared)


def name_of(translator, taken: list) -> str:
    """Name of the translator among the models."""
    name = type(translator).__name__
    return name if name not in taken else f"{name} (translator)"
