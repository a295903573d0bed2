"""Haemodynamic response functions: the double gamma, its gauge, dictionaries and convolutions.

Every response here has six parameters, in the order of :data:`HRF_PARAMS`::

    h(t) = c_r (t/p_r)^{d_r} exp(-(t - p_r)/s_r) - c_u (t/p_u)^{d_u} exp(-(t - p_u)/s_u),   p = d s

for ``t > 0`` and 0 otherwise (SAMBA, arXiv 2409.18462). Only the product of a response and an
amplitude can be observed, so responses are kept at *unit peak* (``max_t h(t) = 1``) and amplitudes
elsewhere.
"""

import numpy as np
import torch
from torch import nn

from ._as_written import as_written
from ._hrf_convolve import convolve, convolve_frames, lag_times
from ._hrf_gamma import (
    HRF_BOUNDS,
    HRF_PARAMS,
    MAX_UNDERSHOOT,
    canonical_params,
    check_bounds,
    double_gamma,
    glover_params,
    spm_params,
    unit_peak,
)
from ._hrf_shapes import hrf_basis, hrf_dictionary, hrf_summary, summarise_response

__all__ = [
    "HRF_BOUNDS",
    "HRF_PARAMS",
    "MAX_UNDERSHOOT",
    "DoubleGammaHRF",
    "canonical_params",
    "convolve",
    "convolve_frames",
    "double_gamma",
    "glover_params",
    "hrf_basis",
    "hrf_dictionary",
    "hrf_summary",
    "lag_times",
    "spm_params",
    "summarise_response",
    "unit_peak",
]


class DoubleGammaHRF(nn.Module):
    """Learnable unit-peak double-gamma responses, one per region, within physiological bounds.

    Delays and dispersions move on a logarithmic scale between their bounds, the undershoot's scale
    between 0 and :data:`MAX_UNDERSHOOT` of the response's, through a sigmoid. The response's scale
    follows from the unit-peak gauge, so five numbers per region are free.

    Parameters
    ----------
    n_regions : int
        Number of responses.
    bounds : {"human", "fast"} or pair of arrays of shape (6,)
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
        low = np.concatenate([np.log(low[:4]), [0.0]])
        high = np.concatenate([np.log(high[:4]), [MAX_UNDERSHOOT]])
        self.n_regions = n_regions
        dtype = torch.get_default_dtype()
        self.register_buffer("low", torch.as_tensor(low, dtype=dtype))
        self.register_buffer("high", torch.as_tensor(high, dtype=dtype))
        self.raw = nn.Parameter(torch.zeros(n_regions, 5))
        self.set_params_(canonical_params(bounds) if params is None else params)

    @torch.no_grad()
    def set_params_(self, params):
        """Start from given parameters, moved inside the bounds where they lie outside.

        Parameters
        ----------
        params : array or Tensor of shape (6,) or (n_regions, 6)
            Parameters in the order of :data:`HRF_PARAMS`; their overall scale is ignored.

        Returns
        -------
        self : DoubleGammaHRF
            The module.
        """
        params = torch.as_tensor(params).to(self.raw)
        if params.shape not in {(6,), (self.n_regions, 6)}:
            raise ValueError(
                f"params must have shape (6,) or ({self.n_regions}, 6), got {tuple(params.shape)}."
            )
        params = params.expand(self.n_regions, 6)
        values = torch.cat([params[:, :4].log(), (params[:, 5] / params[:, 4])[:, None]], dim=1)
        # Strictly inside: at a bound the sigmoid's gradient vanishes and nothing could ever move.
        unit = ((values - self.low) / (self.high - self.low)).clamp(0.003, 0.997)
        self.raw.copy_(torch.logit(unit))
        return self

    def params(self):
        """Return the physical, unit-peak parameters.

        Returns
        -------
        params : Tensor of shape (n_regions, 6)
            In the order of :data:`HRF_PARAMS`, differentiable in ``raw``.
        """
        values = self.low + (self.high - self.low) * torch.sigmoid(self.raw)
        ratio = values[:, 4:]
        return unit_peak(
            torch.cat([values[:, :4].exp(), torch.ones_like(ratio), ratio], dim=1),
        )

    @as_written
    def forward(self, lags):
        """Evaluate the responses.

        Parameters
        ----------
        lags : Tensor or array of shape (n_lags,)
            Seconds after the neural event.

        Returns
        -------
        kernels : Tensor of shape (n_regions, n_lags)
            Unit-peak responses.
        """
        return double_gamma(torch.as_tensor(lags).to(self.raw), self.params())
