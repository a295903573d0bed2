"""Streams: the frames of whole recordings, as samples come, whatever happens to them on the way."""

import tracemalloc

import numpy as np
import pytest
from assemble import quick
from numpy.testing import assert_allclose, assert_array_equal

from mne_samba import (
    CoreModel,
    SambaModel,
    SambaStream,
    SambaTranslator,
    Trainer,
    make_windows,
    read_samba,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.wavelets import Discrete, Morlet, Shannon

T_R, SFREQ, HISTORY = 2.0, 100.0, 30.0
BANDS = {"alpha": (8, 13), "beta": (13, 30)}


@pytest.fixture(scope="module")
def data():
    return simulate_paired(
        2, 220.0, t_r=T_R, sfreq=SFREQ, n_sources=5, n_targets=3, level="source", snr=4.0,
        random_state=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def signal(data):
    return data.raws[1].get_data()


def fit(data, bank=None):
    model = SambaTranslator(t_r=T_R, model=quick(CoreModel, bands=bank), random_state=0)
    return model.fit(data.raws[:1], data.bolds[:1])


@pytest.fixture(scope="module")
def model(data):
    return fit(data)


def run(stream, signal, size=130, start=0.0, clock=1.0):
    """Push a signal in chunks; put the frames together."""
    found = [
        stream.push(signal[:, i : i + size], start + clock * i / SFREQ)
        for i in range(0, signal.shape[1], size)
    ]
    names = ("times", "bold", "low", "high", "known")
    return {name: np.concatenate([getattr(f, name) for f in found]) for name in names}


@pytest.mark.parametrize(
    ("bank", "error"),
    [(Shannon(BANDS), 5e-5), (Morlet(BANDS), 1e-5), (Morlet(BANDS, causal=True), 1e-5)],
)
def test_equals_predictions_of_windows(data, signal, bank, error):
    model = fit(data, bank)
    window, _ = make_windows(data.raws[1], data.bolds[1], t_r=T_R, window=120.0, context=40.0)
    stream = SambaStream(model, coverage=0.8)
    found = run(stream, signal)
    assert_array_equal(found["times"], np.arange(HISTORY, 220.0 - stream.delay, T_R))
    assert found["known"].all()
    # A window ends with its last frame, beyond which zero-phase wavelets look.
    kept = slice(0, 55)
    same = slice(round((window.metadata["onset"][0] - HISTORY) / T_R), None)
    expected = model.predict(window), *model.predict_interval(window, 0.8)
    for name, frames in zip(("bold", "low", "high"), expected, strict=True):
        frames = frames[0, kept]
        assert_allclose(found[name][same][kept], frames, atol=error * frames.std())


def test_frames_come_as_soon_as_they_can_and_use_no_later_sample(data, signal):
    model = fit(data, Morlet(BANDS, causal=True))
    n = round(61.0 * SFREQ)
    stream, other = SambaStream(model), SambaStream(model)
    assert stream.delay <= 0.011
    found = run(stream, signal[:, :n], size=10)
    assert found["times"][-1] == 60.0
    # The frame at 60 s was given with the chunk that holds the sample after it.
    later = signal.copy()
    later[:, 6001:] = 0.0
    assert_array_equal(run(other, later[:, :n], size=10)["bold"], found["bold"])
    assert len(SambaStream(model).push(signal[:, : round(60.0 * SFREQ)])) == 15
    assert len(SambaStream(model).push(signal[:, : round(60.0 * SFREQ) + 1])) == 16


def test_chunks_of_any_size_give_the_same(model, signal):
    signal = signal[:, :10000]
    expected = run(SambaStream(model), signal, size=100)["bold"]
    for size in (1000, signal.shape[1]):
        found = run(SambaStream(model), signal, size=size)["bold"]
        assert_allclose(found, expected, atol=5e-5 * expected.std())
    stream = SambaStream(model)
    untimed = [stream.push(signal[:, i : i + 100]).bold for i in range(0, signal.shape[1], 100)]
    assert_array_equal(np.concatenate(untimed), expected)
    stream.reset()
    assert_array_equal(run(stream, signal, size=100)["bold"], expected)


def test_another_clock_repetition_time_and_first_frame(model, signal):
    stream = SambaStream(model, t_r=0.8, first_frame=1000.5)
    found = run(stream, signal[:, :8000], start=1000.0)
    assert_allclose(np.diff(found["times"]), 0.8)
    assert found["times"][0] >= 1000.5 + 29.2 and found["times"][-1] > 1077.0
    plain = run(SambaStream(model, t_r=0.8), signal[:, 50:8000])
    # Half a second more of history makes one frame more.
    assert_allclose(found["bold"][1:], plain["bold"], atol=2e-3 * plain["bold"].std())


def test_waiting_for_the_scanner_takes_no_memory(model, signal):
    stream = SambaStream(model, first_frame=800.0)
    tracemalloc.start()
    for repeat in range(3):
        run(stream, signal, size=1000, start=220.0 * repeat)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 0.5 * signal.nbytes
    found = run(stream, signal, size=1000, start=660.0)
    assert_array_equal(found["times"], np.arange(800.0, 880.0 - stream.delay, T_R))


def test_lost_samples_are_named_and_frames_marked(model, signal):
    whole = run(SambaStream(model), signal)
    stream = SambaStream(model)
    first = stream.push(signal[:, :12000], 0.0)
    with pytest.warns(RuntimeWarning, match=r"120\.000 to 121\.500 s did not come"):
        gone = stream.push(signal[:, 12150:20000], 121.5)
    assert stream.lost_ == [(120.0, 121.5)]
    times = np.concatenate([first.times, gone.times])
    known = np.concatenate([first.known, gone.known])
    assert_array_equal(times, whole["times"][: len(times)])
    reach = stream.delay + 0.01
    inside = (times > 120.0 - reach) & (times < 121.5 + HISTORY + reach)
    assert_array_equal(known, ~inside)
    # Of the gap, nothing is left in the others.
    assert_allclose(
        np.concatenate([first.bold, gone.bold])[known], whole["bold"][: len(times)][known],
        atol=1e-4 * whole["bold"].std(),
    )  # fmt: skip


def test_a_long_pause_begins_anew(model, signal):
    whole = run(SambaStream(model), signal)
    stream = SambaStream(model)
    stream.push(signal[:, :6000], 0.0)
    with pytest.warns(RuntimeWarning, match="did not come"):
        found = stream.push(signal[:, 12000:], 120.0)
    assert found.times[0] == 150.0 and found.known.all()
    same = np.isin(whole["times"], found.times[2:])
    assert_allclose(found.bold[2:], whole["bold"][same], atol=1e-3 * whole["bold"].std())


def test_samples_that_come_twice_are_left_out(model, signal):
    stream = SambaStream(model)
    stream.push(signal[:, :6000], 0.0)
    with pytest.warns(RuntimeWarning, match=r"begins 1\.000 s before .* first 100 samples"):
        found = stream.push(signal[:, 5900:9000], 59.0)
    plain = run(SambaStream(model), signal[:, :9000])
    n = len(found)
    assert_allclose(found.bold, plain["bold"][-n:], atol=5e-5 * plain["bold"].std())


def test_a_clock_that_runs_faster_is_followed_and_named(model, signal):
    # 0.1 % is a hundred times what crystals do.
    stream = SambaStream(model)
    with pytest.warns(RuntimeWarning, match="clock has moved by 0.1 s"):
        found = run(stream, signal, size=50, clock=1.001)
    assert 0.18 < stream.drift_ < 0.22 and not stream.lost_
    plain = run(SambaStream(model), signal)
    for course, own in zip(found["bold"].T, plain["bold"].T, strict=True):
        moved = np.interp(found["times"] / 1.001, plain["times"], own)
        assert np.corrcoef(course, moved)[0, 1] > max(0.998, np.corrcoef(course, own)[0, 1])


def test_calibration_takes_the_scale_of_the_person(data, model, signal):
    louder = 3.0 * signal
    calibrated = run(SambaStream(model, calibration=louder[:, :12000]), louder)["bold"]
    plain = run(SambaStream(model, calibration=signal[:, :12000]), signal)["bold"]
    assert_allclose(calibrated, plain, atol=1e-4 * plain.std())
    raw = data.raws[1].copy().crop(0, 120.0, include_tmax=False)
    assert_allclose(
        run(SambaStream(model, calibration=raw), signal)["bold"], plain, atol=1e-12
    )  # fmt: skip
    with pytest.raises(ValueError, match="lasts 10 s: give 30 s or more"):
        SambaStream(model, calibration=signal[:, :1000])
    with pytest.raises(ValueError, match="lacks"):
        SambaStream(model, calibration=raw.copy().pick(raw.ch_names[:2]))
    with pytest.raises(ValueError, match="must be a Raw, or have shape"):
        SambaStream(model, calibration=signal[:2])


def test_memory_does_not_grow(model, signal):
    stream = SambaStream(model)
    sizes = []
    tracemalloc.start()
    for repeat in range(3):
        run(stream, signal, size=1000, start=220.0 * repeat)
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] - sizes[0] < 1e5


def test_a_file_and_corrections_stream_too(data, signal, tmp_path):
    model = SambaTranslator(
        t_r=T_R, model=SambaModel(bands=BANDS, power="linear", unmix=None, corrections="always"),
        trainer=Trainer(max_epochs=1, window=20.0), random_state=0,
    ).fit(data.raws[:1], data.bolds[:1])  # fmt: skip
    path = tmp_path / "model.samba"
    model.save(path)
    found = run(SambaStream(read_samba(path)), signal)
    # Its recurrent part has seen windows of ten frames.
    assert found["times"][0] == HISTORY + 9 * T_R
    window, _ = make_windows(
        data.raws[1], data.bolds[1], t_r=T_R, window=20.0, step=2.0, context=40.0
    )
    last = model.predict(window)[:, -1]
    times = window.metadata["onset"].to_numpy() + 18.0
    same = np.isin(found["times"], times)
    expected = last[np.isin(times, found["times"])]
    # A window ends with its last frame: there, its wavelets see less than the stream does.
    assert np.corrcoef(found["bold"][same].T, expected.T).diagonal(3).min() > 0.98


def test_what_cannot_be_streamed(data, model, signal):
    with pytest.raises(TypeError, match="Shannon or Morlet bands; this one measures Discrete"):
        SambaStream(fit(data, Discrete("db5")))
    stream = SambaStream(model)
    with pytest.raises(ValueError, match=r"shape \(5 channels, n_times\).*got \(4, 100\)"):
        stream.push(signal[:4, :100])
    broken = signal[:, :100].copy()
    broken[1, 5] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        stream.push(broken)
    with pytest.raises(ValueError, match="coverage"):
        SambaStream(model, coverage=2.0)
    ridge = BandPowerRidge(t_r=T_R).fit(data.raws[:1], data.bolds[:1])
    with pytest.raises(TypeError, match="needs a SambaTranslator, got a BandPowerRidge"):
        SambaStream(ridge)


def test_a_device_that_begins_anew_and_a_buffer_that_is_filled_again(model, signal):
    expected = run(SambaStream(model), signal[:, :6000], size=100)["bold"]
    stream, buffer, found = SambaStream(model), np.empty((5, 100)), []
    for first in range(0, 6000, 100):
        buffer[:] = signal[:, first : first + 100]
        found.append(stream.push(buffer, first / SFREQ).bold)
    assert_array_equal(np.concatenate(found), expected)
    with pytest.raises(ValueError, match=r"begins 60 s before .* stream.reset\(\)"):
        stream.push(signal[:, :100], 0.0)
    stream.reset()
    assert_array_equal(run(stream, signal[:, :6000], size=100)["bold"], expected)
