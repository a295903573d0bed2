"""How recordings are read: X and y, whatever they were given as, become `Recordings`."""

import numbers
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Self

import numpy as np
import pandas as pd
from joblib import Memory
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from ._checks import check_number, check_option, check_t_r, check_t_rs, first_of, several_t_r
from ._typing import Detrend, Path, Picks
from .data.bold import (
    check_measured,
    check_not_swapped,
    check_orientation,
    check_same_frames,
    provenance_of,
    read_hemo,
)
from .data.bold_tables import as_tables, check_index, check_told_t_r
from .data.bridging import check_channels
from .data.fnirs import is_fnirs, optodes_of
from .data.frame_times import say_rest
from .data.given import (
    Given,
    refuse_electrophysiology,
    refuse_fnirs,
    what_is,
    what_is_bold,
)
from .data.power_cache import check_memory
from .data.precomputed import rows_of_power
from .data.recordings import Layout, Recordings
from .data.segments import FrameGrid, Segment
from .data.signals import check_made_for, read_signals
from .data.triggers import volume_triggers
from .data.window_table import DEFAULT_CONTEXT

__all__ = ["Reader"]

# Polynomials of higher orders are no slow drift.
MAX_ORDER = 10


class Reader(BaseEstimator):
    """How recordings are read: channels, frame times, drift.

    Shared by `make_windows`, all estimators and transformers, and `mne_samba.io.read_bids_pair`,
    whose pairs bring their own.

    Parameters
    ----------
    sfreq : float | None
        Sampling rate in Hz of input arrays (of power: values per second); MNE objects carry their
        own.
    tmin : float | None
        Time in seconds of the first sample of windows given as arrays, relative to their first
        frame (not positive). None: the last ``n_frames * t_r`` seconds are the window.
    picks : str | list | None
        Channels, as in MNE; None takes data channels that are not bad.
    channels : "error" | "match" | "interpolate" | "infer"
        What to do where recordings differ in their channels: refuse them; fit to those that all
        training recordings share, and take the power of what later ones lack as its mean (unmixed
        channels: their signal, as silence); fill EEG by spherical splines; or fit to those that all
        share, and infer what later ones lack, of whatever type, from what they have ("match" and
        "infer": where BOLD is predicted; in arrays, a missing channel is all NaN).
    first_volume : float
        Seconds from a recording's first sample to its first volume, dummy scans included.
    n_dummy : int
        Volumes at the start of the scan that BOLD does not hold.
    slice_time_ref : float
        Time within a volume that frames stand for, 0 to 1, as in nilearn.
    volume_event : str | tuple | array, shape (n_volumes,) | None
        Scanner triggers in recordings: the description of annotations (whole, or a part between
        "/", such as "R128" of "Response/R128"), the name of a stim channel, ``(channel, value)``,
        or the times themselves of all volumes, in seconds from a recording's first sample.
    detrend : "cosine" | "linear" | int | None
        Slow drift removed from BOLD per recording: cosines slower than 1/128 Hz, a line, a
        polynomial of this order (at most 10), or nothing.
    physiology : str | list of str | None
        Channels that are no electrophysiology but drives of BOLD of their own, by MNE's types
        or by name: heart rate of "ecg", respiratory volume of "resp", diameter of "pupil", and
        "misc", "gsr" and "temperature" as they are (motion, say; `mne_samba.io.add_physiology`
        adds columns of a table). Where BOLD is predicted; recordings must be MNE objects.
    memory : str | Path | joblib.Memory | None
        Where to keep band power on disk, which folds and refits then share: one computation per
        recording. None keeps that of short recordings in memory as long as the process lives. It
        is found again by the samples, bands and frames themselves; scales and all else that is
        learnt are never kept.

    Notes
    -----
    Frame k was acquired at ``first_volume + n_dummy * t_r + (k + slice_time_ref) * t_r``, or at the
    scanner's own triggers. Where several recordings are read together, ``first_volume`` and
    ``n_dummy`` may be lists with one value per recording. Such a reader fits these recordings
    alone, not the parts of a cross-validation: give `make_windows` the lists, or use triggers.

    Examples
    --------
    >>> from mne_samba import Reader, SambaTranslator
    >>> reader = Reader(volume_event="R128", slice_time_ref=0.5)
    >>> translator = SambaTranslator(t_r=2.0, reader=reader)
    """

    def __init__(
        self,
        *,
        sfreq: float | None = None,
        tmin: float | None = None,
        picks: Picks = None,
        channels: Literal["error", "match", "interpolate", "infer"] = "error",
        first_volume: float | Sequence[float] = 0.0,
        n_dummy: int | Sequence[int] = 0,
        slice_time_ref: float = 0.0,
        volume_event: str | tuple[str, int] | ArrayLike | None = None,
        detrend: Detrend = "cosine",
        physiology: str | Sequence[str] | None = None,
        memory: Path | Memory | None = None,
    ) -> None:
        self.sfreq = sfreq
        self.tmin = tmin
        self.picks = picks
        self.channels = channels
        self.first_volume = first_volume
        self.n_dummy = n_dummy
        self.slice_time_ref = slice_time_ref
        self.volume_event = volume_event
        self.detrend = detrend
        self.physiology = physiology
        self.memory = memory

    def check(self) -> None:
        """Refuse parameters that cannot be, before any data are read.

        Raises
        ------
        TypeError, ValueError
            With what was given and what was expected.
        """
        if self.sfreq is not None:
            check_number(self.sfreq, "sfreq", low=0, low_open=True)
        if self.tmin is not None:
            check_number(self.tmin, "tmin", high=0.0)
        for value in np.atleast_1d(np.array(self.first_volume, dtype=object)):
            check_number(value, "first_volume")
        for value in np.atleast_1d(np.array(self.n_dummy, dtype=object)):
            check_number(value, "n_dummy", low=0, integer=True)
        check_number(self.slice_time_ref, "slice_time_ref", low=0, high=1)
        check_option(self.channels, "channels", ("error", "match", "interpolate", "infer"))
        if isinstance(self.detrend, numbers.Integral) and not isinstance(self.detrend, bool):
            if not 0 <= self.detrend <= MAX_ORDER:
                raise ValueError(
                    f"detrend={self.detrend} is the order of a polynomial, 0 to {MAX_ORDER}; "
                    "'cosine' removes what is slower than 1/128 Hz."
                )
        elif self.detrend is not None and self.detrend not in ("cosine", "linear"):
            raise ValueError(
                "detrend must be 'cosine', 'linear', the order of a polynomial (an integer) or "
                f"None, got {self.detrend!r}."
            )
        said = self.physiology
        several = isinstance(said, (list, tuple)) and len(said) and all(
            isinstance(one, str) for one in said
        )  # fmt: skip
        if not (said is None or several or (isinstance(said, str) and said)):
            raise TypeError(
                "physiology must be a type of channel ('ecg', 'resp', 'pupil', 'misc', ...), the "
                f"name of a channel, a list of them, or None, got {said!r:.80}."
            )
        check_memory(self.memory)

    def grid(self, t_r: float | list[float]) -> FrameGrid:
        """Where frames lie in a recording, and how its signal is read.

        Parameters
        ----------
        t_r : float | list of float
            Seconds between frames, one per segment where they differ.

        Returns
        -------
        grid : FrameGrid
            With all parameters of the reader that are about it.
        """
        return FrameGrid(
            t_r=t_r if np.ndim(t_r) else float(t_r), sfreq=self.sfreq, tmin=self.tmin,
            first_volume=self.first_volume, n_dummy=self.n_dummy,
            slice_time_ref=self.slice_time_ref, volume_event=self.volume_event,
            picks=self.picks, channels=self.channels, physiology=self.physiology,
        )  # fmt: skip

    def read(
        self, X, t_r=None, *, layout: Layout | None = None, n_frames=None,
        name: str = "X", owner=None, may_lack_channels: bool = False, physiology: bool = False,
    ) -> Recordings:  # fmt: skip
        """Read electrophysiology, or a table of features.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Windows, recordings or a table.
        t_r : float | list of float | None
            Seconds between frames, one per recording where they differ; None takes that of the
            windows' metadata, of ``attrs["t_r"]`` of BOLD, of the scanner's triggers or of
            ``layout``.
        layout : Layout | None
            What ``fit`` saw: X is brought to its channels, or refused.
        n_frames : int | list of int | None
            Frames per segment where BOLD is known; None takes all that fit.
        name : str
            What to call X in errors.
        owner : estimator | None
            Whose ``n_features_in_`` and ``feature_names_in_`` a table sets or is held against.
        may_lack_channels : bool
            Whether X may lack channels of ``layout``, where ``channels`` says so; segments tell.
        physiology : bool
            Whether physiology is used; where it is not, it is refused.

        Returns
        -------
        rec : Recordings
            Without BOLD.

        Raises
        ------
        ValueError, TypeError
            If X cannot be read, or is not what ``fit`` saw.
        """
        given = self._given(X, layout, name)
        self._check_physiology(given, name, physiology)
        if given.kind == "table":
            return _table(given.items, owner, layout)
        t_r = self._t_r(t_r, given, layout)
        return self._signals(given, t_r, layout, n_frames, name, may_lack_channels)

    def read_pair(
        self, X, y, t_r=None, *, layout: Layout | None = None,
        may_lack: bool = True, drives: bool = False, names: tuple[str, str] = ("X", "y"),
        owner=None, may_lack_channels: bool = False, physiology: bool = False,
    ) -> Recordings:  # fmt: skip
        """Read electrophysiology and the BOLD that belongs to it.

        Parameters
        ----------
        X, t_r, layout, owner, may_lack_channels, physiology
            As in `read`.
        y : array | list
            BOLD: (n_windows, n_frames, n_targets) for windows, one (n_frames, n_targets) array per
            recording, or (n_frames, n_targets) for a table. Rows of NaN are scrubbed frames.
        may_lack : bool
            Whether recordings may lack regions (columns of NaN).
        drives : bool
            Whether X holds drives, which may be constant or alike, and not channels.
        names : tuple of str
            What to call X and y in errors.

        Returns
        -------
        rec : Recordings
            With BOLD.

        Raises
        ------
        ValueError, TypeError
            If they cannot be read, or do not agree with each other.
        """
        # What X and y are is asked first, then whether their times agree, or the two are swapped:
        # whoever errs there is told so, and not what reading them ends in.
        refuse_fnirs(X, names[0])
        refuse_electrophysiology(y, names[1])
        if _holds_fnirs(y) and self.slice_time_ref:
            raise ValueError(
                f"{names[1]} is fNIRS, which has no slices: slice_time_ref must be 0, got "
                f"{self.slice_time_ref:g}. (first_volume is where its first sample lies.)"
            )
        y = as_tables(y, names[1], t_r) if _holds_fnirs(y) else y
        given = self._given(X, layout, names[0])
        self._check_physiology(given, names[0], physiology)
        if given.kind == "table":
            return _table(given.items, owner, layout, (y,))
        options = {"single": given.single, "name": names[1], "may_lack": may_lack}
        hemo = read_hemo(y, given.kind, len(given), **options)
        if layout is None:
            check_measured(hemo)
        t_r = self._t_r(t_r, given, layout, hemo.told_t_r)
        recordings = given.kind == "recordings"
        if recordings or None not in hemo.told_t_r:
            check_told_t_r(hemo.told_t_r, t_r, names[1])
        if recordings:
            check_index(y, names[1], t_r)
        check_not_swapped(given, hemo, self.sfreq, float(np.min(t_r)), names)
        frames = hemo.n_frames if recordings else hemo.n_frames[0]
        if not recordings:
            check_made_for(given, frames, t_r)
        rec = self._signals(given, t_r, layout, frames, names[0], may_lack_channels)
        rec = replace(
            rec, bold=hemo.values, target_names=regions_of(rec, hemo.target_names),
            provenance=provenance_of(X, y), optodes=optodes_of(y),
        )  # fmt: skip
        if layout is None:
            check_same_frames(hemo, rec.table, rec.kind)
        else:
            rec = match_regions(rec, layout, names[1])
        # Arrays without tmin are cut by y itself: there, the usual history is assumed.
        told = rec.info is not None or self.tmin is not None
        check_orientation(rec, names[1], None if told else DEFAULT_CONTEXT)
        if layout is None and rec.bands is None:
            check_channels(rec, names[0], drives)
            for i, segment in enumerate(rec.segments if recordings else []):
                called = names[0] if rec.single else f"{names[0]}[{i}]"
                seconds, own = segment.n_times / rec.sfreq, np.broadcast_to(t_r, len(rec))[i]
                say_rest(seconds, segment.frame_times, own, called, self.volume_event)
        return rec

    def read_signals(self, X, *, layout: Layout | None = None, name="X", owner=None) -> Recordings:
        """Read electrophysiology where frames do not matter, or a table.

        Parameters
        ----------
        X, layout, name, owner
            As in `read`.

        Returns
        -------
        rec : Recordings
            Every segment has one frame, at its first sample.
        """
        given = self._given(X, layout, name)
        self._check_physiology(given, name, False)
        if given.kind == "table":
            return _table(given.items, owner, layout)
        grid = FrameGrid(t_r=1e-6, sfreq=self.sfreq, picks=self.picks, channels=self.channels)
        frames = [1] * len(given)
        if given.is_power:
            return self._signals(
                given, 1e-6, layout, frames if given.kind != "windows" else 1, name
            )
        if given.kind == "windows":
            # Epochs know their time 0; how many frames they were cut for is not asked.
            given = replace(given, items=_around_zero(given)) if given.is_mne else given
            frames = None if given.is_mne else 1
        return read_signals(
            given, grid, n_frames=frames, name=name,
            ch_names=None if layout is None else layout.ch_names,
        )  # fmt: skip

    def read_bold(self, y, *, name: str = "X", may_lack: bool = True, t_r=None) -> Recordings:
        """Read BOLD alone, windows or recordings, as the way back takes it.

        Parameters
        ----------
        y : array | DataFrame | list
            (n_windows, n_frames, n_targets), a list of (n_frames, n_targets), or one of them.
        name, may_lack, t_r
            As in `read` and `read_pair`; fNIRS is averaged to frames of ``t_r``.

        Returns
        -------
        rec : Recordings
            Without signal: segments know their number of frames alone.
        """
        given = what_is_bold(y, name, t_r)
        hemo = read_hemo(given.items, given.kind, len(given), name=name, may_lack=may_lack)
        if given.kind == "recordings":
            check_index(given.items, name)
        nothing = np.empty((0, 0))  # no signal is read with it
        nowhere = [Segment(lambda *_: nothing, 0, 0.0, np.nan, len(v)) for v in hemo.values]
        recording = np.arange(len(nowhere)) * (given.kind == "recordings")
        table = pd.DataFrame(
            {"subject": "", "run": "", "recording": recording, "onset": np.nan, "frame": -1}
        )
        return Recordings(
            given.kind, nowhere, np.nan, [], None, table, np.nan, hemo.values,
            list(hemo.target_names), given.single,
        )  # fmt: skip

    def _given(self, X, layout: Layout | None, name: str) -> Given:
        """Say what X is; refuse tables and signals where the other is expected."""
        given = what_is(X, name)
        table = given.kind == "table"
        if layout is None and table and self.sfreq is not None and np.ndim(given.items) == 2:
            raise ValueError(
                f"{name} is one array of shape {np.shape(given.items)}, which is read as a table "
                f"(n_frames, n_features), but sfreq={self.sfreq:g} says that it is a recording "
                f"(n_channels, n_times): one recording goes into a list, [{name}]. A table has no "
                "sfreq."
            )
        if layout is not None and not table and layout.kind != "table":
            if given.is_power != (layout.bands is not None):
                saw, got = "band power", "signals"
                saw, got = (got, saw) if given.is_power else (saw, got)
                raise ValueError(f"fit saw {saw}, but {name} holds {got}: give what fit saw.")
        if layout is None or table == (layout.kind == "table"):
            return given
        if layout.kind == "table":
            raise ValueError(f"fit saw a table (n_frames, n_features): {name} must be one too.")
        raise ValueError(
            f"{name} is a table of shape {np.shape(given.items)}, but fit saw {layout.kind}. One "
            "recording as an array (n_channels, n_times) goes into a list."
        )

    def _t_r(self, t_r, given: Given, layout: Layout | None, told=(None,)) -> float | list[float]:
        """Seconds between frames (or per segment): as given, as data or triggers say, as in fit."""
        if t_r is not None:
            n_values = len(t_r) if np.ndim(t_r) else 0
            t_r = check_t_rs(t_r)
            # After a fit, equal ones stand for any number of recordings.
            if n_values not in (0, len(given)) and (layout is None or np.ndim(t_r)):
                raise ValueError(
                    f"t_r has {n_values} values for {len(given)} {given.kind}: a list goes by "
                    "position, one value for each. After a fit, predict(X, t_r=...) takes others. "
                    "In a cross-validation recordings have to carry their t_r, and the translator "
                    "t_r=None: by triggers (reader=Reader(volume_event=...)) or by BOLD, "
                    'DataFrames with attrs["t_r"].'
                )
            return t_r
        drive = given.drive
        if drive is not None and drive.frame_step is not None:
            return check_t_r(float(drive.frame_step))
        if (found := given.metadata("t_r")) is not None:
            return check_t_rs([float(value) for value in found])
        if None not in told and len(told) in (1, len(given)):
            return check_t_rs(list(told))
        if (found := self._spacing(given)) is not None:
            return check_t_rs(found)
        if layout is not None and layout.t_rs is None:
            return layout.t_r
        seen = "" if layout is None else f" fit saw {several_t_r(layout.t_rs)}, so"
        raise ValueError(
            f"t_r, the seconds between frames, is not known:{seen} give t_r (windows from "
            "make_windows carry it)."
        )

    def _check_physiology(self, given: Given, name: str, used: bool) -> None:
        """Refuse physiology where nothing is done with it, or where X has no channels of types."""
        if self.physiology is None:
            return
        if not used:
            raise ValueError(
                f"Reader(physiology={self.physiology!r}) is for estimators that predict BOLD "
                "(SambaTranslator, BandPowerRidge) and for make_windows, whose BOLD physiology "
                "drives besides: here set it to None."
            )
        if not given.is_mne or given.is_power:
            what = "a table" if given.kind == "table" else "arrays"
            what = "band power" if given.is_power else what
            raise ValueError(
                f"Reader(physiology={self.physiology!r}) names channels or their types, but {name} "
                f"is {what}: give signals as MNE objects, mne.io.RawArray(array, info)."
            )

    def _spacing(self, given: Given) -> list[float] | None:
        """Seconds between the scanner's triggers of every recording; None without triggers."""
        event = self.volume_event
        if event is None or not given.is_mne or given.kind != "recordings" or given.is_power:
            return None
        return [_spacing_of(volume_triggers(raw, event)) for raw in given.items]

    def _signals(
        self, given: Given, t_r, layout, n_frames, name, may_lack: bool = False
    ) -> Recordings:
        """Read windows or recordings."""
        may_lack = may_lack and layout is not None and self.channels in ("match", "infer")
        grid = replace(self.grid(t_r), may_lack=may_lack)
        if layout is not None and layout.kind == given.kind == "windows" and grid.tmin is None:
            grid = replace(grid, tmin=-layout.window_start)
        if given.is_power:
            power = rows_of_power(given, grid, layout, name)
            seen = {"window_frames": None if layout is None else layout.n_frames}
            rec = read_signals(power.given, power.grid, n_frames=n_frames, name=name, **seen)
            return replace(
                rec, ch_names=power.ch_names, bands=power.bands, info=power.info,
                target_names=power.target_names,
            )  # fmt: skip
        if given.drive is not None:
            grid = replace(grid, sfreq=float(given.drive.sfreq))
        seen = {} if layout is None else {
            "ch_names": layout.ch_names, "window_frames": layout.n_frames
        }  # fmt: skip
        return read_signals(given, grid, n_frames=n_frames, name=name, **seen)


