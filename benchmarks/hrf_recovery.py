"""How well are haemodynamic responses learnt? Simulated truth, real shapes, real calcium and BOLD.

    python benchmarks/hrf_recovery.py [--quick]

Prints its tables, writes ``benchmarks/results/hrf_recovery.csv`` and its section of
``benchmarks/RESULTS.md``. One thread.
"""

import os
import time
from pathlib import Path

from _common import HERE, one_thread, parser, to_markdown, write_section

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from scipy.io import loadmat  # noqa: E402
from scipy.optimize import least_squares  # noqa: E402
from scipy.signal import fftconvolve, lfilter  # noqa: E402

from mne_samba import LearnableHRF, Reader  # noqa: E402
from mne_samba.hrf import HRF_BOUNDS, double_gamma, glover_params, hrf_summary, unit_peak  # noqa: E402
from mne_samba.hrf.fit import fit_double_gamma  # noqa: E402
from mne_samba.metrics import detrend, pearson  # noqa: E402

SFREQ, T_R = 10.0, 2.0
SHARED = Path(os.environ.get("MNE_SAMBA_SHARED", HERE.parents[1] / "shared" / "data"))


def simulate(seed, n_regions, minutes, snr):
    """Slow drives (0.008-0.12 Hz), peaks 3.5-7 s, AR(1) noise 0.6."""
    rng = np.random.default_rng(seed)
    n_times = int(minutes * 60 * SFREQ)
    spectrum = np.fft.rfft(rng.standard_normal((n_regions, n_times)))
    frequency = np.fft.rfftfreq(n_times, 1 / SFREQ)
    spectrum[:, (frequency < 0.008) | (frequency > 0.12)] = 0
    drive = np.fft.irfft(spectrum)
    drive /= drive.std(axis=1, keepdims=True)
    peak, d_r = rng.uniform(3.5, 7.0, n_regions), rng.uniform(4, 9, n_regions)
    p_u, d_u = peak + rng.uniform(6, 10, n_regions), rng.uniform(8, 16, n_regions)
    ratio = rng.uniform(0, 0.4, n_regions)
    params = unit_peak(
        np.stack([d_r, d_u, peak / d_r, p_u / d_u, np.ones(n_regions), ratio], axis=1)
    )
    response = double_gamma(np.arange(0, 32, 1 / SFREQ), params)
    clean = fftconvolve(drive, response, axes=1)[:, : n_times : int(T_R * SFREQ)].T / SFREQ
    noise = lfilter([1], [1, -0.6], rng.standard_normal(clean.shape), axis=0)
    return drive, clean + noise * clean.std(0) / noise.std(0) / np.sqrt(snr), params


