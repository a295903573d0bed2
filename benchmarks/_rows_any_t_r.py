"""Recordings of two repetition times in one fit, against fits of one, and against a spline.

Each fit has the same minutes of simulated recordings: two people at 2 s, two at 0.735 s, or one of
each. All are tested on two further people, one at either time, against BOLD without noise.
"""

import sys

import numpy as np

from mne_samba import SambaTranslator
from mne_samba.datasets import simulate_paired
from mne_samba.io._harmonize import resample_bold
from mne_samba.metrics import pearson
from mne_samba.models import CoreModel

T_RS = (2.0, 0.735)


def rows(
    seed: int, level: str = "source", minutes: float = 10.0, snr: float = 1.0, scrubbed: float = 0.0
) -> list[dict]:
    """Correlation with held-out clean BOLD, mean over regions, by what was fitted and tested."""
    world = {
        t_r: simulate_paired(
            3, 60 * minutes, t_r=t_r, level=level, n_sources=24, n_targets=24, snr=snr,
            random_state=1000 * seed + i, coupling_random_state=seed,
        )
        for i, t_r in enumerate(T_RS)
    }  # fmt: skip
    rng = np.random.default_rng(seed)
    for t_r in T_RS:
        world[t_r].bolds = [_scrub(np.array(y), t_r, scrubbed, rng) for y in world[t_r].bolds]
    one = [(world[t_r].raws[0], np.asarray(world[t_r].bolds[0]), t_r) for t_r in T_RS]
    slow, fast = T_RS
    _, spline = resample_bold(one[1][1], fast * np.arange(len(one[1][1])), slow)
    fits = {
        f"{t_r:g} s": [(world[t_r].raws[i], np.asarray(world[t_r].bolds[i]), t_r) for i in (0, 1)]
        for t_r in T_RS
    }
    fits |= {"mixed": one, "spline": [one[0], (one[1][0], spline, slow)]}
    out = []
    for name, train in fits.items():
        raws, bolds, t_rs = zip(*train, strict=True)
        model = SambaTranslator(t_r=list(t_rs), model=CoreModel(), random_state=0)
        model.fit(list(raws), list(bolds))
        for t_r in T_RS:
            tested, skip = world[t_r], int(np.ceil(30 / t_r))
            pred = model.predict(tested.raws[2], t_r=t_r)[skip:]
            clean = np.asarray(tested.truth.clean_bolds[2])[skip:]
            low, high = model.predict_interval(tested.raws[2], t_r=t_r)
            bold = np.asarray(tested.bolds[2])
            seen = np.isfinite(bold).all(axis=1) & (np.arange(len(bold)) >= skip)
            inside = ((low < bold) & (bold < high))[seen].mean()
            out.append({
                "goal": "any t_r", "seed": seed, "level": level, "minutes": minutes, "snr": snr,
                "scrubbed": scrubbed, "fit": name, "t_r": t_r,
                "r": float(np.mean(pearson(clean, pred))), "coverage": float(inside),
            })  # fmt: skip
    return out


def _scrub(bold: np.ndarray, t_r: float, share: float, rng) -> np.ndarray:
    """Lose a share of frames (n_frames, n_targets) in stretches of 4 s, as motion does."""
    length = max(1, round(4.0 / t_r))
    for start in rng.permutation(len(bold) // length)[: int(share * len(bold) / length)]:
        bold[start * length : (start + 1) * length] = np.nan
    return bold


if __name__ == "__main__":
    import mne
    import pandas as pd

    mne.set_log_level("WARNING")
    level, minutes, snr, scrubbed, *seeds = sys.argv[1:] or ["source", "10", "1", "0", "0"]
    options = {"level": level, "minutes": float(minutes), "snr": float(snr)}
    options["scrubbed"] = float(scrubbed)
    table = pd.DataFrame([row for seed in seeds for row in rows(int(seed), **options)])
    print(table.pivot_table(index=["seed", "t_r"], columns="fit", values="r").round(4))
    print(table.pivot_table(index="t_r", columns="fit", values=["r", "coverage"]).round(4))
