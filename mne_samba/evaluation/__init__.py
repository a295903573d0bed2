"""Honest evaluation: leak-free splits, baselines and nulls in the same run, people, uncertainty."""

from ._evaluate import evaluate
from ._leakage import LeakageWarning
from ._result import EvaluationResult
from .learning_curve import LearningCurve, learning_curve_minutes
from .nulls import (
    circular_shift_null,
    cluster_size,
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
    "LearningCurve",
    "circular_shift_null",
    "cluster_size",
    "draw_shifts",
    "evaluate",
    "fdr",
    "learning_curve_minutes",
    "max_statistic_p",
    "mean_interval",
    "p_value",
    "sign_flip_p",
]
