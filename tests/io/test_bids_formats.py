"""BOLD on surfaces and in CIFTI, atlases by name, and recordings that hold several runs."""

import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from mne_bids import BIDSPath, write_raw_bids
from nibabel import cifti2
from nilearn import datasets

from mne_samba.cli import _bids, _parser
from mne_samba.cli._bids_output import write_prediction
from mne_samba.datasets._bids_tree import _write_eeg, write_bids_tree
from mne_samba.io import read_bids_pair, write_image
from mne_samba.io._atlas import as_masker
from mne_samba.io._bids_bold import extract
from mne_samba.io._bids_files import _ELE
from mne_samba.io._offline import OfflineError, offline

FUNC = "derivatives/fmriprep/sub-01/func/sub-01_task-rest_run-01"


def cortex(vertices, n=24):
    axis = cifti2.BrainModelAxis.from_surface(vertices, n, "CortexLeft")
    return axis + cifti2.BrainModelAxis.from_surface(vertices, n, "CortexRight")


@pytest.fixture
def dense(copy, tree):
    """BOLD of the first run as fMRIPrep's CIFTI, without a medial wall; labels of all vertices."""
    bold = np.repeat(10 * tree.bolds[0], 6, axis=1).astype("f4")  # 6 regions of 6 vertices
    values = np.hstack([bold[:, :18], bold[:, 18:]])
    axes = (cifti2.SeriesAxis(0, 2.0, len(values)), cortex(np.arange(6, 24)))
    path = copy / f"{FUNC}_space-fsLR_den-91k_bold.dtseries.nii"
    nib.save(nib.Cifti2Image(values, axes), path)
    path.with_name(path.name.replace(".dtseries.nii", ".json")).write_text(
        '{"RepetitionTime": 2.0, "StartTime": 1.0, "SliceTimingCorrected": true}'
    )
    table = {0: ("???", (0, 0, 0, 0))} | {
        k + 1: (name, (1, 1, 1, 1)) for k, name in enumerate(tree.target_names)
    }
    keys = np.repeat([0, 1, 2, 3, 0, 4, 5, 6], 6).astype("f4")[np.newaxis]
    labels = nib.Cifti2Image(keys, (cifti2.LabelAxis(["x"], table), cortex(np.arange(24))))
    nib.save(labels, copy / "atlas.dlabel.nii")
    return copy


def test_cifti_is_read_and_written(dense, tree):
    pair = read_bids_pair(dense, "01", "rest", masker=dense / "atlas.dlabel.nii", confounds=None)
    np.testing.assert_allclose(pair.bold, 10 * tree.bolds[0], rtol=1e-5)
    assert pair.target_names == tree.target_names and pair.t_r == 2.0
    np.testing.assert_allclose(pair.frame_times, tree.frame_times[0], atol=0.005)
    # The same confounds and scrubbed frames as of volumes.
    whole = read_bids_pair(dense, "01", "rest", masker=str(dense / "atlas.dlabel.nii"))
    assert whole.bold.isna().all(axis=1).sum() == 3 and len(whole.provenance["confounds"]) > 20
    write_prediction(dense / "out", pair, pair.bold.to_numpy(), pair.target_names)
    name = "sub-01_task-rest_run-01_space-fsLR_den-91k_desc-predicted_bold"
    back = nib.load(dense / "out" / f"{name}.dtseries.nii")
    original = nib.load(next(dense.glob(f"{FUNC}*.dtseries.nii")))
    assert [back.header.get_axis(i) == original.header.get_axis(i) for i in (0, 1)] == [True] * 2
    np.testing.assert_allclose(back.get_fdata(), original.get_fdata(), rtol=1e-4)


