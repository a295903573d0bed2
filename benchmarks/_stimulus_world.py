"""People who share stimuli, in whom a few latents drive BOLD and others move band power only."""

from __future__ import annotations

from dataclasses import dataclass

import mne
import numpy as np
from scipy.signal import fftconvolve

from mne_samba.datasets._recording import LOG_AMPLITUDE, Timing, simulate_sources
from mne_samba.datasets._signals import SLOW_RATE, bold_noise, slow_amplitudes
from mne_samba.datasets._worlds import draw_shapes, shape_params
from mne_samba.hrf import double_gamma
from mne_samba.wavelets import CANONICAL_BANDS

T_R, SFREQ, N_NODES, N_TARGETS = 2.0, 100.0, 48, 32
N_COUPLED, N_LATENTS, N_NUISANCE, N_STIMULI = 8, 4, 10, 4
ALPHA, GAMMA = 2, 4
LENGTH, PAUSE = 40.0, 30.0


@dataclass
class World:
    """Loadings that everyone shares, and what the stimuli evoke."""

    loadings: np.ndarray  # (n_nodes, n_bands, n_latents)
    nuisance: np.ndarray  # (n_nodes, n_bands, n_nuisance)
    spatial_map: np.ndarray  # (n_targets, n_latents)
    params: np.ndarray
    seed: int

    @classmethod
    def draw(cls, seed, amplitude):
        """Draw a world whose nuisance latents have this amplitude, relative to the drive's."""
        rng = np.random.default_rng(np.random.SeedSequence((seed, 0)))
        n_bands = len(CANONICAL_BANDS)
        coupled = np.zeros((N_NODES, n_bands), dtype=bool)
        coupled[np.ix_(rng.permutation(N_NODES)[:N_COUPLED], [ALPHA, GAMMA])] = True
        loadings = rng.standard_normal((N_NODES, n_bands, N_LATENTS)) * coupled[..., None]
        size = np.linalg.norm(loadings, axis=-1, keepdims=True)
        loadings /= np.where(size > 0, size, 1)
        nuisance = rng.standard_normal((N_NODES, n_bands, N_NUISANCE))
        # Half of the nuisance latents move coupled features, half the others.
        half = N_NUISANCE // 2
        nuisance[..., :half] *= coupled[..., None]
        nuisance[..., half:] *= ~coupled[..., None]
        nuisance *= amplitude / np.linalg.norm(nuisance, axis=-1, keepdims=True)
        spatial_map = rng.standard_normal((N_TARGETS, N_LATENTS))
        return cls(loadings, nuisance, spatial_map, shape_params(draw_shapes(rng, N_TARGETS)), seed)

    def evoked(self, stimulus, n_slow):
        """Time courses of the latents during a stimulus, the same in everyone."""
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, 1, stimulus)))
        level = rng.standard_normal((N_LATENTS, 1))
        return np.sqrt(0.5) * (level + slow_amplitudes(rng, N_LATENTS, n_slow))

    def person(self, key, duration, stimuli=(), variance=0.0):
        """Simulate one person: Raw, and BOLD (n_frames, n_targets) at SNR 1.

        Stimuli of 40 s follow each other after a pause.
        """
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, 2, *key)))
        timing = Timing(duration, T_R, SFREQ)
        latents = slow_amplitudes(rng, N_LATENTS, timing.n_slow)
        start = timing.lead / timing.sfreq + PAUSE
        n_slow = round(LENGTH * SLOW_RATE)
        for i, stimulus in enumerate(stimuli):
            first = round((start + i * LENGTH) * SLOW_RATE)
            inside = slice(first, first + n_slow)
            latents[:, inside] *= np.sqrt(1 - variance)
            latents[:, inside] += np.sqrt(variance) * self.evoked(stimulus, n_slow)
        own = slow_amplitudes(rng, N_NODES * len(CANONICAL_BANDS), timing.n_slow)
        own = own.reshape(N_NODES, len(CANONICAL_BANDS), -1)
        driven = (self.loadings != 0).any(axis=-1)
        own[driven] = np.einsum("fl,lt->ft", self.loadings[driven], latents)
        extra = np.einsum(
            "nkq,qt->nkt", self.nuisance, slow_amplitudes(rng, N_NUISANCE, timing.n_slow)
        )
        signals, _ = simulate_sources(
            rng, timing, CANONICAL_BANDS, N_NODES, LOG_AMPLITUDE * own, 5.0,
            LOG_AMPLITUDE * extra.astype(np.float32),
        )  # fmt: skip
        info = mne.create_info([f"node{i:02d}" for i in range(N_NODES)], SFREQ, "eeg")
        raw = mne.io.RawArray(1e-6 * signals.astype(float), info, verbose="ERROR")
        return raw, self._bold(rng, timing, latents)

    def _bold(self, rng, timing, latents):
        lags = np.arange(0, 40, 1 / SLOW_RATE)
        kernels = double_gamma(lags, self.params)
        drive = self.spatial_map @ latents
        response = fftconvolve(drive, kernels, axes=1)[:, : drive.shape[1]] / SLOW_RATE
        times = timing.lead / timing.sfreq + np.arange(timing.n_frames) * T_R
        clean = response[:, np.round(times * SLOW_RATE).astype(int)].T
        noise = bold_noise(rng, "ar", *clean.shape, T_R)
        return clean / clean.std(axis=0) + noise
