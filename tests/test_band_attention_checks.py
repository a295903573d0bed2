"""WaveletBandAttention as a scikit-learn estimator."""

import pickle

import joblib
import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from mne_samba import Reader
from mne_samba.transformers._band_attention import WaveletBandAttention
from mne_samba.wavelets import Morlet


@parametrize_with_checks([WaveletBandAttention(), WaveletBandAttention(output="features")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


SFREQ = 200.0


@pytest.fixture(scope="module")
def windows():
    """Two-second windows of two classes that differ in one channel's alpha, from four people."""
    rng = np.random.default_rng(0)
    times = np.arange(400) / SFREQ
    y = np.tile([0, 1], 32)
    X = rng.standard_normal((64, 3, 400)).cumsum(-1) * 0.1 + rng.standard_normal((64, 3, 400))
    phase = rng.uniform(0, 2 * np.pi, (64, 1))
    X[:, 1] += (0.5 + y[:, None]) * np.sin(2 * np.pi * 10 * times + phase)
    info = mne.create_info(["Fz", "Oz", "Cz"], SFREQ, "eeg")
    return mne.EpochsArray(X, info, verbose=False), y, np.repeat(np.arange(4), 16)


def test_clone_keeps_parameters_and_pickle_keeps_the_fit(windows):
    epochs, y, _ = windows
    bands = {"alpha": (8.0, 13.0), "beta": (13.0, 30.0)}
    bank = Morlet(bands, n_cycles=3.0)
    attention = WaveletBandAttention(output="features", bands=bank)
    copy = clone(attention)
    assert copy.bands == bank and copy.bands.bands == bands and copy.bands.n_cycles == 3.0
    assert not hasattr(copy, "bands_")
    expected = attention.fit_transform(epochs, y)
    assert_allclose(pickle.loads(pickle.dumps(attention)).transform(epochs), expected)
    assert attention.bands is bank and bank.bands is bands


def test_fit_transform_is_fit_then_transform(windows):
    epochs, y, _ = windows
    for output in ("power", "features"):
        once = WaveletBandAttention(output=output).fit_transform(epochs, y)
        twice = WaveletBandAttention(output=output).fit(epochs, y).transform(epochs)
        assert_allclose(once, twice)


def test_named_features(windows):
    epochs, y, _ = windows
    attention = WaveletBandAttention(output="features").set_output(transform="pandas")
    frame = attention.fit_transform(epochs, y)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == attention.get_feature_names_out().tolist()
    assert "Oz_alpha" in frame.columns and frame.shape == (64, 3 * len(attention.bands_))
    assert frame.var().idxmax() == "Oz_alpha"
    power = WaveletBandAttention().set_output(transform="pandas").fit(epochs, y)
    with pytest.raises(ValueError, match='use output="features"'):
        power.transform(epochs)


@pytest.mark.parametrize("routing", [False, True])
def test_pipeline_across_people(windows, routing):
    epochs, y, people = windows
    pipeline = make_pipeline(WaveletBandAttention(output="features"), LogisticRegression())
    with sklearn.config_context(enable_metadata_routing=routing):
        groups = {"params": {"groups": people}} if routing else {"groups": people}
        scores = cross_val_score(pipeline, epochs, y, cv=GroupKFold(4), **groups)
    assert scores.mean() > 0.9


def test_parallel_folds_give_the_same_scores(windows):
    epochs, y, people = windows
    attention = WaveletBandAttention(output="features", reader=Reader(sfreq=SFREQ))
    pipeline = make_pipeline(attention, LogisticRegression())
    folds = list(GroupKFold(2).split(y, y, people))
    # Threads share neither Epochs, whose indexing MNE does not guard, nor MNE's log level.
    X = epochs.get_data()
    serial = cross_val_score(pipeline, X, y, cv=folds)
    with mne.use_log_level("ERROR"), joblib.parallel_config(backend="threading"):
        assert_allclose(cross_val_score(pipeline, X, y, cv=folds, n_jobs=2), serial)


def test_refit_on_another_montage(windows):
    epochs, y, _ = windows
    attention = WaveletBandAttention().fit(epochs, y)
    attention.fit(epochs.copy().pick(["Oz", "Cz"]), y)
    assert attention.ch_names_in_ == ["Oz", "Cz"]
    with pytest.raises(ValueError, match="Fz"):
        attention.transform(epochs)
    attention.fit(np.random.default_rng(0).standard_normal((20, 4)))
    assert attention.n_features_in_ == 4
    attention.fit(epochs, y)
    assert not hasattr(attention, "n_features_in_")
