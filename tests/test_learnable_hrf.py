"""LearnableHRF: recovery, inputs, maps, inversion, real calcium and BOLD, errors."""

import pickle

import mne
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.io import loadmat
from scipy.signal import fftconvolve, lfilter
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from mne_samba import FramewiseRegressor, LearnableHRF, Reader
from mne_samba.hrf import HRF_PARAMS, double_gamma, glover_params, hrf_summary, unit_peak

T_R, SFREQ = 2.0, 10.0


def slow_drive(rng, n, seconds, band=(0.008, 0.12)):
    spectrum = np.fft.rfft(rng.standard_normal((n, int(seconds * SFREQ))))
    frequency = np.fft.rfftfreq(int(seconds * SFREQ), 1 / SFREQ)
    spectrum[:, (frequency < band[0]) | (frequency > band[1])] = 0
    drive = np.fft.irfft(spectrum)
    return drive / drive.std(axis=1, keepdims=True)


def true_params(rng, n):
    peak, d_r = rng.uniform(3.5, 7.0, n), rng.uniform(4, 9, n)
    p_u, d_u = peak + rng.uniform(6, 10, n), rng.uniform(8, 16, n)
    ratio = rng.uniform(0, 0.4, n)
    return unit_peak(np.stack([d_r, d_u, peak / d_r, p_u / d_u, np.ones(n), ratio], axis=1))


def bold_of(rng, drive, params, snr=np.inf, ar=0.6):
    response = double_gamma(np.arange(0, 32, 1 / SFREQ), params)
    full = fftconvolve(drive, response, axes=1)[:, : drive.shape[1]] / SFREQ
    clean = full[:, :: int(T_R * SFREQ)].T
    noise = lfilter([1], [1, -ar], rng.standard_normal(clean.shape), axis=0)
    return clean + noise * clean.std(0) / noise.std(0) / np.sqrt(snr)


def simulate(seed=0, n=16, minutes=20, snr=4.0):
    rng = np.random.default_rng(seed)
    drive, params = slow_drive(rng, n, 60 * minutes), true_params(rng, n)
    return drive, bold_of(rng, drive, params, snr), params


def six_parameters(**options):
    """Model that chooses neither its family nor its loss: for tests of what is around a fit."""
    return LearnableHRF(
        **{"t_r": T_R, "hrf": "double_gamma", "loss": "squared", "verbose": False, **options}
    )


@pytest.fixture(scope="module")
def data():
    return simulate()


@pytest.fixture(scope="module")
def fitted(data):
    drive, bold, _ = data
    return LearnableHRF(t_r=T_R, verbose=False, reader=Reader(sfreq=SFREQ)).fit([drive], [bold])


def cut(drive, bold, n_frames=30, context=30.0, step=None):
    """Windows of whole frames with context."""
    X, y, first = [], [], []
    lead, length = int(context * SFREQ), int(n_frames * T_R * SFREQ)
    for frame in range(int(context / T_R), len(bold) - n_frames + 1, step or n_frames):
        start = int(frame * T_R * SFREQ)
        X.append(drive[:, start - lead : start + length])
        y.append(bold[frame : frame + n_frames])
        first.append(frame)
    return np.stack(X), np.stack(y), first


def as_epochs(X, first, picks_type="eeg"):
    info = mne.create_info(X.shape[1], SFREQ, picks_type)
    metadata = pd.DataFrame(
        {"subject": "s", "run": 0, "recording": 0, "onset": np.array(first) * T_R, "frame": first}
    )
    events = np.column_stack([np.arange(len(X)), np.zeros(len(X), int), np.ones(len(X), int)])
    return mne.EpochsArray(
        X, info, events=events, tmin=-30.0, metadata=metadata, baseline=None, verbose=False
    )


