"""What is no table of time courses is refused by the line that makes one; containers are alike."""

import re

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from nibabel import cifti2

from mne_samba import LearnableHRF, Reader, make_windows
from mne_samba.baselines import BandPowerRidge


@pytest.fixture(scope="module")
def raw():
    rng = np.random.default_rng(0)
    info = mne.create_info(["Fz", "Cz", "Pz", "T7"], 100.0, "eeg")
    return mne.io.RawArray(1e-5 * rng.standard_normal((4, 20000)), info, verbose=False)


@pytest.fixture(scope="module")
def bold():
    return np.random.default_rng(1).standard_normal((100, 3))


IMAGE = nib.Nifti1Image(np.random.default_rng(0).standard_normal((3, 3, 3, 100)), np.eye(4))
_SERIES = cifti2.SeriesAxis(0, 2.0, 100)
_PARCELS = cifti2.ParcelsAxis.from_brain_models(
    [(name, cifti2.BrainModelAxis.from_mask(np.ones((1, 1, 2)), affine=np.eye(4)))
     for name in "abc"]
)  # fmt: skip
DENSE = nib.Cifti2Image(
    np.ones((100, 2)),
    (_SERIES, cifti2.BrainModelAxis.from_mask(np.ones((1, 1, 2)), affine=np.eye(4))),
)
PTSERIES = nib.Cifti2Image(np.random.default_rng(0).standard_normal((100, 3)), (_SERIES, _PARCELS))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (IMAGE, TypeError, r"^bold is a Nifti1Image, .*masker\.fit_transform\(image\)"),
        (DENSE, TypeError, r"^bold holds 2 vertices and voxels: pass an atlas, mne_sa"),
        (nib.gifti.GiftiImage(), TypeError, r"^bold is a GiftiImage, but mne_samba\.io\.Gra"),
        ("bold.nii.gz", TypeError, r"^bold is a path, 'bold\.nii\.gz'.*masker\.fit_transform\(ima"),
        ("bold.csv", FileNotFoundError, r"^bold is a path, but there is no file 'bold\.csv'"),
        (IMAGE.get_fdata(), ValueError, r"^bold has shape \(3, 3, 3, 100\), as an image has"),
    ],
    ids=["nifti", "cifti", "gifti", "image path", "no file", "array"],
)
def test_what_is_no_table_is_refused_with_what_makes_one(raw, value, error, message):
    with pytest.raises(error, match=message):
        make_windows(raw, value, t_r=2.0)
    with pytest.raises(error, match=message.replace("^bold", r"^y(\[0\])?")):
        BandPowerRidge(t_r=2.0).fit([raw], [value])


def test_two_hemispheres_are_no_time_courses(raw):
    with pytest.raises(TypeError, match=r"^bold\[0\] is a GiftiImage, but mne_samba"):
        make_windows(raw, [nib.gifti.GiftiImage(), nib.gifti.GiftiImage()], t_r=2.0)


