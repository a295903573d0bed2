"""What users read about triggers and frames, word for word: what is wrong, and what to do."""

import mne
import numpy as np
import pytest

from mne_samba.windows import frame_times

T_R = 2.0
EVENT = {"volume_event": "R128"}
REST = (
    "(Volumes are counted from 0, dummy scans included.) Correct the annotations or the stim "
    "channel, or pass first_volume without volume_event to place all volumes on a regular grid."
)
PAUSED = (
    "(Volumes are counted from 0, dummy scans included.) If it was, cut recording and BOLD there "
    "and pass two recordings; if only markers are lacking, add them, or pass the times of all "
    "volumes as an array."
)
MANY = [f"n{i:02d}" for i in range(14)]


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


def without(times, *lost):
    return np.delete(times, lost)


def first_of(n):
    return (
        f"Of slices, pass one in {n} as times in seconds from the first sample, for annotations: "
        "times = np.sort(raw.annotations.onset[raw.annotations.description == description]) - "
        f"raw.first_time; volume_event=times[::{n}]."
    )


CASES = {
    "no such event": (
        lambda: raw_of(regular(14), name=MANY), 50, {"volume_event": "S  1"}, ValueError,
        "No events found for volume_event='S  1'. The recording has annotations 'n00' (once), "
        "'n01' (once), 'n02' (once), 'n03' (once), 'n04' (once), 'n05' (once), 'n06' (once), "
        "'n07' (once), 'n08' (once), 'n09' (once), 'n10' (once), 'n11' (once) and stim channels "
        "['STI']. Give one of these, (channel, value), or first_volume (s) without volume_event.",
    ),
    "not two things": (
        lambda: raw_of(), 50, {"volume_event": ("STI", 1, 2)}, TypeError,
        "volume_event must be None, the description of annotations, the name of a stim channel, "
        "(channel, value), or an array of times in seconds; got ('STI', 1, 2).",
    ),
    "no such channel": (
        lambda: raw_of(), 50, {"volume_event": ("STI 2", 1)}, ValueError,
        "volume_event: no channel 'STI 2'. The recording has annotations none and stim channels "
        "['STI'].",
    ),
    "a value that is text": (
        lambda: raw_of(), 50, {"volume_event": ("STI", "1")}, TypeError,
        "The value in volume_event must be an integer, got '1' of type str.",
    ),
    "an empty channel": (
        lambda: raw_of(), 50, {"volume_event": "STI"}, ValueError,
        "No events found in channel 'STI': it is zero or never changes.",
    ),
    "fourteen values": (
        lambda: raw_of(stim=[(i + 1, i + 1) for i in range(14)]), 50, {"volume_event": "STI"},
        ValueError,
        "Channel 'STI' holds several kinds of events: 1 (1 times), 2 (1 times), 3 (1 times), 4 (1"
        " times), 5 (1 times), 6 (1 times), 7 (1 times), 8 (1 times), 9 (1 times), 10 (1 times), "
        "11 (1 times), 12 (1 times). Give the volume trigger as volume_event=('STI', value).",
    ),
    "another value": (
        lambda: raw_of(stim=[(1, 3), (2, 3), (4, 5)]), 50, {"volume_event": ("STI", 4)}, ValueError,
        "No events found in channel 'STI' at value 4: it has 3 (2 times), 5 (1 times).",
    ),
    "one event": (
        lambda: raw_of([7.25]), 50, {**EVENT, "n_dummy": 2}, ValueError,
        "volume_event marks one event only, at 7.25 s, but there are 52 volumes. If it marks the "
        "start of the scan, pass first_volume=7.25 instead of volume_event.",
    ),
    "slices": (
        lambda: raw_of(regular(500, 0.1)), 25, EVENT, ValueError,
        "t_r=2 s, but the 500 triggers of volume_event (volumes 0 to 499) come every 0.1 s. That "
        "is 20 triggers per t_r: do they mark slices, or is t_r wrong? " + first_of(20),
    ),
    "two per volume": (
        lambda: raw_of(regular(100, 1.0)), 50, EVENT, ValueError,
        "t_r=2 s, but the 100 triggers of volume_event (volumes 0 to 99) come every 1 s. That is "
        "2 triggers per t_r: do they mark slices, or is t_r wrong? " + first_of(2),
    ),
    "two and a half per volume": (
        lambda: raw_of(regular(100, 0.8)), 50, EVENT, ValueError,
        "t_r=2 s, but the 100 triggers of volume_event (volumes 0 to 99) come every 0.8 s. If "
        "the triggers mark volumes, pass t_r=0.8. Is t_r in seconds?",
    ),
    "another spacing": (
        lambda: raw_of(regular(50, 1.4)), 50, EVENT, ValueError,
        "t_r=2 s, but the 50 triggers of volume_event (volumes 0 to 49) come every 1.4 s. If the "
        "triggers mark volumes, pass t_r=1.4. Is t_r in seconds?",
    ),
    "a little more": (
        lambda: raw_of(regular(50, 2.02)), 50, EVENT, ValueError,
        "t_r=2 s, but the 50 triggers of volume_event (volumes 0 to 49) come every 2.02 s. If the"
        " triggers mark volumes, pass t_r=2.02. Is t_r in seconds?",
    ),
    "slower than said": (
        lambda: raw_of(regular(20, 5.0)), 20, EVENT, ValueError,
        "t_r=2 s, but the 20 triggers of volume_event (volumes 0 to 19) come every 5 s. If the "
        "triggers mark volumes, pass t_r=5. Is t_r in seconds?",
    ),
    "milliseconds": (
        lambda: raw_of(regular()), 50, {**EVENT, "t_r": 2000.0}, ValueError,
        "t_r=2000 s, but the 50 triggers of volume_event (volumes 0 to 49) come every 2 s. If the"
        " triggers mark volumes, pass t_r=2. Is t_r in seconds?",
    ),
    "one missed": (
        lambda: raw_of(without(regular(), 7)), 50, EVENT, ValueError,
        "The triggers of volume_event do not fit t_r=2 s: volume 7 has no trigger (expected at 19"
        " s). " + REST,
    ),
    "five missed": (
        lambda: raw_of(without(regular(), 7, 8, 9, 20, 30)), 50, EVENT, ValueError,
        "The triggers of volume_event do not fit t_r=2 s: volumes 7 to 9, 20, 30 have no trigger "
        "(expected at 19 s, 21 s, 23 s, 45 s ...; was the recording paused?). " + PAUSED,
    ),
    "ten gaps": (
        lambda: raw_of(without(regular(), *range(5, 45, 4))), 50, EVENT, ValueError,
        "The triggers of volume_event do not fit t_r=2 s: volumes 5, 9, 13, 17, 21, 25, 29, 33 "
        "and 2 more have no trigger (expected at 15 s, 23 s, 31 s, 39 s ...). " + REST,
    ),
    "doubled": (
        lambda: raw_of(np.sort([*regular(), 25.5])), 50, EVENT, ValueError,
        "The triggers of volume_event do not fit t_r=2 s: volume 10 has more than one trigger (at"
        " 25 s and 25.5 s). " + REST,
    ),
    "one before": (
        lambda: raw_of([4.3, *regular()]), 50, EVENT, ValueError,
        "The triggers of volume_event do not fit t_r=2 s: 1 event at 4.3 s before the first "
        "regular trigger belong to no volume. " + REST,
    ),
    "two before": (
        lambda: raw_of([1.2, 4.3, *regular()]), 50, EVENT, ValueError,
        "The triggers of volume_event do not fit t_r=2 s: 2 events at 1.2 s, 4.3 s before the "
        "first regular trigger belong to no volume. " + REST,
    ),
    "a pause": (
        lambda: raw_of([*regular(25), *regular(25, start=68.7)]), 50, EVENT, ValueError,
        "The triggers of volume_event do not fit t_r=2 s: a pause of 15.7 s between volumes 24 "
        "and 25 (at 53 s): cut the recording there and pass two. " + REST,
    ),
    "nine doubled": (
        lambda: raw_of(np.sort([*regular(), *(regular(9, start=25.0) + 0.5)])), 50, EVENT,
        ValueError,
        "The triggers of volume_event do not fit t_r=2 s: volume 10 has more than one trigger (at"
        " 25 s and 25.5 s); volume 11 has more than one trigger (at 27 s and 27.5 s); volume 12 "
        "has more than one trigger (at 29 s and 29.5 s); volume 13 has more than one trigger (at "
        "31 s and 31.5 s); volume 14 has more than one trigger (at 33 s and 33.5 s); and 4 more "
        "faults. " + REST,
    ),
    "all dummies": (
        lambda: raw_of(regular()), None, {**EVENT, "n_dummy": 50}, ValueError,
        "There are 50 volume triggers, but n_dummy=50.",
    ),
    "fewer triggers": (
        lambda: raw_of(regular()), 53, {**EVENT, "n_dummy": 2}, ValueError,
        "BOLD has 53 frames and n_dummy=2, which makes 55 volumes, but volume_event marks 50: "
        "5 of them have no trigger. Which ones, the number alone does not tell: if the recording "
        "stopped before the scan, drop the last 5 frames, acquired after it had stopped; if the "
        "first 5 volumes were acquired before it began, or have no trigger, drop the first 3 "
        "frames and pass n_dummy=0; if it was paused, cut recording and BOLD there.",
    ),
    "more triggers": (
        lambda: raw_of(regular()), 43, {**EVENT, "n_dummy": 3}, ValueError,
        "BOLD has 43 frames and n_dummy=3, which makes 46 volumes, but volume_event marks 50: 4 "
        "more. If rows were scrubbed, pass the sample_mask of the masker (make_windows, "
        "windows.restore_frames), which puts them back, those after the last that was kept too "
        "with restore_frames(bold, sample_mask, n_frames=47); if BOLD was cut at its end, crop the "
        "recording before 97 s, or pass the times of its 46 volumes as volume_event; if it lacks "
        "the first 7 volumes, dummy scans, pass n_dummy=7. Which of these it is, the number alone "
        "does not tell.",
    ),
    "two starts": (
        lambda: raw_of(regular()), 50, {**EVENT, "first_volume": 5.5}, ValueError,
        "first_volume=5.5 and volume_event='R128' contradict each other: give the start of the "
        "scan in one way.",
    ),
    "no frame": (
        lambda: raw_of(), None, {"first_volume": 149.5, "n_dummy": 3}, ValueError,
        "The recording lasts 150 s and holds no frame of t_r=2 s after first_volume=149.5 s and 3"
        " dummy scans. Is t_r in seconds?",
    ),
    "after the end": (
        lambda: raw_of(), 76, {"first_volume": 1.5}, ValueError,
        "Frame 75 lies at 151.5 s, outside the recording (0 to 150 s); 1 of 76 frames do. Check "
        "t_r=2 (seconds), first_volume (seconds from the first sample) and n_dummy, and drop "
        "the last frame, which was acquired outside the recording.",
    ),
    "before the start": (
        lambda: raw_of(), 50, {"first_volume": -4.5}, ValueError,
        "Frame 0 lies at -4.5 s, outside the recording (0 to 150 s); 3 of 50 frames do. Check "
        "t_r=2 (seconds), first_volume (seconds from the first sample) and n_dummy. If the scan "
        "began before the recording did, pass n_dummy=3 and drop the first 3 frames, which were "
        "acquired before it; if BOLD lacks them already, n_dummy=3 alone.",
    ),
    "no recording": (
        lambda: 'rest.vhdr', 50, {}, TypeError,
        "raw must be an mne.io.Raw, got str. Read files with mne.io.read_raw first.",
    ),
    "an array": (
        lambda: np.zeros((3, 9)), 50, {}, TypeError,
        "raw must be an mne.io.Raw, got ndarray.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_messages(name):
    raw, n_frames, options, error, expected = CASES[name]
    with pytest.raises(error) as said:
        frame_times(raw(), n_frames, **{"t_r": T_R, **options})
    assert str(said.value) == expected


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("t_r", 0, "t_r must be above 0, got 0."),
        ("first_volume", np.nan, "first_volume must be finite, got nan."),
        ("n_dummy", -1, "n_dummy must be at least 0, got -1."),
        ("n_frames", 0, "n_frames must be at least 1, got 0."),
        ("slice_time_ref", -0.1, "slice_time_ref must be at least 0, got -0.1."),
        ("slice_time_ref", 1.1, "slice_time_ref must be at most 1, got 1.1."),
    ],
)
def test_numbers_have_names_and_limits(name, value, said):
    with pytest.raises(ValueError) as error:
        frame_times(raw_of(), **{"n_frames": 50, "t_r": T_R, name: value})
    assert str(error.value) == said
    with pytest.raises(TypeError, match=f"^{name} must be a"):
        frame_times(raw_of(), **{"n_frames": 50, "t_r": T_R, name: "1"})


