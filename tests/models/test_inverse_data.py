"""What the way back sees of both modalities: bins after frames, drift, scale, margins."""

import mne
import numpy as np
import pytest
import torch
from inverse_small import GRID, T_R, World, paired

from mne_samba import Reader
from mne_samba.data.power import BandPower, LowRateGrid
from mne_samba.metrics import detrend
from mne_samba.models import Trainer
from mne_samba.models.inverse_data import (
    BoldProcess,
    InverseWindows,
    check_long_enough,
    frame_bins,
    frames_after,
    inner_bins,
    inverse_grid,
    longer,
    pair_inverse,
    shares_bins,
    window_frames,
)
from mne_samba.wavelets import Discrete, Morlet, Shannon

ALPHA = Shannon({"alpha": (8.0, 13.0)})


@pytest.fixture(scope="module")
def pair(people):
    rec = Reader().read_pair(people.raws[:2], people.bolds[:2], T_R)
    features = BandPower(ALPHA, inverse_grid(T_R, 30.0))
    powers = features.measure(longer(rec))
    return rec, features, powers, *pair_inverse(rec, powers, features.grid, "cosine")


def test_bins_are_the_log_power_after_frames(pair, people):
    """Against band-passed squares, averaged from frame k to k + 1."""
    rec, features, powers, data, scale = pair
    (targets, _) = scale.standard_targets(rec, powers)
    n_frames, width = len(people.bolds[0]), round(T_R * rec.sfreq)
    assert targets.shape == (len(rec.ch_names), 1, n_frames)
    raw = people.raws[0].get_data()[:, : n_frames * width]
    squares = mne.filter.filter_data(raw, rec.sfreq, 8, 13, verbose="ERROR") ** 2
    expected = np.log(squares.reshape(len(raw), n_frames, width).mean(axis=-1))
    expected = detrend(expected.T, T_R, "cosine").T
    for found, true in zip(targets[:, 0], expected, strict=True):
        assert np.corrcoef(found, true)[0, 1] > 0.96
    # What is fitted is the same, but for the bin after the last frame.
    np.testing.assert_array_equal(
        inner_bins(data.powers[0], n_frames, features.grid.n_lags)[..., :-1], targets[..., :-1]
    )


def test_frames_without_a_whole_history_are_not_learnt_from(pair):
    _, features, _, data, _ = pair
    assert features.grid.n_lags == 15
    for mask in data.masks:
        assert not mask[:15].any()
        assert mask[15:].all()


def test_recordings_lose_their_own_scale_and_windows_that_of_training(pair, people):
    *_, scale = pair
    bold = people.bolds[2] * 7.0 + 100.0
    (found,) = scale.standard_bold([bold], "recordings")
    np.testing.assert_allclose(found.std(axis=0), 1.0)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-9)
    (window,) = scale.standard_bold([bold[:30]], "windows")
    np.testing.assert_allclose(window * scale.bold.scale + scale.bold.mean, bold[:30])
    # In training, BOLD with its drift had this mean.
    expected = np.mean([b.mean(axis=0) for b in people.bolds[:2]], axis=0)
    np.testing.assert_allclose(scale.bold.mean, expected)


def test_unknown_power_is_nan_and_known_power_is_not(people):
    raw = people.raws[0].copy()
    raw.set_annotations(mne.Annotations([100.0], [4.0], ["BAD_jump"]))
    rec = Reader().read_pair([raw], people.bolds[:1], T_R)
    features = BandPower(ALPHA, inverse_grid(T_R, 30.0))
    powers = features.measure(longer(rec))
    data, scale = pair_inverse(rec, powers, features.grid, None)
    (targets,) = scale.standard_targets(rec, powers)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(targets[0, 0])), [50, 51])
    # Frames whose history holds them cannot be learnt from.
    assert not data.masks[0][51:66].any()
    assert data.masks[0][67:].all()


