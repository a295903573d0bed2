"""Sums of decimated power up to an edge beyond which nothing may be seen."""

from collections.abc import Sequence

import numpy as np

# Decimated samples before an edge that say what follows the last of them.
N_NEAR = 12
# Frequencies at which their weights are asked to be right, and the least share that is solved for.
_N_FREQUENCIES, _SINGULAR = 256, 1e-7


def past_sums(
    responses: Sequence[np.ndarray], n_fft: int, length: int, edges: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Find how decimated power adds up to edges, by what lies before them alone.

    The sum over all samples before an edge (the one that it cuts counts in part) is ``n_fft /
    length`` times that of the decimated ones, but for what lies about the edge. The last few
    decimated samples say that: their weights are the ones that are right, in least squares, for the
    frequencies that power has, which are the differences of those that the wavelets pass.

    ``responses`` are sizes (n_frequencies,) of the wavelets' responses, in steps of the transform
    of ``n_fft`` samples, of which ``length`` are left; ``edges`` are in samples before decimation.
    Returns the last decimated sample (n_edges,) before every edge, and the weights (n_edges,
    N_NEAR) of it and of those before it, in units of samples before decimation.
    """
    stride = n_fft / length
    size = max(map(len, responses))
    # A grid that is coarse enough to correlate directly: a transform would round small shares away.
    grid = np.linspace(0, size - 1, min(size, _N_FREQUENCIES + 1))
    powers = [np.interp(grid, np.arange(len(r)), r**2, right=0.0) for r in responses]
    share = np.sqrt(sum(np.correlate(p, p, "full")[len(grid) - 1 :] for p in powers))
    steps = (np.arange(_N_FREQUENCIES) + 0.5) / _N_FREQUENCIES * min(length / 2, size)
    share = np.interp(steps, grid, share / share[0])
    turn = np.exp(2j * np.pi * steps / n_fft)
    edges = np.asarray(edges)[:, None]
    whole = np.floor(edges)
    last = np.floor((np.ceil(edges - 1e-9) - 1) / stride + 1e-9)
    # Oscillations summed over all samples before the edge, less those over the decimated ones.
    wanted = turn ** (whole - last * stride) * (1.0 / (turn - 1.0) + (edges - whole))
    wanted = wanted - stride / (1.0 - turn**-stride)
    basis = turn[:, None] ** (-stride * np.arange(N_NEAR))
    solve = np.linalg.pinv(_parts(basis * share[:, None]), rcond=_SINGULAR)
    return last[:, 0].astype(int), (solve @ _parts((wanted * share).T)).T


def _parts(values: np.ndarray) -> np.ndarray:
    """Real parts above imaginary parts: (n, k) complex to (2 n, k)."""
    return np.concatenate([values.real, values.imag])
