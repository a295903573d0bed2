"""What all figures share: style, axes, names, colours, and brains that follow their axes."""

import functools
from collections.abc import Callable, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox
from nilearn import plotting

from ..data.channels import places_of

# A figure is made for the width of a page of text.
WIDTH = 6.0
SIGNED, UNSIGNED = "RdBu_r", "viridis"
# Wong (2011), Nature Methods 8: told apart by colour-blind readers.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999"]
MEASURED, TRUTH = "0.55", "0.15"
# What rows of an evaluation are called in figures and tables.
MODEL_NAMES = {
    "ridge_canonical": "ridge, canonical",
    "ridge_fir": "ridge, FIR",
    "stimulus_average": "stimulus average",
    "null: circular_shift": "null: circular shifts",
    "null: shuffled_pairing": "null: shuffled pairings",
}
# Rows that only an evaluation has: the user's own models may have these names.
RESULT_NAMES = MODEL_NAMES | {
    "mean": "mean of training frames",
    "time": "time since the start",
    "ceiling": "ceiling: clean BOLD",
}

_STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "figure.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 150,
    "savefig.dpi": 150,
}


def styled(function: Callable) -> Callable:
    """Draw in one style without changing the user's settings."""

    @functools.wraps(function)
    def draw(*args, **kwargs):
        with mpl.rc_context(_STYLE):
            return function(*args, **kwargs)

    return draw


def make_axes(
    axes, n_rows: int, n_columns: int, height: float, width: float = WIDTH, **options
) -> tuple[Figure, list[Axes]]:
    """Axes to draw on, in a row-wise list: those given, or those of a new figure."""
    n_panels = n_rows * n_columns
    if axes is None:
        fig, made = plt.subplots(
            n_rows, n_columns, figsize=(width, height), layout="constrained", squeeze=False,
            **options,
        )  # fmt: skip
        return fig, list(made.ravel())
    given = [axes] if isinstance(axes, Axes) else list(np.ravel(np.asarray(axes, dtype=object)))
    if len(given) != n_panels or not all(isinstance(axis, Axes) for axis in given):
        raise ValueError(
            f"This figure has {n_panels} panel(s): axes must be None or as many matplotlib Axes, "
            f"got {len(given)}."
        )
    return given[0].figure, given


def finish(fig: Figure, show: bool, title: str | None = None) -> Figure:
    """Title a figure, show it where a screen can, and hand it back."""
    if title is not None:
        fig.suptitle(title)
    if show and plt.get_backend().lower() != "agg":
        plt.show()
    return fig


def legend_below(fig, panel: Axes, axes, n_columns=None, inside="upper right", **options) -> None:
    """Legend of a panel under a new figure; inside the panel where ``axes`` were given."""
    handles, labels = panel.get_legend_handles_labels()
    if axes is not None:
        panel.legend(loc=inside, **options)
        return
    fig.legend(
        handles, labels, loc="outside lower center", ncols=n_columns or len(labels), **options
    )


def as_matrix(values, name: str, n_dims: int = 2) -> np.ndarray:
    """Numbers of so many dimensions, or an error that says what came."""
    array = np.asarray(values, dtype=float)
    if array.ndim != n_dims:
        raise ValueError(f"{name} must have {n_dims} dimension(s), got shape {array.shape}.")
    if not array.size:
        raise ValueError(f"{name} is empty (shape {array.shape}).")
    return array


def as_names(names, n: int, stem: str, what: str) -> list[str]:
    """Names of n things; numbers where there are none."""
    if names is None:
        return [f"{stem} {i + 1}" for i in range(n)]
    names = [str(name) for name in names]
    if len(names) != n:
        raise ValueError(f"{what} must have {n} names, got {len(names)}.")
    return names


def as_coords(coords, n: int) -> np.ndarray | None:
    """Coordinates (n, 3), or None."""
    if coords is None:
        return None
    coords = np.asarray(coords, dtype=float)
    if coords.shape != (n, 3) or not np.isfinite(coords).all():
        raise ValueError(
            f"coords must be finite and of shape ({n}, 3), MNI mm, got {coords.shape}."
        )
    return coords


def pick(items, names: Sequence[str], default: Sequence[int]) -> list[int]:
    """Find the indices of what was asked for by name or number."""
    if items is None:
        return list(default)
    items = [items] if isinstance(items, str | int | np.integer) else list(items)
    chosen = []
    for item in items:
        if isinstance(item, str):
            if item not in names:
                raise ValueError(f"Unknown region {item!r}. Known: {list(names)}.")
            chosen.append(list(names).index(item))
        elif not 0 <= int(item) < len(names):
            raise ValueError(f"Region {item} is out of range: there are {len(names)}.")
        else:
            chosen.append(int(item))
    if not chosen:
        raise ValueError("No region was asked for: targets is empty.")
    return chosen


def fitted(estimator, *attributes: str):
    """Attributes of a fitted estimator; a TypeError where it has none of them."""
    missing = [name for name in attributes if not hasattr(estimator, name)]
    if missing:
        raise TypeError(
            f"Expected a fitted estimator with {list(attributes)}, or plain arrays; "
            f"{type(estimator).__name__} has no {missing[0]} (is it fitted?)."
        )
    found = [getattr(estimator, name) for name in attributes]
    return found[0] if len(found) == 1 else found


def largest(values) -> float:
    """Largest magnitude, for limits that are symmetric about zero; 1 where all is zero."""
    values = np.abs(np.asarray(values, dtype=float))
    top = float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
    return top if top > 0 else 1.0


