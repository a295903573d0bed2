"""Windows hold the right samples beside the right frames, and refuse what cannot be paired."""

import datetime
import pickle

import mne
import numpy as np
import pandas as pd
import pytest
from assemble import windows

from mne_samba import Reader
from mne_samba.windows import frame_times, make_windows

SFREQ = 50.0


def clock_raw(duration=300.0, sfreq=SFREQ, first_samp=0, ch_types="eeg"):
    """A recording whose first channel holds the time of each sample, for tests of alignment."""
    n_times = round(duration * sfreq)
    noise = np.random.default_rng(0).standard_normal((3, n_times))
    noise[0] = np.arange(n_times) / sfreq
    info = mne.create_info(["clock", "a", "b"], sfreq, ch_types)
    return mne.io.RawArray(noise, info, first_samp=first_samp, verbose=False)


def counting_bold(n_frames=150, n_targets=3):
    """BOLD that counts its frames: value = frame + target / 10."""
    return np.arange(n_frames)[:, np.newaxis] + np.arange(n_targets) / 10.0


def test_samples_and_frames_meet():
    epochs, y = make_windows(clock_raw(), counting_bold(), t_r=2.0, window=40.0, context=25.0)
    assert epochs.get_data().shape == (6, 3, round(65 * SFREQ))
    assert y.shape == (6, 20, 3)
    assert epochs.tmin == -25.0
    zero = np.flatnonzero(epochs.times == 0)[0]
    onsets = epochs.get_data()[:, 0, zero]
    # The first frame with 25 s of history is the 13th, at 26 s; windows follow each other.
    np.testing.assert_allclose(onsets, 26 + 40 * np.arange(6))
    np.testing.assert_allclose(epochs.metadata["onset"], onsets)
    np.testing.assert_array_equal(y[:, 0, 0], epochs.metadata["frame"])
    np.testing.assert_allclose(2.0 * y[..., 0], onsets[:, np.newaxis] + 2.0 * np.arange(20))
    assert set(epochs.metadata) == {
        "subject", "run", "recording", "onset", "frame", "t_r", "n_frames", "context"
    }  # fmt: skip


@pytest.mark.parametrize("first_volume", [0.0, 3.337])
@pytest.mark.parametrize("n_dummy", [0, 4])
@pytest.mark.parametrize("slice_time_ref", [0.0, 0.5, 1.0])
def test_frame_times_follow_the_formula(first_volume, n_dummy, slice_time_ref):
    t_r = 1.89
    times = frame_times(
        clock_raw(),
        100,
        t_r=t_r,
        first_volume=first_volume,
        n_dummy=n_dummy,
        slice_time_ref=slice_time_ref,
    )
    expected = first_volume + n_dummy * t_r + (np.arange(100) + slice_time_ref) * t_r
    np.testing.assert_allclose(times, expected, rtol=0, atol=1e-12)
    epochs, y = make_windows(
        clock_raw(),
        counting_bold(100),
        t_r=t_r,
        window=60.0,
        reader=Reader(first_volume=first_volume, n_dummy=n_dummy, slice_time_ref=slice_time_ref),
    )
    assert y.shape[1] == 31  # 60 s are cut down to whole frames
    np.testing.assert_allclose(
        epochs.metadata["onset"], expected[epochs.metadata["frame"]], atol=1e-12
    )
    zero = np.flatnonzero(epochs.times == 0)[0]
    shift = epochs.get_data()[:, 0, zero] - epochs.metadata["onset"]
    assert np.abs(shift).max() <= 0.5 / SFREQ + 1e-9


def test_first_window_starts_with_full_context_and_not_later():
    epochs, _ = make_windows(clock_raw(), counting_bold(), t_r=2.0, context=30.0)
    assert epochs.metadata["onset"][0] == 30.0
    assert epochs.get_data()[0, 0, 0] == 0.0
    epochs, _ = make_windows(clock_raw(), counting_bold(), t_r=2.0, context=30.02)
    assert epochs.metadata["onset"][0] == 32.0
    epochs, _ = make_windows(clock_raw(), counting_bold(), t_r=2.0, context=0.0)
    assert epochs.metadata["onset"][0] == 0.0 and epochs.tmin == 0.0


