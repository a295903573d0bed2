"""Functions that remember: what several models of one person share is computed once."""

from __future__ import annotations

import copy
from functools import wraps

import joblib


def remembered(function, most: int = 12):
    """Return the function with its last results, known by the content of the arguments."""
    results: dict[str, object] = {}

    @wraps(function)
    def call(*args, **kwargs):
        key = joblib.hash((args, kwargs))
        if key not in results:
            if len(results) >= most:
                results.pop(next(iter(results)))
            results[key] = function(*args, **kwargs)
        # What a caller changes must not come back to the next.
        return copy.deepcopy(results[key])

    return call
