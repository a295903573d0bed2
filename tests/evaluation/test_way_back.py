"""`evaluate` from BOLD to band power: the same table, the scores of `InverseTranslator.score`."""

import mne
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_validate

from mne_samba import InverseCoreModel, InverseTranslator, Reader, make_windows
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import (
    ConformalRegressor,
    evaluate,
    interval_coverage,
    learning_curve_minutes,
    out_of_block_residuals,
)
from mne_samba.metrics import cosine_drift, detrend, spearman
from mne_samba.model_selection import BlockedTimeSplit
from mne_samba.report import add_to_report

BANDS = ["delta", "theta", "alpha", "beta", "gamma"]
CORE = InverseCoreModel(map_prior="gaussian", target_bands=False)
MODEL = InverseTranslator(t_r=2.0, model=CORE, random_state=0)
METRICS = ["spearman", "pearson", "r2"]


def run(*args, **kwargs):
    return evaluate(*args, **{"n_shifts": 19, "verbose": False, **kwargs})


@pytest.fixture(scope="module")
def people():
    """Three people of 400 s, 4 nodes that 8 regions see."""
    return simulate_paired(
        3, 400.0, level="source", n_sources=4, n_targets=8, snr=4.0, sfreq=100.0, random_state=0
    )


@pytest.fixture(scope="module")
def windows(people):
    epochs, y = make_windows(
        people.raws, people.bolds, t_r=2.0, window=40.0, subject=list(people.subjects)
    )
    return epochs, y, np.asarray(epochs.metadata["subject"])


@pytest.fixture(scope="module")
def result(people):
    return run(MODEL, people.bolds, people.raws, t_r=2.0)


def rows_of(result, model="InverseTranslator", metric="spearman"):
    return result.to_frame().query("model == @model and metric == @metric")


def test_recordings_are_left_out_as_on_the_way_there(people, result):
    names = [f"{channel} {band}" for channel in people.raws[0].ch_names for band in BANDS]
    assert result.target_names_ == names
    assert set(result.models_) == {
        "InverseTranslator", "null: shuffled_pairing", "mean", "time"
    }  # fmt: skip
    rows = rows_of(result)
    assert list(rows.columns) == [
        "model", "metric", "fold", "subject", "recording", "target", "score", "n_frames"
    ]  # fmt: skip
    assert rows["fold"].unique().tolist() == [0, 1, 2]
    # Bins whose response, nine frames, is cut off at the end do not count.
    assert (rows["n_frames"] == 200 - 9).all()
    assert result.predictions_["InverseTranslator"][0].shape == (200, len(names))
    assert result.quantity == "log power"


def test_scores_stand_out_from_their_nulls(result):
    summary = result.summary()
    assert summary.loc["InverseTranslator", "mean"] > 0.1
    assert summary.loc["InverseTranslator", "p"] == 1 / 20
    for null in ("null: circular_shift", "null: shuffled_pairing"):
        assert abs(summary.loc[null, "mean"]) < 0.05
    assert summary.loc["mean", "mean"] == 0
    assert result.group_statistics().loc["InverseTranslator", "unit"] == "subject"


def by_hand(true, pred):
    """Spearman correlations without drift, the cubic included, on bins with a whole response."""
    true, pred = (part.reshape(-1, part.shape[-1]).T.copy() for part in (true, pred))
    frames = np.flatnonzero(np.isfinite(true[:, 0]))
    n = frames[-1] + 10
    drift = np.column_stack([cosine_drift(n, 2.0), np.vander(np.linspace(-1, 1, n), 4)])[frames]
    remove = np.eye(len(frames)) - drift @ np.linalg.pinv(drift)
    return spearman(remove @ true[frames], remove @ pred[frames])


def drifting_target(bold, ele, tested):
    """Band power that was tested, standardised with its drift."""
    plain = clone(MODEL).set_params(reader=Reader(detrend=None)).fit(bold, ele)
    true = plain.target_from(tested)
    true[..., -9:] = np.nan
    return true


