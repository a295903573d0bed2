"""Band power of segments on a regular grid of bins, by Morlet or discrete wavelets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pywt
from mne.utils import ProgressBar, logger

from .._data.inputs import Electrophysiology, Segment
from .._data.lowrate import check_bands, clean_reader
from ..nn.discrete_power import discrete_bands, discrete_power
from ..nn.wavelet import CANONICAL_BANDS, band_frequencies, band_power, causal_delay


@dataclass(frozen=True)
class BandBank:
    """A set of bands and the wavelets that measure them.

    Attributes
    ----------
    wavelet : str
        "morlet", or a discrete wavelet of PyWavelets.
    bands : dict
        Name -> (low, high) in Hz.
    sfreq : float
        Sampling rate in Hz.
    n_cycles : float
        Cycles of Morlet wavelets.
    level : int
        Levels of the discrete transform (0 for Morlet).
    rate : float
        Bins per second.
    causal : bool
        Past samples only.
    """

    wavelet: str
    bands: dict[str, tuple[float, float]]
    sfreq: float
    n_cycles: float
    level: int
    rate: float
    causal: bool

    @property
    def delay(self) -> np.ndarray:
        """Seconds by which each band's power comes late."""
        if not self.causal:
            return np.zeros(len(self.bands))
        return causal_delay(self.bands, self.n_cycles)

    def n_bins(self, n_times: int) -> int:
        """Bins in a segment; what is left at its end is dropped."""
        return max(1, int(n_times * self.rate / self.sfreq + 1e-6))

    def power(self, segment: Segment) -> np.ndarray:
        """Power (n_channels, n_bands, n_bins) of one segment, NaN in its BAD spans."""
        n_bins = self.n_bins(segment.n_times)
        width = min(self.sfreq / self.rate, float(segment.n_times))
        read = clean_reader(segment, self.sfreq)
        if self.wavelet == "morlet":
            power = band_power(
                read, segment.n_times, self.sfreq, self.bands, start=0.0, width=width,
                n_bins=n_bins, n_cycles=self.n_cycles, causal=self.causal,
            )  # fmt: skip
        else:
            power = discrete_power(
                read, segment.n_times, self.wavelet, self.level, start=0.0, width=width,
                n_bins=n_bins,
            )  # fmt: skip
        edges = width * np.arange(n_bins + 1)
        for low, high in segment.bad * self.sfreq:
            power[:, :, (edges[1:] > low) & (edges[:-1] < high)] = np.nan
        return power

    def powers(self, ele: Electrophysiology) -> list[np.ndarray]:
        """Power of every segment."""
        segments = ele.segments
        if sum(s.n_times for s in segments) > 3600 * self.sfreq:
            segments = ProgressBar(segments, mesg="Band power")
        return [self.power(segment) for segment in segments]


def limit_power(power: np.ndarray) -> np.ndarray:
    """Limit power to ten times its median over time: an artefact must not outweigh the recording.

    Parameters
    ----------
    power : array, shape (n_channels, n_bands, n_bins)
        Power, NaN where missing.
    """
    seen = ~np.isnan(power[0, 0])
    if not seen.any():
        return power
    return np.minimum(power, 10.0 * np.median(power[:, :, seen], axis=-1, keepdims=True))


def refuse_flat(powers: list[np.ndarray], ch_names: list[str]) -> None:
    """Refuse channels that hold no signal.

    Parameters
    ----------
    powers : list of array, shape (n_channels, n_bands, n_bins)
        Power of every segment, NaN where missing.
    ch_names : list of str
        Channels.
    """
    total = sum(np.nansum(power, axis=(1, 2), dtype=np.float64) for power in powers)
    flat = [name for name, value in zip(ch_names, total, strict=True) if not value > 0]
    if flat:
        raise ValueError(
            f"X has channels without any power, {flat[:8]}: flat, or within BAD spans only. Mark "
            "them bad or leave them out."
        )


def make_bank(*, wavelet, bands, sfreq, n_cycles, level, rate, causal, shortest: int) -> BandBank:
    """Choose the bands that the sampling rate and the shortest segment can hold.

    Parameters
    ----------
    wavelet, bands, n_cycles, level, rate, causal
        As in the estimator.
    sfreq : float
        Sampling rate in Hz.
    shortest : int
        Samples of the shortest segment.

    Raises
    ------
    ValueError
        If a band that was asked for does not fit.
    """
    if wavelet == "morlet":
        named = _name_frequencies(bands, sfreq)
        kept = {
            name: edges
            for name, edges in named.items()
            if _longest(edges, n_cycles) * sfreq <= shortest
        }
        missing = [name for name in named if name not in kept]
        duration = shortest / sfreq
        if missing and (bands is not None or not kept):
            name = missing[0]
            raise ValueError(
                f"Band {name!r} needs wavelets of {_longest(named[name], n_cycles):.3g} s "
                f"(n_cycles={n_cycles:g}), but the shortest segment lasts {duration:.3g} s. Use "
                "longer windows, fewer cycles or higher bands."
            )
        if missing:
            logger.info("Bands %s need longer windows than %.3g s: left out.", missing, duration)
        return BandBank("morlet", kept, sfreq, float(n_cycles), 0, rate, causal)
    if bands is not None:
        raise ValueError(
            "A discrete wavelet has its own bands (halves of the spectrum): use level instead of "
            'bands, or wavelet="morlet".'
        )
    if causal:
        raise ValueError('causal=True needs wavelet="morlet".')
    length = pywt.Wavelet(wavelet).dec_len
    deepest = pywt.dwt_max_level(shortest, length)
    if level is None:
        # Down to about 3 Hz: slower than that, EEG is mostly drift.
        level = min(deepest, max(1, int(np.log2(sfreq / 6.0))))
    if level < 1 or level > deepest:
        raise ValueError(
            f"level={level} of {wavelet!r} needs windows of at least "
            f"{(length - 1) * 2 ** max(int(level), 1)} samples; the shortest segment has "
            f"{shortest}. Use longer windows or fewer levels."
        )
    bank_bands = discrete_bands(sfreq, int(level))
    return BandBank(wavelet, bank_bands, sfreq, float(n_cycles), int(level), rate, causal)


def _name_frequencies(bands, sfreq: float) -> dict[str, tuple[float, float]]:
    """Accept names with edges, or a sequence of frequencies that each get one wavelet."""
    if bands is None or isinstance(bands, dict):
        return check_bands(bands, sfreq)
    try:
        freqs = [float(freq) for freq in bands]
    except (TypeError, ValueError):
        raise ValueError(
            "bands must be None, a dict of name: (low, high) in Hz such as "
            f"{dict(list(CANONICAL_BANDS.items())[1:3])}, or a list of frequencies; got {bands!r}."
        ) from None
    bad = [freq for freq in freqs if not 0 < freq < sfreq / 2]
    if bad or not freqs:
        raise ValueError(
            f"Frequencies must lie between 0 and half the sampling rate ({sfreq / 2:g} Hz), "
            f"got {bad or freqs}."
        )
    return {f"{freq:g}Hz": (freq, freq) for freq in freqs}


def _longest(edges: tuple[float, float], n_cycles: float) -> float:
    """Seconds that the cycles of a band's longest wavelet take."""
    return float(n_cycles / band_frequencies([edges], n_cycles)[0][0])
