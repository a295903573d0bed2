import numpy as np
import pandas as pd
import pytest
from assemble import assemble

from mne_samba import SambaTranslator, read_samba
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import evaluate

OPTIONS = {"t_r": 2.0, "corrections": "never", "core": "quick", "random_state": 0,
           "verbose": "ERROR"}  # fmt: skip


@pytest.fixture(scope="module")
def gaps(people):
    """BOLD of three people; the second lacks region 2, the third regions 2 and 5."""
    bolds = [bold.copy() for bold in people.bolds]
    bolds[1][:, 2] = np.nan
    bolds[2][:, [2, 5]] = np.nan
    bolds[0][50:53] = np.nan
    return bolds


@pytest.fixture(scope="module")
def fitted_gaps(people, gaps):
    return assemble(**OPTIONS).fit(people.raws, gaps)


@pytest.fixture(scope="module")
def whole(people):
    return assemble(**OPTIONS).fit(people.raws, people.bolds)


def test_missing_regions_do_not_shrink_the_model(people, gaps, fitted_gaps, whole):
    """What is missing is left out: as if the region had been learnt from the others alone."""
    alone = assemble(**OPTIONS).fit(people.raws[:1], gaps[:1])
    zeros = [np.nan_to_num(g, nan=0.0) + 1e-9 * b for g, b in zip(gaps, people.bolds, strict=True)]
    shrunk = assemble(**OPTIONS).fit(people.raws, zeros)

    def size(translator):
        frames = translator.predict(people.raws[0])
        return np.std(frames[:, 2]) / np.std(frames[:, 0])

    assert size(fitted_gaps) == pytest.approx(size(alone), rel=0.4)
    assert size(fitted_gaps) == pytest.approx(size(whole), rel=0.4)
    assert size(shrunk) < 0.6 * size(fitted_gaps)


def test_other_regions_hardly_change(people, fitted_gaps, whole):
    kept = [0, 1, 3, 4, 6, 7, 8, 9]
    a, b = (t.predict(people.raws[0])[:, kept] for t in (whole, fitted_gaps))
    assert all(np.corrcoef(x, y)[0, 1] > 0.95 for x, y in zip(a.T, b.T, strict=True))


def test_scores_leave_out_what_was_not_measured(people, gaps, fitted_gaps):
    scores = fitted_gaps.score_targets([people.raws[1]], [gaps[1]])
    assert np.isnan(scores[2]) and np.isfinite(np.delete(scores, 2)).all()
    assert fitted_gaps.score([people.raws[1]], [gaps[1]]) == pytest.approx(np.nanmean(scores))
    assert np.isfinite(fitted_gaps.score_targets(people.raws, gaps)).all()


def test_everything_published_is_finite(people, gaps, fitted_gaps, tmp_path):
    assert np.isfinite(fitted_gaps.patterns_).all() and np.isfinite(fitted_gaps.hrf_params_).all(
        axis=None
    )
    _, std = fitted_gaps.predict(people.raws[0], return_std=True)
    assert np.isfinite(std).all()
    low, high = fitted_gaps.predict_interval(people.raws[0])
    assert (low < high).all()
    fitted_gaps.save(tmp_path / "m.samba")
    again = read_samba(tmp_path / "m.samba")
    np.testing.assert_array_equal(
        again.predict(people.raws[0]), fitted_gaps.predict(people.raws[0])
    )


def test_corrections_train_on_what_is_there(people, gaps):
    translator = assemble(
        **{**OPTIONS, "corrections": "always"}, max_epochs=2
    ).fit(people.raws, gaps)  # fmt: skip
    assert all(np.isfinite(row["train_loss"]) for row in translator.history_)
    assert np.isfinite(translator.predict(people.raws[1])).all()


def test_a_region_that_nobody_has_is_refused(people, gaps):
    bolds = [pd.DataFrame(g).assign(**{"nobody": np.nan}) for g in gaps]
    with pytest.raises(ValueError, match=r"'nobody'.*NaN in all recordings"):
        assemble(**OPTIONS).fit(people.raws, bolds)


