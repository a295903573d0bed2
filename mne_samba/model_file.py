"""One file per model: JSON and safetensors. Fields are found by walking, reading runs no code.

An estimator is written as its class, its parameters and its fitted state, a tree of frozen
dataclasses. What a file may hold is said by those classes alone: their fields' types, and the
dimensions that `mne_samba.arrays.array` gives to arrays. Reading refuses all else.
"""

import contextlib
import dataclasses
import json
import os
import secrets
import typing
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from sklearn.base import BaseEstimator

from ._version import __version__
from .arrays import Sizes, below, check_field, fits_type, type_name

#: Version of the file format that this version writes and reads.
FORMAT_VERSION = 6
_FORMAT = "mne_samba"
# What JSON cannot say: marked objects of the tree.
_CLASS, _STATE, _ARRAY, _TUPLE = "@class", "@state", "@array", "@tuple"
# Folders belong to a machine, not to a model; and caches hold pickles, which run code.
FOLDERS = ("checkpoint_dir", "memory")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give another name to write to; the file takes its place when all is written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_model(path, config: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write a model to one file, whole or not at all.

    Parameters
    ----------
    path : str | Path
        Where to write; an existing file is replaced.
    config : dict
        What JSON can hold.
    arrays : dict of array
        Numbers by name.

    Raises
    ------
    TypeError
        If ``config`` holds what JSON cannot.
    OSError
        If the file cannot be written.
    """
    text = json.dumps({"format_version": FORMAT_VERSION, **config})
    # Not ascontiguousarray: that makes vectors of single numbers.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with written_whole(Path(path)) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(arrays, temporary, metadata={"format": _FORMAT, "config": text})
        # safetensors makes files that their owner alone can read.
        temporary.chmod(mode)


def read_model(path) -> tuple[dict, dict[str, np.ndarray]]:
    """Read what `write_model` wrote.

    Parameters
    ----------
    path : str | Path
        The file.

    Returns
    -------
    config : dict
        The JSON description.
    arrays : dict of array
        Numbers by name.

    Raises
    ------
    ValueError
        If the file is damaged, no model of this package, or of another format.
    OSError
        If it does not exist or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No model file {path}.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged or no model file: {error}") from None
    if metadata.get("format") != _FORMAT or "config" not in metadata:
        raise ValueError(f"{path} is not a model of mne_samba.")
    try:
        config = json.loads(metadata["config"])
        version = config["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} has a damaged description: {error!r:.200}") from None
    if type(version) is not int or version < 1:
        raise ValueError(f"{path} has format version {version!r:.80}, which never existed.")
    if version != FORMAT_VERSION:
        do = "Update mne_samba" if version > FORMAT_VERSION else "Fit the model again"
        raise ValueError(
            f"{path} has format version {version}; this mne_samba {__version__} reads version "
            f"{FORMAT_VERSION} alone. {do}."
        )
    return config, arrays


def write_estimator(estimator, path, overwrite: bool = False) -> None:
    """Write a fitted estimator to a file for `mne_samba.read_samba`; refuse what that would."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"The folder {str(path.parent)!r} does not exist: make it first, for instance "
            f"pathlib.Path({str(path.parent)!r}).mkdir(parents=True)."
        )
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; use overwrite=True to replace it.")
    tree, arrays, classes = pack(estimator)
    try:
        unpack(tree, arrays, classes)
    except (ValueError, TypeError) as error:
        name = type(estimator).__name__
        raise ValueError(f"This {name} cannot be saved, it could not be read: {error}") from error
    write_model(path, {"mne_samba": __version__, "model": tree}, arrays)


# Objects to trees ---------------------------------------------------------------------------------


def pack(value) -> tuple[object, dict[str, np.ndarray], dict[str, type]]:
    """Turn dataclasses, estimators and plain values into what JSON holds, and arrays by name."""
    packer = _Packer()
    return packer.pack(value, ""), packer.arrays, packer.classes


def is_saved(field: dataclasses.Field) -> bool:
    """Whether a field is written to files; the others have defaults."""
    return field.init and field.metadata.get("saved", True)


def _has_parts(kind: type) -> bool:
    """Whether objects of a class are written part by part: dataclasses and estimators."""
    return dataclasses.is_dataclass(kind) or issubclass(kind, BaseEstimator)


class _Packer:
    """Collects arrays and classes on the way through a tree of objects."""

    def __init__(self):
        self.arrays: dict[str, np.ndarray] = {}
        self.classes: dict[str, type] = {}

    def pack(self, value, where: str, parameter: str | None = None):
        """Tree of a value; ``parameter`` is the estimator's parameter that it belongs to."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, np.ndarray):
            return self._array(value, where, parameter)
        if parameter is not None and isinstance(value, os.PathLike):
            return os.fspath(value)
        if parameter is not None and isinstance(value, pd.DataFrame):
            value = value.to_dict("list")
        if isinstance(value, (list, tuple)):
            items = [self.pack(v, below(where, i), parameter) for i, v in enumerate(value)]
            return items if isinstance(value, list) else {_TUPLE: items}
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            # A key that looks like a mark gets another one before it.
            keys = [f"@{key}" if key.startswith("@") else key for key in value]
            items = [self.pack(v, below(where, k), parameter) for k, v in value.items()]
            return dict(zip(keys, items, strict=True))
        if _has_parts(type(value)):
            return self._object(value, where, parameter)
        if parameter is not None and isinstance(value, np.random.RandomState):
            return None
        return self._refuse(value, where, parameter)

    def _refuse(self, value, where, parameter):
        if parameter is None:
            raise ValueError(f"{where or 'This'} is a {type(value).__name__}: it cannot be saved.")
        raise ValueError(
            f"Parameter {parameter}={value!r:.200} cannot be saved: only numbers, text and arrays "
            'can. Set it to one of them first (for a graph, the array; for a device, "auto").'
        )

    def _array(self, value, where, parameter):
        if value.dtype.kind == "U" and parameter is not None:
            return value.tolist()
        if value.dtype.kind not in "fiub":
            return self._refuse(value, where, parameter)
        name = where or "array"
        while name in self.arrays:  # a dot may be part of a key
            name += "+"
        self.arrays[name] = value
        return {_ARRAY: name}

    def _object(self, value, where, parameter):
        node = {_CLASS: self._named(type(value))}
        if dataclasses.is_dataclass(value):
            for field in filter(is_saved, dataclasses.fields(value)):
                place = below(where, field.name)
                node[field.name] = self.pack(getattr(value, field.name), place, parameter)
            return node
        # Parameters are as good as new: what estimators among them have learnt is not needed.
        fitted = parameter is None and hasattr(value, "_state")
        state = self.pack(value._state(), where) if fitted else None
        for name, given in value.get_params(deep=False).items():
            inner = name if parameter is None else f"{parameter}__{name}"
            given = None if name in FOLDERS else given
            node[name] = self.pack(given, below(where, name), inner)
        if fitted:
            node[_STATE] = state
        return node

    def _named(self, kind: type) -> str:
        if self.classes.setdefault(kind.__name__, kind) is not kind:
            raise ValueError(f"Two classes are named {kind.__name__}.")
        return kind.__name__


# Trees to objects ---------------------------------------------------------------------------------


def unpack(tree, arrays: dict[str, np.ndarray], classes: Mapping[str, type]):
    """Turn what `pack` made back into objects, or say what is wrong with it."""
    unpacker = _Unpacker(arrays, classes)
    value = unpacker.unpack(tree, "", unpacker.scope())
    unpacker.finish()
    return value


def classes_of(*roots: type) -> dict[str, type]:
    """Find the classes that a file may name: estimators, and what their states are made of."""
    found: dict[str, type] = {}
    todo: list = list(roots)
    while todo:
        kind = todo.pop()
        todo += typing.get_args(kind)
        if not (isinstance(kind, type) and _has_parts(kind)) or found.get(kind.__name__) is kind:
            continue
        if kind.__name__ in found:
            raise ValueError(f"Two classes are named {kind.__name__}.")
        found[kind.__name__] = kind
        if dataclasses.is_dataclass(kind):
            todo += _types(kind).values()
        if hasattr(kind, "_state"):
            todo.append(_state_type(kind))
    return found


@lru_cache(maxsize=256)
def _types(kind: type) -> dict[str, object]:
    """Types of fields; ``_late_types()`` of a class gives those that its module does not load."""
    late = kind._late_types() if hasattr(kind, "_late_types") else None
    return typing.get_type_hints(kind, localns=late)


def _state_type(kind: type):
    return typing.get_type_hints(kind._state).get("return", object)


class _Unpacker:
    """Takes arrays from a file, each once, and builds objects of known classes."""

    def __init__(self, arrays, classes):
        self.arrays, self.classes = arrays, classes
        self.left = set(arrays)
        self.scopes: list[Sizes] = []

    def finish(self) -> None:
        """Refuse what nothing has asked for."""
        if self.left:
            raise ValueError(f"nothing refers to the arrays {sorted(self.left)[:8]}")
        for scope in self.scopes:
            scope.finish()

    def unpack(self, node, where: str, sizes: Sizes):
        """Value of a node."""
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        if isinstance(node, list):
            return [self.unpack(item, below(where, i), sizes) for i, item in enumerate(node)]
        if not isinstance(node, dict):
            raise ValueError(f"{where} is a {type(node).__name__}")
        if _CLASS in node:
            return self._object(node, where, sizes)
        if _ARRAY in node:
            return self._array(node, where)
        if _TUPLE in node:
            if len(node) > 1 or not isinstance(node[_TUPLE], list):
                raise ValueError(f"{where} is no tuple")
            return tuple(self.unpack(node[_TUPLE], where, sizes))
        out = {}
        for key, item in node.items():
            if key.startswith("@") and not key.startswith("@@"):
                raise ValueError(f"{where} has the unknown mark {key!r:.80}")
            key = key[1:] if key.startswith("@") else key
            out[key] = self.unpack(item, below(where, key), sizes)
        return out

    def _array(self, node, where) -> np.ndarray:
        name = node[_ARRAY]
        if len(node) > 1 or not isinstance(name, str) or name not in self.arrays:
            raise ValueError(f"{where} refers to an array that the file lacks: {node!r:.200}")
        if name not in self.left:
            raise ValueError(f"{where} refers to {name!r}, which belongs to something else")
        self.left.remove(name)
        array = self.arrays[name]
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{where} holds {array.dtype}, expected numbers")
        return array

    def _object(self, node, where, sizes):
        kind = node[_CLASS]
        if not isinstance(kind, str) or kind not in self.classes:
            raise ValueError(f"{where or 'the file'} is a {kind!r:.80}, which no model has")
        kind, state = self.classes[kind], node.get(_STATE)
        given = {key: item for key, item in node.items() if key not in (_CLASS, _STATE)}
        estimator = not dataclasses.is_dataclass(kind)
        if estimator:
            names, sizes = set(kind._get_param_names()), self.scope()
        else:
            names = {field.name for field in dataclasses.fields(kind) if is_saved(field)}
            own = getattr(kind, "_own_dims", ())
            sizes = self.scope(sizes, own) if own else sizes
        differences = {"lacks": names - given.keys(), "has an unknown": given.keys() - names}
        for what, some in differences.items():
            if some:
                raise ValueError(f"{where or kind.__name__} {what} {', '.join(sorted(some))[:200]}")
        if not estimator:
            if state is not None:
                raise ValueError(f"{where} has a state, which only estimators have")
            return self._dataclass(kind, given, where, sizes)
        values = {key: self.unpack(item, below(where, key), sizes) for key, item in given.items()}
        return self._estimator(kind, values, state, where)

    def scope(self, outer=None, own=()) -> Sizes:
        """Sizes of a part, remembered for the end."""
        self.scopes.append(Sizes(outer, own))
        return self.scopes[-1]

    def _dataclass(self, kind, given, where, sizes):
        hints, values = _types(kind), {}
        for field in filter(is_saved, dataclasses.fields(kind)):
            place = below(where, field.name)
            value = values[field.name] = self.unpack(given[field.name], place, sizes)
            check_field(value, hints[field.name], field.metadata, place, sizes)
        out = kind(**values)
        for name, size in out._sizes().items() if hasattr(out, "_sizes") else ():
            if not sizes.agree(name, size, where, held=False):
                known, first = sizes.get(name)
                raise ValueError(f"{where} says {name}={size}, but it is {known} in {first}")
        return _checked(out, where)

    def _estimator(self, kind, values, state, where):
        out = _checked(kind(**values), where)
        if state is not None:
            if not hasattr(kind, "_restore"):
                raise ValueError(f"{where or kind.__name__} cannot be fitted")
            state = self.unpack(state, where, self.scope())
            expected = _state_type(kind)
            if not fits_type(state, expected):
                raise ValueError(
                    f"the state of {where or kind.__name__} is no {type_name(expected)}"
                )
            out._restore(state)
        return out


def _checked(value, where: str):
    """Let an object refuse values that its types allow."""
    for name in ("check", "_check_params"):
        if hasattr(value, name):
            try:
                getattr(value, name)()
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(f"{where}: {error}" if where else str(error)) from None
    return value
