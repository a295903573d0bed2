"""The network: a structured linear core, and graph and recurrent corrections on top of it."""

import math

import torch
from torch import nn

from ..hrf import convolve_frames
from .graph import GraphCorrection
from .hrf import DoubleGammaHRF
from .recurrent import RecurrentCorrection

# Gains start inside (-1, 1), where the hyperbolic tangent still has a gradient.
_GAIN = 0.9


class BandAttention(nn.Module):
    """Softmax attention over frequency bands per node, with one signed gain per node and band."""

    def __init__(self, n_channels: int, n_bands: int, learn: bool = True):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n_channels, n_bands), requires_grad=learn)
        self.raw_gain = nn.Parameter(torch.full((n_channels, n_bands), math.atanh(0.5)))

    @property
    def attention(self) -> torch.Tensor:
        """Attention (n_channels, n_bands); every row sums to 1."""
        return self.logits.softmax(dim=1)

    @property
    def gain(self) -> torch.Tensor:
        """Signed gain (n_channels, n_bands) in (-1, 1)."""
        return torch.tanh(self.raw_gain)

    def set_weights_(self, weights) -> torch.Tensor:
        """Take over signed weights up to a scale per node, which is returned (n_channels,)."""
        weights = torch.as_tensor(weights, dtype=torch.float64)
        size = weights.abs()
        total = size.sum(dim=1)
        if self.logits.requires_grad:
            share = torch.where(total > 0, size.T / torch.where(total > 0, total, 1.0), 1.0).T
            # A weight of exactly zero would have no finite logit.
            logits = share.clamp_min(1e-12).log()
            gain = torch.full_like(weights, _GAIN).where(weights >= 0, -_GAIN)
            scale = total / _GAIN
        else:
            logits = torch.zeros_like(weights)
            largest = size.amax(dim=1)
            gain = _GAIN * weights / torch.where(largest > 0, largest, 1.0)[:, None]
            scale = largest * weights.shape[1] / _GAIN
        with torch.no_grad():
            self.logits.copy_(logits - logits.mean(dim=1, keepdim=True))
            self.raw_gain.copy_(gain.atanh())
        return scale

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        """Band power (..., n_channels, n_bands, n_bins) -> drive (..., n_channels, n_bins)."""
        return torch.einsum("...nkt,nk->...nt", power, self.attention * self.gain)


