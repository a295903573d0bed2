"""Which channels of an MNE object enter, and how recordings with other channels are joined."""

import warnings

import mne
import numpy as np
from mne.utils import logger, warn

from .cuts import cuts_of
from .physiology import physiology_in


def picked(inst, picks, physiology=None) -> list[int]:
    """Find the channels that MNE's ``picks`` means (indices), no bad ones or ``physiology``."""
    from mne.io.pick import _picks_to_idx  # the rule that MNE's own methods use for ``picks``

    default = picks is None
    try:
        index = _picks_to_idx(
            inst.info, "data" if default else picks, exclude="bads", allow_empty=True
        )
        if default:  # hybrid devices record light beside it, which is the other side
            kinds = inst.info.get_channel_types()
            index = [i for i in index if not kinds[i].startswith(("hb", "fnirs"))]
    except TypeError as error:
        raise TypeError(f"picks={picks!r} cannot be read as channels: {error}") from None
    except (IndexError, ValueError) as error:
        raise ValueError(f"picks={picks!r} cannot be read as channels: {error}") from None
    own = set(physiology_in(inst, physiology, bads=True))
    index = [i for i in index if i not in own]
    if len(set(map(int, index))) < len(index):
        raise ValueError(f"picks={picks!r} names a channel twice.")
    if len(index) == 0:
        raise ValueError(
            f"No channel is left: picks={picks!r} among {inst.info['ch_names'][:8]}..., "
            f"bads={inst.info['bads']}. Name channels or types that exist and are not bad."
        )
    return [int(i) for i in index]


def bad_spans(raw, channels: list[str]) -> np.ndarray:
    """Spans (n_spans, 2; s) annotated as BAD or EDGE, those of single ``channels`` included."""
    # A cut is one sample that no window and no bin may hold: what lies before is no history.
    said = raw.annotations
    bad = np.array(
        [
            text.upper().startswith(("BAD", "EDGE"))
            and (not only or not set(channels).isdisjoint(only))
            for text, only in zip(said.description, said.ch_names, strict=True)
        ],
        dtype=bool,
    )
    cuts = np.array([cut.time for cut in cuts_of(raw)])
    onset = np.r_[mne.annotations._sync_onset(raw, said.onset[bad]), cuts]
    duration = np.r_[said.duration[bad], np.zeros(len(cuts))]
    return np.column_stack([onset, onset + np.maximum(duration, 1.0 / raw.info["sfreq"])])


def check_same_rate(sfreq: float, other: float, name: str, other_name: str) -> None:
    """Refuse rates in Hz that differ by more than a file format's rounding (4 ms in an hour)."""
    if abs(sfreq / other - 1) > 1e-6:
        raise ValueError(
            f"{name} is sampled at {sfreq:.9g} Hz, {other_name} at {other:.9g} Hz: resample them "
            "to one rate."
        )


def align(inst, ch_names, grid, name):
    """Bring an MNE object to the channels of ``fit``; return it and indices, -1 where lacking."""
    index = picked(inst, grid.picks, grid.physiology)
    have = [inst.info["ch_names"][i] for i in index]
    if ch_names is None or have == list(ch_names):
        return inst, index
    missing = [ch for ch in ch_names if ch not in have]
    extra = [ch for ch in have if ch not in ch_names]
    bads = [ch for ch in missing if ch in inst.info["bads"]]
    if grid.channels == "error" and bads and not extra:
        raise ValueError(
            f"{name} lacks the channels {missing[:8]}, of which {bads[:8]} are marked as bad "
            "(info['bads']). Interpolate them, raw.interpolate_bads(), or leave them out of every "
            'recording: Reader(channels="match") in fit.'
        )
    if grid.channels == "error" and (missing or extra):
        raise ValueError(
            f"{name} has other channels than expected: missing {missing[:8]}, "
            f"not expected {extra[:8]}. "
            'Pick the same channels, or use Reader(channels="match") (common channels), '
            '"interpolate" or "infer".'
        )
    if missing and grid.channels == "interpolate":
        inst = _interpolate(inst, missing, name)
    elif missing and grid.may_lack:
        _say_missing(inst, have, ch_names, missing, grid.channels, name)
    elif missing:
        raise ValueError(
            f"{name} lacks the channels {missing[:8]} that the estimator was fitted on; "
            'Reader(channels="match") keeps what all training recordings share, "interpolate" '
            'fills missing EEG channels; where BOLD is predicted, "infer" does without any.'
        )
    where = {ch: i for i, ch in enumerate(inst.info["ch_names"])}
    if grid.may_lack:  # those that are bad are not used
        where = {ch: where[ch] for ch in have}
    return inst, [where.get(ch, -1) for ch in ch_names]


