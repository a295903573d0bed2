"""Band power on the low-rate grid on which frames lie, and its scale."""

import contextlib
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import numpy as np
from mne.utils import ProgressBar, warn

from .._checks import check_number
from .._drift import detrend
from ..arrays import array
from ..unmixing import SpatialFilter
from ..wavelets import Discrete, Morlet, Precomputed, Shannon, as_bank
from ..wavelets.power import bin_means
from .bridging import clean_reader
from .power_cache import check_memory, kept, power_key, recent
from .recordings import Recordings
from .segments import Segment

# Bins per second that the grid aims at: BOLD cannot tell finer ones apart.
RATE = 2.0
# Numbers of a signal from which on a bar shows how far it is read.
_LONG = 1e8
# Bytes of power in double precision that are held at once: of whole recordings they would be most
# of a fit's memory. Channels that are, at least: a long recording's drift is read for every block.
_BLOCK_BYTES, _LEAST_CHANNELS = 2e6, 4
# Parts of a bin where frames are irregular.
_FINER = 4
# Nobody's power differs this much from others'; that of microvolts from volts differs by 1e12.
_OTHER_UNITS = 1e6


@dataclass(frozen=True)
class LowRateGrid:
    """Bins of equal width, of which a whole number fits between two frames."""

    t_r: float  # seconds between frames
    step: int  # bins per frame
    n_lags: int  # bins of history that a frame depends on

    def _sizes(self) -> dict[str, int]:
        return {"n_lags": self.n_lags}

    def check(self) -> None:
        """Refuse what no grid has, as read from a file."""
        check_number(self.t_r, "t_r", low=0, low_open=True)
        check_number(self.step, "step", low=1, integer=True)
        check_number(self.n_lags, "n_lags", low=1, integer=True)

    @classmethod
    def from_tr(cls, t_r: float, hrf_length: float, rate: float = np.inf) -> Self:
        """Grid for a repetition time, with a history of ``hrf_length`` seconds.

        Bins are no shorter than values of power that come at ``rate`` per second, unless frames
        are.
        """
        step = max(1, round(min(RATE * t_r, np.floor(rate * t_r + 1e-6))))
        return cls(t_r, step, max(1, int(hrf_length * step / t_r + 1e-6)))

    @property
    def dt(self) -> float:
        """Seconds per bin."""
        return self.t_r / self.step

    def n_bins(self, n_frames: int) -> int:
        """Bins that ``n_frames`` frames and their history take."""
        return self.n_lags + (n_frames - 1) * self.step


