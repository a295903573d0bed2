"""
Choosing a model, and how much to record
========================================

Data: **simulated**. Three models get the same windows of one person, at rising amounts of training
data: what should you use, and would more minutes help?
"""

# %%
# One person, sixteen minutes
# ---------------------------
import matplotlib.pyplot as plt

from mne_samba import SambaTranslator, make_windows, viz
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import learning_curve_minutes
from mne_samba.model_selection import BlockedTimeSplit

data = simulate_paired(
    1,
    1000.0,
    n_sources=8,
    n_targets=12,
    level="source",
    snr=1.0,
    random_state=0,
)
epochs, y = make_windows(
    data.raws[0], data.bolds[0], t_r=data.t_r, window=20.0
)
models = {
    "translator, linear core": SambaTranslator(
        t_r=data.t_r, model="core", random_state=0
    ),
    "ridge, canonical": BandPowerRidge(t_r=data.t_r),
    "ridge, FIR": BandPowerRidge(t_r=data.t_r, hrf="fir"),
}

# %%
# Scores against minutes
# ----------------------
# The same held-out blocks score every length, 30 s away from training frames.
curves = {
    name: learning_curve_minutes(
        model,
        epochs,
        y,
        minutes=(2, 4, 7),
        cv=BlockedTimeSplit(n_splits=2),
        verbose="ERROR",
    )
    for name, model in models.items()
}
for name, curve in curves.items():
    table = curve.to_frame()
    shown = ", ".join(
        f"{row.minutes:.0f} min {row.mean:.2f}"
        for row in table.itertuples(index=False)
    )
    print(f"{name:24s} {shown}")

# %%
# One row per length, one column per held-out block.
minutes = curves["ridge, FIR"].to_frame()["minutes"]
scores = {
    name: curve.scores_.groupby(["asked", "fold"])["score"]
    .mean()
    .unstack()
    for name, curve in curves.items()
}
viz.plot_learning_curve(
    minutes,
    scores,
    title="Simulated: one person, held-out blocks",
    show=False,
)
plt.show()

# %%
# Would more minutes help?
# ------------------------
# Look at what the last minutes added. A few points do not tell how far it
# goes on rising.
for name, curve in curves.items():
    gain, low, high = curve.last_gain()
    print(
        f"{name}: {gain:+.2f} by the last step (95 % interval "
        f"{low:+.2f} to {high:+.2f})"
    )

# %%
# Which one?
# ----------
# - Nothing beats :class:`~mne_samba.baselines.BandPowerRidge` in your data: use it.
# - You have the drive already (calcium, a task, one band of one source):
#   :class:`~mne_samba.LearnableHRF`, see
#   :ref:`sphx_glr_auto_examples_parts_plot_45_learnable_hrf.py`.
# - You want features for a classifier or a regressor of your own:
#   :class:`~mne_samba.WaveletBandAttention`, see
#   :ref:`sphx_glr_auto_examples_parts_plot_40_band_attention.py`.
# - You want predictions together with maps, bands and responses to look at:
#   :class:`~mne_samba.SambaTranslator`.
#
# :doc:`/choosing` has the chart.