def _spacing_of(times: np.ndarray) -> float:
    """Seconds between triggers (n_triggers,), to a tenth of a millisecond: samples round them."""
    if len(times) < 2:
        return np.nan
    gaps = np.diff(times)
    # Some may be missing: volumes are counted by the usual gap.
    number = np.r_[0, np.cumsum(np.round(gaps / np.median(gaps)))]
    return round(float(np.polyfit(number, times, 1)[0]), 4)


def _holds_fnirs(y) -> bool:
    """Whether y is, or begins with, an fNIRS recording."""
    return is_fnirs(first_of(y))


def regions_of(rec: Recordings, names: list[str]) -> list[str]:
    """Names of regions: those that windows carry, else those of BOLD itself."""
    told = rec.target_names or []
    return list(told if len(told) == len(names) else names)


def match_regions(rec: Recordings, layout: Layout, name: str = "X") -> Recordings:
    """Bring BOLD to the regions that fit saw: by name where both have names, else by number."""
    own, given = list(layout.target_names), list(rec.target_names)
    if len(given) != len(own):
        raise ValueError(
            f"{name} has {len(given)} regions, but the estimator was fitted on {len(own)}."
        )
    if given == own:
        return rec
    place = {region: i for i, region in enumerate(given)}
    if place.keys() == set(own):
        order = [place[region] for region in own]
        return rec.with_bold([value[:, order] for value in rec.bold], own)
    if _only_count(given) or _only_count(own):
        return rec
    known = set(own)
    lost = [region for region in own if region not in place]
    new = [region for region in given if region not in known]
    raise ValueError(
        f"{name} has other regions than the estimator was fitted on: {lost[:8]} are missing, "
        f"{new[:8]} are new."
    )