@dataclass(frozen=True)
class BandPower:
    """What a model sees of electrophysiology: the power of its bands in bins before frames."""

    bank: Shannon | Morlet | Discrete | Precomputed  # its bands are filled in
    grid: LowRateGrid
    spatial: SpatialFilter | None = None  # applied to channels as they are read

    def _sizes(self) -> dict[str, int]:
        return {"n_bands": len(self.bands)}

    def check(self) -> None:
        """Refuse bands that no signal has, as read from a file."""
        for name, (low, high) in self.bands.items():
            known = np.isfinite([low, high]).all() or not isinstance(self.bank, Precomputed)
            if known and (not 0 <= low <= high < np.inf or not high):
                raise ValueError(f"Band {name!r} goes from {low} to {high} Hz.")

    @property
    def bands(self) -> dict[str, tuple[float, float]]:
        """Name to (low, high) in Hz."""
        return self.bank.band_edges

    def at(self, t_r: float) -> Self:
        """Take the same bands before frames of another repetition time."""
        if t_r == self.grid.t_r:
            return self
        length = self.grid.n_lags * self.grid.dt
        return replace(self, grid=LowRateGrid.from_tr(t_r, length, self.bank.rate))

    def grids(self, rec: Recordings) -> list[LowRateGrid] | None:
        """Bins of every segment; None where all have those of ``grid``."""
        return [self.at(t_r).grid for t_r in rec.t_rs] if np.ndim(rec.t_rs) else None

    def by_band(self, gradient: np.ndarray) -> np.ndarray:
        """Gradients by features (..., n_bands, n_lags) as those by bands: they are the same."""
        return gradient

    def nodes(self, rec: Recordings) -> Recordings:
        """Give recordings the names and places of what is measured: channels, or components."""
        if self.spatial is None or self.spatial.method == "whiten":
            return rec
        return replace(rec, ch_names=list(self.spatial.names), info=None)

    def measure(self, rec: Recordings, memory=None) -> list[np.ndarray]:
        """Measure power (n_channels, n_bands, n_bins) of segments, of components if there are."""
        memory, out = check_memory(memory), []
        grids = self.grids(rec) or [self.grid] * len(rec)
        for segment, grid in zip(rec.segments, grids, strict=True):
            own = self if grid == self.grid else replace(self, grid=grid)
            compute = partial(own._of_segment, sfreq=rec.sfreq, ch_names=rec.ch_names)
            if memory is None:
                out.append(recent.of(segment, rec.sfreq, own, compute))
            else:
                key = power_key(segment, rec.sfreq, own)
                out.append(kept(memory, key, partial(compute, segment)))
        return out

    def _of_segment(self, segment: Segment, sfreq: float, ch_names) -> np.ndarray:
        """Band power (n_channels, n_bands, n_bins) of one segment."""
        grid, n_bands = self.grid, len(self.bands)
        n_bins = grid.n_bins(segment.n_frames)
        edges = segment.bin_edges(grid.step, grid.n_lags, n_bins, sfreq)
        # Half a sample of missing history is a matter of rounding.
        missing = int(np.sum(edges[:-1] < -0.5))
        n_nodes = len(ch_names) if self.spatial is None else len(self.spatial.names)
        power = np.full((n_nodes, n_bands, n_bins), np.nan, dtype=np.float32)
        if missing < n_bins:
            self._fill(power[:, :, missing:], edges[missing:], segment, sfreq)
            broken = np.flatnonzero([not np.isfinite(p).all() for p in power[:, :, missing:]])
            if len(broken) and self.spatial is not None:
                # A filter spreads one broken channel over all components.
                return replace(self, spatial=None)._of_segment(segment, sfreq, ch_names)
            # Power from elsewhere may be unknown.
            if len(broken) and not isinstance(self.bank, Precomputed):
                raise ValueError(
                    "X contains NaN, infinite or far too large values in channels "
                    f"{[ch_names[c] for c in broken[:8]]}. Interpolate them, or annotate the spans "
                    "as BAD in a Raw."
                )
        power[:, :, segment.in_bad(edges, sfreq)] = np.nan
        return power

    def _fill(self, out: np.ndarray, edges: np.ndarray, segment: Segment, sfreq: float) -> None:
        """Write the power between edges (n_bins + 1,) to ``out`` (n_channels, n_bands, n_bins)."""
        width, equal = segment.frame_step / self.grid.step * sfreq, out
        if len(segment.late):
            # Wavelets average in equal bins: of finer ones, the unequal ones are put together.
            width /= _FINER
            n_fine = int(np.ceil((edges[-1] - edges[0]) / width)) + 1
            equal = np.empty((*out.shape[:2], n_fine), dtype=np.float32)
        long = len(out) * segment.n_times > _LONG
        bar = ProgressBar(equal.shape[-1], mesg="Band power") if long else None
        read = clean_reader(segment, sfreq)
        read = read if self.spatial is None else self.spatial.reader(read)
        # What is not finite is refused afterwards, with its name.
        with np.errstate(invalid="ignore", over="ignore"):
            self.bank.power(
                read, segment.n_times, sfreq, start=edges[0], width=width,
                n_bins=equal.shape[-1], out=equal, progress=None if bar is None else bar.update,
            )  # fmt: skip
        if equal is not out:
            place = (edges - edges[0]) / width
            for values, fine in zip(out, equal, strict=True):
                values[:] = bin_means(fine.astype(float), place)


def bank_for(bands, rec: Recordings):
    """Bands of recordings: those that their signals can show, or that were measured elsewhere."""
    bank = as_bank(bands)
    if isinstance(bank, Precomputed):
        return bank.resolve({"power": ()} if rec.bands is None else rec.bands, rec.sfreq)
    if rec.bands is not None:
        raise ValueError(
            f"The input holds power of {len(rec.bands)} bands, measured elsewhere: say its scale, "
            "bands=Precomputed('log') or Precomputed('linear') of mne_samba.wavelets; got "
            f"bands={bands!r:.80}. (Windows of signals are one array of shape (n_windows, "
            "n_channels, n_times), not a list.)"
        )
    bank = bank.resolve(rec.sfreq, min(segment.n_times for segment in rec.segments))
    _warn_of_filters(bank.band_edges, rec.info)
    return bank


