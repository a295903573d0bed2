"""In-scanner cleaning by MNE's own tools: gradient artefact, then pulse artefact."""

import mne
import numpy as np
from mne.utils import logger

STEPS = ("gradient", "pulse")


def check_cleaning(clean) -> tuple[str, ...]:
    """Return the steps of cleaning in their order, or refuse what is none."""
    if clean is None:
        return ()
    steps = (clean,) if isinstance(clean, str) else tuple(clean)
    wrong = [step for step in steps if step not in STEPS]
    if wrong:
        raise ValueError(f"clean must be None or some of {STEPS}, got {clean!r}.")
    needed = {"gradient": "remove_fmri_gradient_artifact", "pulse": "apply_pca_obs"}
    for step in steps:
        if not hasattr(mne.preprocessing, needed[step]):
            raise ValueError(
                f'clean="{step}" needs mne.preprocessing.{needed[step]}, which MNE '
                f"{mne.__version__} lacks: update MNE (1.13 or newer), or clean the recording "
                "beforehand and pass clean=None."
            )
    return tuple(step for step in STEPS if step in steps)


def clean_raw(raw, steps: tuple[str, ...], triggers: np.ndarray):
    """Remove what scanner and heartbeat add to the EEG; a copy in memory, and what was done."""
    # Triggers are starts of all volumes, dummy scans included, in s from the first sample.
    raw, done = raw.copy().load_data(verbose="ERROR"), []
    if "gradient" in steps:
        raw = _without_gradient(raw, triggers)
        done.append(f"average artefact subtraction, {len(triggers)} volumes (MNE)")
    if "pulse" in steps:
        if not {"ecg", "mag", "grad"} & set(raw.get_channel_types()):
            raise ValueError(
                'clean="pulse" needs the heartbeat, from a channel of type "ecg"; the recording '
                f"has {sorted(set(raw.get_channel_types()))}."
            )
        events, _, rate = mne.preprocessing.find_ecg_events(raw, verbose="ERROR")
        if len(events) < 20:
            raise ValueError(
                f'clean="pulse" found {len(events)} heartbeats, at least 20 are needed: is there '
                "an ECG channel of type 'ecg'?"
            )
        times = (events[:, 0] - raw.first_samp) / raw.info["sfreq"]
        raw = mne.preprocessing.apply_pca_obs(raw, picks="eeg", qrs_times=times, verbose="ERROR")
        done.append(f"optimal basis sets, {len(events)} heartbeats (MNE)")
        logger.info("Pulse artefact: %d heartbeats, %.0f per minute.", len(events), rate)
    return raw, done


def _without_gradient(raw, triggers):
    samples = np.rint(triggers * raw.info["sfreq"]).astype(int)
    length = int(np.median(np.diff(samples))) if len(samples) > 1 else 0
    # A volume that the recording does not hold to its end cannot be part of a template.
    samples = samples[(samples >= 0) & (samples + length <= raw.n_times)]
    if len(samples) < 10:
        raise ValueError(
            f'clean="gradient" needs at least 10 whole volumes in the recording, got '
            f"{len(samples)}."
        )
    before = raw.get_data(picks="data").std()
    raw = mne.preprocessing.remove_fmri_gradient_artifact(
        raw, samples, tr_tol=max(2, int(0.002 * length)), verbose="ERROR"
    )
    after = raw.get_data(picks="data").std()
    logger.info("Gradient artefact: amplitude %.3g V before, %.3g V after.", before, after)
    return raw
