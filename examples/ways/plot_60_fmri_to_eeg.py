"""
From fMRI to EEG
================

Data: **simulated**. BOLD is translated back into band power of every source, and into both
directions through one latent space. What BOLD does not carry, no model can bring back.
"""

# %%
# Train on three people, translate a fourth
# -----------------------------------------
# Input and output change places: ``fit(bold, electrophysiology)``.
import itertools

import matplotlib.pyplot as plt
import numpy as np

from mne_samba import (
    InverseTranslator,
    LatentTranslator,
    SambaTranslator,
    make_windows,
    viz,
)
from mne_samba.datasets import simulate_paired

data = simulate_paired(
    4,
    600.0,
    n_sources=12,
    n_targets=24,
    level="source",
    snr=4.0,
    random_state=0,
)
back = InverseTranslator(t_r=data.t_r, model="core", random_state=0)
back.fit(data.bolds[:3], data.raws[:3])
power = np.asarray(back.predict([data.bolds[3]])[0])
measured = np.asarray(back.target_from([data.raws[3]])[0])
print("log band power (sources, bands, frames):", power.shape)

# %%
# Where it works
# --------------
# Correlation over time of predicted and measured log power, in the unseen person. Alpha and gamma
# drive BOLD in this simulation and come back; delta and theta hardly do. The null shifts the
# prediction in time.
n_frames = min(power.shape[-1], measured.shape[-1])


def correlations(found, true):
    """Correlate over time, per source and band."""
    valid = np.isfinite(found) & np.isfinite(true)
    out = np.zeros(found.shape[:2])
    for index in np.ndindex(out.shape):
        keep = valid[index]
        out[index] = np.corrcoef(
            found[index][keep], true[index][keep]
        )[0, 1]
    return out


scores = correlations(power[..., :n_frames], measured[..., :n_frames])
null = np.stack(
    [
        correlations(
            np.roll(power[..., :n_frames], shift, axis=-1),
            measured[..., :n_frames],
        )
        for shift in range(20, n_frames - 20, 20)
    ]
)
bands = list(data.truth.bands)
fig, axes = plt.subplots(figsize=(6, 3), layout="constrained")
low, high = np.nanpercentile(null, [2.5, 97.5])
axes.axhspan(
    low, high, color="0.9", zorder=0, label="circular shifts, 95 %"
)
jitter = np.random.default_rng(0).uniform(-0.12, 0.12, len(scores))
for place, _ in enumerate(bands):
    axes.plot(
        place + jitter,
        scores[:, place],
        "o",
        color="#0072B2",
        ms=4,
        alpha=0.7,
        mew=0,
    )
    axes.plot(
        [place - 0.25, place + 0.25],
        [scores[:, place].mean()] * 2,
        "k",
        lw=2,
    )
axes.set_xticks(range(len(bands)), bands)
axes.set(
    ylabel="correlation over time",
    title="Simulated: band power from BOLD, one dot per source",
)
axes.legend(frameon=False, fontsize=8)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# One source, one band
# --------------------
source, band = np.unravel_index(np.argmax(scores), scores.shape)
viz.plot_prediction(
    measured[source, band, :n_frames, np.newaxis],
    power[source, band, :n_frames, np.newaxis],
    t_r=data.t_r,
    target_names=[f"{data.source_names[source]}, {bands[band]}"],
    quantity="log power",
    units="s.d.",
    title="Simulated: band power from BOLD, unseen person",
    show=False,
)
plt.show()

# %%
# Slow changes come back, fast ones do not
# ----------------------------------------
# A haemodynamic response lasts seconds: what band power does within them is blurred before it is
# measured. Changes of alpha power below about 0.1 Hz are found, faster ones are not, and the phase
# of a rhythm, ten times a second, is out of reach: waveforms that are made from BOLD do not
# correlate with measured ones. ``benchmarks/reverse.py`` has the figures, beside those of an oracle
# that knows how BOLD was made.
edges = np.array([0.005, 0.03, 0.06, 0.1, 0.15, 0.25])
rate = np.fft.rfftfreq(n_frames, data.t_r)
valid = np.isfinite(measured[0, 0, :n_frames])
pair = [
    np.where(valid, part[:, bands.index("alpha"), :n_frames], 0)
    for part in (power, measured)
]
by_rate = []
for low, high in itertools.pairwise(edges):
    inside = (rate > low) & (rate <= high)
    found, true = (
        np.fft.irfft(np.fft.rfft(part) * inside, n_frames)
        for part in pair
    )
    by_rate.append(
        [
            np.corrcoef(a, b)[0, 1]
            for a, b in zip(found, true, strict=True)
        ]
    )

fig, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
for place, values in enumerate(by_rate):
    axes.plot(
        [place] * len(values),
        values,
        "o",
        color="#0072B2",
        ms=4,
        alpha=0.5,
        mew=0,
    )
    axes.plot(
        [place - 0.25, place + 0.25], [np.mean(values)] * 2, "k", lw=2
    )
axes.axhline(0, color="0.7", lw=1, zorder=0)
axes.set_xticks(
    range(len(by_rate)),
    [f"{a:g} to {b:g}" for a, b in itertools.pairwise(edges)],
)
axes.set(
    xlabel="rate of change (Hz)",
    ylabel="correlation",
    title="Simulated: changes of alpha power, one dot per source",
)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Both directions, one latent space
# ---------------------------------
# `LatentTranslator` translates either way; ``latents`` gives time courses that both modalities
# share, on the clock of the electrophysiology.
both = LatentTranslator(
    SambaTranslator(t_r=data.t_r, model="core", random_state=0),
    InverseTranslator(t_r=data.t_r, model="core", random_state=0),
)
both.fit(data.raws[:3], data.bolds[:3])
from_ele = both.latents([data.raws[3]], "ele")[0]
from_bold = both.latents([data.bolds[3]], "hemo")[0]
n = min(from_ele.shape[1], from_bold.shape[1])
agree = [
    np.corrcoef(a[:n], b[:n])[0, 1]
    for a, b in zip(from_ele, from_bold, strict=True)
]
print(
    "Correlation of the first five latents, EEG against BOLD:",
    np.round(agree[:5], 2),
)

# %%
# Retrieval
# ---------
# Which of all measured BOLD windows belongs to a window of electrophysiology?
epochs, y = make_windows(
    data.raws[3], data.bolds[3], t_r=data.t_r, window=20.0
)
found = both.retrieval_score(epochs, y, k=(1, 5))
for k in (1, 5):
    print(
        f"top-{k}: {found.top[k]:.2f} (chance {found.chance[k]:.2f})"
    )

# %%
predicted = both.translate(epochs, to="hemo").reshape(len(epochs), -1)
similarity = np.corrcoef(predicted, y.reshape(len(epochs), -1))[
    : len(epochs), len(epochs) :
]
viz.plot_retrieval(
    similarity, title="Simulated: unseen person", show=False
)
plt.show()
