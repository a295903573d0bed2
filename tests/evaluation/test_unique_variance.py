"""What electrophysiology adds: nothing that confounds say as well, and as much as is known."""

import numpy as np
import pytest
from small_worlds import FrameRidge, autocorrelated, windows_of

from mne_samba import InverseTranslator
from mne_samba.evaluation import UniqueVariance, evaluate, unique_variance
from mne_samba.model_selection import BlockedTimeSplit


class Oracle(FrameRidge):
    """Predicts the first channels as they are."""

    def predict(self, X):
        return [np.asarray(x).T[:, :4] for x in X]


def world(brain, motion, seed=0, n_people=3, n_frames=250):
    """Signals with artefacts of motion, BOLD of known shares of variance, motion; and the truth."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal((n, 4)) for n in (3, 2)]
    weights = [w / np.linalg.norm(w, axis=0) for w in weights]
    found = [], [], [], []
    for _ in range(n_people):
        sources, moved = autocorrelated(rng, n_frames, 3), autocorrelated(rng, n_frames, 2)
        noise = np.sqrt(1 - brain - motion) * autocorrelated(rng, n_frames, 4)
        clean = np.sqrt(brain) * sources @ weights[0]
        artefact = moved + 0.1 * rng.standard_normal(moved.shape)
        bold = clean + np.sqrt(motion) * moved @ weights[1] + noise
        parts = (np.hstack([sources, artefact]).T, bold, moved, clean)
        for some, part in zip(found, parts, strict=True):
            some.append(part)
    return found


def test_artefacts_that_confounds_know_add_nothing():
    signals, bolds, moved, _ = world(brain=0.0, motion=0.4)
    seen = evaluate(FrameRidge(), signals, bolds, baselines=(), nulls=(), metrics="pearson")
    assert seen.target_scores().mean() > 0.4
    found = unique_variance(FrameRidge(), signals, bolds, moved, n_shifts=59)
    mean = found.mean()
    assert abs(mean["unique"]) < 0.01 and mean["p"] > 0.05
    assert found.verdict.startswith("Nothing was shown to be added by electrophysiology")
    # Without them, the artefacts are taken for the brain.
    assert unique_variance(FrameRidge(), signals, bolds, n_shifts=59).mean()["p"] <= 0.05


def test_share_is_that_of_a_predictor_that_knows_the_truth():
    signals, bolds, moved, clean = world(brain=0.25, motion=0.4)
    found = unique_variance(FrameRidge(), signals, bolds, moved, n_shifts=59)
    known = unique_variance(Oracle(), [c.T for c in clean], bolds, moved, n_shifts=59)
    mean, table = found.mean(), found.to_frame()
    assert isinstance(found, UniqueVariance)
    assert mean["unique"] == pytest.approx(known.mean()["unique"], rel=0.15)
    assert mean["ci_low"] < mean["unique"] < mean["ci_high"] and mean["unit"] == "subject"
    assert mean["p"] == mean["p_floor"] == 1 / 60 and "p <= 0.017" in found.verdict
    share = table["partial_r"] ** 2 * (1 - table["nuisance"])
    np.testing.assert_allclose(table["unique"], share, rtol=0.1)
    assert "of 4 targets pass" in repr(found) and "<script" not in found._repr_html_()


def test_blocks_of_one_person_in_windows():
    signals, bolds, moved, _ = world(brain=0.3, motion=0.3, n_people=1, n_frames=500)
    X, y, confounds = (windows_of(a, 10) for a in ([signals[0].T], bolds, moved))
    options = {"cv": BlockedTimeSplit(4), "context": 0.0, "n_shifts": 59}
    found = unique_variance(FrameRidge(), X.transpose(0, 2, 1), y, confounds, **options)
    mean = found.mean()
    assert mean["unit"] == "fold" and mean["n"] == 4 and "blocks of one person" in found.verdict
    assert mean["unique"] > 0.08 and mean["p"] < 0.05


def test_confounds_act_later_where_a_lag_says_so():
    """BOLD follows motion after 8 s, and so does an artefact."""
    signals, bolds, moved, _ = world(brain=0.0, motion=0.4)
    early = [np.roll(m, -4, axis=0) for m in moved]
    p = [
        unique_variance(FrameRidge(), signals, bolds, early, lag=lag, n_shifts=59).mean()["p"]
        for lag in (0.0, 8.0)
    ]
    assert p[0] <= 0.05 < p[1]


def test_slow_says_what_is_time():
    signals, bolds, moved, _ = world(brain=0.3, motion=0.3)
    shares = [
        unique_variance(FrameRidge(), signals, bolds, moved, slow=slow, n_shifts=19)
        for slow in (0.008, 0.05)
    ]
    given = [found.to_frame()["nuisance"].mean() for found in shares]
    assert given[1] > given[0] + 0.1


def test_what_cannot_be_is_refused():
    signals, bolds, moved, _ = world(brain=0.3, motion=0.3, n_frames=60)
    with pytest.raises(ValueError, match=r"More confounds than frames.*a shorter lag"):
        unique_variance(FrameRidge(), signals, bolds, moved, lag=80.0)
    with pytest.raises(ValueError, match="slow must be above 0"):
        unique_variance(FrameRidge(), signals, bolds, moved, slow=0.0)
    with pytest.raises(ValueError, match="confounds must have one entry per sample"):
        unique_variance(FrameRidge(), signals, bolds, moved[:2])
    with pytest.raises(ValueError, match="goes from BOLD to electrophysiology"):
        unique_variance(InverseTranslator(t_r=2.0), bolds, signals, moved)
