"""
Ablation: what each part brings
===============================

Data: **simulated**. Parts of the translator are taken away one by one, on the same split. What a
part brings depends on the data: run this on yours.
"""

# %%
# Variants
# --------
# Three simulated people, the third left out. Graph attention and recurrence are trained for a few
# epochs at most.
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mne_samba import CoreModel, SambaModel, SambaTranslator, Trainer
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.metrics import detrend, spearman

data = simulate_paired(
    3,
    500.0,
    n_sources=10,
    n_targets=16,
    level="source",
    snr=1.0,
    random_state=0,
)


def translator(model):
    """Build a translator that fits a model."""
    return SambaTranslator(
        t_r=data.t_r,
        model=model,
        trainer=Trainer(max_epochs=6),
        random_state=0,
    )


variants = {
    "linear core": translator("core"),
    "+ corrections, if confirmed": translator("samba"),
    "+ corrections, always": translator(
        SambaModel(corrections="always")
    ),
    "+ learnt graph, always": translator(
        SambaModel(
            corrections="always", graph="learnt", recurrent=None
        )
    ),
    "no band attention": translator(CoreModel(band_attention=False)),
    "canonical response": translator(CoreModel(hrf="canonical")),
    "log power": translator(CoreModel(power="log")),
    "ridge, canonical": BandPowerRidge(t_r=data.t_r),
    "ridge, FIR": BandPowerRidge(t_r=data.t_r, hrf="fir"),
}

# %%
# One split, one score
# --------------------
# Spearman correlation over time per region, in the person left out, after removing drift. Frames
# without 30 s of history do not count.
first = int(30.0 / data.t_r)
measured = detrend(data.bolds[2], data.t_r)[first:]
scores, rows = {}, []
for name, model in variants.items():
    start = time.perf_counter()
    model.fit(data.raws[:2], data.bolds[:2])
    seconds = time.perf_counter() - start
    found = detrend(model.predict([data.raws[2]])[0], data.t_r)[
        first:
    ]
    scores[name] = spearman(measured, found)
    kept = getattr(model, "corrections_kept_", None)
    rows.append(
        (
            name,
            scores[name].mean(),
            "" if kept is None else kept,
            seconds,
        )
    )
ceiling = spearman(
    measured, detrend(data.truth.clean_bolds[2], data.t_r)[first:]
).mean()
pd.DataFrame(
    rows, columns=["variant", "score", "corrections kept", "fit (s)"]
).round(3)

# %%
fig, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
rng = np.random.default_rng(0)
for place, (name, values) in enumerate(scores.items()):
    color = "#E69F00" if name.startswith("ridge") else "#0072B2"
    axes.plot(
        values,
        place + rng.uniform(-0.15, 0.15, len(values)),
        "o",
        ms=3.5,
        mew=0,
        alpha=0.6,
        color=color,
    )
    axes.plot(
        [values.mean()] * 2, [place - 0.3, place + 0.3], "k", lw=2
    )
axes.axvline(ceiling, color="0.5", ls="--", lw=1)
axes.text(
    ceiling,
    -0.8,
    "ceiling ",
    ha="right",
    va="center",
    fontsize=8,
    color="0.4",
)
axes.axvline(0, color="0.6", lw=0.8)
axes.set_yticks(range(len(scores)), list(scores))
axes.set(
    xlabel="Spearman correlation, one dot per region",
    ylim=(len(scores) - 0.4, -1.2),
)
axes.set_title("Simulated: person left out", fontsize=10)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Which of these differences would stand?
# ---------------------------------------
# Paired differences to the linear core over regions, as a first look. Regions are not independent,
# and this is one simulation: a claim needs several seeds, or people
# (:func:`mne_samba.evaluation.evaluate` and ``result.compare``).
reference = scores["linear core"]
for name, values in scores.items():
    difference = values - reference
    print(
        f"{name:28s} {difference.mean():+.3f} (s.d. over regions "
        f"{difference.std():.3f})"
    )

# %%
# The simulation follows the core's own order (power first, then responses), without anything for
# recurrence or graph attention to find: it is no surprise that these bring nothing here, and that
# is what blocked validation has to notice.
