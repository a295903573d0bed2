"""Blocked splits: nothing shared, frames apart, and at home in scikit-learn."""

import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_validate

from mne_samba.model_selection import (
    BlockedTimeSplit,
    LeaveSubjectAndSegmentOut,
    blocked_train_test_split,
)

SFREQ = 10.0


def make_epochs(n_windows=30, n_frames=10, t_r=2.0, context=10.0, step=None, recordings=("a",)):
    """Epochs with the metadata of make_windows; samples hold nothing."""
    step = n_frames * t_r if step is None else step
    rows = [
        {"subject": f"sub-{r}", "run": 1, "recording": r, "onset": context + k * step}
        for r in recordings
        for k in range(n_windows)
    ]
    table = pd.DataFrame(rows).assign(t_r=t_r, n_frames=n_frames, context=context)
    table["frame"] = ((table["onset"] - context) / t_r).round().astype(int)
    n_times = round((context + n_frames * t_r) * SFREQ)
    return mne.EpochsArray(
        np.zeros((len(table), 1, n_times)),
        mne.create_info(1, SFREQ, "eeg"),
        tmin=-context,
        metadata=table,
        verbose=False,
    )


def assert_apart(epochs, train, test, gap):
    """Compare every training window with every test window, sample by sample."""
    table = epochs.metadata.reset_index(drop=True)
    first = np.rint((table["onset"] + epochs.tmin) * SFREQ).astype(int).to_numpy()
    samples = [set(range(f, f + len(epochs.times))) for f in first]
    frames = [
        onset + np.arange(n) * t_r
        for onset, n, t_r in zip(table["onset"], table["n_frames"], table["t_r"], strict=True)
    ]
    for i in train:
        for j in test:
            if table["recording"][i] != table["recording"][j]:
                continue
            assert not samples[i] & samples[j]
            assert np.abs(np.subtract.outer(frames[i], frames[j])).min() >= gap - 1e-6


@settings(max_examples=40, deadline=None)
@given(
    n_windows=st.integers(20, 40),
    n_frames=st.integers(1, 8),
    t_r=st.sampled_from([0.7, 1.0, 2.0, 2.5]),
    context=st.sampled_from([0.0, 5.0, 30.0]),
    overlap=st.sampled_from([0.3, 0.5, 1.0, 1.5]),
    gap=st.sampled_from([0.0, 3.3, 10.0, 30.0]),
    n_splits=st.integers(2, 5),
    recordings=st.sampled_from([("a",), ("a", "b")]),
    seed=st.integers(0, 99),
)
def test_no_sample_is_shared_and_frames_are_apart(
    n_windows, n_frames, t_r, context, overlap, gap, n_splits, recordings, seed
):
    step = max(round(n_frames * t_r * overlap, 6), 0.2)
    epochs = make_epochs(n_windows, n_frames, t_r, context, step, recordings)
    order = np.random.default_rng(seed).permutation(len(epochs))
    epochs = epochs[order]  # windows in any order
    cv = BlockedTimeSplit(n_splits, gap)
    try:
        folds = list(cv.split(epochs))
    except ValueError as error:
        assert "too short for the gap" in str(error)
        return
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested) == list(range(len(epochs)))  # every window once
    onset = epochs.metadata["onset"].to_numpy()
    names = epochs.metadata["recording"].to_numpy()
    for train, test in folds:
        assert_apart(epochs, train, test, gap)
        for name in recordings:  # contiguous: no other window lies between
            inside = onset[test[names[test] == name]]
            span = (onset >= inside.min()) & (onset <= inside.max()) & (names == name)
            assert set(np.flatnonzero(span)) <= set(test)
    # Nested: the inner split sees the holes of the outer one.
    train = folds[0][0]
    inner = [epochs[[int(i)]] for i in train]
    try:
        for fit, validate in BlockedTimeSplit(2, gap).split(inner):
            assert_apart(epochs, train[fit], train[validate], gap)
    except ValueError as error:
        assert "too short" in str(error) or "Not enough windows" in str(error)


def test_dropped_windows_are_only_those_that_are_too_close():
    epochs = make_epochs(n_windows=60, n_frames=5, context=10.0)  # 10 s windows
    train, test = next(iter(BlockedTimeSplit(4, gap=30.0).split(epochs)))
    np.testing.assert_array_equal(test, np.arange(15))
    # The last test frame is 148 s after the first; window 18, at 180 s, is the first 30 s later.
    assert train.min() == 18
    train, _ = next(iter(BlockedTimeSplit(4, gap=0.0).split(epochs)))
    assert train.min() == 16  # ten seconds of history alone
    touching = make_epochs(n_windows=60, n_frames=5, context=0.0)
    train, _ = next(iter(BlockedTimeSplit(4, gap=0.0).split(touching)))
    assert train.min() == 15  # neighbours that share nothing stay


