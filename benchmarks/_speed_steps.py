"""Whole training steps beside their plain form and the roofline; their growth."""

from __future__ import annotations

import numpy as np
import torch
from _paper_reference import plain_step
from _timing import exponent, interleaved, relative, seconds

from mne_samba.models.graphs import knn_adjacency
from mne_samba.nn.loss import CenteredCosineLoss
from mne_samba.nn.paper import PaperNet, chunk_power
from mne_samba.nn.samba import SambaNet
from mne_samba.wavelets import CANONICAL_BANDS

PAPER = {"n_channels": 200, "n_targets": 500, "n_windows": 10, "n_frames": 30}
T_R, N_CHUNKS, K, HIDDEN, STEP, N_LAGS = 2.0, 15, 14, 32, 4, 60


def graph(n_nodes, seed=0):
    rng = np.random.default_rng(seed)
    return knn_adjacency(rng.standard_normal((n_nodes, n_nodes)), K)


class Step:
    """One training step of either variant on random data."""

    def __init__(self, variant, n_channels, n_targets, n_windows, n_frames, device="cpu"):
        torch.manual_seed(0)
        graphs = {
            "source_adjacency": graph(n_channels), "target_adjacency": graph(n_targets),
        }  # fmt: skip
        if variant == "paper":
            self.net = PaperNet(
                n_channels, n_targets, n_samples=400, n_chunks=N_CHUNKS, t_r=T_R, forcing=1.0,
                n_hidden=HIDDEN, **graphs,
            )  # fmt: skip
            shape = (n_windows, n_channels, n_frames + N_CHUNKS - 1, 400)
        else:
            self.net = SambaNet(
                n_channels, len(CANONICAL_BANDS), n_targets, step=STEP, dt=T_R / STEP,
                n_lags=N_LAGS, **graphs,
            )  # fmt: skip
            for part in self.net.corrections():
                torch.nn.init.ones_(part.gate)
            n_bins = N_LAGS + (n_frames - 1) * STEP
            shape = (n_windows, n_channels, len(CANONICAL_BANDS), n_bins)
        self.net.to(device)
        self.x = torch.randn(shape, device=device)
        if variant != "paper":
            torch.nn.init.normal_(self.net.spatial_map.weight, std=n_channels**-0.5)
        bold = torch.randn(n_windows, n_frames, n_targets, device=device)
        self.previous = torch.randn_like(bold)
        self.target = {"bold": bold, "recording": torch.zeros(n_windows, device=device)}
        self.power = self._features() if variant == "paper" else self.x
        self.variant, self.loss = variant, CenteredCosineLoss()

    def _features(self):
        """Power of coefficients, (n_windows, n_channels, n_coefs, n_chunks)."""
        return chunk_power(self.x).transpose(2, 3)

    def _back(self, frames):
        self.net.zero_grad()
        self.loss(frames, self.target).backward()

    def ours(self):
        """From the signal."""
        if self.variant != "paper":
            return self.cached()
        return self._back(self.net(self._features(), self.previous))

    def cached(self):
        """From features that were computed once."""
        if self.variant != "paper":
            return self._back(self.net(self.power))
        return self._back(self.net(self.power, self.previous))

    def accelerated(self, compiled, mixed):
        """Step as training takes it with ``compile`` and ``mixed_precision``."""
        forward = torch.compile(self.net.forward) if compiled else self.net.forward
        inputs = (self.power, self.previous) if self.variant == "paper" else (self.power,)

        def step():
            with torch.autocast(self.x.device.type, torch.bfloat16, enabled=mixed):
                frames = forward(*inputs)
            self._back(frames.float())

        return step

    def plain(self):
        """From the signal, in plain PyTorch."""
        return self._back(plain_step(self.net, self.x, self.previous))

    def gradients(self):
        return {n: p.grad.clone() for n, p in self.net.named_parameters() if p.grad is not None}


