"""Where a prediction comes from: gradients over channel, band and lag, patterns, fair shares."""

import copy
from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial

import numpy as np
import torch


def smooth_grad(
    module: torch.nn.Module, power, *, step: int, n_lags: int,
    targets: Sequence[int] | None = None, n_samples: int = 25, noise: float = 0.15,
    n_frames: int = 4, random_state: int = 0,
) -> np.ndarray:  # fmt: skip
    r"""SmoothGrad attribution of each target's prediction over channel, band and lag.

    Mean over windows, frames and noisy copies of
    :math:`\partial \hat y_k / \partial x(channel, band, k - lag)` (Smilkov et al. 2017), signed.
    For a linear network it equals the weights; multiply by the standard deviation of the input to
    compare inputs of different scale.

    Parameters
    ----------
    module : Module
        Network from band power (n_windows, n_channels, n_bands, n_bins) to frames
        (n_windows, n_frames, n_targets), for instance ``translator.net_.module_``.
    power : array or tensor of shape (n_windows, n_channels, n_bands, n_bins)
        Band power as the network gets it (standardised).
    step : int
        Bins per frame.
    n_lags : int
        Bins of history of a frame; frame ``k`` uses bins ``[k * step, k * step + n_lags)``.
    targets : sequence of int | None
        Targets to explain. Default: all.
    n_samples : int
        Noisy copies; 1 with ``noise=0`` gives plain gradients.
    noise : float
        Standard deviation of the noise in units of the input's, per channel and band.
    n_frames : int
        Frames that are explained, spread over the window.
    random_state : int
        Seed of the noise.

    Returns
    -------
    attribution : ndarray of shape (n_targets, n_channels, n_bands, n_lags)
        Lag 0 is the most recent bin.

    Raises
    ------
    ValueError
        If the power does not have four dimensions or windows have no frame.
    """
    parameter = next(module.parameters(), torch.zeros(()))
    x = torch.as_tensor(np.asarray(power), dtype=parameter.dtype, device=parameter.device)
    if x.ndim != 4 or x.shape[-1] < n_lags:
        raise ValueError(
            "power must have shape (n_windows, n_channels, n_bands, n_bins) with at least "
            f"{n_lags} bins, got {tuple(x.shape)}."
        )
    generator = torch.Generator().manual_seed(random_state)
    spread = x.std(dim=(0, 3), keepdim=True) * noise
    available = (x.shape[-1] - n_lags) // step + 1
    frames = np.unique(np.linspace(0, available - 1, n_frames).round().astype(int))
    training = module.training
    # Recurrent layers on a GPU have no gradient in evaluation mode unless cuDNN is left out.
    module.eval()
    try:
        with torch.backends.cudnn.flags(enabled=False):
            total = None
            for _ in range(n_samples):
                disturbance = torch.randn(x.shape, generator=generator, dtype=x.dtype)
                noisy = (x + disturbance.to(x.device) * spread).requires_grad_()
                gradient = _lagged_gradients(module, noisy, frames, step, n_lags, targets)
                total = gradient if total is None else total + gradient
    finally:
        module.train(training)
    return total / n_samples


def _lagged_gradients(module, x, frames, step, n_lags, targets) -> np.ndarray:
    predicted = module(x)
    targets = range(predicted.shape[-1]) if targets is None else targets
    parts = []
    for target in targets:
        total = 0.0
        for frame in frames:
            value = predicted[:, frame, target].sum()
            (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
            history = gradient[..., frame * step : frame * step + n_lags].mean(dim=0)
            total = total + history.flip(-1)
        parts.append((total / len(frames)).detach().cpu().double().numpy())
    return np.stack(parts)


def randomised_copy(module: torch.nn.Module, random_state: int = 0) -> torch.nn.Module:
    """Copy of a network whose parameters are shuffled, for the sanity check of attributions.

    An attribution that survives randomised weights shows the input, not the model (Adebayo et al.
    2018).

    Parameters
    ----------
    module : Module
        Network to copy; it stays as it is.
    random_state : int
        Seed of the noise.

    Returns
    -------
    copy : Module
        Every tensor of parameters keeps its values, in random order.
    """
    generator = torch.Generator().manual_seed(random_state)
    module = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            shuffled = parameter.flatten()[order.to(parameter.device)]
            parameter.copy_(shuffled.reshape(parameter.shape))
    return module


def haufe_patterns(weights, X) -> np.ndarray:
    r"""Activation patterns of linear weights, :math:`A = \Sigma_X W \Sigma_{\hat s}^{-1}`.

    Weights also cancel noise, so that their size does not tell where a signal is; patterns do
    (Haufe et al. 2014, equation 6).

    Parameters
    ----------
    weights : array of shape (n_targets, n_features)
        Weights of a linear model, one row per target.
    X : array of shape (n_samples, n_features)
        Features that the weights were fitted on.

    Returns
    -------
    patterns : ndarray of shape (n_targets, n_features)
        What each feature does when the target's prediction rises by one.

    Raises
    ------
    ValueError
        If weights and features do not match.
    """
    weights, X = np.atleast_2d(np.asarray(weights, float)), np.asarray(X, float)
    if X.ndim != 2 or X.shape[1] != weights.shape[1]:
        raise ValueError(
            f"X must have shape (n_samples, {weights.shape[1]}), the features of the weights, got "
            f"{X.shape}."
        )
    X = X - X.mean(axis=0)
    predicted = X @ weights.T
    return np.linalg.pinv(np.atleast_2d(predicted.T @ predicted)) @ (predicted.T @ X)


def shapley_values(
    value: Callable[[frozenset], np.ndarray],
    n_players: int,
    *,
    n_permutations: int | None = None,
    random_state: int = 0,
) -> np.ndarray:
    """Fair shares of a value among players (Shapley 1953).

    Parameters
    ----------
    value : callable
        Value (number or array) of a set of players, given as a frozenset of indices.
    n_players : int
        Number of players.
    n_permutations : int | None
        Random orders to average over. Default: exact for up to ten players, else 200.
    random_state : int
        Seed of the orders.

    Returns
    -------
    shares : ndarray of shape (n_players, ...)
        They add up to the value of all players minus the value of none.
    """
    known: dict[frozenset, np.ndarray] = {}

    def worth(players) -> np.ndarray:
        players = frozenset(players)
        if players not in known:
            known[players] = np.asarray(value(players), float)
        return known[players]

    if n_permutations is None and n_players <= 10:
        shares = []
        for player in range(n_players):
            others = [other for other in range(n_players) if other != player]
            share = 0.0
            for size in range(n_players):
                weight = factorial(size) * factorial(n_players - size - 1) / factorial(n_players)
                for coalition in combinations(others, size):
                    share = share + weight * (worth({*coalition, player}) - worth(coalition))
            shares.append(share)
        return np.array(shares)
    rng = np.random.default_rng(random_state)
    n_permutations = 200 if n_permutations is None else n_permutations
    total = np.zeros((n_players, *worth(()).shape))
    for _ in range(n_permutations):
        present: list = []
        for player in rng.permutation(n_players):
            before = worth(present)
            present.append(int(player))
            total[player] += worth(present) - before
    return total / n_permutations
