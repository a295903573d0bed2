"""Band-limited wavelets with a flat pass band: windowed complex Shannon wavelets.

The complex Shannon wavelet of a band is ``sqrt(B) sinc(B t) exp(2 pi i f t)`` with bandwidth ``B``
and centre ``f`` (PyWavelets' ``shan``): flat inside the band and zero outside. Cut to a finite
length by a Hamming window it keeps edges of about one hertz, so that neighbouring bands do not leak
into each other, which they do with Morlet wavelets of few cycles.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from .bands import band_edges, check_rate

# Transition width of a Hamming-windowed filter, in units of the sampling rate over its length.
_HAMMING = 3.3
_EDGE = 1.0  # Hz


def shannon_kernels(
    bands: Mapping[str, Sequence[float]] | Sequence[Sequence[float]], sfreq: float
) -> list[np.ndarray]:
    """Real parts of the bands' wavelets, as zero-phase filters with unit gain in the band.

    Parameters
    ----------
    bands : dict or sequence
        Name to ``(low, high)`` in Hz, or the pairs alone.
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    kernels : list of ndarray
        One symmetric kernel of odd length per band; edges are 1 Hz wide, or less for low bands.

    Raises
    ------
    ValueError
        If a band reaches half the sampling rate or is a single frequency.
    """
    from scipy.signal import firwin  # takes as long to load as numpy

    edges = band_edges(bands)
    check_rate(max(high for _, high in edges), sfreq)
    kernels = []
    for low, high in edges:
        if low == high:
            raise ValueError(
                f"A Shannon wavelet needs a band, got the single frequency {low:g} Hz."
            )
        width = min(_EDGE, low, high - low)
        length = int(np.ceil(_HAMMING * sfreq / width)) | 1
        kernels.append(firwin(length, [low, high], fs=sfreq, pass_zero=False))
    return kernels
