"""Numbers per region, written in the format that BOLD came in."""

import contextlib
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from .._checks import check_number
from ..data.grayordinates import GrayordinatesMasker
from ..data.images import by_region, image_of, names_in
from ..data.surface_files import named_side, other_side, to_gifti, told_side
from ..model_file import written_whole

_PARCELS = (".ptseries.nii", ".pscalar.nii")


def write_image(values, path, masker, *, t_r: float | None = None) -> list[Path]:
    """Write predicted time courses, or a map of one number per region, as BOLD came in.

    Parameters
    ----------
    values : array, DataFrame or Series, shape (n_frames, n_regions) or (n_regions,)
        Frames, as ``predict`` gives them for one recording, or a map, such as the correlation of
        every region. Names (columns of a DataFrame, index of a Series) say which region is which;
        without names there must be one for each region of ``masker``, in its order.
    path : str | Path | list or tuple of them
        File, whose ending says what it is to hold. Volumes: ``.nii.gz``, ``.nii``. CIFTI:
        ``.dtseries.nii`` and ``.ptseries.nii`` of frames, ``.dscalar.nii`` and ``.pscalar.nii`` of
        a map. GIFTI: ``.func.gii`` of frames, ``.shape.gii`` of a map; of two hemispheres (left,
        right), or the name of one, with ``hemi-L``, ``lh`` or ``.L.`` in it.
    masker : nilearn masker | mne_samba.io.GrayordinatesMasker | path | image
        The fitted masker that BOLD came from. CIFTI that has parcels (``.ptseries.nii``) stands for
        itself.
    t_r : float | None
        Seconds between frames; None takes those that ``values.attrs["t_r"]`` or the masker knows.

    Returns
    -------
    paths : list of Path
        What was written, whole or not at all; the left hemisphere first.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If values do not fit the masker, a name does not fit what there is to write, or there is no
        such folder.

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
    paths = [
        Path(one).expanduser() for one in (path if isinstance(path, (list, tuple)) else [path])
    ]
    if not hasattr(masker, "inverse_transform"):
        masker = GrayordinatesMasker().fit(masker)
    check_is_fitted(masker)
    rows = by_region(values, names_in(masker))
    is_map = rows.ndim == 1
    fits = _endings(masker, is_map)
    if not all(one.name.endswith(fits) for one in paths):
        raise ValueError(
            f"values are {'a map' if is_map else 'frames'}: as BOLD came, path must end in one of "
            f"{list(fits)}, got {[one.name for one in paths]}."
        )
    for folder in {one.parent for one in paths}:
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {folder} to write to.")
    known = [t_r, getattr(values, "attrs", {}).get("t_r"), *(getattr(masker, name, None)
             for name in ("t_r_", "t_r"))]  # fmt: skip
    t_r = next((one for one in known if one is not None), None)
    if not is_map:
        if t_r is None:
            raise ValueError("Nothing says how far frames are apart: pass t_r (s).")
        check_number(t_r, "t_r", low=0, low_open=True)
    name = values.name if isinstance(values, pd.Series) and values.name is not None else "value"
    if isinstance(masker, GrayordinatesMasker):
        parcels = paths[0].name.endswith(_PARCELS)
        image = masker.inverse_transform(rows, t_r=t_r, parcels=parcels, name=str(name))
    else:
        image = masker.inverse_transform(rows) if is_map else image_of(masker, rows, t_r)
    if hasattr(image, "mesh"):  # nilearn's surfaces
        image = tuple(
            to_gifti(np.atleast_2d(part.T), side, None if is_map else t_r, name=str(name))
            for side, part in image.data.parts.items()
        )
    images = image if isinstance(image, tuple) else (image,)
    paths = _paths_of(paths, [told_side(one) for one in images])
    # All are written under other names, and renamed when they are.
    with contextlib.ExitStack() as stack:
        for one, file in zip(images, paths, strict=True):
            content = one.to_bytes()
            content = gzip.compress(content, mtime=0) if file.suffix == ".gz" else content
            stack.enter_context(written_whole(file)).write_bytes(content)
    return paths


def _endings(masker, is_map: bool) -> tuple[str, ...]:
    """How files end that hold what a masker makes."""
    ours = isinstance(masker, GrayordinatesMasker)
    if type(masker).__name__.startswith("Surface") or (ours and masker.template_.is_gifti):
        return (".shape.gii",) if is_map else (".func.gii",)
    if not ours:
        return (".nii.gz", ".nii")
    kinds = "p" if masker.atlas is None else "dp"
    return tuple(f".{kind}{'scalar' if is_map else 'tseries'}.nii" for kind in kinds)


def _paths_of(paths: list[Path], sides: list[str | None]) -> list[Path]:
    """One path for each image; the hemispheres that names say must be those of the images."""
    other = other_side(paths[0])
    if len(paths) == 1 and len(sides) == 2 and other is not None:
        paths = sorted([paths[0], other], key=lambda path: str(named_side(path.name)))
    pairs = zip(paths, sides, strict=False)
    agree = all(side is None or named_side(path.name) in (None, side) for path, side in pairs)
    if not agree or len(set(paths)) != len(sides) or len(paths) != len(sides):
        what = " and ".join(f"the {side} hemisphere" for side in sides) if sides[0] else "one image"
        raise ValueError(
            f"There is {what} to write: pass as many names in this order, or of hemispheres one "
            "that says which it is, such as sub-01_hemi-L_bold.func.gii; got "
            f"{[path.name for path in paths]}."
        )
    return paths
