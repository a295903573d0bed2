"""
Haemodynamic responses from a drive, and a Pipeline to BOLD
===========================================================

Data: **simulated** drive first, then a **semi-synthetic** recording: real EEG that ships with the
package, and BOLD that was made from its band power through known responses, plus noise with the
spectrum of real BOLD.
"""

# %%
# Responses from a known drive (simulated)
# ----------------------------------------
# Eight regions, ten minutes of neural drive at 10 Hz, as much noise as signal.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.signal import fftconvolve, lfilter
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from mne_samba import (
    FramewiseRegressor,
    LearnableHRF,
    Reader,
    WaveletBandAttention,
    make_windows,
    viz,
)
from mne_samba.datasets import (
    load_bold_rest,
    load_eeg_rest,
    simulate_bold,
)
from mne_samba.hrf import double_gamma, hrf_summary, unit_peak
from mne_samba.metrics import detrend, spearman
from mne_samba.model_selection import BlockedTimeSplit

rng = np.random.default_rng(0)
t_r, sfreq, minutes = 2.0, 10.0, 10
names = [f"region {i + 1}" for i in range(8)]
truth = np.tile([6.0, 14.0, 0.85, 0.9, 1.0, 0.3], (len(names), 1))
truth[:, 2] *= np.linspace(0.75, 1.3, len(names))
truth = unit_peak(truth)

n_times = int(minutes * 60 * sfreq)
spectrum = np.fft.rfft(rng.standard_normal((len(names), n_times)))
frequency = np.fft.rfftfreq(n_times, 1 / sfreq)
drive = np.fft.irfft(
    spectrum * ((frequency > 0.008) & (frequency < 0.12))
)
response = double_gamma(np.arange(0, 32, 1 / sfreq), truth)
clean = fftconvolve(drive, response, axes=1)[
    :, : n_times : int(t_r * sfreq)
]
noise = lfilter(
    [1], [1, -0.6], rng.standard_normal(clean.shape), axis=1
)
noise *= clean.std(axis=1, keepdims=True) / noise.std(
    axis=1, keepdims=True
)
bold = (clean + noise).T

# %%
# The response of every region is fitted with those of the others: a region with little signal leans
# on the group. ``n_bootstrap`` resamples blocks of time for intervals.
model = LearnableHRF(
    t_r=t_r,
    n_bootstrap=50,
    random_state=0,
    verbose=False,
    reader=Reader(sfreq=sfreq),
)
model.fit([drive], [pd.DataFrame(bold, columns=names)])
viz.plot_hrf(
    model,
    truth=truth,
    title="Simulated: 10 minutes, SNR 1",
    show=False,
)
plt.show()

# %%
peaks = hrf_summary(truth)["peak_time"]
low, high = (
    model.hrf_intervals_["peak_time_low"],
    model.hrf_intervals_["peak_time_high"],
)
print("region     truth   found   90 % interval")
for row in zip(
    names, peaks, model.hrf_peak_time_, low, high, strict=True
):
    print("{:9s} {:6.2f}  {:6.2f}   {:.2f} to {:.2f} s".format(*row))

# %%
# Deconvolution: from BOLD back to the drive
# ------------------------------------------
# Only the slow part of a drive comes back, because a response lasts seconds.
recovered = np.asarray(model.inverse_transform([bold])[0])
seconds = np.arange(n_times) / sfreq
fig, axes = plt.subplots(figsize=(6, 2.0), layout="constrained")
shown = slice(int(100 * sfreq), int(300 * sfreq))
for values, label, color in (
    (drive[3], "true drive", "0.6"),
    (recovered[3], "from BOLD", "#0072B2"),
):
    values = (values - values.mean()) / values.std()
    axes.plot(
        seconds[: len(values)][shown],
        values[shown],
        color=color,
        lw=1.2,
        label=label,
    )
