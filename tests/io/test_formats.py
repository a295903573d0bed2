"""Surfaces and CIFTI come in and go out again, with names, time and units."""

import re

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel import cifti2, gifti
from nilearn.maskers import NiftiLabelsMasker, SurfaceLabelsMasker
from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from mne_samba import CoreModel, SambaTranslator, make_windows
from mne_samba.io import GrayordinatesMasker, write_image

N = 30  # vertices per hemisphere, as in a mesh of six rows
T_R = 0.8
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
LEFT, RIGHT = "CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"
NAMES = ["A-lh", "B-lh", "A-rh", "B-rh"]
# Vertices 0 to 4 are the medial wall, of every mesh.
KEYS = np.repeat([0, 1, 2], [5, 10, 15])


@pytest.fixture(scope="module")
def halves():
    """Values (n_frames, n_vertices) of both hemispheres."""
    rng = np.random.default_rng(0)
    return {side: rng.standard_normal((60, N)).astype("f4") for side in ("left", "right")}


@pytest.fixture(scope="module")
def expected(halves):
    """Means of the four regions, by hand."""
    return np.column_stack(
        [half[:, KEYS == key].mean(axis=1) for half in halves.values() for key in (1, 2)]
    )


def surface(values, side=None, step="800", intent="NIFTI_INTENT_TIME_SERIES"):
    """GIFTI as FreeSurfer writes it: an array per frame, milliseconds."""
    meta = {} if side is None else {"AnatomicalStructurePrimary": f"Cortex{side.capitalize()}"}
    times = {} if step is None else {"TimeStep": step}
    arrays = [
        gifti.GiftiDataArray(row, intent=intent, meta=gifti.GiftiMetaData({**meta, **times}))
        for row in values
    ]
    return gifti.GiftiImage(darrays=arrays)


def labels_gii(keys=KEYS, names=("???", "A", "B"), side=None):
    table = gifti.GiftiLabelTable()
    for key, name in enumerate(names):
        label = gifti.GiftiLabel(key, 0.5, 0.5, 0.5, 1.0)
        label.label = name
        table.labels.append(label)
    image = surface(keys[np.newaxis].astype("i4"), side, None, "NIFTI_INTENT_LABEL")
    image.labeltable = table
    return image


def annot(path, keys=KEYS, names=("unknown", "A", "B")):
    colours = np.arange(len(names) * 5).reshape(-1, 5) % 200
    nib.freesurfer.write_annot(path, keys, colours, list(names), fill_ctab=True)
    return path


@pytest.fixture
def pair(halves, tmp_path):
    """A pair of files, called as fMRIPrep does."""
    paths = []
    for side, half in halves.items():
        name = f"sub-1_task-rest_hemi-{side[0].upper()}_space-fsaverage5_bold.func.gii"
        nib.save(surface(half, side), tmp_path / name)
        paths.append(tmp_path / name)
    return tuple(paths)


@pytest.fixture
def atlas(tmp_path):
    return tuple(annot(tmp_path / f"{side}.AB.annot") for side in ("lh", "rh"))


def brain_models(wall=True, voxels=4):
    """Both cortices, without their medial wall or with it, and a small part of the brain below."""
    vertices = np.arange(5 if wall else 0, N)
    axis = cifti2.BrainModelAxis.from_surface(vertices, N, "CortexLeft")
    axis += cifti2.BrainModelAxis.from_surface(vertices, N, "CortexRight")
    if voxels:
        mask = np.zeros((3, 3, 3), dtype=bool)
        mask.flat[:voxels] = True
        axis += cifti2.BrainModelAxis.from_mask(mask, "thalamus_left", affine=AFFINE)
    return axis


def dense(halves, start=1.5, step=T_R):
    thalamus = np.random.default_rng(1).standard_normal((60, 4)).astype("f4")
    values = np.hstack([halves["left"][:, 5:], halves["right"][:, 5:], thalamus])
    return nib.Cifti2Image(values, (cifti2.SeriesAxis(start, step, 60), brain_models()))


