"""What every part of the translator brings, on simulated people (every figure here is SIMULATED).

One setting (30 min, SNR 1, 32 sources, 48 regions): parts taken away one by one, graphs,
recurrences, lengths of windows, the published network, banded ridge; worlds made for graph
attention and for recurrence; a site with other machines; and BOLD of another brain. Scores are
correlations over time with held-out clean BOLD, mean over regions; differences are paired over
people, with a 95 % t interval.

Run ``python benchmarks/ablation.py --quick`` or, resumable, ``python benchmarks/ablation.py``;
``--report`` writes what was run so far, ``--only graphs`` runs one group.
"""

from __future__ import annotations

import time
import warnings
from contextlib import nullcontext
from unittest import mock

from _common import one_thread, parser, to_markdown, write_section
from _resume import cached

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from _ablation_worlds import HISTORY, T_R, WORLDS, person, site_pair  # noqa: E402
from _banded_ridge import HAVE_HIMALAYA, BandedRidge  # noqa: E402
from _banded_ridge import NAME as BANDED  # noqa: E402
from _memo import remembered  # noqa: E402
from scipy.stats import t as student  # noqa: E402
from sklearn.base import clone  # noqa: E402

from mne_samba import (  # noqa: E402
    CoreModel,
    PaperModel,
    Reader,
    SambaModel,
    SambaTranslator,
    Trainer,
)
from mne_samba.baselines import BandPowerRidge  # noqa: E402
from mne_samba.core import stages  # noqa: E402
from mne_samba.metrics import pearson, r2  # noqa: E402
from mne_samba.models import core_choice  # noqa: E402

# People on whom no default was chosen: those of seeds 0 to 4 were seen in development.
SEEDS = range(10, 15)
SETTING = (30.0, 1.0)
FIRST = round(HISTORY / T_R)
# Models of one person differ in a part: cores that they share are fitted once.
CORES = {name: remembered(getattr(core_choice, name)) for name in ("fit_core", "fit_own_bands")}

# What is not whitened has no parameter: `run` takes it out of the code.
NO_WHITENING = "no whitening"
PARTS = {
    "default": SambaModel(),
    "no corrections": CoreModel(),
    "no band attention": SambaModel(band_attention=False),
    "canonical response": SambaModel(hrf="canonical"),
    "free response (FIR)": SambaModel(hrf="fir"),
    "gaussian map": SambaModel(map_prior="gaussian"),
    NO_WHITENING: SambaModel(),
    "shared bands only": SambaModel(target_bands=False),
    "own bands for every region": SambaModel(target_bands=True),
    "log power": SambaModel(power="log"),
    "no graph attention": SambaModel(graph=None),
    "no recurrence": SambaModel(recurrent=None),
}


def kept(**options) -> SambaModel:
    """Model whose corrections are used whatever they gain."""
    return SambaModel(corrections="always", **options)


CORRECTIONS = {
    "no corrections": CoreModel(),
    "graph attention": kept(recurrent=None),
    "lstm": kept(graph=None),
    "gru": kept(graph=None, recurrent="gru"),
    "transformer": kept(graph=None, recurrent="transformer"),
    "graph attention + lstm": kept(),
}
GRAPHS = {
    "no corrections": CoreModel(),
    "knn, 8 neighbours": kept(recurrent=None),
    "knn, 4 neighbours": kept(recurrent=None, n_neighbors=4),
    "knn, 16 neighbours": kept(recurrent=None, n_neighbors=16),
    "dense": kept(recurrent=None, graph="dense"),
    "correlation": kept(recurrent=None, graph="correlation"),
    "cosine": kept(recurrent=None, graph="cosine"),
    "partial correlation": kept(recurrent=None, graph="partial_correlation"),
    "mutual information": kept(recurrent=None, graph="mutual_information"),
    "distance": kept(recurrent=None, graph="distance"),
    "learnt": kept(recurrent=None, graph="learnt"),
}
WINDOWS = {
    f"{name}, {kind}": (model, length)
    for kind, model in (("if confirmed", SambaModel()), ("always", kept()))
    for name, length in (("60 s", 60.0), ("15 s", 15.0), ("180 s", 180.0), ("whole run", 1800.0))
}
BEYOND = {
    name: CORRECTIONS[name]
    for name in ("no corrections", "graph attention", "lstm", "graph attention + lstm")
} | {"if confirmed": SambaModel()}
RIDGES = {
    "ridge canonical": BandPowerRidge(t_r=T_R),
    "ridge FIR": BandPowerRidge(t_r=T_R, hrf="fir"),
    BANDED: BandedRidge(t_r=T_R),
}
OTHERS = ("default", *RIDGES, "paper")
GROUPS = ("parts", "corrections", "graphs", "other", "beyond", "sites", "models", "windows")


