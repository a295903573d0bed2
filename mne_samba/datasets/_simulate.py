"""Simulated electrophysiology and BOLD of people, with everything about their coupling known."""

import mne
import numpy as np
import pandas as pd
from mne.utils import logger
from sklearn.utils import Bunch, check_random_state

from .._checks import check_number, check_option
from ..hrf import HRF_PARAMS
from ._anatomy import Head, lead_field, source_regions, target_regions, template_info
from ._checks import check_snr, rhythms
from ._recording import (
    LOG_AMPLITUDE,
    Timing,
    clean_bold,
    latent_amplitudes,
    leak,
    low_rate,
    neural_drive,
    simulate_sources,
)
from ._signals import bold_noise
from ._stimuli import add_stimuli, nuisance_amplitudes, stimulus_order, stimulus_table
from ._worlds import draw_coupling, mix_couplings

# Typical amplitude of scalp and source-level signals, and by default of a sensor's noise (V).
_AMPLITUDE = 20e-6
_SENSOR_NOISE = 1e-6

_DESCR = """Simulated electrophysiology and BOLD.

SIMULATED data: no person was recorded. Regions are real (Power 2011, Seitzman 2018), signals are
not. Every source is 1/f noise plus one rhythm per band; log-amplitudes of the rhythms wax and wane
below 0.1 Hz. BOLD of a target = its response * (map x (band weights x standardised power of the
rhythms)) + noise.
"""


