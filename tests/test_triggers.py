"""Scanner triggers: every fault is found and named, drift is followed, clean ones are exact."""

import datetime
import re

import mne
import numpy as np
import pytest

from mne_samba import Reader
from mne_samba.windows import frame_times, make_windows

T_R = 2.0
N = 120
START = 7.3


def raw_with(times, *, sfreq=250.0, description="Response/R128", duration=300.0, **kwargs):
    info = mne.create_info(["a", "b"], sfreq, "eeg")
    data = np.random.default_rng(0).standard_normal((2, round(duration * sfreq)))
    raw = mne.io.RawArray(data, info, verbose=False, **kwargs)
    return raw.set_annotations(mne.Annotations(times, [0.0] * len(times), description))


def raw_with_stim(times, *, value=1, width=3, sfreq=250.0, duration=300.0, others=()):
    info = mne.create_info(["a", "b", "STI"], sfreq, ["eeg", "eeg", "stim"])
    data = np.random.default_rng(0).standard_normal((3, round(duration * sfreq)))
    data[2] = 0
    for time, code in [*((time, value) for time in times), *others]:
        sample = round(time * sfreq)
        data[2, sample : sample + width] = code
    return mne.io.RawArray(data, info, verbose=False)


def regular(n=N, start=START, t_r=T_R):
    return start + t_r * np.arange(n)


def times_of(raw, n_frames=N, event="R128", **kwargs):
    return frame_times(raw, n_frames, **{"t_r": T_R, "volume_event": event, **kwargs})


@pytest.mark.parametrize("event", ["R128", "Response/R128", "Response"])
def test_annotations_give_the_start_of_volumes(event):
    np.testing.assert_allclose(times_of(raw_with(regular()), event=event), regular(), atol=1e-9)


@pytest.mark.parametrize("event", ["STI", ("STI", 4), ["STI", 4]])
def test_stim_channel_gives_the_start_of_volumes(event):
    raw = raw_with_stim(regular(), value=4)
    np.testing.assert_allclose(times_of(raw, event=event), regular(), atol=1e-9)


def test_stim_channel_agrees_with_mne():
    rng = np.random.default_rng(3)
    others = [(time, 8) for time in rng.uniform(0, 6, 5)]
    raw = raw_with_stim(regular(), value=2, others=others)
    events = mne.find_events(raw, "STI", shortest_event=1, verbose=False)
    expected = (events[events[:, 2] == 2, 0] - raw.first_samp) / raw.info["sfreq"]
    np.testing.assert_allclose(times_of(raw, event=("STI", 2)), expected, atol=1e-9)


def test_several_values_must_be_told_apart():
    raw = raw_with_stim(regular(), value=2, others=[(1.0, 8), (3.0, 8)])
    with pytest.raises(
        ValueError, match=r"several kinds of events: 2 \(120 times\), 8 \(2 times\)"
    ):
        times_of(raw, event="STI")


def test_recording_cropped_to_its_first_trigger():
    raw = raw_with_stim(regular()).crop(START, None)
    np.testing.assert_allclose(times_of(raw, event="STI"), regular(start=0.0), atol=1e-9)
    raw = raw_with(regular()).crop(START, None)
    np.testing.assert_allclose(times_of(raw), regular(start=0.0), atol=1e-9)


@pytest.mark.parametrize("meas_date", [None, datetime.datetime(2021, 5, 4, tzinfo=datetime.UTC)])
def test_offsets_of_cropped_recordings(meas_date):
    raw = raw_with([], first_samp=2500, duration=320.0).set_meas_date(meas_date)
    raw.set_annotations(mne.Annotations(regular(), [0.0] * N, "R128"))
    np.testing.assert_allclose(times_of(raw), regular(), atol=1e-9)
    raw.crop(5.0, 290.0)
    np.testing.assert_allclose(times_of(raw), regular(start=START - 5.0), atol=1e-9)
    if meas_date is not None:
        raw.set_annotations(mne.Annotations(20 + regular(), [0.0] * N, "R128", orig_time=meas_date))
        np.testing.assert_allclose(times_of(raw), regular(start=START + 5.0), atol=1e-9)


