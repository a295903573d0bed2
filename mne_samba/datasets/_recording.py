"""One simulated recording: source signals, the power that drives BOLD, and clean BOLD."""

import numpy as np
from scipy import fft
from scipy.signal import fftconvolve

from ..hrf import double_gamma
from ._signals import SLOW_RATE, background, bin_means, carrier, slow_amplitudes

#: Standard deviation of the slow log-amplitude of every rhythm (log-power: twice that).
LOG_AMPLITUDE = 0.5
#: Power before the recording that its first frames still answer to, s.
HISTORY = 40.0
_MARGIN = 20.0
# Fine bins per low-rate bin (about 0.1 s): truth must not share the grid of those who estimate it.
_FINE = 5


class Timing:
    """Grids of a recording (s, Hz); time 0 is its first sample, frame k comes at ``k * t_r``."""

    def __init__(self, duration: float, t_r: float, sfreq: float):
        self.duration, self.t_r, self.sfreq = duration, t_r, sfreq
        # Whole frames within the recording, and its samples.
        self.n_frames = int(np.floor(duration / t_r + 1e-9))
        self.n_times = round(duration * sfreq)
        # Low-rate bins (about 2 Hz): per frame, their width (s), before the recording, and from the
        # start of this history to the end of the last frame.
        self.step = max(1, round(2.0 * t_r))
        self.dt = t_r / self.step
        self.n_history = int(np.ceil(HISTORY / t_r)) * self.step
        self.n_bins = self.n_history + self.n_frames * self.step
        # Centres of the low-rate bins, s; negative before the recording.
        self.power_times = (np.arange(self.n_bins) - self.n_history + 0.5) * self.dt
        # Samples before the recording, and in all: a fast length for the Fourier transform.
        self.lead = int(np.ceil((self.n_history * self.dt + _MARGIN) * sfreq))
        self.n_simulated = fft.next_fast_len(self.lead + self.n_times + int(_MARGIN * sfreq))
        # Slow samples that cover the simulation.
        self.n_slow = int(np.ceil(self.n_simulated * SLOW_RATE / sfreq)) + 2

    def fine_edges(self):
        """Edges of the fine bins in samples of the simulation: (n_bins * _FINE + 1,)."""
        times = (np.arange(self.n_bins * _FINE + 1) / _FINE - self.n_history) * self.dt
        return self.lead + times * self.sfreq

    def slow_times(self):
        """Time of every simulated sample on the axis of the slow amplitudes, in slow samples."""
        return np.arange(self.n_simulated) * (SLOW_RATE / self.sfreq)


def rhythm_power(bands, rhythm_snr):
    """Power (n_bands,) of rhythms, in units of the background's density at 1 Hz times Hz."""
    # ``rhythm_snr`` times the background's power in the band; near 10 Hz six times that, which
    # makes the alpha peak of a real spectrum.
    power = []
    for low, high in bands.values():
        octaves = np.log2(np.sqrt(low * high) / 10.0)
        peak = 1.0 + 5.0 * np.exp(-0.5 * (octaves / 0.3) ** 2)
        # The integral of the background's density, 1 / f.
        power.append(rhythm_snr * peak * np.log(high / max(low, 0.5)))
    return np.array(power)


