"""Do two sets of data have the same responses? Blocks of time are exchanged between them."""

import numpy as np

from .fit import refine, to_params
from .shapes import hrf_summary

MEASURES = ("peak_time", "fwhm", "undershoot_ratio")
_ROWS = 4096  # fits that are refined together


def normalised(stats, fitted):
    """Blocks in units where every amplitude and noise variance is one: (gram, cross)."""
    # Conditions may differ in both without their responses differing in shape.
    scale, noise = fitted.scale, fitted.detail.noise
    gram = stats.gram * (scale**2 / noise)[:, None, None, None]
    return gram, stats.cross * (scale / noise)[:, None, None]


def block_differences(family, a, b, n_permutations, rng):
    """Measures of two fits ``(stats, fitted)``, (2, n_regions, 3), and b - a under exchange."""
    parts = [normalised(*a), normalised(*b)]
    gram = np.concatenate([p[0] for p in parts], axis=1)
    cross = np.concatenate([p[1] for p in parts], axis=1)
    n_a, n_blocks = parts[0][0].shape[1], gram.shape[1]
    details = a[1].detail, b[1].detail
    mean = 0.5 * sum(d.prior_mean for d in details)
    covariance = 0.5 * sum(d.prior_covariance for d in details)
    n_regions = len(gram)
    both = 0.5 * (details[0].coordinates + details[1].coordinates)
    pooled = gram.sum(1), cross.sum(1)
    start, _, _ = refine(family, pooled, both, mean, covariance, np.ones(n_regions))
    member = np.zeros((n_permutations + 1, n_blocks))
    member[0, :n_a] = 1
    for k in range(n_permutations):
        member[k + 1, rng.permutation(n_blocks)[:n_a]] = 1
    measures = np.empty((2, n_permutations + 1, n_regions, 3))
    chunk = max(1, _ROWS // n_regions)
    for first in range(0, n_permutations + 1, chunk):
        part = slice(first, first + chunk)
        for side, weights in enumerate((member[part], 1 - member[part])):
            G = np.einsum("pb,rbij->prij", weights, gram, optimize=True)
            g = np.einsum("pb,rbi->pri", weights, cross, optimize=True)
            totals = G.reshape(-1, *G.shape[2:]), g.reshape(-1, *g.shape[2:])
            many = np.tile(start, (len(weights), 1))
            x, _, _ = refine(family, totals, many, mean, covariance, np.ones(len(many)), n_steps=5)
            summary = hrf_summary(to_params(x))
            shapes = np.stack([summary[measure] for measure in MEASURES], axis=-1)
            measures[side, part] = shapes.reshape(len(weights), n_regions, 3)
    return measures[:, 0], measures[1, 1:] - measures[0, 1:]
