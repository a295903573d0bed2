"""The demo: real EEG-fMRI, a real response, simulated people, a report."""

import html
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd
from mne.utils import ProgressBar

from .. import viz
from ..datasets import load_calcium_bold, load_eeg_fmri_sleep, simulate_paired
from ..evaluation import EvaluationResult, evaluate
from ..metrics import detrend, pearson, r2, spearman
from ..models import CoreModel
from ..reader import Reader
from ..report import add_to_report, first_bold, score_table, table_html
from ..transformers import LearnableHRF
from ..translator import SambaTranslator
from ..wavelets import Precomputed
from ._session import on_one_thread
from ._sys_info import sys_info

SIMULATED = (
    "SIMULATED data: no person was recorded. Places of regions are real, signals are not. The "
    "numbers show that a known truth is found, not how well a real recording will be predicted."
)
SLEEP = (
    "REAL data: band power of the EEG of people during naps, and log odds of five states that a "
    "decoder saw in their fMRI volumes (OpenNeuro ds003574, CC0). Each person is predicted by "
    "models of the others. No raw EEG and no BOLD of regions is in it, so that neither wavelets "
    "nor maps over channels are tried here; slow drift is removed, with which figures would rise "
    "and mean nothing."
)
REAL = (
    "REAL data: neural calcium and one BOLD time course of an animal, whose species the source "
    "does not name, measured together during stimulation (rsHRF toolbox, Wu et al. 2021, "
    "NeuroImage 244; BSD-3-Clause)."
)
_FILES = (
    "report.html, eeg_fmri_sleep.csv, calcium_bold.csv, scores.csv, scores_by_region.csv, "
    "translator.samba"
)


@dataclass(frozen=True)
class Size:
    """How much is simulated and computed."""

    duration: float = 800.0
    n_sources: int = 24
    n_targets: int = 32
    n_shifts: int = 999
    n_bootstrap: int = 200
    model: str = "samba"
    n_people: int = 15


QUICK = Size(
    duration=240.0, n_sources=6, n_targets=8, n_shifts=99, n_bootstrap=20, model="core", n_people=2
)


def run_demo(out: Path, *, seed: int = 0, quick: bool = False, quiet: bool = False) -> Path:
    """Run the demo and return the path of its report."""
    with on_one_thread("ERROR" if quiet else "INFO"):
        return _run(Path(out), QUICK if quick else Size(), seed, quiet)


def _run(out: Path, size: Size, seed: int, quiet: bool) -> Path:
    say = (lambda *_: None) if quiet else print
    shown = "ERROR" if quiet else None  # before MNE 1.13, None is MNE's default level
    say("1/5  REAL EEG-fMRI: each person predicted by models of the others")
    sleep = eeg_fmri_sleep(size.n_people, min(size.n_shifts, 199), seed, shown)
    say("2/5  REAL recording: a response learnt on one half of calcium and BOLD")
    real = calcium_bold(size.n_bootstrap, seed)
    say("3/5  SIMULATED people: each one's BOLD predicted by models trained on the other")
    with mne.use_log_level("ERROR"):
        data = simulate_paired(
            2, size.duration, n_sources=size.n_sources, n_targets=size.n_targets, level="source",
            shared_coupling=0.8, random_state=seed,
        )  # fmt: skip
    bolds = [pd.DataFrame(bold, columns=data.target_names) for bold in data.bolds]
    translator = SambaTranslator(t_r=data.t_r, model=size.model, random_state=seed, verbose="ERROR")
    result = evaluate(
        translator, data.raws, bolds, groups=data.subjects, nulls=("circular_shift",),
        n_shifts=size.n_shifts, clean=data.truth.clean_bolds, random_state=seed,
        verbose=shown,
    )  # fmt: skip
    say("4/5  SIMULATED people: the translator fitted to both, its responses against truth")
    translator.fit(data.raws, bolds)
    truth = truth_table(translator, data.truth)
    say("5/5  Figures and report")
    report = _report(data, result, translator, truth, real, sleep)
    path = out / "report.html"
    with mne.use_log_level("ERROR"):
        report.save(path, overwrite=True, open_browser=False)
    result.summary().to_csv(out / "scores.csv")
    result.to_frame().to_csv(out / "scores_by_region.csv", index=False)
    sleep.summary().to_csv(out / "eeg_fmri_sleep.csv")
    real.table.to_csv(out / "calcium_bold.csv", index=False)
    translator.save(out / "translator.samba", overwrite=True)
    say(f"REAL: {sleep.verdict}\n")
    say("REAL: states of fMRI of people that no model was trained on, from EEG band power")
    say(_text(_short(score_table(sleep))))
    say("\nREAL: BOLD of one half predicted from calcium, learnt on the other half")
    say(_text(real.table.set_index("model")))
    say(f"\nSIMULATED: {result.verdict}")
    say("\nSIMULATED: predicting a person that no model was trained on (clean = without noise)")
    say(_text(_short(score_table(result))))
    say("\nSIMULATED: what the translator learnt, against truth")
    say(_text(truth))
    say(f"\nWritten to {out}: {_FILES}")
    return path