def estimator(group: str, name: str):
    """Translator or ridge of a group of runs."""
    if name in RIDGES:
        return clone(RIDGES[name])
    if group == "windows":
        model, window = WINDOWS[name]
        trainer = Trainer(window=window)
        return SambaTranslator(t_r=T_R, model=clone(model), trainer=trainer, random_state=0)
    models = {"corrections": CORRECTIONS, "graphs": GRAPHS, "beyond": BEYOND}.get(group, PARTS)
    model = PaperModel() if name == "paper" else models[name]
    return SambaTranslator(t_r=T_R, model=clone(model), random_state=0)


def shortcuts(timed: bool, whitening: bool):
    """Take whitening, which has no option, out of the code; fit shared cores once, if untimed."""
    if not whitening:
        return mock.patch.multiple(stages, _START_RHO=0.0, pooled_ar_coefficient=lambda *_: 0.0)
    if timed:
        return nullcontext()
    return mock.patch.multiple(core_choice, **CORES)


def run(group, name, seed, minutes, snr, world="plain", coupling=True, timed=False):
    """One model on one person."""
    one = person(seed, minutes, snr, world, coupling)
    with shortcuts(timed, whitening=name != NO_WHITENING):
        model = estimator(group, name)
        start = time.perf_counter()
        model.fit(one.train, one.bold)
        seconds = time.perf_counter() - start
    pred = model.predict(one.test)[FIRST:]
    clean, bold = one.test_clean[FIRST:][: len(pred)], one.test_bold[FIRST:][: len(pred)]
    return [
        {
            "minutes": minutes, "snr": snr, "world": world, "seed": seed,
            "r": pearson(clean, pred).mean(), "r_measured": pearson(bold, pred).mean(),
            "r2": r2(bold, pred).mean(), "kept": getattr(model, "corrections_kept_", None),
            **({"fit_s": seconds} if timed else {}),
        }
    ]  # fmt: skip


def run_sites(seed, level):
    """Train on one person of a site; test there, and on a site with other machines."""
    home, away = site_pair(seed, level)
    rows = []
    for name in ("default", "ridge canonical", "ridge FIR"):
        model = estimator("sites", name)
        if level == "sensor":
            model.set_params(reader=Reader(channels="interpolate"))
        model.fit(home.raws[0], home.bolds[0])
        for where, site, i in (("same site", home, 1), ("other site", away, 0)):
            row = {"model": name, "world": f"{where}, {level}", "seed": seed}
            # Lags of frames belong to their repetition time: FIR cannot move to another.
            if name != "ridge FIR" or where == "same site":
                model.set_params(t_r=site.t_r)
                pred, first = model.predict(site.raws[i]), round(HISTORY / site.t_r)
                clean, bold = site.truth.clean_bolds[i][first:], site.bolds[i][first:]
                pred = pred[first:]
                row["r"] = pearson(clean, pred).mean()
                row["r_measured"] = pearson(bold, pred).mean()
            rows.append(row)
    return rows


def settings(quick: bool):
    """Groups of runs, the most informative first; a person's models follow each other."""
    seeds = SEEDS[:1] if quick else SEEDS
    minutes, snr = (10.0, 1.0) if quick else SETTING
    groups = {"parts": PARTS, "corrections": CORRECTIONS, "graphs": GRAPHS}
    if quick:
        keep = ("default", "no corrections", "canonical response", "gaussian map", "learnt")
        groups = {g: {k: v for k, v in m.items() if k in keep} for g, m in groups.items()}
        groups.pop("corrections")
    for group, models in groups.items():
        for seed in seeds:
            for name in models:
                yield group, name, run, (group, name, seed, minutes, snr)
    for seed in seeds:
        other = ("other", "default", seed, minutes, snr, "plain", False)
        yield "other", "another brain", run, other
    if quick:
        return
    # Corrections have thousands of weights: an hour of clean BOLD shows what they can learn at all.
    made_for_them = [(world, 60.0, 4.0) for world in ("gated", "fatigue")]
    others = [(world, minutes, snr) for world in WORLDS if world != "plain"]
    for seed in seeds:
        for world, length, level in (*made_for_them, *others):
            for name in BEYOND:
                yield "beyond", name, run, ("beyond", name, seed, length, level, world)
    for level in ("source", "sensor"):
        for seed in seeds:
            yield "sites", "all", run_sites, (seed, level)
    for length in (10.0, minutes):
        for seed in seeds:
            for name in OTHERS:
                # The published network takes minutes per fit: three people show where it is.
                if name != "paper" or seed < SEEDS[3]:
                    timed = ("models", name, seed, length, snr, "plain", True, True)
                    yield "models", name, run, timed
    for seed in seeds:
        for name in WINDOWS:
            yield "windows", name, run, ("windows", name, seed, minutes, snr)


