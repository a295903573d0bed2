"""BOLD of a BIDS derivative: masker, confounds and scrubbed frames to a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger
from sklearn.base import clone

from ._bids_files import one_line

#: Confounds that are removed unless others are named.
STRATEGY = ("motion", "high_pass", "wm_csf", "scrub")


def as_masker(masker, radius: float):
    """Make a nilearn masker of a label image or of centres of spheres in mm, or copy one."""
    from nilearn.maskers import NiftiLabelsMasker, NiftiSpheresMasker

    if isinstance(masker, (str, Path)):
        path = Path(masker).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"No atlas image {path}.")
        table = path.with_name(path.name.split(".nii")[0] + ".tsv")
        return NiftiLabelsMasker(
            str(path), lut=str(table) if table.is_file() else None, standardize=None
        )
    if isinstance(masker, nib.spatialimages.SpatialImage):
        return NiftiLabelsMasker(masker, standardize=None)
    if hasattr(masker, "fit_transform") and hasattr(masker, "inverse_transform"):
        return clone(masker)
    try:
        seeds = np.asarray(masker, dtype=float)
    except (TypeError, ValueError):
        seeds = np.empty(0)
    if seeds.ndim != 2 or seeds.shape[1] != 3 or not len(seeds):
        raise TypeError(
            "masker must be a label image (or its path), coordinates of shape (n_regions, 3) or a "
            f"nilearn masker, got {type(masker).__name__}."
        )
    return NiftiSpheresMasker(seeds.tolist(), radius=radius, standardize=None)


def is_surface(masker) -> bool:
    """Whether a masker takes surface images."""
    return type(masker).__name__.startswith("Surface")


def read_confounds(path: Path, confounds) -> tuple[pd.DataFrame | None, np.ndarray | None]:
    """Confounds of a run (n_frames, n_confounds) and the frames to keep, as nilearn reads them.

    None stands for no confounds, and for all frames.
    """
    from nilearn.interfaces.fmriprep import load_confounds

    if confounds is None:
        return None, None
    if isinstance(confounds, pd.DataFrame):
        return confounds, None
    if isinstance(confounds, str):
        confounds = (confounds,)
    options = dict(confounds) if isinstance(confounds, Mapping) else {"strategy": confounds}
    try:
        options["strategy"] = tuple(options.get("strategy", STRATEGY))
        table, sample_mask = load_confounds(str(path), **options)
    except (ValueError, KeyError, TypeError, pd.errors.ParserError) as error:
        raise ValueError(f"Confounds of {path.name} cannot be loaded: {one_line(error)}") from None
    return (table if table is not None and len(table.columns) else None), sample_mask


def load_image(path: Path, masker):
    """Load what a masker takes: a volume, or both hemispheres on the mesh of its atlas."""
    if not is_surface(masker):
        try:
            image = nib.load(path)
        except (nib.filebasedimages.ImageFileError, OSError, EOFError) as error:
            raise ValueError(f"{path} is no readable image: {error}") from None
        if image.ndim != 4:
            raise ValueError(f"{path} must be a series of volumes (4-D), got {image.shape}.")
        return image
    from nilearn.surface import SurfaceImage

    atlas = next(
        (getattr(masker, name) for name in ("labels_img", "maps_img", "mask_img")
         if getattr(masker, name, None) is not None), None,
    )  # fmt: skip
    if atlas is None:
        raise ValueError("A surface masker needs labels_img, maps_img or mask_img with a mesh.")
    right = path.with_name(path.name.replace("_hemi-L_", "_hemi-R_"))
    if not right.is_file():
        raise FileNotFoundError(f"{path.name} has no right hemisphere {right.name} beside it.")
    try:
        return SurfaceImage(atlas.mesh, {"left": str(path), "right": str(right)})
    except Exception as error:
        raise ValueError(f"{path.name} does not fit the mesh of the masker: {error}") from None


def extract(path: Path, masker, confounds, radius: float):
    """BOLD of an atlas' regions (n_frames, n_regions), the fitted masker, what was removed.

    Rows of NaN are scrubbed frames, columns of NaN regions that were not measured.
    """
    masker = as_masker(masker, radius)
    image = load_image(path, masker)
    total = int(image.shape[-1])
    table, sample_mask = read_confounds(path, confounds)
    if table is not None and len(table) != total:
        raise ValueError(
            f"{path.name} has {total} volumes, but its confounds have {len(table)} rows."
        )
    kept = np.arange(total) if sample_mask is None else np.asarray(sample_mask)
    try:
        series = masker.fit_transform(image, confounds=table, sample_mask=sample_mask)
    except (ValueError, TypeError, np.linalg.LinAlgError) as error:
        raise ValueError(f"{path.name} does not fit the masker: {one_line(error)}") from None
    series = np.asarray(series, dtype=float)
    flat = np.ptp(series, axis=0) == 0
    series[:, flat] = np.nan
    values = np.full((total, series.shape[1]), np.nan)
    values[kept] = series
    found, expected = _regions(masker, series.shape[1])
    bold = pd.DataFrame(values, columns=found).reindex(columns=expected)
    missing = [str(c) for c in bold.columns[bold.isna().all()]]
    if len(missing) == bold.shape[1]:
        raise ValueError(f"{path.name} holds no signal in any region of the atlas.")
    if missing:
        logger.info("%s: regions %s were not measured; they are NaN.", path.name, missing[:8])
    if len(kept) < total:
        logger.info("%s: %d of %d volumes are scrubbed.", path.name, total - len(kept), total)
    used = {
        "n_frames": total,
        "n_scrubbed": total - len(kept),
        "confounds": [] if table is None else [str(column) for column in table.columns],
        "masker": type(masker).__name__,
        "missing_regions": missing,
    }
    return bold, masker, used


def _regions(masker, n: int) -> tuple[list[str], list[str]]:
    """Names of the regions found, and of all of the atlas, also those that this image lacks."""
    found = getattr(masker, "region_names_", None)
    if not isinstance(found, dict) or len(found) != n:
        unnamed = [f"region{k:03d}" for k in range(n)]
        return unnamed, unnamed
    found = [str(found[k]) for k in sorted(found)]
    table = getattr(masker, "lut_", None)
    if table is None:
        return found, found
    names = [str(name) for name in table["name"] if str(name).lower() != "background"]
    return found, names if set(found) <= set(names) and len(set(names)) == len(names) else found