def paper_step(quick, device):
    """Paper scale (quick: a tenth of the batch) against the plain form."""
    size = {**PAPER, "n_windows": 1} if quick else PAPER
    step = Step("paper", **size)
    time = interleaved({"ours": step.ours, "cached": step.cached}, 5)
    plain = seconds(step.plain)
    other = step.gradients()
    step.ours()
    ours = step.gradients()
    error = relative(*(torch.cat([g[name].flatten() for name in ours]) for g in (ours, other)))
    # Both are this far from double precision where a parameter's gradient all but cancels.
    worst = max(relative(ours[name], other[name]) for name in ours)
    name = f"training step, paper, batch {size['n_windows']}, 200 -> 500"
    row = {
        "stage": name, "against": "plain PyTorch: FFT, dense masked attention, cell loop",
        "ours_s": time["ours"], "other_s": plain, "ratio": plain / time["ours"], "goal": ">= 5",
        "error": f"{error:.1e}", "limit": "1e-4",
        "note": f"all gradients; worst parameter {worst:.1e}",
    }  # fmt: skip
    cached = {**row, "stage": f"{name}, features cached", "ours_s": time["cached"]}
    return [row, {**cached, "ratio": plain / time["cached"]}]


def bound(variant, n_channels, n_targets, n_windows, n_frames, roof) -> float:
    """Least seconds of a step: per part, the larger of operations and bytes that must move.

    A part's operations run at the rate of a large matrix product; its inputs and outputs, forward
    and backward, move at the rate of a large copy. A real transform of n samples counts
    2.5 n log2 n operations, an edge feature 7 forward and 16 backward.
    """
    n, m, b, f = n_channels, n_targets, n_windows, n_frames
    parts = []
    if variant == "paper":
        samples, rows, d, heads = b * n * (f + N_CHUNKS - 1) * 400, b * f, HIDDEN, HIDDEN
        tall = b * n * f * 400
        # Transforms: signal, product back, gradient; power read, spectra and results kept and read.
        parts.append((3 * 2.5 * np.log2(8800) * samples, 4.0 * (3 * samples + 2 * tall)))
        parts.append((3 * 2.0 * tall * d, 0.0))
        parts.append((3 * 2.0 * m * d * d * rows, 4.0 * 4 * m * d * rows))
        n_in, shared = (d, d), d
    else:
        bins = N_LAGS + (f - 1) * STEP
        rows, heads, k = b * bins, 16, len(CANONICAL_BANDS)
        parts.append((2 * 2.0 * n * k * rows, 4.0 * 2 * n * k * rows))
        parts.append((5 * 2.5 * np.log2(bins) * m * rows, 4.0 * 6 * m * rows))
        n_in, shared = (k, 1), 1
    parts.append((3 * 2.0 * m * n * shared * rows, 4.0 * 3 * (m + n) * shared * rows))
    for nodes, features in zip((n, m), n_in, strict=True):
        edges = nodes * (K + 1) * heads * rows
        linear = 2 * 3 * 2.0 * nodes * features * heads * rows
        # Neighbours are gathered forward and backward, and their gradients added (read and write).
        parts.append((linear + 23.0 * edges, 4.0 * 4 * edges))
    return sum(max(flops / roof["flops"], moved / roof["bytes"]) for flops, moved in parts)


def against_roofline(quick, device, roof):
    """Steps of both variants from cached features, beside their bound."""
    size = {**PAPER, "n_windows": 2} if quick else PAPER
    rows = []
    for variant in ("default", "paper"):
        step = Step(variant, **size, device=device)
        ways = {"": step.cached}
        if device != "cpu":
            ways[", compiled"] = step.accelerated(compiled=True, mixed=False)
            ways[", bfloat16"] = step.accelerated(compiled=False, mixed=True)
            ways[", compiled, bfloat16"] = step.accelerated(compiled=True, mixed=True)
        least = bound(variant, **size, roof=roof)
        name = f"{variant}, batch {size['n_windows']}, 200 -> 500"
        rows += [
            {
                "step": name + way, "device": device, "ours_s": time, "bound_s": least,
                "times_bound": time / least, "goal": "<= 4",
            }
            for way, time in interleaved(ways, 5).items()
        ]  # fmt: skip
    return rows


def growth(quick):
    """Exponents of time in each size, around a small setting."""
    base = {"n_channels": 50, "n_targets": 100, "n_windows": 4, "n_frames": 30}
    factors = (1, 2, 4, 8) if quick else (1, 2, 4, 8, 16)
    rows = []
    for variant in ("default", "paper"):
        for name in base:
            steps = [Step(variant, **{**base, name: base[name] * f}) for f in factors]
            times = interleaved({f: s.cached for f, s in zip(factors, steps, strict=True)}, 3)
            sizes = [base[name] * f for f in factors]
            row = {"variant": variant, "grows": name, "goal": "<= 1.1"}
            row["exponent"] = exponent(sizes, list(times.values()))
            row |= {"sizes": str(sizes), "seconds": str([round(t, 4) for t in times.values()])}
            rows.append(row)
            del steps
    return rows
