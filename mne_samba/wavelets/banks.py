"""Banks of wavelets: which bands of a signal are measured, and how.

The same objects serve every estimator, as ``bands=``. They are plain values: they compare, print
and copy as what they were made with.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self, TypeAlias

import numpy as np
from mne.utils import logger

from .bands import check_bands, refusal
from .discrete import discrete_bands, discrete_power
from .matrices import check_wavelet, deepest_level, shortest_length
from .morlet import _check_cycles, band_frequencies, causal_delay, morlet
from .power import band_power, bin_means, causal_reach
from .shannon import shannon_kernels

Reader = Callable[[int, int], np.ndarray]


class _Bank:
    """What all banks have in common.

    ``power(read, n_times, sfreq, start=, width=, n_bins=, out=None, progress=None)`` gives the mean
    power of their resolved bands in consecutive bins, as `band_power` does.
    """

    @property
    def band_edges(self) -> dict[str, tuple[float, float]]:
        """Name of every band to its edges (low, high) in Hz."""
        if not isinstance(self.bands, Mapping):
            raise ValueError(
                f"{self!r} has no bands yet: the sampling rate says which ones, see resolve(sfreq)."
            )
        return dict(self.bands)

    @property
    def delay(self) -> np.ndarray:
        """Seconds (n_bands,) by which each band's power comes late."""
        return np.zeros(len(self.band_edges))

    #: Values of power per second that there are at most.
    rate = np.inf


@dataclass(frozen=True)
class Shannon(_Bank):
    """Bands that are flat inside and have sharp edges, by windowed complex Shannon wavelets.

    Parameters
    ----------
    bands : dict | None
        Name to (low, high) in Hz; None takes the canonical bands below half the sampling rate.

    See Also
    --------
    Morlet : Bands with smooth edges, single frequencies, or past samples only.
    Discrete : Halves of the spectrum.

    Examples
    --------
    >>> from mne_samba.wavelets import Shannon
    >>> Shannon({"alpha": (8, 13)}).resolve(sfreq=200.0)
    Shannon(bands={'alpha': (8.0, 13.0)})
    """

    bands: Mapping[str, Sequence[float]] | None = None

    def resolve(self, sfreq: float, shortest: int | None = None) -> Self:
        """Fill in the bands that a sampling rate can hold.

        Parameters
        ----------
        sfreq : float
            Sampling rate in Hz.
        shortest : int | None
            Samples of the shortest segment. Beyond its ends a segment is mirrored, so that any
            length is measured.

        Returns
        -------
        Shannon
            With ``bands`` as a dict of name to (low, high).

        Raises
        ------
        ValueError
            If a band is not ``0 < low < high < sfreq / 2``.
        """
        return replace(self, bands=check_bands(self.bands, sfreq))

    def power(self, read: Reader, n_times: int, sfreq: float, **bins) -> np.ndarray:
        """Power of `band_power` with this bank's kernels."""
        edges = self.band_edges
        kernels = _kernels(tuple(edges.values()), float(sfreq))
        return band_power(read, n_times, sfreq, edges, kernels=kernels, **bins)

    def reach(self, sfreq: float) -> tuple[int, int]:
        """Count the samples before and after an instant that its power depends on."""
        half = _half_length(_kernels(tuple(self.band_edges.values()), float(sfreq)))
        return half, half


