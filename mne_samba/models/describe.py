"""Fitted attributes that people read and plot, from networks and training data."""

import numpy as np
import pandas as pd
import torch

from ..core.map_prior import MAP_PRIORS
from ..data.paired import Paired
from ..hrf import HRF_PARAMS, convolve_frames, double_gamma, hrf_summary
from ..nn.samba import SambaNet
from .network import Network
from .windows import at_grid

# Responses are published on this grid, in seconds.
_STEP = 0.1


_RESPONSES = {
    "double_gamma": "responses of six parameters",
    "fir": "free responses",
    "canonical": "the canonical response",
    "identity": "no response",
}


def chosen(choice, fitted) -> str:
    """Say in words what a `Choice` led to in a `FittedSamba`, and why."""
    core, judgement, options = fitted.core, fitted.judgement, choice.options
    asked = "as asked" if choice.previous is None else "as before"

    def said(what: str, name: str, given: str = asked) -> str:
        return f"{what} ({choice.why.get(name, given)})"

    tried = "auto" in (options.power, options.target_bands) and choice.previous is None
    known = "nothing to compare" if tried else asked
    own = "band weights of every region's own" if choice.own_bands else "shared band weights"
    words = []
    if choice.data.kind != "table":  # columns have no bands and no responses
        words = [
            said("log power" if fitted.scaler.log else "linear power", "power", known),
            said(own, "bands", known),
            said(_RESPONSES[core.hrf], "response"),
        ]
    evidence = {name: core.evidence[name] for name in MAP_PRIORS if name in core.evidence}
    behind = [value for name, value in evidence.items() if name != core.map_prior]
    prior = asked if options.map_prior != "auto" else "settled by fits before"
    if behind and core.map_prior in evidence:
        nats = (evidence[core.map_prior] - max(behind)) / len(core.kernel)
        # A sparse map's bound is too low: a normal one has to be clearly ahead.
        too_few = "" if nats >= 0 else ", too few for a normal one"
        prior = f"evidence {nats:+.1f} nats per region{too_few}"
    words.append(f"{core.map_prior} map ({prior})")
    if fitted.weights is not None:
        words.append("robust loss (heavy tails)")
    if judgement.gain is not None or judgement.kept:
        gain = "" if judgement.gain is None else f" ({judgement.gain:+.4f} ± {judgement.error:.4f})"
        words.append(f"corrections {'kept' if judgement.kept else 'left out'}{gain}")
    if fitted.stack is not None:
        words.append(f"{fitted.stack_weights.mean():.0%} free responses of all drives")
    return "; ".join(words)


