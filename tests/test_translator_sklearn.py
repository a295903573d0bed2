"""scikit-learn's own checks, without exceptions, and its tools around our estimators."""

import numpy as np
import pytest
import sklearn
from assemble import quick
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mne_samba import CoreModel, SambaTranslator
from mne_samba.baselines import BandPowerRidge

# Without choices inside, which repeat every fit: scikit-learn's tools see what is outside.
ESTIMATORS = [
    SambaTranslator(t_r=2.0, model=quick(CoreModel), random_state=0), BandPowerRidge(t_r=2.0)
]  # fmt: skip


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def estimator(request):
    return clone(request.param)


@pytest.fixture(params=[False, True], ids=["plain", "routed"])
def routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param


def scores_of(estimator, X, y, groups, routed):
    where = {"params": {"groups": groups}} if routed else {"groups": groups}
    return cross_val_score(estimator, X, y, cv=LeaveOneGroupOut(), error_score="raise", **where)


def test_leave_one_person_out_on_windows(estimator, windows, routing):
    scores = scores_of(estimator, *windows, routing)
    assert scores.shape == (3,) and (scores > 0.2).all() and (scores < 1).all()


def test_leave_one_person_out_on_recordings(estimator, people, routing):
    scores = scores_of(estimator, people.raws, people.bolds, people.subjects, routing)
    assert scores.shape == (3,) and (scores > 0.2).all() and (scores < 1).all()


def test_a_fold_by_hand_gives_the_same_score(estimator, people):
    scores = scores_of(estimator, people.raws, people.bolds, people.subjects, False)
    by_hand = clone(estimator).fit(people.raws[1:], people.bolds[1:])
    assert by_hand.score(people.raws[:1], people.bolds[:1]) == pytest.approx(scores[0], abs=1e-12)


def test_grid_search_over_recordings(people):
    search = GridSearchCV(
        BandPowerRidge(t_r=2.0), {"hrf": ["canonical", "fir"]}, cv=3, error_score="raise"
    )
    search.fit(people.raws, people.bolds)
    assert search.best_params_["hrf"] in ("canonical", "fir")
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_pipeline_on_a_table_predicts_rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 6))
    y = X @ rng.standard_normal((6, 3)) + 0.1 * rng.standard_normal((120, 3))
    pipe = make_pipeline(StandardScaler(), SambaTranslator(t_r=2.0, random_state=0)).fit(X, y)
    pred = pipe.predict(X)
    assert pred.shape == y.shape and pipe.score(X, y) > 0.9


@pytest.mark.parametrize("kind", ["windows", "recordings"])
def test_clone_of_a_fitted_estimator_is_unfitted(estimator, kind, people, windows):
    X, y = (windows[0][:9], windows[1][:9]) if kind == "windows" else (people.raws, people.bolds)
    before = estimator.get_params()
    estimator.fit(X, y)
    after = estimator.get_params()
    assert all(after[name] is value or after[name] == value for name, value in before.items())
    copy = clone(estimator)
    assert not [name for name in vars(copy) if name.endswith("_")]
