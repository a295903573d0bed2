"""What datasets in the field look like: every error's advice is followed to the letter."""

import json
import os
import re
import shutil
from pathlib import Path

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker

from mne_samba.cli import _parser
from mne_samba.cli._bids import Run
from mne_samba.datasets import write_bids_tree
from mne_samba.io import harmonize, read_bids_pair
from mne_samba.windows import frame_times

TEXT = Path(os.environ.get("MNE_SAMBA_SHARED", "../shared/data")) / "bids_text"
PREP = "derivatives/fmriprep/sub-01/func/sub-01_task-rest_run-01"
IMAGE = f"{PREP}_space-MNI152NLin2009cAsym_desc-preproc_bold"
ACQUIRED = "sub-01/func/sub-01_task-rest_run-01_bold"
ELE = "sub-01/eeg/sub-01_task-rest_run-01"
ATLAS = "derivatives/atlas/atlas-spheres_space-MNI152NLin2009cAsym_dseg"


def read(root, subject="01", **options):
    options.setdefault("masker", root / f"{ATLAS}.nii.gz")
    return read_bids_pair(root, subject, "rest", **options)


def timing(root, **options):
    return read(root, **options).provenance["timing"]


def edit_json(path, **changes):
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def edit_table(path, change):
    table = change(pd.read_csv(path, sep="\t", na_values="n/a"))
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def edit_image(path, zooms=None, n_frames=None):
    image = nib.load(path)
    new = nib.Nifti1Image(image.get_fdata(dtype=np.float32)[..., :n_frames], image.affine)
    new.header.set_zooms((*image.header.get_zooms()[:3], zooms or image.header.get_zooms()[3]))
    new.header.set_xyzt_units("mm", "sec")
    nib.save(new, path)


def log_of(call):
    with mne.utils.catch_logging(verbose="INFO") as log:
        result = call()
    return result, log.getvalue()


def close(times, truth, within=2e-3):
    assert len(times) == len(truth)
    assert np.abs(np.asarray(times) - truth).max() <= within


# --- sparse BOLD ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """Volumes every 8 s."""
    root = tmp_path_factory.mktemp("sparse") / "ds"
    options = {"t_r": 8.0, "n_dummy": 0, "slice_time": 0.0, "n_targets": 3, "scrubbed": ()}
    return write_bids_tree(root, 1, 400.0, **options)


@pytest.mark.parametrize(
    ("change", "source"),
    [
        ({"DelayTime": 6.0}, "DelayTime"),
        (
            {"RepetitionTime": None, "VolumeTiming": [8.0 * k for k in range(48)],
             "AcquisitionDuration": 2.0},
            "AcquisitionDuration",
        ),
    ],
)  # fmt: skip
def test_a_frame_is_the_middle_of_its_acquisition(sparse, tmp_path, change, source):
    root = shutil.copytree(sparse.root, tmp_path / "ds")
    for name in (IMAGE, ACQUIRED):
        edit_json(root / f"{name}.json", StartTime=None, SliceTiming=None, **change)
    pair = read(root)
    assert pair.t_r == 8.0
    source_of_t_r = "VolumeTiming" if "VolumeTiming" in change else "RepetitionTime"
    assert pair.provenance["timing"]["t_r_source"] == source_of_t_r
    assert pair.provenance["timing"]["slice_time_source"] == f"middle of the acquisition ({source})"
    close(pair.frame_times, sparse.frame_times[0] + 1.0)
    edit_json(root / f"{ACQUIRED}.json", **{source: 9.0})
    with pytest.raises(ValueError, match=rf"{source}.*t_r=8 s"):
        read(root)


def test_irregular_volumes_are_refused_by_name(sparse, tmp_path):
    root = shutil.copytree(sparse.root, tmp_path / "ds")
    times = [8.0 * k + 3.0 * (k > 20) for k in range(48)]
    edit_json(root / f"{ACQUIRED}.json", RepetitionTime=None, VolumeTiming=times)
    with pytest.raises(ValueError, match="VolumeTiming is irregular") as error:
        read(root)
    assert "volume 21 11 s after" in str(error.value) and f"{Path(ACQUIRED).name}.json" in str(
        error.value
    )
    given = float(re.search(r"pass t_r=([\d.]+)", str(error.value))[1])
    close(read(root, t_r=given).frame_times, sparse.frame_times[0])
    edit_json(root / f"{ACQUIRED}.json", VolumeTiming=[0.0, 8.0, "x"])
    with pytest.raises(ValueError, match="VolumeTiming must be an ascending list"):
        read(root)


