"""Corrections are kept where held-out frames confirm them, and the log says what was done."""

import numpy as np
import pytest
from small_data import paired

from mne_samba.models import CoreModel, SambaModel, Trainer
from mne_samba.models.corrections import Corrections, Judgement, confirmed
from mne_samba.models.validation import validated_scale, validated_shrinkage

FAST = {"power": "linear", "target_bands": False, "map_prior": "gaussian", "hrf_length": 20.0}
TRAINER = Trainer(device="cpu", max_epochs=2, window=40.0)


@pytest.mark.parametrize(
    ("gain", "always", "kept", "said"),
    [
        ([0.1, 0.11, 0.09], False, True, ": kept."),
        ([0.1, -0.1, 0.0], False, False, ": left out."),
        ([0.1, -0.1, 0.0], True, True, ': kept, as corrections="always" asks.'),
        ([0.001, 0.001, 0.001], False, False, ": left out."),
        ([0.5], False, True, ": kept."),
    ],
)
def test_gains_must_be_certain(gain, always, kept, said, capsys):
    import mne

    with mne.use_log_level("INFO"):
        found = confirmed(np.array(gain), always, "Corrections")
    assert found[0] is kept
    assert found[1] == pytest.approx(np.mean(gain))
    assert said in capsys.readouterr().out


def test_always_never_says_left_out(capsys):
    import mne

    with mne.use_log_level("INFO"):
        fitted = SambaModel(**FAST, corrections="always", n_hidden=4).fit(paired(), TRAINER, 0)
    text = capsys.readouterr().out
    assert "left out" not in text and "held-out correlation by" in text
    assert fitted.judgement.kept and fitted.network.spec["recurrent"] == "lstm"
    assert fitted.judgement.gain is not None and fitted.judgement.epochs <= 2


def test_what_is_left_out_does_not_count(monkeypatch):
    monkeypatch.setattr("mne_samba.models.corrections.confirmed", lambda *args: (False, -0.1, 0.01))
    monkeypatch.setattr("mne_samba.models.corrections._SHORT", 0.0)
    promises = Corrections.promises
    monkeypatch.setattr(Corrections, "promises", lambda *args: (True, promises(*args)[1]))
    data = paired()
    fitted = SambaModel(**FAST, n_hidden=4).fit(data, TRAINER, 0)
    core = CoreModel(**FAST).fit(data, TRAINER, 0)
    assert not fitted.judgement.kept and len(fitted.judgement.history) == 2
    numbers = [sum(v.size for v in f.network.state.values()) for f in (fitted, core)]
    assert numbers[0] == numbers[1]
    for one, other in zip(
        fitted.frames(data.powers, data.grid), core.frames(data.powers, data.grid), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("promise", [True, False])
def test_a_trial_asks_some_of_many_targets(monkeypatch, promise):
    from mne_samba.models import core_choice, corrections

    monkeypatch.setattr(core_choice, "_SOME", 3)
    monkeypatch.setattr(corrections, "_SHORT", 0.0)
    asked, promises = [], Corrections.promises

    def trial(self, network, core, part, held):
        asked.append(part.n_targets)
        return promise, promises(self, network, core, part, held)[1]

    monkeypatch.setattr(Corrections, "promises", trial)
    data = paired(n_targets=7)
    fitted = SambaModel(**FAST, n_hidden=4).fit(data, TRAINER, 0)
    assert asked == ([3, 7] if promise else [3])
    assert len(fitted.judgement.history) == (2 if promise else 0)
    SambaModel(**FAST, n_hidden=4, corrections="always").fit(data, TRAINER, 0)
    assert asked[-1] == 7, "some are not asked where corrections are wanted in any case"


def test_short_recordings_train_no_corrections_unless_they_are_wanted(capsys):
    import mne

    for always, trained in (("auto", 0), ("always", 2)):
        with mne.use_log_level("INFO"):
            fitted = SambaModel(**FAST, n_hidden=4, corrections=always).fit(paired(), TRAINER, 0)
        assert len(fitted.judgement.history) == trained
        # What is held out still says how far predictions are off.
        assert fitted.judgement.held is not None
        told = "too few to learn corrections" in capsys.readouterr().out
        assert told is (trained == 0)


def test_an_open_judgement_trains_to_the_end():
    judgement = Judgement.open(Trainer(max_epochs=7))
    assert (judgement.kept, judgement.epochs, judgement.history) == (False, 7, [])
    used = judgement.used([{"epoch": 1.0}])
    assert used.kept and used.history == [{"epoch": 1.0}]
    assert used.used([{"epoch": 2.0}]).history == [{"epoch": 1.0}], "what was judged is shown"


def test_slopes_of_held_out_frames():
    data = paired()
    frames = [2 * target for target in data.targets]
    np.testing.assert_allclose(validated_scale(frames, data), 0.5)
    assert validated_shrinkage(frames, data) == pytest.approx(0.5)
    assert validated_shrinkage([-f for f in frames], data) == 0.05
    assert validated_shrinkage([f / 10 for f in frames], data) == 1.0


@pytest.mark.parametrize("attention", [True, False])
def test_own_bands_doubt_some_frames_more_than_others(attention):
    """Each region follows one band: where that band's power is large, its error is too."""
    data = paired(own=True, n_targets=6)
    model = CoreModel(power="linear", target_bands=True, band_attention=attention)
    fitted = model.fit(data, TRAINER, 0)
    (std,) = fitted.std(data.powers, data.grid)
    assert (std.std(axis=0) > 1e-4 * std.mean(axis=0)).all()
    assert fitted.judgement.held.variance.min() > 0
    assert (fitted.core.extra_variance is None) is not attention


def test_intervals_come_from_the_variance_of_coefficients():
    """Each coefficient's variance times the squared course of its band, by a plain sum."""
    from mne_samba.models.intervals import model_variance

    data = paired(own=True, n_targets=3, n_frames=200)
    core = CoreModel(power="linear", target_bands=True).fit(data, TRAINER, 0).core
    kernel, power, grid = core.kernel.mean(axis=0), data.powers[0], data.grid
    last = grid.n_lags + grid.step * np.arange(len(data.targets[0]))
    course = np.stack(
        [power[..., t - grid.n_lags : t].astype(float) @ kernel[::-1] * grid.dt for t in last]
    )
    expected = np.einsum("mnk,tnk->tm", core.extra_variance, course**2)
    np.testing.assert_allclose(model_variance(core, power), expected, rtol=1e-6)


def test_without_graphs_and_recurrence_there_is_nothing_to_keep():
    data = paired()
    options = {"graph": None, "recurrent": None, "corrections": "always"}
    fitted = SambaModel(**FAST, **options).fit(data, TRAINER, 0)
    core = CoreModel(**FAST).fit(data, TRAINER, 0)
    assert not fitted.judgement.kept and not fitted.judgement.history
    for one, other in zip(
        fitted.frames(data.powers, data.grid), core.frames(data.powers, data.grid), strict=True
    ):
        np.testing.assert_array_equal(one, other)
