"""Checks of a translator's options, before any data are read."""

from __future__ import annotations

import os

from .._checks import check_number, check_option
from ..nn.hrf import HRF_BOUNDS
from ..nn.recurrent import RECURRENT
from .graphs import GRAPHS
from .network import torch_device


def check_options(options) -> None:
    """Refuse options of a translator that do not exist or are out of range.

    Parameters
    ----------
    options : SambaTranslator
        Read for its parameters, never changed.
    """
    check_option(options.power, "power", ("auto", "linear", "log"))
    check_option(options.hrf, "hrf", ("double_gamma", "fir", "canonical"))
    check_option(options.hrf_bounds, "hrf_bounds", tuple(HRF_BOUNDS))
    check_option(options.map_prior, "map_prior", ("auto", "sparse", "ard", "gaussian"))
    check_option(options.recurrent, "recurrent", (*RECURRENT, None))
    check_option(options.variant, "variant", ("default", "paper"))
    check_option(options.corrections, "corrections", ("auto", "always", "never"))
    if not isinstance(options.checkpoint_dir, (str, os.PathLike, type(None))):
        raise TypeError(f"checkpoint_dir must be a folder or None, got {options.checkpoint_dir!r}.")
    check_option(options.dtype, "dtype", ("float32", "float64"))
    check_option(options.compile, "compile", (True, False))
    check_option(options.mixed_precision, "mixed_precision", (True, False))
    if options.mixed_precision and options.dtype != "float32":
        raise ValueError(
            f'mixed_precision=True needs dtype="float32", got dtype={options.dtype!r}: set one of '
            "them."
        )
    check_option(options.band_attention, "band_attention", (True, False))
    check_option(options.target_bands, "target_bands", ("auto", True, False))
    if isinstance(options.graph, str):
        check_option(options.graph, "graph", (*GRAPHS, None))
    check_number(options.n_neighbors, "n_neighbors", low=1, integer=True)
    check_number(options.n_hidden, "n_hidden", low=1, integer=True)
    if options.recurrent == "transformer" and options.n_hidden % 4:
        raise ValueError(
            f'n_hidden must be a multiple of 4 for recurrent="transformer", got {options.n_hidden}.'
        )
    check_option(options.warm_start, "warm_start", (True, False))
    torch_device(options.device)
    check_number(options.batch_size, "batch_size", low=1, integer=True)
    check_number(options.max_epochs, "max_epochs", low=1, integer=True)
    check_number(options.patience, "patience", low=1, integer=True)
    check_number(options.lr, "lr", low=0, low_open=True)
    check_number(options.gap, "gap", low=0)
    check_number(options.validation_fraction, "validation_fraction", low=0.05, high=0.5)
    if options.step is not None:
        check_number(options.step, "step", low=0, low_open=True)
