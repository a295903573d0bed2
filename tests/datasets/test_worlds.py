"""Worlds that differ from the plain one differ in what their names say."""

import mne
import numpy as np
import pytest
from scipy.signal import periodogram

from mne_samba.datasets import simulate_paired
from mne_samba.datasets._signals import SLOW_RATE, bold_noise, slow_amplitudes

SMALL = {"level": "source", "n_sources": 8, "n_targets": 12, "random_state": 0}


def correlate(a, b):
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


def test_slow_amplitudes_keep_to_their_band():
    series = slow_amplitudes(np.random.default_rng(0), 50, 8000)
    freqs, power = periodogram(series, SLOW_RATE, window="hann")
    inside = (freqs > 0.009) & (freqs < 0.101)
    assert power[:, inside].sum() / power.sum() > 0.99
    assert series.var() == pytest.approx(1, abs=0.05)
    # Cropped from something longer: the last value does not lead back to the first.
    assert abs(np.corrcoef(series[:, 0], series[:, -1])[0, 1]) < 0.4


@pytest.mark.parametrize("t_r", [1.0, 2.0, 3.0])
def test_autoregressive_noise(t_r):
    noise = bold_noise(np.random.default_rng(0), "ar", 2000, 20, t_r)
    lagged = correlate(noise[1:], noise[:-1]).mean()
    assert lagged == pytest.approx(0.6 ** (t_r / 2), abs=0.02)
    assert correlate(noise[2:], noise[:-2]).mean() == pytest.approx(0.6**t_r, abs=0.03)
    assert (noise[:20] ** 2).mean() == pytest.approx(1, abs=0.3)


