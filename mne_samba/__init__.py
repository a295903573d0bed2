"""Translate EEG/MEG into fMRI time courses and back, the MNE-Python and scikit-learn way.

``mne_samba`` implements SAMBA (arXiv 2409.18462) as scikit-learn-style estimators that take
MNE-Python and nilearn data.
"""

import lazy_loader

# Names stand in __init__.pyi, and are loaded on first use: torch, mne and nilearn take seconds.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
