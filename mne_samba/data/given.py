"""What an input is: windows, recordings or a table, told by its shape and asked once."""

import os
from dataclasses import dataclass, replace

import mne
import numpy as np
from mne.time_frequency import EpochsTFR, RawTFR

from .._checks import first_of, is_generator
from .bold_tables import as_tables
from .drive import Drive
from .fnirs import HEMOGLOBIN, is_fnirs

KINDS = (
    "mne.Epochs, mne.io.Raw or a list of them, arrays (n_windows, n_channels, n_times), a list of "
    "2-D arrays (n_channels, n_times), or band power, a list of 3-D arrays (n_channels, n_bands, "
    "n_times)"
)
# MNE's objects that hold windows, of signals and of power; and all that are read.
EPOCHS = (mne.BaseEpochs, EpochsTFR)
_MNE = (mne.io.BaseRaw, RawTFR, *EPOCHS)


@dataclass(frozen=True)
class Given:
    """An input, and what it is."""

    kind: str  # what one sample is: "windows", "recordings" or "table"
    items: object  # Epochs, Raws or 2-D arrays in a list; a 3-D array of windows; a table
    is_mne: bool = False
    single: bool = False  # whether one recording was given outside a list
    is_power: bool = False  # whether it is band power that was measured elsewhere

    def __len__(self) -> int:
        if self.kind == "windows" and self.is_mne:
            return sum(len(epochs) for epochs in self.items)
        return len(self.items)

    @property
    def drive(self) -> Drive | None:
        """The first drive, where X comes from `mne_samba.WaveletBandAttention`."""
        first = self.items if self.kind == "windows" else self.items[0]
        return first if self.kind != "table" and isinstance(first, Drive) else None

    def metadata(self, column: str) -> list | None:
        """Values of a column of the windows' metadata; None where some windows lack it."""
        if not self.is_mne or self.kind != "windows":
            return None
        found = []
        for item in self.items:
            table = getattr(item, "metadata", None)
            if table is None or column not in table:
                return None
            found += list(table[column])
        return found or None


def what_is(X, name: str = "X") -> Given:
    """Say what X is, by the shape of what it holds and not by the type of its container."""
    if isinstance(X, mne.io.BaseRaw):
        return Given("recordings", [X], is_mne=True, single=True)
    if isinstance(X, mne.BaseEpochs):
        return _some(Given("windows", [X], is_mne=True), name)
    if isinstance(X, (EpochsTFR, RawTFR)):
        return replace(_some(_list([X], name), name), single=isinstance(X, RawTFR))
    _refuse(X, X, name)
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and X.size:
        if isinstance(X[0], (np.ndarray, *_MNE)):
            X = list(X)
    if isinstance(X, (list, tuple)):
        return _list(list(X), name)
    n_axes = len(X.shape) if hasattr(X, "shape") else np.asarray(X).ndim
    if n_axes == 3:
        return _some(Given("windows", X), name)
    if n_axes == 4:
        return _some(Given("windows", X, is_power=True), name)
    if n_axes > 4:
        raise ValueError(f"{name} must be {KINDS}; got an array of shape {np.shape(X)}.")
    return Given("table", X)


def _list(items: list, name: str) -> Given:
    """Say what a list is."""
    if not items:
        raise ValueError(f"{name} is an empty list; expected {KINDS}.")
    for item in items:
        if not isinstance(item, _MNE):
            _refuse(item, items, name)
    kinds = {_mne_kind(item) for item in items}
    tables = {hasattr(item, "iloc") and np.ndim(item) == 2 for item in items}
    if max(len(kinds), len(tables)) > 1:
        types = sorted({type(item).__name__ for item in items})
        raise TypeError(f"{name} must be {KINDS}; got a list that mixes {types}.")
    kind, is_power = kinds.pop()
    if kind is not None:
        # Of power, samples alone are read of MNE's objects, as of arrays.
        return _some(Given(kind, items, is_mne=True, is_power=is_power), name)
    axes = {np.ndim(item) for item in items}
    if axes == {3} or True in tables:
        return Given("recordings", items, is_power=True)
    if axes == {2}:
        return Given("recordings", items)
    if max(axes) < 2:
        return Given("table", items)
    shapes = [getattr(item, "shape", type(item).__name__) for item in items[:3]]
    raise ValueError(f"{name} must be {KINDS}; got a list that starts with {shapes}.")


def _mne_kind(item) -> tuple[str | None, bool]:
    """Say what an object of MNE is, and whether it holds power."""
    is_power = isinstance(item, (EpochsTFR, RawTFR))
    if isinstance(item, EPOCHS):
        return "windows", is_power
    return ("recordings" if isinstance(item, _MNE) else None), is_power


