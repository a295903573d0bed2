"""Physiology as drives of BOLD beside electrophysiology."""

from types import SimpleNamespace

import mne
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import lfilter

from mne_samba import (
    CoreModel,
    InverseTranslator,
    LatentTranslator,
    LearnableHRF,
    PaperModel,
    Reader,
    SambaStream,
    SambaTranslator,
    Trainer,
    Unmixing,
    make_windows,
    read_samba,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.data.physiology import (
    heart_rate,
    pupil_diameter,
    respiratory_volume,
    signal_itself,
)
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import modality_contributions, unique_variance
from mne_samba.io import add_physiology
from mne_samba.metrics import pearson
from mne_samba.models.validation import confirmed_scale

T_R, SFREQ = 2.0, 100.0


def pulse(beats: np.ndarray, n: int) -> np.ndarray:
    """Electrocardiogram (n,) with a peak at every beat, in samples."""
    ecg = np.zeros(n)
    ecg[beats] = 1.0
    return np.convolve(ecg, np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2), "same")


def slow(rng, n: int, width: float = 4.0) -> np.ndarray:
    """Noise (n,) of unit variance, smooth over seconds."""
    coarse = np.convolve(rng.standard_normal(n // 100 + 40), np.hanning(2 * width + 1), "same")
    out = np.interp(np.arange(n) / 100 + 20, np.arange(len(coarse)), coarse)
    return (out - out.mean()) / out.std()


def late(drive: np.ndarray, seconds: float, n_frames: int) -> np.ndarray:
    """Drive (n,) so many seconds earlier, at frames (n_frames,), of unit variance."""
    at = np.maximum(np.arange(n_frames) * T_R - seconds, 0.0) * SFREQ
    out = drive[at.astype(int)]
    return (out - out.mean()) / out.std()


def world(seed: int, own: float = 1.0, noise: float = 0.3):
    """EEG, a heart and motion; regions follow the heart after 4 s, motion after 8 s, or EEG."""
    data = simulate_paired(
        1, 480.0, t_r=T_R, level="source", n_sources=3, n_targets=3, sources_per_target=2,
        snr=np.inf, sfreq=SFREQ, random_state=seed, coupling_random_state=0,
    )  # fmt: skip
    raw, rng = data.raws[0].load_data(), np.random.default_rng(seed)
    n, eeg = raw.n_times, np.array(data.bolds[0])
    heart, motion = slow(rng, n), slow(rng, n)
    beats = np.flatnonzero(np.diff(np.floor(np.cumsum((60 + 8 * heart) / 60 / SFREQ))) > 0)
    info = mne.create_info(["ECG", "FD"], SFREQ, ["ecg", "misc"])
    beside = mne.io.RawArray([1e-3 * pulse(beats, n), motion], info, verbose="ERROR")
    raw.add_channels([beside], force_update_info=True)
    eeg = own * (eeg - eeg.mean(0)) / eeg.std(0)
    drives = [late(heart, 4.0, len(eeg)), late(motion, 8.0, len(eeg))]
    drives.append(np.zeros(len(eeg)))
    bold = eeg + np.stack(drives, 1) + noise * rng.standard_normal(eeg.shape)
    return raw, bold


def translator(physiology=("ecg", "FD"), model=None, **reader):
    core = CoreModel(
        power="linear", target_bands=False, hrf="canonical", unmix=None, loss="squared",
        bands={"alpha": (8.0, 13.0), "beta": (13.0, 30.0)},
    )  # fmt: skip
    model, reader = core if model is None else model, Reader(physiology=physiology, **reader)
    return SambaTranslator(t_r=T_R, model=model, reader=reader, random_state=0)


@pytest.fixture(scope="module")
def pair():
    return world(0), world(1)


@pytest.fixture(scope="module")
def fitted(pair):
    return translator().fit(*pair[0])


def without(raw, *names):
    raw = raw.copy()
    raw.info["bads"] = list(names)
    return raw


def test_responses_are_published_and_predict(pair, fitted):
    raw, bold = pair[1]
    found = fitted.physiology_
    assert found.names == ["ECG", "FD"] and found.kinds == ["ecg", "misc"]
    assert found.hrf.shape == (3, 2, len(found.hrf_times))
    assert_allclose([found.peak_time[0, 0], found.peak_time[1, 1]], [4.0, 8.0], atol=1.0)
    size = np.abs(found.hrf).max(axis=2)
    assert size[0, 0] > 3 * size[0, 1] and size[1, 1] > 3 * size[1, 0]
    assert size[2].max() < 0.4 * size[0, 0]
    frames = fitted.predict(raw)
    alone = translator(None).fit(pair[0][0], pair[0][1])
    r, before = (pearson(bold[15:], f[15:]) for f in (frames, alone.predict(raw)))
    # What goes together by chance is given to physiology: little.
    assert (r[:2] > before[:2] + 0.1).all() and r[2] > before[2] - 0.06
    assert fitted.ch_names_in_ == alone.ch_names_in_ and alone.physiology_ is None


def test_intervals_hold_their_frames(pair, fitted):
    raw, bold = pair[1]
    low, high = (side[15:] for side in fitted.predict_interval(raw, 0.9))
    scale = bold[15:].std(0) / fitted.y_scale_
    assert 0.8 < np.mean((low * scale <= bold[15:]) & (bold[15:] <= high * scale)) < 0.98
    mean, _ = fitted.predict(raw, return_std=True)
    assert_array_equal(mean, fitted.predict(raw))


def test_drives_of_noise_cost_nothing_in_short_data(pair):
    raw, bold = pair[0]
    smooth = np.hanning(9)[:, None] * np.ones(3)
    noise = np.random.default_rng(0).standard_normal((len(bold), 3))
    noise = np.stack([np.convolve(n, s, "same") for n, s in zip(noise.T, smooth.T, strict=True)], 1)
    raw = add_physiology(raw, noise, t_r=T_R)
    short = raw.copy().crop(0, 60 * T_R, include_tmax=False)
    fits = [translator(named).fit(short, bold[:60]) for named in (None, "misc", "ecg")]
    r = [pearson(bold[75:], one.predict(raw)[75:]) for one in fits]
    assert np.abs(r[1] - r[0])[[0, 2]].max() < 0.02
    for one in fits:
        low, high = (side[75:] for side in one.predict_interval(raw, 0.9))
        assert 0.84 < np.mean((low <= bold[75:]) & (bold[75:] <= high)) < 0.97
    # What predicts frames that it has not seen is not in them, and counts as far as it is certain.
    found = confirmed_scale_of(slope=0.8, n=4000, memory=0.0)
    assert_allclose(found, 0.8, atol=0.05)
    assert np.mean(confirmed_scale_of(slope=0.0, n=100, memory=0.0)) < 0.05
    brief, slow = (confirmed_scale_of(slope=0.5, n=100, memory=memory) for memory in (0.0, 0.9))
    assert np.mean(slow) < np.mean(brief) - 0.1


def confirmed_scale_of(slope: float, n: int, memory: float) -> np.ndarray:
    """Share (200,) of predictions, of which BOLD has a slope, both with a memory."""
    rng = np.random.default_rng(0)
    pred, noise = lfilter([1.0], [1.0, -memory], rng.standard_normal((2, n + 50, 200)), axis=1)
    frames = SimpleNamespace(targets=[(slope * pred + noise)[50:]])
    return confirmed_scale([pred[50:]], frames)


def test_files_keep_responses(pair, fitted, tmp_path):
    fitted.save(tmp_path / "a.samba")
    again = read_samba(tmp_path / "a.samba")
    assert_array_equal(again.predict(pair[1][0]), fitted.predict(pair[1][0]))
    assert_array_equal(again.physiology_.hrf, fitted.physiology_.hrf)


def test_windows_recordings_and_other_models(pair, fitted):
    raws, bolds = zip(*pair, strict=True)
    reader = Reader(physiology=["ecg", "FD"])
    X, y = make_windows(list(raws), list(bolds), t_r=T_R, window=40.0, reader=reader)
    assert X.ch_names == [*fitted.ch_names_in_, "ECG", "FD"]
    windows = translator().fit(X, y)
    assert_allclose(windows.physiology_.peak_time[[0, 1], [0, 1]], [4.0, 8.0], atol=1.5)
    assert windows.predict(X[:2]).shape == y[:2].shape and windows.predict(raws[0]).ndim == 2
    both = translator().fit(list(raws), list(bolds))
    assert np.abs(both.physiology_.hrf).max() > 0.05
    several = translator().set_params(t_r=[2.0, 1.0])
    several.fit(list(raws), [bolds[0], bolds[1].repeat(2, axis=0)[:-1]])
    assert [len(f) for f in several.predict(list(raws))] == [240, 480]
    ridge = BandPowerRidge(t_r=T_R, reader=reader, bands={"alpha": (8.0, 13.0)}).fit(*pair[0])
    assert_allclose(ridge.physiology_.hrf, fitted.physiology_.hrf)
    paper = translator(model=PaperModel(hrf_length=20.0, n_hidden=4))
    short = raws[0].copy().crop(0, 240.0, include_tmax=False)
    paper.set_params(trainer=Trainer(max_epochs=1)).fit(short, bolds[0][:120])
    assert paper.physiology_.hrf.shape == (3, 2, 10)
    assert paper.predict(short).shape == (120, 3)


def test_what_lacks_is_refused_or_the_mean(pair, fitted):
    raw = pair[1][0]
    with pytest.raises(ValueError, match=r"X\[0\] lacks physiology.*'FD'.*channels='match'"):
        fitted.predict(without(raw, "FD"))
    lenient = translator(channels="match").fit(*pair[0])
    with pytest.warns(RuntimeWarning, match="lacks physiology, which is taken as its mean.*FD"):
        lacks = lenient.predict(without(raw, "FD"))
    flat = raw.copy()
    flat._data[flat.ch_names.index("FD")] = np.nan
    with pytest.warns(RuntimeWarning, match=r"does not vary in X.*taken as its mean: \['FD'\]"):
        assert_allclose(fitted.predict(flat), lacks)
    change = np.std(lacks - lenient.predict(raw), axis=0)
    assert change[1] > 0.5 and change[0] < 0.2
    both = [pair[0][0], without(raw, "ECG")], [bold for _, bold in pair]
    fewer = translator(channels="match").fit(*both)
    assert fewer.physiology_.names == ["FD"]
    with pytest.raises(ValueError, match=r"FD.*of X\[0\].*all recordings together.*'match'"):
        translator().fit(*both)


def test_variance_is_split(pair, fitted):
    raw, bold = pair[1]
    found = modality_contributions(fitted, raw, bold, metric="r2")
    assert_allclose(found.table["share"].sum(), found.score)
    assert_allclose(found.score, np.mean(fitted.score_targets(raw, bold, "r2")))
    shares = found.targets
    kinds = [kind for kind in shares.columns if kind not in ("ecg", "misc")]
    assert shares["ecg"].iloc[0] > 0.2 and abs(shares["ecg"].iloc[1:]).max() < 0.1
    assert shares["misc"].iloc[1] > 0.2 and abs(shares["misc"].iloc[[0, 2]]).max() < 0.1
    assert shares[kinds].sum(axis=1).iloc[2] > 0.3
    groups = {"EEG": fitted.ch_names_in_, "body": ["ECG", "FD"]}
    two = modality_contributions(fitted, raw, bold, groups, metric="r2").table["share"]
    assert_allclose(two["body"], found.table["share"][["ecg", "misc"]].sum(), atol=0.02)


def test_electrophysiology_adds_nothing_where_the_heart_drives_both():
    rng = np.random.default_rng(0)
    (raw, bold), (new, other) = (world(seed, own=0.0, noise=1.0) for seed in (2, 3))
    for one in (raw, new):  # power of EEG follows the heart as well
        data = one.get_data()
        rate = heart_rate(data[one.ch_names.index("ECG")], SFREQ)
        gain = np.exp(0.5 * (rate - rate.mean()) / rate.std())
        one._data[:3] = 1e-5 * gain * rng.standard_normal((3, one.n_times))
    options = {"cv": [([0], [1])], "n_shifts": 99, "verbose": "ERROR"}
    X, y = [raw, new], [bold[:, :1], other[:, :1]]
    fooled = unique_variance(translator(None), X, y, **options)
    honest = unique_variance(translator("ecg"), X, y, **options)
    assert fooled.mean()["p"] <= 0.05 and fooled.mean()["unique"] > 0.1
    assert honest.mean()["p"] > 0.05 and honest.mean()["unique"] < 0.02


def test_heart_rate_follows_beats_and_leaves_artefacts_out():
    n = int(120 * 250.0)
    rate = 60 + 10 * np.sin(2 * np.pi * np.arange(n) / 250.0 / 40)
    beats = np.flatnonzero(np.diff(np.floor(np.cumsum(rate / 60 / 250.0))) > 0)
    ecg = pulse(np.delete(beats, [30, 60]), n) + 0.02 * np.random.default_rng(0).standard_normal(n)
    found = heart_rate(ecg, 250.0)
    assert np.abs(found - rate)[1000:-1000].max() < 2.0
    noise = np.random.default_rng(1).standard_normal(n)
    for useless in (np.zeros(n), noise, np.where(np.arange(n) < 1000, ecg, 0.0)):
        with pytest.raises(ValueError, match=r"intervals between heartbeats fill.*misc"):
            heart_rate(useless, 250.0)


@pytest.mark.parametrize("usual", [45, 100, 122, 140, 185])
def test_fast_and_slow_hearts(usual):
    n = int(120 * 250.0)
    rate = usual + 5 * np.sin(2 * np.pi * np.arange(n) / 250.0 / 40)
    beats = np.flatnonzero(np.diff(np.floor(np.cumsum(rate / 60 / 250.0))) > 0)
    # T waves come 250 ms after R peaks.
    ecg = pulse(beats, n) + 0.3 * np.roll(pulse(beats, n), 62)
    assert np.abs(heart_rate(ecg, 250.0) - rate)[1000:-1000].max() < 2.0


def test_spans_that_are_bad_do_not_count(pair):
    raw, bold = pair[0][0].copy(), pair[0][1]
    raw._data[raw.ch_names.index("FD"), 20000:22000] = 1e6
    raw.set_annotations(mne.Annotations(20000 / SFREQ - 1, 2000 / SFREQ + 2, "BAD_moved"))
    hrf = translator("FD").fit(raw, bold).physiology_.hrf[1, 0]
    clean = translator("FD").fit(*pair[0]).physiology_.hrf[1, 0]
    assert np.corrcoef(hrf, clean)[0, 1] > 0.95 and 0.7 < hrf.max() / clean.max() < 1.4


def test_other_drives():
    times = np.arange(6000) / 100
    size = np.where(times < 30, 1.0, 2.0)
    volume = respiratory_volume(5 + size * np.sin(2 * np.pi * times / 3), 100.0)
    assert_allclose(volume[1000:2500], np.sqrt(0.5), rtol=0.05)
    assert_allclose(volume[3500:5000], 2 * np.sqrt(0.5), rtol=0.05)
    gap = np.where(np.arange(6000) == 2000, np.nan, np.sin(2 * np.pi * times / 3))
    assert_allclose(respiratory_volume(gap, 100.0)[1000:5000], np.sqrt(0.5), rtol=0.05)
    pupil = np.linspace(3.0, 4.0, 500)
    blinks = np.where(np.arange(500) % 100 < 20, 0.0, pupil)
    blinks[300:310] = np.nan
    with pytest.raises(ValueError, match=r"only 50% .*'pupil' is above zero.*'misc'"):
        pupil_diameter(pupil - pupil.mean(), 100.0)
    assert_allclose(pupil_diameter(blinks, 100.0)[20:], pupil[20:], atol=1e-6)
    assert_array_equal(signal_itself(np.array([np.nan, 1.0, np.nan, -3.0]), 1.0), [1, 1, -1, -3])


def test_tables_become_channels(pair):
    raw, bold = pair[0]
    motion = pd.DataFrame({"FD2": np.r_[np.nan, np.arange(1.0, len(bold))]})
    added = add_physiology(raw, motion, t_r=T_R, reader=Reader(slice_time_ref=0.5))
    assert added.ch_names == [*raw.ch_names, "FD2"] and "FD2" not in raw.ch_names
    times = (np.arange(1, 200) + 0.5) * T_R
    assert_allclose(added.get_data("FD2")[0, (times * SFREQ).astype(int)], np.arange(1, 200))
    assert added.get_channel_types("FD2") == ["misc"]
    with pytest.raises(ValueError, match=r"'FD2'.*already: rename"):
        add_physiology(added, motion, t_r=T_R)
    with pytest.raises(ValueError, match="number in every column"):
        add_physiology(raw, np.full((5, 1), np.nan), t_r=T_R)
    with pytest.raises(ValueError, match=r"hold numbers.*'n/a'.*read_csv"):
        add_physiology(raw, pd.DataFrame({"a": ["n/a", "1.0"]}), t_r=T_R)
    with pytest.raises(ValueError, match=r"\(2, 240\), fewer frames than columns.*Transpose"):
        add_physiology(raw, np.ones((2, 240)), t_r=T_R)
    for given in (motion["FD2"], motion.to_numpy()):
        assert len(add_physiology(raw, given, t_r=T_R).ch_names) == len(added.ch_names)


def test_what_cannot_be(pair, fitted):
    raw, bold = pair[0]
    with pytest.raises(TypeError, match="physiology must be a type of channel"):
        translator(["ecg", 3]).fit(raw, bold)
    with pytest.raises(ValueError, match=r"means the channels .* of X\[0\]"):
        translator("resp").fit(raw, bold)
    with pytest.raises(ValueError, match="'misc' for a signal"):
        translator(raw.ch_names[0]).fit(raw, bold)
    with pytest.raises(ValueError, match=r"no recording has.*\['FDD'\].*leave out"):
        translator(["ecg", "FDD"]).fit(raw, bold)
    other = raw.copy().set_channel_types({"ECG": "misc"}, verbose="ERROR")
    named = translator(["ECG", "FD"])
    with pytest.raises(ValueError, match=r"\['ECG'\] have types \['misc'\] in X\[1\].*\['ecg'\]"):
        named.fit([raw, other], [bold, bold])
    with pytest.raises(ValueError, match=r"\['misc'\] in X.*raw.set_channel_types"):
        named.fit(raw, bold).predict(other)
    with pytest.raises(ValueError, match=r"means the channels|no recording has"):
        translator(picks=raw.ch_names).fit(without(raw, "FD"), bold)  # nor is it electrophysiology
    useless = raw.copy()
    useless._data[raw.ch_names.index("ECG")] = 0.0
    with pytest.raises(ValueError, match=r"'ECG' of X\[1\]: intervals"):
        translator("ecg").fit([raw, useless], [bold, bold])
    with pytest.raises(ValueError, match=r"for networks, of which CoreModel trains none"):
        translator().set_params(trainer=Trainer(modality_dropout=0.3)).fit(raw, bold)
    flat = raw.copy()
    flat._data[flat.ch_names.index("FD")] = 3.0
    with pytest.raises(ValueError, match=r"does not vary in \['FD'\]: mark"):
        translator().fit(flat, bold)
    reader = Reader(physiology="ecg", sfreq=SFREQ)
    table = np.ones((240, 3))
    for own, X, y, what in ((reader, [raw.get_data()], [bold], "arrays"),
                            (Reader(physiology="ecg"), table, bold, "a table")):  # fmt: skip
        with pytest.raises(ValueError, match=f"X is {what}.*RawArray"):
            SambaTranslator(t_r=T_R, reader=own).fit(X, y)
    for other in (Unmixing(reader=reader), LearnableHRF(t_r=T_R, reader=reader)):
        with pytest.raises(ValueError, match="for estimators that predict BOLD"):
            other.fit([raw], [bold])
    back = InverseTranslator(t_r=T_R, reader=reader)
    with pytest.raises(ValueError, match="for estimators that predict BOLD"):
        back.fit([bold], [raw])
    with pytest.raises(ValueError, match="for estimators that predict BOLD"):
        LatentTranslator(translator("ecg", sfreq=SFREQ), back).fit([raw], [bold])
    with pytest.raises(ValueError, match=r"fit it with Reader\(physiology=None\)"):
        SambaStream(fitted)
