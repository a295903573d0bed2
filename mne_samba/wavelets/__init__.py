"""Wavelets and the power of their coefficients in bins."""
