"""The linear core: truth on a small simulation, evidence, edge cases."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from mne_samba.core import fit_core
from mne_samba.hrf import HRF_BOUNDS, double_gamma, hrf_dictionary, hrf_summary

DT, STEP, N_LAGS = 0.5, 4, 60


def simulate(n_frames=600, n_nodes=8, n_bands=3, n_targets=12, snr=2.0, seed=0, coupled=True):
    """Paired segments whose map, weights and responses are known."""
    rng = np.random.default_rng(seed)
    n_bins = N_LAGS + (n_frames - 1) * STEP
    power = gaussian_filter1d(rng.standard_normal((n_nodes, n_bands, n_bins)), 4, axis=-1)
    power /= power.std(-1, keepdims=True)
    weights = np.array([0.6, -1.0, 0.8])[:n_bands] + 0.2 * rng.standard_normal((n_nodes, n_bands))
    spatial = np.zeros((n_targets, n_nodes))
    for row in spatial:
        row[rng.choice(n_nodes, 2, replace=False)] = rng.uniform(0.5, 1.5, 2)
    params = hrf_dictionary(400, random_state=seed + 1)
    peak = hrf_summary(params)["peak_time"]
    params = params[(peak > 3.5) & (peak < 7)][:n_targets]
    kernel = double_gamma((np.arange(N_LAGS) + 0.5) * DT, params)
    drive = spatial @ np.einsum("nk,nkt->nt", weights, power)
    clean = np.stack(
        [np.convolve(d, h)[N_LAGS - 1 : n_bins : STEP] for d, h in zip(drive, kernel, strict=True)],
        axis=1,
    )
    clean /= clean.std(0)
    noise = rng.standard_normal((n_frames, n_targets))
    for k in range(1, n_frames):
        noise[k] = 0.6 * noise[k - 1] + 0.8 * noise[k]
    y = clean * coupled + noise / np.sqrt(snr)
    return {
        "power": power,
        "y": (y - y.mean(0)) / y.std(0),
        "clean": clean,
        "weights": weights,
        "map": spatial / clean.std(0)[:, None],
        "peak": hrf_summary(params)["peak_time"],
    }


def split(data, n_train):
    """Powers and targets of the first frames, and of the frames at least 30 s later."""
    later = n_train + 15
    train = [data["power"][:, :, : N_LAGS + (n_train - 1) * STEP]], [data["y"][:n_train]]
    return train, ([data["power"][:, :, later * STEP :]], data["clean"][later:])


def correlation(a, b):
    """Pearson correlation per column."""
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))


@pytest.fixture(scope="module")
def recovered():
    data = simulate(n_frames=900)
    train, test = split(data, 600)
    return data, train, test, fit_core(*train, dt=DT, step=STEP)


def test_recovers_the_truth(recovered):
    data, _, (power, clean), core = recovered
    assert correlation(core.predict(power)[0], clean).min() > 0.95
    peak = hrf_summary(core.hrf_params)["peak_time"]
    assert np.abs(peak - data["peak"]).mean() < 0.3
    assert np.corrcoef(peak, data["peak"])[0, 1] > 0.93
    assert np.corrcoef(core.spatial_map.ravel(), data["map"].ravel())[0, 1] > 0.94
    assert np.corrcoef(core.weights.ravel(), data["weights"].ravel())[0, 1] > 0.97
    assert core.map_prior == "sparse"
    assert abs(core.ar - 0.6) < 0.08


def test_gauges(recovered):
    core = recovered[3]
    assert np.abs(core.weights).max() == pytest.approx(1)
    assert core.spatial_map.sum() > 0
    fine = double_gamma(np.linspace(0.01, 30, 20000), core.hrf_params)
    np.testing.assert_allclose(fine.max(1), 1, atol=1e-4)
    lags = (np.arange(N_LAGS) + 0.5) * DT
    np.testing.assert_array_equal(core.kernel, double_gamma(lags, core.hrf_params))
    low, high = HRF_BOUNDS["human"]
    assert np.all((core.hrf_params[:, :4] > low[:4]) & (core.hrf_params[:, :4] < high[:4]))


def test_prediction_is_the_plain_definition(recovered):
    data, _, _, core = recovered
    predicted = core.predict([data["power"]])[0]
    drive = np.einsum("mn,nk,nkt->mt", core.spatial_map, core.weights, data["power"])
    for frame, target in ((0, 0), (17, 5), (899, 11)):
        past = drive[target, frame * STEP : frame * STEP + N_LAGS][::-1]
        expected = DT * core.kernel[target] @ past + core.intercept[target]
        assert predicted[frame, target] == pytest.approx(expected, abs=1e-10)


def test_scale_is_calibrated():
    data = simulate(n_frames=900, snr=0.5, seed=3)
    train, (later, _) = split(data, 300)
    predicted = fit_core(*train, dt=DT, step=STEP).predict(later)[0]
    observed = data["y"][315:]
    slope = (predicted * (observed - observed.mean(0))).sum(0) / (
        (predicted - predicted.mean(0)) ** 2
    ).sum(0)
    assert 0.8 < slope.mean() < 1.2


def test_evidence_never_falls(recovered):
    elbo = recovered[3].elbo
    assert np.all(np.diff(elbo) > -1e-6 * np.abs(elbo[-1]))
    assert elbo[-1] > 0


def test_a_core_is_frozen_and_its_arrays_have_the_sizes_that_their_fields_name(recovered):
    core, sizes = recovered[3], {"n_channels": 8, "n_bands": 3, "n_targets": 12, "n_lags": N_LAGS}
    with pytest.raises(dataclasses.FrozenInstanceError):
        core.weights = core.weights
    for field in dataclasses.fields(core):
        value, dims = getattr(core, field.name), field.metadata.get("dims")
        if dims is not None and value is not None and dims != ("n_iterations",):
            assert value.shape == tuple(sizes.get(dim, dim) for dim in dims), field.name


def test_same_seed_same_core(recovered):
    _, train, _, core = recovered
    again = fit_core(*train, dt=DT, step=STEP)
    np.testing.assert_array_equal(core.spatial_map, again.spatial_map)
    np.testing.assert_array_equal(core.kernel, again.kernel)


def test_unrelated_data_gives_next_to_nothing():
    data = simulate(n_frames=900, coupled=False)
    (power, y), (later, _) = split(data, 600)
    core = fit_core(power, y, dt=DT, step=STEP)
    predicted = core.predict(later)[0]
    assert predicted.var(0).mean() < 0.03
    # What is left is far below what these frames would explain by chance (24 of 600).
    assert predicted.var(0).max() < 0.04


@pytest.mark.parametrize("map_prior", ["ard", "gaussian", "sparse"])
def test_each_prior_predicts(recovered, map_prior):
    _, train, (power, clean), _ = recovered
    core = fit_core(*train, dt=DT, step=STEP, map_prior=map_prior)
    assert core.map_prior == map_prior
    assert correlation(core.predict(power)[0], clean).mean() > 0.93


def test_response_families(recovered):
    _, train, (power, clean), own = recovered
    score = {"double_gamma": correlation(own.predict(power)[0], clean).mean()}
    for hrf in ("fir", "canonical"):
        core = fit_core(*train, dt=DT, step=STEP, hrf=hrf)
        score[hrf] = correlation(core.predict(power)[0], clean).mean()
    assert score["double_gamma"] > score["canonical"] + 0.01
    assert score["fir"] > score["canonical"]


def test_segments_and_masks_are_the_recording_cut_up(recovered):
    data, _, (power, clean), _ = recovered
    y = data["y"][:600].copy()
    mask = np.ones(600, dtype=bool)
    mask[100:110] = False
    y[~mask] = np.nan
    cuts = [slice(0, 200), slice(200, 600)]
    powers = [data["power"][:, :, c.start * STEP : N_LAGS + (c.stop - 1) * STEP] for c in cuts]
    core = fit_core(powers, [y[c] for c in cuts], [mask[c] for c in cuts], dt=DT, step=STEP)
    assert correlation(core.predict(power)[0], clean).min() > 0.94


@pytest.mark.parametrize(
    ("n_nodes", "n_bands", "n_targets", "n_frames", "n_lags"),
    [
        (1, 1, 1, 40, 60),
        (6, 1, 3, 60, 60),
        (5, 3, 1, 60, 60),
        (4, 2, 3, 5, 60),
        (4, 2, 3, 1, 60),
        (4, 2, 3, 80, 1),
        (1, 1, 1, 80, 1),
        (3, 2, 2, 30, 2),
    ],
)
def test_small_shapes(n_nodes, n_bands, n_targets, n_frames, n_lags):
    rng = np.random.default_rng(0)
    power = rng.standard_normal((n_nodes, n_bands, n_lags + (n_frames - 1) * STEP))
    y = rng.standard_normal((n_frames, n_targets))
    core = fit_core([power], [y], dt=DT, step=STEP)
    (predicted,) = core.predict([power])
    assert predicted.shape == y.shape
    assert np.isfinite(predicted).all()
    assert ((y - predicted) ** 2).sum() <= 1.001 * ((y - y.mean(0)) ** 2).sum()


def test_one_lag_is_bilinear_regression():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 2, 400))
    weights, spatial = rng.standard_normal((6, 2)), rng.standard_normal((4, 6))
    clean = (spatial @ np.einsum("nk,nkt->nt", weights, x)).T
    y = clean / clean.std(0) + 0.3 * rng.standard_normal(clean.shape)
    core = fit_core([x[:, :, :300]], [y[:300]], dt=1.0, step=1)
    assert core.ar == 0
    np.testing.assert_array_equal(core.kernel, np.ones((4, 1)))
    assert correlation(core.predict([x[:, :, 300:]])[0], clean[300:]).min() > 0.98


def test_constant_target_and_duplicated_nodes(recovered):
    _, (power, y), (later, clean), _ = recovered
    constant = y[0].copy()
    constant[:, 3] = 0.0
    twice = np.concatenate([power[0], power[0][:2]])
    core = fit_core([twice], [constant], dt=DT, step=STEP)
    np.testing.assert_allclose(core.spatial_map[3], 0, atol=1e-6)
    predicted = core.predict([np.concatenate([later[0], later[0][:2]])])[0]
    assert np.isfinite(predicted).all()
    others = np.arange(12) != 3
    assert correlation(predicted[:, others], clean[:, others]).min() > 0.93


def test_chunks_of_targets_change_nothing(recovered, monkeypatch):
    _, train, _, core = recovered
    monkeypatch.setattr("mne_samba.core.ascent._CHUNK_BYTES", 8 * 8**2 * 5)
    chunked = fit_core(*train, dt=DT, step=STEP)
    np.testing.assert_allclose(chunked.spatial_map, core.spatial_map, atol=1e-8)


def test_extra_only_where_targets_have_their_own_bands(recovered):
    assert recovered[3].extra is None
    data = simulate(n_frames=900)
    rng = np.random.default_rng(4)
    own = rng.standard_normal((12, 8, 3)) / 5
    drive = np.einsum("mnk,nkt->mt", own, data["power"])
    kernel = recovered[3].kernel
    clean = np.stack(
        [np.convolve(d, h)[N_LAGS - 1 : d.size : STEP] for d, h in zip(drive, kernel, strict=True)],
        axis=1,
    )
    clean /= clean.std(0)
    y = clean + 0.7 * rng.standard_normal(clean.shape)
    data = data | {"y": (y - y.mean(0)) / y.std(0), "clean": clean}
    train, (power, held_out) = split(data, 600)
    full = fit_core(*train, dt=DT, step=STEP)
    plain = fit_core(*train, dt=DT, step=STEP, extra=False)
    assert full.extra.shape == (12, 8, 3)
    assert plain.extra is None
    score = [correlation(c.predict(power)[0], held_out).mean() for c in (full, plain)]
    assert score[0] > score[1] + 0.05


def test_a_known_core_helps_with_little_data(recovered):
    _, _, (power, clean), core = recovered
    few, _ = split(simulate(n_frames=900, snr=0.5), 60)
    alone = fit_core(*few, dt=DT, step=STEP)
    adapted = fit_core(*few, dt=DT, step=STEP, init=core)
    score = [correlation(c.predict(power)[0], clean).mean() for c in (alone, adapted)]
    assert score[1] > score[0] + 0.05
    # With much data and another coupling the known core is given up.
    other = simulate(n_frames=900, seed=9)
    train, (later, truth) = split(other, 600)
    again = fit_core(*train, dt=DT, step=STEP, init=core)
    assert correlation(again.predict(later)[0], truth).mean() > 0.95


def test_data_of_other_shapes_are_refused():
    good, y = np.zeros((2, 1, 64)), np.zeros((2, 3))
    options = {"dt": DT, "step": STEP}
    with pytest.raises(ValueError, match="imply n_lags"):
        fit_core([good, good], [y, np.zeros((3, 3))], **options)
    core = fit_core([good + np.arange(64)], [y + np.arange(2)[:, None]], **options)
    with pytest.raises(ValueError, match="Each segment must have shape"):
        core.predict([np.zeros((3, 1, 64))])
