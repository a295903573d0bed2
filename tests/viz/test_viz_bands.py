from types import SimpleNamespace

import mne
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mne_samba.viz import plot_attribution, plot_band_attention, plot_patterns

BANDS = {"alpha": (8.0, 13.0), "beta": (13.0, 30.0)}
NAMES = ["Fz", "Cz", "Pz", "Oz", "C3", "C4"]


@pytest.fixture
def info():
    info = mne.create_info(NAMES, 100.0, "eeg")
    return info.set_montage("biosemi64")


def _matrix(fig):
    return next(axis for axis in fig.axes if axis.images and axis.get_xlabel())


def test_attention_as_matrix_by_network():
    attention = np.random.default_rng(0).dirichlet([1, 1], 4)
    fig = plot_band_attention(
        attention, bands=BANDS, ch_names=["a", "b", "c", "d"], networks=["V", "D", "V", "D"],
        show=False,
    )  # fmt: skip
    panel = _matrix(fig)
    assert_allclose(panel.images[0].get_array(), attention[[1, 3, 0, 2]].T)
    assert [t.get_text() for t in panel.get_xticklabels()] == ["b", "d", "a", "c"]
    assert [t.get_text() for t in panel.get_yticklabels()] == ["alpha 8-13 Hz", "beta 13-30 Hz"]
    assert "attention" in [axis.get_ylabel() for axis in fig.axes]
    # One line between two networks.
    assert_allclose([line.get_xdata()[0] for line in panel.lines], [1.5])


def test_attention_on_the_head(info):
    attention = np.full((6, 2), 0.5)
    model = SimpleNamespace(
        fit=None, band_attention_=attention, bands_=BANDS, ch_names_in_=NAMES, info_=info
    )
    fig = plot_band_attention(model, show=False)
    assert [axis.get_title() for axis in fig.axes[:2]] == ["alpha\n8-13 Hz", "beta\n13-30 Hz"]
    panel = _matrix(fig)
    assert panel.get_xlabel() == "channel"
    assert [t.get_text() for t in panel.get_xticklabels()] == NAMES


def test_gain_is_symmetric_about_zero():
    gain = np.array([[1.0, -0.2], [0.3, 0.1]])
    fig = plot_band_attention(gain, kind="gain", show=False)
    image = _matrix(fig).images[0]
    assert image.get_clim() == (-1.0, 1.0) and image.get_cmap().name == "RdBu_r"
    assert "signed gain" in [axis.get_ylabel() for axis in fig.axes]


def test_many_channels_keep_readable_labels():
    fig = plot_band_attention(np.full((200, 2), 0.5), show=False)
    labels = _matrix(fig).get_xticklabels()
    assert 20 < len(labels) < 100
    assert all(label.get_fontsize() >= 4.4 for label in labels)


def test_attention_refuses():
    with pytest.raises(ValueError, match="kind"):
        plot_band_attention(np.ones((2, 2)), kind="sign", show=False)
    with pytest.raises(ValueError, match="2 dimension"):
        plot_band_attention(np.ones(3), show=False)
    with pytest.raises(ValueError, match="ch_names must have 2"):
        plot_band_attention(np.ones((2, 2)), ch_names=["a"], show=False)
    with pytest.raises(TypeError, match="is it fitted"):
        plot_band_attention(SimpleNamespace(fit=None), show=False)


def test_patterns_draw_the_strongest_regions():
    patterns = np.random.default_rng(0).standard_normal((5, 6, 2))
    patterns[[0, 3, 4]] *= 10
    fig = plot_patterns(patterns, target_names=list("abcde"), bands=BANDS, show=False)
    panels = [axis for axis in fig.axes if axis.get_title(loc="left")]
    assert [axis.get_title(loc="left") for axis in panels] == ["a", "d", "e"]
    assert_allclose(panels[1].images[0].get_array(), patterns[3].T)
    limits = {axis.images[0].get_clim() for axis in panels}
    top = np.abs(patterns).max()
    assert limits == {(-top, top)}
    assert "band power (s.d.)" in [axis.get_ylabel() for axis in fig.axes]


def test_patterns_on_the_head(info):
    patterns = np.random.default_rng(0).standard_normal((2, 6, 2))
    fig = plot_patterns(
        patterns, targets=[1], target_names=["a", "Visual_L1"], info=info, show=False
    )
    assert fig.axes[0].get_ylabel() == "Visual\nL1"
    assert fig.axes[1].get_title() == "band 2"
    with pytest.raises(ValueError, match="Unknown region"):
        plot_patterns(patterns, targets="x", show=False)


def test_attribution_sums_over_lags_and_channels():
    values = np.random.default_rng(0).standard_normal((6, 2, 10))
    lags = 0.25 + 0.5 * np.arange(10)
    fig = plot_attribution(values, lags=lags, bands=BANDS, ch_names=NAMES, unit="s.d.", show=False)
    curve, matrix = fig.axes[0], _matrix(fig)
    assert_allclose(curve.lines[1].get_data(), [lags, values[:, 1].sum(axis=0)])
    assert curve.get_xlabel() == "seconds before the frame"
    assert curve.get_ylabel() == "attribution (s.d.)"
    (legend,) = fig.legends  # beneath the panels, where it covers no curve
    assert [text.get_text() for text in legend.get_texts()] == ["alpha 8-13 Hz", "beta 13-30 Hz"]
    assert_allclose(matrix.images[0].get_array(), values.sum(axis=2).T)


def test_attribution_on_the_head(info):
    fig = plot_attribution(np.ones((6, 2)), bands=BANDS, info=info, show=False)
    assert [axis.get_title() for axis in fig.axes[:2]] == ["alpha\n8-13 Hz", "beta\n13-30 Hz"]
    with pytest.raises(ValueError, match="lags"):
        plot_attribution(np.ones((6, 2, 3)), show=False)
    with pytest.raises(ValueError, match="n_channels, n_bands"):
        plot_attribution(np.ones(6), show=False)
