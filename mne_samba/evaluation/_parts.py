"""What an estimator is made of: its reader, its parameters, the translator that goes back."""

import numpy as np
from sklearn.base import clone

from ..base import Assembled
from ..inverse import InverseTranslator
from ..reader import Reader


def parts_of(estimator) -> list:
    """List an estimator and all its parameters, among them the steps of a pipeline or a search."""
    params = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    return [estimator, *params.values()]


def with_t_r(estimator, t_r):
    """Give the seconds between frames to parts that have none; the estimator itself is kept."""
    if t_r is None or np.ndim(t_r) or not hasattr(estimator, "get_params"):
        return estimator
    params = estimator.get_params(deep=True)
    lack = [name for name in params if name.split("__")[-1] == "t_r" and params[name] is None]
    return clone(estimator).set_params(**dict.fromkeys(lack, t_r)) if lack else estimator


def inverse_of(estimator) -> InverseTranslator | None:
    """Find the part that translates BOLD into electrophysiology; None on the way there."""
    return next((p for p in parts_of(estimator) if isinstance(p, InverseTranslator)), None)


def reader_of(estimator) -> Reader:
    """Reader of the part that reads recordings; None stands for the defaults."""
    given = next((part.reader for part in parts_of(estimator) if hasattr(part, "reader")), None)
    return Reader() if given is None else given


def known_params(estimator) -> dict:
    """Parameters of an estimator and its parts; its own count where both have one of a name."""
    known: dict = {}
    whole, *parts = parts_of(estimator)
    for part in [*parts, whole]:
        known |= {name: value for name, value in _own_params(part).items() if "__" not in name}
    return known


def _own_params(estimator) -> dict:
    """Parameters of an estimator and of its parts, also of those that are None or a name."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        return {}
    own: dict = {}
    if isinstance(estimator, Assembled):
        for part in estimator.assembly:
            own |= part.get_params(deep=False)
    elif hasattr(estimator, "reader"):
        own |= reader_of(estimator).get_params(deep=False)
    return own | {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name not in ("model", "reader", "trainer")
    }


def time_params(translator, t_r, context) -> tuple:
    """Seconds between frames and of history: as given, else what the translator says."""
    params = known_params(translator)
    own = params.get("t_r")
    if isinstance(t_r, int | float) and own is not None and 0 < t_r != own:
        raise ValueError(f"t_r={t_r!r} contradicts the translator's t_r={own!r}.")
    t_r = own if t_r is None else t_r
    return t_r, params.get("hrf_length") if context is None else context
