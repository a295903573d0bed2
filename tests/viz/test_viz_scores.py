import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from numpy.testing import assert_allclose

from mne_samba.evaluation import mean_interval
from mne_samba.evaluation._verdict import p_words
from mne_samba.evaluation.learning_curve import LearningCurve
from mne_samba.viz import plot_learning_curve, plot_null, plot_retrieval, plot_scores


def _means(panel, n):
    """Bars at the mean of each model are the first lines."""
    return [line.get_xdata()[0] for line in panel.lines[:n]]


def test_scores_of_a_result(result):
    (panel,) = plot_scores(result, show=False).axes
    labels = [tick.get_text() for tick in panel.get_yticklabels()]
    assert labels == ["SambaTranslator", "mean of training frames"]
    assert_allclose(_means(panel, 2), [0.275, 0.0], atol=1e-12)
    assert_allclose(panel.collections[0].get_offsets()[:, 0], [0.6, 0.4, 0.2, -0.1])
    assert panel.get_xlabel().startswith("Spearman correlation")
    low, high = np.percentile(result.null_["SambaTranslator"], [5, 95])
    band, of_mean = (patch.get_bbox() for patch in panel.patches)
    assert_allclose([band.x0, band.x1], [low, high])
    # Bars are means, which scatter less than single regions.
    means = result.null_["SambaTranslator"].mean(axis=1)
    assert_allclose([of_mean.x0, of_mean.x1], np.percentile(means, [5, 95]))


def test_models_have_readable_names():
    found = {"ridge_canonical": [0.1, 0.2], "null: shuffled_pairing": [0.0, 0.1], "mean": [0, 1]}
    (panel,) = plot_scores(found, show=False).axes
    labels = [tick.get_text() for tick in panel.get_yticklabels()]
    assert labels == ["ridge, canonical", "null: shuffled pairings", "mean"]


def test_scores_on_the_brain(coords, colors_from_above):
    scores = np.array([0.5, 0.2, -0.3, 0.1])
    fig = plot_scores(scores, coords=coords, metric="r2", show=False)
    bar = next(axis for axis in fig.axes if axis.get_ylabel() == "$R^2$")
    assert_allclose(bar.get_ylim(), [-0.5, 0.5])
    expected = colormaps["RdBu_r"](scores + 0.5)
    assert_allclose(colors_from_above(fig, coords), expected, atol=0.02)


def test_positive_scores_use_a_scale_from_zero(coords):
    fig = plot_scores([0.5, 0.2, 0.3, 0.1], coords=coords, metric="r", show=False)
    bar = next(axis for axis in fig.axes if axis.get_ylabel() == "r")
    assert_allclose(bar.get_ylim(), [0, 0.5])


def test_brain_follows_its_axes(coords):
    fig, axes = plt.subplots(2, 1, layout="constrained", height_ratios=[3, 1])
    plot_scores([0.5, 0.2, 0.3, 0.1], coords=coords, axes=axes, show=False)
    fig.canvas.draw()
    host = axes[0].get_position()
    inner = [axis for axis in fig.axes if axis.get_axes_locator() is not None]
    inner = [a for a in inner if a not in axes and a.get_label() != "<colorbar>"]
    assert len(inner) == 3
    for axis in inner:
        box = axis.get_position()
        assert host.x0 - 1e-6 <= box.x0 and box.x1 <= host.x1 + 1e-6
        assert host.y0 - 1e-6 <= box.y0 and box.y1 <= host.y1 + 1e-6


def test_scores_refuse(result, coords):
    with pytest.raises(ValueError, match=r"shape \(3, 3\)"):
        plot_scores([0.1, 0.2, 0.3], coords=coords, show=False)
    with pytest.raises(ValueError, match="same regions"):
        plot_scores({"a": [0.1], "b": [0.1, 0.2]}, show=False)
    with pytest.raises(ValueError, match="No scores of 'x'"):
        plot_scores(result, models=["x"], show=False)
    with pytest.raises(ValueError, match="No scores with metric 'r2'"):
        plot_scores(result, metric="r2", show=False)


