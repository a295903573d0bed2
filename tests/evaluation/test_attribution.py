"""Attributions against networks and games whose answer is known."""

import numpy as np
import pytest
import torch

from mne_samba.evaluation import (
    haufe_patterns,
    randomised_copy,
    shapley_values,
    smooth_grad,
)

STEP, N_LAGS = 2, 6


class Lagged(torch.nn.Module):
    """Frame k of a target is a weighted sum of its history, squashed or not."""

    def __init__(self, weights, squash=False):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.as_tensor(weights, dtype=torch.float32))
        self.squash = squash

    def forward(self, power):
        history = power.unfold(-1, N_LAGS, STEP).flip(-1)  # lag 0 is the most recent
        frames = torch.einsum("wcbkl,tcbl->wkt", history, self.weights)
        return torch.tanh(frames) if self.squash else frames


@pytest.fixture
def power():
    return np.random.default_rng(0).standard_normal((4, 5, 3, N_LAGS + 9 * STEP))


def test_attribution_of_a_linear_network_is_its_weights(power):
    weights = np.random.default_rng(1).standard_normal((2, 5, 3, N_LAGS))
    got = smooth_grad(Lagged(weights), power, step=STEP, n_lags=N_LAGS, n_samples=2)
    np.testing.assert_allclose(got, weights, atol=1e-5)
    one = smooth_grad(Lagged(weights), power, step=STEP, n_lags=N_LAGS, targets=[1], n_samples=1)
    np.testing.assert_allclose(one[0], weights[1], atol=1e-5)


def test_true_sources_lead_and_randomised_weights_lose_them(power):
    weights = np.zeros((2, 5, 3, N_LAGS))
    weights[0, 3, 1], weights[1, 0, 2] = 0.5, -0.5
    module = Lagged(weights, squash=True).train()

    def leading(network):
        size = np.abs(smooth_grad(network, power, step=STEP, n_lags=N_LAGS)).sum(axis=-1)
        return [np.unravel_index(part.argmax(), part.shape) for part in size]

    assert leading(module) == [(3, 1), (0, 2)]
    assert module.training  # left as it was
    assert leading(randomised_copy(module)) != [(3, 1), (0, 2)]
    np.testing.assert_allclose(module.weights.detach().numpy(), weights)


def test_same_seed_same_attribution(power):
    module = Lagged(np.random.default_rng(2).standard_normal((1, 5, 3, N_LAGS)), squash=True)
    first, second = (
        smooth_grad(module, power, step=STEP, n_lags=N_LAGS, random_state=3) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="n_bins"):
        smooth_grad(module, power[0], step=STEP, n_lags=N_LAGS)


def test_patterns_find_the_signal_and_not_the_noise_channel():
    """Two channels share noise; one has the signal. Weights use both, the pattern one."""
    rng = np.random.default_rng(0)
    signal, noise = rng.standard_normal((2, 20_000))
    X = np.column_stack([signal + noise, noise])
    pattern = haufe_patterns([[1.0, -1.0]], X)
    np.testing.assert_allclose(pattern, [[1.0, 0.0]], atol=0.03)
    with pytest.raises(ValueError, match="n_samples"):
        haufe_patterns(np.ones((2, 3)), X)


def test_shapley_of_the_glove_game():
    """One left glove, two right gloves: 2/3, 1/6, 1/6."""

    def pairs(players):
        return float(0 in players and (1 in players or 2 in players))

    np.testing.assert_allclose(shapley_values(pairs, 3), [2 / 3, 1 / 6, 1 / 6])
    sampled = shapley_values(pairs, 3, n_permutations=3000)
    np.testing.assert_allclose(sampled, [2 / 3, 1 / 6, 1 / 6], atol=0.03)
    assert sampled.sum() == pytest.approx(1)
