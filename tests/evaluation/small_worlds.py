"""Small worlds for evaluation: signals sampled once per frame, and a ridge on them."""

import numpy as np
from scipy.signal import lfilter
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge


class FrameRidge(RegressorMixin, BaseEstimator):
    """Ridge from the channels of a frame to its targets; windows or whole recordings."""

    def __init__(self, t_r=2.0, hrf_length=0.0, alpha=10.0):
        self.t_r = t_r
        self.hrf_length = hrf_length
        self.alpha = alpha

    def fit(self, X, y):
        rows = np.concatenate([np.asarray(x).T for x in X])
        targets = np.concatenate([np.asarray(part) for part in y])
        keep = np.isfinite(targets).all(axis=1)
        self.model_ = Ridge(self.alpha).fit(rows[keep], targets[keep])
        self.n_seen_ = len(X)
        return self

    def predict(self, X):
        return [self.model_.predict(np.asarray(x).T) for x in X]


def autocorrelated(rng, *shape, coefficient=0.8):
    """AR(1) along the first axis, unit variance."""
    noise = rng.standard_normal((shape[0] + 100, *shape[1:]))
    series = lfilter([np.sqrt(1 - coefficient**2)], [1, -coefficient], noise, axis=0)
    return series[100:]


def simulate(n_people=3, n_frames=300, n_channels=4, n_targets=5, strength=1.0, seed=0):
    """Recordings whose targets follow the channels, and the noiseless targets."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((n_channels, n_targets)) / np.sqrt(n_channels)
    signals, targets, clean = [], [], []
    for _ in range(n_people):
        signal = autocorrelated(rng, n_frames, n_channels)
        truth = strength * signal @ weights
        signals.append(signal.T)
        clean.append(truth)
        targets.append(truth + autocorrelated(rng, n_frames, n_targets))
    return signals, targets, clean


def windows_of(recordings, n_frames):
    """Cut (n_frames_total, n) recordings to consecutive windows (n_windows, n_frames, n)."""
    return np.concatenate(
        [r[: len(r) // n_frames * n_frames].reshape(-1, n_frames, r.shape[1]) for r in recordings]
    )