def test_other_recordings_are_not_dropped():
    epochs = make_epochs(n_windows=20, recordings=("a", "b", "c"))
    for train, test in BlockedTimeSplit(4).split(epochs):
        names = epochs.metadata["recording"].to_numpy()
        assert set(names[test]) == {"a", "b", "c"}
        for name in "abc":
            assert 10 <= (names[train] == name).sum() < 15


@pytest.mark.parametrize("kind", ["epochs", "list", "table", "array", "onset"])
def test_kinds_of_input_agree(kind):
    epochs = make_epochs(n_windows=30, context=30.0)
    y = np.zeros((30, 10, 2))
    expected = list(BlockedTimeSplit(3).split(epochs))
    cv, X, kwargs = BlockedTimeSplit(3), epochs, {}
    if kind == "list":
        X = [epochs[i] for i in range(30)]
    elif kind == "table":
        X = epochs.metadata
    elif kind == "array":
        cv, X = BlockedTimeSplit(3, t_r=2.0), epochs.get_data()
    elif kind == "onset":
        cv, X = BlockedTimeSplit(3, t_r=2.0), epochs.get_data()
        kwargs = {"onset": epochs.metadata["onset"].to_numpy()}
    for (train, test), (a, b) in zip(cv.split(X, y, **kwargs), expected, strict=True):
        np.testing.assert_array_equal(train, a)
        np.testing.assert_array_equal(test, b)


def test_rows_of_features_are_frames():
    X = np.zeros((300, 4))
    for train, test in BlockedTimeSplit(3, gap=30.0, t_r=2.0, context=0.0).split(X, X):
        assert np.abs(np.subtract.outer(train, test)).min() == 15


def test_groups_name_recordings_of_arrays():
    groups = np.repeat(["a", "b"], 30)
    cv = BlockedTimeSplit(3, window=20.0)
    folds = list(cv.split(np.zeros((60, 2, 50)), groups=groups))
    assert [len(test) for _, test in folds] == [20, 20, 20]
    assert set(groups[folds[0][1]]) == {"a", "b"}