class SambaNet(nn.Module):
    """Band power of electrophysiology to BOLD at frame times.

    Steps, in the order of the method: band attention per node, source graph attention, a spatial
    map from nodes to targets, target graph attention, one haemodynamic response per target, and a
    recurrent residual over frames. Graph attention and recurrence start at zero: the network is
    then the structured linear core, exactly.

    Input ``(n_windows, n_channels, n_bands, n_lags + (n_frames - 1) * step)``: standardised
    band power, whose last bins before a frame are its most recent history. Output
    ``(n_windows, n_frames, n_targets)``. Where ``n_lags`` is 1 there is no history and no response.
    """

    def __init__(
        self, n_channels: int, n_bands: int, n_targets: int, *, step: int, dt: float, n_lags: int,
        source_adjacency=None, target_adjacency=None, recurrent: str | None = "lstm",
        hrf: str = "double_gamma", hrf_bounds: str = "human", band_attention: bool = True,
        n_hidden: int = 32, target_bands: bool = False, learn_edges: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.step, self.dt, self.n_lags = step, dt, n_lags
        self.bands = BandAttention(n_channels, n_bands, band_attention)
        self.source_graph = self.target_bands = self.target_graph = self.recurrent = None
        if source_adjacency is not None:
            self.source_graph = GraphCorrection(source_adjacency, n_bands, learn_edges=learn_edges)
        self.spatial_map = nn.Linear(n_channels, n_targets, bias=False)
        if target_bands:
            self.target_bands = nn.Linear(n_channels * n_bands, n_targets, bias=False)
        if target_adjacency is not None:
            self.target_graph = GraphCorrection(target_adjacency, 1)
        self.hrf = None
        if n_lags > 1 and hrf != "fir":
            self.hrf = DoubleGammaHRF(n_targets, bounds=hrf_bounds)
            if hrf == "canonical":
                self.hrf.requires_grad_(False)
        elif n_lags > 1:
            self.kernel = nn.Parameter(torch.zeros(n_targets, n_lags))
        self.intercept = nn.Parameter(torch.zeros(n_targets))
        if recurrent is not None:
            self.recurrent = RecurrentCorrection(n_targets, recurrent, n_hidden)

    @property
    def lags(self) -> torch.Tensor:
        """Centre of each bin of history, in seconds before the frame, the most recent first."""
        like = self.intercept
        return (torch.arange(self.n_lags, dtype=like.dtype, device=like.device) + 0.5) * self.dt

    def response(self) -> torch.Tensor:
        """Response of every target at the lags, (n_targets, n_lags)."""
        if self.hrf is not None:
            return self.hrf(self.lags)
        if self.n_lags > 1:
            return self.kernel
        return torch.ones_like(self.intercept)[:, None]

    def set_grid_(self, *, step: int, dt: float) -> None:
        """Move to another frame grid: responses are continuous in time."""
        # Rounded down, as grids of frames are: a bin more would cost every window a frame.
        n_lags = max(1, int(self.n_lags * self.dt / dt + 1e-6)) if self.n_lags > 1 else 1
        if self.hrf is None and self.n_lags > 1 and dt != self.dt:
            # Free responses are smooth: between the centres of bins they are straight lines.
            like = self.kernel
            place = (torch.arange(n_lags, dtype=like.dtype, device=like.device) + 0.5) * dt
            place = (place / self.dt - 0.5).clamp(0, self.n_lags - 1)
            low = place.floor().long().clamp_max(self.n_lags - 2)
            part = place - low
            moved = (1 - part) * like[:, low] + part * like[:, low + 1]
            self.kernel = nn.Parameter(moved.detach(), requires_grad=like.requires_grad)
        self.n_lags, self.step, self.dt = n_lags, step, dt

    def attentions(self, power: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Mean attention between nodes and between targets; None where there is no graph."""
        source, target = self.source_graph, self.target_graph
        return (
            None if source is None else source.attention(power.transpose(-1, -2)),
            None if target is None else target.attention(self._mapped(power).unsqueeze(-1)),
        )

    def drive(self, power: torch.Tensor, **hidden: torch.Tensor) -> torch.Tensor:
        """Neural drive of every target, (n_windows, n_targets, n_bins).

        Features of graphs, by name, are computed where they are not given as ``hidden``.
        """
        drive = self._mapped(power, hidden.get("source_graph"))
        if self.target_graph is not None:
            drive = drive + self.target_graph(drive.unsqueeze(-1), hidden.get("target_graph"))
        return drive

    def _mapped(self, power: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
        """Drive of every target before the target graph."""
        nodes = self.bands(power)
        if self.source_graph is not None:
            nodes = nodes + self.source_graph(power.transpose(-1, -2), hidden)
        drive = torch.einsum("bnt,mn->bmt", nodes, self.spatial_map.weight)
        if self.target_bands is not None:
            drive = drive + torch.einsum(
                "bft,mf->bmt", power.flatten(1, 2), self.target_bands.weight
            )
        return drive

    def convolved(self, drive: torch.Tensor, targets=slice(None)) -> torch.Tensor:
        """Frames (..., n_frames) of the drive (..., n_bins) of some targets, last but one axis."""
        return convolve_frames(drive, self.response()[targets], self.step) * self.dt

    def frames_alone(self, power: torch.Tensor, **hidden: torch.Tensor) -> torch.Tensor:
        """Frames by their own history, before the recurrence, (n_windows, n_frames, n_targets)."""
        return self.convolved(self.drive(power, **hidden)).transpose(1, 2) + self.intercept

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        """Predict frames (n_windows, n_frames, n_targets) from band power."""
        return self.in_sequence(self.frames_alone(power))

    def in_sequence(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames of windows after the recurrence."""
        return frames if self.recurrent is None else frames + self.recurrent(frames)

    def corrections(self) -> list[nn.Module]:
        """List the parts beyond the linear core."""
        parts = (self.source_graph, self.target_graph, self.recurrent)
        return [part for part in parts if part is not None]

    def set_core_(
        self, *, weights, spatial_map, intercept, hrf_params=None, kernel=None, extra=None
    ) -> None:
        """Take over a fitted linear core.

        ``weights`` (n_channels, n_bands); ``spatial_map`` (n_targets, n_channels);
        ``intercept`` (n_targets,); ``hrf_params`` (n_targets, 6); ``kernel`` (n_targets,
        n_lags); ``extra`` (n_targets, n_channels, n_bands).
        """
        scale = self.bands.set_weights_(weights)
        with torch.no_grad():
            self.spatial_map.weight.copy_(torch.as_tensor(spatial_map) * scale)
            self.intercept.copy_(torch.as_tensor(intercept))
            if self.target_bands is not None:
                given = 0.0 if extra is None else torch.as_tensor(extra).flatten(1)
                self.target_bands.weight.zero_().add_(given)
            if self.hrf is not None:
                self.hrf.set_params_(hrf_params)
            elif self.n_lags > 1:
                self.kernel.copy_(torch.as_tensor(kernel))
