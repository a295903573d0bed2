"""Channels that recordings lack at predict: inferred, taken as the mean, or refused."""

import mne
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from mne_samba import (
    CoreModel,
    InverseTranslator,
    PaperModel,
    Reader,
    SambaModel,
    SambaTranslator,
    Trainer,
    Unmixing,
    make_windows,
    read_samba,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.metrics import pearson
from mne_samba.models.windows import FrameWindows

TRAIN = 600.0


def translator(channels="infer", unmix=None, **options):
    model = CoreModel(power="linear", target_bands=False, hrf="canonical", unmix=unmix, **options)
    return SambaTranslator(t_r=2.0, model=model, reader=Reader(channels=channels), random_state=0)


def without(raw, names):
    """Mark channels as bad: they are not read."""
    raw = raw.copy()
    raw.info["bads"] = list(names)
    return raw


def parts(data):
    """First ten minutes, to fit, and the rest, to predict, with its clean and measured BOLD."""
    raw, cut = data.raws[0], round(TRAIN / 2.0)
    train = raw.copy().crop(0, TRAIN, include_tmax=False)
    test = raw.copy().crop(TRAIN)
    return train, data.bolds[0][:cut], test, data.truth.clean_bolds[0][cut:], data.bolds[0][cut:]


@pytest.fixture(scope="module")
def mixed():
    """Six sources in twelve channels, eight of EEG and four of ECoG."""
    data = simulate_paired(
        1, TRAIN + 300.0, level="source", n_sources=6, n_targets=4, snr=4.0, sfreq=100.0,
        random_state=0,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    mixing = rng.standard_normal((12, 6)) * np.repeat([1.0, 20.0], [8, 4])[:, None]
    raw, kinds = data.raws[0], ["eeg"] * 8 + ["ecog"] * 4
    info = mne.create_info([f"{kind}{i}" for i, kind in enumerate(kinds)], 100.0, kinds)
    signal = mixing @ raw.get_data()
    signal += 0.01 * signal.std(axis=1, keepdims=True) * rng.standard_normal(signal.shape)
    data.raws[0] = mne.io.RawArray(signal, info, verbose="ERROR")
    return parts(data)


@pytest.fixture(scope="module")
def apart():
    """Eight independent sources."""
    return parts(simulate_paired(
        1, TRAIN + 300.0, level="source", n_sources=8, n_targets=4, snr=4.0, sfreq=100.0,
        random_state=3,
    ))  # fmt: skip


@pytest.fixture(scope="module")
def fitted(mixed):
    """Fits that infer, with channels as they are and with unmixed ones."""
    return {unmix: translator(unmix=unmix).fit(*mixed[:2]) for unmix in (None, "joint")}


def score(bold, clean):
    return pearson(clean[15:], bold[15:]).mean()


@pytest.mark.parametrize("unmix", [None, "joint"])
def test_where_the_rest_holds_all_sources_nothing_is_lost(mixed, fitted, unmix):
    test, clean = mixed[2:4]
    full = score(fitted[unmix].predict(test), clean)
    for lost in (test.ch_names[:3], test.ch_names[8:]):  # a quarter, or all of one modality
        assert score(fitted[unmix].predict(without(test, lost)), clean) > full - 0.02


def test_signals_are_conditional_means(mixed, fitted):
    missing = fitted[None]._fitted_input.missing
    lacks = np.array([2, 5, 9])
    there = np.setdiff1d(np.arange(12), lacks)
    size = np.trace(missing.covariance, axis1=1, axis2=2)
    mean = (missing.covariance / size[:, None, None]).sum(axis=0)
    expected = mean[np.ix_(lacks, there)] @ np.linalg.inv(mean[np.ix_(there, there)])
    completing = missing.completing(lacks)
    assert_array_equal(completing[np.ix_(there, there)], np.eye(9))
    assert not completing[:, lacks].any()
    seen = mixed[2].get_data()
    assert_allclose(
        completing[np.ix_(lacks, there)] @ seen[there], expected @ seen[there],
        atol=0.01 * seen[lacks].std(),
    )  # fmt: skip


def test_power_is_the_conditional_mean_where_signals_say_less(fitted):
    """Channels whose signals are unrelated, but whose power goes together."""
    rng = np.random.default_rng(0)
    times = np.arange(int(TRAIN * 100)) / 100
    envelope = 1 + 0.8 * np.sin(2 * np.pi * times / 37 + rng.uniform(0, 6))
    signal = envelope * rng.standard_normal((5, len(times)))
    bold = rng.standard_normal((300, 2))
    model = translator().fit([_raw(signal)], [bold])
    missing, features = model._fitted_input.missing, model._fitted_input.features
    lacks, there = np.array([1, 3]), np.array([0, 2, 4])
    pattern = missing.pattern(lacks, features)
    assert (pattern.signal == 0).all()
    for band, own in enumerate(missing.correlation):
        expected = own[np.ix_(lacks, there)] @ np.linalg.inv(own[np.ix_(there, there)])
        assert_allclose(pattern.power[band], expected, atol=1e-5)
        left = own[np.ix_(lacks, lacks)] - expected @ own[np.ix_(there, lacks)]
        assert_allclose(pattern.factor[band] @ pattern.factor[band].T, left, atol=1e-4)
    draws = missing.draws(pattern, 4000)
    assert_allclose(
        draws.var(axis=(0, 3)).T,
        np.diagonal(pattern.factor @ pattern.factor.transpose(0, 2, 1), axis1=1, axis2=2),
        rtol=0.3,
    )


def _raw(signal):
    info = mne.create_info([f"E{i}" for i in range(len(signal))], 100.0, "eeg")
    return mne.io.RawArray(1e-5 * signal, info, verbose="ERROR")


def test_of_independent_sources_the_mean_is_taken(apart):
    train, bold, test, clean, _ = apart
    lost = test.ch_names[1:7:2]
    inferred = translator().fit(train, bold).predict(without(test, lost))
    with pytest.warns(RuntimeWarning, match=r"lacks 3 of 8 channels.*channels='infer'"):
        mean = translator("match").fit(train, bold).predict(without(test, lost))
    assert score(inferred, clean) > score(mean, clean) - 0.005


def test_intervals_know_what_was_inferred(apart):
    train, bold, test, _, measured = apart
    model = translator().fit(train, bold)
    lost = without(test, test.ch_names[:6])
    known, wide = (model.predict(raw, return_std=True)[1] for raw in (test, lost))
    assert (wide.mean(axis=0) > 1.05 * known.mean(axis=0)).all()
    # Standard deviations are as large as errors are.
    errors = (measured - model.predict(lost))[15:].std(axis=0)
    assert_allclose(wide[15:].mean(axis=0), errors, rtol=0.25)
    low, high = model.predict_interval(lost, 0.9)
    assert 0.85 < np.mean((low <= measured) & (measured <= high)) < 0.97


def test_one_missing_channel_is_no_error_where_channels_match(mixed):
    train, bold, test = mixed[:3]
    model = translator("match").fit(train, bold)
    with pytest.warns(RuntimeWarning, match="lacks 1 of 12 channels: ..eeg3.."):
        lost = model.predict(without(test, ["eeg3"]))
    rec = model._read(test)
    (power,), _, grid = model._measure(rec)
    power[3] = 0.0
    expected = model._fitted_input.scale.unscale(model._frames([power], grid))[0]
    assert_allclose(lost, expected, atol=1e-6)


@pytest.mark.parametrize("unmix", [None, "joint"])
def test_windows_lose_channels_too(mixed, unmix):
    train, bold, test, clean, measured = mixed
    options = {"t_r": 2.0, "window": 40.0}
    model = translator(unmix=unmix).fit(*make_windows([train], [bold], **options))
    epochs, _ = make_windows([test], [measured], **options)
    _, clean = make_windows([test], [clean], **options)
    lost = epochs.copy().drop_channels(epochs.ch_names[:3])

    def joined(frames):
        return np.concatenate(list(frames))

    full = pearson(joined(clean), joined(model.predict(epochs))).mean()
    assert pearson(joined(clean), joined(model.predict(lost))).mean() > full - 0.02
    # A window does not depend on those that come with it.
    assert_allclose(model.predict(lost[2])[0], model.predict(lost)[2], atol=1e-5)


def test_recordings_may_lack_different_channels_in_any_order(mixed, fitted):
    test = mixed[2]
    names = test.ch_names
    some = [without(test, names[:2]), test, test.copy().pick(names[:4:-1])]
    together = fitted[None].predict(some)
    for raw, bold in zip(some, together, strict=True):
        assert_allclose(fitted[None].predict(raw), bold, atol=1e-5)
    assert_allclose(together[2], fitted[None].predict(without(test, names[:5])), atol=1e-5)


def test_in_arrays_missing_channels_are_nan(mixed):
    train, bold, test = mixed[:3]
    core = CoreModel(power="linear", target_bands=False, hrf="canonical", unmix=None)
    reader = Reader(sfreq=100.0, channels="infer")
    model = SambaTranslator(t_r=2.0, model=core, reader=reader).fit([train.get_data()], [bold])
    signal = test.get_data()
    signal[[0, 9]] = np.nan
    lost = without(test, [test.ch_names[i] for i in (0, 9)])
    assert_allclose(
        model.predict([signal])[0], translator().fit(train, bold).predict(lost), atol=1e-6
    )
    with pytest.raises(ValueError, match="contains NaN or infinite values"):
        model.fit([signal], [bold[:150]])
    signal[0, :5] = 0.0
    with pytest.raises(ValueError, match=r"contains NaN or infinite values in channels .'ch000'"):
        model.predict([signal])
    with pytest.raises(ValueError, match="All channels of a recording are missing"):
        model.predict([np.full_like(signal, np.nan)])


@pytest.mark.parametrize("unmix", [None, "joint"])
def test_a_file_keeps_what_was_learnt(fitted, mixed, tmp_path, unmix):
    lost = without(mixed[2], mixed[2].ch_names[:3])
    fitted[unmix].save(tmp_path / "model.samba")
    again = read_samba(tmp_path / "model.samba")
    for one, other in zip(
        fitted[unmix].predict(lost, return_std=True), again.predict(lost, return_std=True),
        strict=True,
    ):  # fmt: skip
        assert_array_equal(one, other)


def test_ridge_infers_as_well(mixed):
    train, bold, test, clean, _ = mixed
    ridge = BandPowerRidge(t_r=2.0, reader=Reader(channels="infer")).fit(train, bold)
    full = score(ridge.predict(test), clean)
    assert score(ridge.predict(without(test, test.ch_names[:3])), clean) > full - 0.02


def test_the_published_network_gets_their_signal(mixed):
    train, bold, test = mixed[:3]
    reader = Reader(channels="infer")
    trainer = Trainer(max_epochs=1, window=60.0, gap=4.0, device="cpu")
    model = SambaTranslator(t_r=2.0, model="paper", reader=reader, trainer=trainer, random_state=0)
    model.fit(train.copy().crop(0, 200.0, include_tmax=False), bold[:100])
    full, lost = (model.predict(raw) for raw in (test, without(test, test.ch_names[:3])))
    assert pearson(full, lost).min() > 0.98


def test_mixes_that_cannot_be(mixed, fitted):
    train, bold, test = mixed[:3]
    model = fitted[None]
    other = mne.io.RawArray(
        np.random.default_rng(0).standard_normal((3, 20000)),
        mne.create_info(["M1", "M2", "M3"], 100.0, "mag"), verbose="ERROR",
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"shares no channel.*3 channels of type mag.*never seen"):
        model.predict(other)
    late = translator("error").fit(train, bold)
    late.reader = Reader(channels="infer")
    with pytest.raises(ValueError, match="must be there in fit"):
        late.predict(without(test, test.ch_names[:2]))
    # Where signals themselves are asked for, nothing stands for them.
    unmixing = Unmixing(reader=Reader(channels="infer")).fit(train)
    with pytest.raises(ValueError, match="lacks the channels"):
        unmixing.transform(without(test, test.ch_names[:2]))
    back = InverseTranslator(t_r=2.0, model="core", reader=Reader(channels="infer"))
    assert len(back.fit(bold, train).predict(bold).shape) == 3


def test_modalities_are_left_out_of_training_windows(mixed):
    train, bold = mixed[0].copy().crop(0, 300.0, include_tmax=False), mixed[1][:150]
    fits, options = {}, {"power": "linear", "target_bands": False, "hrf": "canonical"}
    quick = {"max_epochs": 1, "window": 40.0}
    for dropout in (0.0, 0.5, 0.5):
        model = SambaModel(corrections="always", unmix=None, n_hidden=4, **options)
        trainer = Trainer(modality_dropout=dropout, **quick)
        fit = SambaTranslator(t_r=2.0, model=model, trainer=trainer, random_state=0)
        frames = fit.fit(train, bold).predict(mixed[2])
        if dropout in fits:
            assert_array_equal(frames, fits[dropout])
        fits[dropout] = frames
    assert np.abs(fits[0.5] - fits[0.0]).max() > 1e-4
    fit.set_params(model=SambaModel(corrections="always", unmix="joint", **options))
    with pytest.raises(ValueError, match=r"unmixed components.*modality_dropout=0.0"):
        fit.fit(train, bold)
    fit.set_params(model=PaperModel(n_hidden=4))
    with pytest.raises(ValueError, match="they see channels of type eeg"):
        fit.fit(train.copy().pick("eeg"), bold)
    back = InverseTranslator(t_r=2.0, trainer=trainer)
    with pytest.raises(ValueError, match=r"on the way back set Trainer\(modality_dropout=0.0\)"):
        back.fit([bold], [train])


def test_as_many_modalities_are_left_out_as_asked_for(mixed):
    train, bold = mixed[:2]
    model = translator()
    data = model._pair(
        train, bold, model.assembly.model.features, model.assembly.model.scaler(), True
    )[2]
    windows = FrameWindows(data, 20, 5, torch.float32, dropout=0.3)
    torch.manual_seed(0)
    there = np.array([
        [(power[:8] != 0).any(), (power[8:] != 0).any()]
        for power, _ in (windows[i % len(windows)] for i in range(600))
    ])  # fmt: skip
    assert there.any(axis=1).all()
    # Both are drawn in 9 % of windows, of which one is kept.
    assert_allclose(1 - there.mean(axis=0), 0.3 - 0.045, atol=0.05)
    plain = FrameWindows(data, 20, 5, torch.float32)
    assert (plain[0][0] != 0).any(axis=(1, 2)).all()
