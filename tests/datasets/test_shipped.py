"""Real recordings of one modality that ship with the package."""

import mne
import numpy as np
import pandas as pd

from mne_samba.datasets import load_bold_rest, load_eeg_rest


def test_eeg_rest_is_the_original_with_places(shared_data):
    raw = load_eeg_rest()
    original = mne.io.read_raw_edf(shared_data / "eeg_rest" / "test.edf", verbose="ERROR")
    assert raw.ch_names == original.ch_names and len(raw.ch_names) == 30
    np.testing.assert_array_equal(raw.get_data(), original.get_data())
    x, y, _ = np.array([raw.info["chs"][raw.ch_names.index(n)]["loc"][:3] for n in ("F3", "O2")]).T
    assert x[0] < 0 < x[1] and y[0] > 0 > y[1]


def test_eeg_rest_has_an_alpha_peak():
    raw = load_eeg_rest()
    spectrum = raw.compute_psd(fmin=4, fmax=20, picks=["O1", "O2"], n_fft=1000, verbose="ERROR")
    power, freqs = spectrum.get_data(return_freqs=True)
    assert 8 < freqs[power.mean(0).argmax()] < 11


def test_bold_rest_is_the_original(shared_data):
    data = load_bold_rest()
    original = pd.read_csv(shared_data / "fmri_rois" / "fmri_timeseries.csv")
    assert data.bold.shape == (250, 28) and data.confounds.shape == (250, 3)
    np.testing.assert_allclose(data.bold["LPrec"], original["LPrec"])
    assert np.isfinite(data.bold.to_numpy()).all()


def test_licences_ship_beside_the_files():
    from mne_samba.datasets import _real

    for folder in _real._DATA.iterdir():
        assert any("LICENSE" in path.name for path in folder.iterdir()), folder
