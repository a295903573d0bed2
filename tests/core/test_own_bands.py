"""The core with own bands per target: finds what shared bands cannot express."""

import numpy as np
import pytest

from mne_samba.core import fit_core, fit_own_bands
from mne_samba.hrf import double_gamma, glover_params

STEP, DT, N_LAGS, N_FRAMES = 4, 0.5, 60, 300


@pytest.fixture(scope="module")
def world():
    """Four nodes, three bands; every target follows one band of one node, each another."""
    rng = np.random.default_rng(0)
    power = rng.standard_normal((4, 3, N_LAGS + (N_FRAMES - 1) * STEP))
    kernel = double_gamma((np.arange(N_LAGS) + 0.5) * DT, glover_params())
    pairs = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 1), (3, 2)]
    clean = np.empty((N_FRAMES, len(pairs)))
    for m, (node, band) in enumerate(pairs):
        for k in range(N_FRAMES):
            past = power[node, band, k * STEP : k * STEP + N_LAGS][::-1]
            clean[k, m] = (-1) ** m * kernel @ past * DT
    clean /= clean.std(axis=0)
    noise = rng.standard_normal(clean.shape)
    return power, clean, clean + noise, pairs


def test_each_target_finds_its_node_and_band(world):
    power, clean, y, pairs = world
    core = fit_own_bands([power], [y], dt=DT, step=STEP)
    assert not core.spatial_map.any()
    found = [np.unravel_index(np.abs(extra).argmax(), extra.shape) for extra in core.extra]
    assert [tuple(map(int, f)) for f in found] == pairs
    signs = [np.sign(core.extra[m][pair]) for m, pair in enumerate(pairs)]
    assert signs == [(-1) ** m for m in range(len(pairs))]
    r = [np.corrcoef(core.predict([power])[0][:, m], clean[:, m])[0, 1] for m in range(len(pairs))]
    assert min(r) > 0.9


def test_evidence_prefers_own_bands_here_and_shared_bands_where_they_hold(world):
    power, _, y, _ = world
    own = fit_own_bands([power], [y], dt=DT, step=STEP)
    shared = fit_core([power], [y], dt=DT, step=STEP, extra=False)
    assert max(own.evidence.values()) > max(shared.evidence.values()) + 3 * y.shape[1]


def test_people_are_adapted_from_a_core_of_its_kind(world):
    power, clean, y, _ = world
    half = N_FRAMES // 2
    first = power[..., : N_LAGS + (half - 1) * STEP]
    core = fit_own_bands([first], [y[:half]], dt=DT, step=STEP)
    second = power[..., half * STEP :]
    few = second[..., : N_LAGS + 39 * STEP]
    adapted = fit_own_bands([few], [y[half : half + 40]], dt=DT, step=STEP, init=core)
    alone = fit_own_bands([few], [y[half : half + 40]], dt=DT, step=STEP)

    def score(model):
        later = second[..., 40 * STEP :]
        pred, truth = model.predict([later])[0], clean[half + 40 :]
        pairs = zip(pred.T, truth.T, strict=True)
        return np.mean([np.corrcoef(p, t)[0, 1] if p.std() > 0 else 0.0 for p, t in pairs])

    assert score(adapted) > score(alone) + 0.02
