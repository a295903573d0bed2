"""A network and a linear model of lags, mixed: what is explained where predictions are stacked."""

import torch
from torch import nn


class StackedNet(nn.Module):
    """Weighted mean of a network's frames and of what power at lags gives.

    Input and output are those of ``net``. ``basis`` (n_basis, n_lags) are responses of bins before
    a frame, the most recent first, ``coef`` (n_targets, n_basis, n_channels, n_bands) what of them
    a target has, ``intercept`` (n_targets,) is the second part's; ``net_share`` and ``lag_share``
    (n_targets,) are the weights of both parts.
    """

    def __init__(self, net: nn.Module, net_share, lag_share, basis, coef, intercept, step: int):
        super().__init__()
        self.net, self.step = net, step
        self.coef = nn.Parameter(torch.as_tensor(coef))
        for name, value in (("net_share", net_share), ("lag_share", lag_share),
                            ("basis", basis), ("intercept", intercept)):  # fmt: skip
            self.register_buffer(name, torch.as_tensor(value).to(self.coef))

    def lagged(self, power: torch.Tensor) -> torch.Tensor:
        """Frames (n_windows, n_frames, n_targets) of the linear model of lags."""
        past = power.to(self.coef).unfold(-1, self.basis.shape[-1], self.step).flip(-1)
        seen = torch.einsum("cnkfl,bl->cfbnk", past, self.basis)
        return torch.einsum("cfbnk,mbnk->cfm", seen, self.coef) + self.intercept

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        """Predict frames (n_windows, n_frames, n_targets) from band power."""
        return self.net_share * self.net(power) + self.lag_share * self.lagged(power)
