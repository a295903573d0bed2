"""How many minutes of recording a translator needs, from the user's own data."""

from collections.abc import Sequence
from dataclasses import dataclass

import mne
import numpy as np
import pandas as pd
from mne.time_frequency import RawTFR
from mne.utils import use_log_level

from ..data.frame_times import frame_times
from ._folds import folds_of
from ._jobs import Job, run_jobs
from ._options import check_metrics
from ._parts import known_params, time_params, with_t_r
from ._samples import Samples, read_samples, take
from ._score import Scorer, runs_of
from .nulls import mean_interval


@dataclass
class LearningCurve:
    """Scores against minutes of training.

    Attributes
    ----------
    scores_ : DataFrame
        One row per ``minutes``, ``fold``, ``recording`` and ``target``, with ``score``; ``minutes``
        are those that were used, ``asked`` those that were asked for.
    metric : str
        Name of the score.

    Notes
    -----
    Nothing is said of lengths that were not tried: three or four points tell no ceiling.
    """

    scores_: pd.DataFrame
    metric: str

    def to_frame(self) -> pd.DataFrame:
        """Return the mean score at each length, with its 95 % interval over folds.

        Returns
        -------
        table : DataFrame
            Columns ``minutes``, ``mean``, ``ci_low``, ``ci_high``, ``n_folds``.
        """
        rows = []
        for _, part in self.scores_.groupby("asked"):
            folds = part.groupby("fold")["score"].mean()
            mean, low, high = mean_interval(folds)
            rows.append((part["minutes"].mean(), mean, low, high, len(folds)))
        return pd.DataFrame(rows, columns=["minutes", "mean", "ci_low", "ci_high", "n_folds"])

    def last_gain(self) -> tuple[float, float, float]:
        """Return what the last minutes added, which says whether more of them would help.

        Returns
        -------
        gain, low, high : float
            Score with all minutes above that with the length before, paired over folds, and its
            95 % interval; NaN with one length.
        """
        folds = self.scores_.groupby(["asked", "fold"])["score"].mean().unstack()
        return mean_interval(folds.iloc[-1] - folds.iloc[-2] if len(folds) > 1 else [])


def _window_subset(samples: Samples, train: np.ndarray, seconds: float) -> tuple[np.ndarray, float]:
    """First windows of each recording until the frames add up, shared among recordings."""
    labels = np.unique(samples.label[train])
    chosen, used = [], 0.0
    for position, label in enumerate(labels):
        rows = train[samples.label[train] == label]
        rows = rows[np.argsort(samples.first[rows], kind="stable")]
        budget = (seconds - used) / (len(labels) - position)
        seen: set = set()
        for row in rows:
            frames = set(range(samples.first[row], samples.first[row] + len(samples.y[row])))
            if seen and len(seen | frames) * samples.t_r[label] > budget + 1e-6:
                break
            seen |= frames
            chosen.append(row)
        used += len(seen) * samples.t_r[label]
    return np.sort(np.array(chosen, int)), used


def _crop(x, seconds: float, t_r: float, part: np.ndarray, params: dict):
    """Signal of a recording up to some frames from its beginning, and these frames."""
    n_frames = len(part)
    share = min(1.0, seconds / (n_frames * t_r))
    n = max(1, round(share * n_frames))
    if n == n_frames:
        return x, part
    timing = {k: params[k] for k in ("first_volume", "n_dummy") if params.get(k) is not None}
    if isinstance(x, mne.io.BaseRaw):
        event = params.get("volume_event")
        stop = frame_times(x, n_frames, t_r=t_r, volume_event=event, **timing)[n]
        if event is not None:
            # The next volume's trigger, which may come that much before the line through all.
            stop -= max(2.0 / x.info["sfreq"], 0.011)
        return x.copy().crop(0.0, stop, include_tmax=False), part[:n]
    x = x.copy() if isinstance(x, RawTFR) else x.T if hasattr(x, "iloc") else np.asarray(x)
    before = timing.get("first_volume", 0.0) + timing.get("n_dummy", 0) * t_r
    sfreq = params.get("sfreq")
    stop = before + n * t_r
    if isinstance(x, RawTFR):
        return x.crop(tmax=stop, include_tmax=False), part[:n]
    sfreq = x.shape[-1] / (before + n_frames * t_r) if sfreq is None else sfreq
    stop = round(stop * sfreq)
    return (x.iloc[:, :stop].T if hasattr(x, "iloc") else x[..., :stop]), part[:n]


