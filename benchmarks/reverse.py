"""BOLD to band power (SIMULATED): the way back, both directions, ridge, an oracle, shifted BOLD.

16 nodes, 32 targets, 30 minutes of training, SNR 4, log band power in bins of a frame (2 s), tested
on the 15 minutes that follow a gap of a minute. Scores are Pearson correlations over time per node
and band, averaged over nodes; bins without their full response are left out for every model.

Worlds: the package's simulator, where measured bands also hold 1/f background, BOLD follows power
and its logarithm is measured, and every node and band fluctuates on its own; "clean bands", where
rhythms stand far above the background and weights are unrelated over nodes and bands; "clean bands,
networks", where the nodes of a network share most of their fluctuations; and "clean bands,
networks, log drive", where BOLD also follows log power. A second table changes one thing after the
other and says what an oracle gains by it: what keeps band power from being known is the background,
the logarithm, and 80 courses that 32 regions must tell apart. A third takes slow and fast changes
of band power apart.

Run ``python benchmarks/reverse.py --quick`` or without ``--quick`` for five seeds.
"""

from __future__ import annotations

import itertools
import time

from _common import one_thread, parser, to_markdown, write_section
from _resume import cached

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from _inverse import deconvolution_ridge, lagged_ridge, oracle  # noqa: E402
from _waveforms import correlation, fit_head, waveforms  # noqa: E402

from mne_samba import InverseTranslator, LatentTranslator, SambaTranslator, make_windows  # noqa: E402
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.hrf import double_gamma  # noqa: E402
from mne_samba.metrics import detrend, pearson  # noqa: E402
from mne_samba.models.inverse_data import frames_after  # noqa: E402

T_R, TRAIN, TEST, GAP, WINDOW = 2.0, 1800.0, 900.0, 60.0, 60.0
N_AFTER = frames_after(T_R)
BANDS = ("delta", "theta", "alpha", "beta", "gamma")
WORLDS = {
    "simulator": {},
    "clean bands": {"rhythm_snr": 20.0, "band_weights": "independent"},
    "clean bands, networks": {"rhythm_snr": 20.0, "network_variance": 0.8},
    "clean bands, networks, log drive": {
        "rhythm_snr": 20.0, "network_variance": 0.8, "drive": "log",
    },
}  # fmt: skip
STEPS = {
    "simulator": {},
    "... rhythms far above the background": {"rhythm_snr": 20.0},
    "... BOLD follows log power": {"rhythm_snr": 20.0, "drive": "log"},
    "... networks fluctuate together": WORLDS["clean bands, networks, log drive"],
}
SEEDS = range(10, 15)
RATES = (0.0, 0.03, 0.06, 0.1, 0.15, 0.25)  # Hz, of changes of band power


def flat(power):
    """(n_windows, n_nodes, n_bands, n_frames) -> (n_windows * n_frames, n_nodes * n_bands)."""
    return power.transpose(0, 3, 1, 2).reshape(-1, power.shape[1] * power.shape[2])


def bands_of(true, pred):
    """Correlation per band, averaged over nodes, and their mean."""
    r = pearson(true, pred).reshape(-1, len(BANDS)).mean(axis=0)
    return {"r": r.mean(), **dict(zip(BANDS, r, strict=True)), "alpha+gamma": (r[2] + r[4]) / 2}


def true_coupling(data, x, scale, log_drive=False):
    """Oracle's weights on log power, responses and noise of the first recording."""
    truth = data.truth
    drive = np.log(truth.source_power[0]) if log_drive else truth.source_power[0]
    step = round(T_R / (truth.power_times[1] - truth.power_times[0]))
    drive = drive[..., truth.power_times > 0][..., : x.shape[-1] * step].astype(float)
    drive = (drive - drive.mean(-1, keepdims=True)) / drive.std(-1, keepdims=True)
    drive = drive.reshape(*drive.shape[:2], -1, step).mean(-1)
    # Slope of the true drive on measured log power, per band: what of it the bands can tell.
    slope = (drive * x).mean(axis=(0, 2)) / (x**2).mean(axis=(0, 2))
    weights = truth.spatial_map[:, :, None] * truth.band_weights * slope
    fine = (np.arange(15)[:, None] + (np.arange(20) + 0.5) / 20) * T_R
    kernels = double_gamma(fine.ravel(), truth.hrf_params.to_numpy()).reshape(-1, 15, 20)
    noise = (data.bolds[0] - truth.clean_bolds[0]).var(axis=0) / scale**2
    # What the measured bands do not tell of the drive acts as noise as well.
    weights = weights.reshape(len(weights), -1) / scale[:, None]
    full = (truth.spatial_map[:, :, None] * truth.band_weights).reshape(len(weights), -1)
    lost = 1 - np.tile(slope**2 * (x**2).mean(axis=(0, 2)) / (drive**2).mean(axis=(0, 2)), len(x))
    gain = (kernels.mean(-1) * T_R) ** 2
    extra = ((full / scale[:, None]) ** 2 * lost * (drive**2).mean()).sum(1) * gain.sum(1)
    return weights, kernels.mean(-1) * T_R, noise + extra


