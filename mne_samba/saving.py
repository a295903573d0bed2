"""Read estimators from files: class names become classes."""

from dataclasses import is_dataclass
from typing import Any

import torch
from mne.utils import warn

from .model_file import FOLDERS, classes_of, read_model, unpack

__all__ = ["read_samba"]


def read_samba(path) -> Any:
    """Read an estimator that its method ``save`` wrote. No code of the file is run.

    Parameters
    ----------
    path : str | Path
        The file.

    Returns
    -------
    estimator : SambaTranslator | InverseTranslator | LatentTranslator | Unmixing | SourceParcels
        Fitted.

    Raises
    ------
    ValueError
        If the file is damaged, of another format, or no model.
    FileNotFoundError
        If there is no such file.
    """
    config, arrays = read_model(path)
    missing: list[str] = []
    try:
        classes = _classes()
        tree = _moved_here(config["model"], classes, missing)
        estimator = unpack(tree, arrays, classes)
        if not (hasattr(estimator, "_restore") and "@state" in tree):
            raise ValueError("it holds nothing that was fitted")
    except Exception as error:  # whatever a damaged or hostile description leads to
        what = str(error) if isinstance(error, (ValueError, TypeError)) else repr(error)
        raise ValueError(f"{path} is not a complete model: {what:.500}") from None
    if missing:
        warn(f"device={missing[0]!r} does not exist here: the model is read onto the CPU.")
    return estimator


def _classes() -> dict[str, type]:
    """Estimators that have files, and the objects that their parameters may be."""
    from . import models, wavelets
    from .inverse import InverseTranslator
    from .latents import LatentTranslator
    from .reader import Reader
    from .transformers import SourceParcels, Unmixing
    from .translator import SambaTranslator

    return classes_of(
        SambaTranslator, InverseTranslator, LatentTranslator, Unmixing, SourceParcels, Reader,
        models.Trainer, models.SambaModel, models.CoreModel, models.PaperModel,
        models.NeuroBOLTModel,
        models.InverseSambaModel, models.InverseCoreModel, models.InversePaperModel,
        wavelets.Shannon, wavelets.Morlet, wavelets.Discrete, wavelets.Precomputed,
    )  # fmt: skip


def _moved_here(node, classes: dict[str, type], missing: list[str]):
    """Leave folders of the machine that wrote a tree, and move what was on its GPU to the CPU."""
    if isinstance(node, list):
        return [_moved_here(item, classes, missing) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _moved_here(item, classes, missing) for key, item in node.items()}
    kind = node.get("@class")
    if not isinstance(kind, str):
        return node
    # What a file names is not opened: joblib's caches hold pickles, which run code.
    node |= dict.fromkeys(node.keys() & set(FOLDERS))
    device = node.get("device")
    if isinstance(device, str) and not _exists(device):
        node["device"] = "cpu"
        # "auto" may have found a GPU: only who has asked for one is told.
        if is_dataclass(classes.get(kind)):
            return node
        missing.append(device)
    return node


def _exists(device: str) -> bool:
    """Whether a GPU is here; other names of devices are checked where they are used."""
    if not device.startswith(("cuda", "mps", "xpu")):
        return True
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return False
    return True
