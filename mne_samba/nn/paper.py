"""The parts of the published network (SAMBA, arXiv 2409.18462), response after the wavelets."""

import torch
from torch import nn

from .graph import GraphAttention
from .hrf import DoubleGammaHRF
from .paper_decoder import FrameDecoder
from .paper_response import node_features
from .wavelet import wavedec

WAVELET, N_LEVELS, MODE, N_HEADS = "db5", 3, "periodization", 4


def level_sizes(n_samples: int) -> tuple[int, ...]:
    """Coefficients per level of a chunk: approximation, then details from coarse to fine."""
    sizes = []
    for _ in range(N_LEVELS):
        n_samples = -(-n_samples // 2)
        sizes.append(n_samples)
    return (sizes[-1], *sizes[::-1])


def chunk_power(chunks: torch.Tensor) -> torch.Tensor:
    """Squared db5 coefficients (..., n_coefs) of chunks (..., n_samples), as in `level_sizes`."""
    return torch.cat(wavedec(chunks, WAVELET, N_LEVELS, MODE), dim=-1).square_()


class PaperNet(nn.Module):
    r"""Electrophysiology to BOLD by the paper's parts.

    ==============================================  ==============================================
    paper                                           here
    ==============================================  ==============================================
    wavelet decomposition, db5, three levels        `chunk_power`, per chunk of one frame interval
    learnable HRF, six parameters, per parcel       ``hrf`` (``DoubleGammaHRF``), causal, by FFT
    hidden features per level                       ``levels``, one linear map per level
    softmax attention over bands, per parcel        ``logits``
    graph attention on the source graph             ``source_graph`` (GATv2, four heads)
    one-layer map :math:`\phi_m` of each target     ``spatial_map`` times ``mixing``
    graph attention on the target graph             ``target_graph``
    LSTM over frames, teacher forcing               ``decoder`` (``FrameDecoder``)
    1 - cosine over time, per target                `CenteredCosineLoss`
    ==============================================  ==============================================

    Input ``(n_windows, n_channels, n_coefs, n_chunks + n_frames - 1)``: standardised power of
    wavelet coefficients; the chunk at ``n_chunks - 1`` ends at the first frame. Output
    ``(n_windows, n_frames, n_targets)``.

    The paper convolves the voltage with the response and decomposes the result. Both steps are
    linear and commute, and at 4 to 40 Hz a response's gain is about -160 dB: no rhythm
    would be left. BOLD follows power. The same two steps are therefore taken in the other order,
    with the square between them: response * abs(wavelet coefficients)^2, at the coefficients' own
    rates, which together hold as many numbers as the signal.

    :math:`\phi_m` is factorised, ``mixing[m] @ sum_n spatial_map[m, n] x_n``: its cost grows
    with nodes times targets once, not once per feature and parameter.
    """

    def __init__(
        self, n_channels: int, n_targets: int, *, n_samples: int, n_chunks: int, t_r: float,
        source_adjacency=None, target_adjacency=None, recurrent: str | None = "lstm",
        hrf_bounds: str = "human", learn_hrf: bool = True, band_attention: bool = True,
        n_hidden: int = 32, forcing: float = 0.5, learn_edges: bool = False,
    ):  # fmt: skip
        super().__init__()
        # As of other forward networks: bins of history, bins per frame, and seconds of a bin.
        self.n_lags, self.step, self.dt = n_chunks, 1, t_r
        self.forcing = forcing
        self.sizes = level_sizes(n_samples)
        self.hrf = DoubleGammaHRF(n_channels, bounds=hrf_bounds).requires_grad_(learn_hrf)
        self.levels = nn.ParameterList(_level_maps(self.sizes, n_hidden))
        # The loss is centred: a constant matters only where something non-linear follows it.
        curved = target_adjacency is not None or recurrent is not None
        self.level_bias = nn.Parameter(
            torch.zeros(n_hidden), requires_grad=curved or source_adjacency is not None
        )
        self.logits = nn.Parameter(
            torch.zeros(n_channels, len(self.sizes)), requires_grad=band_attention
        )
        self.source_graph = four_heads(source_adjacency, n_hidden, learn_edges)
        self.spatial_map = nn.Parameter(torch.empty(n_targets, n_channels))
        self.mixing = nn.Parameter(torch.empty(n_targets, n_hidden, n_hidden))
        self.mixing_bias = nn.Parameter(torch.zeros(n_targets, n_hidden, 1), requires_grad=curved)
        self.target_graph = four_heads(target_adjacency, n_hidden)
        self.readout = nn.Parameter(torch.empty(n_targets, 1, n_hidden))
        self.decoder = None if recurrent is None else FrameDecoder(n_targets, recurrent, n_hidden)
        nn.init.normal_(self.spatial_map, std=n_channels**-0.5)
        nn.init.normal_(self.mixing, std=n_hidden**-0.5)
        nn.init.normal_(self.readout, std=n_hidden**-0.5)

    @property
    def attention(self) -> torch.Tensor:
        """Attention over levels (n_channels, n_levels); every row sums to 1."""
        return self.logits.softmax(dim=1)

    @property
    def recurrent(self) -> nn.Module | None:
        """What makes frames depend on frames before them."""
        return self.decoder

    def response(self) -> torch.Tensor:
        """Responses of nodes in bins of one frame, (n_channels, n_lags)."""
        return self.hrf((torch.arange(self.n_lags).to(self.logits) + 0.5) * self.dt)

    def kernels(self) -> list[torch.Tensor]:
        """Attention-weighted response of every node at each level's rate, most recent lag first.

        Convolution is linear: weighting responses costs nothing, weighting signals would.
        """
        # Every coefficient of a frame's chunk has this much history inside the input.
        n_lags = [(self.n_lags - 1) * size + 1 for size in self.sizes]
        widths = [self.dt / size for size in self.sizes]
        pairs = zip(n_lags, widths, strict=True)
        lags = torch.cat([(torch.arange(n).to(self.logits) + 0.5) * dt for n, dt in pairs])
        weights = self.attention * self.logits.new_tensor(widths)
        responses = self.hrf(lags).split(n_lags, dim=1)
        return [r * weights[:, [level]] for level, r in enumerate(responses)]

    def hidden(self, power: torch.Tensor) -> torch.Tensor:
        """Features of nodes, (n_channels, n_hidden, n_windows * n_frames)."""
        features = node_features(power.transpose(2, 3), self.n_lags, self.kernels(), self.levels)
        return features + self.level_bias[:, None]

    def attentions(self, power: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Mean attention between nodes and between targets; None where there is no graph."""
        source, target = self.source_graph, self.target_graph
        return (
            None if source is None else source.mean_weights(self.hidden(power).permute(2, 0, 1)),
            None if target is None else target.mean_weights(self._mapped(power).permute(2, 0, 1)),
        )

    def frames_alone(self, power: torch.Tensor) -> torch.Tensor:
        """Readout of targets before the decoder, (n_windows, n_frames, n_targets)."""
        targets = self._mapped(power)
        if self.target_graph is not None:
            targets = targets + nn.functional.elu_(self.target_graph.columns(targets))
        frames = torch.bmm(self.readout, targets)[:, 0]
        return frames.view(len(frames), len(power), -1).permute(1, 2, 0)

    def in_sequence(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames of windows after the decoder."""
        return frames if self.decoder is None else self.decoder(frames)

    def _mapped(self, power: torch.Tensor) -> torch.Tensor:
        """Features of targets before their graph, (n_targets, n_hidden, n_windows * n_frames)."""
        nodes = self.hidden(power)
        if self.source_graph is not None:
            nodes = nodes + nn.functional.elu_(self.source_graph.columns(nodes))
        targets = (self.spatial_map @ nodes.flatten(1)).view(-1, *nodes.shape[1:])
        return torch.bmm(self.mixing, targets).add_(self.mixing_bias)

    def forward(self, power: torch.Tensor, previous: torch.Tensor | None = None) -> torch.Tensor:
        """Predict frames.

        ``power`` (n_windows, n_channels, n_coefs, n_chunks + n_frames - 1); ``previous``
        (n_windows, n_frames, n_targets); returns ``frames`` (n_windows, n_frames, n_targets).
        """
        readout = self.frames_alone(power)
        if self.decoder is None or not self.training or previous is None:
            return self.in_sequence(readout)
        own = nn.functional.pad(readout.detach()[:, :-1], (0, 0, 1, 0))
        forced = torch.rand(len(readout), 1, 1, device=readout.device) < self.forcing
        return self.decoder(readout, torch.where(forced, previous, own))


def four_heads(adjacency, n_hidden: int, learn_edges: bool = False) -> GraphAttention | None:
    """Attention of the four heads, n_hidden features in and out; None without a graph."""
    if adjacency is None:
        return None
    if n_hidden % N_HEADS:
        raise ValueError(f"n_hidden must be a multiple of {N_HEADS} heads, got {n_hidden}.")
    width = n_hidden // N_HEADS
    return GraphAttention(adjacency, n_hidden, width, N_HEADS, learn_edges=learn_edges)


def _level_maps(sizes: tuple[int, ...], n_hidden: int) -> list[nn.Parameter]:
    """Linear maps (size, n_hidden), one per level."""
    # After the response a chunk varies slowly: begin with its mean, in all features differently.
    maps = []
    for size in sizes:
        mean = torch.randn(1, n_hidden) / size
        maps.append(nn.Parameter(mean + 0.1 * torch.randn(size, n_hidden) / size))
    return maps
