"""NeuroBOLT's network beside a second one, written with loops in numpy from the description."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erf

from mne_samba.nn.neurobolt import NeuroBOLTNet

# 26 channels and one region, as it was published.
FULL = {"n_channels": 26, "n_targets": 1, "n_samples": 400, "n_lags": 8, "places": list(range(26))}
SMALL = {
    **FULL, "n_channels": 3, "places": [5, 0, 90], "n_targets": 2, "n_embed": 50, "depth": 2,
    "n_heads": 2, "spectrum_depth": 1, "n_spectrum_heads": 5, "window": 8, "n_samples": 300,
    "n_lags": 6,
}  # fmt: skip


def gelu(x):
    return x * (1 + erf(x / math.sqrt(2))) / 2


def normal(x, weight, bias, eps):
    """Normalise the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps) * weight + bias


def softmax(x, axis):
    x = np.exp(x - x.max(axis=axis, keepdims=True))
    return x / x.sum(axis=axis, keepdims=True)


def convolve(x, weight, bias, stride, padding):
    """Filters (n_out, n_in, width) over x (n_in, n_patches, n_times): (n_out, n_patches, n)."""
    n_out, n_in, width = weight.shape
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding)])
    n = (x.shape[2] - width) // stride + 1
    out = np.zeros((n_out, x.shape[1], n))
    for o in range(n_out):
        for t in range(n):
            seen = x[:, :, t * stride : t * stride + width]
            out[o, :, t] = sum(seen[i] @ weight[o, i] for i in range(n_in)) + bias[o]
    return out


def grouped(x, weight, bias, n_groups):
    """Normalise groups of filters of x (n_filters, n_patches, n_times), each as a whole."""
    out, size = np.empty_like(x), len(x) // n_groups
    for g in range(n_groups):
        part = x[g * size : (g + 1) * size]
        out[g * size : (g + 1) * size] = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
    return out * weight[:, None, None] + bias[:, None, None]


