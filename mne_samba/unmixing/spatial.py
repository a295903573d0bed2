"""Spatial filters: from channels to components and back."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..arrays import array
from .covariance import Reader


@dataclass(frozen=True, eq=False)
class SpatialFilter:
    """A filter from channels (sensors) to components, which models take as their channels."""

    # Jointly diagonalised; whitened: then components are channels that are uncorrelated; or
    # beamformers of sources that are more than sensors.
    method: Literal["joint", "whiten", "underdetermined"]
    # Components are ``filters @ data``, of unit variance in the mean over bands.
    filters: np.ndarray = array("n_channels", "n_sensors")
    patterns: np.ndarray = array("n_sensors", "n_channels")  # topographies
    names: list[str] = array("n_channels")  # of components

    def __repr__(self) -> str:
        # Numpy prints large arrays in part: what is kept under this text depends on all of it.
        digest = hashlib.blake2b(np.ascontiguousarray(self.filters), digest_size=10).hexdigest()
        return f"SpatialFilter({self.method!r}, {self.filters.shape}, {digest})"

    def __eq__(self, other) -> bool:
        return isinstance(other, SpatialFilter) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    @property
    def inverse(self) -> np.ndarray:
        """From components to the sensors that they add up to, (n_sensors, n_components)."""
        # One matrix with the patterns where components are no more than sensors.
        return self.patterns @ np.linalg.pinv(self.filters @ self.patterns)

    def reader(self, read: Reader) -> Reader:
        """Read components, a block at a time, where ``read`` reads channels."""
        return lambda first, stop: self.filters @ read(first, stop)


def at_sensors(patterns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (..., n_components, n_bands) of components as seen at sensors.

    Components are uncorrelated, so that each adds its squared pattern to the power at a sensor: a
    sensor shows the mean of components by their share. ``patterns`` (n_sensors, n_components);
    returns shape (..., n_sensors, n_bands).
    """
    power = patterns**2
    total = power.sum(axis=1, keepdims=True)
    share = power / np.where(total > 0, total, np.inf)
    return np.einsum("sc,...cb->...sb", share, values)
