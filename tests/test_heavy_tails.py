"""Fits of BOLD with spikes: the same accuracy as without, intervals that hold, weights that say."""

import numpy as np
import pytest

from mne_samba import SambaTranslator, read_samba
from mne_samba.baselines import BandPowerRidge
from mne_samba.metrics import pearson
from mne_samba.models import CoreModel
from mne_samba.viz import plot_frame_weights

QUICK = {"power": "linear", "target_bands": False, "hrf": "double_gamma"}


def core(loss):
    return SambaTranslator(t_r=2.0, model=CoreModel(loss=loss, **QUICK), random_state=0)


@pytest.fixture(scope="module")
def spiky(people):
    """BOLD of two people with spikes in 5 % of their volumes, and which these are."""
    rng = np.random.default_rng(0)
    bolds, hit = [], []
    for bold in people.bolds[:2]:
        volumes = np.sort(rng.choice(np.arange(20, len(bold)), len(bold) // 20, replace=False))
        bold = bold.copy()
        bold[volumes] += 6 * bold.std(axis=0) * rng.choice([-1, 1], (len(volumes), 1))
        bolds, hit = [*bolds, bold], [*hit, volumes]
    return bolds, hit


@pytest.fixture(scope="module")
def robust(people, spiky):
    return core("auto").fit(people.raws[:2], spiky[0])


def test_spikes_cost_little(people, spiky, robust):
    def score(translator):
        pred = translator.predict(people.raws[2])
        return pearson(people.truth.clean_bolds[2][15:], pred[15:]).mean()

    clean = core("auto").fit(people.raws[:2], people.bolds[:2])
    squared = core("squared").fit(people.raws[:2], spiky[0])
    assert clean.frame_weights_ is None and squared.frame_weights_ is None
    assert score(robust) > score(clean) - 0.03
    assert score(robust) > score(squared) + 0.03


def test_weights_name_the_spikes_and_are_kept(spiky, robust, tmp_path):
    for weights, bold, hit in zip(robust.frame_weights_, *spiky, strict=True):
        assert weights.shape == bold.shape and np.isnan(weights[:15]).all()
        mean = weights.mean(axis=1)
        others = np.setdiff1d(np.arange(15, len(bold)), hit)
        assert mean[hit].max() < 0.5 and np.median(mean[others]) > 0.9
    robust.save(tmp_path / "model.samba")
    again = read_samba(tmp_path / "model.samba")
    for one, other in zip(again.frame_weights_, robust.frame_weights_, strict=True):
        np.testing.assert_array_equal(one, other)


def test_intervals_hold_what_was_measured(people, spiky, robust):
    low, high = robust.predict_interval(people.raws[:2], 0.9)
    inside = [(b >= lo) & (b <= hi) for b, lo, hi in zip(spiky[0], low, high, strict=True)]
    assert 0.82 < np.mean([i[15:].mean() for i in inside]) < 0.96


def test_ridge_has_the_same_loss(people, spiky):
    ridge = BandPowerRidge(t_r=2.0).fit(people.raws[:1], spiky[0][:1])
    (weights,) = ridge.frame_weights_
    assert weights[spiky[1][0]].max() < 0.5
    squared = BandPowerRidge(t_r=2.0, loss="squared").fit(people.raws[:1], spiky[0][:1])
    truth = people.truth.clean_bolds[0][15:]
    score = [pearson(truth, m.predict(people.raws[0])[15:]).mean() for m in (ridge, squared)]
    assert score[0] > score[1]


def test_weights_are_drawn(spiky, robust):
    fig = plot_frame_weights(robust, recording=1, show=False)
    line = fig.axes[0].lines[0]
    drawn = line.get_xdata()[line.get_ydata() < 0.5]
    assert set(spiky[1][1] * 2.0) <= set(drawn)
    with pytest.raises(ValueError, match='loss="robust" asks for weights'):
        plot_frame_weights(None)
    with pytest.raises(ValueError, match="out of range"):
        plot_frame_weights(robust, recording=2)
