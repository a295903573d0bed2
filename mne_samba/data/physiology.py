"""Physiology beside electrophysiology: its channels, and what of them drives BOLD.

Drives are those that the field regresses out of BOLD: heart rate and respiratory volume in windows
of 6 s [1]_, the diameter of the pupil, and other signals (motion, skin conductance) as they are.

References
----------
.. [1] Chang C., Cunningham J. P., Glover G. H. Influence of heart rate on the BOLD signal: the
   cardiac response function. NeuroImage 44 (2009).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import mne
import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

from ..wavelets.power import bin_means

# Seconds of the sliding windows of heart rate and respiratory volume.
WINDOW = 6.0
# Values per second in which R peaks are looked for, thresholds that are tried, and what the clock
# is slowed down by: MNE looks no further for half a second after each, which 120 per minute are.
_ECG_RATE, _THRESHOLDS, _SLOWER = 125.0, (0.6, 0.4, 0.8, 0.3, 1.0), 1.7
# Shares of the time that intervals of hearts must fill, and that are enough to look no further.
_LEAST, _ENOUGH = 0.6, 0.9
# Seconds between heartbeats, and how far they may be from those around, as a share of them.
_BETWEEN, _IRREGULAR = (0.3, 2.0), 0.3
# Share of the time that an eye is open, at least: of what was centred, half is below zero.
_OPEN = 0.6


def heart_rate(ecg: np.ndarray, sfreq: float) -> np.ndarray:
    """Heartbeats per minute (n_times,), at most 200, from an ECG (n_times,) by MNE's R peaks."""
    # Intervals that no heart has, or that stand out, are interpolated; means over 6 s.
    known = np.isfinite(ecg).sum() / sfreq
    every = max(1, int(sfreq / _ECG_RATE))
    ecg = signal_itself(ecg, sfreq)
    means = ecg[: len(ecg) // every * every].reshape(-1, every).mean(axis=1)
    info = mne.create_info(["ECG"], sfreq / every / _SLOWER, "ecg")
    raw = mne.io.RawArray(means[np.newaxis], info, verbose="ERROR")
    l_freq, h_freq = 5.0 / _SLOWER, min(35.0, 0.45 * sfreq / every) / _SLOWER
    found, filled = None, 0.0
    for threshold in _THRESHOLDS:
        events = mne.preprocessing.find_ecg_events(
            raw, ch_name="ECG", l_freq=l_freq, h_freq=h_freq, qrs_threshold=threshold,
            verbose="ERROR",
        )[0]  # fmt: skip
        middle, between = _intervals((events[:, 0] + 0.5) * every / sfreq)
        if between.sum() > filled * known:
            found, filled = (middle, between), between.sum() / known
        if filled > _ENOUGH:
            break
    if filled < _LEAST:
        raise ValueError(
            f"intervals between heartbeats fill {filled:.0%} of {known:.3g} s of a channel of type "
            "'ecg': mark it as bad, or set its type (raw.set_channel_types) to 'misc' where it is "
            "not an electrocardiogram but, say, heart rate itself."
        )
    middle, between = found
    return _smooth(np.interp(np.arange(len(ecg)) / sfreq, middle, 60.0 / between), sfreq)


def _intervals(peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles and lengths, in seconds, of the intervals between R peaks that a heart has."""
    between, middle = np.diff(peaks), (peaks[1:] + peaks[:-1]) / 2
    around = median_filter(between, 9, mode="nearest") if len(between) else between
    usual = np.abs(between / around - 1) < _IRREGULAR
    kept = usual & (between > _BETWEEN[0]) & (between < _BETWEEN[1])
    return middle[kept], between[kept]


def respiratory_volume(resp: np.ndarray, sfreq: float) -> np.ndarray:
    """Give the standard deviation (n_times,) of breathing (n_times,) in a sliding window of 6 s."""
    resp = signal_itself(resp, sfreq)
    resp = resp - resp.mean()
    variance = _smooth(resp**2, sfreq) - _smooth(resp, sfreq) ** 2
    return np.sqrt(np.maximum(variance, 0.0))


def pupil_diameter(pupil: np.ndarray, sfreq: float) -> np.ndarray:
    """Diameter (n_times,) of the pupil; blinks, which are not above zero, are interpolated."""
    open_ = np.asarray(pupil) > 0
    if 0 < open_.mean() < _OPEN:
        raise ValueError(
            f"only {open_.mean():.0%} of a channel of type 'pupil' is above zero, as diameters "
            "are; the rest would count as blinks. Where it was centred, set its type "
            "(raw.set_channel_types) to 'misc'; else mark it as bad."
        )
    return signal_itself(np.where(open_, pupil, np.nan), sfreq)


def signal_itself(signal: np.ndarray, sfreq: float) -> np.ndarray:
    """Signal (n_times,) as it is, with gaps (NaN) interpolated."""
    known = np.isfinite(signal)
    if not known.any():
        return np.zeros(len(signal))
    times = np.arange(len(signal))
    return np.interp(times, times[known], np.asarray(signal, float)[known])


def _smooth(signal: np.ndarray, sfreq: float) -> np.ndarray:
    return uniform_filter1d(signal, max(1, round(WINDOW * sfreq)), mode="nearest")


# What drives BOLD, by the type that MNE gives a channel.
DRIVES = {
    "ecg": heart_rate, "resp": respiratory_volume, "pupil": pupil_diameter, "misc": signal_itself,
    "gsr": signal_itself, "temperature": signal_itself,
}  # fmt: skip


def physiology_in(inst, wanted, bads: bool = False) -> list[int]:
    """Find the channels, (n_channels,), that names or types mean, with bad ones or without."""
    wanted, info = [wanted] if isinstance(wanted, str) else list(wanted or ()), inst.info
    kinds = info.get_channel_types()
    pairs = list(zip(info["ch_names"], kinds, strict=True))
    found = [i for i, (ch, kind) in enumerate(pairs) if ch in wanted or kind in wanted]
    if odd := [pairs[i] for i in found if kinds[i] not in DRIVES]:
        raise ValueError(
            f"physiology={wanted!r} takes {dict(odd)}, but drives of BOLD are known for channels "
            f"of types {list(DRIVES)}: set their type with raw.set_channel_types ('misc' for a "
            "signal that is to be taken as it is)."
        )
    return [i for i in found if bads or info["ch_names"][i] not in info["bads"]]


def shared_names(each: list[list[str]], wanted, called: list[str], may_lack: bool) -> list[str]:
    """Name the channels of physiology that all recordings have; others are dropped, or refused."""
    shared = [ch for ch in each[0] if all(ch in own for own in each)]
    for own, name in zip(each, called, strict=True):
        if not shared or (len(own) > len(shared) and not may_lack):
            raise ValueError(
                f"physiology={wanted!r} means the channels {list(own)[:8]} of {name}, but all "
                f"recordings together have {shared[:8]}. Give names or types of channels that all "
                "have, that are not bad and that make_windows was told of, or keep what they "
                "share: Reader(channels='match')."
            )
    return shared


@dataclass(frozen=True)
class Physiology:
    """Channels of physiology that were recorded beside a segment."""

    kinds: dict[str, str]  # name of every channel to its type
    read: Callable[[str], np.ndarray]  # samples (n_times,) of one
    _known: dict[str, np.ndarray] = field(default_factory=dict)  # drives that were asked for

    @classmethod
    def of(cls, inst, wanted, read: Callable[[int], np.ndarray]) -> Self | None:
        """Physiology of a recording, whose channels ``read`` gives by index; None if not wanted."""
        if wanted is None:
            return None
        where = {inst.info["ch_names"][i]: i for i in physiology_in(inst, wanted)}
        kinds = {ch: inst.get_channel_types([i])[0] for ch, i in where.items()}
        return cls(kinds, lambda ch: read(where[ch]))

    def drive(self, ch: str, edges: np.ndarray, sfreq: float) -> np.ndarray:
        """Drive of a channel in bins between edges (n_bins + 1,) in samples, (n_bins,)."""
        if ch not in self._known:
            self._known[ch] = DRIVES[self.kinds[ch]](self.read(ch), sfreq)
        return bin_means(self._known[ch][np.newaxis], edges)[0]
