"""Frequency bands: attention and gain, activation patterns and attributions."""

from collections.abc import Sequence

import mne
import numpy as np
from matplotlib.figure import Figure
from mne.viz import plot_topomap

from .._checks import check_option
from ..unmixing import at_sensors
from ._figure import (
    COLORS,
    SIGNED,
    as_matrix,
    as_names,
    by_network,
    color_bar,
    color_scale,
    finish,
    fitted,
    largest,
    legend_below,
    make_axes,
    on_maps,
    pick,
    positions,
    styled,
    tick_names,
)

_BANDS = {
    "attention": ("band_attention_", "attention"),
    "gain": ("band_gain_", "signed gain"),
    "weights": ("band_weights_", "weight (a.u.)"),
}


def _band_labels(bands, n: int) -> list[str]:
    """Names of bands with their edges where these are known."""
    if hasattr(bands, "items"):
        edges = list(bands.items())
        if len(edges) == n:
            return [
                f"{name}\n{low:g}-{high:g} Hz" if np.isfinite([low, high]).all() else str(name)
                for name, (low, high) in edges
            ]
    return as_names(bands, n, "band", "bands")


def _own(estimator, **given) -> tuple:
    """Values as given, by attribute; the estimator's own where they are None."""
    return tuple(
        getattr(estimator, name, None) if value is None else value for name, value in given.items()
    )


def _nodes(estimator, ch_names, info):
    """Names of nodes, places of channels, and what brings values of nodes to channels."""
    names, info = _own(estimator, node_names_=ch_names, info_=info)
    if names is None:
        (names,) = _own(estimator, ch_names_in_=None)
    patterns = getattr(getattr(estimator, "unmixing_", None), "patterns", None)
    if patterns is None or info is None or len(info["chs"]) != len(patterns):
        return names, info, lambda values: values
    return names, info, lambda values: at_sensors(patterns, values)


def _matrix(panel, values, bands, ch_names, networks, scale, label, opacity=None) -> None:
    """Bands by channels, networks side by side; pale where channels have little ``opacity``."""
    order, edges = by_network(networks, len(values))
    cmap, vmin, vmax = scale
    alpha = None if opacity is None else np.tile(opacity[order], (values.shape[1], 1))
    panel.imshow(
        values[order].T, cmap=cmap, vmin=vmin, vmax=vmax, aspect="auto", interpolation="nearest",
        alpha=alpha,
    )  # fmt: skip
    panel.spines[:].set_visible(True)
    panel.set_yticks(range(len(bands)), [band.replace("\n", " ") for band in bands])
    tick_names(panel.xaxis, [ch_names[i] for i in order], 4.4, rotation=90)
    for edge in edges:
        panel.axvline(edge, color="k", lw=0.6)
    if label is not None:
        color_bar(panel, cmap, vmin, vmax, label)


def _heads(panels, columns, info, scale, label, titles) -> None:
    cmap, vmin, vmax = scale
    for panel, values, title in zip(panels, columns, titles, strict=True):
        plot_topomap(values, info, axes=panel, cmap=cmap, vlim=(vmin, vmax), show=False, contours=0)
        panel.set_title(title)
    if label is not None:
        color_bar(panels, cmap, vmin, vmax, label)


