"""Surfaces and CIFTI: time courses of parcels out of them, and numbers per parcel back into them.

A pair of GIFTI files is read as CIFTI has it: values along an axis that says which vertex of which
hemisphere each belongs to. Atlas and image are matched along that axis, so that it does not matter
which of them leaves the medial wall out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger, warn
from nibabel import cifti2, gifti
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._checks import check_number

_CORTEX = {side: f"CIFTI_STRUCTURE_CORTEX_{side.upper()}" for side in ("left", "right")}
_PRIMARY = "AnatomicalStructurePrimary"  # GIFTI's name for the side, CortexLeft or CortexRight
_SIDE = re.compile(r"(?:^|[._])(?:hemi-)?(l|lh|left|r|rh|right)(?=[._])", re.IGNORECASE)
_SPACE = re.compile(r"fs_?lr|fsaverage", re.IGNORECASE)
# What atlases call the cortex that belongs to no region.
_NO_REGION = re.compile(r"\?\?\?|unknown|background.*|.*medial[_ ]?wall.*", re.IGNORECASE)
# Repetition times lie below, whatever says it in milliseconds lies above.
_LONGEST = 50.0
_MESHES = {
    642: "fsaverage3", 2562: "fsaverage4", 10242: "fsaverage5", 40962: "fsaverage6",
    163842: "fsaverage or fsLR 164k", 32492: "fsLR 32k", 59292: "fsLR 59k",
}  # fmt: skip
SERIES = (".ptseries.nii", ".dtseries.nii", ".func.gii")
# By whether there are parcels, and whether it is a map.
_INTENTS = (("DENSE_SERIES", "DENSE_SCALARS"), ("PARCELLATED_SERIES", "PARCELLATED_SCALAR"))
LABELS = (".dlabel.nii", ".label.gii", ".annot")


@dataclass(frozen=True)
class _Values:
    """Values of an image, and where in the brain each of them lies."""

    values: np.ndarray  # (n_rows, n_places): frames, or the maps of an atlas
    axis: cifti2.BrainModelAxis | cifti2.ParcelsAxis  # (n_places,)
    name: str
    t_r: float | None = None  # s
    start: float = 0.0  # s
    is_gifti: bool = False
    in_ms: bool = True  # whether GIFTI files tell t_r in milliseconds, as FreeSurfer does


class GrayordinatesMasker(TransformerMixin, BaseEstimator):
    """Time courses of parcels from surfaces (GIFTI) and CIFTI, and images of what is predicted.

    Parameters
    ----------
    atlas : path | image | tuple | dict | "vertices" | None
        Parcels: CIFTI (``.dlabel.nii``), GIFTI labels (``.label.gii``) or FreeSurfer annotations
        (``.annot``; or their keys (n_vertices,) and a list of names). Of the latter two (left,
        right), ``{"left": ..., "right": ...}``, or one of them for one hemisphere. ``"vertices"``
        takes every vertex and voxel as a region. None is for ``.ptseries.nii``, which has parcels
        itself.
    t_r : float | None
        Seconds between frames, in place of what files say.

    Attributes
    ----------
    region_names_ : dict
        From column to name.
    n_places_ : dict
        From name to the number of vertices and voxels that are averaged.
    t_r_ : float | None
        Seconds between frames of the image that was fitted; None where nothing says it.

    See Also
    --------
    mne_samba.io.write_image : Writes numbers per region in the format that came in.

    Notes
    -----
    Regions of annotations are called as MNE calls them, ``bankssts-lh``. Key 0 and what atlases
    call "???", "unknown" or "medial wall" are no regions. Vertices that are NaN in some frame do
    not enter the mean of their parcel.

    Examples
    --------
    >>> import numpy as np
    >>> from nibabel import gifti
    >>> from mne_samba.io import GrayordinatesMasker
    >>> rng = np.random.default_rng(0)
    >>> def surface(side, arrays):
    ...     meta = gifti.GiftiMetaData(AnatomicalStructurePrimary=f"Cortex{side}")
    ...     arrays = [gifti.GiftiDataArray(a.astype("f4")) for a in arrays]
    ...     return gifti.GiftiImage(darrays=arrays, meta=meta)
    >>> bold = [surface(side, rng.standard_normal((50, 12))) for side in ("Left", "Right")]
    >>> masker = GrayordinatesMasker("vertices", t_r=2.0)
    >>> masker.fit_transform(bold).shape
    (50, 24)
    """

    def __init__(self, atlas=None, *, t_r: float | None = None):
        self.atlas = atlas
        self.t_r = t_r

    def fit(self, imgs, y=None) -> GrayordinatesMasker:
        """Read the atlas, and which image it is laid upon.

        Parameters
        ----------
        imgs : path | image | tuple | dict
            CIFTI (``.dtseries.nii``, ``.ptseries.nii``) or GIFTI (``.func.gii``; hemispheres as in
            ``atlas``).
        y : None
            Not used.

        Returns
        -------
        self : GrayordinatesMasker
            Fitted.

        Raises
        ------
        TypeError, ValueError
            If image or atlas cannot be read, or do not fit each other.
        """
        if self.t_r is not None:
            check_number(self.t_r, "t_r", low=0, low_open=True)
        self._image = read_series(imgs, "imgs", told=self.t_r is None)
        self._atlas, names = _read_atlas(self.atlas, self._image)
        self.region_names_ = dict(enumerate(names))
        self._labels = self._labels_on(self._image)
        counts = np.bincount(self._labels[self._labels >= 0], minlength=len(names))
        self.n_places_ = dict(zip(names, counts.tolist(), strict=True))
        if not counts.any():
            raise ValueError(f"{self._image.name} has no vertex in any region of the atlas.")
        self.t_r_ = self.t_r if self.t_r is not None else self._image.t_r
        return self

    def fit_transform(self, imgs, y=None, confounds=None, sample_mask=None) -> pd.DataFrame:
        """Fit, then ``transform``.

        Parameters
        ----------
        imgs, confounds, sample_mask
            As in ``transform``.
        y : None
            Not used.

        Returns
        -------
        bold : DataFrame, shape (n_frames, n_regions)
            Time courses.
        """
        return self.fit(imgs).transform(imgs, confounds=confounds, sample_mask=sample_mask)

    def transform(self, imgs, confounds=None, sample_mask=None) -> pd.DataFrame:
        """Average vertices and voxels over regions.

        Parameters
        ----------
        imgs : path | image | tuple | dict
            As in ``fit``.
        confounds : None | array | DataFrame, shape (n_frames, n_confounds)
            To regress out, as `nilearn.signal.clean` does.
        sample_mask : None | array
            Frames to keep.

        Returns
        -------
        bold : DataFrame, shape (n_frames, n_regions)
            Time courses: columns name the regions, ``attrs["t_r"]`` holds the seconds between
            frames. Regions without a measured vertex are NaN, and named (``verbose="info"``).

        Raises
        ------
        TypeError, ValueError
            If the image cannot be read, or does not fit the atlas.
        """
        from nilearn.signal import clean

        check_is_fitted(self, "region_names_")
        image = read_series(imgs, "imgs", told=self.t_r is None)
        series = _means(image.values, self._labels_on(image), len(self.region_names_))
        there = np.isfinite(series).all(axis=0)
        if not there.any():
            raise ValueError(f"{image.name} holds no signal in any region of the atlas.")
        kept = pd.RangeIndex(len(series)) if sample_mask is None else np.asarray(sample_mask)
        cleaned = np.full((len(kept), series.shape[1]), np.nan)
        cleaned[:, there] = clean(
            series[:, there], confounds=confounds, sample_mask=sample_mask, detrend=False,
            standardize=None,
        )  # fmt: skip
        table = pd.DataFrame(cleaned, index=kept, columns=list(self.region_names_.values()))
        if not there.all():
            lacking = list(table.columns[~there])
            logger.info(
                "Regions %s have no measured vertex in %s; their columns are NaN. "
                'bold.dropna(axis=1, how="all") leaves them out.', lacking[:8], image.name,
            )  # fmt: skip
        t_r = self.t_r if self.t_r is not None else image.t_r
        if t_r is not None:
            table.attrs["t_r"] = t_r
        return table

    def inverse_transform(
        self, signals, *, t_r: float | None = None, parcels: bool = False, name: str = "value"
    ):
        """Lay numbers per region onto the brain, in the format of the image that was fitted.

        Parameters
        ----------
        signals : array, shape (n_frames, n_regions) or (n_regions,)
            Time courses, or a map. What belongs to no region is 0.
        t_r : float | None
            Seconds between frames; None takes those of the image that was fitted.
        parcels : bool
            Of CIFTI, make a ``ptseries`` or ``pscalar`` also where the image has vertices.
        name : str
            What a map is called in the file.

        Returns
        -------
        image : Cifti2Image | GiftiImage | tuple of GiftiImage
            CIFTI: ``dtseries`` or ``ptseries`` of time courses, ``dscalar`` or ``pscalar`` of a
            map. GIFTI: an image for each hemisphere that was given, the left one first.

        Raises
        ------
        ValueError
            If there is another number of regions, nothing says how far frames are apart, or GIFTI
            is to hold parcels.
        """
        check_is_fitted(self, "region_names_")
        signals, names = np.asarray(signals, dtype=np.float32), list(self.region_names_.values())
        if signals.ndim not in (1, 2) or signals.shape[-1] != len(names):
            raise ValueError(
                f"signals must have shape (n_frames, {len(names)}) or ({len(names)},), one column "
                f"per region, got {signals.shape}."
            )
        t_r = self.t_r_ if t_r is None else check_number(t_r, "t_r", low=0, low_open=True)
        is_map, rows, image = signals.ndim == 1, np.atleast_2d(signals), self._image
        if t_r is None and not is_map:
            raise ValueError("Nothing says how far frames are apart: pass t_r (s).")
        if parcels and image.is_gifti:
            raise ValueError("Parcels without vertices are CIFTI's; surfaces were given as GIFTI.")
        axis = image.axis
        if parcels and isinstance(axis, cifti2.BrainModelAxis):
            kept = [k for k, n in enumerate(self.n_places_.values()) if n]
            axis = cifti2.ParcelsAxis.from_brain_models(
                [(names[k], axis[self._labels == k]) for k in kept]
            )
            values = rows[:, kept]
        else:
            # The last column stands for what is no region, whose label is -1.
            values = np.column_stack([rows, np.zeros(len(rows), np.float32)])[:, self._labels]
        if image.is_gifti:
            step = None if is_map else t_r
            made = tuple(
                to_gifti(values[:, where], side, step, in_ms=image.in_ms, name=name)
                for side, where in _halves(axis)
            )
            return made if len(made) > 1 else made[0]
        series = cifti2.SeriesAxis(image.start, 1.0 if t_r is None else t_r, len(rows))
        out = nib.Cifti2Image(values, (cifti2.ScalarAxis([name]) if is_map else series, axis))
        kind = _INTENTS[isinstance(axis, cifti2.ParcelsAxis)][is_map]
        out.nifti_header.set_intent(f"NIFTI_INTENT_CONNECTIVITY_{kind}")
        return out

    def _labels_on(self, image: _Values) -> np.ndarray:
        """Region of every place of an image (n_places,), -1 where it is in none."""
        if self._atlas is None:
            if image.axis != self._image.axis:
                raise ValueError(
                    f"{image.name} has other {'parcels' if self.atlas is None else 'vertices'} "
                    f"than {self._image.name}, which was fitted."
                )
            return np.arange(len(image.axis))
        places = _places(self._atlas.axis).get_indexer(_places(image.axis))
        return np.append(self._atlas.values[0], -1)[places]


def is_image(item) -> bool:
    """Whether something is an image of a surface or CIFTI, or the path of its time series."""
    if isinstance(item, (str, os.PathLike)):
        return Path(item).name.endswith(SERIES)
    return isinstance(item, (nib.Cifti2Image, gifti.GiftiImage))


def read_series(given, name: str, told: bool = True) -> _Values:
    """Read a CIFTI or GIFTI time series; ``told`` says whether its own t_r counts."""
    if isinstance(given, _Values):
        return given
    loaded, label = _load(given, name) if _is_one(given) else (None, name)
    if not isinstance(loaded, nib.Cifti2Image):
        return _read_gifti(given, name, told)
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
    return _Values(values, places, label, t_r, float(time.start))


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


def _is_one(given) -> bool:
    return isinstance(given, (str, os.PathLike, nib.Cifti2Image, gifti.GiftiImage))


def _load(item, what: str):
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


def _sides(given, what: str) -> dict:
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
        image, name = _load(item, what)
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


def _surface_axis(sizes: dict[str, int]) -> cifti2.BrainModelAxis:
    """Axis of all vertices of one or two surfaces, ``sizes`` by side."""
    parts = [
        cifti2.BrainModelAxis.from_surface(np.arange(n), n, _CORTEX[side])
        for side, n in sizes.items()
    ]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _read_gifti(given, name: str, told: bool) -> _Values:
    """Read the time series of one hemisphere or two."""
    halves, t_rs, in_ms, labels = {}, {}, True, []
    for side, (image, label) in _sides(given, name).items():
        if not isinstance(image, gifti.GiftiImage) or not image.darrays:
            raise TypeError(
                f"{name}: {label} is {type(image).__name__}, no time series on a surface; expected "
                "CIFTI (.dtseries.nii, .ptseries.nii) or GIFTI (.func.gii, a pair of them)."
            )
        # nilearn writes frames as columns of one array, others an array for each of them.
        first = image.darrays[0].data
        if first.ndim == 2 and len(image.darrays) == 1:
            halves[side] = np.asarray(first, dtype=np.float32).T
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
    axis = _surface_axis({side: half.shape[1] for side, half in halves.items()})
    t_r = next(iter(t_rs.values()), None)
    label = " and ".join(dict.fromkeys(labels))
    return _Values(np.hstack(list(halves.values())), axis, label, t_r, is_gifti=True, in_ms=in_ms)


def _read_atlas(atlas, image: _Values) -> tuple[_Values | None, list[str]]:
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
    found, names = _read_labels(atlas)
    _check_mesh(found, image)
    return found, names


def _read_labels(atlas) -> tuple[_Values, list[str]]:
    """Parcels: an atlas whose values (1, n_places) count regions from 0, -1 outside; names."""
    loaded, label = _load(atlas, "atlas") if _is_one(atlas) else (None, "atlas")
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
        sides = _sides(atlas, "atlas")
        read = {side: _read_side(*one) for side, one in sides.items()}
        axis = _surface_axis({side: len(keys) for side, (keys, _, _) in read.items()})
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
    return _Values(whole, axis, label), _different(names, label)


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


def _places(axis: cifti2.BrainModelAxis) -> pd.MultiIndex:
    """Vertices and voxels of an axis as what can be looked up."""
    where = np.where(axis.surface_mask, axis.name, "voxel")
    index = np.array(axis.vertex, dtype=np.int64)
    if axis.volume_mask.any():
        voxels = axis.voxel[axis.volume_mask].T
        index[axis.volume_mask] = np.ravel_multi_index(voxels, axis.volume_shape)
    return pd.MultiIndex.from_arrays([where, index])


def _check_mesh(atlas: _Values, image: _Values) -> None:
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


def _means(values: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    """Average places (n_frames, n_places) over regions: (n_frames, n), NaN where there are none."""
    if len(labels) == n and np.array_equal(labels, np.arange(n)):
        return values.astype(float)
    out = np.full((len(values), n), np.nan)
    measured = np.isfinite(values).all(axis=0)
    for k in range(n):
        here = (labels == k) & measured
        if here.any():
            out[:, k] = values[:, here].mean(axis=1, dtype=float)
    return out


def _halves(axis: cifti2.BrainModelAxis):
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
