"""Files of surfaces and CIFTI: values along an axis that says where in the brain each belongs.

A pair of GIFTI files is read as CIFTI has it, so that nothing else asks which of the two it was.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import cifti2, gifti

_PRIMARY = "AnatomicalStructurePrimary"  # GIFTI's name for the side, CortexLeft or CortexRight
# Sides in names of files, the surest first: of BIDS, of FreeSurfer, any word between dots.
_IN_NAMES = [re.compile(pattern, re.IGNORECASE) for pattern in (
    r"(?:^|_)hemi-([lr])(?=[._])", r"^([lr]h)(?=\.)", r"(?:^|[._])(l|lh|left|r|rh|right)(?=[._])",
)]  # fmt: skip
_OTHER = {"l": "r", "lh": "rh", "left": "right", "r": "l", "rh": "lh", "right": "left"}
# Repetition times lie below, whatever says it in milliseconds lies above.
_LONGEST = 50.0
_LABELS = nib.nifti1.intent_codes["NIFTI_INTENT_LABEL"]
_SERIES = (
    "CIFTI (.dtseries.nii of vertices, .ptseries.nii of parcels) or GIFTI (.func.gii, a pair of "
    "them or one hemisphere)"
)


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


def load(given, what: str):
    """Load CIFTI, or hemispheres {"left": image, "right": image}, left first; and its name."""
    # Keys, metadata and file names say which side is which, and must agree; else position does.
    if isinstance(given, Mapping):
        items = list(given.items())
    else:
        items = [(None, one) for one in (given if isinstance(given, (tuple, list)) else [given])]
    if not 1 <= len(items) <= 2 or not {key for key, _ in items} <= {None, "left", "right"}:
        raise ValueError(
            f'{what} must be one image, or (left, right) or {{"left": image, "right": image}} of '
            f"one scan, got {len(items)} items, {list(dict(items))}."
        )
    loaded = [(key, *_load_one(item, what)) for key, item in items]
    if len(loaded) == 1 and isinstance(loaded[0][1], nib.Cifti2Image):
        return loaded[0][1:]
    halves, names = {}, {}
    for place, (key, image, name) in enumerate(loaded):
        whose = what if name == what else f"{what}: {name}"
        if not isinstance(image, (gifti.GiftiImage, tuple)):
            raise TypeError(
                f"{whose} is of type {type(image).__name__}; expected CIFTI, or GIFTI or labels of "
                "one hemisphere or (left, right)."
            )
        says = {"its key": key, "its metadata": told_side(image), "its name": named_side(name)}
        told = {how: side for how, side in says.items() if side is not None}
        if not told and len(items) == 2:
            told = {"its position": ("left", "right")[place]}
        side = next(iter(told.values()), None)
        if len(set(told.values())) != 1 or side in halves:
            said = ", ".join(f"{side} by {how}" for how, side in told.items()) or "nothing says it"
            taken = f", and {names[side]} is of the {side} side" if side in halves else ""
            raise ValueError(
                f"{whose}: of which hemisphere is it ({said}{taken})? Pass "
                '{"left": image, "right": image}, or one of them.'
            )
        halves[side], names[side] = image, name
    there = [side for side in ("left", "right") if side in halves]
    label = " and ".join(dict.fromkeys(names[side] for side in there))
    return {side: halves[side] for side in there}, label


def _load_one(item, what: str):
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


def told_side(image) -> str | None:
    """Hemisphere by the metadata of a GIFTI image."""
    said = str(_first_in(image, _PRIMARY)).lower()
    return said[6:] if said in ("cortexleft", "cortexright") else None


def _first_in(image, key: str):
    """Metadata of a GIFTI image, or else of its first array."""
    arrays = getattr(image, "darrays", ())[:1]
    return next((x.meta[key] for x in (image, *arrays) if key in getattr(x, "meta", {})), None)


def _in_name(name: str) -> re.Match | None:
    every = (list(pattern.finditer(name)) for pattern in _IN_NAMES)
    return next((found[0] for found in every if len(found) == 1), None)


def named_side(name: str) -> str | None:
    """Hemisphere by the name of a file."""
    found = _in_name(name)
    return None if found is None else {"l": "left", "r": "right"}[found[1][0].lower()]


def other_side(path: Path) -> Path | None:
    """Give the other hemisphere's file its name; None where a name does not say its own."""
    found = _in_name(path.name)
    if found is None:
        return None
    other = _OTHER[found[1].lower()]
    other = other.upper() if found[1].isupper() else other
    return path.with_name(path.name[: found.start(1)] + other + path.name[found.end(1) :])


