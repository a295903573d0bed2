"""Finding the BOLD window that belongs to a window of electrophysiology."""

import numpy as np
import pytest

from mne_samba import CoreModel, SambaTranslator, make_windows


@pytest.fixture(scope="module")
def pairs(people):
    model = SambaTranslator(
        t_r=2.0, model=CoreModel(power="linear", target_bands=False), random_state=0
    )
    model.fit(people.raws[:2], people.bolds[:2])
    epochs, y = make_windows(people.raws[2], people.bolds[2], t_r=2.0, window=10.0)
    return model, epochs, y


def test_partners_are_found_in_a_new_person(pairs):
    model, epochs, y = pairs
    found = model.retrieval_score(epochs, y, k=(1, 5))
    assert found.n_candidates == len(y)
    assert found.top[1] > 0.8
    assert found.median_rank == 1
    assert found.chance[5] == pytest.approx(5 / len(y))


def test_strangers_are_at_chance(pairs):
    model, epochs, y = pairs
    ranks = [
        model.retrieval_score(epochs, np.roll(y, s, axis=0)).median_rank
        for s in range(6, len(y) - 5, 4)
    ]
    assert np.mean(ranks) == pytest.approx((len(y) + 1) / 2, rel=0.35)


def test_recordings_and_bad_k_are_refused(people, pairs):
    model, epochs, y = pairs
    with pytest.raises(ValueError, match="two windows"):
        model.retrieval_score(people.raws, people.bolds)
    with pytest.raises(ValueError, match="k must be"):
        model.retrieval_score(epochs, y, k=0)


def test_covariances_of_very_many_targets_are_not_measured(people, pairs, monkeypatch):
    _, epochs, y = pairs
    monkeypatch.setattr("mne_samba.models.retrieval.MOST_TARGETS", y.shape[-1] - 1)
    core = CoreModel(power="linear", target_bands=False)
    model = SambaTranslator(t_r=2.0, model=core, random_state=0)
    model.fit(people.raws[:1], people.bolds[:1])
    with pytest.raises(ValueError, match=f"this model has {y.shape[-1]}: average voxels"):
        model.retrieval_score(epochs, y)