def test_limits_themselves_are_taken():
    raw = raw_of()
    np.testing.assert_allclose(frame_times(raw, 1, t_r=T_R, slice_time_ref=1), [2.0])
    np.testing.assert_allclose(
        frame_times(raw, 75, t_r=T_R, slice_time_ref=0.0), regular(75, start=0)
    )
    # Whole volumes that fit, or all triggers after the dummy scans.
    assert len(frame_times(raw, t_r=T_R, first_volume=0.1)) == 74
    assert len(frame_times(raw, t_r=T_R, n_dummy=3)) == 72
    assert len(frame_times(raw_of(regular()), t_r=T_R, n_dummy=3, **EVENT)) == 47
    # A frame may lie a sample outside, where triggers are rounded to samples, and is moved inside.
    times = frame_times(raw, 2, t_r=T_R, first_volume=-0.01)
    np.testing.assert_allclose(times, [0.0, 1.99])
    assert frame_times(raw, 1, t_r=T_R, first_volume=150.01)[0] == 150.0
    with pytest.raises(ValueError, match="outside the recording"):
        frame_times(raw, 1, t_r=T_R, first_volume=150.02)


@pytest.mark.parametrize("t_r", [0.4, 2.0])
def test_a_trigger_may_come_late_by_a_tenth_of_a_volume(t_r):
    times = regular(100, t_r)
    times[50] += 0.09 * t_r
    found = frame_times(raw_of(times, duration=210.0), 100, t_r=t_r, **EVENT)
    np.testing.assert_allclose(found, regular(100, t_r), atol=1e-6)  # its volume did not
    times[50] += 0.12 * t_r
    with pytest.raises(ValueError, match="do not fit t_r"):
        frame_times(raw_of(times, duration=210.0), 100, t_r=t_r, **EVENT)


@pytest.mark.parametrize(("t_r", "late"), [(2.0003, "later"), (1.9997, "earlier")])
def test_drift_is_logged(t_r, late):
    with mne.utils.catch_logging(verbose="info") as log:
        frame_times(raw_of(regular(70, t_r), sfreq=1000.0), 70, t_r=T_R, **EVENT)
    assert log.getvalue() == (
        "Clock drift of 150 ppm between recording and scanner: the last volume (69) comes "
        f"20.7 ms {late} than t_r says; from volume 34 on by more than 10 ms. Frame times follow "
        "the triggers.\n"
    )
