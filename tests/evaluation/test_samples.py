"""What `evaluate` reads: frames with their history, people, regions, pairings of its null."""

import dask.sizeof
import mne
import numpy as np
import pandas as pd
import pytest

from mne_samba import Reader, SambaTranslator, make_windows
from mne_samba.evaluation._folds import folds_of
from mne_samba.evaluation._jobs import shuffled_bold
from mne_samba.evaluation._samples import people_of, read_samples

FIRST = 20.0


@pytest.fixture(scope="module")
def recordings():
    rng = np.random.default_rng(0)
    raw = mne.io.RawArray(
        rng.standard_normal((2, 30000)), mne.create_info(2, 100.0, "eeg"), verbose=False
    )
    raw.set_annotations(mne.Annotations(FIRST + 2.0 * np.arange(120), 0.0, "R128"))
    return [raw, raw.copy()], [rng.standard_normal((120, 3)) for _ in range(2)]


def test_dask_sees_how_large_samples_are(recordings):
    translator = SambaTranslator(t_r=2.0, reader=Reader(volume_event="R128"))
    samples = read_samples(translator, *recordings)
    assert dask.sizeof.sizeof(samples) > sum(part.nbytes for part in samples.bold)


@pytest.mark.parametrize("timing", [{"volume_event": "R128"}, {"first_volume": FIRST}])
def test_history_begins_with_the_recording_not_with_the_scan(recordings, timing):
    translator = SambaTranslator(t_r=2.0, reader=Reader(**timing))
    samples = read_samples(translator, *recordings)
    assert samples.n_unknown.tolist() == [5, 5]  # 20 to 28 s of 30 s
    samples = read_samples(translator, *recordings, context=60.0)
    assert samples.n_unknown.tolist() == [20, 20]


def test_runs_of_one_person_are_left_out_together(recordings):
    raws, bolds = recordings
    raws = [raw.copy() for raw in (*raws, raws[0])]
    for raw, name in zip(raws, ("a", "a", "b"), strict=True):
        raw.info["subject_info"] = {"his_id": name}
    translator = SambaTranslator(t_r=2.0, reader=Reader(volume_event="R128"))
    samples = read_samples(translator, raws, [*bolds, bolds[0]])
    assert people_of(samples).tolist() == ["a", "a", "b"]
    for raw in raws:  # as EDF writes people without a name
        raw.info["subject_info"] = {"his_id": "X"}
    assert len(set(people_of(read_samples(translator, raws, [*bolds, bolds[0]])))) == 3


def test_tables_with_other_regions_are_refused(recordings):
    raws, bolds = recordings
    tables = [pd.DataFrame(bold, columns=list("abc")) for bold in bolds]
    with pytest.raises(ValueError, match=r"y\[1\] has other region names"):
        read_samples(SambaTranslator(t_r=2.0), raws, [tables[0], tables[1][list("cab")]])


@pytest.mark.parametrize("n_windows", [8, 9, 13])
def test_shuffled_pairings_never_hold_the_true_one(n_windows):
    rng = np.random.default_rng(0)
    info = mne.create_info(2, 50.0, "eeg")
    n_frames = 15 * n_windows + 15
    raw = mne.io.RawArray(rng.standard_normal((2, 100 * n_frames)), info, verbose=False)
    epochs, y = make_windows(raw, rng.standard_normal((n_frames, 2)), t_r=2.0, window=30.0)
    assert len(epochs) == n_windows
    samples = read_samples(SambaTranslator(t_r=2.0), epochs, y)
    for train, _ in folds_of(samples, None):
        for row, other in zip(train, shuffled_bold(samples, train), strict=True):
            assert not np.isclose(other, samples.bold[row]).all(axis=1).any()
