"""Shapes of responses: what they look like, plausible ones drawn at random, a basis for them."""

import numpy as np
import torch

from .gamma import check_bounds, double_gamma, double_gamma_at, find_peak, preset_of

# Plausible shapes per preset, in seconds; the undershoot's lag counts from the peak.
_SHAPES = {
    "human": {"peak": (2.0, 9.0), "fwhm": (2.0, 9.0), "undershoot_lag": (3.0, 15.0)},
    "fnirs": {"peak": (2.0, 12.0), "fwhm": (2.0, 12.0), "undershoot_lag": (3.0, 15.0)},
    "fast": {"peak": (0.5, 4.0), "fwhm": (0.5, 5.0), "undershoot_lag": (1.0, 8.0)},
}
_MAX_UNDERSHOOT_RATIO = 0.6
# Random responses that are judged at once.
_DRAWN = 256


def summarise_response(times, hrf):
    """Peak time, width and undershoot of sampled responses.

    Parameters
    ----------
    times : array of shape (n_times,)
        Regular times in seconds.
    hrf : array of shape (..., n_times)
        Responses whose largest value is positive.

    Returns
    -------
    summary : dict of arrays of shape (...)
        ``peak_time``, ``fwhm`` (seconds), ``undershoot_ratio`` (depth after the peak over peak).
    """
    times = np.asarray(times, dtype=float)
    flat = np.asarray(hrf, dtype=float).reshape(-1, times.size)
    dt = times[1] - times[0]
    rows = np.arange(len(flat))
    top = flat.argmax(1)
    inner = np.clip(top, 1, times.size - 2)
    left, mid, right = (flat[rows, inner + k] for k in (-1, 0, 1))
    curvature = left - 2 * mid + right
    shift = np.where(
        (curvature < 0) & (inner == top), 0.5 * (left - right) / np.minimum(curvature, -1e-300), 0
    )
    shift = np.clip(shift, -1, 1)
    peak = mid - 0.25 * (left - right) * shift
    peak = np.where(inner == top, peak, flat[rows, top])
    index = np.arange(times.size)
    half = 0.5 * peak[:, None]
    below = flat < half
    before = np.where(below & (index < top[:, None]), index, -1).max(1)
    after = np.where(below & (index > top[:, None]), index, times.size).min(1)

    def cross(a, b):
        """Time at which the line through samples a and b reaches the half maximum."""
        a, b = np.clip(a, 0, times.size - 1), np.clip(b, 0, times.size - 1)
        rise = flat[rows, b] - flat[rows, a]
        part = np.where(rise != 0, (half[:, 0] - flat[rows, a]) / np.where(rise == 0, 1, rise), 0)
        return times[a] + np.clip(part, 0, 1) * (times[b] - times[a])

    fwhm = cross(after - 1, after) - cross(before, before + 1)
    tail = np.where(index > top[:, None], flat, np.inf).min(1)
    depth = np.maximum(0.0, -np.where(np.isfinite(tail), tail, 0.0))
    shape = np.shape(hrf)[:-1]
    return {
        "peak_time": (times[inner] + shift * dt).reshape(shape),
        "fwhm": fwhm.reshape(shape),
        "undershoot_ratio": (depth / np.where(peak > 0, peak, np.inf)).reshape(shape),
    }


# Seconds at which responses are summarised.
_TIMES = np.linspace(0.0, 40.0, 801)


def hrf_summary(params):
    """Peak time, width and undershoot of double-gamma responses.

    Parameters
    ----------
    params : array or Tensor of shape (..., 6)
        Parameters in the order of :data:`HRF_PARAMS`.

    Returns
    -------
    summary : dict of arrays of shape (...)
        ``peak_time``, ``fwhm`` (seconds), ``undershoot_ratio`` (depth after the peak over peak).
    """
    if torch.is_tensor(params):
        params = params.detach().cpu().double().numpy()
    # A copy: columns of a DataFrame are read-only, which torch warns of.
    params = np.array(params, dtype=float)
    summary = summarise_response(_TIMES, double_gamma(_TIMES, params))
    exact = find_peak(torch.as_tensor(params))[0].numpy()
    summary["peak_time"] = np.where(exact < _TIMES[-1], exact, summary["peak_time"])
    return summary


