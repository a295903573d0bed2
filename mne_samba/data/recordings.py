"""What inputs become: segments of signal and the BOLD that goes with them, whatever was given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import mne
import numpy as np
import pandas as pd

from .._checks import check_number, check_option, several_t_r
from ..arrays import array
from .segments import Segment


@dataclass(frozen=True)
class Layout:
    """What ``fit`` saw of its input: later input is brought to it, or refused."""

    _own_dims = ("n_channels",)  # models may see components of these channels

    kind: str  # what one sample was: "windows", "recordings" or "table"
    t_r: float  # seconds between frames, the least where they differ
    sfreq: float
    ch_names: list[str] = array("n_channels")
    target_names: list[str] = array("n_targets")
    n_frames: int  # of a window
    window_start: float  # seconds of history before a window's first frame
    one_target: bool = False  # whether y of a table had a single dimension
    named: bool = False  # whether columns of a table had names
    channel_types: list[str] | None = array("n_channels", optional=True)
    positions: np.ndarray | None = array("n_channels", 3, optional=True, may_be_nan=True)
    bands: Mapping[str, Sequence[float]] | None = None  # of power measured elsewhere, as below
    t_rs: list[float] | None = None  # all that fit saw, where they differ
    # Places in m of source and detector of regions that are channels of fNIRS.
    optodes: np.ndarray | None = array("n_targets", 6, optional=True, may_be_nan=True)

    def check(self) -> None:
        """Refuse what no input has, as read from a file."""
        check_option(self.kind, "kind", ("windows", "recordings", "table"))
        check_number(self.t_r, "t_r", low=0, low_open=True)
        check_number(self.sfreq, "sfreq", low=0, low_open=True)
        check_number(self.n_frames, "n_frames", low=1, integer=True)
        if not self.ch_names:
            raise ValueError("ch_names must not be empty.")
        if (self.channel_types is None) != (self.positions is None):
            raise ValueError("channel_types and positions belong together.")
        for t_r in self.t_rs or ():
            check_number(t_r, "t_rs", low=0, low_open=True)
        _ = self.info  # mne knows which types there are

    @property
    def info(self) -> mne.Info | None:
        """Names, types and places of channels: what plots and graphs need."""
        if self.channel_types is None:
            return None
        info = mne.create_info(self.ch_names, self.sfreq, self.channel_types, verbose="ERROR")
        for channel, position in zip(info["chs"], self.positions, strict=True):
            channel["loc"][:3] = position
        return info


@dataclass(frozen=True)
class Recordings:
    """Segments of signal and BOLD: windows, recordings, or a table as a recording of its own.

    A table (rows are frames, columns features) is a recording of one bin per frame. BOLD of every
    segment is (n_frames, n_targets): rows of NaN are scrubbed frames, columns of NaN regions that a
    recording lacks.
    """

    kind: str  # what one sample is: "windows", "recordings" or "table"
    segments: list[Segment]
    sfreq: float
    ch_names: list[str]
    info: mne.Info | None  # of the channels; None for arrays
    table: pd.DataFrame  # subject, run, recording, onset and frame of every segment
    t_rs: float | list[float]  # seconds between frames; of every segment, where they differ
    bold: list[np.ndarray] | None = None
    target_names: list[str] | None = None
    single: bool = False  # whether one recording was given outside a list
    one_target: bool = False  # whether y of a table had a single dimension
    named: bool = False  # whether columns of a table had names
    provenance: list[dict] = field(default_factory=list)  # as `mne_samba.io.read_bids_pair` notes
    # Where segments hold power that was measured elsewhere, their bands: name to (low, high) in Hz,
    # () where not known. Rows of segments are then the bands of one channel after the other.
    bands: Mapping[str, Sequence[float]] | None = None
    optodes: np.ndarray | None = None  # (n_targets, 6), as in `Layout`

    def __len__(self) -> int:
        return len(self.segments)

    @property
    def keys(self) -> list[tuple]:
        """The recording that each segment comes from, as a hashable key."""
        columns = (self.table[name].tolist() for name in ("subject", "run", "recording"))
        return [tuple(map(str, row)) for row in zip(*columns, strict=True)]

    @property
    def t_r(self) -> float:
        """Seconds between frames, where all segments have the same."""
        if np.ndim(self.t_rs):
            raise ValueError(
                f"The recordings have {several_t_r(self.t_rs)}, but one t_r is needed here: "
                'SambaTranslator with model="samba" or "core" fits several together; for others '
                "bring them to one (mne_samba.io.harmonize)."
            )
        return self.t_rs

    @property
    def shortest_t_r(self) -> float:
        """Least seconds between frames of a segment."""
        return float(np.min(self.t_rs))

    def alike(self) -> list[tuple[list[int], Self]]:
        """Segments of each repetition time, and their places among all."""
        if not np.ndim(self.t_rs):
            return [(list(range(len(self))), self)]
        found = []
        for t_r in dict.fromkeys(self.t_rs):
            rows = [i for i, own in enumerate(self.t_rs) if own == t_r]
            found.append((rows, replace(self.take(rows), t_rs=t_r)))
        return found

    def take(self, rows: list[int]) -> Self:
        """Keep some segments."""
        return replace(
            self,
            segments=[self.segments[i] for i in rows],
            bold=None if self.bold is None else [self.bold[i] for i in rows],
            t_rs=[self.t_rs[i] for i in rows] if np.ndim(self.t_rs) else self.t_rs,
            table=self.table.iloc[rows].reset_index(drop=True),
        )

    @property
    def n_frames(self) -> list[int]:
        """Frames of every segment."""
        return [segment.n_frames for segment in self.segments]

    @property
    def rows(self) -> np.ndarray:
        """Rows of a table, (n_samples, n_features)."""
        return np.asarray(self.segments[0].read(0, self.segments[0].n_times)).T

    def as_given(self, frames: list[np.ndarray]):
        """Give values of segments in the shape of the input."""
        if self.kind == "windows":
            return np.stack(frames)
        if self.kind == "table":
            return frames[0][:, 0] if self.one_target else frames[0]
        return frames[0] if self.single else frames

    def layout(self, n_frames: int) -> Layout:
        """Give what a fit to these recordings has to remember of them."""
        types = positions = None
        if self.info is not None:
            types = [str(kind) for kind in self.info.get_channel_types()]
            positions = np.array([channel["loc"][:3] for channel in self.info["chs"]])
        return Layout(
            kind=self.kind, t_r=self.shortest_t_r, sfreq=self.sfreq, ch_names=list(self.ch_names),
            target_names=list(self.target_names or ()),
            n_frames=self.segments[0].n_frames if self.kind == "windows" else n_frames,
            window_start=float(self.segments[0].frame_start), one_target=self.one_target,
            named=self.named,
            channel_types=types, positions=positions, bands=self.bands,
            t_rs=sorted(set(self.t_rs)) if np.ndim(self.t_rs) else None, optodes=self.optodes,
        )  # fmt: skip

    def as_drives(self) -> Self:
        """Take every band of every channel as a drive of its own."""
        if self.bands is None:
            return self
        alone, names = len(self.bands) == 1, self.ch_names
        names = names if alone else [f"{ch} {band}" for ch in names for band in self.bands]
        return replace(self, ch_names=list(names), bands=None, info=self.info if alone else None)

    def with_bold(self, bold: list[np.ndarray], target_names: list[str]) -> Self:
        """Add BOLD to recordings."""
        return replace(self, bold=bold, target_names=target_names)
