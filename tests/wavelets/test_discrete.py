"""Power of discrete wavelet coefficients, in bins."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mne_samba.wavelets import discrete_bands, discrete_power


def _signal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_power_in_bins_is_the_coefficients_energy():
    signal = _signal(2, 20_000) + 100.0
    options = dict(start=13.3, width=97.7, n_bins=190)

    def power(**more):
        return discrete_power(lambda a, b: signal[:, a:b], 20_000, "db5", 4, **options, **more)

    whole = power()
    assert_allclose(power(block=1024), whole, atol=1e-5)
    # White noise has the same power per sample in every band per Hz.
    share = np.array([high - low for low, high in discrete_bands(2.0, 4).values()])
    assert_allclose(whole.mean((0, 2)), share, rtol=0.05)
    assert_allclose(whole.sum(1).mean(), signal.var(), rtol=0.01)


@pytest.mark.parametrize("at", [5000, 5037])
def test_power_of_an_impulse_is_where_it_is(at):
    signal = np.zeros((1, 10_000))
    signal[0, at] = 1.0
    power = discrete_power(
        lambda a, b: signal[:, a:b], 10_000, "db5", 4, start=0, width=10, n_bins=1000
    )
    centres = (power[0] * (np.arange(1000) * 10 + 5)).sum(1) / power[0].sum(1)
    # Within about half the spacing of the coarsest coefficients.
    assert_allclose(centres, at, atol=9)
