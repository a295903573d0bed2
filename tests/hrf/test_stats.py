"""What fits of responses see of the data: drives without drift, products per block."""

import numpy as np
from numpy.testing import assert_allclose

from mne_samba.hrf.stats import Recording, convolve_basis, design


def test_design_has_no_drift_and_skips_unused_frames():
    rng = np.random.default_rng(2)
    basis, step, dt = rng.standard_normal((3, 10)), 2, 0.5
    bins = rng.standard_normal((4, 10 + 2 * 19))
    rows = np.full(20, -1)
    used = np.array([0, 3, 4, 9, 19])
    rows[used] = np.arange(5)
    drift = np.full((5, 1), 5**-0.5)
    recording = Recording([bins], [rows], np.zeros((5, 4)), np.zeros(5, bool), drift, np.arange(5))
    Z = design(recording, np.arange(4), basis, step, dt)
    expected = convolve_basis(bins, basis, step, dt)[..., used]
    assert_allclose(Z, expected - expected.mean(-1, keepdims=True), atol=1e-12)
