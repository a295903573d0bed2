"""Where training of corrections starts: least squares on what their untrained parts see.

Graph attention and recurrence with random weights see neighbours and the past already. The readouts
that explain most of what a core leaves over are then a ridge regression, whose penalty maximises
the evidence. Random features with readouts by least squares: Rahimi A., Recht B. (2008), NeurIPS;
of recurrent networks: Jaeger H. (2001), GMD Report 148.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from .._regression import shared_penalty, whiten
from ..data.paired import Paired
from ..nn.samba import SambaNet
from .windows import FrameWindows, Windowing, core_of, like, without

# Windows at a time and, evenly spaced, in all; targets that settle the readouts of graphs, which
# all targets share.
_BATCH, _WINDOWS, _TARGETS = 4, 200, 64
# Nats that make evidence clear, and penalties relative to the mean eigenvalue of products of
# features.
_MARGIN = 3.0
_PENALTIES = np.logspace(-5, 3, 17)


def read_out(network: SambaNet, data: Paired, windowing: Windowing, ar: float) -> None:
    """Give corrections the readouts that explain most of what the core leaves over, in place.

    ``ar`` is the autocorrelation of its noise from frame to frame.
    """
    windows = FrameWindows(data, windowing.n_frames, windowing.n_frames, like(network).dtype)
    network.eval()
    with torch.no_grad():
        _read_out_graphs(network, windows, ar)
        if network.recurrent is not None:
            _read_out_recurrence(used_of(network), windows, ar)
        used = used_of(network)
        if not used.corrections():
            return
        # Hidden features have a mean, of which frames know nothing.
        _, left, _ = _rows(network, windows, lambda power, bold: (bold, bold - used(power)))
        offset = torch.as_tensor(np.nan_to_num(_mean(left)))
        network.intercept += offset.to(network.intercept)


def used_of(network: SambaNet) -> SambaNet:
    """Leave graphs out of a network which add nothing to it."""
    names = ("source_graph", "target_graph")
    parts = {name: getattr(network, name) for name in names}
    return without(network, *(name for name, part in parts.items() if part and not part.gate))


def _read_out_graphs(network: SambaNet, windows: FrameWindows, ar: float) -> None:
    """Fit the readouts of graphs, which are those of all nodes."""
    graphs = [g for g in (network.source_graph, network.target_graph) if g is not None]
    if not graphs:
        return
    n_targets, core = len(network.intercept), core_of(network)
    some = torch.linspace(0, n_targets - 1, min(n_targets, _TARGETS)).long()

    def look(power, bold):
        hidden = network.graph_frames(power, some).permute(1, 3, 0, 2)
        return hidden, (bold - core(power))[..., some]

    x, y, first = _rows(network, windows, look)
    known = np.isfinite(y)
    x = np.where(known[:, None], x, np.nan)
    x, y = (np.nan_to_num(whiten(v - _mean(v), first, ar)) for v in (x, y))
    x = x.transpose(1, 0, 2).reshape(x.shape[1], -1)
    coef = torch.as_tensor(_ridge(x.T, y.reshape(-1, 1))[0])
    for graph in graphs:
        own, coef = coef.split([graph.readout.in_features, len(coef) - graph.readout.in_features])
        if own.any():
            graph.readout.weight.copy_(own)
            graph.readout.bias.zero_()
            graph.gate.fill_(1.0)


def _read_out_recurrence(network: SambaNet, windows: FrameWindows, ar: float) -> None:
    """Fit the readout of the recurrence, which every target has one of."""

    def look(power, bold):
        frames = network.linear_frames(power)
        return network.recurrent.hidden(frames), bold - frames

    x, y, first = _rows(network, windows, look)
    x, y = (np.nan_to_num(whiten(v - _mean(v), first, ar)) for v in (x, y))
    coef = torch.as_tensor(_ridge(x, y))
    if coef.any():
        network.recurrent.decode.weight.copy_(coef)
        network.recurrent.decode.bias.zero_()
        network.recurrent.gate.fill_(1.0)


def _rows(
    network: SambaNet, windows: FrameWindows, look: Callable
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n_rows, ...) of frames and what is left of them (n_rows, n_targets), by ``look``.

    Frames that were not measured are left out; also whether a run of frames begins, (n_rows,).
    """
    own, found = like(network), []
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), _WINDOWS)).astype(int)
    for begin in range(0, len(chosen), _BATCH):
        some = [windows[i] for i in chosen[begin : begin + _BATCH]]
        power = torch.stack([power for power, _ in some]).to(own)
        bold = torch.stack([target["bold"] for _, target in some]).to(own)
        found.append([v.flatten(0, 1).cpu().double().numpy() for v in look(power, bold)])
    x, y = (np.concatenate(v) for v in zip(*found, strict=True))
    kept = np.isfinite(y).any(axis=1)
    first = np.arange(len(y)) % windows.n_frames == 0
    first[1:] |= ~kept[:-1]
    return x[kept], y[kept], first[kept]


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over rows (n_rows, ...) that are known, 0 where none is."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients (n_targets, n_features), zero where the evidence is not clearly for any.

    From ``x`` (n_rows, n_features) and ``y`` (n_rows, n_targets).
    """
    values, vectors = np.linalg.eigh(x.T @ x)
    values = np.maximum(values, 0.0)
    rotated, power = y.T @ x @ vectors, (y**2).sum(axis=0)
    penalty, evidence = 1.0, 0.0
    if values.any() and power.any():
        problem = values, rotated, power
        penalty, evidence = shared_penalty([problem], len(y), _PENALTIES * values.mean())
    return (evidence >= _MARGIN) * rotated / (values + penalty) @ vectors.T
