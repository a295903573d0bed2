"""Recordings and scans that belong together: several runs in one recording, dates of scans.tsv."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger

from ..data.triggers import volume_triggers
from ._bids_files import DERIVED, Run, bold_files, entities_of, read_table
from ._markers import choose_markers

# Seconds by which dates of scans.tsv may miss what the triggers say of the scanner's own runs, and
# by which the clocks of scanner and amplifier may differ where nothing else tells.
_ROUNDED, _CLOCKS = 10.0, 300.0


def runs_beside(base: Path, bold: Path, *, preprocessed: bool) -> list[Path]:
    """BOLD of all runs that differ from this one in their run alone, in order of their numbers."""
    here = entities_of(bold)
    ending = bold.name.split(".", 1)[1]
    found = [
        path for path in bold_files(base, here["sub"], preprocessed=preprocessed)
        if entities_of(path) | {"run": None} == here | {"run": None}
        and path.name.endswith(ending) and "run" in entities_of(path)
    ]  # fmt: skip
    return sorted(found, key=lambda path: (entities_of(path)["run"].zfill(8), path.name))


def frames_of(path: Path) -> int:
    """Frames of an image in a file."""
    image = nib.load(path)
    if isinstance(image, nib.GiftiImage):
        first = image.darrays[0].data
        return len(image.darrays) if first.ndim == 1 else first.shape[1]
    return int(image.shape[0 if isinstance(image, nib.Cifti2Image) else -1])


def part_of_run(recording, volume_event, t_r: float, runs: list[Path], here: Path, extra, dates):
    """Cut the part of one run out of a recording that holds several runs.

    Triggers that pause for more than three ``t_r`` begin another block. Blocks are matched with
    runs by their order and numbers of volumes; ``extra`` holds the numbers of volumes that may
    come before the frames of a run, ``dates`` those of scans.tsv (or None) of ``runs``.

    Returns the recording, the times of its triggers (n_triggers,), and a description.
    """
    sizes = [frames_of(path) for path in runs]
    event, found = choose_markers(recording, volume_event, t_r, sum(sizes))
    times = volume_triggers(recording.raw, event)
    blocks = np.split(times, np.flatnonzero(np.diff(times) > 3 * t_r) + 1)
    names = [f"run-{entities_of(path)['run']}" for path in runs]
    counts = [len(block) for block in blocks]
    early, late = _in_order(counts, sizes, extra), _in_order(counts[::-1], sizes[::-1], extra)
    unique = early is not None and [len(blocks) - 1 - b for b in late[::-1]] == early
    if not unique:
        said = ", ".join(
            f"{len(block)} from {block[0]:.6g} to {block[-1]:.6g} s" for block in blocks[:12]
        )
        frames = ", ".join(f"{name} {n}" for name, n in zip(names, sizes, strict=True))
        raise ValueError(
            f"The recording has no run in its name, and BOLD has several ({frames} frames), but "
            f"its volume triggers come in blocks of {said}, "
            + ("which do not fit these" if early is None else "which fit these in several ways")
            + ". If it holds one of the runs, name it after that (_run-01_eeg); otherwise pass the "
            "times of this run's volumes as volume_event (s from the first sample)."
        )
    number = runs.index(here)
    own = early[number]
    _check_dates(dates, [blocks[b][0] for b in early], names)
    sfreq, raw = recording.raw.info["sfreq"], recording.raw
    # From the end of the block before to the beginning of the next: what comes first is history.
    begin = int(np.ceil((blocks[own - 1][-1] + t_r) * sfreq)) if own else 0
    last = own + 1 == len(blocks)
    end = raw.n_times if last else int(np.floor(blocks[own + 1][0] * sfreq))
    begin = min(begin, int(np.floor(blocks[own][0] * sfreq)))
    part = raw.copy().crop(begin / sfreq, (end - 1) / sfreq)
    logger.info(
        "%s holds %d runs: %s is taken from %.6g to %.6g s.",
        recording.file.name, len(runs), names[number], begin / sfreq, end / sfreq,
    )  # fmt: skip
    described = {"part_of_recording": [begin / sfreq, end / sfreq], "runs_in_recording": len(runs)}
    return replace(recording, raw=part), blocks[own] - begin / sfreq, {**found, **described}


def _in_order(counts: list[int], sizes: list[int], extra) -> list[int] | None:
    """Match each run with the first block after that of the run before that has its volumes."""
    found: list[int] = []
    for b, count in enumerate(counts):
        if len(found) < len(sizes) and count - sizes[len(found)] in extra:
            found.append(b)
    return found if len(found) == len(sizes) else None


def _check_dates(dates, starts, names: list[str]) -> None:
    """Refuse dates of runs that contradict their triggers; copies of one date say nothing."""
    if dates is None or any(date is None for date in dates) or len(set(dates)) < len(dates):
        return
    for k in range(1, len(dates)):
        told, found = (dates[k] - dates[0]).total_seconds(), starts[k] - starts[0]
        if abs(told - found) > _ROUNDED:
            raise ValueError(
                f"scans.tsv says that {names[k]} of BOLD began {told:.6g} s after {names[0]}, but "
                f"the recording's triggers say {found:.6g} s: correct its acq_time, or pass the "
                "times of this run's volumes as volume_event (s from the first sample)."
            )


def dates_of(root: Path, wanted: Run, paths: list[Path]) -> list[pd.Timestamp | None]:
    """When scans.tsv says that files, or what they were derived from, were acquired."""
    folder = root / f"sub-{wanted.subject}"
    if wanted.session is not None:
        folder = folder / f"ses-{wanted.session}"
    found = sorted(folder.glob("*_scans.tsv"))
    if not found:
        return [None] * len(paths)
    table = read_table(found[0])
    if not {"filename", "acq_time"} <= set(table.columns):
        return [None] * len(paths)
    times = pd.to_datetime(table["acq_time"], errors="coerce", format="ISO8601", utc=True)
    rows = [(Path(name), time) for name, time in zip(table["filename"], times, strict=True)]
    out: list = []
    for path in paths:
        own = {k: v for k, v in entities_of(path).items() if k not in DERIVED}
        suffix = path.name.split(".")[0].rsplit("_", 1)[-1]
        told = {
            time for name, time in rows
            if name.name.split(".")[0].rsplit("_", 1)[-1] == suffix and not pd.isna(time)
            and {**entities_of(name), "echo": None} == {**own, "echo": None}
        }  # fmt: skip
        out.append(told.pop() if len(told) == 1 else None)
    return out


def told_start(dates) -> float | None:
    """Seconds from a recording to its BOLD by scans.tsv, (recording, BOLD); None: nothing is told.

    Dates that are days apart were made up: anonymised, of one of the two alone.
    """
    if any(date is None for date in dates):
        return None
    seconds = (dates[1] - dates[0]).total_seconds()
    return seconds if abs(seconds) < 86400 else None


def check_together(told: float | None, duration: float, scan: float) -> None:
    """Refuse a recording and a scan that scans.tsv says were not made at the same time."""
    if told is None or -scan - _CLOCKS < told < duration + _CLOCKS:
        return
    apart = f"{told - duration:.0f} s after the recording ended"
    if told < 0:
        apart = f"and ended {-told - scan:.0f} s before the recording began"
    raise ValueError(
        f"scans.tsv says that BOLD began {apart}: they are not simultaneous, and no trigger says "
        "otherwise. If its acq_time is wrong, correct it or write n/a."
    )
