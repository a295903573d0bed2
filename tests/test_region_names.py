"""Names of regions travel from whatever BOLD is to fitted models, windows and files."""

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel import cifti2

from mne_samba import Reader, SambaTranslator, make_windows
from mne_samba.baselines import BandPowerRidge
from mne_samba.evaluation import evaluate
from mne_samba.windows import restore_frames

NAMES = ["V1", "M1", "PCC"]


@pytest.fixture(scope="module")
def raw():
    rng = np.random.default_rng(0)
    info = mne.create_info(["Fz", "Cz", "Pz"], 50.0, "eeg")
    return mne.io.RawArray(1e-5 * rng.standard_normal((3, 12000)), info, verbose=False)


@pytest.fixture(scope="module")
def bold():
    return np.random.default_rng(1).standard_normal((120, 3))


def parcellated(bold, names=NAMES, t_r=2.0) -> nib.Cifti2Image:
    voxel = cifti2.BrainModelAxis.from_mask(np.ones((1, 1, 1)), affine=np.eye(4))
    parcels = cifti2.ParcelsAxis.from_brain_models([(name, voxel) for name in names])
    return nib.Cifti2Image(bold, (cifti2.SeriesAxis(0, t_r, len(bold)), parcels))


def data_array(values, **coords):
    xarray = pytest.importorskip("xarray")
    dims = ("window", "time", "parcel")[-values.ndim :]
    return xarray.DataArray(values, dims=dims, coords=coords)


GIVEN = {
    "DataFrame": lambda bold, _: pd.DataFrame(bold, columns=NAMES),
    "DataArray": lambda bold, _: data_array(bold, parcel=NAMES),
    "DataArray, names beside numbers": lambda bold, _: data_array(
        bold, parcel=[11, 12, 13], region=("parcel", NAMES)
    ),
    "ptseries": lambda bold, _: parcellated(bold),
    "path of a ptseries": lambda bold, folder: _saved(parcellated(bold), folder),
    "tsv": lambda bold, folder: _written(bold, folder / "b.tsv", sep="\t", index=False),
    "csv with an index": lambda bold, folder: _written(bold, folder / "b.csv"),
    "csv with semicolons": lambda bold, folder: _written(bold, folder / "c.csv", sep=";"),
    "text of a path": lambda bold, folder: str(_written(bold, folder / "d.csv", index=False)),
}


def _saved(image, folder):
    nib.save(image, folder / "rest.ptseries.nii")
    return folder / "rest.ptseries.nii"


def _written(bold, path, **options):
    pd.DataFrame(bold, columns=NAMES).to_csv(path, **options)
    return path


