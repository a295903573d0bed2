"""fNIRS: signs and peak times of simulated chromophores; a real recording driven by its stimuli."""

import itertools
import os
import sys
import warnings
from pathlib import Path

import mne
import numpy as np

from mne_samba import Reader, SambaTranslator
from mne_samba._drift import cosine_drift
from mne_samba._scoring import remove_drift
from mne_samba.io import fnirs_frames
from mne_samba.metrics import pearson
from mne_samba.models import CoreModel
from mne_samba.wavelets import Precomputed

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from fnirs_world import N_PAIRS, fnirs_world

SHARED = Path(os.environ.get("MNE_SAMBA_SHARED", Path(__file__).parents[2] / "shared" / "data"))


def rows(seed: int) -> list[dict]:
    """Signs, errors of peak times, correlation with held-out clean haemoglobin, and back."""
    raws, nirs, clean, peaks = fnirs_world(seed)
    model = SambaTranslator(model=CoreModel(hrf_bounds="fnirs"), random_state=0)
    model.fit(raws[:1], nirs[:1])
    alpha = (model.spatial_map_ @ model.band_weights_)[:, list(model.bands_).index("alpha")]
    signs = np.sign(alpha) == np.repeat([1, -1], N_PAIRS)
    error = np.abs(model.hrf_peak_time_ - peaks)
    r = pearson(clean[1][::5][60:], model.predict(raws[1])[60:])
    return [{
        "goal": "fNIRS", "seed": seed, "signs": signs.mean(),
        "peak_error_hbo": error[:N_PAIRS].mean(),
        "peak_error_hbr": error[N_PAIRS:].mean(), "r_clean": r.mean(),
    }]  # fmt: skip


def real_rows(n_blocks: int = 3, gap: float = 30.0) -> list[dict]:
    """Held-out correlation in blocks of a real recording: stimuli, and time alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # optodes have places in a plane
        raw = mne.io.read_raw_snirf(SHARED / "fnirs" / "neuro_run01.snirf")
    density = mne.preprocessing.nirs.optical_density(raw)
    table = fnirs_frames(mne.preprocessing.nirs.beer_lambert_law(density, ppf=6.0))
    bold, t_r = table.to_numpy(), table.attrs["t_r"]
    power, marks = np.zeros((2, 1, len(bold))), raw.annotations
    for onset, duration, what in zip(marks.onset, marks.duration, marks.description, strict=True):
        power[int(what) - 1, 0, int(onset / t_r) : int((onset + duration) / t_r)] = 1.0
    # Before the first stimulus there is nothing to be learnt or tested.
    edges = np.linspace(130 / t_r, len(bold), n_blocks + 1).astype(int)
    slow = cosine_drift(len(bold), t_r, 0.02)
    scores = {"stimuli": [], "time alone": []}
    for first, stop in itertools.pairwise(edges):
        train, frames = bold.copy(), np.arange(len(bold))
        near = (frames >= first - gap / t_r) & (frames < stop + gap / t_r)
        train[near] = np.nan
        bank = Precomputed("linear")
        model = SambaTranslator(
            t_r=t_r, model=CoreModel(bands=bank, hrf_bounds="fnirs"),
            reader=Reader(sfreq=1 / t_r), random_state=0,
        )  # fmt: skip
        found = {"stimuli": model.fit([power], [train]).predict([power])[0]}
        coef = np.linalg.lstsq(slow[~near], bold[~near], rcond=None)[0]
        found["time alone"] = slow @ coef
        for name, pred in found.items():
            pair = (remove_drift(v[first:stop], t_r, "cosine") for v in (bold, pred))
            scores[name].append(pearson(*pair))
    kinds = np.array([name[-3:] for name in table.columns])
    return [
        {"goal": "fNIRS, real", "model": name, "chromophore": kind,
         "r": float(np.nanmean(np.array(score)[:, kinds == kind]))}
        for name, score in scores.items() for kind in ("hbo", "hbr")
    ]  # fmt: skip


if __name__ == "__main__":
    import pandas as pd

    mne.set_log_level("WARNING")
    table = pd.DataFrame([row for seed in sys.argv[1:] or ["0"] for row in rows(int(seed))])
    print(table.round(3).to_string())
    print(table.mean(numeric_only=True).round(3).to_string())
    print(pd.DataFrame(real_rows()).round(3).to_string())
