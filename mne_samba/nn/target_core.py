"""A linear core whose targets have band weights of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .linear import Core, fit_core


def fit_target_core(
    powers,
    targets,
    masks=None,
    *,
    init: Core | None = None,
    start: Core | None = None,
    **options,
) -> Core:
    """Fit a core that shares no band weights between targets.

    The model is ``y_m = h_m * sum_nk C_mnk P_nk``: nothing couples nodes and bands, and a sparse
    prior picks the few that drive a target. It needs more data than the shared structure where that
    holds, and finds what that cannot express.

    Parameters
    ----------
    powers, targets, masks
        As in `fit_core`.
    init : Core | None
        Core of other people, fitted by this function.
    start : Core | None
        Core of a part of the same data, fitted by this function.
    **options
        Further options of `fit_core`.

    Returns
    -------
    core : Core
        All coefficients are in ``extra``; ``spatial_map`` is zero.
    """
    n_nodes, n_bands = powers[0].shape[:2]
    flat = [np.asarray(power).reshape(n_nodes * n_bands, 1, -1) for power in powers]
    # With more coefficients than frames the Gaussian start never settles: it only has to start.
    options |= {"map_prior": "sparse", "extra": False, "max_iter": 40}
    if init is not None:
        init = replace(
            init,
            weights=np.ones((n_nodes * n_bands, 1)),
            spatial_map=init.extra.reshape(len(init.extra), -1),
            extra=None,
        )
    if start is not None:
        start = replace(start, weights=np.ones((n_nodes * n_bands, 1)))
    core = fit_core(flat, targets, masks, init=init, start=start, **options)
    coefficients = core.spatial_map * core.weights[:, 0]
    n_targets = len(coefficients)
    return replace(
        core,
        weights=np.ones((n_nodes, n_bands)),
        spatial_map=np.zeros((n_targets, n_nodes)),
        map_variance=np.zeros((n_targets, n_nodes)),
        extra=coefficients.reshape(n_targets, n_nodes, n_bands),
    )