@pytest.mark.parametrize(
    ("minutes", "snr", "error", "correlation"), [(30, 1, 0.2, 0.96), (30, 4, 0.12, 0.98)]
)
def test_recovers_peak_times(minutes, snr, error, correlation):
    drive, bold, params = simulate(seed=1, n=64, minutes=minutes, snr=snr)
    model = LearnableHRF(t_r=T_R, verbose=False, reader=Reader(sfreq=SFREQ)).fit([drive], [bold])
    truth = hrf_summary(params)["peak_time"]
    assert np.abs(model.hrf_peak_time_ - truth).mean() <= error
    assert np.corrcoef(model.hrf_peak_time_, truth)[0, 1] >= correlation
    assert abs((model.hrf_peak_time_ - truth).mean()) <= 0.08


def test_shrinkage_helps_where_regions_are_alike_and_data_short():
    errors = {"auto": [], None: []}
    for seed in range(2):
        rng = np.random.default_rng(seed)
        drive = slow_drive(rng, 24, 360)
        params = true_params(rng, 1) * np.exp(0.05 * rng.standard_normal((24, 6)))
        bold, truth = bold_of(rng, drive, params, snr=1.0), hrf_summary(params)
        for shrinkage in errors:
            model = LearnableHRF(
                t_r=T_R, shrinkage=shrinkage, verbose=False, reader=Reader(sfreq=SFREQ)
            )
            model.fit([drive], [bold])
            errors[shrinkage].append(np.abs(model.hrf_fwhm_ - truth["fwhm"]).mean())
    assert np.mean(errors["auto"]) < 0.75 * np.mean(errors[None])


def test_full_shrinkage_gives_one_response(data):
    drive, bold, _ = data
    one = six_parameters(shrinkage=1.0, reader=Reader(sfreq=SFREQ)).fit([drive], [bold])
    assert np.ptp(one.hrf_peak_time_) < 0.2
    glover = six_parameters(shrinkage=1.0, shrink_to="canonical", reader=Reader(sfreq=SFREQ)).fit(
        [drive], [bold]
    )
    reference = hrf_summary(glover_params())["peak_time"]
    assert_allclose(glover.hrf_peak_time_, reference, atol=0.1)


@pytest.mark.slow
def test_intervals_cover_the_truth():
    covered = []
    for seed in range(2):
        drive, bold, params = simulate(seed, n=40, minutes=15, snr=1.0)
        model = LearnableHRF(
            t_r=T_R, n_bootstrap=60, random_state=0, verbose=False, reader=Reader(sfreq=SFREQ)
        ).fit([drive], [bold])
        truth = hrf_summary(params)["peak_time"]
        low, high = (model.hrf_intervals_[f"peak_time_{end}"] for end in ("low", "high"))
        covered.append((low.to_numpy() <= truth) & (truth <= high.to_numpy()))
    assert 0.8 <= np.mean(covered) <= 0.97


def test_published_attributes_agree(fitted, data):
    assert list(fitted.hrf_params_.columns) == list(HRF_PARAMS)
    assert list(fitted.hrf_params_.index) == fitted.target_names_in_
    expected = double_gamma(fitted.hrf_times_, fitted.hrf_params_.to_numpy())
    assert_allclose(fitted.hrf_, expected, atol=1e-9)
    assert_allclose(fitted.hrf_.max(axis=1), 1.0, atol=2e-3)
    assert_allclose(fitted.hrf_times_[fitted.hrf_.argmax(1)], fitted.hrf_peak_time_, atol=0.06)
    assert_allclose(fitted.scale_, 1.0, atol=0.15)


def test_prediction_is_the_convolution_in_the_units_of_bold(fitted, data):
    drive, bold, _ = data
    response = double_gamma(np.arange(0, 30, 1 / SFREQ), fitted.hrf_params_.to_numpy())
    full = fftconvolve(drive, response, axes=1)[:, : drive.shape[1]] / SFREQ
    expected = fitted.intercept_ + fitted.scale_ * full[:, :: int(T_R * SFREQ)].T
    predicted = fitted.predict([drive])[0]
    # Bins of half a second stand for the drive within them: not exact, but close.
    assert_allclose(predicted[20:], expected[20:], atol=0.02 * bold.std())
    other = six_parameters(reader=Reader(sfreq=SFREQ)).fit([5 * drive + 3], [7 * bold + 50])
    assert_allclose(other.scale_, fitted.scale_ * 7 / 5, rtol=1e-4)
    assert_allclose(other.predict([5 * drive + 3])[0], 7 * predicted + 50, atol=1e-4)


