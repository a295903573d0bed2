import json
from types import SimpleNamespace

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from assemble import assemble

from mne_samba import make_windows, read_samba
from mne_samba.io import read_bids_pair
from mne_samba.metrics import pearson

PREP = "derivatives/fmriprep/sub-01/func/sub-01_task-rest_run-01"
IMAGE = f"{PREP}_space-MNI152NLin2009cAsym_desc-preproc_bold"
RAW = "sub-01/func/sub-01_task-rest_run-01_bold"
ATLAS = "derivatives/atlas/atlas-spheres_space-MNI152NLin2009cAsym_dseg.nii.gz"


def read(root, subject="01", **options):
    options.setdefault("masker", root / ATLAS)
    return read_bids_pair(root, subject, "rest", **options)


def edit_json(path, **changes):
    content = json.loads(path.read_text())
    content |= changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


@pytest.fixture(scope="module")
def pair(tree):
    return read(tree.root)


def test_signal_and_time_of_frames_come_back(tree, pair):
    np.testing.assert_allclose(pair.frame_times, tree.frame_times[0], atol=1e-9)
    assert pair.t_r == 2.0 and pair.raw.info["sfreq"] == 100.0
    assert pair.raw.ch_names == tree.raws[0].ch_names
    # BrainVision keeps 32-bit numbers.
    np.testing.assert_allclose(pair.raw.get_data(), tree.raws[0].get_data(), rtol=1e-5, atol=1e-9)
    assert pair.name == "sub-01_task-rest_run-01"


def test_bold_without_confounds_is_that_of_the_simulation(tree):
    pair = read(tree.root, confounds=None)
    assert not pair.bold.isna().any(axis=None)
    np.testing.assert_allclose(pair.bold, 1000 + 10 * tree.bolds[0], rtol=1e-5)
    assert list(pair.bold.columns) == pair.target_names == tree.target_names


def test_confounds_and_scrubbing_are_those_of_nilearn(tree, pair):
    from nilearn.interfaces.fmriprep import load_confounds
    from nilearn.maskers import NiftiLabelsMasker

    image = str(tree.root / f"{IMAGE}.nii.gz")
    table, sample_mask = load_confounds(image, strategy=("motion", "high_pass", "wm_csf", "scrub"))
    masker = NiftiLabelsMasker(str(tree.atlas), standardize=None)
    expected = masker.fit_transform(image, confounds=table, sample_mask=sample_mask)
    scrubbed = pair.bold.isna().all(axis=1).to_numpy()
    assert set(np.flatnonzero(scrubbed)) == {60, 61, 62}
    np.testing.assert_allclose(pair.bold.to_numpy()[~scrubbed], expected)
    assert pair.provenance["confounds"] == list(table.columns)
    assert pair.provenance["n_scrubbed"] == 3


def test_spheres_instead_of_an_atlas(tree):
    pair = read(tree.root, masker=tree.coords, confounds=None)
    assert pair.masker.radius == 8.0
    for column, true in zip(pair.bold.to_numpy().T, tree.bolds[0].T, strict=True):
        assert np.corrcoef(column, true)[0, 1] > 0.99


def test_a_masker_of_ones_own_is_left_alone(tree):
    from nilearn.maskers import NiftiLabelsMasker

    masker = NiftiLabelsMasker(str(tree.atlas), standardize=None)
    pair = read(tree.root, masker=masker)
    assert not hasattr(masker, "labels_img_") and hasattr(pair.masker, "labels_img_")
    image = pair.masker.inverse_transform(pair.bold.fillna(0).to_numpy())
    assert image.shape[-1] == len(pair.bold)


def test_surfaces(copy):
    from nilearn.maskers import SurfaceLabelsMasker
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    rng = np.random.default_rng(0)
    faces = np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]])
    mesh = PolyMesh(
        left=InMemoryMesh(rng.standard_normal((6, 3)), faces),
        right=InMemoryMesh(rng.standard_normal((6, 3)), faces),
    )
    halves = {"left": np.array([1, 1, 2, 2, 0, 0]), "right": np.array([3, 3, 3, 4, 4, 0])}
    masker = SurfaceLabelsMasker(SurfaceImage(mesh, halves), standardize=None)
    values = rng.standard_normal((2, 6, 144)).astype(np.float32)
    for hemi, data in zip("LR", values, strict=True):
        arrays = [nib.gifti.GiftiDataArray(frame) for frame in data.T]
        path = copy / f"{PREP}_hemi-{hemi}_space-fsaverage5_bold.func.gii"
        nib.save(nib.gifti.GiftiImage(darrays=arrays), path)
    pair = read(copy, masker=masker, confounds=None)
    assert pair.bold.shape == (144, 4)
    np.testing.assert_allclose(pair.bold.iloc[:, 0], values[0, :2].mean(axis=0), rtol=1e-5)
    (copy / f"{PREP}_hemi-R_space-fsaverage5_bold.func.gii").unlink()
    with pytest.raises(FileNotFoundError, match="no other hemisphere"):
        read(copy, masker=masker, confounds=None)


