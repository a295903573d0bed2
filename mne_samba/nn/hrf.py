"""Learnable double-gamma responses as a module."""

import math

import torch
from torch import nn

from .._as_written import as_written
from ..hrf.gamma import MAX_UNDERSHOOT, canonical_params, check_bounds, double_gamma, unit_peak


class DoubleGammaHRF(nn.Module):
    """Learnable unit-peak double-gamma responses, one per region, within physiological bounds.

    Delays and dispersions move on a logarithmic scale between their bounds, the undershoot's scale
    between 0 and :data:`mne_samba.hrf.MAX_UNDERSHOOT` of the response's, through a sigmoid.
    The response's scale follows from the unit-peak gauge, so five numbers per region are free.

    Parameters
    ----------
    n_regions : int
        Number of responses.
    bounds : {"human", "fnirs", "fast"} or pair of arrays of shape (6,)
        Bounds of the parameters.
    params : array of shape (6,) or (n_regions, 6), optional
        Initial parameters; the preset's canonical response by default.

    Attributes
    ----------
    raw : Parameter of shape (n_regions, 5)
        Unbounded coordinates of (d_r, d_u, s_r, s_u, c_u / c_r).
    """

    def __init__(self, n_regions, bounds="human", params=None):
        super().__init__()
        low, high = check_bounds(bounds)
        low = [*map(math.log, low[:4]), 0.0]
        high = [*map(math.log, high[:4]), MAX_UNDERSHOOT]
        self.n_regions = n_regions
        dtype = torch.get_default_dtype()
        self.register_buffer("low", torch.as_tensor(low, dtype=dtype))
        self.register_buffer("high", torch.as_tensor(high, dtype=dtype))
        self.raw = nn.Parameter(torch.zeros(n_regions, 5))
        if params is None:
            # Computed: the meta device, on which files are checked, has no numbers.
            with torch.device("cpu"):
                params = canonical_params(bounds)
        self.set_params_(params)

    @torch.no_grad()
    def set_params_(self, params):
        """Start from parameters (6,) or (n_regions, 6), moved inside the bounds.

        They are as in :data:`mne_samba.hrf.HRF_PARAMS`; their overall scale is ignored.
        """
        params = torch.as_tensor(params).to(self.raw)
        if params.shape not in {(6,), (self.n_regions, 6)}:
            raise ValueError(
                f"params must have shape (6,) or ({self.n_regions}, 6), got {tuple(params.shape)}."
            )
        if self.raw.is_meta:
            # Files are checked there: no numbers, but torch would load its compiler to say so.
            return self
        params = params.expand(self.n_regions, 6)
        values = torch.cat([params[:, :4].log(), (params[:, 5] / params[:, 4])[:, None]], dim=1)
        # Strictly inside: at a bound the sigmoid's gradient vanishes and nothing could ever move.
        unit = ((values - self.low) / (self.high - self.low)).clamp(0.003, 0.997)
        self.raw.copy_(torch.logit(unit))
        return self

    def params(self):
        """Physical, unit-peak parameters (n_regions, 6), differentiable in ``raw``."""
        values = self.low + (self.high - self.low) * torch.sigmoid(self.raw)
        ratio = values[:, 4:]
        return unit_peak(torch.cat([values[:, :4].exp(), torch.ones_like(ratio), ratio], dim=1))

    @as_written
    def forward(self, lags):
        """Responses (n_regions, n_lags) at lags (n_lags,), seconds after the neural event."""
        return double_gamma(torch.as_tensor(lags).to(self.raw), self.params())
