"""The way back in closed form: an encoding model inverted by Bayes, as a filter over frames."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

# Largest linear system of the filter: frames it sees times components of BOLD.
_LARGEST = 1600
# Frames on either side of missing ones that they are filled from.
_CONTEXT = 24


def autocorrelation(series: list[np.ndarray], n_lags: int) -> np.ndarray:
    """Autocorrelation of series (n_series, n_times), averaged over all, (n_lags,): 1 at lag 0.

    Series have zero mean; NaN is left out. Tapered to a true spectrum.
    """
    total, count = np.zeros(n_lags), np.zeros(n_lags)
    for values in series:
        known = np.isfinite(values).astype(float)
        values = np.nan_to_num(values)
        for lag in range(min(n_lags, values.shape[-1])):
            stop = values.shape[-1] - lag
            total[lag] += (values[:, lag:] * values[:, :stop]).sum()
            count[lag] += (known[:, lag:] * known[:, :stop]).sum()
    acf = total / np.maximum(count, 1)
    if acf[0] <= 0:
        return np.eye(n_lags)[0]
    # A Parzen window, twice as wide as the lags, that little is lost where series still remember.
    u = np.arange(n_lags) / (2 * n_lags)
    taper = np.where(u < 0.5, 1 - 6 * u**2 + 6 * u**3, 2 * (1 - u) ** 3)
    return _from_spectrum(_spectrum(acf / acf[0] * taper), n_lags)


def _spectrum(acf: np.ndarray) -> np.ndarray:
    """Spectrum without negative parts, so that every covariance built on it is one."""
    n_lags = len(acf)
    two_sided = np.concatenate([acf, np.zeros(2 * n_lags), acf[:0:-1]])
    spectrum = np.maximum(np.fft.rfft(two_sided).real, 0.0)
    return spectrum / np.fft.irfft(spectrum, len(two_sided))[0]


def _from_spectrum(spectrum: np.ndarray, n_lags: int) -> np.ndarray:
    """Autocorrelation (n_lags,) from its spectrum."""
    return np.fft.irfft(spectrum, 2 * (len(spectrum) - 1) + 1)[:n_lags]


def shrunk_covariance(rows: np.ndarray) -> np.ndarray:
    """Covariance of rows (n_rows, n), shrunk to a multiple of the identity (Chen et al. 2010).

    Where values are missing (NaN), every entry comes from the rows that hold both columns, and the
    result is made positive definite.
    """
    n = rows.shape[1]
    known = np.isfinite(rows).astype(float)
    counts = known.T @ known
    rows = np.nan_to_num(rows)
    covariance = rows.T @ rows / np.maximum(counts, 1)
    mean = np.trace(covariance) / n
    square, alpha = mean**2, float(np.mean(covariance**2))
    bottom = (np.diag(counts).min() + 1.0) * (alpha - square / n)
    weight = 1.0 if bottom <= 0 else min((alpha + square) / bottom, 1.0)
    covariance = (1 - weight) * covariance + weight * mean * np.eye(n)
    if known.all():
        return covariance
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.maximum(values, 1e-3 * mean)) @ vectors.T


def expected_columns(rows: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Fill columns of ``rows`` (n_rows, n) that are NaN throughout by what the others let expect.

    ``covariance`` (n, n) is that of the columns, positive definite. Rows of NaN stay; where all
    columns are missing, nothing is filled.
    """
    missing = np.isnan(rows).all(axis=0)
    if not missing.any() or missing.all():
        return rows
    out = rows.copy()
    inside = covariance[np.ix_(~missing, ~missing)]
    slope = np.linalg.solve(inside, covariance[np.ix_(~missing, missing)])
    out[:, missing] = rows[:, ~missing] @ slope
    return out


