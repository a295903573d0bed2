"""More sources than sensors."""

import numpy as np
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

from mne_samba.unmixing import Learner, Stretch
from mne_samba.unmixing.underdetermined import _misfit, topographies

SFREQ, BANDS = 100.0, [(8.0, 13.0), (13.0, 30.0), (30.0, 45.0)]


def test_misfit_is_the_likelihood_of_covariances():
    """Against the density of their entries, written out in a basis of symmetric matrices."""
    rng = np.random.default_rng(0)
    n, dof, level = 3, 40.0, 0.3
    basis = [np.outer(e, e) for e in np.eye(n)]
    for i in range(n):
        for j in range(i):
            pair = np.zeros((n, n))
            pair[i, j] = pair[j, i] = np.sqrt(0.5)
            basis.append(pair)
    changes = rng.standard_normal((5, n, n))
    changes = 0.2 * (changes + changes.transpose(0, 2, 1))
    entries = np.einsum("kij,sij->sk", basis, changes)

    def density(found):
        found = found / np.linalg.norm(found, axis=0)
        seen = np.einsum("kij,ia,ja->ka", basis, found, found)
        variance = 2.0 / dof * (np.eye(len(basis)) + seen @ seen.T / level)
        return multivariate_normal(np.zeros(len(basis)), variance).logpdf(entries).mean()

    def ours(found):
        found = torch.as_tensor(found / np.linalg.norm(found, axis=0), dtype=torch.float32)
        args = [torch.tensor([level])], [torch.as_tensor(changes, dtype=torch.float32)]
        return float(_misfit(found, *args, [torch.eye(n)], [dof]))

    one, other = rng.standard_normal((2, n, 4))
    assert_allclose(ours(one) - ours(other), density(other) - density(one), rtol=1e-4)


def _world(n_channels, n_sources, seconds=900):
    rng = np.random.default_rng(5)
    gain = rng.standard_normal((n_channels, n_sources))
    size = np.exp(rng.standard_normal((n_sources, seconds // 5))).repeat(int(5 * SFREQ), axis=1)
    return gain, gain @ (size * rng.standard_normal(size.shape))


def _likeness(patterns, gain):
    """How well each source's topography is found: largest cosine (n_sources,)."""
    patterns, gain = (x / np.linalg.norm(x, axis=0) for x in (patterns, gain))
    return np.abs(patterns.T @ gain).max(axis=0)


def test_finds_more_sources_than_channels():
    gain, data = _world(6, 9)
    stretch = Stretch(lambda first, stop: data[:, first:stop], data.shape[1])
    names = [f"ch{i}" for i in range(6)]
    learner = Learner([stretch], SFREQ, BANDS, names, ["eeg"] * 6)
    found = learner.underdetermined()
    assert found.filters.shape == (9, 6)
    assert found.patterns.shape == (6, 9)
    assert _likeness(found.patterns, gain).min() > 0.95
    assert _likeness(learner.joint().patterns, gain).min() < 0.8
    # Components have unit variance in the mean over bands, and channels come back from them.
    power = np.mean(
        [np.diag(found.filters @ c @ found.filters.T) * 6 / np.trace(c) for c in learner.by_band],
        axis=0,
    )
    assert_allclose(power, power.mean(), rtol=0.05)
    assert_allclose(found.inverse @ found.filters, np.eye(6), atol=1e-6)
    joint = learner.joint()
    assert_allclose(joint.inverse, joint.patterns, atol=1e-8 * np.abs(joint.patterns).max())


def test_topographies_have_unit_length_and_are_the_same_again():
    rng = np.random.default_rng(0)
    data = rng.standard_normal((12, 2, 4, 50))
    covariances = np.einsum("sbit,sbjt->sbij", data, data) / 50
    start = rng.standard_normal((4, 5))
    found, again = (topographies(covariances, np.full(2, 50.0), start, max_iter=5) for _ in "ab")
    assert_allclose(np.linalg.norm(found, axis=0), 1.0, rtol=1e-6)
    assert_array_equal(found, again)
