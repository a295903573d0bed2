"""Parcels of surfaces and CIFTI, laid upon an image by vertex and voxel.

It does not matter which of atlas and image leaves the medial wall out.
"""

from __future__ import annotations

import re

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger, warn
from nibabel import cifti2, gifti

from .surface_files import Values, is_one, load, sides_of, surface_axis

#: How files of labels end.
LABELS = (".dlabel.nii", ".label.gii", ".annot")
_SPACE = re.compile(r"fs_?lr|fsaverage", re.IGNORECASE)
# What atlases call the cortex that belongs to no region.
_NO_REGION = re.compile(
    r"\?\?\?|(.*[-_. ])?unknown|background.*|.*medial[_ ]?wall.*", re.IGNORECASE
)
_MESHES = {
    642: "fsaverage3", 2562: "fsaverage4", 10242: "fsaverage5", 40962: "fsaverage6",
    163842: "fsaverage or fsLR 164k", 32492: "fsLR 32k", 59292: "fsLR 59k",
}  # fmt: skip


def read_atlas(atlas, image: Values) -> tuple[Values | None, list[str]]:
    """Region of every place of an atlas, and names; no atlas where places themselves are it."""
    in_parcels = isinstance(image.axis, cifti2.ParcelsAxis)
    if isinstance(atlas, str) and atlas == "vertices" and not in_parcels:
        return None, _place_names(image.axis)
    if in_parcels:
        if atlas is not None:
            raise ValueError(f"{image.name} has parcels itself: pass atlas=None.")
        return None, _different([str(name) for name in image.axis.name], image.name)
    if atlas is None:
        raise TypeError(
            f"{image.name} holds {len(image.axis)} vertices and voxels: pass atlas, parcels "
            '(.dlabel.nii, .label.gii, .annot), or "vertices" to take each as a region.'
        )
    return _read_labels(atlas)


def _read_labels(atlas) -> tuple[Values, list[str]]:
    """Parcels: an atlas whose values (1, n_places) count regions from 0, -1 outside; names."""
    loaded, label = load(atlas, "atlas") if is_one(atlas) else (None, "atlas")
    if isinstance(loaded, nib.Cifti2Image):
        maps, axis = (loaded.header.get_axis(i) for i in (0, 1))
        if not isinstance(maps, cifti2.LabelAxis):
            raise TypeError(f"atlas: {label} holds {type(maps).__name__}, no labels (.dlabel.nii).")
        if len(maps) > 1:
            raise ValueError(
                f"atlas: {label} holds the maps {[str(m) for m in maps.name][:8]}: keep one, "
                "wb_command -cifti-merge OUT.dlabel.nii -cifti IN.dlabel.nii -column NAME."
            )
        keys = np.asarray(loaded.dataobj)[0].round().astype(int)
        table = {int(key): str(text) for key, (text, _) in maps.label[0].items()}
        parts = [(keys, table, "", True)]
    else:
        sides = sides_of(atlas, "atlas")
        read = {side: _read_side(*one) for side, one in sides.items()}
        axis = surface_axis({side: len(keys) for side, (keys, _, _) in read.items()})
        label = " and ".join(name for _, name in sides.values())
        used = [_used(keys, table) for keys, table, _ in read.values()]
        # As MNE names labels; GIFTI's say their side themselves, mostly.
        both = len(used) > 1 and bool(set.intersection(*used))
        parts = [
            (keys, table, f"-{side[0]}h" if is_annot or both else "", not is_annot)
            for side, (keys, table, is_annot) in read.items()
        ]
    names: list[str] = []
    values = []
    for keys, table, ending, zero in parts:
        unnamed = sorted(set(np.unique(keys).tolist()) - set(table) - {0, -1})
        if unnamed:
            raise ValueError(f"atlas: keys {unnamed[:8]} of {label} have no name in its table.")
        if zero and 0 in table and not _NO_REGION.fullmatch(table[0]) and (keys == 0).any():
            warn(f"atlas: key 0 of {label}, called {table[0]!r}, is taken as no region.")
        number = np.full(len(keys), -1)
        for key, text in table.items():
            here = keys == key
            if (zero and key == 0) or _NO_REGION.fullmatch(text) or not here.any():
                continue
            number[here] = len(names)
            names.append(text + ending)
        values.append(number)
    left_out = int(sum((number < 0).sum() for number in values))
    if not names:
        raise ValueError(f"atlas: {label} has no region.")
    logger.info("%s: %d regions, %d places in none.", label, len(names), left_out)
    whole = np.concatenate(values)[np.newaxis]
    return Values(whole, axis, label), _different(names, label)


