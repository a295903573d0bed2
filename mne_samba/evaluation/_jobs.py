"""Fits of one evaluation: deterministic, in parallel, kept on disk so that they can be resumed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

import joblib
import numpy as np
import torch
from mne.utils import ProgressBar, logger, use_log_level
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from .._version import __version__
from ..model_file import written_whole
from ..models.inverse_data import rows
from ._parts import reader_of
from ._samples import Samples
from ._way_back import without_drift

_FORMAT = 2


@dataclass(frozen=True)
class Job:
    """One fit: an estimator, its training rows (with whose targets), its test rows."""

    name: str
    fold: int
    estimator: object
    train: np.ndarray
    test: np.ndarray
    shuffled: bool = False

    def key(self, data_key: str) -> str:
        parts = (type(self.estimator).__qualname__, self.estimator.get_params(deep=True))
        rows = (self.train.tobytes(), self.test.tobytes(), self.shuffled, _FORMAT, __version__)
        return joblib.hash((parts, rows, data_key))


def seeded(estimator, random_state: int | None):
    """Copy whose unset ``random_state`` is set: the same fold, the same result."""
    copy = clone(estimator)
    params = copy.get_params(deep=False)
    if "random_state" in params and params["random_state"] is None and random_state is not None:
        copy.set_params(random_state=int(random_state))
    return copy


def shuffled_bold(samples: Samples, train: np.ndarray) -> list:
    """BOLD of other recordings for the training samples, turned by half a recording."""
    # The turn breaks what people who share a stimulus have in common; within one recording it is
    # all there is. Frames are taken round the end, so each target keeps its autocorrelation.
    grids = samples.place([samples.bold[row] for row in train], train)
    labels = list(grids)
    other = dict(zip(labels, np.roll(labels, 1).tolist(), strict=True))
    parts = []
    for row in train:
        source = grids[other[int(samples.label[row])]]
        n = len(samples.bold[row])
        # Without the frames that no training sample holds.
        filled = source[np.isfinite(source).any(axis=1)]
        own = grids[int(samples.label[row])][: samples.first[row]]
        start = np.isfinite(own).any(axis=1).sum() + len(filled) // 2
        parts.append(filled[(start + np.arange(n)) % len(filled)])
    return parts


def _predicted(prediction, samples: Samples, test: np.ndarray) -> list:
    """Bring predictions to one (n_frames, n_targets) per test sample."""
    n_targets = samples.y[0].shape[1]
    if len(prediction) != len(test):
        raise ValueError(
            f"predict returned {len(prediction)} samples for {len(test)}. Estimators must predict "
            "one entry per sample; wrap a 2-D regressor in mne_samba.FramewiseRegressor."
        )
    parts = []
    for row, part in zip(test, prediction, strict=True):
        n = len(samples.y[row])
        part = np.asarray(part, float)
        if samples.back and part.ndim == 3:
            part = rows(part)
        part = part.reshape(-1, n_targets) if part.ndim < 2 else part
        if part.ndim != 2 or part.shape[1] != n_targets:
            raise ValueError(
                f"predict returned shape {part.shape} for a sample with targets of shape "
                f"{samples.y[row].shape}."
            )
        # Electrophysiology may run on past the scan: those frames were not measured.
        padded = np.full((n, n_targets), np.nan)
        padded[: min(n, len(part))] = part[:n]
        parts.append(samples.cut(padded))
    return parts


def run_job(job: Job, samples: Samples, random_state: int | None) -> list:
    """Fit and predict on one thread, so that the result does not depend on ``n_jobs``."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # What every fit has to say would be told once per fold and model.
    level = logger.level if logger.level < logging.INFO else max(logger.level, logging.WARNING)
    try:
        with threadpool_limits(1), use_log_level(level):
            bold = [samples.bold[row] for row in job.train]
            if job.shuffled:
                bold = shuffled_bold(samples, job.train)
            estimator = seeded(job.estimator, random_state)
            extra = {}
            if samples.groups is not None and "groups" in signature(estimator.fit).parameters:
                extra["groups"] = np.asarray(samples.groups)[job.train]
            _set_t_r(estimator, samples, job.train)
            estimator.fit(*samples.given(job.train, bold), **extra)
            _set_t_r(estimator, samples, job.test)
            tested = [samples.bold[row] for row in job.test]
            if samples.back and samples.table is not None:
                method = reader_of(estimator).detrend
                tested = without_drift(tested, bold, samples, job.train, job.test, method)
            X, _ = samples.given(job.test, tested)
            return _predicted(estimator.predict(X), samples, job.test)
    finally:
        torch.set_num_threads(threads)