def _warn_of_filters(bands: dict, info) -> None:
    """Warn of bands (name to edges in Hz) that filters have taken away."""
    if info is None:
        return
    low, high = info["highpass"], info["lowpass"]
    gone = [name for name, edges in bands.items() if edges[1] <= low or edges[0] >= high]
    if gone:
        left = {name: edges for name, edges in bands.items() if name not in gone}
        warn(
            f"X was filtered to {low:g}-{high:g} Hz (info['highpass'], info['lowpass']): of the "
            f"bands {gone} nothing is left but what leaks from others. Use the signal before that "
            f"filter, or the bands that are there, bands={left}."
        )


@dataclass(frozen=True)
class TableRows:
    """What a model sees of a table: every row as a frame with one bin and no history."""

    grid: LowRateGrid = LowRateGrid(t_r=1.0, step=1, n_lags=1)

    @property
    def bands(self) -> dict[str, tuple[float, float]]:
        """One band, which has no edges."""
        return {"all": (np.nan, np.nan)}

    def at(self, t_r: float) -> Self:
        """Return itself: rows have no rate."""
        return self

    def measure(self, rec: Recordings, memory=None) -> list[np.ndarray]:
        """Take columns as power, a list of one array (n_features, 1, n_rows)."""
        return [np.array(s.read(0, s.n_times))[:, np.newaxis] for s in rec.segments]


def full_history(power: np.ndarray, grid: LowRateGrid) -> np.ndarray:
    """Say which frames have all bins of their history, (n_frames,)."""
    return whole_history(np.isnan(power[0, 0]), grid)


def whole_history(missing: np.ndarray, grid: LowRateGrid) -> np.ndarray:
    """Say which frames have no bin in their history that is ``missing`` (n_bins,): (n_frames,)."""
    total = np.concatenate([[0], np.cumsum(missing)])
    first = np.arange(0, len(missing) - grid.n_lags + 1, grid.step)
    return total[first + grid.n_lags] == total[first]


def _blocks_of_channels(powers) -> list[slice]:
    """Channels of power (n_channels, n_bands, n_bins) whose double precision is held at once."""
    one = 8 * sum(power[0].size for power in powers)
    size = max(_LEAST_CHANNELS, int(_BLOCK_BYTES / max(one, 1)))
    return [slice(i, i + size) for i in range(0, len(powers[0]), size)]


