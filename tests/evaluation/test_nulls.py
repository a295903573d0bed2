"""Circular shifts, p values and statistics over people against independent definitions."""

import numpy as np
import pytest
from scipy import stats
from small_worlds import autocorrelated

from mne_samba._scoring import remove_drift, scoring_drift
from mne_samba.evaluation import (
    circular_shift_null,
    cluster_size,
    draw_shifts,
    fdr,
    max_statistic_p,
    mean_interval,
    p_value,
    sign_flip_p,
)
from mne_samba.evaluation._score import widened
from mne_samba.metrics import METRICS, pearson, spearman


@pytest.mark.parametrize(("name", "metric"), [("spearman", spearman), ("pearson", pearson)])
def test_fast_shifts_equal_rolling(name, metric):
    rng = np.random.default_rng(0)
    y, pred = rng.standard_normal((2, 101, 3)).round(1)
    pred[:, 1] = 0.3  # constant
    shifts = np.array([15, 40, 86])
    expected = [metric(np.roll(y, shift, axis=0), pred) for shift in shifts]
    np.testing.assert_allclose(circular_shift_null(y, pred, shifts, name), expected, atol=1e-12)
    np.testing.assert_allclose(circular_shift_null(y, pred, shifts, metric), expected, atol=1e-12)
    y[7] = np.nan
    rows = np.arange(30, 70)
    got = circular_shift_null(y, pred[rows], shifts, name, rows)
    expected = [metric(np.roll(y, shift, axis=0)[rows], pred[rows]) for shift in shifts]
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_shifts_stay_away_from_zero_both_ways():
    rng = np.random.default_rng(0)
    shifts = draw_shifts(100, 71, 15, rng)
    assert sorted(shifts) == list(range(15, 86))  # every one once
    many = draw_shifts(100, 500, 15, rng)
    assert many.min() == 15 and many.max() == 85
    with pytest.raises(ValueError, match="cannot be shifted"):
        draw_shifts(29, 10, 15, rng)


def test_p_values_count_draws():
    null = np.array([[0.1, 0.5], [0.2, 0.0], [0.3, 0.1]])
    np.testing.assert_allclose(p_value([0.2, 0.6], null), [3 / 4, 1 / 4])
    np.testing.assert_allclose(max_statistic_p([0.2, 0.6], null), [4 / 4, 1 / 4])
    np.testing.assert_allclose(max_statistic_p([0.4, 0.25], null), [2 / 4, 3 / 4])
    assert p_value(np.nan, null[:, 0]) == 1.0


def test_max_statistic_controls_family_wise_error():
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(400):
        draws = rng.standard_normal((100, 20))
        false += max_statistic_p(draws[0], draws[1:]).min() <= 0.05
    assert 0.02 < false / 400 < 0.09


def test_fdr_by_hand():
    np.testing.assert_allclose(fdr([0.01, 0.04, 0.03, 0.5]), [0.04, 0.16 / 3, 0.16 / 3, 0.5])


def test_sign_flips_are_exact_for_few_people():
    assert sign_flip_p([1.0, 2.0, 3.0, 4.0, 5.0]) == 2 / 32
    assert sign_flip_p([1.0, -1.0]) == 1.0
    # 2**14 flips: all of them there, 10,000 drawn here.
    values = np.random.default_rng(0).normal(0.4, 1, 14)
    options = {"permutation_type": "samples", "n_resamples": 20_000}
    reference = stats.permutation_test((values,), np.mean, **options).pvalue
    assert sign_flip_p(values) == pytest.approx(reference, abs=0.02)


def test_interval_equals_t_test():
    values = np.random.default_rng(1).normal(size=12)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(mean_interval(values)[1:], [interval.low, interval.high])
    assert np.isnan(mean_interval([1.0])[1])


def test_clusters_of_neighbouring_shifts():
    rng = np.random.default_rng(0)
    independent = rng.standard_normal((4000, 1))
    assert cluster_size(independent) == pytest.approx(1, abs=0.1)
    assert cluster_size(np.repeat(independent, 4, axis=0)) == pytest.approx(4, abs=0.4)
    assert p_value(9.0, independent[:199, 0], 3.0) == 3 / 202


