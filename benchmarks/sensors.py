"""From sensors to BOLD: channels as they are, unmixed, and parcels (figures are SIMULATED).

Every row is a world and what a model is given of it; columns are correlations with held-out clean
BOLD of regions. Only rows named "oracle" know the true lead field or the true sources.
SEMI-SYNTHETIC rows have real EEG and simulated BOLD.

Run ``python benchmarks/sensors.py --quick`` or, resumable, ``python benchmarks/sensors.py``;
``--rows "other cap" null`` runs these rows alone.
"""

from __future__ import annotations

import time
import warnings

from _common import one_thread, parser, to_markdown, write_section
from _resume import cached
from _sensor_inputs import RIDGES, Given, prepared

one_thread()

import mne  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from accuracy import shared_folder  # noqa: E402

from mne_samba import CoreModel, Reader, SambaTranslator  # noqa: E402
from mne_samba.baselines import BandPowerRidge  # noqa: E402
from mne_samba.datasets import simulate_bold, simulate_paired  # noqa: E402
from mne_samba.metrics import pearson  # noqa: E402
from mne_samba.wavelets import CANONICAL_BANDS  # noqa: E402

T_R, GAP, TEST = 2.0, 60.0, 400.0
SIZE = {"n_targets": 16, "sfreq": 100.0}
# None of them was seen while the methods were designed.
SEEDS = (201, 202, 203)
# A head that parcels do not know: thicker skull, electrodes 5 mm off, brains of another shape.
UNKNOWN = {"head": "three-shell", "electrode_error": 5.0, "head_spread": 0.04}

PLAIN = ("channels", "whitened", "joint", "auto", "parcels", "parcels, joint")
ORACLES = ("LCMV, true lead field (oracle)", "true sources (oracle)")
RIDGE = ("ridge on channels", "ridge on joint", "ridge on parcels")
WAYS = ("underdetermined", "joint per band", "joint, shrunk covariances", "joint, 48 components")
# Row: what is simulated, minutes of training, and what is compared.
WORLDS = {
    "32 -> 64": ({}, 30, (*PLAIN, *ORACLES, *RIDGE)),
    "32 -> 64, 10 min": ({}, 10, (*PLAIN, *ORACLES, *RIDGE)),
    "64 -> 64": ({"n_sources": 64}, 30, (*PLAIN, *ORACLES, *RIDGE)),
    "128 -> 64": ({"n_sources": 128}, 30, (*PLAIN, *WAYS, *ORACLES, *RIDGE)),
    "32 -> 64, noise 5 µV": ({"sensor_noise": 5e-6}, 30, (*PLAIN, *ORACLES, *RIDGE)),
    "32 -> 64, unknown head": (UNKNOWN, 30, (*PLAIN, *ORACLES)),
    "leaked sources": ({"level": "source", "leakage": 0.5}, 30, ("channels", "joint", "auto")),
    "sources": ({"level": "source"}, 30, ("channels", "joint", "auto")),
    "null": ({"coupling": False}, 10, ("channels", "auto", "parcels")),
}
PEOPLE = {
    "six people, one head": UNKNOWN,
    "six people, own heads": {**UNKNOWN, "shared_head": False},
}
AWAY = ("channels", "joint", "parcels, normal", "parcels", "parcels, joint")


def model(name: str, t_r: float = T_R, reader=None):
    """Estimator of a row: the linear core, told that power is linear, as are all inputs."""
    own = {"whitened": "whiten"} | {way: way for way in ("joint", "underdetermined", "auto")}
    unmix = own.get(name)
    unmix = "joint" if name.endswith(", joint") else unmix
    core = CoreModel(unmix=unmix, power="linear", target_bands=False)
    return SambaTranslator(t_r=t_r, model=core, reader=reader, random_state=0)


