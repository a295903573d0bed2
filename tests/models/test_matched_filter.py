"""The matched filter: scores against their definition, ranks, what it learns from."""

import numpy as np
import pytest
from inverse_small import World, paired
from scipy.stats import multivariate_normal

from mne_samba.model_file import classes_of, pack, unpack
from mne_samba.models.retrieval import MatchedFilter, retrieval_summary


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


def test_sizes_of_short_lists_are_checked():
    with pytest.raises(ValueError, match="k must be"):
        retrieval_summary(np.eye(4), k=0)


def test_residuals_and_bold_are_measured_on_the_frames_of_training():
    """A region that is missing stands at its mean; a file holds the four arrays."""
    data = paired(World.of(), 400)
    rng = np.random.default_rng(0)
    frames = [t + 0.1 * rng.standard_normal(t.shape) for t in data.targets]
    frames[0][:, 2] = 0.1 * rng.standard_normal(400)
    data.targets[0][5] = np.nan
    data.targets[0][:, 2] = np.nan
    matched = MatchedFilter.of(data, frames)
    noise, total = np.diag(matched.noise), np.diag(matched.total)
    seen = np.arange(len(noise)) != 2
    np.testing.assert_allclose(noise[seen], 0.01, rtol=0.6)
    np.testing.assert_allclose(total[seen], 1.0, rtol=0.2)
    assert matched.total_acf[1] > 0.5 > abs(matched.noise_acf[1])
    read = unpack(*pack(matched)[:2], classes_of(MatchedFilter))
    np.testing.assert_array_equal(read.total, matched.total)
