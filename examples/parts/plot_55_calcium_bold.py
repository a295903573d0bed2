"""
A real recording of neural activity and BOLD
============================================

Data: **real**. Calcium of neurons and one BOLD time course, measured together in an animal during
stimulation (rsHRF toolbox, Wu et al. 2021, which does not name its species; ships with the
package). The response is learnt on one half and predicts the other.
"""

# %%
# The recording
# -------------
# Animal responses are faster than human ones: ``bounds="fast"``. The file gives the *ends* of
# volumes, so ``slice_time_ref=1``. Taking them for middles would move the peak by 0.75 s.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mne_samba import LearnableHRF, Reader, viz
from mne_samba.datasets import load_calcium_bold
from mne_samba.metrics import detrend, pearson

data = load_calcium_bold()
print(data.DESCR)

fig, axes = plt.subplots(
    2, 1, figsize=(6, 3), sharex=True, layout="constrained"
)
seconds = np.arange(len(data.calcium)) / data.sfreq
axes[0].plot(seconds, data.calcium, lw=0.4, color="#009E73")
axes[1].plot(data.bold_times, data.bold, lw=0.8, color="0.3")
axes[0].set(
    ylabel="calcium (a.u.)",
    xlim=(0, 300),
    title="Real: stimulation in grey",
)
axes[1].set(ylabel="BOLD (a.u.)", xlabel="time (s)")
for panel in axes:
    for stimulus in data.stimuli.itertuples():
        panel.axvspan(
            stimulus.onset,
            stimulus.onset + stimulus.duration,
            color="0.9",
            zorder=0,
        )
    panel.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Learn on one half, predict the other
# ------------------------------------
# Each half is detrended by a line on its own, and not filtered. Frames without 20 s of history in
# their half are not scored. Beside six parameters stand a free response (FIR) and Glover's, with a
# fitted amplitude.
n_frames, per_frame = len(data.bold), round(data.t_r * data.sfreq)
halves = [slice(0, n_frames // 2), slice(n_frames // 2, n_frames)]
history = int(np.ceil(20.0 / data.t_r))
reader = Reader(
    sfreq=data.sfreq, slice_time_ref=1.0, detrend="linear"
)
common = {
    "t_r": data.t_r,
    "reader": reader,
    "hrf_length": 20.0,
    "verbose": False,
}
models = {
    "learnt response": LearnableHRF(**common, hrf_bounds="fast"),
    "free response (FIR)": LearnableHRF(hrf="fir", **common),
    "fixed Glover response": LearnableHRF(hrf="canonical", **common),
}


def drive(part):
    """Cut the calcium of some frames."""
    return [
        data.calcium[
            np.newaxis, part.start * per_frame : part.stop * per_frame
        ]
    ]


rows = []
measured = np.full(data.bold.shape, np.nan)
predictions = {name: measured.copy() for name in models}
for train, test in (halves, halves[::-1]):
    scored = slice(test.start + history, test.stop)
    measured[scored] = detrend(data.bold[test], data.t_r, "linear")[
        history:
    ]
    for name, model in models.items():
        found = model.fit(drive(train), [data.bold[train]]).predict(
            drive(test)
        )[0]
        predictions[name][scored] = detrend(
            found, data.t_r, "linear"
        )[history:]
        rows.append(
            {
                "model": name,
                "learnt on": "first half"
                if train is halves[0]
                else "second half",
                "r with the other half": pearson(
                    measured[scored], predictions[name][scored]
                )[0],
                "time to peak (s)": model.hrf_peak_time_[0],
            }
        )
pd.DataFrame(rows).sort_values("model", ascending=False).round(2)

# %%
viz.plot_prediction(
    measured,
    predictions,
    t_r=data.t_r,
    target_names=["BOLD (real)"],
    title="Real: each half predicted by the response of the other",
    show=False,
)
plt.show()

# %%
# The response of the whole recording
# -----------------------------------
# With its interval, from blocks of time that are drawn again.
whole = LearnableHRF(
    n_bootstrap=100, random_state=0, **common, hrf_bounds="fast"
)
whole.fit(
    [data.calcium[np.newaxis]],
    [pd.DataFrame(data.bold, columns=["BOLD"])],
)
print(whole.hrf_intervals_.round(2).T)
viz.plot_hrf(
    whole, title="Real: response of BOLD to calcium", show=False
)
plt.show()

# %%
# The interval of the undershoot begins at zero: there may be none here, and a small late shoulder
# stands in its place.
#
# Blocks of stimulation repeat once a minute, so both halves show the same response to the same
# stimulus: a good prediction here says that the shape is right, not that spontaneous activity is
# predicted as well.
