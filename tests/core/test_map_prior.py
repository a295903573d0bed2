"""Posteriors of the map contract as their plain second moments do; fits go on from others."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mne_samba.core import fit_core
from mne_samba.core.map_prior import (
    DensePosterior,
    DiagonalPosterior,
    GaussianMap,
    SparseMap,
    SpectralPosterior,
)
from mne_samba.core.stages import _contenders

N_NODES, N_TARGETS, N_PAIRS = 5, 3, 4


def _random(*shape):
    return torch.from_numpy(np.random.default_rng(len(shape)).standard_normal(shape))


def _posterior(kind):
    mean = _random(N_TARGETS, N_NODES)
    none = torch.zeros(N_TARGETS)
    spectrum = _random(N_TARGETS, N_NODES).abs() + 0.1
    if kind == "diagonal":
        return DiagonalPosterior(mean, spectrum, none), torch.diag_embed(spectrum)
    vectors = torch.linalg.qr(_random(N_NODES, N_NODES))[0]
    covariance = torch.einsum("ij,mj,kj->mik", vectors, spectrum, vectors)
    if kind == "dense":
        return DensePosterior(mean, covariance, none), covariance
    return SpectralPosterior(mean, spectrum, vectors, none), covariance


@pytest.mark.parametrize("kind", ["diagonal", "dense", "spectral"])
def test_contractions_are_those_of_the_second_moments(kind):
    posterior, covariance = _posterior(kind)
    second = covariance + posterior.mean[:, :, None] * posterior.mean[:, None]
    contracted = _random(N_NODES, N_NODES, N_PAIRS)
    contracted = contracted + contracted.transpose(0, 1)
    pairs = _random(N_TARGETS, N_PAIRS)
    torch.testing.assert_close(
        posterior.curve(contracted), torch.einsum("mij,ijp->mp", second, contracted)
    )
    expected = torch.einsum("mij,mp->ijp", second, pairs).reshape(N_NODES**2, N_PAIRS)
    torch.testing.assert_close(posterior.precision(pairs), expected)
    torch.testing.assert_close(
        posterior.variance, covariance.diagonal(dim1=1, dim2=2), check_stride=False
    )


def _precision_of_data():
    root = _random(N_NODES, 2 * N_NODES)
    return (root @ root.T)[..., None], _random(N_TARGETS, 1).abs() + 0.5


def test_one_response_for_all_gives_the_posterior_of_each_target():
    contracted, scale = _precision_of_data()
    linear, current = _random(N_TARGETS, N_NODES), torch.zeros(N_TARGETS, N_NODES).double()
    found = {}
    for uniform in (True, False):
        prior = GaussianMap(N_TARGETS, N_NODES, 0.3)
        prior.uniform = uniform  # False takes the general way
        prior.begin(contracted)
        found[uniform] = prior.update(slice(0, N_TARGETS), contracted, scale, linear, current)
    assert isinstance(found[True], SpectralPosterior)
    for name in ("mean", "variance", "divergence"):
        torch.testing.assert_close(
            getattr(found[True], name), getattr(found[False], name), check_stride=False
        )


@pytest.mark.parametrize("most", [0, 10_000])
def test_sparse_updates_are_plain_coordinate_ascent(monkeypatch, most):
    """With the precisions of all targets at once, and without."""
    monkeypatch.setattr("mne_samba.core.map_prior._FEW", most)
    contracted, scale = _precision_of_data()
    linear, current = _random(N_TARGETS, N_NODES), _random(N_TARGETS, N_NODES) / 3
    prior = SparseMap(N_TARGETS, N_NODES, 0.5, inclusion=0.3)
    found = prior.update(slice(0, N_TARGETS), contracted, scale, linear, current)
    for m in range(N_TARGETS):
        precision, mean = (contracted[..., 0] * scale[m]).numpy(), current[m].numpy().copy()
        for n in range(N_NODES):
            total = precision[n, n] + 1 / 0.5
            rest = precision[n] @ mean - precision[n, n] * mean[n]
            slab = (linear[m, n].item() - rest) / total
            odds = np.log(0.3 / 0.7) - 0.5 * np.log(total * 0.5) + 0.5 * slab**2 * total
            mean[n] = slab / (1 + np.exp(-odds))
        np.testing.assert_allclose(found.mean[m], mean, rtol=1e-10)


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    n_frames, n_lags, step, dt = 500, 20, 2, 1.0
    power = rng.standard_normal((6, 2, n_lags + (n_frames - 1) * step))
    power += np.roll(power, 1, axis=-1)
    kernel = (np.arange(n_lags) + 0.5) ** 3 * np.exp(-(np.arange(n_lags) + 0.5) / 1.5)
    spatial = rng.standard_normal((10, 6)) * (rng.random((10, 6)) < 0.4)
    drive = spatial @ np.einsum("nkt,k->nt", power, [1.0, -0.5])
    clean = np.stack([np.convolve(d, kernel)[n_lags - 1 : d.size : step] for d in drive], axis=1)
    scale = np.where(clean.std(0) > 0, clean.std(0), 1.0)
    y = clean / scale + 0.7 * rng.standard_normal(clean.shape)
    return power, y - y.mean(0), {"dt": dt, "step": step}


def _part(power, y, n_frames):
    return power[..., : 20 + (n_frames - 1) * 2], y[:n_frames]


def test_a_fit_goes_on_from_a_part_of_the_frames(world):
    power, y, options = world
    part_power, part_y = _part(power, y, 400)
    whole = fit_core([power], [y], **options)
    part = fit_core([part_power], [part_y], **options)
    before = part.spatial_map.copy(), part.state.spatial_map.clone()
    on = fit_core([power], [y], start=part, **options)
    np.testing.assert_allclose(on.predict([power])[0], whole.predict([power])[0], atol=0.03)
    # What it started from is left as it was.
    np.testing.assert_array_equal(part.spatial_map, before[0])
    assert torch.equal(part.state.spatial_map, before[1])


def test_a_fit_of_all_targets_goes_on_from_some(world):
    power, y, options = world
    whole = fit_core([power], [y], **options)
    some = fit_core([power], [y[:, ::2]], tol=0.1, extra=False, whiten_again=False, **options)
    on = fit_core([power], [y], start=some, **options)
    assert on.map_prior == some.map_prior
    np.testing.assert_allclose(on.predict([power])[0], whole.predict([power])[0], atol=0.05)


def test_single_precision_of_large_problems_changes_little(world, monkeypatch):
    power, y, options = world
    exact = fit_core([power], [y], **options)
    monkeypatch.setattr("mne_samba.core.moments._LARGE", 0)
    single = fit_core([power.astype(np.float32)], [y], **options)
    np.testing.assert_allclose(single.predict([power])[0], exact.predict([power])[0], atol=1e-3)


def test_a_fit_from_scratch_begins_with_a_simple_one(world):
    power, y, options = world
    plain = {**options, "extra": False}
    simple = fit_core([power], [y], hrf="canonical", map_prior="gaussian", **plain)
    before = simple.state.spatial_map.clone()
    begun, scratch = (fit_core([power], [y], simple=core, **plain) for core in (simple, None))
    assert begun.map_prior == scratch.map_prior
    assert begun.elbo[-1] == pytest.approx(scratch.elbo[-1], abs=0.1 * y.shape[1])
    assert torch.equal(simple.state.spatial_map, before)


def _long_world(seed, share=1.0, n_nodes=6, n_targets=5, noise=2.0):
    """Power and BOLD of five minutes; ``share`` of the map's weights are not zero."""
    rng = np.random.default_rng(seed)
    power = rng.standard_normal((n_nodes, 3, 40 + 149 * 4))
    response = np.exp(-0.5 * ((np.arange(30) - 12) / 5) ** 2)
    spatial = rng.standard_normal((n_targets, n_nodes))
    if share < 1.0:
        spatial *= rng.random(spatial.shape) < share
    drives = np.einsum("mn,nt->tm", spatial, power.sum(1))
    bold = np.stack([np.convolve(drive, response)[39:636:4] for drive in drives.T], axis=1)
    return power, bold / bold.std() + noise * rng.standard_normal(bold.shape)


