"""Groups: equal to MNE's tests, calibrated, and open about people and targets."""

import dataclasses
from itertools import product

import mne
import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage
from scipy import sparse, stats
from sklearn.model_selection import KFold

from mne_samba import Reader
from mne_samba._sign_flips import exchange_p, exchanges, flipped_t, sign_flips, welch_t
from mne_samba.baselines import BandPowerRidge
from mne_samba.evaluation import evaluate, group_test, parcel_adjacency, sign_flip_p
from mne_samba.evaluation.adjacency import tfce
from mne_samba.wavelets import Precomputed

# Neighbours in a row.
LINE = sparse.diags_array([np.ones(9)] * 2, offsets=[-1, 1]).tocsr()
EDGES = np.array([[i, i + 1] for i in range(9)])


def scores(n_people=9, effect=0.0, seed=0, where=slice(2, 5)):
    r = 0.1 * np.random.default_rng(seed).standard_normal((n_people, 10))
    r[:, where] += effect
    return np.tanh(r)


@pytest.mark.parametrize(("alternative", "tail"), [("greater", 1), ("two-sided", 0)])
def test_the_largest_t_is_that_of_mne(alternative, tail):
    r = scores(effect=0.08)
    group = group_test(r, alternative=alternative)
    z = np.arctanh(r)
    t, p, _ = mne.stats.permutation_t_test(z, "all", tail=tail, verbose=False)
    np.testing.assert_allclose(group.targets_["t"], t)
    if alternative == "two-sided":
        # MNE's count of all flips lacks one, and its one-sided p are of the largest |t|.
        np.testing.assert_allclose(group.targets_["p_max"], p, atol=2.0**-8)
    every = np.array(list(product([1.0, -1.0], repeat=9)))[:, :, np.newaxis]
    size = t if tail else np.abs(t)
    null = stats.ttest_1samp(every * z, 0, axis=1).statistic
    null = (null if tail else np.abs(null)).max(axis=1)[:, np.newaxis]
    np.testing.assert_allclose(group.targets_["p_max"], (null >= size - 1e-9).mean(axis=0))
    plain = stats.ttest_1samp(np.arctanh(r), 0, alternative=alternative)
    ends = stats.ttest_1samp(np.arctanh(r), 0).confidence_interval()
    np.testing.assert_allclose(group.targets_["t"], plain.statistic)
    np.testing.assert_allclose(group.targets_["ci_low"], np.tanh(ends.low))
    assert group.mean_["p_floor"] == (1 if tail else 2) / 2**9


@pytest.mark.parametrize("tail", [1, 0])
@pytest.mark.filterwarnings("ignore:No clusters found")
def test_clusters_and_their_enhancement_are_those_of_mne(tail):
    r = scores(n_people=6, effect=0.1, seed=3)
    z, alternative = np.arctanh(r), ("two-sided", "greater")[tail]
    group = group_test(r, adjacency=LINE, threshold=0.05, alternative=alternative)
    largest, found, options = [], [], {"tail": tail, "adjacency": LINE, "verbose": False}
    for signs in product([1.0, -1.0], repeat=6):
        # MNE's count of all flips lacks one: its clusters are counted here.
        t, clusters, _, _ = mne.stats.permutation_cluster_1samp_test(
            z * np.array(signs)[:, np.newaxis], stats.t.isf(0.05, 5), n_permutations=1, **options
        )
        masses = [t[places].sum() for (places,) in clusters]
        largest.append(np.abs(masses).max(initial=0.0))
        found.append(list(zip(clusters, masses, strict=True)))
    found = found[0]
    assert len(found) == len(group.clusters_) > 0
    for (places,), mass in found:
        mine = group.targets_.iloc[places]
        row = group.clusters_.loc[mine["cluster"].unique().item()]
        np.testing.assert_allclose(row["mass"], mass)
        np.testing.assert_allclose(row["p"], np.mean(np.array(largest) >= abs(mass) - 1e-9))
        np.testing.assert_allclose(mine["p_cluster"], row["p"])
    group = group_test(r, adjacency=LINE, threshold="tfce", alternative=alternative)
    _, _, p, _ = mne.stats.permutation_cluster_1samp_test(
        z, {"start": 0, "step": 0.2}, n_permutations="all", **options
    )
    np.testing.assert_allclose(group.targets_["p_tfce"], p, atol=2 / 2**6)
    assert len(group.clusters_) == 0


