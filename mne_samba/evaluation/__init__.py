"""Honest evaluation: leak-free splits, baselines and nulls in the same run, people, uncertainty."""

from ._evaluate import evaluate
from ._leakage import LeakageWarning
from ._result import EvaluationResult
from .adjacency import parcel_adjacency
from .attribution import (
    haufe_patterns,
    randomised_copy,
    shapley_values,
    smooth_grad,
)
from .bench import BenchResult, bench
from .explain import attribute
from .group import GroupTest, group_test
from .learning_curve import LearningCurve, learning_curve_minutes
from .modalities import modality_contributions
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
from .similarity import cka, noise_ceiling, rsa, similarity_null
from .uncertainty import (
    ConformalRegressor,
    conformal_quantile,
    interval_coverage,
    out_of_block_residuals,
    residual_std,
)
from .unique import UniqueVariance, unique_variance

__all__ = [
    "BenchResult",
    "ConformalRegressor",
    "EvaluationResult",
    "GroupTest",
    "LeakageWarning",
    "LearningCurve",
    "UniqueVariance",
    "attribute",
    "bench",
    "circular_shift_null",
    "cka",
    "cluster_size",
    "conformal_quantile",
    "draw_shifts",
    "evaluate",
    "fdr",
    "group_test",
    "haufe_patterns",
    "interval_coverage",
    "learning_curve_minutes",
    "max_statistic_p",
    "mean_interval",
    "modality_contributions",
    "noise_ceiling",
    "out_of_block_residuals",
    "p_value",
    "parcel_adjacency",
    "randomised_copy",
    "residual_std",
    "rsa",
    "shapley_values",
    "sign_flip_p",
    "similarity_null",
    "smooth_grad",
    "unique_variance",
]
