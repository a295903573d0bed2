"""With many targets some of them decide, and the rest is fitted on from there."""

from types import SimpleNamespace

import numpy as np
import pytest

from mne_samba import SambaTranslator
from mne_samba._fitting import core_choice, network
from mne_samba.datasets import simulate_paired


@pytest.fixture(scope="module")
def log_world():
    return simulate_paired(
        1, 900.0, level="source", n_sources=8, n_targets=12, snr=4.0, drive="log", random_state=1
    )


def _translator(**options):
    options = {"corrections": "never", "target_bands": False} | options
    return SambaTranslator(t_r=2.0, random_state=0, **options)


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


def test_the_draw_is_seeded_and_stays_away_where_targets_are_few(log_world):
    data = SimpleNamespace(targets=log_world.bolds)
    draw = core_choice.CoreChooser.draw
    assert draw(data, 3) is None
    np.testing.assert_array_equal(draw(data, 3, 4), draw(data, 3, 4))
    assert len(set(draw(data, 3, 4))) == 4
    assert any((draw(data, seed, 4) != draw(data, 3, 4)).any() for seed in range(3))


@pytest.mark.parametrize(("promise", "epochs"), [(False, 0), (True, 1)])
def test_corrections_are_trained_where_a_trial_promises(log_world, monkeypatch, promise, epochs):
    asked = []

    def trial(fitter, core, part, held, some):
        asked.append(len(some))
        return promise

    monkeypatch.setattr(core_choice, "_SOME", 5)
    monkeypatch.setattr(network, "corrections_promise", trial)
    options = {"power": "linear", "map_prior": "sparse", "max_epochs": 1}
    model = _translator(corrections="auto", **options).fit(log_world.raws, log_world.bolds)
    assert (asked, len(model.history_)) == ([5], epochs)
    if not promise:
        model = _translator(corrections="always", **options).fit(log_world.raws, log_world.bolds)
        assert asked == [5]
        assert model.corrections_kept_


def test_the_trial_itself_judges_a_network_of_some_targets(log_world, monkeypatch):
    monkeypatch.setattr(core_choice, "_SOME", 5)
    gains = iter([(0.01, 0.001), (0.001, 0.01)])
    monkeypatch.setattr(
        "mne_samba._fitting.trial.validated_gain", lambda *args: next(gains, (0.0, 0.0))
    )
    seen = []
    original = network.corrections_promise

    def trial(fitter, core, part, held, some):
        seen.extend(original(fitter, core, part, held, some) for _ in range(2))
        return False

    monkeypatch.setattr(network, "corrections_promise", trial)
    options = {"power": "linear", "map_prior": "sparse", "batch_size": 32}
    _translator(corrections="auto", **options).fit(log_world.raws, log_world.bolds)
    assert seen == [True, False]
