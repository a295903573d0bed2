"""One level of a discrete wavelet transform with its boundary rule, as sparse operators."""

import numpy as np
import pywt
from scipy import sparse


def analysis_level(filters: pywt.Wavelet, mode: str, n_times: int):
    """One level's low- and high-pass operators, sparse, (n_coefficients, n_times)."""
    n_taps = filters.dec_len
    if mode == "periodization":
        n_coefs, delay = -(-n_times // 2), n_taps // 2
    else:
        n_coefs, delay = (n_times + n_taps - 1) // 2, 1
    position = 2 * np.arange(n_coefs)[:, None] + delay - np.arange(n_taps)
    rows = np.broadcast_to(np.arange(n_coefs)[:, None], position.shape)
    operators = []
    for taps in (filters.dec_lo, filters.dec_hi):
        weight = np.broadcast_to(taps, position.shape)
        entries = [
            (rows.ravel(), sample.ravel(), (weight * factor).ravel())
            for sample, factor in _extend(position, n_times, mode)
        ]
        row, column, value = (np.concatenate(part) for part in zip(*entries, strict=True))
        operators.append(sparse.csr_matrix((value, (row, column)), shape=(n_coefs, n_times)))
    return operators


def _extend(position: np.ndarray, n_times: int, mode: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Write the extended signal at ``position`` as terms ``factor * signal[sample]``."""
    last = n_times - 1
    clipped = np.clip(position, 0, last)
    inside = (position == clipped).astype(float)
    if mode == "zero":
        return [(clipped, inside)]
    if mode == "constant":
        return [(clipped, np.ones_like(inside))]
    if mode == "periodic":
        return [(position % n_times, np.ones_like(inside))]
    if mode == "periodization":
        # An odd signal is made even by repeating its last sample.
        return [(np.minimum(position % (n_times + n_times % 2), last), np.ones_like(inside))]
    if mode in ("symmetric", "antisymmetric"):
        turn = position % (2 * n_times)
        mirrored = turn > last
        sample = np.where(mirrored, 2 * n_times - 1 - turn, turn)
        return [(sample, np.where(mirrored & (mode == "antisymmetric"), -1.0, 1.0))]
    if mode == "smooth":
        # Straight on along the line through the two end samples.
        neighbour = np.where(position < 0, min(1, last), max(last - 1, 0))
        beyond = np.abs(position - clipped).astype(float)
        return [(clipped, 1.0 + beyond), (neighbour, -beyond)]
    if last == 0:
        return [(clipped, np.ones_like(inside))]
    period, turn = np.divmod(position, 2 * last)
    mirrored = turn > last
    sample = np.where(mirrored, 2 * last - turn, turn)
    if mode == "reflect":
        return [(sample, np.ones_like(inside))]
    # Point reflection at both ends: every period climbs by twice the difference of the ends.
    end = np.full_like(position, last)
    return [
        (sample, np.where(mirrored, -1.0, 1.0)),
        (end, 2.0 * mirrored + 2.0 * period),
        (np.zeros_like(position), -2.0 * period),
    ]


def synthesis_level(filters: pywt.Wavelet, mode: str, n_times: int, n_coefs: int):
    """One level's operators back to the signal, sparse, (n_times, n_coefficients)."""
    n_taps = filters.rec_len
    column = np.broadcast_to(np.arange(n_coefs)[:, None], (n_coefs, n_taps))
    if mode == "periodization":
        row = (2 * column + np.arange(n_taps) + 1 - n_taps // 2) % (2 * n_coefs)
    else:
        row = 2 * column + np.arange(n_taps) + 2 - n_taps
    kept = (row >= 0) & (row < n_times)
    operators = []
    for taps in (filters.rec_lo, filters.rec_hi):
        weight = np.broadcast_to(taps, row.shape)
        entries = (weight[kept], (row[kept], column[kept]))
        operators.append(sparse.csr_matrix(entries, shape=(n_times, n_coefs)))
    return operators
