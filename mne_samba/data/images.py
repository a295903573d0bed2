"""Images of predicted BOLD: when their volumes were, and which space they are in."""

from __future__ import annotations

# What maskers call the image that says where regions are.
_ATLASES = ("labels_img_", "maps_img_", "mask_img_")


def image_of(masker, frames, t_r: float):
    """Put frames (n_frames, n_targets) back into an image whose header says time and space.

    nilearn leaves the repetition time at 1, the units and the space unknown. Its surfaces have no
    header.
    """
    from .grayordinates import GrayordinatesMasker  # loads nibabel

    if isinstance(masker, GrayordinatesMasker):
        return masker.inverse_transform(frames, t_r=t_r)
    image = masker.inverse_transform(frames)
    if not hasattr(image, "header"):
        return image
    found = [getattr(masker, name) for name in _ATLASES if hasattr(masker, name)]
    header = getattr(found[0], "header", {}) if found else {}
    affine = image.affine
    for form, place in (("sform", image.set_sform), ("qform", image.set_qform)):
        if f"{form}_code" in header:
            place(affine, int(header[f"{form}_code"]))
    image.header.set_zooms((*image.header.get_zooms()[:3], t_r))
    image.header.set_xyzt_units("mm", "sec")
    return image