def effective_weights(module: SambaNet, node_scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed band weights (n_channels, n_bands) and map (n_targets, n_channels) of the network."""
    # Only their product is identifiable; ``node_scale`` (n_channels,) is the split that the linear
    # core found. Weights that every target has of its own are summarised.
    bands = module.bands
    scale = np.where(node_scale > 0, node_scale, 1.0)
    weights = plain(bands.attention * bands.gain) * scale[:, None]
    spatial_map = plain(module.spatial_map.weight) / scale
    if module.target_bands is not None and not spatial_map.any():
        own = plain(module.target_bands.weight)
        return summarised_weights(own.reshape(len(own), *weights.shape))
    return weights, np.where(node_scale > 0, spatial_map, 0.0)


def summarised_weights(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square of target bands (n_targets, n_channels, n_bands), and map on it."""
    weights = np.sqrt(np.mean(own**2, axis=0)) * np.where(own.sum(axis=0) < 0, -1.0, 1.0)
    norm = (weights**2).sum(axis=1)
    return weights, (own * weights).sum(axis=2) / np.where(norm > 0, norm, np.inf)


def publish_network(network: Network, history: list[dict], kept: bool = True) -> dict:
    """Attributes of a trained network; models with a core put it in the place of None."""
    return {
        "core_": None,
        "corrections_kept_": kept,
        "history_": history,
        "n_parameters_": sum(p.numel() for p in network.module.parameters() if p.requires_grad),
    }


def publish_bands(weights: np.ndarray, spatial_map: np.ndarray) -> dict:
    """Attributes of weights (n_channels, n_bands), map (n_targets, n_channels)."""
    # Rows of the attention sum to 1, signed gains are in [-1, 1].
    size = np.abs(weights)
    total = size.sum(axis=1, keepdims=True)
    attention = np.where(total > 0, size / np.where(total > 0, total, 1), 1 / weights.shape[1])
    gain = weights * np.linalg.norm(spatial_map, axis=0)[:, None]
    largest = np.abs(gain).max()
    return {
        "band_weights_": weights,
        "spatial_map_": spatial_map,
        "band_attention_": attention,
        "band_gain_": gain / largest if largest > 0 else gain,
    }


def response_of(module: SambaNet, names: list[str], hrf_length: float) -> dict:
    """Attributes of a network's responses."""
    if module.hrf is not None:
        return publish_gammas(plain(module.hrf.params()), names, hrf_length)
    times = plain(module.lags) if module.n_lags > 1 else np.zeros(1)
    return publish_hrf(plain(module.response()), times, names)


def publish_gammas(params: np.ndarray, names: list[str], hrf_length: float) -> dict:
    """Attributes of double gammas (n_responses, 6)."""
    times = np.arange(0, hrf_length + _STEP / 2, _STEP)
    return publish_hrf(double_gamma(times, params), times, names, params)


def publish_hrf(courses: np.ndarray, times: np.ndarray, names: list[str], params=None) -> dict:
    """Attributes of responses ``courses`` (n, n_times); free ones have no ``params`` (n, 6)."""
    if params is None:
        params, peaks = np.nan, times[np.abs(courses).argmax(axis=1)]
    else:
        peaks = hrf_summary(params)["peak_time"]
    return {
        "hrf_params_": pd.DataFrame(params, index=names, columns=list(HRF_PARAMS)),
        "hrf_": courses,
        "hrf_times_": times,
        "hrf_peak_time_": peaks,
    }


def activation_patterns(
    module: SambaNet, data: Paired, predictions: list[np.ndarray]
) -> np.ndarray:
    """Haufe patterns: how band power, after the mean response, covaries with predictions."""
    # Changes (n_targets, n_channels, n_bands) of standardised band power that go with one standard
    # deviation of a prediction, (n_frames, n_targets) (Haufe et al. 2014, NeuroImage 87).
    total, count, power_sum, pred_sum, square = 0.0, 0, 0.0, 0.0, 0.0
    for power, pred, mask, on in zip(data.powers, predictions, data.masks, data.on, strict=True):
        own = at_grid(module, on)
        kernel = own.response().detach().cpu().double().mean(dim=0)
        flat = torch.as_tensor(power, dtype=torch.float64).flatten(0, 1)
        seen = convolve_frames(flat, kernel, own.step).numpy()[:, mask] * own.dt
        pred = np.asarray(pred, dtype=np.float64)[mask]
        total = total + seen @ pred
        power_sum, pred_sum = power_sum + seen.sum(axis=1), pred_sum + pred.sum(axis=0)
        square, count = square + (pred**2).sum(axis=0), count + int(mask.sum())
    covariance = total / count - np.outer(power_sum, pred_sum) / count**2
    spread = np.sqrt(np.maximum(square / count - (pred_sum / count) ** 2, 0))
    patterns = covariance / np.where(spread > 1e-12, spread, np.inf)
    n_channels, n_bands = data.powers[0].shape[:2]
    return patterns.T.reshape(-1, n_channels, n_bands)


def plain(tensor: torch.Tensor) -> np.ndarray:
    """Double-precision array of a tensor."""
    return tensor.detach().cpu().double().numpy()