def simulate_paired(
    n_subjects: int = 2, duration: float = 600.0, *, t_r: float = 2.0, sfreq: float = 200.0,
    n_sources: int = 32, n_targets: int = 48, snr: float = 1.0, level: str = "sensor",
    shared_coupling: float = 1.0, random_state=None, coupling_random_state=None,
    bands: dict | None = None, montage: str | None = None, sources_per_target: int = 4,
    rhythm_snr: float = 0.3, coupling: bool = True, spatial_map: str = "local",
    band_weights: str = "shared", drive: str = "linear", noise: str = "ar", leakage: float = 0.0,
    network_variance: float = 0.0, n_stimuli: int | None = None, stimulus_variance: float = 0.0,
    nuisance: float = 0.0, sensor_noise: float = _SENSOR_NOISE, head: str = "template",
    electrode_error: float = 0.0, head_spread: float = 0.0, shared_head: bool = True,
) -> Bunch:  # fmt: skip
    r"""Simulate simultaneous electrophysiology and BOLD with a known coupling.

    In every source region, 1/f noise carries one rhythm per band. The rhythm's log-amplitude
    fluctuates between 0.01 and 0.1 Hz. With :math:`z_{nb}` the rhythm's instantaneous power,
    standardised over the recording in bins of about 0.5 s, BOLD of target m is

    .. math:: y_m = h_m * \sum_n M_{mn} \sum_b w_{nb} z_{nb} + \epsilon_m,

    where :math:`h_m` is a unit-peak double gamma (peak 3.5 to 7 s), M a sparse map from nearby
    sources and w a band mean (alpha negative, gamma positive) plus a deviation of every node. Frame
    k is acquired ``k * t_r`` seconds after the first sample and depends on earlier power only, that
    before the recording included. Regions are real: sources from Power 2011, targets from Seitzman
    2018; the same numbers always give the same regions. Nothing is downloaded.

    Parameters
    ----------
    n_subjects : int
        People, one recording each.
    duration : float
        Length of a recording, s.
    t_r : float
        Repetition time, s.
    sfreq : float
        Sampling rate of the electrophysiology, Hz.
    n_sources, n_targets : int
        Source regions (cortex) and BOLD regions (whole brain).
    snr : float
        Variance of clean BOLD over that of the noise, exact for every target and recording. ``inf``
        adds none.
    level : "sensor" | "source"
        What ``raws`` hold: 64 EEG channels of the 10-20 template, through MNE's template head, with
        white sensor noise; or the source time courses themselves, as channels named after the
        regions.
    shared_coupling : float
        1: everyone has the same map, weights and responses. Below: response shapes are interpolated
        towards the person's own, deviations of the weights correlate by this much between group and
        person, and a target keeps the group's sources with this probability. 0: only the mean
        weight of each band is shared.
    random_state : int, RandomState instance or None
        Seed of everything.
    coupling_random_state : int, RandomState instance or None
        Seed of map, weights, responses and stimuli: give the same to two calls for two sites (or
        for training and test people) of one world. None: follows ``random_state``.
    bands : dict | None
        Name -> (low, high) in Hz of the true rhythms. None: delta 1-4, theta 4-8, alpha 8-13, beta
        13-30, gamma 30-45. Mean weights go by the centre frequency.
    montage : str | None
        Another cap for ``level="sensor"``, any that ships with MNE.
    sources_per_target : int
        Sources that drive a target in a local map.
    rhythm_snr : float
        Power of a rhythm over the background's in the same band (six times that at 10 Hz).
    coupling : bool
        False: BOLD comes from another brain's rhythms and is unrelated to ``raws``.
    spatial_map : "local" | "dense"
        Few near sources with positive weights, or all sources with Gaussian weights.
    band_weights : "shared" | "independent" | "target"
        Band mean plus node deviation; unrelated over nodes and bands; or shared with a further
        factor for every target and band (``truth.target_weights``).
    drive : "linear" | "log" | "saturating"
        What drives BOLD: power, its logarithm, or the hyperbolic tangent of standardised power.
    noise : "ar" | "pink"
        BOLD noise: autoregressive (coefficient 0.6 at a TR of 2 s, ``0.6 ** (t_r / 2)``) or 1/f.
    leakage : float
        Amplitude of the neighbours' mixture that leaks into every source signal.
    network_variance : float
        Share of slow amplitude variance common to the sources of one network.
    n_stimuli : int | None
        Divide every recording into this many stimuli, in each person's own order, annotated
        ``stimulus/1``, ``stimulus/2`` ...
    stimulus_variance : float
        Share of slow amplitude variance that a stimulus evokes alike in everyone: half of it a
        level that lasts, half a time course.
    nuisance : float
        Variance of further slow amplitudes relative to the driving ones: a few global fluctuations
        that change the power of ``raws`` but not BOLD.
    sensor_noise : float
        White noise of every channel at sensor level, V; typical signals have 20 µV.
    head : "template" | "three-shell"
        Conductor: the four shells of MNE's template, which `mne_samba.SourceParcels` assumes by
        default, or three shells with a thicker and less conductive skull.
    electrode_error : float
        Distance (mm, root mean square) of electrodes from the places that ``raws`` state.
    head_spread : float
        Standard deviation, relative, of the brain's width, length and height, and of the shells'
        radius, none of which ``raws`` state.
    shared_head : bool
        One head (size, electrodes, orientation of sources) for all people of a call, or one each.
        Sites of one world (``coupling_random_state``) share orientations where people do.

    Returns
    -------
    data : Bunch
        ``raws`` (list of `mne.io.RawArray`), ``bolds`` (list of (n_frames, n_targets), unit clean
        variance on average), ``subjects`` (n_recordings,), ``t_r``, ``sfreq``, ``target_names``,
        ``target_coords`` (n_targets, 3; MNI mm), ``target_networks``, ``source_names``,
        ``source_coords``, ``source_networks``, ``stimuli`` (DataFrame: recording, subject, onset,
        duration, label), ``DESCR`` and ``truth``, a Bunch of ``hrf_params`` (DataFrame, a row per
        target), ``hrf_peak_time`` (n_targets,; s), ``band_weights`` (n_sources, n_bands),
        ``spatial_map`` (n_targets, n_sources), ``target_weights`` (n_targets, n_bands) or None,
        ``clean_bolds``, ``bands``, ``source_power`` (list of (n_sources, n_bands, n_bins) in bins
        of about 0.5 s), ``power_times`` (n_bins,; bin centres in s, negative before the recording),
        ``gain`` (n_channels, n_sources; from source signals to channels; None at source level, and
        where people have heads of their own) and ``by_subject`` (list of Bunches: each person's own
        ``hrf_params``, ``hrf_peak_time``, ``band_weights``, ``spatial_map``, ``gain``).

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range, named with what it should be.

    Notes
    -----
    The data are simulated: say so wherever numbers from them appear.

    Examples
    --------
    >>> from mne_samba.datasets import simulate_paired
    >>> data = simulate_paired(1, 60.0, level="source", random_state=0)
    >>> data.bolds[0].shape
    (30, 48)
    """
    n_subjects = check_number(n_subjects, "n_subjects", low=1, integer=True)
    n_sources = check_number(n_sources, "n_sources", low=1, integer=True)
    n_targets = check_number(n_targets, "n_targets", low=1, integer=True)
    sources_per_target = check_number(sources_per_target, "sources_per_target", low=1, integer=True)
    t_r = check_number(t_r, "t_r", low=0.1)
    sfreq = check_number(sfreq, "sfreq", low=0, low_open=True)
    duration = check_number(duration, "duration", low=10 * t_r, high=86400)
    snr = check_snr(snr)
    shared_coupling = check_number(shared_coupling, "shared_coupling", low=0, high=1)
    rhythm_snr = check_number(rhythm_snr, "rhythm_snr", low=0, low_open=True)
    leakage = check_number(leakage, "leakage", low=0)
    network_variance = check_number(network_variance, "network_variance", low=0, high=1)
    stimulus_variance = check_number(stimulus_variance, "stimulus_variance", low=0, high=1)
    nuisance = check_number(nuisance, "nuisance", low=0)
    sensor_noise = check_number(sensor_noise, "sensor_noise", low=0)
    electrode_error = check_number(electrode_error, "electrode_error", low=0, high=50)
    head_spread = check_number(head_spread, "head_spread", low=0, high=0.2)
    check_option(level, "level", ("sensor", "source"))
    check_option(spatial_map, "spatial_map", ("local", "dense"))
    check_option(band_weights, "band_weights", ("shared", "independent", "target"))
    check_option(drive, "drive", ("linear", "log", "saturating"))
    check_option(noise, "noise", ("ar", "pink"))
    check_option(head, "head", ("template", "three-shell"))
    check_option(shared_head, "shared_head", (True, False))
    if n_stimuli is not None:
        n_stimuli = check_number(n_stimuli, "n_stimuli", low=1, integer=True)
    elif stimulus_variance > 0:
        raise ValueError(
            f"stimulus_variance={stimulus_variance:g} needs stimuli: give n_stimuli as well."
        )
    if sources_per_target > n_sources:
        raise ValueError(
            f"sources_per_target={sources_per_target} is more than n_sources={n_sources}."
        )
    bands = rhythms(bands, sfreq)
    timing = Timing(duration, t_r, sfreq)
    sources, targets = source_regions(n_sources), target_regions(n_targets)
    seed = _seed(random_state)
    world_seed = seed if coupling_random_state is None else _seed(coupling_random_state)

    head = Head(head, electrode_error, head_spread)
    if level == "source":
        info, gains = mne.create_info(sources.names, sfreq, "eeg"), [None] * n_subjects
        asked = montage is not None or sensor_noise != _SENSOR_NOISE or not head.is_template()
        if asked or not shared_head:
            raise ValueError(
                "montage, sensor_noise, head, electrode_error, head_spread and shared_head belong "
                'to level="sensor": leave them at their defaults at source level.'
            )
    else:
        info = template_info(sfreq, montage)
        gains = _gains(sources.coords, info, head, seed, world_seed, n_subjects, shared_head)
    draw = {
        "spatial_map": spatial_map,
        "band_weights": band_weights,
        "n_per_target": sources_per_target,
    }
    shared = draw_coupling(_rng(world_seed, 0), targets.coords, sources.coords, bands, **draw)
    logger.debug(f"Simulating {n_subjects} recording(s) of {duration:g} s, seed {seed}.")

    raws, cleans, powers, couplings, tables = [], [], [], [], []
    for subject in range(n_subjects):
        rng = _rng(seed, 1, subject)
        # Generators of their own: what is coupled, shown or mixed in leaves time courses alone.
        own_rng = _rng(seed, 3, subject)
        own = draw_coupling(own_rng, targets.coords, sources.coords, bands, **draw)
        couplings.append(mix_couplings(own_rng, shared, own, shared_coupling))
        latents = latent_amplitudes(
            rng, timing, n_sources, len(bands), sources.networks, network_variance
        )
        order = stimulus_order(_rng(seed, 4, subject), n_stimuli)
        if stimulus_variance > 0:
            latents = add_stimuli(latents, order, timing, stimulus_variance, world_seed)
        extra = None
        if nuisance > 0:
            extra = LOG_AMPLITUDE * nuisance_amplitudes(
                _rng(seed, 5, subject), latents.shape, nuisance
            )
        simulated = (timing, bands, n_sources)
        signals, power = simulate_sources(
            rng, *simulated, LOG_AMPLITUDE * latents, rhythm_snr, extra
        )
        powers.append(low_rate(power))
        if not coupling:
            other = latent_amplitudes(rng, timing, n_sources, len(bands))
            _, power = simulate_sources(rng, *simulated, LOG_AMPLITUDE * other, rhythm_snr)
        cleans.append(clean_bold(neural_drive(power, timing, drive), couplings[-1], timing))
        if leakage > 0:
            signals = leak(signals, sources.coords, leakage)
        raw = _raw(signals, info, gains[subject], sensor_noise, rng)
        raw.info["subject_info"] = {"his_id": f"sub-{subject + 1:02d}"}
        table = stimulus_table(order, timing, subject)
        if len(table):
            raw.set_annotations(mne.Annotations(table.onset, table.duration, table.label))
        raws.append(raw)
        tables.append(table)

    # One factor per target over all people: clean BOLD then has about unit variance, and the map
    # says so.
    factor = 1.0 / np.sqrt(np.mean([clean.var(axis=0) for clean in cleans], axis=0))
    cleans = [clean * factor for clean in cleans]
    bolds = []
    for subject, clean in enumerate(cleans):
        rng = _rng(seed, 2, subject)
        unit = bold_noise(rng, noise, *clean.shape, t_r)
        bolds.append(clean + unit * clean.std(axis=0) / np.sqrt(snr))
    truth = _truth(shared.scaled(factor), targets.names)
    truth.update(
        clean_bolds=cleans, bands=bands, source_power=powers, power_times=timing.power_times,
        gain=gains[0] if shared_head else None,
        by_subject=[_truth(own.scaled(factor), targets.names) for own in couplings],
    )  # fmt: skip
    for own, gain in zip(truth.by_subject, gains, strict=True):
        own.gain = gain
    return Bunch(
        raws=raws, bolds=bolds,
        subjects=np.array([f"sub-{subject + 1:02d}" for subject in range(n_subjects)]), t_r=t_r,
        sfreq=sfreq, target_names=targets.names, target_coords=targets.coords,
        target_networks=targets.networks, source_names=sources.names,
        source_coords=sources.coords, source_networks=sources.networks,
        stimuli=pd.concat(tables, ignore_index=True), truth=truth, DESCR=_DESCR,
    )  # fmt: skip


