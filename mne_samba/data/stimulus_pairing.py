"""Stimulus-based pairing: EEG/MEG of some people with fMRI of others, by what they saw or heard."""

from collections.abc import Sequence

import mne
import numpy as np
import pandas as pd
from mne.utils import logger

from .._checks import check_number
from .bold import read_hemo
from .missing import nan_mean

_NEEDED = ("onset", "duration", "label")


def pair_by_stimulus(
    raws: Sequence[mne.io.BaseRaw],
    bolds: Sequence,
    stimuli: Sequence[pd.DataFrame],
    bold_stimuli: Sequence[pd.DataFrame],
    *,
    t_r: float,
    average: bool = True,
    lead_in: float = 0.0,
    slice_time_ref: float = 0.0,
) -> tuple[list[mne.io.BaseRaw], list[pd.DataFrame], pd.DataFrame]:
    """Pair recordings of some people with BOLD of others who had the same stimuli.

    The stimuli of every recording are looked up by label in the BOLD runs. BOLD is read at the
    instants, counted from stimulus onset, at which the recording has its frames, and put in the
    order in which that recording's person had the stimuli.

    Parameters
    ----------
    raws : list of mne.io.Raw
        EEG or MEG recordings.
    bolds : list of array or DataFrame, shape (n_frames, n_targets)
        BOLD runs of other people; rows of NaN are scrubbed frames.
    stimuli, bold_stimuli : list of DataFrame
        Of every recording, and of every BOLD run: ``onset`` (s; from the recording's first sample,
        or from the start of the run's first volume), ``duration`` (s) and ``label``.
    t_r : float
        Repetition time, s, of the runs and of the result.
    average : bool
        Average over the runs that have a stimulus, each standardised first: what people share
        stays, what is one's own goes. False takes the first run that has it.
    lead_in : float
        Seconds after onset whose frames are left out: they still carry the response to the
        stimulus before, which other people had in another order.
    slice_time_ref : float
        Where in a volume its time lies, 0 to 1.

    Returns
    -------
    raws : list of mne.io.Raw
        Those recordings that share a stimulus with some run.
    bolds : list of DataFrame, shape (n_frames, n_targets)
        BOLD on each recording's own frame grid, ``k * t_r`` seconds after the first sample; NaN
        where no run has a stimulus.
    pairs : DataFrame
        One row per recording and stimulus: ``recording``, ``label``, ``onset``, ``n_runs`` and
        ``n_frames``.

    Raises
    ------
    ValueError
        If lengths disagree, tables lack columns, or nothing is shared.

    Notes
    -----
    Two runs with the same person's own recording are better: stimulus-based pairing carries only
    what stimuli evoke in everyone.

    Examples
    --------
    >>> raws, bolds, pairs = pair_by_stimulus(
    ...     eeg, fmri, eeg_stimuli, fmri_stimuli, t_r=2.0
    ... )  # doctest: +SKIP
    >>> SambaTranslator(t_r=2.0).fit(raws, bolds)  # doctest: +SKIP
    """
    t_r = check_number(t_r, "t_r", low=0, low_open=True)
    lead_in = check_number(lead_in, "lead_in", low=0)
    slice_time_ref = check_number(slice_time_ref, "slice_time_ref", low=0, high=1)
    for name, value in (
        ("raws", raws), ("bolds", bolds), ("stimuli", stimuli), ("bold_stimuli", bold_stimuli),
    ):  # fmt: skip
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{name} must be a list, got {type(value).__name__}.")
    raws, bolds = list(raws), list(bolds)
    for raw in raws:
        if not isinstance(raw, mne.io.BaseRaw):
            raise TypeError(f"raws must hold mne.io.Raw, got {type(raw).__name__}.")
    if not raws or not bolds:
        raise ValueError("At least one recording and one BOLD run are needed.")
    if len(stimuli) != len(raws) or len(bold_stimuli) != len(bolds):
        raise ValueError(
            f"One table of stimuli is needed per recording ({len(raws)}) and per BOLD run "
            f"({len(bolds)}), got {len(stimuli)} and {len(bold_stimuli)}."
        )
    tables = [_table(t, f"stimuli[{i}]") for i, t in enumerate(stimuli)]
    shown = [_table(t, f"bold_stimuli[{i}]") for i, t in enumerate(bold_stimuli)]
    hemo = read_hemo(bolds, "recordings", len(bolds), name="bolds")
    runs = [_standard(value) for value in hemo.values] if average else hemo.values
    kept, out, rows = [], [], []
    for i, (raw, table) in enumerate(zip(raws, tables, strict=True)):
        duration = raw.n_times / raw.info["sfreq"]
        times = t_r * np.arange(int(np.floor(duration / t_r + 1e-6)))
        values = np.full((len(times), runs[0].shape[1]), np.nan)
        for stimulus in table.itertuples(index=False):
            inside = (times >= stimulus.onset + lead_in - 1e-9) & (
                times < stimulus.onset + stimulus.duration - 1e-9
            )
            found = [
                _read(run, own, stimulus.label, times[inside] - stimulus.onset, t_r, slice_time_ref)
                for run, own in zip(runs, shown, strict=True)
            ]
            found = [part for part in found if part is not None]
            if not average:
                found = found[:1]
            if found and inside.any():
                values[inside] = nan_mean(found)
            rows.append({
                "recording": i, "label": stimulus.label, "onset": stimulus.onset,
                "n_runs": len(found),
                "n_frames": int(np.isfinite(values[inside]).all(axis=1).sum()),
            })  # fmt: skip
        if np.isfinite(values).any():
            kept.append(raw)
            out.append(pd.DataFrame(values, columns=hemo.target_names))
        else:
            logger.info("Recording %d shares no stimulus with any BOLD run: left out.", i)
    pairs = pd.DataFrame(rows)
    if not kept:
        raise ValueError(
            "No recording shares a stimulus with any BOLD run: labels of recordings are "
            f"{sorted({str(row['label']) for row in rows})[:8]}, of runs "
            f"{sorted({str(label) for t in shown for label in t['label']})[:8]}."
        )
    return kept, out, pairs


