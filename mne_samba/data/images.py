"""Images of predicted BOLD: when their volumes were, and which space they are in."""

import numpy as np
import pandas as pd
from mne.utils import logger

# What maskers call the image that says where regions are.
_ATLASES = ("labels_img_", "maps_img_", "mask_img_")


def names_in(masker) -> list[str] | None:
    """Names of a masker's regions, in their order; None where it has none."""
    found = getattr(masker, "region_names_", None)
    return [str(found[k]) for k in sorted(found)] if isinstance(found, dict) else None


def by_region(values, names: list[str] | None) -> np.ndarray:
    """Values (n_frames, n_regions) or (n_regions,) in the order of regions, without NaN."""
    rows = np.asarray(values, dtype=float)
    named = isinstance(values, (pd.DataFrame, pd.Series))
    if named and names is not None and rows.ndim < 3:
        table = pd.DataFrame(np.atleast_2d(rows), columns=map(str, values.axes[-1]))
        known = table.columns[table.notna().any()]  # a scan may lack regions, which are NaN then
        wrong = [*known.difference(names), *table.columns[table.columns.duplicated()]]
        if wrong:
            raise ValueError(
                f"values have regions {wrong[:8]} that the masker has not, or more than once."
            )
        lacking = [name for name in names if name not in table]
        if lacking:
            logger.info("values lack regions %s, which hold 0.", lacking[:8])
        rows = table.reindex(columns=names).to_numpy().reshape(*rows.shape[:-1], len(names))
    n = "n_regions" if names is None else len(names)
    if rows.ndim not in (1, 2) or not rows.size or n not in (rows.shape[-1], "n_regions"):
        raise ValueError(
            f"values must have shape (n_frames, {n}) or ({n},), one column per region, got "
            f"{rows.shape}."
        )
    if np.isinf(rows).any():
        raise ValueError("values contain infinite values.")
    if rows.ndim == 2:
        rows = np.where(np.isnan(rows), pd.DataFrame(rows).mean().to_numpy(), rows)
    return np.ascontiguousarray(np.nan_to_num(rows))


def image_of(masker, frames, t_r: float):
    """Put frames (n_frames, n_targets) back into an image whose header says time and space."""
    # nilearn leaves repetition time at 1, units and space unknown; its surfaces have no header.
    from .grayordinates import GrayordinatesMasker  # loads nibabel

    if isinstance(masker, GrayordinatesMasker):
        return masker.inverse_transform(frames, t_r=t_r)
    image = masker.inverse_transform(frames)
    if not hasattr(image, "header"):
        return image
    found = [getattr(masker, name) for name in _ATLASES if hasattr(masker, name)]
    header = getattr(found[0], "header", {}) if found else {}
    affine = image.affine
    for form, place in (("sform", image.set_sform), ("qform", image.set_qform)):
        if f"{form}_code" in header:
            place(affine, int(header[f"{form}_code"]))
    image.header.set_zooms((*image.header.get_zooms()[:3], t_r))
    image.header.set_xyzt_units("mm", "sec")
    return image
