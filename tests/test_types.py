"""Types hold: stubs name what there is, and annotations say what docstrings and fits say.

`make lint` runs mypy and pyright on the gallery and on tests/typing.
"""

import ast
import importlib
import inspect
import re
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from sklearn.base import BaseEstimator

import mne_samba
from mne_samba import (
    BandPowerScreening,
    CoreModel,
    InverseTranslator,
    LearnableHRF,
    NeuroBOLTModel,
    PaperModel,
    Reader,
    SambaTranslator,
    Trainer,
    Unmixing,
    WaveletBandAttention,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.core import Core
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import ConformalRegressor
from mne_samba.models.graphs import Graphs

ROOT = Path(__file__).parents[1]
CLASSES = sorted(
    {
        found
        for name in mne_samba.__all__
        if isinstance(found := getattr(mne_samba, name), type) and issubclass(found, BaseEstimator)
    }
    | {BandPowerRidge, ConformalRegressor},
    key=lambda cls: cls.__name__,
)


def hints(found) -> dict[str, Any]:
    """Annotations, with names that only type checkers import; skorch would take seconds."""
    late = {cls.__name__: cls for cls in (Core, Graphs, NeuroBOLTModel, PaperModel, Trainer)}
    return get_type_hints(found, localns={"NeuralNet": Any, **late})


def options(hint) -> set:
    """Strings and None of a union."""
    if get_origin(hint) in (Union, UnionType):
        return set().union(*map(options, get_args(hint)))
    return set(get_args(hint)) if get_origin(hint) is Literal else set()


@pytest.mark.parametrize("module", ["mne_samba", "mne_samba.core", "mne_samba.models"])
def test_stubs_name_what_there_is(module):
    package = importlib.import_module(module)
    tree = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imported, declared = {}, None
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            imported |= {alias.name: node.module for alias in node.names}
        elif isinstance(node, ast.Assign):
            declared = ast.literal_eval(node.value)
    assert declared == sorted(imported) == package.__all__ == sorted(dir(package))
    for name, origin in imported.items():
        found = getattr(package, name)
        if origin is None:
            assert inspect.ismodule(found), name
        else:
            assert found is getattr(importlib.import_module(f"{module}.{origin}"), name), name


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_annotations_of_parameters_say_what_docstrings_say(cls):
    types = hints(cls.__init__)
    assert set(types) - {"return"} == set(inspect.signature(cls).parameters)
    doc = inspect.getdoc(cls).split("\nParameters\n")[1].split("\n\n")[0]
    for names, said in re.findall(r"^(\w[\w, ]*) : (.*)$", doc, re.M):
        for name in names.split(", "):
            if said != "object":
                if "str" not in said:  # else they stand in the text
                    assert options(types[name]) == set(re.findall(r'"(\w+)"', said)), name
                none = type(None) in get_args(types[name])
                assert none == said.endswith("None"), name


def test_code_of_the_readme_is_what_type_checkers_read():
    block = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    checked = (ROOT / "tests" / "typing" / "readme.py").read_text(encoding="utf-8")
    assert checked.split('"""\n\n', 1)[1] == "".join(block)


def agrees(value, hint) -> bool:
    """Whether a value is of the annotated type."""
    if hint is Any:
        return True
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(agrees(value, each) for each in inner if each is not Any) or value is None
    if origin is list:
        return isinstance(value, list) and all(agrees(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict)
    return isinstance(value, (hint, np.floating) if hint is float else hint)


@pytest.fixture(scope="module")
def fits():
    data = simulate_paired(1, 240.0, sfreq=100.0, n_sources=4, n_targets=3, random_state=0)
    raws, bolds = data.raws[0].pick(range(4)), data.bolds[0]
    core = CoreModel(power="linear", target_bands=False, unmix=None, hrf="canonical")
    drive = WaveletBandAttention(t_r=2.0).fit([raws], [bolds])
    return [
        SambaTranslator(t_r=2.0, model=core).fit([raws], [bolds]),
        InverseTranslator(t_r=2.0, model="core").fit([bolds], [raws]),
        BandPowerRidge(t_r=2.0).fit([raws], [bolds]),
        BandPowerScreening(n_shifts=19, alpha=0.5).fit(bolds, bolds[:, 0]),
        Unmixing().fit(raws),
        drive,
        LearnableHRF(t_r=2.0, hrf="canonical").fit(drive.transform([raws]), [bolds]),
        LearnableHRF(t_r=2.0, hrf="double_gamma", reader=Reader(sfreq=10.0)).fit(
            [np.random.default_rng(0).standard_normal((1, 1200))], [bolds[:60, :1]]
        ),
    ]  # fmt: skip


def test_fitted_attributes_are_of_the_types_that_are_annotated(fits):
    for fitted in fits:
        types = hints(type(fitted))
        published = {n: v for n, v in vars(fitted).items() if re.fullmatch(r"[a-z]\w*_", n)}
        assert len(published) >= 3
        assert not set(published) - set(types), type(fitted).__name__
        for name, value in published.items():
            where = f"{type(fitted).__name__}.{name}"
            if name in types and not agrees(value, types[name]):
                print(where, type(value), types[name])
            continue
            assert agrees(value, types[name]), f"{where}: {type(value)}, said {types[name]}"