@pytest.mark.parametrize("bank", [Shannon(), Morlet(), Morlet(causal=True), Discrete()])
@pytest.mark.parametrize("t_r", [2.0, 2.3])
def test_bins_of_the_way_there_add_up_to_those_of_the_way_back(people, bank, t_r):
    raw = people.raws[0].copy()
    raw.set_annotations(mne.Annotations([100.3], [3.1], ["BAD_jump"]))
    rec = longer(Reader(first_volume=0.7).read([raw], t_r))
    bank = bank.resolve(rec.sfreq)
    there = BandPower(bank, LowRateGrid.from_tr(t_r, 30.0))
    back = BandPower(bank, inverse_grid(t_r, 30.0))
    assert shares_bins(there, back)
    (found,), (expected,) = frame_bins(there.measure(rec), there.grid), back.measure(rec)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    size = np.nanmean(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(found / size, expected / size, atol=1e-3)
    # What is left out beside a flat band hangs on how wide its bins are.
    assert np.nanmedian(np.abs(found / expected - 1)) < 3e-6


def test_bins_of_other_bands_or_other_histories_are_not_shared():
    there = BandPower(ALPHA, LowRateGrid.from_tr(2.0, 30.0))
    assert not shares_bins(there, BandPower(Morlet(ALPHA.bands), inverse_grid(2.0, 30.0)))
    assert not shares_bins(there, BandPower(ALPHA, inverse_grid(2.0, 20.0)))
    assert not shares_bins(there, BandPower(ALPHA, inverse_grid(3.0, 30.0)))


def test_windows_end_with_bins_whose_response_is_seen():
    data = paired(World.of(), 100)
    windows = InverseWindows(data, lambda bold: bold, 40, 20, torch.float64)
    assert len(windows) == 4
    bold, wanted = (part.numpy() for part in windows[1])
    np.testing.assert_array_equal(bold, data.targets[0][20:60])
    known = np.isfinite(wanted).all(axis=(0, 1))
    np.testing.assert_array_equal(known, np.arange(40) < 40 - frames_after(T_R))
    expected = data.powers[0][..., GRID.n_lags + 20 :][..., :31]
    np.testing.assert_array_equal(wanted[..., known], expected)


def test_windows_of_training_hold_a_whole_response():
    data = paired(World.of(), 100)
    assert window_frames(data, Trainer(window=60.0)) == (30, 15)
    assert window_frames(data, Trainer(window=10.0)) == (frames_after(T_R) + 2, 5)


def test_what_is_missing_is_expected_from_what_is_not():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((4000, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    process = BoldProcess(np.eye(1, 64)[0], rows.T @ rows / len(rows))
    lacking = rows.copy()
    lacking[:, 1] = np.nan
    filled = process.filled(lacking, 3, 5)
    assert filled.shape == (4008, 2)
    np.testing.assert_allclose(filled[3:-5, 1], 0.8 * rows[:, 0], atol=0.1)
    # White noise says nothing of what comes before or after.
    np.testing.assert_allclose(filled[:3], 0.0, atol=1e-12)


def test_frames_too_few_for_a_response_are_refused(people):
    rec = Reader().read_pair([people.raws[0].copy().crop(0, 19)], [people.bolds[0][:10]], T_R)
    with pytest.raises(ValueError, match=r"X has .* of 10 frames \(20 s\), too few.*at least 11"):
        check_long_enough(rec, "X")


def test_nothing_left_to_learn_from_is_refused(people):
    bold = people.bolds[0][:20].copy()
    bold[15:] = np.nan
    rec = Reader().read_pair([people.raws[0].copy().crop(0, 40)], [bold], T_R)
    features = BandPower(ALPHA, inverse_grid(T_R, 30.0))
    powers = features.measure(longer(rec))
    with pytest.raises(ValueError, match=r"No frame is left to learn from.*30 s"):
        pair_inverse(rec, powers, features.grid, "cosine")
