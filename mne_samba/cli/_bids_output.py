"""What ``mne_samba bids`` writes: tables, images, models and reports of people and groups."""

from __future__ import annotations

import html
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from nilearn.image import new_img_like
from nilearn.plotting import find_parcellation_cut_coords, find_probabilistic_atlas_cut_coords
from nilearn.surface import SurfaceImage

from .._version import __version__
from ..data.images import names_in
from ..evaluation import GroupTest
from ..evaluation.adjacency import labels_of
from ..io import BidsPair, write_image
from ..io._bids_files import entities_of
from ..report import add_to_report, table_html
from ._staging import to_json, write_text

# Half the size in mm of a box that holds the MNI brain.
_BOX = 120.0
_GENERATED = {"Name": "mne_samba", "Version": __version__}


def write_description(out: Path, source: Path) -> None:
    """Write ``dataset_description.json`` of the derivative."""
    content = {
        "Name": "EEG-fMRI translation (mne_samba)",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [_GENERATED],
        "SourceDatasets": [{"URL": source.resolve().as_uri()}],
    }
    write_text(out / "dataset_description.json", to_json(content))


def write_table(path: Path, table: pd.DataFrame, about: dict) -> None:
    """Write a table as BIDS has it, with a sidecar."""
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    write_text(path.with_suffix(".json"), to_json(about))


def write_scores(folder: Path, name: str, scores: pd.DataFrame, what: str) -> None:
    """Write scores by region or by channel and band."""
    write_table(
        folder / f"{name}_desc-samba_scores.tsv", scores,
        {"Description": what, "score": {"Description": "out-of-fold score over time"}},
    )  # fmt: skip


def write_group(folder: Path, name: str, kind: str, test: GroupTest) -> None:
    """Write a test over people: its targets, its clusters and its people."""
    word = "".join(part.capitalize() for part in kind.split())
    clusters = test.clusters_.assign(targets=[", ".join(map(str, t)) for t in
                                              test.clusters_["targets"]])  # fmt: skip
    tables = {"targets": test.targets_, "clusters": clusters, "people": test.people_}
    for what, table in tables.items():
        if what == "clusters" and not len(table):
            continue
        about = {
            "Description": f"{kind}: {what} of the group, sign flips over people",
            "Verdict": test.verdict,
            "Alternative": test.alternative,
            "SharedTraining": test.shared_training,
        }
        first = {"targets": "target", "clusters": "cluster", "people": "participant_id"}[what]
        write_table(
            folder / f"{name}_desc-group{word}_{what}.tsv",
            table.rename_axis(first).reset_index(), about,
        )  # fmt: skip


def write_responses(folder: Path, name: str, column: str, table: pd.DataFrame, said: str) -> None:
    """Write how responses differ between two groups of people."""
    about = {
        "Description": f"responses of people's own models by {column}: b minus a, by exchanging "
        "people between groups; seconds, and a ratio for undershoot_ratio",
        "Verdict": said,
        "Groups": dict(zip("ab", table.attrs["labels"], strict=True)),
        "p_max": {"Description": "corrected over regions and measures by the maximum statistic"},
    }
    write_table(folder / f"{name}_desc-groupResponses_hrf.tsv", table, about)


def write_prediction(folder: Path, pair: BidsPair, predicted: np.ndarray, columns: list) -> None:
    """Write out-of-fold BOLD (n_frames, n_targets) of a run: table, sidecar and image."""
    # No image where frames are not those of the original one.
    folder.mkdir(parents=True, exist_ok=True)
    start, t_r = float(pair.frame_times[0]), pair.t_r
    about = {
        "Description": "BOLD predicted from electrophysiology by models that did not see it",
        "SamplingFrequency": 1.0 / t_r,
        "RepetitionTime": t_r,
        "StartTime": start,
        "Sources": [pair.provenance["recording"], pair.provenance["bold"]],
        "Units": "arbitrary",
        "Provenance": pair.provenance,
    }
    table = pd.DataFrame(predicted, columns=columns)
    write_table(folder / f"{pair.name}_desc-predicted_timeseries.tsv", table, about)
    if "resampled_from_t_r" in pair.provenance:
        return
    paths = _write(folder, pair, table, f"{pair.name}_", "desc-predicted_bold")
    about |= {
        # Of images, StartTime is the time within a volume, as fMRIPrep has it and nilearn reads it.
        "StartTime": pair.provenance["timing"]["slice_time_ref"] * t_r,
        "FirstFrameInRecording": start,
        "Notes": "Frames that no model predicted hold the mean of the others.",
    }
    for path in paths:
        write_text(path.with_name(path.name.split(".")[0] + ".json"), to_json(about))


def write_map(folder: Path, name: str, pair: BidsPair, result) -> None:
    """Write the mean correlation of every region, in the space and format of BOLD."""
    scores = result.target_scores(metric="spearman")
    values = pd.Series(scores, index=result.target_names_, name="spearman")
    _write(folder, pair, values, f"{name}_", "stat-spearman_desc-samba_statmap")


