"""The way back in closed form: the Bayesian filter, missing frames, covariances."""

import numpy as np
import pytest
from scipy.linalg import toeplitz

from mne_samba.core.inverse import (
    autocorrelation,
    coupled_projection,
    expected_columns,
    fill_frames,
    inverse_filter,
    shrunk_covariance,
    sparse_correlation,
)
from mne_samba.hrf import double_gamma, glover_params


def ar(rng, coefficient, n_series, n_times):
    out = np.zeros((n_series, n_times))
    out[:, 0] = rng.standard_normal(n_series)
    for t in range(1, n_times):
        out[:, t] = coefficient * out[:, t - 1] + np.sqrt(1 - coefficient**2) * rng.standard_normal(
            n_series
        )
    return out


def test_filter_is_the_conditional_mean_of_the_joint_gaussian():
    """Against the textbook formula on the joint covariance of one feature and all its frames."""
    rng = np.random.default_rng(0)
    n_before, n_after, n_lags, rho = 3, 5, 4, 0.4
    acf = 0.4 ** np.arange(12)
    weights = rng.standard_normal((2, 3))
    kernels = rng.random((2, n_lags))
    noise = np.array([[1.0, 0.3], [0.3, 0.5]])
    filters = inverse_filter(weights, kernels, acf[None], np.eye(3), noise, rho, n_before, n_after)
    n_taps = n_before + n_after + 1
    # Bins from the earliest that the first frame answers to up to the last frame.
    n_bins = n_taps + n_lags - 1
    column = np.zeros(n_bins)
    column[:12] = acf[:n_bins]
    prior = toeplitz(column)
    forward = np.zeros((2, n_taps, n_bins))
    for i in range(n_taps):
        forward[:, i, i : i + n_lags] = kernels[:, ::-1]
    # Frame i answers to bins i to i + n_lags - 1; bin t lies before frame t + 1.
    own = n_before + n_lags
    per_feature = [np.einsum("m,mib->mib", weights[:, p], forward) for p in range(3)]
    lagged = rho ** np.abs(np.subtract.outer(np.arange(n_taps), np.arange(n_taps)))
    covariance = np.einsum("mk,ij->mikj", noise, lagged)
    for h in per_feature:
        covariance += np.einsum("mib,bc,kjc->mikj", h, prior, h)
    size = 2 * n_taps
    for p, h in enumerate(per_feature):
        cross = (h @ prior[:, own]).reshape(size)
        expected = np.linalg.solve(covariance.reshape(size, size), cross).reshape(2, n_taps)
        np.testing.assert_allclose(filters[p], expected, atol=2e-5)


def test_filter_with_many_targets_works_on_the_components_that_matter():
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((240, 4))
    kernel = double_gamma((np.arange(8) + 0.5) * 2.0, glover_params())
    kernels = np.repeat(np.atleast_2d(kernel), 240, axis=0)
    acf = np.stack([autocorrelation([ar(rng, 0.7, 3, 3000)], 10)])
    filters = inverse_filter(weights, kernels, acf, np.eye(4), np.eye(240), 0.3, 2, 6)
    power = ar(rng, 0.7, 4, 300)
    bold = np.zeros((300, 240))
    for t in range(8, 300):
        bold[t] = weights @ (power[:, t - 8 : t][:, ::-1] @ kernels[0])
    bold += rng.standard_normal(bold.shape)
    pred = sum(bold[i : 292 + i] @ filters[:, :, i].T for i in range(9))
    for p in range(4):
        assert np.corrcoef(pred[20:280, p], power[p, 22:282])[0, 1] > 0.9


def test_margins_are_the_expectation_given_the_frames():
    rng = np.random.default_rng(2)
    series = ar(rng, 0.8, 400, 40)
    acf = 0.8 ** np.arange(40)
    filled = fill_frames(series[:, :30].T, acf, 0, 3)
    # Of an AR(1) process the next frame is expected at 0.8 times the last.
    slope = (filled[30] * series[:, 29]).sum() / (series[:, 29] ** 2).sum()
    assert slope == pytest.approx(0.8, abs=0.06)
    assert np.mean((filled[30] - series[:, 30]) ** 2) < 0.45


