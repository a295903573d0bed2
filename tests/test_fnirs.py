"""Haemodynamics by light: fNIRS recordings on the side of BOLD."""

import matplotlib.pyplot as plt
import mne
import numpy as np
import pytest
from fnirs_world import N_PAIRS, fnirs_world

from mne_samba import InverseTranslator, Reader, SambaTranslator, read_samba
from mne_samba.io import fnirs_frames
from mne_samba.metrics import pearson
from mne_samba.models import CoreModel, InverseCoreModel
from mne_samba.report import add_to_report
from mne_samba.viz import plot_channel_pairs
from mne_samba.wavelets import Precomputed

MODEL = CoreModel(hrf_bounds="fnirs", power="linear", target_bands=False, unmix=None)


@pytest.fixture(scope="module")
def world():
    return fnirs_world(11)


@pytest.fixture(scope="module")
def fitted(world):
    raws, nirs, *_ = world
    return SambaTranslator(model=MODEL, random_state=0).fit(raws[:1], nirs[:1])


def test_signs_and_peaks_of_both_chromophores(world, fitted):
    raws, _, clean, peaks = world
    alpha = (fitted.spatial_map_ @ fitted.band_weights_)[:, list(fitted.bands_).index("alpha")]
    assert (alpha[:N_PAIRS] > 0).all() and (alpha[N_PAIRS:] < 0).all()
    assert np.abs(fitted.hrf_peak_time_ - peaks).mean() < 0.3
    later = fitted.hrf_peak_time_[N_PAIRS:] - fitted.hrf_peak_time_[:N_PAIRS]
    np.testing.assert_allclose(later, peaks[N_PAIRS:] - peaks[:N_PAIRS], atol=0.6)
    pred = fitted.predict(raws[1])  # of half a second each, as in fit
    assert pred.shape == (1200, 2 * N_PAIRS)
    assert pearson(clean[1][::5][60:], pred[60:]).min() > 0.9
    assert fitted.target_names_in_[0] == "S1_D1 hbo"


def test_frames_are_means_around_their_times(world):
    raw = world[1][0].copy()
    raw.set_annotations(mne.Annotations([30.0], [1.0], ["BAD motion"]))
    frames, values = fnirs_frames(raw, 1.0), raw.get_data().T
    assert frames.shape == (600, 6) and frames.attrs["t_r"] == 1.0
    np.testing.assert_allclose(frames.to_numpy()[7], values[65:75].mean(0), rtol=1e-9)
    np.testing.assert_allclose(frames.to_numpy()[0], values[:5].mean(0), rtol=1e-9)
    missing = np.flatnonzero(frames.isna().all(axis=1))
    np.testing.assert_array_equal(missing, [30, 31])
    assert frames.notna().all(axis=1).sum() == 598
    # Samples that are NaN in one channel do not count, nor spoil what follows.
    broken = values.copy()
    broken[100:103, 0] = broken[200:240, 1] = np.nan
    found = fnirs_frames(mne.io.RawArray(broken.T, raw.info, verbose="ERROR"), 1.0).to_numpy()
    np.testing.assert_allclose(found[10], np.r_[values[95:100], values[103:105]].mean(0), rtol=1e-9)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found).any(axis=1)), [21, 22, 23])
    np.testing.assert_allclose(found[50], values[495:505].mean(0), rtol=1e-9)
    # A channel that is bad does not count.
    raw.info["bads"] = ["S1_D1 hbr"]
    assert list(fnirs_frames(raw).columns) == [n for n in raw.ch_names if n != "S1_D1 hbr"]
    with pytest.raises(ValueError, match=r"t_r=0.05 s is shorter than the sampling interval"):
        fnirs_frames(raw, 0.05)


def test_raws_frames_and_other_times_are_one(world, fitted):
    raws, nirs, *_ = world
    by_hand = SambaTranslator(model=MODEL, random_state=0).fit(raws[:1], [fnirs_frames(nirs[0])])
    np.testing.assert_array_equal(by_hand.predict(raws[1]), fitted.predict(raws[1]))
    assert fitted.score(raws[1:], nirs[1:]) == by_hand.score(raws[1:], [fnirs_frames(nirs[1])])
    slower = SambaTranslator(t_r=1.0, model=MODEL, random_state=0).fit(raws[0], nirs[0])
    assert slower.predict(raws[1]).shape == (600, 6)


def test_light_and_electrodes_in_one_recording(world, fitted):
    raws, nirs, *_ = world
    both = raws[0].copy().resample(50.0, verbose="ERROR")
    light = nirs[0].copy().resample(50.0, verbose="ERROR")
    both = both.crop(0, 599).add_channels([light.crop(0, 599)], force_update_info=True)
    hybrid = SambaTranslator(model=MODEL, random_state=0).fit([both], [both])
    assert hybrid.ch_names_in_ == raws[0].ch_names
    assert hybrid.target_names_in_ == fitted.target_names_in_


