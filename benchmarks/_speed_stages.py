"""Each fast stage beside a competent alternative, with the error between them."""

from __future__ import annotations

from functools import partial

import mne
import numpy as np
import torch
from _morlet_power import morlet_power
from _paper_reference import (
    conv_bank,
    dense_attention,
    grouped_convolution,
    mask_of,
    tap_loop,
)
from _timing import interleaved, relative

from mne_samba.hrf import convolve, convolve_frames, double_gamma, glover_params
from mne_samba.models.graphs import knn_adjacency
from mne_samba.nn.graph import GraphAttention
from mne_samba.nn.wavelet import wavedec
from mne_samba.wavelets import CANONICAL_BANDS, band_power

SFREQ, HRF_LENGTH = 200.0, 30.0


def row(stage, against, ours, other, goal, error=np.nan, limit="", note=""):
    return {
        "stage": stage, "against": against, "ours_s": ours, "other_s": other,
        "ratio": other / ours, "goal": f">= {goal}", "error": f"{error:.1e}", "limit": limit,
        "note": note,
    }  # fmt: skip


def pink(rng, shape):
    """1/f noise along the last axis."""
    spectrum = np.fft.rfft(rng.standard_normal(shape))
    spectrum[..., 1:] /= np.sqrt(np.arange(1, spectrum.shape[-1]))
    spectrum[..., 0] = 0
    return np.fft.irfft(spectrum, shape[-1])


def hrf_full_rate(quick):
    """200 regions, 60 s at 200 Hz, batch of 10, 6000 taps."""
    n_regions, n_batch = 200, 10
    n_times, n_taps = int(60 * SFREQ), int(HRF_LENGTH * SFREQ)
    drive = torch.randn(n_batch, n_regions, n_times)
    lags = (np.arange(n_taps) + 0.5) / SFREQ
    params = np.tile(glover_params(), (n_regions, 1))
    params[:, 0] += np.linspace(-1, 1, n_regions)
    kernel = torch.as_tensor(double_gamma(lags, params)).float()
    # Fewer groups do not fill the vectors of the other: its best counts.
    some = 40 if quick else n_regions
    part, part_kernel = drive[:1, :some].contiguous(), kernel[:some]
    taps = range(0, n_taps, 200 if quick else 60)
    time = interleaved(
        {
            "ours": lambda: convolve(drive, kernel),
            "grouped": lambda: grouped_convolution(part, part_kernel),
            "loop": lambda: tap_loop(drive, kernel, taps),
        },
        3 if quick else 5,
    )
    grouped = time["grouped"] * n_batch * n_regions / some
    loop = time["loop"] * n_taps / len(taps)
    exact = grouped_convolution(part.double(), part_kernel.double())
    error = relative(convolve(drive, kernel)[:1, :some], exact)
    name = "HRF convolution, 200 regions x 60 s x 200 Hz, batch 10"
    note = f"scaled from {some} of {n_batch * n_regions} rows"
    yield row(name, "grouped conv1d", time["ours"], grouped, 200, error, "1e-5", note)
    note = f"scaled from {len(taps)} of {n_taps} taps"
    yield row(name, "tap loop", time["ours"], loop, 300, error, "1e-5", note)
    yield _hrf_gradients(drive, kernel, quick)
    yield from _hrf_low_rate(drive, kernel, params, loop, quick)


def _hrf_gradients(drive, kernel, quick):
    """Forward, and backward to the responses: what learning them takes."""
    some = 8 if quick else 40
    part = drive[:1, :some].contiguous()

    def gradient(form, drive, kernel):
        leaf = kernel.clone().requires_grad_()
        out = form(drive, leaf)
        out.backward(torch.ones_like(out))
        return leaf.grad

    time = interleaved(
        {
            "ours": partial(gradient, convolve, drive, kernel),
            "grouped": partial(gradient, grouped_convolution, part, kernel[:some]),
        },
        3,
    )
    n_rows = drive.shape[0] * drive.shape[1]
    error = relative(
        gradient(convolve, part[:, :8], kernel[:8]),
        gradient(grouped_convolution, part[:, :8].double(), kernel[:8].double()),
    )
    return row(
        "the same, and its gradient to the responses", "grouped conv1d", time["ours"],
        time["grouped"] * n_rows / some, 200, error, "1e-5", f"scaled from {some} of {n_rows} rows",
    )  # fmt: skip


