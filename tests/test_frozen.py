"""What a model was fitted with stays with it: parameters set later wait for the next fit."""

import numpy as np
import pytest
from assemble import quick

from mne_samba import (
    CoreModel,
    InverseTranslator,
    LatentTranslator,
    PaperModel,
    Reader,
    SambaTranslator,
    Trainer,
    read_samba,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.models import InverseCoreModel, InversePaperModel
from mne_samba.transformers import WaveletBandAttention
from mne_samba.wavelets import Discrete, Morlet


@pytest.fixture(scope="module")
def pair():
    data = simulate_paired(
        1, 400.0, level="source", n_sources=4, n_targets=4, snr=4.0, sfreq=100.0, random_state=1
    )
    return data.raws[0], data.bolds[0]


def translator():
    return SambaTranslator(t_r=2.0, model=quick(CoreModel), random_state=0)


def two_ways(forward, inverse):
    options = {"t_r": 2.0, "trainer": Trainer(max_epochs=1), "random_state": 0}
    return LatentTranslator(
        SambaTranslator(model=forward, **options), InverseTranslator(model=inverse, **options)
    )


def saved(model, tmp_path):
    model.save(tmp_path / "model", overwrite=True)
    return read_samba(tmp_path / "model")


LATER = [
    {"bands": Morlet()},
    {"bands": Morlet(n_cycles=3.0)},
    {"hrf_length": 20.0},
    {"reader": Reader(detrend=None)},
]


@pytest.mark.parametrize(
    "models",
    [(quick(CoreModel), quick(InverseCoreModel)), (PaperModel(), InversePaperModel())],
    ids=["core", "paper"],
)
def test_translators_keep_what_they_were_fitted_with(pair, tmp_path, models):
    raw, bold = pair
    model = two_ways(*models).fit(raw, bold)
    asked = [
        lambda m: m.predict(raw), lambda m: m.translate(bold, to="ele"),
        lambda m: m.inverse_.target_from(raw), lambda m: m.latents([raw])[0],
    ]  # fmt: skip
    before = [ask(model) for ask in asked]
    for params in LATER:
        params = {n if n == "reader" else f"model__{n}": value for n, value in params.items()}
        for way in (model.forward, model.inverse, model.forward_, model.inverse_):
            # The published way there has no bands to choose.
            known = way.get_params()
            way.set_params(**{n: value for n, value in params.items() if n in known})
        for other in (model, saved(model, tmp_path)):
            for ask, expected in zip(asked, before, strict=True):
                np.testing.assert_allclose(ask(other), expected, rtol=0, atol=1e-6)
    if isinstance(models[0], CoreModel):
        model.fit(raw, bold)
        assert np.abs(model.predict(raw) - before[0]).max() > 1e-3
        new = SambaTranslator(
            t_r=2.0, model=quick(CoreModel, bands=Morlet(n_cycles=3.0), hrf_length=20.0),
            reader=Reader(detrend=None), random_state=0,
        )  # fmt: skip
        np.testing.assert_array_equal(model.predict(raw), new.fit(raw, bold).predict(raw))


def test_one_way_back_keeps_what_it_was_fitted_with(pair, tmp_path):
    raw, bold = pair
    back = InverseTranslator(
        t_r=2.0, model=quick(InverseCoreModel, bands=Morlet()), reader=Reader(detrend=np.int64(2)),
        random_state=0,
    )  # fmt: skip
    expected = back.fit(bold, raw).target_from(raw), back.predict(bold)
    back.set_params(model__bands=Morlet(n_cycles=3.0), reader__detrend="cosine")
    for model in (back, saved(back, tmp_path)):
        np.testing.assert_allclose(model.target_from(raw), expected[0], atol=1e-6)
        np.testing.assert_allclose(model.predict(bold), expected[1], atol=1e-6)
        assert model.get_params()["model__bands"] == Morlet(n_cycles=3.0)


@pytest.mark.parametrize("hrf", ["canonical", "fir"])
def test_ridges_keep_what_they_were_fitted_with(pair, hrf):
    raw, bold = pair
    model = BandPowerRidge(t_r=2.0, hrf=hrf).fit(raw, bold)
    expected = model.predict(raw)
    model.set_params(hrf="fir" if hrf == "canonical" else "canonical")
    for params in (*LATER, {"fir_length": 10.0}, {"power": "linear"}):
        np.testing.assert_array_equal(model.set_params(**params).predict(raw), expected)


def test_windows_of_the_history_that_was_fitted_are_enough(pair):
    raw, bold = pair
    model = translator().fit(raw, bold)
    window = raw.get_data()[None, :, : int(50 * raw.info["sfreq"])]
    model.set_params(reader__tmin=-30.0, reader__sfreq=raw.info["sfreq"])
    expected = model.predict(window)
    model.set_params(model__hrf_length=40.0)
    np.testing.assert_array_equal(model.predict(window), expected)
    model.set_params(model__hrf_length=10.0, reader__tmin=-20.0)
    with pytest.raises(ValueError, match="shorter than the response of 30 s"):
        model.predict(window)


def test_band_attention_keeps_its_wavelets(pair):
    raw, bold = pair
    model = WaveletBandAttention(t_r=2.0).fit(raw, [bold])
    expected = model.transform(raw)
    for params in (
        {"bands": Morlet(n_cycles=2.0)}, {"bands": Discrete("db5")}, {"rate": 4.0},
        {"bands": Morlet(causal=True)},
    ):  # fmt: skip
        np.testing.assert_array_equal(model.set_params(**params).transform(raw), expected)


def test_what_describes_the_data_still_does(pair):
    """Frames start later: predictions are those of later frames."""
    raw, bold = pair
    model = translator().fit(raw, bold)
    expected = model.predict(raw)
    later = model.set_params(reader__first_volume=4.0).predict(raw)
    assert np.corrcoef(later[20:150, 0], expected[22:152, 0])[0, 1] > 0.99
