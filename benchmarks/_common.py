"""What all benchmarks share: options, tables as CSV and Markdown."""

from __future__ import annotations

import argparse
import os
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
    rows = [list(map(str, table.columns)), ["---"] * len(table.columns)]
    for row in table.itertuples(index=False):
        rows.append([_cell(value) for value in row])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


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
