"""Nodes of noise whose power drives BOLD: what published networks have to find."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from mne_samba.hrf import convolve, double_gamma, glover_params

SFREQ, T_R, N_FRAMES = 64.0, 2.0, 300


def person(seed, n_frames=N_FRAMES):
    """Four nodes of noise whose power drives three targets, each by one node."""
    rng = np.random.default_rng(seed)
    n_times = int(n_frames * T_R * SFREQ)
    slow = gaussian_filter1d(rng.standard_normal((4, n_times)), 3 * SFREQ, axis=1)
    slow /= slow.std(axis=1, keepdims=True)
    signal = np.exp(0.5 * slow) * rng.standard_normal((4, n_times))
    lags = torch.arange(int(30 * SFREQ), dtype=torch.float64) / SFREQ
    response = double_gamma(lags, torch.as_tensor(glover_params()))
    drive = convolve(torch.as_tensor(signal**2), response, 1 / SFREQ).numpy()
    # Frame k at k * t_r sees what was before it.
    bold = drive[:3, :: int(T_R * SFREQ)].T
    bold = bold / bold[20:].std(axis=0)
    return signal, bold + 0.3 * rng.standard_normal(bold.shape)
