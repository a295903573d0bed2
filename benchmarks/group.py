"""Are group statistics calibrated, and what do they detect?

Simulated studies: correlations of people with 64 targets on a grid, without an effect (false
positives: share of studies in which anything passes) and with one (power). Beside sign flips:
plain t tests without correction, with Bonferroni's and with the false discovery rate. Then models
that were trained on each other's people, and whole evaluations of people without coupling.

Run ``python benchmarks/group.py``, 10 minutes of one core (or with ``--quick``, or ``--only flips
shared people``; ``--only`` alone writes the tables that are there).
"""

import time

import numpy as np
import pandas as pd
from _common import one_thread, parser, to_markdown, write_section
from scipy import ndimage, sparse, stats
from sklearn.model_selection import KFold

from mne_samba import Reader, SambaTranslator
from mne_samba.baselines import BandPowerRidge
from mne_samba.evaluation import evaluate, group_test
from mne_samba.evaluation.adjacency import edges_of
from mne_samba.evaluation.group import _Test
from mne_samba.evaluation.nulls import fdr
from mne_samba.models import CoreModel
from mne_samba.wavelets import Precomputed

SIDE = 8
N_FLIPS = 199
JUDGED = "in .035 to .065"
SPREAD = 0.08  # of correlations over people
line = sparse.diags_array([np.ones(SIDE - 1)] * 2, offsets=[-1, 1])
GRID = sparse.csr_array(sparse.kron(line, np.eye(SIDE)) + sparse.kron(np.eye(SIDE), line))
EDGES = edges_of(GRID, SIDE * SIDE)
PATCH = np.zeros((SIDE, SIDE), bool)
PATCH[2:5, 2:5] = True


CASES = [
    *((kind, n, "greater", 0.0) for kind in ("independent", "correlated") for n in (8, 12, 20)),
    ("correlated", 20, "two-sided", 0.0),
    *(
        (kind, 20, "greater", 0.0)
        for kind in (
            "people differ in spread", "heavy tails", "a tenth missing", "skewed to the right",
            "skewed to the left",
        )
    ),
    *((kind, n, "greater", 0.06) for kind in ("independent", "correlated") for n in (8, 12, 20)),
]  # fmt: skip


def noise(rng, n_people, kind):
    """Correlations of people without an effect, (n_people, n_targets), of unit spread."""
    shape = (n_people, SIDE, SIDE)
    if kind.startswith("skewed"):
        drawn = (rng.gamma(4.0, size=shape) - 4.0) / 2.0
        drawn = -drawn if kind.endswith("left") else drawn
    elif kind == "heavy tails":
        drawn = rng.standard_t(4, size=shape) / np.sqrt(2)
    else:
        drawn = rng.standard_normal(shape)
    if kind in ("correlated", "people differ in spread"):
        drawn = ndimage.gaussian_filter(drawn, (0, 1.2, 1.2), mode="wrap")
        drawn += 0.5 * drawn.std() * rng.standard_normal((n_people, 1, 1))
        drawn /= drawn.std()
    if kind == "people differ in spread":
        drawn *= rng.choice([0.5, 1.5], (n_people, 1, 1))
    drawn = drawn.reshape(n_people, -1)
    if kind == "a tenth missing":
        drawn[rng.random(drawn.shape) < 0.1] = np.nan
    return drawn


def tests(r, alternative, rng):
    """P values (n_targets,) by test."""
    z = np.arctanh(r)
    # What group_test calls, without its table of people.
    test = _Test(alternative == "two-sided", False, N_FLIPS, int(rng.integers(2**31)))
    p, _ = test.of_targets(z, range(z.shape[1]), EDGES, 0.01)
    enhanced, _ = test.of_targets(z, p.index, EDGES, "tfce")
    plain = stats.ttest_1samp(z, 0, nan_policy="omit", alternative=alternative).pvalue
    return {
        "mean over targets": np.array([test.of_mean(z)["p"]]),
        "maximum t": p["p_max"].to_numpy(),
        "clusters": p["p_cluster"].to_numpy(),
        "TFCE": enhanced["p_tfce"].to_numpy(),
        "t, uncorrected": plain,
        "t, Bonferroni": np.minimum(plain * len(plain), 1),
        "t, FDR": fdr(plain),
    }