def _write(folder: Path, pair: BidsPair, values, name: str, what: str) -> list[Path]:
    """Write frames (DataFrame) or a map (Series) in the space and format of BOLD."""
    source = Path(pair.provenance["bold"]).name
    there = entities_of(source)
    where = [f"{key}-{there[key]}_" for key in ("hemi", "space", "res", "den") if key in there]
    ending = next((e for e in (".func.gii", ".dtseries.nii") if source.endswith(e)), ".nii.gz")
    if isinstance(values, pd.Series):
        ending = ending.replace("func", "shape").replace("tseries", "scalar")
    path = folder / f"{name}{''.join(where)}{what}{ending}"
    if names_in(pair.masker) is not None:  # of the regions that this scan covers
        values = values.reindex(names_in(pair.masker), axis=values.ndim - 1)
    return write_image(values, path, pair.masker, t_r=pair.t_r)


def write_report(
    path: Path, title: str, pairs: list[BidsPair], result, translator, table: pd.DataFrame,
    tests: dict[str, GroupTest], atlas, responses: tuple[pd.DataFrame, str] | None = None,
) -> None:  # fmt: skip
    """Write the HTML report of one person or of the group."""
    with mne.use_log_level("ERROR"):
        report = mne.Report(title=title)
        places = _places_of(pairs[0].masker, list(pairs[0].bold.columns))
        for kind, test in tests.items():
            add_to_report(report, test, section=f"The group: {kind}", coords=places, atlas=atlas)
        if responses is not None:
            shown = responses[0].sort_values("p_max").set_index(["measure", "region"])
            content = f"<p>{html.escape(responses[1])}</p>{table_html(shown)}"
            report.add_html(content, title="Responses", section="The group: responses")
        add_to_report(
            report, translator, result=result, section="The model, fitted to all runs",
            coords=places,
        )  # fmt: skip
        if len(table):
            report.add_html(
                table_html(table), title="Scores of the way back", section="BOLD to band power"
            )
        report.add_html(_runs(pairs), title="Runs", section="Data")
        report.save(path, overwrite=True, open_browser=False)


def _places_of(masker, names: list[str]) -> np.ndarray | None:
    """Places (n_targets, 3; mm) of a masker's regions, columns ``names``; None if not known."""
    if hasattr(masker, "seeds_"):
        places = np.asarray(masker.seeds_, dtype=float)
    elif hasattr(masker, "maps_img_"):
        places = np.asarray(find_probabilistic_atlas_cut_coords(masker.maps_img_), dtype=float)
    elif hasattr(masker, "labels_img_"):
        found, labels = find_parcellation_cut_coords(masker.labels_img_, return_label_names=True)
        # Of the labels, columns hold those that the scan covers.
        label = {k: v for k, v in masker.region_ids_.items() if k != "background"}
        table = pd.DataFrame(found, index=[int(value) for value in labels])
        places = table.reindex([int(label[k]) for k in sorted(label)]).to_numpy()
    else:
        return None
    usable = places.shape == (len(names), 3) and np.isfinite(places).all()
    return places if usable and np.abs(places).max() < _BOX else None


def atlas_of(masker, names: list[str]):
    """Label image (or surface) whose labels 1 to n are the columns of BOLD, or None."""
    image, ids, known = (
        getattr(masker, name, None) for name in ("labels_img_", "region_ids_", "region_names_")
    )
    if image is None or ids is None or known is None:
        return None
    label = {str(known[k]): int(ids[k]) for k in known}
    if not set(names) <= set(label):
        return None
    parts, every = labels_of(image)
    new = np.zeros(every.max() + 1, dtype="int32")
    new[[label[name] for name in names]] = np.arange(len(names)) + 1
    parts = {side: new[labels] for side, labels in parts.items()}
    if hasattr(image, "mesh"):
        return SurfaceImage(image.mesh, parts)
    return new_img_like(image, parts["volume"])


def _runs(pairs: list[BidsPair]) -> str:
    rows = []
    for pair in pairs:
        timing = pair.provenance["timing"]
        rows.append({
            "run": pair.name,
            "t_r (s)": timing["t_r"],
            "volumes": pair.provenance["n_frames"],
            "scrubbed": pair.provenance["n_scrubbed"],
            "dummy scans": timing["n_dummy"],
            "clock drift (ppm)": timing.get("clock_drift_ppm"),
            "slice time": f"{timing['slice_time_ref']:.3f} ({timing['slice_time_source']})",
            "sampling rate (Hz)": pair.raw.info["sfreq"],
            "channels": len(pair.raw.ch_names),
            "cleaning": "; ".join(pair.provenance["cleaning"]) or "none",
            "regions not measured": ", ".join(pair.provenance["missing_regions"]) or "none",
        })  # fmt: skip
    table = table_html(pd.DataFrame(rows).set_index("run").rename_axis(None))
    made = pairs[0].provenance["derivatives"] or {}
    made = ", ".join(str(made[key]) for key in ("name", "generated_by", "doi") if made.get(key))
    made = html.escape(made or "not named")
    return f"<p>Derivatives: {made}. mne_samba {__version__}.</p>{table}"