def person(options, seed):
    """One recording, its training part first."""
    return simulate_paired(
        1, TRAIN + GAP + TEST, t_r=T_R, n_sources=16, n_targets=32, snr=4.0, level="source",
        random_state=seed, **options,
    )  # fmt: skip


def by_oracle(data, options, log_power, n_train, after):
    """What Bayes makes of test BOLD that knows coupling, responses and noise."""
    log_drive = options.get("drive") == "log"
    scale = data.bolds[0].std(axis=0)
    weights, kernels, noise = true_coupling(data, log_power, scale, log_drive)
    networks = np.asarray(data.source_networks)
    return oracle(weights, kernels, log_power[..., :n_train], networks, noise, 0.6, after)


def log_power_of(back, data):
    """Log band power (n_nodes, n_bands, n_frames) of the whole recording, as a fit measures it."""
    (power,) = back.target_from(data.raws)
    return power[..., : len(data.bolds[0])]


def ceiling(step, seed):
    """Row of the oracle alone."""
    data = person(STEPS[step], seed)
    core = InverseTranslator(t_r=T_R, model="core", random_state=0).fit(data.bolds, data.raws)
    log_power = log_power_of(core, data)
    later = slice(round((TRAIN + GAP) / T_R), None)
    after = detrend(data.bolds[0][later], T_R, "cosine")
    after = after / after.std(axis=0)
    pred = by_oracle(data, STEPS[step], log_power, round(TRAIN / T_R), after)
    true = flat(log_power[None, ..., later])
    full = np.isfinite(true).all(axis=1)
    full[len(full) - N_AFTER :] = False
    return [{"world": step, "seed": seed, **bands_of(true[full], pred[full])}]


def by_rate(world, seed):
    """Rows of correlations of changes of band power, slow and fast ones apart."""
    data = person(WORLDS[world], seed)
    bold, cut = data.bolds[0], round(TRAIN / T_R)
    later = slice(round((TRAIN + GAP) / T_R), None)
    raw = data.raws[0].copy().crop(0, TRAIN, include_tmax=False)
    back = InverseTranslator(t_r=T_R, random_state=0)
    back.fit([bold[:cut]], [raw])
    power = log_power_of(back, data)
    true = flat(power[None, ..., later])
    pred = flat(back.predict([bold[later]])[0][None])
    full = np.isfinite(true).all(axis=1)
    full[len(full) - N_AFTER :] = False
    true, pred = true[full], pred[full]
    rate = np.fft.rfftfreq(len(true), T_R)
    rows = []
    for low, high in itertools.pairwise(RATES):
        inside = ((rate > low) & (rate <= high))[:, None]
        parts = [
            np.fft.irfft(np.fft.rfft(x, axis=0) * inside, len(x), axis=0) for x in (true, pred)
        ]
        rows.append(
            {"world": world, "seed": seed, "Hz": f"{low:g} to {high:g}", **bands_of(*parts)}
        )
        rows[-1]["share of power"] = float((parts[0] ** 2).sum() / (true**2).sum())
    return rows


