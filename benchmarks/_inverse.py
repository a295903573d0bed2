"""What the way back is compared with: ridge on deconvolved BOLD, lagged ridge, and an oracle."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from mne_samba.core.inverse import autocorrelation, inverse_filter
from mne_samba.hrf import double_gamma, glover_params
from mne_samba.metrics import pearson

BEFORE, AFTER, GAP, FOLDS = 4, 9, 15, 5
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def lagged(bold, n_before, n_after):
    """Frames t - n_before to t + n_after side by side, zeros beyond the ends."""
    padded = np.pad(bold, ((n_before, n_after), (0, 0)))
    return np.concatenate(
        [padded[i : i + len(bold)] for i in range(n_before + n_after + 1)], axis=1
    )


def wiener(bold, t_r, penalty):
    """Deconvolve every target by Glover's response; bin t lies before frame t + 1."""
    fine = (np.arange(16)[:, None] + (np.arange(20) + 0.5) / 20) * t_r
    kernel = double_gamma(fine.ravel(), glover_params()).reshape(16, 20).mean(axis=1)
    n = len(bold) + 64
    response = np.fft.rfft(kernel, n)[:, None]
    inverse = response.conj() / (np.abs(response) ** 2 + penalty * np.abs(response).max() ** 2)
    padded = np.zeros((n, bold.shape[1]))
    padded[: len(bold)] = bold
    spectrum = np.fft.rfft(np.roll(padded, -1, axis=0), n, axis=0)
    return np.fft.irfft(inverse * spectrum, n, axis=0)[: len(bold)]


def ridge(features, target, groups, test):
    """Ridge whose penalty, one per group of outputs, is validated in contiguous blocks.

    Returns test predictions and the validated correlation.
    """
    n, p = features.shape
    alphas = np.logspace(-3, 4, 22) * (features**2).sum() / min(n, p)
    held = np.zeros((len(alphas), *target.shape))
    for fold in range(FOLDS):
        inside = np.arange(fold * n // FOLDS, (fold + 1) * n // FOLDS)
        train = np.r_[0 : max(0, inside[0] - GAP), min(n, inside[-1] + GAP) : n]
        for i, weights in enumerate(_solve(features[train], target[train], alphas)):
            held[i, inside] = features[inside] @ weights
    error = ((held - target) ** 2).sum(axis=1)
    best = np.empty(target.shape[1], dtype=int)
    for group in np.unique(groups):
        best[groups == group] = error[:, groups == group].sum(axis=1).argmin()
    columns = np.arange(target.shape[1])
    weights = np.stack(_solve(features, target, alphas))[best, :, columns].T
    score = pearson(target, held[best, :, columns].T).mean()
    return test @ weights, score


def _solve(features, target, alphas):
    if features.shape[1] <= len(features):
        values, vectors = linalg.eigh(features.T @ features)
        projected = vectors.T @ (features.T @ target)
        return [vectors @ (projected / (values[:, None] + a)) for a in alphas]
    values, vectors = linalg.eigh(features @ features.T)
    projected = vectors.T @ target
    return [features.T @ (vectors @ (projected / (values[:, None] + a))) for a in alphas]


def deconvolution_ridge(bold, power, groups, test, t_r):
    """Ridge on canonically deconvolved BOLD, both penalties validated."""
    fits = [
        ridge(wiener(bold, t_r, penalty), power, groups, wiener(test, t_r, penalty))
        for penalty in PENALTIES
    ]
    return max(fits, key=lambda fit: fit[1])[0]


def lagged_ridge(bold, power, groups, test):
    """Ridge on the frames that follow a bin."""
    return ridge(lagged(bold, 0, AFTER), power, groups, lagged(test, 0, AFTER))[0]


def oracle(weights, kernels, power, networks, noise, ar, test, n_before=6, n_after=9):
    """Bayes with the true coupling, responses and noise, and measured band power's spectrum.

    ``weights`` (n_targets, n_nodes * n_bands) act on standardised log band power. Nodes of one
    network share fluctuations of a band, all pairs alike.
    """
    n_nodes, n_bands = power.shape[:2]
    alike = np.equal.outer(networks, networks) & ~np.eye(n_nodes, dtype=bool)
    spatial = np.eye(n_nodes * n_bands)
    for k in range(n_bands):
        own = np.arange(k, n_nodes * n_bands, n_bands)
        share = np.corrcoef(power[:, k])[alike].mean() if alike.any() else 0.0
        spatial[np.ix_(own, own)] += max(share, 0.0) * alike
    acf = np.stack([autocorrelation([power[:, k]], 16) for k in range(n_bands)])
    filters = inverse_filter(weights, kernels, acf, spatial, np.diag(noise), ar, n_before, n_after)
    frames = lagged(test, n_before, n_after).reshape(len(test), n_before + n_after + 1, -1)
    return np.einsum("tim,pmi->tp", frames, filters)
