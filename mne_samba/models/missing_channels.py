"""Channels that a recording lacks, inferred from those that it has: their signal and their power.

What lacks is the conditional mean given what is there, under covariances that are learnt in fits.
Where present channels tell little of a signal, they may tell more of its power. Either way, what is
inferred is as small as it is uncertain: of a channel that others say nothing of, it is the mean.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
from mne.utils import logger
from scipy import fft

from ..arrays import array
from ..data.power import BandPower, PowerScaler
from ..data.recordings import Recordings
from ..unmixing.learn import mean_covariance
from ..wavelets import Precomputed
from .unmix_choice import learner_of

# Shrinkage of correlations of power towards none, of which held-out blocks choose.
_SHRINKAGE = (0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
# Blocks that are held out in turn, and parts of the channels that lack in turn in each.
_BLOCKS, _FOLDS = 4, 4
# What keeps covariances of referenced or interpolated channels invertible.
_RIDGE = 1e-6
# Draws of what is not known, whose predictions say how much is not known of them.
_DRAWS = 8


@dataclass(frozen=True)
class Pattern:
    """What is known of the nodes of a recording that lacks channels."""

    lacks: np.ndarray  # nodes that are inferred, (n_missing,)
    signal: np.ndarray  # gain of the power of their inferred signal, (n_missing, n_bands)
    unseen: np.ndarray  # share of their power that no signal shows, (n_missing, n_bands)
    # From the power of present nodes, 0 where the signal says more: (n_bands, n_missing, n_present)
    power: np.ndarray
    present: np.ndarray  # nodes that are there, (n_present,)
    factor: np.ndarray  # of the covariance of errors, (n_bands, n_missing, n_missing)


@dataclass(frozen=True)
class MissingChannels:
    """What channels tell of each other in training."""

    # Of the signal in every band, where X held signals.
    covariance: np.ndarray | None = array("n_bands", "n_sensors", "n_sensors", optional=True)
    # Of power on the scale that models see, shrunk; where these are channels, not components.
    correlation: np.ndarray | None = array("n_bands", "n_channels", "n_channels", optional=True)
    # Of power over bins, from lag 0.
    persistence: np.ndarray | None = array("n_bands", "n_persistence", optional=True)
    shrinkage: float = 1.0

    @classmethod
    def learn(cls, rec: Recordings, features, powers: list[np.ndarray]) -> Self:
        """Learn from training recordings and their scaled power (n_nodes, n_bands, n_bins)."""
        covariance, bands = None, isinstance(features, BandPower)
        if not (bands and isinstance(features.bank, Precomputed)):
            covariance = learner_of(rec, features.bands).by_band
        if not bands:
            return cls(covariance)
        known = [power[..., power.any(axis=(0, 1))] for power in powers]
        persistence = _persistence(max(known, key=lambda power: power.shape[-1]))
        if features.spatial is not None:
            return cls(covariance, None, persistence)
        correlation, shrinkage = _shrunk(np.concatenate(known, axis=-1))
        logger.info("Power of missing channels: correlations shrunk by %g.", shrinkage)
        return cls(covariance, correlation, persistence, shrinkage)

    def completing(self, lacks: np.ndarray) -> np.ndarray:
        """Matrix (n_sensors, n_sensors) from what is there to the conditional mean of all."""
        n = self.covariance.shape[1]
        mean = mean_covariance(self.covariance[np.newaxis], np.ones(1))
        scale = np.sqrt(np.where(np.diag(mean) > 0, np.diag(mean), 1.0))
        there = np.setdiff1d(np.arange(n), lacks)
        out = np.zeros((n, n))
        out[there, there] = 1.0
        own = mean / np.outer(scale, scale)
        within = own[np.ix_(there, there)] + _RIDGE * np.eye(len(there))
        part = np.linalg.solve(within, own[np.ix_(there, lacks)]).T
        out[np.ix_(lacks, there)] = part * scale[lacks, None] / scale[there]
        return out

    def complete(self, rec: Recordings) -> Recordings:
        """Give recordings the conditional mean of the signal of the channels that they lack."""
        if self.covariance is None:
            return rec
        known: dict[bytes, np.ndarray] = {}

        def completed(segment):
            if not len(segment.lacks):
                return segment
            key = segment.lacks.tobytes()
            if key not in known:
                known[key] = self.completing(segment.lacks)
            return replace(segment, read=partial(_completed, segment.read, known[key]))

        return replace(rec, segments=[completed(segment) for segment in rec.segments])

    def pattern(self, lacks: np.ndarray, features: BandPower) -> Pattern:
        """Say what is known of nodes where channels lack."""
        n_bands, spatial = len(features.bands), features.spatial
        nodes = lacks if spatial is None else np.arange(len(spatial.names))
        signal, unseen = np.zeros((len(nodes), n_bands)), np.ones((len(nodes), n_bands))
        if self.covariance is not None:
            filters = np.eye(self.covariance.shape[1])[lacks] if spatial is None else (
                spatial.filters
            )  # fmt: skip
            signal, unseen = _seen(self.covariance, filters, filters @ self.completing(lacks))
        if spatial is not None:
            factor = np.sqrt(1 - signal**2).T[:, :, None] * np.eye(len(nodes))
            nothing = np.zeros((n_bands, len(nodes), 0))
            return Pattern(nodes, signal, unseen, nothing, nodes[:0], factor)
        present = np.setdiff1d(np.arange(self.correlation.shape[1]), nodes)
        power, factor = [], []
        for band, own in enumerate(self.correlation.astype(float)):
            across = own[np.ix_(nodes, present)]
            given = np.linalg.solve(own[np.ix_(present, present)], across.T).T
            error = own[np.ix_(nodes, nodes)] - given @ across.T
            # Whichever of the two leaves less open.
            better = 1 - signal[:, band] ** 2 < np.diag(error)
            given[better], signal[~better, band] = 0.0, 0.0
            left = np.where(better, 1 - signal[:, band] ** 2, np.diag(error))
            size = np.sqrt(np.maximum(left, 0) / np.maximum(np.diag(error), _RIDGE))
            error = error * np.outer(size, size)
            values, vectors = np.linalg.eigh(error)
            power.append(given)
            factor.append(vectors * np.sqrt(np.maximum(values, 0.0)))
        return Pattern(nodes, signal, unseen, np.stack(power), present, np.stack(factor))

    def patterns(self, rec: Recordings, features) -> list[Pattern | None]:
        """Pattern of every segment, None where nothing lacks."""
        if not isinstance(features, BandPower):
            return [None] * len(rec)
        known: dict[bytes, Pattern] = {}
        for segment in rec.segments:
            key = segment.lacks.tobytes()
            if len(segment.lacks) and key not in known:
                known[key] = self.pattern(segment.lacks, features)
        return [known.get(segment.lacks.tobytes()) for segment in rec.segments]

    def draws(self, pattern: Pattern, n_bins: int) -> np.ndarray:
        """Draw errors of the power of missing nodes, (n_draws, n_missing, n_bands, n_bins)."""
        rng = np.random.default_rng(0)
        n_bands, n_missing = pattern.factor.shape[:2]
        n = 2 * max(n_bins, self.persistence.shape[1])
        course = np.zeros((n_bands, n))
        course[:, : self.persistence.shape[1]] = self.persistence
        course[:, 1:] += course[:, :0:-1]
        spectrum = np.maximum(fft.rfft(course).real, 0.0)
        spectrum /= fft.irfft(spectrum, n)[:, :1]
        white = fft.rfft(rng.standard_normal((_DRAWS, n_missing, n_bands, n)))
        coloured = fft.irfft(white * np.sqrt(spectrum), n)[..., :n_bins]
        return np.einsum("bmk,dkbt->dmbt", pattern.factor, coloured)


def with_unseen(
    powers: list[np.ndarray], patterns: list[Pattern | None], scaler: PowerScaler, keys
) -> list[np.ndarray]:
    """Add the mean power that no signal shows: windows are scaled as those of training."""
    out = []
    for power, pattern, key in zip(powers, patterns, keys, strict=True):
        if pattern is not None:
            usual = scaler.mean_power(key)[pattern.lacks]
            power = power.copy()
            power[pattern.lacks] += (pattern.unseen * usual)[..., None]
        out.append(power)
    return out


def inferred(scaled: np.ndarray, pattern: Pattern, kind: str) -> np.ndarray:
    """Scaled power (n_nodes, n_bands, n_bins) with what is inferred of missing nodes."""
    out = scaled.copy()
    # Windows are not scaled by themselves: they show as much less as is not seen of them.
    gain = pattern.signal if kind == "recordings" else (pattern.signal > 0).astype(float)
    out[pattern.lacks] = gain[..., None] * scaled[pattern.lacks]
    if len(pattern.present):
        out[pattern.lacks] += np.einsum("bmp,pbt->mbt", pattern.power, scaled[pattern.present])
    return out


def _completed(read, matrix: np.ndarray, first: int, stop: int) -> np.ndarray:
    return matrix @ read(first, stop)


def _seen(covariance, filters, inferred_by) -> tuple[np.ndarray, np.ndarray]:
    """Squared correlation of nodes with what is inferred, and share of their power not seen."""

    def product(a, b):
        return np.einsum("ic,bcd,id->ib", a, covariance, b, optimize=True)

    own, seen = product(filters, filters), product(inferred_by, inferred_by)
    both, left = product(filters, inferred_by), product(*[filters - inferred_by] * 2)
    safe = np.where(own * seen > 0, own * seen, np.inf)
    share = left / np.where(own > 0, own, np.inf)
    return np.clip(both**2 / safe, 0.0, 1.0), np.clip(share, 0.0, 1.0)


def _persistence(power: np.ndarray) -> np.ndarray:
    """Autocorrelation of power (n_nodes, n_bands, n_bins), (n_bands, n_lags)."""
    n_bins = power.shape[-1]
    some = power[:: max(1, len(power) // 32)]
    spectrum = np.abs(fft.rfft(some, 2 * n_bins)) ** 2
    course = fft.irfft(spectrum.mean(axis=0), 2 * n_bins)[:, : max(1, n_bins // 4)]
    return course / np.where(course[:, :1] > 0, course[:, :1], 1.0)


def _shrunk(power: np.ndarray) -> tuple[np.ndarray, float]:
    """Correlation (n_bands, n_nodes, n_nodes) of power, shrunk as held-out blocks prefer."""
    n_nodes, n_bins = len(power), power.shape[-1]
    blocks = np.array_split(np.arange(n_bins), _BLOCKS)
    # (n_blocks, n_bands, n_nodes, n_nodes)
    moments = np.stack([
        np.stack([part @ part.T for part in power[..., rows].transpose(1, 0, 2)])
        for rows in blocks
    ]).astype(float)  # fmt: skip
    total = moments.sum(axis=0)
    folds = np.random.default_rng(0).permutation(n_nodes) % _FOLDS
    errors = np.zeros(len(_SHRINKAGE))
    for held in moments if n_nodes > 1 else ():
        for own, new in zip(_correlation(total - held), held, strict=True):
            for i, shrinkage in enumerate(_SHRINKAGE):
                errors[i] += _error(_towards_none(own, shrinkage), new, folds)
    best = _SHRINKAGE[int(np.argmin(errors))] if errors.any() else 1.0
    return _towards_none(_correlation(total), best).astype(np.float32), best


def _correlation(moments: np.ndarray) -> np.ndarray:
    size = np.sqrt(np.diagonal(moments, axis1=-2, axis2=-1))
    size = np.where(size > 0, size, np.inf)
    out = moments / size[..., :, None] / size[..., None, :]
    out[..., np.arange(out.shape[-1]), np.arange(out.shape[-1])] = 1.0
    return out


def _towards_none(correlation: np.ndarray, shrinkage: float) -> np.ndarray:
    return (1 - shrinkage) * correlation + shrinkage * np.eye(correlation.shape[-1])


def _error(own: np.ndarray, new: np.ndarray, folds: np.ndarray) -> float:
    """Squared error on held-out moments (n_nodes, n_nodes), where every fold lacks in turn."""
    error = 0.0
    for fold in range(_FOLDS):
        out, there = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        given = np.linalg.solve(own[np.ix_(there, there)], own[np.ix_(there, out)]).T
        error += np.trace(new[np.ix_(out, out)]) - 2 * np.sum(given * new[np.ix_(out, there)])
        error += np.sum(given @ new[np.ix_(there, there)] * given)
    return error
