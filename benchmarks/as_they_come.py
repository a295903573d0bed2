"""Data as they come: missing channels, physiology, any TR, fNIRS, screening (SIMULATED).

Every part is a function from a seed to rows: what was measured, beside the goal that it had and the
baseline that it stands against. Intervals are over seeds not seen while methods were made.

Run ``python benchmarks/as_they_come.py --quick`` or, resumable, ``python
benchmarks/as_they_come.py``; ``--parts missing_channels`` runs these parts alone.
"""

from __future__ import annotations

import time
import warnings

from _common import COMPARE, one_thread, parser, to_markdown, write_section
from _resume import cached

one_thread()

import _rows_any_t_r  # noqa: E402
import _rows_fnirs  # noqa: E402
import _rows_physiology  # noqa: E402
import mne  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from accuracy import shared_folder  # noqa: E402
from scipy.signal import lfilter  # noqa: E402
from sklearn.feature_selection import mutual_info_regression  # noqa: E402

from mne_samba import (  # noqa: E402
    BandPowerScreening,
    CoreModel,
    PaperModel,
    Reader,
    SambaModel,
    SambaTranslator,
    Trainer,
)
from mne_samba.datasets import simulate_bold, simulate_paired  # noqa: E402
from mne_samba.evaluation import mean_interval  # noqa: E402
from mne_samba.metrics import pearson  # noqa: E402
from mne_samba.wavelets import CANONICAL_BANDS  # noqa: E402

SEEDS = (401, 402, 403, 404, 405)
T_R, GAP, TEST, HISTORY = 2.0, 60.0, 400.0, 30.0
SIZE = {"n_targets": 16, "sfreq": 100.0}
# World: what is simulated, and which channels models see.
MISSING = {
    "32 sources in 64 sensors": ({"level": "sensor"}, (None, "joint")),
    "the same, noise 5 µV": ({"level": "sensor", "sensor_noise": 5e-6}, (None, "joint")),
    "64 sources in 64 sensors": ({"level": "sensor", "n_sources": 64}, (None, "joint")),
    "independent sources": ({"level": "source"}, (None,)),
}
MISSES = 0.25
REAL = {"real EEG, rest,": "eeg_rest/test.edf", "real EEG, task,": "eeg_task/eeglab_data.set"}
SHAPES = {"linear": lambda v: v, "saturating": np.tanh, "U-shaped": np.square}


def row(part, what, method, unit, value, **beside) -> dict:
    """One figure; ``versus`` names the method it stands against, ``goal`` is (of, how, bound)."""
    return {"part": part, "row": what, "method": method, "unit": unit, "value": value, **beside}


def missing_channels(seed: int, quick: bool) -> list[dict]:
    """A quarter of the channels is missing where frames are predicted: r with clean BOLD."""
    minutes, rows = 10 if quick else 20, []
    for world, (options, inputs) in MISSING.items():
        duration, cut = 60.0 * minutes + GAP + TEST, round(60.0 * minutes / T_R)
        data = simulate_paired(1, duration, t_r=T_R, random_state=seed, **SIZE, **options)
        raw, start = data.raws[0], round((60.0 * minutes + GAP - HISTORY) / T_R)
        train, bold = raw.copy().crop(0, 60.0 * minutes, include_tmax=False), data.bolds[0][:cut]
        test, lost = raw.copy().crop(start * T_R), raw.copy().crop(start * T_R)
        order = np.random.default_rng(seed).permutation(raw.ch_names)
        lost.info["bads"] = list(order[: round(MISSES * len(order))])
        for unmix in inputs:
            name = f"{world}, {'unmixed' if unmix else 'channels'}"
            clean, measured = data.truth.clean_bolds[0][start:], data.bolds[0][start:]
            rows += _of_missing(name, unmix, train, bold, test, lost, clean, measured)
    return rows


