"""Filters that unmix a recording, learnt from it alone: subspace, whitening, diagonalisation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from scipy.special import polygamma

from .._checks import check_finite
from .covariance import Reader, band_covariances, degrees_of_freedom, pieces_of
from .diagonalize import joint_diagonalizer, weighted_sum
from .spatial import SpatialFilter

# Pieces of all recordings together that say which subspace holds the signal, at least, and numbers
# in matrices of pieces: few channels and few components allow many.
_PIECES, _NUMBERS, _REDUCED = 60, 1 << 23, 1 << 26
# Sources per dimension of the signal where there may be more sources than sensors, seconds of a
# piece relative to a segment, and pieces at most.
_SOURCES, _SHORTER, _CHANGES = 1.5, 0.5, 500
# Variance, relative to the largest, below which rounding is all there is.
_RANK = 1e-9
# How far above the spread of noise a component stands out, and how little, of what others do, the
# floor waxes and wanes: sensors' own noise is steady, sources are not.
_ABOVE, _STEADY = 1.1, 0.15


@dataclass(frozen=True)
class Stretch:
    """One stretch of signal that filters are learnt from.

    ``read(first, stop)`` gives samples (n_channels, stop - first); ``recording`` says which
    stretches belong together; ``bad`` (n_spans, 2) are spans in seconds that do not count.
    """

    read: Reader
    n_times: int
    recording: object = 0
    bad: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))


@dataclass(frozen=True)
class Pieces:
    """Pieces of stretches, and how much each counts: recordings count alike."""

    stretches: Sequence[Stretch]
    place: list[tuple[int, int, int]]  # stretch, first and last sample but one
    weights: np.ndarray  # (n_pieces,), of sum 1

    @classmethod
    def of(cls, stretches: Sequence[Stretch], sfreq: float, seconds: float, most: int) -> Self:
        """Cut stretches into pieces of so many seconds, at most so many, evenly spread."""
        every = [
            (i, first, stop)
            for i, s in enumerate(stretches)
            for first, stop in pieces_of(s.n_times, sfreq, seconds, s.bad)
        ]
        samples = sum(stop - first for _, first, stop in every)
        if samples < seconds * sfreq:
            raise ValueError(
                f"Only {samples / sfreq:.2g} s of signal are left to learn to unmix from, in "
                f"stretches outside BAD spans of half a segment ({seconds / 2:g} s) or more: give "
                "longer recordings with fewer BAD spans, or Unmixing(segment=...) a shorter "
                "segment; in a model, set unmix=None."
            )
        taken = np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))
        place = [every[i] for i in taken]
        keys = [stretches[i].recording for i, _, _ in place]
        count = {key: keys.count(key) for key in keys}
        return cls(stretches, place, np.array([1 / count[k] / len(count) for k in keys]))

    def covariances(self, sfreq: float, bands, filters: np.ndarray | None = None) -> np.ndarray:
        """Covariances (n_pieces, n_bands, n, n) of channels, or of ``filters`` (n, n_channels)."""
        out = None
        for piece, (i, first, stop) in enumerate(self.place):
            read = self.stretches[i].read
            if filters is not None:
                read = _filtered(read, filters)
            (one,) = band_covariances(read, [(first, stop)], sfreq, bands)
            out = np.empty((len(self.place), *one.shape), one.dtype) if out is None else out
            out[piece] = one
        return out


def _filtered(read: Reader, filters: np.ndarray) -> Reader:
    """Read components in single precision."""
    return lambda first, stop: (filters @ read(first, stop)).astype(np.float32)


@dataclass(frozen=True)
class Subspace:
    """Where the signal is: principal components that stand out of rounding and noise."""

    scale: np.ndarray  # (n_channels,), by which kinds of sensors are brought to one scale
    values: np.ndarray  # (n_components,), variances, largest first
    vectors: np.ndarray  # (n_channels, n_components), principal axes of scaled channels

    @property
    def whitener(self) -> np.ndarray:
        """From channels to principal components of unit variance, (n_components, n_channels)."""
        return (self.vectors / np.sqrt(self.values)).T / self.scale

    @property
    def zca(self) -> np.ndarray:
        """From channels to channels that are uncorrelated and as they were (n, n_channels)."""
        return self.vectors @ self.whitener

    @property
    def colour(self) -> np.ndarray:
        """From principal components of unit variance to channels, (n_channels, n_components)."""
        return self.scale[:, None] * self.vectors * np.sqrt(self.values)

    def back(self, basis: np.ndarray) -> np.ndarray:
        """From components, ``basis`` (n, n_components) of principal ones, to channels."""
        return self.colour @ np.linalg.pinv(basis)


def mean_covariance(covariances: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over pieces and bands, each band of unit mean trace: (n_channels, n_channels)."""
    by_band = weighted_sum(covariances, weights)
    size = np.trace(by_band, axis1=1, axis2=2) / by_band.shape[-1]
    return np.mean(by_band / np.where(size > 0, size, np.inf)[:, None, None], axis=0)


