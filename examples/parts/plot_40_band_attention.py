"""
Which bands tell conditions apart?
==================================

``WaveletBandAttention`` before a classifier.

Data: **semi-synthetic**. The EEG is a real resting recording that ships with the package; during
half of its trials the alpha rhythm over the back of the head was turned down by hand, as visual
stimuli do it. The transformer has to find out where and in which band.
"""

# %%
# A real recording with planted trials
# ------------------------------------
# Trials of 4 s; in those called "picture", alpha of occipital and parietal channels loses a
# third of its amplitude. Everything else is left as it was recorded.
import matplotlib.pyplot as plt
import mne
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    StratifiedKFold,
    cross_val_predict,
    permutation_test_score,
)
from sklearn.pipeline import make_pipeline

from mne_samba import WaveletBandAttention, viz
from mne_samba.datasets import load_eeg_rest

raw = load_eeg_rest()
planted = ["O1", "O2", "P3", "P4", "Pz", "P7", "P8"]
length, sfreq = 4.0, raw.info["sfreq"]
n_trials = int(raw.times[-1] // length)
rng = np.random.default_rng(0)
labels = rng.permutation(np.arange(n_trials) % 2)

turned_down = np.repeat(labels == 1, int(length * sfreq))
turned_down = np.pad(turned_down, (0, raw.n_times - len(turned_down)))
alpha = (
    raw.copy().filter(8, 13, verbose="ERROR").get_data(picks=planted)
)
raw.apply_function(
    lambda data: data - turned_down * alpha / 3,
    picks=planted,
    channel_wise=False,
)
onsets = raw.first_samp + np.round(
    np.arange(n_trials) * length * sfreq
).astype(int)
events = np.column_stack(
    [onsets, np.zeros(n_trials, int), labels + 1]
)
epochs = mne.Epochs(
    raw,
    events,
    {"blank": 1, "picture": 2},
    tmin=0.0,
    tmax=length - 1 / sfreq,
    baseline=None,
    preload=True,
    verbose="ERROR",
)
y = np.where(epochs.events[:, 2] == 2, "picture", "blank")
print(epochs)

# %%
# A Pipeline that ends in a classifier
# ------------------------------------
# With ``output="features"`` every channel and band is a column of log power, weighted by attention,
# that any scikit-learn estimator takes. Attention is learnt inside each training fold. Folds are
# contiguous in time: neighbouring trials resemble each other, and must not be on both sides.
pipeline = make_pipeline(
    WaveletBandAttention(output="features"),
    LogisticRegression(C=0.1, max_iter=1000),
)
folds = StratifiedKFold(3, shuffle=False)
predicted = cross_val_predict(pipeline, epochs, y, cv=folds)
print(
    f"Held-out accuracy: {np.mean(predicted == y):.2f} (chance 0.50)"
)

# %%
# Chance is not exactly one half with few trials: labels are permuted and the whole pipeline is
# fitted again.
score, null, p = permutation_test_score(
    pipeline, epochs, y, cv=folds, n_permutations=19, random_state=0
)
# No permutation came close: so few of them allow no smaller p.
sign = "<=" if (null < score).all() else "="
print(
    f"Accuracy {score:.2f}; permuted labels {null.mean():.2f}; p "
    f"{sign} {p:.2f}"
)

# %%
# Where attention went
# --------------------
# One map of the head per band, fitted to all trials; each channel's attention sums to 1 over bands.
# Where a channel tells nothing, its attention means nothing: the gain says how strongly it tells
# conditions apart, and in which direction. Their product is drawn last.
attention = pipeline.fit(epochs, y)[0]
viz.plot_band_attention(
    attention,
    title="Semi-synthetic: attention over bands",
    show=False,
)
weights = attention.band_attention_ * attention.band_gain_
viz.plot_band_attention(
    weights,
    kind="weights",
    bands=attention.bands_,
    ch_names=attention.ch_names_in_,
    info=epochs.info,
    title="Semi-synthetic: attention x gain, picture against blank",
    show=False,
)
plt.show()

# %%
strength = weights[:, list(attention.bands_).index("alpha")]
strongest = [
    attention.ch_names_in_[index]
    for index in np.argsort(strength)[: len(planted)]
]
print("Most negative in alpha:", strongest)
print("Planted:               ", planted)

# %%
# Denoised signals
# ----------------
# The same attention, applied to the signal: bands that do not matter are turned down.
clean = attention.reconstruct(epochs)
channel = attention.ch_names_in_.index("O1")
fig, axes = plt.subplots(figsize=(6, 2.2), layout="constrained")
trial = int(np.flatnonzero(y == "blank")[3])
original = 1e6 * epochs[trial].get_data(picks=["O1"])[0, 0]
attended = 1e6 * np.asarray(clean[trial])[channel]
axes.plot(
    epochs.times, original, color="0.6", lw=0.8, label="recorded"
)
axes.plot(
    epochs.times,
    attended,
    color="#0072B2",
    lw=1.0,
    label="attended bands",
)
axes.set(
    xlabel="time (s)",
    ylabel="O1 (µV)",
    title="Semi-synthetic: a blank trial",
)
axes.set_ylim(top=1.4 * axes.get_ylim()[1])
axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
axes.spines[["top", "right"]].set_visible(False)
plt.show()
