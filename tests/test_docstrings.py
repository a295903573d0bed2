"""Public docstrings follow numpydoc: sections, parameters, returns; and give what readers need."""

import importlib
import inspect
import re

import pytest
from numpydoc.validate import validate

# Of numpydoc's checks, those about substance: a summary, and everything that goes in or comes out.
CHECKS = {
    "GL01", "GL02",  # quotes
    "GL06", "GL07", "GL08",  # known sections, in order; there is a docstring
    "SS01", "SS02", "SS03", "SS04",  # one-line summary, capital letter, full stop
    "PR01", "PR02", "PR06", "PR07",  # parameters: all, no others, typed, described
    "RT01", "RT03",  # returns
    "YD01",
}  # fmt: skip
MODULES = (
    "mne_samba", "mne_samba.baselines", "mne_samba.datasets", "mne_samba.evaluation",
    "mne_samba.io", "mne_samba.metrics", "mne_samba.model_selection", "mne_samba.report",
    "mne_samba.viz", "mne_samba.windows",
)  # fmt: skip


def _public():
    seen = {}
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            found = getattr(importlib.import_module(module), name)
            if inspect.isclass(found) or inspect.isfunction(found):
                seen.setdefault(f"{found.__module__}.{found.__qualname__}", found)
    return seen


def _own_methods(cls):
    """Public methods that this package wrote, also in its mixins.

    Models and trainers are parts: users set their parameters, estimators call their methods.
    """
    for name, member in inspect.getmembers(cls, inspect.isfunction):
        ours = member.__module__.startswith("mne_samba")
        if not name.startswith("_") and ours and ".models." not in member.__module__:
            yield name, member


OBJECTS = _public()
METHODS = {
    f"{function.__module__}.{function.__qualname__}": function
    for cls in OBJECTS.values()
    if inspect.isclass(cls)
    for _, function in _own_methods(cls)
}


def _documents_fields(found):
    """Whether a record (dataclass, named tuple) describes its fields as attributes."""
    fields = getattr(found, "__dataclass_fields__", None) or getattr(found, "_fields", None)
    return bool(fields) and all(re.search(rf"\b{f}\b", inspect.getdoc(found)) for f in fields)


def problems(name, found):
    """Faults by numpydoc's own words."""
    if _documents_fields(found):
        checks = CHECKS - {"PR01"}
    else:
        checks = CHECKS
    return [f"{code} {text}" for code, text in validate(name)["errors"] if code in checks]


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_public_names(name):
    assert not problems(name, OBJECTS[name])


@pytest.mark.parametrize("name", sorted(METHODS))
def test_public_methods(name):
    assert not problems(name, METHODS[name])


def test_arrays_have_shapes():
    """A parameter or result that is an array says its shape, in its type or its text."""
    shapeless = []
    for name, found in OBJECTS.items():
        text = inspect.getdoc(found)
        for line, rest in re.findall(r"^(\w[\w, ]* : array.*)\n((?:    .*\n?)*)", text, re.M):
            if not re.search(r"shape|\(|like|one per|sequence", line + rest):
                shapeless.append(f"{name}: {line}")
    assert not shapeless


def test_functions_that_raise_say_so():
    """A public function that raises on its own has a Raises section."""
    silent = []
    for name, found in OBJECTS.items():
        if inspect.isfunction(found) and re.search(r"^\s+raise ", inspect.getsource(found), re.M):
            if "Raises\n---" not in inspect.getdoc(found):
                silent.append(name)
    assert not silent
