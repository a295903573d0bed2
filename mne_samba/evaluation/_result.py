"""What an evaluation returns: scores, nulls, p values and people, as tables and a figure."""

import html
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ._verdict import p_words, scored_models, verdict_of
from .nulls import cluster_size, corrected, mean_interval, p_value, sign_flip_p


@dataclass(repr=False)
class EvaluationResult:
    """Scores of a translator beside baselines and nulls.

    Attributes
    ----------
    scores_ : DataFrame
        One row per ``model``, ``metric``, ``fold``, ``recording`` and ``target``, with ``subject``,
        ``score`` and ``n_frames``. Metrics that start with ``partial_`` have the confounds removed
        from both sides, those that start with ``clean_`` are against the noiseless targets.
    metric : str
        The metric of nulls, p values and statistics over people.
    translator : str
        Name of the evaluated model in ``scores_``.
    null_ : dict of str to ndarray, each (n_shifts, n_targets)
        Scores of circular shifts, mean over folds and recordings; ``partial_<metric>`` of the
        translator under the name ``"partial"`` where confounds were given.
    predictions_ : dict of str to list of ndarray, each (n_frames, n_targets)
        Out-of-fold predictions on each recording's frame grid, NaN where nothing was tested, as
        they came: scores remove the same terms of drift from both sides of every tested block, so
        that these and ``measured_`` do not correlate as ``scores_`` says. The grid of windows
        begins at their first frame, see ``recordings_``.
    measured_ : list of ndarray, each (n_frames, n_targets)
        Measured recordings, without drift.
    target_names_ : list
        Names of targets.
    recordings_ : DataFrame
        ``subject``, ``run`` and ``recording`` of each recording, and ``first_frame``: which of its
        frames (rows of BOLD) the first row of ``predictions_`` and ``measured_`` is.
    t_r_ : ndarray of shape (n_recordings,)
        Seconds between frames.
    folds_ : list of ndarray of int, each (n_frames,)
        Fold that tested each frame of a recording (the last one, if several did), -1 if none did.
    quantity : str
        What was predicted: "BOLD", or "log power" on the way back.
    people_null_ : dict of str to ndarray, each (n_shifts,)
        Mean over targets of the translator in every person under circular shifts.
    """

    scores_: pd.DataFrame
    metric: str
    translator: str
    null_: dict
    predictions_: dict
    measured_: list
    target_names_: list
    recordings_: pd.DataFrame
    t_r_: np.ndarray
    folds_: list
    quantity: str = "BOLD"
    people_null_: dict = field(default_factory=dict)

    @property
    def _clustered(self) -> bool:
        """Whether all null draws roll the same recording, so that neighbours are alike."""
        return len(self.measured_) == 1

    @property
    def models_(self) -> list[str]:
        """Names of models, the translator first."""
        return list(dict.fromkeys(self.scores_["model"]))

    @property
    def p_values_(self) -> pd.DataFrame:
        """Circular-shift p values: one row per ``model`` and ``target``.

        Columns ``score``, ``null_mean``, ``p`` (one-sided), ``p_max`` (corrected over targets by
        the maximum statistic), ``p_fdr`` (Benjamini-Hochberg) and ``p_floor``, the smallest ``p``
        that the different shifts of these recordings allow: a p at its floor reads "<=".
        """
        columns = ["model", "target", "score", "null_mean", "p", "p_max", "p_fdr", "p_floor"]
        tables = [pd.DataFrame(columns=columns)]
        for model, null in self.null_.items():
            observed = self._observed(model)
            tables.append(pd.DataFrame({
                "model": model, "target": self.target_names_, "score": observed,
                "null_mean": np.nanmean(null, axis=0),
                **corrected(observed, null, self._clustered),
            }))  # fmt: skip
        # An empty table would make all columns objects.
        return pd.concat(tables[1:] or tables, ignore_index=True)

    def p_values_of(self, model: str) -> pd.DataFrame:
        """Rows of ``p_values_`` of one model.

        Parameters
        ----------
        model : str
            Name in ``null_``.

        Returns
        -------
        p_values : DataFrame
            A row per target.
        """
        table = self.p_values_
        return table[table["model"] == model]

    def p_floor(self, model: str | None = None) -> float:
        """Smallest p value of a mean score that the different shifts of these recordings allow.

        Parameters
        ----------
        model : str | None
            Name in ``null_``. Default: the translator.

        Returns
        -------
        floor : float
            What an infinite score would have.
        """
        null = np.nanmean(self.null_[self.translator if model is None else model], axis=1)
        return float(p_value(np.inf, null, self._cluster(null)))

    def _cluster(self, null: np.ndarray) -> float:
        """Draws of a null (n_shifts,) that amount to one."""
        return cluster_size(null[:, np.newaxis]).item() if self._clustered else 1.0

    @property
    def verdict(self) -> str:
        """What the result allows to say, in words: against chance and the best baseline."""
        return verdict_of(self)

    def _observed(self, null: str) -> np.ndarray:
        """Score of each target, (n_targets,), that a null of this name belongs to."""
        if null == "partial":
            return self.target_scores(self.translator, f"partial_{self.metric}")
        return self.target_scores(null)

    def target_scores(self, model: str | None = None, metric: str | None = None) -> np.ndarray:
        """Mean score of each target over folds and recordings.

        Parameters
        ----------
        model : str | None
            Name in ``models_``. Default: the translator.
        metric : str | None
            Default: the first metric of the evaluation.

        Returns
        -------
        scores : ndarray of shape (n_targets,)
            In the order of ``target_names_``.

        Raises
        ------
        ValueError
            If a model has no scores with this metric.
        """
        scores = self._scores(self.translator if model is None else model, metric)
        means = scores.groupby("target", sort=False)["score"].mean()
        return means.reindex(self.target_names_).to_numpy(dtype=float)

    def mean_null(self, model: str | None = None) -> tuple[float, np.ndarray, float]:
        """Mean score over targets, its circular-shift null and p value.

        Parameters
        ----------
        model : str | None
            Name in ``null_``. Default: the translator.

        Returns
        -------
        observed : float
            Mean over targets of the first metric.
        null : ndarray of shape (n_shifts,)
            The same for each shift, all targets shifted together.
        p : float
            One-sided; shifts of a single recording count in clusters, see :func:`cluster_size`.

        Raises
        ------
        ValueError
            If the model has no null.
        """
        model = self.translator if model is None else model
        if model not in self.null_:
            raise ValueError(
                f"No circular-shift null of {model!r}; there are nulls of {list(self.null_)}."
            )
        observed = float(np.nanmean(self._observed(model)))
        null = np.nanmean(self.null_[model], axis=1)
        return observed, null, float(p_value(observed, null, self._cluster(null)))

    def _scores(self, model: str, metric: str | None = None) -> pd.DataFrame:
        return scores_of(self.scores_, model, self.metric if metric is None else metric)

    def to_frame(self) -> pd.DataFrame:
        """Return all scores, one row per model, metric, fold, recording and target.

        Returns
        -------
        scores : DataFrame
            A copy of ``scores_``.
        """
        return self.scores_.copy()

    def _units(self, model: str, metric: str | None = None) -> pd.Series:
        """Mean score of each person, or of each fold where there is one person."""
        scores = self._scores(model, metric)
        unit = "subject" if scores["subject"].nunique() > 1 else "fold"
        return scores.groupby(unit)["score"].mean()

    def group_statistics(self, metric: str | None = None) -> pd.DataFrame:
        """Statistics over people of each model's mean score over targets.

        With one person, folds take the place of people; blocks of one recording are not
        independent, so their intervals are descriptive.

        Parameters
        ----------
        metric : str | None
            Default: the first metric of the evaluation.

        Returns
        -------
        statistics : DataFrame
            A row per model: ``unit`` ("subject" or "fold"), ``n``, ``mean``, ``std``, ``ci_low``,
            ``ci_high`` (95 %, Student's t), ``p_sign_flip`` (two-sided).
        """
        rows = []
        for model in scored_models(self, metric):
            units = self._units(model, metric)
            std = float(np.std(units, ddof=1)) if len(units) > 1 else float("nan")
            rows.append({"model": model, **_statistics(units), "std": std})
        columns = ["model", "unit", "n", "mean", "std", "ci_low", "ci_high", "p_sign_flip"]
        return pd.DataFrame(rows, columns=columns).set_index("model")

    def people_p(self) -> pd.DataFrame:
        """P values of the translator in every person, by circular shifts of their recordings.

        Returns
        -------
        people : DataFrame
            A row per person: ``p`` (one-sided, of the mean over targets) and its floor ``p_floor``;
            no rows where there is no null.
        """
        scores = self._scores(self.translator).groupby(["subject", "target"])["score"].mean()
        means, rows = scores.groupby("subject").mean(), {}
        n_recordings = self.recordings_["subject"].value_counts()
        for person, null in self.people_null_.items():
            # Neighbouring shifts of one recording are alike.
            cluster = 1.0 if n_recordings[person] > 1 else cluster_size(null[:, np.newaxis]).item()
            of_score, floor = (p_value(x, null, cluster) for x in (means.get(person), np.inf))
            rows[person] = {"p": float(of_score), "p_floor": float(floor)}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["p", "p_floor"], dtype=float)

    def compare(self, model: str, other: str, metric: str | None = None) -> dict:
        """Paired difference between two models over people (over folds with one person).

        Parameters
        ----------
        model, other : str
            Names in ``models_``.
        metric : str | None
            Default: the first metric of the evaluation.

        Returns
        -------
        difference : dict
            ``unit``, ``n``, ``mean``, ``ci_low``, ``ci_high`` and ``p_sign_flip`` of
            ``model - other``; ``n_higher``, in how many of the ``n`` it is above zero.

        Raises
        ------
        ValueError
            If a model or metric is unknown.
        """
        first, second = self._units(model, metric), self._units(other, metric)
        difference = (first - second).dropna()
        return {**_statistics(difference), "n_higher": int((difference > 0).sum())}

    def summary(self) -> pd.DataFrame:
        """Return one row per model and null.

        Returns
        -------
        summary : DataFrame
            ``mean`` of the first metric over targets and folds, ``std_targets``, ``std_folds``,
            ``ci_low`` and ``ci_high`` (95 %, over people, over folds with one person), ``p``
            (circular shift, of the mean over targets) with its floor ``p_floor``, ``n_significant``
            (targets with corrected p < 0.05, maximum statistic), then what the translator is above
            each model (``above``, paired over people, with ``above_low`` and ``above_high``), and
            the means of the other metrics.
        """
        group, p_values = self.group_statistics(), self.p_values_
        others = [m for m in dict.fromkeys(self.scores_["metric"]) if m != self.metric]
        means = self.scores_.groupby(["model", "metric"])["score"].mean().unstack()
        rows = {}
        for model in scored_models(self):
            row = {
                "mean": means.loc[model, self.metric],
                "std_targets": pd.Series(self.target_scores(model)).std(),
                "std_folds": self._scores(model).groupby("fold")["score"].mean().std(),
                "ci_low": group["ci_low"].get(model, np.nan),
                "ci_high": group["ci_high"].get(model, np.nan),
                "p": np.nan,
                "p_floor": np.nan,
                "n_significant": np.nan,
                **self._above(model),
            }
            if model in self.null_:
                mine = p_values[p_values["model"] == model]
                row["p"], row["p_floor"] = self.mean_null(model)[2], self.p_floor(model)
                row["n_significant"] = int((mine["p_max"] < 0.05).sum())
            rows[model] = {**row, **means.loc[model, others]}
        if self.translator in self.null_:
            null = self.null_[self.translator]
            low, high = np.nanpercentile(self.mean_null()[1], [2.5, 97.5])
            rows["null: circular_shift"] = {
                "mean": np.nanmean(null),
                "std_targets": np.nanstd(np.nanmean(null, axis=0)),
                "ci_low": low,
                "ci_high": high,
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")

    def _above(self, model: str) -> dict:
        """How far the translator is above a model, paired over people (folds with one person)."""
        found = dict.fromkeys(("mean", "ci_low", "ci_high"), np.nan)
        if model != self.translator:
            found = self.compare(self.translator, model)
        return {
            "above": found["mean"], "above_low": found["ci_low"], "above_high": found["ci_high"]
        }  # fmt: skip

    def _written(self) -> pd.DataFrame:
        """Summary with p and its floor in words, and empty cells where nothing was counted."""
        table = self.summary()
        pairs = zip(table["p"], table.pop("p_floor"), strict=True)
        table["p"] = [p_words(p, floor).removeprefix("= ") for p, floor in pairs]
        counts = table["n_significant"]
        table["n_significant"] = [f"{n:.0f}" if np.isfinite(n) else "" for n in counts]
        return table

    def _table(self) -> pd.DataFrame:
        """Shorten the summary to what is printed."""
        shown = ["mean", "ci_low", "ci_high", "p", "n_significant", "above"]
        return self._written()[shown].rename(columns={"mean": self.metric})

    @property
    def note(self) -> str:
        """Explains scores that are zero throughout; empty where there are none."""
        zero = [model for model in self.models_ if self.is_constant(model)]
        if not zero:
            return ""
        return (
            f"Zero by definition: {', '.join(zero)} (predictions that do not change over time have "
            "no correlation, and count as 0)."
        )

    def is_constant(self, model: str) -> bool:
        """Tell whether each score is exactly zero, as where predictions do not change.

        Parameters
        ----------
        model : str
            Name in ``models_``.

        Returns
        -------
        constant : bool
            For the first metric.
        """
        rows = self.scores_[self.scores_["model"] == model]
        rows = rows.loc[rows["metric"] == self.metric, "score"].dropna()
        return bool(len(rows) and (rows == 0).all())

    def __repr__(self) -> str:
        table = self._table().to_string(float_format="{:.3f}".format, na_rep="")
        return "\n\n".join(filter(None, [self.verdict, table, self.note]))

    def _repr_html_(self) -> str:
        table = self._table().to_html(float_format="{:.3f}".format, na_rep="", border=0)
        table = table.replace("<td>", '<td style="white-space: nowrap">')
        note = html.escape(self.note)
        return f"<p>{html.escape(self.verdict)}</p>{table}<p>{note}</p>"


def scores_of(table: pd.DataFrame, model: str, metric: str) -> pd.DataFrame:
    """Rows of a table of scores, or which models and metrics there are."""
    rows = table[(table["model"] == model) & (table["metric"] == metric)]
    if not len(rows):
        models, metrics = (list(dict.fromkeys(table[name])) for name in ("model", "metric"))
        raise ValueError(
            f"No scores of {model!r} with metric {metric!r}. Models: {models}; metrics: {metrics}."
        )
    return rows


def _statistics(units: pd.Series) -> dict:
    """Mean of people (or folds) with its interval, and whether it is zero."""
    mean, low, high = mean_interval(units)
    return {
        "unit": units.index.name,
        "n": len(units),
        "mean": mean,
        "ci_low": low,
        "ci_high": high,
        "p_sign_flip": sign_flip_p(units),
    }
