"""The translator with the paper's network: signals in, frames out, no table, no leak."""

import pickle

import mne
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from sklearn.base import clone

from mne_samba import SambaTranslator, make_windows, read_samba
from mne_samba._data.lowrate import LowRateGrid
from mne_samba._data.segments import Segment
from mne_samba._paper.features import segment_coefs
from mne_samba.nn.hrf import HRF_PARAMS, convolve, double_gamma, glover_params

SFREQ, T_R, N_FRAMES = 64.0, 2.0, 300


def person(seed, n_frames=N_FRAMES):
    """Four nodes of noise whose power drives three targets, each by one node."""
    rng = np.random.default_rng(seed)
    n_times = int(n_frames * T_R * SFREQ)
    slow = gaussian_filter1d(rng.standard_normal((4, n_times)), 3 * SFREQ, axis=1)
    slow /= slow.std(axis=1, keepdims=True)
    signal = np.exp(0.5 * slow) * rng.standard_normal((4, n_times))
    lags = torch.arange(int(30 * SFREQ), dtype=torch.float64) / SFREQ
    response = double_gamma(lags, torch.as_tensor(glover_params()))
    drive = convolve(torch.as_tensor(signal**2), response, 1 / SFREQ).numpy()
    # Frame k at k * t_r sees what was before it.
    bold = drive[:3, :: int(T_R * SFREQ)].T
    bold = bold / bold[20:].std(axis=0)
    return signal, bold + 0.3 * rng.standard_normal(bold.shape)


@pytest.fixture(scope="module")
def pair():
    return person(0), person(1)


def translator(**options):
    given = {"sfreq": SFREQ, "n_hidden": 8, "random_state": 0, **options}
    return SambaTranslator(t_r=T_R, variant="paper", **given)


@pytest.fixture(scope="module")
def fitted(pair):
    (signal, bold), _ = pair
    return translator().fit([signal], [bold])


