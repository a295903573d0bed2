"""Unmixing of sensors before power is taken: functions of arrays.

Power of a mixture cannot be unmixed afterwards. Sources whose power waxes and wanes are told apart
by covariances of bands in short pieces: one basis makes all of them diagonal. No head model and no
BOLD is needed.
"""

from .covariance import band_covariances, pieces_of
from .diagonalize import joint_diagonalizer
from .learn import Learner, Stretch, mixing
from .spatial import SpatialFilter, at_sensors

__all__ = [
    "Learner", "SpatialFilter", "Stretch", "at_sensors", "band_covariances", "joint_diagonalizer",
    "mixing", "pieces_of",
]  # fmt: skip