def test_context_that_is_no_whole_number_of_samples_is_never_cut():
    epochs, _ = make_windows(clock_raw(), counting_bold(), t_r=2.0, context=20.011)
    assert epochs.tmin == pytest.approx(-20.02)
    assert (epochs.metadata["context"] == 20.011).all()


def test_step_overlaps_windows():
    epochs, y = make_windows(clock_raw(), counting_bold(), t_r=2.0, window=60.0, step=9.0)
    assert np.all(np.diff(epochs.metadata["frame"]) == 4)  # 9 s are cut down to 4 frames
    np.testing.assert_array_equal(y[1, :-4], y[0, 4:])
    assert epochs.metadata["frame"].iloc[-1] + 30 <= 150


def test_last_window_ends_with_the_last_frame():
    _, y = make_windows(clock_raw(270.0), counting_bold(135), t_r=2.0, window=60.0)
    assert y[-1, -1, 0] == 134


def test_lead_out_beyond_the_recording_is_reflected():
    raw = clock_raw(151.0)  # frame 75 would start at 150 s: one second of it is recorded
    epochs, y = make_windows(raw, counting_bold(76), t_r=2.0, window=60.0, step=2.0)
    assert y[-1, -1, 0] == 75
    last = epochs.get_data()[-1, 0]
    n_lacking = round(1.0 * SFREQ)
    assert last[-n_lacking - 1] == pytest.approx(151.0 - 1 / SFREQ)
    np.testing.assert_allclose(last[-n_lacking:], last[-n_lacking - 2 : -2 * n_lacking - 2 : -1])


def test_recording_that_runs_on_is_normal():
    epochs, y = make_windows(clock_raw(300.0), counting_bold(80), t_r=2.0, window=60.0)
    assert len(epochs) == len(y) == 2
    assert y.max() < 80


def test_cropped_recordings_count_from_their_first_sample():
    raw = clock_raw(400.0, first_samp=1234).crop(100.0, 350.0)
    epochs, _ = make_windows(raw, counting_bold(120), t_r=2.0)
    zero = np.flatnonzero(epochs.times == 0)[0]
    np.testing.assert_allclose(
        epochs.get_data()[:, 0, zero] - 100.0, epochs.metadata["onset"], atol=1e-9
    )
    np.testing.assert_array_equal(
        epochs.events[:, 0] - raw.first_samp, np.rint(epochs.metadata["onset"] * SFREQ)
    )


@pytest.mark.parametrize("meas_date", [None, datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)])
def test_bad_spans_drop_windows_and_keep_y_aligned(meas_date):
    raw = clock_raw(400.0, first_samp=500).set_meas_date(meas_date)
    raw.set_annotations(mne.Annotations([125.0, 10.0], [1.0, 50.0], ["bad movement", "fine"]))
    raw.crop(20.0, 380.0)  # the span now lies at 105 s
    epochs, y = make_windows(raw, counting_bold(180), t_r=2.0, window=20.0, context=10.0)
    whole = 10 + 20 * np.arange(17)
    clean = whole[~((whole - 10 < 106) & (whole + 20 > 105))]
    np.testing.assert_allclose(epochs.metadata["onset"], clean)
    np.testing.assert_allclose(y[:, 0, 0] * 2.0, clean)
    assert epochs.drop_log.count(("BAD",)) == 17 - len(clean)
    np.testing.assert_array_equal(whole[epochs.selection], clean)
    # MNE's own rejection agrees.
    events = np.column_stack([raw.first_samp + whole * int(SFREQ), 0 * whole, 0 * whole + 1])
    theirs = mne.Epochs(raw, events, tmin=-10, tmax=20 - 1 / SFREQ, baseline=None, verbose=False)
    theirs.drop_bad(verbose=False)
    np.testing.assert_array_equal(theirs.selection, epochs.selection)
    np.testing.assert_array_equal(theirs.get_data(verbose=False), epochs.get_data())