def simulate_sources(rng, timing, bands, n_sources, log_amplitudes, rhythm_snr, nuisance=None):
    """Signals (n_sources, n_times), and power of rhythms (n_sources, n_bands, n_bins * 5)."""
    # Log-amplitudes and nuisance are (n_sources, n_bands, n_slow); nuisance shapes signals alone.
    # Power is instantaneous, in fine bins, history included.
    n_simulated, sfreq = timing.n_simulated, timing.sfreq
    slow_times, edges = timing.slow_times(), timing.fine_edges()
    recorded = slice(timing.lead, timing.lead + timing.n_times)
    grid = np.arange(timing.n_slow)
    # E[exp(2 a)] of a Gaussian a: without it, deeper modulation would also mean a stronger rhythm.
    mean_square = np.exp(2 * LOG_AMPLITUDE**2)
    scales = np.sqrt(rhythm_power(bands, rhythm_snr) / mean_square)
    signals = np.empty((n_sources, timing.n_times), dtype=np.float32)
    power = np.empty((n_sources, len(bands), len(edges) - 1), dtype=np.float32)
    for source in range(n_sources):
        signals[source] = background(rng, n_simulated, sfreq)[recorded]
        for band, (low, high) in enumerate(bands.values()):
            rhythm = carrier(rng, n_simulated, sfreq, low, high)
            slow = np.exp(log_amplitudes[source, band])
            rhythm *= np.interp(slow_times, grid, scales[band] * slow).astype(np.float32)
            instantaneous = 0.5 * (rhythm.real**2 + rhythm.imag**2)
            power[source, band] = bin_means(instantaneous, edges)
            audible = rhythm.real[recorded]
            if nuisance is not None:
                gain = np.interp(slow_times[recorded], grid, np.exp(nuisance[source, band]))
                audible = audible * gain.astype(np.float32)
            signals[source] += audible
    return signals, power


def low_rate(power):
    """Average fine bins (..., n_bins * 5) to low-rate bins (..., n_bins) of about 2 Hz."""
    return power.reshape(*power.shape[:-1], -1, _FINE).mean(axis=-1)


def neural_drive(power, timing, kind):
    """Standardise power (n_sources, n_bands, n_bins * 5) over a recording, as it drives BOLD."""
    # "linear": power; "log": of low-rate bins; "saturating": tanh of standardised power.
    slow = low_rate(power)
    if kind == "log":
        slow = np.log(slow)
        power = np.repeat(slow, _FINE, axis=-1)
    inside = slow[..., timing.n_history :]
    mean, std = inside.mean(axis=-1, keepdims=True), inside.std(axis=-1, keepdims=True)
    drive = (power - mean) / std
    return np.tanh(drive) if kind == "saturating" else drive


def clean_bold(drive, coupling, timing):
    """Map the drive to targets and convolve: frames (n_frames, n_targets), of bins before them."""
    weights = coupling.weights.astype(np.float32)
    local = weights.reshape(len(weights), -1) @ drive.reshape(-1, drive.shape[-1])
    width = timing.dt / _FINE
    lags = (np.arange(round(HISTORY / width)) + 0.5) * width
    kernels = double_gamma(lags, coupling.hrf_params)
    response = fftconvolve(local.astype(np.float64), kernels, axes=1) * width
    frames = (timing.n_history + np.arange(timing.n_frames) * timing.step) * _FINE - 1
    return response[:, frames].T


def latent_amplitudes(rng, timing, n_sources, n_bands, groups=None, network_variance=0.0):
    """Slow log-amplitudes, unit variance, (n_sources, n_bands, n_slow)."""
    # Sources of one of the ``groups`` (networks) have a share of ``network_variance`` in common.
    own = slow_amplitudes(rng, n_sources * n_bands, timing.n_slow)
    own = own.reshape(n_sources, n_bands, -1)
    if network_variance == 0:
        return own
    names, rows = np.unique(groups, return_inverse=True)
    common = slow_amplitudes(rng, len(names) * n_bands, timing.n_slow)
    common = common.reshape(len(names), n_bands, -1)[rows]
    return np.sqrt(1 - network_variance) * own + np.sqrt(network_variance) * common


def leak(signals, coords, leakage):
    """Mix every source (n_sources, n_times) with its neighbours, as inverse solutions do."""
    # ``leakage`` is the amplitude of their mean beside its own; weights fall with distance, 20 mm.
    distance = np.linalg.norm(coords[:, None] - coords[None], axis=-1)
    spread = np.exp(-distance / 20.0)
    np.fill_diagonal(spread, 0.0)
    mixing = np.eye(len(coords)) + leakage * spread / np.linalg.norm(spread, axis=1, keepdims=True)
    return (mixing / np.linalg.norm(mixing, axis=1, keepdims=True)).astype(np.float32) @ signals