def _half_length(kernels: list[np.ndarray]) -> int:
    """Half of the longest kernel, and what fractions of a sample add."""
    return 2 + max(kernel.size // 2 for kernel in kernels)


@lru_cache(maxsize=8)
def _kernels(edges: tuple, sfreq: float) -> list[np.ndarray]:
    """Kernels of `shannon_kernels`, designed once for all segments."""
    return shannon_kernels(edges, sfreq)


@dataclass(frozen=True)
class Morlet(_Bank):
    """Bands of complex Morlet wavelets, with smooth edges.

    Parameters
    ----------
    bands : dict | list of float | None
        Name to (low, high) in Hz, or to a single frequency, which gets one wavelet; a list of
        frequencies, one wavelet each; None takes the canonical bands below half the sampling rate
        whose wavelets fit into the shortest segment.
    n_cycles : float
        Cycles per wavelet.
    causal : bool
        Use past samples only; power then comes late by ``delay``.

    See Also
    --------
    Shannon : Bands with sharp edges.

    Examples
    --------
    >>> from mne_samba.wavelets import Morlet
    >>> Morlet([6, 10]).resolve(sfreq=200.0).band_edges
    {'6Hz': (6.0, 6.0), '10Hz': (10.0, 10.0)}
    """

    bands: Mapping[str, Sequence[float]] | Sequence[float] | None = None
    n_cycles: float = 7.0
    causal: bool = False

    @property
    def delay(self) -> np.ndarray:
        """Seconds (n_bands,) by which each band's power comes late."""
        return causal_delay(self.band_edges, self.n_cycles) if self.causal else super().delay

    def resolve(self, sfreq: float, shortest: int | None = None) -> Self:
        """Fill in the bands that a sampling rate and the shortest segment can hold.

        Parameters
        ----------
        sfreq, shortest : float, int | None
            As in :meth:`Shannon.resolve`; None leaves the length out of account.

        Returns
        -------
        Morlet
            With ``bands`` as a dict of name to (low, high).

        Raises
        ------
        ValueError
            If a band does not lie between 0 and half the sampling rate, if the cycles of one that
            was asked for last longer than the shortest segment, or those of all.
        """
        n_cycles = _check_cycles(self.n_cycles)
        named = check_bands(self.bands, sfreq, single=True)
        if shortest is None:
            return replace(self, bands=named)
        longest = {
            name: float(n_cycles / band_frequencies([edges], n_cycles)[0][0])
            for name, edges in named.items()
        }
        kept = {name: edges for name, edges in named.items() if longest[name] * sfreq <= shortest}
        missing = [name for name in named if name not in kept]
        duration = shortest / sfreq
        if missing and (self.bands is not None or not kept):
            raise ValueError(
                f"Band {missing[0]!r} needs wavelets of {longest[missing[0]]:.3g} s "
                f"(n_cycles={n_cycles:g}), but the shortest segment lasts {duration:.3g} s. Use "
                "longer windows, fewer cycles or higher bands."
            )
        if missing:
            logger.info("Bands %s need longer windows than %.3g s: left out.", missing, duration)
        return replace(self, bands=kept)

    def power(self, read: Reader, n_times: int, sfreq: float, **bins) -> np.ndarray:
        """Power of `band_power` with this bank's wavelets."""
        own = {"n_cycles": self.n_cycles, "causal": self.causal}
        return band_power(read, n_times, sfreq, self.band_edges, **own, **bins)

    def reach(self, sfreq: float) -> tuple[int, int]:
        """Count the samples before and after an instant that its power depends on."""
        if self.causal:
            # A bin may end inside a sample.
            return causal_reach(sfreq, self.band_edges, self.n_cycles), 1
        slowest = min(freqs[0] for freqs in band_frequencies(self.band_edges, self.n_cycles))
        half = _half_length([morlet(sfreq, slowest, self.n_cycles)])
        return half, half


@dataclass(frozen=True)
class Discrete(_Bank):
    """Halves of the spectrum, by a discrete wavelet transform.

    Parameters
    ----------
    wavelet : str
        A discrete wavelet of PyWavelets.
    level : int | None
        Levels; None goes down to about 3 Hz, as far as the shortest segment allows.
    bands : dict | None
        Pass bands, which follow from the sampling rate and the level: `resolve` fills them in.

    Examples
    --------
    >>> from mne_samba.wavelets import Discrete
    >>> Discrete("db5", level=2).resolve(sfreq=200.0).band_edges
    {'A2': (0.0, 25.0), 'D2': (25.0, 50.0), 'D1': (50.0, 100.0)}
    """

    wavelet: str = "db5"
    level: int | None = None
    bands: Mapping[str, Sequence[float]] | None = None

    def resolve(self, sfreq: float, shortest: int | None = None) -> Self:
        """Fill in the level and the bands that it makes of a sampling rate.

        Parameters
        ----------
        sfreq, shortest : float, int | None
            As in :meth:`Shannon.resolve`; None leaves the length out of account.

        Returns
        -------
        Discrete
            With ``level`` as a number and ``bands`` as a dict of name to (low, high).

        Raises
        ------
        ValueError
            If PyWavelets does not know the wavelet, the shortest segment is too short for the
            level, or bands are given that are not those of the level.
        """
        check_wavelet(self.wavelet)
        level = self.level
        deepest = np.inf if shortest is None else deepest_level(shortest, self.wavelet)
        if level is None:
            # Down to about 3 Hz: slower than that, EEG is mostly drift.
            level = int(min(deepest, max(1, int(np.log2(sfreq / 6.0)))))
        if level != int(level) or (level < 1 and self.level is not None):
            raise ValueError(f"level must be a whole number of at least 1, got {self.level}.")
        if level > deepest or level < 1:
            needed = shortest_length(self.wavelet, max(int(level), 1))
            raise ValueError(
                f"level={level} of {self.wavelet!r} needs windows of at least {needed} samples; "
                f"the shortest segment has {shortest}. Use longer windows or fewer levels."
            )
        bands = discrete_bands(sfreq, int(level))
        if self.bands is not None and dict(self.bands) != bands:
            raise ValueError(
                "A discrete wavelet has its own bands (halves of the spectrum): use level instead "
                "of bands, or a Shannon or Morlet bank."
            )
        return replace(self, level=int(level), bands=bands)

    def power(self, read: Reader, n_times: int, sfreq: float, **bins) -> np.ndarray:
        """Power of `discrete_power`, in bins of samples, whatever the rate."""
        return discrete_power(read, n_times, self.wavelet, len(self.band_edges) - 1, **bins)


# Scale of power to the factor that makes natural logarithms of its values.
_SCALES = {"linear": None, "log": 1.0, "log10": np.log(10.0), "dB": np.log(10.0) / 10.0}
# Nobody's power lies beyond e^69 = 1e30, or varies by less than a part in a thousand.
_LARGEST_LOG, _LEAST_LOG = 69.0, 1e-3


@dataclass(frozen=True)
class Precomputed(_Bank):
    """Bands whose power was measured elsewhere: X holds power, not signals.

    Parameters
    ----------
    scale : "linear" | "log" | "log10" | "dB"
        What the numbers are: power (squared units, no negative values), its natural or decimal
        logarithm, or decibels.
    bands : dict | list of str | None
        Names of the bands in the order of X, with edges (low, high) in Hz where they are a dict;
        None takes those that X brings (columns of tables, frequencies of MNE's objects), or counts.
    rate : float | None
        Values per second, which follow from the input: `resolve` fills them in.

    See Also
    --------
    Shannon, Morlet, Discrete : Bands that are measured here.

    Notes
    -----
    X is a list of recordings, ``(n_channels, n_bands, n_times)`` each, or ``(n_drives, n_times)``,
    which have one band each; or of DataFrames (rows are times; columns are drives, or two levels,
    channel and band); or MNE's ``RawTFR``. Windows are ``(n_windows, n_channels, n_bands,
    n_times)``, MNE's ``EpochsTFR``, or what `mne_samba.make_windows` makes of recordings.
    ``Reader(sfreq=...)`` says how many values there are per second.

    Value k stands for the time from ``k / sfreq`` to ``(k + 1) / sfreq`` after the beginning of the
    recording, from which ``Reader(first_volume=...)`` counts. Where values are instants (at
    ``k / sfreq``), say a ``first_volume`` that is half a sampling interval later; values of MNE's
    objects are taken as instants without being told. Bins are averages of power over the time they
    last, and never shorter than a value lasts, unless frames are: no detail is invented. NaN is
    unknown power: what follows it within a response is not learnt from.

    Examples
    --------
    >>> from mne_samba import Reader, SambaTranslator, SambaModel
    >>> from mne_samba.wavelets import Precomputed
    >>> bands = Precomputed("log", {"alpha": (8, 13), "beta": (13, 30)})
    >>> translator = SambaTranslator(
    ...     t_r=2.0, model=SambaModel(bands=bands), reader=Reader(sfreq=0.5)
    ... )  # then translator.fit([power], [bold]), power of shape (n_channels, 2, n_times)
    """

    scale: str
    bands: Mapping[str, Sequence[float]] | Sequence[str] | None = None
    rate: float | None = None

    def __post_init__(self):
        if self.scale not in _SCALES:
            raise ValueError(
                f"scale must say what the numbers of X are, one of {list(_SCALES)}, got "
                f"{self.scale!r}: Precomputed('log')."
            )

    @property
    def band_edges(self) -> dict[str, tuple[float, float]]:
        """Name of every band to its edges (low, high) in Hz, NaN where they are not known."""
        unknown = (np.nan, np.nan)
        return {name: tuple(edges) or unknown for name, edges in super().band_edges.items()}

    def resolve(self, given: Mapping[str, Sequence[float]], sfreq: float) -> Self:
        """Fill in the bands that X brings, and their rate.

        Parameters
        ----------
        given : dict
            Name of every band of X to its edges (low, high) in Hz, or to () where not known.
        sfreq : float
            Values per second.

        Returns
        -------
        Precomputed
            With ``bands`` as a dict.

        Raises
        ------
        ValueError
            If there are other bands than in X, or another rate.
        """
        if self.rate is not None and abs(self.rate / sfreq - 1) > 1e-6:
            raise ValueError(
                f"rate={self.rate:g} contradicts the {sfreq:g} values per second of X: leave it "
                "out, Reader(sfreq=...) says it."
            )
        bands = given if self.bands is None else self.bands
        if not isinstance(bands, Mapping):
            bands = dict.fromkeys(map(str, bands), ())
        if len(bands) != len(given):
            raise ValueError(
                f"Precomputed names {len(bands)} bands, {list(bands)[:8]}, but X has "
                f"{len(given)} per channel. Expected arrays (n_channels, n_bands, n_times): one "
                "channel alone is power[np.newaxis]."
            )
        bands = {name: tuple(map(float, edges)) for name, edges in bands.items()}
        return replace(self, bands=bands, rate=float(sfreq))

    def power(
        self, read: Reader, n_times: int, sfreq: float, *, start, width, n_bins, out=None,
        progress=None,
    ) -> np.ndarray:  # fmt: skip
        """Average power in bins, NaN where less than half of a bin is known.

        ``read`` gives values (n_channels * n_bands, n_values), those of a channel side by side.
        """
        values = self.linear(np.asarray(read(0, n_times), dtype=np.float64))
        bins = bin_means(values, start + width * np.arange(n_bins + 1))
        bins = bins.reshape(-1, len(self.band_edges), n_bins)
        out = np.empty(bins.shape, dtype=np.float32) if out is None else out
        out[:] = bins
        return out

    def linear(self, values: np.ndarray) -> np.ndarray:
        """Power from values on the scale that they were given on, any shape."""
        known = values[np.isfinite(values)]
        factor = _SCALES[self.scale]
        if factor is None:
            if (known < 0).any():
                raise ValueError(
                    f"X holds negative values, {known.min():.3g} among them, which linear power "
                    "has not. Is it logarithmic (Precomputed('log'), 'log10' or 'dB'), or a "
                    "signal, whose bands are measured here (bands=None)?"
                )
            return values
        if known.size and factor * np.ptp(known) < _LEAST_LOG:
            raise ValueError(
                f"X varies between {known.min():.3g} and {known.max():.3g}, too little for "
                f"logarithmic power ({self.scale!r}). Is it linear power (Precomputed('linear')), "
                "or a signal in volts, whose bands are measured here (bands=None)?"
            )
        if known.size and factor * np.abs(known).max() > _LARGEST_LOG:
            raise ValueError(
                f"X reaches {known[np.abs(known).argmax()]:.3g}, too much for logarithmic power "
                f"on the scale {self.scale!r}. Is it in decibels (Precomputed('dB')), or linear?"
            )
        return np.exp(factor * values)


# What ``bands=`` of estimators and models may be.
Bands: TypeAlias = Mapping[str, Sequence[float]] | Shannon | Morlet | Discrete | Precomputed | None


def as_bank(bands) -> Shannon | Morlet | Discrete | Precomputed:
    """Return a bank as it is; a dict of name to (low, high) in Hz, or None, is `Shannon`."""
    if isinstance(bands, _Bank):
        return bands
    if isinstance(bands, type) and issubclass(bands, _Bank):
        example = "Precomputed('log')" if bands is Precomputed else f"{bands.__name__}()"
        raise ValueError(f"bands={bands.__name__} is a class: write bands={example}.")
    if bands is None or isinstance(bands, Mapping):
        return Shannon(bands)
    raise refusal(bands)