class WindowMean(RegressorMixin, BaseEstimator):
    """Predicts its training mean times alpha; checks that it was given windows."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def fit(self, X, y):
        self.mean_ = np.mean(y, axis=0)
        self.onsets_ = [x.metadata["onset"].iloc[0] for x in X]
        return self

    def predict(self, X):
        return np.repeat(self.alpha * self.mean_[np.newaxis], len(X), axis=0)

    def score(self, X, y):
        return -float(np.mean((self.predict(X) - y) ** 2))


@pytest.mark.parametrize("routing", [False, True])
def test_in_scikit_learn_and_nested(routing):
    epochs = make_epochs(n_windows=60, n_frames=5, context=10.0)
    y = np.random.default_rng(0).standard_normal((60, 5, 3)) + 5
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(WindowMean(), {"alpha": [0.0, 1.0]}, cv=BlockedTimeSplit(2, gap=10))
        outer = BlockedTimeSplit(3, gap=30.0)
        # Without params, scikit-learn 1.6 cannot route.
        result = cross_validate(search, epochs, y, cv=outer, return_estimator=True, params={})
        assert all(s.best_params_ == {"alpha": 1.0} for s in result["estimator"])
        for fitted, (train, _) in zip(result["estimator"], outer.split(epochs), strict=True):
            expected = epochs.metadata["onset"].to_numpy()[train]
            np.testing.assert_array_equal(fitted.best_estimator_.onsets_, expected)
        assert cross_val_predict(WindowMean(), epochs, y, cv=outer, params={}).shape == y.shape


class MeanModel(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.mean_ = np.mean(y)
        self.n_ = len(X)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)

    def score(self, X, y):
        return -float(self.n_)


def test_onset_is_routed_to_the_splitter():
    n = 60
    order = np.random.default_rng(0).permutation(n)
    X, y = np.zeros((n, 2, 50)), np.zeros(n)
    cv = BlockedTimeSplit(3, window=10.0, context=10.0)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cv.set_split_request(onset=True)
        onset = order * 10.0
        got = cross_validate(MeanModel(), X, y, cv=routed, params={"onset": onset})
        GridSearchCV(MeanModel(), {}, cv=routed).fit(X, y, onset=onset)
    expected = [-len(train) for train, _ in cv.split(X, onset=onset)]
    np.testing.assert_array_equal(got["test_score"], expected)


def test_repr_clone_and_number_of_splits():
    cv = BlockedTimeSplit(4, gap=12.0)
    assert "n_splits=4" in repr(cv) and "gap=12.0" in repr(cv)
    assert cv.get_n_splits() == 4
    assert len(list(cv.split(make_epochs(40)))) == 4


def test_train_test_split_tests_the_end_of_each_recording():
    epochs = make_epochs(n_windows=40, recordings=("a", "b"))
    train, test = blocked_train_test_split(epochs, test_size=0.25)
    np.testing.assert_array_equal(test, np.r_[30:40, 70:80])
    assert_apart(epochs, train, test, 30.0)
    assert set(train) < set(np.r_[0:30, 40:70])
    with pytest.raises(ValueError, match="share between 0 and 1"):
        blocked_train_test_split(epochs, test_size=10)


def test_people_who_share_a_stimulus():
    epochs = make_epochs(n_windows=30, recordings=("a", "b", "c"))
    people = epochs.metadata["subject"].to_numpy()
    onset = epochs.metadata["onset"].to_numpy()
    cv = LeaveSubjectAndSegmentOut(n_segments=3, gap=30.0)
    folds = list(cv.split(epochs))
    assert len(folds) == cv.get_n_splits(epochs) == 9
    np.testing.assert_array_equal(np.sort(np.concatenate([t for _, t in folds])), np.arange(90))
    for train, test in folds:
        assert len(set(people[test])) == 1 and people[test][0] not in people[train]
        last = 9 * 2.0
        distance = np.maximum(
            np.subtract.outer(onset[train], onset[test] + last),
            np.subtract.outer(onset[test], onset[train] + last).T,
        )
        assert distance.min() >= 30.0


def test_different_stimuli_share_nothing():
    epochs = make_epochs(n_windows=30, recordings=("a", "b", "c"))
    table = epochs.metadata.copy()
    table["film"] = np.where(table["recording"] == "c", "other", "same")
    table["film_time"] = table["onset"] + np.where(table["recording"] == "b", 40.0, 0.0)
    epochs.metadata = table
    cv = LeaveSubjectAndSegmentOut(3, stimulus="film", time="film_time")
    for train, test in cv.split(epochs):
        if table["recording"].to_numpy()[test[0]] == "a":
            names = table["recording"].to_numpy()[train]
            assert (names == "c").sum() == 30
            film = table["film_time"].to_numpy()
            rows = train[names == "b"]
            assert np.abs(np.subtract.outer(film[rows], film[test])).min() >= 48.0
    with pytest.raises(ValueError, match="no column 'movie'"):
        next(LeaveSubjectAndSegmentOut(3, stimulus="movie").split(epochs))


def test_ordinary_folds_do_share_samples():
    """The check of this file sees a leak: interleaved folds fail it."""
    epochs = make_epochs(n_windows=30)
    train, test = next(iter(KFold(3, shuffle=True, random_state=0).split(np.zeros(30))))
    with pytest.raises(AssertionError):
        assert_apart(epochs, train, test, 0.0)


@pytest.mark.parametrize(
    ("X", "cv", "message"),
    [
        ([np.zeros((3, 500))] * 4, BlockedTimeSplit(2), "make_windows"),
        (np.zeros((9, 3, 50)), BlockedTimeSplit(2), "time of the windows is unknown"),
        (make_epochs(4), BlockedTimeSplit(5), "Not enough windows"),
        (make_epochs(6), BlockedTimeSplit(3, gap=100.0), "too short for the gap"),
        (make_epochs(6), BlockedTimeSplit(1), "n_splits must be at least 2"),
        (make_epochs(6), BlockedTimeSplit(2, gap="long"), "gap must be a number, got 'long'"),
        (make_epochs(6), BlockedTimeSplit(2, gap=-1.0), "gap must be at least 0"),
        (make_epochs(6), LeaveSubjectAndSegmentOut(3), "at least two people"),
        (np.zeros((9, 3, 50)), LeaveSubjectAndSegmentOut(3, window=5.0), "give groups"),
    ],
)
def test_errors_say_what_to_do(X, cv, message):
    with pytest.raises((TypeError, ValueError), match=message):
        list(cv.split(X))


def test_a_list_of_long_epochs_is_refused():
    epochs = make_epochs(8)
    with pytest.raises(ValueError, match="one epoch"):
        next(BlockedTimeSplit(2).split([epochs[:4], epochs[4:]]))
