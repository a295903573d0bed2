"""Real recordings of neural activity, or events, and haemodynamics that were measured together."""

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat
from sklearn.utils import Bunch

_DATA = Path(str(files(__package__))) / "data"
_SLEEP = """Simultaneous EEG and fMRI of 15 people during naps.

REAL data: per scan (TR 2.1 s; 1458 to 3588 scans per person), natural logarithms of EEG power in
six bands, the sleep stage, and the log odds of five states that a decoder of fMRI volumes gave
(probabilities clipped at 1e-6). From the derivatives of OpenNeuro ds003574, CC0, merged by scan and
rounded to half precision. There is no raw EEG and no BOLD of regions in it. Power and log odds have
slow drift: with it left in, correlations are high and mean nothing.
"""


def load_eeg_fmri_sleep() -> Bunch:
    """Load simultaneous human EEG band power and fMRI states: real, small, shipped along.

    Returns
    -------
    data : Bunch
        ``power``, a list of one (1, 6, n_scans) array per person: log power of six bands of the
        EEG; ``bands``, their names; ``states``, a list of (n_scans, 5) DataFrames: log odds of what
        a decoder saw in fMRI volumes; ``stages``, a list of (n_scans,) arrays of sleep stages
        (0: awake, 1 to 3); ``subjects``, names; ``t_r`` (2.1 s), ``sfreq`` (values of power per
        second, 1 / ``t_r``) and ``slice_time_ref`` (1.0: a volume is complete when the power of its
        scan is); ``DESCR``.

    Notes
    -----
    From the derivatives of OpenNeuro ds003574 [1]_, CC0.

    References
    ----------
    .. [1] Sterpenich V. et al. Reward biases spontaneous neural reactivation during sleep. Nature
       Communications 12 (2021).

    Examples
    --------
    >>> from mne_samba.datasets import load_eeg_fmri_sleep
    >>> data = load_eeg_fmri_sleep()
    >>> len(data.power), data.power[0].shape, data.states[0].shape
    (15, (1, 6, 2349), (2349, 5))
    """
    with np.load(_DATA / "eeg_fmri_sleep" / "sleep.npz", allow_pickle=False) as archive:
        people = [name.partition("_")[2] for name in archive.files if name.startswith("power")]
        power = [archive[f"power_{name}"].astype(np.float64).T[np.newaxis] for name in people]
        states = [archive[f"logits_{name}"].astype(np.float64) for name in people]
        stages = [archive[f"stages_{name}"] for name in people]
    names = ["face", "maze", "prep_face", "pre_maze", "rest"]
    return Bunch(
        power=power,
        bands=["SW", "delta", "theta", "alpha", "sigma", "beta"],
        states=[pd.DataFrame(values, columns=names) for values in states],
        stages=stages,
        subjects=[f"sub-{name}" for name in people],
        t_r=2.1,
        sfreq=1 / 2.1,
        slice_time_ref=1.0,
        DESCR=_SLEEP,
    )


def load_rat_lfp_optical() -> Bunch:
    """Load local field potential and blood volume of a rat: real, small, shipped along.

    Returns
    -------
    data : Bunch
        ``lfp`` (2415,), envelope of the local field potential in mV; ``blood`` (2415, 1), minus the
        optical signal in % (more blood darkens the image); ``sfreq`` (6.25 Hz), ``t_r`` (0.16 s,
        the same) and ``DESCR``.

    Notes
    -----
    From the rsHRF toolbox [1]_, BSD-3-Clause.

    References
    ----------
    .. [1] Wu G.-R. et al. rsHRF: A toolbox for resting-state HRF estimation and deconvolution.
       NeuroImage 244 (2021).

    Examples
    --------
    >>> from mne_samba.datasets import load_rat_lfp_optical
    >>> load_rat_lfp_optical().lfp.shape
    (2415,)
    """
    with as_file(_DATA / "rat_lfp_optical" / "s1_suj5_525_preproc.mat") as path:
        content = loadmat(path, simplify_cells=True)
    sfreq = float(content["FS2"])
    return Bunch(
        lfp=np.asarray(content["LFP"], dtype=float),
        blood=-np.asarray(content["OPT"], dtype=float)[:, np.newaxis],
        sfreq=sfreq,
        t_r=1 / sfreq,
        DESCR="REAL data: LFP and intrinsic optical signal of an anaesthetised Sprague-Dawley rat "
        "(Pan et al. 2018, NeuroImage 179; rsHRF toolbox, BSD-3-Clause).",
    )


def load_events_bold() -> Bunch:
    """Load BOLD of a region during events of six types: real, small, shipped along.

    Returns
    -------
    data : Bunch
        ``events`` (6, 3360), 1 in frames in which an event of each type began; ``bold`` (3360, 1);
        ``t_r`` (2 s), ``sfreq`` (0.5 Hz, of the events) and ``DESCR``.

    Notes
    -----
    Distributed with nitime (https://github.com/nipy/nitime), BSD-3-Clause; the licence lies beside
    the file.

    Examples
    --------
    >>> from mne_samba.datasets import load_events_bold
    >>> load_events_bold().events.sum(axis=1)
    array([96., 96., 96., 96., 96., 96.])
    """
    table = pd.read_csv(_DATA / "events_bold" / "event_related_fmri.csv")
    kinds = table["events"].to_numpy()
    return Bunch(
        events=np.stack([kinds == kind for kind in range(1, 7)]).astype(float),
        bold=table[["bold"]].to_numpy(dtype=float),
        t_r=2.0,
        sfreq=0.5,
        DESCR="REAL data: event-related BOLD of one region (nitime, BSD-3-Clause), TR 2 s.",
    )