class Plain:
    """The published description, one epoch (n_channels, n_times) at a time."""

    def __init__(self, state, *, n_heads, n_spectrum_heads, depth, spectrum_depth, places):
        self.w = {name: np.asarray(value, dtype=np.float64) for name, value in state.items()}
        self.n_heads, self.n_spectrum_heads = n_heads, n_spectrum_heads
        self.depth, self.spectrum_depth, self.places = depth, spectrum_depth, places

    def linear(self, x, name):
        bias = self.w.get(f"{name}.bias", 0.0)
        return x @ self.w[f"{name}.weight"].T + bias

    def norm(self, x, name, eps=1e-6):
        return normal(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

    def __call__(self, epoch):
        epoch = epoch - epoch.mean(axis=1, keepdims=True)
        return self.linear(gelu(self.patches(epoch) + self.spectra(epoch)), "head")

    def patches(self, epoch):
        w, seconds = self.w, epoch.shape[1] // 200
        x = np.stack([
            channel[200 * s : 200 * (s + 1)] for channel in epoch for s in range(seconds)
        ])[np.newaxis]  # fmt: skip
        for i, (name, stride, padding) in enumerate(
            [("first", 8, 7), ("second", 1, 1), ("third", 1, 1)]
        ):
            name, norm = f"temporal.patches.{name}", f"temporal.patches.norms.{i}"
            x = convolve(x, w[f"{name}.weight"][:, :, 0], w[f"{name}.bias"], stride, padding)
            n_groups = 4 if len(x) % 4 == 0 else 2
            x = gelu(grouped(x, w[f"{norm}.weight"], w[f"{norm}.bias"], n_groups))
        tokens = [w["temporal.cls"][0, 0] + w["temporal.place_embedding"][0, 0]]
        for c, place in enumerate(self.places):
            for s in range(seconds):
                # 25 times, of each all filters.
                token = x[:, c * seconds + s].T.reshape(-1)
                place_of = w["temporal.place_embedding"][0, 1 + place]
                tokens.append(token + place_of + w["temporal.time_embedding"][0, s])
        tokens = np.stack(tokens)
        for i in range(self.depth):
            name = f"temporal.blocks.{i}"
            q, k, v = np.split(
                self.linear(self.norm(tokens, f"{name}.norm"), f"{name}.qkv"), 3, axis=1
            )
            size, heads = tokens.shape[1] // self.n_heads, []
            for h in range(self.n_heads):
                own = slice(h * size, (h + 1) * size)
                query = self.norm(q[:, own], f"{name}.q_norm") * size**-0.5
                key = self.norm(k[:, own], f"{name}.k_norm")
                heads.append(softmax(query @ key.T, axis=1) @ v[:, own])
            found = self.linear(np.concatenate(heads, axis=1), f"{name}.projection")
            tokens = tokens + w[f"{name}.scale"] * found
            found = self.perceptron(self.norm(tokens, f"{name}.mlp_norm"), name)
            tokens = tokens + w[f"{name}.mlp_scale"] * found
        return self.norm(tokens[1:].mean(axis=0), "temporal.norm")

    def perceptron(self, x, name):
        return self.linear(gelu(self.linear(x, f"{name}.mlp.0")), f"{name}.mlp.2")

    def spectra(self, epoch):
        w, n_times, tokens = self.w, epoch.shape[1], []
        for c, channel in enumerate(epoch):
            total = 0.0
            for i in range(4):
                n_fft = 100 * 2**i
                blocks = [channel[t : t + n_fft] for t in range(0, n_times, n_fft)]
                amplitude = np.stack([np.abs(np.fft.rfft(block)) for block in blocks])
                features = self.linear(amplitude, f"spectral.spectra.{i}")
                total = total + self.linear(features.T, f"spectral.times.{i}").T
            n_embed = total.shape[1]
            for step in range(len(total)):
                position = np.empty(n_embed)
                for j in range(n_embed):
                    angle = step / 10000 ** (2 * (j // 2) / n_embed)
                    position[j] = math.sin(angle) if j % 2 == 0 else math.cos(angle)
                tokens.append(total[step] + w["spectral.channel_embedding"][c, 0] + position)
        tokens = np.stack(tokens)
        for i in range(self.spectrum_depth):
            name = f"spectral.blocks.{i}"
            q, k, v = np.split(
                self.linear(self.norm(tokens, f"{name}.norm", 1e-5), f"{name}.qkv"), 3, axis=1
            )
            size, heads = tokens.shape[1] // self.n_spectrum_heads, []
            for h in range(self.n_spectrum_heads):
                own = slice(h * size, (h + 1) * size)
                query = softmax(q[:, own], axis=1) * size**-0.5
                context = softmax(k[:, own], axis=0).T @ v[:, own]
                heads.append(query @ context)
            tokens = tokens + self.linear(np.concatenate(heads, axis=1), f"{name}.projection")
            tokens = tokens + self.perceptron(self.norm(tokens, f"{name}.mlp_norm", 1e-5), name)
        return tokens.mean(axis=0)


def shaken(spec, dtype=torch.float64):
    """Network whose every number is random: none hides at its start value."""
    torch.manual_seed(0)
    net = NeuroBOLTNet(**spec).to(dtype).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return net


def test_as_many_numbers_as_published():
    assert sum(p.numel() for p in NeuroBOLTNet(**FULL).parameters()) == 7_906_985


@pytest.mark.parametrize("spec", [FULL, SMALL], ids=["full size", "small"])
def test_equals_the_description_written_with_loops(spec):
    net = shaken(spec)
    sizes = ("n_heads", "n_spectrum_heads", "depth", "spectrum_depth", "places")
    given = {"n_heads": 10, "n_spectrum_heads": 8, "depth": 12, "spectrum_depth": 4} | spec
    plain = Plain(net.state_dict(), **{name: given[name] for name in sizes})
    window = 200 * spec.get("window", 16)
    n_frames = 1 if spec is FULL else 2
    shape = (1, spec["n_channels"], spec["n_samples"], spec["n_lags"] + n_frames - 1)
    chunks = torch.randn(shape, dtype=torch.float64)
    signal = chunks[0].transpose(1, 2).flatten(1).numpy()
    ends = [(spec["n_lags"] + f) * spec["n_samples"] for f in range(n_frames)]
    expected = np.stack([plain(signal[:, end - window : end]) for end in ends])
    with torch.no_grad():
        exact = net(chunks)[0].numpy()
        single = net.float()(chunks.float())[0].numpy()
    size = np.abs(expected).max()
    np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-10 * size)
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-5 * size)


def test_only_the_window_before_a_frame_counts_and_no_offset():
    net = shaken(SMALL)
    x = torch.randn(2, 3, 300, 8, dtype=torch.float64)
    with torch.no_grad():
        one = net(x)
        assert one.shape == (2, 3, 2)
        later = x.clone()
        later[..., 6:] = 0.0  # chunks after the first frame
        assert torch.equal(net(later)[:, 0], one[:, 0])
        earlier = x.clone()
        earlier[..., :200, 0] = 0.0  # of 1800 samples of history, a window has 1600
        torch.testing.assert_close(net(earlier)[:, 0], one[:, 0])
        torch.testing.assert_close(net(x + 7.0), one)


def test_every_number_is_learnt_but_electrodes_that_are_not_there():
    net = shaken(SMALL).train()
    net(torch.randn(4, 3, 300, 6, dtype=torch.float64)).square().sum().backward()
    for name, parameter in net.named_parameters():
        moved = (parameter.grad != 0).flatten(0, -2).any(-1) if "place" in name else None
        if moved is None:
            assert parameter.grad.abs().max() > 0, name
        else:
            assert moved.nonzero().flatten().tolist() == [0, 1, 6, 91]