def test_enhancement_of_a_block_by_hand():
    # Three targets of height 1 for 4 steps of .2 (1 is not above 1), one of 0.5 alone for 2.
    t = np.array([[0.0, 1.0, 1.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]])
    heights = np.arange(0.2, 1.0, 0.2)
    block = np.sqrt(3) * (heights**2).sum() * 0.2
    found = tfce(t, EDGES)[0]
    np.testing.assert_allclose(found[1:4], block)
    np.testing.assert_allclose(found[5], (heights[:2] ** 2).sum() * 0.2)
    assert not found[[0, 4, 6, 7, 8, 9]].any()


def test_one_sign_flip_for_all():
    values = np.random.default_rng(1).normal(0.1, 0.2, 11)
    group = group_test(values[:, np.newaxis], alternative="two-sided")
    assert group.mean_["p"] == group.targets_["p"].iloc[0]
    assert sign_flip_p(np.arctanh(values)) == group.mean_["p"]
    exact = stats.permutation_test(
        (np.arctanh(values),), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    np.testing.assert_allclose(group.mean_["p"], exact.pvalue)


def test_exchanges_of_groups_are_those_of_scipy():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.0, 1.0, 4), rng.normal(1.0, 2.0, 5)

    def statistic(x, y):
        return stats.ttest_ind(y, x, equal_var=False).statistic

    member = exchanges(4, 9, 1000, rng)
    t = welch_t(member, np.concatenate([a, b])[:, np.newaxis])
    np.testing.assert_allclose(t[0, 0], statistic(a, b))
    p = exchange_p(np.abs(t[0]), np.abs(t))[0]
    exact = stats.permutation_test((a, b), lambda x, y: abs(statistic(x, y)), n_resamples=np.inf,
                                   alternative="greater")  # fmt: skip
    np.testing.assert_allclose(p, exact.pvalue)


@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_nothing_is_found_where_nothing_is(missing):
    rng = np.random.default_rng(4)
    passed = []
    for _ in range(300):
        z = 0.1 * rng.standard_normal((8, 10)) + 0.05 * rng.standard_normal((8, 1))
        z[rng.random(z.shape) < missing] = np.nan
        signs = sign_flips(8, 256, rng)
        t = flipped_t(signs, z)
        passed.append(exchange_p(t[0].max(), t.max(axis=1)) <= 0.05)
    assert 0.02 < np.mean(passed) < 0.085


def test_groups_of_another_spread_do_not_differ():
    rng, passed = np.random.default_rng(5), []
    for _ in range(300):
        values = rng.standard_normal((24, 6)) * np.repeat([1.0, 2.5], 12)[:, np.newaxis]
        t = np.abs(welch_t(exchanges(12, 24, 199, rng), values))
        passed.append(exchange_p(t[0].max(), t.max(axis=1)) <= 0.05)
    assert 0.02 < np.mean(passed) < 0.085


def test_what_is_planted_is_found_and_described():
    group = group_test(scores(14, 0.2), adjacency=LINE, n_flips=999)
    assert sorted(group.passing) == ["target 3", "target 4", "target 5"]
    assert group.clusters_.iloc[0]["targets"] == ["target 3", "target 4", "target 5"]
    assert "3 of 10 targets (" in group.verdict
    assert "The score is above chance in the group" in group.verdict
    assert "1 of 1 clusters pass (3 targets about" in group.verdict
    assert "No single person decides it." in group.verdict
    assert group.verdict in repr(group) and group.passing[0] in group._repr_html_()
    assert "Nothing was shown in the group" in group_test(scores(14), n_flips=999).verdict
    again = group_test(scores(14, 0.2), adjacency=LINE, n_flips=999)
    pd.testing.assert_frame_equal(group.to_frame(), again.to_frame())
    with pytest.raises(dataclasses.FrozenInstanceError):
        group.metric = "r2"
    one_sided = group_test(-scores(14, 0.2), n_flips=999)
    assert not one_sided.passing
    assert len(group_test(-scores(14, 0.2), alternative="two-sided", n_flips=999).passing) == 3
    assert len(sign_flips(14, 99, np.random.default_rng(0))) == 100
    assert group_test(scores(14), n_flips=99).mean_["p_floor"] == 0.01


