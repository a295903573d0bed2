"""Beside peers: NeuroBOLT's network and the published one of SAMBA, on the same SIMULATED people.

    python benchmarks/peers.py [--quick] [--only people|protocols|step]

``people``: a reduced NeuroBOLT, trained to the end, beside ridge, core, the paper's network and
time alone, all on people left out. ``protocols``: the paper's network under its authors' protocol
(shuffled windows, correlation pooled over regions) and under honest ones. ``step``: seconds of a
training step of NeuroBOLT on one thread. Prints its tables, writes
``benchmarks/results/peers_*.csv`` and its sections of ``benchmarks/RESULTS.md``.
"""

import time

from _common import one_thread, parser, to_markdown, write_section

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402

from mne_samba import NeuroBOLTModel, SambaTranslator, Trainer  # noqa: E402
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.evaluation import bench, evaluate  # noqa: E402
from mne_samba.nn.loss import FrameSquaredLoss  # noqa: E402
from mne_samba.nn.neurobolt import NeuroBOLTNet  # noqa: E402

T_R = 2.0
REDUCED = {
    "depth": 2, "n_embed": 100, "n_heads": 5, "spectrum_depth": 2, "n_spectrum_heads": 5
}  # fmt: skip
SEEDS = (11,)


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
    """Two people left out of six; all models are trained on the other four."""
    n_train, n_test, minutes, epochs = (2, 1, 5, 2) if quick else (4, 2, 20, 12)
    rows = []
    for seed in SEEDS:
        data = world(n_train + n_test, minutes, seed)
        folds = [(np.arange(n_train), np.arange(n_train, n_train + n_test))]
        models = translators(epochs)
        for name, model in models.items():
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
            print(pd.DataFrame(rows).round(3).to_string(index=False), flush=True)
    return pd.DataFrame(rows)


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
        "are left out. Pearson correlation over time, per region, with measured and with clean "
        "BOLD; null: mean of 199 circular shifts; seconds of a processor for fit and prediction. "
        "NeuroBOLT is reduced (depth 2, 100 features, 12 epochs of all frames, learning rate "
        "1e-3), since the published size takes a GPU. The simulation couples band power to BOLD, "
        "as core and ridge assume."
    )),
    "protocols": (protocols, "The paper's network in two protocols", (
        "SIMULATED. Two people of 10 minutes, with coupling and with BOLD that another brain "
        "drives. `pooled`: Spearman correlation over all frames and regions at once, as the paper "
        "reports it; r: Pearson over time, per region."
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