@pytest.mark.parametrize("kind", GIVEN)
def test_names_and_values_arrive(raw, bold, tmp_path, kind):
    given = GIVEN[kind](bold, tmp_path)
    for rec in (
        Reader().read_pair([raw], [given], 2.0),
        Reader().read_pair(raw, given, 2.0),
        Reader().read_bold(given),
    ):
        assert rec.target_names == NAMES
        np.testing.assert_allclose(rec.bold[0], bold, rtol=1e-6)
    epochs, y = make_windows(raw, given, t_r=2.0, window=20.0)
    assert epochs.metadata["target_names"].tolist() == [NAMES] * len(epochs)
    np.testing.assert_allclose(y[0], bold[epochs.metadata["frame"][0] :][:10], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # MNE's reader under pandas 3.1
def test_names_times_and_t_r_are_saved_with_windows(raw, bold, tmp_path):
    times = 0.5 + 2.0 * np.arange(119) + np.random.default_rng(0).uniform(0, 0.15, 119)
    reader, table = Reader(volume_event=times), pd.DataFrame(bold[:119], columns=NAMES)
    epochs, y = make_windows(raw, table, t_r=2.0, window=20.0, reader=reader)
    epochs.save(tmp_path / "windows-epo.fif", verbose=False)
    read = mne.read_epochs(tmp_path / "windows-epo.fif", verbose=False)
    expected = Reader().read_pair(epochs, y)
    assert max(np.abs(segment.late).max() for segment in expected.segments) > 0.05
    for windows in (read, read[::2], [read[i] for i in range(len(read))]):
        rec = Reader().read_pair(windows, y[::2] if len(windows) < len(y) else y)
        step = len(expected) // len(rec)
        assert rec.target_names == NAMES and rec.t_r == 2.0
        for segment, other in zip(rec.segments, expected.segments[::step], strict=False):
            np.testing.assert_allclose(segment.frame_times, other.frame_times, atol=1e-6)
    assert BandPowerRidge().fit(read, y).target_names_in_ == NAMES


def test_scrubbed_rows_of_a_data_array(bold):
    kept = np.setdiff1d(np.arange(120), [40, 41])
    assert list(restore_frames(data_array(bold[kept], parcel=NAMES), kept).columns) == NAMES


def test_windows_of_a_data_array(raw, bold):
    epochs, y = make_windows(raw, bold, t_r=2.0, window=20.0)
    named = data_array(y, parcel=NAMES)
    assert BandPowerRidge().fit(epochs, named).target_names_in_ == NAMES


def test_dimensions_in_another_order_are_refused_by_name(raw, bold):
    turned = data_array(bold, parcel=NAMES).transpose("parcel", "time")
    with pytest.raises(ValueError, match=r"pass bold\.transpose\('time', 'parcel'\)"):
        make_windows(raw, turned, t_r=2.0)
    make_windows(raw, turned.transpose("time", "parcel"), t_r=2.0)


def test_regions_in_another_order_are_brought_back_by_name(raw, bold):
    model = BandPowerRidge(t_r=2.0).fit([raw], [parcellated(bold)])
    turned = parcellated(bold[:, ::-1], NAMES[::-1])
    expected = model.score_targets([raw], [bold])
    np.testing.assert_allclose(model.score_targets([raw], [turned]), expected)
    with pytest.raises(ValueError, match=r"y\[1\] has other region names than y\[0\]"):
        BandPowerRidge(t_r=2.0).fit([raw, raw], [parcellated(bold), turned])


def test_a_ptseries_of_another_t_r_is_refused(raw, bold):
    image = parcellated(bold, t_r=1.5)
    for call in (
        lambda t_r: make_windows(raw, image, t_r=t_r, window=20.0),
        lambda t_r: BandPowerRidge(t_r=t_r).fit([raw], [image]),
    ):
        with pytest.raises(ValueError, match=r"1\.5 s apart, but t_r=2 s: pass t_r=1\.5"):
            call(2.0)
        call(1.5)


def test_a_table_whose_rows_were_removed_is_refused(raw, bold, tmp_path):
    path = tmp_path / "bold.csv"
    kept = np.setdiff1d(np.arange(120), [40, 41])
    pd.DataFrame(bold, columns=NAMES).iloc[kept].to_csv(path)
    with pytest.raises(ValueError, match=r"does not count 0, 1, 2.*sample_mask=table\.index"):
        make_windows(raw, path, t_r=2.0)
    table = pd.read_csv(path, index_col=0)
    epochs, y = make_windows(raw, table, t_r=2.0, window=20.0, sample_mask=table.index)
    whole = bold.copy()
    whole[[40, 41]] = np.nan
    np.testing.assert_allclose(y[2], whole[epochs.metadata["frame"][2] :][:10])


def test_a_table_without_names_is_refused(raw, bold, tmp_path):
    path = tmp_path / "bold.csv"
    pd.DataFrame(bold).to_csv(path, index=False, header=False)
    with pytest.raises(ValueError, match="holds numbers, not names") as error:
        make_windows(raw, path, t_r=2.0)
    line = str(error.value).split("pass ")[1].rstrip(".")
    table = eval(line, {"pd": pd, "path": path})
    _, y = make_windows(raw, table, t_r=2.0, window=20.0)
    np.testing.assert_allclose(y[0], bold[15:25])


def test_text_in_a_table_is_refused_by_column(raw, bold, tmp_path):
    path = tmp_path / "bold.tsv"
    pd.DataFrame(bold, columns=NAMES).assign(trial="face").to_csv(path, sep="\t", index=False)
    with pytest.raises(TypeError, match=r"columns \['trial'\] of .*bold\.tsv hold text"):
        make_windows(raw, path, t_r=2.0)


def test_windows_of_other_regions_are_refused(raw, bold):
    first, y = make_windows(raw, GIVEN["DataFrame"](bold, None), t_r=2.0, window=20.0)
    other, _ = make_windows(raw, pd.DataFrame(bold, columns=[*"abc"]), t_r=2.0, window=20.0)
    windows = [first[i] for i in range(2)] + [other[i] for i in range(2, len(other))]
    with pytest.raises(ValueError, match=r"Windows of X come from BOLD of other regions, \['a'"):
        BandPowerRidge().fit(windows, y)


@pytest.mark.filterwarnings("ignore::mne_samba.evaluation.LeakageWarning")
def test_evaluation_names_regions_of_windows(raw, bold):
    raws = [raw, mne.io.RawArray(raw.get_data()[:, ::-1], raw.info, verbose=False)]
    tables = [pd.DataFrame(b, columns=NAMES) for b in (bold, bold[::-1])]
    epochs, y = make_windows(raws, tables, t_r=2.0, window=20.0, subject=["a", "b"])
    options = {"baselines": (), "nulls": ()}
    result = evaluate(BandPowerRidge(), epochs, y, **options)
    assert set(result.to_frame()["target"]) == set(NAMES)


SWAPPED = {
    "Raw": lambda raw, bold: (bold, raw),
    "list of Raw": lambda raw, bold: ([bold], [raw]),
    "tables": lambda raw, bold: ([pd.DataFrame(bold)], [raw]),
    "windows": lambda raw, bold: make_windows(raw, bold, t_r=2.0, window=20.0)[::-1],
    "arrays": lambda raw, bold: ([bold], [raw.get_data()]),
    "arrays of windows": lambda raw, bold: [
        np.asarray(part) for part in make_windows(raw, bold, t_r=2.0, window=20.0)[::-1]
    ],
}


@pytest.mark.parametrize("kind", SWAPPED)
def test_swapped_arguments_are_said(raw, bold, kind):
    reader = Reader(sfreq=50.0)
    X, y = SWAPPED[kind](raw, bold)
    if kind == "arrays of windows":
        y = make_windows(raw, bold, t_r=2.0, window=20.0)[0].get_data()
    for model in (SambaTranslator(t_r=2.0, reader=reader), BandPowerRidge(t_r=2.0, reader=reader)):
        with pytest.raises(ValueError, match=r"[Aa]re the two swapped\?"):
            model.fit(X, y)
    if kind in ("Raw", "list of Raw"):
        with pytest.raises(ValueError, match=r"^bold must be BOLD.*Are the two swapped\?"):
            make_windows(X, y, t_r=2.0)
