"""What all benchmarks share: options, tables as CSV and Markdown."""

from __future__ import annotations

import argparse
import operator
import os
import re
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def parser(description: str) -> argparse.ArgumentParser:
    """Command line with --quick and --out."""
    out = argparse.ArgumentParser(description=description)
    out.add_argument("--quick", action="store_true", help="fewer settings and seeds")
    out.add_argument("--out", type=Path, default=RESULTS, help="folder of the CSV tables")
    return out


def one_thread() -> None:
    """Small networks on many threads spend their time waiting for each other."""
    import mne
    import torch

    torch.set_num_threads(1)
    mne.set_log_level("WARNING")


def to_markdown(table) -> str:
    """Table as Markdown, numbers to three digits, nothing where there is none."""
    if "goal" in table and "met" not in table:
        where = table.columns.get_loc("goal") + 1
        table = table.copy()
        table.insert(where, "met", [met(row) for _, row in table.iterrows()])
    rows = [list(map(str, table.columns)), ["---"] * len(table.columns)]
    for row in table.itertuples(index=False):
        rows.append([_cell(value) for value in row])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
# Columns that a goal is about, the first that a table has.
FOUND = ("ratio", "times_bound", "exponent", "resident_gb")


def met(row) -> str:
    """Say whether a row of a table meets its goal (">= 3", "< 2 GB") and its limit of error."""
    told = re.fullmatch(r"(<=|>=|<|>) *([\d.]+)( GB)?", str(row["goal"]))
    if told is None:
        return ""
    names = ("resident_gb",) if told[3] else FOUND
    found = next((row[name] for name in names if _is_number(row.get(name))), None)
    if found is None:
        return ""
    reached = COMPARE[told[1]](float(found), float(told[2]))
    if _is_number(row.get("error")) and _is_number(row.get("limit")):
        if float(row["error"]) > float(row["limit"]):
            return "no: error"
    return "yes" if reached else "no"


def _is_number(value) -> bool:
    try:
        return float(value) == float(value)
    except (TypeError, ValueError):
        return False


def _cell(value) -> str:
    if not isinstance(value, float):
        return str(value)
    if value != value:
        return ""
    return f"{value:.0f}" if value == round(value) and abs(value) >= 2 else f"{value:.3f}"


def write_section(name: str, title: str, text: str, path: Path | None = None) -> None:
    """Replace one script's section of RESULTS.md."""
    path = HERE / "RESULTS.md" if path is None else path
    old = path.read_text() if path.exists() else "# Results\n"
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    block = f"{start}\n## {title}\n\n{text.strip()}\n{end}"
    if start in old and end in old:
        head, tail = old.split(start)[0], old.split(end)[1]
        path.write_text(head + block + tail)
    else:
        path.write_text(old.rstrip() + "\n\n" + block + "\n")
