"""Is the circular-shift null calibrated, and what does it detect?

Prediction and target are independent autocorrelated series; the null of ``evaluate`` should call
5 % of them significant, also with slow drift in both. Beside it: the same without removing drift,
without counting neighbouring shifts as one, and a plain permutation of frames. Then a planted
correlation tells the power.

Run ``python benchmarks/null_calibration.py`` (or with ``--quick``). No model is fitted.
"""

import time

import numpy as np
import pandas as pd
from _common import parser, to_markdown, write_section
from scipy.signal import lfilter

from mne_samba._scoring import remove_drift, scoring_drift
from mne_samba.evaluation import circular_shift_null, cluster_size, draw_shifts, p_value
from mne_samba.metrics import spearman

T_R = 2.0
MINUTES = 15
MIN_SHIFT = 30.0
N_TARGETS = 10


def bold_like(rng, n_frames, n_series, coefficients=(0.6, 0.2)):
    """AR(2) series of unit variance; autocorrelation .75 at one TR, as in resting BOLD."""
    noise = rng.standard_normal((n_frames + 200, n_series))
    series = lfilter([1.0], [1.0, *(-c for c in coefficients)], noise, axis=0)[200:]
    return series / series.std(axis=0)


def drifts(rng, n_frames, n_series, kind):
    """Slow drift with twice the series' standard deviation and a random sign."""
    time_ = np.linspace(-1, 1, n_frames)[:, np.newaxis]
    if kind == "none":
        return np.zeros((n_frames, n_series))
    shape = time_ if kind == "linear" else time_**3 - 0.6 * time_
    return 2.0 * rng.choice([-1.0, 1.0], n_series) * shape / shape.std()


def planted(rng, n_frames, n_series, correlation):
    """Two series that share an autocorrelated part, with this correlation on average."""
    shared = bold_like(rng, n_frames, n_series)
    first, second = (bold_like(rng, n_frames, n_series) for _ in range(2))
    share, rest = np.sqrt(correlation), np.sqrt(1 - correlation)
    return share * shared + rest * first, share * shared + rest * second


def p_values(y, pred, method, n_shifts, rng, null="circular"):
    """P values (n_series,), and the smallest that there could be."""
    y, pred = (remove_drift(series, T_R, method) for series in (y, pred))
    if null == "permuted":
        draws = np.asarray([spearman(y[rng.permutation(len(y))], pred) for _ in range(n_shifts)])
        return p_value(spearman(y, pred), draws), 1 / (1 + n_shifts)
    shifts = draw_shifts(len(y), n_shifts, int(np.ceil(MIN_SHIFT / T_R)), rng)
    removed = scoring_drift(len(y), T_R, method)
    draws = circular_shift_null(y, pred, shifts, removed=removed)
    cluster = cluster_size(draws) if null == "circular" else 1.0
    return p_value(spearman(y, pred), draws, cluster), p_value(np.inf, draws, cluster)


CASES = (
    # name, drift, detrend, null, planted correlation, minutes
    ("no drift", "none", "cosine", "circular", 0.0, MINUTES),
    ("linear drift in both", "linear", "cosine", "circular", 0.0, MINUTES),
    ("cubic drift in both", "cubic", "cosine", "circular", 0.0, MINUTES),
    ("no drift, neighbours not joined", "none", "cosine", "circular, c=1", 0.0, MINUTES),
    ("linear drift, not removed", "linear", None, "circular", 0.0, MINUTES),
    ("cubic drift, not removed", "cubic", None, "circular", 0.0, MINUTES),
    ("no drift, frames permuted", "none", "cosine", "permuted", 0.0, MINUTES),
    ("planted r = 0.2", "none", "cosine", "circular", 0.2, MINUTES),
    ("planted r = 0.2, linear drift", "linear", "cosine", "circular", 0.2, MINUTES),
    ("planted r = 0.2, cubic drift", "cubic", "cosine", "circular", 0.2, MINUTES),
    *((f"no drift, {m} min", "none", "cosine", "circular", 0.0, m) for m in (3, 5, 10)),
    *((f"linear drift, {m} min", "linear", "cosine", "circular", 0.0, m) for m in (3, 5, 10)),
    *((f"planted r = 0.3, {m} min", "none", "cosine", "circular", 0.3, m) for m in (3, 5, 10)),
)


def run_case(drift, method, null, correlation, minutes, n_runs, n_shifts, seed):
    rng = np.random.default_rng(seed)
    n_frames = round(minutes * 60 / T_R)
    p, floors = [], []
    # Permuting ranks anew for each draw is slow, and 5 times the nominal rate shows early.
    for _ in range(n_runs if null != "permuted" else min(n_runs, 30)):
        if correlation:
            y, pred = planted(rng, n_frames, N_TARGETS, correlation)
        else:
            y, pred = (bold_like(rng, n_frames, N_TARGETS) for _ in range(2))
        y = y + drifts(rng, n_frames, N_TARGETS, drift)
        pred = pred + drifts(rng, n_frames, N_TARGETS, drift)
        value, floor = p_values(y, pred, method, n_shifts, rng, null)
        p.append(value)
        floors.append(np.broadcast_to(floor, value.shape))
    return np.array(p), np.array(floors)


def goal_of(row: dict) -> dict:
    """Say whether the null of ``evaluate`` calls about 5 % of unrelated series significant."""
    ours = row["detrend"] == "cosine" and row["null"] == "circular"
    if row["quantity"] == "power" or not ours:
        return {"goal": "", "met": ""}
    fine = 0.035 <= row["rate_at_0.05"] <= 0.065 and not row["below_floor"]
    return {"goal": "0.035 to 0.065", "met": "yes" if fine else "no"}


def main() -> None:
    """Run, print, write."""
    args = parser(__doc__.splitlines()[0]).parse_args()
    n_runs, n_shifts = (100 if args.quick else 1000), 199
    rows = []
    for seed, (name, drift, method, null, correlation, minutes) in enumerate(CASES):
        start = time.perf_counter()
        p, floors = run_case(drift, method, null, correlation, minutes, n_runs, n_shifts, seed)
        significant = (p <= 0.05).mean(axis=1)  # targets of a run share the shifts
        rows.append(
            {
                "case": name,
                "detrend": str(method),
                "null": null,
                "minutes": minutes,
                "quantity": "power" if correlation else "false positives",
                "rate_at_0.05": significant.mean(),
                "floor_of_p": np.median(floors),
                "below_floor": int((p < floors - 1e-12).sum()),
                "standard_error": significant.std() / np.sqrt(len(p)),
                "n_runs": len(p),
                "n_series": p.size,
                "seconds": time.perf_counter() - start,
            }
        )
        rows[-1] |= goal_of(rows[-1])
        print(f"{name:32s} {rows[-1]['quantity']:16s} {significant.mean():.4f}", flush=True)
    table = pd.DataFrame(rows)
    args.out.mkdir(parents=True, exist_ok=True)
    name = "null_calibration" + ("_quick" if args.quick else "")
    table.round(5).to_csv(args.out / f"{name}.csv", index=False)
    write_section(
        name,
        "Calibration of the circular-shift null" + (" (quick)" if args.quick else ""),
        "SIMULATED. `python benchmarks/null_calibration.py"
        + (" --quick" if args.quick else "")
        + f"`: share of independent series (false positives) or of series with a planted "
        f"correlation (power) with p <= .05 over {n_shifts} different shifts, or all there are; TR "
        f"{T_R:g} s, {N_TARGETS} series a run.\n\n" + to_markdown(table),
    )


if __name__ == "__main__":
    main()
