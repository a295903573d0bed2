"""Discrete wavelet transforms of PyWavelets, as filters and as matrices.

A multi-level transform with its boundary rule is one linear map. For the lengths that networks
see, a few hundred samples, the matrix that PyWavelets makes of the identity is as fast as anything,
and its gradient is its transpose.
"""

import numpy as np
import pywt

MODES = (
    "zero", "constant", "symmetric", "reflect", "periodic", "smooth", "antisymmetric",
    "antireflect", "periodization",
)  # fmt: skip


def check_wavelet(wavelet: str, mode: str = "symmetric") -> None:
    """Refuse wavelets and boundary rules that PyWavelets does not know."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}; got {mode!r}.")
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise ValueError(
            f"{wavelet!r} is not a discrete wavelet that PyWavelets knows; see "
            "pywt.wavelist(kind='discrete'), for example 'db5', 'sym8' or 'coif3'."
        )


def deepest_level(n_times: int, wavelet: str) -> int:
    """Most levels at which a coefficient is still free of both ends of ``n_times`` samples."""
    return pywt.dwt_max_level(n_times, pywt.Wavelet(wavelet).dec_len)


def shortest_length(wavelet: str, level: int) -> int:
    """Least samples that `deepest_level` allows a level for."""
    return (pywt.Wavelet(wavelet).dec_len - 1) * 2**level


def coefficient_lengths(n_times: int, wavelet: str, level: int, mode: str) -> list[int]:
    """Coefficients of every kind, ``[cA_n, cD_n, ..., cD_1]``."""
    n_taps, lengths = pywt.Wavelet(wavelet).dec_len, []
    for _ in range(level):
        n_times = pywt.dwt_coeff_len(n_times, n_taps, mode)
        lengths.append(n_times)
    return [n_times, *lengths[::-1]]


def natural_length(finest: int, wavelet: str, mode: str) -> int:
    """Length of the signal that PyWavelets makes of ``finest`` finest details."""
    return 2 * finest - (0 if mode == "periodization" else pywt.Wavelet(wavelet).dec_len - 2)


def decompose(signal: np.ndarray, wavelet: str, level: int, mode: str) -> list[np.ndarray]:
    """Coefficients ``[cA_n, cD_n, ..., cD_1]`` of (..., n_times), whatever the level."""
    rest, details = signal, []
    for _ in range(level):
        rest, detail = pywt.dwt(rest, wavelet, mode, axis=-1)
        details.append(detail)
    return [rest, *details[::-1]]


def rebuild(coefs: list[np.ndarray], wavelet: str, mode: str, n_times: int) -> np.ndarray:
    """Signal (..., n_times) of the coefficients that `decompose` gives."""
    rest, *details = coefs
    for detail in details:
        rest = pywt.idwt(rest[..., : detail.shape[-1]], detail, wavelet, mode, axis=-1)
    return rest[..., :n_times]


def analysis_matrix(wavelet: str, level: int, mode: str, n_times: int) -> np.ndarray:
    """Matrix (n_times, n_coefs) from a signal to its coefficients, coarse to fine."""
    return np.concatenate(decompose(np.eye(n_times), wavelet, level, mode), axis=-1)


def synthesis_matrix(wavelet: str, level: int, mode: str, n_times: int) -> np.ndarray:
    """Matrix (n_coefs, n_times) from coefficients, coarse to fine, back to the signal."""
    lengths = coefficient_lengths(n_times, wavelet, level, mode)
    parts = np.split(np.eye(sum(lengths)), np.cumsum(lengths)[:-1], axis=-1)
    return rebuild(parts, wavelet, mode, n_times)
