"""What a second fit keeps of the first: what is adapted, and nothing else."""

import pickle

import numpy as np
import pytest

from mne_samba import LearnableHRF, SambaTranslator, WaveletBandAttention, read_samba
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired


@pytest.fixture(scope="module")
def log_people():
    return simulate_paired(
        2, 600.0, level="source", n_sources=6, n_targets=6, snr=4.0, drive="log", random_state=1
    )


def _translator(**options):
    options = {"corrections": "never", "power": "linear", "map_prior": "gaussian"} | options
    return SambaTranslator(t_r=2.0, target_bands=False, random_state=0, **options)


@pytest.fixture(scope="module")
def linear(log_people):
    return _translator(warm_start=True).fit(log_people.raws[0], log_people.bolds[0])


def test_warm_start_keeps_the_scale_of_power_that_was_chosen(log_people):
    raws, bolds = log_people.raws, log_people.bolds
    model = _translator(power="auto", warm_start=True).fit(raws[0], bolds[0])
    assert model.power_ == "log"
    model.fit(raws[1], bolds[1])
    assert model.power_ == "log"


def test_warm_start_adapts_models_without_band_attention(log_people):
    raws, bolds = log_people.raws, log_people.bolds
    model = _translator(band_attention=False, warm_start=True).fit(raws[0], bolds[0])
    first = model.predict(raws[0])
    model.fit(raws[0], bolds[0])
    assert "init" in model.core_.evidence
    for a, b in zip(first.T, model.predict(raws[0]).T, strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.9


@pytest.mark.parametrize("change", ["channels", "regions", "t_r"])
def test_warm_start_says_which_sizes_differ(log_people, linear, change):
    raw, bold, model = log_people.raws[0], log_people.bolds[0], pickle.loads(pickle.dumps(linear))
    if change == "channels":
        raw = raw.copy().drop_channels(raw.ch_names[:1])
    elif change == "regions":
        bold = bold[:, :4]
    else:
        model.set_params(t_r=4.0)
        bold = bold[::2]
    with pytest.raises(ValueError, match=r"warm_start=True .* has 6 channels, 5 bands, 6 regions"):
        model.fit(raw, bold)
    if change == "channels":
        model.set_params(warm_start=False).fit(raw, bold)
        assert model.predict(raw).shape == bold.shape


def test_a_table_after_recordings_is_saved_and_read(linear, tmp_path):
    model = pickle.loads(pickle.dumps(linear)).set_params(warm_start=False)
    X = np.random.default_rng(0).standard_normal((80, 4))
    model.fit(X, X @ np.ones((4, 2))).save(tmp_path / "model")
    np.testing.assert_array_equal(read_samba(tmp_path / "model").predict(X), model.predict(X))


def test_a_way_back_keeps_nothing_of_the_way_there(log_people, linear):
    raw, bold = log_people.raws[0], log_people.bolds[0]
    options = {"direction": "hemo_to_ele"}
    new = _translator(**options).fit(bold, raw)
    again = pickle.loads(pickle.dumps(linear)).set_params(**options).fit(bold, raw)
    left = {name for name in set(vars(again)) - set(vars(new)) if not name.startswith("_")}
    assert left == set()
    np.testing.assert_array_equal(again.predict(bold), new.predict(bold))
    # The core of the way back is on another grid: nothing to start the way there from.
    there = again.set_params(direction="ele_to_hemo").fit(raw, bold)
    assert "init" not in there.core_.evidence
    assert not hasattr(there, "alignment_history_")


@pytest.mark.parametrize("own", [True, False])
def test_warm_start_on_the_way_back_says_which_sizes_differ(log_people, own):
    raw, bold = log_people.raws[0], log_people.bolds[0]
    model = _translator(warm_start=True, direction="hemo_to_ele").set_params(target_bands=own)
    model.fit(bold, raw)
    with pytest.raises(ValueError, match=r"warm_start=True .* the data have 5 channels"):
        model.fit(bold, raw.copy().drop_channels(raw.ch_names[:1]))


def test_the_way_back_does_not_start_from_the_paper_variant(log_people):
    raw, bold = log_people.raws[0], log_people.bolds[0]
    options = {"direction": "hemo_to_ele", "corrections": "always", "max_epochs": 1}
    model = _translator(variant="paper", warm_start=True, **options).fit(bold, raw)
    again = model.set_params(variant="default").fit(bold, raw)
    new = _translator(**options).fit(bold, raw)
    np.testing.assert_array_equal(again.predict(bold), new.predict(bold))


def test_the_paper_variant_keeps_nothing_of_the_default(log_people, linear):
    raw, bold = log_people.raws[0], log_people.bolds[0]
    options = {"variant": "paper", "max_epochs": 1, "warm_start": False}
    again = pickle.loads(pickle.dumps(linear)).set_params(**options).fit(raw, bold)
    assert set(vars(again)) == set(vars(_translator(**options).fit(raw, bold)))


def test_another_direction_or_t_r_needs_another_fit(log_people, linear):
    raw, bold = log_people.raws[0], log_people.bolds[0]
    there = pickle.loads(pickle.dumps(linear)).set_params(direction="both")
    with pytest.raises(ValueError, match="trained on BOLD as input"):
        there.score(raw, bold)
    back = _translator(direction="hemo_to_ele").fit(bold, raw)
    back.set_params(direction="ele_to_hemo")
    with pytest.raises(ValueError, match="trained on electrophysiology as input"):
        back.predict(raw)
    back.set_params(direction="hemo_to_ele", t_r=1.0)
    for ask in (back.predict, back.latents):
        with pytest.raises(ValueError, match=r"tied to the t_r .* \(2 s\), got t_r=1 s"):
            ask(bold)
    with pytest.raises(ValueError, match=r"tied to the t_r .* \(2 s\), got t_r=1 s"):
        back.target_from(raw)


def test_waveforms_of_recordings_that_are_shorter_than_a_window(log_people):
    raw, bold = log_people.raws[0], log_people.bolds[0]
    model = _translator(direction="hemo_to_ele", output="signal", window=900.0).fit(bold, raw)
    assert np.isfinite(model.predict(bold)).all()


@pytest.mark.parametrize(
    "model",
    [
        BandPowerRidge(t_r=2.0),
        _translator(),
        _translator(direction="both"),
        _translator(direction="hemo_to_ele"),
        LearnableHRF(t_r=2.0, verbose=False),
        WaveletBandAttention(t_r=2.0),
    ],
    ids=lambda model: f"{type(model).__name__}-{getattr(model, 'direction', '')}",
)
def test_a_failed_fit_leaves_the_earlier_one(log_people, model):
    """Also one that fails late: the only frames that were measured have no whole history."""
    raw, bold = log_people.raws[0], log_people.bolds[0]
    side = -1 if getattr(model, "direction", "") == "hemo_to_ele" else 1
    early = np.where(np.arange(len(bold))[:, None] < 6, bold, np.nan)
    empty, ask = pickle.loads(pickle.dumps(model)), (raw, bold)[::side][0]
    with pytest.raises(ValueError):
        empty.fit(*(raw, early)[::side])
    assert vars(empty) == vars(model)
    model.fit(*(raw, bold)[::side])
    give = getattr(model, "predict", None) or model.transform
    before, expected = dict(vars(model)), give(ask)
    for values in (early, [bold, bold], bold[:3]):
        with pytest.raises(ValueError):
            model.fit(*(raw, values)[::side])
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is value for name, value in before.items())
    np.testing.assert_array_equal(give(ask), expected)
