# The names of `mne_samba.models` for type checkers; `__init__.py` loads each on first use.

__all__ = [
    "CoreModel",
    "InverseCoreModel",
    "InversePaperModel",
    "InverseSambaModel",
    "NeuroBOLTModel",
    "PaperModel",
    "SambaModel",
    "Trainer",
]

from .inverse import InverseCoreModel, InverseSambaModel
from .inverse_paper import InversePaperModel
from .neurobolt import NeuroBOLTModel
from .paper import PaperModel
from .samba import CoreModel, SambaModel
from .trainer import Trainer
