"""From sensors to parcels: one matrix, made by MNE's own inverse code, and how far to trust it."""

from dataclasses import dataclass
from typing import Self

import mne
import numpy as np
import pandas as pd
from mne.beamformer import apply_lcmv, make_lcmv
from mne.minimum_norm import apply_inverse_raw, make_inverse_operator
from mne.transforms import Transform, apply_trans

from ._parcel_grid import located, places_in, sphere_of

#: Candidates of the regularisation: MNE's lambda2 = 1 / SNR^2, and LCMV's loading.
CANDIDATES = {
    "mne": tuple(float(f"{10**power:.3g}") for power in np.arange(0.5, -4.1, -0.5)),
    "lcmv": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
}
_FOLDS = 5


@dataclass(frozen=True)
class Array:
    """Sensors of one recording, ready for MNE's inverse code, and the sources that they see."""

    info: mne.Info  # good channels alone, EEG with an average reference as projector
    forward: mne.Forward  # free orientation
    rows: np.ndarray | list  # of the sources that each parcel is made of, and their signs
    in_sphere: bool  # whether the head is one

    @classmethod
    def of(cls, info: mne.Info, picks: list[int], parcels: pd.DataFrame, head) -> Self:
        """Sensors and forward model of the channels ``picks`` of a recording."""
        info = located(mne.pick_info(info, picks, verbose="ERROR"))
        types = set(info.get_channel_types(unique=True))
        if isinstance(head, mne.Forward):
            forward, rows = _given(head, info, parcels)
        else:
            sphere = sphere_of(info)
            places = places_in(sphere, parcels[["x", "y", "z"]].to_numpy())
            outward = places - sphere["r0"]
            outward /= np.linalg.norm(outward, axis=1, keepdims=True)
            # In head coordinates, with an identity transform, as sources were placed there.
            src = mne.setup_volume_source_space(pos={"rr": places, "nn": outward}, verbose="ERROR")
            forward = mne.make_forward_solution(
                info, Transform("mri", "head"), src, sphere, meg=bool(types & {"mag", "grad"}),
                eeg="eeg" in types, mindist=0.0, verbose="ERROR",
            )  # fmt: skip
            rows = [(np.array([i]), np.ones(1)) for i in range(len(parcels))]
        return cls(_referenced(info), forward, rows, not isinstance(head, mne.Forward))

    def among(self, index: np.ndarray) -> Self:
        """Keep some channels alone."""
        info = mne.pick_info(self.info, index, verbose="ERROR")
        forward = mne.pick_channels_forward(self.forward, info["ch_names"], verbose="ERROR")
        return Array(_referenced(info), forward, self.rows, self.in_sphere)

    @property
    def gain(self) -> np.ndarray:
        """Field of sources along x, y and z: (n_channels, n_sources * 3)."""
        names = self.info["ch_names"]
        return mne.pick_channels_forward(self.forward, names, ordered=True)["sol"]["data"]


def _referenced(info: mne.Info) -> mne.Info:
    """Info with an average reference as projector: any other EEG reference is a mixture of it."""
    info = info.copy()
    if "eeg" not in info.get_channel_types(unique=True):
        return info
    with info._unlock():
        info["custom_ref_applied"] = 0
        info["projs"] = [p for p in info["projs"] if "EEG" not in p["desc"]]
    eye = mne.io.RawArray(np.eye(len(info["ch_names"])), info, verbose="ERROR")
    return eye.set_eeg_reference("average", projection=True, verbose="ERROR").info


def _projector(info: mne.Info) -> np.ndarray:
    """Projector (n_channels, n_channels) of a recording, applied or not, without the reference."""
    info = info.copy()
    with info._unlock():
        info["projs"] = [p for p in info["projs"] if "EEG" not in p["desc"]]
    for proj in info["projs"]:
        proj["active"] = False
    eye = mne.io.RawArray(np.eye(len(info["ch_names"])), info, verbose="ERROR")
    return eye.apply_proj(verbose="ERROR").get_data()


def _given(head: mne.Forward, info: mne.Info, parcels: pd.DataFrame):
    """Match a user's forward model to channels; say which sources make each parcel."""
    lost = [name for name in info["ch_names"] if name not in head.ch_names]
    if lost:
        raise ValueError(
            f"The forward model lacks the channels {lost[:8]}: mark them bad, pick other channels, "
            'compute it for this montage, or use head="template".'
        )
    if mne.forward.is_fixed_orient(head):
        raise ValueError(
            "The forward model has fixed orientations: pass it as mne.make_forward_solution gives "
            "it (free orientation)."
        )
    forward = mne.pick_channels_forward(head, info["ch_names"], ordered=True, verbose="ERROR")
    forward = mne.convert_forward_solution(forward, surf_ori=False, verbose="ERROR")
    src = forward["src"]
    if "label" in parcels:
        rows, first = [], {"lh": 0, "rh": src[0]["nuse"]}
        for label in parcels["label"]:
            used = src[0 if label.hemi == "lh" else 1]["vertno"]
            inside = first[label.hemi] + np.flatnonzero(np.isin(used, label.vertices))
            rows.append((inside, mne.label_sign_flip(label, src) / len(inside)))
        return forward, rows
    if src[0].get("subject_his_id") != "fsaverage":
        raise ValueError(
            "Coordinates of MNI space have a place in a forward model of fsaverage alone; this one "
            f"is of {src[0].get('subject_his_id')!r}: give parcels of this person as a list of "
            "mne.Label."
        )
    places = apply_trans(forward["mri_head_t"], parcels[["x", "y", "z"]].to_numpy() / 1e3)
    distance = np.linalg.norm(places[:, None] - forward["source_rr"][None], axis=-1)
    return forward, [(np.array([nearest]), np.ones(1)) for nearest in distance.argmin(axis=1)]


