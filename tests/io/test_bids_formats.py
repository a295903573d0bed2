"""BOLD on surfaces and in CIFTI, atlases by name, and recordings that hold several runs."""

import shutil

import nibabel as nib
import numpy as np
import pytest
from nibabel import cifti2
from nilearn import datasets

from mne_samba.cli._bids_output import write_prediction
from mne_samba.io import read_bids_pair
from mne_samba.io._atlas import as_masker

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
    for name, message in [
        ("nothing", r"No atlas image nothing.*'aal'"),
        ("schaefer_2018:size=100", r"no option 'size'; it has \['n_rois', 'yeo_networks', 'res"),
        ("schaefer_2018:n_rois=150", "fetch_atlas_schaefer_2018"),
    ]:
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            as_masker(name)


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
