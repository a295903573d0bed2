"""Time courses: measured beside predicted BOLD, and losses of training."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from ..metrics import pearson
from ._figure import (
    COLORS,
    MEASURED,
    MODEL_NAMES,
    as_matrix,
    as_names,
    finish,
    fitted,
    legend_below,
    make_axes,
    pick,
    styled,
)

_N_SHOWN = 3
# More frames than these are one band of ink.
_N_FRAMES = 600
# Characters of a label that are about as long as a panel is high.
_LABEL = 17


def _spread(scores: np.ndarray, n: int) -> list[int]:
    """Best, worst and evenly between them: what a fair figure shows."""
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    return list(dict.fromkeys(order[np.linspace(0, len(order) - 1, n).round().astype(int)]))


def _courses(measured, predicted, models, recording, t_r, target_names):
    """Measured (n_frames, n_targets), predictions by model, t_r and names, from what was given."""
    if hasattr(measured, "predictions_"):
        result = measured
        models = [result.translator] if models is None else models
        models = [models] if isinstance(models, str) else list(models)
        unknown = [model for model in models if model not in result.predictions_]
        if unknown:
            raise ValueError(
                f"No predictions of {unknown[0]!r}. Models: {list(result.predictions_)}."
            )
        if not 0 <= recording < len(result.measured_):
            raise ValueError(
                f"recording={recording} is out of range: there are {len(result.measured_)}."
            )
        courses = {
            MODEL_NAMES.get(model, model): result.predictions_[model][recording] for model in models
        }
        return (
            result.measured_[recording], courses, float(result.t_r_[recording]),
            result.target_names_,
        )  # fmt: skip
    if predicted is None:
        raise ValueError("predicted is needed beside an array of measured BOLD.")
    if t_r is None:
        raise ValueError("t_r (seconds between frames) is needed beside arrays.")
    if target_names is None and hasattr(measured, "columns"):
        target_names = list(measured.columns)
    courses = predicted if isinstance(predicted, Mapping) else {"predicted": predicted}
    return measured, courses, float(t_r), target_names


def _places(measured, recording: int) -> tuple[int, np.ndarray]:
    """Frame of the scan that a result's first one is, and frames at which a new fold begins."""
    if not hasattr(measured, "predictions_") or recording >= len(measured.measured_):
        return 0, np.empty(0, int)
    fold = np.asarray(measured.folds_[recording])
    tested = np.flatnonzero(fold >= 0)
    edges = tested[1:][np.diff(fold[tested]) != 0]
    return int(measured.recordings_["first_frame"].iloc[recording]), edges


@styled
def plot_prediction(
    measured, predicted=None, *, t_r: float | None = None,
    target_names: Sequence[str] | None = None, targets=None,
    models: str | Sequence[str] | None = None, recording: int = 0, quantity: str | None = None,
    units: str = "a.u.", title: str | None = None, axes=None, show: bool = True,
) -> Figure:  # fmt: skip
    """Draw measured and predicted BOLD of a few regions over time.

    Parameters
    ----------
    measured : EvaluationResult | array of shape (n_frames, n_targets)
        Result of an evaluation, whose predictions are out of fold, or measured BOLD in order of
        time; NaN frames leave a gap.
    predicted : array of shape (n_frames, n_targets) | dict of str to array | None
        Prediction, or several by name. Not needed with a result.
    t_r : float | None
        Seconds between frames. Not needed with a result.
    target_names : sequence of str | None
        Names of regions.
    targets : str | int | list | None
        Regions to draw, by name or number. None draws the best, the middle and the worst predicted.
    models : str | list of str | None
        Models of a result; None draws the translator.
    recording : int
        Recording of a result.
    quantity, units : str
        What is drawn, for instance "log power", and its unit. None says what a result holds, and
        "BOLD" for arrays.
    axes : sequence of Axes | None
        One per region.
    title, show
        As in `plot_scores`.

    Returns
    -------
    fig : Figure
        A panel per region, titled with its name and Pearson correlations. Each course is drawn
        about its own mean, on one scale, over the time of the scan (of long scans, the first 600
        frames); dotted lines are where another fold begins, whose models saw other frames.

    Raises
    ------
    ValueError
        If shapes disagree, or a region, model or recording is unknown.
    """
    quantity = getattr(measured, "quantity", "BOLD") if quantity is None else quantity
    first_frame, edges = _places(measured, recording)
    measured, courses, t_r, target_names = _courses(
        measured, predicted, models, recording, t_r, target_names
    )
    measured = as_matrix(measured, "measured")
    courses = {name: as_matrix(course, name) for name, course in courses.items()}
    for name, course in courses.items():
        if course.shape != measured.shape:
            raise ValueError(
                f"{name} must have the shape of measured, {measured.shape} (n_frames, n_targets), "
                f"got {course.shape}."
            )
    names = as_names(target_names, measured.shape[1], "region", "target_names")
    scores = {name: _correlation(measured, course) for name, course in courses.items()}
    first = next(iter(scores.values()))
    chosen = pick(targets, names, _spread(first, min(_N_SHOWN, len(names))))
    fig, panels = make_axes(axes, len(chosen), 1, 0.8 + 1.2 * len(chosen), sharex=True)
    times = (first_frame + np.arange(len(measured))) * t_r
    shown = np.flatnonzero(np.isfinite(measured).any(axis=1))
    for panel, target in zip(panels, chosen, strict=True):
        panel.plot(times, _centred(measured[:, target]), color=MEASURED, lw=0.9, label="measured")
        for color, (name, course) in zip(COLORS, courses.items(), strict=False):
            panel.plot(times, _centred(course[:, target]), color=color, lw=1.3, label=name)
        found = [f"{scores[name][target]:.2f}" for name in courses]
        if len(found) > 1:
            found = [f"{r} ({name})" for r, name in zip(found, courses, strict=True)]
        panel.set_title(f"{names[target]}   r = {', '.join(found)}", loc="left")
        # Long names of what is drawn would run into the next panel's.
        panel.set_ylabel(fill(f"{quantity} ({units})", _LABEL))
        for edge in edges:
            panel.axvline(times[edge] - t_r / 2, color="0.6", lw=0.7, ls=":", zorder=0)
        if len(shown):
            last = times[shown[:_N_FRAMES][-1]]
            panel.set_xlim(times[shown[0]] - t_r, last + t_r)
    label = "time (s)" + ("; dotted: next fold" if len(edges) else "")
    if len(shown) > _N_FRAMES:
        label += f"; the first {_N_FRAMES} of {len(shown)} frames"
    panels[-1].set_xlabel(label)
    legend_below(fig, panels[0], axes)
    return finish(fig, show, title)


