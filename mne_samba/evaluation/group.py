"""From people to a group: which targets, which clusters of them, and which people carry it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
from scipy import stats

from .._checks import as_float_array, check_number, check_option, listed
from .._sign_flips import exchange_p, flipped_t, sign_flips
from ._result import EvaluationResult, scores_of
from ._score import FOLDS
from ._verdict import METRIC_NAMES, p_words
from .adjacency import cluster_mass, components, edges_of, tfce

__all__ = ["GroupTest", "group_test"]

_CLIP = 1 - 1e-6
_AT_ONCE = 1 << 21  # draws times targets


@dataclass(frozen=True, repr=False)
class GroupTest:
    """Scores of people, tested over people.

    Attributes
    ----------
    scores_ : DataFrame
        Correlation of each person (row) and target (column), NaN where there is none.
    targets_ : DataFrame
        A row per target: ``r`` (mean over people, of Fisher's z), ``ci_low`` and ``ci_high`` (95 %,
        Student's t over people, of this target alone), ``n`` people, ``t``, ``p`` (sign flips),
        ``p_max`` (corrected over targets by the maximum statistic), and ``cluster`` (its number, 0
        for none) with ``p_cluster``, or ``tfce`` and ``p_tfce``, where an adjacency was given.
        Targets with fewer than three people are not tested.
    clusters_ : DataFrame
        A row per cluster: ``mass`` (sum of t), ``p`` (corrected over the brain), ``n_targets``,
        ``peak`` (target with the largest t) and ``targets``.
    people_ : DataFrame
        A row per person: ``r`` (mean over targets), ``p`` and ``p_floor`` (own circular shifts,
        NaN where there are none), and what the group would be without them: ``p_without`` (of the
        mean), ``n_without`` (targets that pass) and ``decides`` (whether the verdict changes).
    mean_ : Series
        The mean over targets: ``r``, ``ci_low``, ``ci_high``, ``n``, ``t``, ``p``, ``p_floor``.
    model : str
        What was scored.
    metric : str
        The correlation.
    alternative : str
        "greater" or "two-sided".
    shared_training : bool
        Models of people were trained on each other's data.
    threshold : float | str | None
        What formed clusters.
    left_out : list of str
        People without any score.
    """

    scores_: pd.DataFrame
    targets_: pd.DataFrame
    clusters_: pd.DataFrame
    people_: pd.DataFrame
    mean_: pd.Series
    model: str
    metric: str
    alternative: str
    shared_training: bool
    threshold: float | str | None
    left_out: list

    @cached_property
    def passing(self) -> list:
        """Targets that pass corrected for their number, largest t first."""
        passed = self.targets_[self.targets_["p_max"] < 0.05]
        return list(passed.sort_values("t", ascending=False).index)

    def prevalence(self) -> dict:
        """Estimate how many of all people would be above chance by themselves.

        Returns
        -------
        prevalence : dict
            ``n_above`` of ``n`` people with own p <= 0.05, ``p`` of so many by chance (binomial),
            ``share``, the maximum a posteriori prevalence, with its 95 % interval ``low`` and
            ``high`` (Ince et al. 2021, with Clopper-Pearson's interval). Empty without own p.
        """
        own = self.people_["p"].dropna()
        if not len(own):
            return {}
        found = stats.binomtest(int((own <= 0.05).sum()), len(own), 0.05, "greater")
        wide = stats.binomtest(found.k, found.n, 0.05).proportion_ci()
        ends = np.clip((np.array([found.k / found.n, *wide]) - 0.05) / 0.95, 0, 1)
        names = ("n_above", "n", "p", "share", "low", "high")
        return dict(zip(names, (found.k, found.n, float(found.pvalue), *map(float, ends)),
                        strict=True))  # fmt: skip

    @property
    def verdict(self) -> str:
        """What may be said of the group, in words."""
        parts = (self._of_mean(), self._of_targets(), self._of_people(), self._of_missing())
        return " ".join(filter(None, parts))

    def _of_mean(self) -> str:
        mean, side = self.mean_, self.alternative.replace("greater", "one-sided")
        words = (
            f"mean {METRIC_NAMES.get(self.metric, self.metric)} {mean['r']:.3f} over "
            f"{len(self.people_)} people (95 % interval {mean['ci_low']:.3f} to "
            f"{mean['ci_high']:.3f}; sign flips, {side}: p {p_words(mean['p'], mean['p_floor'])})"
        )
        if mean["p"] <= 0.05:
            above = "above" if mean["r"] > 0 else "below"
            said = f"{self.model} is {above} chance in the group: {words}"
        elif self.passing:
            said = f"{self.model} is above chance in single targets, not in their mean: {words}"
        else:
            said = f"Nothing was shown in the group: {self.model}, {words}"
        if self.shared_training:
            said += ", allowing for models that were trained on each other's data"
        if mean["p_floor"] > 0.05:
            said += f"; so few people or flips allow no p below {mean['p_floor']:.2g}"
        return said + "."

    def _of_targets(self) -> str:
        n, said = int(self.targets_["p_max"].notna().sum()), ""
        if n > 1:
            few = f" ({', '.join(map(str, self.passing))})" if 0 < len(self.passing) <= 3 else ""
            said = f"{len(self.passing)} of {n} targets{few} pass corrected for their number."
        if self.threshold == "tfce":
            passed = int((self.targets_["p_tfce"] < 0.05).sum())
            said += f" {passed} of {n} targets pass with support of their neighbours."
        elif len(self.clusters_):
            passed = self.clusters_[self.clusters_["p"] < 0.05]
            sizes = "; ".join(
                f"{size} targets about {peak}" if size > 1 else str(peak)
                for size, peak in zip(passed["n_targets"][:3], passed["peak"][:3], strict=True)
            )
            said += f" {len(passed)} of {len(self.clusters_)} clusters pass"
            said += f" ({sizes})." if sizes else "."
        return said.strip()

    def _of_people(self) -> str:
        said = ""
        if found := self.prevalence():
            said = (
                f"{found['n_above']} of {found['n']} people are above chance by themselves "
                f"(prevalence {100 * found['share']:.0f} %, 95 % interval "
                f"{100 * found['low']:.0f} to {100 * found['high']:.0f} %). "
            )
        deciding = list(self.people_.index[self.people_["decides"]])
        if not deciding:
            return said + "No single person decides it."
        if len(deciding) == len(self.people_):
            return said + "It hangs on everybody."
        return said + f"It would be another without one of these: {listed(deciding)}."

    def _of_missing(self) -> str:
        n = self.targets_["n"]
        untested = list(n.index[n < 3])
        partly = list(n.index[(n >= 3) & (n < len(self.people_))])
        return " ".join(
            f"{what}: {listed(names)}."
            for what, names in (
                ("Without any score, left out", self.left_out),
                ("Not tested, with fewer than three people", untested),
                ("Targets that not all people have", partly),
            )
            if names
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row per target.

        Returns
        -------
        table : DataFrame
            A copy of ``targets_``.
        """
        return self.targets_.copy()

    def __repr__(self) -> str:
        tables = [t.to_string(float_format="{:.3f}".format, na_rep="") for t in self._tables()]
        return "\n\n".join([self.verdict, *tables])

    def _repr_html_(self) -> str:
        tables = [t.to_html(float_format="{:.3f}".format, na_rep="") for t in self._tables()]
        return f"<p>{html.escape(self.verdict)}</p>{''.join(tables)}"

    def _tables(self) -> list[pd.DataFrame]:
        """Shorten tables to what is printed: targets with the largest t, clusters, people."""
        best = self.targets_.sort_values("t", ascending=False, key=np.abs)[:12]
        clusters = self.clusters_.drop(columns="targets")[:12]
        people = self.people_.dropna(axis="columns", how="all")[:40]
        return [table for table in (best, clusters, people) if len(table)]


_OF_CLUSTERS = ["mass", "p", "n_targets", "peak", "targets"]


def group_test(
    results, *, model: str | None = None, metric: str | None = None,
    alternative: str = "greater", adjacency=None, threshold: float | str = 0.01,
    shared_training: bool | None = None, n_flips: int = 10_000, random_state: int | None = 0,
) -> GroupTest:  # fmt: skip
    r"""Test scores over people: each target, clusters of targets, and who carries the effect.

    Under the null, a person's scores are as likely as their negatives. With Fisher's
    :math:`z = \mathrm{artanh}(r)`, Student's t over people is compared with what it is when people
    change their signs, all targets of a person together: all :math:`2^n` ways where there are no
    more than ``n_flips``. The largest t over targets corrects for their number (Nichols and Holmes
    2002), the largest cluster for that of clusters.

    Parameters
    ----------
    results : list of EvaluationResult | EvaluationResult | DataFrame | array (n_people, n_targets)
        Results of one person each, one result of several people, or correlations: a row per person,
        a column per target, NaN where there is none.
    model : str | None
        Name in ``models_`` of results. Default: the translator.
    metric : str | None
        Which correlation. Default: the first metric of results.
    alternative : "greater" | "two-sided"
        What is shown: that correlations are above zero, or that they are not zero.
    adjacency : sparse array of shape (n_targets, n_targets) | None
        Which targets are neighbours, see :func:`parcel_adjacency`. None: no clusters.
    threshold : float | "tfce"
        Uncorrected p (one-sided) that forms clusters; "tfce" for threshold-free enhancement.
    shared_training : bool | None
        Whether models of people were trained on each other's data, as where each person is left
        out in turn. Their scores are then not independent, and their mean varies twice as much
        (squares); t and intervals allow for it. None: known of results, not so for arrays.
    n_flips : int
        Random sign flips.
    random_state : int | None
        Seed of the flips.

    Returns
    -------
    group : GroupTest
        Tables of targets, clusters and people, and a verdict.

    Raises
    ------
    ValueError
        If there are fewer than three people, people differ in their targets, or scores are no
        correlations.
    TypeError
        If ``results`` are something else.

    Notes
    -----
    The statistic is Student's t, without smoothing of variances. Clusters are said to exist
    somewhere among their targets; only ``p_max`` speaks of single targets.

    Examples
    --------
    >>> import numpy as np
    >>> r = np.random.default_rng(0).normal([0.0, 0.2, 0.0], 0.1, (12, 3))
    >>> group_test(r).passing
    ['target 2']
    """
    check_option(alternative, "alternative", ("greater", "two-sided"))
    check_option(shared_training, "shared_training", (None, True, False))
    check_number(n_flips, "n_flips", low=1, integer=True)
    if random_state is not None:
        check_number(random_state, "random_state", low=0, integer=True)
    if isinstance(threshold, str):
        check_option(threshold, "threshold", ("tfce",))
    else:
        check_number(threshold, "threshold", low=1e-6, high=0.5)
    scores, name, metric, shared, own = _read(results, model, metric)
    shared = shared if shared_training is None else bool(shared_training)
    empty = scores.isna().all(axis=1)
    left_out = [str(person) for person in scores.index[empty]]
    scores = scores[~empty]
    if len(scores) < 3:
        raise ValueError(
            f"A group needs at least three people with scores, got {len(scores)}. One person is "
            "tested by circular shifts: evaluate(...).p_values_."
        )
    z = np.arctanh(np.clip(scores.to_numpy(float), -_CLIP, _CLIP))
    test = _Test(alternative == "two-sided", shared, n_flips, random_state)
    edges = None if adjacency is None else edges_of(adjacency, z.shape[1])
    targets, clusters = test.of_targets(z, list(scores.columns), edges, threshold)
    mean = test.of_mean(z)
    people = pd.DataFrame({"r": np.tanh(_mean(z, 1))}, index=scores.index)
    people[["p", "p_floor"]] = np.nan if own is None else own.reindex(scores.index)
    shown = _shown(mean["p"], targets["p_max"])
    without = [test.without(z, person) for person in range(len(z))]
    people["p_without"] = [p for p, _ in without]
    people["n_without"] = [int((p_max < 0.05).sum()) for _, p_max in without]
    people["decides"] = [_shown(*rest) != shown for rest in without]
    return GroupTest(
        scores, targets, clusters, people, mean, name, metric, alternative, shared,
        None if edges is None else threshold, left_out,
    )  # fmt: skip


def _shown(p_mean: float, p_max) -> tuple[bool, bool]:
    return bool(p_mean <= 0.05), bool((p_max < 0.05).any())


def _mean(z: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is there; NaN of nothing."""
    n = np.isfinite(z).sum(axis=axis)
    return np.where(n > 0, np.nansum(z, axis=axis) / np.maximum(n, 1), np.nan)


@dataclass
class _Test:
    """How people are tested."""

    two_sided: bool
    shared: bool
    n_flips: int
    seed: int | None

    def _draws(self, n_people: int) -> np.ndarray:
        return sign_flips(n_people, self.n_flips, np.random.default_rng(self.seed))

    def _share(self, n: np.ndarray) -> np.ndarray:
        """By what the mean of n people shrinks, in units of their spread, beside strangers'."""
        # Scores of two people whose models hold each other's data correlate by up to 1 / (n - 1)
        # under the null: their mean varies more, and they vary less about it.
        n = np.maximum(n, 2)
        return np.sqrt((n - 2) / (n - 1) / FOLDS) if self.shared else np.ones(n.shape)

    def of_mean(self, z: np.ndarray) -> pd.Series:
        """Test the mean over targets of z (n_people, n_targets)."""
        of_people = _mean(z, 1)[:, np.newaxis]
        described = self._described(of_people, ["mean"]).iloc[0]
        t, p, _, _ = self.flipped(of_people)
        n_draws = len(self._draws(len(z)))
        mirrored = 1 + (self.two_sided and n_draws == 2 ** len(z))
        found = {"t": t[0], "p": p[0], "p_floor": mirrored / n_draws}
        return pd.Series({**described, **found}, dtype=float)

    def flipped(self, z: np.ndarray, support=None) -> tuple:
        """Test z (n_people, n_targets): t, p, p_max and p of support, (n_targets,) each."""
        # ``support`` makes of t (n_draws, n_targets) what neighbours lend them.
        z = z - (1 - self._share(np.isfinite(z).sum(axis=0))) * _mean(z, 0)
        signs = self._draws(len(z))
        observed = self._height(flipped_t(signs[:1], z))[0]
        lent = None if support is None else self._height(support(flipped_t(signs[:1], z)))[0]
        exceeded, highest, largest = np.zeros(z.shape[1]), [], []
        at_once = max(1, _AT_ONCE // max(1, z.shape[1]))
        for first in range(0, len(signs), at_once):
            t = flipped_t(signs[first : first + at_once], z)
            part = self._height(t)
            exceeded += exchange_p(observed, part) * len(part)
            highest.append(part.max(axis=1, initial=-np.inf))
            if support is not None:
                largest.append(self._height(support(t)).max(axis=1, initial=0.0))
        p_max = exchange_p(observed, np.concatenate(highest)[:, np.newaxis])
        if lent is not None:
            lent = exchange_p(lent, np.concatenate(largest)[:, np.newaxis])
        return flipped_t(signs[:1], z)[0], exceeded / len(signs), p_max, lent

    def _height(self, t: np.ndarray) -> np.ndarray:
        return np.abs(t) if self.two_sided else t

    def of_targets(self, z, names, edges, threshold) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Test every target, and clusters of them: two tables."""
        n, table = np.isfinite(z).sum(axis=0), self._described(z, names)
        tested = np.flatnonzero(n >= 3)
        support, clusters = None, pd.DataFrame(columns=_OF_CLUSTERS)
        if edges is not None:
            place = np.full(z.shape[1], -1)
            place[tested] = np.arange(len(tested))
            edges = place[edges][(place[edges] >= 0).all(axis=1)]
            if threshold == "tfce":
                one = partial(tfce, edges=edges)
            else:
                # Where targets differ in how many people they have, t are normal scores.
                even = len(set(n[tested])) == 1
                high = stats.t.isf(threshold, n[tested][0] - 1) if even else (
                    stats.norm.isf(threshold))  # fmt: skip
                one = partial(cluster_mass, edges=edges, threshold=high)

            def support(t):
                return one(t) - one(-t) if self.two_sided else one(t)

        t, p, p_max, p_support = self.flipped(z[:, tested], support)
        columns = {"t": t, "p": p, "p_max": p_max}
        if support is not None:
            lent = support(t[np.newaxis])[0]
            if threshold == "tfce":
                columns |= {"tfce": lent, "p_tfce": p_support}
            else:
                labels = self._labels(t[np.newaxis], edges, high)
                columns |= {"cluster": labels, "p_cluster": np.where(labels > 0, p_support, 1.0)}
                clusters = _clusters(labels, lent, p_support, t, table.index[tested])
        found = pd.DataFrame(columns, index=table.index[tested])
        return table.join(found), clusters

    def without(self, z: np.ndarray, person: int) -> tuple[float, np.ndarray]:
        """Test z (n_people, n_targets) without a person: p of the mean, p_max of targets."""
        rest = np.delete(z, person, axis=0)
        enough = np.isfinite(rest).sum(axis=0) >= min(3, len(rest))
        _, p, _, _ = self.flipped(_mean(rest, 1)[:, np.newaxis])
        return float(p[0]), self.flipped(rest[:, enough])[2]

    def _labels(self, t, edges, high) -> np.ndarray:
        """Give clusters of t (1, n_targets) numbers, 0 outside: (n_targets,)."""
        labels = np.zeros(t.shape[1], int)
        for side in (t, -t) if self.two_sided else (t,):
            mask = side > high
            found = np.unique(components(mask, edges)[mask], return_inverse=True)[1]
            labels[mask[0]] = 1 + labels.max(initial=0) + found
        return labels

    def _described(self, z, names) -> pd.DataFrame:
        """Mean and interval of every target of z (n_people, n_targets)."""
        n = np.isfinite(z).sum(axis=0)
        mean, n_safe = _mean(z, 0), np.maximum(n, 2)
        spread = np.sqrt(np.nansum((z - mean) ** 2, axis=0) / (n_safe - 1) / n_safe)
        spread /= self._share(n) + 1e-300
        half = np.where(n > 1, stats.t.ppf(0.975, n_safe - 1) * spread, np.nan)
        columns = {"r": mean, "ci_low": mean - half, "ci_high": mean + half}
        table = pd.DataFrame({k: np.tanh(v) for k, v in columns.items()}, index=names)
        table["n"] = n
        return table.rename_axis("target")


def _clusters(labels, mass, p, t, names) -> pd.DataFrame:
    rows = []
    for label in range(1, labels.max(initial=0) + 1):
        mine = np.flatnonzero(labels == label)
        peak = mine[np.argmax(np.abs(t[mine]))]
        rows.append({
            "mass": mass[peak], "p": p[peak], "n_targets": len(mine), "peak": names[peak],
            "targets": list(names[mine]),
        })  # fmt: skip
    table = pd.DataFrame(rows, columns=_OF_CLUSTERS)
    table.index = pd.RangeIndex(1, len(table) + 1, name="cluster")
    return table.sort_values("p", kind="stable")


def person_scores(table: pd.DataFrame, model: str, metric: str) -> pd.DataFrame:
    """Mean over folds and recordings of ``scores_``: people by targets, in their order."""
    rows = scores_of(table, model, metric)
    means = rows.groupby(["subject", "target"], sort=False)["score"].mean().unstack()
    people = rows.sort_values("recording", kind="stable")["subject"].unique()
    return means.reindex(index=people, columns=rows["target"].unique())


def _read(results, model, metric):
    """Read what was given: scores of people (DataFrame), model, metric, shared training, own p."""
    if isinstance(results, EvaluationResult):
        results = [results]
    if isinstance(results, (list, tuple)) and any(
        isinstance(result, EvaluationResult) for result in results
    ):
        return _of_results(results, model, metric)
    if model is not None:
        raise ValueError("model chooses among models of results: an array of scores has one.")
    table = results
    if not isinstance(results, pd.DataFrame):
        try:
            values = as_float_array(results, "results")
        except (TypeError, ValueError):
            values = np.empty(0)
        if values.ndim != 2 or not values.size:
            raise TypeError(
                "results must be a list of EvaluationResult (one per person), an EvaluationResult "
                f"of people, or correlations (n_people, n_targets); got {type(results).__name__}"
                + (f" of shape {values.shape}." if values.size else ".")
            )
        people, targets = (
            [f"{what} {i + 1}" for i in range(n)]
            for what, n in zip(("person", "target"), values.shape, strict=True)
        )
        table = pd.DataFrame(values, people, targets)
    metric = "correlation" if metric is None else str(metric)
    return _checked(table, metric), "The score", metric, False, None


def _of_results(results, model, metric):
    """Read results of one person each, or one of several people."""
    others = [r for r in results if not isinstance(r, EvaluationResult)]
    if others:
        raise TypeError(f"results must all be EvaluationResult, one is {type(others[0]).__name__}.")
    chosen = {(model or result.translator, metric or result.metric) for result in results}
    if len(chosen) > 1:
        raise ValueError(
            f"Results differ in model or metric: {sorted(chosen)}. Name one: model=..., metric=..."
        )
    name, metric = chosen.pop()
    parts = [person_scores(result.scores_, name, metric) for result in results]
    # Others than the translator, and further metrics, have no p of people.
    own = [
        r.people_p().reindex(part.index) if (name, metric) == (r.translator, r.metric)
        else pd.DataFrame(np.nan, part.index, ["p", "p_floor"])
        for r, part in zip(results, parts, strict=True)
    ]  # fmt: skip
    if len(parts) == 1:
        shared = results[0].scores_["fold"].nunique() > 1 and len(parts[0]) > 1
        return _checked(parts[0], metric), name, metric, shared, own[0]
    scores = _joined(parts)
    return _checked(scores, metric), name, metric, False, pd.concat(own).set_axis(scores.index)


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Join people (tables of one row each) who must have the same targets."""
    if several := [list(part.index) for part in parts if len(part) > 1]:
        raise ValueError(
            f"A list of results holds one person each; one has {several[0][:8]}. Give group_test "
            "that result alone, or results of each person's own models."
        )
    people = [part.index[0] for part in parts]
    if not all(isinstance(person, str) for person in people):
        # Recordings without a subject are numbered in each result anew.
        people = [f"person {i + 1}" for i in range(len(parts))]
    if twice := sorted({name for name in people if people.count(name) > 1}):
        raise ValueError(
            f"People occur twice: {twice[:8]}. Evaluate all recordings of a person in one result."
        )
    first = parts[0].columns
    for name, part in zip(people, parts, strict=True):
        if other := sorted(set(map(str, first)) ^ set(map(str, part.columns))):
            raise ValueError(
                f"{name} and {people[0]} differ in their targets: {listed(other)}. Score the same "
                "targets in everybody; a target that somebody lacks is a column of NaN."
            )
    return pd.concat(parts)[list(first)].set_axis(pd.Index(people, name="subject"))


def _checked(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Check that scores are correlations of people who are named once."""
    try:
        values = scores.to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(
            "A table of scores has a row per person and a column per target, all numbers; names "
            f"belong to its index: {error}"
        ) from None
    if not scores.index.is_unique or not scores.columns.is_unique:
        raise ValueError("A table of scores must name every person and every target once.")
    if (np.abs(values) > 1 + 1e-6).any():
        raise ValueError(
            f"group_test takes correlations, from -1 to 1; {metric!r} has values from "
            f"{np.nanmin(values):.3g} to {np.nanmax(values):.3g}. Choose metric='pearson' or "
            "'spearman'."
        )
    if metric.removeprefix("partial_").removeprefix("clean_") == "r2":
        raise ValueError("group_test takes correlations: metric='pearson' or 'spearman', not R^2.")
    return scores.astype(float)