def test_jitter_is_followed_by_triggers(sparse, tmp_path):
    root = shutil.copytree(sparse.root, tmp_path / "ds")
    times = [8.0 * k + 0.2 * (k % 2) for k in range(48)]
    edit_json(root / f"{ACQUIRED}.json", VolumeTiming=times)
    assert read(root).t_r == 8.0
    with pytest.raises(ValueError, match="VolumeTiming is irregular"):
        read(root, volume_event=None, first_volume=8.0)


# --- echoes, resolutions --------------------------------------------------------------------


@pytest.fixture
def echoes(copy):
    """Three echoes; fMRIPrep shifted no slice, and all were acquired early in t_r."""
    edit_json(copy / f"{ACQUIRED}.json", SliceTiming=[0.0, 0.1, 0.2, 0.3])
    edit_json(copy / f"{IMAGE}.json", StartTime=None)
    for end in (".json", ".nii.gz"):
        path = copy / f"{ACQUIRED}{end}"
        for echo in (1, 2, 3):
            shutil.copy(path, str(path).replace("_bold", f"_echo-{echo}_bold"))
        path.unlink()
    return copy


def test_echoes_are_one_acquisition(echoes, tree):
    found = timing(echoes)
    assert found["n_dummy"] == 2 and found["slice_time_source"] == "mean of SliceTiming"
    close([found["first_frame"]], tree.frame_times[0][:1] - 1.0 + 0.15)


def test_echoes_that_contradict_each_other(echoes, tree):
    path = echoes / ACQUIRED.replace("_bold", "_echo-2_bold.json")
    edit_json(path, SliceTiming=[0.0, 0.1, 0.2, 0.9])
    with pytest.raises(ValueError, match=r"contradict each other.*echo-1.*Slice") as error:
        read(echoes)
    assert 'entities={"echo": "1"}' in str(error.value) and "--entities echo=1" in str(error.value)
    close([timing(echoes, entities={"echo": "1"})["first_frame"]], tree.frame_times[0][:1] - 0.85)
    edit_json(path, SliceTiming=[0.0, 0.1, 0.2, 0.3])
    assert timing(echoes)["n_dummy"] == 2


def test_resolutions_are_chosen_by_entities(copy, tree):
    for end in (".json", ".nii.gz"):
        path = copy / f"{IMAGE}{end}"
        shutil.copy(path, str(path).replace("_desc", "_res-2_desc"))
    with pytest.raises(ValueError, match=r"--entities res=2\).*--entities res=\)") as error:
        read(copy)
    assert 'entities={"res": "2"}' in str(error.value)
    assert "_res-2_" in read(copy, entities={"res": "2"}).provenance["bold"]
    other = read(copy, entities={"res": None})
    assert "_res-" not in other.provenance["bold"]
    close(other.frame_times, tree.frame_times[0])
    with pytest.raises(FileNotFoundError, match="res-2"):
        read(copy, entities={"res": "7"})
    with pytest.raises(ValueError, match=r'"acq-" in its name'):
        read(copy, entities={"res": "2", "acq": "fast"})


def test_an_echo_as_it_was_acquired(echoes, tree):
    options = {"derivatives": False, "confounds": None}
    with pytest.raises(ValueError, match=r"several BOLD images.*--entities echo=1\)"):
        read(echoes, **options)
    pair = read(echoes, entities={"echo": 2}, **options)
    assert "_echo-2_" in pair.provenance["bold"]
    close(pair.frame_times, tree.frame_times[0] - 0.85)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["res"], "must be a dict"),
        ({"Res": "2"}, "no short name"),
        ({"ses": "1"}, "pass session"),
        ({"res": "a b"}, "no BIDS label"),
    ],
)
def test_entities_that_are_none(tree, given, said):
    with pytest.raises((TypeError, ValueError), match=said):
        read(tree.root, entities=given)


# --- repetition times -----------------------------------------------------------------------


def test_a_header_of_1_s_gives_way_to_sidecars_and_triggers(copy, tree):
    edit_image(copy / f"{IMAGE}.nii.gz", zooms=1.0)
    with pytest.warns(RuntimeWarning, match=r"preproc_bold\.json says 2 s.*header of .* says 1 s"):
        pair = read(copy)
    close(pair.frame_times, tree.frame_times[0])
    with pytest.raises(ValueError, match=r"as t_r \(s\), in the command line --t-r"):
        read(copy, volume_event=None, first_volume=5.0, n_dummy=2)
    pair = read(copy, volume_event=None, first_volume=5.0, n_dummy=2, t_r=2.0)
    close(pair.frame_times, tree.frame_times[0])


# --- channels -------------------------------------------------------------------------------


def channels(root, change):
    edit_table(root / f"{ELE}_channels.tsv", change)