def learning_curve_minutes(
    translator, X, y, groups: Sequence | None = None, *, minutes: Sequence[float] | None = None,
    cv=None, detrend: str | int | None = "cosine", metric: str = "spearman",
    t_r: float | None = None, context: float | None = None, n_jobs: int | None = None,
    random_state: int | None = 0, verbose: bool | str | None = None,
) -> LearningCurve:  # fmt: skip
    """Score a translator trained on the first minutes of each fold's training data.

    The same test data score every length, so that differences are those of training.

    Parameters
    ----------
    translator : estimator
        Any scikit-learn regressor that takes ``X`` and ``y``.
    X, y, groups, cv
        As in :func:`evaluate`.
    minutes : sequence of float | None
        Minutes of training, over all training recordings together. Default: four lengths, each as
        many times the one before, up to all of what the folds have; the first is an eighth of it,
        or more where that leaves a recording less than a minute beyond its history. Lengths that
        come to the same training data are fitted once.
    metric : str
        Score per target.
    detrend, t_r, context, n_jobs, random_state, verbose
        As in :func:`evaluate`.

    Returns
    -------
    curve : LearningCurve
        Its ``to_frame()`` is the table of scores, ``last_gain()`` what the last minutes added.

    Raises
    ------
    ValueError
        If minutes are not positive numbers, or as in :func:`evaluate`.
    """
    metrics = check_metrics([metric])
    translator = with_t_r(translator, t_r)
    samples = read_samples(translator, X, y, groups, t_r=t_r, context=context)
    folds = folds_of(samples, cv)
    scorer = Scorer(samples, detrend, metrics)
    history = time_params(translator, t_r, context)[1] or 0.0
    lengths = _lengths(samples, folds, minutes, history)
    blocks = []
    with use_log_level(verbose):
        for asked, used, training in _distinct(translator, samples, folds, lengths):
            try:
                fitted = _fits(translator, samples, folds, training, random_state, n_jobs)
            except ValueError as error:
                raise ValueError(
                    f"With {asked:g} minutes of training ({60 * asked / len(folds[0][0]):.3g} s of "
                    f"each of {len(folds[0][0])} samples; minutes= chooses others): {error}"
                ) from error
            for fold, ((_, test), parts) in enumerate(zip(folds, fitted, strict=True)):
                runs = runs_of(samples, fold, test, {"model": parts})
                table = scorer.frame(runs).assign(asked=asked, minutes=used[fold] / 60.0)
                blocks.append(table.drop(columns="model"))
    return LearningCurve(pd.concat(blocks, ignore_index=True), metric)


def _lengths(samples: Samples, folds, minutes, history: float) -> list[float]:
    """Minutes of training, ascending; by default no fewer than can be learnt from."""
    if minutes is None:
        available = [_available(samples, train, history) for train, _ in folds]
        most, least = min(a for a, _ in available), max(least for _, least in available)
        return np.geomspace(min(max(most / 8, least), most), most, 4).tolist()
    values = np.asarray(minutes, dtype=float).ravel()
    if not len(values) or not np.isfinite(values).all() or (values <= 0).any():
        raise ValueError(f"minutes must be positive numbers, got {minutes!r}.")
    return sorted(values.tolist())


def _available(samples: Samples, train: np.ndarray, history: float) -> tuple[float, float]:
    """Minutes of all training data, and the least: a minute of each recording that has history."""
    most = _window_subset(samples, train, np.inf)[1]
    least = len(np.unique(samples.label[train])) * (60.0 + history * (samples.table is None))
    return most / 60.0, least / 60.0


def _distinct(translator, samples: Samples, folds, lengths: list[float]):
    """Lengths, the minutes and the training data of every fold; what comes twice is left out."""
    params, seen = known_params(translator), set()
    for asked in lengths:
        training, used = [], []
        for train, _ in folds:
            if samples.table is not None:
                part, seconds = _window_subset(samples, train, asked * 60.0)
            else:
                share = asked * 60.0 / len(train)
                part = [
                    _crop(samples.signal[row], share, samples.t_r[row], samples.bold[row], params)
                    for row in train
                ]
                seconds = sum(
                    len(bold) * samples.t_r[row] for (_, bold), row in zip(part, train, strict=True)
                )
            training.append(part)
            used.append(float(seconds))
        if tuple(used) not in seen:
            seen.add(tuple(used))
            yield asked, used, training


def _fits(translator, samples, folds, training, random_state, n_jobs):
    """Predictions of every fold at one length of training."""
    if samples.table is not None:
        jobs = [
            Job("model", k, translator, subset, test)
            for k, (subset, (_, test)) in enumerate(zip(training, folds, strict=True))
        ]
        return run_jobs(jobs, samples, random_state=random_state, n_jobs=n_jobs)
    fitted = []
    for k, (parts, (train, test)) in enumerate(zip(training, folds, strict=True)):
        signals = [signal for signal, _ in parts] + take(samples.signal, test)
        bolds = [bold for _, bold in parts] + [samples.bold[row] for row in test]
        X, y = (bolds, signals) if samples.back else (signals, bolds)
        cut = read_samples(translator, X, y, t_r=samples.t_r[np.r_[train, test]])
        order = np.arange(len(bolds))
        job = Job("model", k, translator, order[: len(train)], order[len(train) :])
        fitted += run_jobs([job], cut, random_state=random_state)
    return fitted
