"""Channels of fNIRS on the head: a line from source to detector, coloured by what was fitted."""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ._figure import SIGNED, UNSIGNED, color_bar, finish, fitted, largest, make_axes, styled


def _on_plane(places: np.ndarray) -> np.ndarray:
    """Azimuthal equidistant projection of places (n, 3) in head coordinates; the equator is 1."""
    radius = np.linalg.norm(places, axis=1)
    polar = np.arccos(np.clip(places[:, 2] / np.where(radius > 0, radius, 1.0), -1, 1))
    azimuth = np.arctan2(places[:, 1], places[:, 0])
    return np.column_stack([np.cos(azimuth), np.sin(azimuth)]) * (polar / (np.pi / 2))[:, None]


def has_optodes(translator) -> bool:
    """Whether a fitted translator knows where sources and detectors of its regions lie."""
    inputs = getattr(translator, "_fitted_input", None)
    places = getattr(getattr(inputs, "layout", None), "optodes", None)
    if places is None or not np.isfinite(places).all():
        return False
    return bool((np.abs(places).sum(axis=1) > 0).all())


@styled
def plot_channel_pairs(translator, values="peak", *, axes=None, show: bool = True) -> Figure:
    """Draw channels of fNIRS on the head, from source to detector.

    Parameters
    ----------
    translator : estimator
        Fitted to fNIRS recordings with places of their optodes.
    values : "peak" | array, shape (n_targets,)
        What colours a channel: the time to peak of its response, or values such as scores.
    axes : Axes | list of Axes | None
        One panel for each chromophore there is; None makes a figure.
    show : bool
        Show the figure where a screen can.

    Returns
    -------
    fig : Figure
        One panel per chromophore, seen from above, nose up.

    Raises
    ------
    ValueError
        If the translator knows no places of optodes, or values are too few.
    """
    names = fitted(translator, "target_names_in_")
    if not has_optodes(translator):
        raise ValueError(
            "The translator knows no places of sources and detectors: fit it to mne.io.Raw with "
            "channels of haemoglobin and their montage."
        )
    peak = isinstance(values, str)
    if peak and values != "peak":
        raise ValueError(f"values must be 'peak' or an array (n_targets,), got {values!r}.")
    values = np.asarray(fitted(translator, "hrf_peak_time_") if peak else values, dtype=float)
    if values.shape != (len(names),):
        raise ValueError(f"values must have shape ({len(names)},), got {values.shape}.")
    places = translator._fitted_input.layout.optodes
    ends = np.stack([_on_plane(places[:, :3]), _on_plane(places[:, 3:])], axis=1)
    groups = {
        "HbO": [i for i, name in enumerate(names) if not name.endswith("hbr")],
        "HbR": [i for i, name in enumerate(names) if name.endswith("hbr")],
    }
    groups = {title: rows for title, rows in groups.items() if rows}
    fig, panels = make_axes(axes, 1, len(groups), 3.4)
    signed = (values < 0).any()
    low, high = (-largest(values), largest(values)) if signed else (values.min(), values.max())
    cmap, high = SIGNED if signed else UNSIGNED, high if high > low else low + 1e-9
    for panel, (title, rows) in zip(panels, groups.items(), strict=True):
        angle = np.linspace(0, 2 * np.pi, 100)
        panel.plot(np.cos(angle), np.sin(angle), color="0.4", linewidth=1)
        panel.plot([-0.12, 0, 0.12], [0.99, 1.12, 0.99], color="0.4", linewidth=1)
        lines = LineCollection(ends[rows], cmap=cmap, linewidths=4, capstyle="round")
        lines.set_array(values[rows])
        lines.set_clim(low, high)
        panel.add_collection(lines)
        panel.plot(*ends[rows][:, 0].T, "o", color="0.2", markersize=3)
        panel.plot(*ends[rows][:, 1].T, "s", color="0.2", markersize=3, fillstyle="none")
        panel.set(title=title, aspect="equal")
        panel.set_axis_off()
    color_bar(panels, cmap, low, high, "time to peak (s)" if peak else "value")
    return finish(fig, show)
