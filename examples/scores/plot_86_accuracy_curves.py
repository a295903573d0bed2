"""
How accuracy grows, and what it hardly depends on
=================================================

Data: **simulated**, one person, small: 10 sources, 12 regions, SNR 1. Accuracy against minutes of
training, against the length of windows, and against the source graph. The tables over five people
and larger brains are in ``benchmarks/RESULTS.md``; what is drawn here is computed here.
"""

# %%
# One person, one test block
# --------------------------
# The last six minutes are the test, whatever is trained on. Simulations know BOLD without noise:
# scores are correlations with it, one per region.
from functools import partial

import matplotlib.pyplot as plt
import numpy as np

from mne_samba import CoreModel, SambaModel, SambaTranslator, Trainer
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.metrics import pearson

T_R, HISTORY, LONGEST, TEST = 2.0, 30.0, 16.0, 6.0
data = simulate_paired(
    1,
    60 * (LONGEST + TEST) + 30,
    t_r=T_R,
    sfreq=100.0,
    n_sources=10,
    n_targets=12,
    level="source",
    random_state=2,
)
raw, bold, clean = (
    data.raws[0],
    data.bolds[0],
    data.truth.clean_bolds[0],
)
for channel, place in zip(
    raw.info["chs"], data.source_coords, strict=True
):
    channel["loc"][:3] = (
        place / 1e3
    )  # graph="distance" needs places, in metres

first = round((60 * LONGEST + 30) / T_R)
test = raw.copy().crop(first * T_R)
known = slice(int(HISTORY / T_R), None)


def accuracy(model, minutes=LONGEST):
    """Correlation with clean BOLD of the test block."""
    n = round(60 * minutes / T_R)
    model.fit(
        raw.copy().crop(0, n * T_R, include_tmax=False), bold[:n]
    )
    return pearson(clean[first:][known], model.predict(test)[known])


core = partial(
    SambaTranslator,
    t_r=T_R,
    model="core",
    random_state=0,
    verbose=False,
)

# %%
# Minutes of training
# -------------------
# Bands are the middle half of the regions.
minutes = (2.0, 4.0, 8.0, 16.0)
models = {
    "SambaTranslator": (lambda: core(), "#0072B2", "o"),
    "ridge, canonical": (
        lambda: BandPowerRidge(t_r=T_R),
        "#E69F00",
        "s",
    ),
    "ridge, FIR": (
        lambda: BandPowerRidge(t_r=T_R, hrf="fir"),
        "#D55E00",
        "^",
    ),
}
curves = {
    name: np.array([accuracy(make(), m) for m in minutes])
    for name, (make, *_) in models.items()
}

fig, axes = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
for name, scores in curves.items():
    color, marker = models[name][1:]
    low, high = np.percentile(scores, [25, 75], axis=1)
    axes.fill_between(
        minutes, low, high, color=color, alpha=0.18, lw=0
    )
    axes.plot(
        minutes,
        scores.mean(axis=1),
        color=color,
        marker=marker,
        label=name,
    )
axes.set_xscale("log")
axes.set_xticks(minutes, [f"{m:g}" for m in minutes])
axes.minorticks_off()
axes.axhline(0, color="0.6", lw=0.8)
axes.set(
    xlabel="minutes of training",
    ylabel="correlation with clean BOLD",
    ylim=(-0.1, 1),
)
axes.legend(frameon=False, loc="upper left", fontsize=8)
axes.set_title("Simulated: accuracy against minutes", fontsize=10)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Length of windows
# -----------------
# The linear core joins windows: their length is no matter to it. Graph attention and the recurrence
# are trained on windows, side by side; they are kept here whatever held-out frames say, to see
# their part.
# What the default chooses by itself (power, map, bands) is named, so that corrections alone differ.
named = CoreModel(
    power="linear", map_prior="sparse", target_bands=False
)


def corrected(window=60.0, step=None, **options):
    """Build a translator that keeps its corrections."""
    model = SambaModel(
        **named.get_params(), corrections="always", **options
    )
    trainer = Trainer(window=window, step=step, max_epochs=4)
    return SambaTranslator(
        t_r=T_R,
        model=model,
        trainer=trainer,
        random_state=0,
        verbose=False,
    )


lengths = {
    "15 s": 15.0,
    "60 s": 60.0,
    "180 s": 180.0,
    "whole": 60 * LONGEST,
}
by_window = {
    name: accuracy(corrected(window=length))
    for name, length in lengths.items()
}

# %%
# Source graph
# ------------
# The same, by who attends to whom.
graphs = (
    "knn",
    "correlation",
    "cosine",
    "partial_correlation",
    "mutual_information",
    "distance",
    "dense",
    "learnt",
)
by_graph = {
    name: accuracy(
        corrected(
            step=60.0, graph=name, recurrent=None, n_neighbors=4
        )
    )
    for name in graphs
}

# %%
# One dot is a region: its score minus that of the linear core without any correction. Lines are
# means.
reference = accuracy(
    SambaTranslator(
        t_r=T_R, model=named, random_state=0, verbose=False
    )
)
fig, panels = plt.subplots(
    1,
    2,
    figsize=(8, 3.2),
    sharex=True,
    layout="constrained",
    width_ratios=(1, 1.1),
)
rng = np.random.default_rng(0)
for axes, found, title in zip(
    panels,
    (by_window, by_graph),
    ("length of windows", "source graph"),
    strict=True,
):
    for place, values in enumerate(found.values()):
        change = values - reference
        spread = place + rng.uniform(-0.16, 0.16, len(change))
        axes.plot(
            change,
            spread,
            "o",
            ms=3.5,
            mew=0,
            alpha=0.6,
            color="#0072B2",
        )
        axes.plot(
            [change.mean()] * 2,
            [place - 0.32, place + 0.32],
            "k",
            lw=2,
        )
    axes.axvline(0, color="0.45", lw=0.8, ls="--", zorder=0)
    labels = [name.replace("_", " ") for name in found]
    axes.set_yticks(range(len(found)), labels, fontsize=8)
    axes.set(
        xlabel="change in correlation",
        ylim=(len(found) - 0.4, -0.6),
        xlim=(-0.01, 0.01),
    )
    axes.set_title(f"Simulated: {title}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
print(f"linear core          {reference.mean():.3f}")
for name, values in {**by_window, **by_graph}.items():
    print(f"{name:20s} {values.mean() - reference.mean():+.4f}")

# %%
# This simulation couples power and BOLD linearly, with nothing for graphs or recurrence to find:
# changes of a thousandth or less are what should come out. The default,
# ``SambaModel(corrections="auto")``, leaves such parts out.