def test_missing_people_and_targets_are_said():
    r = pd.DataFrame(scores(12, 0.2), [f"sub-{i:02d}" for i in range(12)], list("abcdefghij"))
    whole = group_test(r)
    r.loc["sub-03"] = np.nan
    r.loc["sub-04", "c"] = np.nan
    r.iloc[:10, -1] = np.nan
    group = group_test(r)
    assert group.left_out == ["sub-03"] and len(group.people_) == 11
    assert "Without any score, left out: sub-03." in group.verdict
    assert "Not tested, with fewer than three people: j." in group.verdict
    assert "Targets that not all people have: c." in group.verdict
    assert np.isnan(group.targets_.loc["j", "p_max"]) and group.targets_.loc["c", "n"] == 10
    assert set(group.passing) == set(whole.passing) == {"c", "d", "e"}
    assert "of 9 targets" in group.verdict
    joined = group_test(r, adjacency=LINE, threshold="tfce").targets_
    assert (
        "of 9 targets pass with support" in group_test(r, adjacency=LINE, threshold="tfce").verdict
    )
    assert np.isnan(joined.loc["j", "p_tfce"]) and joined.loc["d", "p_tfce"] < 0.01


def test_who_decides():
    r = 0.02 * np.random.default_rng(0).standard_normal((8, 1)) + 0.03
    r[1] = -0.001
    assert group_test(r).mean_["p"] < 0.05
    four = np.array([[0.1], [0.2], [0.15], [0.1], [0.3]])
    assert "It hangs on everybody." in group_test(four).verdict
    rng = np.random.default_rng(0)
    with_one = np.concatenate([rng.normal(0.02, 0.045, (9, 4)), np.full((1, 4), 0.12)])
    group = group_test(with_one)
    alone = [group_test(np.delete(with_one, i, 0)).mean_["p"] for i in range(10)]
    np.testing.assert_allclose(group.people_["p_without"], alone)
    flips = [(p <= 0.05) != (group.mean_["p"] <= 0.05) for p in alone]
    # Also where the number of targets that pass falls to none.
    assert all(group.people_["decides"] >= flips) and group.people_["decides"].any()
    assert "It would be another without one of these: person" in group.verdict


def test_scores_of_shared_training_count_for_less():
    r = scores(10, 0.05)
    alone, shared = group_test(r), group_test(r, shared_training=True)
    factor = np.sqrt(8 / 9 / 2)
    np.testing.assert_allclose(shared.targets_["t"], factor * alone.targets_["t"])
    width = [
        np.arctanh(g.targets_["ci_high"]) - np.arctanh(g.targets_["ci_low"])
        for g in (alone, shared)
    ]  # fmt: skip
    np.testing.assert_allclose(width[1], width[0] / factor)
    np.testing.assert_allclose(shared.targets_["r"], alone.targets_["r"])
    assert "trained on each other's data" in shared.verdict


@pytest.fixture(scope="module")
def people():
    """Four people of band power and BOLD: results of their own models, and of the others'."""
    rng = np.random.default_rng(0)
    power = [np.exp(rng.standard_normal((3, 2, 400)).cumsum(-1) * 0.02) for _ in range(4)]
    bolds = [rng.standard_normal((200, 3)) + 30 * x[:, 0, ::2].T for x in power]
    names = [f"sub-{i}" for i in range(4)]
    ridge = BandPowerRidge(t_r=2.0, bands=Precomputed("linear"), reader=Reader(sfreq=1.0))
    options = {"baselines": (), "n_shifts": 99, "target_names": ["a", "b", "c"], "verbose": False}
    left_out = evaluate(ridge, power, bolds, names, **options)
    return left_out, options, ridge, power, bolds