def _say_missing(inst, have, ch_names, missing, channels: str, name: str) -> None:
    """Say which channels are missing and what stands for them; refuse where all are."""
    if len(missing) == len(ch_names):
        kinds = ", ".join(sorted(set(inst.get_channel_types(have))))
        raise ValueError(
            f"{name} shares no channel with what the estimator was fitted on: it holds "
            f"{len(have)} channels of type {kinds} ({have[:5]}...), fit saw {ch_names[:5]}... "
            "A cap, or a modality, that was never seen cannot stand for another: fit with it, or "
            "go through parcels (mne_samba.SourceParcels)."
        )
    what = f"{name} lacks {len(missing)} of {len(ch_names)} channels: {missing[:8]}"
    if channels == "match":
        warn(
            f"{what}. Their power is taken as its mean; a fit with Reader(channels='infer') infers "
            "it from the channels that are there."
        )
    logger.info("%s.", what)


def places_of(info) -> np.ndarray:
    """Places (n_channels, 3; m) of channels, NaN where one has none."""
    places = np.array([ch["loc"][:3] for ch in info["chs"]], dtype=float).reshape(-1, 3)
    none = ~np.isfinite(places).all(axis=1) | (places == 0).all(axis=1)
    return np.where(none[:, np.newaxis], np.nan, places)


def template_montage(system: str) -> str:
    """Name of MNE's template of the 10-20 or 10-05 system ("1020", "1005"), which 1.13 renamed."""
    new = f"colin27_{system}" in mne.channels.get_builtin_montages()
    return f"{'colin27' if new else 'standard'}_{system}"


def template_places() -> dict[str, np.ndarray]:
    """Places of the 10-05 system in the head's coordinates, in which recordings keep theirs."""
    montage = mne.channels.make_standard_montage(template_montage("1005"))
    info = mne.create_info(montage.ch_names, 1.0, "eeg", verbose="ERROR").set_montage(montage)
    return info.get_montage().get_positions()["ch_pos"]


def _interpolate(inst, missing: list[str], name: str):
    """Fill missing EEG channels by spherical splines, at their place in the 10-05 system."""
    template = template_places()
    lower = {ch.lower(): ch for ch in template}
    unknown = [ch for ch in missing if ch.lower() not in lower]
    if unknown:
        raise ValueError(
            f"Cannot interpolate {unknown[:8]} in {name}: not names of the 10-05 system."
        )
    inst = inst.copy().load_data()
    there = {ch.lower() for ch in inst.ch_names}
    add = [ch for ch in missing if ch.lower() not in there]
    if add:
        with warnings.catch_warnings():  # their places follow below
            warnings.simplefilter("ignore", RuntimeWarning)
            inst.add_reference_channels(add)
    position = {ch: template[lower[ch.lower()]] for ch in missing}
    known = inst.get_montage()
    known = known.get_positions()["ch_pos"] if known is not None else {}
    full = {ch: template[lower[ch.lower()]] for ch in inst.ch_names if ch.lower() in lower}
    full.update({ch: p for ch, p in known.items() if not np.isnan(p).any() and ch not in position})
    inst.set_montage(mne.channels.make_dig_montage(full, coord_frame="head"), on_missing="ignore")
    inst.info["bads"] = list(missing)
    inst.interpolate_bads(reset_bads=True, verbose="ERROR")
    logger.info("Interpolated channels %s in %s.", missing, name)
    return inst


def common_channels(insts, grid, name) -> list[str] | None:
    """Channels that all recordings share, in the order of the first."""
    sets = [
        [inst.info["ch_names"][i] for i in picked(inst, grid.picks, grid.physiology)]
        for inst in insts
    ]
    if all(names == sets[0] for names in sets):
        return None
    if grid.channels in ("match", "infer"):
        shared = [ch for ch in sets[0] if all(ch in names for names in sets)]
        if not shared:
            raise ValueError(f"The recordings of {name} share no channel.")
        dropped = sorted(set().union(*sets) - set(shared))
        logger.info("%d channels are shared and kept, dropped %s.", len(shared), dropped)
        return shared
    if grid.channels == "interpolate":
        return list(dict.fromkeys(ch for names in sets for ch in names))
    return sets[0]