def _correlation(measured, course) -> np.ndarray:
    known = np.isfinite(measured).all(axis=1) & np.isfinite(course).all(axis=1)
    if known.sum() < 3:
        return np.full(measured.shape[1], np.nan)
    return pearson(measured[known], course[known])


def _centred(course: np.ndarray) -> np.ndarray:
    return course - np.nanmean(course) if np.isfinite(course).any() else course


@styled
def plot_history(history, *, title: str | None = None, axes=None, show: bool = True) -> Figure:
    """Draw losses by epoch of training.

    Parameters
    ----------
    history : SambaTranslator | list of dict
        A fitted translator, or its ``history_``: rows with ``epoch``, ``train_loss`` and, where a
        block was held out, ``valid_loss``.
    title, axes, show
        As in `plot_scores`; one panel.

    Returns
    -------
    fig : Figure
        Loss (1 - correlation) over epochs, with the best epoch marked.

    Raises
    ------
    ValueError
        If nothing was trained by epochs.
    """
    rows = list(getattr(history, "history_", history))
    if not rows:
        raise ValueError(
            "There is no history: nothing was trained by epochs (model='core', too few frames, or "
            "no promise of a gain by graph attention and recurrence); the linear core has none."
        )
    fig, (panel,) = make_axes(axes, 1, 1, 2.6, width=4.0)
    epochs = [int(row["epoch"]) for row in rows]
    labels = {"train_loss": "training", "valid_loss": "held-out block"}
    for color, (key, label) in zip(COLORS, labels.items(), strict=False):
        if all(key in row for row in rows):
            values = np.array([row[key] for row in rows], dtype=float)
            panel.plot(epochs, values, "o-", ms=3, color=color, label=label)
            if key == "valid_loss":
                best = int(values.argmin())
                panel.axvline(epochs[best], color="0.7", lw=0.8, ls=":", zorder=0)
                panel.annotate(
                    f"best epoch {epochs[best]}", (epochs[best], 1), (3, -8), fontsize=7,
                    xycoords=("data", "axes fraction"), textcoords="offset points", color="0.4",
                )  # fmt: skip
    panel.margins(y=0.12)
    panel.set(xlabel="epoch", ylabel="loss (1 - correlation)", title=title)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.legend()
    return finish(fig, show)


@styled
def plot_frame_weights(
    weights, *, t_r: float | None = None, recording: int = 0, title: str | None = None, axes=None,
    show: bool = True,
) -> Figure:  # fmt: skip
    """Draw which volumes a robust fit gave less weight.

    Parameters
    ----------
    weights : estimator | array of shape (n_frames, n_targets) | list of array
        A fitted `SambaTranslator`, `BandPowerRidge` or `LearnableHRF`, or its ``frame_weights_``.
    t_r : float | None
        Seconds between frames; None takes that of the estimator, and counts frames where there is
        none.
    recording : int
        Recording (or window) to draw.
    title, axes, show
        As in `plot_scores`; one panel.

    Returns
    -------
    fig : Figure
        Weight over time: the mean over regions, and the range that holds 95 % of them.

    Raises
    ------
    ValueError
        If the fit was one of squares, in which all frames count alike.
    """
    if hasattr(weights, "fit"):
        t_r = getattr(weights, "t_r", None) if t_r is None else t_r
        weights = fitted(weights, "frame_weights_")
    if weights is None:
        raise ValueError(
            "All frames have weight 1: the loss was squared, as no tails of residuals were heavy. "
            'loss="robust" asks for weights in any case.'
        )
    several = isinstance(weights, (list, tuple))
    if several and not 0 <= recording < len(weights):
        raise ValueError(f"recording={recording} is out of range: there are {len(weights)}.")
    values = as_matrix(weights[recording] if several else weights, "weights")
    fig, (panel,) = make_axes(axes, 1, 1, 1.8)
    seen = np.isfinite(values).any(axis=1)
    times = np.flatnonzero(seen) * (1.0 if t_r is None else t_r)
    low, high = np.nanquantile(values[seen], [0.025, 0.975], axis=1)
    panel.fill_between(times, low, high, color=COLORS[0], alpha=0.25, lw=0, label="95 % of regions")
    panel.plot(times, np.nanmean(values[seen], axis=1), color=COLORS[0], lw=1.0, label="mean")
    panel.set(ylim=(0, 1.05), ylabel="weight", title=title)
    panel.set_xlabel("frame" if t_r is None else "time (s)")
    panel.margins(x=0)
    legend_below(fig, panel, axes, inside="lower right")
    return finish(fig, show)
