"""What forty fits choose, and how well they predict: run before and after a change, and compare.

    python benchmarks/choices.py --out before.csv       (in the tree before the change)
    python benchmarks/choices.py --against before.csv   (after it)

SIMULATED people of 12 to 25 minutes, at the sources and at sensors, in worlds of the core and
beyond it. Correlation is with clean BOLD of ten later minutes; slow drift is nobody's to predict.
"""

import argparse
import time
import warnings

from _common import one_thread

one_thread()

import mne  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from mne_samba import SambaTranslator  # noqa: E402
from mne_samba._scoring import remove_drift  # noqa: E402
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.metrics import pearson  # noqa: E402

T_R, TEST = 2.0, 600.0
WORLDS = {
    "plain": {},
    "leakage": {"leakage": 0.5},
    "saturating": {"drive": "saturating"},
    "weak": {"snr": 0.25},
    "many targets": {"n_targets": 150},
    "sensors": {"level": "sensor"},
    "few channels": {"n_sources": 12, "n_targets": 20},
    "uncoupled": {"coupling": False},
}
MINUTES = (12, 15, 18, 21, 25)
CHOICES = ("power", "own_bands", "response", "prior", "unmixing", "kept")


def one(world: str, minutes: int, seed: int) -> dict:
    """Fit to one person: what was chosen, correlation and processor seconds."""
    options = {"n_sources": 32, "n_targets": 48, "level": "source", "snr": 1.0} | WORLDS[world]
    data = simulate_paired(1, 60.0 * minutes + TEST, t_r=T_R, random_state=seed, **options)
    raw, bold, clean = data.raws[0], data.bolds[0], data.truth.clean_bolds[0]
    cut = round(60.0 * minutes / T_R)
    later = raw.copy().crop(60.0 * minutes)
    start = time.process_time()
    fit = SambaTranslator(t_r=T_R, random_state=0, verbose="ERROR").fit(
        raw.copy().crop(0, 60.0 * minutes, include_tmax=False), bold[:cut]
    )
    spent = time.process_time() - start
    first = round(30.0 / T_R)
    pred = fit.predict(later)[first : len(clean) - cut]
    pair = clean[cut + first :][: len(pred)], pred
    r = np.nanmean(pearson(*(remove_drift(frames, T_R, "cosine") for frames in pair)))
    core, unmixing = fit.core_, fit.unmixing_
    return {
        "world": world, "minutes": minutes, "seed": seed, "power": fit.power_,
        "own_bands": not core.spatial_map.any() and core.extra is not None,
        "response": fit.hrf_family_, "prior": core.map_prior,
        "unmixing": "channels" if unmixing is None else unmixing.method,
        "kept": bool(fit.corrections_kept_), "r": r, "seconds": spent,
    }  # fmt: skip


def main() -> None:
    """Run forty fits, print them, and what differs."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--out", help="CSV file to write")
    command.add_argument("--against", help="CSV file of an earlier run")
    args = command.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    mne.set_log_level("ERROR")
    rows = []
    for i, world in enumerate(WORLDS):
        for j, minutes in enumerate(MINUTES):
            rows.append(one(world, minutes, 300 + 10 * i + j))
            print({k: f"{v:.3f}" if isinstance(v, float) else v for k, v in rows[-1].items()},
                  flush=True)  # fmt: skip
    table = pd.DataFrame(rows)
    if args.out:
        table.to_csv(args.out, index=False)
    if args.against:
        before = pd.read_csv(args.against)
        same = pd.DataFrame({name: before[name] == table[name] for name in CHOICES})
        print(f"All choices the same in {same.all(axis=1).sum()} of {len(table)} fits.")
        print(same.sum().to_string())
        change = (table["r"] - before["r"]).groupby(table["world"], sort=False)
        print(pd.DataFrame({
            "before": before.groupby("world", sort=False)["r"].mean(),
            "after": table.groupby("world", sort=False)["r"].mean(),
            "change": change.mean(), "least": change.min(), "most": change.max(),
        }).round(4).to_string())  # fmt: skip
        seconds = before["seconds"].sum(), table["seconds"].sum()
        print(f"Processor seconds: {seconds[0]:.0f} before, {seconds[1]:.0f} after.")


if __name__ == "__main__":
    main()
