"""BOLD to electrophysiology: what is found, in which shape, and what is refused."""

import pickle
from contextlib import nullcontext

import mne
import numpy as np
import pandas as pd
import pytest
from assemble import assemble
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from mne_samba import make_windows, read_samba
from mne_samba.datasets import simulate_paired


def back(**params):
    options = {"t_r": 2.0, "direction": "hemo_to_ele", "corrections": "never", "random_state": 0,
               "target_bands": False}  # fmt: skip
    return assemble(**(options | params))


@pytest.fixture(scope="module")
def person():
    """Twenty minutes of 4 nodes that 12 targets see, in windows; the last quarter is for tests."""
    data = simulate_paired(
        1, 1200.0, level="source", n_sources=4, n_targets=12, snr=4.0, sfreq=100.0, random_state=1
    )
    epochs, y = make_windows(data.raws[0], data.bolds[0], t_r=2.0)
    onset = epochs.metadata["onset"].to_numpy()
    return data, epochs, y, np.flatnonzero(onset < 840), np.flatnonzero(onset >= 900)


@pytest.fixture(scope="module")
def model(person):
    _, epochs, y, train, _ = person
    return back().fit(y[train], epochs[train])


@pytest.fixture(scope="module")
def recordings(people):
    return back().fit(people.bolds[:2], people.raws[:2])


def test_power_that_drives_bold_is_found_in_new_frames(person, model):
    _, epochs, y, _, test = person
    scores = model.score_targets(y[test], epochs[test], metric="pearson")
    assert scores.shape == (4, 5)
    # Alpha and gamma weigh most; delta and theta drive next to nothing.
    assert scores[:, 2].mean() > 0.35
    assert scores[:, 4].mean() > 0.1
    assert scores[:, :2].mean() < scores[:, 2].mean()


def test_shifted_bold_tells_nothing(person, model):
    _, epochs, y, _, test = person
    shifted = [
        model.score_targets(np.roll(y[test], s, axis=0), epochs[test], "pearson").mean()
        for s in range(1, len(test))
    ]
    assert abs(np.mean(shifted)) < 0.1


def test_shapes_of_windows(person, model):
    _, epochs, y, _, test = person
    pred, true = model.predict(y[test]), model.target_from(epochs[test])
    assert pred.shape == true.shape == (len(test), 4, 5, 30)
    assert model.transform(y[test]).shape == (len(test), len(model.get_feature_names_out()))


def test_target_is_log_power_of_the_bin_after_the_frame(person, model):
    """Against power from another implementation: band-passed squares, averaged from k to k + 1."""
    _, epochs, _, train, _ = person
    true = model.target_from(epochs[train])
    raw = epochs[train].get_data(verbose="ERROR")
    alpha = mne.filter.filter_data(raw, 100.0, 8, 13, verbose="ERROR")
    start = round(-epochs.tmin * 100)
    power = np.log(
        (alpha[..., start : start + 6000] ** 2).reshape(*raw.shape[:2], 30, 200).mean(-1)
    )
    for node in range(4):
        r = np.corrcoef(power[:, node].ravel(), true[:, node, 2].ravel())[0, 1]
        assert r > 0.9


def test_score_is_the_mean_spearman_without_bins_whose_response_is_cut_off(person):
    """Without drift removal, whose rule is that of all estimators: see `evaluate`."""
    _, epochs, y, train, test = person
    model = back(detrend=None).fit(y[train], epochs[train])
    # Windows lose the mean of their recording.
    clean = y[test] - y[test].mean(axis=(0, 1)) + model._fitted_input.scale.bold.mean
    # A response of 18 s takes nine frames of two seconds.
    true, pred = (
        part[..., :21] for part in (model.target_from(epochs[test]), model.predict(clean))
    )
    expected = [
        spearmanr(true[:, n, k].ravel(), pred[:, n, k].ravel()).statistic
        for n in range(4)
        for k in range(5)
    ]
    assert model.score(y[test], epochs[test]) == pytest.approx(np.mean(expected))


def test_drift_of_windows_does_not_enter_the_score(person, model):
    """Scanner drift, in each region its own, as large as the signal."""
    _, epochs, y, _, test = person
    rng = np.random.default_rng(0)
    first = epochs.metadata["frame"].to_numpy(dtype=int)[test]
    frames = first[:, None] + np.arange(y.shape[1])
    drift = np.cos(np.pi * frames / frames.max())[..., None] * rng.standard_normal(12)
    drift *= 3 * y.std() / drift.std()
    scores = model.score_targets(y[test], epochs[test], metric="pearson")
    drifting = model.score_targets(y[test] + drift, epochs[test], metric="pearson")
    np.testing.assert_allclose(drifting[:, 2], scores[:, 2], atol=0.03)