def _hrf_low_rate(drive, kernel, params, loop, quick):
    rng = np.random.default_rng(0)
    t_r = 2.0
    # Twice a second is what the default computes at; the error falls with the width of a bin.
    for step in (4, 25):
        dt, width = t_r / step, int(t_r / step * SFREQ)
        lags = (np.arange(int(HRF_LENGTH / dt)) + 0.5) * dt
        low = torch.as_tensor(double_gamma(lags, params)).float()
        # 30 s of history and 60 s of frames.
        n_bins = len(lags) + 29 * step
        bins = torch.randn(len(drive), drive.shape[1], n_bins)
        time = interleaved({"ours": partial(convolve_frames, bins, low, step, dt)}, 9)["ours"]
        for kind, limit in (("white", "1e-2"), ("1/f", "1e-3")):
            shape = (drive.shape[1], n_bins * width)
            full = rng.standard_normal(shape) if kind == "white" else pink(rng, shape)
            # Drives are power, which has a mean well above its fluctuations.
            full = torch.as_tensor(full / full.std() + (0.0 if kind == "white" else 3.0))
            exact = convolve(full, kernel.double(), 1 / SFREQ)
            # A frame lies on a bin's edge: the last sample before it.
            exact = exact[:, len(lags) * width - 1 :: step * width]
            means = full.unflatten(-1, (n_bins, width)).mean(-1)
            error = relative(convolve_frames(means, low.double(), step, dt), exact)
            name = f"the same at {1 / dt:g} bins per second, cached ({kind})"
            yield row(name, "tap loop", time, loop, 5000, error, limit)


def discrete_bank(quick):
    """Chunks of 400 samples, 60 s, 200 regions, batch of 10."""
    n_rows = 200 * 30 * (2 if quick else 10)
    chunks = torch.randn(n_rows, 400)
    ours = torch.cat(wavedec(chunks, "db5", 3, "periodization"), -1)
    time = interleaved(
        {
            "ours": lambda: wavedec(chunks, "db5", 3, "periodization"),
            "conv": lambda: conv_bank(chunks),
        },
        5,
    )
    error = relative(ours, conv_bank(chunks.double()))
    yield row(
        f"discrete wavelet bank, {n_rows} chunks of 400", "strided conv1d", time["ours"],
        time["conv"], 3, error, "1e-6",
    )  # fmt: skip


def continuous(quick):
    """Band power and Morlet power against MNE."""
    n_channels, n_times = (10, int(600 * SFREQ)) if quick else (200, int(3600 * SFREQ))
    rng = np.random.default_rng(0)
    signal = pink(rng, (n_channels, n_times))
    width = 100
    n_bins = n_times // width
    bands = CANONICAL_BANDS.values()
    kernels = [
        mne.filter.create_filter(None, SFREQ, low, high, verbose="ERROR") for low, high in bands
    ]

    def ours():
        return band_power(
            lambda a, b: signal[:, a:b], n_times, SFREQ, start=0, width=width, n_bins=n_bins,
            kernels=kernels,
        )  # fmt: skip

    def theirs():
        out = np.empty((n_channels, len(kernels), n_bins), np.float32)
        for k, (low, high) in enumerate(bands):
            band = mne.filter.filter_data(signal, SFREQ, low, high, verbose="ERROR")
            raw = mne.io.RawArray(band, mne.create_info(n_channels, SFREQ, "eeg"), verbose="ERROR")
            envelope = raw.apply_hilbert(envelope=True, verbose="ERROR").get_data()
            power = envelope[:, : n_bins * width] ** 2
            out[:, k] = power.reshape(n_channels, n_bins, width).mean(-1)
        return out

    time = interleaved({"ours": ours, "mne": theirs}, 2, warm=False)
    alike = correlation(ours(), theirs())
    name = f"band power, 5 bands, {n_times / SFREQ / 60:g} min, {n_channels} channels"
    yield row(
        name, "MNE filter + Hilbert", time["ours"], time["mne"], 3.5, 1 - alike, "1e-3",
        f"correlation {alike:.5f}",
    )  # fmt: skip
    freqs, decim = np.linspace(4, 40, 10), 20
    part = signal[:50, : int(600 * SFREQ)]

    def tfr():
        return mne.time_frequency.tfr_array_morlet(
            part[None], SFREQ, freqs, n_cycles=7.0, decim=decim, output="power", use_fft=True,
            zero_mean=True, verbose="ERROR",
        )[0]  # fmt: skip

    time = interleaved(
        {"ours": lambda: morlet_power(part, SFREQ, freqs, 7.0, decim), "mne": tfr}, 3
    )
    alike = correlation(morlet_power(part, SFREQ, freqs, 7.0, decim), tfr())
    yield row(
        "Morlet power, 10 frequencies, 7 cycles, decimated by 20", "MNE tfr_array_morlet (FFT)",
        time["ours"], time["mne"], 8, 1 - alike, "1e-4", f"correlation {alike:.6f}",
    )  # fmt: skip