@pytest.mark.parametrize("drift", [0, 1, 3])
def test_false_positives_with_drift_on_both_sides(drift):
    """Independent autocorrelated series: 5 % are significant, whatever their drift."""
    rng = np.random.default_rng(drift)
    n, n_series = 450, 1500
    y, pred = (autocorrelated(rng, n, n_series, coefficient=0.7) for _ in range(2))
    slow = np.linspace(-2, 2, n)[:, np.newaxis] ** drift * (drift > 0)
    y, pred = y + slow, pred + slow
    y, pred = (remove_drift(series, 2.0, "cosine") for series in (y, pred))
    null = circular_shift_null(y, pred, draw_shifts(n, 199, 15, rng))
    p = p_value(spearman(y, pred), null, cluster_size(null))
    assert 0.035 <= (p <= 0.05).mean() <= 0.065


def test_drift_left_in_makes_false_positives():
    rng = np.random.default_rng(0)
    y, pred = (
        autocorrelated(rng, 450, 200) + np.linspace(-2, 2, 450)[:, np.newaxis] for _ in range(2)
    )
    null = circular_shift_null(y, pred, draw_shifts(450, 199, 15, rng))
    assert (p_value(spearman(y, pred), null) <= 0.05).mean() > 0.2


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_rolled_series_lose_drift_again(metric):
    """All shifts at once agree with rolling, removing drift and scoring, one after the other."""
    rng = np.random.default_rng(0)
    n = 120
    y, pred = (
        remove_drift(autocorrelated(rng, n, 6, coefficient=0.8), 2.0, "cosine") for _ in range(2)
    )
    shifts = np.array([15, 40, 77])
    drift = scoring_drift(n, 2.0, "cosine")
    fast = circular_shift_null(y, pred, shifts, metric, removed=drift)
    slow = circular_shift_null(
        y, pred, shifts, METRICS[metric], clean=lambda part: remove_drift(part, 2.0, "cosine")
    )
    # Ranks of a cleaned series are not cleaned ranks, but nearly.
    np.testing.assert_allclose(fast, slow, atol=1e-12 if metric == "pearson" else 0.06)
    left = circular_shift_null(y, pred, shifts, metric)
    assert np.abs(left).mean() < np.abs(slow).mean()


@pytest.mark.parametrize("minutes", [3, 5, 10])
def test_false_positives_of_short_recordings(minutes):
    rng = np.random.default_rng(minutes)
    n, n_series = 30 * minutes, 3000
    y, pred = (
        remove_drift(autocorrelated(rng, n, n_series, coefficient=0.75), 2.0, "cosine")
        for _ in range(2)
    )
    shifts = draw_shifts(n, 199, 15, rng)
    null = circular_shift_null(y, pred, shifts, removed=scoring_drift(n, 2.0, "cosine"))
    p = p_value(spearman(y, pred), null, cluster_size(null))
    assert 0.035 <= (p <= 0.05).mean() <= 0.065


def test_folds_that_train_each_other_agree_by_chance_twice():
    """Two recordings of noise, each predicted by the linear model of the other."""
    rng = np.random.default_rng(0)
    p, p_narrow, n = [], [], 150
    for _ in range(400):
        x, y = rng.standard_normal((2, n, 4)), rng.standard_normal((2, n, 1))
        scores, null = [], []
        for test in (0, 1):
            train = 1 - test
            pred = x[test] @ (x[train].T @ y[train])
            scores.append(pearson(y[test], pred))
            shifts = draw_shifts(n, 99, 5, rng)
            null.append(circular_shift_null(y[test], pred, rng.permutation(shifts), "pearson"))
        observed, null = np.mean(scores, axis=0), np.mean(null, axis=0)
        p.append(p_value(observed, widened(null)))
        p_narrow.append(p_value(observed, null))
    # Binomial limits of 5 % in 400 draws.
    assert 0.029 < np.mean(np.array(p) <= 0.05) < 0.075
    assert np.mean(np.array(p_narrow) <= 0.05) > 0.09