def dlabel(names=NAMES, voxels=4, wall=False, maps=1):
    """Labels of all vertices, the wall too, and of voxels: both atlas and image choose theirs."""
    keys = [np.where(KEYS > 0, KEYS + shift, 0) for shift in (0, 2)]
    keys = [half[5:] if wall else half for half in keys]
    table = {0: ("???", (0, 0, 0, 0))} | {
        k + 1: (name, (0.5, 0.5, 0.5, 1)) for k, name in enumerate([*names, "thalamus"])
    }
    values = np.concatenate([*keys, np.full(voxels, 5)])[np.newaxis].astype("f4")
    axis = cifti2.LabelAxis([f"map {i}" for i in range(maps)], table)
    return nib.Cifti2Image(values.repeat(maps, 0), (axis, brain_models(wall, voxels)))


@pytest.mark.parametrize("kind", ["annot", "label.gii", "dlabel"])
def test_parcels_of_a_pair_of_surfaces(pair, atlas, expected, tmp_path, kind):
    if kind == "label.gii":
        atlas = tuple(tmp_path / f"AB.{side}.label.gii" for side in "LR")
        for path in atlas:
            nib.save(labels_gii(), path)
    if kind == "dlabel":
        atlas = tmp_path / "AB.dlabel.nii"
        nib.save(dlabel(voxels=0), atlas)
    masker = GrayordinatesMasker(atlas)
    bold = masker.fit_transform(pair)
    np.testing.assert_allclose(bold[NAMES], expected, rtol=1e-5)
    assert list(bold.columns)[:4] == NAMES and bold.attrs["t_r"] == T_R
    # In another order, which metadata set right.
    other = GrayordinatesMasker(atlas if kind == "dlabel" else atlas[::-1]).fit_transform(
        pair[::-1]
    )
    np.testing.assert_array_equal(other[NAMES], bold[NAMES])


def test_means_are_those_of_nilearn(pair, atlas, halves):
    """With fsaverage's meshes replaced by a strip of triangles."""
    triangles = np.column_stack([np.arange(N - 2), np.arange(1, N - 1), np.arange(2, N)])
    mesh = InMemoryMesh(np.random.default_rng(0).standard_normal((N, 3)), triangles)
    mesh = PolyMesh(left=mesh, right=mesh)
    labels = SurfaceImage(mesh, {"left": KEYS, "right": np.where(KEYS, KEYS + 2, 0)})
    image = SurfaceImage(mesh, {side: half.T for side, half in halves.items()})
    confounds = np.random.default_rng(1).standard_normal((60, 2))
    kept = np.setdiff1d(np.arange(60), [7, 8])
    theirs = SurfaceLabelsMasker(labels, standardize=None).fit_transform(
        image, confounds=confounds, sample_mask=kept
    )
    ours = GrayordinatesMasker(atlas).fit_transform(pair, confounds=confounds, sample_mask=kept)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert list(ours.index) == list(kept)
    as_booleans = np.isin(np.arange(60), kept)
    masker = GrayordinatesMasker(atlas).fit(pair)
    again = masker.transform(pair, confounds=confounds, sample_mask=as_booleans)
    pd.testing.assert_frame_equal(again, ours)
    other = {side: surface(half[:, :29]) for side, half in halves.items()}
    with pytest.raises(
        ValueError, match=r"left: 30 vertices.*does not fit imgs \(cortex left: 29 vert"
    ):
        masker.transform(other)


def test_a_dense_series_and_its_parcels_match_by_vertex(halves, expected):
    for labels in (dlabel(), dlabel(wall=True), dlabel(voxels=2)):
        masker = GrayordinatesMasker(labels)
        bold = masker.fit_transform(dense(halves))
        assert list(bold.columns) == [*NAMES, "thalamus"] and bold.attrs["t_r"] == T_R
        np.testing.assert_allclose(bold[NAMES], expected, rtol=1e-5)
    assert masker.n_places_ == {"A-lh": 10, "B-lh": 15, "A-rh": 10, "B-rh": 15, "thalamus": 2}


ROUND_TRIPS = {
    "dtseries": ("out.dtseries.nii", 3002), "ptseries": ("out.ptseries.nii", 3004),
    "dscalar": ("r.dscalar.nii", 3006), "pscalar": ("r.pscalar.nii", 3008),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROUND_TRIPS)
