"""Fits that share products of features give what they give alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mne_samba.core import fit_core
from mne_samba.core.moments import Noise, Segments
from mne_samba.core.shared import key_of, once, shared_products

DT, STEP, N_LAGS, N_FRAMES = 0.5, 4, 40, 150


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    # In single precision, as models have it: other power is copied by every fit.
    power = rng.standard_normal((4, 2, N_LAGS + (N_FRAMES - 1) * STEP)).astype(np.float32)
    drive = np.convolve(power[0, 0], np.exp(-0.5 * ((np.arange(30) - 12) / 5) ** 2))
    frames = drive[N_LAGS - 1 : power.shape[2] : STEP]
    return power, np.stack([frames, -frames, frames], axis=1) + rng.standard_normal((N_FRAMES, 3))


def _segments(power, n_lags=N_LAGS, masks=None):
    masks = [np.ones(N_FRAMES, bool)] if masks is None else masks
    return Segments([torch.from_numpy(power)], [None], masks, n_lags, STEP)


def _fit(pair, **options):
    return fit_core([pair[0]], [pair[1]], dt=DT, step=STEP, **options)


@pytest.mark.parametrize("hrf", ["double_gamma", "fir"])
def test_fits_that_share_products_are_those_that_do_not(pair, hrf):
    alone, other = _fit(pair, hrf=hrf), _fit((pair[0], pair[1][:, ::-1]), hrf=hrf)
    with shared_products():
        together = _fit(pair, hrf=hrf), _fit((pair[0], pair[1][:, ::-1]), hrf=hrf)
    for one, two in zip((alone, other), together, strict=True):
        np.testing.assert_array_equal(one.spatial_map, two.spatial_map)
        np.testing.assert_array_equal(one.kernel, two.kernel)
        assert one.evidence == two.evidence


def test_what_is_shared_is_computed_once_and_forgotten_after_the_block(pair):
    segments, calls = _segments(pair[0]), []

    def compute():
        calls.append(1)
        return torch.zeros(3)

    for _ in range(2):
        once(segments, ("features",), compute)
    assert len(calls) == 2
    with shared_products():
        for _ in range(2):
            once(segments, ("features",), compute)
        assert len(calls) == 3
    with shared_products():
        once(segments, ("features",), compute)
    assert len(calls) == 4


def test_other_data_or_other_noise_is_something_else(pair):
    mask = np.arange(N_FRAMES) > 3
    data = [
        _segments(pair[0]), _segments(pair[0].copy()), _segments(pair[0][:2]),
        _segments(pair[0], n_lags=N_LAGS - 1), _segments(pair[0], masks=[mask]),
    ]  # fmt: skip
    rates = [Noise(np.array([2.0]), np.array([ar]), np.ones(1)) for ar in (0.2, 0.3)]
    with shared_products():
        for i, segments in enumerate(data):
            for j, noise in enumerate((0.2, 0.3, *rates)):
                value = torch.full((1,), 10.0 * i + j)
                found = once(segments, key_of(noise), lambda value=value: value)
                assert found is value


def test_frames_on_other_bins_are_something_else(pair):
    grids = [[SimpleNamespace(n_lags=N_LAGS, step=step, dt=DT)] for step in (STEP, 2 * STEP)]
    with shared_products():
        for i, grid in enumerate(grids):
            segments = _segments(pair[0])
            segments.grids = grid
            assert once(segments, (), lambda i=i: torch.full((1,), i)) == i


def test_what_was_used_last_stays_up_to_twice_the_largest(pair):
    segments, again = _segments(pair[0]), []

    def use(names):
        for name in names:
            once(segments, (name,), lambda name=name: again.append(name) or torch.zeros(4))

    with shared_products():
        use("ababcbca")
        assert again == ["a", "b", "c", "a"]
        once(segments, ("large",), lambda: torch.zeros(12))
        use("acb")
    assert again == ["a", "b", "c", "a", "b"]
