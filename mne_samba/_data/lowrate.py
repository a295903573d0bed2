"""Band power on the low-rate grid on which frames lie, and its scale."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from mne.utils import ProgressBar, logger, warn

from ..nn.shannon import shannon_kernels
from ..nn.wavelet import CANONICAL_BANDS, band_power
from .power_cache import kept, power_key
from .reading import clean_reader
from .segments import Electrophysiology, Segment

# Bins per second that the grid aims at: BOLD cannot tell finer ones apart.
RATE = 2.0
# Numbers of a signal from which on a bar shows how far it is read.
_LONG = 1e8
# Nobody's power differs this much from others'; that of microvolts from volts differs by 1e12.
_OTHER_UNITS = 1e6


@dataclass(frozen=True)
class LowRateGrid:
    """Bins of equal width, of which a whole number fits between two frames.

    Attributes
    ----------
    t_r : float
        Seconds between frames.
    step : int
        Bins per frame.
    n_lags : int
        Bins of history that a frame depends on.
    """

    t_r: float
    step: int
    n_lags: int

    @classmethod
    def from_tr(cls, t_r: float, hrf_length: float, rate: float = RATE) -> LowRateGrid:
        """Grid for a repetition time, with a history of ``hrf_length`` seconds."""
        step = max(1, round(rate * t_r))
        return cls(t_r, step, max(1, int(hrf_length * step / t_r + 1e-6)))

    @property
    def dt(self) -> float:
        """Seconds per bin."""
        return self.t_r / self.step

    def n_bins(self, n_frames: int) -> int:
        """Bins that ``n_frames`` frames and their history take."""
        return self.n_lags + (n_frames - 1) * self.step


def check_bands(bands, sfreq: float) -> dict[str, tuple[float, float]]:
    """Return bands as name -> (low, high) in Hz, refusing those that the sampling rate cannot hold.

    Parameters
    ----------
    bands : dict | None
        Named bands; None takes the canonical ones below half the sampling rate.
    sfreq : float
        Sampling rate in Hz.
    """
    if bands is None:
        kept = {name: edges for name, edges in CANONICAL_BANDS.items() if edges[1] < sfreq / 2}
        if not kept:
            raise ValueError(f"sfreq={sfreq:g} Hz is too low for any EEG band; give bands.")
        if len(kept) < len(CANONICAL_BANDS):
            left = sorted(set(CANONICAL_BANDS) - set(kept))
            logger.info("Bands %s lie above half of sfreq=%g Hz and are left out.", left, sfreq)
        return kept
    if not isinstance(bands, dict) or not bands:
        raise ValueError(f"bands must be a dict of name: (low, high) in Hz, got {bands!r}.")
    out = {}
    for name, edges in bands.items():
        try:
            low, high = (float(edge) for edge in edges)
        except (TypeError, ValueError):
            raise ValueError(f"Band {name!r} must be (low, high) in Hz, got {edges!r}.") from None
        if not 0 < low < high < sfreq / 2:
            raise ValueError(
                f"Band {name!r} = ({low:g}, {high:g}) Hz must satisfy 0 < low < high < half the "
                f"sampling rate ({sfreq / 2:g} Hz)."
            )
        out[str(name)] = (low, high)
    return out


def segment_power(
    segment: Segment, sfreq: float, bands: dict, grid: LowRateGrid, filters: dict, ch_names
) -> np.ndarray:
    """Band power of one segment on the grid of its frames.

    Returns
    -------
    power : array, shape (n_channels, n_bands, n_bins), float32
        NaN in bins before the first sample and in BAD spans.

    Raises
    ------
    ValueError
        If the signal is not finite, with the names of its channels.
    """
    width = segment.frame_step / grid.step * sfreq
    start = segment.frame_start * sfreq - grid.n_lags * width
    n_bins = grid.n_bins(segment.n_frames)
    # Half a sample of missing history is a matter of rounding.
    missing = max(0, int(np.ceil((-start - 0.5) / width)))
    read = clean_reader(segment, sfreq)
    power = np.full((len(ch_names), len(bands), n_bins), np.nan, dtype=np.float32)
    if missing < n_bins:
        long = len(ch_names) * segment.n_times > _LONG
        bar = ProgressBar(n_bins - missing, mesg="Band power") if long else None
        # What is not finite is refused below, with its name.
        with np.errstate(invalid="ignore", over="ignore"):
            band_power(
                read, segment.n_times, sfreq, bands, out=power[:, :, missing:],
                start=start + missing * width, width=width, n_bins=n_bins - missing,
                progress=None if bar is None else bar.update, **filters,
            )  # fmt: skip
        broken = np.flatnonzero([not np.isfinite(p).all() for p in power[:, :, missing:]])
        if len(broken):
            raise ValueError(
                "X contains NaN, infinite or far too large values in channels "
                f"{[ch_names[c] for c in broken[:8]]}. Interpolate them, or annotate the spans as "
                "BAD in a Raw."
            )
    edges = start + width * np.arange(n_bins + 1)
    for low, high in segment.bad * sfreq:
        power[:, :, (edges[1:] > low) & (edges[:-1] < high)] = np.nan
    return power


def ele_power(
    ele: Electrophysiology, bands: dict, grid: LowRateGrid, filters: dict, memory=None
) -> list[np.ndarray]:
    """Band power of all segments, see `segment_power`; kept by ``memory``, a `joblib.Memory`."""
    out = []
    for segment in ele.segments:
        compute = partial(segment_power, segment, ele.sfreq, bands, grid, filters, ele.ch_names)
        if memory is None:
            out.append(compute())
        else:
            out.append(kept(memory, power_key(segment, ele.sfreq, bands, grid, filters), compute))
    return out


def band_filters(wavelet: str, bands: dict, sfreq: float, n_cycles: float) -> dict:
    """Options of `band_power` that give a wavelet's filters."""
    if wavelet == "morlet":
        return {"n_cycles": n_cycles}
    return {"kernels": shannon_kernels(bands, sfreq)}


