"""The published order of the method, for comparison."""