def test_windows_follow_the_scan(tree, pair):
    epochs, y = make_windows(pair.raw, pair.bold, window=40.0, t_r=pair.t_r, reader=pair.reader)
    assert epochs.metadata["subject"].unique() == ["sub-01"]
    first = epochs.metadata["frame"].iloc[0]
    assert epochs.metadata["onset"].iloc[0] == pytest.approx(tree.frame_times[0][first], abs=1e-6)
    assert y.shape[1:] == (20, 6)


def test_from_the_folder_to_a_person_not_seen(tree, pair):
    other = read(tree.root, "sub-02")
    translator = assemble(
        corrections="never", random_state=0, t_r=pair.t_r, volume_event=pair.reader.volume_event
    )
    translator.fit([pair.raw], [pair.bold])
    assert translator.score([other.raw], [other.bold]) > 0.2


def test_provenance_is_plain_and_kept_by_save(pair, tmp_path):
    json.dumps(pair.provenance)
    assert pair.provenance["derivatives"]["generated_by"] == "fMRIPrep 24.1.0"
    assert pair.provenance["timing"]["n_dummy"] == 2
    translator = assemble(
        corrections="never", random_state=0, t_r=pair.t_r, volume_event=pair.reader.volume_event
    )
    translator.fit([pair.raw], [pair.bold])
    assert translator.provenance_ == [pair.provenance]
    translator.save(tmp_path / "model.samba")
    assert read_samba(tmp_path / "model.samba").provenance_ == [pair.provenance]


def test_marks_of_frames_survive_cropping_and_saving(pair, tmp_path):
    raw = pair.raw.copy().load_data().crop(3.0, None)
    path = tmp_path / "cropped_raw.fif"
    raw.save(path)
    again = mne.io.read_raw_fif(path, verbose="ERROR")
    from mne_samba.windows import frame_times

    for one in (raw, again):
        times = frame_times(
            one, len(pair.bold), t_r=pair.t_r, volume_event=pair.reader.volume_event
        )
        np.testing.assert_allclose(times, pair.frame_times - 3.0, atol=1e-4)


# --- triggers -------------------------------------------------------------------------------


def test_missed_trigger_names_the_volume_and_the_file(copy, edit_events):
    edit_events(copy, lambda table: table.drop(index=[40, 41]))
    with pytest.raises(ValueError, match=r"volumes 40 to 41 have no trigger") as error:
        read(copy)
    assert "sub-01_task-rest_run-01_eeg.vhdr" in str(error.value)


def test_doubled_trigger_names_the_volume(copy, edit_events):
    def double(table):
        extra = table.iloc[[25]].assign(onset=table["onset"].iloc[25] + 0.05)
        return pd.concat([table, extra]).sort_values("onset")

    edit_events(copy, double)
    with pytest.raises(ValueError, match="volume 25 has more than one trigger"):
        read(copy)


@pytest.mark.parametrize("ppm", [50.0, -50.0])
def test_clock_drift_is_corrected(copy, edit_events, ppm, tree):
    def drift(table):
        return table.assign(onset=table["onset"] * (1 + 1e-6 * ppm))

    edit_events(copy, drift)
    pair = read(copy)
    truth = tree.frame_times[0] * (1 + 1e-6 * ppm)
    assert np.abs(pair.frame_times - truth).max() < 0.01
    # Without correction the last frame would be off by half of this already.
    assert pair.provenance["timing"]["clock_drift_ppm"] == pytest.approx(ppm, abs=5)


def test_wrong_repetition_time_in_all_sidecars(copy):
    for name in (RAW, IMAGE):
        edit_json(copy / f"{name}.json", RepetitionTime=2.5, StartTime=1.0)
        image = nib.load(copy / f"{name}.nii.gz")
        image = nib.Nifti1Image(image.get_fdata(dtype=np.float32), image.affine, image.header)
        image.header.set_zooms((*image.header.get_zooms()[:3], 2.5))
        nib.save(image, copy / f"{name}.nii.gz")
    with pytest.raises(ValueError, match=r"t_r=2.5 s, but the 146 triggers .* every 2 s"):
        read(copy)