def test_a_result_of_people(people):
    left_out = people[0]
    group = group_test(left_out)
    assert group.shared_training and list(group.people_.index) == [
        "sub-0",
        "sub-1",
        "sub-2",
        "sub-3",
    ]
    np.testing.assert_allclose(
        group.scores_.mean().to_numpy(), left_out.target_scores(), atol=1e-12
    )
    assert group.people_["p"].between(0.01, 1).all()
    assert (group.people_["p_floor"] < 0.1).all()
    assert group.prevalence()["n"] == 4
    # Another model, or another metric, has no null of its own.
    assert group_test(left_out, metric="pearson").people_["p"].isna().all()
    assert group_test(left_out, metric="pearson").prevalence() == {}
    with pytest.raises(ValueError, match="not R"):
        group_test(left_out, metric="r2")
    with pytest.raises(ValueError, match="No scores of 'x'"):
        group_test(left_out, model="x")


def only(result, person):
    """Cut one person out of a result, as evaluated alone."""
    rows = result.scores_[result.scores_["subject"] == person]
    recordings = result.recordings_[result.recordings_["subject"] == person]
    null = {person: result.people_null_[person]}
    return dataclasses.replace(result, scores_=rows, recordings_=recordings, people_null_=null)


def test_results_of_one_person_each(people):
    left_out = people[0]
    results = [only(left_out, f"sub-{i}") for i in range(4)]
    group = group_test(results)
    assert not group.shared_training
    together = group_test(left_out, shared_training=False)
    pd.testing.assert_frame_equal(group.people_, together.people_)
    other = results[2].scores_.copy()
    other["target"] = other["target"].replace("b", "x")
    results[2] = dataclasses.replace(results[2], scores_=other)
    with pytest.raises(ValueError, match="sub-2 and sub-0 differ in their targets: b, x"):
        group_test(results)
    with pytest.raises(ValueError, match=r"People occur twice: \['sub-0'\]"):
        group_test([results[0], results[0], results[1]])
    with pytest.raises(ValueError, match="one person each"):
        group_test([left_out, results[0]])
    with pytest.raises(ValueError, match="differ in model or metric"):
        group_test([results[0], dataclasses.replace(results[1], metric="pearson")])


def test_p_of_one_person_is_that_of_their_result(people):
    _, options, ridge, power, bolds = people
    halves = [power[0][..., :200], power[0][..., 200:]], [bolds[0][:100], bolds[0][100:]]
    result = evaluate(ridge, *halves, ["sub-0"] * 2, cv=KFold(2), **options)
    found = result.people_p().loc["sub-0"]
    np.testing.assert_allclose(found["p"], result.mean_null()[2])
    np.testing.assert_allclose(found["p_floor"], result.p_floor())


