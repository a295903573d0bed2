"""BOLD to electrophysiology by the parts of the paper (SAMBA, arXiv 2409.18462)."""

import torch
from torch import nn

from .inverse import WAVELET, Deconvolution, frame_level
from .loss import CenteredCosineLoss
from .paper import four_heads
from .wavelet import wavedec, waverec


class InversePaperNet(nn.Module):
    r"""BOLD to band power of electrophysiology in the paper's order of parts.

    ==============================================  ==============================================
    paper                                           here
    ==============================================  ==============================================
    hidden features of targets                      ``embed``, one linear map per target
    graph attention on the target graph             ``target_graph`` (GATv2, four heads)
    one-layer map of each node, M targets to N      ``spatial_map`` times ``mixing``
    graph attention on the source graph             ``source_graph`` (GATv2, four heads)
    wavelet coefficients per level                  ``levels`` (one layer each) and ``heads``
    skip losses, MSE per level                      `InversePaperLoss`, against `true_coefficients`
    inverse wavelet transform                       ``waverec`` in `evoked`
    pseudo-inverse of the HRF of each parcel        ``deconvolution`` (``Deconvolution``), per node
    1 - cosine over time, per node                  `InversePaperLoss`, per node and band
    ==============================================  ==============================================

    Input ``(n_windows, n_frames, n_targets)``, output ``(n_windows, n_channels, n_bands,
    n_frames)``, bin k lying between frames k and k + 1.

    The paper's wavelets and pseudo-inverse act on the voltage. At 4 to 40 Hz a response's gain is
    about -160 dB, and its regularised inverse passes as little: no rhythm would come back. As in
    `mne_samba.nn.paper.PaperNet`, they act on power instead, here on log band power over frames.
    """

    def __init__(
        self, n_targets: int, n_channels: int, n_bands: int, *, n_frames: int, t_r: float,
        n_lags: int, target_adjacency=None, source_adjacency=None, hrf_bounds: str = "human",
        learn_hrf: bool = True, n_hidden: int = 32,
    ):  # fmt: skip
        super().__init__()
        self.level, self.n_lags = frame_level(n_frames), n_lags
        self.embed = nn.Parameter(torch.randn(n_targets, n_hidden, 1))
        self.target_graph = four_heads(target_adjacency, n_hidden)
        self.spatial_map = nn.Parameter(torch.empty(n_channels, n_targets))
        self.mixing = nn.Parameter(torch.empty(n_channels, n_hidden, n_hidden))
        self.mixing_bias = nn.Parameter(torch.zeros(n_channels, n_hidden, 1))
        self.source_graph = four_heads(source_adjacency, n_hidden)
        # Details have no mean to which an offset could belong.
        self.levels = nn.ModuleList(
            nn.Linear(n_hidden, n_hidden, bias=i == 0) for i in range(self.level + 1)
        )
        self.heads = nn.Parameter(torch.empty(self.level + 1, n_channels, n_bands, n_hidden))
        self.deconvolution = Deconvolution(n_channels, n_lags, t_r, hrf_bounds)
        self.deconvolution.hrf.requires_grad_(learn_hrf)
        nn.init.normal_(self.spatial_map, std=n_targets**-0.5)
        nn.init.normal_(self.mixing, std=n_hidden**-0.5)
        # BOLD tells a little of band power: begin close to nothing.
        nn.init.normal_(self.heads, std=0.1 * n_hidden**-0.5)

    def hidden(self, bold: torch.Tensor) -> torch.Tensor:
        """Features of nodes, (n_windows, n_channels, n_hidden, n_frames)."""
        n_windows, n_frames, n_targets = bold.shape
        targets = self.embed * bold.reshape(-1, n_targets).T[:, None]
        if self.target_graph is not None:
            targets = targets + nn.functional.elu(self.target_graph.columns(targets))
        nodes = (self.spatial_map @ targets.flatten(1)).view(-1, *targets.shape[1:])
        nodes = torch.baddbmm(self.mixing_bias, self.mixing, nodes)
        if self.source_graph is not None:
            nodes = nodes + nn.functional.elu(self.source_graph.columns(nodes))
        nodes = nodes.view(*nodes.shape[:2], n_windows, n_frames)
        return nodes.permute(2, 0, 1, 3).contiguous()

    def coefficients(self, bold: torch.Tensor) -> list[torch.Tensor]:
        """Wavelet coefficients over frames, ``[cA_n, cD_n, ..., cD_1]``, before deconvolution."""
        coefs = []
        hidden = wavedec(self.hidden(bold), WAVELET, self.level)
        for coef, layer, head in zip(hidden, self.levels, self.heads, strict=True):
            coef = coef.transpose(2, 3)
            coef = coef + nn.functional.elu(layer(coef))
            coefs.append(torch.einsum("bnlf,nkf->bnkl", coef, head))
        return coefs

    def evoked(self, power: torch.Tensor) -> torch.Tensor:
        """Band power as nodes' responses blur it.

        ``power`` (n_windows, n_channels, n_bands, n_lags - 1 + n_frames); returns ``evoked``
        (n_windows, n_channels, n_bands, n_frames).
        """
        kernel = self.deconvolution.kernel().flip(1)
        n_windows, n_channels, n_bands = power.shape[:3]
        flat = power.transpose(1, 2).reshape(n_windows * n_bands, n_channels, -1)
        out = nn.functional.conv1d(flat, kernel[:, None], groups=n_channels)
        return out.view(n_windows, n_bands, n_channels, -1).transpose(1, 2)

    def true_coefficients(self, power: torch.Tensor) -> list[torch.Tensor]:
        """Coefficients that `coefficients` is to give back, of measured power as in `evoked`."""
        # Measured, not learnt: mixed precision would only blur it.
        with torch.autocast(power.device.type, enabled=False):
            return wavedec(self.evoked(power).contiguous(), WAVELET, self.level)

    def forward(self, bold: torch.Tensor, power: torch.Tensor | None = None):
        """Band power of nodes.

        ``bold`` (n_windows, n_frames, n_targets); ``power`` (n_windows, n_channels, n_bands,
        n_lags - 1 + n_frames); returns ``found`` (n_windows, n_channels, n_bands, n_frames).
        """
        coefs = self.coefficients(bold)
        evoked = waverec(coefs, WAVELET, n_times=bold.shape[1])
        n_windows, n_channels, n_bands, n_frames = evoked.shape
        flat = evoked.transpose(1, 2).reshape(-1, n_channels, n_frames)
        found = self.deconvolution(flat).view(n_windows, n_bands, n_channels, n_frames)
        found = found.transpose(1, 2)
        return found if power is None else (found, coefs, self.true_coefficients(power))


class InversePaperLoss(nn.Module):
    """1 - cosine over time per node and band, plus the squared error of coefficients by level.

    Errors are relative to the power of the level: 1 for nothing found.
    """

    def __init__(self):
        super().__init__()
        self.cosine = CenteredCosineLoss()

    def forward(self, pred, target: dict) -> torch.Tensor:
        """Loss of a batch."""
        found, coefs, true = pred
        rows = found.flatten(1, 2).transpose(1, 2)
        # Coarse levels hold more power: each counts in units of its own.
        size = [b.detach().square().mean().clamp_min(1e-12) for b in true]
        errors = [(a - b).square().mean() for a, b in zip(coefs, true, strict=True)]
        skips = [error / unit for error, unit in zip(errors, size, strict=True)]
        return self.cosine(rows, target) + torch.stack(skips).mean()