@styled
def plot_band_attention(
    attention, *, kind: str = "attention", bands=None, ch_names: Sequence[str] | None = None,
    info=None, networks: Sequence[str] | None = None, title: str | None = None, axes=None,
    show: bool = True,
) -> Figure:  # fmt: skip
    """Draw how much every band of every channel counts.

    Parameters
    ----------
    attention : estimator | array of shape (n_channels, n_bands)
        A fitted `SambaTranslator` or `WaveletBandAttention`, or numbers.
    kind : "attention" | "gain" | "weights"
        What to draw: the softmax attention, the signed gain, or the signed effective weights.
    bands : dict of str to (low, high) in Hz | sequence of str | None
        Bands; an estimator brings its own.
    ch_names : sequence of str | None
        Names of channels or source regions; an estimator brings its own.
    info : mne.Info | None
        Places of channels; an estimator brings its own. Where all are known, a map of the head is
        drawn above the matrix for every band.
    networks : sequence of str | None
        Network of every channel, for source regions: puts networks side by side.
    axes : Axes | sequence of Axes | None
        One for the matrix; where places are known, one per band and then one for the matrix.
    title, show
        As in `plot_scores`.

    Returns
    -------
    fig : Figure
        Bands as rows, channels as columns, and heads where places are known. Of an estimator that
        unmixes channels, columns are components, and heads show at each channel the mean of
        components by their share in its power.

    Raises
    ------
    ValueError
        If ``kind`` is unknown or shapes disagree.
    """
    check_option(kind, "kind", tuple(_BANDS))
    (attribute, label), at_channels, opacity = _BANDS[kind], np.asarray, None
    if hasattr(attention, "fit"):
        estimator = attention
        attention = fitted(estimator, attribute)
        opacity = _contribution(estimator) if kind == "attention" else None
        (bands,) = _own(estimator, bands_=bands)
        ch_names, info, at_channels = _nodes(estimator, ch_names, info)
    values = as_matrix(attention, "attention")
    if opacity is not None and np.ptp(opacity) < 0.05:
        opacity = None
    seen = at_channels(values if opacity is None else values * opacity[:, np.newaxis])
    if opacity is not None:
        label = "attention (pale: adds little)"
    n_channels, n_bands = values.shape
    labels = _band_labels(bands, n_bands)
    ch_names = as_names(ch_names, n_channels, "channel", "ch_names")
    scale = color_scale(values)
    info = positions(info, len(seen))
    if info is None:
        fig, (panel,) = make_axes(axes, 1, 1, 1.5 + 0.26 * n_bands)
    else:
        ratios = [1.2, 0.9 + 0.24 * n_bands]
        fig, (*heads, panel) = _row_and_wide(axes, n_bands, 2.5 + 0.24 * n_bands, ratios)
        _heads(heads, seen.T, info, scale, None, labels)
    # Heads share the scale of the matrix.
    _matrix(panel, values, labels, ch_names, networks, scale, label, opacity)
    panel.set_xlabel("channel" if info is not None else "channel or source region")
    if kind == "attention" and n_channels > 1 and np.allclose(values, values[0], atol=1e-3):
        panel.set_title("the same in all channels", loc="left")
    return finish(fig, show, title)


def _contribution(estimator) -> np.ndarray | None:
    """Tell by its largest gain what each channel adds to predictions, (n_channels,), at most 1."""
    gain = getattr(estimator, "band_gain_", None)
    if gain is None:
        return None
    size = np.abs(np.asarray(gain, dtype=float)).max(axis=1)
    return np.sqrt(size / largest(size))


def _row_and_wide(axes, n_columns: int, height: float, ratios, wide_first: bool = False):
    """Figure and axes: a row of panels over a wide one, or under it."""
    if axes is not None:
        return make_axes(axes, n_columns + 1, 1, height)
    fig, spare = make_axes(None, 1, 1, height)
    spare[0].remove()
    grid = fig.add_gridspec(2, n_columns, height_ratios=ratios)
    wide = int(not wide_first)
    places = [grid[1 - wide, k] for k in range(n_columns)]
    places.insert(0 if wide_first else n_columns, grid[wide, :])
    return fig, [fig.add_subplot(place) for place in places]