@pytest.mark.filterwarnings("ignore:After resampling the label image")
def test_a_region_that_a_scan_does_not_cover_is_left_out_of_its_images(copy, tree):
    (path,) = copy.glob(f"{FUNC}*bold.nii.gz")
    image = nib.load(path)
    nib.save(image.slicer[: image.shape[0] // 2], path)
    masker = copy / tree.atlas.relative_to(tree.root)
    pair = read_bids_pair(copy, "01", "rest", 1, masker=masker, confounds=None)
    assert pair.provenance["missing_regions"] == ["DefaultMode_R1", "DefaultMode_R2"]
    # Of a model that other runs taught these regions.
    write_prediction(copy / "out", pair, pair.bold.fillna(1.0).to_numpy(), pair.target_names)
    (written,) = (copy / "out").glob("*bold.nii.gz")
    again = pair.masker.transform(written)
    kept = pair.bold.drop(columns=pair.provenance["missing_regions"])
    np.testing.assert_allclose(again, kept, rtol=1e-4, atol=1e-4)
    write_image(pair.bold, copy / "own.nii.gz", pair.masker, t_r=2.0)
    with pytest.raises(ValueError, match=r"regions \['DefaultMode_R1'.*the masker has not"):
        write_image(pair.bold.fillna(1.0), copy / "own.nii.gz", pair.masker)


def test_a_header_in_milliseconds_contradicts_the_sidecar(dense):
    path = next(dense.glob(f"{FUNC}*.dtseries.nii"))
    image = nib.load(path)
    axes = (cifti2.SeriesAxis(0, 1.5, image.shape[0]), image.header.get_axis(1))
    values = image.get_fdata()
    nib.save(nib.Cifti2Image(values, axes), path)
    masker = dense / "atlas.dlabel.nii"
    with pytest.warns(RuntimeWarning, match=r"dtseries\.nii says 1\.5 s.*every 2 s, which is tak"):
        assert read_bids_pair(dense, "01", "rest", masker=masker).t_r == 2.0
    nib.save(nib.Cifti2Image(values, (cifti2.SeriesAxis(0, 2000.0, len(values)), axes[1])), path)
    with pytest.raises(ValueError, match=r"are these milliseconds\? Pass t_r=2"):
        read_bids_pair(dense, "01", "rest", masker=masker)
    assert read_bids_pair(dense, "01", "rest", masker=masker, t_r=2.0).t_r == 2.0


def test_atlases_of_nilearn_are_never_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    message = r"not in nilearn's data folder, .*fetch_atlas_schaefer_2018\(n_rois=100\) once"
    with pytest.raises(FileNotFoundError, match=message):
        as_masker("schaefer_2018:n_rois=100")
    with pytest.raises(FileNotFoundError, match="not in nilearn's data folder"):
        as_masker("yeo_2011")
    folder = tmp_path / "schaefer_2018"
    names = [f"7Networks_LH_{k}" for k in range(1, 4)]
    rows = "".join(f"{k + 1}\t{name}\t1\t2\t3\t0\n" for k, name in enumerate(names))
    (folder / "Schaefer2018_100Parcels_7Networks_order.txt").write_text(rows)
    labels = np.arange(64, dtype="i2").reshape(4, 4, 4) % 4
    image = nib.Nifti1Image(labels, np.eye(4))
    nib.save(image, folder / "Schaefer2018_100Parcels_7Networks_order_FSLMNI152_1mm.nii.gz")
    masker = as_masker("schaefer_2018:n_rois=100").fit()
    bold = nib.Nifti1Image(np.random.default_rng(0).standard_normal((4, 4, 4, 9)), np.eye(4))
    assert masker.fit_transform(bold).shape == (9, 3)
    assert [masker.region_names_[k] for k in range(3)] == names
    spheres = as_masker("dosenbach_2010")  # which ships with nilearn
    assert len(spheres.seeds) == len(datasets.fetch_coords_dosenbach_2010()["rois"])
    # Spheres go back into the grid of BOLD.
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = [-96.0, -132.0, -78.0]
    values = np.random.default_rng(0).standard_normal((25, 30, 25, 5)).astype("f4")
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "x_bold.nii.gz")
    bold, masker, _ = extract(tmp_path / "x_bold.nii.gz", spheres, None)
    (path,) = write_image(bold, tmp_path / "out.nii.gz", masker, t_r=2.0)
    assert nib.load(path).shape == values.shape and bold.shape == (5, 160)
    for name, message in [
        ("nothing", r"No atlas image nothing.*'aal'"),
        (
            "schaefer_2018:size=100",
            r"fetch_atlas_schaefer_2018\(size=100\): .*unexpected .* 'size'",
        ),
        ("schaefer_2018:n_rois=150", "fetch_atlas_schaefer_2018"),
    ]:
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            as_masker(name)


def test_other_threads_keep_the_network():
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as threads:

        def connect():
            socket.create_connection(server.getsockname()).close()

        with offline():
            threads.submit(connect).result()
            with pytest.raises(OfflineError):
                connect()
        connect()


def test_files_are_removed_when_python_ends(tmp_path):
    # Modules have lost their names by then, but audit hooks are still asked.
    (tmp_path / "file").touch()
    code = """if True:
        import os, sys
        import mne_samba.io._offline as own
        class Late:
            def __del__(self, remove=os.remove, path=sys.argv[1]):
                remove(path)
        with own.offline():
            os.late = Late()
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "file")], capture_output=True, text=True
    )
    assert not (tmp_path / "file").exists() and not done.stderr


def test_the_other_hemisphere_lies_beside_the_one_that_is_named(tmp_path):
    colours = np.arange(10).reshape(2, 5)
    for side in ("lh", "rh"):
        nib.freesurfer.write_annot(tmp_path / f"{side}.x.annot", np.array([0, 1]), colours, "AB")
    masker = as_masker(tmp_path / "rh.x.annot")
    assert [path.name for path in masker.atlas] == ["rh.x.annot", "lh.x.annot"]
    shutil.move(tmp_path / "lh.x.annot", tmp_path / "x.annot")
    with pytest.raises(FileNotFoundError, match=r"no other hemisphere lh\.x\.annot beside it"):
        as_masker(tmp_path / "rh.x.annot")
    with pytest.raises(FileNotFoundError, match="lh or rh is in no name"):
        as_masker(tmp_path / "x.annot")


EEG = "sub-01/eeg/sub-01_task-rest"
PAUSE = 30.0  # s


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One recording of two runs of different lengths, and when its second run began."""
    tree = write_bids_tree(tmp_path_factory.mktemp("whole") / "ds", 1, 120.0, n_runs=2, n_dummy=0)
    first, second = tree.raws
    second = second.copy().crop(0, 100.0 - 0.01)
    gap = np.zeros((len(first.ch_names), int(PAUSE * 100)))
    data = np.hstack([first.get_data(), gap, second.get_data()])
    raw = mne.io.RawArray(data, first.info.copy(), verbose=False)
    begin = first.n_times / 100 + PAUSE
    onsets = [first.annotations.onset, begin + second.annotations.onset]
    raw.set_annotations(mne.Annotations(np.concatenate(onsets), 0.0, "volume"))
    shutil.rmtree(tree.root / "sub-01/eeg")
    other = tmp_path_factory.mktemp("other")
    _write_eeg(raw, other, "01", None, "rest", 1)
    (tree.root / "sub-01/eeg").mkdir()
    for path in (other / "sub-01/eeg").iterdir():
        content = path.read_bytes()
        content = content if path.suffix == ".eeg" else content.replace(b"_run-01", b"")
        (tree.root / "sub-01/eeg" / path.name.replace("_run-01", "")).write_bytes(content)
    shutil.rmtree(tree.root / "sub-01/func")  # which tell no more than the derivatives here
    scans = tree.root / "sub-01/sub-01_scans.tsv"
    scans.write_text("filename\tacq_time\neeg/sub-01_task-rest_eeg.vhdr\t2020-01-01T10:00:00\n")
    n = len(onsets[1])
    for path in tree.derivatives.glob("sub-01/func/*run-02*bold.nii.gz"):
        nib.save(nib.load(path).slicer[..., :n], path)
    for path in tree.derivatives.glob("sub-01/func/*run-02*timeseries.tsv"):
        pd.read_csv(path, sep="\t").iloc[:n].to_csv(path, sep="\t", index=False, na_rep="n/a")
    return SimpleNamespace(tree=tree, root=tree.root, begin=begin, n=n)


def read_run(root, run, whole, **options):
    return read_bids_pair(root, "01", "rest", run, masker=whole.tree.atlas, **options)


def test_a_recording_of_several_runs_is_cut_by_its_triggers(whole):
    times = [t[:n] for t, n in zip(whole.tree.frame_times, (None, whole.n), strict=True)]
    first = read_run(whole.root, 1, whole)
    second = read_run(whole.root, "02", whole)
    assert (first.run, second.run) == ("01", "02")
    np.testing.assert_allclose(first.frame_times, times[0], atol=1e-6)
    cut = second.provenance["timing"]["part_of_recording"][0]
    np.testing.assert_allclose(second.frame_times + cut, whole.begin + times[1], atol=0.006)
    # Signal and frames of the second run are those of its own simulation.
    at = round((whole.begin - cut) * 100)
    expected = whole.tree.raws[1].get_data()[:, :5000]
    np.testing.assert_allclose(second.raw.get_data()[:, at : at + 5000], expected, rtol=1e-4,
                               atol=1e-9)  # fmt: skip
    assert second.raw.times[-1] + cut < whole.begin + 100.0
    assert first.raw.times[-1] < whole.begin + times[1][0]
    with pytest.raises(ValueError, match=r"several BOLD images.*give run"):
        read_run(whole.root, None, whole)
    with pytest.raises(TypeError, match="n_dummy must be an integer, got '2' of type str"):
        read_run(whole.root, 2, whole, n_dummy="2")


def test_without_triggers_a_later_run_needs_its_place(whole):
    first = whole.begin + whole.tree.frame_times[1][0] - 1.0
    with pytest.raises(ValueError, match=r"holds 2 runs of BOLD, and no trigger .* first_volume"):
        read_run(whole.root, 2, whole, volume_event=None)
    pair = read_run(whole.root, 2, whole, volume_event=None, first_volume=first)
    expected = whole.begin + whole.tree.frame_times[1][: whole.n]
    np.testing.assert_allclose(pair.frame_times, expected, atol=1e-6)


@pytest.fixture
def whole_copy(whole, tmp_path):
    return Path(shutil.copytree(whole.root, tmp_path / "ds"))


def shorten(root, run, n):
    for path in root.glob(f"derivatives/fmriprep/sub-01/func/*run-{run}*bold.nii.gz"):
        nib.save(nib.load(path).slicer[..., :n], path)


def test_runs_that_do_not_fit_the_blocks_are_refused(whole, whole_copy):
    shorten(whole_copy, "02", whole.n - 1)
    with pytest.raises(ValueError, match=r"run-02 \d+ frames\), but its volume triggers come in "
                       r"blocks of \d+ from .*do not fit these.*_run-01_eeg"):  # fmt: skip
        read_run(whole_copy, 1, whole, confounds=None)
    # What the message advises: the times of this run.
    times = whole.begin + whole.tree.frame_times[1][: whole.n - 1] - 1.0
    pair = read_run(whole_copy, 2, whole, confounds=None, volume_event=times)
    np.testing.assert_allclose(pair.frame_times, times + 1.0, atol=0.006)


def test_a_scan_that_was_broken_off_is_passed_over(whole, whole_copy):
    path = whole_copy / f"{EEG}_events.tsv"
    table = pd.read_csv(path, sep="\t")
    gap = 130.0 + np.arange(4) * 2.0
    extra = pd.concat([table.iloc[:1]] * 4).assign(onset=gap)
    if "sample" in extra:
        extra["sample"] = (gap * 100).astype(int)
    pd.concat([table, extra]).sort_values("onset").to_csv(path, sep="\t", index=False)
    times = np.concatenate([table["onset"], gap])
    pair = read_run(whole_copy, 2, whole, volume_event=np.sort(times[times > 140]))
    expected = pair.frame_times
    own = read_run(whole_copy, 2, whole, volume_event="volume")
    cut = own.provenance["timing"]["part_of_recording"][0]
    np.testing.assert_allclose(own.frame_times + cut, expected, atol=0.006)


def dates(root, *rows):
    text = "".join(f"{name}\t{time}\n" for name, time in rows)
    (root / "sub-01/sub-01_scans.tsv").write_text(f"filename\tacq_time\n{text}")


def test_a_run_beside_that_was_not_fetched_is_named(whole, whole_copy):
    (first,) = whole_copy.glob("derivatives/fmriprep/sub-01/func/*run-01*bold.nii.gz")
    first.unlink()
    first.symlink_to("../.git/annex/objects/x")
    with pytest.raises(FileNotFoundError, match=r"placeholder.*datalad get .*run-01"):
        read_run(whole_copy, 2, whole)


def test_dates_of_runs_must_not_contradict_their_triggers(whole, whole_copy):
    between = whole.begin + whole.tree.frame_times[1][0] - whole.tree.frame_times[0][0]
    start = pd.Timestamp("2020-01-01T10:00:00")

    def said(seconds):
        return [(f"func/sub-01_task-rest_run-{run}_bold.nii.gz",
                 (start + pd.Timedelta(seconds=s)).isoformat())
                for run, s in (("01", 0), ("02", seconds))]  # fmt: skip

    for seconds in (between, between + 3.0, 0.0):  # copies of one date say nothing
        dates(whole_copy, *said(seconds))
        assert read_run(whole_copy, 2, whole).run == "02"
    for seconds in (between + 60.0, -between):
        dates(whole_copy, *said(seconds))
        with pytest.raises(ValueError, match=r"run-02 of BOLD began .* s after run-01, but"):
            read_run(whole_copy, 2, whole)


def test_recordings_that_were_not_simultaneous_are_refused(copy, tree):
    for path in copy.glob(f"{EEG}_run-01_events.*"):
        path.unlink()
    marker = copy / f"{EEG}_run-01_eeg.vmrk"
    lines = [line for line in marker.read_text().splitlines() if "Stimulus" not in line]
    marker.write_text("\n".join(lines) + "\n")
    eeg = f"eeg/{Path(EEG).name}_run-01_eeg.vhdr"
    bold = "func/sub-01_task-rest_run-01_bold.nii.gz"

    def read(**options):
        return read_bids_pair(copy, "01", "rest", masker=copy / tree.atlas.relative_to(tree.root),
                              n_dummy=0, **options)  # fmt: skip

    dates(copy, (eeg, "2020-01-01T10:00:00.5"), (bold, "2020-01-01T10:00:08"))
    with pytest.raises(ValueError, match=r"first_volume.* scans\.tsv says 7\.5 s, by clocks"):
        read()
    first = float(tree.frame_times[0][0]) - 1.0
    pair = read(volume_event=None, first_volume=first)
    np.testing.assert_allclose(pair.frame_times, tree.frame_times[0], atol=1e-6)
    assert pair.provenance["timing"]["bold_began_by_scans_tsv"] == 7.5
    for date, message in (
        ("2020-01-01T12:00:00", r"began 69\d\d s after the recording ended"),
        ("2020-01-01T08:00:00", r"and ended 69\d\d\.?\d* s before the recording began"),
    ):
        dates(copy, (eeg, "2020-01-01T10:00:00"), (bold, date))
        with pytest.raises(ValueError, match=f"{message}: they are not simultaneous"):
            read(volume_event=None, first_volume=first)
    # An anonymised date of one of the two alone says nothing.
    dates(copy, (eeg, "1920-01-01T10:00:00"), (bold, "2020-01-01T12:00:00"))
    assert len(read(volume_event=None, first_volume=first).bold) == len(pair.bold)


def test_the_command_reads_all_runs_of_a_recording(whole, capsys):
    arguments = ["bids", str(whole.root), "out", "participant", "--task", "rest", "--atlas",
                 str(whole.tree.atlas)]  # fmt: skip
    pairs, people, code = _bids.Run(_parser().parse_args(arguments)).pairs_of(["01"], 1)
    assert [p.run for p in pairs] == ["01", "02"] and people == ["sub-01"] * 2 and code == 0
    assert len(pairs[1].bold) == whole.n
    wrong = _parser().parse_args([*arguments, "--first-volume", "3"])
    with pytest.raises(ValueError, match="nobody can be read"):
        _bids.Run(wrong).pairs_of(["01"], 1)
    said = capsys.readouterr().err
    assert "holds the runs ['01', '02'], but --first-volume places the volumes of one" in said


# --- formats of recordings ------------------------------------------------------------------


def test_every_format_that_is_looked_for_has_a_reader():
    """EDF, BDF, BrainVision, EEGLAB; FIF, CTF, KIT."""
    from mne.io._read_raw import _get_supported
    from mne_bids.config import reader

    for endings in _ELE.values():
        # .nwb of intracranial recordings has readers of its own.
        assert set(endings) - {".nwb", ".kdf"} <= set(reader) & set(_get_supported())


@pytest.mark.parametrize("kind", ["edf", "set", "fif"])
def test_formats_of_recordings(tree, copy, kind):
    raw = tree.raws[0].copy()
    for path in (copy / "sub-01/eeg").glob("*_eeg.[!j]*"):
        path.unlink()
    if kind == "fif":  # MEG
        shutil.rmtree(copy / "sub-01/eeg")
        (copy / "dataset_description.json").unlink()  # of another version of BIDS
        raw.set_channel_types(dict.fromkeys(raw.ch_names, "mag"), on_unit_change="ignore")
        raw.info["line_freq"], raw.info["subject_info"] = 50.0, None
        where = BIDSPath(root=copy, subject="01", task="rest", run="01", datatype="meg")
        write_raw_bids(raw, where, format="FIF", allow_preload=True, overwrite=True,
                       event_id={"volume": 1}, verbose="ERROR")  # fmt: skip
    else:
        raw.export(copy / f"{EEG}_run-01_eeg.{kind}", verbose="ERROR")
    atlas = copy / tree.atlas.relative_to(tree.root)
    pair = read_bids_pair(copy, "01", "rest", masker=atlas)
    np.testing.assert_allclose(pair.frame_times, tree.frame_times[0], atol=0.006)
    n = 20000
    got, expected = pair.raw.get_data(stop=n), tree.raws[0].get_data(stop=n)
    np.testing.assert_allclose(got, expected, atol=1e-3 * np.abs(expected).max())


def test_a_format_that_bids_does_not_have_is_named(copy, tree):
    for path in (copy / "sub-01/eeg").glob("*_eeg.[!j]*"):
        path.unlink()
    (copy / f"{EEG}_run-01_eeg.mff").mkdir()
    message = r"has \['sub-01_.*_eeg\.mff'\]\. What BIDS does not have, .*mne_bids\.write_raw_bids"
    with pytest.raises(FileNotFoundError, match=message):
        read_bids_pair(copy, "01", "rest", masker=tree.atlas)
