"""
From raw files to windows
=========================

Data: **semi-synthetic**. The EEG is a real recording that ships with the package; its BOLD and its
scanner triggers were made from it. This is where most analyses go wrong silently, so every step is
checked.
"""

# %%
# The recording and BOLD
# ----------------------
# ``mne.io.read_raw`` reads your file (``.vhdr``, ``.edf``, ``.set``, ``.fif``); BOLD comes from a
# nilearn masker. The scan starts 4.2 s after the EEG here, and two dummy volumes were dropped from
# BOLD. (A BIDS folder needs none of this: :func:`mne_samba.io.read_bids_pair`.)
import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd

from mne_samba import Reader, make_windows
from mne_samba.datasets import load_eeg_rest, simulate_bold
from mne_samba.windows import frame_times

raw = load_eeg_rest()
first_volume, n_dummy, t_r = 4.2, 2, 2.0
scanned = raw.copy().crop(first_volume + n_dummy * t_r, None)
bold = simulate_bold(scanned, t_r=t_r, n_targets=6, random_state=0)
table = pd.DataFrame(bold.bold, columns=bold.target_names)
print(raw)
print("BOLD:", table.shape)

# %%
# Triggers of the scanner
# -----------------------
# One marker per volume, dummy scans included.
onsets = first_volume + t_r * np.arange(n_dummy + len(table))
raw.set_annotations(mne.Annotations(onsets, 0.0, "R128"))
times = frame_times(
    raw, len(table), t_r=t_r, n_dummy=n_dummy, volume_event="R128"
)
print(
    "The first frames were acquired at",
    times[:3],
    "s of the recording",
)

# %%
# Windows
# -------
# An epoch is 30 s of history followed by 20 s of signal whose time 0 is the first frame.
reader = Reader(n_dummy=n_dummy, volume_event="R128")
epochs, y = make_windows(
    raw, table, t_r=t_r, window=20.0, subject="01", reader=reader
)
print(
    "Epochs:",
    len(epochs),
    "from",
    epochs.tmin,
    "to",
    round(epochs.tmax, 3),
    "s",
)
print("y (windows, frames, regions):", y.shape)
epochs.metadata

# %%
# What shares what
# ----------------
# Windows are self-contained, but neighbours share history. Cross-validation must know, and
# :class:`~mne_samba.model_selection.BlockedTimeSplit` reads the metadata.
fig, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
for row, onset in enumerate(epochs.metadata["onset"]):
    history = axes.barh(
        row, 30, left=onset - 30, height=0.7, color="0.8"
    )
    window = axes.barh(
        row, 20, left=onset, height=0.7, color="#0072B2"
    )
marks = axes.plot(
    times, np.full(len(times), -1.0), "|", color="0.2", ms=4
)
axes.legend(
    [history, window, marks[0]],
    ["history", "window", "frame"],
    frameon=False,
    fontsize=8,
)
axes.set(
    xlabel="time in the recording (s)",
    ylabel="window",
    ylim=(-1.7, None),
)
axes.set_title("Where windows lie", fontsize=10)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# One window: signal above, the BOLD of one region below, on the same clock.
fig, axes = plt.subplots(
    2, 1, figsize=(6, 3.4), sharex=True, layout="constrained"
)
name = bold.truth.channels[0]
axes[0].plot(
    epochs.times,
    1e6 * epochs[2].get_data(picks=[name])[0, 0],
    lw=0.4,
    color="0.3",
)
axes[0].axvspan(-30, 0, color="0.9", zorder=0)
axes[0].set(
    ylabel=f"{name} (µV)",
    title="Real EEG, history in grey; semi-synthetic BOLD",
)
axes[1].plot(
    np.arange(y.shape[1]) * t_r,
    y[2, :, 0],
    "o-",
    color="#D55E00",
    ms=4,
)
axes[1].set(
    xlabel="time from the first frame (s)",
    ylabel=f"{bold.target_names[0]}\nBOLD (a.u.)",
)
for panel in axes:
    panel.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# A lost trigger is found
# -----------------------
# Nothing is guessed: the message says which volume, and when.
broken = raw.copy().set_annotations(
    mne.Annotations(np.delete(onsets, 17), 0.0, "R128")
)
try:
    make_windows(broken, table, t_r=t_r, reader=reader)
except ValueError as error:
    print(error)

# %%
# Scrubbed frames
# ---------------
# Frames with head motion become rows of NaN: they stay in place, and count in no loss or score.
scrubbed = table.copy()
scrubbed.iloc[30:33] = np.nan
epochs, y = make_windows(
    raw, scrubbed, t_r=t_r, window=20.0, reader=reader
)
print("Scrubbed frames per window:", np.isnan(y[..., 0]).sum(axis=1))
