"""Which of four stimuli someone saw (SIMULATED), from latents that BOLD of other people shaped.

48 nodes; alpha and gamma of 8 of them drive BOLD through 4 latents, half of whose variance the
stimuli set; 10 nuisance latents at twice the amplitude move band power alone, half of them in the
coupled features. 12 people with 15 minutes of paired rest teach the translator; of 16 others, who
have no BOLD, 6 are labelled (each stimulus twice, windows of 40 s) and 10 tested. Chance is .25.

This design favours supervision by BOLD: what it sees is what the stimuli set. The sweep says where
that ends. All representations are decoded by the same linear discriminant with shrinkage.

Run ``python benchmarks/decoding.py --quick`` or without ``--quick`` for five seeds and the sweep.
"""

from __future__ import annotations

from _common import one_thread, parser, to_markdown, write_section
from _resume import cached

one_thread()

import mne  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from _stimulus_world import LENGTH, N_LATENTS, N_STIMULI, PAUSE, T_R, World  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # noqa: E402
from sklearn.frozen import FrozenEstimator  # noqa: E402

from mne_samba import (  # noqa: E402
    InverseTranslator,
    LatentTranslator,
    SambaClassifier,
    SambaTranslator,
    make_windows,
)
from mne_samba.hrf import convolve_frames, double_gamma, glover_params  # noqa: E402

SEEDS, SWEEP_SEEDS = range(10, 15), 3
PAIRED, LABELLED, TESTED, REPEATS, REST = 12, 6, 10, 2, 900.0
N_BLOCKS = 8
BASELINES = ("means", "courses", "spatial PCA", "alpha courses", "gamma courses")


def translator():
    return LatentTranslator(
        SambaTranslator(t_r=T_R, model="core", random_state=0),
        InverseTranslator(t_r=T_R, model="core", random_state=0),
    )


def blocks(power):
    """(n_windows, ..., n_frames) -> (n_windows, features): averages of parts of the window."""
    parts = np.array_split(power, N_BLOCKS, axis=-1)
    return np.concatenate([p.mean(-1).reshape(len(power), -1) for p in parts], axis=1)