@styled
def plot_patterns(
    patterns, *, targets=None, target_names: Sequence[str] | None = None, bands=None,
    ch_names: Sequence[str] | None = None, info=None, networks: Sequence[str] | None = None,
    title: str | None = None, axes=None, show: bool = True,
) -> Figure:  # fmt: skip
    """Draw activation patterns: the band power that goes with a region's predicted BOLD.

    Parameters
    ----------
    patterns : estimator | array of shape (n_targets, n_channels, n_bands)
        A fitted `SambaTranslator`, or patterns (Haufe et al. 2014, NeuroImage 87).
    targets : str | int | list | None
        Regions, by name or number; None draws the three with the strongest patterns.
    target_names : sequence of str | None
        Names of regions; an estimator brings its own.
    bands, ch_names, info, networks
        As in `plot_band_attention`.
    axes : sequence of Axes | None
        Where places are known, one per region and band, row by row; else one per region.
    title, show
        As in `plot_scores`.

    Returns
    -------
    fig : Figure
        A row per region: maps of the head by band, or a matrix of bands and channels.

    Raises
    ------
    ValueError
        If shapes disagree or a region is unknown.
    """
    at_channels = np.asarray
    if hasattr(patterns, "fit"):
        estimator = patterns
        patterns = fitted(estimator, "patterns_")
        bands, target_names = _own(estimator, bands_=bands, target_names_in_=target_names)
        ch_names, info, at_channels = _nodes(estimator, ch_names, info)
    patterns = as_matrix(patterns, "patterns", 3)
    n_targets, n_channels, n_bands = patterns.shape
    names = as_names(target_names, n_targets, "region", "target_names")
    ch_names = as_names(ch_names, n_channels, "channel", "ch_names")
    labels = _band_labels(bands, n_bands)
    strongest = np.argsort(-np.linalg.norm(patterns, axis=(1, 2)), kind="stable")
    chosen = pick(targets, names, sorted(strongest[:3]))
    top = largest(patterns[chosen])
    seen = at_channels(patterns)
    info = positions(info, seen.shape[1])
    if info is not None:
        fig, panels = make_axes(axes, len(chosen), n_bands, 0.5 + 1.25 * len(chosen))
        for row, target in enumerate(chosen):
            heads = panels[row * n_bands : (row + 1) * n_bands]
            titles = labels if row == 0 else [""] * n_bands
            _heads(heads, seen[target].T, info, (SIGNED, -top, top), None, titles)
            heads[0].set_ylabel(names[target].replace("_", "\n"), fontsize=7)
    else:
        fig, panels = make_axes(axes, len(chosen), 1, 1.3 + (0.4 + 0.2 * n_bands) * len(chosen))
        for panel, target in zip(panels, chosen, strict=True):
            values = patterns[target]
            _matrix(panel, values, labels, ch_names, networks, (SIGNED, -top, top), None)
            panel.set_title(names[target], loc="left")
            if panel is not panels[-1]:
                panel.set_xticklabels([])
        panels[-1].set_xlabel("channel or source region")
    color_bar(panels, SIGNED, -top, top, "band power (s.d.)")
    return finish(fig, show, title)


