"""Results and fitted models as sections of an `mne.Report`."""

from __future__ import annotations

import html

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd

from . import viz
from ._checks import check_option
from .evaluation._verdict import may_be_interpreted, p_words, what_follows
from .hrf.shapes import summarise_response
from .viz._figure import RESULT_NAMES, fade, on_maps, positions

__all__ = ["add_to_report"]

_FIXED = (
    "No response was learnt: that of all regions is Glover's, which was asked for, or which frames "
    "held out of training preferred. Its peak at 5 s says nothing of these data."
)
# The table of contents takes the width that figures need on a phone.
_PHONE = """@media (max-width: 600px) {
  #toc { display: none; }
  #content { margin-left: 0; width: 100%; max-width: 100%; flex: 0 0 100%; padding: 0 4px; }
  .accordion-body { padding: 8px 6px; }
  .accordion-button .badge { display: none; }
}"""

_HEADINGS = {
    "mean": "mean",
    "std_targets": "s.d. over regions",
    "std_folds": "s.d. over folds",
    "ci_low": "95 % from",
    "ci_high": "to",
    "p": "p",
    "above": "translator above",
    "above_low": "95 % from ",
    "above_high": "to ",
    "n_significant": "regions with p < 0.05",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "r2": "R²",
    "partial_spearman": "Spearman, confounds out",
    "partial_pearson": "Pearson, confounds out",
    "partial_r2": "R², confounds out",
    "clean_spearman": "Spearman with clean BOLD",
    "clean_pearson": "Pearson with clean BOLD",
    "clean_r2": "R² with clean BOLD",
}


def add_to_report(
    report: mne.Report, obj, *, result=None, section: str | None = None, coords=None, networks=None,
    source_coords=None, source_networks=None, truth=None, targets=None, note: str | None = None,
    image_format: str = "png",
) -> mne.Report:  # fmt: skip
    """Add figures and tables of a result or of a fitted model to a report.

    Parameters
    ----------
    report : mne.Report
        The report to fill.
    obj : EvaluationResult | SambaTranslator | LearnableHRF | WaveletBandAttention
        Result of an evaluation: what it shows in words, table of scores, scores by region, null,
        predicted and measured time courses. Fitted model: what it has of responses, band weights,
        patterns, graphs and training history.
    result : EvaluationResult | None
        Beside a fitted model: its evaluation, which goes first. Where it does not allow to
        interpret the model, the model's figures are veiled and say so.
    section : str | None
        Section of the report; None takes the name of the model. A ``result`` beside the model goes
        into a section of its own, ``"<section>: scores"``.
    coords, source_coords : array of shape (n, 3) | None
        Places of BOLD regions and of source regions, MNI mm: add glass brains.
    networks, source_networks : sequence of str | None
        Network of every BOLD region and of every source region.
    truth : array of shape (n_targets, 6) | None
        True response parameters, for simulated data.
    targets : str | int | list | None
        Regions of figures that show some; None lets each figure choose.
    note : str | None
        What readers must know, put first, for instance that data are simulated.
    image_format : "png" | "svg"
        Format of figures.

    Returns
    -------
    report : mne.Report
        The same report.

    Raises
    ------
    TypeError
        If ``report`` is no report, or ``obj`` is neither a result nor a fitted model.

    Examples
    --------
    >>> report = mne.Report(title="EEG to BOLD")  # doctest: +SKIP
    >>> add_to_report(report, translator.fit(epochs, y), result=result)  # doctest: +SKIP
    """
    if not isinstance(report, mne.Report):
        raise TypeError(f"report must be an mne.Report, got {type(report).__name__}.")
    check_option(image_format, "image_format", ("png", "svg"))
    is_result = _is_result(obj)
    if not is_result and not any(hasattr(obj, name) for name in ("hrf_", "band_attention_")):
        raise TypeError(
            "obj must be a result of mne_samba.evaluation.evaluate or a fitted SambaTranslator, "
            f"LearnableHRF or WaveletBandAttention, got {type(obj).__name__} (is it fitted?)."
        )
    if result is not None and (is_result or not _is_result(result)):
        raise TypeError(
            "result stands beside a fitted model and must be what mne_samba.evaluation.evaluate "
            f"returned for it, got {type(result).__name__}."
        )
    if _PHONE not in (report.include or ""):
        report.add_custom_css(_PHONE)
    if result is not None:
        add_to_report(
            report, result, section=section and f"{section}: scores", coords=coords,
            targets=targets, note=note, image_format=image_format,
        )  # fmt: skip
    section = section or (f"Scores of {obj.translator}" if is_result else type(obj).__name__)
    page = _Page(report, section, image_format, "scores" if is_result else "model")
    if note is not None:
        page.text("Note", f"<p><strong>{html.escape(note)}</strong></p>")
    if is_result:
        _add_result(page, obj, coords, targets)
    else:
        regions = {"networks": networks, "coords": coords}
        sources = {"source_networks": source_networks, "source_coords": source_coords}
        _add_model(page, obj, result, regions, sources, truth, targets)
    return report