def interval(difference) -> str:
    """Mean and 95 % t interval of paired differences."""
    difference = np.asarray(difference, dtype=float)
    mean = difference.mean()
    if len(difference) < 2:
        return f"{mean:+.3f}"
    half = student.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / len(difference) ** 0.5
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


def compare(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Mean and spread over people of each model, and its paired difference to the reference."""
    base = rows[rows.model == reference].set_index("seed")["r"]
    out = []
    for name, part in rows.groupby("model", sort=False):
        part = part.set_index("seed")
        shared = part.index.intersection(base.index)
        row = {"model": name, "r": part["r"].mean(), "s.d.": part["r"].std()}
        row["difference"] = (
            "" if name == reference or not len(shared)
            else interval(part.loc[shared, "r"] - base[shared])
        )  # fmt: skip
        for column in ("r_measured", "r2", "fit_s"):
            if column in part and part[column].notna().any():
                row[column] = part[column].mean()
        if "kept" in part and part["kept"].notna().any():
            row["kept"] = f"{int(part['kept'].fillna(False).sum())} of {len(part)}"
        out.append({**row, "people": len(part)})
    return pd.DataFrame(out)


def sections(table: pd.DataFrame) -> str:
    """All tables as Markdown."""
    titles = {
        "parts": ("Parts taken away one by one", "default"),
        "corrections": ("Corrections kept in any case", "no corrections"),
        "graphs": ("Source graphs, graph attention kept in any case", "no corrections"),
        "windows": ("Length of windows", "60 s, if confirmed"),
        "other": ("BOLD of another brain (must stay at zero)", "another brain"),
    }
    text = []
    for group, (title, reference) in titles.items():
        part = table[table.group == group]
        if not len(part):
            continue
        text.append(f"### {title}\n\n{to_markdown(compare(part, reference))}")
        if group == "other":
            values = ", ".join(f"{r:+.3f}" for r in part["r_measured"])
            text.append(f"Mean over regions, correlation with measured BOLD, by person: {values}.")
    beyond = table[table.group == "beyond"]
    for (world, minutes, snr), part in beyond.groupby(["world", "minutes", "snr"], sort=False):
        shown = to_markdown(compare(part, "no corrections"))
        setting = f"{minutes:g} min, SNR {snr:g}"
        text.append(f"### A world beyond the core: {world}, {setting}\n\n{shown}")
    for minutes, part in table[table.group == "models"].groupby("minutes"):
        shown = to_markdown(compare(part, "default"))
        text.append(f"### Other models, {minutes:g} min\n\n{shown}")
    for world, part in table[table.group == "sites"].groupby("world", sort=False):
        shown = to_markdown(compare(part.dropna(subset="r"), "default"))
        text.append(f"### Trained on one site, tested on another person: {world}\n\n{shown}")
    return "\n\n".join(text)


def main() -> None:
    """Run, print, write."""
    command = parser(__doc__.splitlines()[0])
    command.add_argument("--report", action="store_true", help="write what was run so far")
    command.add_argument("--only", choices=GROUPS, help="run one group")
    command.add_argument("--people", type=int, default=len(SEEDS), help="run the first few people")
    args = command.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    if not HAVE_HIMALAYA:
        print("himalaya is not installed (pip install mne_samba[bench]): banded ridge by sklearn.")
    args.out.mkdir(parents=True, exist_ok=True)
    stem = "ablation_quick" if args.quick else "ablation"
    cache = args.out / f"{stem}.jsonl"
    rows, ran, wanted = [], 0, 0
    for group, name, function, arguments in settings(args.quick):
        wanted += 1
        skip = args.report or (args.only is not None and group != args.only)
        seed = arguments[0] if function is run_sites else arguments[2]
        skip = skip or seed >= SEEDS[0] + args.people
        new = cached(cache, function, *arguments, only_read=skip)
        ran += new is not None
        new = [{"group": group, "model": name, **row} for row in new or []]
        if not skip:
            shown = ("group", "world", "model", "seed", "r", "r2", "kept", "fit_s")
            print([{k: row[k] for k in shown if k in row} for row in new], flush=True)
        rows += new
    table = pd.DataFrame(rows)
    table.to_csv(args.out / f"{stem}.csv", index=False)
    text = sections(table)
    print(text)
    write_section(
        stem,
        f"What every part brings ({ran} of {wanted} runs{', partial' if ran < wanted else ''})",
        "SIMULATED. `python benchmarks/ablation.py" + (" --quick" if args.quick else "") + "`: `r` "
        "is the correlation over time with held-out clean BOLD, mean over regions and people; "
        "`r_measured` and `r2` are against measured BOLD (noise included); `difference` is paired "
        "over people, with a 95 % interval; `kept` says in how many people corrections were "
        "used: where held-out training frames confirmed them, or always.\n\n" + text,
    )


if __name__ == "__main__":
    main()