@dataclass(frozen=True)
class PowerScaler:
    """Centre and scale band power by training statistics of each recording.

    A recording is one sample and is scaled by its own power. Windows cannot be: they take what
    training saw of their recording, or of all recordings where theirs is new. ``mean`` and
    ``scale`` are of every training recording, then averaged over them. Recordings lose the slow
    drift that their BOLD loses: left in on one side, it takes the place of what both share.
    """

    log: bool = False  # take the logarithm of power first
    keys: list[tuple[str, ...]] = field(default_factory=list, metadata={"dims": ("n_recordings",)})
    mean: np.ndarray | None = array("n_recordings+1", "n_channels", "n_features", optional=True)
    scale: np.ndarray | None = array("n_recordings+1", "n_channels", "n_features", optional=True)
    detrend: str | int | None = None  # slow drift that recordings lose
    dt: float = 0.0  # seconds per bin

    def without_drift(self, method, grid: LowRateGrid) -> Self:
        """Give the same scaler for recordings that lose their drift."""
        method = method if isinstance(method, str | None) else int(method)
        return replace(self, detrend=method, dt=grid.dt)

    def _clean(self, values: np.ndarray) -> np.ndarray:
        """Values (..., n_bins) of a recording without drift; NaN stays where it is."""
        shape, values = values.shape, values.reshape(-1, values.shape[-1])
        known = np.flatnonzero(~np.isnan(values[0]))
        if self.detrend is None or not len(known):
            return values.reshape(shape)
        # What lies before the first known bin, such as missing history, is no part of it.
        out, span = np.array(values, dtype=np.float64), slice(known[0], known[-1] + 1)
        with contextlib.suppress(ValueError):  # few bins have a mean, but no drift to tell
            out[:, span] = detrend(out[:, span].T, self.dt, self.detrend).T
        return out.reshape(shape)

    def _values(self, power):
        """Power on the scale that is standardised."""
        if not self.log:
            return power
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(power, np.finfo(np.float32).tiny))

    def _measure(self, powers) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale (n_channels, n_bands) of segments together."""
        seen = [~np.isnan(power[0, 0]) for power in powers]
        if not any(s.any() for s in seen):
            raise ValueError(
                "No sample of a recording is left outside its BAD spans and the edges that filters "
                "need: give more than a few seconds, or annotate less."
            )
        mean, scale = np.empty((2, *powers[0].shape[:2]))
        for some in _blocks_of_channels(powers):
            parts = [p[some][..., s] for p, s in zip(powers, seen, strict=True)]
            values = self._values(np.concatenate(parts, axis=-1)).astype(np.float64)
            mean[some] = values.mean(-1)
            if self.detrend is None:
                scale[some] = values.std(-1)
            else:
                scale[some] = np.nanstd(self._clean(self._values(powers[0][some])), axis=-1)
        return mean, np.where(scale > 0, scale, 1.0)

    def _on(self, grids: list[LowRateGrid] | None, i: int) -> Self:
        """Give the scaler for bins of a segment."""
        return self if grids is None else replace(self, dt=grids[i].dt)

    def fit(self, powers: list[np.ndarray], keys: list[tuple], grids=None) -> Self:
        """Measure every training recording; return the scaler that knows them.

        ``grids`` are bins of every segment where they differ.
        """
        found = list(dict.fromkeys(keys))
        stats = [
            self._on(grids, keys.index(key))._measure(
                [p for p, k in zip(powers, keys, strict=True) if k == key]
            )
            for key in found
        ]
        mean, scale = (np.stack(parts) for parts in zip(*stats, strict=True))
        mean, scale = (np.concatenate([part, part.mean(axis=0)[None]]) for part in (mean, scale))
        return replace(self, keys=found, mean=mean, scale=scale)

    def _of(self, key: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale (n_channels, n_bands) of a recording, of all where it is new."""
        row = self.keys.index(key) if key in self.keys else -1
        return self.mean[row], self.scale[row]

    def transform(
        self, powers: list[np.ndarray], keys: list[tuple], kind: str, grids=None, overwrite=False
    ) -> list[np.ndarray]:
        """Scale segments; bins without signal become the mean (zero).

        With ``overwrite``, in the memory of those that may be written to.
        """
        out = []
        if kind == "windows":
            self._check_units(powers, keys)
        for i, (power, key) in enumerate(zip(powers, keys, strict=True)):
            drifts = kind == "recordings" and self.detrend is not None
            own = kind == "recordings" and (not drifts or np.isnan(power[0, 0]).all())
            mean, scale = self._measure([power]) if own else self._of(key)
            mean, scale = (mean.copy(), scale.copy()) if drifts else (mean, scale)
            scaled = power if overwrite and power.flags.writeable else np.empty_like(power)
            for some in _blocks_of_channels([power]):
                values = self._values(power[some])
                if drifts:
                    values = self._on(grids, i)._clean(values)
                    mean[some], spread = np.nanmean(values, axis=-1), np.nanstd(values, axis=-1)
                    scale[some] = np.where(spread > 0, spread, 1.0)
                values = (values - mean[some][..., None]) / scale[some][..., None]
                scaled[some] = np.nan_to_num(values, nan=0.0)
            out.append(scaled)
        return out

    def mean_power(self, key: tuple) -> np.ndarray:
        """Mean power (n_channels, n_bands) of a recording in training, of all where it is new."""
        mean = self._of(key)[0]
        return np.exp(mean) if self.log else mean

    def _check_units(self, powers: list[np.ndarray], keys: list[tuple]) -> None:
        """Warn where windows, which keep the scale of training, come in other units."""
        larger = []
        for power, key in zip(powers, keys, strict=True):
            mean = self._of(key)[0]
            with np.errstate(divide="ignore", invalid="ignore"):
                seen = self._values(power[..., ~np.isnan(power[0, 0])])
                if seen.shape[-1]:
                    now = seen.mean(-1, dtype=np.float64)
                    there = seen.max(axis=-1) > seen.min(axis=-1)  # what lacks is zero
                    now, mean = now[there], mean[there]
                    if there.any():
                        larger.append(np.median(now - mean if self.log else np.log(now / mean)))
        factor = np.exp(np.median(larger)) if larger else 1.0
        if not 1 / _OTHER_UNITS < factor < _OTHER_UNITS and np.isfinite(factor):
            warn(
                f"Band power in windows of X is about {factor:.0e} times that of training. Are "
                "both in the same units (volts, as MNE has it)? Windows keep the scale of "
                "training: predictions will be far off."
            )