def test_cifti_goes_out_as_it_came(halves, tmp_path, kind):
    template, labels = dense(halves), dlabel()
    masker = GrayordinatesMasker(labels)
    bold = masker.fit_transform(template)
    r = pd.Series(np.linspace(0.1, 0.5, 5), index=bold.columns, name="r")
    file, code = ROUND_TRIPS[kind]
    is_map = "scalar" in kind
    (path,) = write_image(r[::-1] if is_map else bold[bold.columns[::-1]], tmp_path / file, masker)
    back = nib.load(path)
    assert int(back.nifti_header["intent_code"]) == code
    first, second = (back.header.get_axis(i) for i in (0, 1))
    if is_map:
        assert list(first.name) == ["r"]
    else:
        assert first == template.header.get_axis(0)  # start, step, size and unit
    values = np.asarray(back.dataobj)
    if kind[0] == "p":
        assert list(second.name) == [*NAMES, "thalamus"]
        np.testing.assert_allclose(values, [r] if is_map else bold, rtol=1e-5)
        parcel = second["B-rh"]
        assert parcel[1][RIGHT].tolist() == list(range(15, 30))
    else:
        assert second == template.header.get_axis(1)
    if not is_map:
        again = GrayordinatesMasker(labels if kind[0] == "d" else None).fit_transform(path)
        pd.testing.assert_frame_equal(again, bold, rtol=1e-5)
        assert again.attrs == bold.attrs
    assert [p.name for p in tmp_path.iterdir()] == [file]


def test_a_ptseries_stands_for_itself(tmp_path):
    axis = brain_models(voxels=0)
    parcels = cifti2.ParcelsAxis.from_brain_models([("V1", axis[:5]), ("M1", axis[25:29])])
    rng = np.random.default_rng(0)
    image = nib.Cifti2Image(rng.standard_normal((60, 2)), (cifti2.SeriesAxis(0, 2, 60), parcels))
    nib.save(image, tmp_path / "in.ptseries.nii")
    frames = pd.DataFrame(rng.standard_normal((40, 2)), columns=["M1", "V1"])
    frames.iloc[3] = np.nan
    paths = write_image(frames, tmp_path / "out.ptseries.nii", tmp_path / "in.ptseries.nii")
    back = nib.load(*paths)
    assert back.header.get_axis(1) == parcels and back.header.get_axis(0).step == 2.0
    filled = frames.fillna(frames.mean())[["V1", "M1"]]
    np.testing.assert_allclose(back.get_fdata(), filled, rtol=1e-6)


@pytest.mark.parametrize("step", ["800", "0.8"])
def test_surfaces_go_out_as_they_came(halves, atlas, tmp_path, step):
    given = {side: surface(half, side, step) for side, half in halves.items()}
    masker = GrayordinatesMasker(atlas)
    bold = masker.fit_transform(given)
    paths = write_image(bold, tmp_path / "x_hemi-L_bold.func.gii", masker)
    assert [p.name for p in paths] == ["x_hemi-L_bold.func.gii", "x_hemi-R_bold.func.gii"]
    for path, side in zip(paths, ("Left", "Right"), strict=True):
        back = nib.load(path)
        meta = back.darrays[0].meta
        assert meta["AnatomicalStructurePrimary"] == f"Cortex{side}"
        assert float(meta["TimeStep"]) == float(step)
        assert {a.intent for a in back.darrays} == {2001}  # time series
        assert back.agg_data().shape == (N, 60) and not back.agg_data()[:5].any()
    again = GrayordinatesMasker(atlas).fit_transform(tuple(paths))
    pd.testing.assert_frame_equal(again, bold, rtol=1e-5)
    assert again.attrs == bold.attrs == {"t_r": 0.8}
    r = pd.Series([0.1, 0.2, 0.3], index=NAMES[:3], name="r")
    maps = write_image(r, tmp_path / "rh.shape.gii", masker)
    assert [path.name for path in maps] == ["lh.shape.gii", "rh.shape.gii"]
    values = [nib.load(path) for path in maps]
    assert values[0].darrays[0].meta["Name"] == "r"
    np.testing.assert_allclose(values[1].agg_data(), np.repeat([0, 0.3, 0], [5, 10, 15]), rtol=1e-6)


def test_one_hemisphere(halves, atlas, tmp_path):
    masker = GrayordinatesMasker(atlas[1])
    bold = masker.fit_transform(surface(halves["right"], "right"))
    assert list(bold.columns) == NAMES[2:]
    (path,) = write_image(bold, tmp_path / "only.func.gii", masker)
    assert nib.load(path).meta["AnatomicalStructurePrimary"] == "CortexRight"


