"""Speed and scale: every fast stage beside a competent alternative, one thread, medians.

Run ``python benchmarks/speed.py --quick`` (a few minutes) or without ``--quick``; ``--only`` names
parts; ``--device cuda`` adds steps on an accelerator.
"""

from __future__ import annotations

import platform
import warnings

from _common import one_thread, parser, to_markdown, write_section

one_thread()

import pandas as pd  # noqa: E402
import torch  # noqa: E402
from _speed_everyday import everyday  # noqa: E402
from _speed_fit import fit_growth, long_recording, whole_fit  # noqa: E402
from _speed_scale import dask_workers, many_targets, two_workers, whole_fits  # noqa: E402
from _speed_stages import STAGES  # noqa: E402
from _speed_steps import against_roofline, growth, paper_step  # noqa: E402
from _speed_trial import trials  # noqa: E402
from _timing import roofline  # noqa: E402

TABLES = ("stages", "roofline", "growth", "fit", "everyday", "trial", "long", "scale")
KEYS = ("stage", "against", "step", "device", "variant", "grows", "fit", "model", "long", "scale")
KEYS += ("everyday", "trial")
SCALE = {"targets": many_targets, "workers": two_workers, "whole": whole_fits, "dask": dask_workers}
PARTS = (*STAGES, "step", "roofline", "growth", "fit_growth", "fit", "everyday", "trial", "long")
PARTS += tuple(SCALE)


def run(part, quick, device, roof, fit_size=None) -> tuple[str, list[dict]]:
    """Table that a part belongs to, and its rows."""
    if part in STAGES:
        return "stages", list(STAGES[part](quick))
    if part == "step":
        return "stages", paper_step(quick, device)
    if part == "roofline":
        rows = against_roofline(quick, "cpu", roof)
        if device != "cpu":
            rows += against_roofline(quick, device, roofline(device))
        return "roofline", rows
    if part == "growth":
        return "growth", growth(quick)
    if part == "fit_growth":
        return "growth", fit_growth(quick)
    if part == "long":
        return "long", long_recording(quick)
    if part == "everyday":
        return "everyday", everyday(quick)
    if part == "trial":
        return "trial", trials(quick)
    if part in SCALE:
        return "scale", SCALE[part](quick)
    return "fit", whole_fit(quick, fit_size)


def plot_growth(rows, path) -> None:
    """Time against size, both logarithmic."""
    import json

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    variants = list(dict.fromkeys(row["variant"] for row in rows))
    figure, axes = plt.subplots(
        1, len(variants), figsize=(4.5 * len(variants), 4), squeeze=False, layout="constrained"
    )
    axes = axes[0]
    for axis, variant in zip(axes, variants, strict=True):
        for row in (r for r in rows if r["variant"] == variant):
            sizes, times = json.loads(row["sizes"]), json.loads(row["seconds"])
            label = f"{row['grows']}: {row['exponent']:.2f}"
            axis.loglog([s / sizes[0] for s in sizes], times, "o-", label=label)
        unit = "fit" if variant == "whole fit" else "training step"
        axis.set(title=variant, xlabel="size / smallest", ylabel=f"seconds per {unit}")
        axis.legend(title="exponent")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def merged(rows, path) -> pd.DataFrame:
    """Rows of this run in place of those of earlier runs that they repeat; written to ``path``."""
    new = pd.DataFrame(rows)
    if path.exists():
        texts = {"error": str, "limit": str, "note": str}
        old = pd.read_csv(path, keep_default_na=False, na_values=["nan", ""], dtype=texts)
        keys = [column for column in KEYS if column in old]
        if len(new):
            again = set(map(tuple, new[keys].astype(str).to_numpy()))
            kept = [tuple(row) not in again for row in old[keys].astype(str).to_numpy()]
            old = old[kept]
        new = pd.concat([old, new], ignore_index=True) if len(new) else old
    if len(new):
        new.to_csv(path, index=False)
    return new


def report(tables, roof, args) -> None:
    """Write CSV, figure and the section of RESULTS.md."""
    machine = (
        f"{platform.machine()}, torch {torch.__version__}, one thread; measured in this run: "
        f"{roof['flops'] / 1e9:.0f} GFLOP/s (product), {roof['bytes'] / 1e9:.1f} GB/s (copy)."
    )
    command = "python benchmarks/speed.py" + (" --quick" if args.quick else "")
    text = [
        f"`{command}`. {machine} Medians of interleaved "
        "repeats, in processor seconds (on an accelerator, wall-clock)."
    ]
    suffix = "_quick" if args.quick else ""
    for name in TABLES:
        frame = merged(tables.get(name, []), args.out / f"speed_{name}{suffix}.csv")
        if not len(frame):
            continue
        rows = frame.to_dict("records")
        text.append(to_markdown(frame))
        if name == "roofline":
            text.append(
                "Bound: per part of the step, the larger of its operations at the rate of the "
                "matrix product and of the bytes that it must move at the rate of the copy, summed "
                "(`bound` in `benchmarks/_speed_steps.py`)."
            )
        if name == "fit":
            text.append(
                "SIMULATED: log-normal rhythms at the sources drive BOLD, SNR 1. `memory_x_input`: "
                "peak resident memory of the fit above that before it, over the recording's bytes "
                "in double precision. `held_out_r`: correlation with clean BOLD of ten later "
                "minutes, drift slower than 1/128 Hz removed from both. Goals of time are those of "
                "the default at three sizes; of others, no longer than today's way. The core is "
                "fitted after the default and finds band power in memory."
            )
        if name == "trial":
            text.append(
                "SIMULATED worlds, of which gated and fatigue are made for corrections. "
                "`worth_training`: trained in any case, corrections raise held-out correlation by "
                "so much that a fit would keep them; `missed`: of these, not trained after the "
                "trial; `in_vain`: trained and left out. `r`: with clean BOLD of fifteen later "
                "minutes, without corrections, with them in any case, and as a fit decides."
            )
        if name == "long":
            text.append(
                "`predict` on a recording that is generated as it is read, with the progress bar "
                "on; `resident_gb` is the peak of the whole process, `float64_gb` what the "
                "recording would take; `wall_seconds` hold what other work on the machine took; "
                "`seconds_less_generating` are without those of generating every sample once "
                "(goal: <= 60)."
            )
        if name == "scale":
            text.append(
                "Workers are timed by the clock: they need a machine with two idle cores. Those of "
                "dask load the package within that time, one after the other."
            )
        if name == "growth":
            plot_growth(rows, args.out / f"speed_growth{suffix}.png")
            text.append(f"![growth](results/speed_growth{suffix}.png)")
    title = "Speed" + (" (quick sizes)" if args.quick else "")
    write_section(f"speed{suffix}", title, "\n\n".join(text))


def main() -> None:
    """Run, print, write."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--device", default="cpu", help="also run steps there, for example cuda")
    options.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    options.add_argument(
        "--fit-size", nargs=3, type=int, metavar=("MINUTES", "CHANNELS", "TARGETS"),
        help="size of the whole fit",
    )  # fmt: skip
    args = options.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    args.out.mkdir(parents=True, exist_ok=True)
    roof = roofline()
    tables: dict[str, list[dict]] = {}
    for part in args.only:
        table, rows = run(part, args.quick, args.device, roof, args.fit_size)
        tables.setdefault(table, []).extend(rows)
        for row in rows:
            print(
                {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}, flush=True
            )
    report(tables, roof, args)


if __name__ == "__main__":
    main()
