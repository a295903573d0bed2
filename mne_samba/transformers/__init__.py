"""Transformers of their own worth: band attention, haemodynamic responses, frames as rows."""

import importlib

# Public name -> module; loaded on first use.
_PUBLIC = {
    "FramewiseRegressor": "._framewise",
    "LearnableHRF": "._learnable_hrf",
    "WaveletBandAttention": "._band_attention",
    "compare_hrfs": "._compare_hrfs",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return list(__all__)
