"""Recordings of different scanners and amplifiers brought to one rate of frames and samples."""

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from mne.utils import logger
from scipy.interpolate import CubicSpline
from scipy.signal import butter, sosfiltfilt

from .._checks import check_number, check_option
from ..data.channels import picked
from ._bids import BidsPair
from ._scan import mark_frames


def harmonize(
    pairs: Sequence[BidsPair], *, t_r: float | None = None, sfreq: float | None = None,
    channels: str | None = None,
) -> list[BidsPair]:  # fmt: skip
    """Bring runs to one repetition time, one sampling rate and one set of regions.

    An estimator needs one ``t_r`` and one sampling rate. What a run looks like after this belongs
    to the run itself (its rows of BOLD, its annotations), so that it survives every kind of
    indexing, also that of scikit-learn's splitters.

    Parameters
    ----------
    pairs : list of BidsPair
        Runs, of one or several people.
    t_r : float | None
        Wanted repetition time, s. None takes the longest there is, which invents no frames.
    sfreq : float | None
        Wanted sampling rate, Hz. None takes the lowest there is.
    channels : None | "match"
        Keep the good channels that all runs share ("FP1" and "Fp1" are one), or leave channels to
        the estimator.

    Returns
    -------
    pairs : list of BidsPair
        Copies; runs that need no change share their recording with the input. Regions that a run
        lacks are columns of NaN, which training leaves out.

    Raises
    ------
    ValueError
        If there are no runs, a run has too few frames, or ``t_r`` is far shorter than theirs.

    Notes
    -----
    BOLD goes to another repetition time by a cubic spline through its measured frames, after a
    low-pass filter where the new frames are further apart. A new frame is measured where both of
    its neighbours were; others are NaN.

    Examples
    --------
    >>> pairs = harmonize(pairs)  # doctest: +SKIP
    >>> translator = SambaTranslator(t_r=pairs[0].t_r, reader=pairs[0].reader)  # doctest: +SKIP
    >>> translator.fit([p.raw for p in pairs], [p.bold for p in pairs])  # doctest: +SKIP
    """
    if not isinstance(pairs, Iterable):
        raise TypeError(f"pairs must be a list of BidsPair, got {pairs!r:.60}.")
    pairs = list(pairs)
    for pair in pairs:
        if not isinstance(pair, BidsPair):
            raise TypeError(
                "pairs must hold BidsPair, as read_bids_pair gives them (or made by hand: raw, "
                f"bold, t_r, frame_times, ...), got {type(pair).__name__}."
            )
    if not pairs:
        raise ValueError("pairs is empty: at least one run is needed.")
    longest, lowest = max(p.t_r for p in pairs), min(p.raw.info["sfreq"] for p in pairs)
    t_r = longest if t_r is None else check_number(t_r, "t_r", low=0, low_open=True)
    if t_r < 0.1 * longest:
        raise ValueError(
            f"t_r={t_r:g} s is less than a tenth of the {longest:g} s at which BOLD was acquired: "
            "frames cannot be invented. Is t_r in seconds?"
        )
    sfreq = lowest if sfreq is None else check_number(sfreq, "sfreq", low=0, low_open=True)
    check_option(channels, "channels", (None, "match"))
    shared = _shared_channels(pairs) if channels == "match" else None
    columns = list(dict.fromkeys(c for pair in pairs for c in pair.bold.columns))
    out = []
    for pair in pairs:
        new = copy.copy(pair)
        notes = {}
        if pair.raw.info["sfreq"] != sfreq:
            logger.info("%s: resampled from %g to %g Hz.", pair.name, pair.raw.info["sfreq"], sfreq)
            new.raw = pair.raw.copy().load_data(verbose="ERROR").resample(sfreq, verbose="ERROR")
            notes["resampled_from_sfreq"] = float(pair.raw.info["sfreq"])
        if shared is not None and new.raw.ch_names != shared:
            new.raw = _with_channels(new.raw, shared)
        lacking = [c for c in columns if c not in pair.bold.columns]
        new.bold = pair.bold.reindex(columns=columns)
        if lacking:
            logger.info("%s: regions %s are not there; they are NaN.", pair.name, lacking[:8])
        if abs(pair.t_r / t_r - 1) > 1e-6:
            logger.info("%s: BOLD brought from t_r=%g to %g s.", pair.name, pair.t_r, t_r)
            times, values = resample_bold(new.bold.to_numpy(), pair.frame_times, t_r)
            new.bold = pd.DataFrame(values, columns=columns)
            new.frame_times, new.t_r = times, t_r
            notes["resampled_from_t_r"] = pair.t_r
            new.raw = new.raw.copy()
            mark_frames(new.raw, times)
        new.provenance = {**pair.provenance, **notes, "sfreq": float(sfreq)}
        new.bold.attrs |= {"t_r": new.t_r, "provenance": new.provenance}
        out.append(new)
    return out


