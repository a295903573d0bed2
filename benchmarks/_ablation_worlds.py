"""Simulated people and worlds of the ablation (SIMULATED): training and test parts, coupled sites.

Two worlds go beyond what the linear core can say, and are made for one correction each: in "gated"
a source's drive is scaled by a fellow source of its network, which graph attention can see; in
"fatigue" a region answers less the more it answered in the last half minute, which a recurrence
over frames can see.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import mne
import numpy as np
import torch
from scipy.signal import lfilter

from mne_samba.datasets import simulate_paired
from mne_samba.datasets._signals import bold_noise
from mne_samba.hrf import convolve_frames, double_gamma

T_R, HISTORY, GAP, TEST = 2.0, 30.0, 60.0, 900.0
WORLDS = {
    "plain": {},
    "saturating drive": {"drive": "saturating"},
    "leakage": {"leakage": 0.5},
    "gated": {"network_variance": 0.3},
    "fatigue": {},
}
# Seconds over which a region tires, and how much of its response it loses.
_TIRES, _LOSS = 20.0, 4.0


@dataclass(frozen=True)
class Person:
    """Training and test recordings of one person; the first ``HISTORY`` s of a test have no score.

    Attributes
    ----------
    train, test : Raw
        Electrophysiology.
    bold, test_bold, test_clean : array, shape (n_frames, n_targets)
        Measured and clean BOLD.
    """

    train: mne.io.BaseRaw
    bold: np.ndarray
    test: mne.io.BaseRaw
    test_bold: np.ndarray
    test_clean: np.ndarray


def place(raw, coords) -> None:
    """Write positions (mm) into channels that stand for source regions."""
    for channel, position in zip(raw.info["chs"], coords, strict=True):
        channel["loc"][:3] = position / 1e3


@lru_cache(maxsize=1)
def person(seed: int, minutes: float, snr: float, world: str = "plain", coupling=True) -> Person:
    """One simulated person, trained on the first minutes and tested on the last quarter hour."""
    duration = 60.0 * minutes + GAP + TEST
    data = simulate_paired(
        1, duration, t_r=T_R, snr=snr, level="source", random_state=seed, coupling=coupling,
        **WORLDS[world],
    )  # fmt: skip
    raw, bold, clean = data.raws[0], data.bolds[0], data.truth.clean_bolds[0]
    place(raw, data.source_coords)
    if world in ("gated", "fatigue"):
        clean = gated_bold(data) if world == "gated" else tired(clean)
        clean = (clean - clean.mean(axis=0)) / clean.std(axis=0)
        noise = bold_noise(np.random.default_rng((seed, 7)), "ar", *clean.shape, T_R)
        bold = clean + noise / np.sqrt(snr)
    cut, first = 60.0 * minutes, 60.0 * minutes + GAP - HISTORY
    n, start = round(cut / T_R), round(first / T_R)
    return Person(
        raw.copy().crop(0, cut, include_tmax=False), bold[:n], raw.copy().crop(first),
        bold[start:], clean[start:],
    )  # fmt: skip


def gated_bold(data) -> np.ndarray:
    """Clean BOLD whose drives are scaled by the source that resembles each source most."""
    truth = data.truth
    dt = float(np.diff(truth.power_times[:2])[0])
    n_lags, step = round(HISTORY / dt), round(T_R / dt)
    power = truth.source_power[0].astype(float)
    power = (power - power.mean(-1, keepdims=True)) / power.std(-1, keepdims=True)
    power = power[..., np.searchsorted(truth.power_times, -n_lags * dt) :]
    drive = np.einsum("nkt,nk->nt", power, truth.band_weights)
    drive /= drive.std(-1, keepdims=True)
    alike = np.corrcoef(drive)
    np.fill_diagonal(alike, -np.inf)
    # Full scale from 0 to 2: half of a drive's size is its fellow's to decide.
    gated = drive * (1.0 + np.tanh(1.5 * drive[alike.argmax(axis=1)]))
    gated -= gated.mean(-1, keepdims=True)
    kernel = torch.as_tensor(
        double_gamma((np.arange(n_lags) + 0.5) * dt, truth.hrf_params.to_numpy())
    )
    frames = convolve_frames(torch.as_tensor(truth.spatial_map @ gated), kernel, step).numpy().T
    return frames[: len(data.bolds[0])]


def tired(clean: np.ndarray) -> np.ndarray:
    """BOLD of regions that answer less after having answered."""
    decay = np.exp(-T_R / _TIRES)
    size = clean / clean.std(axis=0)
    recent = lfilter([0.0, 1.0 - decay], [1.0, -decay], np.maximum(size, 0.0), axis=0)
    return size / (1.0 + _LOSS * recent)


def site_pair(seed: int, level: str):
    """Training person, another person of the same site, and one of a site with other machines.

    The sites share map, weights and responses (people differ in their rhythms' time courses). The
    other site has another sampling rate, repetition time, noise, and at sensor level another cap.

    Returns
    -------
    home : Bunch
        Two people of 30 min, 200 Hz, TR 2 s, SNR 1, AR noise.
    away : Bunch
        One person of 16 min, 250 Hz, TR 1.4 s, SNR 0.5, pink noise.
    """
    shared = {"level": level, "coupling_random_state": seed}
    home = simulate_paired(2, 1800.0, t_r=T_R, snr=1.0, random_state=1000 + seed, **shared)
    away = simulate_paired(
        1, 960.0, t_r=1.4, sfreq=250.0, snr=0.5, noise="pink", random_state=2000 + seed,
        montage="biosemi64" if level == "sensor" else None, **shared,
    )  # fmt: skip
    return home, away
