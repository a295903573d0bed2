"""BandPowerScreening: what passes, what does not, and how often by chance."""

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import lfilter
from scipy.stats import pearsonr
from sklearn.feature_selection import mutual_info_regression
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from mne_samba import BandPowerScreening, FramewiseRegressor, LearnableHRF, WaveletBandAttention


# scikit-learn's checks draw few samples, often unrelated to y.
@pytest.mark.filterwarnings("ignore:.*features pass alpha:RuntimeWarning")
@parametrize_with_checks(
    [BandPowerScreening(random_state=0), BandPowerScreening("mutual_info", random_state=0)]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def u_shaped(n=600, n_features=12, seed=0):
    """Features of which the first drives y at both ends, and the second as a line."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, n_features))
    return X, X[:, 0] ** 2 + 0.7 * X[:, 1] + rng.standard_normal(n)


def autocorrelated(rng, n, k, phi=0.85):
    """Series as smooth as haemodynamics."""
    return lfilter([1.0], [1.0, -phi], rng.standard_normal((n + 100, k)), axis=0)[100:]


def test_scores_are_those_of_others():
    X, y = u_shaped()
    linear = BandPowerScreening(random_state=0).fit(X, y)
    assert_allclose(linear.scores_, [abs(pearsonr(x, y)[0]) for x in X.T])
    # Of jointly normal series, information is known: -log(1 - r^2) / 2.
    rng = np.random.default_rng(1)
    for r in (0.0, 0.4, 0.8):
        a, b = rng.standard_normal((2, 5000))
        pair = a, r * a + np.sqrt(1 - r**2) * b
        ours = BandPowerScreening("mutual_info", n_shifts=1, random_state=0, alpha=1.0)
        found = ours.fit(pair[0][:, None], pair[1]).scores_[0]
        assert abs(found + 0.5 * np.log(1 - r**2)) < 0.05 + 0.1 * r**2
    shared = BandPowerScreening("mutual_info", random_state=0).fit(X, y)
    nearest = mutual_info_regression(X, y, random_state=0)
    assert_array_equal(np.argsort(-shared.scores_)[:2], np.argsort(-nearest)[:2])
    assert (np.abs(np.log(shared.scores_[:2] / nearest[:2])) < np.log(2)).all()


def test_information_sees_what_correlation_does_not():
    X, y = u_shaped()
    assert_array_equal(
        np.flatnonzero(BandPowerScreening(random_state=0).fit(X, y).get_support()), 1
    )
    both = BandPowerScreening("mutual_info", random_state=0).fit(X, y)
    assert_array_equal(np.flatnonzero(both.get_support()), [0, 1])
    # The threshold is where p values reach alpha.
    assert_array_equal(both.scores_ > both.threshold_, both.p_values_ <= 0.05)
    assert_array_equal(both.transform(X), X[:, :2])
    assert_array_equal(both.get_feature_names_out(), ["x0", "x1"])


def test_ranks_make_information_the_same_for_any_scale():
    X, y = u_shaped()
    one, other = (
        BandPowerScreening("mutual_info", random_state=0).fit(x, v)
        for x, v in ((X, y), (np.exp(X), 7 * y - 3))
    )
    assert_allclose(one.scores_, other.scores_, atol=1e-6)


@pytest.mark.parametrize(("score", "n_recordings"), [("pearson", 2), ("mutual_info", 1)])
def test_autocorrelated_features_pass_by_chance_as_often_as_said(score, n_recordings):
    """Bounds of a binomial of 120 worlds; the benchmark draws more."""
    passed = 0
    groups = np.repeat(np.arange(n_recordings), 300 // n_recordings)
    for seed in range(120):
        rng = np.random.default_rng(seed)
        X, y = autocorrelated(rng, 300, 8), autocorrelated(rng, 300, 1)
        found = BandPowerScreening(
            score, n_shifts=99, random_state=seed, min_features_to_select=0
        ).fit(X, y, groups)
        passed += (found.p_values_ <= 0.05).any()
    assert 1 <= passed <= 13


def test_recordings_are_shifted_and_centred_on_their_own():
    """Levels that differ between recordings alone are no association."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 100)
    level = np.repeat([0.0, 5.0, -3.0, 8.0], 100)
    X, y = rng.standard_normal((400, 3)) + level[:, None], rng.standard_normal(400) + level
    for score in ("pearson", "mutual_info"):
        own = BandPowerScreening(score, random_state=0, min_features_to_select=0)
        assert own.fit(X, y, groups).p_values_.min() > 0.05
        y2 = y + X[:, 1]
        assert_array_equal(own.fit(X, y2, groups).get_support(), [False, True, False])


def test_of_several_targets_the_largest_counts():
    X, y = u_shaped()
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((len(y), 2))
    for score in ("pearson", "mutual_info"):
        alone = BandPowerScreening(score, random_state=0).fit(X, y).scores_
        rest = BandPowerScreening(score, random_state=0, min_features_to_select=0).fit(X, noise)
        both = BandPowerScreening(score, random_state=0).fit(X, np.c_[noise, y]).scores_
        assert_allclose(both, np.maximum(alone, rest.scores_), atol=1e-6)


def test_where_none_passes_the_strongest_is_kept_and_said():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 5)), rng.standard_normal(200)
    with pytest.warns(RuntimeWarning, match="0 of 5 features pass alpha=0.05.*strongest 1"):
        kept = BandPowerScreening(random_state=0).fit(X, y)
    assert_array_equal(np.flatnonzero(kept.get_support()), np.argmax(kept.scores_))
    assert kept.p_values_.min() > 0.05
    none = BandPowerScreening(random_state=0, min_features_to_select=0).fit(X, y)
    assert not none.get_support().any()
    with pytest.warns(RuntimeWarning, match="least p of 9 shifts is 0.1.*larger n_shifts"):
        few = BandPowerScreening(random_state=0, n_shifts=9).fit(X, 10 * X[:, 2] + y)
    assert few.threshold_ == np.inf and few.get_support()[2]


