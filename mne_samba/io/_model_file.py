"""One file per model: a JSON description and safetensors weights. Reading runs no code."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

#: Version of the file format that this version writes, and the newest that it reads.
FORMAT_VERSION = 1
_FORMAT = "mne_samba"


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
    path = Path(path)
    text = json.dumps({"format_version": FORMAT_VERSION, **config})
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(arrays, temporary, metadata={"format": _FORMAT, "config": text})
        # safetensors makes files that their owner alone can read.
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


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
        If the file is damaged, no model of this package, or of a newer format.
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
        version = int(config["format_version"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} has a damaged description: {error}") from None
    if version < 1:
        raise ValueError(f"{path} has format version {version}, which never existed.")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}; this mne_samba reads up to {FORMAT_VERSION}. "
            "Update mne_samba."
        )
    return config, arrays
