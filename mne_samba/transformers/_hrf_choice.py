"""Which family of responses `LearnableHRF` takes: what predicts held-out rows best."""

from __future__ import annotations

from functools import partial

import numpy as np
from mne.utils import logger

from ..core.robust import clearly_better, fit_robustly
from ..hrf.model import fit_model, fit_own_responses, make_model, predict_rows
from ..hrf.stats import Recording, without_drift
from ..metrics import pearson

FAMILIES = ("double_gamma", "fir", "canonical")
# Regions, drawn at random, that decide; contiguous parts of the rows that are held out in turn.
_FEW, _FOLDS = 8, 3
# Turns of map and responses in fits that only compare, and rows of recordings that suffice for it.
_ROUGH, _MOST_ROWS = 2, 4000
# Seconds next to a held-out part that are not trained on, and rows below which nothing is compared.
_GAP, _LEAST = 10.0, 90
# Drives with responses of their own: with more there are too many coefficients to try.
_MOST_DRIVES = 24


def choose_family(
    recordings: list[Recording], lags, options, grid, paired: bool
) -> tuple[str, bool]:
    """Choose a family of responses, and whether single drives have responses of their own."""
    # Six parameters stay unless another family explains more of held-out rows by more than twice
    # its standard error over parts and regions.
    n_targets = recordings[0].y.shape[1]
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(n_targets)[:_FEW])
    recordings = [r.of_targets(some, paired) for r in recordings]
    n_recordings = int(np.searchsorted(np.cumsum([len(r.y) for r in recordings]), _MOST_ROWS)) + 1
    recordings = recordings[:n_recordings]
    parts = held_out_parts(recordings, grid)
    if not parts:
        return FAMILIES[0], False
    left, fits = {}, {}
    for family in FAMILIES:
        model = make_model(family, lags, options.hrf_bounds, options.shrinkage, options.shrink_to)
        found = [fit_common(model, train, grid, paired) for train, _ in parts]
        fits[family] = [(weights, responses.kernels, None) for responses, weights in found]
        left[family] = _unexplained(recordings, parts, fits[family], grid)
    usual = left[FAMILIES[0]]
    best = max(FAMILIES, key=lambda family: _clear_gain(usual - left[family]))
    own = False
    if not paired and len(recordings[0].bins[0]) <= _MOST_DRIVES:
        free = [
            (weights, kernels, own_of(train, weights, kernels, lags, options, grid))
            for (train, _), (weights, kernels, _) in zip(parts, fits[best], strict=True)
        ]
        own = _clear_gain(left[best] - _unexplained(recordings, parts, free, grid)) > 0
    logger.info(
        "Held-out frames prefer responses of family %s%s.",
        best, ", and drives with responses of their own" if own else "",
    )  # fmt: skip
    return best, own


def fit_common(model, recordings, grid, paired):
    """Fit one response per region, and amplitudes of drives (n_targets, n_drives)."""
    responses, _, weights = fit_model(
        model, recordings, grid.step, grid.dt, mapped=not paired, n_alternations=_ROUGH
    )
    weights = np.eye(len(responses.scale)) if weights is None else weights
    return responses, weights * responses.scale[:, None]


def own_of(recordings, weights, kernels, lags, options, grid):
    """Fit responses of single drives (n_targets, n_drives, n_lags) beside common ones."""
    predicted = [predict_rows(r, weights, kernels, None, grid.step, grid.dt) for r in recordings]
    return fit_own_responses(lags, options.hrf_bounds, recordings, predicted, grid.step, grid.dt)


def robust_is_better(fit, recordings, parts, grid) -> bool:
    """Whether a robust fit, ``fit(recordings, targets)``, predicts held-out rows better."""
    scores: tuple[list, list] = ([], [])
    for train, masks in parts[-1:]:
        y = [without_drift(r).T for r in train]
        for i, loss in enumerate(("squared", "robust")):
            (responses, _, _, own, weights), _ = fit_robustly(partial(fit, train), y, loss, None)
            found = weights, responses.kernels, own
            held = [
                (without_drift(r)[:, m].T, predict_rows(r, *found, grid.step, grid.dt)[:, m].T)
                for r, m in zip(recordings, masks, strict=True)
                if m.any()
            ]
            scores[i].append(pearson(*map(np.concatenate, zip(*held, strict=True))))
    return clearly_better(*map(np.concatenate, scores))


def held_out_parts(recordings, grid):
    """Give recordings to train on, and masks (n_rows,) of contiguous parts; none of short data."""
    if sum(len(r.y) for r in recordings) < _LEAST:
        return []
    return list(_parts(recordings, int(np.ceil(_GAP / grid.t_r))))


def _parts(recordings, apart: int):
    """Iterate over what `held_out_parts` gives, with ``apart`` rows between both."""
    lengths = [len(r.y) for r in recordings]
    total = sum(lengths)
    for k in range(_FOLDS):
        held = np.zeros(total, bool)
        held[k * total // _FOLDS : (k + 1) * total // _FOLDS] = True
        masks = np.split(held, np.cumsum(lengths)[:-1])
        train = []
        for recording, mask in zip(recordings, masks, strict=True):
            near = np.convolve(mask, np.ones(2 * apart + 1), mode="same") > 0
            if (~near).sum() > max(30, 2 * recording.drift.shape[1]):
                train.append(recording.kept(~near))
        if train:
            yield train, masks


def _unexplained(recordings, parts, fits, grid) -> np.ndarray:
    """Share of held-out variance that is left, (n_parts * n_targets,)."""
    out = []
    for (_, masks), (weights, kernels, own) in zip(parts, fits, strict=True):
        error, power = 0.0, 0.0
        for recording, mask in zip(recordings, masks, strict=True):
            if not mask.any():
                continue
            frames = predict_rows(recording, weights, kernels, own, grid.step, grid.dt)
            y = without_drift(recording)
            error = error + ((y - frames)[:, mask] ** 2).sum(axis=1)
            power = power + (y[:, mask] ** 2).sum(axis=1)
        out.append(error / np.maximum(power, 1e-300))
    return np.concatenate(out)


def _clear_gain(gain: np.ndarray) -> float:
    """Mean gain less twice its standard error; 0 for none at all."""
    return float(gain.mean() - 2 * gain.std(ddof=1) / np.sqrt(len(gain))) if gain.any() else 0.0
