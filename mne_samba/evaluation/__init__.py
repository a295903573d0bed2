"""Honest evaluation: leak-free splits, baselines and nulls in the same run, people, uncertainty."""

from ._evaluate import evaluate
from ._leakage import LeakageWarning
from ._result import EvaluationResult
from .nulls import (
    circular_shift_null,
    draw_shifts,
    fdr,
    max_statistic_p,
    mean_interval,
    p_value,
    sign_flip_p,
)

__all__ = [
    "EvaluationResult",
    "LeakageWarning",
    "circular_shift_null",
    "draw_shifts",
    "evaluate",
    "fdr",
    "max_statistic_p",
    "mean_interval",
    "p_value",
    "sign_flip_p",
]
