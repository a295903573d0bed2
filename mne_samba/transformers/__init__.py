"""Transformers of their own: unmixing, parcels, bands, responses, screening, frames as rows."""

from ._band_attention import WaveletBandAttention
from ._compare_hrfs import compare_hrfs
from ._framewise import FramewiseRegressor
from ._learnable_hrf import LearnableHRF
from ._screening import BandPowerScreening
from ._source_parcels import SourceParcels
from ._unmixing import Unmixing

__all__ = [
    "BandPowerScreening", "FramewiseRegressor", "LearnableHRF", "SourceParcels", "Unmixing",
    "WaveletBandAttention", "compare_hrfs",
]  # fmt: skip
