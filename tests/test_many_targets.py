"""With many targets some of them decide, and the rest is fitted on from there."""

import numpy as np
import pytest
from assemble import assemble

from mne_samba.datasets import simulate_paired
from mne_samba.models import core_choice


@pytest.fixture(scope="module")
def log_world():
    return simulate_paired(
        1, 900.0, level="source", n_sources=8, n_targets=12, snr=4.0, sfreq=100.0, drive="log",
        random_state=1,
    )  # fmt: skip


def _translator(**options):
    options = {"corrections": "never", "target_bands": False} | options
    return assemble(t_r=2.0, random_state=0, **options)


def test_some_targets_choose_the_scale_and_all_are_fitted_as_well(log_world, monkeypatch):
    whole = _translator().fit(log_world.raws, log_world.bolds)
    monkeypatch.setattr(core_choice, "_SOME", 5)
    some = _translator().fit(log_world.raws, log_world.bolds)
    assert (some.power_, whole.power_) == ("log", "log")
    clean = log_world.truth.clean_bolds[0][15:]
    for model in (some, whole):
        model.r = [
            np.corrcoef(c, p)[0, 1]
            for c, p in zip(clean.T, model.predict(log_world.raws[0])[15:].T, strict=True)
        ]
    np.testing.assert_allclose(some.r, whole.r, atol=0.02)