def test_dummy_scans_and_slice_time():
    times = times_of(raw_with(regular()), N - 5, n_dummy=5, slice_time_ref=0.5)
    np.testing.assert_allclose(times, regular()[5:] + 1.0, atol=1e-9)


def test_without_a_count_the_triggers_count():
    assert len(times_of(raw_with(regular()), None, n_dummy=3)) == N - 3
    with pytest.raises(ValueError, match="120 volume triggers, but n_dummy=120"):
        times_of(raw_with(regular()), None, n_dummy=N)


def test_windows_follow_the_triggers():
    y = np.arange(N, dtype=float)[:, np.newaxis]
    epochs, y = make_windows(raw_with(regular()), y, t_r=T_R, reader=Reader(volume_event="R128"))
    np.testing.assert_allclose(epochs.metadata["onset"], START + T_R * y[:, 0, 0], atol=1e-9)


@pytest.mark.parametrize("ppm", [50.0, -50.0, 200.0])
@pytest.mark.parametrize("sfreq", [128.0, 1000.0])
def test_drift_is_followed_to_under_ten_milliseconds(ppm, sfreq):
    n = 900
    true = START + T_R * (1 + ppm * 1e-6) * np.arange(n)
    marked = np.rint(true * sfreq) / sfreq  # a recording marks whole samples
    raw = raw_with(marked, sfreq=sfreq, duration=1900.0)
    with mne.utils.catch_logging(verbose="info") as log:
        times = times_of(raw, n)
    assert np.abs(times - true).max() < 0.001
    said = log.getvalue()
    assert f"drift of {abs(ppm):.0f} ppm" in said
    assert ("later" if ppm > 0 else "earlier") in said
    far = int(re.search(r"from volume (\d+) on by more than 10 ms", said)[1])
    assert far == pytest.approx(0.01 / (T_R * abs(ppm) * 1e-6), abs=1.5, rel=0.02)
    # The nominal grid would be off by far more.
    assert np.abs(true[0] + T_R * np.arange(n) - true).max() > 0.08


@pytest.mark.parametrize("ppm", [50.0, -50.0])
def test_what_estimators_see_follows_the_drift(ppm):
    """Half an hour of frames, as a translator reads them: each within 10 ms of where it was."""
    n = 900
    true = START + T_R * (1 + ppm * 1e-6) * np.arange(n)
    raw = raw_with(np.rint(true * 100.0) / 100.0, sfreq=100.0, duration=1830.0)
    (segment,) = Reader(volume_event="R128").read([raw], T_R, n_frames=[n]).segments
    seen = segment.frame_start + segment.frame_step * np.arange(n)
    assert np.abs(seen - true).max() < 0.01
    assert np.abs(true[0] + T_R * np.arange(n) - true).max() > 0.08


def test_no_drift_is_claimed_where_there_is_none():
    marked = np.rint(regular(t_r=0.7371, n=300) * 128.0) / 128.0
    with mne.utils.catch_logging(verbose="info") as log:
        times = times_of(raw_with(marked, sfreq=128.0), 300, t_r=0.7371)
    assert "drift" not in log.getvalue()
    assert np.abs(times - regular(t_r=0.7371, n=300)).max() < 0.002


def test_late_software_markers_are_followed():
    rng = np.random.default_rng(0)
    jittered = regular() + rng.uniform(0, 0.03, N)
    assert np.abs(times_of(raw_with(jittered)) - regular()).max() <= 0.03


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ([17], r"volume 17 has no trigger \(expected at 41.3 s\)"),
        ([1], "volume 1 has no trigger"),
        ([30, 31, 32, 80], "volumes 30 to 32, 80 have no trigger"),
    ],
)
def test_missed_triggers(lost, said):
    with pytest.raises(ValueError, match=said):
        times_of(raw_with(np.delete(regular(), lost)))


