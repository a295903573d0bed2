"""Recordings and windows with other channels, and all else that belongs to them."""

import mne
import numpy as np

from .._checks import check_finite
from ..data.channels import bad_spans


def samples_of(inst, picks: list[int]) -> np.ndarray:
    """Channels (n_channels, n_times), epochs first: a mixture would carry broken ones to all."""
    data = inst.get_data(picks=picks, verbose="ERROR")
    if np.isfinite(data).all():
        return data
    names, good = [inst.ch_names[i] for i in picks], slice(None)
    if isinstance(inst, mne.io.BaseRaw):
        times, good = np.arange(inst.n_times) / inst.info["sfreq"], np.ones(inst.n_times, bool)
        for low, high in bad_spans(inst, names):
            good &= (times < low - 1e-9) | (times > high + 1e-9)
    check_finite(data[..., good], "X", names)
    return data


def with_channels(inst, data: np.ndarray, info: mne.Info):
    """Raw or Epochs of ``data``, with annotations, stimulus channels, events and metadata."""
    info = info.copy()
    with info._unlock():
        for name in ("sfreq", "highpass", "lowpass", "line_freq", "subject_info", "description"):
            info[name] = inst.info[name]
    if isinstance(inst, mne.BaseEpochs):
        out = mne.EpochsArray(
            data, info, inst.events, inst.tmin, inst.event_id, metadata=inst.metadata,
            selection=inst.selection, drop_log=inst.drop_log, proj=False, verbose="ERROR",
        )  # fmt: skip
        if inst.metadata is not None:
            out.metadata.attrs.update(inst.metadata.attrs)
        return out
    out = mne.io.RawArray(data, info, first_samp=inst.first_samp, verbose="ERROR")
    out.set_meas_date(inst.info["meas_date"])
    out.set_annotations(inst.annotations, verbose="ERROR")
    stim = mne.pick_types(inst.info, stim=True, exclude=[])
    if len(stim):
        names = [inst.ch_names[i] for i in stim]
        info = mne.create_info(names, inst.info["sfreq"], "stim", verbose="ERROR")
        triggers = inst.get_data(stim, verbose="ERROR")
        more = mne.io.RawArray(triggers, info, inst.first_samp, verbose="ERROR")
        out.add_channels([more], force_update_info=True)
    return out
