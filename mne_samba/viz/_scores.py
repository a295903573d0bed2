"""Scores: of regions and models, against nulls, over the amount of data, and of retrieval."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from ..evaluation import mean_interval, p_value
from ..evaluation._verdict import p_words, scored_models
from ..models.retrieval import retrieval_summary
from ._figure import (
    COLORS,
    MODEL_NAMES,
    RESULT_NAMES,
    SIGNED,
    UNSIGNED,
    as_coords,
    as_matrix,
    as_names,
    color_bar,
    finish,
    glass_brain,
    largest,
    legend_below,
    make_axes,
    styled,
)


def _scores_of(scores, null, models, metric):
    """Scores by model, null (n_shifts, n_targets) and the metric's name."""
    if hasattr(scores, "scores_"):
        result = scores
        metric = result.metric if metric is None else metric
        scored = scored_models(result, metric)
        if not scored:
            raise ValueError(f"No scores with metric {metric!r}.")
        found = {m: result.target_scores(m, metric) for m in (scored if models is None else models)}
        if null is None and metric == result.metric:
            null = result.null_.get(result.translator)
        return found, null, metric
    if isinstance(scores, Mapping):
        found = {str(m): as_matrix(value, f"scores of {m!r}", 1) for m, value in scores.items()}
    else:
        found = {"model": as_matrix(scores, "scores", 1)}
    sizes = {len(value) for value in found.values()}
    if len(sizes) != 1:
        raise ValueError(f"Models must have scores of the same regions, got {sorted(sizes)}.")
    return found, null, metric or "score"


def _label(metric: str) -> str:
    known = {"spearman": "Spearman correlation", "pearson": "Pearson correlation", "r2": "$R^2$"}
    return known.get(metric, metric.replace("_", " "))


@styled
def plot_scores(
    scores, *, coords=None, null=None, models: Sequence[str] | None = None,
    metric: str | None = None, title: str | None = None, axes=None, show: bool = True,
) -> Figure:  # fmt: skip
    """Draw scores of all regions, by model, over the band of the null.

    Parameters
    ----------
    scores : EvaluationResult | array of shape (n_targets,) | dict of str to array
        Result of an evaluation, scores of one model, or of several by name.
    coords : array of shape (n_targets, 3) | None
        Places of regions, MNI mm: adds a glass brain with the scores of the first model.
    null : array of shape (n_shifts, n_targets) | None
        Null scores of the first model; a result brings its own.
    models : sequence of str | None
        Models of a result; None draws all.
    metric : str | None
        Metric of a result, or the name of the score.
    title : str | None
        Title of the figure.
    axes : Axes | sequence of Axes | None
        One, or two with ``coords``: the brain first.
    show : bool
        Show the figure.

    Returns
    -------
    fig : Figure
        One dot per region, a bar at the mean; in grey the central 90 % of the null, light that of
        single regions, dark that of their mean.

    Raises
    ------
    ValueError
        If shapes disagree, or a model or metric is unknown.
    """
    found, null, metric = _scores_of(scores, null, models, metric)
    first, values = next(iter(found.items()))
    coords = as_coords(coords, len(values))
    label = _label(metric)
    n_rows, height = (1, 0.0) if coords is None else (2, 1.9)
    height += 0.9 + 0.34 * len(found)
    ratios = None if coords is None else [1.9, 0.9 + 0.34 * len(found)]
    fig, panels = make_axes(axes, n_rows, 1, height, height_ratios=ratios)
    if coords is not None:
        limit = largest(values)
        panels[0].set_title(first, loc="left")
        signed = np.nanmin(values) < 0
        glass_brain(
            panels[0], values, coords, label=label, cmap=SIGNED if signed else UNSIGNED,
            vmin=-limit if signed else 0.0, vmax=limit,
        )  # fmt: skip
    names = RESULT_NAMES if hasattr(scores, "scores_") else MODEL_NAMES
    _strips(panels[-1], {names.get(m, m): v for m, v in found.items()}, null, label)
    return finish(fig, show, title)


def _strips(panel, found: dict, null, label: str) -> None:
    rng = np.random.default_rng(0)
    for row, (color, (_, values)) in enumerate(zip(cycle(COLORS), found.items(), strict=False)):
        height = row + rng.uniform(-0.22, 0.22, len(values))
        panel.scatter(values, height, s=9, color=color, alpha=0.55, linewidths=0)
        panel.plot([np.nanmean(values)] * 2, [row - 0.34, row + 0.34], color="k", lw=1.8)
    panel.axvline(0, color="0.6", lw=0.8, zorder=0)
    if null is not None:
        null = as_matrix(null, "null")
        # Dots are compared with the null of single regions, bars with that of their mean: p values
        # are one-sided, so that what lies right of 90 % has p < .05.
        for draws, color, of_what in (
            (null, "0.92", "a region"),
            (null.mean(1), "0.82", "the mean"),
        ):
            low, high = np.nanpercentile(draws, [5, 95])
            label_ = f"null of {of_what}, central 90 %"
            panel.axvspan(low, high, color=color, zorder=-1, lw=0, label=label_)
        panel.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=2)
    panel.set_yticks(range(len(found)), list(found))
    panel.set_ylim(len(found) - 0.5, -0.5)
    panel.set_xlabel(f"{label} (one dot per region, bar: mean)")