def test_power_of_a_new_person_predicts_their_bold(fitted, pair):
    _, (signal, bold) = pair
    true = fitted.score([signal], [bold])
    shifted = fitted.score([signal], [np.roll(bold, N_FRAMES // 2, axis=0)])
    assert true > 0.6 and abs(shifted) < 0.2
    assert fitted.score_targets([signal], [bold], "r2").min() > 0.4


def test_predictions_follow_the_signal(fitted, pair):
    signal = pair[1][0]
    louder = signal.copy()
    louder[:, signal.shape[1] // 2 :] *= 1.5
    now, then = fitted.predict([signal])[0], fitted.predict([louder])[0]
    assert now.std(axis=0).min() > 0.2 * fitted.y_scale_.min()
    assert np.abs(then - now)[N_FRAMES // 2 + 5 :].mean() > 0.1 * now.std()


def test_same_seed_same_predictions(fitted, pair):
    (signal, bold), (new, _) = pair
    first, again = fitted.predict([new])[0], fitted.predict([new])[0]
    np.testing.assert_array_equal(first, again)
    other = translator().fit([signal], [bold]).predict([new])[0]
    np.testing.assert_allclose(other, first, rtol=1e-5, atol=1e-6)


def test_published_attributes(fitted):
    params = fitted.hrf_params_
    assert list(params.columns) == list(HRF_PARAMS) and list(params.index) == fitted.ch_names_in_
    assert fitted.hrf_.shape == (4, len(fitted.hrf_times_))
    np.testing.assert_allclose(fitted.hrf_.max(axis=1), 1, atol=0.01)
    np.testing.assert_allclose(
        fitted.hrf_times_[fitted.hrf_.argmax(axis=1)], fitted.hrf_peak_time_, atol=0.06
    )
    assert params.std().max() > 0  # responses were trained, not left at their start
    assert list(fitted.bands_) == ["A3", "D3", "D2", "D1"]
    assert fitted.bands_["D1"] == (SFREQ / 4, SFREQ / 2)
    np.testing.assert_allclose(fitted.band_attention_.sum(axis=1), 1)
    assert fitted.patterns_.shape == (3, 4, 4) and fitted.spatial_map_.shape == (3, 4)
    own = np.abs(fitted.patterns_.mean(axis=2))
    assert (own.argmax(axis=1) == np.arange(3)).all()
    assert fitted.n_parameters_ == sum(p.numel() for p in fitted.net_.module_.parameters())
    assert {"epoch", "train_loss", "valid_loss"} == set(fitted.history_[0])
    assert fitted.core_ is None and fitted.graph_.source.shape == (4, 4)


def test_saved_pickled_and_cloned(fitted, pair, tmp_path):
    new = pair[1][0]
    expected = fitted.predict([new])[0]
    fitted.save(tmp_path / "model.samba")
    for copy in (read_samba(tmp_path / "model.samba"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(copy.predict([new])[0], expected)
        np.testing.assert_array_equal(
            copy.predict([new], return_std=True)[1], fitted.predict([new], return_std=True)[1]
        )
        assert copy.hrf_params_.equals(fitted.hrf_params_)
    assert not [name for name in vars(clone(fitted)) if name.endswith("_")]


def test_windows_are_predicted_as_recordings_are(pair):
    (signal, bold), _ = pair
    info = mne.create_info([f"n{i}" for i in range(4)], SFREQ, "eeg")
    raw = mne.io.RawArray(signal * 1e-6, info, verbose="ERROR")
    epochs, y = make_windows(raw, bold, t_r=T_R, window=40.0)
    model = translator(window=40.0, recurrent=None, max_epochs=3).fit(epochs, y)
    pred = model.predict(epochs)
    assert pred.shape == y.shape
    at = epochs.metadata["frame"].to_numpy(dtype=int)[3]
    # A recording is scaled by its own power, windows by that of training: the same here.
    whole = model.predict(raw)[at : at + y.shape[1]]
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(pred[3].T, whole.T, strict=True)) > 0.95


def test_latents_intervals_and_more_training(fitted, pair):
    (signal, bold), (new, _) = pair
    assert fitted.transform([new]).shape == (1, 6)
    low, high = fitted.predict_interval([new], 0.8)
    assert (low[0] <= high[0]).all()
    model = translator(warm_start=True, max_epochs=1).fit([signal], [bold])
    once = model.history_[-1]["train_loss"]
    assert model.fit([signal], [bold]).history_[-1]["train_loss"] < once


@pytest.mark.parametrize("sfreq", [200.0, 250.0, 1000.0])
def test_power_of_levels_does_not_depend_on_the_sampling_rate(sfreq):
    """A tone of 9 Hz keeps its power and level when it was sampled faster."""
    n_chunks, n_samples = 6, 400
    times = np.arange(int(n_chunks * T_R * sfreq) + 7) / sfreq
    signal = np.sin(2 * np.pi * 9 * times)[None]
    segment = Segment(lambda a, b: signal[:, a:b], signal.shape[1], 2 * T_R, T_R, n_chunks - 1)
    power = segment_coefs(segment, sfreq, LowRateGrid(T_R, 1, 2), n_samples, ["tone"])
    assert power.shape == (1, 400, n_chunks)
    inner = power[0, :, 1:-1]
    # Half the squared amplitude per sample; nine tenths of it below 12.5 Hz.
    np.testing.assert_allclose(inner.sum(axis=0), 0.5 * n_samples, rtol=0.005)
    np.testing.assert_allclose(inner[:50].sum(axis=0) / inner.sum(axis=0), 0.918, atol=0.005)


def test_chunks_without_signal_and_bad_spans_are_left_out():
    signal = np.random.default_rng(0).standard_normal((2, 2000))
    bad = np.array([[9.0, 9.5]])
    segment = Segment(lambda a, b: signal[:, a:b], 2000, 2.0, 2.0, 8, bad)
    power = segment_coefs(segment, 100.0, LowRateGrid(2.0, 1, 3), 200, ["a", "b"])
    missing = np.isnan(power).all(axis=(0, 1))
    np.testing.assert_array_equal(np.flatnonzero(missing), [0, 1, 6])
    assert np.isfinite(power[..., ~missing]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hrf": "fir"}, "six-parameter responses"),
        ({"recurrent": "transformer", "n_hidden": 8}, "'lstm', 'gru' or None"),
        ({"n_hidden": 6}, "multiple of 4"),
        ({"sfreq": 4.0}, "at least 16"),
    ],
)
def test_what_it_cannot_do_is_said_before_training(options, message, pair):
    signal, bold = pair[0]
    if "sfreq" in options:
        signal = signal[:, :: int(SFREQ / options["sfreq"])]
    with pytest.raises(ValueError, match=message):
        translator(**options).fit([signal], [bold])


def test_tables_and_other_frame_rates_are_refused(fitted, pair):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="X must be windows or recordings"):
        translator().fit(rng.standard_normal((100, 4)), rng.standard_normal((100, 3)))
    other = pickle.loads(pickle.dumps(fitted)).set_params(t_r=1.0)
    with pytest.raises(ValueError, match="tied to the t_r"):
        other.predict([pair[1][0]])


def test_a_broken_channel_is_named(fitted, pair):
    signal = pair[1][0].copy()
    signal[2, 1000] = np.nan
    with pytest.raises(ValueError, match="ch002"):
        fitted.predict([signal])