def plain_fit(drive, bold):
    """Least squares of six parameters, region by region, from Glover's: what one would write."""
    low, high = HRF_BOUNDS["human"]
    low, high = np.append(np.log(low[:4]), 0.0), np.append(np.log(high[:4]), 0.9)
    glover = glover_params()
    start = np.append(np.log(glover[:4]), glover[5] / glover[4])
    times = np.arange(0, 30, 0.5)
    every = int(0.5 * SFREQ)
    out = []
    for x, y in zip(drive, detrend(bold, T_R).T, strict=True):
        coarse = x[: len(x) // every * every].reshape(-1, every).mean(1)

        def residual(theta, coarse=coarse, y=y):
            h = double_gamma(times + 0.25, np.r_[np.exp(theta[:4]), 1.0, theta[4]])
            full = np.r_[0.0, fftconvolve(coarse, h)[: len(coarse)]][:: int(T_R / 0.5)][: len(y)]
            full = detrend(full[:, None], T_R)[:, 0]
            return (y - full * (full @ y) / (full @ full))[15:]

        theta = least_squares(residual, start, bounds=(low, high)).x
        out.append(np.r_[np.exp(theta[:4]), 1.0, theta[4]])
    return hrf_summary(unit_peak(np.array(out)))["peak_time"]


def recovery(quick):
    rows = []
    n_regions, seeds = (24, 1) if quick else (64, 3)
    n_bootstrap = 60 if quick else 200
    for minutes, snr in ((30, 1), (30, 4), (10, 1)):
        for seed in range(seeds):
            drive, bold, params = simulate(seed, n_regions, minutes, snr)
            truth = hrf_summary(params)["peak_time"]
            fits = {}
            for name, kwargs in {
                "LearnableHRF": {"n_bootstrap": n_bootstrap, "random_state": 0},
                "no shrinkage": {"shrinkage": None},
                "smooth FIR": {"hrf": "fir"},
            }.items():
                model = LearnableHRF(t_r=T_R, verbose=False, **kwargs, reader=Reader(sfreq=SFREQ))
                fits[name] = model.fit([drive], [bold]).hrf_peak_time_
                if name == "LearnableHRF":
                    low = model.hrf_intervals_["peak_time_low"].to_numpy()
                    high = model.hrf_intervals_["peak_time_high"].to_numpy()
                    coverage = np.mean((low <= truth) & (truth <= high))
            fits["plain per region"] = plain_fit(drive, bold)
            for name, peak in fits.items():
                error = peak - truth
                rows.append(
                    {
                        "minutes": minutes,
                        "snr": snr,
                        "method": name,
                        "MAE (s)": np.abs(error).mean(),
                        "r": np.corrcoef(peak, truth)[0, 1],
                        "bias (s)": error.mean(),
                        "coverage of 90 %": coverage if name == "LearnableHRF" else np.nan,
                    }
                )
    table = pd.DataFrame(rows)
    return table.groupby(["minutes", "snr", "method"], sort=False).mean().reset_index()


def real_shapes():
    responses = np.loadtxt(SHARED / "nsd_hrfs" / "getcanonicalhrflibrary.tsv").T
    times = 0.1 * np.arange(responses.shape[1])
    params, scale = fit_double_gamma(times, responses)
    fitted = scale[:, None] * double_gamma(times, params)
    r2 = 1 - ((responses - fitted) ** 2).sum(1) / (
        (responses - responses.mean(1, keepdims=True)) ** 2
    ).sum(1)
    return pd.DataFrame([{"responses": len(r2), "R2 mean": r2.mean(), "R2 worst": r2.min()}])


def calcium(quick):
    recording = loadmat(
        SHARED / "calcium_bold" / "calcium_2Hz_15s_stimulation.mat", simplify_cells=True
    )
    drive, bold = recording["calcium_raw"][None], recording["BOLD_calcium"][:, None]
    t_r, sfreq = float(recording["BOLD_time"][0]), 1 / recording["dt"]
    half = len(bold) // 2
    middle = int(half * t_r * sfreq)
    drives, bolds = [drive[:, :middle], drive[:, middle:]], [bold[:half], bold[half:]]
    rows = []
    for frame, ref in (("ends of volumes", 1.0), ("middles of volumes", 0.5)):
        for name, kwargs in {
            "LearnableHRF": {"hrf_bounds": "fast", "n_bootstrap": 60 if quick else 400},
            "smooth FIR": {"hrf_bounds": "fast", "hrf": "fir"},
            "fixed Glover": {"hrf": "canonical"},
        }.items():
            reader = Reader(sfreq=sfreq, slice_time_ref=ref, detrend="linear")
            model = LearnableHRF(
                t_r=t_r, hrf_length=20.0, random_state=0, verbose=False, reader=reader, **kwargs
            )
            row = {"frame times": frame, "method": name}
            for train, test in ((0, 1), (1, 0)):
                model.fit([drives[train]], [bolds[train]])
                r = model.score_targets([drives[test]], [bolds[test]], "pearson")[0]
                row[f"half {train + 1} to {test + 1}: r"] = r
                # All frames, with the mean drive before the first sample.
                every = [
                    detrend(v, t_r, "linear")
                    for v in (bolds[test], model.predict([drives[test]])[0])
                ]
                row[f"{train + 1} to {test + 1}, all frames: r"] = pearson(*every)[0]
            model.fit(drives, bolds)
            row["peak (s)"] = model.hrf_peak_time_[0]
            if name == "LearnableHRF":
                row["peak low"] = model.hrf_intervals_["peak_time_low"].iloc[0]
                row["peak high"] = model.hrf_intervals_["peak_time_high"].iloc[0]
            rows.append(row)
    return pd.DataFrame(rows)


def speed(quick):
    n_regions, minutes = (100, 20) if quick else (500, 60)
    drive, bold, _ = simulate(0, n_regions, minutes, 1.0)
    model = LearnableHRF(t_r=T_R, verbose=False, reader=Reader(sfreq=SFREQ))
    started = time.perf_counter()
    model.fit([drive], [bold])
    seconds = time.perf_counter() - started
    row = {"regions": n_regions, "minutes at 10 Hz": minutes, "fit (s), one thread": seconds}
    return pd.DataFrame([row])


NOTES = {
    "recovery (simulated)": "Peak time: 64 regions, drive 0.008 to 0.12 Hz, peaks 3.5 to 7 s, "
    "AR(1) noise 0.6, TR 2 s, 3 seeds (`--quick`: 24 regions, 1 seed).",
    "speed (simulated)": "One drive per region.",
    "real human responses": "Double gammas within the human bounds fitted to `nsd_hrfs`.",
    "real calcium and BOLD": "Learnt on one half, scored on the other (Pearson), each half "
    "detrended (a line) on its own, no band-pass; frames with 20 s of history, and all frames. The "
    "file's times are volume ends; taking middles moves the peak by half a TR (0.75 s).",
}


def main():
    args = parser(__doc__.splitlines()[0]).parse_args()
    tables = {
        "recovery (simulated)": recovery(args.quick),
        "speed (simulated)": speed(args.quick),
    }
    if SHARED.is_dir():
        tables["real human responses"] = real_shapes()
        tables["real calcium and BOLD"] = calcium(args.quick)
    else:
        print(f"Real recordings not found in {SHARED}: set MNE_SAMBA_SHARED to their folder.")
    text = []
    for name, table in tables.items():
        print(f"\n{name}\n{table.round(3).to_string(index=False)}")
        text += [f"**{name}**. {NOTES[name]}", to_markdown(table)]
    args.out.mkdir(exist_ok=True)
    long = pd.concat([table.assign(table=name) for name, table in tables.items()])
    name = "hrf_recovery_quick" if args.quick else "hrf_recovery"
    long.to_csv(args.out / f"{name}.csv", index=False, float_format="%.4f")
    title = "Haemodynamic responses" + (" (quick)" if args.quick else "")
    command = f"`python benchmarks/hrf_recovery.py{' --quick' if args.quick else ''}`\n\n"
    write_section(name, title, command + "\n\n".join(text))


if __name__ == "__main__":
    main()