def test_sidecars_that_contradict_each_other_are_named(copy):
    edit_json(copy / f"{RAW}.json", RepetitionTime=2000)
    with pytest.raises(ValueError, match="contradict each other") as error:
        read(copy)
    assert "run-01_bold.json says 2000 s" in str(error.value)
    assert "header of" in str(error.value)
    assert read(copy, t_r=2.0).t_r == 2.0


def test_unmarked_dummy_scans(copy):
    edit_json(copy / f"{RAW}.json", NumberOfVolumesDiscardedByScanner=None)
    with pytest.raises(ValueError, match=r"the first 2 volumes, dummy scans, pass n_dummy=2"):
        read(copy)
    assert read(copy, n_dummy=2).provenance["timing"]["n_dummy"] == 2


def test_scanner_that_sends_no_trigger_for_discarded_volumes(copy, edit_events, tree):
    edit_events(copy, lambda table: table.iloc[2:])
    np.testing.assert_allclose(read(copy).frame_times, tree.frame_times[0], atol=1e-9)


def test_stimuli_are_not_taken_for_volumes(copy, edit_events, tree):
    def add(table):
        stimuli = table.iloc[:50].assign(onset=np.arange(50) * 4.1 + 7, trial_type="flash")
        return pd.concat([stimuli, table]).sort_values("onset")

    edit_events(copy, add)
    pair = read(copy)
    assert pair.provenance["timing"]["volume_event"] == "volume"
    assert np.sum(pair.raw.annotations.description == "flash") == 50
    np.testing.assert_allclose(pair.frame_times, tree.frame_times[0], atol=1e-9)


def test_no_triggers_at_all(copy, edit_events, tree):
    edit_events(copy, lambda table: table.iloc[:2].assign(trial_type="button"))
    markers = copy / "sub-01/eeg/sub-01_task-rest_run-01_eeg.vmrk"
    lines = markers.read_text(encoding="utf-8").splitlines(keepends=True)
    markers.write_text("".join(line for line in lines if "Stimulus" not in line), encoding="utf-8")
    with pytest.raises(ValueError, match=r"No events mark volumes.*'button': 2"):
        read(copy)
    pair = read(copy, volume_event=None, first_volume=5.0, n_dummy=2)
    np.testing.assert_allclose(pair.frame_times, tree.frame_times[0], atol=1e-9)


@pytest.mark.parametrize("date", ["2021-05-04T12:00:00", "1920-05-04T12:00:00", "n/a"])
def test_the_date_of_a_recording_does_not_move_its_triggers(copy, tree, date):
    """Dates in scans.tsv are rounded or made up; the amplifier's file has its own."""
    markers = copy / "sub-01/eeg/sub-01_task-rest_run-01_eeg.vmrk"
    text = markers.read_text(encoding="utf-8")
    begin = "Mk0=New Segment,,1,1,0,20210504120000700000\nMk1="
    markers.write_text(text.replace("Mk1=", begin, 1), encoding="utf-8")
    scans = copy / "sub-01/sub-01_scans.tsv"
    table = pd.read_csv(scans, sep="\t")
    table.assign(acq_time=date).to_csv(scans, sep="\t", index=False)
    events = copy / "sub-01/eeg/sub-01_task-rest_run-01_events.tsv"
    events.write_text("onset\tduration\ttrial_type\n", encoding="utf-8")
    np.testing.assert_allclose(read(copy).frame_times, tree.frame_times[0], atol=1e-9)


def test_triggers_of_the_amplifier_where_no_table_has_them(copy, tree):
    (copy / "sub-01/eeg/sub-01_task-rest_run-01_events.tsv").unlink()
    pair = read(copy)
    assert pair.provenance["timing"]["volume_event"] == "Stimulus/S  1"
    np.testing.assert_allclose(pair.frame_times, tree.frame_times[0], atol=1e-9)


def test_slice_timing_where_nothing_was_corrected(copy, tree):
    edit_json(copy / f"{IMAGE}.json", StartTime=None)
    pair = read(copy)
    # Slices at 0, 0.5, 1 and 1.5 s of 2 s.
    assert pair.provenance["timing"]["slice_time_ref"] == pytest.approx(0.375)
    assert pair.provenance["timing"]["slice_time_source"] == "mean of SliceTiming"
    np.testing.assert_allclose(pair.frame_times, tree.frame_times[0] - 0.25, atol=1e-9)


