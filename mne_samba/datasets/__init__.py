"""Data to try things on, offline: simulated people and real paired recordings."""

from ._simulate import simulate_paired

__all__ = ["simulate_paired"]