def test_every_vertex(halves, pair, tmp_path):
    masker = GrayordinatesMasker("vertices")
    bold = masker.fit_transform(pair)
    assert bold.shape == (60, 2 * N) and bold.columns[N] == "cortex_right-0"
    paths = write_image(bold, tmp_path / "hemi-L.func.gii", masker)
    np.testing.assert_array_equal(nib.load(paths[1]).agg_data(), halves["right"].T)
    bold = masker.fit_transform(dense(halves))
    assert bold.columns[-1] == "thalamus_left-0-1-0"


def test_surfaces_of_nilearn_go_out_as_gifti(halves, tmp_path):
    triangles = np.column_stack([np.arange(N - 2), np.arange(1, N - 1), np.arange(2, N)])
    mesh = InMemoryMesh(np.random.default_rng(0).standard_normal((N, 3)), triangles)
    mesh = PolyMesh(left=mesh, right=mesh)
    labels = SurfaceImage(mesh, {"left": KEYS, "right": np.where(KEYS, KEYS + 2, 0)})
    masker = SurfaceLabelsMasker(labels, standardize=None, t_r=T_R)
    image = SurfaceImage(mesh, {side: half.T for side, half in halves.items()})
    bold = masker.fit_transform(image)
    paths = write_image(bold, tmp_path / "lh.func.gii", masker)
    assert nib.load(paths[1]).darrays[3].meta["TimeStep"] == "800.000000"
    read = SurfaceImage(mesh, dict(zip(("left", "right"), map(str, paths), strict=True)))
    np.testing.assert_allclose(masker.transform(read), bold, rtol=1e-5)
    (left, _) = write_image(bold[0], tmp_path / "lh.shape.gii", masker)
    np.testing.assert_allclose(nib.load(left).agg_data()[20], bold[0, 1], rtol=1e-5)