@pytest.mark.parametrize("late", [0.0, 0.004, 0.3, 0.9, 1.3])
def test_doubled_triggers(late):
    times = np.sort(np.append(regular(), regular()[23] + late))
    with pytest.raises(ValueError, match="volume 23 has more than one trigger") as error:
        times_of(raw_with(times))
    assert "volume 22" not in str(error.value) and "volume 24" not in str(error.value)


@pytest.mark.parametrize("volume", [0, N - 1])
@pytest.mark.parametrize("late", [0.0, 0.02, 0.3, 0.9])
def test_doubled_at_the_ends(volume, late):
    times = np.sort(np.append(regular(), regular()[volume] + late))
    with pytest.raises(ValueError, match=f"volume {volume} has more than one trigger") as error:
        times_of(raw_with(times))
    assert "belong" not in str(error.value) and "no trigger" not in str(error.value)


def test_all_doubled():
    with pytest.raises(ValueError, match=r"volume 0 has more than one trigger .*115 more faults"):
        times_of(raw_with(np.sort(np.concatenate([regular(), regular() + 0.01]))))


def test_late_triggers_are_not_called_doubled():
    late = regular()
    late[50] += 0.3
    with pytest.raises(ValueError, match=r"event at 107.6 s .*after volume 49.*volume 50 has no"):
        times_of(raw_with(late))
    late = np.append(regular(N - 1), regular()[-1] + 11.3)
    with pytest.raises(ValueError, match=r"event at 256.6 s .*after volume 118 .*no volume") as e:
        times_of(raw_with(late))
    assert "more than one trigger" not in str(e.value)


@pytest.mark.parametrize("ppm", [50.0, -50.0])
def test_missed_triggers_under_drift(ppm):
    n, lost = 900, [1, 400, 401, 898]
    drifting = START + T_R * (1 + ppm * 1e-6) * np.arange(n)
    raw = raw_with(np.delete(drifting, lost), duration=1900.0)
    with pytest.raises(ValueError, match="volumes 1, 400 to 401, 898 have no trigger") as error:
        times_of(raw, n)
    said = re.search(r"expected at ([\d.]+) s, ([\d.]+) s", str(error.value)).groups()
    np.testing.assert_allclose(np.array(said, float), drifting[[1, 400]], atol=0.01)


def test_every_fault_is_named_at_once():
    times = np.sort(np.append(np.delete(regular(), [40]), regular()[[60, 90]] + 0.01))
    with pytest.raises(ValueError) as error:
        times_of(raw_with(times))
    for said in ("volume 40 has no", "volume 60 has more", "volume 90 has more"):
        assert said in str(error.value)


def test_many_faults_stay_readable():
    times = np.sort(np.append(regular(), regular()[::4] + 0.01))
    with pytest.raises(ValueError, match="25 more faults") as error:
        times_of(raw_with(times))
    assert len(str(error.value)) < 1000


def test_test_pulse_before_the_scan():
    with pytest.raises(ValueError, match=r"1 event at 6.6 s before the first regular trigger"):
        times_of(raw_with(np.append(6.6, regular())))


def test_a_pause_is_told_from_a_missed_trigger():
    times = regular()
    times[50:] += 13.0
    with pytest.raises(ValueError, match="pause of 15 s between volumes 49 and 50"):
        times_of(raw_with(times))


@pytest.mark.parametrize("true", [1.5, 2.5, 2.01, 1.995, 4.0, 2.004])
def test_wrong_repetition_time(true):
    times = regular(70, t_r=true)
    with pytest.raises(ValueError, match=rf"t_r=2 s, but the 70 triggers .* come every {true:g}"):
        times_of(raw_with(times, duration=400.0), 70)


