"""Which BOLD window belongs to a window of electrophysiology (SIMULATED).

SNR 1, windows of 10 s (5 frames), 500 non-overlapping candidates, 30 minutes of training. With 48
targets nearly every partner is found; 18 are so few that the better ridge finds about a fifth of
them at once. Every model gives predictions; each is matched by its own whitened
likelihood ratio and by plain correlation. Shifted predictions say what chance is.

Run ``python benchmarks/retrieval.py --quick`` or without ``--quick`` for five seeds.
"""

from __future__ import annotations

from _common import one_thread, parser, to_markdown, write_section
from _resume import cached

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from mne_samba import (  # noqa: E402
    InverseTranslator,
    LatentTranslator,
    Reader,
    SambaTranslator,
    make_windows,
)
from mne_samba.baselines import BandPowerRidge  # noqa: E402
from mne_samba.data.bold import detrend_segments  # noqa: E402
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.models.retrieval import MatchedFilter, retrieval_summary  # noqa: E402

T_R, TRAIN, GAP, WINDOW, CANDIDATES = 2.0, 1800.0, 60.0, 10.0, 500
N_TARGETS, SEEDS = 18, range(10, 15)


def by_correlation(pred, bold):
    """Correlation of every predicted with every measured window."""
    out = []
    for windows in (pred, bold):
        flat = windows.reshape(len(windows), -1)
        flat = flat - flat.mean(axis=1, keepdims=True)
        out.append(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12))
    return out[0] @ out[1].T


def row(model, n_targets, seed, scores):
    """Row of the table."""
    found = retrieval_summary(scores)
    top = {f"top-{k}": share for k, share in found.top.items()}
    return {
        "model": model,
        "targets": n_targets,
        "seed": seed,
        **top,
        "median rank": found.median_rank,
    }


def without_drift(forward, windows, pred, bold):
    """Predicted and measured windows as `retrieval_score` compares them."""
    rec = Reader().read_pair(windows, bold)
    out = []
    for values in (list(pred), rec.bold):
        clean = detrend_segments(values, rec.table, rec.kind, rec.t_r, "cosine")
        out.append(np.stack(clean) / forward.y_scale_)
    return out


def run(n_targets, seed):
    """Rows of one seed."""
    duration = TRAIN + GAP + WINDOW * CANDIDATES
    data = simulate_paired(
        1, duration, t_r=T_R, n_targets=n_targets, snr=1.0, level="source", random_state=seed
    )
    raw, bold = data.raws[0], data.bolds[0]
    minutes, y_minutes = make_windows(raw, bold, t_r=T_R)
    windows, y = make_windows(raw, bold, t_r=T_R, window=WINDOW)
    onset = minutes.metadata["onset"].to_numpy()
    train = np.flatnonzero(onset + 60.0 <= TRAIN)
    test = np.flatnonzero(windows.metadata["onset"].to_numpy() >= TRAIN + GAP)[:CANDIDATES]
    windows, y = windows[test], y[test]
    rows = []
    for name, model in (
        (
            "SambaTranslator",
            LatentTranslator(
                SambaTranslator(t_r=T_R, random_state=0), InverseTranslator(t_r=T_R, random_state=0)
            ),
        ),
        ("ridge, canonical", BandPowerRidge(t_r=T_R)),
        ("ridge, FIR", BandPowerRidge(t_r=T_R, hrf="fir")),
    ):
        model.fit(minutes[train], y_minutes[train])
        pred = model.predict(windows)
        rows.append(row(f"{name}, correlation", n_targets, seed, by_correlation(pred, y)))
        if name == "SambaTranslator":
            standard, measured = without_drift(model.forward_, windows, pred, y)
            matched = model.forward_._fitted.matched
        else:
            # The same matched filter for ridge: the models differ in their predictions alone.
            targets = [w - y_minutes[train].mean((0, 1)) for w in y_minutes[train]]
            frames = [w - y_minutes[train].mean((0, 1)) for w in model.predict(minutes[train])]
            matched = MatchedFilter.fit(targets, frames)
            mean = y_minutes[train].mean((0, 1))
            standard, measured = pred - mean, y - y.mean((0, 1))
        rows.append(row(f"{name}, likelihood", n_targets, seed, matched.scores(standard, measured)))
        if name == "SambaTranslator":
            shifts = [np.roll(standard, s, axis=0) for s in range(50, 451, 50)]
            found = [row("", n_targets, seed, matched.scores(s, measured)) for s in shifts]
            mean = pd.DataFrame(found).drop(columns="model").mean().to_dict()
            rows.append({"model": "shifted", **mean, "seed": seed})
    rows.append(
        {
            "model": "chance",
            "targets": n_targets,
            "seed": seed,
            **{f"top-{k}": k / len(y) for k in (1, 5, 10)},
        }
        | {"median rank": (len(y) + 1) / 2}
    )
    return rows


def main() -> None:
    """Run, print, write."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds")
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    seeds = SEEDS[: 1 if args.quick else args.seeds]
    name = "retrieval_quick" if args.quick else "retrieval"
    rows = []
    for seed in seeds:
        rows += cached(args.out / f"{name}.jsonl", run, N_TARGETS, seed)
        print(to_markdown(pd.DataFrame(rows[-8:])), flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(args.out / f"{name}.csv", index=False)
    summary = (
        table.drop(columns="seed").groupby(["targets", "model"], sort=False).mean().reset_index()
    )
    print(to_markdown(summary))
    count = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    write_section(
        name,
        f"Retrieval of BOLD windows ({count})",
        "SIMULATED. `python benchmarks/retrieval.py" + (" --quick" if args.quick else "") + "`: "
        "share of windows of electrophysiology whose BOLD is among the best k of 500, windows of "
        "10 s, SNR 1, 30 min of training. Matched by correlation with BOLD, or by the likelihood "
        "ratio that `retrieval_score` uses.\n\n" + to_markdown(summary),
    )


if __name__ == "__main__":
    main()
