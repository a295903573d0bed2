"""Files of surfaces and CIFTI: values along an axis that says where in the brain each belongs.

A pair of GIFTI files is read as CIFTI has it, so that nothing else asks which of the two it was.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import cifti2, gifti

_CORTEX = {side: f"CIFTI_STRUCTURE_CORTEX_{side.upper()}" for side in ("left", "right")}
_PRIMARY = "AnatomicalStructurePrimary"  # GIFTI's name for the side, CortexLeft or CortexRight
_SIDE = re.compile(r"(?:^|[._])(?:hemi-)?(l|lh|left|r|rh|right)(?=[._])", re.IGNORECASE)
# Repetition times lie below, whatever says it in milliseconds lies above.
_LONGEST = 50.0
_SERIES = (".ptseries.nii", ".dtseries.nii", ".func.gii")


@dataclass(frozen=True)
class Values:
    """Values of an image, and where in the brain each of them lies."""

    values: np.ndarray  # (n_rows, n_places): frames, or the maps of an atlas
    axis: cifti2.BrainModelAxis | cifti2.ParcelsAxis  # (n_places,)
    name: str
    t_r: float | None = None  # s
    start: float = 0.0  # s
    is_gifti: bool = False
    in_ms: bool = True  # whether GIFTI files tell t_r in milliseconds, as FreeSurfer does


def is_image(item) -> bool:
    """Whether something is an image of a surface or CIFTI, or the path of its time series."""
    if isinstance(item, (str, os.PathLike)):
        return Path(item).name.endswith(_SERIES)
    return isinstance(item, (nib.Cifti2Image, gifti.GiftiImage))


def read_series(given, name: str, told: bool = True) -> Values:
    """Read a CIFTI or GIFTI time series; ``told`` says whether its own t_r counts."""
    if isinstance(given, Values):
        return given
    loaded, label = load(given, name) if is_one(given) else (None, name)
    if loaded is None or isinstance(loaded, gifti.GiftiImage):
        return _read_gifti(given, name, told)
    if not isinstance(loaded, nib.Cifti2Image):
        raise TypeError(_no_series(loaded, label))
    axes = [loaded.header.get_axis(i) for i in range(loaded.ndim)]
    time, places = axes[0], axes[-1]
    kinds = (cifti2.ParcelsAxis, cifti2.BrainModelAxis)
    if loaded.ndim != 2 or not isinstance(time, cifti2.SeriesAxis) or not isinstance(places, kinds):
        raise TypeError(
            f"{label} is a Cifti2Image of {' and '.join(type(a).__name__ for a in axes)}; a "
            "dtseries or ptseries is expected, frames of vertices or of parcels."
        )
    if time.unit != "SECOND" and told:
        raise ValueError(f"{label} is a series in {time.unit.lower()}, which is no time.")
    t_r = _cifti_t_r(time, label) if told else None
    values = np.asarray(loaded.dataobj)
    return Values(values, places, label, t_r, float(time.start))


def time_step(image) -> float | None:
    """Seconds between frames as a CIFTI or GIFTI image says it; None where it does not."""
    if isinstance(image, gifti.GiftiImage):
        return _gifti_t_r(image)[0]
    if isinstance(image, nib.Cifti2Image):
        time = image.header.get_axis(0)
        return _cifti_t_r(time, "the image") if isinstance(time, cifti2.SeriesAxis) else None
    return None


def _cifti_t_r(time: cifti2.SeriesAxis, name: str) -> float | None:
    step = float(time.step)
    if step >= _LONGEST:
        raise ValueError(
            f"{name} says that its frames are {step:g} s apart: are these milliseconds? Pass "
            f"t_r={step / 1000:g} (to mne_samba.io.GrayordinatesMasker), which overrides it."
        )
    return step if step > 0 else None


def _gifti_t_r(image) -> tuple[float | None, bool]:
    """Seconds between frames, where metadata say it, and whether they do in milliseconds."""
    for meta in (image.meta, *(array.meta for array in image.darrays[:1])):
        try:
            step = float(meta.get("TimeStep", 0))
        except ValueError:
            continue
        if np.isfinite(step) and step > 0:
            return (step / 1000, True) if step >= _LONGEST else (step, False)
    return None, True


def is_one(given) -> bool:
    """Whether something is one file or image, not a pair of hemispheres."""
    return not isinstance(given, (Mapping, tuple, list))


def load(item, what: str):
    """Load a file, whatever its kind: the image, or keys and names of an annotation; its name."""
    if not isinstance(item, (str, os.PathLike)):
        return item, what
    path = Path(item).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{what}: there is no file {path}.")
    try:
        if path.suffix == ".annot":
            keys, _, names = nib.freesurfer.read_annot(path)
            return (keys, [name.decode() for name in names]), path.name
        return nib.load(path), path.name
    except Exception as error:  # whatever the readers of many formats make of a damaged file
        raise ValueError(f"{what}: {path} cannot be read: {error}") from None


def sides_of(given, what: str) -> dict:
    """Tell which hemisphere each image is of: {"left": (image, name), "right": ...}, left first.

    Metadata, names of files and keys of a dict must agree; position is what remains.
    """
    if isinstance(given, Mapping):
        if not given or set(given) - {"left", "right"}:
            raise ValueError(f'{what} must have the keys "left" and "right", got {list(given)}.')
        items = list(given.items())
    elif isinstance(given, (tuple, list)):
        items = [(None, item) for item in given]
    else:
        items = [(None, given)]
    if not 1 <= len(items) <= 2:
        raise ValueError(f"{what} must be one hemisphere or (left, right), got {len(items)} items.")
    found: dict = {}
    for place, (key, item) in enumerate(items):
        image, name = load(item, what)
        says = {"its key": key, "its metadata": _told_side(image), "its name": _named_side(name)}
        told = {how: side for how, side in says.items() if side is not None}
        if len(set(told.values())) > 1:
            said = ", ".join(f"{side} by {how}" for how, side in told.items())
            raise ValueError(f"{what}: {name} is the hemisphere on the {said}: which is it?")
        side = next(iter(told.values()), ("left", "right")[place] if len(items) == 2 else None)
        if side is None:
            raise ValueError(
                f"{what}: nothing says which hemisphere {name} is of: pass "
                '{"left": image} or {"right": image}.'
            )
        if side in found:
            raise ValueError(f"{what}: {found[side][1]} and {name} are both of the {side} side.")
        found[side] = image, name
    return {side: found[side] for side in ("left", "right") if side in found}


def _told_side(image) -> str | None:
    """Hemisphere by the metadata of a GIFTI image."""
    if not isinstance(image, gifti.GiftiImage):
        return None
    for meta in (image.meta, *(array.meta for array in image.darrays[:1])):
        said = str(meta.get(_PRIMARY, "")).lower()
        if said in ("cortexleft", "cortexright"):
            return said.removeprefix("cortex")
    return None


def _named_side(name: str) -> str | None:
    found = {match[0].lower() for match in _SIDE.findall(name)}
    return {"l": "left", "r": "right"}[found.pop()] if len(found) == 1 else None


def other_side(path: Path) -> Path | None:
    """Give the other hemisphere's file its name; None where a name does not say its own."""
    found = list(_SIDE.finditer(path.name))
    if len(found) != 1:
        return None
    word, (begin, end) = found[0][1], found[0].span(1)
    other = {"l": "r", "r": "l", "left": "right", "right": "left", "lh": "rh", "rh": "lh"}
    swapped = other[word.lower()]
    swapped = swapped.upper() if word.isupper() else swapped
    return path.with_name(path.name[:begin] + swapped + path.name[end:])


