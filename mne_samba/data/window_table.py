"""Where each window lies in its recording: what splitters and scores need to know about time."""

from collections.abc import Sequence

import mne
import numpy as np
import pandas as pd

from ..metrics import recording_labels
from .given import EPOCHS, is_epochs_list, is_recordings

# History assumed where the data do not tell theirs: the default of make_windows.
DEFAULT_CONTEXT = 30.0
_NAMES = ("subject", "run", "recording")


def window_metadata(X) -> tuple[pd.DataFrame | None, mne.BaseEpochs | None]:
    """Metadata of Epochs or of a list of one-epoch Epochs, and one Epochs to ask for its times."""
    if isinstance(X, pd.DataFrame):
        return (X.reset_index(drop=True), None) if "onset" in X.columns else (None, None)
    if isinstance(X, EPOCHS):
        table = X.metadata
        return (None if table is None else table.reset_index(drop=True)), X
    if not is_epochs_list(X):
        return None, None
    if any(len(x) != 1 for x in X):
        raise ValueError(
            "A list of Epochs must hold one epoch (window) per entry, as scikit-learn's indexing "
            f"makes it; got lengths {sorted({len(x) for x in X})}. Join them with "
            "mne.concatenate_epochs."
        )
    tables = [x.metadata for x in X]
    if any(table is None for table in tables):
        return None, X[0]
    columns = [c for c in tables[0].columns if all(c in table.columns for table in tables)]
    return pd.DataFrame({c: [table[c].iloc[0] for table in tables] for c in columns}), X[0]


def _n_windows(X) -> int:
    if isinstance(X, str | bytes) or not hasattr(X, "__len__"):
        raise TypeError(
            f"X must be Epochs, an array or a table of windows, got {type(X).__name__}."
        )
    return len(X)


def _column(values, n: int, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim == 0:
        return np.full(n, values)
    if values.shape != (n,):
        raise ValueError(f"{name} must have one value per window ({n}), got shape {values.shape}.")
    return values


def window_table(
    X,
    y=None,
    groups: Sequence | None = None,
    *,
    onset: Sequence | None = None,
    t_r: float | None = None,
    window: float | None = None,
    step: float | None = None,
    context: float | None = None,
) -> pd.DataFrame:
    """When frames and samples of windows X (n_windows, ...), y, were recorded: a row for each."""
    n = _n_windows(X)
    if is_recordings(X):
        raise ValueError(
            "Got a list of whole recordings, which cannot be cut into blocks of time. Cut them "
            "with mne_samba.make_windows first, or leave whole recordings out "
            "(sklearn's LeaveOneGroupOut, LeaveOneOut or GroupKFold)."
        )
    metadata, epochs = window_metadata(X)
    metadata = pd.DataFrame(index=range(n)) if metadata is None else metadata
    table = metadata[[c for c in (*_NAMES, "frame") if c in metadata.columns]].copy()
    if not any(c in table.columns for c in ("recording", "subject")) and groups is not None:
        table["recording"] = _column(groups, n, "groups")
    label = recording_labels(table)[0]

    def known(name, given):
        if name in metadata.columns and not metadata[name].isna().any():
            return metadata[name].to_numpy(dtype=float)
        return None if given is None else _column(given, n, name).astype(float)

    seconds = known("t_r", t_r)
    n_frames = known("n_frames", np.shape(y)[1] if np.ndim(y) == 3 else None)
    if n_frames is None and window is None and epochs is None and np.ndim(X) == 2:
        n_frames = np.ones(n)  # rows of a 2-D array are frames
    length = _window_length(n, epochs, seconds, n_frames, window)
    start = onset if onset is not None else known("onset", None)
    if start is None:
        if length is None:
            raise ValueError(
                "The time of the windows is unknown: X has no metadata with an 'onset' column. Use "
                "Epochs from mne_samba.make_windows, or give onset, or t_r (with y of shape "
                "(n_windows, n_frames, n_targets)) or window in seconds for rows in order of time."
            )
        order = pd.Series(label).groupby(label).cumcount().to_numpy()
        start = order * (length if step is None else float(step))
    start = _column(start, n, "onset").astype(float)
    if not np.isfinite(start).all():
        raise ValueError("The onsets of windows must be finite numbers (seconds).")
    if length is None:
        raise ValueError(
            "The length of the windows is unknown. Give window in seconds, or t_r with y of shape "
            "(n_windows, n_frames, n_targets), or use Epochs from mne_samba.make_windows."
        )
    if seconds is not None:
        table["t_r"] = seconds
    if n_frames is not None:
        table["n_frames"] = n_frames.astype(int)
    last = length if seconds is None else length - seconds
    history = known("context", context)
    if history is None and epochs is None:
        history = np.full(n, DEFAULT_CONTEXT)
    before = np.zeros(n) if history is None else history
    table["label"] = label
    table["onset"] = start
    table["first_frame"] = start
    table["last_frame"] = start + np.maximum(last, 0.0)
    table["signal_start"] = start - before
    table["signal_stop"] = start + length
    if epochs is not None:
        # Epochs know their samples: these count beside what the metadata promise.
        sfreq = epochs.info["sfreq"]
        begin = np.rint(start * sfreq) + np.rint(epochs.tmin * sfreq)
        stop = (begin + len(epochs.times)) / sfreq
        table["signal_start"] = np.minimum(table["signal_start"], begin / sfreq)
        table["signal_stop"] = np.maximum(table["signal_stop"], stop)
    return table


def _window_length(n, epochs, t_r, n_frames, window) -> np.ndarray | None:
    """Seconds from a window's first frame to the end of its last."""
    if window is not None:
        return np.full(n, float(window))
    if t_r is not None and n_frames is not None:
        return t_r * n_frames
    if epochs is not None:
        # Frames are no later than the signal: an upper bound keeps windows further apart.
        return np.full(n, epochs.tmax + 1 / epochs.info["sfreq"])
    return None


def too_close(
    table: pd.DataFrame,
    train: np.ndarray,
    test: np.ndarray,
    gap: float,
    label: str | None = "label",
) -> np.ndarray:
    """Tell which training windows (n_train,) share samples with test windows or are too near."""
    close = np.zeros(len(train), dtype=bool)
    labels = np.zeros(len(table), dtype=int) if label is None else table[label].to_numpy()
    first, last, start, stop = (
        table[c].to_numpy() for c in ("first_frame", "last_frame", "signal_start", "signal_stop")
    )
    tolerance = 1e-6  # seconds: rounding, well below a sample
    for value in np.unique(labels[test]):
        rows = np.flatnonzero(labels[train] == value)
        a, b = train[rows][:, np.newaxis], test[labels[test] == value][np.newaxis]
        shared = (start[a] < stop[b] - tolerance) & (start[b] < stop[a] - tolerance)
        near = np.maximum(first[b] - last[a], first[a] - last[b]) < gap - tolerance
        close[rows] |= (shared | near).any(axis=1)
    return close


def extra_columns(X, names: list) -> pd.DataFrame:
    """Return columns of the windows' metadata by name; "onset" and None ask for nothing."""
    metadata = window_metadata(X)[0]
    names = [name for name in names if name is not None and name != "onset"]
    present = [] if metadata is None else list(metadata.columns)
    missing = [name for name in names if name not in present]
    if missing:
        raise ValueError(f"The windows' metadata have no column {missing[0]!r}, only {present}.")
    return metadata[names] if names else pd.DataFrame()
