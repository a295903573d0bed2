"""BOLD of a BIDS derivative: masker, confounds and scrubbed frames to a table."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger

from ..data.grayordinates import GrayordinatesMasker
from ..data.surface_files import read_series
from ._atlas import hemisphere_beside
from ._bids_files import check_fetched, entities_of, one_line

#: Confounds that are removed unless others are named.
STRATEGY = ("motion", "high_pass", "wm_csf", "scrub")


def is_surface(masker) -> bool:
    """Whether a masker takes nilearn's surface images."""
    return type(masker).__name__.startswith("Surface")


def endings_of(masker) -> tuple[str, ...]:
    """How files that a masker takes end, the likeliest first."""
    if is_surface(masker):
        return (".func.gii",)
    if isinstance(masker, GrayordinatesMasker):
        dense = (".dtseries.nii", ".func.gii")
        is_cifti = isinstance(masker.atlas, nib.Cifti2Image)
        return dense if is_cifti or str(masker.atlas).endswith(".dlabel.nii") else dense[::-1]
    return ("_bold.nii.gz", "_bold.nii")


def read_confounds(path: Path, confounds) -> tuple[pd.DataFrame | None, np.ndarray | None]:
    """Confounds (n_frames, n_confounds) and frames to keep by nilearn; None: none, and all."""
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
        raise ValueError(
            f"Confounds of {path.name} cannot be loaded: {one_line(error)} Without any: "
            "confounds=None (--confounds with nothing after it)."
        ) from None
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
    """Load what a masker takes: a volume, grayordinates, or hemispheres on its atlas' mesh."""
    atlas = next(
        (getattr(masker, name) for name in ("labels_img", "maps_img", "mask_img")
         if getattr(masker, name, None) is not None), None,
    )  # fmt: skip
    if is_surface(masker) and atlas is None:
        raise ValueError("A surface masker needs labels_img, maps_img or mask_img with a mesh.")
    if path.suffix == ".gii":
        halves = {"left": path, "right": hemisphere_beside(path)}
    check_fetched(path)
    if isinstance(masker, GrayordinatesMasker):
        return read_series(halves if path.suffix == ".gii" else path, path.name, told=False)
    if not is_surface(masker):
        try:
            image = nib.load(path)
        except (nib.filebasedimages.ImageFileError, OSError, EOFError) as error:
            raise ValueError(f"{path} is no readable image: {error}") from None
        if image.ndim != 4:
            raise ValueError(f"{path} must be a series of volumes (4-D), got {image.shape}.")
        return image
    from nilearn.surface import SurfaceImage

    try:
        return SurfaceImage(atlas.mesh, {side: str(half) for side, half in halves.items()})
    except Exception as error:
        raise ValueError(f"{path.name} does not fit the mesh of the masker: {error}") from None


def extract(path: Path, masker, confounds):
    """BOLD of an atlas (n_frames, n_regions), the fitted masker, what was removed."""
    # Rows of NaN are scrubbed frames, columns of NaN regions that were not measured.
    image = load_image(path, masker)
    total = len(image.values) if hasattr(image, "values") else int(image.shape[-1])
    if hasattr(masker, "seeds") and masker.mask_img is None:
        # Spheres go back into an image on this grid.
        grid = np.ones(image.shape[:3], np.uint8)
        masker.set_params(mask_img=nib.Nifti1Image(grid, image.affine))
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
    series = np.array(series, dtype=float)
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
