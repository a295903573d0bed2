"""Data to try things on: simulated people with a known coupling, and a real paired recording, offline."""

from ._simulate import simulate_paired

__all__ = ["simulate_paired"]
