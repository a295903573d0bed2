"""A network and a linear model of lags, mixed: what is explained where predictions are stacked."""

import torch
from torch import nn


class StackedNet(nn.Module):
    """Weighted mean of a network's frames and of what power at lags gives.

    Input and output are those of ``net``; ``kernel`` (n_targets, n_channels * n_bands, n_lags) are
    coefficients of bins before a frame, the most recent first, ``net_share`` and ``lag_share``
    (n_targets,) the weights of both parts, ``intercept`` (n_targets,) is the second part's.
    """

    def __init__(self, net: nn.Module, net_share, lag_share, kernel, intercept, step: int):
        super().__init__()
        self.net, self.step = net, step
        self.kernel = nn.Parameter(torch.as_tensor(kernel))
        for name, value in (("net_share", net_share), ("lag_share", lag_share),
                            ("intercept", intercept)):  # fmt: skip
            self.register_buffer(name, torch.as_tensor(value).to(self.kernel))

    def lagged(self, power: torch.Tensor) -> torch.Tensor:
        """Frames (n_windows, n_frames, n_targets) of the linear model of lags."""
        flat = power.to(self.kernel).flatten(1, 2)
        past = flat.unfold(-1, self.kernel.shape[-1], self.step).flip(-1)
        return torch.einsum("bnfl,mnl->bfm", past, self.kernel) + self.intercept

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        """Predict frames (n_windows, n_frames, n_targets) from band power."""
        return self.net_share * self.net(power) + self.lag_share * self.lagged(power)
