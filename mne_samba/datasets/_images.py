"""A small 4-D image of regions with known time courses."""

import nibabel as nib
import numpy as np
from sklearn.utils import Bunch

from .._checks import check_number


def simulate_bold_image(
    bold: np.ndarray, coords: np.ndarray, t_r: float, *, radius: float = 8.0,
    voxel_size: float = 5.0, baseline: float = 0.0,
) -> Bunch:  # fmt: skip
    """Make a 4-D image in MNI space in which every region is a sphere with its time course.

    Parameters
    ----------
    bold : array of shape (n_frames, n_targets)
        Time courses, as `nilearn` maskers return them.
    coords : array of shape (n_targets, 3)
        Centres of the regions, MNI mm.
    t_r : float
        Repetition time, s; kept in the header.
    radius : float
        Of the spheres, mm. Where two of them overlap, a voxel belongs to the nearer centre.
    voxel_size : float
        Edge of a voxel, mm.
    baseline : float
        Added to all voxels of all regions.

    Returns
    -------
    image : Bunch
        ``img`` (4-D `nibabel.nifti1.Nifti1Image`, float32, zero outside of the regions),
        ``labels_img`` (3-D; region k has the value k + 1), ``mask_img`` (3-D, all regions) and
        ``radius``.

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, or a region has no voxel of its own.

    Examples
    --------
    >>> from nilearn.maskers import NiftiLabelsMasker
    >>> from mne_samba.datasets import simulate_bold_image, simulate_paired
    >>> data = simulate_paired(1, 60.0, level="source", random_state=0)
    >>> image = simulate_bold_image(data.bolds[0], data.target_coords, data.t_r)
    >>> NiftiLabelsMasker(image.labels_img, standardize=None).fit_transform(image.img).shape
    (30, 48)
    """
    bold, coords = np.asarray(bold, dtype=np.float32), np.asarray(coords, dtype=float)
    if coords.ndim != 2 or coords.shape[1] != 3:
        raise ValueError(f"coords must have shape (n_targets, 3), got {coords.shape}.")
    if bold.ndim != 2 or bold.shape[1] != len(coords):
        raise ValueError(
            f"bold must have shape (n_frames, n_targets) with one column for each of the "
            f"{len(coords)} coords, got {bold.shape}."
        )
    if not np.isfinite(bold).all():
        raise ValueError("bold holds NaN or infinite values: an image needs numbers in all frames.")
    t_r = check_number(t_r, "t_r", low=0, low_open=True)
    radius = check_number(radius, "radius", low=0, low_open=True)
    voxel_size = check_number(voxel_size, "voxel_size", low=0.5, high=20)

    affine, shape = _grid(coords, radius, voxel_size)
    labels = _nearest_region(coords, affine, shape, radius)
    empty = np.setdiff1d(np.arange(1, len(coords) + 1), labels)
    if len(empty):
        raise ValueError(
            f"Region(s) {(empty - 1).tolist()} have no voxel of their own: choose a smaller "
            "voxel_size or regions that lie further apart."
        )
    data = np.zeros((*shape, len(bold)), dtype=np.float32)
    inside = labels > 0
    data[inside] = bold.T[labels[inside] - 1] + np.float32(baseline)
    img = nib.Nifti1Image(data, affine)
    img.header.set_zooms((voxel_size,) * 3 + (t_r,))
    img.header.set_xyzt_units("mm", "sec")
    return Bunch(
        img=img,
        labels_img=nib.Nifti1Image(labels, affine),
        mask_img=nib.Nifti1Image(inside.astype(np.uint8), affine),
        radius=radius,
    )


def _grid(coords, radius, voxel_size):
    """Affine and shape of the smallest grid, aligned to the MNI origin, that holds all spheres."""
    first = np.floor((coords.min(axis=0) - radius) / voxel_size) - 1
    last = np.ceil((coords.max(axis=0) + radius) / voxel_size) + 1
    affine = np.diag([voxel_size] * 3 + [1.0])
    affine[:3, 3] = first * voxel_size
    return affine, tuple((last - first + 1).astype(int).tolist())


def _nearest_region(coords, affine, shape, radius):
    """Label of every voxel: the nearest centre within the radius plus one, else 0."""
    labels = np.zeros(shape, dtype=np.int16)
    nearest = np.full(shape, np.inf)
    axes = [affine[axis, axis] * np.arange(n) + affine[axis, 3] for axis, n in enumerate(shape)]
    for label, centre in enumerate(coords, start=1):
        x, y, z = (axis - value for axis, value in zip(axes, centre, strict=True))
        distance = np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2)
        ours = (distance <= radius) & (distance < nearest)
        labels[ours] = label
        nearest[ours] = distance[ours]
    return labels
