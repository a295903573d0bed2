"""The parts of NeuroBOLT (Li et al., NeurIPS 2024), written from its description."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

# Samples of a patch, one second; blocks of the spectrum last from half a second to four.
PATCH = 200
BLOCKS = (100, 200, 400, 800)
# Rows of the table of electrodes, and features of a patch per filter of its convolutions.
N_PLACES, PER_FILTER = 128, 25
_MLP, _DROPOUT, _SPECTRUM_DROPOUT, _DROP_PATH, _LAYER_SCALE = 4, 0.1, 0.2, 0.1, 0.1
_EPS = 1e-6


class NeuroBOLTNet(nn.Module):
    r"""Voltages to BOLD of all regions at once, with a lag that is learnt.

    ==============================================  ==============================================
    paper                                           here
    ==============================================  ==============================================
    spatio-temporal encoder (LaBraM's transformer)  ``temporal`` (``PatchTransformer``)
    multi-scale spectral encoder                    ``spectral`` (``SpectralTransformer``)
    sum of both, GELU, linear head                  ``head``
    ==============================================  ==============================================

    Input ``(n_windows, n_channels, n_samples, n_lags + n_frames - 1)``: the signal between frames
    in units of 100 microvolts, at 200 samples per second; the chunk at ``n_lags - 1`` ends at the
    first frame. Output ``(n_windows, n_frames, n_targets)``: every frame from the ``window``
    seconds before it alone, of which each channel's mean is removed. ``places`` are the rows of
    channels in the table of electrodes.
    """

    def __init__(
        self, n_channels: int, n_targets: int, *, n_samples: int, n_lags: int, places: list[int],
        window: int = 16, n_embed: int = 200, depth: int = 12, n_heads: int = 10,
        spectrum_depth: int = 4, n_spectrum_heads: int = 8,
    ):  # fmt: skip
        super().__init__()
        self.n_lags, self.n_times = n_lags, window * PATCH
        if n_samples * n_lags < self.n_times or len(places) != n_channels:
            raise ValueError("Chunks do not hold a window, or places are not those of channels.")
        self.temporal = PatchTransformer(places, window, n_embed, depth, n_heads)
        self.spectral = SpectralTransformer(
            n_channels, window, n_embed, spectrum_depth, n_spectrum_heads
        )
        self.head = nn.Linear(n_embed, n_targets)
        with torch.no_grad():
            self.head.weight *= 1e-3

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        """Frames (n_windows, n_frames, n_targets) of chunks of signal."""
        n_windows, n_channels, n_samples, _ = power.shape
        signal = power.transpose(2, 3).flatten(2)
        epochs = signal.unfold(2, self.n_lags * n_samples, n_samples)[..., -self.n_times :]
        epochs = epochs.transpose(1, 2).reshape(-1, n_channels, self.n_times)
        epochs = epochs - epochs.mean(dim=-1, keepdim=True)
        both = self.temporal(epochs) + self.spectral(epochs)
        return self.head(F.gelu(both)).unflatten(0, (n_windows, -1))


class PatchTransformer(nn.Module):
    """Patches of one second of every channel, attending to each other: (n_epochs, n_embed)."""

    def __init__(self, places: list[int], window: int, n_embed: int, depth: int, n_heads: int):
        super().__init__()
        self.register_buffer("places", torch.tensor(places), persistent=False)
        self.patches = PatchFeatures(n_embed // PER_FILTER)
        self.cls = nn.Parameter(torch.empty(1, 1, n_embed))
        self.place_embedding = nn.Parameter(torch.empty(1, N_PLACES + 1, n_embed))
        self.time_embedding = nn.Parameter(torch.empty(1, window, n_embed))
        self.dropout = nn.Dropout(_DROPOUT)
        self.blocks = nn.ModuleList(
            Block(n_embed, n_heads, _DROP_PATH * i / max(1, depth - 1)) for i in range(depth)
        )
        self.norm = nn.LayerNorm(n_embed, eps=_EPS)
        for table in (self.cls, self.place_embedding, self.time_embedding):
            nn.init.trunc_normal_(table, std=0.02)
        for layer, block in enumerate(self.blocks, start=1):
            block.init_(math.sqrt(2.0 * layer))

    def forward(self, epochs: torch.Tensor) -> torch.Tensor:
        """Features (n_epochs, n_embed) of epochs (n_epochs, n_channels, n_times)."""
        n_epochs, n_channels, _ = epochs.shape
        tokens = self.patches(epochs.reshape(n_epochs, -1, PATCH))
        tokens = tokens.unflatten(1, (n_channels, -1))
        # Row 0 of the table belongs to the first token, which is of no electrode.
        tokens = tokens + self.place_embedding[:, 1 + self.places, None] + self.time_embedding
        first = (self.cls + self.place_embedding[:, :1]).expand(n_epochs, -1, -1)
        tokens = self.dropout(torch.cat([first, tokens.flatten(1, 2)], dim=1))
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 1:].mean(dim=1))


class PatchFeatures(nn.Module):
    """Three convolutions in time: patches (n_epochs, n_patches, 200) to their features."""

    def __init__(self, n_filters: int):
        super().__init__()
        n_groups = math.gcd(4, n_filters)
        self.first = nn.Conv2d(1, n_filters, (1, 15), stride=(1, 8), padding=(0, 7))
        self.second = nn.Conv2d(n_filters, n_filters, (1, 3), padding=(0, 1))
        self.third = nn.Conv2d(n_filters, n_filters, (1, 3), padding=(0, 1))
        self.norms = nn.ModuleList(nn.GroupNorm(n_groups, n_filters) for _ in range(3))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Features (n_epochs, n_patches, 25 * n_filters), filters side by side at every time."""
        x = patches.unsqueeze(1)
        for conv, norm in zip((self.first, self.second, self.third), self.norms, strict=True):
            x = F.gelu(norm(conv(x)))
        return x.permute(0, 2, 3, 1).flatten(2)


class Block(nn.Module):
    """Attention of all tokens to all, and a perceptron: (n_epochs, n_tokens, n_embed)."""

    def __init__(self, n_embed: int, n_heads: int, drop_path: float):
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(n_embed, eps=_EPS)
        self.qkv = nn.Linear(n_embed, 3 * n_embed, bias=False)
        self.q_norm = nn.LayerNorm(n_embed // n_heads, eps=_EPS)
        self.k_norm = nn.LayerNorm(n_embed // n_heads, eps=_EPS)
        self.projection = nn.Linear(n_embed, n_embed)
        self.scale = nn.Parameter(torch.full((n_embed,), _LAYER_SCALE))
        self.mlp_norm = nn.LayerNorm(n_embed, eps=_EPS)
        self.mlp = perceptron(n_embed)
        self.mlp_scale = nn.Parameter(torch.full((n_embed,), _LAYER_SCALE))
        self.dropout, self.drop_path = nn.Dropout(_DROPOUT), DropPath(drop_path)

    def init_(self, divisor: float) -> None:
        """Draw start values; what is added to the tokens is the smaller, the deeper."""
        for layer in (self.qkv, self.projection, self.mlp[0], self.mlp[2]):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.projection.weight /= divisor
            self.mlp[2].weight /= divisor

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens of the same shape."""
        qkv = self.qkv(self.norm(tokens)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        found = self.dropout(self.projection(found.transpose(1, 2).flatten(2)))
        tokens = tokens + self.drop_path(self.scale * found)
        found = self.dropout(self.mlp(self.mlp_norm(tokens)))
        return tokens + self.drop_path(self.mlp_scale * found)


class DropPath(nn.Module):
    """Leave a branch out for some epochs in training (stochastic depth, Huang et al. 2016)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, branch: torch.Tensor) -> torch.Tensor:
        """Branch (n_epochs, ...), zero or larger by as much as is left out on average."""
        if not self.training or not self.rate:
            return branch
        shape = (len(branch),) + (1,) * (branch.ndim - 1)
        return branch * branch.new_empty(shape).bernoulli_(1 - self.rate) / (1 - self.rate)


class SpectralTransformer(nn.Module):
    """Amplitude spectra at four scales of time, attending to each other: (n_epochs, n_embed)."""

    def __init__(self, n_channels: int, window: int, n_embed: int, depth: int, n_heads: int):
        super().__init__()
        n_times, n_steps = window * PATCH, window * PATCH // BLOCKS[0]
        self.spectra = nn.ModuleList(nn.Linear(n // 2 + 1, n_embed) for n in BLOCKS)
        self.times = nn.ModuleList(nn.Linear(n_times // n, n_steps) for n in BLOCKS)
        self.channel_embedding = nn.Parameter(torch.randn(n_channels, 1, n_embed))
        self.register_buffer("positions", sinusoids(n_steps, n_embed), persistent=False)
        self.dropout = nn.Dropout(_DROPOUT)
        self.blocks = nn.ModuleList(LinearBlock(n_embed, n_heads) for _ in range(depth))

    def forward(self, epochs: torch.Tensor) -> torch.Tensor:
        """Features (n_epochs, n_embed) of epochs (n_epochs, n_channels, n_times)."""
        tokens = 0
        for size, spectrum, time in zip(BLOCKS, self.spectra, self.times, strict=True):
            amplitude = torch.fft.rfft(epochs.unflatten(2, (-1, size))).abs()
            tokens = tokens + time(spectrum(amplitude).transpose(2, 3))
        tokens = tokens.transpose(2, 3) + self.channel_embedding + self.positions.to(epochs.dtype)
        tokens = self.dropout(tokens).flatten(1, 2)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens.mean(dim=1)


class LinearBlock(nn.Module):
    """Linear attention (Shen et al. 2021), and a perceptron: (n_epochs, n_tokens, n_embed)."""

    def __init__(self, n_embed: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.norm, self.mlp_norm = nn.LayerNorm(n_embed), nn.LayerNorm(n_embed)
        self.qkv = nn.Linear(n_embed, 3 * n_embed, bias=False)
        self.projection = nn.Linear(n_embed, n_embed)
        self.mlp = perceptron(n_embed)
        self.dropout = nn.Dropout(_SPECTRUM_DROPOUT)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens of the same shape; cost grows with their number, not with its square."""
        qkv = self.qkv(self.norm(tokens)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (n_epochs, n_heads, n_tokens, n_features)
        q = q.softmax(dim=-1) * q.shape[-1] ** -0.5
        found = q @ (k.softmax(dim=-2).transpose(2, 3) @ v)
        tokens = tokens + self.dropout(self.projection(found.transpose(1, 2).flatten(2)))
        return tokens + self.mlp(self.mlp_norm(tokens))


def perceptron(n_embed: int) -> nn.Sequential:
    """One hidden layer, four times as wide."""
    width = _MLP * n_embed
    return nn.Sequential(nn.Linear(n_embed, width), nn.GELU(), nn.Linear(width, n_embed))


def sinusoids(n_steps: int, n_embed: int) -> torch.Tensor:
    """Sines and cosines of places in time (n_steps, n_embed), of wavelengths from 6 to 60000."""
    places = torch.arange(0, n_embed, 2, dtype=torch.float64)
    angles = torch.arange(n_steps)[:, None] * torch.exp(places * (-math.log(1e4) / n_embed))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :n_embed]
