"""Atlases, whatever says them: files of volumes and surfaces, names of nilearn's, coordinates."""

import re
from collections.abc import Mapping
from inspect import signature
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger
from sklearn.base import clone

from ..data.grayordinates import GrayordinatesMasker
from ..data.surface_files import other_side
from ..data.surface_labels import LABELS
from ._bids_files import check_fetched, one_line, read_table
from ._offline import OfflineError, offline

# Of spheres, mm.
_RADIUS = 8.0
# A name of nilearn's with its options, such as schaefer_2018:n_rois=100.
_FETCH = ("fetch_atlas_", "fetch_coords_")
_NAME = re.compile(r"[a-z][a-z0-9_]*(:[a-z_]+=[^,:=]+(,[a-z_]+=[^,:=]+)*)?")


def as_masker(masker):
    """Make a masker of an atlas, whatever says it, or of centres of spheres in mm, or copy one."""
    from nilearn.maskers import NiftiLabelsMasker, NiftiSpheresMasker

    if hasattr(masker, "fit_transform") and hasattr(masker, "inverse_transform"):
        return clone(masker)
    if isinstance(masker, nib.spatialimages.SpatialImage):
        return NiftiLabelsMasker(masker, standardize=None)
    if isinstance(masker, (str, Path)) and str(masker) != "vertices":
        path = Path(masker).expanduser()
        if not path.is_file() and not path.is_symlink():
            return _of_nilearn(str(masker))
        check_fetched(path)
        if not path.name.endswith(LABELS):
            table = path.with_name(path.name.split(".nii")[0] + ".tsv")
            named = table.is_file() or table.is_symlink()
            names = _names_of_regions(table, path) if named else None
            return NiftiLabelsMasker(str(path), lut=names, standardize=None)
        masker = path if path.name.endswith(".dlabel.nii") else (path, hemisphere_beside(path))
    items = masker.values() if isinstance(masker, Mapping) else masker
    items = list(items) if isinstance(masker, (Mapping, tuple, list)) else [masker]
    if items and all(
        isinstance(item, (nib.Cifti2Image, nib.GiftiImage))
        or str(item).endswith((*LABELS, "vertices"))
        for item in items
    ):
        return GrayordinatesMasker(masker)
    try:
        seeds = np.asarray(masker, dtype=float)
    except (TypeError, ValueError):
        seeds = np.empty(0)
    if seeds.ndim != 2 or seeds.shape[1] != 3 or not len(seeds):
        raise TypeError(
            "masker must be an atlas (a label image, .dlabel.nii, .label.gii, .annot or the name "
            "of one of nilearn's), coordinates of shape (n_regions, 3) or a nilearn masker, got "
            f"{type(masker).__name__}."
        )
    return NiftiSpheresMasker(seeds.tolist(), radius=_RADIUS, standardize=None)


def hemisphere_beside(path: Path) -> Path:
    """Find the file of the other hemisphere."""
    other = other_side(path)
    if other is None or not check_fetched(other).is_file():
        beside = f" {other.name} beside it" if other is not None else ": lh or rh is in no name"
        raise FileNotFoundError(f"{path} has no other hemisphere{beside}.")
    return other


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


def _of_nilearn(text: str):
    """Masker of an atlas that nilearn has, or has downloaded before; nothing is downloaded."""
    from nilearn import datasets
    from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker

    name, _, options = text.partition(":")
    fetch = next((getattr(datasets, k + name) for k in _FETCH if hasattr(datasets, k + name)), None)
    if fetch is None or not _NAME.fullmatch(text):
        there = sorted(n.removeprefix(k) for k in _FETCH for n in dir(datasets) if n.startswith(k))
        raise FileNotFoundError(
            f"No atlas image {text}. Files are label images (.nii.gz), .dlabel.nii, .label.gii and "
            f".annot; names of nilearn's atlases are {there}."
        )
    given = dict(option.split("=") for option in options.split(",") if option)
    read = {key: int(v) if v.lstrip("-").isdigit() else v for key, v in given.items()}
    quiet = {"verbose": 0} if "verbose" in signature(fetch).parameters else {}
    line = f"nilearn.datasets.{fetch.__name__}({', '.join(f'{k}={v!r}' for k, v in read.items())})"
    try:
        with offline():
            atlas = fetch(**read, **quiet)
    except OfflineError:
        raise FileNotFoundError(
            f"The atlas {name} is not in nilearn's data folder, and nothing is downloaded here: "
            f"run {line} once in Python, then again."
        ) from None
    except Exception as error:  # options that cannot be, damaged files, folders without access
        raise ValueError(f"{line}: {one_line(error)}") from None
    if "rois" in atlas:
        seeds = pd.DataFrame(atlas["rois"])[["x", "y", "z"]].to_numpy(dtype=float).tolist()
        return NiftiSpheresMasker(seeds, radius=_RADIUS, standardize=None, allow_overlap=True)
    if "map_left" in atlas:
        names = [str(label) for label in atlas["labels"]]
        return GrayordinatesMasker({s: (atlas[f"map_{s}"], names) for s in ("left", "right")})
    if "maps" not in atlas:
        raise ValueError(f"{line} holds several atlases; download one, and give its file.")
    if atlas.get("atlas_type") == "probabilistic":
        return NiftiMapsMasker(atlas["maps"], standardize=None)
    return NiftiLabelsMasker(atlas["maps"], lut=atlas.get("lut"), standardize=None)