def test_nothing_left_is_an_error_and_one_lost_recording_a_warning():
    bad, good = clock_raw(120.0), clock_raw(120.0)
    bad.set_annotations(mne.Annotations([0.0], [120.0], ["BAD"]))
    with pytest.raises(ValueError, match="No window is left"):
        make_windows(bad, counting_bold(60), t_r=2.0)
    with pytest.warns(RuntimeWarning, match=r"raw\[0\] gives no window"):
        epochs, _ = make_windows([bad, good], [counting_bold(60)] * 2, t_r=2.0)
    assert set(epochs.metadata["recording"]) == {1}


def test_lists_make_one_object():
    raws = [clock_raw(200.0), clock_raw(260.0)]
    bolds = [counting_bold(100), 1000 + counting_bold(120)]
    epochs, y = make_windows(
        raws,
        bolds,
        t_r=2.0,
        window=60.0,
        subject=["ann", "bob"],
        run=[2, 1],
        reader=Reader(first_volume=[0.0, 5.5], n_dummy=[0, 3]),
    )
    table = epochs.metadata
    assert list(table.groupby("recording").size()) == [2, 3]
    assert set(zip(table["subject"], table["run"], strict=True)) == {("ann", 2), ("bob", 1)}
    np.testing.assert_allclose(y[:, 0, 0], table["frame"] + 1000 * table["recording"])
    second = table[table["recording"] == 1]
    np.testing.assert_allclose(second["onset"], 5.5 + 2.0 * (3 + second["frame"]))
    alone, y_alone = make_windows(
        raws[1], bolds[1], t_r=2.0, window=60.0, reader=Reader(first_volume=5.5, n_dummy=3)
    )
    np.testing.assert_array_equal(epochs.get_data()[2:], alone.get_data())
    np.testing.assert_array_equal(y[2:], y_alone)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # MNE's reader under pandas 3.1
def test_metadata_survives_what_people_do(tmp_path):
    bold = pd.DataFrame(counting_bold(), columns=["V1", "M1", "PCC"])
    epochs, _ = make_windows(clock_raw(), bold, t_r=2.0, subject="s1", run=3)
    assert epochs.metadata["target_names"].iloc[0] == ["V1", "M1", "PCC"]
    for same in (epochs[[2, 0]], pickle.loads(pickle.dumps(epochs))[[2, 0]]):
        np.testing.assert_array_equal(
            same.metadata["onset"], epochs.metadata["onset"].to_numpy()[[2, 0]]
        )
        assert same.metadata["target_names"].iloc[0] == ["V1", "M1", "PCC"]
    epochs.save(tmp_path / "x-epo.fif", verbose=False)
    read = mne.read_epochs(tmp_path / "x-epo.fif", verbose=False)
    pd.testing.assert_frame_equal(read.metadata, epochs.metadata, check_dtype=False)
    assert len(epochs["frame > 50"]) < len(epochs)
    both = mne.concatenate_epochs([epochs, epochs[:1]], verbose=False)
    assert len(both.metadata) == len(epochs) + 1


def test_subject_and_run_are_filled_in():
    raw = clock_raw()
    raw.info["subject_info"] = {"his_id": "p07"}
    other = clock_raw()
    epochs, _ = make_windows([raw, other, raw], [counting_bold()] * 3, t_r=2.0)
    table = epochs.metadata.groupby("recording")[["subject", "run"]].first()
    assert table["run"].tolist() == [1, 1, 2]
    assert table["subject"].tolist()[::2] == ["p07", "p07"]
    assert table["subject"][1].startswith("unnamed ")


def test_channels_that_enter():
    raw = clock_raw(ch_types=["eeg", "eog", "eeg"])
    epochs, _ = make_windows(raw, counting_bold(), t_r=2.0)
    assert epochs.ch_names == ["clock", "b"]
    raw.info["bads"] = ["b"]
    assert make_windows(raw, counting_bold(), t_r=2.0)[0].ch_names == ["clock"]
    assert make_windows(raw, counting_bold(), t_r=2.0, reader=Reader(picks="eog"))[0].ch_names == [
        "a"
    ]
    with pytest.raises(ValueError, match="No channel is left"):
        make_windows(clock_raw(ch_types="misc"), counting_bold(), t_r=2.0)
    misc, reader = clock_raw(ch_types="misc"), Reader(picks="misc")
    assert make_windows(misc, counting_bold(), t_r=2.0, reader=reader)[0].ch_names[1:] == ["a", "b"]


