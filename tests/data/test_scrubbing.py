"""Rows that scrubbing removed come back, and every frame lies where it was acquired."""

import re

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker

from mne_samba import Reader, make_windows
from mne_samba.baselines import BandPowerRidge
from mne_samba.windows import restore_frames

SFREQ, T_R = 100.0, 2.0
VOLUMES = np.arange(0, 300, T_R)
GONE = [0, 1, 2, 40, 41, 42, 43, 44, 90, 91, 92, 93]
KEPT = np.setdiff1d(np.arange(150), GONE)


@pytest.fixture(scope="module")
def raw():
    t = np.arange(0, 300, 1 / SFREQ)
    noise = 1e-5 * np.random.default_rng(0).standard_normal(len(t))
    info = mne.create_info(["clock", "Cz"], SFREQ, "eeg")
    raw = mne.io.RawArray(np.vstack([1e-6 * t, noise]), info, verbose=False)
    return raw.set_annotations(mne.Annotations(VOLUMES, 0.0, "R128"))


@pytest.fixture(scope="module")
def masked():
    """What a masker gives: the first region is the true time of the frame."""
    labels = np.zeros((4, 4, 4), np.int16)
    labels[:2], labels[2:] = 1, 2
    image = np.random.default_rng(0).standard_normal((4, 4, 4, 150))
    image[labels == 1] = VOLUMES
    affine = np.diag([3.0, 3, 3, 1])
    masker = NiftiLabelsMasker(nib.Nifti1Image(labels, affine), standardize=None)
    return masker.fit_transform(nib.Nifti1Image(image.astype("f4"), affine), sample_mask=KEPT)


def seconds_off(epochs, y):
    at = round(-epochs.tmin * SFREQ) + np.rint(np.arange(10) * T_R * SFREQ).astype(int)
    return np.nanmax(np.abs(1e6 * epochs.get_data(picks=["clock"])[:, 0, at] - y[..., 0]))


@pytest.mark.parametrize("mask", [KEPT, np.isin(np.arange(150), KEPT)], ids=["index", "bool"])
@pytest.mark.parametrize("reader", [Reader(), Reader(volume_event="R128")], ids=["grid", "events"])
def test_frames_lie_where_they_were_acquired(raw, masked, mask, reader):
    options = {"t_r": T_R, "window": 20.0, "context": 10.0, "reader": reader}
    epochs, y = make_windows(raw, masked, sample_mask=mask, **options)
    assert len(epochs) == 14 and seconds_off(epochs, y) < 1e-3
    epochs, y = make_windows([raw, raw], [masked, masked], sample_mask=[mask, mask], **options)
    assert len(epochs) == 28 and seconds_off(epochs, y) < 1e-3


def test_messages_name_scrubbing(raw, masked):
    with pytest.raises(ValueError, match="sample_mask of the masker"):
        make_windows(raw, masked, t_r=T_R, reader=Reader(volume_event="R128"))
    with mne.utils.catch_logging(verbose="info") as log:
        make_windows(raw, masked, t_r=T_R)
    assert "goes on for 24 s (12 volumes)" in log.getvalue()


