"""Translate EEG/MEG into fMRI time courses and back, the MNE-Python and scikit-learn way.

``mne_samba`` implements SAMBA (arXiv 2409.18462) as scikit-learn-style estimators that take
MNE-Python and nilearn data.
"""

import importlib

from ._version import __version__

# Public name -> module that defines it, loaded on first use: torch, mne and nilearn take seconds.
_PUBLIC = {
    "CoreModel": "mne_samba.models",
    "FramewiseRegressor": "mne_samba.transformers",
    "InverseCoreModel": "mne_samba.models",
    "InversePaperModel": "mne_samba.models",
    "InverseSambaModel": "mne_samba.models",
    "InverseTranslator": "mne_samba.inverse",
    "LatentTranslator": "mne_samba.latents",
    "LearnableHRF": "mne_samba.transformers",
    "PaperModel": "mne_samba.models",
    "Reader": "mne_samba.reader",
    "SambaClassifier": "mne_samba.classifier",
    "SambaModel": "mne_samba.models",
    "SambaTranslator": "mne_samba.translator",
    "Trainer": "mne_samba.models",
    "WaveletBandAttention": "mne_samba.transformers",
    "compare_hrfs": "mne_samba.transformers",
    "make_windows": "mne_samba.windows",
    "read_samba": "mne_samba.saving",
}
_SUBMODULES = (
    "baselines",
    "core",
    "datasets",
    "evaluation",
    "hrf",
    "io",
    "metrics",
    "model_selection",
    "models",
    "nn",
    "reader",
    "report",
    "transformers",
    "translator",
    "viz",
    "wavelets",
    "windows",
)

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"mne_samba.{name}")
    raise AttributeError(f"module 'mne_samba' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, *_SUBMODULES])
