"""Disk on one side, arrays on the other: model files, and recordings of a BIDS folder."""

from ..data.fnirs import fnirs_frames
from ..model_file import FORMAT_VERSION, read_model, write_model
from ._bids import BidsPair, read_bids_pair
from ._harmonize import harmonize
from ._physiology import add_physiology

__all__ = [
    "FORMAT_VERSION", "BidsPair", "add_physiology", "fnirs_frames", "harmonize", "read_bids_pair",
    "read_model", "write_model",
]  # fmt: skip
