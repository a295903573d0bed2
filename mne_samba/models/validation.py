"""What held-out frames say of predictions: how well they follow, and how much they promise."""

import numpy as np

from ..data.paired import Paired
from ..metrics import pearson


def validated_correlation(frames: list[np.ndarray], valid: Paired) -> np.ndarray:
    """Correlation (n_targets,) with held-out frames, mean of recordings; 0 where there are none."""
    scores = []
    for key in dict.fromkeys(valid.keys):
        rows = [i for i, k in enumerate(valid.keys) if k == key]
        scores.append(
            pearson(
                np.concatenate([valid.targets[i] for i in rows]),
                np.concatenate([frames[i] for i in rows]),
            )
        )
    count = np.isfinite(scores).sum(axis=0)
    return np.nansum(scores, axis=0) / np.maximum(count, 1)


def validated_scale(frames: list[np.ndarray], valid: Paired) -> np.ndarray:
    """Slope (n_targets,) of measured on predicted held-out frames, between 0 and 1.5."""
    _, products, power = _products(np.concatenate(frames), np.concatenate(valid.targets))
    return np.clip(products / np.where(power > 0, power, np.inf), 0.0, 1.5)


def confirmed_scale(frames: list[np.ndarray], valid: Paired) -> np.ndarray:
    """Slope (n_targets,) as of `validated_scale`, so far as chance does not explain it, 0 to 1."""
    # A slope b of standard error s becomes b - 2 s^2 / b: nothing where Akaike's criterion prefers
    # none. Frames count as fewer where predictions and residuals are both slow.
    # Responses bring torch, which estimators do without until they are fitted.
    from ..hrf.stats import ar_coefficients

    pred, true, n = _centred(np.concatenate(frames), np.concatenate(valid.targets))[1:]
    power = (pred**2).sum(axis=0)
    power = np.where(power > 0, power, np.inf)
    slope = np.maximum((pred * true).sum(axis=0) / power, 0.0)
    left, follows = true - slope * pred, [np.ones(len(pred), bool)]
    alike = [np.maximum(ar_coefficients([x.T], follows), 0.0) for x in (left, pred)]
    fewer = (1 + np.prod(alike, axis=0)) / (1 - np.prod(alike, axis=0))
    variance = fewer * (left**2).sum(axis=0) / n / power
    return np.clip(slope - 2 * variance / np.where(slope > 0, slope, np.inf), 0.0, 1.0)


def validated_shrinkage(frames: list[np.ndarray], valid: Paired) -> float:
    """Slope of measured on predicted held-out frames of all targets, between 0.05 and 1."""
    # A posterior mean is calibrated where the model is right; where data are few or it is wrong, it
    # may promise too much. One number for all targets is known well enough to mend that.
    _, products, power = _products(np.concatenate(frames), np.concatenate(valid.targets))
    return float(np.clip(products.sum() / max(power.sum(), 1e-12), 0.05, 1.0))


def mean_and_slope(pred: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and slope (n_outputs,), 0 or more, of measured on predicted (n_rows, n_outputs)."""
    mean, products, power = _products(pred, true)
    return mean, np.maximum(products / np.where(power > 0, power, np.inf), 0.0)


def _products(pred, true) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of predictions (n_rows, n_outputs), products with measured, squares: (n_outputs,)."""
    mean, pred, true, _ = _centred(pred, true)
    return mean, (pred * true).sum(axis=0), (pred**2).sum(axis=0)


def _centred(pred, true) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean of predictions where measured, both less their means or zero, and counts of frames."""
    seen = np.isfinite(true)
    count = np.maximum(seen.sum(axis=0), 1)
    means = [np.where(seen, x, 0.0).sum(axis=0) / count for x in (pred, true)]
    pred, true = (np.where(seen, x - m, 0.0) for x, m in zip((pred, true), means, strict=True))
    return means[0], pred, true, count


def mean_and_error(gain: np.ndarray) -> tuple[float, float]:
    """Mean over independent items (n_items,), and its standard error."""
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return float(gain.mean()), float(error)
