"""Banks of wavelets: which bands of a signal are measured, and how.

The same objects serve every estimator, as ``bands=``. They are plain values: they compare, print
and copy as what they were made with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from mne.utils import logger

from .bands import check_bands, refusal
from .discrete import discrete_bands, discrete_power
from .matrices import check_wavelet, deepest_level, shortest_length
from .morlet import _check_cycles, band_frequencies, causal_delay
from .power import band_power
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

    def resolve(self, sfreq: float, shortest: int | None = None) -> Shannon:
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

    def resolve(self, sfreq: float, shortest: int | None = None) -> Morlet:
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

    def resolve(self, sfreq: float, shortest: int | None = None) -> Discrete:
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


def as_bank(bands) -> Shannon | Morlet | Discrete:
    """Return the bank that ``bands`` stands for.

    Parameters
    ----------
    bands : dict | Shannon | Morlet | Discrete | None
        A dict of name to (low, high) in Hz, or None for the canonical bands, means
        `Shannon`; a bank is returned as it is.

    Returns
    -------
    Shannon | Morlet | Discrete
        The bank.

    Raises
    ------
    ValueError
        If ``bands`` is anything else.
    """
    if isinstance(bands, _Bank):
        return bands
    if isinstance(bands, type) and issubclass(bands, _Bank):
        raise ValueError(f"bands={bands.__name__} is a class: write bands={bands.__name__}().")
    if bands is None or isinstance(bands, Mapping):
        return Shannon(bands)
    raise refusal(bands)
