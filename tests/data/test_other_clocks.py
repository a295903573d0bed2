"""Times of volumes on another clock, markers nobody asked for, volumes without a trigger."""

import datetime
import re

import mne
import numpy as np
import pytest

from mne_samba import Reader, make_windows
from mne_samba.baselines import BandPowerRidge
from mne_samba.windows import frame_times

SFREQ, T_R = 250.0, 2.0
VOLUMES = 10 + T_R * np.arange(140)


def clock(volumes=VOLUMES, n_seconds=320, first_samp=0, text="R128"):
    """Channel "clock" holds the time of every sample in seconds times 1e-6; volumes are marked."""
    times = np.arange(0, n_seconds, 1 / SFREQ)
    noise = 1e-5 * np.random.default_rng(0).standard_normal(len(times))
    line = np.zeros(len(times))
    line[np.rint(volumes * SFREQ).astype(int)] = 1
    info = mne.create_info(["clock", "Cz", "STI"], SFREQ, ["eeg", "eeg", "stim"])
    raw = mne.io.RawArray(
        np.vstack([1e-6 * times, noise, line]), info, first_samp=first_samp, verbose=False
    )
    return raw.set_annotations(mne.Annotations(volumes, 0.0, text))


def bold_of(volumes):
    bold = np.random.default_rng(1).standard_normal((len(volumes), 3))
    bold[:, 0] = volumes
    return bold


def milliseconds_off(raw, bold, **reader):
    options = {"t_r": T_R, "window": 20.0, "context": 10.0}
    epochs, y = make_windows(raw, bold, reader=Reader(**reader), **options)
    at = np.rint((np.arange(y.shape[1]) * T_R - epochs.tmin) * SFREQ).astype(int)
    return 1e3 * np.abs(1e6 * epochs.get_data(picks=["clock"])[:, 0, at] - y[..., 0]).max()


@pytest.mark.parametrize("kind", ["annotations of a crop", "events of a channel"])
def test_times_from_the_start_of_the_measurement(kind):
    """Shifts by whole volumes, which the distances of triggers cannot tell."""
    if kind == "annotations of a crop":
        raw = clock().crop(tmin=4.0)
        times = raw.annotations.onset
    else:
        raw = clock(first_samp=2500).set_annotations(None)
        times = mne.find_events(raw, "STI", verbose=False)[:, 0] / SFREQ
    with pytest.raises(ValueError, match=r"from the start of the measurement, \d+ s before") as e:
        make_windows(raw, bold_of(VOLUMES), t_r=T_R, reader=Reader(volume_event=times))
    line = re.search(r"volume_event=(.*)\.$", str(e.value))[1]
    right = eval(line, {"times": times, "raw": raw})
    assert milliseconds_off(raw, bold_of(VOLUMES), volume_event=right) < 5


@pytest.mark.parametrize(
    ("factor", "unit"), [(5000.0, "samples, of another rate"), (1e6, "microseconds")]
)
def test_units_of_no_clock_of_the_recording(factor, unit):
    times = np.rint(VOLUMES * factor)
    with pytest.raises(ValueError, match=unit) as error:
        frame_times(clock(), 140, t_r=T_R, volume_event=times)
    by = float(re.search(r"divide them by ([\d.e]+)\.$", str(error.value))[1])
    np.testing.assert_allclose(frame_times(clock(), 140, t_r=T_R, volume_event=times / by), VOLUMES)


@pytest.mark.parametrize("container", [list, tuple, np.asarray, "Series"])
def test_times_in_any_container(container):
    pd = pytest.importorskip("pandas")
    times = pd.Series(VOLUMES) if container == "Series" else container(VOLUMES)
    assert milliseconds_off(clock(), bold_of(VOLUMES), volume_event=times) < 5


@pytest.mark.parametrize("date", [None, datetime.datetime(2021, 5, 4, tzinfo=datetime.UTC)])
def test_times_of_several_recordings_are_annotated_as_said(date):
    raws, bolds = [clock(), clock(VOLUMES + 6)], [bold_of(VOLUMES), bold_of(VOLUMES + 6)]
    for raw in raws:
        raw.set_meas_date(date).set_annotations(None).crop(tmin=3.0)
    with pytest.raises(TypeError, match="has times of its own, annotate them") as error:
        make_windows(raws, bolds, t_r=T_R, reader=Reader(volume_event=[VOLUMES, VOLUMES + 6]))
    line = str(error.value).split("annotate them: ")[1].split(", and pass")[0]
    for raw, times in zip(raws, (VOLUMES, VOLUMES + 6), strict=True):
        exec(line, {"raw": raw, "mne": mne, "times": times - 3.0})
    assert milliseconds_off(raws, bolds, volume_event="volume") < 5


