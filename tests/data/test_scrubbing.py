"""Rows that scrubbing removed come back, and every frame lies where it was acquired."""

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker

from mne_samba import Reader, make_windows
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
