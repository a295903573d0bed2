"""Time does not go on across a cut: such recordings are refused, and the advice leads on."""

import re

import edfio
import mne
import numpy as np
import pybv
import pytest
import scipy.io

from mne_samba import make_windows
from mne_samba.baselines import BandPowerRidge
from mne_samba.data.cuts import cuts_of
from mne_samba.reader import Reader

SFREQ, T_R = 250.0, 2.0
VOLUMES = np.arange(1.0, 299.0, T_R)


def paused(pause, resume):
    """Clock and noise of 300 s but for a pause; samples of the volumes seen, and of the restart."""
    true = np.arange(0, 300, 1 / SFREQ)
    true = true[(true < pause) | (true >= resume)]
    data = np.vstack([1e-6 * true, 1e-5 * np.random.default_rng(0).standard_normal(len(true))])
    seen = VOLUMES[(VOLUMES < pause) | (VOLUMES >= resume)]
    return data, np.searchsorted(true, seen - 1e-9), np.searchsorted(true, resume - 1e-9)


def raw_of(data, onsets=(), texts=(), durations=0.0):
    raw = mne.io.RawArray(data, mne.create_info(["clock", "Cz"], SFREQ, "eeg"), verbose=False)
    return raw.set_annotations(mne.Annotations(onsets, durations, texts))


def brainvision(folder):
    data, marks, restart = paused(101.0, 121.0)
    events = [{"onset": int(i), "duration": 1, "description": 128, "type": "Response"}
              for i in marks]  # fmt: skip
    events.append({"onset": int(restart), "duration": 1, "description": "x", "type": "Comment"})
    pybv.write_brainvision(
        data=data, sfreq=SFREQ, ch_names=["clock", "Cz"], fname_base="p", folder_out=folder,
        events=events, unit="µV", resolution=1e-3, fmt="binary_float32",
        meas_date="20200101120000000000",
    )  # fmt: skip
    marker = folder / "p.vmrk"
    text = marker.read_text(encoding="utf-8")
    again = r"=New Segment,,\1,1,0,20200101120201000000"
    marker.write_text(re.sub(r"=Comment,[^,]*,(\d+),1,0", again, text), encoding="utf-8")
    return mne.io.read_raw(folder / "p.vhdr", preload=True, verbose="ERROR")


def edf_plus_d(folder, code="EDF+D"):
    """An EDF+ file whose records 101 and later say that they begin 20 s later."""
    data, marks, _ = paused(101.0, 121.0)
    signals = [
        edfio.EdfSignal(row[: 280 * 250] * 1e6, SFREQ, label=name, physical_dimension="uV")
        for name, row in zip(("clock", "Cz"), data, strict=True)
    ]
    notes = [edfio.EdfAnnotation(float(VOLUMES[0]), 0.0, "R128")]
    edf = edfio.Edf(signals, annotations=notes, data_record_duration=1.0)
    edf.write(folder / "p.edf")
    content = (folder / "p.edf").read_bytes().replace(b"EDF+C", code.encode())
    for second in range(279, 100, -1):
        content = content.replace(b"+%d\x14\x14" % second, b"+%d\x14\x14" % (second + 20))
    (folder / "p.edf").write_bytes(content)
    raw = mne.io.read_raw(folder / "p.edf", preload=True, verbose="ERROR")
    return raw.set_annotations(mne.Annotations(marks / SFREQ, 0.0, "R128"))


def eeglab(_):
    data, marks, restart = paused(101.0, 121.0)
    onsets = [*marks / SFREQ, restart / SFREQ]
    return raw_of(data, onsets, ["R128"] * len(marks) + ["boundary"], [0.0] * len(marks) + [20.0])


def eeglab_file(folder):
    """A file of EEGLAB, which counts samples from 1 and puts boundaries between two of them."""
    data, marks, restart = paused(101.0, 121.0)
    events = [(mark + 1.0, "R128", 0.0) for mark in marks] + [(restart + 0.5, "boundary", 5000.0)]
    event = np.array(sorted(events), [("latency", object), ("type", object), ("duration", object)])
    scipy.io.savemat(folder / "p.set", {"EEG": {
        "data": 1e6 * data, "nbchan": 2.0, "pnts": float(data.shape[1]), "trials": 1.0,
        "srate": SFREQ, "xmin": 0.0, "xmax": (data.shape[1] - 1) / SFREQ, "event": event,
        "chanlocs": np.array([("clock",), ("Cz",)], [("labels", object)]), "epoch": [],
    }})  # fmt: skip
    return mne.io.read_raw(folder / "p.set", preload=True, verbose="ERROR")


def joined(_):
    data, marks, restart = paused(101.0, 121.0)
    first, second = raw_of(data[:, :restart]), raw_of(data[:, restart:])
    raw = mne.concatenate_raws([first, second], verbose="ERROR")
    cut = raw.annotations
    return raw.set_annotations(cut + mne.Annotations(marks / SFREQ, 0.0, ["R128"] * len(marks)))


def crossed_by_fif(folder):
    joined(folder).save(folder / "p_raw.fif", verbose="ERROR")
    return mne.io.read_raw(folder / "p_raw.fif", preload=True, verbose="ERROR")


KINDS = {
    "New Segment/": brainvision, "boundary": eeglab, "BAD boundary": joined,
    "gap of EDF+D": edf_plus_d, "BAD boundary of a file": crossed_by_fif,
    "boundary of a file": eeglab_file,
}  # fmt: skip