@pytest.mark.parametrize("text", ["R128", "bold_frame", "S  1"])
def test_markers_that_nobody_asked_for_are_said(text):
    raw, bold = clock(text=text), bold_of(VOLUMES)
    said = "(140 times, about every 2 s, the first at 10 s), which are not there"
    with pytest.warns(RuntimeWarning, match=re.escape(said)) as record:
        make_windows(raw, bold, t_r=T_R, window=20.0)
    with pytest.warns(RuntimeWarning, match=r"^Frames .*, but X\[0\] has markers"):
        BandPowerRidge(t_r=T_R).fit([raw], [bold])
    line = re.search(r"reader=(Reader\([^)]*\))", str(record[0].message))[1]
    reader = eval(line, {"Reader": Reader})
    assert milliseconds_off(raw, bold, **reader.get_params()) < 5
    assert milliseconds_off(raw, bold, first_volume=10.0) < 5
    assert milliseconds_off(raw, bold[4:], first_volume=18.0) < 5


def test_markers_of_no_volumes_are_not_said():
    """Stimuli every 2 s, fewer than volumes, and the beat of an amplifier's clock."""
    for text, times in (("face", VOLUMES[:60] + 0.7), ("SyncStatus/Sync On", VOLUMES + 0.7)):
        assert milliseconds_off(clock(times, text=text), bold_of(VOLUMES), first_volume=10.0) < 5


@pytest.mark.parametrize("name", ["Sync On", "SyncStatus/Sync On"])
def test_the_beat_of_an_amplifier_marks_no_volume(name):
    raw = clock(np.arange(8.3, 318, T_R), text="SyncStatus/Sync On")
    with pytest.raises(ValueError, match="the beat of the amplifier's clock, no volume"):
        frame_times(raw, 140, t_r=T_R, volume_event=name)
    assert milliseconds_off(raw, bold_of(VOLUMES), volume_event=VOLUMES) < 5


@pytest.mark.parametrize(
    ("first", "last", "n_dummy", "said", "kept", "right"),
    [
        (3, 140, 0, "drop the first 3 frames.", slice(3, None), 0),
        (3, 140, 1, "drop the first 2 frames and pass n_dummy=0.", slice(2, None), 0),
        (3, 140, 4, "pass n_dummy=1.", slice(None), 1),
        (0, 137, 0, "drop the last 3 frames, acquired after", slice(None, -3), 0),
    ],
)
def test_where_a_recording_began_or_ended_within_the_scan(first, last, n_dummy, said, kept, right):
    raw = clock().crop(VOLUMES[first] - 0.5, 320 if last == 140 else VOLUMES[last] - 0.5,
                       include_tmax=False)  # fmt: skip
    bold = bold_of(VOLUMES[n_dummy:])
    if last < 140:
        raw = clock().crop(0, VOLUMES[last] - 0.5, include_tmax=False)
    with pytest.raises(ValueError, match=re.escape(said)):
        make_windows(raw, bold, t_r=T_R, reader=Reader(volume_event="R128", n_dummy=n_dummy))
    assert milliseconds_off(raw, bold[kept], volume_event="R128", n_dummy=right) < 5


def test_slices_of_a_volume_that_was_recorded_in_part():
    slices = VOLUMES[:, np.newaxis] + 1.8 / 20 * np.arange(20)
    raw = clock(slices.ravel()[5:])
    with pytest.raises(ValueError, match="lacks 5 of them and is left out, drop its frame") as e:
        frame_times(raw, 140, t_r=T_R, volume_event="R128")
    first, step = map(int, re.search(r"times\[(\d+)::(\d+)\]", str(e.value)).groups())
    times = raw.annotations.onset[first::step]
    assert milliseconds_off(raw, bold_of(VOLUMES[1:]), volume_event=times) < 5
    even = VOLUMES[:, np.newaxis] + 0.1 * np.arange(20)
    with pytest.raises(ValueError, match=r"15 of them are left over.*times\[k::20\]"):
        frame_times(clock(even.ravel()[5:]), 140, t_r=T_R, volume_event="R128")


def test_a_t_r_in_milliseconds():
    with pytest.raises(ValueError, match=r"fit with t_r up to 2\.286 s, from the first sample on"):
        make_windows(clock(), bold_of(VOLUMES), t_r=2000.0, window=20000.0)
