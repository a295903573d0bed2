"""Band power of long recordings on a low-rate grid of bins, streamed in blocks.

One real FFT per block serves every band and wavelet. Only the frequencies where a wavelet responds
are kept, so each inverse transform is as short as the wavelet's bandwidth allows and gives the
complex envelope already decimated. Squared and summed over a band, its power is averaged over the
bins by integrating the trigonometric interpolant, which makes fractional bin edges exact.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from scipy import fft

from .bands import CANONICAL_BANDS, band_edges, check_rate
from .morlet import (
    _CAUSAL_NEGLIGIBLE,
    _NEGLIGIBLE,
    _centred_response,
    _check_cycles,
    _support,
    _take_spectrum,
    band_frequencies,
    causal_delay,
    morlet,
)
from .past_sums import N_NEAR, past_sums

Reader = Callable[[int, int], np.ndarray]

# Response of a flat band's filter, relative to its largest, that only frequencies in the band have,
# and share of a bin's power below which those beside it are left out; see `_crop_kernel`.
_RIPPLE, _UNSEEN = 3e-3, 1e-5


def band_power(
    read: Reader,
    n_times: int,
    sfreq: float,
    bands: Mapping[str, Sequence[float]] | Sequence[Sequence[float]] = CANONICAL_BANDS,
    *,
    start: float,
    width: float,
    n_bins: int,
    n_cycles: float = 7.0,
    block: float | None = None,
    causal: bool = False,
    kernels: Sequence[np.ndarray] | None = None,
    out: np.ndarray | None = None,
    progress: Callable[[int], object] | None = None,
) -> np.ndarray:
    r"""Mean complex Morlet power of each band in consecutive bins.

    Band power at time t is the mean of :math:`|x * w_f|^2` over the band's wavelets (see
    :func:`band_frequencies`), and a bin holds its mean over ``[start + i * width, start + (i + 1) *
    width)``.

    Parameters
    ----------
    read : callable
        ``read(first, stop)`` returns samples ``first .. stop`` as (n_channels, stop - first).
        Called with ``0 <= first < stop <= n_times``, in order, a block at a time.
    n_times : int
        Samples that exist. Beyond them the signal is reflected (kernels: about its end samples, as
        MNE's filters do; causal: held).
    sfreq : float
        Sampling rate in Hz.
    bands : dict or sequence
        Name to ``(low, high)`` in Hz, or the pairs alone; a single number is one wavelet.
    start : float
        Start of the first bin in samples; may be fractional or negative.
    width : float
        Width of a bin in samples; may be fractional.
    n_bins : int
        Number of bins.
    n_cycles : float
        Cycles per wavelet.
    block : float | None
        Seconds of signal per block; None chooses about ten times the longest wavelet.
    causal : bool
        Use past samples only, with wavelets that begin one after the other and are delayed alike,
        by :func:`causal_delay`.
    kernels : sequence of ndarray | None
        Band-pass FIR kernels of odd length, one per band, used instead of wavelets: power is the
        squared Hilbert envelope of the zero-phase filtered signal.
    out : ndarray, shape (n_channels, n_bands, n_bins), float32 | None
        Where to write power; None makes a new array.
    progress : callable | None
        Called with the number of bins that are done, after every block.

    Returns
    -------
    ndarray, shape (n_channels, n_bands, n_bins), float32
        Power in squared units of the signal.

    Raises
    ------
    ValueError
        If a band reaches half the sampling rate, or sizes are not positive, or the numbers of bands
        and kernels differ.

    Notes
    -----
    Equal to :func:`mne.time_frequency.tfr_array_morlet` averaged over frequencies and time.
    """
    edges = band_edges(bands)
    n_cycles = _check_cycles(n_cycles)
    check_rate(max(high for _, high in edges), sfreq)
    if n_times < 1 or n_bins < 1 or not width > 0:
        raise ValueError(
            f"n_times, n_bins and width must be positive; got {n_times}, {n_bins} and {width}."
        )
    if kernels is not None and (causal or len(kernels) != len(edges)):
        raise ValueError(
            f"kernels must be one zero-phase kernel per band ({len(edges)}) without causal; "
            f"got {len(kernels)} kernels and causal={causal}."
        )
    if kernels is None:
        banks = _wavelets_of(sfreq, bands, n_cycles, causal)
    else:
        banks = [_Filters((_check_kernel(kernel),)) for kernel in kernels]
    measure = _causal_power if causal else partial(_decimated_power, analytic=kernels is not None)
    return measure(read, n_times, sfreq, banks, start, width, n_bins, block, out, progress)


@dataclass(frozen=True, eq=False)
class _Filters:
    """Kernels of one band, whose responses are kept as long as they are: streams ask often."""

    kernels: tuple[np.ndarray, ...]

    @property
    def longest(self) -> int:
        """Samples of the longest kernel."""
        return max(kernel.size for kernel in self.kernels)


def _wavelets_of(sfreq: float, bands, n_cycles: float, causal: bool) -> list[_Filters]:
    """Wavelets of every band."""
    freqs = band_frequencies(bands, n_cycles)
    delays = causal_delay(bands, n_cycles) if causal else np.zeros(len(freqs))
    return [
        _wavelets(float(sfreq), tuple(freqs.tolist()), n_cycles, float(delay))
        for freqs, delay in zip(freqs, delays, strict=True)
    ]


@lru_cache(maxsize=64)
def _wavelets(sfreq: float, freqs: tuple, n_cycles: float, causal: float) -> _Filters:
    """Morlet wavelets of a band."""
    return _Filters(tuple(morlet(sfreq, freq, n_cycles, causal=causal) for freq in freqs))


def _check_kernel(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel as floats, refusing an even length."""
    kernel = np.asarray(kernel, dtype=float)
    if kernel.ndim != 1 or kernel.size % 2 == 0:
        raise ValueError(f"A kernel must be 1-D with an odd length, got shape {kernel.shape}.")
    return kernel


def _bins_per_block(pad: int, width: float, n_bins: int, sfreq: float, block: float | None) -> int:
    """Bins per block of signal, at least one, at most all."""
    # Ten pads keep the overlap at a fifth of the work; more would only cost memory and cache.
    n_valid = max(10.0 * pad, 20.0 * sfreq) if block is None else float(block) * sfreq
    return int(np.clip(n_valid // width, 1, n_bins))


def _rows_per_group(n_fft: int) -> int:
    """Channels that are transformed together."""
    # A group of channels whose block and spectrum stay in the second-level cache. Transforms take
    # four at once: one that is left over would take as long as they.
    rows = 2**17 // n_fft
    return -(-rows // 4) * 4 if rows >= 4 else max(1, rows)


def _decimated_power(
    read, n_times, sfreq, banks, start, width, n_bins, block, power, progress, *, analytic
):
    """Zero-phase band power by cropped inverse transforms; see the module's docstring."""
    pad = 1 + max(bank.longest // 2 for bank in banks)
    per_block = _bins_per_block(pad, width, n_bins, sfreq, block)
    n_fft = fft.next_fast_len(int(np.ceil(per_block * width)) + 2 * pad + 1, real=True)
    crop = partial(_crop_kernel, width=width) if analytic else _crop_bank
    bank_filters = [crop(bank, n_fft) for bank in banks]
    averages = {
        length: _bin_averages(length, n_fft, pad, width, per_block) for length, _ in bank_filters
    }
    for first_bin in range(0, n_bins, per_block):
        position = start + first_bin * width
        whole = int(np.floor(position))
        # Bins keep their place inside the block; the signal is moved under them by a fraction of a
        # sample, which in the frequency domain is a phase.
        shift = position - whole
        low = whole - pad
        signal = read_mirrored(read, low, low + n_fft, n_times, odd=analytic)
        if power is None:
            power = np.empty((len(signal), len(banks), n_bins), dtype=np.float32)
        n_valid = min(per_block, n_bins - first_bin)
        bins = slice(first_bin, first_bin + n_valid)
        filters = bank_filters if not shift else [
            (length, [(first, values * _shift_phase(first, values.size, n_fft, shift))
                      for first, values in bank])
            for length, bank in bank_filters
        ]  # fmt: skip
        rows = _rows_per_group(n_fft)
        for row in range(0, len(signal), rows):
            part = slice(row, row + rows)
            spectrum = fft.rfft(_centred(signal[part]))
            for band, (length, bank) in enumerate(filters):
                squared = _summed_squares(spectrum, bank, length, n_fft)
                power[part, band, bins] = squared @ averages[length][:, :n_valid]
        del signal  # before the next one is read
        if progress is not None:
            progress(first_bin + n_valid)
    # Interpolation may ring below zero beside an artefact; power cannot.
    return np.maximum(power, 0.0, out=power)


@lru_cache(maxsize=32)
def _crop_bank(bank, n_fft, *, causal=False):
    """Responses of a band's filters on their supports, scaled for an inverse of common length."""
    supports = []
    for kernel in bank.kernels:
        response = fft.fft(kernel, n_fft) if causal else _centred_response(kernel, n_fft)
        # What is left out rings before its cause.
        supports.append(_support(response, _CAUSAL_NEGLIGIBLE if causal else _NEGLIGIBLE))
    widest = max(values.size for _, values in supports)
    # Power has twice the envelope's bandwidth. Gaussian responses fade so fast that a quarter more
    # than the envelope needs is enough; sums that end where the signal does need samples that lie
    # closer.
    length = min(n_fft, fft.next_fast_len(int(np.ceil((3.0 if causal else 1.25) * widest))))
    scale = length / n_fft / np.sqrt(len(bank.kernels))
    return length, [(first, (values * scale).astype(np.complex64)) for first, values in supports]


@lru_cache(maxsize=32)
def _crop_kernel(bank, n_fft, *, width):
    """As `_crop_bank`, of the analytic signal of a flat band, seen in bins of ``width`` samples."""
    response = _centred_response(bank.kernels[0], n_fft)[: n_fft // 2 + 1]
    response[1 : (n_fft + 1) // 2] *= 2.0
    size = np.abs(response) / np.abs(response).max()
    band = np.flatnonzero(size > _RIPPLE)
    # What ripple lets through beside the band beats with what is in it. Bins average fast beats
    # out, and spectra of brains fall: all that lies below the band counts, and some above it.
    frequency = np.arange(size.size)
    beat = np.pi * width / n_fft * (frequency - band[-1])
    seen = size / np.maximum(beat, 1.0) * np.minimum(band.mean() / np.maximum(frequency, 1), 1.0)
    stop = np.flatnonzero(seen > _UNSEEN)[-1] + 1
    # Squared, the band takes twice its width. Of beats, the fastest and faintest may fold back.
    length = min(n_fft, fft.next_fast_len(int(np.ceil(max(2 * band.size, 1.5 * stop)))))
    return length, [(0, (response[:stop] * (length / n_fft)).astype(np.complex64))]


def _shift_phase(first, n_bins, n_fft, shift):
    """Phase (n_bins,) that moves a signal by ``shift`` samples."""
    return np.exp(2j * np.pi * shift / n_fft * (first + np.arange(n_bins))).astype(np.complex64)


def _summed_squares(spectrum, bank, length, n_fft):
    """Sum a band's squared real and imaginary parts over its filters: (n_channels, 2 * length)."""
    total = None
    for first, values in bank:
        envelope = np.empty((len(spectrum), length), dtype=np.complex64)
        envelope[:, values.size :] = 0.0
        taken = _take_spectrum(spectrum, first, values.size, n_fft)
        # The place of the support inside the short spectrum turns the phase only.
        np.multiply(taken, values, out=envelope[:, : values.size])
        parts = fft.ifft(envelope, overwrite_x=True).view(np.float32)
        np.multiply(parts, parts, out=parts)
        total = parts if total is None else np.add(total, parts, out=total)
    return total


@lru_cache(maxsize=8)
def _bin_averages(length, n_fft, pad, width, n_bins):
    """Matrix that averages the trigonometric interpolant of ``length`` samples over bins.

    Rows are doubled to sum the squares of interleaved real and imaginary parts on the way. Windows
    share it: not to be changed.
    """
    scale = length / n_fft
    centres = (pad + (np.arange(n_bins) + 0.5) * width) * scale
    frequency = np.arange(length // 2 + 1) / length
    response = np.sinc(frequency * width * scale) * np.exp(
        -2j * np.pi * frequency * centres[:, None]
    )
    return np.repeat(fft.irfft(response, n=length).T, 2, axis=0).astype(np.float32)


def _causal_power(read, n_times, sfreq, banks, start, width, n_bins, block, power, progress):
    """Band power from past samples only: sample n stands for the time [n, n + 1).

    Envelopes are decimated as those of zero phase, but less, as sums over bins may not look beyond
    the bin's end: see `past_sums`.
    """
    reach = [_reach(bank.longest) for bank in banks]
    per_block = _bins_per_block(max(reach), width, n_bins, sfreq, block)
    n_samples = int(np.ceil(per_block * width)) + 2
    # Short wavelets of high bands need less of the past.
    sizes = [fft.next_fast_len(past + n_samples, real=True) for past in reach]
    filters = [
        _crop_bank(bank, n_fft, causal=True) for bank, n_fft in zip(banks, sizes, strict=True)
    ]
    for first_bin in range(0, n_bins, per_block):
        position = start + first_bin * width
        whole = int(np.floor(position))
        signal = _read_held(read, whole + n_samples - max(sizes), whole + n_samples, n_times)
        if power is None:
            power = np.empty((len(signal), len(banks), n_bins), dtype=np.float32)
        n_valid = min(per_block, n_bins - first_bin)
        bins = slice(first_bin, first_bin + n_valid)
        edges = position - whole + np.arange(n_valid + 1) * width
        # Not even by rounding does what follows count.
        signal[:, signal.shape[1] - n_samples + int(np.ceil(edges[-1] - 1e-9)) :] = 0.0
        for band, (n_fft, (length, bank)) in enumerate(zip(sizes, filters, strict=True)):
            rows = _rows_per_group(n_fft)
            last, weights = _past_sums(banks[band], n_fft, tuple(n_fft - n_samples + edges))
            for row in range(0, len(signal), rows):
                part = slice(row, row + rows)
                spectrum = fft.rfft(signal[part, -n_fft:])
                squared = _summed_squares(spectrum, bank, length, n_fft)
                squared = squared[:, ::2] + squared[:, 1::2]
                summed = np.cumsum(squared, axis=1, dtype=np.float64)[:, last] * (n_fft / length)
                near = squared[:, last[:, None] - np.arange(N_NEAR)]
                summed += np.einsum("rep,ep->re", near, weights)
                power[part, band, bins] = np.diff(summed) / width
        if progress is not None:
            progress(first_bin + n_valid)
    return np.maximum(power, 0.0, out=power)


def causal_reach(sfreq: float, bands, n_cycles: float) -> int:
    """Count the samples of the past that causal power depends on."""
    return max(_reach(bank.longest) for bank in _wavelets_of(sfreq, bands, n_cycles, True))


def _reach(longest: int) -> int:
    """Count the samples before a bin that its power depends on, for so long a wavelet."""
    return longest + max(N_NEAR, longest // 4) + 1


@lru_cache(maxsize=32)
def _past_sums(bank, n_fft: int, edges: tuple):
    """`past_sums` of a band's power."""
    length, supports = _crop_bank(bank, n_fft, causal=True)
    return past_sums([np.abs(values) for _, values in supports], n_fft, length, edges)


def bin_sums(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Sum samples (..., n_times) between edges that may be fractional, (..., n_edges - 1)."""
    summed = np.cumsum(values, axis=-1, dtype=np.float64)
    summed = np.concatenate([np.zeros((*values.shape[:-1], 1)), summed], axis=-1)
    below = np.minimum(edges.astype(int), values.shape[-1] - 1)
    return np.diff(summed[..., below] + (edges - below) * values[..., below], axis=-1)


def bin_means(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Average what is known of samples (n_rows, n_times) between fractional edges.

    Sample k lasts from k to k + 1. NaN in one row makes a sample unknown; bins of which less than
    half is known are NaN: (n_rows, n_edges - 1).
    """
    whole = np.rint(edges).astype(int)
    if np.abs(edges - whole).max() < 1e-6 and (np.diff(whole) == 1).all():
        # Samples are the bins: not even rounded.
        bins, n_before = np.full((len(values), len(whole) - 1), np.nan), max(0, -whole[0])
        kept = values[:, max(0, whole[0]) : max(0, whole[-1])]
        bins[:, n_before : n_before + kept.shape[1]] = kept
        return np.where(np.isnan(bins).any(axis=0), np.nan, bins)
    place = np.clip(edges, 0, values.shape[-1])
    covered = np.diff(place)
    known = ~np.isnan(values).any(axis=0)
    if not known.all():
        covered, values = bin_sums(known.astype(float), place), np.where(known, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        bins = bin_sums(values, place) / covered
    bins[:, covered < 0.5 * np.diff(edges)] = np.nan
    return bins


def read_mirrored(read, first, stop, n_times, odd=False):
    """Read ``first .. stop``, mirrored at the signal's ends.

    ``odd`` turns the mirrored parts upside down about the end samples, as MNE's filters do.
    """
    if 0 <= first and stop <= n_times:
        return np.asarray(read(first, stop))
    turns, index = np.divmod(np.arange(first, stop), max(2 * (n_times - 1), 1))
    mirrored = index >= n_times
    index = np.where(mirrored, 2 * (n_times - 1) - index, index) if n_times > 1 else 0 * index
    low, high = int(index.min()), int(index.max()) + 1
    signal = np.asarray(read(low, high))[:, index - low]
    if odd:
        beyond = mirrored | (turns != 0)
        start, end = np.asarray(read(0, 1)), np.asarray(read(n_times - 1, n_times))
        part = signal[:, beyond]
        part = np.where(mirrored[beyond], 2.0 * end - part, part)
        part = part + 2.0 * turns[beyond] * (end - start)
        signal = signal.astype(part.dtype, copy=False)
        signal[:, beyond] = part
    return signal


def _centred(signal):
    """Remove the mean of every channel, as float32."""
    # No band passes zero frequency, and an electrode's offset would use up single precision.
    out = np.empty(signal.shape, dtype=np.float32)
    return np.subtract(signal, signal.mean(axis=1, keepdims=True), out=out, casting="same_kind")


def _read_held(read, first, stop, n_times):
    """Read ``first .. stop``, the end values held beyond the signal's ends, as float32."""
    signal = np.asarray(read(max(0, min(first, n_times - 1)), max(1, min(stop, n_times))))
    if first < 0 or stop > n_times:
        index = np.clip(np.arange(first, stop), 0, n_times - 1)
        signal = signal[:, index - index[0]]
    # No wavelet passes an electrode's offset, which would use up single precision. That of the
    # first sample is known to all that follow.
    out = np.empty(signal.shape, dtype=np.float32)
    return np.subtract(signal, signal[:, :1], out=out, casting="same_kind")
