"""Which samples train and test."""

import numpy as np
from mne.utils import logger
from sklearn.model_selection import LeaveOneGroupOut, check_cv

from ..data.missing import lacking
from ..data.window_table import window_metadata
from ..model_selection import BlockedTimeSplit
from ._leakage import GAP
from ._samples import Samples, check_targets, people_of, read_samples


def samples_in_folds(translator, X, y, groups, cv, **options) -> tuple[Samples, list]:
    """Read samples, and find rows of training and test samples of all folds."""
    samples = read_samples(translator, X, y, groups, **options)
    check_targets(samples)
    folds = folds_of(samples, cv)
    check_regions(samples, folds)
    return samples, folds


def folds_of(samples: Samples, cv) -> list:
    """Rows of training and test samples, all folds checked before any fit."""
    people = people_of(samples)
    n_people = len(set(people.tolist()))
    one_person = samples.table is not None and samples.groups is None and n_people < 2
    leaves_groups = cv is None and not one_person
    if leaves_groups and n_people < 2:
        raise ValueError(
            "Only one group: leaving one person out needs at least two. Give the person of each "
            "sample in groups, or windows (mne_samba.make_windows) with cv=BlockedTimeSplit() for "
            "one person."
        )
    rows = np.arange(len(samples.y))
    if leaves_groups:
        return list(LeaveOneGroupOut().split(rows, groups=people))
    if cv is None:
        return _blocks_of(samples)
    if isinstance(cv, LeaveOneGroupOut) and n_people < 2:
        raise ValueError("Only one group: LeaveOneGroupOut needs at least two.")
    splitter = check_cv(cv)
    folds = _split(splitter, samples, people if _wants_groups(splitter) else None)
    if any(np.size(rows) and not 0 <= np.min(rows) <= np.max(rows) < len(samples.y)
           for fold in folds for rows in fold):  # fmt: skip
        raise ValueError(f"cv gave rows that do not exist: there are {len(samples.y)} samples.")
    if not folds or any(not len(train) or not len(test) for train, test in folds):
        raise ValueError("cv gave a fold without training or test samples.")
    if any(np.intersect1d(train, test).size for train, test in folds):
        raise ValueError("cv gave a fold with the same sample in training and test.")
    return folds


def check_regions(samples: Samples, folds: list) -> None:
    """Refuse regions that some fold cannot learn, because only people that it tests have them."""
    for fold, (train, _) in enumerate(folds):
        seen = np.unique(samples.label[train])
        nowhere = np.all([lacking(samples.measured[label]) for label in seen], axis=0)
        if nowhere.any():
            names = [samples.names[m] for m in np.flatnonzero(nowhere)]
            raise ValueError(
                f"Regions {names[:8]} are NaN in all recordings that fold {fold} is trained on: "
                "leave them out of y."
            )


def _split(splitter, samples: Samples, groups) -> list:
    """Folds of a splitter."""
    timed, targets = samples.signal, None
    if samples.table is not None:
        timed, targets = _timed(samples), np.asarray(samples.y)
    return [(np.asarray(a), np.asarray(b)) for a, b in splitter.split(timed, targets, groups)]


def _blocks_of(samples: Samples) -> list:
    """Blocks of one person's time: five, or as many as short data hold."""
    for n_splits in (5, 4, 3, 2):
        try:
            folds = _split(BlockedTimeSplit(n_splits, GAP), samples, None)
        except ValueError:
            if n_splits > 2:
                continue
            raise
        if n_splits < 5:
            logger.info(f"{n_splits} blocks of time are held out: data are too short for five.")
        return folds
    raise AssertionError("unreachable")


def _wants_groups(splitter) -> bool:
    """Whether a splitter uses groups; scikit-learn's others warn when they get them."""
    routing = getattr(splitter, "get_metadata_routing", None)
    return routing is None or routing().split.requests.get("groups") is True


def _timed(samples: Samples):
    """Windows in a form from which splitters can read time, also where they are plain arrays."""
    metadata = window_metadata(samples.signal)[0]
    if metadata is not None and "onset" in metadata.columns:
        return samples.signal
    before = samples.table["first_frame"] - samples.table["signal_start"]
    return samples.table.assign(context=before)
