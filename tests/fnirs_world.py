"""A small simulated world of EEG and fNIRS: power drives both chromophores, in opposite ways."""

import mne
import numpy as np

from mne_samba.datasets import simulate_paired
from mne_samba.hrf import double_gamma, glover_params

SFREQ, T_R, N_PAIRS = 10.0, 0.5, 3


def stretched(peak):
    """Parameters of Glover's response with its peak at another time."""
    params = glover_params()
    params[2:4] *= peak / 5.0
    return params


def fnirs_world(
    seed, n_people=2, duration=600.0, snr=1.0, peaks=((5.0, 6.5, 7.0), (6.5, 8.0, 8.8))
):
    """Recordings of EEG (sources) and of haemoglobin, and the latter without noise.

    Of each channel pair, deoxygenated haemoglobin is negative, a third as large, and later.
    """
    rng = np.random.default_rng(seed)
    world = simulate_paired(
        n_people, duration, t_r=1 / SFREQ * 5, sfreq=100.0, level="source", n_sources=6,
        n_targets=N_PAIRS, snr=np.inf, random_state=seed, sources_per_target=2,
    )  # fmt: skip
    names = [f"S{i}_D{i} {kind}" for kind in ("hbo", "hbr") for i in range(1, N_PAIRS + 1)]
    info = mne.create_info(names, SFREQ, ["hbo"] * N_PAIRS + ["hbr"] * N_PAIRS)
    for i, channel in enumerate(info["chs"]):
        place = 0.02 * (i % N_PAIRS)
        source, detector = np.array([place - 0.03, 0.02, 0.08]), np.array([place, 0.0, 0.09])
        channel["loc"][:9] = [*(source + detector) / 2, *source, *detector]
    maps = np.abs(rng.standard_normal((N_PAIRS, 6))) * (rng.random((N_PAIRS, 6)) < 0.5)
    maps[np.arange(N_PAIRS), np.arange(N_PAIRS)] = 1.0
    params = np.array([stretched(peak) for row in peaks for peak in row])
    kernels = double_gamma((np.arange(300) + 0.5) / SFREQ, params)
    nirs, clean = [], []
    for raw in world.raws:
        alpha = raw.copy().filter(8, 13, verbose="ERROR").apply_hilbert(envelope=True)
        power = alpha.get_data() ** 2
        bins = power.reshape(len(power), -1, int(100 / SFREQ)).mean(-1)
        bins = (bins - bins.mean(1, keepdims=True)) / bins.std(1, keepdims=True)
        drive = np.tile(maps @ bins, (2, 1))
        course = [np.convolve(d, k)[: bins.shape[1]] for d, k in zip(drive, kernels, strict=True)]
        course = np.array(course) / np.std(course, axis=1, keepdims=True)
        course[N_PAIRS:] *= -1
        noise = np.zeros_like(course)
        kicks = rng.standard_normal(course.shape)
        for t in range(1, course.shape[1]):
            noise[:, t] = 0.95 * noise[:, t - 1] + kicks[:, t]
        noise /= noise.std(1, keepdims=True) * np.sqrt(snr)
        scale = 1e-6 * np.repeat([1.0, 1 / 3], N_PAIRS)[:, None]
        nirs.append(mne.io.RawArray((course + noise) * scale, info, verbose="ERROR"))
        clean.append((course * scale).T)
    return world.raws, nirs, clean, np.array(peaks).ravel()