TABLES = {
    "decimal commas": (lambda t: t.to_csv(index=False, sep=";", decimal=","), "decimal comma"),
    "a comment": (lambda t: "# made by hand\n" + t.to_csv(index=False), "comment='#'"),
    "spaces": (lambda t: t.to_csv(index=False, sep=" "), "hold text"),
    "UTF-16": (lambda t: t.to_csv(index=False).encode("utf-16"), "no text in UTF-8"),
    "regions in rows": (lambda t: t.T.to_csv(), "regions, one in each row"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_another_dialect_are_read_as_the_message_says(raw, bold, tmp_path, kind):
    table, path = pd.DataFrame(bold, columns=["a", "b", "c"]), tmp_path / "bold.csv"
    make, said = TABLES[kind]
    text = make(table)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises((TypeError, ValueError), match=said) as error:
        make_windows(raw, path, t_r=2.0)
    line = re.search(r"pd\.read_csv\([^)]*\)(\.T)?", str(error.value))[0]
    read = eval(line.replace("...", "'utf-16'"), {"pd": pd, "path": path})
    y = make_windows(raw, read, t_r=2.0, window=20.0)[1]
    np.testing.assert_allclose(y, make_windows(raw, table, t_r=2.0, window=20.0)[1])


def test_names_that_come_twice_in_a_file(raw, bold, tmp_path):
    pd.DataFrame(bold, columns=["a", "a", "b"]).to_csv(tmp_path / "bold.csv", index=False)
    with pytest.raises(ValueError, match=r"has \['a'\] more than once"):
        make_windows(raw, tmp_path / "bold.csv", t_r=2.0)


def test_a_column_of_times_among_regions_is_named(raw, bold):
    table = pd.DataFrame(bold, columns=["a", "b", "c"])
    for column in (2.0 * np.arange(len(bold)), np.r_[0, np.arange(5, 4 + len(bold))]):
        with pytest.warns(RuntimeWarning, match=r"Columns \['when'\] of BOLD only count"):
            make_windows(raw, table.assign(when=column), t_r=2.0, window=20.0)


def test_an_index_among_regions_is_named(raw, bold, tmp_path):
    pd.DataFrame(bold, columns=list("abc")).to_csv(tmp_path / "bold.csv")
    with pytest.warns(RuntimeWarning, match=r"Columns \['Unnamed: 0'\] of BOLD only count"):
        make_windows(raw, pd.read_csv(tmp_path / "bold.csv"), t_r=2.0)
    make_windows(raw, pd.read_csv(tmp_path / "bold.csv", index_col=0), t_r=2.0)


@pytest.mark.parametrize("container", [np.asarray, torch.as_tensor, np.ndarray.tolist])
def test_two_dimensions_are_a_recording_whatever_holds_them(raw, bold, container):
    """The scan ends before the recording: windows, which end with their last frame, would slide."""
    expected = BandPowerRidge(t_r=2.0, reader=Reader(sfreq=100.0)).fit(
        [raw.get_data()], [bold[:70]]
    )
    model = BandPowerRidge(t_r=2.0, reader=Reader(sfreq=100.0))
    model.fit([container(raw.get_data())], [bold[:70]])
    np.testing.assert_allclose(model.coef_, expected.coef_)
    drive = np.random.default_rng(0).standard_normal((1, 2000))
    y = np.convolve(drive[0], np.hanning(80))[:2000:20][:70, np.newaxis]
    options = {"t_r": 2.0, "reader": Reader(sfreq=10.0)}
    peak = LearnableHRF(**options).fit([container(drive)], [y]).hrf_peak_time_
    np.testing.assert_allclose(peak, LearnableHRF(**options).fit([drive], [y]).hrf_peak_time_)


def test_one_array_with_a_sampling_rate_is_no_table(bold):
    X = np.random.default_rng(0).standard_normal((100, 20000))
    with pytest.raises(ValueError, match=r"one recording goes into a list, \[X\]"):
        BandPowerRidge(t_r=2.0, reader=Reader(sfreq=100.0)).fit(X, bold)
    model = BandPowerRidge(t_r=2.0, reader=Reader(sfreq=100.0)).fit([X], [bold])
    assert model.coef_.shape[2] == 100


def test_bad_spans_of_channels_that_do_not_enter_do_not_count(raw, bold):
    def count(raw, **options):
        return len(make_windows(raw, bold, t_r=2.0, window=20.0, reader=Reader(**options))[0])

    bad = raw.copy().set_annotations(
        mne.Annotations([100.0, 105.0], 1.0, "BAD_T7", ch_names=[("T7",), ("T7",)])
    )
    assert count(bad) < count(raw) == count(bad, picks=["Fz", "Cz", "Pz"])
    bad.info["bads"] = ["T7"]
    assert count(bad) == count(raw)


@pytest.mark.parametrize(
    ("one", "other"), [(600.614990234375, 600.6150297905054), (250, 249.99999)]
)
def test_rates_that_differ_by_rounding_are_one(one, other, bold):
    rng = np.random.default_rng(0)
    raws = [
        mne.io.RawArray(
            1e-5 * rng.standard_normal((3, int(200 * rate))),
            mne.create_info(3, rate, "eeg"), verbose=False,
        ) for rate in (one, other)
    ]  # fmt: skip
    assert len(make_windows(raws, [bold, bold], t_r=2.0, window=20.0)[0]) == 16
    BandPowerRidge(t_r=2.0).fit(raws, [bold, bold])
    raws[1] = raws[1].copy().resample(100.001 if one == 250 else 100.0, verbose=False)
    with pytest.raises(ValueError, match="is sampled at 100"):
        make_windows(raws, [bold, bold], t_r=2.0)
