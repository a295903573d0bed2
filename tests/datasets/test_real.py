"""The shipped recording, BOLD made from real EEG, and images of regions."""

import mne
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker, NiftiSpheresMasker
from scipy.io import loadmat

from mne_samba.datasets import (
    load_calcium_bold,
    load_eeg_fmri_sleep,
    load_events_bold,
    load_rat_lfp_optical,
    simulate_bold,
    simulate_bold_image,
    simulate_paired,
)


@pytest.fixture(scope="module")
def rest(shared_data):
    return mne.io.read_raw_edf(shared_data / "eeg_rest" / "test.edf", preload=True, verbose="ERROR")


@pytest.fixture(scope="module")
def task(shared_data):
    return mne.io.read_raw_eeglab(
        shared_data / "eeg_task" / "eeglab_data.set", preload=True, verbose="ERROR"
    )


def columnwise(a, b):
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


def test_calcium_and_bold():
    data = load_calcium_bold()
    assert data.calcium.shape == (36_750,) and data.sfreq == 50
    assert data.bold.shape == (490, 1) and data.t_r == 1.5
    np.testing.assert_allclose(data.bold_times, (np.arange(490) + 1) * 1.5)
    assert data.bold_times[-1] == pytest.approx(len(data.calcium) / data.sfreq)
    assert "REAL" in data.DESCR


def test_sleep_is_what_the_source_holds_to_half_precision(shared_data):
    data = load_eeg_fmri_sleep()
    assert len(data.subjects) == 15 and data.power[0].shape == (1, 6, len(data.states[0]))
    table = pd.read_csv(shared_data / "eeg_fmri_sleep" / f"{data.subjects[3]}.csv.gz")
    np.testing.assert_allclose(data.power[3][0].T, table[data.bands], rtol=5e-4, atol=1e-4)
    p = table[list(data.states[3])].clip(1e-6, 1 - 1e-6)
    np.testing.assert_allclose(data.states[3], np.log(p / (1 - p)), rtol=5e-4, atol=1e-3)
    assert (data.stages[3] == table["hypnogram"]).all()
    assert "REAL" in data.DESCR


def test_rat_and_events(shared_data):
    rat, events = load_rat_lfp_optical(), load_events_bold()
    assert rat.lfp.shape == (2415,) and rat.blood.shape == (2415, 1) and rat.t_r == 0.16
    name = shared_data / "rat_lfp_optical" / "s1_suj5_525_preproc.mat"
    np.testing.assert_array_equal(rat.blood[:, 0], -loadmat(name, simplify_cells=True)["OPT"])
    assert events.events.shape == (6, 3360) and (events.events.sum(axis=1) == 96).all()
    assert events.bold.shape == (3360, 1)


def test_calcium_follows_the_stimuli_and_bold_follows_calcium():
    data = load_calcium_bold()
    assert len(data.stimuli) == 12 and (data.stimuli.n_pulses == 30).all()
    np.testing.assert_allclose(data.stimuli.duration, 15.0, atol=0.01)
    np.testing.assert_allclose(np.diff(data.stimuli.onset), 60.04, atol=0.01)
    times = np.arange(len(data.calcium)) / data.sfreq
    block, frames = np.zeros(len(times), bool), np.zeros(490, bool)
    for row in data.stimuli.itertuples():
        block |= (times >= row.onset) & (times < row.onset + row.duration)
        # BOLD lags by a few seconds.
        frames |= (data.bold_times >= row.onset + 3) & (data.bold_times < row.onset + 18)
    assert data.calcium[block].mean() > data.calcium[~block].mean() + 0.5 * data.calcium.std()
    assert data.bold[frames].mean() > data.bold[~frames].mean() + data.bold.std()


def test_calcium_file_is_the_original(shared_data):
    name = shared_data / "calcium_bold" / "calcium_2Hz_15s_stimulation.mat"
    original = loadmat(name, simplify_cells=True)
    data = load_calcium_bold()
    np.testing.assert_array_equal(data.calcium, original["calcium_raw"])
    np.testing.assert_array_equal(data.bold[:, 0], original["BOLD_calcium"])


