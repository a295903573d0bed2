"""What translators fit: models as objects with the parameters that they have, and their training.

Every model is an object of plain parameters with the same few methods; a fit gives a frozen
dataclass that predicts and that a file can hold.
"""

import importlib

# Public name -> module; loaded on first use.
_PUBLIC = {
    "CoreModel": ".samba",
    "InverseCoreModel": ".inverse",
    "InversePaperModel": ".inverse_paper",
    "InverseSambaModel": ".inverse",
    "PaperModel": ".paper",
    "SambaModel": ".samba",
    "Trainer": ".trainer",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return list(__all__)