def test_prediction_is_causal(fitted, data):
    drive = data[0]
    later = drive.copy()
    later[:, 6001:] += 10.0
    change = np.abs(fitted.predict([later])[0] - fitted.predict([drive])[0]).max(axis=1)
    assert change[:301].max() < 1e-9
    assert change[303] > 1e-3


def test_negative_coupling_keeps_the_response_positive(data):
    drive, bold, params = data
    model = LearnableHRF(t_r=T_R, verbose=False, reader=Reader(sfreq=SFREQ)).fit([drive], [-bold])
    assert np.all(model.scale_ < 0)
    assert_allclose(model.hrf_.max(axis=1), 1.0, atol=2e-3)
    assert np.abs(model.hrf_peak_time_ - hrf_summary(params)["peak_time"]).mean() < 0.15


def test_windows_epochs_raw_and_lists_agree(fitted, data):
    drive, bold, _ = data
    X, y, first = cut(drive, bold)
    windows = six_parameters(reader=Reader(sfreq=SFREQ, tmin=-30.0)).fit(X, y)
    assert windows.transform(X).shape == y.shape
    assert_allclose(windows.hrf_peak_time_, fitted.hrf_peak_time_, atol=0.12)
    epochs = as_epochs(X, first)
    by_epochs = six_parameters().fit(epochs, y)
    assert_allclose(by_epochs.hrf_peak_time_, windows.hrf_peak_time_, atol=1e-3)
    listed = [epochs[i] for i in range(len(epochs))]
    assert_allclose(by_epochs.predict(listed), by_epochs.predict(epochs))
    raw = mne.io.RawArray(drive, mne.create_info(16, SFREQ, "eeg"), verbose=False)
    by_raw = six_parameters().fit(raw, bold)
    assert_allclose(by_raw.hrf_peak_time_, fitted.hrf_peak_time_, atol=1e-6)
    assert_allclose(by_raw.predict(raw), fitted.predict([drive])[0], atol=1e-8)
    # Windows predict what the recording predicts.
    assert_allclose(
        by_raw.predict(raw)[first[2] : first[2] + 30], fitted.predict([drive])[0][first[2] :][:30]
    )


def test_overlapping_windows_count_frames_once(data):
    drive, bold, _ = data
    one = six_parameters()
    X, y, first = cut(drive, bold, step=30)
    apart = clone(one).fit(as_epochs(X, first), y)
    X, y, first = cut(drive, bold, step=15)
    overlapping = clone(one).fit(as_epochs(X, first), y)
    assert_allclose(overlapping.hrf_peak_time_, apart.hrf_peak_time_, atol=0.03)


def test_several_runs_with_drift_and_scrubbed_frames(data):
    drive, bold, params = data
    rng = np.random.default_rng(5)
    dirty = bold + np.linspace(0, 20, len(bold))[:, None]
    dirty[rng.random(len(bold)) < 0.1] = np.nan
    half = len(bold) // 2
    cut_at = int(half * T_R * SFREQ)
    runs = [drive[:, :cut_at], drive[:, cut_at:]], [dirty[:half], 100 + 3 * dirty[half:]]
    model = LearnableHRF(t_r=T_R, verbose=False, reader=Reader(sfreq=SFREQ)).fit(*runs)
    assert np.abs(model.hrf_peak_time_ - hrf_summary(params)["peak_time"]).mean() < 0.2
    assert model.score(*runs) > 0.75


