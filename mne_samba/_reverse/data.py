"""BOLD and electrophysiology as the way back needs them: one bin of log band power per frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import mne
import numpy as np
import pandas as pd

from .._checks import as_float_array
from .._data.hemo import (
    Haemodynamics,
    check_measured,
    check_same_frames,
    detrend_segments,
    read_hemo,
    recording_scale,
)
from .._data.inputs import Electrophysiology, input_kind, read_inputs
from .._data.lowrate import (
    LowRateGrid,
    PowerScaler,
    band_filters,
    check_bands,
    ele_power,
    full_history,
)
from .._data.paired import PairedData
from .._data.reading import check_channels

# Seconds of BOLD that the filter sees before and after a bin.
BEFORE, AFTER = 12.0, 18.0


@dataclass
class Reading:
    """What was learnt about both modalities, and what it takes to read them again.

    Attributes
    ----------
    kind : "windows" | "recordings"
        What one sample is.
    grid : LowRateGrid
        One bin per frame.
    scaler : PowerScaler
        Mean and scale of log band power.
    bold_mean, bold_scale : array, shape (n_targets,)
        Mean and scale of BOLD in training.
    ch_names, target_names : list of str
        Names of channels and regions.
    bands : dict
        Name to (low, high) in Hz.
    n_frames : int
        Frames per window, or of the windows that recordings are cut into.
    window_start : float
        Seconds of context before a window's first frame.
    sfreq : float
        Sampling rate of the electrophysiology in Hz.
    wavelet : str
        Wavelets of the bands.
    n_cycles : float
        Cycles of Morlet wavelets.
    detrend : str | int | None
        Slow drift that is removed from both.
    info : mne.Info | None
        Of the electrophysiology.
    """

    kind: str
    grid: LowRateGrid
    scaler: PowerScaler
    bold_mean: np.ndarray
    bold_scale: np.ndarray
    ch_names: list[str]
    target_names: list[str]
    bands: dict[str, tuple[float, float]]
    n_frames: int
    window_start: float
    sfreq: float
    wavelet: str
    n_cycles: float
    detrend: str | int | None
    info: mne.Info | None = None

    @property
    def n_before(self) -> int:
        """Frames before a bin that the filter sees."""
        return int(np.ceil(BEFORE / self.grid.t_r))

    @property
    def n_after(self) -> int:
        """Frames after a bin that hold its response."""
        return int(np.ceil(AFTER / self.grid.t_r))


def _is_mne(value) -> bool:
    first = value[0] if isinstance(value, (list, tuple)) and len(value) else value
    return isinstance(first, (mne.io.BaseRaw, mne.BaseEpochs))


def check_bold(value, name: str) -> None:
    """Refuse what cannot be BOLD: electrophysiology, labels, tables of text."""
    if _is_mne(value):
        raise ValueError(
            f"{name} must be BOLD, arrays (n_windows, n_frames, n_targets) or a list of (n_frames, "
            "n_targets), but it is electrophysiology (an MNE object). Are the two swapped?"
        )
    if isinstance(value, pd.DataFrame):
        return
    whole = isinstance(value, (list, tuple)) and len(value) and np.ndim(value[0]) == 2
    if whole or (isinstance(value, np.ndarray) and value.dtype.kind == "O"):
        return
    if np.ndim(value) < 2:
        raise ValueError(
            f"{name} must be BOLD, arrays (n_windows, n_frames, n_targets) or a list of (n_frames, "
            f"n_targets), got {'labels or ' if value is not None else ''}data of shape "
            f"{np.shape(value)}. Class labels belong to SambaClassifier.fit(X, labels, bold=...)."
        )
    as_float_array(value, name)


def bold_kind(value) -> tuple[str, list | np.ndarray, bool]:
    """Say whether BOLD is windows or recordings, as a list where recordings."""
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        value = list(value)
    if isinstance(value, (list, tuple)):
        if not len(value):
            raise ValueError("X is an empty list; expected BOLD of recordings.")
        return "recordings", list(value), False
    if np.ndim(value) == 3:
        return "windows", value, False
    return "recordings", [value], True


def read_pair(options, bold, ele, names: tuple[str, str]) -> tuple[PairedData, Reading]:
    """Read paired data for the way back.

    Parameters
    ----------
    options : SambaTranslator
        Read for its parameters, never changed.
    bold, ele : object
        Both modalities.
    names : tuple of str
        What to call BOLD and electrophysiology in errors.

    Returns
    -------
    data : PairedData
        Log band power (NaN where unknown) and BOLD, standardised and without drift.
    reading : Reading
        How to read more of the same.
    """
    check_bold(bold, names[0])
    if ele is None:
        raise ValueError(f"{names[1]} is None: it must be the electrophysiology.")
    kind, n_segments, single = input_kind(ele)
    _check_counts(bold, kind, n_segments, names)
    hemo = read_hemo(
        bold, kind, n_segments, single=single, name=names[0], may_lack=options._may_lack
    )
    check_measured(hemo)
    t_r = float(options.t_r)
    grid = LowRateGrid(t_r, 1, max(1, int(options.hrf_length / t_r + 1e-6)))
    frames = hemo.n_frames if kind == "recordings" else hemo.n_frames[0]
    after = int(np.ceil(AFTER / t_r))
    if min(hemo.n_frames) < after + 2:
        raise ValueError(
            f"{names[0]} has windows or recordings of {min(hemo.n_frames)} frames ("
            f"{min(hemo.n_frames) * t_r:g} s), too few for deconvolution: a response lasts "
            f"{AFTER:g} s, so at least {after + 2} frames are needed."
        )
    electro = read_inputs(ele, options._frame_grid(), n_frames=frames, name=names[1])
    options._check_history(electro, LowRateGrid.from_tr(t_r, float(options.hrf_length)))
    check_same_frames(hemo, electro.table, kind)
    check_channels(electro)
    bands = check_bands(options.bands, electro.sfreq)
    clean = detrend_segments(hemo.values, electro.table, kind, t_r, options.detrend)
    scales = recording_scale(clean, electro.keys)
    raw_scales = recording_scale(hemo.values, electro.keys)
    regions = hemo.target_names
    if electro.target_names is not None and len(electro.target_names) == len(regions):
        regions = electro.target_names
    n_frames = frames if kind == "windows" else max(after + 2, int(options.window / t_r + 1e-6))
    drift = options.detrend if isinstance(options.detrend, str | None) else int(options.detrend)
    reading = Reading(
        kind, grid, PowerScaler(log=True),
        np.nanmean([mean for mean, _ in raw_scales.values()], axis=0),
        np.nanmean([scale for _, scale in scales.values()], axis=0),
        list(electro.ch_names), list(regions), bands, n_frames, electro.segments[0].frame_start,
        electro.sfreq, options.wavelet, float(options.n_cycles), drift, electro.info,
    )  # fmt: skip
    powers = _powers(electro, reading)
    reading.scaler.fit(powers, electro.keys)
    power = standard_power(electro, reading, powers)
    targets = []
    for value, whole, key in zip(clean, powers, electro.keys, strict=True):
        mean, scale = scales[key]
        target = (value - mean) / np.where(scale > 0, scale, 1.0)
        target[~full_history(whole[..., :-1], grid)] = np.nan
        targets.append(target)
    if not any(np.isfinite(target).any() for target in targets):
        raise ValueError(
            "No frame is left to learn from: all are scrubbed, follow less than "
            f"{options.hrf_length:g} s of signal, or have BAD spans in their history."
        )
    used = [p[..., :-1] for p in power]
    return PairedData(used, targets, electro.keys, electro.table, kind, grid), reading


def _check_counts(bold, kind: str, n_segments: int, names) -> None:
    n_bold = len(bold) if np.ndim(bold) == 3 or isinstance(bold, (list, tuple)) else 1
    if isinstance(bold, np.ndarray) and bold.dtype == object:
        n_bold = len(bold)
    if n_bold != n_segments:
        raise ValueError(
            f"{names[0]} has {n_bold} {kind} of BOLD, but {names[1]} has {n_segments} of "
            "electrophysiology."
        )


def _powers(ele: Electrophysiology, reading: Reading) -> list[np.ndarray]:
    """Band power in bins of one frame, history first, up to the end of the last frame."""
    longer = [replace(s, n_frames=s.n_frames + 1) for s in ele.segments]
    filters = band_filters(reading.wavelet, reading.bands, ele.sfreq, reading.n_cycles)
    return ele_power(replace(ele, segments=longer), reading.bands, reading.grid, filters)


def standard_power(
    ele: Electrophysiology, reading: Reading, powers: list[np.ndarray]
) -> list[np.ndarray]:
    """Log band power (n_channels, n_bands, n_bins) without drift, NaN where it is unknown."""
    unknown = [np.isnan(power[0, 0]) for power in powers]
    scaled = reading.scaler.transform(powers, ele.keys, ele.kind)
    rows = []
    for power, missing in zip(scaled, unknown, strict=True):
        flat = power.reshape(-1, power.shape[-1]).T.astype(np.float64)
        flat[missing] = np.nan
        rows.append(flat)
    clean = detrend_segments(rows, ele.table, ele.kind, reading.grid.t_r, reading.detrend)
    return [row.T.reshape(power.shape) for row, power in zip(clean, scaled, strict=True)]


def read_targets(options, y, reading: Reading, n_frames=None):
    """Log band power at the bins of frames, ``(n_channels, n_bands, n_frames)`` per segment.

    Returns
    -------
    ele : Electrophysiology
        As read.
    targets : list of array
        Standardised, without drift; NaN where there is no signal.
    """
    ele = read_ele(options, y, reading, n_frames)
    powers = standard_power(ele, reading, _powers(ele, reading))
    return ele, [power[..., reading.grid.n_lags :] for power in powers]


def check_ele(y) -> None:
    """Refuse what cannot be electrophysiology: nothing, labels."""
    if y is None or (not _is_mne(y) and np.ndim(y[0] if isinstance(y, list) else y) < 2):
        raise ValueError(
            "Electrophysiology is expected here: mne.Epochs, mne.io.Raw, a list of them, or "
            f"arrays; got data of shape {np.shape(y)}."
        )


def check_t_r_of_fit(options, reading: Reading) -> None:
    """Refuse another rate of frames: the filter from BOLD has its taps at those of ``fit``."""
    if float(options.t_r) != reading.grid.t_r:
        raise ValueError(
            f"The way back is tied to the t_r that it was fitted on ({reading.grid.t_r:g} s), got "
            f"t_r={options.t_r:g} s."
        )


def read_ele(options, y, reading: Reading, n_frames=None) -> Electrophysiology:
    """Read electrophysiology with the channels of ``fit``."""
    check_ele(y)
    check_t_r_of_fit(options, reading)
    grid = options._frame_grid()
    if grid.tmin is None and input_kind(y)[0] == "windows" and reading.kind == "windows":
        grid = replace(grid, tmin=-reading.window_start)
    return read_inputs(
        y, grid, n_frames=n_frames, ch_names=reading.ch_names, name="y",
        window_frames=reading.n_frames,
    )  # fmt: skip


def read_bold(
    options, X, reading: Reading, table: pd.DataFrame | None = None
) -> tuple[str, list[np.ndarray], bool]:
    """Standardised BOLD of windows or recordings, NaN where scrubbed or not measured.

    Recordings lose their own drift, mean and scale. Windows are taken in the mean and scale of
    training, and lose the drift of their recording where ``table`` says which frames of it they
    are: a window alone does not tell drift from signal.
    """
    check_bold(X, "X")
    check_t_r_of_fit(options, reading)
    kind, X, single = bold_kind(X)
    hemo: Haemodynamics = read_hemo(X, kind, len(X), name="X", may_lack=options._may_lack)
    n_targets = len(reading.target_names)
    if hemo.values[0].shape[1] != n_targets:
        raise ValueError(
            f"X has {hemo.values[0].shape[1]} regions, but the estimator was fitted on {n_targets}."
        )
    if min(hemo.n_frames) < 2:
        raise ValueError("X holds a single frame: too few for deconvolution.")
    values = hemo.values
    if kind == "recordings" or table is not None:
        values = detrend_segments(values, table, kind, reading.grid.t_r, reading.detrend)
    else:
        values = [value - reading.bold_mean for value in values]
    scales = [reading.bold_scale] * len(values)
    if kind == "recordings":
        keys = [(f"X[{i}]",) for i in range(len(values))]
        scales = [scale for _, scale in recording_scale(values, keys).values()]
    out = [v / np.where(s > 0, s, 1.0) for v, s in zip(values, scales, strict=True)]
    return kind, out, single