def test_sidecars_are_inherited(copy):
    content = json.loads((copy / f"{RAW}.json").read_text())
    (copy / f"{RAW}.json").unlink()
    (copy / "task-rest_bold.json").write_text(json.dumps(content | {"RepetitionTime": 3.0}))
    with pytest.raises(ValueError, match=r"task-rest_bold\.json says 3 s"):
        read(copy)


# --- files ----------------------------------------------------------------------------------


def damage(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda r: damage(r / f"{IMAGE}.nii.gz"), ValueError, "desc-preproc_bold.nii.gz"),
        (lambda r: damage(r / f"{IMAGE}.json"), ValueError, "no readable JSON"),
        (lambda r: (r / f"{IMAGE}.json").write_text("[1]"), ValueError, "JSON object"),
        (lambda r: damage(r / f"{PREP}_desc-confounds_timeseries.tsv"), ValueError, "Confounds of"),
        (
            lambda r: (r / f"{PREP}_desc-confounds_timeseries.tsv").unlink(),
            ValueError, "Confounds of",
        ),
        (lambda r: (r / f"{IMAGE}.nii.gz").unlink(), FileNotFoundError, "No preprocessed BOLD"),
        (
            lambda r: damage(r / "sub-01/eeg/sub-01_task-rest_run-01_eeg.vhdr"),
            ValueError, "eeg.vhdr cannot be read",
        ),
        (
            lambda r: (r / "sub-01/eeg/sub-01_task-rest_run-01_eeg.eeg").unlink(),
            (ValueError, FileNotFoundError), "eeg.vhdr",
        ),
        (
            lambda r: (r / "sub-01/eeg/sub-01_task-rest_run-01_eeg.vhdr").unlink(),
            FileNotFoundError, "No EEG or MEG file of sub-01_task-rest",
        ),
        (
            lambda r: (r / "derivatives/fmriprep").rename(r / "elsewhere"),
            FileNotFoundError, "pass derivatives",
        ),
        (
            lambda r: edit_json(r / f"{RAW}.json", RepetitionTime="two"),
            ValueError, "RepetitionTime must be a positive number",
        ),
        (
            lambda r: edit_json(r / f"{RAW}.json", NumberOfVolumesDiscardedByScanner=-1),
            ValueError, "NumberOfVolumesDiscardedByScanner",
        ),
    ],
)  # fmt: skip
def test_damaged_folders_are_refused_by_the_name_of_the_file(copy, change, error, said):
    change(copy)
    with pytest.raises(error, match=said):
        read(copy)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"subject": "09"}, FileNotFoundError, "No folder sub-09"),
        ({"task": "sleep"}, FileNotFoundError, "No EEG or MEG file of sub-01_task-sleep"),
        ({"run": 7}, FileNotFoundError, "run-7"),
        ({"session": "b"}, FileNotFoundError, "ses-b"),
        ({"space": "T1w"}, FileNotFoundError, "in space T1w"),
        ({"masker": "nothing.nii.gz"}, FileNotFoundError, "No atlas image"),
        ({"masker": 3}, TypeError, "masker must be"),
        ({"masker": [[1, 2]]}, TypeError, "masker must be"),
        ({"clean": "wash"}, ValueError, "clean must be None or some of"),
        ({"confounds": ("wishes",)}, ValueError, "Confounds of"),
        ({"t_r": -1}, ValueError, "t_r"),
        ({"slice_time_ref": 2.0}, ValueError, "slice_time_ref"),
        ({"n_dummy": "2"}, TypeError, "n_dummy must be an integer, got '2'"),
        ({"first_volume": "2"}, TypeError, "first_volume must be a number, got '2'"),
        ({"derivatives": "nowhere"}, FileNotFoundError, "derivatives is no folder"),
        ({"bids_root": "nowhere"}, FileNotFoundError, "bids_root is no folder"),
        ({"volume_event": "R128"}, ValueError, "No events found for volume_event='R128'"),
    ],
)
def test_wrong_arguments(tree, options, error, said):
    call = {"bids_root": tree.root, "subject": "01", "task": "rest", "masker": tree.atlas}
    with pytest.raises(error, match=said):
        read_bids_pair(**(call | options))


def test_bold_as_acquired(tree):
    pair = read(tree.root, derivatives=False, masker=tree.atlas)
    assert pair.provenance["derivatives"] is None and pair.provenance["confounds"] == []
    assert pair.provenance["timing"]["slice_time_source"] == "mean of SliceTiming"


