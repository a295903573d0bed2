import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mne_samba.viz import plot_history, plot_prediction


def test_prediction_shows_courses_in_seconds():
    rng = np.random.default_rng(0)
    measured = rng.standard_normal((50, 3)) + 100.0
    predicted = measured.copy()
    predicted[:, 1] = rng.standard_normal(50)
    fig = plot_prediction(
        measured, predicted, t_r=1.5, target_names=["a", "b", "c"], targets=["c", "b"], show=False
    )
    first, second = fig.axes
    assert first.get_title(loc="left") == "c   r = 1.00"
    assert second.get_title(loc="left").startswith("b ")
    assert first.get_ylabel() == "BOLD (a.u.)" and second.get_xlabel() == "time (s)"
    times, shown = first.lines[0].get_data()
    assert_allclose(times, np.arange(50) * 1.5)
    assert_allclose(shown, measured[:, 2] - measured[:, 2].mean())
    assert_allclose(second.lines[1].get_ydata(), predicted[:, 1] - predicted[:, 1].mean())
    assert [text.get_text() for text in fig.legends[0].texts] == ["measured", "predicted"]


def test_long_names_of_what_is_drawn_stay_beside_their_panels():
    courses = np.random.default_rng(0).standard_normal((50, 3))
    fig = plot_prediction(
        courses, courses, t_r=2.0, quantity="states decoded from fMRI", show=False
    )
    fig.canvas.draw()
    spans = [panel.yaxis.label.get_window_extent() for panel in fig.axes]
    assert all(above.y0 > below.y1 for above, below in itertools.pairwise(spans))
    assert min(span.x0 for span in spans) >= 0


def test_prediction_of_band_power_says_so():
    course = np.sin(np.arange(30.0))[:, np.newaxis]
    fig = plot_prediction(course, course, t_r=2.0, quantity="log power", units="s.d.", show=False)
    assert fig.axes[0].get_ylabel() == "log power (s.d.)"


def test_prediction_chooses_best_middle_and_worst_and_keeps_gaps():
    rng = np.random.default_rng(1)
    measured = rng.standard_normal((60, 5))
    noise = np.array([3.0, 0.0, 1.0, 0.3, 10.0])
    predicted = measured + noise * rng.standard_normal((60, 5))
    measured[10:13] = np.nan
    fig = plot_prediction(measured, predicted, t_r=2.0, show=False)
    titles = [panel.get_title(loc="left").split("   ")[0] for panel in fig.axes]
    assert titles == ["region 2", "region 3", "region 5"]
    assert np.isnan(fig.axes[0].lines[0].get_ydata()[10:13]).all()


def test_prediction_of_a_result(result):
    fig = plot_prediction(
        result, models=["SambaTranslator", "mean"], targets="Visual_R1", recording=1, show=False
    )
    (panel,) = fig.axes
    y = result.measured_[1][:, 1]
    assert_allclose(panel.lines[1].get_ydata(), 0.5 * (y - y.mean()))
    assert "r = 1.00 (SambaTranslator), 0.00 (mean)" in panel.get_title(loc="left")
    assert_allclose(panel.lines[0].get_xdata()[-1], 78.0)


def test_prediction_on_given_axes():
    _, axes = plt.subplots(2)
    y = np.random.default_rng(0).standard_normal((20, 2))
    assert plot_prediction(y, y, t_r=2.0, axes=axes, show=False) is axes[0].figure
    with pytest.raises(ValueError, match="has 2 panel"):
        plot_prediction(y, y, t_r=2.0, axes=axes[0], show=False)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"predicted": np.zeros((9, 2)), "t_r": 2.0}, "shape of measured"),
        ({"predicted": np.zeros((10, 2))}, "t_r"),
        ({"t_r": 2.0}, "predicted is needed"),
        ({"predicted": np.zeros((10, 2)), "t_r": 2.0, "targets": "x"}, "Unknown region 'x'"),
        ({"predicted": np.zeros((10, 2)), "t_r": 2.0, "targets": 2}, "out of range"),
        ({"predicted": np.zeros((10, 2)), "t_r": 2.0, "target_names": ["a"]}, "2 names, got 1"),
    ],
)
def test_prediction_refuses(options, match):
    with pytest.raises(ValueError, match=match):
        plot_prediction(np.ones((10, 2)), show=False, **options)


def test_prediction_refuses_unknown_model(result):
    with pytest.raises(ValueError, match="No predictions of 'ridge'"):
        plot_prediction(result, models="ridge", show=False)
    with pytest.raises(ValueError, match="recording=2"):
        plot_prediction(result, recording=2, show=False)


def test_history_marks_the_best_epoch():
    rows = [
        {"epoch": float(e), "train_loss": 1.0 / e, "valid_loss": abs(e - 3) + 0.1}
        for e in range(1, 6)
    ]
    (panel,) = plot_history(rows, show=False).axes
    assert panel.get_xlabel() == "epoch" and "loss" in panel.get_ylabel()
    assert_allclose(panel.lines[0].get_ydata(), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert "best epoch 3" in [text.get_text() for text in panel.texts]
    with pytest.raises(ValueError, match="no history"):
        plot_history([], show=False)


def test_long_scans_are_drawn_in_part():
    course = np.sin(np.arange(1500) / 7.0)[:, np.newaxis]
    (panel,) = plot_prediction(course, course, t_r=2.0, show=False).axes
    assert panel.get_xlabel() == "time (s); the first 600 of 1500 frames"
    assert panel.get_xlim()[1] == 600 * 2.0