def color_scale(values) -> tuple[str, float, float]:
    """Colour map and limits: about zero where there are both signs, from zero on elsewhere."""
    values, top = np.asarray(values, dtype=float), largest(values)
    if (values < 0).any() and (values > 0).any():
        return SIGNED, -top, top
    return (f"{UNSIGNED}_r", -top, 0.0) if (values < 0).any() else (UNSIGNED, 0.0, top)


def fade(fig: Figure, words: str) -> None:
    """Veil a figure without a title of its own, and say above it why."""
    veil = Rectangle((0, 0), 1, 1, transform=fig.transFigure, color="w", alpha=0.6, lw=0, zorder=90)
    fig.add_artist(veil)
    # On the left, where a phone begins to show a figure.
    fig.suptitle(words, x=0.02, ha="left", fontsize=9, weight="bold", color="0.2", zorder=91)


def tick_names(axis, names: Sequence[str], inches: float, rotation: float | None = None) -> None:
    """Label ticks with names, in a size that fits; every second or third where nothing fits."""
    points = 72 * inches / max(1, len(names))
    every = max(1, int(np.ceil(5.0 / points)))
    size = float(np.clip(points * every * 0.95, 4.4, 7))
    where = np.arange(0, len(names), every)
    labels = [names[i] for i in where]
    axis.set_ticks(where, labels, fontsize=size)
    if rotation is not None:
        for label in axis.get_ticklabels():
            label.set_rotation(rotation)
    axis.set_tick_params(length=1.5 if every == 1 else 3)


def by_network(networks, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Order (n,) that puts networks together, and the places of the lines between them."""
    if networks is None:
        return np.arange(n), np.empty(0)
    networks = [str(network) for network in networks]
    if len(networks) != n:
        raise ValueError(f"networks must have {n} entries, one per region, got {len(networks)}.")
    order = np.argsort(np.asarray(networks), kind="stable")
    ordered = np.asarray(networks)[order]
    return order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 0.5


def _keep_inside(host: Axes, inner: list[Axes]) -> None:
    """Let axes of a brain follow their host, whatever the layout does to it later."""
    width = np.array([abs(np.subtract(*axis.get_xlim())) for axis in inner])
    edges = np.concatenate([[0.0], np.cumsum(width / width.sum())])

    def locator(left, right):
        def place(axis, renderer):
            box = host.get_position()
            return Bbox.from_bounds(
                box.x0 + left * box.width, box.y0, (right - left) * box.width, box.height
            )

        return place

    for text in [text for axis in inner for text in axis.texts]:
        text.set_fontsize(8)
    for axis, left, right in zip(inner, edges[:-1], edges[1:], strict=True):
        axis.set_axes_locator(locator(left, right))


def glass_brain(
    host: Axes, values, coords, *, label: str, cmap: str, vmin: float, vmax: float, size=28.0
) -> None:
    """Regions as dots on a glass brain, coloured by value, with a labelled colour bar."""
    host.set_axis_off()
    shown = np.asarray(values, dtype=float)
    keep = np.isfinite(shown)
    size = np.broadcast_to(size, shown.shape)[keep]
    display = plotting.plot_markers(
        shown[keep], coords[keep], axes=host, display_mode="lzr", node_cmap=cmap, node_vmin=vmin,
        node_vmax=vmax, node_size=size, alpha=1.0, colorbar=False,
        node_kwargs={"edgecolors": "0.25", "linewidths": 0.4},
    )  # fmt: skip
    _keep_inside(host, [view.ax for view in display.axes.values()])
    color_bar(host, cmap, vmin, vmax, label)


def connectome(
    host: Axes, matrix, coords, colors, *, label: str, cmap: str, vmin: float, vmax: float
) -> None:
    """Edges and nodes on a glass brain, with a labelled colour bar."""
    host.set_axis_off()
    display = plotting.plot_connectome(
        matrix, coords, node_color=list(colors), node_size=16, axes=host, display_mode="lzr",
        edge_cmap=cmap, edge_vmin=vmin, edge_vmax=vmax, colorbar=False,
        edge_kwargs={"linewidth": 1.2}, node_kwargs={"edgecolors": "0.25", "linewidths": 0.3},
    )  # fmt: skip
    _keep_inside(host, [view.ax for view in display.axes.values()])
    color_bar(host, cmap, vmin, vmax, label)


def color_bar(host, cmap: str, vmin: float, vmax: float, label: str) -> None:
    """Colour bar beside axes, or beside several of them."""
    hosts = [host] if isinstance(host, Axes) else list(host)
    mappable = mpl.cm.ScalarMappable(mpl.colors.Normalize(vmin, vmax), cmap)
    bar = hosts[0].figure.colorbar(mappable, ax=hosts, fraction=0.03, pad=0.02, aspect=18)
    bar.set_label(label)
    bar.outline.set_linewidth(0.5)


def on_maps(info) -> list[int]:
    """Find channels (indices) that maps show: gradiometers lie where magnetometers do."""
    types = info.get_channel_types()
    both = {"mag", "grad"} <= set(types)
    return [i for i, kind in enumerate(types) if kind == "mag" or not both]


def positions(info, n_channels: int):
    """Info for maps of the head, where it holds so many channels and knows all their places."""
    if info is None or len(info["chs"]) != n_channels:
        return None
    places = places_of(info)
    if np.isnan(places).any() or len(np.unique(places, axis=0)) < len(places):
        return None
    # Channels on a line, such as Fz to Oz, span no map.
    spread = np.linalg.svd(places[:, :2] - places[:, :2].mean(axis=0), compute_uv=False)
    return info if len(spread) > 1 and spread[1] > 1e-3 * spread[0] else None
