"""Warnings by name when training and test data are not as separate as they look."""

import inspect
import warnings

import joblib
import numpy as np

from ..data.given import EPOCHS, is_epochs_list
from ..data.missing import nan_mean
from ..data.window_table import too_close, window_metadata
from ..metrics import pearson
from ._samples import GAP, Samples, common_frames, people_of
from .nulls import draw_shifts


class LeakageWarning(UserWarning):
    """A split lets the test data be known in training, so that scores are too high."""


def _warn(message: str) -> None:
    """Warn at the line that called this package."""
    package, level, frame = __name__.split(".")[0], 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == package:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, LeakageWarning, stacklevel=level)


def _digests(samples: Samples) -> list:
    """Fingerprint of each sample's signal (windows) or targets (whole recordings)."""
    X = samples.signal
    if isinstance(X, EPOCHS):
        parts = X.get_data()
    elif is_epochs_list(X):
        parts = [x.get_data()[0] for x in X]
    elif samples.table is not None and samples.ndim == 3:
        parts = np.asarray(X)
    else:
        parts = samples.y
    digests = []
    for part in parts:
        part = np.asarray(part)
        # A flat window equals every other flat window without being a copy of it.
        flat = part.size < 2 or not (part != part.flat[0]).any()
        digests.append(None if flat else joblib.hash(part))
    return digests


def _check_close(samples: Samples, folds) -> None:
    if samples.table is None:
        return
    worst = max(int(too_close(samples.table, *fold, GAP).sum()) for fold in folds)
    if worst:
        _warn(
            f"Same recording on both sides too close: up to {worst} training windows of a fold "
            f"share signal with test windows or have frames within {GAP:.0f} s of them. Use "
            "mne_samba.model_selection.BlockedTimeSplit."
        )


def _check_duplicates(samples: Samples, folds) -> None:
    digests = _digests(samples)
    worst = 0
    for train, test in folds:
        seen = {digests[row] for row in train} - {None}
        worst = max(worst, sum(digests[row] in seen for row in test))
    if worst:
        _warn(
            f"Duplicated windows across folds: up to {worst} test samples of a fold are also in "
            "its training data, value for value. Remove the copies before splitting."
        )


def _follows_others(samples: Samples, grids: dict, train, test) -> float:
    """How far test people follow training people's mean time course above the shifted null."""
    held = {int(samples.label[row]) for row in test}
    seen = {int(samples.label[row]) for row in train} - held
    excess = []
    for label in held:
        known = [k for k in seen if samples.t_r[k] == samples.t_r[label]]
        begin = common_frames(samples, [label, *known])
        latest = max(begin.values())
        own, *others = (grids[k][latest - begin[k] :] for k in (label, *known))
        n = min([len(own)] + [len(other) for other in others])
        margin = int(np.ceil(GAP / samples.t_r[label])) if samples.t_r[label] > 0 else 0
        if not others or not margin or n < 4 * margin:
            continue
        mean = nan_mean([other[:n] for other in others])
        target = own[:n]
        shifts = draw_shifts(n, 39, margin, np.random.default_rng(0))
        null = max(np.nanmean(pearson(np.roll(target, s, axis=0), mean)) for s in shifts)
        observed = np.nanmean(pearson(target, mean))
        excess.append(observed if observed > max(null, 0.1) else 0.0)
    return float(np.mean(excess)) if excess else 0.0


def _check_stimulus(samples: Samples, grids: dict, folds) -> None:
    """People who share a stimulus share its time course: named in metadata, or seen in y."""
    people = people_of(samples)
    metadata = window_metadata(samples.signal)[0] if samples.table is not None else None
    if metadata is not None and "stimulus" in metadata.columns:
        stimulus = np.unique(metadata["stimulus"].to_numpy().astype(str), return_inverse=True)[1]
        table = samples.table.assign(stimulus=stimulus)
        worst = 0
        for train, test in folds:
            train = train[~np.isin(people[train], people[test])]
            worst = max(worst, int(too_close(table, train, test, GAP, "stimulus").sum()))
        if worst:
            _warn(
                f"People share a segment: up to {worst} training windows of other people show "
                "the stimulus that is tested. Use LeaveSubjectAndSegmentOut."
            )
        return
    across = [fold for fold in folds if not np.isin(people[fold[1]], people[fold[0]]).any()]
    if not across or any(np.isnan(samples.t_r)):
        return
    value = _follows_others(samples, grids, *across[0])
    if value > 0:
        _warn(
            f"People share a segment: held-out targets follow the training people's mean time "
            f"course (r = {value:.2f}), as when they see the same stimulus. Use "
            "LeaveSubjectAndSegmentOut, and baselines=('stimulus_average', ...)."
        )


def warn_of_leaks(samples: Samples, grids: dict, folds) -> None:
    """Warn of each way in which the folds leak; ``grids`` are detrended targets by recording."""
    _check_close(samples, folds)
    _check_duplicates(samples, folds)
    _check_stimulus(samples, grids, folds)
