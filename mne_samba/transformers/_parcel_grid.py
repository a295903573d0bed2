"""Where parcels lie: atlases that nilearn ships, and the head that electrodes or helmet imply."""

import mne
import numpy as np
import pandas as pd
from mne.transforms import apply_trans
from mne.utils import logger

from ..data.channels import places_of, template_places
from ..datasets._anatomy import spread, template_head

ATLASES = ("dosenbach_2010", "power_2011", "seitzman_2018")
# What lies closer to the inner skull makes the series of the spherical model converge slowly.
_MARGIN = 0.005


def parcels_of(atlas, n_parcels: int | None, src=None) -> pd.DataFrame:
    """Names, places (x, y, z; MNI mm, of labels NaN) and networks of parcels, well spread."""
    if isinstance(atlas, str):
        table = _named(atlas)
    elif isinstance(atlas, (list, tuple)) and all(isinstance(a, mne.Label) for a in atlas):
        where = np.array([1e3 * _vertices(label, src).mean(axis=0) for label in atlas])
        table = pd.DataFrame(where, columns=["x", "y", "z"])
        table["name"], table["network"] = [label.name for label in atlas], ""
        table["label"] = list(atlas)
    else:
        table = _given(atlas)
    if n_parcels is not None and n_parcels < len(table):
        table = table.iloc[np.sort(spread(table[["x", "y", "z"]].to_numpy(), n_parcels))]
    return table.reset_index(drop=True)


def _named(atlas: str) -> pd.DataFrame:
    """Regions of cortex and below of an atlas; electrodes see next to nothing of the cerebellum."""
    from nilearn import datasets

    found = getattr(datasets, f"fetch_coords_{atlas}")()
    table = pd.DataFrame(found.rois[["x", "y", "z"]].to_numpy(float), columns=["x", "y", "z"])
    table["network"] = np.asarray(found.get("networks", [""] * len(table)), dtype=str)
    if atlas == "dosenbach_2010":
        table["name"] = np.asarray(found.labels, dtype=str)
        table = table[table.network != "cerebellum"]
    else:
        table["name"] = [f"{atlas.split('_')[0]} {i + 1}" for i in range(len(table))]
    if atlas == "seitzman_2018":
        table = table[np.char.startswith(np.asarray(found.regions, dtype=str), "cortex")]
    return table


def _given(atlas) -> pd.DataFrame:
    """Parcels from coordinates (n_parcels, 3) in MNI mm, perhaps a DataFrame with names."""
    # As files keep a DataFrame.
    atlas = pd.DataFrame(atlas) if isinstance(atlas, dict) else atlas
    named = isinstance(atlas, pd.DataFrame) and {"x", "y", "z"} <= set(atlas)
    try:
        where = np.asarray(atlas[["x", "y", "z"]] if named else atlas, dtype=float)
    except (TypeError, ValueError):
        where = np.empty(0)
    if where.ndim != 2 or where.shape[1] != 3 or not len(where) or not np.isfinite(where).all():
        raise ValueError(
            f"atlas must be one of {ATLASES}, coordinates (n_parcels, 3) in MNI mm (an array, or a "
            "DataFrame with columns x, y, z and perhaps name, network), or a list of mne.Label; "
            f"got {atlas!r:.80}."
        )
    if np.abs(where).max() < 1.0:
        raise ValueError(
            f"Coordinates of the atlas reach {np.abs(where).max():.3g} only: they are expected in "
            "millimetres of MNI space, not in metres."
        )
    table = pd.DataFrame(where, columns=["x", "y", "z"])
    n = range(len(table))
    table["name"] = atlas["name"].astype(str).to_numpy() if named and "name" in atlas else [
        f"parcel{i:03d}" for i in n
    ]  # fmt: skip
    table["network"] = atlas["network"].to_numpy() if named and "network" in atlas else ""
    if table.name.duplicated().any():
        raise ValueError(
            f"The atlas names parcels twice: {list(table.name[table.name.duplicated()])}."
        )
    return table


def _vertices(label: mne.Label, src) -> np.ndarray:
    """Places (n_vertices, 3; m) of a label's sources in a surface source space."""
    if src is None or src.kind != "surface":
        raise ValueError(
            "Labels need head=mne.Forward of a surface source space; the template head takes "
            f"coordinates or one of {ATLASES}."
        )
    hemi = src[0 if label.hemi == "lh" else 1]
    inside = np.intersect1d(hemi["vertno"], label.vertices)
    if not len(inside):
        raise ValueError(
            f"No source of the forward model lies in the label {label.name!r}: use larger labels "
            "or a denser source space."
        )
    return hemi["rr"][inside]


def located(info: mne.Info) -> mne.Info:
    """Info whose EEG channels all have places: 10-05 names without one take the template's."""
    unknown = np.flatnonzero(np.isnan(places_of(info)).any(axis=1))
    missing = [info["ch_names"][i] for i in unknown if mne.channel_type(info, i) == "eeg"]
    if not missing:
        return info
    template = {name.lower(): place for name, place in template_places().items()}
    strange = [name for name in missing if name.lower() not in template]
    if strange:
        raise ValueError(
            f"Channels {strange[:8]} have no place, and their names are not of the 10-05 system: "
            "set a montage (raw.set_montage), mark them bad, or pick other channels."
        )
    logger.info("Places of %s are those of the 10-05 template.", missing)
    info = info.copy()
    for channel in info["chs"]:
        if channel["ch_name"] in missing:
            channel["loc"][:3] = template[channel["ch_name"].lower()]
    return info


def sphere_of(info: mne.Info):
    """Sphere model of the head that electrodes, or else digitised points, lie on."""
    points = np.array([
        ch["loc"][:3] for ch, kind in zip(info["chs"], info.get_channel_types(), strict=True)
        if kind == "eeg"
    ])  # fmt: skip
    if len(points) < 4:
        extra = [p["r"] for p in info["dig"] or () if int(p["kind"]) in (3, 4) and p["r"][2] > 0]
        points = np.array(extra).reshape(-1, 3)
    if len(points) < 4:
        logger.info("Too few places on the head to fit a sphere: MNE's average head is assumed.")
        return mne.make_sphere_model(verbose="ERROR")
    digitised = mne.channels.make_dig_montage(hsp=points, coord_frame="head")
    on_head = mne.create_info(1, 1.0, "eeg", verbose="ERROR")
    with on_head._unlock():
        on_head["dig"] = digitised.dig
    return mne.make_sphere_model("auto", "auto", on_head, verbose="ERROR")


def places_in(sphere, coords: np.ndarray) -> np.ndarray:
    """MNI coordinates (n_parcels, 3; mm) as places (m) in a head of this size, inside its skull."""
    template, mri_head = template_head()
    scale = sphere["layers"][-1]["rad"] / template["layers"][-1]["rad"]
    offset = scale * (apply_trans(mri_head, coords / 1e3) - template["r0"])
    distance = np.linalg.norm(offset, axis=1, keepdims=True)
    return sphere["r0"] + offset * np.minimum(
        1.0, (sphere["layers"][0]["rad"] - _MARGIN) / distance
    )
