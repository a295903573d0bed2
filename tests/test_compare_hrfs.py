"""compare_hrfs: planted differences are found, absent ones are not."""

import numpy as np
import pytest
from scipy import stats
from scipy.signal import fftconvolve, lfilter
from sklearn.base import BaseEstimator

from mne_samba import LearnableHRF, Reader, compare_hrfs
from mne_samba.hrf import double_gamma, hrf_summary, unit_peak

T_R, SFREQ, N, LATE = 2.0, 10.0, 8, 3
BASE = np.tile(unit_peak(np.array([6.0, 14.0, 0.85, 0.9, 1.0, 0.3])), (N, 1))


def later(n=LATE):
    params = BASE.copy()
    params[:n, 2] *= 1.25
    params[:n, 3] *= 1.1
    return params


def fit(params, seed, minutes=12, snr=2.0, gain=1.0, **kwargs):
    rng = np.random.default_rng(seed)
    n_times = int(minutes * 60 * SFREQ)
    spectrum = np.fft.rfft(rng.standard_normal((N, n_times)))
    frequency = np.fft.rfftfreq(n_times, 1 / SFREQ)
    spectrum[:, (frequency < 0.008) | (frequency > 0.12)] = 0
    drive = np.fft.irfft(spectrum)
    response = double_gamma(np.arange(0, 32, 1 / SFREQ), params)
    clean = fftconvolve(drive, response, axes=1)[:, : n_times : int(T_R * SFREQ)]
    noise = lfilter([1], [1, -0.6], rng.standard_normal(clean.shape), axis=1)
    noise *= clean.std(1, keepdims=True) / noise.std(1, keepdims=True) / np.sqrt(snr)
    kwargs = {"hrf": "double_gamma", "loss": "squared", **kwargs}
    model = LearnableHRF(t_r=T_R, verbose=False, **kwargs, reader=Reader(sfreq=SFREQ))
    return model.fit([drive], [gain * (clean + noise).T])


@pytest.fixture(scope="module")
def conditions():
    return fit(BASE, 0), fit(later(), 1, gain=-3.0)


def test_planted_differences_are_found_and_absent_ones_are_not(conditions):
    table = compare_hrfs(*conditions, n_permutations=199, random_state=0)
    assert list(table["measure"].unique()) == ["peak_time", "fwhm", "undershoot_ratio"]
    assert len(table) == 3 * N
    peak = table[table["measure"] == "peak_time"]
    planted = np.arange(N) < LATE
    truth = np.ptp([hrf_summary(p)["peak_time"][0] for p in (BASE, later())])
    assert np.all(peak["p_max"][planted] < 0.05)
    assert np.all(peak["p_fdr"][planted] < 0.05)
    assert np.all(peak["p_max"][~planted] > 0.05)
    assert np.abs(peak["difference"][planted].mean() - truth) < 0.3
    assert np.abs(peak["difference"][~planted].mean()) < 0.2


def test_no_more_false_alarms_than_promised():
    p = []
    for seed in range(6):
        a, b = fit(BASE, 10 + seed, minutes=8), fit(BASE, 50 + seed, minutes=8, gain=2.0)
        table = compare_hrfs(a, b, n_permutations=99, random_state=seed)
        p.append(table["p"])
    p = np.concatenate(p)
    assert (p <= 0.05).mean() < 0.12
    assert np.abs(p.mean() - 0.5) < 0.1


def test_corrected_p_values_are_no_smaller(conditions):
    table = compare_hrfs(*conditions, n_permutations=99, random_state=0)
    assert np.all(table["p_fdr"] >= table["p"] - 1e-12)
    assert table["p"].min() >= 0.01
    again = compare_hrfs(*conditions, n_permutations=99, random_state=0)
    np.testing.assert_array_equal(table["p"], again["p"])


@pytest.mark.slow
def test_groups_of_people():
    young = [fit(BASE, seed, minutes=8) for seed in range(6)]
    old = [fit(later(), 100 + seed, minutes=8) for seed in range(6)]
    planted = np.arange(N) < LATE
    for paired in (False, True):
        table = compare_hrfs(young, old, paired=paired, n_permutations=499, random_state=0)
        peak = table[table["measure"] == "peak_time"]
        # Six pairs have 64 sign flips: the smallest two-sided p value is 2 / 64.
        assert np.all(peak["p"][planted] < 0.05)
        assert (peak["p"][~planted] < 0.05).mean() <= 0.2


