"""Frames without a whole history are counted by the times that the reader gives them."""

import mne
import numpy as np
import pytest

from mne_samba import Reader, SambaTranslator
from mne_samba.evaluation._samples import read_samples

FIRST = 20.0


@pytest.fixture(scope="module")
def recordings():
    rng = np.random.default_rng(0)
    raw = mne.io.RawArray(
        rng.standard_normal((2, 30000)), mne.create_info(2, 100.0, "eeg"), verbose=False
    )
    raw.set_annotations(mne.Annotations(FIRST + 2.0 * np.arange(120), 0.0, "R128"))
    return [raw, raw.copy()], [rng.standard_normal((120, 3)) for _ in range(2)]


@pytest.mark.parametrize("timing", [{"volume_event": "R128"}, {"first_volume": FIRST}])
def test_history_begins_with_the_recording_not_with_the_scan(recordings, timing):
    translator = SambaTranslator(t_r=2.0, reader=Reader(**timing))
    samples = read_samples(translator, *recordings)
    assert samples.n_unknown.tolist() == [5, 5]  # 20 to 28 s of 30 s
    samples = read_samples(translator, *recordings, context=60.0)
    assert samples.n_unknown.tolist() == [20, 20]