def _only_count(names: list[str]) -> bool:
    """Whether regions have no names but those that arrays, or tables of arrays, are given."""
    n = range(len(names))
    return names in ([f"target{i:03d}" for i in n], [str(i) for i in n])


def _around_zero(given: Given) -> list:
    """Move epochs that do not hold time 0: only frames refer to it."""
    return [
        epochs if epochs.tmin <= 0 <= epochs.tmax else epochs.copy().shift_time(0.0, relative=False)
        for epochs in given.items
    ]


def _table(X, owner, layout: Layout | None, targets: tuple = ()) -> Recordings:
    """Read a table (n_frames, n_features), and y if there is one, as one bin per frame."""
    reset, options = layout is None, {"dtype": [np.float64, np.float32]}
    if owner is None:
        X = check_array(X, **options)
    elif targets and reset:
        X, *targets = validate_data(
            owner, X, *targets, multi_output=True, y_numeric=True, **options
        )
    else:
        X = validate_data(owner, X, reset=reset, **options)
    targets = [np.asarray(y, dtype=np.float64) for y in targets]
    signal = np.ascontiguousarray(X.T, dtype=np.float64)
    names = getattr(owner, "feature_names_in_", None)
    names = [f"x{i}" for i in range(len(signal))] if names is None else list(names)
    place = pd.DataFrame({"subject": [""], "run": "", "recording": 0, "onset": 0.0, "frame": 0})
    segment = Segment(lambda first, stop: signal[:, first:stop], len(X), 0.0, 1.0, len(X))
    one = any(y.ndim == 1 for y in targets) if reset else layout.one_target
    rec = Recordings(
        "table", [segment], 1.0, names, None, place, 1.0, one_target=one,
        named=hasattr(owner, "feature_names_in_"),
    )  # fmt: skip
    if not targets:
        return rec
    y = targets[0][:, np.newaxis] if targets[0].ndim == 1 else targets[0]
    return rec.with_bold([y], [f"target{i:03d}" for i in range(y.shape[1])])


class HasReader:
    """An estimator that reads recordings as its parameter ``reader`` says; None is the defaults."""

    def _reader(self) -> Reader:
        return Reader() if self.reader is None else self.reader

    def _parts(self) -> dict:
        """Parameter to what builds the object that it stands for."""
        return {"reader": self._reader}

    def set_params(self, **params) -> Self:
        """Set parameters, those of parts (``reader__picks``) included.

        Parameters
        ----------
        **params : dict
            As in scikit-learn. A part that is None or a name becomes an object first.

        Returns
        -------
        self : object
            The estimator.
        """
        nested = {name: value for name, value in params.items() if "__" in name}
        super().set_params(**{k: v for k, v in params.items() if k not in nested})
        parts = self._parts()
        for part in {name.partition("__")[0] for name in nested} & parts.keys():
            setattr(self, part, parts[part]())
        return super().set_params(**nested)
