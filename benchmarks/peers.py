"""Beside peers: NeuroBOLT's network and the published one of SAMBA, on the same SIMULATED people.

    python benchmarks/peers.py [--quick] [--only people|protocols|movie|step]

``people``: a reduced NeuroBOLT, trained to the end, beside ridge, core, the paper's network and
time alone, all on people left out. ``protocols``: the paper's network under its authors' protocol
(shuffled windows, correlation pooled over regions) and under honest ones. ``movie``: stimuli
decoded from latents and from band power, under both. ``step``: seconds of a training step of
NeuroBOLT on one thread. Prints its tables, writes
``benchmarks/results/peers_*.csv`` and its sections of ``benchmarks/RESULTS.md``.
"""

import time

from _common import RESULTS, one_thread, parser, to_markdown, write_section
from _resume import cached

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # noqa: E402
from sklearn.frozen import FrozenEstimator  # noqa: E402
from sklearn.model_selection import GroupKFold, KFold  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from mne_samba import (  # noqa: E402
    NeuroBOLTModel,
    SambaClassifier,
    SambaTranslator,
    Trainer,
    WaveletBandAttention,
    make_windows,
)
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.evaluation import bench, evaluate  # noqa: E402
from mne_samba.nn.loss import FrameSquaredLoss  # noqa: E402
from mne_samba.nn.neurobolt import NeuroBOLTNet  # noqa: E402

T_R = 2.0
REDUCED = {
    "depth": 2, "n_embed": 100, "n_heads": 5, "spectrum_depth": 2, "n_spectrum_heads": 5
}  # fmt: skip
SEEDS, N_STIMULI = (11, 12, 13), 8


def world(n_people, minutes, seed, **options):
    return simulate_paired(
        n_people, 60 * minutes, level="source", n_sources=8, n_targets=4, sfreq=200.0, snr=4.0,
        random_state=seed, **options,
    )  # fmt: skip


def translators(epochs: int) -> dict:
    reduced = Trainer(lr=1e-3, batch_size=16, max_epochs=epochs, patience=epochs)
    return {
        "core": SambaTranslator(t_r=T_R, model="core", random_state=0),
        "paper": SambaTranslator(t_r=T_R, model="paper", random_state=0),
        "neurobolt": SambaTranslator(
            t_r=T_R, model=NeuroBOLTModel(**REDUCED), trainer=reduced, random_state=0
        ),
    }


def people(quick: bool) -> pd.DataFrame:
    """Two people left out of six, by model: mean and range over seeds."""
    rows = []
    for seed in SEEDS[:1] if quick else SEEDS:
        rows += cached(RESULTS / "peers_people.jsonl", people_of, seed, quick)
        print(pd.DataFrame(rows[-6:]).round(3).to_string(index=False), flush=True)
    models = pd.DataFrame(rows).rename(columns={"r, clean BOLD": "clean"})
    table = models.groupby("model", sort=False).agg(
        seeds=("seed", "nunique"), r=("r", "mean"), r_min=("r", "min"), r_max=("r", "max"),
        clean=("clean", "mean"), clean_min=("clean", "min"), clean_max=("clean", "max"),
        null=("null", "mean"), largest_p=("p", "max"), cpu_s=("CPU s", "mean"),
    )  # fmt: skip
    return table.reset_index()


