"""Splits of windows that share no signal and keep a response's length apart.

Windows cut from one recording are not independent: neighbours share history, and BOLD correlates
with itself for tens of seconds. Random or interleaved folds therefore score noise well above zero.
"""

from collections.abc import Iterator, Sequence
from numbers import Real

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator

from ._checks import check_number
from .data.window_table import extra_columns, too_close, window_table

__all__ = ["BlockedTimeSplit", "LeaveSubjectAndSegmentOut", "blocked_train_test_split"]


def _places(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Place of each window among the different onsets of its recording, and their number."""
    onsets = table.groupby("label")["onset"]
    place = onsets.rank(method="dense").to_numpy(int) - 1
    return place, onsets.transform("nunique").to_numpy()


def _blocks(table: pd.DataFrame, n_blocks: int) -> np.ndarray:
    """Block of each window: contiguous in time, nearly equal numbers of different onsets."""
    place, number = _places(table)
    return place * n_blocks // number


def _describe(table: pd.DataFrame) -> str:
    seconds = table["last_frame"] - table["first_frame"].groupby(table["label"]).transform("min")
    return (
        f"{len(table)} windows in {table['label'].nunique()} recording(s), the longest "
        f"{seconds.max():.0f} s"
    )


class _TimeSplit(BaseCrossValidator):
    """What the splitters share: their parameters about time, and the routing of groups."""

    # Groups name recordings or people; scikit-learn's group splitters request them likewise.
    __metadata_request__split = {"groups": True}  # noqa: RUF012

    def _table(self, X, y, groups, onset) -> pd.DataFrame:
        check_number(self.gap, "gap", low=0)
        return window_table(
            X, y, groups, onset=onset, t_r=self.t_r, window=self.window, step=self.step,
            context=self.context,
        )  # fmt: skip


class BlockedTimeSplit(_TimeSplit):
    """Contiguous blocks of each recording, with a gap between training and test frames.

    Fold ``k`` tests the ``k``-th block of every recording. Training windows of the same recording
    that share a signal sample with a test window (history and lead-out included), or have a frame
    nearer than ``gap`` to a test frame, are left out. Every window is tested once.

    Parameters
    ----------
    n_splits : int
        Number of blocks and folds, at least 2.
    gap : float
        Least distance in seconds between training and test frames of a recording.
    t_r : float | None
        Seconds between frames, where the data do not tell (``metadata`` of Epochs do).
    window : float | None
        Length of a window's frames in seconds, for arrays. Default: ``t_r`` times the frames of
        ``y``; for 2-D arrays, whose rows are frames, ``t_r``.
    step : float | None
        Seconds between the onsets of consecutive windows, for arrays without ``onset``.
        Default: ``window``.
    context : float | None
        History in seconds before a window's first frame, for arrays. Default: 30.

    See Also
    --------
    blocked_train_test_split : One split, for instance 75/25.
    LeaveSubjectAndSegmentOut : For people who share a stimulus.

    Notes
    -----
    Onset and recording come from ``X.metadata`` (``subject``, ``run``, ``recording``, ``onset``,
    ``t_r``, ``n_frames``, ``context``, as :func:`mne_samba.make_windows` writes them), also when
    ``X`` is a list of one-epoch Epochs, as it is in an inner split of scikit-learn. For arrays,
    ``groups`` names recordings, and rows are in order of time unless ``onset`` is given
    (with metadata routing: ``BlockedTimeSplit().set_split_request(onset=True)``). An inner split of
    arrays without ``onset`` cannot see the holes that the outer split left; the rows it gets are
    taken as consecutive, so prefer Epochs or ``onset`` when nesting.

    Examples
    --------
    >>> import numpy as np
    >>> from mne_samba.model_selection import BlockedTimeSplit
    >>> X, y = np.zeros((40, 8, 100)), np.zeros((40, 10, 3))  # 40 windows of 10 frames
    >>> cv = BlockedTimeSplit(n_splits=4, t_r=2.0)
    >>> [(len(train), len(test)) for train, test in cv.split(X, y)]
    [(28, 10), (26, 10), (26, 10), (28, 10)]
    """

    def __init__(
        self, n_splits: int = 5, gap: float = 30.0, *, t_r: float | None = None,
        window: float | None = None, step: float | None = None, context: float | None = None,
    ):  # fmt: skip
        self.n_splits = n_splits
        self.gap = gap
        self.t_r = t_r
        self.window = window
        self.step = step
        self.context = context

    def get_n_splits(self, X=None, y=None, groups=None, onset=None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups, onset : object
            Ignored.

        Returns
        -------
        n_splits : int
            Number of folds.
        """
        return self.n_splits

    def split(
        self, X, y=None, groups=None, onset: Sequence | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate the rows of training and test windows.

        Parameters
        ----------
        X : Epochs | list of one-epoch Epochs | DataFrame | array of shape (n_windows, ...)
            Windows, or a table of windows with an ``onset`` column.
        y : array of shape (n_windows, n_frames, n_targets) | None
            Tells the number of frames of a window, for arrays.
        groups : array of shape (n_windows,) | None
            Recording of each window, for arrays and Epochs without metadata.
        onset : array of shape (n_windows,) | None
            Seconds from the start of the recording to each window's first frame, where metadata do
            not tell.

        Yields
        ------
        train, test : ndarray of int
            Rows of the windows.

        Raises
        ------
        ValueError
            If the time of windows is unknown, ``X`` holds whole recordings, or blocks are too short
            for the gap, so that a fold would have nothing to train on.
        """
        check_number(self.n_splits, "n_splits", low=2, integer=True)
        table = self._table(X, y, groups, onset)
        block = _blocks(table, self.n_splits)
        if len(np.unique(block)) < self.n_splits:
            raise ValueError(
                f"Not enough windows for n_splits={self.n_splits}: {_describe(table)}. "
                "Use fewer splits, shorter windows or longer recordings."
            )
        folds = []
        for fold in range(self.n_splits):
            train, test = np.flatnonzero(block != fold), np.flatnonzero(block == fold)
            folds.append((_apart(table, train, test, self.gap, fold), test))
        yield from folds


def _apart(table, train, test, gap, fold) -> np.ndarray:
    train = train[~too_close(table, train, test, gap)]
    if not len(train):
        raise ValueError(
            f"No training window is left in fold {fold} with gap={gap:g} s: {_describe(table)}. "
            "The blocks are too short for the gap and the windows' history: use fewer splits, "
            "shorter windows, a shorter context or longer recordings."
        )
    return train


def blocked_train_test_split(
    X, y=None, groups=None, *, test_size: float = 0.25, gap: float = 30.0,
    onset: Sequence | None = None, t_r: float | None = None, window: float | None = None,
    step: float | None = None, context: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Split each recording once: its beginning for training, its end for testing.

    Parameters
    ----------
    X, y, groups, onset
        As in :meth:`BlockedTimeSplit.split`.
    test_size : float
        Share of each recording's windows that is tested, between 0 and 1.
    gap : float
        Least distance in seconds between training and test frames of a recording.
    t_r, window, step, context : float | None
        As in :class:`BlockedTimeSplit`.

    Returns
    -------
    train, test : ndarray of int
        Rows of the windows; those too close to the test block are in neither.

    Raises
    ------
    ValueError
        As :meth:`BlockedTimeSplit.split`, and if ``test_size`` is not between 0 and 1.
    """
    if not isinstance(test_size, Real) or not 0 < test_size < 1:
        raise ValueError(f"test_size must be a share between 0 and 1, got {test_size!r}.")
    splitter = BlockedTimeSplit(2, gap, t_r=t_r, window=window, step=step, context=context)
    table = splitter._table(X, y, groups, onset)
    place, number = _places(table)
    tested = place >= number - np.ceil(np.round(test_size * number, 9))
    train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    return _apart(table, train, test, gap, 0), test


class LeaveSubjectAndSegmentOut(_TimeSplit):
    """Leave one person and one segment of the shared stimulus out together.

    People who watch the same film share its time course: a model trained on other people's second
    half has seen the answer for this person's second half. Each fold tests one person on one
    segment and trains on the other people's windows that stay ``gap`` away from that segment.

    Parameters
    ----------
    n_segments : int
        Number of contiguous segments of the stimulus, at least 2.
    gap : float
        Least distance, in seconds of stimulus time, between training and test frames.
    stimulus : str | None
        Column of ``metadata`` that names the stimulus (for instance ``"run"``). Windows of
        different stimuli share nothing. Default: all windows belong to one stimulus.
    time : str
        Column of ``metadata`` with the stimulus time of a window's first frame in seconds.
    t_r, window, step, context : float | None
        As in :class:`BlockedTimeSplit`.

    See Also
    --------
    BlockedTimeSplit : Blocks within recordings.

    Notes
    -----
    The person of a window is ``groups`` where given, else the ``subject`` of the metadata.
    """

    def __init__(
        self, n_segments: int = 5, gap: float = 30.0, *, stimulus: str | None = None,
        time: str = "onset", t_r: float | None = None, window: float | None = None,
        step: float | None = None, context: float | None = None,
    ):  # fmt: skip
        self.n_segments = n_segments
        self.gap = gap
        self.stimulus = stimulus
        self.time = time
        self.t_r = t_r
        self.window = window
        self.step = step
        self.context = context

    def _people(self, table, groups) -> np.ndarray:
        if groups is None and "subject" not in table.columns:
            raise ValueError(
                "Which person a window belongs to is unknown: give groups, or Epochs whose "
                "metadata have a 'subject' column."
            )
        people = np.asarray(table["subject"] if groups is None else groups)
        if len(people) != len(table):
            raise ValueError(f"groups must have {len(table)} values, got {len(people)}.")
        people = pd.factorize(people)[0]
        if people.max(initial=0) < 1:
            raise ValueError(
                "Leaving a person out needs at least two people (groups), got one. Use "
                "BlockedTimeSplit within one person."
            )
        return people

    def get_n_splits(self, X=None, y=None, groups=None, onset=None) -> int:
        """Return the number of folds: people times segments.

        Parameters
        ----------
        X, y, groups, onset : object
            As in ``split``; ``groups`` alone are enough.

        Returns
        -------
        n_splits : int
            Number of folds (segments in which a person has no window make none).
        """
        if X is None and groups is None:
            raise ValueError("Give X or groups: the number of folds depends on the people.")
        if X is None:
            return len(np.unique(groups)) * self.n_segments
        return sum(1 for _ in self.split(X, y, groups, onset))

    def split(
        self, X, y=None, groups=None, onset: Sequence | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate the rows of training and test windows.

        Parameters
        ----------
        X, y, groups, onset : object
            As in :meth:`BlockedTimeSplit.split`, but ``groups`` are people, and ``onset`` is the
            stimulus time of each window's first frame.

        Yields
        ------
        train, test : ndarray of int
            Rows of the windows.

        Raises
        ------
        ValueError
            If there is one person only, the time of windows is unknown, or a fold would have
            nothing to train on.
        """
        check_number(self.n_segments, "n_segments", low=2, integer=True)
        table = self._table(X, y, groups, onset)
        people = self._people(table, groups)
        extra = extra_columns(X, [self.stimulus, self.time])
        table["label"] = 0 if self.stimulus is None else pd.factorize(extra[self.stimulus])[0]
        if onset is None and self.time != "onset":
            shift = extra[self.time].to_numpy(dtype=float) - table["onset"]
            for column in ("onset", "first_frame", "last_frame", "signal_start", "signal_stop"):
                table[column] += shift
        segment = _blocks(table, self.n_segments)
        folds = []
        for person in np.unique(people):
            for index in range(self.n_segments):
                test = np.flatnonzero((people == person) & (segment == index))
                if len(test):
                    train = np.flatnonzero(people != person)
                    folds.append((_apart(table, train, test, self.gap, len(folds)), test))
        yield from folds
