"""Facts about simulated people: what was asked for is what the data hold."""

import mne
import numpy as np
import pytest
from scipy.signal import hilbert, welch

from mne_samba.datasets import simulate_paired

BANDS = ["delta", "theta", "alpha", "beta", "gamma"]


@pytest.fixture(scope="module")
def source():
    return simulate_paired(2, 900.0, level="source", random_state=0)


@pytest.fixture(scope="module")
def sensor():
    return simulate_paired(1, 120.0, random_state=0)


def double_gamma(times, params):
    """The paper's formula, written out once more."""
    d_r, d_u, s_r, s_u, c_r, c_u = params
    p_r, p_u = d_r * s_r, d_u * s_u
    return c_r * (times / p_r) ** d_r * np.exp(-(times - p_r) / s_r) - c_u * (
        times / p_u
    ) ** d_u * np.exp(-(times - p_u) / s_u)


def predict(power, data, log=False, delay=0.0, subject=0):
    """BOLD from band power in bins of equal width that end at ``k * t_r``, by direct sums."""
    truth = data.truth
    inside = truth.power_times > 0
    dt = np.diff(truth.power_times).mean()
    power = np.log(power) if log else power
    z = power - power[..., inside].mean(-1, keepdims=True)
    z /= power[..., inside].std(-1, keepdims=True)
    drive = np.einsum("mn,nb,nbt->mt", truth.spatial_map, truth.band_weights, z)
    lags = (np.arange(round(35 / dt)) + 0.5) * dt
    kernels = np.array([double_gamma(lags, row) * dt for row in truth.hrf_params.to_numpy()])
    bold = np.empty((len(truth.clean_bolds[subject]), len(drive)))
    for frame in range(len(bold)):
        past = drive[:, truth.power_times < frame * data.t_r + delay][:, ::-1][:, : len(lags)]
        bold[frame] = (kernels[:, : past.shape[1]] * past).sum(axis=1)
    return bold


def columnwise(a, b):
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))


def measured_power(raw, data):
    """Band power by MNE's filter and the Hilbert transform, before the recording its mean."""
    edges = data.truth.power_times[data.truth.power_times > 0]
    dt = np.diff(edges).mean()
    n_bins = len(edges)
    width = round(dt * data.sfreq)
    result = np.empty((len(raw.ch_names), len(BANDS), len(data.truth.power_times)))
    for band, (low, high) in enumerate(data.truth.bands.values()):
        x = mne.filter.filter_data(
            raw.get_data(), data.sfreq, low, high, method="iir", verbose="ERROR"
        )
        power = np.abs(hilbert(x)) ** 2
        power = power[:, : n_bins * width].reshape(len(power), n_bins, width).mean(-1)
        result[:, band, -n_bins:] = power
        result[:, band, :-n_bins] = power.mean(-1, keepdims=True)
    return result


def test_fields(source):
    assert [raw.ch_names for raw in source.raws] == [source.source_names] * 2
    assert all(raw.n_times == 180_000 and raw.info["sfreq"] == 200 for raw in source.raws)
    assert all(bold.shape == (450, 48) for bold in source.bolds)
    assert list(source.subjects) == ["sub-01", "sub-02"]
    assert source.raws[1].info["subject_info"]["his_id"] == "sub-02"
    assert source.truth.band_weights.shape == (32, 5) and list(source.truth.bands) == BANDS
    assert list(source.truth.hrf_params.index) == source.target_names
    assert source.truth.gain is None and len(source.stimuli) == 0
    assert "SIMULATED" in source.DESCR


@pytest.mark.parametrize("snr", [0.25, 1.0, 4.0])
def test_snr_is_exact_and_holds_inside(snr):
    data = simulate_paired(
        1, 1200.0, level="source", n_sources=8, n_targets=24, snr=snr, random_state=1
    )
    clean, noise = data.truth.clean_bolds[0], data.bolds[0] - data.truth.clean_bolds[0]
    np.testing.assert_allclose(clean.var(axis=0) / noise.var(axis=0), snr)
    inside = slice(60, -60)
    ratio = clean[inside].var(axis=0).mean() / noise[inside].var(axis=0).mean()
    assert abs(ratio / snr - 1) < 0.15


def test_ends_hold_their_share_of_the_variance(source):
    # 2 people x 48 targets: the mean square of two minutes is known to about 15 %.
    clean = np.concatenate(source.truth.clean_bolds, axis=1)
    frames = 60
    share = 2 * frames / len(clean)
    energy = (clean**2).sum()
    both_ends = ((clean[:frames] ** 2).sum() + (clean[-frames:] ** 2).sum()) / energy
    assert 0.7 * share < both_ends < 1.3 * share
    # The first frame has a past: it varies over targets like any other.
    assert 0.5 < (clean[:3] ** 2).mean() < 2.0


