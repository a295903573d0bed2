"""Files that earlier versions wrote are read, and predict what they predicted."""

import stat
from pathlib import Path

import mne
import numpy as np

from mne_samba import read_samba
from mne_samba.io import FORMAT_VERSION, read_model, write_model

DATA = Path(__file__).parents[1] / "data"


def test_the_stored_file_is_read_and_predicts_the_same():
    path = DATA / f"format_{FORMAT_VERSION}.samba"
    translator = read_samba(path)
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
        info = mne.create_info(translator.ch_names_in_, 64.0, "eeg")
        raw = mne.io.RawArray(stored["data"].astype(float), info, verbose="ERROR")
        # Filters and matrix products may round otherwise on another machine.
        np.testing.assert_allclose(translator.predict(raw), stored["predicted"], rtol=0, atol=1e-3)
        np.testing.assert_allclose(translator.hrf_peak_time_, stored["hrf_peak_time"], atol=1e-4)
        np.testing.assert_allclose(translator.band_attention_, stored["band_attention"], atol=1e-5)
    assert translator.corrections_kept_
    assert translator.provenance_ == [{"subject": "01", "task": "rest"}]


def test_arrays_keep_their_shape(tmp_path):
    given = {"number": np.array(2.5), "turned": np.arange(6.0).reshape(2, 3).T, "none": np.ones(0)}
    write_model(tmp_path / "model.samba", {}, given)
    _, read = read_model(tmp_path / "model.samba")
    for name, array in given.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


def test_files_have_the_permissions_of_other_files(tmp_path):
    (tmp_path / "plain").touch()
    write_model(tmp_path / "model.samba", {}, {"a": np.zeros(2)})
    modes = {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert len(modes) == 1