def scored(name, data: Given, reader=None) -> dict:
    """Correlation with clean BOLD of test recordings, and CPU seconds of the fit."""
    start, wall = time.process_time(), time.perf_counter()
    if name.startswith("ridge on "):
        return _best_ridge(name.removeprefix("ridge on "), data, reader)
    train, tests = prepared(name, data)
    fitted = model(name, data.t_r, reader).fit(train, data.bolds)
    out = {"input": name, "fit_s": time.process_time() - start}
    unmixing = getattr(fitted, "unmixing_", None)
    if unmixing is not None:
        out["chosen"] = unmixing.method
        out["share"] = unmixing.seconds / (time.perf_counter() - wall)  # both by the wall clock
    return {**out, "r": _score(fitted, tests, data)}


def _best_ridge(name, data: Given, reader) -> dict:
    """Best of four ridges on the test data themselves, which favours ridge."""
    start, unmix = time.process_time(), "joint" if name == "joint" else None
    train, tests = prepared(name, data)
    found = {}
    for hrf, power in RIDGES:
        ridge = BandPowerRidge(t_r=data.t_r, hrf=hrf, power=power, unmix=unmix, reader=reader)
        found[f"{hrf}, {power}"] = _score(ridge.fit(train, data.bolds), tests, data)
    best = max(found, key=found.get)
    seconds = time.process_time() - start
    return {"input": f"ridge on {name}", "r": found[best], "chosen": best, "fit_s": seconds}


def _score(fitted, tests, data: Given) -> float:
    """Mean over regions and recordings; frames without their whole history are no prediction."""
    fitted.set_params(t_r=data.test_t_r)
    scores = []
    for raw, clean, first in zip(tests, data.cleans, data.first, strict=True):
        frames = fitted.predict(raw)[first:]
        scores.append(pearson(clean[first:][: len(frames)], frames).mean())
    return float(np.mean(scores))


def run_world(world: str, seed: int, minutes: float) -> list[dict]:
    """Rows of one person: first minutes to train, the last ten to test."""
    options, _, inputs = WORLDS[world]
    options = {"level": "sensor", **SIZE, **options}
    duration = 60.0 * minutes + GAP + TEST
    data = simulate_paired(1, duration, t_r=T_R, random_state=seed, **options)
    cut = round(60.0 * minutes / T_R)
    first = round((60.0 * minutes + GAP) / T_R)
    sources = None
    if "true sources (oracle)" in inputs:
        own = {k: v for k, v in options.items() if k in ("n_sources", *SIZE)}
        sources = simulate_paired(1, duration, t_r=T_R, random_state=seed, level="source", **own)
        sources = sources.raws[0]
    given = Given(
        [data.raws[0].copy().crop(0, 60.0 * minutes, include_tmax=False)], [data.bolds[0][:cut]],
        data.raws, data.truth.clean_bolds, [first], T_R, T_R, data.truth.gain, sources,
    )  # fmt: skip
    where = {"row": world, "minutes": minutes, "seed": seed}
    return [{**where, **scored(name, given)} for name in inputs]


def run_people(row: str, seed: int, minutes: float, n_people: int = 6) -> list[dict]:
    """Rows of two people left out; one filter for the other four."""
    data = simulate_paired(
        n_people, 60.0 * minutes, t_r=T_R, random_state=seed, **SIZE, **PEOPLE[row]
    )
    inputs = ("channels", "joint", "auto", "parcels", "parcels, joint", *RIDGE[:2])
    kept, clean = slice(None, -2), data.truth.clean_bolds
    given = Given(data.raws[kept], data.bolds[kept], data.raws[-2:], clean[-2:], [15, 15], T_R, T_R)
    where = {"row": row, "minutes": minutes, "seed": seed}
    return [{**where, **scored(name, given)} for name in inputs]


