"""What a second fit keeps of the first: what is adapted, and nothing else."""

import pickle

import numpy as np
import pytest
from assemble import assemble, quick

from mne_samba import (
    InverseTranslator,
    LatentTranslator,
    LearnableHRF,
    SambaTranslator,
    Trainer,
    WaveletBandAttention,
    models,
    read_samba,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired


@pytest.fixture(scope="module")
def log_people():
    return simulate_paired(
        2, 600.0, level="source", n_sources=6, n_targets=6, snr=4.0, sfreq=100.0, drive="log",
        random_state=1,
    )  # fmt: skip


def _translator(**options):
    options = {"corrections": "never", "power": "linear", "map_prior": "gaussian"} | options
    return assemble(t_r=2.0, target_bands=False, random_state=0, **options)


def _back(model="core", **options):
    """The way back; its linear model without choices."""
    if model == "core":
        model = models.InverseCoreModel(map_prior="gaussian", target_bands=False)
    return InverseTranslator(t_r=2.0, model=model, random_state=0, **options)


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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("channels", r"channels differ: 6 channels against 5, the data lack \['.*'\]"),
        ("regions", r"regions differ: 6 regions against 4, the data lack \['.*', '.*'\]"),
        ("t_r", "it has t_r=2 s, the data have t_r=4 s"),
    ],
)
def test_warm_start_says_what_differs(log_people, linear, change, said):
    raw, bold, model = log_people.raws[0], log_people.bolds[0], pickle.loads(pickle.dumps(linear))
    if change == "channels":
        raw = raw.copy().drop_channels(raw.ch_names[:1])
    elif change == "regions":
        bold = bold[:, :4]
    else:
        model.set_params(t_r=4.0)
        bold = bold[::2]
    with pytest.raises(ValueError, match=rf"warm_start=True .* {said}"):
        model.fit(raw, bold)
    if change == "channels":
        model.set_params(warm_start=False).fit(raw, bold)
        assert model.predict(raw).shape == bold.shape


def test_a_table_after_recordings_is_saved_and_read(linear, tmp_path):
    model = pickle.loads(pickle.dumps(linear)).set_params(warm_start=False)
    X = np.random.default_rng(0).standard_normal((80, 4))
    model.fit(X, X @ np.ones((4, 2))).save(tmp_path / "model")
    np.testing.assert_array_equal(read_samba(tmp_path / "model").predict(X), model.predict(X))


@pytest.mark.parametrize("first", ["core", "paper"])
def test_another_model_keeps_nothing_of_the_earlier_one(log_people, first):
    """A warm start has nothing to go on from, which it says; a cold one leaves nothing of it."""
    raw, bold = log_people.raws[0], log_people.bolds[0]
    options = {"t_r": 2.0, "trainer": Trainer(max_epochs=1), "random_state": 0}
    both = {"core": quick(models.CoreModel), "paper": "paper"}
    model = SambaTranslator(model=both.pop(first), warm_start=True, **options).fit(raw, bold)
    (second,) = both.values()
    model.set_params(model=second)
    with pytest.raises(ValueError, match=r"it is of .*Model, now .*Model"):
        model.fit(raw, bold)
    model.set_params(warm_start=False).fit(raw, bold)
    new = SambaTranslator(model=second, **options).fit(raw, bold)
    assert set(vars(model)) == set(vars(new))
    assert second == "paper" or "init" not in model.core_.evidence
    np.testing.assert_array_equal(model.predict(raw), new.predict(raw))


@pytest.mark.parametrize("first", ["core", "paper"])
def test_another_model_of_the_way_back_keeps_nothing_of_the_earlier_one(log_people, first):
    raw, bold = log_people.raws[0], log_people.bolds[0]
    core = quick(models.InverseSambaModel, corrections="always")
    both = {"core": core, "paper": "paper"}
    options = {"t_r": 2.0, "trainer": Trainer(max_epochs=1), "random_state": 0}
    model = InverseTranslator(model=both.pop(first), warm_start=True, **options).fit(bold, raw)
    (second,) = both.values()
    model.set_params(model=second)
    with pytest.raises(ValueError, match=r"it is of Inverse.*Model, now Inverse.*Model is asked"):
        model.fit(bold, raw)
    model.set_params(warm_start=False).fit(bold, raw)
    new = InverseTranslator(model=second, **options).fit(bold, raw)
    assert set(vars(model)) == set(vars(new))
    np.testing.assert_array_equal(model.predict(bold), new.predict(bold))


@pytest.mark.parametrize("own", [True, False])
def test_warm_start_on_the_way_back_says_what_differs(log_people, own):
    raw, bold = log_people.raws[0], log_people.bolds[0]
    model = _back(warm_start=True).set_params(model__target_bands=own)
    model.fit(bold, raw)
    with pytest.raises(ValueError, match=r"warm_start=True .* channels differ: 6 channels against"):
        model.fit(bold, raw.copy().drop_channels(raw.ch_names[:1]))


def test_the_other_way_or_t_r_needs_another_fit(log_people, linear):
    raw, bold = log_people.raws[0], log_people.bolds[0]
    with pytest.raises(ValueError, match=r"is a table of shape .* but fit saw recordings"):
        linear.predict(bold)
    back = _back().fit(bold, raw)
    with pytest.raises(ValueError, match=r"must be BOLD, .* but it is electrophysiology"):
        back.predict(raw)
    back.set_params(t_r=1.0)
    for ask in (back.predict, back.latents):
        with pytest.raises(ValueError, match=r"tied to the t_r .* \(2 s\), got t_r=1 s"):
            ask(bold)
    with pytest.raises(ValueError, match=r"tied to the t_r .* \(2 s\), got t_r=1 s"):
        back.target_from(raw)


@pytest.mark.parametrize("model", [models.InverseSambaModel(corrections="always"), "paper"])
def test_networks_of_recordings_that_are_shorter_than_a_window(log_people, model):
    raw, bold = log_people.raws[0], log_people.bolds[0]
    back = _back(model, trainer=Trainer(window=900.0, max_epochs=1)).fit(bold, raw)
    assert np.isfinite(back.predict(bold)).all()


@pytest.mark.filterwarnings("ignore:The 3 frames of BOLD last 6 s")
@pytest.mark.filterwarnings("ignore:X holds eeg channels at 100 Hz")  # which are drives here
@pytest.mark.parametrize(
    "model",
    [
        BandPowerRidge(t_r=2.0),
        _translator(),
        LatentTranslator(_translator(), _back()),
        _back(),
        LearnableHRF(t_r=2.0, verbose=False),
        WaveletBandAttention(t_r=2.0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_failed_fit_leaves_the_earlier_one(log_people, model):
    """Also one that fails late: the only frames that were measured have no whole history."""
    raw, bold = log_people.raws[0], log_people.bolds[0]
    side = -1 if isinstance(model, InverseTranslator) else 1
    early = np.where(np.arange(len(bold))[:, None] < 6, bold, np.nan)
    empty, ask = pickle.loads(pickle.dumps(model)), (raw, bold)[::side][0]
    never = dict(vars(empty))
    with pytest.raises(ValueError):
        empty.fit(*(raw, early)[::side])
    assert vars(empty) == never
    assert repr(empty) == repr(model)
    model.fit(*(raw, bold)[::side])
    give = getattr(model, "predict", None) or model.transform
    before, expected = dict(vars(model)), give(ask)
    for values in (early, [bold, bold], bold[:3]):
        with pytest.raises(ValueError):
            model.fit(*(raw, values)[::side])
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is value for name, value in before.items())
    np.testing.assert_array_equal(give(ask), expected)