def test_rows_are_put_back():
    bold = np.arange(6.0).reshape(3, 2)
    expected = [[0, 1], [np.nan] * 2, [2, 3], [4, 5], [np.nan] * 2]
    np.testing.assert_array_equal(restore_frames(bold, [0, 2, 3], 5), expected)
    np.testing.assert_array_equal(restore_frames(bold, [True, False, True, True, False]), expected)
    frame = restore_frames(pd.DataFrame(bold, columns=["a", "b"]), [0, 2, 3], 5)
    np.testing.assert_array_equal(frame, expected)
    assert list(frame.columns) == ["a", "b"]
    assert restore_frames(bold, [0, 2, 3]).shape == (4, 2)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([0, 1], "keeps 2 volumes, but BOLD has 3 rows"),
        ([2, 1, 0], "must ascend"),
        ([0, 1, 9], "within the 5 volumes"),
        ([0.0, 1.0, 2.0], "indices of the volumes"),
        ([[0, 1, 2]], "indices of the volumes"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        restore_frames(np.ones((3, 2)), mask, 5)


@pytest.mark.parametrize("kind", ["volumes", "seconds", "DataArray", "Timedelta"])
def test_an_index_that_jumps_tells_of_removed_rows(raw, masked, kind):
    if kind == "DataArray":
        xarray = pytest.importorskip("xarray")
        bold = xarray.DataArray(masked, dims=("time", "region"), coords={"time": T_R * KEPT})
        index = bold["time"].to_numpy()
    else:
        index = KEPT if kind == "volumes" else T_R * KEPT
        index = pd.to_timedelta(index - index[0], "s") if kind == "Timedelta" else index
        bold = pd.DataFrame(masked, columns=["a", "b"], index=index)
    options = {"t_r": T_R, "window": 20.0, "context": 10.0}
    with pytest.raises(ValueError, match=r"^The index of bold jumps from .* rows were removed"):
        make_windows(raw, bold, **options)
    with pytest.raises(ValueError, match=r"^The index of y\[0\] jumps") as error:
        BandPowerRidge(t_r=T_R).fit([raw], [bold])
    mask = eval(str(error.value).split("sample_mask=")[1].split(" to make")[0])
    mask = mask + KEPT[0] if kind == "Timedelta" else mask
    epochs, y = make_windows(raw, bold, sample_mask=mask, **options)
    assert seconds_off(epochs, y) < 1e-3


def test_an_index_in_seconds_tells_t_r(raw, masked):
    bold = pd.DataFrame(masked[:100], columns=["a", "b"], index=2.5 * np.arange(100))
    with pytest.raises(ValueError, match=r"goes on by 2\.5 .* pass t_r=2\.5"):
        make_windows(raw, bold, t_r=T_R)
    for index in (np.arange(5, 105), T_R * np.arange(100), 1e3 * T_R * np.arange(100)):
        make_windows(raw, bold.set_axis(index), t_r=T_R, window=20.0)


def test_runs_in_one_table_are_no_recording(raw, masked):
    table = pd.DataFrame(masked[:70], columns=["a", "b"])
    with pytest.raises(ValueError, match="goes back from 69 to 0 at row 70: are these several"):
        make_windows(raw, pd.concat([table, table]), t_r=T_R)
    whole = pd.concat([table, table], ignore_index=True)
    make_windows(raw, whole, t_r=T_R, window=20.0)


def test_volumes_that_were_scrubbed_last(raw, masked):
    """A mask of indices does not tell how many volumes came after the last that was kept."""
    kept = KEPT[:-3]
    options = {"t_r": T_R, "window": 20.0, "context": 10.0, "reader": Reader(volume_event="R128")}
    with pytest.raises(ValueError, match="makes 147 volumes, but volume_event marks 150") as error:
        make_windows(raw, masked[:-3], sample_mask=kept, **options)
    line = re.search(r"restore_frames\([^)]*\)", str(error.value))[0]
    bold = eval(line, {"restore_frames": restore_frames, "bold": masked[:-3], "sample_mask": kept})
    epochs, y = make_windows(raw, bold, **options)
    assert len(epochs) == 14 and seconds_off(epochs, y) < 1e-3


def test_scrubbed_rows_taken_for_dummy_scans(raw, masked):
    reader = Reader(volume_event="R128", n_dummy=len(GONE))
    with pytest.warns(RuntimeWarning, match=r"n_dummy=12: BOLD lacks the first 24 s.*sample_mask"):
        make_windows(raw, masked, t_r=T_R, window=20.0, reader=reader)
    bold = np.random.default_rng(0).standard_normal((145, 2))
    few = Reader(volume_event="R128", n_dummy=5)
    make_windows(raw, bold, t_r=T_R, window=20.0, reader=few)
