"""Labels from latents: BOLD and labels apart, frozen translators, what is refused."""

import numpy as np
import pytest
import sklearn
from assemble import assemble
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mne_samba import SambaClassifier, make_windows
from mne_samba.datasets import simulate_paired


def translator(**params):
    options = {"t_r": 2.0, "direction": "both", "corrections": "never", "random_state": 0,
               "core": "quick"}  # fmt: skip
    return assemble(**(options | params))


@pytest.fixture(scope="module")
def stimuli():
    """Four people at three stimuli that set most of their band power, in windows of 40 s."""
    data = simulate_paired(
        4, 480.0, level="source", n_sources=6, n_targets=8, snr=4.0, sfreq=100.0, n_stimuli=3,
        stimulus_variance=0.8, random_state=0,
    )  # fmt: skip
    epochs, y = make_windows(
        data.raws, data.bolds, t_r=2.0, window=40.0, subject=list(data.subjects)
    )
    table = data.stimuli
    labels = []
    for subject, onset in zip(epochs.metadata["subject"], epochs.metadata["onset"], strict=True):
        own = table[table["subject"] == subject]
        inside = (own["onset"] <= onset + 20) & (onset + 20 < own["onset"] + own["duration"])
        labels.append(own["label"][inside].iloc[0])
    return epochs, y, np.array(labels), np.asarray(epochs.metadata["subject"])


def test_stimuli_are_decoded_in_people_without_bold(stimuli):
    epochs, y, labels, who = stimuli
    train, test = np.flatnonzero(who != "sub-04"), np.flatnonzero(who == "sub-04")
    decoder = SambaClassifier(translator()).fit(epochs[train], labels[train], bold=y[train])
    assert decoder.score(epochs[test], labels[test]) > 0.6
    assert list(decoder.classes_) == sorted(set(labels))
    np.testing.assert_allclose(decoder.predict_proba(epochs[test]).sum(axis=1), 1)


def test_frozen_translator_is_used_as_it_is(stimuli):
    epochs, y, labels, _ = stimuli
    fitted = translator().fit(epochs[:20], y[:20])
    before = fitted.predict(epochs[:2])
    decoder = make_pipeline(
        FunctionTransformer(), SambaClassifier(FrozenEstimator(fitted), n_blocks=4)
    )
    scores = cross_val_score(decoder, epochs, labels, cv=2)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(fitted.predict(epochs[:2]), before)


def test_bold_travels_as_metadata(stimuli):
    epochs, y, labels, _ = stimuli
    with sklearn.config_context(enable_metadata_routing=True):
        decoder = SambaClassifier(translator()).set_fit_request(bold=True)
        scores = cross_val_score(decoder, epochs, labels, cv=2, params={"bold": y})
    assert np.isfinite(scores).all()


def test_bold_itself_can_be_decoded(stimuli):
    epochs, y, labels, _ = stimuli
    fitted = translator(direction="hemo_to_ele").fit(y, epochs)
    decoder = SambaClassifier(fitted).fit(y, labels)
    assert decoder.score(y, labels) > 0.5


@pytest.mark.parametrize("modality", ["ele", "hemo"])
def test_the_way_back_is_fitted_to_either_modality(stimuli, modality):
    """BOLD goes first, whichever of the two carries the labels."""
    epochs, y, labels, _ = stimuli
    back = translator(direction="hemo_to_ele")
    X, other = (epochs, y) if modality == "ele" else (y, epochs)
    decoder = SambaClassifier(back, modality=modality).fit(X, labels, bold=other)
    alone = back.fit(y, epochs)
    np.testing.assert_array_equal(decoder.translator_.predict(y), alone.predict(y))
    assert decoder.score(X, labels) > 0.5


def test_features_are_averages_of_parts_of_latent_courses(stimuli):
    epochs, y, labels, _ = stimuli
    fitted = translator().fit(epochs, y)
    decoder = SambaClassifier(fitted, LogisticRegression(), n_blocks=2).fit(epochs, labels)
    courses = fitted.latents(epochs[:3])
    expected = [courses[..., :10].mean(-1), courses[..., 10:].mean(-1)]
    np.testing.assert_allclose(decoder.transform(epochs[:3]), np.concatenate(expected, axis=1))


def test_translator_of_one_direction_gives_its_transform(windows, people, fitted):
    epochs, _, who = windows
    decoder = SambaClassifier(fitted).fit(epochs, who)
    np.testing.assert_array_equal(decoder.transform(epochs[:2]), fitted.transform(epochs[:2]))


@pytest.mark.parametrize("option", [{"modality": "ele"}, {"modality": "hemo"}, {"n_blocks": 8}])
def test_what_means_nothing_beside_a_transform_is_refused(windows, fitted, option):
    epochs, _, who = windows
    (name,) = option
    for given, kind in ((fitted, "SambaTranslator"), (FunctionTransformer(), "FunctionTransfor")):
        for translator_ in (given, FrozenEstimator(given)):
            with pytest.raises(ValueError, match=rf"{name}=.* has no effect .* {kind}"):
                SambaClassifier(translator_, **option).fit(epochs, who)


def test_eight_parts_unless_told(stimuli):
    epochs, y, labels, _ = stimuli
    fitted = translator(direction="hemo_to_ele").fit(y, epochs)
    rows = [
        SambaClassifier(fitted, n_blocks=n).fit(y, labels).transform(y[:3]) for n in (None, 8, 4)
    ]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert rows[0].shape[1] == 2 * rows[2].shape[1]


def test_a_failed_fit_leaves_the_earlier_one(stimuli):
    """Also where the classifier fails, after the translator was fitted."""
    epochs, y, labels, _ = stimuli
    decoder = SambaClassifier(translator(direction="hemo_to_ele")).fit(y, labels, bold=epochs)
    before, expected = dict(vars(decoder)), decoder.predict_proba(y[:3])
    decoder.set_params(classifier=LogisticRegression(C=-1.0))
    with pytest.raises(ValueError, match="'C' parameter"):
        decoder.fit(y[::2], labels[::2], bold=epochs[::2])
    decoder.set_params(classifier=None)
    assert vars(decoder).keys() == before.keys()
    assert all(vars(decoder)[name] is value for name, value in before.items())
    np.testing.assert_array_equal(decoder.predict_proba(y[:3]), expected)


def test_what_cannot_be_is_refused(stimuli):
    epochs, y, labels, _ = stimuli
    decoder = SambaClassifier(translator())
    with pytest.raises(ValueError, match="no BOLD is given"):
        decoder.fit(epochs, labels)
    with pytest.raises(ValueError, match="bold must be BOLD"):
        decoder.fit(epochs, labels, bold=labels)
    with pytest.raises(ValueError, match="BOLD goes to"):
        decoder.fit(epochs, y)
    with pytest.raises(ValueError, match="one class alone"):
        decoder.fit(epochs, np.zeros(len(epochs), int), bold=y)
    with pytest.raises(ValueError, match="modality"):
        SambaClassifier(translator(), modality="meg").fit(epochs, labels, bold=y)
    frozen = FrozenEstimator(translator())
    with pytest.raises(ValueError, match="frozen"):
        SambaClassifier(frozen).fit(epochs, labels, bold=y)