def test_scores_of_recordings_by_hand(people, result):
    fitted = clone(MODEL).fit(people.bolds[1:], people.raws[1:])
    true = drifting_target(people.bolds[1:], people.raws[1:], people.raws[0])
    pred = fitted.predict(people.bolds[0])
    fold = rows_of(result).query("fold == 0")["score"]
    np.testing.assert_allclose(fold, by_hand(true, pred), atol=1e-10)
    own = fitted.score_targets(people.bolds[0], people.raws[0])
    np.testing.assert_allclose(own.ravel(), fold, atol=1e-6)
    assert fold.mean() == pytest.approx(fitted.score(people.bolds[0], people.raws[0]), abs=1e-6)


def scores_of(model, X, y):
    scores = {name: model.score_targets(X, y, metric=name).mean() for name in METRICS}
    return scores | {"own": model.score(X, y)}


@pytest.mark.parametrize("scrubbed", [False, True])
def test_one_rule_for_score_cross_validation_and_evaluate(people, result, scrubbed):
    bolds = [bold.copy() for bold in people.bolds]
    if scrubbed:
        bolds[0][50:60] = np.nan
        result = run(MODEL, bolds, people.raws, t_r=2.0, nulls=(), baselines=())
    found = cross_validate(MODEL, bolds, people.raws, cv=KFold(3), scoring=scores_of)
    for name in (*METRICS, "own"):
        rows = rows_of(result, metric="spearman" if name == "own" else name)
        scores = rows.groupby("fold")["score"].mean()
        np.testing.assert_allclose(found[f"test_{name}"], scores, atol=1e-6)


@pytest.mark.parametrize("drifting", [False, True])
def test_scores_of_windows_by_hand(people, drifting):
    """A window does not tell drift from signal: its recording does."""
    drift = 100 * drifting * np.linspace(0, 1, 200)[:, np.newaxis] ** 2
    epochs, y = make_windows(people.raws[0], people.bolds[0] + drift, t_r=2.0, window=40.0)
    train, test = np.arange(5), np.arange(6, len(epochs))
    result = run(MODEL, y, epochs, cv=[(train, test)], nulls=(), baselines=())
    fitted = clone(MODEL).fit(y[train], epochs[train])
    clean = detrend(y[test].reshape(-1, 8), 2.0).reshape(y[test].shape)
    pred = fitted.predict(clean + y[train].mean(axis=(0, 1)))
    true = drifting_target(y[train], epochs[train], epochs[test])
    expected = by_hand(*(part.transpose(1, 2, 0, 3).reshape(4, 5, -1) for part in (true, pred)))
    np.testing.assert_allclose(rows_of(result)["score"], expected, atol=1e-10)
    own = fitted.score_targets(y[test], epochs[test])
    np.testing.assert_allclose(own.ravel(), expected, atol=1e-6)


def test_windows_that_overlap_are_scored_by_the_same_rule(people):
    """Their bins are averaged, each where its whole response was measured.

    Of a whole recording: of one that is split, `evaluate` averages over windows of both sides.
    """
    epochs, y = make_windows(
        people.raws, people.bolds, t_r=2.0, window=40.0, step=10.0, subject=list(people.subjects)
    )
    new = np.asarray(epochs.metadata["subject"]) == people.subjects[0]
    train, test = np.flatnonzero(~new), np.flatnonzero(new)
    result = run(MODEL, y, epochs, cv=[(train, test)], nulls=(), baselines=())
    fitted = clone(MODEL).fit(y[train], epochs[train])
    for metric in ("spearman", "pearson"):
        own = fitted.score_targets(y[test], epochs[test], metric)
        np.testing.assert_allclose(own.ravel(), rows_of(result, metric=metric)["score"], atol=1e-6)


def test_windows_of_people_and_blocks(people, windows):
    epochs, y, subject = windows
    options = {"nulls": ("circular_shift",), "baselines": ("time",)}
    across = run(MODEL, y, epochs, **options)
    assert set(rows_of(across)["subject"]) == set(subject)
    assert across.summary().loc["InverseTranslator", "mean"] > 0.05
    one = subject == subject[0]
    within = run(MODEL, y[one], epochs[one], cv=BlockedTimeSplit(3), **options)
    assert len(within.measured_) == 1
    assert np.isfinite(rows_of(within)["score"]).all()
    # 40 s windows of 20 frames, of which 9 have no whole response.
    assert rows_of(within)["n_frames"].sum() == one.sum() * 11 * len(within.target_names_)


