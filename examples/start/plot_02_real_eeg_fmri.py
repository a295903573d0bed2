"""
Real EEG-fMRI: sleep
====================

Data: **real**. Simultaneous EEG and fMRI of people during naps (OpenNeuro ds003574, CC0; ships with
the package). Each person is predicted by models of the others. There is band power per scan,
not raw EEG, and log odds of five states that a decoder saw in fMRI volumes, not BOLD of regions:
neither wavelets nor maps over channels are tried here.
"""

# %%
# Band power is input
# -------------------
# Power comes as one array ``(n_channels, n_bands, n_times)`` per recording; ``Precomputed`` says
# what its numbers are. There is one value per volume, and a volume is complete when the power of
# its scan is: ``slice_time_ref=1``. Five of 15 people keep this page quick.
import matplotlib.pyplot as plt
import numpy as np

from mne_samba import Reader, SambaTranslator, viz
from mne_samba.datasets import load_eeg_fmri_sleep
from mne_samba.evaluation import evaluate
from mne_samba.models import CoreModel
from mne_samba.wavelets import Precomputed

data = load_eeg_fmri_sleep()
print(data.DESCR)
people = 5
power, states = data.power[:people], data.states[:people]

fig, axes = plt.subplots(
    2, 1, figsize=(6, 3), sharex=True, layout="constrained"
)
minutes = np.arange(len(states[0])) * data.t_r / 60
for band in ("SW", "alpha"):
    axes[0].plot(
        minutes,
        power[0][0, data.bands.index(band)],
        lw=0.5,
        label=band,
    )
axes[1].plot(minutes, states[0]["rest"], lw=0.5, color="0.3")
axes[0].set(ylabel="log power", title="Real: one person")
axes[0].legend(
    frameon=False,
    ncols=2,
    loc="lower right",
    bbox_to_anchor=(1, 1),
    borderaxespad=0,
)
axes[1].set(ylabel="rest (log odds)", xlabel="time (min)")
plt.show()

# %%
# Leave each person out
# ---------------------
# Beside the model stand ridge regression on the same power, time alone (slow cosines, which know
# nothing of EEG), and circular shifts. Slow drift is removed from both sides: with it left in,
# correlations are several times as high, and so are those of time alone and of shifts.
reader = Reader(sfreq=data.sfreq, slice_time_ref=data.slice_time_ref)
model = CoreModel(bands=Precomputed("log", data.bands))
translator = SambaTranslator(
    t_r=data.t_r, model=model, reader=reader, random_state=0
)
result = evaluate(
    translator,
    power,
    states,
    groups=data.subjects[:people],
    metrics="pearson",
    nulls=("circular_shift",),
    n_shifts=199,
    random_state=0,
)
print(result.summary()[["mean", "ci_low", "ci_high", "p"]].round(3))
viz.plot_scores(result, title="Real: people who were left out")

# %%
# The response that was learnt
# ----------------------------
# A decoder's output is not BOLD: its responses need not look like those of a region.
translator.fit(power, states)
viz.plot_hrf(translator)
