"""Translate EEG/MEG into fMRI time courses and back, the MNE-Python and scikit-learn way.

``mne_samba`` implements SAMBA (arXiv 2409.18462) as scikit-learn-style estimators that take
MNE-Python and nilearn data.
"""

import importlib

from ._version import __version__

# Public name -> module that defines it, loaded on first use: torch, mne and nilearn take seconds.
_PUBLIC = {
    "FramewiseRegressor": "mne_samba.transformers",
    "LearnableHRF": "mne_samba.transformers",
    "SambaClassifier": "mne_samba.transformers",
    "SambaTranslator": "mne_samba.translator",
    "WaveletBandAttention": "mne_samba.transformers",
    "compare_hrfs": "mne_samba.transformers",
    "make_windows": "mne_samba.windows",
    "read_samba": "mne_samba.translator",
}
_SUBMODULES = (
    "baselines",
    "datasets",
    "evaluation",
    "io",
    "model_selection",
    "nn",
    "report",
    "transformers",
    "translator",
    "viz",
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
