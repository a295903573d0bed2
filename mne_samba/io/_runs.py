"""Recordings and scans that belong together: several runs in one recording, dates of scans.tsv."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from mne.utils import logger

from ..data.surface_files import read_series
from ..data.triggers import volume_triggers
from ._bids_files import DERIVED, Run, bold_files, check_fetched, entities_of, read_table
from ._markers import choose_markers

# Seconds by which dates of scans.tsv may miss what the triggers say of the scanner's own runs, and
# by which the clocks of scanner and amplifier may differ where nothing else tells.
_ROUNDED, _CLOCKS = 10.0, 300.0


def runs_beside(base: Path, bold: Path, *, preprocessed: bool) -> list[Path]:
    """BOLD of all runs that differ from this one in their run alone, in order of their numbers."""
    here = entities_of(bold) | {"run": None}
    found = [
        path for path in bold_files(base, here["sub"], preprocessed=preprocessed)
        if "run" in entities_of(path) and entities_of(path) | {"run": None} == here
        and path.name.split(".", 1)[1] == bold.name.split(".", 1)[1]
    ]  # fmt: skip
    return sorted(found, key=lambda path: (entities_of(path)["run"].zfill(8), path.name))


def _frames_of(path: Path) -> int:
    """Frames of an image in a file."""
    if path.suffix == ".gii":
        return len(read_series(check_fetched(path), path.name, told=False).values)
    image = nib.load(check_fetched(path))
    return int(image.shape[0 if isinstance(image, nib.Cifti2Image) else -1])


def part_of_run(recording, volume_event, t_r: float, runs: list[Path], here: Path, extra, dates):
    """Cut a run out of a recording of several; with times (n_triggers,) and a description."""
    # Triggers that pause for more than three ``t_r`` begin another block. Blocks are matched with
    # runs by their order and numbers of volumes; ``extra`` holds the numbers of volumes that may
    # come before the frames of a run, ``dates`` those of scans.tsv (or None) of ``runs``.
    sizes = [_frames_of(path) for path in runs]
    event, found = choose_markers(recording, volume_event, t_r, sum(sizes))
    times = volume_triggers(recording.raw, event)
    blocks = np.split(times, np.flatnonzero(np.diff(times) > 3 * t_r) + 1)
    counts = [len(block) for block in blocks]
    names = [f"run-{entities_of(path)['run']}" for path in runs]
    early, late = _in_order(counts, sizes, extra), _in_order(counts[::-1], sizes[::-1], extra)
    if not early or [len(blocks) - 1 - b for b in late[::-1]] != early:
        said = [f"{len(block)} from {block[0]:.6g} to {block[-1]:.6g} s" for block in blocks[:12]]
        frames = ", ".join(f"{name} {n}" for name, n in zip(names, sizes, strict=True))
        raise ValueError(
            f"The recording has no run in its name, and BOLD has several ({frames} frames), but "
            f"its volume triggers come in blocks of {', '.join(said)}, which "
            f"{'fit these in several ways' if early else 'do not fit these'}. If it holds one of "
            "the runs, name it after that (_run-01_eeg); otherwise pass the times of this run's "
            "volumes as volume_event (s from the first sample)."
        )
    told = [] if None in dates or len(set(dates)) < len(dates) else dates  # copies say nothing
    for name, date, b in zip(names, told, early, strict=False):
        apart, date = blocks[b][0] - blocks[early[0]][0], (date - told[0]).total_seconds()
        if abs(date - apart) > _ROUNDED:
            raise ValueError(
                f"scans.tsv says that {name} of BOLD began {date:.6g} s after {names[0]}, but the "
                f"recording's triggers say {apart:.6g} s: correct its acq_time, or pass the times "
                "of this run's volumes as volume_event (s from the first sample)."
            )
    # From the end of the block before to the beginning of the next: what comes first is history.
    own, raw = early[runs.index(here)], recording.raw
    sfreq, begin, end = raw.info["sfreq"], 0, raw.n_times
    if own:
        begin = int(np.ceil((blocks[own - 1][-1] + t_r) * sfreq))
        begin = min(begin, int(np.floor(blocks[own][0] * sfreq)))
    if own + 1 < len(blocks):
        end = int(np.floor(blocks[own + 1][0] * sfreq))
    logger.info(
        "%s holds %d runs: %s is taken from %.6g to %.6g s.",
        recording.file.name, len(runs), here.name, begin / sfreq, end / sfreq,
    )  # fmt: skip
    found |= {"part_of_recording": [begin / float(sfreq), end / float(sfreq)],
              "runs_in_recording": len(runs)}  # fmt: skip
    part = replace(recording, raw=raw.copy().crop(begin / sfreq, (end - 1) / sfreq))
    return part, blocks[own] - begin / sfreq, found


def _in_order(counts: list[int], sizes: list[int], extra) -> list[int]:
    """Match each run with the first block after that of the run before that has its volumes."""
    found: list[int] = []
    for b, count in enumerate(counts):
        if len(found) < len(sizes) and count - sizes[len(found)] in extra:
            found.append(b)
    return found if len(found) == len(sizes) else []


def dates_of(root: Path, wanted: Run, paths: list[Path]) -> list[pd.Timestamp | None]:
    """When scans.tsv says that files, or what they were derived from, were acquired."""
    session = "" if wanted.session is None else f"ses-{wanted.session}"
    found = sorted((root / f"sub-{wanted.subject}" / session).glob("*_scans.tsv"))
    table = read_table(found[0]) if found else pd.DataFrame()
    if not {"filename", "acq_time"} <= set(table.columns):
        return [None] * len(paths)
    times = pd.to_datetime(table["acq_time"], errors="coerce", format="ISO8601", utc=True)

    def key(path) -> tuple:
        same = {k: v for k, v in entities_of(path).items() if k not in (*DERIVED, "echo")}
        return Path(path).name.split(".")[0].rsplit("_", 1)[-1], same

    every = [(key(name), time) for name, time in zip(table["filename"], times, strict=True)]
    dates = [{time for one, time in every if one == key(p) and not pd.isna(time)} for p in paths]
    return [told.pop() if len(told) == 1 else None for told in dates]


def told_start(dates) -> float | None:
    """Seconds from a recording to its BOLD by scans.tsv, (recording, BOLD), or None."""
    # Dates that are days apart were made up: anonymised, of one of the two alone.
    seconds = 86400 if None in dates else (dates[1] - dates[0]).total_seconds()
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
