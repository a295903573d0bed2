"""Representational similarity between latents and a model matrix."""

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata

from ..metrics import METRICS
from .nulls import p_value


def _pair(a, b, least: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    a, b = (part[:, np.newaxis] if part.ndim == 1 else part for part in (a, b))
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or len(a) < least:
        raise ValueError(
            f"Both matrices must have shape (n_samples, n_features) with the same samples, at "
            f"least {least}, got {a.shape} and {b.shape}."
        )
    return a, b


def _check_method(method: str) -> None:
    if method not in ("spearman", "pearson"):
        raise ValueError(f"method must be 'spearman' or 'pearson', got {method!r}.")


def rsa(latent, model, *, metric: str = "correlation", method: str = "spearman") -> float:
    """Correlation between the dissimilarities of samples in two representations.

    Parameters
    ----------
    latent, model : array of shape (n_samples, n_features)
        Latents (``SambaTranslator.transform``) and what they are compared with.
    metric : str
        Dissimilarity, as in :func:`scipy.spatial.distance.pdist`; ``"correlation"`` needs at least
        two features, ``"euclidean"`` works with one.
    method : "spearman" | "pearson"
        How dissimilarities are compared (Kriegeskorte et al. 2008: ranks).

    Returns
    -------
    similarity : float
        Between -1 and 1; 0 where all dissimilarities are equal.

    Raises
    ------
    ValueError
        If samples differ in number, are fewer than four, or ``method`` is unknown.
    """
    latent, model = _pair(latent, model, 4)
    _check_method(method)
    if metric == "correlation" and min(latent.shape[1], model.shape[1]) < 2:
        raise ValueError("metric='correlation' needs two features or more; use 'euclidean'.")
    return METRICS[method](pdist(latent, metric), pdist(model, metric)).item()


def noise_ceiling(
    people, *, metric: str = "correlation", method: str = "spearman"
) -> tuple[float, float]:
    """Similarity that no model of people's representations can surpass, and that it should reach.

    Parameters
    ----------
    people : array of shape (n_people, n_samples, n_features) | list of array
        Representations of the same samples; features may differ between people.
    metric, method : str
        As in :func:`rsa`.

    Returns
    -------
    low, high : float
        Mean similarity of a person's dissimilarities to the mean of the others', and to the mean of
        all (Nili et al. 2014). ``high`` is what the best model would have; it knows the noise of
        the people that it is compared with, ``low`` does not.

    Raises
    ------
    ValueError
        If there are fewer than two people, or their samples differ in number.
    """
    people = list(people)
    if len(people) < 2:
        raise ValueError(f"A noise ceiling needs two people or more, got {len(people)}.")
    _check_method(method)
    pairs = [_pair(first, people[0], 4)[0] for first in people]
    distances = np.stack([pdist(person, metric) for person in pairs])
    if method == "spearman":
        distances = rankdata(distances, axis=1)
    distances = distances - distances.mean(axis=1, keepdims=True)
    distances /= np.maximum(distances.std(axis=1, keepdims=True), 1e-12)
    total, score = distances.sum(axis=0), METRICS[method]
    low = [score(own, total - own).item() for own in distances]
    high = [score(own, total).item() for own in distances]
    return float(np.mean(low)), float(np.mean(high))


def _hsic(k: np.ndarray, l: np.ndarray) -> float:
    """Unbiased Hilbert-Schmidt independence criterion (Song et al. 2012, equation 5)."""
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
    total = k.sum() * l.sum() / ((n - 1) * (n - 2))
    return float(((k * l).sum() + total - 2 * (k.sum(0) @ l.sum(0)) / (n - 2)) / (n * (n - 3)))


def cka(latent, model, *, debiased: bool = True) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019).

    Invariant to rotation, reflection and one scale of each representation.

    Parameters
    ----------
    latent, model : array of shape (n_samples, n_features)
        The two representations.
    debiased : bool
        Use the unbiased estimate, which is near 0 for unrelated representations however many
        features they have; the biased one then grows towards 1.

    Returns
    -------
    similarity : float
        1 for equal representations; 0 where one of them is constant.

    Raises
    ------
    ValueError
        If samples differ in number or are fewer than four.
    """
    latent, model = _pair(latent, model, 4)
    latent, model = latent - latent.mean(axis=0), model - model.mean(axis=0)
    k, l = latent @ latent.T, model @ model.T
    if debiased:
        cross, first, second = _hsic(k, l), _hsic(k, k), _hsic(l, l)
    else:
        cross, first, second = (k * l).sum(), (k * k).sum(), (l * l).sum()
    length = np.sqrt(max(first, 0.0) * max(second, 0.0))
    return float(cross / length) if length > 0 else 0.0


def similarity_null(
    latent, model, shifts, *, similarity: Callable = rsa, **options
) -> tuple[float, np.ndarray, float]:
    """Similarity beside that with samples rolled in time.

    Samples of a recording are autocorrelated: permuting them one by one makes everything
    significant.

    Parameters
    ----------
    latent, model : array of shape (n_samples, n_features)
        Samples of one recording in order of time.
    shifts : array of int, shape (n_shifts,)
        How far ``model`` is rolled, see :func:`draw_shifts`.
    similarity : callable
        :func:`rsa`, :func:`cka`, or any function of two representations.
    **options : dict
        Options of ``similarity``.

    Returns
    -------
    observed : float
        Similarity of the samples as they are.
    null : ndarray of shape (n_shifts,)
        Similarity of each shift.
    p : float
        One-sided p value.
    """
    latent, model = _pair(latent, model, 4)
    observed = similarity(latent, model, **options)
    if similarity is rsa:
        # Rolling samples only reorders their dissimilarities.
        metric = options.get("metric", "correlation")
        score = METRICS[options.get("method", "spearman")]
        first, square = pdist(latent, metric), squareform(pdist(model, metric))
        rolled = (np.roll(square, (shift, shift), axis=(0, 1)) for shift in shifts)
        null = [score(first, squareform(part, checks=False)).item() for part in rolled]
    else:
        null = [similarity(latent, np.roll(model, shift, axis=0), **options) for shift in shifts]
    null = np.asarray(null)
    return observed, null, float(p_value(observed, null))