@pytest.mark.parametrize("name", ["rest", "task"])
def test_bold_of_a_real_recording(name, request):
    raw = request.getfixturevalue(name)
    before = raw.get_data().copy()
    data = simulate_bold(raw, t_r=2.0, n_targets=10, snr=0.5, random_state=0)
    np.testing.assert_array_equal(raw.get_data(), before)
    n_frames = int(raw.n_times / raw.info["sfreq"] // 2)
    assert data.bold.shape == data.clean_bold.shape == (n_frames, 10)
    np.testing.assert_allclose(
        data.clean_bold.var(axis=0) / (data.bold - data.clean_bold).var(axis=0), 0.5
    )
    assert set(data.truth.channels) <= set(raw.ch_names) and len(set(data.truth.channels)) == 10
    assert len(set(data.truth.bands)) == 5
    signs = dict(zip(data.truth.bands, data.truth.signs, strict=True))
    assert signs["alpha"] == -1 and signs["gamma"] == 1
    assert "SEMI-SYNTHETIC" in data.DESCR


def test_semisynthetic_bold_is_the_convolved_power(rest):
    data = simulate_bold(rest, t_r=2.0, n_targets=6, picks=["O1", "O2", "Pz"], random_state=1)
    assert set(data.truth.channels) == {"O1", "O2", "Pz"}
    dt = 0.25
    width = dt * rest.info["sfreq"]
    scores = []
    for target, params in enumerate(data.truth.hrf_params.to_numpy()):
        low, high = data.truth.band_edges[data.truth.bands[target]]
        # Fourier components between the edges, instead of a filter and an envelope.
        x = rest.get_data(picks=[data.truth.channels[target]])[0]
        freqs = np.fft.rfftfreq(len(x), 1 / rest.info["sfreq"])
        spectrum = np.fft.rfft(x) * ((freqs >= low) & (freqs <= high))
        edges = np.round(np.arange(0, len(x) / width) * width).astype(int)
        power = np.add.reduceat(np.fft.irfft(spectrum, len(x)) ** 2, edges)
        lags = (np.arange(160) + 0.5) * dt
        d_r, d_u, s_r, s_u, c_r, c_u = params
        p_r, p_u = d_r * s_r, d_u * s_u
        kernel = c_r * (lags / p_r) ** d_r * np.exp(-(lags - p_r) / s_r)
        kernel -= c_u * (lags / p_u) ** d_u * np.exp(-(lags - p_u) / s_u)
        bold = np.convolve(power - power.mean(), kernel)[7 : (len(data.bold) - 1) * 8 : 8]
        score = np.corrcoef(data.truth.signs[target] * bold, data.clean_bold[1:, target])[0, 1]
        scores.append(score)
        times = np.arange(0.01, 12, 0.01)
        response = c_r * (times / p_r) ** d_r * np.exp(-(times - p_r) / s_r)
        response -= c_u * (times / p_u) ** d_u * np.exp(-(times - p_u) / s_u)
        assert times[response.argmax()] == pytest.approx(data.truth.hrf_peak_time[target], abs=0.01)
    # A real alpha rhythm at the edge of theta passes two filters differently.
    assert np.median(scores) > 0.96 and min(scores) > 0.9


def test_given_response_and_seed(rest):
    params = np.array([6.0, 12.0, 0.9, 0.9, 3.0, 1.0])
    first = simulate_bold(rest, hrf_params=params, n_targets=3, random_state=0)
    again = simulate_bold(rest, hrf_params=params, n_targets=3, random_state=0)
    other = simulate_bold(rest, hrf_params=params, n_targets=3, random_state=1)
    np.testing.assert_array_equal(first.bold, again.bold)
    assert (
        np.abs(columnwise(first.bold - first.clean_bold, other.bold - other.clean_bold)).max() < 0.5
    )
    # Five seconds less what the undershoot takes away; scaled to unit peak, shape unchanged.
    assert 4.8 < first.truth.hrf_peak_time[0] < 5.4
    np.testing.assert_allclose(first.truth.hrf_params.iloc[0, :4], params[:4])
    ratio = first.truth.hrf_params["undershoot_scale"] / first.truth.hrf_params["response_scale"]
    np.testing.assert_allclose(ratio, 1 / 3)


def test_real_noise_keeps_its_spectrum(task, shared_data):
    real = pd.read_csv(shared_data / "fmri_rois" / "fmri_timeseries.csv").iloc[:, 3:].to_numpy()
    data = simulate_bold(task, n_targets=28, noise=real, noise_t_r=1.89, t_r=1.89, random_state=0)
    noise = data.bold - data.clean_bold
    lag_one = [columnwise(x[1:], x[:-1]) for x in (noise, real)]
    assert abs(lag_one[0].mean() - lag_one[1].mean()) < 0.08
    assert lag_one[0].mean() > 0.45
    # Phases are random: nothing is left of the original time courses.
    n = min(len(noise), len(real))
    assert np.abs(columnwise(noise[:n], real[:n])).max() < 0.45


def test_semisynthetic_refuses(rest):
    with pytest.raises(TypeError, match="recording of MNE"):
        simulate_bold(rest.get_data())
    with pytest.raises(ValueError, match="at least one minute and 20 frames"):
        simulate_bold(rest.copy().crop(0, 30))
    with pytest.raises(ValueError, match=r"hrf_params must have shape \(6,\) or \(4, 6\)"):
        simulate_bold(rest, n_targets=4, hrf_params=np.ones((3, 6)))
    with pytest.raises(ValueError, match="noise must have shape"):
        simulate_bold(rest, noise=np.ones(10))
    with pytest.raises(ValueError, match="vary in every column"):
        simulate_bold(rest, noise=np.ones((100, 2)))
    with pytest.raises(ValueError, match="noise must be one of"):
        simulate_bold(rest, noise="white")
    flat = rest.copy().pick(["Cz"]).apply_function(lambda x: 0 * x)
    with pytest.raises(ValueError, match="'Cz' is flat"):
        simulate_bold(flat, n_targets=1)
    bad = rest.copy()
    bad.info["bads"] = list(bad.ch_names)
    with pytest.raises(ValueError, match="No channel is left"):
        simulate_bold(bad)


def test_bold_image_gives_its_time_courses_back():
    data = simulate_paired(1, 60.0, level="source", random_state=0)
    bold = data.bolds[0]
    image = simulate_bold_image(bold, data.target_coords, 2.0, baseline=100.0)
    assert image.img.shape[-1] == 30 and image.img.header.get_zooms()[3] == 2.0
    labels = NiftiLabelsMasker(image.labels_img, standardize=None)
    extracted = labels.fit_transform(image.img)
    np.testing.assert_allclose(extracted - 100, bold, atol=1e-3)
    spheres = NiftiSpheresMasker(
        data.target_coords, radius=image.radius - 1, mask_img=image.mask_img, standardize=None
    )
    assert columnwise(spheres.fit_transform(image.img), bold).min() > 0.999
    # And back: an image of predictions, read again, is the predictions.
    for masker in (labels, spheres):
        again = masker.transform(masker.inverse_transform(extracted[:5]))
        np.testing.assert_allclose(again, extracted[:5], rtol=1e-4)


def test_bold_image_lies_in_mni_space():
    coords = np.array([[-40.0, 20.0, 10.0], [30.0, -60.0, 0.0]])
    image = simulate_bold_image(np.ones((4, 2)), coords, 1.5, voxel_size=2.0)
    labels = np.asarray(image.labels_img.dataobj)
    for label, centre in enumerate(coords, start=1):
        voxels = np.argwhere(labels == label)
        places = voxels @ image.img.affine[:3, :3].T + image.img.affine[:3, 3]
        np.testing.assert_allclose(places.mean(axis=0), centre, atol=1.0)
        volume = len(voxels) * 2.0**3
        assert volume == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.1)


def test_bold_image_refuses():
    coords = np.array([[-40.0, 20.0, 10.0], [30.0, -60.0, 0.0]])
    with pytest.raises(ValueError, match="one column for each of the 2"):
        simulate_bold_image(np.ones((4, 3)), coords, 1.5)
    with pytest.raises(ValueError, match="coords must have shape"):
        simulate_bold_image(np.ones((4, 2)), coords[:, :2], 1.5)
    with pytest.raises(ValueError, match="NaN or infinite"):
        simulate_bold_image(np.full((4, 2), np.nan), coords, 1.5)
    with pytest.raises(ValueError, match=r"\[1\] have no voxel"):
        simulate_bold_image(np.ones((4, 2)), coords[[0, 0]], 1.5)
