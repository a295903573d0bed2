"""Which channels a fit sees: as they are, whitened, or jointly diagonalised, by held-out frames.

Filters are learnt from the electrophysiology of the training data alone. Fits to a part of the
training data, with the canonical response and few targets, say which ones predict better: cores, or
ridges where channels are many.
"""

import time
from dataclasses import dataclass, field, replace

import numpy as np
from mne.utils import logger

from ..data.bridging import clean_reader
from ..data.paired import Paired
from ..data.power import BandPower, PowerScaler
from ..data.recordings import Recordings
from ..unmixing import Learner, Stretch, mixing
from ..wavelets import Precomputed
from .validation import mean_and_error

METHODS = ("joint", "underdetermined", "whiten")
UNMIX = ("auto", *METHODS, None)

# Share of channels that joint diagonalisation finds components of, above which sources may be more,
# and channels up to which these are looked for.
_FULL, _FEW = 0.75, 100
# Standard errors over targets by which held-out frames must prefer components: targets share the
# chance of few frames.
_ERRORS = 2.0
# Frames below which held-out ones cannot tell: in 88 of real EEG they were wrong as often as right.
_LEAST = 120
# Largest correlation of a typical channel with another below which there is nothing to unmix; that
# below which some pieces of a long recording (seconds) say so.
_UNMIXED, _HARDLY, _GLANCE, _LONG = 0.15, 0.1, 60, 900.0
# Frames, recordings they come from, targets and blocks that decide.
_FRAMES, _RECORDINGS, _TARGETS, _BLOCKS = 600, 4, 16, 3
# Channels above which cores take long and need more frames: ridge decides, by so many frames.
_MANY, _MORE_FRAMES = 150, 1200


@dataclass(frozen=True)
class UnmixingChoice:
    """Which channels are used, and why."""

    method: str  # "joint", "underdetermined", "whiten" or "channels"
    scores: dict[str, float]  # correlation with held-out training frames, by what was tried
    margin: float  # by how much what is used is better than channels as they are
    mixing: float  # median over channels of the largest correlation with another
    # Time that learning and choosing took. The same fit, the same file.
    seconds: float = field(default=0.0, metadata={"saved": False})


def learner_of(
    rec: Recordings, bands: dict, segment: float = 10.0, most: int | None = None
) -> Learner:
    """Learn to unmix from recordings, BAD spans left out, and what follows the last BOLD frame.

    By at most so many pieces of ``segment`` s, if that is said.
    """
    stretches = []
    for own, key in zip(rec.segments, rec.keys, strict=True):
        n_times = own.n_times
        if rec.bold is not None:
            end = own.frame_times[-1] + own.frame_step
            n_times = min(n_times, int(np.ceil(end * rec.sfreq)))
        stretches.append(Stretch(clean_reader(own, rec.sfreq), n_times, key, own.bad))
    n = len(rec.ch_names)
    kinds = ["eeg"] * n if rec.info is None else rec.info.get_channel_types()
    return Learner(stretches, rec.sfreq, list(bands.values()), rec.ch_names, kinds, segment, most)


def choose_unmixing(
    rec: Recordings, features, unmix: str | None, detrend, log: bool = False
) -> tuple[object, UnmixingChoice | None]:
    """Choose a spatial filter: the features with it, and the choice where there was one to make."""
    signals = isinstance(features, BandPower) and not isinstance(features.bank, Precomputed)
    if unmix is None or (unmix == "auto" and not (signals and len(rec.ch_names) > 1)):
        return features, None
    if not signals:
        raise ValueError(
            f"unmix={unmix!r} unmixes the signals of channels, but X holds none (a table, or power "
            "that was measured elsewhere): set unmix=None."
        )
    start = time.perf_counter()
    learner = None
    if unmix == "auto" and sum(own.n_times for own in rec.segments) > _LONG * rec.sfreq:
        # Chance can only make channels look mixed: where some pieces do not show it, none do.
        learner = learner_of(rec, features.bands, most=_GLANCE)
    if learner is None or mixing(learner.by_band) > _HARDLY:
        learner = learner_of(rec, features.bands)
    mixed, scores, margin, method = mixing(learner.by_band), {}, 0.0, "channels"
    if unmix != "auto":
        method, features = unmix, replace(features, spatial=getattr(learner, unmix)())
    elif mixed > _UNMIXED and sum(rec.n_frames) >= _LEAST:
        features, method, scores, margin = _compare(_part(rec), learner, features, detrend, log)
    seconds = time.perf_counter() - start
    choice = UnmixingChoice(method, scores, margin, mixed, seconds)
    logger.info("Unmixing: %s", _told(choice, features))
    return features, choice


