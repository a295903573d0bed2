"""Both directions through one latent space."""

import numpy as np
import pytest
from assemble import assemble
from sklearn.base import clone

from mne_samba import InverseCoreModel, InverseTranslator, read_samba


def both(**params):
    options = {"t_r": 2.0, "direction": "both", "corrections": "never", "random_state": 0,
               "power": "linear", "target_bands": False}  # fmt: skip
    return assemble(**(options | params))


@pytest.fixture(scope="module")
def model(people):
    return both().fit(people.raws[:2], people.bolds[:2])


@pytest.fixture(scope="module")
def alone(people):
    """The way back by itself."""
    model = InverseCoreModel(target_bands=False)
    translator = InverseTranslator(t_r=2.0, model=model, random_state=0)
    return translator.fit(people.bolds[:2], people.raws[:2])


@pytest.fixture(scope="module")
def there(people, model):
    """The way there by itself."""
    return clone(model.forward).fit(people.raws[:2], people.bolds[:2])


def test_each_direction_is_as_good_as_alone(people, model, there, alone):
    np.testing.assert_allclose(model.predict(people.raws[2]), there.predict(people.raws[2]))
    # Power is measured once for both: its bins are added up to those of the way back.
    np.testing.assert_allclose(
        model.translate(people.bolds[2], to="ele"), alone.predict(people.bolds[2]), atol=1e-4
    )


def test_translate_there_is_predict(people, model):
    np.testing.assert_array_equal(
        model.translate(people.raws[2], to="hemo"), model.predict(people.raws[2])
    )


def test_score_is_the_mean_of_both_directions(people, model, there, alone):
    forward = there.score(people.raws[2:], people.bolds[2:])
    back = alone.score(people.bolds[2:], people.raws[2:])
    assert model.score(people.raws[2:], people.bolds[2:]) == pytest.approx(
        (forward + back) / 2, abs=1e-4
    )


def test_modalities_meet_in_one_space(people, model):
    """Latents of unseen BOLD follow those of the electrophysiology of the same time."""
    (ele,) = model.latents(people.raws[2:], modality="ele")
    (hemo,) = model.latents(people.bolds[2:], modality="hemo")
    assert ele.shape == hemo.shape
    inside = slice(0, 190)
    own = [np.corrcoef(a[inside], b[inside])[0, 1] for a, b in zip(ele, hemo, strict=True)]
    assert own[0] > 0.5
    shifted = np.roll(hemo, 70, axis=1)
    assert abs(np.corrcoef(ele[0, inside], shifted[0, inside])[0, 1]) < 0.3


def test_latents_are_one_row_per_sample(windows):
    epochs, y, _ = windows
    model = both(core="quick").fit(epochs[:12], y[:12])
    n_latents = model.latents(epochs[12:]).shape[1]
    for X, modality in ((epochs[12:], "ele"), (y[12:], "hemo")):
        rows = model.transform(X, modality=modality)
        assert rows.shape == (len(y) - 12, 2 * n_latents)
        assert len(model.get_feature_names_out()) == rows.shape[1]


def test_alignment_is_trained_and_moves_nothing_that_held_out_windows_do_not_confirm(people):
    plain = both(core="quick", alignment=None, window=20.0).fit(people.raws, people.bolds)
    assert plain.alignment_history_ == []
    space = plain.inverse_._state().fitted.latents
    np.testing.assert_array_equal(space.ele, space.hemo)
    aligned = both(core="quick", window=20.0).fit(people.raws, people.bolds)
    losses = [row["valid_loss"] for row in aligned.alignment_history_]
    assert min(losses) <= losses[0]
    if min(losses) < losses[0] - 1e-4:
        assert not np.array_equal(aligned.inverse_._state().fitted.latents.ele, space.ele)


def test_file_holds_both_directions(people, model, tmp_path):
    model.save(tmp_path / "both.samba")
    read = read_samba(tmp_path / "both.samba")
    for to, X in (("hemo", people.raws[2]), ("ele", people.bolds[2])):
        np.testing.assert_array_equal(read.translate(X, to=to), model.translate(X, to=to))
    np.testing.assert_array_equal(
        read.transform(people.bolds, modality="hemo"),
        model.transform(people.bolds, modality="hemo"),
    )


def test_a_failed_warm_fit_leaves_the_earlier_one(people):
    """Also where the way there was fitted again before the way back failed."""
    model = both(warm_start=True, core="quick", alignment=None)
    model.fit(people.raws[:1], people.bolds[:1])
    parts = model.forward_, model.inverse_
    before = [dict(vars(part)) for part in parts]
    expected = model.predict(people.raws[2]), model.translate(people.bolds[2], to="ele")
    # The way there is fitted again; the way back is asked to begin with another model.
    model.set_params(inverse__model="paper")
    with pytest.raises(ValueError, match=r"warm_start=True .* now InversePaperModel is asked for"):
        model.fit(people.raws[1:2], people.bolds[1:2])
    assert (model.forward_, model.inverse_) == parts
    for part, known in zip(parts, before, strict=True):
        assert vars(part).keys() == known.keys()
        assert all(vars(part)[name] is value for name, value in known.items())
    now = model.predict(people.raws[2]), model.translate(people.bolds[2], to="ele")
    for one, other in zip(expected, now, strict=True):
        np.testing.assert_array_equal(one, other)


def test_wrong_target_is_refused(people, model):
    with pytest.raises(ValueError, match="to must be one of"):
        model.translate(people.raws, to="meg")
    with pytest.raises(ValueError, match="modality must be one of"):
        model.transform(people.raws, modality="fmri")


def test_wrong_modality_is_refused(people, model):
    with pytest.raises(ValueError, match="electrophysiology"):
        model.translate(people.raws, to="ele")
    with pytest.raises(ValueError, match="BOLD"):
        model.transform(people.raws, modality="hemo")


def test_tables_have_no_time():
    with pytest.raises(ValueError, match="table"):
        both().fit(np.zeros((50, 3)), np.zeros((50, 2)))


def test_alignment_option_is_checked(people):
    with pytest.raises(ValueError, match="alignment"):
        both(alignment="cca").fit(people.raws, people.bolds)