@styled
def plot_null(
    null, observed: float | None = None, *, model: str | None = None, metric: str | None = None,
    title: str | None = None, axes=None, show: bool = True,
) -> Figure:  # fmt: skip
    """Draw the null distribution of the mean score and where the observed score lies.

    Parameters
    ----------
    null : EvaluationResult | array of shape (n_shifts,) or (n_shifts, n_targets)
        Result of an evaluation with circular shifts, or null scores; averaged over targets.
    observed : float | None
        Observed mean score. Not needed with a result.
    model : str | None
        Model of a result; None takes the translator.
    metric : str | None
        Name of the score, beside an array.
    title, axes, show
        As in `plot_scores`; one panel.

    Returns
    -------
    fig : Figure
        Histogram of the null, the observed score as a line, and the one-sided p value: that of
        ``summary()`` with a result, of independent shifts with an array.

    Raises
    ------
    ValueError
        If the model has no null, or ``observed`` is missing.
    """
    if hasattr(null, "null_"):
        model, metric = model or null.translator, null.metric
        observed, draws, p = null.mean_null(model)
        floor = null.p_floor(model)
    elif observed is None:
        raise ValueError("observed (the mean score) is needed beside an array of null scores.")
    else:
        draws = np.asarray(null, dtype=float)
        draws = np.nanmean(draws, axis=1) if draws.ndim == 2 else as_matrix(draws, "null", 1)
        p, floor = p_value(observed, draws), p_value(np.inf, draws)
    fig, (panel,) = make_axes(axes, 1, 1, 2.5, width=4.2)
    panel.hist(draws, bins="auto", color="0.75", edgecolor="w", linewidth=0.4, label="null")
    name = MODEL_NAMES.get(model, model) or "observed score"
    panel.axvline(observed, color=COLORS[1], lw=1.8, label=name)
    level = np.percentile(draws, 95)
    label = "95th percentile of null"
    panel.axvline(level, ymax=0.62, color="0.4", lw=0.9, ls="--", label=label)
    panel.set(
        xlabel=f"{_label(metric or 'score')}, mean over regions",
        ylabel=f"circular shifts (of {len(draws)})",
        title=title,
    )
    panel.set_ylim(top=panel.get_ylim()[1] * 1.5)
    panel.legend(loc="upper left", title=f"p {p_words(p, floor)} (one-sided)", alignment="left")
    return finish(fig, show)


@styled
def plot_learning_curve(
    sizes, scores=None, *, xlabel: str = "minutes of training data",
    ylabel: str = "Spearman correlation", log: bool = False, title: str | None = None, axes=None,
    show: bool = True,
) -> Figure:  # fmt: skip
    """Draw scores over the amount of training data.

    Parameters
    ----------
    sizes : LearningCurve | array of shape (n_sizes,)
        Result of `mne_samba.evaluation.learning_curve_minutes`, or amounts of training data.
    scores : array of shape (n_sizes,) or (n_sizes, n_repeats) | dict of str to array | None
        Scores of one model, or of several by name; repeats are seeds, folds or people. Not needed
        with a result.
    xlabel, ylabel : str
        Labels with units.
    log : bool
        Logarithmic axis of sizes.
    title, axes, show
        As in `plot_scores`; one panel.

    Returns
    -------
    fig : Figure
        Mean over repeats, with its 95 % interval (Student's t) as a band; of a result, the folds as
        repeats.

    Raises
    ------
    ValueError
        If a model has not one row per size, or ``scores`` are missing.
    """
    if hasattr(sizes, "last_gain"):
        curve = sizes
        by_fold = curve.scores_.groupby(["asked", "fold"])["score"].mean().unstack()
        sizes, scores, ylabel = curve.to_frame()["minutes"], by_fold, _label(curve.metric)
    if scores is None:
        raise ValueError("scores are needed beside an array of sizes.")
    sizes = as_matrix(sizes, "sizes", 1)
    models = scores if isinstance(scores, Mapping) else {None: scores}
    fig, (panel,) = make_axes(axes, 1, 1, 2.7, width=4.2)
    for color, (name, values) in zip(cycle(COLORS), models.items(), strict=False):
        values = np.asarray(values, dtype=float)
        values = values[:, np.newaxis] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) != len(sizes):
            raise ValueError(
                f"Scores must have one row per size ({len(sizes)}), got shape {values.shape}."
            )
        mean, low, high = np.transpose([mean_interval(row) for row in values])
        panel.plot(sizes, mean, "o-", ms=3.5, color=color, label=name)
        if values.shape[1] > 1:
            panel.fill_between(sizes, low, high, color=color, alpha=0.18, lw=0)
    if log:
        panel.set_xscale("log")
        panel.set_xticks(sizes, [f"{size:g}" for size in sizes], minor=False)
        panel.minorticks_off()
    panel.axhline(0, color="0.6", lw=0.8, zorder=0)
    panel.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if panel.get_legend_handles_labels()[0]:
        panel.legend()
    return finish(fig, show)