def test_errors(conditions):
    a, b = conditions
    with pytest.raises(TypeError, match="list of fits"):
        compare_hrfs(a, [b])
    with pytest.raises(TypeError, match="LearnableHRF"):
        compare_hrfs(a, "b")
    with pytest.raises(ValueError, match="hrf_length"):
        compare_hrfs(a, fit(BASE, 2, hrf_length=20.0))
    with pytest.raises(ValueError, match="no learnt response"):
        compare_hrfs(a, fit(BASE, 2, hrf="canonical"))
    with pytest.raises(ValueError, match="equally long"):
        compare_hrfs([a, a], [b], paired=True)


class Response(BaseEstimator):
    """A fit of one person whose response is known."""

    reader, hrf_family_, hrf_times_ = None, "double_gamma", np.arange(0, 32, 0.1)

    def __init__(self, hrf, peak_time, names):
        self.hrf_, self.hrf_peak_time_, self.target_names_in_ = hrf, peak_time, names
        self.scale_ = np.ones(len(names))

    def fit(self):
        """Nothing: it is known."""


def responses(params, names):
    """Fits of people, (n_people, n_regions, 6)."""
    courses = np.array(double_gamma(Response.hrf_times_, params))
    peaks = hrf_summary(params)["peak_time"]
    return [Response(hrf, peak, names) for hrf, peak in zip(courses, peaks, strict=True)]


def person(seed, later=0.0, spread=0.1):
    params = BASE[:3].copy()
    rng = np.random.default_rng(seed)
    params[:, 2] *= 1 + spread * rng.standard_normal(3)
    params[0, 2] *= 1 + later
    return responses(params[np.newaxis], ["V1", "A1", "M1"])[0]


