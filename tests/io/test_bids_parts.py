"""Parts of reading a BIDS run: maskers, confounds, repetition times, slices, cleaning."""

import datetime
from types import SimpleNamespace

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mne_samba.data.channels import bad_spans
from mne_samba.io._atlas import as_masker
from mne_samba.io._bids_bold import is_surface, load_image, read_confounds
from mne_samba.io._bids_files import same, sidecar_of
from mne_samba.io._clean import check_cleaning
from mne_samba.io._scan import (
    FRAME_EVENT,
    find_volume_event,
    mark_frames,
    repetition_time,
    scan_of,
    slice_reference,
)
from mne_samba.windows import frame_times


def image(shape=(2, 2, 2, 5), t_r=2.0, unit="sec"):
    made = nib.Nifti1Image(np.zeros(shape, np.float32), np.eye(4))
    made.header.set_xyzt_units("mm", unit)
    if len(shape) == 4:
        made.header.set_zooms((1, 1, 1, t_r))
    return made


def test_maskers_of_images_coordinates_and_their_own_kind(tmp_path):
    labels = nib.Nifti1Image(np.ones((2, 2, 2), np.int32), np.eye(4))
    assert type(as_masker(labels)).__name__ == "NiftiLabelsMasker"
    spheres = as_masker([[0, 0, 0], [10, 0, 0]])
    assert spheres.seeds == [[0, 0, 0], [10, 0, 0]] and spheres.radius == 8.0
    copy = as_masker(spheres.set_params(radius=6.0))
    assert copy is not spheres and copy.radius == 6.0 and not is_surface(copy)
    with pytest.raises(FileNotFoundError, match=r"No atlas image .*none\.nii"):
        as_masker(tmp_path / "none.nii")
    for wrong in (3, {"left": 1}, np.zeros((4, 2)), np.zeros((0, 3)), ["a", "b"]):
        with pytest.raises(TypeError, match="masker must be an atlas"):
            as_masker(wrong)


def test_confounds_as_tables_and_of_missing_files(tmp_path):
    table = pd.DataFrame({"motion": [0.0, 1.0]})
    assert read_confounds(tmp_path / "x.nii.gz", None) == (None, None)
    assert read_confounds(tmp_path / "x.nii.gz", table)[0] is table
    name = "sub-1_task-a_desc-preproc_bold.nii.gz"
    for confounds in ("motion", ("magic",), {"strategy": ("motion",), "motion": "all of it"}):
        with pytest.raises(ValueError, match=rf"Confounds of {name} cannot be loaded: ."):
            read_confounds(tmp_path / name, confounds)


def test_images_that_are_none(tmp_path):
    class SurfaceAnything:
        labels_img = None

    path = tmp_path / "b_bold.nii.gz"
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="is no readable image"):
        load_image(path, None)
    nib.save(image((2, 2, 2)), path)
    with pytest.raises(ValueError, match=r"must be a series of volumes \(4-D\), got \(2, 2, 2\)"):
        load_image(path, None)
    with pytest.raises(ValueError, match="needs labels_img, maps_img or mask_img"):
        load_image(tmp_path / "x_hemi-L_bold.func.gii", SurfaceAnything())


@pytest.mark.parametrize(("t_r", "unit"), [(2.0, "sec"), (2000.0, "msec"), (2e6, "usec")])
def test_the_header_tells_the_repetition_time_in_its_unit(t_r, unit):
    assert repetition_time(None, {}, image(t_r=t_r, unit=unit), "a.nii") == 2.0
    assert repetition_time(1.5, {"a.json": {"RepetitionTime": 9}}, image(), "a.nii") == 1.5
    with pytest.raises(ValueError, match=r"no sidecar or header gives RepetitionTime: pass t_r"):
        repetition_time(None, {"a.json": {}}, image((2, 2, 2)), "a.nii")
    with pytest.raises(ValueError, match=r"a\.json says 2\.5 s, header of a\.nii says 2 s"):
        sidecars = {"a.json": {"RepetitionTime": 2.5}}
        repetition_time(None, sidecars, image(t_r=t_r, unit=unit), "a.nii")


@pytest.mark.parametrize("value", ["2", True, -1, 0, float("nan"), None])
def test_repetition_times_that_are_none(value):
    with pytest.raises(ValueError, match=r"^a\.json: RepetitionTime must be a positive number"):
        repetition_time(None, {"a.json": {"RepetitionTime": value}}, image(), "a.nii")


def test_where_in_a_volume_its_time_lies():
    slices = {"SliceTiming": [0.0, 1.0, 0.5, 1.5]}
    assert slice_reference(0.25, {"StartTime": 1.0}, slices, 2.0) == (0.25, "given")
    assert slice_reference(None, {"StartTime": 1.0}, slices, 2.0) == (0.5, "StartTime")
    assert slice_reference(None, {}, slices, 2.0) == (0.375, "mean of SliceTiming")
    for start in (900.0, -1.0, "1.0", True):  # milliseconds, perhaps
        with pytest.raises(ValueError, match=r"^StartTime.* from 0 to 2, got"):
            slice_reference(None, {"StartTime": start}, slices, 2.0)
    for wrong in ([0.0, 900.0], ["a", "b"]):
        with pytest.raises(ValueError, match=r"SliceTiming must lie within t_r=2 s"):
            slice_reference(None, {}, {"SliceTiming": wrong}, 2.0)


