"""Recordings and BOLD that belong together: read, compared, refused where they cannot pair."""

import hashlib

import mne
import numpy as np
import pandas as pd

from .._checks import is_generator
from .bold import check_swapped
from .bold_tables import as_tables
from .channels import align, check_same_rate, common_channels, picked
from .given import refuse_electrophysiology

# What EDF and MNE call people whose names were removed: they are not one person.
_ANONYMOUS = ("", "X", "0", "None")


def check_raw(raw, name) -> None:
    """Refuse what is no recording, such as the name of its file."""
    if not isinstance(raw, mne.io.BaseRaw):
        hint = " Read files with mne.io.read_raw first." if isinstance(raw, str) else ""
        raise TypeError(f"{name} must be an mne.io.Raw, got {type(raw).__name__}.{hint}")


def pair(raw, bold, several):
    """Make lists of one recording and its BOLD, or refuse lists that do not pair."""
    if bold is None:
        raise ValueError("bold is None: pass BOLD of shape (n_frames, n_targets).")
    for name, value in (("raw", raw), ("bold", bold)):
        if is_generator(value):
            raise TypeError(f"{name} is a generator, which can be read only once: pass a list.")
    refuse_electrophysiology(bold, "bold")
    if not several:
        check_raw(raw, "raw")
        if isinstance(bold, (list, tuple)) and len(bold) and np.ndim(bold[0]) > 1:
            raise ValueError(
                f"raw is one recording, but bold is a list of {len(bold)}: pass two lists."
            )
        if isinstance(bold, (list, tuple)):
            as_tables(bold, "bold")  # images of one recording, which are refused by what to do
        return [raw], [bold]
    if len(raw) == 0:
        raise ValueError("raw is an empty list: at least one recording is needed.")
    for i, one in enumerate(raw):
        check_raw(one, f"raw[{i}]")
    if not isinstance(bold, (list, tuple)) and np.ndim(bold) != 3:
        raise ValueError("raw is a list of recordings, so bold must be a list of the same length.")
    if len(raw) != len(bold):
        raise ValueError(
            f"raw has {len(raw)} recordings, but bold has {len(bold)}: one each is needed."
        )
    return list(raw), list(bold)


def per_recording(value, n, name, several) -> list:
    """One value per recording, of a list or of a single value."""
    if isinstance(value, (list, tuple, np.ndarray, pd.Series)) and np.ndim(value) == 1:
        if not several:
            raise TypeError(f"{name} is a list of {len(value)}, but raw is one recording.")
        if len(value) != n:
            raise ValueError(f"{name} has {len(value)} values for {n} recordings.")
        return list(value)
    return [value] * n


def name_subjects(given, raws) -> list:
    """Person of every recording: as given, else as its info says, else one of its own."""
    subjects = []
    for value, raw in zip(given, raws, strict=True):
        known = str((raw.info["subject_info"] or {}).get("his_id", ""))
        if known in _ANONYMOUS:
            known = f"unnamed {_fingerprint(raw)}"
        subjects.append(known if value is None else value)
    return subjects


def _fingerprint(raw) -> str:
    """Tell a recording from others by some of its samples."""
    digest = hashlib.blake2b(repr((raw.n_times, raw.ch_names)).encode(), digest_size=4)
    for start in (0, raw.n_times // 2, max(0, raw.n_times - 100)):
        stop = min(start + 100, raw.n_times)
        data = raw.get_data(start=start, stop=stop, verbose="ERROR")
        digest.update(np.ascontiguousarray(data).tobytes())
    return digest.hexdigest()


def count_runs(given, subjects) -> list:
    """Run of every recording: as given, else counted from 1 per person."""
    counted = [1 + subjects[:i].count(subject) for i, subject in enumerate(subjects)]
    return [c if value is None else value for value, c in zip(given, counted, strict=True)]


def with_same_channels(raws, grid, names) -> tuple[list, list[str]]:
    """Bring recordings of one rate to the channels of the first, or those of ``grid.channels``."""
    first = [raws[0].ch_names[i] for i in picked(raws[0], grid.picks, grid.physiology)]
    for raw, name in zip(raws[1:], names[1:], strict=True):
        check_same_rate(raw.info["sfreq"], raws[0].info["sfreq"], name, names[0])
        channels = [raw.ch_names[i] for i in picked(raw, grid.picks, grid.physiology)]
        if set(channels) != set(first) and grid.channels == "error":
            raise ValueError(
                f"{name} has other channels than {names[0]}: it lacks "
                f"{sorted(set(first) - set(channels))}, and has "
                f"{sorted(set(channels) - set(first))} besides. Pick common channels, or "
                "interpolate bad ones."
            )
    if grid.channels == "error":
        return raws, first
    kept = common_channels(raws, grid, "raw") or first
    return [align(raw, kept, grid, name)[0] for raw, name in zip(raws, names, strict=True)], kept


def check_bold(raw, values, t_r, volume_event, name) -> None:
    """Refuse BOLD that is scrubbed throughout, or that fits the recording the other way round."""
    if np.isnan(values).all():
        raise ValueError(f"{name} contains NaN only: every frame is scrubbed.")
    if volume_event is None:  # otherwise the number of triggers tells
        check_swapped(values, raw.n_times / raw.info["sfreq"], t_r, name)
