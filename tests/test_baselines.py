"""Ridge regression on band power: equal to scikit-learn's, honest about what it chooses."""

import mne
import numpy as np
import pytest
from scipy.signal import lfilter
from sklearn.base import clone
from sklearn.linear_model import Ridge

from mne_samba import Reader, SambaTranslator
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.hrf import double_gamma, glover_params
from mne_samba.metrics import pearson
from mne_samba.models.ridge import ridge as solve_ridge
from mne_samba.wavelets import Precomputed


@pytest.fixture(scope="module", params=["canonical", "fir"])
def ridge(request, people):
    return BandPowerRidge(t_r=2.0, hrf=request.param).fit(people.raws[:2], people.bolds[:2])


def coupled(scale, seed=0):
    """Drives at 1 Hz, (3, 600), whose power or log power BOLD (300, 4) follows."""
    rng = np.random.default_rng(seed)
    log = 1.5 * lfilter([0.3], [1, -0.9], rng.standard_normal((3, 700)))[:, 100:]
    drive = log if scale == "log" else np.exp(log)
    drive = (drive - drive.mean(axis=1, keepdims=True)) / drive.std(axis=1, keepdims=True)
    response = double_gamma(np.arange(32.0), glover_params())
    clean = lfilter(response / response.sum(), [1.0], drive)[:, 1::2].T @ rng.normal(size=(3, 4))
    return log, clean + 0.3 * clean.std(axis=0) * rng.standard_normal(clean.shape)


@pytest.mark.parametrize("hrf", ["canonical", "fir"])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_scale_of_power_is_that_which_predicts_held_out_blocks(scale, hrf):
    """Whatever scale the input has, and nothing else changes by choosing."""
    log, bold = coupled(scale)
    options = {"t_r": 2.0, "hrf": hrf, "reader": Reader(sfreq=1.0)}
    found = [
        BandPowerRidge(bands=Precomputed(given), **options).fit([values], [bold])
        for given, values in (("log", log), ("linear", np.exp(log)))
    ]
    assert [model.power_ for model in found] == [scale, scale]
    fixed = BandPowerRidge(bands=Precomputed("log"), power=scale, **options).fit([log], [bold])
    np.testing.assert_array_equal(found[0].predict([log])[0], fixed.predict([log])[0])
    assert fixed.power_ == scale


def test_columns_of_a_table_keep_their_scale():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    ridge = BandPowerRidge().fit(X, X @ rng.standard_normal((3, 2)))
    assert ridge.power_ is None


@pytest.mark.parametrize("shape", [(60, 8), (20, 50)])
def test_ridge_equals_scikit_learn(shape):
    rng = np.random.default_rng(0)
    features, target = rng.standard_normal(shape), rng.standard_normal((shape[0], 4))
    alphas = np.array([0.1, 3.0, 100.0])
    chosen = np.array([0, 2, 1, 2])
    expected = Ridge(alpha=alphas[chosen], fit_intercept=False).fit(features, target).coef_
    np.testing.assert_allclose(solve_ridge(features, target, alphas)(chosen).T, expected, atol=1e-9)


def features_by_hand(model, power):
    """Standardised features of one recording's band power, bin by bin."""
    grid = model._fitted.grid
    n_frames = (power.shape[-1] - grid.n_lags) // grid.step + 1
    out = []
    for k in range(n_frames):
        history = power[..., k * grid.step : k * grid.step + grid.n_lags][..., ::-1]
        if model.hrf == "canonical":
            lags = (np.arange(grid.n_lags) + 0.5) * grid.dt
            out.append((history * double_gamma(lags, glover_params())).sum(-1)[None])
        else:
            lagged = history[..., : 10 * grid.step]  # 20 s in frames of 2 s
            out.append(lagged.reshape(*power.shape[:2], 10, grid.step).mean(-1).transpose(2, 0, 1))
    return np.stack(out)


def test_predictions_follow_from_features_and_coefficients(ridge, people):
    (power,), _, _ = ridge._measure(ridge._read(people.raws[2]))
    power = power.astype(float)
    features = features_by_hand(ridge, power)
    assert ridge.coef_.shape == (10, features.shape[1], 8, 5)
    # Features are standardised by their training statistics, which fitting keeps to itself.
    fitted = ridge._fitted
    flat = (features.reshape(len(features), -1) - fitted.mean) / fitted.scale
    standard = flat @ ridge.coef_.reshape(10, -1).T + fitted.intercept
    expected = standard * ridge.y_scale_ + ridge.y_mean_
    np.testing.assert_allclose(ridge.predict(people.raws[2]), expected, atol=1e-5)


def test_learns_what_there_is_to_learn(ridge, people):
    pred = ridge.predict(people.raws[2])
    assert pearson(people.truth.clean_bolds[2][15:], pred[15:]).mean() > 0.4
    assert ridge.score(people.raws[2], people.bolds[2]) > 0.3
    assert ridge.alpha_.shape == (10,) and (ridge.alpha_ > 0).all()
    assert ridge.target_names_in_ == [f"target{i:03d}" for i in range(10)]