def flips(n_studies):
    """Studies of independent people: rates by case and test."""
    rows = []
    for seed, case in enumerate(CASES):
        # The first six are what is promised; the others show its limits, and the power.
        share = 1.0 if seed < 6 else 0.1
        rows += flips_of(case, round(share * n_studies), seed)
    return pd.DataFrame(rows)


def flips_of(case, n_studies, seed):
    """Rows of one case: kind of null, people, alternative, effect."""
    kind, n_people, alternative, effect = case
    start, rng, rows = time.process_time(), np.random.default_rng(seed), []
    any_, share = {}, {}
    for _ in range(n_studies):
        r = np.tanh(SPREAD * noise(rng, n_people, kind) + effect * PATCH.ravel())
        for test, p in tests(r, alternative, rng).items():
            passed = p <= 0.05
            any_.setdefault(test, []).append(passed.any())
            planted = passed[PATCH.ravel()].mean() if len(passed) > 1 else np.nan
            share.setdefault(test, []).append(planted)
    for test, found in any_.items():
        rows.append({
            "null": kind, "people": n_people, "alternative": alternative,
            "quantity": "power" if effect else "false positives", "test": test,
            "rate": np.mean(found), "standard_error": np.std(found) / np.sqrt(len(found)),
            "planted targets found": np.mean(share[test]) if effect else np.nan,
            "studies": len(found),
        })  # fmt: skip
    print(pd.DataFrame(rows).to_string(), f"{time.process_time() - start:.0f} s", flush=True)
    return rows


def shared(n_studies):
    """Leave one person out with linear models, nothing to find: rates by allowance."""
    rows = []
    for seed, (n_people, n_features) in enumerate([(8, 20), (20, 20), (20, 100)]):
        rng, passed = np.random.default_rng(100 + seed), []
        for study in range(n_studies):
            # Products of every person's features and targets are their model, and their test.
            own = rng.standard_normal((n_people, 12, n_features))
            others = own.sum(axis=0) - own
            size = np.linalg.norm(others, axis=-1) * np.sqrt(n_features)
            r = np.tanh(0.3 * (own * others).sum(axis=-1) / size)
            passed.append([
                [group.mean_["p"] <= 0.05, (group.targets_["p_max"] <= 0.05).any()]
                for allowed in (True, False)
                for group in [group_test(r, shared_training=allowed, n_flips=N_FLIPS,
                                         random_state=study)]
            ])  # fmt: skip
        rates = np.mean(passed, axis=0)
        for allowed, row in zip((True, False), rates, strict=True):
            for test, rate in zip(("mean over targets", "maximum t"), row, strict=True):
                rows.append({
                    "people": n_people, "features": n_features, "test": test, "rate": rate,
                    "shared training allowed for": allowed, "studies": n_studies,
                    "standard_error": np.sqrt(rate * (1 - rate) / n_studies),
                })  # fmt: skip
        print(pd.DataFrame(rows[-4:]).to_string(), flush=True)
    return pd.DataFrame(rows)


def uncoupled(rng, n_frames, n_channels=3, n_targets=4):
    """Slow band power and BOLD that have nothing to do with each other."""
    power = ndimage.gaussian_filter1d(rng.standard_normal((n_channels, 2, 2 * n_frames)), 4)
    bold = ndimage.gaussian_filter1d(rng.standard_normal((n_frames, n_targets)), 1.5, axis=0)
    shared_part = ndimage.gaussian_filter1d(rng.standard_normal((n_frames, 1)), 1.5, axis=0)
    return np.exp(power), bold + 0.5 * shared_part


