"""BOLD of a BIDS derivative: masker, confounds and scrubbed frames to a table."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger
from sklearn.base import clone

from ._bids_files import check_fetched, entities_of, one_line, read_table

#: Confounds that are removed unless others are named.
STRATEGY = ("motion", "high_pass", "wm_csf", "scrub")


def as_masker(masker, radius: float):
    """Make a nilearn masker of a label image or of centres of spheres in mm, or copy one."""
    from nilearn.maskers import NiftiLabelsMasker, NiftiSpheresMasker

    if isinstance(masker, (str, Path)):
        path = Path(masker).expanduser()
        if not path.is_file() and not path.is_symlink():
            raise FileNotFoundError(f"No atlas image {path}.")
        table = path.with_name(path.name.split(".nii")[0] + ".tsv")
        check_fetched(path)
        names = _names_of_regions(table, path) if table.is_file() or table.is_symlink() else None
        return NiftiLabelsMasker(str(path), lut=names, standardize=None)
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


def _names_of_regions(table: Path, image: Path) -> pd.DataFrame:
    """Labels of an atlas image and their names: columns ``index`` and ``name``."""
    content = read_table(table)
    spelt = {str(column).strip().lower(): column for column in content.columns}
    if not {"index", "name"} <= spelt.keys():
        raise ValueError(
            f"{table} must have the columns index and name, one row per region of {image.name}; it "
            f"has {list(content.columns)}. Rename its columns."
        )
    index = pd.to_numeric(content[spelt["index"]], errors="coerce")
    names = content[spelt["name"]].str.strip()
    wrong = content[spelt["index"]][index.isna() | (index % 1 != 0)]
    if len(wrong):
        raise ValueError(f"{table}: index must hold whole numbers, got {list(wrong)[:4]}.")
    for what, column in (("index", index.astype(int)), ("name", names)):
        twice = sorted(set(column[column.duplicated()]))
        if twice:
            raise ValueError(
                f"{table}: {what} {twice[:8]} comes more than once; each region needs its own."
            )
    try:
        labels = np.unique(np.asarray(nib.load(image).dataobj))
    except (nib.filebasedimages.ImageFileError, OSError, EOFError, ValueError) as error:
        raise ValueError(f"{image} is no readable image: {one_line(error)}") from None
    unnamed = sorted(set(labels[labels != 0].tolist()) - set(index))
    if unnamed:
        raise ValueError(
            f"{table} names the labels {_some(index)}, but {image.name} holds {_some(labels)}: "
            f"{_some(unnamed)} have no name. Is it the table of another atlas?"
        )
    lacking = sorted(set(index) - set(labels.tolist()) - {0})
    if lacking:
        logger.info("%s names labels %s that the image does not hold.", table.name, _some(lacking))
    return pd.DataFrame({"index": index.astype(int), "name": names})


def _some(labels) -> list:
    """Give the first labels of a list, as whole numbers where they are."""
    return [int(label) if label == int(label) else float(label) for label in list(labels)[:8]]


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
        return _check_own(confounds, path.name), None
    _check_confounds_fetched(path)
    if isinstance(confounds, str):
        confounds = (confounds,)
    options = dict(confounds) if isinstance(confounds, Mapping) else {"strategy": confounds}
    try:
        options["strategy"] = tuple(options.get("strategy", STRATEGY))
        with warnings.catch_warnings():
            # It becomes an error that says what to do.
            warnings.filterwarnings("ignore", "All volumes were marked", RuntimeWarning)
            table, sample_mask = load_confounds(str(path), **options)
    except (ValueError, KeyError, TypeError, pd.errors.ParserError) as error:
        raise ValueError(f"Confounds of {path.name} cannot be loaded: {one_line(error)}") from None
    if sample_mask is not None and not len(sample_mask):
        _refuse_all_scrubbed(path)
    return (table if table is not None and len(table.columns) else None), sample_mask


def _check_own(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Refuse confounds that cannot be regressed out."""
    text = [str(c) for c in table.columns if not pd.api.types.is_numeric_dtype(table[c])]
    if text:
        raise ValueError(
            f"confounds of {name}: the columns {text[:8]} hold no numbers. Was the table read with "
            'pandas.read_csv(path, sep="\\t", na_values="n/a")?'
        )
    empty = ~np.isfinite(table.to_numpy(dtype=float))
    if empty.any():
        columns = [str(c) for c in table.columns[empty.any(axis=0)]]
        rows = np.flatnonzero(empty.any(axis=1)).tolist()
        raise ValueError(
            f"confounds of {name}: the columns {columns[:8]} are NaN in rows {rows[:8]}"
            f"{' ...' if len(rows) > 8 else ''}. fMRIPrep writes n/a where a volume has none "
            "before it: fill such rows, confounds=table.bfill()."
        )
    return table


def _check_confounds_fetched(path: Path) -> None:
    """Refuse tables of confounds that are still elsewhere; nilearn finds them by their names."""
    image = entities_of(path)
    for file in sorted(path.parent.glob("*confounds*")) if path.parent.is_dir() else ():
        own = entities_of(file)
        own.pop("desc", None)
        if own.items() <= image.items():
            check_fetched(file)


def _refuse_all_scrubbed(path: Path):
    raise ValueError(
        f"Every volume of {path.name} is scrubbed: framewise_displacement and std_dvars of its "
        "confounds are above their limits throughout. Leave scrub out of confounds (in the command "
        'line, --confounds motion high_pass wm_csf), or give wider limits, {"strategy": [...], '
        '"fd_threshold": 1.0, "std_dvars_threshold": 5.0}.'
    )


def load_image(path: Path, masker):
    """Load what a masker takes: a volume, or both hemispheres on the mesh of its atlas."""
    if not is_surface(masker):
        check_fetched(path)
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
    check_fetched(path), check_fetched(right)
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
