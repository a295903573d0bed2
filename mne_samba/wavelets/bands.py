"""Frequency bands: the canonical ones, and what every form of `bands` must satisfy."""

from collections.abc import Mapping

import numpy as np
from mne.utils import logger

CANONICAL_BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}

_EXAMPLE = "{'theta': (4, 8), 'alpha': (8, 13)}"


def _pair(value) -> tuple[float, float] | None:
    """Edges (low, high) of one band, low == high for a lone frequency; None for anything else."""
    try:
        pair = np.atleast_1d(np.asarray(value, dtype=float))
    except (TypeError, ValueError):
        return None
    if pair.shape == (1,):
        pair = np.repeat(pair, 2)
    return (float(pair[0]), float(pair[1])) if pair.shape == (2,) else None


def band_edges(bands) -> list[tuple[float, float]]:
    """Return ``[(low, high), ...]`` of any form of ``bands``; a lone frequency has low == high."""
    edges = []
    for value in bands.values() if isinstance(bands, Mapping) else bands:
        pair = _pair(value)
        if pair is None or not np.isfinite(pair).all() or not 0 < pair[0] <= pair[1]:
            raise ValueError(
                "Every band must be a pair (low, high) in Hz with 0 < low <= high, or a single "
                f"frequency above 0; got {value!r}."
            )
        edges.append(pair)
    if not edges:
        raise ValueError("bands is empty: give at least one band, for example {'alpha': (8, 13)}.")
    return edges


def check_rate(highest: float, sfreq: float) -> None:
    """Refuse a frequency that a sampling rate cannot hold."""
    if not np.isfinite(sfreq) or sfreq <= 0:
        raise ValueError(f"sfreq must be a positive number of Hz, got {sfreq!r}.")
    if highest >= sfreq / 2:
        raise ValueError(
            f"A band reaches {highest:g} Hz, but a sampling rate of {sfreq:g} Hz holds frequencies "
            f"below {sfreq / 2:g} Hz only. Lower the band's edge or use data sampled faster than "
            f"{2 * highest:g} Hz."
        )


def check_bands(bands, sfreq: float, *, single: bool = False) -> dict[str, tuple[float, float]]:
    """Bands as name -> (low, high) in Hz, of which the sampling rate can hold every one."""
    if bands is None:
        kept = {name: edges for name, edges in CANONICAL_BANDS.items() if edges[1] < sfreq / 2}
        if not kept:
            raise ValueError(f"sfreq={sfreq:g} Hz is too low for any EEG band; give bands.")
        if len(kept) < len(CANONICAL_BANDS):
            left = sorted(set(CANONICAL_BANDS) - set(kept))
            logger.info("Bands %s lie above half of sfreq=%g Hz and are left out.", left, sfreq)
        return kept
    freqs = _frequencies(bands) if single and not isinstance(bands, Mapping) else []
    if freqs:
        return _named(freqs, sfreq)
    if not isinstance(bands, Mapping) or not bands:
        raise refusal(bands, single=single)
    return {str(name): _checked(name, edges, sfreq, single) for name, edges in bands.items()}


def _checked(name, edges, sfreq: float, single: bool) -> tuple[float, float]:
    """Edges of one band, in order and below half the sampling rate."""
    pair = _pair(edges)
    lone = pair is not None and (np.ndim(edges) == 0 or pair[0] == pair[1])
    if pair is None or (lone and not single):
        hint = " A single frequency is measured by a Morlet wavelet: bands=Morlet(...)."
        raise ValueError(
            f"Band {name!r} must be (low, high) in Hz, got {edges!r}.{hint if lone else ''}"
        )
    low, high = pair
    if not 0 < low <= high < sfreq / 2:
        raise ValueError(
            f"Band {name!r} = ({low:g}, {high:g}) Hz must satisfy 0 < low < high < half the "
            f"sampling rate ({sfreq / 2:g} Hz)."
        )
    return pair


def _named(freqs, sfreq: float) -> dict[str, tuple[float, float]]:
    """Name single frequencies, refusing those that the sampling rate cannot hold."""
    bad = [freq for freq in freqs if not 0 < freq < sfreq / 2]
    if bad:
        raise ValueError(
            f"Frequencies must lie between 0 and half the sampling rate ({sfreq / 2:g} Hz), "
            f"got {bad}."
        )
    return {f"{freq:g}Hz": (freq, freq) for freq in freqs}


def _frequencies(bands) -> list[float]:
    """Return a list of single frequencies as floats; empty where it is something else."""
    try:
        return [] if isinstance(bands, str) else [float(freq) for freq in bands]
    except (TypeError, ValueError):
        return []


def refusal(bands, *, single: bool = False) -> ValueError:
    """Error for ``bands`` that name no edges, which says what to write instead."""
    names = [bands] if isinstance(bands, str) else bands
    if isinstance(names, (list, tuple)) and names and all(isinstance(b, str) for b in names):
        known = {name: CANONICAL_BANDS.get(name, (8.0, 13.0)) for name in names}
        return ValueError(f"bands must say the edges of bands in Hz: write bands={known}.")
    freqs = _frequencies(bands)
    forms = ", or a list of frequencies" if single else ""
    hint = f" Frequencies have Morlet wavelets: write bands=Morlet({freqs})." if freqs else ""
    return ValueError(
        f"bands must be a dict of name: (low, high) in Hz such as {_EXAMPLE}{forms}, or a bank of "
        f"mne_samba.wavelets; got {bands!r}.{hint}"
    )