def hrf_dictionary(n, bounds="human", random_state=0):
    """Draw random, physiologically plausible double-gamma responses.

    Shapes rise to one peak (2 to 9 s for people, to 12 s for haemoglobin, ``"fnirs"``, 0.5 to 4 s
    for ``"fast"``), have a plausible width and an undershoot of at most 0.6 of the peak; within
    that they differ as the bounds allow.

    Parameters
    ----------
    n : int
        Number of responses.
    bounds : {"human", "fnirs", "fast"} or pair of arrays of shape (6,)
        Bounds of the parameters.
    random_state : int or numpy.random.Generator
        Seed of what is drawn: the same seed, the same numbers.

    Returns
    -------
    params : array of shape (n, 6)
        Unit-peak parameters in the order of :data:`HRF_PARAMS`.
    """
    low, high = check_bounds(bounds)
    shapes = _SHAPES[preset_of(bounds)]
    rng = np.random.default_rng(random_state)
    kept, n_kept = [], 0
    for _ in range(1000):
        m = 4 * n + 64
        peak = rng.uniform(0.9 * shapes["peak"][0], 1.15 * shapes["peak"][1], m)
        d_r = np.exp(rng.uniform(*np.log([low[0], high[0]]), m))
        lag = rng.uniform(*shapes["undershoot_lag"], m)
        # Late, narrow human responses need an early "undershoot" that delays the rise.
        early = rng.random(m) < 0.3
        lag[early] = shapes["undershoot_lag"][0] * rng.uniform(-1.0, 1.0, early.sum())
        p_u = peak + lag
        d_u = np.exp(rng.uniform(*np.log([low[1], high[1]]), m))
        ratio = rng.uniform(0.0, _MAX_UNDERSHOOT_RATIO, m) * (rng.random(m) < 0.9)
        params = np.stack([d_r, d_u, peak / d_r, p_u / d_u, np.ones(m), ratio], axis=1)
        params = params[np.all((params[:, :4] >= low[:4]) & (params[:, :4] <= high[:4]), axis=1)]
        # Blocks stay in the cache, and what follows the last one needed is never judged.
        for first in range(0, len(params), _DRAWN):
            drawn = params[first : first + _DRAWN]
            peak, height = (part.numpy() for part in find_peak(torch.from_numpy(drawn)))
            drawn[:, 4:] /= height[:, None]
            kept.append(drawn[_plausible(drawn, peak, shapes)])
            n_kept += len(kept[-1])
            if n_kept >= n:
                return np.concatenate(kept)[:n]
    raise ValueError(f"No plausible response lies within bounds {bounds!r}: widen them.")


def _plausible(params, peak, shapes):
    """Which responses (n, 6) rise to one peak (n,) in range, of plausible width and undershoot."""
    # The cheap questions first: only who passes is looked at on a fine grid of times.
    tensor = torch.as_tensor(params)
    good = (peak >= shapes["peak"][0]) & (peak <= shapes["peak"][1])
    fraction = np.linspace(0.02, 1.0, 30)
    early = double_gamma_at(torch.as_tensor(fraction * peak[:, None]), tensor).numpy()
    good &= np.all(np.diff(early, axis=1) > -1e-3, axis=1)
    summary = summarise_response(_TIMES, double_gamma(_TIMES, params[good]))
    seen = summary["undershoot_ratio"] <= _MAX_UNDERSHOOT_RATIO
    seen &= (summary["fwhm"] >= shapes["fwhm"][0]) & (summary["fwhm"] <= shapes["fwhm"][1])
    good[good] = seen
    return good


def hrf_basis(times, n_basis=8, *, bounds="human"):
    """Orthonormal responses that span the plausible ones: principal components of a dictionary.

    Parameters
    ----------
    times : array of shape (n_times,)
        Seconds.
    n_basis : int
        Number of components.
    bounds : {"human", "fnirs", "fast"} or pair of arrays of shape (6,)
        Bounds of the dictionary.

    Returns
    -------
    basis : array of shape (n_basis, n_times)
        Orthonormal rows, the first one positive on average (uncentred components).
    """
    times = np.asarray(times, dtype=float)
    if not 1 <= n_basis <= times.size:
        raise ValueError(f"n_basis must be between 1 and n_times = {times.size}, got {n_basis}.")
    responses = double_gamma(times, hrf_dictionary(2000, bounds))
    basis = np.linalg.eigh(responses.T @ responses)[1][:, ::-1][:, :n_basis].T
    signs = np.where(basis[np.arange(n_basis), np.abs(basis).argmax(1)] < 0, -1.0, 1.0)
    return np.ascontiguousarray(basis * signs[:, None])