def test_pink_noise():
    freqs, power = periodogram(bold_noise(np.random.default_rng(0), "pink", 2000, 40, 2.0).T, 0.5)
    inside = (freqs > 0.005) & (freqs < 0.2)
    slope = np.polyfit(np.log(freqs[inside]), np.log(power.mean(axis=0)[inside]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)


def test_no_coupling_means_another_brain():
    coupled = simulate_paired(1, 600.0, **SMALL)
    alone = simulate_paired(1, 600.0, coupling=False, **SMALL)
    np.testing.assert_array_equal(coupled.raws[0].get_data(), alone.raws[0].get_data())
    unrelated = correlate(coupled.truth.clean_bolds[0], alone.truth.clean_bolds[0])
    assert abs(unrelated.mean()) < 0.1 and np.abs(unrelated).max() < 0.5
    assert alone.truth.clean_bolds[0].std() == pytest.approx(1, abs=0.01)


def test_shared_coupling_sets_how_alike_people_are():
    sizes = {"level": "source", "n_sources": 24, "n_targets": 40, "random_state": 0}
    people = {}
    for amount in (0.0, 0.7, 1.0):
        truth = simulate_paired(2, 40.0, shared_coupling=amount, **sizes).truth
        one, two = truth.by_subject
        deviations = [p.band_weights - p.band_weights.mean(axis=0) for p in (one, two)]
        people[amount] = (
            np.corrcoef(one.hrf_peak_time, two.hrf_peak_time)[0, 1],
            np.corrcoef(deviations[0].ravel(), deviations[1].ravel())[0, 1],
            ((one.spatial_map > 0) == (two.spatial_map > 0)).all(axis=1).mean(),
        )
        assert np.mean([p.band_weights[:, 2].mean() for p in (one, two)]) < -0.7
        if amount == 1.0:
            np.testing.assert_array_equal(one.spatial_map, truth.spatial_map)
            np.testing.assert_array_equal(two.hrf_params, truth.hrf_params)
    np.testing.assert_allclose(people[1.0], 1.0)
    # Two people each keep 0.7 of the group: 0.49 of the pairs and of the covariance.
    assert 0.3 < people[0.7][1] < 0.65 and 0.3 < people[0.7][2] < 0.7
    assert people[0.7][0] > 0.5
    assert np.abs(people[0.0][:2]).max() < 0.4 and people[0.0][2] < 0.1


def test_one_world_at_two_sites():
    world = {"level": "source", "n_sources": 8, "n_targets": 12, "coupling_random_state": 7}
    one = simulate_paired(1, 200.0, random_state=1, **world)
    two = simulate_paired(1, 200.0, random_state=2, sfreq=128.0, t_r=1.5, noise="pink", **world)
    np.testing.assert_allclose(one.truth.hrf_params, two.truth.hrf_params)
    np.testing.assert_array_equal(one.truth.band_weights, two.truth.band_weights)
    # Rows differ by a factor only, the one that brings clean BOLD to unit variance.
    ratio = one.truth.spatial_map / one.truth.spatial_map.max(axis=1, keepdims=True)
    other = two.truth.spatial_map / two.truth.spatial_map.max(axis=1, keepdims=True)
    np.testing.assert_allclose(ratio, other)
    assert (
        np.abs(
            np.corrcoef(one.raws[0].get_data()[:, :20_000], two.raws[0].get_data()[:, :20_000])[
                :8, 8:
            ]
        ).max()
        < 0.1
    )


def test_dense_signed_map():
    spatial_map = simulate_paired(1, 40.0, spatial_map="dense", **SMALL).truth.spatial_map
    assert (spatial_map != 0).all() and 0.3 < (spatial_map > 0).mean() < 0.7


def test_independent_band_weights():
    world = {**SMALL, "n_sources": 64}
    weights = simulate_paired(1, 40.0, band_weights="independent", **world).truth.band_weights
    assert np.abs(weights.mean(axis=0)).max() < 0.4 and 0.8 < weights.std() < 1.2


def test_target_band_weights():
    shared = simulate_paired(1, 100.0, **SMALL)
    own = simulate_paired(1, 100.0, band_weights="target", **SMALL)
    assert shared.truth.target_weights is None
    assert own.truth.target_weights.shape == (12, 5) and (own.truth.target_weights > 0).all()
    similarity = correlate(shared.truth.clean_bolds[0], own.truth.clean_bolds[0])
    assert 0.3 < similarity.mean() < 0.97


def test_drives_differ_as_named():
    drives = {
        kind: simulate_paired(1, 600.0, drive=kind, **SMALL).truth.clean_bolds[0]
        for kind in ("linear", "log", "saturating")
    }
    for kind in ("log", "saturating"):
        assert 0.6 < correlate(drives["linear"], drives[kind]).mean() < 0.985
    # A log-normal power has peaks; its logarithm is Gaussian.
    kurtosis = {k: ((v / v.std(axis=0)) ** 4).mean() - 3 for k, v in drives.items()}
    assert kurtosis["linear"] > 1.0 and abs(kurtosis["log"]) < 0.4


def test_leakage_mixes_neighbours():
    plain = simulate_paired(1, 60.0, **SMALL)
    mixed = simulate_paired(1, 60.0, leakage=0.5, **SMALL)
    np.testing.assert_array_equal(plain.bolds[0], mixed.bolds[0])
    correlation = np.corrcoef(mixed.raws[0].get_data())
    distance = np.linalg.norm(plain.source_coords[:, None] - plain.source_coords, axis=-1)
    pairs = np.triu_indices(8, 1)
    nearest = distance[pairs].argmin()
    assert correlation[pairs][nearest] > 0.2
    assert np.corrcoef(distance[pairs], correlation[pairs])[0, 1] < -0.3
    assert np.abs(np.corrcoef(plain.raws[0].get_data())[pairs]).max() < 0.1


def test_networks_share_their_amplitudes():
    data = simulate_paired(
        1, 900.0, level="source", n_sources=20, n_targets=4, network_variance=0.5, random_state=0
    )
    power = np.log(data.truth.source_power[0])[:, 2]
    kernel = np.ones(20) / 20
    power = np.stack([np.convolve(row, kernel, "valid") for row in power])
    correlation = np.corrcoef(power)
    pairs = np.triu_indices(20, 1)
    networks = np.asarray(data.source_networks)
    same = (networks[:, None] == networks)[pairs]
    assert correlation[pairs][same].mean() > 0.25
    assert abs(correlation[pairs][~same].mean()) < 0.1


def test_nuisance_moves_eeg_but_not_bold():
    plain = simulate_paired(1, 300.0, rhythm_snr=3.0, **SMALL)
    moved = simulate_paired(1, 300.0, rhythm_snr=3.0, nuisance=1.0, **SMALL)
    np.testing.assert_array_equal(plain.bolds[0], moved.bolds[0])
    np.testing.assert_array_equal(plain.truth.source_power[0], moved.truth.source_power[0])
    together = []
    for data in (plain, moved):
        alpha = mne.filter.filter_data(data.raws[0].get_data(), 200.0, 8, 13, verbose="ERROR")
        power = np.log((alpha**2).reshape(8, -1, 800).mean(axis=-1))
        together.append(np.corrcoef(power)[~np.eye(8, dtype=bool)].mean())
    # Half of every source's log-amplitude is now common to all.
    assert abs(together[0]) < 0.15 and together[1] > 0.25


def test_stimuli_are_annotated_and_shared():
    data = simulate_paired(2, 600.0, n_stimuli=3, stimulus_variance=0.8, snr=4.0, **SMALL)
    table = data.stimuli
    assert list(table.columns) == ["recording", "subject", "onset", "duration", "label"]
    for recording, raw in enumerate(data.raws):
        rows = table[table.recording == recording]
        assert sorted(rows.label) == ["stimulus/1", "stimulus/2", "stimulus/3"]
        assert list(raw.annotations.description) == list(rows.label)
        np.testing.assert_allclose(raw.annotations.onset, [0, 200, 400])
        np.testing.assert_allclose(raw.annotations.duration, 200)
    segments = [
        {row.label: data.bolds[k][int(row.onset / 2) :][:100] for row in rows.itertuples()}
        for k, rows in table.groupby("recording")
    ]
    # The response to what came before has gone after 20 s.
    same = [correlate(segments[0][k][10:], segments[1][k][10:]).mean() for k in segments[0]]
    other = [
        correlate(segments[0][a][10:], segments[1][b][10:]).mean()
        for a in segments[0]
        for b in segments[1]
        if a != b
    ]
    assert np.mean(same) > 0.25 and abs(np.mean(other)) < 0.15


def test_stimuli_without_effect_leave_the_data_alone():
    plain = simulate_paired(1, 100.0, **SMALL)
    named = simulate_paired(1, 100.0, n_stimuli=2, **SMALL)
    np.testing.assert_array_equal(plain.bolds[0], named.bolds[0])
    assert len(named.raws[0].annotations) == 2


def test_own_bands():
    bands = {"mu": (9.0, 11.0), "high": (60.0, 80.0)}
    data = simulate_paired(1, 300.0, bands=bands, rhythm_snr=3.0, **SMALL)
    assert data.truth.band_weights.shape == (8, 2)
    assert data.truth.band_weights.mean(axis=0)[0] < 0 < data.truth.band_weights.mean(axis=0)[1]
    freqs, density = periodogram(data.raws[0].get_data(), 200.0)
    level = [
        (freqs * density.mean(axis=0))[(freqs > low) & (freqs < high)].mean()
        for low, high in ((62, 78), (40, 55), (9.3, 10.7), (14, 40))
    ]
    assert level[0] > 2 * level[1] and level[2] > 5 * level[3]
