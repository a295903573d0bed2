"""Wavelets and the power of their coefficients in bins.

A bank (:class:`Shannon`, :class:`Morlet`, :class:`Discrete`) says which bands are measured and how,
the same for every estimator; :class:`Precomputed`, that their power was measured elsewhere.
"""

from .bands import CANONICAL_BANDS
from .banks import Discrete, Morlet, Precomputed, Shannon, as_bank
from .discrete import discrete_bands, discrete_power
from .morlet import band_frequencies, causal_delay
from .power import band_power
from .shannon import shannon_kernels

__all__ = [
    "CANONICAL_BANDS",
    "Discrete",
    "Morlet",
    "Precomputed",
    "Shannon",
    "as_bank",
    "band_frequencies",
    "band_power",
    "causal_delay",
    "discrete_bands",
    "discrete_power",
    "shannon_kernels",
]