def _is_result(obj) -> bool:
    return hasattr(obj, "scores_") and hasattr(obj, "predictions_")


class _Page:
    """One section of a report."""

    def __init__(self, report, section, image_format, tag):
        self.report, self.section, self.image_format = report, section, image_format
        self.tag, self.veil = tag, None

    def figure(self, title, caption, plot, *args, **options) -> None:
        """Add the figure of a function of `mne_samba.viz`, behind the page's veil."""
        fig = plot(*args, show=False, **options)
        if self.veil is not None:
            fade(fig, self.veil)
        self.report.add_figure(
            fig, title=title, caption=caption, section=self.section, tags=(self.tag,),
            image_format=self.image_format,
        )  # fmt: skip
        plt.close(fig)

    def text(self, title, content) -> None:
        self.report.add_html(content, title=title, section=self.section, tags=(self.tag,))

    def table(self, title, frame: pd.DataFrame, caption: str) -> None:
        self.text(title, f"<p>{caption}</p>" + table_html(frame))


def table_html(frame: pd.DataFrame) -> str:
    """Write a table that scrolls where it is larger than its place."""
    body = frame.to_html(
        border=0, na_rep="", classes="table table-sm table-striped", justify="right",
        float_format=_number,
    ).replace("<td>", '<td style="text-align: right; white-space: nowrap">')  # fmt: skip
    return f'<div style="overflow: auto; max-height: 45em; font-size: 0.85em">{body}</div>'


def _number(value: float) -> str:
    return f"{0.0 if abs(value) < 0.0005 else value:.3f}"


def score_table(result) -> pd.DataFrame:
    """Summarise a result under readable headings."""
    table = result.summary().rename(columns=_HEADINGS, index=RESULT_NAMES)
    metric = _HEADINGS.get(result.metric, result.metric)
    table = table.rename(columns={"mean": f"mean {metric}"}).rename_axis(None)
    if "p" in table:
        pairs = zip(table["p"], table.pop("p_floor"), strict=True)
        table["p"] = [p_words(p, floor).removeprefix("= ") for p, floor in pairs]
    column = _HEADINGS["n_significant"]
    if column in table:
        table[column] = [f"{n:.0f}" if np.isfinite(n) else "" for n in table[column]]
    return table.dropna(axis="columns", how="all")


def _add_result(page, result, coords, targets) -> None:
    first, rest = result.verdict.split(". ", 1)
    page.text(
        "What this shows",
        f"<p><strong>{html.escape(first)}.</strong> {html.escape(rest)}</p>"
        f"<p>{html.escape(result.note)}</p>",
    )
    page.table(
        "Table of scores", score_table(result),
        "Out-of-fold scores per region over time, then averaged. Intervals are over people (over "
        "folds with one person); p by circular shifts, for regions corrected by the maximum. Ridge "
        "regression is on band power.",
    )  # fmt: skip
    page.figure(
        "Scores by region",
        "One dot per region; bars are means. Grey: central 95 % of single regions under circular "
        "shifts of whole recordings.",
        viz.plot_scores, result, coords=coords,
    )  # fmt: skip
    if result.translator in result.null_:
        page.figure(
            "Null", "Mean score under circular shifts of whole recordings, without refitting.",
            viz.plot_null, result,
        )  # fmt: skip
    page.figure(
        f"Predicted and measured {result.quantity}",
        "Out-of-fold predictions, first recording"
        + (": the best, the middle and the worst region. " if targets is None else ". ")
        + "r: Pearson correlation over the whole recording.",
        viz.plot_prediction, result, targets=targets,
    )  # fmt: skip


