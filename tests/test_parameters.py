"""No parameter is accepted in silence: every one of every estimator has an effect or is refused."""

import inspect

import mne
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold

from mne_samba import (
    BandPowerScreening,
    CoreModel,
    FramewiseRegressor,
    InverseCoreModel,
    InversePaperModel,
    InverseSambaModel,
    InverseTranslator,
    LatentTranslator,
    LearnableHRF,
    NeuroBOLTModel,
    PaperModel,
    Reader,
    SambaClassifier,
    SambaModel,
    SambaTranslator,
    SourceParcels,
    Trainer,
    Unmixing,
    WaveletBandAttention,
    make_windows,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import ConformalRegressor
from mne_samba.wavelets import Discrete, Morlet, Precomputed, Shannon

BANDS = {"alpha": (8.0, 13.0), "beta": (13.0, 30.0)}
QUICK = {"max_epochs": 1, "window": 40.0, "gap": 4.0, "device": "cpu"}
# Nothing is chosen inside, and nothing searched: defaults that choose have tests of their own.
SMALL = {
    "power": "linear", "hrf": "canonical", "map_prior": "gaussian", "target_bands": False,
    "n_hidden": 4, "corrections": "always", "graph": "knn",
    "depth": 1, "n_embed": 25, "n_heads": 1, "spectrum_depth": 1, "n_spectrum_heads": 1,
    "window": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    """Two people of 240 s, 4 sources and 3 targets."""
    return simulate_paired(
        2, 240.0, level="source", n_sources=4, n_targets=3, snr=4.0, sfreq=100.0, random_state=0
    )


def forward(model=None, trainer=None, **options):
    if trainer is None or isinstance(trainer, dict):
        trainer = Trainer(**{**QUICK, **(trainer or {})})
    model = small(CoreModel) if model is None else model
    return SambaTranslator(
        **{"t_r": 2.0, "model": model, "trainer": trainer, "random_state": 0, **options}
    )


def backward(model=None, **options):
    model = small(InverseCoreModel) if model is None else model
    return InverseTranslator(
        **{"t_r": 2.0, "model": model, "trainer": Trainer(**QUICK), "random_state": 0, **options}
    )


def small(cls, **options):
    """Model whose fit is quick; networks are kept, whether they help or not."""
    known = inspect.signature(cls).parameters
    return cls(**{**{k: v for k, v in SMALL.items() if k in known}, **options})


def as_arrays(value):
    """Flat list of arrays of anything that an estimator publishes."""
    if isinstance(value, dict):
        keys = sorted((key for key in value if key != "seconds"), key=str)
        return [a for key in keys for a in as_arrays(value[key])]
    if isinstance(value, (list, tuple)):
        return [a for item in value for a in as_arrays(item)]
    if isinstance(value, (pd.DataFrame, pd.Series)):
        value = value.select_dtypes("number") if isinstance(value, pd.DataFrame) else value
        value = value.to_numpy()
    if isinstance(value, mne.io.BaseRaw):
        value = value.get_data()
    if isinstance(value, (np.ndarray, float, int, np.generic)):
        return [np.asarray(value, dtype=float)] if np.asarray(value).dtype.kind in "biuf" else []
    return []


def published(est) -> list:
    names = sorted(n for n in vars(est) if n.endswith("_") and not n.startswith("_"))
    return [a for name in names if "time" not in name for a in as_arrays(vars(est)[name])]


def differ(one: list, other: list) -> bool:
    return len(one) != len(other) or any(
        a.shape != b.shape or not np.array_equal(a, b, equal_nan=True)
        for a, b in zip(one, other, strict=True)
    )


# Class of the parts of an estimator -> name of a parameter -> another value than elsewhere, or
# Refused(value, message) for what changes the time, the memory or the place of a fit alone.
class Refused:
    def __init__(self, value, message):
        self.value, self.message = value, message


HRF = {"hrf": "double_gamma", "hrf_length": 20.0, "hrf_bounds": "fast"}
CORE = {"bands": BANDS, **HRF, "map_prior": "ard", "band_attention": False, "target_bands": True}
MODELS = {
    CoreModel: {**CORE, "unmix": "joint", "power": "log", "loss": "robust"},
    SambaModel: {
        **CORE, "unmix": "whiten", "power": "log", "loss": "robust", "graph": "dense",
        "n_neighbors": 1, "recurrent": "gru", "n_hidden": 3, "corrections": "auto",
    },
    PaperModel: {
        **HRF, "band_attention": False, "graph": "dense", "n_neighbors": 1,
        "recurrent": "gru", "n_hidden": 8,
    },
    NeuroBOLTModel: {
        "depth": 2, "n_embed": 50, "n_heads": 5, "spectrum_depth": 2, "n_spectrum_heads": 5,
        "window": 8, "lowpass": 0.1, "weights": Refused(3, "weights must be the path"),
    },
    InverseCoreModel: CORE,
    InverseSambaModel: {**CORE, "n_neighbors": 1, "corrections": "auto"},
    InversePaperModel: {
        "bands": BANDS, **HRF, "graph": "dense", "n_neighbors": 1, "n_hidden": 8,
    },
}  # fmt: skip
WAYS = {
    "t_r": Refused(-1.0, "t_r must be above 0"), "model": "paper", "reader": Reader(detrend=None),
    "trainer": Refused(Ridge(), "trainer"), "warm_start": Refused("yes", "warm_start"),
    "random_state": 1, "verbose": Refused("loud", "verbose"),
}  # fmt: skip
TRAINER = {
    "lr": 1e-4, "batch_size": 1, "max_epochs": 2, "patience": Refused(0, "patience"),
    "window": 60.0, "step": 10.0, "validation_fraction": 0.4, "gap": 40.0,
    "device": Refused("abacus", "device"), "dtype": "float64", "compile": Refused(3, "compile"),
    "modality_dropout": Refused(0.3, "see channels of type"),
    "mixed_precision": Refused(3, "mixed_precision"), "checkpoint_dir": Refused(3, "checkpoint"),
}  # fmt: skip
READER = {
    "sfreq": Refused(-1.0, "sfreq"), "tmin": Refused(1.0, "tmin"), "picks": [0, 1],
    "channels": Refused("guess", "channels"), "first_volume": Refused(-0.5, "Frame 0 .* -0.5 s"),
    "n_dummy": Refused(2, "Frame 119"), "slice_time_ref": 0.5,
    "volume_event": Refused("R128", "R128"), "detrend": None, "memory": Refused(3, "memory"),
    "physiology": Refused(3, "physiology must be a type"),
}  # fmt: skip


def cases():
    for cls, table in MODELS.items():
        yield from ((cls, name, table) for name in inspect.signature(cls).parameters)
    for cls in (SambaTranslator, InverseTranslator):
        yield from ((cls, name, WAYS) for name in inspect.signature(cls).parameters)
    yield from ((Trainer, name, TRAINER) for name in inspect.signature(Trainer).parameters)
    yield from ((Reader, name, READER) for name in inspect.signature(Reader).parameters)


def build(cls, **options):
    if cls is Trainer:
        return forward(small(SambaModel), trainer=options)
    if cls is Reader:
        return forward(reader=Reader(**options))
    if cls in (SambaTranslator, InverseTranslator):
        way = forward if cls is SambaTranslator else backward
        inverse = "Inverse" if cls is InverseTranslator else ""
        paper = InversePaperModel if inverse else PaperModel
        if options.get("model") == "paper":
            options["model"] = small(paper)
        if "random_state" in options:
            options["model"] = small(paper)
        return way(**options)
    model = small(cls, **options)
    return backward(model) if cls.__name__.startswith("Inverse") else forward(model)


def fit(est, data):
    if isinstance(est, InverseTranslator):
        return est.fit(data.bolds, data.raws)
    return est.fit(data.raws, data.bolds)


def effect_of(est, data) -> list:
    """Predictions for a person, and all that the fit publishes."""
    fit(est, data)
    X = data.bolds if isinstance(est, InverseTranslator) else data.raws
    return as_arrays([np.asarray(p) for p in est.predict(X[:1])]) + published(est)


@pytest.fixture(scope="module")
def defaults():
    """What fits with default parameters do, each made once: ``effect`` is only called then."""
    known = {}

    def default_of(key, effect):
        if key not in known:
            known[key] = effect()
        return known[key]

    return default_of


def name_of(value):
    return value if isinstance(value, str) else getattr(value, "__name__", "")


@pytest.mark.parametrize(("cls", "name", "table"), [*cases()], ids=name_of)
def test_every_parameter_has_an_effect_or_is_refused(cls, name, table, data, defaults):
    change = table[name]
    if isinstance(change, Refused):
        with pytest.raises((ValueError, TypeError), match=change.message):
            fit(build(cls, **{name: change.value}), data)
        return
    # Of four nodes, eight neighbours are all there are.
    before = {"random_state": {"random_state": 0}, "graph": {"n_neighbors": 1}}.get(name, {})
    default = defaults((cls, *before), lambda: effect_of(build(cls, **before), data))
    assert differ(default, effect_of(build(cls, **{**before, name: change}), data))


RIDGE = {
    "unmix": "joint",
    "t_r": Refused(-1.0, "t_r must be above 0"), "hrf": "fir", "bands": BANDS, "power": "log",
    "loss": "robust", "hrf_length": 20.0, "fir_length": 10.0, "alphas": [1.0, 3.0],
    "alpha_per_target": False, "n_folds": 2, "gap": 60.0, "reader": Reader(picks=[0, 1]),
}  # fmt: skip
ATTENTION = {
    "t_r": Refused(-1.0, "t_r must be above 0"), "bands": BANDS, "rate": 1.0,
    "output": "features", "hrf_length": 20.0, "hrf_bounds": "fast", "reader": Reader(picks=[0, 1]),
    "verbose": Refused("loud", "verbose"),
}  # fmt: skip
RESPONSE = {
    "t_r": Refused(-1.0, "t_r must be above 0"), **HRF, "hrf": "canonical", "shrinkage": 0.9,
    "shrink_to": "canonical", "loss": "robust", "n_bootstrap": 3, "confidence": 0.5,
    "sample_time_ref": 1.0,
    "reader": Reader(sfreq=4.0, detrend=None), "random_state": 1, "n_jobs": Refused(0, "n_jobs"),
    "verbose": Refused("loud", "verbose"),
}  # fmt: skip
UNMIXING = {
    "bands": BANDS, "method": "whiten", "n_components": 2, "segment": 30.0,
    "reader": Reader(sfreq=80.0), "verbose": Refused("loud", "verbose"),
}  # fmt: skip
SCREENING = {
    "statistic": "mutual_info", "n_shifts": 50, "alpha": 1.0,
    "min_features_to_select": Refused(-1, "at least 0"), "random_state": 1,
}  # fmt: skip
FRAMEWISE = {"estimator": Ridge(1e3), "t_r": Refused(-1.0, "t_r"), "detrend": "linear"}
LATENTS = {
    "forward": forward(CoreModel(bands=BANDS, power="log", target_bands=False)),
    "inverse": Refused(Ridge(), "inverse must be a InverseTranslator"),
    "alignment": None,
}
DECODER = {
    "translator": backward(InverseCoreModel(bands=BANDS)), "classifier": DummyClassifier(),
    "modality": Refused("nonsense", "modality"), "n_blocks": 2,
}  # fmt: skip
CONFORMAL = {
    "estimator": FramewiseRegressor(Ridge(1e3)), "cv": KFold(3), "detrend": None,
    "t_r": Refused(-1.0, "t_r must be positive"), "context": 100.0, "n_jobs": Refused(0, "n_jobs"),
}  # fmt: skip


PARCELS = {
    "atlas": "power_2011", "n_parcels": 2, "head": Refused("sphere", "head must be"),
    "method": "lcmv", "pick_ori": "normal", "reg": 0.5, "picks": ["Cz", "Pz", "Fz"],
    "verbose": Refused("loud", "verbose"),
}  # fmt: skip


def recordings(data):
    return data.raws, data.bolds


def capped(data):
    """A minute of EEG whose electrodes have places."""
    options = {"n_sources": 4, "n_targets": 3, "montage": "biosemi16", "sfreq": 100.0}
    simulated = simulate_paired(1, 60.0, random_state=0, **options)
    return simulated.raws, None


def twice(data):
    """Enough for a held-out part."""
    return 2 * data.raws, 2 * data.bolds


def arrays(data):
    return [raw.get_data() for raw in data.raws], None


def drives(data):
    """Band-limited drives at 4 Hz."""
    rng = np.random.default_rng(0)
    return [gaussian_filter1d(rng.standard_normal((4, 960)), 4.0) for _ in data.raws], data.bolds


def frames(data):
    rng = np.random.default_rng(0)
    y = np.stack(data.bolds)
    X = y @ rng.standard_normal((3, 4)) + rng.standard_normal((len(y), 120, 4))
    return X.reshape(12, 20, 4), (y + np.arange(120)[:, np.newaxis]).reshape(12, 20, 3)


def rows(data):
    """Rows of which the first column alone has to do with y."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 6))
    return X, X[:, :1] + rng.standard_normal((200, 1))


def cut(data):
    return make_windows(data.raws, data.bolds, t_r=2.0, window=40.0)


def labelled(data):
    epochs, _ = cut(data)
    return epochs, np.arange(len(epochs)) % 2


# Windows enough on both sides of the split for an alignment.
SHORT = backward(trainer=Trainer(**{**QUICK, "window": 12.0, "validation_fraction": 0.45}))
OTHERS = {
    BandPowerRidge: (RIDGE, {"t_r": 2.0}, recordings),
    Unmixing: (UNMIXING, {"reader": Reader(sfreq=100.0)}, arrays),
    WaveletBandAttention: (ATTENTION, {"t_r": 2.0}, recordings),
    SourceParcels: (PARCELS, {"n_parcels": 3, "reg": 0.1}, capped),
    LearnableHRF: (
        RESPONSE,
        {"t_r": 2.0, "reader": Reader(sfreq=4.0), "hrf": "double_gamma", "loss": "squared",
         "random_state": 0},
        drives,
    ),
    FramewiseRegressor: (FRAMEWISE, {}, frames),
    BandPowerScreening: (SCREENING, {"random_state": 0}, rows),
    ConformalRegressor: (
        CONFORMAL, {"estimator": FramewiseRegressor(Ridge()), "t_r": 2.0, "context": 20.0}, frames,
    ),
    LatentTranslator: (LATENTS, {"forward": forward(), "inverse": SHORT}, twice),
    SambaClassifier: (DECODER, {"translator": backward(), "modality": "ele"}, labelled),
}  # fmt: skip
# These parameters mean something beside another one only.
BESIDE = {
    (BandPowerScreening, "random_state"): {"n_shifts": 50},  # or else all there are
    (BandPowerRidge, "fir_length"): {"hrf": "fir"},
    (BandPowerRidge, "alpha_per_target"): {"alphas": np.logspace(-1.5, -0.5, 400)},
    (BandPowerRidge, "gap"): {"alphas": np.logspace(-6, 0, 60)},
    (LearnableHRF, "confidence"): {"n_bootstrap": 3},
    (LearnableHRF, "random_state"): {"n_bootstrap": 3},
    (LearnableHRF, "n_jobs"): {"n_bootstrap": 3},
}


@pytest.mark.parametrize(
    ("cls", "name"),
    [(cls, name) for cls in OTHERS for name in inspect.signature(cls).parameters],
    ids=name_of,
)
def test_every_parameter_of_the_others_has_an_effect_or_is_refused(cls, name, data, defaults):
    table, options, given = OTHERS[cls]
    change = table[name]
    X, y = given(data)
    if cls is SambaClassifier:
        epochs, bold = cut(data)
        fitted = FrozenEstimator(options["translator"].fit(bold, epochs))
        options = {**options, "translator": fitted}
        if name == "translator":
            change = FrozenEstimator(change.fit(bold, epochs))
    beside = BESIDE.get((cls, name), {})
    options = {**options, **beside}
    if isinstance(change, Refused):
        with pytest.raises((ValueError, TypeError), match=change.message):
            cls(**{**options, name: change.value}).fit(X, y)
        return
    steps = ["transform", "predict", "predict_proba"]
    if cls is SambaClassifier and name == "classifier":
        steps = ["predict"]

    def effect(**change):
        est = cls(**{**options, **change}).fit(X, y)
        done = [getattr(est, step)(X) for step in steps if hasattr(est, step)]
        return as_arrays(done) + published(est)

    default = defaults((cls, *beside, *steps), effect)
    assert differ(default, effect(**{name: change}))


BANKS = {
    Shannon: {"bands": BANDS},
    Morlet: {"bands": BANDS, "n_cycles": 4.0, "causal": True},
    Discrete: {"wavelet": "db2", "level": 3, "bands": {"alpha": (8.0, 13.0)}},
}


@pytest.mark.parametrize(
    ("bank", "name"),
    [(bank, name) for bank in BANKS for name in inspect.signature(bank).parameters],
    ids=name_of,
)
def test_every_parameter_of_a_bank_has_an_effect_or_is_refused(bank, name, data, defaults):
    changed = BandPowerRidge(t_r=2.0, bands=bank(**{name: BANKS[bank][name]}))
    if bank is Discrete and name == "bands":
        with pytest.raises(ValueError, match="has its own bands"):
            fit(changed, data)
        return
    default = defaults(bank, lambda: effect_of(BandPowerRidge(t_r=2.0, bands=bank()), data))
    assert differ(default, effect_of(changed, data))


@pytest.mark.parametrize("name", list(inspect.signature(Precomputed).parameters))
def test_every_parameter_of_precomputed_bands_has_an_effect_or_is_refused(name, data):
    power = [np.random.default_rng(i).uniform(1, 2, (2, 2, 240)) for i in range(len(data.bolds))]
    changed = {"scale": "log", "bands": ["alpha", "beta"], "rate": 5.0}[name]

    def ridge(**change):
        bands = Precomputed(**{"scale": "linear", **change})
        return BandPowerRidge(t_r=2.0, bands=bands, reader=Reader(sfreq=1.0))

    if name == "rate":
        with pytest.raises(ValueError, match="contradicts the 1 values per second"):
            ridge(rate=changed).fit(power, data.bolds)
        return
    default, other = (est.fit(power, data.bolds) for est in (ridge(), ridge(**{name: changed})))
    if name == "bands":
        assert (list(default.bands_), list(other.bands_)) == (["band0", "band1"], changed)
    else:
        assert np.abs(default.predict(power)[0] - other.predict(power)[0]).max() > 1e-6


def test_parameters_of_parts_can_be_searched(data):
    search = GridSearchCV(
        forward(),
        {"model__hrf": ["canonical", "fir"], "reader__detrend": ["cosine", None]},
        cv=2, error_score="raise",
    )  # fmt: skip
    search.fit(data.raws, data.bolds)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 4 and np.isfinite(scores).all()
    best = search.best_estimator_
    assert best.model.hrf == search.best_params_["model__hrf"]
    assert best.reader.detrend == search.best_params_["reader__detrend"]