def test_projections_are_carried_not_applied():
    raw = clock_raw()
    raw.set_eeg_reference("average", projection=True, verbose=False)
    epochs, _ = make_windows(raw, counting_bold(), t_r=2.0)
    assert len(epochs.info["projs"]) == 1
    assert epochs.get_data()[0, 0, 0] == 0.0


def test_bold_passes_untouched():
    bold = 1e4 + np.random.default_rng(1).standard_normal((150, 2))
    bold[40:43] = np.nan  # scrubbed frames
    before = bold.copy()
    epochs, y = make_windows(clock_raw(), bold, t_r=2.0, window=50.0)
    for k, frame in enumerate(epochs.metadata["frame"]):
        np.testing.assert_array_equal(y[k], before[frame : frame + 25])
    np.testing.assert_array_equal(bold, before)
    y[:] = 0
    np.testing.assert_array_equal(bold, before)


def test_files_need_not_be_preloaded(tmp_path):
    raw = clock_raw()
    raw.save(tmp_path / "x_raw.fif", fmt="double", verbose=False)
    lazy = mne.io.read_raw_fif(tmp_path / "x_raw.fif", preload=False, verbose=False)
    epochs, _ = make_windows(lazy, counting_bold(), t_r=2.0)
    expected, _ = make_windows(raw, counting_bold(), t_r=2.0)
    assert not lazy.preload
    np.testing.assert_allclose(epochs.get_data(), expected.get_data(), rtol=1e-6)


@pytest.mark.parametrize("name", ["eeg_rest/test.edf", "eeg_task/eeglab_data.set"])
def test_real_recordings(shared_data, name):
    raw = mne.io.read_raw(shared_data / name, preload=False, verbose="ERROR")
    bold = np.loadtxt(shared_data / "fmri_rois/fmri_timeseries.csv", delimiter=",", skiprows=1)
    n_frames = int(raw.times[-1] // 1.89)
    epochs, y = make_windows(raw, bold[:n_frames, :28], t_r=1.89, window=60.0)
    assert epochs.ch_names == raw.ch_names
    assert len(epochs) == len(y) == (n_frames - 16) // 31
    start = raw.time_as_index(epochs.metadata["onset"], use_rounding=True)[1]
    stop = start + round(31 * 1.89 * raw.info["sfreq"])
    whole = epochs.copy().crop(0.0, None).get_data()[1]
    signal = raw.get_data(start=start, stop=stop)
    np.testing.assert_array_equal(whole[:, : signal.shape[1]], signal[:, : whole.shape[1]])


BAD_BOLD = {
    "nan": (lambda b: b.__setitem__((3, 1), np.nan), "NaN in some"),
    "inf": (lambda b: b.__setitem__((3, 1), np.inf), "infinite"),
    "all nan": (lambda b: b.__setitem__(slice(None), np.nan), "NaN only"),
}


@pytest.mark.parametrize("kind", BAD_BOLD)
def test_bad_bold_values(kind):
    change, message = BAD_BOLD[kind]
    bold = counting_bold()
    change(bold)
    with pytest.raises(ValueError, match=message):
        make_windows(clock_raw(), bold, t_r=2.0)


@pytest.mark.parametrize(
    ("bold", "error", "message"),
    [
        (np.zeros((150, 2, 2)), ValueError, "n_frames, n_targets"),
        (np.zeros((0, 3)), ValueError, "empty"),
        (counting_bold() * 1j, ValueError, "Complex"),
        (np.full((150, 2), "a"), TypeError, "numbers"),
        (counting_bold(152), ValueError, "Frame 151 lies at 302 s, outside"),
        (counting_bold(400), ValueError, r"outside the recording \(0 to 300 s\)"),
        (counting_bold(48, 150), ValueError, "transpose"),
        (counting_bold(400, 100), ValueError, "swapped"),
        ([counting_bold(), counting_bold()], ValueError, "one recording"),
    ],
)
def test_bold_that_does_not_fit(bold, error, message):
    with pytest.raises(error, match=message):
        make_windows(clock_raw(), bold, t_r=2.0)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"t_r": -2.0}, ValueError, "t_r must be above 0"),
        ({"t_r": 0}, ValueError, "t_r must be above 0"),
        ({"t_r": "2"}, TypeError, "t_r must be a number, got '2'"),
        ({"t_r": np.nan}, ValueError, "t_r must be finite"),
        ({"t_r": True}, TypeError, "t_r must be a number"),
        ({"t_r": 2000.0}, ValueError, "Check t_r=2000"),
        ({"window": 0.0}, ValueError, "window"),
        ({"window": 1.0}, ValueError, "window=1 s is shorter than one frame"),
        ({"window": "60"}, TypeError, "window"),
        ({"window": 400.0}, ValueError, "shorter than one window"),
        ({"step": 0.5}, ValueError, "step=0.5 s is shorter than one frame"),
        ({"step": -1.0}, ValueError, "step"),
        ({"context": -1.0}, ValueError, "context must be at least 0"),
        ({"context": 296.0}, ValueError, "shorter than one window"),
        ({"first_volume": "0"}, TypeError, "first_volume"),
        ({"first_volume": -5.0}, ValueError, "Frame 0 lies at -5 s, outside"),
        ({"first_volume": 5.0}, ValueError, "Frame 149 lies at 303 s, outside"),
        ({"first_volume": [0.0, 1.0]}, TypeError, "first_volume is a list"),
        ({"n_dummy": -1}, ValueError, "n_dummy"),
        ({"n_dummy": 1.5}, TypeError, "n_dummy must be an integer"),
        ({"n_dummy": 10}, ValueError, "outside"),
        ({"slice_time_ref": 1.5}, ValueError, "slice_time_ref must be at most 1"),
        ({"picks": "nothing"}, ValueError, "nothing"),
        ({"volume_event": 7}, TypeError, "volume_event"),
        ({"volume_event": "R128"}, ValueError, "No events found"),
        ({"subject": ["a", "b"]}, TypeError, "subject is a list"),
    ],
)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        windows(clock_raw(), counting_bold(), **{"t_r": 2.0, **parameters})


