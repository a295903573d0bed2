"""What every modality contributes to predictions of held-out frames."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from mne.utils import use_log_level
from scipy import stats
from sklearn.utils import Bunch

from .._checks import check_number
from .._scoring import score_recordings
from ..base import BoldPredictor
from .attribution import shapley_values

# Contiguous blocks of frames that are left out in turn, for intervals.
_BLOCKS = 10


def modality_contributions(
    model, X, y, groups: Mapping[str, Sequence[str]] | None = None, *, metric: str = "spearman",
    level: float = 0.95,
) -> Bunch:  # fmt: skip
    """Share of each modality, or group of channels, in the score on held-out frames.

    The fitted model predicts with every combination of modalities. Of those that are absent it
    makes what its reader says: with ``Reader(channels="infer")`` they are inferred from the
    others, so that a modality is given what only it shows; with "match", they are at their mean.
    Shares are Shapley values (Shapley 1953): they add up to the score. Physiology
    (``Reader(physiology=...)``), which was fitted first, has what both it and electrophysiology
    explain: with ``metric="r2"``, shares are those of the variance. The score of a second fit,
    without physiology, says how much that is: its score and that of physiology ``alone``, less the
    score of both.

    Parameters
    ----------
    model : SambaTranslator | BandPowerRidge
        Fitted with ``Reader(channels="infer")`` or "match", where electrophysiology is more than
        one modality.
    X, y : Epochs | Raw | list | array
        Electrophysiology and BOLD that the model was not fitted on.
    groups : mapping of str to sequence of str | None
        Names of channels of every group, those of physiology among them; None: a group for each
        type of channel. Channels in no group are always there.
    metric : "spearman" | "pearson" | "r2"
        The score.
    level : float
        Coverage of intervals, which come from leaving out one of ten contiguous blocks of frames in
        turn (jackknife).

    Returns
    -------
    found : Bunch
        ``table``, a DataFrame with a row per modality: ``share`` of the score, mean over regions,
        with ``low`` and ``high``, the score with it ``alone`` and ``without`` it, and
        ``n_channels``; ``targets``, a DataFrame of the shares by region; and ``score`` of all.

    Raises
    ------
    ValueError
        If the model was not fitted to do without channels, or groups do not fit its channels.
    TypeError
        If the model does not predict BOLD.
    """
    if not isinstance(model, BoldPredictor):
        raise TypeError(f"model must predict BOLD from electrophysiology, got {model!r:.80}.")
    check_number(level, "level", low=0, high=1, low_open=True)
    rec = model._read(X, y)
    if rec.bands is not None:
        raise ValueError(
            "X holds power that was measured elsewhere: contributions are of channels' signals. "
            "Give signals, and a model that was fitted to them."
        )
    inputs, n_channels = model._fitted_input, len(rec.ch_names)
    members = _members(inputs.layout, inputs.physiology, groups)
    names = list(members)
    parts = [np.sum(index < n_channels) for index in members.values()]
    apart = not all(n in (0, n_channels) for n in parts)  # whether some channels are left
    if rec.kind == "table" or (apart and model._reader().channels not in ("infer", "match")):
        raise ValueError(
            "The model cannot do without channels: fit it to signals, with "
            'reader=Reader(channels="infer").'
        )
    beside = [] if inputs.physiology is None else inputs.physiology.names
    blocks, every = _blocks(rec.n_frames), np.arange(n_channels + len(beside))

    def predicted(absent: np.ndarray):
        """Frames (n_frames, n_targets) without some channels, and which are known."""
        mute = [beside[i - n_channels] for i in absent if i >= n_channels]
        absent = absent[absent < n_channels]
        if len(absent) < n_channels:
            return _muted(model, mute)._predict(_without(rec, absent) if len(absent) else rec)
        # Parts add up: that of electrophysiology, none of which is there, is taken away.
        (both, known), (own, _) = (_muted(model, m)._predict(rec) for m in (mute, beside))
        return [a - b + inputs.scale.mean for a, b in zip(both, own, strict=True)], known

    def value(present: frozenset) -> np.ndarray:
        """Score (1 + n_blocks, n_targets) of all frames, and of those outside each block."""
        absent = [members[names[i]] for i in range(len(names)) if i not in present]
        absent = np.concatenate([*absent, every[:0]])
        if len(absent) == len(every):
            return np.zeros((1 + _BLOCKS, len(rec.target_names)))
        with use_log_level("ERROR"):
            pred, known = predicted(absent)
        out = []
        for block in range(-1, _BLOCKS):
            kept = [k & (own != block) for k, own in zip(known, blocks, strict=True)]
            detrend = model._reader().detrend
            out.append(score_recordings(rec, pred, kept, detrend=detrend, metric=metric))
        return np.array(out)

    shares = shapley_values(value, len(names))  # (n_modalities, 1 + n_blocks, n_targets)
    mean, some = np.nanmean(shares[:, 0], axis=1), np.nanmean(shares[:, 1:], axis=2)
    error = np.sqrt((_BLOCKS - 1) * some.var(axis=1))
    half = stats.t.ppf(0.5 + level / 2, _BLOCKS - 1) * error
    whole = frozenset(range(len(names)))
    table = pd.DataFrame({
        "share": mean, "low": mean - half, "high": mean + half,
        "alone": [np.nanmean(value(frozenset([i]))[0]) for i in range(len(names))],
        "without": [np.nanmean(value(whole - {i})[0]) for i in range(len(names))],
        "n_channels": [len(members[name]) for name in names],
    }, index=pd.Index(names, name="modality"))  # fmt: skip
    targets = pd.DataFrame(shares[:, 0].T, index=rec.target_names, columns=names)
    return Bunch(table=table, targets=targets, score=float(np.nanmean(value(whole)[0])))


def _muted(model, names: list[str]):
    """Give the model without responses to some physiology."""
    if not names:
        return model
    model, inputs = copy.copy(model), model._fitted_input
    model._fitted_input = replace(inputs, physiology=inputs.physiology.without(names))
    return model


def _members(layout, physiology, groups) -> dict[str, np.ndarray]:
    """Find the channels of every group, (n_channels,) each; those of physiology come last."""
    beside = {}
    if physiology is not None:
        beside = dict(zip(physiology.names, physiology.kinds, strict=True))
    if groups is None:
        if layout.channel_types is None:
            raise ValueError(
                "Channels of arrays have no types: give groups, a dict of name -> names of "
                f"channels, of {layout.ch_names[:5]}..."
            )
        every = dict(zip(layout.ch_names, layout.channel_types, strict=True)) | beside
        groups = {
            kind: [ch for ch, own in every.items() if own == kind]
            for kind in dict.fromkeys(every.values())
        }
    known = {ch: i for i, ch in enumerate([*layout.ch_names, *beside])}
    named = [ch for group in groups.values() for ch in group]
    unknown = [ch for ch in named if ch not in known]
    if unknown:
        raise ValueError(f"groups name channels that fit did not see: {unknown[:8]}.")
    if len(groups) < 2 or len(set(named)) < len(named) or not all(map(len, groups.values())):
        raise ValueError(
            "groups must be two or more, none of them empty, and a channel in one of them only; "
            f"got {len(groups)} ({list(groups)[:8]})."
        )
    return {name: np.array([known[ch] for ch in group]) for name, group in groups.items()}


def _without(rec, absent: np.ndarray):
    """Take channels ``absent`` (n_absent,) from recordings."""
    there = np.setdiff1d(np.arange(len(rec.ch_names)), absent)

    def read_without(read):
        def reader(first, stop):
            data = read(first, stop)
            out = np.zeros_like(data)
            out[there] = data[there]
            return out

        return reader

    segments = [
        replace(s, read=read_without(s.read), lacks=np.union1d(s.lacks, absent).astype(int))
        for s in rec.segments
    ]
    return replace(rec, segments=segments)


def _blocks(n_frames: Sequence[int]) -> list[np.ndarray]:
    """Block of every frame of segments, contiguous over all of them."""
    total = sum(n_frames)
    label = np.arange(total) * _BLOCKS // max(total, 1)
    return np.split(label, np.cumsum(n_frames)[:-1])