def _used(keys, table: dict) -> set[str]:
    names = (table.get(key, "unknown") for key in np.unique(keys).tolist())
    return {name for name in names if not _NO_REGION.fullmatch(name)}


def _read_side(image, name: str) -> tuple[np.ndarray, dict, bool]:
    """Labels (n_vertices,) of a hemisphere, their names, and whether it is an annotation."""
    if isinstance(image, tuple):
        return image[0], dict(enumerate(image[1])), True
    if not isinstance(image, gifti.GiftiImage) or not image.labeltable.labels:
        raise TypeError(
            f"atlas: {name} holds no labels; expected CIFTI (.dlabel.nii), GIFTI (.label.gii) or "
            "FreeSurfer's annotations (.annot)."
        )
    if len(image.darrays) != 1 or image.darrays[0].data.ndim != 1:
        raise ValueError(f"atlas: {name} holds {len(image.darrays)} maps of labels: keep one.")
    table = {int(k): str(text) for k, text in image.labeltable.get_labels_as_dict().items()}
    return np.asarray(image.darrays[0].data).round().astype(int), table, False


def _different(names: list[str], label: str) -> list[str]:
    twice = sorted(set(pd.Index(names)[pd.Index(names).duplicated()]))
    if twice:
        raise ValueError(f"{label}: names of regions must differ, {twice[:8]} come more than once.")
    return names


def _place_names(axis: cifti2.BrainModelAxis) -> list[str]:
    """Names of vertices and voxels: "cortex_left-12", "thalamus_left-40-52-31"."""
    where = [str(name).removeprefix("CIFTI_STRUCTURE_").lower() for name in axis.name]
    return [
        f"{name}-{vertex}" if vertex >= 0 else f"{name}-{'-'.join(map(str, voxel))}"
        for name, vertex, voxel in zip(where, axis.vertex, axis.voxel.tolist(), strict=True)
    ]


def places_of(axis: cifti2.BrainModelAxis) -> pd.MultiIndex:
    """Vertices and voxels of an axis as what can be looked up."""
    where = np.where(axis.surface_mask, axis.name, "voxel")
    index = np.array(axis.vertex, dtype=np.int64)
    if axis.volume_mask.any():
        voxels = axis.voxel[axis.volume_mask].T
        index[axis.volume_mask] = np.ravel_multi_index(voxels, axis.volume_shape)
    return pd.MultiIndex.from_arrays([where, index])


def check_mesh(atlas: Values, image: Values) -> None:
    """Refuse an atlas of another mesh, other hemispheres or other voxels."""
    ours, theirs = atlas.axis, image.axis
    shared = ours.nvertices.keys() & theirs.nvertices.keys()
    for structure in sorted(shared):
        counts = [int(axis.nvertices[structure]) for axis in (ours, theirs)]
        if counts[0] != counts[1]:
            said = [f"{n} ({_MESHES[n]})" if n in _MESHES else str(n) for n in counts]
            raise ValueError(
                f"{_side_of(structure)}: the atlas {atlas.name} has {said[0]} vertices, "
                f"{image.name} has {said[1]}: take the atlas of its mesh."
            )
    voxels = ours.volume_mask.any() and theirs.volume_mask.any()
    if voxels and not (
        ours.volume_shape == theirs.volume_shape and np.allclose(ours.affine, theirs.affine)
    ):
        raise ValueError(
            f"The atlas {atlas.name} has other voxels ({ours.volume_shape}) than {image.name} "
            f"({theirs.volume_shape}): resample it, wb_command -cifti-resample."
        )
    if not shared and not voxels:
        has = [sorted(map(_side_of, axis.nvertices)) for axis in (ours, theirs)]
        raise ValueError(f"The atlas {atlas.name} is of {has[0]}, {image.name} of {has[1]}.")
    spaces = [_SPACE.search(one.name) for one in (atlas, image)]
    if all(spaces):
        said = [found[0].lower().replace("_", "") for found in spaces]
        if said[0] != said[1]:
            raise ValueError(
                f"The atlas {atlas.name} is in {said[0]}, {image.name} in {said[1]}: vertices of "
                "these do not correspond."
            )


def _side_of(structure: str) -> str:
    return structure.removeprefix("CIFTI_STRUCTURE_").lower().replace("_", " ")
