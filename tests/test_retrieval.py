"""Finding the BOLD window that belongs to a window of electrophysiology."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mne_samba import SambaTranslator, make_windows
from mne_samba._reverse.retrieval import MatchedFilter, retrieval_summary


@pytest.fixture(scope="module")
def pairs(people):
    model = SambaTranslator(t_r=2.0, corrections="never", random_state=0)
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
    pred, bold = model._paired_frames(epochs, y)
    ranks = [
        retrieval_summary(model._matched.scores(pred, np.roll(bold, s, axis=0))).median_rank
        for s in range(6, len(y) - 5)
    ]
    assert np.mean(ranks) == pytest.approx((len(y) + 1) / 2, rel=0.35)


def test_scores_are_the_gaussian_likelihood_ratio():
    rng = np.random.default_rng(0)
    matched = MatchedFilter(
        np.array([[1.0, 0.4], [0.4, 2.0]]), np.array([[2.0, 0.1], [0.1, 3.0]]),
        0.5 ** np.arange(3), 0.8 ** np.arange(3),
    )  # fmt: skip
    pred, bold = rng.standard_normal((2, 4, 3, 2))
    lags = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    nugget, ridge = 0.02 * np.eye(3), 1e-3 * np.eye(2)
    noise = np.kron(0.5**lags + nugget, matched.noise + 1.5 * ridge)
    total = np.kron(0.8**lags + nugget, matched.total + 2.5 * ridge)
    expected = [
        [
            multivariate_normal.logpdf((y - p).ravel(), cov=noise)
            - multivariate_normal.logpdf(y.ravel(), cov=total)
            for y in bold
        ]
        for p in pred
    ]
    constant = np.linalg.slogdet(total)[1] - np.linalg.slogdet(noise)[1]
    scores = matched.scores(pred, bold) + 0.5 * constant
    # What depends on the query alone changes no rank.
    expected, scores = (a - np.mean(a, axis=1, keepdims=True) for a in (expected, scores))
    np.testing.assert_allclose(scores, expected, atol=1e-8)


def test_ranks_count_ties_half():
    found = retrieval_summary(np.zeros((9, 9)), k=5)
    assert found.median_rank == 5 == found.chance_rank
    best = retrieval_summary(np.eye(4), k=(1,))
    assert best.top == {1: 1.0}


def test_recordings_and_bad_k_are_refused(people, pairs):
    model, epochs, y = pairs
    with pytest.raises(ValueError, match="two windows"):
        model.retrieval_score(people.raws, people.bolds)
    with pytest.raises(ValueError, match="k must be"):
        model.retrieval_score(epochs, y, k=0)