def people_of(seed: int, quick: bool) -> list[dict]:
    """Scores of all models, trained on the same people."""
    n_train, n_test, minutes, epochs = (2, 1, 5, 2) if quick else (4, 2, 20, 12)
    data, rows = world(n_train + n_test, minutes, seed), []
    folds = [(np.arange(n_train), np.arange(n_train, n_train + n_test))]
    for name, model in translators(epochs).items():
        began = time.process_time()
        plain = ("ridge_canonical", "ridge_fir", "time") if name == "core" else ()
        result = evaluate(
            model, data.raws, data.bolds, cv=folds, baselines=plain, metrics=("pearson",),
            nulls=("circular_shift",), clean=data.truth.clean_bolds, context=30.0,
            verbose="ERROR",
        )  # fmt: skip
        summary = result.summary()
        for row in (result.translator, *plain):
            rows.append({
                "seed": seed, "model": name if row == result.translator else row,
                "r": summary.loc[row, "pearson" if "pearson" in summary else "mean"],
                "r, clean BOLD": summary.loc[row, "clean_pearson"],
                "null": float(np.nanmean(result.null_[row])), "p": summary.loc[row, "p"],
                "CPU s": time.process_time() - began if row == result.translator else np.nan,
            })  # fmt: skip
    return rows


def protocols(quick: bool) -> pd.DataFrame:
    """Score the published network under its authors' protocol and under honest ones."""
    rows = []
    for coupling in (True, False):
        data = world(2, 5 if quick else 10, 21, coupling=coupling)
        models = {name: translators(1)[name] for name in ("paper", "core")}
        result = bench(
            data.raws, data.bolds, data.subjects, models=models, window=60.0,
            protocols=("interleaved", "blocked", "people"), t_r=T_R, n_shifts=99, verbose="ERROR",
        )  # fmt: skip
        rows.append(result.to_frame().assign(coupled="yes" if coupling else "no"))
        print(rows[-1].round(3).to_string(index=False), flush=True)
    table = pd.concat(rows, ignore_index=True)
    return table[["coupled", "protocol", "model", "pooled", "r", "ci_low", "ci_high", "null", "p"]]


def movie(quick: bool) -> pd.DataFrame:
    """Stimuli decoded from latents and from band power, windows shuffled and people left out."""
    rows = []
    for seed in (31,) if quick else (31, 32, 33, 34, 35):
        data = simulate_paired(
            6, 60.0 * N_STIMULI, level="source", n_sources=16, n_targets=24, sfreq=200.0, snr=1.0,
            n_stimuli=N_STIMULI, stimulus_variance=0.6, nuisance=1.0, random_state=seed,
        )  # fmt: skip
        epochs, y = make_windows(
            data.raws, data.bolds, t_r=T_R, window=15.0, step=15.0, subject=list(data.subjects)
        )
        labels = _stimulus_of(epochs.metadata, data.stimuli)
        kept = np.flatnonzero(labels != "")
        epochs, y, labels = epochs[kept], y[kept], labels[kept]
        people = epochs.metadata["subject"].to_numpy()
        splits = {
            "windows shuffled": KFold(3, shuffle=True, random_state=seed).split(labels),
            "people left out": GroupKFold(3).split(labels, groups=people),
        }
        for split, folds in splits.items():
            found = {name: labels.copy() for name in ("band power", "paper", "core")}
            for train, test in folds:
                for name, out in found.items():
                    decoder = _decoder(name, epochs[train], y[train])
                    out[test] = decoder.fit(epochs[train], labels[train]).predict(epochs[test])
            rows += [
                {"seed": seed, "split": split, "features": name, "accuracy": np.mean(out == labels)}
                for name, out in found.items()
            ]
        print(pd.DataFrame(rows).round(3).to_string(index=False), flush=True)
    table = pd.DataFrame(rows).set_index(["split", "features", "seed"])["accuracy"]
    gain = 100 * (table - table.xs("band power", level="features"))
    spread = table.groupby(["split", "features"]).agg(["mean", "min", "max"])
    spread["gain in points"] = gain.groupby(["split", "features"]).mean()
    return spread.assign(chance=1 / N_STIMULI).reset_index()


def _stimulus_of(windows: pd.DataFrame, stimuli: pd.DataFrame) -> np.ndarray:
    """Stimulus that fills each window (n_windows,), or ""."""
    labels = np.full(len(windows), "", dtype=object)
    for row in stimuli.itertuples():
        inside = windows["recording"].to_numpy() == row.recording
        onset = windows["onset"].to_numpy()
        inside &= (onset >= row.onset - 1e-6) & (onset + 15.0 <= row.onset + row.duration + 1e-6)
        labels[inside] = row.label
    return labels.astype(str)


