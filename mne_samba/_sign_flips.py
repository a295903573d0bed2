"""Exchanges of people: signs that are flipped, groups that change sides, and their t statistics."""

import math
from itertools import combinations, product

import numpy as np
from scipy import stats


def sign_flips(n_people: int, n_flips: int, rng: np.random.Generator) -> np.ndarray:
    """Signs (n_draws, n_people), first those of the data; all of them where they are so few."""
    if 2**n_people <= n_flips:
        return np.array(list(product([1.0, -1.0], repeat=n_people)))
    signs = rng.choice([-1.0, 1.0], (n_flips, n_people))
    return np.concatenate([np.ones((1, n_people)), signs])


def exchanges(n_first: int, n_people: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Who is in the first group (n_draws, n_people), first as the data have it; all where few."""
    if math.comb(n_people, n_first) <= n_draws:
        chosen = np.array(list(combinations(range(n_people), n_first)))
    else:
        drawn = [rng.permutation(n_people)[:n_first] for _ in range(n_draws)]
        chosen = np.array([np.arange(n_first), *drawn])
    member = np.zeros((len(chosen), n_people))
    np.put_along_axis(member, chosen, 1.0, axis=1)
    return member


def flipped_t(signs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Student's t over people of values (n_people, n_targets): (n_draws, n_targets)."""
    # Missing values are NaN. Where targets differ in how many people they have, t is what a normal
    # score of the same probability would be: heavy tails of few people must not rule the maximum.
    there = np.isfinite(values)
    n, filled = there.sum(axis=0), np.where(there, values, 0.0)
    mean, square = signs @ filled / n, (filled**2).sum(axis=0) / n
    # Values that are all alike have no spread: their t is large, not infinite.
    variance = np.maximum(square - mean**2, 1e-12 * np.where(square > 0, square, 1.0))
    return comparable(mean * np.sqrt((n - 1) / variance), n - 1)


def welch_t(member: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Welch's t, second group minus first, of (n_people, n_targets): (n_draws, n_targets)."""
    # A target needs two people on either side of every draw.
    there = np.isfinite(values)
    filled, found = np.where(there, values, 0.0), []
    for side in (1.0 - member, member):
        n = side @ there
        mean = side @ filled / n
        variance = np.maximum(side @ filled**2 / n - mean**2, 0.0) / (n - 1)
        found.append((mean, variance, n))
    (second, first), spread = [part[0] for part in found], found[0][1] + found[1][1]
    least = 1e-12 * np.where(there, values**2, 0.0).max(axis=0)
    return (second - first) / np.sqrt(np.maximum(spread, np.where(least > 0, least, 1.0)))


def comparable(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Make t (..., n_targets) of unequal degrees of freedom (n_targets,) comparable."""
    if np.all(df == df[:1]):
        return t
    return np.sign(t) * stats.norm.isf(stats.t.sf(np.abs(t), df))


def exchange_p(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """P values of observed (n_targets,) beside null (n_draws, ...), which holds the data first."""
    # Draws that mirror the data equal them but for rounding.
    slack = 1e-9 * np.maximum(1.0, np.abs(observed))
    return (null >= observed - slack).mean(axis=0)