def run_away(row: str, seed: int, minutes: float) -> list[dict]:
    """Rows of a model of one cap on another person: same cap, another cap, another site.

    The other cap shares no electrode with that at home. Places of the "ideal cap" lie on a sphere
    whose centre is 15 mm from that of the head that is simulated: they are wrong by that much. The
    other site has such a cap, and a TR of 1.4 s, half the SNR and 1/f noise of BOLD beside it.
    """
    shared = {"coupling_random_state": seed, **SIZE, **UNKNOWN}
    home = simulate_paired(1, 60.0 * minutes, t_r=T_R, random_state=1000 + seed, **shared)
    options = {
        "same cap": {}, "other cap": {"montage": "colin27_1020"},
        "ideal cap": {"montage": "easycap-M1"},
        "other site": {"montage": "biosemi64", "t_r": 1.4, "snr": 0.5, "noise": "pink"},
    }[row]  # fmt: skip
    away = simulate_paired(1, TEST, random_state=2000 + seed, **shared, **options)
    if row == "other cap":
        away.raws[0].drop_channels(
            [ch for ch in home.raws[0].ch_names if ch in away.raws[0].ch_names]
        )
    given = Given(
        home.raws, home.bolds, away.raws, away.truth.clean_bolds, [round(30.0 / away.t_r)],
        T_R, away.t_r,
    )  # fmt: skip
    where = {"row": row, "minutes": minutes, "seed": seed}
    rows = []
    for name in (*AWAY, "ridge on channels", "ridge on parcels"):
        # Channels that the other cap lacks are interpolated; parcels need no such thing.
        reader = None if "parcels" in name else Reader(channels="interpolate")
        if name.startswith("ridge") and row == "other site":
            continue  # lags of frames belong to their repetition time
        rows.append({**where, **scored(name, given, reader)})
    return rows


def run_real(row: str, seed: int, minutes: float) -> list[dict]:
    """Rows of real EEG whose BOLD follows channels, or components of FastICA: SEMI-SYNTHETIC."""
    file = {"rest": "eeg_rest/test.edf", "task": "eeg_task/eeglab_data.set"}[row.split()[2]]
    read = mne.io.read_raw_edf if file.endswith("edf") else mne.io.read_raw_eeglab
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = read(shared_folder() / file, preload=True)
    raw.drop_channels([ch for ch in raw.ch_names if "EOG" in ch.upper()])
    driving = raw
    if "components" in row:
        ica = mne.preprocessing.ICA(15, method="fastica", random_state=seed, max_iter=500)
        driving = ica.fit(raw.copy().filter(1.0, None), verbose="ERROR").get_sources(raw)
        driving.set_channel_types(dict.fromkeys(driving.ch_names, "eeg"))
    noise = pd.read_csv(shared_folder() / "fmri_rois" / "fmri_timeseries.csv").iloc[:, 3:]
    bands = {k: v for k, v in CANONICAL_BANDS.items() if v[1] < raw.info["sfreq"] / 2}
    data = simulate_bold(
        driving, t_r=T_R, n_targets=8, snr=4.0, noise=noise.to_numpy(), noise_t_r=1.89,
        bands=bands, random_state=seed,
    )  # fmt: skip
    cut = round(0.7 * len(data.bold))
    given = Given(
        [raw.copy().crop(0, cut * T_R, include_tmax=False)], [data.bold[:cut]], [raw],
        [data.clean_bold], [cut + 15], T_R, T_R,
    )  # fmt: skip
    where = {"row": row, "minutes": minutes, "seed": seed}
    return [{**where, **scored(name, given)} for name in ("channels", "joint", "auto")]


def run_time(row: str, seed: int, minutes: float) -> list[dict]:
    """Share of the whole fit that unmixing takes, 200 channels that are mixtures of as many."""
    rng = np.random.default_rng(seed)
    data = simulate_paired(
        1, 60.0 * minutes + TEST, level="source", n_sources=200, n_targets=16, random_state=seed
    )
    raw, cut = data.raws[0], round(60.0 * minutes / T_R)
    mixing = np.eye(200) + rng.standard_normal((200, 200)) / np.sqrt(200)
    raw._data = mixing @ raw._data
    given = Given(
        [raw.copy().crop(0, cut * T_R, include_tmax=False)], [data.bolds[0][:cut]], [raw],
        data.truth.clean_bolds, [cut + 15], T_R, T_R,
    )  # fmt: skip
    where = {"row": row, "minutes": minutes, "seed": seed}
    return [{**where, **scored(name, given)} for name in ("channels", "joint", "auto")]


