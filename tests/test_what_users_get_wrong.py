"""What new users get wrong is said by name, and the advice leads to what they meant."""

import re

import mne
import numpy as np
import pytest

from mne_samba import (
    CoreModel,
    InverseTranslator,
    LatentTranslator,
    LearnableHRF,
    Reader,
    SambaTranslator,
    WaveletBandAttention,
    make_windows,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.evaluation import evaluate, learning_curve_minutes
from mne_samba.evaluation.uncertainty import ConformalRegressor
from mne_samba.hrf.gamma import check_bounds

CORE = CoreModel(power="linear", target_bands=False)


@pytest.fixture(scope="module")
def people():
    """Three recordings of 240 s at 50 Hz, and 120 frames of BOLD each."""
    rng = np.random.default_rng(0)
    info = mne.create_info(["Fz", "Cz", "Pz"], 50.0, "eeg")
    raws = [
        mne.io.RawArray(1e-5 * rng.standard_normal((3, 12000)), info, verbose=False) for _ in "abc"
    ]
    return raws, [rng.standard_normal((120, 2)) for _ in raws]


def test_a_t_r_that_is_too_small_is_said(people):
    raws, bolds = people
    with pytest.warns(RuntimeWarning, match=r"120 s at t_r=1 s, but X\[0\] goes on for 120 s") as w:
        BandPowerRidge(t_r=1.0).fit(raws[:1], bolds[:1])
    advised = float(re.search(r"Frames at ([\d.]+) s", str(w[0].message))[1])
    assert advised == 2.0
    BandPowerRidge(t_r=advised).fit(raws[:1], bolds[:1])
    with pytest.warns(RuntimeWarning, match="raw goes on for 120 s"):
        make_windows(raws[0], bolds[0], t_r=1.0, window=20.0)


def test_a_recording_that_goes_on_is_said(people):
    raws, bolds = people
    with mne.utils.catch_logging(verbose="info") as log:
        BandPowerRidge(t_r=2.0).fit(raws[0], bolds[0][:100])
    assert "X goes on for 40 s (20 volumes) after the last frame of BOLD" in log.getvalue()
    with pytest.warns(RuntimeWarning, match="cut the recording off at 100 s") as record:
        BandPowerRidge(t_r=2.0).fit(raws[0], bolds[0][:50])
    end = float(re.search(r"off at ([\d.]+) s", str(record[0].message))[1])
    cut = raws[0].copy().crop(tmax=end, include_tmax=False)
    BandPowerRidge(t_r=2.0).fit(cut, bolds[0][:50])


@pytest.mark.parametrize(
    ("there", "back", "said"),
    [
        ({"t_r": 2.0}, {"t_r": 2.5}, "forward has t_r=2.0 and inverse t_r=2.5"),
        (
            {"t_r": 2.0, "reader": Reader(first_volume=4.0)}, {"t_r": 2.0},
            "forward has reader first_volume=4.0 and inverse first_volume=0.0",
        ),
        (
            {"t_r": 2.0, "reader": Reader(volume_event=np.arange(3.0))},
            {"t_r": 2.0, "reader": Reader(volume_event="R128")}, "volume_event",
        ),
    ],
)  # fmt: skip
def test_both_ways_read_alike(people, there, back, said):
    both = LatentTranslator(SambaTranslator(**there), InverseTranslator(**back))
    with pytest.raises(ValueError, match=re.escape(said)):
        both.fit(*people)
    both.set_params(inverse=InverseTranslator(**there))
    both._check_params()


@pytest.mark.filterwarnings("ignore::mne_samba.evaluation.LeakageWarning")
def test_t_r_of_an_evaluation_reaches_estimators_without_one(people):
    own = BandPowerRidge(alphas=[10.0])
    given = BandPowerRidge(alphas=[10.0], t_r=2.0)
    result = evaluate(own, *people, t_r=2.0, baselines=({"other": own},), nulls=())
    expected = evaluate(given, *people, baselines=({"other": given},), nulls=())
    np.testing.assert_allclose(result.to_frame()["score"], expected.to_frame()["score"])
    assert own.t_r is None
    assert len(ConformalRegressor(own, t_r=2.0).fit(*people).residuals_) == 3
    assert len(learning_curve_minutes(own, *people, minutes=[4, 8], t_r=2.0).to_frame()) == 2


def test_default_lengths_of_a_curve_can_be_learnt_from(people):
    """Three recordings of four minutes: an eighth of two of them is less than a response."""
    ridge = BandPowerRidge(t_r=2.0, alphas=[10.0])
    minutes = learning_curve_minutes(ridge, *people).to_frame()["minutes"]
    np.testing.assert_allclose(minutes, np.geomspace(3.0, 8.0, 4), atol=0.1)
    with pytest.raises(ValueError, match=r"With 0.2 minutes of training \(6 s of each of 2 sampl"):
        learning_curve_minutes(ridge, *people, minutes=[0.2, 8])


def test_the_same_training_data_are_one_row(people):
    epochs, y = make_windows(*people, t_r=2.0, window=40.0)
    options = {"minutes": [1.4, 1.5, 2.7]}
    table = learning_curve_minutes(BandPowerRidge(alphas=[10.0]), epochs, y, **options).to_frame()
    np.testing.assert_allclose(table["minutes"], [4 / 3, 8 / 3])


@pytest.mark.parametrize("dropped", [False, True])
def test_a_scan_that_began_before_the_recording(people, dropped):
    raws, bolds = people
    bold = bolds[0][:118]
    given = bold[2:] if dropped else bold
    reader = Reader(first_volume=-4.0)
    calls = {
        "make_windows": lambda bold, reader: make_windows(
            raws[0], bold, t_r=2.0, window=20.0, reader=reader
        ),
        "fit": lambda bold, reader: BandPowerRidge(t_r=2.0, reader=reader).fit([raws[0]], [bold]),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match="began before the recording did") as error:
            call(given, reader)
        first, alone = (int(n) for n in re.findall(r"n_dummy=(\d+)", str(error.value)))
        assert first == alone == 2
        call(bold[2:], Reader(first_volume=-4.0, n_dummy=alone))
    epochs, y = calls["make_windows"](bold[2:], Reader(first_volume=-4.0, n_dummy=2))
    assert epochs.metadata["onset"][0] == 2.0 * epochs.metadata["frame"][0]
    np.testing.assert_array_equal(y[0, 0], bold[2:][epochs.metadata["frame"][0]])


@pytest.mark.parametrize(
    ("factor", "said", "divide"),
    [(1000.0, "milliseconds", "1000"), (50.0, "samples", "raw.info['sfreq']")],
)
def test_times_of_volumes_in_other_units(people, factor, said, divide):
    raws, bolds = people
    times = 2.0 * np.arange(120)
    with pytest.raises(ValueError, match=said) as error:
        make_windows(raws[0], bolds[0], t_r=2.0, reader=Reader(volume_event=factor * times))
    assert f"divide them by {divide}" in str(error.value)
    right = factor * times / eval(divide, {"raw": raws[0]})
    make_windows(raws[0], bolds[0], t_r=2.0, reader=Reader(volume_event=right))


@pytest.mark.parametrize("kind", [SambaTranslator, InverseTranslator])
def test_unknown_options_name_the_class(kind):
    with pytest.raises(TypeError, match=rf"{kind.__name__}\.__init__\(\).*'first_volume'"):
        kind(t_r=2.0, first_volume=3.0)


def test_waveforms_are_no_drive(people):
    raws, bolds = people
    with pytest.warns(RuntimeWarning, match="X holds eeg channels at 50 Hz"):
        LearnableHRF(t_r=2.0, hrf="canonical").fit(raws[:1], bolds[:1])
    drive = raws[0].copy()
    drive.set_channel_types(dict.fromkeys(drive.ch_names, "misc"), on_unit_change="ignore")
    LearnableHRF(t_r=2.0, hrf="canonical", reader=Reader(picks="misc")).fit([drive], bolds[:1])


def test_a_rate_beyond_half_the_sampling_rate(people):
    raws, bolds = people
    with pytest.raises(ValueError, match=r"rate=30 asks for more bins.*50 Hz"):
        WaveletBandAttention(t_r=2.0, rate=30.0).fit(raws, bolds)


@pytest.mark.parametrize("detrend", ["spline", True, -1, 128, 1.5])
def test_drift_that_does_not_exist(detrend):
    said = "order of a polynomial"
    with pytest.raises(ValueError, match=f"detrend.*{said}"):
        Reader(detrend=detrend).check()
    for known in ("cosine", "linear", 0, 10, None):
        Reader(detrend=known).check()


@pytest.mark.parametrize("bounds", ["slow", None, (1, 2), ([1.0] * 6, [1.0] * 6), 5, "fa"])
def test_bounds_that_do_not_exist(people, bounds):
    with pytest.raises(
        ValueError, match=r"^hrf_bounds must be one of \['fast', 'fnirs', 'human'\], or"
    ):
        LearnableHRF(t_r=2.0, hrf_bounds=bounds).fit(*people)
    low, high = check_bounds((*check_bounds("human"),))
    assert low.shape == high.shape == (6,)


def test_a_folder_that_does_not_exist(people, tmp_path):
    """The first of the default lengths of a learning curve, a minute and a half each, is fitted."""
    raws = [raw.copy().crop(0, 90, include_tmax=False) for raw in people[0][:2]]
    model = SambaTranslator(t_r=2.0, model=CORE).fit(raws, [bold[:45] for bold in people[1][:2]])
    path = tmp_path / "no" / "model.samba"
    with pytest.raises(FileNotFoundError, match=r"The folder '.*no' does not exist") as error:
        model.save(path)
    line = re.search(r"instance (pathlib.*)\.$", str(error.value))[1]
    exec(f"import pathlib; {line}")
    model.save(path)
    assert path.exists()
