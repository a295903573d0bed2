"""Surfaces and CIFTI: time courses of parcels out of them, numbers per parcel back into them."""

from dataclasses import replace
from typing import Self

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger
from nibabel import cifti2
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._checks import check_number
from .images import by_region
from .surface_files import Values, read_series, to_gifti
from .surface_labels import check_mesh, places_of, read_atlas

# By whether there are parcels, and whether it is a map.
_INTENTS = (("DENSE_SERIES", "DENSE_SCALARS"), ("PARCELLATED_SERIES", "PARCELLATED_SCALAR"))


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
    template_ : Values
        The image that was fitted, without its frames: vertices and voxels, and their format.

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

    def fit(self, imgs, y=None) -> Self:
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
        FileNotFoundError, TypeError, ValueError
            If image or atlas cannot be read, or do not fit each other.
        """
        if self.t_r is not None:
            check_number(self.t_r, "t_r", low=0, low_open=True)
        image = read_series(imgs, "imgs", told=self.t_r is None)
        # Without its frames: maskers of many runs are kept.
        self.template_ = replace(image, values=np.empty((0, len(image.axis))))
        self._atlas, names = read_atlas(self.atlas, self.template_)
        self.region_names_ = dict(enumerate(names))
        self._labels = self._labels_on(self.template_)
        counts = np.bincount(self._labels[self._labels >= 0], minlength=len(names))
        self.n_places_ = dict(zip(names, counts.tolist(), strict=True))
        if not counts.any():
            raise ValueError(f"{image.name} has no vertex in any region of the atlas.")
        self.t_r_ = image.t_r if self.t_r is None else self.t_r
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
        image = read_series(imgs, "imgs", told=self.t_r is None)
        return self.fit(image).transform(image, confounds=confounds, sample_mask=sample_mask)

    def transform(self, imgs, confounds=None, sample_mask=None) -> pd.DataFrame:
        """Average vertices and voxels over regions.

        Parameters
        ----------
        imgs : path | image | tuple | dict
            As in ``fit``.
        confounds : None | array | DataFrame, shape (n_frames, n_confounds)
            To regress out, as `nilearn.signal.clean` does.
        sample_mask : None | array
            Frames to keep, their numbers or booleans (n_frames,).

        Returns
        -------
        bold : DataFrame, shape (n_frames, n_regions)
            Time courses: columns name the regions, ``attrs["t_r"]`` holds the seconds between
            frames. Regions without a measured vertex are NaN, and named (``verbose="info"``).

        Raises
        ------
        FileNotFoundError, TypeError, ValueError
            If the image cannot be read, or does not fit the atlas.
        """
        from nilearn.signal import clean

        check_is_fitted(self, "region_names_")
        image = read_series(imgs, "imgs", told=self.t_r is None)
        labels, names, n_frames = self._labels_on(image), self.region_names_, len(image.values)
        try:
            kept = np.arange(n_frames)[slice(None) if sample_mask is None else sample_mask]
        except IndexError as error:
            raise ValueError(
                f"sample_mask does not fit the {n_frames} frames of {image.name}: {error}."
            ) from None
        finite = np.isfinite(image.values[kept])
        measured = finite.all(axis=0) & (labels >= 0)
        if not measured.any():
            empty = kept[~finite.any(axis=1)]
            frames = f": frames {empty[:8].tolist()} are NaN, sample_mask leaves them out."
            raise ValueError(
                f"{image.name} holds no signal in any region of the atlas"
                + (frames if 0 < len(empty) < len(kept) else ".")
            )
        # (n_measured, n_frames) to (n_frames, n_regions with a measured vertex)
        whole = pd.DataFrame(image.values[:, measured].T, dtype=float)
        series = whole.groupby(labels[measured]).mean().T
        cleaned = clean(
            series.fillna(0.0).to_numpy(), confounds=confounds, detrend=False, standardize=None,
            sample_mask=None if sample_mask is None else kept,
        )  # fmt: skip
        table = pd.DataFrame(cleaned, index=kept, columns=series.columns).reindex(columns=names)
        table = table.set_axis(list(names.values()), axis=1)
        lacking = [name for k, name in names.items() if k not in series]
        if lacking:
            logger.info(
                "Regions %s have no vertex in %s that is measured in all frames: they are NaN. "
                'bold.dropna(axis=1, how="all") leaves them out.', lacking[:8], image.name,
            )  # fmt: skip
        t_r = image.t_r if self.t_r is None else self.t_r
        if t_r is not None:
            table.attrs["t_r"] = t_r
        return table

    def inverse_transform(
        self, signals, *, t_r: float | None = None, parcels: bool = False, name: str = "value"
    ):
        """Lay numbers per region onto the brain, in the format of the image that was fitted.

        Parameters
        ----------
        signals : array, DataFrame or Series, shape (n_frames, n_regions) or (n_regions,)
            Time courses, or a map; without names, one for each region, in their order. What belongs
            to no region, and regions that ``signals`` lack, are 0; NaN in some frames is the mean
            of the others.
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
        names = list(self.region_names_.values())
        signals = by_region(signals, names).astype(np.float32)
        t_r = self.t_r_ if t_r is None else check_number(t_r, "t_r", low=0, low_open=True)
        is_map, rows, image = signals.ndim == 1, np.atleast_2d(signals), self.template_
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
            made = [
                to_gifti(values[:, where], structure.rsplit("_", 1)[-1].lower(), step,
                         in_ms=image.in_ms, name=name)
                for structure, where, _ in axis.iter_structures()
            ]  # fmt: skip
            return tuple(made) if len(made) > 1 else made[0]
        series = cifti2.SeriesAxis(image.start, 1.0 if t_r is None else t_r, len(rows))
        out = nib.Cifti2Image(values, (cifti2.ScalarAxis([name]) if is_map else series, axis))
        kind = _INTENTS[isinstance(axis, cifti2.ParcelsAxis)][is_map]
        out.nifti_header.set_intent(f"NIFTI_INTENT_CONNECTIVITY_{kind}")
        return out

    def _labels_on(self, image: Values) -> np.ndarray:
        """Region of every place of an image (n_places,), -1 where it is in none."""
        if self._atlas is None:
            if image.axis != self.template_.axis:
                raise ValueError(
                    f"{image.name} has other {'parcels' if self.atlas is None else 'vertices'} "
                    f"than {self.template_.name}, which was fitted."
                )
            return np.arange(len(image.axis))
        if isinstance(image.axis, cifti2.ParcelsAxis):
            raise ValueError(f"{image.name} has parcels itself, {self.template_.name} vertices.")
        check_mesh(self._atlas, image)
        places = places_of(self._atlas.axis).get_indexer(places_of(image.axis))
        return np.append(self._atlas.values[0], -1)[places]
