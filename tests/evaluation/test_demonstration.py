"""The same model on pure noise: high by the field's habits, zero by ours.

Targets have the spectrum, the means and the correlations of real resting BOLD (28 regions) and
random phases: nothing in the signal can predict them.
"""

import numpy as np
import pandas as pd
import pytest
from small_worlds import FrameRidge, autocorrelated

from mne_samba.evaluation import LeakageWarning, evaluate
from mne_samba.metrics import spearman

T_R = 1.89


@pytest.fixture(scope="module")
def bold(shared_data):
    return pd.read_csv(shared_data / "fmri_rois" / "fmri_timeseries.csv").to_numpy(float)[:, 3:]


def surrogate(bold, rng):
    """Random phases, the same for all regions: spectra and correlations between regions stay."""
    spectrum = np.fft.rfft(bold, axis=0)
    phases = rng.uniform(0, 2 * np.pi, len(spectrum))
    phases[0] = 0.0
    rotated = np.fft.irfft(spectrum * np.exp(1j * phases)[:, np.newaxis], len(bold), axis=0)
    return rotated


def frames_of(rng, n_frames):
    """Forty slow features, as band power seen through a haemodynamic response."""
    return autocorrelated(rng, n_frames, 40, coefficient=0.95)


def interleaved(n):
    odd = np.arange(n) % 2 == 1
    return [
        (np.flatnonzero(~odd), np.flatnonzero(odd)),
        (np.flatnonzero(odd), np.flatnonzero(~odd)),
    ]


def scores_of(X, y, **kwargs):
    return evaluate(
        FrameRidge(t_r=T_R, alpha=1.0),
        X[:, :, np.newaxis],
        y[:, np.newaxis],
        baselines=("mean",),
        nulls=(),
        metrics=("spearman",),
        verbose=False,
        **kwargs,
    )


def test_noise_looks_predicted_by_habit_and_not_by_us(bold):
    # A baseline signal level per region, as raw BOLD has: a map of means alone correlates.
    level = np.random.default_rng(0).normal(0, 3 * bold.std(), bold.shape[1])
    habit, leaky, honest = [], [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        y = surrogate(bold, rng) + level
        X = frames_of(rng, len(y))
        with pytest.warns(LeakageWarning, match="too close"):
            leak = scores_of(X, y, cv=interleaved(len(y)))
        predicted = leak.predictions_["FrameRidge"][0]
        habit.append(spearman(y.ravel(), predicted.ravel())[0])
        leaky.append(leak.summary().loc["FrameRidge", "mean"])
        honest.append(scores_of(X, y).summary().loc["FrameRidge", "mean"])
    assert np.mean(habit) > 0.5
    assert np.mean(leaky) > 0.2
    assert abs(np.mean(honest)) <= 0.02