def _add_model(page, model, result, regions: dict, sources: dict, truth, targets) -> None:
    """Add what a fitted model has; places of regions and sources as `viz.plot_graph` takes them."""
    words = (
        "The figures describe the fit. Whether the model predicts is said by an evaluation alone, "
        "which add_to_report(report, model, result=evaluate(...)) puts first."
    )
    if result is not None:
        words = what_follows(result)
        page.veil = None if may_be_interpreted(result) else "not to be interpreted: see the scores"
    page.text("What may be made of it", f"<p><strong>{html.escape(words)}</strong></p>")
    unmixing = getattr(model, "unmixing_", None)
    node = "channel"
    if getattr(unmixing, "method", None) in ("joint", "underdetermined"):
        # Components have neither networks nor places.
        node = "component"
        sources = {**sources, "source_networks": None, "source_coords": None}
    networks = sources["source_networks"]
    if hasattr(model, "corrections_kept_"):
        page.text("What was fitted", f"<p>{what_was_fitted(model)}</p>")
    if getattr(model, "hrf_family_", None) == "canonical":
        page.text("Haemodynamic responses", f"<p>{_FIXED}</p>")
    elif hasattr(model, "hrf_") and np.shape(model.hrf_)[-1] > 1:
        _add_responses(page, model, **regions, truth=truth, targets=targets)
    if "patterns" in (unmixing or ()) and _may_be_mapped(model.info_):
        page.figure(
            "Components", f"What channels were unmixed into ({unmixing.method}), largest first.",
            viz.plot_components, model,
        )  # fmt: skip
    if hasattr(model, "band_gain_"):
        page.figure(
            "Band weights",
            f"What each band of a {node} contributes: attention times gain, 1 for the largest. "
            "Where there are both signs, blue lowers BOLD and red raises it.",
            viz.plot_band_attention, model, kind="gain", networks=networks,
        )  # fmt: skip
    if hasattr(model, "band_attention_"):
        page.figure(
            "Band attention",
            f"Share of each band in what a {node} contributes. "
            + (
                f"Pale {node}s contribute little, and their attention means nothing."
                if hasattr(model, "band_gain_")
                else f"What {node}s contribute is not told by it."
            ),
            viz.plot_band_attention, model, networks=networks,
        )  # fmt: skip
    if hasattr(model, "patterns_"):
        page.figure(
            "Activation patterns",
            "Band power that goes with a region's predicted BOLD (Haufe et al. 2014).",
            viz.plot_patterns, model, targets=targets, networks=networks,
        )  # fmt: skip
    if hasattr(model, "graph_"):
        _add_graphs(page, model, regions, sources)
    if getattr(model, "history_", None):
        kept = getattr(model, "corrections_kept_", False)
        page.figure(
            "Training of graph attention and recurrence",
            "Judged on a held-out block of the training data, and "
            + ("kept." if kept else "left out."),
            viz.plot_history, model,
        )  # fmt: skip


def _may_be_mapped(info) -> bool:
    """Whether places of channels are known and span a map."""
    if info is None:
        return False
    shown = mne.pick_info(info, on_maps(info), verbose="ERROR")
    return positions(shown, len(shown["chs"])) is not None


def what_was_fitted(model) -> str:
    """Say in words which parts of a translator are used, and which were left out."""
    if getattr(model, "core_", None) is None:
        return "The published network: all of its parts are used, whether they help or not."
    fixed = getattr(model, "hrf_family_", None) == "canonical"
    response = "one fixed response for all regions" if fixed else "a response per region"
    words, unmixing = "", getattr(model, "unmixing_", None)
    node = "channels"
    if getattr(unmixing, "method", None) in ("joint", "underdetermined"):
        node = "components"
        words = (
            f"{len(model.ch_names_in_)} channels were unmixed into {len(model.node_names_)} "
            "components before their power was measured. "
        )
    elif getattr(unmixing, "method", None) == "whiten":
        words = "Channels were whitened before their power was measured. "
    words += f"A linear core: band power, a map between {node} and regions, {response}."
    share = np.mean(getattr(model, "stack_weights_", 0.0))
    if share > 0:
        words += (
            f" Drives differ in their timing: free responses of every drive (a smooth FIR ridge) "
            f"carry {100 * share:.0f} % of predictions."
        )
    if model.corrections_kept_:
        return f"{words} Graph attention and recurrence correct it."
    return (
        f"{words} Graph attention and recurrence are not used: they were not asked for, or frames "
        "held out of training did not confirm them."
    )