def test_slice_triggers():
    with pytest.raises(ValueError, match="20 triggers per t_r: do they mark slices"):
        times_of(raw_with(regular(1000, t_r=0.1)), 50)


def test_repetition_time_in_milliseconds():
    with pytest.raises(ValueError, match="Is t_r in seconds"):
        times_of(raw_with(regular()), t_r=2000.0)


def test_unmarked_dummy_scans():
    with pytest.raises(ValueError, match=r"the first 5 volumes, dummy scans, pass n_dummy=5\."):
        times_of(raw_with(regular()), N - 5)
    with pytest.raises(ValueError, match="pass n_dummy=7"):
        times_of(raw_with(regular()), N - 7, n_dummy=2)
    np.testing.assert_allclose(
        times_of(raw_with(regular()), N - 7, n_dummy=7), regular()[7:], atol=1e-9
    )
    # The other remedy that the message offers works as well.
    cut = raw_with(regular()).crop(0, regular()[N - 5] - 0.01)
    np.testing.assert_allclose(times_of(cut, N - 5), regular()[: N - 5], atol=1e-9)


def test_more_volumes_than_triggers():
    with pytest.raises(ValueError, match="marks 120: 5 of them have no trigger"):
        times_of(raw_with(regular()), N + 5)
    with pytest.raises(ValueError, match=r"120 volumes.*marks 100"):
        times_of(raw_with(regular(100)), N - 2, n_dummy=2)


def test_triggers_tell_that_regions_and_frames_are_swapped():
    with pytest.raises(ValueError, match="frames and regions look swapped"):
        make_windows(
            raw_with(regular()), np.zeros((30, N)), t_r=T_R, reader=Reader(volume_event="R128")
        )


def test_one_marker_of_the_scan_start():
    with pytest.raises(ValueError, match=r"pass first_volume=7.3 instead"):
        times_of(raw_with([START]))
    np.testing.assert_allclose(times_of(raw_with([START]), 1), [START])


def test_no_events():
    with pytest.raises(ValueError, match=r"No events found .*'Response/R128'.*stim channels \[\]"):
        times_of(raw_with(regular()), event="S  1")
    with pytest.raises(ValueError, match="zero or never changes"):
        times_of(raw_with_stim([]), event="STI")
    with pytest.raises(ValueError, match=r"at value 5: it has 1 \(120 times\)"):
        times_of(raw_with_stim(regular()), event=("STI", 5))
    with pytest.raises(ValueError, match=r"no channel 'STI 014'.*stim channels \['STI'\]"):
        times_of(raw_with_stim(regular()), event=("STI 014", 1))


def test_channels_that_hold_no_event_codes():
    raw = raw_with_stim(regular())
    raw._data[2] *= 5e-6
    with pytest.raises(ValueError, match=r"0 to 5e-06, all round to zero.*multiply by 1e6"):
        times_of(raw, event="STI")
    for wrong in (np.nan, np.inf, 1e30):
        raw._data[2, 100] = wrong
        with pytest.raises(ValueError, match="'STI' holds no event codes: some are NaN or too la"):
            times_of(raw, event="STI")


@pytest.mark.parametrize("event", [3, ("STI",), (1, "STI"), {"STI": 1}, ("STI", "1")])
def test_volume_event_of_the_wrong_kind(event):
    with pytest.raises(TypeError, match="volume_event"):
        times_of(raw_with_stim(regular()), event=event)


def test_two_ways_to_say_when_the_scan_began():
    with pytest.raises(ValueError, match="contradict"):
        times_of(raw_with(regular()), first_volume=3.0)


def test_frame_after_the_end_of_the_recording():
    raw = raw_with(regular()).crop(0, regular()[-1] + 0.5)
    with pytest.raises(ValueError, match=r"Frame 119 lies at 246.3 s, outside"):
        times_of(raw, slice_time_ref=0.5)
