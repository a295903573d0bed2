"""Windows: MNE recordings and BOLD on one side, self-contained samples on the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mne
import numpy as np
import pandas as pd
from mne.utils import logger, warn

from ._checks import check_number, check_t_r
from .data.bold import read_hemo
from .data.bold_tables import as_table, check_index, check_told_t_r
from .data.bridging import check_blocks
from .data.channels import bad_spans
from .data.frame_times import frame_times, say_rest, times_for_bold
from .data.given import what_is_power
from .data.pairing import (
    check_bold,
    count_runs,
    name_subjects,
    pair,
    per_recording,
    with_same_channels,
)
from .data.physiology import physiology_in, shared_names
from .data.precomputed import raws_of_power, windows_of_power
from .data.scrubbing import restore_frames
from .data.segments import IRREGULAR
from .data.stimulus_pairing import pair_by_stimulus
from .data.triggers import refuse_shared_times
from .reader import Reader

__all__ = ["frame_times", "make_windows", "pair_by_stimulus", "restore_frames"]

# Windows last so many seconds, less where a recording would hold fewer of them than wanted, and
# have so many frames at least.
_USUAL, _WINDOWS, _FEWEST = 60.0, 10, 5


def make_windows(
    raw: mne.io.BaseRaw | Sequence[mne.io.BaseRaw], bold, *, t_r: float,
    window: float | None = None, step: float | None = None, context: float = 30.0, subject=None,
    run=None, sample_mask=None, reader: Reader | None = None,
) -> tuple[mne.EpochsArray, np.ndarray]:  # fmt: skip
    """Cut recordings and BOLD into paired, self-contained windows.

    Parameters
    ----------
    raw : mne.io.Raw | list of mne.io.Raw | list of array
        EEG, MEG or intracranial recording, or several of them. Bad channels are left out. Resample
        first: windows are held in memory. Or band power that was measured elsewhere, see
        `mne_samba.wavelets.Precomputed`: a list of recordings, or one ``RawTFR``.
    bold : array, DataFrame or DataArray, shape (n_frames, n_targets) | path | list of them
        BOLD as nilearn's maskers return it, one per recording. Columns, or the coordinate of a
        DataArray's last dimension, name the regions. Read are CIFTI parcels (``.ptseries.nii``, or
        its image) and tables (``.csv``, ``.tsv``) whose first line holds names. Values are passed
        on untouched (detrending is the estimators' work). Rows that are NaN throughout are scrubbed
        frames.
    t_r : float
        Repetition time in seconds.
    window : float | None
        Length of a window in seconds, cut down to whole frames. None takes 60 s, or less, and says
        so, where the shortest recording would not hold ten of them.
    step : float | None
        Seconds from one window to the next, cut down to whole frames. None: windows do not overlap
        (their contexts do).
    context : float
        Seconds of history before a window's first frame; at least the length of the response.
    subject : str | list | None
        Who was recorded. None: the subject of ``raw.info``; a recording that has none is unnamed,
        and never the same person as another unnamed one.
    run : int | str | list | None
        Which run of the subject. None: counted from 1.
    sample_mask : array, shape (n_kept,) or (n_frames,) | list of array | None
        Volumes that a nilearn masker kept, where it removed the rows of others: they come back as
        scrubbed frames, see `restore_frames`. One per recording.
    reader : Reader | None
        Channels and frame times (drift and ``memory`` are the estimators'); None takes the
        defaults of `mne_samba.Reader`. Its ``first_volume`` and ``n_dummy`` may be lists with one
        value per recording.

    Returns
    -------
    epochs : mne.EpochsArray, shape (n_windows, n_channels, n_times)
        Of band power: `mne.time_frequency.EpochsTFRArray`, (n_windows, n_channels, n_bands,
        n_times), whose samples lie in the middle of the time that a value stands for.
        Time 0 is the sample nearest to the window's first frame, frame k lies at ``k * t_r``; an
        epoch covers ``[-context, n_frames * t_r)``. ``epochs.metadata`` has the columns
        ``subject``, ``run``, ``recording`` (0, 1, ... in the order given), ``onset`` (exact seconds
        from the recording's first sample to the window's first frame), ``frame`` (index of that
        frame in ``bold``), ``t_r``, ``n_frames`` and ``context``; where volumes come more than
        10 ms off a regular grid, ``late``, seconds by which each of the window's frames comes later
        than ``k * t_r``; and, where BOLD names its regions, ``target_names``. ``epochs.save`` keeps
        all of them.
    y : array, shape (n_windows, n_frames, n_targets)
        BOLD of each window.

    Raises
    ------
    TypeError
        ``raw`` is no Raw, numbers or BOLD are text.
    ValueError
        Values that cannot be: see the message, which says what was expected.

    See Also
    --------
    mne_samba.windows.frame_times : The times of frames alone.

    Notes
    -----
    Windows whose history would begin before the recording are not made. The last window may reach
    less than one ``t_r`` beyond the recording, when all its frames lie inside: this lead-out, which
    only the wavelets at its edge see, is reflected. Windows that overlap an annotation whose
    description starts with "BAD" or "EDGE" are dropped together with their BOLD and noted in
    ``epochs.drop_log``. Projections are carried, not applied.

    Examples
    --------
    >>> import mne, numpy as np
    >>> from mne_samba import make_windows
    >>> rng = np.random.default_rng(0)
    >>> info = mne.create_info(["Fz", "Cz", "Oz"], sfreq=100.0, ch_types="eeg")
    >>> raw = mne.io.RawArray(rng.standard_normal((3, 30000)), info, verbose=False)
    >>> epochs, y = make_windows(raw, rng.standard_normal((150, 5)), t_r=2.0, window=60.0)
    >>> len(epochs), y.shape
    (4, (4, 30, 5))
    """
    reader = Reader() if reader is None else reader
    reader.check()
    several, power = isinstance(raw, (list, tuple)), None
    if what_is_power(raw):
        power, raw = raws_of_power(raw, reader.grid(check_t_r(t_r)))
        raw = raw if several else raw[0]
    raws, bolds = pair(raw, bold, several)
    if sample_mask is not None:
        bolds = _restored(bolds, list(sample_mask) if several else [sample_mask])
    n = len(raws)
    t_r = check_t_r(t_r)
    context = check_number(context, "context", low=0)
    n_frames = None if window is None else _whole_frames(window, "window", t_r)
    step_frames = None if step is None else _whole_frames(step, "step", t_r)
    refuse_shared_times(reader.volume_event, n)
    grid = reader.grid(t_r) if power is None else replace(power.grid, picks="all")
    firsts = per_recording(grid.first_volume, n, "first_volume", several)
    dummies = per_recording(reader.n_dummy, n, "n_dummy", several)
    subjects = name_subjects(per_recording(subject, n, "subject", several), raws)
    runs = count_runs(per_recording(run, n, "run", several), subjects)
    alone = not several and not isinstance(bolds[0], (list, tuple))
    hemo = read_hemo(bolds[0] if alone else bolds, "recordings", n, single=alone, name="bold")
    check_told_t_r(hemo.told_t_r, t_r, "bold")
    check_index(bolds[0] if alone else bolds, "bold", t_r)
    if n_frames is None:
        n_frames = _frames_for(min(len(values) for values in hemo.values), t_r, context)
    step_frames = n_frames if step_frames is None else step_frames
    names = [f"raw[{i}]" if several else "raw" for i in range(n)]
    if power is not None and reader.physiology is not None:
        raise ValueError("physiology needs signals, but raw holds band power: set it to None.")
    beside = []
    if grid.physiology is not None:
        each = [[raw.ch_names[i] for i in physiology_in(raw, grid.physiology)] for raw in raws]
        beside = shared_names(each, grid.physiology, names, grid.channels in ("match", "infer"))
    raws, channels = with_same_channels(raws, grid, names)
    cut = _Cut(t_r, n_frames, step_frames, context, float(raws[0].info["sfreq"]))
    recordings = []
    for i, values in enumerate(hemo.values):
        check_bold(raws[i], values, t_r, reader.volume_event, f"bold[{i}]" if several else "bold")
        own = replace(grid, first_volume=firsts[i], n_dummy=dummies[i])
        times = times_for_bold(raws[i], len(values), own, values.shape[1], names[i])
        say_rest(raws[i].n_times / cut.sfreq, times, t_r, names[i], reader.volume_event)
        who = {"subject": subjects[i], "run": runs[i], "recording": i}
        starts, table = _place(raws[i], times, cut, who, names[i], power is not None)
        recordings.append(
            _Recording(raws[i], values, names[i], table, channels + beside, cut, starts)
        )
    names = hemo.target_names if hemo.named else None
    return _assemble(recordings, channels, beside, names, power)


def _restored(bolds: list, masks: list) -> list:
    """BOLD with the rows that maskers removed, where there are masks."""
    if len(masks) != len(bolds):
        raise ValueError(f"sample_mask has {len(masks)} masks for {len(bolds)} recordings.")
    return [
        b if m is None else restore_frames(as_table(b, "bold"), m)
        for b, m in zip(bolds, masks, strict=True)
    ]


@dataclass(frozen=True)
class _Cut:
    """How all recordings are cut."""

    t_r: float
    n_frames: int  # of a window
    step: int  # frames from one window to the next
    context: float
    sfreq: float

    @property
    def n_context(self) -> int:
        """Samples of history before a window's first frame."""
        return int(np.ceil(self.context * self.sfreq - 1e-6))

    @property
    def n_times(self) -> int:
        """Samples of a window, history included."""
        return self.n_context + int(np.ceil(self.n_frames * self.t_r * self.sfreq - 1e-6))


def _place(
    raw, times: np.ndarray, cut: _Cut, who: dict, name: str, is_power: bool
) -> tuple[np.ndarray, pd.DataFrame]:
    """First samples (n_windows,) of windows, history included, and metadata; ``times`` in s."""
    # Values of power last so long that frames within them need places of their own.
    samples = np.floor(times * cut.sfreq + 1e-6) if is_power else np.rint(times * cut.sfreq)
    samples[samples >= raw.n_times] = -1  # an instant at the very end starts no window
    frames = _window_frames(times, samples >= cut.n_context, cut.n_frames, cut.step, name)
    late = _late(times, frames, cut.n_frames, cut.t_r, name)
    if is_power:
        late += (times - samples / cut.sfreq)[frames, np.newaxis]
    columns = {"onset": times[frames], "frame": frames, "late": late.round(6).tolist()}
    return samples[frames].astype(int) - cut.n_context, pd.DataFrame({**who, **columns})


@dataclass(frozen=True)
class _Recording:
    """A recording and where its windows lie."""

    raw: mne.io.BaseRaw
    bold: np.ndarray
    name: str
    table: pd.DataFrame  # a row per window: subject, run, recording, onset, frame
    channels: list[str]
    cut: _Cut
    starts: np.ndarray  # (n_windows,): first samples of the windows, history included

    @property
    def bad(self) -> np.ndarray:
        """True for windows that overlap a BAD span."""
        start = self.starts[:, np.newaxis] / self.cut.sfreq
        stop = start + self.cut.n_times / self.cut.sfreq
        spans = bad_spans(self.raw, self.channels)
        return ((spans[:, 0] < stop) & (spans[:, 1] > start)).any(axis=1)

    def read(self, start: int) -> np.ndarray:
        """One window of signal; what lies beyond the recording's end is reflected."""
        stop = min(start + self.cut.n_times, self.raw.n_times)
        data = self.raw.get_data(picks=self.channels, start=start, stop=stop, verbose="ERROR")
        if np.iscomplexobj(data):
            raise ValueError(f"Complex data not supported: {self.name} holds {data.dtype}.")
        lead_out = self.cut.n_times - data.shape[1]
        return np.pad(data, ((0, 0), (0, lead_out)), mode="reflect") if lead_out else data


def _window_frames(times, with_history, n_frames, step, name) -> np.ndarray:
    """Choose the first frames of windows: all history and all frames inside the recording."""
    ready = np.flatnonzero(with_history)
    first = ready[0] if len(ready) else len(times)
    frames = np.arange(first, len(times) - n_frames + 1, step)
    frames = frames[with_history[frames]]
    if not len(frames):
        raise ValueError(
            f"{name} is shorter than one window: {n_frames} frames in a row are needed whose "
            f"first has all its context, but of its {len(times)} frames ({times[0]:g} to "
            f"{times[-1]:g} s) {len(ready)} have it. Use a shorter window or context."
        )
    return frames


def _assemble(
    recordings: list[_Recording], channels: list[str], beside: list[str], regions, power=None
):
    """Read the windows that no BAD span touches into one EpochsArray, physiology beside them."""
    keep = [~one.bad for one in recordings]
    n_windows = sum(int(k.sum()) for k in keep)
    if n_windows == 0:
        raise ValueError(
            "No window is left: all of them overlap BAD annotations. Use a shorter window or "
            "context, or annotate shorter spans."
        )
    cut = recordings[0].cut
    data = np.empty((n_windows, len(channels + beside), cut.n_times))
    y = np.empty((n_windows, cut.n_frames, recordings[0].bold.shape[1]))
    samples, w, offset = [], 0, 0
    for one, kept in zip(recordings, keep, strict=True):
        _say_dropped(one.name, kept)
        begin = w
        for start, frame in zip(one.starts[kept], one.table["frame"][kept], strict=True):
            data[w] = one.read(start)
            y[w] = one.bold[frame : frame + cut.n_frames]
            samples.append(offset + one.raw.first_samp + start + cut.n_context)
            w += 1
        if power is None:
            check_blocks(data[begin:w, : len(channels)], channels, one.name)
        offset += one.raw.first_samp + one.raw.n_times  # samples stay unique over recordings
    kept = np.concatenate(keep)
    metadata = pd.concat([one.table for one in recordings], ignore_index=True)[kept]
    if np.abs(np.stack(metadata["late"])).max() <= IRREGULAR:
        del metadata["late"]
    metadata = metadata.assign(t_r=cut.t_r, n_frames=cut.n_frames, context=cut.context)
    metadata = metadata.reset_index(drop=True)
    if regions is not None:
        metadata["target_names"] = [regions] * len(metadata)  # a column is kept by epochs.save
    index = [recordings[0].raw.ch_names.index(channel) for channel in channels + beside]
    info = mne.pick_info(recordings[0].raw.info, index, verbose="ERROR")
    epochs = mne.EpochsArray(
        data, info, tmin=-cut.n_context / info["sfreq"],
        events=np.column_stack([samples, np.zeros_like(samples), np.ones_like(samples)]),
        event_id={"window": 1}, metadata=metadata,
        selection=np.flatnonzero(kept), drop_log=tuple(() if k else ("BAD",) for k in kept),
        proj=False, verbose="ERROR",
    )  # fmt: skip
    return (epochs if power is None else windows_of_power(epochs, power)), y


def _late(times, frames, n_frames: int, t_r: float, name: str) -> np.ndarray:
    """Seconds (n_windows, n_frames) by which frames come later than every ``t_r``."""
    index = np.arange(n_frames)
    late = times[frames[:, np.newaxis] + index] - times[frames][:, np.newaxis] - t_r * index
    if late.max(initial=0.0) > t_r:
        raise ValueError(
            f"The volumes of {name} come so irregularly that a window of {n_frames} frames lasts "
            f"{late.max():.3g} s longer than {n_frames} t_r: use shorter windows, or pass the mean "
            "spacing as t_r."
        )
    return late


def _say_dropped(name: str, kept: np.ndarray) -> None:
    if not kept.any():
        warn(f"{name} gives no window: all {len(kept)} overlap BAD annotations.")
    elif not kept.all():
        logger.info(
            "%s: %d of %d windows overlap BAD annotations and are dropped.",
            name, len(kept) - kept.sum(), len(kept),
        )  # fmt: skip


def _frames_for(n_frames: int, t_r: float, context: float) -> int:
    """Choose the frames of a window by those of the shortest recording."""
    usual = max(1, int(_USUAL / t_r + 1e-6))
    ready = n_frames - int(np.ceil(context / t_r))
    chosen = int(np.clip(ready // _WINDOWS, min(usual, _FEWEST), usual))
    if chosen < usual:
        logger.info(
            "Windows of %g s: the shortest recording has %g s after its first %g s of history.",
            chosen * t_r, max(ready, 0) * t_r, context,
        )  # fmt: skip
    return chosen


def _whole_frames(seconds, name, t_r) -> int:
    seconds = check_number(seconds, name, low=0, low_open=True)
    frames = int(np.floor(seconds / t_r + 1e-6))
    if frames < 1:
        raise ValueError(
            f"{name}={seconds:g} s is shorter than one frame (t_r={t_r:g} s). Is t_r in seconds?"
        )
    return frames