def full_history(power: np.ndarray, grid: LowRateGrid) -> np.ndarray:
    """Say which frames have all bins of their history, (n_frames,)."""
    missing = np.isnan(power[0, 0]).astype(int)
    total = np.concatenate([[0], np.cumsum(missing)])
    first = np.arange(0, len(missing) - grid.n_lags + 1, grid.step)
    return total[first + grid.n_lags] == total[first]


class PowerScaler:
    """Centre and scale band power by training statistics of each recording.

    A recording is one sample and is scaled by its own power. Windows cannot be: they take what
    training saw of their recording, or of all recordings where theirs is new.

    Parameters
    ----------
    log : bool
        Take the logarithm of power first.
    """

    def __init__(self, log: bool = False):
        self.log = log
        self.stats: dict[tuple, tuple[np.ndarray, np.ndarray]] = {}
        self.pooled: tuple[np.ndarray, np.ndarray] | None = None

    def _values(self, power):
        if not self.log:
            return power
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(power, np.finfo(np.float32).tiny))

    def _measure(self, powers) -> tuple[np.ndarray, np.ndarray]:
        seen = [~np.isnan(power[0, 0]) for power in powers]
        if not any(s.any() for s in seen):
            raise ValueError("No sample of a recording is left outside its BAD spans.")
        mean, scale = np.empty((2, *powers[0].shape[:2]))
        # Channel by channel: double precision of whole recordings would be most of a fit's memory.
        for c in range(len(mean)):
            parts = [p[c][:, s] for p, s in zip(powers, seen, strict=True)]
            values = self._values(np.concatenate(parts, axis=-1)).astype(np.float64)
            mean[c], scale[c] = values.mean(-1), values.std(-1)
        return mean, np.where(scale > 0, scale, 1.0)

    def fit(self, powers: list[np.ndarray], keys: list[tuple]) -> PowerScaler:
        """Measure every training recording."""
        for key in dict.fromkeys(keys):
            self.stats[key] = self._measure(
                [p for p, k in zip(powers, keys, strict=True) if k == key]
            )
        means, scales = zip(*self.stats.values(), strict=True)
        self.pooled = np.mean(means, axis=0), np.mean(scales, axis=0)
        return self

    def transform(self, powers: list[np.ndarray], keys: list[tuple], kind: str) -> list[np.ndarray]:
        """Scale segments; bins without signal become the mean (zero)."""
        out = []
        if kind == "windows":
            self._check_units(powers, keys)
        for power, key in zip(powers, keys, strict=True):
            if kind == "recordings":
                mean, scale = self._measure([power])
            else:
                mean, scale = self.stats.get(key, self.pooled)
            scaled = np.empty_like(power)
            for c in range(len(power)):
                values = (self._values(power[c]) - mean[c][:, None]) / scale[c][:, None]
                scaled[c] = np.nan_to_num(values, nan=0.0)
            out.append(scaled)
        return out

    def _check_units(self, powers: list[np.ndarray], keys: list[tuple]) -> None:
        """Warn where windows, which keep the scale of training, come in other units."""
        larger = []
        for power, key in zip(powers, keys, strict=True):
            mean = self.stats.get(key, self.pooled)[0]
            with np.errstate(divide="ignore", invalid="ignore"):
                seen = self._values(power[..., ~np.isnan(power[0, 0])])
                if seen.shape[-1]:
                    now = seen.mean(-1, dtype=np.float64)
                    larger.append(np.median(now - mean if self.log else np.log(now / mean)))
        factor = np.exp(np.median(larger)) if larger else 1.0
        if not 1 / _OTHER_UNITS < factor < _OTHER_UNITS and np.isfinite(factor):
            warn(
                f"Band power in windows of X is about {factor:.0e} times that of training. Are "
                "both in the same units (volts, as MNE has it)? Windows keep the scale of "
                "training: predictions will be far off."
            )
