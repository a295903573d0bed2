"""Learning curves: minutes that were used, scores that rise, a curve that is recovered."""

import mne
import numpy as np
import pandas as pd
import pytest
from small_worlds import FrameRidge, simulate, windows_of

from mne_samba import Reader
from mne_samba.baselines import BandPowerRidge
from mne_samba.evaluation import LearningCurve, learning_curve_minutes
from mne_samba.model_selection import BlockedTimeSplit


class Remembers(FrameRidge):
    """Says how many frames it was trained on."""

    seconds: list = []  # noqa: RUF012

    def fit(self, X, y):
        self.seconds.append(sum(len(part) for part in y) * self.t_r)
        return super().fit(X, y)


def test_scores_rise_with_minutes_within_a_person():
    signals, targets, _ = simulate(n_people=1, n_frames=1200, n_channels=30, strength=0.7)
    X = windows_of([s.T for s in signals], 10).transpose(0, 2, 1)
    y = windows_of(targets, 10)
    Remembers.seconds.clear()
    curve = learning_curve_minutes(
        Remembers(), X, y, minutes=[2, 8, 28], cv=BlockedTimeSplit(4), verbose=False
    )
    assert Remembers.seconds == [120.0] * 4 + [480.0] * 4 + [1680.0] * 4
    table = curve.to_frame()
    np.testing.assert_allclose(table["minutes"], [2, 8, 28])
    assert table["mean"].is_monotonic_increasing
    gain, low, high = curve.last_gain()
    assert low < gain < high
    assert gain == pytest.approx(table["mean"].iloc[2] - table["mean"].iloc[1])


def test_whole_recordings_are_cut():
    signals, targets, _ = simulate(n_people=3, n_frames=300)
    Remembers.seconds.clear()
    curve = learning_curve_minutes(Remembers(), signals, targets, minutes=[4, 20], verbose=False)
    assert Remembers.seconds == [240.0] * 3 + [1200.0] * 3
    np.testing.assert_allclose(curve.to_frame()["minutes"], [4, 20])
    assert set(curve.scores_.columns) >= {"fold", "recording", "target", "score", "minutes"}


@pytest.mark.parametrize("triggers", [False, True])
def test_recordings_are_cut_where_their_frames_lie(triggers):
    """The scan starts 24 s into the recording, two dummy scans included."""
    rng = np.random.default_rng(0)
    info = mne.create_info(3, 50.0, "eeg")
    raws = [mne.io.RawArray(rng.standard_normal((3, 16200)), info, verbose=False) for _ in "ab"]
    bolds = [rng.standard_normal((140, 2)) for _ in raws]
    timing = {"n_dummy": 2, "first_volume": 20.0}
    if triggers:
        timing = {"n_dummy": 2, "volume_event": "R128"}
        for raw in raws:
            onset = 20.0 + 2.0 * np.arange(142) + 0.005 * rng.uniform(-1, 1, 142)
            raw.set_annotations(mne.Annotations(onset, 0.0, "R128"))
    curve = learning_curve_minutes(
        BandPowerRidge(t_r=2.0, reader=Reader(**timing)),
        raws,
        bolds,
        minutes=[2.0, 4.0],
        verbose=False,
    )
    np.testing.assert_allclose(curve.to_frame()["minutes"], [2.0, 4.0])


def test_default_minutes_use_all_there_is():
    signals, targets, _ = simulate(n_people=1, n_frames=600)
    X = windows_of([s.T for s in signals], 10).transpose(0, 2, 1)
    curve = learning_curve_minutes(
        FrameRidge(), X, windows_of(targets, 10), cv=BlockedTimeSplit(3), verbose=False
    )
    used = curve.to_frame()["minutes"].to_numpy()
    assert len(used) == 4 and used[-1] <= 13.4 and used[-1] > 8


def test_gain_of_the_last_minutes_is_paired_over_folds():
    rows = [
        {"asked": m, "minutes": m, "fold": fold, "target": 0, "score": score + 0.3 * fold}
        for fold in (0, 1)
        for m, score in ((2.0, 0.1), (4.0, 0.2), (8.0, 0.25))
    ]
    curve = LearningCurve(pd.DataFrame(rows), "spearman")
    np.testing.assert_allclose(curve.last_gain(), 0.05)  # each fold gains as much
    alone = LearningCurve(curve.scores_[curve.scores_["asked"] == 2.0], "spearman")
    assert np.isnan(alone.last_gain()).all()


@pytest.mark.parametrize("minutes", [[0], [-1, 2], [np.nan], []])
def test_refuses_minutes_that_are_none(minutes):
    signals, targets, _ = simulate()
    with pytest.raises(ValueError, match="minutes must be positive"):
        learning_curve_minutes(FrameRidge(), signals, targets, minutes=minutes)
