"""Figures of predictions, scores, responses, bands and graphs.

Every function takes a fitted estimator, a result of :func:`mne_samba.evaluation.evaluate` or plain
arrays, draws on given ``axes`` or on a new figure of a page's width, and returns the figure.
"""

from ._bands import plot_attribution, plot_band_attention, plot_components, plot_patterns
from ._fnirs import plot_channel_pairs
from ._graph import plot_graph
from ._group import plot_group_map, plot_group_people
from ._hrf import plot_hrf, plot_hrf_map
from ._scores import (
    plot_inflation,
    plot_learning_curve,
    plot_null,
    plot_retrieval,
    plot_scores,
)
from ._time import plot_frame_weights, plot_history, plot_prediction

__all__ = [
    "plot_attribution",
    "plot_band_attention",
    "plot_channel_pairs",
    "plot_components",
    "plot_frame_weights",
    "plot_graph",
    "plot_group_map",
    "plot_group_people",
    "plot_history",
    "plot_hrf",
    "plot_hrf_map",
    "plot_inflation",
    "plot_learning_curve",
    "plot_null",
    "plot_patterns",
    "plot_prediction",
    "plot_retrieval",
    "plot_scores",
]
