"""What results say of themselves: p values and their floors, sentences, short tables."""

import numpy as np
import pytest
from small_worlds import FrameRidge, simulate, windows_of

from mne_samba.evaluation import draw_shifts, evaluate
from mne_samba.model_selection import BlockedTimeSplit

OPTIONS = {"baselines": ("mean", "time"), "nulls": ("circular_shift",), "metrics": ("pearson",)}


def test_no_shift_is_drawn_twice():
    rng = np.random.default_rng(0)
    assert draw_shifts(80, 199, 15, rng).tolist() == list(range(15, 66))  # all 51 there are
    assert len(set(draw_shifts(400, 199, 15, rng).tolist())) == 199
    pairs = draw_shifts([33, 34], 199, 15, rng)  # 4 x 5 different pairs
    assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs) == 20
    many = draw_shifts([400] * 20, 199, [15] * 20, rng)
    assert many.shape == (199, 20) and many.min() >= 15 and many.max() <= 385
    with pytest.raises(ValueError, match="recording of 20 frames cannot be shifted"):
        draw_shifts([400, 20], 9, 15, rng)


def test_floor_of_a_short_recording_is_said():
    """42 scored frames have 13 different shifts."""
    signals, targets, _ = simulate(n_people=1, n_frames=42, strength=0.95)
    X, y = windows_of([s.T for s in signals], 1).transpose(0, 2, 1), windows_of(targets, 1)
    with pytest.warns(RuntimeWarning, match="13 different circular shifts.*no p value below"):
        result = evaluate(FrameRidge(), X, y, cv=BlockedTimeSplit(2), context=0.0, **OPTIONS)
    assert len(result.null_["FrameRidge"]) == 13
    floor = result.p_floor()
    assert floor > 0.05 and result.mean_null()[2] >= floor
    assert (result.p_values_["p"] >= result.p_values_["p_floor"] - 1e-12).all()
    assert result.verdict.startswith("Nothing was shown")
    assert f"no p below {floor:.2g} can be had" in result.verdict


@pytest.fixture(scope="module")
def strong():
    signals, targets, _ = simulate(n_people=5, n_frames=300, strength=0.8)
    return evaluate(FrameRidge(), signals, targets, **OPTIONS)


def test_a_strong_result_may_be_interpreted(strong):
    text = strong.verdict
    p, floor = strong.mean_null()[2], strong.p_floor()
    assert p == floor == 1 / 200
    assert "above chance (p <= 0.005)" in text
    better = strong.compare("FrameRidge", "mean")
    assert f"better than the best baseline (mean): difference {better['mean']:+.3f}" in text
    assert "over 5 people; higher in 5 of 5 people and" in text
    assert "may be interpreted; what is said of one region needs an interval" in text


def test_of_single_regions_only_those_that_pass_may_be_interpreted():
    """One region of four follows the signals: the mean is above chance, three regions are not."""
    rng = np.random.default_rng(0)
    signals, targets, _ = simulate(n_people=5, n_frames=300, strength=0.8)
    for target in targets:
        target[:, 1:] = rng.standard_normal(target[:, 1:].shape)
    result = evaluate(FrameRidge(), signals, targets, **OPTIONS)
    n_regions, name = len(result.target_names_), result.target_names_[0]
    assert f"1 of {n_regions} regions pass" in result.verdict
    assert f"for single ones only where they pass ({name}), and with an interval" in result.verdict


def test_few_people_are_no_test(strong):
    """Four people have 16 patterns of signs, and no p value below .12."""
    signals, targets, _ = simulate(n_people=4, n_frames=300, strength=0.8)
    text = evaluate(FrameRidge(), signals, targets, **OPTIONS).verdict
    assert "higher in 4 of 4 people" in text
    assert "sign-flip p = 0.12, and 4 people allow none below 0.12" in text
    difference = strong.compare("FrameRidge", "mean")
    assert difference["n_higher"] == difference["n"] == 5


def test_noise_shows_nothing():
    rng = np.random.default_rng(0)
    signals = [rng.standard_normal((4, 300)) for _ in range(3)]
    targets = [rng.standard_normal((300, 5)) for _ in range(3)]
    text = evaluate(FrameRidge(), signals, targets, **OPTIONS).verdict
    assert text.startswith("Nothing was shown: FrameRidge predicts held-out BOLD")
    assert text.endswith("must not be interpreted.")


def test_what_the_best_baseline_does_as_well_is_no_evidence():
    signals, targets, _ = simulate(n_people=4, n_frames=300, strength=0.8)
    options = {**OPTIONS, "baselines": {"same": FrameRidge()}}
    text = evaluate(FrameRidge(), signals, targets, **options).verdict
    assert "not shown to be better than the best baseline (same): difference +0.000" in text
    assert "no evidence beyond what the baseline shows" in text


def test_without_null_nothing_was_tested():
    signals, targets, _ = simulate(n_people=3, n_frames=200)
    text = evaluate(FrameRidge(), signals, targets, baselines=(), nulls=()).verdict
    assert text.startswith("Nothing was tested") and "not compared with any baseline" in text


def test_results_print_short(strong):
    text, page = repr(strong), strong._repr_html_()
    assert len(text) < 2000 and len(page) < 4000
    assert strong.verdict in text and "<= 0.005" in text
    assert "Zero by definition: mean (predictions that do not change" in text
    assert "&lt;= 0.005" in page and "<script" not in page


def test_summary_says_how_far_above(strong):
    summary = strong.summary()
    found = strong.compare("FrameRidge", "time")
    row = summary.loc["time"]
    assert row["above"] == found["mean"] and row["above_low"] == found["ci_low"]
    assert np.isnan(summary.loc["FrameRidge", "above"])


class Flat(FrameRidge):
    """Predicts the mean of training frames."""

    def predict(self, X):
        return [np.zeros_like(part) for part in super().predict(X)]


def test_predictions_that_do_not_change_are_named():
    signals, targets, _ = simulate(n_people=3, n_frames=200)
    result = evaluate(Flat(), signals, targets, **OPTIONS)
    assert "(p = 1): its predictions do not change over time." in result.verdict
    assert result.is_constant("Flat") and not result.is_constant("time")
