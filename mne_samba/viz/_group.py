"""Figures of a group: people as dots, and where on the brain."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from nilearn import plotting

from ..evaluation._verdict import METRIC_NAMES, p_words
from ..evaluation.adjacency import labels_of
from ._figure import (
    COLORS,
    SIGNED,
    UNSIGNED,
    as_coords,
    finish,
    glass_brain,
    largest,
    make_axes,
    styled,
)

_SHOWN = 12


@styled
def plot_group_people(
    group, *, targets=None, title: str | None = None, axes=None, show: bool = True
) -> Figure:
    """Draw people as dots beside the mean of the group: over all targets, and target by target.

    Parameters
    ----------
    group : GroupTest
        Result of `mne_samba.evaluation.group_test`.
    targets : list | None
        Targets of the lower panel; None takes the twelve with the largest t.
    title : str | None
        Title of the figure.
    axes : sequence of Axes | None
        Two: people, targets.
    show : bool
        Show the figure.

    Returns
    -------
    fig : Figure
        Above: a row per person, from high to low, filled where their own shifts have p <= .05
        (hollow where not, grey where there are none), ringed where the verdict hangs on them; the
        line is the group's mean, the band its 95 % interval. Below: a row per target, a small dot
        per person, mean and 95 % interval (of this target alone), black where the target passes
        corrected for their number.

    Raises
    ------
    ValueError
        If a target is unknown.
    """
    table = group.targets_
    if targets is None:
        targets = list(table["t"].abs().sort_values(ascending=False).index[:_SHOWN])
    unknown = [target for target in targets if target not in table.index]
    if unknown or not len(targets):
        raise ValueError(f"Unknown targets {unknown[:8]}. Known: {list(table.index)[:12]}.")
    n_people = len(group.people_)
    heights = [0.75 + 0.115 * n_people, 0.75 + 0.17 * len(targets)]
    fig, (upper, lower) = make_axes(axes, 2, 1, sum(heights), height_ratios=heights)
    _people(upper, group)
    _targets(lower, group, targets)
    return finish(fig, show, title)


def _people(panel, group) -> None:
    people, mean = group.people_.sort_values("r", ascending=False), group.mean_
    place = np.arange(len(people))
    above = people["p"] <= 0.05
    known = people["p"].notna()
    panel.axvline(0, color="0.6", lw=0.8, zorder=0)
    panel.axvspan(mean["ci_low"], mean["ci_high"], color=COLORS[0], alpha=0.15, lw=0)
    panel.axvline(mean["r"], color=COLORS[0], lw=1.4, label="mean of the group,\n95 % interval")
    kinds = (
        (above, {"mfc": COLORS[0], "mec": COLORS[0]}, "own p ≤ .05"),
        (known & ~above, {"mfc": "w", "mec": COLORS[0]}, "own p > .05"),
        (~known, {"mfc": "0.5", "mec": "0.5"}, "no null of their own"),
    )
    for which, look, label in kinds:
        if which.any():
            panel.plot(people["r"][which], place[which], "o", ms=4.5, **look, label=label)
    hangs = people["decides"].to_numpy()
    if hangs.any():
        panel.plot(people["r"][hangs], place[hangs], "o", ms=9, mfc="none", mec=COLORS[1],
                   label="verdict hangs on them")  # fmt: skip
    panel.set_yticks(place, people.index, fontsize=6 if len(people) > 12 else 7)
    panel.set_ylim(len(people) - 0.4, -0.6)
    panel.set_xlabel(f"{_name(group)}, mean over targets")
    panel.set_title(
        f"{len(people)} people, p {p_words(mean['p'], mean['p_floor'])}".replace("<=", "≤"),
        loc="left",
    )
    panel.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)


def _targets(panel, group, targets: list) -> None:
    rng = np.random.default_rng(0)
    panel.axvline(0, color="0.6", lw=0.8, zorder=0)
    for row, target in enumerate(targets):
        values, one = group.scores_[target].to_numpy(), group.targets_.loc[target]
        passed = one["p_max"] < 0.05
        height = row + rng.uniform(-0.2, 0.2, len(values))
        panel.scatter(values, height, s=7, color=COLORS[0], alpha=0.45, linewidths=0)
        color = "k" if passed else "0.6"
        panel.plot([one["ci_low"], one["ci_high"]], [row, row], color=color, lw=1.6)
        panel.plot(one["r"], row, "D", color=color, ms=3.6, mec="w", mew=0.4, zorder=3)
    panel.set_yticks(range(len(targets)), [str(target) for target in targets])
    panel.set_ylim(len(targets) - 0.4, -0.6)
    panel.set_xlabel(_name(group))
    looks = (
        {"marker": "o", "ms": 3, "color": COLORS[0], "alpha": 0.45, "ls": "", "label": "people"},
        {
            "marker": "D",
            "ms": 3.6,
            "color": "k",
            "label": "mean, 95 % interval;\ncorrected p < .05",
        },
        {"marker": "D", "ms": 3.6, "color": "0.6", "label": "corrected p ≥ .05"},
    )
    for look in looks:
        panel.plot([], [], **look)
    panel.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)


def _name(group) -> str:
    return METRIC_NAMES.get(group.metric, group.metric)


@styled
def plot_group_map(
    group, where, *, title: str | None = None, axes=None, show: bool = True
) -> Figure:
    """Draw the group's correlations on the brain: regions that pass in full colour, others pale.

    Parameters
    ----------
    group : GroupTest
        Result of `mne_samba.evaluation.group_test`.
    where : Niimg-like | nilearn.surface.SurfaceImage | array of shape (n_targets, 3)
        Label image of the targets, in a volume or on a surface, whose labels in order are the
        targets; or their places, MNI mm, which make dots on a glass brain.
    title : str | None
        Title of the figure.
    axes : Axes | None
        One, for places. None makes a figure.
    show : bool
        Show the figure.

    Returns
    -------
    fig : Figure
        Slices of a volume, inflated or other meshes from outside and inside, or dots.

    Raises
    ------
    ValueError
        If there are not as many labels or places as targets, or axes beside a label image.
    """
    values = group.targets_["r"].to_numpy()
    passed = (group.targets_["p_max"] < 0.05).to_numpy()
    limit, signed = largest(values), np.nanmin(values) < 0
    scale = {"cmap": SIGNED if signed else UNSIGNED, "vmin": -limit if signed else 0.0,
             "vmax": limit}  # fmt: skip
    label = _name(group)
    is_places = not hasattr(where, "mesh") and not hasattr(where, "affine") and (
        not isinstance(where, str) and not hasattr(where, "__fspath__"))  # fmt: skip
    if is_places:
        coords = as_coords(where, len(values))
        fig, (panel,) = make_axes(axes, 1, 1, 1.9)
        glass_brain(panel, values, coords, label=label, size=np.where(passed, 34, 9), **scale)
        return finish(fig, show, title)
    if axes is not None:
        raise ValueError("A label image is drawn on a figure of its own: axes must be None.")
    parts, names = labels_of(where)
    if len(names) != len(values):
        raise ValueError(
            f"The label image holds {len(names)} labels, the group has {len(values)} targets: they "
            "must be the same, in order."
        )
    lookup = np.zeros(names.max() + 1, int)
    lookup[names] = np.arange(len(names)) + 1
    shown = {key: np.append(np.nan, values)[lookup[part]] for key, part in parts.items()}
    sure = {key: np.append(False, passed)[lookup[part]] for key, part in parts.items()}
    if hasattr(where, "mesh"):
        fig = _surface(where.mesh, shown, sure, scale, label)
    else:
        fig = _volume(where, shown["volume"], sure["volume"], scale, label)
    return finish(fig, show, title)


def _volume(where, shown, sure, scale, label) -> Figure:
    """Slices of r (x, y, z), NaN outside, and whether it passes."""
    from nilearn.image import load_img, new_img_like

    atlas = load_img(where)
    fig, panel = plt.subplots(figsize=(6.0, 2.3))
    panel.set_axis_off()
    image = new_img_like(atlas, np.nan_to_num(shown).astype("float32"))
    alpha = new_img_like(atlas, np.where(np.isnan(shown), 0.0, np.where(sure, 1.0, 0.3)))
    best = np.argwhere(np.abs(np.where(sure, shown, np.nan)) == largest(shown[sure])) if (
        sure.any()) else np.argwhere(np.isfinite(shown))  # fmt: skip
    middle = best[np.argmin(((best - best.mean(axis=0)) ** 2).sum(axis=1))]
    cuts = tuple((atlas.affine @ [*middle, 1.0])[:3])
    plotting.plot_stat_map(
        image, axes=panel, figure=fig, cut_coords=cuts, colorbar=False, transparency=alpha,
        draw_cross=False, resampling_interpolation="nearest", black_bg=False, **scale,
    )  # fmt: skip
    for text in [text for axis in fig.axes for text in axis.texts]:
        text.set_fontsize(8)
    fig.subplots_adjust(0.01, 0.02, 0.86, 0.9)
    _color_bar(fig, scale, label)
    return fig


def _surface(mesh, shown, sure, scale, label) -> Figure:
    """Both sides of each hemisphere."""
    parts = list(mesh.parts)
    fig, panels = plt.subplots(
        1, 2 * len(parts), figsize=(6.0, 1.9), subplot_kw={"projection": "3d"}
    )
    for k, part in enumerate(parts):
        values = np.where(sure[part], shown[part], np.nan)
        for panel, view in zip(panels[2 * k : 2 * k + 2], ("lateral", "medial"), strict=True):
            plotting.plot_surf_stat_map(
                mesh.parts[part], values, hemi=part, view=view, axes=panel, figure=fig,
                colorbar=False, **scale,
            )  # fmt: skip
            panel.set_title(f"{part}, {view}", fontsize=7)
    fig.subplots_adjust(0.0, 0.0, 0.88, 0.9, wspace=0.0)
    _color_bar(fig, scale, label)
    return fig


def _color_bar(fig, scale, label) -> None:
    """Colour bar on the right of a figure that lays itself out."""
    place = fig.add_axes((0.9, 0.2, 0.014, 0.6))
    mappable = plt.cm.ScalarMappable(plt.Normalize(scale["vmin"], scale["vmax"]), scale["cmap"])
    fig.colorbar(mappable, cax=place).set_label(label)
