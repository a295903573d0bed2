"""Tests of differences between haemodynamic responses: two conditions, or two groups of people."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from pandas import isna
from pandas.api.types import is_hashable, is_list_like, is_scalar
from scipy.stats import false_discovery_control, ttest_ind, ttest_rel
from sklearn.utils.validation import check_is_fitted

from .._checks import check_number
from .._sign_flips import exchange_p, exchanges, flipped_t, sign_flips, welch_t
from ..hrf.compare import MEASURES, block_differences
from ..hrf.shapes import summarise_response
from ._learnable_hrf import LearnableHRF


def compare_hrfs(
    fit_a, fit_b=None, *, labels=None, people=None, paired: bool = False,
    n_permutations: int = 999, random_state=None,
) -> pd.DataFrame:  # fmt: skip
    """Compare peak time, width and undershoot of responses, region by region.

    Two fits are compared by exchanging blocks of time between them (two conditions of a person),
    fits of several people by exchanging people: between groups, or conditions within people.
    Amplitudes are free: only the shape is compared.

    Parameters
    ----------
    fit_a, fit_b : LearnableHRF | list of LearnableHRF or SambaTranslator
        Fitted with the same settings to the same regions; one per person in lists. With ``labels``
        one list of all fits, and no ``fit_b``.
    labels : sequence | None
        Group or condition of each fit; there are two. ``a`` is the one that comes first, and
        ``table.attrs["labels"]`` has both.
    people : sequence | None
        Whose fit each is, with ``labels``: conditions are exchanged within people who have a fit of
        either. None: each is of another person.
    paired : bool
        For two lists: the same people in the same order; conditions are exchanged within people.
    n_permutations : int
        Number of random exchanges; the smallest p value is ``1 / (n_permutations + 1)``. Where
        people can be exchanged in no more ways than that, all are gone through: five pairs allow
        no p below 2 / 32, four against four people none below 2 / 70.
    random_state : int | None
        Seed of the exchanges.

    Returns
    -------
    table : DataFrame
        A row per measure ("peak_time", "fwhm", "undershoot_ratio") and region, with columns
        ``measure, region, a, b, difference`` (b minus a), ``p`` (two-sided, uncorrected),
        ``p_max`` (corrected over regions and measures by the maximum statistic) and ``p_fdr``
        (false discovery rate over both, Benjamini-Hochberg). Of people also ``ci_low`` and
        ``ci_high`` (95 %, of the difference, Student's or Welch's t), ``t``, ``n_a`` and ``n_b``:
        people that have a response there. A region is NaN where somebody in a group has none, or
        where fewer than three pairs have one.

    Raises
    ------
    ValueError
        If the fits have other regions or settings, or hold no learnt response, or people and labels
        make neither two groups nor pairs.
    TypeError
        If they are no such fits.

    Notes
    -----
    Groups of people are compared by Welch's t, since they may differ in their spread, conditions
    within people by Student's t of their differences, whose signs are flipped; the largest over
    regions and measures corrects for their number. Groups that differ both in size and in spread
    need more people: where the smaller one (6 of 15) spreads 2.5 times as wide, 12 % pass by chance
    at .05, in groups of 12 each 5 %.

    Examples
    --------
    >>> from mne_samba import compare_hrfs
    >>> # two groups; nine people in two conditions each
    >>> compare_hrfs(fits, labels=participants["group"])  # doctest: +SKIP
    >>> compare_hrfs(fits, labels=["rest", "task"] * 9, people=names)  # doctest: +SKIP
    """
    check_number(n_permutations, "n_permutations", low=1, integer=True)
    rng = np.random.default_rng(random_state)
    if labels is not None:
        fit_a, fit_b, paired, kinds = _by_label(fit_a, fit_b, labels, people, paired)
    elif people is not None:
        raise TypeError("people says whose fits those of labels are: give labels, too.")
    many = isinstance(fit_a, (list, tuple)), isinstance(fit_b, (list, tuple))
    if many[0] != many[1]:
        raise TypeError("Compare one fit with one fit, or a list of fits with a list of fits.")
    fits = [*fit_a, *fit_b] if many[0] else [fit_a, fit_b]
    _check_fits(fits, (LearnableHRF,) if not many[0] else ())
    if many[0]:
        table = _people(fit_a, fit_b, paired, n_permutations, rng)
        if labels is not None:
            table.attrs["labels"] = kinds
        return table
    _check_same_basis(fit_a, fit_b)
    values, null = block_differences(
        fit_a._fitted.model.family,
        (fit_a._fitted.stats, fit_a._fitted.responses),
        (fit_b._fitted.stats, fit_b._fitted.responses),
        n_permutations,
        rng,
    )
    return _table(fits[0].target_names_in_, values, null)


def _by_label(fits, fit_b, labels, people, paired) -> tuple[list, list, bool, list]:
    """Two lists of fits, whether the same people are in both, and the two labels."""
    if fit_b is not None or paired:
        raise TypeError(
            "With labels, give one list of fits alone, and people where they are pairs."
        )
    fits, labels = _listed(fits, "fits"), _listed(labels, "labels")
    people = list(range(len(fits))) if people is None else _listed(people, "people")
    if not len(fits) == len(labels) == len(people):
        raise ValueError(
            f"Every fit has a label and a person, got {len(fits)} fits, {len(labels)} labels and "
            f"{len(people)} people."
        )
    kinds = list(dict.fromkeys(labels))
    if len(kinds) != 2:
        raise ValueError(f"Two groups or conditions are compared, but labels has {kinds[:8]}.")
    sides: tuple[dict, dict] = ({}, {})
    for fit, label, person in zip(fits, labels, people, strict=True):
        side = sides[kinds.index(label)]
        if person in side:
            raise ValueError(f"{person!r} has more than one fit of {label!r}: fit runs together.")
        side[person] = fit
    both = sides[0].keys() & sides[1].keys()
    single = [person for person in dict.fromkeys(people) if person not in both]
    if both and single:
        raise ValueError(
            f"{len(both)} people have fits of {kinds[0]!r} and of {kinds[1]!r}, but {single[:8]} "
            "of one alone: leave these out, or compare groups of different people."
        )
    order = list(sides[0]) if both else None
    second = [sides[1][person] for person in order or sides[1]]
    return list(sides[0].values()), second, bool(both), kinds


def _listed(values, name: str) -> list:
    """List what belongs to fits, of which none may be missing."""
    if not is_list_like(values):
        raise TypeError(f"{name} must be a list, one for each fit, got {type(values).__name__}.")
    values = list(values)
    missing = [i for i, value in enumerate(values) if is_scalar(value) and isna(value)]
    if missing:
        raise ValueError(f"{name} of fits {missing[:8]} are missing: leave these fits out.")
    if not all(map(is_hashable, values)):
        raise TypeError(f"{name} must be flat: text or numbers, one for each fit.")
    return values


def _check_fits(fits, kinds: tuple) -> None:
    if not fits:
        raise ValueError("There are no fits to compare.")
    for fit in fits:
        if not (isinstance(fit, kinds) if kinds else hasattr(fit, "reader")):
            raise TypeError(
                f"Expected fitted LearnableHRF{'' if kinds else ' or SambaTranslator'}, got "
                f"{type(fit).__name__}."
                + (" Translators of people are compared as lists." if kinds else "")
            )
        check_is_fitted(fit)
        learnt = getattr(fit, "hrf_family_", "canonical") != "canonical" and hasattr(fit, "hrf_")
        if not learnt or len(fit.hrf_) != len(fit.target_names_in_):
            raise ValueError(
                "A fit holds no learnt response to compare: fit windows or recordings (not a "
                "table) with hrf='double_gamma' or 'fir'."
            )
        if list(fit.target_names_in_) != list(fits[0].target_names_in_):
            raise ValueError(
                f"Fits have other regions: {fit.target_names_in_[:5]}... against "
                f"{fits[0].target_names_in_[:5]}..."
            )


def _check_same_basis(a, b) -> None:
    if a.hrf_family_ != "double_gamma" or b.hrf_family_ != "double_gamma":
        raise ValueError(
            "Exchanging blocks of two fits needs hrf='double_gamma' in both; compare lists of fits "
            "for free responses."
        )
    first, second = a._fitted.model.basis, b._fitted.model.basis
    if first.shape != second.shape or not np.allclose(first, second):
        raise ValueError(
            "The fits differ in t_r, sampling rate, hrf_length or bounds: fit both with the same."
        )
    zero = [
        name
        for name, x, y in zip(a.target_names_in_, a.scale_, b.scale_, strict=True)
        if x == 0 or y == 0
    ]
    if zero:
        raise ValueError(f"Regions {zero[:8]} have no response in one of the fits: leave them out.")


def _shapes(fits) -> np.ndarray:
    """Measures (n_people, n_regions, 3), NaN where a region has no response."""
    out = []
    for fit in fits:
        shape = summarise_response(np.asarray(fit.hrf_times_), np.asarray(fit.hrf_))
        shape["peak_time"] = np.asarray(fit.hrf_peak_time_)
        flat = ~(np.asarray(fit.hrf_).max(axis=1) > 0) | (
            np.asarray(getattr(fit, "scale_", 1.0)) == 0
        )
        out.append(np.where(flat, np.nan, [shape[measure] for measure in MEASURES]).T)
    return np.array(out, dtype=float)


def _people(fits_a, fits_b, paired, n_permutations, rng) -> pd.DataFrame:
    """Compare groups of people, or conditions within people, by exchanging them."""
    a, b = _shapes(fits_a), _shapes(fits_b)
    if paired:
        if len(a) != len(b):
            raise ValueError(f"Paired lists must be equally long, got {len(a)} and {len(b)} fits.")
        there = np.isfinite(b - a)
        a, b = np.where(there, a, np.nan), np.where(there, b, np.nan)
        draws, statistic = sign_flips(len(a), n_permutations, rng), flipped_t
    else:
        draws, statistic = exchanges(len(a), len(a) + len(b), n_permutations, rng), welch_t
    least = 3 if paired else 2
    if min(len(a), len(b)) < least:
        raise ValueError(
            f"People are compared from {'three pairs' if paired else 'two in each group'} on, got "
            f"{len(a)} and {len(b)} fits."
        )
    # Measures one after the other, (n_people, n_measures * n_regions).
    x, y = (np.moveaxis(side, -1, 1).reshape(len(side), -1) for side in (a, b))
    values = y - x if paired else np.concatenate([x, y])
    n_a, n_b = np.isfinite(x).sum(axis=0), np.isfinite(y).sum(axis=0)
    # Of groups, every exchange needs two people on either side.
    fine = np.isfinite(values).all(axis=0) if not paired else n_a >= least
    table = _rows(fits_a[0].target_names_in_)
    table["a"], table["b"] = _mean(x), _mean(y)
    table["difference"] = table["b"] - table["a"]
    wanted = ["p", "p_max", "p_fdr", "ci_low", "ci_high", "t"]
    table[wanted] = np.nan
    if fine.any():
        t = statistic(draws, values[:, fine])
        p = exchange_p(np.abs(t[0]), np.abs(t))
        p_max = exchange_p(np.abs(t[0]), np.abs(t).max(axis=1)[:, np.newaxis])
        sides = (y[:, fine], x[:, fine])
        with warnings.catch_warnings():  # of people who are all alike, as at a bound
            warnings.simplefilter("ignore", RuntimeWarning)
            test = ttest_rel(*sides, nan_policy="omit") if paired else ttest_ind(
                *sides, equal_var=False)  # fmt: skip
            ends = test.confidence_interval()
        found = [p, p_max, false_discovery_control(p), ends.low, ends.high, t[0]]
        table.loc[fine, wanted] = np.transpose(found)
    table["n_a"], table["n_b"] = n_a, n_b
    return table


def _rows(regions) -> pd.DataFrame:
    return pd.DataFrame(
        {"measure": np.repeat(MEASURES, len(regions)), "region": [*regions] * len(MEASURES)}
    )


def _mean(values: np.ndarray) -> np.ndarray:
    n = np.isfinite(values).sum(axis=0)
    return np.where(n > 0, np.nansum(values, axis=0) / np.maximum(n, 1), np.nan)


def _table(regions, values, null) -> pd.DataFrame:
    difference = values[1] - values[0]
    n = len(null) + 1
    p = (1 + (np.abs(null) >= np.abs(difference) - 1e-12).sum(0)) / n
    # Regions differ in precision: the maximum is taken over differences in units of their null.
    spread = np.sqrt((null**2).mean(0))
    spread = np.where(spread > 0, spread, np.inf)
    largest = np.abs(null / spread).max(axis=(1, 2))
    p_max = (1 + (largest[:, None, None] >= np.abs(difference / spread) - 1e-12).sum(0)) / n
    table = _rows(regions)
    scores = {"a": values[0], "b": values[1], "difference": difference, "p": p, "p_max": p_max}
    table = table.assign(**{name: score.T.ravel() for name, score in scores.items()})
    table["p_fdr"] = false_discovery_control(table["p"])
    return table
