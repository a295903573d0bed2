"""The structured linear core: variational Bayes on one Gram matrix of whitened features."""