def same_signals(pair, tree):
    by_key = {name.casefold(): name for name in pair.raw.ch_names}
    for name, true in zip(tree.raws[0].ch_names, tree.raws[0].get_data(), strict=True):
        read = pair.raw.get_data(picks=[by_key[name.casefold()]])[0]
        np.testing.assert_allclose(read, true, rtol=1e-5, atol=1e-9)


def test_channels_in_another_order(copy, tree):
    def shuffle(table):
        table.loc[table["name"] == "C3", "status"] = "bad"
        return table.iloc[::-1]

    channels(copy, shuffle)
    pair, log = log_of(lambda: read(copy))
    assert "another order" in log and pair.raw.info["bads"] == ["C3"]
    same_signals(pair, tree)


def test_channels_in_another_case(copy, tree):
    channels(copy, lambda table: table.assign(name=table["name"].str.upper()))
    pair, log = log_of(lambda: read(copy))
    assert "Fp1 to FP1" in log and "FP1" in pair.raw.ch_names
    same_signals(pair, tree)


def test_channels_of_other_names(copy, tree):
    channels(copy, lambda table: table.replace({"name": {"Fp1": "Cz", "O2": "Oz"}}))
    with pytest.raises(ValueError, match=r"channels \['Cz', 'Oz'\].*has \['Fp1', 'O2'\]"):
        read(copy)
    channels(copy, lambda table: table.replace({"name": {"Cz": "Fp1", "Oz": "O2"}}))
    same_signals(read(copy), tree)


def test_channels_in_another_order_and_case(copy, tree):
    def change(table):
        table.loc[table["name"] == "C3", "status"] = "bad"
        table.loc[table["name"] == "Fp1", "type"] = "EOG"
        return table.assign(name=table["name"].str.upper()).iloc[::-1]

    channels(copy, change)
    pair, log = log_of(lambda: read(copy))
    assert "another order and spelling" in log and pair.raw.info["bads"] == ["C3"]
    assert pair.raw.ch_names[-1] == "FP1" and pair.raw.get_channel_types()[-1] == "eog"
    same_signals(pair, tree)


def test_a_recording_is_chosen_by_entities(copy, tree):
    for path in list((copy / "sub-01/eeg").glob("*_run-01_*")):
        shutil.copy(path, str(path).replace("_run-01", "_acq-a_run-01"))
        path.rename(str(path).replace("_run-01", "_acq-b_run-01"))
    for kind in "ab":
        path = copy / f"sub-01/eeg/sub-01_task-rest_acq-{kind}_run-01_eeg.vhdr"
        text = path.read_text(encoding="utf-8").replace("_run-01", f"_acq-{kind}_run-01")
        path.write_text(text, encoding="utf-8")
    (copy / "sub-01/sub-01_scans.tsv").unlink()
    with pytest.raises(ValueError, match=r"fits several recordings.*--entities acq=a"):
        read(copy)
    pair = read(copy, entities={"acq": "a"})
    assert "_acq-a_" in pair.provenance["recording"]
    close(pair.frame_times, tree.frame_times[0])


def test_people_who_spell_channels_otherwise(copy, tree):
    channels(copy, lambda table: table.assign(name=table["name"].str.upper()))
    first, second = harmonize([read(copy), read(tree.root, "02")], channels="match")
    assert first.raw.ch_names == second.raw.ch_names and len(first.raw.ch_names) == 8
    for name, true in zip(tree.raws[1].ch_names, tree.raws[1].get_data(), strict=True):
        found = second.raw.get_data(picks=[name.upper()])[0]
        np.testing.assert_allclose(found, true, rtol=1e-5, atol=1e-9)


# --- events ---------------------------------------------------------------------------------


def stimuli(table):
    return pd.DataFrame({"onset": [20.0, 50.0], "duration": 1.0, "trial_type": ["face", "house"]})


def in_another_column(table):
    """Volumes and stimuli of which mne-bids makes events without a name."""
    taps = np.random.default_rng(0).uniform(5.0, 290.0, 150)
    both = np.concatenate([table["onset"], taps])
    names = ["volume"] * len(table) + ["tap"] * 150
    return pd.DataFrame({"onset": both, "duration": 0.0, "category": names}).sort_values("onset")


@pytest.mark.parametrize("event", ["auto", "Stimulus/S  1"])
@pytest.mark.parametrize(
    "change", [stimuli, in_another_column, lambda table: table.assign(onset="n/a")]
)
def test_volumes_of_the_file_where_the_table_has_none(copy, edit_events, tree, event, change):
    edit_events(copy, change)
    pair = read(copy, volume_event=event)
    close(pair.frame_times, tree.frame_times[0])
    assert pair.provenance["timing"]["volume_event"] == "Stimulus/S  1"
    assert pair.provenance["timing"]["volume_source"] == f"{Path(ELE).name}_eeg.vhdr"
    json.dumps(pair.provenance)


