"""What models are given of sensors: channels, parcels, filters of several kinds, and oracles."""

from __future__ import annotations

from dataclasses import dataclass

import mne
import numpy as np
from scipy.signal import butter, sosfiltfilt

from mne_samba import Reader, SourceParcels
from mne_samba.models.unmix_choice import learner_of
from mne_samba.unmixing import joint_diagonalizer
from mne_samba.unmixing.learn import Pieces, mean_covariance
from mne_samba.wavelets import CANONICAL_BANDS

RIDGES = [(hrf, power) for hrf in ("canonical", "fir") for power in ("log", "linear")]
INPUTS = {
    "parcels": {},
    "parcels, joint": {},
    "parcels, normal": {"pick_ori": "normal", "n_parcels": None},
    "parcels, LCMV": {"method": "lcmv"},
}


@dataclass
class Given:
    """Recordings to train and to test on, and what oracles know of them."""

    raws: list
    bolds: list
    tests: list
    cleans: list  # clean BOLD of test recordings, (n_frames, n_targets)
    first: list  # first frame that counts
    t_r: float
    test_t_r: float
    gain: np.ndarray | None = None
    sources: object = None  # source signals of the one test recording


def prepared(name: str, data: Given) -> tuple[list, list]:
    """Training and test recordings as the model of this name is given them."""
    if name in INPUTS:
        parcels = SourceParcels(**INPUTS[name]).fit(data.raws)
        return parcels.transform(data.raws), parcels.transform(data.tests)
    if name == "LCMV, true lead field (oracle)":
        return _filtered(data, _true_lcmv(data))
    if name == "true sources (oracle)":
        stop = data.raws[0].times[-1]
        return [data.sources.copy().crop(0, stop)], [data.sources]
    if name.startswith("joint "):
        return _per_band(data)
    if name.startswith("joint, "):
        return _filtered(data, _joint(data, name))
    return data.raws, data.tests


def _as_raw(data: np.ndarray, sfreq: float):
    info = mne.create_info([f"c{i:03d}" for i in range(len(data))], sfreq, "eeg", verbose="ERROR")
    return mne.io.RawArray(data, info, verbose="ERROR")


def _filtered(data: Given, filters: np.ndarray) -> tuple[list, list]:
    """Components of all recordings under one filter (n_components, n_channels)."""
    return tuple(
        [_as_raw(filters @ raw.get_data(), raw.info["sfreq"]) for raw in raws]
        for raws in (data.raws, data.tests)
    )


def _true_lcmv(data: Given) -> np.ndarray:
    """Beamformer of the true lead field and orientations on the training data's covariance."""
    covariance = np.mean([np.cov(raw.get_data()) for raw in data.raws], axis=0)
    covariance += 0.01 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    filters = np.linalg.solve(covariance, data.gain).T
    return filters / np.einsum("sc,cs->s", filters, data.gain)[:, None]


def _learner(data: Given):
    return learner_of(Reader().read(data.raws, data.t_r), CANONICAL_BANDS)


def _joint(data: Given, name: str) -> np.ndarray:
    """Joint filters from fewer components, or from covariances shrunk to their band's mean."""
    learner = _learner(data)
    if name == "joint, 48 components":
        return learner.joint(48).filters
    space, pieces, matrices = _matrices(learner)
    mean = np.tensordot(pieces.weights, matrices, axes=1)
    matrices = 0.5 * matrices + 0.5 * mean
    n = matrices.shape[-1]
    weights = np.repeat(pieces.weights, matrices.shape[1])
    return joint_diagonalizer(matrices.reshape(-1, n, n), weights=weights) @ space.whitener


def _matrices(learner):
    """Subspace, pieces, and covariances (n_pieces, n_bands, n, n) in it."""
    space = learner.subspace()
    pieces = Pieces.of(learner.stretches, learner.sfreq, learner.segment, 720)
    return space, pieces, pieces.covariances(learner.sfreq, learner.bands, space.whitener)


def _per_band(data: Given) -> tuple[list, list]:
    """Every band through filters of its own, which start from those of all bands together."""
    learner = _learner(data)
    space, pieces, matrices = _matrices(learner)
    n = matrices.shape[-1]
    weights = np.repeat(pieces.weights, matrices.shape[1])
    start = joint_diagonalizer(matrices.reshape(-1, n, n), weights=weights)
    filters = []
    for band in range(matrices.shape[1]):
        own = joint_diagonalizer(matrices[:, band], weights=pieces.weights, start=start)
        mean = mean_covariance(matrices[:, band : band + 1], pieces.weights)
        size = np.sqrt(np.einsum("ij,jk,ik->i", own, mean, own))
        filters.append(own / size[:, None] @ space.whitener)

    def bands_of(raw):
        out, signal = 0.0, raw.get_data()
        for own, edges in zip(filters, CANONICAL_BANDS.values(), strict=True):
            sos = butter(4, edges, "bandpass", fs=raw.info["sfreq"], output="sos")
            out = out + own @ sosfiltfilt(sos, signal, axis=-1)
        return _as_raw(out, raw.info["sfreq"])

    return [bands_of(raw) for raw in data.raws], [bands_of(raw) for raw in data.tests]