def correlation(ours, other) -> float:
    """Smallest correlation over time of any course."""
    ours, other = (x.reshape(-1, x.shape[-1]).astype(float) for x in (ours, other))
    ours, other = (x - x.mean(-1, keepdims=True) for x in (ours, other))
    products = (ours * other).sum(-1)
    return float((products / np.sqrt((ours**2).sum(-1) * (other**2).sum(-1))).min())


def graph_attention(quick):
    """Forward and backward pass on a nearest-neighbour graph against dense masked attention."""
    settings = [(500, 10, 15)] if quick else [(500, 10, 15), (2000, 1, 80)]
    for n_nodes, n_batch, goal in settings:
        rng = np.random.default_rng(0)
        alike = rng.standard_normal((n_nodes, n_nodes))
        layer = GraphAttention(knn_adjacency(alike, 14), 32, 8, n_heads=4)
        mask, x = mask_of(layer), torch.randn(n_batch, n_nodes, 32)
        weight = torch.randn(n_batch, n_nodes, 32)

        def run(form, layer=layer, x=x, weight=weight):
            layer.zero_grad()
            out = form(x)
            (out * weight).sum().backward()
            return out.detach()

        def dense(x, layer=layer, mask=mask):
            return dense_attention(layer, x, mask)

        other = interleaved({"dense": partial(run, dense)}, 2 if quick else 3)["dense"]
        # Ours is short: more repeats cost nothing.
        ours = interleaved({"ours": partial(run, layer)}, 9)["ours"]
        error = relative(run(layer), run(dense))
        yield row(
            f"graph attention, {n_nodes} nodes, k = 14, batch {n_batch}, forward and backward",
            "dense masked attention", ours, other, goal, error, "1e-6",
        )  # fmt: skip


def geometric_attention(quick):
    """Forward and backward pass at the paper model's sizes against torch-geometric's GATv2Conv."""
    from torch_geometric.nn import GATv2Conv

    n_graphs, n_in, n_heads = 8 * 30, 32, 4
    for n_nodes in (60, 200):
        alike = np.random.default_rng(0).standard_normal((n_nodes, n_nodes))
        adjacency = knn_adjacency(alike, 8)
        ours = GraphAttention(adjacency, n_in, n_in // n_heads, n_heads)
        theirs = GATv2Conv(n_in, n_in // n_heads, heads=n_heads, add_self_loops=False)
        same = {"lin_l": ours.source, "lin_r": ours.target}
        with torch.no_grad():
            for name, layer in same.items():
                getattr(theirs, name).load_state_dict(layer.state_dict())
            theirs.att.copy_(ours.attention)
        # Graphs side by side, as torch-geometric batches them.
        attends, sends = (torch.as_tensor(index) for index in np.nonzero(adjacency))
        offset = n_nodes * torch.arange(n_graphs)[:, None]
        edges = torch.stack([(sends + offset).ravel(), (attends + offset).ravel()])
        x = torch.randn(n_graphs, n_nodes, n_in, requires_grad=True)
        weight = torch.randn(n_graphs, n_nodes, n_in)

        def run(form, x=x, weight=weight):
            x.grad = None
            out = form(x)
            (out * weight).sum().backward()
            return torch.cat([out.detach(), x.grad], -1)

        def geometric(x, theirs=theirs, edges=edges):
            return theirs(x.flatten(0, 1), edges).view_as(x)

        functions = {"ours": partial(run, ours), "other": partial(run, geometric)}
        time = interleaved(functions, 3 if quick else 9)
        yield row(
            f"graph attention, {n_nodes} nodes, k = 8, 240 graphs, forward and backward",
            "torch-geometric GATv2Conv", time["ours"], time["other"], 1.3,
            relative(run(ours), run(geometric)), "1e-5",
        )  # fmt: skip


STAGES = {
    "hrf": hrf_full_rate, "discrete": discrete_bank, "power": continuous, "graph": graph_attention,
    "geometric": geometric_attention,
}  # fmt: skip
