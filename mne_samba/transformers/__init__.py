"""Transformers of their own worth: band attention, haemodynamic responses, frames as rows."""

from ._band_attention import WaveletBandAttention
from ._compare_hrfs import compare_hrfs
from ._framewise import FramewiseRegressor
from ._learnable_hrf import LearnableHRF

__all__ = ["FramewiseRegressor", "LearnableHRF", "WaveletBandAttention", "compare_hrfs"]