def _told(choice: UnmixingChoice, features: BandPower) -> str:
    """Say what was chosen."""
    n = "" if features.spatial is None else f" ({len(features.spatial.names)} components)"
    scores = ", ".join(f"{name} {score:.3f}" for name, score in choice.scores.items())
    why = f"; held-out correlation: {scores}" if scores else ""
    return f"{choice.method}{n}, mixing {choice.mixing:.2f}{why}; {choice.seconds:.1f} s."


def _part(rec: Recordings) -> Recordings:
    """Take so many frames, of the start of some recordings, as decide."""
    keys, frames = rec.keys, rec.n_frames
    most = _FRAMES if len(rec.ch_names) <= _MANY else _MORE_FRAMES
    names = list(dict.fromkeys(keys))
    if sum(frames) <= most:
        return rec
    some = np.linspace(0, len(names) - 1, min(_RECORDINGS, len(names))).round().astype(int)
    room = dict.fromkeys((names[i] for i in np.unique(some)), most // len(np.unique(some)))
    rows, segments, bold = [], [], []
    for i, (key, n) in enumerate(zip(keys, frames, strict=True)):
        taken = min(room.get(key, 0), n)
        if taken < n and rec.kind == "windows":
            taken = 0
        if taken:
            room[key] -= taken
            own = rec.segments[i]
            rows.append(i)
            segments.append(replace(own, n_frames=taken, late=own.late[:taken]))
            bold.append(rec.bold[i][:taken])
    return replace(rec.take(rows), segments=segments, bold=bold)


def _compare(rec: Recordings, learner: Learner, features, detrend, log: bool):
    """Features that predict held-out frames best, their name, scores, and margin to channels.

    More sources than sensors are looked for where joint diagonalisation does no harm and finds
    hardly any floor of noise; whitening, which is half of what it does, where nothing helps.
    """
    from .core_choice import CoreOptions, correlation_in_blocks, draw  # load torch
    from .ridge import ridge_in_blocks

    options = CoreOptions(
        map_prior="sparse", hrf="canonical", hrf_bounds="human", band_attention=True,
        target_bands=False, power="linear", seed=0,
    )  # fmt: skip
    n_channels = len(rec.ch_names)
    scores, found, best, margin = {}, {"channels": features}, "channels", 0.0
    for name in ("channels", *METHODS):
        if name == "underdetermined":
            full = len(found["joint"].spatial.names) > _FULL * n_channels
            behind = scores["joint"].mean() < scores["channels"].mean()
            if not full or behind or n_channels > _FEW:
                continue
        if name == "whiten" and best != "channels":
            continue
        logger.info("Trying unmixing: %s.", name)
        if name != "channels":
            found[name] = replace(features, spatial=getattr(learner, name)())
        powers = found[name].measure(rec)
        data = Paired.of(
            rec, powers, features.grid, detrend, PowerScaler(log=log), grids=features.grids(rec)
        )
        some = draw(data, 0, _TARGETS)
        data = data if some is None else data.of_targets(some)
        if n_channels <= _MANY or data.grids is not None:
            scores[name] = correlation_in_blocks(data, options, _BLOCKS)
        else:
            scores[name] = ridge_in_blocks(data, _BLOCKS)
        gain, error = mean_and_error(scores[name] - scores[best])
        if gain > _ERRORS * error:
            best, margin = name, float((scores[name] - scores["channels"]).mean())
    return found[best], best, {name: float(score.mean()) for name, score in scores.items()}, margin
