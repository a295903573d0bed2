"""Data to try things on, offline: simulated people and real paired recordings."""

from ._calcium import load_calcium_bold
from ._images import simulate_bold_image
from ._semisynthetic import simulate_bold
from ._simulate import simulate_paired

__all__ = ["load_calcium_bold", "simulate_bold", "simulate_bold_image", "simulate_paired"]
