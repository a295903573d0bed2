"""
Speed: where the time goes
==========================

Data: **simulated**. Band power is computed once per recording at about 2 Hz; everything after
works on few numbers. Times below are those of the machine that built this page.
"""

# %%
# Band power, streamed
# --------------------
# A recording is read in blocks, so that it need not fit into memory, with one Fourier transform per
# block for all bands. Beside it, MNE's own time-frequency function, which keeps every sample.
import time

import matplotlib.pyplot as plt
import mne
import numpy as np

from mne_samba import CoreModel, LearnableHRF, Reader, SambaTranslator
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.wavelets import CANONICAL_BANDS, band_power

rng = np.random.default_rng(0)
sfreq, n_channels, minutes = 200.0, 16, 5
signal = rng.standard_normal((n_channels, int(minutes * 60 * sfreq)))


def timed(function):
    """Best of two runs, in seconds."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def ours():
    """Mean power of five bands in bins of half a second."""
    return band_power(
        lambda first, stop: signal[:, first:stop],
        signal.shape[1],
        sfreq,
        CANONICAL_BANDS,
        start=0.0,
        width=sfreq / 2,
        n_bins=minutes * 60 * 2,
        n_cycles=5.0,
    )


def mne_power():
    """Power at centres of bands, at every sample, then averaged."""
    centres = np.array(
        [
            np.sqrt(low * high)
            for low, high in CANONICAL_BANDS.values()
        ]
    )
    power = mne.time_frequency.tfr_array_morlet(
        signal[np.newaxis],
        sfreq,
        centres,
        n_cycles=5.0,
        output="power",
        verbose="ERROR",
    )[0]
    return power.reshape(
        n_channels, len(centres), minutes * 60 * 2, -1
    ).mean(axis=-1)


seconds = {
    "mne_samba.wavelets.power": timed(ours),
    "tfr_array_morlet": timed(mne_power),
}
print(
    f"{n_channels} channels, {minutes} minutes at {sfreq:g} Hz, "
    f"{len(CANONICAL_BANDS)} bands:"
)
for name, value in seconds.items():
    print(f"  {name:22s} {value:.2f} s")

# %%
# Fits
# ----
# The linear core of the translator, ridge regression, and responses alone.
data = simulate_paired(
    2,
    600.0,
    n_sources=16,
    n_targets=32,
    level="source",
    random_state=0,
)
pair = data.raws, data.bolds
one = CoreModel(
    power="linear", map_prior="sparse", target_bands=False
)
fits = {
    "translator: core": lambda: SambaTranslator(
        t_r=data.t_r, model="core"
    ).fit(*pair),
    "translator: core, one prior": lambda: SambaTranslator(
        t_r=data.t_r, model=one
    ).fit(*pair),
    "ridge, canonical": lambda: BandPowerRidge(t_r=data.t_r).fit(
        *pair
    ),
    "ridge, FIR": lambda: BandPowerRidge(t_r=data.t_r, hrf="fir").fit(
        *pair
    ),
}
low_rate = rng.standard_normal((32, 6000))
fits["LearnableHRF, 32 regions"] = lambda: LearnableHRF(
    t_r=2.0, verbose=False, reader=Reader(sfreq=10.0)
).fit([low_rate], [data.bolds[0]])
for name, fit in fits.items():
    start = time.perf_counter()
    fit()
    seconds[name] = time.perf_counter() - start

# %%
fig, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
names = list(seconds)
colors = ["#009E73"] * 2 + ["#0072B2"] * (len(names) - 2)
bars = axes.barh(
    names, list(seconds.values()), color=colors, height=0.6
)
axes.bar_label(bars, fmt="%.2f s", padding=3, fontsize=8)
axes.set(
    xlabel="seconds, one thread",
    xlim=(0, 1.2 * max(seconds.values())),
)
axes.set_title(
    "Band power (green) and whole fits (blue)", fontsize=10
)
axes.invert_yaxis()
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# What makes a fit slow
# ---------------------
# - ``SambaModel(corrections="auto")`` trains a network where least squares on what it sees
#   untrained promise something; usually the linear core is all that is kept. A GPU helps here
#   (``Trainer(device="auto")``, the default).
# - The model's ``power="auto"``, ``map_prior="auto"`` and ``target_bands="auto"`` fit several cores
#   and choose on held-out frames of the training data. Name one of each where you know which.
# - Evaluations fit many times: ``evaluate(..., n_jobs=2, cache="folder")`` works in parallel and
#   goes on where it stopped.
#
# ``benchmarks/speed.py`` measures against other tools, side by side, in processor time.
