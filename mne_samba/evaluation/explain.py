"""Explanations of a fitted translator on the user's own data."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._checks import check_option
from ..translator import NetworkInput, SambaTranslator
from .attribution import randomised_copy, smooth_grad


def attribute(
    translator, X, *, targets=None, method: str = "smooth_grad", randomise: bool = False,
    n_samples: int = 25, n_windows: int = 8, random_state: int = 0,
) -> np.ndarray:  # fmt: skip
    """Attribute predicted BOLD to channels, bands and lags of their history.

    Parameters
    ----------
    translator : SambaTranslator
        Fitted on windows or recordings, from electrophysiology to BOLD.
    X : Epochs | Raw | list | array
        Electrophysiology, as in ``predict``.
    targets : sequence of int | None
        Regions to explain; None explains all.
    method : "smooth_grad" | "gradient"
        Gradients averaged over noisy copies of the input (Smilkov et al. 2017), or plain ones.
    randomise : bool
        Shuffle the network's parameters first: an attribution that survives shows the input and
        not the model (Adebayo et al. 2018).
    n_samples : int
        How many noisy copies of the input are averaged.
    n_windows : int
        Windows, spread over X, that are averaged.
    random_state : int
        Seed of what is drawn at random: the same seed, the same numbers.

    Returns
    -------
    attribution : array, shape (n_targets, n_channels, n_bands, n_lags)
        Change of the region's standardised BOLD per standard deviation of band power in one bin of
        history, the most recent bin first; bins are half a second wide, or nearly: a whole number
        of them fits between frames (``model="paper"``: one bin per frame).

    Raises
    ------
    ValueError
        If the method is unknown or the translator takes tables or goes another way.
    sklearn.exceptions.NotFittedError
        If the translator is not fitted.
    """
    check_is_fitted(translator)
    check_option(method, "method", ("smooth_grad", "gradient"))
    # Of scikit-learn's attributes, this one is for tables alone.
    if not isinstance(translator, SambaTranslator) or hasattr(translator, "n_features_in_"):
        raise ValueError(
            "attribute explains a SambaTranslator of windows or recordings, from electrophysiology "
            "to BOLD."
        )
    seen = NetworkInput.of(translator, X)
    grid, plain = seen.features.grid, method == "gradient"
    module = randomised_copy(seen.module, random_state) if randomise else seen.module
    gradients = smooth_grad(
        module, _windows(seen, n_windows), step=grid.step, n_lags=grid.n_lags, targets=targets,
        n_samples=1 if plain else n_samples, noise=0.0 if plain else 0.15,
        random_state=random_state,
    )  # fmt: skip
    return seen.features.by_band(gradients)


def _windows(seen: NetworkInput, n_windows: int) -> np.ndarray:
    """Take windows, spread over segments, (n_windows, n_channels, n_features, n_bins)."""
    grid, places = seen.features.grid, []
    width = grid.n_bins(seen.n_frames)
    for i, power in enumerate(seen.powers):
        last = power.shape[-1] - width
        places += [(i, first) for first in range(0, last + 1, seen.n_frames * grid.step)]
    if not places:
        raise ValueError("X is shorter than the windows that the translator was fitted on.")
    chosen = np.unique(np.linspace(0, len(places) - 1, n_windows).round().astype(int))
    return np.stack([seen.powers[i][..., f : f + width] for i, f in (places[c] for c in chosen)])
