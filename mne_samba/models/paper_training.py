"""What the published networks share, there and back: their training, and the line through it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from mne.utils import logger
from torch.utils.data import Dataset

from .._checks import check_number, check_option
from ..data.paired import Paired
from ..hrf import HRF_BOUNDS, HRF_PARAMS, double_gamma, hrf_summary
from ..nn.paper import N_HEADS
from .trainer import Trainer

# Windows that an epoch has at least, where recordings are long enough for them to differ.
_WINDOWS = 64
