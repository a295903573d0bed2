"""Unmixing inside translators: no leak from test frames, chance where there is none, and gains."""

import mne
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.signal import lfilter
from sklearn.model_selection import cross_validate

from mne_samba import CoreModel, SambaTranslator, make_windows, read_samba
from mne_samba.datasets import simulate_paired
from mne_samba.metrics import pearson
from mne_samba.model_selection import BlockedTimeSplit

BANDS = {"alpha": (8, 13), "beta": (13, 30)}
T_R = 2.0


def core(unmix, **options):
    options = {"bands": BANDS, "power": "linear", "target_bands": False, "hrf": "canonical"}
    return SambaTranslator(t_r=T_R, model=CoreModel(unmix=unmix, **options), random_state=0)


def sensors(n_people, duration, seed, **options):
    options = {"n_targets": 10, "sfreq": 100.0, "montage": "biosemi32", **options}
    return simulate_paired(n_people, duration, random_state=seed, **options)


@pytest.fixture(scope="module")
def person():
    """400 s, and the same with other sources, sensors and BOLD from 250 s on."""
    data = sensors(1, 400.0, 7, n_sources=8, snr=4.0, montage="biosemi16")
    raw, bold, rng = data.raws[0], data.bolds[0], np.random.default_rng(0)
    other, later = raw.copy(), bold.copy()
    other._data[:, 25000:] = rng.standard_normal((16, 16)) @ other._data[:, 25000:]
    later[125:] = rng.standard_normal(later[125:].shape)
    return (raw, bold), (other, later)


@pytest.mark.parametrize("unmix", ["auto", "joint"])
def test_test_frames_change_nothing(person, unmix):
    # BOLD of the training frames alone, and the whole recording.
    one, other = (core(unmix).fit(raw, bold[:120]) for raw, bold in person)
    # Scores of what was tried follow all filters, also those that were not chosen.
    assert one.unmixing_.scores == other.unmixing_.scores
    assert_array_equal(one.unmixing_.get("filters", 0), other.unmixing_.get("filters", 0))
    assert_array_equal(one.predict(person[0][0]), other.predict(person[0][0]))


@pytest.mark.parametrize("unmix", ["auto", "joint"])
def test_test_windows_change_nothing(person, unmix):
    # In the last fold all that has changed is tested.
    fits = []
    for raw, bold in person:
        epochs, y = make_windows(raw, bold, t_r=T_R, window=25.0)
        folds = list(BlockedTimeSplit(3, gap=30.0).split(epochs, y))[-1:]
        starts = epochs.metadata["onset"].to_numpy()
        assert starts[folds[0][0]].max() + 25.0 <= 250.0 <= starts[folds[0][1]].min()
        found = cross_validate(
            core(unmix), epochs, y, cv=folds, return_estimator=True, error_score="raise"
        )
        fits.append((found["estimator"][0], found["test_score"][0], epochs[folds[0][0]]))
    (one, score, train), (other, new_score, _) = fits
    assert one.unmixing_.scores == other.unmixing_.scores
    assert_array_equal(one.unmixing_.get("filters", 0), other.unmixing_.get("filters", 0))
    assert_array_equal(one.predict(train), other.predict(train))
    assert score != new_score


def test_scrubbed_frames_may_fill_all_blocks_but_one(person):
    raw, bold = person[0]
    scrubbed = bold.copy()
    scrubbed[60:] = np.nan
    assert core("auto").fit(raw, scrubbed).unmixing_.method in ("channels", "joint", "whiten")


def test_unrelated_bold_stays_at_chance():
    # Worlds that differ in BOLD alone; people are each other's test.
    raws = sensors(2, 400.0, 11, n_sources=8, montage="biosemi16").raws
    scores, shifted = [], []
    for world in range(4):
        noise = np.random.default_rng(world).standard_normal((2, 260, 10))
        bolds = lfilter([1.0], [1.0, -0.6], noise, axis=1)[:, 60:]
        train, test = world % 2, 1 - world % 2
        model = core("auto").fit(raws[train], bolds[train])
        assert {"channels", "joint", "whiten"} == set(model.unmixing_.scores)
        frames, truth = model.predict(raws[test])[15:], bolds[test][15:]
        scores.append(pearson(truth, frames).mean())
        shifts = range(15, len(truth) - 15)
        shifted.append([pearson(np.roll(truth, k, axis=0), frames).mean() for k in shifts])
    chance = np.mean(shifted, axis=0)
    low, high = np.quantile(chance, [0.005, 0.995])
    assert low <= np.mean(scores) <= high
    assert abs(np.mean(scores)) <= 0.05


def scores_of(data, n, *choices):
    """Core models of the first n frames, and their correlation with later clean BOLD."""
    raw, models, scores = data.raws[0], [], []
    train = raw.copy().crop(0, T_R * n, include_tmax=False)
    for unmix in choices:
        models.append(core(unmix).fit(train, data.bolds[0][:n]))
        frames, truth = models[-1].predict(raw)[n + 15 :], data.truth.clean_bolds[0][n + 15 :]
        scores.append(pearson(truth, frames).mean())
    return models, scores


def test_better_than_channels_where_power_is_mixed():
    data = sensors(1, 900.0, 20, n_sources=24, snr=8.0)
    (model, _), (unmixed, channels) = scores_of(data, 350, "auto", None)
    assert model.unmixing_.method == "joint"
    assert unmixed > channels + 0.05


def test_many_channels_are_compared_too():
    data = simulate_paired(
        1, 900.0, level="source", n_sources=24, n_targets=24, sfreq=100.0, snr=8.0, random_state=3
    )  # fmt: skip
    _, (truth,) = scores_of(data, 350, None)
    mixed = np.random.default_rng(0).standard_normal((160, 24)) @ data.raws[0].get_data()
    data.raws[0] = mne.io.RawArray(mixed, mne.create_info(160, 100.0, "eeg"))
    (model,), (score,) = scores_of(data, 350, "auto")
    assert model.unmixing_.method == "joint"
    assert len(model.unmixing_.names) == 24
    assert score > truth - 0.02


def test_more_sources_than_channels(tmp_path):
    data = sensors(1, 900.0, 33, n_sources=24, snr=8.0, montage="biosemi16")
    models, scores = scores_of(data, 350, "underdetermined", None, "auto")
    model, raw = models[0], data.raws[0]
    assert len(model.node_names_) == 24
    model.save(tmp_path / "model.samba")
    assert_array_equal(read_samba(tmp_path / "model.samba").predict(raw), model.predict(raw))
    assert scores[0] > scores[1] + 0.05
    assert "underdetermined" in models[2].unmixing_.scores
