"""LearnableHRF and recordings with gaps: what BAD spans hold does not matter."""

import mne
import numpy as np

from mne_samba import LearnableHRF, Reader
from mne_samba.hrf import double_gamma, glover_params


def test_missing_samples_in_a_bad_span_cost_no_more_than_the_span():
    rng = np.random.default_rng(0)
    drive = rng.standard_normal((2, 4000))
    response = double_gamma(np.arange(0, 30, 0.1), glover_params())
    bold = np.stack([np.convolve(d, response)[:4000:20] for d in drive], axis=1)
    info = mne.create_info(2, 10.0, "misc")
    spans = mne.Annotations([149.5], [3.0], ["BAD_gap"])
    fits = []
    for value in (5.0, np.nan):
        signal = drive.copy()
        signal[1, 1500:1520] = value
        raw = mne.io.RawArray(signal, info, verbose=False).set_annotations(spans)
        model = LearnableHRF(t_r=2.0, reader=Reader(picks="misc"), verbose=False)
        fits.append(model.fit(raw, bold))
    np.testing.assert_allclose(fits[1].hrf_params_, fits[0].hrf_params_)
    np.testing.assert_allclose(fits[1].predict(raw), fits[0].predict(raw))
