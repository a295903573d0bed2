"""The network of the way back: BOLD to band power of electrophysiology."""

import math

import torch
from torch import nn

from .._as_written import as_written
from ..wavelets.matrices import deepest_level
from .bipartite import BipartiteAttention
from .graph import GraphCorrection
from .hrf import DoubleGammaHRF
from .wavelet import wavedec, waverec

__all__ = ["Deconvolution", "InverseNet", "SkipLoss", "frame_level"]

WAVELET = "db2"  # of envelopes over frames


@as_written
def frame_level(n_frames: int) -> int:
    """Levels of the wavelet transform over frames, at most four."""
    return min(max(deepest_level(n_frames, WAVELET), 1), 4)


class Deconvolution(nn.Module):
    """Regularised pseudo-inverse of one learnt response per target.

    At every frequency, ``conj(H) / (|H|^2 + penalty)``: where the response passes next to nothing,
    nothing is made up.
    """

    def __init__(self, n_targets: int, n_lags: int, t_r: float, hrf_bounds: str = "human"):
        super().__init__()
        self.n_lags, self.t_r = n_lags, t_r
        self.hrf = DoubleGammaHRF(n_targets, bounds=hrf_bounds)
        self.log_penalty = nn.Parameter(torch.full((n_targets,), math.log(0.3)))

    def kernel(self) -> torch.Tensor:
        """Responses (n_targets, n_lags) of unit norm, per bin of one frame."""
        lags = torch.arange(self.n_lags).to(self.log_penalty)
        kernel = self.hrf((lags + 0.5) * self.t_r)
        return kernel / kernel.norm(dim=1, keepdim=True)

    def forward(self, bold: torch.Tensor) -> torch.Tensor:
        """BOLD (n_windows, n_targets, n_frames) -> drive, bin t being that before frame t + 1."""
        n_frames = bold.shape[-1]
        n_fft = n_frames + 2 * self.n_lags
        response = torch.fft.rfft(self.kernel(), n_fft)
        power = response.abs().square()
        inverse = response.conj() / (power + self.log_penalty.exp()[:, None])
        # Mixed precision ends here: no transform is in bfloat16.
        bold = bold.to(torch.promote_types(bold.dtype, power.dtype))
        drive = torch.fft.irfft(inverse * torch.fft.rfft(bold, n_fft), n_fft)
        return drive.roll(-1, dims=-1)[..., :n_frames]


class InverseNet(nn.Module):
    """BOLD frames to log band power of every node, one bin per frame.

    A filter over frames (the encoding model inverted by Bayes) gives band power. What a gated
    branch adds: deconvolution of every target by its own response, target graph attention,
    attention of nodes over the targets they resemble (M targets down to N nodes), and for every
    band a head that writes wavelet coefficients level by level, which are added to those of the
    filter's output and transformed back. Gates start at zero: the network is then the filter.

    ``target_adjacency`` (n_targets, n_targets); ``down_adjacency`` (n_channels, n_targets).

    Input ``(n_windows, n_before + n_frames + n_after, n_targets)``, output ``(n_windows,
    n_channels, n_bands, n_frames)``.
    """

    def __init__(
        self, n_targets: int, n_channels: int, n_bands: int, *, n_before: int, n_after: int,
        t_r: float, n_lags: int, level: int, target_adjacency=None, down_adjacency=None,
        hrf_bounds: str = "human",
    ):  # fmt: skip
        super().__init__()
        self.n_before, self.n_after = n_before, n_after
        self.sizes, self.level = (n_channels, n_bands), level
        self.filter = nn.Conv1d(n_targets, n_channels * n_bands, n_before + n_after + 1)
        self.branch = None
        if target_adjacency is not None:
            self.branch = _Branch(
                target_adjacency, down_adjacency, n_bands, n_lags, t_r, level, hrf_bounds
            )

    def set_filter_(self, filters) -> None:
        """Take over filters (n_channels * n_bands, n_targets, n_before + n_after + 1)."""
        with torch.no_grad():
            self.filter.weight.copy_(torch.as_tensor(filters))
            self.filter.bias.zero_()

    def coefficients(self, bold: torch.Tensor) -> list[torch.Tensor]:
        """Wavelet coefficients over frames, ``[cA_n, cD_n, ..., cD_1]``, of band power."""
        bold = bold.transpose(1, 2)
        power = self.filter(bold).unflatten(1, self.sizes)
        coefs = wavedec(power, WAVELET, self.level)
        if self.branch is None:
            return coefs
        inside = slice(self.n_before, self.n_before + power.shape[-1])
        return [a + b for a, b in zip(coefs, self.branch(bold, inside), strict=True)]

    def forward(self, bold: torch.Tensor) -> torch.Tensor:
        """Band power from BOLD with its margins."""
        n_frames = bold.shape[1] - self.n_before - self.n_after
        return waverec(self.coefficients(bold), WAVELET, n_times=n_frames)


class _Branch(nn.Module):
    """Deconvolution, graphs and heads; nothing at the start."""

    def __init__(self, targets, down, n_bands, n_lags, t_r, level, hrf_bounds):
        super().__init__()
        n_hidden, n_heads, self.level = 4, 4, level
        self.deconvolution = Deconvolution(len(targets), n_lags, t_r, hrf_bounds)
        self.target_graph = GraphCorrection(targets, 1, n_hidden, n_heads)
        self.down = BipartiteAttention(down, 1, n_hidden, n_heads)
        width = n_hidden * n_heads
        # One map per level, node and band from the node's hidden time courses.
        self.heads = nn.Parameter(torch.randn(level + 1, len(down), n_bands, width) / width**0.5)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, bold: torch.Tensor, inside: slice) -> list[torch.Tensor]:
        """Coefficients by level that are added to the filter's, of BOLD with its margins."""
        drive = self.deconvolution(bold)[..., inside]
        drive = drive + self.target_graph(drive.unsqueeze(-1))
        hidden = self.down(drive.transpose(1, 2).unsqueeze(-1))  # windows, frames, nodes, width
        coefs = wavedec(hidden.permute(0, 2, 3, 1), WAVELET, self.level)
        return [
            self.gate * torch.einsum("bnft,nkf->bnkt", coef, head)
            for coef, head in zip(coefs, self.heads, strict=True)
        ]


class SkipLoss(nn.Module):
    """Mean squared error of wavelet coefficients, level by level, and of what they make.

    Bins that are not to be learnt from are NaN in the target; there, the prediction itself stands
    in, so that they pull nowhere.
    """

    def forward(self, pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss of band power ``(..., n_frames)``."""
        valid = torch.isfinite(target)
        target = torch.where(valid, target, pred.detach())
        error = (pred - target).square().sum() / valid.sum().clamp_min(1)
        level = frame_level(pred.shape[-1])
        pairs = zip(wavedec(pred, WAVELET, level), wavedec(target, WAVELET, level), strict=True)
        skips = torch.stack([(a - b).square().mean() for a, b in pairs])
        return error + skips.mean()
