"""
Three experiments with a known answer
=====================================

Data: **simulated**. Before a method is trusted with a brain, it should find what was put in. The
paper checks its three parts one by one: attention over bands finds known frequencies, graph
attention carries features between graphs of different sizes, and a learnable response finds the
true one.
"""

# %%
# 1. Attention finds known frequencies
# ------------------------------------
# Eight nodes, each with a rhythm in every one of eight bands, and all rhythms wax and wane on their
# own. Region n follows the power of band n in node n alone, through a haemodynamic response and as
# much noise as signal.
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.signal import fftconvolve, lfilter

from mne_samba import LearnableHRF, Reader, WaveletBandAttention, viz
from mne_samba.hrf import (
    double_gamma,
    glover_params,
    hrf_summary,
    unit_peak,
)
from mne_samba.models.graphs import nearest
from mne_samba.nn.bipartite import BipartiteAttention

rng = np.random.default_rng(0)
sfreq, t_r, duration = 100.0, 2.0, 600.0
n_times = int(duration * sfreq)
bands = {f"band {n}": (4 * n, 4 * n + 4) for n in range(1, 9)}


def noise_between(low, high, n_series):
    """Gaussian noise between two frequencies, unit variance."""
    freqs = np.fft.rfftfreq(2 * n_times, 1 / sfreq)
    spectrum = np.fft.rfft(
        rng.standard_normal((n_series, 2 * n_times))
    )
    noise = np.fft.irfft(spectrum * ((freqs > low) & (freqs < high)))[
        :, :n_times
    ]
    return noise / noise.std(axis=1, keepdims=True)


signals, drive = np.zeros((8, n_times)), np.zeros((8, n_times))
for band, (low, high) in enumerate(bands.values()):
    amplitude = np.exp(0.5 * noise_between(0.01, 0.1, 8))
    signals += amplitude * noise_between(low + 0.5, high - 0.5, 8)
    drive[band] = amplitude[band] ** 2

response = double_gamma(np.arange(0, 32, 1 / sfreq), glover_params())
clean = fftconvolve(
    drive - drive.mean(axis=1, keepdims=True), response[None], axes=1
)
bold = clean[:, : n_times : int(t_r * sfreq)].T
bold = bold / bold.std(axis=0)
noise = lfilter(
    [1], [1, -0.6], rng.standard_normal(bold.shape), axis=0
)
bold += noise / noise.std(axis=0)

attention = WaveletBandAttention(
    t_r=t_r, reader=Reader(sfreq=sfreq), bands=bands
).fit([signals], [bold])
found = attention.band_attention_.argmax(axis=1) + 1
print("Band that each node should attend to:", list(range(1, 9)))
print("Band that it attends to:             ", found.tolist())

# %%
# Every node's attention sums to one; the diagonal is the truth.
viz.plot_band_attention(
    attention.band_attention_,
    bands=attention.bands_,
    ch_names=[f"node {i + 1}" for i in range(8)],
    title="Simulated: attention over bands",
    show=False,
)
plt.show()

# %%
# 2. Graph attention between graphs of different sizes
# ----------------------------------------------------
# Every node of the receiving graph is to hold the average of its five nearest senders, from 40
# nodes to 100 and back from 100 to 40. A node may listen to the ten nearest, and has to learn to
# which of them; it is tested on features that it has never seen.


def transfer(n_from, n_to):
    """Truth, result on unseen features, share of variance lost."""
    places = [
        np.random.default_rng(n).standard_normal((n, 2))
        for n in (n_from, n_to)
    ]
    closeness = 1 / np.linalg.norm(
        places[1][:, None] - places[0], axis=-1
    )
    average = torch.as_tensor(
        nearest(closeness, 5) / 5, dtype=torch.float32
    )
    torch.manual_seed(0)
    layer = BipartiteAttention(
        nearest(closeness, 10), 1, 4, n_heads=2
    )
    readout = torch.nn.Linear(8, 1)
    optimizer = torch.optim.Adam(
        [*layer.parameters(), *readout.parameters()], lr=0.05
    )
    for _ in range(300):
        features = torch.randn(64, n_from, 1)
        loss = (
            (readout(layer(features)) - average @ features)
            .square()
            .mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    features = torch.randn(200, n_from, 1)
    with torch.no_grad():
        true, made = average @ features, readout(layer(features))
    return (
        true.flatten(),
        made.flatten(),
        float((made - true).square().mean() / true.var()),
    )


fig, axes = plt.subplots(
    1,
    2,
    figsize=(6, 3.2),
    layout="constrained",
    sharex=True,
    sharey=True,
)
for ax, sizes in zip(axes, ((40, 100), (100, 40)), strict=True):
    true, made, error = transfer(*sizes)
    ax.plot([-2, 2], [-2, 2], color="0.7", lw=1, zorder=0)
    ax.plot(
        true[:1500],
        made[:1500],
        ".",
        color="#0072B2",
        ms=2,
        alpha=0.5,
    )
    ax.set(
        xlabel="true average",
        title=f"{sizes[0]} to {sizes[1]} nodes, error {error:.1%}",
    )
    ax.spines[["top", "right"]].set_visible(False)
    print(
        f"{sizes[0]} to {sizes[1]} nodes: {error:.2%} of variance "
        "is lost"
    )
axes[0].set_ylabel("graph attention")
fig.suptitle("Simulated: averages on unseen features", fontsize=10)
plt.show()

# %%
# 3. The response of a single region
# ----------------------------------
# One region that answers late, ten minutes, as much noise as signal. Where a group of regions is
# fitted, each leans on the others; here there is nobody to lean on.
late = np.array([[7.5, 14.0, 0.85, 0.9, 1.0, 0.3]])
truth = unit_peak(late)
neural = noise_between(0.008, 0.12, 1)[:, :: int(sfreq / 10)]
response = double_gamma(np.arange(0, 32, 0.1), truth)
single = fftconvolve(neural, response, axes=1)[
    :, : neural.shape[1] : int(t_r * 10)
].T
single = single / single.std()
noise = lfilter(
    [1], [1, -0.6], rng.standard_normal(single.shape), axis=0
)
single += noise / noise.std()

region = LearnableHRF(
    t_r=t_r,
    n_bootstrap=50,
    random_state=0,
    verbose=False,
    reader=Reader(sfreq=10.0),
)
region.fit([neural], [single])
peak, true_peak = (
    region.hrf_peak_time_[0],
    hrf_summary(truth)["peak_time"][0],
)
earliest, latest = region.hrf_intervals_[
    ["peak_time_low", "peak_time_high"]
].to_numpy()[0]
print(
    f"Time to peak: {peak:.2f} s ({earliest:.2f} to {latest:.2f}), "
    f"true {true_peak:.2f} s"
)

# %%
_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
viz.plot_hrf(
    region,
    truth=truth,
    target_names=["one region"],
    axes=ax,
    title="Simulated: one region, 10 minutes, SNR 1",
    show=False,
)
plt.show()
