"""Banded ridge: one penalty per frequency band, by himalaya where it is installed."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import RidgeCV

from mne_samba.baselines import BandPowerRidge

try:
    from himalaya.ridge import GroupRidgeCV
except ImportError:
    GroupRidgeCV = None

HAVE_HIMALAYA = GroupRidgeCV is not None
NAME = "banded ridge (himalaya)" if HAVE_HIMALAYA else "banded ridge (scikit-learn)"
_ALPHAS = np.logspace(-3, 5, 17)


class BandedRidge(BandPowerRidge):
    """`BandPowerRidge` whose bands have a penalty each, chosen per region on contiguous blocks.

    With himalaya by random search over simplices of band scales; without it by coordinate descent
    over the scales of bands, one for all regions.
    """

    def _fit(self, data) -> None:
        self._n_fir = None
        features = np.concatenate([self._features(p, data.grid) for p in data.powers])
        target = np.concatenate(data.targets)
        kept = np.isfinite(target).all(axis=1)
        features, target = features[kept], target[kept]
        self._feature_mean, self._feature_scale = features.mean(axis=0), features.std(axis=0)
        features = (features - self._feature_mean) / self._feature_scale
        self._intercept = target.mean(axis=0)
        target = target - self._intercept
        n_bands = data.powers[0].shape[1]
        # Features lie channel by channel, and within a channel band by band.
        groups = np.tile(np.arange(n_bands), features.shape[1] // n_bands)
        folds = _blocks(len(features), max(1, round(self.gap / data.grid.t_r)))
        if HAVE_HIMALAYA:
            solver = {
                "n_iter": 40, "alphas": _ALPHAS * len(features), "progress_bar": False,
                "warn": False,
            }  # fmt: skip
            model = GroupRidgeCV(
                groups=groups, solver_params=solver, cv=folds, random_state=0, fit_intercept=False
            )
            # Its coefficients lie band by band.
            self._weights = np.empty((features.shape[1], target.shape[1]))
            self._weights[np.argsort(groups, kind="stable")] = model.fit(features, target).coef_
            return
        self._weights = _by_coordinates(features, target, groups, folds)


def _blocks(n_frames: int, gap: int, n_folds: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    """Contiguous blocks of frames, with a gap between training and held-out ones."""
    frames, splits = np.arange(n_frames), []
    for test in np.array_split(frames, n_folds):
        splits.append((frames[(frames < test[0] - gap) | (frames > test[-1] + gap)], test))
    return splits


def _by_coordinates(features, target, groups, folds) -> np.ndarray:
    """Weights (n_features, n_targets) with a scale per band, found band after band."""
    scales = np.ones(groups.max() + 1)
    alphas = _ALPHAS * len(features)

    def fit(scales):
        model = RidgeCV(alphas, fit_intercept=False, cv=folds)
        scaled = features * scales[groups]
        best = model.fit(scaled, target)
        return best.best_score_, (best.coef_ * scales[groups]).T

    score, weights = fit(scales)
    for _ in range(2):
        for band in range(len(scales)):
            for factor in (0.1, 0.3, 3.0):
                trial = scales.copy()
                trial[band] *= factor
                found, new = fit(trial)
                if found > score:
                    score, weights, scales = found, new, trial
    return weights
