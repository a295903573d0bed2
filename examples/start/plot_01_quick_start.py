"""
Quick start: predict BOLD from electrophysiology
================================================

Data: **simulated**. Three people are simulated with a known coupling between source time courses
and BOLD. A translator learns from two of them and predicts the third.
"""

# %%
# Data
# ----
# Places of regions are real, signals are not. ``raws`` are MNE recordings, ``bolds`` what a nilearn
# masker returns: frames by regions. With your own data, put them here.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mne_samba import SambaTranslator, viz
from mne_samba.datasets import simulate_paired

data = simulate_paired(
    3,
    600.0,
    n_sources=12,
    n_targets=16,
    level="source",
    snr=1.0,
    random_state=0,
)
print(data.raws[0])
print(
    "BOLD (frames, regions):",
    data.bolds[0].shape,
    "every",
    data.t_r,
    "s",
)

# %%
# Fit on two people
# -----------------
# Whole recordings go in as a list. Band power, attention over bands, the map from sources to
# regions and a haemodynamic response per region are fitted together. ``model="core"`` stays with
# this linear core; the default adds graph attention and recurrence where held-out blocks of the
# training data confirm them.
translator = SambaTranslator(
    t_r=data.t_r, model="core", random_state=0
)
bolds = [
    pd.DataFrame(bold, columns=data.target_names)
    for bold in data.bolds
]
translator.fit(data.raws[:2], bolds[:2])
translator

# %%
# Predict the third
# -----------------
# Scores are correlations over time, one per region. The noise of this simulation has the variance
# of its signal, so even a perfect prediction reaches about 0.7 with measured BOLD.
predicted = translator.predict(data.raws[2])
scores = translator.score_targets([data.raws[2]], [data.bolds[2]])
print(
    f"Spearman correlation in an unseen person: {scores.mean():.2f} "
    f"(mean of {len(scores)} regions)"
)
viz.plot_prediction(
    data.bolds[2],
    predicted,
    t_r=data.t_r,
    target_names=data.target_names,
    title="Simulated: an unseen person",
    show=False,
)
plt.show()

# %%
# What was learnt
# ---------------
# Responses with the truth of the simulation, and the weight of every band of every source, negative
# where BOLD falls as power rises.
viz.plot_hrf(
    translator,
    truth=data.truth.hrf_params,
    title="Simulated: responses",
    show=False,
)
viz.plot_band_attention(
    translator,
    kind="weights",
    networks=data.source_networks,
    title="Simulated: band weights",
    show=False,
)
plt.show()

# %%
error = np.abs(translator.hrf_peak_time_ - data.truth.hrf_peak_time)
print(f"Error of the time to peak: {error.mean():.2f} s on average")

# %%
# Next: :ref:`sphx_glr_auto_examples_start_plot_20_raw_to_windows.py` for your own files, and
# :ref:`sphx_glr_auto_examples_scores_plot_30_cross_subject.py` for scores that can be trusted.
