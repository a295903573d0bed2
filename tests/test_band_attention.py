"""WaveletBandAttention: what it finds, and every form of input."""

import mne
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import signal as sps

from mne_samba import Reader, make_windows
from mne_samba.hrf import double_gamma, glover_params
from mne_samba.transformers._band_attention import WaveletBandAttention
from mne_samba.wavelets import Discrete, Morlet
from mne_samba.wavelets.power import band_power

SFREQ, T_R = 200.0, 2.0
RHYTHMS = {"theta": (6.0, (4, 8)), "alpha": (10.0, (8, 13)), "beta": (20.0, (13, 30))}


def _background(rng, n_times):
    spectrum = np.fft.rfft(rng.standard_normal(n_times))
    return np.fft.irfft(
        spectrum / np.sqrt(np.maximum(np.fft.rfftfreq(n_times, 1 / SFREQ), 0.5)), n_times
    )


def _slow(rng, n_times):
    """Unit-variance course below 0.1 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(2 * n_times))
    spectrum[np.fft.rfftfreq(2 * n_times, 1 / SFREQ) > 0.1] = 0
    course = np.fft.irfft(spectrum)[n_times // 2 : n_times // 2 + n_times]
    return (course - course.mean()) / course.std()


def _simulate(seed, driver=0, band="alpha", sign=1.0, duration=600, n_channels=3, names=RHYTHMS):
    """Channels with rhythms as strong as the background in their band; BOLD follows one."""
    rng = np.random.default_rng(seed)
    n_times = int(duration * SFREQ)
    times = np.arange(n_times) / SFREQ
    signals, envelopes = np.empty((n_channels, n_times)), {}
    for channel in range(n_channels):
        background = _background(rng, n_times)
        signals[channel] = background
        for name in names:
            freq, edges = RHYTHMS[name]
            sos = sps.butter(4, edges, "bandpass", fs=SFREQ, output="sos")
            envelope = np.exp(0.5 * _slow(rng, n_times))
            rhythm = envelope * np.sin(2 * np.pi * freq * times + rng.uniform(0, 2 * np.pi))
            signals[channel] += rhythm * sps.sosfiltfilt(sos, background).std() / rhythm.std()
            envelopes[channel, name] = envelope
    power = envelopes[driver, band] ** 2
    kernel = double_gamma(np.arange(0, 32, 1 / SFREQ), glover_params())
    clean = sps.fftconvolve(power - power.mean(), kernel)[:n_times][:: int(T_R * SFREQ)]
    noise = sps.lfilter([1], [1, -0.4], rng.standard_normal(len(clean)))
    bold = sign * clean / clean.std() + noise / noise.std()
    return signals * 1e-5, bold[:, None], envelopes[driver, band]


def _raw(signals):
    info = mne.create_info([f"EEG{i}" for i in range(len(signals))], SFREQ, "eeg")
    return mne.io.RawArray(signals, info, verbose=False)


@pytest.mark.parametrize(
    ("driver", "band", "sign"), [(0, "alpha", -1.0), (1, "theta", 1.0), (2, "beta", 1.0)]
)
def test_driving_band_is_found(driver, band, sign):
    signals, bold, _ = _simulate(3, driver, band, sign)
    attention = WaveletBandAttention(t_r=T_R, reader=Reader(sfreq=SFREQ)).fit([signals], [bold])
    true = list(attention.bands_).index(band)
    assert_allclose(attention.band_attention_.sum(1), 1.0)
    assert attention.band_attention_[driver].argmax() == true
    assert attention.band_attention_[driver, true] > 0.5
    assert np.sign(attention.band_gain_[driver, true]) == sign
    strength = np.abs(attention.band_gain_).max(1)
    assert strength.max() == strength[driver] == pytest.approx(1.0)
    assert np.delete(strength, driver).max() < 0.2


@pytest.mark.slow
def test_driving_band_is_found_in_19_of_20():
    hits = 0
    for seed in range(20):
        driver, band = seed % 3, list(RHYTHMS)[(seed // 3) % 3]
        signals, bold, _ = _simulate(seed, driver, band)
        fitted = WaveletBandAttention(t_r=T_R, reader=Reader(sfreq=SFREQ)).fit([signals], [bold])
        weights = fitted.band_attention_[driver]
        strength = np.abs(fitted.band_gain_).max(1)
        true = list(fitted.bands_).index(band)
        hits += (
            weights.argmax() == true
            and weights[true] >= 0.5
            and np.delete(strength, driver).max() < 0.2 * strength[driver]
        )
    assert hits >= 19


def test_drive_follows_the_envelope():
    signals, bold, envelope = _simulate(1)
    attention = WaveletBandAttention(t_r=T_R, reader=Reader(sfreq=SFREQ))
    (drive,) = attention.fit_transform([signals], [bold])
    assert drive.shape == (3, 1200)
    binned = np.log(envelope.reshape(1200, 100).mean(1))
    driver = np.convolve(drive[0], np.ones(5) / 5, mode="same")
    assert np.corrcoef(driver, binned)[0, 1] > 0.8


def test_drive_is_weighted_log_band_power():
    signals, bold, _ = _simulate(1, duration=120)
    attention = WaveletBandAttention(
        t_r=T_R, bands=Morlet(n_cycles=5.0), reader=Reader(sfreq=SFREQ)
    ).fit([signals], [bold])
    power = band_power(
        lambda a, b: signals[:, a:b], signals.shape[1], SFREQ, attention.bands_,
        start=0, width=100, n_bins=240, n_cycles=5.0,
    )  # fmt: skip
    log_power = np.log(power.astype(float))
    scaled = (log_power - log_power.mean(-1, keepdims=True)) / log_power.std(-1, keepdims=True)
    weights = (attention.band_attention_ * attention.band_gain_)[:, :, None]
    (drive,) = attention.transform([signals])
    assert_allclose(drive, (weights * scaled).sum(1), atol=1e-4)


def test_reconstruction_is_cleaner_than_the_signal():
    signals, bold, envelope = _simulate(2)
    attention = WaveletBandAttention(t_r=T_R, reader=Reader(sfreq=SFREQ)).fit([signals], [bold])
    (attended,) = attention.reconstruct([signals])
    equal = WaveletBandAttention(reader=Reader(sfreq=SFREQ)).fit([signals])
    equal.band_attention_ = np.full((3, 5), 0.2)
    sos = sps.butter(4, 1.0, fs=SFREQ, output="sos")

    def correlation(x):
        estimate = sps.sosfiltfilt(sos, np.abs(sps.hilbert(x)))
        return np.corrcoef(estimate[2000:-2000], envelope[2000:-2000])[0, 1]

    margin = 0.1
    assert correlation(attended[0]) > correlation(signals[0]) + margin
    assert correlation(attended[0]) > correlation(equal.reconstruct([signals])[0][0]) + margin


def test_even_attention_reconstructs_the_bank_range():
    times = np.arange(4000) / SFREQ
    inside = np.sin(2 * np.pi * 12 * times)[None]
    attention = WaveletBandAttention(reader=Reader(sfreq=SFREQ)).fit(
        [inside + 1e-3 * np.cos(7 * times)]
    )
    attention.band_attention_ = np.full((1, 5), 0.2)
    outside = np.sin(2 * np.pi * 90 * times)[None]
    (kept,) = attention.reconstruct([inside + outside])
    assert_allclose(kept[0, 500:-500], inside[0, 500:-500], atol=0.01)


def test_discrete_bank():
    signals, bold, _ = _simulate(4, driver=1, band="beta")
    attention = WaveletBandAttention(
        t_r=T_R, reader=Reader(sfreq=SFREQ), bands=Discrete("db5", level=4)
    )
    attention.fit([signals], [bold])
    assert list(attention.bands_) == ["A4", "D4", "D3", "D2", "D1"]
    assert attention.bands_["D3"] == (12.5, 25.0)
    assert list(attention.bands_)[attention.band_attention_[1].argmax()] == "D3"
    attention.band_attention_ = np.full((3, 5), 0.2)
    assert_allclose(attention.reconstruct([signals])[0], signals, atol=1e-9)


def test_discrete_power_is_parsevals():
    # Orthogonal coefficients hold all of the signal's energy, wherever bins and blocks begin.
    signals, *_ = _simulate(5, duration=60)
    attention = WaveletBandAttention(bands=Discrete("db4"), reader=Reader(sfreq=SFREQ))
    power = attention.fit([signals]).bank_.power(
        lambda a, b: signals[:, a:b], signals.shape[1], SFREQ, start=0, width=100, n_bins=120
    )
    assert_allclose(power.sum(1).mean(1), (signals**2).mean(1) - signals.mean(1) ** 2, rtol=0.02)


def test_without_target_attention_is_what_rises_above_the_background():
    rng = np.random.default_rng(0)
    times = np.arange(24000) / SFREQ
    plain = np.stack([_background(rng, len(times)) for _ in range(2)])
    peaked = plain + np.array([[1.0], [0.0]]) * np.sin(2 * np.pi * 10 * times)
    attention = WaveletBandAttention(reader=Reader(sfreq=SFREQ)).fit([peaked])
    alpha = list(attention.bands_).index("alpha")
    assert attention.band_attention_[0].argmax() == alpha
    assert attention.band_attention_[0, alpha] > 0.5
    # A pure 1/f spectrum has nothing above its background, although delta is 30 times gamma.
    assert_allclose(attention.band_attention_[1], 0.2, atol=0.06)
    assert (attention.band_gain_ == 1).all()


def test_every_form_of_recording(tmp_path):
    signals, bold, _ = _simulate(6, duration=120)
    raw = _raw(signals)
    raw.save(tmp_path / "one_raw.fif", fmt="double", verbose=False)
    lazy = mne.io.read_raw_fif(tmp_path / "one_raw.fif", preload=False, verbose=False)
    arrays = WaveletBandAttention(t_r=T_R, reader=Reader(sfreq=SFREQ)).fit([signals], [bold])
    for X, y in [([raw], [bold]), (raw, bold), ([lazy], [bold])]:
        fitted = WaveletBandAttention(t_r=T_R).fit(X, y)
        assert_allclose(fitted.band_attention_, arrays.band_attention_, rtol=1e-3, atol=1e-5)
        drive = fitted.transform(X)
        drive = drive[0] if isinstance(X, list) else drive
        assert_allclose(drive, arrays.transform([signals])[0], atol=1e-3)
    assert not lazy.preload
    assert fitted.ch_names_in_ == ["EEG0", "EEG1", "EEG2"]


def test_every_form_of_windows():
    signals, bold, _ = _simulate(7, duration=300)
    epochs, y = make_windows(_raw(signals), bold, t_r=T_R, window=40.0, context=30.0)
    whole = WaveletBandAttention().fit(epochs, y)
    assert whole.band_attention_[0].argmax() == list(whole.bands_).index("alpha")
    drive = whole.transform(epochs)
    assert drive.shape[:2] == (len(epochs), 3)
    singles = [epochs[i] for i in range(len(epochs))]
    listed = WaveletBandAttention().fit(singles, list(y))
    array = WaveletBandAttention(t_r=T_R, reader=Reader(sfreq=SFREQ, tmin=epochs.tmin)).fit(
        epochs.get_data(), y
    )
    assert_allclose(listed.band_attention_, whole.band_attention_, rtol=1e-6)
    assert_allclose(listed.transform(singles), drive, atol=1e-6)
    # Arrays do not say that one window follows another: the same data, but other whitening.
    assert array.band_attention_[0].argmax() == whole.band_attention_[0].argmax()
    assert array.transform(epochs.get_data()).shape == drive.shape
    # A window is self-contained: it gives the same drive alone.
    assert_allclose(whole.transform(epochs[2])[0], drive[2])


def test_overlapping_windows_count_frames_once():
    signals, bold, _ = _simulate(8, duration=300)
    raw = _raw(signals)
    apart = make_windows(raw, bold, t_r=T_R, window=40.0, context=30.0)
    over = make_windows(raw, bold, t_r=T_R, window=40.0, step=20.0, context=30.0)
    assert len(over[0]) > 1.5 * len(apart[0])
    one = WaveletBandAttention().fit(*apart).band_attention_[0]
    two = WaveletBandAttention().fit(*over).band_attention_[0]
    assert_allclose(one, two, atol=0.1)


def test_scrubbed_frames_and_bad_spans_do_not_matter():
    signals, bold, _ = _simulate(9)
    clean = WaveletBandAttention(t_r=T_R).fit([_raw(signals)], [bold])
    spoilt_bold = bold.copy()
    spoilt_bold[40:50] = np.nan
    spoilt = signals.copy()
    spoilt[:, 60_000:61_000] += 1e-2
    raw = _raw(spoilt)
    raw.set_annotations(mne.Annotations(60_000 / SFREQ - 0.1, 5.2, "BAD_jump"))
    fitted = WaveletBandAttention(t_r=T_R).fit([raw], [spoilt_bold])
    assert_allclose(fitted.band_attention_[0], clean.band_attention_[0], atol=0.1)
    assert np.abs(fitted.transform([raw])[0]).max() < 10


def test_causal_uses_the_past_and_says_its_delay():
    signals, bold, _ = _simulate(10)
    causal = WaveletBandAttention(
        t_r=T_R, reader=Reader(sfreq=SFREQ), bands=Morlet(n_cycles=5.0, causal=True)
    ).fit([signals], [bold])
    assert causal.band_attention_[0].argmax() == list(causal.bands_).index("alpha")
    assert causal.delay_.shape == (5,)
    assert (np.diff(causal.delay_) < 0).all() and causal.delay_[2] < 0.5
    cut = np.stack([signals[:, :24_000], signals[:, :24_000]])
    cut[1, :, 12_000:] *= 0.3
    drives = causal.transform(cut)
    # The fit of recordings does not say where frames of these windows lie.
    assert drives.frame_start is None
    first, second = drives
    assert_allclose(first[:, :120], second[:, :120], atol=1e-5)
    assert not np.allclose(first[:, 121:], second[:, 121:], atol=0.1)


def test_labels():
    rng = np.random.default_rng(0)
    times = np.arange(800) / SFREQ
    labels = np.repeat(["closed", "open"], 40)
    X = np.stack([np.stack([_background(rng, 800) for _ in range(3)]) for _ in labels])
    X[:40, 1] += 0.5 * np.sin(2 * np.pi * 10 * times)
    attention = WaveletBandAttention(output="features", reader=Reader(sfreq=SFREQ)).fit(X, labels)
    alpha = list(attention.bands_).index("alpha")
    assert attention.classes_.tolist() == ["closed", "open"]
    assert attention.band_attention_[1].argmax() == alpha
    assert attention.band_gain_[1, alpha] == pytest.approx(-1.0)
    assert np.abs(attention.band_gain_[[0, 2]]).max() < 0.2
    features = attention.transform(X)
    assert features.shape == (80, 3 * len(attention.bands_))
    three = WaveletBandAttention(reader=Reader(sfreq=SFREQ)).fit(
        X, np.r_[np.zeros(40), np.ones(20), np.full(20, 2)]
    )
    assert three.band_attention_[1].argmax() == alpha


def test_value_per_window():
    rng = np.random.default_rng(0)
    times = np.arange(800) / SFREQ
    strength = rng.uniform(0.1, 1.0, 80)
    X = np.stack([np.stack([_background(rng, 800) for _ in range(2)]) for _ in strength])
    X[:, 0] += strength[:, None] * np.sin(2 * np.pi * 20 * times)
    attention = WaveletBandAttention(reader=Reader(sfreq=SFREQ)).fit(X, -strength)
    beta = list(attention.bands_).index("beta")
    assert attention.band_attention_[0].argmax() == beta
    assert attention.band_gain_[0, beta] == pytest.approx(-1.0)


def test_epochs_away_from_time_zero():
    rng = np.random.default_rng(0)
    info = mne.create_info(2, SFREQ, "eeg")
    epochs = mne.EpochsArray(rng.standard_normal((6, 2, 800)), info, tmin=0.2, verbose=False)
    drive = WaveletBandAttention().fit_transform(epochs, [0, 1] * 3)
    assert drive.shape == (6, 2, 8)
    assert epochs.tmin == 0.2


def test_given_frequencies():
    signals, bold, _ = _simulate(11)
    attention = WaveletBandAttention(
        t_r=T_R, reader=Reader(sfreq=SFREQ), bands=Morlet([6.0, 10.0, 20.0])
    )
    attention.fit([signals], [bold])
    assert list(attention.bands_) == ["6Hz", "10Hz", "20Hz"]
    assert attention.band_attention_[0].argmax() == 1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bands": {"high": (60, 120)}}, "half the sampling rate"),
        ({"bands": Morlet({"high": (60, 120)})}, "half the sampling rate"),
        ({"bands": Morlet([10.0, 150.0])}, "half the sampling rate"),
        ({"bands": Morlet({"slow": (0.05, 0.2)}, n_cycles=5.0)}, "shortest segment lasts 20 s"),
        ({"bands": 10.0}, "bands must be"),
        ({"bands": Morlet(10.0)}, "bands must be"),
        ({"bands": Discrete("morl")}, "'morl' is not a discrete wavelet"),
        ({"bands": Discrete("db5", level=12)}, "level=12"),
        ({"bands": Discrete("db5", bands={"alpha": (8, 13)})}, "use level instead"),
        ({"rate": 0}, "rate must be above 0"),
        ({"output": "both"}, "output must be one of"),
        ({"reader": None}, "carries no sampling rate"),
    ],
)
def test_bad_parameters(params, message):
    X = np.random.default_rng(0).standard_normal((2, 2, 4000))
    with pytest.raises(ValueError, match=message):
        WaveletBandAttention(**({"reader": Reader(sfreq=SFREQ)} | params)).fit(X)


def test_bad_data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4, 2, 4000))
    frames = rng.standard_normal((4, 5, 1))
    with pytest.raises(ValueError, match="give t_r"):
        WaveletBandAttention(reader=Reader(sfreq=SFREQ)).fit(X, frames)
    with pytest.raises(ValueError, match=r"No frame follows 30 s"):
        WaveletBandAttention(t_r=T_R, reader=Reader(sfreq=SFREQ)).fit(X, frames)
    with pytest.raises(ValueError, match="4 samples, but y has 3"):
        WaveletBandAttention(reader=Reader(sfreq=SFREQ)).fit(X, [0, 1, 1])
    flat = X.copy()
    flat[:, 1] = 3.0
    with pytest.raises(ValueError, match=r"flat channels \['ch001'\]"):
        WaveletBandAttention(reader=Reader(sfreq=SFREQ)).fit(flat)
    fitted = WaveletBandAttention(reader=Reader(sfreq=SFREQ)).fit(X)
    with pytest.raises(ValueError, match="3 channels"):
        fitted.transform(rng.standard_normal((1, 3, 4000)))
    with pytest.raises(ValueError, match="sampled at 100 Hz"):
        fitted.set_params(reader__sfreq=100.0).transform(X)
    with pytest.raises(ValueError, match="is a table"):
        fitted.transform(X[:, 0])
    with pytest.raises(ValueError, match="is a table"):
        fitted.reconstruct(X[:, 0])
    table = WaveletBandAttention().fit(X[:, 0])
    with pytest.raises(ValueError, match="no signal to reconstruct"):
        table.reconstruct(X[:, 0])


def test_target_that_does_not_vary_leaves_even_attention():
    X = np.random.default_rng(0).standard_normal((4, 2, 4000))
    attention = WaveletBandAttention(reader=Reader(sfreq=SFREQ)).fit(X, np.ones(4, int))
    assert_allclose(attention.band_attention_, 0.2)
    assert np.abs(attention.transform(X)).max() > 0
