"""Discrete wavelet transforms in torch: differentiable, batched, equal to PyWavelets."""

from collections.abc import Sequence
from functools import lru_cache

import torch

from .._as_written import as_written
from ..wavelets import matrices
from ..wavelets.matrices import MODES

__all__ = ["MODES", "wavedec", "waverec"]

# From this length on PyWavelets' own filters, which have no gradient, are faster on a processor.
_LONG = 256
# A matrix of more samples takes gigabytes.
_LONGEST = 16384


@as_written
def wavedec(
    signal: torch.Tensor, wavelet: str, level: int | None = None, mode: str = "symmetric"
) -> list[torch.Tensor]:
    """Multi-level discrete wavelet transform, as :func:`pywt.wavedec`.

    Parameters
    ----------
    signal : Tensor, shape (..., n_times)
        Signal, real floating point.
    wavelet : str
        Name of a discrete wavelet, see :func:`pywt.wavelist`.
    level : int | None
        Number of levels; None takes the most that the length allows.
    mode : str
        Boundary rule, one of :data:`MODES`.

    Returns
    -------
    list of Tensor, shape (..., n_coefficients)
        Approximation, then details from coarse to fine: ``[cA_n, cD_n, ..., cD_1]``.

    Raises
    ------
    ValueError
        If the wavelet or mode is unknown, the level is below 1, or a gradient is asked for through
        more than 16384 samples.
    """
    signal = _at_least_single(torch.as_tensor(signal))
    n_times = signal.shape[-1]
    matrices.check_wavelet(wavelet, mode)
    if level is None:
        level = max(1, matrices.deepest_level(n_times, wavelet))
    if level != int(level) or level < 1 or n_times < 1:
        raise ValueError(
            "level must be a whole number of at least 1 and the signal not empty; got "
            f"level={level} for {n_times} samples."
        )
    level = int(level)
    if _by_filters(n_times, signal):
        coefs = matrices.decompose(signal.detach().cpu().numpy(), wavelet, level, mode)
        return [torch.from_numpy(coef).to(signal) for coef in coefs]
    lengths = matrices.coefficient_lengths(n_times, wavelet, level, mode)
    matrix = _matrix("analysis", wavelet, level, mode, n_times, signal.dtype, signal.device)
    return list(_product(signal, matrix).split(lengths, dim=-1))


@as_written
def waverec(
    coeffs: Sequence[torch.Tensor],
    wavelet: str,
    mode: str = "symmetric",
    n_times: int | None = None,
) -> torch.Tensor:
    """Inverse of :func:`wavedec`, as :func:`pywt.waverec`.

    Parameters
    ----------
    coeffs : sequence of Tensor, shape (..., n_coefficients)
        ``[cA_n, cD_n, ..., cD_1]``.
    wavelet : str
        Name of the discrete wavelet.
    mode : str
        Boundary rule that :func:`wavedec` used.
    n_times : int | None
        Length of the signal; None gives the even length that PyWavelets returns.

    Returns
    -------
    Tensor, shape (..., n_times)
        Signal.

    Raises
    ------
    ValueError
        If the numbers of coefficients do not belong to one transform, or a gradient is asked for
        through more than 16384 samples.
    """
    matrices.check_wavelet(wavelet, mode)
    if len(coeffs) < 2:
        raise ValueError("coeffs must hold an approximation and at least one level of details.")
    level, given = len(coeffs) - 1, [coef.shape[-1] for coef in coeffs]
    if n_times is None:
        n_times = matrices.natural_length(given[-1], wavelet, mode)
    n_times = int(n_times)
    expected = matrices.coefficient_lengths(n_times, wavelet, level, mode)
    if given != expected:
        raise ValueError(
            f"A {level}-level {wavelet!r} transform of {n_times} samples has {expected} "
            f"coefficients, got {given}."
        )
    coeffs = [_at_least_single(coef) for coef in coeffs]
    if _by_filters(n_times, *coeffs):
        parts = [coef.detach().cpu().numpy() for coef in coeffs]
        return torch.from_numpy(matrices.rebuild(parts, wavelet, mode, n_times)).to(coeffs[0])
    coefs = torch.cat(coeffs, dim=-1)
    matrix = _matrix("synthesis", wavelet, level, mode, n_times, coefs.dtype, coefs.device)
    return _product(coefs, matrix)


def _at_least_single(values: torch.Tensor) -> torch.Tensor:
    """Values in single precision or better: half the bits would spoil what several levels add."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _by_filters(n_times: int, *tensors: torch.Tensor) -> bool:
    """Whether PyWavelets filters a signal: a long one, through which nobody asks for a gradient."""
    learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    if learning and n_times > _LONGEST:
        raise ValueError(
            f"A gradient through a wavelet transform of {n_times} samples is asked for; at most "
            f"{_LONGEST} are possible. Cut the signal into windows."
        )
    longest = _LONG if tensors[0].device.type == "cpu" else _LONGEST
    return n_times >= longest and not learning


def _product(values: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Matrix product (..., n) @ (n, m), whatever precision is mixed outside."""
    with torch.autocast(values.device.type, enabled=False):
        return values @ matrix


@lru_cache(maxsize=16)
def _matrix(kind, wavelet, level, mode, n_times, dtype, device) -> torch.Tensor:
    """One transform's matrix; building it costs more than applying it once."""
    build = matrices.analysis_matrix if kind == "analysis" else matrices.synthesis_matrix
    # What is made in inference mode could not serve training later.
    with torch.inference_mode(False):
        return torch.from_numpy(build(wavelet, level, mode, n_times)).to(device, dtype)