@pytest.mark.parametrize("routing", [False, True])
def test_in_a_regressor_of_frames_it_knows_the_recordings(routing):
    rng = np.random.default_rng(0)
    levels = (0.0, 5.0, -3.0)
    X = [rng.standard_normal((120, 6)) + level for level in levels]
    y = [x[:, 2:4] @ [[1.0, 0.5], [0.3, 1.0]] + rng.standard_normal((120, 2)) for x in X]
    y = [v + 3 * level for v, level in zip(y, levels, strict=True)]
    model = FramewiseRegressor(make_pipeline(BandPowerScreening(random_state=0), Ridge()))
    with sklearn.config_context(enable_metadata_routing=routing):
        model.fit(X, y)
    screening = model.estimator_[0]
    assert_array_equal(np.flatnonzero(screening.get_support()), [2, 3])
    groups = np.repeat(np.arange(3), 120)
    plain = BandPowerScreening(random_state=0).fit(np.concatenate(X), np.concatenate(y), groups)
    assert_allclose(screening.p_values_, plain.p_values_)


def test_after_bands_and_responses(people):
    steps = (
        WaveletBandAttention(t_r=2.0), LearnableHRF(t_r=2.0, hrf="canonical"),
        FramewiseRegressor(
            make_pipeline(BandPowerScreening("mutual_info", n_shifts=99, random_state=0), Ridge())
        ),
    )  # fmt: skip
    scores = cross_val_score(make_pipeline(*steps), people.raws, people.bolds, cv=3)
    assert (scores > 0.1).all()


def test_errors():
    X, y = u_shaped(60)
    for change, message in (
        ({"statistic": "spearman"}, "statistic must be one of 'pearson', 'mutual_info'"),
        ({"n_shifts": 0}, "n_shifts must be at least 1"),
        ({"alpha": 0.0}, "alpha must be above 0"),
        ({"min_features_to_select": -1}, "min_features_to_select must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            BandPowerScreening(**change).fit(X, y)
    with pytest.raises(ValueError, match="groups has shape"):
        BandPowerScreening().fit(X, y, np.zeros(3))
    with pytest.raises(ValueError, match="must follow each other"):
        BandPowerScreening().fit(X, y, np.arange(60) % 2)
    with pytest.raises(ValueError, match="3 frames is too short"):
        BandPowerScreening().fit(X, y, np.r_[np.zeros(57), np.ones(3)])
