"""Rows of `as_they_come.py` about physiology: a heart that drives BOLD, EEG power, or both."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import mne
import numpy as np
from scipy.signal import butter, lfilter, sosfiltfilt

from mne_samba import CoreModel, Reader, SambaTranslator
from mne_samba.evaluation import modality_contributions, unique_variance
from mne_samba.hrf import double_gamma, glover_params
from mne_samba.metrics import cosine_drift, project_out

T_R, SFREQ, BIN = 2.0, 100.0, 0.25
BANDS = {"beta": (15.0, 35.0)}
N_CHANNELS = 4


@dataclass
class World:
    """One recording, its BOLD (n_frames, n_targets), and the two parts of it, of unit variance."""

    raw: mne.io.RawArray
    bold: np.ndarray
    parts: dict[str, np.ndarray]  # "eeg" and "ecg", (n_frames, n_targets), as they are in BOLD


def world(seed, minutes, shares, coupling, n_targets=4) -> World:
    """Simulate ``shares`` of EEG and of the heart in the variance of BOLD.

    ``coupling`` is the share of the heart in the logarithm of EEG power.
    """
    rng, n = np.random.default_rng(seed), int(60 * minutes * SFREQ)
    heart, own = _slow(rng, n, 8.0), np.stack([_slow(rng, n, 4.0) for _ in range(N_CHANNELS)])
    modulation = 0.8 * (np.sqrt(coupling) * heart + np.sqrt(1 - coupling) * own)
    sos = butter(4, BANDS["beta"], "bandpass", fs=SFREQ, output="sos")
    rhythm = sosfiltfilt(sos, rng.standard_normal((N_CHANNELS, n)))
    rhythm *= np.exp(modulation / 2) / rhythm.std(axis=1, keepdims=True)
    eeg = rhythm + 0.3 * rng.standard_normal(rhythm.shape)
    beats = np.flatnonzero(np.diff(np.floor(np.cumsum((65 + 6 * heart) / 60 / SFREQ))) > 0)
    ecg = np.zeros(n)
    ecg[beats] = 1.0
    ecg = np.convolve(ecg, np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2), "same")
    ecg += 0.05 * rng.standard_normal(n)
    names = [f"E{i}" for i in range(N_CHANNELS)]
    info = mne.create_info([*names, "ECG"], SFREQ, ["eeg"] * N_CHANNELS + ["ecg"])
    raw = mne.io.RawArray(np.vstack([1e-5 * eeg, 1e-3 * ecg]), info, verbose="ERROR")
    times = (np.arange(int(32 / BIN)) + 0.5) * BIN
    frames = slice(0, None, round(T_R / BIN))
    response = double_gamma(times, glover_params())
    power = np.stack([_convolved(np.exp(m), response)[frames] for m in modulation])
    mixing, sign = rng.standard_normal((n_targets, N_CHANNELS)), (-1.0) ** np.arange(n_targets)
    noise = lfilter([1.0], [1.0, -0.3], rng.standard_normal((n_targets, power.shape[1])))
    parts = {
        "eeg": np.sqrt(shares[0]) * _unit(mixing @ power).T,
        "ecg": np.sqrt(shares[1])
        * np.outer(_unit(_convolved(heart, _cardiac(times))[frames]), sign),
    }
    bold = sum(parts.values()) + np.sqrt(1 - sum(shares)) * _unit(noise).T
    return World(raw, bold, parts)


def _slow(rng, n: int, tau: float) -> np.ndarray:
    """Noise (n,) of unit variance, with a time constant in seconds."""
    n_bins = int(n / SFREQ / BIN) + 8
    noise = lfilter([1.0], [1.0, -np.exp(-BIN / tau)], rng.standard_normal(n_bins + 400))[400:]
    return np.interp(np.arange(n) / SFREQ / BIN, np.arange(n_bins), _unit(noise))


def _unit(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def _convolved(x: np.ndarray, response: np.ndarray) -> np.ndarray:
    bins = x.reshape(-1, round(BIN * SFREQ)).mean(axis=1)
    return np.convolve(bins - bins.mean(), response)[: len(bins)]


def _cardiac(t: np.ndarray) -> np.ndarray:
    """Cardiac response function (Chang, Cunningham and Glover 2009)."""
    late = 16 / np.sqrt(18 * np.pi) * np.exp(-((t - 12) ** 2) / 18)
    return 0.6 * t**2.7 * np.exp(-t / 1.6) - late


def translator(physiology="ecg") -> SambaTranslator:
    """Fit the quick core, with or without physiology."""
    model = CoreModel(power="linear", target_bands=False, unmix=None, bands=BANDS)
    return SambaTranslator(
        t_r=T_R, model=model, reader=Reader(physiology=physiology), random_state=0
    )


def false_positives(seed: int, n: int, physiology) -> float:
    """Share of ``n`` worlds of the heart alone in which EEG is said to add something."""
    found = []
    for i in range(n):
        two = [world((seed, i, k), 8.0, (0.0, 0.4), 0.7, 2) for k in range(2)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of mean time courses that are alike
            result = unique_variance(
                translator(physiology), [w.raw for w in two], [w.bold for w in two],
                cv=[([0], [1])], verbose=False,
            )  # fmt: skip
        found.append(result.mean()["p"] <= 0.05)
    return float(np.mean(found))


def shares(seed: int, minutes: float, coupling: float) -> dict[str, tuple[float, float]]:
    """Shares of the variance of held-out BOLD: as the fit says, and as they were.

    Of the heart alone, and of what EEG adds to it.
    """
    made = world((seed, 1000), 1.5 * minutes, (0.3, 0.3), coupling)
    cut = round(60 * minutes / T_R)
    train, test = made.raw.copy().crop(0, cut * T_R, include_tmax=False), made.raw.copy()
    test.crop(cut * T_R)
    fitted = translator().fit(train, made.bold[:cut])
    found = modality_contributions(fitted, test, made.bold[cut:], metric="r2")
    alone = found.table.loc["ecg", "alone"]
    drift = cosine_drift(len(made.bold) - cut, T_R)
    bold, *parts = (project_out(x[cut:], drift) for x in (made.bold, *made.parts.values()))

    def explained(some):
        """Share (n_targets,) of variance that parts explain, by regression."""
        if not some:
            return np.zeros(bold.shape[1])
        design = np.stack([parts[i] for i in sorted(some)])
        left = [
            y - x.T @ np.linalg.lstsq(x.T, y, rcond=None)[0]
            for x, y in zip(design.transpose(2, 0, 1), bold.T, strict=True)
        ]
        return 1 - np.var(left, axis=1) / bold.var(axis=0)

    true = explained({1}).mean(), (explained({0, 1}) - explained({1})).mean()
    return {"heart": (alone, true[0]), "EEG beyond it": (found.score - alone, true[1])}