def reduced_rank(powers, bolds):
    """Map (n_latents, n_features) of reduced-rank ridge regression on convolved band power.

    It is given the true number of latents; its penalty is validated on a quarter of the people.
    """
    lags = (np.arange(15) + 0.5) * T_R
    kernel = torch.as_tensor(double_gamma(lags, glover_params()))
    rows, targets = [], []
    for power, bold in zip(powers, bolds, strict=True):
        flat = np.nan_to_num(power.reshape(-1, power.shape[-1]))
        seen = convolve_frames(torch.as_tensor(flat), kernel, 1).numpy().T
        # Frame k + 15 follows bins k to k + 14.
        rows.append(seen[:-1])
        targets.append((bold - bold.mean(0))[15 : 15 + len(seen) - 1] / bold.std(0))
    held = slice(3 * len(rows) // 4, None)
    train = slice(0, 3 * len(rows) // 4)
    best = None
    for alpha in np.logspace(0, 6, 13):
        weights = _rank(np.concatenate(rows[train]), np.concatenate(targets[train]), alpha)
        pred = np.concatenate(rows[held]) @ weights[0] @ weights[1]
        error = ((np.concatenate(targets[held]) - pred) ** 2).mean()
        if best is None or error < best[0]:
            best = error, alpha
    return _rank(np.concatenate(rows), np.concatenate(targets), best[1])[0].T


def _rank(x, y, alpha):
    full = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ y)
    directions = np.linalg.svd(x @ full, full_matrices=False)[2][:N_LATENTS]
    return full @ directions.T, directions


def people(world, variance):
    """Windows, labels and person of those who saw the stimuli."""
    epochs, labels, who = [], [], []
    for person in range(LABELLED + TESTED):
        rng = np.random.default_rng((world.seed, person))
        order = np.concatenate([rng.permutation(N_STIMULI) for _ in range(REPEATS)])
        raw, _ = world.person((1, person), PAUSE + LENGTH * len(order) + 10, order, variance)
        frames = np.zeros((int((PAUSE + LENGTH * len(order)) / T_R), 1))
        windows, _ = make_windows(
            raw,
            frames + np.arange(len(frames))[:, None],
            t_r=T_R,
            window=LENGTH,
            subject=str(person),
        )
        onset = windows.metadata["onset"].to_numpy()
        epochs.append(windows)
        labels += [order[int((t - PAUSE) // LENGTH)] for t in onset]
        who += [person] * len(windows)
    return mne.concatenate_epochs(epochs, verbose="ERROR"), np.array(labels), np.array(who)


def run(seed, amplitude, variances):
    """Rows of one seed: one training, several strengths of the stimuli."""
    world = World.draw(seed, amplitude)
    raws, bolds = zip(*(world.person((0, i), REST) for i in range(PAIRED)), strict=True)
    raws, bolds = list(raws), list(bolds)
    model = translator().fit(raws, bolds)
    shifted = translator().fit(raws, [np.roll(b, len(b) // 2, axis=0) for b in bolds])
    rest = [
        power[..., : len(bold)]
        for power, bold in zip(model.inverse_.target_from(raws), bolds, strict=True)
    ]
    n_latents = len(model.get_feature_names_out()) // 2
    ranked = reduced_rank(rest, bolds)
    flat_rest = np.concatenate([r.reshape(-1, r.shape[-1]) for r in rest], axis=1)
    pca = PCA(16).fit(flat_rest.T[np.isfinite(flat_rest).all(axis=0)])
    rows = []
    for variance in variances:
        epochs, labels, who = people(world, variance)
        train, test = np.flatnonzero(who < LABELLED), np.flatnonzero(who >= LABELLED)
        power = np.nan_to_num(model.inverse_.target_from(epochs))
        flat = power.reshape(len(power), -1, power.shape[-1])
        features = {
            "means": power.mean(-1).reshape(len(power), -1),
            "courses": blocks(power),
            "spatial PCA": blocks(np.einsum("cp,npt->nct", pca.components_, flat)),
            "alpha courses": blocks(power[:, :, 2]),
            "gamma courses": blocks(power[:, :, 4]),
            "reduced-rank regression": blocks(np.einsum("cp,npt->nct", ranked, flat)),
        }
        scores = {}
        for name, rows_of in features.items():
            decoder = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
            scores[name] = decoder.fit(rows_of[train], labels[train]).score(
                rows_of[test], labels[test]
            )
        scores["best band power"] = max(scores[name] for name in BASELINES)
        for name, fitted in (("latents", model), ("latents, shifted BOLD", shifted)):
            decoder = SambaClassifier(FrozenEstimator(fitted), modality="ele", n_blocks=N_BLOCKS)
            decoder.fit(epochs[train], labels[train])
            scores[name] = decoder.score(epochs[test], labels[test])
        for name, accuracy in scores.items():
            rows.append(
                {"seed": seed, "nuisance": amplitude, "stimulus variance": variance}
                | {"representation": name, "accuracy": accuracy}
                | {"n_latents": n_latents if name == "latents" else np.nan}
            )
    return rows


def main() -> None:
    """Run, print, write."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds")
    options.add_argument("--nuisance", type=float, nargs="+", default=(2.0, 0.5))
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    seeds = SEEDS[: 1 if args.quick else args.seeds]
    amplitudes = (2.0,) if args.quick else args.nuisance
    variances = (0.5, 0.0) if args.quick else (0.5, 0.25, 0.0)
    name = "decoding_quick" if args.quick else "decoding"
    rows = []
    for amplitude in amplitudes:
        for seed in seeds if amplitude == amplitudes[0] else seeds[:SWEEP_SEEDS]:
            rows += cached(args.out / f"{name}.jsonl", run, seed, amplitude, variances)
            print(
                seed, amplitude, pd.DataFrame(rows[-9 * len(variances) :]).to_string(), flush=True
            )
    table = pd.DataFrame(rows)
    table.to_csv(args.out / f"{name}.csv", index=False)
    summary = table.pivot_table(
        index="representation", columns=["nuisance", "stimulus variance"], values="accuracy",
        sort=False,
    )  # fmt: skip
    summary.columns = [f"nuisance {a:g}, variance {v:g}" for a, v in summary.columns]
    summary = summary.reset_index()
    print(to_markdown(summary))
    count = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    if len(seeds) > SWEEP_SEEDS:
        count += f", partial: {SWEEP_SEEDS} for other amplitudes"
    write_section(
        name,
        f"Stimuli from latents ({count})",
        "SIMULATED. `python benchmarks/decoding.py" + (" --quick" if args.quick else "") + "`: "
        "accuracy in unseen people (chance .25) by amplitude of the nuisance and by share of the "
        "latents' variance that stimuli set; other amplitudes than the first on "
        f"{min(len(seeds), SWEEP_SEEDS)} of the seeds. The design favours supervision by BOLD: "
        "what BOLD sees is what the stimuli set.\n\n" + to_markdown(summary),
    )


if __name__ == "__main__":
    main()
