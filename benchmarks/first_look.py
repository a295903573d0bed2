"""First look: the translator beside ridge regression on five simulated people (SIMULATED data).

Each person has 1800 s at an SNR of 4; the first 75 % train, the rest tests. Figures are Pearson
correlations over time with the held-out *clean* BOLD, averaged over targets. "another brain" is the
translator trained and tested on BOLD that another brain drives: it must stay at zero.

Run ``python benchmarks/first_look.py`` (about a minute per seed), or with ``--duration 900``.
"""

from __future__ import annotations

import argparse
import time

from _common import one_thread

one_thread()

import mne  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402

from mne_samba import SambaTranslator  # noqa: E402
from mne_samba.baselines import BandPowerRidge  # noqa: E402
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.metrics import pearson  # noqa: E402

T_R, HISTORY = 2.0, 30.0


def held_out(model, raw, bold, clean):
    """Fit on the first three quarters; correlation with clean BOLD on the rest."""
    n_train = int(0.75 * len(bold))
    cut = n_train * T_R
    model.fit(raw.copy().crop(0, cut, include_tmax=False), bold[:n_train])
    pred = model.predict(raw.copy().crop(cut, None))
    # The first test frames would need training signal as their history.
    known = slice(int(HISTORY / T_R), None)
    return pearson(clean[n_train:][known], pred[known]).mean()


def one_person(seed, duration):
    """Scores of all models on one simulated person."""
    options = {"duration": duration, "t_r": T_R, "snr": 4.0, "level": "source"}
    data = simulate_paired(1, random_state=seed, **options)
    other = simulate_paired(1, random_state=seed, coupling=False, **options)
    paired = data.raws[0], data.bolds[0], data.truth.clean_bolds[0]
    start = time.perf_counter()
    row = {"seed": str(seed)}
    row["translator"] = held_out(SambaTranslator(t_r=T_R, random_state=0), *paired)
    row["seconds"] = time.perf_counter() - start
    for hrf in ("canonical", "fir"):
        row[f"ridge {hrf}"] = held_out(BandPowerRidge(t_r=T_R, hrf=hrf), *paired)
    row["better ridge"] = max(row["ridge canonical"], row["ridge fir"])
    row["another brain"] = held_out(
        SambaTranslator(t_r=T_R, random_state=0),
        other.raws[0],
        other.bolds[0],
        other.truth.clean_bolds[0],
    )
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--duration", type=float, default=1800.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    mne.set_log_level("ERROR")
    rows = []
    for seed in range(args.seeds):
        rows.append(one_person(seed, args.duration))
        print(pd.DataFrame(rows[-1:]).to_string(index=False, float_format="%.3f"), flush=True)
    table = pd.DataFrame(rows)
    mean = {"seed": "mean", **table.drop(columns="seed").mean().to_dict()}
    table = pd.concat([table, pd.DataFrame([mean])], ignore_index=True)
    print("\nSIMULATED. Correlation with held-out clean BOLD, mean over targets\n")
    print(table.to_string(index=False, float_format="%.3f"))
    gain = mean["translator"] - mean["better ridge"]
    print(
        f"\nTranslator minus better ridge: {gain:+.3f}; another brain: {mean['another brain']:+.3f}"
    )


if __name__ == "__main__":
    main()
