"""Real recordings: what predicts haemodynamics of people, blocks and halves that were left out?

    python benchmarks/real.py [--quick]

Prints its table, writes ``benchmarks/results/real.csv`` and its section of
``benchmarks/RESULTS.md``.
One thread. All recordings ship with the package.
"""

import itertools
import time

from _common import one_thread, parser, to_markdown, write_section

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from mne_samba import LearnableHRF, Reader, SambaTranslator  # noqa: E402
from mne_samba._scoring import remove_drift  # noqa: E402
from mne_samba.baselines import BandPowerRidge  # noqa: E402
from mne_samba.datasets import (  # noqa: E402
    load_calcium_bold,
    load_eeg_fmri_sleep,
    load_events_bold,
    load_rat_lfp_optical,
)
from mne_samba.evaluation import evaluate  # noqa: E402
from mne_samba.evaluation.nulls import (  # noqa: E402
    circular_shift_null,
    cluster_size,
    draw_shifts,
    p_value,
)
from mne_samba.metrics import pearson  # noqa: E402
from mne_samba.models import CoreModel, SambaModel  # noqa: E402
from mne_samba.wavelets import Precomputed  # noqa: E402

N_SHIFTS, APART = 199, 30.0
MODELS = {
    "time": "time alone",
    "canonical": "canonical ridge",
    "FIR": "FIR ridge",
    "LearnableHRF": "LearnableHRF",
    "core": "core",
    "samba": "default",
}


def blocks(power: np.ndarray, bold, t_r: float, sfreq: float, n: int) -> tuple[list, list]:
    """Cut power (n_channels, n_bands, n_times) and its frames into recordings of their own.

    The first 30 s of each have no whole history, are not scored and not learnt from: so far are
    training and test frames apart.
    """
    edges = np.linspace(0, len(bold), n + 1).astype(int)
    spans = list(itertools.pairwise(edges))
    power = [power[..., round(a * t_r * sfreq) : round(b * t_r * sfreq)] for a, b in spans]
    return power, [np.asarray(bold)[a:b] for a, b in spans]


def predictors(t_r: float, bands, reader, fast: bool, samba: bool) -> dict:
    """Estimators by name; ``fast``: responses of animals."""
    preset = "fast" if fast else "human"
    options = {"t_r": t_r, "reader": reader}
    found = {
        "canonical": BandPowerRidge(bands=bands, **options),
        "FIR": BandPowerRidge(hrf="fir", bands=bands, **options),
        "LearnableHRF": LearnableHRF(hrf_bounds=preset, verbose=False, **options),
        "core": SambaTranslator(
            model=CoreModel(bands=bands, hrf_bounds=preset), random_state=0, **options
        ),
    }
    if samba:
        model = SambaModel(bands=bands, hrf_bounds=preset)
        found["samba"] = SambaTranslator(model=model, random_state=0, **options)
    return found


