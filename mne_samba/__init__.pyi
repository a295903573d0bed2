# What `import mne_samba` offers, for type checkers; `__init__.py` loads each name on first use.

__all__ = [
    "BandPowerScreening",
    "CoreModel",
    "FramewiseRegressor",
    "InverseCoreModel",
    "InversePaperModel",
    "InverseSambaModel",
    "InverseTranslator",
    "LatentTranslator",
    "LearnableHRF",
    "PaperModel",
    "Reader",
    "SambaClassifier",
    "SambaModel",
    "SambaStream",
    "SambaTranslator",
    "SourceParcels",
    "Trainer",
    "Unmixing",
    "WaveletBandAttention",
    "__version__",
    "baselines",
    "classifier",
    "compare_hrfs",
    "core",
    "datasets",
    "evaluation",
    "hrf",
    "inverse",
    "io",
    "latents",
    "make_windows",
    "metrics",
    "model_selection",
    "models",
    "nn",
    "predict_stream",
    "read_samba",
    "reader",
    "report",
    "saving",
    "stream",
    "transformers",
    "translator",
    "unmixing",
    "viz",
    "wavelets",
    "windows",
]

from . import (
    baselines,
    classifier,
    core,
    datasets,
    evaluation,
    hrf,
    inverse,
    io,
    latents,
    metrics,
    model_selection,
    models,
    nn,
    reader,
    report,
    saving,
    stream,
    transformers,
    translator,
    unmixing,
    viz,
    wavelets,
    windows,
)
from ._version import __version__
from .classifier import SambaClassifier
from .inverse import InverseTranslator
from .latents import LatentTranslator
from .models import (
    CoreModel,
    InverseCoreModel,
    InversePaperModel,
    InverseSambaModel,
    PaperModel,
    SambaModel,
    Trainer,
)
from .reader import Reader
from .saving import read_samba
from .stream import SambaStream, predict_stream
from .transformers import (
    BandPowerScreening,
    FramewiseRegressor,
    LearnableHRF,
    SourceParcels,
    Unmixing,
    WaveletBandAttention,
    compare_hrfs,
)
from .translator import SambaTranslator
from .windows import make_windows