def test_where_regions_cannot_be_left_out_they_are_refused(people, gaps):
    with pytest.raises(ValueError, match="NaN in some regions"):
        SambaTranslator(t_r=2.0, model="paper").fit(people.raws, gaps)


@pytest.mark.parametrize("hrf", ["canonical", "fir"])
def test_the_baseline_learns_a_region_from_those_who_have_it(people, gaps, hrf):
    options = {"t_r": 2.0, "hrf": hrf, "loss": "squared"}
    ridge = BandPowerRidge(**options).fit(people.raws, gaps)
    for region, who in ((2, [0]), (5, [0, 1]), (7, [0, 1, 2])):
        alone = BandPowerRidge(**options).fit(
            [people.raws[i] for i in who], [gaps[i][:, [region]] for i in who]
        )
        np.testing.assert_allclose(
            ridge.predict(people.raws[0])[:, region], alone.predict(people.raws[0])[:, 0], rtol=1e-6
        )
    scores = ridge.score_targets([people.raws[1]], [gaps[1]])
    assert np.isnan(scores[2]) and np.isfinite(np.delete(scores, 2)).all()


def test_an_evaluation_leaves_out_what_was_not_measured():
    """Every score that can be is there, the others are NaN, and nothing else changes."""
    people = simulate_paired(
        3, 240.0, level="source", n_sources=4, n_targets=6, sfreq=100.0, snr=4.0, random_state=0
    )
    bolds = [bold.copy() for bold in people.bolds]
    lost = {(0, "target005"), (1, "target002"), (2, "target004")}
    for recording, name in lost:
        bolds[recording][:, int(name[-3:])] = np.nan
    # Scale and loss are chosen for all regions together: here each is predicted by itself.
    ridge = BandPowerRidge(t_r=2.0, power="linear", loss="squared", unmix=None)
    options = {"n_shifts": 19, "verbose": False, "confounds": [b[:, :1] for b in people.bolds]}
    result = evaluate(ridge, people.raws, bolds, **options)
    table = result.to_frame()
    for (recording, target), rows in table.groupby(["recording", "target"]):
        assert rows["score"].isna().all() == ((recording, target) in lost)
        assert rows["score"].notna().all() == ((recording, target) not in lost)
        assert (rows["n_frames"] == 0).all() == ((recording, target) in lost)
    whole = evaluate(ridge, people.raws, people.bolds, **options)
    same = "model == 'BandPowerRidge' and target in ['target000', 'target001', 'target003']"
    np.testing.assert_allclose(table.query(same)["score"], whole.to_frame().query(same)["score"])
    models = result.summary().drop(index="null: circular_shift")
    assert np.isfinite(models[["mean", "pearson", "r2"]]).all(axis=None)
    assert np.isfinite(result.p_values_.drop(columns=["model", "target"]).astype(float)).all(
        axis=None
    )


def test_an_evaluation_refuses_regions_that_a_fold_cannot_learn(people, gaps):
    with pytest.raises(ValueError, match=r"\[.target002.\] are NaN .* fold 0 is trained"):
        evaluate(BandPowerRidge(t_r=2.0), people.raws, gaps)


def test_regions_of_which_nothing_can_be_held_out():
    """One region is measured in one person alone, whose end is scrubbed."""
    data = simulate_paired(2, 600.0, level="source", n_sources=5, n_targets=4, random_state=0)
    bolds = [bold.copy() for bold in data.bolds]
    bolds[0][:, 3] = np.nan
    bolds[1][-80:] = np.nan
    model = SambaTranslator(t_r=2.0, model="core", random_state=0).fit(data.raws, bolds)
    bold, std = model.predict(data.raws, return_std=True)
    assert np.isfinite(bold).all() and np.isfinite(std).all()
