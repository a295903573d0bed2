# The names of `mne_samba.core` for type checkers; `__init__.py` loads each on first use.

__all__ = ["Core", "fit_core", "fit_own_bands"]

from .linear import Core, fit_core, fit_own_bands
