"""
Responses by region and by condition
====================================

Data: **simulated**. A response differs between regions, and may differ between conditions. Planted
differences are found, and absent ones are not.
"""

# %%
# Responses by region
# -------------------
# Two people, fitted together. Times to peak lie on the brain, and responses are drawn by network.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.signal import fftconvolve, lfilter

from mne_samba import (
    LearnableHRF,
    Reader,
    SambaTranslator,
    compare_hrfs,
    viz,
)
from mne_samba.datasets import simulate_paired
from mne_samba.hrf import double_gamma, hrf_summary, unit_peak

data = simulate_paired(
    2,
    900.0,
    n_sources=12,
    n_targets=24,
    level="source",
    snr=2.0,
    random_state=3,
)
translator = SambaTranslator(
    t_r=data.t_r, model="core", random_state=0
)
translator.fit(data.raws, data.bolds)
viz.plot_hrf_map(
    translator,
    data.target_coords,
    title="Simulated: time to peak",
    show=False,
)
viz.plot_hrf(
    translator,
    networks=data.target_networks,
    title="Simulated: responses",
    show=False,
)
plt.show()

# %%
found, truth = translator.hrf_peak_time_, data.truth.hrf_peak_time
fig, axes = plt.subplots(figsize=(3, 3), layout="constrained")
axes.plot(truth, found, "o", color="#0072B2", ms=4, alpha=0.8)
limits = [truth.min() - 0.3, truth.max() + 0.3]
axes.plot(limits, limits, color="0.6", lw=0.8, zorder=0)
axes.set(
    xlabel="true time to peak (s)", ylabel="found (s)", aspect="equal"
)
axes.set_title(
    f"Simulated: r = {np.corrcoef(truth, found)[0, 1]:.2f}",
    fontsize=10,
)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Two conditions
# --------------
# Eight regions. In the second condition, the response of the first three is later and wider; those
# of the other five are the same. Its amplitude is another in all of them, which must not matter.
t_r, sfreq, n_regions, n_late = 2.0, 10.0, 8, 3
regions = [f"region {i + 1}" for i in range(n_regions)]
base = np.tile(
    unit_peak(np.array([6.0, 14.0, 0.85, 0.9, 1.0, 0.3])),
    (n_regions, 1),
)
later = base.copy()
later[:n_late, 2] *= 1.25
later[:n_late, 3] *= 1.1


def fit(params, seed, minutes=12, snr=2.0, gain=1.0):
    """Simulate one condition and learn its responses."""
    rng = np.random.default_rng(seed)
    n_times = int(minutes * 60 * sfreq)
    spectrum = np.fft.rfft(rng.standard_normal((n_regions, n_times)))
    frequency = np.fft.rfftfreq(n_times, 1 / sfreq)
    drive = np.fft.irfft(
        spectrum * ((frequency > 0.008) & (frequency < 0.12))
    )
    kernels = double_gamma(np.arange(0, 32, 1 / sfreq), params)
    clean = fftconvolve(drive, kernels, axes=1)[
        :, : n_times : int(t_r * sfreq)
    ]
    noise = lfilter(
        [1], [1, -0.6], rng.standard_normal(clean.shape), axis=1
    )
    noise *= (
        clean.std(1, keepdims=True)
        / noise.std(1, keepdims=True)
        / np.sqrt(snr)
    )
    bold = pd.DataFrame(gain * (clean + noise).T, columns=regions)
    return LearnableHRF(
        t_r=t_r, verbose=False, reader=Reader(sfreq=sfreq)
    ).fit([drive], [bold])


first, second = fit(base, 0), fit(later, 1, gain=-3.0)
table = compare_hrfs(
    first, second, n_permutations=199, random_state=0
)
table[table["measure"] == "peak_time"].round(3)

# %%
# Blocks of time change sides to make the null. ``p_max`` is corrected over regions and measures by
# the maximum statistic, ``p_fdr`` by the false discovery rate.
true_difference = np.subtract(
    *(
        np.ravel(hrf_summary(params)["peak_time"])
        for params in (later, base)
    )
)
fig, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
peak = table[table["measure"] == "peak_time"]
significant = peak["p_max"].to_numpy() < 0.05
place = np.arange(n_regions)
axes.bar(
    place,
    peak["difference"],
    color=np.where(significant, "#D55E00", "0.75"),
    width=0.6,
)
marks = axes.plot(place, true_difference, "k_", ms=22, mew=1.5)
axes.axhline(0, color="0.4", lw=0.8)
axes.set_xticks(place, regions, rotation=30, ha="right")
axes.set_ylabel("difference in time to peak (s)")
axes.set_title(
    "Simulated: orange where corrected p < 0.05", fontsize=10
)
axes.legend(marks, ["truth"], frameon=False, fontsize=8)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# No difference
# -------------
# Two conditions with the same responses: the smallest corrected p value of each measure.
same = compare_hrfs(
    fit(base, 10),
    fit(base, 11, gain=2.0),
    n_permutations=199,
    random_state=0,
)
print(same.groupby("measure")["p_max"].min())

# %%
# Fits of people are compared by their labels, ``compare_hrfs(fits, labels=groups)``: people change
# groups then. With ``people=names``, conditions change sides within people.
