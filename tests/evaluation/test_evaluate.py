"""`evaluate`: what it finds where the truth is known, that nothing leaks, and what it refuses."""

import warnings

import joblib
import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, LeaveOneGroupOut
from small_worlds import FrameRidge, autocorrelated, simulate, windows_of

from mne_samba.baselines import BandPowerRidge
from mne_samba.evaluation import LeakageWarning, evaluate
from mne_samba.metrics import cosine_drift, spearman
from mne_samba.model_selection import BlockedTimeSplit


def run(*args, **kwargs):
    kwargs = {"baselines": ("mean",), "n_shifts": 39, "verbose": False, **kwargs}
    return evaluate(*args, **kwargs)


def test_people_left_out(world):
    signals, targets, clean = world
    result = run(FrameRidge(), signals, targets, clean=clean, baselines=("mean", "time"))
    table = result.to_frame()
    assert set(table["model"]) == {
        "FrameRidge",
        "null: shuffled_pairing",
        "mean",
        "time",
        "ceiling",
    }
    assert len(table[(table["model"] == "FrameRidge") & (table["metric"] == "spearman")]) == 3 * 5
    # By hand: fold 0 tests the first person.
    model = FrameRidge().fit(signals[1:], targets[1:])
    drift = np.column_stack([cosine_drift(300, 2.0), np.vander(np.linspace(-1, 1, 300), 4)])
    remove = np.eye(300) - drift @ np.linalg.pinv(drift)
    expected = spearman(remove @ targets[0], remove @ model.predict(signals[:1])[0])
    rows = table[
        (table["model"] == "FrameRidge") & (table["metric"] == "spearman") & (table["fold"] == 0)
    ]
    np.testing.assert_allclose(rows["score"], expected)
    np.testing.assert_allclose(result.predictions_["FrameRidge"][0], model.predict(signals[:1])[0])

    summary = result.summary()
    ceiling = summary.loc["ceiling", "mean"]
    assert 0.3 < summary.loc["FrameRidge", "mean"] <= ceiling
    assert summary.loc["FrameRidge", "clean_spearman"] > 0.9
    assert abs(summary.loc["null: shuffled_pairing", "mean"]) < 0.1
    assert abs(summary.loc["null: circular_shift", "mean"]) < 0.05
    assert (summary.loc[["mean"], ["mean", "pearson"]] == 0).all(axis=None)
    assert summary.loc["mean", "r2"] == pytest.approx(0, abs=1e-9)
    assert summary.loc["FrameRidge", "p"] == 1 / 40
    assert (result.p_values_.query("model == 'FrameRidge'")["p_max"] <= 0.05).all()
    group = result.group_statistics()
    assert group.loc["FrameRidge", "unit"] == "subject" and group.loc["FrameRidge", "n"] == 3
    difference = result.compare("FrameRidge", "time")
    assert difference["ci_low"] > 0


def test_blocks_of_one_person():
    signals, targets, _ = simulate(n_people=1, n_frames=600, seed=3)
    X = windows_of([s.T for s in signals], 20).transpose(0, 2, 1)
    y = windows_of(targets, 20)
    result = run(FrameRidge(), X, y)
    table = result.to_frame().query("model == 'FrameRidge' and metric == 'spearman'")
    assert sorted(table["fold"].unique()) == [0, 1, 2, 3, 4]
    assert (table["n_frames"] == 120).all()
    assert np.isfinite(result.predictions_["FrameRidge"][0]).all()
    assert table["score"].mean() > 0.3
    # Predictions come back in order of time: a recording's worth of them correlates with y.
    assert spearman(targets[0], result.predictions_["FrameRidge"][0]).mean() > 0.3


def test_order_of_windows_does_not_matter():
    signals, targets, _ = simulate(n_people=1, n_frames=600, seed=3)
    X = windows_of([s.T for s in signals], 20).transpose(0, 2, 1)
    y = windows_of(targets, 20)
    table = pd.DataFrame({"onset": np.arange(30) * 40.0, "frame": np.arange(30) * 20})
    table = table.assign(t_r=2.0, n_frames=20, context=0.0, subject="a")
    import mne

    epochs = mne.EpochsArray(
        X, mne.create_info(4, 0.5, "eeg"), tmin=0.0, metadata=table, verbose=False
    )

    class EpochsRidge(FrameRidge):
        def fit(self, X, y):
            return super().fit(X.get_data(), y)

        def predict(self, X):
            return super().predict(X.get_data())

    order = np.random.default_rng(0).permutation(30)
    first = run(EpochsRidge(), epochs, y, nulls=())
    second = run(EpochsRidge(), epochs[order], y[order], nulls=())
    np.testing.assert_allclose(
        first.summary()["mean"].to_numpy(), second.summary()["mean"].to_numpy(), atol=1e-9
    )
    third = run(FrameRidge(), X, y, nulls=(), context=0.0)
    np.testing.assert_allclose(
        first.summary()["mean"].to_numpy(), third.summary()["mean"].to_numpy(), atol=1e-9
    )