def test_volumes_go_out_as_they_came(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.zeros((4, 4, 4), dtype="i2")
    labels[:2], labels[2:, 2:] = 1, 2
    table = pd.DataFrame({"index": [1, 2], "name": ["V1", "M1"]})
    image = nib.Nifti1Image(rng.standard_normal((4, 4, 4, 60)).astype("f4"), AFFINE)
    masker = NiftiLabelsMasker(nib.Nifti1Image(labels, AFFINE), lut=table, standardize=None)
    frames = pd.DataFrame(masker.fit_transform(image), columns=["V1", "M1"])
    (path,) = write_image(frames, tmp_path / "p_bold.nii.gz", masker, t_r=T_R)
    back = nib.load(path)
    assert back.header.get_zooms()[3] == pytest.approx(T_R)
    assert back.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_allclose(masker.transform(back), frames, atol=1e-5)
    (path,) = write_image(pd.Series({"M1": 0.4, "V1": 0.2}), tmp_path / "r.nii.gz", masker)
    np.testing.assert_allclose(nib.load(path).get_fdata()[[0, 3], [0, 3], 0], [0.2, 0.4], rtol=1e-5)


def test_from_files_to_a_prediction_in_a_file(halves, tmp_path):
    info = mne.create_info(["Fz", "Cz", "Pz"], 50.0, "eeg")
    signal = 1e-5 * np.random.default_rng(0).standard_normal((3, 6000))
    raw = mne.io.RawArray(signal, info, verbose=False)
    long = {side: np.tile(half, (2, 1)) for side, half in halves.items()}
    given = {side: surface(half, side) for side, half in long.items()}
    masker = GrayordinatesMasker(tuple(labels_gii() for _ in "LR"))
    bold = masker.fit_transform(given)
    model = CoreModel(power="linear", target_bands=False, hrf_length=10.0)
    fitted = SambaTranslator(model=model, random_state=0).fit([raw], [bold])  # t_r of the file
    assert fitted.target_names_in_ == NAMES
    swapped = masker.inverse_transform(bold[NAMES[::-1]])  # by names, in whatever order
    np.testing.assert_allclose(swapped[1].agg_data()[7], bold["A-rh"], rtol=1e-5)
    image = fitted.predict_image(raw, masker)
    assert [type(side) for side in image] == [gifti.GiftiImage] * 2
    frames = fitted.predict(raw)
    np.testing.assert_allclose(image[0].agg_data()[7], frames[:, 0], rtol=1e-5)
    with pytest.raises(ValueError, match=r"says that its frames are 0\.8 s apart, but t_r=2"):
        make_windows(raw, bold, t_r=2.0)


def two_maps():
    image = labels_gii()
    image.add_gifti_data_array(image.darrays[0])
    return image


BAD_SURFACES = {
    "another mesh": (lambda h: (surface(h["left"][:, :29]), surface(h["right"])),
                     r"left: 30 vertices.*does not fit imgs \(cortex left: 29 vert"),
    "no side": (lambda h: surface(h["left"]), r"of which hemisphere is it \(nothing says it\)"),
    "two left": (lambda h: (surface(h["left"], "left"), surface(h["left"], "left")),
                 r"left by its metadata, and imgs is of the left side\)"),
    "sides swapped": (lambda h: {"left": surface(h["left"], "right")},
                      r"\(left by its key, right by its metadata\)\?"),
    "three": (lambda h: [surface(h["left"])] * 3, r"\(left, right\) or .* of one scan, got 3 it"),
    "frames": (lambda h: (surface(h["left"][:50]), surface(h["right"])),
               r"differ in their number of frames: \{'left': 50, 'right': 60\}"),
    "steps": (lambda h: (surface(h["left"]), surface(h["right"], step="900")),
              r"differ in their seconds between frames"),
    "one frame": (lambda h: (surface(h["left"][:1]), surface(h["right"][:1])),
                  r"left of imgs holds no time series, but 1 arrays of shapes \[\(30,\)\]"),
    "maps of labels": (lambda h: (two_maps(), two_maps()), r"time series, but 2 arrays"),
    "labels": (lambda h: (labels_gii(), labels_gii()), "holds no time series"),
    "a mesh": (lambda h: {"left": gifti.GiftiImage(darrays=[
        gifti.GiftiDataArray(np.zeros((9, 3), "f4")), gifti.GiftiDataArray(np.zeros((5, 3), "i4"))
    ])}, r"holds no time series, but 2 arrays of shapes \[\(5, 3\), \(9, 3\)\]"),
    "a volume": (lambda h: nib.Nifti1Image(np.zeros((2, 2, 2, 9)), AFFINE),
                 "imgs is of type Nifti1Image; expected CIFTI, or GIFTI"),
    "keys": (lambda h: {"L": surface(h["left"])}, r"of one scan, got 1 items, \['L'\]"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_SURFACES)
def test_surfaces_that_do_not_fit_are_refused(halves, atlas, kind):
    make, message = BAD_SURFACES[kind]
    with pytest.raises((TypeError, ValueError), match=message):
        GrayordinatesMasker(atlas).fit(make(halves))


def test_a_masker_is_cloned_and_needs_a_fit(halves, pair, atlas):
    for given in (atlas, {"left": (KEYS, ["unknown", "A", "B"])}, dlabel(), "vertices"):
        again = clone(GrayordinatesMasker(given, t_r=2.0))
        assert again.t_r == 2.0
        with pytest.raises(NotFittedError):
            again.transform(pair)
    masker = GrayordinatesMasker({"left": (KEYS, ["unknown", "A", "B"])})
    bold = masker.fit_transform(pair)  # of the left side alone
    assert list(bold.columns) == ["A-lh", "B-lh"]
    with pytest.raises(ValueError, match="t_r"):
        GrayordinatesMasker(atlas, t_r=-1.0).fit(pair)
    with pytest.raises(ValueError, match="has other vertices than"):
        masker = GrayordinatesMasker("vertices").fit(pair)
        masker.transform({"left": surface(halves["left"])})


def test_atlases_that_do_not_fit_are_refused(halves, pair, atlas, tmp_path):
    series = dense(halves)
    one_side = annot(tmp_path / "rh.fsLR.annot")
    moved = nib.Cifti2Image(
        np.ones((1, 4), "f4"),
        (cifti2.LabelAxis(["m"], {1: ("x", (0, 0, 0, 1))}),
         cifti2.BrainModelAxis.from_mask(np.ones((4, 1, 1)), "thalamus_left", np.eye(4))),
    )  # fmt: skip
    axis = cifti2.ParcelsAxis.from_brain_models([("V1", brain_models())])
    table = cifti2.LabelAxis(["m"], {1: ("x", (0, 0, 0, 1))})
    parcels = nib.Cifti2Image(np.ones((1, 1), "f4"), (table, axis))
    between = labels_gii()
    between.darrays[0].data = KEYS / 2
    for atlas_, image, message in [
        (None, pair, r'pass an atlas, .* of parcels \(\.dlabel\.nii, .*or "vertices"'),
        (dlabel(maps=2), series, r"holds the maps \['map 0', 'map 1'\]: keep one, wb_command"),
        (dense(halves), series, "holds SeriesAxis and BrainModelAxis, no labels"),
        (dlabel(names="AABC"), series, r"names of regions must differ, \['A'\]"),
        (one_side, pair, r"vertices, fslr\) does not fit .* vertices, fsaverage\): take an atlas"),
        (
            atlas[1],
            surface(halves["left"], "left"),
            r"\(cortex right: 30 .*\(cortex left: 30 vertices\)",
        ),
        (moved, series, r"voxels of \(4, 1, 1\) at .*voxels of \(3, 3, 3\)"),
        ((labels_gii(names="0"), labels_gii()), pair, r"keys \[1, 2\] of .* have no name"),
        (pair, pair, "holds no labels"),
        (parcels, series, "holds LabelAxis and ParcelsAxis, no labels"),
        ((between, labels_gii()), pair, "must be whole numbers"),
        (KEYS, pair, "^atlas is of type ndarray; expected CIFTI"),
        (dlabel(), [series, series], "^imgs is of type Cifti2Image; expected CIFTI, or GIFTI"),
        (atlas[0].with_name("lh.none.annot"), pair, "no file"),
    ]:
        with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message):
            GrayordinatesMasker(atlas_).fit(image)
    (tmp_path / "rh.broken.annot").write_bytes(b"no annotation")
    with pytest.raises(ValueError, match="cannot be read"):
        GrayordinatesMasker((atlas[0], tmp_path / "rh.broken.annot")).fit(pair)
    nib.save(series, tmp_path / "x.dtseries.nii")
    (tmp_path / "x.dtseries.nii").write_bytes((tmp_path / "x.dtseries.nii").read_bytes()[:-99])
    with pytest.raises(ValueError, match=r"imgs: x\.dtseries\.nii is damaged"):
        GrayordinatesMasker(dlabel()).fit(tmp_path / "x.dtseries.nii")
    # A name of two spaces contradicts neither.
    nib.save(dlabel(voxels=0), tmp_path / "fsaverage_on_fsLR.dlabel.nii")
    GrayordinatesMasker(tmp_path / "fsaverage_on_fsLR.dlabel.nii").fit(pair)


def test_what_was_not_measured(halves, atlas):
    """NaN of a medial wall does not enter; a region without a vertex is NaN, and named."""
    left = halves["left"].copy()
    left[:, 5:8] = np.nan
    masker = GrayordinatesMasker(atlas)
    bold = masker.fit_transform((surface(left), surface(halves["right"])))
    np.testing.assert_allclose(bold["A-lh"], left[:, 8:15].mean(axis=1), rtol=1e-5)
    left[:, 5:15] = np.nan
    with mne.utils.catch_logging(verbose="INFO") as said:
        bold = masker.transform((surface(left), surface(halves["right"])))
    assert (
        "Regions ['A-lh'] have no vertex in imgs that is measured in all frames" in said.getvalue()
    )
    assert bold["A-lh"].isna().all() and bold["B-lh"].notna().all()
    with pytest.raises(ValueError, match=r"holds no signal in any region of the atlas\."):
        masker.transform((surface(np.nan * left), surface(np.nan * left)))


def test_frames_without_signal_are_left_out_by_a_mask(halves, atlas, expected):
    given = {side: half.copy() for side, half in halves.items()}
    for half in given.values():
        half[3] = np.nan
    given = {side: surface(half, side) for side, half in given.items()}
    masker = GrayordinatesMasker(atlas)
    with pytest.raises(ValueError, match=r"atlas: frames \[3\] are NaN, sample_mask leaves"):
        masker.fit_transform(given)
    kept = np.arange(60) != 3  # what the message advises
    bold = masker.fit_transform(given, sample_mask=kept)
    np.testing.assert_allclose(bold, expected[kept], rtol=1e-5)
    for mask, message in ((np.ones(50, bool), "60 but size of .* is 50"), ([0, 99], "index 99")):
        with pytest.raises(ValueError, match=f"sample_mask does not fit the 60 frames.*{message}"):
            masker.transform(given, sample_mask=mask)


def test_names_of_files_tell_the_side_by_their_surest_part(halves, tmp_path):
    for side, half in halves.items():
        nib.save(surface(half), tmp_path / f"{side[0]}h.left_hand.func.gii")
    paths = [str(tmp_path / f"{side}.left_hand.func.gii") for side in ("rh", "lh")]
    bold = GrayordinatesMasker("vertices").fit_transform(paths)
    np.testing.assert_array_equal(bold, np.hstack([*halves.values()]))


def test_key_0_is_no_region(halves):
    given = tuple(surface(half) for half in halves.values())
    labels = tuple(labels_gii(names=("V1", "A", "B")) for _ in "LR")
    with pytest.warns(RuntimeWarning, match="key 0 of .*'V1', is taken as no region"):
        assert list(GrayordinatesMasker(labels).fit_transform(given).columns) == NAMES


def test_repetition_times_of_files(halves, atlas, tmp_path):
    for step in (None, "0", "no number"):
        given = tuple(surface(half, step=step) for half in halves.values())
        masker = GrayordinatesMasker(atlas)
        assert "t_r" not in masker.fit_transform(given).attrs
        with pytest.raises(ValueError, match=r"pass t_r \(s\)"):
            write_image(np.ones((5, 4)), tmp_path / "lh.func.gii", masker)
    with pytest.raises(ValueError, match=r"800 s apart: are these milliseconds\? Pass t_r=0\.8"):
        GrayordinatesMasker(dlabel()).fit(dense(halves, step=800.0))
    masker = GrayordinatesMasker(dlabel(), t_r=0.8)
    assert masker.fit_transform(dense(halves, step=800.0)).attrs["t_r"] == 0.8
    hertz = dense(halves)
    axes = (cifti2.SeriesAxis(0, 1, 60, "HERTZ"), hertz.header.get_axis(1))
    with pytest.raises(ValueError, match="series in hertz"):
        GrayordinatesMasker(dlabel()).fit(nib.Cifti2Image(hertz.get_fdata(), axes))


def test_what_cannot_be_written_is_refused_and_leaves_nothing(halves, atlas, tmp_path):
    masker = GrayordinatesMasker(atlas).fit(tuple(surface(half) for half in halves.values()))
    right = GrayordinatesMasker(atlas[1]).fit({"right": surface(halves["right"])})
    frames, r = np.ones((5, 4)), np.ones(4)
    for values, path, message in [
        (frames, "x.mgz", r"values are frames: as BOLD came, path must end in one of \['\.func"),
        (frames, "x.dtseries.nii", r"must end in one of \['\.func\.gii'\], got \['x\.dtseries"),
        (frames, "x.shape.gii", r"values are frames: .*\['\.func\.gii'\]"),
        (r, "lh.func.gii", r"values are a map: .*\['\.shape\.gii'\]"),
        (frames, "bold.func.gii", r"the left hemisphere and the right hemisphere to write"),
        (frames[:, :3], "lh.func.gii", r"\(n_frames, 4\) or \(4,\)"),
        (
            pd.DataFrame(frames, columns=[*"wxyz"]),
            "lh.func.gii",
            r"regions \['w', .*the masker has not",
        ),
        (np.full((5, 4), np.inf), "lh.func.gii", "infinite"),
        (np.ones((2, 2, 4)), "lh.func.gii", r"got \(2, 2, 4\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_image(values, tmp_path / path, masker)
    parcels = cifti2.ParcelsAxis.from_brain_models([("V1", brain_models())])
    parcels = nib.Cifti2Image(np.ones((60, 1)), (cifti2.SeriesAxis(0, 2, 60), parcels))
    for values, path, given, message in [
        (r, ["rh.shape.gii", "lh.shape.gii"], masker, "left hemisphere and the right hemisphere"),
        (r, ["x.shape.gii", "x.shape.gii"], masker, "left hemisphere and the right hemisphere"),
        (r[:2], ["lh.shape.gii"], right, "There is the right hemisphere to write"),
        (frames[:, :1], ["x.dtseries.nii"], parcels, r"must end in one of \['\.ptseries\.nii'\]"),
        (pd.Series(1.0, ["A-lh"] * 2), ["lh.shape.gii"], masker, r"\['A-lh'\].*more than once"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_image(values, [tmp_path / one for one in path], given)
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*none to write to"):
        write_image(r, tmp_path / "none" / "lh.shape.gii", masker)
    with pytest.raises(TypeError, match="t_r must be a number"):
        write_image(frames, tmp_path / "lh.func.gii", masker, t_r="2")
    assert [p for p in tmp_path.iterdir() if not re.match("[lr]h.AB.annot", p.name)] == []
