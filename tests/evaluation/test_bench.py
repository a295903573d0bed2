"""What protocols add to the same data: nothing honest where nothing is shared."""

import numpy as np
import pandas as pd
import pytest
from assemble import hurry
from numpy.testing import assert_allclose
from scipy.signal import butter, filtfilt

from mne_samba import CoreModel, Reader, SambaTranslator
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import load_eeg_fmri_sleep, simulate_paired
from mne_samba.evaluation import BenchResult, bench
from mne_samba.evaluation.bench import _as_published, _first_and_last, _folds
from mne_samba.viz import plot_inflation
from mne_samba.wavelets import Precomputed

BANDS = {"theta": (4.0, 8.0), "beta": (13.0, 30.0)}
QUICK = CoreModel(bands=BANDS, power="linear", target_bands=False, unmix=None, loss="squared",
                  hrf="canonical", map_prior="gaussian")  # fmt: skip
MOST = ("blocked", "people", "neurobolt")


def world(n_people, coupling, duration=240.0):
    return simulate_paired(
        n_people, duration, level="source", n_sources=4, n_targets=2, snr=4.0, sfreq=64.0,
        coupling=coupling, bands=BANDS, random_state=0,
    )  # fmt: skip


def benched(data, protocols=MOST, **options):
    models = {"core": SambaTranslator(t_r=2.0, model=QUICK, random_state=0)}
    return bench(data.raws, data.bolds, data.subjects, models=models, protocols=protocols,
                 n_shifts=39, **options)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def hurried():
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch, BandPowerRidge)
        patch.setitem(BandPowerRidge.__init__.__kwdefaults__, "loss", "squared")
        yield


@pytest.fixture(scope="module")
def coupled():
    return benched(world(2, True))


def test_blocks_give_zero_where_nothing_is_shared():
    table = benched(world(4, False, 400.0), ["blocked"]).to_frame().set_index("model")
    assert (table["p"] > 0.05).all() and (table["ci_low"] < 0).all()
    assert (table["r"] - table["null"]).abs().max() < 0.1


def test_table_has_all_models_under_all_protocols(coupled):
    assert coupled.models_ == ["core", "ridge_canonical", "ridge_fir", "time"]
    table = coupled.to_frame()
    assert len(table) == 12 and table.notna().all(axis=None)
    r = table.set_index(["protocol", "model"])["r"]
    assert r["blocked", "core"] > 0.4 and r["people", "core"] > 0.4
    assert r["blocked", "time"] < 0.2
    assert table.loc[table["model"] == "core", "pooled"].min() > 0.2
    assert "people: people left out" in repr(coupled)
    head = repr(coupled).splitlines()[1].split()
    assert head == ["r", "null", "p"] * 3


def test_levels_of_regions_add_nothing_to_what_is_pooled(coupled):
    data = world(2, True)
    data.bolds = [bold + 50.0 * np.arange(bold.shape[1]) for bold in data.bolds]
    one, other = (
        result.to_frame().query("protocol == 'people'").set_index("model")["pooled"]
        for result in (coupled, benched(data, ["people"]))
    )
    np.testing.assert_allclose(other, one, atol=1e-3)


def test_inflation_is_paired_over_people(coupled):
    table = coupled.inflation().set_index(["protocol", "model"])
    r = coupled.to_frame().set_index(["protocol", "model"])["r"]
    found = table.loc["neurobolt", "core"]
    assert found["n"] == 2 and found["ci_low"] < found["difference"] < found["ci_high"]
    assert_allclose(found["difference"], r["neurobolt", "core"] - r["blocked", "core"], atol=0.02)
    with pytest.raises(ValueError, match="Inflation is what protocols add to 'blocked'"):
        BenchResult({"people": coupled.results_["people"]}, {}).inflation()


def test_figure_of_inflation(coupled):
    fig = plot_inflation(coupled, models=["core", "time"], show=False)
    (panel,) = fig.axes
    said = [text.get_text() for text in panel.texts]
    added = coupled.inflation().set_index(["protocol", "model"])["difference"]
    assert len(said) == 4 and f"{added['people', 'core']:+.2f}" in said
    assert [t.get_text() for t in panel.get_yticklabels()] == ["core", "time since the start"]


def test_bold_as_published_is_filtered_as_a_whole():
    y = np.random.default_rng(0).standard_normal((200, 2))
    (found,) = _as_published([pd.DataFrame(y, columns=["a", "b"])], 2.0)
    smooth = filtfilt(*butter(5, 0.15, fs=0.5), y, axis=0)
    smooth -= smooth.mean(axis=0)
    assert list(found.columns) == ["a", "b"]
    assert_allclose(found, smooth / np.quantile(np.abs(smooth), 0.95, axis=0), atol=1e-8)


def test_first_and_last_parts_of_every_recording():
    frames = np.r_[np.arange(15, 215, 10), np.arange(15, 115, 10)]
    table = pd.DataFrame({"recording": [0] * 20 + [1] * 10, "frame": frames, "n_frames": 10})
    train, test = _first_and_last(table)
    assert frames[test].tolist() == [195, 205, 105]
    last = {0: 0, 1: 0}
    for row in train:
        last[table["recording"][row]] = max(last[table["recording"][row]], frames[row] + 10)
    assert last == {0: 175, 1: 95}  # 80 %, and ten frames at least before the test


def test_shuffled_windows_have_neighbours_on_both_sides():
    folds = [*_folds("interleaved", None, 0).split(np.zeros(30))]
    assert len(folds) == 5 and all(np.isin(test + 1, train).any() for train, test in folds)


def test_real_band_power():
    data = load_eeg_fmri_sleep()
    model = SambaTranslator(
        t_r=data.t_r, model=CoreModel(bands=Precomputed("log", data.bands), hrf="canonical",
                                      target_bands=False, loss="squared"),
        reader=Reader(sfreq=data.sfreq, slice_time_ref=data.slice_time_ref), random_state=0,
    )  # fmt: skip
    X, y = [p[..., :240] for p in data.power[:2]], [s[:240] for s in data.states[:2]]
    protocols = ["people", "neurobolt"]
    result = bench(X, y, data.subjects[:2], models={"core": model}, protocols=protocols, n_shifts=9)
    assert list(result.results_) == protocols
    assert np.isfinite(result.to_frame()["r"]).all()


def test_input_that_cannot_be():
    data = world(2, True)
    with pytest.raises(ValueError, match="protocols must be"):
        benched(data, ["random"])
    with pytest.raises(TypeError, match="bench takes recordings"):
        bench(np.zeros((5, 3, 100)), np.zeros((5, 10, 2)), t_r=2.0)
    with pytest.raises(TypeError, match="models must map names to translators"):
        bench(data.raws, data.bolds, models=SambaTranslator(t_r=2.0))
    arrays = [raw.get_data() for raw in data.raws]
    with pytest.raises(ValueError, match=r"say their rate.*Reader\(sfreq"):
        bench(arrays, data.bolds, t_r=2.0, protocols=["blocked"])
