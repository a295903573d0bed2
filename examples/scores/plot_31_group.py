"""
From people to a group
======================

Data: **simulated**. Scores of people become a statement about the group: where on the brain, how
many people carry it, and whether a single one decides.
"""

# %%
# Eight people
# ------------
# Everybody is predicted by a ridge regression on the band power of the others, at a low
# signal-to-noise ratio.
import matplotlib.pyplot as plt
import numpy as np

from mne_samba import viz
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import evaluate, group_test

data = simulate_paired(
    8,
    300.0,
    n_sources=6,
    n_targets=12,
    level="source",
    shared_coupling=0.5,
    snr=0.15,
    random_state=4,
)
result = evaluate(
    BandPowerRidge(t_r=data.t_r),
    data.raws,
    data.bolds,
    groups=data.subjects,
    baselines=(),
    nulls=("circular_shift",),
    target_names=data.target_names,
    random_state=0,
)

# %%
# The group
# ---------
# People change the signs of their scores, all regions together. ``p_max`` is corrected over regions
# by the largest t. Models of people share their training data, which t and intervals allow for.
group = group_test(result)
print(group.verdict)

# %%
# People as dots
# --------------
# Filled: above chance by their own circular shifts. Below: black where a region passes.
viz.plot_group_people(group, title="Simulated", show=False)
plt.show()

# %%
# Where
# -----
# Regions that pass are large. With a label image, in a volume or on a surface, parcels are coloured
# instead.
viz.plot_group_map(
    group, data.target_coords, title="Simulated", show=False
)
plt.show()

# %%
# Clusters
# --------
# Neighbours lend each other support. Here, regions within 60 mm are neighbours;
# ``parcel_adjacency(atlas)`` reads them from a label image.
distance = np.linalg.norm(
    data.target_coords[:, None] - data.target_coords, axis=-1
)
clusters = group_test(result, adjacency=distance < 60, threshold=0.05)
clusters.clusters_.drop(columns="targets").round(3)

# %%
# Who carries it
# --------------
# ``p`` is each person's own; ``p_without`` is that of the group without them.
group.people_.round(3)

# %%
# How many of all people would be above chance by themselves?
group.prevalence()

# %%
# No effect
# ---------
# BOLD of other people: nothing may be left.
nobody = evaluate(
    BandPowerRidge(t_r=data.t_r),
    data.raws,
    data.bolds[3:] + data.bolds[:3],
    groups=data.subjects,
    baselines=(),
    nulls=("circular_shift",),
    random_state=0,
)
print(group_test(nobody).verdict)