def test_warm_start_adapts_to_a_new_person(people, recordings):
    """Of 100 s alone little can be learnt."""
    early, late = (people.raws[2].copy().crop(*span) for span in ((0, 99.9), (230, None)))
    bold = people.bolds[2]
    adapted = pickle.loads(pickle.dumps(recordings)).set_params(warm_start=True)
    adapted.fit([bold[:50]], [early])
    alone = back().fit([bold[:50]], [early])
    new, own = (m.score([bold[115:]], [late]) for m in (adapted, alone))
    assert new > own + 0.02
    assert not np.array_equal(adapted.predict(bold), recordings.predict(bold))


def test_warm_start_takes_over_trained_corrections(people):
    options = {"corrections": "always", "max_epochs": 1, "warm_start": True, "window": 40.0}
    model = back(**options).fit(people.bolds[:2], people.raws[:2])
    gate = model.net_.module_.branch.gate.item()
    model.set_params(trainer__lr=1e-9).fit(people.bolds[:2], people.raws[:2])
    assert gate != 0
    assert model.net_.module_.branch.gate.item() == pytest.approx(gate, rel=1e-3)


def test_regions_that_a_recording_lacks(people, recordings):
    """They are expected from the others."""
    lacking = people.bolds[2].copy()
    lacking[:, [2, 5]] = np.nan
    whole = recordings.predict(people.bolds[2])
    pred = recordings.predict(lacking)
    assert np.isfinite(pred).all()
    assert np.corrcoef(pred.ravel(), whole.ravel())[0, 1] > 0.8
    assert np.isfinite(recordings.score(lacking, people.raws[2]))


def test_people_who_lack_regions_can_be_learnt_from(people, recordings):
    bolds = [bold.copy() for bold in people.bolds[:2]]
    bolds[1][:, 2] = np.nan
    model = back().fit(bolds, people.raws[:2])
    whole, some = (m.predict(people.bolds[2]) for m in (recordings, model))
    assert np.corrcoef(whole.ravel(), some.ravel())[0, 1] > 0.9
    quick = {"max_epochs": 1, "target_bands": False, "map_prior": "gaussian"}
    trained = back(corrections="always", **quick).fit(bolds, people.raws[:2])
    assert np.isfinite(trained.history_[0]["train_loss"])


def test_region_that_nobody_has_is_refused(people):
    bolds = [np.column_stack([bold, np.full(len(bold), np.nan)]) for bold in people.bolds]
    with pytest.raises(ValueError, match=r"target010.*NaN in all recordings"):
        back().fit(bolds, people.raws)