def _short(table: pd.DataFrame) -> pd.DataFrame:
    """Columns that fit on a terminal."""
    short = {
        table.columns[0]: table.columns[0],
        "s.d. over regions": "s.d. (regions)",
        "p": "p",
        "regions with p < 0.05": "regions p<.05",
        "R²": "R²",
        "Pearson with clean BOLD": "Pearson, clean",
    }
    return table[[name for name in short if name in table]].rename(columns=short)


def _text(table: pd.DataFrame) -> str:
    return table.rename_axis(None).to_string(float_format="{:.3f}".format, na_rep="")


def truth_table(translator: SambaTranslator, truth) -> pd.DataFrame:
    """Compare what a translator learnt with the simulation's truth: a row per quantity."""
    peak, true_peak = translator.hrf_peak_time_, np.asarray(truth.hrf_peak_time)
    pairs = {
        "time to peak (regions)": (peak, true_peak),
        "band weights (source x band)": (translator.band_weights_, truth.band_weights),
        "map (region x source)": (translator.spatial_map_, truth.spatial_map),
    }
    table = pd.DataFrame(index=list(pairs))
    table["correlation with truth"] = [
        np.corrcoef(np.ravel(found), np.ravel(true))[0, 1] for found, true in pairs.values()
    ]
    table["mean error (s)"] = [float(np.mean(np.abs(peak - true_peak))), np.nan, np.nan]
    return table


def eeg_fmri_sleep(
    n_people: int, n_shifts: int, seed: int, verbose: str | None = "ERROR"
) -> EvaluationResult:
    """Predict each of real people from models of the others, beside ridge, time alone and nulls."""
    data = load_eeg_fmri_sleep()
    translator = SambaTranslator(
        t_r=data.t_r, model=CoreModel(bands=Precomputed("log", data.bands)), random_state=seed,
        reader=Reader(sfreq=data.sfreq, slice_time_ref=data.slice_time_ref), verbose="ERROR",
    )  # fmt: skip
    result = evaluate(
        translator, data.power[:n_people], data.states[:n_people], metrics="pearson",
        groups=data.subjects[:n_people], nulls=("circular_shift",), n_shifts=n_shifts,
        random_state=seed, verbose=verbose,
    )  # fmt: skip
    return replace(result, quantity="states decoded from fMRI")


@dataclass
class CalciumBold:
    """Held-out halves of the real recording."""

    table: pd.DataFrame  # a row per model and half: correlations, R^2, time to peak
    measured: np.ndarray  # (n_frames, 1) without drift, NaN where it was not scored
    predictions: dict  # model: (n_frames, 1), each half from the other
    model: LearnableHRF  # fitted to the whole recording, with intervals
    t_r: float


