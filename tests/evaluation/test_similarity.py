"""RSA and CKA: definitions, invariances, and a null that respects time."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group, pearsonr, rankdata, spearmanr
from small_worlds import autocorrelated

from mne_samba.evaluation import cka, draw_shifts, noise_ceiling, rsa, similarity_null


def test_rsa_equals_ranked_dissimilarities():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 5)), rng.standard_normal((30, 4))
    expected = spearmanr(pdist(a, "correlation"), pdist(b, "correlation"))[0]
    assert rsa(a, b) == pytest.approx(expected)
    assert rsa(a, 3 * a + 1) == pytest.approx(1)
    assert rsa(a, np.ones((30, 3)), metric="euclidean") == 0


def test_cka_invariances():
    rng = np.random.default_rng(1)
    a = rng.standard_normal((40, 6))
    rotated = 5 * a @ ortho_group.rvs(6, random_state=0) + 2
    for debiased in (True, False):
        assert cka(a, rotated, debiased=debiased) == pytest.approx(1)
    assert cka(a, np.ones((40, 2))) == 0


def test_biased_cka_equals_its_definition():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((25, 3)), rng.standard_normal((25, 4))
    a, b = a - a.mean(0), b - b.mean(0)
    norm = np.linalg.norm
    expected = norm(b.T @ a) ** 2 / (norm(a.T @ a) * norm(b.T @ b))
    assert cka(a, b, debiased=False) == pytest.approx(expected)


def test_debiased_cka_of_unrelated_features_is_zero():
    rng = np.random.default_rng(3)
    pairs = [(rng.standard_normal((40, 200)), rng.standard_normal((40, 200))) for _ in range(20)]
    assert np.mean([cka(a, b, debiased=False) for a, b in pairs]) > 0.6
    assert abs(np.mean([cka(a, b) for a, b in pairs])) < 0.02


@pytest.mark.parametrize("similarity", [rsa, cka])
def test_null_by_rolling(similarity):
    rng = np.random.default_rng(4)
    p = []
    for _ in range(20):
        a, b = autocorrelated(rng, 80, 3), autocorrelated(rng, 80, 3)
        shifts = draw_shifts(80, 39, 10, rng)
        observed, null, value = similarity_null(a, b, shifts, similarity=similarity)
        p.append(value)
        assert observed == pytest.approx(similarity(a, b))
        assert null[3] == pytest.approx(similarity(a, np.roll(b, shifts[3], axis=0)))
    assert np.mean(np.array(p) <= 0.05) <= 0.2
    noisy = a + 0.3 * rng.standard_normal(a.shape)
    assert similarity_null(a, noisy, shifts, similarity=similarity)[2] == 1 / 40


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_noise_ceiling_is_what_the_truth_and_no_model_reaches(method):
    rng, truth = np.random.default_rng(5), np.random.default_rng(6).standard_normal((20, 6))
    people = [truth + 0.8 * rng.standard_normal(truth.shape) for _ in range(8)]
    low, high = noise_ceiling(people, metric="euclidean", method=method)
    assert 0 < low < high < 1

    def mean(model):
        each = [rsa(person, model, metric="euclidean", method=method) for person in people]
        return np.mean(each)

    assert low < mean(truth) < high
    # The best model there is: distances that are the mean of people's.
    distances = np.stack([pdist(person) for person in people])
    distances = rankdata(distances, axis=1) if method == "spearman" else distances
    distances = (distances - distances.mean(1, keepdims=True)) / distances.std(1, keepdims=True)
    score = {"spearman": spearmanr, "pearson": pearsonr}[method]
    best = [score(own, distances.mean(0)).statistic for own in distances]
    assert high == pytest.approx(np.mean(best))
    assert noise_ceiling([truth, truth], metric="euclidean", method=method) == pytest.approx((1, 1))


def test_refuses_what_does_not_match():
    with pytest.raises(ValueError, match="two people or more, got 1"):
        noise_ceiling([np.ones((5, 2))])
    with pytest.raises(ValueError, match="method must"):
        noise_ceiling([np.ones((5, 2))] * 2, method="kendall")
    with pytest.raises(ValueError, match="same samples"):
        noise_ceiling([np.ones((5, 2)), np.ones((6, 2))])
    with pytest.raises(ValueError, match="same samples"):
        rsa(np.ones((5, 2)), np.ones((6, 2)))
    with pytest.raises(ValueError, match="two features"):
        rsa(np.arange(5.0), np.arange(5.0))
    with pytest.raises(ValueError, match="method must"):
        rsa(np.ones((5, 2)), np.ones((5, 2)), method="kendall")
