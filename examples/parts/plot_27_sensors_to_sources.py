"""
From sensors to sources without an MRI
======================================

Data: **simulated** EEG. Two sites have different caps. A model of channels knows one cap; a model
of parcels knows places in the brain, and takes any.
"""

# %%
# Two sites, two caps, heads that nobody measured
# -----------------------------------------------
# One person at each site. Both brains share how power drives BOLD. What is simulated is not what is
# assumed below: the skull is thicker (three shells), electrodes lie 5 mm off their stated places,
# and brains differ in shape.
from functools import partial

import matplotlib.pyplot as plt
import mne
import numpy as np

from mne_samba import (
    CoreModel,
    Reader,
    SambaTranslator,
    SourceParcels,
)
from mne_samba.datasets import simulate_paired
from mne_samba.metrics import pearson

simulate = partial(
    simulate_paired,
    n_sources=16,
    n_targets=12,
    sfreq=100.0,
    head="three-shell",
    electrode_error=5.0,
    head_spread=0.04,
    coupling_random_state=3,
)
home = simulate(1, 720.0, random_state=1)
away = simulate(1, 360.0, random_state=2, montage="easycap-M1")
print(
    f"{len(home.raws[0].ch_names)} channels at home, "
    f"{len(away.raws[0].ch_names)} away"
)

# %%
# Parcels
# -------
# :class:`~mne_samba.SourceParcels` lays a sphere through the electrodes, scales regions of an atlas
# that comes with nilearn into it, and lets MNE compute fields and the minimum norm estimate.
# Nothing is downloaded, and no BOLD is used. How far the estimate may follow the data is chosen by
# what it says about electrodes that it was not given.
parcels = SourceParcels(n_parcels=24).fit(home.raws[0])
print(
    f"lambda2 = {parcels.reg_:g}, that is a signal-to-noise ratio "
    f"of {parcels.reg_**-0.5:.1f}"
)
parcels.parcels_.head(4).round()

# %%
# The curve has its least where neither noise nor a head that is not quite right is followed.
fig, axis = plt.subplots(figsize=(4.2, 2.6), layout="constrained")
errors = parcels.reg_errors_
axis.semilogx(errors.index, errors, "o-", color="#0072B2", ms=4)
axis.axvline(parcels.reg_, color="0.6", lw=1, ls="--", zorder=0)
axis.set(
    xlabel=r"regularisation $\lambda^2$",
    ylabel="unexplained share of\nelectrodes left out",
    ylim=(0, None),
    title="Simulated: chosen without BOLD",
)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# One parcel, two caps
# --------------------
# How each cap weighs its electrodes for the same parcel: other electrodes, the same place.
raws = {"at home": home.raws[0], "away": away.raws[0]}
name = parcels.parcels_["name"][parcels.parcels_["z"].idxmax()]
row = list(parcels.get_feature_names_out()).index(f"{name} z")
fig, axes = plt.subplots(
    1, 2, figsize=(5.4, 2.8), layout="constrained"
)
for axis, (where, raw) in zip(axes, raws.items(), strict=True):
    weights = parcels.operator(raw)[row]
    weights = weights / np.abs(weights).max()
    image, _ = mne.viz.plot_topomap(
        weights,
        raw.info,
        axes=axis,
        show=False,
        contours=4,
        cmap="RdBu_r",
        vlim=(-1, 1),
        sphere=mne.make_sphere_model("auto", "auto", raw.info),
    )
    axis.set_title(
        f"{where}, {len(raw.ch_names)} electrodes", fontsize=9
    )
fig.colorbar(
    image, ax=axes, label="weight (of the largest)", shrink=0.7
)
fig.suptitle(f"Simulated: filter of {name}, z", fontsize=10)
plt.show()

# %%
# A model of one cap predicts on another
# --------------------------------------
# Channels have to be interpolated where the other cap lacks them; parcels are there. Everything is
# learnt at home. Predictions are compared with clean BOLD, which only a simulation knows.
model = CoreModel(power="linear", target_bands=False, unmix=None)
channels = SambaTranslator(
    t_r=2.0,
    model=model,
    reader=Reader(channels="interpolate"),
    random_state=0,
)
sources = SambaTranslator(t_r=2.0, model=model, random_state=0)
channels.fit(home.raws[0], home.bolds[0])
sources.fit(parcels.transform(home.raws[0]), home.bolds[0])
clean = away.truth.clean_bolds[0][15:]
scores = {
    "channels,\ninterpolated": pearson(
        clean, channels.predict(away.raws[0])[15:]
    ),
    "parcels": pearson(
        clean, sources.predict(parcels.transform(away.raws[0]))[15:]
    ),
}
for name, values in scores.items():
    print(f"{' '.join(name.split()):24s} r = {values.mean():.2f}")

# %%
# A line per region.
fig, axis = plt.subplots(figsize=(3.2, 3.0), layout="constrained")
pairs = np.array(list(scores.values()))
axis.plot([0, 1], pairs, color="0.75", lw=0.8, zorder=1)
for i, color in enumerate(("#D55E00", "#0072B2")):
    axis.scatter(
        np.full(pairs.shape[1], i),
        pairs[i],
        color=color,
        s=14,
        zorder=2,
    )
    axis.hlines(
        pairs[i].mean(),
        i - 0.18,
        i + 0.18,
        color=color,
        lw=2.5,
        zorder=3,
    )
axis.axhline(0, color="0.6", lw=0.8)
axis.set_xticks([0, 1], list(scores))
axis.set(
    xlim=(-0.4, 1.4),
    ylabel="correlation with clean BOLD",
    title="Simulated: the other cap",
)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# What it cannot do
# -----------------
# - Sensors do not tell neighbouring parcels apart: power of a parcel is that of a region around it.
#   64 electrodes hold at most 63 signals, whatever the number of parcels.
# - Where one cap is all there is, unmixing needs no head and no atlas and finds more:
#   ``SambaModel(unmix="auto")``. It needs sources whose power changes, and fewer of them than
#   channels.
# - The sphere goes through the stated electrodes. Places of an ideal cap, all on one sphere, may be
#   off by more than a centimetre: digitised places, or those of a template head, carry further.
# - With a person's own MRI, pass the forward model: ``SourceParcels(atlas=labels, head=forward)``.
#
# ``benchmarks/sensors.py`` measures all of this, with ridge and oracles beside it. In a pipeline,
# parcels are chosen from training data alone:
# ``make_pipeline(SourceParcels(), SambaTranslator(t_r=2.0))``.
