"""Scale of band power and structure of the core follow what held-out frames say."""

import numpy as np
import pytest
from assemble import assemble, quick

from mne_samba import CoreModel, SambaTranslator, make_windows, read_samba
from mne_samba.data.paired import BoldScale, Paired, inner_blocks, inner_split, stitch
from mne_samba.data.power import LowRateGrid, PowerScaler
from mne_samba.datasets import simulate_bold, simulate_paired
from mne_samba.metrics import r2


@pytest.fixture(scope="module")
def log_world():
    return simulate_paired(
        1, 900.0, level="source", n_sources=8, n_targets=10, snr=4.0, sfreq=100.0, drive="log",
        random_state=1,
    )  # fmt: skip


def test_log_power_is_taken_where_it_drives_bold(log_world, fitted):
    log = SambaTranslator(t_r=2.0, model="core", random_state=0)
    log.fit(log_world.raws, log_world.bolds)
    assert (log.power_, fitted.power_) == ("log", "linear")


@pytest.mark.parametrize("power", ["linear", "log"])
def test_a_given_scale_is_kept(people, power):
    translator = SambaTranslator(t_r=2.0, model=quick(CoreModel, power=power), random_state=0)
    assert translator.fit(people.raws[:1], people.bolds[:1]).power_ == power


def test_own_bands_are_taken_on_real_eeg_with_a_band_per_region(shared_data):
    """Semi-synthetic: real EEG, BOLD from one channel and band per region, three minutes."""
    import mne

    raw = mne.io.read_raw_edf(shared_data / "eeg_rest" / "test.edf", preload=True)
    data = simulate_bold(raw, t_r=2.0, n_targets=6, snr=4.0, random_state=0)
    translator = SambaTranslator(t_r=2.0, model=CoreModel(hrf_length=20.0), random_state=0)
    translator.fit(raw, data.bold)
    assert not translator.core_.spatial_map.any()
    error = np.abs(translator.hrf_peak_time_ - np.asarray(data.truth.hrf_peak_time))
    assert error.mean() < 0.5
    shared = translator.set_params(model__target_bands=False).fit(raw, data.bold)
    assert shared.core_.spatial_map.any()
    np.testing.assert_allclose(shared.band_attention_.sum(axis=1), 1.0)


def test_shared_bands_stay_where_they_hold(fitted):
    assert fitted.core_.spatial_map.any()


def test_own_bands_may_be_asked_for(people):
    # The scale of power is chosen among cores of the structure that was asked for.
    translator = SambaTranslator(t_r=2.0, model=CoreModel(target_bands=True), random_state=0)
    translator.fit(people.raws[0], people.bolds[0])
    assert not translator.core_.spatial_map.any() and translator.core_.extra.any()
    assert translator.score(people.raws[0], people.bolds[0]) > 0.3


def _windows(first, table_frames, grid):
    import pandas as pd

    n = len(table_frames)
    rng = np.random.default_rng(0)
    long = rng.standard_normal((2, 1, grid.n_bins(max(table_frames) + 20)))
    bold = rng.standard_normal((max(table_frames) + 20, 3))
    powers = [long[..., f * grid.step : f * grid.step + grid.n_bins(20)] for f in table_frames]
    table = pd.DataFrame(
        {"subject": "a", "run": 1, "recording": 0, "onset": 0.0, "frame": table_frames}
    )
    targets = [bold[f : f + 20] for f in table_frames]
    names = ["ch0", "ch1"], ["r0", "r1", "r2"]
    scale = BoldScale(np.zeros(3), np.ones(3), np.zeros(3))
    keys = [("a", "1", "0")] * n
    data = Paired(powers, targets, keys, table, "windows", grid, PowerScaler(), scale, *names)
    return data, long, bold


def test_overlapping_windows_are_joined_and_frames_count_once():
    grid = LowRateGrid.from_tr(2.0, 10.0)
    data, long, bold = _windows(0, [10, 0, 40, 60], grid)
    joined = stitch(data)
    assert [len(t) for t in joined.targets] == [30, 40]
    np.testing.assert_array_equal(joined.targets[0], bold[:30])
    np.testing.assert_array_equal(joined.powers[0], long[..., : grid.n_bins(30)])
    np.testing.assert_array_equal(joined.targets[1], bold[40:80])


