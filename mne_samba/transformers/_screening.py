"""BandPowerScreening: which features share anything with BOLD, whatever the shape of it."""

import itertools
from typing import Literal, Self

import numpy as np
from mne.utils import warn
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .._checks import check_number, check_option, keeps_earlier_fit
from .._shifts import cluster_size, draw_shifts, p_value
from .._typing import Seed
from ..base import forget_fit

# Normal scores that the grid reaches to, and its spacing in bandwidths: sums over a finer one are
# the same to the fourth digit.
_REACH, _SPACING = 3.3, 1.25
# Bytes of rolled targets, or of densities, that are held at once.
_BLOCK_BYTES = 1 << 26
# Part of a recording by which shifts are away from zero: what is autocorrelated longer is drift.
_AWAY = 0.1


class BandPowerScreening(SelectorMixin, BaseEstimator):
    r"""Keep the features that have something in common with BOLD.

    The score of every feature is held against the largest score of all features where ``y`` is
    rolled in time within its recordings, which keeps the autocorrelation of both: the probability
    that any feature passes by chance is ``alpha``, however many there are.

    Parameters
    ----------
    statistic : "pearson" | "mutual_info"
        Absolute correlation, or mutual information of ranks, which also sees responses that go up
        at both ends or saturate.
    n_shifts : int
        Circular shifts that are drawn; fewer where a recording has no more.
    alpha : float
        Family-wise error: probability that any feature passes where none has anything to do with
        ``y``.
    min_features_to_select : int
        Features, the strongest, that are kept although fewer pass (with a warning), so that a
        regressor may follow; 0 keeps none, as `sklearn.feature_selection.SelectFwe` does.
    random_state : int | RandomState | None
        Seed of the shifts.

    Attributes
    ----------
    scores_ : array, shape (n_features,)
        Absolute correlation or mutual information in nats; of several targets, the largest.
    p_values_ : array, shape (n_features,)
        Corrected for all features and targets.
    threshold_ : float
        Score that features have to exceed; infinite where there are too few shifts for ``alpha``.
    n_features_in_ : int
        Features.
    feature_names_in_ : array of str, shape (n_features,)
        Their names, where X had names.

    See Also
    --------
    FramewiseRegressor : Takes it in a Pipeline, and says which frames are of one recording.

    Notes
    -----
    Features and targets are taken relative to their recording. Remove slow drift from ``y`` before
    (``FramewiseRegressor(..., detrend="cosine", t_r=...)``): series that drift are alike by chance
    more often than shifts of them.

    Mutual information is that of a Gaussian kernel density of normal scores of ranks, with a
    bandwidth of :math:`n^{-1/6}`, summed over a grid (Moon et al. 1995). Shifts keep clear of zero
    by a tenth of the recording where there is but one; p values are those of a maximum statistic
    (Nichols and Holmes 2002). Recordings have to be much longer, ten times and more, than what
    autocorrelates them.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from mne_samba import BandPowerScreening, FramewiseRegressor
    >>> screened = make_pipeline(BandPowerScreening("mutual_info"), Ridge())
    >>> regressor = FramewiseRegressor(screened)  # then regressor.fit(X, y)
    """

    scores_: np.ndarray
    p_values_: np.ndarray
    threshold_: float
    n_features_in_: int
    feature_names_in_: np.ndarray

    # Those who route metadata need not ask for it.
    __metadata_request__fit = {"groups": True}  # noqa: RUF012

    def __init__(
        self,
        statistic: Literal["pearson", "mutual_info"] = "pearson",
        *,
        n_shifts: int = 199,
        alpha: float = 0.05,
        min_features_to_select: int = 1,
        random_state: Seed = None,
    ) -> None:
        self.statistic = statistic
        self.n_shifts = n_shifts
        self.alpha = alpha
        self.min_features_to_select = min_features_to_select
        self.random_state = random_state

    def _check_params(self) -> None:
        check_option(self.statistic, "statistic", ("pearson", "mutual_info"))
        check_number(self.n_shifts, "n_shifts", low=1, integer=True)
        check_number(self.alpha, "alpha", low=0, high=1, low_open=True)
        check_number(self.min_features_to_select, "min_features_to_select", low=0, integer=True)

    @keeps_earlier_fit
    def fit(self, X, y, groups=None) -> Self:
        """Score features and find what scores are by chance.

        Parameters
        ----------
        X : array, shape (n_frames, n_features)
            Features, frames in order of time.
        y : array, shape (n_frames,) or (n_frames, n_targets)
            BOLD.
        groups : array, shape (n_frames,) | None
            Recording of every frame; frames of one follow each other. None: all are of one.

        Returns
        -------
        self : object
            The fitted selector.

        Raises
        ------
        ValueError
            If a recording is too short to be shifted, or shapes do not agree.
        """
        self._check_params()
        forget_fit(self)
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, ensure_min_samples=4)
        y = y.reshape(len(y), -1)
        pieces = _pieces(groups, len(y))
        lengths = [piece.stop - piece.start for piece in pieces]
        # Where shifts of several recordings are drawn on their own, few are near zero in all.
        away = _AWAY if len(pieces) == 1 else 0.0
        least = [max(1, int(away * n)) for n in lengths]
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        shifts = draw_shifts(lengths, self.n_shifts, least, rng)
        compare = _correlation if self.statistic == "pearson" else _mutual_information
        score = compare(X, y, pieces)
        self.scores_ = score(np.zeros((1, len(pieces)), int))[0]
        null = score(shifts).max(axis=1)
        # Neighbouring shifts of one recording give nearly the same score.
        cluster = float(cluster_size(null[:, np.newaxis])[0]) if len(pieces) == 1 else 1.0
        self.p_values_ = p_value(self.scores_, null[:, np.newaxis], cluster)
        exceeded = int(np.floor(self.alpha * (cluster + len(null)) - cluster + 1e-9))
        ordered = np.r_[np.inf, np.sort(null)[::-1], -np.inf]
        self.threshold_ = float(ordered[np.clip(exceeded + 1, 0, len(null) + 1)])
        self._say_few(len(null), cluster)
        return self

    def _say_few(self, n_shifts: int, cluster: float) -> None:
        """Warn where fewer features pass than are kept, and why."""
        n_pass = int((self.p_values_ <= self.alpha).sum())
        least = min(self.min_features_to_select, len(self.scores_))
        if n_pass >= least:
            return
        floor = cluster / (cluster + n_shifts)
        why = (
            f" None can: the least p of {n_shifts} shifts is {floor:.2g}; give longer recordings "
            "or a larger n_shifts."
            if floor > self.alpha else ""
        )  # fmt: skip
        warn(
            f"{n_pass} of {len(self.scores_)} features pass alpha={self.alpha:g} (least p "
            f"{self.p_values_.min():.2g}); the strongest {least} are kept, so that a regressor can "
            f"follow. min_features_to_select=0 keeps none.{why}"
        )

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self)
        support = self.p_values_ <= self.alpha
        least = min(self.min_features_to_select, len(support))
        if support.sum() < least:
            support[np.argsort(-self.scores_, kind="stable")[:least]] = True
        return support

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags


def _pieces(groups, n_frames: int) -> list[slice]:
    """Frames of every recording."""
    if groups is None:
        return [slice(0, n_frames)]
    groups = np.asarray(groups)
    if groups.shape != (n_frames,):
        raise ValueError(f"groups has shape {groups.shape}, expected ({n_frames},), one per frame.")
    edges = np.r_[0, np.flatnonzero(groups[1:] != groups[:-1]) + 1, n_frames]
    pieces = [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    if len(np.unique(groups)) < len(pieces):
        raise ValueError("Frames of one recording must follow each other: sort X and y by groups.")
    short = min(piece.stop - piece.start for piece in pieces)
    if short < 4:
        raise ValueError(f"A recording of {short} frames is too short to be shifted: leave it out.")
    return pieces


def _rolled(shifts: np.ndarray, pieces: list[slice], n_frames: int) -> np.ndarray:
    """Frames that come to each place where recordings are rolled, (n_shifts, n_frames)."""
    frames = np.arange(n_frames)
    rows = np.empty((len(shifts), n_frames), int)
    for piece, own in zip(pieces, shifts.T, strict=True):
        length = piece.stop - piece.start
        rows[:, piece] = piece.start + (frames[piece] - piece.start - own[:, None]) % length
    return rows


def _blocks(shifts: np.ndarray, bytes_of_one: int):
    """Shifts that are scored at once."""
    size = max(1, _BLOCK_BYTES // bytes_of_one)
    return np.split(shifts, range(size, len(shifts), size))


def _correlation(X: np.ndarray, y: np.ndarray, pieces: list[slice]):
    """Give the function from shifts (n_shifts, n_recordings) to |r| (n_shifts, n_features)."""
    X, y = (np.array(values, dtype=np.float64) for values in (X, y))
    for values in (X, y):
        for piece in pieces:
            part = values[piece] - values[piece].mean(axis=0)
            # What is left of a constant is rounding.
            size = np.abs(values[piece]).max(axis=0)
            spread = part.std(axis=0)
            values[piece] = part / np.where(spread > 1e-9 * size, spread, np.inf)

    def score(shifts):
        out = []
        for some in _blocks(shifts, y.nbytes):
            rolled = y[_rolled(some, pieces, len(y))]
            out.append(np.abs(np.einsum("sft,fx->sxt", rolled, X, optimize=True)).max(axis=2))
        return np.concatenate(out) / len(y)

    return score


def _mutual_information(X: np.ndarray, y: np.ndarray, pieces: list[slice]):
    """Give the function from shifts (n_shifts, n_recordings) to information in nats."""
    n_frames, bandwidth = len(y), len(y) ** (-1 / 6)
    n_points = int(np.ceil(2 * _REACH / (_SPACING * bandwidth))) + 1
    grid = np.linspace(-_REACH, _REACH, n_points)
    kernels = [_kernels(values, pieces, grid, bandwidth) for values in (X, y)]
    own, targets = kernels  # (n_points, n_frames, n_columns)
    by_feature = own.transpose(2, 0, 1).reshape(-1, n_frames) / np.float32(n_frames)
    alone, together = (_entropy(k.mean(axis=1), axes=0) for k in kernels)
    n_features, n_targets = X.shape[1], y.shape[1]
    targets = np.ascontiguousarray(targets.transpose(1, 2, 0))  # frames first

    def score(shifts):
        out = []
        for some in _blocks(shifts, 8 * n_targets * (n_frames + n_features * n_points) * n_points):
            rolled = targets[_rolled(some, pieces, n_frames).T].reshape(n_frames, -1)
            joint = (by_feature @ rolled).reshape(n_features, n_points, -1, n_targets, n_points)
            shared = alone[:, None, None] + together - _entropy(joint, axes=(1, 4))
            out.append(np.maximum(shared, 0.0).max(axis=2).T)
        return np.concatenate(out).astype(float)

    return score


def _kernels(values, pieces, grid, bandwidth) -> np.ndarray:
    """Weights of grid points of every value, (n_points, n_frames, n_columns)."""
    scores = np.empty(values.shape)
    for piece in pieces:
        ranks = rankdata(values[piece], axis=0)
        scores[piece] = ndtri((ranks - 0.5) / (piece.stop - piece.start))
    # Ranks come again in every column.
    known, where = np.unique(scores, return_inverse=True)
    table = np.exp(-0.5 * ((grid[:, None] - known) / bandwidth) ** 2)
    table = (table / table.sum(axis=0)).astype(np.float32)
    return table[:, where.reshape(values.shape)]


def _entropy(density: np.ndarray, axes) -> np.ndarray:
    """Entropy in nats over axes of a density that sums to one over them."""
    logs = np.log(np.maximum(density, np.float32(1e-12)))
    logs *= density
    return -logs.sum(axis=axes)