def _shared_channels(pairs) -> list[str]:
    """Good data channels of all runs, in the order and spelling of the first."""
    every = [
        {p.raw.ch_names[i].casefold(): p.raw.ch_names[i] for i in picked(p.raw, None)}
        for p in pairs
    ]
    shared = [ch for key, ch in every[0].items() if all(key in names for names in every)]
    if not shared:
        raise ValueError(f"The runs {[p.name for p in pairs][:8]} share no channel.")
    kept = {ch.casefold() for ch in shared}
    dropped = sorted({ch for names in every for key, ch in names.items() if key not in kept})
    if dropped:
        logger.info('channels="match": %d channels kept, dropped %s.', len(shared), dropped)
    return shared


def _with_channels(raw, names: list[str]):
    """Copy with these channels alone; they may be spelt "FP1" here and "Fp1" there."""
    by_key = {raw.ch_names[i].casefold(): raw.ch_names[i] for i in picked(raw, None)}
    here = [by_key[name.casefold()] for name in names]
    raw = raw.copy().pick(here, exclude=()).reorder_channels(here)
    spelt = {old: new for old, new in zip(here, names, strict=True) if old != new}
    if spelt:
        logger.info("Channels spelt otherwise in another run: renamed %s.", spelt)
        raw.rename_channels(spelt, verbose="ERROR")
    return raw


def resample_bold(values, times, t_r: float) -> tuple[np.ndarray, np.ndarray]:
    """Bring BOLD (n_frames, n_targets) to frames ``t_r`` apart: times (n_new,) and values."""
    # From the first frame on, none after the last; NaN where a neighbour was not measured.
    values, times = np.asarray(values, dtype=float), np.asarray(times, dtype=float)
    step = (times[-1] - times[0]) / max(len(times) - 1, 1)
    regions = ~np.isnan(values).all(axis=0)
    measured = np.isfinite(values[:, regions]).all(axis=1)
    if measured.sum() < 4:
        raise ValueError(f"Only {int(measured.sum())} frames are measured: too few to resample.")
    n_new = int(np.floor((times[-1] - times[0]) / t_r + 1e-6)) + 1
    new_times = times[0] + t_r * np.arange(n_new)
    filled = np.column_stack(
        [np.interp(times, times[measured], column[measured]) for column in values[:, regions].T]
    )
    if t_r > step * (1 + 1e-6):
        # Below the new Nyquist frequency, or fast fluctuations would come back as slow ones.
        low_pass = butter(4, 0.8 * step / t_r, output="sos")
        padding = min(len(times) - 1, 3 * int(np.ceil(t_r / step)) * 4)
        filled = sosfiltfilt(low_pass, filled, axis=0, padlen=padding)
    out = np.full((n_new, values.shape[1]), np.nan)
    out[:, regions] = CubicSpline(times, filled)(new_times)
    position = (new_times - times[0]) / step
    before = np.clip(np.floor(position + 1e-6).astype(int), 0, len(times) - 1)
    after = np.clip(np.ceil(position - 1e-6).astype(int), 0, len(times) - 1)
    out[~(measured[before] & measured[after])] = np.nan
    return new_times, out