def surface_axis(sizes: dict[str, int]) -> cifti2.BrainModelAxis:
    """Axis of all vertices of one or two surfaces, ``sizes`` by side."""
    parts = [
        cifti2.BrainModelAxis.from_surface(np.arange(n), n, _CORTEX[side])
        for side, n in sizes.items()
    ]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _read_gifti(given, name: str, told: bool) -> Values:
    """Read the time series of one hemisphere or two."""
    halves, t_rs, in_ms, labels = {}, {}, True, []
    for side, (image, label) in sides_of(given, name).items():
        if not isinstance(image, gifti.GiftiImage) or not image.darrays:
            raise TypeError(_no_series(image, label))
        # nilearn writes frames as columns of one array, others an array for each of them.
        first = image.darrays[0].data
        if first.ndim == 2 and len(image.darrays) == 1:
            halves[side] = np.asarray(first, dtype=np.float32).T
        elif len({array.data.shape for array in image.darrays}) > 1:
            raise TypeError(_no_series(image, label))
        else:
            halves[side] = np.stack([a.data for a in image.darrays]).astype(np.float32)
        if halves[side].ndim != 2 or len(halves[side]) < 2:
            raise ValueError(
                f"{name}: {label} has values of shape {halves[side].shape}, no series of frames: "
                "(n_frames, n_vertices)."
            )
        t_r, in_ms = _gifti_t_r(image)
        t_rs |= {} if t_r is None or not told else {side: t_r}
        labels.append(label)
    frames = {side: len(half) for side, half in halves.items()}
    if len(set(frames.values())) > 1:
        raise ValueError(f"{name}: hemispheres differ in their number of frames: {frames}.")
    if len(set(t_rs.values())) > 1:
        raise ValueError(f"{name}: hemispheres differ in their seconds between frames: {t_rs}.")
    axis = surface_axis({side: half.shape[1] for side, half in halves.items()})
    t_r = next(iter(t_rs.values()), None)
    label = " and ".join(dict.fromkeys(labels))
    return Values(np.hstack(list(halves.values())), axis, label, t_r, is_gifti=True, in_ms=in_ms)


def _no_series(image, label: str) -> str:
    return (
        f"{label} is a {type(image).__name__} that holds no time series on a surface; expected "
        "CIFTI (.dtseries.nii, .ptseries.nii) or GIFTI (.func.gii, a pair of them)."
    )


def halves_of(axis: cifti2.BrainModelAxis):
    """Side and slice of each surface of an axis that was made of GIFTI images."""
    for structure, where, _ in axis.iter_structures():
        yield structure.rsplit("_", 1)[-1].lower(), where


def to_gifti(
    values, side: str, t_r: float | None, *, in_ms: bool = True, name: str = "value"
) -> gifti.GiftiImage:
    """Make GIFTI of values (n_rows, n_vertices); ``t_r`` (s) is None for maps."""
    intent = "NIFTI_INTENT_SHAPE" if t_r is None else "NIFTI_INTENT_TIME_SERIES"
    meta = {_PRIMARY: f"Cortex{side.capitalize()}"}
    meta |= {"Name": name} if t_r is None else {"TimeStep": f"{t_r * (1000 if in_ms else 1):.6f}"}
    arrays = [
        gifti.GiftiDataArray(
            np.asarray(row, dtype=np.float32), intent=intent, datatype="NIFTI_TYPE_FLOAT32",
            meta=gifti.GiftiMetaData(meta),
        ) for row in values
    ]  # fmt: skip
    return gifti.GiftiImage(darrays=arrays, meta=gifti.GiftiMetaData(meta))