def test_back_from_light(world):
    raws, nirs, *_ = world
    model = InverseCoreModel(hrf_bounds="fnirs")
    back = InverseTranslator(model=model, random_state=0).fit(nirs[:1], raws[:1])
    pred, true = back.predict(nirs[1]), back.target_from(raws[1])
    alpha = list(back.bands_).index("alpha")
    scores = [pearson(t[60:-60, None], p[60:-60, None])[0]
              for p, t in zip(pred[:, alpha], true[:, alpha], strict=True)]  # fmt: skip
    assert np.mean(scores) > 0.2


def test_pairs_on_the_head(world, fitted, tmp_path):
    fitted.save(tmp_path / "light.samba")
    again = read_samba(tmp_path / "light.samba")
    fig = plot_channel_pairs(again, show=False)
    panels = [axis for axis in fig.axes if axis.get_title() in ("HbO", "HbR")]
    np.testing.assert_allclose(
        panels[1].collections[0].get_array(), fitted.hrf_peak_time_[N_PAIRS:]
    )
    # The detector of the first pair lies on the midline, the source to its left and in front.
    source, detector = panels[0].collections[0].get_segments()[0]
    assert abs(detector[0]) < 1e-6 and source[0] < 0 < source[1]
    plt.close(fig)
    report = mne.Report(verbose="ERROR")
    add_to_report(report, fitted)
    assert "Channel pairs" in [element.name for element in report._content]
    with pytest.raises(ValueError, match=r"values must have shape \(6,\)"):
        plot_channel_pairs(fitted, [1.0], show=False)
    bold = [fnirs_frames(world[1][0]).set_axis([f"r{i}" for i in range(6)], axis=1)]
    bold[0].attrs.pop("optodes")
    plain = SambaTranslator(model=MODEL, random_state=0).fit(world[0][:1], bold)
    with pytest.raises(ValueError, match="knows no places of sources"):
        plot_channel_pairs(plain, show=False)


def test_what_is_not_haemoglobin_says_how_it_becomes_so(world):
    raws, nirs, *_ = world
    names = [f"S1_D1 {wave}" for wave in (760, 850)]
    rng = np.random.default_rng(0)
    info = mne.create_info(names, 10.0, "fnirs_cw_amplitude")
    light = mne.io.RawArray(1 + 0.01 * rng.random((2, 6000)), info, verbose="ERROR")
    model = SambaTranslator(model=MODEL)
    with pytest.raises(ValueError, match=r"raw intensity .*without wavelengths.*loc'\]\[9\]"):
        model.fit(raws[:1], [light])
    for channel, wave in zip(light.info["chs"], (760.0, 850.0), strict=True):
        channel["loc"][3:10] = [0.0, 0.0, 0.09, 0.03, 0.0, 0.09, wave]
    with pytest.raises(ValueError, match=r"raw intensity .*optical_density\(raw\), then .*beer_la"):
        model.fit(raws[:1], [light])
    density = mne.preprocessing.nirs.optical_density(light)
    with pytest.raises(ValueError, match=r"optical density, but haemo.*beer_lambert_law\(raw"):
        model.fit(raws[:1], [density])
    blood = mne.preprocessing.nirs.beer_lambert_law(density, ppf=6.0)
    assert fnirs_frames(blood).shape == (1200, 2)
    with pytest.raises(ValueError, match=r"X must be electrophysiology, but it is fNIRS"):
        model.fit(nirs[:1], raws[:1])
    with pytest.raises(ValueError, match=r"fNIRS, which has no slices: slice_time_ref must be 0"):
        SambaTranslator(model=MODEL, reader=Reader(slice_time_ref=0.5)).fit(raws[:1], nirs[:1])
    with pytest.raises(ValueError, match=r"no channel of haemoglobin .*\['eeg'\]"):
        fnirs_frames(mne.io.RawArray(np.ones((1, 100)), mne.create_info(1, 10.0, "eeg")))


def test_advice_on_a_real_file(shared_data):
    pytest.importorskip("h5py")
    path = shared_data / "fnirs" / "neuro_run01.snirf"
    with pytest.warns(RuntimeWarning, match="2D location"):
        raw = mne.io.read_raw_snirf(path, verbose="WARNING")
    with pytest.raises(ValueError, match=r"raw intensity of light.*optical_density"):
        fnirs_frames(raw)
    density = mne.preprocessing.nirs.optical_density(raw)
    blood = mne.preprocessing.nirs.beer_lambert_law(density, ppf=6.0)
    frames = fnirs_frames(blood)
    assert frames.shape == (799, 18) and np.isfinite(frames.to_numpy()).all()
    # Two kinds of stimuli drive the channels of both chromophores.
    power = np.zeros((2, 1, 799))
    marks = raw.annotations
    for onset, duration, what in zip(marks.onset, marks.duration, marks.description, strict=True):
        power[int(what) - 1, 0, int(2 * onset) : int(2 * (onset + duration))] = 1.0
    model = CoreModel(bands=Precomputed("linear"), hrf_bounds="fnirs")
    translator = SambaTranslator(model=model, reader=Reader(sfreq=2.0), random_state=0)
    translator.fit([power], [blood])
    assert translator.predict([power])[0].shape == (799, 18)
