"""
Incomplete data
===============

Recordings come with bad channels, with another cap, or without a modality. A model that was fitted
with ``Reader(channels="infer")`` predicts all the same, and says how much less it knows. And they
come with a heart, which drives BOLD as well.

Data: **simulated** (`mne_samba.datasets.simulate_paired`): sources of real regions seen by 32
electrodes, and two of them also by magnetometers, and a heart, so that the truth is known.
"""

# %%
# A quarter of the electrodes is bad
# ----------------------------------
import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd
from scipy.signal import fftconvolve
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from mne_samba import (
    BandPowerScreening,
    CoreModel,
    FramewiseRegressor,
    Reader,
    SambaTranslator,
)
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import modality_contributions
from mne_samba.metrics import pearson

data = simulate_paired(
    1,
    800.0,
    n_sources=16,
    n_targets=8,
    montage="biosemi32",
    sfreq=100.0,
    random_state=5,
)
raw, bold, clean = (
    data.raws[0],
    data.bolds[0],
    data.truth.clean_bolds[0],
)
n_train = 270
train = raw.copy().crop(0, n_train * data.t_r, include_tmax=False)


def fit(channels, unmix):
    """Fit the core; ``channels``: what is done about missing ones."""
    model = CoreModel(unmix=unmix, power="linear", target_bands=False)
    reader = Reader(channels=channels)
    translator = SambaTranslator(
        t_r=data.t_r, model=model, reader=reader, random_state=0
    )
    return translator.fit(train, bold[:n_train])


def score(frames):
    """Correlation with clean BOLD that training has not seen."""
    return pearson(
        clean[n_train + 15 :], frames[n_train + 15 :]
    ).mean()


lost = raw.copy()
lost.info["bads"] = list(
    np.random.default_rng(0).choice(raw.ch_names, 8, replace=False)
)
infers = fit("infer", "joint")
pd.Series(
    {
        "all channels": score(infers.predict(raw)),
        "inferred": score(infers.predict(lost)),
        "spherical splines": score(
            infers.predict(
                lost.copy().interpolate_bads(verbose="ERROR")
            )
        ),
    },
    name="r with held-out clean BOLD",
).round(2)

# %%
# Splines know places of electrodes; the fit knows how they went together in training. With
# ``Reader(channels="match")`` nothing is learnt for it: the power of what is missing is taken at
# its mean (of unmixed channels, as here, the signal: silence), and a warning says so.
#
# The less there is, the wider intervals are
# ------------------------------------------
widths, kept = [], (32, 16, 8, 4)
order = np.random.default_rng(1).permutation(raw.ch_names)
for n in kept:
    some = raw.copy().pick(list(order[:n]))
    frames, std = infers.predict(some, return_std=True)
    widths.append(
        {
            "electrodes": n,
            "r": score(frames),
            "std": (std / infers.y_scale_).mean(),
        }
    )
widths = pd.DataFrame(widths).set_index("electrodes")
widths.round(2)

# %%
fig, ax = plt.subplots(layout="constrained", figsize=(5, 3))
ax.plot(
    widths.index,
    widths["r"],
    "o-",
    label="correlation with clean BOLD",
)
ax.plot(
    widths.index,
    widths["std"],
    "s--",
    label="standard deviation of measured BOLD",
)
ax.set(xscale="log", xlabel="electrodes that are left")
ax.set_xticks(kept, map(str, kept), minor=False)
_ = ax.legend()

# %%
# A modality is missing
# ---------------------
# Types of channels are modalities: any mix of EEG, MEG, iEEG and parcels may come, and any part of
# what the fit saw may be missing. A type that no fit has seen is refused by name.
signal = raw.get_data()
sources = np.linalg.pinv(data.truth.gain) @ signal
meg = 1e-7 * sources[:2] + 1e-8 * sources[
    :2
].std() * np.random.default_rng(2).standard_normal((2, raw.n_times))
both = raw.copy().load_data()
info = mne.create_info(
    ["MEG 001", "MEG 002"], raw.info["sfreq"], "mag"
)
both.add_channels(
    [mne.io.RawArray(meg, info, verbose="ERROR")],
    force_update_info=True,
)
train = both.copy().crop(0, n_train * data.t_r, include_tmax=False)
model = fit("infer", unmix=None)
for kinds in (["eeg", "mag"], ["eeg"], ["mag"]):
    print(
        f"{' and '.join(kinds)}: r = "
        f"{score(model.predict(both.copy().pick(kinds))):.2f}"
    )

# %%
# How much each brings, on frames that the fit has not seen: Shapley values add up to the score, and
# what both show is shared between them.
test = both.copy().crop(n_train * data.t_r)
modality_contributions(model, test, bold[n_train:]).table.round(3)