def settings(quick: bool) -> list[tuple]:
    """Function, row, seed and minutes of everything, the most informative rows first."""
    seeds, scale = (SEEDS[:1], 1 / 3) if quick else (SEEDS, 1.0)
    out = []
    for seed in seeds:  # every row once, before any row twice: a run that is stopped shows all
        for row in ("other cap", "ideal cap", "other site", "same cap"):
            out.append((run_away, row, seed, 30 * scale))
        for row, (_, minutes, _) in WORLDS.items():
            out.append((run_world, row, seed, minutes * scale))
        for row in PEOPLE:
            out.append((run_people, row, seed, 10 * scale))
        if shared_folder().is_dir():
            for name in ("rest", "task"):
                for drive in ("channels", "components"):
                    out.append((run_real, f"real EEG {name} drive of {drive}", seed, 3))
        out.append((run_time, "200 -> 200", seed, 60 * scale))
    return out


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over seeds (and folds of people), and differences to channels."""
    keys = ["row", "minutes", "input"]
    mean = table.groupby(keys, sort=False).agg(
        r=("r", "mean"), r_sd=("r", "std"), seeds=("seed", "nunique"), fit_s=("fit_s", "mean"),
        share=("share", "mean"),
        chosen=("chosen", lambda c: ", ".join(sorted(set(c.dropna())))),
    ).reset_index()  # fmt: skip
    for _, part in mean.groupby(["row", "minutes"]):
        base = part.loc[part.input == "channels", "r"]
        ridge = part.loc[part.input.str.startswith("ridge"), "r"]
        if len(base):
            mean.loc[part.index, "above_channels"] = part.r - base.iloc[0]
        if len(ridge):
            mean.loc[part.index, "x_ridge"] = part.r / ridge.max()
    return mean


def main() -> None:
    """Run, print, write."""
    command = parser(__doc__.splitlines()[0])
    command.add_argument("--rows", nargs="+", help="rows to run (default: all)")
    command.add_argument("--report", action="store_true", help="write what was run so far")
    args = command.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    args.out.mkdir(parents=True, exist_ok=True)
    todo = settings(args.quick)
    unknown = set(args.rows or ()) - {row for _, row, *_ in todo}
    if unknown:
        raise SystemExit(f"No rows {sorted(unknown)}; there are {sorted({t[1] for t in todo})}.")
    cache, rows = args.out / f"sensors{'_quick' if args.quick else ''}.jsonl", []
    for function, row, seed, minutes in todo:
        if args.rows and row not in args.rows:
            continue
        found = cached(cache, function, row, seed, minutes, only_read=args.report)
        for one in found or ():
            rows.append(one)
            print(f"{row:30s} {seed} {one['input']:32s} {one['r']:.3f}", flush=True)
    if not rows:
        raise SystemExit("Nothing was run yet.")
    mean = summarise(pd.DataFrame(rows).reindex(columns=[
        "row", "minutes", "input", "seed", "r", "fit_s", "share", "chosen"]))  # fmt: skip
    print(to_markdown(mean))
    name = "sensors_quick" if args.quick else "sensors"
    mean.to_csv(args.out / f"{name}.csv", index=False, float_format="%.4f")
    if not args.quick and args.out == parser("").get_default("out"):
        text = (
            "SIMULATED, and SEMI-SYNTHETIC where real EEG is named. "
            "`python benchmarks/sensors.py`: r with held-out clean BOLD, mean over 16 regions, "
            "linear core alone. Ridge is the best of log and linear power, canonical and FIR, on "
            "the test data. Rows named oracle know the true lead field or sources; parcels assume "
            "a sphere through the stated electrodes.\n\n"
        )
        finished = len({(row["row"], row["seed"]) for row in rows})
        title = f"From sensors to sources ({finished} of {len(todo)} runs"
        title += ")" if finished == len(todo) else ", partial)"
        write_section("sensors", title, text + to_markdown(mean))


if __name__ == "__main__":
    main()