def test_neighbours_of_parcels():
    labels = np.zeros((7, 4, 2), dtype="int16")
    labels[0:2], labels[3:5, :2], labels[5:] = 2, 5, 9  # one voxel of background after the first
    labels[5:, 2:] = 0
    near = parcel_adjacency(nibabel.Nifti1Image(labels, np.eye(4))).toarray()
    np.testing.assert_array_equal(near, [[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    # Two triangles that share an edge, and one apart from them.
    points = np.random.default_rng(0).standard_normal((7, 3)).astype("float32")
    mesh = InMemoryMesh(points, np.array([[0, 1, 2], [1, 2, 3], [4, 5, 6]]))
    parts = {"left": np.array([1, 1, 1, 2, 3, 3, 3])}
    image = SurfaceImage(PolyMesh(left=mesh), parts)
    np.testing.assert_array_equal(
        parcel_adjacency(image).toarray(), [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    )
    with pytest.raises(ValueError, match="whole numbers"):
        parcel_adjacency(nibabel.Nifti1Image(labels + np.float32(0.5), np.eye(4)))
    with pytest.raises(ValueError, match="nothing but background"):
        parcel_adjacency(nibabel.Nifti1Image(0 * labels, np.eye(4)))
    with pytest.raises(ValueError, match="3-D"):
        parcel_adjacency(nibabel.Nifti1Image(np.ones((3, 3, 3, 2), "int16"), np.eye(4)))


@pytest.mark.parametrize(
    ("given", "options", "error", "words"),
    [
        (np.zeros((2, 4)), {}, ValueError, "at least three people"),
        (np.full((5, 4), np.nan), {}, ValueError, "at least three people"),
        (np.full((5, 4), 1.5), {}, ValueError, "from 1.5 to 1.5"),
        (np.full((5, 4), np.inf), {}, ValueError, "correlations"),
        (np.zeros(5), {}, TypeError, r"shape \(5,\)"),
        ("scores.csv", {}, TypeError, "got str"),
        ([], {}, TypeError, "got list"),
        (None, {}, TypeError, "got NoneType"),
        (np.zeros((5, 4), complex), {}, TypeError, "correlations"),
        (pd.DataFrame({"who": list("abc"), "x": 0.1}), {}, TypeError, "belong to its index"),
        (pd.DataFrame(np.zeros((3, 2)), list("aab")), {}, ValueError, "every person"),
        (np.zeros((5, 4)), {"adjacency": LINE}, ValueError, r"4 x 4 targets, got shape \(10, 10\)"),
        (np.zeros((5, 10)), {"threshold": "x"}, ValueError, "threshold"),
        (np.zeros((5, 10)), {"threshold": 2.5}, ValueError, "threshold"),
        (np.zeros((5, 10)), {"threshold": 0}, ValueError, "threshold must be at least"),
        (np.zeros((5, 10)), {"threshold": 1e-300}, ValueError, "threshold must be at least"),
        (np.zeros((5, 10)), {"threshold": "TFCE"}, ValueError, "one of 'tfce'"),
        (np.zeros((5, 10)), {"threshold": None}, TypeError, "threshold must be a number"),
        (np.zeros((5, 10)), {"shared_training": "yes"}, ValueError, "None, True, False"),
        (np.zeros((5, 10)), {"random_state": "a"}, TypeError, "random_state must be an integer"),
        (np.zeros((5, 2)), {"adjacency": np.full((2, 2), np.nan)}, ValueError, "NaN or infinite"),
        (np.zeros((5, 2)), {"adjacency": [["a", "b"]] * 2}, TypeError, "must hold numbers"),
        (np.zeros((5, 10)), {"alternative": "less"}, ValueError, "alternative"),
        (np.zeros((5, 10)), {"n_flips": 0}, ValueError, "n_flips"),
        (np.zeros((5, 10)), {"model": "ridge"}, ValueError, "model"),
    ],
)  # fmt: skip
def test_what_cannot_be_tested_is_refused(given, options, error, words):
    with pytest.raises(error, match=words):
        group_test(given, **options)


def test_scores_without_any_spread():
    group = group_test(np.zeros((6, 3)), adjacency=sparse.eye_array(3))
    assert (group.targets_["p_max"] == 1).all() and group.mean_["p"] == 1
    assert len(group.clusters_) == 0 and "Nothing was shown" in group.verdict
    same = group_test(np.full((6, 3), 0.1))
    assert same.mean_["p"] == 1 / 64 and np.isfinite(same.targets_["t"]).all()
    perfect = group_test(np.ones((6, 2)))
    assert np.isfinite(perfect.targets_["t"]).all()


@pytest.mark.parametrize("threshold", [0.01, "tfce"])
def test_targets_that_too_few_people_have(threshold):
    r = np.full((4, 10), np.nan)
    r[:2, :5], r[2:, 5:] = 0.1, 0.2
    group = group_test(r, adjacency=LINE, threshold=threshold)
    assert not group.passing and group.targets_["p"].isna().all() and group.mean_["p"] == 1 / 16
    assert "Not tested, with fewer than three people: target 1, " in group.verdict
    # Three people each: without one of them nothing can be tested.
    r = np.full((6, 10), np.nan)
    r[:3, :5], r[3:, 5:] = 0.1, 0.2
    assert (group_test(r, adjacency=LINE, threshold=threshold).people_["n_without"] == 0).all()


def test_masked_scores_are_missing():
    r = scores(8)
    masked = np.ma.masked_array(r, r > 0.1)
    pd.testing.assert_frame_equal(
        group_test(masked).targets_, group_test(np.where(r > 0.1, np.nan, r)).targets_
    )
    # What float32 makes of a perfect correlation.
    assert group_test(np.full((6, 2), 1.0000001)).passing