def test_clean_bold_is_the_convolved_drive(source):
    predicted = predict(source.truth.source_power[1], source, subject=1)
    clean = source.truth.clean_bolds[1]
    assert columnwise(predicted, clean).min() > 0.999
    np.testing.assert_allclose(predicted.std(axis=0), clean.std(axis=0), rtol=0.02)
    assert 0.8 < clean.std(axis=0).mean() < 1.2


def test_clean_bold_at_an_odd_repetition_time():
    data = simulate_paired(
        1, 300.0, level="source", t_r=1.89, sfreq=125.0, n_sources=6, n_targets=6, random_state=2
    )
    assert data.bolds[0].shape == (158, 6) and data.raws[0].n_times == 37_500
    predicted = predict(data.truth.source_power[0], data)
    assert columnwise(predicted, data.truth.clean_bolds[0]).min() > 0.999


def test_recordings_tell_bold_at_the_right_time(source):
    power = measured_power(source.raws[0], source)
    clean, warm = source.truth.clean_bolds[0], slice(20, None)
    scores = [
        columnwise(predict(power, source, delay=delay), clean)[warm].mean()
        for delay in (-1.0, 0.0, 1.0)
    ]
    # The rhythms stand out of the background as far as makes the best possible score about 0.93.
    assert 0.9 < scores[1] < 0.96
    assert scores[1] > scores[0] + 0.02 and scores[1] > scores[2] + 0.02


def test_spectrum_is_one_over_f_with_an_alpha_peak(source):
    freqs, density = welch(source.raws[0].get_data(), 200.0, nperseg=800)
    density = density.mean(axis=0)

    def level(low, high):
        inside = (freqs >= low) & (freqs <= high)
        return (freqs[inside] * density[inside]).mean()

    # Beyond the rhythms f * density is flat, and so it is below and above alpha.
    assert abs(level(50, 60) / level(80, 95) - 1) < 0.1
    assert level(9, 12) > 1.8 * level(5, 7) and level(9, 12) > 1.8 * level(15, 25)
    assert 1.15 < level(15, 28) / level(50, 95) < 1.45


def test_responses_are_human(source):
    times = np.arange(0.01, 30, 0.01)
    for params, peak in zip(
        source.truth.hrf_params.to_numpy(), source.truth.hrf_peak_time, strict=True
    ):
        response = double_gamma(times, params)
        assert response.max() == pytest.approx(1, abs=1e-4)
        assert times[response.argmax()] == pytest.approx(peak, abs=0.011)
        assert -0.45 < response.min() < 0
        assert 3.0 < (response > 0.5).sum() * 0.01 < 6.5
    peaks = source.truth.hrf_peak_time
    assert 3.5 <= peaks.min() < 4.1 and 6.4 < peaks.max() <= 7.0


def test_band_weights_have_the_known_signs(source):
    mean = dict(zip(BANDS, source.truth.band_weights.mean(axis=0), strict=True))
    assert mean["alpha"] < -0.7 and mean["beta"] < 0 and mean["gamma"] > 0.6
    assert (source.truth.band_weights[:, 2] < 0).mean() > 0.95
    spread = source.truth.band_weights.std(axis=0)
    assert ((spread > 0.2) & (spread < 0.5)).all()


def test_map_is_sparse_positive_and_local(source):
    used = source.truth.spatial_map > 0
    assert (source.truth.spatial_map >= 0).all()
    assert (used.sum(axis=1) == 4).all() and (used.sum(axis=0) >= 2).all()
    distance = np.linalg.norm(source.target_coords[:, None] - source.source_coords[None], axis=-1)
    assert np.median(distance[used]) < 0.8 * np.median(distance[~used])


def test_regions_are_real_and_stay(source):
    from nilearn.datasets import fetch_coords_power_2011, fetch_coords_seitzman_2018

    atlas = fetch_coords_seitzman_2018()
    networks = {
        tuple(row): network
        for row, network in zip(atlas.rois.to_numpy(), atlas.networks, strict=True)
    }
    assert [networks[tuple(c)] for c in source.target_coords] == list(source.target_networks)
    assert len(set(source.target_networks)) >= 10
    power = {tuple(row) for row in fetch_coords_power_2011().rois[["x", "y", "z"]].to_numpy(float)}
    assert {tuple(c) for c in source.source_coords} <= power
    for names, coords in (
        (source.target_names, source.target_coords),
        (source.source_names, source.source_coords),
    ):
        assert len(set(names)) == len(names)
        assert all(("_L" in name) == (c[0] < 0) for name, c in zip(names, coords, strict=True))
    again = simulate_paired(1, 60.0, level="source", random_state=123)
    assert again.target_names == source.target_names
    np.testing.assert_array_equal(again.source_coords, source.source_coords)


