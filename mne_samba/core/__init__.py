"""The structured linear core: variational Bayes on one Gram matrix of whitened features.

Read from the top: `linear` (the model and its fit), `stages` (the order of fits), `ascent` (one
sweep), `map_prior` and `response` (two of its three factors), `moments` (what is kept of the data);
`deviation` frees single coefficients where the evidence is for them, `free` gives every drive a
response of its own, `inverse` goes from BOLD back.
"""

from .linear import Core, fit_core, fit_own_bands

__all__ = ["Core", "fit_core", "fit_own_bands"]