def test_held_out_frames_share_no_signal_with_training():
    grid = LowRateGrid.from_tr(2.0, 10.0)
    frames = list(range(0, 400, 20))
    data, _, _ = _windows(0, frames, grid)
    train, valid = inner_split(data, 0.2, 30.0)
    last = train.table["frame"].max() + 20
    first = valid.table["frame"].min()
    assert (first - last) * 2.0 >= 30.0
    assert set(train.table["frame"]) | set(valid.table["frame"]) < set(frames)


def test_the_way_back_takes_own_bands_where_they_hold(tmp_path):
    data = simulate_paired(
        2, 900.0, level="source", n_sources=6, n_targets=12, snr=4.0, sfreq=100.0,
        band_weights="target", random_state=2,
    )  # fmt: skip
    options = {"t_r": 2.0, "direction": "hemo_to_ele", "corrections": "never", "random_state": 0}
    bold, raw = data.bolds[0], data.raws[0]
    own = assemble(**options).fit(bold, raw)
    shared = assemble(**options, target_bands=False).fit(bold, raw)
    assert shared.core_.spatial_map.any() and not own.core_.spatial_map.any()
    new = data.bolds[1:], data.raws[1:]
    assert own.score_targets(*new, "pearson").mean() > shared.score_targets(*new, "pearson").mean()
    # What is published sums the regions' coefficients up, and a file keeps them all.
    assert own.spatial_map_.any()
    np.testing.assert_allclose(own.band_attention_.sum(axis=1), 1.0)
    own.save(tmp_path / "own.samba")
    np.testing.assert_array_equal(
        read_samba(tmp_path / "own.samba").predict(bold), own.predict(bold)
    )


def test_blocks_are_held_out_once_and_with_a_gap():
    grid = LowRateGrid.from_tr(2.0, 10.0)
    data, long, bold = _windows(0, [0, 20, 40, 70, 90], grid)
    seen = []
    for train, valid in inner_blocks(data, 4, 10.0):
        frames = [
            [int(np.flatnonzero((bold == row).all(axis=1))[0]) for target in part.targets
             for row in target] for part in (train, valid)
        ]  # fmt: skip
        seen += frames[1]
        assert min(abs(a - b) for a in frames[0] for b in frames[1] if (a < 60) == (b < 60)) > 5
        for power, target in zip(valid.powers, valid.targets, strict=True):
            first = int(np.flatnonzero((bold == target[0]).all(axis=1))[0]) * grid.step
            expected = long[..., first : first + grid.n_bins(len(target))]
            np.testing.assert_array_equal(power, expected)
    assert sorted(seen) == [*range(60), *range(70, 110)]


def test_predictions_of_short_data_are_shrunk_to_what_holds():
    """A normal map of five noisy minutes promises more than later ones keep (SIMULATED)."""
    shrunk, promised = [], []
    for seed in (20, 22):
        data = simulate_paired(
            1, 900.0, level="source", n_sources=24, n_targets=24, snr=0.25, sfreq=100.0,
            random_state=seed,
        )  # fmt: skip
        epochs, y = make_windows(data.raws[0], data.bolds[0], t_r=2.0)
        core = CoreModel(target_bands=False, map_prior="gaussian")
        model = SambaTranslator(t_r=2.0, model=core, random_state=0)
        model.fit(epochs[:4], y[:4])
        scale = model._fitted.judgement.output_scale
        assert (0.05 <= scale).all() and (scale < 0.9).all()
        later = y[6:].reshape(-1, 24), model.predict(epochs[6:]).reshape(-1, 24)
        bold, pred = (frames - frames.mean(axis=0) for frames in later)
        shrunk.append(r2(bold, pred).mean())
        promised.append(r2(bold, pred / scale).mean())
    assert np.mean(shrunk) > np.mean(promised) + 0.01
    assert np.mean(shrunk) > -0.01
