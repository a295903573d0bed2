"""Disk on one side, arrays on the other: model files, and recordings of a BIDS folder."""

from ._model_file import FORMAT_VERSION, read_model, write_model

__all__ = ["FORMAT_VERSION", "read_model", "write_model"]