def _decoder(features: str, epochs, y):
    """Classifier of windows: from band power, or from latents of a translator, fitted here."""
    if features == "band power":
        return make_pipeline(
            WaveletBandAttention(output="features"), StandardScaler(),
            LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        )  # fmt: skip
    translator = SambaTranslator(t_r=T_R, model=features, random_state=0).fit(epochs, y)
    return SambaClassifier(FrozenEstimator(translator))


def step(quick: bool) -> pd.DataFrame:
    """Seconds of a step of gradient descent, 26 channels, one thread."""
    rows = []
    full = {"depth": 12, "n_embed": 200, "n_heads": 10, "spectrum_depth": 4, "n_spectrum_heads": 8}
    for name, sizes in {"published": full, "reduced": REDUCED}.items():
        net = NeuroBOLTNet(26, 1, n_samples=400, n_lags=8, places=list(range(26)), **sizes)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
        for batch in (1,) if quick else (4, 16):
            x, y = torch.randn(batch, 26, 400, 8), {"bold": torch.randn(batch, 1, 1)}
            began = time.process_time()
            optimizer.zero_grad()
            FrameSquaredLoss()(net(x), y).backward()
            optimizer.step()
            rows.append({
                "network": name, "numbers": sum(p.numel() for p in net.parameters()),
                "batch": batch, "CPU s": time.process_time() - began,
            })  # fmt: skip
    return pd.DataFrame(rows)


SECTIONS = {
    "people": (people, "Beside peers: people left out", (
        "SIMULATED. 8 sources at 200 Hz, 4 regions, SNR 4; four people of 20 minutes train, two "
        "are left out; mean, lowest and highest of three such worlds. Pearson correlation over "
        "time, per region, with measured (r) and with clean BOLD; null: mean of 199 circular "
        "shifts; seconds of a processor for fit and prediction. "
        "NeuroBOLT is reduced (depth 2, 100 features, 12 epochs of all frames, learning rate "
        "1e-3), since the published size takes a GPU. The simulation couples band power to BOLD, "
        "as core and ridge assume."
    )),
    "protocols": (protocols, "The paper's network in two protocols", (
        "SIMULATED. Two people of 10 minutes, with coupling and with BOLD that another brain "
        "drives. `pooled`: Spearman correlation over all frames and regions at once, as the paper "
        "reports it; r: Pearson over time, per region."
    )),
    "movie": (movie, "Stimuli of a film in two protocols", (
        f"SIMULATED. {N_STIMULI} stimuli of a minute are shown to six people; windows of 15 s are "
        "told apart by linear discriminant analysis with shrinkage, three folds, five seeds. "
        "`band power` of all sources; `paper`, `core`: latents of a translator that was fitted to "
        "the training windows and their BOLD. Gains in points of per cent."
    )),
    "step": (step, "NeuroBOLT: a step of training", "One thread, 26 channels, 16 s, one region."),
}  # fmt: skip


def main():
    args = parser(__doc__.splitlines()[0])
    args.add_argument("--only", choices=tuple(SECTIONS), help="one of the tables")
    args = args.parse_args()
    args.out.mkdir(exist_ok=True)
    for name, (measure, title, note) in SECTIONS.items():
        if args.only in (None, name):
            table, quick = measure(args.quick), "_quick" if args.quick else ""
            print(table.round(3).to_string(index=False), flush=True)
            path = args.out / f"peers_{name}{quick}.csv"
            table.to_csv(path, index=False, float_format="%.4f")
            if not args.quick:
                command = f"`python benchmarks/peers.py --only {name}`. {note}"
                write_section(f"peers {name}", title, f"{command}\n\n{to_markdown(table)}")


if __name__ == "__main__":
    main()
