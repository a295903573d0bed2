"""Intervals hold as many measured frames as they say."""

import numpy as np
import pytest

from mne_samba import CoreModel, SambaTranslator, make_windows
from mne_samba.datasets import simulate_paired


@pytest.mark.parametrize("snr", [1.0, 4.0])
def test_ninety_percent_intervals_cover_held_out_frames(snr):
    data = simulate_paired(
        1, 2400.0, level="source", n_sources=8, n_targets=16, snr=snr, sfreq=100.0, random_state=3
    )
    epochs, y = make_windows(data.raws[0], data.bolds[0], t_r=2.0)
    train, test = np.arange(0, 24), np.arange(26, len(epochs))
    model = CoreModel(power="linear", target_bands=False)
    translator = SambaTranslator(t_r=2.0, model=model, random_state=0)
    translator.fit(epochs[train], y[train])
    low, high = translator.predict_interval(epochs[test], coverage=0.9)
    covered = ((y[test] >= low) & (y[test] <= high)).mean(axis=(0, 1))
    assert 0.85 <= np.median(covered) <= 0.95
    bold, std = translator.predict(epochs[test], return_std=True)
    assert 0.85 < ((y[test] - bold) / std).std() < 1.15
    np.testing.assert_array_equal(bold, translator.predict(epochs[test]))


def test_wider_coverage_is_wider(fitted, people):
    narrow = np.subtract(*fitted.predict_interval(people.raws[2], 0.5)[::-1])
    wide = np.subtract(*fitted.predict_interval(people.raws[2], 0.9)[::-1])
    assert (wide > narrow).all() and (narrow > 0).all()


def test_lists_and_tables(fitted, people):
    low, high = fitted.predict_interval(people.raws[1:])
    assert [len(part) for part in low] == [len(bold) for bold in people.bolds[1:]]
    assert all((h > lo).all() for lo, h in zip(low, high, strict=True))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 4))
    y = X[:, 0] + 0.5 * rng.standard_normal(80)
    translator = SambaTranslator(t_r=2.0).fit(X, y)
    low, high = translator.predict_interval(X)
    assert low.shape == y.shape and 0.75 < ((y >= low) & (y <= high)).mean() <= 1.0


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1, "most", True])
def test_impossible_coverage_is_refused(fitted, people, coverage):
    with pytest.raises(ValueError, match="coverage must be a share between 0 and 1"):
        fitted.predict_interval(people.raws[2], coverage)
