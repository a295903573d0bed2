"""Bad input: said what, what was expected and what came, before any training; nothing changed."""

import sys

import mne
import numpy as np
import pandas as pd
import pytest
from assemble import assemble
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from mne_samba import (
    InverseTranslator,
    LatentTranslator,
    Reader,
    SambaModel,
    SambaTranslator,
    Trainer,
    make_windows,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired


@pytest.fixture(scope="module")
def world():
    """Two people as recordings, windows and arrays."""
    data = simulate_paired(2, 160.0, level="source", n_sources=4, n_targets=5, random_state=0)
    epochs, y = make_windows(data.raws, data.bolds, t_r=2.0, window=40.0)
    arrays = [raw.get_data() for raw in data.raws]
    return {
        "raws": list(data.raws), "bolds": list(data.bolds), "epochs": epochs, "y": y,
        "arrays": arrays, "windows": epochs.get_data(),
    }  # fmt: skip


@pytest.fixture(autouse=True)
def no_training(monkeypatch, request):
    """Whatever reaches the linear core came too far."""
    if "trained" in request.fixturenames:
        return

    def reached(*args, **kwargs):
        raise AssertionError("Bad input reached training.")

    for name, module in list(sys.modules.items()):
        for function in ("fit_core", "fit_own_bands"):
            if name.startswith("mne_samba.") and hasattr(module, function):
                monkeypatch.setattr(module, function, reached)
    monkeypatch.setattr("mne_samba.baselines.BandPowerRidge._fit", reached)


def changed(array, where, value):
    out = np.array(array)
    out[where] = value
    return out


def raw_of(data, like):
    return mne.io.RawArray(data, like.info.copy(), verbose="ERROR")


def with_channel(w, channel, value, recordings=(0, 1)):
    """Recordings in which one channel holds something else."""
    out = list(w["raws"])
    for i in recordings:
        new = value(w["arrays"][i]) if callable(value) else value
        out[i] = raw_of(changed(w["arrays"][i], channel, new), out[i])
    return out


def triggered(w, onsets):
    raws = [raw.copy() for raw in w["raws"]]
    for raw in raws:
        raw.set_annotations(mne.Annotations(onsets, 0.0, "volume"))
    return raws


AT = {"t_r": 2.0}
ARRAYS = {"t_r": 2.0, "sfreq": 200.0}
CUT = {"t_r": 2.0, "sfreq": 200.0, "tmin": -30.0}
VOLUMES = {"t_r": 2.0, "volume_event": "volume"}
SPOT = (1, slice(5000, 5010))

# name: parameters, X and y from the world, error, what it must say
CASES = {
    "NaN in a Raw": (AT, lambda w: with_channel(w, SPOT, np.nan), "bolds", ValueError, "NaN"),
    "infinite Raw": (AT, lambda w: with_channel(w, SPOT, np.inf), "bolds", ValueError, "infinite"),
    "NaN in windows": (CUT, lambda w: changed(w["windows"], (1, 2, 9), np.nan), "y", ValueError,
                       r"NaN.*ch002"),
    "infinite recording": (ARRAYS, lambda w: [changed(w["arrays"][0], (3, 7), -np.inf),
                                              w["arrays"][1]], "bolds", ValueError,
                           r"X\[0\] contains NaN or infinite.*ch003"),
    "NaN in single regions": (AT, "raws", lambda w: [w["bolds"][0],
                              changed(w["bolds"][1], (33, 2), np.nan)], ValueError,
                              r"y\[1\] has NaN in some regions of frames \[33\]"),
    "NaN in a region of a window": (AT, "epochs", lambda w: changed(w["y"], (1, 3, 2), np.nan),
                                    ValueError, r"some regions of frames \[\(1, 3\)\]"),
    "infinite BOLD": (AT, "raws", lambda w: [changed(b, (3, 2), np.inf) for b in w["bolds"]],
                      ValueError, "y.0. contains infinite"),
    "only scrubbed frames": (AT, "raws", lambda w: [np.full_like(b, np.nan) for b in w["bolds"]],
                             ValueError, "scrubbed"),
    "BOLD that never varies": (AT, "raws", lambda w: [np.ones_like(b) for b in w["bolds"]],
                               ValueError, "does not vary"),
    "flat channel": (AT, lambda w: with_channel(w, 2, 3e-6), "bolds", ValueError, "flat channels"),
    "flat in one recording": (AT, lambda w: with_channel(w, 2, 0.0, (1,)), "bolds", ValueError,
                              r"X\[1\] has flat channels \['Visual_L1'\]"),
    "flat in all windows": (CUT, lambda w: changed(w["windows"], (slice(None), 2), 1e-6), "y",
                            ValueError, r"flat channels \['ch002'\]"),
    "duplicated channel": (AT, lambda w: with_channel(w, 2, lambda a: a[1]), "bolds", ValueError,
                           "duplicated channels"),
    "duplicated in one recording": (AT, lambda w: with_channel(w, 2, lambda a: a[1], (1,)),
                                    "bolds", ValueError, r"X\[1\] has duplicated"),
    "frames beyond the end": (AT, "raws", lambda w: [np.vstack([b, b[:9]]) for b in w["bolds"]],
                              ValueError, r"Frame 88 of X\[0\] lies at 176 s, outside its 160 s"),
    "late first volume": ({**AT, "first_volume": 50.0}, "raws", "bolds", ValueError,
                          "outside its 160 s.*first_volume"),
    "first volume before the start": ({**AT, "first_volume": -5.0}, "raws", "bolds", ValueError,
                                      "Frame 0 .* lies at -5 s"),
    "too many dummies": ({**AT, "n_dummy": 4}, "raws", "bolds", ValueError, "outside.*n_dummy"),
    "frames and regions swapped": (AT, "raws", lambda w: [b.T for b in w["bolds"]], ValueError,
                                   r"\(5, 80\).*\(n_frames, n_targets\): transpose"),
    "swapped in Epochs": (AT, "epochs", lambda w: w["y"].transpose(0, 2, 1), ValueError,
                          "n_frames=20, but here n_frames=5"),
    "swapped in arrays": (CUT, "windows", lambda w: w["y"].transpose(0, 2, 1), ValueError,
                          r"\(5, 20\).*transpose"),
    "swapped without tmin": (ARRAYS, "windows", lambda w: w["y"].transpose(0, 2, 1), ValueError,
                             r"\(5, 20\).*transpose"),
    "windows cut at another t_r": ({"t_r": 1.0}, "epochs", "y", ValueError,
                                   "cut with t_r=2.0 s, but here t_r=1.0 s"),
    "a channel missing": (AT, lambda w: [w["raws"][0], w["raws"][1].copy().drop_channels(
                          w["raws"][1].ch_names[0])], "bolds", ValueError,
                          r'X\[1\] has other channels.*missing.*channels="match"'),
    "a channel besides": (AT, lambda w: [w["raws"][0].copy().drop_channels(
                          w["raws"][1].ch_names[0]), w["raws"][1]], "bolds", ValueError,
                          "not expected"),
    "recordings with fewer rows": (ARRAYS, lambda w: [w["arrays"][0], w["arrays"][1][:3]],
                                   "bolds", ValueError, r"X\[1\] has 3 channels, expected 4"),
    "another sampling rate": (AT, lambda w: [w["raws"][0], w["raws"][1].copy().resample(100)],
                              "bolds", ValueError, "100 Hz.*200 Hz"),
    "windows with a short context": (AT, lambda w: w["epochs"].copy().crop(-10, None), "y",
                                     ValueError, "10 s of context .* shorter than the response"),
    "no events": (VOLUMES, "raws", "bolds", ValueError, "No events found.*'volume'"),
    "too few triggers": (VOLUMES, lambda w: triggered(w, 2.0 * np.arange(60)), "bolds", ValueError,
                         "60.*80|80.*60"),
    "wrong trigger spacing": (VOLUMES, lambda w: triggered(w, 1.5 * np.arange(80)), "bolds",
                              ValueError, "1.5"),
    "a missed trigger": (VOLUMES, lambda w: triggered(w, np.delete(2.0 * np.arange(80), 30)),
                         "bolds", ValueError, "volume"),
    "shorter than a window": (AT, lambda w: [r.copy().crop(0, 50) for r in w["raws"]],
                              lambda w: [b[:25] for b in w["bolds"]], ValueError,
                              r"X\[0\] lasts 50.005 s, which is shorter than one window"),
    "an instant": (AT, lambda w: w["raws"][0].copy().crop(0, 0.5), lambda w: w["bolds"][0][:1],
                   ValueError, "one measured frame only|shorter than one window"),
    "fewer BOLD than recordings": (AT, "raws", lambda w: w["bolds"][:1], ValueError,
                                   "X has 2 recordings, but y has 1"),
    "more BOLD than recordings": (AT, "raws", lambda w: w["bolds"] * 2, ValueError,
                                  "X has 2 recordings, but y has 4"),
    "fewer BOLD than windows": (AT, "epochs", lambda w: w["y"][:-1], ValueError,
                                "X has 6 windows, but y has 5"),
    "empty lists": (AT, lambda w: [], lambda w: [], ValueError, "X is an empty list"),
    "empty y": (AT, "raws", lambda w: [], ValueError, "y has 0"),
    "no epochs left": (AT, lambda w: w["epochs"][:0], lambda w: w["y"][:0], ValueError, "empty"),
    "no regions": (AT, "raws", lambda w: [b[:, :0] for b in w["bolds"]], ValueError, "empty"),
    "no samples": (ARRAYS, lambda w: [a[:, :0] for a in w["arrays"]], "bolds", ValueError,
                   r"is empty: its shape is \(4, 0\)"),
    "text": (CUT, lambda w: np.full(w["windows"].shape, "a"), "y", TypeError, "must hold numbers"),
    "text in BOLD": (AT, "raws", lambda w: [np.full(b.shape, "a") for b in w["bolds"]], TypeError,
                     r"y\[0\] must hold numbers, got dtype <U1"),
    "numbers as text": (AT, "raws", lambda w: [b.astype(str) for b in w["bolds"]], TypeError,
                        "must hold numbers"),
    "text among objects": (AT, "raws", lambda w: [changed(b.astype(object), (0, 0), "1.5")
                                                  for b in w["bolds"]], TypeError, "numbers"),
    "dates": (CUT, lambda w: w["windows"].astype("datetime64[s]"), "y", TypeError, "datetime64"),
    "complex": (CUT, lambda w: w["windows"].astype(complex), "y", ValueError,
                "Complex.*complex128"),
    "complex recordings": (ARRAYS, lambda w: [a.astype(complex) for a in w["arrays"]], "bolds",
                           ValueError, "Complex"),
    "complex BOLD": (AT, "raws", lambda w: [b.astype(complex) for b in w["bolds"]], ValueError,
                     "Complex"),
    "no X": (AT, lambda w: None, "bolds", TypeError, "X must be mne.Epochs"),
    "a file name": (AT, lambda w: "rest_raw.fif", "bolds", TypeError, "mne.io.read_raw"),
    "file names": (AT, lambda w: ["a.fif", "b.fif"], "bolds", TypeError, "mne.io.read_raw"),
    "Raw mixed with arrays": (AT, lambda w: [w["raws"][0], w["arrays"][1]], "bolds", TypeError,
                              "mixes"),
    "four dimensions": (CUT, lambda w: w["windows"][None], lambda w: w["y"][:1], ValueError,
                        r"holds power of 4 bands, measured elsewhere"),
    "no y": (AT, "raws", lambda w: None, ValueError, "y is None"),
    "a file name as y": (AT, "raws", lambda w: "bold.tsv", FileNotFoundError,
                         "y is a path, but there is no file"),
    "one array for two": (AT, "raws", lambda w: w["bolds"][0], ValueError, "must be a list"),
    "different regions": (AT, "raws", lambda w: [w["bolds"][0], w["bolds"][1][:, :3]], ValueError,
                          "differ in their number of regions"),
    "other region names": (AT, "raws", lambda w: [pd.DataFrame(w["bolds"][0], columns=list(s))
                           for s in ("abcde", "abcdf")], ValueError, "other region names"),
    "flat BOLD windows": (AT, "epochs", lambda w: w["y"][:, :, 0], ValueError,
                          r"y must have shape \(n_windows, n_frames, n_targets\), got \(6, 20\)"),
    "ragged BOLD windows": (AT, "epochs", lambda w: [*w["y"][:-1], w["y"][-1][:5]], ValueError,
                            "cannot be made into one array"),
    "arrays without a rate": ({"t_r": 2.0, "tmin": -30.0}, "windows", "y", ValueError,
                              r"Reader\(sfreq="),
    "recordings without a rate": (AT, "arrays", "bolds", ValueError, r"Reader\(sfreq="),
    "windows too short for BOLD": ({**CUT, "t_r": 20.0}, "windows", "y", ValueError,
                                   "20 frames at t_r=20 s need 380 s"),
    "unknown channels": ({**AT, "picks": ["nope"]}, "raws", "bolds", ValueError,
                         "No channel is left: picks=.'nope'."),
    "a graph of another size": ({**AT, "graph": np.ones((3, 3))}, "raws", "bolds", ValueError,
                                r"shape \(4, 4\).*got shape \(3, 3\)"),
    "a graph with NaN": ({**AT, "graph": np.full((4, 4), np.nan)}, "raws", "bolds", ValueError,
                         "finite adjacency"),
}  # fmt: skip


def ridge(t_r, **params):
    return BandPowerRidge(t_r=t_r, reader=Reader(**params))


def pick(world, what):
    return what(world) if callable(what) else world[what]


def fingerprint(world):
    raws = [raw.get_data().tobytes() for raw in world["raws"]]
    arrays = [a.tobytes() for a in (*world["arrays"], *world["bolds"], world["y"])]
    return hash(tuple(raws + arrays + [world["epochs"].get_data().tobytes()]))


@pytest.mark.parametrize("name", CASES)
def test_bad_data_is_refused_before_training(world, name):
    params, X, y, error, message = CASES[name]
    X, y = pick(world, X), pick(world, y)
    before = fingerprint(world)
    with pytest.raises(error, match=f"(?s){message}"):
        assemble(**params).fit(X, y)
    assert fingerprint(world) == before


@pytest.mark.parametrize(
    "name", [n for n in CASES if "graph" not in n and n != "shorter than a window"]
)
def test_the_baseline_refuses_the_same(world, name):
    params, X, y, error, message = CASES[name]
    with pytest.raises(error, match=f"(?s){message}"):
        ridge(**params).fit(pick(world, X), pick(world, y))


OPTIONS = {
    "channels": ("x", ValueError), "power": ("x", ValueError), "unmix": ("x", ValueError),
    "loss": ("x", ValueError),
    "hrf": ("x", ValueError), "hrf_bounds": ("x", ValueError), "map_prior": ("x", ValueError),
    "recurrent": ("rnn", ValueError), "graph": ("tree", ValueError),
    "corrections": ("maybe", ValueError), "dtype": ("float16", ValueError),
    "band_attention": ("yes", ValueError), "warm_start": ("yes", ValueError),
    "device": ("gpu9", ValueError), "detrend": ("spline", ValueError),
    "bands": ("alpha", ValueError),
    "window": (-1.0, ValueError), "step": (0, ValueError),
    "first_volume": (None, TypeError), "n_dummy": (1.5, TypeError),
    "slice_time_ref": (2, ValueError),
    "hrf_length": (np.inf, ValueError), "sfreq": ("200", TypeError),
    "tmin": (3.0, ValueError), "volume_event": (3.5, TypeError), "n_neighbors": (0, ValueError),
    "n_hidden": (2.5, TypeError), "lr": (0, ValueError), "batch_size": (True, TypeError),
    "max_epochs": ("3", TypeError), "patience": (0, ValueError), "gap": (-1, ValueError),
    "validation_fraction": (0.9, ValueError), "random_state": ("x", ValueError),
    "picks": ([], ValueError), "verbose": ("loud", ValueError),
    "target_bands": ("x", ValueError), "modality_dropout": (1.0, ValueError),
    "physiology": ("eeg", ValueError),
    "checkpoint_dir": (3, TypeError),
    "memory": (3, ValueError), "compile": ("yes", ValueError), "mixed_precision": (2, ValueError),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_options_are_refused_before_training(world, name):
    value, error = OPTIONS[name]
    with pytest.raises(error, match="seed" if name == "random_state" else name):
        assemble(**{"t_r": 2.0, name: value}).fit(world["raws"], world["bolds"])


def test_good_input_would_reach_training(world):
    for X, y in (("raws", "bolds"), ("epochs", "y")):
        with pytest.raises(AssertionError, match="reached training"):
            SambaTranslator(t_r=2.0).fit(world[X], world[y])


def test_every_option_has_a_bad_value_here():
    parts = {"model": SambaModel(), "reader": Reader(), "trainer": Trainer()}
    options = SambaTranslator(t_r=2.0, **parts).get_params()
    own = {name for name in options if "__" not in name} - parts.keys()
    nested = {name.partition("__")[2] for name in options if "__" in name}
    assert own | nested == set(OPTIONS) | {"t_r"}


@pytest.mark.parametrize("part", ["model", "reader", "trainer"])
def test_parts_of_another_kind_are_refused(world, part):
    for wrong in (3, {"hrf": "fir"}, SambaTranslator()):
        with pytest.raises(TypeError, match=part):
            SambaTranslator(t_r=2.0, **{part: wrong}).fit(world["raws"], world["bolds"])
    with pytest.raises((TypeError, ValueError), match=part):
        SambaTranslator(t_r=2.0, **{part: "x"}).fit(world["raws"], world["bolds"])


@pytest.mark.parametrize("alignment", ["x", 3])
def test_bad_alignment(world, alignment):
    both = LatentTranslator(
        SambaTranslator(t_r=2.0), InverseTranslator(t_r=2.0), alignment=alignment
    )
    with pytest.raises(ValueError, match="alignment"):
        both.fit(world["epochs"], world["y"])


@pytest.mark.parametrize(
    ("t_r", "error"),
    [(-2.0, ValueError), (0, ValueError), (np.nan, ValueError), (np.inf, ValueError),
     ("2", TypeError), (None, ValueError), ([2.0, "2"], TypeError), (True, TypeError),
     ([2.0, -1.5], ValueError), ([2.0, 1.5, 1.0], ValueError), ([], TypeError),
     (2000.0, ValueError), (2j, TypeError), (1e-9, ValueError)],
)  # fmt: skip
def test_bad_repetition_times(world, t_r, error):
    with pytest.raises(error, match="t_r"):
        SambaTranslator(t_r=t_r).fit(world["raws"], world["bolds"])


@pytest.mark.parametrize("t_r", [[2.0, 1.5], (2.0,), np.array([2.0, 1.5]), pd.Series([2.0])])
def test_several_repetition_times_say_how_they_come_to_one(world, t_r):
    said = r"^t_r must be one number of seconds, got .*SambaTranslator.*mne_samba\.io\.harmonize"
    for estimator in (InverseTranslator, BandPowerRidge):
        pair = (world["raws"], world["bolds"])
        with pytest.raises(TypeError, match=said):
            estimator(t_r=t_r).fit(*(pair if estimator is BandPowerRidge else pair[::-1]))
    with pytest.raises(TypeError, match=said):
        make_windows(world["raws"], world["bolds"], t_r=t_r)


@pytest.mark.parametrize(
    "bands",
    [{}, {"a": (10, 5)}, {"a": (10, 150)}, {"a": (np.nan, 15)}, {"a": (1, 2, 3)}, {"a": 5},
     {"a": (0, 5)}, {"a": "xy"}],
)  # fmt: skip
def test_bad_bands(world, bands):
    with pytest.raises(ValueError, match=r"[Bb]and"):
        SambaTranslator(t_r=2.0, model=SambaModel(bands=bands)).fit(world["raws"], world["bolds"])


@pytest.mark.parametrize("method", ["predict", "transform", "score", "score_targets", "save"])
def test_use_before_fit(world, method, tmp_path):
    translator = SambaTranslator(t_r=2.0)
    arguments = {
        "predict": (world["raws"],), "transform": (world["raws"],), "save": (tmp_path / "model",),
    }.get(method, (world["raws"], world["bolds"]))  # fmt: skip
    with pytest.raises(NotFittedError, match="SambaTranslator"):
        getattr(translator, method)(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_fit_leaves_the_parameters_alone(world):
    translator = SambaTranslator(
        t_r=2.0, model=SambaModel(bands={"alpha": (8, 12)}, graph=np.eye(3))
    )
    before = clone(translator).get_params()
    with pytest.raises(ValueError, match="graph"):
        translator.fit(world["raws"], world["bolds"])
    for name, value in translator.get_params().items():
        if name != "model":
            np.testing.assert_equal(value, before[name])


@pytest.fixture(scope="module")
def trained(world):
    options = {"map_prior": "gaussian", "corrections": "never", "random_state": 0}
    return assemble(t_r=2.0, **options).fit(world["raws"], world["bolds"])


PREDICT_CASES = {
    "NaN": (lambda w: with_channel(w, SPOT, np.nan)[0], ValueError, "NaN.*'ParietoMedial_R1'"),
    "infinite": (lambda w: with_channel(w, SPOT, np.inf)[0], ValueError, "ParietoMedial_R1"),
    "a missing channel": (lambda w: w["raws"][0].copy().drop_channels("Visual_L1"), ValueError,
                          r"missing \['Visual_L1'\]"),
    "an array with more channels": (lambda w: [np.vstack(w["arrays"])], ValueError, "sfreq"),
    "a table": (lambda w: w["arrays"][0].T, ValueError, "fit saw recordings"),
    "empty": (lambda w: [], ValueError, "empty list"),
    "nothing": (lambda w: None, TypeError, "X must be"),
    "too short": (lambda w: w["raws"][0].copy().crop(0, 1.0), ValueError, "no frame"),
}  # fmt: skip


@pytest.mark.parametrize("name", PREDICT_CASES)
def test_bad_data_for_a_fitted_translator(world, trained, name):
    X, error, message = PREDICT_CASES[name]
    with pytest.raises(error, match=f"(?s){message}"):
        trained.predict(X(world))


def test_bad_scoring(world, trained):
    raws, bolds = world["raws"], world["bolds"]
    with pytest.raises(ValueError, match="metric must be one of 'spearman'"):
        trained.score_targets(raws, bolds, metric="auc")
    with pytest.raises(ValueError, match=r"y has 3 regions, but .* fitted on 5"):
        trained.score(raws, [b[:, :3] for b in bolds])
    with pytest.raises(ValueError, match="sample_weight"):
        trained.score(raws, bolds, sample_weight=[1, 1])
    with pytest.raises(ValueError, match="whole history"):
        trained.score(raws, [b[:10] for b in bolds])
    with pytest.raises(ValueError, match="X has 2 recordings, but y has 1"):
        trained.score(raws, bolds[:1])