def _seed(random_state):
    return int(check_random_state(random_state).randint(2**31 - 1))


def _rng(*key):
    """Independent generator for every key: adding a person changes nobody else."""
    return np.random.default_rng(np.random.SeedSequence(key))


def _gains(coords, info, head, seed, world_seed, n_subjects, shared):
    """Gain (n_channels, n_sources) of every person, from sources to channels."""
    gains = []
    for subject in range(1 if shared else n_subjects):
        own = () if shared else (subject,)
        gain = lead_field(coords, info, _rng(world_seed, 6, *own), head, _rng(seed, 7, *own))
        # Sources of one strength, such that a typical channel has a typical amplitude.
        gains.append(gain / np.median(np.linalg.norm(gain, axis=1)))
    return gains * n_subjects if shared else gains


def _raw(signals, info, gain, noise, rng):
    """Scale signals to volts and carry them to the channels, which add white noise (V)."""
    scale = _AMPLITUDE / np.median(signals.std(axis=1))
    data = scale * signals.astype(np.float64)
    if gain is not None:
        data = gain @ data
        data += noise * rng.standard_normal(data.shape)
    return mne.io.RawArray(data, info.copy(), verbose="ERROR")


def _truth(coupling, target_names):
    return Bunch(
        hrf_params=pd.DataFrame(coupling.hrf_params, index=target_names, columns=HRF_PARAMS),
        hrf_peak_time=coupling.hrf_peak_time, band_weights=coupling.band_weights,
        spatial_map=coupling.spatial_map, target_weights=coupling.target_weights,
    )  # fmt: skip