def test_unrelated_bold_gets_the_largest_penalties(people):
    rng = np.random.default_rng(0)
    noise = lfilter([1], [1, -0.8], rng.standard_normal((400, 10)), axis=0)[200:]
    related = BandPowerRidge(t_r=2.0).fit(people.raws[0], people.bolds[0])
    unrelated = BandPowerRidge(t_r=2.0).fit(people.raws[0], noise)
    assert np.median(unrelated.alpha_) > 10 * np.median(related.alpha_)
    spread = [m.predict(people.raws[1]).std(axis=0).mean() for m in (unrelated, related)]
    assert spread[0] < 0.3 * spread[1]


def test_one_penalty_for_all_regions_or_one_each(people):
    each = BandPowerRidge(t_r=2.0).fit(people.raws[0], people.bolds[0])
    shared = BandPowerRidge(t_r=2.0, alpha_per_target=False).fit(people.raws[0], people.bolds[0])
    assert len(np.unique(shared.alpha_)) == 1 < len(np.unique(each.alpha_))
    fixed = BandPowerRidge(t_r=2.0, alphas=[10.0]).fit(people.raws[0], people.bolds[0])
    assert len(np.unique(fixed.alpha_)) == 1


def test_inner_folds_keep_their_distance(people, monkeypatch):
    """No inner training frame lies nearer than the gap to a tested one."""
    import mne_samba.models.ridge as numbers

    seen = []
    real = numbers.ridge

    def spy(features, target, alphas):
        seen.append(len(features))
        return real(features, target, alphas)

    monkeypatch.setattr(numbers, "ridge", spy)
    BandPowerRidge(t_r=2.0, power="log", loss="squared", gap=40.0, n_folds=5).fit(
        people.raws[0], people.bolds[0]
    )
    # 5 blocks of 40 frames, of which the first 15 have no history; 20 frames go on either side.
    assert seen == [140, 105, 105, 105, 125, 185]


def test_a_gap_that_leaves_no_training_frames_is_halved(people):
    raw, bold = people.raws[0], people.bolds[0]
    with mne.utils.catch_logging(verbose="info") as log:
        wide = BandPowerRidge(t_r=2.0, gap=400.0).fit(raw, bold)
    assert "the penalty is chosen with a gap of 200 s" in log.getvalue()
    np.testing.assert_array_equal(
        wide.alpha_, BandPowerRidge(t_r=2.0, gap=200.0).fit(raw, bold).alpha_
    )


def test_the_same_twice_and_refit(people):
    model = BandPowerRidge(t_r=2.0, hrf="fir")
    first = model.fit(people.raws[:2], people.bolds[:2]).predict(people.raws[2])
    again = clone(model).fit(people.raws[:2], people.bolds[:2]).predict(people.raws[2])
    np.testing.assert_array_equal(first, again)
    other = simulate_paired(1, 200.0, level="source", n_sources=4, n_targets=3, random_state=1)
    assert model.fit(other.raws, other.bolds).predict(other.raws[0]).shape == (100, 3)


def test_lags_are_tied_to_their_frames(people):
    model = BandPowerRidge(t_r=2.0, hrf="fir").fit(people.raws[:1], people.bolds[:1])
    with pytest.raises(ValueError, match=r'hrf="fir" is tied to the t_r'):
        model.set_params(t_r=1.0).predict(people.raws[1])


def test_bad_parameters(people):
    for name, value in (("hrf", "glover"), ("power", "dB"), ("n_folds", 1), ("gap", -1.0),
                        ("fir_length", 50.0), ("alphas", [1.0, -1.0])):  # fmt: skip
        with pytest.raises(ValueError, match=name):
            BandPowerRidge(t_r=2.0, **{name: value}).fit(people.raws[:1], people.bolds[:1])


@pytest.mark.slow
def test_translator_beats_the_better_ridge_and_stays_at_zero_without_coupling():
    world = {"level": "source", "n_sources": 12, "n_targets": 8, "sfreq": 100.0, "snr": 4.0}
    data = simulate_paired(1, 900.0, random_state=0, **world)
    clean = data.truth.clean_bolds[0]
    cut = round(675 / 2.0 + 0.5)

    def held_out(model, raw, bold, truth):
        train = raw.copy().crop(0, 675, include_tmax=False)
        test = raw.copy().crop(675, None)
        model.fit(train, bold[:337])
        # 675 s lie within frame 337; the test part begins with frame 338.
        pred = model.set_params(reader__first_volume=1.0).predict(test)
        known = slice(15, None)
        return pearson(truth[cut:][known], pred[known][: len(truth[cut:][known])]).mean()

    translator = SambaTranslator(t_r=2.0, random_state=0)
    score = held_out(translator, data.raws[0], data.bolds[0], clean)
    ridges = [
        held_out(BandPowerRidge(t_r=2.0, hrf=hrf), data.raws[0], data.bolds[0], clean)
        for hrf in ("canonical", "fir")
    ]
    assert score > max(ridges) + 0.03 and max(ridges) > 0.3
    # Of one world the mean over its few frames and regions has a standard error of .08.
    nulls = []
    for seed in range(4):
        other = simulate_paired(1, 900.0, coupling=False, random_state=seed, **world)
        core = SambaTranslator(t_r=2.0, model="core", random_state=0)
        nulls.append(held_out(core, other.raws[0], other.bolds[0], other.truth.clean_bolds[0]))
    assert abs(np.mean(nulls)) < 0.1
