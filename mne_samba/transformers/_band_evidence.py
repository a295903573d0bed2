"""How strongly the power of every channel's bands speaks for a target: numbers only.

Each channel is asked on its own (its bands jointly), because neighbouring sensors carry the same
sources and a joint choice would give one of them all the credit.
"""

import numpy as np
from scipy import stats
from scipy.special import softmax

from .._regression import median_ar_coefficient, whiten

# Chance level, over all channels and bands together, of taking power for related to a target.
_ALPHA = 0.05
# What is left of a coefficient that chance explains: a gain near zero, but no drive of zeros.
_FLOOR = 0.02
_N_ITER = 60
# Frames over which autocorrelation counts.
_MAX_LAG = 15


def effective_share(design: np.ndarray, targets: np.ndarray, follows: np.ndarray) -> float:
    """Share of rows (n_rows, n_columns) that count, both autocorrelated (Bartlett, 1946)."""
    stretch = np.cumsum(~follows)
    inflation = 1.0
    for lag in range(1, min(_MAX_LAG, len(targets) // 4) + 1):
        together = stretch[lag:] == stretch[:-lag]
        if together.sum() < 10:
            break
        product = 1.0
        for values in (design, targets):
            late, early = values[lag:][together], values[:-lag][together]
            size = np.sqrt((late**2).sum() * (early**2).sum())
            product *= (late * early).sum() / max(size, 1e-300)
        # Noise of the autocorrelation itself must not raise the count.
        inflation += 2.0 * max(product, 0.0)
    return 1.0 / inflation


def shared_ard(
    gram: np.ndarray, cross: np.ndarray, power: float, n_rows: float, n_targets: int, group: int
) -> np.ndarray:
    r"""Regress targets on groups of columns, each group with its own learnt prior variance.

    Sparse Bayesian learning with a prior :math:`w_{gt} \sim N(0, \gamma_g I)` for all targets,
    by expectation maximisation of the evidence (Tipping, 2001; Wipf and Rao, 2007).

    ``gram`` (n_channels, n_columns, n_columns); ``cross`` (n_channels, n_columns, n_targets);
    returns ``mean`` (n_channels, n_columns, n_targets).
    """
    n_channels, n_columns, _ = gram.shape
    diagonal = np.arange(n_columns)
    size = np.maximum(gram[:, diagonal, diagonal].reshape(n_channels, -1, group).mean(-1), 1e-300)
    noise = np.full(n_channels, power / (n_rows * n_targets))
    prior = n_rows * noise[:, None] / size
    mean = np.zeros_like(cross)
    for _ in range(_N_ITER):
        scale = np.sqrt(np.repeat(prior, group, axis=1))
        inner = scale[:, :, None] * gram * scale[:, None, :] / noise[:, None, None]
        inner[:, diagonal, diagonal] += 1.0
        covariance = scale[:, :, None] * np.linalg.inv(inner) * scale[:, None, :]
        mean = covariance @ cross / noise[:, None, None]
        spread = covariance[:, diagonal, diagonal]
        prior = ((mean**2).mean(-1) + spread).reshape(n_channels, -1, group).mean(-1)
        residual = power - 2.0 * (mean * cross).sum((1, 2)) + (mean * (gram @ mean)).sum((1, 2))
        uncertain = n_targets * (gram * covariance).sum((1, 2))
        noise = np.maximum(residual + uncertain, 1e-6 * power) / (n_rows * n_targets)
    return mean


def band_weights(
    design: np.ndarray, targets: np.ndarray, follows: np.ndarray | None, response: np.ndarray
) -> np.ndarray:
    """Signed weight (n_channels, n_bands) of each channel's bands for the targets."""
    # ``design`` (n_rows, n_channels, n_bands, n_basis); ``targets`` (n_rows, n_targets);
    # ``follows`` (n_rows,); ``response`` (n_basis,).
    n_rows, n_channels, n_bands, n_basis = design.shape
    design = design - design.mean(0)
    targets = targets - targets.mean(0)
    share = 1.0
    if follows is not None:
        coefficient = median_ar_coefficient(targets, ~follows)
        design, targets = (whiten(v, ~follows, coefficient) for v in (design, targets))
        share = effective_share(design[..., 0].reshape(n_rows, -1), targets, follows)
    scale = targets.std(0)
    targets = targets[:, scale > 0] / scale[scale > 0]
    n_targets = targets.shape[1]
    if n_targets == 0:
        return np.zeros((n_channels, n_bands))
    columns = design.reshape(n_rows, n_channels, -1).transpose(1, 0, 2)
    gram = share * columns.transpose(0, 2, 1) @ columns
    cross = share * columns.transpose(0, 2, 1) @ targets
    counted = share * n_rows
    mean = shared_ard(gram, cross, counted * n_targets, counted, n_targets, n_basis)
    mean = mean.reshape(n_channels, n_bands, n_basis, n_targets)
    kept = _beyond_chance(gram, cross, _n_independent(targets), (n_bands, n_basis))
    amplitude = np.sqrt((mean**2).sum(2)) * kept
    direction = np.einsum("cbkt,k->cbt", mean, response) * kept
    sign = np.sign((direction * np.abs(direction)).sum(-1))
    return sign * np.sqrt((amplitude**2).mean(-1))


def _n_independent(targets: np.ndarray) -> float:
    """Count independent targets: participation ratio of their covariance's eigenvalues."""
    wide = targets.shape[1] > targets.shape[0]
    covariance = targets @ targets.T if wide else targets.T @ targets
    return float(np.trace(covariance) ** 2 / (covariance**2).sum())


def _beyond_chance(gram, cross, n_independent, shape) -> np.ndarray:
    """Part of a coefficient beyond chance (a garrote), (n_channels, n_bands, n_targets), 0 to 1."""
    # A band alone explains q of a target, chi-squared under chance. It counts by its mean over
    # targets (many weak ones) or by a target of its own (one strong one), whichever is clearer.
    n_bands, n_basis = shape
    n_channels, _, n_targets = cross.shape
    explained = np.zeros((n_channels, n_bands, n_targets))
    for band in range(n_bands):
        part = slice(band * n_basis, (band + 1) * n_basis)
        inner = gram[:, part, part]
        ridge = 1e-9 * np.trace(inner, axis1=1, axis2=2)[:, None, None] + 1e-300
        solved = np.linalg.solve(inner + ridge * np.eye(n_basis), cross[:, part])
        explained[:, band] = (solved * cross[:, part]).sum(1)
    n_tests = n_channels * n_bands
    freedom = n_basis * n_independent
    together = stats.chi2.isf(_ALPHA / n_tests, freedom) / freedom
    alone = stats.chi2.isf(_ALPHA / (n_tests * max(n_independent, 1.0)), n_basis)
    pooled = explained.mean(-1, keepdims=True) / n_basis
    with np.errstate(divide="ignore"):
        kept = np.maximum(1.0 - together / pooled, 1.0 - alone / explained)
    return np.maximum(kept, _FLOOR)


def attention_from_weights(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split weights (n_channels, n_bands) into attention and gain; the strongest channel is 1."""
    size = np.abs(weights)
    strength = size.sum(1)
    largest = strength.max()
    if largest == 0:
        return np.full(weights.shape, 1.0 / weights.shape[1]), np.zeros(weights.shape)
    attention = softmax(np.log(size / largest + 1e-6), axis=1)
    return attention, np.sign(weights) * (strength / largest)[:, None]


def excess_over_background(
    spectrum: np.ndarray, freqs: np.ndarray, bands: list[tuple[float, float]]
) -> np.ndarray:
    """Log power (n_channels, n_bands) above the 1/f background of ``spectrum`` at ``freqs``."""
    # A straight line in log-log coordinates, fitted to what does not rise above it.
    lowest = max(min(low for low, _ in bands), freqs[0])
    highest = max(high for _, high in bands)
    used = (freqs >= lowest) & (freqs <= highest)
    if used.sum() < 3:
        used = np.ones(len(freqs), dtype=bool)
    log_freqs, log_power = np.log(freqs[used]), np.log(np.maximum(spectrum[:, used], 1e-300))
    line = np.column_stack([np.ones(used.sum()), log_freqs])
    # Log spacing of the weights: octaves count alike, not hertz.
    weight = 1.0 / freqs[used]
    residual = np.zeros_like(log_power)
    for channel, values in enumerate(log_power):
        kept = weight.copy()
        for _ in range(10):
            root = np.sqrt(kept)[:, None]
            coefs = np.linalg.lstsq(root * line, root[:, 0] * values, rcond=None)[0]
            residual[channel] = values - line @ coefs
            spread = 1.5 * np.median(np.abs(residual[channel])) + 1e-12
            # Peaks lie above the background, so only what rises above the line loses weight.
            kept = weight / (1.0 + (np.maximum(residual[channel], 0.0) / spread) ** 2) ** 2
    excess = np.zeros((len(spectrum), len(bands)))
    for band, (low, high) in enumerate(bands):
        inside = (freqs[used] >= low) & (freqs[used] <= high)
        if not inside.any():
            inside[np.abs(freqs[used] - (low + high) / 2).argmin()] = True
        # The mean of the ratio, not of its logarithm: a peak is narrower than its band.
        excess[:, band] = np.log(np.exp(residual[:, inside]).mean(1))
    return excess
