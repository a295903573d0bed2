"""Complex Morlet wavelets: design and frequency responses.

The wavelets are those of :func:`mne.time_frequency.morlet` (Tallon-Baudry et al., 1997): at
frequency ``f`` with ``n_cycles`` cycles, ``sigma_t = n_cycles / (2 pi f)`` seconds in time and
``sigma_f = f / n_cycles`` Hz in frequency, norm ``sqrt(2)``, zero mean.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import fft

from .bands import CANONICAL_BANDS, band_edges

# Half length of a wavelet in standard deviations of its envelope, as in MNE.
_HALF_LENGTH = 5.0
# A causal wavelet comes late by this many standard deviations, and ends so many after its peak.
_CAUSAL_DELAY, _CAUSAL_END = 3.0, 8.0
# Part of a filter's response that is left out, relative to its largest value: the power's error
# stays under 1e-3 even where the spectrum beside the band is a hundred times stronger.
# That of causal wavelets is as small as if it were not there.
_NEGLIGIBLE, _CAUSAL_NEGLIGIBLE = 1e-4, 1e-7


def _check_cycles(n_cycles: float) -> float:
    """Return the number of cycles as a float, refusing what is not positive."""
    n_cycles = float(n_cycles)
    if not np.isfinite(n_cycles) or n_cycles <= 0:
        raise ValueError(f"n_cycles must be a positive number, got {n_cycles!r}.")
    return n_cycles


def band_frequencies(
    bands: Mapping[str, Sequence[float]] | Sequence[Sequence[float]] = CANONICAL_BANDS,
    n_cycles: float = 7.0,
) -> list[np.ndarray]:
    """Choose wavelet frequencies that cover each band evenly.

    A wavelet at ``f`` has a Gaussian power response of standard deviation ``f/sqrt(2)/n_cycles``.
    Frequencies two of those apart, or less (in ratio, so that spacing follows the width), add up to
    a response that is flat to a few per cent inside the band and falls to a half near its edges.

    Parameters
    ----------
    bands : dict or sequence
        Name to ``(low, high)`` in Hz, or the pairs alone. A single number stands for one wavelet.
    n_cycles : float
        Cycles per wavelet.

    Returns
    -------
    list of ndarray, shape (n_freqs,)
        Frequencies in Hz, one array per band.

    Raises
    ------
    ValueError
        If a band is not ``0 < low <= high`` or ``n_cycles`` is not positive.
    """
    n_cycles = _check_cycles(n_cycles)
    spacing = np.log1p(np.sqrt(2.0) / n_cycles)
    frequencies = []
    for low, high in band_edges(bands):
        span = np.log(high / low)
        n_freqs = max(1, int(np.ceil(span / spacing)))
        centres = (np.arange(n_freqs) + 0.5) / n_freqs
        frequencies.append(low * np.exp(span * centres))
    return frequencies


def morlet(sfreq: float, freq: float, n_cycles: float = 7.0, *, causal: float = 0.0) -> np.ndarray:
    r"""Complex Morlet wavelet with zero mean.

    .. math::
        w(t) = a \left(e^{2 \pi i f t} - e^{-2 (\pi f \sigma_t)^2}\right)
               e^{-t^2/(2 \sigma_t^2)}

    with :math:`\sigma_t = n / (2 \pi f)` and :math:`\lVert w \rVert = \sqrt{2}` over the samples.

    ``causal`` seconds are the mean delay of the power of a wavelet that begins at its first sample.
    A Gaussian that is cut off there would hear all frequencies a little; its envelope is that of a
    gammatone instead, as curved at its peak as the Gaussian, which it becomes where the delay is
    long.

    Returns (n_samples,).
    """
    sigma_t = n_cycles / (2.0 * np.pi * freq)
    if causal:
        order = (causal / sigma_t) ** 2
        # The envelope's square is a gamma density, whose mean is a little later than its peak.
        peak = causal * 2.0 * order / (2.0 * order + 1.0)
        times = np.arange(-peak, _CAUSAL_END * sigma_t, 1.0 / sfreq)
        with np.errstate(divide="ignore"):  # at its beginning it is zero
            envelope = np.exp(order * (np.log1p(times / peak) - times / peak))
        oscillation = np.exp(2j * np.pi * freq * times)
        oscillation -= (oscillation * envelope).sum() / envelope.sum()
    else:
        half = np.arange(0.0, _HALF_LENGTH * sigma_t, 1.0 / sfreq)
        times = np.r_[-half[::-1], half[1:]]
        envelope = np.exp(-(times**2) / (2.0 * sigma_t**2))
        oscillation = np.exp(2j * np.pi * freq * times) - np.exp(
            -2.0 * (np.pi * freq * sigma_t) ** 2
        )
    wavelet = oscillation * envelope
    return wavelet * (np.sqrt(2.0) / np.linalg.norm(wavelet))


def causal_delay(
    bands: Mapping[str, Sequence[float]] | Sequence[Sequence[float]] = CANONICAL_BANDS,
    n_cycles: float = 7.0,
) -> np.ndarray:
    """Delay that causal band power adds, in seconds.

    All wavelets of a band are delayed alike, by three standard deviations of the longest one.

    Parameters
    ----------
    bands, n_cycles : object
        As in :func:`band_frequencies`.

    Returns
    -------
    ndarray, shape (n_bands,)
        Seconds.
    """
    lowest = np.array([freqs[0] for freqs in band_frequencies(bands, n_cycles)])
    return _CAUSAL_DELAY * n_cycles / (2.0 * np.pi * lowest)


def _centred_response(kernel: np.ndarray, n_fft: int) -> np.ndarray:
    """DFT of a kernel whose middle sample stands at time zero; shape (n_fft,), complex128."""
    padded = np.zeros(n_fft, dtype=np.complex128)
    padded[: kernel.size] = kernel
    return fft.fft(np.roll(padded, -(kernel.size // 2)))


def _support(response: np.ndarray, negligible: float = _NEGLIGIBLE) -> tuple[int, np.ndarray]:
    """First signed bin of a response's support and the response there."""
    # It may begin at negative frequencies (few cycles) or run past the Nyquist frequency: one
    # stretch of the DFT's circle, cut where the longest negligible stretch lies.
    size = np.abs(response)
    kept = np.flatnonzero(size > negligible * size.max())
    gaps = np.diff(np.r_[kept, kept[0] + response.size])
    widest = int(gaps.argmax())
    first = int(kept[(widest + 1) % kept.size])
    n_bins = response.size - int(gaps[widest]) + 1
    values = response[(first + np.arange(n_bins)) % response.size]
    return (first - response.size if first > response.size // 2 else first), values


def _take_spectrum(spectrum: np.ndarray, first: int, n_bins: int, n_fft: int) -> np.ndarray:
    """Take signed bins ``first .. first + n_bins`` from a real signal's half spectrum."""
    if first + n_bins <= spectrum.shape[-1]:
        if first >= 0:
            return spectrum[..., first : first + n_bins]
        if first + n_bins > 0:
            below = spectrum[..., -first:0:-1].conj()
            return np.concatenate([below, spectrum[..., : first + n_bins]], axis=-1)
    index = (first + np.arange(n_bins)) % n_fft
    mirrored = index > n_fft // 2
    taken = spectrum[..., np.where(mirrored, n_fft - index, index)]
    taken[..., mirrored] = taken[..., mirrored].conj()
    return taken
