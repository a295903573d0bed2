"""Regression on time courses: AR(1) noise, and ridge whose penalty maximises the evidence.

Time is the first axis. Runs of successive frames begin where ``first`` is true; frames of
different runs say nothing about each other.
"""

import numpy as np
import torch

_PENALTIES = np.logspace(-6, 4, 31)  # of `evidence_ridge`, relative to the mean eigenvalue


def whiten(x, first, coefficient):
    """Whiten AR(1) series, array or Tensor (n_times, ...), that restart where a run begins.

    The first frame of a run is scaled by ``sqrt(1 - a**2)``, others become ``x[t] - a x[t - 1]``:
    the inverse square root of the stationary covariance, up to the innovation's variance. The
    coefficient ``a`` is one number, or an array that broadcasts against one frame.
    """
    out = 1 * x
    out[1:] -= coefficient * x[:-1]
    out[first] = np.sqrt(1 - coefficient**2) * x[first]
    return out


# Two estimates on purpose: a core has one coefficient for all its targets; the evidence for bands
# must not hinge on a few of them. Fits of responses have a third, of every region: see `hrf.stats`.


def pooled_ar_coefficient(residuals, first, doubt=None):
    """One lag-one autocorrelation of all series, Tensor (n_times, n_series), which count alike."""
    # What a fit took for signal is missing in residuals, and is slow. ``doubt`` adds what the fit
    # expects of that: variances of weights (n_series, n_features) and (n_times, n_features).
    residuals = residuals - residuals.mean(0)
    variance = residuals.pow(2).mean(0)
    scale = torch.where(variance > 1e-12, variance, torch.inf)
    now, before = _neighbours(residuals / scale.sqrt(), first)
    power, products = 0.5 * (now.pow(2).sum() + before.pow(2).sum()), (now * before).sum()
    if doubt is not None:
        weights, features = (doubt[0] / scale[:, None]).sum(0), doubt[1] - doubt[1].mean(0)
        now, before = _neighbours(features, first)
        power = power + 0.5 * ((now**2 + before**2).sum(0) * weights).sum()
        products = products + ((now * before).sum(0) * weights).sum()
    if power <= 0:
        return 0.0
    return float((products / power).clamp(-0.95, 0.95))


def median_ar_coefficient(values, first):
    """Median lag-one autocorrelation of centred series (n_times, n_series), not below zero."""
    now, before = _neighbours(values, first)
    if len(now) < 3:
        return 0.0
    cross = (now * before).sum(0)
    size = np.sqrt((now**2).sum(0) * (before**2).sum(0))
    if not size.any():
        return 0.0
    return float(np.clip(np.median(cross[size > 0] / size[size > 0]), 0.0, 0.95))


def _neighbours(x, first):
    """Frames that follow another one of their run, and those before them: (n_pairs, ...) each."""
    follows = ~np.asarray(first)[1:]
    return x[1:][follows], x[:-1][follows]


def ridge_evidence(values, rotated, power, n_rows, penalty, floor):
    """Log marginal likelihood of ridge over that without coefficients, in nats.

    For ``w ~ N(0, sigma^2 / penalty)`` and noise of variance ``sigma^2``, which is profiled out.
    Products of regressors have eigenvalues ``values`` (..., p); products with the target are
    ``rotated`` (..., p) to the eigenvectors, and ``power`` (...) is the target's sum of squares, of
    which at least the share ``floor`` is taken for noise. ``penalty`` and ``n_rows`` are (...).
    """
    penalty = np.asarray(penalty)[..., None]
    explained = (rotated**2 / (values + penalty)).sum(-1)
    left = np.maximum(1 - explained / np.maximum(power, 1e-300), floor)
    return -0.5 * (n_rows * np.log(left) + np.log1p(values / penalty).sum(-1))


def evidence_ridge(gram, cross, power, n_rows):
    """Ridge regressions, each with the penalty that maximises its own marginal likelihood.

    From products ``gram`` (n, p, p) of regressors, ``cross`` (n, p) with the target, the target's
    sum of squares ``power`` (n,) and ``n_rows`` (n,): weights (n, p), penalties (n,), and the
    evidence (n,) over that without regressors in nats. One ``gram`` (1, p, p) may serve all.
    """
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    rotated = (vectors.transpose(0, 2, 1) @ cross[..., None])[..., 0]
    penalties = np.outer(_PENALTIES, np.maximum(values.mean(1), 1e-300) * np.ones(len(cross)))
    evidence = ridge_evidence(values, rotated, power, n_rows, penalties, 1e-9)
    best = evidence.argmax(0), np.arange(len(cross))
    weights = (vectors @ (rotated / (values + penalties[best][:, None]))[..., None])[..., 0]
    return weights, penalties[best], evidence[best]


def shared_penalty(problems, n_rows, penalties):
    """Find the one penalty of all targets of all problems that maximises their joint evidence.

    Targets of a problem share regressors: ``(values (p,), rotated (n_targets, p), power
    (n_targets,))`` as in `ridge_evidence`. Returns the penalty, and its evidence over that without
    coefficients in nats.
    """
    evidence = [
        sum(ridge_evidence(*problem, n_rows, penalty, 1e-6).sum() for problem in problems)
        for penalty in penalties
    ]
    best = int(np.argmax(evidence))
    return penalties[best], float(evidence[best])


def own_penalties(problem, n_rows, penalties):
    """Find the penalty of each target, (n_targets,), as `shared_penalty` does that of all."""
    evidence = [ridge_evidence(*problem, n_rows, penalty, 1e-6) for penalty in penalties]
    return penalties[np.argmax(evidence, axis=0)], float(np.max(evidence, axis=0).sum())