def test_no_window_fits():
    with pytest.raises(ValueError, match="shorter than one window"):
        make_windows(clock_raw(30.0), counting_bold(15), t_r=2.0)


def test_windows_fit_short_recordings():
    """Without a window's length, ten of them fit after the history, and none is above 60 s."""
    for duration, frames in ((300.0, 13), (800.0, 30), (60.0, 5)):
        n_frames = int(duration / 2)
        _, y = make_windows(clock_raw(duration), counting_bold(n_frames), t_r=2.0)
        assert y.shape[1] == frames
        assert len(y) == ((n_frames - 15) // frames)


def changed(change):
    raw = clock_raw()
    change(raw._data)
    return raw


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.__setitem__((1, 9000), np.nan),
            r"NaN or infinite values in channels \['a'\]",
        ),
        (lambda d: d.__setitem__((2, 40), np.inf), r"NaN or infinite values in channels \['b'\]"),
        (lambda d: d.__setitem__(1, 3.0), r"flat channels \['a'\]"),
        (lambda d: d.__setitem__(2, d[1]), r"duplicated channels \['a', 'b'\]"),
    ],
)
def test_bad_signal_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        make_windows(changed(change), counting_bold(), t_r=2.0)


def test_bad_signal_that_is_marked_passes():
    raw = changed(lambda d: d.__setitem__((1, slice(5000, 5050)), np.nan))
    raw.set_annotations(mne.Annotations([100.0], [1.0], ["BAD"]))
    epochs, _ = make_windows(raw, counting_bold(), t_r=2.0, window=20.0, context=10.0)
    assert np.isfinite(epochs.get_data()).all()
    raw = changed(lambda d: d.__setitem__(1, 0.0))
    raw.info["bads"] = ["a"]
    assert "a" not in make_windows(raw, counting_bold(), t_r=2.0)[0].ch_names