@pytest.mark.parametrize("change", [stimuli, lambda table: table.assign(onset="n/a")])
def test_falling_back_is_said(copy, edit_events, change):
    edit_events(copy, change)
    _, log = log_of(lambda: read(copy))
    assert "_events.tsv has no volumes; 'Stimulus/S  1' of" in log


def test_an_event_that_neither_table_nor_file_has(copy, edit_events):
    edit_events(copy, stimuli)
    with pytest.raises(ValueError, match=r"volume_event='R128'.*'face': 1.*'Stimulus/S  1': 146"):
        read(copy, volume_event="R128")


def test_a_table_may_hold_volumes_that_the_file_lost(copy, edit_events, tree):
    markers = copy / f"{ELE}_eeg.vmrk"
    lines = markers.read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if "Stimulus" in line)
    markers.write_text("".join(lines[:first] + lines[first + 1 :]), encoding="utf-8")
    close(read(copy).frame_times, tree.frame_times[0])
    # The same number more, but every volume two t_r early.
    edit_events(copy, lambda table: table.assign(onset=table["onset"] - 4.0))
    with pytest.raises(ValueError, match="contradict each other"):
        read(copy)


@pytest.mark.parametrize("event", ["auto", "volume"])
@pytest.mark.parametrize("shift", [-5.0, 0.02])
def test_a_table_that_is_shifted_says_by_how_much(copy, edit_events, tree, shift, event):
    edit_events(copy, lambda table: table.assign(onset=table["onset"] + shift))
    with pytest.raises(ValueError, match="contradict each other") as error:
        read(copy, volume_event=event)
    way, far = re.search(r": (add|subtract) ([\d.]+) s (?:to|from)", str(error.value)).groups()
    assert f"{Path(ELE).name}_events.tsv" in str(error.value) and float(far) == abs(shift)
    back = float(far) if way == "add" else -float(far)
    edit_events(copy, lambda table: table.assign(onset=table["onset"] + back))
    close(read(copy, volume_event=event).frame_times, tree.frame_times[0])


def test_a_table_that_contradicts_the_file(copy, edit_events, tree):
    def late(table):
        return table.assign(onset=table["onset"] + 0.1 * (table.index > 70)).drop(columns="sample")

    edit_events(copy, late)
    with pytest.raises(ValueError, match="remove its volumes to take those of the file"):
        read(copy)
    edit_events(copy, lambda table: table.iloc[:0])
    close(read(copy).frame_times, tree.frame_times[0])


def test_times_override_table_and_file(copy, edit_events, tree):
    edit_events(copy, lambda table: table.assign(onset=table["onset"] + 1.0))
    # Two dummy scans; a frame stands for the middle of its volume.
    starts = tree.frame_times[0][0] - 5.0 + 2.0 * np.arange(146)
    close(read(copy, volume_event=starts).frame_times, tree.frame_times[0])


def test_five_milliseconds_are_no_contradiction(copy, edit_events, tree):
    edit_events(copy, lambda table: table.assign(onset=table["onset"] + 0.005))
    close(read(copy).frame_times, tree.frame_times[0] + 0.005)


def test_onsets_against_samples(copy, edit_events, tree):
    edit_events(copy, lambda table: table.assign(sample=table["sample"] - 500))
    with pytest.raises(ValueError, match=r"_events\.tsv: the columns onset and sample contradict"):
        read(copy)
    edit_events(copy, lambda table: table.drop(columns="sample"))
    close(read(copy).frame_times, tree.frame_times[0])


def test_samples_of_another_rate_are_no_contradiction(copy, edit_events, tree):
    edit_events(copy, lambda table: table.assign(sample=table["sample"] * 50))
    pair, log = log_of(lambda: read(copy))
    assert "sample counts at 5000 Hz" in log
    close(pair.frame_times, tree.frame_times[0])


@pytest.mark.parametrize(("rate", "said"), [(5000, "samples at 5000 Hz"), (1000, "milliseconds")])
def test_onsets_that_are_no_seconds(copy, edit_events, tree, rate, said):
    edit_events(copy, lambda table: table.assign(onset=(table["onset"] * rate).astype(int)))
    with pytest.raises(ValueError, match=rf"t_r=2 s in {said}") as error:
        read(copy)
    divide = float(re.search(r"divide the column onset by (\d+)", str(error.value))[1])
    edit_events(copy, lambda table: table.assign(onset=table["onset"] / divide))
    close(read(copy).frame_times, tree.frame_times[0])