def sparse_correlation(rows: np.ndarray, acf: np.ndarray, errors: float = 4.0) -> np.ndarray:
    """Correlation of columns, without the entries that chance explains (Bickel & Levina 2008).

    ``rows`` (n_rows, n) are successive samples of series with autocorrelation ``acf`` (n_bands,
    n_acf): slow series have fewer independent samples. What lies below ``errors`` standard errors
    is set to zero; the result is positive definite with ones on the diagonal.
    """
    independent = len(rows) / (1 + 2 * (acf[:, 1:] ** 2).sum(axis=1).mean())
    size = np.maximum(np.linalg.norm(rows, axis=0), 1e-12)
    correlation = (rows.T @ rows) / np.outer(size, size)
    correlation[np.abs(correlation) < errors / np.sqrt(independent)] = 0.0
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    correlation = (vectors * np.maximum(values, 0.02)) @ vectors.T
    size = np.sqrt(np.diag(correlation))
    return correlation / np.outer(size, size)


def inverse_filter(
    weights: np.ndarray, kernels: np.ndarray, acf: np.ndarray, spatial: np.ndarray,
    noise: np.ndarray, ar: float, n_before: int, n_after: int,
) -> np.ndarray:  # fmt: skip
    r"""Filter from BOLD frames to the band power that most probably drove them.

    The encoding model is :math:`y_m(t) = \sum_{j} h_m(j) \sum_p B_{mp} x_p(t - 1 - j) + e_m(t)`
    with one bin of x per frame. With a stationary Gaussian prior of x and AR(1) noise, the mean of
    x given the frames around it is linear, :math:`\hat x = C_{xy} C_{yy}^{-1} y`: a regularised
    pseudo-inverse of responses and map together.

    ``weights`` (n_targets, n_channels * n_bands); ``kernels`` (n_targets, n_lags); ``acf``
    (n_bands, n_acf); ``spatial`` (n_channels * n_bands, n_channels * n_bands); ``noise``
    (n_targets, n_targets); returns ``filters`` (n_channels * n_bands, n_targets, n_before +
    n_after + 1).
    """
    n_targets, n_features = weights.shape
    n_taps, n_bands = n_before + n_after + 1, len(acf)
    project = _components(weights, spatial, noise, max(1, _LARGEST // n_taps))
    n_kept = project.shape[1]
    band = np.arange(n_features) % n_bands
    roots = np.sqrt([_spectrum(a) for a in acf])
    lags = np.arange(kernels.shape[1])
    reach = max(n_taps, n_before + 1, n_after) + 2 * len(lags) + 2
    cross = np.zeros((n_taps, n_kept, n_features))
    signal = np.zeros((n_taps, n_targets, n_targets))
    for k in range(n_bands):
        for j in range(n_bands):
            shared = _at_lags(roots[k] * roots[j], acf.shape[1], reach)
            coupled = weights[:, band == k] @ spatial[np.ix_(band == k, band == j)]
            if not coupled.any():
                continue
            for i, tau in enumerate(range(-n_before, n_after + 1)):
                gain = kernels @ shared[np.abs(tau - 1 - lags)]
                cross[i][:, band == j] += project.T @ (gain[:, None] * coupled)
            between = coupled @ weights[:, band == j].T
            for d in range(n_taps):
                lagged = shared[np.abs(d - lags[:, None] + lags[None, :])]
                signal[d] += between * (kernels @ lagged @ kernels.T)
    covariance = np.empty((n_taps, n_kept, n_taps, n_kept))
    for d in range(n_taps):
        block = project.T @ (signal[d] + noise * ar**d) @ project
        for i in range(n_taps - d):
            covariance[i + d, :, i] = block
            covariance[i, :, i + d] = block.T
    size = n_taps * n_kept
    covariance = covariance.reshape(size, size)
    covariance = 0.5 * (covariance + covariance.T)
    covariance[np.diag_indices(size)] += 1e-6 * np.trace(covariance) / size
    solved = cho_solve(cho_factor(covariance), cross.reshape(size, n_features))
    filters = np.einsum("mr,irp->pmi", project, solved.reshape(n_taps, n_kept, n_features))
    return np.ascontiguousarray(filters)


def _at_lags(spectrum: np.ndarray, n_lags: int, reach: int) -> np.ndarray:
    """Autocorrelation from its spectrum, zero beyond ``n_lags``, at ``reach`` lags or more."""
    out = np.zeros(max(reach, n_lags))
    out[:n_lags] = _from_spectrum(spectrum, n_lags)
    return out


def _components(weights, spatial, noise, n_most: int) -> np.ndarray:
    """Find combinations of targets (n_targets, n_kept) that carry what band power does to BOLD."""
    if len(weights) <= n_most:
        return np.eye(len(weights))
    _, directions, whiten, _ = _signal_directions(weights, spatial, noise)
    return whiten @ directions[:, :n_most]


def _signal_directions(weights, spatial, noise):
    """Principal directions of the predicted signal in units of the noise, largest first.

    Returns ratios of signal to noise (n_targets,), directions (n_targets, n_targets), what makes
    the noise white (n_targets, n_targets), and the coefficients seen through it (n_targets,
    n_features).
    """
    values, vectors = np.linalg.eigh(noise)
    whiten = vectors / np.sqrt(np.maximum(values, 1e-6 * max(values.max(), 1e-12)))
    signal = whiten.T @ weights
    values, vectors = np.linalg.eigh(signal @ spatial @ signal.T)
    return values[::-1], vectors[:, ::-1], whiten, signal


def fill_frames(bold: np.ndarray, acf: np.ndarray, n_before: int, n_after: int) -> np.ndarray:
    """Add frames before and after, and fill scrubbed ones, by what is expected given the others.

    A filter applied to expected frames gives what the filter for the frames at hand would give:
    edges need no filters of their own. ``bold`` (n_frames, n_targets) is standardised, rows of NaN
    are filled; ``acf`` is its autocorrelation from frame to frame. Returns (n_before + n_frames +
    n_after, n_targets) without NaN.
    """
    n_targets = bold.shape[1]
    gap = np.full((1, n_targets), np.nan)
    out = np.concatenate([np.repeat(gap, n_before, 0), bold, np.repeat(gap, n_after, 0)])
    known = np.isfinite(out).all(axis=1)
    if not known.any():
        return np.zeros_like(out)
    reach = np.zeros(len(out) + 1)
    reach[: min(len(acf), len(reach))] = acf[: len(reach)]
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(int)))
    seen = np.flatnonzero(known)
    for first, stop in edges.reshape(-1, 2):
        place = np.searchsorted(seen, first)
        near = seen[max(0, place - _CONTEXT) : place + _CONTEXT]
        missing = np.arange(first, stop)
        inside = reach[np.abs(near[:, None] - near)] + 0.02 * np.eye(len(near))
        out[missing] = reach[np.abs(missing[:, None] - near)] @ np.linalg.solve(inside, out[near])
    return out


def coupled_projection(
    weights: np.ndarray, spatial: np.ndarray, noise: np.ndarray, n_most: int, least: float = 0.02
) -> np.ndarray:
    """Project band power on what BOLD sees of it, (n_latents, n_features), at least one row.

    Principal directions of the predicted signal in units of the noise (as in reduced-rank
    regression), largest first, each as large as its signal-to-noise ratio. Of encoding coefficients
    ``weights`` (n_targets, n_features), covariance ``spatial`` (n_features, n_features) of band
    power and ``noise`` (n_targets, n_targets) of what they leave unexplained; at most ``n_most``
    directions, none with less than the share ``least`` of the largest ratio.
    """
    values, vectors, _, signal = _signal_directions(weights, spatial, noise)
    n_kept = int(np.clip((values > least * values[0]).sum(), 1, n_most))
    return vectors[:, :n_kept].T @ signal