def parcel_matrix(
    array: Array, method: str, pick_ori: str, reg: float, covariance: np.ndarray | None = None
) -> np.ndarray:
    """Parcels from sensors, (n_parcels or n_parcels * 3, n_channels), by MNE's own code."""
    sources = estimates(array, method, [reg], covariance)[0]
    normal = pick_ori == "normal"
    if normal:
        normals = np.concatenate([hemi["nn"][hemi["vertno"]] for hemi in array.forward["src"]])
        sources = np.einsum("skc,sk->sc", sources, normals)[:, None]
    parcels = [
        np.einsum(
            "s,skc->kc", signs if normal else np.full(len(rows), 1 / len(rows)), sources[rows]
        )
        for rows, signs in array.rows
    ]
    return np.concatenate(parcels)


def estimates(array: Array, method: str, regs, covariance: np.ndarray | None) -> list[np.ndarray]:
    """Estimates of unit inputs for every regularisation, each (n_sources, 3, n_channels)."""
    info = array.info
    noise, eye = mne.make_ad_hoc_cov(info, verbose="ERROR"), np.eye(len(info["ch_names"]))
    if method == "mne":
        inverse = make_inverse_operator(
            info, array.forward, noise, loose=1.0, depth=0.8, rank="info", verbose="ERROR"
        )
        raw = mne.io.RawArray(eye, info, verbose="ERROR")
        options = {"method": "MNE", "pick_ori": "vector", "verbose": "ERROR"}
        return [apply_inverse_raw(raw, inverse, reg, **options).data for reg in regs]
    data = mne.Covariance(covariance, info["ch_names"], [], info["projs"], nfree=1)
    evoked = mne.EvokedArray(eye, info, nave=1, verbose="ERROR")
    options = {"pick_ori": "vector", "weight_norm": None, "rank": "info", "verbose": "ERROR"}
    # Outside a sphere, nothing is seen of dipoles that point to its surface.
    options["reduce_rank"] = array.in_sphere and "eeg" not in info.get_channel_types(unique=True)
    filters = (make_lcmv(info, array.forward, data, reg, noise, **options) for reg in regs)
    return [apply_lcmv(evoked, one, verbose="ERROR").data for one in filters]


def left_out_errors(array: Array, method: str, covariance: np.ndarray) -> np.ndarray:
    """Share of unexplained variance of channels left out, per candidate of the method."""
    # An estimate from the other channels, carried to those left out by the forward model: no label
    # and no true source enter, and what the head model gets wrong counts as noise. Beamformers
    # overlap, so that their sum is right up to a factor alone.
    types = np.array(array.info.get_channel_types())
    size = np.sqrt([np.diag(covariance)[types == kind].mean() for kind in types])
    order = np.random.default_rng(0).permutation(len(types))
    # What projectors remove is neither to be predicted nor to predict from.
    clean = _projector(array.info)
    matched, carried, total = np.zeros(n := len(CANDIDATES[method])), np.zeros(n), 0.0
    for fold in range(_FOLDS):
        out = np.sort(order[fold::_FOLDS])
        known = np.setdiff1d(order, out)
        # All EEG channels refer to the mean of the known ones: nothing of those left out enters.
        reference = np.eye(len(types))
        eeg = np.intersect1d(np.flatnonzero(types == "eeg"), known)
        reference[np.ix_(types == "eeg", eeg)] -= 1 / max(len(eeg), 1)
        reference = reference @ clean
        seen = reference @ covariance @ reference.T
        gain = reference @ array.gain
        total += np.trace((seen / size[:, None] / size)[np.ix_(out, out)])
        own = seen[np.ix_(known, known)]
        for i, sources in enumerate(estimates(array.among(known), method, CANDIDATES[method], own)):
            carry = gain[out] @ sources.reshape(-1, len(known)) / size[out, None]
            matched[i] += np.einsum("ok,ko->", carry, seen[np.ix_(known, out)] / size[out])
            carried[i] += np.einsum("ok,kl,ol->", carry, own, carry)
    scale = 1.0 if method == "mne" else matched / carried
    return 1.0 - (2 * scale * matched - scale**2 * carried) / total