def test_a_region_outside_the_field_of_view_is_missing(copy):
    path = copy / f"{IMAGE}.nii.gz"
    image, atlas = nib.load(path), nib.load(copy / ATLAS)
    data = image.get_fdata(dtype=np.float32)
    data[np.asarray(atlas.dataobj) == 3] = 0
    nib.save(nib.Nifti1Image(data, image.affine, image.header), path)
    pair = read(copy, confounds=None)
    assert pair.provenance["missing_regions"] == [pair.target_names[2]]
    assert pair.bold.iloc[:, 2].isna().all()
    assert not pair.bold.drop(columns=pair.target_names[2]).isna().any(axis=None)


def test_several_runs_and_a_session(tmp_path):
    from mne_samba.datasets._bids_tree import write_bids_tree

    tree = write_bids_tree(tmp_path / "ds", 1, 120.0, n_runs=2, session="a")
    for run, frame_times in zip((1, 2), tree.frame_times, strict=True):
        pair = read_bids_pair(tree.root, "01", "rest", run, masker=tree.atlas, confounds=None)
        assert (pair.session, pair.run) == ("a", f"{run:02d}")
        np.testing.assert_allclose(pair.frame_times, frame_times, atol=1e-9)
        np.testing.assert_allclose(pair.bold, 1000 + 10 * tree.bolds[run - 1], rtol=1e-5)
    with pytest.raises(ValueError, match="fits several recordings"):
        read_bids_pair(tree.root, "01", "rest", masker=tree.atlas)


# --- cleaning -------------------------------------------------------------------------------


def test_gradient_artefact_is_removed(tmp_path):
    pytest.importorskip("mne", minversion="1.13")
    from mne_samba.datasets._bids_tree import write_bids_tree

    tree = write_bids_tree(tmp_path / "ds", 1, 200.0, gradient=2e-3, sfreq=200.0)
    clean_tree = write_bids_tree(tmp_path / "clean", 1, 200.0, sfreq=200.0)
    truth = clean_tree.raws[0].get_data()
    options = {"masker": tree.atlas, "confounds": None}
    dirty = read_bids_pair(tree.root, "01", "rest", **options)
    pair = read_bids_pair(tree.root, "01", "rest", clean="gradient", sfreq=100.0, **options)
    assert pair.raw.info["sfreq"] == 100.0
    assert pair.provenance["cleaning"] == ["average artefact subtraction, 96 volumes (MNE)"]
    np.testing.assert_allclose(pair.frame_times, dirty.frame_times)
    during = slice(30 * 200, 150 * 200)
    before = pearson(truth[:, during].T, dirty.raw.get_data()[:, during].T)
    cleaned = pair.raw.get_data()[:, 30 * 100 : 150 * 100]
    after = pearson(truth[:, during][:, ::2].T, cleaned.T)
    assert before.max() < 0.1 and after.min() > 0.7


def test_pulse_needs_heartbeats(tree):
    with pytest.raises(ValueError, match=r"eeg.vhdr"):
        read(tree.root, clean="pulse")


def test_pulse_artefact_is_reduced():
    from mne_samba.io._clean import check_cleaning, clean_raw

    rng = np.random.default_rng(0)
    sfreq, n_times = 200.0, 200 * 120
    beats = np.cumsum(rng.uniform(0.8, 1.0, 120))
    beats = np.rint(beats[beats < 118] * sfreq).astype(int)
    train = np.zeros(n_times)
    train[beats] = 1.0
    qrs = np.convolve(train, np.hanning(9), mode="same") * 1e-3
    bump = np.convolve(train, np.hanning(80) * np.sin(np.linspace(0, 9, 80)), mode="same") * 1e-4
    eeg = 1e-5 * rng.standard_normal((3, n_times))
    data = np.vstack([eeg + bump * np.array([[1.0], [0.7], [-0.5]]), qrs])
    info = mne.create_info(["Fz", "Cz", "Oz", "ECG"], sfreq, ["eeg"] * 3 + ["ecg"])
    raw = mne.io.RawArray(data, info, verbose="ERROR")
    cleaned, done = clean_raw(raw, check_cleaning("pulse"), np.empty(0))
    assert "heartbeats" in done[0]
    middle = slice(2000, -2000)
    before = np.abs(np.corrcoef(bump[middle], raw.get_data()[0, middle])[0, 1])
    after = np.abs(np.corrcoef(bump[middle], cleaned.get_data()[0, middle])[0, 1])
    assert before > 0.7 and after < 0.5 * before


def test_cleaning_says_what_an_old_mne_lacks(monkeypatch):
    from mne_samba.io._clean import check_cleaning

    old = SimpleNamespace(preprocessing=SimpleNamespace(), __version__="1.9")
    monkeypatch.setattr("mne_samba.io._clean.mne", old)
    with pytest.raises(ValueError, match="update MNE"):
        check_cleaning("pulse")
