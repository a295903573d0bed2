"""Real recordings of one modality: resting EEG, and resting BOLD of regions."""

from importlib.resources import files
from pathlib import Path

import mne
import pandas as pd
from sklearn.utils import Bunch

from ..data.channels import template_montage

_DATA = Path(str(files(__package__))) / "data"


def load_eeg_rest() -> mne.io.BaseRaw:
    """Load resting EEG: real, small, shipped with the package.

    Returns
    -------
    raw : mne.io.Raw
        30 channels with places of the 10-20 template, 250 Hz, 192 s, in memory. It has no BOLD;
        `simulate_bold` makes a semi-synthetic one.

    Notes
    -----
    REAL data, from https://github.com/Frederic-vW/eeg_microstates (MIT licence, which lies beside
    the file); see von Wegner and Laufs, Frontiers in Neuroinformatics 12 (2018).

    Examples
    --------
    >>> from mne_samba.datasets import load_eeg_rest
    >>> raw = load_eeg_rest()
    >>> len(raw.ch_names), raw.info["sfreq"]
    (30, 250.0)
    """
    raw = mne.io.read_raw_edf(_DATA / "eeg_rest" / "test.edf", preload=True, verbose="ERROR")
    return raw.set_montage(template_montage("1020"))


def load_bold_rest() -> Bunch:
    """Load resting BOLD of 28 regions of one person: real, small, shipped with the package.

    Returns
    -------
    data : Bunch
        ``bold`` (DataFrame, 250 frames x 28 grey-matter regions, arbitrary units), ``confounds``
        (DataFrame, 250 x 3: white matter, ventricles, whole brain), ``t_r`` (1.89 s) and ``DESCR``.

    Notes
    -----
    REAL data, distributed with nitime (https://github.com/nipy/nitime), BSD-3-Clause; the licence
    lies beside the file. It has no electrophysiology: use it for its spectrum, as noise.

    Examples
    --------
    >>> from mne_samba.datasets import load_bold_rest
    >>> load_bold_rest().bold.shape
    (250, 28)
    """
    table = pd.read_csv(_DATA / "fmri_rois" / "fmri_timeseries.csv", dtype=float)
    nuisance = ["WM", "Vent", "Brain"]
    return Bunch(
        bold=table.drop(columns=nuisance),
        confounds=table[nuisance],
        t_r=1.89,
        DESCR="REAL data: resting BOLD of one person (nitime, BSD-3-Clause), 250 frames, 1.89 s.",
    )