def _of_missing(name, unmix, train, bold, test, lost, clean, measured, share=True) -> list[dict]:
    core = CoreModel(unmix=unmix, power="linear", target_bands=False)
    reader = Reader(channels="infer")
    fitted = SambaTranslator(t_r=T_R, model=core, reader=reader, random_state=0)
    fitted.fit([train], [bold])
    first = round(HISTORY / T_R)

    def score(recording):
        frames = fitted.predict(recording)[first:]
        return float(pearson(clean[first:][: len(frames)], frames).mean())

    def covered(recording):
        low, high = (side[first:] for side in fitted.predict_interval(recording, 0.9))
        own = measured[first:][: len(low)]
        return float(np.mean((low <= own) & (own <= high)))

    found = {"all channels there": score(test), "inferred": score(lost)}
    coverage = covered(test), covered(lost)
    if "sensors" in name or "noise" in name:
        found["spherical splines"] = score(lost.copy().interpolate_bads())
    # The same fit, told to take what is missing as its mean.
    fitted.set_params(reader__channels="match")
    found["mean"] = score(lost)
    part, full = "missing channels", found["all channels there"]
    rows = [
        row(part, name, method, "r", value, **(
            {"versus": "mean", "goal": ("difference", ">=", -0.005)} if method == "inferred" else {}
        ))
        for method, value in found.items()
    ]  # fmt: skip
    # Of a correlation that is hardly there, a share says nothing.
    if share and "spherical splines" in found:
        rows += [
            row(part, name, "spherical splines", "share of r", found["spherical splines"] / full),
            row(part, name, "inferred", "share of r", found["inferred"] / full,
                versus="spherical splines", goal=("value", ">=", 0.95)),
        ]  # fmt: skip
    return [
        *rows,
        row(part, name, "all channels there", "covered by 90 %", coverage[0]),
        row(part, name, "inferred", "covered by 90 %", coverage[1],
            versus="all channels there"),
    ]  # fmt: skip


def missing_real_channels(seed: int, quick: bool) -> list[dict]:
    """The same on real EEG, whose BOLD is simulated from its own power: SEMI-SYNTHETIC."""
    rows = []
    for name, file in REAL.items():
        read = mne.io.read_raw_edf if file.endswith("edf") else mne.io.read_raw_eeglab
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = read(shared_folder() / file, preload=True)
        raw.drop_channels([ch for ch in raw.ch_names if "EOG" in ch.upper()])
        mne.channels.rename_channels(raw.info, lambda ch: ch.strip("."))
        raw.set_montage("standard_1005", match_case=False, on_missing="ignore")
        bands = {k: v for k, v in CANONICAL_BANDS.items() if v[1] < raw.info["sfreq"] / 2}
        data = simulate_bold(raw, t_r=T_R, n_targets=8, snr=4.0, bands=bands, random_state=seed)
        cut = round(0.6 * len(data.bold))
        train = raw.copy().crop(0, cut * T_R, include_tmax=False)
        test, lost = raw.copy().crop(cut * T_R), raw.copy().crop(cut * T_R)
        order = np.random.default_rng(seed).permutation(raw.ch_names)
        lost.info["bads"] = list(order[: round(MISSES * len(order))])
        rows += _of_missing(f"{name} sensors (SEMI-SYNTHETIC)", None, train, data.bold[:cut], test,
                            lost, data.clean_bold[cut:], data.bold[cut:], share=False)  # fmt: skip
    return rows


def screening(seed: int, quick: bool) -> list[dict]:
    """Four of 160 features drive y: how many are among the ten that score highest."""
    rng, rows, n = np.random.default_rng(seed), [], 5 if quick else 30
    for name, shape in SHAPES.items():
        found: dict[str, list] = {"pearson": [], "mutual_info": [], "nearest neighbours": []}
        for i in range(n):
            X, true = rng.standard_normal((300, 160)), rng.choice(160, 4, replace=False)
            driven = shape(X[:, true])
            y = ((driven - driven.mean(0)) / driven.std(0)).sum(1) + 3.5 * rng.standard_normal(300)
            for method in ("pearson", "mutual_info"):
                scores = BandPowerScreening(method, n_shifts=1, random_state=0).fit(X, y).scores_
                found[method].append(np.isin(true, np.argsort(-scores)[:10]).mean())
            if i < 5:
                scores = mutual_info_regression(X, y, random_state=0)
                found["nearest neighbours"].append(np.isin(true, np.argsort(-scores)[:10]).mean())
        for method, values in found.items():
            beside = {}
            if method == "mutual_info":
                beside = {"versus": "pearson", "goal": ("value", ">=", 0.8)}
            rows.append(row("screening", name, method, "recall@10", np.mean(values), **beside))
    return rows


