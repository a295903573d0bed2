"""Disk on one side, arrays on the other: model files, and recordings of a BIDS folder."""

from ..data.fnirs import fnirs_frames
from ..data.grayordinates import GrayordinatesMasker
from ..model_file import FORMAT_VERSION, read_model, write_model
from ._bids import BidsPair, read_bids_pair
from ._harmonize import harmonize
from ._physiology import add_physiology
from ._write_image import write_image

__all__ = [
    "FORMAT_VERSION", "BidsPair", "GrayordinatesMasker", "add_physiology", "fnirs_frames",
    "harmonize", "read_bids_pair", "read_model", "write_image", "write_model",
]  # fmt: skip
