"""Results and fitted models as sections of an `mne.Report`."""

import html

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd

from . import viz
from ._checks import check_option
from .evaluation import GroupTest
from .evaluation._verdict import may_be_interpreted, passing_regions, what_follows
from .hrf.shapes import summarise_response
from .viz._figure import RESULT_NAMES, fade, on_maps, positions
from .viz._fnirs import has_optodes

__all__ = ["add_to_report"]

_FIXED = (
    "No response was learnt. All regions share Glover's canonical response, because it was asked "
    "for or because it predicted frames held out of training no worse. That it peaks at 5 s says "
    "nothing about these data."
)
_ZERO = (
    "All weights are zero: the model predicts the mean of every region. There are no responses, "
    "band weights, patterns or maps to show."
)
# The table of contents takes the width that figures need on a phone.
_PHONE = """@media (max-width: 600px) {
  #toc { display: none; }
  #content { margin-left: 0; width: 100%; max-width: 100%; flex: 0 0 100%; padding: 0 4px; }
  .accordion-body { padding: 8px 6px; }
  .accordion-button .badge { display: none; }
  .navbar-brand { white-space: normal; }
  .accordion-body figure { overflow-x: auto; }
  .accordion-body figure img { max-width: none; zoom: 0.6; }
}"""
# Rows keep their names in sight where a table is wider than its place.
_TABLES = """.scrolling { overflow: auto; max-height: 45em; font-size: 0.85em; }
.scrolling td { text-align: right; white-space: nowrap; }
.scrolling tbody th { position: sticky; left: 0; background: white; max-width: 11em; }"""

