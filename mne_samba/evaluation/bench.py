"""Models under several protocols on the same data: how much of a score the protocol makes."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mne
import numpy as np
import pandas as pd
from mne.utils import logger, use_log_level
from sklearn.base import clone
from sklearn.model_selection import KFold

from .._checks import check_option, check_t_r
from .._drift import low_passed
from ..data.given import is_recordings
from ..metrics import spearman
from ..model_selection import BlockedTimeSplit
from ..reader import Reader
from ..translator import SambaTranslator
from ..windows import make_windows
from ._evaluate import evaluate
from ._leakage import LeakageWarning
from ._parts import reader_of, time_params
from ._result import EvaluationResult
from .nulls import mean_interval

# What each protocol is; the first is what the others are compared with.
PROTOCOLS = {
    "blocked": "contiguous blocks of every recording, 30 s of gap",
    "people": "people left out",
    "neurobolt": "the last tenth of every recording, BOLD filtered and scaled as a whole before",
    "interleaved": "windows shuffled, neighbours in training and test",
}
# Frames of a window, and between parts of a recording (NeuroBOLT).
_FRAMES, _GAP_FRAMES = 10, 10
RIDGES = ("ridge_canonical", "ridge_fir")


@dataclass(repr=False)
class BenchResult:
    """Scores of models under protocols.

    Attributes
    ----------
    results_ : dict of str to EvaluationResult
        By protocol.
    protocols_ : dict of str to str
        Protocol to what it is.
    """

    results_: dict[str, EvaluationResult]
    protocols_: dict[str, str]

    @property
    def models_(self) -> list[str]:
        """Names of models, ridges and time alone after the others."""
        return next(iter(self.results_.values())).models_

    def to_frame(self) -> pd.DataFrame:
        """Return the table of scores.

        Returns
        -------
        table : DataFrame
            A row per ``protocol`` and ``model``: ``r`` (Pearson correlation over time, mean over
            regions and what was tested), ``ci_low`` and ``ci_high`` (95 %, over people, over folds
            with one person), ``null`` (mean over circular shifts), ``p`` and the least that it
            could be, ``p_floor``, and ``pooled`` (Spearman correlation over all frames and regions
            at once, as some publications have it; predictions less their mean in every recording
            and region, since measured frames are without theirs).
        """
        rows = []
        for protocol, result in self.results_.items():
            summary = result.summary()
            for model in self.models_:
                null = result.null_.get(model)
                rows.append({
                    "protocol": protocol, "model": model, "r": summary.loc[model, "mean"],
                    "ci_low": summary.loc[model, "ci_low"],
                    "ci_high": summary.loc[model, "ci_high"],
                    "null": np.nan if null is None else float(np.nanmean(null)),
                    "p": summary.loc[model, "p"], "p_floor": summary.loc[model, "p_floor"],
                    "pooled": _pooled(result, model),
                })  # fmt: skip
        return pd.DataFrame(rows)

    def inflation(self) -> pd.DataFrame:
        """Return how far every protocol lies above blocks of time.

        Returns
        -------
        table : DataFrame
            A row per other ``protocol`` and ``model``: ``difference`` of r to that in
            ``"blocked"``, paired over people where there are several, with ``ci_low`` and
            ``ci_high`` (95 %), and their number ``n``. People who are left out are a harder
            question, not a protocol that inflates.

        Raises
        ------
        ValueError
            If ``"blocked"`` was not among the protocols.
        """
        if "blocked" not in self.results_:
            raise ValueError(
                f"Inflation is what protocols add to 'blocked', which is not among "
                f"{list(self.results_)}: bench with it too."
            )
        rows, plain = [], self.results_["blocked"]
        for protocol, result in self.results_.items():
            for model in self.models_ if protocol != "blocked" else ():
                own, base = (one._units(model) for one in (result, plain))
                paired = own.index.name == base.index.name == "subject"
                left = (own - base).dropna() if paired else [own.mean() - base.mean()]
                mean, low, high = mean_interval(left)
                rows.append({"protocol": protocol, "model": model, "difference": mean,
                             "ci_low": low, "ci_high": high, "n": len(left)})  # fmt: skip
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        frame = self.to_frame().set_index("model")[["protocol", "r", "null", "p"]]
        table = pd.concat({name: part.drop(columns="protocol") for name, part in
                           frame.groupby("protocol", sort=False)}, axis=1)  # fmt: skip
        said = "\n".join(f"{name}: {self.protocols_[name]}" for name in self.results_)
        return f"{table.to_string(float_format='{:.3f}'.format)}\n\n{said}"


def bench(
    X, y, groups: Sequence | None = None, *, models: Mapping | None = None,
    protocols: Sequence[str] | None = None, t_r: float | None = None, window: float | None = None,
    context: float = 30.0, n_shifts: int = 199, n_jobs: int | None = None,
    random_state: int | None = 0, verbose: bool | str | None = None,
) -> BenchResult:  # fmt: skip
    """Score models, ridges and time alone under honest and under published protocols.

    The same data, models and score; what differs is how they were split, and what was done to BOLD
    before. Where BOLD has nothing to do with the electrophysiology, a protocol that scores above
    its null inflates.

    Parameters
    ----------
    X : list of Raw, arrays (n_channels, n_times) or (n_channels, n_bands, n_times)
        Recordings of electrophysiology, or of band power.
    y : list of array, each (n_frames, n_targets)
        Their BOLD.
    groups : sequence | None
        Person of every recording; None: each its own.
    models : mapping of str to SambaTranslator | None
        What is scored. None takes the core, ``SambaTranslator(model="core")``. Ridges
        (`mne_samba.baselines.BandPowerRidge`) that read and measure as the first of them, and time
        alone, are added.
    protocols : sequence of "blocked" | "people" | "neurobolt" | "interleaved", or None
        ``"blocked"``: five contiguous blocks of every recording, 30 s apart from training.
        ``"people"``: people left out. ``"neurobolt"`` (Li et al. 2024): trained on the first 80 %
        of every recording, tested on the last 10 % with 10 frames of gap; BOLD is filtered below
        .15 Hz and scaled over the whole recording before that, its drift stays. Its authors also
        took the epoch that scored best in the test, which is not done here. ``"interleaved"``:
        five folds of shuffled windows. None takes the first three, or those that one person allows.
    t_r : float | None
        Seconds between frames; None takes that of the first model.
    window : float | None
        Seconds of the windows that recordings are cut into; None takes 10 frames.
    context : float
        Seconds of history before a window's first frame.
    n_shifts, n_jobs, random_state, verbose
        As in :func:`evaluate`.

    Returns
    -------
    result : BenchResult
        ``to_frame()`` is the table, ``inflation()`` what protocols add; see
        :func:`mne_samba.viz.plot_inflation`.

    Raises
    ------
    ValueError
        If a protocol is unknown or the data do not allow it.

    Examples
    --------
    >>> from mne_samba.evaluation import bench
    >>> result = bench(raws, bolds, subjects, t_r=2.0)  # doctest: +SKIP
    >>> result.inflation()  # doctest: +SKIP
    """
    if not is_recordings(X):
        raise TypeError(
            "bench takes recordings, a list of Raw or arrays (n_channels, n_times): it cuts them "
            "itself."
        )
    models = {"core": SambaTranslator(model="core", random_state=0)} if models is None else models
    if not isinstance(models, Mapping) or not models:
        raise TypeError(f"models must map names to translators, got {models!r:.80}.")
    first = next(iter(models.values()))
    t_r = check_t_r(time_params(first, t_r, None)[0])
    people = [str(i) for i in range(len(X))] if groups is None else [str(who) for who in groups]
    if protocols is None:
        protocols = [p for p in PROTOCOLS if p != "interleaved"]
        protocols = protocols if len(set(people)) > 1 else ["blocked", "neurobolt"]
    protocols = [protocols] if isinstance(protocols, str) else list(protocols)
    for protocol in protocols:
        check_option(protocol, "protocols", tuple(PROTOCOLS))
    results = {}
    for protocol in protocols:
        with use_log_level(verbose):
            logger.info("Protocol %s: %s.", protocol, PROTOCOLS[protocol])
        given, own = (X, y, people), models
        if protocol != "people":
            bold = _as_published(y, t_r) if protocol == "neurobolt" else y
            window = _FRAMES * t_r if window is None else window
            given = *_cut(X, bold, people, t_r, reader_of(first), window, context), None
            own = {name: _for_windows(model) for name, model in models.items()}
        name, *rest = own
        with warnings.catch_warnings():
            # Leaks are what is to be shown.
            warnings.simplefilter("ignore", LeakageWarning)
            result = evaluate(
                own[name], *given, _folds(protocol, given[0], random_state),
                baselines=[{key: own[key] for key in rest}, *RIDGES, "time"],
                nulls=("circular_shift",), n_shifts=n_shifts, metrics=("pearson",), t_r=t_r,
                context=context, detrend=None if protocol == "neurobolt" else "cosine",
                n_jobs=n_jobs, random_state=random_state, verbose="ERROR",
            )  # fmt: skip
        results[protocol] = _renamed(result, name)
    return BenchResult(results, {name: PROTOCOLS[name] for name in results})


def _cut(X, y, people, t_r, reader, window, context):
    """Windows of recordings, and their BOLD."""
    if not isinstance(X[0], mne.io.BaseRaw) and np.ndim(X[0]) == 2:
        X = [_as_raw(signal, reader.sfreq) for signal in X]
    return make_windows(
        list(X), list(y), t_r=t_r, window=window, context=context, subject=people, reader=reader
    )


def _as_raw(signal, sfreq) -> mne.io.BaseRaw:
    if sfreq is None:
        raise ValueError("Recordings are arrays: say their rate, reader=Reader(sfreq=...).")
    names = [f"ch{i:03d}" for i in range(len(signal))]
    return mne.io.RawArray(signal, mne.create_info(names, sfreq, "eeg"), verbose="ERROR")


def _for_windows(model):
    """Give a model whose reader does not look for frames: windows know theirs."""
    reader = reader_of(model)
    kept = {name: getattr(reader, name) for name in ("channels", "detrend", "memory")}
    return clone(model).set_params(reader=Reader(**kept))


def _as_published(y, t_r: float) -> list:
    """BOLD filtered and scaled over whole recordings, test frames included."""
    out = []
    for bold in y:
        values = low_passed(np.asarray(bold, dtype=float), t_r, 0.15)
        values = values / np.nanquantile(np.abs(values), 0.95, axis=0)
        if isinstance(bold, pd.DataFrame):
            values = pd.DataFrame(values, columns=bold.columns)
        out.append(values)
    return out


def _folds(protocol: str, X, random_state):
    """Splitter of a protocol, or its folds."""
    if protocol == "blocked":
        return BlockedTimeSplit(5)
    if protocol == "interleaved":
        return KFold(5, shuffle=True, random_state=random_state)
    return [_first_and_last(X.metadata)] if protocol == "neurobolt" else None


def _first_and_last(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rows of windows in the first 80 %, and in the last 10 %, of every recording."""
    by, first, stop = table["recording"], table["frame"], table["frame"] + table["n_frames"]
    low, high = first.groupby(by).transform("min"), stop.groupby(by).transform("max")
    # A recording that is short has one window at its end.
    test = (first >= low + 0.9 * (high - low)) | (first == first.groupby(by).transform("max"))
    begin = first.where(test).groupby(by).transform("min")
    train = (stop <= low + 0.8 * (high - low)) & (stop <= begin - _GAP_FRAMES)
    return np.flatnonzero(train), np.flatnonzero(test)


def _renamed(result: EvaluationResult, name: str) -> EvaluationResult:
    """Call the translator as the user does."""
    old = result.translator
    result.scores_["model"] = result.scores_["model"].replace(old, name)
    for table in (result.null_, result.predictions_):
        for key in list(table):
            table[name if key == old else key] = table.pop(key)
    result.translator = name
    return result


def _pooled(result: EvaluationResult, model: str) -> float:
    """Spearman correlation over all tested frames and regions at once."""
    pairs = zip(result.measured_, map(pd.DataFrame, result.predictions_[model]), strict=True)
    # Else levels of regions, which measured frames are without, would be most of what is ranked.
    pairs = [np.stack([y, p - p.mean()], axis=-1) for y, p in pairs]
    both = np.concatenate([pair.reshape(-1, 2) for pair in pairs])
    both = both[np.isfinite(both).all(axis=1)]
    return float(spearman(both[:, :1], both[:, 1:])[0])
