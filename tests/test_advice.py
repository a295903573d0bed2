"""Messages that stop a beginner say what to do, and what they say works."""

import re

import mne
import numpy as np
import pytest
from nibabel import Nifti1Image
from nilearn.maskers import NiftiLabelsMasker
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from mne_samba import (
    CoreModel,
    FramewiseRegressor,
    LearnableHRF,
    Reader,
    SambaTranslator,
    WaveletBandAttention,
    make_windows,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.data.channels import template_places
from mne_samba.evaluation import LeakageWarning, evaluate
from mne_samba.model_selection import BlockedTimeSplit

RIDGE = BandPowerRidge(t_r=2.0, alphas=[10.0], loss="squared")
CHANNELS = "F3 Fz F4 C3 Cz C4 P3 Pz P4".split()


def people():
    """Two recordings of 240 s at 100 Hz, and 120 frames of BOLD each."""
    rng = np.random.default_rng(0)
    places = {name: place for name, place in template_places().items() if name in CHANNELS}
    info = mne.create_info(CHANNELS, 100.0, "eeg")
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
    raws = [
        mne.io.RawArray(1e-5 * rng.standard_normal((9, 24000)), info, verbose=False) for _ in "ab"
    ]
    return raws, [rng.standard_normal((120, 2)) for _ in raws]


def test_an_image_as_bold():
    raws, _ = people()
    rng, labels = np.random.default_rng(0), np.ones((4, 4, 4), dtype="int16")
    labels[2:] = 2
    atlas = Nifti1Image(labels, np.eye(4))
    image = Nifti1Image(rng.standard_normal((4, 4, 4, 120)).astype("float32"), np.eye(4))
    for given in (image, [image], "bold.nii.gz"):
        with pytest.raises(TypeError, match=r"masker\.fit_transform\(image\) of a nilearn masker"):
            RIDGE.fit(raws[:1], given)
    masker = NiftiLabelsMasker(atlas, standardize=None)
    assert RIDGE.fit(raws[0], masker.fit_transform(image)).coef_.shape[0] == 2


def test_one_recording_as_an_array():
    raws, bolds = people()
    X, model = raws[0].get_data(), BandPowerRidge(t_r=2.0, reader=Reader(sfreq=100.0))
    with pytest.raises(ValueError, match=r"one recording goes into a list, \[X\]"):
        model.fit(X, bolds[0])
    assert model.fit([X], [bolds[0]]).n_targets_ == 2
    with pytest.raises(ValueError, match=r"come as lists, \[X\]"):
        evaluate(model, X, bolds[0])


def test_own_epochs_without_history():
    raws, bolds = people()
    starts = np.arange(40.0, 200.0, 20.0)
    events = np.column_stack([100 * starts, 0 * starts, 1 + 0 * starts]).astype(int)
    y = np.stack([bolds[0][int(t) // 2 : int(t) // 2 + 10] for t in starts])
    options = {"tmax": 20 - 0.01, "baseline": None, "preload": True, "verbose": False}
    epochs = mne.Epochs(raws[0], events, tmin=0.0, **options)
    with pytest.raises(ValueError, match=r"Windows hold 0 s of context .* tmin=-30") as error:
        RIDGE.fit(epochs, y)
    tmin = float(re.search(r"tmin=(-\d+)", str(error.value))[1])
    RIDGE.fit(mne.Epochs(raws[0], events, tmin=tmin, **options), y)
    RIDGE.fit(*make_windows(raws[0], bolds[0], t_r=2.0, context=-tmin))


def test_a_channel_that_is_marked_as_bad():
    raws, bolds = people()
    raws[1].info["bads"] = ["Cz"]
    with pytest.raises(
        ValueError, match=r"\['Cz'\] are marked as bad .* raw\.interpolate_bads\(\)"
    ):
        RIDGE.fit(raws, bolds)
    match = BandPowerRidge(t_r=2.0, alphas=[10.0], reader=Reader(channels="match"))
    assert "Cz" not in match.fit(raws, bolds).ch_names_in_
    fitted = BandPowerRidge(t_r=2.0, alphas=[10.0]).fit(raws[0], bolds[0])
    with pytest.raises(ValueError, match="are marked as bad"):
        fitted.predict(raws[1])
    raws[1].interpolate_bads(origin=(0.0, 0.0, 0.04), verbose=False)
    assert fitted.predict(raws[1]).shape == (120, 2)


@pytest.mark.parametrize("bands", [["alpha"], "alpha", ("alpha", "beta")])
def test_names_of_bands_alone(bands):
    raws, bolds = people()
    with pytest.raises(ValueError, match="write bands=") as error:
        BandPowerRidge(t_r=2.0, bands=bands).fit(raws[0], bolds[0])
    advised = eval(re.search(r"write bands=(\{.*\})", str(error.value))[1])
    fitted = BandPowerRidge(t_r=2.0, bands=advised).fit(raws[0], bolds[0])
    assert fitted.bands_["alpha"] == (8.0, 13.0)


def test_leaks_are_told_where_they_are_asked_for():
    raws, bolds = people()
    epochs, y = make_windows(raws[0], bolds[0], t_r=2.0, window=20.0)
    rows, options = np.arange(len(epochs)), {"nulls": (), "baselines": ()}
    with pytest.warns(LeakageWarning, match="Use mne_samba.model_selection.Blocked") as found:
        evaluate(RIDGE, epochs, y, cv=[(rows[::2], rows[1::2])], **options)
    assert found[0].filename == __file__
    evaluate(RIDGE, epochs, y, cv=BlockedTimeSplit(2), **options)


def test_a_grid_of_what_has_no_effect():
    raws, bolds = people()
    epochs, y = make_windows(raws[0], bolds[0], t_r=2.0, window=20.0)

    def search(estimator, **grid):
        return GridSearchCV(estimator, grid, cv=2, error_score="raise").fit(epochs, y)

    with pytest.raises(ValueError, match='set hrf="fir", or leave it None'):
        search(RIDGE, fir_length=[8.0, 16.0])
    scores = search(BandPowerRidge(t_r=2.0, hrf="fir", alphas=[10.0]), fir_length=[4.0, 16.0])
    assert np.ptp(scores.cv_results_["mean_test_score"]) > 0
    with pytest.raises(ValueError, match=r"Valid parameters are: .*'map_prior'"):
        search(SambaTranslator(t_r=2.0, model=CoreModel()), model__n_hidden=[8, 16])


def test_bands_that_a_filter_has_taken_away():
    raws, bolds = people()
    filtered = raws[0].filter(8.0, 13.0, verbose=False)
    with pytest.warns(RuntimeWarning, match=r"filtered to 8-13 Hz .*\['delta', 'theta'") as found:
        RIDGE.fit(filtered, bolds[0])
    advised = eval(re.search(r"bands=(\{.*\})", str(found[0].message))[1])
    assert advised == {"alpha": (8.0, 13.0)}
    BandPowerRidge(t_r=2.0, bands=advised, alphas=[10.0]).fit(filtered, bolds[0])


def test_power_that_no_response_has_taken_to_frames():
    raws, bolds = people()
    steps = WaveletBandAttention(t_r=2.0), FramewiseRegressor(Ridge())
    with pytest.raises(
        ValueError, match=r"in a Pipeline, LearnableHRF\(t_r=\.\.\.\) comes between"
    ):
        make_pipeline(*steps).fit(raws, bolds)
    between = LearnableHRF(t_r=2.0, hrf="canonical")
    predicted = make_pipeline(steps[0], between, steps[1]).fit(raws, bolds).predict(raws)
    assert predicted[0].shape == (120, 2)