_HEADINGS = {
    "mean": "mean",
    "std_targets": "s.d. over regions",
    "std_folds": "s.d. over folds",
    "interval": "95 % interval",
    "p": "p",
    "n_significant": "regions with p < 0.05",
    "above": "translator is higher by",
    "above_interval": "95 % interval ",
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
    atlas=None, image_format: str = "png",
) -> mne.Report:  # fmt: skip
    """Add figures and tables of a result or of a fitted model to a report.

    Parameters
    ----------
    report : mne.Report
        The report to fill.
    obj : EvaluationResult | GroupTest | SambaTranslator | LearnableHRF | WaveletBandAttention
        Result of an evaluation: what it shows in words, table of scores, scores by region, null,
        predicted and measured time courses. Test of a group: what it shows in words, brain maps,
        people as dots, tables of regions, clusters and people. Fitted model: what it has of
        responses, band weights, patterns, graphs and training history.
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
        What readers must know, put first. None says that data are simulated where ``truth`` is
        given.
    atlas : Niimg-like | nilearn.surface.SurfaceImage | None
        Label image whose labels in order are the regions: maps of a group are drawn on it.
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
    if note is None and truth is not None:
        note = "SIMULATED data: the truth is known, and drawn where it can be."
    is_result, is_group = _is_result(obj), isinstance(obj, GroupTest)
    if atlas is not None and not is_group:
        raise TypeError("atlas is for a GroupTest: models and results are drawn by coords.")
    drawn = ("hrf_", "band_attention_", "history_")
    if not is_result and not is_group and not any(hasattr(obj, name) for name in drawn):
        raise TypeError(
            "obj must be a result of mne_samba.evaluation.evaluate or group_test, or a fitted "
            "SambaTranslator, LearnableHRF or WaveletBandAttention, got "
            f"{type(obj).__name__} (is it fitted?)."
        )
    if result is not None and (is_result or is_group or not _is_result(result)):
        raise TypeError(
            "result stands beside a fitted model and must be what mne_samba.evaluation.evaluate "
            f"returned for it, got {type(result).__name__}."
        )
    for css in (_PHONE, _TABLES):
        if css not in (report.include or ""):
            report.add_custom_css(css)
    if result is not None:
        add_to_report(
            report, result, section=section and f"{section}: scores", coords=coords,
            targets=targets, note=note, image_format=image_format,
        )  # fmt: skip
    section = section or (f"Scores of {obj.translator}" if is_result else type(obj).__name__)
    tag = "scores" if is_result else "group" if is_group else "model"
    page = _Page(report, section, image_format, tag)
    if note is not None:
        page.text("Note", f"<p><strong>{html.escape(note)}</strong></p>")
    if is_result:
        _add_result(page, obj, coords, targets)
    elif is_group:
        _add_group(page, obj, coords, atlas, targets)
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

    def table(self, title, frame: pd.DataFrame, caption: str, decimals: int = 3) -> None:
        veil = "" if self.veil is None else f"<strong>{self.veil.capitalize()}.</strong> "
        self.text(title, f"<p>{veil}{caption}</p>" + table_html(frame, decimals))


def table_html(frame: pd.DataFrame, decimals: int = 3) -> str:
    """Write a table that scrolls where it is larger than its place."""
    body = frame.to_html(
        border=0, na_rep="", classes="table table-sm", justify="right",
        float_format=lambda value: _number(value, decimals),
    )  # fmt: skip
    return f'<div class="scrolling">{body}</div>'


def _number(value: float, decimals: int = 3) -> str:
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _ends(low, high) -> list[str]:
    """Write intervals, nothing where there are none."""
    pairs = zip(low, high, strict=True)
    return [f"{_number(a)} to {_number(b)}" if np.isfinite(a + b) else "" for a, b in pairs]


def score_table(result) -> pd.DataFrame:
    """Summarise a result under readable headings, what is asked first in front."""
    table = result._written()
    table["interval"] = _ends(table.pop("ci_low"), table.pop("ci_high"))
    table["above_interval"] = _ends(table.pop("above_low"), table.pop("above_high"))
    first = ["mean", "interval", "p", "n_significant", "above", "above_interval"]
    table = table[first + [column for column in table if column not in first]]
    table = table.rename(columns=_HEADINGS, index=RESULT_NAMES)
    metric = _HEADINGS.get(result.metric, result.metric)
    table = table.rename(columns={"mean": f"mean {metric}"}).rename_axis(None)
    return table.dropna(axis="columns", how="all")


def first_bold(words: str) -> str:
    """Write a verdict as HTML, its first sentence in bold."""
    first, rest = words.split(". ", 1)
    return f"<p><strong>{html.escape(first)}.</strong> {html.escape(rest)}</p>"


def _add_result(page, result, coords, targets) -> None:
    scored = f"<p>{html.escape(what_was_scored(result))}</p>"
    page.text("What this shows", first_bold(_named(result.verdict)) + scored)
    page.table(
        "Table of scores", score_table(result),
        "Scores of held-out frames: per region over time, then averaged. Intervals are Student's "
        "t over people (over folds where there is one person, which are not independent). p is "
        "one-sided, from circular shifts; that of regions is corrected by the maximum. Ridge "
        "regression is on band power. "
        + ("Shuffled pairings are a single draw. " * any("shuffled" in m for m in result.models_))
        + ("The interval of circular shifts holds 95 % of them. " * bool(result.null_))
        + ("A prediction that never changes counts as 0." if result.note else ""),
    )  # fmt: skip
    page.figure(
        "Scores by region",
        "One dot per region; bars are means. Light grey: central 90 % of single regions under "
        "circular shifts of whole recordings; dark grey: of their mean. What lies right of it has "
        "p < .05 (one-sided), before correction."
        if result.null_
        else "One dot per region; bars are means.",
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
        + "r: Pearson correlation over the whole recording"
        + (
            "; the table has means over folds, and a step between folds counts in r alone."
            if len(np.unique(result.folds_[0][result.folds_[0] >= 0])) > 1
            else "."
        ),
        viz.plot_prediction, result, targets=targets,
    )  # fmt: skip


def _add_group(page, group, coords, atlas, targets) -> None:
    page.text("What this shows", first_bold(group.verdict))
    for where, title in ((coords, "Places"), (atlas, "Map")):
        if where is not None:
            page.figure(
                title,
                "Mean correlation over people. "
                + ("Large dots" if title == "Places" else "Full colours")
                + " where it passes corrected for the number of regions (maximum statistic).",
                viz.plot_group_map, group, where,
            )  # fmt: skip
    page.figure(
        "People",
        "Above: everybody's mean over regions, with the mean of the group and its 95 % interval. "
        "Below: the regions with the largest t; dots are people, bars 95 % intervals of the mean "
        "(of each region alone), black where p < .05 corrected for their number.",
        viz.plot_group_people, group, targets=targets,
    )  # fmt: skip
    page.table(
        "Regions", group.targets_.sort_values("t", ascending=False).rename_axis(None),
        "r: mean over people by Fisher's z. p: sign flips over people; p_max: corrected by the "
        "largest t over regions; p_cluster: of the cluster that the region belongs to, which says "
        "that there is something in the cluster, not where.",
    )  # fmt: skip
    if len(group.clusters_):
        page.table(
            "Clusters", group.clusters_.drop(columns="targets").rename_axis(None),
            f"Neighbours with p < {group.threshold:g} each; mass: sum of their t.",
        )  # fmt: skip
    page.table(
        "Table of people",
        group.people_.dropna(axis="columns", how="all").rename_axis(None),
        "p: own circular shifts; p_without and n_without: p of the mean, and how many regions "
        "pass, without them; decides: the verdict would be another without them.",
    )  # fmt: skip


def _named(words: str) -> str:
    """Call baselines in sentences what tables and figures call them."""
    for key, name in RESULT_NAMES.items():
        words = words.replace(f"baseline ({key})", f"baseline ({name})")
    return words


def what_was_scored(result) -> str:
    """Say how much data was scored, and how it was split."""
    n_frames = np.array([(fold >= 0).sum() for fold in result.folds_])
    minutes = (n_frames * result.t_r_).sum() / 60
    t_r = ", ".join(f"{t_r:g}" for t_r in np.unique(result.t_r_))
    n_people = result.recordings_["subject"].nunique()
    n_folds = result.scores_["fold"].nunique()
    whole = n_people > 1 and (result.scores_.groupby("subject")["fold"].nunique() == 1).all()
    return (
        f"Scored: {n_frames.sum()} frames ({minutes:.1f} min, TR {t_r} s) of "
        f"{len(result.target_names_)} {'regions' if result.quantity == 'BOLD' else 'targets'}, "
        f"{_count(len(n_frames), 'recording')} of {_count(n_people, 'person', 'people')}; "
        f"{_count(n_folds, 'fold')}, each of "
        + ("people that training had not seen." if whole else "blocks of time.")
    )


def _passing(result) -> list | None:
    """Regions to show where not all are above chance by themselves: the best three that are."""
    passing = passing_regions(result)
    return passing[:3] if 0 < len(passing) < len(result.target_names_) else None


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _add_model(page, model, result, regions: dict, sources: dict, truth, targets) -> None:
    """Add what a fitted model has; places of regions and sources as `viz.plot_graph` takes them."""
    words = (
        "The figures describe the fit. Whether the model predicts is said by an evaluation alone, "
        "which add_to_report(report, model, result=evaluate(...)) puts first."
    )
    if result is not None:
        words = what_follows(result)
        if not may_be_interpreted(result):
            page.veil = "not to be interpreted: see the scores"
        elif targets is None:
            targets = _passing(result)
    page.text(
        "What may be made of it",
        f"<p><strong>{html.escape(words)}</strong> Weights, patterns and maps are drawn without "
        "intervals: fits to other people or to halves of the data show how far they agree.</p>",
    )
    unmixing, node = getattr(model, "unmixing_", None), "channel"
    if _has_components(model):
        # They have neither networks nor places.
        node = "component"
        sources = {**sources, "source_networks": None, "source_coords": None}
    networks = sources["source_networks"]
    if hasattr(model, "corrections_kept_"):
        page.text("What was fitted", f"<p>{what_was_fitted(model)}</p>")
    if hasattr(model, "band_gain_") and not np.any(model.band_gain_):
        page.text("Weights", f"<p>{_ZERO}</p>")
        return
    if getattr(model, "hrf_family_", None) == "canonical":
        page.text("Haemodynamic responses", f"<p>{_FIXED}</p>")
    elif hasattr(model, "hrf_") and np.shape(model.hrf_)[-1] > 1:
        _add_responses(page, model, **regions, truth=truth, targets=targets)
    if "patterns" in (unmixing or ()) and _may_be_mapped(model.info_):
        page.figure(
            "Components", f"What channels were unmixed into ({unmixing.method}), largest first.",
            viz.plot_components, model,
        )  # fmt: skip
    _add_bands(page, model, node, networks, targets)
    if hasattr(model, "graph_"):
        _add_graphs(page, model, regions, sources)
    if getattr(model, "history_", None):
        title, caption = "Training", "Weights are those of the epoch with the lowest held-out loss."
        if getattr(model, "core_", None) is not None:
            title = "Training of graph attention and recurrence"
            caption = "Judged on a held-out block of the training data, and "
            caption += "kept." if model.corrections_kept_ else "left out."
        page.figure(title, caption, viz.plot_history, model)


def _add_bands(page, model, node: str, networks, targets) -> None:
    """Add weights of bands, by ``node`` ("channel" or "component"), and patterns of regions."""
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
            "Band power that goes with a rise of a region's predicted BOLD by one standard "
            "deviation (Haufe et al. 2014).",
            viz.plot_patterns, model, targets=targets, networks=networks,
        )  # fmt: skip


def _may_be_mapped(info) -> bool:
    """Whether places of channels are known and span a map."""
    if info is None:
        return False
    shown = mne.pick_info(info, on_maps(info), verbose="ERROR")
    return positions(shown, len(shown["chs"])) is not None


def _has_components(model) -> bool:
    """Whether nodes are components that channels were unmixed into."""
    method = getattr(getattr(model, "unmixing_", None), "method", None)
    return method in ("joint", "underdetermined")


def what_was_fitted(model) -> str:
    """Say in words which parts of a translator are used, and which were left out."""
    if getattr(model, "core_", None) is None:
        return "The published network: all of its parts are used, whether they help or not."
    fixed = getattr(model, "hrf_family_", None) == "canonical"
    response = "one fixed response for all regions" if fixed else "a response per region"
    words, node = "", "channels"
    if _has_components(model):
        node = "components"
        words = (
            f"{len(model.ch_names_in_)} channels were unmixed into {len(model.node_names_)} "
            "components before their power was measured. "
        )
    elif getattr(getattr(model, "unmixing_", None), "method", None) == "whiten":
        words = "Channels were whitened before their power was measured. "
    words += f"A linear core: band power, a map between {node} and regions, {response}."
    share = np.mean(getattr(model, "stack_weights_", 0.0))
    if share > 0:
        words += (
            f" Drives differ in their timing: free, smooth responses of every drive "
            f"carry {100 * share:.0f} % of predictions."
        )
    if model.corrections_kept_:
        return f"{words} Graph attention and recurrence correct it."
    why = "they were not trained"
    if getattr(model, "history_", None):
        why = "frames held out of training did not confirm them"
    return f"{words} Graph attention and recurrence are not used: {why}."


def _add_responses(page, model, networks, coords, truth, targets) -> None:
    names = list(model.hrf_params_.index)
    of_regions = names == list(getattr(model, "target_names_in_", names))
    if not of_regions:
        networks = coords = truth = targets = None
    page.figure(
        "Haemodynamic responses",
        "Responses"
        + ("" if of_regions else " of channels, as the published network has them")
        + (", from early to late" if len(model.hrf_) > 1 and targets is None else "")
        + ", each scaled to a peak of 1."
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
    if has_optodes(model):
        page.figure(
            "Channel pairs", "Time to peak of haemoglobin, from source (dot) to detector (square).",
            viz.plot_channel_pairs, model,
        )  # fmt: skip
    # A hundredth of a second is finer than any interval.
    page.table("Response shapes", *response_table(model), decimals=2)


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
        if kind == "bipartite" and not any(
            places[name] is None for name in ("coords", "source_coords")
        ):
            caption += " On the brain, light dots are sources and dark ones BOLD regions."
        used = kind == "bipartite" or getattr(model.graph_, f"{kind}_attention", None) is not None
        if used and getattr(model.graph_, kind) is not None:
            page.figure(title, caption, viz.plot_graph, model, kind, **places)