def test_null_counts_shifts_and_says_p(result):
    (panel,) = plot_null(result, show=False).axes
    assert sum(patch.get_height() for patch in panel.patches) == 99
    assert panel.get_legend().get_title().get_text() == "p <= 0.01 (one-sided)"
    assert_allclose(panel.lines[0].get_xdata(), [0.275, 0.275])
    assert panel.get_ylabel() == "circular shifts (of 99)"
    with pytest.raises(ValueError, match="No circular-shift null of 'mean'"):
        plot_null(result, model="mean", show=False)
    with pytest.raises(ValueError, match="observed"):
        plot_null(np.zeros(10), show=False)


@pytest.mark.parametrize("n_recordings", [1, 2])
def test_null_says_the_p_of_the_summary(result, n_recordings):
    """Shifts of one recording come in clusters, which p must count as one draw each."""
    rng = np.random.default_rng(1)
    smooth = np.convolve(rng.standard_normal(139), np.ones(41) / 41, "valid")
    result.null_["SambaTranslator"] = np.tile(0.1 + smooth[:, np.newaxis], 4)
    result.measured_ = result.measured_[:n_recordings]
    p = result.summary().loc["SambaTranslator", "p"]
    exceeded = (0.1 + smooth >= 0.275).sum()
    alone = (1 + exceeded) / (1 + len(smooth))
    assert p > 1.05 * alone if n_recordings == 1 else p == alone
    (panel,) = plot_null(result, show=False).axes
    assert (
        panel.get_legend().get_title().get_text() == f"p {p_words(p, result.p_floor())} (one-sided)"
    )


def test_null_p_value_of_arrays():
    (panel,) = plot_null(np.arange(99.0), 49.5, show=False).axes
    # 49 of 99 shifts are larger: (1 + 49) / 100.
    assert panel.get_legend().get_title().get_text() == "p = 0.5 (one-sided)"


def test_learning_curve_shows_mean_and_interval():
    scores = {"a": np.array([[0.1, 0.3], [0.2, 0.4]]), "b": [0.0, 0.1]}
    (panel,) = plot_learning_curve([5, 20], scores, log=True, show=False).axes
    assert panel.get_xlabel() == "minutes of training data"
    assert_allclose(panel.lines[0].get_ydata(), [0.2, 0.3])
    assert_allclose(
        panel.collections[0].get_paths()[0].get_extents().y0, mean_interval([0.1, 0.3])[1]
    )
    assert [text.get_text() for text in panel.get_legend().texts] == ["a", "b"]
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["5", "20"]
    with pytest.raises(ValueError, match="one row per size"):
        plot_learning_curve([5, 20], [0.1, 0.2, 0.3], show=False)


def test_learning_curve_of_a_result():
    rows = [
        {"asked": m, "minutes": m, "fold": f, "recording": 0, "target": "a", "score": s + 0.02 * f}
        for m, s in ((2.0, 0.2), (8.0, 0.3), (20.0, 0.35))
        for f in (0, 1)
    ]
    curve = LearningCurve(pd.DataFrame(rows), "pearson")
    (panel,) = plot_learning_curve(curve, show=False).axes
    assert panel.get_ylabel() == "Pearson correlation"
    assert_allclose(panel.lines[0].get_ydata(), [0.21, 0.31, 0.36])


def test_retrieval_of_known_ranks():
    similarity = np.eye(6)
    similarity[0, 1] = 2.0  # sample 0 comes second, all others first
    fig = plot_retrieval(similarity, show=False)
    matrix, curve = fig.axes[:2]
    assert_allclose(matrix.images[0].get_array(), similarity)
    assert_allclose(curve.lines[0].get_ydata(), [500 / 6, 100, 100, 100, 100])
    assert_allclose(curve.lines[1].get_ydata(), 100 * np.arange(1, 6) / 6)
    assert matrix.get_xlabel() == "measured sample"


def test_retrieval_of_constant_predictions_is_not_a_success():
    curve = plot_retrieval(np.ones((10, 10)), show=False).axes[1]
    assert curve.lines[0].get_ydata()[0] == 0
    with pytest.raises(ValueError, match="square"):
        plot_retrieval(np.ones((3, 4)), show=False)
