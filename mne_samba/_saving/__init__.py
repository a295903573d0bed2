"""One file per translator: JSON and tensors, never code."""
