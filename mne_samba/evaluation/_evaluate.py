"""The honest way to score a translator, in one call."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from mne.utils import logger, use_log_level, warn

from ._folds import samples_in_folds
from ._jobs import Job, run_jobs
from ._leakage import GAP, warn_of_leaks
from ._options import (
    BASELINES,
    SHUFFLED,
    check_baselines,
    check_estimator,
    check_inputs,
    check_metrics,
    check_nulls,
    check_numbers,
    name_of,
)
from ._parts import with_t_r
from ._plain import PLAIN, framewise_ridge
from ._result import EvaluationResult
from ._samples import Samples, frames_on_grid, on_grid
from ._score import Run, Scorer, mean_null, null_of_people, runs_of


def evaluate(
    translator, X, y, groups: Sequence | None = None, cv=None, *,
    baselines: Sequence | Mapping = BASELINES,
    nulls: Sequence[str] = ("circular_shift", "shuffled_pairing"), n_shifts: int = 199,
    min_shift: float = GAP, confounds=None, clean=None, detrend: str | int | None = "cosine",
    metrics: Sequence[str] | Mapping[str, Callable] = ("spearman", "pearson", "r2"),
    t_r: float | None = None, context: float | None = None, target_names: Sequence | None = None,
    n_jobs: int | None = None, cache: str | Path | None = None, random_state: int | None = 0,
    verbose: bool | str | None = None,
) -> EvaluationResult:  # fmt: skip
    """Score a translator per target on held-out data, beside baselines and nulls.

    Each fold fits the translator and every baseline on its training samples alone. Predictions are
    put in order of time recording by recording, drift is removed from measured and predicted time
    courses, and each target is scored over time.

    Parameters
    ----------
    translator : estimator
        Any scikit-learn regressor that takes ``X`` and ``y``, or an `InverseTranslator`: then X and
        y change places, and log band power is predicted.
    X : Epochs | list of Raw or 2-D arrays | array of shape (n_windows, ...)
        Windows, or whole recordings (one per sample). Way back: BOLD.
    y : array of shape (n_windows, n_frames, n_targets) | list of (n_frames, n_targets)
        Targets; NaN frames are left out of scores, and so are regions that a recording lacks
        (columns of NaN). Way back: electrophysiology, whose targets are all channels and bands.
    groups : array of shape (n_samples,) | None
        Person of each sample. Default: ``subject`` of the metadata, each recording its own person
        in a list.
    cv : splitter | int | iterable | None
        Default: leave one person out (one recording where neither ``groups`` nor metadata say
        whose it is), :class:`~mne_samba.model_selection.BlockedTimeSplit` for windows of one
        person.
    baselines : sequence of str | mapping of str to estimator
        ``"ridge_canonical"``, ``"ridge_fir"`` (:class:`~mne_samba.baselines.BandPowerRidge` on
        linear or log power, whichever predicts held-out training blocks better; not on the way
        back), ``"mean"`` (of the training frames), ``"time"`` (slow functions of time since
        the start), ``"stimulus_average"`` (training people at the same frame); a mapping, or
        mappings in the sequence, add estimators of your own.
    nulls : sequence of str
        ``"circular_shift"`` (whole recordings rolled in time, all targets together, no refit; with
        several folds the null is wider by the square root of 2, as one chance agreement of two
        parts of the data counts in two folds) and
        ``"shuffled_pairing"`` (refit with the BOLD of other recordings).
    n_shifts : int
        Number of circular shifts; recordings that have fewer different ones take each once.
    min_shift : float
        Least distance of shifts from zero in seconds.
    confounds : list of (n_frames, n_confounds) | None
        Motion, eye movements, heartbeat, global signal at the frames of BOLD. Adds the model
        ``"confounds"`` (ridge on them alone) and metrics ``partial_...`` with confounds removed
        from both sides.
    clean : list of (n_frames, n_targets) | None
        Noiseless targets where they are known (simulation). Adds the model ``"ceiling"`` and
        metrics ``clean_...``.
    detrend : "cosine" | "linear" | int | None
        Drift removed before scoring, see :func:`mne_samba.metrics.detrend`; ``"cosine"`` takes a
        cubic with it, because cosines leave the ends of a straight drift standing.
    metrics : sequence of str | mapping of str to callable
        The first one is used for nulls and p values.
    t_r, context : float | None
        Seconds between frames, and of history before the first frame. Default: metadata, then the
        translator's attributes. A translator or baseline without ``t_r`` takes this one. The first
        ``context`` seconds of whole recordings do not count.
    target_names : sequence | None
        Names of targets. Default: columns of ``y`` where it is a DataFrame, else
        ``target000`` and so on, as in fitted models.
    n_jobs : int | None
        Fits at a time. Each uses one thread, so that results do not depend on ``n_jobs``. Within
        ``joblib.parallel_config(backend="dask")`` they run on all workers of a dask cluster,
        whatever ``n_jobs`` is.
    cache : path | None
        Folder of finished fits: an interrupted evaluation goes on where it stopped.
    random_state : int | None
        Seed of the shifts, and of estimators whose ``random_state`` is None.
    verbose : bool | str | None
        MNE's verbosity: progress at ``"info"``, and what every fit says at ``"debug"``.

    Returns
    -------
    result : EvaluationResult
        ``summary()``, ``to_frame()``, ``p_values_``, ``predictions_``.

    Raises
    ------
    ValueError
        If options are unknown, there is one group only, targets are all constant, a region is in
        no training recording of a fold, folds are too short for the gap, or there are more
        confounds than frames.

    Warns
    -----
    LeakageWarning
        If a recording is on both sides of a split too close, windows are duplicated across folds,
        or people share a stimulus.

    Notes
    -----
    R^2 is that of the detrended time courses, in the units of ``y``: across people it means
    something only when recordings have been brought to a common scale.

    Examples
    --------
    >>> result = evaluate(SambaTranslator(t_r=2.0), epochs, y)  # doctest: +SKIP
    >>> result.summary()  # doctest: +SKIP
    """
    check_estimator(translator, "translator")
    check_inputs(X, y, groups)
    check_numbers(n_jobs, min_shift, context, random_state, cache)
    scores = check_metrics(metrics)
    translator = with_t_r(translator, t_r)
    estimators, plain = check_baselines(baselines, translator, t_r)
    check_nulls(nulls, n_shifts, detrend)
    with use_log_level(verbose):
        samples, folds = samples_in_folds(
            translator, X, y, groups, cv, t_r=t_r, context=context, target_names=target_names
        )
    extra = frames_on_grid(confounds, samples, "confounds")
    truth = frames_on_grid(clean, samples, "clean")
    scorer = Scorer(samples, detrend, scores, extra, truth)
    shifts = scorer.draw(n_shifts, min_shift, random_state) if "circular_shift" in nulls else {}
    name = name_of(translator, [*estimators, *plain])
    with use_log_level(verbose):
        warn_of_leaks(samples, scorer.measured, folds)
        jobs = _jobs(name, translator, estimators, folds, nulls)
        fitted = run_jobs(jobs, samples, random_state=random_state, n_jobs=n_jobs, cache=cache)
        runs = _runs(samples, folds, jobs, fitted, plain, extra)
        table = scorer.frame(runs)
        null, of_people = {}, {}
        if shifts:
            models = [name, *estimators, *(["time"] if "time" in plain else [])]
            metric = next(iter(scores))
            parts = scorer.null(runs, models, metric, shifts)
            null.update({model: mean_null(runs, part) for model, part in parts.items()})
            of_people = null_of_people(samples, runs, parts[name], shifts)
            if extra is not None:
                parts = scorer.null(runs, [name], metric, shifts, partial=True)
                null["partial"] = mean_null(runs, parts[name])
        logger.info(f"{len(jobs)} fits, {len(folds)} folds, {len(samples.names)} targets.")
    predictions = {model: _predictions(samples, runs, model) for model in runs[0].predictions}
    result = EvaluationResult(
        table, next(iter(scores)), name, null, predictions, list(scorer.measured.values()),
        samples.names, samples.recordings, samples.t_r, _tested_by(samples, runs),
        "log power" if samples.back else "BOLD", of_people,
    )  # fmt: skip
    _warn_of_floor(result, verbose)
    return result


def _warn_of_floor(result: EvaluationResult, verbose) -> None:
    """Warn where no score could be significant."""
    if result.translator not in result.null_ or result.p_floor() <= 0.05:
        return
    n_shifts = len(result.null_[result.translator])
    with use_log_level(verbose):
        warn(
            f"These recordings have {n_shifts} different circular shifts at least min_shift apart, "
            f"neighbours of which are alike: no p value below {result.p_floor():.2g} can be had. "
            "Use longer recordings, or more of them."
        )


def _jobs(name, translator, estimators, folds, nulls) -> list[Job]:
    jobs = []
    for fold, (train, test) in enumerate(folds):
        jobs.append(Job(name, fold, translator, train, test))
        jobs.extend(Job(k, fold, model, train, test) for k, model in estimators.items())
        if SHUFFLED in nulls:
            jobs.append(Job(f"null: {SHUFFLED}", fold, translator, train, test, shuffled=True))
    return jobs


def _runs(samples, folds, jobs, fitted, plain, confounds) -> list[Run]:
    runs = []
    for fold, (train, test) in enumerate(folds):
        seen = samples.frames(train)
        found = zip(jobs, fitted, strict=True)
        mine = runs_of(samples, fold, test, {j.name: p for j, p in found if j.fold == fold})
        models = {name: PLAIN[name](samples, seen) for name in plain}
        if confounds is not None:
            models["confounds"] = framewise_ridge(samples, seen, confounds)
        for name, grids in models.items():
            for run in mine:
                run.predictions[name] = grids[run.label][run.frames]
        runs.extend(mine)
    return runs


def _tested_by(samples: Samples, runs: list[Run]) -> list[np.ndarray]:
    """Fold that tests each frame (n_grid,) of every recording, -1 where none does."""
    folds = [np.full(n, -1) for n in samples.n_grid]
    for run in runs:
        folds[run.label][run.frames] = run.fold
    return folds


def _predictions(samples: Samples, runs: list[Run], model: str) -> list[np.ndarray]:
    """Out-of-fold predictions on whole grids; folds that test the same frame are averaged."""
    grids = []
    for label, n in enumerate(samples.n_grid):
        mine = [run for run in runs if run.label == label]
        parts = [run.predictions[model] for run in mine]
        grids.append(on_grid(parts, [run.frames for run in mine], (n, len(samples.names))))
    return grids
