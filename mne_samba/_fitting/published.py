"""Fitted attributes that people read and plot, from the network and its training data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.utils import Bunch

from .._data.paired import PairedData
from ..nn.hrf import HRF_PARAMS, convolve_frames, double_gamma, hrf_summary
from ..nn.samba import SambaNet

# Responses are published on this grid, in seconds.
HRF_STEP = 0.1


def publish_network(translator) -> None:
    """Set the fitted attributes of a translator that follow from its network.

    Parameters
    ----------
    translator : SambaTranslator
        Holds the fitted network; gets ``net_``, ``band_weights_``, ``hrf_params_`` and the like.
    """
    network = translator._network
    translator.power_ = "log" if translator.scaler_.log else "linear"
    translator.net_, translator.core_ = network.net, network.core
    translator.history_ = network.history
    translator.corrections_kept_ = network.corrections_kept
    translator.n_parameters_ = network.n_parameters
    module = network.net.module_.eval()
    weights, spatial_map = effective_weights(module, network.node_scale)
    translator.band_weights_, translator.spatial_map_ = weights, spatial_map
    translator.band_attention_, translator.band_gain_ = publish_bands(weights, spatial_map)
    found = publish_hrf(module, translator.target_names_in_, float(translator.hrf_length))
    translator.hrf_params_, translator.hrf_ = found[:2]
    translator.hrf_times_, translator.hrf_peak_time_ = found[2:]
    translator.graph_ = Bunch(**vars(network.graphs), bipartite=spatial_map)


def effective_weights(module: SambaNet, node_scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed band weights (n_channels, n_bands) and map (n_targets, n_channels) of the network.

    Only their product is identifiable; ``node_scale`` is the split that the linear core found.
    Weights that every target has of its own are summarised, see `summarised_weights`.
    """
    bands = module.bands
    scale = np.where(node_scale > 0, node_scale, 1.0)
    weights = (bands.attention * bands.gain).detach().cpu().double().numpy() * scale[:, None]
    spatial_map = module.spatial_map.weight.detach().cpu().double().numpy() / scale
    if module.target_bands is not None and not spatial_map.any():
        own = module.target_bands.weight.detach().cpu().double().numpy()
        return summarised_weights(own.reshape(len(own), *weights.shape))
    return weights, np.where(node_scale > 0, spatial_map, 0.0)


def summarised_weights(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and map of targets that have bands of their own, (n_targets, n_channels, n_bands).

    Weights are the root mean square over targets, the map is the projection on them.
    """
    weights = np.sqrt(np.mean(own**2, axis=0)) * np.where(own.sum(axis=0) < 0, -1.0, 1.0)
    norm = (weights**2).sum(axis=1)
    return weights, (own * weights).sum(axis=2) / np.where(norm > 0, norm, np.inf)


def publish_bands(weights: np.ndarray, spatial_map: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Attention (rows sum to 1) and signed gain in [-1, 1] from effective coefficients."""
    size = np.abs(weights)
    total = size.sum(axis=1, keepdims=True)
    attention = np.where(total > 0, size / np.where(total > 0, total, 1), 1 / weights.shape[1])
    gain = weights * np.linalg.norm(spatial_map, axis=0)[:, None]
    largest = np.abs(gain).max()
    return attention, gain / largest if largest > 0 else gain


def publish_hrf(module: SambaNet, names: list[str], hrf_length: float):
    """Six parameters, responses, their times and peak times of every target."""
    n_targets = len(names)
    if module.n_lags == 1:
        empty = pd.DataFrame(np.nan, index=names, columns=list(HRF_PARAMS))
        return empty, np.ones((n_targets, 1)), np.zeros(1), np.zeros(n_targets)
    if module.hrf is None:
        kernel = module.response().detach().cpu().double().numpy()
        times = module.lags.cpu().double().numpy()
        params = pd.DataFrame(np.nan, index=names, columns=list(HRF_PARAMS))
        return params, kernel, times, times[np.abs(kernel).argmax(axis=1)]
    params = module.hrf.params().detach().cpu().double().numpy()
    times = np.arange(0, hrf_length + HRF_STEP / 2, HRF_STEP)
    table = pd.DataFrame(params, index=names, columns=list(HRF_PARAMS))
    return table, double_gamma(times, params), times, hrf_summary(params)["peak_time"]


def activation_patterns(
    module: SambaNet, data: PairedData, predictions: list[np.ndarray]
) -> np.ndarray:
    """Haufe patterns: how band power, after the mean response, covaries with predictions.

    Returns
    -------
    patterns : array, shape (n_targets, n_channels, n_bands)
        Change of standardised band power that goes with one standard deviation of the prediction.

    References
    ----------
    Haufe et al. (2014), NeuroImage 87.
    """
    kernel = module.response().detach().cpu().double().mean(dim=0)
    total, count, power_sum, pred_sum, square = 0.0, 0, 0.0, 0.0, 0.0
    for power, pred, mask in zip(data.powers, predictions, data.masks, strict=True):
        flat = torch.as_tensor(power, dtype=torch.float64).flatten(0, 1)
        seen = convolve_frames(flat, kernel, module.step).numpy()[:, mask] * module.dt
        pred = np.asarray(pred, dtype=np.float64)[mask]
        total = total + seen @ pred
        power_sum, pred_sum = power_sum + seen.sum(axis=1), pred_sum + pred.sum(axis=0)
        square, count = square + (pred**2).sum(axis=0), count + int(mask.sum())
    covariance = total / count - np.outer(power_sum, pred_sum) / count**2
    spread = np.sqrt(np.maximum(square / count - (pred_sum / count) ** 2, 0))
    patterns = covariance / np.where(spread > 1e-12, spread, np.inf)
    n_channels, n_bands = data.powers[0].shape[:2]
    return patterns.T.reshape(-1, n_channels, n_bands)
