"""Advice of messages about volumes and images, followed to the letter."""

import re

import mne
import nibabel as nib
import numpy as np
import pytest
from nilearn.maskers import NiftiLabelsMasker

from mne_samba import Reader, make_windows

SFREQ, T_R = 250.0, 2.0


def clock(n_seconds=320):
    """Channel "clock" holds the time of every sample in seconds times 1e-6."""
    times = np.arange(0, n_seconds, 1 / SFREQ)
    noise = 1e-5 * np.random.default_rng(0).standard_normal(len(times))
    info = mne.create_info(["clock", "Cz"], SFREQ, "eeg")
    return mne.io.RawArray(np.vstack([1e-6 * times, noise]), info, verbose=False)


def milliseconds_off(epochs, y, t_r):
    """Clock at the frames of windows against the true times, the first column of BOLD."""
    late = np.stack(epochs.metadata["late"]) if "late" in epochs.metadata else 0.0
    seconds = np.broadcast_to(np.arange(y.shape[1]) * t_r + late, y.shape[:2])
    at = np.rint((seconds - epochs.tmin) * SFREQ).astype(int)
    read = 1e6 * np.take_along_axis(epochs.get_data(picks=["clock"])[:, 0], at, axis=1)
    return 1e3 * np.abs(read - y[..., 0]).max()


def test_gated_volumes_are_named_and_taken_as_times():
    gaps = np.random.default_rng(0).uniform(1.6, 2.4, 140)
    volumes = 10 + np.cumsum(gaps)
    raw = clock().set_annotations(mne.Annotations(volumes, 0.0, "R128"))
    bold = np.random.default_rng(1).standard_normal((140, 3))
    bold[:, 0] = volumes
    with pytest.raises(ValueError, match="come irregularly") as error:
        make_windows(raw, bold, t_r=T_R, window=20.0, reader=Reader(volume_event="R128"))
    said, line = str(error.value).split("for annotations: ")
    low, high = np.diff(volumes).min(), np.diff(volumes).max()
    assert f"{low:.4g} to {high:.4g} s apart" in said
    given = {"raw": raw, "description": "R128", "np": np}
    first, second = line.rstrip(".").split("; ")
    exec(first, given)
    options = eval(f"dict({second})", given)
    reader = Reader(volume_event=options.pop("volume_event"))
    epochs, y = make_windows(raw, bold, window=20.0, reader=reader, **options)
    assert len(epochs) > 10 and milliseconds_off(epochs, y, **options) < 5


@pytest.mark.parametrize("fault", ["lost", "added", "twice the gap"])
def test_times_of_all_volumes_have_to_be_all(fault):
    volumes = 10 + np.cumsum(np.random.default_rng(0).uniform(1.6, 2.4, 120))
    times, frames = volumes, 120
    if fault == "lost":
        times = np.delete(volumes, 50)
    elif fault == "added":
        times = np.insert(volumes, 50, volumes[49] + 0.3)
    else:  # as many as frames, but one is lost and another was added
        times = np.delete(np.insert(volumes, 50, volumes[49] + 0.3), 90)
    with pytest.raises(ValueError, match="come irregularly"):
        make_windows(clock(), np.random.default_rng(1).standard_normal((frames, 2)), t_r=T_R,
                     reader=Reader(volume_event=times))  # fmt: skip


@pytest.mark.parametrize("gap", [0.0, 0.2])
def test_slices_are_thinned_to_volumes(gap):
    """Twenty slices per volume, evenly or followed by a pause, in a cropped recording."""
    volumes = 10 + T_R * np.arange(140)
    slices = volumes[:, np.newaxis] + (T_R - gap) / 20 * np.arange(20)
    raw = clock().set_annotations(mne.Annotations(slices.ravel(), 0.0, "R128")).crop(tmin=4.0)
    bold = np.random.default_rng(1).standard_normal((140, 3))
    bold[:, 0] = volumes
    with pytest.raises(ValueError, match="slices") as error:
        make_windows(raw, bold, t_r=T_R, window=20.0, reader=Reader(volume_event="R128"))
    given = {"raw": raw, "description": "R128", "np": np}
    first, second = str(error.value).split("for annotations: ")[1].rstrip(".").split("; ")
    exec(first, given)
    reader = Reader(**eval(f"dict({second})", given))
    epochs, y = make_windows(raw, bold, t_r=T_R, window=20.0, reader=reader)
    assert len(epochs) > 10 and milliseconds_off(epochs, y, T_R) < 5


def test_frames_after_the_end_are_dropped_as_said():
    """A recording that stops early: a hundred regions are not frames that were swapped."""
    bold = np.random.default_rng(1).standard_normal((164, 100))
    bold[:, 0] = T_R * np.arange(164)
    with pytest.raises(ValueError, match=r"drop the last \d+ frames") as error:
        make_windows(clock(), bold, t_r=T_R, window=20.0)
    assert "swapped" not in str(error.value)
    lost = int(re.search(r"drop the last (\d+)", str(error.value))[1])
    epochs, y = make_windows(clock(), bold[:-lost], t_r=T_R, window=20.0)
    assert milliseconds_off(epochs, y, T_R) < 5


def test_the_line_for_an_image_leads_on(tmp_path):
    labels = np.zeros((4, 4, 4), np.int16)
    labels[:2], labels[2:] = 1, 2
    volumes = T_R * np.arange(150)
    values = np.random.default_rng(0).standard_normal((4, 4, 4, 150)).astype("f4")
    values[labels == 1] = volumes
    affine = np.diag([3.0, 3, 3, 1])
    image = nib.Nifti1Image(values, affine)
    nib.save(image, tmp_path / "bold.nii.gz")
    masker = NiftiLabelsMasker(nib.Nifti1Image(labels, affine), standardize=None)
    for given in (image, tmp_path / "bold.nii.gz", str(tmp_path / "bold.nii.gz")):
        with pytest.raises(TypeError, match=r"masker\.fit_transform\(image\) of a nilearn masker"):
            make_windows(clock(), given, t_r=T_R)
        epochs, y = make_windows(clock(), masker.fit_transform(given), t_r=T_R, window=20.0)
        assert milliseconds_off(epochs, y, T_R) < 5