def test_noise_scores_zero_and_is_not_significant():
    scores, p = [], []
    for seed in range(4):
        signals, targets, _ = simulate(strength=0.0, seed=seed)
        result = run(FrameRidge(), signals, targets, nulls=("circular_shift",))
        summary = result.summary()
        scores.append(summary.loc["FrameRidge", "mean"])
        p.append(summary.loc["FrameRidge", "p"])
    assert abs(np.mean(scores)) < 0.03
    assert max(p) > 0.1


def test_training_sees_training_samples_alone():
    """A model that remembers what it was given meets none of it again."""
    signals, targets, _ = simulate(n_people=4, n_frames=200)
    seen = []

    class Spy(FrameRidge):
        def fit(self, X, y):
            seen.append(("fit", {float(x[0, 0]) for x in X}, {float(part[0, 0]) for part in y}))
            return super().fit(X, y)

        def predict(self, X):
            seen.append(("predict", {float(x[0, 0]) for x in X}, None))
            return super().predict(X)

    run(Spy(), signals, targets, nulls=())
    assert len(seen) == 8
    for fit, predict in zip(seen[::2], seen[1::2], strict=True):
        assert not fit[1] & predict[1] and len(fit[1]) == 3 and len(fit[2]) == 3


def test_scrubbed_frames_and_incomplete_history_do_not_count(world):
    signals, targets, _ = world
    targets = [target.copy() for target in targets]
    targets[1][50:60] = np.nan
    result = run(FrameRidge(hrf_length=30.0), signals, targets, nulls=())
    rows = result.to_frame().query("model == 'FrameRidge' and metric == 'spearman'")
    counts = rows.groupby("fold")["n_frames"].first().tolist()
    assert counts == [285, 275, 285]
    assert rows["score"].notna().all()
    nulls = run(FrameRidge(), signals, targets).summary()
    assert nulls.loc["FrameRidge", "p"] == 1 / 40


# Three people of 200 frames look alike by chance.
@pytest.mark.filterwarnings("ignore:People share a segment")
def test_scores_are_those_of_the_estimator(people):
    """Drift is fitted to the same frames in the same way by ``score`` and ``evaluate``."""
    bolds = [bold.copy() for bold in people.bolds]
    bolds[0][70:90] = np.nan
    model = BandPowerRidge(t_r=2.0)
    result = run(model, people.raws, bolds, baselines=(), nulls=())
    scores = result.to_frame().query("metric == 'spearman' and fold == 0")["score"]
    own = model.fit(people.raws[1:], bolds[1:]).score_targets(people.raws[:1], bolds[:1])
    np.testing.assert_allclose(scores, own, atol=1e-10)


def test_predictions_that_run_past_the_scan_are_cut(world):
    signals, targets, _ = world
    short = [target[:250] for target in targets]

    class Long(FrameRidge):
        def fit(self, X, y):
            return super().fit([x[:, :250] for x in X], y)

    result = run(Long(), signals, short, nulls=())
    assert result.predictions_["Long"][0].shape == (250, 5)