@pytest.mark.parametrize("date", ["2021-05-04T12:00:00", "n/a"])
def test_dates_make_no_contradiction(copy, tree, date):
    markers = copy / f"{ELE}_eeg.vmrk"
    begin = "Mk0=New Segment,,1,1,0,20210504120000700000\nMk1="
    text = markers.read_text(encoding="utf-8").replace("Mk1=", begin, 1)
    markers.write_text(text, encoding="utf-8")
    edit_table(copy / "sub-01/sub-01_scans.tsv", lambda table: table.assign(acq_time=date))
    close(read(copy).frame_times, tree.frame_times[0])


def test_tables_of_old_systems(copy, tree):
    path = copy / f"{ELE}_channels.tsv"
    path.write_bytes(path.read_text(encoding="utf-8-sig").encode("latin-1"))
    events = copy / f"{ELE}_events.tsv"
    events.write_text(events.read_text(encoding="utf-8-sig"), encoding="utf-8-sig")
    close(read(copy).frame_times, tree.frame_times[0])
    events.write_bytes(b"")
    with pytest.raises(ValueError, match=r"_events\.tsv is no readable table"):
        read(copy)


def test_copies_of_a_row_are_one_event(copy, edit_events, tree):
    edit_events(copy, lambda table: pd.concat([table, table.iloc[[9, 30]]]).sort_values("onset"))
    pair, log = log_of(lambda: read(copy))
    assert "_events.tsv: 2 rows are exact copies of others; they are merged" in log
    close(pair.frame_times, tree.frame_times[0])


def test_a_table_without_onsets(copy, edit_events):
    edit_events(copy, lambda table: table.rename(columns={"onset": "Onset"}))
    with pytest.raises(ValueError, match=r"_events\.tsv must have the columns \['onset'"):
        read(copy)


def without_markers(root):
    """Leave the file without markers of volumes; those of the table stay."""
    path = root / f"{ELE}_eeg.vmrk"
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not re.match(r"Mk\d+=Stimulus", line)]
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")


def test_a_pause_that_the_table_does_not_tell(copy, tree):
    """The second New Segment stands in the file alone: refused, and the advice leads on."""
    path = copy / f"{ELE}_eeg.vmrk"
    marks = path.read_text(encoding="utf-8").rstrip()
    number = len(re.findall(r"^Mk\d+=", marks, re.MULTILINE)) + 1
    path.write_text(f"{marks}\nMk{number}=New Segment,,9001,1,0,20200101120201000000\n")
    for options in ({}, {"volume_event": None, "first_volume": 5.0, "n_dummy": 2}):
        with pytest.raises(ValueError, match=r"interrupted \('New Segment/' at 90 s") as error:
            read(copy, **options)
    said = str(error.value)
    raw = eval(re.search(r"raw = (mne\.io\.read_raw\([^)]*\))", said)[1], {"mne": mne})
    image = eval(re.search(r"masker\.fit_transform\(('[^']*')\)", said)[1])
    masker = NiftiLabelsMasker(copy / f"{ATLAS}.nii.gz", standardize=None)
    bold, truth = masker.fit_transform(image), tree.frame_times[0]
    parts = [eval(crop, {"raw": raw}) for crop in re.findall(r"raw\.copy\(\)\.crop\([^)]*\)", said)]
    before = int(np.sum(truth - 1 < 90))  # volumes that began before the cut
    for part, rows, begin, n_dummy in zip(
        parts, (bold[:before], bold[before:]), (0.0, 90.0), (2, 0), strict=True
    ):
        times = frame_times(part, len(rows), t_r=2.0, n_dummy=n_dummy, slice_time_ref=0.5,
                            volume_event="Stimulus/S  1")  # fmt: skip
        close(begin + times, truth[:before] if n_dummy else truth[before:])


def test_a_table_that_counts_from_the_first_volume(copy, edit_events, tree):
    """Nothing contradicts it where the file has no markers: said."""
    without_markers(copy)
    edit_events(copy, lambda table: table.assign(onset=table.onset - 5).drop(columns="sample"))
    with pytest.warns(RuntimeWarning, match=r"'volume' has onset 0, but .* goes on for \d+ s"):
        read(copy)
    edit_events(copy, lambda table: table.assign(onset=table.onset + 5))
    close(read(copy).frame_times, tree.frame_times[0])


