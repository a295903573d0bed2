"""Rows of `as_they_come.py` about physiology: a heart that drives BOLD, EEG power, or both."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import mne
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, lfilter, sosfiltfilt

from mne_samba import CoreModel, Reader, SambaTranslator
from mne_samba.evaluation import modality_contributions, unique_variance
from mne_samba.hrf import double_gamma, glover_params
from mne_samba.io import add_physiology
from mne_samba.metrics import cosine_drift, pearson, project_out

T_R, SFREQ, BIN = 2.0, 100.0, 0.25
BANDS = {"beta": (15.0, 35.0)}
N_CHANNELS = 4


@dataclass
class World:
    """One recording, its BOLD (n_frames, n_targets), and what drives it, in bins of 0.25 s."""

    raw: mne.io.RawArray
    bold: np.ndarray
    drives: dict[str, np.ndarray]  # "eeg" and "ecg", (n_drives, n_bins), as they were


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
    beats = np.outer(_unit(_convolved(heart, _cardiac(times))[frames]), sign)
    bold = np.sqrt(shares[0]) * _unit(mixing @ power).T + np.sqrt(shares[1]) * beats
    bold += np.sqrt(1 - sum(shares)) * _unit(noise).T
    return World(raw, bold, {"eeg": _bins(np.exp(modulation)), "ecg": _bins(heart[np.newaxis])})


def _slow(rng, n: int, tau: float) -> np.ndarray:
    """Noise (n,) of unit variance, with a time constant in seconds."""
    n_bins = int(n / SFREQ / BIN) + 8
    noise = lfilter([1.0], [1.0, -np.exp(-BIN / tau)], rng.standard_normal(n_bins + 400))[400:]
    return np.interp(np.arange(n) / SFREQ / BIN, np.arange(n_bins), _unit(noise))


def _unit(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def _convolved(x: np.ndarray, response: np.ndarray) -> np.ndarray:
    bins = _bins(x)
    return np.convolve(bins - bins.mean(), response)[: len(bins)]


def _bins(x: np.ndarray) -> np.ndarray:
    return x.reshape(*x.shape[:-1], -1, round(BIN * SFREQ)).mean(axis=-1)


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
    """Shares of the variance of held-out BOLD that only one explains, or both: found, and true.

    A fit with, one without physiology, and responses to physiology alone tell them apart. The truth
    is regression on the drives that made the world, at lags, on five times as many frames.
    """
    made = world((seed, 1000), 6.5 * minutes, (0.3, 0.3), coupling)
    cut, end = round(60 * minutes / T_R), round(90 * minutes / T_R)
    train, test = (made.raw.copy().crop(a * T_R, b * T_R, include_tmax=False)
                   for a, b in ((0, cut), (cut, end)))  # fmt: skip
    both, eeg = (translator(named).fit(train, made.bold[:cut]) for named in ("ecg", None))
    found = modality_contributions(both, test, made.bold[cut:end], metric="r2")
    alone = {
        "ecg": found.table.loc["ecg", "alone"],
        "eeg": eeg.score_targets(test, made.bold[cut:end], "r2").mean(),
    }
    tested = np.isin(np.arange(len(made.bold)), np.arange(cut, end))
    true = {name: explained(made, tested, [name]) for name in ("eeg", "ecg")}
    pairs = zip(
        _apart(found.score, **alone), _apart(explained(made, tested, ["eeg", "ecg"]), **true),
        strict=True,
    )  # fmt: skip
    return dict(zip(("EEG alone", "the heart alone", "both alike"), pairs, strict=True))


def _apart(both: float, eeg: float, ecg: float) -> tuple[float, float, float]:
    """What only EEG explains, only the heart, and each of them, from what is explained together."""
    return both - ecg, both - eeg, eeg + ecg - both


def explained(made: World, tested: np.ndarray, names: list[str]) -> float:
    """Share of the variance of BOLD in tested frames that drives at lags of 0 to 32 s explain."""
    step, n_lags = round(T_R / BIN), round(32 / T_R)
    drives = np.concatenate([made.drives[name] for name in names])
    drives = drives[:, : len(made.bold) * step].reshape(len(drives), -1, step).mean(axis=-1)
    design = np.concatenate([np.roll(drives, lag, axis=1) for lag in range(n_lags + 1)]).T
    bold, used = made.bold - made.bold.mean(0), np.arange(len(made.bold)) > n_lags
    design -= design.mean(0)
    weights = np.linalg.lstsq(design[used & ~tested], bold[used & ~tested], rcond=None)[0]
    drift = cosine_drift(int(tested.sum()), T_R)
    bold, frames = (project_out(x[tested], drift) for x in (bold, design @ weights))
    return float(np.mean(1 - np.var(bold - frames, axis=0) / np.var(bold, axis=0)))


def shorter(seed: int, quick: bool) -> list[dict]:
    """Frames of training, drives that are named, r with BOLD and share of it in 90 % intervals."""
    rng, rows = np.random.default_rng(seed), []
    made = world((seed, 2000), 45.0, (0.3, 0.3), 0.0)
    n, first = len(made.bold), round(60 * 30 / T_R)
    noise = gaussian_filter1d(rng.standard_normal((n, 6)), 2.0, axis=0)
    raw = add_physiology(made.raw, noise, t_r=T_R)
    test = raw.copy().crop(first * T_R)
    named = [f"physiology{i}" for i in range(6)]
    sets = {
        "none": None, "the heart": ["ECG"], "noise": named[:1], "6 of noise": named,
        "the heart and 5 of noise": ["ECG", *named[:5]],
    }  # fmt: skip
    for n_frames in (60, 300) if quick else (60, 120, 300, 900):
        train = raw.copy().crop(0, n_frames * T_R, include_tmax=False)
        for name, physiology in sets.items():
            fitted = translator(physiology).fit(train, made.bold[:n_frames])
            low, high = (side[15:] for side in fitted.predict_interval(test, 0.9))
            bold = made.bold[first:][15:]
            rows.append({
                "n_frames": n_frames, "drives": name,
                "r": float(pearson(bold, fitted.predict(test)[15:]).mean()),
                "covered": float(np.mean((low <= bold) & (bold <= high))),
            })  # fmt: skip
    return rows