def surface_axis(sizes: dict[str, int]) -> cifti2.BrainModelAxis:
    """Axis of all vertices of one or two surfaces, ``sizes`` by side."""
    parts = [cifti2.BrainModelAxis.from_surface(np.arange(n), n, f"cortex_{side}")
             for side, n in sizes.items()]  # fmt: skip
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def read_series(given, name: str, told: bool = True) -> Values:
    """Read a CIFTI or GIFTI time series; ``told`` says whether its own t_r counts."""
    if isinstance(given, Values):
        return given
    image, label = load(given, name)
    if isinstance(image, dict):
        return _read_gifti(image, label, told)
    axes = [image.header.get_axis(i) for i in range(image.ndim)]
    if len(axes) != 2 or not isinstance(axes[0], cifti2.SeriesAxis) or not isinstance(
        axes[1], (cifti2.ParcelsAxis, cifti2.BrainModelAxis)
    ):  # fmt: skip
        said = " and ".join(type(axis).__name__ for axis in axes)
        raise TypeError(f"{label} is a Cifti2Image of {said}, no series; expected {_SERIES}.")
    t_r = time_step(image, label) if told else None
    try:
        values = np.asarray(image.dataobj)
    except OSError as error:
        raise ValueError(f"{name}: {label} is damaged: {error}") from None
    return Values(values, axes[1], label, t_r, float(axes[0].start))


def _read_gifti(halves: dict, label: str, told: bool) -> Values:
    """Read the time series of one hemisphere or two."""
    values, steps, in_ms = {}, {}, True
    for side, image in halves.items():
        # nilearn writes frames as columns of one array, others an array for each of them.
        arrays = getattr(image, "darrays", ())
        shapes = {array.data.shape for array in arrays}
        fits = len(shapes) == 1 and arrays[0].intent != _LABELS
        half = np.column_stack([array.data for array in arrays]).T if fits else np.empty(0)
        if half.ndim != 2 or len(half) < 2:
            raise TypeError(
                f"The {side} of {label} holds no time series, but {len(arrays)} arrays of shapes "
                f"{sorted(shapes)}; expected {_SERIES}."
            )
        values[side] = half.astype(np.float32)
        step, in_ms = _gifti_step(image)
        steps |= {side: step} if step and told else {}
    for what, each in (
        ("number of frames", {side: len(half) for side, half in values.items()}),
        ("seconds between frames", steps),
    ):
        if len(set(each.values())) > 1:
            raise ValueError(f"{label}: hemispheres differ in their {what}: {each}.")
    axis = surface_axis({side: half.shape[1] for side, half in values.items()})
    t_r = next(iter(steps.values()), None)
    return Values(np.hstack(list(values.values())), axis, label, t_r, is_gifti=True, in_ms=in_ms)


def _gifti_step(image) -> tuple[float | None, bool]:
    """Seconds between frames, where metadata say it, and whether they do in milliseconds."""
    try:
        step = float(_first_in(image, "TimeStep") or 0)
    except ValueError:
        step = 0.0
    if not (np.isfinite(step) and step > 0):
        return None, True
    return (step / 1000, True) if step >= _LONGEST else (step, False)


def time_step(image, name: str) -> float | None:
    """Seconds between frames as a CIFTI or GIFTI image says it; None where it does not."""
    if isinstance(image, gifti.GiftiImage):
        return _gifti_step(image)[0]
    time = image.header.get_axis(0) if isinstance(image, nib.Cifti2Image) else None
    if not isinstance(time, cifti2.SeriesAxis) or time.step <= 0:
        return None
    if time.unit != "SECOND":
        raise ValueError(f"{name} is a series in {time.unit.lower()}, which is no time.")
    if time.step >= _LONGEST:
        raise ValueError(
            f"{name} says that its frames are {time.step:g} s apart: are these milliseconds? Pass "
            f"t_r={time.step / 1000:g} (to mne_samba.io.GrayordinatesMasker), which overrides it."
        )
    return float(time.step)


def to_gifti(
    values, side: str, t_r: float | None, *, in_ms: bool = True, name: str = "value"
) -> gifti.GiftiImage:
    """Make GIFTI of values (n_rows, n_vertices); ``t_r`` (s) is None for maps."""
    intent = "NIFTI_INTENT_SHAPE" if t_r is None else "NIFTI_INTENT_TIME_SERIES"
    meta = {_PRIMARY: f"Cortex{side.capitalize()}"}
    meta |= {"Name": name} if t_r is None else {"TimeStep": f"{t_r * (1000 if in_ms else 1):.6f}"}
    arrays = [
        gifti.GiftiDataArray(np.asarray(row, np.float32), intent, meta=gifti.GiftiMetaData(meta))
        for row in values
    ]
    return gifti.GiftiImage(darrays=arrays, meta=gifti.GiftiMetaData(meta))
