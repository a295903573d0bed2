import numpy as np
import pytest
from matplotlib import colormaps
from numpy.testing import assert_allclose

from mne_samba import LearnableHRF, Reader
from mne_samba.hrf import double_gamma, glover_params, spm_params
from mne_samba.viz import plot_hrf, plot_hrf_map

TIMES = np.arange(0, 30, 0.1)
PARAMS = np.stack([glover_params(), spm_params(), glover_params(delay=5.0)])
HRF = double_gamma(TIMES, PARAMS)


def test_responses_with_interval_and_truth():
    fig = plot_hrf(
        HRF, TIMES, target_names=["a", "b", "c"], targets=["b"], truth=PARAMS[::-1],
        interval=(HRF - 0.2, HRF + 0.1), show=False,
    )  # fmt: skip
    (panel,) = fig.axes
    assert panel.get_title(loc="left") == "b"
    assert panel.get_xlabel() == "time after activity (s)"
    assert panel.get_ylabel() == "response (unit peak)"
    assert_allclose(panel.lines[0].get_ydata(), HRF[1])
    assert_allclose(panel.lines[1].get_ydata(), double_gamma(TIMES, PARAMS[1]))
    extents = panel.collections[0].get_paths()[0].get_extents()
    assert_allclose([extents.y0, extents.y1], [HRF[1].min() - 0.2, 1.1], atol=1e-6)
    labels = [text.get_text() for text in fig.legends[0].texts]
    assert labels == ["interval", "estimated", "truth (simulated)"]


def test_responses_are_shown_from_early_to_late():
    fig = plot_hrf(HRF, TIMES, show=False)
    peaks = [TIMES[panel.lines[0].get_ydata().argmax()] for panel in fig.axes]
    assert len(peaks) == 3 and peaks == sorted(peaks)


def test_responses_by_network():
    fig = plot_hrf(HRF, TIMES, networks=["V", "D", "V"], truth=HRF, show=False)
    assert [panel.get_title(loc="left") for panel in fig.axes] == ["V (n = 2)", "D (n = 1)"]
    lines = fig.axes[0].lines
    assert_allclose(lines[0].get_ydata(), HRF[0])
    assert_allclose(lines[1].get_ydata(), HRF[2])
    assert_allclose(lines[2].get_ydata(), (HRF[0] + HRF[2]) / 2)


def test_few_regions_of_a_network_leave_room_for_responses():
    """The interval of two means reaches to several times their peak."""
    hrf = np.vstack([HRF, HRF[::-1]])
    fig = plot_hrf(hrf, TIMES, networks=["V", "V", "D", "D", "D", "D"], show=False)
    assert [len(panel.collections) for panel in fig.axes] == [0, 1]
    low, high = fig.axes[0].get_ylim()
    assert low < hrf.min() < hrf.max() < high < 1.5 * hrf.max()
    (legend,) = fig.legends
    assert "95 % interval of the mean" in [text.get_text() for text in legend.get_texts()]


def test_rows_of_responses_share_a_label():
    fig = plot_hrf(np.tile(HRF, (2, 1)), TIMES, show=False)
    assert len(fig.axes) == 6
    assert fig.get_supylabel() == "response (unit peak)"
    assert not any(panel.get_ylabel() for panel in fig.axes)


def test_fitted_responses_carry_their_intervals():
    rng = np.random.default_rng(0)
    drive = rng.standard_normal((1, 3000))
    kernel = double_gamma(np.arange(0, 30, 0.1), spm_params())
    bold = np.convolve(drive[0], kernel)[:3000:20, np.newaxis]
    bold = bold + bold.std() * rng.standard_normal(bold.shape)
    model = LearnableHRF(
        t_r=2.0, n_bootstrap=10, random_state=0, verbose="ERROR", reader=Reader(sfreq=10.0)
    )
    model.fit([drive], [bold])
    fig = plot_hrf(model, show=False)
    (panel,) = fig.axes
    assert_allclose(panel.lines[0].get_data(), [model.hrf_times_, model.hrf_[0]])
    row = model.hrf_intervals_.iloc[0]
    assert_allclose(panel.lines[1].get_xdata(), row[["peak_time_low", "peak_time_high"]])
    assert "time to peak, 90 % interval" in [text.get_text() for text in fig.legends[0].texts]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"times": None}, "times"),
        ({"times": TIMES[1:]}, "n_times"),
        ({"truth": np.ones((2, 6))}, "truth must be"),
        ({"interval": (HRF[:1], HRF[:1])}, "interval"),
        ({"networks": ["a"]}, "networks must have 3"),
        ({"networks": ["a"] * 3, "targets": [0]}, "targets or networks"),
    ],
)
def test_responses_refuse(options, match):
    with pytest.raises(ValueError, match=match):
        plot_hrf(HRF, **{"times": TIMES, "show": False, **options})


def test_an_unfitted_estimator_is_refused():
    with pytest.raises(TypeError, match="is it fitted"):
        plot_hrf(LearnableHRF(t_r=2.0), show=False)


def test_peak_times_on_the_brain(coords, colors_from_above):
    peaks = np.array([4.0, 5.0, 6.0, 7.0])
    fig = plot_hrf_map(peaks, coords, limits=(4, 7), title="Simulated", show=False)
    bar = next(axis for axis in fig.axes if axis.get_ylabel() == "time to peak (s)")
    assert_allclose(bar.get_ylim(), [4, 7])
    expected = colormaps["viridis"]((peaks - 4) / 3)
    assert_allclose(colors_from_above(fig, coords), expected, atol=0.02)
    with pytest.raises(ValueError, match="coords"):
        plot_hrf_map(peaks, coords[:2], show=False)
    with pytest.raises(ValueError, match="coords"):
        plot_hrf_map(peaks, None, show=False)
