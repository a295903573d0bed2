"""Types that several public signatures share."""

import os
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np

Verbose: TypeAlias = bool | str | int | None
Seed: TypeAlias = int | np.random.RandomState | None
Path: TypeAlias = str | os.PathLike[str]
Picks: TypeAlias = str | Sequence[str] | Sequence[int] | np.ndarray | None

HrfFamily: TypeAlias = Literal["auto", "double_gamma", "fir", "canonical"]
HrfBounds: TypeAlias = Literal["human", "fnirs", "fast"]
Power: TypeAlias = Literal["auto", "linear", "log"]
Loss: TypeAlias = Literal["auto", "squared", "robust"]
MapPrior: TypeAlias = Literal["auto", "sparse", "ard", "gaussian"]
TargetBands: TypeAlias = Literal["auto"] | bool
Unmix: TypeAlias = Literal["auto", "joint", "underdetermined", "whiten"] | None
Detrend: TypeAlias = Literal["cosine", "linear"] | int | None
Corrections: TypeAlias = Literal["auto", "always"]
Graph: TypeAlias = (
    Literal[
        "knn",
        "correlation",
        "cosine",
        "partial_correlation",
        "mutual_information",
        "distance",
        "dense",
        "learnt",
    ]
    | np.ndarray
    | Callable[[np.ndarray], np.ndarray]
    | None
)
