"""Transformers of their own worth: unmixing, parcels, bands, responses, frames as rows."""

from ._band_attention import WaveletBandAttention
from ._compare_hrfs import compare_hrfs
from ._framewise import FramewiseRegressor
from ._learnable_hrf import LearnableHRF
from ._source_parcels import SourceParcels
from ._unmixing import Unmixing

__all__ = [
    "FramewiseRegressor", "LearnableHRF", "SourceParcels", "Unmixing", "WaveletBandAttention",
    "compare_hrfs",
]  # fmt: skip