axes.set(
    xlabel="time (s)",
    ylabel="drive (s.d.)",
    title=f"Simulated: {names[3]}",
)
axes.set_ylim(top=1.5 * axes.get_ylim()[1])
axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Real EEG, semi-synthetic BOLD
# -----------------------------
# BOLD of eight targets follows one channel and one band each; the noise has the spectrum of real
# resting BOLD.
raw, rest = load_eeg_rest(), load_bold_rest()
data = simulate_bold(
    raw,
    t_r=t_r,
    n_targets=8,
    snr=4.0,
    noise=rest.bold.to_numpy(),
    noise_t_r=rest.t_r,
    random_state=0,
)
epochs, y = make_windows(raw, data.bold, t_r=t_r, window=20.0)

# %%
# One Pipeline: attention over bands gives a drive per channel, responses and a map from channels to
# regions turn it into BOLD at frame times, ridge regression has the last word. It is fitted inside
# every training block, 30 s away from the frames it predicts.
pipeline = make_pipeline(
    WaveletBandAttention(t_r=t_r),
    LearnableHRF(
        t_r=t_r,
        sample_time_ref=0.5,
        verbose=False,
        reader=Reader(sfreq=2.0),
    ),
    FramewiseRegressor(Ridge()),
)
predicted = np.full_like(y, np.nan)
for train, test in BlockedTimeSplit(n_splits=4, gap=30.0).split(
    epochs
):
    predicted[test] = pipeline.fit(epochs[train], y[train]).predict(
        epochs[test]
    )

# %%
# Scores are per target over time. Three minutes of EEG are little: most of the recording is needed
# to learn from, and a single correlation over 80 frames scatters by 0.1 to 0.2 by chance.
measured, found = (
    y.reshape(-1, y.shape[-1]),
    predicted.reshape(-1, y.shape[-1]),
)
scores = spearman(detrend(measured, t_r), detrend(found, t_r))
shifts = [
    np.roll(found, shift, axis=0)
    for shift in range(20, len(found) - 20)
]
null = np.mean(
    [
        spearman(detrend(measured, t_r), detrend(s, t_r))
        for s in shifts
    ],
    axis=1,
)
print(
    f"Held-out Spearman correlation: {scores.mean():.2f}, mean of "
    f"{len(scores)} targets"
)
print(
    f"Circular shifts of the prediction: {null.mean():.2f}, up to "
    f"{null.max():.2f}"
)
viz.plot_scores(
    {"pipeline": scores},
    metric="Spearman correlation",
    title="Semi-synthetic: held-out blocks",
    show=False,
)
viz.plot_prediction(
    measured,
    found,
    t_r=t_r,
    target_names=data.target_names,
    title="Semi-synthetic: held-out blocks",
    show=False,
)
plt.show()

# %%
# The parts can be looked at, fitted to the whole recording.
# Attention over bands, per channel, as maps of the head, and responses with the interval of their
# time to peak.
attention = WaveletBandAttention(t_r=t_r).fit(epochs, y)
viz.plot_band_attention(
    attention,
    title="Semi-synthetic: attention over bands",
    show=False,
)
plt.show()

# %%
bands, channels = list(data.truth.band_edges), data.truth.channels
power = WaveletBandAttention(
    t_r=t_r, bands=dict(data.truth.band_edges)
).fit(raw, data.bold)
print(
    "band of the largest attention at the channel that drives each "
    "target:"
)
for channel, band in zip(channels, data.truth.bands, strict=True):
    row = power.band_attention_[power.ch_names_in_.index(channel)]
    print(
        f"  {channel:4s} true {band:6s} found "
        f"{list(power.bands_)[int(row.argmax())]}"
    )
responses = LearnableHRF(
    t_r=t_r,
    sample_time_ref=0.5,
    n_bootstrap=20,
    random_state=0,
    verbose=False,
    reader=Reader(sfreq=2.0),
)
responses.fit(
    power.transform([raw]),
    [pd.DataFrame(data.bold, columns=data.target_names)],
)
viz.plot_hrf(
    responses,
    truth=data.truth.hrf_params,
    title="Semi-synthetic: responses and truth",
    show=False,
)
plt.show()
