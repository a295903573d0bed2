"""Power of a bank's bands on a regular grid of bins that starts with the signal."""

from __future__ import annotations

import numpy as np
from mne.utils import ProgressBar

from ..data.bridging import clean_reader
from ..data.recordings import Recordings
from ..data.segments import Segment


def bin_powers(bank, rec: Recordings, rate: float) -> list[np.ndarray]:
    """Power (n_channels, n_bands, n_bins) of every segment, NaN in its BAD spans."""
    segments = rec.segments
    if sum(s.n_times for s in segments) > 3600 * rec.sfreq:
        segments = ProgressBar(segments, mesg="Band power")
    return [_bin_power(bank, segment, rec.sfreq, rate) for segment in segments]


def _bin_power(bank, segment: Segment, sfreq: float, rate: float) -> np.ndarray:
    """Power of one segment; what is left at its end is dropped."""
    n_bins = max(1, int(segment.n_times * rate / sfreq + 1e-6))
    width = min(sfreq / rate, float(segment.n_times))
    power = bank.power(
        clean_reader(segment, sfreq), segment.n_times, sfreq, start=0.0, width=width, n_bins=n_bins
    )
    edges = width * np.arange(n_bins + 1)
    for low, high in segment.bad * sfreq:
        power[:, :, (edges[1:] > low) & (edges[:-1] < high)] = np.nan
    return power


def limit_power(power: np.ndarray) -> np.ndarray:
    """Limit power (n_channels, n_bands, n_bins) to ten times its median: artefacts outweigh all."""
    seen = ~np.isnan(power[0, 0])
    if not seen.any():
        return power
    return np.minimum(power, 10.0 * np.median(power[:, :, seen], axis=-1, keepdims=True))


def refuse_flat(powers: list[np.ndarray], ch_names: list[str]) -> None:
    """Refuse channels that hold no signal in any segment (n_channels, n_bands, n_bins)."""
    total = sum(np.nansum(power, axis=(1, 2), dtype=np.float64) for power in powers)
    flat = [name for name, value in zip(ch_names, total, strict=True) if not value > 0]
    if flat:
        raise ValueError(
            f"X has channels without any power, {flat[:8]}: flat, or within BAD spans only. Mark "
            "them bad or leave them out."
        )