@styled
def plot_inflation(
    result, *, models: Sequence[str] | None = None, title: str | None = None, axes=None,
    show: bool = True,
) -> Figure:  # fmt: skip
    """Draw scores of the same models under several protocols, and what these add.

    Parameters
    ----------
    result : BenchResult
        Result of `mne_samba.evaluation.bench`.
    models : sequence of str | None
        Models that are drawn; None draws all.
    title, axes, show
        As in `plot_scores`; one panel.

    Returns
    -------
    fig : Figure
        A row per model: its score under every protocol, with the interval over people, and the
        mean of its null as a stroke. Numbers say how far a protocol lies from ``"blocked"``.
    """
    table = result.to_frame().set_index(["protocol", "model"])
    models = result.models_ if models is None else list(models)
    protocols, n = list(result.results_), len(result.results_)
    added = {}
    if "blocked" in protocols:
        added = result.inflation().set_index(["protocol", "model"])["difference"].to_dict()
    fig, (panel,) = make_axes(axes, 1, 1, 0.7 + 0.2 * n * len(models))
    for k, (color, protocol) in enumerate(zip(cycle(COLORS), protocols, strict=False)):
        for row, model in enumerate(models):
            place, one = row + 0.7 * ((k + 0.5) / n - 0.5), table.loc[protocol, model]
            panel.plot([one["ci_low"], one["ci_high"]], [place, place], color=color, lw=1)
            name = protocol if row == 0 else None
            panel.plot(one["r"], place, "o", color=color, ms=4.5, label=name)
            panel.plot(one["null"], place, "|", color="0.3", ms=7, zorder=3)
            if (protocol, model) in added:
                end = np.nanmax([one["ci_high"], one["r"]])
                text = f"{added[protocol, model]:+.2f}"
                panel.annotate(text, (end, place), (5, 0), textcoords="offset points",
                               va="center", fontsize=6, color=color)  # fmt: skip
    panel.axvline(0, color="0.6", lw=0.8, zorder=0)
    panel.margins(x=0.1)
    panel.set_yticks(range(len(models)), [RESULT_NAMES.get(name, name) for name in models])
    told = "Pearson correlation over time, 95 % interval"
    told += "; numbers: difference to blocked" if added else ""
    panel.set(xlabel=told, ylim=(len(models) - 0.5, -0.5))
    panel.plot([], [], "|", color="0.3", ms=7, label="mean of the null")
    legend_below(fig, panel, axes)
    return finish(fig, show, title)


@styled
def plot_retrieval(
    similarity, *, labels: Sequence[str] | None = None, top: int = 5, title: str | None = None,
    axes=None, show: bool = True,
) -> Figure:  # fmt: skip
    """Draw how well predictions find their own measurement among all others.

    Parameters
    ----------
    similarity : array of shape (n_samples, n_samples)
        Similarity of predicted sample i (row) with measured sample j (column), for instance their
        correlation.
    labels : sequence of str | None
        Names of samples.
    top : int
        Largest k of the top-k accuracy that is drawn.
    axes : sequence of Axes | None
        Two: the matrix, the accuracy.
    title, show
        As in `plot_scores`.

    Returns
    -------
    fig : Figure
        Similarity matrix, and share of samples whose own measurement is among the k most similar,
        beside chance (k / n_samples).

    Raises
    ------
    ValueError
        If the matrix is not square or has NaN.
    """
    similarity = as_matrix(similarity, "similarity")
    n = len(similarity)
    if similarity.shape != (n, n) or not np.isfinite(similarity).all():
        raise ValueError(
            f"similarity must be finite and square (n_samples, n_samples), got {similarity.shape}."
        )
    names = as_names(labels, n, "sample", "labels")
    ks = np.arange(1, min(top, n) + 1)
    found = retrieval_summary(similarity, ks)
    accuracy = np.array([found.top[k] for k in ks])
    fig, (matrix, curve) = make_axes(axes, 1, 2, 2.8, width_ratios=[1.25, 1])
    limit = largest(similarity)
    matrix.imshow(similarity, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
    matrix.set(xlabel="measured sample", ylabel="predicted sample")
    if labels is not None and n <= 20:
        matrix.set_xticks(range(n), names, rotation=90)
        matrix.set_yticks(range(n), names)
    matrix.spines[:].set_visible(True)
    color_bar(matrix, SIGNED, -limit, limit, "similarity")
    curve.plot(ks, 100 * accuracy, "o-", color=COLORS[0], ms=4, label="predictions")
    curve.plot(ks, 100 * ks / n, "--", color="0.5", label="chance")
    curve.set(xlabel="k", ylabel="own among the k nearest (%)", ylim=(0, 103), xticks=ks)
    curve.set_title(f"median rank {found.median_rank:g} of {n}")
    curve.legend()
    return finish(fig, show, title)