def _set_t_r(estimator, samples: Samples, rows: np.ndarray) -> None:
    """Tell an estimator the seconds between frames of recordings, where they differ."""
    if samples.table is None and np.ptp(samples.t_r) > 0:
        names = [name for name in estimator.get_params() if name.split("__")[-1] == "t_r"]
        t_r = [float(samples.t_r[samples.label[row]]) for row in rows]
        estimator.set_params(**dict.fromkeys(names, t_r))


def fingerprint(samples: Samples) -> str:
    """Hash of everything that a fit sees."""
    signal = samples.signal
    items = signal if isinstance(signal, list | tuple) else [signal]
    # Item by item: all signals together need not fit into memory.
    seen = []
    for item in items:
        data = item.get_data() if hasattr(item, "get_data") else np.asarray(item)
        seen.append(joblib.hash((data, _described(item))))
    return joblib.hash((samples.bold, seen, samples.table, samples.groups))


def _described(inst) -> tuple:
    """Describe what models read of an MNE object beside its samples."""
    info = getattr(inst, "info", None)
    if info is None:
        return ()
    places = np.array([ch["loc"][:3] for ch in info["chs"]])
    marks = inst.annotations
    if marks is not None:
        marks = (marks.onset.tolist(), marks.duration.tolist(), marks.description.tolist())
    names = (info["sfreq"], info["ch_names"], info["bads"], info.get_channel_types())
    return *names, places, marks, float(inst.times[0]), getattr(inst, "first_time", 0.0)


def _read(path: Path, n: int) -> list | None:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [archive[f"sample_{i}"] for i in range(n)]
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file must cost one fit, not the evaluation
        logger.warning(f"Fitting again: {path} cannot be read ({error}).")
        return None


def _write(path: Path, parts: Sequence[np.ndarray]) -> None:
    """Keep predictions: an interrupted run leaves no half file under the final name."""
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{f"sample_{i}": part for i, part in enumerate(parts)})


def _run_and_keep(job, samples, random_state, path) -> list:
    parts = run_job(job, samples, random_state)
    if path is not None:
        _write(path, parts)
    return parts


def run_jobs(jobs: list[Job], samples: Samples, *, random_state, n_jobs=None, cache=None) -> list:
    """Predictions of each job's test samples; fits that are in the cache are not run again."""
    results: list = [None] * len(jobs)
    paths: list = [None] * len(jobs)
    if cache is not None:
        folder = Path(cache)
        folder.mkdir(parents=True, exist_ok=True)
        data_key = fingerprint(samples) + repr(random_state)
        paths = [folder / f"{job.key(data_key)}.npz" for job in jobs]
        results = [_read(path, len(job.test)) for path, job in zip(paths, jobs, strict=True)]
    left = [i for i, result in enumerate(results) if result is None]
    if len(left) < len(jobs):
        logger.info(f"{len(jobs) - len(left)} of {len(jobs)} fits were found in {cache}.")
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    work = (joblib.delayed(_run_and_keep)(jobs[i], samples, random_state, paths[i]) for i in left)
    done = ProgressBar(parallel(work), max_value=len(left), mesg="Fits")
    for i, result in zip(left, done, strict=True):
        results[i] = result
    return results