def people(n_studies, n_people=8, n_frames=90, n_own=160):
    """Whole evaluations of people without coupling: own models, and models of the others."""
    reader, bands, who = Reader(sfreq=1.0), Precomputed("linear"), np.arange(n_people).astype(str)
    core = CoreModel(bands=bands, target_bands=False, unmix=None)
    models = {
        "ridge": BandPowerRidge(t_r=2.0, bands=bands, reader=reader),
        "core": SambaTranslator(t_r=2.0, model=core, reader=reader, random_state=0),
    }
    options = {"baselines": (), "nulls": ("circular_shift",), "n_shifts": 99,
               "metrics": ("pearson",), "verbose": "ERROR"}  # fmt: skip
    rows = []
    for name, model in models.items():
        found = {}
        for seed in range(n_studies):
            rng = np.random.default_rng(2000 + seed)
            X, y = zip(*(uncoupled(rng, n_frames) for _ in range(n_people)), strict=True)
            left_out = evaluate(model, list(X), list(y), list(who), **options)
            rng = np.random.default_rng(3000 + seed)
            own = []
            for person in who:
                x, bold = uncoupled(rng, n_own)
                halves = np.split(x, 2, axis=-1), np.split(bold, 2)
                own.append(evaluate(model, *halves, [person] * 2, cv=KFold(2), **options))
            for case, given, allowed in (
                ("people left out", left_out, True),
                ("people left out, no allowance", left_out, False), ("own models", own, False),
            ):  # fmt: skip
                group = group_test(given, n_flips=N_FLIPS, shared_training=allowed)
                found.setdefault((case, "mean over targets"), []).append(group.mean_["p"] <= 0.05)
                passed = (group.targets_["p_max"] <= 0.05).any()
                found.setdefault((case, "maximum t"), []).append(passed)
                single = (group.people_["p"] <= 0.05).mean()
                found.setdefault((case, "single people, own shifts"), []).append(single)
            print(name, seed, {key: np.mean(rate) for key, rate in found.items()}, flush=True)
        rows += [
            {
                "model": name, "case": case, "test": test, "rate": np.mean(rate),
                "standard_error": np.std(rate) / np.sqrt(n_studies), "studies": n_studies,
            }
            for (case, test), rate in found.items()
        ]  # fmt: skip
    return pd.DataFrame(rows)


PARTS = {
    # name: (function, studies, quick studies, what the table shows)
    "flips": (
        flips, 1000, 50,
        f"Independent people, {SIDE * SIDE} targets on a grid, spread of r {SPREAD:g}. Rate: share "
        "of studies in which anything passes at .05 (1,000 studies of the first six cases, which "
        "are judged, 100 of others); power: nine neighbours with r = .06.",
    ),
    "shared": (
        shared, 1000, 50,
        "Leave one person out with linear models, 12 targets, nothing to find: chance agreement of "
        "two people counts in both of their scores.",
    ),
    "people": (
        people, 24, 2,
        "Whole evaluations, 8 people without coupling, 3 channels, 4 targets: models of the others "
        "(3 minutes each), or of two halves of their own 5 minutes. Few studies, as each fits 24 "
        "models: at a rate of .05 the standard error is .04, and none of 24 still allows .12, "
        "which is why no rate is judged. The allowance for people left out is the most that linear "
        "models can share, so that these pass less often where theirs share less.",
    ),
}  # fmt: skip


def main() -> None:
    """Run, print, write."""
    parse = parser(__doc__.splitlines()[0])
    parse.add_argument("--only", choices=list(PARTS), nargs="*", default=list(PARTS))
    args = parse.parse_args()
    one_thread()
    args.out.mkdir(parents=True, exist_ok=True)
    suffix, text = "_quick" if args.quick else "", []
    for name, (run, many, few, about) in PARTS.items():
        path = args.out / f"group_{name}{suffix}.csv"
        if name in args.only:
            table = run(few if args.quick else many)
            ours = table["test"].isin(["mean over targets", "maximum t", "clusters", "TFCE"])
            null = table.get("quantity", "false positives") == "false positives"
            # Of fewer studies the standard error is as wide as the band.
            judged = ours & null & (table["studies"] >= 1000)
            table[JUDGED] = np.where(
                judged, np.where(table["rate"].between(0.035, 0.065), "yes", "no"), ""
            )
            table.round(4).to_csv(path, index=False)
        if path.exists():
            text += [
                about,
                to_markdown(pd.read_csv(path, dtype={JUDGED: object}).fillna({JUDGED: ""})),
            ]
    write_section(
        f"group{suffix}",
        "Group statistics" + (" (quick)" if args.quick else ""),
        "SIMULATED. `python benchmarks/group.py"
        + (" --quick" if args.quick else "")
        + f"`: sign flips ({N_FLIPS}, all where they are fewer) of Student's t.\n\n"
        + "\n\n".join(text),
    )


if __name__ == "__main__":
    main()