def test_discarded_volumes_without_triggers(copy, tree):
    """Whether first_volume is the first that was acquired, or the first of BOLD, is asked."""
    truth = tree.frame_times[0]
    with pytest.raises(ValueError, match="2 volumes were discarded") as error:
        read(copy, volume_event=None, first_volume=5.0)
    acquired, kept = map(int, re.findall(r"n_dummy=(\d+)", str(error.value)))
    close(read(copy, volume_event=None, first_volume=5.0, n_dummy=acquired).frame_times, truth)
    close(read(copy, volume_event=None, first_volume=9.0, n_dummy=kept).frame_times, truth)


@pytest.mark.parametrize("name", ["heartbeat", "ECG", "Pulse Artifact/R", "resp", "blink", "R"])
def test_bodies_are_no_scanners(copy, edit_events, name):
    """About one beat per t_r, as many as volumes: not taken unless it is asked for."""
    without_markers(copy)
    gaps = 2 + 0.06 * np.random.default_rng(0).standard_normal(146)
    beats = pd.DataFrame({"onset": (3 + np.cumsum(gaps)).round(3), "duration": 0.0})
    edit_events(copy, lambda _: beats.assign(trial_type=name))
    with pytest.raises(ValueError, match="No events mark volumes"):
        read(copy)
    assert timing(copy, volume_event=name)["n_triggers"] == 146


# --- heartbeats of the amplifier -------------------------------------------------------------


