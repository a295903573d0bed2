"""Whole fits: time, memory and accuracy beside today's way, growth, and recordings of hours."""

from __future__ import annotations

import gc
import time

import mne
import numpy as np
from _generated import GeneratedRaw
from _timing import exponent, peak, reset_peak, resident, seconds

from mne_samba import CoreModel, SambaTranslator
from mne_samba._scoring import remove_drift
from mne_samba.datasets import simulate_paired
from mne_samba.metrics import pearson
from mne_samba.wavelets import CANONICAL_BANDS

SFREQ, T_R, HELD_OUT = 200.0, 2.0, 10
# Largest times of a fit relative to today's way, by its minutes, channels and targets.
GOALS = {(60, 200, 500): 0.3, (20, 100, 250): 0.35, (30, 32, 48): 0.5}
# Frames of history in the lagged design of ridge regression, and its penalties.
LAGS, ALPHAS = range(1, 9), np.logspace(1, 6, 11)


def coupled(minutes, n_channels, n_targets):
    """Training recording and BOLD, and a held-out recording with clean BOLD (SIMULATED)."""
    data = simulate_paired(
        1, 60.0 * (minutes + HELD_OUT), t_r=T_R, sfreq=SFREQ, n_sources=n_channels,
        n_targets=n_targets, level="source", snr=1.0, random_state=30,
    )  # fmt: skip
    signal, bold, clean = data.raws[0].get_data(), data.bolds[0], data.truth.clean_bolds[0]
    del data
    cut, frame = int(minutes * 60 * SFREQ), int(minutes * 60 / T_R)
    parts = recording(signal[:, :cut]), recording(signal[:, cut:])
    return parts[0], bold[:frame], parts[1], clean[frame:]


def recording(signal):
    """Array as a recording of its own memory."""
    info = mne.create_info([f"n{i:03d}" for i in range(len(signal))], SFREQ, "eeg")
    return mne.io.RawArray(signal.copy(), info, copy=None, verbose="ERROR")


def lagged(raw, n_frames):
    """Log band power by MNE's filters and Hilbert transform, at lags of whole frames."""
    width, features = int(T_R * SFREQ), []
    for low, high in CANONICAL_BANDS.values():
        band = raw.copy().filter(low, high, verbose="ERROR")
        band = band.apply_hilbert(envelope=True, verbose="ERROR").get_data()
        power = (band[:, : n_frames * width] ** 2).reshape(len(band), n_frames, width).mean(-1)
        features.append(np.log(power))
    features = np.concatenate(features).T
    features = (features - features.mean(0)) / features.std(0)
    return np.concatenate([np.roll(features, lag, axis=0) for lag in LAGS], axis=1)


class Today:
    """What one would do today: MNE band power, lagged design, RidgeCV."""

    def fit(self, raw, bold):
        """Fit to one recording."""
        from sklearn.linear_model import RidgeCV

        n = len(LAGS)
        self.ridge = RidgeCV(ALPHAS).fit(lagged(raw, len(bold))[n:], bold[n:])
        return self

    def predict(self, raw):
        """Predict all frames of a recording."""
        return self.ridge.predict(lagged(raw, int(raw.n_times / SFREQ / T_R)))


MODELS = {
    "MNE band power + RidgeCV FIR": Today,
    "default": lambda: SambaTranslator(t_r=T_R, random_state=0),
    "core": lambda: SambaTranslator(t_r=T_R, model="core", random_state=0),
}


