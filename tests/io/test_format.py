"""Files that earlier versions wrote are read, and predict what they predicted."""

from pathlib import Path

import mne
import numpy as np
import pytest

from mne_samba import read_samba
from mne_samba.io import FORMAT_VERSION, read_model

DATA = Path(__file__).parents[1] / "data"


def test_every_format_has_a_stored_file():
    stored = sorted(int(p.stem.split("_")[1]) for p in DATA.glob("format_*.samba"))
    assert stored == list(range(1, FORMAT_VERSION + 1))


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_stored_files_are_read_and_predict_the_same(version):
    path = DATA / f"format_{version}.samba"
    assert read_model(path)[0]["format_version"] == version
    translator = read_samba(path)
    with np.load(DATA / f"format_{version}.npz", allow_pickle=False) as stored:
        info = mne.create_info(translator.ch_names_in_, 64.0, "eeg")
        raw = mne.io.RawArray(stored["data"].astype(float), info, verbose="ERROR")
        # Filters and matrix products may round otherwise on another machine.
        np.testing.assert_allclose(translator.predict(raw), stored["predicted"], rtol=0, atol=1e-3)
        np.testing.assert_allclose(translator.hrf_peak_time_, stored["hrf_peak_time"], atol=1e-4)
        np.testing.assert_allclose(translator.band_attention_, stored["band_attention"], atol=1e-5)
    assert translator.corrections_kept_ and translator.provenance_ == [
        {"subject": "01", "task": "rest"}
    ]


def test_files_have_the_permissions_of_other_files(tmp_path):
    import stat

    from mne_samba.io import write_model

    (tmp_path / "plain").touch()
    write_model(tmp_path / "model.samba", {}, {"a": np.zeros(2)})
    modes = {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert len(modes) == 1