def test_a_prior_that_is_clearly_behind_is_not_fitted_to_the_end(monkeypatch):
    power, bold = _long_world(0, share=0.1, n_nodes=16, n_targets=8, noise=0.5)
    options = {"dt": 0.5, "step": 4, "extra": False, "tol": 1e-4}
    settled = fit_core([power], [bold], **options)
    monkeypatch.setattr("mne_samba.core.stages._CLEAR", np.inf)
    raced = fit_core([power], [bold], **options)
    assert settled.map_prior == raced.map_prior == "sparse"
    np.testing.assert_allclose(settled.predict([power])[0], raced.predict([power])[0], atol=0.02)
    # It is as far behind as it was under the canonical response, which says less.
    lost = [core.evidence["sparse"] - core.evidence["gaussian"] for core in (settled, raced)]
    assert 6.0 * bold.shape[1] < lost[0] < lost[1]


@pytest.mark.parametrize("seed", [3, 8])
def test_a_prior_that_wins_a_close_race_ends_where_it_does_alone(seed):
    power, bold = _long_world(seed, share=0.6)
    raced = fit_core([power], [bold], dt=0.5, step=4)
    alone = fit_core([power], [bold], dt=0.5, step=4, map_prior=raced.map_prior)
    assert abs(raced.evidence["gaussian"] - raced.evidence["sparse"]) < 2.0 * bold.shape[1]
    assert raced.elbo[-1] == pytest.approx(alone.elbo[-1], abs=1e-6)