def whole_fit(quick, fit_size=None):
    """Fit of the default, features included: seconds, peak memory, held-out correlation."""
    minutes, n_channels, n_targets = fit_size or ((10, 40, 100) if quick else (60, 200, 500))
    raw, bold, later, clean = coupled(minutes, n_channels, n_targets)
    # Libraries load and first calls allocate on a small problem.
    SambaTranslator(t_r=T_R, random_state=0).fit(raw.copy().pick([0, 1]), bold[:, :2])
    rows, size = [], raw.get_data().nbytes
    for name, make in MODELS.items():
        model = make()
        gc.collect()
        before = resident()
        reset_peak()
        spent = seconds(lambda model=model: model.fit(raw, bold))
        memory = (peak() - before) / size
        # The first frames lack their history.
        first = round(30.0 / T_R)
        # Slow drift is nobody's to predict: recordings lose it before they are fitted.
        pair = clean[first:], model.predict(later)[first : len(clean)]
        r = pearson(*(remove_drift(frames, T_R, "cosine") for frames in pair)).mean()
        row = {"fit": f"{minutes} min, {n_channels} -> {n_targets}", "model": name}
        row |= {"seconds": spent, "memory_x_input": memory, "held_out_r": float(r)}
        row["x_today"] = spent / rows[0]["seconds"] if rows else 1.0
        row["goal"], row["met"] = "", ""
        if rows:
            most = GOALS.get((minutes, n_channels, n_targets), 1.0)
            row["goal"] = f"<= {most:g} x today, <= 0.5 x input, r not lower"
            missed = {
                "time": row["x_today"] > most, "memory": memory > 0.5,
                "r": r < rows[0]["held_out_r"],
            }  # fmt: skip
            named = ", ".join(name for name, is_missed in missed.items() if is_missed)
            row["met"] = f"no: {named}" if named else "yes"
        rows.append(row)
        del model
    return rows


def fit_growth(quick):
    """Exponents of the seconds of a fit in minutes, nodes and targets, the others fixed.

    Corrections are left out: their training steps have a table of their own.
    """
    base, factors = (20, 50, 120), (0.5, 1, 2) if quick else (0.5, 1, 2, 4)
    rows = []
    raw, bold, _, _ = coupled(10, 4, 4)
    SambaTranslator(t_r=T_R, model="core", random_state=0).fit(raw, bold)
    for axis, name in enumerate(("minutes", "nodes", "targets")):
        sizes, times = [round(base[axis] * f) for f in factors], []
        most = [max(sizes) if i == axis else b for i, b in enumerate(base)]
        raw, bold, _, _ = coupled(*most)
        for size in sizes:
            minutes, n, m = (size if i == axis else b for i, b in enumerate(base))
            part = recording(raw.get_data(picks=range(n), stop=int(minutes * 60 * SFREQ)))
            y = bold[: int(minutes * 60 / T_R), :m]
            model = SambaTranslator(t_r=T_R, model="core", random_state=0)
            times.append(seconds(lambda model=model, part=part, y=y: model.fit(part, y)))
        row = {"variant": "whole fit", "grows": name, "goal": "<= 1.1"}
        row["exponent"] = exponent(sizes, times)
        row |= {"sizes": str(sizes), "seconds": str([round(t, 2) for t in times])}
        rows.append(row)
    return rows


def long_recording(quick):
    """Predict hours that are generated as they are read: they would not fit into memory."""
    minutes, n_channels, sfreq = (20, 64, 500.0) if quick else (240, 306, 1000.0)
    short = GeneratedRaw(n_channels, 300.0, sfreq)
    bold = np.random.default_rng(0).standard_normal((150, 100)).cumsum(0)
    core = CoreModel(power="linear", map_prior="sparse", target_bands=False)
    model = SambaTranslator(t_r=T_R, model=core, random_state=0).fit(short, bold)
    raw = GeneratedRaw(n_channels, 60.0 * minutes, sfreq, seed=1)
    gc.collect()
    reset_peak()
    clock = time.perf_counter()
    with mne.use_log_level("INFO"):  # shows the progress bar
        spent = seconds(lambda: model.predict(raw))
    row = {"long": f"{minutes} min, {n_channels} channels, {sfreq:g} Hz", "seconds": spent}
    row |= {"wall_seconds": time.perf_counter() - clock, "resident_gb": peak() / 1e9}
    row["float64_gb"] = 8.0 * n_channels * raw.n_times / 1e9
    row |= {"samples_per_read": raw.longest_read, "goal": "< 1 GB"}
    # What it takes to generate the samples is no part of it: files are read, not made up.
    step, picks = row["samples_per_read"], list(range(n_channels))
    starts = range(0, raw.n_times, step)
    generating = seconds(lambda: [raw[picks, i : i + step][0].shape for i in starts])
    row["seconds_less_generating"] = spent - generating
    return [row]
