"""What a fit of responses needs of the data: small products per region and block of time.

A response is written in a basis, ``h = coefs @ basis``, so that predicted BOLD is ``coefs @ Z``
with ``Z`` the drive convolved with each basis function. Drift is projected out, AR(1) noise
whitened, and what remains of an hour of data is ``Z Z'``, ``Z y`` and ``y y`` per block: fits,
validation, bootstrap and permutations all run on these.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from .._regression import whiten
from .convolution import convolve_frames

_CHUNK = 64  # regions whose convolved drives are held in memory at once


@dataclass
class Recording:
    """Frames of one recording, in order, and the drives that precede them, segment by segment."""

    bins: list  # (n_drives, n_lags + (n_frames - 1) * step) of each segment
    rows: list  # (n_frames,) of each segment: row of y, -1 where a frame is not used
    y: np.ndarray  # (n_rows, n_targets), BOLD of the used frames in order of time
    follows: np.ndarray  # (n_rows,), whether a row is the very next frame after the one before it
    drift: np.ndarray  # (n_rows, n_drift), orthonormal slow regressors, the constant among them
    frames: np.ndarray  # (n_rows,), of the recording

    def kept(self, used):
        """Keep the rows that are ``used`` (n_rows,), with the drift that they can tell apart."""
        place = np.where(used, np.cumsum(used) - 1, -1)
        rows = [np.where(r >= 0, place[r], -1) for r in self.rows]
        follows = self.follows & np.append(False, used[:-1])
        left, size, _ = np.linalg.svd(self.drift[used], full_matrices=False)
        return Recording(
            self.bins, rows, self.y[used], follows[used], left[:, size > 1e-9 * size[0]],
            self.frames[used],
        )  # fmt: skip

    def of_targets(self, some, paired):
        """Keep some targets, and the drives that belong to them where both go in ``paired``."""
        bins = [b[some] for b in self.bins] if paired else self.bins
        return replace(self, bins=bins, y=self.y[:, some])


@dataclass
class ResponseStats:
    """Whitened products of convolved drive ``Z`` and BOLD ``y``, per region and block of time."""

    gram: np.ndarray  # (n_regions, n_blocks, n_basis, n_basis), Z Z'
    cross: np.ndarray  # (n_regions, n_blocks, n_basis), Z y
    power: np.ndarray  # (n_regions, n_blocks), y y
    n_rows: np.ndarray  # (n_blocks,), frames
    ar: np.ndarray  # (n_regions,), coefficient of the noise's AR(1) model

    def total(self, weights=None):
        """Sum over blocks, each taken ``weights`` times: (gram, cross, power, n_rows)."""
        w = np.ones(len(self.n_rows)) if weights is None else np.asarray(weights, dtype=float)
        return (
            np.einsum("rbij,b->rij", self.gram, w),
            np.einsum("rbi,b->ri", self.cross, w),
            self.power @ w,
            np.full(len(self.power), float(self.n_rows @ w)),
        )


def convolve_basis(bins, basis, step, dt):
    """Convolve drives with every basis function: (n, n_bins), (k, n_lags) -> (n, k, n_frames)."""
    # As :func:`mne_samba.hrf.convolve_frames`, by one product with the past of every frame: a dozen
    # responses per drive share the gathering, which transforms could not.
    past = sliding_window_view(np.asarray(bins, dtype=float), basis.shape[1], axis=-1)[:, ::step]
    kernel = np.ascontiguousarray(dt * basis[:, ::-1].T)
    return np.stack([(np.ascontiguousarray(p) @ kernel).T for p in past])


def convolved(bins, weights, kernels, own, step, dt):
    """Drives (n_drives, n_bins) through map and responses: (n_targets, n_frames)."""
    # ``weights`` (n_targets, n_drives), ``kernels`` (n_targets, n_lags), and ``own`` responses of
    # single drives (n_targets, n_drives, n_lags), which are added; None for none.
    drive = torch.as_tensor(weights @ bins)
    out = convolve_frames(drive, torch.as_tensor(kernels), step, dt).numpy()
    if own is None:
        return out
    past = sliding_window_view(bins, own.shape[2], axis=-1)[:, ::step, ::-1]
    return out + dt * np.einsum("dtl,mdl->mt", past, own, optimize=True)


def design(recording, regions, basis, step, dt):
    """Convolved drives of some regions at the recording's rows, without drift: (n, k, n_rows)."""
    out = np.zeros((len(regions), len(basis), len(recording.y)))
    for bins, rows in zip(recording.bins, recording.rows, strict=True):
        used = rows >= 0
        out[..., rows[used]] = convolve_basis(bins[regions], basis, step, dt)[..., used]
    return out - (out @ recording.drift) @ recording.drift.T


