"""Rows of BOLD that scrubbing removed, put back in their place."""

import numpy as np
import pandas as pd

from .bold_tables import region_names


def restore_frames(bold, sample_mask, n_frames: int | None = None):
    """Put rows of NaN where nilearn's ``sample_mask`` removed volumes.

    Parameters
    ----------
    bold : array, DataFrame or DataArray, shape (n_kept, n_targets)
        BOLD of the volumes that were kept, as a masker returns it.
    sample_mask : array, shape (n_kept,) | array of bool, shape (n_frames,)
        Indices of the volumes that were kept, or True for each of them, as given to the masker.
    n_frames : int | None
        Volumes of the scan. None: as many as a mask of bool has, else up to the last one kept.

    Returns
    -------
    bold : array or DataFrame, shape (n_frames, n_targets)
        Scrubbed frames are NaN throughout, and all others lie where they were acquired.

    Raises
    ------
    ValueError
        If the mask does not fit BOLD, goes back, or goes beyond the scan.
    """
    kept = np.asarray(sample_mask)
    if kept.dtype == bool and kept.ndim == 1:
        n_frames = len(kept) if n_frames is None else n_frames
        kept = np.flatnonzero(kept)
    if kept.ndim != 1 or not len(kept) or kept.dtype.kind not in "iu":
        raise ValueError(
            "sample_mask must hold the indices of the volumes that were kept, or True for each of "
            f"them; got shape {kept.shape} of {kept.dtype}."
        )
    n_frames = int(kept[-1]) + 1 if n_frames is None else int(n_frames)
    if (np.diff(kept) < 1).any() or kept[0] < 0 or kept[-1] >= n_frames:
        raise ValueError(
            f"sample_mask must ascend within the {n_frames} volumes of the scan, got indices "
            f"{kept[0]} to {kept[-1]}."
        )
    if len(kept) != len(bold):
        raise ValueError(
            f"sample_mask keeps {len(kept)} volumes, but BOLD has {len(bold)} rows: pass the mask "
            "that the masker was given."
        )
    names = region_names(bold)
    if names is not None and not isinstance(bold, pd.DataFrame):
        bold = pd.DataFrame(np.asarray(bold), columns=names)
    if isinstance(bold, pd.DataFrame):
        return bold.set_axis(kept, axis=0).reindex(np.arange(n_frames))
    values = np.asarray(bold, dtype=float)
    whole = np.full((n_frames, *values.shape[1:]), np.nan)
    whole[kept] = values
    return whole
