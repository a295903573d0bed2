"""Where a recording was interrupted: its samples go on, time does not."""

from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np
from mne.utils import logger

from .._checks import listed

_BOUNDARIES = ("boundary", "bad boundary", "edge boundary", "-99")


class Interrupted(ValueError):
    """Frames lie on both sides of a cut, and time is not known to go on there."""


@dataclass(frozen=True)
class Cut:
    """An instant before which and after which samples were not recorded in one go."""

    time: float  # seconds from the first sample
    name: str  # what tells of it


def cuts_of(raw) -> list[Cut]:
    """Interruptions inside a recording, in order of time."""
    # A later "New Segment" or "LostSamples" of BrainVision, "boundary" of EEGLAB (-99 as a number),
    # "EDGE boundary" and "BAD boundary" of `mne.concatenate_raws`, alone or as a part between "/",
    # and gaps between data records of EDF+D and BDF+D, which MNE reads as if there were none.
    sfreq = raw.info["sfreq"]
    onsets = mne.annotations._sync_onset(raw, raw.annotations.onset)
    # The first sample after a cut: EEGLAB puts boundaries half a sample before it.
    onsets = np.ceil(onsets * sfreq - 0.25) / sfreq
    cuts = [
        Cut(float(onset), str(text))
        for onset, text in zip(onsets, raw.annotations.description, strict=True)
        if _tells_of_a_cut(text)
    ]
    cuts += [Cut(time, "gap of EDF+D") for time in _record_gaps(raw)]
    # What stands at the first sample, or after the last, interrupts nothing.
    near, end = 1.5 / sfreq, raw.n_times / sfreq
    inside = sorted((cut for cut in cuts if near < cut.time < end - near), key=lambda c: c.time)
    return [c for i, c in enumerate(inside) if not i or c.time - inside[i - 1].time > near]


def _tells_of_a_cut(text: str) -> bool:
    parts = [part.strip() for part in text.lower().replace("_", " ").split("/")]
    begins = ("new segment", "lostsamples", "lost samples")
    return any(part.startswith(begins) or part in _BOUNDARIES for part in parts)


def check_uncut(raw, times: np.ndarray, name: str = "raw", what: str = "frames") -> None:
    """Refuse instants (n,) on both sides of a cut: time is not known to go on there."""
    across = [cut for cut in cuts_of(raw) if times[0] < cut.time < times[-1]]
    if not across:
        return
    said = listed([f"{cut.name!r} at {cut.time:.6g} s" for cut in across], 4)
    at = across[0].time
    before = int(np.sum(times < at))
    raise Interrupted(
        f"{name} was interrupted ({said}): samples go on there, time does not. There are "
        f"{before} {what} before it and {len(times) - before} from there on. Cut there and pass "
        f"two recordings: {name}.copy().crop(tmax={at:.9g}, include_tmax=False) with the frames "
        f"acquired before the interruption, and {name}.copy().crop(tmin={at:.9g}) with those "
        "acquired after it, each with its own volume triggers or first_volume. They are of one "
        "person: name it in make_windows(subject=...), or in groups where lists are split."
    )


def _record_gaps(raw) -> list[float]:
    """Instants, in seconds from the first sample, at which records of EDF+D leave time out."""
    gaps, before, sfreq = [], 0, raw.info["sfreq"]
    # A recording that was joined from several still counts the samples of each file.
    for file, first, last in zip(raw.filenames, raw._first_samps, raw._last_samps, strict=False):
        length = last - first + 1
        if file is not None and Path(file).suffix.lower() in (".edf", ".bdf"):
            times = (sfreq * np.array(_gaps_of_file(Path(file))) - first) / sfreq
            gaps += [before / sfreq + time for time in times if 0 < time < length / sfreq]
        before += length
    return gaps


def _gaps_of_file(path: Path) -> list[float]:
    """Instants, in seconds of kept signal, at which data records of EDF+D leave time out."""
    if not path.is_file():
        logger.info("%s is no longer there: whether its data records have gaps is not known.", path)
        return []
    with open(path, "rb") as file:
        head = file.read(256)
        if head[192:197] not in (b"EDF+D", b"BDF+D"):
            return []
        starts, duration = _record_starts(file, head)
    late = np.diff(starts) - duration > 1e-3
    return [float(duration * (i + 1)) for i in np.flatnonzero(late)]


def _record_starts(file, head: bytes) -> tuple[np.ndarray, float]:
    """When each data record begins, as its first annotation says, and how long one lasts."""
    n_records, duration = int(head[236:244]), float(head[244:252])
    n_signals, width = int(head[252:256]), 3 if head[192:193] == b"B" else 2
    signals = file.read(256 * n_signals)
    labels = [signals[16 * i : 16 * (i + 1)].strip() for i in range(n_signals)]
    at = 216 * n_signals  # of the samples per record, after eight fields of each signal
    sizes = [width * int(signals[at + 8 * i : at + 8 * (i + 1)]) for i in range(n_signals)]
    notes = next(i for i, label in enumerate(labels) if label.endswith(b" Annotations"))
    body, starts = int(head[184:192]), []
    if n_records < 0:
        n_records = (Path(file.name).stat().st_size - body) // sum(sizes)
    for record in range(n_records):
        file.seek(body + record * sum(sizes) + sum(sizes[:notes]))
        starts.append(float(file.read(sizes[notes]).split(b"\x14", 1)[0].split(b"\x15")[0]))
    return np.array(starts), duration
