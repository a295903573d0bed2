"""Options of an evaluation, checked before any fit."""

import os
from collections.abc import Callable, Iterable, Mapping

import mne
import numpy as np
import pandas as pd
from mne.utils import logger
from sklearn.base import clone

from .._checks import check_number, is_generator
from ..baselines import BandPowerRidge
from ..metrics import METRICS
from ._parts import inverse_of, known_params, reader_of, with_t_r
from ._plain import PLAIN

RIDGES = {"ridge_canonical": "canonical", "ridge_fir": "fir"}
SHUFFLED = "shuffled_pairing"
NULLS = ("circular_shift", SHUFFLED)
BASELINES = (*RIDGES, "mean", "time")


def _listed(values, name: str) -> list:
    if isinstance(values, Iterable):
        return list(values)
    raise TypeError(f"{name} must be a sequence, empty for none; got {values!r:.60}.")


def check_estimator(estimator, name: str) -> None:
    """Refuse what cannot be fitted: names, classes, functions."""
    if isinstance(estimator, type) or not all(
        hasattr(estimator, method) for method in ("fit", "predict", "get_params")
    ):
        raise TypeError(
            f"{name} must be an estimator with fit and predict, such as "
            f"SambaTranslator(t_r=2.0), got {estimator!r:.60}."
        )


def check_inputs(X, y, groups) -> None:
    """Refuse data that cannot be split into folds."""
    for name, value in (("X", X), ("y", y)):
        if is_generator(value):
            raise TypeError(f"{name} is a generator, which can be read only once: pass a list.")
        if not hasattr(value, "__len__") or isinstance(value, str | bytes | Mapping):
            if isinstance(value, mne.io.BaseRaw):
                continue  # refused later, with what to do instead
            raise TypeError(f"{name} must hold samples, got {value!r:.60}.")
    if groups is None:
        return
    if isinstance(groups, str) or np.ndim(groups) != 1:
        raise ValueError(f"groups must be a list with one value per sample, got {groups!r:.60}.")
    if pd.isna(pd.Series(list(groups), dtype=object)).any():
        raise ValueError("groups must name the person of every sample, got None or NaN.")


def check_numbers(n_jobs, min_shift, context, random_state, cache) -> None:
    """Refuse numbers and folders that cannot be."""
    if n_jobs is not None:
        check_number(n_jobs, "n_jobs", integer=True)
        if n_jobs == 0:
            raise ValueError("n_jobs must be 1 or more, or -1 for all processors, got 0.")
    check_number(min_shift, "min_shift", low=0)
    if context is not None:
        check_number(context, "context", low=0)
    if random_state is not None:
        check_number(random_state, "random_state", low=0, integer=True)
    if cache is not None and not isinstance(cache, str | os.PathLike):
        raise TypeError(f"cache must be a folder, got {cache!r} of type {type(cache).__name__}.")
    if cache is not None and os.path.exists(cache) and not os.path.isdir(cache):
        raise ValueError(f"cache must be a folder, but {cache} is a file.")


def check_metrics(metrics) -> dict[str, Callable]:
    """Metrics by name, or a refusal of those that do not exist."""
    if isinstance(metrics, Mapping):
        if not metrics or not all(callable(metric) for metric in metrics.values()):
            raise TypeError(
                "metrics must map names to functions of (y, pred) that score every target, got "
                f"{metrics!r}."
            )
        return dict(metrics)
    metrics = [metrics] if isinstance(metrics, str) else _listed(metrics, "metrics")
    unknown = [m for m in metrics if m not in METRICS]
    if unknown or not metrics:
        raise ValueError(f"metrics must be among {list(METRICS)}, got {metrics}.")
    return {m: METRICS[m] for m in metrics}


def check_nulls(nulls, n_shifts, method) -> None:
    """Refuse nulls that do not exist; warn of shifts of series with drift."""
    several = not isinstance(nulls, str)
    unknown = not several or [n for n in _listed(nulls, "nulls") if n not in NULLS]
    if unknown:
        raise ValueError(f"nulls must be a sequence of names among {list(NULLS)}, got {nulls!r}.")
    check_number(n_shifts, "n_shifts", low=1, integer=True)
    if method is None and "circular_shift" in nulls:
        logger.warning(
            "Circular shifts without removing drift give too many false positives "
            "(detrend=None): use them only on data that were detrended before."
        )


def check_baselines(baselines, translator, t_r=None) -> tuple[dict, list]:
    """Baselines that are fitted as estimators, and names of those that never look at signals."""
    estimators, plain = {}, []
    if baselines is BASELINES and inverse_of(translator) is not None:
        baselines = [name for name in BASELINES if name not in RIDGES]
    single = isinstance(baselines, str | Mapping)
    for item in [baselines] if single else _listed(baselines, "baselines"):
        if isinstance(item, Mapping):
            for name, estimator in item.items():
                check_estimator(estimator, f"Baseline {name!r}")
            estimators.update({name: with_t_r(one, t_r) for name, one in item.items()})
        elif not isinstance(item, str):
            raise TypeError(
                f"baselines must hold names or mappings of names to estimators, got {item!r:.60}."
            )
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


def _ridge(name: str, translator):
    """Band-power ridge that reads and unmixes the data, and measures bands, as the translator."""
    if inverse_of(translator) is not None:
        raise ValueError(
            f"Baseline {name!r} predicts BOLD from band power: there is none on the way back. Use "
            "'mean', 'time', or a mapping with an estimator from BOLD to band power."
        )
    params = known_params(translator)
    if "t_r" not in params:
        raise ValueError(
            f"Baseline {name!r} reads t_r from the translator, which has none "
            f"({type(translator).__name__}). Use baselines=('mean', 'time') or a mapping with "
            "mne_samba.baselines.BandPowerRidge(t_r=...)."
        )
    shared = {k: params[k] for k in ("t_r", "bands", "unmix", "hrf_length") if k in params}
    return BandPowerRidge(hrf=RIDGES[name], reader=clone(reader_of(translator)), **shared)


def name_of(translator, taken: list) -> str:
    """Name of the translator among the models."""
    name = type(translator).__name__
    return name if name not in taken else f"{name} (translator)"
