"""The paper's own case (SIMULATED): electrophysiology and BOLD of different people, one film.

Each of six people with electrophysiology is paired with another person's BOLD; all that a pair
shares is the film, which sets half of the slow variance of band power. Person and segment of the
film are left out together. Beside the translator: ridge, and the stimulus average, the mean BOLD of
the other people in the very segment that nobody trains on; it needs no electrophysiology.

Run ``python benchmarks/shared_stimulus.py --quick`` or without ``--quick`` for five seeds.
"""

from __future__ import annotations

from _common import one_thread, parser, to_markdown, write_section
from _resume import cached

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from mne_samba import SambaTranslator, make_windows  # noqa: E402
from mne_samba.baselines import BandPowerRidge  # noqa: E402
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.metrics import pearson  # noqa: E402
from mne_samba.model_selection import LeaveSubjectAndSegmentOut  # noqa: E402

T_R, DURATION, N_PAIRS, N_SEGMENTS = 2.0, 720.0, 6, 3
SEEDS = range(10, 15)


def site(seed, world):
    """People of one site: same coupling and film as the other, other people."""
    return simulate_paired(
        N_PAIRS, DURATION, t_r=T_R, sfreq=100.0, n_sources=16, n_targets=24, snr=2.0,
        level="source", n_stimuli=1, stimulus_variance=0.5, random_state=seed,
        coupling_random_state=world,
    )  # fmt: skip


def run(seed):
    """Rows of one seed."""
    ele, hemo = site(1000 + seed, seed), site(2000 + seed, seed)
    epochs, y = make_windows(
        ele.raws, hemo.bolds, t_r=T_R, subject=[f"pair-{i}" for i in range(N_PAIRS)]
    )
    onset = epochs.metadata["onset"].to_numpy()
    scores: dict[str, list] = {}
    for train, test in LeaveSubjectAndSegmentOut(N_SEGMENTS).split(epochs, y):
        true = y[test].reshape(-1, y.shape[-1])
        others = epochs.metadata["subject"].to_numpy() != epochs.metadata["subject"].iloc[test[0]]
        average = np.stack([y[others & (onset == onset[i])].mean(axis=0) for i in test])
        preds = {"stimulus average": average}
        for name, model in (
            ("SambaTranslator", SambaTranslator(t_r=T_R, model="core", random_state=0)),
            ("ridge, canonical", BandPowerRidge(t_r=T_R)),
        ):
            preds[name] = model.fit(epochs[train], y[train]).predict(epochs[test])
        for name, pred in preds.items():
            r = pearson(true, pred.reshape(-1, y.shape[-1])).mean()
            scores.setdefault(name, []).append(r)
    return [{"model": name, "seed": seed, "r": np.mean(r)} for name, r in scores.items()]


def main() -> None:
    """Run, print, write."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds")
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    seeds = SEEDS[: 1 if args.quick else args.seeds]
    name = "shared_stimulus_quick" if args.quick else "shared_stimulus"
    rows = []
    for seed in seeds:
        rows += cached(args.out / f"{name}.jsonl", run, seed)
        print(to_markdown(pd.DataFrame(rows[-3:])), flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(args.out / f"{name}.csv", index=False)
    summary = table.groupby("model", sort=False)["r"].agg(["mean", "std"]).reset_index()
    print(to_markdown(summary))
    write_section(
        name,
        f"Different people, one film ({'one seed' if len(seeds) == 1 else f'{len(seeds)} seeds'})",
        "SIMULATED. `python benchmarks/shared_stimulus.py"
        + (" --quick" if args.quick else "")
        + "`: correlation over time with BOLD of a person left out, in a segment left out. "
        "Translators see the electrophysiology of another person; the stimulus average sees other "
        "people's BOLD of that segment.\n\n" + to_markdown(summary),
    )


if __name__ == "__main__":
    main()