@styled
def plot_components(
    unmixing, *, components: Sequence[int] | None = None, info=None, title: str | None = None,
    axes=None, show: bool = True,
) -> Figure:  # fmt: skip
    """Draw the topographies of the components that channels were unmixed into.

    Parameters
    ----------
    unmixing : SambaTranslator | Unmixing | array of shape (n_channels, n_components)
        Fitted, or patterns.
    components : sequence of int | None
        Which ones; None draws the twenty largest.
    info : mne.Info | None
        Places of channels; an estimator brings its own. Of MEG, magnetometers alone are drawn
        where there are gradiometers too.
    axes : sequence of Axes | None
        One per component.
    title, show
        As in `plot_scores`.

    Returns
    -------
    fig : Figure
        A map of the head per component, each on a scale of its own.

    Raises
    ------
    ValueError
        If places are not known, or the estimator did not unmix channels.
    """
    patterns, names = unmixing, None
    if hasattr(unmixing, "fit"):
        (info,) = _own(unmixing, info_=info)
        if hasattr(unmixing, "component_names_"):
            patterns, names = unmixing.patterns_, unmixing.component_names_
        else:
            found = fitted(unmixing, "unmixing_") or {}
            patterns, names = found.get("patterns"), found.get("names")
        if patterns is None:
            raise ValueError("The estimator takes channels as they are: there are no components.")
    patterns = as_matrix(patterns, "unmixing")
    if info is not None and len(info["chs"]) == len(patterns):
        picks = on_maps(info)
        info, patterns = mne.pick_info(info, picks, verbose="ERROR"), patterns[picks]
    n_channels, n = patterns.shape
    names, info = as_names(names, n, "component", "names"), positions(info, n_channels)
    if info is None:
        raise ValueError(
            "Places of channels are not known, or lie on a line: give info with a montage."
        )
    chosen = np.arange(min(n, 20)) if components is None else np.asarray(components)
    n_columns = min(5, len(chosen))
    n_rows = -(-len(chosen) // n_columns)
    fig, panels = make_axes(
        axes, *((n_rows, n_columns) if axes is None else (1, len(chosen))), 1.3 * n_rows
    )
    for spare in panels[len(chosen) :]:
        spare.set_axis_off()
    for panel, k in zip(panels, chosen, strict=False):
        top = largest(patterns[:, k])
        _heads([panel], [patterns[:, k]], info, (SIGNED, -top, top), None, [names[k]])
    return finish(fig, show, title)


@styled
def plot_attribution(
    attribution, *, lags=None, bands=None, ch_names: Sequence[str] | None = None, info=None,
    networks: Sequence[str] | None = None, unit: str = "a.u.", title: str | None = None,
    axes=None, show: bool = True,
) -> Figure:  # fmt: skip
    """Draw how much each channel, band and lag of the input adds to a prediction.

    Parameters
    ----------
    attribution : array of shape (n_channels, n_bands) or (n_channels, n_bands, n_lags)
        Signed contributions, for instance integrated gradients.
    lags : array of shape (n_lags,) | None
        Seconds before the frame; needed with three dimensions.
    info : mne.Info | None
        Places of channels: draws maps of the head instead of a matrix.
    bands, ch_names, networks
        As in `plot_band_attention`.
    unit : str
        Unit of the attribution.
    axes : sequence of Axes | None
        The panel over lags first, where there is one; then one per head, or one for the matrix.
    title, show
        As in `plot_scores`.

    Returns
    -------
    fig : Figure
        Sums over channels by lag and band, where lags are given, and sums over lags by channel and
        band.

    Raises
    ------
    ValueError
        If shapes disagree or lags are missing.
    """
    values = np.asarray(attribution, dtype=float)
    if values.ndim not in (2, 3) or not values.size:
        raise ValueError(
            "attribution must have shape (n_channels, n_bands) or (n_channels, n_bands, n_lags), "
            f"got {values.shape}."
        )
    over_lags = values if values.ndim == 3 else None
    if over_lags is not None:
        if lags is None or len(lags) != values.shape[2]:
            raise ValueError(f"lags must have {values.shape[2]} values (seconds), got {lags!r}.")
        values = values.sum(axis=2)
    n_channels, n_bands = values.shape
    labels = _band_labels(bands, n_bands)
    ch_names = as_names(ch_names, n_channels, "channel", "ch_names")
    info = positions(info, n_channels)
    n_panels = 1 if info is None else n_bands
    scale, label = color_scale(values), f"attribution ({unit})"
    if over_lags is None:
        fig, panels = make_axes(axes, 1, n_panels, 2.4 if n_panels == 1 else 1.9)
    else:
        height, share = (4.2, 1.2) if n_panels == 1 else (3.7, 0.9)
        fig, (curve, *panels) = _row_and_wide(axes, n_panels, height, [1.0, share], wide_first=True)
        for color, name, row in zip(COLORS * n_bands, labels, over_lags.sum(axis=0), strict=False):
            curve.plot(lags, row, color=color, label=name.replace("\n", " "))
        curve.axhline(0, color="0.7", lw=0.7, zorder=0)
        curve.set(xlabel="seconds before the frame", ylabel=label)
        legend_below(fig, curve, axes, n_columns=min(5, n_bands), fontsize=6.5)
    if info is None:
        _matrix(panels[0], values, labels, ch_names, networks, scale, label)
        panels[0].set_xlabel("channel or source region")
    else:
        _heads(panels, values.T, info, scale, label, labels)
    return finish(fig, show, title)
