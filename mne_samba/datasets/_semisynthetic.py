"""BOLD made from the band power of a real recording: a known truth on real signals."""

import mne
import numpy as np
import pandas as pd
from scipy import fft
from scipy.signal import fftconvolve, hilbert
from sklearn.utils import Bunch, check_random_state

from .._checks import check_number, check_option
from ..data.channels import picked
from ..hrf import HRF_PARAMS, double_gamma, hrf_summary, unit_peak
from ..wavelets import CANONICAL_BANDS
from ._checks import check_snr, rhythms
from ._signals import bin_means, bold_noise, standard_columns
from ._worlds import draw_shapes, mean_band_weights, shape_params

_DESCR = """SEMI-SYNTHETIC data: the electrophysiology is a real recording; BOLD was made from it.

BOLD of a target = its response * (sign x standardised power of one channel in one band) + noise.
Power is that of the band-passed signal's analytic envelope (MNE's filter, Hilbert transform).
"""
_KERNEL_LENGTH = 40.0


def simulate_bold(
    raw, *, t_r: float = 2.0, n_targets: int = 8, snr: float = 1.0, picks=None,
    bands: dict | None = None, hrf_params=None, noise: str | np.ndarray = "ar",
    noise_t_r: float | None = None, random_state=None,
) -> Bunch:  # fmt: skip
    """Make semi-synthetic BOLD from the band power of a real recording.

    Every target follows one channel and one band, through a known response. Channels and bands are
    dealt out in turn, so that all bands occur. Alpha and beta drive BOLD negatively, other bands
    positively. Frame k is acquired ``k * t_r`` seconds after the first sample; the power before it
    is unknown and taken as average, so the first 30 s or so hold less signal.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        The recording; it is not changed. Artefacts count as the power they have.
    t_r : float
        Repetition time, s.
    n_targets : int
        Number of BOLD time courses.
    snr : float
        Variance of clean BOLD over that of the noise, exact for every target. ``inf`` adds none.
    picks : str | list | None
        Channels to draw from, as in MNE; None: all good data channels.
    bands : dict | None
        Name -> (low, high) in Hz to draw from; None: the canonical bands the recording can hold.
    hrf_params : array of shape (6,) or (n_targets, 6) | None
        Responses, in the order of ``HRF_PARAMS``; brought to unit peak. None: drawn, peaks between
        3.5 and 7 s.
    noise : "ar" | "pink" | array of shape (n_samples, n_series)
        Autoregressive (0.6 at a TR of 2 s); 1/f; or real BOLD, whose amplitude spectra get random
        phases and the length and sampling that is needed. Column k serves target k, in turn.
    noise_t_r : float | None
        Repetition time of a ``noise`` array, s; None: the same as ``t_r``.
    random_state : int, RandomState instance or None
        Seed of everything.

    Returns
    -------
    data : Bunch
        ``bold`` and ``clean_bold`` (n_frames, n_targets; clean variance 1), ``t_r``,
        ``target_names``, ``DESCR`` (says that the data are semi-synthetic) and ``truth``:
        ``channels``, ``bands`` (lists of n_targets), ``band_edges`` (dict), ``signs`` (n_targets,),
        ``hrf_params`` (DataFrame, a row per target) and ``hrf_peak_time`` (n_targets,; s).

    Raises
    ------
    TypeError, ValueError
        If ``raw`` is not a recording, it is too short, or a parameter is out of its range.

    Notes
    -----
    Semi-synthetic: say so wherever numbers from them appear. Phase randomisation keeps the power
    spectrum and with it the autocorrelation [1]_; shared phases between series are given up.

    References
    ----------
    .. [1] Theiler J., Eubank S., Longtin A., Galdrikian B., Farmer J. D. Testing for nonlinearity
       in time series: the method of surrogate data. Physica D 58 (1992).
    """
    if not isinstance(raw, mne.io.BaseRaw):
        raise TypeError(f"raw must be a recording of MNE (Raw), got {type(raw).__name__}.")
    t_r = check_number(t_r, "t_r", low=0.1)
    n_targets = check_number(n_targets, "n_targets", low=1, integer=True)
    snr = check_snr(snr)
    sfreq = raw.info["sfreq"]
    duration = raw.n_times / sfreq
    n_frames = int(np.floor(duration / t_r + 1e-9))
    if duration < 60 or n_frames < 20:
        raise ValueError(
            f"raw lasts {duration:.1f} s, which is {n_frames} frames of {t_r:g} s: at least one "
            "minute and 20 frames are needed."
        )
    bands = _usable_bands(bands, raw.info)
    noise, noise_t_r = _check_noise(noise, noise_t_r, t_r)
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))
    params = _responses(hrf_params, n_targets, rng)
    indices = picked(raw, picks)

    # Dealt like cards: no channel or band comes again before all others have had their turn.
    channels = [raw.ch_names[index] for index in _deal(rng, indices, n_targets)]
    names = [list(bands)[index] for index in _deal(rng, np.arange(len(bands)), n_targets)]
    weights = dict(zip(bands, mean_band_weights(bands), strict=True))
    signs = np.array([-1.0 if weights[name] < 0 else 1.0 for name in names])

    n_bins = int(np.ceil(t_r / 0.1))
    drive = _band_power_drive(raw, channels, names, bands, n_frames * n_bins, t_r / n_bins)
    lags = (np.arange(round(_KERNEL_LENGTH * n_bins / t_r)) + 0.5) * t_r / n_bins
    clean = fftconvolve(signs[:, None] * drive, double_gamma(lags, params), axes=1)
    # The first frame has no past at all; frame k ends where bin k * n_bins begins.
    clean = np.pad(clean[:, n_bins - 1 : (n_frames - 1) * n_bins : n_bins], ((0, 0), (1, 0))).T
    clean = standard_columns(clean)
    if isinstance(noise, str):
        unit = bold_noise(rng, noise, n_frames, n_targets, t_r)
    else:
        unit = _randomised(rng, noise, noise_t_r, n_frames, n_targets, t_r)
    target_names = [f"{channel} {name}" for channel, name in zip(channels, names, strict=True)]
    return Bunch(
        bold=clean + unit / np.sqrt(snr),
        clean_bold=clean,
        t_r=t_r,
        target_names=target_names,
        truth=Bunch(
            channels=channels,
            bands=names,
            band_edges=bands,
            signs=signs,
            hrf_params=pd.DataFrame(params, index=target_names, columns=HRF_PARAMS),
            hrf_peak_time=hrf_summary(params)["peak_time"],
        ),
        DESCR=_DESCR,
    )


