"""Mutation testing of responses, wavelets and windows: do the tests notice a changed line?

    make mutation                                 or, with mutmut installed,
    python benchmarks/mutation.py --quick --show  a smaller sample, and what was not noticed

mutmut changes one expression at a time (an operator, a number, an argument, a text) in a copy of
the package and runs the tests that reach it. Of every group of modules a seeded sample is drawn.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import _common
import pandas as pd

ROOT = _common.HERE.parent
GROUPS = {
    "responses": ("hrf/convolution.py", "hrf/gamma.py", "nn/hrf.py"),
    "wavelets": ("nn/wavelet.py", "wavelets/morlet.py", "wavelets/power.py"),
    "windows": ("data/frame_times.py", "data/triggers.py", "windows.py"),
}
# Seconds of tests that meet these modules; the rest of the suite would find more, more slowly.
TESTS = (
    "hrf",
    "nn/test_hrf.py",
    "nn/test_wavelet.py",
    "test_trigger_messages.py",
    "test_triggers.py",
    "test_window_messages.py",
    "test_windows.py",
    "wavelets",
)
# A test that never ends or a process that dies has noticed, too.
NOTICED = ("killed", "timeout", "segfault")


def prepare(folder: Path) -> None:
    """Copy package and tests, and tell mutmut what to change and what to run."""
    for name in ("mne_samba", "tests"):
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", folder)
    files = [f"mne_samba/{path}" for paths in GROUPS.values() for path in paths]
    settings = {
        "source_paths": ["mne_samba"],
        "only_mutate": files,
        "also_copy": ["README.md"],
        "pytest_add_cli_args": ["-q", "-p", "no:cacheprovider"],
        "pytest_add_cli_args_test_selection": [f"tests/{path}" for path in TESTS],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(text + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n")


def mutmut(folder: Path, *arguments: str) -> str:
    """Run mutmut in the copy and return what it prints."""
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    shared = {
        "MNE_SAMBA_SHARED": os.environ.get("MNE_SAMBA_SHARED", str(ROOT.parent / "shared/data"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments], cwd=folder, text=True, check=False,
        env={**os.environ, **threads, **shared}, capture_output=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(
            f"mutmut {arguments[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
    return done.stdout


def statuses(folder: Path) -> dict[str, str]:
    """Status of every mutant by its name."""
    lines = mutmut(folder, "results", "--all", "true").splitlines()
    pairs = [line.strip().rsplit(": ", 1) for line in lines if "__mutmut_" in line]
    return {name: status for name, status in pairs}


def module_of(mutant: str) -> str:
    """Path of a mutant's module inside the package."""
    return mutant.split(".x")[0].removeprefix("mne_samba.").replace(".", "/") + ".py"


def main() -> None:
    parser = _common.parser(__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample")
    parser.add_argument(
        "--work", type=Path, default=_common.HERE / "_cache/mutation", help="folder to work in"
    )
    parser.add_argument("--show", action="store_true", help="print what was not noticed")
    args = parser.parse_args()
    size = 40 if args.quick else 100
    args.work.mkdir(parents=True, exist_ok=True)
    prepare(args.work)
    start = time.perf_counter()
    # The first run makes all mutants and learns which test reaches which function.
    mutmut(args.work, "run", "--max-children", "1", "*x_double_gamma__mutmut_1")
    every = statuses(args.work)
    rows, drawn = [], {}
    for group, modules in GROUPS.items():
        names = sorted(name for name in every if module_of(name) in modules)
        drawn[group] = sorted(random.Random(args.seed).sample(names, min(size, len(names))))
        rows.append({"modules": group, "mutants": len(names), "drawn": len(drawn[group])})
    mutmut(args.work, "run", "--max-children", "1", *itertools.chain(*drawn.values()))
    every = statuses(args.work)
    survived = []
    for row in rows:
        found = [every[name] for name in drawn[row["modules"]]]
        row["noticed"] = sum(status in NOTICED for status in found)
        row["share"] = row["noticed"] / row["drawn"]
        survived += [n for n in drawn[row["modules"]] if every[n] not in NOTICED]
    table = pd.DataFrame(rows)
    total = table["noticed"].sum() / table["drawn"].sum()
    print(table.to_string(index=False), f"\nall: {total:.3f}, {time.perf_counter() - start:.0f} s")
    if args.show:
        for name in survived:
            print(mutmut(args.work, "show", name))
    if args.quick:
        return
    args.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out / "mutation.csv", index=False)
    files = "; ".join(f"{group}: {', '.join(paths)}" for group, paths in GROUPS.items())
    _common.write_section(
        "mutation", "Mutation testing",
        f"One expression changed at a time; noticed by a failing test or not. A seeded sample "
        f"(seed {args.seed}) of all mutants of {files}. Tests: {', '.join(TESTS)}. Overall "
        f"{total:.1%} are noticed. Mutants that change nothing that can be seen "
        f"count as not noticed.\n\n{_common.to_markdown(table)}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
