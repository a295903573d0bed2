"""Real EEG files with SEMI-SYNTHETIC BOLD: their own band power, known responses, real noise."""

import mne
import numpy as np
import pandas as pd
import pytest
from assemble import assemble, quick

from mne_samba import CoreModel, SambaModel, SambaTranslator, Trainer, make_windows, read_samba
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_bold
from mne_samba.metrics import pearson

T_R = 2.0
# A core alone, that chooses nothing: what is tested is how files are read.
CORE = {"t_r": T_R, "corrections": "never", "core": "quick"}


@pytest.fixture(scope="module")
def noise(shared_data):
    """Real BOLD of 28 regions at 1.89 s, whose spectrum the noise takes."""
    table = pd.read_csv(shared_data / "fmri_rois" / "fmri_timeseries.csv")
    return table.drop(columns=["WM", "Vent", "Brain"]).to_numpy()


@pytest.fixture(scope="module", params=["rest", "task"])
def recording(request, shared_data, noise):
    """Every third channel of a real recording, and its semi-synthetic BOLD."""
    eyes = []
    if request.param == "rest":
        raw = mne.io.read_raw_edf(shared_data / "eeg_rest" / "test.edf", verbose="ERROR")
    else:
        path = shared_data / "eeg_task" / "eeglab_data.set"
        raw = mne.io.read_raw_eeglab(path, verbose="ERROR")
        eyes = [name for name in raw.ch_names if name.startswith("EOG")]
        assert len(eyes) == 2
        raw.set_channel_types(dict.fromkeys(eyes, "eog"))
    raw.pick(list(dict.fromkeys([*raw.ch_names[::3], *eyes])))
    data = simulate_bold(
        raw, t_r=T_R, n_targets=8, snr=2.0, noise=noise, noise_t_r=1.89, random_state=0
    )
    return raw, data


def test_windows_fit_predict(recording):
    raw, data = recording
    epochs, y = make_windows(raw, data.bold, t_r=T_R, window=20.0)
    assert len(epochs) >= 7 and y.shape[1:] == (10, 8)
    train, test = slice(0, len(epochs) - 2), slice(len(epochs) - 2, None)
    model = SambaTranslator(
        t_r=T_R,
        model=quick(SambaModel, corrections="always"),
        trainer=Trainer(max_epochs=1),
        random_state=0,
    )
    model.fit(epochs[train], y[train])
    assert not set(model.ch_names_in_) & {"EOG1", "EOG2"}
    pred = model.predict(epochs[test])
    assert pred.shape == (2, 10, 8) and np.isfinite(pred).all()
    assert np.isfinite(model.score(epochs[test], y[test]))


@pytest.mark.parametrize("make", [
    lambda: assemble(**CORE, random_state=0),
    lambda: BandPowerRidge(t_r=T_R),
], ids=["translator", "ridge"])  # fmt: skip
def test_own_band_power_is_found_again(recording, make):
    """Fitted on noisy BOLD, predictions follow the noiseless one."""
    raw, data = recording
    model = make().fit(raw, data.bold)
    pred = model.predict(raw)
    assert pred.shape == data.bold.shape
    known = slice(15, len(pred))
    assert pearson(data.clean_bold[known], pred[known]).mean() > 0.4


def test_files_on_disk_equal_files_in_memory(recording):
    raw, data = recording
    options = {**CORE, "random_state": 0}
    lazy = assemble(**options).fit(raw, data.bold)
    loaded = assemble(**options).fit(raw.copy().load_data(), data.bold)
    np.testing.assert_allclose(lazy.predict(raw), loaded.predict(raw), atol=1e-6)


def test_the_real_montage_and_names_are_kept(recording, tmp_path):
    raw, data = recording
    bold = pd.DataFrame(data.bold, columns=data.target_names)
    model = SambaTranslator(t_r=T_R, model=quick(CoreModel), random_state=0).fit(raw, bold)
    assert model.target_names_in_ == data.target_names
    model.save(tmp_path / "real.samba")
    again = read_samba(tmp_path / "real.samba")
    np.testing.assert_array_equal(again.predict(raw), model.predict(raw))
    places = [np.array([ch["loc"][:3] for ch in m.info_["chs"]]) for m in (model, again)]
    np.testing.assert_array_equal(places[0], places[1])
    assert again.ch_names_in_ == [raw.ch_names[i] for i in mne.pick_types(raw.info, eeg=True)]


def test_a_muscle_burst_marked_bad_changes_nothing(recording):
    raw, data = recording
    marked, spoilt = raw.copy().load_data(), raw.copy().load_data()
    start, stop = raw.time_as_index([90.0, 92.0])
    spoilt._data[:, start:stop] += 1e-3 * np.random.default_rng(0).standard_normal(stop - start)
    options = {**CORE, "random_state": 0}
    preds = []
    for one in (marked, spoilt):
        one.set_annotations(mne.Annotations([90.0], [2.0], ["BAD_muscle"]))
        preds.append(assemble(**options).fit(one, data.bold).predict(one))
    np.testing.assert_array_equal(preds[0], preds[1])


def test_a_filter_below_the_bands_is_said(shared_data, capsys):
    """128 Hz hold gamma to 45 Hz; 64 Hz do not, and the log says which bands are left out."""
    raw = mne.io.read_raw_eeglab(shared_data / "eeg_task" / "eeglab_data.set", verbose="ERROR")
    raw.pick(raw.ch_names[::3]).load_data().resample(64, verbose="ERROR")
    data = simulate_bold(raw, t_r=T_R, n_targets=3, snr=2.0, random_state=0,
                         bands={"alpha": (8, 13)})  # fmt: skip
    options = {**CORE, "random_state": 0}
    model = assemble(**options, verbose=True).fit(raw, data.bold)
    assert "gamma" not in model.bands_ and "beta" in model.bands_
    assert "['gamma'] lie above half of sfreq=64 Hz" in capsys.readouterr().out
    assemble(**options, verbose=False).fit(raw, data.bold)
    assert capsys.readouterr().out == ""