@pytest.mark.parametrize(
    ("gaussian", "sparse", "slack", "left"),
    [
        (30.0, 50.0, 0.0, {"sparse"}),
        (50.0, 30.0, 0.0, {"gaussian"}),
        # In short data a sparse map that is five nats per target behind may still come close.
        (50.0, 35.0, 0.0, {"gaussian", "sparse"}),
        # A normal map needs more of a lead, a sparse one no less.
        (50.0, 30.0, 3.0, {"gaussian", "sparse"}),
        (33.0, 50.0, 3.0, {"gaussian", "sparse"}),
        # A sparse map says sooner that nothing is coupled, where responses are not canonical.
        (-20.0, -1.0, 0.0, {"gaussian", "sparse"}),
    ],
)
def test_only_a_prior_that_finds_much_is_clearly_ahead(gaussian, sparse, slack, left):
    elbo = {"gaussian": [gaussian], "sparse": [sparse]}
    rivals = {name: SimpleNamespace(elbo=elbo[name], noise=np.ones(3)) for name in elbo}
    names, lost = _contenders(rivals, slack)
    assert set(names) == left
    assert lost == ({name: 20.0 for name in elbo if name not in left} if len(left) == 1 else {})


@pytest.mark.parametrize(("seed", "share", "chosen"), [(7, 0.5, "sparse"), (0, 1.0, "gaussian")])
def test_a_normal_map_has_to_be_clearly_ahead_of_a_sparse_one(seed, share, chosen):
    """Of 24 channels in 150 frames, by more than three quarters of a nat per target."""
    power, bold = _long_world(seed, share, n_nodes=24, n_targets=8, noise=1.4)
    core = fit_core([power], [bold], dt=0.5, step=4)
    ahead = (core.evidence["gaussian"] - core.evidence["sparse"]) / bold.shape[1]
    assert core.map_prior == chosen
    assert 0.0 < ahead < 0.72 if chosen == "sparse" else ahead > 0.72
