"""A real recording in which neural activity and BOLD were measured together."""

from importlib.resources import as_file, files

import numpy as np
import pandas as pd
from scipy.io import loadmat
from sklearn.utils import Bunch

_DESCR = """Simultaneous neural calcium and BOLD.

REAL data: a calcium signal (50 Hz) and one BOLD time course (490 volumes, TR 1.5 s) of an animal,
whose species the source does not name, 735 s, during 12 blocks of stimulation: 15 s long, 2 Hz, one
a minute. Distributed with the rsHRF toolbox (https://github.com/compneuro-da/rsHRF; Wu et al.,
NeuroImage 2021), BSD-3-Clause; its licence lies beside the file.

Time 0 is the start of both. Times of volumes are given as in the source: their END, (k + 1) * 1.5
s. In the terms of mne_samba, that is ``first_volume=0.`` and ``slice_time_ref=1.``.
"""


def load_calcium_bold() -> Bunch:
    """Load simultaneous neural calcium and BOLD: real, small, shipped with the package.

    Returns
    -------
    data : Bunch
        ``calcium`` (36750,), ``sfreq`` (50 Hz), ``bold`` (490, 1), ``t_r`` (1.5 s), ``bold_times``
        (490,; s from the first calcium sample to the END of every volume), ``slice_time_ref`` (1.0,
        the same said in the terms of :func:`mne_samba.make_windows`), ``stimuli`` (DataFrame: onset
        and duration in s, number of pulses; a row per block), ``pulse_times`` (s) and ``DESCR``.
        Both signals are in arbitrary units.

    Notes
    -----
    From the rsHRF toolbox [1]_, BSD-3-Clause.

    References
    ----------
    .. [1] Wu G.-R., Colenbier N., Van Den Bossche S., Clauw K., Johri A., Tandon M., Marinazzo D.
       rsHRF: A toolbox for resting-state HRF estimation and deconvolution. NeuroImage 244 (2021).

    Examples
    --------
    >>> from mne_samba.datasets import load_calcium_bold
    >>> data = load_calcium_bold()
    >>> data.calcium.shape, data.bold.shape
    ((36750,), (490, 1))
    """
    folder = files(__package__) / "data" / "calcium_bold"
    with as_file(folder / "calcium_2Hz_15s_stimulation.mat") as path:
        content = loadmat(path, simplify_cells=True)
    times = np.asarray(content["BOLD_time"], dtype=float)
    # Every pulse is listed by its rising and (0.2 ms later) its falling edge, or by one of them.
    edges = np.asarray(content["trigger_time"], dtype=float)
    pulses = edges[np.diff(edges, prepend=-np.inf) > 0.1]
    first = np.flatnonzero(np.diff(pulses, prepend=-np.inf) > 2.0)
    last = np.append(first[1:], len(pulses)) - 1
    stimuli = pd.DataFrame(
        {
            "onset": pulses[first],
            # A pulse stands for half a second of 2 Hz stimulation.
            "duration": np.round(pulses[last] - pulses[first] + 0.5, 3),
            "n_pulses": last - first + 1,
        }
    )
    return Bunch(
        calcium=np.asarray(content["calcium_raw"], dtype=float),
        sfreq=round(1.0 / float(content["dt"]), 6),
        bold=np.asarray(content["BOLD_calcium"], dtype=float)[:, None],
        t_r=float(times[0]),
        bold_times=times,
        slice_time_ref=1.0,
        stimuli=stimuli,
        pulse_times=pulses,
        DESCR=_DESCR,
    )
