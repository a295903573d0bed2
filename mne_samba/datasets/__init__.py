"""Data to try things on, offline: simulated people and real recordings."""

from ._bids_tree import write_bids_tree
from ._calcium import load_calcium_bold
from ._images import simulate_bold_image
from ._paired import load_eeg_fmri_sleep, load_events_bold, load_rat_lfp_optical
from ._real import load_bold_rest, load_eeg_rest
from ._semisynthetic import simulate_bold
from ._simulate import simulate_paired

__all__ = [
    "load_bold_rest",
    "load_calcium_bold",
    "load_eeg_fmri_sleep",
    "load_eeg_rest",
    "load_events_bold",
    "load_rat_lfp_optical",
    "simulate_bold",
    "simulate_bold_image",
    "simulate_paired",
    "write_bids_tree",
]