def test_sensors_look_like_eeg(sensor):
    raw = sensor.raws[0]
    assert len(raw.ch_names) == 64 and {"Cz", "Oz", "Fp1"} <= set(raw.ch_names)
    assert set(raw.get_channel_types()) == {"eeg"}
    amplitude = 1e6 * raw.get_data().std(axis=1)
    assert 5 < amplitude.min() and 10 < np.median(amplitude) < 50 and amplitude.max() < 100
    # Neighbours see the same sources, remote channels others.
    correlation = np.abs(np.corrcoef(raw.get_data(picks=["O1", "Oz", "O2", "AFz"])))
    assert correlation[0, 1] > 0.7 and correlation[1, 2] > 0.7
    assert correlation[1, 3] < correlation[0, 1]


def test_sources_are_loudest_at_electrodes_nearby(sensor):
    raw, gain = sensor.raws[0], np.abs(sensor.truth.gain)
    assert gain.shape == (64, 32)
    trans = mne.transforms.invert_transform(
        mne.read_trans(mne.__path__[0] + "/data/fsaverage/fsaverage-trans.fif")
    )
    places = mne.transforms.apply_trans(trans, sensor.source_coords / 1e3)
    electrodes = np.array([ch["loc"][:3] for ch in raw.info["chs"]])
    distance = np.linalg.norm(electrodes[:, None] - places[None], axis=-1)
    loudest = distance[gain.argmax(axis=0), np.arange(32)]
    assert np.median(loudest) < 0.6 * np.median(distance)


def test_other_montage_and_rate():
    data = simulate_paired(1, 40.0, sfreq=100.0, montage="biosemi32", random_state=0)
    assert len(data.raws[0].ch_names) == 32 and data.raws[0].info["sfreq"] == 100


def test_same_seed_same_data_and_people_differ(source):
    first = simulate_paired(2, 60.0, level="source", n_sources=8, n_targets=8, random_state=3)
    again = simulate_paired(2, 60.0, level="source", n_sources=8, n_targets=8, random_state=3)
    other = simulate_paired(3, 60.0, level="source", n_sources=8, n_targets=8, random_state=4)
    more = simulate_paired(3, 60.0, level="source", n_sources=8, n_targets=8, random_state=3)
    for name in ("raws", "bolds"):
        for a, b in zip(first[name], again[name], strict=True):
            a, b = (x.get_data() if name == "raws" else x for x in (a, b))
            np.testing.assert_array_equal(a, b)
    assert not np.allclose(first.truth.spatial_map, other.truth.spatial_map)
    # Adding a person changes nobody.
    np.testing.assert_array_equal(first.raws[1].get_data(), more.raws[1].get_data())
    # People are independent: 450 frames, AR noise and a slow response leave about 150 of them.
    between = columnwise(source.bolds[0], source.bolds[1])
    assert abs(between.mean()) < 0.05 and np.abs(between).max() < 0.4
    between = np.corrcoef(source.raws[0].get_data()[:4], source.raws[1].get_data()[:4])[:4, 4:]
    assert np.abs(between).max() < 0.02


def test_global_random_state_is_left_alone():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    simulate_paired(1, 40.0, level="source", n_sources=4, n_targets=4, random_state=0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"n_subjects": 0}, "n_subjects must be at least 1"),
        ({"n_sources": 2.5}, "n_sources must be an integer"),
        ({"n_targets": 10_000}, "n_targets must be at most"),
        ({"t_r": 0.0}, "t_r must be at least"),
        ({"duration": 10.0}, "duration must be at least 20"),
        ({"duration": "long"}, "duration must be a number"),
        ({"snr": 0}, "snr must be above 0"),
        ({"snr": float("nan")}, "snr must be finite"),
        ({"sfreq": 60.0}, "half the sampling rate"),
        ({"shared_coupling": 1.5}, "at most 1"),
        ({"level": "voxel"}, "level must be one of 'sensor', 'source'"),
        ({"spatial_map": "round"}, "spatial_map must be one of"),
        ({"band_weights": "none"}, "band_weights must be one of"),
        ({"drive": "cubic"}, "drive must be one of"),
        ({"noise": "white"}, "noise must be one of"),
        ({"bands": {"alpha": (13, 8)}}, "low < high"),
        ({"bands": {"alpha": 10}}, r"must be \(low, high\)"),
        ({"bands": {"slow": (0.1, 1)}}, "begin at 0.5 Hz"),
        ({"bands": [(8, 13)]}, "bands must be a dict"),
        ({"montage": "hat"}, "montage must be None or the name"),
        ({"montage": "biosemi32", "level": "source"}, "belong to level"),
        ({"stimulus_variance": 0.5}, "give n_stimuli"),
        ({"sources_per_target": 40}, "more than n_sources"),
    ],
)
def test_what_cannot_be_simulated_is_refused(parameters, match):
    with pytest.raises((ValueError, TypeError), match=match):
        simulate_paired(**{"duration": 60.0, **parameters})