def test_complex_signal_is_refused():
    raw = clock_raw()
    raw = mne.io.RawArray(raw.get_data() + 1j, raw.info, verbose=False)
    with pytest.raises(ValueError, match="Complex data not supported"):
        make_windows(raw, counting_bold(), t_r=2.0)


@pytest.mark.parametrize(
    ("raw", "bold", "error", "message"),
    [
        ([], [], ValueError, "empty list"),
        ([clock_raw()], [counting_bold()] * 2, ValueError, "raw has 1 recordings, but bold has 2"),
        ([clock_raw()], counting_bold(), ValueError, "bold must be a list"),
        ("sub-01.vhdr", counting_bold(), TypeError, "mne.io.read_raw"),
        (np.zeros((3, 100)), counting_bold(), TypeError, "must be an mne.io.Raw, got ndarray"),
        ([clock_raw(), 3], [counting_bold()] * 2, TypeError, r"raw\[1\] must be"),
        ([clock_raw(), clock_raw(sfreq=100.0)], [counting_bold()] * 2, ValueError, "100 Hz"),
        (
            [clock_raw(), clock_raw().pick(["clock", "b"])],
            [counting_bold()] * 2,
            ValueError,
            r"raw\[1\] has other channels than raw\[0\]: it lacks \['a'\]",
        ),
        (
            [clock_raw()] * 2,
            [counting_bold(), counting_bold(150, 4)],
            ValueError,
            "number of regions",
        ),
        (
            [clock_raw()] * 2,
            [
                pd.DataFrame(counting_bold(), columns=list("abc")),
                pd.DataFrame(counting_bold(), columns=list("acb")),
            ],
            ValueError,
            "other region names",
        ),
    ],
)
def test_recordings_that_cannot_be_paired(raw, bold, error, message):
    with pytest.raises(error, match=message):
        make_windows(raw, bold, t_r=2.0)


def test_per_recording_values_need_the_right_length():
    with pytest.raises(ValueError, match="n_dummy has 3 values for 2 recordings"):
        make_windows(
            [clock_raw()] * 2, [counting_bold()] * 2, t_r=2.0, reader=Reader(n_dummy=[0, 0, 0])
        )


def test_channel_order_follows_the_first_recording():
    raws = [clock_raw(), clock_raw().reorder_channels(["b", "clock", "a"])]
    epochs, _ = make_windows(raws, [counting_bold()] * 2, t_r=2.0)
    half = len(epochs) // 2
    np.testing.assert_array_equal(epochs.get_data()[:half], epochs.get_data()[half:])


def test_frame_times_without_a_count_fill_the_recording():
    assert len(frame_times(clock_raw(300.0), t_r=2.0)) == 150
    assert len(frame_times(clock_raw(300.0), t_r=2.0, slice_time_ref=0.5)) == 150
    assert len(frame_times(clock_raw(299.9), t_r=2.0, first_volume=4.0, n_dummy=2)) == 145
    with pytest.raises(ValueError, match="holds no frame"):
        frame_times(clock_raw(300.0), t_r=2.0, first_volume=300.0)


def test_recordings_with_other_channels_are_joined_as_the_reader_says():
    raws = [clock_raw(200.0), clock_raw(200.0).rename_channels({"b": "c"})]
    bolds = [counting_bold(100)] * 2
    with pytest.raises(ValueError, match="has other channels"):
        make_windows(raws, bolds, t_r=2.0)
    epochs, _ = make_windows(raws, bolds, t_r=2.0, reader=Reader(channels="match"))
    assert epochs.ch_names == ["clock", "a"] and set(epochs.metadata["recording"]) == {0, 1}
    names = {"clock": "Fz", "a": "Cz", "b": "Pz", "c": "Oz"}
    eeg = [r.rename_channels({k: v for k, v in names.items() if k in r.ch_names}) for r in raws]
    epochs, _ = make_windows(eeg, bolds, t_r=2.0, reader=Reader(channels="interpolate"))
    assert epochs.ch_names == ["Fz", "Cz", "Pz", "Oz"]
    assert np.ptp(epochs.get_data(), axis=(0, 2)).all()