def scale_of(covariance: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """Scale (n_channels,) that gives kinds of channels the same mean variance."""
    variance, kinds = np.diag(covariance), np.asarray(kinds)
    scale = np.ones(len(kinds))
    for kind in np.unique(kinds):
        own = variance[kinds == kind]
        scale[kinds == kind] = np.sqrt(own[own > 0].mean()) if (own > 0).any() else 1.0
    return scale


def find_subspace(
    covariances: np.ndarray, weights: np.ndarray, dof: np.ndarray, kinds: Sequence[str],
    n_components: int | str = "auto",
) -> Subspace:  # fmt: skip
    """Find the principal components that hold signal."""
    # ``covariances`` (n_pieces, n_bands, n_channels, n_channels) of ``dof`` (n_bands,) degrees of
    # freedom each, the ``weights`` (n_pieces,) of pieces and the ``kinds`` of channels, which are
    # brought to one scale.
    covariance = mean_covariance(covariances, weights)
    scale = scale_of(covariance, kinds)
    values, vectors = _principal(covariance / np.outer(scale, scale))
    n = len(values)
    if n_components != "auto":
        n = min(n_components, n)
    elif len(weights) > 3:
        n = _above_noise(covariances / np.outer(scale, scale), weights, dof, n, np.asarray(kinds))
    return Subspace(scale, values[:n], vectors[:, :n])


def _principal(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances (n,), largest first, and axes (n_channels, n) above rounding."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = int(np.sum(values > _RANK * values[0]))
    return values[:rank], vectors[:, :rank]


def _above_noise(covariances, weights, dof, rank: int, kinds: np.ndarray) -> int:
    """Count principal components above the floor, and those below it that are no noise."""
    # The floor is found in half of the pieces. What power does in the others says what is noise:
    # that of sensors is steady.
    half = slice(0, None, 2), slice(1, None, 2)
    share = weights[half[0]] / weights[half[0]].sum()
    mean = mean_covariance(covariances[half[0]], share)
    values, vectors = _principal(mean)
    # Kinds of sensors have noise of their own.
    blocks = [mean[np.ix_(kinds == kind, kinds == kind)] for kind in np.unique(kinds)]
    floor = max(_principal(block)[0][-1] for block in blocks if block.any())
    # By how much variances of white noise differ in so few samples (Marchenko and Pastur 1967); of
    # bands in which noise is weak, these say little of it.
    spread = np.sqrt(min(0.2, rank / (0.5 * dof.sum() * len(share))))
    n = int(np.sum(values > _ABOVE * ((1 + spread) / (1 - spread)) ** 2 * floor))
    if not 0 < n < len(values):
        return rank
    power = np.einsum("ci,sbcd,di->sbi", vectors, covariances[half[1]], vectors, optimize=True)
    # Beyond what so few samples of steady noise scatter.
    swing = np.log(power).var(axis=0, ddof=1) - polygamma(1, dof / 2)[:, None]
    swing = swing.mean(axis=0)
    usual = np.median(swing[:n])
    steady = (m for m in range(n, len(values)) if swing[m:].mean() < _STEADY * usual)
    return min(next(steady, rank), rank)


def mixing(by_band: np.ndarray) -> float:
    """How much channels share: median over channels of the largest correlation with another.

    ``by_band`` (n_bands, n_channels, n_channels) are covariances; 0 where channels are unmixed.
    """
    size = np.sqrt(np.maximum(np.diagonal(by_band, axis1=1, axis2=2), 0.0))
    size = np.where(size > 0, size, np.inf)
    correlation = np.abs(by_band / size[:, :, None] / size[:, None, :])
    correlation[:, np.arange(by_band.shape[1]), np.arange(by_band.shape[1])] = 0.0
    return float(np.median(correlation.max(axis=2)))


class Learner:
    """Learns to unmix stretches of signal: reads some pieces at once, and all where asked to.

    ``kinds`` of channels are brought to one scale; power is taken as constant over ``segment`` s.
    At once are read ``most`` pieces, if that is said.
    """

    def __init__(self, stretches, sfreq, bands, ch_names, kinds, segment=10.0, most=None):
        self.stretches, self.sfreq, self.bands = stretches, sfreq, bands
        self.ch_names, self.kinds, self.segment = list(ch_names), kinds, segment
        room = max(_PIECES, _NUMBERS // (len(bands) * len(kinds) ** 2))
        pieces = Pieces.of(stretches, sfreq, segment, room if most is None else most)
        with np.errstate(invalid="ignore"):
            covariances = pieces.covariances(sfreq, bands)
        variance = np.diagonal(covariances, axis1=2, axis2=3)
        check_finite(variance[..., np.newaxis], "X", ch_names)
        if not variance.any():
            raise ValueError(f"X holds no signal: all channels are flat, {list(ch_names)[:8]}.")
        self.by_band = weighted_sum(covariances, pieces.weights)
        lengths = [stop - first for _, first, stop in pieces.place]
        dof = degrees_of_freedom(bands, int(np.median(lengths)), sfreq)
        self._found = covariances, pieces.weights, dof, kinds

    def subspace(self, n_components="auto") -> Subspace:
        """Give principal components that hold signal."""
        return find_subspace(*self._found, n_components)

    def whiten(self, n_components="auto") -> SpatialFilter:
        """Decorrelate channels, each as much itself as can be (ZCA)."""
        space = self.subspace(n_components)
        return SpatialFilter("whiten", space.zca, space.back(space.vectors), list(self.ch_names))

    def joint(self, n_components="auto") -> SpatialFilter:
        """Diagonalise covariances of all bands and pieces jointly."""
        space = self.subspace(n_components)
        most = max(1, _REDUCED // (len(self.bands) * len(space.values) ** 2))
        pieces = Pieces.of(self.stretches, self.sfreq, self.segment, most)
        matrices = pieces.covariances(self.sfreq, self.bands, space.whitener)
        n_bands, n = matrices.shape[1:3]
        weights = np.repeat(pieces.weights, n_bands)
        basis = joint_diagonalizer(matrices.reshape(-1, n, n), weights=weights)
        mean = mean_covariance(matrices, pieces.weights)
        basis /= np.sqrt(np.einsum("ij,jk,ik->i", basis, mean, basis))[:, None]
        filters, patterns = basis @ space.whitener, space.back(basis)
        return _in_order("joint", filters, patterns, space)

    def underdetermined(self, n_components="auto") -> SpatialFilter:
        """Find topographies of sources that may be more than sensors, and a beamformer for each."""
        from .underdetermined import topographies  # torch, which nothing else here needs

        # Noise and weak sources are left to beamformers.
        space = self.subspace(len(self.ch_names))
        seconds = _SHORTER * self.segment
        pieces = Pieces.of(self.stretches, self.sfreq, seconds, _CHANGES)
        matrices = pieces.covariances(self.sfreq, self.bands, space.whitener)
        n_bands, n = matrices.shape[1:3]
        n_sources = max(n + 1, round(_SOURCES * n)) if n_components == "auto" else n_components
        weights = np.repeat(pieces.weights, n_bands)
        basis = joint_diagonalizer(matrices.reshape(-1, n, n), weights=weights, max_iter=20)
        more = np.random.default_rng(0).standard_normal((n, max(0, n_sources - n)))
        start = np.concatenate([np.linalg.inv(basis), more], axis=1)[:, :n_sources]
        lengths = [stop - first for _, first, stop in pieces.place]
        dof = degrees_of_freedom(self.bands, int(np.median(lengths)), self.sfreq)
        found = topographies(matrices, dof, start)
        mean = mean_covariance(matrices, pieces.weights)
        basis = np.linalg.solve(mean, found).T
        size = np.sqrt(np.einsum("ij,jk,ik->i", basis, mean, basis))
        filters = basis / size[:, None] @ space.whitener
        return _in_order("underdetermined", filters, space.colour @ (found / size), space)


def _in_order(method, filters: np.ndarray, patterns: np.ndarray, space: Subspace) -> SpatialFilter:
    """Order components, the largest first, so that what is largest at the sensors is positive."""
    scaled = patterns / space.scale[:, None]
    order = np.argsort(-np.linalg.norm(scaled, axis=0), kind="stable")
    scaled = scaled[:, order]
    sign = np.sign(scaled[np.abs(scaled).argmax(axis=0), np.arange(len(order))])
    names = [f"IC{i:03d}" for i in range(len(order))]
    return SpatialFilter(method, filters[order] * sign[:, None], patterns[:, order] * sign, names)