def _add_responses(page, model, networks, coords, truth, targets) -> None:
    names = list(model.hrf_params_.index)
    of_regions = names == list(getattr(model, "target_names_in_", names))
    if not of_regions:
        networks = coords = truth = targets = None
    page.figure(
        "Haemodynamic responses",
        "Unit-peak responses"
        + ("" if of_regions else " of channels, as the published network has them")
        + (", from early to late." if len(model.hrf_) > 1 else ".")
        + ("" if truth is None else " Dashed: the simulation's truth."),
        viz.plot_hrf, model, targets=targets, truth=truth,
    )  # fmt: skip
    if networks is not None:
        page.figure(
            "Haemodynamic responses by network", "Thin lines: single regions.",
            viz.plot_hrf, model, networks=networks, truth=truth,
        )  # fmt: skip
    if coords is not None:
        page.figure(
            "Time to peak", "Time to peak of every region's response.",
            viz.plot_hrf_map, model, coords,
        )  # fmt: skip
    page.table("Response shapes", *response_table(model))


def response_table(model) -> tuple[pd.DataFrame, str]:
    """Tabulate peak, width and undershoot of every response with their intervals; the caption."""
    table = pd.DataFrame({"peak (s)": np.asarray(model.hrf_peak_time_)})
    table.index = list(model.hrf_params_.index)
    shape = summarise_response(np.asarray(model.hrf_times_), np.asarray(model.hrf_))
    table["width (s)"], table["undershoot (of peak)"] = shape["fwhm"], shape["undershoot_ratio"]
    intervals = getattr(model, "hrf_intervals_", None)
    caption = "Time to peak, full width at half maximum, and depth of the undershoot. "
    if intervals is None:
        caption += "Intervals are not estimated here: LearnableHRF(n_bootstrap=200) has them. "
    else:
        caption += f"In brackets: {100 * model.confidence:g} % intervals. "
        names = {"peak (s)": "peak_time", "width (s)": "fwhm"}
        names["undershoot (of peak)"] = "undershoot_ratio"
        for title, name in names.items():
            if title in table and f"{name}_low" in intervals:
                ends = intervals[[f"{name}_low", f"{name}_high"]].to_numpy()
                table[title] = [
                    f"{value:.2f} [{low:.2f}, {high:.2f}]"
                    for value, (low, high) in zip(table[title], ends, strict=True)
                ]
    held_back = np.asarray(getattr(model, "hrf_at_bounds_", np.zeros(len(table), bool)))
    if held_back.any():
        table.index = [
            f"{name} *" if held else name
            for name, held in zip(table.index, held_back, strict=True)
        ]  # fmt: skip
        caption += "* A bound of its parameters holds this response back: its shape is not free. "
    return table, caption


def _add_graphs(page, model, regions: dict, sources: dict) -> None:
    sides = {
        "bipartite": ("Map from channels to regions", "Weights of the fitted map."),
        "target": ("Graph between regions", "Attention that was learnt along the graph's edges."),
        "source": ("Graph between channels", "Attention that was learnt along the graph's edges."),
    }  # fmt: skip
    for kind, (title, caption) in sides.items():
        places = {**regions, **sources}
        if kind == "source":
            places = {name.removeprefix("source_"): place for name, place in sources.items()}
        # What graph attention did not learn is similarity of the data, and no part of the model.
        used = kind == "bipartite" or getattr(model.graph_, f"{kind}_attention", None) is not None
        if used and getattr(model.graph_, kind) is not None:
            page.figure(title, caption, viz.plot_graph, model, kind, **places)