def test_frame_times_move_the_peak(data):
    drive, bold, _ = data
    peaks = []
    for ref in (0.0, 0.5):
        model = six_parameters(reader=Reader(sfreq=SFREQ, slice_time_ref=ref))
        peaks.append(model.fit([drive], [bold[:-1]]).hrf_peak_time_.mean())
    # Frames that are said to be a second later have responses that are a second later.
    assert_allclose(peaks[1] - peaks[0], 1.0, atol=0.15)


def test_samples_may_be_averages_over_their_interval(data):
    drive, bold, params = data
    binned = drive.reshape(16, -1, 5).mean(-1)
    model = six_parameters(sample_time_ref=0.45, reader=Reader(sfreq=2.0))
    error = model.fit([binned], [bold]).hrf_peak_time_ - hrf_summary(params)["peak_time"]
    assert abs(error.mean()) < 0.08


def test_map_and_responses_are_learnt_together():
    rng = np.random.default_rng(7)
    drive, params = slow_drive(rng, 6, 1800), true_params(rng, 12)
    weights = rng.standard_normal((12, 6)) * (rng.random((12, 6)) < 0.5)
    weights[:, 0] += 1.0
    bold = bold_of(rng, weights @ drive, params, snr=4.0)
    model = LearnableHRF(t_r=T_R, verbose=False, reader=Reader(sfreq=SFREQ)).fit([drive], [bold])
    assert model.coef_.shape == (12, 6)
    assert np.corrcoef(model.coef_.ravel(), weights.ravel())[0, 1] > 0.97
    assert np.abs(model.hrf_peak_time_ - hrf_summary(params)["peak_time"]).mean() < 0.25
    assert model.predict([drive])[0].shape == bold.shape
    back = model.inverse_transform([bold])[0]
    inner = slice(600, back.shape[1] - 600)
    agree = [
        np.corrcoef(b[inner], d[: back.shape[1]][inner])[0, 1]
        for b, d in zip(back, drive, strict=True)
    ]
    assert np.mean(agree) > 0.8


def test_inverse_transform_finds_regions_by_name(data):
    drive, bold, _ = data
    names = [f"region {i}" for i in range(bold.shape[1])]
    table = pd.DataFrame(bold, columns=names)
    model = six_parameters(reader=Reader(sfreq=SFREQ)).fit([drive], [table])
    back = model.inverse_transform([table[names[::-1]]])
    np.testing.assert_array_equal(back, model.inverse_transform([table]))


def test_inverse_transform_deconvolves(fitted, data):
    drive = data[0]
    back = fitted.inverse_transform(fitted.predict([drive]))[0]
    inner = slice(600, back.shape[1] - 600)
    for estimate, truth in zip(back[:4], drive[:4], strict=True):
        assert np.corrcoef(estimate[inner], truth[: back.shape[1]][inner])[0, 1] > 0.95
    X, y, _ = cut(drive, data[1])
    windows = six_parameters(reader=Reader(sfreq=SFREQ, tmin=-30.0)).fit(X, y)
    assert windows.inverse_transform(y).shape == X.shape


@pytest.mark.parametrize("hrf", ["fir", "canonical"])
def test_reference_responses(hrf, fitted, data):
    drive, bold, _ = data
    model = LearnableHRF(t_r=T_R, hrf=hrf, verbose=False, reader=Reader(sfreq=SFREQ)).fit(
        [drive], [bold]
    )
    assert_allclose(np.abs(model.hrf_).max(axis=1), 1.0, atol=0.02)
    assert model.score([drive], [bold]) > (0.85 if hrf == "fir" else 0.5)
    assert model.score([drive], [bold]) < fitted.score([drive], [bold]) + 0.01
    if hrf == "canonical":
        assert_allclose(model.hrf_params_.to_numpy(), np.tile(glover_params(), (16, 1)))


