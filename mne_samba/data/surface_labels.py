"""Parcels of surfaces and CIFTI, laid upon an image by vertex and voxel.

It does not matter which of atlas and image leaves the medial wall out.
"""

import re

import numpy as np
import pandas as pd
from mne.utils import logger, warn
from nibabel import cifti2

from .surface_files import Values, load, surface_axis

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
    if isinstance(image.axis, cifti2.ParcelsAxis):
        if atlas is not None:
            raise ValueError(f"{image.name} has parcels itself: pass atlas=None.")
        return None, _different([str(name) for name in image.axis.name], image.name)
    if isinstance(atlas, str) and atlas == "vertices":
        return None, _place_names(image.axis)
    if atlas is None:
        raise TypeError(
            f"{image.name} holds {len(image.axis)} vertices and voxels: pass an atlas, "
            "mne_samba.io.GrayordinatesMasker(atlas).fit_transform(image), of parcels "
            f'({", ".join(LABELS)}), or "vertices" to take each as a region.'
        )
    parts, axis, label = _read_labels(atlas)
    names: list[str] = []
    values = []
    for keys, table, ending, zero in parts:
        if not (keys == np.round(keys)).all():
            raise ValueError(f"atlas: keys of {label} must be whole numbers.")
        unnamed = sorted({int(key) for key in np.unique(keys)} - set(table) - {0, -1})
        if unnamed:
            raise ValueError(f"atlas: keys {unnamed[:8]} of {label} have no name in its table.")
        if zero and 0 in table and not _NO_REGION.fullmatch(table[0]) and (keys == 0).any():
            warn(f"atlas: key 0 of {label}, called {table[0]!r}, is taken as no region.")
        number = np.full(len(keys), -1)
        for key, text in table.items():
            if not (zero and key == 0) and not _NO_REGION.fullmatch(text) and key in keys:
                number[keys == key] = len(names)
                names.append(text + ending)
        values.append(number)
    if not names:
        raise ValueError(f"atlas: {label} has no region.")
    whole = np.concatenate(values)[np.newaxis]
    logger.info("%s: %d regions, %d places in none.", label, len(names), (whole < 0).sum())
    return Values(whole, axis, label), _different(names, label)


def _read_labels(atlas):
    """Keys (n_places,), their names, what to add to these, whether key 0 is none; axis, name."""
    image, label = load(atlas, "atlas")
    if not isinstance(image, dict):
        maps, axis = (image.header.get_axis(i) for i in (0, 1))
        if not isinstance(maps, cifti2.LabelAxis) or not isinstance(axis, cifti2.BrainModelAxis):
            kinds = f"{type(maps).__name__} and {type(axis).__name__}"
            raise TypeError(f"atlas: {label} holds {kinds}, no labels of vertices (.dlabel.nii).")
        if len(maps) > 1:
            raise ValueError(
                f"atlas: {label} holds the maps {[str(m) for m in maps.name][:8]}: keep one, "
                "wb_command -cifti-merge OUT.dlabel.nii -cifti IN.dlabel.nii -column NAME."
            )
        table = {int(key): str(text) for key, (text, _) in maps.label[0].items()}
        return [(np.asarray(image.dataobj)[0], table, "", True)], axis, label
    read = {}
    for side, half in image.items():
        if isinstance(half, tuple):  # of an annotation
            read[side] = np.asarray(half[0]), dict(enumerate(map(str, half[1]))), False
        elif half.labeltable.labels and len(half.darrays) == 1 and half.darrays[0].data.ndim == 1:
            table = {int(k): str(v) for k, v in half.labeltable.get_labels_as_dict().items()}
            read[side] = half.darrays[0].data, table, True
        else:
            raise TypeError(
                f"atlas: the {side} of {label} holds no labels, or several maps of them; expected "
                f"one of {', '.join(LABELS)}."
            )
    used = [
        {name for key, name in table.items() if key in keys and not _NO_REGION.fullmatch(name)}
        for keys, table, _ in read.values()
    ]
    # As MNE names labels; GIFTI's say their side themselves, mostly.
    both = len(used) > 1 and bool(set.intersection(*used))
    parts = [
        (keys, table, f"-{side[0]}h" if both or not is_gifti else "", is_gifti)
        for side, (keys, table, is_gifti) in read.items()
    ]
    return parts, surface_axis({side: len(keys) for side, (keys, _, _) in read.items()}), label


def _different(names: list[str], label: str) -> list[str]:
    twice = sorted(set(pd.Index(names)[pd.Index(names).duplicated()]))
    if twice:
        raise ValueError(f"{label}: names of regions must differ, {twice[:8]} come more than once.")
    return names


def _place_names(axis: cifti2.BrainModelAxis) -> list[str]:
    """Names of vertices and voxels: "cortex_left-12", "thalamus_left-40-52-31"."""
    return [
        f"{_side_of(name, '_')}-{vertex if vertex >= 0 else '-'.join(map(str, voxel))}"
        for name, vertex, voxel in zip(axis.name, axis.vertex, axis.voxel.tolist(), strict=True)
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
    """Refuse an atlas of another mesh, other hemispheres, other voxels or another space."""
    axes = atlas.axis, image.axis
    structures = [set(places_of(axis).levels[0]) for axis in axes]
    try:
        fits = not structures[0].isdisjoint(structures[1]) and bool(axes[0] + axes[1])
    except ValueError:  # of nibabel's: meshes or grids that differ
        fits = False
    spaces = [{found.lower().replace("_", "") for found in _SPACE.findall(one.name)}
              for one in (atlas, image)]  # fmt: skip
    if not fits or (all(spaces) and spaces[0].isdisjoint(spaces[1])):
        said = [
            ", ".join([*_described(axis), *space]) for axis, space in zip(axes, spaces, strict=True)
        ]
        raise ValueError(
            f"The atlas {atlas.name} ({said[0]}) does not fit {image.name} ({said[1]}): take an "
            "atlas of the same mesh, hemispheres, voxels and space."
        )


def _described(axis: cifti2.BrainModelAxis):
    """Words for the meshes and the grid of an axis."""
    for structure, n in axis.nvertices.items():
        mesh = f" ({_MESHES[n]})" if n in _MESHES else ""
        yield f"{_side_of(structure)}: {n} vertices{mesh}"
    if axis.volume_mask.any():
        yield f"voxels of {axis.volume_shape} at {axis.affine[:3].round(2).tolist()}"


def _side_of(structure: str, gap: str = " ") -> str:
    return str(structure).removeprefix("CIFTI_STRUCTURE_").lower().replace("_", gap)