def calcium_bold(n_bootstrap: int, seed: int) -> CalciumBold:
    """Learn a response on each half of the real recording and predict the other half."""
    data = load_calcium_bold()
    # As in the gallery: a line is removed from each half.
    reader = Reader(sfreq=data.sfreq, slice_time_ref=data.slice_time_ref, detrend="linear")
    common = {"t_r": data.t_r, "reader": reader, "hrf_length": 20.0, "verbose": "ERROR"}
    models = {
        "learnt response": LearnableHRF(hrf_bounds="fast", **common),
        "free response (FIR)": LearnableHRF(hrf="fir", **common),
        "fixed Glover response": LearnableHRF(hrf="canonical", **common),
    }
    n_frames, n_samples = len(data.bold), round(data.t_r * data.sfreq)
    half = n_frames // 2
    halves = {"first half": slice(0, half), "second half": slice(half, n_frames)}
    history = int(np.ceil(max(model.hrf_length for model in models.values()) / data.t_r))
    measured = np.full(data.bold.shape, np.nan)
    predictions = {name: measured.copy() for name in models}
    rows = []
    for (train_name, train), (test_name, test) in zip(
        halves.items(), reversed(halves.items()), strict=True
    ):
        drives = {
            part: [data.calcium[np.newaxis, which.start * n_samples : which.stop * n_samples]]
            for part, which in (("train", train), ("test", test))
        }
        # The first frames of a half lack their history, which belongs to the other half.
        scored = slice(test.start + history, test.stop)
        y = detrend(data.bold[test], data.t_r, "linear")[history:]
        measured[scored] = y
        for name, model in models.items():
            model.fit(drives["train"], [data.bold[train]])
            predicted = detrend(model.predict(drives["test"])[0], data.t_r, "linear")[history:]
            predictions[name][scored] = predicted
            rows.append({
                "model": name, "learnt on": train_name, "predicts": test_name,
                "Pearson": pearson(y, predicted)[0], "Spearman": spearman(y, predicted)[0],
                "R²": r2(y, predicted)[0], "time to peak (s)": model.hrf_peak_time_[0],
            })  # fmt: skip
    whole = LearnableHRF(hrf_bounds="fast", n_bootstrap=n_bootstrap, random_state=seed, **common)
    whole.fit([data.calcium[np.newaxis]], [pd.DataFrame(data.bold, columns=["BOLD"])])
    table = pd.DataFrame(rows).sort_values("model", ascending=False, kind="stable")
    return CalciumBold(table, measured, predictions, whole, data.t_r)


def _report(
    data, result: EvaluationResult, translator, truth: pd.DataFrame, real: CalciumBold,
    sleep: EvaluationResult,
) -> mne.Report:  # fmt: skip
    with mne.use_log_level("ERROR"):
        report = mne.Report(title="mne_samba demo: real EEG-fMRI, simulated people")
    sections = [
        partial(_add_summary, report, result, truth, real, sleep),
        partial(add_to_report, report, sleep, section="Real EEG-fMRI: sleep", note=SLEEP),
        partial(_add_real, report, real),
        partial(
            add_to_report, report, translator, result=result, note=SIMULATED,
            truth=data.truth.hrf_params,
            section="Simulated people",
            coords=data.target_coords, networks=data.target_networks,
            source_coords=data.source_coords, source_networks=data.source_networks,
        ),
    ]  # fmt: skip
    for add in ProgressBar(sections, mesg="Sections"):
        with mne.use_log_level("ERROR"):
            add()
    return report


def _add_summary(report, result, truth, real, sleep) -> None:
    people = table_html(_short(score_table(sleep)))
    short = table_html(_short(score_table(result)))
    found = table_html(truth)
    held_out = table_html(real.table.set_index("model").rename_axis(None))
    report.add_html(
        f"{first_bold(f'REAL: {sleep.verdict}')}<p>{SLEEP}</p>{people}"
        f"<p>{REAL} Each half is predicted by a response that was learnt on the other half.</p>"
        f"{held_out}{first_bold(f'SIMULATED: {result.verdict}')}<p>{SIMULATED} Each "
        "person's BOLD is predicted from source time courses "
        "by models that were trained on the other person alone. About two regions in ten draw on "
        "other sources in the other person and cannot be predicted so. <em>Clean</em>: against "
        "BOLD before noise was added; <em>ceiling</em>: clean BOLD as the prediction.</p>"
        f"{short}<p>Fitted to both people, against the simulation's truth:</p>{found}",
        title="Results at a glance", section="Summary", tags=("summary",),
    )  # fmt: skip
    report.add_html(
        f"<pre>{html.escape(sys_info())}</pre>",
        title="Versions and device", section="Summary", tags=("summary",),
    )  # fmt: skip


def _add_real(report, real: CalciumBold) -> None:
    section = "Real recording: calcium and BOLD"
    fig = viz.plot_prediction(
        real.measured, real.predictions, t_r=real.t_r, target_names=["BOLD (real)"], show=False
    )
    report.add_figure(
        fig, title="Each half predicted by a response learnt on the other", section=section,
        caption=f"{REAL} Frames without whole history in their half are left out.",
        tags=("real",), image_format="png",
    )  # fmt: skip
    plt.close(fig)
    add_to_report(report, real.model, section=section, note=REAL)
