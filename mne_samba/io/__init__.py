"""Disk on one side, arrays on the other: model files, and recordings of a BIDS folder."""

from ..model_file import FORMAT_VERSION, read_model, write_model

__all__ = [
    "FORMAT_VERSION",
    "BidsPair",
    "harmonize",
    "read_bids_pair",
    "read_model",
    "write_model",
]

# Loaded on first use: they read windows, and windows read the estimators' inputs.
_LAZY = {"BidsPair": "_bids", "read_bids_pair": "_bids", "harmonize": "_harmonize"}


def __getattr__(name):
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
