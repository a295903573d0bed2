"""From BOLD to band power: an encoding core, its inverse as a filter, corrections where confirmed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from mne.utils import logger
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from .._checks import check_number, check_option
from ..arrays import array
from ..core.inverse import (
    autocovariance,
    coupled_projection,
    inverse_filter,
    shrunk_covariance,
    sparse_correlation,
)
from ..core.linear import Core
from ..data.paired import Paired, stitch
from ..data.power import BandPower, LowRateGrid
from ..data.recordings import Layout, Recordings
from ..hrf import HRF_BOUNDS, HRF_PARAMS, hrf_summary
from ..metrics import pearson
from ..nn.bipartite import nearest
from ..nn.graph import knn_adjacency
from ..nn.inverse import InverseNet, SkipLoss, frame_level
from ..wavelets import as_bank
from .inverse_data import (
    N_LATENTS,
    BoldProcess,
    InverseWindows,
    frames_after,
    frames_before,
    inner_bins,
    inverse_grid,
    predict_segments,
    window_frames,
)
from .network import Network
from .trainer import Trainer, losses

# Trust in the correlations of band power that training shows, chosen on held-out frames; the
# second one unless another is clearly better.
TRUSTS = (0.3, 0.9, 0.6)
