"""Physiology that was recorded elsewhere, such as motion, as channels of a recording."""

import mne
import numpy as np
import pandas as pd

from ..data.frame_times import times_for_bold
from ..reader import Reader


def add_physiology(raw: mne.io.BaseRaw, table, *, t_r: float, reader: Reader | None = None):
    """Add columns of a table, with a value per frame of BOLD, to a recording as channels.

    Translators take them as drives of BOLD where their reader names them, such as
    ``Reader(physiology="misc")``: framewise displacement, heart rate measured by the scanner.

    Parameters
    ----------
    raw : mne.io.Raw
        The recording, which stays as it is.
    table : DataFrame | array, shape (n_frames, n_columns)
        Values at frames; NaN is interpolated. Columns of arrays are called "physiology0" etc.
    t_r : float
        Seconds between frames.
    reader : Reader | None
        Where frames lie in the recording; None takes the defaults of `mne_samba.Reader`.

    Returns
    -------
    raw : mne.io.Raw
        A copy in memory with a channel of type "misc" per column, straight lines between frames.

    Raises
    ------
    ValueError
        If frames lie outside the recording, a column has no number or has the name of a channel.

    Examples
    --------
    >>> import mne, numpy as np, pandas as pd
    >>> from mne_samba.io import add_physiology
    >>> info = mne.create_info(["Cz"], 100.0, "eeg")
    >>> raw = mne.io.RawArray(np.zeros((1, 6000)), info, verbose=False)
    >>> motion = pd.DataFrame({"framewise_displacement": np.random.rand(30)})
    >>> add_physiology(raw, motion, t_r=2.0).ch_names
    ['Cz', 'framewise_displacement']
    """
    try:
        values = np.asarray(table, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"table must hold numbers, but {error}. Give the columns that are numbers; text such "
            "as 'n/a' becomes NaN by pandas.read_csv(..., na_values='n/a')."
        ) from None
    values = values[:, np.newaxis] if values.ndim == 1 else values
    names = [f"physiology{i}" for i in range(values.shape[-1])]
    names = [str(name) for name in getattr(table, "columns", names)]
    if isinstance(table, pd.Series) and table.name is not None:
        names = [str(table.name)]
    if values.ndim != 2 or not len(values) or not np.isfinite(values).any(axis=0).all():
        raise ValueError(
            "table must be (n_frames, n_columns) with a number in every column, got shape "
            f"{np.shape(table)}."
        )
    if values.shape[1] > len(values):
        raise ValueError(
            f"table has shape {values.shape}, fewer frames than columns: (n_frames, n_columns) is "
            "expected. Transpose it."
        )
    if known := sorted(set(names) & set(raw.ch_names)):
        raise ValueError(f"The recording has channels {known} already: rename these columns.")
    grid = (Reader() if reader is None else reader).grid(t_r)
    times = times_for_bold(raw, len(values), grid)
    known = np.isfinite(values.T)
    at = np.arange(raw.n_times) / raw.info["sfreq"]
    signals = [np.interp(at, times[k], v[k]) for k, v in zip(known, values.T, strict=True)]
    info = mne.create_info(names, raw.info["sfreq"], "misc")
    beside = mne.io.RawArray(signals, info, first_samp=raw.first_samp, verbose="ERROR")
    raw = raw.copy().load_data(verbose="ERROR")
    return raw.add_channels([beside], force_update_info=True)