def _table(table, name: str) -> pd.DataFrame:
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{name} must be a DataFrame with {_NEEDED}, got {type(table).__name__}.")
    missing = [column for column in _NEEDED if column not in table.columns]
    if missing:
        raise ValueError(f"{name} lacks the columns {missing}; it has {list(table.columns)[:8]}.")
    times = table[["onset", "duration"]].to_numpy(dtype=float)
    if not np.isfinite(times).all() or (times[:, 1] <= 0).any():
        raise ValueError(f"{name} must have finite onsets and positive durations, in seconds.")
    return table[list(_NEEDED)].sort_values("onset")


def _standard(values: np.ndarray) -> np.ndarray:
    scale = np.nanstd(values, axis=0)
    return (values - np.nanmean(values, axis=0)) / np.where(scale > 0, scale, 1.0)


def _read(run, table, label, times, t_r, slice_time_ref) -> np.ndarray | None:
    """Read BOLD at times from the onset of a stimulus, averaged over its repetitions."""
    parts = []
    for onset in table.loc[table["label"] == label, "onset"]:
        position = (onset + times) / t_r - slice_time_ref
        before = np.floor(position + 1e-9).astype(int)
        share = np.clip(position - before, 0.0, 1.0)[:, None]
        after = np.where(share[:, 0] > 1e-9, before + 1, before)
        inside = (before >= 0) & (after < len(run))
        part = np.full((len(times), run.shape[1]), np.nan)
        early, late = run[before[inside]], run[after[inside]]
        part[inside] = (1 - share[inside]) * early + share[inside] * late
        parts.append(part)
    return nan_mean(parts) if parts else None