def test_confounds_that_drive_both_sides():
    """Motion makes raw scores; nothing is left once it is partialled out."""
    rng = np.random.default_rng(0)
    raw, partial, p = [], [], []
    for _ in range(3):
        signals, targets, confounds = [], [], []
        weights_x, weights_y = rng.standard_normal((2, 3)), rng.standard_normal((2, 4))
        for _ in range(3):
            motion = autocorrelated(rng, 300, 2)
            confounds.append(motion)
            signals.append((motion @ weights_x + autocorrelated(rng, 300, 3)).T)
            targets.append(motion @ weights_y + autocorrelated(rng, 300, 4))
        result = run(FrameRidge(), signals, targets, confounds=confounds)
        summary = result.summary()
        raw.append(summary.loc["FrameRidge", "mean"])
        partial.append(summary.loc["FrameRidge", "partial_spearman"])
        p.append(result.p_values_.query("model == 'partial'")["p"].to_numpy())
        assert summary.loc["confounds", "mean"] > 0.4
        if result.mean_null("partial")[2] > 0.05:
            assert result.verdict.startswith("Nothing was shown beyond the confounds")
            assert result.verdict.endswith("must not be interpreted.")
        assert summary.loc["confounds", "partial_pearson"] == pytest.approx(0, abs=1e-9)
    assert np.mean(raw) > 0.3
    assert abs(np.mean(partial)) < 0.03
    assert (np.concatenate(p) <= 0.05).mean() < 0.3


def test_partialling_keeps_what_confounds_do_not_explain(world):
    signals, targets, _ = world
    rng = np.random.default_rng(5)
    confounds = [rng.standard_normal((300, 3)) for _ in range(3)]
    confounds[0][0, 1] = np.nan  # derivatives have no first value
    summary = run(FrameRidge(), signals, targets, confounds=confounds, nulls=()).summary()
    mean = summary.loc["FrameRidge", "mean"]
    assert summary.loc["FrameRidge", "partial_spearman"] == pytest.approx(mean, abs=0.03)


def test_same_result_in_parallel():
    """In threads; over processes, see tests/test_parallel.py."""
    signals, targets, _ = simulate(n_people=6, n_frames=120)
    one = run(FrameRidge(), signals, targets, n_jobs=1)
    with joblib.parallel_config(backend="threading"):
        two = run(FrameRidge(), signals, targets, n_jobs=2)
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame(), check_exact=True)
    np.testing.assert_array_equal(one.null_["FrameRidge"], two.null_["FrameRidge"])


@pytest.mark.parametrize(("verbose", "n_told"), [("info", 0), ("debug", 6), ("error", 0)])
def test_what_fits_say_is_not_repeated_for_every_fold(world, verbose, n_told):
    class Talking(FrameRidge):
        def fit(self, X, y):
            mne.utils.logger.info("Told by a fit.")
            return super().fit(X, y)

    signals, targets, _ = world
    with mne.utils.catch_logging(verbose=verbose) as log:
        run(Talking(), signals, targets, verbose=verbose)
    said = log.getvalue()
    assert said.count("Told by a fit.") == n_told
    assert said.count("6 fits, 3 folds") == (verbose != "error")