def test_scrubbed_frames_are_filled_from_both_sides():
    rng = np.random.default_rng(3)
    series = ar(rng, 0.9, 300, 30).T
    broken = series.copy()
    broken[15] = np.nan
    filled = fill_frames(broken, 0.9 ** np.arange(30), 2, 2)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[2:17], series[:15])
    assert np.mean((filled[17] - series[15]) ** 2) < np.mean((series[14] - series[15]) ** 2)


def test_nothing_measured_is_expected_at_the_mean():
    assert not fill_frames(np.full((5, 2), np.nan), np.ones(3), 1, 1).any()


def test_autocorrelation_is_that_of_a_true_process():
    acf = autocorrelation([ar(np.random.default_rng(4), 0.7, 20, 3000)], 20)
    assert acf[0] == pytest.approx(1.0)
    assert acf[1] == pytest.approx(0.7, abs=0.03)
    assert np.linalg.eigvalsh(toeplitz(acf)).min() > -1e-9


def test_covariance_shrinks_towards_the_identity_where_rows_are_few():
    rows = np.random.default_rng(5).standard_normal((8, 40))
    assert np.linalg.eigvalsh(shrunk_covariance(rows)).min() > 0.1
    many = np.random.default_rng(6).standard_normal((20000, 3)) * [1.0, 2.0, 3.0]
    np.testing.assert_allclose(np.diag(shrunk_covariance(many)), [1, 4, 9], rtol=0.05)


def test_covariance_of_columns_that_rows_lack_comes_from_the_rows_that_hold_them():
    rng = np.random.default_rng(11)
    mixing = rng.standard_normal((4, 4))
    rows = rng.standard_normal((20000, 4)) @ mixing
    true = mixing.T @ mixing
    rows[:8000, 1] = np.nan
    rows[12000:, 2] = np.nan
    found = shrunk_covariance(rows)
    np.testing.assert_allclose(found, true, atol=0.1 * np.trace(true) / 4)
    assert np.linalg.eigvalsh(found).min() > 0


def test_missing_columns_are_their_expectation_given_the_others():
    rng = np.random.default_rng(12)
    mixing = rng.standard_normal((4, 4))
    rows = rng.standard_normal((5000, 4)) @ mixing
    lacking = rows.copy()
    lacking[:, 2] = np.nan
    lacking[7] = np.nan
    filled = expected_columns(lacking, mixing.T @ mixing)
    kept = [0, 1, 3]
    slope = np.linalg.lstsq(rows[:, kept], rows[:, 2], rcond=None)[0]
    measured = np.delete(np.arange(5000), 7)
    np.testing.assert_allclose(filled[measured, 2], rows[measured][:, kept] @ slope, atol=0.2)
    np.testing.assert_array_equal(filled[measured][:, kept], rows[measured][:, kept])
    assert np.isnan(filled[7]).all()
    nothing = np.full((3, 4), np.nan)
    np.testing.assert_array_equal(expected_columns(nothing, mixing.T @ mixing), nothing)


def test_sparse_correlation_keeps_what_is_there_and_drops_chance():
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((600, 20))
    rows[:, 1] = 0.8 * rows[:, 0] + 0.6 * rows[:, 1]
    found = sparse_correlation(rows, np.eye(1, 5))
    assert found[0, 1] == pytest.approx(0.8, abs=0.06)
    others = found[2:, 2:] - np.eye(18)
    assert (others == 0).mean() > 0.99


def test_projection_finds_the_number_of_latents():
    rng = np.random.default_rng(8)
    loadings, maps = rng.standard_normal((3, 30)), rng.standard_normal((20, 3))
    projection = coupled_projection(maps @ loadings, np.eye(30), np.eye(20), 16)
    assert projection.shape == (3, 30)
    # It spans the same features.
    residual = projection - projection @ np.linalg.pinv(loadings) @ loadings
    assert np.abs(residual).max() < 1e-8