def screening_error(seed: int, quick: bool) -> list[dict]:
    """Autocorrelated features and targets that have nothing to do with each other."""
    rows, n = [], 20 if quick else 100
    worlds = {"one recording of 300 frames": (300, 1, 0.9), "three of 200": (600, 3, 0.85)}
    for name, (n_frames, n_recordings, phi) in worlds.items():
        groups = np.repeat(np.arange(n_recordings), n_frames // n_recordings)
        for method in ("pearson", "mutual_info"):
            rng, passed = np.random.default_rng(seed), 0
            for _ in range(n):
                white = rng.standard_normal((n_frames + 100, 22))
                series = lfilter([1.0], [1.0, -phi], white, axis=0)[100:]
                found = BandPowerScreening(method, random_state=int(rng.integers(2**31)))
                found.fit(series[:, :20], series[:, 20:], groups)
                passed += (found.p_values_ <= 0.05).any()
            rows.append(row(
                "screening", name, method, "any passes at .05", passed / n,
                goal=("value", "in", (0.03, 0.07)),
            ))  # fmt: skip
    return rows


def screening_time(seed: int, quick: bool) -> list[dict]:
    """CPU seconds of a fit to 160 features and 900 frames."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((900, 160)), rng.standard_normal(900)
    rows = []
    for n_shifts in (1, 199):
        for method in ("pearson", "mutual_info"):
            screened = BandPowerScreening(method, n_shifts=n_shifts, random_state=0)
            seconds = min(_cpu(screened.fit, X, y) for _ in range(3))
            rows.append(row(
                "screening", f"160 features, 900 frames, {n_shifts} shifts", method, "CPU s",
                seconds, goal=("value", "<=", 0.05),
            ))  # fmt: skip
    return [*rows, row("screening", "160 features, 900 frames, no shifts", "nearest neighbours",
                       "CPU s", _cpu(mutual_info_regression, X, y))]  # fmt: skip


def _cpu(function, *arguments) -> float:
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def any_t_r(seed: int, quick: bool) -> list[dict]:
    """Recordings at 2 and 0.735 s in one fit; equal minutes at one of them; a spline."""
    found = _rows_any_t_r.rows(seed, minutes=5.0 if quick else 10.0)
    best = {}
    for one in found:
        if one["fit"] not in ("mixed", "spline"):
            best[one["t_r"]] = max(one["r"], best.get(one["t_r"], -1.0))
    rows = []
    for one in found:
        tested, mixed = f"tested at {one['t_r']:g} s", one["fit"] == "mixed"
        beside = {"versus": "spline", "goal": ("difference", ">=", 0.0)} if mixed else {}
        rows.append(row("any t_r", tested, one["fit"], "r", one["r"], **beside))
        if mixed:
            rows.append(row("any t_r", tested, "mixed", "r above the best of one t_r",
                            one["r"] - best[one["t_r"]], goal=("value", ">=", -0.005)))  # fmt: skip
            rows.append(row("any t_r", tested, "mixed", "covered by 90 %", one["coverage"]))
    return rows


def fnirs(seed: int, quick: bool) -> list[dict]:
    """Signs and peak times of simulated chromophores."""
    (found,) = _rows_fnirs.rows(seed)
    goals = {
        "signs": ("signs found", ("value", ">=", 1.0)),
        "peak_error_hbo": ("s of peak error, HbO", ("value", "<=", 0.3)),
        "peak_error_hbr": ("s of peak error, HbR", ("value", "<=", 0.3)),
        "r_clean": ("r", None),
    }
    return [
        row("fNIRS", "EEG -> HbO and HbR", "core", unit, found[key], goal=goal)
        for key, (unit, goal) in goals.items()
    ]


def physiology(seed: int, quick: bool) -> list[dict]:
    """A heart that drives BOLD, and part of EEG power: what EEG is said to add, and shares."""
    part, rows = "physiology", []
    for method, named in (("physiology first", "ecg"), ("no physiology", None)):
        rate = _rows_physiology.false_positives(seed, 4 if quick else 24, named)
        goal = ("value", "in", (0.02, 0.09)) if named else None
        rows.append(row(part, "the heart drives both, EEG nothing", method, "EEG adds at .05",
                        rate, goal=goal))  # fmt: skip
    for coupling in (0.0, 0.5):
        world = f"both drive BOLD, {100 * coupling:.0f} % of EEG power is the heart's"
        shares = _rows_physiology.shares(seed, 10.0 if quick else 30.0, coupling)
        for name, (found, true) in shares.items():
            unit = f"share of {name}"
            rows += [
                row(part, world, "found", unit, found, versus="true",
                    goal=("difference", "in", (-0.05, 0.05))),
                row(part, world, "true", unit, true),
            ]  # fmt: skip
    for one in _rows_physiology.shorter(seed, quick):
        what, name = f"{one['n_frames']} frames, uncoupled", one["drives"]
        kept = {} if name == "none" else {"versus": "none"}
        rows += [
            row(part, what, name, "r", one["r"], **kept,
                **({"goal": ("difference", ">=", -0.02)} if kept else {})),
            row(part, what, name, "covered by 90 %", one["covered"],
                goal=("value", "in", (0.88, 0.92))),
        ]  # fmt: skip
    return rows


def modality_dropout(seed: int, quick: bool) -> list[dict]:
    """Networks that have seen windows without a modality, where one is missing: r, clean BOLD."""
    data = simulate_paired(
        3, 300.0 if quick else 600.0, t_r=T_R, level="source", n_sources=6, n_targets=6, snr=4.0,
        sfreq=100.0, random_state=seed,
    )  # fmt: skip
    raws = [_two_modalities(raw, np.random.default_rng((seed, i)))
            for i, raw in enumerate(data.raws)]  # fmt: skip
    clean, first, rows = data.truth.clean_bolds[2], round(HISTORY / T_R), []
    core = {"power": "linear", "target_bands": False, "hrf": "canonical", "unmix": None}
    models = {
        "PaperModel": PaperModel(n_hidden=8),
        "SambaModel, corrections": SambaModel(corrections="always", **core),
    }
    for name, model in models.items():
        for dropout in (0.0, 0.3):
            trainer = Trainer(max_epochs=2 if quick else 12, modality_dropout=dropout)
            fitted = SambaTranslator(
                t_r=T_R, model=model, trainer=trainer, reader=Reader(channels="match"),
                random_state=0,
            ).fit(raws[:2], data.bolds[:2])  # fmt: skip
            beside = {"versus": "dropout 0", "goal": ("difference", ">=", 0.0)} if dropout else {}
            for kinds in (["eeg", "mag"], ["eeg"], ["mag"]):
                frames = fitted.predict(raws[2].copy().pick(kinds))
                r = float(pearson(clean[first:], frames[first:]).mean())
                rows.append(row("modality dropout", f"{name}: {' and '.join(kinds)} there",
                                f"dropout {dropout:g}", "r", r, **beside))  # fmt: skip
    return rows


def _two_modalities(raw, rng) -> mne.io.RawArray:
    """Five channels of EEG and of MEG, which see four of six sources each, two of them both."""
    sources = raw.get_data() / raw.get_data().std()
    eeg = np.vstack([sources[:4], sources[:1] + sources[2:3]])
    meg = np.vstack([sources[2:], sources[2:3] - sources[4:5]])
    signal = [unit * (one + 0.3 * rng.standard_normal(one.shape))
              for unit, one in ((1e-5, eeg), (1e-12, meg))]  # fmt: skip
    names = [f"{kind} {i}" for kind in ("EEG", "MEG") for i in range(5)]
    info = mne.create_info(names, raw.info["sfreq"], ["eeg"] * 5 + ["mag"] * 5)
    return mne.io.RawArray(np.vstack(signal), info, verbose="ERROR")


# Functions of a seed, and whether to be quick, that give rows.
PARTS = [
    missing_channels, missing_real_channels, physiology, modality_dropout, any_t_r, fnirs,
    screening, screening_error, screening_time,
]  # fmt: skip


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds with intervals, paired differences, and whether goals are met."""
    out = []
    keys = ["part", "row", "unit", "method"]
    groups = dict(list(table.groupby(keys, sort=False)))
    values = {key: own.set_index("seed").value for key, own in groups.items()}
    for (part, what, unit, method), own in values.items():
        mean, low, high = mean_interval(own)
        first = groups[part, what, unit, method].iloc[0]
        difference = d_low = d_high = np.nan
        versus = first.versus if isinstance(first.versus, str) else ""
        if versus:
            difference, d_low, d_high = mean_interval(own - values[part, what, unit, versus])
        goal, met = "", ""
        if isinstance(first.goal, (list, tuple)):
            of, how, bound = first.goal
            found = mean if of == "value" else difference
            between = how == "in"
            reached = bound[0] <= found <= bound[1] if between else COMPARE[how](found, bound)
            told = f"{bound[0]} to {bound[1]}" if between else f"{how} {bound}"
            goal, met = f"{of} {told}", "yes" if reached else "no"
        out.append({
            "part": part, "row": what, "unit": unit, "method": method, "value": mean, "low": low,
            "high": high, "seeds": len(own), "versus": versus, "difference": difference,
            "d_low": d_low, "d_high": d_high, "goal": goal, "met": met,
        })  # fmt: skip
    return pd.DataFrame(out)


def main() -> None:
    """Run, print, write."""
    command = parser(__doc__.splitlines()[0])
    names = [part.__name__ for part in PARTS]
    command.add_argument("--parts", nargs="+", choices=names, help="parts to run (default: all)")
    command.add_argument("--report", action="store_true", help="write what was run so far")
    args = command.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    args.out.mkdir(parents=True, exist_ok=True)
    name = "as_they_come_quick" if args.quick else "as_they_come"
    rows = []
    for seed in SEEDS[:2] if args.quick else SEEDS:
        for part in PARTS:
            if args.parts and part.__name__ not in args.parts:
                continue
            if part is missing_real_channels and not shared_folder().is_dir():
                continue
            found = cached(
                args.out / f"{name}.jsonl", part, seed, args.quick, only_read=args.report
            )
            for one in found or ():
                rows.append({"seed": seed, **one})
                print(f"{seed} {one['row']:45s} {one['method']:20s} {one['value']:.3f}", flush=True)
    if not rows:
        raise SystemExit("Nothing was run yet.")
    columns = ["seed", "part", "row", "unit", "method", "value", "versus", "goal"]
    table = summarise(pd.DataFrame(rows).reindex(columns=columns))
    print(to_markdown(table))
    table.to_csv(args.out / f"{name}.csv", index=False, float_format="%.4f")
    if not args.quick and args.out == parser("").get_default("out"):
        seeds = len({one["seed"] for one in rows})
        text = (
            "SIMULATED. `python benchmarks/as_they_come.py`: means over seeds that were not seen "
            "before, 95 % intervals over seeds, paired differences to the baseline. r is with "
            "held-out clean BOLD, mean over regions, linear core alone (modality dropout: "
            "networks). Missing channels: a quarter at predict; their mean is that of power, or, "
            "where channels are unmixed, that of the signal, which is silence. Physiology: how "
            "often `unique_variance` says p < .05 of 24 pairs of 8 min per seed; shares of the "
            "variance of held-out BOLD after fits to 30 min, found and by regression on the true "
            "drives at lags (what EEG shows of the heart is both alike); drives that are named in "
            "short data, r with measured BOLD.\n\n"
        )
        partial = "" if seeds == len(SEEDS) else f", partial: {seeds} of {len(SEEDS)} seeds"
        write_section("as_they_come", f"Data as they come ({seeds} seeds{partial})",
                      text + to_markdown(table))  # fmt: skip


if __name__ == "__main__":
    main()
