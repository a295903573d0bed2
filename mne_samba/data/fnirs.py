"""Haemodynamics by light: haemoglobin of fNIRS recordings as frames, a column per channel."""

from typing import Any

import mne
import numpy as np
import pandas as pd

from .._checks import check_number, first_of
from .channels import bad_spans

HEMOGLOBIN = ("hbo", "hbr")
# Seconds between frames that samples are averaged to by default: responses have nothing faster.
T_R = 0.5
_CONVERT = {
    "fnirs_cw_amplitude": (
        "raw intensity of light",
        "od = mne.preprocessing.nirs.optical_density(raw), then "
        "mne.preprocessing.nirs.beer_lambert_law(od, ppf=6.0)",
    ),
    "fnirs_od": ("optical density", "mne.preprocessing.nirs.beer_lambert_law(raw, ppf=6.0)"),
}


def is_fnirs(item) -> bool:
    """Whether an object is a Raw with channels of fNIRS."""
    kinds = item.get_channel_types(unique=True) if isinstance(item, mne.io.BaseRaw) else ()
    return any(kind in HEMOGLOBIN or kind.startswith("fnirs") for kind in kinds)


def fnirs_frames(raw: mne.io.BaseRaw, t_r: float | None = None, *, name: str = "raw") -> Any:
    """Average haemoglobin of an fNIRS recording to frames.

    Estimators do this themselves where y (X on the way back) holds such recordings.

    Parameters
    ----------
    raw : mne.io.Raw
        Recording with channels of type "hbo" and "hbr" (either, or both); bad ones are left out.
    t_r : float | None
        Seconds between frames, not shorter than a sampling interval; None takes 0.5 s.
    name : str
        What to call it in errors.

    Returns
    -------
    frames : DataFrame, shape (n_frames, n_channels)
        In M. Frame k is the mean of the samples within ``t_r / 2`` of ``k * t_r`` seconds after the
        first sample; NaN where one of them lies in a BAD span. ``attrs`` hold ``t_r``, and
        ``optodes``, places of source and detector in m.

    Raises
    ------
    ValueError
        If channels hold intensity or optical density, with the function of MNE that converts them.

    Examples
    --------
    >>> bold = fnirs_frames(raw)  # doctest: +SKIP
    >>> SambaTranslator(model=CoreModel(hrf_bounds="fnirs")).fit([eeg], [bold])  # doctest: +SKIP
    """
    kinds = raw.get_channel_types()
    bads = set(raw.info["bads"])
    index = [
        i for i, kind in enumerate(kinds) if kind in HEMOGLOBIN and raw.ch_names[i] not in bads
    ]
    if not index:
        _refuse(raw, kinds, name)
    sfreq = raw.info["sfreq"]
    if t_r is None:
        t_r = max(T_R, 1 / sfreq)
    t_r = check_number(t_r, "t_r", low=0, low_open=True)
    if t_r < 1 / sfreq * (1 - 1e-6):
        raise ValueError(
            f"t_r={t_r:g} s is shorter than the sampling interval of {name}, {1 / sfreq:g} s."
        )
    values = raw.get_data(picks=index).T
    n_frames = int(np.floor((raw.n_times - 1) / sfreq / t_r + 1e-6)) + 1
    centres = np.arange(n_frames) * t_r * sfreq
    half = 0.5 * t_r * sfreq
    first = np.clip(np.ceil(centres - half - 1e-6), 0, raw.n_times - 1).astype(int)
    stop = np.clip(np.ceil(centres + half - 1e-6), first + 1, raw.n_times).astype(int)
    # Samples that are NaN do not count; a frame without one that does is missing.
    known = np.isfinite(values).all(axis=1)
    total = np.cumsum(np.where(known[:, None], values, 0.0), axis=0)
    total = np.concatenate([np.zeros((1, len(index))), total])
    count = np.concatenate([[0.0], np.cumsum(known)])
    with np.errstate(invalid="ignore"):
        frames = (total[stop] - total[first]) / (count[stop] - count[first])[:, None]
    names = [raw.ch_names[i] for i in index]
    for begin, end in bad_spans(raw, names) * sfreq:
        frames[(stop > begin) & (first < end)] = np.nan
    table = pd.DataFrame(frames, columns=names)
    places = np.array([raw.info["chs"][i]["loc"][3:9] for i in index], dtype=float)
    table.attrs = {"t_r": float(t_r), "optodes": places.tolist()}
    return table


def _refuse(raw, kinds: list[str], name: str) -> None:
    """Say what a recording without haemoglobin holds, and what makes it of that."""
    kind = next((kind for kind in _CONVERT if kind in kinds), None)
    if kind is None:
        raise ValueError(
            f"{name} has no channel of haemoglobin (hbo, hbr) that is not bad; its channels are of "
            f"type {sorted(set(kinds))}."
        )
    what, how = _CONVERT[kind]
    waves = [ch["loc"][9] for ch, k in zip(raw.info["chs"], kinds, strict=True) if k == kind]
    if not (np.isfinite(waves).all() and np.all(np.asarray(waves) > 0)):
        raise ValueError(
            f"{name} holds {what} of channels without wavelengths, of which no haemoglobin can be "
            "made: set them in nm, raw.info['chs'][i]['loc'][9] = 760.0, as the maker of the "
            f"device says. Then convert: {how}."
        )
    raise ValueError(f"{name} holds {what}, but haemoglobin is expected: convert it, {how}.")


def optodes_of(y) -> np.ndarray | None:
    """Places (n_targets, 6) of source and detector of channels of fNIRS, where y tells them."""
    first = first_of(y)
    told = first.attrs.get("optodes") if isinstance(first, pd.DataFrame) else None
    if told is None or len(told) != first.shape[1]:
        return None
    return np.array(told, dtype=float)
