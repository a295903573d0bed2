"""Translate EEG/MEG into fMRI time courses and back, the MNE-Python and scikit-learn way.

``mne_samba`` implements SAMBA (arXiv 2409.18462) as scikit-learn-style estimators that take
MNE-Python and nilearn data.
"""

import importlib

from ._version import __version__

# Module -> public names in it, loaded on first use: torch, mne and nilearn take seconds.
_NAMES = {
    "classifier": ("SambaClassifier",),
    "inverse": ("InverseTranslator",),
    "latents": ("LatentTranslator",),
    "models": (
        "CoreModel", "InverseCoreModel", "InversePaperModel", "InverseSambaModel", "PaperModel",
        "SambaModel", "Trainer",
    ),
    "reader": ("Reader",),
    "saving": ("read_samba",),
    "transformers": (
        "BandPowerScreening", "FramewiseRegressor", "LearnableHRF", "SourceParcels", "Unmixing",
        "WaveletBandAttention", "compare_hrfs",
    ),
    "stream": ("SambaStream", "predict_stream"),
    "translator": ("SambaTranslator",),
    "windows": ("make_windows",),
}  # fmt: skip
_PUBLIC = {name: module for module, names in _NAMES.items() for name in names}
_SUBMODULES = (
    "baselines", "classifier", "core", "datasets", "evaluation", "hrf", "inverse", "io", "latents",
    "metrics", "model_selection", "models", "nn", "reader", "report", "stream", "transformers",
    "translator", "unmixing", "viz", "wavelets", "windows",
)  # fmt: skip

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"mne_samba.{_PUBLIC[name]}"), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"mne_samba.{name}")
    raise AttributeError(f"module 'mne_samba' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, *_SUBMODULES])