def without_drift(recording):
    """BOLD of the recording without drift: (n_targets, n_rows)."""
    y = recording.y.T
    return y - (y @ recording.drift) @ recording.drift.T


def ar_coefficients(residuals, follows):
    """Lag-one autocorrelation of every region over recordings: lists (n, n_rows) -> (n,)."""
    product = sum(
        (r[:, 1:] * r[:, :-1])[:, f[1:]].sum(1) for r, f in zip(residuals, follows, strict=True)
    )
    power = sum((r**2).sum(1) for r in residuals)
    return np.clip(product / np.maximum(power, 1e-300), -0.95, 0.95)


def block_labels(recordings, n_block_rows):
    """Cut each recording into runs of about ``n_block_rows`` frames: list of labels, count."""
    labels, count = [], 0
    for recording in recordings:
        n = len(recording.y)
        k = max(1, round(n / n_block_rows))
        labels.append(count + np.arange(n) * k // n)
        count += k
    return labels, count


def response_stats(recordings, designs, n_basis, n_block_rows=30):
    """Products of one drive per region with its BOLD, in blocks of about ``n_block_rows`` rows."""
    # ``designs(regions)`` gives, per recording, the convolved drives without drift, an array of
    # shape (n_regions, n_basis, n_rows).
    n_regions = recordings[0].y.shape[1]
    labels, n_blocks = block_labels(recordings, n_block_rows)
    gram = np.zeros((n_regions, n_blocks, n_basis, n_basis))
    cross = np.zeros((n_regions, n_blocks, n_basis))
    power = np.zeros((n_regions, n_blocks))
    ar = np.zeros(n_regions)
    clean = [without_drift(r) for r in recordings]
    follows = [r.follows for r in recordings]
    for begin in range(0, n_regions, _CHUNK):
        regions = np.arange(begin, min(begin + _CHUNK, n_regions))
        Z = designs(regions)
        y = [c[regions] for c in clean]
        G = sum(z @ z.transpose(0, 2, 1) for z in Z)
        g = sum((z @ t[..., None])[..., 0] for z, t in zip(Z, y, strict=True))
        # A whiff of ridge: basis functions may be collinear after convolution with a slow drive.
        ridge = 1e-4 * np.trace(G, axis1=1, axis2=2)[:, None, None] * np.eye(n_basis) / n_basis
        coefs = np.linalg.solve(G + ridge + 1e-300 * np.eye(n_basis), g[..., None])[..., 0]
        residual = [t - np.einsum("ri,rit->rt", coefs, z) for z, t in zip(Z, y, strict=True)]
        ar[regions] = ar_coefficients(residual, follows)
        for z, t, f, label in zip(Z, y, follows, labels, strict=True):
            z = whiten(z.transpose(2, 0, 1), ~f, ar[regions, None]).transpose(1, 2, 0)
            t = whiten(t.T, ~f, ar[regions]).T
            for b in np.unique(label):
                part = z[..., label == b]
                gram[regions, b] = part @ part.transpose(0, 2, 1)
                cross[regions, b] = (part @ t[:, label == b, None])[..., 0]
                power[regions, b] = (t[:, label == b] ** 2).sum(1)
    n_rows = np.bincount(np.concatenate(labels), minlength=n_blocks).astype(float)
    return ResponseStats(gram, cross, power, n_rows, ar)