def test_score_is_spearman_over_frames_with_history(fitted, data):
    drive, bold, _ = data
    assert fitted.score([drive], [bold]) == pytest.approx(
        fitted.score_targets([drive], [bold]).mean()
    )
    assert fitted.score([drive], [bold]) > 0.8
    shuffled = bold[np.random.default_rng(0).permutation(len(bold))]
    assert abs(fitted.score([drive], [shuffled])) < 0.1


def test_calcium_response_predicts_the_other_half(shared_data):
    file = shared_data / "calcium_bold" / "calcium_2Hz_15s_stimulation.mat"
    recording = loadmat(file, simplify_cells=True)
    drive, bold = recording["calcium_raw"][None], recording["BOLD_calcium"][:, None]
    t_r, sfreq = float(recording["BOLD_time"][0]), 1 / recording["dt"]
    half = len(bold) // 2
    middle = int(half * t_r * sfreq)
    drives, bolds = [drive[:, :middle], drive[:, middle:]], [bold[:half], bold[half:]]
    scores = {}
    for hrf in ("double_gamma", "canonical"):
        # The file gives volume end times; a mouse's response is over after 20 s.
        reader = Reader(sfreq=sfreq, slice_time_ref=1.0, detrend="linear")
        bounds = "fast" if hrf == "double_gamma" else "human"
        model = LearnableHRF(
            t_r=t_r, hrf=hrf, hrf_length=20.0, hrf_bounds=bounds, reader=reader, verbose=False
        )
        scores[hrf] = []
        for train, test in ((0, 1), (1, 0)):
            model.fit([drives[train]], [bolds[train]])
            scores[hrf].append(model.score_targets([drives[test]], [bolds[test]], "pearson")[0])
        if hrf == "double_gamma":
            assert 1.5 < model.hrf_peak_time_[0] < 4.0
    learnt, fixed = np.array(scores["double_gamma"]), np.array(scores["canonical"])
    assert learnt.min() >= 0.65
    assert (learnt - fixed).min() >= 0.05


def test_good_citizen(fitted, data):
    drive, bold, _ = data
    again = pickle.loads(pickle.dumps(fitted))
    assert_allclose(again.predict([drive])[0], fitted.predict([drive])[0])
    assert repr(clone(fitted)) == repr(fitted)
    assert list(fitted.get_feature_names_out()) == fitted.target_names_in_
    other = six_parameters(reader=Reader(sfreq=SFREQ)).fit([drive[:3]], [bold[:, :3]])
    assert other.hrf_.shape[0] == 3
    frame = pd.DataFrame(bold[:, :3], columns=["V1", "MT", "PCC"])
    assert list(other.fit([drive[:3]], [frame]).hrf_params_.index) == ["V1", "MT", "PCC"]


def test_pipeline_under_cross_validation(data):
    drive, bold, _ = data
    X, y, first = cut(drive[:4], bold[:, :4])
    epochs = as_epochs(X, first)
    pipeline = make_pipeline(six_parameters(), FramewiseRegressor(Ridge()))
    groups = np.arange(len(X)) // 5
    scores = cross_val_score(pipeline, epochs, y, groups=groups, cv=GroupKFold(2))
    assert scores.min() > 0.7


def test_constant_regions_and_drives_are_named(data):
    drive, bold, _ = data
    flat = pd.DataFrame(bold[:, :4], columns=["a", "b", "c", "d"])
    flat["b"] = 5.0
    model = six_parameters(reader=Reader(sfreq=SFREQ))
    with pytest.warns(RuntimeWarning, match="Constant BOLD in regions b:"):
        model.fit([drive[:4]], [flat])
    assert_allclose(model.predict([drive[:4]])[0][:, 1], 5.0)
    silent = drive[:4].copy()
    silent[2] = 1.0
    with pytest.warns(RuntimeWarning, match="Constant drive in ch002:"):
        model.fit([silent], [bold[:, :4]])
    assert model.scale_[2] == 0
    with pytest.raises(ValueError, match="drive is constant"):
        model.fit([0 * drive], [bold])
    with pytest.raises(ValueError, match="BOLD is constant"):
        model.fit([drive], [0 * bold])


