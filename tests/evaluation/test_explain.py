"""Attributions of a translator find true sources, and shuffled weights lose them."""

import numpy as np
import pytest

from mne_samba.evaluation import attribute


def _found(attribution, truth, targets):
    size = np.abs(attribution.sum(axis=-1))
    true = np.abs(truth.spatial_map[:, :, None] * truth.band_weights)[targets]
    n_top = true[0].size // 10
    return np.mean(
        [t.argmax() in np.argsort(-s.ravel())[:n_top] for s, t in zip(size, true, strict=True)]
    )


def test_true_node_and_band_are_in_the_top_decile(fitted, people):
    targets = list(range(10))
    smooth = attribute(fitted, people.raws[2], n_samples=3, n_windows=2)
    assert smooth.shape == (10, 8, 5, fitted._fitted_input.features.grid.n_lags)
    assert _found(smooth, people.truth, targets) >= 0.8
    shuffled = attribute(fitted, people.raws[2], n_samples=3, n_windows=2, randomise=True)
    assert _found(shuffled, people.truth, targets) <= 0.5


def test_gradients_of_the_linear_core_are_its_coefficients(fitted, people):
    gradient = attribute(fitted, people.raws[2], method="gradient", n_windows=2, targets=[3])
    core = fitted.core_
    coefficients = core.spatial_map[3][:, None] * core.weights
    if core.extra is not None:
        coefficients = coefficients + core.extra[3]
    expected = coefficients[:, :, None] * core.kernel[3] * core.dt
    np.testing.assert_allclose(gradient[0], expected, atol=1e-4 * np.abs(expected).max())


def test_wrong_use_is_refused(fitted, people):
    with pytest.raises(ValueError, match="method must be"):
        attribute(fitted, people.raws[2], method="shap")
    with pytest.raises(ValueError, match="shorter than the windows"):
        attribute(fitted, people.raws[2].copy().crop(0, 45.0))