# %%
# A heart that drives BOLD, and EEG with it
# -----------------------------------------
# Physiology drives BOLD, too, and leaves traces in EEG. Here half of the regions follow the heart,
# and so does the power of a muscle that electrodes see. Where the reader names the channel, heart
# rate becomes a drive with responses of its own, which are fitted first.
rng = np.random.default_rng(4)
sfreq, times = raw.info["sfreq"], raw.times
slow = rng.standard_normal(int(times[-1]) + 40)
slow = np.convolve(slow, np.hanning(12), "same")
rate = np.interp(times, np.arange(len(slow)) - 20, slow / slow.std())
phase = np.cumsum(65 + 6 * rate) / 60 / sfreq
beats = np.flatnonzero(np.diff(np.floor(phase)))
ecg = np.zeros((1, raw.n_times))
ecg[0, beats[:, np.newaxis] + np.arange(3)] = [2e-4, 1e-3, 2e-4]
muscle = np.exp(rate / 2) * rng.standard_normal(raw.n_times)
eeg = raw.get_data()
eeg += 0.3 * np.median(eeg.std(axis=1)) * muscle / muscle.std()
info = mne.create_info(["ECG"], sfreq, "ecg")
body = mne.io.RawArray(eeg, raw.info, verbose="ERROR")
beside = mne.io.RawArray(ecg, info, verbose="ERROR")
body.add_channels([beside], force_update_info=True)

lags = np.arange(0, 30, 1 / sfreq)  # of a cardiac response, its peak
response = lags**2.7 * np.exp(-lags / 1.6)
heart = fftconvolve(rate, response)[: raw.n_times]
heart = heart[:: round(sfreq * data.t_r)][: len(bold)]
heart = (heart - heart.mean()) / heart.std()
driven = np.array(bold)
driven[:, :4] += driven[:, :4].std(axis=0) * heart[:, np.newaxis]
train, test = body.copy(), body.copy().crop(n_train * data.t_r)
train.crop(0, n_train * data.t_r, include_tmax=False)


def fit_beside(physiology):
    """Fit the linear core, and what the reader names beside it."""
    core = CoreModel(power="linear", target_bands=False, unmix=None)
    reader = Reader(physiology=physiology)
    translator = SambaTranslator(
        t_r=data.t_r, model=core, reader=reader, random_state=0
    )
    return translator.fit(train, driven[:n_train])


eeg_alone, with_heart = fit_beside(None), fit_beside("ecg")
rows = {}
for name, fitted in (("no", eeg_alone), ("yes", with_heart)):
    frames = fitted.predict(test)[15:]
    r = pearson(driven[n_train + 15 :], frames)
    rows[name] = {"heart, too": r[:4].mean(), "EEG": r[4:].mean()}
table = pd.DataFrame(rows).round(2)
table.rename_axis("driven by", axis=0).rename_axis(
    "heart known", axis=1
)

# %%
# What both could explain is the heart's: the share of EEG is what it adds. Below zero, predictions
# were worse than none.
measured, found = driven[n_train:], with_heart.physiology_
split = modality_contributions(
    with_heart, test, measured, metric="r2"
)
fig, axes = plt.subplots(1, 2, layout="constrained", figsize=(8, 3))
lines = axes[0].plot(found.hrf_times, found.hrf[:, 0].T, color="0.7")
for line in lines[:4]:
    line.set_color("C3")
axes[0].set(xlabel="seconds", ylabel="response to heart rate")
axes[0].legend([lines[0], lines[4]], ["driven by it", "others"])
shares = split.targets.set_axis(["EEG", "heart"], axis=1)
shares.index = pd.RangeIndex(1, 9, name="region")
shares.plot.bar(stacked=True, ax=axes[1], color=["C0", "C3"], rot=0)
axes[1].set(ylabel="share of held-out variance")
_ = axes[1].legend()

# %%
# `mne_samba.io.add_physiology` adds columns of a table, such as motion, to a recording;
# `mne_samba.evaluation.unique_variance` tests what EEG adds to all of it.
#
# Features that have nothing to do with BOLD
# ------------------------------------------
# Screening before a regression keeps what passes a corrected test, also where BOLD goes up at both
# ends of a feature. Here 160 features, of which the first four matter.
rng = np.random.default_rng(0)
X = rng.standard_normal((900, 160))
y = (
    (X[:, :2] ** 2).sum(axis=1)
    + X[:, 2:4].sum(axis=1)
    + 2 * rng.standard_normal(900)
)
for statistic in ("pearson", "mutual_info"):
    screening = BandPowerScreening(statistic, random_state=0).fit(
        X, y
    )
    print(
        f"{statistic}: features "
        f"{screening.get_support(indices=True)} pass"
    )

# %%
# In a Pipeline, `FramewiseRegressor` tells it which frames are of one recording:
steps = make_pipeline(
    BandPowerScreening("mutual_info", random_state=0), Ridge()
)
FramewiseRegressor(steps).fit(
    [X[:450], X[450:]], [y[:450, None], y[450:, None]]
)

# %%
# ``benchmarks/as_they_come.py`` prints all of this for many seeds, with intervals.
