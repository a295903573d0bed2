"""From BOLD back to the drive."""

import numpy as np
import pytest
from scipy.signal import lfilter

from mne_samba.hrf import deconvolve, double_gamma, glover_params
from mne_samba.hrf.deconvolution import autocovariance
from mne_samba.hrf.stats import convolve_basis


@pytest.mark.parametrize("n_frames", [60, 300])
def test_deconvolution_inverts_convolution(n_frames):
    rng = np.random.default_rng(3)
    step, dt = 4, 0.5
    lags = (np.arange(round(30 / dt)) + 0.5) * dt
    kernel = double_gamma(lags, glover_params())[None]
    n_bins = len(lags) + (n_frames - 1) * step
    slow = lfilter([1], [1, -0.97], rng.standard_normal((1, n_bins + 500)))[:, 500:]
    slow = (slow - slow.mean()) / slow.std()
    bold = 2.0 * convolve_basis(slow, kernel, step, dt)[:, 0]
    acf = autocovariance([slow], 200)
    scale, noise, ar = np.array([2.0]), np.array([1e-3]), np.array([0.0])
    estimate = deconvolve(bold, kernel, scale, noise, ar, acf, step, dt)
    inner = slice(len(lags), n_bins - 20)
    assert np.corrcoef(estimate[0, inner], slow[0, inner])[0, 1] > 0.93
    # The estimate explains the BOLD: it is a (regularised) inverse, not just something alike.
    again = 2.0 * convolve_basis(estimate, kernel, step, dt)[:, 0]
    assert np.corrcoef(again[0], bold[0])[0, 1] > 0.99
