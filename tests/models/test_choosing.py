"""Choosing a core is a function of data: nothing is remembered aside, nothing is fitted twice."""

import dataclasses

import numpy as np
import pytest
from small_data import paired

from mne_samba import Reader, SambaTranslator
from mne_samba.models import CoreModel, PaperModel, SambaModel, Trainer, core_choice
from mne_samba.models.core_choice import Choice, CoreOptions, choose_core, draw

OPTIONS = CoreOptions.of(CoreModel(map_prior="sparse", hrf="double_gamma"), seed=3)
SPLIT = Trainer().split


@pytest.fixture
def fits(monkeypatch):
    """Frames and targets of every fit that is made."""
    made = []

    def counted(fit):
        def call(powers, targets, *args, **kwargs):
            made.append((sum(map(len, targets)), targets[0].shape[1], fit.__name__))
            return fit(powers, targets, *args, **kwargs)

        return call

    for name in ("fit_core", "fit_own_bands"):
        monkeypatch.setattr(core_choice, name, counted(getattr(core_choice, name)))
    return made


def same(one, other):
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.spatial_map, other.spatial_map)
    np.testing.assert_array_equal(one.hrf_params, other.hrf_params)


def test_the_order_of_calls_does_not_matter():
    data = paired()
    choice, part = choose_core(data, OPTIONS, SPLIT), SPLIT(data)[0]
    first = choice.of_part(part)
    one = first.whole()
    first.of_part(part), choice.whole(), choice.in_blocks()
    same(choice.of_part(part).part, first.part)
    same(first.whole(), one)
    with pytest.raises(dataclasses.FrozenInstanceError):
        choice.own_bands = True


def test_fits_go_on_from_what_choosing_fitted(fits):
    data = paired()
    choice = choose_core(data, OPTIONS, SPLIT)
    part = SPLIT(data)[0]
    # Linear and log power by simple maps, the core, and own bands, all on the training part.
    assert [n for n, _, _ in fits] == [part.n_frames] * 4
    # The core of the part is there: one fit goes on from it.
    assert choice.of_part(part) is choice
    choice.whole()
    assert [n for n, _, _ in fits[4:]] == [data.n_frames]


def test_close_scales_of_power_are_compared_by_whole_cores(fits, monkeypatch):
    monkeypatch.setattr(core_choice, "_CLEAR_POWER", 1.0)
    data = paired()
    choice = choose_core(data, OPTIONS, SPLIT)
    part = SPLIT(data)[0]
    # Two by simple maps, two as they will be fitted, and own bands.
    assert [n for n, _, _ in fits] == [part.n_frames] * 5
    # What was compared ended early: one fit goes on from the winner, and one from that.
    fitted = choice.of_part(part)
    assert fitted.of_part(part) is fitted
    fitted.whole()
    assert [n for n, _, _ in fits[5:]] == [part.n_frames, data.n_frames]
    assert len(fitted.part.elbo) > 0 and fitted.part.state is not choice.some.state


@pytest.mark.parametrize("own", [False, True])
def test_bands_are_chosen_by_held_out_frames(own):
    data = paired(n_frames=500, own=own, n_targets=6, noise=0.3)
    choice = choose_core(data, dataclasses.replace(OPTIONS, power="linear"), SPLIT)
    assert choice.own_bands is own and not choice.data.scaler.log
    assert choice.data.raw is None and data.raw is not None


def test_short_data_are_chosen_for_in_blocks(fits):
    data = paired(n_frames=120)
    choice = choose_core(data, OPTIONS, SPLIT)
    assert choice.part is None and len(choice.blocks) == 6
    made = len(fits)
    assert choice.in_blocks() is choice.blocks and len(fits) == made


def test_many_targets_are_fitted_on_from_some(fits, monkeypatch):
    monkeypatch.setattr(core_choice, "_SOME", 2)
    data = paired(n_targets=5)
    part = SPLIT(data)[0]
    choice = choose_core(data, dataclasses.replace(OPTIONS, target_bands=False), SPLIT)
    assert choice.part is None
    assert {targets for _, targets, _ in fits} == {2}
    fits.clear()
    choice.of_part(part)
    assert fits == [(part.n_frames, n, "fit_core") for n in (2, 5)]


def test_draws_are_seeded():
    data = paired(n_targets=9)
    assert draw(data, 3) is None and draw(data, 3, 5) is None
    np.testing.assert_array_equal(draw(data, 3, 4), draw(data, 3, 4))
    assert len(set(draw(data, 3, 4))) == 4
    assert any((draw(data, seed, 4) != draw(data, 3, 4)).any() for seed in range(3))


def test_a_core_of_others_brings_its_structure():
    data = paired()
    for own in (False, True):
        options = dataclasses.replace(OPTIONS, target_bands=own)
        previous = Choice(options, data, own).whole()
        assert choose_core(data, OPTIONS, SPLIT, previous).own_bands is own


def test_options_are_those_of_the_model():
    assert CoreOptions.of(SambaModel(power="log", hrf="fir"), 1).hrf == "fir"
    assert CoreOptions.of(SambaModel(power="log"), 1) == CoreOptions.of(CoreModel(power="log"), 1)


@pytest.mark.parametrize("own", [False, True])
def test_a_core_without_band_attention_has_equal_weights_of_bands(own):
    data = paired(n_bands=3)
    options = dataclasses.replace(OPTIONS, band_attention=False, target_bands=own)
    core = Choice(options, data, own).whole()
    coefficients = core.spatial_map[:, :, None] * core.weights
    coefficients = coefficients if core.extra is None else coefficients + core.extra
    np.testing.assert_allclose(coefficients, coefficients[:, :, :1] + np.zeros(3), atol=1e-12)


@pytest.mark.parametrize(
    ("model", "kept"), [(CoreModel(), True), (CoreModel(power="log"), False), (PaperModel(), False)]
)
def test_raw_power_is_kept_only_where_its_scale_is_chosen(monkeypatch, model, kept):
    seen = []

    def fit(self, data, *args):
        seen.append(data.raw is not None)
        raise InterruptedError

    monkeypatch.setattr(type(model), "fit", fit)
    rng = np.random.default_rng(0)
    with pytest.raises(InterruptedError):
        SambaTranslator(t_r=2.0, model=model, reader=Reader(sfreq=100.0)).fit(
            [rng.standard_normal((2, 12000))], [rng.standard_normal((60, 3))]
        )
    assert seen == [kept]