def test_ridges_of_bold_are_no_baselines_here(people):
    with pytest.raises(ValueError, match=r"'ridge_fir' predicts BOLD .* way back"):
        run(MODEL, people.bolds, people.raws, baselines=("ridge_fir",))
    quick = clone(MODEL).set_params(model="paper", trainer__max_epochs=1)
    raws = [raw.copy().crop(0, 200, include_tmax=False) for raw in people.raws[:2]]
    bolds = [bold[:100] for bold in people.bolds[:2]]
    result = run(MODEL, bolds, raws, baselines={"paper": quick}, nulls=())
    assert result.models_ == ["InverseTranslator", "paper"]


def test_regions_and_frames_that_are_missing(people):
    bolds = [bold.copy() for bold in people.bolds]
    bolds[0][:, 2] = np.nan
    bolds[1][50:60] = np.nan
    options = {"cv": [([0, 1], [2]), ([1, 2], [0])], "nulls": ("shuffled_pairing",)}
    result = run(MODEL, bolds, people.raws, baselines=(), **options)
    assert np.isfinite(rows_of(result)["score"]).all()


def test_residuals_and_intervals(people):
    residuals = out_of_block_residuals(MODEL, people.bolds, people.raws)
    assert [part.shape for part in residuals] == [(200, 20)] * 3
    assert all(np.isnan(part[-9:]).all() for part in residuals)
    model = ConformalRegressor(MODEL).fit(people.bolds[:2], people.raws[:2])
    low, high = model.predict_interval(people.bolds[2:], coverage=0.9)
    assert low[0].shape == high[0].shape == (4, 5, 200)
    (true,) = model.estimator_.target_from(people.raws[2:])
    true, low, high = (part[..., :191].reshape(20, -1).T for part in (true, low[0], high[0]))
    assert 0.85 <= np.median(interval_coverage(true, low, high)) <= 0.95
    prediction, std = model.predict(people.bolds[2:], return_std=True)
    assert prediction[0].shape == (4, 5, 200) and std.shape == (4, 5)


@pytest.mark.parametrize("cut", ["recordings", "windows"])
def test_learning_curve(people, windows, cut):
    X, y = people.bolds, people.raws
    if cut == "windows":
        y, X, _ = windows
    fold = [(np.arange(2 * len(X) // 3), np.arange(2 * len(X) // 3, len(X)))]
    curve = learning_curve_minutes(MODEL, X, y, cv=fold, minutes=[4.0, 12.0], verbose=False)
    assert curve.to_frame()["minutes"].tolist() == pytest.approx([4.0, 12.0])
    assert np.isfinite(curve.scores_["score"]).all()


def test_the_report_says_what_was_predicted(result):
    report = add_to_report(mne.Report(verbose="ERROR"), result)
    text = "".join(report.html)
    assert "Predicted and measured log power" in text
    assert "Predicted and measured BOLD" not in text


def test_modalities_that_are_swapped_are_refused(people, windows):
    epochs, y, _ = windows
    for X, other in ((people.raws, people.bolds), (epochs, y)):
        with pytest.raises(ValueError, match="swapped"):
            run(MODEL, X, other)
    with pytest.raises(ValueError, match="y is one recording"):
        run(MODEL, people.bolds[0], people.raws[0])


def test_fits_are_found_in_the_cache(people, tmp_path):
    options = {"cache": tmp_path, "nulls": (), "baselines": ()}
    bolds, raws = people.bolds[:2], people.raws[:2]
    first, again = (run(MODEL, bolds, raws, **options) for _ in range(2))
    np.testing.assert_array_equal(first.scores_["score"], again.scores_["score"])
    run(MODEL, [bold[:, ::-1] for bold in bolds], raws, **options)
    run(clone(MODEL).set_params(reader=Reader(detrend="linear")), bolds, raws, **options)
    assert len(list(tmp_path.glob("*.npz"))) == 2 * 3