def test_bad_input_says_what_to_do(data):
    drive, bold, _ = data
    model = six_parameters(reader=Reader(sfreq=SFREQ))
    with pytest.raises(ValueError, match="sfreq"):
        six_parameters().fit([drive], [bold])
    with pytest.raises(ValueError, match="hrf_length"):
        model.fit(drive[None, :, :200], bold[None, :10])
    with pytest.raises(ValueError, match="outside"):
        model.fit([drive[:, :3000]], [bold])
    with pytest.raises(ValueError, match="recordings"):
        model.fit([drive, drive], [bold])
    with pytest.raises(ValueError, match="NaN"):
        model.fit([np.where(drive > 3, np.nan, drive)], [bold])
    with pytest.raises(ValueError, match="shrinkage"):
        six_parameters(shrinkage="some", reader=Reader(sfreq=SFREQ)).fit([drive], [bold])
    with pytest.raises(ValueError, match="hrf must be"):
        six_parameters(hrf="gamma", reader=Reader(sfreq=SFREQ)).fit([drive], [bold])
    model.fit([drive], [bold])
    with pytest.raises(ValueError, match="regions"):
        model.inverse_transform([bold[:, :5]])
    with pytest.raises(ValueError, match="channels"):
        model.predict([drive[:5]])
    with pytest.raises(ValueError, match="table"):
        model.predict(drive)


def test_short_windows_warn_and_use_the_rest(data):
    drive, bold, _ = data
    X, y, _ = cut(drive, bold, n_frames=60, context=10.0)
    model = six_parameters(reader=Reader(sfreq=SFREQ, tmin=-10.0))
    with pytest.warns(RuntimeWarning, match="more context"):
        model.fit(X, y)
    assert model.predict(X).shape == y.shape


def test_table_is_an_immediate_response():
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((200, 5)), rng.standard_normal((3, 5))
    y = X @ w.T + 4 + 0.1 * rng.standard_normal((200, 3))
    model = LearnableHRF(t_r=T_R, verbose=False).fit(X, y)
    assert_allclose(model.coef_, w, atol=0.05)
    assert_allclose(model.predict(X), y, atol=0.5)
    assert model.score(X, y) > 0.98


def test_table_output_carries_region_names():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((50, 2)), columns=["a", "b"])
    model = LearnableHRF(t_r=T_R, verbose=False).set_output(transform="pandas")
    out = model.fit(X, rng.standard_normal((50, 3))).transform(X)
    assert list(out.columns) == ["target000", "target001", "target002"]
    assert model.ch_names_in_ == ["a", "b"]


def test_a_table_after_signals_keeps_no_response():
    rng = np.random.default_rng(0)
    drive, bold = rng.standard_normal((2, 4000)), rng.standard_normal((200, 2))
    X = rng.standard_normal((50, 2))
    options = {"t_r": 2.0, "reader": Reader(sfreq=10.0), "random_state": 0}
    model = LearnableHRF(n_bootstrap=2, **options).fit([drive], [bold])
    model.set_params(reader=None).fit(X, X)
    public = {name for name in vars(model) if not name.startswith("_")}
    new = LearnableHRF(n_bootstrap=2, **options).set_params(reader=None).fit(X, X)
    assert public == {name for name in vars(new) if not name.startswith("_")}


@pytest.mark.parametrize("method", ["predict", "inverse_transform"])
def test_responses_are_refused_at_another_t_r(method):
    rng = np.random.default_rng(0)
    drive, bold = rng.standard_normal((2, 4000)), rng.standard_normal((200, 2))
    model = six_parameters(reader=Reader(sfreq=10.0)).fit([drive], [bold])
    model.set_params(t_r=1.0)
    with pytest.raises(ValueError, match=r"tied to the t_r that they were fitted on \(2 s\)"):
        getattr(model, method)([drive if method == "predict" else bold])