def test_events_of_volumes_are_found_among_others():
    import mne

    raw = mne.io.RawArray(np.zeros((1, 30000)), mne.create_info(1, 100.0, "eeg"), verbose=False)
    rng = np.random.default_rng(0)
    volumes, taps = 5 + 2.0 * np.arange(100), np.sort(rng.uniform(0, 290, 100))
    onset = np.concatenate([volumes, taps, [1.0, 2.0]])
    names = ["Mark"] * 100 + ["tap"] * 100 + ["R128"] * 2
    raw.set_annotations(mne.Annotations(onset, 0.0, names))
    assert find_volume_event(raw, 2.0, 100) == "Mark"
    raw.set_annotations(mne.Annotations(taps, 0.0, ["tap"] * 100))
    with pytest.raises(ValueError, match=r"No events mark volumes.*\{'tap': 100\}"):
        find_volume_event(raw, 2.0, 100)
    # A regular event is taken for the volumes, so that a wrong t_r is said and not a missing event.
    raw.set_annotations(mne.Annotations(volumes, 0.0, ["Mark"] * 100))
    assert find_volume_event(raw, 1.3, 100) == "Mark"


def test_sidecars_are_inherited(tmp_path):
    folder = tmp_path / "sub-1" / "func"
    folder.mkdir(parents=True)
    (tmp_path / "task-a_bold.json").write_text('{"RepetitionTime": 2, "EchoTime": 0.03}')
    (tmp_path / "task-b_bold.json").write_text('{"RepetitionTime": 9}')
    (folder / "sub-1_task-a_bold.json").write_text('{"EchoTime": 0.04}')
    metadata, files = sidecar_of(folder / "sub-1_task-a_bold.nii.gz", tmp_path)
    assert metadata == {"RepetitionTime": 2, "EchoTime": 0.04}
    assert [file.name for file in files] == ["task-a_bold.json", "sub-1_task-a_bold.json"]
    (folder / "sub-1_task-a_bold.json").write_text("[1]")
    with pytest.raises(ValueError, match="must hold a JSON object, got list"):
        sidecar_of(folder / "sub-1_task-a_bold.nii.gz", tmp_path)


def test_entities_agree_by_number():
    assert same("01", 1) and same("a", "a") and same(None, None)
    assert not same("01", "2") and not same(None, "1") and not same("a", None)


def test_cleaning_that_this_mne_lacks(monkeypatch):
    assert check_cleaning(None) == ()
    tools = SimpleNamespace(remove_fmri_gradient_artifact=None, apply_pca_obs=None)
    monkeypatch.setattr("mne_samba.io._clean.mne", SimpleNamespace(preprocessing=tools))
    assert check_cleaning(("pulse", "gradient")) == ("gradient", "pulse")
    old = SimpleNamespace(preprocessing=SimpleNamespace(), __version__="1.12.0")
    monkeypatch.setattr("mne_samba.io._clean.mne", old)
    said = r'clean="pulse" needs mne\.preprocessing\.apply_pca_obs, which MNE 1\.12\.0 lacks'
    with pytest.raises(ValueError, match=said):
        check_cleaning("pulse")


@pytest.mark.parametrize("cut", [0.0, 5.0])
@pytest.mark.parametrize("first_samp", [0, 2500])
@pytest.mark.parametrize("date", [None, datetime.datetime(2021, 5, 4, tzinfo=datetime.UTC)])
def test_marking_frames_moves_nothing_else(date, first_samp, cut):
    info = mne.create_info(2, 100.0, "eeg")
    raw = mne.io.RawArray(np.zeros((2, 30000)), info, first_samp=first_samp, verbose=False)
    raw.set_meas_date(date)
    starts = 7.3 + 2.0 * np.arange(100)
    raw.set_annotations(mne.Annotations([*starts, 60.0], [0.0] * 100 + [3.0],
                                        ["volume"] * 100 + ["BAD_move"]))  # fmt: skip
    raw.crop(cut, None)
    for _ in range(2):
        mark_frames(raw, starts + 1.0 - cut)
    for event, expected in (("volume", starts - cut), (FRAME_EVENT, starts + 1.0 - cut)):
        times = frame_times(raw, 100, t_r=2.0, volume_event=event)
        np.testing.assert_allclose(times, expected, atol=1e-9)
    np.testing.assert_allclose(bad_spans(raw, raw.ch_names), [[60.0 - cut, 63.0 - cut]], atol=1e-9)


@pytest.mark.parametrize("tail", [0.5, 4.0])
def test_dummy_scans_are_not_guessed_where_the_recording_ends_early(tail):
    """Marked dummies and two lost volumes at the end look like dummies without triggers."""
    starts = 7.3 + 2.0 * np.arange(50)
    info = mne.create_info(2, 100.0, "eeg")
    raw = mne.io.RawArray(np.zeros((2, int(100 * (starts[-1] + tail)))), info, verbose=False)
    raw.set_annotations(mne.Annotations(starts, 0.0, "volume"))
    options = {"volume_event": "volume", "first_volume": 0.0, "discarded": 2, "reference": 0.0}
    if tail < 2.0:
        with pytest.raises(ValueError, match=r"2 volumes were discarded.*pass n_dummy=0"):
            scan_of(raw, 50, 2.0, n_dummy=None, **options)
    else:
        scan = scan_of(raw, 50, 2.0, n_dummy=None, **options)
        np.testing.assert_allclose(scan.times, starts, atol=1e-9)
    np.testing.assert_allclose(scan_of(raw, 50, 2.0, n_dummy=0, **options).times, starts, atol=1e-9)
    scan = scan_of(raw, 48, 2.0, n_dummy=None, **options)
    np.testing.assert_allclose(scan.times, starts[2:], atol=1e-9)