def run(world, seed):
    """Rows of one seed."""
    data = person(WORLDS[world], seed)
    epochs, y = make_windows(data.raws[0], data.bolds[0], t_r=T_R, window=WINDOW)
    onset = epochs.metadata["onset"].to_numpy()
    train = np.flatnonzero(onset + WINDOW <= TRAIN)
    test = np.flatnonzero(onset >= TRAIN + GAP)
    start = time.perf_counter()
    back = InverseTranslator(t_r=T_R, random_state=0)
    back.fit(y[train], epochs[train])
    seconds = time.perf_counter() - start
    full = np.tile(np.arange(y.shape[1]) < y.shape[1] - N_AFTER, len(test))
    true = flat(back.target_from(epochs[test]))[full]

    rows = []

    def add(model, pred, **more):
        row = {"world": world, "model": model, "seed": seed, **bands_of(true, pred[full])}
        rows.append(row | more)

    pred = back.predict(y[test])
    add("SambaTranslator", flat(pred), fit_s=seconds, kept=back.corrections_kept_)
    shifts = [flat(back.predict(np.roll(y[test], s, axis=0))) for s in range(3, len(test) - 2)]
    shifted = np.mean([pearson(true, s[full]).mean() for s in shifts])
    rows.append({"world": world, "model": "shifted BOLD", "seed": seed, "r": shifted})
    # Baselines see whole recordings: no window cuts their filters.
    power = np.concatenate(list(back.target_from(epochs[train])), axis=-1)
    first = epochs.metadata["frame"].to_numpy()
    whole = data.bolds[0]
    span = np.arange(first[train[0]], first[train[-1]] + y.shape[1])
    later = np.arange(first[test[0]], first[test[-1]] + y.shape[1])
    bold, after = (detrend(whole[rows], T_R, "cosine") for rows in (span, later))
    scale = bold.std(axis=0)
    bold, after = bold / scale, after / after.std(axis=0)
    x = power.reshape(-1, power.shape[-1]).T
    groups = np.tile(np.arange(len(BANDS)), len(power))
    add("ridge, deconvolved", deconvolution_ridge(bold, x, groups, after, T_R))
    add("ridge, FIR", lagged_ridge(bold, x, groups, after))
    add("oracle", by_oracle(data, WORLDS[world], log_power_of(back, data), len(span), after))
    if seed == SEEDS[0]:
        # Once: the directions of "both" are fitted apart, so that neither can cost the other.
        both = LatentTranslator(
            SambaTranslator(t_r=T_R, random_state=0), InverseTranslator(t_r=T_R, random_state=0)
        )
        both.fit(epochs[train], y[train])
        add("both, back", flat(both.translate(y[test], to="ele")))
        there = SambaTranslator(t_r=T_R, random_state=0).fit(epochs[train], y[train])
        for name, model in (("there alone", there), ("both, there", both)):
            r = pearson(y[test].reshape(-1, 32), model.predict(epochs[test]).reshape(-1, 32))
            rows.append({"world": world, "model": name, "seed": seed, "r": r.mean()})
        signals = [waveforms(epochs[part], y.shape[1], T_R) for part in (train, test)]
        head = fit_head(back.predict(y[train]), signals[0], seed)
        r = correlation(head, pred, signals[1])
        rows.append({"world": world, "model": "waveform", "seed": seed, "r": r})
    return rows


def main() -> None:
    """Run, print, write."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds")
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    name = "reverse_quick" if args.quick else "reverse"
    rows, steps, rates = [], [], []
    seeds = SEEDS[: 1 if args.quick else args.seeds]
    for seed in seeds:
        for world in WORLDS:
            rows += cached(args.out / f"{name}.jsonl", run, world, seed)
            print(to_markdown(pd.DataFrame(rows[-9:])), flush=True)
        for step in STEPS:
            steps += cached(args.out / f"{name}.jsonl", ceiling, step, seed)
        for world in ("simulator", "clean bands, networks, log drive"):
            rates += cached(args.out / f"{name}.jsonl", by_rate, world, seed)
    table, limits, rates = (pd.DataFrame(part) for part in (rows, steps, rates))
    table.to_csv(args.out / f"{name}.csv", index=False)
    limits.to_csv(args.out / f"{name}_oracle.csv", index=False)
    rates.to_csv(args.out / f"{name}_rates.csv", index=False)
    numbers = ["r", "alpha+gamma", *BANDS, "fit_s"]
    summary = table.groupby(["world", "model"], sort=False)[numbers].mean().reset_index()
    best = summary[summary["model"] == "oracle"].set_index("world")["r"]
    backwards = ~summary["model"].isin(["there alone", "both, there", "both, back", "waveform"])
    share = summary["r"] / summary["world"].map(best)
    summary.insert(3, "of_oracle", share.where(backwards))
    limits = limits.groupby("world", sort=False)[numbers[:-1]].mean().reset_index()
    rates = rates.drop(columns="seed").groupby(["world", "Hz"], sort=False).mean().reset_index()
    print(to_markdown(summary), to_markdown(limits), to_markdown(rates), sep="\n\n")
    count = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    write_section(
        name,
        f"BOLD to band power ({count})",
        "SIMULATED. `python benchmarks/reverse.py" + (" --quick" if args.quick else "") + "`: "
        "correlation over time with held-out log band power (2 s bins), mean over nodes; 'there' "
        "rows with measured BOLD; 'both' and the waveform in the first seed alone. 16 nodes, 32 "
        "targets, 30 min, SNR 4. The waveform is what wavelet coefficients make that are learnt "
        "from predicted band power: BOLD does not carry it.\n\n"
        + to_markdown(summary)
        + "\n\nWhat an oracle, which knows coupling, responses "
        "and noise, makes of BOLD as one thing after the other is changed:\n\n"
        + to_markdown(limits)
        + "\n\nSlow and fast changes of log band power apart (whole recordings):\n\n"
        + to_markdown(rates),
    )


if __name__ == "__main__":
    main()