needs_text = pytest.mark.skipif(not TEXT.is_dir(), reason=f"no real texts in {TEXT}")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Recording and BOLD of more than eleven minutes, without markers of their own."""
    root = tmp_path_factory.mktemp("long") / "ds"
    tree = write_bids_tree(root, 1, 720.0, n_targets=3, scrubbed=(), n_dummy=0, slice_time=0.0)
    without_markers(root)
    return tree


def with_events(tree, tmp_path, name, n_frames):
    root = shutil.copytree(tree.root, tmp_path / "ds")
    shutil.copy(TEXT / name, root / f"{ELE}_events.tsv")
    os.chmod(root / f"{ELE}_events.tsv", 0o644)
    edit_image(root / f"{IMAGE}.nii.gz", n_frames=n_frames)
    return root


MARKED = [
    ("sub-001_ses-001_task-ExperienceSampling_run-001", "Tr/T  1"),
    ("sub-001_ses-001_task-ExperienceSampling_run-002", "Tr/T  1"),
    ("sub-008_ses-001_task-ExperienceSampling_run-001", "Tr/T  1"),
    ("sub-008_ses-001_task-ExperienceSampling_run-002", "Tr/T  1"),
    ("sub-04_task-genMusic02", "10"),
]


@needs_text
@pytest.mark.parametrize(("name", "event"), MARKED)
def test_real_volumes_are_told_from_heartbeats(long, tmp_path, name, event):
    table = pd.read_csv(TEXT / f"volume_markers/{name}_events.tsv", sep="\t", dtype=str)
    truth = np.sort(table.loc[table["trial_type"] == event].iloc[:, 0].astype(float))
    root = with_events(long, tmp_path, f"volume_markers/{name}_events.tsv", len(truth))
    pair, log = log_of(lambda: read(root, confounds=None))
    assert f"Volumes are marked by {event!r} ({len(truth)} times)" in log
    close(pair.frame_times, truth)


@needs_text
def test_a_heartbeat_is_no_volume(long, tmp_path):
    name = "sub-023_ses-002_task-ExperienceSampling_run-001_events.tsv"
    root = with_events(long, tmp_path, f"volume_markers/{name}", 294)
    with pytest.raises(ValueError, match=r"No events mark volumes.*'SyncStatus/Sync On'\] is the"):
        read(root, confounds=None)
    args = _parser().parse_args(
        ["bids", str(root), "out", "participant", "--task", "rest", "--first-volume", "8",
         "--atlas", str(root / f"{ATLAS}.nii.gz"), "--confounds"]
    )  # fmt: skip
    (pair,) = Run(args)._read("01")  # as the command line has it
    close(pair.frame_times, 8.0 + 2.0 * np.arange(294))


@needs_text
@pytest.mark.parametrize(
    ("folder", "said"), [("heartbeat", "No events mark volumes"), ("slice_triggers", None)]
)
def test_real_markers_of_an_amplifier(folder, said):
    from mne_samba.io._markers import find_volume_event

    text = next((TEXT / folder).glob("*.vmrk")).read_text(encoding="utf-8")
    marks = re.findall(r"^Mk\d+=([^,]*),([^,]*),(\d+)", text, re.MULTILINE)
    rate = 5000.0 if folder == "heartbeat" else 250.0
    last = max(int(sample) for *_, sample in marks)
    raw = mne.io.RawArray(
        np.zeros((1, int(last / rate * 10) + 100)), mne.create_info(1, 10.0, "eeg"), verbose=False
    )
    onset = [int(sample) / rate for *_, sample in marks]
    raw.set_annotations(mne.Annotations(onset, 0.0, [f"{kind}/{text}" for kind, text, _ in marks]))
    if said:
        with pytest.raises(ValueError, match=said):
            find_volume_event(raw, 2.16, 300)
        return
    assert find_volume_event(raw, 2.16, 300) == "Scanner/Scan Start"
    samples = np.array([int(s) for _, text, s in marks if text == "Scan Start"])
    volumes = np.sort(samples - 1) / rate  # the first sample of a marker file is 1
    options = {"t_r": float(np.polyfit(np.arange(300), volumes, 1)[0])}
    raw.annotations.onset -= 1 / rate
    close(frame_times(raw, 300, volume_event="Scanner/Scan Start", **options), volumes)
    with pytest.raises(ValueError, match=r"slices|triggers per t_r"):
        frame_times(raw, 300, volume_event="Scanner/s ", **options)


STRATEGIES = {
    "motion": ("motion", "high_pass"),
    "motion and tissue": {"strategy": ("motion", "high_pass", "wm_csf"), "motion": "full"},
    "global signal": ("motion", "high_pass", "wm_csf", "global_signal"),
    "components": {"strategy": ("motion", "high_pass", "compcor"), "n_compcor": 5},
    "the default": ("motion", "high_pass", "wm_csf", "scrub"),
}


@needs_text
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("run", ["sub-001_task-CB_run-1", "sub-002_task-EC_run-1",
                                 "sub-004_task-GRAD_run-2"])  # fmt: skip
def test_real_confounds_under_five_strategies(tmp_path, run, strategy):
    """BOLD that is made of a table's own columns is gone, what was scrubbed is NaN."""
    from nilearn.maskers import NiftiLabelsMasker

    from mne_samba.io._bids_bold import extract, read_confounds

    for suffix in ("tsv", "json"):
        name = f"{run}_desc-confounds_timeseries.{suffix}"
        shutil.copyfile(TEXT / "confounds" / name, tmp_path / name)
    path = tmp_path / f"{run}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    labels = np.zeros((3, 3, 3), np.int16)
    labels[0], labels[2] = 1, 2
    values = np.random.default_rng(0).standard_normal((3, 3, 3, 190)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    table, kept = read_confounds(path, STRATEGIES[strategy])
    values[0] = np.nan_to_num(table.to_numpy()) @ np.ones(table.shape[1]) / table.shape[1] + 100
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    masker = NiftiLabelsMasker(nib.Nifti1Image(labels, np.eye(4)), standardize=None)
    bold, _, used = extract(path, masker, STRATEGIES[strategy])
    assert bold.shape == (190, 2) and used["confounds"] == list(table.columns)
    scrubbed = np.setdiff1d(np.arange(190), np.arange(190) if kept is None else kept)
    assert np.flatnonzero(bold.isna().all(axis=1)).tolist() == scrubbed.tolist()
    assert (strategy == "the default") == bool(used["n_scrubbed"]) or not len(scrubbed)
    left, noise = bold.std().to_numpy()
    assert left < 0.02 * np.nanstd(values[0, 0, 0]) and noise > 0.1


@needs_text
def test_real_onsets_in_samples_are_named_as_such(long, tmp_path):
    path = "wrong_units/sub-04_task-rest_events.tsv"
    root = with_events(long, tmp_path, path, 294)
    for file in (IMAGE, ACQUIRED):
        edit_json(root / f"{file}.json", RepetitionTime=2.1, SliceTiming=None)
    edit_image(root / f"{IMAGE}.nii.gz", zooms=2.1)
    with pytest.raises(ValueError, match=r"_events\.tsv: the onsets go up to 25186868.*5000 Hz"):
        read(root, confounds=None)


def test_two_kinds_that_fit_alike_are_warned_of():
    from mne_samba.io._markers import find_volume_event

    raw = mne.io.RawArray(np.zeros((1, 30000)), mne.create_info(1, 100.0, "eeg"), verbose=False)
    starts = 5 + 2.0 * np.arange(100)
    names = ["A"] * 100 + ["B"] * 100
    raw.set_annotations(mne.Annotations([*starts, *(starts + 0.7)], 0.0, names))
    with pytest.warns(RuntimeWarning, match="'A'.*'B'.*Pass volume_event"):
        assert find_volume_event(raw, 2.0, 100) == "A"
    raw.set_annotations(mne.Annotations([*starts, *(starts[:80] + 0.7)], 0.0, names[:180]))
    assert find_volume_event(raw, 2.0, 80) == "B"
    for seam in ("New Segment/", "boundary", "EDGE", "SyncStatus/Sync On"):
        raw.set_annotations(mne.Annotations(starts, 0.0, [seam] * 100))
        with pytest.raises(ValueError, match="No events mark volumes"):
            find_volume_event(raw, 2.0, 100)


# --- atlas, confounds -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.rename(columns={"name": "label"}), r"columns index and name.*'label'\]"),
        (lambda t: t.assign(name="A"), r"name \['A'\] comes more than once"),
        (lambda t: t.assign(index=1), r"index \[1\] comes more than once"),
        (lambda t: t.assign(index="x"), r"index must hold whole numbers, got \['x'"),
        (lambda t: t.assign(index=t["index"] + 10), r"\[1, 2, 3, 4, 5, 6\] have no name"),
    ],
)
def test_tables_of_an_atlas(copy, tree, change, said):
    table = copy / f"{ATLAS}.tsv"
    right = table.read_text()
    edit_table(table, change)
    with pytest.raises(ValueError, match=said) as error:
        read(copy)
    assert f"{Path(ATLAS).name}.tsv" in str(error.value)
    table.write_text("\ufeff" + right.replace("index\tname", "Index\tName"), encoding="utf-8")
    assert read(copy).target_names == tree.target_names


