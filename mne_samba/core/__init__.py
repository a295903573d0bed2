"""The structured linear core: variational Bayes on one Gram matrix of whitened features.

Read from the top: `linear` (the model and its fit), `stages` (the order of fits), `ascent` (one
sweep), `map_prior` and `response` (two of its three factors), `moments` (what is kept of the data);
`shared` keeps what fits that follow each other have in common; `deviation` frees single
coefficients where the evidence is for them, `free` gives every drive a response of its own,
`inverse` goes from BOLD back.
"""

import lazy_loader

# Names stand in __init__.pyi, and are loaded on first use: `robust` needs no torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
