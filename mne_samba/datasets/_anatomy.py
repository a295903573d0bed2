"""Real places, offline: atlas coordinates that nilearn ships and MNE's template head."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import mne
import numpy as np
from mne.transforms import Transform, apply_trans, invert_transform
from nilearn.datasets import fetch_coords_power_2011, fetch_coords_seitzman_2018
from sklearn.utils import Bunch

from ..data.channels import template_montage

_CORTEX = ("cortexL", "cortexR", "cortexMid")
# Sources this close to the inner skull make the series of the spherical model converge slowly.
_SKULL_MARGIN = 0.003
_TRANS = Path(mne.__file__).parent / "data" / "fsaverage" / "fsaverage-trans.fif"


@lru_cache(maxsize=1)
def template_head():
    """Sphere model and MRI-to-head transform of the template head (MNI space)."""
    info = template_info(sfreq=1.0)
    with mne.use_log_level("ERROR"):
        sphere = mne.make_sphere_model("auto", "auto", info)
    return sphere, invert_transform(mne.read_trans(_TRANS))


def template_info(sfreq, montage=None):
    """Measurement info of an EEG cap: a montage that MNE ships, or 64 of the 10-20 electrodes."""
    if montage is not None and montage not in mne.channels.get_builtin_montages():
        raise ValueError(
            f"montage must be None or the name of a montage that ships with MNE, got {montage!r}; "
            "mne.channels.get_builtin_montages() lists them."
        )
    cap = mne.channels.make_standard_montage("biosemi64" if montage is None else montage)
    info = mne.create_info(cap.ch_names, sfreq, "eeg")
    return info.set_montage(template_montage("1020") if montage is None else cap)


@lru_cache(maxsize=1)
def _atlas():
    """All regions: coordinates (mm), networks, whether cortical and inside the head model."""
    seitzman = fetch_coords_seitzman_2018()
    first = seitzman.rois.to_numpy(float)
    second = fetch_coords_power_2011().rois[["x", "y", "z"]].to_numpy(float)
    # Power's coordinates come without names: they take those of the nearest Seitzman region.
    nearest = np.linalg.norm(second[:, None] - first[None], axis=-1).argmin(axis=1)
    rows = np.concatenate([np.arange(len(first)), nearest])
    coords = np.concatenate([first, second])
    sphere, mri_head = template_head()
    distance = np.linalg.norm(apply_trans(mri_head, coords / 1e3) - sphere["r0"], axis=1)
    return Bunch(
        coords=coords,
        networks=np.asarray(seitzman.networks, dtype=str)[rows],
        cortical=np.isin(np.asarray(seitzman.regions, dtype=str)[rows], _CORTEX),
        inside=distance < sphere["layers"][0]["rad"] - _SKULL_MARGIN,
        power=np.arange(len(coords)) >= len(first),
    )


def spread(coords, n):
    """Farthest-point selection: n well-spread rows of ``coords``, the same ones every time."""
    chosen = [int(np.linalg.norm(coords - coords.mean(axis=0), axis=1).argmin())]
    distance = np.full(len(coords), np.inf)
    while len(chosen) < n:
        distance = np.minimum(distance, np.linalg.norm(coords - coords[chosen[-1]], axis=1))
        distance[chosen] = -1.0
        chosen.append(int(distance.argmax()))
    return np.array(chosen)


def _select(pools, n, what):
    """Take n regions from a preferred pool, then from the next one; sorted by network and place."""
    available = sum(len(pool) for pool in pools)
    if n > available:
        raise ValueError(f"{what} must be at most {available} (regions in the atlases), got {n}.")
    atlas = _atlas()
    chosen = []
    for pool in pools:
        n_more = min(n - len(chosen), len(pool))
        if n_more:
            chosen.extend(pool[spread(atlas.coords[pool], n_more)])
    chosen = np.array(chosen)
    coords, networks = atlas.coords[chosen], atlas.networks[chosen]
    order = np.lexsort((coords[:, 1], coords[:, 0] >= 0, networks))
    coords, networks = coords[order], networks[order]
    names, seen = [], {}
    for (x, _, _), network in zip(coords, networks, strict=True):
        stem = f"{network}_{'L' if x < 0 else 'R'}"
        seen[stem] = seen.get(stem, 0) + 1
        names.append(f"{stem}{seen[stem]}")
    return Bunch(coords=coords, networks=networks, names=names)


def source_regions(n_sources):
    """Choose well-spread cortical regions of the Power 2011 atlas (then of Seitzman 2018)."""
    atlas = _atlas()
    usable = atlas.cortical & atlas.inside
    pools = [np.flatnonzero(usable & atlas.power), np.flatnonzero(usable & ~atlas.power)]
    return _select(pools, n_sources, "n_sources")


def target_regions(n_targets):
    """Choose well-spread regions of the Seitzman 2018 atlas (then of Power 2011)."""
    atlas = _atlas()
    named = atlas.networks != "unassigned"
    pools = [
        np.flatnonzero(named & ~atlas.power),
        np.flatnonzero(named & atlas.power),
        np.flatnonzero(~named),
    ]
    return _select(pools, n_targets, "n_targets")


@dataclass(frozen=True)
class Head:
    """A head that the simulated electrodes lie on, and what an inverse does not know of it."""

    model: str = "template"  # four shells as MNE's template, or three with a thicker skull
    electrode_error: float = 0.0  # mm (root mean square) from the places in info to the true ones
    spread: float = 0.0  # s.d. of the brain's width, length, height and of the shells, relative

    def is_template(self) -> bool:
        """Whether nothing is drawn."""
        return self.model == "template" and not (self.electrode_error or self.spread)


def lead_field(coords, info, rng, head: Head | None = None, head_rng=None):
    """EEG (V per A m) of unit dipoles at MNI coordinates (mm): (n_channels, n_sources)."""
    # Dipoles point outwards, tilted at random by up to about 45 degrees, as on a folded cortex.
    # ``rng`` draws them, ``head_rng`` sizes and electrodes of a head that is not the template's.
    sphere, mri_head = template_head()
    # In head coordinates throughout, with an identity transform: MNE compares sources with a sphere
    # model after moving them to MRI coordinates, which would drop some that lie well inside.
    rr = apply_trans(mri_head, np.asarray(coords) / 1e3)
    outward = rr - sphere["r0"]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    tilt = rng.standard_normal(rr.shape)
    tilt /= np.linalg.norm(tilt, axis=1, keepdims=True)
    nn = outward + 0.7 * tilt
    nn /= np.linalg.norm(nn, axis=1, keepdims=True)
    if head is not None and not head.is_template():
        sphere, rr, info = _other_head(head, sphere, rr, info, head_rng)
    with mne.use_log_level("ERROR"):
        src = mne.setup_volume_source_space(pos={"rr": rr, "nn": nn}, verbose="ERROR")
        forward = mne.make_forward_solution(
            info, Transform("mri", "head"), src, sphere, meg=False, mindist=0.0, verbose="ERROR"
        )
    if forward["nsource"] != len(rr):
        raise RuntimeError(
            f"{len(rr) - forward['nsource']} of {len(rr)} sources lie outside the head model."
        )
    gain = forward["sol"]["data"].reshape(len(info["ch_names"]), len(rr), 3)
    # A free-orientation solution holds the responses to the three Cartesian axes, of head space.
    return np.einsum("csk,sk->cs", gain, nn)


def _other_head(head, sphere, rr, info, rng):
    """Sphere, sources (n_sources, 3; m) and electrodes of a head that is not the template's."""
    centre, radius = sphere["r0"], sphere["layers"][-1]["rad"]
    size = 1.0 + head.spread * rng.standard_normal(4).clip(-2.0, 2.0)
    moves = 1e-3 * head.electrode_error / np.sqrt(3) * rng.standard_normal((len(info["chs"]), 3))
    shells = {}
    if head.model == "three-shell":
        shells = {"relative_radii": (0.87, 0.92, 1.0), "sigmas": (0.33, 0.0042, 0.33)}
    other = mne.make_sphere_model(centre, radius * size[3], verbose="ERROR", **shells)
    rr = centre + size[:3] * (rr - centre)
    # What would lie outside goes straight in to the margin below the inner skull.
    distance = np.linalg.norm(rr - centre, axis=1, keepdims=True)
    rr = centre + (rr - centre) * np.minimum(
        1.0, (other["layers"][0]["rad"] - _SKULL_MARGIN) / distance
    )
    info = info.copy()
    for channel, move in zip(info["chs"], moves, strict=True):
        channel["loc"][:3] += move
    return other, rr, info
