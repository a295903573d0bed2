"""Numbers per region, written in the format that BOLD came in."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger
from sklearn.utils.validation import check_is_fitted

from ..data.grayordinates import GrayordinatesMasker
from ..data.images import image_of
from ..data.surface_files import is_image, other_side, to_gifti
from ..model_file import written_whole

# What a file holds, by its ending: the format, whether a map, and of CIFTI whether parcels.
_ENDINGS = {
    ".dtseries.nii": ("cifti", False, False), ".ptseries.nii": ("cifti", False, True),
    ".dscalar.nii": ("cifti", True, False), ".pscalar.nii": ("cifti", True, True),
    ".func.gii": ("gifti", False, False), ".shape.gii": ("gifti", True, False),
    ".nii.gz": ("nifti", None, False), ".nii": ("nifti", None, False),
}  # fmt: skip


def write_image(values, path, masker, *, t_r: float | None = None) -> list[Path]:
    """Write predicted time courses, or a map of one number per region, as BOLD came in.

    Parameters
    ----------
    values : array, DataFrame or Series, shape (n_frames, n_regions) or (n_regions,)
        Frames, as ``predict`` gives them for one recording, or a map, such as the correlation of
        every region. Names (columns of a DataFrame, index of a Series) say which region is which;
        without names there must be one for each region of ``masker``, in its order.
    path : str | Path | tuple of them
        File, whose ending says what it is to hold. Volumes: ``.nii.gz``, ``.nii``. CIFTI:
        ``.dtseries.nii`` and ``.ptseries.nii`` of frames, ``.dscalar.nii`` and ``.pscalar.nii`` of
        a map. GIFTI: ``.func.gii`` of frames, ``.shape.gii`` of a map; of two hemispheres (left,
        right), or the left one's name, with ``hemi-L``, ``lh`` or ``.L.`` in it.
    masker : nilearn masker | mne_samba.io.GrayordinatesMasker | path | image
        The fitted masker that BOLD came from. CIFTI that has parcels (``.ptseries.nii``) stands for
        itself.
    t_r : float | None
        Seconds between frames; None takes those that ``values.attrs["t_r"]`` or the masker knows.

    Returns
    -------
    paths : list of Path
        What was written, whole or not at all.

    Raises
    ------
    TypeError, ValueError
        If values do not fit the masker, or the ending does not fit what there is to write.

    Notes
    -----
    Images hold numbers everywhere: frames of NaN hold the mean of the others, regions that
    ``values`` lack, and what is no region, hold 0.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from nibabel import cifti2
    >>> from mne_samba.io import GrayordinatesMasker, write_image
    >>> voxel = cifti2.BrainModelAxis.from_mask(np.ones((1, 1, 1)), affine=np.eye(4))
    >>> parcels = cifti2.ParcelsAxis.from_brain_models([("V1", voxel), ("M1", voxel)])
    >>> bold = cifti2.Cifti2Image(np.random.randn(50, 2), (cifti2.SeriesAxis(0, 2, 50), parcels))
    >>> r = pd.Series([0.4, 0.2], index=["V1", "M1"], name="r")
    >>> write_image(r, "r.pscalar.nii", bold)  # doctest: +SKIP
    """
    paths = [Path(one).expanduser() for one in (path if isinstance(path, tuple) else (path,))]
    found = [next((kind for end, kind in _ENDINGS.items() if p.name.endswith(end)), None)
             for p in paths]  # fmt: skip
    if len(set(found)) > 1 or found[0] is None:
        raise ValueError(
            f"path must end in one of {list(_ENDINGS)}, got {[p.name for p in paths]}."
        )
    format_, is_map, parcels = found[0]
    if is_image(masker):
        masker = GrayordinatesMasker().fit(masker)
    check_is_fitted(masker)
    rows, name = _by_region(values, masker)
    if is_map is not None and is_map != (rows.ndim == 1):
        kind, other = ("a map", "frames") if rows.ndim == 1 else ("frames", "a map")
        raise ValueError(f"values are {kind}, but {paths[0].name} is to hold {other}.")
    t_r = values.attrs.get("t_r") if t_r is None and hasattr(values, "attrs") else t_r
    if t_r is None:
        t_r = next((v for v in (getattr(masker, n, None) for n in ("t_r_", "t_r")) if v), None)
    if t_r is None and rows.ndim == 2:
        raise ValueError("Nothing says how far frames are apart: pass t_r (s).")
    if isinstance(masker, GrayordinatesMasker):
        image = masker.inverse_transform(rows, t_r=t_r, parcels=parcels, name=name)
    elif rows.ndim == 1:
        image = masker.inverse_transform(rows)
    else:
        image = image_of(masker, rows, float(t_r or 0))
    if hasattr(image, "mesh"):  # nilearn's surfaces
        image = tuple(
            to_gifti(np.atleast_2d(part.T), side, t_r if rows.ndim == 2 else None, name=name)
            for side, part in image.data.parts.items()
        )
    images = image if isinstance(image, tuple) else (image,)
    is_a = {nib.Cifti2Image: "cifti", nib.GiftiImage: "gifti"}.get(type(images[0]), "nifti")
    if is_a != format_:
        fits = [end for end, kind in _ENDINGS.items() if kind[0] == is_a]
        raise ValueError(f"BOLD came as {is_a.upper()}: path must end in one of {fits}.")
    paths = paths if len(images) == len(paths) else _both_sides(paths, len(images))
    _write_whole(images, paths)
    return paths


def _by_region(values, masker) -> tuple[np.ndarray, str]:
    """Values in the order of a masker's regions, without NaN, and what a map is called."""
    rows = np.asarray(values, dtype=float)
    if rows.ndim not in (1, 2) or not rows.size:
        raise ValueError(
            f"values must have shape (n_frames, n_regions) or (n_regions,), got {rows.shape}."
        )
    named = isinstance(values, (pd.DataFrame, pd.Series))
    found = getattr(masker, "region_names_", None)
    if named and isinstance(found, dict):
        names = [str(found[k]) for k in sorted(found)]
        table = pd.DataFrame(np.atleast_2d(rows), columns=map(str, values.axes[-1]))
        unknown = [c for c in table.columns if c not in names]
        if unknown:
            raise ValueError(f"values have regions {unknown[:8]} that the masker has not.")
        lacking = [name for name in names if name not in table]
        if lacking:
            logger.info("values lack regions %s, which hold 0.", lacking[:8])
        rows = table.reindex(columns=names).to_numpy().reshape(*rows.shape[:-1], len(names))
    if np.isinf(rows).any():
        raise ValueError("values contain infinite values.")
    if rows.ndim == 2:
        means = pd.DataFrame(rows).mean().to_numpy()
        rows = np.where(np.isnan(rows), means, rows)
    name = values.name if isinstance(values, pd.Series) and values.name is not None else "value"
    return np.ascontiguousarray(np.nan_to_num(rows)), str(name)


def _both_sides(paths: list[Path], n: int) -> list[Path]:
    """Names of both hemispheres from that of the left one."""
    right = other_side(paths[0])
    if n != 2 or len(paths) != 1 or right is None:
        raise ValueError(
            f"There are {n} hemispheres to write: pass {'(left, right)' if n == 2 else 'one path'} "
            f"as path, or a name that says which one it is, such as sub-01_hemi-L_bold.func.gii; "
            f"got {[p.name for p in paths]}."
        )
    return [paths[0], right]


def _write_whole(images, paths: list[Path]) -> None:
    """Write images under other names, and rename them when all are written."""
    with contextlib.ExitStack() as stack:
        for image, path in zip(images, paths, strict=True):
            temporary = stack.enter_context(written_whole(path))
            content = image.to_bytes()
            temporary.write_bytes(
                gzip.compress(content, mtime=0) if path.suffix == ".gz" else content
            )
