"""Tests of differences between haemodynamic responses: two conditions, or two groups of people."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control
from sklearn.utils.validation import check_is_fitted

from .._checks import check_number
from ..hrf.compare import MEASURES, block_differences
from ._learnable_hrf import LearnableHRF


def compare_hrfs(
    fit_a, fit_b, *, paired: bool = False, n_permutations: int = 999, random_state=None
) -> pd.DataFrame:
    """Compare peak time, width and undershoot of responses, region by region.

    Two fits are compared by exchanging blocks of time between them (two conditions of a person),
    two lists of fits by exchanging people. Amplitudes are free: only the shape is compared.

    Parameters
    ----------
    fit_a, fit_b : LearnableHRF | list of LearnableHRF
        Fitted with the same settings to the same regions; one per person in lists.
    paired : bool
        For lists: the same people in the same order; conditions are exchanged within people.
    n_permutations : int
        Number of random exchanges; the smallest p value is ``1 / (n_permutations + 1)``.
    random_state : int | None
        Seed of the exchanges.

    Returns
    -------
    table : DataFrame
        A row per measure ("peak_time", "fwhm", "undershoot_ratio") and region, with columns
        ``measure, region, a, b, difference`` (b minus a), ``p`` (two-sided, uncorrected),
        ``p_max`` (corrected over regions by the maximum statistic) and ``p_fdr`` (false discovery
        rate over regions, Benjamini-Hochberg).

    Raises
    ------
    ValueError
        If the fits have other regions or settings, or hold no learnt response.
    TypeError
        If they are not `LearnableHRF`.
    """
    check_number(n_permutations, "n_permutations", low=1, integer=True)
    rng = np.random.default_rng(random_state)
    many = isinstance(fit_a, (list, tuple)), isinstance(fit_b, (list, tuple))
    if many[0] != many[1]:
        raise TypeError("Compare one fit with one fit, or a list of fits with a list of fits.")
    fits = [*fit_a, *fit_b] if many[0] else [fit_a, fit_b]
    _check_fits(fits)
    if many[0]:
        values, null = _people(fit_a, fit_b, paired, n_permutations, rng)
    else:
        _check_same_basis(fit_a, fit_b)
        values, null = block_differences(
            fit_a._fitted.model.family,
            (fit_a._fitted.stats, fit_a._fitted.responses),
            (fit_b._fitted.stats, fit_b._fitted.responses),
            n_permutations,
            rng,
        )
    return _table(fits[0].target_names_in_, values, null)


def _check_fits(fits) -> None:
    if not fits:
        raise ValueError("There are no fits to compare.")
    for fit in fits:
        if not isinstance(fit, LearnableHRF):
            raise TypeError(f"Expected fitted LearnableHRF, got {type(fit).__name__}.")
        check_is_fitted(fit)
        if not hasattr(fit, "hrf_") or fit.hrf_family_ == "canonical":
            raise ValueError(
                "A fit holds no learnt response to compare: fit windows or recordings (not a "
                "table) with hrf='double_gamma' or 'fir'."
            )
        if fit.target_names_in_ != fits[0].target_names_in_:
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


def _people(fits_a, fits_b, paired, n_permutations, rng):
    """Measures of each group and differences under exchange of people."""

    def measures(fits):
        shapes = [[fit.hrf_peak_time_, fit.hrf_fwhm_, fit.hrf_undershoot_ratio_] for fit in fits]
        return np.moveaxis(np.array(shapes), 1, -1)

    a, b = measures(fits_a), measures(fits_b)
    values = np.stack([a.mean(0), b.mean(0)])
    if paired:
        if len(a) != len(b):
            raise ValueError(f"Paired lists must be equally long, got {len(a)} and {len(b)} fits.")
        signs = rng.choice([-1.0, 1.0], size=(n_permutations, len(a)))
        return values, np.einsum("np,prm->nrm", signs, b - a) / len(a)
    everyone = np.concatenate([a, b])
    null = np.empty((n_permutations, *values.shape[1:]))
    for k in range(n_permutations):
        order = rng.permutation(len(everyone))
        null[k] = everyone[order[len(a) :]].mean(0) - everyone[order[: len(a)]].mean(0)
    return values, null


def _table(regions, values, null) -> pd.DataFrame:
    difference = values[1] - values[0]
    n = len(null) + 1
    p = (1 + (np.abs(null) >= np.abs(difference) - 1e-12).sum(0)) / n
    # Regions differ in precision: the maximum is taken over differences in units of their null.
    spread = np.sqrt((null**2).mean(0))
    spread = np.where(spread > 0, spread, np.inf)
    largest = np.abs(null / spread).max(axis=1)
    p_max = (1 + (largest[:, None] >= np.abs(difference / spread) - 1e-12).sum(0)) / n
    columns = {"measure": np.repeat(MEASURES, len(regions)), "region": [*regions] * len(MEASURES)}
    scores = {
        "a": values[0], "b": values[1], "difference": difference, "p": p, "p_max": p_max,
        "p_fdr": false_discovery_control(p, axis=0),
    }  # fmt: skip
    columns.update({name: score.T.ravel() for name, score in scores.items()})
    return pd.DataFrame(columns)