@pytest.mark.parametrize("paired", [False, True])
def test_exchanges_of_people_are_exact(paired):
    young, old = ([person(s + k, later) for s in range(5)] for k, later in ((0, 0.0), (50, 0.4)))
    table = compare_hrfs(young, old, paired=paired, n_permutations=999)
    peak = table[table["measure"] == "peak_time"].set_index("region")
    a, b = (np.array([fit.hrf_peak_time_ for fit in fits]) for fits in (young, old))

    def statistic(x, y):
        test = stats.ttest_1samp(y - x, 0) if paired else stats.ttest_ind(y, x, equal_var=False)
        return abs(test.statistic)

    exact = [
        stats.permutation_test(
            (x, y), statistic, permutation_type="samples" if paired else "independent",
            n_resamples=np.inf, alternative="greater", vectorized=False,
        ).pvalue
        for x, y in zip(a.T, b.T, strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(peak["p"], exact)
    np.testing.assert_allclose(peak["difference"], b.mean(0) - a.mean(0))
    test = stats.ttest_rel(b, a) if paired else stats.ttest_ind(b, a, equal_var=False)
    np.testing.assert_allclose(peak["t"], test.statistic)
    np.testing.assert_allclose(peak["ci_low"], test.confidence_interval().low)
    assert peak["p_max"].idxmin() == "V1" and (peak["p_max"] >= peak["p"]).all()
    assert (peak["p"] >= (2 / 32 if paired else 2 / 252)).all()


def test_regions_that_people_lack():
    young, old = [person(i) for i in range(6)], [person(50 + i) for i in range(6)]
    old[0].scale_[1] = 0.0
    table = compare_hrfs(young, old, n_permutations=99).set_index(["measure", "region"])
    lacking = table.loc["peak_time", :].loc["A1"]
    assert lacking["n_b"] == 5 and np.isnan(lacking["p_max"]) and np.isfinite(lacking["b"])
    paired = compare_hrfs(young, old, paired=True, n_permutations=99)
    there = paired[(paired["measure"] == "peak_time") & (paired["region"] == "A1")].iloc[0]
    assert there["n_a"] == there["n_b"] == 5 and np.isfinite(there["p_max"])
    with pytest.raises(ValueError, match="three pairs on, got 2 and 2"):
        compare_hrfs(young[:2], old[:2], paired=True)
    with pytest.raises(TypeError, match="as lists"):
        compare_hrfs(young[0], old[0])


def study(rng, paired, later=0.0, n_people=9, n_regions=5):
    """SIMULATED: known responses of people, their labels and names.

    In the second condition, or group, the first region is later.
    """
    own = 0.1 * rng.standard_normal((2 * n_people, 1, 1))
    if paired:  # a person is alike in both conditions
        own[n_people:] = own[:n_people]
    factor = 1 + own + 0.1 * rng.standard_normal((2 * n_people, n_regions, 4))
    factor[n_people:, 0, 1] += later
    params = np.tile(BASE[0], (2 * n_people, n_regions, 1))
    params[:, :, [0, 2, 3, 5]] *= np.clip(factor, 0.6, 1.8)
    labels = ["rest"] * n_people + ["task"] * n_people
    people = [*range(n_people)] * 2 if paired else None
    return responses(params, [f"region {k}" for k in range(n_regions)]), labels, people


@pytest.mark.slow
@pytest.mark.parametrize("paired", [False, True])
def test_one_in_twenty_studies_without_a_difference_passes(paired):
    rng, passed, uncorrected = np.random.default_rng(7), [], []
    for seed in range(250):
        fits, labels, people = study(rng, paired)
        table = compare_hrfs(
            fits, labels=labels, people=people, n_permutations=199, random_state=seed
        )
        passed.append((table["p_max"] <= 0.05).any())
        uncorrected.append((table["p"] <= 0.05).mean())
    print(f"paired={paired}: any p_max <= .05 in {np.mean(passed):.3f} of {len(passed)} studies, "
          f"p <= .05 in {np.mean(uncorrected):.3f} of measures")  # fmt: skip
    assert 0.02 <= np.mean(passed) <= 0.08
    assert 0.03 <= np.mean(uncorrected) <= 0.07


@pytest.mark.parametrize(("paired", "later"), [(False, 0.8), (True, 0.4)])
def test_a_later_response_is_found_where_it_is(paired, later):
    rng, found, elsewhere = np.random.default_rng(8), [], []
    for seed in range(20):
        fits, labels, people = study(rng, paired, later)
        table = compare_hrfs(
            fits, labels=labels, people=people, n_permutations=199, random_state=seed
        )
        passed = table.set_index(["measure", "region"])["p_max"] <= 0.05
        found.append(passed["peak_time", "region 0"])
        elsewhere.append(passed.drop("region 0", level="region").any())
    print(f"paired={paired}: found in {np.mean(found):.2f}, elsewhere {np.mean(elsewhere):.2f}")
    assert np.mean(found) >= 0.8
    assert np.mean(elsewhere) <= 0.1


def test_labels_make_the_same_lists():
    fits, labels, people = study(np.random.default_rng(0), paired=True)
    options = {"n_permutations": 99, "random_state": 0}
    swapped = [*range(9, 18), *reversed(range(9))]
    table = compare_hrfs(
        [fits[i] for i in swapped], labels=[labels[i] for i in swapped],
        people=[people[i] for i in swapped], **options,
    )  # fmt: skip
    expected = compare_hrfs(fits[9:], fits[:9], paired=True, **options)
    assert table.attrs["labels"] == ["task", "rest"] and not expected.attrs
    np.testing.assert_array_equal(table.drop(columns="measure"), expected.drop(columns="measure"))
    groups = compare_hrfs(fits, labels=labels, **options)
    expected = compare_hrfs(fits[:9], fits[9:], **options)
    np.testing.assert_array_equal(groups["p_max"], expected["p_max"])


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"fit_b": []}, TypeError, "one list of fits alone"),
        ({"paired": True}, TypeError, "one list of fits alone"),
        ({"labels": None}, TypeError, "give labels, too"),
        ({"labels": ["a", "b", "a"]}, ValueError, "6 fits, 3 labels and 6 people"),
        ({"labels": ["a", "a", np.nan, "b", "b", "b"]}, ValueError, r"labels of fits \[2\] are"),
        ({"labels": [*"aaa", None, None, None]}, ValueError, r"of fits \[3, 4, 5\] are missing"),
        ({"people": [*"xyzxy", np.nan]}, ValueError, r"people of fits \[5\] are missing: leave"),
        ({"labels": "aaabbb"}, TypeError, "labels must be a list, one for each fit, got str"),
        ({"labels": np.zeros((6, 1))}, TypeError, "labels must be flat"),
        ({"fit_a": person(0)}, TypeError, "fits must be a list, one for each fit, got Response"),
        ({"labels": list("abcabc")}, ValueError, r"Two .* labels has \['a', 'b', 'c'\]"),
        ({"people": list("xyzxyx")}, ValueError, "'x' has more than one fit of 'b'"),
        ({"people": list("xyzxyw")}, ValueError, r"2 people .*'a' and of 'b', but \['z', 'w'\]"),
    ],
)
def test_labels_that_make_neither_groups_nor_pairs(change, error, said):
    fits = {"fit_a": [person(i) for i in range(6)]}
    given = {"labels": list("aaabbb"), "people": list("xyzxyz")} | change
    with pytest.raises(error, match=said):
        compare_hrfs(**(fits | given))


@pytest.mark.parametrize("paired", [False, True])
def test_people_who_are_all_alike_do_not_differ(paired):
    table = compare_hrfs([person(0)] * 4, [person(0)] * 4, paired=paired)
    np.testing.assert_array_equal(table["p"], 1.0)
    np.testing.assert_array_equal(table[["ci_low", "ci_high"]], 0.0)
