"""What an evaluation returns: scores, nulls, p values and people, as tables and a figure."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .nulls import cluster_size, fdr, max_statistic_p, mean_interval, p_value, sign_flip_p


@dataclass
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
        Out-of-fold predictions on each recording's frame grid, NaN where nothing was tested. The
        grid of windows begins at their first frame, see ``recordings_``.
    measured_ : list of ndarray, each (n_frames, n_targets)
        Measured recordings, detrended as they were scored.
    target_names_ : list
        Names of targets.
    recordings_ : DataFrame
        ``subject``, ``run`` and ``recording`` of each recording, and ``first_frame``: which of its
        frames (rows of BOLD) the first row of ``predictions_`` and ``measured_`` is.
    t_r_ : ndarray of shape (n_recordings,)
        Seconds between frames.
    quantity : str
        What was predicted: "BOLD", or "log power" on the way back.
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
    quantity: str = "BOLD"

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
        the maximum statistic) and ``p_fdr`` (Benjamini-Hochberg).
        """
        columns = ["model", "target", "score", "null_mean", "p", "p_max", "p_fdr"]
        tables = [pd.DataFrame(columns=columns)]
        for model, null in self.null_.items():
            observed = self._observed(model)
            p = p_value(observed, null, cluster_size(null) if self._clustered else 1.0)
            p_max = max_statistic_p(observed, null, self._clustered)
            means = np.nanmean(null, axis=0)
            values = (model, self.target_names_, observed, means, p, p_max, fdr(p))
            tables.append(pd.DataFrame(dict(zip(columns, values, strict=True))))
        # An empty table would make all columns objects.
        return pd.concat(tables[1:] or tables, ignore_index=True)

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
        cluster = cluster_size(null[:, np.newaxis]).item() if self._clustered else 1.0
        return observed, null, float(p_value(observed, null, cluster))

    def _with(self, metric: str | None = None) -> list[str]:
        """Names of the models that have scores with a metric, in their order."""
        metric = self.metric if metric is None else metric
        return list(self.scores_.loc[self.scores_["metric"] == metric, "model"].unique())

    def _scores(self, model: str, metric: str | None = None) -> pd.DataFrame:
        metric = self.metric if metric is None else metric
        table = self.scores_
        rows = table[(table["model"] == model) & (table["metric"] == metric)]
        if not len(rows):
            raise ValueError(
                f"No scores of {model!r} with metric {metric!r}. Models: {self.models_}; "
                f"metrics: {list(dict.fromkeys(table['metric']))}."
            )
        return rows

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
        for model in self._with(metric):
            units = self._units(model, metric)
            std = float(np.std(units, ddof=1)) if len(units) > 1 else float("nan")
            rows.append({"model": model, **_statistics(units), "std": std})
        columns = ["model", "unit", "n", "mean", "std", "ci_low", "ci_high", "p_sign_flip"]
        return pd.DataFrame(rows, columns=columns).set_index("model")

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
            ``model - other``.

        Raises
        ------
        ValueError
            If a model or metric is unknown.
        """
        first, second = self._units(model, metric), self._units(other, metric)
        return _statistics((first - second).dropna())

    def summary(self) -> pd.DataFrame:
        """Return one row per model and null.

        Returns
        -------
        summary : DataFrame
            ``mean`` of the first metric over targets and folds, ``std_targets``, ``std_folds``,
            ``ci_low`` and ``ci_high`` (95 %, over people, over folds with one person), ``p``
            (circular shift, of the mean over targets), ``n_significant`` (targets with corrected
            p < 0.05, maximum statistic), then the means of the other metrics.
        """
        group, p_values = self.group_statistics(), self.p_values_
        others = [m for m in dict.fromkeys(self.scores_["metric"]) if m != self.metric]
        means = self.scores_.groupby(["model", "metric"])["score"].mean().unstack()
        rows = {}
        for model in self._with():
            row = {
                "mean": means.loc[model, self.metric],
                "std_targets": pd.Series(self.target_scores(model)).std(),
                "std_folds": self._scores(model).groupby("fold")["score"].mean().std(),
                "ci_low": group["ci_low"].get(model, np.nan),
                "ci_high": group["ci_high"].get(model, np.nan),
                "p": np.nan,
                "n_significant": np.nan,
            }
            if model in self.null_:
                mine = p_values[p_values["model"] == model]
                row["p"] = self.mean_null(model)[2]
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
