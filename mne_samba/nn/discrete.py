"""Discrete wavelet transforms in torch: differentiable, batched, equal to PyWavelets.

A multi-level transform with its boundary rule is one linear operator. It is banded, so it is cut
into tiles that map a short stretch of the signal to the coefficients that live there; each tile is
one matrix product over a batch that fits the cache. This does more multiplications than a cascade
of strided convolutions and is several times faster: matrix products run at the processor's peak.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pywt
import torch
from scipy import sparse

from ._as_written import as_written
from ._discrete_levels import analysis_level, synthesis_level

__all__ = ["MODES", "wavedec", "waverec"]

MODES = (
    "zero",
    "constant",
    "symmetric",
    "reflect",
    "periodic",
    "smooth",
    "antisymmetric",
    "antireflect",
    "periodization",
)

# Samples per tile: wide enough for efficient products, narrow enough to waste little on the band.
_TILE = 32
# Levels are joined into one operator while its rows stay about this short.
_LONGEST_ROW = 100
# Rows of a batch that are taken together, so that signal and coefficients stay in cache.
_ROWS = 1024


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
        If the wavelet or mode is unknown, or the level is below 1.
    """
    signal = _at_least_single(torch.as_tensor(signal))
    n_times = signal.shape[-1]
    filters = _check_wavelet(wavelet, mode)
    if level is None:
        level = max(1, pywt.dwt_max_level(n_times, filters.dec_len))
    if level != int(level) or level < 1 or n_times < 1:
        raise ValueError(
            "level must be a whole number of at least 1 and the signal not empty; got "
            f"level={level} for {n_times} samples."
        )
    rest = signal.reshape(-1, n_times)
    details: list[torch.Tensor] = []
    for stage in _stages(filters.name, mode, n_times, int(level)):
        coefs = _Analyse.apply(rest, stage, stage.analysis)
        rest = coefs[-1]
        details += coefs[:-1]
    leading = signal.shape[:-1]
    return [coef.reshape(*leading, -1) for coef in [rest, *details[::-1]]]


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
        If the numbers of coefficients do not belong to one transform.
    """
    filters = _check_wavelet(wavelet, mode)
    if len(coeffs) < 2:
        raise ValueError("coeffs must hold an approximation and at least one level of details.")
    if n_times is None:
        finest = coeffs[-1].shape[-1]
        n_times = 2 * finest if mode == "periodization" else 2 * finest - filters.dec_len + 2
    stages = _stages(filters.name, mode, int(n_times), len(coeffs) - 1)
    expected = [stages[-1].lengths[-1]]
    expected += [length for stage in stages[::-1] for length in stage.lengths[-2::-1]]
    if [coef.shape[-1] for coef in coeffs] != expected:
        raise ValueError(
            f"A {len(coeffs) - 1}-level {wavelet!r} transform of {n_times} samples has {expected} "
            f"coefficients, got {[coef.shape[-1] for coef in coeffs]}."
        )
    leading = coeffs[0].shape[:-1]
    flat = [_at_least_single(coef.reshape(-1, coef.shape[-1])) for coef in coeffs]
    rest, details = flat[0], flat[:0:-1]
    for stage in stages[::-1]:
        n_levels = len(stage.lengths) - 1
        levels, details = details[-n_levels:], details[:-n_levels]
        rest = _Synthesise.apply(stage, stage.synthesis, *levels, rest)
    return rest.reshape(*leading, n_times)


def _at_least_single(values: torch.Tensor) -> torch.Tensor:
    # Mixed precision ends here: half the bits would spoil what several levels add up.
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _check_wavelet(wavelet: str, mode: str) -> pywt.Wavelet:
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}; got {mode!r}.")
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise ValueError(
            f"{wavelet!r} is not a discrete wavelet that PyWavelets knows; see "
            "pywt.wavelist(kind='discrete'), for example 'db5', 'sym8' or 'coif3'."
        )
    return pywt.Wavelet(wavelet)


class _Tiles:
    """A banded operator from signal to coefficients as one small matrix per stretch of signal."""

    def __init__(self, tiles: list[tuple[int, torch.Tensor]]):
        self._tiles = tiles
        self._cast: dict = {}

    def runs(self, like: torch.Tensor, n_rows: int):
        """Yield runs of equal tiles as ``(tile, n_tiles, first, step, matrix)``.

        Tiles of a run share ``matrix``; tile ``tile + i`` starts at sample ``first + i * step``.
        Few rows are made up for by many tiles per product, many rows take one tile at a time.
        """
        longest = max(1, _ROWS // n_rows)
        key = (like.dtype, like.device, longest)
        if key not in self._cast:
            matrices = {id(matrix): matrix for _, matrix in self._tiles}
            matrices = {name: matrix.to(like) for name, matrix in matrices.items()}
            runs: list[list] = []
            for tile, (first, matrix) in enumerate(self._tiles):
                run = runs[-1] if runs else None
                if (
                    run
                    and run[5] is matrix
                    and run[1] < longest
                    and run[1] * run[3] == first - run[2]
                ):
                    run[1] += 1
                elif run and run[5] is matrix and run[1] == 1 < longest:
                    run[1], run[3] = 2, first - run[2]
                else:
                    runs.append([tile, 1, first, 0, matrices[id(matrix)], matrix])
            self._cast[key] = [tuple(run[:5]) for run in runs]
        return self._cast[key]


class _Analyse(torch.autograd.Function):
    """Signal to coefficients; the gradient is the transpose."""

    @staticmethod
    def forward(ctx, signal, stage, tiles):
        ctx.stage, ctx.tiles = stage, tiles
        with torch.autocast(signal.device.type, enabled=False):
            return stage.analyse(signal, tiles)

    @staticmethod
    def backward(ctx, *grads):
        return _Synthesise.apply(ctx.stage, ctx.tiles, *grads), None, None


class _Synthesise(torch.autograd.Function):
    """Coefficients to signal; the gradient is the transpose."""

    @staticmethod
    def forward(ctx, stage, tiles, *coefs):
        ctx.stage, ctx.tiles = stage, tiles
        with torch.autocast(coefs[0].device.type, enabled=False):
            return stage.synthesise(coefs, tiles)

    @staticmethod
    def backward(ctx, grad):
        return None, None, *_Analyse.apply(grad, ctx.stage, ctx.tiles)


class _Stage:
    """A few levels joined into one operator.

    ``lengths`` counts the details from fine to coarse, then the approximation. A tile holds, in
    this order, the coefficients of each that belong to the same stretch of signal.
    """

    def __init__(self, filters: pywt.Wavelet, mode: str, n_times: int, n_levels: int):
        self.lengths: list[int] = []
        analysis, synthesis = [], []
        down = up = sparse.identity(n_times, format="csr")
        length = n_times
        for _ in range(n_levels):
            low, high = analysis_level(filters, mode, length)
            low_up, high_up = synthesis_level(filters, mode, length, low.shape[0])
            analysis.append(high @ down)
            synthesis.append(up @ high_up)
            down, up = low @ down, up @ low_up
            length = low.shape[0]
            self.lengths.append(length)
        self.lengths.append(length)
        analysis.append(down)
        synthesis.append(up)
        # Coefficients of each kind in a tile: every level halves the rate.
        base = max(_TILE >> n_levels, 1)
        self.shares = [base << (n_levels - 1 - j) for j in range(n_levels)] + [base]
        self.n_tiles = max(
            -(-count // share) for count, share in zip(self.lengths, self.shares, strict=True)
        )
        self.n_times, self.width = n_times, sum(self.shares)
        self.offsets = np.cumsum([0, *self.shares[:-1]])
        self.analysis = self._tiles([part.T.tocsc() for part in analysis])
        self.synthesis = self._tiles([part.tocsc() for part in synthesis])

    def _tiles(self, parts: list[sparse.csc_matrix]) -> _Tiles:
        # Tiles inside the signal are all the same: build and keep one matrix for them.
        built: dict[tuple[bytes, ...], torch.Tensor] = {}
        tiles = []
        for i in range(self.n_tiles):
            entries = [
                _columns(part, i * share, (i + 1) * share, column)
                for part, share, column in zip(parts, self.shares, self.offsets, strict=True)
            ]
            row, column, value = (np.concatenate(part) for part in zip(*entries, strict=True))
            first, stop = (int(row.min()), int(row.max()) + 1) if row.size else (0, 1)
            key = tuple(part.tobytes() for part in (row - first, column, value))
            if key not in built:
                matrix = np.zeros((stop - first, self.width))
                matrix[row - first, column] = value
                built[key] = torch.from_numpy(matrix)
            tiles.append((first, built[key]))
        return _Tiles(tiles)

    def _parts(self, tiled: torch.Tensor) -> list[torch.Tensor]:
        """Split a tiled buffer into views (n_rows, n_tiles, share), one per kind."""
        return list(tiled.view(len(tiled), self.n_tiles, self.width).split(self.shares, dim=-1))

    def analyse(self, signal: torch.Tensor, tiles: _Tiles) -> tuple[torch.Tensor, ...]:
        """Map (n_rows, n_times) to a (n_rows, length) tensor per kind of coefficient."""
        sizes = [self.n_tiles * share for share in self.shares]
        coefs = [signal.new_empty(len(signal), size) for size in sizes]
        buffer = signal.new_empty(min(len(signal), _ROWS), self.n_tiles * self.width)
        for start in range(0, len(signal), _ROWS):
            rows = signal[start : start + _ROWS]
            tiled = buffer[: len(rows)]
            for tile, n_tiles, first, step, matrix in tiles.runs(signal, len(buffer)):
                out = tiled[:, tile * self.width : (tile + n_tiles) * self.width]
                if n_tiles == 1:
                    torch.mm(rows[:, first : first + len(matrix)], matrix, out=out)
                else:
                    stop = first + (n_tiles - 1) * step + len(matrix)
                    windows = rows[:, first:stop].unfold(1, len(matrix), step)
                    out.unflatten(1, (n_tiles, self.width)).copy_(windows @ matrix)
            for coef, part in zip(coefs, self._parts(tiled), strict=True):
                coef[start : start + _ROWS].view(part.shape).copy_(part)
        return tuple(coef[:, :length] for coef, length in zip(coefs, self.lengths, strict=True))

    def synthesise(self, coefs: tuple[torch.Tensor, ...], tiles: _Tiles) -> torch.Tensor:
        """Map coefficients back to (n_rows, n_times), the transpose of :meth:`analyse`."""
        n_rows = len(coefs[0])
        signal = coefs[0].new_zeros(n_rows, self.n_times)
        buffer = coefs[0].new_zeros(min(n_rows, _ROWS), self.n_tiles * self.width)
        for start in range(0, n_rows, _ROWS):
            rows = signal[start : start + _ROWS]
            tiled = buffer[: len(rows)]
            for coef, part in zip(coefs, self._parts(tiled), strict=True):
                n_whole = coef.shape[1] // part.shape[2]
                n_used = n_whole * part.shape[2]
                block = coef[start : start + _ROWS]
                part[:, :n_whole] = block[:, :n_used].unflatten(1, (n_whole, part.shape[2]))
                if n_used < coef.shape[1]:
                    part[:, n_whole, : coef.shape[1] - n_used] = block[:, n_used:]
            for tile, n_tiles, first, step, matrix in tiles.runs(signal, len(buffer)):
                part = tiled[:, tile * self.width : (tile + n_tiles) * self.width]
                if n_tiles == 1:
                    rows[:, first : first + len(matrix)].addmm_(part, matrix.T)
                    continue
                windows = part.unflatten(1, (n_tiles, self.width)) @ matrix.T
                # Windows overlap: add them up a step's width at a time, where they do not.
                for offset in range(0, len(matrix), step):
                    piece = windows[:, :, offset : offset + step]
                    begin = first + offset
                    stop = begin + (n_tiles - 1) * step + piece.shape[2]
                    rows[:, begin:stop].unfold(1, piece.shape[2], step).add_(piece)
        return signal


@lru_cache(maxsize=32)
def _stages(wavelet: str, mode: str, n_times: int, level: int) -> tuple[_Stage, ...]:
    """Operators of a transform, cached: building them costs more than applying them once."""
    filters = pywt.Wavelet(wavelet)
    joined = max(1, int(np.log2(_LONGEST_ROW / filters.dec_len + 1)))
    stages = []
    while level > 0:
        stages.append(_Stage(filters, mode, n_times, min(joined, level)))
        n_times = stages[-1].lengths[-1]
        level -= joined
    return tuple(stages)


def _columns(matrix: sparse.csc_matrix, start: int, stop: int, offset: int):
    """Entries of columns ``start .. stop`` as (row, column, value); columns begin at ``offset``."""
    ends = matrix.indptr[start : stop + 1]
    column = offset + np.repeat(np.arange(max(len(ends) - 1, 0)), np.diff(ends))
    kept = slice(ends[0], ends[-1]) if len(ends) else slice(0)
    return matrix.indices[kept], column, matrix.data[kept]
