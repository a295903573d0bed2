"""Fit and judge networks of the default model; publish what they hold."""