def scores(result, name: str, t_r: float, method, label: str) -> list[dict]:
    """Correlation of every recording that was left out, mean over targets, and its null."""
    rows = []
    pairs = zip(result.measured_, result.predictions_[name], strict=True)
    for i, (measured, predicted) in enumerate(pairs):
        known = np.isfinite(measured).all(axis=1) & np.isfinite(predicted).all(axis=1)
        if not known.any():
            continue
        # As measured frames: the same terms of drift, over the same span.
        pred = remove_drift(np.where(known[:, None], predicted, np.nan), t_r, method)[known]
        y = measured[known]
        rng, apart = np.random.default_rng(i), int(np.ceil(APART / t_r))
        apart = min(apart, len(y) // 3)
        shifts = draw_shifts(len(y), min(N_SHIFTS, len(y) - 2 * apart + 1), apart, rng)
        null = circular_shift_null(y, pred, shifts, "pearson").mean(axis=1)
        r = pearson(y, pred).mean()
        p = p_value(r, null, float(cluster_size(null[:, None])[0]))
        rows.append({"recording": label, "model": MODELS[name], "left out": i, "r": r,
                     "null": null.mean(), "p": float(p), "draws": null})  # fmt: skip
    return rows


def left_out(label, X, y, t_r, bands, reader, *, fast=False, samba=True, cv=None) -> list[dict]:
    """Leave each recording out in turn, all models on the same folds."""
    models = predictors(t_r, bands, reader, fast, samba)
    first, *rest = models
    started = time.process_time()
    result = evaluate(
        models[first], X, y, cv=cv, baselines=[{name: models[name] for name in rest}, "time"],
        nulls=(), metrics="pearson", t_r=t_r, context=30.0, detrend=reader.detrend,
        random_state=0, verbose="ERROR",
    )  # fmt: skip
    names = {result.translator: first, **{name: name for name in (*rest, "time")}}
    result.predictions_ = {names[k]: v for k, v in result.predictions_.items()}
    rows = [
        row for name in MODELS if name in result.predictions_
        for row in scores(result, name, t_r, reader.detrend, label)
    ]  # fmt: skip
    means = pd.DataFrame(rows).groupby("model", sort=False)["r"].mean().round(3).to_dict()
    print(f"{label} ({time.process_time() - started:.0f} s): {means}", flush=True)
    return rows


def people(quick: bool) -> list[dict]:
    """Human EEG-fMRI during naps: people left out, within people, and with drift left in."""
    data = load_eeg_fmri_sleep()
    bands = Precomputed("log", data.bands)
    n = 3 if quick else len(data.power)
    power, states = data.power[:n], data.states[:n]
    rows = []
    for label, method in (("people left out", "cosine"), ("drift left in: means nothing", None)):
        reader = Reader(sfreq=data.sfreq, slice_time_ref=data.slice_time_ref, detrend=method)
        rows += left_out(
            f"sleep EEG-fMRI, {label}", power, states, data.t_r, bands, reader, samba=False
        )
    reader = Reader(sfreq=data.sfreq, slice_time_ref=data.slice_time_ref)
    for person, (X, y) in enumerate(zip(power, states, strict=True)):
        parts = blocks(X, y, data.t_r, data.sfreq, 4)
        found = left_out(
            "sleep EEG-fMRI, within people", *parts, data.t_r, bands, reader, samba=False
        )
        for row in found:
            row["block"], row["left out"] = row["left out"], person
        rows += found
    return rows


def others(quick: bool) -> list[dict]:
    """Animals and events: blocks and halves of single recordings."""
    rat, events, calcium = load_rat_lfp_optical(), load_events_bold(), load_calcium_bold()
    # Neither an envelope in mV nor fluorescence is power: they are taken as they are.
    drive = Precomputed("log", ["drive"])
    rows = left_out(
        "rat LFP to blood volume, blocks",
        *blocks(rat.lfp[np.newaxis, np.newaxis], rat.blood, rat.t_r, rat.sfreq, 3),
        rat.t_r, drive, Reader(sfreq=rat.sfreq, slice_time_ref=1.0), fast=True, samba=not quick,
    )  # fmt: skip
    rows += left_out(
        "event-related BOLD, blocks",
        *blocks(events.events[:, np.newaxis], events.bold, events.t_r, events.sfreq, 5),
        events.t_r, Precomputed("linear"), Reader(sfreq=events.sfreq), samba=not quick,
    )  # fmt: skip
    trace = calcium.calcium / calcium.calcium.std()
    for method in ("cosine", "linear"):
        rows += left_out(
            f"calcium to BOLD, halves, {method} drift",
            *blocks(trace[np.newaxis, np.newaxis], calcium.bold, calcium.t_r, calcium.sfreq, 2),
            calcium.t_r, drive,
            Reader(sfreq=calcium.sfreq, slice_time_ref=1.0, detrend=method),
            fast=True, samba=not quick,
        )  # fmt: skip
    return rows


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of every model on every recording, with an interval over what was left out."""
    rows, rng = [], np.random.default_rng(0)
    for (recording, model), part in table.groupby(["recording", "model"], sort=False):
        units = part.groupby("left out")["r"].mean().to_numpy()
        # Blocks of one person are one person: a mean of its correlations, and of their nulls.
        n_draws = min(len(draws) for draws in part["draws"])
        null = np.mean([draws[np.linspace(0, len(draws) - 1, n_draws).astype(int)]
                        for draws in part["draws"]], axis=0)  # fmt: skip
        boot = rng.choice(units, (2000, len(units))).mean(axis=1)
        low, high = np.quantile(boot, [0.025, 0.975]) if len(units) > 4 else (np.nan, np.nan)
        rows.append({
            "recording": recording, "model": model, "r": units.mean(), "low": low, "high": high,
            "null": null.mean(), "p": float(p_value(part["r"].mean(), null)),
            "p <= .05": f"{(part['p'] <= 0.05).sum()} of {len(part)}",
        })  # fmt: skip
    return pd.DataFrame(rows)


NOTE = (
    "REAL recordings, all of which ship with the package. Mean Pearson correlation over time, per "
    "target, with what was left out: 15 people, each predicted by models of the other 14 or by "
    "those of their own other blocks; blocks and halves of single recordings, whose first 30 s "
    "have no history and are not scored. Drift slower than 1/128 Hz is removed from both sides, "
    "but where said. Intervals: bootstrap over people or blocks (none for fewer than five); null: "
    "mean over 199 circular shifts (as many as there are where recordings are short), at least 30 "
    "s; p of the mean, and how many of people or blocks have p <= .05 each. Time alone: ridge on "
    "slow cosines. The sleep targets are log odds of a decoder of fMRI volumes, not BOLD of "
    "regions. The default model was not tried on the sleep recordings (its core was): networks on "
    "38,000 frames take too long here. The rule by which free responses enter the core's "
    "prediction was made after these recordings had been seen."
)


def main():
    args = parser(__doc__.splitlines()[0]).parse_args()
    table = pd.DataFrame(people(args.quick) + others(args.quick))
    short = summary(table)
    print(short.round(3).to_string(index=False))
    wide = short.pivot(index="recording", columns="model", values="r").reset_index()
    wide = wide[["recording", *[m for m in MODELS.values() if m in wide]]]
    wide = wide.set_index("recording").loc[list(dict.fromkeys(short["recording"]))].reset_index()
    args.out.mkdir(exist_ok=True)
    name = "real_quick" if args.quick else "real"
    table.drop(columns="draws").to_csv(args.out / f"{name}.csv", index=False, float_format="%.4f")
    title = "Real recordings" + (" (quick)" if args.quick else "")
    command = f"`python benchmarks/real.py{' --quick' if args.quick else ''}`. {NOTE}"
    write_section("real", title, "\n\n".join([command, to_markdown(wide), to_markdown(short)]))


if __name__ == "__main__":
    main()
