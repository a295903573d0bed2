"""Haemodynamic responses: curves of regions and networks, and times to peak on the brain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ..evaluation import mean_interval
from ..hrf import double_gamma
from ._figure import (
    COLORS,
    TRUTH,
    UNSIGNED,
    as_coords,
    as_matrix,
    as_names,
    by_network,
    finish,
    fitted,
    glass_brain,
    legend_below,
    make_axes,
    pick,
    styled,
)

_N_SHOWN = 6


def _responses(hrf, times, target_names, interval):
    """Responses (n_targets, n_times), times, names and interval from an estimator or arrays."""
    if hasattr(hrf, "hrf_") or hasattr(hrf, "fit"):
        estimator = hrf
        hrf, times = fitted(estimator, "hrf_", "hrf_times_")
        if target_names is None:
            # Responses of the published network belong to sources.
            params = getattr(estimator, "hrf_params_", None)
            regions = getattr(estimator, "target_names_in_", None)
            target_names = regions if params is None else list(params.index)
    if times is None:
        raise ValueError("times (seconds) are needed beside an array of responses.")
    hrf, times = as_matrix(np.atleast_2d(hrf), "hrf"), as_matrix(times, "times", 1)
    if hrf.shape[1] != len(times):
        raise ValueError(f"hrf must have shape (n_targets, n_times={len(times)}), got {hrf.shape}.")
    if interval is not None:
        low, high = (np.atleast_2d(np.asarray(part, dtype=float)) for part in interval)
        if low.shape != hrf.shape or high.shape != hrf.shape:
            raise ValueError(
                f"interval must be (low, high), each of the shape of hrf {hrf.shape}, got "
                f"{low.shape} and {high.shape}."
            )
        interval = low, high
    names = as_names(target_names, len(hrf), "region", "target_names")
    return hrf, times, names, interval


def _true_responses(truth, times, n_targets):
    """Evaluate true responses at times, from six parameters per target or from curves."""
    if truth is None:
        return None
    truth = np.atleast_2d(np.asarray(truth, dtype=float))
    if truth.shape == (n_targets, 6):
        return double_gamma(times, truth)
    if truth.shape == (n_targets, len(times)):
        return truth
    raise ValueError(
        f"truth must be parameters of shape ({n_targets}, 6) or responses of shape "
        f"({n_targets}, {len(times)}), got {truth.shape}."
    )


@styled
def plot_hrf(
    hrf, times=None, *, target_names: Sequence[str] | None = None, targets=None,
    networks: Sequence[str] | None = None, interval=None, truth=None, title: str | None = None,
    axes=None, show: bool = True,
) -> Figure:  # fmt: skip
    """Draw haemodynamic responses, region by region or network by network.

    Parameters
    ----------
    hrf : estimator | array of shape (n_targets, n_times)
        A fitted `SambaTranslator` or `LearnableHRF`, or responses.
    times : array of shape (n_times,) | None
        Seconds after the neural event. Not needed with an estimator.
    target_names : sequence of str | None
        Names of regions.
    targets : str | int | list | None
        Regions to draw, by name or number. None draws, in order of time to peak, the earliest, the
        latest and some between.
    networks : sequence of str | None
        Network of each region: one panel per network instead of one per region, with every region
        as a thin line, their mean and, of three regions or more, its 95 % interval.
    interval : pair of arrays, each (n_targets, n_times) | None
        Low and high end of every response. Where a `LearnableHRF` was fitted with
        ``n_bootstrap``, the interval of the time to peak is drawn above the response in any case;
        where bounds hold its parameters back, so are the free responses beside them.
    truth : array of shape (n_targets, 6) or (n_targets, n_times) | None
        True parameters or responses, where they are known (simulation).
    axes : sequence of Axes | None
        One per panel.
    title, show
        As in `plot_scores`.

    Returns
    -------
    fig : Figure
        Unit-peak responses over seconds; a star marks those of an estimator that a bound of their
        parameters holds back.

    Raises
    ------
    ValueError
        If shapes disagree or a region is unknown.
    """
    peaks = getattr(hrf, "hrf_intervals_", None)
    confidence, free = getattr(hrf, "confidence", None), getattr(hrf, "hrf_free_", None)
    held_back = getattr(hrf, "hrf_at_bounds_", None)
    hrf, times, names, interval = _responses(hrf, times, target_names, interval)
    truth = _true_responses(truth, times, len(hrf))
    if networks is not None:
        if targets is not None:
            raise ValueError("Give targets or networks: a network's panel draws all its regions.")
        fig, panels = _draw_networks(hrf, times, networks, truth, axes)
    else:
        late = np.argsort(np.abs(hrf).argmax(axis=1), kind="stable")
        some = late[np.linspace(0, len(late) - 1, min(_N_SHOWN, len(late))).round().astype(int)]
        chosen = pick(targets, names, list(some))
        fig, panels = _panels(len(chosen), axes)
        for panel, target in zip(panels, chosen, strict=True):
            _draw_region(panel, times, target, hrf, interval, truth)
            if free is not None:
                panel.plot(times, free[target], color=COLORS[2], lw=1.1, ls="-.", label="free")
            if peaks is not None:
                low, high = peaks.iloc[target][["peak_time_low", "peak_time_high"]]
                label = f"time to peak, {100 * confidence:g} % interval"
                panel.plot([low, high], [1.08, 1.08], "|-", color=COLORS[1], lw=1.2, label=label)
            at_bound = held_back is not None and held_back[target]
            panel.set_title(f"{names[target]}{' *' if at_bound else ''}", loc="left")
    _dress(fig, panels, axes)
    return finish(fig, show, title)


def _panels(n: int, axes):
    columns = min(3, n)
    rows = int(np.ceil(n / columns))
    if axes is not None:
        return make_axes(axes, n, 1, 1.0)
    width = 6.0 if columns == 3 else 3.2 if columns == 1 else 4.6
    fig, panels = make_axes(
        None, rows, columns, 0.7 + 1.3 * rows, width=width, sharex=True, sharey=True
    )
    for spare in panels[n:]:
        spare.remove()
    for panel in panels[max(0, n - columns) : n]:
        # Under a removed panel, the one above carries the axis.
        panel.tick_params(labelbottom=True)
    return fig, panels[:n]


def _draw_region(panel, times, target, hrf, interval, truth) -> None:
    if interval is not None:
        low, high = interval
        panel.fill_between(
            times, low[target], high[target], color=COLORS[0], alpha=0.25, lw=0, label="interval"
        )
    panel.plot(times, hrf[target], color=COLORS[0], lw=1.6, label="estimated")
    if truth is not None:
        panel.plot(times, truth[target], color=TRUTH, lw=1.1, ls="--", label="truth (simulated)")


def _draw_networks(hrf, times, networks, truth, axes):
    by_network(networks, len(hrf))
    networks = np.asarray([str(network) for network in networks])
    groups = list(dict.fromkeys(networks))
    fig, panels = _panels(len(groups), axes)
    for panel, network in zip(panels, groups, strict=True):
        rows = hrf[networks == network]
        mean, low, high = np.transpose([mean_interval(column) for column in rows.T])
        panel.plot(times, rows.T, color="0.7", lw=0.6)
        if len(rows) > 2:  # of two, the interval of the mean is wider than any response
            panel.fill_between(
                times,
                low,
                high,
                color=COLORS[0],
                alpha=0.25,
                lw=0,
                label="95 % interval of the mean",
            )
        panel.plot(times, mean, color=COLORS[0], lw=1.6, label="mean estimated")
        if truth is not None:
            panel.plot(
                times, truth[networks == network].mean(axis=0), color=TRUTH, lw=1.1, ls="--",
                label="mean truth (simulated)",
            )  # fmt: skip
        panel.set_title(f"{network} (n = {len(rows)})", loc="left")
    # Wide intervals of few regions would leave no room for responses.
    margin = 0.08 * np.ptp(hrf)
    panels[0].set_ylim(min(hrf.min(), 0.0) - margin, hrf.max() + margin)
    return fig, panels


def _dress(fig, panels, axes) -> None:
    columns = 1 if axes is not None else min(3, len(panels))
    # Rows are lower than this label is long.
    shared = axes is None and len(panels) > columns
    if shared:
        fig.supylabel("response (unit peak)", fontsize="medium")
    for index, panel in enumerate(panels):
        panel.axhline(0, color="0.7", lw=0.7, zorder=0)
        panel.margins(x=0)
        if not shared and (axes is not None or index % columns == 0):
            panel.set_ylabel("response (unit peak)")
        if axes is not None or index >= len(panels) - columns:
            panel.set_xlabel("time after activity (s)")
    # Not every panel has every kind of line.
    fullest = max(panels, key=lambda panel: len(panel.get_legend_handles_labels()[1]))
    if len(fullest.get_legend_handles_labels()[1]) > 1:
        legend_below(fig, fullest, axes, inside="best")


@styled
def plot_hrf_map(
    peak_time, coords, *, label: str = "time to peak (s)",
    limits: tuple[float, float] | None = None, title: str | None = None, axes=None,
    show: bool = True,
) -> Figure:  # fmt: skip
    """Draw times to peak of all regions on a glass brain.

    Parameters
    ----------
    peak_time : estimator | array of shape (n_targets,)
        A fitted `SambaTranslator` or `LearnableHRF`, or one number per region.
    coords : array of shape (n_targets, 3)
        Places of regions, MNI mm.
    label : str
        What the numbers are, with unit.
    limits : tuple of float | None
        Ends of the colour scale; None takes the 2nd and 98th percentile.
    title, axes, show
        As in `plot_scores`; one panel.

    Returns
    -------
    fig : Figure
        Brain from the left, from above and from the right.

    Raises
    ------
    ValueError
        If there is not one place per region.
    """
    if hasattr(peak_time, "hrf_peak_time_") or hasattr(peak_time, "fit"):
        peak_time = fitted(peak_time, "hrf_peak_time_")
    values = as_matrix(peak_time, "peak_time", 1)
    if coords is None:
        raise ValueError("coords (n_targets, 3; MNI mm) are needed to draw a brain.")
    coords = as_coords(coords, len(values))
    low, high = np.nanpercentile(values, [2, 98]) if limits is None else limits
    if not low < high:
        low, high = low - 0.5, low + 0.5
    fig, (panel,) = make_axes(axes, 1, 1, 2.0)
    if title is not None:
        panel.set_title(title, loc="left")
    glass_brain(panel, values, coords, label=label, cmap=UNSIGNED, vmin=low, vmax=high)
    return finish(fig, show)
