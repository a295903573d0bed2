"""Haemodynamic responses: the double gamma, its gauge, dictionaries, convolutions and fits.

Every response here has six parameters, in the order of :data:`HRF_PARAMS`::

    h(t) = c_r (t/p_r)^{d_r} exp(-(t - p_r)/s_r)
         - c_u (t/p_u)^{d_u} exp(-(t - p_u)/s_u),   p = d s

for ``t > 0`` and 0 otherwise (SAMBA, arXiv 2409.18462). Only the product of a response and an
amplitude can be observed, so responses are kept at *unit peak* (``max_t h(t) = 1``) and amplitudes
elsewhere.

Read in this order: `gamma` (the equation), `shapes` (what responses look like), `convolution`;
then `stats` (what a fit needs of the data), `fit` (double gammas under a shared prior), `model`
(the kinds of response that can be fitted), `deconvolution` (back to the drive), `compare` (two sets
of data).
"""

from .convolution import convolve, convolve_frames
from .deconvolution import deconvolve
from .fit import fit_double_gamma
from .gamma import (
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
from .shapes import hrf_basis, hrf_dictionary, hrf_summary, summarise_response

__all__ = [
    "HRF_BOUNDS",
    "HRF_PARAMS",
    "MAX_UNDERSHOOT",
    "canonical_params",
    "check_bounds",
    "convolve",
    "convolve_frames",
    "deconvolve",
    "double_gamma",
    "fit_double_gamma",
    "glover_params",
    "hrf_basis",
    "hrf_dictionary",
    "hrf_summary",
    "spm_params",
    "summarise_response",
    "unit_peak",
]
