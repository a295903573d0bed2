"""What electrophysiology adds over physiology, motion and time."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from mne.utils import use_log_level

from .._checks import check_number
from .._scoring import rows_of, scoring_drift
from ..data.missing import nan_mean
from ..metrics import cosine_drift, pearson, project_out
from ._folds import samples_in_folds
from ._jobs import Job, run_jobs
from ._leakage import GAP, warn_of_leaks
from ._options import check_estimator, check_inputs, check_nulls, check_numbers
from ._parts import inverse_of, with_t_r
from ._samples import Samples, frames_on_grid, physiology_on_grid
from ._score import FOLDS, Run, Scorer, runs_of, shifts_of
from ._verdict import p_words
from .nulls import cluster_size, corrected, mean_interval, p_value


@dataclass(repr=False)
class UniqueVariance:
    """Share of variance that electrophysiology alone predicts.

    Attributes
    ----------
    scores_ : DataFrame
        One row per ``fold``, ``recording`` and ``target``, with ``subject``; ``unique`` (share of
        the variance of measured BOLD, with the sign of the correlation), ``partial_r``
        (correlation of measured and predicted BOLD, both without confounds and time) and
        ``nuisance`` (share of variance that confounds and time were given first).
    null_ : ndarray of shape (n_shifts, n_targets)
        ``unique`` where the prediction is shifted in time and all else stays; twice as large with
        several folds, whose chance scores depend on each other.
    target_names_ : list
        Names of targets.
    """

    scores_: pd.DataFrame
    null_: np.ndarray
    target_names_: list

    @property
    def _clustered(self) -> bool:
        return self.scores_["recording"].nunique() == 1

    def to_frame(self) -> pd.DataFrame:
        """Return one row per target.

        Returns
        -------
        table : DataFrame
            Means of ``unique``, ``partial_r`` and ``nuisance`` over folds and recordings, then
            ``p`` (circular shifts, one-sided), ``p_max`` (corrected over targets by the maximum
            statistic), ``p_fdr`` and ``p_floor``, the smallest ``p`` that could be had.
        """
        columns = ["unique", "partial_r", "nuisance"]
        table = self.scores_.groupby("target", sort=False)[columns].mean()
        table = table.reindex(self.target_names_)
        observed = table["unique"].to_numpy()
        return table.assign(**corrected(observed, self.null_, self._clustered))

    def mean(self) -> dict:
        """Return the mean over targets, its interval and p value.

        Returns
        -------
        mean : dict
            ``unique``, ``ci_low`` and ``ci_high`` (95 %, Student's t over people; over folds with
            one person, whose blocks are not independent), ``unit`` ("subject" or "fold"), ``n``,
            ``p`` (circular shifts) and its floor ``p_floor``.
        """
        unit = "subject" if self.scores_["subject"].nunique() > 1 else "fold"
        units = self.scores_.groupby(unit)["unique"].mean()
        mean, low, high = mean_interval(units)
        null = np.nanmean(self.null_, axis=1)
        cluster = cluster_size(null[:, np.newaxis]).item() if self._clustered else 1.0
        observed = np.nanmean(self.to_frame()["unique"])
        return {
            "unique": mean, "ci_low": low, "ci_high": high, "unit": unit, "n": len(units),
            "p": float(p_value(observed, null, cluster)),
            "p_floor": float(p_value(np.inf, null, cluster)),
        }  # fmt: skip

    @property
    def verdict(self) -> str:
        """What may be said, in words."""
        mean, table = self.mean(), self.to_frame()
        people = "people" if mean["unit"] == "subject" else "blocks of one person"
        interval = ""
        if np.isfinite(mean["ci_low"]):
            interval = (
                f", 95 % interval {100 * mean['ci_low']:.1f} to {100 * mean['ci_high']:.1f} % over "
                f"{mean['n']} {people}"
            )
        p = f"p {p_words(mean['p'], mean['p_floor'])} by circular shifts of the prediction"
        numbers = f"({100 * mean['unique']:.1f} % of variance{interval}; {p})"
        before = f"confounds and time were given {100 * table['nuisance'].mean():.0f} % first"
        if mean["p"] > 0.05:
            return (
                "Nothing was shown to be added by electrophysiology over confounds and time "
                f"{numbers}; {before}."
            )
        passed = int((table["p_max"] < 0.05).sum())
        return (
            f"Electrophysiology adds to confounds and time {numbers}; {before}. {passed} of "
            f"{len(table)} targets pass corrected for their number."
        )

    def __repr__(self) -> str:
        return f"{self.verdict}\n\n{self.to_frame().to_string(float_format='{:.3f}'.format)}"

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(float_format="{:.3f}".format, border=0)
        return f"<p>{html.escape(self.verdict)}</p>{table}"


def unique_variance(
    translator, X, y, confounds=None, *, groups: Sequence | None = None, cv=None,
    lag: float = 0.0, slow: float = 0.02, n_shifts: int = 199, min_shift: float = GAP,
    detrend: str | int | None = "cosine", t_r: float | None = None, context: float | None = None,
    target_names: Sequence | None = None, n_jobs: int | None = None,
    random_state: int | None = 0, verbose: bool | str | None = None,
) -> UniqueVariance:  # fmt: skip
    r"""Measure what electrophysiology adds to physiology, motion and time.

    Confounds and slow time go first. In every fold they are regressed out of the BOLD of training,
    recording by recording, and the translator learns what is left; in the held-out block they are
    regressed out of measured and predicted BOLD. With the partial correlation :math:`r` of both and
    the share :math:`s` of variance that was regressed out, the unique share of electrophysiology is
    the signed squared semi-partial correlation :math:`\mathrm{sign}(r)\, r^2 (1 - s)`. What EEG and
    confounds both predict counts for the confounds.

    Parameters
    ----------
    translator : estimator
        As in :func:`evaluate`.
    X, y
        Electrophysiology and BOLD as in :func:`evaluate`.
    confounds : list of (n_frames, n_confounds) | None
        Motion, eye movements, heartbeat, breathing, global signal at the frames of BOLD, one array
        per recording (per window: one array of shape (n_windows, n_frames, n_confounds)). None
        takes time alone.
    groups, cv
        As in :func:`evaluate`: people are left out, or blocks of one person's time.
    lag : float
        Seconds before each frame over which confounds act; each counts once per frame of them.
        Heartbeat and breathing act for 20 s or more. Physiology that the translator's reader names,
        ``Reader(physiology=...)``, goes first as well, at smooth lags as long as responses.
    slow : float
        Hz below which all is time: cosines slower than this go with the confounds.
    n_shifts, min_shift
        As in :func:`evaluate`; the prediction is shifted, BOLD and confounds stay together.
    detrend, t_r, context, target_names, n_jobs, random_state, verbose
        As in :func:`evaluate`.

    Returns
    -------
    result : UniqueVariance
        ``verdict``, ``mean()``, ``to_frame()``.

    Raises
    ------
    ValueError
        If the translator goes from BOLD to electrophysiology, there are more confounds than frames
        in a tested block, or as in :func:`evaluate`.

    Notes
    -----
    A confound takes with it what electrophysiology shares with it, also where the brain drives
    both, as in arousal: the share is a lower bound of what the brain's signal explains. It is no
    bound where confounds are noisy or act otherwise than linearly: then some of them is left in
    BOLD, and artefacts in electrophysiology may predict it.

    Examples
    --------
    >>> found = unique_variance(translator, raws, bolds, motion)  # doctest: +SKIP
    >>> found.verdict  # doctest: +SKIP
    """
    check_estimator(translator, "translator")
    check_inputs(X, y, groups)
    check_numbers(n_jobs, min_shift, context, random_state, None)
    check_nulls(("circular_shift",), n_shifts, detrend)
    if inverse_of(translator) is not None:
        raise ValueError(
            "unique_variance is about BOLD that is predicted from electrophysiology, but "
            f"{type(translator).__name__} goes from BOLD to electrophysiology. Use a "
            "SambaTranslator, or evaluate(..., confounds=...) on the way back."
        )
    check_number(lag, "lag", low=0)
    check_number(slow, "slow", low=0, low_open=True)
    translator = with_t_r(translator, t_r)
    with use_log_level(verbose):
        samples, folds = samples_in_folds(
            translator, X, y, groups, cv, t_r=t_r, context=context, target_names=target_names
        )
        warn_of_leaks(samples, Scorer(samples, detrend, {}).measured, folds)
        nuisance = Nuisance(samples, frames_on_grid(confounds, samples, "confounds"), lag, slow,
                            detrend, physiology_on_grid(translator, samples))  # fmt: skip
        options = {"random_state": random_state, "n_jobs": n_jobs}
        runs = []
        for fold, (train, test) in enumerate(folds):
            left = replace(samples, bold=nuisance.residual_bold(train))
            (parts,) = run_jobs([Job("model", fold, translator, train, test)], left, **options)
            runs += runs_of(samples, fold, test, {"model": parts})
    blocks = [_Block(samples, nuisance, run) for run in runs]
    rolled = _Rolled(samples, blocks, n_shifts, min_shift, random_state)
    rows = [block.scores(block.predicted) for block in blocks]
    null = [np.stack([b.unique(frames)[0] for frames in rolled.of(b.run)]) for b in blocks]
    if len(folds) > 1:
        # Squares of correlations.
        null = [FOLDS * part for part in null]
    return UniqueVariance(pd.concat(rows, ignore_index=True), nan_mean(null), samples.names)


class _Rolled:
    """Predictions of recordings, those of all their folds together, rolled in time.

    What goes first is taken out before they are rolled, as it is from what they are held against:
    a series with drift jumps where its end meets its beginning, and is not the same process then.
    """

    def __init__(self, samples: Samples, blocks: list, n_shifts, min_shift, random_state):
        self.frames, self.predicted = {}, {}
        for label in dict.fromkeys(block.run.label for block in blocks):
            grid = np.full((samples.n_grid[label], len(samples.names)), np.nan)
            mine = [block for block in blocks if block.run.label == label]
            for block in mine:
                grid[block.run.frames] = block.predicted
            tested = np.unique(np.concatenate([block.run.frames for block in mine]))
            self.frames[label], self.predicted[label] = tested, grid[tested]
        lengths = {label: len(frames) for label, frames in self.frames.items()}
        self.shifts = shifts_of(lengths, samples.t_r, n_shifts, min_shift, random_state)

    def of(self, run: Run):
        """Give the rolled prediction (n_frames, n_targets) of a run, one for each shift."""
        rows = np.searchsorted(self.frames[run.label], run.frames)
        for shift in self.shifts[run.label]:
            yield np.roll(self.predicted[run.label], shift, axis=0)[rows]


class Nuisance:
    """Confounds at the frames of recordings, and the slow functions of time beside them."""

    def __init__(
        self, samples: Samples, confounds: dict | None, lag: float, slow: float, method,
        physiology: dict | None = None,
    ):  # fmt: skip
        self.samples, self.slow, self.method = samples, slow, method
        self.confounds = {
            label: self._lagged(np.empty((n, 0)) if confounds is None else confounds[label],
                                int(lag / samples.t_r[label] + 1e-6))
            for label, n in enumerate(samples.n_grid)
        }  # fmt: skip
        for label, drives in (physiology or {}).items():
            self.confounds[label] = np.hstack([self.confounds[label], drives])

    @staticmethod
    def _lagged(values: np.ndarray, n_lags: int) -> np.ndarray:
        """Columns (n_frames, n_columns * (n_lags + 1)) of values and of those before them."""
        frames = np.arange(len(values))
        return np.hstack([values[np.maximum(frames - k, 0)] for k in range(n_lags + 1)])

    def design(self, label: int, frames: np.ndarray, n_known: int):
        """Drift (n_frames, n_terms) of some frames of a recording, and all that goes first."""
        t_r = self.samples.t_r[label]
        n_grid, rows = rows_of(frames, len(frames))
        drift = scoring_drift(n_grid, t_r, self.method)[rows]
        slow = cosine_drift(n_grid, t_r, min(self.slow, 0.4 / t_r))[rows, 1:]
        both = np.column_stack([drift, slow, self.confounds[label][frames]])
        if n_known < both.shape[1] + 3:
            raise ValueError(
                f"More confounds than frames: {self.confounds[label].shape[1]} confounds (those of "
                f"lag counted), {both.shape[1]} terms with drift and slow time, for {n_known} "
                "frames of a recording or block. Use fewer confounds, a shorter lag, a lower slow, "
                "longer blocks, or whole recordings."
            )
        scale = np.linalg.norm(both, axis=0)
        return drift, both / np.where(scale > 0, scale, 1.0)

    def residual_bold(self, train: np.ndarray) -> list[np.ndarray]:
        """BOLD of all samples, in those of training without what goes first, in their units."""
        samples = self.samples
        bold, grids = list(samples.bold), samples.place([samples.bold[row] for row in train], train)
        for label, grid in grids.items():
            frames = np.flatnonzero(np.isfinite(grid).any(axis=1))
            grid[frames] = project_out(
                grid[frames], self.design(label, frames, len(frames))[1], what="confounds"
            )
        for row in train:
            first = samples.first[row]
            bold[row] = np.where(
                np.isfinite(bold[row]),
                grids[samples.label[row]][first : first + len(bold[row])], np.nan,
            )  # fmt: skip
        return bold


class _Block:
    """Measured frames of one run without what goes first, to hold predictions against."""

    def __init__(self, samples: Samples, nuisance: Nuisance, run: Run):
        self.samples, self.run = samples, run
        measured = samples.measured[run.label][run.frames]
        self.known = np.isfinite(measured)
        n_known = int(self.known.any(axis=1).sum())
        drift, self.design = nuisance.design(run.label, run.frames, n_known)
        self.left = project_out(measured, self.design, what="confounds")
        before = np.nanvar(project_out(measured, drift), axis=0)
        share = np.nanvar(self.left, axis=0) / np.where(before > 0, before, np.inf)
        self.nuisance = np.where(before > 0, 1 - share, np.nan)
        self.predicted = self._without(run.predictions["model"])

    def _without(self, frames: np.ndarray) -> np.ndarray:
        """Frames (n_frames, n_targets) without what goes first; NaN where none was measured."""
        frames = np.where(self.known, frames, np.nan)
        return project_out(frames, self.design, what="confounds")

    def unique(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the unique share and the partial correlation (n_targets,) of predicted frames."""
        r = pearson(self.left, self._without(frames))
        return np.sign(r) * r**2 * (1 - self.nuisance), r

    def scores(self, frames: np.ndarray) -> pd.DataFrame:
        """Table of a prediction: one row per target."""
        unique, r = self.unique(frames)
        return pd.DataFrame(
            {
                "fold": self.run.fold,
                "subject": self.samples.recordings["subject"].iloc[self.run.label],
                "recording": self.run.label,
                "target": self.samples.names,
                "unique": unique,
                "partial_r": r,
                "nuisance": self.nuisance,
            }
        )
