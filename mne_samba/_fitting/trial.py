"""Whether corrections are worth training: a short training for some of many targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from mne.utils import logger

from .._data.paired import PairedData
from ..nn.linear import Core
from .graphs import fit_graphs
from .training import make_net, train, validated_gain

# Passes over the training part. Corrections start at nothing and move fastest at first.
_EPOCHS = 2


def corrections_promise(fitter, core: Core, part: PairedData, held: PairedData, some) -> bool:
    """Say whether corrections that were trained briefly for some targets improve held-out frames.

    Parameters
    ----------
    fitter : NetworkFitter
        Builds networks.
    core : Core
        Core of the training part.
    part, held : PairedData
        Training part and held-out frames.
    some : array of int, shape (n,)
        Targets of the trial, which also are each other's only neighbours.

    Returns
    -------
    promising : bool
        Whether correlation rises by more than its standard error over targets.
    """
    part, held = part.of_targets(some), held.of_targets(some)
    network = fitter.wrap(
        core_of_targets(core, some), fit_graphs(fitter.options, part), np.ones(len(some)), False, []
    )
    before = network.frames(held.powers, held.grid)
    net = make_net(
        network.net.module_, fitter.options, max_epochs=_EPOCHS, device=fitter.device,
        valid=fitter.windows(held, fitter.n_frames),
    )  # fmt: skip
    network.net = train(net, fitter.windows(part))
    network.corrections_kept = True
    gain, error = validated_gain(before, network.frames(held.powers, held.grid), held)
    logger.info(
        "A short training for %d targets changes held-out correlation by %+.4f (standard error "
        "%.4f): corrections are %s.",
        len(some), gain, error, "trained" if gain > error else "left out",
    )  # fmt: skip
    return bool(gain > error)


def core_of_targets(core: Core, some: np.ndarray) -> Core:
    """Core that predicts some of the targets alone."""
    rows = ("spatial_map", "hrf_params", "kernel", "intercept", "noise_variance", "map_variance",
            "target_evidence", "extra")  # fmt: skip
    taken = {name: getattr(core, name) for name in rows}
    return replace(core, **{name: v if v is None else v[some] for name, v in taken.items()})