def test_regions_that_the_image_lacks_are_left_out(copy, tree):
    more = pd.DataFrame({"index": [0, 99], "name": ["Background", "elsewhere"]})
    edit_table(copy / f"{ATLAS}.tsv", lambda table: pd.concat([table, more]))
    pair, log = log_of(lambda: read(copy))
    assert "labels [99] that the image does not hold" in log
    assert pair.target_names == tree.target_names


def test_every_volume_scrubbed(copy, tree):
    path = copy / f"{PREP}_desc-confounds_timeseries.tsv"
    edit_table(path, lambda table: table.assign(framewise_displacement=0.8))
    with pytest.raises(ValueError, match=rf"Every volume of {Path(IMAGE).name}.*is scrubbed"):
        read(copy)
    assert read(copy, confounds=("motion", "high_pass", "wm_csf")).provenance["n_scrubbed"] == 0
    wide = {"strategy": ["motion", "scrub"], "fd_threshold": 1.0, "std_dvars_threshold": 5.0}
    assert read(copy, confounds=wide).provenance["n_scrubbed"] == 0


def test_own_confounds_with_holes(copy):
    path = copy / f"{PREP}_desc-confounds_timeseries.tsv"
    table = pd.read_csv(path, sep="\t", na_values="n/a")[["csf", "csf_derivative1"]]
    said = r"columns \['csf_derivative1'\] are NaN in rows \[0\]"
    with pytest.raises(ValueError, match=said):
        read(copy, confounds=table)
    assert read(copy, confounds=table.bfill()).provenance["confounds"] == list(table.columns)
    with pytest.raises(ValueError, match=r"columns \['csf_derivative1'\] hold no numbers"):
        read(copy, confounds=pd.read_csv(path, sep="\t", keep_default_na=False)[table.columns])


# --- DataLad --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["link", "pointer"])
@pytest.mark.parametrize(
    "name",
    [
        f"{ELE}_eeg.eeg", f"{ELE}_eeg.vhdr", f"{ELE}_eeg.vmrk", f"{ELE}_events.tsv",
        f"{ELE}_channels.tsv", f"{ELE}_eeg.json", "participants.tsv", "sub-01/sub-01_scans.tsv",
        f"{IMAGE}.nii.gz", f"{IMAGE}.json", f"{PREP}_desc-confounds_timeseries.tsv",
        f"{PREP}_desc-confounds_timeseries.json", f"{ACQUIRED}.json", "dataset_description.json",
        "derivatives/fmriprep/dataset_description.json", f"{ATLAS}.nii.gz", f"{ATLAS}.tsv",
    ],
)  # fmt: skip
def test_contents_that_were_not_fetched(copy, tree, name, kind):
    path = copy / name
    content = path.read_bytes()
    path.unlink()
    if kind == "link":
        path.symlink_to("../.git/annex/objects/xx/yy/MD5E-s9--abc")
    else:
        path.write_bytes(b"/annex/objects/MD5E-s12345--0123456789abcdef.nii.gz\n")
    said = f"{path} is a placeholder whose content has not been fetched: datalad get {path}"
    with pytest.raises(FileNotFoundError, match=re.escape(said)):
        read(copy)
    path.unlink()
    path.write_bytes(content)
    close(read(copy).frame_times, tree.frame_times[0])