@pytest.fixture(params=KINDS)
def interrupted(request, tmp_path):
    return request.param.removesuffix(" of a file"), KINDS[request.param](tmp_path)


def milliseconds_off(epochs, y):
    zero = round(-epochs.tmin * SFREQ)
    at = zero + np.rint(np.arange(y.shape[1]) * T_R * SFREQ).astype(int)
    return 1e3 * np.abs(1e6 * epochs.get_data(picks=["clock"])[:, 0, at] - y[..., 0]).max()


def bold_of(volumes):
    bold = np.random.default_rng(1).standard_normal((len(volumes), 3))
    bold[:, 0] = volumes
    return bold


@pytest.mark.parametrize("timing", [{"volume_event": "R128"}, {"first_volume": 1.0}])
def test_a_pause_is_named_and_the_advice_leads_on(interrupted, timing):
    name, raw = interrupted
    (cut,) = cuts_of(raw)
    assert cut.time == pytest.approx(101.0, abs=1e-3)
    assert cut.name == name
    seen = VOLUMES[(VOLUMES < 101.0) | (VOLUMES >= 121.0)]
    options = {"t_r": T_R, "window": 20.0, "context": 10.0}
    says = rf"^raw was interrupted \('{re.escape(name)}' at 101 s"
    with pytest.raises(ValueError, match=says) as said:
        make_windows(raw, bold_of(seen), reader=Reader(**timing), **options)
    with pytest.raises(ValueError, match=r"^X\[0\] was interrupted"):
        BandPowerRidge(t_r=T_R, reader=Reader(**timing)).fit([raw], [bold_of(seen)])
    crops = re.findall(r"(raw\.copy\(\)\.crop\([^)]*\))", str(said.value))
    parts = [eval(crop, {"raw": raw}) for crop in crops]
    bolds = [bold_of(seen[seen < 101.0]), bold_of(seen[seen >= 121.0])]
    if "first_volume" in timing:  # the first volume after the pause, at 121 s, is at its end
        timing = {"first_volume": [1.0, 0.0]}
    epochs, y = make_windows(parts, bolds, reader=Reader(**timing), **options)
    assert set(epochs.metadata["recording"]) == {0, 1}
    assert milliseconds_off(epochs, y) < 5


@pytest.mark.filterwarnings("ignore:The 50 frames of BOLD last 100 s")
def test_frames_on_one_side_of_a_cut_are_fine():
    data, _, restart = paused(101.0, 121.0)
    raw = raw_of(data, [restart / SFREQ], ["boundary"])
    epochs, y = make_windows(raw, bold_of(VOLUMES[:50]), t_r=T_R, window=20.0, context=10.0,
                             reader=Reader(first_volume=1.0))  # fmt: skip
    assert milliseconds_off(epochs, y) < 5


def test_what_lies_before_a_cut_is_no_history(interrupted):
    """BOLD begins at 103 s, two seconds after the cut: a window with 10 s of context crosses it."""
    _, raw = interrupted
    raw.set_annotations(raw.annotations[raw.annotations.description != "R128"])
    options = {"t_r": T_R, "window": 20.0, "context": 10.0, "step": 2.0}
    bold, reader = bold_of(VOLUMES[61:121]), Reader(first_volume=103.0)
    epochs, _ = make_windows(raw, bold, reader=reader, **options)
    assert epochs.metadata["onset"].min() == 113.0
    (segment,) = reader.read_pair([raw], [bold], T_R).segments
    assert segment.in_bad(np.array([101.0, 102.0]) * SFREQ, SFREQ).all()


def test_what_interrupts_nothing_is_no_cut(tmp_path):
    data, _, _ = paused(400.0, 500.0)
    end = data.shape[1] / SFREQ
    texts = ["New Segment/", "boundary", "boundary", "my boundary condition", "BAD_ACQ_SKIP"]
    assert cuts_of(raw_of(data, [0.0, 0.002, end - 1 / SFREQ, 50.0, 70.0], texts)) == []
    assert cuts_of(edf_plus_d(tmp_path, "EDF+C")) == []


def test_cuts_of_a_crop_count_from_its_first_sample(tmp_path):
    for kind in (eeglab, edf_plus_d):
        cropped = kind(tmp_path).crop(60.0, 200.0)
        assert [cut.time for cut in cuts_of(cropped)] == [pytest.approx(41.0, abs=1e-3)]


@pytest.mark.parametrize(
    "text", ["-99", "STATUS/boundary", "Comment/boundary", "New Segment/LostSamples: 200",
             "LostSamples: 4", "BAD_boundary"],
)  # fmt: skip
def test_spellings_of_a_cut(text):
    data, _, restart = paused(101.0, 121.0)
    (cut,) = cuts_of(raw_of(data, [restart / SFREQ], [text]))
    assert (cut.time, cut.name) == (101.0, text)


def test_gaps_of_files_that_were_joined_or_have_gone(tmp_path):
    raw, again = edf_plus_d(tmp_path), edf_plus_d(tmp_path).crop(60.0)
    both = mne.concatenate_raws([raw.copy(), again], verbose="ERROR")
    gaps = [cut.time for cut in cuts_of(both) if cut.name == "gap of EDF+D"]
    np.testing.assert_allclose(gaps, [101.0, raw.n_times / SFREQ + 41.0], atol=1e-3)
    (tmp_path / "p.edf").unlink()
    with mne.utils.catch_logging(verbose="info") as log:
        assert cuts_of(raw) == []
    assert "is no longer there" in log.getvalue()
