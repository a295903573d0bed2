"""Frozen dataclasses to a file and back: every field as its class declares it, or refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from mne_samba.arrays import array
from mne_samba.data.recordings import Layout
from mne_samba.model_file import (
    classes_of,
    pack,
    read_model,
    unpack,
    write_estimator,
    write_model,
)


@dataclass(frozen=True)
class Response:
    kernel: np.ndarray = array("n_targets", "n_lags")
    bound: np.ndarray = array("n_steps", may_be_nan=True)
    params: np.ndarray | None = array("n_targets", 6, optional=True)
    family: Literal["fir", "canonical"] = "fir"
    state: object = field(default=None, metadata={"saved": False})


@dataclass(frozen=True)
class Residuals:
    _own_dims = ("n_frames",)

    values: np.ndarray = array("n_frames", "n_targets")
    weights: np.ndarray = array("n_frames")


@dataclass(frozen=True)
class LevelResiduals(Residuals):
    pass


@dataclass(frozen=True)
class Scale:
    keys: list[tuple[str, ...]] = array("n_recordings")
    mean: np.ndarray = array("n_recordings+1", "n_targets")


@dataclass(frozen=True)
class Grid:
    n_lags: int
    t_r: float

    def _sizes(self):
        return {"n_lags": self.n_lags}

    def check(self):
        if self.t_r <= 0:
            raise ValueError(f"t_r must be above 0, got {self.t_r}.")


@dataclass(frozen=True)
class Weights:
    spec: dict
    state: dict[str, np.ndarray]


@dataclass(frozen=True)
class Fitted:
    grid: Grid
    names: list[str] = array("n_targets")
    response: Response
    scale: Scale
    held: Residuals | LevelResiduals
    blocks: list[Residuals]
    network: Weights
    layout: Layout
    maps: tuple[np.ndarray | None, ...] = array("n_targets", "n_targets")
    bands: Mapping[str, Sequence[float]]
    evidence: dict[str, float]
    history: list[dict]
    gain: float
    kept: bool
    label: str | None
    number: int = 3


class Part(BaseEstimator):
    def __init__(self, rate=1.0, bands=None):
        self.rate = rate
        self.bands = bands

    def check(self):
        if self.rate <= 0:
            raise ValueError(f"rate must be above 0, got {self.rate}.")


class Model(BaseEstimator):
    def __init__(self, part=None, graph="knn", random_state=None, memory=None):
        self.part = part
        self.graph = graph
        self.random_state = random_state
        self.memory = memory

    def _state(self) -> Fitted:
        return self.fitted_

    def _restore(self, state):
        self.fitted_ = state


@dataclass(frozen=True)
class Ways:
    there: Model
    back: Model


class Both(BaseEstimator):
    def __init__(self, there=None, back=None):
        self.there = there
        self.back = back

    def _state(self) -> Ways:
        return Ways(self.there_, self.back_)

    def _restore(self, state):
        self.there_, self.back_ = state.there, state.back


def fitted(n_targets=5, n_lags=7, seed=0):
    rng = np.random.default_rng(seed)
    draw = rng.standard_normal
    names = [f"region {m}" for m in range(n_targets)]
    layout = Layout(
        kind="recordings", t_r=2.0, sfreq=100.0, ch_names=["a", "b"], target_names=names,
        n_frames=30, window_start=0.0, channel_types=["eeg", "mag"],
        positions=np.full((2, 3), np.nan),
    )  # fmt: skip
    return Fitted(
        grid=Grid(n_lags, 2.0), names=names,
        response=Response(draw((n_targets, n_lags)), np.array([-np.inf, 1.0]), state=object()),
        scale=Scale([("s1", "1", ""), ("s2", "1", "")], draw((3, n_targets))),
        held=LevelResiduals(draw((11, n_targets)), draw(11)),
        blocks=[Residuals(draw((n, n_targets)), draw(n)) for n in (2, 3)],
        network=Weights(
            {"n_hidden": 256, "graph": np.eye(n_targets, dtype=bool), "kind": None},
            {"a.b": draw(3), "a": draw(()), "c.0": np.arange(4)},
        ),
        layout=layout, maps=(np.eye(n_targets), None),
        bands={"alpha": (8.0, 13.0), "@beta": [13, 30.0]}, evidence={"free": np.float64(-3.5)},
        history=[{"epoch": 1, "loss": float("nan")}], gain=np.float32(0.5), kept=np.bool_(True),
        label=None, number=np.int64(4),
    )  # fmt: skip


CLASSES = classes_of(Both, Part)


def round_trip(value):
    tree, arrays, _ = pack(value)
    return unpack(json.loads(json.dumps(tree)), arrays, CLASSES)


def same(a, b):
    if isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    elif hasattr(a, "__dataclass_fields__"):
        assert type(a) is type(b)
        for name in a.__dataclass_fields__:
            if name != "state" or isinstance(a, Weights):
                same(getattr(a, name), getattr(b, name))
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b) and len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            same(left, right)
    else:
        assert a == b or (a != a and b != b)


def test_every_kind_of_field_comes_back():
    value = fitted()
    again = round_trip(value)
    same(value, again)
    assert again.response.state is None
    assert [type(x) for x in (again.gain, again.kept, again.number)] == [float, bool, int]
    assert classes_of(Fitted).keys() == {
        "Fitted", "Grid", "Response", "Scale", "Residuals", "LevelResiduals", "Weights", "Layout",
    }  # fmt: skip


def test_sizes_belong_to_their_part():
    """Frames of one part, and two estimators in one, have sizes of their own."""
    both = Both(Model(), Model())
    both.there_, both.back_ = Model(), Model(part=Part(rate=3.0))
    both.there_.fitted_, both.back_.fitted_ = fitted(), fitted(n_targets=2, n_lags=70)
    again = round_trip(both)
    same(again.back_.fitted_, both.back_.fitted_)
    assert again.back_.part.rate == 3.0 and not hasattr(again.there, "fitted_")


def test_all_sizes_may_belong_to_a_part():
    @dataclass(frozen=True)
    class Alone(Residuals):
        _own_dims = ("*",)

    @dataclass(frozen=True)
    class Two:
        first: Residuals
        second: Residuals

    values = [(np.zeros((4, n)), np.zeros(4)) for n in (2, 3)]
    tree, arrays, classes = pack(Two(*(Alone(*value) for value in values)))
    assert unpack(tree, arrays, classes).second.values.shape == (4, 3)
    tree, arrays, classes = pack(Two(*(Residuals(*value) for value in values)))
    with pytest.raises(ValueError, match=r"second\.values has shape \(4, 3\)"):
        unpack(tree, arrays, classes)


def test_parameters_come_back(tmp_path):
    model = Model(
        part=Part(2.5, {"x": (1.0, 2.0)}), graph=np.eye(3), memory="/cache",
        random_state=np.random.RandomState(0),
    )  # fmt: skip
    model.fitted_ = fitted()
    write_estimator(model, tmp_path / "m")
    config, arrays = read_model(tmp_path / "m")
    again = unpack(config["model"], arrays, CLASSES)
    assert again.part.get_params() == model.part.get_params()
    np.testing.assert_array_equal(again.graph, np.eye(3))
    assert again.memory is None and again.random_state is None
    same(again.fitted_, model.fitted_)


def test_what_cannot_be_saved_is_named(tmp_path):
    model = Model(part=Part(bands={"alpha": len}))
    model.fitted_ = fitted()
    with pytest.raises(ValueError, match=r"Parameter part__bands=.* cannot be saved"):
        write_estimator(model, tmp_path / "m")
    broken = replace(fitted(), layout=None)
    model = Model()
    for fault, message in (
        (broken, r"layout is None, expected Layout"),
        (replace(fitted(), gain=np.nan), r"gain is nan, expected float"),
        (replace(fitted(), history=[{"model": object()}]), r"history\.0\.model is a object"),
        (replace(fitted(), evidence={"free": np.array(["a"])}), r"evidence\.free is a ndarray"),
    ):
        model.fitted_ = fault
        with pytest.raises(ValueError, match=message):
            write_estimator(model, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def damage(change):
    tree, arrays, _ = pack(fitted())
    tree, arrays = copy.deepcopy(tree), dict(arrays)
    change(tree, arrays)
    unpack(json.loads(json.dumps(tree)), arrays, CLASSES)


def put(*path, value):
    def change(tree, arrays):
        node = tree
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


def number(name, change):
    return lambda tree, arrays: arrays.update({name: change(arrays[name])})


def at(index, value):
    def change(given):
        given = given.copy()
        given[index] = value
        return given

    return change


DAMAGE = {
    "shape": (number("response.kernel", lambda a: a[:3, :4]),
              r"response\.kernel has shape \(3, 4\), expected \(n_targets=5, n_lags=7\) "
              "as in names"),
    "dimensions": (number("response.kernel", np.ravel), r"has shape \(35,\), expected"),
    "fixed size": (lambda t, a: (t["response"].update(params={"@array": "new"}),
                                 a.update(new=np.zeros((5, 4)))),
                   r"response\.params has shape \(5, 4\), expected \(n_targets=5, 6\)"),
    "one more": (number("scale.mean", lambda a: a[1:]),
                 r"scale\.mean has shape \(2, 5\), expected \(n_recordings\+1=3, n_targets=5\)"),
    "own size": (number("held.weights", lambda a: a[1:]), r"held\.weights has shape \(10,\)"),
    "own size in a list": (number("blocks.1.weights", lambda a: a[1:]), r"blocks\.1\.weights"),
    "list of arrays": (number("maps.0", lambda a: a[1:]), r"maps\.0 has shape \(4, 5\)"),
    "names": (lambda t, a: t["names"].pop(), r"n_targets=4, n_lags=7\) as in names"),
    "names of another part": (lambda t, a: t["layout"]["target_names"].pop(),
                              r"layout\.target_names has shape \(4,\), expected \(n_targets=5,\)"),
    "types of channels": (put("layout", "channel_types", value=["eeg"]), r"layout\.channel_types"),
    "unknown type": (put("layout", "channel_types", value=["eeg", "soul"]), "layout: .*soul"),
    "stated size": (put("grid", "n_lags", value=8), r"\(n_targets=5, n_lags=8\) as in grid"),
    "huge size": (put("grid", "n_lags", value=10**12), "n_lags=1000000000000"),
    "NaN": (number("response.kernel", at((0, 0), np.nan)),
            r"response\.kernel holds NaN or infinite numbers"),
    "infinity": (number("network.state.a.b", at(0, np.inf)), r"network\.state\.a\.b holds NaN"),
    "text array": (number("held.weights", lambda a: a.astype(str)), "held.weights holds <U"),
    "complex": (number("held.weights", lambda a: a * 1j), "held.weights holds complex128"),
    "None for an array": (put("response", "kernel", value=None), "response.kernel is None"),
    "list for an array": (put("response", "kernel", value=[[1.0]]), "response.kernel is "),
    "missing array": (lambda t, a: a.pop("held.values"), "held.values refers to an array that"),
    "array twice": (put("held", "values", value={"@array": "response.kernel"}), "belongs to"),
    "array of no name": (put("held", "values", value={"@array": ["x"]}), "refers to an array"),
    "array nobody needs": (lambda t, a: a.update(more=np.zeros(2)), r"arrays \['more'\]"),
    "missing field": (lambda t, a: t["held"].pop("values"), "held lacks values"),
    "missing default": (lambda t, a: t.pop("number"), "Fitted lacks number"),
    "unknown field": (put("grid", "code", value="os"), "grid has an unknown code"),
    "unsaved field": (put("response", "state", value=1), "response has an unknown state"),
    "unknown class": (put("grid", "@class", value="os.system"), "'os.system', which no model has"),
    "class of a list": (put("grid", "@class", value=[]), "which no model has"),
    "another class": (put("grid", value={"@class": "Part", "rate": 1.0, "bands": None}),
                      "expected Grid"),
    "a dict": (put("grid", value={"n_lags": 7, "t_r": 2.0}), "grid is .*, expected Grid"),
    "a state": (put("grid", "@state", value={}), "only estimators"),
    "unknown mark": (put("bands", "@x", value=1), "unknown mark '@x'"),
    "no tuple": (put("bands", "alpha", value={"@tuple": 1}), "bands.alpha is no tuple"),
    "bad tuple": (put("bands", "alpha", value={"@tuple": [1], "b": 2}), "bands.alpha is no tuple"),
    "text for a number": (put("gain", value="1"), "gain is '1', expected float"),
    "text for a flag": (put("kept", value="yes"), "kept is 'yes', expected bool"),
    "flag for a number": (put("number", value=True), "number is True, expected int"),
    "fraction": (put("number", value=1.5), "number is 1.5, expected int"),
    "not finite": (put("gain", value=float("inf")), "gain is inf"),
    "beyond floats": (put("gain", value=10**400), "gain is 1000"),
    "number for text": (put("label", value=3), "label is 3"),
    "other option": (put("response", "family", value="x"), "response.family is 'x'"),
    "band of text": (put("bands", "alpha", value=["a", "b"]), "bands is "),
    "evidence of text": (put("evidence", value={"free": "x"}), "evidence is "),
    "names of numbers": (put("names", value=[1, 2, 3, 4, 5]), "names is "),
    "history": (put("history", value=[1]), "history is "),
    "key": (put("scale", "keys", value=[["a"], ["b"]]), "scale.keys is "),
    "impossible": (put("grid", "t_r", value=-1.0), "grid: t_r must be above 0, got -1.0"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused_with_its_place(name):
    change, message = DAMAGE[name]
    with pytest.raises(ValueError, match=message):
        damage(change)


PARAMETERS = {
    "unknown parameter": (put("shell", value="rm"), "Model has an unknown shell"),
    "missing parameter": (lambda t, a: t.pop("graph"), "Model lacks graph"),
    "another estimator": (put("@class", value="Part"), "Part lacks"),
    "bad parameter": (put("part", "rate", value=-1), "part: rate must be above 0, got -1"),
    "state of another kind": (put("@state", value=[]), "the state of Model is no Fitted"),
    "state of a part": (put("part", "@state", value={}), "part cannot be fitted"),
    "no model": (put("@class", value="Fitted"), "Fitted lacks"),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_other_parameters_are_refused(name):
    change, message = PARAMETERS[name]
    model = Model(part=Part())
    model.fitted_ = fitted()
    tree, arrays, _ = pack(model)
    change(tree, arrays)
    with pytest.raises(ValueError, match=message):
        unpack(tree, arrays, CLASSES)


def test_any_change_of_a_shape_is_refused():
    _, arrays, _ = pack(fitted())
    free = ("network.spec", "network.state", "response.bound")
    for name in arrays:
        if not name.startswith(free):
            for axis in range(arrays[name].ndim):
                with pytest.raises(ValueError, match="has shape"):
                    damage(number(name, lambda a, axis=axis: np.delete(a, 0, axis)))


def test_large_sizes_need_arrays_of_that_size():
    @dataclass(frozen=True)
    class Alone:
        grid: Grid

    tree, arrays, classes = pack(Alone(Grid(10**6, 1.0)))
    assert unpack(tree, arrays, classes).grid.n_lags == 10**6
    tree["grid"]["n_lags"] = 10**7
    with pytest.raises(ValueError, match="grid says n_lags=10000000, far more than the file"):
        unpack(tree, arrays, classes)


def test_two_classes_of_one_name_are_refused():
    @dataclass(frozen=True)
    class Grid:
        fitted: Fitted

    with pytest.raises(ValueError, match="Two classes are named Grid"):
        classes_of(Grid)


@pytest.mark.parametrize("version", [1, 5, 7, 0, -1, "6", 6.0, True, None])
def test_other_formats_are_refused_by_number(tmp_path, version):
    write_model(tmp_path / "m", {"format_version": version}, {"a": np.zeros(2)})
    with pytest.raises(ValueError, match=rf"m has format version {version!r}"):
        read_model(tmp_path / "m")
