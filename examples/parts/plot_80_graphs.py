"""
Graphs, maps and what a prediction rests on
===========================================

Data: **simulated**. Which sources drive which region, how sources and regions are connected, and
which channels, bands and moments a prediction rests on.
"""

# %%
# A fitted translator
# -------------------
# Graph attention and recurrence are kept here whatever they bring (``corrections="always"``), to
# have something to look at; the default keeps them where held-out blocks of the training data
# confirm them.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mne_samba import SambaModel, SambaTranslator, Trainer, viz
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import attribute

data = simulate_paired(
    2,
    600.0,
    n_sources=20,
    n_targets=16,
    level="source",
    snr=4.0,
    random_state=0,
)
bolds = [
    pd.DataFrame(bold, columns=data.target_names)
    for bold in data.bolds
]
translator = SambaTranslator(
    t_r=data.t_r,
    model=SambaModel(corrections="always"),
    trainer=Trainer(max_epochs=5),
    random_state=0,
).fit(data.raws, bolds)
viz.plot_history(
    translator,
    title="Simulated: training of the corrections",
    show=False,
)
plt.show()

# %%
# From sources to regions
# -----------------------
# The effective map, with sources and regions put together by network, and its strongest entries on
# the glass brain.
viz.plot_graph(
    translator,
    kind="bipartite",
    networks=data.target_networks,
    coords=data.target_coords,
    source_networks=data.source_networks,
    source_coords=data.source_coords,
    title="Simulated: effective map",
    show=False,
)
plt.show()

# %%
found, truth = translator.spatial_map_, data.truth.spatial_map
print(
    "Correlation with the true map: "
    f"{np.corrcoef(found.ravel(), truth.ravel())[0, 1]:.2f}"
)

# %%
# Between sources
# ---------------
# Neighbours come from correlations of band power, in training data only; attention along these
# edges is trained, and drawn here as its mean over heads and time. It says who listens to whom; it
# is no measure of connectivity by itself. ``SambaModel(graph="partial_correlation")``,
# ``"mutual_information"`` or ``"distance"`` choose other neighbours, ``"learnt"`` trains the edges
# themselves.
viz.plot_graph(
    translator,
    kind="source",
    networks=data.source_networks,
    coords=data.source_coords,
    title="Simulated: attention between sources",
    show=False,
)
plt.show()

# %%
# Patterns
# --------
# Weights also cancel noise; activation patterns say which band power goes with a region (Haufe et
# al. 2014).
viz.plot_patterns(
    translator,
    targets=data.target_names[:2],
    networks=data.source_networks,
    title="Simulated: activation patterns",
    show=False,
)
plt.show()

# %%
# What a prediction rests on
# --------------------------
# Gradients over channel, band and lag, averaged over noisy copies of the input (SmoothGrad), for
# one region: the lags follow its response, the sources its map.
target = 0
gradient = attribute(
    translator,
    data.raws,
    targets=[target],
    n_samples=8,
    random_state=0,
)[0]
lags = (
    (np.arange(gradient.shape[-1]) + 0.5) * 30.0 / gradient.shape[-1]
)  # of a response
viz.plot_attribution(
    gradient,
    lags=lags,
    bands=translator.bands_,
    ch_names=data.source_names,
    networks=data.source_networks,
    unit="gradient",
    title=f"Simulated: {data.target_names[target]}",
    show=False,
)
plt.show()

# %%
# The check of sanity: with shuffled weights the attribution must fall apart.
shuffled = attribute(
    translator,
    data.raws,
    targets=[target],
    n_samples=8,
    randomise=True,
    random_state=0,
)[0]
size = (
    np.abs(gradient).sum(axis=(1, 2)),
    np.abs(shuffled).sum(axis=(1, 2)),
)
drives = np.flatnonzero(truth[target] > 0)
for name, values in zip(("fitted", "shuffled"), size, strict=True):
    top = np.argsort(values)[::-1][: len(drives)]
    share = np.isin(top, drives).mean()
    print(
        f"{name}: {share:.0%} of the true sources are among the "
        f"{len(drives)} strongest"
    )