def test_recordings_go_through_cross_validation(people, recordings):
    pred = recordings.predict(people.bolds)
    assert [p.shape for p in pred] == [(8, 5, 200)] * 3
    scores = cross_val_score(back(), people.bolds, people.raws, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.1


def test_windows_go_through_cross_validation(windows):
    epochs, y, _ = windows
    assert cross_val_score(back(), y, epochs, cv=2).mean() > 0.05


def test_arrays_give_what_epochs_give(person, model):
    _, epochs, y, train, test = person
    arrays = back(sfreq=100.0, tmin=epochs.tmin).fit(
        y[train], epochs[train].get_data(verbose="ERROR")
    )
    a, b = arrays.predict(y[test]), model.predict(y[test])
    # Arrays tell of no onset: drift is removed as if windows followed each other, and they do.
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_scrubbed_frames_are_bridged(person, model):
    _, _, y, _, test = person
    scrubbed = y[test].copy()
    scrubbed[:, 10] = np.nan
    pred = model.predict(scrubbed)
    assert np.isfinite(pred).all()
    assert np.corrcoef(pred.ravel(), model.predict(y[test]).ravel())[0, 1] > 0.9


def test_single_recording_comes_back_single(people, recordings):
    single = recordings.predict(people.bolds[2])
    assert single.shape == (8, 5, 200)
    np.testing.assert_array_equal(single, recordings.predict([people.bolds[2]])[0])


def test_corrections_that_are_trained_still_find_the_power(person, model):
    _, epochs, y, train, test = person
    trained = back(corrections="always", max_epochs=2).fit(y[train], epochs[train])
    assert trained.corrections_kept_
    assert len(trained.history_) >= 1
    assert trained.score(y[test], epochs[test]) > model.score(y[test], epochs[test]) - 0.03


def test_same_seed_same_prediction(person, model):
    _, epochs, y, train, test = person
    again = clone(model).fit(y[train], epochs[train])
    np.testing.assert_array_equal(again.predict(y[test]), model.predict(y[test]))


def test_file_holds_all_of_it(person, model, tmp_path):
    _, epochs, y, _, test = person
    model.save(tmp_path / "back.samba")
    read = read_samba(tmp_path / "back.samba")
    np.testing.assert_array_equal(read.predict(y[test]), model.predict(y[test]))
    assert read.score(y[test], epochs[test]) == model.score(y[test], epochs[test])


@pytest.mark.parametrize("verbose", [None, "ERROR"])
def test_verbose_holds_after_fit(person, model, verbose):
    """Warnings of what is read and measured are heard where they are not silenced."""
    _, epochs, y, _, test = person
    model = pickle.loads(pickle.dumps(model)).set_params(verbose=verbose)
    loud = mne.EpochsArray(
        1e6 * epochs[test].get_data(), epochs.info, tmin=epochs.tmin,
        metadata=epochs[test].metadata, verbose="ERROR",
    )  # fmt: skip
    counting = pd.DataFrame(y[test][0])
    counting[0] = np.arange(len(counting))
    units, counter = "about 1e.* times that of training", "only count"
    calls = [
        (lambda: model.target_from(loud), units),
        (lambda: model.score(y[test], loud), units),
        (lambda: model.latents(loud, "ele"), units),
        (lambda: model.predict(counting), counter),
        (lambda: model.latents(counting), counter),
    ]
    for call, said in calls:
        heard = pytest.warns(RuntimeWarning, match=said) if verbose is None else nullcontext()
        with heard:
            call()


def test_swapped_modalities_are_refused(people):
    with pytest.raises(ValueError, match="swapped"):
        back().fit(people.raws, people.bolds)


def test_labels_where_bold_is_expected_are_refused(windows):
    epochs, _, _ = windows
    with pytest.raises(ValueError, match="labels"):
        back().fit(np.arange(len(epochs)), epochs)


def test_frames_too_few_for_deconvolution_are_refused(people):
    epochs, y = make_windows(people.raws[0], people.bolds[0], t_r=2.0, window=10.0)
    with pytest.raises(ValueError, match="too few for deconvolution"):
        back().fit(y, epochs)


def test_scoring_windows_shorter_than_a_response_is_refused(people, recordings):
    epochs, y = make_windows(people.raws[0], people.bolds[0], t_r=2.0, window=10.0)
    with pytest.raises(ValueError, match="too few for deconvolution"):
        recordings.score(y, epochs)


def test_what_is_no_bold_is_refused(people, recordings):
    epochs, _ = make_windows(people.raws[0], people.bolds[0], t_r=2.0, window=40.0)
    with pytest.raises(ValueError, match="swapped"):
        recordings.predict(people.raws)
    with pytest.raises(ValueError, match="labels"):
        recordings.predict(np.arange(200))
    with pytest.raises(ValueError, match="single frame"):
        recordings.predict([people.bolds[0][:1]])
    with pytest.raises(ValueError, match="they must be pairs"):
        recordings.score(people.bolds[:2], epochs)


def test_regions_are_found_by_name(people):
    """Alone and beside windows, which carry the names of their table."""
    names = [f"region {letter}" for letter in "jihgfedcba"]
    bolds = [pd.DataFrame(bold, columns=names) for bold in people.bolds]
    model = back(map_prior="gaussian").fit(bolds[:2], people.raws[:2])
    mixed = bolds[2][sorted(names)]
    np.testing.assert_array_equal(model.predict(mixed), model.predict(bolds[2]))
    scores = [
        model.score(*make_windows(people.raws[2], bold, t_r=2.0, window=60.0)[::-1])
        for bold in (bolds[2], mixed)
    ]
    assert scores[0] == scores[1]
    with pytest.raises(ValueError, match=r"\['region c'\] are missing, \['thalamus'\] are new"):
        model.predict(mixed.rename(columns={"region c": "thalamus"}))


def test_other_number_of_regions_is_refused(people, recordings):
    with pytest.raises(ValueError, match="9 regions"):
        recordings.predict([people.bolds[0][:, :9]])


def test_windows_of_another_t_r_than_that_of_fit_are_refused(people):
    """Also where both come from the windows' metadata."""
    cut = [
        make_windows(people.raws[0], people.bolds[0][:: int(t_r) // 2], t_r=t_r, window=60.0)
        for t_r in (2.0, 4.0)
    ]
    (epochs, y), (slow, few) = cut
    model = back(t_r=None).fit(y, epochs)
    said = r"tied to the t_r that it was fitted on \(2 s\), got t_r=4 s"
    with pytest.raises(ValueError, match=said):
        model.target_from(slow)
    with pytest.raises(ValueError, match=said):
        model.score(few, slow)


def test_numbers_of_windows_must_agree(windows):
    epochs, y, _ = windows
    with pytest.raises(ValueError, match="windows"):
        back().fit(y[:-1], epochs)


def test_free_responses_have_no_parameters_but_their_own_peak(people, recordings):
    """As in the other direction: the double gamma that comes nearest was not fitted."""
    free = back(hrf="fir", map_prior="gaussian").fit(people.bolds[:2], people.raws[:2])
    assert free.hrf_params_.isna().all(axis=None)
    assert free.hrf_params_.shape == recordings.hrf_params_.shape == (10, 6)
    peaks = free.hrf_times_[np.abs(free.hrf_).argmax(axis=1)]
    np.testing.assert_array_equal(free.hrf_peak_time_, peaks)
    assert np.isfinite(recordings.hrf_params_).all(axis=None)