def test_resumes_from_the_cache(world, tmp_path):
    signals, targets, _ = world
    fits = []

    class Counted(FrameRidge):
        def fit(self, X, y):
            fits.append(1)
            if len(fits) == 5:
                raise KeyboardInterrupt
            return super().fit(X, y)

    with pytest.raises(KeyboardInterrupt):
        run(Counted(), signals, targets, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 4 and not list(tmp_path.glob("*.tmp"))
    result = run(Counted(), signals, targets, cache=tmp_path)
    assert len(fits) == 5 + 2  # six fits, four of them kept
    expected = run(FrameRidge(), signals, targets)
    np.testing.assert_array_equal(result.scores_["score"], expected.scores_["score"])
    run(Counted(alpha=5.0), signals, targets, cache=tmp_path)
    assert len(fits) == 7 + 6  # other parameters, other fits
    damaged = next(iter(sorted(tmp_path.glob("*.npz"))))
    damaged.write_bytes(b"not an archive")
    run(Counted(), signals, targets, cache=tmp_path)
    run(Counted(alpha=5.0), signals, targets, cache=tmp_path)
    assert len(fits) == 13 + 1


def test_the_cache_knows_bad_spans_from_good_ones(tmp_path):
    rng = np.random.default_rng(0)
    info = mne.create_info(3, 20.0, "eeg")
    raws = [mne.io.RawArray(rng.standard_normal((3, 6000)), info, verbose=False) for _ in "ab"]
    bolds = [rng.standard_normal((150, 2)) for _ in raws]
    bands = {"theta": (4.0, 8.0)}
    model = BandPowerRidge(t_r=2.0, bands=bands)
    options = {"cache": tmp_path, "nulls": (), "baselines": ()}
    first = run(model, raws, bolds, **options)
    for raw in raws:
        raw.set_annotations(mne.Annotations([100.0], [60.0], ["BAD_movement"]))
    second = run(model, raws, bolds, **options)
    assert not np.array_equal(first.scores_["score"], second.scores_["score"])
    np.testing.assert_array_equal(
        second.scores_["score"],
        run(model, raws, bolds, **options | {"cache": None}).scores_["score"],
    )
    assert len(list(tmp_path.glob("*.npz"))) == 4


def test_own_baselines_and_random_state(world):
    signals, targets, _ = world

    class Noisy(FrameRidge):
        def __init__(self, t_r=2.0, random_state=None):
            super().__init__(t_r=t_r)
            self.random_state = random_state

        def predict(self, X):
            rng = np.random.default_rng(self.random_state)
            return [p + rng.standard_normal(p.shape) for p in super().predict(X)]

    kwargs = {"baselines": {"weak": FrameRidge(alpha=1e6), "noisy": Noisy()}}
    first = run(FrameRidge(), signals, targets, **kwargs)
    second = run(FrameRidge(), signals, targets, **kwargs)
    assert first.models_ == ["FrameRidge", "weak", "noisy", "null: shuffled_pairing"]
    pd.testing.assert_frame_equal(first.scores_, second.scores_)


def test_names_of_targets_travel(world):
    signals, targets, _ = world
    names = [f"region {i}" for i in range(5)]
    frames = [pd.DataFrame(target, columns=names) for target in targets]
    result = run(FrameRidge(), signals, frames, nulls=())
    assert result.target_names_ == names
    assert list(result.to_frame()["target"].unique()) == names
    unnamed = run(FrameRidge(), signals, targets, nulls=())
    assert unnamed.target_names_[:2] == ["target000", "target001"]  # as in fitted models


def shared_world(share, n_people=4, n_frames=300):
    rng = np.random.default_rng(0)
    stimulus = autocorrelated(rng, n_frames, 4)
    signals = [autocorrelated(rng, n_frames, 3).T for _ in range(n_people)]
    targets = [share * stimulus + autocorrelated(rng, n_frames, 4) for _ in range(n_people)]
    return signals, targets


def test_warns_of_a_shared_stimulus():
    signals, targets = shared_world(1.0)
    with pytest.warns(LeakageWarning, match="People share a segment"):
        result = run(FrameRidge(), signals, targets, baselines=("stimulus_average",))
    assert result.summary().loc["stimulus_average", "mean"] > 0.4
    # Shuffled pairing turns time, so that what people share does not pass for pairing.
    assert abs(result.summary().loc["null: shuffled_pairing", "mean"]) < 0.1
    signals, targets = shared_world(0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(FrameRidge(), signals, targets)


def test_warns_of_interleaved_windows():
    signals, targets, _ = simulate(n_people=1, n_frames=600)
    X, y = windows_of([signals[0].T], 20).transpose(0, 2, 1), windows_of(targets, 20)
    with pytest.warns(LeakageWarning, match="Same recording on both sides too close"):
        run(FrameRidge(), X, y, cv=KFold(5, shuffle=True, random_state=0), nulls=())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(FrameRidge(), X, y, cv=BlockedTimeSplit(5), nulls=())


def test_warns_of_duplicated_windows():
    signals, targets, _ = simulate(n_people=2, n_frames=400)
    X = windows_of([s.T for s in signals], 20).transpose(0, 2, 1)
    y = windows_of(targets, 20)
    X[25], y[25] = X[3], y[3]
    groups = np.repeat(["a", "b"], 20)
    with pytest.warns(LeakageWarning, match="Duplicated windows"):
        run(FrameRidge(), X, y, groups, cv=LeaveOneGroupOut(), nulls=())


class EpochsRidge(FrameRidge):
    def fit(self, X, y):
        return super().fit(X.get_data(), y)

    def predict(self, X):
        return super().predict(X.get_data())


def epochs_of(X, metadata):
    info = mne.create_info(X.shape[1], 0.5, "eeg")
    metadata = metadata.reset_index(drop=True)
    return mne.EpochsArray(X, info, tmin=0.0, metadata=metadata, verbose=False)


def test_warns_by_the_name_of_the_stimulus():
    signals, targets, _ = simulate(n_people=2, n_frames=400)
    X = windows_of([s.T for s in signals], 20).transpose(0, 2, 1)
    y = windows_of(targets, 20)
    table = pd.DataFrame(
        {
            "subject": np.repeat(["a", "b"], 20),
            "onset": np.tile(np.arange(20) * 40.0, 2),
            "frame": np.tile(np.arange(20) * 20, 2),
            "stimulus": "film",
        }
    ).assign(t_r=2.0, n_frames=20, context=0.0)

    with pytest.warns(LeakageWarning, match="show the stimulus that is tested"):
        run(EpochsRidge(), epochs_of(X, table), y, nulls=())
    table["stimulus"] = table["subject"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(EpochsRidge(), epochs_of(X, table), y, nulls=())


def test_windows_that_are_missing_do_not_shift_a_recording():
    signals, targets = shared_world(1.0)
    X = windows_of([s.T for s in signals], 20).transpose(0, 2, 1)
    y = windows_of(targets, 20)
    frame = np.tile(np.arange(15) * 20, 4)
    table = pd.DataFrame({"subject": np.repeat(list("abcd"), 15), "frame": frame})
    table = table.assign(recording=np.repeat(range(4), 15), onset=2.0 * frame, t_r=2.0, context=0.0)
    kept = ~((table["subject"] == "b") & (frame < 40))  # an artefact at the start
    with pytest.warns(LeakageWarning, match="People share a segment"):
        result = run(
            EpochsRidge(), epochs_of(X[kept], table[kept]), y[kept], nulls=(),
            baselines=("stimulus_average",),
        )  # fmt: skip
    scores = result.to_frame().query("model == 'stimulus_average' and metric == 'spearman'")
    assert (scores.groupby("subject")["score"].mean() > 0.4).all()
    # Rows of predictions and measurements say which frames they are.
    assert result.recordings_["first_frame"].tolist() == [0, 40, 0, 0]
    assert len(result.predictions_["EpochsRidge"][1]) == 260


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"nulls": ("phase",)}, "nulls must be"),
        ({"nulls": "circular_shift"}, "nulls must be"),
        ({"baselines": ("best",)}, "Unknown baseline 'best'"),
        ({"metrics": ("accuracy",)}, "metrics must be among"),
        ({"n_shifts": 0}, "n_shifts must be"),
        ({"groups": ["a", "a", "a"]}, "Only one group"),
        ({"groups": ["a", "a", "a"], "cv": LeaveOneGroupOut()}, "Only one group"),
        ({"groups": ["a"]}, "one value per sample"),
        ({"confounds": [np.zeros((300, 2))]}, "one entry per sample"),
        ({"confounds": [np.zeros((9, 2))] * 3}, "frames of y"),
        ({"clean": [np.zeros((300, 2))] * 3}, "shape of y"),
        ({"detrend": "quadratic"}, "must be 'cosine'"),
        ({"min_shift": 400.0}, "cannot be shifted"),
        ({"target_names": ["a"]}, "target_names"),
        ({"t_r": -2.0}, "t_r must be positive"),
    ],
)
def test_refuses_before_any_fit(world, kwargs, message):
    signals, targets, _ = world

    class Untouched(FrameRidge):
        def fit(self, X, y):
            raise AssertionError("fitted before the check")

    with pytest.raises(ValueError, match=message):
        run(Untouched(), signals, targets, **kwargs)


