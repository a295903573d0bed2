"""Atlases, whatever says them: files of volumes and surfaces, names of nilearn's, coordinates."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger
from nibabel.gifti import GiftiImage
from sklearn.base import clone

from ..data.grayordinates import GrayordinatesMasker
from ..data.surface_files import other_side
from ..data.surface_labels import LABELS
from ._bids_files import check_fetched, one_line, read_table

# A name of nilearn's with its options, such as schaefer_2018:n_rois=100.
_NAME = re.compile(r"[a-z][a-z0-9_]*(:[a-z_]+=[^,:=]+(,[a-z_]+=[^,:=]+)*)?")


def as_masker(masker, radius: float = 8.0):
    """Make a masker of an atlas, whatever says it, or of centres of spheres in mm, or copy one."""
    from nilearn.maskers import NiftiLabelsMasker, NiftiSpheresMasker

    if isinstance(masker, (str, Path)):
        path = Path(masker).expanduser()
        if str(masker) == "vertices":
            return GrayordinatesMasker("vertices")
        if not path.is_file() and not path.is_symlink():
            return _of_nilearn(str(masker), radius)
        if path.name.endswith(LABELS):
            return GrayordinatesMasker(_with_other_side(check_fetched(path)))
        table = path.with_name(path.name.split(".nii")[0] + ".tsv")
        check_fetched(path)
        names = _names_of_regions(table, path) if table.is_file() or table.is_symlink() else None
        return NiftiLabelsMasker(str(path), lut=names, standardize=None)
    if _are_surfaces(masker):
        return GrayordinatesMasker(masker)
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
            "masker must be an atlas (a label image, .dlabel.nii, .label.gii, .annot or the name "
            "of one of nilearn's), coordinates of shape (n_regions, 3) or a nilearn masker, got "
            f"{type(masker).__name__}."
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


def _are_surfaces(given) -> bool:
    """Whether an atlas is given as images of surfaces, or as the files of both hemispheres."""
    if isinstance(given, (nib.Cifti2Image, GiftiImage)):
        return True
    items = given.values() if isinstance(given, Mapping) else given
    several = isinstance(given, (tuple, list, Mapping)) and len(given) > 0
    return several and all(
        isinstance(item, GiftiImage) or str(item).endswith(LABELS) for item in items
    )


def _with_other_side(path: Path) -> Path | tuple[Path, Path]:
    """Both hemispheres of an atlas of which one is named; CIFTI holds both."""
    if path.name.endswith(".dlabel.nii"):
        return path
    other = other_side(path)
    if other is None or not check_fetched(other).is_file():
        beside = f" {other.name} beside it" if other is not None else ": lh or rh is in no name"
        raise FileNotFoundError(f"The atlas {path} has no other hemisphere{beside}.")
    return path, other


def _of_nilearn(text: str, radius: float):
    """Masker of an atlas that nilearn has, or has downloaded before; nothing is downloaded."""
    from unittest import mock

    import requests
    from nilearn import datasets
    from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker

    name, _, options = text.partition(":")
    kinds = ("fetch_atlas_", "fetch_coords_")
    fetch = next((getattr(datasets, k + name) for k in kinds if hasattr(datasets, k + name)), None)
    if fetch is None or not _NAME.fullmatch(text):
        there = sorted(n.removeprefix(k) for k in kinds for n in dir(datasets) if n.startswith(k))
        raise FileNotFoundError(
            f"No atlas image {text}. Files are label images (.nii.gz), .dlabel.nii, .label.gii and "
            f".annot; names of nilearn's atlases are {there}."
        )
    given = dict(option.split("=") for option in options.split(",") if option)
    possible = inspect.signature(fetch).parameters
    unknown = sorted(set(given) - set(possible))
    if unknown:
        own = [p for p in possible if p not in ("data_dir", "url", "base_url", "resume", "verbose")]
        raise ValueError(f"The atlas {name} has no option {unknown[0]!r}; it has {own}.")
    read = {key: int(v) if v.lstrip("-").isdigit() else v for key, v in given.items()}
    quiet = {"verbose": 0} if "verbose" in possible else {}
    line = f"nilearn.datasets.{fetch.__name__}({', '.join(f'{k}={v!r}' for k, v in read.items())})"
    try:
        with mock.patch.object(requests.Session, "send", _refuse_to_download):
            atlas = fetch(**read, **quiet)
    except _DownloadError:
        raise FileNotFoundError(
            f"The atlas {name} is not in nilearn's data folder, and nothing is downloaded here: "
            f"run {line} once in Python, then again."
        ) from None
    except Exception as error:  # options that cannot be, damaged files, folders without access
        raise ValueError(f"{line}: {one_line(error)}") from None
    if "rois" in atlas:
        seeds = pd.DataFrame(atlas["rois"])[["x", "y", "z"]].to_numpy(dtype=float)
        return NiftiSpheresMasker(
            seeds.tolist(), radius=radius, standardize=None, allow_overlap=True
        )
    if "map_left" in atlas:
        names = [str(label) for label in atlas["labels"]]
        return GrayordinatesMasker(
            {side: (atlas[f"map_{side}"], names) for side in ("left", "right")}
        )
    if "maps" not in atlas:
        raise ValueError(f"{line} holds several atlases; download one, and give its file.")
    if atlas.get("atlas_type") == "probabilistic":
        return NiftiMapsMasker(atlas["maps"], standardize=None)
    return NiftiLabelsMasker(atlas["maps"], lut=atlas.get("lut"), standardize=None)


class _DownloadError(BaseException):
    """A download was tried; no handler of nilearn's takes it for a failed one and tries again."""


def _refuse_to_download(*_, **__):
    raise _DownloadError
