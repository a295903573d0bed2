"""What a model was fitted with stays with it: parameters set later wait for the next fit."""

import pickle

import numpy as np
import pytest

from mne_samba import SambaTranslator, read_samba
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.transformers import WaveletBandAttention


@pytest.fixture(scope="module")
def pair():
    data = simulate_paired(
        1, 400.0, level="source", n_sources=4, n_targets=4, snr=4.0, random_state=1
    )
    return data.raws[0], data.bolds[0]


def translator(**options):
    return SambaTranslator(t_r=2.0, corrections="never", random_state=0, **options)


def saved(model, tmp_path):
    model.save(tmp_path / "model", overwrite=True)
    return read_samba(tmp_path / "model")


LATER = [
    {"wavelet": "morlet"},
    {"wavelet": "morlet", "n_cycles": 3.0},
    {"hrf_length": 20.0},
    {"detrend": None},
]


@pytest.mark.parametrize("variant", ["default", "paper"])
def test_translators_keep_what_they_were_fitted_with(pair, tmp_path, variant):
    raw, bold = pair
    model = translator(direction="both", variant=variant, max_epochs=1).fit(raw, bold)
    asked = [
        lambda m: m.predict(raw), lambda m: m.translate(bold, to="ele"),
        lambda m: m.target_from(raw), lambda m: m.latents([raw])[0],
    ]  # fmt: skip
    before = [ask(model) for ask in asked]
    for params in LATER:
        model.set_params(**params)
        for other in (model, saved(model, tmp_path)):
            for ask, expected in zip(asked, before, strict=True):
                np.testing.assert_allclose(ask(other), expected, rtol=0, atol=1e-6)
    if variant == "default":
        model.fit(raw, bold)
        assert (model.wavelet_, model.n_cycles_) == ("morlet", 3.0)
        assert np.abs(model.predict(raw) - before[0]).max() > 1e-3


def test_one_way_back_keeps_what_it_was_fitted_with(pair, tmp_path):
    raw, bold = pair
    back = translator(direction="hemo_to_ele", detrend=np.int64(2), wavelet="morlet")
    expected = back.fit(bold, raw).target_from(raw), back.predict(bold)
    back.set_params(n_cycles=3.0, detrend="cosine")
    for model in (back, saved(back, tmp_path)):
        np.testing.assert_allclose(model.target_from(raw), expected[0], atol=1e-6)
        np.testing.assert_allclose(model.predict(bold), expected[1], atol=1e-6)
        assert (model.wavelet_, model.n_cycles_) == ("morlet", 7.0)


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
    model = translator(map_prior="gaussian").fit(raw, bold)
    window = raw.get_data()[None, :, : int(50 * raw.info["sfreq"])]
    expected = model.set_params(tmin=-30.0, sfreq=raw.info["sfreq"]).predict(window)
    model.set_params(hrf_length=40.0)
    np.testing.assert_array_equal(model.predict(window), expected)
    model.set_params(hrf_length=10.0, tmin=-20.0)
    with pytest.raises(ValueError, match="shorter than the response of 30 s"):
        model.predict(window)


def test_band_attention_keeps_its_wavelets(pair):
    raw, bold = pair
    model = WaveletBandAttention(t_r=2.0).fit(raw, [bold])
    expected = model.transform(raw)
    for params in ({"n_cycles": 2.0}, {"wavelet": "db5"}, {"rate": 4.0}, {"causal": True}):
        np.testing.assert_array_equal(model.set_params(**params).transform(raw), expected)


def test_what_describes_the_data_still_does(pair):
    """Frames start later: predictions are those of later frames."""
    raw, bold = pair
    model = pickle.loads(pickle.dumps(translator(map_prior="gaussian").fit(raw, bold)))
    expected = model.predict(raw)
    later = model.set_params(first_volume=4.0).predict(raw)
    assert np.corrcoef(later[20:150, 0], expected[22:152, 0])[0, 1] > 0.99