def test_refuses_more_confounds_than_frames(world):
    signals, targets, _ = world
    confounds = [np.random.default_rng(0).standard_normal((300, 400)) for _ in range(3)]
    with pytest.raises(ValueError, match="More confounds than frames"):
        run(FrameRidge(), signals, targets, confounds=confounds)


def test_refuses_constant_targets_and_short_blocks(world):
    signals, targets, _ = world
    with pytest.raises(ValueError, match="All targets are constant"):
        run(FrameRidge(), signals, [np.ones((300, 2))] * 3)
    X = np.random.default_rng(0).standard_normal((6, 3, 10))
    y = np.random.default_rng(1).standard_normal((6, 10, 2))
    with pytest.raises(ValueError, match="too short for the gap"):
        run(FrameRidge(), X, y, cv=BlockedTimeSplit(3, gap=60.0))
    with pytest.raises(ValueError, match="whole history"):
        run(FrameRidge(hrf_length=1000.0), signals, targets)


def test_ridges_need_a_translator_that_knows_its_frames(world):
    from sklearn.linear_model import Ridge

    with pytest.raises(ValueError, match="reads t_r from the translator"):
        evaluate(Ridge(), world[0], world[1], t_r=2.0)
    with pytest.raises(ValueError, match="seconds between frames"):
        run(Ridge(), world[0], world[1])
