"""What users read about windows, word for word: what is wrong, and what to do."""

import mne
import numpy as np
import pytest
from assemble import windows

from mne_samba.windows import make_windows

T_R = 2.0
EVENT = {"volume_event": "R128"}


def regular(n=50, t_r=T_R, start=5.0):
    return start + t_r * np.arange(n)


def raw_of(times=(), stim=(), *, name="R128", duration=150.0, sfreq=100.0):
    """Two channels of noise, annotations at times, and a stim channel with (second, value)."""
    data = np.random.default_rng(0).standard_normal((3, round(duration * sfreq)))
    data[2] = 0
    for second, value in stim:
        data[2, round(second * sfreq)] = value
    info = mne.create_info(["a", "b", "STI"], sfreq, ["eeg", "eeg", "stim"])
    raw = mne.io.RawArray(data, info, verbose=False)
    names = name if isinstance(name, list) else [name] * len(times)
    return raw.set_annotations(mne.Annotations(times, [0.0] * len(times), names))


def noise(*shape):
    return np.random.default_rng(1).standard_normal(shape)


def with_data(change):
    raw = raw_of()
    change(raw._data)
    return raw


CASES = {
    "seconds for frames": (
        lambda: raw_of(), lambda: np.ones((50, 2)), {"window": 1.9}, ValueError,
        "window=1.9 s is shorter than one frame (t_r=2 s). Is t_r in seconds?",
    ),
    "no window": (
        lambda: raw_of(), lambda: noise(50, 2), {"window": 200.0}, ValueError,
        "raw is shorter than one window: 100 frames in a row are needed whose first has all its "
        "context, but of its 50 frames (0 to 98 s) 35 have it. Use a shorter window or context.",
    ),
    "no context": (
        lambda: raw_of(duration=40.0), lambda: noise(20, 2), {"window": 20.0}, ValueError,
        "raw is shorter than one window: 10 frames in a row are needed whose first has all its "
        "context, but of its 20 frames (0 to 38 s) 5 have it. Use a shorter window or context.",
    ),
    "all bad": (
        lambda: raw_of([1.0, 40.0, 90.0], name=["BAD x", "EDGE", "bad_y"], duration=110.0),
        lambda: noise(55, 2), {"window": 20.0, "context": 50.0}, ValueError,
        "No window is left: all of them overlap BAD annotations. Use a shorter window or context,"
        " or annotate shorter spans.",
    ),
    "NaN only": (
        lambda: raw_of(), lambda: np.full((50, 2), np.nan), {}, ValueError,
        "bold contains NaN only: every frame is scrubbed.",
    ),
    "a list for one": (
        lambda: raw_of(), lambda: [noise(50, 2)], {}, ValueError,
        "raw is one recording, but bold is a list of 1: pass two lists.",
    ),
    "one for a list": (
        lambda: [raw_of()], lambda: noise(50, 2), {}, ValueError,
        "raw is a list of recordings, so bold must be a list of the same length.",
    ),
    "an empty list": (
        lambda: [], lambda: [], {}, ValueError,
        "raw is an empty list: at least one recording is needed.",
    ),
    "two and one": (
        lambda: [raw_of(), raw_of()], lambda: [noise(50, 2)], {}, ValueError,
        "raw has 2 recordings, but bold has 1: one each is needed.",
    ),
    "no recording": (
        lambda: ["a.vhdr"], lambda: [noise(50, 2)], {}, TypeError,
        "raw[0] must be an mne.io.Raw, got str. Read files with mne.io.read_raw first.",
    ),
    "lists of timing": (
        lambda: raw_of(), lambda: noise(50, 2), {"n_dummy": [0, 1]}, TypeError,
        "n_dummy is a list of 2, but raw is one recording.",
    ),
    "too many values": (
        lambda: [raw_of()], lambda: [noise(50, 2)], {"first_volume": [0.0, 1.0]}, ValueError,
        "first_volume has 2 values for 1 recordings.",
    ),
    "other rates": (
        lambda: [raw_of(), raw_of(sfreq=50.0)], lambda: [noise(50, 2)] * 2, {}, ValueError,
        "raw[1] is sampled at 50 Hz, raw[0] at 100 Hz: resample them to one rate.",
    ),
    "other channels": (
        lambda: [raw_of(), raw_of().rename_channels({"b": "c"})], lambda: [noise(50, 2)] * 2, {},
        ValueError,
        "raw[1] has other channels than raw[0]: it lacks ['b'], and has ['c'] besides. Pick "
        "common channels, or interpolate bad ones.",
    ),
    "flat": (
        lambda: with_data(lambda d: d[1].fill(3.0)), lambda: noise(50, 2), {}, ValueError,
        "raw has flat channels ['b'] (a reference, a dead electrode, BAD throughout?): mark them "
        "as bad or leave them out.",
    ),
    "duplicated": (
        lambda: with_data(lambda d: np.copyto(d[1], d[0])), lambda: noise(50, 2), {}, ValueError,
        "raw has duplicated channels ['a', 'b'], which hold the same signal: keep one.",
    ),
    "NaN in a channel": (
        lambda: with_data(lambda d: d[1, 7000:7001].fill(np.nan)), lambda: noise(50, 2), {},
        ValueError,
        "raw contains NaN or infinite values in channels ['b']. Interpolate the channels, mark "
        "them as bad, or annotate the spans as BAD in a Raw.",
    ),
    "swapped": (
        lambda: raw_of(), lambda: noise(20, 75), {}, ValueError,
        "bold has shape (20, 75): 20 frames of 2 s do not fit a recording of 150 s, but 75 would."
        " It seems to be (n_targets, n_frames); expected (n_frames, n_targets): transpose it.",
    ),
    "swapped and long": (
        lambda: raw_of(), lambda: noise(90, 60), {}, ValueError,
        "Frame 89 lies at 178 s, outside the recording (0 to 150 s); 14 of 90 frames do. BOLD has"
        " 90 rows and 60 columns: frames and regions look swapped, pass shape (n_frames, "
        "n_targets). Otherwise check t_r=2 (seconds), first_volume (seconds from the first "
        "sample) and n_dummy, and drop the last 14 frames, which were acquired outside the "
        "recording.",
    ),
    "long, with few regions": (
        lambda: raw_of(), lambda: noise(180, 30), {}, ValueError,
        "Frame 179 lies at 358 s, outside the recording (0 to 150 s); 104 of 180 frames do. Check "
        "t_r=2 (seconds), first_volume (seconds from the first sample) and n_dummy. All frames "
        "would fit with t_r up to 0.8333 s, from the first sample on.",
    ),
    "swapped with triggers": (
        lambda: raw_of(regular()), lambda: noise(20, 50), EVENT, ValueError,
        "BOLD has 20 frames and n_dummy=0, which makes 20 volumes, but volume_event marks 50. "
        "BOLD has 50 columns, as many as there are triggers: frames and regions look swapped; "
        "pass the transpose, shape (n_frames, n_targets).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_messages(name):
    raw, bold, options, error, expected = CASES[name]
    with pytest.raises(error) as said:
        windows(raw(), bold(), **{"t_r": T_R, **options})
    assert str(said.value) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("t_r", 0), ("window", 0), ("step", 0.0), ("context", -1.0), ("first_volume", np.inf),
     ("n_dummy", -1), ("slice_time_ref", 2.0)],
)  # fmt: skip
def test_numbers_have_names(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        windows(raw_of(), noise(50, 2), **{"t_r": T_R, name: value})
    with pytest.raises(TypeError, match=f"^{name} must be an? (number|integer), got '1'"):
        windows(raw_of(), noise(50, 2), **{"t_r": T_R, name: "1"})


def test_bold_is_called_what_it_is():
    empty = np.full((50, 2), np.nan)
    with pytest.raises(ValueError, match=r"^bold\[1\] contains NaN only"):
        make_windows([raw_of(), raw_of()], [noise(50, 2), empty], t_r=T_R)
    with pytest.raises(TypeError, match=r"^bold must hold numbers"):
        make_windows(raw_of(), noise(50, 2).astype(str), t_r=T_R)
    with pytest.raises(ValueError, match=r"^raw\[1\] is shorter than one window"):
        make_windows([raw_of(), raw_of(duration=30.0)], [noise(50, 2), noise(15, 2)], t_r=T_R)


def test_events_and_metadata_of_windows():
    """One row per window: where it was, and that its samples are unique over recordings."""
    first, second = raw_of(), raw_of(duration=120.0)
    first.info["subject_info"] = {"his_id": "ann"}
    bolds = [noise(75, 2), noise(60, 2)]
    epochs, y = make_windows([first, second], bolds, t_r=T_R, window=21.0, step=15.0)
    assert epochs.event_id == {"window": 1}
    assert y.shape == (14, 10, 2) and epochs.tmin == -30.0
    assert epochs.get_data().shape == (14, 2, 5000)
    frames = [*range(15, 66, 7), *range(15, 51, 7)]
    table = epochs.metadata
    assert list(table.columns) == [
        "subject", "run", "recording", "onset", "frame", "t_r", "n_frames", "context",
    ]  # fmt: skip
    assert table["frame"].tolist() == frames
    np.testing.assert_allclose(table["onset"], 2.0 * np.array(frames))
    assert table["subject"].tolist()[:8] == ["ann"] * 8
    unnamed = set(table["subject"][8:])
    assert len(unnamed) == 1 and unnamed.pop().startswith("unnamed ")
    assert set(table["t_r"]) == {2.0} and set(table["n_frames"]) == {10}
    assert set(table["context"]) == {30.0} and set(table["run"]) == {1}
    samples = 200 * np.array(frames) + 15000 * table["recording"].to_numpy()
    np.testing.assert_array_equal(epochs.events[:, 0], samples)
    np.testing.assert_array_equal(epochs.events[:, 1:], [[0, 1]] * len(table))
    for window, (recording, frame) in enumerate(table[["recording", "frame"]].to_numpy()):
        np.testing.assert_array_equal(y[window], bolds[recording][frame : frame + 10])
        data = (first, second)[recording].get_data([0, 1])
        start = 200 * frame - 3000
        np.testing.assert_array_equal(epochs.get_data()[window], data[:, start : start + 5000])


def test_dropped_windows_are_said():
    with mne.utils.catch_logging(verbose="info") as log:
        make_windows([raw_of([100.0], name="BAD")], [noise(75, 2)], t_r=T_R, window=20.0)
    assert "raw[0]: 3 of 6 windows overlap BAD annotations and are dropped." in log.getvalue()
    lost = raw_of([30.0, 60.0, 90.0, 120.0], name="bad").set_annotations(
        mne.Annotations(20.0, 120.0, "bad")
    )
    with pytest.warns(RuntimeWarning, match=r"^raw\[1\] gives no window: all 6 overlap BAD anno"):
        epochs, _ = make_windows([raw_of(), lost], [noise(75, 2)] * 2, t_r=T_R, window=20.0)
    assert set(epochs.metadata["recording"]) == {0}