def _usable_bands(bands, info):
    """Check given bands; by default leave out those beyond the recording's filters."""
    if bands is not None:
        return rhythms(bands, info["sfreq"])
    top = min(info["lowpass"] or np.inf, 0.49 * info["sfreq"])
    usable = {name: edges for name, edges in CANONICAL_BANDS.items() if edges[1] <= top}
    if not usable:
        raise ValueError(
            f"The recording ends at {top:g} Hz, below all canonical bands: give bands it can hold."
        )
    return usable


def _check_noise(noise, noise_t_r, t_r):
    """Return the kind of noise, or real noise as a standardised array with its repetition time."""
    if isinstance(noise, str):
        check_option(noise, "noise", ("ar", "pink"))
        return noise, t_r
    noise = np.asarray(noise, dtype=float)
    noise = noise[:, None] if noise.ndim == 1 else noise
    if noise.ndim != 2 or len(noise) < 50:
        raise ValueError(
            "noise must have shape (n_samples, n_series) with 50 samples or more, got "
            f"{noise.shape}."
        )
    if not np.isfinite(noise).all() or np.any(noise.std(axis=0) == 0):
        raise ValueError("noise must be finite and vary in every column.")
    noise_t_r = t_r if noise_t_r is None else noise_t_r
    return noise, check_number(noise_t_r, "noise_t_r", low=0, low_open=True)


def _responses(hrf_params, n_targets, rng):
    """Parameters of one unit-peak response per target: (n_targets, 6)."""
    if hrf_params is None:
        return shape_params(draw_shapes(rng, n_targets))
    params = np.asarray(hrf_params, dtype=float)
    if params.shape not in {(len(HRF_PARAMS),), (n_targets, len(HRF_PARAMS))}:
        raise ValueError(
            f"hrf_params must have shape (6,) or ({n_targets}, 6), columns "
            f"{', '.join(HRF_PARAMS)}; got {params.shape}."
        )
    if not np.isfinite(params).all() or np.any(params[..., :5] <= 0):
        raise ValueError(
            "hrf_params must be finite, with positive delays, dispersions and response scale."
        )
    return unit_peak(np.broadcast_to(params, (n_targets, len(HRF_PARAMS))))


def _deal(rng, items, n):
    """Draw n items, each as often as the others."""
    rounds = -(-n // len(items))
    return np.concatenate([rng.permutation(items) for _ in range(rounds)])[:n]


def _band_power_drive(raw, channels, names, bands, n_bins, width):
    """Standardised power of one channel and band per row: (n_targets, n_bins)."""
    sfreq = raw.info["sfreq"]
    edges = np.minimum(np.arange(n_bins + 1) * width * sfreq, raw.n_times)
    rows = {}
    for channel, name in set(zip(channels, names, strict=True)):
        signal = raw.get_data(picks=[channel])[0]
        low, high = bands[name]
        # Narrow transitions: MNE's own at 45 Hz would let half of a 50 Hz line through.
        filtered = mne.filter.filter_data(
            signal[None], sfreq, low, high, l_trans_bandwidth=min(1.0, low / 2),
            h_trans_bandwidth=min(1.0, sfreq / 2 - high), verbose="ERROR",
        )[0]  # fmt: skip
        power = bin_means(np.abs(hilbert(filtered)) ** 2, edges)
        if power.std() == 0:
            raise ValueError(f"Channel {channel!r} is flat: mark it bad or leave it out of picks.")
        rows[channel, name] = (power - power.mean()) / power.std()
    return np.stack([rows[key] for key in zip(channels, names, strict=True)])


def _randomised(rng, noise, noise_t_r, n_frames, n_targets, t_r):
    """Give noise the amplitude spectra of real series: (n_frames, n_targets), unit variance."""
    columns = noise[:, np.arange(n_targets) % noise.shape[1]]
    columns = columns - columns.mean(axis=0)
    density = np.abs(fft.rfft(columns, axis=0)) ** 2
    known = np.arange(len(density)) / (len(columns) * noise_t_r)
    # Twice as long and cropped: a period of its own would tie the first frame to the last.
    n_fft = fft.next_fast_len(2 * n_frames, real=True)
    wanted = np.arange(n_fft // 2 + 1) / (n_fft * t_r)
    density = np.stack([np.interp(wanted, known[1:], row[1:]) for row in density.T], axis=1)
    phases = rng.uniform(0, 2 * np.pi, density.shape)
    spectrum = np.sqrt(density) * np.exp(1j * phases)
    spectrum[0] = 0
    return standard_columns(fft.irfft(spectrum, n_fft, axis=0)[:n_frames])