def _some(given: Given, name: str) -> Given:
    if not len(given):
        raise ValueError(f"{name} is empty: all windows were dropped, or none was made.")
    return given


def _refuse(value, X, name: str) -> None:
    """Refuse what is no data at all, before scikit-learn tries to make numbers of it."""
    if value is None or isinstance(value, (str, bytes, dict, set, os.PathLike)):
        path = isinstance(value, (str, os.PathLike))
        hint = " Read files with mne.io.read_raw first." if path else ""
        raise TypeError(
            f"{name} must be {KINDS}, or a table (n_frames, n_features); got {X!r:.60}.{hint}"
        )
    if type(value).__module__.startswith("mne."):
        raise TypeError(f"{name} must be {KINDS}; got {type(value).__name__} of MNE.")
    if is_generator(value):
        raise TypeError(f"{name} is a generator, which can be read only once: pass list({name}).")


def is_epochs_list(X) -> bool:
    """Whether X is a list of Epochs, which scikit-learn's indexing makes of Epochs."""
    return isinstance(X, list | tuple) and len(X) > 0 and all(isinstance(x, EPOCHS) for x in X)


def is_recordings(X) -> bool:
    """Whether X, which may be anything, is a list of recordings (Raw, 2-D arrays, band power)."""
    return (
        isinstance(X, list | tuple)
        and not is_epochs_list(X)
        and all(
            isinstance(x, (mne.io.BaseRaw, RawTFR)) or np.ndim(x) in (2, 3)
            for x in X
            if not isinstance(x, EPOCHS)
        )
    )


def what_is_power(X) -> bool:
    """Whether recordings that are to be cut into windows hold power."""
    first = first_of(X)
    if isinstance(first, (mne.io.BaseRaw, RawTFR)):
        return isinstance(first, RawTFR)
    return first is not X and (hasattr(first, "iloc") or len(getattr(first, "shape", ())) == 3)


def refuse_electrophysiology(y, name: str) -> None:
    """Refuse recordings of MNE where BOLD is expected."""
    first = first_of(y)
    if isinstance(first, (mne.io.BaseRaw, mne.BaseEpochs)) and not is_fnirs(first):
        raise ValueError(
            f"{name} must be BOLD, arrays (n_windows, n_frames, n_targets) or a list of (n_frames, "
            "n_targets), but it is electrophysiology (an MNE object). Are the two swapped?"
        )


def what_is_bold(y, name: str = "y", t_r=None) -> Given:
    """Say whether BOLD is windows (three dimensions) or recordings."""
    refuse_electrophysiology(y, name)
    y = as_tables(y, name, t_r)
    if isinstance(y, (list, tuple)) and not len(y):
        raise ValueError(f"{name} is an empty list; expected BOLD of recordings.")
    if isinstance(y, (list, tuple)) and all(np.ndim(item) == 2 for item in y):
        return Given("recordings", list(y))
    n_axes = np.ndim(y)
    if n_axes < 2 or isinstance(y, (str, bytes)):
        shape = f"{'labels or ' if y is not None else ''}data of shape {np.shape(y)}"
        raise ValueError(
            f"{name} must be BOLD, arrays (n_windows, n_frames, n_targets) or a list of (n_frames, "
            f"n_targets), got {shape}. Class labels belong to SambaClassifier.fit(X, labels, "
            "bold=...)."
        )
    return Given("windows", y) if n_axes == 3 else Given("recordings", [y], single=True)


def target_kind(y, kind: str, single: bool = False) -> str:
    """Say what y holds: "none", "frames" (time courses) or "samples" (a value or label each)."""
    if y is None:
        return "none"
    if kind == "table":
        return "samples"
    if kind == "windows":
        if isinstance(y, (list, tuple)) and len(y) and np.ndim(y[0]) == 2:
            return "frames"
        return "frames" if np.ndim(y) == 3 else "samples"
    if isinstance(y, np.ndarray) and y.dtype != object:
        return "frames" if single or y.ndim == 3 else "samples"
    return "frames" if len(y) and np.ndim(y[0]) >= 1 else "samples"


def refuse_fnirs(X, name: str) -> None:
    """Refuse recordings of haemodynamics alone where electrophysiology is expected."""
    first = first_of(X)
    if not is_fnirs(first):
        return
    kinds = set(first.get_channel_types(picks="data"))
    if all(kind in HEMOGLOBIN or kind.startswith("fnirs") for kind in kinds):
        raise ValueError(
            f"{name} must be electrophysiology, but it is fNIRS (channels of type "
            f"{sorted(kinds)}): haemodynamics are the other side. Are the two swapped?"
        )
