"""
Predictions while a recording goes on
=====================================

Data: **simulated**. A translator that was fitted to other people predicts
BOLD from samples as they come: every frame once, with an interval, as soon
as all is known that it depends on.
"""

# %%
# Fit before the session
# ----------------------
# Wavelets that are causal use past samples only. Responses are learnt
# together with the delay that this brings.
import matplotlib.pyplot as plt
import numpy as np

from mne_samba import CoreModel, SambaStream, SambaTranslator
from mne_samba.datasets import simulate_paired
from mne_samba.wavelets import Morlet

data = simulate_paired(
    3,
    600.0,
    n_sources=12,
    n_targets=8,
    level="source",
    snr=4.0,
    sfreq=100.0,
    random_state=0,
)
model = CoreModel(bands=Morlet(causal=True), unmix=None)
translator = SambaTranslator(
    t_r=data.t_r, model=model, random_state=0, verbose="error"
).fit(data.raws[:2], data.bolds[:2])

# %%
# Stream a new person
# -------------------
# Minutes before the session say how large the power of this person and cap
# is. Then samples come in chunks of 40 ms, each with its time; for two
# seconds nothing comes at all. With Lab Streaming Layer, `predict_stream`
# takes the place of this loop, and ``python -m mne_samba stream`` that of a
# script.
signal = data.raws[2].get_data()
before, start = signal[:, :12000], 120.0
stream = SambaStream(translator, calibration=before)
given = []
for chunk in range(0, 30000, 4):
    seconds = chunk / 100
    if 150.0 <= seconds < 152.0:
        continue
    samples = signal[:, 12000 + chunk : 12000 + chunk + 4]
    if seconds == 152.0:
        print("A chunk is missing; the stream says so:")
    frames = stream.push(samples, start + seconds)
    if len(frames):
        given.append((start + seconds + 0.04, frames))
print("lost (s):", [tuple(map(float, span)) for span in stream.lost_])

# %%
# What was known when
# -------------------
# A prediction is there with the first chunk that ends after its frame: no
# sample after it is used. Frames that depend on samples that never came are
# marked.
times = np.concatenate([frames.times for _, frames in given])
late = np.concatenate([at - frames.times for at, frames in given])
known = np.concatenate([frames.known for _, frames in given])
usual = 1000 * np.median(late)
print(f"{len(times)} frames, half of them {usual:.0f} ms late")
print(
    f"the first after the gap {late.max():.2f} s, with the next chunk"
)
print(f"{(~known).sum()} of them depend on lost samples")

# %%
bold, low, high = (
    np.concatenate([getattr(frames, name) for _, frames in given])
    for name in ("bold", "low", "high")
)
measured = data.bolds[2][np.round(times / data.t_r).astype(int)]
scores = [
    np.corrcoef(a, b)[0, 1]
    for a, b in zip(bold.T, measured.T, strict=True)
]
inside = np.mean((measured >= low) & (measured <= high))
print(
    f"r = {np.mean(scores):.2f}; {inside:.0%} of frames inside 90 %"
)

region = int(np.argsort(scores)[len(scores) // 2])
fig, axes = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
axes.fill_between(
    times,
    low[:, region],
    high[:, region],
    color="#0072B2",
    alpha=0.15,
    lw=0,
    label="90 % interval",
)
axes.plot(times, bold[:, region], color="#0072B2", label="streamed")
axes.plot(
    times, measured[:, region], color="k", lw=0.8, label="measured"
)
lost = times[~known]
axes.axvspan(
    lost[0], lost[-1], color="0.9", zorder=0, label="of lost samples"
)
axes.set(xlabel="time (s)", ylabel="BOLD (s.d.)")
axes.set_title(
    f"Simulated: {data.target_names[region]}, an unseen person",
    fontsize=10,
)
axes.set_ylim(top=1.5 * axes.get_ylim()[1])
axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper center")
axes.spines[["top", "right"]].set_visible(False)
plt.show()
